/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Network cards against drivers that send no frames and no commands.
 */
#include "checks_net.h"
#include "checks.h"

#include <endian.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <string.h>

/* ---- chains ------------------------------------------------------------------------------------
 */

/* What is put into a queue: bytes that the device reads, bytes that it may write. */
struct shape {
	uint16_t queue; /* CTRL: the control queue */
	uint32_t out, in;
	const char *what;
};

#define CTRL 0xffff

static const struct shape shapes[] = {
	{1, 1, 0, "a frame with 1 byte of header"},
	{1, 11, 0, "a frame with 11 bytes of header"},
	{1, 12, 0, "a header without a frame"},
	{1, 12 + 13, 0, "a frame of 13 bytes"},
	{1, 12, 100, "a frame to be written to"},
	{1, 0, 100, "nothing to send"},
	{1, 0x30000, 0, "a frame of 192 KiB"},
	{0, 100, 0, "a receive buffer that must not be written to"},
	{0, 0, 1, "a receive buffer of 1 byte"},
	{0, 0, 12, "a receive buffer for a header"},
	{CTRL, 2, 0, "a command without an ack byte"},
	{CTRL, 0, 1, "an ack byte without a command"},
	{CTRL, 1, 1, "half of a command"},
	{CTRL, 0x30000, 1, "a command of 192 KiB"},
};

#define N_SHAPES (sizeof(shapes) / sizeof(shapes[0]))

/* The guest memory for it: what is written must be within the buffer. */
static void try_shape(struct card *c, const struct shape *s)
{
	struct run *r = c->r;
	uint16_t queue = s->queue == CTRL ? c->net.ctrl : s->queue;
	uint64_t out = drv_mem_alloc(&r->mem, s->out + 16, 16);
	uint64_t in = drv_mem_alloc(&r->mem, s->in + 16, 16);
	struct drv_buf buf[2];
	uint8_t frame[100], *end;
	uint32_t n = 0;

	if (out == DRV_NO_GPA || in == DRV_NO_GPA)
		skip(r, "out of guest memory");
	memset(drv_mem_ptr(&r->mem, out, s->out + 16), 0, s->out + 16);
	end = (uint8_t *)drv_mem_ptr(&r->mem, in, s->in + 16) + s->in;
	memset(end, 0xcc, 16);
	if (s->out)
		buf[n++] = (struct drv_buf){.gpa = out, .len = s->out};
	if (s->in)
		buf[n++] = (struct drv_buf){.gpa = in, .len = s->in, .writable = true};
	drv_queue_add(&r->drv.queue[queue], buf, n, DRV_DIRECT, NULL);
	drv_queue_publish(&r->drv.queue[queue]);
	drv_kick(r->bus, queue);
	/* Something to receive, for those that wait for it. */
	card_frame(c, frame, NULL, sizeof(frame));
	if (s->queue == 0)
		drv_net_send(&c->net, 0, NULL, frame, sizeof(frame), NULL);
	run_quiet(r);
	expect(r, "BASIC-DEV-002", end[0] == 0xcc && memcmp(end, end + 1, 15) == 0,
	       "nothing to be written behind a buffer", "it was: %s", s->what);
}

static void open_with_tx(struct run *r, struct card *c)
{
	card_start(r, c, CTRL_VQ | MRG_RXBUF);
	if (drv_net_make_bufs(&c->net, 1, 4, CARD_MAX_FRAME, 8) < 0)
		skip(r, "out of guest memory");
}

/* Works like new: a frame is taken, and a command answered. */
static void expect_revival(struct run *r, struct card *c)
{
	uint8_t frame[100];

	card_stop(c);
	expect(r, "BASIC-DEV-011", drv_status(r->bus) == 0, "a reset to help", "status %#x",
	       drv_status(r->bus));
	card_open(r, c, CTRL_VQ, 1600);
	card_frame(c, frame, NULL, sizeof(frame));
	card_send(c, "BASIC-DEV-011", 0, NULL, frame, sizeof(frame));
	if (c->net.ctrl)
		card_answer(c, "BASIC-DEV-011",
			    drv_net_command(&c->net, &(struct drv_net_cmd){.class = 0xee}));
	card_stop(c);
}

