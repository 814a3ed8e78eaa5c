/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Device Reset", "Virtqueue Reset".
 */
#include "checks_util.h"
#include "checks.h"

#include <linux/virtio_config.h>

#define F_RING_RESET 40
#define RING_RESET   DRV_FEATURE(F_RING_RESET)

#define MAX_IN_FLIGHT 64u

static struct io *flight(void)
{
	static struct io ios[MAX_IN_FLIGHT];

	return ios;
}

/* As many requests as fit, made available and kicked; nobody waits for them. */
static unsigned take_off(struct run *r)
{
	struct io *io = flight();
	unsigned n = 0;

	for (; n < MAX_IN_FLIGHT && io_queue(r)->n_free >= 3; n++) {
		io_make(r, &io[n], 0, 0);
		io_add(r, &io[n]);
	}
	drv_queue_publish(io_queue(r));
	drv_kick(r->bus, io_queue_index(r));
	return n;
}

/* From now on nothing may happen to guest memory, and no interrupt may come. */
static void expect_silence(struct run *r, const char *row, const char *since)
{
	uint64_t sum = run_memory_sum(r);
	uint32_t irqs = r->bus->n_irqs;

	drv_kick(r->bus, io_queue_index(r));
	run_quiet(r);
	expect(r, row, run_memory_sum(r) == sum, "guest memory to be left alone",
	       "it changed after %s", since);
	expect(r, row, r->bus->n_irqs == irqs, "no notification", "%u after %s",
	       r->bus->n_irqs - irqs, since);
}

/* ---- the device --------------------------------------------------------------------------------
 */

static void check_silence_after_reset(struct run *r)
{
	for (unsigned i = 0; i < 4; i++) {
		run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
		take_off(r);
		if (i & 1)
			drv_device_settle(&r->drv);
		drv_reset(r->bus);
		expect_silence(r, "BASIC-DEV-012", "the status read 0");
		drv_device_stop(&r->drv);
	}
}

/* What happens to the device afterwards, and what was pending before, is none of the driver's. */
static void check_no_event_after_reset(struct run *r)
{
	uint32_t irqs;

	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	io_roundtrip(r, "BASIC-DEV-005");
	run_quiet(r);
	drv_reset(r->bus);
	expect(r, "BASIC-DEV-012", !r->bus->line, "the interrupt line to go down with a reset",
	       "it is up");
	irqs = r->bus->n_irqs;
	if (!r->change_config || !r->change_config(r))
		return;
	run_quiet(r);
	expect(r, "BASIC-DEV-012", r->bus->n_irqs == irqs && !r->bus->line,
	       "no notification of a configuration change after a reset", "one");
}

static void check_works_after_reset(struct run *r)
{
	for (unsigned i = 0; i < 5; i++) {
		run_start(r, "BASIC-DEV-005", i % 2 ? DRV_ALL_FEATURES : FEATURES_FLAGS);
		io_many(r, "BASIC-DEV-011", 2 * io_queue(r)->size + 3);
		take_off(r);
		drv_device_stop(&r->drv);
		expect(r, "BASIC-DEV-011", drv_status(r->bus) == 0, "status 0 after a reset", "%#x",
		       drv_status(r->bus));
	}
	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	io_roundtrip(r, "BASIC-DEV-011");
}

static void check_reset_storm(struct run *r)
{
	for (unsigned i = 0; i < 60; i++) {
		run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
		for (uint32_t n = run_random(r, 4); n > 0; n--)
			io_many(r, "BASIC-DEV-011", 1 + run_random(r, 20));
		if (run_random(r, 2))
			take_off(r);
		if (run_random(r, 2))
			drv_device_settle(&r->drv);
		drv_reset(r->bus);
	}
	expect_silence(r, "BASIC-DEV-012", "the status read 0");
	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	io_roundtrip(r, "BASIC-DEV-011");
}

/* ---- one queue ---------------------------------------------------------------------------------
 */

/* Sets the queue up again, with what the driver has now. */
static void reenable(struct run *r)
{
	uint16_t index = io_queue_index(r);

	if (r->bus->ops->irq_setup)
		drv_irq_setup(r->bus, r->drv.n_queues);
	drv_device_place_queue(&r->drv, index);
}

static void check_silence_after_queue_reset(struct run *r)
{
	for (unsigned i = 0; i < 4; i++) {
		run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
		take_off(r);
		if (i & 1)
			drv_device_settle(&r->drv);
		drv_queue_reset(r->bus, io_queue_index(r));
		expect_silence(r, "BASIC-DEV-014", "the queue was reset");
		drv_device_stop(&r->drv);
	}
}

