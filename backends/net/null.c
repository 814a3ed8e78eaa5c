/* SPDX-License-Identifier: BSD-3-Clause */
#include <viodm/loop.h>
#include <viodm/ports.h>

#include <endian.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define PAIRS 256u
#define BATCH 32u /* frames per deliver() */
#define TURN  8u  /* batches before others on the loop have their turn */

#define HEADERS 42u /* Ethernet, IPv4, UDP */
#define HEAD	50u /* ... and the number */

/* One writer, the pair's thread; each on a cache line of its own. */
struct null_counts {
	_Alignas(64) _Atomic(uint64_t) sent;
	_Atomic(uint64_t) sent_bytes;
	_Atomic(uint64_t) brought;
};

struct null_port {
	struct vio_port base;
	uint32_t generate;
	uint8_t *frame; /* what a generated one looks like */
	struct null_counts counts[PAIRS];
};

struct null_queue {
	struct vio_port_queue base;
	struct vio_loop *loop;
	struct null_counts *counts;
	struct vio_defer defer; /* queued while frames can be brought */
	bool on;
	bool unselected;
	uint64_t number; /* of the next frame */
	/* Frames ready to go but for the number: a head of its own each, one tail for all. */
	struct vio_frame frames[BATCH];
	struct iovec iov[BATCH][2];
	uint8_t head[BATCH][64];
};

static struct null_port *to_null(struct vio_port *port)
{
	return vio_container_of(port, struct null_port, base);
}

static struct null_queue *to_queue(struct vio_port_queue *pq)
{
	return vio_container_of(pq, struct null_queue, base);
}

static void count(_Atomic(uint64_t) *counter, uint64_t n)
{
	uint64_t v = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, v + n, memory_order_relaxed);
}

static int null_info(struct vio_port *port, struct vio_port_info *info)
{
	(void)port;
	*info = (struct vio_port_info){
		.offloads = 1ULL << VIRTIO_NET_F_CSUM | 1ULL << VIRTIO_NET_F_HOST_TSO4 |
			    1ULL << VIRTIO_NET_F_HOST_TSO6 | 1ULL << VIRTIO_NET_F_HOST_ECN |
			    1ULL << VIRTIO_NET_F_HOST_UFO | 1ULL << VIRTIO_NET_F_HOST_USO,
		.max_pairs = PAIRS,
		.link_up = true,
		.speed = UINT32_MAX,
	};
	return 0;
}

static void null_fill_batch(struct null_queue *nq)
{
	for (unsigned i = 0; i < BATCH; i++) {
		__be64 number = htobe64(nq->number + i);

		memcpy(nq->head[i] + HEADERS, &number, sizeof(number));
	}
}

static void on_bring(struct vio_defer *defer)
{
	struct null_queue *nq = vio_container_of(defer, struct null_queue, defer);
	unsigned taken, all = 0;

	for (unsigned i = 0; i < TURN; i++) {
		null_fill_batch(nq);
		taken = nq->base.user->deliver(&nq->base, nq->frames, BATCH);
		nq->number += taken;
		all += taken;
		if (taken > 0)
			nq->base.user->flush(&nq->base); /* the driver works on these meanwhile */
		if (taken < BATCH || !nq->on)
			break;
	}
	count(&nq->counts->brought, all);
	if (taken == BATCH && nq->on && !nq->unselected)
		vio_loop_defer(nq->loop, &nq->defer);
}

/* Starts bringing frames, or stops. */
static void null_update(struct null_queue *nq)
{
	if (nq->on && !nq->unselected && to_null(nq->base.port)->generate > 0)
		vio_loop_defer(nq->loop, &nq->defer);
	else
		vio_loop_cancel(nq->loop, &nq->defer);
}

static void null_prepare(const struct null_port *np, struct null_queue *nq, uint16_t index)
{
	__be16 from = htobe16(1024 + index);

	for (unsigned i = 0; i < BATCH; i++) {
		memcpy(nq->head[i], np->frame, HEAD);
		memcpy(nq->head[i] + 34, &from, sizeof(from));
		nq->iov[i][0] = (struct iovec){nq->head[i], HEAD};
		nq->iov[i][1] = (struct iovec){np->frame + HEAD, np->generate - HEAD};
		nq->frames[i] =
			(struct vio_frame){.iov = nq->iov[i], .n_iov = 2, .len = np->generate};
	}
}

