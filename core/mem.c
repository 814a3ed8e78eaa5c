/* SPDX-License-Identifier: BSD-3-Clause */
#include <viodm/mem.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int region_cmp(const void *a, const void *b)
{
	const struct vio_mem_region *ra = a, *rb = b;

	return ra->gpa < rb->gpa ? -1 : ra->gpa > rb->gpa;
}

/* Sorted, each with memory behind it, none wrapping, none overlapping the next. */
static bool regions_valid(const struct vio_mem_region *r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (r[i].size == 0 || !r[i].hva || r[i].size - 1 > UINT64_MAX - r[i].gpa)
			return false;
		if (i > 0 && r[i].gpa - r[i - 1].gpa < r[i - 1].size)
			return false;
	}
	return true;
}

int vio_mem_create(const struct vio_mem_region *regions, size_t n, struct vio_mem **out)
{
	struct vio_mem *mem;

	if (n > VIO_MEM_MAX_REGIONS)
		return -EINVAL;
	mem = malloc(sizeof(*mem) + n * sizeof(mem->region[0]));
	if (!mem)
		return -ENOMEM;
	mem->n = n;
	if (n > 0) {
		memcpy(mem->region, regions, n * sizeof(mem->region[0]));
		qsort(mem->region, n, sizeof(mem->region[0]), region_cmp);
	}
	if (!regions_valid(mem->region, n)) {
		free(mem);
		return -EINVAL;
	}
	*out = mem;
	return 0;
}

void vio_mem_destroy(struct vio_mem *mem)
{
	free(mem);
}

const struct vio_mem_region *vio_mem_find(const struct vio_mem *mem, uint64_t gpa)
{
	size_t lo = 0, hi = mem ? mem->n : 0;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct vio_mem_region *r = &mem->region[mid];

		if (gpa < r->gpa)
			hi = mid;
		else if (gpa - r->gpa >= r->size)
			lo = mid + 1;
		else
			return r;
	}
	return NULL;
}

void *vio_mem_ptr(const struct vio_mem *mem, uint64_t gpa, uint64_t len)
{
	const struct vio_mem_region *r = vio_mem_find(mem, gpa);

	if (!r || !vio_range_ok(gpa - r->gpa, len, r->size))
		return NULL;
	return (char *)r->hva + (gpa - r->gpa);
}
