/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hash of received frames.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_net.h>

#include <viodm/util.h>

#include "../../devices/net_hash.h"
#include "suite.h"

#define REPORT(name) VIRTIO_NET_HASH_REPORT_##name
#define TYPE(name)   (1u << (REPORT(name) - 1))

#define IPV4_TYPES (TYPE(IPv4) | TYPE(TCPv4) | TYPE(UDPv4))
#define IPV6_TYPES (TYPE(IPv6) | TYPE(TCPv6) | TYPE(UDPv6))
#define EX_TYPES   (TYPE(IPv6_EX) | TYPE(TCPv6_EX) | TYPE(UDPv6_EX))

#define TCP 6
#define UDP 17

/* The key and the vectors that the makers of receive side scaling published. */
static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
				0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
				0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
				0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

struct vector {
	int family;
	const char *dst;
	uint16_t dst_port;
	const char *src;
	uint16_t src_port;
	uint32_t ip;
	uint32_t tcp;
};

static const struct vector vectors[] = {
	{AF_INET, "161.142.100.80", 1766, "66.9.149.187", 2794, 0x323e8fc2, 0x51ccc178},
	{AF_INET, "65.69.140.83", 4739, "199.92.111.2", 14230, 0xd718262a, 0xc626b0ea},
	{AF_INET, "12.22.207.184", 38024, "24.19.198.95", 12898, 0xd2d0a5de, 0x5c2b394a},
	{AF_INET, "209.142.163.6", 2217, "38.27.205.30", 48228, 0x82989176, 0xafc7327f},
	{AF_INET, "202.188.127.2", 1303, "153.39.163.191", 44251, 0x5d1809c5, 0x10e828a2},
	{AF_INET6, "3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794, 0x2cc18cd5,
	 0x40207d3d},
	{AF_INET6, "ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230, 0x0f0c461c,
	 0xdde51bbf},
	{AF_INET6, "fe80::200:f8ff:fe21:67cf", 38024, "3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251,
	 0x4b61e985, 0x02d1feef},
};

/* The definition, bit by bit. */
static uint32_t naive(const uint8_t *k, const uint8_t *data, size_t len)
{
	uint32_t hash = 0;

	for (size_t bit = 0; bit < 8 * len; bit++) {
		if (!(data[bit / 8] >> (7 - bit % 8) & 1))
			continue;
		for (size_t i = 0; i < 32; i++) {
			size_t at = bit + i;
			uint32_t key_bit = at < 320 ? k[at / 8] >> (7 - at % 8) & 1 : 0;

			hash ^= key_bit << (31 - i);
		}
	}
	return hash;
}

struct frame {
	uint8_t b[2048];
	size_t len;
	size_t l4; /* where the ports are */
};

static void put(struct frame *f, const void *data, size_t len)
{
	memcpy(f->b + f->len, data, len);
	f->len += len;
}

static void put16(struct frame *f, uint16_t v)
{
	v = htons(v);
	put(f, &v, 2);
}

static void put_zeros(struct frame *f, size_t len)
{
	memset(f->b + f->len, 0, len);
	f->len += len;
}

static void put_ports(struct frame *f, const struct vector *v)
{
	f->l4 = f->len;
	put16(f, v->src_port);
	put16(f, v->dst_port);
	put_zeros(f, 16);
}

static void eth(struct frame *f, unsigned n_tags)
{
	f->len = 0;
	put(f, "\x52\x54\0\0\0\1\x52\x54\0\0\0\2", 12);
	if (n_tags > 1)
		put(f, "\x88\xa8\0\x07", 4);
	if (n_tags > 2)
		put(f, "\x88\xa8\0\x08", 4);
	if (n_tags > 0)
		put(f, "\x81\0\x20\x05", 4);
}

