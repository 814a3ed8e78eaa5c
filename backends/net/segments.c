/* SPDX-License-Identifier: BSD-3-Clause */
#include "segments.h"

#include <endian.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define VLAN_LEN     4u
#define IP4_LEN	     20u
#define IP6_LEN	     40u
#define FRAGMENT_LEN 8u
#define TCP_LEN	     20u
#define UDP_LEN	     8u

#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_CWR 0x80

#define IP_MORE 0x2000 /* in the field of IPv4 */

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

/* Ones' complement sum. At most 64 KiB: 32 bits hold it. */
static uint32_t sum_of(const uint8_t *p, uint32_t len, uint32_t sum)
{
	for (; len > 1; p += 2, len -= 2)
		sum += get16(p);
	if (len)
		sum += (uint32_t)p[0] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

int segments_init(struct segments *s)
{
	*s = (struct segments){.flat = malloc(VIO_FRAME_MAX)};
	return s->flat ? 0 : -ENOMEM;
}

void segments_fini(struct segments *s)
{
	free(s->flat);
}

/* ---- what the frame is -------------------------------------------------------------------------
 */

static bool copy_frame(struct segments *s, const struct vio_frame *f)
{
	s->len = 0;
	if (f->len > VIO_FRAME_MAX)
		return false;
	for (uint32_t i = 0; i < f->n_iov; i++) {
		if (f->iov[i].iov_len > f->len - s->len)
			return false;
		if (f->iov[i].iov_len > 0)
			memcpy(s->flat + s->len, f->iov[i].iov_base, f->iov[i].iov_len);
		s->len += (uint32_t)f->iov[i].iov_len;
	}
	return s->len >= ETH_HLEN;
}

/* Behind Ethernet and its tags; returns the protocol there. */
static uint32_t find_l3(struct segments *s)
{
	uint32_t protocol = get16(s->flat + 12);

	s->l3 = ETH_HLEN;
	for (unsigned i = 0; i < 2 && (protocol == ETH_P_8021Q || protocol == ETH_P_8021AD); i++) {
		if (s->l3 + VLAN_LEN > s->len)
			return 0;
		protocol = get16(s->flat + s->l3 + 2);
		s->l3 += VLAN_LEN;
	}
	return protocol;
}

/* IPv4 with any options, or IPv6 without extensions, right before the transport header. */
static bool find_ip(struct segments *s, uint8_t transport)
{
	const uint8_t *ip = s->flat;
	uint32_t protocol = find_l3(s);

	ip += s->l3;
	s->v6 = protocol == ETH_P_IPV6;
	if (s->v6)
		return s->l3 + IP6_LEN == s->l4 && s->l4 < s->len && ip[0] >> 4 == 6 &&
		       ip[6] == transport;
	return protocol == ETH_P_IP && s->l3 + IP4_LEN <= s->l4 && s->l4 < s->len &&
	       ip[0] >> 4 == 4 && s->l3 + (ip[0] & 15) * 4u == s->l4 && ip[9] == transport;
}

static bool find_tcp(struct segments *s)
{
	uint32_t len;

	if (!find_ip(s, IPPROTO_TCP) || s->v6 != (s->type == VIRTIO_NET_HDR_GSO_TCPV6) ||
	    s->l4 + TCP_LEN > s->len)
		return false;
	len = (s->flat[s->l4 + 12] >> 4) * 4u;
	s->body = (uint16_t)(s->l4 + len);
	return len >= TCP_LEN && s->body <= s->len;
}

static bool find_udp(struct segments *s)
{
	if (!find_ip(s, IPPROTO_UDP) || s->l4 + UDP_LEN > s->len)
		return false;
	s->body = (uint16_t)(s->l4 + UDP_LEN);
	return true;
}

/* The sum of the pseudo header with a transport length. */
static uint32_t pseudo_sum(const struct segments *s, uint32_t len)
{
	const uint8_t *ip = s->flat + s->l3;

	if (s->v6)
		return sum_of(ip + 8, 32, ip[6] + len);
	return sum_of(ip + 12, 8, ip[9] + len);
}

/* Fragments share the checksum of the first one, which is of all. */
static bool find_fragments(struct segments *s)
{
	uint32_t len = s->len - s->l4, sum;
	uint8_t *udp = s->flat + s->l4;

	if (!find_udp(s))
		return false;
	put16(udp + 4, len);
	put16(udp + 6, 0);
	sum = ~sum_of(udp, len, pseudo_sum(s, len)) & 0xffff;
	put16(udp + 6, sum ? sum : 0xffff);
	s->body = s->l4;
	s->size &= ~7u;
	s->ident++;
	return s->size > 0;
}

static bool find_headers(struct segments *s)
{
	switch (s->type) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return find_tcp(s);
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return find_udp(s);
	case VIRTIO_NET_HDR_GSO_UDP:
		return find_fragments(s);
	default:
		return false;
	}
}

