/* SPDX-License-Identifier: BSD-3-Clause */
#include <driver/net.h>

#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <driver/net_buf.h>

#define HDR_LEN offsetof(struct drv_net_hdr, hash_value) /* NET-IMP-002 */

/* Of each direction of a command: two full tables of addresses, and some. */
#define CTRL_ROOM   0x10000u
#define CTRL_PIECES 200u

#define PAIRS_OFFSET offsetof(struct virtio_net_config, max_virtqueue_pairs)

static int broken(struct drv_net *n, const char *why)
{
	n->broken++;
	n->why = why;
	return -EPROTO;
}

int drv_net_init(struct drv_net *n, struct drv_device *dev)
{
	bool mq = drv_device_has(dev, VIRTIO_NET_F_MQ) || drv_device_has(dev, VIRTIO_NET_F_RSS);
	bool hash = drv_device_has(dev, VIRTIO_NET_F_HASH_REPORT);

	*n = (struct drv_net){
		.dev = dev,
		.pairs = mq ? drv_config_field(dev->bus, PAIRS_OFFSET, 2) : 1,
		.hdr_len = hash ? sizeof(struct drv_net_hdr) : HDR_LEN,
		.mergeable = drv_device_has(dev, VIRTIO_NET_F_MRG_RXBUF),
	};
	if (n->pairs == 0) /* what a device must not say: NET-DEV-002 */
		n->pairs = 1;
	if (drv_device_has(dev, VIRTIO_NET_F_CTRL_VQ))
		n->ctrl = 2 * n->pairs; /* NET-IMP-001 */
	n->ring = calloc(2u * n->pairs, sizeof(*n->ring));
	if (!n->ring)
		return -ENOMEM;
	if (!n->ctrl)
		return 0;
	if (drv_net_ring_init(&n->ctrl_out, dev->mem, 1, CTRL_ROOM, CTRL_PIECES) < 0 ||
	    drv_net_ring_init(&n->ctrl_in, dev->mem, 1, CTRL_ROOM, CTRL_PIECES) < 0) {
		drv_net_fini(n);
		return -ENOMEM;
	}
	return 0;
}

void drv_net_mac(const struct drv_net *n, uint8_t mac[6])
{
	for (uint32_t i = 0; i < 6; i++)
		mac[i] = (uint8_t)drv_config_field(n->dev->bus, i, 1);
}

void drv_net_fini(struct drv_net *n)
{
	for (unsigned i = 0; n->ring && i < 2u * n->pairs; i++)
		drv_net_ring_fini(&n->ring[i]);
	free(n->ring);
	n->ring = NULL;
	drv_net_ring_fini(&n->ctrl_out);
	drv_net_ring_fini(&n->ctrl_in);
}

int drv_net_make_bufs(struct drv_net *n, uint16_t queue, uint32_t n_bufs, uint32_t len,
		      uint32_t pieces)
{
	drv_net_ring_fini(&n->ring[queue]);
	return drv_net_ring_init(&n->ring[queue], n->dev->mem, n_bufs, len, pieces);
}

void drv_net_forget(struct drv_net *n, uint16_t queue)
{
	struct drv_net_ring *r = &n->ring[queue];

	for (uint32_t i = 0; i < r->n; i++)
		r->buf[i].busy = false;
}

/* ---- receiving ------------------------------------------------------------------------------- */

uint32_t drv_net_post(struct drv_net *n, uint16_t pair, uint32_t len, uint32_t max,
		      const struct drv_framing *framing)
{
	uint16_t queue = drv_net_rxq(pair);
	struct drv_net_ring *r = &n->ring[queue];
	struct drv_buf piece[DRV_NET_MAX_PIECES];
	uint32_t done = 0;

	while (done < max) {
		struct drv_net_buf *b = drv_net_ring_free(r);
		uint32_t k = b ? drv_net_buf_cut(b, n->dev->mem, len, framing, true, piece) : 0;

		if (k == 0 ||
		    drv_queue_add(&n->dev->queue[queue], piece, k, b->framing.n_direct, b) < 0)
			break;
		b->busy = true;
		done++;
	}
	if (done > 0)
		drv_device_submit(n->dev, queue);
	return done;
}

/* Bytes [from, len) of a buffer, which are of the frame, behind what `out` has of it. */
static int take_part(struct drv_net *n, struct drv_net_buf *b, uint32_t from, uint32_t len,
		     struct drv_net_frame *out)
{
	b->busy = false;
	if (len > b->len || from > len)
		return broken(n, "used length beyond the buffer");
	if (!drv_net_buf_intact(b, n->dev->mem))
		return broken(n, "bytes around a receive buffer were written to");
	if (len - from > DRV_NET_FRAME_MAX - out->len)
		return broken(n, "a frame longer than any");
	drv_net_buf_read(b, n->dev->mem, from, out->data + out->len, len - from);
	out->len += len - from;
	return 0;
}

/* The buffers of a frame behind the first one, which are there already (NET-DEV-042). */
static int take_rest(struct drv_net *n, struct drv_queue *q, struct drv_net_frame *out)
{
	for (uint32_t i = 1; i < out->n_buffers; i++) {
		struct drv_used u;

		if (drv_queue_get(q, &u) != 1)
			return broken(n, "a buffer that is not in flight");
		if (take_part(n, u.token, 0, u.len, out) < 0)
			return -EPROTO;
		if (i + 1 < out->n_buffers && u.len != ((struct drv_net_buf *)u.token)->len)
			return broken(n, "a buffer in the middle is not full"); /* NET-DEV-041 */
	}
	return 0;
}

