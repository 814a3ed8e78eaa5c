/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_PORTS_H
#define VIODM_PORTS_H

/*
 * Network ports (port.h). Each open call returns 0 and a port to be closed with vio_port_close(),
 * or -errno. Any thread.
 */

#include <viodm/port.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * null: drops what is sent, and brings frames of its own if asked to, as fast as the device takes
 * them. For benchmarks. Takes any offloads, brings none. Up to 256 pairs.
 *
 * A generated frame goes from 02:00:00:00:00:01 to the broadcast address and is UDP over IPv4 (from
 * 198.18.0.1 port 1024 + pair, to 198.18.0.2 port 9). Its payload is a number that counts the
 * pair's frames from 0, 64 bits big-endian, then a pattern: byte i of the frame is i & 0xff.
 */
#define VIO_PORT_NULL_MIN 60u
#define VIO_PORT_NULL_MAX 65549u

struct vio_port_null_config {
	uint32_t generate; /* bytes per frame, VIO_PORT_NULL_MIN..MAX; 0: bring none */
};

struct vio_port_null_counts {
	uint64_t sent; /* frames */
	uint64_t sent_bytes;
	uint64_t brought; /* frames generated and taken (or found unwanted) */
};

/* -EINVAL: a length out of range. */
VIO_EXPORT int vio_port_null_open(const struct vio_port_null_config *cfg, struct vio_port **out);

/* What passed since the port was opened, over all pairs. Any thread, at any time. */
VIO_EXPORT void vio_port_null_count(struct vio_port *port, struct vio_port_null_counts *counts);

/*
 * loop: what a pair sends comes back to it. Frames wait with their sender until the device has room
 * for them: none is lost. Up to 256 pairs.
 */
VIO_EXPORT int vio_port_loop_open(struct vio_port **out);

#ifdef __cplusplus
}
#endif
#endif
