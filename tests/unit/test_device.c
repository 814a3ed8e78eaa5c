/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The facilities that exist once for all devices, on each transport: status, features, queue
 * registers, configuration space, resets.
 */
#include <unistd.h>

#include "dut.h"

/* ---- status ------------------------------------------------------------------------------------
 */

static void status_starts_at_zero(enum drv_bus_kind kind) /* BASIC-IMP-001 */
{
	struct dut t;

	dut_init(&t, kind, 2);
	CU_ASSERT_EQUAL(drv_status(t.bus), 0);
	dut_start(&t);
	CU_ASSERT_EQUAL(drv_status(t.bus), ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	drv_set_status(t.bus, 0);
	CU_ASSERT_EQUAL(drv_status(t.bus), 0); /* BASIC-DEV-011 */
	drv_set_status(t.bus, 0);
	CU_ASSERT_EQUAL(drv_status(t.bus), 0);
	dut_fini(&t);
}

static void test_status_starts_at_zero(void)
{
	on_each_bus(status_starts_at_zero);
}

/* Is `status` one that this sequence of writes may lead to? */
static bool status_plausible(uint8_t status)
{
	if ((status & DRIVER_OK) && !(status & FEATURES_OK))
		return false;
	return !(status & ~(ACK | DRIVER | FEATURES_OK | DRIVER_OK | FAILED));
}

/*
 * Every order of writing the bits, alone or together, with VERSION_1 accepted or not: bits stay, 0
 * is the only way back, DRIVER_OK needs FEATURES_OK, and nothing else appears.
 */
static void status_any_order(enum drv_bus_kind kind)
{
	struct dut t;

	dut_init(&t, kind, 1);
	for (unsigned n = 0; n < 4096; n++) {
		uint8_t seen = 0;

		drv_reset(t.bus);
		if (n & 1)
			drv_accept(t.bus, V1);
		for (unsigned k = 0, bits = n; k < 4; k++, bits = bits * 1103515245u + 12345u) {
			uint8_t status = (uint8_t)(bits >> 8);

			if (status == 0)
				continue;
			drv_set_status(t.bus, status);
			CU_ASSERT_EQUAL(drv_status(t.bus) & seen, seen);
			seen = drv_status(t.bus);
			CU_ASSERT(status_plausible(seen));
			CU_ASSERT((n & 1) || !(seen & FEATURES_OK));
		}
	}
	drv_reset(t.bus);
	CU_ASSERT_EQUAL(t.rig.log_lines, 0);
	dut_fini(&t);
}

static void test_status_any_order(void)
{
	on_each_bus(status_any_order);
}

static void driver_ok_needs_features_ok(enum drv_bus_kind kind)
{
	struct dut t;

	dut_init(&t, kind, 1);
	drv_add_status(t.bus, ACK);
	drv_add_status(t.bus, DRIVER);
	CU_ASSERT_EQUAL(drv_add_status(t.bus, DRIVER_OK), ACK | DRIVER);
	CU_ASSERT_EQUAL(t.probe->starts, 0);
	dut_fini(&t);
}

static void test_driver_ok_needs_features_ok(void)
{
	on_each_bus(driver_ok_needs_features_ok);
}

/* Kicks and buffers before DRIVER_OK wait; at DRIVER_OK they are served without another kick. */
static void nothing_before_driver_ok(enum drv_bus_kind kind) /* BASIC-DEV-001 */
{
	static const struct drv_device_config cfg = {.features = DRV_ALL_FEATURES};
	struct drv_used u;
	struct dut t;

	dut_init(&t, kind, 1);
	MUST(drv_device_negotiate(&t.drv, cfg.features));
	MUST(drv_device_setup(&t.drv, &cfg));
	dut_offer(&t, 0);
	drv_kick(t.bus, 0);
	drv_device_settle(&t.drv);
	CU_ASSERT_EQUAL(t.probe->popped, 0);
	CU_ASSERT_EQUAL(drv_queue_used_idx(&t.drv.queue[0]), 0);
	CU_ASSERT_EQUAL(t.bus->n_irqs, 0);
	drv_device_go(&t.drv);
	CU_ASSERT_EQUAL(drv_device_wait(&t.drv, 0, &u), 1);
	CU_ASSERT(drv_irq_take(t.bus, 0) > 0);
	CU_ASSERT_EQUAL(drv_irq_take(t.bus, DRV_IRQ_CONFIG), 0);
	dut_fini(&t);
}

static void test_nothing_before_driver_ok(void)
{
	on_each_bus(nothing_before_driver_ok);
}

/* ---- features ----------------------------------------------------------------------------------
 */

static void offered_features(enum drv_bus_kind kind) /* FEAT-DEV-001, PCI-DEV-021, MMIO-IMP-002 */
{
	uint64_t want = V1 | DRV_FEATURE(DRV_PROBE_F_A) | DRV_FEATURE(DRV_PROBE_F_B) |
			DRV_FEATURE(DRV_PROBE_F_C) | DRV_FEATURE(VIRTIO_RING_F_EVENT_IDX) |
			DRV_FEATURE(VIRTIO_RING_F_INDIRECT_DESC) |
			DRV_FEATURE(VIRTIO_F_RING_RESET) | DRV_FEATURE(VIO_F_SUSPEND);
	struct dut t;

	dut_init(&t, kind, 1);
	CU_ASSERT_EQUAL(drv_offered(t.bus), want);
	for (uint32_t window = 2; window < 0x80000000; window *= 2)
		CU_ASSERT_EQUAL(drv_get(t.bus, DRV_OFFERED, window), 0);
	CU_ASSERT_EQUAL(drv_get(t.bus, DRV_OFFERED, UINT32_MAX), 0);
	dut_fini(&t);
}

static void test_offered_features(void)
{
	on_each_bus(offered_features);
}

/* Accepts `bits` in window `window` on top of VERSION_1 and tries FEATURES_OK. */
static bool features_taken(struct dut *t, uint64_t features, uint32_t window, uint32_t bits)
{
	drv_reset(t->bus);
	drv_add_status(t->bus, ACK);
	drv_add_status(t->bus, DRIVER);
	drv_accept(t->bus, features);
	if (window >= 2)
		drv_set(t->bus, DRV_ACCEPTED, window, bits);
	return drv_add_status(t->bus, FEATURES_OK) & FEATURES_OK;
}

/* Every subset of the offered bits, with the probe's rule "B only with A". */
static void any_subset(enum drv_bus_kind kind) /* BASIC-DEV-005, BASIC-DEV-006, BASIC-DEV-008 */
{
	static const unsigned bits[] = {DRV_PROBE_F_A,
					DRV_PROBE_F_B,
					DRV_PROBE_F_C,
					VIRTIO_RING_F_EVENT_IDX,
					VIRTIO_RING_F_INDIRECT_DESC,
					VIRTIO_F_RING_RESET,
					VIO_F_SUSPEND,
					VIRTIO_F_VERSION_1};
	unsigned negotiations = 0;
	struct dut t;

	dut_init(&t, kind, 1);
	for (unsigned n = 0; n < 1u << VIO_ARRAY_LEN(bits); n++) {
		uint64_t f = 0;
		bool good;

		for (unsigned i = 0; i < VIO_ARRAY_LEN(bits); i++)
			f |= (uint64_t)(n >> i & 1) << bits[i];
		good = (f & V1) &&
		       (!(f & DRV_FEATURE(DRV_PROBE_F_B)) || (f & DRV_FEATURE(DRV_PROBE_F_A)));
		CU_ASSERT_EQUAL(features_taken(&t, f, 0, 0), good);
		CU_ASSERT_EQUAL(features_taken(&t, f, 0, 0), good);
		negotiations += good ? 2 : 0;
		for (unsigned i = 0; good && i < 64; i++)
			CU_ASSERT_EQUAL(vio_device_has(t.dev, i), f >> i & 1);
	}
	CU_ASSERT_EQUAL(t.probe->negotiations, negotiations);
	dut_fini(&t);
}

static void test_any_subset(void)
{
	on_each_bus(any_subset);
}

static void not_offered_is_refused(enum drv_bus_kind kind) /* BASIC-DEV-006 */
{
	struct dut t;

	dut_init(&t, kind, 1);
	for (unsigned bit = 0; bit < 64; bit++) {
		bool offered = drv_offered(t.bus) >> bit & 1;
		bool needs_a = bit == DRV_PROBE_F_B;

		CU_ASSERT_EQUAL(features_taken(&t, V1 | DRV_FEATURE(bit), 0, 0),
				offered && !needs_a);
	}
	CU_ASSERT_FALSE(features_taken(&t, V1, 2, 1));
	CU_ASSERT_FALSE(features_taken(&t, V1, 3, 0x80000000));
	CU_ASSERT_FALSE(features_taken(&t, V1, UINT32_MAX, 1));
	CU_ASSERT_TRUE(features_taken(&t, V1, 2, 0));
	CU_ASSERT_TRUE(features_taken(&t, V1, 0, 0));
	dut_fini(&t);
}

static void test_not_offered_is_refused(void)
{
	on_each_bus(not_offered_is_refused);
}

/* A refused set may be corrected without a reset. */
static void refused_then_corrected(enum drv_bus_kind kind)
{
	struct dut t;

	dut_init(&t, kind, 1);
	CU_ASSERT_FALSE(features_taken(&t, V1 | DRV_FEATURE(DRV_PROBE_F_B), 0, 0));
	CU_ASSERT_FALSE(vio_device_has(t.dev, VIRTIO_F_VERSION_1));
	drv_accept(t.bus, V1 | DRV_FEATURE(DRV_PROBE_F_A) | DRV_FEATURE(DRV_PROBE_F_B));
	CU_ASSERT(drv_add_status(t.bus, FEATURES_OK) & FEATURES_OK);
	CU_ASSERT_TRUE(vio_device_has(t.dev, DRV_PROBE_F_B));
	dut_fini(&t);
}

static void test_refused_then_corrected(void)
{
	on_each_bus(refused_then_corrected);
}

static void frozen_features(enum drv_bus_kind kind) /* BASIC-IMP-002 */
{
	struct dut t;

	dut_init(&t, kind, 1);
	CU_ASSERT_TRUE(features_taken(&t, V1 | DRV_FEATURE(DRV_PROBE_F_A), 0, 0));
	drv_accept(t.bus, V1 | DRV_FEATURE(DRV_PROBE_F_C));
	drv_set(t.bus, DRV_ACCEPTED, 2, UINT32_MAX);
	drv_add_status(t.bus, FEATURES_OK);
	CU_ASSERT_EQUAL(drv_status(t.bus), ACK | DRIVER | FEATURES_OK);
	CU_ASSERT_TRUE(vio_device_has(t.dev, DRV_PROBE_F_A));
	CU_ASSERT_FALSE(vio_device_has(t.dev, DRV_PROBE_F_C));
	CU_ASSERT_EQUAL(t.probe->negotiations, 1);
	drv_reset(t.bus);
	CU_ASSERT_FALSE(vio_device_has(t.dev, DRV_PROBE_F_A));
	CU_ASSERT_EQUAL(drv_get(t.bus, DRV_ACCEPTED, 0), 0);
	dut_fini(&t);
}

static void test_frozen_features(void)
{
	on_each_bus(frozen_features);
}

/* ---- queue registers ---------------------------------------------------------------------------
 */

static void queue_sizes(enum drv_bus_kind kind) /* MMIO-IMP-003, PCI-DEV-032 */
{
	static const uint32_t absent[] = {3, 4, 255, 256, 0x7fff, 0x8000, 0xffff};
	struct dut t;

	dut_init(&t, kind, 3);
	for (uint32_t i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(drv_get(t.bus, DRV_QUEUE_MAX, i), 16);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(absent); i++) {
		CU_ASSERT_EQUAL(drv_get(t.bus, DRV_QUEUE_MAX, absent[i]), 0);
		CU_ASSERT_EQUAL(drv_get(t.bus, DRV_QUEUE_ENABLE, absent[i]), 0);
		CU_ASSERT_EQUAL(drv_get(t.bus, DRV_QUEUE_RESET, absent[i]), 0);
		/* and writing there does nothing */
		drv_set(t.bus, DRV_QUEUE_SIZE, absent[i], 8);
		drv_set(t.bus, DRV_QUEUE_DESC, absent[i], UINT64_MAX);
		drv_set(t.bus, DRV_QUEUE_ENABLE, absent[i], 1);
		drv_set(t.bus, DRV_QUEUE_RESET, absent[i], 1);
		drv_kick(t.bus, (uint16_t)absent[i]);
	}
	CU_ASSERT_EQUAL(drv_status(t.bus), 0);
	dut_fini(&t);
}

static void test_queue_sizes(void)
{
	on_each_bus(queue_sizes);
}

/*
 * With the queue enabled, nothing a driver writes to its registers reaches it: CVE-2026-5747. The
 * rings are moved, shrunk and misplaced; the queue works on where it was.
 */
static void frozen_queue(enum drv_bus_kind kind)
{
	static const uint64_t values[] = {0, 1, 2, 4, 8, 16, 0x8000, 0xffff, 0x10000};
	struct vio_queue_regs before, after;
	struct dut t;

	dut_init(&t, kind, 2);
	dut_start(&t);
	vio_device_queue_get(t.dev, 1, &before);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(values); i++) {
		drv_set(t.bus, DRV_QUEUE_SIZE, 1, values[i]);
		drv_set(t.bus, DRV_QUEUE_DESC, 1, values[i] << 16);
		drv_set(t.bus, DRV_QUEUE_DRIVER, 1, values[i] << 16);
		drv_set(t.bus, DRV_QUEUE_DEVICE, 1, values[i] << 32);
		drv_set(t.bus, DRV_QUEUE_ENABLE, 1, 1);
		CU_ASSERT_TRUE(dut_serves(&t, 1));
	}
	vio_device_queue_get(t.dev, 1, &after);
	CU_ASSERT_EQUAL(after.size, before.size);
	CU_ASSERT_EQUAL(after.desc, before.desc);
	CU_ASSERT_EQUAL(after.driver, before.driver);
	CU_ASSERT_EQUAL(after.device, before.device);
	CU_ASSERT_TRUE(after.enabled);
	CU_ASSERT_EQUAL(drv_status(t.bus), ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	CU_ASSERT_EQUAL(t.probe->starts, 2);
	dut_fini(&t);
}

static void test_frozen_queue(void)
{
	on_each_bus(frozen_queue);
}

/* Places rings of 8 entries at the start of RAM and enables the queue. */
static void place_ring(struct dut *t)
{
	drv_set(t->bus, DRV_QUEUE_SIZE, 0, 8);
	drv_set(t->bus, DRV_QUEUE_DESC, 0, DRV_RIG_RAM_GPA);
	drv_set(t->bus, DRV_QUEUE_DRIVER, 0, DRV_RIG_RAM_GPA + 0x1000);
	drv_set(t->bus, DRV_QUEUE_DEVICE, 0, DRV_RIG_RAM_GPA + 0x2000);
	drv_set(t->bus, DRV_QUEUE_ENABLE, 0, 1);
}

/* Before FEATURES_OK is too early; enabled is too late, even if the queue does not run yet. */
static void queue_registers_have_their_time(enum drv_bus_kind kind)
{
	struct vio_queue_regs regs;
	struct dut t;

	dut_init(&t, kind, 1);
	place_ring(&t);
	vio_device_queue_get(t.dev, 0, &regs);
	CU_ASSERT_FALSE(regs.enabled);
	CU_ASSERT_EQUAL(regs.size, 16);
	CU_ASSERT_EQUAL(regs.desc | regs.driver | regs.device, 0);
	CU_ASSERT_EQUAL(drv_status(t.bus), 0);
	CU_ASSERT_TRUE(features_taken(&t, V1, 0, 0));
	place_ring(&t);
	drv_set(t.bus, DRV_QUEUE_SIZE, 0, 2);
	drv_set(t.bus, DRV_QUEUE_DESC, 0, 0);
	vio_device_queue_get(t.dev, 0, &regs);
	CU_ASSERT_TRUE(regs.enabled);
	CU_ASSERT_EQUAL(regs.size, 8);
	CU_ASSERT_EQUAL(regs.desc, DRV_RIG_RAM_GPA);
	dut_fini(&t);
}

static void test_queue_registers_have_their_time(void)
{
	on_each_bus(queue_registers_have_their_time);
}

struct bad_queue {
	uint64_t size, desc, driver, device;
};

/* Rings that cannot be are a driver fault, not a crash and not a running queue. */
static void bad_queue_setup(enum drv_bus_kind kind)
{
	const uint64_t ram = DRV_RIG_RAM_GPA, border = ram + DRV_RIG_RAM_SIZE;
	const struct bad_queue bad[] = {
		{0, ram, ram + 0x1000, ram + 0x2000},
		{3, ram, ram + 0x1000, ram + 0x2000},
		{32, ram, ram + 0x1000, ram + 0x2000},
		{0xffff, ram, ram + 0x1000, ram + 0x2000},
		{16, ram + 8, ram + 0x1000, ram + 0x2000},
		{16, ram, ram + 0x1001, ram + 0x2000},
		{16, ram, ram + 0x1000, ram + 0x2002},
		{16, 0, ram + 0x1000, ram + 0x2000},
		{16, ram, UINT64_MAX - 1, ram + 0x2000},
		{16, ram, ram + 0x1000, UINT64_C(1) << 63},
		{16, border - 16, ram + 0x1000, ram + 0x2000},
	};
	struct dut t;

	dut_init(&t, kind, 2);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(bad); i++) {
		drv_device_stop(&t.drv);
		CU_ASSERT_TRUE(features_taken(&t, V1, 0, 0));
		drv_set(t.bus, DRV_QUEUE_SIZE, 0, bad[i].size);
		CU_ASSERT_EQUAL(drv_status(t.bus) & NEEDS_RESET,
				bad[i].size == 16 ? 0 : NEEDS_RESET);
		drv_set(t.bus, DRV_QUEUE_DESC, 0, bad[i].desc);
		drv_set(t.bus, DRV_QUEUE_DRIVER, 0, bad[i].driver);
		drv_set(t.bus, DRV_QUEUE_DEVICE, 0, bad[i].device);
		drv_set(t.bus, DRV_QUEUE_ENABLE, 0, 1);
		drv_add_status(t.bus, DRIVER_OK);
		drv_kick(t.bus, 0);
		drv_device_settle(&t.drv);
		CU_ASSERT(drv_status(t.bus) & NEEDS_RESET);
		CU_ASSERT_EQUAL(t.probe->starts, 0);
		CU_ASSERT_EQUAL(drv_irq_take(t.bus, DRV_IRQ_CONFIG), 0); /* DRIVER_OK was not set */
	}
	dut_start(&t);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	dut_fini(&t);
}