/* A piece with its headers is so short that each of its lengths has 16 bits. */
static void limit_size(struct segments *s)
{
	uint16_t max = (UINT16_MAX - FRAGMENT_LEN - s->body) & ~7u;

	if (s->size > max)
		s->size = max;
}

int segments_begin(struct segments *s, const struct vio_frame *f)
{
	s->more = false;
	s->type = f->hdr.gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
	s->l4 = le16toh(f->hdr.csum_start);
	s->size = le16toh(f->hdr.gso_size);
	if (s->size == 0 || !copy_frame(s, f) || !find_headers(s) ||
	    s->body + FRAGMENT_LEN > SEGMENT_HEAD_MAX)
		return -EINVAL;
	limit_size(s);
	s->at = s->body;
	s->n = 0;
	s->more = true;
	return 0;
}

/* ---- pieces ------------------------------------------------------------------------------------
 */

/* Total length, a number of its own, and the header's checksum. */
static void fix_ip4(const struct segments *s, uint8_t *head, uint32_t head_len, uint32_t len)
{
	uint8_t *ip = head + s->l3;

	put16(ip + 2, head_len + len - s->l3);
	if (s->type == VIRTIO_NET_HDR_GSO_UDP)
		put16(ip + 6, (s->at - s->body) / 8 | (s->at + len < s->len ? IP_MORE : 0));
	else
		put16(ip + 4, get16(ip + 4) + s->n);
	put16(ip + 10, 0);
	put16(ip + 10, ~sum_of(ip, s->l4 - s->l3, 0));
}

/* RFC 8200, 4.5; the header grows by that of the fragment. */
static uint32_t add_fragment(const struct segments *s, uint8_t *head, uint32_t len)
{
	uint8_t *fragment = head + s->body;

	head[s->l3 + 6] = IPPROTO_FRAGMENT;
	fragment[0] = IPPROTO_UDP;
	fragment[1] = 0;
	put16(fragment + 2, (s->at - s->body) | (s->at + len < s->len));
	put32(fragment + 4, s->ident);
	return s->body + FRAGMENT_LEN;
}

/* FIN and PSH are of the last segment, CWR of the first. */
static void fix_tcp(const struct segments *s, uint8_t *head, uint32_t len)
{
	uint8_t *tcp = head + s->l4;

	put32(tcp + 4, get32(tcp + 4) + (s->at - s->body));
	if (s->at + len < s->len)
		tcp[13] &= ~(TCP_FIN | TCP_PSH);
	if (s->n > 0)
		tcp[13] &= ~TCP_CWR;
	put16(tcp + 16, pseudo_sum(s, s->body - s->l4 + len));
}

static void fix_udp(const struct segments *s, uint8_t *head, uint32_t len)
{
	uint8_t *udp = head + s->l4;

	put16(udp + 4, UDP_LEN + len);
	put16(udp + 6, pseudo_sum(s, UDP_LEN + len));
}

/* What is left to do with a segment: nothing with a fragment. */
static struct vio_frame_hdr segment_hdr(const struct segments *s, uint16_t csum_offset)
{
	if (s->type == VIRTIO_NET_HDR_GSO_UDP)
		return (struct vio_frame_hdr){0};
	return (struct vio_frame_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				      .hdr_len = htole16(s->body),
				      .csum_start = htole16(s->l4),
				      .csum_offset = htole16(csum_offset)};
}

static void make(struct segments *s, struct segment *out)
{
	uint32_t left = s->len - s->at, len = left < s->size ? left : s->size;
	bool udp = s->type == VIRTIO_NET_HDR_GSO_UDP_L4;
	uint32_t head_len = s->body;

	memcpy(out->head, s->flat, s->body);
	if (udp)
		fix_udp(s, out->head, len);
	else if (s->type != VIRTIO_NET_HDR_GSO_UDP)
		fix_tcp(s, out->head, len);
	else if (s->v6)
		head_len = add_fragment(s, out->head, len);
	if (s->v6)
		put16(out->head + s->l3 + 4, head_len + len - s->l3 - IP6_LEN);
	else
		fix_ip4(s, out->head, head_len, len);
	out->iov[0] = (struct iovec){out->head, head_len};
	out->iov[1] = (struct iovec){s->flat + s->at, len};
	out->frame = (struct vio_frame){
		.hdr = segment_hdr(s, udp ? 6 : 16),
		.iov = out->iov,
		.n_iov = 2,
		.len = head_len + len,
	};
	s->n++;
	s->at += len;
	s->more = s->at < s->len;
}

unsigned segments_next(struct segments *s, struct segment *out, unsigned n)
{
	unsigned made = 0;

	for (; made < n && s->more; made++)
		make(s, &out[made]);
	return made;
}
