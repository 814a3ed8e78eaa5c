/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Indices of the available and used rings, starting and stopping, and who is notified when. What is
 * in a chain is in test_queue.c.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "queue_fix.h"

/* ---- start and stop ----------------------------------------------------------------------------
 */

static void test_sizes_and_alignment(void) /* SPLIT-DRV-001 */
{
	static const uint16_t bad[] = {0, 3, 6, 255, 32767, 32769, 65535};
	struct vio_queue_config good, cfg;
	struct fix f;

	fix_prepare(&f, 4, false);
	good = fix_config(&f, false);
	CU_ASSERT_EQUAL(vio_queue_check(f.map, &good), 0);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(bad); i++) {
		cfg = good;
		cfg.size = bad[i];
		CU_ASSERT_EQUAL(vio_queue_check(f.map, &cfg), -EINVAL);
		CU_ASSERT_EQUAL(vio_queue_start(&f.q, f.map, &cfg, 256), -EINVAL);
	}
	for (unsigned off = 1; off < 16; off++) {
		cfg = good;
		cfg.desc_gpa += off;
		CU_ASSERT_EQUAL(vio_queue_check(f.map, &cfg), -EINVAL);
		cfg = good;
		cfg.driver_gpa += off;
		CU_ASSERT_EQUAL(vio_queue_check(f.map, &cfg), off % 2 ? -EINVAL : 0);
		cfg = good;
		cfg.device_gpa += off;
		CU_ASSERT_EQUAL(vio_queue_check(f.map, &cfg), off % 4 ? -EINVAL : 0);
	}
	fix_fini(&f);
}

/* Each ring as near to the end of RAM as it fits, then one alignment unit further. */
static void test_rings_in_ram(void)
{
	const uint64_t end = RAM_C + RAM_C_SIZE;
	struct vio_queue_config good, cfg;
	struct fix f;

	fix_prepare(&f, 8, false);
	good = fix_config(&f, false);
	for (uint64_t over = 0; over <= 1; over++) {
		int want = over ? -EFAULT : 0;

		cfg = good;
		cfg.desc_gpa = end - 8 * 16 + over * 16;
		CU_ASSERT_EQUAL(vio_queue_check(f.map, &cfg), want);
		cfg = good;
		cfg.driver_gpa = end - (4 + 2 * 8 + 2) + over * 2;
		CU_ASSERT_EQUAL(vio_queue_check(f.map, &cfg), want);
		cfg = good;
		cfg.device_gpa = end - (4 + 8 * 8 + 4) + over * 4; /* 2 for avail_event, aligned */
		CU_ASSERT_EQUAL(vio_queue_check(f.map, &cfg), want);
	}
	cfg = good;
	cfg.desc_gpa = RAM_B - 64; /* over a border: two pieces of host memory */
	CU_ASSERT_EQUAL(vio_queue_start(&f.q, f.map, &cfg, 256), -EFAULT);
	cfg = good;
	cfg.device_gpa = GAP + 64;
	CU_ASSERT_EQUAL(vio_queue_start(&f.q, f.map, &cfg, 256), -EFAULT);
	cfg = good;
	cfg.driver_gpa = UINT64_MAX - 1;
	CU_ASSERT_EQUAL(vio_queue_check(f.map, &cfg), -EFAULT);
	fix_fini(&f);
}

