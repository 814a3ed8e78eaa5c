/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DRIVER_PROBE_H
#define DRIVER_PROBE_H

/*
 * A device model for tests of everything around models. It answers each chain by filling its
 * writable part with DRV_PROBE_BYTE, or keeps chains until it is told to answer, and it counts what
 * is done to it.
 */

#include <viodm/device.h>

#define DRV_PROBE_BYTE 0x5a
#define DRV_PROBE_ID   42 /* virtio device ID */

/* Device feature bits of the probe: B may be accepted only together with A. */
#define DRV_PROBE_F_A 0
#define DRV_PROBE_F_B 1
#define DRV_PROBE_F_C 23

struct drv_probe_config {
	uint16_t n_queues;
	uint16_t queue_size;
	uint32_t config_size; /* byte i of the configuration is i at first */
	const struct vio_shm *shm;
	unsigned n_shm;
};

struct drv_probe {
	struct vio_device base;

	/* what it should do */
	bool hold;		    /* keep chains */
	int start_error;	    /* what queue_start() returns */
	void (*on_stop)(void *arg); /* called while a queue stops; NULL: nothing */
	void *on_stop_arg;

	/* what happened */
	_Atomic unsigned popped;
	unsigned dropped; /* kept chains when their queue stopped */
	unsigned starts, stops, resets, negotiations, config_writes;
};

/* 0 or -errno. Destroy with vio_device_destroy(). */
int drv_probe_create(const struct vio_device_env *env, const struct drv_probe_config *cfg,
		     struct drv_probe **out);

/* Answers all kept chains of one queue and publishes. Loop thread. Returns how many. */
unsigned drv_probe_answer(struct drv_probe *p, uint16_t queue);

#endif
