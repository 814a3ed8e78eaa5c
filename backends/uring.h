/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_URING_H
#define VIODM_URING_H

/*
 * One io_uring and the dispatch of its completions; shared by loop_uring.c, whose loop sleeps in
 * it, and storage/uring.c, which submits to the loop's ring or, on another loop, to one of its own.
 * Not installed. One thread.
 */

#include <liburing.h>

#include <viodm/util.h>

#include "uring_fixed.h"

/* What a submission's user_data points to; lives until `done` was called. */
struct uring_op {
	void (*done)(struct uring_op *op, int result);
};

/* A function to run once after the completions of one look at the ring. */
struct uring_after {
	void (*run)(struct uring_after *after);
	struct uring_after *next;
	bool queued;
};

struct uring {
	struct io_uring ring;
	struct uring_after *after;
	struct uring_fixed fixed;
	unsigned unsubmitted; /* prepared, not yet given to the kernel */
};

/*
 * `sleeps_inside`: the owner waits with uring_wait(); otherwise it watches the ring's descriptor.
 * 0 or -errno. The calling thread is the only one to use the ring from here on.
 */
int uring_init(struct uring *u, unsigned entries, bool sleeps_inside);
void uring_fini(struct uring *u);

/* A free submission with user_data set; makes room by submitting what is there. Never NULL. */
struct io_uring_sqe *uring_sqe(struct uring *u, struct uring_op *op);

/* Submits what was prepared; no system call when there is nothing. */
void uring_submit(struct uring *u);

/* Submits and sleeps until a completion is there. */
void uring_wait(struct uring *u);

/* Dispatches the completions that are there, then the "after" functions. Returns how many. No
 * system call unless the kernel says that it holds completions back. */
unsigned uring_reap(struct uring *u);

/* From inside a `done`: run `after` when this reap is over. */
void uring_run_after(struct uring *u, struct uring_after *after);

#endif
