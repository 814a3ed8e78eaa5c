/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libslirp wants to be asked before each sleep what it waits for, and to be told after it what
 * happened. Its descriptors are in one epoll descriptor, which the loop watches; what it waits for
 * is asked again after each call that can have changed it, and the difference goes to epoll. Its
 * timers and its idea of how long to sleep are one timerfd.
 */
#include "user.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 64

static const struct {
	int slirp;
	uint32_t epoll;
} event_map[] = {
	{SLIRP_POLL_IN, EPOLLIN},   {SLIRP_POLL_OUT, EPOLLOUT}, {SLIRP_POLL_PRI, EPOLLPRI},
	{SLIRP_POLL_ERR, EPOLLERR}, {SLIRP_POLL_HUP, EPOLLHUP},
};

/* ---- signals -----------------------------------------------------------------------------------
 */

void user_signals_hold(struct user_signals *s)
{
	sigset_t pipe, pending;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sigpending(&pending);
	s->was_pending = sigismember(&pending, SIGPIPE) == 1;
	pthread_sigmask(SIG_BLOCK, &pipe, &s->old);
}

void user_signals_release(const struct user_signals *s)
{
	const struct timespec now = {0};
	sigset_t pipe;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	if (!s->was_pending)
		while (sigtimedwait(&pipe, NULL, &now) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &s->old, NULL);
}

/* ---- descriptors -------------------------------------------------------------------------------
 */

/* The entry of a descriptor, or NULL. */
static struct user_fd *fd_entry(struct user_port *up, int fd)
{
	unsigned n = up->n_fds;
	struct user_fd *fds;

	if (fd < 0)
		return NULL;
	if ((unsigned)fd < n)
		return &up->fds[fd];
	n = (unsigned)fd + 64;
	fds = realloc(up->fds, n * sizeof(*fds));
	if (!fds)
		return NULL;
	memset(fds + up->n_fds, 0, (n - up->n_fds) * sizeof(*fds));
	up->fds = fds;
	up->n_fds = n;
	return &fds[fd];
}

static void fd_forget(struct user_port *up, int fd)
{
	epoll_ctl(up->epoll.fd, EPOLL_CTL_DEL, fd, NULL); /* fails when it is closed already */
	up->fds[fd].events = 0;
}

static bool fd_want(struct user_port *up, int fd, struct user_fd *entry, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	if (entry->events == events)
		return true;
	if (epoll_ctl(up->epoll.fd, EPOLL_CTL_ADD, fd, &ev) < 0 &&
	    (errno != EEXIST || epoll_ctl(up->epoll.fd, EPOLL_CTL_MOD, fd, &ev) < 0))
		return false;
	entry->events = events;
	return true;
}

static int poll_slot(struct user_port *up)
{
	unsigned cap = up->poll_cap ? up->poll_cap * 2 : 16;
	struct user_poll *p;

	if (up->n_poll == up->poll_cap) {
		p = realloc(up->poll, cap * sizeof(*p));
		if (!p)
			return -1;
		up->poll = p;
		up->poll_cap = cap;
	}
	up->poll[up->n_poll].revents = 0;
	return (int)up->n_poll++;
}

static int on_add_poll(int fd, int wanted, void *opaque)
{
	struct user_port *up = opaque;
	struct user_fd *entry = fd_entry(up, fd);
	uint32_t events = 0;
	int index;

	if (!entry)
		return -1;
	/* A forward's own socket: whoever connects there waits while too many are open. */
	if (!entry->ours && up->n_sockets >= up->max_sockets)
		return -1;
	for (unsigned i = 0; i < VIO_ARRAY_LEN(event_map); i++)
		if (wanted & event_map[i].slirp)
			events |= event_map[i].epoll;
	index = poll_slot(up);
	if (index < 0 || !fd_want(up, fd, entry, events))
		return -1;
	entry->round = up->round;
	entry->index = (unsigned)index;
	return index;
}

static int on_get_revents(int index, void *opaque)
{
	struct user_port *up = opaque;
	int revents;

	if (index < 0 || (unsigned)index >= up->n_poll)
		return 0;
	revents = up->poll[index].revents;
	up->poll[index].revents = 0; /* told once */
	return revents;
}

static void on_register(int fd, void *opaque)
{
	struct user_port *up = opaque;
	struct user_fd *entry = fd_entry(up, fd);

	if (entry && !entry->ours) {
		entry->ours = true;
		up->n_sockets++;
	}
}

/* Before it is closed. */
static void on_unregister(int fd, void *opaque)
{
	struct user_port *up = opaque;

	if (fd < 0 || (unsigned)fd >= up->n_fds)
		return;
	fd_forget(up, fd);
	if (up->fds[fd].ours) {
		up->fds[fd].ours = false;
		up->n_sockets--;
	}
}

/* ---- time --------------------------------------------------------------------------------------
 */

static int64_t on_clock(void *opaque)
{
	(void)opaque;
	return (int64_t)vio_now_ns();
}

static int64_t now_ms(void)
{
	return on_clock(NULL) / 1000000;
}

static void *on_timer_new(SlirpTimerCb cb, void *cb_opaque, void *opaque)
{
	struct user_port *up = opaque;
	struct user_timer *t = malloc(sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct user_timer){cb, cb_opaque, INT64_MAX, up->timers};
	up->timers = t;
	return t;
}

static void on_timer_free(void *timer, void *opaque)
{
	struct user_port *up = opaque;
	struct user_timer **link = &up->timers;

	while (*link && *link != timer)
		link = &(*link)->next;
	if (*link)
		*link = (*link)->next;
	free(timer);
}

static void on_timer_mod(void *timer, int64_t when_ms, void *opaque)
{
	struct user_timer *t = timer;

	if (!t)
		return;
	t->when_ms = when_ms;
	user_poll_changed(opaque);
}

