/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DRIVER_RIG_H
#define DRIVER_RIG_H

/*
 * A small machine for tests: guest memory, a loop that is turned by hand, the in-process back-end
 * on it, and a log that is kept instead of printed. Everything runs on the calling thread, so a
 * test knows when nothing is left to do.
 */

#include <driver/device.h>
#include <viodm/device.h>
#include <viodm/inproc.h>
#include <viodm/loop_manual.h>

/* Two regions that touch in guest-physical memory and nowhere else. */
#define DRV_RIG_RAM_GPA	 0x10000u
#define DRV_RIG_RAM_SIZE 0x1000000u

struct drv_rig {
	struct drv_mem mem;
	struct vio_mem *map;
	struct vio_loop *loop;
	struct vio_backend *backend;
	struct vio_log log;
	_Atomic unsigned log_lines; /* warnings and errors so far */
	struct vio_device_env env;  /* for vio_<model>_create() */
};

/* 0 or -errno. */
int drv_rig_init(struct drv_rig *rig);

/* All devices are destroyed. */
void drv_rig_fini(struct drv_rig *rig);

/* For drv_device_init(): one turn of the rig's loop. `arg` is the rig. */
int drv_rig_turn(void *arg);

/* How a driver reaches the device. */
enum drv_bus_kind {
	DRV_MMIO,
	DRV_PCI_MSIX, /* a vector for each queue and one for the configuration */
	DRV_PCI_INTX,
};

#define DRV_N_BUS_KINDS 3

/* Puts a transport before `dev`, and a driver of this rig before that. 0 or -errno. */
int drv_rig_connect(struct drv_rig *rig, struct vio_device *dev, enum drv_bus_kind kind,
		    struct drv_bus **bus, struct drv_device *drv);

/* Takes the driver, the transport and the device away. */
void drv_rig_disconnect(struct vio_device *dev, struct drv_bus *bus, struct drv_device *drv);

#endif
