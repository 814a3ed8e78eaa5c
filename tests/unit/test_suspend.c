/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Device Suspend": status, rings, configuration space, driver faults and resets, on each
 * transport. Threads and load are in test_suspend_load.c; test_chaos.c suspends at random moments.
 */
#include <errno.h>
#include <unistd.h>

#include "disk.h"

#define RUNNING	  (ACK | DRIVER | FEATURES_OK | DRIVER_OK)
#define SUSPENDED (ACK | DRIVER | FEATURES_OK | SUSPEND)

/* ---- status ------------------------------------------------------------------------------------
 */

static void status_bits(enum drv_bus_kind kind) /* BASIC-DEV-027, BASIC-DEV-028 */
{
	struct dut t;

	dut_init(&t, kind, 2);
	dut_start(&t);
	for (unsigned round = 1; round <= 3; round++) {
		CU_ASSERT_EQUAL(drv_add_status(t.bus, SUSPEND), SUSPENDED);
		CU_ASSERT_EQUAL(t.probe->stops, 2 * round);
		CU_ASSERT_EQUAL(drv_add_status(t.bus, SUSPEND), SUSPENDED); /* it is */
		CU_ASSERT_EQUAL(drv_add_status(t.bus, DRIVER_OK), RUNNING);
		CU_ASSERT_EQUAL(t.probe->starts, 2 * round + 2);
		CU_ASSERT_TRUE(dut_serves(&t, 0));
		CU_ASSERT_TRUE(dut_serves(&t, 1));
	}
	/* A driver that, against the rules, leaves out the bits that were set means the same. */
	drv_set_status(t.bus, SUSPEND);
	CU_ASSERT_EQUAL(drv_status(t.bus), SUSPENDED);
	drv_set_status(t.bus, DRIVER_OK);
	CU_ASSERT_EQUAL(drv_status(t.bus), RUNNING);
	dut_fini(&t);
}

static void test_status(void)
{
	on_each_bus(status_bits);
}

/* One that gave up on the device suspends it and goes on all the same. */
static void test_failed(void)
{
	struct dut t;

	dut_init(&t, DRV_MMIO, 1);
	dut_start(&t);
	drv_add_status(t.bus, FAILED);
	CU_ASSERT_EQUAL(drv_add_status(t.bus, SUSPEND), SUSPENDED | FAILED);
	CU_ASSERT_EQUAL(drv_add_status(t.bus, DRIVER_OK), RUNNING | FAILED);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	dut_fini(&t);
}

static void too_early(enum drv_bus_kind kind) /* BASIC-DEV-020 */
{
	static const uint8_t steps[] = {0, ACK, DRIVER};
	static const struct drv_device_config cfg = {.features = DRV_ALL_FEATURES};
	struct dut t;

	dut_init(&t, kind, 1);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(steps); i++) {
		uint8_t before = drv_status(t.bus) | steps[i];

		CU_ASSERT_EQUAL(drv_add_status(t.bus, steps[i] | SUSPEND), before);
	}
	MUST(drv_device_negotiate(&t.drv, cfg.features));
	CU_ASSERT_EQUAL(drv_add_status(t.bus, SUSPEND), ACK | DRIVER | FEATURES_OK);
	MUST(drv_device_setup(&t.drv, &cfg));
	CU_ASSERT_EQUAL(drv_add_status(t.bus, SUSPEND), ACK | DRIVER | FEATURES_OK);
	CU_ASSERT_EQUAL(drv_add_status(t.bus, DRIVER_OK | SUSPEND), RUNNING);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	dut_fini(&t);
}

static void test_too_early(void)
{
	on_each_bus(too_early);
}

static void not_negotiated(enum drv_bus_kind kind)
{
	const struct drv_device_config cfg = {.features = DRV_ALL_FEATURES &
							  ~DRV_FEATURE(VIO_F_SUSPEND)};
	struct dut t;

	dut_init(&t, kind, 1);
	MUST(drv_device_start(&t.drv, &cfg));
	CU_ASSERT_EQUAL(drv_add_status(t.bus, SUSPEND), RUNNING);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	CU_ASSERT_EQUAL(t.probe->stops, 0);
	dut_fini(&t);
}

