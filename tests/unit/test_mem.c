/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest memory map.
 */
#include <errno.h>
#include <string.h>

#include <viodm/mem.h>

#include "suite.h"

static uint8_t host[4][0x1000];

static struct vio_mem_region region(uint64_t gpa, uint64_t size, unsigned at)
{
	return (struct vio_mem_region){.gpa = gpa, .size = size, .hva = host[at], .fd = -1};
}

static void test_create_sorts(void)
{
	const struct vio_mem_region in[] = {region(0x9000, 0x1000, 2), region(0, 0x1000, 0),
					    region(0x5000, 0x800, 1)};
	struct vio_mem *mem = NULL;

	CU_ASSERT_EQUAL_FATAL(vio_mem_create(in, 3, &mem), 0);
	CU_ASSERT_EQUAL(mem->n, 3);
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_PTR_EQUAL(mem->region[i].hva, host[i]);
	CU_ASSERT_EQUAL(mem->region[1].gpa, 0x5000);
	CU_ASSERT_EQUAL(mem->region[1].size, 0x800);
	CU_ASSERT_EQUAL(mem->region[1].fd, -1);
	vio_mem_destroy(mem);
}

static int create(const struct vio_mem_region *r, size_t n)
{
	struct vio_mem *mem = NULL;
	int err = vio_mem_create(r, n, &mem);

	CU_ASSERT_EQUAL(err == 0, mem != NULL);
	vio_mem_destroy(mem);
	return err;
}

static void test_create_refuses(void)
{
	struct vio_mem_region r[2] = {region(0x1000, 0x1000, 0), region(0x2000, 0x1000, 1)};

	CU_ASSERT_EQUAL(create(r, 2), 0); /* touching is fine */
	CU_ASSERT_EQUAL(create(r, 0), 0); /* a guest without memory */
	r[1].gpa = 0x1fff;
	CU_ASSERT_EQUAL(create(r, 2), -EINVAL);
	r[1].gpa = 0x1000;
	CU_ASSERT_EQUAL(create(r, 2), -EINVAL);
	r[1].gpa = 0x800; /* the second covers the first */
	r[1].size = 0x3000;
	CU_ASSERT_EQUAL(create(r, 2), -EINVAL);
	r[1] = region(0x4000, 0, 1);
	CU_ASSERT_EQUAL(create(r, 2), -EINVAL);
	r[1] = region(0x4000, 0x1000, 1);
	r[1].hva = NULL;
	CU_ASSERT_EQUAL(create(r, 2), -EINVAL);
	r[1] = region(UINT64_MAX - 0xfff, 0x1000, 1); /* ends at 2^64 exactly */
	CU_ASSERT_EQUAL(create(r, 2), 0);
	r[1].size = 0x1001;
	CU_ASSERT_EQUAL(create(r, 2), -EINVAL);
	r[1] = region(UINT64_MAX - 0xfff, UINT64_MAX, 1);
	CU_ASSERT_EQUAL(create(r, 2), -EINVAL);
}

