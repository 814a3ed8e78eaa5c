/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NET_MAIL_H
#define NET_MAIL_H

/*
 * A mailbox of a pair: frames that other loops have for its receive queue.
 */

#include <pthread.h>
#include <sys/uio.h>

#include <viodm/port.h>

/* The header as the driver sees it, "Device Operation". */
struct net_rx_hdr {
	struct vio_frame_hdr h;
	__le32 hash_value;
	__le16 hash_report;
	__le16 padding;
};

struct net_mail_head {
	struct net_rx_hdr hdr;
	uint32_t len; /* of the frame, which follows */
};

struct net_mail {
	pthread_mutex_t lock;
	uint8_t *buf; /* NULL: closed */
	size_t used, taken;
	int wake_fd;
};

void net_mail_init(struct net_mail *m);
void net_mail_fini(struct net_mail *m);

/* The owner: takes mail from now on, announced on an eventfd. 0 or -ENOMEM. */
int net_mail_open(struct net_mail *m, int wake_fd);

/* The owner: what is in the box is lost. */
void net_mail_close(struct net_mail *m);

/* Any thread: copies a frame. False: the box is closed or full. */
bool net_mail_post(struct net_mail *m, const struct net_mail_head *head, const struct iovec *iov,
		   uint32_t n);

/* The owner: calls `fn` for each frame and empties the box. */
void net_mail_take(struct net_mail *m,
		   void (*fn)(void *arg, const struct net_mail_head *head, uint8_t *frame),
		   void *arg);

#endif
