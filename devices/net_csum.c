/* SPDX-License-Identifier: BSD-3-Clause */
#include "net_csum.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include <linux/if_ether.h>

/* Where TCP and UDP have their checksum, and the least their headers take. */
#define CSUM_TCP_OFFSET 16
#define CSUM_TCP_HEADER 20
/* Where TCP has its length, and behind it its flags. */
#define CSUM_TCP_LENGTH 12
#define CSUM_TCP_CWR	0x80
#define CSUM_UDP_OFFSET 6
#define CSUM_UDP_HEADER 8

/* A kind of segmentation. */
struct csum_gso {
	uint8_t type;
	bool ecn; /* may come with GSO_ECN */
	uint64_t tx_features;
	uint64_t rx_offloads;
	uint16_t csum_offset;
	uint16_t header;
};

#define CSUM_BIT(f) (1ull << VIRTIO_NET_F_##f)

static const struct csum_gso csum_gso[] = {
	{VIRTIO_NET_HDR_GSO_TCPV4, true, CSUM_BIT(HOST_TSO4), CSUM_BIT(GUEST_TSO4), CSUM_TCP_OFFSET,
	 CSUM_TCP_HEADER},
	{VIRTIO_NET_HDR_GSO_TCPV6, true, CSUM_BIT(HOST_TSO6), CSUM_BIT(GUEST_TSO6), CSUM_TCP_OFFSET,
	 CSUM_TCP_HEADER},
	{VIRTIO_NET_HDR_GSO_UDP, false, CSUM_BIT(HOST_UFO), CSUM_BIT(GUEST_UFO), CSUM_UDP_OFFSET,
	 CSUM_UDP_HEADER},
	{VIRTIO_NET_HDR_GSO_UDP_L4, false, CSUM_BIT(HOST_USO),
	 CSUM_BIT(GUEST_USO4) | CSUM_BIT(GUEST_USO6), CSUM_UDP_OFFSET, CSUM_UDP_HEADER},
};

/* What the two directions do not share. */
struct csum_rules {
	bool tx;
	uint8_t flags; /* those that mean something */
	uint64_t ecn;
	uint64_t enabled;
};

static const struct csum_gso *csum_find_gso(uint8_t type)
{
	for (size_t i = 0; i < VIO_ARRAY_LEN(csum_gso); i++)
		if (csum_gso[i].type == type)
			return &csum_gso[i];
	return NULL;
}

