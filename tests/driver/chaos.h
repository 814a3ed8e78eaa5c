/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DRIVER_CHAOS_H
#define DRIVER_CHAOS_H

/*
 * A storage engine for tests that does everything the contract (storage.h) allows an engine to do:
 * memory whose requests are done inside submit, or later and in any order, or by another thread;
 * that fail, with nothing or a part of the bytes moved; that are done a batch at a time, or one by
 * one. What happens is drawn from a seed, channel by channel. Without the thread it is the same
 * each time, if the device does the same each time.
 *
 * It also watches what the device does with it: see drv_chaos_fault().
 */

#include <viodm/storage.h>

struct drv_chaos;

struct drv_chaos_config {
	uint64_t size; /* bytes, a multiple of 512; zero at first */
	uint32_t seed;
	bool thread;	    /* a thread of the engine's answers some requests */
	unsigned fail_1_in; /* how many fail; 0: none */
	/*
	 * Loop thread of the request's channel, right before `done`: io->result is what the device
	 * will see. May be NULL.
	 */
	void (*on_result)(void *arg, const struct vio_io *io);
	void *arg;
};

int drv_chaos_open(const struct drv_chaos_config *cfg, struct drv_chaos **out);

struct vio_storage *drv_chaos_storage(struct drv_chaos *c);

/* The bytes, which the channels' threads change. */
uint8_t *drv_chaos_bytes(struct drv_chaos *c);

/* Requests submitted and not yet answered, of all channels. Any thread. */
unsigned drv_chaos_in_flight(const struct drv_chaos *c);

/*
 * The first thing that the device did against the contract, or NULL: a request out of range, given
 * twice, not committed, on a wrong thread; a channel detached with requests in flight. Any thread.
 */
const char *drv_chaos_fault(const struct drv_chaos *c);

#endif
