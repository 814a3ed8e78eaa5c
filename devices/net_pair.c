/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queue pairs: starting and stopping, and how settings reach them.
 */
#include <viodm/defect.h>
#include "net_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const struct vio_port_user net_user = {
	.room = net_rx_room,
	.received = net_rx_received,
	.deliver = net_rx_deliver,
	.flush = net_rx_flush,
	.writable = net_tx_writable,
};

/* ---- waking up ---------------------------------------------------------------------------------
 */

int net_wake_open(struct vio_loop *loop, struct vio_watch *w, int *fd)
{
	int r;

	*fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (*fd < 0)
		return -errno;
	w->fd = *fd;
	r = vio_loop_watch(loop, w);
	if (r < 0) {
		close(*fd);
		*fd = -1;
	}
	return r;
}

void net_wake_close(struct vio_loop *loop, struct vio_watch *w, int *fd)
{
	vio_loop_unwatch(loop, w);
	close(*fd);
	*fd = -1;
}

void net_wake_pairs(struct net *net)
{
	for (uint16_t i = 0; i < net->pairs; i++)
		if (net->pair[i].running)
			vio_event_signal(net->pair[i].wake_fd);
}

/* ---- settings ----------------------------------------------------------------------------------
 */

/* net->lock held. Has every running pair what was published last? */
static bool adopted(const struct net *net)
{
	for (uint16_t i = 0; i < net->pairs; i++)
		if (net->pair[i].running && net->pair[i].gen != net->gen)
			return false;
	return true;
}

bool net_settled(const struct net *net)
{
	return !net->dirty && adopted(net);
}

void net_publish(struct net *net)
{
	net->dirty = true;
	if (!adopted(net))
		return; /* the last one to adopt publishes */
	net->live[(net->gen + 1) & 1] = net->want;
	net->dirty = false;
	atomic_store_explicit(&net->gen, net->gen + 1, memory_order_release);
	net_wake_pairs(net);
}

/* net->lock held. A pair has adopted, or is gone. */
static void settle(struct net *net)
{
	if (!adopted(net))
		return;
	if (net->dirty)
		net_publish(net);
	if (net->ctrl.waits && net_settled(net)) {
		net->ctrl.waits = false;
		vio_event_signal(net->ctrl.wake_fd);
	}
}

/* Frames are spread over the pairs in use that have a receive queue (NET-DEV-125). */
static void pair_select(struct net_pair *p)
{
	bool select = p->active && p->rxl.q;

	if (select != p->selected)
		vio_port_select(p->pq, select);
	p->selected = select;
}

/* In force for this pair from here on. */
static void pair_apply(struct net_pair *p)
{
	p->active = p->index < p->set->pairs;
	pair_select(p);
	p->plain_max = p->net->mtu_len ? p->net->mtu_len : VIO_FRAME_MAX;
	if (p->set->filtering || p->set->hashing)
		p->plain_max = 0;
	if (p->txl.q)
		net_line_set(&p->txl, &p->set->coal[p->txl.q->index]);
	if (!p->rxl.q)
		return;
	net_line_set(&p->rxl, &p->set->coal[p->rxl.q->index]);
	p->rx->given = NET_ROOM_NONE; /* frames may be longer now, or go elsewhere */
}

void net_adopt(struct net_pair *p)
{
	struct net *net = p->net;
	uint32_t gen = net->gen;

	p->set = &net->live[gen & 1];
	pair_apply(p);
	if (p->rxl.q && !p->active)
		net_rx_pause(p);
	pthread_mutex_lock(&net->lock);
	p->gen = gen;
	settle(net);
	pthread_mutex_unlock(&net->lock);
	if (p->rxl.q)
		net_rx_wake(p);
}

static void on_wake(struct vio_watch *w)
{
	struct net_pair *p = vio_container_of(w, struct net_pair, wake);

	vio_event_take(w->fd);
	if (vio_device_failed(&p->net->base))
		return;
	net_sync(p);
	if (!p->rxl.q)
		return;
	net_rx_mail(p);
	net_rx_wake(p);
}

/* net->lock held. The settings after a reset, for a driver whose commands do, or do not, come here.
 */
static void settings_begin(struct net *net, bool ctrl)
{
	const uint64_t filters = NET_BIT(VIRTIO_NET_F_CTRL_RX) |
				 NET_BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) |
				 NET_BIT(VIRTIO_NET_F_CTRL_VLAN);
	uint64_t f = ctrl ? net->features : net->features & ~filters;
	struct net_settings *s = &net->want;

	memset(s, 0, offsetof(struct net_settings, hash));
	s->hash.types = 0;
	s->offloads =
		VIO_DEFECT("net-offloads-off-at-first") ? 0 : net->features & NET_GUEST_OFFLOADS;
	/* NET-DEV-123. Somebody who keeps the control queue for himself starts the queues that are
	 * in use. */
	s->pairs = ctrl && !VIO_DEFECT("net-all-pairs-at-first") ? 1 : net->pairs;
	s->filtering = f & filters;
	net_filter_init(&s->filter, f, net->conf.mac);
}