/* The fields of a frame to be cut into segments. */
static int csum_check_gso(struct vio_frame_hdr *hdr, uint32_t len, const struct csum_rules *r)
{
	const struct csum_gso *g = csum_find_gso(hdr->gso_type & ~VIRTIO_NET_HDR_GSO_ECN);
	uint32_t headers;

	if (!g || !(r->enabled & (r->tx ? g->tx_features : g->rx_offloads)))
		return -EINVAL;
	if (hdr->gso_type & VIRTIO_NET_HDR_GSO_ECN && !(g->ecn && r->enabled & r->ecn))
		return -EINVAL;
	/* NET-DEV-065, -066, and the driver's side of them: all segments need checksums. */
	if (!(hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || !hdr->gso_size)
		return -EINVAL;
	headers = le16toh(hdr->csum_start) + g->header;
	if (le16toh(hdr->csum_offset) != g->csum_offset || headers > len)
		return -EINVAL;
	/* NET-DEV-025: a hint. Whoever cuts segments looks at the headers. */
	if (le16toh(hdr->hdr_len) < headers)
		hdr->hdr_len = htole16(headers < UINT16_MAX ? headers : UINT16_MAX);
	return 0;
}

static int csum_check(struct vio_frame_hdr *hdr, uint32_t len, const struct csum_rules *r)
{
	int rc;

	if (len < ETH_HLEN || len > VIO_FRAME_MAX)
		return -EINVAL;
	hdr->num_buffers = 0;
	hdr->flags &= r->flags; /* NET-DEV-019 */
	if (!(hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		hdr->csum_start = hdr->csum_offset = 0; /* NET-DEV-020 */
	else if (le16toh(hdr->csum_start) + le16toh(hdr->csum_offset) + 2u > len)
		return -EINVAL;
	if (hdr->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
		hdr->gso_size = 0;
	} else {
		rc = csum_check_gso(hdr, len, r);
		if (rc < 0)
			return rc;
	}
	if (le16toh(hdr->hdr_len) > len)
		hdr->hdr_len = htole16(len);
	return 0;
}

int net_tx_check(struct vio_frame_hdr *hdr, uint32_t len, uint64_t features)
{
	const struct csum_rules rules = {
		.tx = true,
		/* Not negotiated, the bit is one that the device does not recognize. */
		.flags = features & CSUM_BIT(CSUM) ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0,
		.ecn = CSUM_BIT(HOST_ECN),
		.enabled = features,
	};

	return csum_check(hdr, len, &rules);
}

int net_rx_check(struct vio_frame_hdr *hdr, uint32_t len, uint64_t offloads)
{
	bool csum = offloads & CSUM_BIT(GUEST_CSUM);
	const struct csum_rules rules = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM | (csum ? VIRTIO_NET_HDR_F_DATA_VALID : 0),
		.ecn = CSUM_BIT(GUEST_ECN),
		/* Segments without checksums are of no use to a driver that cannot make those. */
		.enabled = csum ? offloads : 0,
	};
	int rc = csum_check(hdr, len, &rules);

	if (rc < 0)
		return rc;
	return !csum && hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
}

/* Copies bytes [at, at + len), which are there. */
static void csum_read(const struct iovec *iov, uint32_t n, size_t at, uint8_t *dst, size_t len)
{
	for (uint32_t i = 0; i < n && len > 0; i++) {
		for (; at < iov[i].iov_len && len > 0; at++, len--)
			*dst++ = ((const uint8_t *)iov[i].iov_base)[at];
		at -= iov[i].iov_len;
	}
}

void net_rx_complete_gso(struct vio_frame_hdr *hdr, const struct iovec *iov, uint32_t n,
			 uint32_t len, uint64_t offloads)
{
	uint8_t type = hdr->gso_type & ~VIRTIO_NET_HDR_GSO_ECN, tcp[2] = {0};
	uint32_t start = le16toh(hdr->csum_start), headers;

	if (type != VIRTIO_NET_HDR_GSO_TCPV4 && type != VIRTIO_NET_HDR_GSO_TCPV6)
		return;
	csum_read(iov, n, start + CSUM_TCP_LENGTH, tcp, sizeof(tcp));
	headers = start + (tcp[0] >> 4) * 4u;
	if (headers > len)
		headers = len;
	if (le16toh(hdr->hdr_len) < headers)
		hdr->hdr_len = htole16(headers < UINT16_MAX ? headers : UINT16_MAX);
	if (tcp[1] & CSUM_TCP_CWR && offloads & CSUM_BIT(GUEST_ECN))
		hdr->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
}

static inline uint64_t csum_add(uint64_t sum, uint64_t word)
{
	uint64_t s = sum + word;

	return s + (s < word);
}

static inline uint64_t csum_load(const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

#define CSUM_BLOCK 64

struct csum_words {
	uint8_t b[CSUM_BLOCK];
};

/* Adds CSUM_BLOCK bytes. */
static inline uint64_t csum_block(uint64_t sum, const uint8_t *p)
{
#ifdef __x86_64__
	/* A chain of add-with-carry, which compilers make of nothing else reliably. */
	__asm__("addq (%1), %0\n\t"
		"adcq 8(%1), %0\n\t"
		"adcq 16(%1), %0\n\t"
		"adcq 24(%1), %0\n\t"
		"adcq 32(%1), %0\n\t"
		"adcq 40(%1), %0\n\t"
		"adcq 48(%1), %0\n\t"
		"adcq 56(%1), %0\n\t"
		"adcq $0, %0"
		: "+r"(sum)
		: "r"(p), "m"(*(const struct csum_words *)p)
		: "cc");
	return sum;
#else
	uint64_t carry = 0;

#pragma GCC unroll 8
	for (int i = 0; i < CSUM_BLOCK / 8; i++) {
		uint64_t word = csum_load(p + 8 * i);

		sum += word;
		carry += sum < word;
	}
	return csum_add(sum, carry);
#endif
}

/*
 * The words of p[0..len), in memory order, with carries added back in: a ones' complement sum works
 * in any byte order and with words of any size (RFC 1071).
 */
static uint64_t csum_bytes(const uint8_t *p, size_t len)
{
	uint64_t sum = 0;

	for (; len >= CSUM_BLOCK; p += CSUM_BLOCK, len -= CSUM_BLOCK)
		sum = csum_block(sum, p);
	for (; len >= 8; p += 8, len -= 8)
		sum = csum_add(sum, csum_load(p));
	if (len) {
		uint64_t word = 0;

		memcpy(&word, p, len);
		sum = csum_add(sum, word);
	}
	return sum;
}

static uint16_t csum_fold(uint64_t sum)
{
	sum = (sum >> 32) + (uint32_t)sum;
	sum = (sum >> 32) + (uint32_t)sum;
	sum = (sum >> 16) + (uint16_t)sum;
	return (uint16_t)((sum >> 16) + sum);
}

uint16_t net_csum_sum(const struct iovec *iov, uint32_t n, size_t start, size_t len)
{
	uint64_t sum = 0;
	bool odd = false; /* bytes so far */

	for (uint32_t i = 0; i < n && len; i++) {
		size_t skip = start < iov[i].iov_len ? start : iov[i].iov_len;
		size_t part = iov[i].iov_len - skip;
		uint64_t s;

		start -= skip;
		if (part > len)
			part = len;
		s = csum_bytes((const uint8_t *)iov[i].iov_base + skip, part);
		/* A piece that begins in the middle of a 16-bit word has its bytes swapped. */
		if (odd)
			s = __builtin_bswap16(csum_fold(s));
		sum = csum_add(sum, s);
		odd ^= part & 1;
		len -= part;
	}
	return csum_fold(sum);
}

static size_t csum_iov_len(const struct iovec *iov, uint32_t n)
{
	size_t len = 0;

	for (uint32_t i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

uint16_t net_csum_value(const struct vio_frame_hdr *hdr, const struct iovec *iov, uint32_t n)
{
	size_t start = le16toh(hdr->csum_start), len = csum_iov_len(iov, n);
	uint16_t sum = (uint16_t)~net_csum_sum(iov, n, start, len - start);

	return sum ? sum : UINT16_MAX;
}

/* The header of a frame whose checksum is complete. */
static void csum_done(struct vio_frame_hdr *hdr)
{
	hdr->flags &= ~VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr->csum_start = hdr->csum_offset = 0;
}

static size_t csum_place(const struct vio_frame_hdr *hdr)
{
	return le16toh(hdr->csum_start) + le16toh(hdr->csum_offset);
}

void net_csum_complete(struct vio_frame_hdr *hdr, const struct iovec *iov, uint32_t n)
{
	uint16_t sum = net_csum_value(hdr, iov, n);
	const uint8_t *byte = (const uint8_t *)&sum;
	size_t at = csum_place(hdr), done = 0;

	for (uint32_t i = 0; i < n && done < sizeof(sum); i++) {
		for (; at < iov[i].iov_len && done < sizeof(sum); at++)
			((uint8_t *)iov[i].iov_base)[at] = byte[done++];
		at -= iov[i].iov_len;
	}
	csum_done(hdr);
}

/* Appends a vector unless it is empty. */
static uint32_t csum_append(struct iovec *out, uint32_t n, const struct iovec *iov, size_t from,
			    size_t to)
{
	if (from >= to)
		return n;
	out[n] = (struct iovec){(char *)iov->iov_base + from, to - from};
	return n + 1;
}

uint32_t net_csum_patch(struct vio_frame_hdr *hdr, const struct iovec *iov, uint32_t n,
			struct iovec *out, uint8_t patch[2])
{
	uint16_t sum = net_csum_value(hdr, iov, n);
	size_t at = csum_place(hdr), pos = 0; /* of the checksum; of iov[i] */
	bool patched = false;
	uint32_t n_out = 0;

	memcpy(patch, &sum, sizeof(sum));
	for (uint32_t i = 0; i < n; i++) {
		size_t len = iov[i].iov_len, end = pos + len;
		size_t before = at > pos ? at - pos : 0;
		size_t after = at + sizeof(sum) > pos ? at + sizeof(sum) - pos : 0;

		n_out = csum_append(out, n_out, &iov[i], 0, before < len ? before : len);
		if (!patched && at < end) {
			out[n_out++] = (struct iovec){patch, sizeof(sum)};
			patched = true;
		}
		n_out = csum_append(out, n_out, &iov[i], after, len);
		pos = end;
	}
	csum_done(hdr);
	return n_out;
}
