/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_NET_FRAME_BUF_H
#define VIODM_NET_FRAME_BUF_H

/*
 * A buffer of frames on their way to a device, each behind its length, 4 bytes big-endian: as they
 * come in a stream, and how frames that must wait are kept. Not installed.
 */

#include <viodm/port.h>

#define FRAME_BUF_LEN_SIZE 4u

struct frame_buf {
	uint8_t *mem;
	size_t size;
	size_t head, tail; /* what is there: [head, tail) */
};

/* `size` is enough for the longest frame. 0 or -ENOMEM. */
int frame_buf_init(struct frame_buf *fb, size_t size);
void frame_buf_fini(struct frame_buf *fb);

/* Forgets what is there. */
void frame_buf_clear(struct frame_buf *fb);

static inline bool frame_buf_empty(const struct frame_buf *fb)
{
	return fb->head == fb->tail;
}

/* Where the next bytes of a stream go; returns how many may. */
size_t frame_buf_space(struct frame_buf *fb, uint8_t **at);

/* That many of them are there. */
void frame_buf_added(struct frame_buf *fb, size_t len);

/* Adds a frame; false: it does not fit. */
bool frame_buf_put(struct frame_buf *fb, const void *frame, size_t len);

enum frame_buf_state {
	FRAME_BUF_DONE,	  /* all complete frames are delivered */
	FRAME_BUF_NOROOM, /* the device has no room */
	FRAME_BUF_BROKEN, /* a length that no frame has */
};

/* Delivers all complete frames, while *on, and flushes. */
enum frame_buf_state frame_buf_deliver(struct frame_buf *fb, struct vio_port_queue *pq,
				       const bool *on);

#endif
