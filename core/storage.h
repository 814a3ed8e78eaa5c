/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_STORAGE_H
#define VIODM_STORAGE_H

/*
 * The contract of a storage engine: what stands under a disk and moves its bytes.
 *
 * An engine is opened once per device (struct vio_storage) and attached once per queue (struct
 * vio_channel), on that queue's loop. A channel and its requests belong to that loop's thread;
 * different channels of one storage work at the same time on different threads.
 */

#include <sys/uio.h>

#include <viodm/util.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vio_loop;
struct vio_mem;
struct vio_storage;
struct vio_channel;

enum vio_io_op {
	VIO_IO_READ,
	VIO_IO_WRITE,
	VIO_IO_FLUSH,
	VIO_IO_DISCARD,	     /* contents become undefined; may free space */
	VIO_IO_WRITE_ZEROES, /* reads return zeroes afterwards */
};

#define VIO_IO_FUA   0x1u /* write, write-zeroes, discard: stable before done is called */
#define VIO_IO_UNMAP 0x2u /* write-zeroes: may free the space */

/*
 * One request. The submitter fills it, has checked offset + length against the storage's size, and
 * leaves it alone until `done`. The engine may change the entries of `iov` while it works.
 */
struct vio_io {
	enum vio_io_op op;
	uint32_t flags;
	uint64_t offset;   /* bytes */
	uint64_t length;   /* bytes; read, write: the sum of iov[]. Flush: 0 */
	struct iovec *iov; /* read, write: where the bytes go or come from */
	uint32_t n_iov;
	int result; /* set by the engine: 0 when all `length` bytes were done, otherwise -errno */
	void (*done)(struct vio_io *io);
	uint64_t engine[4]; /* the engine's own from submit to done */
};

/* What an open storage is; all sizes in bytes. */
struct vio_storage_info {
	uint64_t size;
	uint32_t logical_block;	 /* smallest addressable unit: power of two, >= 512 */
	uint32_t physical_block; /* power of two, >= logical_block */
	uint32_t optimal_io;	 /* preferred transfer, 0: unknown */
	uint32_t discard_granularity;
	bool readonly;
	bool discard;	   /* VIO_IO_DISCARD works */
	bool write_zeroes; /* VIO_IO_WRITE_ZEROES works */
	bool may_unmap;	   /* ... and can free space with VIO_IO_UNMAP */
};

struct vio_storage_ops {
	const char *name;
	/* Any thread. Reads the present size and properties. 0 or -errno. Required. */
	int (*info)(struct vio_storage *st, struct vio_storage_info *info);
	/* Loop thread. Allocates the channel. 0 or -errno. Required. */
	int (*attach)(struct vio_storage *st, struct vio_loop *loop, struct vio_channel **out);
	/* Loop thread, before the first submit. Optional; see vio_channel_memory(). */
	void (*memory)(struct vio_channel *ch, const struct vio_mem *mem);
	/* Loop thread, nothing in flight. Required. */
	void (*detach)(struct vio_channel *ch);
	/* Loop thread. Required; see vio_channel_submit(). */
	void (*submit)(struct vio_channel *ch, struct vio_io *io);
	/* Loop thread. Optional; see vio_channel_commit(). */
	void (*commit)(struct vio_channel *ch);
	/* Loop thread. Optional when all requests are done before submit returns. */
	void (*drain)(struct vio_channel *ch);
	/* Any thread, no channel attached. Required. */
	void (*close)(struct vio_storage *st);
};

struct vio_storage {
	const struct vio_storage_ops *ops;
};

struct vio_channel {
	struct vio_storage *storage;
	/* Called after each batch of completions, never before the last `done` of the batch; NULL
	 * until the user sets it right after attach. */
	void (*drained)(struct vio_channel *ch);
	void *user;
};

VIO_EXPORT int vio_storage_info(struct vio_storage *st, struct vio_storage_info *info);

/* Closes an engine that no device uses any more. NULL is allowed. */
VIO_EXPORT void vio_storage_close(struct vio_storage *st);

/* Attaches `st` to a loop. `drained` and `user` are stored in the channel. 0 or -errno. */
VIO_EXPORT int vio_channel_attach(struct vio_storage *st, struct vio_loop *loop,
				  void (*drained)(struct vio_channel *ch), void *user,
				  struct vio_channel **out);

/*
 * Tells the engine where the requests' buffers will lie, most of them at least: it may register
 * that memory. Once at most, right after attach; `mem` stays as it is until detach.
 */
VIO_EXPORT void vio_channel_memory(struct vio_channel *ch, const struct vio_mem *mem);

/* NULL is allowed. */
VIO_EXPORT void vio_channel_detach(struct vio_channel *ch);

/*
 * Hands one request to the engine. Every outcome comes through io->done, exactly once, on the
 * channel's loop, possibly before submit returns. A shortage of the engine's own slots is the
 * engine's problem. `done` may submit again.
 */
VIO_EXPORT void vio_channel_submit(struct vio_channel *ch, struct vio_io *io);

/*
 * Ends a batch of submits: the engine starts what it was given. `drained` runs at the latest in
 * here for requests that were done inside submit.
 */
VIO_EXPORT void vio_channel_commit(struct vio_channel *ch);

/* Waits until nothing of this channel is in flight; every `done` has been called. */
VIO_EXPORT void vio_channel_drain(struct vio_channel *ch);

#ifdef __cplusplus
}
#endif
#endif
