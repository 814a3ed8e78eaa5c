/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Entropy Device". The shortest complete device model: copy this file to begin a new one.
 */
#include <viodm/iov.h>
#include <viodm/rng.h>

#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <errno.h>
#include <sys/random.h>

#define RNG_QUEUE_SIZE 64

/* A request gets at most this much: the device may use less than the buffer ("Entropy Device",
 * Device Operation), and no driver can make it spend long in one go. */
#define RNG_MAX_BYTES 65536

struct rng {
	struct vio_device base; /* every model embeds the base first */
};

static struct rng *to_rng(struct vio_device *dev)
{
	return vio_container_of(dev, struct rng, base);
}

/* Fills the buffer from the host's entropy pool. Returns the bytes written. */
static uint64_t rng_fill(struct vio_iov *buf)
{
	uint64_t left = buf->len < RNG_MAX_BYTES ? buf->len : RNG_MAX_BYTES;
	uint64_t done = 0;

	while (done < left) {
		uint8_t chunk[256]; /* getrandom() never returns less of 256 bytes */
		size_t want = left - done < sizeof(chunk) ? (size_t)(left - done) : sizeof(chunk);

		if (getrandom(chunk, want, 0) != (ssize_t)want)
			break;
		done += vio_iov_put(buf, chunk, want);
	}
	return done;
}

/* One turn: at most queue-size chains, then the loop's other work has its turn. */
static bool rng_queue_run(struct vio_device *dev, struct vio_queue *q)
{
	uint16_t left = q->size;
	struct vio_chain *c;

	while (left > 0 && vio_device_pop(dev, q, &c)) {
		struct vio_iov in = vio_iov_writable(c);
		uint64_t filled = rng_fill(&in);

		vio_count(&q->stats.bytes_read, filled);
		vio_queue_push(q, c, filled);
		left--;
	}
	vio_device_publish(dev, q);
	return left == 0;
}

static void rng_destroy(struct vio_device *dev)
{
	vio_device_fini(dev);
	free(to_rng(dev));
}

static const struct vio_device_ops rng_ops = {
	.name = "rng",
	.id = VIRTIO_ID_RNG,
	.queue_run = rng_queue_run,
	.destroy = rng_destroy,
};

int vio_rng_create(const struct vio_device_env *env, struct vio_device **out)
{
	struct rng *rng = calloc(1, sizeof(*rng));
	int r;

	if (!rng)
		return -ENOMEM;
	rng->base.ops = &rng_ops;
	rng->base.n_queues = 1;
	rng->base.queue_size = RNG_QUEUE_SIZE;
	rng->base.slot_size = sizeof(struct vio_chain);
	r = vio_device_init(&rng->base, env);
	if (r < 0) {
		free(rng);
		return r;
	}
	*out = &rng->base;
	return 0;
}
