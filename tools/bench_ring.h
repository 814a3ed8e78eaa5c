/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_BENCH_RING_H
#define TOOLS_BENCH_RING_H

/*
 * One virtqueue from the driver's side: the rings and the notifications, nothing of what is in the
 * buffers. Belongs to one thread while load runs.
 */

#include <endian.h>
#include <linux/virtio_ring.h>

#include "bench_link.h"

struct bench_ring {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t *used_event, *avail_event;
	uint16_t mask, avail_idx, published, used_idx;
	bool event_idx, interrupts_on;

	struct bench_link *link;
	struct bench_rings rings;
	uint64_t kicks, interrupts;
};

/* Gives out `bytes` at `*offset`, which moves behind them. */
uint64_t bench_place(uint64_t *offset, uint64_t bytes, uint64_t align);

/* Where the parts of a ring of `size` are; `*offset` moves behind them. */
struct bench_ring_layout {
	uint64_t desc, avail, used;
};

struct bench_ring_layout bench_ring_place(uint64_t *offset, unsigned size);

/* Virtqueue `index` of the device. Asks for no interrupts. 0 or -1. */
int bench_ring_init(struct bench_ring *r, struct bench_link *link, const struct bench_mem *mem,
		    const struct bench_ring_layout *l, unsigned size, unsigned index);

/* A ring that was not initialised is allowed. */
void bench_ring_fini(struct bench_ring *r);

static inline struct vring_desc bench_buffer(uint64_t gpa, uint32_t len, unsigned flags,
					     unsigned next)
{
	return (struct vring_desc){.addr = htole64(gpa),
				   .len = htole32(len),
				   .flags = htole16((uint16_t)flags),
				   .next = htole16((uint16_t)next)};
}

/* Makes a chain available; the device sees it with the next bench_ring_publish(). */
static inline void bench_ring_add(struct bench_ring *r, unsigned head)
{
	r->avail->ring[r->avail_idx++ & r->mask] = htole16((uint16_t)head);
}

/* Shows the device what was added, and tells it if it wants to be told. */
void bench_ring_publish(struct bench_ring *r);

/* How many chains came back and were not looked at yet. */
static inline uint16_t bench_ring_ready(const struct bench_ring *r)
{
	uint16_t idx = le16toh(__atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE));

	return (uint16_t)(idx - r->used_idx);
}

static inline const struct vring_used_elem *bench_ring_take(struct bench_ring *r)
{
	return &r->used->ring[r->used_idx++ & r->mask];
}

/* After taking: with event index, keeps the next interrupt out of reach. */
void bench_ring_move_event(struct bench_ring *r);

/* Asks for an interrupt; true when something came back already. */
bool bench_ring_sleep(struct bench_ring *r);

/* Asks for none, and counts those that came. */
void bench_ring_wake(struct bench_ring *r);

/* Threads that poll never look at the call descriptor; adds up what arrived there. */
void bench_ring_count_interrupts(struct bench_ring *r);

/* Forgets what was counted. */
void bench_ring_clear(struct bench_ring *r);

#endif
