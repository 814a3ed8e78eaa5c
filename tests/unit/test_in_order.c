/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VIRTIO_F_IN_ORDER and VIRTIO_F_NOTIFICATION_DATA, which a device offers when asked to. The chaos
 * test (test_chaos.c) has both under random load, resets and stops.
 */
#include <errno.h>
#include <string.h>
#include <viodm/mmio.h>

#include <driver/bus_mmio.h>
#include <driver/bus_pci.h>

#include "disk.h"
#include "queue_fix.h"

#define SIZE 16u

/* ---- the queue ---------------------------------------------------------------------------------
 */

struct shuffle {
	struct fix f;
	struct vio_chain *held[SIZE];
	unsigned n_held;
	unsigned random;
};

static unsigned draw(struct shuffle *s, unsigned n)
{
	s->random = s->random * 1664525u + 1013904223u;
	return (s->random >> 8) % n;
}

static void shuffle_init(struct shuffle *s, bool event_idx, bool in_order, uint16_t at)
{
	struct vio_queue_config cfg;

	memset(s, 0, sizeof(*s));
	fix_prepare(&s->f, SIZE, event_idx);
	s->f.d.in_order = in_order;
	drv_queue_warp(&s->f.d, at);
	cfg = fix_config(&s->f, false);
	cfg.in_order = in_order;
	cfg.next_avail = at;
	MUST(vio_queue_start(&s->f.q, s->f.map, &cfg, sizeof(struct vio_chain)));
}

static bool shuffle_offer(struct shuffle *s)
{
	struct drv_buf b[2];

	fix_bufs(&s->f, b, 2, 512, 1);
	if (drv_queue_add(&s->f.d, b, 1 + draw(s, 2), DRV_DIRECT, NULL) < 0)
		return false;
	drv_queue_publish(&s->f.d);
	return true;
}

/* The device takes one. */
static bool shuffle_pop(struct shuffle *s)
{
	struct vio_chain *c;

	if (s->n_held == SIZE || vio_queue_pop(&s->f.q, &c) != 1)
		return false;
	s->held[s->n_held++] = c;
	return true;
}

static uint16_t shuffle_push(struct shuffle *s, unsigned i, uint64_t len)
{
	uint16_t head = s->held[i]->head;

	vio_queue_push(&s->f.q, s->held[i], len);
	s->held[i] = s->held[--s->n_held];
	return head;
}

/* Whatever the order of pushing: each element is the next chain's, and has that chain's length. */
static void shuffled(bool event_idx, uint16_t at)
{
	uint16_t order[65536], popped = 0, taken = 0;
	uint32_t len[SIZE];
	struct shuffle s;

	shuffle_init(&s, event_idx, true, at);
	for (unsigned step = 0; step < 100000; step++) {
		struct drv_used u;
		unsigned i;

		switch (draw(&s, 8)) {
		case 0 ... 2:
			shuffle_offer(&s);
			break;
		case 3 ... 4:
			if (shuffle_pop(&s))
				order[popped++] = s.held[s.n_held - 1]->head;
			break;
		case 5 ... 6:
			if (s.n_held == 0)
				break;
			i = draw(&s, s.n_held);
			len[s.held[i]->head] = draw(&s, 2000);
			if (len[s.held[i]->head] > s.held[i]->writable_len)
				len[s.held[i]->head] = (uint32_t)s.held[i]->writable_len;
			shuffle_push(&s, i, len[s.held[i]->head]);
			break;
		default:
			vio_queue_publish(&s.f.q);
			while (drv_queue_get(&s.f.d, &u) == 1) {
				CU_ASSERT_EQUAL_FATAL(u.head, order[taken]);
				CU_ASSERT_EQUAL_FATAL(u.len, len[u.head]);
				taken++;
			}
		}
	}
	CU_ASSERT_PTR_NULL(s.f.q.fault);
	CU_ASSERT_EQUAL(s.f.d.n_skipped, 0);
	CU_ASSERT_EQUAL(s.f.q.in_flight, s.n_held);
	while (s.n_held > 0)
		shuffle_push(&s, 0, 0);
	vio_queue_publish(&s.f.q);
	CU_ASSERT_EQUAL(drv_queue_used_idx(&s.f.d), (uint16_t)(at + popped));
	CU_ASSERT_EQUAL(vio_queue_stop(&s.f.q), (uint16_t)(at + popped));
	fix_fini(&s.f);
}

static void test_shuffled(void)
{
	shuffled(false, 0);
	shuffled(true, 0);
	shuffled(true, 0xfff9);
}

