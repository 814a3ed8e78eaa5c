/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_LEAVES_H
#define TOOLS_LEAVES_H

/*
 * The leaves by name, for builtin.c, which puts them into order.
 */

#include "builtin.h"

/* leaf_<model>.c */
extern const struct leaf leaf_blk;
extern const struct leaf leaf_net;
extern const struct leaf leaf_rng;

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
