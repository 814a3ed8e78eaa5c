/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Headers before frames, and checksums.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../devices/net_csum.h"
#include "suite.h"

#define F(name)	   (1ull << VIRTIO_NET_F_##name)
#define NEEDS_CSUM VIRTIO_NET_HDR_F_NEEDS_CSUM
#define DATA_VALID VIRTIO_NET_HDR_F_DATA_VALID
#define ECN	   VIRTIO_NET_HDR_GSO_ECN
#define TX_ALL	   (F(CSUM) | F(HOST_TSO4) | F(HOST_TSO6) | F(HOST_ECN) | F(HOST_UFO) | F(HOST_USO))
#define RX_ALL                                                                                     \
	(F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_TSO6) | F(GUEST_ECN) | F(GUEST_UFO) |             \
	 F(GUEST_USO4) | F(GUEST_USO6))

static struct vio_frame_hdr header(uint8_t flags, uint8_t gso_type, uint16_t hdr_len,
				   uint16_t gso_size, uint16_t csum_start, uint16_t csum_offset)
{
	return (struct vio_frame_hdr){flags,
				      gso_type,
				      htole16(hdr_len),
				      htole16(gso_size),
				      htole16(csum_start),
				      htole16(csum_offset),
				      htole16(77)};
}

/* The definition: words of two bytes in network order, an odd last byte padded with zero. */
static uint16_t naive(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++) {
		sum += i % 2 ? p[i] : p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

/* Ones' complement has two zeros. */
static uint16_t same_zero(uint16_t sum)
{
	return sum == 0xffff ? 0 : sum;
}

/* Cuts p[0..len) into at most `max` pieces, empty ones among them. */
static uint32_t cut(uint8_t *p, size_t len, struct iovec *iov, uint32_t max)
{
	uint32_t n = 0;
	size_t at = 0;

	while (n + 1 < max && at < len) {
		size_t left = len - at;
		size_t piece = random() % 4 ? (size_t)random() % 9 : (size_t)random() % (left + 1);

		if (piece > left)
			piece = left;
		iov[n++] = (struct iovec){p + at, piece};
		at += piece;
	}
	iov[n++] = (struct iovec){p + at, len - at};
	return n;
}

static void fill(uint8_t *p, size_t len)
{
	int kind = random() % 8;

	for (size_t i = 0; i < len; i++)
		p[i] = kind == 0 ? 0xff : kind == 1 ? 0 : (uint8_t)random();
}

#define PIECES 64

static void test_sum(void)
{
	struct iovec iov[PIECES];

	srandom(1);
	for (unsigned round = 0; round < 30000; round++) {
		size_t len = random() % (round % 50 ? 400 : 70000), start = random() % (len + 1);
		size_t part = random() % (len - start + 1);
		uint8_t *p = malloc(len + 1);
		uint32_t n;

		fill(p, len);
		n = cut(p, len, iov, 1 + random() % PIECES);
		CU_ASSERT_EQUAL(same_zero(be16toh(net_csum_sum(iov, n, start, part))),
				same_zero(naive(p + start, part)));
		free(p);
	}
	CU_ASSERT_EQUAL(net_csum_sum(NULL, 0, 0, 0), 0);
}

static void join(uint8_t *dst, const struct iovec *iov, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		memcpy(dst, iov[i].iov_base, iov[i].iov_len);
		dst += iov[i].iov_len;
	}
}

/* The frame as it should be sent. */
static void complete(uint8_t *p, size_t len, size_t start, size_t offset)
{
	uint16_t sum = ~naive(p + start, len - start);

	if (!sum)
		sum = 0xffff;
	p[start + offset] = sum >> 8;
	p[start + offset + 1] = sum;
}

