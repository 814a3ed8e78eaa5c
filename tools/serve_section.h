/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_SERVE_SECTION_H
#define TOOLS_SERVE_SECTION_H

/*
 * The section [serve] of a configuration: how a process that runs devices is watched and asked. Of
 * `viodm serve` and viodm-vmm; docs/serve.md describes it.
 */

#include <sys/types.h>

#include <viodm/config.h>

struct serve_opts {
	unsigned log_level;	  /* enum vio_log_level */
	const char *control;	  /* NULL: no control socket */
	const char *control_mode; /* octal */
};

/* Describes the section, whose values go to *opts; both outlive the config. */
void serve_section(struct serve_opts *opts, struct vio_config_section *section);

/* vio_config_ignore(): what a file for viodm-vmm has besides. */
extern const char *const machine_sections[];

/* The permission bits of the control socket that a checked section asks for. */
mode_t serve_control_mode(const struct serve_opts *opts);

/* The word for a log level. */
const char *serve_level_name(unsigned level);

#endif
