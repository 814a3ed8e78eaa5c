/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Network Device": features and configuration.
 */
#include "checks_net.h"
#include "checks.h"
#include "feature_bits.h"

#include <linux/virtio_ids.h>
#include <stddef.h>
#include <string.h>

#define F_MTU	       DRV_FEATURE(VIRTIO_NET_F_MTU)
#define F_MAC	       DRV_FEATURE(VIRTIO_NET_F_MAC)
#define F_STATUS       DRV_FEATURE(VIRTIO_NET_F_STATUS)
#define F_SPEED_DUPLEX DRV_FEATURE(VIRTIO_NET_F_SPEED_DUPLEX)

/* Offsets in the configuration space. */
enum {
	AT_STATUS = 6,
	AT_PAIRS = 8,
	AT_MTU = 10,
	AT_SPEED = 12,
	AT_DUPLEX = 16,
	AT_KEY_SIZE = 17,
	AT_TABLE_LEN = 18,
};

static uint32_t field(struct run *r, uint32_t off, uint32_t len)
{
	return (uint32_t)drv_config_field(r->bus, off, len);
}

static void check_pairs(struct run *r)
{
	uint32_t n = field(r, AT_PAIRS, 2);

	expect(r, "NET-DEV-002", n >= 1 && n <= 0x8000, "max_virtqueue_pairs from 1 to 0x8000",
	       "%u", n);
}

static void check_mtu(struct run *r)
{
	uint32_t mtu = field(r, AT_MTU, 2);

	expect(r, "NET-DEV-003", mtu >= 68, "an mtu from 68 to 65535", "%u", mtu);
	expect(r, "NET-DEV-004", mtu >= 1280, "an mtu of at least 1280", "%u", mtu);
}

static void check_mtu_constant(struct run *r)
{
	static const uint8_t other[2] = {0xdc, 0x05};
	uint32_t mtu = field(r, AT_MTU, 2);

	for (unsigned i = 0; i < 3; i++) {
		run_start(r, "BASIC-DEV-005", i == 1 ? ~F_MTU : DRV_ALL_FEATURES);
		expect(r, "NET-DEV-005", field(r, AT_MTU, 2) == mtu, "the mtu to stay",
		       "%u, then %u", mtu, field(r, AT_MTU, 2));
		drv_config_write(r->bus, AT_MTU, other, 2);
		expect(r, "NET-DEV-005", field(r, AT_MTU, 2) == mtu,
		       "the mtu to stay when it is written", "%u, then %u", mtu,
		       field(r, AT_MTU, 2));
		drv_device_stop(&r->drv);
	}
}

static void check_hash_sizes(struct run *r)
{
	if (!(r->offered & (DRV_FEATURE(NET_F_RSS) | DRV_FEATURE(NET_F_HASH_REPORT))))
		skip(r, "neither RSS nor HASH_REPORT is offered");
	expect(r, "NET-DEV-008", field(r, AT_KEY_SIZE, 1) >= 40,
	       "an rss_max_key_size of at least 40", "%u", field(r, AT_KEY_SIZE, 1));
}

static void check_table_len(struct run *r)
{
	expect(r, "NET-DEV-009", field(r, AT_TABLE_LEN, 2) >= 128,
	       "an rss_max_indirection_table_length of at least 128", "%u",
	       field(r, AT_TABLE_LEN, 2));
}

static void check_speed(struct run *r)
{
	uint32_t speed, duplex;

	run_start(r, "BASIC-DEV-005", F_SPEED_DUPLEX | F_STATUS);
	speed = field(r, AT_SPEED, 4);
	duplex = field(r, AT_DUPLEX, 1);
	expect(r, "NET-DEV-011", speed <= 0x7fffffff || speed == 0xffffffff,
	       "a speed below 0x80000000, or 0xffffffff", "%#x", speed);
	expect(r, "NET-DEV-012", duplex <= 1 || duplex == 0xff, "a duplex of 0, 1 or 0xff", "%#x",
	       duplex);
}