static void test_create_many(void)
{
	static struct vio_mem_region r[VIO_MEM_MAX_REGIONS + 1];
	struct vio_mem *mem = NULL;

	for (unsigned i = 0; i <= VIO_MEM_MAX_REGIONS; i++)
		r[i] = region((VIO_MEM_MAX_REGIONS - i) * UINT64_C(0x10000), 0x1000, i % 4);
	CU_ASSERT_EQUAL(create(r, VIO_MEM_MAX_REGIONS + 1), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(vio_mem_create(r, VIO_MEM_MAX_REGIONS, &mem), 0);
	for (unsigned i = 0; i < VIO_MEM_MAX_REGIONS; i++) {
		CU_ASSERT_PTR_EQUAL(vio_mem_ptr(mem, r[i].gpa, 0x1000), r[i].hva);
		CU_ASSERT_PTR_NULL(vio_mem_find(mem, r[i].gpa + 0x1000));
		CU_ASSERT_PTR_NULL(vio_mem_find(mem, r[i].gpa - 1));
	}
	vio_mem_destroy(mem);
}

/* Every byte of a small map, and every length from there. */
static void test_ptr_is_exact(void)
{
	const struct vio_mem_region in[] = {region(0x100, 16, 0), region(0x110, 16, 1),
					    region(0x140, 16, 2)};
	struct vio_mem *mem = NULL;

	CU_ASSERT_EQUAL_FATAL(vio_mem_create(in, 3, &mem), 0);
	for (uint64_t gpa = 0xf0; gpa < 0x160; gpa++) {
		unsigned at = gpa < 0x110 ? 0 : gpa < 0x120 ? 1 : 2;
		bool ram = gpa - in[at].gpa < 16;

		CU_ASSERT_EQUAL(vio_mem_find(mem, gpa) != NULL, ram);
		for (uint64_t len = 0; len < 40; len++) {
			bool fits = ram && gpa - in[at].gpa + len <= 16;
			void *want = fits ? host[at] + (gpa - in[at].gpa) : NULL;

			CU_ASSERT_PTR_EQUAL(vio_mem_ptr(mem, gpa, len), want);
		}
		CU_ASSERT_PTR_NULL(vio_mem_ptr(mem, gpa, UINT64_MAX));
		CU_ASSERT_PTR_NULL(vio_mem_ptr(mem, gpa, UINT64_MAX - gpa + 1));
		CU_ASSERT_PTR_NULL(vio_mem_ptr(mem, gpa, UINT64_MAX - gpa + 2));
	}
	vio_mem_destroy(mem);
}

static void test_top_of_address_space(void)
{
	const struct vio_mem_region in = region(UINT64_MAX - 0xfff, 0x1000, 3);
	struct vio_mem *mem = NULL;

	CU_ASSERT_EQUAL_FATAL(vio_mem_create(&in, 1, &mem), 0);
	CU_ASSERT_PTR_EQUAL(vio_mem_ptr(mem, UINT64_MAX, 1), host[3] + 0xfff);
	CU_ASSERT_PTR_NULL(vio_mem_ptr(mem, UINT64_MAX, 2));
	CU_ASSERT_PTR_EQUAL(vio_mem_ptr(mem, in.gpa, 0x1000), host[3]);
	CU_ASSERT_PTR_NULL(vio_mem_ptr(mem, in.gpa, 0x1001));
	CU_ASSERT_PTR_NULL(vio_mem_ptr(mem, 0, 1));
	vio_mem_destroy(mem);
}

static void test_no_map(void)
{
	CU_ASSERT_PTR_NULL(vio_mem_find(NULL, 0));
	CU_ASSERT_PTR_NULL(vio_mem_ptr(NULL, 0, 0));
	vio_mem_destroy(NULL);
}

static void test_checked_range(void)
{
	CU_ASSERT_TRUE(vio_range_ok(0, 0, 0));
	CU_ASSERT_TRUE(vio_range_ok(5, 5, 10));
	CU_ASSERT_FALSE(vio_range_ok(5, 6, 10));
	CU_ASSERT_TRUE(vio_range_ok(10, 0, 10));
	CU_ASSERT_FALSE(vio_range_ok(11, 0, 10));
	CU_ASSERT_FALSE(vio_range_ok(UINT64_MAX, 2, 10));
	CU_ASSERT_FALSE(vio_range_ok(2, UINT64_MAX, 10));
	CU_ASSERT_FALSE(vio_range_ok(UINT64_MAX, UINT64_MAX, UINT64_MAX));
	CU_ASSERT_TRUE(vio_range_ok(1, UINT64_MAX - 1, UINT64_MAX));
}

static CU_TestInfo tests[] = {
	{"regions are sorted", test_create_sorts},
	{"bad regions are refused", test_create_refuses},
	{"as many regions as there may be", test_create_many},
	{"translation is exact", test_ptr_is_exact},
	{"top of the address space", test_top_of_address_space},
	{"no map", test_no_map},
	{"checked ranges", test_checked_range},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("mem", tests);
}