static void test_bad_queue_setup(void)
{
	on_each_bus(bad_queue_setup);
}

/* A driver may leave queues alone, and enable one later, while the device runs. */
static void some_queues_only(enum drv_bus_kind kind) /* MMIO-DEV-007 */
{
	static const struct drv_device_config cfg = {.features = DRV_ALL_FEATURES};
	struct dut t;

	dut_init(&t, kind, 3);
	MUST(drv_device_negotiate(&t.drv, cfg.features));
	MUST(drv_device_make_queues(&t.drv, &cfg));
	drv_device_place_queue(&t.drv, 1);
	drv_device_go(&t.drv);
	CU_ASSERT_EQUAL(t.probe->starts, 1);
	CU_ASSERT_TRUE(dut_serves(&t, 1));
	dut_offer(&t, 2);
	drv_kick(t.bus, 2);
	drv_device_settle(&t.drv);
	CU_ASSERT_EQUAL(drv_queue_ready(&t.drv.queue[2]), 0);
	drv_device_place_queue(&t.drv, 2);
	CU_ASSERT_EQUAL(t.probe->starts, 2);
	drv_device_settle(&t.drv); /* what was offered before it ran is served */
	CU_ASSERT_EQUAL(drv_queue_ready(&t.drv.queue[2]), 1);
	CU_ASSERT_EQUAL(drv_status(t.bus) & NEEDS_RESET, 0);
	dut_fini(&t);
}

