/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_DUT_H
#define UNIT_DUT_H

/*
 * One device under test on a rig, reached over one of the buses.
 */

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include <driver/probe.h>
#include <driver/rig.h>

#include "suite.h"

#define ACK	    VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER	    VIRTIO_CONFIG_S_DRIVER
#define FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define DRIVER_OK   VIRTIO_CONFIG_S_DRIVER_OK
#define SUSPEND	    VIO_STATUS_SUSPEND
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define FAILED	    VIRTIO_CONFIG_S_FAILED

#define V1 DRV_FEATURE(VIRTIO_F_VERSION_1)

struct dut {
	struct drv_rig rig;
	struct vio_device *dev;
	struct drv_probe *probe; /* the same device, when it is a probe */
	struct drv_bus *bus;
	struct drv_device drv;
};

/* Runs `test` once on each bus. */
static inline void on_each_bus(void (*test)(enum drv_bus_kind kind))
{
	for (unsigned kind = 0; kind < DRV_N_BUS_KINDS; kind++)
		test((enum drv_bus_kind)kind);
}

/* A probe with `n_queues` queues of 16 and 8 bytes of configuration. */
static inline void dut_init(struct dut *t, enum drv_bus_kind kind, uint16_t n_queues)
{
	struct drv_probe_config cfg = {.n_queues = n_queues, .queue_size = 16, .config_size = 8};

	MUST(drv_rig_init(&t->rig));
	MUST(drv_probe_create(&t->rig.env, &cfg, &t->probe));
	t->dev = &t->probe->base;
	MUST(drv_rig_connect(&t->rig, t->dev, kind, &t->bus, &t->drv));
}

static inline void dut_fini(struct dut *t)
{
	drv_rig_disconnect(t->dev, t->bus, &t->drv);
	drv_rig_fini(&t->rig);
}

/* Initialises the device with all features up to DRIVER_OK. */
static inline void dut_start(struct dut *t)
{
	static const struct drv_device_config cfg = {.features = DRV_ALL_FEATURES};

	MUST(drv_device_start(&t->drv, &cfg));
	drv_device_settle(&t->drv);
}

/* Offers one writable buffer of 16 bytes on a queue and lets the device work. */
static inline void dut_offer(struct dut *t, uint16_t queue)
{
	struct drv_buf b = {.gpa = drv_mem_alloc(&t->rig.mem, 16, 16), .len = 16, .writable = true};

	MUST(drv_queue_add(&t->drv.queue[queue], &b, 1, DRV_DIRECT, NULL));
	drv_device_submit(&t->drv, queue);
	drv_device_settle(&t->drv);
}

/* True when an offered buffer comes back. */
static inline bool dut_serves(struct dut *t, uint16_t queue)
{
	struct drv_used u;

	dut_offer(t, queue);
	return drv_device_wait(&t->drv, queue, &u) == 1 && u.len == 16;
}

#endif
