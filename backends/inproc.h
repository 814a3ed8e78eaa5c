/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_INPROC_H
#define VIODM_INPROC_H

/*
 * The in-process back-end: queues run on one event loop of the embedder.
 */

#include <viodm/backend.h>
#include <viodm/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Runs the queues of any number of devices on `loop` (borrowed). 0 or -ENOMEM. Destroy with
 * vio_backend_destroy() after its devices.
 */
VIO_EXPORT int vio_backend_inproc_create(struct vio_loop *loop, struct vio_backend **out);

#ifdef __cplusplus
}
#endif
#endif
