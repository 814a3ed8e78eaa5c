/* SPDX-License-Identifier: BSD-3-Clause */
#include "frame_buf.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ETH_HDR 14u
#define BATCH	64u

int frame_buf_init(struct frame_buf *fb, size_t size)
{
	fb->mem = malloc(size);
	fb->size = size;
	fb->head = fb->tail = 0;
	return fb->mem ? 0 : -ENOMEM;
}

void frame_buf_fini(struct frame_buf *fb)
{
	free(fb->mem);
}

void frame_buf_clear(struct frame_buf *fb)
{
	fb->head = fb->tail = 0;
}

size_t frame_buf_space(struct frame_buf *fb, uint8_t **at)
{
	if (fb->head > 0) {
		memmove(fb->mem, fb->mem + fb->head, fb->tail - fb->head);
		fb->tail -= fb->head;
		fb->head = 0;
	}
	*at = fb->mem + fb->tail;
	return fb->size - fb->tail;
}

void frame_buf_added(struct frame_buf *fb, size_t len)
{
	fb->tail += len;
}

bool frame_buf_put(struct frame_buf *fb, const void *frame, size_t len)
{
	uint32_t be = htobe32((uint32_t)len);
	uint8_t *at = fb->mem + fb->tail;

	if (fb->size - fb->tail < FRAME_BUF_LEN_SIZE + len &&
	    frame_buf_space(fb, &at) < FRAME_BUF_LEN_SIZE + len)
		return false;
	memcpy(at, &be, sizeof(be));
	memcpy(at + sizeof(be), frame, len);
	fb->tail += FRAME_BUF_LEN_SIZE + len;
	return true;
}

/* The complete frame at `at`: its length; 0: not all there; -EPROTO. */
static int next_frame(const struct frame_buf *fb, size_t at)
{
	uint32_t len;

	if (fb->tail - at < sizeof(len))
		return 0;
	memcpy(&len, fb->mem + at, sizeof(len));
	len = be32toh(len);
	if (len < ETH_HDR || len > VIO_FRAME_MAX)
		return -EPROTO;
	return fb->tail - at - sizeof(len) < len ? 0 : (int)len;
}

/* Up to BATCH frames; *len is what ended them: 0, -EPROTO, or the length of another. */
static unsigned collect(const struct frame_buf *fb, struct vio_frame *frames, struct iovec *iov,
			int *len)
{
	size_t at = fb->head;
	unsigned n = 0;

	while ((*len = next_frame(fb, at)) > 0 && n < BATCH) {
		iov[n] = (struct iovec){fb->mem + at + FRAME_BUF_LEN_SIZE, (size_t)*len};
		frames[n] = (struct vio_frame){.iov = &iov[n], .n_iov = 1, .len = (uint32_t)*len};
		at += FRAME_BUF_LEN_SIZE + (size_t)*len;
		n++;
	}
	return n;
}

enum frame_buf_state frame_buf_deliver(struct frame_buf *fb, struct vio_port_queue *pq,
				       const bool *on)
{
	struct vio_frame frames[BATCH];
	struct iovec iov[BATCH];
	unsigned n, taken, total = 0;
	int len = 0;

	do {
		n = taken = *on ? collect(fb, frames, iov, &len) : 0;
		if (n > 0)
			taken = pq->user->deliver(pq, frames, n);
		for (unsigned i = 0; i < taken; i++)
			fb->head += FRAME_BUF_LEN_SIZE + frames[i].len;
		total += taken;
	} while (*on && taken == n && len > 0);
	if (total > 0)
		pq->user->flush(pq);
	if (!*on || taken < n)
		return FRAME_BUF_NOROOM;
	return len < 0 ? FRAME_BUF_BROKEN : FRAME_BUF_DONE;
}
