/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_CONTROL_H
#define TOOLS_CONTROL_H

/*
 * The control socket of the daemon. Lines of JSON: a client sends an object, such as
 *
 *	{"cmd": "stats", "device": "disk0"}
 *
 * and gets one line for it, {"ok": true, ...} or {"ok": false, "error": "..."}. What has a member
 * "id" is answered with the same. docs/serve.md describes the commands. Whoever may connect is
 * trusted; the socket's permission bits decide.
 */

#include <jansson.h>
#include <sys/types.h>

struct control;
struct daemon;

/* Listens on the daemon's loop. 0 or -errno. */
int control_create(struct daemon *d, const char *path, mode_t mode, struct control **out);

/* Closes all connections and removes the socket. NULL is allowed. */
void control_destroy(struct control *c);

/* The reply to a request that is not understood; NULL: out of memory. */
json_t *control_refusal(const char *error);

/* ---- control_commands.c ---------------------------------------------------------------------- */

/* Does what a request asks and returns the reply; NULL: out of memory. */
json_t *control_answer(struct daemon *d, const json_t *request);

#endif
