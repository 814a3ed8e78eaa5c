/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DRIVER_VHOST_LINK_H
#define DRIVER_VHOST_LINK_H

/*
 * A front-end's connection to a vhost-user back-end: one message at a time, each waited for, none
 * for longer than VHOST_LINK_SECONDS. After the first error the connection is closed, `why` says
 * what happened, and everything fails with -ENOTCONN until vhost_link_open().
 */

#include <viodm/vhost_msg.h>

#define VHOST_LINK_SECONDS 3

#define VHOST_BIT(n) (UINT64_C(1) << (n))

struct vhost_link {
	const char *path;
	int sock;	  /* -1: not connected */
	int backend_sock; /* where the back-end sends its own requests; -1: it cannot */
	uint64_t features;
	uint64_t protocol; /* negotiated */
	struct vio_vhost_rx rx;
	struct vio_vhost_rx backend_rx;
	char why[160];
};

/* `path` stays the caller's, and has to stay. */
void vhost_link_init(struct vhost_link *l, const char *path);

/*
 * Connects, asks for the features, negotiates those of `protocol` that there are, and gives the
 * back-end a socket of its own if it can use one. 0 or -errno.
 */
int vhost_link_open(struct vhost_link *l, uint64_t protocol);

/* Closes; when this returns the back-end has noticed, or does not care. Keeps `why`. */
void vhost_link_close(struct vhost_link *l);

bool vhost_link_has(const struct vhost_link *l, unsigned protocol_feature);

struct vio_vhost_msg vhost_link_msg(uint32_t request, uint32_t size);

/*
 * Sends a request without an answer of its own, and waits for the acknowledgement where there are
 * acknowledgements. 0, -EIO (the back-end said no), or -errno.
 */
int vhost_link_tell(struct vhost_link *l, struct vio_vhost_msg *m);

/* Sends, and waits for the answer, which is in l->rx.msg until the next call. 0 or -errno. */
int vhost_link_ask(struct vhost_link *l, struct vio_vhost_msg *m);

/* Requests with the usual payloads. */
int vhost_link_tell_u64(struct vhost_link *l, uint32_t request, uint64_t value);
int vhost_link_tell_state(struct vhost_link *l, uint32_t request, uint32_t index, uint32_t num);
int vhost_link_tell_fd(struct vhost_link *l, uint32_t request, uint32_t index, int fd);
int vhost_link_ask_u64(struct vhost_link *l, uint32_t request, uint64_t *out);

/* How many changes of the configuration the back-end told of since the last call. */
unsigned vhost_link_config_changes(struct vhost_link *l);

#endif
