/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DRIVER_DEVICE_H
#define DRIVER_DEVICE_H

/*
 * A driver's view of one whole device: initialisation in the order the specification wants
 * ("Device Initialization"), its virtqueues, and waiting for it.
 */

#include <driver/bus.h>
#include <driver/queue.h>

#define DRV_FEATURE(bit) (UINT64_C(1) << (bit))

/* Every feature the device offers. */
#define DRV_ALL_FEATURES UINT64_MAX

struct drv_device_config {
	uint64_t features; /* wanted; what is not offered is left out. VERSION_1 is always added */
	uint16_t n_queues; /* to set up; 0: all the device has */
	uint16_t queue_size; /* 0: the device's maximum */
	uint32_t table_len;  /* indirect table entries per head; 0: 16 with INDIRECT_DESC */
};

struct drv_device {
	struct drv_bus *bus;
	struct drv_mem *mem;
	uint64_t features; /* accepted */
	uint16_t n_queues;
	struct drv_queue *queue;
	struct drv_mark mark; /* of guest memory before the rings */

	/*
	 * Lets the device work when it has no thread of its own: runs what is ready and returns how
	 * many functions ran, 0 when nothing is left to do. NULL: the device works by itself.
	 */
	int (*turn)(void *arg);
	void *turn_arg;

	/*
	 * How long drv_device_wait() waits for a device that says nothing, in ms. 0: with turn(),
	 * until that has nothing left to do; without, longer than any healthy device needs. Set it
	 * when some of the device works by itself beside turn().
	 */
	uint32_t patience_ms;
};

/*
 * `turn` may be NULL, see struct drv_device. Guest memory that is taken from `mem` after this call,
 * by anyone, is given back when the device is stopped or started again: devices that come and go
 * independently of each other need a struct drv_mem each.
 */
void drv_device_init(struct drv_device *d, struct drv_bus *bus, struct drv_mem *mem,
		     int (*turn)(void *arg), void *turn_arg);

/* Resets the device and frees the queues. */
void drv_device_fini(struct drv_device *d);

/*
 * Everything from reset to DRIVER_OK. Returns 0, -ENODEV (no such device or queue), -ENOTSUP
 * (FEATURES_OK refused), -ENOMEM, or the error of drv_irq_setup(). On failure the device got
 * FAILED.
 */
int drv_device_start(struct drv_device *d, const struct drv_device_config *cfg);

/* The same in three steps: features up to FEATURES_OK; interrupts and queues; DRIVER_OK. */
int drv_device_negotiate(struct drv_device *d, uint64_t features);
int drv_device_setup(struct drv_device *d, const struct drv_device_config *cfg);
void drv_device_go(struct drv_device *d);

/* The second step in two: makes the queues and routes interrupts; tells the device of one queue. */
int drv_device_make_queues(struct drv_device *d, const struct drv_device_config *cfg);
void drv_device_place_queue(struct drv_device *d, uint16_t index);

/* Resets the device and gives back all memory of the queues. */
void drv_device_stop(struct drv_device *d);

bool drv_device_has(const struct drv_device *d, unsigned feature);

/* Publishes what was added to queue `index` and kicks if the device wants it. */
void drv_device_submit(struct drv_device *d, uint16_t index);

/*
 * Waits for one used buffer of queue `index`. Returns 1, 0 (the device has nothing left to do, or
 * stayed silent for a time no healthy device needs), or -EPROTO (see drv_queue_get()).
 */
int drv_device_wait(struct drv_device *d, uint16_t index, struct drv_used *out);

/* Lets a device without a thread of its own work until nothing is left to do. */
void drv_device_settle(struct drv_device *d);

#endif
