/* SPDX-License-Identifier: BSD-3-Clause */
#include "file.h"

#include <viodm/iov.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define ZERO_PAGES   64
#define BOUNCE_BYTES (256u * 1024)

static int init_block_device(struct file *f)
{
	unsigned physical, optimal;
	int logical;

	if (ioctl(f->fd, BLKSSZGET, &logical) < 0 || ioctl(f->fd, BLKPBSZGET, &physical) < 0 ||
	    ioctl(f->fd, BLKIOOPT, &optimal) < 0)
		return -errno;
	f->logical_block = (uint32_t)logical;
	f->physical_block = physical > f->logical_block ? physical : f->logical_block;
	f->optimal_io = optimal;
	f->align = f->logical_block;
	f->can_discard = !f->readonly;
	return 0;
}

/* What direct I/O wants of this file; 4096 fits every file system that does not say. */
static void init_direct(struct file *f)
{
	f->align = f->logical_block = f->physical_block = 4096;
#ifdef STATX_DIOALIGN
	struct statx sx;

	if (statx(f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) == 0 &&
	    sx.stx_mask & STATX_DIOALIGN && vio_is_pow2(sx.stx_dio_mem_align) &&
	    vio_is_pow2(sx.stx_dio_offset_align)) {
		f->align = sx.stx_dio_mem_align;
		f->logical_block = sx.stx_dio_offset_align > 512 ? sx.stx_dio_offset_align : 512;
	}
#endif
}

static int init_regular(struct file *f, const struct stat *st)
{
	f->logical_block = f->align = 512;
	f->physical_block = st->st_blksize > 512 && vio_is_pow2((uint64_t)st->st_blksize)
				    ? (uint32_t)st->st_blksize
				    : 512;
	if (f->direct)
		init_direct(f);
	if (f->physical_block < f->logical_block)
		f->physical_block = f->logical_block;
	/* Punching behind the end changes nothing and tells whether the file system can. */
	f->can_discard =
		!f->readonly && fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					  st->st_size, 4096) == 0;
	return 0;
}

static int file_init(struct file *f, int fd, const struct vio_storage_file_config *cfg)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*f = (struct file){.fd = fd, .readonly = cfg->readonly, .direct = cfg->direct};
	if (S_ISBLK(st.st_mode)) {
		f->block_device = true;
		return init_block_device(f);
	}
	return S_ISREG(st.st_mode) ? init_regular(f, &st) : -EINVAL;
}

static int file_size(const struct file *f, uint64_t *size)
{
	struct stat st;

	if (f->block_device)
		return ioctl(f->fd, BLKGETSIZE64, size) < 0 ? -errno : 0;
	if (fstat(f->fd, &st) < 0)
		return -errno;
	*size = (uint64_t)st.st_size;
	return 0;
}

int file_storage_init(struct file_storage *fs, const struct vio_storage_ops *ops, const char *path,
		      const struct vio_storage_file_config *cfg)
{
	int flags = (cfg->readonly ? O_RDONLY : O_RDWR) | (cfg->direct ? O_DIRECT : 0) | O_CLOEXEC;
	int fd = path ? open(path, flags) : cfg->fd;
	int r;

	if (fd < 0)
		return path ? -errno : -EBADF;
	fs->base.ops = ops;
	r = file_init(&fs->file, fd, cfg);
	if (r < 0 && path)
		close(fd);
	return r;
}

int file_storage_open(const struct vio_storage_ops *ops, const char *path,
		      const struct vio_storage_file_config *cfg, struct vio_storage **out)
{
	struct file_storage *fs = calloc(1, sizeof(*fs));
	int r;

	if (!fs)
		return -ENOMEM;
	r = file_storage_init(fs, ops, path, cfg);
	if (r < 0) {
		free(fs);
		return r;
	}
	*out = &fs->base;
	return 0;
}

void file_storage_close(struct vio_storage *st)
{
	close(file_of(st)->fd);
	free(vio_container_of(st, struct file_storage, base));
}

int file_storage_info(struct vio_storage *st, struct vio_storage_info *info)
{
	const struct file *f = file_of(st);
	uint64_t size;
	int r = file_size(f, &size);

	if (r < 0)
		return r;
	*info = (struct vio_storage_info){
		.size = size - size % f->logical_block, /* a part of a block cannot be addressed */
		.logical_block = f->logical_block,
		.physical_block = f->physical_block,
		.optimal_io = f->optimal_io,
		.discard_granularity = f->physical_block,
		.readonly = f->readonly,
		.discard = f->can_discard,
		.write_zeroes = !f->readonly,
		.may_unmap = f->can_discard,
	};
	return 0;
}

/* ---- reads and writes --------------------------------------------------------------------------
 */

int file_bounce_alloc(const struct file *f, char **bounce)
{
	*bounce = f->direct ? aligned_alloc(f->align, BOUNCE_BYTES) : NULL;
	return f->direct && !*bounce ? -ENOMEM : 0;
}

