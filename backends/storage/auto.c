/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * engine = auto: looks at the file and opens the engine that moves its bytes with the least effort.
 */
#include <viodm/engines.h>

#include "../uring.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PROBE_BYTES 4096

struct choice {
	int (*open)(const char *path, const struct vio_storage_file_config *cfg,
		    struct vio_storage **out);
	const char *why;
};

static bool in_memory(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	switch ((unsigned long)fs.f_type) {
	case TMPFS_MAGIC:
	case RAMFS_MAGIC:
	case HUGETLBFS_MAGIC:
		return true;
	default:
		return false;
	}
}

static bool is_block_device(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISBLK(st.st_mode);
}

/*
 * Reads without waiting, for the answer alone. A file system that cannot do that makes io_uring
 * hand every request to a worker thread of the kernel.
 */
static bool reads_without_waiting(int fd)
{
	struct iovec iov = {.iov_base = aligned_alloc(PROBE_BYTES, PROBE_BYTES),
			    .iov_len = PROBE_BYTES};
	bool can;

	if (!iov.iov_base)
		return false;
	can = preadv2(fd, &iov, 1, 0, RWF_NOWAIT) >= 0 || errno == EAGAIN;
	free(iov.iov_base);
	return can;
}

/* Some kernels are built without io_uring, and containers often forbid it. */
static bool ring_available(void)
{
	struct uring u;

	if (uring_init(&u, 2, false) < 0)
		return false;
	uring_fini(&u);
	return true;
}

static struct choice choose(int fd, bool direct)
{
	bool block_device = is_block_device(fd);

	/* Nothing to wait for: a copy on the loop's own thread is over before any other engine has
	 * told somebody else to make it. */
	if (!block_device && in_memory(fd))
		return (struct choice){vio_storage_sync_open, "the file is in memory"};
	if (!block_device && !reads_without_waiting(fd))
		return (struct choice){vio_storage_threads_open,
				       "the file system cannot do I/O without waiting"};
	if (ring_available())
		return (struct choice){vio_storage_uring_open,
				       block_device ? "a block device"
						    : "the file system does I/O without waiting"};
	if (direct)
		return (struct choice){vio_storage_libaio_open, "direct I/O, and no io_uring"};
	return (struct choice){vio_storage_threads_open, "no io_uring"};
}

static int open_file(const char *path, const struct vio_storage_file_config *cfg)
{
	int flags = (cfg->readonly ? O_RDONLY : O_RDWR) | (cfg->direct ? O_DIRECT : 0) | O_CLOEXEC;
	int fd = path ? open(path, flags) : cfg->fd;

	if (fd >= 0)
		return fd;
	return path ? -errno : -EBADF;
}

int vio_storage_auto_open(const char *path, const struct vio_storage_file_config *cfg,
			  const struct vio_log *log, struct vio_storage **out)
{
	struct vio_storage_file_config opened = *cfg;
	struct choice c;
	int r;

	opened.fd = open_file(path, cfg);
	if (opened.fd < 0)
		return opened.fd;
	c = choose(opened.fd, cfg->direct);
	r = c.open(NULL, &opened, out);
	if (r < 0) {
		if (path)
			close(opened.fd);
		return r;
	}
	vio_log(log, VIO_LOG_INFO, "%s: engine %s: %s", path ? path : "image", (*out)->ops->name,
		c.why);
	return 0;
}
