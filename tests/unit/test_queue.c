/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The chain walker: what a driver may build is walked as built, what it may not build is a fault.
 * Indices and notifications are in test_ring.c.
 */
#include <errno.h>

#include "queue_fix.h"

#define N8 8u

/* ---- legal chains ------------------------------------------------------------------------------
 */

/* Does entry `i` of the chain show exactly this guest memory? */
static bool shows(const struct fix *f, const struct vio_chain *c, uint32_t i, uint64_t gpa,
		  uint64_t len)
{
	return c->iov[i].iov_len == len && c->iov[i].iov_base == drv_mem_ptr(&f->mem, gpa, len);
}

/* Pops one chain, which must be the buffers `b`, and returns it to the driver. */
static void expect_chain(struct fix *f, uint16_t head, const struct drv_buf *b, uint32_t n)
{
	struct vio_chain *c = NULL;
	uint32_t n_readable = 0;
	uint64_t readable = 0, writable = 0;

	CU_ASSERT_EQUAL_FATAL(vio_queue_pop(&f->q, &c), 1);
	CU_ASSERT_EQUAL(c->head, head);
	CU_ASSERT_EQUAL_FATAL(c->n_readable + c->n_writable, n);
	for (uint32_t i = 0; i < n; i++) {
		CU_ASSERT(shows(f, c, i, b[i].gpa, b[i].len));
		n_readable += !b[i].writable;
		readable += b[i].writable ? 0 : b[i].len;
		writable += b[i].writable ? b[i].len : 0;
	}
	CU_ASSERT_EQUAL(c->n_readable, n_readable);
	CU_ASSERT_EQUAL(c->readable_len, readable);
	CU_ASSERT_EQUAL(c->writable_len, writable);
	vio_queue_push(&f->q, c, writable);
	vio_queue_publish(&f->q);
}

/* Every split of 1..8 buffers into readable and writable, and into direct and indirect. */
static void test_any_layout(void) /* SPLIT-DEV-010, SPLIT-IMP-007 */
{
	struct drv_buf b[N8];
	struct drv_used u;
	struct fix f;

	fix_init(&f, N8, true, true);
	for (uint32_t n = 1; n <= N8; n++) {
		for (uint32_t k = 0; k < (n + 1) * (n + 1); k++) {
			uint32_t readable = k / (n + 1), direct = k % (n + 1);
			uint16_t head;

			fix_bufs(&f, b, n, 512, readable);
			head = fix_offer(&f, b, n, direct);
			expect_chain(&f, head, b, n);
			CU_ASSERT_EQUAL_FATAL(drv_queue_get(&f.d, &u), 1);
			CU_ASSERT_EQUAL(u.head, head);
			CU_ASSERT_EQUAL(u.len, (n - readable) * 512);
		}
	}
	fix_fini(&f);
}

/* next may lead anywhere in the table, in any order. */
static void test_indirect_any_order(void) /* SPLIT-IMP-006 */
{
	static const uint16_t order[] = {0, 5, 2, 7, 1};
	struct drv_buf b[VIO_ARRAY_LEN(order)];
	struct fix f;

	fix_init(&f, N8, false, true);
	fix_bufs(&f, b, VIO_ARRAY_LEN(order), 100, 2);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(order); i++) {
		bool last = i + 1 == VIO_ARRAY_LEN(order);

		drv_desc_write(&f.d.table[order[i]], b[i].gpa, b[i].len,
			       (uint16_t)((b[i].writable ? VRING_DESC_F_WRITE : 0) |
					  (last ? 0 : VRING_DESC_F_NEXT)),
			       last ? 0xffff : order[i + 1]);
	}
	drv_desc_write(&f.d.desc[3], f.d.table_gpa, 8 * 16, VRING_DESC_F_INDIRECT, 0);
	drv_queue_offer_raw(&f.d, 3);
	expect_chain(&f, 3, b, VIO_ARRAY_LEN(order));
	fix_fini(&f);
}