static void test_some_queues_only(void)
{
	on_each_bus(some_queues_only);
}

/* ---- kicks -------------------------------------------------------------------------------------
 */

/* Any number of kicks, for any queue, with nothing to do or already done. */
static void needless_kicks(enum drv_bus_kind kind) /* SPLIT-DEV-024, BASIC-IMP-006 */
{
	struct dut t;

	dut_init(&t, kind, 2);
	dut_start(&t);
	for (unsigned i = 0; i < 100; i++) {
		drv_kick(t.bus, 0);
		drv_kick(t.bus, (uint16_t)(i * 997));
		CU_ASSERT_TRUE(dut_serves(&t, i % 2));
		drv_kick(t.bus, 1);
		drv_device_settle(&t.drv);
	}
	CU_ASSERT_EQUAL(t.probe->popped, 100);
	CU_ASSERT_EQUAL(drv_queue_used_idx(&t.drv.queue[0]), 50);
	CU_ASSERT_EQUAL(drv_queue_used_idx(&t.drv.queue[1]), 50);
	CU_ASSERT_EQUAL(drv_status(t.bus) & NEEDS_RESET, 0);
	dut_fini(&t);
}

static void test_needless_kicks(void)
{
	on_each_bus(needless_kicks);
}

/* The kick eventfd does what a register write does, which is what KVM's ioeventfd needs. */
static void kick_fd_is_a_kick(enum drv_bus_kind kind)
{
	struct drv_buf b;
	struct drv_used u;
	uint64_t one = 1;
	struct dut t;

	dut_init(&t, kind, 2);
	dut_start(&t);
	b = (struct drv_buf){.gpa = drv_mem_alloc(&t.rig.mem, 16, 16), .len = 16, .writable = true};
	MUST(drv_queue_add(&t.drv.queue[1], &b, 1, DRV_DIRECT, NULL));
	CU_ASSERT_TRUE(drv_queue_publish(&t.drv.queue[1]));
	CU_ASSERT_EQUAL(write(vio_device_kick_fd(t.dev, 1), &one, sizeof(one)), sizeof(one));
	CU_ASSERT_EQUAL(drv_device_wait(&t.drv, 1, &u), 1);
	CU_ASSERT_EQUAL(vio_device_kick_fd(t.dev, 2), -1);
	CU_ASSERT_EQUAL(vio_device_kick_fd(t.dev, UINT32_MAX), -1);
	dut_fini(&t);
}

static void test_kick_fd_is_a_kick(void)
{
	on_each_bus(kick_fd_is_a_kick);
}

static CU_TestInfo tests[] = {
	{"status starts at 0", test_status_starts_at_zero},
	{"status bits in any order", test_status_any_order},
	{"DRIVER_OK needs FEATURES_OK", test_driver_ok_needs_features_ok},
	{"nothing is served before DRIVER_OK", test_nothing_before_driver_ok},
	{"offered features", test_offered_features},
	{"any subset of features", test_any_subset},
	{"features that are not offered are refused", test_not_offered_is_refused},
	{"a refused set may be corrected", test_refused_then_corrected},
	{"features are frozen by FEATURES_OK", test_frozen_features},
	{"queues that exist and that do not", test_queue_sizes},
	{"an enabled queue is frozen", test_frozen_queue},
	{"queue registers have their time", test_queue_registers_have_their_time},
	{"queues that cannot be", test_bad_queue_setup},
	{"some queues only", test_some_queues_only},
	{"needless kicks", test_needless_kicks},
	{"the kick eventfd", test_kick_fd_is_a_kick},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("device", tests);
}
