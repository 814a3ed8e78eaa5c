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

/* What a read of the null engine does to the driver's buffer. */
enum vio_null_fill {
	VIO_NULL_ZEROES,
	VIO_NULL_NONE, /* nothing: the driver finds what it left there */
};

/*
 * null: `size` bytes (a multiple of 512) that read as `fill` says; writes vanish. For benchmarks.
 */
VIO_EXPORT int vio_storage_null_open(uint64_t size, enum vio_null_fill fill,
				     struct vio_storage **out);

/* memory: `size` bytes (a multiple of 512) of this process's memory, zero at first, gone at close.
 */
VIO_EXPORT int vio_storage_memory_open(uint64_t size, struct vio_storage **out);

/*
 * Engines on a raw image file or a block device. The format is raw, always; nothing in the file is
 * interpreted. Reads and writes with direct I/O work with any buffers: those that are not aligned
 * go through a bounce buffer.
 */
struct vio_storage_file_config {
	bool readonly;
	bool direct; /* O_DIRECT: bypass the host's page cache */
	int fd;	     /* path NULL: an open descriptor, which the engine owns on success */
};

/* sync: preadv, pwritev and so on, on the loop's own thread. */
VIO_EXPORT int vio_storage_sync_open(const char *path, const struct vio_storage_file_config *cfg,
				     struct vio_storage **out);

/* threads: the same in a pool of threads of this storage; for files that neither of the next can do
 * without blocking. */
VIO_EXPORT int vio_storage_threads_open(const char *path, const struct vio_storage_file_config *cfg,
					struct vio_storage **out);

/* libaio: kernel AIO. Asynchronous for direct I/O; other reads and writes block in the submitting
 * call, which is the fastest way for files in memory (tmpfs). */
VIO_EXPORT int vio_storage_libaio_open(const char *path, const struct vio_storage_file_config *cfg,
				       struct vio_storage **out);

/*
 * io_uring. On an IO thread the requests go into the ring its loop sleeps in; on any other loop
 * each queue has a ring of its own. Opening does not need a ring; a queue that cannot get one fails
 * to start. With direct I/O the guest memory is registered with the ring, which keeps it in RAM, as
 * long as it is not more than the soft limit RLIMIT_MEMLOCK: a request then costs less.
 */
VIO_EXPORT int vio_storage_uring_open(const char *path, const struct vio_storage_file_config *cfg,
				      struct vio_storage **out);

/*
 * Opens whichever of the engines above suits the file best, and says which and why in the log
 * (VIO_LOG_INFO; log NULL: standard error):
 *
 *	a file in memory (tmpfs, ramfs, hugetlbfs)              sync
 *	a file system without non-blocking I/O (many network    threads
 *	and FUSE ones)
 *	any other file, a block device                          io_uring; where the kernel gives
 *	                                                        none libaio if cfg->direct, else
 *	                                                        threads
 *
 * The name of the engine is (*out)->ops->name. Any thread.
 */
VIO_EXPORT int vio_storage_auto_open(const char *path, const struct vio_storage_file_config *cfg,
				     const struct vio_log *log, struct vio_storage **out);

#ifdef __cplusplus
}
#endif
#endif
