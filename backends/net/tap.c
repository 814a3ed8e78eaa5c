/* SPDX-License-Identifier: BSD-3-Clause */
#include "tap.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <viodm/loop.h>

#define BATCH	64u /* frames before others on the loop have their turn */
#define MAX_IOV ((unsigned)IOV_MAX)

struct tap_queue {
	struct vio_port_queue base;
	struct vio_loop *loop;
	int fd;
	struct vio_watch readable;
	struct vio_watch writable;
	struct vio_watch links; /* of the first pair, if the port has it */
	struct vio_defer defer; /* tells that the interface is gone */
	bool on;		/* the device takes frames, and did not say it has no room */
	bool unselected;
	bool drains; /* unselected, but frames come all the same: they are read and dropped */
	bool gone;
	bool blocked; /* frames wait with the sender */
	struct iovec iov[IOV_MAX];
};

static struct tap_queue *to_queue(struct vio_port_queue *pq)
{
	return vio_container_of(pq, struct tap_queue, base);
}

/* The interface does not come back: nothing is watched any more, and what is sent is dropped. */
static void on_gone(struct vio_defer *defer)
{
	struct tap_queue *tq = vio_container_of(defer, struct tap_queue, defer);
	struct vio_port *port = tq->base.port;

	if (!atomic_exchange(&to_tap(port)->gone, true))
		vio_port_link(port, false);
	if (tq->blocked) {
		tq->blocked = false;
		tq->base.user->writable(&tq->base);
	}
}

/* Not told from here: we may be inside send or receive. */
static void tap_gone(struct tap_queue *tq)
{
	tq->gone = true;
	vio_loop_unwatch(tq->loop, &tq->readable);
	vio_loop_unwatch(tq->loop, &tq->writable);
	vio_loop_unwatch(tq->loop, &tq->links);
	vio_loop_defer(tq->loop, &tq->defer);
}

/*
 * Reads one frame into `room`. A frame is cut to the buffers it is read into without a word: the
 * one byte behind the room that got something shows which ones were too long. 1: there was one,
 * 0: none, or -errno.
 */
