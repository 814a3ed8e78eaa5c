/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The libaio engine: kernel AIO. Requests of a batch go to the kernel in one call; completions are
 * seen through an eventfd, or, on a loop that polls, by looking at the kernel's ring in memory.
 * Without direct I/O the kernel does reads and writes inside the submitting call.
 */
#include <viodm/engines.h>
#include <viodm/iov.h>

#include "file.h"

#include <viodm/loop.h>

#include <errno.h>
#include <libaio.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SLOTS 256 /* requests in the kernel at a time, per channel */

/*
 * Destroying a kernel context waits for a grace period of the whole machine, a tenth of a second
 * and more: too long for a driver that resets its device. Detached channels are kept for the next
 * attach until the storage is closed.
 */
struct aio_storage {
	struct file_storage fs;
	pthread_mutex_t lock;
	struct aio_channel *spare;
};

struct aio_channel {
	struct vio_channel base;
	struct aio_channel *next; /* in `spare` */
	const struct file *file;
	struct vio_loop *loop;
	io_context_t ctx;
	struct vio_watch watch; /* completions */
	struct vio_poller poller;
	bool polls;
	struct iocb iocbs[SLOTS];     /* of one submitting call; the kernel copies them */
	struct vio_io *first, **last; /* submitted by the device, not yet to the kernel */
	unsigned in_kernel;
	bool done_inside; /* requests were done inside submit since drained was called last */
	char *bounce;
};

/* What is kept of a request while it is in flight; lives in io->engine. */
struct aio_io {
	struct vio_io *next;
	uint64_t done;
};

_Static_assert(sizeof(struct aio_io) <= sizeof(((struct vio_io *)0)->engine), "fits");

static struct aio_channel *to_channel(struct vio_channel *ch)
{
	return vio_container_of(ch, struct aio_channel, base);
}

static struct aio_io *io_state(struct vio_io *io)
{
	return (struct aio_io *)(void *)io->engine;
}

/* ---- towards the kernel -------------------------------------------------------------------------
 */

static void pending_add(struct aio_channel *ch, struct vio_io *io)
{
	io_state(io)->next = NULL;
	*ch->last = io;
	ch->last = &io_state(io)->next;
}

static void iocb_fill(struct aio_channel *ch, struct iocb *cb, struct vio_io *io)
{
	long long off = (long long)(io->offset + io_state(io)->done);

	if (io->op == VIO_IO_READ)
		io_prep_preadv(cb, ch->file->fd, io->iov, (int)io->n_iov, off);
	else
		io_prep_pwritev(cb, ch->file->fd, io->iov, (int)io->n_iov, off);
	if (io->op == VIO_IO_WRITE && io->flags & VIO_IO_FUA)
		cb->aio_rw_flags = RWF_DSYNC;
	cb->data = io;
	io_set_eventfd(cb, ch->watch.fd);
}

static void io_end(struct vio_io *io, int result)
{
	io->result = result;
	io->done(io);
}

/* The first pending request cannot be submitted; it takes its error with it. */
static void pending_fail(struct aio_channel *ch, int error)
{
	struct vio_io *io = ch->first;

	ch->first = io_state(io)->next;
	if (!ch->first)
		ch->last = &ch->first;
	ch->done_inside = true;
	io_end(io, error);
}

/* Gives the kernel as much as it takes; the rest stays pending until something is done. */
static void pending_submit(struct aio_channel *ch)
{
	while (ch->first && ch->in_kernel < SLOTS) {
		struct iocb *list[SLOTS];
		unsigned n = 0;
		int r;

		for (struct vio_io *io = ch->first; io && ch->in_kernel + n < SLOTS;
		     io = io_state(io)->next) {
			iocb_fill(ch, &ch->iocbs[n], io);
			list[n] = &ch->iocbs[n];
			n++;
		}
		r = io_submit(ch->ctx, n, list);
		if (r == -EINTR || (r == -EAGAIN && ch->in_kernel == 0))
			continue; /* nothing of ours will come back to try again after */
		if (r == -EAGAIN)
			return;
		if (r <= 0) {
			pending_fail(ch, r < 0 ? r : -EIO);
			continue;
		}
		ch->in_kernel += (unsigned)r;
		while (r-- > 0)
			ch->first = io_state(ch->first)->next;
		if (!ch->first)
			ch->last = &ch->first;
	}
}

static bool needs_sync(const struct aio_channel *ch, const struct vio_io *io)
{
	if (io->op != VIO_IO_READ && io->op != VIO_IO_WRITE)
		return true; /* kernel AIO has no ranges, and its fsync blocks */
	return io->n_iov > IOV_MAX || !file_io_aligned(ch->file, io);
}

static void aio_submit(struct vio_channel *base, struct vio_io *io)
{
	struct aio_channel *ch = to_channel(base);

	if (needs_sync(ch, io)) {
		ch->done_inside = true;
		io_end(io, file_io(ch->file, ch->bounce, io));
		return;
	}
	io_state(io)->done = 0;
	pending_add(ch, io);
}

static void tell_drained(struct aio_channel *ch)
{
	if (!ch->done_inside)
		return;
	ch->done_inside = false;
	ch->base.drained(&ch->base);
}

/* ---- back from the kernel
 * ------------------------------------------------------------------------ */

/* After a short count: the rest goes to the kernel again. True when there is none. */
static bool rw_finished(struct vio_io *io, uint64_t n)
{
	struct vio_iov v = {.v = io->iov, .n = io->n_iov, .len = io->length - io_state(io)->done};

	vio_iov_skip(&v, n);
	io_state(io)->done += n;
	io->iov = v.v;
	io->n_iov = v.n;
	return v.len == 0;
}

