/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile driver, rule 1 of the threat model: one walker for all devices, which copies and checks
 * everything once. With real devices, on each transport. Rules 2 to 7 are in test_hostile.c.
 */
#include <errno.h>
#include <pthread.h>

#include "queue_fix.h"
#include "yard.h"

#define NEXT	 VRING_DESC_F_NEXT
#define WRITE	 VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

/* Where attacks put buffers and tables: RAM that nothing else uses. */
#define BUF   (YARD_RAM + 0x300000u)
#define TABLE (YARD_RAM + 0x310000u)

/* ---- s5_1: one translate and one walker, every rule of the ring ---------------------------------
 */

struct raw_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

struct attack {
	const char *what;
	uint16_t head;
	struct raw_desc desc[4];
	struct raw_desc table[4]; /* at TABLE */
};

static const struct attack attacks[] = {
	{.what = "head outside the table", .head = 0xffff},
	{.what = "head one outside the largest table", .head = 64},
	{.what = "next outside the table", .desc = {{BUF, 16, NEXT, 0x8000}}},
	{.what = "next just outside any table", .desc = {{BUF, 16, NEXT, 64}}},
	{.what = "a loop", .desc = {{BUF, 16, NEXT, 1}, {BUF, 16, NEXT, 0}}},
	{.what = "a loop of empty buffers", .desc = {{BUF, 0, NEXT, 0}}},
	{.what = "a loop in a table",
	 .desc = {{TABLE, 64, INDIRECT, 0}},
	 .table = {{BUF, 16, NEXT, 1}, {BUF, 16, NEXT, 0}}},
	{.what = "next outside the indirect table",
	 .desc = {{TABLE, 32, INDIRECT, 0}},
	 .table = {{BUF, 16, NEXT, 2}, {BUF, 1, WRITE, 0}, {BUF, 1, WRITE, 0}}},
	{.what = "a table in a table",
	 .desc = {{TABLE, 32, INDIRECT, 0}},
	 .table = {{BUF, 16, NEXT, 1}, {TABLE, 16, INDIRECT, 0}}},
	{.what = "a table that is itself",
	 .desc = {{TABLE, 16, INDIRECT, 0}},
	 .table = {{TABLE, 16, INDIRECT, 0}}},
	{.what = "indirect and next",
	 .desc = {{TABLE, 16, INDIRECT | NEXT, 1}, {BUF, 1, WRITE, 0}}},
	{.what = "an empty table", .desc = {{TABLE, 0, INDIRECT, 0}}},
	{.what = "a table of 24 bytes",
	 .desc = {{TABLE, 24, INDIRECT, 0}},
	 .table = {{BUF, 16, NEXT, 1}, {BUF, 1, WRITE, 0}}},
	{.what = "a table of 4 GiB",
	 .desc = {{TABLE, 0xfffffff0, INDIRECT, 0}},
	 .table = {{BUF, 16, NEXT, 0xffff}}},
	{.what = "a table outside RAM", .desc = {{YARD_GAP, 32, INDIRECT, 0}}},
	{.what = "readable after writable", .desc = {{BUF, 16, WRITE | NEXT, 1}, {BUF, 16, 0, 0}}},
	{.what = "outside RAM", .desc = {{BUF, 16, NEXT, 1}, {YARD_GAP, 1, WRITE, 0}}},
	{.what = "outside RAM by a byte",
	 .desc = {{BUF, 16, NEXT, 1}, {YARD_GAP - 16, 17, WRITE, 0}}},
	{.what = "empty and outside RAM", .desc = {{YARD_GAP, 0, NEXT, 1}, {BUF, 1, WRITE, 0}}},
	{.what = "address that wraps", .desc = {{BUF, 16, NEXT, 1}, {UINT64_MAX, 2, WRITE, 0}}},
	{.what = "4 GiB of a small guest",
	 .desc = {{BUF, 16, NEXT, 1}, {YARD_RAM, UINT32_MAX, WRITE, 0}}},
};

static void put_descs(struct vring_desc *to, const struct raw_desc *from)
{
	for (unsigned i = 0; i < 4; i++)
		drv_desc_write(&to[i], from[i].addr, from[i].len, from[i].flags, from[i].next);
}

static void one_walker_bounds(enum drv_bus_kind kind)
{
	struct yard y;

	yard_init(&y, kind);
	for (unsigned i = 0; i < 2 * VIO_ARRAY_LEN(attacks); i++) {
		const struct attack *a = &attacks[i / 2];
		struct guest *g = &y.guest[i % 2 ? RNG : DISK];
		bool ok;

		put_descs(g->drv.queue[0].desc, a->desc);
		put_descs(drv_mem_ptr(&g->mem, TABLE, 64), a->table);
		drv_queue_offer_raw(&g->drv.queue[0], a->head);
		ok = refused(&y, g);
		if (!ok)
			printf("\n  %s: %s", g->held ? "disk" : "rng", a->what);
		CU_ASSERT(ok);
	}
	yard_fini(&y);
}

