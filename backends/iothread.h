/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_IOTHREAD_H
#define VIODM_IOTHREAD_H

/*
 * IO threads: named threads that run queues, beside the embedder's own event loop. An IO thread
 * looks for work for a while before it sleeps (adaptively: not at all when that does not pay), and
 * a queue that it polls costs the driver no kick.
 */

#include <viodm/backend.h>
#include <viodm/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vio_iothread;

#define VIO_IOTHREAD_POLL_US 32 /* a good bound for the polling time */

struct vio_iothread_config {
	const char *name; /* the thread's name, cut to 15 bytes; NULL: "viodm-io" */
	uint32_t poll_us; /* longest time to look for work before sleeping; 0: never poll */
	int cpu;	  /* run on this CPU only; -1: anywhere */
	int priority;	  /* 1..99: SCHED_FIFO with this priority; 0: as the caller */
};

/*
 * Starts a thread. Returns 0, -EINVAL (no such CPU or priority), -EPERM (SCHED_FIFO without the
 * privilege), -ENOSYS or -EPERM (no io_uring), -ENOMEM. Any thread.
 */
VIO_EXPORT int vio_iothread_create(const struct vio_iothread_config *cfg,
				   struct vio_iothread **out);

/* Ends the thread; its queues must have been stopped. Any other thread. NULL is allowed. */
VIO_EXPORT void vio_iothread_destroy(struct vio_iothread *iot);

/* The thread's loop, for vio_loop_call(). */
VIO_EXPORT struct vio_loop *vio_iothread_loop(struct vio_iothread *iot);

/*
 * A back-end that runs queue i of each device on iothreads[i / group % n], see
 * vio_device_queue_group(); several back-ends may share threads. 0, -EINVAL (n is 0) or -ENOMEM.
 * Destroy it before the threads.
 */
VIO_EXPORT int vio_backend_iothread_create(struct vio_iothread *const *iothreads, size_t n,
					   struct vio_backend **out);

#ifdef __cplusplus
}
#endif
#endif
