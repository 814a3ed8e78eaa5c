/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <viodm/opts.h>

#include "image.h"

/* A path in a message is cut at the front, where it says least. */
#define PATH_SHOWN 200

static int complain(char *err, const char *path, int r, const char *what, const char *hint)
{
	size_t len = strlen(path);
	const char *tail = len > PATH_SHOWN ? path + len - PATH_SHOWN : path;

	snprintf(err, VIO_OPT_ERROR_LEN, "\"%s%s\" %s%s", tail == path ? "" : "...", tail, what,
		 hint);
	return r;
}

static int open_failed(char *err, const char *path, const struct vio_storage_file_config *access)
{
	int r = -errno;
	const char *hint = "";
	char what[128];

	snprintf(what, sizeof(what), "cannot be opened for %s: %s",
		 access->readonly ? "reading" : "reading and writing", strerror(-r));
	if (r == -EINVAL && access->direct)
		hint = " (its file system cannot bypass the page cache: cache = none)";
	else if ((r == -EACCES || r == -EROFS || r == -EPERM) && !access->readonly)
		hint = " (for a disk that is only read, set readonly = on)";
	return complain(err, path, r, what, hint);
}

static int check_fd(int fd, const char *path, uint64_t *size, char *err)
{
	char what[96];
	struct stat st;
	off_t end;

	if (fstat(fd, &st) < 0)
		return complain(err, path, -errno, "cannot be examined: ", strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return complain(err, path, -EINVAL, "is neither a file nor a block device", "");
	end = lseek(fd, 0, SEEK_END); /* st_size of a block device is 0 */
	if (end < 0)
		return complain(err, path, -errno, "cannot be examined: ", strerror(errno));
	if (end == 0)
		return complain(err, path, -EINVAL, "is empty", "");
	if (end % 512 != 0) {
		snprintf(what, sizeof(what), "has %" PRIu64 " bytes, not a multiple of 512",
			 (uint64_t)end);
		return complain(err, path, -EINVAL, what, "");
	}
	*size = (uint64_t)end;
	return 0;
}

int image_check(const char *path, const struct vio_storage_file_config *access, uint64_t *size,
		char *err)
{
	/* Non-blocking, so that a FIFO does not make the check wait for its other end. */
	int flags = O_CLOEXEC | O_NONBLOCK | (access->readonly ? O_RDONLY : O_RDWR) |
		    (access->direct ? O_DIRECT : 0);
	int fd = open(path, flags);
	int r;

	if (fd < 0)
		return open_failed(err, path, access);
	r = check_fd(fd, path, size, err);
	close(fd);
	return r;
}