/* Slots: one per head, zeroed, 64-byte stride, at least as large as asked for. */
static void test_slots(void)
{
	char owner[3];
	struct vio_queue_config cfg;
	struct vio_chain *c[4];
	struct fix f;

	fix_prepare(&f, 4, false);
	cfg = fix_config(&f, false);
	f.q.index = 7;
	f.q.device_data = &owner[0];
	f.q.backend_data = &owner[1];
	MUST(vio_queue_start(&f.q, f.map, &cfg, sizeof(struct vio_chain) + 100));
	CU_ASSERT_EQUAL(f.q.index, 7);
	CU_ASSERT_PTR_EQUAL(f.q.device_data, &owner[0]);
	CU_ASSERT_PTR_EQUAL(f.q.backend_data, &owner[1]);
	for (unsigned i = 0; i < 4; i++) {
		const uint8_t *tail;

		fix_offer_one(&f);
		CU_ASSERT_EQUAL_FATAL(vio_queue_pop(&f.q, &c[i]), 1);
		CU_ASSERT_EQUAL((uintptr_t)c[i] % 64, 0);
		tail = (const uint8_t *)(c[i] + 1);
		for (unsigned k = 0; k < 100; k++)
			CU_ASSERT_EQUAL(tail[k], 0);
		memset(c[i] + 1, 0xff, 100);
	}
	for (unsigned i = 0; i < 4; i++)
		for (unsigned k = 0; k < 4; k++)
			CU_ASSERT(i == k || llabs((char *)c[i] - (char *)c[k]) >= 128);
	fix_fini(&f);
}

static void test_stopped_queue_does_nothing(void)
{
	struct vio_chain *c = NULL;
	struct fix f;

	fix_init(&f, 4, false, false);
	CU_ASSERT_EQUAL(vio_queue_stop(&f.q), 0);
	fix_offer_one(&f);
	CU_ASSERT_EQUAL(vio_queue_pop(&f.q, &c), 0);
	CU_ASSERT_PTR_NULL(c);
	CU_ASSERT_FALSE(vio_queue_publish(&f.q));
	CU_ASSERT_EQUAL(drv_queue_used_idx(&f.d), 0);
	CU_ASSERT_EQUAL(vio_queue_stop(&f.q), 0);
	fix_fini(&f);
}

/* stop returns where a later start goes on; everything popped is back by then. */
static void test_stop_and_go_on(void)
{
	struct vio_queue_config cfg;
	struct vio_chain *c;
	struct drv_used u;
	struct fix f;
	unsigned done = 0;

	fix_init(&f, 8, true, false);
	cfg = fix_config(&f, false);
	for (unsigned round = 0; round < 40000; round++) {
		fix_offer_one(&f);
		fix_offer_one(&f);
		CU_ASSERT_EQUAL_FATAL(vio_queue_pop(&f.q, &c), 1);
		vio_queue_push(&f.q, c, 8);
		vio_queue_publish(&f.q);
		if (round % 1000 == 0) {
			cfg.next_avail = vio_queue_stop(&f.q);
			CU_ASSERT_EQUAL(cfg.next_avail, (uint16_t)(done + 1));
			MUST(vio_queue_start(&f.q, f.map, &cfg, 256));
		}
		CU_ASSERT_EQUAL_FATAL(vio_queue_pop(&f.q, &c), 1);
		vio_queue_push(&f.q, c, 8);
		vio_queue_publish(&f.q);
		for (unsigned i = 0; i < 2; i++, done++)
			CU_ASSERT_EQUAL_FATAL(drv_queue_get(&f.d, &u), 1);
	}
	fix_fini(&f);
}

/*
 * The device's used index starts at 0, whatever the driver left in the memory of the used ring:
 * only used->flags has to be zeroed by the driver (SPLIT-DRV-023).
 */
static void test_used_index_starts_at_zero(void) /* SPLIT-IMP-002, BASIC-DEV-015 */
{
	struct vio_queue_config cfg;
	struct vio_chain *c;
	struct fix f;

	fix_prepare(&f, 8, false);
	f.d.used->idx = 0x1234;
	cfg = fix_config(&f, false);
	MUST(vio_queue_start(&f.q, f.map, &cfg, 256));
	fix_offer_one(&f);
	CU_ASSERT_EQUAL_FATAL(vio_queue_pop(&f.q, &c), 1);
	vio_queue_push(&f.q, c, 8);
	vio_queue_publish(&f.q);
	CU_ASSERT_EQUAL(drv_queue_used_idx(&f.d), 1);
	fix_fini(&f);
}

/* ---- indices -----------------------------------------------------------------------------------
 */

