/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Network Device", control virtqueue: receive filters, addresses, VLANs, announcements.
 */
#include "checks_net.h"
#include "checks.h"

#include <linux/if_ether.h>
#include <linux/virtio_ids.h>
#include <string.h>

#define CTRL_MAC  (CTRL_VQ | DRV_FEATURE(VIRTIO_NET_F_CTRL_MAC_ADDR))
#define CTRL_VLAN (CTRL_VQ | DRV_FEATURE(VIRTIO_NET_F_CTRL_VLAN))
#define F_MAC	  DRV_FEATURE(VIRTIO_NET_F_MAC)

enum {
	PROMISC = VIRTIO_NET_CTRL_RX_PROMISC,
	ALLMULTI = VIRTIO_NET_CTRL_RX_ALLMULTI,
	ALLUNI = VIRTIO_NET_CTRL_RX_ALLUNI,
	NOMULTI = VIRTIO_NET_CTRL_RX_NOMULTI,
	NOUNI = VIRTIO_NET_CTRL_RX_NOUNI,
	NOBCAST = VIRTIO_NET_CTRL_RX_NOBCAST,
};

static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t somebody[6] = {0x02, 0, 0, 0, 0x33, 0x44};
static const uint8_t group[6] = {0x01, 0x00, 0x5e, 0, 0, 0xfb};
static const uint8_t group6[6] = {0x33, 0x33, 0, 0, 0, 0x16};

/* ---- commands ----------------------------------------------------------------------------------
 */

static void accepted(struct run *r, uint64_t features, uint8_t mode, const char *row)
{
	struct card c;

	card_start(r, &c, features);
	for (unsigned i = 0; i < 4; i++)
		expect(r, row,
		       card_answer(&c, row, drv_net_rx_mode(&c.net, mode, i % 2 == 0)) ==
			       VIRTIO_NET_OK,
		       "the command to be supported", "VIRTIO_NET_ERR");
}

static void check_promisc(struct run *r)
{
	accepted(r, CTRL_RX, PROMISC, "NET-DEV-089");
}

static void check_allmulti(struct run *r)
{
	accepted(r, CTRL_RX, ALLMULTI, "NET-DEV-090");
}

static void check_alluni(struct run *r)
{
	accepted(r, CTRL_RX_EXTRA, ALLUNI, "NET-DEV-094");
}

static void check_nomulti(struct run *r)
{
	accepted(r, CTRL_RX_EXTRA, NOMULTI, "NET-DEV-095");
}

static void check_nouni(struct run *r)
{
	accepted(r, CTRL_RX_EXTRA, NOUNI, "NET-DEV-096");
}

static void check_nobcast(struct run *r)
{
	accepted(r, CTRL_RX_EXTRA, NOBCAST, "NET-DEV-097");
}

static void check_unknown_commands(struct run *r)
{
	static const uint8_t classes[] = {7, 9, 64, 127, 200, 255};
	static const uint8_t framings[] = {0, 1, 2};
	struct card c;

	card_start(r, &c, CTRL_VQ);
	for (unsigned i = 0; i < sizeof(classes) * sizeof(framings); i++) {
		struct drv_framing f = {.rest = framings[i % 3], .n_direct = DRV_DIRECT};
		struct drv_net_cmd cmd = {.class = classes[i / 3],
					  .command = 0xf0,
					  .out = "abcdef",
					  .out_len = i % 7,
					  .framing = &f};

		expect(r, "NET-IMP-005",
		       card_answer(&c, "NET-IMP-005", drv_net_command(&c.net, &cmd)) ==
			       VIRTIO_NET_ERR,
		       "VIRTIO_NET_ERR for a command that there is not", "VIRTIO_NET_OK, class %u",
		       cmd.class);
	}
	/* Known classes, commands of features that were not accepted among them. */
	for (uint8_t class = 0; class <= 6; class ++) {
		struct drv_net_cmd cmd = {
			.class = class, .command = 0xf1, .out = "a", .out_len = 1};

		expect(r, "NET-IMP-005",
		       card_answer(&c, "NET-IMP-005", drv_net_command(&c.net, &cmd)) ==
			       VIRTIO_NET_ERR,
		       "VIRTIO_NET_ERR for a command that there is not", "VIRTIO_NET_OK, class %u",
		       class);
	}
}

/* ---- modes -------------------------------------------------------------------------------------
 */

static void mode(struct card *c, const char *row, uint8_t command, uint8_t on)
{
	card_ok(c, row, drv_net_rx_mode(&c->net, command, on), "a receive mode");
}

