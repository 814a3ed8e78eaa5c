/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_BLK_H
#define VIODM_BLK_H

/*
 * virtio-blk ("Block Device"): a disk on a storage engine.
 */

#include <viodm/device.h>
#include <viodm/storage.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VIO_BLK_ID_LEN 20

struct vio_blk_config {
	struct vio_storage *storage; /* borrowed; must outlive the device */
	uint16_t queues;	     /* 1..VIO_DEVICE_MAX_QUEUES; 0: 1. VIRTIO_BLK_F_MQ if more */
	uint16_t queue_size;	     /* power of two, 2..1024; 0: 256 */
	uint32_t seg_max;	     /* data buffers per request; 0: queue_size - 2 */
	uint32_t size_max;	     /* bytes per data buffer; 0: no limit, not offered */
	bool readonly;		     /* VIRTIO_BLK_F_RO; also when the storage is read-only */
	bool writethrough; /* the cache starts as write-through; the driver may change it */
	bool geometry;	   /* offer cylinders, heads, sectors made up from the size */
	bool no_discard;   /* offer neither DISCARD nor WRITE_ZEROES */
	const char *id;	   /* GET_ID string, up to 20 bytes; NULL: the device's name */
};

/*
 * Makes a disk.
 *
 * A driver may choose between write-back and write-through (CONFIG_WCE). A vhost-user front-end
 * does not repeat that choice when it goes on with its rings after the server died or the
 * connection was closed. Where rings go on like that, the disk is write-through until the driver
 * writes the field, and says so in it; a driver that begins anew finds what `writethrough` says.
 *
 * Returns 0, -EINVAL (a value out of range), -ENOMEM, or the storage's -errno. Any
 * thread. Destroy with vio_device_destroy().
 */
VIO_EXPORT int vio_blk_create(const struct vio_device_env *env, const struct vio_blk_config *cfg,
			      struct vio_device **out);

/*
 * Reads the storage's size again; when it changed, the driver sees the new capacity and gets a
 * configuration interrupt. Returns 1 when it changed, 0 when not, or -errno. Any thread. `dev` must
 * come from vio_blk_create().
 */
VIO_EXPORT int vio_blk_refresh(struct vio_device *dev);

#ifdef __cplusplus
}
#endif
#endif
