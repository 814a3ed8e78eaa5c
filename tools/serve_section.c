/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>

#include "mode.h"
#include "serve_section.h"

static const char *const log_levels[] = {"error", "warning", "info", "debug", NULL};

static const struct vio_opt serve_opts[] = {
	{.name = "log-level",
	 .type = VIO_OPT_CHOICE,
	 .offset = offsetof(struct serve_opts, log_level),
	 .choices = log_levels,
	 .def = "info",
	 .help = "the least important lines to log"},
	{.name = "control",
	 .type = VIO_OPT_PATH,
	 .offset = offsetof(struct serve_opts, control),
	 .help = "where to listen for viodm ctl; none: nowhere"},
	{.name = "control-mode",
	 .type = VIO_OPT_STRING,
	 .offset = offsetof(struct serve_opts, control_mode),
	 .def = "0600",
	 .min = 3,
	 .max = 4,
	 .help = "permission bits of the control socket, octal"},
};

const char *const machine_sections[] = {"vm", NULL};

static int check_section(void *data, char *err)
{
	const struct serve_opts *opts = data;
	mode_t mode;

	if (mode_parse(opts->control_mode, &mode))
		return 0;
	snprintf(err, VIO_OPT_ERROR_LEN, "control-mode: \"%s\" " MODE_REFUSED, opts->control_mode);
	return -EINVAL;
}

void serve_section(struct serve_opts *opts, struct vio_config_section *section)
{
	*section = (struct vio_config_section){
		.type = "serve",
		.help = "viodm serve and viodm-vmm",
		.opts = serve_opts,
		.n_opts = VIO_ARRAY_LEN(serve_opts),
		.data = opts,
		.check = check_section,
	};
}

mode_t serve_control_mode(const struct serve_opts *opts)
{
	mode_t mode = 0600;

	mode_parse(opts->control_mode, &mode);
	return mode;
}

const char *serve_level_name(unsigned level)
{
	return level < VIO_ARRAY_LEN(log_levels) - 1 ? log_levels[level] : "?";
}
