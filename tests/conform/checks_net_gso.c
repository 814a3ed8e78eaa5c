/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Network Device", packets that are to be segmented, on a network that gives back what is sent:
 * whole to a driver that takes them so, in segments to others.
 */
#include "checks_net.h"
#include "checks.h"

#include <endian.h>
#include <linux/virtio_ids.h>
#include <string.h>

#define CSUM   DRV_FEATURE(VIRTIO_NET_F_CSUM)
#define BOTH   (CSUM | GUEST_CSUM)
#define H_TSO4 DRV_FEATURE(VIRTIO_NET_F_HOST_TSO4)
#define H_TSO6 DRV_FEATURE(VIRTIO_NET_F_HOST_TSO6)
#define H_ECN  DRV_FEATURE(VIRTIO_NET_F_HOST_ECN)
#define H_UFO  DRV_FEATURE(VIRTIO_NET_F_HOST_UFO)
#define H_USO  DRV_FEATURE(VIRTIO_NET_F_HOST_USO)
#define G_TSO4 DRV_FEATURE(VIRTIO_NET_F_GUEST_TSO4)
#define G_TSO6 DRV_FEATURE(VIRTIO_NET_F_GUEST_TSO6)
#define G_ECN  DRV_FEATURE(VIRTIO_NET_F_GUEST_ECN)
#define G_UFO  DRV_FEATURE(VIRTIO_NET_F_GUEST_UFO)
#define G_USO  (DRV_FEATURE(VIRTIO_NET_F_GUEST_USO4) | DRV_FEATURE(VIRTIO_NET_F_GUEST_USO6))

#define NEEDS_CSUM VIRTIO_NET_HDR_F_NEEDS_CSUM
#define GSO_NONE   VIRTIO_NET_HDR_GSO_NONE
#define GSO_ECN	   VIRTIO_NET_HDR_GSO_ECN

#define RX_LEN	  CARD_MAX_FRAME
#define TCP_OPTS  12u
#define TCP_FLAGS 13
#define TCP_ACK	  0x10
#define TCP_CWR	  0x80

/* What a driver leaves to the device to cut. */
struct kind {
	uint64_t host;	/* to send it */
	uint64_t guest; /* to receive it whole */
	uint8_t type;
	bool v6;
};

static const struct kind kinds[] = {
	{H_TSO4, G_TSO4, VIRTIO_NET_HDR_GSO_TCPV4, false},
	{H_TSO6, G_TSO6, VIRTIO_NET_HDR_GSO_TCPV6, true},
	{H_USO, G_USO, VIRTIO_NET_HDR_GSO_UDP_L4, false},
	{H_USO, G_USO, VIRTIO_NET_HDR_GSO_UDP_L4, true},
	{H_UFO, G_UFO, VIRTIO_NET_HDR_GSO_UDP, false},
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

#define ALL_HOST  (CSUM | H_TSO4 | H_TSO6 | H_ECN | H_UFO | H_USO)
#define ALL_GUEST (GUEST_CSUM | G_TSO4 | G_TSO6 | G_ECN | G_UFO | G_USO)

static bool is_tcp(const struct kind *k)
{
	return k->type == VIRTIO_NET_HDR_GSO_TCPV4 || k->type == VIRTIO_NET_HDR_GSO_TCPV6;
}

/* A packet with its header; TCP has options. Returns the length of all headers. */
static uint32_t make(struct card *c, const struct kind *k, uint32_t payload, uint16_t size,
		     struct packet *p, struct drv_net_hdr *hdr)
{
	uint32_t headers;

	packet_make(c, p, k->v6, is_tcp(k) ? IP_TCP : IP_UDP, payload + (is_tcp(k) ? TCP_OPTS : 0),
		    c->serial);
	headers = p->l4 + 8;
	if (is_tcp(k)) {
		headers = p->l4 + 20 + TCP_OPTS;
		p->data[p->l4 + 12] = 0x80;
		memset(p->data + p->l4 + 20, 1, TCP_OPTS);
	}
	packet_leave_checksum(p, hdr);
	hdr->gso_type = k->type;
	hdr->gso_size = htole16(size);
	hdr->hdr_len = htole16((uint16_t)headers);
	return headers;
}

static bool offered(const struct run *r, uint64_t features)
{
	return (r->offered & features) == features;
}

static void open_card(struct run *r, struct card *c, uint64_t features)
{
	card_open(r, c, features | MRG_RXBUF, RX_LEN);
	card_need_echo(c);
}

/* Takes what is left of a packet that was cut. */
static void take_rest(struct card *c)
{
	static struct heard h;

	while (!card_silent(c, 0) && card_hear_for(c, 0, &h, 1))
		;
}

/* ---- whole -------------------------------------------------------------------------------------
 */

static void expect_whole(struct card *c, const struct heard *h, uint16_t size, uint32_t headers)
{
	uint32_t hdr_len = le16toh(h->hdr.hdr_len), got = le16toh(h->hdr.gso_size);
	struct run *r = c->r;

	expect(r, "NET-DEV-065", h->hdr.flags & NEEDS_CSUM,
	       "NEEDS_CSUM on a packet that is to be segmented", "flags %#x, gso_type %#x",
	       h->hdr.flags, h->hdr.gso_type);
	expect(r, "NET-DEV-066", got == size, "gso_size as the sender wanted the segments",
	       "%u, not %u", got, size);
	expect(r, "NET-DEV-069", hdr_len >= headers, "hdr_len not to be less than the headers",
	       "%u, they are %u", hdr_len, headers);
}

/* Sends packets of one kind with the hint `hdr_len` (0: right). Returns how many came whole. */
static unsigned try_whole(struct card *c, const struct kind *k, uint16_t hdr_len)
{
	static const uint16_t sizes[] = {1000, 1448, 520, 96};
	static struct heard h;
	struct drv_net_hdr hdr;
	unsigned whole = 0;
	struct packet p;

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint32_t headers = make(c, k, 1800 - 200 * i, sizes[i], &p, &hdr);

		if (hdr_len)
			hdr.hdr_len = htole16(hdr_len);
		card_send(c, "NET-DEV-066", 0, &hdr, p.data, p.len);
		if (!card_hear_for(c, 0, &h, 50))
			continue; /* this network may lose what it does not like */
		if (h.hdr.gso_type == GSO_NONE) {
			take_rest(c);
			continue;
		}
		whole++;
		expect_whole(c, &h, sizes[i], headers);
	}
	return whole;
}

