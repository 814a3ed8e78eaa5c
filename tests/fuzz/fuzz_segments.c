/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames that say they are to be segmented, through the loop port to a receiver that takes what the
 * input says. Whatever the headers are: pieces that are too long, that say they are to be cut once
 * more, or that do not come to an end must not be there; nor may a frame that can be cut get lost
 * when the receiver has room only now and then.
 *
 * 2 bytes of offloads; then frames: a header, a byte that says how the frame is laid out and how
 * much room there is, 2 bytes of length, 64 bytes of the frame; the rest is made up.
 */
#include <endian.h>
#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <viodm/loop_manual.h>
#include <viodm/ports.h>

#include "fuzz_input.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD 64u

static struct {
	struct vio_loop *loop;
	struct vio_port *port;
	struct vio_port_queue *pq;
	uint64_t offloads;
	bool refused;
	unsigned room;
	unsigned pieces; /* of the last frame */
	bool writable;
	uint8_t data[VIO_FRAME_MAX];
} s;

static void require(bool ok)
{
	if (!ok)
		abort();
}

/* ---- the receiver ----------------------------------------------------------------------------
 */

static void check_piece(const struct vio_frame *f)
{
	static uint8_t copy[VIO_FRAME_MAX];
	uint32_t len = 0;

	require(f->len >= ETH_HLEN && f->len <= VIO_FRAME_MAX);
	require(f->hdr.gso_type == VIRTIO_NET_HDR_GSO_NONE || s.offloads);
	for (uint32_t i = 0; i < f->n_iov; i++) {
		require(f->iov[i].iov_len <= f->len - len);
		if (f->iov[i].iov_len > 0)
			memcpy(copy + len, f->iov[i].iov_base, f->iov[i].iov_len);
		len += (uint32_t)f->iov[i].iov_len;
	}
	require(len == f->len);
	if (f->hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		require(le16toh(f->hdr.csum_start) + le16toh(f->hdr.csum_offset) + 2u <= len);
}

static unsigned on_deliver(struct vio_port_queue *pq, const struct vio_frame *frames, unsigned n)
{
	(void)pq;
	require(!s.refused);
	for (unsigned i = 0; i < n; i++) {
		if (s.room == 0) {
			s.refused = true;
			return i;
		}
		s.room--;
		s.pieces++;
		check_piece(&frames[i]);
	}
	return n;
}

static bool on_room(struct vio_port_queue *pq, struct vio_port_room *room)
{
	(void)pq;
	(void)room;
	abort(); /* this port has the frames already */
}

static void on_received(struct vio_port_queue *pq, const struct vio_frame_hdr *hdr, size_t len)
{
	(void)pq;
	(void)hdr;
	(void)len;
	abort();
}

static void on_flush(struct vio_port_queue *pq)
{
	(void)pq;
}

static void on_writable(struct vio_port_queue *pq)
{
	(void)pq;
	s.writable = true;
}

static const struct vio_port_user user = {
	.room = on_room,
	.received = on_received,
	.deliver = on_deliver,
	.flush = on_flush,
	.writable = on_writable,
};

static void receive(unsigned room)
{
	s.refused = false;
	s.room = room;
	vio_port_receive(s.pq, true);
}

/* ---- the sender ------------------------------------------------------------------------------
 */

/* Headers that make sense as often as not. */
static void lay_out(struct vio_frame_hdr *hdr, uint8_t how, uint32_t len)
{
	uint32_t l3 = ETH_HLEN + (how & 1 ? 4u : 0u), l4 = l3 + (how & 2 ? 40u : 20u);
	bool tcp = (hdr->gso_type & 6) != 2 && hdr->gso_type != VIRTIO_NET_HDR_GSO_UDP_L4;

	if (how & 4 || len < l4 + 20)
		return;
	if (how & 1)
		memcpy(s.data + 12, "\x81\0\0\x05", 4);
	s.data[l3 - 2] = how & 2 ? 0x86 : 0x08;
	s.data[l3 - 1] = how & 2 ? 0xdd : 0;
	s.data[l3] = how & 2 ? 0x60 : 0x45;
	s.data[l3 + (how & 2 ? 6 : 9)] = tcp ? IPPROTO_TCP : IPPROTO_UDP;
	if (tcp)
		s.data[l4 + 12] |= 0x50;
	hdr->csum_start = htole16((uint16_t)l4);
	hdr->csum_offset = htole16(tcp ? 16 : 6);
}

/* As a device checks it before it sends. */
static bool passes(const struct vio_frame_hdr *hdr, uint32_t len)
{
	return hdr->gso_size && le16toh(hdr->csum_start) + le16toh(hdr->csum_offset) + 2u <= len;
}

/* Every frame comes to an end, with room for a few pieces at a time. */
static void finish(const struct vio_frame *f, bool sent, unsigned room)
{
	unsigned turns = 0;

	while (!sent || s.refused) {
		require(turns++ < 2 * VIO_FRAME_MAX);
		receive(room);
		while (vio_loop_manual_run(s.loop, 0) > 0)
			;
		if (!sent && s.writable)
			sent = vio_port_send(s.pq, f, 1) == 1;
	}
	while (vio_loop_manual_run(s.loop, 0) > 0)
		require(turns++ < 3 * VIO_FRAME_MAX);
	require(s.pieces <= f->len);
}

static void send_one(struct fuzz_input *in)
{
	struct vio_frame_hdr hdr;
	struct iovec iov[2];
	struct vio_frame f;
	uint8_t how;

	fuzz_bytes(in, &hdr, sizeof(hdr));
	how = fuzz_u8(in);
	f.len = fuzz_u16(in) + (how & 8 ? ETH_HLEN : 0u);
	fuzz_bytes(in, s.data, HEAD);
	if (f.len < ETH_HLEN || f.len > VIO_FRAME_MAX)
		return;
	lay_out(&hdr, how, f.len);
	if (hdr.gso_type != VIRTIO_NET_HDR_GSO_NONE && !passes(&hdr, f.len))
		return;
	hdr.flags = hdr.gso_type ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0;
	iov[0] = (struct iovec){s.data, f.len / 3};
	iov[1] = (struct iovec){s.data + f.len / 3, f.len - f.len / 3};
	f.hdr = hdr;
	f.iov = iov;
	f.n_iov = 2;
	s.pieces = 0;
	s.writable = false;
	receive(how >> 4);
	finish(&f, vio_port_send(s.pq, &f, 1) == 1, 500u + how);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	require(vio_loop_manual_create(&s.loop) == 0);
	require(vio_port_loop_open(&s.port) == 0);
	require(vio_port_attach(s.port, 0, s.loop, &user, NULL, &s.pq) == 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	s.offloads = (uint64_t)(fuzz_u16(&in) & 0xf) << VIRTIO_NET_F_GUEST_TSO4;
	require(vio_port_set_offloads(s.port, s.offloads) == 0);
	for (unsigned i = 0; in.left > 0 && i < 8; i++)
		send_one(&in);
	return 0;
}
