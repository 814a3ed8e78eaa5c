/* SPDX-License-Identifier: BSD-3-Clause */
#include "net_hash.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/virtio_net.h>

#include <viodm/util.h>

#define HASH_VLANS 2 /* tags of one frame: service and customer */

#define HASH_IPV4_HEADER 20
#define HASH_IPV6_HEADER 40
#define HASH_PORTS	 4

/* IPv6 extension headers, RFC 8200 and RFC 6275. */
#define HASH_HOP_BY_HOP	   0
#define HASH_ROUTING	   43
#define HASH_FRAGMENT	   44
#define HASH_AH		   51
#define HASH_DEST_OPTS	   60
#define HASH_MOBILITY	   135
#define HASH_HOME_ADDRESS  0xc9
#define HASH_ROUTING_HOME  2
#define HASH_IPV6_ADDR_LEN 16

/* What a frame turned out to be; the pointers point into its head. */
struct hash_packet {
	const uint8_t *head;
	size_t len;
	const uint8_t *src; /* directly before dst, unless an extension header has one of them */
	const uint8_t *dst;
	const uint8_t *ports; /* NULL: neither TCP nor UDP, a fragment, or cut short */
	uint8_t proto;	      /* if ports */
	bool extended;	      /* IPv6 with extension headers */
};

/* The 64 bits of the key from byte `at` on. */
static uint64_t hash_key_bits(const uint8_t *key, size_t at)
{
	uint8_t window[8] = {0};
	uint64_t bits;
	size_t n = NET_HASH_KEY_MAX - at;

	memcpy(window, key + at, n < sizeof(window) ? n : sizeof(window));
	memcpy(&bits, window, sizeof(bits));
	return be64toh(bits);
}

/* Each bit of the input, first bit highest, adds the 32 bits of the key that begin at its place. */
static void hash_fill(struct net_hash_config *cfg)
{
	for (size_t i = 0; i < NET_HASH_INPUT_MAX; i++) {
		uint64_t bits = hash_key_bits(cfg->key, i);
		uint32_t *t = cfg->table[i];

		t[0] = 0;
		for (unsigned j = 0; j < 8; j++) {
			uint32_t window = (uint32_t)(bits << (7 - j) >> 32);

			for (unsigned b = 0; b < 1u << j; b++)
				t[(1u << j) + b] = t[b] ^ window;
		}
	}
}

int net_hash_set(struct net_hash_config *cfg, uint32_t types, const uint8_t *key, size_t key_len)
{
	if (types & ~NET_HASH_TYPES || key_len > NET_HASH_KEY_MAX)
		return -EINVAL;
	cfg->types = types;
	cfg->key_len = key_len;
	memset(cfg->key, 0, sizeof(cfg->key));
	if (key_len)
		memcpy(cfg->key, key, key_len);
	hash_fill(cfg);
	return 0;
}

/* `len` bytes that lie at `at` in the input. */
static inline uint32_t hash_piece(const struct net_hash_config *cfg, size_t at, const uint8_t *data,
				  size_t len)
{
	uint32_t hash = 0;

#pragma GCC unroll 32
	for (size_t i = 0; i < len; i++)
		hash ^= cfg->table[at + i][data[i]];
	return hash;
}

uint32_t net_hash_toeplitz(const struct net_hash_config *cfg, const uint8_t *data, size_t len)
{
	uint32_t hash = 0;

	for (size_t i = 0; i < len && i < NET_HASH_INPUT_MAX; i++)
		hash ^= cfg->table[i][data[i]];
	return hash;
}

static uint16_t hash_be16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

static void hash_find_ports(struct hash_packet *pkt, uint8_t proto, size_t at)
{
	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP)
		return;
	if (!vio_range_ok(at, HASH_PORTS, pkt->len))
		return;
	pkt->proto = proto;
	pkt->ports = pkt->head + at;
}

static bool hash_parse_ipv4(struct hash_packet *pkt, size_t at)
{
	const uint8_t *ip = pkt->head + at;
	size_t header;

	if (!vio_range_ok(at, HASH_IPV4_HEADER, pkt->len) || ip[0] >> 4 != 4)
		return false;
	header = (ip[0] & 0x0f) * 4u;
	if (header < HASH_IPV4_HEADER)
		return false;
	pkt->src = ip + 12;
	pkt->dst = ip + 16;
	/* All fragments of a packet go the same way, and only the first has ports. */
	if (!(hash_be16(ip + 6) & 0x3fff))
		hash_find_ports(pkt, ip[9], at + header);
	return true;
}

/* Destination options: the home address, if it is among them (RFC 6275 section 6.3). */
static void hash_parse_options(struct hash_packet *pkt, const uint8_t *ext, size_t len)
{
	size_t at = 2;

	while (at < len) {
		size_t left = len - at;

		if (ext[at] == 0) { /* Pad1 */
			at++;
			continue;
		}
		if (left < 2 || left - 2 < ext[at + 1])
			return;
		if (ext[at] == HASH_HOME_ADDRESS && ext[at + 1] == HASH_IPV6_ADDR_LEN) {
			pkt->src = ext + at + 2;
			return;
		}
		at += 2u + ext[at + 1];
	}
}

/* The length of an extension header; 0: it is not one. */
static size_t hash_ext_len(uint8_t proto, uint8_t len_field)
{
	switch (proto) {
	case HASH_HOP_BY_HOP:
	case HASH_ROUTING:
	case HASH_DEST_OPTS:
	case HASH_MOBILITY:
		return (len_field + 1) * 8u;
	case HASH_AH:
		return (len_field + 2) * 4u;
	case HASH_FRAGMENT:
		return 8;
	}
	return 0;
}

