/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Network Device", several pairs of queues: which of them receives.
 */
#include "checks_net.h"
#include "checks.h"

#include <linux/virtio_ids.h>
#include <string.h>

#define F_RING_RESET DRV_FEATURE(40)

#define MAX_PAIRS 4u

/* Opens the card with buffers on up to MAX_PAIRS pairs; returns how many. */
static uint16_t open_pairs(struct run *r, struct card *c, uint64_t features)
{
	uint16_t n;

	card_open(r, c, features, 1600);
	n = c->net.pairs < MAX_PAIRS ? c->net.pairs : MAX_PAIRS;
	if (n < 2 || 2u * n > r->drv.n_queues)
		skip(r, "the card has one pair of queues");
	for (uint16_t i = 1; i < n; i++)
		card_open_pair(c, i);
	card_need_echo(c);
	return n;
}

static void use_pairs(struct card *c, const char *row, uint16_t n)
{
	card_ok(c, row, drv_net_set_pairs(&c->net, n), "VQ_PAIRS_SET");
}

/* Sends without waiting: a driver that uses a queue it must not use is owed nothing. */
static void send_anyway(struct card *c, uint16_t pair)
{
	struct packet p;

	packet_make(c, &p, false, IP_UDP, 50, c->serial);
	drv_net_send(&c->net, pair, NULL, p.data, p.len, NULL);
}

/* What is sent on the first pair in many flows comes in on the first pair. */
static void expect_first_only(struct card *c, const char *row, uint16_t n)
{
	static struct heard h;
	struct packet p;

	for (uint32_t flow = 0; flow < 12; flow++) {
		packet_make(c, &p, flow & 1, flow & 2 ? IP_TCP : IP_UDP, 50, flow * 77);
		card_send(c, row, 0, NULL, p.data, p.len);
		expect(c->r, row, card_hear(c, 0, &h),
		       "frames to arrive on the first receive queue", "one does not, %u pairs", n);
	}
	for (uint16_t i = 1; i < n; i++)
		expect(c->r, row, drv_queue_ready(&c->r->drv.queue[drv_net_rxq(i)]) == 0,
		       "no frame on another receive queue", "there is one on %u", i);
}

static void check_one_at_first(struct run *r)
{
	struct card c;
	uint16_t n = open_pairs(r, &c, MQ);

	expect_first_only(&c, "NET-DEV-123", n);
	use_pairs(&c, "NET-DEV-123", n);
	card_stop(&c);
	n = open_pairs(r, &c, MQ);
	expect_first_only(&c, "NET-DEV-123", n);
}

static void check_inactive(struct run *r)
{
	struct card c;
	uint16_t n = open_pairs(r, &c, MQ);

	for (uint16_t i = 1; i < n; i++)
		send_anyway(&c, i);
	for (uint16_t i = 1; i < n; i++)
		expect(r, "NET-IMP-006", card_silent(&c, i),
		       "no frame on pairs that are not in use", "there is one on %u", i);
}

static void check_steering(struct run *r)
{
	static struct heard h;
	struct packet p;
	struct card c;
	uint16_t n = open_pairs(r, &c, MQ);

	use_pairs(&c, "NET-DEV-120", n);
	for (uint32_t flow = 0; flow < 4u * n; flow++) {
		uint16_t pair = (uint16_t)(flow % n);
		bool heard;

		packet_make(&c, &p, flow & 1, flow & 2 ? IP_TCP : IP_UDP, 50, flow * 77);
		for (unsigned i = 0; i < 2; i++) {
			card_send(&c, "NET-DEV-121", pair, NULL, p.data, p.len);
			heard = card_hear(&c, pair, &h);
			expect(r, "NET-DEV-121", heard,
			       "frames of a flow to arrive on the receive queue of the pair that "
			       "the flow is sent on",
			       "not on pair %u", pair);
			expect(r, "NET-DEV-120",
			       heard && h.len == p.len && memcmp(h.data, p.data, p.len) == 0,
			       "steering by the flow of each frame", "another frame on pair %u",
			       pair);
		}
	}
}

static void check_fewer(struct run *r)
{
	struct card c;
	uint16_t n = open_pairs(r, &c, MQ);

	use_pairs(&c, "NET-DEV-124", n);
	use_pairs(&c, "NET-DEV-124", 1);
	expect_first_only(&c, "NET-DEV-124", n);
	for (uint16_t i = 1; i < n; i++)
		send_anyway(&c, i);
	for (uint16_t i = 1; i < n; i++)
		expect(r, "NET-DEV-124", card_silent(&c, i),
		       "no frame on pairs that are no longer in use", "there is one on %u", i);
	use_pairs(&c, "NET-DEV-124", 1);
	expect_first_only(&c, "NET-DEV-124", n);
}

