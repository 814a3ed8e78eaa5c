/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_PORT_USER_H
#define UNIT_PORT_USER_H

/*
 * What stands over a port in its tests, in place of a network device: takes frames while it has
 * room for them, keeps them, and checks that the port keeps to the contract.
 */

#include <stdlib.h>
#include <string.h>
#include <viodm/loop_manual.h>
#include <viodm/port.h>

#include "suite.h"

#define USER_KEEP 1024u /* frames kept; the test takes them off by setting n to 0 */

struct user_frame {
	struct vio_frame_hdr hdr;
	uint32_t len;
	uint8_t *data;
};

struct port_user {
	struct vio_port *port;
	struct vio_port_queue *pq;
	struct vio_loop *loop;
	unsigned room;	   /* frames it takes yet */
	size_t room_len;   /* bytes of each */
	unsigned room_cut; /* the room is this many buffers */
	struct user_frame got[USER_KEEP];
	unsigned n;
	unsigned n_flush, n_writable;
	bool on;      /* may be called about frames */
	bool refused; /* said there is no room: may not be called until receive(on) */
	bool unflushed;
	uint8_t buf[VIO_FRAME_MAX];
	struct iovec iov[8];
};

static inline struct port_user *to_user(struct vio_port_queue *pq)
{
	return pq->user_data;
}

static inline void user_keep(struct port_user *u, const struct vio_frame_hdr *hdr,
			     const uint8_t *data, size_t len)
{
	struct user_frame *f = &u->got[u->n];

	CU_ASSERT_FATAL(u->n < USER_KEEP);
	*f = (struct user_frame){.hdr = *hdr, .len = (uint32_t)len, .data = malloc(len + 1)};
	CU_ASSERT_FATAL(f->data != NULL);
	memcpy(f->data, data, len);
	u->n++;
	u->room--;
	u->unflushed = true;
}

static inline bool user_room(struct vio_port_queue *pq, struct vio_port_room *room)
{
	struct port_user *u = to_user(pq);
	size_t piece = u->room_len / (u->room_cut ? u->room_cut : 1), at = 0;
	uint32_t n = 0;

	CU_ASSERT(u->on && !u->refused);
	if (u->room == 0) {
		u->refused = true;
		return false;
	}
	while (n + 1 < u->room_cut) {
		u->iov[n++] = (struct iovec){u->buf + at, piece};
		at += piece;
	}
	u->iov[n++] = (struct iovec){u->buf + at, u->room_len - at};
	*room = (struct vio_port_room){.iov = u->iov, .n_iov = n, .len = u->room_len};
	return true;
}

static inline void user_received(struct vio_port_queue *pq, const struct vio_frame_hdr *hdr,
				 size_t len)
{
	struct port_user *u = to_user(pq);

	CU_ASSERT(u->on && !u->refused);
	CU_ASSERT_FATAL(u->room > 0 && len <= u->room_len);
	user_keep(u, hdr, u->buf, len);
}

static inline unsigned user_deliver(struct vio_port_queue *pq, const struct vio_frame *frames,
				    unsigned n)
{
	struct port_user *u = to_user(pq);

	CU_ASSERT(u->on && !u->refused);
	for (unsigned i = 0; i < n; i++) {
		size_t at = 0;

		if (u->room == 0) {
			u->refused = true;
			return i;
		}
		CU_ASSERT_FATAL(frames[i].len <= VIO_FRAME_MAX);
		for (uint32_t k = 0; k < frames[i].n_iov; k++) {
			memcpy(u->buf + at, frames[i].iov[k].iov_base, frames[i].iov[k].iov_len);
			at += frames[i].iov[k].iov_len;
		}
		CU_ASSERT_EQUAL(at, frames[i].len);
		if (at <= u->room_len)
			user_keep(u, &frames[i].hdr, u->buf, at);
	}
	return n;
}

static inline void user_flush(struct vio_port_queue *pq)
{
	to_user(pq)->unflushed = false;
	to_user(pq)->n_flush++;
}

static inline void user_writable(struct vio_port_queue *pq)
{
	to_user(pq)->n_writable++;
}

static const struct vio_port_user port_user = {
	.room = user_room,
	.received = user_received,
	.deliver = user_deliver,
	.flush = user_flush,
	.writable = user_writable,
};

/* Attaches a new user to pair `index`; it does not receive yet. */
static inline struct port_user *user_attach(struct vio_port *port, struct vio_loop *loop,
					    uint16_t index)
{
	struct port_user *u = calloc(1, sizeof(*u));

	CU_ASSERT_FATAL(u != NULL);
	u->port = port;
	u->loop = loop;
	u->room_len = VIO_FRAME_MAX;
	MUST(vio_port_attach(port, index, loop, &port_user, u, &u->pq));
	return u;
}

/* Forgets the frames it has kept. */
static inline void user_drop(struct port_user *u)
{
	while (u->n > 0)
		free(u->got[--u->n].data);
}

static inline void user_detach(struct port_user *u)
{
	vio_port_detach(u->pq);
	user_drop(u);
	free(u);
}

/* Room for `room` frames from now on. */
static inline void user_receive(struct port_user *u, unsigned room)
{
	u->room = room;
	u->refused = false;
	u->on = true;
	vio_port_receive(u->pq, true);
}

static inline void user_off(struct port_user *u)
{
	u->on = false;
	vio_port_receive(u->pq, false);
}

/* Runs the loop until nothing is left to do. Each turn must leave the batch flushed. */
static inline void user_settle(struct port_user *u)
{
	for (unsigned i = 0; i < 1000 && vio_loop_manual_run(u->loop, 0) > 0; i++)
		CU_ASSERT_FALSE(u->unflushed);
}

/* Runs the loop until `n` frames have come, for two seconds at most. True: they have. */
static inline bool user_wait(struct port_user *u, unsigned n)
{
	for (unsigned i = 0; i < 200 && u->n < n; i++)
		vio_loop_manual_run(u->loop, 10);
	CU_ASSERT_FALSE(u->unflushed);
	return u->n >= n;
}

/* Sends one frame of these bytes. True: it was taken. */
static inline bool user_send(struct port_user *u, const void *data, size_t len)
{
	union {
		const void *in;
		void *out;
	} p = {.in = data};
	struct iovec iov = {p.out, len};
	struct vio_frame f = {.iov = &iov, .n_iov = 1, .len = (uint32_t)len};

	return vio_port_send(u->pq, &f, 1) == 1;
}

#endif
