/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The io_uring engine. On an IO thread it submits to the ring that the thread's loop sleeps in, so
 * a batch of requests of any number of queues costs one system call; on another loop each channel
 * has a ring of its own, which the loop watches.
 *
 * The file is registered with the ring, and for direct I/O the memory of the buffers, too (the
 * kernel would have to find and pin the pages of each request, which buffered I/O does not need).
 */
#include <viodm/engines.h>
#include <viodm/iov.h>

#include "../loop_uring.h"
#include "file.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#define ENTRIES 256

/*
 * The kernel holds what one submission brings for a disk until the end of it. A disk that has
 * nothing else to do should not wait for all of a large batch to be prepared: with 32 requests that
 * come and go together this is a tenth of the throughput.
 */
#define DIRECT_BATCH 8

struct uring_channel {
	struct vio_channel base;
	const struct file *file;
	struct uring *u;  /* the loop's, or: */
	struct uring own; /* ... watched by the loop */
	struct vio_loop *loop;
	struct vio_watch watch;
	struct uring_after after;
	int fixed_file; /* number in the ring, or -1 */
	const struct vio_mem *mem;
	unsigned fixed_pieces; /* of `mem`, in the ring */
	unsigned in_flight;
	bool done_inside; /* requests were done inside submit since the last commit */
	char *bounce;
};

/* What is kept of a request while it is in flight; lives in io->engine. */
struct uring_io {
	struct uring_op op;
	struct uring_channel *ch;
	uint64_t done; /* bytes of a read or write */
	bool syncing;  /* the zeroes are written, now they are made stable */
};

_Static_assert(sizeof(struct uring_io) <= sizeof(((struct vio_io *)0)->engine), "fits");

static struct uring_channel *to_channel(struct vio_channel *ch)
{
	return vio_container_of(ch, struct uring_channel, base);
}

static struct uring_io *io_state(struct vio_io *io)
{
	return (struct uring_io *)(void *)io->engine;
}

/* ---- requests ----------------------------------------------------------------------------------
 */

static void prep_vector(struct vio_io *io, struct io_uring_sqe *sqe, int fd, uint64_t off)
{
	if (io->op == VIO_IO_READ)
		io_uring_prep_readv(sqe, fd, io->iov, io->n_iov, off);
	else
		io_uring_prep_writev(sqe, fd, io->iov, io->n_iov, off);
}

static void prep_one(struct vio_io *io, struct io_uring_sqe *sqe, int fd, uint64_t off, int piece)
{
	void *base = io->iov->iov_base;
	unsigned len = (unsigned)io->iov->iov_len;

	if (io->op == VIO_IO_READ && piece >= 0)
		io_uring_prep_read_fixed(sqe, fd, base, len, off, piece);
	else if (io->op == VIO_IO_READ)
		io_uring_prep_read(sqe, fd, base, len, off);
	else if (piece >= 0)
		io_uring_prep_write_fixed(sqe, fd, base, len, off, piece);
	else
		io_uring_prep_write(sqe, fd, base, len, off);
}

static void prep_rw(struct uring_channel *ch, struct vio_io *io, struct io_uring_sqe *sqe)
{
	const struct iovec *v = io->iov;
	int fd = ch->file->fd;
	uint64_t off = io->offset + io_state(io)->done;

	if (io->n_iov > 1)
		prep_vector(io, sqe, fd, off);
	else
		prep_one(io, sqe, fd, off,
			 ch->fixed_pieces == 0
				 ? -1
				 : uring_fixed_mem_find(&ch->u->fixed, v->iov_base, v->iov_len));
	if (io->op == VIO_IO_WRITE && io->flags & VIO_IO_FUA)
		sqe->rw_flags = RWF_DSYNC;
}

static void io_start(struct uring_channel *ch, struct vio_io *io)
{
	struct uring_io *s = io_state(io);
	struct io_uring_sqe *sqe = uring_sqe(ch->u, &s->op);

	switch (io->op) {
	case VIO_IO_READ:
	case VIO_IO_WRITE:
		prep_rw(ch, io, sqe);
		break;
	case VIO_IO_DISCARD:
	case VIO_IO_WRITE_ZEROES:
		if (!s->syncing) {
			io_uring_prep_fallocate(sqe, ch->file->fd, file_range_mode(io),
						(off_t)io->offset, (off_t)io->length);
			break;
		}
		__attribute__((fallthrough));
	case VIO_IO_FLUSH:
		io_uring_prep_fsync(sqe, ch->file->fd, IORING_FSYNC_DATASYNC);
		break;
	}
	if (ch->fixed_file >= 0) {
		sqe->fd = ch->fixed_file;
		sqe->flags |= IOSQE_FIXED_FILE;
	}
	ch->in_flight++;
}

/* After a short count: what is left of the request. */
static bool rw_goes_on(struct vio_io *io, int n)
{
	struct vio_iov v = {.v = io->iov, .n = io->n_iov, .len = io->length - io_state(io)->done};

	vio_iov_skip(&v, (uint64_t)n);
	io_state(io)->done += (uint64_t)n;
	io->iov = v.v;
	io->n_iov = v.n;
	return v.len > 0;
}

/* The result, or 1 when the request needs another round. */
static int io_result(struct uring_channel *ch, struct vio_io *io, int result)
{
	struct uring_io *s = io_state(io);

	switch (io->op) {
	case VIO_IO_READ:
	case VIO_IO_WRITE:
		if (result == -EAGAIN || result == -EINTR)
			return 1;
		if (result == 0)
			return -EIO; /* the file is shorter than it was */
		return result < 0 ? result : rw_goes_on(io, result);
	case VIO_IO_FLUSH:
		return result;
	case VIO_IO_DISCARD:
		return result == -EOPNOTSUPP ? 0 : result; /* advice only */
	case VIO_IO_WRITE_ZEROES:
		if (result == -EOPNOTSUPP && !s->syncing)
			return file_io(ch->file, ch->bounce, io);
		if (result == 0 && io->flags & VIO_IO_FUA && !s->syncing) {
			s->syncing = true;
			return 1;
		}
		return result;
	}
	return result;
}