static void open_filtering(struct run *r, struct card *c, uint64_t features)
{
	card_open(r, c, features | F_MAC, 1600);
	if (!drv_device_has(&r->drv, VIRTIO_NET_F_MAC))
		skip(r, "the card has no address");
	card_need_echo(c);
}

static void passes(struct card *c, const char *row, const uint8_t to[6], const char *what)
{
	expect(c->r, row, card_passes(c, row, to), "the frame to be received", "it is not: %s",
	       what);
}

static void stopped(struct card *c, const char *row, const uint8_t to[6], const char *what)
{
	expect(c->r, row, !card_passes(c, row, to), "the frame not to be received", "it is: %s",
	       what);
}

static void check_modes_on(struct run *r)
{
	struct card c;

	open_filtering(r, &c, CTRL_RX);
	stopped(&c, "NET-DEV-109", somebody, "to another card");
	stopped(&c, "NET-DEV-109", group, "to a group that is not in the table");
	mode(&c, "NET-DEV-093", ALLMULTI, 1);
	passes(&c, "NET-DEV-093", group, "to a group, with ALLMULTI");
	passes(&c, "NET-DEV-093", group6, "to a group, with ALLMULTI");
	mode(&c, "NET-DEV-093", ALLMULTI, 0);
	mode(&c, "NET-DEV-091", PROMISC, 1);
	passes(&c, "NET-DEV-091", somebody, "to another card, promiscuous");
	passes(&c, "NET-DEV-091", group, "to a group, promiscuous");
	passes(&c, "NET-DEV-091", everybody, "to everybody, promiscuous");
	mode(&c, "NET-DEV-091", PROMISC, 0);
	stopped(&c, "NET-DEV-109", somebody, "to another card, no longer promiscuous");
}

static void check_promisc_wins(struct run *r)
{
	struct card c;

	open_filtering(r, &c, CTRL_RX_EXTRA);
	mode(&c, "NET-DEV-092", NOMULTI, 1);
	mode(&c, "NET-DEV-092", NOUNI, 1);
	mode(&c, "NET-DEV-092", NOBCAST, 1);
	mode(&c, "NET-DEV-092", PROMISC, 1);
	passes(&c, "NET-DEV-092", somebody, "promiscuous with NOUNI");
	passes(&c, "NET-DEV-092", group, "promiscuous with NOMULTI");
	passes(&c, "NET-DEV-092", everybody, "promiscuous with NOBCAST");
}

static void check_modes_extra(struct run *r)
{
	struct card c;

	open_filtering(r, &c, CTRL_RX_EXTRA);
	mode(&c, "NET-DEV-098", ALLUNI, 1);
	passes(&c, "NET-DEV-098", somebody, "with ALLUNI");
	mode(&c, "NET-DEV-102", NOUNI, 1);
	stopped(&c, "NET-DEV-103", somebody, "with ALLUNI and NOUNI");
	mode(&c, "NET-DEV-102", ALLUNI, 0);
	stopped(&c, "NET-DEV-102", NULL, "to the card, with NOUNI");
	mode(&c, "NET-DEV-102", NOUNI, 0);

	card_ok(&c, "NET-DEV-099", drv_net_set_macs(&c.net, NULL, 0, &group, 1), "MAC_TABLE_SET");
	mode(&c, "NET-DEV-099", NOMULTI, 1);
	stopped(&c, "NET-DEV-099", group, "a group of the table, with NOMULTI");
	passes(&c, "NET-DEV-101", everybody, "to everybody, with NOMULTI");
	mode(&c, "NET-DEV-099", ALLMULTI, 1);
	stopped(&c, "NET-DEV-100", group6, "with ALLMULTI and NOMULTI");
	mode(&c, "NET-DEV-099", NOMULTI, 0);

	mode(&c, "NET-DEV-104", NOBCAST, 1);
	stopped(&c, "NET-DEV-105", everybody, "with ALLMULTI and NOBCAST");
	mode(&c, "NET-DEV-104", ALLMULTI, 0);
	stopped(&c, "NET-DEV-104", everybody, "with NOBCAST");
	mode(&c, "NET-DEV-104", NOBCAST, 0);
	passes(&c, "NET-DEV-101", everybody, "to everybody");
}

/* ---- addresses ---------------------------------------------------------------------------------
 */

