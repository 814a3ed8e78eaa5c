/* SPDX-License-Identifier: BSD-3-Clause */
#include "checks_net.h"

#include <endian.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <driver/net_buf.h>

/* How long to wait for what may never come, in times of silence. */
#define PROBES 10

void card_config_mac(struct run *r, uint8_t mac[6])
{
	for (uint32_t i = 0; i < 6; i++)
		mac[i] = (uint8_t)drv_config_field(r->bus, i, 1);
}

void card_start(struct run *r, struct card *c, uint64_t features)
{
	*c = (struct card){.r = r, .mac = {0x02, 0, 0, 0x76, 0x69, 0x6f}};
	run_start(r, "BASIC-DEV-005", features);
	if (drv_net_init(&c->net, &r->drv) < 0)
		skip(r, "out of guest memory");
	if (drv_device_has(&r->drv, VIRTIO_NET_F_MAC))
		card_config_mac(r, c->mac);
	if (c->net.ctrl >= r->drv.n_queues)
		c->net.ctrl = 0;
}

static void refill(struct card *c, uint16_t pair)
{
	drv_net_post(&c->net, pair, c->rx_len, CARD_N_BUFS, NULL);
}

void card_open_pair(struct card *c, uint16_t pair)
{
	if (drv_net_make_bufs(&c->net, drv_net_rxq(pair), CARD_N_BUFS, CARD_MAX_FRAME, 8) < 0 ||
	    drv_net_make_bufs(&c->net, drv_net_txq(pair), CARD_N_BUFS, CARD_MAX_FRAME + 64, 8) < 0)
		skip(c->r, "out of guest memory");
	refill(c, pair);
}

void card_open(struct run *r, struct card *c, uint64_t features, uint32_t rx_len)
{
	card_start(r, c, features);
	c->rx_len = rx_len;
	card_open_pair(c, 0);
}

void card_reenable(struct card *c, uint16_t queue)
{
	struct drv_device *d = &c->r->drv;

	drv_queue_clear(&d->queue[queue]);
	if (queue != c->net.ctrl)
		drv_net_forget(&c->net, queue);
	if (c->r->bus->ops->irq_setup)
		drv_irq_setup(c->r->bus, d->n_queues);
	drv_device_place_queue(d, queue);
}

void card_stop(struct card *c)
{
	drv_net_fini(&c->net);
	drv_device_stop(&c->r->drv);
}

/* ---- frames ------------------------------------------------------------------------------------
 */

void card_frame(struct card *c, uint8_t *frame, const uint8_t to[6], uint32_t len)
{
	static const uint8_t from[] = {0x02, 0, 0, 0, 0, 1, 0x88, 0xb5};
	__le32 serial = htole32(++c->serial);

	for (uint32_t i = 18; i < len; i++)
		frame[i] = (uint8_t)(i * 7 + c->serial * 13);
	memcpy(frame, to ? to : c->mac, 6);
	memcpy(frame + 6, from, sizeof(from));
	memcpy(frame + 14, &serial, sizeof(serial));
}

void card_send(struct card *c, const char *row, uint16_t pair, const struct drv_net_hdr *hdr,
	       const void *frame, uint32_t len)
{
	int ret = drv_net_drain(&c->net, pair);

	if (ret == 0)
		ret = drv_net_send(&c->net, pair, hdr, frame, len, NULL);
	if (ret == 0)
		ret = drv_net_drain(&c->net, pair);
	need(c->r, row, ret == 0, "a frame to be taken", "%s",
	     c->net.broken ? c->net.why : "it does not come back");
}

static bool await_used(struct card *c, struct drv_queue *q, unsigned ms)
{
	drv_device_settle(&c->r->drv);
	for (unsigned i = 0; drv_queue_ready(q) == 0; i++) {
		if (i >= ms)
			return false;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		drv_device_settle(&c->r->drv);
	}
	return true;
}

