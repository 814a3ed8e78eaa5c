/* SPDX-License-Identifier: BSD-3-Clause */
#include <driver/blk.h>

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GUARD	    0xa5
#define GUARD_BYTES 3 /* odd, so that pieces are not aligned */

#define HEADER_LEN ((uint32_t)sizeof(struct virtio_blk_outhdr))

int drv_blk_init(struct drv_blk *b, struct drv_device *dev, uint64_t scratch)
{
	*b = (struct drv_blk){.dev = dev, .scratch_size = scratch};
	b->scratch_gpa = drv_mem_alloc(dev->mem, scratch, 16);
	if (b->scratch_gpa == DRV_NO_GPA)
		return -ENOMEM;
	return 0;
}

/* Guest memory for one piece, guarded on both sides. */
static int take_piece(struct drv_blk *b, struct drv_blk_piece *p, uint32_t len)
{
	uint64_t need = (uint64_t)len + 2 * GUARD_BYTES;
	uint8_t *mem;

	if (need > b->scratch_size - b->scratch_used)
		return -ENOMEM;
	mem = drv_mem_ptr(b->dev->mem, b->scratch_gpa + b->scratch_used, need);
	memset(mem, GUARD, need);
	p->gpa = b->scratch_gpa + b->scratch_used + GUARD_BYTES;
	p->len = len;
	b->scratch_used += need;
	return 0;
}

/* Cuts a stream of `len` bytes, whose natural first part has `head` bytes, into pieces. */
static int cut(struct drv_blk *b, struct drv_blk_req *r, uint64_t len, uint64_t head)
{
	const struct drv_framing *f = r->framing;
	uint64_t first = f ? (f->first ? f->first : f->rest) : head;
	uint64_t rest = f ? f->rest : 0;

	for (uint64_t at = 0; at < len;) {
		uint64_t n = at == 0 && first ? first : rest;

		if (n == 0 || n > len - at)
			n = len - at;
		if (r->n_pieces == DRV_BLK_MAX_PIECES ||
		    take_piece(b, &r->piece[r->n_pieces], (uint32_t)n) < 0)
			return -ENOMEM;
		r->n_pieces++;
		at += n;
	}
	return 0;
}

static uint8_t *piece_ptr(const struct drv_blk *b, const struct drv_blk_piece *p)
{
	uint8_t *mem = drv_mem_ptr(b->dev->mem, p->gpa - GUARD_BYTES, p->len + 2 * GUARD_BYTES);

	return mem + GUARD_BYTES;
}

/* Header and data out, spread over the readable pieces. */
static int fill_readable(struct drv_blk *b, struct drv_blk_req *r)
{
	struct virtio_blk_outhdr h = {.type = htole32(r->type), .sector = htole64(r->sector)};
	uint32_t at = 0;

	r->sent = malloc(HEADER_LEN + r->out_len);
	if (!r->sent)
		return -ENOMEM;
	memcpy(r->sent, &h, HEADER_LEN);
	if (r->out_len)
		memcpy(r->sent + HEADER_LEN, r->out, r->out_len);
	for (uint32_t i = 0; i < r->n_readable; i++) {
		memcpy(piece_ptr(b, &r->piece[i]), r->sent + at, r->piece[i].len);
		at += r->piece[i].len;
	}
	return 0;
}

/* Lays the request out in guest memory. */
static int build(struct drv_blk *b, struct drv_blk_req *r)
{
	const struct drv_blk_piece *last;
	int err;

	r->n_pieces = 0;
	r->sent = NULL;
	r->done = r->damaged = false;
	r->piece = calloc(DRV_BLK_MAX_PIECES, sizeof(*r->piece));
	if (!r->piece)
		return -ENOMEM;
	err = cut(b, r, (uint64_t)HEADER_LEN + r->out_len, HEADER_LEN);
	r->n_readable = r->n_pieces;
	if (err == 0)
		err = cut(b, r, (uint64_t)r->in_len + 1, r->in_len);
	if (err == 0)
		err = fill_readable(b, r);
	if (err < 0)
		return err;
	last = &r->piece[r->n_pieces - 1];
	piece_ptr(b, last)[last->len - 1] = DRV_BLK_NO_STATUS;
	return 0;
}

void drv_blk_forget(struct drv_blk *b, struct drv_blk_req *req)
{
	if (!req->piece)
		return;
	free(req->piece);
	free(req->sent);
	req->piece = NULL;
	req->sent = NULL;
	b->in_flight--;
}

