/* SPDX-License-Identifier: BSD-3-Clause */
#include <viodm/defect.h>
#include <viodm/loop.h>
#include <viodm/ports.h>

#include <errno.h>
#include <linux/virtio_net.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "loop_mail.h"
#include "segments.h"

#define PAIRS 256u
#define BATCH 32u /* segments per deliver() */
#define TURN  8u  /* batches of them before others on the loop have their turn */

#define BIT(feature) (UINT64_C(1) << (feature))
#define GUEST_USO    (BIT(VIRTIO_NET_F_GUEST_USO4) | BIT(VIRTIO_NET_F_GUEST_USO6))

struct loop_port {
	struct vio_port base;
	_Atomic(uint64_t) offloads; /* GUEST_... that are taken */
	pthread_mutex_t lock;
	/* under the lock, with their mail and `selected` */
	struct loop_queue *queue[PAIRS];
};

struct loop_queue {
	struct vio_port_queue base;
	struct vio_loop *loop;
	struct vio_defer defer; /* goes on: with segments, and what waits with the sender */
	bool room;		/* the device receives, and did not say it has none */
	bool blocked;		/* frames wait with the sender */
	bool unflushed;
	bool selected; /* changed by this queue's thread, which may look without the lock */
	struct loop_mail mail;

	/* A frame that is cut for a receiver that does not take it whole. */
	struct segments cut;
	unsigned n_ready, n_passed; /* of ready[] */
	struct segment ready[BATCH];
};

static struct loop_port *to_loop(struct vio_port *port)
{
	return vio_container_of(port, struct loop_port, base);
}

static struct loop_queue *to_queue(struct vio_port_queue *pq)
{
	return vio_container_of(pq, struct loop_queue, base);
}

static int loop_info(struct vio_port *port, struct vio_port_info *info)
{
	(void)port;
	*info = (struct vio_port_info){
		.offloads = BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) |
			    BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN) |
			    BIT(VIRTIO_NET_F_HOST_UFO) | BIT(VIRTIO_NET_F_HOST_USO) |
			    BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) |
			    BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN) |
			    BIT(VIRTIO_NET_F_GUEST_UFO) | GUEST_USO,
		.max_pairs = PAIRS,
		.link_up = true,
		.speed = UINT32_MAX,
	};
	return 0;
}

static int loop_set_offloads(struct vio_port *port, uint64_t offloads)
{
	atomic_store_explicit(&to_loop(port)->offloads, offloads, memory_order_relaxed);
	return 0;
}

/* ---- frames on their way -----------------------------------------------------------------------
 */

/* The next queue that receives, or NULL. Port locked. */
static struct loop_queue *other_queue(const struct loop_port *lp, uint16_t index)
{
	for (unsigned i = 1; i < PAIRS; i++) {
		struct loop_queue *lq = lp->queue[(index + i) % PAIRS];

		if (lq && lq->selected)
			return lq;
	}
	return NULL;
}

/* NET-DEV-125, NET-DEV-126: nobody receives here; somebody else may. */
static void loop_divert(struct loop_queue *lq, const struct vio_frame *frames, unsigned n)
{
	struct loop_port *lp = to_loop(lq->base.port);
	struct loop_queue *other;

	pthread_mutex_lock(&lp->lock);
	other = VIO_DEFECT("net-reset-queue-drops") ? NULL : other_queue(lp, lq->base.index);
	for (unsigned i = 0; other && i < n; i++)
		loop_mail_post(&other->mail, &frames[i]);
	pthread_mutex_unlock(&lp->lock);
}

static inline bool loop_diverts(const struct loop_queue *lq)
{
	return !lq->selected && !VIO_DEFECT("net-reset-queue-waits");
}

static inline unsigned loop_pass(struct loop_queue *lq, const struct vio_frame *frames, unsigned n)
{
	unsigned taken = 0;

	if (VIO_UNLIKELY(loop_diverts(lq))) {
		loop_divert(lq, frames, n);
		return n;
	}
	if (lq->room)
		taken = lq->base.user->deliver(&lq->base, frames, n);
	if (taken < n)
		lq->room = false;
	if (taken > 0)
		lq->unflushed = true;
	return taken;
}

