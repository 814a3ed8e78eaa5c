/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Serves rings on event loops: one object per running queue, which belongs to its loop's thread.
 */
#include "loop_backend.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

struct loop_backend {
	struct vio_backend base;
	size_t n;
	struct vio_loop *loops[];
};

/* One running queue. */
struct loop_queue {
	struct vio_watch kick;
	bool kick_shared;
	struct vio_defer again; /* the queue had more than one drain may serve */
	struct vio_poller poller;
	bool polled;
	struct vio_loop *loop;
	struct vio_device *dev;
	uint16_t index;
	struct vio_queue *q;
};

/* start and stop, carried to the loop's thread */
struct queue_call {
	struct vio_loop *loop;
	struct vio_device *dev;
	uint16_t index;
	int result;
};

static struct loop_backend *to_backend(struct vio_backend *be)
{
	return vio_container_of(be, struct loop_backend, base);
}

uint64_t loop_backend_features(struct vio_backend *be, const struct vio_device *dev)
{
	(void)be;
	(void)dev;
	return UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC | UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX |
	       UINT64_C(1) << VIRTIO_F_IN_ORDER;
}

static void queue_run(struct loop_queue *lq)
{
	if (vio_device_queue_run(lq->dev, lq->index))
		vio_loop_defer(lq->loop, &lq->again);
}

/*
 * A front-end may take the event before we do, and have made the descriptor a blocking one: so the
 * call says that it does not wait, which costs 0.1 us more. Kernels before 5.8 do not know that for
 * an eventfd; there a front-end can stall the loop of its queue.
 */
static void kick_take(const struct loop_queue *lq)
{
	uint64_t count;
	struct iovec v = {.iov_base = &count, .iov_len = sizeof(count)};
	ssize_t n = -1;

	if (lq->kick_shared)
		n = preadv2(lq->kick.fd, &v, 1, -1, RWF_NOWAIT);
	if (!lq->kick_shared || (n < 0 && errno == EOPNOTSUPP))
		n = read(lq->kick.fd, &count, sizeof(count));
	(void)n; /* a kick more or less is harmless: the ring says what there is (SPLIT-DEV-024) */
}

static void on_kick(struct vio_watch *w)
{
	struct loop_queue *lq = vio_container_of(w, struct loop_queue, kick);

	kick_take(lq);
	vio_count(&lq->q->stats.kicks, 1);
	queue_run(lq);
}

static void on_again(struct vio_defer *d)
{
	queue_run(vio_container_of(d, struct loop_queue, again));
}

static bool on_poll(struct vio_poller *p)
{
	struct loop_queue *lq = vio_container_of(p, struct loop_queue, poller);

	if (!vio_queue_pending(lq->q) || vio_device_failed(lq->dev)) {
		vio_count(&lq->q->stats.polls_missed, 1);
		return false;
	}
	vio_count(&lq->q->stats.polls_hit, 1);
	queue_run(lq);
	return true;
}

static bool on_arm(struct vio_poller *p)
{
	struct loop_queue *lq = vio_container_of(p, struct loop_queue, poller);

	return !vio_device_failed(lq->dev) && vio_queue_arm(lq->q);
}

/* Loop thread. */
static int queue_begin(struct queue_call *c)
{
	struct loop_queue *lq = calloc(1, sizeof(*lq));
	int r;

	if (!lq)
		return -ENOMEM;
	lq->loop = c->loop;
	lq->dev = c->dev;
	lq->index = c->index;
	lq->q = vio_device_queue(c->dev, c->index);
	lq->again.run = on_again;
	lq->kick.fd = vio_device_kick_fd(c->dev, c->index);
	lq->kick.on_ready = on_kick;
	lq->kick_shared = vio_device_kick_fd_shared(c->dev, c->index);
	lq->poller.poll = on_poll;
	lq->poller.arm = on_arm;
	r = vio_device_queue_begin(c->dev, c->index, lq->loop);
	if (r < 0)
		goto free_lq;
	r = vio_loop_watch(lq->loop, &lq->kick);
	if (r < 0)
		goto end_queue;
	lq->q->backend_data = lq;
	lq->polled = vio_loop_poll_add(lq->loop, &lq->poller);
	vio_queue_set_polled(lq->q, lq->polled);
	/* Whatever became available before we watched: no kick will come for that. */
	vio_loop_defer(lq->loop, &lq->again);
	return 0;

end_queue:
	vio_device_queue_end(c->dev, c->index);
free_lq:
	free(lq);
	return r;
}

static void call_begin(void *arg)
{
	struct queue_call *c = arg;

	c->result = queue_begin(c);
}

static void call_end(void *arg)
{
	struct queue_call *c = arg;
	struct vio_queue *q = vio_device_queue(c->dev, c->index);
	struct loop_queue *lq = q->backend_data;

	vio_loop_unwatch(lq->loop, &lq->kick);
	vio_loop_cancel(lq->loop, &lq->again);
	if (lq->polled)
		vio_loop_poll_remove(lq->loop, &lq->poller);
	vio_device_queue_end(c->dev, c->index);
	q->backend_data = NULL;
	free(lq);
}

static struct vio_loop *loop_of(const struct loop_backend *be, const struct vio_device *dev,
				uint16_t index)
{
	return be->loops[index / vio_device_queue_group(dev) % be->n];
}

int loop_backend_queue_start(struct vio_backend *base, struct vio_device *dev, uint16_t index)
{
	struct loop_backend *be = to_backend(base);
	struct queue_call c = {.loop = loop_of(be, dev, index), .dev = dev, .index = index};

	vio_loop_call(c.loop, call_begin, &c);
	return c.result;
}

void loop_backend_queue_stop(struct vio_backend *base, struct vio_device *dev, uint16_t index)
{
	struct loop_backend *be = to_backend(base);
	struct queue_call c = {.loop = loop_of(be, dev, index), .dev = dev, .index = index};

	vio_loop_call(c.loop, call_end, &c);
}

void loop_backend_destroy(struct vio_backend *be)
{
	free(to_backend(be));
}

int loop_backend_create(const struct vio_backend_ops *ops, struct vio_loop *const *loops, size_t n,
			struct vio_backend **out)
{
	struct loop_backend *be;

	if (n == 0)
		return -EINVAL;
	be = calloc(1, sizeof(*be) + n * sizeof(be->loops[0]));
	if (!be)
		return -ENOMEM;
	be->base.ops = ops;
	be->n = n;
	for (size_t i = 0; i < n; i++)
		be->loops[i] = loops[i];
	*out = &be->base;
	return 0;
}
