/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_YARD_H
#define UNIT_YARD_H

/*
 * Several guests with a device each, all on one loop of one process: one device is attacked by its
 * driver, another one stands by and must not notice.
 */

#include <endian.h>
#include <string.h>

#include <driver/blk.h>
#include <driver/bus_mmio.h>
#include <driver/bus_pci.h>
#include <driver/held.h>
#include <viodm/blk.h>
#include <viodm/rng.h>

#include "dut.h"

#define YARD_DISK_SIZE (1u << 20)
#define YARD_RAM       0x40000000u
#define YARD_RAM_SIZE  0x400000u
#define YARD_GAP       (YARD_RAM + 2 * YARD_RAM_SIZE) /* no RAM from here on */

/* One guest: its memory, its device and its driver. */
struct guest {
	struct drv_mem mem;
	struct vio_mem *map;
	struct vio_device *dev;
	struct drv_held *held; /* of a disk */
	struct drv_bus *bus;
	struct drv_device drv;
	struct drv_blk blk; /* of a disk */
};

enum { DISK, RNG, BYSTANDER, N_GUESTS };

struct yard {
	struct drv_rig rig;
	struct guest guest[N_GUESTS];
};

static inline void guest_connect(struct yard *y, struct guest *g, enum drv_bus_kind kind)
{
	if (kind == DRV_MMIO)
		MUST(drv_mmio_create(g->dev, &g->bus));
	else
		MUST(drv_pci_create(g->dev, kind == DRV_PCI_MSIX ? VIO_PCI_VECTORS_AUTO : 0,
				    &g->bus));
	drv_device_init(&g->drv, g->bus, &g->mem, drv_rig_turn, &y->rig);
}

/* Initialises the device; after a fault this is what makes it well again. */
static inline void guest_start(struct guest *g)
{
	static const struct drv_device_config cfg = {.features = DRV_ALL_FEATURES};

	MUST(drv_device_start(&g->drv, &cfg));
	if (g->held)
		MUST(drv_blk_init(&g->blk, &g->drv, 1 << 19));
	drv_device_settle(&g->drv);
	drv_irq_forget(g->bus);
}

static inline void yard_init(struct yard *y, enum drv_bus_kind kind)
{
	memset(y, 0, sizeof(*y));
	MUST(drv_rig_init(&y->rig));
	for (unsigned i = 0; i < N_GUESTS; i++) {
		struct guest *g = &y->guest[i];
		struct vio_blk_config cfg = {.queue_size = 32};
		struct vio_device_env env = y->rig.env;

		drv_mem_init(&g->mem);
		MUST(drv_mem_add(&g->mem, YARD_RAM, YARD_RAM_SIZE));
		MUST(drv_mem_add(&g->mem, YARD_RAM + YARD_RAM_SIZE, YARD_RAM_SIZE));
		MUST(drv_mem_map(&g->mem, &g->map));
		env.mem = g->map;
		if (i == RNG) {
			MUST(vio_rng_create(&env, &g->dev));
		} else {
			MUST(drv_held_open(YARD_DISK_SIZE, &g->held));
			cfg.storage = drv_held_storage(g->held);
			MUST(vio_blk_create(&env, &cfg, &g->dev));
		}
		guest_connect(y, g, kind);
		guest_start(g);
	}
}

static inline void yard_fini(struct yard *y)
{
	for (unsigned i = 0; i < N_GUESTS; i++) {
		struct guest *g = &y->guest[i];

		if (g->held)
			CU_ASSERT_EQUAL(drv_held_bad(g->held), 0);
		drv_rig_disconnect(g->dev, g->bus, &g->drv);
		if (g->held)
			vio_storage_close(drv_held_storage(g->held));
		vio_mem_destroy(g->map);
		drv_mem_fini(&g->mem);
	}
	drv_rig_fini(&y->rig);
}

/* Does the device of `g` answer a request as it should? */
static inline bool guest_serves(struct guest *g)
{
	struct drv_buf b = {.len = 64, .writable = true};
	uint8_t buf[512];
	struct drv_used u;

	if (g->held) {
		memset(buf, 0x11, sizeof(buf));
		drv_held_bytes(g->held)[512 * 7 + 1] = 0x99;
		return drv_blk_read(&g->blk, 7, buf, 512) == VIRTIO_BLK_S_OK && buf[1] == 0x99;
	}
	b.gpa = drv_mem_alloc(&g->mem, 64, 8);
	if (drv_queue_add(&g->drv.queue[0], &b, 1, DRV_DIRECT, NULL) < 0)
		return false;
	drv_device_submit(&g->drv, 0);
	return drv_device_wait(&g->drv, 0, &u) == 1 && u.len == 64;
}

/* The bystander works, is in order, and was told nothing. */
static inline bool bystander_calm(struct yard *y)
{
	struct guest *g = &y->guest[BYSTANDER];

	return guest_serves(g) && drv_status(g->bus) == (ACK | DRIVER | FEATURES_OK | DRIVER_OK) &&
	       drv_irq_take(g->bus, DRV_IRQ_CONFIG) == 0;
}

/*
 * The driver has put something into queue 0 that breaks a rule: the device says so with NEEDS_RESET
 * and a configuration interrupt, once, does nothing more, and works again after a reset.
 */
static inline bool refused(struct yard *y, struct guest *g)
{
	uint16_t used = drv_queue_used_idx(&g->drv.queue[0]);
	bool ok;

	drv_kick(g->bus, 0);
	drv_device_settle(&g->drv);
	ok = drv_status(g->bus) == (ACK | DRIVER | FEATURES_OK | DRIVER_OK | NEEDS_RESET);
	ok &= drv_irq_take(g->bus, DRV_IRQ_CONFIG) == 1;
	ok &= drv_queue_used_idx(&g->drv.queue[0]) == used;
	drv_kick(g->bus, 0);
	drv_device_settle(&g->drv);
	ok &= drv_irq_take(g->bus, DRV_IRQ_CONFIG) == 0;
	ok &= bystander_calm(y);
	guest_start(g);
	ok &= guest_serves(g) && drv_status(g->bus) == (ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	return ok;
}

#endif
