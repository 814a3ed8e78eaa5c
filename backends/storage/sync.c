/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sync engine: one system call per request on the loop's own thread. Files and block devices
 * differ only in where the size comes from and how ranges are freed (file.c).
 */
#include <viodm/engines.h>

#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BOUNCE_BYTES (256u * 1024)

struct sync_storage {
	struct vio_storage base;
	struct file file;
};

struct sync_channel {
	struct vio_channel base;
	struct file *file;
	char *bounce; /* direct I/O only: for buffers the file system would refuse */
};

static struct sync_storage *to_sync(struct vio_storage *st)
{
	return vio_container_of(st, struct sync_storage, base);
}

static struct sync_channel *to_channel(struct vio_channel *ch)
{
	return vio_container_of(ch, struct sync_channel, base);
}

static int sync_info(struct vio_storage *st, struct vio_storage_info *info)
{
	return file_info(&to_sync(st)->file, info);
}

static int sync_attach(struct vio_storage *st, struct vio_loop *loop, struct vio_channel **out)
{
	struct sync_channel *ch = calloc(1, sizeof(*ch));

	(void)loop;
	if (!ch)
		return -ENOMEM;
	ch->file = &to_sync(st)->file;
	if (ch->file->direct) {
		ch->bounce = aligned_alloc(ch->file->align, BOUNCE_BYTES);
		if (!ch->bounce) {
			free(ch);
			return -ENOMEM;
		}
	}
	*out = &ch->base;
	return 0;
}

static void sync_detach(struct vio_channel *base)
{
	struct sync_channel *ch = to_channel(base);

	free(ch->bounce);
	free(ch);
}

/* Drops `n` bytes off the front of iov[0..*cnt). */
static struct iovec *iov_drop(struct iovec *iov, uint32_t *cnt, size_t n)
{
	while (*cnt > 0 && n >= iov->iov_len) {
		n -= iov->iov_len;
		iov++;
		(*cnt)--;
	}
	if (n > 0) {
		iov->iov_base = (char *)iov->iov_base + n;
		iov->iov_len -= n;
	}
	return iov;
}

/* One call; short counts and EINTR are the caller's loop. */
static ssize_t rw_some(const struct file *f, const struct vio_io *io, const struct iovec *iov,
		       uint32_t cnt, uint64_t off)
{
	int n = cnt < IOV_MAX ? (int)cnt : IOV_MAX;

	if (io->op == VIO_IO_READ)
		return preadv(f->fd, iov, n, (off_t)off);
	return pwritev2(f->fd, iov, n, (off_t)off, io->flags & VIO_IO_FUA ? RWF_DSYNC : 0);
}

static int rw_all(const struct file *f, const struct vio_io *io, struct iovec *iov, uint32_t cnt,
		  uint64_t off, uint64_t len)
{
	while (len > 0) {
		ssize_t n = rw_some(f, io, iov, cnt, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO; /* the file is shorter than it was */
		off += (uint64_t)n;
		len -= (uint64_t)n;
		iov = iov_drop(iov, &cnt, (size_t)n);
	}
	return 0;
}

static bool iov_aligned(const struct vio_io *io, size_t align)
{
	for (uint32_t i = 0; i < io->n_iov; i++)
		if ((uintptr_t)io->iov[i].iov_base % align || io->iov[i].iov_len % align)
			return false;
	return true;
}

static void copy(struct iovec **iov, uint32_t *cnt, char *buf, size_t len, bool to_buf)
{
	while (len > 0 && *cnt > 0) {
		size_t n = len < (*iov)->iov_len ? len : (*iov)->iov_len;

		if (n > 0 && to_buf)
			memcpy(buf, (*iov)->iov_base, n);
		else if (n > 0)
			memcpy((*iov)->iov_base, buf, n);
		buf += n;
		len -= n;
		*iov = iov_drop(*iov, cnt, n);
	}
}

/* Direct I/O with buffers that are not aligned: through the channel's own buffer, part by part. */
static int rw_bounce(struct sync_channel *ch, const struct vio_io *io)
{
	struct iovec *iov = io->iov;
	uint32_t cnt = io->n_iov;

	for (uint64_t done = 0; done < io->length;) {
		uint64_t left = io->length - done;
		size_t n = left < BOUNCE_BYTES ? (size_t)left : BOUNCE_BYTES;
		struct iovec one = {.iov_base = ch->bounce, .iov_len = n};
		int r;

		if (io->op == VIO_IO_WRITE)
			copy(&iov, &cnt, ch->bounce, n, true);
		r = rw_all(ch->file, io, &one, 1, io->offset + done, n);
		if (r < 0)
			return r;
		if (io->op == VIO_IO_READ)
			copy(&iov, &cnt, ch->bounce, n, false);
		done += n;
	}
	return 0;
}

static int sync_do(struct sync_channel *ch, const struct vio_io *io)
{
	const struct file *f = ch->file;

	switch (io->op) {
	case VIO_IO_READ:
	case VIO_IO_WRITE:
		if (f->direct && !iov_aligned(io, f->align))
			return rw_bounce(ch, io);
		return rw_all(f, io, io->iov, io->n_iov, io->offset, io->length);
	case VIO_IO_FLUSH:
		return fdatasync(f->fd) < 0 ? -errno : 0;
	case VIO_IO_DISCARD:
		return file_discard(f, io->offset, io->length);
	case VIO_IO_WRITE_ZEROES:
		return file_write_zeroes(f, io->offset, io->length, io->flags);
	}
	return -EOPNOTSUPP;
}

static void sync_submit(struct vio_channel *base, struct vio_io *io)
{
	io->result = sync_do(to_channel(base), io);
	io->done(io);
}

static void sync_commit(struct vio_channel *ch)
{
	ch->drained(ch);
}

static void sync_close(struct vio_storage *st)
{
	struct sync_storage *ss = to_sync(st);

	close(ss->file.fd);
	free(ss);
}

static const struct vio_storage_ops sync_ops = {
	.name = "sync",
	.info = sync_info,
	.attach = sync_attach,
	.detach = sync_detach,
	.submit = sync_submit,
	.commit = sync_commit,
	.close = sync_close,
};

int vio_storage_sync_open_fd(int fd, const struct vio_storage_file_config *cfg,
			     struct vio_storage **out)
{
	struct sync_storage *ss = calloc(1, sizeof(*ss));
	int r;

	if (!ss)
		return -ENOMEM;
	ss->base.ops = &sync_ops;
	r = file_init(&ss->file, fd, cfg);
	if (r < 0) {
		free(ss);
		return r;
	}
	*out = &ss->base;
	return 0;
}

int vio_storage_sync_open(const char *path, const struct vio_storage_file_config *cfg,
			  struct vio_storage **out)
{
	int flags = (cfg->readonly ? O_RDONLY : O_RDWR) | (cfg->direct ? O_DIRECT : 0) | O_CLOEXEC;
	int fd = open(path, flags);
	int r;

	if (fd < 0)
		return -errno;
	r = vio_storage_sync_open_fd(fd, cfg, out);
	if (r < 0)
		close(fd);
	return r;
}