static void check_shapes(struct run *r)
{
	struct card c;

	for (unsigned i = 0; i < N_SHAPES; i++) {
		open_with_tx(r, &c);
		if (shapes[i].queue == CTRL && !c.net.ctrl)
			continue;
		try_shape(&c, &shapes[i]);
		expect_revival(r, &c);
	}
}

static void check_neighbour(struct run *r)
{
	struct run *n = r->neighbour;
	struct card c;

	if (!n)
		skip(r, "there is one device");
	run_start(n, "BASIC-DEV-005", DRV_ALL_FEATURES);
	for (unsigned i = 0; i < N_SHAPES; i++) {
		open_with_tx(r, &c);
		if (shapes[i].queue == CTRL && !c.net.ctrl)
			continue;
		try_shape(&c, &shapes[i]);
		expect(r, "BASIC-DEV-002", !(drv_status(n->bus) & VIRTIO_CONFIG_S_NEEDS_RESET),
		       "another device to be left alone", "it needs a reset after %s",
		       shapes[i].what);
		card_stop(&c);
	}
}

/* ---- commands ----------------------------------------------------------------------------------
 */

static void refused(struct card *c, uint8_t class, uint8_t command, const void *out, uint32_t len,
		    const char *what)
{
	const struct drv_net_cmd cmd = {
		.class = class, .command = command, .out = out, .out_len = len};

	expect(c->r, "NET-IMP-005",
	       card_answer(c, "NET-IMP-005", drv_net_command(&c->net, &cmd)) == VIRTIO_NET_ERR,
	       "VIRTIO_NET_ERR", "VIRTIO_NET_OK: %s", what);
}

/* Tables whose counts say more than there is, in 32 bits and around them. */
static void check_bad_tables(struct run *r)
{
	static const uint32_t counts[] = {1,	      2,	  0x10000,   0x2aaaaaab,
					  0x55555556, 0x80000000, 0xffffffff};
	uint8_t data[16];
	struct card c;

	card_start(r, &c, CTRL_RX);
	for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		__le32 n = htole32(counts[i]);

		memset(data, 0, sizeof(data));
		memcpy(data, &n, 4);
		refused(&c, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, data, 8,
			"more cards than there is data");
		memset(data, 0, sizeof(data));
		memcpy(data + 4, &n, 4);
		refused(&c, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, data, 8,
			"more groups than there is data");
	}
	for (uint32_t len = 0; len < 8; len++)
		refused(&c, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, data, len,
			"a table without counts");
	card_ok(&c, "NET-IMP-005", drv_net_set_macs(&c.net, NULL, 0, NULL, 0),
		"an empty table afterwards");
}

static void check_bad_pairs(struct run *r)
{
	struct card c;

	card_start(r, &c, MQ);
	for (uint32_t i = 0; i < 4; i++) {
		static const uint16_t more[] = {1, 2, 0x7fff, 0xffff};
		uint32_t n = c.net.pairs + more[i];
		__le16 pairs = htole16((uint16_t)(n > 0xffff ? 0xffff : n));

		refused(&c, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, 2,
			"more pairs than there are");
	}
	refused(&c, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, "\0\0", 2, "no pair");
	refused(&c, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, "\1", 1, "1 byte");
	card_ok(&c, "NET-IMP-005", drv_net_set_pairs(&c.net, 1), "one pair afterwards");
}