static void check_mac_table(struct run *r)
{
	struct card c;

	open_filtering(r, &c, CTRL_RX);
	for (unsigned i = 0; i < 3; i++) {
		card_ok(&c, "NET-DEV-107", drv_net_set_macs(&c.net, &somebody, 1, &group, 1),
			"MAC_TABLE_SET");
		passes(&c, "NET-DEV-107", somebody, "a card in the table");
		passes(&c, "NET-DEV-107", group, "a group in the table");
		stopped(&c, "NET-DEV-109", group6, "a group that is not in the table");
		card_ok(&c, "NET-DEV-107", drv_net_set_macs(&c.net, NULL, 0, &group6, 1),
			"MAC_TABLE_SET");
		stopped(&c, "NET-DEV-107", somebody, "a card that was in the table before");
		stopped(&c, "NET-DEV-107", group, "a group that was in the table before");
		passes(&c, "NET-DEV-107", group6, "the group in the table");
	}
}

static void check_mac_table_reset(struct run *r)
{
	struct card c;

	open_filtering(r, &c, CTRL_RX);
	card_ok(&c, "NET-DEV-106", drv_net_set_macs(&c.net, &somebody, 1, &group, 1),
		"MAC_TABLE_SET");
	card_stop(&c);
	open_filtering(r, &c, CTRL_RX);
	stopped(&c, "NET-DEV-106", somebody, "a card that was in the table before a reset");
	stopped(&c, "NET-DEV-106", group, "a group that was in the table before a reset");
}

static void check_mac_set(struct run *r)
{
	static const uint8_t macs[3][6] = {
		{0x02, 1, 2, 3, 4, 5}, {0x52, 0x54, 0, 0xff, 0xff, 0xff}, {0x02, 0, 0, 0, 0, 9}};
	uint8_t now[6];
	struct card c;

	card_start(r, &c, CTRL_MAC | F_MAC);
	for (unsigned i = 0; i < 3; i++) {
		card_ok(&c, "NET-DEV-108", drv_net_set_mac(&c.net, macs[i]), "MAC_ADDR_SET");
		card_config_mac(r, now);
		expect(r, "NET-DEV-108", memcmp(now, macs[i], 6) == 0,
		       "mac to be the address that was set when the command is used",
		       "another one");
	}
}

static void check_mac_set_filters(struct run *r)
{
	uint8_t old[6];
	struct card c;

	open_filtering(r, &c, CTRL_RX | CTRL_MAC);
	memcpy(old, c.mac, 6);
	card_ok(&c, "NET-DEV-109", drv_net_set_mac(&c.net, somebody), "MAC_ADDR_SET");
	passes(&c, "NET-DEV-109", somebody, "to the address that was set");
	stopped(&c, "NET-DEV-109", old, "to the address from before");
}

/* ---- VLANs -------------------------------------------------------------------------------------
 */

static bool tagged_passes(struct card *c, const char *row, uint16_t id)
{
	uint8_t frame[100];

	card_frame(c, frame, NULL, sizeof(frame));
	frame[12] = ETH_P_8021Q >> 8;
	frame[13] = ETH_P_8021Q & 0xff;
	frame[14] = (uint8_t)(0xa0 | id >> 8); /* a priority, which is not part of the number */
	frame[15] = (uint8_t)id;
	return card_passes_frame(c, row, frame, sizeof(frame));
}

static const uint16_t vlans[] = {0, 1, 5, 63, 64, 100, 2047, 4094, 4095};

#define N_VLANS (sizeof(vlans) / sizeof(vlans[0]))

static void check_vlan_unfiltered(struct run *r)
{
	struct card c;

	card_open(r, &c, DRV_ALL_FEATURES & ~DRV_FEATURE(VIRTIO_NET_F_CTRL_VLAN), 1600);
	card_need_echo(&c);
	for (unsigned i = 0; i < N_VLANS; i++)
		expect(r, "NET-DEV-113", tagged_passes(&c, "NET-DEV-113", vlans[i]),
		       "all VLANs to be received without CTRL_VLAN", "not %u", vlans[i]);
}