/* Runs past 65536 buffers, returned in another order than they came. */
static void run_past_wrap(uint16_t size, bool event_idx)
{
	struct vio_chain **c = calloc(size, sizeof(struct vio_chain *));
	unsigned batch = size < 3 ? size : size - size / 3;
	struct fix f;

	fix_init(&f, size, event_idx, false);
	for (unsigned done = 0; done < 2 * 65536 + 5;) {
		struct drv_used u;
		uint16_t expect[3] = {0};

		for (unsigned i = 0; i < batch; i++) {
			struct drv_buf b = {.gpa = f.buf, .len = i + 1, .writable = true};

			MUST(drv_queue_add(&f.d, &b, 1, DRV_DIRECT, NULL));
		}
		drv_queue_publish(&f.d);
		for (unsigned i = 0; i < batch; i++)
			CU_ASSERT_EQUAL_FATAL(vio_queue_pop(&f.q, &c[i]), 1);
		CU_ASSERT_EQUAL_FATAL(vio_queue_pop(&f.q, &c[batch]), 0);
		for (unsigned i = batch; i-- > 0;) {
			if (i < 3)
				expect[i] = c[i]->head;
			vio_queue_push(&f.q, c[i], i + 1);
		}
		CU_ASSERT_EQUAL(drv_queue_ready(&f.d), 0); /* not before publish, SPLIT-DEV-017 */
		vio_queue_publish(&f.q);
		CU_ASSERT_EQUAL_FATAL(drv_queue_ready(&f.d), batch);
		for (unsigned i = batch; i-- > 0; done++) {
			CU_ASSERT_EQUAL_FATAL(drv_queue_get(&f.d, &u), 1);
			CU_ASSERT_EQUAL(u.len, i + 1);
			if (i < 3)
				CU_ASSERT_EQUAL(u.head, expect[i]);
		}
		CU_ASSERT_EQUAL_FATAL(drv_queue_used_idx(&f.d), (uint16_t)done);
	}
	fix_fini(&f);
	free(c);
}

static void test_wrap_size_1(void) /* SPLIT-IMP-001 .. SPLIT-IMP-005 */
{
	run_past_wrap(1, false);
	run_past_wrap(1, true);
}

static void test_wrap_size_2(void)
{
	run_past_wrap(2, false);
	run_past_wrap(2, true);
}

static void test_wrap_size_256(void)
{
	run_past_wrap(256, false);
	run_past_wrap(256, true);
}

static void test_wrap_size_32768(void)
{
	run_past_wrap(32768, false);
	run_past_wrap(32768, true);
}

static void test_used_length_is_cut(void) /* SPLIT-DEV-018 */
{
	struct drv_buf b[2];
	struct vio_chain *c;
	struct drv_used u;
	struct fix f;

	fix_init(&f, 4, false, false);
	fix_bufs(&f, b, 2, 100, 1);
	fix_offer(&f, b, 2, DRV_DIRECT);
	CU_ASSERT_EQUAL_FATAL(vio_queue_pop(&f.q, &c), 1);
	vio_queue_push(&f.q, c, 101);
	vio_queue_publish(&f.q);
	CU_ASSERT_EQUAL_FATAL(drv_queue_get(&f.d, &u), 1);
	CU_ASSERT_EQUAL(u.len, 100);
	fix_fini(&f);
}

/* ---- used-buffer notifications -----------------------------------------------------------------
 */

static void pop_push(struct fix *f, unsigned n)
{
	struct vio_chain *c;

	for (unsigned i = 0; i < n; i++) {
		fix_offer_one(f);
		CU_ASSERT_EQUAL_FATAL(vio_queue_pop(&f->q, &c), 1);
		vio_queue_push(&f->q, c, 8);
	}
}

static void take_all(struct fix *f)
{
	struct drv_used u;

	while (drv_queue_get(&f->d, &u) == 1)
		;
}

static void test_no_interrupt_flag(void)
{
	struct fix f;

	fix_init(&f, 8, false, false);
	for (unsigned i = 0; i < 100; i++) {
		bool want = i % 3 == 0;

		/* Without the feature the place of used_event means nothing: SPLIT-DEV-011. */
		drv_queue_set_used_event(&f.d, (uint16_t)(f.d.used_idx + i % 5));
		drv_queue_set_avail_flags(&f.d, want ? 0 : VRING_AVAIL_F_NO_INTERRUPT);
		pop_push(&f, 1 + i % 4);
		CU_ASSERT_EQUAL(vio_queue_publish(&f.q), want); /* SPLIT-DEV-012, -013 */
		CU_ASSERT_FALSE(vio_queue_publish(&f.q));	/* nothing new to tell */
		take_all(&f);
	}
	fix_fini(&f);
}

