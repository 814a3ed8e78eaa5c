/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_BENCH_QUEUE_H
#define TOOLS_BENCH_QUEUE_H

/*
 * One virtqueue from the driver's side, with a fixed set of requests in it: each that comes back is
 * sent again as another one. Belongs to one thread while load runs.
 *
 * A request is three buffers (header, data, status) in an indirect table, or three descriptors
 * where there is none. Table and header share a cache line, which the driver writes for each
 * request, as drivers do; the status byte has its own.
 */

#include <linux/virtio_ring.h>

#include "bench_hist.h"
#include "bench_link.h"

struct bench_request {
	uint64_t start; /* ticks; 0: not in flight */
	uint64_t block; /* of the queue's part of the disk */
	uint32_t generation;
	bool read;
};

struct bench_counts {
	uint64_t all;	 /* requests that came back */
	uint64_t done;	 /* ... before the end of the measurement */
	uint64_t errors; /* ... with a status other than OK */
	uint64_t kicks;
	uint64_t interrupts;
};

struct bench_slot; /* of the driver's memory that the device sees */

struct bench_queue {
	/* the ring */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t *used_event, *avail_event;
	uint16_t mask, avail_idx, published, used_idx;
	uint16_t stride; /* descriptors per request in the ring */
	bool event_idx, interrupts_on;

	/* the requests */
	struct bench_slot *slots;
	char *data;
	uint64_t slots_gpa, data_gpa;
	struct bench_request *requests;
	unsigned depth, in_flight;
	uint32_t bs;

	/* the load */
	unsigned flags, read_percent;
	uint64_t budget; /* requests still to be sent */
	uint64_t first_block, n_blocks;
	uint64_t cursor, random;
	bool counting;

	/* verify mode */
	uint32_t *generation; /* of each block; NULL: do not verify */
	uint8_t *writing;     /* blocks in flight: nobody else may touch them */
	uint64_t run;

	struct bench_link *link;
	unsigned index;
	struct bench_rings rings;
	struct bench_counts counts;
	struct bench_hist hist;
	char fault[200]; /* why the run cannot go on; "" when all is well */
};

/* Bytes of shared memory that a queue needs. */
uint64_t bench_queue_bytes(const struct bench_opts *o);

/* Puts a queue at `offset` of `mem`. 0 or -1. */
int bench_queue_init(struct bench_queue *q, const struct bench_opts *o, struct bench_link *link,
		     const struct bench_mem *mem, uint64_t offset, unsigned index);

void bench_queue_fini(struct bench_queue *q);

/* Forgets what was counted and sends the first requests. */
void bench_queue_begin(struct bench_queue *q, unsigned flags, unsigned read_percent,
		       uint64_t budget);

/* Takes back what is done, sends as many. Returns how many came back; look at q->fault too. */
unsigned bench_queue_turn(struct bench_queue *q);

/* No further requests; what comes back from now on is not counted as done. */
void bench_queue_end(struct bench_queue *q);

/* Asks for an interrupt; true when something came back already. */
bool bench_queue_sleep(struct bench_queue *q);

/* Asks for none, and counts those that came. */
void bench_queue_wake(struct bench_queue *q);

/* Driver's threads that poll never look at the call descriptor; adds up what arrived there. */
void bench_queue_count_interrupts(struct bench_queue *q);

#endif
