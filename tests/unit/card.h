/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_CARD_H
#define UNIT_CARD_H

/*
 * A virtio-net device on the port that keeps and brings what it is told to.
 */

#include <endian.h>
#include <linux/virtio_net.h>
#include <string.h>

#include <driver/test_port.h>
#include <viodm/net.h>

#include "dut.h"

#ifndef VIRTIO_NET_F_VQ_NOTF_COAL
#define VIRTIO_NET_F_VQ_NOTF_COAL 52
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define CARD_MAC                                                                                   \
	{                                                                                          \
		0x52, 0x54, 0, 0x12, 0x34, 0x56                                                    \
	}

#define F(name) DRV_FEATURE(VIRTIO_NET_F_##name)

/* Header of 12 bytes, and no interference from filters. */
#define CARD_PLAIN (F(MAC) | F(MTU))

struct card {
	struct drv_rig rig;
	struct test_port *port;
	struct vio_device *dev;
	struct drv_bus *bus;
	struct drv_device drv;
	uint32_t hdr_len;
};

/* A buffer that was given to the device. */
struct card_buf {
	uint64_t gpa;
	uint32_t len;
	uint8_t *mem;
};

/* The device behind a bus, not initialised. `cfg`: all but the port, or NULL. */
static inline void card_make(struct card *c, enum drv_bus_kind kind,
			     const struct vio_net_config *cfg, const struct vio_port_info *info)
{
	struct vio_net_config net = {.queue_size = 64, .has_mac = true, .mac = CARD_MAC};

	if (cfg)
		net = *cfg;
	memset(c, 0, sizeof(*c));
	MUST(drv_rig_init(&c->rig));
	MUST(test_port_open(info, &c->port));
	net.port = &c->port->base;
	MUST(vio_net_create(&c->rig.env, &net, &c->dev));
	MUST(drv_rig_connect(&c->rig, c->dev, kind, &c->bus, &c->drv));
}

static inline void card_start(struct card *c, uint64_t features)
{
	struct drv_device_config cfg = {.features = features};

	MUST(drv_device_start(&c->drv, &cfg));
	drv_device_settle(&c->drv);
	c->hdr_len = drv_device_has(&c->drv, VIRTIO_NET_F_HASH_REPORT) ? 20 : 12;
}

static inline void card_init(struct card *c, enum drv_bus_kind kind, uint64_t features)
{
	card_make(c, kind, NULL, NULL);
	card_start(c, features);
}

static inline void card_fini(struct card *c)
{
	drv_rig_disconnect(c->dev, c->bus, &c->drv);
	CU_ASSERT_EQUAL(c->port->attached, 0);
	test_port_close(c->port);
	drv_rig_fini(&c->rig);
}

static inline struct card_buf card_buf(struct card *c, uint32_t len)
{
	struct card_buf b = {.gpa = drv_mem_alloc(&c->rig.mem, len ? len : 1, 1), .len = len};

	if (b.gpa == DRV_NO_GPA)
		must(-12, "guest memory");
	b.mem = drv_mem_ptr(&c->rig.mem, b.gpa, len ? len : 1);
	memset(b.mem, 0xee, len);
	return b;
}

/* ---- transmitting ------------------------------------------------------------------------------
 */

/* Adds header and frame, cut into buffers of `first` bytes and then of `rest` (0: what is left). */
static inline int card_tx_add(struct card *c, uint16_t pair, const struct vio_frame_hdr *hdr,
			      const void *frame, uint32_t len, uint32_t first, uint32_t rest)
{
	uint32_t total = c->hdr_len + len, n = 0;
	struct card_buf all = card_buf(c, total);
	struct drv_buf *buf = calloc(total + 1, sizeof(*buf));
	int r;

	memset(all.mem, 0, total);
	if (hdr)
		memcpy(all.mem, hdr, sizeof(*hdr));
	memcpy(all.mem + c->hdr_len, frame, len);
	for (uint32_t at = 0; at < total; n++) {
		uint32_t part = n == 0 ? first : rest;

		if (part == 0 || part > total - at)
			part = total - at;
		buf[n] = (struct drv_buf){.gpa = all.gpa + at, .len = part};
		at += part;
	}
	r = drv_queue_add(&c->drv.queue[2 * pair + 1], buf, n, DRV_DIRECT, NULL);
	free(buf);
	return r < 0 ? r : 0;
}

static inline void card_tx_go(struct card *c, uint16_t pair)
{
	drv_device_submit(&c->drv, 2 * pair + 1);
	drv_device_settle(&c->drv);
}

/* How many frames of a pair came back; each with used length 0. */
static inline unsigned card_tx_done(struct card *c, uint16_t pair)
{
	struct drv_used u;
	unsigned n = 0;

	while (drv_queue_get(&c->drv.queue[2 * pair + 1], &u) == 1) {
		CU_ASSERT_EQUAL(u.len, 0);
		n++;
	}
	return n;
}

