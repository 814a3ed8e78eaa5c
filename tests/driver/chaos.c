/* SPDX-License-Identifier: BSD-3-Clause */
#include <driver/chaos.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <viodm/loop.h>

#define MAX_IOS 1024 /* of one channel in flight: the largest queue of a disk */

/* Requests in some state. The first is the oldest. */
struct io_list {
	struct vio_io *io[MAX_IOS];
	unsigned n;
};

struct chaos_channel {
	struct vio_channel base;
	struct drv_chaos *chaos;
	struct vio_loop *loop;
	pthread_t owner;
	uint32_t random;
	struct io_list fresh;	 /* submitted, not yet committed */
	struct io_list kept;	 /* answered from `later` */
	unsigned n_away;	 /* given to the thread */
	struct io_list returned; /* done by the thread; under chaos->lock */
	bool owes_drained;
	struct vio_defer later;
	struct vio_watch watch; /* something was returned */
};

/* One request for the thread. */
struct job {
	struct chaos_channel *ch;
	struct vio_io *io;
	struct job *next;
};

struct drv_chaos {
	struct vio_storage base;
	struct drv_chaos_config cfg;
	uint8_t *bytes;
	_Atomic unsigned in_flight;
	_Atomic(const char *) fault;
	_Atomic uint32_t n_attached;

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a job for the thread, or a request from it */
	struct job *jobs;
	bool stop;
};

/* What the engine decides at submit. In vio_io.engine[]: */
enum { FATE_RESULT, FATE_BYTES };

static struct drv_chaos *to_chaos(struct vio_storage *st)
{
	return vio_container_of(st, struct drv_chaos, base);
}

static struct chaos_channel *to_channel(struct vio_channel *ch)
{
	return vio_container_of(ch, struct chaos_channel, base);
}

static uint32_t draw(struct chaos_channel *ch, uint32_t n)
{
	ch->random = ch->random * 1664525u + 1013904223u;
	return (ch->random >> 8) % n;
}

static void blame(struct drv_chaos *c, const char *what)
{
	const char *none = NULL;

	atomic_compare_exchange_strong(&c->fault, &none, what);
}

/* ---- lists ------------------------------------------------------------------------------------
 */

static void list_add(struct drv_chaos *c, struct io_list *l, struct vio_io *io)
{
	if (l->n == MAX_IOS)
		blame(c, "more requests in flight than a queue has");
	else
		l->io[l->n++] = io;
}

static struct vio_io *list_take(struct io_list *l, unsigned i)
{
	struct vio_io *io = l->io[i];

	memmove(&l->io[i], &l->io[i + 1], (l->n - i - 1) * sizeof(l->io[0]));
	l->n--;
	return io;
}

static bool list_has(const struct io_list *l, const struct vio_io *io)
{
	for (unsigned i = 0; i < l->n; i++)
		if (l->io[i] == io)
			return true;
	return false;
}

/* ---- one request -------------------------------------------------------------------------------
 */

static void check_request(struct chaos_channel *ch, const struct vio_io *io)
{
	struct drv_chaos *c = ch->chaos;
	uint64_t n = 0;

	for (uint32_t i = 0; i < io->n_iov; i++)
		n += io->iov[i].iov_len;
	if (!pthread_equal(ch->owner, pthread_self()))
		blame(c, "submitted on another thread than the channel's");
	if (!vio_range_ok(io->offset, io->length, c->cfg.size))
		blame(c, "request out of range");
	if ((io->op == VIO_IO_READ || io->op == VIO_IO_WRITE) && n != io->length)
		blame(c, "the vectors do not add up to the length");
	if (list_has(&ch->fresh, io) || list_has(&ch->kept, io))
		blame(c, "submitted again while in flight");
}

static void decide(struct chaos_channel *ch, struct vio_io *io)
{
	static const int errors[] = {-EIO, -ENOSPC, -EIO, -ETIMEDOUT};
	int result = 0;

	io->engine[FATE_BYTES] = io->length;
	if (ch->chaos->cfg.fail_1_in && draw(ch, ch->chaos->cfg.fail_1_in) == 0) {
		result = errors[draw(ch, VIO_ARRAY_LEN(errors))];
		io->engine[FATE_BYTES] = draw(ch, 2) ? 0 : draw(ch, (uint32_t)io->length + 1);
		if (io->op == VIO_IO_DISCARD)
			result = -EOPNOTSUPP;
	}
	io->engine[FATE_RESULT] = (uint64_t)(int64_t)result;
}

