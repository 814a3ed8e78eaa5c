/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Network Device", receive buffers and incoming packets, on a network that gives back what is
 * sent.
 */
#include "checks_net.h"
#include "checks.h"

#include <endian.h>
#include <linux/virtio_ids.h>
#include <string.h>

#define CSUM DRV_FEATURE(VIRTIO_NET_F_CSUM)

#define F_DATA_VALID  VIRTIO_NET_HDR_F_DATA_VALID
#define F_NEEDS_CSUM  VIRTIO_NET_HDR_F_NEEDS_CSUM
#define F_RSC_INFO    4
#define F_TUNNEL_CSUM 8
#define GSO_TUNNEL    0x60
#define GSO_ECN	      VIRTIO_NET_HDR_GSO_ECN

static void echo(struct card *c, const char *row, uint32_t len, struct heard *h)
{
	uint8_t frame[CARD_MAX_FRAME];

	card_frame(c, frame, NULL, len);
	card_echo(c, row, NULL, frame, len, h);
}

/* ---- buffers -----------------------------------------------------------------------------------
 */

static void check_one_buffer(struct run *r)
{
	static const uint32_t lens[] = {60, 61, 511, 1000, 1514};
	static struct heard h;
	struct card c;

	card_open(r, &c, 0, 1600);
	card_need_echo(&c);
	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		echo(&c, "NET-DEV-039", lens[i], &h);
		expect(r, "NET-DEV-039", h.claimed == 1, "num_buffers 1 without MRG_RXBUF", "%u",
		       h.claimed);
		expect(r, "NET-DEV-035", h.ready == 1 && h.len == lens[i],
		       "one buffer for each frame", "%u buffers, %u bytes of %u", h.ready, h.len,
		       lens[i]);
	}
}

/* Buffers too short for the frame: it may be lost, or cut off, but not go on in the next one. */
static void check_no_spill(struct run *r)
{
	static struct heard h;
	uint8_t frame[CARD_MAX_FRAME];
	struct card c;

	card_open(r, &c, 0, 300);
	card_need_echo(&c);
	for (unsigned i = 0; i < 3; i++) {
		card_frame(&c, frame, NULL, 1000);
		card_send(&c, "NET-DEV-035", 0, NULL, frame, 1000);
		if (card_silent(&c, 0) || !card_hear_for(&c, 0, &h, 1))
			continue;
		expect(r, "NET-DEV-035", h.ready <= 1 && h.claimed <= 1,
		       "a frame to use no second buffer without MRG_RXBUF",
		       "%u used, num_buffers %u", h.ready, h.claimed);
	}
	echo(&c, "NET-DEV-035", 200, &h);
	expect(r, "NET-DEV-035", h.len == 200, "the next frame to be received", "%u bytes", h.len);
}

static void expect_merged(struct card *c, const struct heard *h, uint32_t len)
{
	uint32_t n = (c->net.hdr_len + len + c->rx_len - 1) / c->rx_len;
	struct run *r = c->r;

	expect(r, "NET-DEV-034", h->claimed == h->n && h->n == n,
	       "num_buffers to be the buffers that the frame takes", "%u, %u came, it takes %u",
	       h->claimed, h->n, n);
	expect(r, "NET-DEV-040", h->claimed == n,
	       "num_buffers to count all buffers, with the header", "%u, not %u", h->claimed, n);
	expect(r, "NET-DEV-042", h->ready >= h->n, "all buffers of a frame to be used at once",
	       "%u of %u", h->ready, h->n);
	for (uint32_t i = 0; i + 1 < h->n && i < CARD_MAX_PARTS; i++)
		expect(r, "NET-DEV-041", h->used[i] == c->rx_len,
		       "all buffers but the last to be full", "buffer %u has %u bytes of %u", i,
		       h->used[i], c->rx_len);
}