static void all_whole(struct run *r, uint16_t hdr_len)
{
	unsigned whole = 0;
	struct card c;

	open_card(r, &c, ALL_HOST | ALL_GUEST);
	for (unsigned i = 0; i < N_KINDS; i++)
		if (offered(r, kinds[i].host | kinds[i].guest))
			whole += try_whole(&c, &kinds[i], hdr_len);
	if (whole == 0)
		skip(r, "no packet that is to be segmented comes back from this network");
}

static void check_whole(struct run *r)
{
	all_whole(r, 0);
}

static void check_hint(struct run *r)
{
	all_whole(r, 1);
}

static void check_ecn(struct run *r)
{
	static struct heard h;
	struct drv_net_hdr hdr;
	unsigned whole = 0;
	struct packet p;
	struct card c;

	open_card(r, &c, ALL_HOST | ALL_GUEST);
	for (unsigned i = 0; i < 8; i++) {
		const struct kind *k = &kinds[i % 2];
		bool cwr = i & 2;

		if (!offered(r, k->host | k->guest))
			continue;
		make(&c, k, 1700, 600, &p, &hdr);
		p.data[p.l4 + TCP_FLAGS] = TCP_ACK | (cwr ? TCP_CWR : 0);
		hdr.gso_type |= cwr ? GSO_ECN : 0;
		card_send(&c, "NET-DEV-052", 0, &hdr, p.data, p.len);
		if (!card_hear_for(&c, 0, &h, 50))
			continue;
		if (h.hdr.gso_type == GSO_NONE) {
			take_rest(&c);
			continue;
		}
		whole += cwr;
		expect(r, "NET-DEV-052", !(h.hdr.gso_type & GSO_ECN) == !cwr,
		       "GSO_ECN with Explicit Congestion Notification, and then only",
		       "gso_type %#x, TCP flags %#x", h.hdr.gso_type, h.data[p.l4 + TCP_FLAGS]);
	}
	if (whole == 0)
		skip(r, "no packet that is to be segmented comes back from this network");
}

/* ---- in segments -------------------------------------------------------------------------------
 */

static void expect_segment(struct card *c, const struct packet *p, const struct heard *h,
			   uint32_t max)
{
	struct packet segment = *p;
	struct run *r = c->r;

	segment.len = h->len;
	expect(r, "NET-DEV-064", h->hdr.gso_type == GSO_NONE, "GSO_NONE without guest segmentation",
	       "gso_type %#x", h->hdr.gso_type);
	expect(r, "NET-DEV-043", h->hdr.flags == 0, "flags 0 without GUEST_CSUM", "%#x",
	       h->hdr.flags);
	expect(r, "NET-DEV-044", h->len <= p->l4 + 8 || packet_valid(&segment, h->data, h->len),
	       "segments with their whole checksum", "a wrong one, %u bytes", h->len);
	expect(r, "NET-DEV-064", h->len <= max, "no segment longer than the sender wanted",
	       "%u bytes, not %u", h->len, max);
}

