/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONFORM_CHECKS_UTIL_H
#define CONFORM_CHECKS_UTIL_H

/*
 * What checks of every device need: a small valid request for the device at hand, and patience.
 */

#include "check.h"

#include <linux/virtio_ring.h>

#define IO_MAX_OUT    128u
#define IO_MAX_PIECES 64u

/*
 * One request: an entropy buffer, a read of sector 0, or an Ethernet frame to send. Each piece has
 * memory of its own. It lies in guest memory that drv_device_start() and drv_device_stop() take
 * back: make it after the start.
 */
struct io {
	uint16_t queue;
	uint8_t out[IO_MAX_OUT]; /* what the device reads */
	uint32_t out_len;
	uint32_t in_len; /* bytes the device may write */
	struct drv_buf buf[IO_MAX_PIECES];
	uint32_t n, n_out; /* pieces; how many of them the device reads */

	bool done;
	uint16_t head;
	uint32_t used_len;
};

/* Cuts what the device reads, and what it writes, into pieces of that many bytes; 0: one each. */
void io_make(struct run *r, struct io *io, uint32_t out_piece, uint32_t in_piece);

/* Several pieces, as a driver has them that keeps header, data and status apart. */
void io_make_pieces(struct run *r, struct io *io);

/* Fills everything that the device may write. */
void io_fill(struct run *r, const struct io *io, uint8_t byte);

/* Copies what the device may write, in_len bytes. */
void io_read(struct run *r, const struct io *io, uint8_t *to);

/* Did the device leave alone what it may only read? */
bool io_unharmed(struct run *r, const struct io *io);

/* Did the device do what was asked, as far as the answer tells? */
bool io_good(struct run *r, const struct io *io);

/* Adds the request to its queue; the ring has room, or the check ends as a mistake. */
void io_add(struct run *r, struct io *io);

/* The same, and the device is told. */
void io_submit(struct run *r, struct io *io);

/* Waits for it, finishing others of its queue on the way. False: it does not come back. */
bool io_wait(struct run *r, struct io *io);

/* One request on a device that runs: without it nothing more can be said (`row`). */
void io_roundtrip(struct run *r, const char *row);

/* Many requests, as many at a time as fit; without them nothing more can be said (`row`). */
void io_many(struct run *r, const char *row, uint32_t n);

/* The queue that requests go to. */
uint16_t io_queue_index(const struct run *r);
struct drv_queue *io_queue(struct run *r);

/* A used element that was not taken through the books of struct drv_queue. */
struct raw_used {
	uint32_t id, len;
};

/* Makes `head` available to the device, whatever is there, and kicks. */
void raw_offer(struct run *r, uint16_t head);

/* Waits for the next used element. False: there is none in a time that any device needs. */
bool raw_wait(struct run *r, struct raw_used *u);

/* Lets the device run, and a millisecond pass. */
void run_pause(struct run *r);

/* Of a clock that only goes on. */
int64_t run_now_ms(void);

/*
 * Gives the device the time that it would need to do what it must not do: lets it run, waits for
 * r->quiet_ms, lets it run again.
 */
void run_quiet(struct run *r);

/*
 * A configuration change notification of a device that runs: it changes its configuration, or fails
 * over a broken ring and needs a reset.
 */
void run_config_event(struct run *r);

/* Interrupts of a queue, or DRV_IRQ_CONFIG, since they were last taken; waits for the first. */
uint32_t run_await_irq(struct run *r, uint32_t source);

/* Waits until the status has all of `bits`. Returns the status. */
uint8_t run_await_status(struct run *r, uint8_t bits);

/* What <linux/virtio_config.h> may be too old to name. */
#define F_SUSPEND      DRV_FEATURE(43)
#define STATUS_SUSPEND 0x10

/*
 * Sets SUSPEND in a device that runs, or DRIVER_OK in a suspended one, and waits until the status
 * has that and not the other, or NEEDS_RESET. Returns the status.
 */
uint8_t run_change_status(struct run *r, uint8_t to);

/*
 * The same; without it nothing more can be said (BASIC-DEV-027, BASIC-DEV-028). A device may fail
 * to do it, if it says so: that ends the check as skipped.
 */
void run_suspend(struct run *r);
void run_resume(struct run *r);

/* A number that is another one when guest memory that was handed out changed. */
uint64_t run_memory_sum(const struct run *r);

/* All features but the event index: notifications are ruled by flags. */
#define FEATURES_FLAGS (DRV_ALL_FEATURES & ~DRV_FEATURE(VIRTIO_RING_F_EVENT_IDX))

#endif
