/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_BENCH_VHOST_H
#define TOOLS_BENCH_VHOST_H

/*
 * The vhost-user front-end: bench_vhost.c is the link, bench_vhost_msg.c its messages. Functions
 * here return 0, or -1 with `why` set and nothing printed: a server that is gone may be back soon.
 */

#include <viodm/vhost_msg.h>

#include "bench_link.h"

struct vhost {
	struct bench_link base;
	const struct bench_opts *opts;
	int sock;
	pid_t pid; /* of the server; 0: unknown */
	uint64_t protocol;
	bool has_protocol, negotiated; /* at least once */
	struct vio_vhost_rx rx;

	/* what was given to the server, and is again when it comes back */
	const struct bench_mem *mem;
	struct bench_rings rings[BENCH_MAX_RINGS]; /* in the order of their indices */
	unsigned n_rings;
	int inflight_fd; /* -1: none */
	struct vio_vhost_inflight inflight;

	bool lost; /* the last error: there is no server any more, or not yet */
	char why[160];
};

int vhost_fail(struct vhost *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

struct vio_vhost_msg vhost_message(uint32_t request, uint32_t size);

/* Sends, and waits for the acknowledgement if the server gives one. */
int vhost_request(struct vhost *v, struct vio_vhost_msg *msg);

/* Sends, and waits for the answer, which stays in v->rx until the next one. */
int vhost_ask(struct vhost *v, struct vio_vhost_msg *msg);

int vhost_set_u64(struct vhost *v, uint32_t request, uint64_t value);
int vhost_get_u64(struct vhost *v, uint32_t request, uint64_t *out);
int vhost_set_state(struct vhost *v, uint32_t request, unsigned index, uint32_t num);
int vhost_set_fd(struct vhost *v, uint32_t request, unsigned index, int fd);

#endif
