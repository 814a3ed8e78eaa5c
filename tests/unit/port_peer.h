/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_PORT_PEER_H
#define UNIT_PORT_PEER_H

/* What tests of ports on sockets share: frames with a pattern, log lines, descriptors. */

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <viodm/ports.h>

#include "looper.h"
#include "port_user.h"

/* Byte i of frame number `seq`. */
static inline uint8_t peer_byte(unsigned seq, size_t i)
{
	return (uint8_t)(seq * 31 + i * 7 + (i >> 8));
}

static inline void peer_fill(uint8_t *data, size_t len, unsigned seq)
{
	for (size_t i = 0; i < len; i++)
		data[i] = peer_byte(seq, i);
}

static inline bool peer_is(const uint8_t *data, size_t len, unsigned seq)
{
	for (size_t i = 0; i < len; i++)
		if (data[i] != peer_byte(seq, i))
			return false;
	return true;
}

/* A length between the shortest and `max`, different from frame to frame. */
static inline uint32_t peer_len(unsigned seq, uint32_t max)
{
	return 14 + seq * 2654435761u % (max - 13);
}

static inline bool user_got(const struct port_user *u, unsigned i, size_t len, unsigned seq)
{
	return i < u->n && u->got[i].len == len && peer_is(u->got[i].data, len, seq) &&
	       memcmp(&u->got[i].hdr, &(struct vio_frame_hdr){0}, sizeof(u->got[i].hdr)) == 0;
}

static inline void peer_pair(int type, int fd[2])
{
	MUST(socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd));
}

static inline struct sockaddr_un peer_addr(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	return a;
}

static inline int peer_bind(int type, const char *path)
{
	struct sockaddr_un a = peer_addr(path);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	unlink(path);
	MUST(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	if (type == SOCK_STREAM)
		MUST(listen(fd, 5));
	return fd;
}

/* A socket connected to the path, or -1. */
static inline int peer_connect(int type, const char *path)
{
	struct sockaddr_un a = peer_addr(path);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

static inline void peer_small_buffer(int fd)
{
	int size = 8192;

	MUST(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
}

static inline unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

struct peer_log {
	struct vio_log log;
	_Atomic unsigned lines;
};

static inline void peer_log_write(void *arg, enum vio_log_level level, const char *line)
{
	struct peer_log *l = arg;

	(void)level;
	(void)line;
	l->lines++;
}

static inline void peer_log_init(struct peer_log *l)
{
	*l = (struct peer_log){
		.log = {.write = peer_log_write, .arg = l, .max_level = VIO_LOG_DEBUG}};
}

/* The last word about the link of a port. */
struct peer_link {
	unsigned ups, downs;
};

static inline void peer_on_link(struct vio_port *port, bool up)
{
	struct peer_link *l = port->user;

	l->ups += up;
	l->downs += !up;
}

static inline bool port_up(struct vio_port *port)
{
	struct vio_port_info info;

	MUST(vio_port_info(port, &info));
	return info.link_up;
}

/* Turns the loop until `cond`, for five seconds at most. */
#define TURN_UNTIL(loop, cond)                                                                     \
	do {                                                                                       \
		for (int turn_ = 0; turn_ < 500 && !(cond); turn_++)                               \
			vio_loop_manual_run((loop), 10);                                           \
		CU_ASSERT_TRUE(cond);                                                              \
	} while (0)

#endif
