/* SPDX-License-Identifier: BSD-3-Clause */
#include "uring.h"

#include <errno.h>
#include <sched.h>

int uring_init(struct uring *u, unsigned entries, bool sleeps_inside)
{
	/*
	 * A thread that sleeps in the ring has completions wait until it asks for them (no
	 * interruption while it serves rings); a flag in shared memory says when some wait. Older
	 * kernels do without. One that watches the ring's descriptor must have them at once: what
	 * waits to be asked for does not make the descriptor readable in time.
	 */
	static const unsigned flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		0,
	};
	int r = -EINVAL;

	u->after = NULL;
	u->unsubmitted = 0;
	for (size_t i = sleeps_inside ? 0 : VIO_ARRAY_LEN(flags) - 1;
	     r == -EINVAL && i < VIO_ARRAY_LEN(flags); i++) {
		struct io_uring_params p = {.flags = flags[i] | IORING_SETUP_CQSIZE,
					    .cq_entries = entries * 4};

		r = io_uring_queue_init_params(entries, &u->ring, &p);
	}
	if (r == 0)
		uring_fixed_init(&u->fixed, &u->ring);
	return r;
}

void uring_fini(struct uring *u)
{
	io_uring_queue_exit(&u->ring);
}

struct io_uring_sqe *uring_sqe(struct uring *u, struct uring_op *op)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&u->ring)))
		uring_submit(u);
	io_uring_sqe_set_data(sqe, op);
	u->unsubmitted++;
	return sqe;
}

void uring_submit(struct uring *u)
{
	int r;

	if (u->unsubmitted == 0)
		return;
	r = io_uring_submit(&u->ring);
	if (r >= 0)
		u->unsubmitted -= (unsigned)r;
	else if (r != -EINTR)
		sched_yield(); /* -EAGAIN, -EBUSY: the kernel is short of memory; tried again */
}

void uring_wait(struct uring *u)
{
	int r = io_uring_submit_and_wait(&u->ring, 1);

	if (r >= 0)
		u->unsubmitted -= (unsigned)r;
}

void uring_run_after(struct uring *u, struct uring_after *after)
{
	if (after->queued)
		return;
	after->queued = true;
	after->next = u->after;
	u->after = after;
}

static void run_after(struct uring *u)
{
	while (u->after) {
		struct uring_after *a = u->after;

		u->after = a->next;
		a->queued = false;
		a->run(a);
	}
}

unsigned uring_reap(struct uring *u)
{
	struct io_uring_cqe *cqe;
	unsigned n = 0;

	if (IO_URING_READ_ONCE(*u->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW))
		io_uring_get_events(&u->ring);
	/* `done` may reap too (a drain), so each entry is given back before it is dispatched. */
	while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
		struct uring_op *op = io_uring_cqe_get_data(cqe);
		int result = cqe->res;

		io_uring_cqe_seen(&u->ring, cqe);
		if (op)
			op->done(op, result);
		n++;
	}
	run_after(u);
	return n;
}
