/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Used Buffer Notification Suppression", "Available Buffer Notification Suppression".
 */
#include "checks_util.h"
#include "checks.h"

#include <linux/virtio_config.h>
#include <pthread.h>

#define EVENT_IDX DRV_FEATURE(VIRTIO_RING_F_EVENT_IDX)

/* One request, done. Interrupts of before are forgotten. */
static void one(struct run *r, const char *row)
{
	drv_irq_forget(r->bus);
	io_roundtrip(r, row);
}

static void expect_irq(struct run *r, const char *row, const char *when)
{
	expect(r, row, run_await_irq(r, io_queue_index(r)) > 0, "a used buffer notification",
	       "none, %s", when);
}

static void expect_no_irq(struct run *r, const char *row, const char *when)
{
	uint32_t n;

	run_quiet(r);
	n = drv_irq_take(r->bus, io_queue_index(r));
	expect(r, row, n == 0, "no used buffer notification", "%u, %s", n, when);
}

/* ---- flags -------------------------------------------------------------------------------------
 */

static void check_flag_clear(struct run *r)
{
	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	for (unsigned i = 0; i < 20; i++) {
		one(r, "SPLIT-DEV-013");
		expect_irq(r, "SPLIT-DEV-013", "with flags 0");
	}
}

static void check_flag_set(struct run *r)
{
	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	drv_queue_set_avail_flags(io_queue(r), VRING_AVAIL_F_NO_INTERRUPT);
	for (unsigned i = 0; i < 3; i++) {
		one(r, "SPLIT-DEV-012");
		expect_no_irq(r, "SPLIT-DEV-012", "with NO_INTERRUPT");
	}
	drv_queue_set_avail_flags(io_queue(r), 0);
	one(r, "SPLIT-DEV-013");
	expect_irq(r, "SPLIT-DEV-013", "after NO_INTERRUPT was taken back");
}

static void check_used_event_ignored(struct run *r)
{
	static const uint16_t events[] = {0x8000, 0xffff, 1, 100};
	struct drv_queue *q;

	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	q = io_queue(r);
	for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		drv_queue_set_used_event(q, (uint16_t)(q->used_idx + events[i]));
		one(r, "SPLIT-DEV-011");
		expect_irq(r, "SPLIT-DEV-011", "with used_event elsewhere and EVENT_IDX off");
	}
	drv_queue_set_avail_flags(q, VRING_AVAIL_F_NO_INTERRUPT);
	drv_queue_set_used_event(q, q->used_idx);
	one(r, "SPLIT-DEV-011");
	expect_no_irq(r, "SPLIT-DEV-011", "with used_event here, NO_INTERRUPT and EVENT_IDX off");
}

/* ---- event index -------------------------------------------------------------------------------
 */

static void check_event_single(struct run *r)
{
	struct drv_queue *q;

	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	q = io_queue(r);
	drv_queue_set_used_event(q, (uint16_t)(q->used_idx + 2));
	one(r, "SPLIT-DEV-016");
	expect_no_irq(r, "SPLIT-DEV-016", "two before used_event");
	one(r, "SPLIT-DEV-016");
	expect_no_irq(r, "SPLIT-DEV-016", "one before used_event");
	one(r, "SPLIT-DEV-015");
	expect_irq(r, "SPLIT-DEV-015", "at used_event");
	one(r, "SPLIT-DEV-016");
	expect_no_irq(r, "SPLIT-DEV-016", "behind used_event");
}

static void check_event_batch(struct run *r)
{
	struct drv_queue *q;

	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	q = io_queue(r);
	for (uint16_t at = 0; at < 8; at++) {
		drv_irq_forget(r->bus);
		drv_queue_set_used_event(q, (uint16_t)(q->used_idx + at));
		io_many(r, "SPLIT-DEV-015", 8);
		expect_irq(r, "SPLIT-DEV-015", "used_event inside a batch of eight");
	}
	drv_irq_forget(r->bus);
	drv_queue_set_used_event(q, (uint16_t)(q->used_idx + 8));
	io_many(r, "SPLIT-DEV-016", 8);
	expect_no_irq(r, "SPLIT-DEV-016", "used_event just behind a batch of eight");
}

