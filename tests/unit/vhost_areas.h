/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_VHOST_AREAS_H
#define UNIT_VHOST_AREAS_H

/*
 * In-flight areas as the front-end of vhost_fe.h has them.
 */

#include <sys/mman.h>

#include "vhost_fe.h"

#define STRIDE(size) vio_round_up(vio_inflight_bytes(size), 64)

/* The areas as the front-end sees them. */
struct areas {
	struct vio_vhost_inflight d;
	int fd;
	void *map;
};

static inline struct vio_inflight *area(const struct areas *a, unsigned i)
{
	return (void *)((char *)a->map + a->d.mmap_offset + i * STRIDE(a->d.queue_size));
}

static inline void areas_map(struct areas *a)
{
	a->map = mmap(NULL, a->d.mmap_offset + a->d.mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		      a->fd, 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(a->map, MAP_FAILED);
}

static inline void areas_get(struct areas *a, struct fe *fe, uint16_t n, uint16_t size)
{
	*a = (struct areas){0};
	a->fd = fe_get_inflight(fe, n, size, &a->d);
	CU_ASSERT_TRUE_FATAL(a->fd >= 0);
	areas_map(a);
}

/* In a file of the front-end's own, at `offset`. */
static inline void areas_make(struct areas *a, uint16_t n, uint16_t size, uint64_t offset)
{
	a->d = (struct vio_vhost_inflight){
		.mmap_size = n * STRIDE(size), .mmap_offset = offset, n, size};
	a->fd = memfd_create("front-end", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	MUST(ftruncate(a->fd, (off_t)(offset + a->d.mmap_size)));
	areas_map(a);
}

static inline void areas_free(struct areas *a)
{
	munmap(a->map, a->d.mmap_offset + a->d.mmap_size);
	close(a->fd);
}

static inline int set(struct fe *fe, const struct areas *a)
{
	return fe_set_inflight(fe, &a->d, a->fd);
}

static inline unsigned marks(const struct vio_inflight *area)
{
	unsigned n = 0;

	for (unsigned i = 0; i < RING_SIZE; i++)
		n += area->desc[i].inflight != 0;
	return n;
}

static inline int begin(struct fe *fe)
{
	return fe_begin(fe, F_BASIC | F_PROTOCOL, P_ALL);
}

static inline int ring(struct fe *fe, uint32_t i, uint32_t base)
{
	int r = fe_ring(fe, i, base);

	return r ? r : fe_state(fe, VIO_VHOST_SET_VRING_ENABLE, i, 1);
}

/* The same driver and memory behind another connection: the server is another one, perhaps. */
static inline void reconnect(struct fe *fe)
{
	fe_disconnect(fe);
	fe->sock = fe_socket(fe->f->path);
	MUST(fe->sock);
	fe_turn(fe);
}

#endif
