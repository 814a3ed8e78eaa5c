/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_LOOPER_H
#define UNIT_LOOPER_H

/*
 * Each kind of loop there is, for tests that run on all of them: turned by hand, libevent, and the
 * loop of an IO thread.
 */

#include <string.h>
#include <time.h>

#include <event2/event.h>

#include <viodm/iothread.h>
#include <viodm/loop.h>
#include <viodm/loop_event.h>
#include <viodm/loop_manual.h>

#include "suite.h"

enum kind { MANUAL, EVENT, IOTHREAD, N_KINDS };

struct looper {
	enum kind kind;
	struct vio_loop *loop;
	struct event_base *base;
	struct vio_iothread *thread;
};

/* False when this machine has no such loop. */
static inline bool looper_init(struct looper *l, enum kind kind)
{
	const struct vio_iothread_config cfg = {.cpu = -1};
	int r;

	memset(l, 0, sizeof(*l));
	l->kind = kind;
	switch (kind) {
	case MANUAL:
		MUST(vio_loop_manual_create(&l->loop));
		return true;
	case EVENT:
		l->base = event_base_new();
		MUST(vio_loop_event_create(l->base, &l->loop));
		return true;
	default:
		r = vio_iothread_create(&cfg, &l->thread);
		if (r < 0)
			return false;
		l->loop = vio_iothread_loop(l->thread);
		return true;
	}
}

static inline void looper_fini(struct looper *l)
{
	if (l->kind == IOTHREAD) {
		vio_iothread_destroy(l->thread);
		return;
	}
	vio_loop_destroy(l->loop);
	if (l->base)
		event_base_free(l->base);
}

static inline void nap(void)
{
	const struct timespec ts = {.tv_nsec = 200000};

	nanosleep(&ts, NULL);
}

static inline void nothing(void *arg)
{
	(void)arg;
}

/* Lets the loop come round a number of times. */
static inline void turns(struct looper *l, unsigned n)
{
	while (n-- > 0) {
		switch (l->kind) {
		case MANUAL:
			CU_ASSERT(vio_loop_manual_run(l->loop, 0) >= 0);
			break;
		case EVENT:
			event_base_loop(l->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
			break;
		default:
			vio_loop_call(l->loop, nothing, NULL);
			nap();
			break;
		}
	}
}

#define SOME_TURNS 10

/* Runs the test once for each kind of loop. */
static inline void on_each_loop(void (*test)(struct looper *l))
{
	for (unsigned kind = 0; kind < N_KINDS; kind++) {
		struct looper l;

		if (!looper_init(&l, (enum kind)kind)) {
			printf("\n  no io_uring here: IO thread left out");
			continue;
		}
		test(&l);
		looper_fini(&l);
	}
}

#endif
