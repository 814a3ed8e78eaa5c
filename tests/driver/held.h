/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DRIVER_HELD_H
#define DRIVER_HELD_H

/*
 * A storage engine for tests: memory that answers when it is told to. It keeps requests in flight
 * as long as a test wants, answers them in another order, fails them, and can change its size.
 *
 * All functions but resize are for the loop thread of the channels.
 */

#include <viodm/storage.h>

struct drv_held;

/* `size` bytes, a multiple of 512, zero. At first nothing is held: requests are done in submit. */
int drv_held_open(uint64_t size, struct drv_held **out);

struct vio_storage *drv_held_storage(struct drv_held *h);

/* The bytes, for a test to look at and to change. */
uint8_t *drv_held_bytes(const struct drv_held *h);

/* From now on keep (or no longer keep) new requests. */
void drv_held_hold(struct drv_held *h, bool hold);

/* How many requests are kept. */
unsigned drv_held_count(const struct drv_held *h);

/* Calls `hook` at the end of every submit, which may make the driver do something; NULL: nothing.
 */
void drv_held_on_submit(struct drv_held *h, void (*hook)(void *arg), void *arg);

/* Answers up to `n` kept requests, last come first served if `reverse`. Returns how many. */
unsigned drv_held_release(struct drv_held *h, unsigned n, bool reverse);

/* From now on every request of kind `op` fails with `error` (negative), or works again (0). */
void drv_held_fail(struct drv_held *h, enum vio_io_op op, int error);

/* Requests of kind `op` that were ever submitted, and how many of those carried all of `flags`. */
unsigned drv_held_seen(const struct drv_held *h, enum vio_io_op op, uint32_t flags);

/* Requests that were out of the engine's range or whose vectors did not add up; must stay 0. */
unsigned drv_held_bad(const struct drv_held *h);

/* What info() says from now on; at most the size at open. */
void drv_held_resize(struct drv_held *h, uint64_t size);
void drv_held_set_info(struct drv_held *h, const struct vio_storage_info *info);

#endif
