/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_NET_USER_H
#define VIODM_NET_USER_H

/*
 * What the files of the user port share. Not installed.
 *
 *   user.c         the port: frames in and out, attach and detach
 *   user_poll.c    what libslirp wants of an event loop: descriptors and timers
 *   user_config.c  addresses and forwards, from text
 */

#include <slirp/libslirp.h>
#include <stdatomic.h>

#include <viodm/loop.h>
#include <viodm/port_user.h>

#include "frame_buf.h"
#include "sock.h"

/* A descriptor of libslirp's, at its number. */
struct user_fd {
	bool ours;	 /* made for the device: counts against max_sockets */
	uint32_t events; /* what epoll waits for; 0: not in epoll */
	unsigned round;	 /* of user_poll_fill() that wanted it last */
	unsigned index;	 /* in poll[], in that round */
};

/* What libslirp asked for in the last round, by the index it got. */
struct user_poll {
	int revents; /* SLIRP_POLL_... */
};

struct user_timer {
	SlirpTimerCb cb;
	void *opaque;
	int64_t when_ms; /* INT64_MAX: never */
	struct user_timer *next;
};

struct user_port {
	struct vio_port base;
	struct vio_port_queue pq; /* there is one */
	const struct vio_log *log;
	struct sock_quiet quiet;
	struct vio_loop *loop; /* NULL: not attached */
	Slirp *slirp;
	uint16_t mtu;

	/* frames to the device */
	bool on;	      /* it takes frames */
	bool unflushed;	      /* some were delivered */
	struct frame_buf out; /* those it had no room for */
	_Atomic uint64_t dropped, refused;
	uint8_t in[VIO_FRAME_MAX]; /* one from it: libslirp must not read guest memory */

	/* user_poll.c */
	struct vio_watch epoll, timer;
	struct vio_defer refill; /* ask libslirp again what it waits for */
	struct user_fd *fds;	 /* by descriptor */
	unsigned n_fds;
	struct user_poll *poll;
	unsigned n_poll, poll_cap;
	unsigned round;
	uint32_t max_sockets;
	_Atomic uint32_t n_sockets;
	struct user_timer *timers;
	int64_t told_ms; /* when libslirp looked at the clock last */
};

/* ---- user.c */

/* The end of a batch of calls into libslirp. */
void user_flush(struct user_port *up);

/* ---- user_poll.c */

extern const SlirpCb user_callbacks;

/* Of `struct SlirpCb`, in user.c. */
ssize_t user_send_packet(const void *buf, size_t len, void *opaque);
void user_guest_error(const char *msg, void *opaque);

int user_poll_init(struct user_port *up);
void user_poll_fini(struct user_port *up);
int user_poll_attach(struct user_port *up);
void user_poll_detach(struct user_port *up);

/* Before frames for libslirp: it learns how late it is, if it was not told for long. */
void user_poll_clock(struct user_port *up);

/* libslirp has handled frames: soon ask again what it waits for. */
void user_poll_changed(struct user_port *up);

/*
 * libslirp writes to sockets without regard to SIGPIPE: hold it off around calls into it, and
 * forget the one they caused.
 */
struct user_signals {
	sigset_t old;
	bool was_pending;
};

void user_signals_hold(struct user_signals *s);
void user_signals_release(const struct user_signals *s);

/* ---- user_config.c */

/* Where the text ends up. */
struct user_net {
	struct in_addr net, mask, host, dns, dhcp;
	struct in6_addr net6, host6, dns6;
};

struct user_forward {
	bool udp;
	struct in_addr host, guest;
	uint16_t host_port, guest_port;
};

/* 0 or -EINVAL. */
int user_net_parse(struct user_net *net, const struct vio_port_user_config *cfg);
int user_forward_parse(struct user_forward *fwd, const char *text);

#endif