bool file_io_aligned(const struct file *f, const struct vio_io *io)
{
	if (!f->direct)
		return true;
	for (uint32_t i = 0; i < io->n_iov; i++)
		if ((uintptr_t)io->iov[i].iov_base % f->align || io->iov[i].iov_len % f->align)
			return false;
	return true;
}

static ssize_t rw_some(const struct file *f, const struct vio_io *io, const struct vio_iov *v,
		       uint64_t off)
{
	int n = v->n < IOV_MAX ? (int)v->n : IOV_MAX;

	if (io->op == VIO_IO_READ)
		return preadv(f->fd, v->v, n, (off_t)off);
	return pwritev2(f->fd, v->v, n, (off_t)off, io->flags & VIO_IO_FUA ? RWF_DSYNC : 0);
}

/* All of `v`: goes on after short counts. */
static int rw_all(const struct file *f, const struct vio_io *io, struct vio_iov v, uint64_t off)
{
	while (v.len > 0) {
		ssize_t n = rw_some(f, io, &v, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO; /* the file is shorter than it was */
		off += (uint64_t)n;
		vio_iov_skip(&v, (uint64_t)n);
	}
	return 0;
}

/* Direct I/O with buffers that are not aligned: through a buffer of ours, part by part. */
static int rw_bounce(const struct file *f, char *bounce, const struct vio_io *io)
{
	struct vio_iov v = {.v = io->iov, .n = io->n_iov, .len = io->length};
	uint64_t off = io->offset;

	while (v.len > 0) {
		size_t n = v.len < BOUNCE_BYTES ? (size_t)v.len : BOUNCE_BYTES;
		struct iovec one = {.iov_base = bounce, .iov_len = n};
		int r;

		if (io->op == VIO_IO_WRITE)
			vio_iov_pull(&v, bounce, n);
		r = rw_all(f, io, (struct vio_iov){.v = &one, .n = 1, .len = n}, off);
		if (r < 0)
			return r;
		if (io->op == VIO_IO_READ)
			vio_iov_put(&v, bounce, n);
		off += n;
	}
	return 0;
}

/* ---- ranges ------------------------------------------------------------------------------------
 */

int file_range_mode(const struct vio_io *io)
{
	bool punch = io->op == VIO_IO_DISCARD || io->flags & VIO_IO_UNMAP;

	return FALLOC_FL_KEEP_SIZE | (punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
}

static int discard(const struct file *f, const struct vio_io *io)
{
	uint64_t range[2] = {io->offset, io->length};
	int r;

	if (f->block_device)
		r = ioctl(f->fd, BLKDISCARD, range);
	else
		r = fallocate(f->fd, file_range_mode(io), (off_t)io->offset, (off_t)io->length);
	/* A discard is advice: not being able to is no error. */
	return r < 0 && errno != EOPNOTSUPP ? -errno : 0;
}

/* One page of zeroes, written many times over by each call. */
static const char zero_page[4096] __attribute__((aligned(4096)));

static int zero_by_writing(const struct file *f, uint64_t off, uint64_t len)
{
	struct iovec iov[ZERO_PAGES];

	while (len > 0) {
		int cnt = 0;
		ssize_t n;

		for (uint64_t left = len; left > 0 && cnt < ZERO_PAGES; cnt++) {
			size_t part = left < sizeof(zero_page) ? (size_t)left : sizeof(zero_page);

			iov[cnt].iov_base = (void *)(uintptr_t)zero_page;
			iov[cnt].iov_len = part;
			left -= part;
		}
		n = pwritev(f->fd, iov, cnt, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

/* By the file system's or the disk's own means if there are any: fallocate() knows both. */
static int write_zeroes(const struct file *f, const struct vio_io *io)
{
	int r = 0;

	if (fallocate(f->fd, file_range_mode(io), (off_t)io->offset, (off_t)io->length) < 0)
		r = -errno;
	if (r == -EOPNOTSUPP)
		r = zero_by_writing(f, io->offset, io->length);
	if (r == 0 && io->flags & VIO_IO_FUA)
		r = fdatasync(f->fd) < 0 ? -errno : 0;
	return r;
}

int file_io(const struct file *f, char *bounce, const struct vio_io *io)
{
	switch (io->op) {
	case VIO_IO_READ:
	case VIO_IO_WRITE:
		if (!file_io_aligned(f, io))
			return rw_bounce(f, bounce, io);
		return rw_all(f, io,
			      (struct vio_iov){.v = io->iov, .n = io->n_iov, .len = io->length},
			      io->offset);
	case VIO_IO_FLUSH:
		return fdatasync(f->fd) < 0 ? -errno : 0;
	case VIO_IO_DISCARD:
		return discard(f, io);
	case VIO_IO_WRITE_ZEROES:
		return write_zeroes(f, io);
	}
	return -EOPNOTSUPP;
}
