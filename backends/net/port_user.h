/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_PORT_USER_H
#define VIODM_PORT_USER_H

/*
 * The network port (port.h) that needs libslirp. It is in a library of its own, libviodm-user
 * (pkg-config viodm-user), so that nobody has to link libslirp and glib for the others.
 */

#include <viodm/port.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A network of its own behind this process, without privileges (libslirp): the device reaches
 * what the process reaches, through address translation, and gets its address by DHCP. One pair, no
 * offloads, link always up. Connections last until the port is closed; nothing moves while no queue
 * is attached.
 *
 * Addresses are text; NULL takes the one in brackets. `host` is where the device finds this host.
 */
struct vio_port_user_config {
	const char *net;	/* IPv4 network and prefix length, at most 27 [10.0.2.0/24] */
	const char *host;	/* [address 2 of the network] */
	const char *dns;	/* [address 3] */
	const char *dhcp_start; /* first address that DHCP gives [address 15] */
	bool ipv6;		/* IPv6, too, with router advertisements */
	const char *ipv6_net;	/* /64 network [fec0::/64]: the host is address 2, DNS 3 */
	const char *hostname;	/* that DHCP tells, up to 32 characters [none] */
	bool restricted;	/* nothing beyond the network itself, but for `hostfwd` */
	uint16_t mtu;		/* 68..65521; with IPv6 at least 1280; 0: 1500 */
	uint16_t max_sockets;	/* of this process, for the device's connections; 0: 512 */
	/*
	 * Ports of this host that lead to the device, or NULL; ends with NULL. Each is
	 * [tcp|udp]:[HOSTADDR]:HOSTPORT-[ADDR]:PORT with IPv4 addresses; no HOSTADDR is any of this
	 * host's, no ADDR is dhcp_start: "tcp:127.0.0.1:2222-:22".
	 */
	const char *const *hostfwd;
	const struct vio_log *log; /* NULL: standard error; must outlive the port */
};

/*
 * Returns 0 and a port to be closed with vio_port_close(), or -errno; -EINVAL: what a text says, or
 * a value out of range. Any thread.
 */
VIO_EXPORT int vio_port_user_open(const struct vio_port_user_config *cfg, struct vio_port **out);

/* Would it be -EINVAL? Opens nothing. 0 or -EINVAL. */
VIO_EXPORT int vio_port_user_check(const struct vio_port_user_config *cfg);

struct vio_port_user_counts {
	uint64_t dropped; /* frames for which the device had no room for too long */
	uint64_t refused; /* frames dropped because max_sockets were open */
	uint32_t sockets; /* open for the device's connections */
};

/* Of a port of vio_port_user_open(). Any thread, at any time. */
VIO_EXPORT void vio_port_user_count(struct vio_port *port, struct vio_port_user_counts *counts);

#ifdef __cplusplus
}
#endif
#endif