static void test_indirect_write_flag_ignored(void) /* SPLIT-DEV-009 */
{
	struct drv_buf b[2];
	struct fix f;

	fix_init(&f, N8, false, true);
	fix_bufs(&f, b, 2, 64, 1);
	drv_desc_write(&f.d.table[0], b[0].gpa, 64, VRING_DESC_F_NEXT, 1);
	drv_desc_write(&f.d.table[1], b[1].gpa, 64, VRING_DESC_F_WRITE, 0);
	drv_desc_write(&f.d.desc[0], f.d.table_gpa, 32, VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE,
		       0);
	drv_queue_offer_raw(&f.d, 0);
	expect_chain(&f, 0, b, 2);
	fix_fini(&f);
}

/* A buffer over a border between regions becomes one entry per region. */
static void test_split_at_region_border(void)
{
	struct drv_buf b = {.gpa = RAM_B - 100, .len = 100 + RAM_B_SIZE + 50, .writable = true};
	struct vio_chain *c = NULL;
	struct fix f;

	fix_init(&f, N8, false, true);
	for (uint32_t direct = 0; direct < 2; direct++) {
		struct drv_used u;

		fix_offer(&f, &b, 1, direct);
		CU_ASSERT_EQUAL_FATAL(vio_queue_pop(&f.q, &c), 1);
		CU_ASSERT_EQUAL_FATAL(c->n_writable, 3);
		CU_ASSERT(shows(&f, c, 0, RAM_B - 100, 100));
		CU_ASSERT(shows(&f, c, 1, RAM_B, RAM_B_SIZE));
		CU_ASSERT(shows(&f, c, 2, RAM_C, 50));
		CU_ASSERT_EQUAL(c->writable_len, b.len);
		vio_queue_push(&f.q, c, 0);
		vio_queue_publish(&f.q);
		CU_ASSERT_EQUAL(drv_queue_get(&f.d, &u), 1);
	}
	fix_fini(&f);
}

/* As many buffers as the queue is long, each over a border: room for that or a fault, no overrun.
 */
static void test_every_buffer_over_a_border(void)
{
	struct drv_buf b[N8];
	struct vio_chain *c = NULL;
	struct fix f;
	int r;

	fix_init(&f, N8, false, true);
	for (unsigned i = 0; i < N8; i++)
		b[i] = (struct drv_buf){.gpa = RAM_B - 8, .len = 16, .writable = true};
	fix_offer(&f, b, N8, DRV_DIRECT);
	r = vio_queue_pop(&f.q, &c);
	if (r == 1) {
		CU_ASSERT_EQUAL(c->n_writable, 2 * N8);
		CU_ASSERT_EQUAL(c->writable_len, 16 * N8);
	} else {
		CU_ASSERT_EQUAL(r, -EPROTO);
		CU_ASSERT_PTR_NOT_NULL(f.q.fault);
	}
	fix_fini(&f);
}

static void test_zero_length_buffer(void)
{
	struct drv_buf b[3];
	struct fix f;

	fix_init(&f, N8, false, true);
	fix_bufs(&f, b, 3, 16, 2);
	b[1].len = 0;
	for (uint32_t direct = 0; direct < 4; direct += 3) {
		struct drv_used u;
		uint16_t head = fix_offer(&f, b, 3, direct);

		expect_chain(&f, head, b, 3);
		CU_ASSERT_EQUAL(drv_queue_get(&f.d, &u), 1);
	}
	fix_fini(&f);
}

/* The last byte of the address space is RAM here; a buffer may end with it. */
static void test_top_of_address_space(void)
{
	struct drv_buf b = {.gpa = RAM_TOP, .len = 0x1000};
	struct fix f;

	fix_init(&f, N8, false, false);
	expect_chain(&f, fix_offer(&f, &b, 1, DRV_DIRECT), &b, 1);
	fix_fini(&f);
}