static void check_event_ignores_flag(struct run *r)
{
	struct drv_queue *q;

	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	q = io_queue(r);
	drv_queue_set_avail_flags(q, VRING_AVAIL_F_NO_INTERRUPT);
	for (unsigned i = 0; i < 3; i++) {
		drv_queue_set_used_event(q, q->used_idx);
		one(r, "SPLIT-DEV-014");
		expect_irq(r, "SPLIT-DEV-014", "at used_event, NO_INTERRUPT set");
	}
}

static void check_event_wrap(struct run *r)
{
	struct drv_queue *q;

	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	q = io_queue(r);
	drv_queue_set_used_event(q, 0);
	one(r, "SPLIT-IMP-010");
	expect_irq(r, "SPLIT-IMP-010", "first buffer, used_event 0");
	io_many(r, "SPLIT-DEV-015", 65532);
	drv_queue_set_used_event(q, 65535);
	one(r, "SPLIT-DEV-016");
	one(r, "SPLIT-DEV-016");
	expect_no_irq(r, "SPLIT-DEV-016", "buffer 65534, used_event 65535");
	one(r, "SPLIT-DEV-015");
	expect_irq(r, "SPLIT-DEV-015", "buffer 65535, used_event 65535");
	drv_queue_set_used_event(q, 0);
	one(r, "SPLIT-IMP-010");
	expect_irq(r, "SPLIT-IMP-010", "buffer 65536, used_event 0");
	one(r, "SPLIT-DEV-016");
	expect_no_irq(r, "SPLIT-DEV-016", "behind the wrap, used_event 0");
}

/* A batch that begins before the wrap and ends after it, with used_event on either side. */
static void check_event_wrap_batch(struct run *r)
{
	static const uint16_t events[] = {65533, 65535, 0, 2};

	for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		struct drv_queue *q;

		run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
		q = io_queue(r);
		io_many(r, "SPLIT-DEV-015", 65533);
		drv_irq_forget(r->bus);
		drv_queue_set_used_event(q, events[i]);
		io_many(r, "SPLIT-DEV-015", 6);
		expect_irq(r, "SPLIT-DEV-015", "used_event in a batch across the wrap");
	}
}

/* ---- kicks -------------------------------------------------------------------------------------
 */

/* The driver kicks only when the device wants it; nothing gets stuck. */
static void check_kicks_suffice(struct run *r)
{
	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	for (unsigned i = 0; i < 500; i++)
		io_many(r, "SPLIT-IMP-009", 1 + i % 3);
	expect(r, "SPLIT-IMP-009", io_queue(r)->in_flight == 0, "nothing to be left over", "%u are",
	       io_queue(r)->in_flight);
}

/* Looks at the used ring's flags all the time: the device may change them for a moment only. */
struct watcher {
	pthread_t thread;
	const struct drv_queue *q;
	_Atomic bool stop;
	uint16_t seen; /* all bits that were ever set */
};

static void *watch(void *arg)
{
	struct watcher *w = arg;

	while (!w->stop)
		w->seen |= drv_queue_used_flags(w->q);
	return NULL;
}

/* All bits of the flags that are set at any time while the device works. */
static uint16_t flags_at_work(struct run *r, const char *row)
{
	struct watcher w = {.q = io_queue(r)};

	if (pthread_create(&w.thread, NULL, watch, &w) != 0)
		skip(r, "no thread");
	for (unsigned i = 0; i < 40; i++)
		io_many(r, row, w.q->size);
	w.stop = true;
	pthread_join(w.thread, NULL);
	return w.seen;
}

static void check_used_flags(struct run *r)
{
	uint16_t flags;

	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	flags = flags_at_work(r, "SPLIT-DEV-020");
	expect(r, "SPLIT-DEV-020", flags <= 1, "used flags of 0 or 1", "bits %#x", flags);
}

static void check_used_flags_event(struct run *r)
{
	uint16_t flags;

	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	flags = flags_at_work(r, "SPLIT-DEV-022");
	expect(r, "SPLIT-DEV-022", flags == 0, "used flags of 0 with EVENT_IDX", "bits %#x", flags);
}

