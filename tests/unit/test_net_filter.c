/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which frames the driver wants.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_net.h>

#include "../../devices/net_filter.h"
#include "suite.h"

#define F(name) (1ull << VIRTIO_NET_F_##name)
#define ALL	(F(CTRL_RX) | F(CTRL_RX_EXTRA) | F(CTRL_VLAN))

static const uint8_t own[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
static const uint8_t uni[6] = {0x52, 0x54, 0, 0xaa, 0xbb, 0xcc};
static const uint8_t multi[6] = {0x33, 0x33, 0, 0, 0, 1};
static const uint8_t bcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static bool wants_len(const struct net_filter *f, const uint8_t *dst, int vlan, size_t len)
{
	uint8_t *head = calloc(1, NET_FILTER_HEAD), *exact = malloc(len ? len : 1);
	bool wants;

	memcpy(head, dst, 6);
	memcpy(head + 12, "\x08\0", 2);
	if (vlan >= 0) {
		memcpy(head + 12, "\x81\0", 2);
		head[14] = vlan >> 8;
		head[15] = vlan;
	}
	memcpy(exact, head, len);
	wants = net_filter_wants(f, exact, len);
	free(head);
	free(exact);
	return wants;
}

static bool wants(const struct net_filter *f, const uint8_t *dst)
{
	return wants_len(f, dst, -1, NET_FILTER_HEAD);
}

static bool wants_vlan(const struct net_filter *f, uint16_t tci)
{
	return wants_len(f, own, tci, NET_FILTER_HEAD);
}

static void mode(struct net_filter *f, uint8_t command, uint8_t on)
{
	CU_ASSERT_EQUAL(net_filter_set_mode(f, command, on), 0);
}

/* Sets tables of `n` addresses made from the given ones, which come last, cut into pieces. */
static int set_tables(struct net_filter *f, uint32_t n_uni, uint32_t n_multi, int64_t cut,
		      size_t piece)
{
	size_t len = 8 + 6 * (size_t)(n_uni + n_multi), n = 0;
	uint8_t *b = malloc(len + 16), *p = b;
	struct iovec *iov = calloc(len + 17, sizeof(*iov));
	struct vio_iov data = {.v = iov};
	int rc;

	for (int kind = 0; kind < 2; kind++) {
		uint32_t count = kind ? n_multi : n_uni;
		__le32 entries = htole32(count);

		memcpy(p, &entries, 4);
		p += 4;
		for (uint32_t i = 0; i < count; i++, p += 6) {
			uint32_t back = count - 1 - i;

			memcpy(p, kind ? multi : uni, 6);
			p[4] ^= back >> 8;
			p[5] ^= back;
		}
	}
	len = (size_t)((int64_t)len + cut);
	for (size_t at = 0; at < len; at += iov[n++].iov_len)
		iov[n] = (struct iovec){b + at, len - at < piece ? len - at : piece};
	data.n = (uint32_t)n;
	data.len = len;
	rc = net_filter_set_macs(f, &data);
	free(b);
	free(iov);
	return rc;
}

static void test_reset_state(void) /* NET-DEV-106, NET-DEV-109, NET-IMP-007 */
{
	struct net_filter f;

	net_filter_init(&f, ALL, own);
	CU_ASSERT(wants(&f, own));
	CU_ASSERT(wants(&f, bcast));
	CU_ASSERT(!wants(&f, uni));
	CU_ASSERT(!wants(&f, multi));
	CU_ASSERT(!wants_vlan(&f, 0));
	CU_ASSERT(!wants_vlan(&f, 5));
	/* without CTRL_RX there is no way to ask for more, so all of it is wanted */
	net_filter_init(&f, 0, own);
	CU_ASSERT(wants(&f, uni));
	CU_ASSERT(wants(&f, multi));
	CU_ASSERT(wants(&f, bcast));
	CU_ASSERT(wants_vlan(&f, 5)); /* NET-DEV-113 */
}

static void test_promisc(void) /* NET-DEV-091, NET-DEV-092 */
{
	struct net_filter f;

	net_filter_init(&f, ALL, own);
	for (uint8_t c = VIRTIO_NET_CTRL_RX_ALLMULTI; c <= VIRTIO_NET_CTRL_RX_NOBCAST; c++)
		mode(&f, c, 1);
	mode(&f, VIRTIO_NET_CTRL_RX_PROMISC, 1);
	CU_ASSERT(wants(&f, uni));
	CU_ASSERT(wants(&f, multi));
	CU_ASSERT(wants(&f, bcast));
	CU_ASSERT(wants_vlan(&f, 9));
	mode(&f, VIRTIO_NET_CTRL_RX_PROMISC, 0);
	CU_ASSERT(!wants(&f, own));
	CU_ASSERT(!wants(&f, multi));
	CU_ASSERT(!wants(&f, bcast));
	CU_ASSERT(!wants_vlan(&f, 9));
}

static void test_multicast(void) /* NET-DEV-093, NET-DEV-099..101 */
{
	struct net_filter f;

	net_filter_init(&f, ALL, own);
	mode(&f, VIRTIO_NET_CTRL_RX_ALLMULTI, 1);
	CU_ASSERT(wants(&f, multi));
	CU_ASSERT(!wants(&f, uni));
	mode(&f, VIRTIO_NET_CTRL_RX_NOMULTI, 1);
	CU_ASSERT(!wants(&f, multi));
	CU_ASSERT(wants(&f, bcast));
	CU_ASSERT(wants(&f, own));
	mode(&f, VIRTIO_NET_CTRL_RX_ALLMULTI, 0);
	CU_ASSERT_EQUAL(set_tables(&f, 0, 1, 0, 100), 0);
	CU_ASSERT(!wants(&f, multi));
	mode(&f, VIRTIO_NET_CTRL_RX_NOMULTI, 0);
	CU_ASSERT(wants(&f, multi));
}

static void test_unicast(void) /* NET-DEV-098, NET-DEV-102, NET-DEV-103 */
{
	struct net_filter f;

	net_filter_init(&f, ALL, own);
	mode(&f, VIRTIO_NET_CTRL_RX_ALLUNI, 1);
	CU_ASSERT(wants(&f, uni));
	CU_ASSERT(!wants(&f, multi));
	mode(&f, VIRTIO_NET_CTRL_RX_NOUNI, 1);
	CU_ASSERT(!wants(&f, uni));
	CU_ASSERT(!wants(&f, own));
	CU_ASSERT(wants(&f, bcast));
	mode(&f, VIRTIO_NET_CTRL_RX_NOUNI, 0);
	CU_ASSERT(wants(&f, uni));
}

static void test_broadcast(void) /* NET-DEV-104, NET-DEV-105 */
{
	struct net_filter f;

	net_filter_init(&f, ALL, own);
	mode(&f, VIRTIO_NET_CTRL_RX_NOBCAST, 1);
	mode(&f, VIRTIO_NET_CTRL_RX_ALLMULTI, 1);
	CU_ASSERT(!wants(&f, bcast));
	CU_ASSERT(wants(&f, multi));
}

static void test_modes_refused(void)
{
	struct net_filter f;

	net_filter_init(&f, F(CTRL_RX), own);
	for (unsigned c = 0; c < 256; c++) {
		int want = c <= VIRTIO_NET_CTRL_RX_ALLMULTI ? 0 : -EINVAL;

		CU_ASSERT_EQUAL(net_filter_set_mode(&f, c, 0), want);
		CU_ASSERT_EQUAL(net_filter_set_mode(&f, c, 2), -EINVAL);
	}
	net_filter_init(&f, ALL, own);
	for (unsigned c = 0; c < 256; c++)
		CU_ASSERT_EQUAL(net_filter_set_mode(&f, c, 0),
				c <= VIRTIO_NET_CTRL_RX_NOBCAST ? 0 : -EINVAL);
	net_filter_init(&f, 0, own);
	CU_ASSERT_EQUAL(net_filter_set_mode(&f, VIRTIO_NET_CTRL_RX_PROMISC, 1), -EINVAL);
	CU_ASSERT_EQUAL(set_tables(&f, 1, 1, 0, 100), -EINVAL);
	CU_ASSERT_EQUAL(net_filter_vlan(&f, 1, true), -EINVAL);
}

/* The i-th of the addresses that set_tables() makes. */
static bool wants_nth(const struct net_filter *f, const uint8_t *base, uint32_t i)
{
	uint8_t mac[6];

	memcpy(mac, base, 6);
	mac[4] ^= i >> 8;
	mac[5] ^= i;
	return wants(f, mac);
}

static void test_tables(void) /* NET-DEV-107, NET-DEV-109 */
{
	static const uint32_t counts[] = {0, 1, 2, 7, 63, 64};
	struct net_filter f;

	net_filter_init(&f, ALL, own);
	for (size_t piece = 1; piece < 200; piece += 13)
		for (unsigned i = 0; i < VIO_ARRAY_LEN(counts); i++) {
			uint32_t n_uni = counts[i], n_multi = counts[VIO_ARRAY_LEN(counts) - 1 - i];

			CU_ASSERT_EQUAL(set_tables(&f, n_uni, n_multi, 0, piece), 0);
			for (uint32_t k = 0; k < 200; k++) {
				CU_ASSERT_EQUAL(wants_nth(&f, uni, k), k < n_uni);
				CU_ASSERT_EQUAL(wants_nth(&f, multi, k), k < n_multi);
			}
			CU_ASSERT(wants(&f, own));
			CU_ASSERT(wants(&f, bcast));
		}
}

/* More than fits: all of that kind. */
static void test_table_overflow(void)
{
	struct net_filter f;

	net_filter_init(&f, ALL, own);
	CU_ASSERT_EQUAL(set_tables(&f, 65, 3, 0, 4096), 0);
	for (uint32_t k = 0; k < 1000; k++) {
		CU_ASSERT(wants_nth(&f, uni, k));
		CU_ASSERT_EQUAL(wants_nth(&f, multi, k), k < 3);
	}
	CU_ASSERT_EQUAL(set_tables(&f, 3, 5000, 0, 4096), 0);
	CU_ASSERT(!wants_nth(&f, uni, 3));
	CU_ASSERT(wants_nth(&f, multi, 9000));
	CU_ASSERT_EQUAL(set_tables(&f, 0, 0, 0, 4096), 0);
	CU_ASSERT(!wants_nth(&f, uni, 0));
	CU_ASSERT(!wants_nth(&f, multi, 0));
}

/* Not two tables: refused, and the old ones stay. */
static void test_tables_malformed(void)
{
	uint8_t huge[8] = {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0};
	struct net_filter f;
	struct iovec iov = {huge, sizeof(huge)};
	struct vio_iov data = {&iov, 1, sizeof(huge)};

	net_filter_init(&f, ALL, own);
	CU_ASSERT_EQUAL(set_tables(&f, 2, 2, 0, 100), 0);
	for (int64_t cut = -31; cut <= 10; cut++)
		if (cut)
			CU_ASSERT_EQUAL(set_tables(&f, 3, 1, cut, 7), -EINVAL);
	CU_ASSERT_EQUAL(net_filter_set_macs(&f, &data), -EINVAL);
	for (uint32_t k = 0; k < 5; k++) {
		CU_ASSERT_EQUAL(wants_nth(&f, uni, k), k < 2);
		CU_ASSERT_EQUAL(wants_nth(&f, multi, k), k < 2);
	}
}

static void test_own_address(void)
{
	struct net_filter f;

	net_filter_init(&f, ALL, own);
	net_filter_set_mac(&f, uni);
	CU_ASSERT(wants(&f, uni));
	CU_ASSERT(!wants(&f, own));
}

static void test_vlan(void) /* NET-DEV-113..115 */
{
	struct net_filter f;

	net_filter_init(&f, ALL, own);
	for (unsigned id = 0; id < 4096; id += 7)
		CU_ASSERT_EQUAL(net_filter_vlan(&f, id, true), 0);
	for (unsigned id = 0; id < 4096; id += 21)
		CU_ASSERT_EQUAL(net_filter_vlan(&f, id, false), 0);
	for (unsigned id = 0; id < 4096; id++) {
		bool in = id % 7 == 0 && id % 21 != 0;

		CU_ASSERT_EQUAL(wants_vlan(&f, id), in);
		CU_ASSERT_EQUAL(wants_vlan(&f, 0xe000 | id), in); /* priority is no matter */
	}
	for (unsigned id = 4096; id < 65536; id += 89) {
		CU_ASSERT_EQUAL(net_filter_vlan(&f, id, true), -EINVAL);
		CU_ASSERT_EQUAL(net_filter_vlan(&f, id, false), -EINVAL);
	}
	CU_ASSERT_EQUAL(net_filter_vlan(&f, 4095, true), 0);
	CU_ASSERT(wants_vlan(&f, 4095));
	CU_ASSERT(wants(&f, own)); /* untagged: not the table's business */
	CU_ASSERT(!wants_len(&f, uni, 7, NET_FILTER_HEAD));
}

static void test_short_frames(void)
{
	struct net_filter f;

	net_filter_init(&f, ALL, own);
	CU_ASSERT_EQUAL(net_filter_vlan(&f, 1, true), 0);
	for (size_t len = 0; len <= NET_FILTER_HEAD; len++) {
		CU_ASSERT_EQUAL(wants_len(&f, own, -1, len), len >= 14);
		CU_ASSERT_EQUAL(wants_len(&f, own, 1, len), len >= 18);
	}
	mode(&f, VIRTIO_NET_CTRL_RX_PROMISC, 1);
	for (size_t len = 0; len <= NET_FILTER_HEAD; len++)
		CU_ASSERT_EQUAL(wants_len(&f, own, 1, len), len >= 14);
}

static CU_TestInfo tests[] = {
	{"after reset", test_reset_state},
	{"promiscuous", test_promisc},
	{"multicast", test_multicast},
	{"unicast", test_unicast},
	{"broadcast", test_broadcast},
	{"modes refused", test_modes_refused},
	{"address tables", test_tables},
	{"address tables that overflow", test_table_overflow},
	{"malformed address tables", test_tables_malformed},
	{"own address", test_own_address},
	{"VLANs", test_vlan},
	{"short frames", test_short_frames},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("net_filter", tests);
}