/* An indirect table may lie across two regions. */
static void test_table_over_a_border(void)
{
	uint64_t table = RAM_B - 3 * 16;
	struct drv_buf b[5];
	struct fix f;

	fix_init(&f, N8, false, true);
	fix_bufs(&f, b, 5, 32, 3);
	for (uint16_t i = 0; i < 5; i++)
		drv_desc_write(drv_mem_ptr(&f.mem, table + i * 16u, 16), b[i].gpa, 32,
			       (uint16_t)((b[i].writable ? VRING_DESC_F_WRITE : 0) |
					  (i < 4 ? VRING_DESC_F_NEXT : 0)),
			       (uint16_t)(i + 1));
	drv_desc_write(&f.d.desc[0], table, 5 * 16, VRING_DESC_F_INDIRECT, 0);
	drv_queue_offer_raw(&f.d, 0);
	expect_chain(&f, 0, b, 5);
	fix_fini(&f);
}

/* The rings but for the used one belong to the driver. */
static void test_driver_memory_untouched(void) /* SPLIT-DEV-005, SPLIT-DEV-008, SPLIT-IMP-003 */
{
	uint8_t desc[N8 * 16], avail[4 + 2 * N8 + 2], table[N8 * (N8 + 1) * 16], data[N8 * 64];
	struct drv_buf b[N8];
	struct fix f;
	uint16_t head;

	fix_init(&f, N8, true, true);
	memset(drv_mem_ptr(&f.mem, f.buf, 4096), 0x77, 4096);
	fix_bufs(&f, b, N8, 64, N8);
	head = fix_offer(&f, b, N8, 3);
	memcpy(desc, f.d.desc, sizeof(desc));
	memcpy(avail, f.d.avail, sizeof(avail));
	memcpy(table, f.d.table, sizeof(table));
	memcpy(data, drv_mem_ptr(&f.mem, f.buf, sizeof(data)), sizeof(data));
	expect_chain(&f, head, b, N8);
	CU_ASSERT_EQUAL(memcmp(desc, f.d.desc, sizeof(desc)), 0);
	CU_ASSERT_EQUAL(memcmp(avail, f.d.avail, sizeof(avail)), 0);
	CU_ASSERT_EQUAL(memcmp(table, f.d.table, sizeof(table)), 0);
	CU_ASSERT_EQUAL(memcmp(data, drv_mem_ptr(&f.mem, f.buf, sizeof(data)), sizeof(data)), 0);
	fix_fini(&f);
}

/* ---- faults ------------------------------------------------------------------------------------
 */

/*
 * What the driver has made available now must be a fault: no chain, the same answer again, a reason
 * in q->fault, nothing written to the used ring, not even for a chain that was popped before.
 */
static bool faults(struct fix *f, struct vio_chain *popped_before)
{
	uint16_t used = drv_queue_used_idx(&f->d);
	struct vio_chain *c = NULL;
	bool ok = vio_queue_pop(&f->q, &c) == -EPROTO && vio_queue_pop(&f->q, &c) == -EPROTO;

	ok &= c == NULL && f->q.fault != NULL;
	if (popped_before)
		vio_queue_push(&f->q, popped_before, 0);
	ok &= !vio_queue_publish(&f->q) && drv_queue_used_idx(&f->d) == used;
	return ok;
}

#define NEXT	 VRING_DESC_F_NEXT
#define WRITE	 VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

/* Where the tests below put buffers and a table; both in RAM_A, where nothing else is. */
#define BUF   (RAM_A + 0x700000u)
#define TABLE (RAM_A + 0x780000u)

struct raw_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

struct bad_chain {
	const char *what;
	struct raw_desc desc[4];  /* written to the descriptor table from entry 0 on, head is 0 */
	struct raw_desc table[4]; /* written to TABLE */
	bool no_indirect;	  /* VIRTIO_F_INDIRECT_DESC is not negotiated */
};

