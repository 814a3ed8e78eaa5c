/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings: their three states, and the descriptors that events go through.
 */
#include "vhost_user_internal.h"

#include <fcntl.h>
#include <linux/virtio_config.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- event descriptors -------------------------------------------------------------------------
 */

/*
 * Kicks come through an eventfd only: anything else can be readable for ever, and a loop that
 * waits for it would spin. Nothing but an eventfd is an anonymous file that takes 8 bytes of 0.
 */
static bool is_eventfd(int fd)
{
	uint64_t zero = 0;
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == 0 &&
	       write(fd, &zero, sizeof(zero)) == sizeof(zero);
}

/* Interrupts may also go into a pipe or, from User Mode Linux, a socket. */
static bool is_pipe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

static bool set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_NONBLOCK || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
}

/* For a pipe whose reader may be gone: the signal is taken back, since it is this thread's. */
static void signal_pipe(int fd)
{
	const struct timespec now = {0};
	sigset_t sigpipe, old, pending;
	bool was_pending;

	sigemptyset(&sigpipe);
	sigaddset(&sigpipe, SIGPIPE);
	sigpending(&pending);
	was_pending = sigismember(&pending, SIGPIPE) == 1;
	pthread_sigmask(SIG_BLOCK, &sigpipe, &old);
	vio_event_signal(fd); /* a closed pipe is the front-end's loss */
	if (!was_pending)
		while (sigtimedwait(&sigpipe, NULL, &now) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void ring_call(struct vhu_ring *r)
{
	if (r->call_pipe)
		signal_pipe(r->call_fd);
	else
		vio_event_signal(r->call_fd);
}

void vhu_ring_interrupt(struct vhu_ring *r)
{
	if (r->call_on) {
		ring_call(r);
		return;
	}
	r->call_missed = true;
	/* A descriptor came just now, and may have come before we said so. */
	if (r->call_on && atomic_exchange(&r->call_missed, false))
		ring_call(r);
}

void vhu_rings_signal_error(struct vio_vhost_user *vu)
{
	for (uint16_t i = 0; i < vu->n_rings; i++) {
		struct vhu_ring *r = &vu->rings[i];

		if (r->err_fd >= 0 && r->state != VHU_STOPPED)
			signal_pipe(r->err_fd);
	}
}

/* ---- starting and stopping ---------------------------------------------------------------------
 */

void vhu_rings_init(struct vio_vhost_user *vu)
{
	for (uint16_t i = 0; i < vu->n_rings; i++) {
		struct vhu_ring *r = &vu->rings[i];

		r->index = i;
		r->kick_fd = r->err_fd = -1;
		r->call_fd = -1;
	}
}

bool vhu_rings_running(const struct vio_vhost_user *vu)
{
	for (uint16_t i = 0; i < vu->n_rings; i++)
		if (vu->rings[i].state == VHU_RUNNING)
			return true;
	return false;
}

void vhu_ring_pause(struct vio_vhost_user *vu, struct vhu_ring *r)
{
	if (r->state != VHU_RUNNING)
		return;
	r->base = r->end = vio_device_queue_disable(vu->base.dev, r->index);
	r->state = VHU_DISABLED;
}

void vhu_rings_pause(struct vio_vhost_user *vu)
{
	for (uint16_t i = 0; i < vu->n_rings; i++)
		vhu_ring_pause(vu, &vu->rings[i]);
}

static bool ring_translate(const struct vhu_table *t, const struct vhu_ring *r, uint64_t gpa[3])
{
	return vhu_mem_translate(t, r->addr.desc, &gpa[0]) &&
	       vhu_mem_translate(t, r->addr.avail, &gpa[1]) &&
	       vhu_mem_translate(t, r->addr.used, &gpa[2]);
}

bool vhu_rings_follow(struct vio_vhost_user *vu, const struct vhu_table *next)
{
	bool all_there = true;

	for (uint16_t i = 0; i < vu->n_rings; i++) {
		struct vhu_ring *r = &vu->rings[i];
		uint64_t gpa[3];

		if (r->state != VHU_RUNNING)
			continue;
		if (!ring_translate(next, r, gpa))
			all_there = false;
		else if (memcmp(gpa, r->gpa, sizeof(gpa)))
			vhu_ring_pause(vu, r);
	}
	return all_there;
}

/* "Device Initialization", as far as the front-end's driver did it and we are not told of it. */
static int go_live(struct vio_vhost_user *vu)
{
	int r = vhu_negotiate(vu);

	if (r < 0)
		return r;
	if (!vu->status_driven)
		vhu_driver_ok(vu);
	return 0;
}

static void set_address(struct vio_device *dev, uint16_t index, enum vio_queue_field lo,
			uint64_t gpa)
{
	vio_device_queue_set(dev, index, lo, (uint32_t)gpa);
	vio_device_queue_set(dev, index, lo + 1, (uint32_t)(gpa >> 32));
}

static int ring_run(struct vio_vhost_user *vu, struct vhu_ring *r)
{
	struct vio_device *dev = vu->base.dev;
	struct vio_queue_config cfg = {.size = (uint16_t)r->size};
	struct vio_queue_regs regs;

	if (!ring_translate(&vu->table, r, r->gpa))
		return vhu_bad(vu, "ring outside guest memory");
	cfg.desc_gpa = r->gpa[0];
	cfg.driver_gpa = r->gpa[1];
	cfg.device_gpa = r->gpa[2];
	if (vio_queue_check(vu->mem, &cfg) < 0)
		return vhu_bad(vu, "ring misaligned or outside guest memory");
	if (vhu_inflight_give(vu, r) < 0 || go_live(vu) < 0)
		return -EPROTO;
	vio_device_queue_set(dev, r->index, VIO_QUEUE_SIZE, r->size);
	set_address(dev, r->index, VIO_QUEUE_DESC_LO, r->gpa[0]);
	set_address(dev, r->index, VIO_QUEUE_DRIVER_LO, r->gpa[1]);
	set_address(dev, r->index, VIO_QUEUE_DEVICE_LO, r->gpa[2]);
	vio_device_queue_set(dev, r->index, VIO_QUEUE_NEXT_AVAIL, r->base);
	vio_device_queue_enable(dev, r->index);
	vio_device_queue_get(dev, r->index, &regs);
	if (!regs.enabled)
		return vhu_bad(vu, "ring cannot be enabled");
	r->state = VHU_RUNNING;
	return 0;
}

int vhu_ring_settle(struct vio_vhost_user *vu, struct vhu_ring *r)
{
	bool enabled = r->enabled || !(vu->features & VHU_F_PROTOCOL);

	if (r->state != VHU_DISABLED || !enabled || !r->have_addr || r->size == 0 ||
	    vu->table.n == 0 || vio_device_failed(vu->base.dev))
		return 0;
	return ring_run(vu, r);
}

int vhu_rings_settle(struct vio_vhost_user *vu)
{
	int ret = 0;

	for (uint16_t i = 0; i < vu->n_rings && ret == 0; i++)
		ret = vhu_ring_settle(vu, &vu->rings[i]);
	return ret;
}

static void drop_kick(struct vio_vhost_user *vu, struct vhu_ring *r)
{
	if (r->kick_fd < 0)
		return;
	vio_device_queue_set_kick_fd(vu->base.dev, r->index, -1);
	close(r->kick_fd);
	r->kick_fd = -1;
}

void vhu_ring_stop(struct vio_vhost_user *vu, struct vhu_ring *r)
{
	vhu_ring_pause(vu, r);
	drop_kick(vu, r);
	r->state = VHU_STOPPED;
}

void vhu_rings_reset(struct vio_vhost_user *vu)
{
	for (uint16_t i = 0; i < vu->n_rings; i++) {
		struct vhu_ring *r = &vu->rings[i];

		r->state = VHU_STOPPED; /* the reset took the queue from the device */
		drop_kick(vu, r);
		r->enabled = r->have_addr = false;
		r->size = 0;
		r->base = 0;
	}
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void vhu_rings_close(struct vio_vhost_user *vu)
{
	for (uint16_t i = 0; i < vu->n_rings; i++) {
		struct vhu_ring *r = &vu->rings[i];
		int call_fd = r->call_fd;

		r->call_on = r->call_missed = r->call_pipe = false;
		r->call_fd = -1;
		close_fd(&call_fd);
		close_fd(&r->err_fd);
		r->end = 0;
	}
}

/* ---- setting descriptors -----------------------------------------------------------------------
 */

int vhu_ring_set_kick(struct vio_vhost_user *vu, struct vhu_ring *r, int fd)
{
	if (!set_nonblock(fd) || !is_eventfd(fd)) {
		close(fd);
		return vhu_bad(vu, "kick descriptor is no eventfd");
	}
	vhu_ring_stop(vu, r);
	r->kick_fd = fd;
	vio_device_queue_set_kick_fd(vu->base.dev, r->index, fd);
	r->state = VHU_DISABLED;
	return 0;
}

/* Puts `fd` under the number that interrupts use, and closes it under its own. */
static int replace_call(struct vio_vhost_user *vu, struct vhu_ring *r, int fd)
{
	int call_fd = r->call_fd, moved;

	if (call_fd < 0) {
		r->call_fd = fd;
		return 0;
	}
	moved = dup3(fd, call_fd, O_CLOEXEC);
	close(fd);
	return moved < 0 ? vhu_bad(vu, "descriptor cannot be moved") : 0;
}

static int call_off(struct vio_vhost_user *vu, struct vhu_ring *r)
{
	r->call_on = false;
	if (r->call_fd < 0 || dup3(vu->null_fd, r->call_fd, O_CLOEXEC) >= 0)
		return 0;
	return vhu_bad(vu, "descriptor cannot be moved");
}

int vhu_ring_set_call(struct vio_vhost_user *vu, struct vhu_ring *r, int fd)
{
	bool pipe = is_pipe(fd);
	int ret;

	if (fd < 0)
		return call_off(vu, r);
	if (!set_nonblock(fd) || (!pipe && !is_eventfd(fd))) {
		close(fd);
		return vhu_bad(vu, "call descriptor is no eventfd, pipe or socket");
	}
	/* Nobody may take a pipe for an eventfd, not even in passing. */
	if (pipe && !r->call_pipe)
		vhu_ring_pause(vu, r);
	if (r->state != VHU_RUNNING)
		r->call_pipe = pipe;
	ret = replace_call(vu, r, fd);
	if (ret < 0)
		return ret;
	r->call_on = true;
	if (atomic_exchange(&r->call_missed, false))
		ring_call(r);
	return vhu_ring_settle(vu, r);
}

int vhu_ring_set_err(struct vio_vhost_user *vu, struct vhu_ring *r, int fd)
{
	close_fd(&r->err_fd);
	if (fd < 0)
		return 0;
	if (!set_nonblock(fd) || (!is_pipe(fd) && !is_eventfd(fd))) {
		close(fd);
		return vhu_bad(vu, "error descriptor is no eventfd, pipe or socket");
	}
	r->err_fd = fd;
	return 0;
}