/* Is the packet on a pair other than `pair`? */
static bool heard_elsewhere(struct card *c, uint16_t pair, uint16_t n, const struct packet *p)
{
	static struct heard h;

	for (uint16_t i = 0; i < n; i++)
		if (i != pair && !card_silent(c, i) && card_hear_for(c, i, &h, 1))
			return h.len == p->len && memcmp(h.data, p->data, p->len) == 0;
	return false;
}

static void check_target_reset(struct run *r)
{
	static struct heard h;
	struct packet p;
	struct card c;
	uint16_t n = open_pairs(r, &c, MQ | F_RING_RESET);

	use_pairs(&c, "NET-DEV-125", n);
	for (uint16_t i = 0; i < n; i++) {
		packet_make(&c, &p, false, IP_UDP, 50, i * 77u);
		card_send(&c, "NET-DEV-125", i, NULL, p.data, p.len);
		if (!card_hear(&c, i, &h))
			skip(r, "this device does not steer by what is sent");
		drv_queue_reset(r->bus, drv_net_rxq(i));
		drv_net_send(&c.net, i, NULL, p.data, p.len, NULL);
		expect(r, "NET-DEV-125", heard_elsewhere(&c, i, n, &p),
		       "a frame whose receive queue is reset to arrive on another",
		       "it does not, for pair %u", i);
		card_reenable(&c, drv_net_rxq(i));
		card_open_pair(&c, i);
	}
}

/* A frame whose queues are all being reset is lost; it does not wait for them. */
static void check_all_reset(struct run *r)
{
	struct packet p;
	struct card c;

	card_open(r, &c, F_RING_RESET, 1600);
	card_need_echo(&c);
	drv_queue_reset(r->bus, 0);
	packet_make(&c, &p, false, IP_UDP, 50, 1);
	drv_net_send(&c.net, 0, NULL, p.data, p.len, NULL);
	run_quiet(r);
	card_reenable(&c, 0);
	card_open_pair(&c, 0);
	expect(r, "NET-DEV-126", card_silent(&c, 0),
	       "a frame to be dropped while all receive queues are reset", "it arrives later");
}

/* ---- receive side scaling ----------------------------------------------------------------------
 */

#define TABLE_LEN 16u

static uint32_t supported_types(struct run *r)
{
	return (uint32_t)drv_config_field(r->bus, 20, 4);
}

static void spread(struct card *c, const char *row, uint16_t n, uint16_t unclassified)
{
	uint16_t table[TABLE_LEN];
	struct drv_net_rss rss = {.types = supported_types(c->r) & 0x3f,
				  .mask = TABLE_LEN - 1,
				  .unclassified = unclassified,
				  .table = table,
				  .max_tx = n,
				  .key_len = HASH_KEY_LEN,
				  .key = hash_key()};

	for (uint32_t i = 0; i < TABLE_LEN; i++)
		table[i] = (uint16_t)((i * 5 + 1) % n);
	card_ok(c, row, drv_net_set_rss(&c->net, &rss), "RSS_CONFIG");
}

/* Where the frame has to arrive. */
static uint16_t target(const struct packet *p, uint16_t n)
{
	return (uint16_t)(((packet_hash(p, true) & (TABLE_LEN - 1)) * 5 + 1) % n);
}

static void need_types(struct run *r)
{
	if ((supported_types(r) & 0x36) != 0x36)
		skip(r, "hashes of TCP and UDP are not all supported");
}

static void check_rss_table(struct run *r)
{
	static struct heard h;
	struct packet p;
	struct card c;
	uint16_t n = open_pairs(r, &c, RSS);

	need_types(r);
	spread(&c, "NET-DEV-129", n, 0);
	for (uint32_t flow = 0; flow < 40; flow++) {
		packet_make(&c, &p, flow & 1, flow & 2 ? IP_TCP : IP_UDP, 50, flow * 77);
		card_send(&c, "NET-DEV-129", (uint16_t)(flow / 4 % n), NULL, p.data, p.len);
		expect(r, "NET-DEV-129",
		       card_hear(&c, target(&p, n), &h) && h.len == p.len &&
			       memcmp(h.data, p.data, p.len) == 0,
		       "a frame to go where the table says for its hash", "not to pair %u",
		       target(&p, n));
	}
}