static int take_frame(struct drv_net *n, struct drv_queue *q, const struct drv_used *first,
		      struct drv_net_frame *out)
{
	struct drv_net_buf *b = first->token;

	out->hdr = (struct drv_net_hdr){0};
	out->len = 0;
	if (first->len < n->hdr_len || first->len > b->len) {
		b->busy = false;
		return broken(n, "no header");
	}
	drv_net_buf_read(b, n->dev->mem, 0, &out->hdr, n->hdr_len);
	out->n_buffers = le16toh(out->hdr.num_buffers);
	if (take_part(n, b, n->hdr_len, first->len, out) < 0)
		return -EPROTO;
	if (out->n_buffers == 0 || (out->n_buffers > 1 && !n->mergeable))
		return broken(n, "num_buffers"); /* NET-DEV-034, -035, -039 */
	if (out->n_buffers > 1 && first->len != b->len)
		return broken(n, "the first buffer is not full"); /* NET-DEV-041 */
	if (drv_queue_ready(q) < out->n_buffers - 1)
		return broken(n, "buffers of one frame came one by one"); /* NET-DEV-042 */
	return take_rest(n, q, out);
}

int drv_net_take(struct drv_net *n, uint16_t pair, struct drv_net_frame *out)
{
	struct drv_queue *q = &n->dev->queue[drv_net_rxq(pair)];
	struct drv_used u;
	int r = drv_queue_get(q, &u);

	if (r < 0)
		return broken(n, "a receive buffer that is not in flight");
	if (r == 0)
		return 0;
	r = take_frame(n, q, &u, out);
	return r < 0 ? r : 1;
}

int drv_net_receive(struct drv_net *n, uint16_t pair, struct drv_net_frame *out)
{
	uint16_t queue = drv_net_rxq(pair);
	struct drv_used u;
	int r = drv_device_wait(n->dev, queue, &u);

	if (r < 0)
		return broken(n, "a receive buffer that is not in flight");
	if (r == 0)
		return 0;
	r = take_frame(n, &n->dev->queue[queue], &u, out);
	return r < 0 ? r : 1;
}

/* ---- sending --------------------------------------------------------------------------------- */

int drv_net_add(struct drv_net *n, uint16_t pair, const struct drv_net_hdr *hdr, const void *data,
		uint32_t len, const struct drv_framing *framing)
{
	static const struct drv_net_hdr zero;
	uint16_t queue = drv_net_txq(pair);
	struct drv_framing plain = {.first = n->hdr_len, .n_direct = DRV_DIRECT};
	struct drv_buf piece[DRV_NET_MAX_PIECES];
	struct drv_net_buf *b;
	uint32_t k;
	int r;

	r = drv_net_reap(n, pair);
	if (r < 0)
		return r;
	b = drv_net_ring_free(&n->ring[queue]);
	if (!b)
		return -ENOSPC;
	k = drv_net_buf_cut(b, n->dev->mem, n->hdr_len + len, framing ? framing : &plain, false,
			    piece);
	if (k == 0)
		return -ENOSPC;
	drv_net_buf_write(b, n->dev->mem, 0, hdr ? hdr : &zero, n->hdr_len);
	drv_net_buf_write(b, n->dev->mem, n->hdr_len, data, len);
	b->sum = drv_net_buf_sum(b, n->dev->mem);
	r = drv_queue_add(&n->dev->queue[queue], piece, k, b->framing.n_direct, b);
	if (r < 0)
		return r;
	b->busy = true;
	return 0;
}

int drv_net_send(struct drv_net *n, uint16_t pair, const struct drv_net_hdr *hdr, const void *data,
		 uint32_t len, const struct drv_framing *framing)
{
	int r = drv_net_add(n, pair, hdr, data, len, framing);

	if (r == 0)
		drv_device_submit(n->dev, drv_net_txq(pair));
	return r;
}

static int reap(struct drv_net *n, const struct drv_used *u)
{
	struct drv_net_buf *b = u->token;

	b->busy = false;
	if (u->len != 0)
		return broken(n, "bytes written to a transmit buffer");
	if (drv_net_buf_sum(b, n->dev->mem) != b->sum)
		return broken(n, "a transmit buffer was changed");
	return 0;
}

int drv_net_reap(struct drv_net *n, uint16_t pair)
{
	struct drv_used u;
	int done = 0, r;

	while ((r = drv_queue_get(&n->dev->queue[drv_net_txq(pair)], &u)) == 1) {
		r = reap(n, &u);
		if (r < 0)
			return r;
		done++;
	}
	return r < 0 ? broken(n, "a transmit buffer that is not in flight") : done;
}

int drv_net_drain(struct drv_net *n, uint16_t pair)
{
	uint16_t queue = drv_net_txq(pair);

	while (n->dev->queue[queue].in_flight > 0) {
		struct drv_used u;
		int r = drv_device_wait(n->dev, queue, &u);

		if (r < 0)
			return broken(n, "a transmit buffer that is not in flight");
		if (r == 0)
			return -ETIMEDOUT;
		r = reap(n, &u);
		if (r < 0)
			return r;
	}
	return 0;
}
