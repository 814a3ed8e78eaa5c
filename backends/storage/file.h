/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_FILE_H
#define VIODM_FILE_H

/*
 * An open image, regular file or block device: its size, what it can do, freeing and zeroing of
 * ranges. Shared by the engines that work on files; not installed. Any thread.
 */

#include <viodm/engines.h>

struct file {
	int fd;
	bool block_device;
	bool readonly;
	bool direct;
	bool can_discard;
	uint32_t logical_block; /* bytes: offsets and lengths are multiples of it */
	uint32_t physical_block;
	uint32_t optimal_io;
	uint32_t align; /* direct I/O: of buffers in memory, a power of two */
};

/* Looks at `fd`, which stays the caller's on error. 0, -EINVAL (neither file nor block device), or
 * -errno. */
int file_init(struct file *f, int fd, const struct vio_storage_file_config *cfg);

int file_info(const struct file *f, struct vio_storage_info *info);

int file_discard(const struct file *f, uint64_t off, uint64_t len);
int file_write_zeroes(const struct file *f, uint64_t off, uint64_t len, uint32_t flags);

#endif