static void loop_flush(struct loop_queue *lq)
{
	if (lq->unflushed)
		lq->base.user->flush(&lq->base);
	lq->unflushed = false;
}

static void on_mail(struct vio_watch *watch)
{
	struct loop_queue *lq = vio_container_of(watch, struct loop_queue, mail.wake);
	struct loop_port *lp = to_loop(lq->base.port);
	struct vio_frame f;
	struct iovec iov;
	size_t at = 0;

	pthread_mutex_lock(&lp->lock);
	loop_mail_collect(&lq->mail);
	pthread_mutex_unlock(&lp->lock);
	while (lq->selected && loop_mail_next(&lq->mail, &at, &f, &iov))
		loop_pass(lq, &f, 1); /* or drop it */
	loop_flush(lq);
}

/* ---- segments ----------------------------------------------------------------------------------
 */

/* Does the receiver take the frame as it is? */
static bool loop_takes(uint64_t offloads, const struct vio_frame_hdr *hdr)
{
	uint64_t need = hdr->gso_type & VIRTIO_NET_HDR_GSO_ECN ? BIT(VIRTIO_NET_F_GUEST_ECN) : 0;

	switch (hdr->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		need |= BIT(VIRTIO_NET_F_GUEST_TSO4);
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		need |= BIT(VIRTIO_NET_F_GUEST_TSO6);
		break;
	case VIRTIO_NET_HDR_GSO_UDP:
		need |= BIT(VIRTIO_NET_F_GUEST_UFO);
		break;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		need |= GUEST_USO; /* with one alone we would have to look which it is */
		break;
	default:
		return false; /* nobody knows that one */
	}
	return (offloads & need) == need;
}

/* How many of the frames, from the first on, go as they are? */
static unsigned loop_whole(const struct loop_queue *lq, const struct vio_frame *frames, unsigned n)
{
	uint64_t offloads =
		atomic_load_explicit(&to_loop(lq->base.port)->offloads, memory_order_relaxed);
	unsigned i = 0;

	while (i < n && (VIO_LIKELY(frames[i].hdr.gso_type == VIRTIO_NET_HDR_GSO_NONE) ||
			 loop_takes(offloads, &frames[i].hdr)))
		i++;
	return i;
}

/* Is there none to be segmented? The common case, asked of whole batches. */
static inline bool loop_plain(const struct vio_frame *frames, unsigned n)
{
	unsigned i = 0;
	uint8_t types = 0;

	for (; i + 4 <= n; i += 4)
		types |= frames[i].hdr.gso_type | frames[i + 1].hdr.gso_type |
			 frames[i + 2].hdr.gso_type | frames[i + 3].hdr.gso_type;
	for (; i < n; i++)
		types |= frames[i].hdr.gso_type;
	return types == VIRTIO_NET_HDR_GSO_NONE;
}

static bool loop_cutting(const struct loop_queue *lq)
{
	return lq->cut.more || lq->n_passed < lq->n_ready;
}

/* Passes on what the last frame was cut into. False: some is left. */
static bool loop_segments(struct loop_queue *lq)
{
	for (unsigned turn = 0; loop_cutting(lq) && turn < TURN; turn++) {
		if (lq->n_passed == lq->n_ready) {
			lq->n_ready = segments_next(&lq->cut, lq->ready, BATCH);
			lq->n_passed = 0;
		}
		while (lq->n_passed < lq->n_ready) {
			if (loop_pass(lq, &lq->ready[lq->n_passed].frame, 1) == 0)
				return false;
			lq->n_passed++;
		}
	}
	return !loop_cutting(lq);
}

/* ---- the queue ---------------------------------------------------------------------------------
 */

/* Something waits, and can go on. */
static void loop_update(struct loop_queue *lq)
{
	if ((lq->room || loop_diverts(lq)) && (lq->blocked || loop_cutting(lq)))
		vio_loop_defer(lq->loop, &lq->defer);
	else
		vio_loop_cancel(lq->loop, &lq->defer);
}

