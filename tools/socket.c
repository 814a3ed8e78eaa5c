/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "socket.h"

static int open_socket(const char *path, int flags, struct sockaddr_un *addr)
{
	int fd;

	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	strcpy(addr->sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	return fd < 0 ? -errno : fd;
}

int socket_connect(const char *path)
{
	struct sockaddr_un addr;
	int fd = open_socket(path, 0, &addr), r;

	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

/* Something is at `path`: 0 when it was a socket of a process that is gone, and is removed. */
static int remove_stale(const char *path)
{
	struct stat st;
	int fd;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EADDRINUSE;
	fd = socket_connect(path);
	if (fd >= 0)
		close(fd);
	if (fd != -ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(path) < 0 ? -errno : 0;
}

int socket_listen(const char *path, mode_t mode)
{
	struct sockaddr_un addr;
	int fd = open_socket(path, SOCK_NONBLOCK, &addr), r;

	if (fd < 0)
		return fd;
	r = remove_stale(path);
	if (r < 0)
		goto close_fd;
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		r = -errno;
		goto close_fd;
	}
	if (chmod(path, mode) == 0 && listen(fd, 8) == 0)
		return fd;
	r = -errno;
	unlink(path);
close_fd:
	close(fd);
	return r;
}