/* Nothing is visible, and nobody is interrupted, before the oldest is done. */
static void test_waits_for_the_oldest(void)
{
	struct shuffle s;

	shuffle_init(&s, false, true, 0);
	for (unsigned i = 0; i < 4; i++) {
		shuffle_offer(&s);
		shuffle_pop(&s);
	}
	for (unsigned i = 3; i > 0; i--) {
		shuffle_push(&s, i, 0);
		CU_ASSERT_FALSE(vio_queue_publish(&s.f.q));
		CU_ASSERT_EQUAL(drv_queue_ready(&s.f.d), 0);
	}
	shuffle_push(&s, 0, 0);
	CU_ASSERT_TRUE(vio_queue_publish(&s.f.q));
	CU_ASSERT_EQUAL(drv_queue_ready(&s.f.d), 4);
	fix_fini(&s.f);
}

/* Without the feature a queue uses what is done first. */
static void test_only_when_negotiated(void)
{
	struct shuffle s;
	struct drv_used u;
	uint16_t head;

	shuffle_init(&s, false, false, 0);
	for (unsigned i = 0; i < 2; i++) {
		shuffle_offer(&s);
		shuffle_pop(&s);
	}
	head = shuffle_push(&s, 1, 0);
	CU_ASSERT_TRUE(vio_queue_publish(&s.f.q));
	CU_ASSERT_EQUAL(drv_queue_get(&s.f.d, &u), 1);
	CU_ASSERT_EQUAL(u.head, head);
	fix_fini(&s.f);
}

/* A chain that is held back is still in flight: its head made available again is a fault. */
static void test_held_head_again(void)
{
	struct shuffle s;
	struct vio_chain *c;
	uint16_t head;

	shuffle_init(&s, false, true, 0);
	for (unsigned i = 0; i < 2; i++) {
		shuffle_offer(&s);
		shuffle_pop(&s);
	}
	head = shuffle_push(&s, 1, 0);
	drv_queue_offer_raw(&s.f.d, head);
	CU_ASSERT_EQUAL(vio_queue_pop(&s.f.q, &c), -EPROTO);
	CU_ASSERT_PTR_NOT_NULL(s.f.q.fault);
	shuffle_push(&s, 0, 0); /* dropped */
	CU_ASSERT_FALSE(vio_queue_publish(&s.f.q));
	CU_ASSERT_EQUAL(drv_queue_used_idx(&s.f.d), 0);
	fix_fini(&s.f); /* with a chain that is held back */
}

/* What a model did not work on is given back, behind what was used. */
static void test_unpop(void)
{
	struct vio_queue_config cfg;
	struct shuffle s;

	shuffle_init(&s, false, true, 0);
	for (unsigned i = 0; i < 5; i++)
		shuffle_offer(&s);
	for (unsigned i = 0; i < 4; i++)
		shuffle_pop(&s);
	shuffle_push(&s, 1, 0);
	shuffle_push(&s, 0, 0);
	vio_queue_unpop(&s.f.q, 2);
	vio_queue_publish(&s.f.q);
	CU_ASSERT_EQUAL(drv_queue_used_idx(&s.f.d), 2);
	CU_ASSERT_EQUAL(vio_queue_stop(&s.f.q), 2);
	cfg = fix_config(&s.f, false);
	cfg.in_order = true;
	cfg.next_avail = 2;
	MUST(vio_queue_start(&s.f.q, s.f.map, &cfg, sizeof(struct vio_chain)));
	s.n_held = 0;
	while (shuffle_pop(&s))
		;
	CU_ASSERT_EQUAL(s.n_held, 3);
	while (s.n_held > 0)
		shuffle_push(&s, s.n_held - 1, 0);
	vio_queue_publish(&s.f.q);
	CU_ASSERT_EQUAL(drv_queue_used_idx(&s.f.d), 5);
	fix_fini(&s.f);
}

/* ---- a disk -------------------------------------------------------------------------------------
 */

#define N_REQS 12u

static void disk_opt_in(struct disk *d, enum drv_bus_kind kind)
{
	struct vio_blk_config blk = {.queue_size = 64};

	MUST(drv_rig_init(&d->rig));
	d->rig.env.opt_in = VIO_OPT_IN_FEATURES;
	MUST(drv_held_open(DISK_SIZE, &d->held));
	blk.storage = drv_held_storage(d->held);
	MUST(vio_blk_create(&d->rig.env, &blk, &d->dev));
	MUST(drv_rig_connect(&d->rig, d->dev, kind, &d->bus, &d->drv));
}

