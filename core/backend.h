/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_BACKEND_H
#define VIODM_BACKEND_H

/*
 * The contract of a back-end: whoever runs a device's queues. The device hands it one queue at a
 * time; between queue_start and queue_stop the back-end owns that queue, waits on its kick_fd and
 * has the device's requests served.
 */

#include <viodm/device.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vio_backend_ops {
	const char *name;
	/*
	 * Any thread. Feature bits of the ring and the data path that this back-end can serve for
	 * `dev`, for example VIRTIO_RING_F_EVENT_IDX. One of VIO_OPT_IN_FEATURES is offered by the
	 * devices that are to offer it. Required.
	 */
	uint64_t (*features)(struct vio_backend *be, const struct vio_device *dev);
	/*
	 * Register thread. From here on the queue is the back-end's: vio_device_queue_begin() on
	 * the loop that owns it, then serve kicks, beginning with one look at the ring (a kick may
	 * have come before). 0 or -errno. Required.
	 */
	int (*queue_start)(struct vio_backend *be, struct vio_device *dev, uint16_t index);
	/*
	 * Register thread. Returns only when nothing of the queue is in flight and the back-end
	 * will not touch it again: vio_device_queue_end() on its loop. Required.
	 */
	void (*queue_stop)(struct vio_backend *be, struct vio_device *dev, uint16_t index);
	/* Any thread; no device uses it any more. Required. */
	void (*destroy)(struct vio_backend *be);
};

struct vio_backend {
	const struct vio_backend_ops *ops;
};

/* NULL is allowed. */
VIO_EXPORT void vio_backend_destroy(struct vio_backend *be);

#ifdef __cplusplus
}
#endif
#endif
