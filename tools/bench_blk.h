/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_BENCH_BLK_H
#define TOOLS_BENCH_BLK_H

/*
 * One queue of a disk, with a fixed set of requests in it: each that comes back is sent again as
 * another one.
 *
 * A request is three buffers (header, data, status) in an indirect table, or three descriptors
 * where there is none. Table and header share a cache line, which the driver writes for each
 * request, as drivers do; the status byte has its own.
 */

#include <linux/virtio_blk.h>

#include <viodm/util.h>

#include "bench_queue.h"
#include "bench_ring.h"

#define BENCH_BUFFERS 3 /* header, data, status */

struct bench_request {
	uint64_t start; /* ticks; 0: not in flight */
	uint64_t block; /* of the queue's part of the disk */
	uint32_t generation;
	bool read;
};

/* Of the driver's memory that the device sees. */
struct bench_slot {
	struct vring_desc table[BENCH_BUFFERS];
	struct virtio_blk_outhdr header;
	uint8_t status;
	uint8_t padding[63];
};

_Static_assert(sizeof(struct bench_slot) == 128, "two cache lines");

struct disk_queue {
	struct bench_queue base;
	struct bench_ring ring;
	uint16_t stride; /* descriptors per request in the ring */

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
};

static inline struct disk_queue *to_disk(struct bench_queue *q)
{
	return vio_container_of(q, struct disk_queue, base);
}

extern const struct bench_queue_ops disk_queue_ops;

void disk_queue_destroy(struct bench_queue *q);

#endif
