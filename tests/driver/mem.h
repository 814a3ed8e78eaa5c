/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DRIVER_MEM_H
#define DRIVER_MEM_H

/*
 * Guest memory as a driver under test has it: one or more regions of RAM, each in a memfd of its
 * own so that it can be passed to another process, and a simple allocator of guest-physical
 * addresses.
 *
 * Every region stands between two pages that cannot be accessed: whoever treats regions that touch
 * in guest-physical memory as if they touched here dies at once.
 */

#include <stdint.h>

#include <viodm/mem.h>

#define DRV_MEM_MAX_REGIONS 16

/* What the allocator returns when nothing is left. */
#define DRV_NO_GPA UINT64_MAX

struct drv_region {
	uint64_t gpa;
	uint64_t size;
	uint8_t *hva;
	int fd;
	uint64_t used; /* bytes handed out, from the start */
};

struct drv_mem {
	struct drv_region region[DRV_MEM_MAX_REGIONS];
	unsigned n;
};

/* How far every region was handed out at some moment; see drv_mem_rewind(). */
struct drv_mark {
	uint64_t used[DRV_MEM_MAX_REGIONS];
};

/* An empty guest. `m` may hold anything before. */
void drv_mem_init(struct drv_mem *m);

/* Unmaps everything. */
void drv_mem_fini(struct drv_mem *m);

/* Adds zeroed RAM at [gpa, gpa + size). 0 or -errno. */
int drv_mem_add(struct drv_mem *m, uint64_t gpa, uint64_t size);

/* The regions as the library wants them. The caller destroys the map. 0 or -errno. */
int drv_mem_map(const struct drv_mem *m, struct vio_mem **out);

/*
 * `size` bytes of RAM from the first region that has them; `align` is a power of two. The contents
 * are what the previous user left, or zero. DRV_NO_GPA when no region has the room.
 */
uint64_t drv_mem_alloc(struct drv_mem *m, uint64_t size, uint64_t align);

/* The same from region number `region` only. */
uint64_t drv_mem_alloc_in(struct drv_mem *m, unsigned region, uint64_t size, uint64_t align);

/* Remembers what is handed out; a later rewind takes back all that was handed out since. */
struct drv_mark drv_mem_mark(const struct drv_mem *m);
void drv_mem_rewind(struct drv_mem *m, const struct drv_mark *mark);

/* Host pointer of [gpa, gpa + len), which must lie in one region; NULL otherwise. */
void *drv_mem_ptr(const struct drv_mem *m, uint64_t gpa, uint64_t len);

/* Copy to and from guest memory across regions. 0, or -EFAULT with part of it copied. */
int drv_mem_write(const struct drv_mem *m, uint64_t gpa, const void *src, uint64_t len);
int drv_mem_read(const struct drv_mem *m, uint64_t gpa, void *dst, uint64_t len);

#endif