/* net->lock held. At the start of every queue. */
static void settings_check(struct net *net)
{
	struct vio_queue_regs regs = {0};

	if (net->begun && net->ctrl_on)
		return;
	if (vio_device_has(&net->base, VIRTIO_NET_F_CTRL_VQ))
		vio_device_queue_get(&net->base, net_ctrl_index(net), &regs);
	if (net->begun && !regs.enabled)
		return;
	net->begun = true;
	net->ctrl_on = regs.enabled;
	settings_begin(net, net->ctrl_on);
	net_publish(net);
}

/* ---- start and stop ----------------------------------------------------------------------------
 */

/* The first queue of a pair. */
static int pair_open(struct net_pair *p, struct vio_loop *loop)
{
	int r = vio_port_attach(p->net->port, p->index, loop, &net_user, p, &p->pq);

	if (r < 0)
		return r;
	p->wake.on_ready = on_wake;
	r = net_wake_open(loop, &p->wake, &p->wake_fd);
	if (r < 0) {
		vio_port_detach(p->pq);
		p->pq = NULL;
		return r;
	}
	p->loop = loop;
	p->selected = true; /* as the port has it */
	return 0;
}

/* The last one. */
static void pair_close(struct net_pair *p)
{
	vio_port_detach(p->pq);
	net_wake_close(p->loop, &p->wake, &p->wake_fd);
	p->pq = NULL;
	p->loop = NULL;
}

/*
 * NET-DEV-139, NET-DEV-140: a queue that begins anew has what was set for all of its kind. One that
 * goes on where a front-end stopped it is enabled again, too, but with an index.
 */
static void coal_begin(struct net *net, struct vio_queue *q)
{
	struct net_coal *c = &net->want.coal[q->index];
	const struct net_coal *all = &net->coal_all[q->index & 1];

	if (!q->fresh || q->next_avail != 0 ||
	    (c->max_packets == all->max_packets && c->max_usecs == all->max_usecs))
		return;
	*c = *all;
	net_publish(net);
}

static int pair_start(struct net_pair *p, struct vio_queue *q, struct vio_loop *loop)
{
	struct net *net = p->net;
	bool rx = net_role(net, q->index) == NET_RX;
	int r = p->loop ? 0 : pair_open(p, loop);

	if (r < 0)
		return r;
	r = rx ? net_rx_start(p, q) : net_tx_start(p, q);
	if (r < 0) {
		if (!p->rxl.q && !p->txl.q)
			pair_close(p);
		return r;
	}
	pthread_mutex_lock(&net->lock);
	settings_check(net);
	coal_begin(net, q);
	if (p->running++ == 0)
		p->gen = net->gen;
	p->set = &net->live[p->gen & 1];
	pthread_mutex_unlock(&net->lock);
	q->device_data = p;
	pair_apply(p);
	return 0;
}

static void pair_stop(struct net_pair *p, struct vio_queue *q)
{
	struct net *net = p->net;
	bool last;

	pthread_mutex_lock(&net->lock);
	last = --p->running == 0;
	settle(net);
	pthread_mutex_unlock(&net->lock);
	if (q == p->rxl.q)
		net_rx_stop(p);
	else
		net_tx_stop(p);
	if (last)
		pair_close(p);
	else
		pair_select(p);
}

int net_queue_start(struct vio_device *dev, struct vio_queue *q, struct vio_loop *loop)
{
	struct net *net = to_net(dev);

	q->device_data = NULL;
	switch (net_role(net, q->index)) {
	case NET_RX:
	case NET_TX:
		return pair_start(&net->pair[q->index / 2], q, loop);
	case NET_CTRL:
		pthread_mutex_lock(&net->lock);
		settings_check(net);
		pthread_mutex_unlock(&net->lock);
		q->device_data = &net->ctrl;
		return net_ctrl_start(net, q, loop);
	case NET_NONE:
		break;
	}
	vio_queue_set_idle(q, true); /* no such queue, as negotiated */
	return 0;
}

void net_queue_stop(struct vio_device *dev, struct vio_queue *q)
{
	struct net *net = to_net(dev);

	/* Not net->ctrl.q, which belongs to another loop. */
	if (q->device_data == &net->ctrl)
		net_ctrl_stop(net);
	else if (q->device_data)
		pair_stop(q->device_data, q);
	q->device_data = NULL;
}

bool net_queue_run(struct vio_device *dev, struct vio_queue *q)
{
	struct net *net = to_net(dev);
	struct net_pair *p = q->device_data;

	if (!p)
		return false;
	if (q->device_data == &net->ctrl)
		return net_ctrl_run(net);
	net_sync(p);
	if (q == p->txl.q) {
		bool more = net_tx_run(p);

		net_pace_ran(p);
		return more;
	}
	net_rx_wake(p);
	return false;
}
