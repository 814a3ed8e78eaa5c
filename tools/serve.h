/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_SERVE_H
#define TOOLS_SERVE_H

/*
 * `viodm serve`, for the table of commands in viodm.c: its command line. daemon.h is what it runs.
 */

#define SERVE_ARGUMENTS " -c FILE [-o SECTION.KEY=VALUE]... [OPTION]..."
#define SERVE_HELP	"serve devices to VMMs over vhost-user sockets"

extern const char serve_details[];

/* Returns what to exit with. */
int serve_run(int argc, char **argv);

#endif
