/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_IOV_H
#define VIODM_IOV_H

/*
 * A view of scattered bytes that is consumed from its ends. Devices see a request as bytes, never
 * as descriptors, so any framing a driver chooses works (SPLIT-DEV-003). The view works in place on
 * the vectors of a chain: taking bytes off shortens the entries.
 */

#include <viodm/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vio_iov {
	struct iovec *v;
	uint32_t n;
	uint64_t len; /* bytes left: the sum of v[0..n).iov_len */
};

/* The device-readable and the device-writable part of a chain. */
static inline struct vio_iov vio_iov_readable(const struct vio_chain *c)
{
	return (struct vio_iov){.v = c->iov, .n = c->n_readable, .len = c->readable_len};
}

static inline struct vio_iov vio_iov_writable(const struct vio_chain *c)
{
	return (struct vio_iov){
		.v = c->iov + c->n_readable, .n = c->n_writable, .len = c->writable_len};
}

/* Copies up to `len` bytes off the front into `dst` and drops them. Returns the bytes copied. */
VIO_EXPORT size_t vio_iov_pull(struct vio_iov *iov, void *dst, size_t len);

/* Copies up to `len` bytes from `src` to the front and drops those places. Returns the bytes. */
VIO_EXPORT size_t vio_iov_put(struct vio_iov *iov, const void *src, size_t len);

/* Drops up to `len` bytes off the front. Returns the bytes dropped. */
VIO_EXPORT uint64_t vio_iov_skip(struct vio_iov *iov, uint64_t len);

/* Takes the last byte off and returns its address, or NULL if there is none. */
VIO_EXPORT uint8_t *vio_iov_take_last(struct vio_iov *iov);

/* Cuts the view to its first `len` bytes (no effect if it is shorter). */
VIO_EXPORT void vio_iov_trim(struct vio_iov *iov, uint64_t len);

#ifdef __cplusplus
}
#endif
#endif
