/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DRIVER_BLK_H
#define DRIVER_BLK_H

/*
 * virtio-blk requests from the driver's side, in any framing.
 *
 * A request is two streams of bytes: what the device reads (header, then data out) and what it
 * writes (data in, then the status byte). A framing says how each stream is cut into descriptors,
 * which the device must not care about (SPLIT-DEV-003). Each piece gets memory of its own with
 * guard bytes around it, which are checked when the request comes back.
 */

#include <linux/virtio_blk.h>

#include <driver/device.h>

/* The most pieces that one request can be cut into. */
#define DRV_BLK_MAX_PIECES 4096

/* What the status byte holds until the device writes it. */
#define DRV_BLK_NO_STATUS 0xee

struct drv_framing {
	uint32_t first;	   /* bytes of the first piece of a stream; 0: as the others */
	uint32_t rest;	   /* bytes of each further piece; 0: all that is left */
	uint32_t n_direct; /* descriptors outside the indirect table; DRV_DIRECT: no table */
};

struct drv_blk {
	struct drv_device *dev;
	uint64_t scratch_gpa; /* guest memory that requests are built in */
	uint64_t scratch_size;
	uint64_t scratch_used;
	uint32_t in_flight;
};

struct drv_blk_piece {
	uint64_t gpa;
	uint32_t len;
};

struct drv_blk_req {
	/* the request */
	uint32_t type;
	uint64_t sector;
	const void *out; /* data for the device */
	uint32_t out_len;
	void *in; /* data from the device; filled when the request is done */
	uint32_t in_len;
	const struct drv_framing *framing; /* NULL: header, data and status in one piece each */

	/* the answer */
	bool done;
	bool damaged; /* bytes around a piece, or bytes the device only reads, were changed */
	uint8_t status;
	uint32_t used_len;

	/* the helper's own */
	struct drv_blk_piece *piece;
	uint32_t n_pieces;
	uint32_t n_readable;
	uint8_t *sent; /* the readable stream as it was sent */
};

/*
 * Takes `scratch` bytes of guest memory for requests. The device is started already. 0 or -ENOMEM.
 */
int drv_blk_init(struct drv_blk *b, struct drv_device *dev, uint64_t scratch);

/* Adds the request to a queue and publishes it. 0, -ENOSPC (ring), -ENOMEM (scratch). */
int drv_blk_submit(struct drv_blk *b, uint16_t queue, struct drv_blk_req *req);

/* The same without telling the device; a later submit or drv_device_submit() does. */
int drv_blk_add(struct drv_blk *b, uint16_t queue, struct drv_blk_req *req);

/*
 * Waits until `req` is done, finishing others of its queue on the way. 0, -ETIMEDOUT (the device
 * has nothing left to do), or -EPROTO. After an error `req` is still in the ring: reset the device
 * before anything else is done with the queue, and call drv_blk_forget().
 */
int drv_blk_wait(struct drv_blk *b, uint16_t queue, struct drv_blk_req *req);

/* Finishes what has come back, without waiting. Returns how many, or -EPROTO. */
int drv_blk_poll(struct drv_blk *b, uint16_t queue);

/* Submit and wait. */
int drv_blk_do(struct drv_blk *b, uint16_t queue, struct drv_blk_req *req);

/* The device was reset: what was in flight never comes back. Frees what the helper holds of it. */
void drv_blk_forget(struct drv_blk *b, struct drv_blk_req *req);

/*
 * Shorthands on queue 0 with plain framing: one request of `len` bytes at `sector`. Returns the
 * status byte (0..2), or a negative error as from drv_blk_do(), after which only a reset helps.
 */
int drv_blk_read(struct drv_blk *b, uint64_t sector, void *buf, uint32_t len);
int drv_blk_write(struct drv_blk *b, uint64_t sector, const void *buf, uint32_t len);
int drv_blk_flush(struct drv_blk *b);

#endif