static void check_speed_constant(struct run *r)
{
	static const uint8_t junk[5] = {1, 2, 3, 4, 0};
	uint32_t speed, duplex;

	run_start(r, "BASIC-DEV-005", F_SPEED_DUPLEX | F_STATUS);
	speed = field(r, AT_SPEED, 4);
	duplex = field(r, AT_DUPLEX, 1);
	for (unsigned i = 0; i < 3 && field(r, AT_STATUS, 2) & VIRTIO_NET_S_LINK_UP; i++) {
		expect(r, "NET-DEV-013",
		       field(r, AT_SPEED, 4) == speed && field(r, AT_DUPLEX, 1) == duplex,
		       "speed and duplex to stay while the link is up", "%#x, %#x after %#x, %#x",
		       field(r, AT_SPEED, 4), field(r, AT_DUPLEX, 1), speed, duplex);
		drv_config_write(r->bus, AT_SPEED, junk, 4);
		drv_config_write(r->bus, AT_DUPLEX, junk + 4, 1);
		run_quiet(r);
	}
	if (!(field(r, AT_STATUS, 2) & VIRTIO_NET_S_LINK_UP))
		skip(r, "the link is down");
}

static void check_hash_needs_ctrl(struct run *r)
{
	expect(r, "NET-DEV-014", r->offered & CTRL_VQ, "CTRL_VQ to be offered with HASH_REPORT",
	       "features %#llx", (unsigned long long)r->offered);
}

static void check_extra_needs_ctrl(struct run *r)
{
	expect(r, "NET-DEV-015", r->offered & CTRL_VQ, "CTRL_VQ to be offered with CTRL_RX_EXTRA",
	       "features %#llx", (unsigned long long)r->offered);
}

/* Features 69 and 70. */
static void check_ipsec_needs_header(struct run *r)
{
	uint64_t high = drv_get(r->bus, DRV_OFFERED, 2);

	if (!(high >> 6 & 1))
		skip(r, "IPSEC is not offered");
	expect(r, "NET-DEV-001", high >> 5 & 1, "OUT_NET_HEADER to be offered with IPSEC",
	       "features 64 to 95 are %#llx", (unsigned long long)high);
}

static void check_requirements(struct run *r)
{
	uint64_t lone = r->offered & ~features_closed(r->device_id, r->offered);

	expect(r, "NET-IMP-004", lone == 0, "what the features need to be offered, too",
	       "not what bits %#llx need", (unsigned long long)lone);
}

static void check_mac(struct run *r)
{
	uint8_t mac[6], again[6];

	card_config_mac(r, mac);
	expect(r, "NET-IMP-011", !(mac[0] & 1) && memcmp(mac, "\0\0\0\0\0", 6) != 0,
	       "the address of one card", "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
	       mac[3], mac[4], mac[5]);
	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	card_config_mac(r, again);
	expect(r, "NET-IMP-011", memcmp(mac, again, 6) == 0, "the same address when it is running",
	       "another one");
}

static void check_link(struct run *r)
{
	uint32_t before, after;

	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	before = field(r, AT_STATUS, 2);
	drv_irq_forget(r->bus);
	if (!r->change_config || !r->change_config(r))
		skip(r, "nothing here changes the link");
	after = field(r, AT_STATUS, 2);
	expect(r, "NET-IMP-010", (before ^ after) == VIRTIO_NET_S_LINK_UP,
	       "LINK_UP to follow the link", "status %#x, then %#x", before, after);
	expect(r, "NET-IMP-010", run_await_irq(r, DRV_IRQ_CONFIG) > 0,
	       "a notification when the link changes", "none");
}

/* Where the control queue is: a command there is answered. */
static void try_ctrl_queue(struct run *r, uint64_t features)
{
	struct card c;

	card_start(r, &c, features);
	need(r, "NET-IMP-001", c.net.ctrl != 0, "a control queue behind all others",
	     "%u queues, with features %#llx", r->drv.n_queues, (unsigned long long)features);
	/* A class that there is not: any answer will do. */
	card_answer(&c, "NET-IMP-001",
		    drv_net_command(&c.net, &(struct drv_net_cmd){.class = 0xee}));
	card_stop(&c);
}

