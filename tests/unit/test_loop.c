/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract of event loops (loop.h), for each kind there is: turned by hand, libevent, and the
 * loop of an IO thread.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "looper.h"

/* ---- watches -----------------------------------------------------------------------------------
 */

struct eye {
	struct vio_watch w;
	struct vio_loop *loop;
	struct eye *other; /* to unwatch when ready, or NULL */
	bool unwatch_self; /* when ready */
	bool drain;	   /* read the eventfd when ready */
	int result;	   /* of watching */
	_Atomic unsigned seen;
};

static void on_eye(struct vio_watch *w)
{
	struct eye *e = vio_container_of(w, struct eye, w);
	eventfd_t v;

	e->seen++;
	if (e->drain)
		eventfd_read(w->fd, &v);
	if (e->other)
		vio_loop_unwatch(e->loop, &e->other->w);
	if (e->unwatch_self)
		vio_loop_unwatch(e->loop, w);
}

static void eye_init(struct eye *e, struct looper *l)
{
	memset(e, 0, sizeof(*e));
	e->loop = l->loop;
	e->w.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	e->w.on_ready = on_eye;
	CU_ASSERT_FATAL(e->w.fd >= 0);
}

static void do_watch(void *arg)
{
	struct eye *e = arg;

	e->result = vio_loop_watch(e->loop, &e->w);
}

static int eye_open(struct eye *e)
{
	vio_loop_call(e->loop, do_watch, e);
	return e->result;
}

static void do_unwatch(void *arg)
{
	struct eye *e = arg;

	vio_loop_unwatch(e->loop, &e->w);
}

static void eye_shut(struct eye *e)
{
	vio_loop_call(e->loop, do_unwatch, e);
}

static void watch_is_level_triggered(struct looper *l)
{
	unsigned seen;
	struct eye e;

	eye_init(&e, l);
	CU_ASSERT_EQUAL(eye_open(&e), 0);
	CU_ASSERT_EQUAL(eye_open(&e), -EEXIST);
	turns(l, SOME_TURNS);
	CU_ASSERT_EQUAL(e.seen, 0);
	eventfd_write(e.w.fd, 1);
	turns(l, SOME_TURNS);
	CU_ASSERT(e.seen > 1); /* nobody read it */
	eye_shut(&e);
	seen = e.seen;
	turns(l, SOME_TURNS);
	CU_ASSERT_EQUAL(e.seen, seen);
	eye_shut(&e); /* not watched: no effect */
	e.drain = true;
	CU_ASSERT_EQUAL(eye_open(&e), 0);
	turns(l, SOME_TURNS);
	CU_ASSERT_EQUAL(e.seen, seen + 1);
	eye_shut(&e);
	close(e.w.fd);
}

static void test_watch_is_level_triggered(void)
{
	on_each_loop(watch_is_level_triggered);
}

/* Two that are ready at once, each of which unwatches the other: only one runs. */
static void unwatch_another(struct looper *l)
{
	struct eye a, b;

	eye_init(&a, l);
	eye_init(&b, l);
	a.other = &b;
	b.other = &a;
	a.drain = b.drain = true;
	CU_ASSERT_EQUAL(eye_open(&a), 0);
	CU_ASSERT_EQUAL(eye_open(&b), 0);
	eventfd_write(a.w.fd, 1);
	eventfd_write(b.w.fd, 1);
	turns(l, SOME_TURNS);
	if (l->kind != IOTHREAD) /* there one may have run before the other was ready */
		CU_ASSERT_EQUAL(a.seen + b.seen, 1);
	CU_ASSERT(a.seen <= 1 && b.seen <= 1);
	eye_shut(&a);
	eye_shut(&b);
	close(a.w.fd);
	close(b.w.fd);
}

static void test_unwatch_another(void)
{
	on_each_loop(unwatch_another);
}

static void unwatch_self(struct looper *l)
{
	struct eye e;

	eye_init(&e, l);
	e.unwatch_self = true;
	for (unsigned i = 1; i <= 5; i++) {
		eventfd_write(e.w.fd, 1);
		CU_ASSERT_EQUAL(eye_open(&e), 0);
		turns(l, SOME_TURNS);
		CU_ASSERT_EQUAL(e.seen, i);
	}
	close(e.w.fd);
}

