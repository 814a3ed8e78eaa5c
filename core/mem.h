/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_MEM_H
#define VIODM_MEM_H

/*
 * The guest memory map: which guest-physical ranges are RAM and where this process sees them.
 *
 * A map is an immutable snapshot. To change memory, create a new map and hand it to every device
 * with vio_device_set_mem(), which stops and restarts the queues around the switch; then destroy
 * the old one. Only RAM belongs in a map: a descriptor that points anywhere else is a driver fault.
 */

#include <viodm/util.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The largest number of regions of one map. */
#define VIO_MEM_MAX_REGIONS 512

/*
 * One contiguous piece of guest RAM. Sizes and addresses are in bytes, without alignment
 * requirement. `fd` and `fd_offset` say which file backs `hva` (-1: none); a vhost back-end needs
 * them, the in-process back-ends do not. The library never closes `fd` and never unmaps `hva`.
 */
struct vio_mem_region {
	uint64_t gpa;
	uint64_t size;
	void *hva;
	int fd;
	uint64_t fd_offset;
};

struct vio_mem {
	size_t n;
	struct vio_mem_region region[]; /* ascending by gpa, disjoint */
};

/*
 * Copies `n` regions, in any order, into a new map. Returns 0, -EINVAL (a region of size 0, without
 * hva, wrapping past 2^64, overlapping another, or more than VIO_MEM_MAX_REGIONS) or -ENOMEM. Any
 * thread.
 */
VIO_EXPORT int vio_mem_create(const struct vio_mem_region *regions, size_t n, struct vio_mem **out);

/* Any thread, once no device uses the map. NULL is allowed. */
VIO_EXPORT void vio_mem_destroy(struct vio_mem *mem);

/* The region that holds `gpa`, or NULL. Any thread; costs a binary search. */
VIO_EXPORT const struct vio_mem_region *vio_mem_find(const struct vio_mem *mem, uint64_t gpa);

/*
 * Host pointer of guest-physical range [gpa, gpa + len) if all of it lies in one region, otherwise
 * NULL. This and the queue's walker (which splits at region borders) are the only places that turn
 * a guest address into a pointer. `len` may be 0: the address itself must still be RAM. Any thread.
 */
VIO_EXPORT void *vio_mem_ptr(const struct vio_mem *mem, uint64_t gpa, uint64_t len);

#ifdef __cplusplus
}
#endif
#endif
