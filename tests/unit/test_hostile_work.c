/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile driver, rule 4 of the threat model: nothing it sends makes a device abort, or work or
 * log without bound. With real devices, on each transport.
 */
#include <pthread.h>

#include "yard.h"

#define NEXT  VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE

struct refill {
	struct guest *g;
	unsigned requests;
};

/* The driver makes its flush request available again as soon as the device has taken one. */
static void refill(void *arg)
{
	struct refill *r = arg;
	struct drv_queue *q = &r->g->drv.queue[0];

	r->requests++;
	drv_queue_offer_raw(q, r->requests % q->size);
}

/* Every head of the disk's queue is a flush: header and status, in one table entry each. */
static void all_heads_flush(struct guest *g)
{
	struct virtio_blk_outhdr h = {.type = htole32(VIRTIO_BLK_T_FLUSH)};
	struct drv_queue *q = &g->drv.queue[0];
	uint64_t buf = drv_mem_alloc(&g->mem, 64, 64);

	MUST(drv_mem_write(&g->mem, buf, &h, sizeof(h)));
	for (uint16_t i = 0; i < q->size; i++) {
		struct vring_desc *t = q->table + (size_t)i * q->table_len;

		drv_desc_write(&t[0], buf, 16, NEXT, 1);
		drv_desc_write(&t[1], buf + 32, 1, WRITE, 0);
		drv_desc_write(&q->desc[i], q->table_gpa + (uint64_t)i * q->table_len * 16, 32,
			       VRING_DESC_F_INDIRECT, 0);
	}
}

/* One turn of the loop serves a bounded number of requests, and the bystander has its turns. */
static void no_endless_drain(enum drv_bus_kind kind)
{
	struct refill r = {0};
	struct yard y;

	yard_init(&y, kind);
	r.g = &y.guest[DISK];
	all_heads_flush(r.g);
	drv_held_on_submit(r.g->held, refill, &r);
	drv_queue_offer_raw(&r.g->drv.queue[0], 0);
	drv_kick(r.g->bus, 0);
	for (unsigned turn = 0; turn < 50; turn++) {
		unsigned before = r.requests;

		CU_ASSERT(drv_rig_turn(&y.rig) > 0); /* there is always more to do */
		/* a kick and what was left over may both have their drain in one turn */
		CU_ASSERT(r.requests - before <= 2u * r.g->drv.queue[0].size);
	}
	CU_ASSERT(r.requests > 50);
	drv_held_on_submit(r.g->held, NULL, NULL);
	drv_device_settle(&r.g->drv);
	CU_ASSERT_EQUAL(drv_status(r.g->bus) & NEEDS_RESET, 0);
	CU_ASSERT_TRUE(bystander_calm(&y));
	yard_fini(&y);
}

static void s5_4_no_endless_drain(void)
{
	on_each_bus(no_endless_drain);
}

/* A disk that is never idle does not keep the same loop's other devices from their work. */
static void busy_neighbour(enum drv_bus_kind kind)
{
	uint8_t buf[512];
	struct drv_blk_req req = {.sector = 1, .in = buf, .in_len = 512};
	struct refill r = {0};
	unsigned turns = 0;
	struct yard y;

	yard_init(&y, kind);
	r.g = &y.guest[DISK];
	all_heads_flush(r.g);
	drv_held_on_submit(r.g->held, refill, &r);
	drv_queue_offer_raw(&r.g->drv.queue[0], 0);
	drv_kick(r.g->bus, 0);
	drv_rig_turn(&y.rig);
	MUST(drv_blk_submit(&y.guest[BYSTANDER].blk, 0, &req));
	while (!req.done && turns++ < 10) {
		drv_rig_turn(&y.rig);
		drv_blk_poll(&y.guest[BYSTANDER].blk, 0);
	}
	CU_ASSERT_TRUE(req.done);
	drv_held_on_submit(r.g->held, NULL, NULL);
	yard_fini(&y);
}

static void s5_4_busy_neighbour(void)
{
	on_each_bus(busy_neighbour);
}

/* Fault, reset, fault, reset: the log does not grow with it. */
static void faults_for_ever(enum drv_bus_kind kind)
{
	struct guest *g;
	struct yard y;

	yard_init(&y, kind);
	g = &y.guest[RNG];
	for (unsigned i = 0; i < 1000; i++) {
		drv_queue_offer_raw(&g->drv.queue[0], 0xffff);
		drv_kick(g->bus, 0);
		drv_device_settle(&g->drv);
		CU_ASSERT(drv_status(g->bus) & NEEDS_RESET);
		guest_start(g);
	}
	CU_ASSERT(y.rig.log_lines <= 100);
	CU_ASSERT(y.rig.log_lines > 0);
	CU_ASSERT_TRUE(guest_serves(g));
	CU_ASSERT_TRUE(bystander_calm(&y));
	yard_fini(&y);
}