static void check_vlan_filter(struct run *r)
{
	struct card c;

	open_filtering(r, &c, CTRL_VLAN);
	for (unsigned i = 0; i < N_VLANS; i++) {
		uint16_t id = vlans[i], other = id ^ 2;

		card_ok(&c, "NET-DEV-114", drv_net_vlan(&c.net, id, true), "VLAN_ADD");
		expect(r, "NET-DEV-114", tagged_passes(&c, "NET-DEV-114", id),
		       "the VLAN in the table to be received", "not %u", id);
		expect(r, "NET-DEV-115", !tagged_passes(&c, "NET-DEV-115", other),
		       "a VLAN that is not in the table not to be received", "it is: %u", other);
		card_ok(&c, "NET-DEV-115", drv_net_vlan(&c.net, id, false), "VLAN_DEL");
		expect(r, "NET-DEV-115", !tagged_passes(&c, "NET-DEV-115", id),
		       "a VLAN that was deleted not to be received", "it is: %u", id);
	}
}

static void check_vlan_empty(struct run *r)
{
	struct card c;

	open_filtering(r, &c, CTRL_VLAN);
	for (unsigned i = 0; i < N_VLANS; i++)
		expect(r, "NET-IMP-007", !tagged_passes(&c, "NET-IMP-007", vlans[i]),
		       "no VLAN in the table at first", "%u is received", vlans[i]);
	card_ok(&c, "NET-IMP-007", drv_net_vlan(&c.net, 7, true), "VLAN_ADD");
	card_stop(&c);
	open_filtering(r, &c, CTRL_VLAN);
	expect(r, "NET-IMP-007", !tagged_passes(&c, "NET-IMP-007", 7),
	       "no VLAN in the table after a reset", "the one that was added before is received");
}

/* ---- others ------------------------------------------------------------------------------------
 */

static bool announces(struct run *r)
{
	return drv_config_field(r->bus, 6, 2) & VIRTIO_NET_S_ANNOUNCE;
}

static void check_announce(struct run *r)
{
	struct card c;

	card_start(r, &c,
		   CTRL_VQ | DRV_FEATURE(VIRTIO_NET_F_GUEST_ANNOUNCE) |
			   DRV_FEATURE(VIRTIO_NET_F_STATUS));
	for (unsigned i = 0; i < 3; i++) {
		/* Migrated here by somebody else, or by us. */
		if (!announces(r) && !(r->announce && r->announce(r)))
			skip(r, "nothing here makes the device ask for announcements");
		expect(r, "NET-DEV-117", announces(r), "ANNOUNCE when the device wants it",
		       "it is not set");
		card_ok(&c, "NET-DEV-117", drv_net_announced(&c.net), "ANNOUNCE_ACK");
		expect(r, "NET-DEV-117", !announces(r),
		       "ANNOUNCE to be cleared when the command is used", "it is still set");
	}
}