static void s5_1_one_walker_bounds(void)
{
	on_each_bus(one_walker_bounds);
}

/* The available index runs away: by one more than the queue size, half around, and backwards. */
static void avail_index_jump(enum drv_bus_kind kind)
{
	struct yard y;

	yard_init(&y, kind);
	for (unsigned i = 0; i < N_GUESTS - 1; i++) {
		struct guest *g = &y.guest[i];
		const uint32_t jumps[] = {g->drv.queue[0].size + 1u, 0x7fff, 0x8000, 0xffff};

		for (unsigned k = 0; k < VIO_ARRAY_LEN(jumps); k++) {
			struct drv_queue *q = &g->drv.queue[0];

			drv_queue_set_avail_idx(q, (uint16_t)(q->avail_idx + jumps[k]));
			CU_ASSERT_TRUE(refused(&y, g));
		}
	}
	yard_fini(&y);
}

static void s5_1_avail_index_jump(void)
{
	on_each_bus(avail_index_jump);
}

/* A read that the engine keeps, at descriptors 0 to 2 of the disk's queue. */
static void keep_read(struct guest *g)
{
	struct virtio_blk_outhdr h = {.type = htole32(VIRTIO_BLK_T_IN), .sector = htole64(7)};
	const struct raw_desc d[4] = {
		{BUF, 16, NEXT, 1}, {BUF + 4096, 512, WRITE | NEXT, 2}, {BUF + 8192, 1, WRITE, 0}};

	drv_held_hold(g->held, true);
	MUST(drv_mem_write(&g->mem, BUF, &h, sizeof(h)));
	memset(drv_mem_ptr(&g->mem, BUF + 4096, 8192), 0xee, 8192);
	put_descs(g->drv.queue[0].desc, d);
	drv_queue_offer_raw(&g->drv.queue[0], 0);
	drv_kick(g->bus, 0);
	drv_device_settle(&g->drv);
	CU_ASSERT_EQUAL(drv_held_count(g->held), 1);
}

/* The head of a request that is in flight is made available once more: CH 730677730. */
static void head_twice(enum drv_bus_kind kind)
{
	struct guest *g;
	struct yard y;

	yard_init(&y, kind);
	g = &y.guest[DISK];
	keep_read(g);
	drv_queue_offer_raw(&g->drv.queue[0], 0);
	drv_kick(g->bus, 0);
	drv_device_settle(&g->drv);
	CU_ASSERT(drv_status(g->bus) & NEEDS_RESET);
	CU_ASSERT_EQUAL(drv_held_release(g->held, 10, false), 1);
	drv_held_hold(g->held, false);
	CU_ASSERT_EQUAL(drv_queue_used_idx(&g->drv.queue[0]), 0); /* nothing after the fault */
	CU_ASSERT_TRUE(bystander_calm(&y));
	guest_start(g);
	CU_ASSERT_TRUE(guest_serves(g));
	yard_fini(&y);
}

static void s5_1_head_twice(void)
{
	on_each_bus(head_twice);
}

/*
 * Once a request was taken, nothing of it is read from guest memory again: the driver overwrites
 * descriptors, header and ring while it is in flight, and it ends as it began.
 */
static void no_double_fetch(enum drv_bus_kind kind)
{
	const struct raw_desc junk[4] = {{YARD_GAP, 1, NEXT, 9},
					 {YARD_GAP, UINT32_MAX, NEXT, 9},
					 {UINT64_MAX, 7, INDIRECT, 9},
					 {0, 0, 0xffff, 0xffff}};
	struct drv_queue *q;
	struct guest *g;
	struct yard y;

	yard_init(&y, kind);
	g = &y.guest[DISK];
	q = &g->drv.queue[0];
	memset(drv_held_bytes(g->held) + 7 * 512, 0x5b, 512);
	keep_read(g);
	put_descs(q->desc, junk);
	memset(drv_mem_ptr(&g->mem, BUF, 16), 0xff, 16);
	q->avail->ring[0] = 0xffff;
	CU_ASSERT_EQUAL(drv_held_release(g->held, 1, false), 1);
	drv_held_hold(g->held, false);
	drv_device_settle(&g->drv);
	CU_ASSERT_EQUAL(drv_queue_used_idx(q), 1);
	CU_ASSERT_EQUAL(le32toh(q->used->ring[0].id), 0);
	CU_ASSERT_EQUAL(le32toh(q->used->ring[0].len), 513);
	CU_ASSERT_EQUAL(*(uint8_t *)drv_mem_ptr(&g->mem, BUF + 4096 + 511, 1), 0x5b);
	CU_ASSERT_EQUAL(*(uint8_t *)drv_mem_ptr(&g->mem, BUF + 4096 + 512, 1), 0xee);
	CU_ASSERT_EQUAL(*(uint8_t *)drv_mem_ptr(&g->mem, BUF + 8192, 1), VIRTIO_BLK_S_OK);
	CU_ASSERT_EQUAL(drv_status(g->bus) & NEEDS_RESET, 0);
	yard_fini(&y);
}