/* Moves the bytes that shall be moved. Any thread. */
static void work(struct drv_chaos *c, struct vio_io *io)
{
	uint64_t left = io->engine[FATE_BYTES];
	uint8_t *at = c->bytes + io->offset;

	if (io->op == VIO_IO_DISCARD || io->op == VIO_IO_WRITE_ZEROES)
		memset(at, io->op == VIO_IO_DISCARD ? 0xdd : 0, left);
	if (io->op != VIO_IO_READ && io->op != VIO_IO_WRITE)
		left = 0;
	for (uint32_t i = 0; i < io->n_iov && left > 0; i++) {
		const struct iovec *v = &io->iov[i];
		size_t n = v->iov_len < left ? v->iov_len : left;

		if (n == 0)
			continue;
		if (io->op == VIO_IO_READ)
			memcpy(v->iov_base, at, n);
		else
			memcpy(at, v->iov_base, n);
		at += n;
		left -= n;
	}
	io->result = (int)(int64_t)io->engine[FATE_RESULT];
}

static void answer(struct chaos_channel *ch, struct vio_io *io)
{
	struct drv_chaos *c = ch->chaos;

	if (c->cfg.on_result)
		c->cfg.on_result(c->cfg.arg, io);
	c->in_flight--;
	ch->owes_drained = true;
	io->done(io); /* which may submit */
}

static void drained(struct chaos_channel *ch)
{
	if (!ch->owes_drained)
		return;
	ch->owes_drained = false;
	ch->base.drained(&ch->base);
}

/* ---- the thread --------------------------------------------------------------------------------
 */

/* Takes a job out, not always the first. */
static struct job *take_job(struct drv_chaos *c, unsigned n)
{
	struct job **at = &c->jobs, *j;

	while (n-- % 3 && (*at)->next)
		at = &(*at)->next;
	j = *at;
	*at = j->next;
	return j;
}

