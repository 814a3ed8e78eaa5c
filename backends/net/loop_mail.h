/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_NET_LOOP_MAIL_H
#define VIODM_NET_LOOP_MAIL_H

/*
 * Frames for a queue of the loop port that another one has sent, which may run on another thread.
 * That happens only when a receive queue does not run, while it is reset; so a lock and a copy are
 * good enough, and what does not fit is dropped. Not installed.
 */

#include <pthread.h>

#include <viodm/loop.h>
#include <viodm/port.h>

struct loop_mail {
	struct vio_watch wake; /* an eventfd on the receiver's loop */
	/* What was posted, under the poster's lock, and what is being delivered. */
	uint8_t *posted, *taken;
	size_t n_posted, n_taken; /* bytes */
};

/* Watches on `loop`, with on_mail as wake.on_ready. 0 or -errno. */
int loop_mail_open(struct loop_mail *m, struct vio_loop *loop,
		   void (*on_mail)(struct vio_watch *watch));
void loop_mail_close(struct loop_mail *m, struct vio_loop *loop);

/* Any thread, under a lock of the caller's. */
void loop_mail_post(struct loop_mail *m, const struct vio_frame *f);

/* The receiver's thread, under that lock: what was posted is now to be taken. */
void loop_mail_collect(struct loop_mail *m);

/* The receiver's thread: the next frame, or false. Good until the next collect. */
bool loop_mail_next(struct loop_mail *m, size_t *at, struct vio_frame *f, struct iovec *iov);

#endif
