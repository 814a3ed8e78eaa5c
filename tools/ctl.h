/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_CTL_H
#define TOOLS_CTL_H

/*
 * `viodm ctl`, for the table of commands in viodm.c: talks to the control socket of a daemon.
 */

#include <jansson.h>
#include <stdio.h>

#define CTL_ARGUMENTS " [--json] SOCKET COMMAND [DEVICE [VALUE]]"
#define CTL_HELP      "ask or tell a running viodm serve"

extern const char ctl_details[];

/* Returns what to exit with. */
int ctl_run(int argc, char **argv);

/* ctl_text.c: prints a reply that is ok, as a table for people. */
void ctl_print(FILE *out, const char *command, const json_t *reply);

#endif
