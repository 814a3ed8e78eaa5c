/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop_uring.h"
#include "loop_call.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#define ENTRIES 256

/* Adaptive polling: where growing starts, and how often the clock is read while spinning. */
#define POLL_START_NS	4000
#define SPINS_PER_CLOCK 16

struct loop_uring {
	struct vio_loop base;
	struct uring u;
	struct loop_call call;
	struct vio_watch call_watch;
	struct defer_list defers;
	struct vio_poller *pollers;
	struct uring_watch *ready, **ready_last; /* readable, on_ready not yet called */
	unsigned n_watches;		/* objects, also those the kernel has to give back */
	struct vio_poller *next_poller; /* where a round of polling goes on */
	uint64_t poll_max_ns, poll_ns;
	bool stop;
};

/*
 * A watch: a one-shot poll in the ring, armed again after on_ready, which makes it level-triggered.
 * It outlives unwatch until the kernel has given its entry back.
 */
struct uring_watch {
	struct uring_op op;
	struct loop_uring *lu;
	struct vio_watch *watch;  /* NULL: unwatched */
	struct uring_watch *next; /* in `ready` */
	bool in_ring;
};

static struct loop_uring *to_uring(struct vio_loop *loop)
{
	return vio_container_of(loop, struct loop_uring, base);
}

/* ---- watches -----------------------------------------------------------------------------------
 */

static void watch_free(struct uring_watch *uw)
{
	uw->lu->n_watches--;
	free(uw);
}

static void watch_arm(struct uring_watch *uw)
{
	struct io_uring_sqe *sqe = uring_sqe(&uw->lu->u, &uw->op);

	io_uring_prep_poll_add(sqe, uw->watch->fd, uw->watch->writable ? POLLOUT : POLLIN);
	uw->in_ring = true;
}

/* on_ready is not called from here: a drain inside a queue's stop reaps too. */
static void watch_done(struct uring_op *op, int result)
{
	struct uring_watch *uw = vio_container_of(op, struct uring_watch, op);

	(void)result; /* an error shows when on_ready reads the descriptor */
	uw->in_ring = false;
	if (!uw->watch) {
		watch_free(uw);
		return;
	}
	uw->next = NULL;
	*uw->lu->ready_last = uw;
	uw->lu->ready_last = &uw->next;
}

static unsigned ready_run(struct loop_uring *lu)
{
	unsigned n = 0;

	while (lu->ready) {
		struct uring_watch *uw = lu->ready;

		lu->ready = uw->next;
		if (!lu->ready)
			lu->ready_last = &lu->ready;
		if (!uw->watch) {
			watch_free(uw);
			continue;
		}
		watch_arm(uw); /* first: on_ready may unwatch and free it */
		uw->watch->on_ready(uw->watch);
		n++;
	}
	return n;
}

static int uring_watch(struct vio_loop *loop, struct vio_watch *w)
{
	struct uring_watch *uw;

	if (w->loop_data)
		return -EEXIST;
	uw = calloc(1, sizeof(*uw));
	if (!uw)
		return -ENOMEM;
	uw->op.done = watch_done;
	uw->lu = to_uring(loop);
	uw->watch = w;
	w->loop_data = uw;
	uw->lu->n_watches++;
	watch_arm(uw);
	return 0;
}

static void uring_unwatch(struct vio_loop *loop, struct vio_watch *w)
{
	struct uring_watch *uw = w->loop_data;

	(void)loop;
	if (!uw)
		return;
	w->loop_data = NULL;
	uw->watch = NULL;
	if (uw->in_ring)
		io_uring_prep_poll_remove(uring_sqe(&uw->lu->u, NULL), (__u64)(uintptr_t)&uw->op);
	/* freed by watch_done() or ready_run() */
}

/* ---- pollers, defers, calls ---------------------------------------------------------------------
 */

static void uring_poll_add(struct vio_loop *loop, struct vio_poller *p)
{
	struct loop_uring *lu = to_uring(loop);

	p->next = lu->pollers;
	lu->pollers = p;
}

static void uring_poll_remove(struct vio_loop *loop, struct vio_poller *p)
{
	struct loop_uring *lu = to_uring(loop);
	struct vio_poller **link = &lu->pollers;

	if (lu->next_poller == p)
		lu->next_poller = p->next;
	while (*link != p)
		link = &(*link)->next;
	*link = p->next;
}

static unsigned pollers_run(struct loop_uring *lu)
{
	unsigned n = 0;

	for (struct vio_poller *p = lu->pollers; p; p = lu->next_poller) {
		lu->next_poller = p->next;
		n += p->poll(p);
	}
	return n;
}

static bool pollers_arm(struct loop_uring *lu)
{
	bool found = false;

	for (struct vio_poller *p = lu->pollers; p; p = lu->next_poller) {
		lu->next_poller = p->next;
		found |= p->arm(p);
	}
	return found;
}