/* A driver that sends what is to be segmented, and takes nothing but whole packets. */
static void check_cut(struct run *r)
{
	static struct heard h;
	struct drv_net_hdr hdr;
	unsigned segments = 0;
	struct packet p;
	struct card c;

	open_card(r, &c, ALL_HOST);
	for (unsigned i = 0; i < N_KINDS; i++) {
		const struct kind *k = &kinds[i];
		uint32_t headers;

		if (!offered(r, k->host) || k->type == VIRTIO_NET_HDR_GSO_UDP)
			continue;
		headers = make(&c, k, 1800, 700, &p, &hdr);
		card_send(&c, "NET-DEV-064", 0, &hdr, p.data, p.len);
		for (unsigned n = 0; n < 3 && card_hear_for(&c, 0, &h, 50); n++, segments++)
			expect_segment(&c, &p, &h, headers + 700);
	}
	if (segments == 0)
		skip(r, "no packet that is to be segmented comes back from this network");
}

/* Without GUEST_ECN no packet with Explicit Congestion Notification is left to be segmented. */
static void check_no_ecn(struct run *r)
{
	static struct heard h;
	struct drv_net_hdr hdr;
	unsigned n = 0;
	struct packet p;
	struct card c;

	open_card(r, &c, ALL_HOST | (ALL_GUEST & ~G_ECN));
	for (unsigned i = 0; i < 2; i++) {
		const struct kind *k = &kinds[i];

		if (!offered(r, k->host | k->guest))
			continue;
		make(&c, k, 1800, 700, &p, &hdr);
		p.data[p.l4 + TCP_FLAGS] = TCP_ACK | TCP_CWR;
		hdr.gso_type |= GSO_ECN;
		card_send(&c, "NET-DEV-051", 0, &hdr, p.data, p.len);
		for (unsigned s = 0; s < 3 && card_hear_for(&c, 0, &h, 50); s++, n++)
			expect(r, "NET-DEV-051",
			       h.hdr.gso_type == GSO_NONE ||
				       (!(h.hdr.gso_type & GSO_ECN) &&
					!(h.data[p.l4 + TCP_FLAGS] & TCP_CWR)),
			       "no packet with ECN to be segmented by a driver without GUEST_ECN",
			       "gso_type %#x, TCP flags %#x", h.hdr.gso_type,
			       h.data[p.l4 + TCP_FLAGS]);
	}
	if (n == 0)
		skip(r, "no packet that is to be segmented comes back from this network");
}

#define GSO_CHECK(n, rows_, k, f, text, fn)                                                        \
	{                                                                                          \
		.name = n, .rows = rows_ " BASIC-DEV-005", .how = text, .kind = k,                 \
		.ways = WAY_ANY, .device = VIRTIO_ID_NET, .features = f, .run = fn,                \
	}

static const struct check checks[] = {
	GSO_CHECK("net-gso-whole", "NET-DEV-065 NET-DEV-066 NET-DEV-069", CHECK_REQUIREMENT, BOTH,
		  "Packets that are to be segmented come back with NEEDS_CSUM, with the gso_size "
		  "they "
		  "were sent with, and a hdr_len that is not less than their headers.",
		  check_whole),
	GSO_CHECK("net-gso-hint", "NET-DEV-065 NET-DEV-066 NET-DEV-069", CHECK_ROBUSTNESS, BOTH,
		  "The same, from a sender whose hdr_len is wrong.", check_hint),
	GSO_CHECK("net-gso-ecn", "NET-DEV-052", CHECK_REQUIREMENT, BOTH | H_ECN | G_ECN,
		  "TCP packets with CWR that are to be segmented come back with GSO_ECN, others "
		  "without.",
		  check_ecn),
	GSO_CHECK("net-gso-no-ecn", "NET-DEV-051", CHECK_REQUIREMENT, BOTH | H_ECN,
		  "To a driver without GUEST_ECN none of them comes back unsegmented.",
		  check_no_ecn),
	GSO_CHECK(
		"net-gso-cut", "NET-DEV-064 NET-DEV-043 NET-DEV-044", CHECK_REQUIREMENT, CSUM,
		"To a driver without guest offloads packets come back in segments that are right.",
		check_cut),
};

const struct check_list checks_net_gso = {checks, sizeof(checks) / sizeof(checks[0])};
