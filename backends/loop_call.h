/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_LOOP_CALL_H
#define VIODM_LOOP_CALL_H

/*
 * The cross-thread half of a loop, shared by the loops here: an owner thread, and a mailbox of
 * functions to run on it, with an eventfd that the loop watches. Not installed.
 */

#include <pthread.h>

#include <viodm/loop.h>

struct loop_call_entry;

struct loop_call {
	pthread_t owner;
	pthread_mutex_t lock;
	pthread_cond_t done;
	struct loop_call_entry *first, **last;
	int fd; /* readable while entries wait */
};

/* The calling thread is the owner. 0 or -errno. */
int loop_call_init(struct loop_call *lc);
void loop_call_fini(struct loop_call *lc);

/* Owner thread; see vio_loop_call(). */
void loop_call_own(struct loop_call *lc);

/* Any thread: runs fn(arg) on the owner, returns after it ran. */
void loop_call_run(struct loop_call *lc, void (*fn)(void *arg), void *arg);

/* Owner thread, when fd is readable: runs everything in the mailbox. Returns how many. */
int loop_call_serve(struct loop_call *lc);

/* The defers of a loop: a list, run in order; what a defer queues runs in the next round. */
struct defer_list {
	struct vio_defer *first, **last;
	unsigned n;
};

void defer_list_init(struct defer_list *dl);
void defer_list_add(struct defer_list *dl, struct vio_defer *d);
void defer_list_remove(struct defer_list *dl, struct vio_defer *d);
/* Runs those queued at the time of the call. Returns how many. */
int defer_list_run(struct defer_list *dl);

#endif