static void check_merged(struct run *r)
{
	static const uint32_t sizes[] = {128, 300, 512, 1000};
	static struct heard h;
	struct card c;

	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		card_open(r, &c, MRG_RXBUF, sizes[s]);
		card_need_echo(&c);
		for (unsigned i = 0; i < 8; i++) {
			/* At the borders of buffers, and anywhere. */
			uint32_t len = i < 3 ? 2 * sizes[s] - c.net.hdr_len - 1 + i
					     : 60 + run_random(r, 1455);

			if (len > 1514)
				len = 1514;
			echo(&c, "NET-DEV-034", len, &h);
			expect_merged(&c, &h, len);
			expect(r, "NET-DEV-034", h.len == len, "the whole frame", "%u bytes of %u",
			       h.len, len);
		}
		card_stop(&c);
	}
}

/* ---- headers -----------------------------------------------------------------------------------
 */

/* Of what the driver did not accept, nothing may be in a header. */
static void expect_plain(struct card *c, const struct heard *h)
{
	uint8_t flags = h->hdr.flags, gso = h->hdr.gso_type, base = gso & ~(GSO_ECN | GSO_TUNNEL);
	struct run *r = c->r;

	expect(r, "NET-DEV-043", flags == 0, "flags 0 without GUEST_CSUM", "%#x", flags);
	expect(r, "NET-DEV-045", base != VIRTIO_NET_HDR_GSO_TCPV4, "no GSO_TCPV4", "gso_type %#x",
	       gso);
	expect(r, "NET-DEV-046", base != VIRTIO_NET_HDR_GSO_UDP, "no GSO_UDP", "gso_type %#x", gso);
	expect(r, "NET-DEV-047", base != VIRTIO_NET_HDR_GSO_TCPV6, "no GSO_TCPV6", "gso_type %#x",
	       gso);
	expect(r, "NET-DEV-048", base != VIRTIO_NET_HDR_GSO_UDP_L4, "no GSO_UDP_L4", "gso_type %#x",
	       gso);
	expect(r, "NET-DEV-049", !(gso & GSO_TUNNEL), "no tunnel bit", "gso_type %#x", gso);
	expect(r, "NET-DEV-050", !(flags & F_TUNNEL_CSUM), "no UDP_TUNNEL_CSUM", "flags %#x",
	       flags);
	expect(r, "NET-DEV-051", !(gso & GSO_ECN), "no GSO_ECN", "gso_type %#x", gso);
	expect(r, "NET-DEV-064", gso == VIRTIO_NET_HDR_GSO_NONE,
	       "GSO_NONE without any segmentation", "gso_type %#x", gso);
	expect(r, "NET-DEV-068", !(flags & F_RSC_INFO), "no RSC_INFO", "flags %#x", flags);
}

static void check_plain(struct run *r)
{
	static struct heard h;
	struct packet p;
	struct card c;

	card_open(r, &c, DRV_ALL_FEATURES & ~GUEST_OFFLOADS & ~DRV_FEATURE(61), 1600);
	card_need_echo(&c);
	echo(&c, "NET-DEV-043", 100, &h);
	expect_plain(&c, &h);
	for (unsigned i = 0; i < 4; i++) {
		packet_make(&c, &p, i & 1, i & 2 ? IP_TCP : IP_UDP, 200, i);
		card_echo(&c, "NET-DEV-043", NULL, p.data, p.len, &h);
		expect_plain(&c, &h);
	}
}

/* A driver that leaves checksums to the device, and wants them complete. */
static void check_complete(struct run *r)
{
	static struct heard h;
	struct drv_net_hdr hdr;
	struct packet p;
	struct card c;

	card_open(r, &c, CSUM, 1600);
	card_need_echo(&c);
	for (unsigned i = 0; i < 12; i++) {
		packet_make(&c, &p, i & 1, i & 2 ? IP_TCP : IP_UDP, 100 + i, i);
		packet_leave_checksum(&p, &hdr);
		card_echo(&c, "NET-DEV-044", &hdr, p.data, p.len, &h);
		expect(r, "NET-DEV-043", h.hdr.flags == 0, "flags 0 without GUEST_CSUM", "%#x",
		       h.hdr.flags);
		expect(r, "NET-DEV-044", packet_valid(&p, h.data, h.len),
		       "packets with their whole checksum", "a wrong one in an IPv%u packet",
		       p.v6 ? 6 : 4);
	}
}

