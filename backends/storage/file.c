/* SPDX-License-Identifier: BSD-3-Clause */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define ZERO_PAGES 64

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

int file_init(struct file *f, int fd, const struct vio_storage_file_config *cfg)
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

int file_info(const struct file *f, struct vio_storage_info *info)
{
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

int file_discard(const struct file *f, uint64_t off, uint64_t len)
{
	uint64_t range[2] = {off, len};
	int r;

	if (f->block_device)
		r = ioctl(f->fd, BLKDISCARD, range);
	else
		r = fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off,
			      (off_t)len);
	/* A discard is advice: not being able to is no error. */
	return r < 0 && errno != EOPNOTSUPP ? -errno : 0;
}

/* By the file system's or the disk's own means. */
static int zero_range(const struct file *f, uint64_t off, uint64_t len, bool unmap)
{
	uint64_t range[2] = {off, len};
	int mode = unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
	int r;

	if (f->block_device)
		r = ioctl(f->fd, BLKZEROOUT, range);
	else
		r = fallocate(f->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len);
	return r < 0 ? -errno : 0;
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

int file_write_zeroes(const struct file *f, uint64_t off, uint64_t len, uint32_t flags)
{
	int r = zero_range(f, off, len, flags & VIO_IO_UNMAP);

	if (r == -EOPNOTSUPP)
		r = zero_by_writing(f, off, len);
	if (r == 0 && flags & VIO_IO_FUA)
		r = fdatasync(f->fd) < 0 ? -errno : 0;
	return r;
}
