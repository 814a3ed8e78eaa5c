/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_ENGINES_H
#define VIODM_ENGINES_H

/*
 * Storage engines (storage.h). Each open call returns 0 and an engine to be closed with
 * vio_storage_close(), or -errno.
 */

#include <viodm/storage.h>

#ifdef __cplusplus
extern "C" {
#endif

/* null: `size` bytes (a multiple of 512) that read as zeroes; writes vanish. For benchmarks. */
VIO_EXPORT int vio_storage_null_open(uint64_t size, struct vio_storage **out);

/* memory: `size` bytes (a multiple of 512) of this process's memory, zero at first, gone at close.
 */
VIO_EXPORT int vio_storage_memory_open(uint64_t size, struct vio_storage **out);

struct vio_storage_file_config {
	bool readonly;
	bool direct; /* O_DIRECT: bypass the host's page cache */
};

/*
 * sync: a raw image file or a block device, with preadv/pwritev on the loop's own thread. The
 * format is raw, always; nothing in the file is interpreted. Works with direct I/O too: buffers
 * that are not aligned go through a bounce buffer.
 */
VIO_EXPORT int vio_storage_sync_open(const char *path, const struct vio_storage_file_config *cfg,
				     struct vio_storage **out);

/* The same from an open descriptor, which the engine owns on success. */
VIO_EXPORT int vio_storage_sync_open_fd(int fd, const struct vio_storage_file_config *cfg,
					struct vio_storage **out);

#ifdef __cplusplus
}
#endif
#endif
