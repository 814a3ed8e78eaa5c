/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_URING_FIXED_H
#define VIODM_URING_FIXED_H

/*
 * What a ring has registered with the kernel, so that it is not looked up and pinned again for each
 * request: files, and guest memory. Both are an improvement only: without room or permission a
 * request does without. Not installed; the ring's thread.
 */

#include <liburing.h>

#include <viodm/mem.h>

#define URING_FIXED_FILES 64
#define URING_FIXED_MEMS  64

/* A registered piece of memory; shared by all queues of a device, and of devices of one guest. */
struct uring_fixed_mem {
	const char *base;
	size_t len;
	unsigned refs; /* 0: free */
};

struct uring_fixed {
	bool have_files, have_mems;
	bool file_used[URING_FIXED_FILES];
	struct uring_fixed_mem mem[URING_FIXED_MEMS];
	size_t mem_bytes; /* registered */
};

/* An older kernel has none of it. */
void uring_fixed_init(struct uring_fixed *f, struct io_uring *ring);

/* The number of a registered file, or -1: go on using the descriptor. */
int uring_fixed_file_add(struct uring_fixed *f, struct io_uring *ring, int fd);
void uring_fixed_file_remove(struct uring_fixed *f, struct io_uring *ring, int index);

/*
 * Registers the regions of a memory map, as far as RLIMIT_MEMLOCK goes (also for a process that
 * may exceed it: registered memory stays in RAM, so somebody should have allowed that). Returns
 * how many pieces; they stay pinned until uring_fixed_mem_remove() with that number.
 */
unsigned uring_fixed_mem_add(struct uring_fixed *f, struct io_uring *ring,
			     const struct vio_mem *mem);
void uring_fixed_mem_remove(struct uring_fixed *f, struct io_uring *ring, const struct vio_mem *mem,
			    unsigned n);

/* The number of the registered piece that holds all of [p, p + len), or -1. */
int uring_fixed_mem_find(const struct uring_fixed *f, const void *p, size_t len);

#endif