/* Bytes [from, used) of one buffer. */
static void hear_part(struct card *c, struct heard *h, const struct drv_used *u, uint32_t from)
{
	struct drv_net_buf *b = u->token;
	uint32_t end = u->len < b->len ? u->len : b->len;
	uint32_t n = end > from ? end - from : 0;

	b->busy = false;
	if (h->n < CARD_MAX_PARTS)
		h->used[h->n] = u->len;
	h->n++;
	if (n > CARD_MAX_FRAME - h->len)
		n = CARD_MAX_FRAME - h->len;
	if (n > 0)
		drv_net_buf_read(b, &c->r->mem, from, h->data + h->len, n);
	h->len += n;
}

bool card_hear_for(struct card *c, uint16_t pair, struct heard *h, unsigned ms)
{
	struct drv_queue *q = &c->r->drv.queue[drv_net_rxq(pair)];
	struct drv_used u;

	memset(h, 0, sizeof(*h));
	if (!await_used(c, q, ms))
		return false;
	h->ready = drv_queue_ready(q);
	if (drv_queue_get(q, &u) != 1)
		return false;
	drv_net_buf_read(u.token, &c->r->mem, 0, &h->hdr, c->net.hdr_len);
	h->claimed = le16toh(h->hdr.num_buffers);
	hear_part(c, h, &u, c->net.hdr_len);
	while (c->net.mergeable && h->n < h->claimed && await_used(c, q, PROBES * c->r->quiet_ms) &&
	       drv_queue_get(q, &u) == 1)
		hear_part(c, h, &u, 0);
	refill(c, pair);
	return true;
}

bool card_hear(struct card *c, uint16_t pair, struct heard *h)
{
	return card_hear_for(c, pair, h, c->r->drv.patience_ms);
}

bool card_silent(struct card *c, uint16_t pair)
{
	run_quiet(c->r);
	return drv_queue_ready(&c->r->drv.queue[drv_net_rxq(pair)]) == 0;
}

bool card_passes_frame(struct card *c, const char *row, const uint8_t *frame, uint32_t len)
{
	static struct heard h;

	card_send(c, row, 0, NULL, frame, len);
	/* On a network that gives back what is sent, it does so while it is sent, or never. */
	if (card_silent(c, 0))
		return false;
	return card_hear_for(c, 0, &h, 1) && h.len == len && memcmp(h.data, frame, len) == 0;
}

bool card_passes(struct card *c, const char *row, const uint8_t to[6])
{
	uint8_t frame[100];

	card_frame(c, frame, to, sizeof(frame));
	return card_passes_frame(c, row, frame, sizeof(frame));
}

void card_echo(struct card *c, const char *row, const struct drv_net_hdr *hdr, const void *frame,
	       uint32_t len, struct heard *h)
{
	card_send(c, row, 0, hdr, frame, len);
	need(c->r, row, card_hear(c, 0, h), "a frame to come back on this network",
	     "it does not, %u bytes", len);
}

void card_need_echo(struct card *c)
{
	static struct heard h;
	uint8_t frame[64];

	card_frame(c, frame, NULL, sizeof(frame));
	card_send(c, "BASIC-DEV-005", 0, NULL, frame, sizeof(frame));
	if (!card_hear_for(c, 0, &h, PROBES * c->r->quiet_ms))
		skip(c->r, "nothing comes back from this device's network");
	if (h.len != sizeof(frame) || memcmp(h.data, frame, sizeof(frame)) != 0)
		skip(c->r, "something else than what was sent comes back from the network");
}

/* ---- commands ----------------------------------------------------------------------------------
 */

uint8_t card_answer(struct card *c, const char *row, int ret)
{
	need(c->r, row, ret >= 0, "a command to be answered, and nothing else to be written",
	     "%s (%d)", c->net.broken ? c->net.why : "no answer", ret);
	return (uint8_t)ret;
}

void card_ok(struct card *c, const char *row, int ret, const char *command)
{
	need(c->r, row, card_answer(c, row, ret) == VIRTIO_NET_OK, "a command to be accepted",
	     "VIRTIO_NET_ERR for %s", command);
}