/* Sends one frame on pair 0 and waits for its buffer. */
static inline void card_tx(struct card *c, const struct vio_frame_hdr *hdr, const void *frame,
			   uint32_t len)
{
	MUST(card_tx_add(c, 0, hdr, frame, len, c->hdr_len, 0));
	card_tx_go(c, 0);
	CU_ASSERT_EQUAL(card_tx_done(c, 0), 1);
}

/* ---- receiving ---------------------------------------------------------------------------------
 */

/* Offers a buffer of `len` bytes, in pieces of `piece` (0: one). */
static inline struct card_buf card_rx_add(struct card *c, uint16_t pair, uint32_t len,
					  uint32_t piece)
{
	struct card_buf b = card_buf(c, len);
	struct drv_buf *buf = calloc(len + 1, sizeof(*buf));
	uint32_t n = 0;

	for (uint32_t at = 0; at < len; n++) {
		uint32_t part = piece == 0 || piece > len - at ? len - at : piece;

		buf[n] = (struct drv_buf){.gpa = b.gpa + at, .len = part, .writable = true};
		at += part;
	}
	MUST(drv_queue_add(&c->drv.queue[2 * pair], buf, n, DRV_DIRECT, NULL));
	free(buf);
	return b;
}

static inline void card_rx_go(struct card *c, uint16_t pair)
{
	drv_device_submit(&c->drv, 2 * pair);
	drv_device_settle(&c->drv);
}

static inline struct vio_frame_hdr card_hdr(const struct card_buf *b)
{
	struct vio_frame_hdr h;

	memcpy(&h, b->mem, sizeof(h));
	return h;
}

/* Takes one used buffer of a pair's receive queue; its length, or -1: none. */
static inline int64_t card_rx_get(struct card *c, uint16_t pair)
{
	struct drv_used u;

	return drv_queue_get(&c->drv.queue[2 * pair], &u) == 1 ? (int64_t)u.len : -1;
}

/* ---- control -----------------------------------------------------------------------------------
 */

/* Offers a command, without waiting. `out`: class, command, data. */
static inline struct card_buf card_ctrl_add(struct card *c, uint16_t queue, const void *out,
					    uint32_t len, uint32_t reply, uint32_t piece)
{
	struct card_buf o = card_buf(c, len), in = card_buf(c, reply);
	struct drv_buf *buf = calloc(len + 2, sizeof(*buf));
	uint32_t n = 0;

	memcpy(o.mem, out, len);
	for (uint32_t at = 0; at < len; n++) {
		uint32_t part = piece == 0 || piece > len - at ? len - at : piece;

		buf[n] = (struct drv_buf){.gpa = o.gpa + at, .len = part};
		at += part;
	}
	if (reply)
		buf[n++] = (struct drv_buf){.gpa = in.gpa, .len = reply, .writable = true};
	MUST(drv_queue_add(&c->drv.queue[queue], buf, n, DRV_DIRECT, NULL));
	free(buf);
	drv_device_submit(&c->drv, queue);
	return in;
}

/* The number of the control queue, as negotiated. */
static inline uint16_t card_ctrl_queue(const struct card *c)
{
	bool many = drv_device_has(&c->drv, VIRTIO_NET_F_MQ) ||
		    drv_device_has(&c->drv, VIRTIO_NET_F_RSS);

	return many ? vio_device_n_queues(c->dev) - 1 : 2;
}

/* Carries out a command; its ack byte, or -1 when none came. */
static inline int card_ctrl(struct card *c, uint8_t class, uint8_t command, const void *data,
			    uint32_t len)
{
	uint8_t out[2048] = {class, command};
	uint16_t q = card_ctrl_queue(c);
	struct card_buf in;
	struct drv_used u;

	if (len)
		memcpy(out + 2, data, len);
	in = card_ctrl_add(c, q, out, len + 2, 1, 0);
	if (drv_device_wait(&c->drv, q, &u) != 1)
		return -1;
	CU_ASSERT_EQUAL(u.len, 1);
	return in.mem[0];
}

/* ---- frames ------------------------------------------------------------------------------------
 */

/* A frame to the card's address whose other bytes depend on `seed`. */
static inline void card_frame(uint8_t *frame, uint32_t len, uint8_t seed)
{
	static const uint8_t mac[6] = CARD_MAC;

	for (uint32_t i = 0; i < len; i++)
		frame[i] = (uint8_t)(i * 13 + i / 256 + seed);
	memcpy(frame, mac, 6);
	frame[6] = 2;
	frame[12] = 0x88; /* local experimental */
	frame[13] = 0xb5;
}

#endif