/* Starts both sides as if `idx` buffers had gone through already. */
static void restart_at(struct fix *f, uint16_t idx)
{
	struct vio_queue_config cfg = fix_config(f, false);

	vio_queue_stop(&f->q);
	drv_queue_clear(&f->d);
	drv_queue_warp(&f->d, idx);
	cfg.next_avail = idx;
	MUST(vio_queue_start(&f->q, f->map, &cfg, 256));
}

/* Batches of every size over every distance to used_event, at the wrap of the index and elsewhere.
 */
static void test_used_event(void) /* SPLIT-DEV-014 .. SPLIT-DEV-016, SPLIT-IMP-010 */
{
	static const uint16_t starts[] = {0, 100, 0x7ffd, 0xfffa, 0xffff};
	struct fix f;

	fix_init(&f, 8, true, false);
	for (unsigned k = 0; k < VIO_ARRAY_LEN(starts) * 8 * 15; k++) {
		uint16_t start = starts[k / (8 * 15)];
		int batch = 1 + (int)(k / 15 % 8), ahead = (int)(k % 15) - 3;

		restart_at(&f, start);
		drv_queue_set_avail_flags(&f.d, VRING_AVAIL_F_NO_INTERRUPT);
		drv_queue_set_used_event(&f.d, (uint16_t)(start + ahead));
		pop_push(&f, (unsigned)batch);
		CU_ASSERT_EQUAL(vio_queue_publish(&f.q), ahead >= 0 && ahead < batch);
	}
	fix_fini(&f);
}

/* used_event left at one value interrupts once every 65536 buffers. */
static void test_used_event_stays(void) /* SPLIT-IMP-010 */
{
	unsigned interrupts = 0;
	struct fix f;

	fix_init(&f, 8, true, false);
	drv_queue_set_used_event(&f.d, 0);
	for (unsigned i = 0; i < 3 * 65536; i += 8) {
		bool irq;

		pop_push(&f, 8);
		irq = vio_queue_publish(&f.q);
		interrupts += irq;
		CU_ASSERT_EQUAL(irq, i % 65536 == 0);
		take_all(&f);
	}
	CU_ASSERT_EQUAL(interrupts, 3);
	fix_fini(&f);
}

/* ---- available-buffer notifications ------------------------------------------------------------
 */

/* From the first chain to the empty ring the driver need not kick; then it must. */
static void test_kicks_suppressed_while_busy(void) /* SPLIT-DEV-020 .. SPLIT-DEV-023 */
{
	for (unsigned event_idx = 0; event_idx <= 1; event_idx++) {
		struct drv_buf b;
		struct vio_chain *c;
		struct fix f;

		fix_init(&f, 16, event_idx, false);
		fix_bufs(&f, &b, 1, 8, 0);
		for (unsigned round = 0; round < 20000; round++) {
			/* idle: armed, whether or not the device ever looked */
			MUST(drv_queue_add(&f.d, &b, 1, DRV_DIRECT, NULL));
			CU_ASSERT_TRUE(drv_queue_publish(&f.d));
			MUST(drv_queue_add(&f.d, &b, 1, DRV_DIRECT, NULL));
			drv_queue_publish(&f.d);
			CU_ASSERT_EQUAL_FATAL(vio_queue_pop(&f.q, &c), 1);
			vio_queue_push(&f.q, c, 8);
			/* busy: one chain is waiting, more may come without a kick */
			CU_ASSERT(drv_queue_used_flags(&f.d) <= 1);
			CU_ASSERT(!event_idx || drv_queue_used_flags(&f.d) == 0);
			MUST(drv_queue_add(&f.d, &b, 1, DRV_DIRECT, NULL));
			CU_ASSERT_FALSE(drv_queue_publish(&f.d));
			while (vio_queue_pop(&f.q, &c) == 1)
				vio_queue_push(&f.q, c, 8);
			/* empty: armed again */
			CU_ASSERT_EQUAL(drv_queue_used_flags(&f.d), 0);
			CU_ASSERT(!event_idx || drv_queue_avail_event(&f.d) == f.d.avail_idx);
			vio_queue_publish(&f.q);
			take_all(&f);
		}
		fix_fini(&f);
	}
}