static void one_frame(size_t len)
{
	uint8_t *p = malloc(len), *want = malloc(len), *got = malloc(len), patch[2];
	struct iovec iov[PIECES], out[PIECES + 2];
	size_t at = random() % (len - 1), start = random() % (at + 1), total = 0;
	struct vio_frame_hdr hdr = header(NEEDS_CSUM, 0, 0, 0, start, at - start), hdr2;
	uint32_t n, n_out;

	fill(p, len);
	memcpy(want, p, len);
	complete(want, len, start, at - start);
	n = cut(p, len, iov, 1 + random() % PIECES);
	CU_ASSERT_EQUAL(net_tx_check(&hdr, len, F(CSUM)), 0);
	hdr2 = hdr;

	memcpy(got, p, len);
	n_out = net_csum_patch(&hdr, iov, n, out, patch);
	CU_ASSERT_EQUAL(memcmp(got, p, len), 0); /* not modified */
	CU_ASSERT(n_out <= n + 2);
	for (uint32_t i = 0; i < n_out; i++) {
		CU_ASSERT(out[i].iov_len > 0);
		total += out[i].iov_len;
	}
	CU_ASSERT_EQUAL_FATAL(total, len);
	join(got, out, n_out);
	CU_ASSERT_EQUAL(memcmp(got, want, len), 0);
	CU_ASSERT_EQUAL(hdr.flags, 0);
	CU_ASSERT_EQUAL(hdr.csum_start, 0);
	CU_ASSERT_EQUAL(hdr.csum_offset, 0);

	net_csum_complete(&hdr2, iov, n);
	CU_ASSERT_EQUAL(memcmp(p, want, len), 0);
	CU_ASSERT_EQUAL(memcmp(&hdr2, &hdr, sizeof(hdr)), 0);
	free(p);
	free(want);
	free(got);
}

static void test_complete(void) /* NET-DEV-044, NET-DEV-058 */
{
	srandom(2);
	for (unsigned round = 0; round < 30000; round++)
		one_frame(14 + random() % (round % 50 ? 200 : 65000));
}

