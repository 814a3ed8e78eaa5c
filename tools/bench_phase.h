/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_BENCH_PHASE_H
#define TOOLS_BENCH_PHASE_H

/*
 * A session is an open link with its queues; a phase is load on all of them for a while.
 */

#include "bench_queue.h"

struct bench_session {
	const struct bench_opts *opts;
	struct bench_link *link;
	struct bench_mem mem;
	struct bench_queue **queues; /* opts->queues */
	double ticks_per_ns;
};

struct bench_result {
	double seconds; /* of the measurement; those still in flight then are not in counts.done */
	struct bench_counts counts;
	struct bench_hist hist;
	uint64_t device_cpu; /* ns that whoever serves the device used */
	bool device_cpu_known;
	uint64_t driver_cpu; /* ns of the driver's threads */
};

/* Opens `target` and starts the queues. 0 or -1, said on standard error. */
int bench_session_open(struct bench_session *s, const struct bench_opts *o, const char *target);

/* Stops the queues and checks where they stopped. 0 or -1. */
int bench_session_stop(struct bench_session *s);

void bench_session_close(struct bench_session *s);

/* 0; or -1, said on standard error. The result is filled in both cases. */
int bench_phase_run(struct bench_session *s, const struct bench_load *load,
		    struct bench_result *out);

/* Ctrl-C ends phases early from now on. */
void bench_catch_interrupt(void);
bool bench_interrupted(void);

/* Takes the progress line away, so that something else can be printed. */
void bench_progress_clear(void);

#endif