static const struct bad_chain bad_chains[] = {
	{.what = "next outside the table", .desc = {{BUF, 8, NEXT, N8}}},
	{.what = "next far outside the table", .desc = {{BUF, 8, NEXT, 0xffff}}},
	{.what = "loop of one", .desc = {{BUF, 8, NEXT, 0}}},
	{.what = "loop of three",
	 .desc = {{BUF, 8, NEXT, 1}, {BUF, 8, NEXT, 2}, {BUF, 8, NEXT, 0}}},
	{.what = "loop of empty buffers", .desc = {{BUF, 0, NEXT, 1}, {BUF, 0, NEXT, 0}}},
	{.what = "readable after writable", .desc = {{BUF, 8, WRITE | NEXT, 1}, {BUF, 8, 0, 0}}},
	{.what = "empty readable after writable",
	 .desc = {{BUF, 8, WRITE | NEXT, 1}, {BUF, 0, 0, 0}}},
	{.what = "readable, writable, readable",
	 .desc = {{BUF, 8, NEXT, 1}, {BUF, 8, WRITE | NEXT, 2}, {BUF, 8, 0, 0}}},
	{.what = "address outside RAM", .desc = {{GAP, 8, 0, 0}}},
	{.what = "address 0", .desc = {{0, 8, 0, 0}}},
	{.what = "starts before RAM", .desc = {{RAM_A - 4, 8, 0, 0}}},
	{.what = "ends behind RAM", .desc = {{GAP - 4, 8, WRITE, 0}}},
	{.what = "ends one byte behind RAM", .desc = {{RAM_C, RAM_C_SIZE + 1, WRITE, 0}}},
	{.what = "empty, outside RAM", .desc = {{GAP, 0, 0, 0}}},
	{.what = "wraps the address space", .desc = {{RAM_TOP + 0xff0, 0x20, 0, 0}}},
	{.what = "wraps into RAM", .desc = {{UINT64_MAX - 7, RAM_A + 64, 0, 0}}},
	{.what = "good buffer, then one outside RAM",
	 .desc = {{BUF, 8, NEXT, 1}, {GAP + 64, 8, 0, 0}}},

	{.what = "indirect, not negotiated",
	 .desc = {{TABLE, 16, INDIRECT, 0}},
	 .table = {{BUF, 8, 0, 0}},
	 .no_indirect = true},
	{.what = "indirect and next",
	 .desc = {{TABLE, 16, INDIRECT | NEXT, 1}, {BUF, 8, 0, 0}},
	 .table = {{BUF, 8, 0, 0}}},
	{.what = "empty table", .desc = {{TABLE, 0, INDIRECT, 0}}, .table = {{BUF, 8, 0, 0}}},
	{.what = "table of 8 bytes", .desc = {{TABLE, 8, INDIRECT, 0}}, .table = {{BUF, 8, 0, 0}}},
	{.what = "table of 17 bytes",
	 .desc = {{TABLE, 17, INDIRECT, 0}},
	 .table = {{BUF, 8, 0, 0}}},
	{.what = "table outside RAM", .desc = {{GAP, 16, INDIRECT, 0}}},
	{.what = "table ends behind RAM and is walked there",
	 .desc = {{TABLE, 32, NEXT, 1}, {GAP - 16, 32, INDIRECT, 0}}},
	{.what = "table wraps the address space", .desc = {{RAM_TOP + 0xff0, 64, INDIRECT, 0}}},
	{.what = "indirect in a table",
	 .desc = {{TABLE, 32, INDIRECT, 0}},
	 .table = {{BUF, 8, NEXT, 1}, {TABLE + 32, 16, INDIRECT, 0}, {BUF, 8, 0, 0}}},
	{.what = "table in itself",
	 .desc = {{TABLE, 16, INDIRECT, 0}},
	 .table = {{TABLE, 16, 4, 0}}},
	{.what = "next outside the indirect table",
	 .desc = {{TABLE, 32, INDIRECT, 0}},
	 .table = {{BUF, 8, NEXT, 2}, {BUF, 8, 0, 0}, {BUF, 8, 0, 0}}},
	{.what = "loop in an indirect table",
	 .desc = {{TABLE, 32, INDIRECT, 0}},
	 .table = {{BUF, 8, NEXT, 1}, {BUF, 8, NEXT, 0}}},
	{.what = "readable after writable in a table",
	 .desc = {{TABLE, 32, INDIRECT, 0}},
	 .table = {{BUF, 8, WRITE | NEXT, 1}, {BUF, 8, 0, 0}}},
	{.what = "writable before a table with a readable one",
	 .desc = {{BUF, 8, WRITE | NEXT, 1}, {TABLE, 16, INDIRECT, 0}},
	 .table = {{BUF, 8, 0, 0}}},
	{.what = "buffer of a table outside RAM",
	 .desc = {{TABLE, 16, INDIRECT, 0}},
	 .table = {{GAP, 8, WRITE, 0}}},
};

