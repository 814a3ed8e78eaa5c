/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Network Device", hash reporting and notifications coalescing.
 */
#include "checks_net.h"
#include "checks.h"

#include <endian.h>
#include <linux/virtio_ids.h>
#include <string.h>

#define F_RING_RESET DRV_FEATURE(40)
#define NOTF_COAL    (CTRL_VQ | DRV_FEATURE(53))
#define VQ_NOTF_COAL (CTRL_VQ | DRV_FEATURE(52))
#define BOTH_COAL    (NOTF_COAL | VQ_NOTF_COAL)

/* ---- hashes ------------------------------------------------------------------------------------
 */

static uint32_t supported_types(struct run *r)
{
	return (uint32_t)drv_config_field(r->bus, 20, 4);
}

/* Either command; `rss`: the card was told all about RSS, too. */
static int hash_config(struct card *c, uint32_t types, bool rss)
{
	static const uint16_t table[1];
	const struct drv_net_rss all = {.types = types,
					.table = table,
					.max_tx = 1,
					.key_len = HASH_KEY_LEN,
					.key = hash_key()};

	return rss ? drv_net_set_rss(&c->net, &all)
		   : drv_net_set_hash(&c->net, types, hash_key(), HASH_KEY_LEN);
}

static void hash_command(struct run *r, uint64_t features, const char *row, bool rss)
{
	struct card c;

	card_start(r, &c, features);
	for (unsigned i = 0; i < 2; i++)
		expect(r, row,
		       card_answer(&c, row, hash_config(&c, supported_types(r) & 0x3f, rss)) ==
			       VIRTIO_NET_OK,
		       "the command to be supported", "VIRTIO_NET_ERR");
}

static bool has_rss(struct run *r)
{
	return r->offered >> NET_F_RSS & 1;
}

static void check_hash_any(struct run *r)
{
	hash_command(r, HASH_REPORT | RSS, "NET-DEV-083", has_rss(r));
}

static void check_hash_rss(struct run *r)
{
	hash_command(r, HASH_REPORT | RSS, "NET-DEV-084", true);
}

static void check_hash_alone(struct run *r)
{
	if (has_rss(r))
		skip(r, "RSS is offered");
	hash_command(r, HASH_REPORT, "NET-DEV-085", false);
}

static void check_hash_steering(struct run *r)
{
	hash_command(r, HASH_REPORT, "NET-DEV-128", false);
}

/* The type that has to be reported for a packet when `types` are enabled; 0: none. */
static uint16_t hash_type(const struct packet *p, uint8_t protocol, uint32_t types)
{
	uint32_t base = p->v6 ? 3 : 0, l4 = base + (protocol == IP_TCP ? 1 : 2);

	if (types >> l4 & 1)
		return (uint16_t)(l4 + 1);
	return types >> base & 1 ? (uint16_t)(base + 1) : 0;
}

static void try_hashes(struct card *c, uint32_t types)
{
	static struct heard h;
	struct run *r = c->r;
	struct packet p;

	card_ok(c, "NET-IMP-013", hash_config(c, types, false), "HASH_CONFIG");
	for (uint32_t i = 0; i < 4; i++) {
		uint8_t protocol = i & 2 ? IP_TCP : IP_UDP;
		uint16_t type;
		uint32_t hash;

		packet_make(c, &p, i & 1, protocol, 50, types * 31 + i);
		card_echo(c, "NET-IMP-013", NULL, p.data, p.len, &h);
		type = hash_type(&p, protocol, types);
		hash = packet_hash(&p, type != 1 && type != 4);
		expect(r, "NET-IMP-012", le16toh(h.hdr.hash_report) == type,
		       "hash_report to be the type of the hash", "%u, not %u, with types %#x",
		       le16toh(h.hdr.hash_report), type, types);
		expect(r, "NET-IMP-013", type == 0 || le32toh(h.hdr.hash_value) == hash,
		       "the hash of addresses and ports, or addresses", "%#x, not %#x, type %u",
		       le32toh(h.hdr.hash_value), hash, type);
	}
}

static void check_hash_values(struct run *r)
{
	static struct heard h;
	uint8_t frame[100];
	uint32_t types;
	struct card c;

	card_open(r, &c, HASH_REPORT, 1600);
	card_need_echo(&c);
	types = supported_types(r) & 0x3f;
	for (uint32_t bit = 0; bit < 6; bit++)
		if (types >> bit & 1)
			try_hashes(&c, UINT32_C(1) << bit);
	try_hashes(&c, types);
	card_frame(&c, frame, NULL, sizeof(frame));
	card_echo(&c, "NET-IMP-012", NULL, frame, sizeof(frame), &h);
	expect(r, "NET-IMP-012", h.hdr.hash_report == 0,
	       "hash_report NONE for a frame that is not IP", "%u", le16toh(h.hdr.hash_report));
}

