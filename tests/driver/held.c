/* SPDX-License-Identifier: BSD-3-Clause */
#include <driver/held.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MAX_KEPT 4096
#define N_OPS	 (VIO_IO_WRITE_ZEROES + 1)
#define N_FLAGS	 4 /* combinations of VIO_IO_FUA and VIO_IO_UNMAP */

struct held_channel {
	struct vio_channel base;
	struct drv_held *held;
};

struct kept {
	struct vio_io *io;
	struct held_channel *ch;
};

struct drv_held {
	struct vio_storage base;
	uint8_t *bytes;
	bool hold;
	struct kept kept[MAX_KEPT];
	unsigned n_kept;
	int error[N_OPS];
	unsigned seen[N_OPS][N_FLAGS];
	unsigned bad;
	void (*hook)(void *arg);
	void *hook_arg;
	pthread_mutex_t lock; /* info: read by any thread */
	struct vio_storage_info info;
};

static struct drv_held *to_held(struct vio_storage *st)
{
	return vio_container_of(st, struct drv_held, base);
}

static struct held_channel *to_channel(struct vio_channel *ch)
{
	return vio_container_of(ch, struct held_channel, base);
}

struct vio_storage *drv_held_storage(struct drv_held *h)
{
	return &h->base;
}

uint8_t *drv_held_bytes(const struct drv_held *h)
{
	return h->bytes;
}

void drv_held_hold(struct drv_held *h, bool hold)
{
	h->hold = hold;
}

unsigned drv_held_count(const struct drv_held *h)
{
	return h->n_kept;
}

void drv_held_on_submit(struct drv_held *h, void (*hook)(void *arg), void *arg)
{
	h->hook = hook;
	h->hook_arg = arg;
}

void drv_held_fail(struct drv_held *h, enum vio_io_op op, int error)
{
	h->error[op] = error;
}

unsigned drv_held_seen(const struct drv_held *h, enum vio_io_op op, uint32_t flags)
{
	unsigned n = 0;

	for (uint32_t f = 0; f < N_FLAGS; f++)
		if ((f & flags) == flags)
			n += h->seen[op][f];
	return n;
}

unsigned drv_held_bad(const struct drv_held *h)
{
	return h->bad;
}

void drv_held_resize(struct drv_held *h, uint64_t size)
{
	pthread_mutex_lock(&h->lock);
	h->info.size = size;
	pthread_mutex_unlock(&h->lock);
}

void drv_held_set_info(struct drv_held *h, const struct vio_storage_info *info)
{
	pthread_mutex_lock(&h->lock);
	h->info = *info;
	pthread_mutex_unlock(&h->lock);
}

/* ---- the engine -------------------------------------------------------------------------------*/

static int held_info(struct vio_storage *st, struct vio_storage_info *info)
{
	struct drv_held *h = to_held(st);

	pthread_mutex_lock(&h->lock);
	*info = h->info;
	pthread_mutex_unlock(&h->lock);
	return 0;
}

static uint64_t iov_bytes(const struct vio_io *io)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < io->n_iov; i++)
		n += io->iov[i].iov_len;
	return n;
}

static bool io_sane(struct drv_held *h, const struct vio_io *io)
{
	struct vio_storage_info info;

	held_info(&h->base, &info);
	if (!vio_range_ok(io->offset, io->length, info.size))
		return false;
	if (io->op == VIO_IO_READ || io->op == VIO_IO_WRITE)
		return iov_bytes(io) == io->length;
	return true;
}

static void held_copy(struct drv_held *h, const struct vio_io *io)
{
	uint8_t *at = h->bytes + io->offset;

	for (uint32_t i = 0; i < io->n_iov; i++) {
		const struct iovec *v = &io->iov[i];

		if (v->iov_len == 0)
			continue;
		if (io->op == VIO_IO_READ)
			memcpy(v->iov_base, at, v->iov_len);
		else
			memcpy(at, v->iov_base, v->iov_len);
		at += v->iov_len;
	}
}

static void held_finish(struct drv_held *h, struct vio_io *io)
{
	io->result = h->error[io->op];
	if (!io_sane(h, io)) {
		h->bad++;
		io->result = -EINVAL;
	}
	if (io->result == 0 && (io->op == VIO_IO_READ || io->op == VIO_IO_WRITE))
		held_copy(h, io);
	if (io->result == 0 && (io->op == VIO_IO_DISCARD || io->op == VIO_IO_WRITE_ZEROES))
		memset(h->bytes + io->offset, 0, io->length);
	io->done(io);
}

static void held_submit(struct vio_channel *ch, struct vio_io *io)
{
	struct drv_held *h = to_channel(ch)->held;

	h->seen[io->op][io->flags & (N_FLAGS - 1)]++;
	if (h->hold && h->n_kept < MAX_KEPT)
		h->kept[h->n_kept++] = (struct kept){.io = io, .ch = to_channel(ch)};
	else
		held_finish(h, io);
	if (h->hook)
		h->hook(h->hook_arg);
}

static void held_commit(struct vio_channel *ch)
{
	if (ch->drained)
		ch->drained(ch);
}

/* Takes entry `i` out and answers it. */
static struct held_channel *answer(struct drv_held *h, unsigned i)
{
	struct kept k = h->kept[i];

	memmove(&h->kept[i], &h->kept[i + 1], (h->n_kept - i - 1) * sizeof(h->kept[0]));
	h->n_kept--;
	held_finish(h, k.io);
	return k.ch;
}

unsigned drv_held_release(struct drv_held *h, unsigned n, bool reverse)
{
	unsigned done = 0;

	while (done < n && h->n_kept > 0) {
		struct held_channel *ch = answer(h, reverse ? h->n_kept - 1 : 0);

		held_commit(&ch->base);
		done++;
	}
	return done;
}

static void held_drain(struct vio_channel *ch)
{
	struct drv_held *h = to_channel(ch)->held;

	for (unsigned i = 0; i < h->n_kept;) {
		if (&h->kept[i].ch->base == ch)
			answer(h, i);
		else
			i++;
	}
	held_commit(ch);
}

static int held_attach(struct vio_storage *st, struct vio_loop *loop, struct vio_channel **out)
{
	struct held_channel *ch = calloc(1, sizeof(*ch));

	(void)loop; /* answers are given by the test, on the loop's thread */
	if (!ch)
		return -ENOMEM;
	ch->held = to_held(st);
	*out = &ch->base;
	return 0;
}

static void held_detach(struct vio_channel *ch)
{
	free(to_channel(ch));
}

static void held_close(struct vio_storage *st)
{
	struct drv_held *h = to_held(st);

	pthread_mutex_destroy(&h->lock);
	free(h->bytes);
	free(h);
}

static const struct vio_storage_ops held_ops = {
	.name = "held",
	.info = held_info,
	.attach = held_attach,
	.detach = held_detach,
	.submit = held_submit,
	.commit = held_commit,
	.drain = held_drain,
	.close = held_close,
};

int drv_held_open(uint64_t size, struct drv_held **out)
{
	struct drv_held *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->bytes = calloc(1, size);
	if (!h->bytes) {
		free(h);
		return -ENOMEM;
	}
	h->base.ops = &held_ops;
	pthread_mutex_init(&h->lock, NULL);
	h->info = (struct vio_storage_info){.size = size,
					    .logical_block = 512,
					    .physical_block = 512,
					    .discard_granularity = 512,
					    .discard = true,
					    .write_zeroes = true,
					    .may_unmap = true};
	*out = h;
	return 0;
}
