/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_LOOP_EVENT_H
#define VIODM_LOOP_EVENT_H

/*
 * struct vio_loop over libevent: the embedder's event_base, run by the embedder.
 */

#include <viodm/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct event_base;

/*
 * `base` is borrowed. The calling thread becomes the owner: it must be the one that dispatches the
 * base, else call vio_loop_event_own() on the one that does. The base needs no locking
 * (evthread_use_pthreads is not required): the library enters it from the owner thread only.
 * 0 or -errno. Destroy with vio_loop_destroy() before the base.
 */
VIO_EXPORT int vio_loop_event_create(struct event_base *base, struct vio_loop **out);

/* The calling thread is the owner from now on; the loop must not be running. */
VIO_EXPORT void vio_loop_event_own(struct vio_loop *loop);

#ifdef __cplusplus
}
#endif
#endif