static int tap_read(struct tap_queue *tq, const struct vio_port_room *room)
{
	unsigned n = room->n_iov < MAX_IOV - 2 ? room->n_iov : MAX_IOV - 2;
	struct iovec *iov = tq->iov;
	size_t len = room->len;
	struct vio_frame_hdr hdr;
	uint8_t spill;
	ssize_t r;

	iov[0] = (struct iovec){&hdr, sizeof(hdr)};
	memcpy(iov + 1, room->iov, n * sizeof(*iov));
	iov[n + 1] = (struct iovec){&spill, sizeof(spill)};
	for (unsigned i = n; i < room->n_iov; i++)
		len -= room->iov[i].iov_len;
	r = readv(tq->fd, iov, (int)n + 2);
	if (r < 0 && errno == EFAULT)
		return 1; /* the driver's memory is gone, and a frame with it */
	if (r < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if ((size_t)r >= sizeof(hdr) && (size_t)r - sizeof(hdr) <= len) {
		hdr.num_buffers = 0;
		tq->base.user->received(&tq->base, &hdr, (size_t)r - sizeof(hdr));
	}
	return 1;
}

/* Reads what there is room for, up to a batch. */
static void tap_read_batch(struct tap_queue *tq)
{
	const struct vio_port_user *user = tq->base.user;
	struct vio_port_room room;
	unsigned n;
	int r = 1;

	for (n = 0; n < BATCH && tq->on && r > 0; n += r > 0) {
		if (user->room(&tq->base, &room))
			r = tap_read(tq, &room);
		else
			tq->on = false;
	}
	if (r < 0)
		tap_gone(tq);
	if (n > 0)
		user->flush(&tq->base);
}

/* Drops what waits, up to a batch. Of a frame nothing but its header is read. */
static void tap_drain(struct tap_queue *tq)
{
	struct vio_frame_hdr hdr;
	ssize_t r = 1;

	for (unsigned n = 0; n < BATCH && r > 0; n++)
		r = read(tq->fd, &hdr, sizeof(hdr));
	if (r < 0 && errno != EAGAIN && errno != EINTR)
		tap_gone(tq);
}

/* A disabled tap has an error to tell all the time. */
static void tap_watch(struct tap_queue *tq)
{
	bool reads = tq->unselected ? tq->drains : tq->on;

	if (!reads || tq->gone)
		vio_loop_unwatch(tq->loop, &tq->readable);
	else if (!tq->readable.loop_data && vio_loop_watch(tq->loop, &tq->readable) < 0)
		tap_gone(tq);
}

static void on_readable(struct vio_watch *watch)
{
	struct tap_queue *tq = vio_container_of(watch, struct tap_queue, readable);

	if (tq->unselected)
		tap_drain(tq);
	else
		tap_read_batch(tq);
	tap_watch(tq);
}

static void on_writable(struct vio_watch *watch)
{
	struct tap_queue *tq = vio_container_of(watch, struct tap_queue, writable);

	vio_loop_unwatch(tq->loop, watch);
	tq->blocked = false;
	tq->base.user->writable(&tq->base);
}

static void on_links(struct vio_watch *watch)
{
	struct tap_queue *tq = vio_container_of(watch, struct tap_queue, links);

	if (tap_deleted(to_tap(tq->base.port)))
		tap_gone(tq);
}

/* More pieces than the kernel takes at once. */
static ssize_t tap_write_flat(struct tap_queue *tq, const struct vio_frame *f)
{
	uint8_t flat[VIO_FRAME_MAX];
	size_t at = 0;

	if (f->len > sizeof(flat)) {
		errno = EMSGSIZE;
		return -1;
	}
	for (uint32_t i = 0; i < f->n_iov; i++) {
		if (f->iov[i].iov_len > 0)
			memcpy(flat + at, f->iov[i].iov_base, f->iov[i].iov_len);
		at += f->iov[i].iov_len;
	}
	tq->iov[1] = (struct iovec){flat, at};
	return writev(tq->fd, tq->iov, 2);
}

/* 0: the frame is sent, or dropped; -EAGAIN: not yet. */
static int tap_write(struct tap_queue *tq, const struct vio_frame *f)
{
	struct vio_frame_hdr hdr = f->hdr;
	ssize_t r;

	tq->iov[0] = (struct iovec){&hdr, sizeof(hdr)};
	if (f->n_iov < MAX_IOV) {
		memcpy(tq->iov + 1, f->iov, f->n_iov * sizeof(tq->iov[0]));
		r = writev(tq->fd, tq->iov, (int)f->n_iov + 1);
	} else {
		r = tap_write_flat(tq, f);
	}
	if (r >= 0)
		return 0;
	if (errno == EAGAIN)
		return -EAGAIN;
	if (errno == EBADFD && !tq->unselected)
		tap_gone(tq);
	return 0; /* EIO: the interface is down; EINVAL: the header; and so on */
}

static unsigned tap_send(struct vio_port_queue *pq, const struct vio_frame *frames, unsigned n)
{
	struct tap_queue *tq = to_queue(pq);
	unsigned i = 0;

	while (i < n && !tq->gone && tap_write(tq, &frames[i]) == 0)
		i++;
	if (i == n || tq->gone)
		return n;
	tq->blocked = true;
	if (!tq->writable.loop_data && vio_loop_watch(tq->loop, &tq->writable) < 0) {
		tq->blocked = false;
		return n; /* nobody would say when to go on */
	}
	return i;
}

static void tap_receive(struct vio_port_queue *pq, bool on)
{
	struct tap_queue *tq = to_queue(pq);
	bool was = tq->on;

	tq->on = on;
	if (on && !was && !tq->unselected && !tq->gone)
		tap_read_batch(tq);
	tap_watch(tq);
}

/*
 * NET-DEV-125, NET-DEV-126: what comes for a pair goes to another one, or is dropped, and does not
 * wait. An interface of one queue cannot be told so.
 */
static void tap_select(struct vio_port_queue *pq, bool on)
{
	struct tap_queue *tq = to_queue(pq);

	if (tq->unselected == !on)
		return;
	if (!on)
		tq->drains = tap_enable(to_tap(pq->port), pq->index, false) < 0;
	else if (!tq->drains)
		tap_enable(to_tap(pq->port), pq->index, true);
	else if (!tq->gone)
		tap_drain(tq);
	tq->unselected = !on;
	tap_watch(tq);
}

static int tap_attach(struct vio_port *port, uint16_t index, struct vio_loop *loop,
		      struct vio_port_queue **out)
{
	struct tap_port *tp = to_tap(port);
	struct tap_queue *tq;

	if (index >= tp->n)
		return -EINVAL;
	tq = calloc(1, sizeof(*tq));
	if (!tq)
		return -ENOMEM;
	tq->loop = loop;
	tq->fd = tp->fd[index];
	tq->gone = tp->gone;
	tq->readable = (struct vio_watch){.fd = tq->fd, .on_ready = on_readable};
	tq->writable = (struct vio_watch){.fd = tq->fd, .on_ready = on_writable, .writable = true};
	tq->links = (struct vio_watch){.fd = tp->links, .on_ready = on_links};
	tq->defer.run = on_gone;
	if (index == 0 && tp->links >= 0 && !tq->gone) {
		int r = vio_loop_watch(loop, &tq->links);

		if (r < 0) {
			free(tq);
			return r;
		}
	}
	if (index > 0)
		tap_enable(tp, index, true);
	*out = &tq->base;
	return 0;
}

static void tap_detach(struct vio_port_queue *pq)
{
	struct tap_queue *tq = to_queue(pq);

	vio_loop_unwatch(tq->loop, &tq->readable);
	vio_loop_unwatch(tq->loop, &tq->writable);
	vio_loop_unwatch(tq->loop, &tq->links);
	vio_loop_cancel(tq->loop, &tq->defer);
	/* Frames for the first pair wait for whoever attaches it next. */
	if (pq->index > 0 || (tq->unselected && !tq->drains))
		tap_enable(to_tap(pq->port), pq->index, pq->index == 0);
	free(tq);
}

const struct vio_port_ops tap_ops = {
	.name = "tap",
	.info = tap_info,
	.attach = tap_attach,
	.detach = tap_detach,
	.send = tap_send,
	.receive = tap_receive,
	.select = tap_select,
	.set_offloads = tap_set_offloads,
	.set_link = tap_set_link,
	.close = tap_close,
};
