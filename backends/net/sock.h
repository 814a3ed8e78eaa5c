/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_NET_SOCK_H
#define VIODM_NET_SOCK_H

/*
 * What the ports on Unix sockets share: addresses, sockets bound to a path, checks of descriptors
 * that are passed in, and log lines a peer can cause. Not installed.
 */

#include <sys/types.h>
#include <sys/un.h>

#include <viodm/port.h>

/* A path that a socket of ours is bound to. */
struct sock_path {
	char *path; /* NULL: none */
	dev_t dev;
	ino_t ino;
};

/* 0, -EINVAL (empty) or -ENAMETOOLONG. */
int sock_addr(struct sockaddr_un *addr, const char *path);

/* A new socket of `type`, or -errno; does not block. */
int sock_new(int type);

/* A new socket connected to `addr`, or -errno. Does not wait. */
int sock_connect(int type, const struct sockaddr_un *addr);

/*
 * A new socket bound to `path`; replaces one there that nobody listens to any more. The socket or
 * -errno, -EADDRINUSE if somebody does, or if something else has that name.
 */
int sock_bind(int type, const char *path, struct sock_path *bound);

/* Removes the path if it is still ours. */
void sock_unbind(struct sock_path *bound);

/* Makes `fd`, a Unix socket of this type, non-blocking. 0 or -errno; -EINVAL: something else. */
int sock_adopt(int fd, int type);

bool sock_listens(int fd);

/* A frame that goes out as it is: a length Ethernet has, nothing left to do to it. */
bool sock_frame_ok(const struct vio_frame *f);

/* Log lines that somebody outside can cause. */
struct sock_quiet {
	uint64_t until; /* nanoseconds; zero at first */
};

/* True at most once in ten seconds. */
bool sock_may_log(struct sock_quiet *quiet);

#endif
