/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transmit queues of a network card: frames with any header, cut into descriptors in any way, to a
 * port that is full now and then; descriptors that break rules. What reaches the port is what the
 * contract says, a plain frame arrives as it was sent, and what the driver only lends is not
 * changed.
 */
#include "fuzz_net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_PIECES 12

/* A header that a port may see (port.h): everything in it is meant and lies inside the frame. */
static void check_header(const struct fuzz_net *f, const struct test_port_frame *s)
{
	const struct vio_frame_hdr *h = &s->hdr;
	uint64_t host = f->drv.features & f->port->info.offloads;
	bool csum = h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;

	require(s->len >= 14 && s->len <= VIO_FRAME_MAX);
	require(!(h->flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM) && h->num_buffers == 0);
	require(le16toh(h->hdr_len) <= s->len);
	require(!csum || host & FUZZ_BIT(CSUM));
	require(!csum || le16toh(h->csum_start) + le16toh(h->csum_offset) + 2u <= s->len);
	if (h->gso_type == 0)
		return;
	require(csum && h->gso_size != 0);
	switch (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		require(host & FUZZ_BIT(HOST_TSO4));
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		require(host & FUZZ_BIT(HOST_TSO6));
		break;
	case VIRTIO_NET_HDR_GSO_UDP:
		require(host & FUZZ_BIT(HOST_UFO));
		break;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		require(host & FUZZ_BIT(HOST_USO));
		break;
	default:
		abort();
	}
	require(!(h->gso_type & VIRTIO_NET_HDR_GSO_ECN) || host & FUZZ_BIT(HOST_ECN));
}

static void check_sent(struct fuzz_net *f)
{
	for (uint16_t p = 0; p < FUZZ_NET_PAIRS; p++) {
		struct test_port_queue *tq = &f->port->queue[p];

		for (unsigned i = 0; i < tq->n_sent; i++)
			check_header(f, tq->sent[i]);
		test_port_forget(f->port, p);
	}
}

/* Rules are kept, and the port takes all: the frame arrives, or it makes no sense. */
static void good_frame(struct fuzz_net *f, struct fuzz_input *in, uint16_t pair)
{
	static struct fuzz_frame fr;
	struct test_port_queue *tq = &f->port->queue[pair];
	struct drv_net_hdr hdr = {0};
	struct drv_framing framing = {.first = fuzz_u8(in), .rest = fuzz_u16(in)};
	uint32_t len;

	if (drv_net_make_bufs(&f->net, drv_net_txq(pair), 1, 0x11000, 64) < 0) {
		fuzz_net_start(f); /* memory is used up */
		return;
	}
	framing.n_direct = fuzz_u8(in) & 1 ? DRV_DIRECT : fuzz_u8(in);
	fuzz_net_frame(f, in, &fr);
	if (framing.rest < (f->net.hdr_len + fr.len) / 12 + 1) /* no chain longer than the queue */
		framing.rest = (f->net.hdr_len + fr.len) / 12 + 1;
	memcpy(&hdr, &fr.hdr, sizeof(fr.hdr));
	test_port_take(f->port, pair, UINT_MAX);
	drv_device_settle(&f->drv);
	check_sent(f);
	if (drv_net_send(&f->net, pair, &hdr, fr.b, fr.len, &framing) < 0)
		return;
	require(drv_net_drain(&f->net, pair) == 0 && !vio_device_failed(f->dev));
	len = fr.len;
	if (hdr.flags == 0 && hdr.gso_type == 0 && len >= 14) {
		require(tq->n_sent == 1 && tq->sent[0]->len == len);
		require(memcmp(tq->sent[0]->bytes, fr.b, len) == 0);
	}
	check_sent(f);
}

/* A chain of any shape. */
static void any_chain(struct fuzz_net *f, struct fuzz_input *in, uint16_t pair)
{
	uint8_t *mem = vio_mem_ptr(f->rig.map, f->buf, 4096);
	struct drv_buf b[MAX_PIECES];
	uint32_t n = fuzz_net_bufs(in, f->buf, b, MAX_PIECES);

	fuzz_bytes(in, mem, 32);
	if (drv_queue_add(&f->drv.queue[drv_net_txq(pair)], b, n, fuzz_u8(in) & 1 ? DRV_DIRECT : 0,
			  NULL) < 0)
		return;
	drv_device_submit(&f->drv, drv_net_txq(pair));
}

/* Takes everything back. */
static void reap(struct fuzz_net *f)
{
	for (uint16_t p = 0; p < f->net.pairs; p++) {
		struct drv_used u;

		while (drv_queue_get(&f->drv.queue[drv_net_txq(p)], &u) == 1)
			require(u.len == 0);
	}
}

static void op(struct fuzz_net *f, struct fuzz_input *in)
{
	uint8_t what = fuzz_u8(in);
	uint16_t pair = (what >> 4) % f->net.pairs;

	switch (what & 7) {
	case 0:
	case 1:
		if (f->drv.queue[drv_net_txq(pair)].in_flight == 0)
			good_frame(f, in, pair);
		break;
	case 2:
	case 3:
		any_chain(f, in, pair);
		break;
	case 4:
		test_port_take(f->port, pair, fuzz_u8(in) % 4);
		break;
	case 5:
		if (what & 8) {
			fuzz_net_raw(f, in, drv_net_txq(pair));
			drv_device_settle(&f->drv);
			fuzz_net_start(f); /* the driver's own state is of no use now */
		}
		break;
	case 6:
		fuzz_net_start(f);
		break;
	case 7:
		vio_net_set_link(f->dev, what & 8);
		drv_device_settle(&f->drv);
		vio_net_set_link(f->dev, true);
		break;
	}
	fuzz_net_mend(f);
	reap(f);
	check_sent(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct fuzz_net *f = fuzz_net_open(&in);

	for (unsigned i = 0; in.left > 0 && i < 64; i++)
		op(f, &in);
	fuzz_net_close(f);
	return 0;
}