/* ---- coalescing --------------------------------------------------------------------------------
 */

static void expect_coal(struct card *c, const char *row, uint16_t queue, uint32_t packets,
			uint32_t usecs, const char *when)
{
	uint32_t p = UINT32_MAX, u = UINT32_MAX;

	card_ok(c, row, drv_net_coal_get(&c->net, queue, &p, &u), "VQ_GET");
	expect(c->r, row, p == packets && u == usecs, "the values of a queue as they have to be",
	       "%u packets, %u us, not %u, %u, of queue %u %s", p, u, packets, usecs, queue, when);
}

static void coal_all(struct card *c, const char *row, bool tx, uint32_t packets, uint32_t usecs)
{
	card_ok(c, row, drv_net_coal(&c->net, tx, packets, usecs), tx ? "TX_SET" : "RX_SET");
}

static void coal_queue(struct card *c, const char *row, uint16_t queue, uint32_t packets,
		       uint32_t usecs)
{
	card_ok(c, row, drv_net_coal_queue(&c->net, queue, packets, usecs), "VQ_SET");
}

static uint8_t coal_command(struct card *c, const char *row, uint8_t command, const void *out,
			    uint32_t len)
{
	const struct drv_net_cmd cmd = {.class = 6, .command = command, .out = out, .out_len = len};

	return card_answer(c, row, drv_net_command(&c->net, &cmd));
}

static void check_coal_reserved(struct run *r)
{
	static const uint8_t set[12] = {0, 0, 0xff, 0xee, 7, 0, 0, 0, 70, 0, 0, 0};
	static const uint8_t get[4] = {0, 0, 0x55, 0xaa};
	__le32 now[2] = {0};
	struct drv_net_cmd cmd = {.class = 6,
				  .command = 3,
				  .out = get,
				  .out_len = sizeof(get),
				  .in = now,
				  .in_len = sizeof(now),
				  .ack_last = true};
	struct card c;

	card_start(r, &c, VQ_NOTF_COAL);
	expect(r, "NET-DEV-135",
	       coal_command(&c, "NET-DEV-135", 2, set, sizeof(set)) == VIRTIO_NET_OK,
	       "reserved to be ignored in VQ_SET", "VIRTIO_NET_ERR");
	expect(r, "NET-DEV-135",
	       card_answer(&c, "NET-DEV-135", drv_net_command(&c.net, &cmd)) == VIRTIO_NET_OK,
	       "reserved to be ignored in VQ_GET", "VIRTIO_NET_ERR");
	expect(r, "NET-DEV-135", le32toh(now[0]) == 7 && le32toh(now[1]) == 70,
	       "the values that were set", "%u, %u", le32toh(now[0]), le32toh(now[1]));
}

/* What no device can make values of. */
static void check_coal_refused(struct run *r)
{
	static const uint8_t data[8] = {1, 0, 0, 0, 1, 0, 0, 0};
	struct card c;

	card_start(r, &c, NOTF_COAL);
	for (uint8_t command = 0; command < 2; command++)
		for (uint32_t len = 0; len < 8; len += 4)
			expect(r, "NET-DEV-136",
			       coal_command(&c, "NET-DEV-136", command, data, len) ==
				       VIRTIO_NET_ERR,
			       "VIRTIO_NET_ERR when nothing was set", "OK for %u bytes", len);
}

static void check_coal_queue_refused(struct run *r)
{
	static const uint8_t data[12] = {0};
	struct card c;

	card_start(r, &c, VQ_NOTF_COAL);
	for (uint32_t len = 0; len < 12; len += 4)
		expect(r, "NET-DEV-137",
		       coal_command(&c, "NET-DEV-137", 2, data, len) == VIRTIO_NET_ERR,
		       "VIRTIO_NET_ERR when nothing was set", "OK for %u bytes", len);
}

static void refused(struct card *c, uint16_t queue, const char *what)
{
	uint32_t p, u;

	expect(c->r, "NET-DEV-138",
	       card_answer(c, "NET-DEV-138", drv_net_coal_queue(&c->net, queue, 1, 1)) ==
		       VIRTIO_NET_ERR,
	       "VQ_SET to be refused", "OK for %s", what);
	expect(c->r, "NET-DEV-138",
	       card_answer(c, "NET-DEV-138", drv_net_coal_get(&c->net, queue, &p, &u)) ==
		       VIRTIO_NET_ERR,
	       "VQ_GET to be refused", "OK for %s", what);
}

