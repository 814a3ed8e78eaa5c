/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_SOCKET_H
#define TOOLS_SOCKET_H

/*
 * Unix stream sockets by path, for the control socket.
 */

#include <sys/types.h>

/*
 * Listens at `path` with these permission bits, which are set before anybody can connect. A socket
 * that nobody listens on is replaced. A descriptor (non-blocking, close-on-exec), -EADDRINUSE,
 * -ENAMETOOLONG or another -errno.
 */
int socket_listen(const char *path, mode_t mode);

/* A connected, blocking descriptor or -errno. */
int socket_connect(const char *path);

#endif