/* An IPv4 or IPv6 packet of a vector without anything special. `options`: 32-bit words of IPv4. */
static void packet(struct frame *f, const struct vector *v, uint8_t proto, unsigned options,
		   uint16_t frag)
{
	uint8_t addr[16];

	if (v->family == AF_INET) {
		put16(f, 0x0800);
		put16(f, (0x45 + options) << 8);
		put16(f, 20 + 4 * options + 20);
		put16(f, 0x1234);
		put16(f, frag);
		put16(f, 64 << 8 | proto);
		put16(f, 0);
		inet_pton(AF_INET, v->src, addr);
		put(f, addr, 4);
		inet_pton(AF_INET, v->dst, addr);
		put(f, addr, 4);
		for (unsigned i = 0; i < options; i++)
			put(f, "\1\1\1\1", 4);
	} else {
		put16(f, 0x86dd);
		put(f, "\x60\0\0\0\0\x14", 6);
		put16(f, proto << 8 | 64);
		inet_pton(AF_INET6, v->src, addr);
		put(f, addr, 16);
		inet_pton(AF_INET6, v->dst, addr);
		put(f, addr, 16);
	}
}

static struct net_hash_config cfg; /* 37 KiB; set by each test */

/* The hash of a copy that ends where the frame does, so that reading on is an error. */
static struct net_hash_result hash(const uint8_t *b, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct net_hash_result r;

	memcpy(copy, b, len);
	r = net_hash_frame(&cfg, copy, len);
	free(copy);
	return r;
}

static void set(uint32_t types)
{
	CU_ASSERT_EQUAL(net_hash_set(&cfg, types, key, sizeof(key)), 0);
}

#define EXPECT(f, want_report, want_value)                                                         \
	do {                                                                                       \
		struct net_hash_result r_ = hash((f)->b, (f)->len);                                \
		CU_ASSERT_EQUAL(r_.report, want_report);                                           \
		CU_ASSERT_EQUAL(r_.value, want_value);                                             \
	} while (0)

static void test_vectors(void)
{
	for (unsigned i = 0; i < VIO_ARRAY_LEN(vectors); i++) {
		const struct vector *v = &vectors[i];
		bool v4 = v->family == AF_INET;
		struct frame f;

		for (unsigned tags = 0; tags <= 2; tags++) {
			set(NET_HASH_TYPES);
			eth(&f, tags);
			packet(&f, v, TCP, 0, 0);
			put_ports(&f, v);
			EXPECT(&f, v4 ? REPORT(TCPv4) : REPORT(TCPv6), v->tcp);
			set(v4 ? TYPE(IPv4) : TYPE(IPv6));
			EXPECT(&f, v4 ? REPORT(IPv4) : REPORT(IPv6), v->ip);
			set(v4 ? IPV6_TYPES | EX_TYPES : IPV4_TYPES | EX_TYPES);
			EXPECT(&f, REPORT(NONE), 0);

			eth(&f, tags);
			packet(&f, v, UDP, 0, 0);
			put_ports(&f, v);
			set(NET_HASH_TYPES);
			EXPECT(&f, v4 ? REPORT(UDPv4) : REPORT(UDPv6), v->tcp);
			/* UDP is no TCP */
			set(v4 ? TYPE(TCPv4) : TYPE(TCPv6));
			EXPECT(&f, REPORT(NONE), 0);
		}
		/* more tags than that: not looked into */
		eth(&f, 3);
		packet(&f, v, TCP, 0, 0);
		put_ports(&f, v);
		set(NET_HASH_TYPES);
		EXPECT(&f, REPORT(NONE), 0);
	}
}

static void test_ipv4_options(void)
{
	const struct vector *v = &vectors[0];
	struct frame f;

	set(NET_HASH_TYPES);
	for (unsigned options = 0; options <= 10; options++) {
		eth(&f, options % 3);
		packet(&f, v, TCP, options, 0);
		put_ports(&f, v);
		EXPECT(&f, REPORT(TCPv4), v->tcp);
	}
	/* a header shorter than a header, and another version */
	f.b[14 + 4 * (10 % 3)] = 0x44;
	EXPECT(&f, REPORT(NONE), 0);
	f.b[14 + 4 * (10 % 3)] = 0x65;
	EXPECT(&f, REPORT(NONE), 0);
}

