/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every leaf of this build. Nothing else in the project knows which device models, transports,
 * back-ends, storage engines and network ports there are.
 */
#include "leaves.h"

static const struct leaf *const models[] = {&leaf_blk, &leaf_net, &leaf_rng};

static const struct leaf *const transports[] = {&leaf_mmio, &leaf_pci, &leaf_vhost_user};

static const struct leaf *const backends[] = {&leaf_inproc, &leaf_on_iothread};

static const struct leaf *const engines[] = {
	&leaf_auto, &leaf_io_uring, &leaf_libaio, &leaf_threads,
	&leaf_sync, &leaf_memory,   &leaf_null,
};

static const struct leaf *const ports[] = {
	&leaf_port_tap,	  &leaf_port_macvtap, &leaf_port_user, &leaf_port_stream,
	&leaf_port_dgram, &leaf_port_loop,    &leaf_port_null,
};

const struct leaf_set builtin_leaves[LEAF_KINDS] = {
	[LEAF_MODEL] = {.leaves = models, .n = VIO_ARRAY_LEN(models)},
	[LEAF_TRANSPORT] = {.key = {.name = "transport",
				    .type = VIO_OPT_CHOICE,
				    .def = "pci",
				    .help = "how the driver reaches the device"},
			    .leaves = transports,
			    .n = VIO_ARRAY_LEN(transports)},
	[LEAF_BACKEND] = {.key = {.name = "backend",
				  .type = VIO_OPT_CHOICE,
				  .def = "inproc",
				  .help = "who runs the virtqueues"},
			  .leaves = backends,
			  .n = VIO_ARRAY_LEN(backends)},
	[LEAF_ENGINE] = {.key = {.name = "engine",
				 .type = VIO_OPT_CHOICE,
				 .def = "auto",
				 .help = "what stands under a disk and moves its bytes"},
			 .leaves = engines,
			 .n = VIO_ARRAY_LEN(engines)},
	[LEAF_PORT] = {.key = {.name = "port",
			       .type = VIO_OPT_CHOICE,
			       .required = true,
			       .help = "what stands under a network card and moves its frames"},
		       .leaves = ports,
		       .n = VIO_ARRAY_LEN(ports)},
};

struct vio_opt builtin_key(enum leaf_kind kind, const char **names)
{
	const struct leaf_set *set = &builtin_leaves[kind];
	struct vio_opt key = set->key;

	for (size_t i = 0; i < set->n; i++)
		names[i] = set->leaves[i]->name;
	names[set->n] = NULL;
	key.choices = names;
	return key;
}