static void test_unwatch_self(void)
{
	on_each_loop(unwatch_self);
}

#define MANY 100

/* More than any initial table holds; every second one goes, and each still gets its own events. */
static void many_watches(struct looper *l)
{
	struct eye *e = calloc(MANY, sizeof(*e));

	for (unsigned i = 0; i < MANY; i++) {
		eye_init(&e[i], l);
		e[i].drain = true;
		CU_ASSERT_EQUAL(eye_open(&e[i]), 0);
	}
	for (unsigned i = 0; i < MANY; i += 2)
		eye_shut(&e[i]);
	for (unsigned i = 0; i < MANY; i += 3)
		eventfd_write(e[i].w.fd, 1);
	turns(l, 2 * SOME_TURNS);
	for (unsigned i = 0; i < MANY; i++) {
		CU_ASSERT_EQUAL(e[i].seen, i % 2 == 1 && i % 3 == 0);
		eye_shut(&e[i]);
		close(e[i].w.fd);
	}
	free(e);
}

static void test_many_watches(void)
{
	on_each_loop(many_watches);
}

/* ---- defers ------------------------------------------------------------------------------------
 */

struct later {
	struct vio_defer d;
	struct vio_loop *loop;
	struct later *cancel; /* when run, or NULL */
	unsigned again;	      /* how often to queue itself again when run */
	unsigned nesting;     /* checks that a defer never runs inside vio_loop_defer */
	unsigned order;	      /* when it ran last */
	_Atomic unsigned ran;
	unsigned *clock;
};

static void on_later(struct vio_defer *d)
{
	struct later *x = vio_container_of(d, struct later, d);

	x->nesting++;
	x->ran++;
	x->order = ++*x->clock;
	if (x->cancel)
		vio_loop_cancel(x->loop, &x->cancel->d);
	if (x->again > 0) {
		unsigned ran = x->ran;

		x->again--;
		vio_loop_defer(x->loop, &x->d);
		if (x->ran != ran)
			x->nesting = 1000;
	}
	x->nesting--;
}

static void later_init(struct later *x, struct looper *l, unsigned *clock)
{
	memset(x, 0, sizeof(*x));
	x->d.run = on_later;
	x->loop = l->loop;
	x->clock = clock;
}

struct laters {
	struct later *x;
	unsigned n;
};

static void do_defer_all(void *arg)
{
	struct laters *all = arg;

	for (unsigned i = 0; i < all->n; i++) {
		vio_loop_defer(all->x[i].loop, &all->x[i].d);
		vio_loop_defer(all->x[i].loop, &all->x[i].d); /* queued already: no effect */
		CU_ASSERT_EQUAL(all->x[i].ran, 0);
	}
}

static void defers_run_in_order(struct looper *l)
{
	struct later x[8];
	struct laters all = {x, 8};
	unsigned clock = 0;

	for (unsigned i = 0; i < 8; i++)
		later_init(&x[i], l, &clock);
	vio_loop_call(l->loop, do_defer_all, &all);
	turns(l, SOME_TURNS);
	for (unsigned i = 0; i < 8; i++) {
		CU_ASSERT_EQUAL(x[i].ran, 1);
		CU_ASSERT_EQUAL(x[i].order, i + 1);
	}
}

static void test_defers_run_in_order(void)
{
	on_each_loop(defers_run_in_order);
}

static void do_cancel(void *arg)
{
	struct later *x = arg;

	vio_loop_defer(x[0].loop, &x[0].d);
	vio_loop_defer(x[1].loop, &x[1].d);
	vio_loop_defer(x[2].loop, &x[2].d);
	vio_loop_cancel(x[1].loop, &x[1].d);
	vio_loop_cancel(x[1].loop, &x[1].d); /* not queued: no effect */
	vio_loop_cancel(x[3].loop, &x[3].d); /* never was */
}

