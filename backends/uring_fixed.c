/* SPDX-License-Identifier: BSD-3-Clause */
#include "uring_fixed.h"

#include <string.h>
#include <sys/resource.h>

/* The kernel takes no larger piece as one buffer. */
#define PIECE_MAX ((size_t)1 << 30)

void uring_fixed_init(struct uring_fixed *f, struct io_uring *ring)
{
	memset(f, 0, sizeof(*f));
	f->have_files = io_uring_register_files_sparse(ring, URING_FIXED_FILES) == 0;
	f->have_mems = io_uring_register_buffers_sparse(ring, URING_FIXED_MEMS) == 0;
}

/* ---- files -------------------------------------------------------------------------------------
 */

int uring_fixed_file_add(struct uring_fixed *f, struct io_uring *ring, int fd)
{
	if (!f->have_files)
		return -1;
	for (unsigned i = 0; i < URING_FIXED_FILES; i++) {
		if (f->file_used[i])
			continue;
		if (io_uring_register_files_update(ring, i, &fd, 1) != 1)
			return -1;
		f->file_used[i] = true;
		return (int)i;
	}
	return -1;
}

void uring_fixed_file_remove(struct uring_fixed *f, struct io_uring *ring, int index)
{
	const int none = -1;

	if (index < 0)
		return;
	io_uring_register_files_update(ring, (unsigned)index, &none, 1);
	f->file_used[index] = false;
}

/* ---- memory ------------------------------------------------------------------------------------
 */

static bool mem_update(struct io_uring *ring, unsigned slot, const char *base, size_t len)
{
	/* liburing's type; the kernel writes there only when a read asks for it */
	const struct iovec iov = {.iov_base = (void *)(uintptr_t)base, .iov_len = len};
	const __u64 tag = 0;

	return io_uring_register_buffers_update_tag(ring, slot, &iov, &tag, 1) == 1;
}

static struct uring_fixed_mem *piece_of(struct uring_fixed *f, const char *base, size_t len)
{
	for (unsigned i = 0; i < URING_FIXED_MEMS; i++)
		if (f->mem[i].refs > 0 && f->mem[i].base == base && f->mem[i].len == len)
			return &f->mem[i];
	return NULL;
}

static struct uring_fixed_mem *piece_free(struct uring_fixed *f)
{
	for (unsigned i = 0; i < URING_FIXED_MEMS; i++)
		if (f->mem[i].refs == 0)
			return &f->mem[i];
	return NULL;
}

static bool limit_allows(const struct uring_fixed *f, size_t len)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
	       (limit.rlim_cur == RLIM_INFINITY ||
		vio_range_ok(f->mem_bytes, len, (uint64_t)limit.rlim_cur));
}

static bool piece_add(struct uring_fixed *f, struct io_uring *ring, const char *base, size_t len)
{
	struct uring_fixed_mem *m = piece_of(f, base, len);

	if (m) {
		m->refs++;
		return true;
	}
	m = piece_free(f);
	if (!m || !limit_allows(f, len) || !mem_update(ring, (unsigned)(m - f->mem), base, len))
		return false;
	*m = (struct uring_fixed_mem){.base = base, .len = len, .refs = 1};
	f->mem_bytes += len;
	return true;
}

static void piece_remove(struct uring_fixed *f, struct io_uring *ring, const char *base, size_t len)
{
	struct uring_fixed_mem *m = piece_of(f, base, len);

	if (!m || --m->refs > 0)
		return;
	mem_update(ring, (unsigned)(m - f->mem), NULL, 0);
	f->mem_bytes -= len;
}

/* Walks a map piece by piece; begins with *at = {0}. */
struct piece_at {
	size_t region;
	uint64_t off;
};

static bool piece_next(const struct vio_mem *mem, struct piece_at *at, const char **base,
		       size_t *len)
{
	uint64_t left;

	if (at->region == mem->n)
		return false;
	left = mem->region[at->region].size - at->off;
	*base = (const char *)mem->region[at->region].hva + at->off;
	*len = left < PIECE_MAX ? (size_t)left : PIECE_MAX;
	at->off += *len;
	if (at->off == mem->region[at->region].size)
		*at = (struct piece_at){.region = at->region + 1};
	return true;
}

unsigned uring_fixed_mem_add(struct uring_fixed *f, struct io_uring *ring,
			     const struct vio_mem *mem)
{
	struct piece_at at = {0};
	const char *base;
	unsigned n = 0;
	size_t len;

	while (f->have_mems && piece_next(mem, &at, &base, &len) && piece_add(f, ring, base, len))
		n++;
	return n;
}

void uring_fixed_mem_remove(struct uring_fixed *f, struct io_uring *ring, const struct vio_mem *mem,
			    unsigned n)
{
	struct piece_at at = {0};
	const char *base;
	size_t len;

	for (; n > 0 && piece_next(mem, &at, &base, &len); n--)
		piece_remove(f, ring, base, len);
}

int uring_fixed_mem_find(const struct uring_fixed *f, const void *p, size_t len)
{
	for (unsigned i = 0; i < URING_FIXED_MEMS && f->mem[i].len > 0; i++) {
		const struct uring_fixed_mem *m = &f->mem[i];

		if (m->refs > 0 && (uintptr_t)p - (uintptr_t)m->base < m->len &&
		    len <= m->len - ((uintptr_t)p - (uintptr_t)m->base))
			return (int)i;
	}
	return -1;
}
