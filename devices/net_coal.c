/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Notifications Coalescing": used buffers are visible at once, the interrupt for them comes after
 * so many frames or so long.
 */
#include "net_internal.h"

/* Interrupts for all that was published since the last time. */
static void line_fire(struct net_line *l)
{
	uint16_t since = l->since;

	l->counted = 0;
	l->since = l->q->published;
	net_timer_set(&l->timer, 0, false);
	vio_device_notify(&l->pair->net->base, l->q, since);
}

static void on_timer(struct vio_watch *w)
{
	struct net_line *l = vio_container_of(w, struct net_line, timer);

	vio_event_take(w->fd);
	if (l->counted > 0)
		line_fire(l);
}

void net_line_coalesce(struct net_line *l, uint32_t frames)
{
	if (l->counted == 0)
		l->since = l->q->published;
	vio_device_show(&l->pair->net->base, l->q);
	if (frames == 0)
		return;
	if (l->counted == 0)
		net_timer_set(&l->timer, l->coal.max_usecs, false);
	l->counted += frames;
	/* Never more than the ring holds: the driver might have nothing left to go on with. */
	if (l->counted >= l->coal.max_packets || l->counted >= l->q->size)
		line_fire(l);
}

void net_line_set(struct net_line *l, const struct net_coal *coal)
{
	bool on = coal->max_packets > 0 && coal->max_usecs > 0;

	if (on && l->timer.fd < 0 && net_timer_open(l->pair->loop, &l->timer) < 0)
		on = false; /* more interrupts than asked for are allowed */
	l->coal = on ? *coal : (struct net_coal){0};
	/* "Notifications When Coalescing Parameters Change" */
	if (l->counted > 0) {
		if (!on || l->counted >= coal->max_packets)
			line_fire(l);
		else
			net_timer_set(&l->timer, coal->max_usecs, false);
	}
}

void net_line_init(struct net_line *l, struct net_pair *p, struct vio_queue *q)
{
	*l = (struct net_line){.q = q, .pair = p, .timer = {.fd = -1, .on_ready = on_timer}};
}

void net_line_fini(struct net_line *l)
{
	if (l->counted > 0)
		line_fire(l);
	net_timer_close(l->pair->loop, &l->timer);
	l->q = NULL;
}