/* UDP to the port of VXLAN, with a packet inside: no segments, so nothing to tell of its headers.
 */
static void check_tunnel(struct run *r)
{
	static struct packet inner, outer;
	static struct heard h;
	struct card c;

	card_open(r, &c, DRV_ALL_FEATURES, 1600);
	card_need_echo(&c);
	for (unsigned i = 0; i < 4; i++) {
		struct drv_net_hdr hdr;

		packet_make(&c, &inner, i & 1, IP_TCP, 500, i);
		packet_make(&c, &outer, i & 2, IP_UDP, inner.len + 8, i);
		memcpy(outer.data + outer.l4 + 2, (uint8_t[]){4789 >> 8, 4789 & 0xff}, 2);
		memset(outer.data + outer.l4 + 8, 0, 8);
		outer.data[outer.l4 + 8] = 8;
		memcpy(outer.data + outer.l4 + 16, inner.data, inner.len);
		packet_leave_checksum(&outer, &hdr);
		card_echo(&c, "NET-DEV-059",
			  drv_device_has(&r->drv, VIRTIO_NET_F_CSUM) ? &hdr : NULL, outer.data,
			  outer.len, &h);
		expect(r, "NET-DEV-059", h.hdr.gso_type == VIRTIO_NET_HDR_GSO_NONE,
		       "a packet in a tunnel not to be one of segments", "gso_type %#x",
		       h.hdr.gso_type);
		expect(r, "NET-DEV-063", !(h.hdr.flags & F_TUNNEL_CSUM),
		       "no outer checksum to be left to the driver", "flags %#x", h.hdr.flags);
	}
}

/* ---- checksums ---------------------------------------------------------------------------------
 */

/* What csum_start and csum_offset say, done. */
static bool completes(const struct packet *p, struct heard *h)
{
	uint32_t start = le16toh(h->hdr.csum_start), at = start + le16toh(h->hdr.csum_offset);
	uint16_t sum;

	if (start >= h->len || at + 2 > h->len)
		return false;
	sum = (uint16_t)~packet_sum(h->data + start, h->len - start, 0);
	h->data[at] = (uint8_t)(sum >> 8);
	h->data[at + 1] = (uint8_t)sum;
	return packet_valid(p, h->data, h->len);
}

static void check_partial(struct run *r)
{
	static struct heard h;
	struct drv_net_hdr hdr;
	unsigned partial = 0;
	struct packet p;
	struct card c;

	card_open(r, &c, CSUM | GUEST_CSUM, 1600);
	card_need_echo(&c);
	for (unsigned i = 0; i < 12; i++) {
		packet_make(&c, &p, i & 1, i & 2 ? IP_TCP : IP_UDP, 100 + i, i);
		packet_leave_checksum(&p, &hdr);
		card_echo(&c, "NET-DEV-058", &hdr, p.data, p.len, &h);
		if (!(h.hdr.flags & F_NEEDS_CSUM))
			continue;
		partial++;
		expect(r, "NET-DEV-057",
		       h.len == p.len && memcmp(h.data + p.l4 + p.csum_offset,
						p.data + p.l4 + p.csum_offset, 2) == 0,
		       "the sum of the pseudo header in place of the checksum", "something else");
		expect(r, "NET-DEV-058", completes(&p, &h),
		       "the checksum to be right when it is done as the header says",
		       "it is not: csum_start %u, csum_offset %u", le16toh(h.hdr.csum_start),
		       le16toh(h.hdr.csum_offset));
	}
	if (partial == 0)
		skip(r, "this device completes all checksums");
}