static void defers_are_cancelled(struct looper *l)
{
	struct later x[4];
	unsigned clock = 0;

	for (unsigned i = 0; i < 4; i++)
		later_init(&x[i], l, &clock);
	vio_loop_call(l->loop, do_cancel, x);
	turns(l, SOME_TURNS);
	CU_ASSERT_EQUAL(x[0].ran, 1);
	CU_ASSERT_EQUAL(x[1].ran, 0);
	CU_ASSERT_EQUAL(x[2].ran, 1);
	/* The first of three takes back the last, which waits in the same round. */
	x[0].cancel = &x[2];
	x[0].ran = x[2].ran = 0;
	vio_loop_call(l->loop, do_defer_all, &(struct laters){x, 3});
	turns(l, SOME_TURNS);
	CU_ASSERT_EQUAL(x[0].ran, 1);
	CU_ASSERT_EQUAL(x[1].ran, 1);
	CU_ASSERT_EQUAL(x[2].ran, 0);
}

static void test_defers_are_cancelled(void)
{
	on_each_loop(defers_are_cancelled);
}

static void do_stop(void *arg)
{
	struct later *x = arg;

	x->again = 0;
	vio_loop_cancel(x->loop, &x->d);
}

/* A defer that queues itself again runs once a round: others get their turns. */
static void defers_do_not_starve(struct looper *l)
{
	unsigned clock = 0;
	struct later x;
	struct eye e;

	eye_init(&e, l);
	e.drain = true;
	CU_ASSERT_EQUAL(eye_open(&e), 0);
	later_init(&x, l, &clock);
	x.again = UINT32_MAX;
	vio_loop_call(l->loop, do_defer_all, &(struct laters){&x, 1});
	for (unsigned i = 1; i <= 20; i++) {
		eventfd_write(e.w.fd, 1);
		turns(l, SOME_TURNS);
		CU_ASSERT_EQUAL(e.seen, i);
	}
	CU_ASSERT(x.ran > 20);
	vio_loop_call(l->loop, do_stop, &x);
	CU_ASSERT_EQUAL(x.nesting, 0);
	eye_shut(&e);
	close(e.w.fd);
}

static void test_defers_do_not_starve(void)
{
	on_each_loop(defers_do_not_starve);
}

/* ---- calls from other threads ------------------------------------------------------------------
 */

#define CALLERS	     4
#define CALLS	     500
#define CALL_SILENCE 30000 /* naps */

struct caller {
	struct looper *l;
	unsigned *shared; /* touched by the loop's thread only */
	unsigned mine;	  /* this thread's, and the loop's during a call */
	bool in_order;
};

struct crowd {
	struct caller c[CALLERS];
	_Atomic unsigned finished;
};

static void do_count(void *arg)
{
	struct caller *c = arg;

	c->mine++;
	++*c->shared;
}

/* A call from inside a call runs at once: it is the owner already. */
static void do_nested(void *arg)
{
	struct caller *c = arg;
	unsigned before = c->mine;

	vio_loop_call(c->l->loop, do_count, c);
	c->in_order &= c->mine == before + 1;
}

static void *caller_thread(void *arg)
{
	struct caller *c = arg;

	c->in_order = true;
	for (unsigned i = 1; i <= CALLS; i++) {
		vio_loop_call(c->l->loop, i % 10 ? do_count : do_nested, c);
		c->in_order &= c->mine == i; /* it ran before the call returned */
	}
	return NULL;
}

static void *crowd_thread(void *arg)
{
	struct crowd *crowd = arg;
	pthread_t t[CALLERS];

	for (unsigned i = 0; i < CALLERS; i++)
		MUST(-pthread_create(&t[i], NULL, caller_thread, &crowd->c[i]));
	for (unsigned i = 0; i < CALLERS; i++)
		pthread_join(t[i], NULL);
	crowd->finished = 1;
	return NULL;
}

static void calls_from_threads(struct looper *l)
{
	struct crowd crowd = {0};
	unsigned shared = 0, patience = CALL_SILENCE;
	pthread_t t;

	for (unsigned i = 0; i < CALLERS; i++)
		crowd.c[i] = (struct caller){.l = l, .shared = &shared};
	MUST(-pthread_create(&t, NULL, crowd_thread, &crowd));
	while (!crowd.finished && patience-- > 0) {
		turns(l, 1);
		nap();
	}
	CU_ASSERT_FATAL(crowd.finished); /* else a caller sleeps for ever */
	pthread_join(t, NULL);
	CU_ASSERT_EQUAL(shared, CALLERS * CALLS);
	for (unsigned i = 0; i < CALLERS; i++)
		CU_ASSERT_TRUE(crowd.c[i].in_order);
}

