/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DRIVER_NET_BUF_H
#define DRIVER_NET_BUF_H

/*
 * The buffers of driver/net.h: guest memory, cut into pieces between guard bytes.
 */

#include <driver/net.h>

/* `n_bufs` buffers of up to `len` bytes in up to `pieces` pieces. 0 or -ENOMEM. */
int drv_net_ring_init(struct drv_net_ring *r, struct drv_mem *mem, uint32_t n_bufs, uint32_t len,
		      uint32_t pieces);
void drv_net_ring_fini(struct drv_net_ring *r);

/* A buffer that is free, or NULL. */
struct drv_net_buf *drv_net_ring_free(struct drv_net_ring *r);

/*
 * Cuts `len` bytes of a buffer into pieces (framing NULL: one) and writes the guards. Returns how
 * many pieces `out` got, or 0: it does not fit.
 */
uint32_t drv_net_buf_cut(struct drv_net_buf *b, struct drv_mem *mem, uint32_t len,
			 const struct drv_framing *framing, bool writable,
			 struct drv_buf out[DRV_NET_MAX_PIECES]);

/* Copies bytes [at, at + len) of the buffer to or from guest memory. */
void drv_net_buf_write(const struct drv_net_buf *b, struct drv_mem *mem, uint32_t at,
		       const void *src, uint32_t len);
void drv_net_buf_read(const struct drv_net_buf *b, struct drv_mem *mem, uint32_t at, void *dst,
		      uint32_t len);

/* Are the guards as they were written? */
bool drv_net_buf_intact(const struct drv_net_buf *b, struct drv_mem *mem);

/* A number that changes when the guest memory of the buffer does. */
uint64_t drv_net_buf_sum(const struct drv_net_buf *b, struct drv_mem *mem);

#endif
