/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Timers of microseconds on any loop.
 */
#include "net_internal.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

int net_timer_open(struct vio_loop *loop, struct vio_watch *w)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	w->fd = fd;
	r = vio_loop_watch(loop, w);
	if (r < 0) {
		close(fd);
		w->fd = -1;
	}
	return r;
}

void net_timer_close(struct vio_loop *loop, struct vio_watch *w)
{
	if (w->fd < 0)
		return;
	vio_loop_unwatch(loop, w);
	close(w->fd);
	w->fd = -1;
}

void net_timer_set(const struct vio_watch *w, uint32_t usecs, bool again)
{
	const struct timespec ts = {usecs / 1000000, usecs % 1000000 * 1000};
	struct itimerspec t = {.it_value = ts};

	if (again)
		t.it_interval = ts;
	timerfd_settime(w->fd, 0, &t, NULL);
}
