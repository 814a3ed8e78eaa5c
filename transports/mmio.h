/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_MMIO_H
#define VIODM_MMIO_H

/*
 * virtio-mmio, version 2 ("Virtio Over MMIO"): a window of registers in guest-physical memory and
 * one interrupt line. The VMM hands over each access; the offset is from the window's start.
 */

#include <viodm/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of control registers before the device configuration space. */
#define VIO_MMIO_CONFIG_OFFSET 0x100

struct vio_mmio;

/*
 * How the interrupt line leaves. Use `irq`, or `irq_fd`, or both.
 *
 * `irq(arg, level)` is called when the line changes: true while InterruptStatus is not 0. Any
 * thread; calls are ordered (serialised by the transport) and must not access the device's
 * registers.
 *
 * `irq_fd` (an eventfd, -1: none) is signalled once for each event that arrives while the line was
 * low, and for each event of a kind not pending yet: what an edge-triggered irqfd wants. Borrowed.
 *
 * `shm_base` (optional) tells the guest-physical address of shared memory region `id`.
 */
struct vio_mmio_config {
	void (*irq)(void *arg, bool level);
	int irq_fd;
	uint64_t (*shm_base)(void *arg, uint8_t id);
	void *arg;
	uint32_t vendor_id; /* VendorID register; 0: "VIOD" */
};

/* An address that the VMM can give to KVM_IOEVENTFD instead of trapping it. */
struct vio_mmio_ioeventfd {
	uint64_t offset; /* from the window's start */
	uint32_t length; /* bytes of the write */
	uint32_t data;	 /* the value that must match, unless: */
	bool any_data;	 /* any value does: no KVM_IOEVENTFD_FLAG_DATAMATCH */
	int fd;		 /* borrowed, see vio_device_kick_fd() */
};

/* Puts `dev` behind registers. 0, -EBUSY when it has a transport already, or -ENOMEM. */
VIO_EXPORT int vio_mmio_create(struct vio_device *dev, const struct vio_mmio_config *cfg,
			       struct vio_mmio **out);

/* Resets the device and takes the registers away. NULL is allowed. */
VIO_EXPORT void vio_mmio_destroy(struct vio_mmio *mmio);

/* Bytes of the window: at least 0x200, a power of two that holds the configuration space. */
VIO_EXPORT uint64_t vio_mmio_size(const struct vio_mmio *mmio);

/*
 * One access of `len` bytes at `off`, little-endian in `buf`. Control registers want 4 bytes at a
 * multiple of 4; any other access there, and any access outside the window, reads 0 and writes
 * nothing. The configuration space takes any width at any offset. Any thread.
 */
VIO_EXPORT void vio_mmio_read(struct vio_mmio *mmio, uint64_t off, void *buf, size_t len);
VIO_EXPORT void vio_mmio_write(struct vio_mmio *mmio, uint64_t off, const void *buf, size_t len);

/*
 * The ioeventfd of queue `index`. 0, or -EINVAL for a queue that does not exist. The answer is the
 * same as long as the device lives.
 *
 * All queues share one address, so the value tells them apart. With NOTIFICATION_DATA negotiated it
 * changes from one notification to the next: then a device of several queues has nothing the kernel
 * could match, and nearly every notification is a trapped access, served as ever by
 * vio_mmio_write(); what does match is meant for that queue. A device of one queue that offers
 * NOTIFICATION_DATA takes any value. virtio-pci does not have this trouble.
 */
VIO_EXPORT int vio_mmio_ioeventfd(const struct vio_mmio *mmio, uint16_t index,
				  struct vio_mmio_ioeventfd *out);

#ifdef __cplusplus
}
#endif
#endif