static void check_needless_kicks(struct run *r)
{
	uint16_t used;

	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	for (unsigned i = 0; i < 50; i++)
		drv_kick(r->bus, io_queue_index(r));
	run_quiet(r);
	io_roundtrip(r, "SPLIT-DEV-024");
	used = drv_queue_used_idx(io_queue(r));
	for (unsigned i = 0; i < 50; i++)
		drv_kick(r->bus, io_queue_index(r));
	run_quiet(r);
	expect(r, "SPLIT-DEV-024", drv_queue_used_idx(io_queue(r)) == used,
	       "needless kicks to have no effect", "%u buffers used",
	       drv_queue_used_idx(io_queue(r)) - used);
	expect(r, "SPLIT-DEV-024", !(drv_status(r->bus) & VIRTIO_CONFIG_S_NEEDS_RESET), "no error",
	       "status %#x", drv_status(r->bus));
	io_roundtrip(r, "SPLIT-DEV-024");
}

static const struct check checks[] = {
	{
		.name = "split-irq-flags-0",
		.rows = "SPLIT-DEV-013 BASIC-DEV-005",
		.how = "Single requests without EVENT_IDX, flags 0: each interrupts.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_flag_clear,
	},
	{
		.name = "split-irq-no-interrupt",
		.rows = "SPLIT-DEV-012 SPLIT-DEV-013 BASIC-DEV-005",
		.how = "Requests with NO_INTERRUPT: none interrupts. Without again: it does.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_flag_set,
	},
	{
		.name = "split-irq-used-event-off",
		.rows = "SPLIT-DEV-011 BASIC-DEV-005",
		.how = "Without EVENT_IDX, used_event in all places changes nothing.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_used_event_ignored,
	},
	{
		.name = "split-irq-event-single",
		.rows = "SPLIT-DEV-015 SPLIT-DEV-016 BASIC-DEV-005",
		.how = "Single requests before, at and behind used_event: one interrupt.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.features = EVENT_IDX,
		.run = check_event_single,
	},
	{
		.name = "split-irq-event-batch",
		.rows = "SPLIT-DEV-015 SPLIT-DEV-016 BASIC-DEV-005",
		.how = "Batches of eight with used_event at each of them, and behind.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.features = EVENT_IDX,
		.run = check_event_batch,
	},
	{
		.name = "split-irq-event-flag",
		.rows = "SPLIT-DEV-014 BASIC-DEV-005",
		.how = "With EVENT_IDX, NO_INTERRUPT changes nothing.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.features = EVENT_IDX,
		.run = check_event_ignores_flag,
	},
	{
		.name = "split-irq-event-wrap",
		.rows = "SPLIT-DEV-015 SPLIT-DEV-016 SPLIT-IMP-010 BASIC-DEV-005",
		.how = "used_event around the 65536th buffer, single requests.",
		.kind = CHECK_STRESS,
		.ways = WAY_ANY,
		.features = EVENT_IDX,
		.run = check_event_wrap,
	},
	{
		.name = "split-irq-event-wrap-batch",
		.rows = "SPLIT-DEV-015 BASIC-DEV-005",
		.how = "A batch across the 65536th buffer with used_event in it.",
		.kind = CHECK_STRESS,
		.ways = WAY_ANY,
		.features = EVENT_IDX,
		.run = check_event_wrap_batch,
	},
	{
		.name = "split-kicks-suffice",
		.rows = "SPLIT-IMP-009 BASIC-DEV-005",
		.how = "Kicks only when avail_event asks for it, 500 batches; nothing gets stuck.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.features = EVENT_IDX,
		.run = check_kicks_suffice,
	},
	{
		.name = "split-used-flags",
		.rows = "SPLIT-DEV-020 BASIC-DEV-005",
		.how = "Without EVENT_IDX used flags are 0 or 1.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_used_flags,
	},
	{
		.name = "split-used-flags-event",
		.rows = "SPLIT-DEV-022 BASIC-DEV-005",
		.how = "With EVENT_IDX used flags are 0.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.features = EVENT_IDX,
		.run = check_used_flags_event,
	},
	{
		.name = "split-needless-kicks",
		.rows = "SPLIT-DEV-024 BASIC-DEV-005",
		.how = "A hundred kicks for nothing.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_needless_kicks,
	},
};

const struct check_list checks_event = {checks, sizeof(checks) / sizeof(checks[0])};
