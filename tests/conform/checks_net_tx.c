/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Network Device", packet transmission: what is sent comes out as it has to, which shows on a
 * network that gives it back.
 */
#include "checks_net.h"
#include "checks.h"

#include <endian.h>
#include <linux/virtio_ids.h>
#include <string.h>

#define CSUM  DRV_FEATURE(VIRTIO_NET_F_CSUM)
#define F_MTU DRV_FEATURE(VIRTIO_NET_F_MTU)

/* The frame, whatever the header says beside it. */
static void same(struct card *c, const char *row, const struct drv_net_hdr *hdr, uint32_t len,
		 const char *what)
{
	static struct heard h;
	uint8_t frame[CARD_MAX_FRAME];

	card_frame(c, frame, NULL, len);
	card_send(c, row, 0, hdr, frame, len);
	if (!expect(c->r, row, card_hear(c, 0, &h), "the frame to be sent", "it is not: %s", what))
		return;
	expect(c->r, row, h.len == len && memcmp(h.data, frame, len) == 0,
	       "the frame to be sent as it is", "it changed, %u bytes of %u: %s", h.len, len, what);
}

/* Bits of flags that nothing was negotiated for. */
static void check_unknown_flags(struct run *r)
{
	bool ipsec = drv_get(r->bus, DRV_OFFERED, 2) >> 6 & 1;
	struct card c;

	card_open(r, &c, 0, 1600);
	card_need_echo(&c);
	for (unsigned bit = ipsec ? 7 : 4; bit < 8; bit++) {
		struct drv_net_hdr hdr = {.flags = (uint8_t)(1 << bit)};

		same(&c, "NET-DEV-019", &hdr, 200, "with an unknown flag");
	}
	same(&c, "NET-DEV-019", &(struct drv_net_hdr){.flags = 0x80}, 60, "with flag 0x80");
}

static void check_no_checksum_wanted(struct run *r)
{
	static const uint16_t at[] = {0, 1, 14, 34, 100, 199, 200, 0x7fff, 0xffff};
	struct card c;

	card_open(r, &c, CSUM, 1600);
	card_need_echo(&c);
	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		struct drv_net_hdr hdr = {.csum_start = htole16(at[i]),
					  .csum_offset = htole16(at[i] / 2)};

		same(&c, "NET-DEV-020", &hdr, 200, "csum_start without NEEDS_CSUM");
	}
}

/* As a frame with its checksum left to the device, which hdr_len says nothing about. */
static void check_hdr_len(struct run *r)
{
	static const uint16_t lens[] = {0, 1, 13, 14, 33, 41, 42, 200, 1000, 0x7fff, 0xffff};
	static struct heard h;
	struct packet p;
	struct card c;

	card_open(r, &c, CSUM, 1600);
	card_need_echo(&c);
	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct drv_net_hdr hdr;

		packet_make(&c, &p, false, IP_UDP, 150, i);
		packet_leave_checksum(&p, &hdr);
		hdr.hdr_len = htole16(lens[i]);
		card_send(&c, "NET-DEV-025", 0, &hdr, p.data, p.len);
		if (expect(r, "NET-DEV-025", card_hear(&c, 0, &h), "the packet to be sent",
			   "it is not, with hdr_len %u", lens[i]))
			expect(r, "NET-DEV-025", packet_valid(&p, h.data, h.len),
			       "the packet to be sent right", "it is not, with hdr_len %u",
			       lens[i]);
	}
}

/* With and without the 8 bytes of a hash, frames begin where they have to. */
static void try_header(struct run *r, uint64_t features)
{
	struct card c;

	card_open(r, &c, features, 1600);
	card_need_echo(&c);
	same(&c, "NET-IMP-002", NULL, 60, "a short one");
	same(&c, "NET-IMP-002", NULL, 1514, "a long one");
	/* A header with more fields would be in front of it. */
	same(&c, "NET-DEV-054", NULL, 500, "behind a header without outer_nh_offset");
	card_stop(&c);
}

static void check_header_len(struct run *r)
{
	try_header(r, 0);
	if (r->offered & MRG_RXBUF)
		try_header(r, MRG_RXBUF);
	if (r->offered & DRV_FEATURE(NET_F_HASH_REPORT))
		try_header(r, HASH_REPORT);
}

static void check_mtu_whole(struct run *r)
{
	uint32_t mtu = (uint32_t)drv_config_field(r->bus, 10, 2);
	struct card c;

	if (mtu + 14 > CARD_MAX_FRAME - 20)
		mtu = CARD_MAX_FRAME - 20 - 14;
	card_open(r, &c, F_MTU, CARD_MAX_FRAME);
	card_need_echo(&c);
	for (uint32_t len = mtu + 14; len > mtu + 10; len--)
		same(&c, "NET-DEV-007", NULL, len, "within the mtu");
}