static int null_attach(struct vio_port *port, uint16_t index, struct vio_loop *loop,
		       struct vio_port_queue **out)
{
	struct null_queue *nq;

	if (index >= PAIRS)
		return -EINVAL;
	nq = calloc(1, sizeof(*nq));
	if (!nq)
		return -ENOMEM;
	nq->loop = loop;
	nq->counts = &to_null(port)->counts[index];
	nq->defer.run = on_bring;
	if (to_null(port)->generate > 0)
		null_prepare(to_null(port), nq, index);
	*out = &nq->base;
	return 0;
}

static void null_detach(struct vio_port_queue *pq)
{
	struct null_queue *nq = to_queue(pq);

	vio_loop_cancel(nq->loop, &nq->defer);
	free(nq);
}

static unsigned null_send(struct vio_port_queue *pq, const struct vio_frame *frames, unsigned n)
{
	struct null_queue *nq = to_queue(pq);
	uint64_t bytes = 0;

	for (unsigned i = 0; i < n; i++)
		bytes += frames[i].len;
	count(&nq->counts->sent, n);
	count(&nq->counts->sent_bytes, bytes);
	return n;
}

static void null_receive(struct vio_port_queue *pq, bool on)
{
	to_queue(pq)->on = on;
	null_update(to_queue(pq));
}

static void null_select(struct vio_port_queue *pq, bool on)
{
	to_queue(pq)->unselected = !on;
	null_update(to_queue(pq));
}

static void null_close(struct vio_port *port)
{
	free(to_null(port)->frame);
	free(to_null(port));
}

static const struct vio_port_ops null_ops = {
	.name = "null",
	.info = null_info,
	.attach = null_attach,
	.detach = null_detach,
	.send = null_send,
	.receive = null_receive,
	.select = null_select,
	.close = null_close,
};

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* The IPv4 header's checksum. */
static unsigned null_checksum(const uint8_t *ip)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < 20; i += 2)
		sum += (unsigned)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	return ~(sum + (sum >> 16)) & 0xffff;
}

/* UDP's checksum stays 0: there is none, which IPv4 allows. */
static void null_make_frame(uint8_t *f, uint32_t len)
{
	static const char head[HEADERS + 1] =
		"\xff\xff\xff\xff\xff\xff" /* Ethernet: to everybody */
		"\2\0\0\0\0\1"
		"\10\0"
		"\x45\0\0\0"   /* IPv4: version and header length, TOS, total length */
		"\0\0\x40\0"   /* id, do not fragment */
		"\x40\x11\0\0" /* time to live, UDP, checksum */
		"\306\22\0\1"
		"\306\22\0\2"
		"\0\0\0\11" /* UDP: ports */
		"\0\0\0\0"; /* length, checksum */

	for (uint32_t i = 0; i < len; i++)
		f[i] = (uint8_t)i;
	memcpy(f, head, HEADERS);
	put16(f + 16, len - 14);
	put16(f + 24, null_checksum(f + 14));
	put16(f + 38, len - 34);
}

int vio_port_null_open(const struct vio_port_null_config *cfg, struct vio_port **out)
{
	struct null_port *np;

	if (cfg->generate != 0 &&
	    (cfg->generate < VIO_PORT_NULL_MIN || cfg->generate > VIO_PORT_NULL_MAX))
		return -EINVAL;
	np = aligned_alloc(_Alignof(struct null_port), sizeof(*np));
	if (!np)
		return -ENOMEM;
	memset(np, 0, sizeof(*np));
	np->base.ops = &null_ops;
	np->generate = cfg->generate;
	if (cfg->generate > 0) {
		np->frame = malloc(cfg->generate);
		if (!np->frame) {
			free(np);
			return -ENOMEM;
		}
		null_make_frame(np->frame, cfg->generate);
	}
	*out = &np->base;
	return 0;
}

void vio_port_null_count(struct vio_port *port, struct vio_port_null_counts *counts)
{
	struct null_port *np = to_null(port);

	*counts = (struct vio_port_null_counts){0};
	for (unsigned i = 0; i < PAIRS; i++) {
		struct null_counts *c = &np->counts[i];

		counts->sent += atomic_load_explicit(&c->sent, memory_order_relaxed);
		counts->sent_bytes += atomic_load_explicit(&c->sent_bytes, memory_order_relaxed);
		counts->brought += atomic_load_explicit(&c->brought, memory_order_relaxed);
	}
}