/*
 * Walks the extension headers, each at least 8 bytes of a head that is short. What lies behind the
 * end of the head is not found.
 */
static void hash_parse_extensions(struct hash_packet *pkt, uint8_t proto, size_t at)
{
	while (hash_ext_len(proto, 0)) {
		const uint8_t *ext = pkt->head + at;
		size_t len;

		pkt->extended = true;
		if (!vio_range_ok(at, 8, pkt->len))
			return;
		len = hash_ext_len(proto, ext[1]);
		if (!vio_range_ok(at, len, pkt->len))
			return;
		if (proto == HASH_DEST_OPTS)
			hash_parse_options(pkt, ext, len);
		else if (proto == HASH_ROUTING && ext[2] == HASH_ROUTING_HOME && len == 24)
			pkt->dst = ext + 8;
		else if (proto == HASH_FRAGMENT && hash_be16(ext + 2) & 0xfff9)
			return; /* as with IPv4 */
		proto = ext[0];
		at += len;
	}
	hash_find_ports(pkt, proto, at);
}

static bool hash_parse_ipv6(struct hash_packet *pkt, size_t at)
{
	const uint8_t *ip = pkt->head + at;

	if (!vio_range_ok(at, HASH_IPV6_HEADER, pkt->len) || ip[0] >> 4 != 6)
		return false;
	pkt->src = ip + 8;
	pkt->dst = ip + 24;
	hash_parse_extensions(pkt, ip[6], at + HASH_IPV6_HEADER);
	return true;
}

/* Where the packet of a frame begins, and its type; 0: nowhere. */
static size_t hash_payload(const struct hash_packet *pkt, uint16_t *type)
{
	size_t at = ETH_HLEN;

	if (pkt->len < at)
		return 0;
	*type = hash_be16(pkt->head + at - 2);
	for (int i = 0; i < HASH_VLANS && (*type == ETH_P_8021Q || *type == ETH_P_8021AD); i++) {
		at += 4;
		if (pkt->len < at)
			return 0;
		*type = hash_be16(pkt->head + at - 2);
	}
	return at;
}

/* The first of three types that is enabled and possible: REPORT_TCPv4 and so on; NONE. */
static uint16_t hash_choose(uint32_t types, const struct hash_packet *pkt, uint16_t ip)
{
	const uint16_t tcp = ip + 1, udp = ip + 2;

	if (pkt->ports && pkt->proto == IPPROTO_TCP && types >> (tcp - 1) & 1)
		return tcp;
	if (pkt->ports && pkt->proto == IPPROTO_UDP && types >> (udp - 1) & 1)
		return udp;
	return types >> (ip - 1) & 1 ? ip : VIRTIO_NET_HASH_REPORT_NONE;
}

static struct net_hash_result hash_ipv4(const struct net_hash_config *cfg,
					const struct hash_packet *pkt)
{
	struct net_hash_result r = {
		.report = hash_choose(cfg->types, pkt, VIRTIO_NET_HASH_REPORT_IPv4),
	};

	if (r.report == VIRTIO_NET_HASH_REPORT_NONE)
		return r;
	r.value = hash_piece(cfg, 0, pkt->src, 8);
	if (r.report != VIRTIO_NET_HASH_REPORT_IPv4)
		r.value ^= hash_piece(cfg, 8, pkt->ports, HASH_PORTS);
	return r;
}

static struct net_hash_result hash_ipv6(const struct net_hash_config *cfg,
					const struct hash_packet *pkt, const uint8_t *ip)
{
	struct net_hash_result r = {.report = VIRTIO_NET_HASH_REPORT_NONE};
	const uint8_t *src = pkt->src, *dst = pkt->dst;

	if (pkt->extended)
		r.report = hash_choose(cfg->types, pkt, VIRTIO_NET_HASH_REPORT_IPv6_EX);
	if (r.report == VIRTIO_NET_HASH_REPORT_NONE) {
		/* "Else skip IPv6 extension headers" */
		src = ip + 8;
		dst = ip + 24;
		r.report = hash_choose(cfg->types, pkt, VIRTIO_NET_HASH_REPORT_IPv6);
	}
	if (r.report == VIRTIO_NET_HASH_REPORT_NONE)
		return r;
	r.value = hash_piece(cfg, 0, src, HASH_IPV6_ADDR_LEN) ^
		  hash_piece(cfg, HASH_IPV6_ADDR_LEN, dst, HASH_IPV6_ADDR_LEN);
	if (r.report != VIRTIO_NET_HASH_REPORT_IPv6 && r.report != VIRTIO_NET_HASH_REPORT_IPv6_EX)
		r.value ^= hash_piece(cfg, 32, pkt->ports, HASH_PORTS);
	return r;
}

struct net_hash_result net_hash_frame(const struct net_hash_config *cfg, const uint8_t *head,
				      size_t len)
{
	struct hash_packet pkt = {
		.head = head,
		.len = len < NET_HASH_HEAD ? len : NET_HASH_HEAD,
	};
	uint16_t type = 0;
	size_t at = cfg->types ? hash_payload(&pkt, &type) : 0;

	if (at && type == ETH_P_IP && hash_parse_ipv4(&pkt, at))
		return hash_ipv4(cfg, &pkt);
	if (at && type == ETH_P_IPV6 && hash_parse_ipv6(&pkt, at))
		return hash_ipv6(cfg, &pkt, head + at);
	return (struct net_hash_result){.report = VIRTIO_NET_HASH_REPORT_NONE};
}