static void *chaos_thread(void *arg)
{
	struct drv_chaos *c = arg;
	unsigned n = 0;

	pthread_mutex_lock(&c->lock);
	while (!c->stop || c->jobs) {
		struct job *j;

		if (!c->jobs) {
			pthread_cond_wait(&c->changed, &c->lock);
			continue;
		}
		j = take_job(c, n++);
		pthread_mutex_unlock(&c->lock);
		work(c, j->io);
		pthread_mutex_lock(&c->lock);
		list_add(c, &j->ch->returned, j->io);
		eventfd_write(j->ch->watch.fd, 1);
		pthread_cond_broadcast(&c->changed);
		free(j);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

static bool send_away(struct chaos_channel *ch, struct vio_io *io)
{
	struct drv_chaos *c = ch->chaos;
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return false;
	*j = (struct job){.ch = ch, .io = io};
	ch->n_away++;
	pthread_mutex_lock(&c->lock);
	j->next = c->jobs;
	c->jobs = j;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	return true;
}

/* Answers what came back from the thread; waits for something if `wait`. */
static void fetch(struct chaos_channel *ch, bool wait)
{
	struct drv_chaos *c = ch->chaos;

	while (ch->n_away > 0) {
		struct vio_io *io;

		pthread_mutex_lock(&c->lock);
		while (wait && ch->returned.n == 0)
			pthread_cond_wait(&c->changed, &c->lock);
		io = ch->returned.n > 0 ? list_take(&ch->returned, 0) : NULL;
		pthread_mutex_unlock(&c->lock);
		if (!io)
			return;
		ch->n_away--;
		answer(ch, io);
		wait = false;
	}
}

/* ---- the channel -------------------------------------------------------------------------------
 */

/* What was submitted begins to be worked on. */
static void start(struct chaos_channel *ch)
{
	while (ch->fresh.n > 0) {
		struct vio_io *io = list_take(&ch->fresh, 0);

		if (ch->chaos->cfg.thread && draw(ch, 3) == 0 && send_away(ch, io))
			continue;
		list_add(ch->chaos, &ch->kept, io);
	}
	if (ch->kept.n > 0)
		vio_loop_defer(ch->loop, &ch->later);
}

/* Answers `n` of those that are kept: in order, in reverse, or in any order. */
static void answer_kept(struct chaos_channel *ch, unsigned n)
{
	unsigned order = draw(ch, 3), batch = 1 + draw(ch, 8);

	for (unsigned i = 1; i <= n && ch->kept.n > 0; i++) {
		unsigned at[] = {0, ch->kept.n - 1, draw(ch, ch->kept.n)};
		struct vio_io *io = list_take(&ch->kept, at[order]);

		work(ch->chaos, io);
		answer(ch, io);
		if (i % batch == 0)
			drained(ch);
	}
}

static void on_later(struct vio_defer *d)
{
	struct chaos_channel *ch = vio_container_of(d, struct chaos_channel, later);

	answer_kept(ch, draw(ch, ch->kept.n + 1)); /* perhaps none */
	start(ch);
	drained(ch);
}

static void on_returned(struct vio_watch *w)
{
	struct chaos_channel *ch = vio_container_of(w, struct chaos_channel, watch);
	eventfd_t v;

	eventfd_read(w->fd, &v);
	fetch(ch, false);
	start(ch);
	drained(ch);
}

static void chaos_submit(struct vio_channel *base, struct vio_io *io)
{
	struct chaos_channel *ch = to_channel(base);

	check_request(ch, io);
	ch->chaos->in_flight++;
	decide(ch, io);
	if (draw(ch, 4) > 0) {
		list_add(ch->chaos, &ch->fresh, io);
		return;
	}
	work(ch->chaos, io);
	answer(ch, io);
}

static void chaos_commit(struct vio_channel *base)
{
	struct chaos_channel *ch = to_channel(base);

	start(ch);
	drained(ch);
}

static void chaos_drain(struct vio_channel *base)
{
	struct chaos_channel *ch = to_channel(base);

	if (ch->fresh.n > 0)
		blame(ch->chaos, "submitted and not committed");
	while (ch->fresh.n + ch->kept.n + ch->n_away > 0) {
		answer_kept(ch, draw(ch, MAX_IOS));
		start(ch);
		fetch(ch, ch->kept.n == 0);
		start(ch);
	}
	drained(ch);
}

static int chaos_attach(struct vio_storage *st, struct vio_loop *loop, struct vio_channel **out)
{
	struct chaos_channel *ch = calloc(1, sizeof(*ch));
	int r;

	if (!ch)
		return -ENOMEM;
	ch->chaos = to_chaos(st);
	ch->loop = loop;
	ch->owner = pthread_self();
	ch->random = ch->chaos->cfg.seed + 0x9e3779b9u * ++ch->chaos->n_attached;
	ch->later.run = on_later;
	ch->watch.on_ready = on_returned;
	ch->watch.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	r = ch->watch.fd < 0 ? -errno : vio_loop_watch(loop, &ch->watch);
	if (r < 0) {
		if (ch->watch.fd >= 0)
			close(ch->watch.fd);
		free(ch);
		return r;
	}
	*out = &ch->base;
	return 0;
}

static void chaos_detach(struct vio_channel *base)
{
	struct chaos_channel *ch = to_channel(base);

	if (ch->fresh.n + ch->kept.n + ch->n_away > 0)
		blame(ch->chaos, "detached with requests in flight");
	if (!pthread_equal(ch->owner, pthread_self()))
		blame(ch->chaos, "detached on another thread than the channel's");
	chaos_drain(base);
	vio_loop_cancel(ch->loop, &ch->later);
	vio_loop_unwatch(ch->loop, &ch->watch);
	close(ch->watch.fd);
	free(ch);
}

static int chaos_info(struct vio_storage *st, struct vio_storage_info *info)
{
	*info = (struct vio_storage_info){.size = to_chaos(st)->cfg.size,
					  .logical_block = 512,
					  .physical_block = 512,
					  .discard_granularity = 512,
					  .discard = true,
					  .write_zeroes = true,
					  .may_unmap = true};
	return 0;
}

static void chaos_close(struct vio_storage *st)
{
	struct drv_chaos *c = to_chaos(st);

	if (c->cfg.thread) {
		pthread_mutex_lock(&c->lock);
		c->stop = true;
		pthread_cond_broadcast(&c->changed);
		pthread_mutex_unlock(&c->lock);
		pthread_join(c->thread, NULL);
	}
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c->bytes);
	free(c);
}

static const struct vio_storage_ops chaos_ops = {
	.name = "chaos",
	.info = chaos_info,
	.attach = chaos_attach,
	.detach = chaos_detach,
	.submit = chaos_submit,
	.commit = chaos_commit,
	.drain = chaos_drain,
	.close = chaos_close,
};

int drv_chaos_open(const struct drv_chaos_config *cfg, struct drv_chaos **out)
{
	struct drv_chaos *c = calloc(1, sizeof(*c));
	int r = 0;

	if (!c)
		return -ENOMEM;
	c->base.ops = &chaos_ops;
	c->cfg = *cfg;
	c->bytes = calloc(1, cfg->size);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	if (!c->bytes)
		r = -ENOMEM;
	else if (cfg->thread)
		r = -pthread_create(&c->thread, NULL, chaos_thread, c);
	if (r < 0) {
		c->cfg.thread = false;
		chaos_close(&c->base);
		return r;
	}
	*out = c;
	return 0;
}

struct vio_storage *drv_chaos_storage(struct drv_chaos *c)
{
	return &c->base;
}

uint8_t *drv_chaos_bytes(struct drv_chaos *c)
{
	return c->bytes;
}

unsigned drv_chaos_in_flight(const struct drv_chaos *c)
{
	return c->in_flight;
}

const char *drv_chaos_fault(const struct drv_chaos *c)
{
	return c->fault;
}
