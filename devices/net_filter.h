/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NET_FILTER_H
#define NET_FILTER_H

/*
 * Which of the frames that arrive does the driver want? (virtio 1.4, "Packet Receive Filtering",
 * "Setting MAC Address Filtering", "VLAN Filtering")
 *
 * Plain data without locks: one thread at a time, or copies. A filter is set from what the
 * control queue brings, so the setters take anything.
 */

#include <viodm/iov.h>

/*
 * Addresses a table holds. More may be set; then every address of that kind is wanted (the spec
 * allows that: filtering is best-effort).
 */
#define NET_FILTER_MACS 64

#define NET_FILTER_VLANS 4096

/* Bytes of a frame that a decision takes: two addresses, VLAN tag. */
#define NET_FILTER_HEAD 18

struct net_filter_macs {
	uint16_t n;
	bool overflow;		       /* there are more than the table holds */
	uint64_t mac[NET_FILTER_MACS]; /* as numbers, ascending */
};

struct net_filter {
	/* What was negotiated. Without CTRL_RX addresses are not filtered at all: the driver could
	 * not ask for multicast ones. */
	bool ctrl_rx;
	bool ctrl_rx_extra;
	bool ctrl_vlan;

	/* VIRTIO_NET_CTRL_RX_... */
	bool promisc;
	bool allmulti;
	bool alluni;
	bool nomulti;
	bool nouni;
	bool nobcast;

	uint64_t own; /* the card's address */
	struct net_filter_macs uni;
	struct net_filter_macs multi;
	uint64_t vlan[NET_FILTER_VLANS / 64];
};

/* As after a reset: all modes off, tables empty. `features` are those the driver accepted. */
void net_filter_init(struct net_filter *f, uint64_t features, const uint8_t mac[6]);

/* VIRTIO_NET_CTRL_MAC_ADDR_SET, and any other change of the card's address. */
void net_filter_set_mac(struct net_filter *f, const uint8_t mac[6]);

/*
 * VIRTIO_NET_CTRL_RX, any command. 0, or -EINVAL: an unknown one, one whose feature was not
 * negotiated, or a value above 1.
 */
int net_filter_set_mode(struct net_filter *f, uint8_t command, uint8_t on);

/*
 * VIRTIO_NET_CTRL_MAC_TABLE_SET: `data` is the command's data, any length, and is used up. 0, or
 * -EINVAL: not two whole tables, or more than that; the filter is unchanged then.
 */
int net_filter_set_macs(struct net_filter *f, struct vio_iov *data);

/*
 * VIRTIO_NET_CTRL_VLAN_ADD and _DEL. 0, or -EINVAL: an id of 4096 or more, or not negotiated.
 * Tagged means tagged with TPID 0x8100.
 */
int net_filter_vlan(struct net_filter *f, uint16_t id, bool on);

/*
 * Does the driver want the frame that begins with head[0..len)? `len` is the frame's length or
 * NET_FILTER_HEAD, whichever is less. A frame without a whole Ethernet header is not wanted.
 */
bool net_filter_wants(const struct net_filter *f, const uint8_t *head, size_t len);

#endif
