/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IP packets for checks of checksums and hashes.
 */
#include "checks_net.h"

#include <endian.h>
#include <linux/if_ether.h>
#include <string.h>

#define L3 ((uint32_t)ETH_HLEN)

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

uint16_t packet_sum(const uint8_t *data, uint32_t len, uint32_t sum)
{
	for (uint32_t i = 0; i < len; i += 2)
		sum += (uint32_t)data[i] << 8 | (i + 1 < len ? data[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint32_t addresses(const struct packet *p)
{
	return p->v6 ? L3 + 8 : L3 + 12;
}

static uint32_t addresses_len(const struct packet *p)
{
	return p->v6 ? 32 : 8;
}

uint16_t packet_pseudo_sum(const struct packet *p)
{
	uint8_t protocol = p->v6 ? p->data[L3 + 6] : p->data[L3 + 9];

	return packet_sum(p->data + addresses(p), addresses_len(p), protocol + (p->len - p->l4));
}

static void make_v4(struct packet *p, uint8_t protocol, uint32_t flow)
{
	uint8_t *h = p->data + L3;

	put16(p->data + 12, ETH_P_IP);
	h[0] = 0x45;
	put16(h + 2, p->len - L3);
	h[8] = 64;
	h[9] = protocol;
	memcpy(h + 12, (uint8_t[]){192, 0, 2, 1}, 4);
	memcpy(h + 16, (uint8_t[]){198, 51, 100, (uint8_t)flow}, 4);
	put16(h + 10, (uint16_t)~packet_sum(h, 20, 0));
}

static void make_v6(struct packet *p, uint8_t protocol, uint32_t flow)
{
	uint8_t *h = p->data + L3;

	put16(p->data + 12, ETH_P_IPV6);
	h[0] = 0x60;
	put16(h + 4, p->len - p->l4);
	h[6] = protocol;
	h[7] = 64;
	h[8] = h[24] = 0x20;
	h[9] = h[25] = 0x01;
	put16(h + 22, 1);
	put16(h + 38, flow + 1);
}

void packet_make(struct card *c, struct packet *p, bool v6, uint8_t protocol, uint32_t payload,
		 uint32_t flow)
{
	uint8_t *l4;

	memset(p, 0, sizeof(*p));
	p->v6 = v6;
	p->l4 = L3 + (v6 ? 40 : 20);
	p->csum_offset = protocol == IP_UDP ? 6 : 16;
	p->len = p->l4 + (protocol == IP_UDP ? 8 : 20) + payload;
	memcpy(p->data, c->mac, 6);
	memcpy(p->data + 6, (uint8_t[]){2, 0, 0, 0, 0, 1}, 6);
	if (v6)
		make_v6(p, protocol, flow);
	else
		make_v4(p, protocol, flow);
	l4 = p->data + p->l4;
	for (uint32_t i = p->len - payload; i < p->len; i++)
		p->data[i] = (uint8_t)(i * 11 + flow + ++c->serial);
	put16(l4, 10000 + flow % 1000);
	put16(l4 + 2, 20000 + flow / 7 % 1000);
	if (protocol == IP_UDP)
		put16(l4 + 4, p->len - p->l4);
	else
		put16(l4 + 12, 0x5010);
	put16(l4 + p->csum_offset, (uint16_t)~packet_sum(l4, p->len - p->l4, packet_pseudo_sum(p)));
}

void packet_leave_checksum(struct packet *p, struct drv_net_hdr *hdr)
{
	put16(p->data + p->l4 + p->csum_offset, packet_pseudo_sum(p));
	*hdr = (struct drv_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				    .csum_start = htole16((uint16_t)p->l4),
				    .csum_offset = htole16(p->csum_offset)};
}

bool packet_valid(const struct packet *p, const uint8_t *data, uint32_t len)
{
	return len == p->len &&
	       packet_sum(data + p->l4, len - p->l4, packet_pseudo_sum(p)) == 0xffff;
}

/* ---- hashes ------------------------------------------------------------------------------------
 */

const uint8_t *hash_key(void)
{
	/* The key in the examples of the documents about this hash. */
	static const uint8_t key[HASH_KEY_LEN] = {
		0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
		0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
		0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

	return key;
}

/* The 32 bits of the key from bit `at` on. */
static uint32_t key_window(uint32_t at)
{
	const uint8_t *key = hash_key();
	uint64_t v = 0;

	for (uint32_t i = 0; i < 5; i++)
		v = v << 8 | (at / 8 + i < HASH_KEY_LEN ? key[at / 8 + i] : 0);
	return (uint32_t)(v >> (8 - at % 8));
}

uint32_t packet_hash(const struct packet *p, bool ports)
{
	uint8_t input[36];
	uint32_t n = addresses_len(p), hash = 0;

	memcpy(input, p->data + addresses(p), n);
	memcpy(input + n, p->data + p->l4, 4);
	n += ports ? 4 : 0;
	for (uint32_t bit = 0; bit < n * 8; bit++)
		if (input[bit / 8] >> (7 - bit % 8) & 1)
			hash ^= key_window(bit);
	return hash;
}