static void on_complete(struct uring_op *op, int result)
{
	struct uring_io *s = vio_container_of(op, struct uring_io, op);
	struct vio_io *io = vio_container_of((void *)s, struct vio_io, engine);
	struct uring_channel *ch = s->ch;

	ch->in_flight--;
	result = io_result(ch, io, result);
	if (result > 0) {
		io_start(ch, io);
		return;
	}
	io->result = result;
	uring_run_after(ch->u, &ch->after);
	io->done(io);
}

/* What the ring cannot do in one piece, or not at all, is done on the spot. */
static bool needs_sync(const struct uring_channel *ch, const struct vio_io *io)
{
	switch (io->op) {
	case VIO_IO_READ:
	case VIO_IO_WRITE:
		return io->n_iov > IOV_MAX || io->length > INT32_MAX ||
		       !file_io_aligned(ch->file, io);
	case VIO_IO_DISCARD:
		return ch->file->block_device;
	default:
		return false;
	}
}

static void uring_submit_io(struct vio_channel *base, struct vio_io *io)
{
	struct uring_channel *ch = to_channel(base);

	if (needs_sync(ch, io)) {
		io->result = file_io(ch->file, ch->bounce, io);
		ch->done_inside = true;
		io->done(io);
		return;
	}
	*io_state(io) = (struct uring_io){.op.done = on_complete, .ch = ch};
	io_start(ch, io);
	if (ch->file->direct && ch->u->unsubmitted >= DIRECT_BATCH)
		uring_submit(ch->u);
}

/* On the loop's ring the loop submits, once for all queues of this turn. */
static void uring_commit(struct vio_channel *base)
{
	struct uring_channel *ch = to_channel(base);

	if (ch->u == &ch->own)
		uring_submit(ch->u);
	if (ch->done_inside) {
		ch->done_inside = false;
		base->drained(base);
	}
}

static void on_after(struct uring_after *after)
{
	struct uring_channel *ch = vio_container_of(after, struct uring_channel, after);

	ch->base.drained(&ch->base);
}

static void on_ring(struct vio_watch *w)
{
	struct uring_channel *ch = vio_container_of(w, struct uring_channel, watch);

	uring_reap(ch->u);
	uring_submit(ch->u); /* rounds that requests needed besides their first */
}

static void uring_drain(struct vio_channel *base)
{
	struct uring_channel *ch = to_channel(base);

	while (ch->in_flight > 0) {
		uring_wait(ch->u);
		uring_reap(ch->u);
	}
}

/* ---- life --------------------------------------------------------------------------------------
 */

static int own_ring(struct uring_channel *ch)
{
	int r = uring_init(&ch->own, ENTRIES, false);

	if (r < 0)
		return r;
	ch->u = &ch->own;
	ch->watch.fd = ch->own.ring.ring_fd;
	ch->watch.on_ready = on_ring;
	r = vio_loop_watch(ch->loop, &ch->watch);
	if (r < 0)
		uring_fini(&ch->own);
	return r;
}

static int uring_attach(struct vio_storage *st, struct vio_loop *loop, struct vio_channel **out)
{
	struct uring_channel *ch = calloc(1, sizeof(*ch));
	int r;

	if (!ch)
		return -ENOMEM;
	ch->file = file_of(st);
	ch->loop = loop;
	ch->after.run = on_after;
	r = file_bounce_alloc(ch->file, &ch->bounce);
	if (r < 0)
		goto free_ch;
	ch->u = loop_uring_ring(loop);
	if (!ch->u) {
		r = own_ring(ch);
		if (r < 0)
			goto free_bounce;
	}
	ch->fixed_file = uring_fixed_file_add(&ch->u->fixed, &ch->u->ring, ch->file->fd);
	*out = &ch->base;
	return 0;

free_bounce:
	free(ch->bounce);
free_ch:
	free(ch);
	return r;
}

static void uring_memory(struct vio_channel *base, const struct vio_mem *mem)
{
	struct uring_channel *ch = to_channel(base);

	if (!ch->file->direct)
		return;
	ch->mem = mem;
	ch->fixed_pieces = uring_fixed_mem_add(&ch->u->fixed, &ch->u->ring, mem);
}

static void uring_detach(struct vio_channel *base)
{
	struct uring_channel *ch = to_channel(base);

	uring_fixed_file_remove(&ch->u->fixed, &ch->u->ring, ch->fixed_file);
	if (ch->fixed_pieces > 0)
		uring_fixed_mem_remove(&ch->u->fixed, &ch->u->ring, ch->mem, ch->fixed_pieces);
	if (ch->u == &ch->own) {
		vio_loop_unwatch(ch->loop, &ch->watch);
		uring_fini(&ch->own);
	}
	free(ch->bounce);
	free(ch);
}

static const struct vio_storage_ops uring_engine_ops = {
	.name = "io_uring",
	.info = file_storage_info,
	.attach = uring_attach,
	.memory = uring_memory,
	.detach = uring_detach,
	.submit = uring_submit_io,
	.commit = uring_commit,
	.drain = uring_drain,
	.close = file_storage_close,
};

int vio_storage_uring_open(const char *path, const struct vio_storage_file_config *cfg,
			   struct vio_storage **out)
{
	return file_storage_open(&uring_engine_ops, path, cfg, out);
}
