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

/* The storage of every engine on a file, with the ops that are the same for all of them. */
struct file_storage {
	struct vio_storage base;
	struct file file;
};

static inline struct file *file_of(struct vio_storage *st)
{
	return &vio_container_of(st, struct file_storage, base)->file;
}

/* See engines.h; `ops` makes it the engine it is. init is for an engine that embeds the struct. */
int file_storage_init(struct file_storage *fs, const struct vio_storage_ops *ops, const char *path,
		      const struct vio_storage_file_config *cfg);
int file_storage_open(const struct vio_storage_ops *ops, const char *path,
		      const struct vio_storage_file_config *cfg, struct vio_storage **out);
int file_storage_info(struct vio_storage *st, struct vio_storage_info *info);
void file_storage_close(struct vio_storage *st);

/*
 * A buffer for file_io() with direct I/O: *bounce is to be freed with free(), or NULL for a file
 * that needs none. 0 or -ENOMEM.
 */
int file_bounce_alloc(const struct file *f, char **bounce);

/* False when the file system would refuse a direct read or write with these buffers. */
bool file_io_aligned(const struct file *f, const struct vio_io *io);

/*
 * Does one request and waits for it: the result. `bounce` is from file_bounce_alloc() and used by
 * one thread at a time.
 */
int file_io(const struct file *f, char *bounce, const struct vio_io *io);

/* The fallocate() mode of a discard or write-zeroes request on a regular file. */
int file_range_mode(const struct vio_io *io);

#endif