int drv_blk_add(struct drv_blk *b, uint16_t queue, struct drv_blk_req *req)
{
	struct drv_buf *buf;
	int r;

	if (b->in_flight++ == 0)
		b->scratch_used = 0;
	r = build(b, req);
	buf = calloc(DRV_BLK_MAX_PIECES, sizeof(*buf));
	if (r == 0 && !buf)
		r = -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < req->n_pieces; i++)
		buf[i] = (struct drv_buf){.gpa = req->piece[i].gpa,
					  .len = req->piece[i].len,
					  .writable = i >= req->n_readable};
	if (r == 0)
		r = drv_queue_add(&b->dev->queue[queue], buf, req->n_pieces,
				  req->framing ? req->framing->n_direct : DRV_DIRECT, req);
	free(buf);
	if (r < 0) {
		drv_blk_forget(b, req);
		return r;
	}
	return 0;
}

int drv_blk_submit(struct drv_blk *b, uint16_t queue, struct drv_blk_req *req)
{
	int r = drv_blk_add(b, queue, req);

	if (r == 0)
		drv_device_submit(b->dev, queue);
	return r;
}

static bool guards_intact(const struct drv_blk *b, const struct drv_blk_piece *p)
{
	const uint8_t *mem = piece_ptr(b, p);

	for (unsigned i = 0; i < GUARD_BYTES; i++)
		if (mem[-1 - (int)i] != GUARD || mem[p->len + i] != GUARD)
			return false;
	return true;
}

/* Takes the answer out of guest memory. */
static void finish(struct drv_blk *b, struct drv_blk_req *r, uint32_t used_len)
{
	const struct drv_blk_piece *last = &r->piece[r->n_pieces - 1];
	uint32_t sent = 0, got = 0;

	r->used_len = used_len;
	r->status = piece_ptr(b, last)[last->len - 1];
	for (uint32_t i = 0; i < r->n_pieces; i++) {
		const struct drv_blk_piece *p = &r->piece[i];
		const uint8_t *mem = piece_ptr(b, p);

		r->damaged |= !guards_intact(b, p);
		if (i < r->n_readable) {
			r->damaged |= memcmp(mem, r->sent + sent, p->len) != 0;
			sent += p->len;
		} else {
			uint32_t n = p->len < r->in_len - got ? p->len : r->in_len - got;

			if (n > 0)
				memcpy((uint8_t *)r->in + got, mem, n);
			got += n;
		}
	}
	drv_blk_forget(b, r);
	r->done = true;
}

int drv_blk_poll(struct drv_blk *b, uint16_t queue)
{
	struct drv_used u;
	int n = 0, r;

	while ((r = drv_queue_get(&b->dev->queue[queue], &u)) == 1) {
		finish(b, u.token, u.len);
		n++;
	}
	return r < 0 ? r : n;
}

int drv_blk_wait(struct drv_blk *b, uint16_t queue, struct drv_blk_req *req)
{
	while (!req->done) {
		struct drv_used u;
		int r = drv_device_wait(b->dev, queue, &u);

		if (r <= 0)
			return r < 0 ? r : -ETIMEDOUT;
		finish(b, u.token, u.len);
	}
	return 0;
}

int drv_blk_do(struct drv_blk *b, uint16_t queue, struct drv_blk_req *req)
{
	int r = drv_blk_submit(b, queue, req);

	return r < 0 ? r : drv_blk_wait(b, queue, req);
}

static int do_plain(struct drv_blk *b, struct drv_blk_req *req)
{
	int r = drv_blk_do(b, 0, req);

	if (r == -ETIMEDOUT)
		drv_blk_forget(b, req);
	return r < 0 ? r : req->status;
}

int drv_blk_read(struct drv_blk *b, uint64_t sector, void *buf, uint32_t len)
{
	struct drv_blk_req req = {
		.type = VIRTIO_BLK_T_IN, .sector = sector, .in = buf, .in_len = len};

	return do_plain(b, &req);
}

int drv_blk_write(struct drv_blk *b, uint64_t sector, const void *buf, uint32_t len)
{
	struct drv_blk_req req = {
		.type = VIRTIO_BLK_T_OUT, .sector = sector, .out = buf, .out_len = len};

	return do_plain(b, &req);
}

int drv_blk_flush(struct drv_blk *b)
{
	struct drv_blk_req req = {.type = VIRTIO_BLK_T_FLUSH};

	return do_plain(b, &req);
}