static void on_event(struct aio_channel *ch, struct vio_io *io, long res)
{
	ch->in_kernel--;
	if (res == -EAGAIN || (res > 0 && !rw_finished(io, (uint64_t)res))) {
		pending_add(ch, io);
		return;
	}
	ch->done_inside = true;
	/* 0: the file is shorter than it was */
	io_end(io, res < 0 ? (int)res : res == 0 ? -EIO : 0);
}

/* Takes what is there, or waits for one. Returns how many. */
static unsigned reap(struct aio_channel *ch, long min)
{
	struct timespec zero = {0};
	struct io_event events[64];
	unsigned total = 0;
	int n;

	do {
		/* Without waiting this looks at memory first: no system call when nothing is there.
		 */
		n = io_getevents(ch->ctx, min, VIO_ARRAY_LEN(events), events, min ? NULL : &zero);
		for (int i = 0; i < n; i++)
			on_event(ch, events[i].data, (long)events[i].res);
		total += n > 0 ? (unsigned)n : 0;
		min = 0;
	} while (n == (int)VIO_ARRAY_LEN(events));
	pending_submit(ch);
	tell_drained(ch);
	return total;
}

static void on_completions(struct vio_watch *w)
{
	vio_event_take(w->fd); /* the kernel's ring says what there is */
	reap(vio_container_of(w, struct aio_channel, watch), 0);
}

static bool on_poll(struct vio_poller *p)
{
	struct aio_channel *ch = vio_container_of(p, struct aio_channel, poller);

	return ch->in_kernel > 0 && reap(ch, 0) > 0;
}

static void aio_commit(struct vio_channel *base)
{
	struct aio_channel *ch = to_channel(base);

	pending_submit(ch);
	/* Buffered I/O is done by now: no need to come back for it. */
	if (ch->in_kernel == 0 || reap(ch, 0) == 0)
		tell_drained(ch);
}

static void aio_drain(struct vio_channel *base)
{
	struct aio_channel *ch = to_channel(base);

	pending_submit(ch);
	while (ch->in_kernel > 0)
		reap(ch, 1);
	tell_drained(ch);
}

/* ---- life --------------------------------------------------------------------------------------
 */

static struct aio_storage *to_storage(struct vio_storage *st)
{
	return vio_container_of(st, struct aio_storage, fs.base);
}

static void channel_free(struct aio_channel *ch)
{
	if (ch->watch.fd >= 0)
		close(ch->watch.fd);
	if (ch->ctx)
		io_destroy(ch->ctx);
	free(ch->bounce);
	free(ch);
}

static int channel_new(const struct file *file, struct aio_channel **out)
{
	struct aio_channel *ch = calloc(1, sizeof(*ch));
	int r;

	if (!ch)
		return -ENOMEM;
	ch->file = file;
	ch->last = &ch->first;
	ch->watch.on_ready = on_completions;
	ch->poller.poll = on_poll;
	ch->poller.arm = on_poll; /* the eventfd is always armed: one more look is all it takes */
	ch->watch.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	r = ch->watch.fd < 0 ? -errno : file_bounce_alloc(file, &ch->bounce);
	if (r == 0)
		r = io_setup(SLOTS, &ch->ctx);
	if (r < 0) {
		channel_free(ch);
		return r;
	}
	*out = ch;
	return 0;
}

static struct aio_channel *spare_take(struct aio_storage *as)
{
	struct aio_channel *ch;

	pthread_mutex_lock(&as->lock);
	ch = as->spare;
	if (ch)
		as->spare = ch->next;
	pthread_mutex_unlock(&as->lock);
	return ch;
}

static void spare_put(struct aio_storage *as, struct aio_channel *ch)
{
	pthread_mutex_lock(&as->lock);
	ch->next = as->spare;
	as->spare = ch;
	pthread_mutex_unlock(&as->lock);
}

static int aio_attach(struct vio_storage *st, struct vio_loop *loop, struct vio_channel **out)
{
	struct aio_channel *ch = spare_take(to_storage(st));
	int r = ch ? 0 : channel_new(file_of(st), &ch);

	if (r < 0)
		return r;
	ch->loop = loop;
	r = vio_loop_watch(loop, &ch->watch);
	if (r < 0) {
		spare_put(to_storage(st), ch);
		return r;
	}
	ch->polls = vio_loop_poll_add(loop, &ch->poller);
	*out = &ch->base;
	return 0;
}

static void aio_detach(struct vio_channel *base)
{
	struct aio_channel *ch = to_channel(base);

	if (ch->polls)
		vio_loop_poll_remove(ch->loop, &ch->poller);
	vio_loop_unwatch(ch->loop, &ch->watch);
	spare_put(to_storage(base->storage), ch);
}

static void aio_close(struct vio_storage *st)
{
	struct aio_storage *as = to_storage(st);
	struct aio_channel *ch;

	while ((ch = spare_take(as)) != NULL)
		channel_free(ch);
	pthread_mutex_destroy(&as->lock);
	close(as->fs.file.fd);
	free(as);
}

static const struct vio_storage_ops aio_ops = {
	.name = "libaio",
	.info = file_storage_info,
	.attach = aio_attach,
	.detach = aio_detach,
	.submit = aio_submit,
	.commit = aio_commit,
	.drain = aio_drain,
	.close = aio_close,
};

int vio_storage_libaio_open(const char *path, const struct vio_storage_file_config *cfg,
			    struct vio_storage **out)
{
	struct aio_storage *as = calloc(1, sizeof(*as));
	int r;

	if (!as)
		return -ENOMEM;
	r = file_storage_init(&as->fs, &aio_ops, path, cfg);
	if (r < 0) {
		free(as);
		return r;
	}
	pthread_mutex_init(&as->lock, NULL);
	*out = &as->fs.base;
	return 0;
}