static void s5_4_faults_for_ever(void)
{
	on_each_bus(faults_for_ever);
}

/* ---- a driver with a processor of its own -------------------------------------------------------
 */

#if RACES_ON_PURPOSE

struct flood {
	struct drv_queue *q;
	uint64_t *buf[64]; /* the first bytes of each buffer */
	_Atomic bool stop;
};

/*
 * Keeps the ring full while the device is still at it: a buffer that got its bytes is made
 * available again at once, not only when it is in the used ring.
 */
static void *flood_thread(void *arg)
{
	struct flood *f = arg;
	struct drv_queue *q = f->q;

	for (uint16_t i = 0; i < q->size; i++)
		drv_queue_offer_raw(q, i);
	for (uint16_t i = 0; !f->stop; i = (uint16_t)((i + 1) % q->size)) {
		while (!f->stop && __atomic_load_n(f->buf[i], __ATOMIC_ACQUIRE) == 0)
			;
		*f->buf[i] = 0;
		drv_queue_offer_raw(q, i);
	}
	return NULL;
}

/* The device has a turn, and then others have theirs, although its ring is never empty. */
static void flooded(enum drv_bus_kind kind)
{
	struct flood f = {0};
	struct guest *g;
	pthread_t t;
	struct yard y;

	yard_init(&y, kind);
	g = &y.guest[RNG];
	f.q = &g->drv.queue[0];
	for (uint16_t i = 0; i < f.q->size; i++) {
		uint64_t gpa = YARD_RAM + 0x300000 + i * 64u;

		drv_desc_write(&f.q->desc[i], gpa, 64, WRITE, 0);
		f.buf[i] = drv_mem_ptr(&g->mem, gpa, 64);
	}
	MUST(-pthread_create(&t, NULL, flood_thread, &f));
	for (unsigned turn = 0; turn < 200; turn++) {
		uint16_t before = drv_queue_used_idx(f.q);

		drv_kick(g->bus, 0);
		drv_rig_turn(&y.rig);
		/* the kick and what was left over may both have their drain in one turn */
		CU_ASSERT((uint16_t)(drv_queue_used_idx(f.q) - before) <= 2u * f.q->size);
	}
	f.stop = true;
	pthread_join(t, NULL);
	CU_ASSERT_TRUE(bystander_calm(&y));
	yard_fini(&y);
}

static void s5_4_flooded(void)
{
	on_each_bus(flooded);
}

#endif

/* ---- requests that cannot be answered -----------------------------------------------------------
 */

/* A request that has no place for its answer: this driver is not served, others are. */
static void no_status_byte(enum drv_bus_kind kind)
{
	struct guest *g;
	struct yard y;

	yard_init(&y, kind);
	g = &y.guest[DISK];
	for (uint32_t len = 0; len <= 64; len += 16) {
		drv_desc_write(&g->drv.queue[0].desc[0], YARD_RAM + 0x300000, len, NEXT, 1);
		drv_desc_write(&g->drv.queue[0].desc[1], YARD_RAM + 0x300000, 0,
			       len % 32 ? WRITE : 0, 0);
		drv_queue_offer_raw(&g->drv.queue[0], 0);
		CU_ASSERT_TRUE(refused(&y, g));
	}
	yard_fini(&y);
}

static void s5_4_no_status_byte(void)
{
	on_each_bus(no_status_byte);
}

/* The device failed over the first of two requests; the second, a good one, is left alone. */
static void nothing_after_a_fault(enum drv_bus_kind kind)
{
	struct guest *g;
	struct yard y;

	yard_init(&y, kind);
	g = &y.guest[DISK];
	all_heads_flush(g);
	drv_desc_write(&g->drv.queue[0].desc[3], YARD_RAM + 0x300000, 16, 0, 0);
	drv_queue_offer_raw(&g->drv.queue[0], 3);
	drv_queue_offer_raw(&g->drv.queue[0], 4);
	CU_ASSERT_TRUE(refused(&y, g));
	CU_ASSERT_EQUAL(drv_held_seen(g->held, VIO_IO_FLUSH, 0), 0);
	yard_fini(&y);
}

static void s5_4_nothing_after_a_fault(void)
{
	on_each_bus(nothing_after_a_fault);
}

static CU_TestInfo tests[] = {
	{"s5_4_no_endless_drain", s5_4_no_endless_drain},
	{"s5_4_busy_neighbour", s5_4_busy_neighbour},
	{"s5_4_faults_for_ever", s5_4_faults_for_ever},
#if RACES_ON_PURPOSE
	{"s5_4_flooded", s5_4_flooded},
#endif
	{"s5_4_no_status_byte", s5_4_no_status_byte},
	{"s5_4_nothing_after_a_fault", s5_4_nothing_after_a_fault},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("hostile_work", tests);
}
