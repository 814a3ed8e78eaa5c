/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-rng.
 */
#include <string.h>

#include <viodm/rng.h>

#include "dut.h"

static void rng_init(struct dut *t, enum drv_bus_kind kind)
{
	MUST(drv_rig_init(&t->rig));
	MUST(vio_rng_create(&t->rig.env, &t->dev));
	MUST(drv_rig_connect(&t->rig, t->dev, kind, &t->bus, &t->drv));
	dut_start(t);
}

/* One request of these buffers; returns the used length. */
static uint32_t rng_get(struct dut *t, const struct drv_buf *b, uint32_t n, uint32_t n_direct)
{
	struct drv_used u = {.len = UINT32_MAX};

	MUST(drv_queue_add(&t->drv.queue[0], b, n, n_direct, NULL));
	drv_device_submit(&t->drv, 0);
	CU_ASSERT_EQUAL(drv_device_wait(&t->drv, 0, &u), 1);
	return u.len;
}

static void identity(enum drv_bus_kind kind)
{
	struct dut t;

	rng_init(&t, kind);
	CU_ASSERT_EQUAL(drv_get(t.bus, DRV_DEVICE_ID, 0), 4);
	CU_ASSERT_EQUAL(drv_offered(t.bus) & 0xffffff, 0); /* no bits of its own */
	CU_ASSERT_EQUAL(t.drv.n_queues, 1);
	CU_ASSERT_EQUAL(vio_device_config_size(t.dev), 0);
	dut_fini(&t);
}

static void test_identity(void)
{
	on_each_bus(identity);
}

/* How many of 8-byte words repeat the first; of random ones, none does. */
static unsigned repeats(const uint8_t *b, uint32_t len)
{
	unsigned n = 0;

	for (uint32_t i = 8; i + 8 <= len; i += 8)
		n += memcmp(b, b + i, 8) == 0;
	return n;
}

static void fills_what_it_gets(enum drv_bus_kind kind)
{
	static const uint32_t sizes[] = {1, 7, 8, 64, 255, 256, 257, 4096, 65536};
	struct dut t;

	rng_init(&t, kind);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(sizes); i++) {
		uint32_t len = sizes[i];
		struct drv_buf b = {drv_mem_alloc(&t.rig.mem, len + 8, 8), len, true};
		uint8_t *mem = drv_mem_ptr(&t.rig.mem, b.gpa, len + 8);

		memset(mem, 0, len + 8);
		CU_ASSERT_EQUAL(rng_get(&t, &b, 1, i % 2), len);
		CU_ASSERT_EQUAL(repeats(mem, len), 0);
		CU_ASSERT_EQUAL(memcmp(mem + len, "\0\0\0\0\0\0\0\0", 8), 0);
	}
	dut_fini(&t);
}

static void test_fills_what_it_gets(void)
{
	on_each_bus(fills_what_it_gets);
}

/* Two requests do not get the same bytes. */
static void test_fresh_each_time(void)
{
	struct drv_buf b[2];
	struct dut t;

	rng_init(&t, DRV_MMIO);
	for (unsigned i = 0; i < 2; i++) {
		b[i] = (struct drv_buf){drv_mem_alloc(&t.rig.mem, 32, 8), 32, true};
		CU_ASSERT_EQUAL(rng_get(&t, &b[i], 1, DRV_DIRECT), 32);
	}
	CU_ASSERT_NOT_EQUAL(memcmp(drv_mem_ptr(&t.rig.mem, b[0].gpa, 32),
				   drv_mem_ptr(&t.rig.mem, b[1].gpa, 32), 32),
			    0);
	dut_fini(&t);
}

/* Any framing; what the driver only lets it read is neither used nor changed. */
static void test_framing(void) /* SPLIT-DEV-003, SPLIT-DEV-005 */
{
	struct drv_buf b[6];
	uint8_t *readable;
	struct dut t;

	rng_init(&t, DRV_MMIO);
	for (unsigned i = 0; i < 6; i++)
		b[i] = (struct drv_buf){drv_mem_alloc(&t.rig.mem, 40, 1), i * 7, i > 1};
	readable = drv_mem_ptr(&t.rig.mem, b[1].gpa, 40);
	memset(readable, 0x42, 40);
	for (uint32_t direct = 0; direct <= 6; direct++)
		CU_ASSERT_EQUAL(rng_get(&t, b, 6, direct), 14 + 21 + 28 + 35);
	for (unsigned i = 0; i < 40; i++)
		CU_ASSERT_EQUAL(readable[i], 0x42);
	CU_ASSERT_EQUAL(rng_get(&t, b, 2, DRV_DIRECT), 0); /* nothing to write to */
	CU_ASSERT_EQUAL(drv_status(t.bus) & NEEDS_RESET, 0);
	dut_fini(&t);
}

/* No request is worth more than a bounded amount of work, however much of memory it names. */
static void test_huge_request(void)
{
	struct drv_buf b = {DRV_RIG_RAM_GPA + 0x800000, DRV_RIG_RAM_SIZE, true};
	struct drv_buf many[16];
	uint32_t len;
	struct dut t;

	rng_init(&t, DRV_MMIO);
	len = rng_get(&t, &b, 1, DRV_DIRECT); /* over a region border, too */
	CU_ASSERT(len > 0 && len <= 1 << 20);
	for (unsigned i = 0; i < 16; i++)
		many[i] = (struct drv_buf){b.gpa, 0x700000, true};
	len = rng_get(&t, many, 16, DRV_DIRECT); /* the same memory many times over */
	CU_ASSERT(len > 0 && len <= 1 << 20);
	dut_fini(&t);
}

/* A full ring at once. */
static void test_full_ring(void)
{
	struct drv_used u;
	unsigned n = 0;
	struct dut t;

	rng_init(&t, DRV_MMIO);
	for (unsigned round = 0; round < 10; round++) {
		for (uint16_t i = 0; i < t.drv.queue[0].size; i++) {
			struct drv_buf b = {drv_mem_alloc(&t.rig.mem, 16, 8), 16, true};

			MUST(drv_queue_add(&t.drv.queue[0], &b, 1, DRV_DIRECT, NULL));
		}
		drv_device_submit(&t.drv, 0);
		drv_device_settle(&t.drv);
		while (drv_queue_get(&t.drv.queue[0], &u) == 1)
			n += u.len == 16;
	}
	CU_ASSERT_EQUAL(n, 10u * t.drv.queue[0].size);
	dut_fini(&t);
}

static CU_TestInfo tests[] = {
	{"identity", test_identity},
	{"fills what it gets", test_fills_what_it_gets},
	{"fresh bytes each time", test_fresh_each_time},
	{"any framing", test_framing},
	{"a huge request", test_huge_request},
	{"a full ring", test_full_ring},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("rng", tests);
}
