/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_BENCH_QUEUE_INTERNAL_H
#define TOOLS_BENCH_QUEUE_INTERNAL_H

#include <endian.h>
#include <linux/virtio_blk.h>

#include "bench_queue.h"

#define BENCH_BUFFERS 3 /* header, data, status */

struct bench_slot {
	struct vring_desc table[BENCH_BUFFERS];
	struct virtio_blk_outhdr header;
	uint8_t status;
	uint8_t padding[63];
};

_Static_assert(sizeof(struct bench_slot) == 128, "two cache lines");

static inline struct vring_desc bench_buffer(uint64_t gpa, uint32_t len, unsigned flags,
					     unsigned next)
{
	return (struct vring_desc){.addr = htole64(gpa),
				   .len = htole32(len),
				   .flags = htole16((uint16_t)flags),
				   .next = htole16((uint16_t)next)};
}

/* Whether the device shall interrupt for what it uses next. */
void bench_queue_ask(struct bench_queue *q, bool interrupts);

#endif
