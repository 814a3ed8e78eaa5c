/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Driver faults, device and queue reset with requests in
 * flight, a changing memory map; on each transport.
 */
#include <errno.h>

#include "disk.h"

/* ---- driver faults -----------------------------------------------------------------------------
 */

static void fault_interrupts(enum drv_bus_kind kind) /* BASIC-DEV-002, BASIC-DEV-003 */
{
	struct dut t;

	dut_init(&t, kind, 1);
	dut_start(&t);
	drv_queue_offer_raw(&t.drv.queue[0], 0xfff0);
	drv_kick(t.bus, 0);
	drv_device_settle(&t.drv);
	CU_ASSERT_EQUAL(drv_status(t.bus), ACK | DRIVER | FEATURES_OK | DRIVER_OK | NEEDS_RESET);
	CU_ASSERT_EQUAL(drv_irq_take(t.bus, DRV_IRQ_CONFIG), 1);
	CU_ASSERT_EQUAL(t.rig.log_lines, 1);
	/* More of it changes nothing, and tells nobody. */
	drv_queue_offer_raw(&t.drv.queue[0], 0xfff1);
	drv_kick(t.bus, 0);
	drv_device_settle(&t.drv);
	vio_device_fail(t.dev, "once more");
	CU_ASSERT_EQUAL(drv_irq_take(t.bus, DRV_IRQ_CONFIG), 0);
	CU_ASSERT_EQUAL(t.rig.log_lines, 1);
	CU_ASSERT_EQUAL(drv_queue_used_idx(&t.drv.queue[0]), 0);
	/* Only a reset helps. */
	drv_add_status(t.bus, DRIVER_OK);
	drv_set_status(t.bus, ACK);
	CU_ASSERT(drv_status(t.bus) & NEEDS_RESET);
	dut_start(&t);
	CU_ASSERT_EQUAL(drv_status(t.bus), ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	dut_fini(&t);
}

static void test_fault_interrupts(void)
{
	on_each_bus(fault_interrupts);
}

static void fault_before_driver_ok(enum drv_bus_kind kind)
{
	struct vio_queue_regs regs;
	struct dut t;

	dut_init(&t, kind, 1);
	MUST(drv_device_negotiate(&t.drv, DRV_ALL_FEATURES));
	MUST(drv_irq_setup(t.bus, 1));
	vio_device_fail(t.dev, "a test says so");
	CU_ASSERT_EQUAL(drv_status(t.bus), ACK | DRIVER | FEATURES_OK | NEEDS_RESET);
	CU_ASSERT_EQUAL(drv_irq_take(t.bus, DRV_IRQ_CONFIG), 0);
	CU_ASSERT_EQUAL(drv_add_status(t.bus, DRIVER_OK) & DRIVER_OK, 0);
	CU_ASSERT_EQUAL(t.bus->n_irqs, 0);
	drv_set(t.bus, DRV_QUEUE_SIZE, 0, 4); /* nothing of a queue can be set up now */
	drv_set(t.bus, DRV_QUEUE_DESC, 0, DRV_RIG_RAM_GPA);
	vio_device_queue_get(t.dev, 0, &regs);
	CU_ASSERT_EQUAL(regs.size, 16);
	CU_ASSERT_EQUAL(regs.desc, 0);
	dut_start(&t);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	dut_fini(&t);
}

static void test_fault_before_driver_ok(void)
{
	on_each_bus(fault_before_driver_ok);
}

/* A model that cannot start a queue: the driver is told, nothing else happens. */
static void queue_cannot_start(enum drv_bus_kind kind)
{
	struct dut t;

	dut_init(&t, kind, 2);
	t.probe->start_error = -ENOSPC;
	dut_start(&t);
	CU_ASSERT(drv_status(t.bus) & NEEDS_RESET);
	CU_ASSERT_EQUAL(t.probe->stops, 0);
	t.probe->start_error = 0;
	dut_start(&t);
	CU_ASSERT_TRUE(dut_serves(&t, 1));
	dut_fini(&t);
}

static void test_queue_cannot_start(void)
{
	on_each_bus(queue_cannot_start);
}

/* ---- resets ------------------------------------------------------------------------------------
 */

/* Everything is as at power-on; chains that were kept are gone without a trace. */
static void device_reset(enum drv_bus_kind kind) /* BASIC-DEV-011, BASIC-DEV-012, MMIO-DEV-005 */
{
	struct drv_queue *q;
	uint16_t used;
	uint32_t irqs;
	struct dut t;

	dut_init(&t, kind, 2);
	dut_start(&t);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	CU_ASSERT_TRUE(dut_serves(&t, 1));
	t.probe->hold = true;
	for (unsigned i = 0; i < 5; i++)
		dut_offer(&t, 0);
	q = &t.drv.queue[0];
	used = drv_queue_used_idx(q);
	drv_reset(t.bus);
	irqs = t.bus->n_irqs;
	CU_ASSERT_EQUAL(t.probe->dropped, 5);
	CU_ASSERT_EQUAL(t.probe->stops, 2);
	CU_ASSERT(t.probe->resets > 0);
	CU_ASSERT_FALSE(t.bus->line);
	for (uint16_t i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(drv_get(t.bus, DRV_QUEUE_ENABLE, i), 0);
		CU_ASSERT_EQUAL(drv_get(t.bus, DRV_QUEUE_RESET, i), 0);
		CU_ASSERT_EQUAL(drv_get(t.bus, DRV_QUEUE_MAX, i), 16);
		drv_kick(t.bus, i);
	}
	drv_device_settle(&t.drv);
	drv_irq_forget(t.bus);
	CU_ASSERT_EQUAL(drv_queue_used_idx(q), used);
	CU_ASSERT_EQUAL(t.bus->n_irqs, irqs);
	t.probe->hold = false;
	dut_start(&t);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	dut_fini(&t);
}

static void test_device_reset(void)
{
	on_each_bus(device_reset);
}

/* One queue goes back to its defaults, the other goes on. */
static void queue_reset(enum drv_bus_kind kind) /* BASIC-DEV-014 .. 016, MMIO-DEV-008 .. 012 */
{
	struct drv_queue old;
	struct dut t;

	dut_init(&t, kind, 2);
	dut_start(&t);
	t.probe->hold = true;
	dut_offer(&t, 0);
	dut_offer(&t, 1);
	drv_irq_forget(t.bus);
	drv_queue_reset(t.bus, 0);
	CU_ASSERT_EQUAL(drv_get(t.bus, DRV_QUEUE_ENABLE, 0), 0);
	CU_ASSERT_EQUAL(drv_get(t.bus, DRV_QUEUE_ENABLE, 1), 1);
	CU_ASSERT_EQUAL(drv_get(t.bus, DRV_QUEUE_MAX, 0), 16);
	CU_ASSERT_EQUAL(t.probe->dropped, 1);
	drv_kick(t.bus, 0);
	drv_device_settle(&t.drv);
	CU_ASSERT_EQUAL(drv_irq_take(t.bus, 0), 0);
	CU_ASSERT_EQUAL(drv_queue_used_idx(&t.drv.queue[0]), 0);

	/* Again with other rings of another size, beginning at index 0. */
	t.probe->hold = false;
	old = t.drv.queue[0];
	MUST(drv_queue_init(&t.drv.queue[0], &t.rig.mem, 4, t.drv.queue[1].event_idx, 0));
	drv_queue_fini(&old);
	drv_device_place_queue(&t.drv, 0);
	MUST(drv_irq_setup(t.bus, 2)); /* PCI: the queue's vector went with the reset */
	CU_ASSERT_EQUAL(drv_get(t.bus, DRV_QUEUE_ENABLE, 0), 1);
	for (unsigned i = 0; i < 9; i++)
		CU_ASSERT_TRUE(dut_serves(&t, 0));
	CU_ASSERT(drv_irq_take(t.bus, 0) > 0);
	CU_ASSERT_EQUAL(drv_probe_answer(t.probe, 1), 1);
	CU_ASSERT_EQUAL(drv_queue_ready(&t.drv.queue[1]), 1);
	CU_ASSERT_TRUE(dut_serves(&t, 1));
	CU_ASSERT_EQUAL(drv_status(t.bus) & NEEDS_RESET, 0);
	dut_fini(&t);
}

static void test_queue_reset(void)
{
	on_each_bus(queue_reset);
}

struct midway {
	struct dut *t;
	uint8_t status;
	uint64_t resetting[2];
	unsigned calls;
};

/* A look at the registers from inside a reset, on its own thread, which may not start another. */
static void on_stop(void *arg)
{
	struct midway *m = arg;

	m->calls++;
	m->status = drv_status(m->t->bus);
	for (uint32_t i = 0; i < 2; i++)
		m->resetting[i] = drv_get(m->t->bus, DRV_QUEUE_RESET, i);
	drv_set_status(m->t->bus, 0);
	drv_set(m->t->bus, DRV_QUEUE_RESET, 1, 1);
	drv_set(m->t->bus, DRV_QUEUE_ENABLE, 0, 1);
}

/* Neither kind of reset says that it is finished before it is. */
static void reset_takes_time(enum drv_bus_kind kind) /* BASIC-DEV-011, MMIO-DEV-011, PCI-DEV-030 */
{
	struct midway m = {0};
	struct dut t;

	dut_init(&t, kind, 2);
	dut_start(&t);
	m.t = &t;
	t.probe->on_stop_arg = &m;
	t.probe->on_stop = on_stop;
	drv_queue_reset(t.bus, 1);
	CU_ASSERT_EQUAL(m.calls, 1);
	CU_ASSERT_EQUAL(m.resetting[0], 0);
	CU_ASSERT_EQUAL(m.resetting[1], 1);
	CU_ASSERT_EQUAL(drv_get(t.bus, DRV_QUEUE_RESET, 1), 0);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	drv_set_status(t.bus, 0);
	CU_ASSERT_EQUAL(m.calls, 2);
	CU_ASSERT_EQUAL(m.status, ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	CU_ASSERT_EQUAL(drv_status(t.bus), 0);
	t.probe->on_stop = NULL;
	dut_start(&t);
	CU_ASSERT_TRUE(dut_serves(&t, 1));
	dut_fini(&t);
}

static void test_reset_takes_time(void)
{
	on_each_bus(reset_takes_time);
}

static void queue_reset_needs_feature(enum drv_bus_kind kind)
{
	static const struct drv_device_config cfg = {.features = 0};
	struct dut t;

	dut_init(&t, kind, 1);
	MUST(drv_device_start(&t.drv, &cfg));
	drv_set(t.bus, DRV_QUEUE_RESET, 0, 1);
	CU_ASSERT_EQUAL(drv_get(t.bus, DRV_QUEUE_RESET, 0), 0);
	CU_ASSERT_EQUAL(drv_get(t.bus, DRV_QUEUE_ENABLE, 0), 1);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	dut_fini(&t);
}

static void test_queue_reset_needs_feature(void)
{
	on_each_bus(queue_reset_needs_feature);
}

/* ---- resets with I/O in flight -----------------------------------------------------------------
 */

#define IN_FLIGHT 8

/* Reads that the engine keeps; everything they could change is remembered in `snapshot`. */
static void disk_keep_reads(struct disk *d, struct drv_blk_req *req, uint8_t (*data)[512])
{
	drv_held_hold(d->held, true);
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		req[i] = (struct drv_blk_req){
			.type = VIRTIO_BLK_T_IN, .sector = i, .in = data[i], .in_len = 512};
		MUST(drv_blk_submit(&d->blk, 0, &req[i]));
	}
	drv_device_settle(&d->drv);
	CU_ASSERT_EQUAL(drv_held_count(d->held), IN_FLIGHT);
	CU_ASSERT_EQUAL(drv_held_release(d->held, 2, true), 2);
	drv_device_settle(&d->drv);
}

/* From now on no byte of guest memory changes and nobody is interrupted. */
static void expect_silence(struct disk *d)
{
	uint8_t *before = malloc(DRV_RIG_RAM_SIZE);
	const void *ram = drv_mem_ptr(&d->rig.mem, DRV_RIG_RAM_GPA, DRV_RIG_RAM_SIZE);
	uint32_t irqs = d->bus->n_irqs;

	CU_ASSERT_PTR_NOT_NULL_FATAL(before);
	memcpy(before, ram, DRV_RIG_RAM_SIZE);
	memset(drv_held_bytes(d->held), 0xdd, DISK_SIZE);
	drv_held_release(d->held, IN_FLIGHT, false);
	drv_kick(d->bus, 0);
	drv_device_settle(&d->drv);
	CU_ASSERT_EQUAL(memcmp(before, ram, DRV_RIG_RAM_SIZE), 0);
	CU_ASSERT_EQUAL(d->bus->n_irqs, irqs);
	free(before);
}

static void forget_all(struct disk *d, struct drv_blk_req *req)
{
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		drv_blk_forget(&d->blk, &req[i]);
	drv_held_hold(d->held, false);
}

static void reset_in_flight(enum drv_bus_kind kind) /* BASIC-DEV-012 */
{
	uint8_t data[IN_FLIGHT][512], buf[512];
	struct drv_blk_req req[IN_FLIGHT];
	struct disk d;

	disk_init(&d, kind);
	disk_keep_reads(&d, req, data);
	drv_reset(d.bus);
	CU_ASSERT_FALSE(d.bus->line);
	CU_ASSERT_EQUAL(drv_held_count(d.held), 0); /* nothing is left in the engine */
	expect_silence(&d);
	forget_all(&d, req);
	disk_start(&d, DRV_ALL_FEATURES);
	CU_ASSERT_EQUAL(drv_blk_read(&d.blk, 0, buf, 512), VIRTIO_BLK_S_OK);
	CU_ASSERT_EQUAL(buf[0], 0xdd);
	disk_fini(&d);
}

static void test_reset_in_flight(void)
{
	on_each_bus(reset_in_flight);
}

static void queue_reset_in_flight(enum drv_bus_kind kind) /* BASIC-DEV-014, BASIC-DEV-015 */
{
	uint8_t data[IN_FLIGHT][512], buf[512];
	struct drv_blk_req req[IN_FLIGHT];
	struct disk d;

	disk_init(&d, kind);
	disk_keep_reads(&d, req, data);
	drv_queue_reset(d.bus, 0);
	CU_ASSERT_EQUAL(drv_held_count(d.held), 0);
	drv_irq_forget(d.bus);
	expect_silence(&d);
	forget_all(&d, req);
	drv_queue_clear(&d.drv.queue[0]);
	drv_device_place_queue(&d.drv, 0);
	CU_ASSERT_EQUAL(drv_blk_read(&d.blk, 0, buf, 512), VIRTIO_BLK_S_OK);
	CU_ASSERT_EQUAL(drv_queue_used_idx(&d.drv.queue[0]), 1);
	disk_fini(&d);
}

static void test_queue_reset_in_flight(void)
{
	on_each_bus(queue_reset_in_flight);
}

/* The device goes away with requests in its engine. */
static void destroy_in_flight(enum drv_bus_kind kind)
{
	uint8_t data[IN_FLIGHT][512];
	struct drv_blk_req req[IN_FLIGHT];
	struct disk d;

	disk_init(&d, kind);
	disk_keep_reads(&d, req, data);
	drv_bus_destroy(d.bus);
	vio_device_destroy(d.dev);
	CU_ASSERT_EQUAL(drv_held_count(d.held), 0);
	forget_all(&d, req);
	for (uint16_t i = 0; i < d.drv.n_queues; i++)
		drv_queue_fini(&d.drv.queue[i]);
	free(d.drv.queue);
	vio_storage_close(drv_held_storage(d.held));
	drv_rig_fini(&d.rig);
}

static void test_destroy_in_flight(void)
{
	on_each_bus(destroy_in_flight);
}

/* ---- memory map --------------------------------------------------------------------------------
 */

/* Memory comes: a buffer in it is a fault before and fine after. Indices go on. */
static void memory_added(enum drv_bus_kind kind)
{
	const uint64_t gpa = UINT64_C(1) << 40;
	struct drv_buf b = {.gpa = gpa, .len = 64, .writable = true};
	struct vio_mem *map = NULL;
	struct drv_used u;
	struct dut t;

	dut_init(&t, kind, 1);
	dut_start(&t);
	for (unsigned i = 0; i < 20; i++)
		CU_ASSERT_TRUE(dut_serves(&t, 0));
	MUST(drv_mem_add(&t.rig.mem, gpa, 4096));
	MUST(drv_mem_map(&t.rig.mem, &map));
	CU_ASSERT_EQUAL(vio_device_set_mem(t.dev, map), 0);
	vio_mem_destroy(t.rig.map);
	t.rig.map = map;
	MUST(drv_queue_add(&t.drv.queue[0], &b, 1, DRV_DIRECT, NULL));
	drv_device_submit(&t.drv, 0);
	CU_ASSERT_EQUAL(drv_device_wait(&t.drv, 0, &u), 1);
	CU_ASSERT_EQUAL(*(uint8_t *)drv_mem_ptr(&t.rig.mem, gpa, 1), DRV_PROBE_BYTE);
	CU_ASSERT_EQUAL(drv_queue_used_idx(&t.drv.queue[0]), 21);
	CU_ASSERT_EQUAL(drv_status(t.bus) & NEEDS_RESET, 0);
	dut_fini(&t);
}

static void test_memory_added(void)
{
	on_each_bus(memory_added);
}

/* The memory under the rings goes: the device fails, and comes back with memory and a reset. */
static void memory_removed(enum drv_bus_kind kind)
{
	struct vio_mem *none = NULL;
	struct dut t;

	dut_init(&t, kind, 2);
	dut_start(&t);
	MUST(vio_mem_create(NULL, 0, &none));
	CU_ASSERT_EQUAL(vio_device_set_mem(t.dev, none), -EFAULT);
	CU_ASSERT(drv_status(t.bus) & NEEDS_RESET);
	CU_ASSERT_EQUAL(drv_irq_take(t.bus, DRV_IRQ_CONFIG), 1);
	drv_kick(t.bus, 0);
	drv_device_settle(&t.drv);
	CU_ASSERT_EQUAL(vio_device_set_mem(t.dev, t.rig.map), 0);
	vio_mem_destroy(none);
	CU_ASSERT(drv_status(t.bus) & NEEDS_RESET);
	dut_start(&t);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	CU_ASSERT_TRUE(dut_serves(&t, 1));
	dut_fini(&t);
}

static void test_memory_removed(void)
{
	on_each_bus(memory_removed);
}

/* The same guest memory at another place of this process: everything is looked up again. */
static void memory_moved(enum drv_bus_kind kind)
{
	struct drv_queue *q;
	struct drv_mem moved;
	struct vio_mem *map = NULL;
	struct dut t;

	dut_init(&t, kind, 1);
	dut_start(&t);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	drv_mem_init(&moved);
	for (unsigned i = 0; i < t.rig.mem.n; i++) {
		const struct drv_region *r = &t.rig.mem.region[i];

		MUST(drv_mem_add(&moved, r->gpa, r->size));
		memcpy(moved.region[i].hva, r->hva, r->size);
		moved.region[i].used = r->used;
	}
	MUST(drv_mem_map(&moved, &map));
	CU_ASSERT_EQUAL(vio_device_set_mem(t.dev, map), 0);
	vio_mem_destroy(t.rig.map);
	drv_mem_fini(&t.rig.mem); /* whoever still uses it dies here */
	t.rig.mem = moved;
	t.rig.map = map;
	q = &t.drv.queue[0];
	q->desc = drv_mem_ptr(&moved, q->desc_gpa, 1);
	q->avail = drv_mem_ptr(&moved, q->driver_gpa, 1);
	q->used = drv_mem_ptr(&moved, q->device_gpa, 1);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	CU_ASSERT_EQUAL(drv_queue_used_idx(q), 2);
	dut_fini(&t);
}

static void test_memory_moved(void)
{
	on_each_bus(memory_moved);
}

static CU_TestInfo tests[] = {
	{"a driver fault interrupts once", test_fault_interrupts},
	{"a driver fault before DRIVER_OK", test_fault_before_driver_ok},
	{"a queue that cannot start", test_queue_cannot_start},
	{"device reset", test_device_reset},
	{"queue reset", test_queue_reset},
	{"a reset in progress", test_reset_takes_time},
	{"queue reset needs its feature", test_queue_reset_needs_feature},
	{"device reset with requests in flight", test_reset_in_flight},
	{"queue reset with requests in flight", test_queue_reset_in_flight},
	{"device destroyed with requests in flight", test_destroy_in_flight},
	{"memory is added", test_memory_added},
	{"memory is removed", test_memory_removed},
	{"memory moves", test_memory_moved},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("reset", tests);
}