/* What a driver sends with a wrong checksum nobody has found to be right. */
static void check_data_valid(struct run *r)
{
	static struct heard h;
	struct packet p;
	struct card c;

	card_open(r, &c, CSUM | GUEST_CSUM, 1600);
	card_need_echo(&c);
	for (unsigned i = 0; i < 8; i++) {
		packet_make(&c, &p, i & 1, i & 2 ? IP_TCP : IP_UDP, 100 + i, i);
		p.data[p.len - 1] ^= 0x40;
		card_echo(&c, "NET-DEV-071", NULL, p.data, p.len, &h);
		expect(r, "NET-DEV-071", !(h.hdr.flags & F_DATA_VALID),
		       "no DATA_VALID on a packet with a wrong checksum", "flags %#x", h.hdr.flags);
		expect(r, "NET-DEV-056", !(h.hdr.flags & F_NEEDS_CSUM),
		       "no NEEDS_CSUM on a packet that was not found to be right", "flags %#x",
		       h.hdr.flags);
	}
}

#define RX_CHECK(n, rows_, k, f, text, fn)                                                         \
	{                                                                                          \
		.name = n, .rows = rows_ " BASIC-DEV-005", .how = text, .kind = k,                 \
		.ways = WAY_ANY, .device = VIRTIO_ID_NET, .features = f, .run = fn,                \
	}

static const struct check checks[] = {
	RX_CHECK("net-rx-one-buffer", "NET-DEV-039 NET-DEV-035", CHECK_REQUIREMENT, 0,
		 "Without MRG_RXBUF each frame takes one buffer, and num_buffers says so.",
		 check_one_buffer),
	RX_CHECK("net-rx-no-spill", "NET-DEV-035", CHECK_ROBUSTNESS, 0,
		 "Without MRG_RXBUF a frame longer than the buffers does not go on in another "
		 "one, and the next frame is received.",
		 check_no_spill),
	RX_CHECK("net-rx-merged", "NET-DEV-034 NET-DEV-040 NET-DEV-041 NET-DEV-042",
		 CHECK_REQUIREMENT, MRG_RXBUF,
		 "Frames of many lengths in short buffers: num_buffers is right, all are used at "
		 "once, all but the last are full.",
		 check_merged),
	RX_CHECK("net-rx-plain",
		 "NET-DEV-043 NET-DEV-045 NET-DEV-046 NET-DEV-047 NET-DEV-048 NET-DEV-049 "
		 "NET-DEV-050 NET-DEV-051 NET-DEV-064 NET-DEV-068",
		 CHECK_REQUIREMENT, 0,
		 "Without guest offloads nothing about them is in the headers of frames.",
		 check_plain),
	RX_CHECK("net-rx-tunnel", "NET-DEV-059 NET-DEV-063", CHECK_REQUIREMENT, 0,
		 "Packets inside UDP come back without segmentation, and without an outer checksum "
		 "to be done.",
		 check_tunnel),
	RX_CHECK("net-rx-complete", "NET-DEV-044 NET-DEV-043", CHECK_REQUIREMENT, CSUM,
		 "Packets whose checksums are left to the device have them when they come back to "
		 "a driver without GUEST_CSUM.",
		 check_complete),
	RX_CHECK("net-rx-partial", "NET-DEV-058 NET-DEV-057", CHECK_REQUIREMENT, CSUM | GUEST_CSUM,
		 "Packets that come back with NEEDS_CSUM have the sum of their pseudo header, and "
		 "are right when completed as the header says.",
		 check_partial),
	RX_CHECK("net-rx-data-valid", "NET-DEV-071 NET-DEV-056", CHECK_REQUIREMENT,
		 CSUM | GUEST_CSUM,
		 "Packets with wrong checksums come back without DATA_VALID and NEEDS_CSUM.",
		 check_data_valid),
};

const struct check_list checks_net_rx = {checks, sizeof(checks) / sizeof(checks[0])};
