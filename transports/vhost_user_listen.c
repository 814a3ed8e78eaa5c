/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The socket of a vhost-user server: made at a path with its mode and owner, or passed in.
 */
#include "vhost_user_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int make_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

static int fill_addr(struct sockaddr_un *addr, const char *path)
{
	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	strcpy(addr->sun_path, path);
	return 0;
}

/* Removes the socket of a server that is gone; nobody answers there. */
static int remove_stale(const struct sockaddr_un *addr)
{
	struct stat st;
	int fd, r;

	if (lstat(addr->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EADDRINUSE;
	fd = make_socket();
	if (fd < 0)
		return fd;
	r = connect(fd, (const struct sockaddr *)addr, sizeof(*addr));
	if (r < 0 && errno == ECONNREFUSED)
		r = unlink(addr->sun_path) < 0 ? -errno : 0;
	else
		r = -EADDRINUSE;
	close(fd);
	return r;
}

/* Before listen(): nobody can connect yet, so mode and owner are in time. */
static int set_access(const struct vio_vhost_user_config *cfg)
{
	if (cfg->mode && chmod(cfg->path, cfg->mode & 07777) < 0)
		return -errno;
	if (cfg->set_owner && lchown(cfg->path, cfg->uid, cfg->gid) < 0)
		return -errno;
	return 0;
}

static int remember_path(struct vio_vhost_user *vu, const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return -errno;
	vu->path_dev = st.st_dev;
	vu->path_ino = st.st_ino;
	vu->path = strdup(path);
	return vu->path ? 0 : -ENOMEM;
}

static int listen_path(struct vio_vhost_user *vu, const struct vio_vhost_user_config *cfg)
{
	struct sockaddr_un addr;
	int fd, r;

	r = fill_addr(&addr, cfg->path);
	if (r == 0)
		r = remove_stale(&addr);
	if (r < 0)
		return r;
	fd = make_socket();
	if (fd < 0)
		return fd;
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		r = -errno;
		goto close_fd;
	}
	r = set_access(cfg);
	if (r < 0)
		goto remove_path;
	r = remember_path(vu, cfg->path);
	if (r < 0)
		goto remove_path;
	if (listen(fd, 1) < 0) {
		r = -errno;
		goto remove_path;
	}
	vu->listener.fd = fd;
	return 0;

remove_path:
	unlink(cfg->path);
close_fd:
	close(fd);
	return r;
}

static int option(int fd, int name)
{
	int value;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? -errno : value;
}

static int use_fd(struct vio_vhost_user *vu, int fd)
{
	if (option(fd, SO_DOMAIN) != AF_UNIX || option(fd, SO_TYPE) != SOCK_STREAM)
		return -EINVAL;
	if (option(fd, SO_ACCEPTCONN) == 1)
		vu->listener.fd = fd;
	else
		vu->conn.fd = fd;
	return 0;
}

int vhu_listen(struct vio_vhost_user *vu, const struct vio_vhost_user_config *cfg)
{
	return cfg->path ? listen_path(vu, cfg) : use_fd(vu, cfg->fd);
}

void vhu_unlisten(struct vio_vhost_user *vu)
{
	struct stat st;

	/* Somebody else may have put another socket there meanwhile. */
	if (vu->path && lstat(vu->path, &st) == 0 && st.st_dev == vu->path_dev &&
	    st.st_ino == vu->path_ino)
		unlink(vu->path);
	free(vu->path);
	if (vu->listener.fd >= 0)
		close(vu->listener.fd);
	vu->listener.fd = -1;
}
