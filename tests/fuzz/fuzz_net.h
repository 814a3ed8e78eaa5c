/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FUZZ_NET_H
#define FUZZ_NET_H

/*
 * A network card on the test port, for the fuzzers of its queues.
 */

#include <driver/net.h>
#include <driver/rig.h>
#include <driver/test_port.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <viodm/net.h>

#include "fuzz_input.h"

#define FUZZ_NET_PAIRS	    3
#define FUZZ_NET_QUEUE_SIZE 16
#define FUZZ_NET_BUF	    (1u << 20) /* guest memory to build things in */

#define FUZZ_BIT(name) (UINT64_C(1) << VIRTIO_NET_F_##name)

struct fuzz_net {
	struct drv_rig rig;
	struct test_port *port;
	struct vio_device *dev;
	struct drv_bus *bus;
	struct drv_device drv;
	struct drv_net net;
	uint64_t features; /* wanted */
	uint64_t buf;
};

/* What must hold, whatever the input. */
#define require(ok) fuzz_net_require((ok), #ok, __LINE__)

static inline void fuzz_net_require(bool ok, const char *what, int line)
{
	if (ok)
		return;
	fprintf(stderr, "line %d: %s\n", line, what);
	abort();
}

/* The input says which features the driver takes; a subset that is refused is replaced by none. */
static inline void fuzz_net_start(struct fuzz_net *f)
{
	struct drv_device_config cfg = {.features = f->features, .queue_size = FUZZ_NET_QUEUE_SIZE};

	drv_net_fini(&f->net);
	if (drv_device_start(&f->drv, &cfg) != 0) {
		cfg.features = 0;
		require(drv_device_start(&f->drv, &cfg) == 0);
	}
	require(drv_net_init(&f->net, &f->drv) == 0);
	f->buf = drv_mem_alloc(&f->rig.mem, FUZZ_NET_BUF, 4096);
	require(f->buf != DRV_NO_GPA);
	drv_device_settle(&f->drv);
}

static inline struct fuzz_net *fuzz_net_open(struct fuzz_input *in)
{
	struct fuzz_net *f = calloc(1, sizeof(*f));
	uint8_t how = fuzz_u8(in);
	struct vio_port_info info = {
		.offloads = how & 1   ? UINT64_MAX
			    : how & 2 ? fuzz_u32(in)
				      : 0,
		.max_pairs = FUZZ_NET_PAIRS,
		.mtu = how & 4 ? 1500 : 0,
		.link_up = true,
		.speed = UINT32_MAX,
	};
	struct vio_net_config cfg = {.pairs = how & 8 ? FUZZ_NET_PAIRS : 1,
				     .queue_size = FUZZ_NET_QUEUE_SIZE};

	require(f != NULL);
	f->features = (uint64_t)fuzz_u32(in) << 32 | fuzz_u32(in);
	if (how & 16)
		f->features = UINT64_MAX;
	require(drv_rig_init(&f->rig) == 0);
	require(test_port_open(&info, &f->port) == 0);
	f->port->direct = how & 32;
	cfg.port = &f->port->base;
	require(vio_net_create(&f->rig.env, &cfg, &f->dev) == 0);
	require(drv_rig_connect(&f->rig, f->dev, DRV_MMIO, &f->bus, &f->drv) == 0);
	fuzz_net_start(f);
	return f;
}

static inline void fuzz_net_close(struct fuzz_net *f)
{
	drv_net_fini(&f->net);
	drv_rig_disconnect(f->dev, f->bus, &f->drv);
	test_port_close(f->port);
	drv_rig_fini(&f->rig);
	free(f);
}

/* After anything: a device that failed serves again after a reset. */
static inline void fuzz_net_mend(struct fuzz_net *f)
{
	drv_device_settle(&f->drv);
	if (vio_device_failed(f->dev))
		fuzz_net_start(f);
}

/* `n` descriptors of any length and direction, in memory from `gpa` on. Returns their number. */
static inline uint32_t fuzz_net_bufs(struct fuzz_input *in, uint64_t gpa, struct drv_buf *b,
				     uint32_t max)
{
	uint32_t n = fuzz_u8(in) % max + 1;

	for (uint32_t i = 0; i < n; i++) {
		uint8_t how = fuzz_u8(in);
		uint32_t len = how & 0x40 ? (how & 0x3fu) * 1111u : how & 0x3f;

		b[i] = (struct drv_buf){gpa, len, how & 0x80};
		gpa += len;
	}
	return n;
}

/* One descriptor that breaks what rules it likes, made available. */
static inline void fuzz_net_raw(struct fuzz_net *f, struct fuzz_input *in, uint16_t queue)
{
	struct drv_queue *q = &f->drv.queue[queue];
	uint16_t head = fuzz_u8(in) % (q->size + 1u);
	uint8_t how = fuzz_u8(in);
	uint64_t gpa = how & 1 ? fuzz_u32(in) : f->buf + fuzz_u16(in);
	uint32_t len = how & 2 ? fuzz_u32(in) : fuzz_u16(in);

	if (head < q->size)
		drv_desc_write(&q->desc[head], gpa, len, fuzz_u8(in) & 7, fuzz_u8(in) % 20);
	if (how & 4)
		drv_queue_set_avail_idx(q, fuzz_u16(in));
	else
		drv_queue_offer_raw(q, head);
	drv_kick(f->bus, queue);
}

/* A frame of the input's choice: a plain start, a header of any kind, a pattern behind. */
struct fuzz_frame {
	struct vio_frame_hdr hdr;
	uint32_t len;
	uint8_t b[VIO_FRAME_MAX];
};

static inline void fuzz_net_frame(const struct fuzz_net *f, struct fuzz_input *in,
				  struct fuzz_frame *fr)
{
	static const uint8_t gso[] = {0, 1, 3, 4, 5, 0x81, 0x20, 0x7f};
	static const uint16_t edges[] = {0, 6, 14, 16, 34, 54, 1448, 0xffff};
	uint8_t how = fuzz_u8(in), more = fuzz_u8(in);
	struct vio_frame_hdr *h = &fr->hdr;

	memset(h, 0, sizeof(*h));
	if (how & 1) {
		h->flags = more & 7;
		h->gso_type = gso[more >> 3 & 7];
		h->hdr_len = htole16(edges[fuzz_u8(in) & 7]);
		h->gso_size = htole16(edges[fuzz_u8(in) & 7]);
		h->csum_start = htole16(edges[fuzz_u8(in) & 7]);
		h->csum_offset = htole16(edges[fuzz_u8(in) & 7]);
	} else if (how & 2) {
		fuzz_bytes(in, h, sizeof(*h));
	}
	fr->len = how & 4 ? fuzz_u16(in) : how & 8 ? 14 + fuzz_u8(in) : 60;
	for (uint32_t i = 0; i < fr->len; i++)
		fr->b[i] = (uint8_t)i;
	if (how & 16)
		drv_net_mac(&f->net, fr->b);
	else
		fuzz_bytes(in, fr->b, 6);
	memcpy(fr->b + 12, how & 32 ? "\x81\0\0\5\x08\0\x45" : "\x08\0\x45\0\0\x28\0", 7);
	if (how & 64)
		fuzz_bytes(in, fr->b + 12, 64);
}

#endif
