/* SPDX-License-Identifier: BSD-3-Clause */
#include <viodm/loop_manual.h>

#include "loop_call.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

struct loop_manual {
	struct vio_loop base;
	struct loop_call call;
	struct defer_list defers;
	/* Entry 0 is the mailbox; the same index in both arrays. An unwatched entry is NULL / -1
	 * until the turn is over, so that unwatch is safe from inside any on_ready. */
	struct pollfd *fds;
	struct vio_watch **watches;
	unsigned n, cap;
};

static struct loop_manual *to_manual(struct vio_loop *loop)
{
	return vio_container_of(loop, struct loop_manual, base);
}

static int manual_grow(struct loop_manual *lm)
{
	unsigned cap = lm->cap ? lm->cap * 2 : 16;
	struct pollfd *fds = realloc(lm->fds, cap * sizeof(*fds));
	struct vio_watch **watches;

	if (!fds)
		return -ENOMEM;
	lm->fds = fds;
	watches = realloc(lm->watches, cap * sizeof(*watches));
	if (!watches)
		return -ENOMEM;
	lm->watches = watches;
	lm->cap = cap;
	return 0;
}

static int manual_add(struct loop_manual *lm, int fd, struct vio_watch *w)
{
	if (lm->n == lm->cap) {
		int r = manual_grow(lm);

		if (r < 0)
			return r;
	}
	lm->fds[lm->n] = (struct pollfd){.fd = fd, .events = w && w->writable ? POLLOUT : POLLIN};
	lm->watches[lm->n] = w;
	lm->n++;
	return 0;
}

static int manual_watch(struct vio_loop *loop, struct vio_watch *w)
{
	int r;

	if (w->loop_data)
		return -EEXIST;
	r = manual_add(to_manual(loop), w->fd, w);
	if (r == 0)
		w->loop_data = loop;
	return r;
}

static void manual_unwatch(struct vio_loop *loop, struct vio_watch *w)
{
	struct loop_manual *lm = to_manual(loop);

	for (unsigned i = 1; i < lm->n; i++) {
		if (lm->watches[i] != w)
			continue;
		lm->watches[i] = NULL;
		lm->fds[i].fd = -1;
		lm->fds[i].revents = 0;
	}
	w->loop_data = NULL;
}

/* Drops the entries that were unwatched. */
static void manual_compact(struct loop_manual *lm)
{
	unsigned k = 1;

	for (unsigned i = 1; i < lm->n; i++) {
		if (!lm->watches[i])
			continue;
		lm->watches[k] = lm->watches[i];
		lm->fds[k] = lm->fds[i];
		k++;
	}
	lm->n = k;
}

static void manual_defer(struct vio_loop *loop, struct vio_defer *d)
{
	defer_list_add(&to_manual(loop)->defers, d);
}

static void manual_cancel(struct vio_loop *loop, struct vio_defer *d)
{
	defer_list_remove(&to_manual(loop)->defers, d);
}

static void manual_call(struct vio_loop *loop, void (*fn)(void *arg), void *arg)
{
	loop_call_run(&to_manual(loop)->call, fn, arg);
}

static void manual_destroy(struct vio_loop *loop)
{
	struct loop_manual *lm = to_manual(loop);

	loop_call_fini(&lm->call);
	free(lm->watches);
	free(lm->fds);
	free(lm);
}

static const struct vio_loop_ops manual_ops = {
	.name = "manual",
	.watch = manual_watch,
	.unwatch = manual_unwatch,
	.defer = manual_defer,
	.cancel = manual_cancel,
	.call = manual_call,
	.destroy = manual_destroy,
};

int vio_loop_manual_create(struct vio_loop **out)
{
	struct loop_manual *lm = calloc(1, sizeof(*lm));
	int r;

	if (!lm)
		return -ENOMEM;
	lm->base.ops = &manual_ops;
	defer_list_init(&lm->defers);
	r = loop_call_init(&lm->call);
	if (r < 0) {
		free(lm);
		return r;
	}
	r = manual_add(lm, lm->call.fd, NULL);
	if (r < 0) {
		manual_destroy(&lm->base);
		return r;
	}
	*out = &lm->base;
	return 0;
}

void vio_loop_manual_own(struct vio_loop *loop)
{
	loop_call_own(&to_manual(loop)->call);
}

int vio_loop_manual_run(struct vio_loop *loop, int timeout_ms)
{
	struct loop_manual *lm = to_manual(loop);
	unsigned n;
	int ran = 0;

	manual_compact(lm);
	n = lm->n; /* what is watched from inside a callback waits for the next turn */
	if (poll(lm->fds, n, lm->defers.first ? 0 : timeout_ms) < 0)
		return errno == EINTR ? 0 : -errno;
	if (lm->fds[0].revents)
		ran += loop_call_serve(&lm->call);
	for (unsigned i = 1; i < n; i++) {
		if (!lm->fds[i].revents || !lm->watches[i])
			continue;
		lm->watches[i]->on_ready(lm->watches[i]);
		ran++;
	}
	return ran + defer_list_run(&lm->defers);
}