static void test_ipv4_fragments(void)
{
	static const uint16_t fragments[] = {0x2000, 0x2001, 0x0001, 0x1fff, 0x3fff};
	const struct vector *v = &vectors[1];
	struct frame f;

	set(NET_HASH_TYPES);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(fragments); i++) {
		eth(&f, 0);
		packet(&f, v, UDP, 0, fragments[i]);
		put_ports(&f, v);
		EXPECT(&f, REPORT(IPv4), v->ip);
	}
	eth(&f, 0);
	packet(&f, v, UDP, 0, 0x4000); /* must not be fragmented; is not */
	put_ports(&f, v);
	EXPECT(&f, REPORT(UDPv4), v->tcp);
}

/* Other protocols have no ports. */
static void test_other_protocols(void)
{
	static const uint8_t protocols[] = {1, 2, 47, 50, 58, 132, 255};
	struct frame f;

	set(NET_HASH_TYPES);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(protocols); i++) {
		eth(&f, 0);
		packet(&f, &vectors[0], protocols[i], 0, 0);
		put_ports(&f, &vectors[0]);
		EXPECT(&f, REPORT(IPv4), vectors[0].ip);
		eth(&f, 0);
		packet(&f, &vectors[5], protocols[i], 0, 0);
		put_ports(&f, &vectors[5]);
		EXPECT(&f, REPORT(IPv6), vectors[5].ip);
	}
	eth(&f, 0);
	put16(&f, 0x0806);
	put_zeros(&f, 46);
	EXPECT(&f, REPORT(NONE), 0);
}

enum ext { HOP, HOME, PADDED_HOME, OTHER_OPTS, RT2, RT0, AH, ATOMIC, FRAG, N_EXT };

#define HOME_ADDR "3ffe:501:8::260:97ff:fe40:efab"
#define CARE_OF	  "ff02::1"

/* What follows has number `next`. Returns this header's own. */
static uint8_t ext_proto(enum ext e)
{
	static const uint8_t protos[N_EXT] = {0, 60, 60, 60, 43, 43, 51, 44, 44};

	return protos[e];
}

static void put_ext(struct frame *f, enum ext e, uint8_t next)
{
	uint8_t addr[16];

	put(f, &next, 1);
	switch (e) {
	case HOP:
		put(f, "\0\1\4\0\0\0\0", 7);
		break;
	case HOME: /* 24 bytes: PadN of 4, home address */
		put(f, "\2\1\2\0\0\xc9\x10", 7);
		inet_pton(AF_INET6, HOME_ADDR, addr);
		put(f, addr, 16);
		break;
	case PADDED_HOME: /* 32 bytes: three Pad1, an unknown option of 5, home address, PadN */
		put(f, "\3\0\0\0\x1e\3abc\xc9\x10", 11);
		inet_pton(AF_INET6, HOME_ADDR, addr);
		put(f, addr, 16);
		put(f, "\1\2\0\0", 4);
		break;
	case OTHER_OPTS:
		put(f, "\0\x1e\4abcd", 7);
		break;
	case RT2:
		put(f, "\2\2\1\0\0\0\0", 7);
		inet_pton(AF_INET6, CARE_OF, addr);
		put(f, addr, 16);
		break;
	case RT0:
		put(f, "\2\0\1\0\0\0\0", 7);
		inet_pton(AF_INET6, CARE_OF, addr);
		put(f, addr, 16);
		break;
	case AH: /* 12 + 12 bytes */
		put(f, "\4\0\0", 3);
		put_zeros(f, 20);
		break;
	case ATOMIC:
		put(f, "\0\0\6abcd", 7); /* reserved bits set */
		break;
	case FRAG:
		put(f, "\0\0\1abcd", 7);
		break;
	default:
		break;
	}
}

/* TCP or UDP behind the given headers. */
static void extended(struct frame *f, const struct vector *v, const enum ext *e, unsigned n,
		     uint8_t proto)
{
	eth(f, 0);
	packet(f, v, n ? ext_proto(e[0]) : proto, 0, 0);
	for (unsigned i = 0; i < n; i++)
		put_ext(f, e[i], i + 1 < n ? ext_proto(e[i + 1]) : proto);
	put_ports(f, v);
}

