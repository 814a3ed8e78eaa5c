/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_BENCH_QUEUE_H
#define TOOLS_BENCH_QUEUE_H

/*
 * What carries load: a queue of a disk, or a pair of queues of a network card. Belongs to one
 * thread while load runs. And what devices differ in.
 */

#include "bench_hist.h"
#include "bench_link.h"

/* More rings than a queue of any device has. */
#define BENCH_QUEUE_RINGS 3

struct pollfd;

/* A request is a request to a disk, or a frame. */
struct bench_counts {
	uint64_t all;	  /* requests that came back */
	uint64_t done;	  /* ... before the end of the measurement */
	uint64_t errors;  /* ... with a status other than OK */
	uint64_t lost;	  /* ... never came back */
	uint64_t checked; /* frames of which every byte was looked at */
	uint64_t kicks;
	uint64_t interrupts;
};

struct bench_load {
	const char *name; /* for the progress line */
	unsigned flags, read_percent;
	double seconds; /* 0: until `count` requests are done */
	uint64_t count; /* 0: until the time is over; UINT64_MAX: each block once */
};

struct bench_queue;

struct bench_queue_ops {
	/*
	 * Forgets what was counted and sends the first requests, of `budget` (UINT64_MAX: no
	 * limit).
	 */
	void (*begin)(struct bench_queue *q, const struct bench_load *load, uint64_t budget);
	/* Takes back what is done, sends as many. Returns how many came back; look at q->fault. */
	unsigned (*turn)(struct bench_queue *q);
	/* No further requests; what comes back from now on is not counted as done. */
	void (*end)(struct bench_queue *q);
	/* Anything in flight or still to be sent? */
	bool (*busy)(struct bench_queue *q);
	/*
	 * Asks for interrupts; true when something came back already. Puts what to wait on at fds
	 * and counts it in *n.
	 */
	bool (*sleep)(struct bench_queue *q, struct pollfd *fds, unsigned *n);
	/* Asks for none. */
	void (*wake)(struct bench_queue *q);
	/* After a phase: completes q->counts. */
	void (*count)(struct bench_queue *q);
	/* The rings, BENCH_QUEUE_RINGS at most. */
	unsigned (*rings)(struct bench_queue *q, struct bench_rings *out);
	/* The rings are started. 0 or -1. Optional. */
	int (*started)(struct bench_queue *q);
	/* Ring `i` of rings() was stopped at `base`: is that right? 0 or -1. */
	int (*stopped)(struct bench_queue *q, unsigned i, uint16_t base);
	void (*destroy)(struct bench_queue *q);
};

struct bench_queue {
	const struct bench_queue_ops *ops;
	struct bench_link *link;
	unsigned index;
	uint64_t share; /* requests of a load that asks for each block once */
	struct bench_counts counts;
	struct bench_hist hist;
	char fault[200]; /* why the run cannot go on; "" when all is well */
};

/* Records why; the first reason counts. */
void bench_queue_fault(struct bench_queue *q, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* What devices differ in. */
struct bench_device {
	const char *name, *what; /* "blk", "disk" */
	const char *request;	 /* "requests" */
	uint32_t id;		 /* virtio device ID */
	unsigned config_bytes;	 /* of the configuration space that are read, */
	bool needs_config;	 /* and must be there */
	/*
	 * Chooses link->features, reads the configuration (NULL: there is none), and checks that
	 * the device can do what the options want. 0 or -1.
	 */
	int (*accept)(struct bench_link *link, const struct bench_opts *o, uint64_t offered,
		      const uint8_t *config);
	/* Bytes of shared memory that a queue needs. */
	uint64_t (*queue_bytes)(const struct bench_link *link, const struct bench_opts *o);
	/* Puts a queue at `offset` of `mem`. NULL after an error. */
	struct bench_queue *(*queue_create)(const struct bench_opts *o, struct bench_link *link,
					    const struct bench_mem *mem, uint64_t offset,
					    unsigned index);
};

extern const struct bench_device bench_blk, bench_net;

#endif
