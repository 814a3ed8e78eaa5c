/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The threads engine: a pool of threads per storage does each request with the blocking calls of
 * file.c; completions come back through an eventfd per channel.
 */
#include <viodm/engines.h>
#include <viodm/loop.h>

#include "file.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define N_THREADS 8

/* Requests in order; linked through io->engine. */
struct io_list {
	struct vio_io *first, **last;
};

struct threads_storage {
	struct file_storage fs;
	pthread_t thread[N_THREADS];
	unsigned n_threads;
	pthread_mutex_t lock;
	pthread_cond_t work;	 /* todo is not empty, or stop */
	pthread_cond_t any_done; /* something was added to a channel's done list */
	struct io_list todo;
	bool stop;
};

struct threads_channel {
	struct vio_channel base;
	struct threads_storage *ts;
	struct vio_loop *loop;
	struct vio_watch watch; /* done is not empty */
	struct io_list todo;	/* submitted since the last commit; loop thread only */
	struct io_list done;	/* under ts->lock */
	unsigned in_flight;	/* loop thread only */
};

/* What is kept of a request while it is in flight; lives in io->engine. */
struct threads_io {
	struct vio_io *next;
	struct threads_channel *ch;
};

_Static_assert(sizeof(struct threads_io) <= sizeof(((struct vio_io *)0)->engine), "fits");

static struct threads_io *io_state(struct vio_io *io)
{
	return (struct threads_io *)(void *)io->engine;
}

static struct threads_channel *to_channel(struct vio_channel *ch)
{
	return vio_container_of(ch, struct threads_channel, base);
}

static void list_init(struct io_list *l)
{
	l->first = NULL;
	l->last = &l->first;
}

static void list_add(struct io_list *l, struct vio_io *io)
{
	io_state(io)->next = NULL;
	*l->last = io;
	l->last = &io_state(io)->next;
}

static struct vio_io *list_take(struct io_list *l)
{
	struct vio_io *io = l->first;

	if (io)
		l->first = io_state(io)->next;
	if (!l->first)
		l->last = &l->first;
	return io;
}

/* Appends all of `from`, which is empty afterwards. */
static void list_move(struct io_list *to, struct io_list *from)
{
	if (!from->first)
		return;
	*to->last = from->first;
	to->last = from->last;
	list_init(from);
}

/* ---- the pool's threads -------------------------------------------------------------------------
 */

/* ts->lock held. */
static void hand_back(struct threads_storage *ts, struct vio_io *io)
{
	struct threads_channel *ch = io_state(io)->ch;

	if (!ch->done.first)
		vio_event_signal(ch->watch.fd);
	list_add(&ch->done, io);
	pthread_cond_broadcast(&ts->any_done);
}

static void *worker_main(void *arg)
{
	struct threads_storage *ts = arg;
	char *bounce;
	int no_bounce = file_bounce_alloc(&ts->fs.file, &bounce);

	pthread_mutex_lock(&ts->lock);
	while (!ts->stop) {
		struct vio_io *io = list_take(&ts->todo);

		if (!io) {
			pthread_cond_wait(&ts->work, &ts->lock);
			continue;
		}
		pthread_mutex_unlock(&ts->lock);
		io->result = no_bounce ? no_bounce : file_io(&ts->fs.file, bounce, io);
		pthread_mutex_lock(&ts->lock);
		hand_back(ts, io);
	}
	pthread_mutex_unlock(&ts->lock);
	free(bounce);
	return NULL;
}

/* ---- channels: the loop's thread
 * ------------------------------------------------------------------ */

static void threads_submit(struct vio_channel *base, struct vio_io *io)
{
	struct threads_channel *ch = to_channel(base);

	io_state(io)->ch = ch;
	list_add(&ch->todo, io);
	ch->in_flight++;
}

static void threads_commit(struct vio_channel *base)
{
	struct threads_channel *ch = to_channel(base);

	if (!ch->todo.first)
		return;
	pthread_mutex_lock(&ch->ts->lock);
	list_move(&ch->ts->todo, &ch->todo);
	pthread_cond_broadcast(&ch->ts->work);
	pthread_mutex_unlock(&ch->ts->lock);
}

