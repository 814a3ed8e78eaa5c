/* SPDX-License-Identifier: BSD-3-Clause */
#include <viodm/loop.h>
#include <viodm/ports.h>

#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>

#define PAIRS 256u

struct loop_port {
	struct vio_port base;
};

struct loop_queue {
	struct vio_port_queue base;
	struct vio_loop *loop;
	struct vio_defer defer; /* tells the sender that the device has room again */
	bool room;		/* the device receives, and did not say it has none */
	bool blocked;		/* frames wait with the sender */
};

static struct loop_queue *to_queue(struct vio_port_queue *pq)
{
	return vio_container_of(pq, struct loop_queue, base);
}

/*
 * No segments: what comes back would have to be cut for a driver that sends them but does not take
 * them.
 */
static int loop_info(struct vio_port *port, struct vio_port_info *info)
{
	(void)port;
	*info = (struct vio_port_info){
		.offloads = 1ULL << VIRTIO_NET_F_CSUM | 1ULL << VIRTIO_NET_F_GUEST_CSUM,
		.max_pairs = PAIRS,
		.link_up = true,
		.speed = UINT32_MAX,
	};
	return 0;
}

static void on_room(struct vio_defer *defer)
{
	struct loop_queue *lq = vio_container_of(defer, struct loop_queue, defer);

	lq->blocked = false;
	lq->base.user->writable(&lq->base);
}

static int loop_attach(struct vio_port *port, uint16_t index, struct vio_loop *loop,
		       struct vio_port_queue **out)
{
	struct loop_queue *lq;

	(void)port;
	if (index >= PAIRS)
		return -EINVAL;
	lq = calloc(1, sizeof(*lq));
	if (!lq)
		return -ENOMEM;
	lq->loop = loop;
	lq->defer.run = on_room;
	*out = &lq->base;
	return 0;
}

static void loop_detach(struct vio_port_queue *pq)
{
	struct loop_queue *lq = to_queue(pq);

	vio_loop_cancel(lq->loop, &lq->defer);
	free(lq);
}

static unsigned loop_send(struct vio_port_queue *pq, const struct vio_frame *frames, unsigned n)
{
	struct loop_queue *lq = to_queue(pq);
	unsigned taken = 0;

	if (lq->room)
		taken = pq->user->deliver(pq, frames, n);
	if (taken < n) {
		lq->room = false;
		lq->blocked = true;
	}
	if (taken > 0)
		pq->user->flush(pq);
	return taken;
}

static void loop_receive(struct vio_port_queue *pq, bool on)
{
	struct loop_queue *lq = to_queue(pq);

	lq->room = on;
	if (on && lq->blocked)
		vio_loop_defer(lq->loop, &lq->defer);
	else
		vio_loop_cancel(lq->loop, &lq->defer);
}

static void loop_close(struct vio_port *port)
{
	free(vio_container_of(port, struct loop_port, base));
}

static const struct vio_port_ops loop_ops = {
	.name = "loop",
	.info = loop_info,
	.attach = loop_attach,
	.detach = loop_detach,
	.send = loop_send,
	.receive = loop_receive,
	.close = loop_close,
};

int vio_port_loop_open(struct vio_port **out)
{
	struct loop_port *lp = calloc(1, sizeof(*lp));

	if (!lp)
		return -ENOMEM;
	lp->base.ops = &loop_ops;
	*out = &lp->base;
	return 0;
}