/* What the definition makes of these addresses and the ports of `v`. */
static uint32_t expected(const char *src, const char *dst, const struct vector *v, bool ports)
{
	uint8_t in[36];
	uint16_t port;

	inet_pton(AF_INET6, src, in);
	inet_pton(AF_INET6, dst, in + 16);
	port = htons(v->src_port);
	memcpy(in + 32, &port, 2);
	port = htons(v->dst_port);
	memcpy(in + 34, &port, 2);
	return naive(key, in, ports ? 36 : 32);
}

static void test_ipv6_extensions(void) /* NET-IMP-013 */
{
	static const struct {
		enum ext e[4];
		unsigned n;
		bool home;
		bool care_of;
		bool fragment;
	} cases[] = {
		{{HOP}, 1, false, false, false},
		{{HOME}, 1, true, false, false},
		{{PADDED_HOME}, 1, true, false, false},
		{{OTHER_OPTS}, 1, false, false, false},
		{{RT2}, 1, false, true, false},
		{{RT0}, 1, false, false, false},
		{{AH}, 1, false, false, false},
		{{ATOMIC}, 1, false, false, false},
		{{FRAG}, 1, false, false, true},
		{{HOP, HOME, RT2, AH}, 4, true, true, false},
		{{RT2, OTHER_OPTS, PADDED_HOME, ATOMIC}, 4, true, true, false},
		{{HOME, FRAG}, 2, true, false, true},
	};
	const struct vector *v = &vectors[7];

	for (unsigned i = 0; i < VIO_ARRAY_LEN(cases); i++) {
		const char *src = cases[i].home ? HOME_ADDR : v->src;
		const char *dst = cases[i].care_of ? CARE_OF : v->dst;
		bool ports = !cases[i].fragment;
		struct frame f;

		for (unsigned udp = 0; udp < 2; udp++) {
			extended(&f, v, cases[i].e, cases[i].n, udp ? UDP : TCP);
			set(NET_HASH_TYPES);
			if (ports)
				EXPECT(&f, udp ? REPORT(UDPv6_EX) : REPORT(TCPv6_EX),
				       expected(src, dst, v, true));
			else
				EXPECT(&f, REPORT(IPv6_EX), expected(src, dst, v, false));
			set(TYPE(IPv6_EX) | IPV6_TYPES);
			EXPECT(&f, REPORT(IPv6_EX), expected(src, dst, v, false));
			/* no extended type: as if the headers were not there */
			set(IPV6_TYPES);
			if (ports)
				EXPECT(&f, udp ? REPORT(UDPv6) : REPORT(TCPv6), v->tcp);
			else
				EXPECT(&f, REPORT(IPv6), v->ip);
			set(udp ? TYPE(TCPv6_EX) : TYPE(UDPv6_EX));
			EXPECT(&f, REPORT(NONE), 0);
		}
	}
}

/* A frame without extension headers has no extended hash. */
static void test_no_extension(void)
{
	struct frame f;

	set(EX_TYPES);
	extended(&f, &vectors[5], NULL, 0, TCP);
	EXPECT(&f, REPORT(NONE), 0);
}

/* Cut anywhere: what is there is used, nothing behind it is read. */
static void test_cut_short(void)
{
	static const enum ext e[] = {HOP, PADDED_HOME, RT2, AH};
	const struct vector *v = &vectors[6];
	struct frame f;

	set(NET_HASH_TYPES);
	extended(&f, v, e, 4, TCP);
	for (size_t len = 0; len < f.len; len++) {
		struct net_hash_result r = hash(f.b, len);

		if (len < 54)
			CU_ASSERT_EQUAL(r.report, REPORT(NONE))
		else if (len < f.l4 + 4)
			CU_ASSERT_EQUAL(r.report, REPORT(IPv6_EX))
		else
			CU_ASSERT_EQUAL(r.report, REPORT(TCPv6_EX))
	}
	eth(&f, 2);
	packet(&f, &vectors[0], UDP, 3, 0);
	put_ports(&f, &vectors[0]);
	for (size_t len = 0; len < f.len; len++) {
		struct net_hash_result r = hash(f.b, len);

		CU_ASSERT_EQUAL(r.report, len < 42	   ? REPORT(NONE)
					  : len < f.l4 + 4 ? REPORT(IPv4)
							   : REPORT(UDPv4));
	}
}