static void test_not_negotiated(void)
{
	on_each_bus(not_negotiated);
}

/* ---- rings -------------------------------------------------------------------------------------
 */

/* BASIC-DEV-022, BASIC-DEV-023, BASIC-DEV-029 */
static void rings_are_left_alone(enum drv_bus_kind kind)
{
	const uint64_t one = 1;
	struct drv_used u;
	uint32_t irqs;
	struct dut t;

	dut_init(&t, kind, 2);
	dut_start(&t);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	drv_add_status(t.bus, SUSPEND);
	irqs = t.bus->n_irqs;
	dut_offer(&t, 0);
	dut_offer(&t, 1);
	drv_kick(t.bus, 0);
	/* As KVM does it, without asking the device. */
	CU_ASSERT_EQUAL(write(vio_device_kick_fd(t.dev, 1), &one, sizeof(one)), sizeof(one));
	drv_device_settle(&t.drv);
	CU_ASSERT_EQUAL(t.probe->popped, 1);
	CU_ASSERT_EQUAL(drv_queue_ready(&t.drv.queue[0]), 0);
	CU_ASSERT_EQUAL(drv_queue_ready(&t.drv.queue[1]), 0);
	CU_ASSERT_EQUAL(t.bus->n_irqs, irqs);

	/* Everything is seen afterwards, without another kick. */
	CU_ASSERT_EQUAL(drv_add_status(t.bus, DRIVER_OK), RUNNING);
	CU_ASSERT_EQUAL(drv_device_wait(&t.drv, 0, &u), 1);
	CU_ASSERT_EQUAL(drv_device_wait(&t.drv, 1, &u), 1);
	CU_ASSERT_TRUE(drv_irq_take(t.bus, 1) > 0);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	dut_fini(&t);
}

static void test_rings_are_left_alone(void)
{
	on_each_bus(rings_are_left_alone);
}

/* What was available and not begun is as good as made available later. */
static void test_not_begun(void)
{
	struct drv_buf b = {.len = 16, .writable = true};
	struct drv_used u;
	struct dut t;

	dut_init(&t, DRV_MMIO, 1);
	dut_start(&t);
	b.gpa = drv_mem_alloc(&t.rig.mem, 16, 16);
	MUST(drv_queue_add(&t.drv.queue[0], &b, 1, DRV_DIRECT, NULL));
	drv_device_submit(&t.drv, 0);
	CU_ASSERT_EQUAL(drv_add_status(t.bus, SUSPEND), SUSPENDED);
	drv_device_settle(&t.drv);
	CU_ASSERT_EQUAL(t.probe->popped, 0);
	drv_add_status(t.bus, DRIVER_OK);
	CU_ASSERT_EQUAL(drv_device_wait(&t.drv, 0, &u), 1);
	dut_fini(&t);
}

/* Indices and wishes about interrupts are where they were, over the wrap of the indices. */
static void ring_state_is_kept(enum drv_bus_kind kind)
{
	struct drv_queue *q;
	struct drv_mark mark;
	struct dut t;

	dut_init(&t, kind, 1);
	dut_start(&t);
	q = &t.drv.queue[0];
	mark = drv_mem_mark(&t.rig.mem);
	for (unsigned n = 1; n <= 66000; n++) {
		drv_irq_forget(t.bus);
		drv_queue_set_used_event(q, (uint16_t)(n % 2 ? n - 1 : n));
		if (n % 97 == 0) {
			drv_add_status(t.bus, SUSPEND);
			drv_add_status(t.bus, DRIVER_OK);
			CU_ASSERT_EQUAL(drv_irq_take(t.bus, 0), 0);
		}
		CU_ASSERT_TRUE(dut_serves(&t, 0));
		CU_ASSERT_EQUAL(drv_irq_take(t.bus, 0) > 0, n % 2);
		CU_ASSERT_EQUAL(drv_queue_used_idx(q), (uint16_t)n);
		drv_mem_rewind(&t.rig.mem, &mark);
	}
	dut_fini(&t);
}

static void test_ring_state(void)
{
	on_each_bus(ring_state_is_kept);
}

