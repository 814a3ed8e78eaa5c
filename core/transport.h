/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_TRANSPORT_H
#define VIODM_TRANSPORT_H

/*
 * The contract of a transport, seen from the device: how an interrupt reaches the driver, and what
 * a transport does when the device resets. The other direction (registers to device) is device.h.
 */

#include <viodm/device.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vio_transport_ops {
	const char *name;
	/*
	 * Feature bits of the transport itself, such as VIRTIO_F_RING_RESET, and VIO_F_SUSPEND
	 * where the driver's writes of the status come here. One of VIO_OPT_IN_FEATURES is offered
	 * by the devices that are to offer it.
	 */
	uint64_t features;
	/* Any thread, also several at once: queue `index` has used buffers to tell. Required. */
	void (*queue_interrupt)(struct vio_transport *t, uint16_t index);
	/* Any thread, under the device's mutex: the configuration or the status changed. Must not
	 * call device functions; so a transport must not hold a lock of its own that this takes
	 * while it calls device functions. Required. */
	void (*config_interrupt)(struct vio_transport *t);
	/* Register thread, all queues stopped: pending interrupts are void, own registers go back
	 * to their defaults. Required. */
	void (*reset)(struct vio_transport *t);
	/* Register thread: the same for one queue. Optional. */
	void (*queue_reset)(struct vio_transport *t, uint16_t index);
	/* Any thread: runs fn(arg) on the one thread that accesses the registers, and waits for
	 * that; at once on that thread itself. Optional: registers are accessed on any thread. */
	void (*call)(struct vio_transport *t, void (*fn)(void *arg), void *arg);
};

struct vio_transport {
	const struct vio_transport_ops *ops;
	struct vio_device *dev;
};

#ifdef __cplusplus
}
#endif
#endif