static void timers_run(struct user_port *up)
{
	int64_t now = now_ms();

	for (struct user_timer *t = up->timers; t; t = t->next) {
		if (t->when_ms > now)
			continue;
		t->when_ms = INT64_MAX;
		t->cb(t->opaque);
	}
}

/* Wakes us in `timeout` ms (UINT32_MAX: never), or when the next timer is due. */
static void timer_set(struct user_port *up, uint32_t timeout)
{
	int64_t when = timeout == UINT32_MAX ? INT64_MAX : now_ms() + timeout;
	struct itimerspec its = {0};

	for (struct user_timer *t = up->timers; t; t = t->next)
		if (t->when_ms < when)
			when = t->when_ms;
	if (when != INT64_MAX) {
		when = when < 1 ? 1 : when; /* zero would disarm it */
		its.it_value.tv_sec = when / 1000;
		its.it_value.tv_nsec = when % 1000 * 1000000;
	}
	timerfd_settime(up->timer.fd, TFD_TIMER_ABSTIME, &its, NULL);
}

/* ---- the loop ----------------------------------------------------------------------------------
 */

/* Asks libslirp what it waits for. */
static void user_poll_fill(struct user_port *up)
{
	uint32_t timeout = UINT32_MAX;

	vio_loop_cancel(up->loop, &up->refill);
	up->round++;
	up->n_poll = 0;
	slirp_pollfds_fill(up->slirp, &timeout, on_add_poll, up);
	for (unsigned fd = 0; fd < up->n_fds; fd++)
		if (up->fds[fd].events && up->fds[fd].round != up->round)
			fd_forget(up, (int)fd);
	timer_set(up, timeout);
}

static void on_refill(struct vio_defer *d)
{
	user_poll_fill(vio_container_of(d, struct user_port, refill));
}

void user_poll_changed(struct user_port *up)
{
	if (up->loop)
		vio_loop_defer(up->loop, &up->refill);
}

/*
 * libslirp looks at the clock only when it is told what happened. After a quiet time, and at first,
 * a UDP socket that a frame opens would be as old as that: the next look ends it, before its
 * answer.
 */
#define CLOCK_MS 1000

void user_poll_clock(struct user_port *up)
{
	int64_t now = now_ms();

	if (now - up->told_ms < CLOCK_MS)
		return;
	up->told_ms = now;
	slirp_pollfds_poll(up->slirp, 1, on_get_revents, up); /* 1: nothing but the time */
}

/* Tells libslirp what happened. */
static void user_poll_tell(struct user_port *up)
{
	struct user_signals signals;

	user_signals_hold(&signals);
	timers_run(up);
	up->told_ms = now_ms();
	slirp_pollfds_poll(up->slirp, 0, on_get_revents, up);
	user_signals_release(&signals);
	if (!up->loop)
		return; /* detached from inside deliver() */
	user_poll_fill(up);
	user_flush(up);
}

static void user_poll_event(struct user_port *up, const struct epoll_event *ev)
{
	const struct user_fd *entry = &up->fds[ev->data.fd];

	if (entry->round != up->round)
		return;
	for (unsigned i = 0; i < VIO_ARRAY_LEN(event_map); i++)
		if (ev->events & event_map[i].epoll)
			up->poll[entry->index].revents |= event_map[i].slirp;
}

static void on_epoll(struct vio_watch *w)
{
	struct user_port *up = vio_container_of(w, struct user_port, epoll);
	struct epoll_event ev[EVENTS];
	int n = epoll_wait(w->fd, ev, EVENTS, 0);

	for (int i = 0; i < n; i++)
		user_poll_event(up, &ev[i]);
	if (n > 0)
		user_poll_tell(up);
}

static void on_timer(struct vio_watch *w)
{
	uint64_t count;

	if (read(w->fd, &count, sizeof(count)) > 0)
		user_poll_tell(vio_container_of(w, struct user_port, timer));
}

static void on_notify(void *opaque)
{
	user_poll_changed(opaque);
}

const SlirpCb user_callbacks = {
	.send_packet = user_send_packet,
	.guest_error = user_guest_error,
	.clock_get_ns = on_clock,
	.timer_new = on_timer_new,
	.timer_free = on_timer_free,
	.timer_mod = on_timer_mod,
	.register_poll_fd = on_register,
	.unregister_poll_fd = on_unregister,
	.notify = on_notify,
};

int user_poll_init(struct user_port *up)
{
	up->epoll = (struct vio_watch){.on_ready = on_epoll, .fd = epoll_create1(EPOLL_CLOEXEC)};
	if (up->epoll.fd < 0)
		return -errno;
	up->timer = (struct vio_watch){
		.on_ready = on_timer,
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
	};
	if (up->timer.fd < 0) {
		int r = -errno;

		close(up->epoll.fd);
		return r;
	}
	up->refill.run = on_refill;
	return 0;
}

void user_poll_fini(struct user_port *up)
{
	close(up->timer.fd);
	close(up->epoll.fd);
	free(up->poll);
	free(up->fds);
}

int user_poll_attach(struct user_port *up)
{
	int r = vio_loop_watch(up->loop, &up->epoll);

	if (r < 0)
		return r;
	r = vio_loop_watch(up->loop, &up->timer);
	if (r < 0) {
		vio_loop_unwatch(up->loop, &up->epoll);
		return r;
	}
	user_poll_changed(up);
	return 0;
}

void user_poll_detach(struct user_port *up)
{
	vio_loop_unwatch(up->loop, &up->epoll);
	vio_loop_unwatch(up->loop, &up->timer);
	vio_loop_cancel(up->loop, &up->refill);
}