static void check_mtu_exceeded(struct run *r)
{
	uint32_t mtu = (uint32_t)drv_config_field(r->bus, 10, 2);
	static struct heard h;
	uint8_t frame[CARD_MAX_FRAME];
	struct card c;

	if (mtu + 14 + 40 > CARD_MAX_FRAME - 20)
		skip(r, "an mtu of %u is too long for this check", mtu);
	card_open(r, &c, F_MTU, CARD_MAX_FRAME);
	card_need_echo(&c);
	for (uint32_t more = 20; more <= 40; more += 10) {
		card_frame(&c, frame, NULL, mtu + 14 + more);
		card_send(&c, "NET-DEV-006", 0, NULL, frame, mtu + 14 + more);
		expect(r, "NET-DEV-006",
		       card_silent(&c, 0) || (card_hear_for(&c, 0, &h, 1) && h.len <= mtu + 14 + 4),
		       "no frame longer than the mtu to be received", "%u bytes, mtu %u", h.len,
		       mtu);
	}
	same(&c, "NET-DEV-006", NULL, 500, "after longer ones");
}

/* Thousands, in every framing and length. */
static void check_many(struct run *r)
{
	static struct heard h;
	uint8_t frame[CARD_MAX_FRAME];
	struct card c;

	card_open(r, &c, DRV_ALL_FEATURES & ~CTRL_RX & ~MQ & ~RSS & ~HASH_REPORT, 1600);
	card_need_echo(&c);
	for (unsigned i = 0; i < 1000; i++) {
		uint32_t len = 60 + run_random(r, 1455);
		struct drv_framing f = {.first = 1 + run_random(r, 30),
					.rest = len / 6 + 20 + run_random(r, len),
					.n_direct = DRV_DIRECT};
		int ret;

		card_frame(&c, frame, NULL, len);
		ret = drv_net_drain(&c.net, 0);
		if (ret == 0)
			ret = drv_net_send(&c.net, 0, NULL, frame, len, &f);
		need(r, "NET-IMP-002", ret == 0, "a frame to be taken", "%d", ret);
		need(r, "NET-IMP-002", card_hear(&c, 0, &h), "a frame to be sent",
		     "number %u is not", i);
		need(r, "NET-IMP-002", h.len == len && memcmp(h.data, frame, len) == 0,
		     "a frame to be sent as it is", "it changed");
	}
}

#define TX_CHECK(n, rows_, k, f, text, fn)                                                         \
	{                                                                                          \
		.name = n, .rows = rows_ " BASIC-DEV-005", .how = text, .kind = k,                 \
		.ways = WAY_ANY, .device = VIRTIO_ID_NET, .features = f, .run = fn,                \
	}

static const struct check checks[] = {
	TX_CHECK("net-tx-unknown-flags", "NET-DEV-019", CHECK_REQUIREMENT, 0,
		 "Frames with header flags that there are not come back as they are.",
		 check_unknown_flags),
	TX_CHECK("net-tx-no-csum", "NET-DEV-020", CHECK_REQUIREMENT, 0,
		 "Frames without NEEDS_CSUM come back as they are, whatever csum_start is.",
		 check_no_checksum_wanted),
	TX_CHECK("net-tx-hdr-len", "NET-DEV-025", CHECK_ROBUSTNESS, CSUM,
		 "Packets whose checksum is left to the device come back right, whatever hdr_len "
		 "is.",
		 check_hdr_len),
	TX_CHECK("net-header-length", "NET-IMP-002 NET-DEV-054", CHECK_REQUIREMENT, 0,
		 "Frames come back whole behind a header of 12 bytes, of 20 with HASH_REPORT.",
		 check_header_len),
	TX_CHECK("net-mtu-whole", "NET-DEV-007", CHECK_REQUIREMENT, F_MTU,
		 "Frames of the mtu and the Ethernet header come back whole.", check_mtu_whole),
	TX_CHECK("net-mtu-exceeded", "NET-DEV-006", CHECK_ROBUSTNESS, F_MTU,
		 "Longer frames do not come back.", check_mtu_exceeded),
	TX_CHECK("net-tx-many", "NET-IMP-002", CHECK_STRESS, 0,
		 "1000 frames of all lengths, in random framings, come back.", check_many),
};

const struct check_list checks_net_tx = {checks, sizeof(checks) / sizeof(checks[0])};
