/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_STREAM_FIX_H
#define UNIT_STREAM_FIX_H

/*
 * A stream port and our end of its socket.
 */

#include "port_shuttle.h"

#define PATH	  "port-stream-test.sock"
#define LEN_SIZE  4u
#define TEST_IOVS 1100u

struct fix {
	struct vio_loop *loop;
	struct vio_port *port;
	struct port_user *u;
	struct peer_log log;
	struct peer_link link;
	int peer; /* our end */
};

static inline void fix_attach(struct fix *f)
{
	f->port->user = &f->link;
	f->port->on_link = peer_on_link;
	f->u = user_attach(f->port, f->loop, 0);
}

/* A port on one end of a pair; we have the other. */
static inline void fix_open(struct fix *f)
{
	struct vio_port_stream_config cfg = {0};
	int fd[2];

	memset(f, 0, sizeof(*f));
	peer_log_init(&f->log);
	peer_pair(SOCK_STREAM, fd);
	cfg.fd = fd[0];
	cfg.log = &f->log.log;
	f->peer = fd[1];
	MUST(vio_loop_manual_create(&f->loop));
	MUST(vio_port_stream_open(&cfg, &f->port));
	fix_attach(f);
}

static inline void fix_open_path(struct fix *f, bool server, unsigned reconnect_ms)
{
	struct vio_port_stream_config cfg = {
		.path = PATH, .server = server, .reconnect_ms = reconnect_ms, .log = &f->log.log};

	memset(f, 0, sizeof(*f));
	peer_log_init(&f->log);
	f->peer = -1;
	MUST(vio_loop_manual_create(&f->loop));
	MUST(vio_port_stream_open(&cfg, &f->port));
	fix_attach(f);
}

static inline void fix_close(struct fix *f)
{
	user_detach(f->u);
	CU_ASSERT_EQUAL(vio_loop_manual_run(f->loop, 0), 0);
	vio_port_close(f->port);
	vio_loop_destroy(f->loop);
	if (f->peer >= 0)
		close(f->peer);
}

/* Appends a frame with its length; returns the new end. */
static inline size_t put_frame(uint8_t *buf, size_t at, uint32_t len, unsigned seq)
{
	uint32_t be = htobe32(len);

	memcpy(buf + at, &be, LEN_SIZE);
	peer_fill(buf + at + LEN_SIZE, len, seq);
	return at + LEN_SIZE + len;
}

static inline void peer_write(int fd, const void *data, size_t len)
{
	CU_ASSERT_EQUAL_FATAL(send(fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

static inline bool peer_sees_end(int fd)
{
	char c;

	return recv(fd, &c, 1, 0) == 0 || errno == ECONNRESET;
}

#endif
