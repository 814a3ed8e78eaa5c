/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control queue of a network card: commands of any class with any data, in any framing. Each is
 * answered, or the device fails; a frame passes whatever was set, or is dropped.
 */
#include "fuzz_net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_PIECES 12
#define RX_LEN	   2048

/* Frames in, after each command: hashes, filters, steering, offloads. */
static void bring(struct fuzz_net *f, struct fuzz_input *in)
{
	static struct fuzz_frame fr;
	static struct drv_net_frame got;

	for (uint16_t p = 0; p < f->net.pairs; p++)
		drv_net_post(&f->net, p, RX_LEN, 4, NULL);
	drv_device_settle(&f->drv);
	fuzz_net_frame(f, in, &fr);
	if (fr.len > RX_LEN)
		fr.len = RX_LEN;
	test_port_bring(f->port, fuzz_u8(in) % f->net.pairs, &fr.hdr, fr.b, fr.len);
	drv_device_settle(&f->drv);
	for (uint16_t p = 0; p < f->net.pairs; p++)
		while (drv_net_take(&f->net, p, &got) == 1)
			require(got.len <= fr.len || f->port->queue[p].n_waiting == 0);
	require(f->net.broken == 0);
}

static void start(struct fuzz_net *f)
{
	f->features |= FUZZ_BIT(CTRL_VQ);
	fuzz_net_start(f);
	for (uint16_t p = 0; p < f->net.pairs; p++)
		require(drv_net_make_bufs(&f->net, drv_net_rxq(p), 4, RX_LEN, 1) == 0);
}

/* Class, command and some data that are likely to get somewhere. */
static uint32_t likely(struct fuzz_input *in, uint8_t *b)
{
	static const uint8_t commands[][3] = {
		{0, 0, 1}, {0, 1, 1}, {0, 2, 1}, {0, 5, 1},  {1, 0, 20}, {1, 1, 6},
		{2, 0, 2}, {2, 1, 2}, {3, 0, 0}, {4, 0, 2},  {4, 1, 24}, {4, 2, 20},
		{5, 0, 8}, {6, 0, 8}, {6, 1, 8}, {6, 2, 12}, {6, 3, 4},	 {4, 1, 54},
	};
	const uint8_t *c = commands[fuzz_u8(in) % VIO_ARRAY_LEN(commands)];

	b[0] = c[0];
	b[1] = c[1];
	fuzz_bytes(in, b + 2, c[2]);
	return 2u + c[2];
}

/* Spread over descriptors as the input wants; the ack goes where there is room. */
static void command(struct fuzz_net *f, struct fuzz_input *in)
{
	struct drv_queue *q = &f->drv.queue[f->net.ctrl];
	uint8_t *mem = vio_mem_ptr(f->rig.map, f->buf, 4096), how = fuzz_u8(in);
	struct drv_buf b[MAX_PIECES + 2];
	uint64_t writable = 0;
	struct drv_used u;
	uint32_t n;

	if (how & 1) {
		uint32_t len = likely(in, mem), cut = how >> 1 & 1 ? fuzz_u8(in) % len : len;

		n = 0;
		if (cut)
			b[n++] = (struct drv_buf){f->buf, cut, false};
		if (cut < len)
			b[n++] = (struct drv_buf){f->buf + cut, len - cut, false};
		writable = how >> 2 & 1 ? fuzz_u8(in) : 9;
		if (writable)
			b[n++] = (struct drv_buf){f->buf + 2048, (uint32_t)writable, true};
	} else {
		n = fuzz_net_bufs(in, f->buf, b, MAX_PIECES);
		for (uint32_t i = 0; i < n; i++)
			writable += b[i].writable ? b[i].len : 0;
		fuzz_bytes(in, mem, 128);
	}
	if (drv_queue_add(q, b, n, how & 8 ? 0 : DRV_DIRECT, NULL) < 0)
		return;
	drv_device_submit(&f->drv, f->net.ctrl);
	if (drv_device_wait(&f->drv, f->net.ctrl, &u) == 1)
		require(u.len >= 1 && u.len <= writable && !vio_device_failed(f->dev));
	else
		require(vio_device_failed(f->dev));
	if (vio_device_failed(f->dev))
		start(f);
}

/* Commands whose data no random bytes make: hashes, steering, offloads. */
static void whole_command(struct fuzz_net *f, struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in), key[41];
	uint16_t table[128];
	struct drv_net_rss rss = {
		.types = fuzz_u16(in) & 0x3ff,
		.mask = how & 4 ? fuzz_u8(in) % 128 : (1u << (how >> 3 & 7)) - 1,
		.unclassified = fuzz_u8(in) % (FUZZ_NET_PAIRS + 1),
		.table = table,
		.max_tx = fuzz_u8(in) % (FUZZ_NET_PAIRS + 2),
		.key_len = how & 64 ? fuzz_u8(in) % sizeof(key) : 40,
		.key = key,
	};
	int r;

	for (unsigned i = 0; i < VIO_ARRAY_LEN(table); i++)
		table[i] = how & 128 ? fuzz_u8(in) % (FUZZ_NET_PAIRS + 1) : i % f->net.pairs;
	fuzz_bytes(in, key, sizeof(key));
	switch (how & 3) {
	case 0:
		r = drv_net_set_hash(&f->net, rss.types, key, rss.key_len);
		break;
	case 1:
		r = drv_net_set_offloads(&f->net, f->drv.features & fuzz_u32(in));
		break;
	default:
		r = drv_net_set_rss(&f->net, &rss);
		break;
	}
	require(r == VIRTIO_NET_OK || r == VIRTIO_NET_ERR);
	require(!vio_device_failed(f->dev));
}

static void op(struct fuzz_net *f, struct fuzz_input *in)
{
	uint8_t what = fuzz_u8(in);

	if (what == 0xff) {
		fuzz_net_raw(f, in, f->net.ctrl);
		drv_device_settle(&f->drv);
		start(f);
	} else if (what == 0xfe) {
		start(f);
	} else if (what & 2) {
		whole_command(f, in);
	} else {
		command(f, in);
	}
	if (what & 1)
		bring(f, in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct fuzz_net *f = fuzz_net_open(&in);

	start(f);
	for (unsigned i = 0; f->net.ctrl && in.left > 0 && i < 64; i++)
		op(f, &in);
	fuzz_net_close(f);
	return 0;
}
