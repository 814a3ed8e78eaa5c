/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_LOOP_MANUAL_H
#define VIODM_LOOP_MANUAL_H

/*
 * struct vio_loop over poll(2), driven step by step by the caller: for tests, and for an embedder
 * that has a thread and no event library.
 */

#include <viodm/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The calling thread becomes the owner. 0 or -errno. */
VIO_EXPORT int vio_loop_manual_create(struct vio_loop **out);

/* The calling thread is the owner from now on; the loop must not be running. */
VIO_EXPORT void vio_loop_manual_own(struct vio_loop *loop);

/*
 * One turn: waits up to `timeout_ms` (-1: for ever, 0: not at all) for a descriptor, a defer or a
 * call, then runs what is ready. Returns how many functions ran, or -errno. Owner thread.
 */
VIO_EXPORT int vio_loop_manual_run(struct vio_loop *loop, int timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