static void check_coal_no_queue(struct run *r)
{
	struct card c;

	card_start(r, &c, VQ_NOTF_COAL | F_RING_RESET);
	refused(&c, c.net.ctrl, "the control queue");
	refused(&c, c.net.ctrl + 1, "a queue that there is not");
	refused(&c, 0x8000, "queue 0x8000");
	refused(&c, 0xffff, "queue 0xffff");
	if (r->way == WAY_VHOST_USER || !drv_device_has(&r->drv, 40))
		return;
	drv_queue_reset(r->bus, 0);
	refused(&c, 0, "a receive queue that is disabled");
	drv_queue_reset(r->bus, 1);
	refused(&c, 1, "a transmit queue that is disabled");
}

static void coal_again(struct run *r, bool tx, const char *row)
{
	uint16_t queue = tx;
	struct card c;

	card_start(r, &c, BOTH_COAL | F_RING_RESET);
	coal_queue(&c, row, queue, 9, 90);
	drv_queue_reset(r->bus, queue);
	card_reenable(&c, queue);
	expect_coal(&c, row, queue, 0, 0, "after it was reset");
	coal_all(&c, row, tx, 5, 50);
	coal_queue(&c, row, queue, 9, 90);
	expect_coal(&c, row, queue, 9, 90, "after VQ_SET");
	drv_queue_reset(r->bus, queue);
	card_reenable(&c, queue);
	expect_coal(&c, row, queue, 5, 50, "after it was reset, with values for all");
}

static void check_coal_again_tx(struct run *r)
{
	coal_again(r, true, "NET-DEV-139");
}

static void check_coal_again_rx(struct run *r)
{
	coal_again(r, false, "NET-DEV-140");
}

static void check_coal_reset(struct run *r)
{
	struct card c;

	for (unsigned i = 0; i < 2; i++) {
		card_start(r, &c, BOTH_COAL);
		expect_coal(&c, "NET-DEV-143", 0, 0, 0, "after a reset");
		expect_coal(&c, "NET-DEV-143", 1, 0, 0, "after a reset");
		coal_all(&c, "NET-DEV-143", false, 3, 30);
		coal_all(&c, "NET-DEV-143", true, 4, 40);
		coal_queue(&c, "NET-DEV-143", 1, 5, 50);
		card_stop(&c);
	}
}

/* The specification's own example. */
static void check_coal_last(struct run *r)
{
	struct card c;

	card_start(r, &c, BOTH_COAL);
	coal_all(&c, "NET-IMP-014", false, 10, 100);
	expect_coal(&c, "NET-IMP-014", 0, 10, 100, "after RX_SET");
	expect_coal(&c, "NET-IMP-014", 1, 0, 0, "after RX_SET");
	coal_queue(&c, "NET-IMP-014", 0, 11, 110);
	expect_coal(&c, "NET-IMP-014", 0, 11, 110, "after VQ_SET");
	coal_queue(&c, "NET-IMP-014", 1, 12, 120);
	coal_all(&c, "NET-IMP-014", true, 13, 130);
	expect_coal(&c, "NET-IMP-014", 1, 13, 130, "after TX_SET");
	expect_coal(&c, "NET-IMP-014", 0, 11, 110, "after TX_SET");
}

/* `n` frames without waiting for them. */
static void burst(struct card *c, const char *row, unsigned n)
{
	uint8_t frame[100];

	for (unsigned i = 0; i < n; i++) {
		card_frame(c, frame, NULL, sizeof(frame));
		card_send(c, row, 0, NULL, frame, sizeof(frame));
	}
}

static void check_coal_suppressed(struct run *r)
{
	struct card c;

	card_open(r, &c, NOTF_COAL, 1600);
	coal_all(&c, "NET-DEV-142", true, 4, 1000);
	drv_queue_irq_off(&r->drv.queue[1]);
	burst(&c, "NET-DEV-142", 1);
	drv_irq_forget(r->bus);
	burst(&c, "NET-DEV-142", 9);
	run_quiet(r);
	expect(r, "NET-DEV-142", drv_irq_take(r->bus, 1) == 0,
	       "no notification while they are suppressed, whatever the conditions",
	       "there is one");
}

