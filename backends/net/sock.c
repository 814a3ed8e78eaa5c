/* SPDX-License-Identifier: BSD-3-Clause */
#include "sock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define ETH_HDR	     14u
#define QUIET_PERIOD UINT64_C(10000000000)

int sock_addr(struct sockaddr_un *addr, const char *path)
{
	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (path[0] == '\0')
		return -EINVAL;
	if (strlen(path) >= sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	strcpy(addr->sun_path, path);
	return 0;
}

int sock_new(int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

int sock_connect(int type, const struct sockaddr_un *addr)
{
	int fd = sock_new(type), r;

	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

/* Removes the socket of a process that is gone: nobody answers there. */
static int remove_stale(int type, const struct sockaddr_un *addr)
{
	struct stat st;
	int fd;

	if (lstat(addr->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EADDRINUSE;
	fd = sock_connect(type, addr);
	if (fd == -ECONNREFUSED)
		return unlink(addr->sun_path) < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	return -EADDRINUSE;
}

static int remember(struct sock_path *bound, const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return -errno;
	bound->dev = st.st_dev;
	bound->ino = st.st_ino;
	bound->path = strdup(path);
	return bound->path ? 0 : -ENOMEM;
}

int sock_bind(int type, const char *path, struct sock_path *bound)
{
	struct sockaddr_un addr;
	int fd, r;

	r = sock_addr(&addr, path);
	if (r == 0)
		r = remove_stale(type, &addr);
	if (r < 0)
		return r;
	fd = sock_new(type);
	if (fd < 0)
		return fd;
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		r = -errno;
		goto close_fd;
	}
	r = remember(bound, path);
	if (r < 0)
		goto remove_path;
	return fd;

remove_path:
	unlink(path);
close_fd:
	close(fd);
	return r;
}

void sock_unbind(struct sock_path *bound)
{
	struct stat st;

	/* Somebody else may have put another socket there meanwhile. */
	if (bound->path && lstat(bound->path, &st) == 0 && st.st_dev == bound->dev &&
	    st.st_ino == bound->ino)
		unlink(bound->path);
	free(bound->path);
	bound->path = NULL;
}

/* A socket's option, or -errno. */
static int option(int fd, int name)
{
	int value;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? -errno : value;
}

int sock_adopt(int fd, int type)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	if (option(fd, SO_DOMAIN) != AF_UNIX || option(fd, SO_TYPE) != type)
		return -EINVAL;
	return fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

bool sock_listens(int fd)
{
	return option(fd, SO_ACCEPTCONN) == 1;
}

bool sock_frame_ok(const struct vio_frame *f)
{
	return f->len >= ETH_HDR && f->len <= VIO_FRAME_MAX &&
	       f->hdr.gso_type == VIRTIO_NET_HDR_GSO_NONE &&
	       !(f->hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM);
}

bool sock_may_log(struct sock_quiet *quiet)
{
	uint64_t now = vio_now_ns();

	if (now < quiet->until)
		return false;
	quiet->until = now + QUIET_PERIOD;
	return true;
}