/* Writes and reads of one piece of the disk, answered last to first; FEAT-DEV-005 */
static void disk_reversed(enum drv_bus_kind kind)
{
	static uint8_t out[N_REQS][1024], in[N_REQS][1024];
	struct drv_blk_req req[N_REQS];
	struct disk d;

	disk_opt_in(&d, kind);
	disk_start(&d, DRV_ALL_FEATURES);
	CU_ASSERT_TRUE(drv_device_has(&d.drv, VIRTIO_F_IN_ORDER));
	CU_ASSERT_TRUE(drv_device_has(&d.drv, VIO_F_NOTIFICATION_DATA));
	for (unsigned write = 0; write < 2; write++) {
		drv_held_hold(d.held, true);
		for (unsigned i = 0; i < N_REQS; i++) {
			memset(out[i], (int)(i + 1), sizeof(out[i]));
			req[i] = (struct drv_blk_req){.sector = 8 * i, .in = in[i], .in_len = 1024};
			if (write == 0)
				req[i] = (struct drv_blk_req){.type = VIRTIO_BLK_T_OUT,
							      .sector = 8 * i,
							      .out = out[i],
							      .out_len = 1024};
			MUST(drv_blk_submit(&d.blk, 0, &req[i]));
		}
		drv_device_settle(&d.drv);
		CU_ASSERT_EQUAL(drv_held_count(d.held), N_REQS);
		drv_irq_forget(d.bus);
		drv_queue_irq_on(&d.drv.queue[0]);
		while (drv_held_count(d.held) > 1) {
			drv_held_release(d.held, 1, true);
			drv_device_settle(&d.drv);
			CU_ASSERT_EQUAL(drv_blk_poll(&d.blk, 0), 0);
		}
		CU_ASSERT_EQUAL(drv_irq_take(d.bus, 0), 0);
		drv_held_release(d.held, 1, true);
		drv_device_settle(&d.drv);
		CU_ASSERT_TRUE(drv_irq_take(d.bus, 0) > 0);
		CU_ASSERT_EQUAL(drv_blk_poll(&d.blk, 0), (int)N_REQS);
		for (unsigned i = 0; i < N_REQS; i++) {
			CU_ASSERT_EQUAL(req[i].status, VIRTIO_BLK_S_OK);
			CU_ASSERT_EQUAL(req[i].used_len, write ? 1025u : 1u);
		}
	}
	CU_ASSERT_EQUAL(memcmp(in, out, sizeof(in)), 0);
	CU_ASSERT_EQUAL(d.drv.queue[0].n_skipped, 0);
	disk_fini(&d);
}

static void test_disk_reversed(void)
{
	on_each_bus(disk_reversed);
}

/* ---- notification data --------------------------------------------------------------------------
 */

static void dut_opt_in(struct dut *t, enum drv_bus_kind kind, uint16_t n_queues, uint64_t opt_in)
{
	struct drv_probe_config cfg = {.n_queues = n_queues, .queue_size = 16, .config_size = 8};

	MUST(drv_rig_init(&t->rig));
	t->rig.env.opt_in = opt_in;
	MUST(drv_probe_create(&t->rig.env, &cfg, &t->probe));
	t->dev = &t->probe->base;
	MUST(drv_rig_connect(&t->rig, t->dev, kind, &t->bus, &t->drv));
}

static void offered(enum drv_bus_kind kind)
{
	uint64_t each[] = {DRV_FEATURE(VIRTIO_F_IN_ORDER), DRV_FEATURE(VIO_F_NOTIFICATION_DATA)};
	struct dut t;

	for (unsigned i = 0; i < 2; i++) {
		dut_opt_in(&t, kind, 1, each[i] | DRV_FEATURE(50));
		CU_ASSERT_EQUAL(drv_offered(t.bus) & VIO_OPT_IN_FEATURES, each[i]);
		CU_ASSERT_EQUAL(drv_offered(t.bus) & DRV_FEATURE(50), 0);
		dut_fini(&t);
	}
	dut_init(&t, kind, 1);
	CU_ASSERT_EQUAL(drv_offered(t.bus) & VIO_OPT_IN_FEATURES, 0);
	dut_fini(&t);
}

static void test_offered_when_asked(void)
{
	on_each_bus(offered);
}

