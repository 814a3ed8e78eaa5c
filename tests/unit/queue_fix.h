/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_QUEUE_FIX_H
#define UNIT_QUEUE_FIX_H

/*
 * A bare queue with a driver before it: no device, no transport.
 */

#include <string.h>

#include <driver/queue.h>
#include <viodm/queue.h>

#include "suite.h"

/* Two regions that touch in guest-physical memory only, a gap, and the top of the address space. */
#define RAM_A	   0x100000u
#define RAM_A_SIZE 0x800000u
#define RAM_B	   (RAM_A + RAM_A_SIZE)
#define RAM_B_SIZE 0x10000u
#define RAM_C	   (RAM_B + RAM_B_SIZE)
#define RAM_C_SIZE 0x1000u
#define GAP	   (RAM_C + RAM_C_SIZE)
#define RAM_TOP	   UINT64_C(0xfffffffffffff000)

struct fix {
	struct drv_mem mem;
	struct vio_mem *map;
	struct drv_queue d; /* driver's side */
	struct vio_queue q; /* device's side */
	uint64_t buf;	    /* RAM for buffers, 64 KiB, in the first region */
};

static inline struct vio_queue_config fix_config(const struct fix *f, bool indirect)
{
	return (struct vio_queue_config){.desc_gpa = f->d.desc_gpa,
					 .driver_gpa = f->d.driver_gpa,
					 .device_gpa = f->d.device_gpa,
					 .size = f->d.size,
					 .event_idx = f->d.event_idx,
					 .indirect = indirect};
}

/* Guest memory and the driver's rings; the device's side is not started. */
static inline void fix_prepare(struct fix *f, uint16_t size, bool event_idx)
{
	memset(f, 0, sizeof(*f));
	drv_mem_init(&f->mem);
	MUST(drv_mem_add(&f->mem, RAM_A, RAM_A_SIZE));
	MUST(drv_mem_add(&f->mem, RAM_B, RAM_B_SIZE));
	MUST(drv_mem_add(&f->mem, RAM_C, RAM_C_SIZE));
	MUST(drv_mem_add(&f->mem, RAM_TOP, 0x1000));
	MUST(drv_mem_map(&f->mem, &f->map));
	MUST(drv_queue_init(&f->d, &f->mem, size, event_idx, size <= 64 ? size + 1u : 4));
	f->buf = drv_mem_alloc(&f->mem, 0x10000, 4096);
}

static inline void fix_init(struct fix *f, uint16_t size, bool event_idx, bool indirect)
{
	struct vio_queue_config cfg;

	fix_prepare(f, size, event_idx);
	cfg = fix_config(f, indirect);
	MUST(vio_queue_start(&f->q, f->map, &cfg, sizeof(struct vio_chain)));
}

static inline void fix_fini(struct fix *f)
{
	vio_queue_stop(&f->q);
	drv_queue_fini(&f->d);
	vio_mem_destroy(f->map);
	drv_mem_fini(&f->mem);
}

/* `n` buffers of `len` bytes, side by side in the buffer area; those from `writable` on writable.
 */
static inline void fix_bufs(const struct fix *f, struct drv_buf *b, uint32_t n, uint32_t len,
			    uint32_t writable)
{
	for (uint32_t i = 0; i < n; i++)
		b[i] = (struct drv_buf){
			.gpa = f->buf + (uint64_t)i * len, .len = len, .writable = i >= writable};
}

/* Adds and publishes one chain; returns its head. */
static inline uint16_t fix_offer(struct fix *f, const struct drv_buf *b, uint32_t n,
				 uint32_t n_direct)
{
	int head = drv_queue_add(&f->d, b, n, n_direct, NULL);

	MUST(head);
	drv_queue_publish(&f->d);
	return (uint16_t)head;
}

/* One device-writable buffer of 8 bytes. */
static inline uint16_t fix_offer_one(struct fix *f)
{
	struct drv_buf b;

	fix_bufs(f, &b, 1, 8, 0);
	return fix_offer(f, &b, 1, DRV_DIRECT);
}

#endif
