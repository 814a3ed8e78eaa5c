/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Notifications Coalescing": used buffers are visible at once, the interrupt for them comes after
 * so many frames or so long.
 */
#include "net_internal.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void timer_set(struct net_line *l, uint32_t usecs)
{
	struct itimerspec t = {
		.it_value = {.tv_sec = usecs / 1000000, .tv_nsec = usecs % 1000000 * 1000}};

	timerfd_settime(l->timer.fd, 0, &t, NULL);
}

/* Interrupts for all that was published since the last time. */
static void line_fire(struct net_line *l)
{
	uint16_t since = l->since;

	l->counted = 0;
	l->since = l->q->published;
	timer_set(l, 0);
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
		timer_set(l, l->coal.max_usecs);
	l->counted += frames;
	/* Never more than the ring holds: the driver might have nothing left to go on with. */
	if (l->counted >= l->coal.max_packets || l->counted >= l->q->size)
		line_fire(l);
}

static int timer_open(struct net_line *l)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	l->timer.fd = fd;
	l->timer.on_ready = on_timer;
	r = vio_loop_watch(l->pair->loop, &l->timer);
	if (r < 0) {
		close(fd);
		l->timer.fd = -1;
	}
	return r;
}

void net_line_set(struct net_line *l, const struct net_coal *coal)
{
	bool on = coal->max_packets > 0 && coal->max_usecs > 0;

	if (on && l->timer.fd < 0 && timer_open(l) < 0)
		on = false; /* more interrupts than asked for are allowed */
	l->coal = on ? *coal : (struct net_coal){0};
	/* "Notifications When Coalescing Parameters Change" */
	if (l->counted > 0) {
		if (!on || l->counted >= coal->max_packets)
			line_fire(l);
		else
			timer_set(l, coal->max_usecs);
	}
}

void net_line_init(struct net_line *l, struct net_pair *p, struct vio_queue *q)
{
	*l = (struct net_line){.q = q, .pair = p, .timer.fd = -1};
}

void net_line_fini(struct net_line *l)
{
	if (l->counted > 0)
		line_fire(l);
	if (l->timer.fd >= 0) {
		vio_loop_unwatch(l->pair->loop, &l->timer);
		close(l->timer.fd);
	}
	l->timer.fd = -1;
	l->q = NULL;
}
