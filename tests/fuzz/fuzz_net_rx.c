/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receive queues of a network card: frames with any header, by way of room() or of deliver(), into
 * buffers of any shape, mergeable or not, and into rings that break rules. While the driver keeps
 * them, what it gets is whole frames with headers that were negotiated (driver/net.h checks).
 */
#include "fuzz_net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_PIECES 12
#define N_BUFS	   8
#define BUF_LEN	   4096

static void start(struct fuzz_net *f)
{
	fuzz_net_start(f);
	for (uint16_t p = 0; p < f->net.pairs; p++)
		require(drv_net_make_bufs(&f->net, drv_net_rxq(p), N_BUFS, BUF_LEN, 16) == 0);
}

/* What the driver may see, with the offloads it has accepted. */
static void check_frame(const struct fuzz_net *f, const struct drv_net_frame *got)
{
	const struct drv_net_hdr *h = &got->hdr;
	uint64_t guest = f->drv.features;
	bool csum = h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;

	require(got->len >= 14);
	require(!(h->flags & ~(VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)));
	require(h->flags == 0 || guest & FUZZ_BIT(GUEST_CSUM)); /* NET-DEV-043 */
	require(!csum || le16toh(h->csum_start) + le16toh(h->csum_offset) + 2u <= got->len);
	if (h->gso_type == 0)
		return;
	require(csum && h->gso_size != 0); /* NET-DEV-065, -066 */
	switch (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		require(guest & FUZZ_BIT(GUEST_TSO4)); /* NET-DEV-045 */
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		require(guest & FUZZ_BIT(GUEST_TSO6));
		break;
	case VIRTIO_NET_HDR_GSO_UDP:
		require(guest & FUZZ_BIT(GUEST_UFO)); /* NET-DEV-046 */
		break;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		require(guest & (FUZZ_BIT(GUEST_USO4) | FUZZ_BIT(GUEST_USO6)));
		break;
	default:
		abort();
	}
	require(!(h->gso_type & VIRTIO_NET_HDR_GSO_ECN) || guest & FUZZ_BIT(GUEST_ECN));
}

static void take(struct fuzz_net *f)
{
	static struct drv_net_frame got;

	for (uint16_t p = 0; p < f->net.pairs; p++)
		while (drv_net_take(&f->net, p, &got) == 1)
			check_frame(f, &got);
	require(f->net.broken == 0);
}

/* Buffers with room for a header at least, which is a driver's duty. */
static void post(struct fuzz_net *f, struct fuzz_input *in, uint16_t pair)
{
	struct drv_framing framing = {.first = fuzz_u8(in), .rest = fuzz_u16(in)};
	uint32_t len = f->net.hdr_len + fuzz_u16(in) % (BUF_LEN - f->net.hdr_len + 1);

	if (framing.rest < len / 12 + 1) /* no chain longer than the queue */
		framing.rest = len / 12 + 1;
	framing.n_direct = fuzz_u8(in) & 1 ? DRV_DIRECT : fuzz_u8(in);
	drv_net_post(&f->net, pair, len, 1 + fuzz_u8(in) % N_BUFS, &framing);
}

static void bring(struct fuzz_net *f, struct fuzz_input *in, uint16_t pair)
{
	static struct fuzz_frame fr;
	uint16_t piece;

	fuzz_net_frame(f, in, &fr);
	piece = fuzz_u16(in);
	f->port->direct = piece & 1;
	if (f->port->direct)
		test_port_bring(f->port, pair, &fr.hdr, fr.b, fr.len);
	else
		test_port_bring_cut(f->port, pair, &fr.hdr, fr.b, fr.len, 1 + piece);
}

/* Descriptors of any direction and length. The driver has lost track; a reset must help. */
static void hostile(struct fuzz_net *f, struct fuzz_input *in, uint16_t pair)
{
	struct drv_buf b[MAX_PIECES];
	uint8_t how = fuzz_u8(in);

	for (unsigned i = how & 7; i > 0; i--) {
		uint32_t n = fuzz_net_bufs(in, f->buf, b, MAX_PIECES);

		drv_queue_add(&f->drv.queue[drv_net_rxq(pair)], b, n, how & 8 ? 0 : DRV_DIRECT,
			      NULL);
		drv_device_submit(&f->drv, drv_net_rxq(pair));
	}
	if (how & 16)
		fuzz_net_raw(f, in, drv_net_rxq(pair));
	drv_device_settle(&f->drv);
	for (unsigned i = how >> 5; i > 0; i--)
		bring(f, in, pair);
	drv_device_settle(&f->drv);
	start(f);
}

static void op(struct fuzz_net *f, struct fuzz_input *in)
{
	uint8_t what = fuzz_u8(in);
	uint16_t pair = (what >> 4) % f->net.pairs;

	switch (what & 7) {
	case 0:
	case 1:
	case 2:
		post(f, in, pair);
		break;
	case 3:
	case 4:
		bring(f, in, pair);
		break;
	case 5:
		hostile(f, in, pair);
		break;
	case 6:
		if (what & 8)
			start(f);
		break;
	case 7:
		if (f->net.ctrl)
			drv_net_set_pairs(&f->net, fuzz_u8(in));
		vio_net_set_link(f->dev, what & 8);
		drv_device_settle(&f->drv);
		vio_net_set_link(f->dev, true);
		break;
	}
	drv_device_settle(&f->drv);
	require(!vio_device_failed(f->dev));
	take(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct fuzz_net *f = fuzz_net_open(&in);

	start(f);
	for (unsigned i = 0; in.left > 0 && i < 64; i++)
		op(f, &in);
	fuzz_net_close(f);
	return 0;
}
