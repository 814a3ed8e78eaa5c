/* SPDX-License-Identifier: BSD-3-Clause */
#include <driver/net_buf.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GUARD	    0x5a
#define GUARD_BYTES 3 /* odd, so that pieces are not aligned */

int drv_net_ring_init(struct drv_net_ring *r, struct drv_mem *mem, uint32_t n_bufs, uint32_t len,
		      uint32_t pieces)
{
	uint32_t room = len + (pieces + 1) * GUARD_BYTES;

	*r = (struct drv_net_ring){.buf = calloc(n_bufs, sizeof(*r->buf))};
	if (!r->buf)
		return -ENOMEM;
	for (; r->n < n_bufs; r->n++) {
		uint64_t gpa = drv_mem_alloc(mem, room, 1);

		if (gpa == DRV_NO_GPA)
			return -ENOMEM;
		r->buf[r->n] = (struct drv_net_buf){.gpa = gpa, .room = room};
	}
	return 0;
}

void drv_net_ring_fini(struct drv_net_ring *r)
{
	free(r->buf);
	*r = (struct drv_net_ring){0};
}

struct drv_net_buf *drv_net_ring_free(struct drv_net_ring *r)
{
	for (uint32_t i = 0; i < r->n; i++) {
		struct drv_net_buf *b = &r->buf[(r->next + i) % r->n];

		if (!b->busy) {
			r->next = (r->next + i + 1) % r->n;
			return b;
		}
	}
	return NULL;
}

static uint8_t *buf_mem(const struct drv_net_buf *b, struct drv_mem *mem)
{
	return drv_mem_ptr(mem, b->gpa, b->room);
}

/* The length of the piece that begins after `at` bytes of the buffer. */
static uint32_t next_piece(const struct drv_net_buf *b, uint32_t at)
{
	const struct drv_framing *f = &b->framing;
	uint32_t n = at == 0 && f->first ? f->first : f->rest;

	return n == 0 || n > b->len - at ? b->len - at : n;
}

uint32_t drv_net_buf_cut(struct drv_net_buf *b, struct drv_mem *mem, uint32_t len,
			 const struct drv_framing *framing, bool writable,
			 struct drv_buf out[DRV_NET_MAX_PIECES])
{
	uint32_t n = 0, at = 0, off = GUARD_BYTES;

	b->len = len;
	b->framing = framing ? *framing : (struct drv_framing){.n_direct = DRV_DIRECT};
	do {
		uint32_t part = next_piece(b, at);

		if (n == DRV_NET_MAX_PIECES || off + part + GUARD_BYTES > b->room)
			return 0;
		out[n++] = (struct drv_buf){b->gpa + off, part, writable};
		at += part;
		off += part + GUARD_BYTES;
	} while (at < len);
	memset(buf_mem(b, mem), GUARD, off);
	return n;
}

enum way { WRITE, READ };

/* Copies between bytes [from, from + len) of the buffer and `data`. */
static void copy(const struct drv_net_buf *b, struct drv_mem *mem, uint32_t from, void *data,
		 uint32_t len, enum way way)
{
	uint8_t *p = buf_mem(b, mem) + GUARD_BYTES, *d = data;
	uint32_t at = 0;

	while (at < b->len && len > 0) {
		uint32_t part = next_piece(b, at);

		if (from < at + part) {
			uint32_t skip = from - at;
			uint32_t n = part - skip < len ? part - skip : len;

			if (way == WRITE)
				memcpy(p + skip, d, n);
			else
				memcpy(d, p + skip, n);
			d += n;
			from += n;
			len -= n;
		}
		at += part;
		p += part + GUARD_BYTES;
	}
}

void drv_net_buf_write(const struct drv_net_buf *b, struct drv_mem *mem, uint32_t at,
		       const void *src, uint32_t len)
{
	copy(b, mem, at, (void *)(uintptr_t)src, len, WRITE);
}

void drv_net_buf_read(const struct drv_net_buf *b, struct drv_mem *mem, uint32_t at, void *dst,
		      uint32_t len)
{
	copy(b, mem, at, dst, len, READ);
}

static bool guard_intact(const uint8_t *p)
{
	for (int i = 0; i < GUARD_BYTES; i++)
		if (p[i] != GUARD)
			return false;
	return true;
}

bool drv_net_buf_intact(const struct drv_net_buf *b, struct drv_mem *mem)
{
	const uint8_t *p = buf_mem(b, mem);
	bool intact = guard_intact(p);

	p += GUARD_BYTES;
	for (uint32_t at = 0; at < b->len;) {
		uint32_t part = next_piece(b, at);

		intact &= guard_intact(p + part);
		p += part + GUARD_BYTES;
		at += part;
	}
	return intact;
}

/* FNV-1a over words, of all the memory that has pieces in it. */
uint64_t drv_net_buf_sum(const struct drv_net_buf *b, struct drv_mem *mem)
{
	const uint8_t *p = buf_mem(b, mem);
	uint64_t sum = 0xcbf29ce484222325u;
	uint32_t len = GUARD_BYTES;

	for (uint32_t at = 0; at < b->len;) {
		uint32_t part = next_piece(b, at);

		len += part + GUARD_BYTES;
		at += part;
	}
	for (; len >= 8; p += 8, len -= 8) {
		uint64_t word;

		memcpy(&word, p, sizeof(word));
		sum = (sum ^ word) * 0x100000001b3u;
	}
	for (; len > 0; p++, len--)
		sum = (sum ^ *p) * 0x100000001b3u;
	return sum;
}