/* A complete TCP segment of a real connection sums up to the checksum it carries. */
static void test_known_packet(void)
{
	/* RFC 1071, section 3 */
	uint8_t b[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
	struct iovec iov = {b, sizeof(b)};

	CU_ASSERT_EQUAL(be16toh(net_csum_sum(&iov, 1, 0, sizeof(b))), 0xddf2);
}

static int tx(struct vio_frame_hdr hdr, uint32_t len, uint64_t features)
{
	return net_tx_check(&hdr, len, features);
}

static int rx(struct vio_frame_hdr hdr, uint32_t len, uint64_t offloads)
{
	return net_rx_check(&hdr, len, offloads);
}

static void test_tx_plain(void) /* NET-DEV-019, NET-DEV-020 */
{
	struct vio_frame_hdr hdr;

	/* bits that mean nothing are as if they were not there */
	for (unsigned flags = 0; flags < 256; flags++) {
		hdr = header(flags & ~NEEDS_CSUM, 0, 60000, 99, 0xffff, 0xffff);
		CU_ASSERT_EQUAL(net_tx_check(&hdr, 60, TX_ALL), 0);
		CU_ASSERT_EQUAL(hdr.flags, 0);
		CU_ASSERT_EQUAL(hdr.csum_start, 0);
		CU_ASSERT_EQUAL(hdr.csum_offset, 0);
		CU_ASSERT_EQUAL(hdr.gso_size, 0);
		CU_ASSERT_EQUAL(hdr.num_buffers, 0);
		CU_ASSERT(le16toh(hdr.hdr_len) <= 60);
		/* not negotiated: nothing that the device knows */
		hdr = header(flags, 0, 0, 0, 0xffff, 0xffff);
		CU_ASSERT_EQUAL(net_tx_check(&hdr, 60, 0), 0);
		CU_ASSERT_EQUAL(hdr.flags, 0);
	}
	CU_ASSERT_EQUAL(tx(header(0, 0, 0, 0, 0, 0), 14, 0), 0);
	CU_ASSERT_EQUAL(tx(header(0, 0, 0, 0, 0, 0), 13, 0), -EINVAL);
	CU_ASSERT_EQUAL(tx(header(0, 0, 0, 0, 0, 0), 0, 0), -EINVAL);
	CU_ASSERT_EQUAL(tx(header(0, 0, 0, 0, 0, 0), VIO_FRAME_MAX, 0), 0);
	CU_ASSERT_EQUAL(tx(header(0, 0, 0, 0, 0, 0), VIO_FRAME_MAX + 1, 0), -EINVAL);
	CU_ASSERT_EQUAL(tx(header(0, 0, 0, 0, 0, 0), UINT32_MAX, 0), -EINVAL);
}

static void test_tx_csum(void)
{
	struct vio_frame_hdr hdr = header(NEEDS_CSUM | DATA_VALID, 0, 0, 0, 34, 16);

	CU_ASSERT_EQUAL(net_tx_check(&hdr, 60, F(CSUM)), 0);
	CU_ASSERT_EQUAL(hdr.flags, NEEDS_CSUM);
	CU_ASSERT_EQUAL(le16toh(hdr.csum_start), 34);
	CU_ASSERT_EQUAL(le16toh(hdr.csum_offset), 16);
	CU_ASSERT_EQUAL(tx(header(NEEDS_CSUM, 0, 0, 0, 34, 16), 52, F(CSUM)), 0);
	CU_ASSERT_EQUAL(tx(header(NEEDS_CSUM, 0, 0, 0, 34, 16), 51, F(CSUM)), -EINVAL);
	CU_ASSERT_EQUAL(tx(header(NEEDS_CSUM, 0, 0, 0, 0xffff, 0), 60, F(CSUM)), -EINVAL);
	CU_ASSERT_EQUAL(tx(header(NEEDS_CSUM, 0, 0, 0, 0, 0xffff), 60, F(CSUM)), -EINVAL);
	CU_ASSERT_EQUAL(tx(header(NEEDS_CSUM, 0, 0, 0, 0xffff, 0xffff), VIO_FRAME_MAX, F(CSUM)),
			-EINVAL);
	/* sums that wrap around 16 bits */
	CU_ASSERT_EQUAL(tx(header(NEEDS_CSUM, 0, 0, 0, 0xfff0, 0x20), 60, F(CSUM)), -EINVAL);
	CU_ASSERT_EQUAL(tx(header(NEEDS_CSUM, 0, 0, 0, 0xfffe, 0), 60, F(CSUM)), -EINVAL);
}

struct gso_case {
	uint8_t type;
	uint64_t tx_feature;
	uint64_t rx_feature;
	uint16_t offset;
	uint16_t header;
	bool ecn;
};

static const struct gso_case gso_cases[] = {
	{VIRTIO_NET_HDR_GSO_TCPV4, F(HOST_TSO4), F(GUEST_TSO4), 16, 20, true},
	{VIRTIO_NET_HDR_GSO_TCPV6, F(HOST_TSO6), F(GUEST_TSO6), 16, 20, true},
	{VIRTIO_NET_HDR_GSO_UDP, F(HOST_UFO), F(GUEST_UFO), 6, 8, false},
	{VIRTIO_NET_HDR_GSO_UDP_L4, F(HOST_USO), F(GUEST_USO4) | F(GUEST_USO6), 6, 8, false},
};

static void test_tx_gso(void)
{
	for (unsigned i = 0; i < VIO_ARRAY_LEN(gso_cases); i++) {
		const struct gso_case *c = &gso_cases[i];
		uint64_t on = F(CSUM) | c->tx_feature;
		uint16_t o = c->offset;

		CU_ASSERT_EQUAL(tx(header(NEEDS_CSUM, c->type, 54, 1448, 34, o), 9000, on), 0);
		/* its feature was not negotiated */
		CU_ASSERT_EQUAL(tx(header(NEEDS_CSUM, c->type, 54, 1448, 34, o), 9000,
				   TX_ALL & ~c->tx_feature),
				-EINVAL);
		/* segments of no size; no checksum; checksum of something else; not negotiated */
		CU_ASSERT_EQUAL(tx(header(NEEDS_CSUM, c->type, 54, 0, 34, o), 9000, on), -EINVAL);
		CU_ASSERT_EQUAL(tx(header(0, c->type, 54, 1448, 34, o), 9000, on), -EINVAL);
		CU_ASSERT_EQUAL(tx(header(NEEDS_CSUM, c->type, 54, 1448, 34, o + 1), 9000, on),
				-EINVAL);
		CU_ASSERT_EQUAL(
			tx(header(NEEDS_CSUM, c->type, 54, 1448, 34, o), 9000, c->tx_feature),
			-EINVAL);
		/* not even the header is there */
		CU_ASSERT_EQUAL(tx(header(NEEDS_CSUM, c->type, 54, 9, 34, o), 34 + c->header, on),
				0);
		CU_ASSERT_EQUAL(
			tx(header(NEEDS_CSUM, c->type, 54, 9, 34, o), 34 + c->header - 1, on),
			-EINVAL);
		/* ECN is for TCP, if negotiated */
		CU_ASSERT_EQUAL(tx(header(NEEDS_CSUM, c->type | ECN, 54, 1448, 34, o), 9000, on),
				-EINVAL);
		CU_ASSERT_EQUAL(tx(header(NEEDS_CSUM, c->type | ECN, 54, 1448, 34, o), 9000,
				   on | F(HOST_ECN)),
				c->ecn ? 0 : -EINVAL);
	}
}

/* Every type but those: tunnels (NET-DEV-026, -028..031) and what nobody knows. */
static void test_tx_gso_types(void)
{
	for (unsigned type = 0; type < 256; type++) {
		unsigned base = type & ~ECN;
		bool known = type == 0 || base == VIRTIO_NET_HDR_GSO_TCPV4 ||
			     base == VIRTIO_NET_HDR_GSO_TCPV6;

		CU_ASSERT_EQUAL(tx(header(NEEDS_CSUM, type, 54, 1448, 34, 16), 9000, TX_ALL),
				known ? 0 : -EINVAL);
		known = type == 0 || type == VIRTIO_NET_HDR_GSO_UDP ||
			type == VIRTIO_NET_HDR_GSO_UDP_L4;
		CU_ASSERT_EQUAL(tx(header(NEEDS_CSUM, type, 54, 1448, 34, 6), 9000, TX_ALL),
				known ? 0 : -EINVAL);
		CU_ASSERT_EQUAL(tx(header(0, type, 54, 1448, 34, 16), 9000, TX_ALL),
				type ? -EINVAL : 0);
	}
}

/* The hint lies inside the frame, behind the least that TCP and UDP need. */
static void test_tx_hdr_len(void) /* NET-DEV-025 */
{
	static const uint16_t hints[] = {0, 1, 33, 53, 54, 74, 8999, 9000, 9001, 0xffff};

	for (unsigned i = 0; i < VIO_ARRAY_LEN(hints); i++) {
		struct vio_frame_hdr hdr =
			header(NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, hints[i], 1448, 34, 16);
		uint16_t want = hints[i] < 54 ? 54 : hints[i] > 9000 ? 9000 : hints[i];

		CU_ASSERT_EQUAL(net_tx_check(&hdr, 9000, TX_ALL), 0);
		CU_ASSERT_EQUAL(le16toh(hdr.hdr_len), want);
	}
}

static void test_rx_plain(void) /* NET-DEV-043, NET-DEV-050, NET-DEV-068 */
{
	struct vio_frame_hdr hdr;

	for (unsigned flags = 0; flags < 256; flags++) {
		hdr = header(flags, 0, 0, 0, 34, 16);
		CU_ASSERT_EQUAL(net_rx_check(&hdr, 60, F(GUEST_CSUM)), 0);
		CU_ASSERT_EQUAL(hdr.flags, flags & (NEEDS_CSUM | DATA_VALID));
		hdr = header(flags, 0, 0, 0, 34, 16);
		CU_ASSERT_EQUAL(net_rx_check(&hdr, 60, 0), flags & NEEDS_CSUM ? 1 : 0);
		CU_ASSERT_EQUAL(hdr.flags, flags & NEEDS_CSUM); /* the caller completes it */
	}
	CU_ASSERT_EQUAL(rx(header(NEEDS_CSUM, 0, 0, 0, 34, 16), 51, 0), -EINVAL);
	CU_ASSERT_EQUAL(rx(header(NEEDS_CSUM, 0, 0, 0, 34, 16), 51, F(GUEST_CSUM)), -EINVAL);
	CU_ASSERT_EQUAL(rx(header(0, 0, 0, 0, 0, 0), 13, RX_ALL), -EINVAL);
	CU_ASSERT_EQUAL(rx(header(0, 0, 0, 0, 0, 0), VIO_FRAME_MAX + 1, RX_ALL), -EINVAL);
}

static void test_rx_gso(void) /* NET-DEV-045..049, NET-DEV-051, NET-DEV-064..066 */
{
	for (unsigned i = 0; i < VIO_ARRAY_LEN(gso_cases); i++) {
		const struct gso_case *c = &gso_cases[i];
		uint64_t on = F(GUEST_CSUM) | c->rx_feature;
		uint16_t o = c->offset;

		CU_ASSERT_EQUAL(rx(header(NEEDS_CSUM, c->type, 54, 1448, 34, o), 9000, on), 0);
		CU_ASSERT_EQUAL(rx(header(NEEDS_CSUM, c->type, 54, 1448, 34, o), 9000,
				   RX_ALL & ~c->rx_feature),
				-EINVAL);
		CU_ASSERT_EQUAL(rx(header(NEEDS_CSUM, c->type, 54, 1448, 34, o), 9000,
				   RX_ALL & ~F(GUEST_CSUM)),
				-EINVAL);
		CU_ASSERT_EQUAL(rx(header(NEEDS_CSUM, c->type, 54, 0, 34, o), 9000, on), -EINVAL);
		CU_ASSERT_EQUAL(rx(header(0, c->type, 54, 1448, 34, o), 9000, on), -EINVAL);
		CU_ASSERT_EQUAL(
			rx(header(NEEDS_CSUM, c->type | ECN, 54, 1448, 34, o), 9000, RX_ALL),
			c->ecn ? 0 : -EINVAL);
		CU_ASSERT_EQUAL(rx(header(NEEDS_CSUM, c->type | ECN, 54, 1448, 34, o), 9000, on),
				-EINVAL);
	}
	/* either of the two lets UDP segments in */
	CU_ASSERT_EQUAL(rx(header(NEEDS_CSUM, VIRTIO_NET_HDR_GSO_UDP_L4, 54, 1448, 34, 6), 9000,
			   F(GUEST_CSUM) | F(GUEST_USO6)),
			0);
}

/* No header makes anything read or write outside the frame. */
static void test_random_headers(void)
{
	static const uint16_t edges[] = {0, 1, 6, 14, 16, 34, 58, 59, 60, 61, 0xfffe, 0xffff};
	unsigned sent = 0;

	srandom(3);
	for (unsigned round = 0; round < 200000; round++) {
		uint32_t len = 14 + random() % 60;
		uint8_t *p = calloc(1, len), patch[2];
		struct iovec iov = {p, len}, out[3];
		struct vio_frame_hdr hdr =
			header(random(), random() % 3 ? 0 : random(), edges[random() % 12],
			       edges[random() % 12], edges[random() % 12], edges[random() % 12]);
		bool is_tx = random() % 2;
		int rc = is_tx ? net_tx_check(&hdr, len, TX_ALL)
			       : net_rx_check(&hdr, len, random() % 2 ? RX_ALL : 0);

		if (rc >= 0 && hdr.flags & NEEDS_CSUM) {
			struct vio_frame_hdr copy = hdr;
			uint32_t n = net_csum_patch(&copy, &iov, 1, out, patch);

			CU_ASSERT(n >= 1 && n <= 3);
			net_csum_complete(&hdr, &iov, 1);
			sent++;
		}
		free(p);
	}
	CU_ASSERT(sent > 1000);
}

static CU_TestInfo tests[] = {
	{"sum", test_sum},
	{"complete and patch", test_complete},
	{"known sum", test_known_packet},
	{"tx: plain frames", test_tx_plain},
	{"tx: checksums", test_tx_csum},
	{"tx: segments", test_tx_gso},
	{"tx: kinds of segments", test_tx_gso_types},
	{"tx: header length", test_tx_hdr_len},
	{"rx: plain frames", test_rx_plain},
	{"rx: segments", test_rx_gso},
	{"random headers", test_random_headers},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("net_csum", tests);
}