/* Queues that come, or are reset, while the device is suspended. */
static void other_queues(enum drv_bus_kind kind)
{
	static const struct drv_device_config cfg = {.features = DRV_ALL_FEATURES};
	struct dut t;

	dut_init(&t, kind, 2);
	MUST(drv_device_negotiate(&t.drv, cfg.features));
	MUST(drv_device_make_queues(&t.drv, &cfg));
	drv_device_place_queue(&t.drv, 0);
	drv_device_go(&t.drv);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	drv_add_status(t.bus, SUSPEND);
	drv_device_place_queue(&t.drv, 1);
	CU_ASSERT_EQUAL(drv_get(t.bus, DRV_QUEUE_ENABLE, 1), 1);
	drv_queue_reset(t.bus, 0);
	CU_ASSERT_EQUAL(drv_get(t.bus, DRV_QUEUE_ENABLE, 0), 0);
	drv_queue_clear(&t.drv.queue[0]);
	MUST(drv_irq_setup(t.bus, 2));
	drv_device_place_queue(&t.drv, 0);
	CU_ASSERT_EQUAL(t.probe->starts, 1);
	CU_ASSERT_EQUAL(drv_add_status(t.bus, DRIVER_OK), RUNNING);
	CU_ASSERT_EQUAL(t.probe->starts, 3);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	CU_ASSERT_TRUE(dut_serves(&t, 1));
	CU_ASSERT_EQUAL(drv_queue_used_idx(&t.drv.queue[0]), 1);
	dut_fini(&t);
}

static void test_other_queues(void)
{
	on_each_bus(other_queues);
}

/* ---- requests in flight ------------------------------------------------------------------------
 */

#define IN_FLIGHT 8

/* BASIC-DEV-030, BASIC-DEV-031: all are done, and told, when the status says that it is suspended.
 */
static void in_flight(enum drv_bus_kind kind)
{
	uint8_t data[IN_FLIGHT][512], before[512] = {0}, *ram;
	struct drv_blk_req req[IN_FLIGHT];
	uint32_t irqs;
	struct disk d;

	disk_init(&d, kind);
	drv_held_hold(d.held, true);
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		req[i] = (struct drv_blk_req){
			.type = VIRTIO_BLK_T_IN, .sector = i, .in = data[i], .in_len = 512};
		MUST(drv_blk_submit(&d.blk, 0, &req[i]));
	}
	drv_device_settle(&d.drv);
	CU_ASSERT_EQUAL(drv_held_count(d.held), IN_FLIGHT);
	CU_ASSERT_EQUAL(drv_irq_take(d.bus, 0), 0);
	CU_ASSERT_EQUAL(drv_add_status(d.bus, SUSPEND), SUSPENDED);
	CU_ASSERT_EQUAL(drv_held_count(d.held), 0);
	CU_ASSERT_EQUAL(drv_queue_ready(&d.drv.queue[0]), IN_FLIGHT);
	CU_ASSERT_TRUE(drv_irq_take(d.bus, 0) > 0);

	irqs = d.bus->n_irqs;
	ram = drv_mem_ptr(&d.rig.mem, d.blk.scratch_gpa, sizeof(before));
	memcpy(before, ram, sizeof(before));
	drv_device_settle(&d.drv);
	CU_ASSERT_EQUAL(memcmp(before, ram, sizeof(before)), 0);
	CU_ASSERT_EQUAL(d.bus->n_irqs, irqs);

	drv_held_hold(d.held, false);
	CU_ASSERT_EQUAL(drv_add_status(d.bus, DRIVER_OK), RUNNING);
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		CU_ASSERT_EQUAL(drv_blk_wait(&d.blk, 0, &req[i]), 0);
		CU_ASSERT_EQUAL(req[i].status, VIRTIO_BLK_S_OK);
		CU_ASSERT_EQUAL(data[i][0], disk_byte(i * 512));
	}
	CU_ASSERT_EQUAL(drv_blk_read(&d.blk, 3, data[0], 512), VIRTIO_BLK_S_OK);
	disk_fini(&d);
}

static void test_in_flight(void)
{
	on_each_bus(in_flight);
}

/* ---- configuration space -----------------------------------------------------------------------
 */

