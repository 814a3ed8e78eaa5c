/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_INFLIGHT_H
#define VIODM_INFLIGHT_H

/*
 * In-flight tracking of a split virtqueue, in memory that outlives this process: which chains were
 * taken and not yet used, in which order. A device that died and comes back takes those again, so
 * nothing the driver was promised is lost. The layout is the one that vhost-user shares between
 * front-end and back-end ("Inflight I/O tracking"); little-endian hosts only, as there.
 *
 * The area is shared with the peer, who is hostile: nothing read from it is believed unchecked.
 */

#include <viodm/util.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VIO_INFLIGHT_VERSION 1

struct vio_inflight_desc {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next;	  /* used before this one, in the batch of last_batch_head */
	uint64_t counter; /* order of being taken */
};

struct vio_inflight {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num; /* queue size */
	uint16_t last_batch_head;
	uint16_t used_idx; /* of the used ring, when the last batch was accounted for */
	struct vio_inflight_desc desc[];
};

/* Bytes of the area of a queue of `size` entries. */
static inline size_t vio_inflight_bytes(uint16_t size)
{
	return sizeof(struct vio_inflight) + size * sizeof(struct vio_inflight_desc);
}

/*
 * Makes a zeroed area ready, or checks one that was in use. 0, or -EINVAL when it is of another
 * version or queue size.
 */
VIO_EXPORT int vio_inflight_prepare(struct vio_inflight *area, uint16_t size);

/*
 * Settles the batch that was being published when the last owner died (`used_idx` is the used
 * ring's index) and lists the heads still in flight into `heads` (room for `size`), oldest first.
 * Returns how many. `next_counter` is set behind the highest in use. May allocate; -ENOMEM.
 */
VIO_EXPORT int vio_inflight_recover(struct vio_inflight *area, uint16_t size, uint16_t used_idx,
				    uint16_t *heads, uint64_t *next_counter);

#ifdef __cplusplus
}
#endif
#endif