static void write_descs(struct vring_desc *to, const struct raw_desc *from)
{
	for (unsigned i = 0; i < 4; i++)
		drv_desc_write(&to[i], from[i].addr, from[i].len, from[i].flags, from[i].next);
}

/*
 * A queue of 8 with 8 more good descriptors behind its table: an index that is one too high leads
 * to something that looks right.
 */
static void fix_init_short(struct fix *f, bool event_idx, bool indirect)
{
	struct vio_queue_config cfg;

	fix_prepare(f, 2 * N8, event_idx);
	for (uint16_t i = 0; i < 2 * N8; i++)
		drv_desc_write(&f->d.desc[i], f->buf, 8, WRITE, 0);
	cfg = fix_config(f, indirect);
	cfg.size = N8;
	MUST(vio_queue_start(&f->q, f->map, &cfg, sizeof(struct vio_chain)));
}

static void test_bad_chains(void)
{
	for (unsigned i = 0; i < VIO_ARRAY_LEN(bad_chains); i++) {
		const struct bad_chain *bad = &bad_chains[i];
		struct fix f;
		bool ok;

		fix_init_short(&f, i % 2, !bad->no_indirect);
		write_descs(f.d.desc, bad->desc);
		write_descs(drv_mem_ptr(&f.mem, TABLE, 64), bad->table);
		drv_queue_offer_raw(&f.d, 0);
		ok = faults(&f, NULL);
		if (!ok)
			printf("\n  not refused: %s", bad->what);
		CU_ASSERT(ok);
		fix_fini(&f);
	}
}

static void test_head_out_of_range(void)
{
	static const uint16_t heads[] = {N8, N8 + 1, 0x7fff, 0xffff};

	for (unsigned i = 0; i < VIO_ARRAY_LEN(heads); i++) {
		struct vio_chain *c;
		struct fix f;

		fix_init_short(&f, false, false);
		fix_offer_one(&f);
		CU_ASSERT_EQUAL_FATAL(vio_queue_pop(&f.q, &c), 1);
		drv_queue_offer_raw(&f.d, heads[i]);
		CU_ASSERT(faults(&f, c));
		fix_fini(&f);
	}
}

static void test_head_in_flight(void)
{
	struct vio_chain *c, *again;
	struct fix f;
	uint16_t head;

	fix_init(&f, N8, false, false);
	head = fix_offer_one(&f);
	CU_ASSERT_EQUAL_FATAL(vio_queue_pop(&f.q, &c), 1);
	vio_queue_push(&f.q, c, 8);
	vio_queue_publish(&f.q);
	drv_queue_offer_raw(&f.d, head); /* it is back: fine */
	CU_ASSERT_EQUAL_FATAL(vio_queue_pop(&f.q, &again), 1);
	CU_ASSERT_EQUAL(again->head, head);
	drv_queue_offer_raw(&f.d, head); /* it is not */
	CU_ASSERT(faults(&f, again));
	fix_fini(&f);
}

/* The driver's index may run ahead by the queue size, no further, and never back (SPLIT-DRV-015).
 */