/* Checksums that the driver does not take any more are complete; what it takes again is not. */
static void check_offloads(struct run *r)
{
	static const struct {
		uint64_t set;
		bool partial;
	} steps[] = {{0, false}, {GUEST_CSUM, true}, {0, false}};
	static struct heard h;
	struct drv_net_hdr hdr;
	struct packet p;
	struct card c;

	card_open(r, &c,
		  CTRL_VQ | DRV_FEATURE(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | GUEST_CSUM |
			  DRV_FEATURE(VIRTIO_NET_F_CSUM),
		  1600);
	card_need_echo(&c);
	packet_make(&c, &p, false, IP_UDP, 100, 1);
	packet_leave_checksum(&p, &hdr);
	card_echo(&c, "NET-IMP-008", &hdr, p.data, p.len, &h);
	if (!(h.hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) {
		card_ok(&c, "NET-IMP-008", drv_net_set_offloads(&c.net, GUEST_CSUM),
			"GUEST_OFFLOADS_SET");
		card_echo(&c, "NET-IMP-008", &hdr, p.data, p.len, &h);
		if (!(h.hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
			skip(r, "this device completes all checksums");
		expect(r, "NET-IMP-008", false, "all offloads that were accepted, at first",
		       "none before they are set");
	}
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		card_ok(&c, "NET-IMP-008", drv_net_set_offloads(&c.net, steps[i].set),
			"GUEST_OFFLOADS_SET");
		card_echo(&c, "NET-IMP-008", &hdr, p.data, p.len, &h);
		expect(r, "NET-IMP-008",
		       !(h.hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == !steps[i].partial,
		       "offloads as they were set last", "flags %#x with offloads %#llx",
		       h.hdr.flags, (unsigned long long)steps[i].set);
	}
}

#define CTRL_CHECK(n, rows_, f, text, fn)                                                          \
	{                                                                                          \
		.name = n, .rows = rows_ " BASIC-DEV-005", .how = text, .kind = CHECK_REQUIREMENT, \
		.ways = WAY_ANY, .device = VIRTIO_ID_NET, .features = f, .run = fn,                \
	}

static const struct check checks[] = {
	CTRL_CHECK("net-rx-promisc", "NET-DEV-089", CTRL_RX, "RX_PROMISC is answered with OK.",
		   check_promisc),
	CTRL_CHECK("net-rx-allmulti", "NET-DEV-090", CTRL_RX, "RX_ALLMULTI is answered with OK.",
		   check_allmulti),
	CTRL_CHECK("net-rx-alluni", "NET-DEV-094", CTRL_RX_EXTRA, "RX_ALLUNI is answered with OK.",
		   check_alluni),
	CTRL_CHECK("net-rx-nomulti", "NET-DEV-095", CTRL_RX_EXTRA,
		   "RX_NOMULTI is answered with OK.", check_nomulti),
	CTRL_CHECK("net-rx-nouni", "NET-DEV-096", CTRL_RX_EXTRA, "RX_NOUNI is answered with OK.",
		   check_nouni),
	CTRL_CHECK("net-rx-nobcast", "NET-DEV-097", CTRL_RX_EXTRA,
		   "RX_NOBCAST is answered with OK.", check_nobcast),
	CTRL_CHECK("net-ctrl-unknown", "NET-IMP-005", CTRL_VQ,
		   "Commands that there are not are answered with ERR, in any framing.",
		   check_unknown_commands),
	CTRL_CHECK("net-rx-modes", "NET-DEV-091 NET-DEV-093 NET-DEV-109", CTRL_RX,
		   "Frames to others and to groups are received when promiscuous, groups with "
		   "ALLMULTI.",
		   check_modes_on),
	CTRL_CHECK("net-rx-promisc-wins", "NET-DEV-092", CTRL_RX_EXTRA,
		   "Promiscuous, everything is received whatever other modes are on.",
		   check_promisc_wins),
	CTRL_CHECK("net-rx-modes-extra",
		   "NET-DEV-098 NET-DEV-099 NET-DEV-100 NET-DEV-101 NET-DEV-102 NET-DEV-103 "
		   "NET-DEV-104 NET-DEV-105",
		   CTRL_RX_EXTRA, "ALLUNI, NOUNI, NOMULTI, NOBCAST, and what wins over what.",
		   check_modes_extra),
	CTRL_CHECK("net-mac-table", "NET-DEV-107 NET-DEV-109", CTRL_RX,
		   "The table of addresses is in force when MAC_TABLE_SET is used, and no other.",
		   check_mac_table),
	CTRL_CHECK("net-mac-table-reset", "NET-DEV-106", CTRL_RX,
		   "The table of addresses is empty after a reset.", check_mac_table_reset),
	CTRL_CHECK("net-mac-set", "NET-DEV-108", CTRL_MAC | F_MAC,
		   "mac is the address of MAC_ADDR_SET when that is used.", check_mac_set),
	CTRL_CHECK("net-mac-set-filters", "NET-DEV-109", CTRL_RX | CTRL_MAC | F_MAC,
		   "Frames to the address of MAC_ADDR_SET are received, to that before are not.",
		   check_mac_set_filters),
	CTRL_CHECK("net-vlan-unfiltered", "NET-DEV-113", 0,
		   "Without CTRL_VLAN frames of all VLANs are received.", check_vlan_unfiltered),
	CTRL_CHECK("net-vlan-filter", "NET-DEV-114 NET-DEV-115", CTRL_VLAN,
		   "Frames of VLANs are received when these are in the table, and only then.",
		   check_vlan_filter),
	CTRL_CHECK("net-vlan-empty", "NET-IMP-007", CTRL_VLAN,
		   "The table of VLANs is empty at first and after a reset.", check_vlan_empty),
	CTRL_CHECK("net-announce", "NET-DEV-117",
		   CTRL_VQ | DRV_FEATURE(VIRTIO_NET_F_GUEST_ANNOUNCE),
		   "ANNOUNCE is cleared when ANNOUNCE_ACK is used.", check_announce),
	CTRL_CHECK("net-offloads", "NET-IMP-008",
		   CTRL_VQ | DRV_FEATURE(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | GUEST_CSUM |
			   DRV_FEATURE(VIRTIO_NET_F_CSUM),
		   "Guest offloads are on at first; GUEST_OFFLOADS_SET sets all of them.",
		   check_offloads),
};

const struct check_list checks_net_ctrl = {checks, sizeof(checks) / sizeof(checks[0])};