static void check_queue_state_after_reset(struct run *r)
{
	struct drv_queue *q;

	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS | RING_RESET);
	q = io_queue(r);
	for (unsigned i = 0; i < 3; i++) {
		io_many(r, "BASIC-DEV-015", 3 + i * q->size);
		if (i == 1)
			take_off(r);
		drv_queue_reset(r->bus, io_queue_index(r));
		drv_queue_clear(q);
		reenable(r);
		io_many(r, "BASIC-DEV-015", 2);
		expect(r, "BASIC-DEV-015", drv_queue_used_idx(q) == 2,
		       "indices from 0 on after a queue reset", "used index %u after 2 buffers",
		       drv_queue_used_idx(q));
	}
}

static void check_reenable_elsewhere(struct run *r)
{
	struct drv_queue *q, old;
	uint64_t sum = 0;

	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS | RING_RESET);
	q = io_queue(r);
	if (q->size < 8)
		skip(r, "the queue is too short");
	io_many(r, "BASIC-DEV-016", 5);
	drv_queue_reset(r->bus, io_queue_index(r));
	old = *q;
	need(r, "BASIC-DEV-016", drv_queue_init(q, &r->mem, old.size / 4, old.event_idx, 0) == 0,
	     "memory", "none");
	for (uint16_t i = 0; i < old.size; i++)
		sum += old.used->ring[i].id + old.used->idx;
	reenable(r);
	io_many(r, "BASIC-DEV-016", 3u * q->size + 1);
	for (uint16_t i = 0; i < old.size; i++)
		sum -= old.used->ring[i].id + old.used->idx;
	expect(r, "BASIC-DEV-016", sum == 0, "the old rings to be left alone", "they changed");
	drv_irq_forget(r->bus);
	io_roundtrip(r, "BASIC-DEV-016");
	expect(r, "BASIC-DEV-016", run_await_irq(r, io_queue_index(r)) > 0,
	       "notifications as they were set up again", "none");
	drv_queue_fini(&old);
}

/* Other queues go on. */
static void check_other_queue_lives(struct run *r)
{
	uint16_t other;

	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS | RING_RESET);
	if (r->drv.n_queues < 2)
		skip(r, "the device has one queue");
	other = io_queue_index(r) == 0 ? 1 : 0;
	io_many(r, "BASIC-DEV-014", 5);
	drv_queue_reset(r->bus, other);
	expect(r, "BASIC-DEV-014", drv_get(r->bus, DRV_QUEUE_ENABLE, other) == 0,
	       "the queue that was reset to be disabled", "it is enabled");
	expect(r, "BASIC-DEV-014", drv_get(r->bus, DRV_QUEUE_ENABLE, io_queue_index(r)) == 1,
	       "the other one to stay enabled", "it is not");
	io_many(r, "BASIC-DEV-014", 5);
}

static void check_queue_reset_register(struct run *r)
{
	static const char *const rows[2][3] = {
		{"MMIO-DEV-008", "MMIO-DEV-009", "MMIO-DEV-012"},
		{"PCI-DEV-027", "PCI-DEV-028", "PCI-DEV-031"},
	};
	const char *const *row = rows[r->way & WAY_PCI ? 1 : 0];
	uint16_t index = io_queue_index(r);

	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS | RING_RESET);
	expect(r, row[1], drv_get(r->bus, DRV_QUEUE_RESET, index) == 0,
	       "queue reset to read 0 once the queue is enabled", "not 0");
	drv_queue_reset(r->bus, index);
	expect(r, row[2], drv_get(r->bus, DRV_QUEUE_RESET, index) == 0,
	       "queue reset to read 0 when it is done", "not 0");
	expect(r, row[2], drv_get(r->bus, DRV_QUEUE_ENABLE, index) == 0,
	       "queue enable to read 0 when the reset is done", "not 0");
	drv_queue_clear(io_queue(r));
	reenable(r);
	expect(r, row[1], drv_get(r->bus, DRV_QUEUE_RESET, index) == 0,
	       "queue reset to read 0 once the queue is enabled again", "not 0");
	drv_queue_reset(r->bus, index);
	drv_device_stop(&r->drv);
	need(r, "BASIC-DEV-005", drv_device_negotiate(&r->drv, RING_RESET) == 0,
	     "FEATURES_OK with RING_RESET", "status %#x", drv_status(r->bus));
	expect(r, row[0], drv_get(r->bus, DRV_QUEUE_RESET, index) == 0,
	       "queue reset to read 0 after a device reset", "not 0");
}

