/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DRIVER_QUEUE_H
#define DRIVER_QUEUE_H

/*
 * A split virtqueue as the driver sees it: adds buffers in any shape, publishes them, takes used
 * ones back. It obeys the rules a driver has to obey and checks the ones a device has to.
 *
 * To break the rules, write the rings directly: `desc`, `avail`, `used` are the raw structures in
 * guest memory, and drv_desc_write(), drv_queue_offer_raw() and drv_queue_set_avail_idx() put
 * anything anywhere.
 */

#include <linux/virtio_ring.h>

#include <driver/mem.h>

/* One buffer of a chain: what one descriptor describes. */
struct drv_buf {
	uint64_t gpa;
	uint32_t len;
	bool writable; /* by the device */
};

/* For `n_direct`: no indirect table. */
#define DRV_DIRECT UINT32_MAX

struct drv_queue {
	uint16_t size;
	bool event_idx;
	bool in_order;	    /* IN_ORDER negotiated; set after init, before anything is added */
	uint32_t table_len; /* entries of each head's indirect table; 0: no tables */

	uint64_t desc_gpa;
	uint64_t driver_gpa;
	uint64_t device_gpa;
	uint64_t table_gpa; /* all tables, one after the other by head */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct vring_desc *table;

	uint16_t avail_idx; /* next available entry to fill */
	uint16_t published; /* the device may see entries below this one */
	uint16_t used_idx;  /* next used entry to look at */
	uint16_t n_free;    /* free descriptors */
	uint16_t free;	    /* the first of them */
	uint16_t free_last; /* the last, if there is any */
	uint16_t batch;	    /* in order: this many more buffers were used with the last entry, */
	uint32_t batch_len; /* ... and this is the length of the last of them */
	uint32_t n_skipped; /* buffers that had no used entry of their own, ever */
	uint16_t in_flight; /* chains added and not taken back */
	struct drv_slot *slot;
};

/*
 * Takes guest memory for the rings, and for one indirect table of `table_len` entries per head, and
 * zeroes it. `size` is a power of two. 0, -ENOMEM (host or guest memory).
 */
int drv_queue_init(struct drv_queue *q, struct drv_mem *mem, uint16_t size, bool event_idx,
		   uint32_t table_len);

/* Frees host memory; guest memory is taken back with drv_mem_rewind(). */
void drv_queue_fini(struct drv_queue *q);

/* As after drv_queue_init(): same memory, zeroed, nothing in flight. */
void drv_queue_clear(struct drv_queue *q);

/*
 * As if the queue had already carried `idx` buffers (modulo 65536): sets both indices on both
 * sides. Nothing may be in flight.
 */
void drv_queue_warp(struct drv_queue *q, uint16_t idx);

/*
 * Adds a chain of `n` buffers, 1 or more, without the device seeing it yet: the first `n_direct` in
 * the descriptor table and the others in one indirect table (none when n_direct >= n). `token`
 * comes back with the used buffer. Returns the head, or -ENOSPC (no free descriptors, table too
 * short).
 */
int drv_queue_add(struct drv_queue *q, const struct drv_buf *buf, uint32_t n, uint32_t n_direct,
		  void *token);

/* Lets the device see what was added. Returns true when the device wants a kick for it. */
bool drv_queue_publish(struct drv_queue *q);

/* A used buffer. */
struct drv_used {
	uint16_t head;
	uint32_t len;
	void *token;
};

/*
 * Takes the next used buffer back. Returns 1, 0 (none), or -EPROTO when the device returned
 * something that is not in flight, or, in order, not the oldest that is in flight, nor one that
 * closes a batch of as many as the used index says. Of a buffer that was skipped in a batch `len`
 * is all that could have been written ("In-order use of descriptors").
 */
int drv_queue_get(struct drv_queue *q, struct drv_used *out);

/* Used buffers that the device has published and drv_queue_get() has not taken. */
uint16_t drv_queue_ready(const struct drv_queue *q);

/*
 * Asks for an interrupt at the next used buffer; true when there are used buffers already, for
 * which none may come. The opposite asks for no interrupts (with event index: not before 65536
 * more buffers).
 */
bool drv_queue_irq_on(struct drv_queue *q);
void drv_queue_irq_off(struct drv_queue *q);

/* What the device last wrote for the driver: used->flags, and avail_event behind the used ring. */
uint16_t drv_queue_used_flags(const struct drv_queue *q);
uint16_t drv_queue_avail_event(const struct drv_queue *q);

/* used_event behind the available ring, raw. */
void drv_queue_set_used_event(struct drv_queue *q, uint16_t event);

/* The index of the used ring as the device published it. */
uint16_t drv_queue_used_idx(const struct drv_queue *q);

/* ---- beyond the rules ------------------------------------------------------------------------ */

/* Writes one descriptor; `d` may be in the table of the queue or in an indirect table. */
void drv_desc_write(struct vring_desc *d, uint64_t gpa, uint32_t len, uint16_t flags,
		    uint16_t next);

/* Makes `head` available, whatever it says; the device sees it. */
void drv_queue_offer_raw(struct drv_queue *q, uint16_t head);

/* Writes the available index, whatever it says. */
void drv_queue_set_avail_idx(struct drv_queue *q, uint16_t idx);

/* Writes avail->flags. */
void drv_queue_set_avail_flags(struct drv_queue *q, uint16_t flags);

#endif