static void test_calls_from_threads(void)
{
	on_each_loop(calls_from_threads);
}

/* A loop that sleeps wakes up for a call, a ready descriptor, and a defer. */
struct sleeper {
	struct looper *l;
	_Atomic bool owned; /* the thread has the loop */
	_Atomic bool stop;
};

static void do_end(void *arg)
{
	struct sleeper *s = arg;

	s->stop = true;
	if (s->l->kind == EVENT)
		event_base_loopbreak(s->l->base);
}

static void *sleeper_thread(void *arg)
{
	struct sleeper *s = arg;

	if (s->l->kind == MANUAL)
		vio_loop_manual_own(s->l->loop);
	else
		vio_loop_event_own(s->l->loop);
	s->owned = true;
	while (!s->stop) {
		if (s->l->kind == MANUAL)
			vio_loop_manual_run(s->l->loop, -1);
		else
			event_base_loop(s->l->base, EVLOOP_ONCE);
	}
	return NULL;
}

static void take_back(struct looper *l)
{
	if (l->kind == MANUAL)
		vio_loop_manual_own(l->loop);
	else
		vio_loop_event_own(l->loop);
}

static void a_sleeping_loop_wakes(struct looper *l)
{
	struct sleeper s = {.l = l};
	unsigned clock = 0, patience = CALL_SILENCE;
	struct later x;
	struct eye e;
	pthread_t t;

	if (l->kind == IOTHREAD)
		return; /* sleeps on its own thread in every test here */
	eye_init(&e, l);
	e.drain = true;
	CU_ASSERT_EQUAL(eye_open(&e), 0); /* as the owner, before the thread has the loop */
	MUST(-pthread_create(&t, NULL, sleeper_thread, &s));
	while (!s.owned)
		nap();
	for (unsigned i = 1; i <= 50; i++) {
		later_init(&x, l, &clock);
		nap();
		eventfd_write(e.w.fd, 1);
		while (e.seen < i && patience-- > 0)
			nap();
		CU_ASSERT_EQUAL_FATAL(e.seen, i);
		vio_loop_call(l->loop, do_defer_all, &(struct laters){&x, 1});
		while (x.ran == 0 && patience-- > 0)
			nap();
		CU_ASSERT_EQUAL_FATAL(x.ran, 1);
		vio_loop_call(l->loop, nothing, NULL); /* on_later() has returned */
	}
	vio_loop_call(l->loop, do_end, &s);
	pthread_join(t, NULL);
	take_back(l);
	eye_shut(&e);
	close(e.w.fd);
}

static void test_a_sleeping_loop_wakes(void)
{
	on_each_loop(a_sleeping_loop_wakes);
}

/* ---- the loop that is turned by hand -----------------------------------------------------------
 */

static void test_manual_counts(void)
{
	unsigned clock = 0;
	struct looper l;
	struct later x;
	struct eye e;

	CU_ASSERT_TRUE_FATAL(looper_init(&l, MANUAL));
	CU_ASSERT_EQUAL(vio_loop_manual_run(l.loop, 0), 0);
	eye_init(&e, &l);
	e.drain = true;
	eye_open(&e);
	eventfd_write(e.w.fd, 1);
	later_init(&x, &l, &clock);
	vio_loop_defer(l.loop, &x.d);
	CU_ASSERT_EQUAL(vio_loop_manual_run(l.loop, -1), 2); /* does not sleep: a defer waits */
	CU_ASSERT_EQUAL(vio_loop_manual_run(l.loop, 1), 0);
	eye_shut(&e);
	close(e.w.fd);
	looper_fini(&l);
	vio_loop_destroy(NULL);
}

static CU_TestInfo tests[] = {
	{"watches are level-triggered", test_watch_is_level_triggered},
	{"unwatch another that is ready", test_unwatch_another},
	{"unwatch oneself", test_unwatch_self},
	{"many watches", test_many_watches},
	{"defers run in order, once", test_defers_run_in_order},
	{"defers are cancelled", test_defers_are_cancelled},
	{"defers do not starve the others", test_defers_do_not_starve},
	{"calls from several threads", test_calls_from_threads},
	{"a sleeping loop wakes up", test_a_sleeping_loop_wakes},
	{"turned by hand", test_manual_counts},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("loop", tests);
}
