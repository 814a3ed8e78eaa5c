/* SPDX-License-Identifier: BSD-3-Clause */
#include <viodm/loop_event.h>

#include "loop_call.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

struct loop_event {
	struct vio_loop base;
	struct event_base *eb;
	struct event *call_ev;	/* the mailbox is readable */
	struct event *defer_ev; /* a timer of zero, armed while defers wait */
	struct loop_call call;
	struct defer_list defers;
};

static struct loop_event *to_event(struct vio_loop *loop)
{
	return vio_container_of(loop, struct loop_event, base);
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct vio_watch *w = arg;

	(void)fd;
	(void)what;
	w->on_ready(w);
}

static void on_call(evutil_socket_t fd, short what, void *arg)
{
	struct loop_event *le = arg;

	(void)fd;
	(void)what;
	loop_call_serve(&le->call);
}

static void defers_arm(struct loop_event *le)
{
	const struct timeval now = {0};

	event_add(le->defer_ev, &now);
}

static void on_defer(evutil_socket_t fd, short what, void *arg)
{
	struct loop_event *le = arg;

	(void)fd;
	(void)what;
	defer_list_run(&le->defers);
	if (le->defers.first)
		defers_arm(le);
}

static int event_watch(struct vio_loop *loop, struct vio_watch *w)
{
	short what = (w->writable ? EV_WRITE : EV_READ) | EV_PERSIST;
	struct event *ev;

	if (w->loop_data)
		return -EEXIST;
	ev = event_new(to_event(loop)->eb, w->fd, what, on_watch, w);
	if (!ev)
		return -ENOMEM;
	if (event_add(ev, NULL) < 0) {
		event_free(ev);
		return -EINVAL;
	}
	w->loop_data = ev;
	return 0;
}

static void event_unwatch(struct vio_loop *loop, struct vio_watch *w)
{
	(void)loop;
	if (w->loop_data)
		event_free(w->loop_data);
	w->loop_data = NULL;
}

static void event_defer(struct vio_loop *loop, struct vio_defer *d)
{
	struct loop_event *le = to_event(loop);

	defer_list_add(&le->defers, d);
	defers_arm(le);
}

static void event_cancel(struct vio_loop *loop, struct vio_defer *d)
{
	defer_list_remove(&to_event(loop)->defers, d);
}

static void event_call(struct vio_loop *loop, void (*fn)(void *arg), void *arg)
{
	loop_call_run(&to_event(loop)->call, fn, arg);
}

static void event_destroy(struct vio_loop *loop)
{
	struct loop_event *le = to_event(loop);

	if (le->defer_ev)
		event_free(le->defer_ev);
	if (le->call_ev)
		event_free(le->call_ev);
	loop_call_fini(&le->call);
	free(le);
}

static const struct vio_loop_ops event_ops = {
	.name = "event",
	.watch = event_watch,
	.unwatch = event_unwatch,
	.defer = event_defer,
	.cancel = event_cancel,
	.call = event_call,
	.destroy = event_destroy,
};

int vio_loop_event_create(struct event_base *base, struct vio_loop **out)
{
	struct loop_event *le = calloc(1, sizeof(*le));
	int r;

	if (!le)
		return -ENOMEM;
	le->base.ops = &event_ops;
	le->eb = base;
	defer_list_init(&le->defers);
	r = loop_call_init(&le->call);
	if (r < 0) {
		free(le);
		return r;
	}
	le->call_ev = event_new(base, le->call.fd, EV_READ | EV_PERSIST, on_call, le);
	le->defer_ev = event_new(base, -1, 0, on_defer, le);
	if (!le->call_ev || !le->defer_ev || event_add(le->call_ev, NULL) < 0) {
		event_destroy(&le->base);
		return -ENOMEM;
	}
	*out = &le->base;
	return 0;
}

void vio_loop_event_own(struct vio_loop *loop)
{
	loop_call_own(&to_event(loop)->call);
}
