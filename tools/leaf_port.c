/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * port = ...: network ports.
 */
#include <viodm/ports.h>

#include "leaves.h"

/* A port that takes as many pairs as there can be. */
#define ANY_PAIRS VIO_DEVICE_MAX_QUEUES

/* ---- loop ------------------------------------------------------------------------------------ */

static int loop_open(const void *opts, const struct port_want *want, const struct vio_log *log,
		     struct vio_port **out, const char **hint)
{
	(void)opts;
	(void)want;
	(void)log;
	(void)hint;
	return vio_port_loop_open(out);
}

const struct leaf leaf_port_loop = {
	.name = "loop",
	.help = "what the driver sends comes back to it; for tests",
	.port = {.max_pairs = ANY_PAIRS, .open = loop_open},
};

/* ---- null ------------------------------------------------------------------------------------ */

struct null_opts {
	unsigned generate;
};

static const struct vio_opt null_opts[] = {
	{.name = "generate",
	 .type = VIO_OPT_UINT,
	 .offset = offsetof(struct null_opts, generate),
	 .def = "none",
	 .min = VIO_PORT_NULL_MIN,
	 .max = VIO_PORT_NULL_MAX,
	 .word = "none",
	 .help = "bytes of the frames that it brings, as many as the driver takes"},
};

static int null_open(const void *opts, const struct port_want *want, const struct vio_log *log,
		     struct vio_port **out, const char **hint)
{
	const struct null_opts *o = opts;

	(void)want;
	(void)log;
	(void)hint;
	return vio_port_null_open(&(struct vio_port_null_config){.generate = o->generate}, out);
}

const struct leaf leaf_port_null = {
	.name = "null",
	.help = "drops what the driver sends; for benchmarks",
	.opts = null_opts,
	.n_opts = VIO_ARRAY_LEN(null_opts),
	.opts_size = sizeof(struct null_opts),
	.port = {.max_pairs = ANY_PAIRS, .open = null_open},
};
