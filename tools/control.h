/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_CONTROL_H
#define TOOLS_CONTROL_H

/*
 * The control socket of a process that runs devices. Lines of JSON: a client sends an object, such
 *as
 *
 *	{"cmd": "stats", "device": "disk0"}
 *
 * and gets one line for it, {"ok": true, ...} or {"ok": false, "error": "..."}. What has a member
 * "id" is answered with the same. docs/serve.md describes the commands. Whoever may connect is
 * trusted; the socket's permission bits decide.
 */

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#include <viodm/config.h>

#include "serve_section.h"

struct control;
struct event_base;

/*
 * Whose devices these are: a daemon's, or a VMM's. All pointers are borrowed. Commands run on the
 * thread of `base`, which has to be one that vio_device_pause() may be called on.
 */
struct control_host {
	struct event_base *base;
	const struct vio_config *cfg;
	struct vio_assembly *devices;
	const struct vio_log *log;
	const VIO_ATOMIC(unsigned) * log_level; /* of what is shown of it */
	struct timespec started;		/* CLOCK_MONOTONIC */
	void *arg;
	/* Does somebody use device `i`? */
	bool (*connected)(void *arg, size_t i);
};

/*
 * Listens on the host's loop where the section says; *out is NULL when it says nowhere. The host
 * outlives it. 0, or -errno after logging why.
 */
int control_create(const struct control_host *host, const struct serve_opts *opts,
		   struct control **out);

/* Closes all connections and removes the socket. NULL is allowed. */
void control_destroy(struct control *c);

/* The reply to a request that is not understood; NULL: out of memory. */
json_t *control_refusal(const char *error);

/* ---- control_commands.c ---------------------------------------------------------------------- */

/* Does what a request asks and returns the reply; NULL: out of memory. */
json_t *control_answer(const struct control_host *host, const json_t *request);

#endif