/* Offloads that were not accepted. */
static void check_bad_offloads(struct run *r)
{
	struct card c;

	card_start(r, &c, CTRL_VQ | DRV_FEATURE(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | GUEST_CSUM);
	for (unsigned bit = 0; bit < 64; bit++) {
		__le64 offloads = htole64(UINT64_C(1) << bit);

		if (bit != VIRTIO_NET_F_GUEST_CSUM)
			refused(&c, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &offloads, 8,
				"an offload that was not accepted");
	}
	card_ok(&c, "NET-IMP-005", drv_net_set_offloads(&c.net, GUEST_CSUM),
		"an offload that was accepted");
}

/* RSS tables that name queues that there are not. */
static void check_bad_rss(struct run *r)
{
	static uint16_t table[128];
	struct card c;
	struct drv_net_rss good = {.mask = 127,
				   .table = table,
				   .max_tx = 1,
				   .key_len = HASH_KEY_LEN,
				   .key = hash_key()},
			   bad;

	card_start(r, &c, RSS);
	good.types = (uint32_t)drv_config_field(r->bus, 20, 4) & 0x3f;
	for (unsigned i = 0; i < 4; i++) {
		bad = good;
		table[i * 42] = i == 0 ? 0 : c.net.pairs;
		if (i == 0)
			bad.unclassified = c.net.pairs;
		expect(r, "NET-IMP-005",
		       card_answer(&c, "NET-IMP-005", drv_net_set_rss(&c.net, &bad)) ==
			       VIRTIO_NET_ERR,
		       "VIRTIO_NET_ERR for a queue that there is not", "VIRTIO_NET_OK, entry %u",
		       i * 42);
		table[i * 42] = 0;
	}
	card_ok(&c, "NET-IMP-005", drv_net_set_rss(&c.net, &good), "a good table afterwards");
}

/* Random commands with random data. */
static void check_random_commands(struct run *r)
{
	uint8_t data[64];
	struct card c;

	card_start(r, &c, DRV_ALL_FEATURES);
	for (unsigned i = 0; i < 600; i++) {
		struct drv_framing f = {.rest = run_random(r, 20), .n_direct = DRV_DIRECT};
		struct drv_net_cmd cmd = {.class = (uint8_t)run_random(r, 8),
					  .command = (uint8_t)run_random(r, 7),
					  .out = data,
					  .out_len = run_random(r, sizeof(data)),
					  .framing = &f};

		/* Numbers are small more often than not. */
		for (unsigned k = 0; k < sizeof(data); k++)
			data[k] = run_random(r, 3) ? 0 : (uint8_t)run_random(r, 256);
		if (cmd.class == 6 && cmd.command == 3)
			continue; /* its answer has another shape */
		card_answer(&c, "NET-IMP-005", drv_net_command(&c.net, &cmd));
	}
	expect(r, "NET-IMP-005", !(drv_status(r->bus) & VIRTIO_CONFIG_S_NEEDS_RESET),
	       "every command to be answered, and no error", "status %#x", drv_status(r->bus));
}

#define HOSTILE(n, rows_, k, f, text, fn)                                                          \
	{                                                                                          \
		.name = n, .rows = rows_ " BASIC-DEV-005", .how = text, .kind = k,                 \
		.ways = WAY_ANY, .device = VIRTIO_ID_NET, .features = f, .run = fn,                \
	}

static const struct check checks[] = {
	HOSTILE("net-shapes", "BASIC-DEV-011 BASIC-DEV-002", CHECK_ROBUSTNESS, 0,
		"Frames without frames, receive buffers that are none, commands without ack: "
		"nothing is written where it must not be, and a reset helps.",
		check_shapes),
	HOSTILE("net-neighbour", "BASIC-DEV-002", CHECK_ROBUSTNESS, 0,
		"The same, while another device is running, which does not notice.",
		check_neighbour),
	HOSTILE("net-bad-tables", "NET-IMP-005", CHECK_ROBUSTNESS, CTRL_RX,
		"Tables of addresses that end too early are answered with ERR.", check_bad_tables),
	HOSTILE("net-bad-pairs", "NET-IMP-005", CHECK_ROBUSTNESS, MQ,
		"Numbers of pairs that there are not are answered with ERR.", check_bad_pairs),
	HOSTILE("net-bad-offloads", "NET-IMP-005", CHECK_ROBUSTNESS,
		CTRL_VQ | DRV_FEATURE(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | GUEST_CSUM,
		"Offloads that were not accepted are answered with ERR.", check_bad_offloads),
	HOSTILE("net-bad-rss", "NET-IMP-005", CHECK_ROBUSTNESS, RSS,
		"Tables with queues that there are not are answered with ERR.", check_bad_rss),
	HOSTILE("net-random-commands", "NET-IMP-005", CHECK_STRESS, CTRL_VQ,
		"600 commands of random data are all answered.", check_random_commands),
};

const struct check_list checks_net_hostile = {checks, sizeof(checks) / sizeof(checks[0])};
