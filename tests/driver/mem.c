/* SPDX-License-Identifier: BSD-3-Clause */
#include <driver/mem.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void drv_mem_init(struct drv_mem *m)
{
	memset(m, 0, sizeof(*m));
}

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Bytes of a region's mapping without its two guard pages. */
static uint64_t mapped_size(uint64_t size)
{
	return vio_round_up(size, page_size());
}

void drv_mem_fini(struct drv_mem *m)
{
	for (unsigned i = 0; i < m->n; i++) {
		struct drv_region *r = &m->region[i];

		munmap(r->hva - page_size(), mapped_size(r->size) + 2 * page_size());
		close(r->fd);
	}
	m->n = 0;
}

/* Maps `fd` between two inaccessible pages. NULL with errno set on failure. */
static uint8_t *map_guarded(int fd, uint64_t size)
{
	uint64_t page = page_size(), len = mapped_size(size);
	uint8_t *base, *p;

	base = mmap(NULL, len + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	p = mmap(base + page, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	if (p == MAP_FAILED) {
		munmap(base, len + 2 * page);
		return NULL;
	}
	return p;
}

int drv_mem_add(struct drv_mem *m, uint64_t gpa, uint64_t size)
{
	struct drv_region *r = &m->region[m->n];
	int fd, err;

	if (m->n == DRV_MEM_MAX_REGIONS || size == 0)
		return -EINVAL;
	fd = memfd_create("guest-ram", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)mapped_size(size)) < 0)
		goto fail;
	r->hva = map_guarded(fd, size);
	if (!r->hva)
		goto fail;
	r->gpa = gpa;
	r->size = size;
	r->fd = fd;
	r->used = 0;
	m->n++;
	return 0;
fail:
	err = -errno;
	close(fd);
	return err;
}

int drv_mem_map(const struct drv_mem *m, struct vio_mem **out)
{
	struct vio_mem_region region[DRV_MEM_MAX_REGIONS];

	for (unsigned i = 0; i < m->n; i++) {
		region[i] = (struct vio_mem_region){.gpa = m->region[i].gpa,
						    .size = m->region[i].size,
						    .hva = m->region[i].hva,
						    .fd = m->region[i].fd};
	}
	return vio_mem_create(region, m->n, out);
}

uint64_t drv_mem_alloc_in(struct drv_mem *m, unsigned region, uint64_t size, uint64_t align)
{
	struct drv_region *r = &m->region[region];
	uint64_t start;

	if (region >= m->n)
		return DRV_NO_GPA;
	start = vio_round_up(r->gpa + r->used, align) - r->gpa;
	if (!vio_range_ok(start, size, r->size))
		return DRV_NO_GPA;
	r->used = start + size;
	return r->gpa + start;
}

uint64_t drv_mem_alloc(struct drv_mem *m, uint64_t size, uint64_t align)
{
	for (unsigned i = 0; i < m->n; i++) {
		uint64_t gpa = drv_mem_alloc_in(m, i, size, align);

		if (gpa != DRV_NO_GPA)
			return gpa;
	}
	return DRV_NO_GPA;
}

struct drv_mark drv_mem_mark(const struct drv_mem *m)
{
	struct drv_mark mark = {{0}};

	for (unsigned i = 0; i < m->n; i++)
		mark.used[i] = m->region[i].used;
	return mark;
}

void drv_mem_rewind(struct drv_mem *m, const struct drv_mark *mark)
{
	for (unsigned i = 0; i < m->n; i++)
		m->region[i].used = mark->used[i];
}

/* The region that holds `gpa`, or NULL. */
static const struct drv_region *region_of(const struct drv_mem *m, uint64_t gpa)
{
	for (unsigned i = 0; i < m->n; i++) {
		const struct drv_region *r = &m->region[i];

		if (gpa >= r->gpa && gpa - r->gpa < r->size)
			return r;
	}
	return NULL;
}

void *drv_mem_ptr(const struct drv_mem *m, uint64_t gpa, uint64_t len)
{
	const struct drv_region *r = region_of(m, gpa);

	if (!r || len > r->size - (gpa - r->gpa))
		return NULL;
	return r->hva + (gpa - r->gpa);
}

/* Host pointer to guest memory at `gpa` and in *part how much of `len` is there; NULL: no RAM. */
static uint8_t *mem_span(const struct drv_mem *m, uint64_t gpa, uint64_t len, uint64_t *part)
{
	const struct drv_region *r = region_of(m, gpa);

	if (!r)
		return NULL;
	*part = r->size - (gpa - r->gpa);
	if (*part > len)
		*part = len;
	return r->hva + (gpa - r->gpa);
}

int drv_mem_write(const struct drv_mem *m, uint64_t gpa, const void *src, uint64_t len)
{
	const uint8_t *from = src;
	uint64_t part = 0;

	for (; len > 0; gpa += part, from += part, len -= part) {
		uint8_t *p = mem_span(m, gpa, len, &part);

		if (!p)
			return -EFAULT;
		memcpy(p, from, part);
	}
	return 0;
}

int drv_mem_read(const struct drv_mem *m, uint64_t gpa, void *dst, uint64_t len)
{
	uint8_t *to = dst;
	uint64_t part = 0;

	for (; len > 0; gpa += part, to += part, len -= part) {
		const uint8_t *p = mem_span(m, gpa, len, &part);

		if (!p)
			return -EFAULT;
		memcpy(to, p, part);
	}
	return 0;
}
