/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DRIVER_BUS_MMIO_H
#define DRIVER_BUS_MMIO_H

/*
 * virtio-mmio, driver side.
 */

#include <driver/bus.h>
#include <viodm/mmio.h>

/* Register offsets, "MMIO Device Register Layout". */
enum drv_mmio_reg {
	MMIO_MAGIC = 0x000,
	MMIO_VERSION = 0x004,
	MMIO_DEVICE_ID = 0x008,
	MMIO_VENDOR_ID = 0x00c,
	MMIO_DEVICE_FEATURES = 0x010,
	MMIO_DEVICE_FEATURES_SEL = 0x014,
	MMIO_DRIVER_FEATURES = 0x020,
	MMIO_DRIVER_FEATURES_SEL = 0x024,
	MMIO_QUEUE_SEL = 0x030,
	MMIO_QUEUE_SIZE_MAX = 0x034,
	MMIO_QUEUE_SIZE = 0x038,
	MMIO_QUEUE_READY = 0x044,
	MMIO_QUEUE_NOTIFY = 0x050,
	MMIO_INTERRUPT_STATUS = 0x060,
	MMIO_INTERRUPT_ACK = 0x064,
	MMIO_STATUS = 0x070,
	MMIO_QUEUE_DESC_LOW = 0x080,
	MMIO_QUEUE_DESC_HIGH = 0x084,
	MMIO_QUEUE_DRIVER_LOW = 0x090,
	MMIO_QUEUE_DRIVER_HIGH = 0x094,
	MMIO_QUEUE_DEVICE_LOW = 0x0a0,
	MMIO_QUEUE_DEVICE_HIGH = 0x0a4,
	MMIO_SHM_SEL = 0x0ac,
	MMIO_SHM_LEN_LOW = 0x0b0,
	MMIO_SHM_LEN_HIGH = 0x0b4,
	MMIO_SHM_BASE_LOW = 0x0b8,
	MMIO_SHM_BASE_HIGH = 0x0bc,
	MMIO_QUEUE_RESET = 0x0c0,
	MMIO_CONFIG_GENERATION = 0x0fc,
	MMIO_CONFIG = 0x100,
};

/* Puts `dev` behind virtio-mmio registers. 0 or -errno. */
int drv_mmio_create(struct vio_device *dev, struct drv_bus **out);

/* The transport, for raw accesses. */
struct vio_mmio *drv_mmio_transport(struct drv_bus *bus);

/* One aligned 32-bit register. */
uint32_t drv_mmio_get(struct drv_bus *bus, uint64_t off);
void drv_mmio_set(struct drv_bus *bus, uint64_t off, uint32_t value);

#endif