/* With requests in flight, so that it may take its time. */
static void check_queue_reset_works(struct run *r)
{
	const char *reset = r->way & WAY_PCI ? "PCI-DEV-029" : "MMIO-DEV-010";
	const char *going = r->way & WAY_PCI ? "PCI-DEV-030" : "MMIO-DEV-011";
	uint16_t index = io_queue_index(r);
	uint64_t sum;

	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS | RING_RESET);
	take_off(r);
	drv_set(r->bus, DRV_QUEUE_RESET, index, 1);
	while (drv_get(r->bus, DRV_QUEUE_RESET, index) == 1)
		drv_device_settle(&r->drv);
	expect(r, going, drv_get(r->bus, DRV_QUEUE_RESET, index) == 0,
	       "queue reset to read 1, then 0", "%llu",
	       (unsigned long long)drv_get(r->bus, DRV_QUEUE_RESET, index));
	sum = run_memory_sum(r);
	run_quiet(r);
	expect(r, going, run_memory_sum(r) == sum,
	       "queue reset to read 1 as long as the queue is at work", "guest memory changed");
	drv_queue_clear(io_queue(r));
	reenable(r);
	expect(r, reset, drv_get(r->bus, DRV_QUEUE_ENABLE, index) == 1,
	       "a queue that was reset to be enabled again", "it is not");
	io_many(r, reset, 3);
	expect(r, reset, drv_queue_used_idx(io_queue(r)) == 3, "the queue to begin at 0",
	       "used index %u after 3 buffers", drv_queue_used_idx(io_queue(r)));
}

static const struct check checks[] = {
	{
		.name = "reset-silence",
		.rows = "BASIC-DEV-012 BASIC-DEV-005",
		.how = "Resets the device with requests in flight. Once the status reads 0, "
		       "neither "
		       "memory changes nor an interrupt comes.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_silence_after_reset,
	},
	{
		.name = "reset-silence-events",
		.rows = "BASIC-DEV-012 BASIC-DEV-005",
		.how = "Resets with an interrupt pending, and changes the configuration after it.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_REGISTERS,
		.run = check_no_event_after_reset,
	},
	{
		.name = "reset-works-again",
		.rows = "BASIC-DEV-011 BASIC-DEV-005",
		.how = "Initialises, works and resets five times, with and without EVENT_IDX.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_works_after_reset,
	},
	{
		.name = "reset-storm",
		.rows = "BASIC-DEV-011 BASIC-DEV-012 BASIC-DEV-005",
		.how = "60 resets at random moments.",
		.kind = CHECK_STRESS,
		.ways = WAY_ANY,
		.run = check_reset_storm,
	},
	{
		.name = "queue-reset-silence",
		.rows = "BASIC-DEV-014 BASIC-DEV-005",
		.how = "Resets the queue with requests in flight; then nothing happens.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.features = RING_RESET,
		.run = check_silence_after_queue_reset,
	},
	{
		.name = "queue-reset-state",
		.rows = "BASIC-DEV-015 BASIC-DEV-005",
		.how = "Resets and enables the queue after some work; both indices are at 0.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_REGISTERS,
		.features = RING_RESET,
		.run = check_queue_state_after_reset,
	},
	{
		.name = "queue-reset-elsewhere",
		.rows = "BASIC-DEV-016 BASIC-DEV-005",
		.how = "Enables the queue again with other addresses and a quarter of the size.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.features = RING_RESET,
		.run = check_reenable_elsewhere,
	},
	{
		.name = "queue-reset-others",
		.rows = "BASIC-DEV-014 BASIC-DEV-005",
		.how = "Resets one queue; another one goes on.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_REGISTERS,
		.features = RING_RESET,
		.run = check_other_queue_lives,
	},
	{
		.name = "queue-reset-register-mmio",
		.rows = "MMIO-DEV-008 MMIO-DEV-009 MMIO-DEV-012 BASIC-DEV-005",
		.how = "Reads QueueReset and QueueReady when the queue is enabled, was reset, is "
		       "enabled again, and after a device reset.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_MMIO,
		.features = RING_RESET,
		.run = check_queue_reset_register,
	},
	{
		.name = "queue-reset-works-mmio",
		.rows = "MMIO-DEV-010 MMIO-DEV-011 BASIC-DEV-005",
		.how = "Resets a queue with requests in flight, waits for QueueReset to read 0, "
		       "and "
		       "uses the queue again.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_MMIO,
		.features = RING_RESET,
		.run = check_queue_reset_works,
	},
	{
		.name = "queue-reset-register-pci",
		.rows = "PCI-DEV-027 PCI-DEV-028 PCI-DEV-031 BASIC-DEV-005",
		.how = "Reads queue_reset and queue_enable when the queue is enabled, was reset, "
		       "is "
		       "enabled again, and after a device reset.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_PCI,
		.features = RING_RESET,
		.run = check_queue_reset_register,
	},
	{
		.name = "queue-reset-works-pci",
		.rows = "PCI-DEV-029 PCI-DEV-030 BASIC-DEV-005",
		.how = "Resets a queue with requests in flight, waits for queue_reset to read 0, "
		       "and "
		       "uses the queue again.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_PCI,
		.features = RING_RESET,
		.run = check_queue_reset_works,
	},
};

const struct check_list checks_reset = {checks, sizeof(checks) / sizeof(checks[0])};
