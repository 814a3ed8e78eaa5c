/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_LOOP_BACKEND_H
#define VIODM_LOOP_BACKEND_H

/*
 * What the in-process back-end and the IO threads share: serving rings on event loops. Not
 * installed.
 */

#include <viodm/backend.h>
#include <viodm/loop.h>

/*
 * A back-end named `name` that runs queue i of each device on loops[i % n]. The array is copied,
 * the loops are borrowed. 0, -EINVAL (n is 0) or -ENOMEM.
 */
int loop_backend_create(const struct vio_backend_ops *ops, struct vio_loop *const *loops, size_t n,
			struct vio_backend **out);

/* The operations, for an ops table with a name of its own. */
uint64_t loop_backend_features(struct vio_backend *be, const struct vio_device *dev);
int loop_backend_queue_start(struct vio_backend *be, struct vio_device *dev, uint16_t index);
void loop_backend_queue_stop(struct vio_backend *be, struct vio_device *dev, uint16_t index);
void loop_backend_destroy(struct vio_backend *be);

#endif