static void check_coal_lowered(struct run *r)
{
	struct card c;

	card_open(r, &c, NOTF_COAL, 1600);
	coal_all(&c, "NET-IMP-015", true, 100, 60000000);
	drv_irq_forget(r->bus);
	burst(&c, "NET-IMP-015", 10);
	coal_all(&c, "NET-IMP-015", true, 8, 60000000);
	expect(r, "NET-IMP-015", run_await_irq(r, 1) > 0,
	       "a notification when the limit falls below what was counted", "none");
	for (unsigned i = 0; i < 2; i++) {
		coal_all(&c, "NET-IMP-015", true, i ? 100 : 0, i ? 0 : 60000000);
		drv_irq_forget(r->bus);
		burst(&c, "NET-IMP-015", 1);
		expect(r, "NET-IMP-015", run_await_irq(r, 1) > 0,
		       "a notification for each frame when a limit is 0", "none, %s 0",
		       i ? "max_usecs" : "max_packets");
	}
}

#define HASH_CHECK(n, rows_, w, f, text, fn)                                                       \
	{                                                                                          \
		.name = n, .rows = rows_ " BASIC-DEV-005", .how = text, .kind = CHECK_REQUIREMENT, \
		.ways = w, .device = VIRTIO_ID_NET, .features = f, .run = fn,                      \
	}

/* Ways on which a queue's interrupts are told from others. */
#define WAY_VECTORS (WAY_PCI_MSIX | WAY_VHOST_USER)

static const struct check checks[] = {
	HASH_CHECK("net-hash-any", "NET-DEV-083", WAY_ANY, HASH_REPORT,
		   "RSS_CONFIG, or HASH_CONFIG without RSS, is answered with OK.", check_hash_any),
	HASH_CHECK("net-hash-rss", "NET-DEV-084", WAY_ANY, HASH_REPORT | RSS,
		   "RSS_CONFIG is answered with OK.", check_hash_rss),
	HASH_CHECK("net-hash-alone", "NET-DEV-085", WAY_ANY, HASH_REPORT,
		   "Without RSS HASH_CONFIG is answered with OK.", check_hash_alone),
	HASH_CHECK("net-hash-steering", "NET-DEV-128", WAY_ANY, HASH_REPORT,
		   "With automatic steering HASH_CONFIG is answered with OK.", check_hash_steering),
	HASH_CHECK("net-hash-values", "NET-IMP-012 NET-IMP-013", WAY_ANY, HASH_REPORT,
		   "Hash and type of TCP and UDP packets over IPv4 and IPv6, with each type "
		   "enabled alone and all of them.",
		   check_hash_values),
	HASH_CHECK("net-coal-reserved", "NET-DEV-135", WAY_ANY, VQ_NOTF_COAL,
		   "VQ_SET and VQ_GET work whatever reserved is.", check_coal_reserved),
	HASH_CHECK("net-coal-refused", "NET-DEV-136", WAY_ANY, NOTF_COAL,
		   "TX_SET and RX_SET without all values are answered with ERR.",
		   check_coal_refused),
	HASH_CHECK("net-coal-queue-refused", "NET-DEV-137", WAY_ANY, VQ_NOTF_COAL,
		   "VQ_SET without all values is answered with ERR.", check_coal_queue_refused),
	HASH_CHECK("net-coal-no-queue", "NET-DEV-138", WAY_ANY, VQ_NOTF_COAL,
		   "VQ_SET and VQ_GET for the control queue, for queues that there are not and for "
		   "disabled ones are answered with ERR.",
		   check_coal_no_queue),
	HASH_CHECK("net-coal-again-tx", "NET-DEV-139", WAY_REGISTERS, BOTH_COAL | F_RING_RESET,
		   "A transmit queue that was reset has the values of TX_SET, or 0.",
		   check_coal_again_tx),
	HASH_CHECK("net-coal-again-rx", "NET-DEV-140", WAY_REGISTERS, BOTH_COAL | F_RING_RESET,
		   "A receive queue that was reset has the values of RX_SET, or 0.",
		   check_coal_again_rx),
	HASH_CHECK("net-coal-suppressed", "NET-DEV-142", WAY_VECTORS, NOTF_COAL,
		   "While notifications are suppressed there are none.", check_coal_suppressed),
	HASH_CHECK("net-coal-reset", "NET-DEV-143", WAY_ANY, BOTH_COAL,
		   "All values are 0 after a reset.", check_coal_reset),
	HASH_CHECK("net-coal-last", "NET-IMP-014", WAY_ANY, BOTH_COAL,
		   "What was set last for a queue is in force, by whatever command.",
		   check_coal_last),
	HASH_CHECK("net-coal-lowered", "NET-IMP-015", WAY_VECTORS, NOTF_COAL,
		   "A limit below what was counted notifies at once, a limit of 0 for each frame.",
		   check_coal_lowered),
};

const struct check_list checks_net_hash = {checks, sizeof(checks) / sizeof(checks[0])};
