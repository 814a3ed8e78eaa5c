/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_LOOP_URING_H
#define VIODM_LOOP_URING_H

/*
 * struct vio_loop on one io_uring: the loop of an IO thread. It polls before it sleeps, and it
 * sleeps in the same system call that submits I/O. Not installed: embedders use iothread.h.
 */

#include <viodm/loop.h>

#include "uring.h"

/*
 * The calling thread becomes the owner. `poll_ns` is the longest time the loop looks for work
 * before it sleeps; 0: it never polls. 0 or -errno.
 */
int loop_uring_create(uint64_t poll_ns, struct vio_loop **out);

/* Owner thread: runs until loop_uring_stop(). */
void loop_uring_run(struct vio_loop *loop);

/* Owner thread, from inside the loop (vio_loop_call() from elsewhere). */
void loop_uring_stop(struct vio_loop *loop);

/* The loop's ring, for engines that submit to it; NULL when `loop` is of another kind. */
struct uring *loop_uring_ring(struct vio_loop *loop);

#endif
