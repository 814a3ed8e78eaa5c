/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_NET_SEGMENTS_H
#define VIODM_NET_SEGMENTS_H

/*
 * Cuts a frame of segments (virtio 1.4, "Packet Transmission": gso_type, gso_size) for a receiver
 * that does not take it whole: TCP and UDP over IPv4 and IPv6, and UDP in IP fragments. Not
 * installed.
 *
 * Segments leave their checksum to whoever takes them, as the frame did; fragments are whole.
 */

#include <viodm/port.h>

/* Ethernet, two VLAN tags, the longest IPv4 and TCP headers; shorter ones and a fragment header. */
#define SEGMENT_HEAD_MAX 160u

struct segments {
	uint8_t *flat; /* the frame: VIO_FRAME_MAX bytes */
	uint32_t len;
	uint8_t type; /* gso_type without ECN */
	bool v6;
	uint16_t l3, l4; /* offsets of headers */
	uint16_t body;	 /* ... of what is cut, which lies behind all that is repeated */
	uint16_t size;	 /* of a piece */
	uint32_t at;	 /* where the next piece begins */
	uint32_t n;	 /* pieces so far */
	bool more;	 /* there is a next one */
	uint32_t ident;	 /* of the last frame in IPv6 fragments */
};

/* One piece; `frame` refers to the rest, and to the frame that it is a piece of. */
struct segment {
	struct vio_frame frame;
	struct iovec iov[2];
	uint8_t head[SEGMENT_HEAD_MAX];
};

/* 0 or -ENOMEM. */
int segments_init(struct segments *s);
void segments_fini(struct segments *s);

/*
 * Takes a copy of a frame whose header a device has checked, and forgets the one before. 0, or
 * -EINVAL: it is not what its header says.
 */
int segments_begin(struct segments *s, const struct vio_frame *f);

/* Makes up to `n` segments; they are good until the next begin. Returns how many. */
unsigned segments_next(struct segments *s, struct segment *out, unsigned n);

#endif
