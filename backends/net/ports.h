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
 * for them: none is lost. While the receive queue of a pair does not run, as when it is reset, they
 * go to that of another pair, and are dropped if there is none. Up to 256 pairs.
 *
 * Checksums may be incomplete, and come back so. Frames of segments come back whole where the
 * device takes those, and otherwise are cut; dropped if they are not the TCP or UDP packet that
 * their header says.
 */
VIO_EXPORT int vio_port_loop_open(struct vio_port **out);

/*
 * stream: a Unix stream socket; each frame goes behind its length, 4 bytes big-endian, as passt and
 * QEMU's -netdev stream have it. One pair, no offloads. The link is up while there is a connection,
 * which is kept when the queue is detached. Nothing is lost in a connection: who cannot send waits.
 * A peer that sends a length below 14 or above VIO_FRAME_MAX is disconnected.
 *
 * A server accepts the next peer when one is gone, one at a time, and while attached only. That a
 * peer is gone shows when the device next receives or sends.
 */
struct vio_port_stream_config {
	const char *path; /* of the socket; NULL: `fd` */
	bool server;	  /* listen there; a dead server's socket is replaced */
	/*
	 * A client connects again after as many milliseconds, also when there is nobody at the
	 * path at first; 0: once only, and opening fails if there is nobody.
	 */
	unsigned reconnect_ms;
	int fd; /* a connected or a listening socket, which the port owns on success */
	const struct vio_log *log; /* NULL: standard error; must outlive the port */
};

/* 0 or -errno; -EADDRINUSE: there is a server at the path; -EINVAL: not such a descriptor. */
VIO_EXPORT int vio_port_stream_open(const struct vio_port_stream_config *cfg,
				    struct vio_port **out);

/*
 * dgram: a Unix datagram socket, one frame per datagram, as QEMU's -netdev dgram has it. One pair,
 * no offloads, link always up. Frames for which there is nobody at the other end are dropped, as
 * are datagrams below 14 bytes or above VIO_FRAME_MAX. Of frames sent none is lost while the peer
 * is there: who cannot send waits.
 */
struct vio_port_dgram_config {
	const char *local; /* path to receive at; a dead process's socket is replaced. NULL: `fd` */
	const char *remote; /* path to send to; nobody need be there yet */
	int fd; /* a connected socket (of a pair, say), which the port owns on success */
};

/* 0 or -errno; -EADDRINUSE: somebody receives at `local`; -EINVAL: not such a descriptor, or only
 * one of the paths. */
VIO_EXPORT int vio_port_dgram_open(const struct vio_port_dgram_config *cfg, struct vio_port **out);

/*
 * tap: an interface of this machine whose frames are the device's (/dev/net/tun). The port does not
 * set it up, bridge it or give it addresses. macvtap: the same on top of another interface; it
 * must exist, with its /dev/tapN; its address is the one the device should have.
 *
 * Several pairs need an interface with multiple queues (`ip tuntap add ... multi_queue`; a macvtap
 * has them). The kernel spreads frames over the pairs that are attached and selected; the first
 * one is always selected. When the interface is deleted the link goes down, for good.
 */
struct vio_port_tap_config {
	/* Interface; a tap that does not exist is made and vanishes with the port. NULL: a tap
	 * named by the kernel; see vio_port_tap_name(). */
	const char *name;
	uint16_t pairs; /* 1..256; 0: 1, or one per descriptor */
	/* Instead of a name: one open descriptor per pair, of one interface, with IFF_TAP,
	 * IFF_NO_PI, IFF_VNET_HDR, and IFF_MULTI_QUEUE if there are several. The port owns them
	 * on success, and makes them non-blocking. */
	const int *fds;
	uint16_t n_fds;
};

/*
 * -EINVAL: a value out of range, descriptors of another kind, an interface without multiple queues
 * for several pairs. -EBUSY: in use. -ENODEV, -ENOENT: no such interface, no such /dev/tapN.
 * -EPERM: making interfaces needs CAP_NET_ADMIN.
 */
VIO_EXPORT int vio_port_tap_open(const struct vio_port_tap_config *cfg, struct vio_port **out);
VIO_EXPORT int vio_port_macvtap_open(const struct vio_port_tap_config *cfg, struct vio_port **out);

/* The name of the interface of a tap or macvtap port when it was opened. */
VIO_EXPORT const char *vio_port_tap_name(struct vio_port *port);

#ifdef __cplusplus
}
#endif
#endif
