/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_PORT_SHUTTLE_H
#define UNIT_PORT_SHUTTLE_H

/* What tests of ports on sockets send: batches of frames in pieces, on any loop. */

#include "port_peer.h"

#define MANY 400u

struct frames {
	struct vio_frame f[64];
	struct iovec iov[64][3];
	uint8_t data[64][VIO_FRAME_MAX];
};

static inline void frames_fill(struct frames *s, unsigned first, unsigned n, uint32_t max)
{
	memset(s->f, 0, sizeof(s->f));
	for (unsigned i = 0; i < n; i++) {
		uint32_t len = peer_len(first + i, max), a = (first + i) % 14, b = len / 3;

		peer_fill(s->data[i], len, first + i);
		a = a < b ? a : 0;
		s->iov[i][0] = (struct iovec){s->data[i], a};
		s->iov[i][1] = (struct iovec){s->data[i] + a, b - a};
		s->iov[i][2] = (struct iovec){s->data[i] + b, len - b};
		s->f[i].iov = s->iov[i];
		s->f[i].n_iov = 3;
		s->f[i].len = len;
	}
}

struct shuttle {
	struct vio_loop *loop;
	struct vio_port *port;
	struct port_user *u;
	struct frames s;
	unsigned sent;
	bool blocked;
	_Atomic unsigned got;
	bool bad;
};

static inline void shuttle_attach(void *arg)
{
	struct shuttle *t = arg;

	t->u = user_attach(t->port, t->loop, 0);
}

static inline void shuttle_detach(void *arg)
{
	struct shuttle *t = arg;

	user_detach(t->u);
}

/* Sends what can be sent, takes what has come. */
static inline void shuttle_step(void *arg)
{
	struct shuttle *t = arg;
	unsigned n = MANY - t->sent < 64 ? MANY - t->sent : 64, took;

	if (n > 0 && (!t->blocked || t->u->n_writable > 0)) {
		t->u->n_writable = 0;
		frames_fill(&t->s, t->sent, n, 1500);
		took = vio_port_send(t->u->pq, t->s.f, n);
		t->sent += took;
		t->blocked = took < n;
	}
	for (unsigned i = 0; i < t->u->n; i++, t->got++)
		t->bad |= !user_got(t->u, i, peer_len(t->got, 1500), t->got);
	user_drop(t->u);
	user_receive(t->u, 5);
}

#endif