/* Makes a buffer available without telling; is it used after mmio's QueueNotify got `value`? */
static bool mmio_notices(struct dut *t, uint16_t queue, uint32_t value)
{
	struct drv_buf b = {.gpa = drv_mem_alloc(&t->rig.mem, 16, 16), .len = 16, .writable = true};
	uint16_t before = drv_queue_used_idx(&t->drv.queue[queue]);

	MUST(drv_queue_add(&t->drv.queue[queue], &b, 1, DRV_DIRECT, NULL));
	drv_queue_publish(&t->drv.queue[queue]);
	drv_mmio_set(t->bus, MMIO_QUEUE_NOTIFY, value);
	drv_device_settle(&t->drv);
	return drv_queue_used_idx(&t->drv.queue[queue]) != before;
}

static void test_mmio_value(void) /* BASIC-IMP-006 */
{
	struct dut t;

	dut_opt_in(&t, DRV_MMIO, 3, VIO_OPT_IN_FEATURES);
	dut_start(&t);
	CU_ASSERT_TRUE(mmio_notices(&t, 1, 0x00010001));
	CU_ASSERT_TRUE(mmio_notices(&t, 2, 0xffff0002));
	CU_ASSERT_TRUE(mmio_notices(&t, 0, 0x80020000));
	CU_ASSERT_FALSE(mmio_notices(&t, 0, 0x00000001)); /* another queue's */
	CU_ASSERT_FALSE(mmio_notices(&t, 0, 0x00000003)); /* none's */
	CU_ASSERT_FALSE(mmio_notices(&t, 0, 0x0000ffff));
	CU_ASSERT_TRUE(mmio_notices(&t, 0, 0x00000000));
	CU_ASSERT_EQUAL(drv_status(t.bus) & NEEDS_RESET, 0);
	/* offered, and not accepted: all of the value is the index */
	MUST(drv_device_start(&t.drv, &(struct drv_device_config){.features = V1}));
	drv_device_settle(&t.drv);
	CU_ASSERT_FALSE(mmio_notices(&t, 0, 0x00010000));
	CU_ASSERT_TRUE(mmio_notices(&t, 0, 0));
	dut_fini(&t);
}

/* What KVM can match: one queue's any value, several queues' only the plain index. */
static void test_mmio_ioeventfd(void)
{
	struct vio_mmio_ioeventfd io;
	struct dut t;

	for (uint16_t n = 1; n <= 2; n++) {
		for (unsigned opt_in = 0; opt_in < 2; opt_in++) {
			dut_opt_in(&t, DRV_MMIO, n, opt_in ? VIO_OPT_IN_FEATURES : 0);
			CU_ASSERT_EQUAL(vio_mmio_ioeventfd(drv_mmio_transport(t.bus), n - 1, &io),
					0);
			CU_ASSERT_EQUAL(io.any_data, n == 1 && opt_in);
			CU_ASSERT_EQUAL(io.data, n - 1);
			CU_ASSERT_EQUAL(io.length, 4);
			dut_fini(&t);
		}
	}
}

/* A queue's address tells which it is, whatever is written there, as with an ioeventfd. */
static void test_pci_value(void)
{
	static const uint32_t values[] = {0x00010001, 0xffff0000, 0xdead5555};
	struct dut t;

	dut_opt_in(&t, DRV_PCI_MSIX, 2, VIO_OPT_IN_FEATURES);
	dut_start(&t);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(values); i++) {
		struct drv_buf b = {
			.gpa = drv_mem_alloc(&t.rig.mem, 16, 16), .len = 16, .writable = true};
		struct drv_used u;

		MUST(drv_queue_add(&t.drv.queue[1], &b, 1, DRV_DIRECT, NULL));
		drv_queue_publish(&t.drv.queue[1]);
		drv_pci_set(t.bus, VIRTIO_PCI_CAP_NOTIFY_CFG, drv_pci_notify_multiplier(t.bus), 4,
			    values[i]);
		CU_ASSERT_EQUAL(drv_device_wait(&t.drv, 1, &u), 1);
	}
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	dut_fini(&t);
}

static CU_TestInfo tests[] = {
	{"pushed in any order", test_shuffled},
	{"waits for the oldest", test_waits_for_the_oldest},
	{"only when negotiated", test_only_when_negotiated},
	{"a held head made available again", test_held_head_again},
	{"unpop", test_unpop},
	{"a disk whose engine answers backwards", test_disk_reversed},
	{"offered when asked", test_offered_when_asked},
	{"notification data on mmio", test_mmio_value},
	{"ioeventfds with notification data", test_mmio_ioeventfd},
	{"notification data on pci", test_pci_value},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("in order", tests);
}