static void s5_1_no_double_fetch(void)
{
	on_each_bus(no_double_fetch);
}

/* ---- a driver that changes descriptors while they are walked ------------------------------------
 */

#if RACES_ON_PURPOSE

#define FLIPS 200000u

struct flipper {
	struct fix f;
	_Atomic bool stop;
};

/* Near the end of RAM and short, or far from it and long; the fields change one by one. */
static void *flip_descriptors(void *arg)
{
	static const struct raw_desc states[] = {
		{RAM_C + RAM_C_SIZE - 16, 16, NEXT, 1},
		{RAM_A + 0x400000, 0x100000, 0, 0xffff},
		{RAM_B - 64, 0x1000, WRITE, 2},
		{RAM_A + 0x500000, 32, INDIRECT, 0},
		{GAP, UINT32_MAX, NEXT, 9},
	};
	struct flipper *fl = arg;
	volatile struct vring_desc *d = fl->f.d.desc, *t = fl->f.d.table;

	for (unsigned n = 0; !fl->stop; n++) {
		const struct raw_desc *s = &states[n % VIO_ARRAY_LEN(states)];

		d->addr = t->addr = htole64(s->addr);
		d->len = t->len = htole32(s->len);
		d->flags = t->flags = htole16(s->flags);
		d->next = t->next = htole16(s->next);
	}
	return NULL;
}

/* All of the chain's memory is the guest's, and the sums are what the entries say. */
static bool chain_sound(const struct fix *f, const struct vio_chain *c)
{
	uint64_t sum[2] = {0};

	for (uint32_t i = 0; i < c->n_readable + c->n_writable; i++) {
		const uint8_t *p = c->iov[i].iov_base;
		bool inside = false;

		for (unsigned k = 0; k < f->mem.n; k++) {
			const struct drv_region *r = &f->mem.region[k];
			uint64_t off = (uint64_t)(p - r->hva);

			inside |= vio_range_ok(off, c->iov[i].iov_len, r->size);
		}
		if (!inside)
			return false;
		sum[i >= c->n_readable] += c->iov[i].iov_len;
	}
	return sum[0] == c->readable_len && sum[1] == c->writable_len;
}

static void s5_1_descriptors_change_meanwhile(void)
{
	unsigned sound = 0, popped = 0, faults = 0;
	struct vio_queue_config cfg;
	struct flipper fl = {0};
	pthread_t t;

	fix_init(&fl.f, 8, false, true);
	cfg = fix_config(&fl.f, true);
	MUST(-pthread_create(&t, NULL, flip_descriptors, &fl));
	for (unsigned n = 0; n < FLIPS; n++) {
		struct vio_chain *c = NULL;

		drv_queue_offer_raw(&fl.f.d, 0);
		if (vio_queue_pop(&fl.f.q, &c) == 1) {
			popped++;
			sound += chain_sound(&fl.f, c);
			vio_queue_push(&fl.f.q, c, 0);
			vio_queue_publish(&fl.f.q);
			continue;
		}
		faults++;
		vio_queue_stop(&fl.f.q);
		drv_queue_warp(&fl.f.d, 0);
		MUST(vio_queue_start(&fl.f.q, fl.f.map, &cfg, sizeof(struct vio_chain)));
	}
	fl.stop = true;
	pthread_join(t, NULL);
	CU_ASSERT_EQUAL(sound, popped);
	CU_ASSERT_EQUAL(popped + faults, FLIPS);
	fix_fini(&fl.f);
}

#endif

static CU_TestInfo tests[] = {
	{"s5_1_one_walker_bounds", s5_1_one_walker_bounds},
	{"s5_1_avail_index_jump", s5_1_avail_index_jump},
	{"s5_1_head_twice", s5_1_head_twice},
	{"s5_1_no_double_fetch", s5_1_no_double_fetch},
#if RACES_ON_PURPOSE
	{"s5_1_descriptors_change_meanwhile", s5_1_descriptors_change_meanwhile},
#endif
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("hostile_ring", tests);
}