static void test_avail_jump(void)
{
	for (unsigned jump = 1; jump <= 0xffff; jump = jump < 64 ? jump + 1 : jump * 2 + 1) {
		struct vio_chain *c;
		struct fix f;

		fix_init(&f, N8, false, false);
		for (uint16_t i = 0; i < N8; i++) {
			drv_desc_write(&f.d.desc[i], f.buf, 8, WRITE, 0);
			f.d.avail->ring[i] = i;
		}
		drv_queue_set_avail_idx(&f.d, (uint16_t)jump);
		if (jump > N8) {
			CU_ASSERT(faults(&f, NULL));
		} else {
			for (unsigned i = 0; i < jump; i++)
				CU_ASSERT_EQUAL(vio_queue_pop(&f.q, &c), 1);
			CU_ASSERT_EQUAL(vio_queue_pop(&f.q, &c), 0);
		}
		fix_fini(&f);
	}
}

/* A chain may be as long as the queue, whatever part of it is in a table; one more is a fault. */
static void test_chain_length(void) /* SPLIT-DRV-012 */
{
	struct drv_buf b[N8 + 1];

	for (uint32_t direct = 0; direct < N8; direct++) {
		struct fix f;
		uint16_t head;

		fix_init(&f, N8, true, true);
		fix_bufs(&f, b, N8 + 1, 8, N8 + 1);
		head = fix_offer(&f, b, N8, direct);
		expect_chain(&f, head, b, N8);
		fix_fini(&f);

		fix_init(&f, N8, true, true);
		fix_bufs(&f, b, N8 + 1, 8, N8 + 1);
		fix_offer(&f, b, N8 + 1, direct);
		CU_ASSERT(faults(&f, NULL));
		fix_fini(&f);
	}
}

/* Offers `head` with all buffers in a table at TABLE. */
static void put_table(struct fix *f, uint16_t head, const struct drv_buf *b, uint32_t n)
{
	struct vring_desc *t = drv_mem_ptr(&f->mem, TABLE, n * 16u);

	for (uint32_t i = 0; i < n; i++)
		drv_desc_write(&t[i], b[i].gpa, b[i].len,
			       (uint16_t)((b[i].writable ? WRITE : 0) | (i + 1 < n ? NEXT : 0)),
			       (uint16_t)(i + 1));
	drv_desc_write(&f->d.desc[head], TABLE, n * 16, INDIRECT, 0);
	drv_queue_offer_raw(&f->d, head);
}

/* However long the queue: no more than VIO_CHAIN_MAX. */
static void test_chain_cap(void) /* SPLIT-DEV-004 */
{
	static struct drv_buf b[VIO_CHAIN_MAX + 1];

	for (uint32_t direct = 0; direct <= 1; direct++) {
		for (uint32_t n = VIO_CHAIN_MAX; n <= VIO_CHAIN_MAX + 1; n++) {
			struct fix f;
			uint16_t head;

			fix_init(&f, 2 * VIO_CHAIN_MAX, false, true);
			fix_bufs(&f, b, n, 8, n / 2);
			if (direct) {
				head = fix_offer(&f, b, n, DRV_DIRECT);
			} else {
				head = 5; /* the driver's own tables are shorter than this one */
				put_table(&f, head, b, n);
			}
			if (n > VIO_CHAIN_MAX) {
				CU_ASSERT(faults(&f, NULL));
			} else {
				expect_chain(&f, head, b, n);
			}
			fix_fini(&f);
		}
	}
}