static void update(struct dut *t, uint8_t value)
{
	vio_device_config_update(t->dev, 2, &value, 1);
}

static void config_is_frozen(enum drv_bus_kind kind)
{
	const uint64_t first = UINT64_C(0x0706050403020100), second = UINT64_C(0x0706050403330100);
	const uint8_t b[4] = {0xa0, 0xa1, 0xa2, 0xa3};
	uint64_t generation;
	struct dut t;

	dut_init(&t, kind, 1);
	dut_start(&t);
	generation = drv_get(t.bus, DRV_GENERATION, 0);
	drv_add_status(t.bus, SUSPEND);
	drv_config_write(t.bus, 4, b, 4); /* BASIC-DEV-021 */
	CU_ASSERT_EQUAL(t.probe->config_writes, 0);
	CU_ASSERT_EQUAL(drv_config_field(t.bus, 0, 8), first);
	update(&t, 0x22); /* BASIC-DEV-024, BASIC-DEV-025 */
	update(&t, 0x33);
	CU_ASSERT_EQUAL(drv_config_field(t.bus, 0, 8), first);
	CU_ASSERT_EQUAL(drv_get(t.bus, DRV_GENERATION, 0), generation);
	CU_ASSERT_EQUAL(drv_irq_take(t.bus, DRV_IRQ_CONFIG), 0);
	drv_add_status(t.bus, DRIVER_OK); /* BASIC-DEV-026 */
	CU_ASSERT_EQUAL(drv_irq_take(t.bus, DRV_IRQ_CONFIG), 1);
	CU_ASSERT_NOT_EQUAL(drv_get(t.bus, DRV_GENERATION, 0), generation);
	CU_ASSERT_EQUAL(drv_config_field(t.bus, 0, 8), second);

	/* There is nothing to tell the next time. */
	drv_add_status(t.bus, SUSPEND);
	CU_ASSERT_EQUAL(drv_config_field(t.bus, 0, 8), second);
	drv_add_status(t.bus, DRIVER_OK);
	CU_ASSERT_EQUAL(drv_irq_take(t.bus, DRV_IRQ_CONFIG), 0);
	drv_config_write(t.bus, 4, b, 4);
	CU_ASSERT_EQUAL(drv_config_field(t.bus, 4, 4), 0xa3a2a1a0);
	update(&t, 0x44);
	CU_ASSERT_EQUAL(drv_irq_take(t.bus, DRV_IRQ_CONFIG), 1);
	dut_fini(&t);
}

static void test_config(void)
{
	on_each_bus(config_is_frozen);
}

/* A reset ends the suspension: the change shows, and nobody is interrupted for it. */
static void config_after_reset(enum drv_bus_kind kind)
{
	uint64_t generation;
	struct dut t;

	dut_init(&t, kind, 1);
	dut_start(&t);
	drv_add_status(t.bus, SUSPEND);
	generation = drv_get(t.bus, DRV_GENERATION, 0);
	update(&t, 0x22);
	drv_reset(t.bus);
	CU_ASSERT_FALSE(t.bus->line);
	CU_ASSERT_NOT_EQUAL(drv_get(t.bus, DRV_GENERATION, 0), generation);
	CU_ASSERT_EQUAL(drv_config_field(t.bus, 2, 1), 0x22);
	drv_irq_forget(t.bus);
	dut_start(&t);
	CU_ASSERT_EQUAL(drv_irq_take(t.bus, DRV_IRQ_CONFIG), 0);
	dut_fini(&t);
}

static void test_config_after_reset(void)
{
	on_each_bus(config_after_reset);
}

