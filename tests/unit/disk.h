/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_DISK_H
#define UNIT_DISK_H

/*
 * A virtio-blk device on the engine that answers when it is told to.
 */

#include <string.h>

#include <driver/blk.h>
#include <driver/held.h>
#include <viodm/blk.h>

#include "dut.h"

#define DISK_SIZE    (1u << 20)
#define DISK_SECTORS (DISK_SIZE / 512)

struct disk {
	struct drv_rig rig;
	struct drv_held *held;
	struct vio_device *dev;
	struct drv_bus *bus;
	struct drv_device drv;
	struct drv_blk blk;
};

/* Byte `i` of the disk after disk_make(). */
static inline uint8_t disk_byte(uint64_t i)
{
	return (uint8_t)(i * 7 + i / 512);
}

/* The device behind a bus, not initialised by its driver. `cfg`: all but the storage, or NULL. */
static inline void disk_make(struct disk *d, enum drv_bus_kind kind,
			     const struct vio_blk_config *cfg, const struct vio_storage_info *info)
{
	struct vio_blk_config blk = {.queue_size = 64};

	if (cfg)
		blk = *cfg;
	MUST(drv_rig_init(&d->rig));
	MUST(drv_held_open(DISK_SIZE, &d->held));
	if (info)
		drv_held_set_info(d->held, info);
	for (uint64_t i = 0; i < DISK_SIZE; i++)
		drv_held_bytes(d->held)[i] = disk_byte(i);
	blk.storage = drv_held_storage(d->held);
	MUST(vio_blk_create(&d->rig.env, &blk, &d->dev));
	MUST(drv_rig_connect(&d->rig, d->dev, kind, &d->bus, &d->drv));
}

/* Initialises the device with the wanted features; may be called again. */
static inline void disk_start(struct disk *d, uint64_t features)
{
	struct drv_device_config cfg = {.features = features};

	MUST(drv_device_start(&d->drv, &cfg));
	MUST(drv_blk_init(&d->blk, &d->drv, 1 << 20));
}

/* A disk of 64 entries per queue, ready to work. */
static inline void disk_init(struct disk *d, enum drv_bus_kind kind)
{
	disk_make(d, kind, NULL, NULL);
	disk_start(d, DRV_ALL_FEATURES);
}

static inline void disk_fini(struct disk *d)
{
	CU_ASSERT_EQUAL(drv_held_bad(d->held), 0);
	drv_rig_disconnect(d->dev, d->bus, &d->drv);
	vio_storage_close(drv_held_storage(d->held));
	drv_rig_fini(&d->rig);
}

/* Requests of any kind that reached the engine. */
static inline unsigned disk_submitted(const struct disk *d)
{
	unsigned n = 0;

	for (int op = VIO_IO_READ; op <= VIO_IO_WRITE_ZEROES; op++)
		n += drv_held_seen(d->held, (enum vio_io_op)op, 0);
	return n;
}

/* Does [from, from + len) of the disk hold what disk_make() put there? */
static inline bool disk_untouched(const struct disk *d, uint64_t from, uint64_t len)
{
	for (uint64_t i = from; i < from + len; i++)
		if (drv_held_bytes(d->held)[i] != disk_byte(i))
			return false;
	return true;
}

#endif
