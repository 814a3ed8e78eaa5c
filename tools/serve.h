/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_SERVE_H
#define TOOLS_SERVE_H

/*
 * `viodm serve`, for the table of commands in viodm.c: its command line and its section of the
 * configuration. daemon.h is what it runs.
 */

#include <viodm/config.h>

#define SERVE_ARGUMENTS " -c FILE [-o SECTION.KEY=VALUE]... [OPTION]..."
#define SERVE_HELP	"serve devices to VMMs over vhost-user sockets"

extern const char serve_details[];

/* Returns what to exit with. */
int serve_run(int argc, char **argv);

/* The section [serve]. */
struct serve_opts {
	unsigned log_level; /* enum vio_log_level */
	const char *control;
	const char *control_mode; /* octal */
};

/* Describes the section, whose values go to *opts; both outlive the config. */
void serve_section(struct serve_opts *opts, struct vio_config_section *section);

#endif