static void check_rss_unclassified(struct run *r)
{
	static struct heard h;
	uint8_t frame[100];
	struct card c;
	uint16_t n = open_pairs(r, &c, RSS);

	for (uint16_t i = 0; i < n; i++) {
		spread(&c, "NET-DEV-130", n, i);
		card_frame(&c, frame, NULL, sizeof(frame));
		card_send(&c, "NET-DEV-130", 0, NULL, frame, sizeof(frame));
		expect(r, "NET-DEV-130", card_hear(&c, i, &h),
		       "a frame without a hash to go to the unclassified queue", "not to pair %u",
		       i);
	}
}

static void check_rss_reset(struct run *r)
{
	struct packet p;
	struct card c;
	uint16_t n = open_pairs(r, &c, RSS | F_RING_RESET), to = 0;

	need_types(r);
	spread(&c, "NET-DEV-131", n, 0);
	for (uint32_t flow = 0; to == 0; flow++) {
		packet_make(&c, &p, false, IP_UDP, 50, flow);
		to = target(&p, n);
	}
	drv_queue_reset(r->bus, drv_net_rxq(to));
	card_send(&c, "NET-DEV-131", 0, NULL, p.data, p.len);
	for (uint16_t i = 0; i < n; i++)
		expect(r, "NET-DEV-131", i == to || card_silent(&c, i),
		       "a frame whose queue is reset to be dropped", "it is on pair %u", i);
	card_reenable(&c, drv_net_rxq(to));
	card_open_pair(&c, to);
	expect(r, "NET-DEV-131", card_silent(&c, to), "a frame whose queue was reset to be dropped",
	       "it arrives later");
}

#define MQ_CHECK(n, rows_, k, w, f, text, fn)                                                      \
	{                                                                                          \
		.name = n, .rows = rows_ " BASIC-DEV-005", .how = text, .kind = k, .ways = w,      \
		.device = VIRTIO_ID_NET, .features = f, .run = fn,                                 \
	}

static const struct check checks[] = {
	MQ_CHECK("net-mq-one-at-first", "NET-DEV-123", CHECK_REQUIREMENT, WAY_REGISTERS, MQ,
		 "Frames of many flows arrive on the first queue, at first and after a reset.",
		 check_one_at_first),
	MQ_CHECK("net-mq-inactive", "NET-IMP-006", CHECK_ROBUSTNESS, WAY_REGISTERS, MQ,
		 "What is sent on pairs that are not in use does not come back there.",
		 check_inactive),
	MQ_CHECK("net-mq-steering", "NET-DEV-120 NET-DEV-121", CHECK_REQUIREMENT, WAY_ANY, MQ,
		 "Frames of a flow arrive on the pair that the flow is sent on.", check_steering),
	MQ_CHECK("net-mq-fewer", "NET-DEV-124", CHECK_ROBUSTNESS, WAY_REGISTERS, MQ,
		 "Once one pair is in use again nothing arrives on the others, also not what is "
		 "sent there.",
		 check_fewer),
	MQ_CHECK("net-mq-target-reset", "NET-DEV-125", CHECK_REQUIREMENT, WAY_REGISTERS,
		 MQ | F_RING_RESET,
		 "Frames of a flow whose receive queue is reset arrive on another one.",
		 check_target_reset),
	MQ_CHECK("net-rx-all-reset", "NET-DEV-126", CHECK_REQUIREMENT, WAY_REGISTERS, F_RING_RESET,
		 "A frame that comes while all receive queues are reset does not arrive later.",
		 check_all_reset),
	MQ_CHECK("net-rss-table", "NET-DEV-129", CHECK_REQUIREMENT, WAY_ANY, RSS,
		 "Frames arrive where the table says for their hashes.", check_rss_table),
	MQ_CHECK("net-rss-unclassified", "NET-DEV-130", CHECK_REQUIREMENT, WAY_ANY, RSS,
		 "Frames without a hash arrive on the unclassified queue.", check_rss_unclassified),
	MQ_CHECK("net-rss-reset", "NET-DEV-131", CHECK_REQUIREMENT, WAY_REGISTERS,
		 RSS | F_RING_RESET, "Frames for a queue that is reset are dropped.",
		 check_rss_reset),
};

const struct check_list checks_net_mq = {checks, sizeof(checks) / sizeof(checks[0])};