static void uring_defer(struct vio_loop *loop, struct vio_defer *d)
{
	defer_list_add(&to_uring(loop)->defers, d);
}

static void uring_cancel(struct vio_loop *loop, struct vio_defer *d)
{
	defer_list_remove(&to_uring(loop)->defers, d);
}

static void uring_call(struct vio_loop *loop, void (*fn)(void *arg), void *arg)
{
	loop_call_run(&to_uring(loop)->call, fn, arg);
}

static void on_call(struct vio_watch *w)
{
	loop_call_serve(&vio_container_of(w, struct loop_uring, call_watch)->call);
}

/* ---- running -----------------------------------------------------------------------------------
 */

static void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* Everything that can be done without sleeping; one system call at most, for what was prepared. */
static bool turn(struct loop_uring *lu)
{
	unsigned n = uring_reap(&lu->u);

	n += ready_run(lu);
	n += pollers_run(lu);
	if (lu->defers.first)
		n += (unsigned)defer_list_run(&lu->defers);
	uring_submit(&lu->u);
	return n > 0;
}

/* Looks for work for as long as it paid off lately. */
static bool spin(struct loop_uring *lu)
{
	uint64_t end;

	if (lu->poll_ns == 0 || !lu->pollers)
		return false;
	end = vio_now_ns() + lu->poll_ns;
	do {
		for (int i = 0; i < SPINS_PER_CLOCK; i++) {
			if (turn(lu))
				return true;
			cpu_relax();
		}
	} while (vio_now_ns() < end && !lu->stop);
	return false;
}

/*
 * Had polling gone on for poll_max_ns, would it have seen what woke us? Then poll longer next time,
 * otherwise less, down to nothing on an idle queue.
 */
static void adapt(struct loop_uring *lu, uint64_t slept_ns)
{
	if (lu->poll_max_ns == 0)
		return;
	if (slept_ns > lu->poll_max_ns)
		lu->poll_ns /= 2;
	else if (lu->poll_ns == 0)
		lu->poll_ns = POLL_START_NS;
	else
		lu->poll_ns *= 2;
	if (lu->poll_ns > lu->poll_max_ns)
		lu->poll_ns = lu->poll_max_ns;
	if (lu->poll_ns < POLL_START_NS / 4)
		lu->poll_ns = 0;
}

static void doze(struct loop_uring *lu)
{
	uint64_t start = vio_now_ns();

	uring_wait(&lu->u);
	adapt(lu, vio_now_ns() - start);
}

void loop_uring_run(struct vio_loop *loop)
{
	struct loop_uring *lu = to_uring(loop);

	lu->stop = false;
	while (!lu->stop)
		if (!turn(lu) && !spin(lu) && !lu->stop && !pollers_arm(lu))
			doze(lu);
}

void loop_uring_stop(struct vio_loop *loop)
{
	to_uring(loop)->stop = true;
}

/* ---- life --------------------------------------------------------------------------------------
 */

static void uring_destroy(struct vio_loop *loop)
{
	struct loop_uring *lu = to_uring(loop);

	uring_unwatch(loop, &lu->call_watch);
	while (lu->n_watches > 0) {
		uring_wait(&lu->u);
		uring_reap(&lu->u);
		ready_run(lu);
	}
	uring_fini(&lu->u);
	loop_call_fini(&lu->call);
	free(lu);
}

static const struct vio_loop_ops uring_ops = {
	.name = "io_uring",
	.watch = uring_watch,
	.unwatch = uring_unwatch,
	.defer = uring_defer,
	.cancel = uring_cancel,
	.call = uring_call,
	.destroy = uring_destroy,
	.poll_add = uring_poll_add,
	.poll_remove = uring_poll_remove,
};

struct uring *loop_uring_ring(struct vio_loop *loop)
{
	return loop->ops == &uring_ops ? &to_uring(loop)->u : NULL;
}

int loop_uring_create(uint64_t poll_ns, struct vio_loop **out)
{
	struct loop_uring *lu = calloc(1, sizeof(*lu));
	int r;

	if (!lu)
		return -ENOMEM;
	lu->base.ops = &uring_ops;
	lu->poll_max_ns = poll_ns;
	lu->ready_last = &lu->ready;
	defer_list_init(&lu->defers);
	r = loop_call_init(&lu->call);
	if (r < 0)
		goto free_lu;
	r = uring_init(&lu->u, ENTRIES, true);
	if (r < 0)
		goto fini_call;
	lu->call_watch.fd = lu->call.fd;
	lu->call_watch.on_ready = on_call;
	r = uring_watch(&lu->base, &lu->call_watch);
	if (r < 0)
		goto fini_ring;
	*out = &lu->base;
	return 0;

fini_ring:
	uring_fini(&lu->u);
fini_call:
	loop_call_fini(&lu->call);
free_lu:
	free(lu);
	return r;
}