static void check_ctrl_queue(struct run *r)
{
	try_ctrl_queue(r, CTRL_VQ);
	if (r->offered & DRV_FEATURE(VIRTIO_NET_F_MQ))
		try_ctrl_queue(r, MQ);
	if (r->offered & DRV_FEATURE(NET_F_RSS))
		try_ctrl_queue(r, RSS);
}

#define CONFIG_CHECK(n, rows_, f, text, fn)                                                        \
	{                                                                                          \
		.name = n, .rows = rows_, .how = text, .kind = CHECK_REQUIREMENT, .ways = WAY_ANY, \
		.device = VIRTIO_ID_NET, .features = f, .run = fn,                                 \
	}

static const struct check checks[] = {
	CONFIG_CHECK("net-pairs", "NET-DEV-002", DRV_FEATURE(VIRTIO_NET_F_MQ),
		     "max_virtqueue_pairs is from 1 to 0x8000.", check_pairs),
	CONFIG_CHECK("net-mtu", "NET-DEV-003 NET-DEV-004", F_MTU,
		     "The mtu is from 68 to 65535, and at least 1280.", check_mtu),
	CONFIG_CHECK("net-mtu-constant", "NET-DEV-005 BASIC-DEV-005", F_MTU,
		     "The mtu is the same through initialisations with and without MTU, and when "
		     "a driver writes to it.",
		     check_mtu_constant),
	CONFIG_CHECK("net-hash-key-size", "NET-DEV-008", 0, "rss_max_key_size is at least 40.",
		     check_hash_sizes),
	CONFIG_CHECK("net-rss-table-length", "NET-DEV-009", DRV_FEATURE(NET_F_RSS),
		     "rss_max_indirection_table_length is at least 128.", check_table_len),
	CONFIG_CHECK("net-speed", "NET-DEV-011 NET-DEV-012 BASIC-DEV-005", F_SPEED_DUPLEX,
		     "speed and duplex have values that there are.", check_speed),
	CONFIG_CHECK("net-speed-constant", "NET-DEV-013 BASIC-DEV-005", F_SPEED_DUPLEX | F_STATUS,
		     "speed and duplex stay while the link is up, also when a driver writes.",
		     check_speed_constant),
	CONFIG_CHECK("net-hash-needs-ctrl", "NET-DEV-014", DRV_FEATURE(NET_F_HASH_REPORT),
		     "HASH_REPORT comes with CTRL_VQ.", check_hash_needs_ctrl),
	CONFIG_CHECK("net-rx-extra-needs-ctrl", "NET-DEV-015",
		     DRV_FEATURE(VIRTIO_NET_F_CTRL_RX_EXTRA), "CTRL_RX_EXTRA comes with CTRL_VQ.",
		     check_extra_needs_ctrl),
	CONFIG_CHECK("net-ipsec-needs-header", "NET-DEV-001", 0, "IPSEC comes with OUT_NET_HEADER.",
		     check_ipsec_needs_header),
	CONFIG_CHECK("net-feature-requirements", "NET-IMP-004", 0,
		     "Each feature comes with those it needs.", check_requirements),
	CONFIG_CHECK("net-mac", "NET-IMP-011 BASIC-DEV-005", F_MAC,
		     "mac is the address of one card, the same before and after initialisation.",
		     check_mac),
	CONFIG_CHECK("net-link", "NET-IMP-010 BASIC-DEV-005", F_STATUS,
		     "The link changes: LINK_UP does, and the driver is notified.", check_link),
	CONFIG_CHECK("net-ctrl-queue", "NET-IMP-001 BASIC-DEV-005", CTRL_VQ,
		     "Commands are answered on queue 2 without MQ and RSS, and behind "
		     "max_virtqueue_pairs pairs with one of them.",
		     check_ctrl_queue),
};

const struct check_list checks_net_config = {checks, sizeof(checks) / sizeof(checks[0])};