/* A disk that is resized meanwhile, and its cache mode, which the driver may not change. */
static void disk_changes(enum drv_bus_kind kind)
{
	const uint32_t wce = offsetof(struct virtio_blk_config, wce);
	const uint8_t off = 0;
	uint8_t buf[512];
	struct disk d;

	disk_init(&d, kind);
	drv_add_status(d.bus, SUSPEND);
	drv_held_resize(d.held, DISK_SIZE / 2);
	CU_ASSERT_EQUAL(vio_blk_refresh(d.dev), 1);
	drv_config_write(d.bus, wce, &off, 1);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, 0, 8), DISK_SECTORS);
	CU_ASSERT_EQUAL(drv_irq_take(d.bus, DRV_IRQ_CONFIG), 0);
	drv_add_status(d.bus, DRIVER_OK);
	CU_ASSERT_EQUAL(drv_irq_take(d.bus, DRV_IRQ_CONFIG), 1);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, 0, 8), DISK_SECTORS / 2);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, wce, 1), 1);
	CU_ASSERT_EQUAL(drv_blk_write(&d.blk, 0, buf, 512), VIRTIO_BLK_S_OK);
	CU_ASSERT_EQUAL(drv_held_seen(d.held, VIO_IO_WRITE, VIO_IO_FUA), 0);
	CU_ASSERT_EQUAL(drv_blk_read(&d.blk, DISK_SECTORS / 2, buf, 512), VIRTIO_BLK_S_IOERR);
	disk_fini(&d);
}

static void test_disk_changes(void)
{
	on_each_bus(disk_changes);
}

/* ---- faults ------------------------------------------------------------------------------------
 */

static void fail(void *arg)
{
	vio_device_fail(arg, "while the queues stop");
}

static void fault_while_suspending(enum drv_bus_kind kind) /* BASIC-DEV-027 */
{
	struct dut t;

	dut_init(&t, kind, 1);
	dut_start(&t);
	t.probe->on_stop = fail;
	t.probe->on_stop_arg = t.dev;
	CU_ASSERT_EQUAL(drv_add_status(t.bus, SUSPEND), RUNNING | NEEDS_RESET);
	CU_ASSERT_EQUAL(drv_irq_take(t.bus, DRV_IRQ_CONFIG), 1);
	t.probe->on_stop = NULL;
	CU_ASSERT_EQUAL(drv_add_status(t.bus, SUSPEND), RUNNING | NEEDS_RESET);
	dut_start(&t);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	dut_fini(&t);
}

static void test_fault_while_suspending(void)
{
	on_each_bus(fault_while_suspending);
}

/* The driver is not interrupted: it is told when it asks for the device to go on. */
static void fault_while_suspended(enum drv_bus_kind kind) /* BASIC-DEV-025, BASIC-DEV-028 */
{
	struct vio_mem *none = NULL;
	struct dut t;

	dut_init(&t, kind, 1);
	dut_start(&t);
	drv_add_status(t.bus, SUSPEND);
	MUST(vio_mem_create(NULL, 0, &none));
	CU_ASSERT_EQUAL(vio_device_set_mem(t.dev, none), -EFAULT);
	CU_ASSERT_EQUAL(drv_irq_take(t.bus, DRV_IRQ_CONFIG), 0);
	CU_ASSERT_EQUAL(drv_add_status(t.bus, DRIVER_OK), SUSPENDED | NEEDS_RESET);
	CU_ASSERT_EQUAL(t.probe->starts, 1);
	CU_ASSERT_EQUAL(vio_device_set_mem(t.dev, t.rig.map), 0);
	vio_mem_destroy(none);
	dut_start(&t);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	dut_fini(&t);
}

static void test_fault_while_suspended(void)
{
	on_each_bus(fault_while_suspended);
}

static void cannot_go_on(enum drv_bus_kind kind) /* BASIC-DEV-028 */
{
	struct dut t;

	dut_init(&t, kind, 1);
	dut_start(&t);
	drv_add_status(t.bus, SUSPEND);
	t.probe->start_error = -ENOMEM;
	CU_ASSERT_EQUAL(drv_add_status(t.bus, DRIVER_OK), RUNNING | NEEDS_RESET);
	CU_ASSERT_EQUAL(drv_irq_take(t.bus, DRV_IRQ_CONFIG), 1);
	t.probe->start_error = 0;
	dut_start(&t);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	dut_fini(&t);
}

static void test_cannot_go_on(void)
{
	on_each_bus(cannot_go_on);
}

/* ---- the embedder, and resets ------------------------------------------------------------------
 */

/* Ends one of the two reasons not to run. */
static void go_on(struct dut *t, bool suspended)
{
	if (suspended) {
		CU_ASSERT_EQUAL(drv_add_status(t->bus, DRIVER_OK), RUNNING);
	} else {
		CU_ASSERT_EQUAL(vio_device_resume(t->dev), 0);
	}
}

