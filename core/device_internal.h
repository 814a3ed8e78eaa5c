/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_DEVICE_INTERNAL_H
#define VIODM_DEVICE_INTERNAL_H

/*
 * Shared by device.c (status, features, configuration) and device_queue.c (queue registers,
 * starting and stopping). Not installed.
 */

#include <viodm/backend.h>
#include <viodm/device.h>
#include <viodm/transport.h>

struct vio_device_queue {
	struct vio_queue q;		/* the loop's while running */
	struct vio_queue_regs regs;	/* under dev->lock */
	struct vio_queue_config frozen; /* copied from regs at enable; what the queue runs with */
	int kick_fd;			/* the one in use: */
	int own_kick_fd;		/* ours, or one the transport set */
	struct vio_inflight *inflight;	/* where the next start keeps track, or NULL */
	size_t inflight_len;
	bool running; /* the back-end has it; touched by the busy thread only */
	bool begun;   /* the ring is started; loop thread only */
	bool fresh;   /* enabled and never begun since; set while the queue does not run */
};

/*
 * Starting and stopping queues waits for loops, so it happens outside dev->lock, by one thread at a
 * time: the one that entered "busy". Both are called with the lock held. vio_device_enter() waits
 * for another busy thread; it returns false on the busy thread itself (a callback out of a stop).
 */
bool vio_device_enter(struct vio_device *dev);
void vio_device_leave(struct vio_device *dev);

/*
 * Lock held. May a register write take effect now? It waits while the device is busy for the
 * embedder, which the driver knows nothing of. While the driver itself resets it, or starts or
 * stops queues, what it writes from other threads is void; so is what comes out of a callback on
 * the busy thread.
 */
bool vio_device_writable(struct vio_device *dev);

/* Lock not held. Runs fn(arg) where the transport accesses the registers, and waits for that. */
void vio_device_call(struct vio_device *dev, void (*fn)(void *arg), void *arg);

/* vio_device_fail() for callers that hold dev->lock. */
void vio_device_fail_locked(struct vio_device *dev, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Busy thread, lock not held: starts every enabled queue, stops every running one. */
void vio_device_queues_start(struct vio_device *dev);
void vio_device_queues_stop(struct vio_device *dev);

/* Lock held, queue stopped. */
void vio_device_queue_defaults(struct vio_device *dev, struct vio_device_queue *dq);

int vio_device_queues_alloc(struct vio_device *dev);
void vio_device_queues_free(struct vio_device *dev);

#endif