/* ---- looking again after arming -----------------------------------------------------------------
 */

/*
 * The used ring in a page that the device cannot write: its first write stops it between having
 * found the ring empty and having asked for a kick. There the driver makes a buffer available,
 * which wants no kick yet; then the device goes on.
 */
static struct {
	struct fix *f;
	void *page;
	unsigned faults;
	bool kick; /* the driver saw that it should kick */
} arming;

static void on_used_ring_write(int sig)
{
	struct drv_queue *q = &arming.f->d;

	(void)sig;
	if (arming.faults++ > 0 || mprotect(arming.page, 4096, PROT_READ | PROT_WRITE) < 0)
		_exit(1); /* not what this test is about */
	drv_queue_offer_raw(q, 1);
	arming.kick = q->event_idx ? drv_queue_avail_event(q) + 1 == q->avail_idx
				   : !(drv_queue_used_flags(q) & VRING_USED_F_NO_NOTIFY);
}

static void look_again(bool event_idx) /* SPLIT-IMP-009 */
{
	struct sigaction on_segv = {.sa_handler = on_used_ring_write}, before;
	struct vio_queue_config cfg;
	struct vio_chain *c;
	struct fix f;

	fix_prepare(&f, 4, event_idx);
	f.d.device_gpa = drv_mem_alloc(&f.mem, 4096, 4096);
	f.d.used = drv_mem_ptr(&f.mem, f.d.device_gpa, 4096);
	cfg = fix_config(&f, false);
	MUST(vio_queue_start(&f.q, f.map, &cfg, 256));
	for (uint16_t i = 0; i < 2; i++)
		drv_desc_write(&f.d.desc[i], f.buf, 8, VRING_DESC_F_WRITE, 0);
	drv_queue_offer_raw(&f.d, 0);
	CU_ASSERT_EQUAL_FATAL(vio_queue_pop(&f.q, &c), 1);
	vio_queue_push(&f.q, c, 8);
	vio_queue_publish(&f.q);

	arming.f = &f;
	arming.page = f.d.used;
	arming.faults = 0;
	sigaction(SIGSEGV, &on_segv, &before);
	mprotect(arming.page, 4096, PROT_READ);
	CU_ASSERT_EQUAL(vio_queue_pop(&f.q, &c), 1);
	sigaction(SIGSEGV, &before, NULL);
	CU_ASSERT_EQUAL(arming.faults, 1);
	CU_ASSERT_FALSE(arming.kick);
	fix_fini(&f);
}

static void test_look_again(void)
{
	look_again(false);
	look_again(true);
}

static CU_TestInfo tests[] = {
	{"sizes and alignment", test_sizes_and_alignment},
	{"rings must be in RAM", test_rings_in_ram},
	{"request slots", test_slots},
	{"a stopped queue does nothing", test_stopped_queue_does_nothing},
	{"stop and go on", test_stop_and_go_on},
	{"used index starts at 0", test_used_index_starts_at_zero},
	{"index wrap, size 1", test_wrap_size_1},
	{"index wrap, size 2", test_wrap_size_2},
	{"index wrap, size 256", test_wrap_size_256},
	{"index wrap, size 32768", test_wrap_size_32768},
	{"used length is cut to what can be written", test_used_length_is_cut},
	{"NO_INTERRUPT", test_no_interrupt_flag},
	{"used_event, every distance", test_used_event},
	{"used_event that stays", test_used_event_stays},
	{"kicks are suppressed while busy", test_kicks_suppressed_while_busy},
	{"the ring is looked at again after arming", test_look_again},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("ring", tests);
}