/* 2^32 bytes are allowed in one chain, 2^32 + 1 are not. */
static void test_total_length(void) /* SPLIT-DRV-008 */
{
	const uint64_t gpa = UINT64_C(1) << 40, half = UINT64_C(1) << 31;

	for (uint32_t extra = 0; extra <= 1; extra++) {
		struct drv_buf b[3] = {{gpa, (uint32_t)half, true},
				       {gpa, (uint32_t)half, true},
				       {gpa, extra, true}};
		struct vio_queue_config cfg;
		struct vio_chain *c;
		struct drv_used u;
		struct fix f;

		fix_prepare(&f, N8, false);
		vio_mem_destroy(f.map);
		MUST(drv_mem_add(&f.mem, gpa, half)); /* sparse: nothing of it is touched */
		MUST(drv_mem_map(&f.mem, &f.map));
		cfg = fix_config(&f, false);
		MUST(vio_queue_start(&f.q, f.map, &cfg, sizeof(struct vio_chain)));
		fix_offer(&f, b, 3, DRV_DIRECT);
		if (extra) {
			CU_ASSERT(faults(&f, NULL));
		} else {
			CU_ASSERT_EQUAL_FATAL(vio_queue_pop(&f.q, &c), 1);
			CU_ASSERT_EQUAL(c->writable_len, 2 * half);
			vio_queue_push(&f.q, c,
				       UINT64_MAX); /* never more than a used length holds */
			vio_queue_publish(&f.q);
			CU_ASSERT_EQUAL_FATAL(drv_queue_get(&f.d, &u), 1);
			CU_ASSERT_EQUAL(u.len, UINT32_MAX);
		}
		fix_fini(&f);
	}
}

/* RAM at both ends of the address space does not touch. */
static void test_wrap_into_ram(void)
{
	const struct drv_buf b = {.gpa = RAM_TOP + 0xff0, .len = 0x20};

	for (uint32_t direct = 0; direct <= 1; direct++) {
		struct vio_queue_config cfg;
		struct fix f;

		fix_prepare(&f, N8, false);
		vio_mem_destroy(f.map);
		MUST(drv_mem_add(&f.mem, 0, 0x1000));
		MUST(drv_mem_map(&f.mem, &f.map));
		cfg = fix_config(&f, true);
		MUST(vio_queue_start(&f.q, f.map, &cfg, sizeof(struct vio_chain)));
		fix_offer(&f, &b, 1, direct);
		CU_ASSERT(faults(&f, NULL));
		fix_fini(&f);
	}
}

/* After a fault only a restart helps, and it does. */
static void test_restart_after_fault(void)
{
	struct vio_queue_config cfg;
	struct vio_chain *c;
	struct fix f;

	fix_init(&f, N8, true, true);
	drv_queue_offer_raw(&f.d, 0xffff);
	CU_ASSERT(faults(&f, NULL));
	vio_queue_stop(&f.q);
	drv_queue_clear(&f.d);
	cfg = fix_config(&f, true);
	MUST(vio_queue_start(&f.q, f.map, &cfg, sizeof(struct vio_chain)));
	CU_ASSERT_PTR_NULL(f.q.fault);
	fix_offer_one(&f);
	CU_ASSERT_EQUAL(vio_queue_pop(&f.q, &c), 1);
	fix_fini(&f);
}

static CU_TestInfo tests[] = {
	{"any layout of 1 to 8 buffers", test_any_layout},
	{"indirect table in any order", test_indirect_any_order},
	{"WRITE on the indirect descriptor is ignored", test_indirect_write_flag_ignored},
	{"buffer split at region borders", test_split_at_region_border},
	{"every buffer over a border", test_every_buffer_over_a_border},
	{"zero-length buffers", test_zero_length_buffer},
	{"top of the address space", test_top_of_address_space},
	{"indirect table over a region border", test_table_over_a_border},
	{"the driver's memory is not written", test_driver_memory_untouched},
	{"chains that break a rule", test_bad_chains},
	{"head out of range", test_head_out_of_range},
	{"head that is in flight", test_head_in_flight},
	{"available index jumps", test_avail_jump},
	{"chain length", test_chain_length},
	{"the longest chain of a long queue", test_chain_cap},
	{"2^32 bytes in one chain", test_total_length},
	{"a buffer that wraps into RAM", test_wrap_into_ram},
	{"restart after a fault", test_restart_after_fault},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("queue", tests);
}