/* Headers as long as they can be lie behind what is looked at. */
static void test_long_headers(void)
{
	struct frame f;

	set(NET_HASH_TYPES);
	eth(&f, 0);
	packet(&f, &vectors[5], 60, 0, 0);
	put(&f, "\x06\xff", 2);
	put_zeros(&f, 1900);
	EXPECT(&f, REPORT(IPv6_EX), vectors[5].ip);
	CU_ASSERT(f.len > NET_HASH_HEAD);
}

/* Anything at all, in exactly sized memory. */
static void test_random_frames(void)
{
	static const enum ext e[] = {HOP, HOME, RT2, ATOMIC};
	unsigned hashed = 0;

	srandom(4711);
	set(NET_HASH_TYPES);
	for (unsigned round = 0; round < 100000; round++) {
		struct frame f;

		if (round % 2) {
			extended(&f, &vectors[5 + round % 3], e, random() % 5, TCP);
		} else {
			eth(&f, random() % 4);
			packet(&f, &vectors[round % 5], UDP, random() % 11, 0);
			put_ports(&f, &vectors[round % 5]);
		}
		for (unsigned i = random() % 4; i > 0; i--)
			f.b[random() % f.len] = random();
		hashed += hash(f.b, random() % (f.len + 1)).report != REPORT(NONE);
	}
	CU_ASSERT(hashed > 10000);
}

static void test_toeplitz(void)
{
	uint8_t k[NET_HASH_KEY_MAX], data[NET_HASH_INPUT_MAX];

	srandom(42);
	for (unsigned round = 0; round < 2000; round++) {
		size_t key_len = random() % (sizeof(k) + 1), len = random() % (sizeof(data) + 1);

		memset(k, 0, sizeof(k));
		for (unsigned i = 0; i < key_len; i++)
			k[i] = random();
		for (unsigned i = 0; i < len; i++)
			data[i] = random();
		CU_ASSERT_EQUAL(net_hash_set(&cfg, 0, k, key_len), 0);
		CU_ASSERT_EQUAL(net_hash_toeplitz(&cfg, data, len), naive(k, data, len));
	}
}

static void test_set(void)
{
	struct frame f;

	set(TYPE(TCPv4));
	CU_ASSERT_EQUAL(net_hash_set(&cfg, NET_HASH_TYPES + 1, key, sizeof(key)), -EINVAL);
	CU_ASSERT_EQUAL(net_hash_set(&cfg, 0, key, NET_HASH_KEY_MAX + 1), -EINVAL);
	eth(&f, 0);
	packet(&f, &vectors[0], TCP, 0, 0);
	put_ports(&f, &vectors[0]);
	EXPECT(&f, REPORT(TCPv4), vectors[0].tcp); /* as before */
	CU_ASSERT_EQUAL(net_hash_set(&cfg, 0, NULL, 0), 0);
	EXPECT(&f, REPORT(NONE), 0);
	CU_ASSERT_EQUAL(net_hash_set(&cfg, TYPE(IPv4), NULL, 0), 0);
	EXPECT(&f, REPORT(IPv4), 0); /* a key of zeros */
}

static CU_TestInfo tests[] = {
	{"published vectors", test_vectors},
	{"IPv4 options", test_ipv4_options},
	{"IPv4 fragments", test_ipv4_fragments},
	{"other protocols", test_other_protocols},
	{"IPv6 extension headers", test_ipv6_extensions},
	{"no extension header", test_no_extension},
	{"cut short", test_cut_short},
	{"long headers", test_long_headers},
	{"random frames", test_random_frames},
	{"Toeplitz", test_toeplitz},
	{"set", test_set},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("net_hash", tests);
}
