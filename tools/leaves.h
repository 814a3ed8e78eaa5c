/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_LEAVES_H
#define TOOLS_LEAVES_H

/*
 * The leaves by name, for builtin.c, which puts them into order, and what models share.
 */

#include "builtin.h"

/* leaf_<model>.c */
extern const struct leaf leaf_blk;
extern const struct leaf leaf_net;
extern const struct leaf leaf_rng;

/* A model's key "queue-size"; `opts` is its options' struct, with a field of that name. */
#define LEAF_QUEUE_SIZE(opts)                                                                      \
	{                                                                                          \
		.name = "queue-size", .type = VIO_OPT_UINT,                                        \
		.offset = offsetof(struct opts, queue_size), .def = "auto", .min = 2, .max = 1024, \
		.pow2 = true, .word = "auto",                                                      \
		.help = "largest number of descriptors in a virtqueue; auto: 256, with "           \
			"transport = vhost-user 1024"                                              \
	}

/* What that key comes to; `set` is 0 for auto. */
unsigned leaf_queue_size(const struct part *parts, unsigned set);

/* The transport is a socket whose other end chooses queue sizes. */
bool leaf_has_front_end(const struct part *parts);

/* leaf_transport.c */
extern const struct leaf leaf_mmio;
extern const struct leaf leaf_pci;
extern const struct leaf leaf_vhost_user;

/* leaf_backend.c; the section [iothread NAME] is there too */
extern const struct leaf leaf_inproc;
extern const struct leaf leaf_on_iothread;

/* leaf_engine.c */
extern const struct leaf leaf_auto;
extern const struct leaf leaf_io_uring;
extern const struct leaf leaf_libaio;
extern const struct leaf leaf_threads;
extern const struct leaf leaf_sync;
extern const struct leaf leaf_memory;
extern const struct leaf leaf_null;

/* leaf_port.c */
extern const struct leaf leaf_port_loop;
extern const struct leaf leaf_port_null;

/* leaf_port_tap.c */
extern const struct leaf leaf_port_tap;
extern const struct leaf leaf_port_macvtap;

/* leaf_port_socket.c */
extern const struct leaf leaf_port_stream;
extern const struct leaf leaf_port_dgram;

/* leaf_port_user.c */
extern const struct leaf leaf_port_user;

#endif