/* Two reasons not to run, which do not know of each other. */
static void pause_and_suspend(enum drv_bus_kind kind)
{
	struct drv_used u;
	struct dut t;

	dut_init(&t, kind, 1);
	dut_start(&t);
	for (unsigned order = 0; order < 4; order++) {
		if (order & 1) {
			CU_ASSERT_EQUAL(vio_device_pause(t.dev), 0);
		}
		CU_ASSERT_EQUAL(drv_add_status(t.bus, SUSPEND), SUSPENDED);
		CU_ASSERT_EQUAL(vio_device_pause(t.dev), 0);
		dut_offer(&t, 0);
		go_on(&t, order & 2);
		CU_ASSERT_EQUAL(drv_device_wait(&t.drv, 0, &u), 0);
		go_on(&t, !(order & 2));
		CU_ASSERT_EQUAL(drv_device_wait(&t.drv, 0, &u), 1);
	}
	dut_fini(&t);
}

static void test_pause_and_suspend(void)
{
	on_each_bus(pause_and_suspend);
}

static void memory_changes(enum drv_bus_kind kind)
{
	struct vio_mem *other = NULL;
	struct dut t;

	dut_init(&t, kind, 1);
	dut_start(&t);
	drv_add_status(t.bus, SUSPEND);
	MUST(drv_mem_map(&t.rig.mem, &other));
	CU_ASSERT_EQUAL(vio_device_set_mem(t.dev, other), 0);
	vio_mem_destroy(t.rig.map);
	t.rig.map = other;
	CU_ASSERT_EQUAL(t.probe->starts, 1);
	CU_ASSERT_EQUAL(drv_add_status(t.bus, DRIVER_OK), RUNNING);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	dut_fini(&t);
}

static void test_memory_changes(void)
{
	on_each_bus(memory_changes);
}

static void reset_while_suspended(enum drv_bus_kind kind) /* BASIC-DEV-011 */
{
	struct dut t;

	dut_init(&t, kind, 2);
	for (unsigned i = 0; i < 3; i++) {
		dut_start(&t);
		CU_ASSERT_TRUE(dut_serves(&t, 1));
		CU_ASSERT_EQUAL(drv_add_status(t.bus, SUSPEND), SUSPENDED);
		drv_set_status(t.bus, 0);
		CU_ASSERT_EQUAL(drv_status(t.bus), 0);
		CU_ASSERT_EQUAL(t.probe->resets, 2 * i + 2);
	}
	dut_start(&t);
	drv_add_status(t.bus, SUSPEND);
	vio_device_reset(t.dev);
	CU_ASSERT_EQUAL(drv_status(t.bus), 0);
	dut_fini(&t); /* from any state */
	dut_init(&t, kind, 1);
	dut_start(&t);
	drv_add_status(t.bus, SUSPEND);
	dut_fini(&t);
}

static void test_reset_while_suspended(void)
{
	on_each_bus(reset_while_suspended);
}

static CU_TestInfo tests[] = {
	{"BASIC-DEV-027,028 status", test_status},
	{"FAILED", test_failed},
	{"BASIC-DEV-020 too early", test_too_early},
	{"not negotiated", test_not_negotiated},
	{"BASIC-DEV-022,023,029 rings are left alone", test_rings_are_left_alone},
	{"available and not begun", test_not_begun},
	{"the state of the ring is kept", test_ring_state},
	{"other queues meanwhile", test_other_queues},
	{"BASIC-DEV-030,031 requests in flight", test_in_flight},
	{"BASIC-DEV-021,024..026 configuration", test_config},
	{"configuration after a reset", test_config_after_reset},
	{"a disk changes", test_disk_changes},
	{"BASIC-DEV-027 fault while suspending", test_fault_while_suspending},
	{"BASIC-DEV-028 fault while suspended", test_fault_while_suspended},
	{"BASIC-DEV-028 a queue that cannot go on", test_cannot_go_on},
	{"paused and suspended", test_pause_and_suspend},
	{"another memory map", test_memory_changes},
	{"reset while suspended", test_reset_while_suspended},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("suspend", tests);
}