/* Ends what the pool has done; lock not held. */
static void finish(struct threads_channel *ch, struct io_list *done)
{
	struct vio_io *io;
	bool any = done->first != NULL;

	while ((io = list_take(done)) != NULL) {
		ch->in_flight--;
		io->done(io);
	}
	threads_commit(&ch->base); /* what `done` submitted */
	if (any)
		ch->base.drained(&ch->base);
}

static void on_done(struct vio_watch *w)
{
	struct threads_channel *ch = vio_container_of(w, struct threads_channel, watch);
	struct io_list done;

	list_init(&done);
	pthread_mutex_lock(&ch->ts->lock);
	vio_event_take(w->fd); /* the list says what there is */
	list_move(&done, &ch->done);
	pthread_mutex_unlock(&ch->ts->lock);
	finish(ch, &done);
}

static void threads_drain(struct vio_channel *base)
{
	struct threads_channel *ch = to_channel(base);

	threads_commit(base);
	while (ch->in_flight > 0) {
		struct io_list done;

		list_init(&done);
		pthread_mutex_lock(&ch->ts->lock);
		while (!ch->done.first)
			pthread_cond_wait(&ch->ts->any_done, &ch->ts->lock);
		list_move(&done, &ch->done);
		pthread_mutex_unlock(&ch->ts->lock);
		finish(ch, &done);
	}
}

static int threads_attach(struct vio_storage *st, struct vio_loop *loop, struct vio_channel **out)
{
	struct threads_channel *ch = calloc(1, sizeof(*ch));
	int r;

	if (!ch)
		return -ENOMEM;
	ch->ts = vio_container_of(st, struct threads_storage, fs.base);
	ch->loop = loop;
	list_init(&ch->todo);
	list_init(&ch->done);
	ch->watch.on_ready = on_done;
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

static void threads_detach(struct vio_channel *base)
{
	struct threads_channel *ch = to_channel(base);

	vio_loop_unwatch(ch->loop, &ch->watch);
	/* A worker that handed back our last request may still be inside the lock. */
	pthread_mutex_lock(&ch->ts->lock);
	close(ch->watch.fd);
	pthread_mutex_unlock(&ch->ts->lock);
	free(ch);
}

/* ---- life --------------------------------------------------------------------------------------
 */

static void threads_stop(struct threads_storage *ts)
{
	pthread_mutex_lock(&ts->lock);
	ts->stop = true;
	pthread_cond_broadcast(&ts->work);
	pthread_mutex_unlock(&ts->lock);
	for (unsigned i = 0; i < ts->n_threads; i++)
		pthread_join(ts->thread[i], NULL);
	pthread_cond_destroy(&ts->any_done);
	pthread_cond_destroy(&ts->work);
	pthread_mutex_destroy(&ts->lock);
}

static void threads_close(struct vio_storage *st)
{
	struct threads_storage *ts = vio_container_of(st, struct threads_storage, fs.base);

	threads_stop(ts);
	close(ts->fs.file.fd);
	free(ts);
}

static const struct vio_storage_ops threads_ops = {
	.name = "threads",
	.info = file_storage_info,
	.attach = threads_attach,
	.detach = threads_detach,
	.submit = threads_submit,
	.commit = threads_commit,
	.drain = threads_drain,
	.close = threads_close,
};

int vio_storage_threads_open(const char *path, const struct vio_storage_file_config *cfg,
			     struct vio_storage **out)
{
	struct threads_storage *ts = calloc(1, sizeof(*ts));
	int r;

	if (!ts)
		return -ENOMEM;
	r = file_storage_init(&ts->fs, &threads_ops, path, cfg);
	if (r < 0) {
		free(ts);
		return r;
	}
	pthread_mutex_init(&ts->lock, NULL);
	pthread_cond_init(&ts->work, NULL);
	pthread_cond_init(&ts->any_done, NULL);
	list_init(&ts->todo);
	while (ts->n_threads < N_THREADS &&
	       pthread_create(&ts->thread[ts->n_threads], NULL, worker_main, ts) == 0)
		ts->n_threads++;
	if (ts->n_threads == 0) {
		threads_stop(ts);
		if (path)
			close(ts->fs.file.fd);
		free(ts);
		return -EAGAIN;
	}
	*out = &ts->fs.base;
	return 0;
}