static void on_go(struct vio_defer *defer)
{
	struct loop_queue *lq = vio_container_of(defer, struct loop_queue, defer);
	bool all = loop_segments(lq);

	loop_flush(lq);
	if (!all) {
		loop_update(lq);
	} else if (lq->blocked) {
		lq->blocked = false;
		lq->base.user->writable(&lq->base);
	}
}

/* Frames of which some may have to be cut, behind what is left of one that was. */
static unsigned loop_mixed(struct loop_queue *lq, const struct vio_frame *frames, unsigned n)
{
	unsigned done = 0;

	while (loop_segments(lq) && done < n) {
		unsigned whole = loop_whole(lq, frames + done, n - done);
		unsigned taken = whole ? loop_pass(lq, frames + done, whole) : 0;

		done += taken;
		if (taken < whole || done == n)
			break;
		segments_begin(&lq->cut, &frames[done]); /* or it is dropped */
		done++;
	}
	return done;
}

static unsigned loop_send(struct vio_port_queue *pq, const struct vio_frame *frames, unsigned n)
{
	struct loop_queue *lq = to_queue(pq);
	unsigned done;

	if (VIO_LIKELY(!loop_cutting(lq) && loop_plain(frames, n)))
		done = loop_pass(lq, frames, n);
	else
		done = loop_mixed(lq, frames, n);
	loop_flush(lq);
	if (VIO_UNLIKELY(done < n || loop_cutting(lq))) {
		lq->blocked = done < n;
		loop_update(lq);
	}
	return done;
}

static void loop_receive(struct vio_port_queue *pq, bool on)
{
	struct loop_queue *lq = to_queue(pq);

	lq->room = on;
	loop_update(lq);
}

static void loop_select(struct vio_port_queue *pq, bool on)
{
	struct loop_queue *lq = to_queue(pq);
	struct loop_port *lp = to_loop(pq->port);

	pthread_mutex_lock(&lp->lock);
	lq->selected = on;
	pthread_mutex_unlock(&lp->lock);
	loop_update(lq);
}

static int loop_attach(struct vio_port *port, uint16_t index, struct vio_loop *loop,
		       struct vio_port_queue **out)
{
	struct loop_port *lp = to_loop(port);
	struct loop_queue *lq;
	int r;

	if (index >= PAIRS)
		return -EINVAL;
	lq = calloc(1, sizeof(*lq));
	if (!lq)
		return -ENOMEM;
	lq->loop = loop;
	lq->defer.run = on_go;
	lq->selected = true;
	r = segments_init(&lq->cut);
	if (r == 0)
		r = loop_mail_open(&lq->mail, loop, on_mail);
	if (r < 0) {
		segments_fini(&lq->cut);
		free(lq);
		return r;
	}
	pthread_mutex_lock(&lp->lock);
	lp->queue[index] = lq;
	pthread_mutex_unlock(&lp->lock);
	*out = &lq->base;
	return 0;
}

static void loop_detach(struct vio_port_queue *pq)
{
	struct loop_queue *lq = to_queue(pq);
	struct loop_port *lp = to_loop(pq->port);

	pthread_mutex_lock(&lp->lock);
	lp->queue[pq->index] = NULL;
	pthread_mutex_unlock(&lp->lock);
	vio_loop_cancel(lq->loop, &lq->defer);
	loop_mail_close(&lq->mail, lq->loop);
	segments_fini(&lq->cut);
	free(lq);
}

static void loop_close(struct vio_port *port)
{
	struct loop_port *lp = to_loop(port);

	pthread_mutex_destroy(&lp->lock);
	free(lp);
}

static const struct vio_port_ops loop_ops = {
	.name = "loop",
	.info = loop_info,
	.attach = loop_attach,
	.detach = loop_detach,
	.send = loop_send,
	.receive = loop_receive,
	.select = loop_select,
	.set_offloads = loop_set_offloads,
	.close = loop_close,
};

int vio_port_loop_open(struct vio_port **out)
{
	struct loop_port *lp = calloc(1, sizeof(*lp));

	if (!lp)
		return -ENOMEM;
	pthread_mutex_init(&lp->lock, NULL);
	lp->base.ops = &loop_ops;
	*out = &lp->base;
	return 0;
}
