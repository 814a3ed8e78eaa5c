/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Device Suspend".
 */
#include "checks_util.h"
#include "checks.h"

#include <endian.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <string.h>

#define SUSPEND STATUS_SUSPEND

#define DRIVER_OK   VIRTIO_CONFIG_S_DRIVER_OK
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET

#define MAX_IN_FLIGHT 64u
#define CONFIG_BYTES  64u

/* ---- requests ----------------------------------------------------------------------------------
 */

static struct io *flight(void)
{
	static struct io ios[MAX_IN_FLIGHT];

	return ios;
}

/* Makes it a request that takes its time: a disk's flush. */
static void slow_down(struct run *r, struct io *io)
{
	struct virtio_blk_outhdr h = {.type = htole32(VIRTIO_BLK_T_FLUSH)};

	if (r->device_id != VIRTIO_ID_BLOCK || !drv_device_has(&r->drv, VIRTIO_BLK_F_FLUSH))
		return;
	memcpy(io->out, &h, sizeof(h));
	drv_mem_write(&r->mem, io->buf[0].gpa, &h, sizeof(h));
	io->in_len = io->buf[1].len = 1;
}

/* Makes up to `n` requests available, every so many a slow one, and kicks. Returns how many fit. */
static unsigned take_off(struct run *r, unsigned n, unsigned slow)
{
	struct io *io = flight();
	unsigned i = 0;

	for (; i < n && i < MAX_IN_FLIGHT && io_queue(r)->n_free >= 3; i++) {
		io_make(r, &io[i], 0, 0);
		if (slow && i % slow == slow - 1)
			slow_down(r, &io[i]);
		io_add(r, &io[i]);
	}
	drv_queue_publish(io_queue(r));
	drv_kick(r->bus, io_queue_index(r));
	return i;
}

/* Takes back what is used, without waiting. Returns how many. */
static unsigned collect(struct run *r)
{
	struct drv_used u;
	unsigned n = 0;

	while (drv_queue_get(io_queue(r), &u) == 1) {
		((struct io *)u.token)->done = true;
		n++;
	}
	return n;
}

/* Every one of the first `n` comes back, and is right. */
static void land(struct run *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		need(r, "BASIC-DEV-028", io_wait(r, &flight()[i]),
		     "every request to be done once the device resumed", "number %u of %u is not",
		     i, n);
		need(r, "BASIC-DEV-028", io_good(r, &flight()[i]), "every request to succeed",
		     "number %u of %u fails", i, n);
	}
}

/* ---- status ------------------------------------------------------------------------------------
 */

static void early(struct run *r, uint8_t bits)
{
	uint8_t before = drv_status(r->bus) | bits, status = drv_add_status(r->bus, bits | SUSPEND);

	expect(r, "BASIC-DEV-020", status == before,
	       "SUSPEND to be ignored before the device is initialised",
	       "status %#x instead of %#x", status, before);
}

static void check_too_early(struct run *r)
{
	const struct drv_device_config cfg = {.features = DRV_ALL_FEATURES};

	early(r, 0);
	early(r, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	early(r, VIRTIO_CONFIG_S_DRIVER);
	need(r, "BASIC-DEV-005", drv_device_negotiate(&r->drv, cfg.features) == 0,
	     "FEATURES_OK with what is offered", "status %#x", drv_status(r->bus));
	early(r, 0);
	drv_device_setup(&r->drv, &cfg);
	early(r, 0);
	drv_device_go(&r->drv);
	expect(r, "BASIC-DEV-020", (drv_status(r->bus) & (SUSPEND | DRIVER_OK)) == DRIVER_OK,
	       "a device that runs after DRIVER_OK", "status %#x", drv_status(r->bus));
	io_roundtrip(r, "BASIC-DEV-020");
}

static void check_status(struct run *r)
{
	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	for (unsigned i = 0; i < 3; i++) {
		io_many(r, "BASIC-DEV-028", 3);
		run_suspend(r);
		run_resume(r);
	}
	io_many(r, "BASIC-DEV-028", 3);
	run_quiet(r);
	expect(r, "BASIC-DEV-028", (drv_status(r->bus) & (SUSPEND | DRIVER_OK)) == DRIVER_OK,
	       "the device to go on", "status %#x", drv_status(r->bus));
}

static void check_reset(struct run *r)
{
	for (unsigned i = 0; i < 3; i++) {
		run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
		take_off(r, 4, 2);
		run_pause(r);
		run_suspend(r);
		drv_reset(r->bus);
		expect(r, "BASIC-DEV-011", drv_status(r->bus) == 0, "status 0 after a reset", "%#x",
		       drv_status(r->bus));
		drv_device_stop(&r->drv);
	}
	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	io_many(r, "BASIC-DEV-011", 3);
}

/* ---- rings -------------------------------------------------------------------------------------
 */

/* The driver breaks a rule here, and makes buffers available. */
static void check_silence(struct run *r)
{
	uint32_t irqs;
	uint64_t sum;
	unsigned n;

	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	io_many(r, "BASIC-DEV-028", 5);
	run_suspend(r);
	drv_irq_forget(r->bus);
	irqs = r->bus->n_irqs;
	n = take_off(r, 4, 0);
	sum = run_memory_sum(r);
	run_quiet(r);
	expect(r, "BASIC-DEV-023", drv_queue_ready(io_queue(r)) == 0,
	       "no buffer to be used while the device is suspended", "%u of %u are",
	       drv_queue_ready(io_queue(r)), n);
	expect(r, "BASIC-DEV-023", run_memory_sum(r) == sum,
	       "the queue and its buffers to be left alone", "guest memory changed");
	expect(r, "BASIC-DEV-022", r->bus->n_irqs == irqs, "no notification", "%u while suspended",
	       r->bus->n_irqs - irqs);
	run_resume(r);
	land(r, n);
	expect(r, "BASIC-DEV-028", run_await_irq(r, io_queue_index(r)) > 0,
	       "the notification once the device resumed", "none");
}

/* What the status says is true: nothing is left to do, or to tell. */
static void expect_done(struct run *r, unsigned n)
{
	uint64_t sum = run_memory_sum(r);
	uint32_t irqs = r->bus->n_irqs;
	unsigned first = 0;

	while (first < n && flight()[first].done)
		first++;
	for (unsigned i = first; i < n; i++)
		expect(r, "BASIC-DEV-030", !flight()[i].done,
		       "all that were begun to be used before the status says SUSPEND",
		       "number %u is, number %u before it is not", i, first);
	run_quiet(r);
	expect(r, "BASIC-DEV-029", drv_queue_ready(io_queue(r)) == 0,
	       "no buffer to be used any more", "%u of %u are", drv_queue_ready(io_queue(r)), n);
	expect(r, "BASIC-DEV-030", run_memory_sum(r) == sum,
	       "no buffer to be worked on when the status says SUSPEND", "guest memory changed");
	expect(r, "BASIC-DEV-022", r->bus->n_irqs == irqs, "no notification", "%u while suspended",
	       r->bus->n_irqs - irqs);
}

/* At moments from "nothing was begun" to "all is done". */
static void check_in_flight(struct run *r)
{
	for (unsigned round = 0; round < 8; round++) {
		unsigned n, used, told;

		run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
		n = take_off(r, MAX_IN_FLIGHT, 1 + round % 2);
		for (unsigned i = 0; i < round / 2 && r->drv.turn; i++)
			r->drv.turn(r->drv.turn_arg);
		drv_irq_forget(r->bus);
		collect(r);
		run_suspend(r);
		told = drv_irq_take(r->bus, io_queue_index(r));
		used = collect(r);
		expect(r, "BASIC-DEV-031", used == 0 || told > 0,
		       "used buffers to be notified before the status says SUSPEND",
		       "%u used, no notification", used);
		expect_done(r, n);
		run_resume(r);
		land(r, n);
		drv_device_stop(&r->drv);
	}
}

/* One request; was it notified? */
static bool notified(struct run *r)
{
	io_many(r, "BASIC-DEV-028", 1);
	run_quiet(r);
	return drv_irq_take(r->bus, io_queue_index(r)) > 0;
}

/* The device knows what was notified already, and what the driver asked for. */
static void check_event_idx(struct run *r)
{
	struct drv_queue *q;

	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	io_many(r, "BASIC-DEV-028", 5);
	q = io_queue(r);
	drv_queue_set_used_event(q, (uint16_t)(q->used_idx + 1));
	run_quiet(r);
	drv_irq_forget(r->bus);
	for (unsigned i = 0; i < 3; i++) {
		bool wanted = i == 1;

		run_suspend(r);
		run_resume(r);
		expect(r, "BASIC-DEV-028", notified(r) == wanted,
		       "the ring to be served as if there had been no suspension",
		       "%s notification for buffer %u, used_event is 1", wanted ? "no" : "a", i);
	}
}

static void check_storm(struct run *r)
{
	run_start(r, "BASIC-DEV-005", run_random(r, 2) ? DRV_ALL_FEATURES : FEATURES_FLAGS);
	for (unsigned i = 0; i < 200; i++) {
		struct drv_mark mark = drv_mem_mark(&r->mem);
		unsigned n = take_off(r, run_random(r, 12), run_random(r, 4));

		for (uint32_t turns = run_random(r, 4); turns > 0 && r->drv.turn; turns--)
			r->drv.turn(r->drv.turn_arg);
		run_suspend(r);
		if (run_random(r, 4) == 0)
			drv_kick(r->bus, io_queue_index(r));
		run_resume(r);
		land(r, n);
		expect(r, "BASIC-DEV-030", drv_queue_ready(io_queue(r)) == 0,
		       "every buffer to be used once", "%u more than there were",
		       drv_queue_ready(io_queue(r)));
		drv_mem_rewind(&r->mem, &mark);
	}
}

/* ---- configuration space -----------------------------------------------------------------------
 */

/* Byte by byte; bytes that are not there read 0, or whatever, and the same each time. */
static void config_all(struct run *r, uint8_t *to)
{
	for (uint32_t i = 0; i < CONFIG_BYTES; i++)
		drv_config_read(r->bus, i, to + i, 1);
}

static void check_config_writes(struct run *r)
{
	uint8_t before[CONFIG_BYTES], now[CONFIG_BYTES];

	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	config_all(r, before);
	run_suspend(r);
	for (uint32_t i = 0; i < CONFIG_BYTES; i++)
		drv_config_write(r->bus, i, &(uint8_t){before[i] ^ 1}, 1);
	config_all(r, now);
	expect(r, "BASIC-DEV-021", !memcmp(now, before, sizeof(now)),
	       "writes to be ignored while suspended", "another configuration");
	run_resume(r);
	config_all(r, now);
	expect(r, "BASIC-DEV-021", !memcmp(now, before, sizeof(now)),
	       "what was written while suspended to be forgotten", "another configuration");
	io_many(r, "BASIC-DEV-028", 3);
}

static void check_config_changes(struct run *r)
{
	uint8_t before[CONFIG_BYTES], now[CONFIG_BYTES];
	uint64_t generation;

	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	config_all(r, before);
	run_suspend(r);
	drv_irq_forget(r->bus);
	generation = drv_get(r->bus, DRV_GENERATION, 0);
	if (!r->change_config || !r->change_config(r))
		skip(r, "nothing here makes the device change its configuration");
	run_quiet(r);
	config_all(r, now);
	expect(r, "BASIC-DEV-024", !memcmp(now, before, sizeof(now)),
	       "the configuration to stay as it is while suspended", "it changed");
	expect(r, "BASIC-DEV-024", drv_get(r->bus, DRV_GENERATION, 0) == generation,
	       "its generation, too", "it changed");
	expect(r, "BASIC-DEV-025", drv_irq_take(r->bus, DRV_IRQ_CONFIG) == 0,
	       "no notification of the change while suspended", "there was one");
	run_resume(r);
	expect(r, "BASIC-DEV-026", run_await_irq(r, DRV_IRQ_CONFIG) > 0,
	       "the notification once the device resumed", "none");
	config_all(r, now);
	expect(r, "BASIC-DEV-026", memcmp(now, before, sizeof(now)) != 0,
	       "the change to show once the device resumed", "the old configuration");
}

/* ---- drivers that break the rules --------------------------------------------------------------
 */

static void check_broken_ring_later(struct run *r)
{
	uint8_t status;

	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	io_many(r, "BASIC-DEV-028", 3);
	run_suspend(r);
	raw_offer(r, 0xffff);
	run_quiet(r);
	expect(r, "BASIC-DEV-023", !(drv_status(r->bus) & NEEDS_RESET),
	       "the queue not to be looked at while suspended", "status %#x", drv_status(r->bus));
	drv_add_status(r->bus, DRIVER_OK);
	status = run_await_status(r, NEEDS_RESET);
	expect(r, "BASIC-DEV-002", status & NEEDS_RESET, "DEVICE_NEEDS_RESET once it is looked at",
	       "status %#x", status);
	drv_device_stop(&r->drv);
	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	io_many(r, "BASIC-DEV-011", 3);
}

/* Suspended before, or failed because, it looks at the ring; then the same the other way. */
static void check_broken_ring_first(struct run *r)
{
	uint8_t status;

	for (unsigned i = 0; i < 4; i++) {
		run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
		take_off(r, i, 1);
		raw_offer(r, 0xffff);
		if (i % 2)
			run_pause(r);
		status = run_change_status(r, SUSPEND);
		expect(r, "BASIC-DEV-027",
		       status & NEEDS_RESET || (status & (SUSPEND | DRIVER_OK)) == SUSPEND,
		       "the device to be suspended, or DEVICE_NEEDS_RESET", "status %#x", status);
		drv_add_status(r->bus, DRIVER_OK);
		status = run_await_status(r, NEEDS_RESET);
		expect(r, "BASIC-DEV-028", status & NEEDS_RESET,
		       "DEVICE_NEEDS_RESET, for it cannot resume", "status %#x", status);
		drv_device_stop(&r->drv);
	}
	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	io_many(r, "BASIC-DEV-011", 3);
}

/* ------------------------------------------------------------------------------------------------
 */

static const struct check checks[] = {
	{
		.name = "suspend-too-early",
		.rows = "BASIC-DEV-020 BASIC-DEV-005",
		.how = "Sets SUSPEND at each step of the initialisation; it does not show, and the "
		       "device runs after DRIVER_OK.",
		.kind = CHECK_ROBUSTNESS,
		.ways = WAY_REGISTERS,
		.features = F_SUSPEND,
		.run = check_too_early,
	},
	{
		.name = "suspend-status",
		.rows = "BASIC-DEV-027 BASIC-DEV-028 BASIC-DEV-005",
		.how = "Suspends and resumes three times, with requests in between.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_REGISTERS,
		.features = F_SUSPEND,
		.run = check_status,
	},
	{
		.name = "suspend-reset",
		.rows = "BASIC-DEV-011 BASIC-DEV-027 BASIC-DEV-005",
		.how = "Resets a suspended device three times; then it works.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_REGISTERS,
		.features = F_SUSPEND,
		.run = check_reset,
	},
	{
		.name = "suspend-silence",
		.rows = "BASIC-DEV-022 BASIC-DEV-023 BASIC-DEV-027 BASIC-DEV-028 BASIC-DEV-005",
		.how = "Makes buffers available to a suspended device, and kicks: nothing happens "
		       "until it resumes; then they are used.",
		.kind = CHECK_ROBUSTNESS,
		.ways = WAY_REGISTERS,
		.features = F_SUSPEND,
		.run = check_silence,
	},
	{
		.name = "suspend-in-flight",
		.rows = "BASIC-DEV-022 BASIC-DEV-029 BASIC-DEV-030 BASIC-DEV-031 BASIC-DEV-027 "
			"BASIC-DEV-028 BASIC-DEV-005",
		.how = "Suspends with requests in flight. When the status says SUSPEND, those that "
		       "were begun are used and notified, and the others are left alone until the "
		       "device resumes.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_REGISTERS,
		.features = F_SUSPEND,
		.run = check_in_flight,
	},
	{
		.name = "suspend-event-idx",
		.rows = "BASIC-DEV-028 BASIC-DEV-027 BASIC-DEV-005",
		.how = "With EVENT_IDX: suspends and resumes between buffers; the notification "
		       "comes at used_event and not before or after.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_REGISTERS,
		.features = F_SUSPEND | DRV_FEATURE(VIRTIO_RING_F_EVENT_IDX),
		.run = check_event_idx,
	},
	{
		.name = "suspend-storm",
		.rows = "BASIC-DEV-028 BASIC-DEV-027 BASIC-DEV-030 BASIC-DEV-005",
		.how = "Suspends and resumes 200 times at random moments; every request is done "
		       "once.",
		.kind = CHECK_STRESS,
		.ways = WAY_REGISTERS,
		.features = F_SUSPEND,
		.run = check_storm,
	},
	{
		.name = "suspend-config-writes",
		.rows = "BASIC-DEV-021 BASIC-DEV-027 BASIC-DEV-028 BASIC-DEV-005",
		.how = "Writes every byte of a suspended device's configuration: neither then nor "
		       "after it resumed has anything changed.",
		.kind = CHECK_ROBUSTNESS,
		.ways = WAY_REGISTERS,
		.features = F_SUSPEND,
		.run = check_config_writes,
	},
	{
		.name = "suspend-config-changes",
		.rows = "BASIC-DEV-024 BASIC-DEV-025 BASIC-DEV-026 BASIC-DEV-027 BASIC-DEV-028 "
			"BASIC-DEV-005",
		.how = "Lets a suspended device change its configuration: the driver sees it, and "
		       "is notified, when the device resumes.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_REGISTERS,
		.features = F_SUSPEND,
		.run = check_config_changes,
	},
	{
		.name = "suspend-broken-ring-later",
		.rows = "BASIC-DEV-023 BASIC-DEV-002 BASIC-DEV-011 BASIC-DEV-027 BASIC-DEV-028 "
			"BASIC-DEV-005",
		.how = "Breaks the ring of a suspended device, which notices when it resumes. "
		       "After a reset it works.",
		.kind = CHECK_ROBUSTNESS,
		.ways = WAY_REGISTERS,
		.features = F_SUSPEND,
		.run = check_broken_ring_later,
	},
	{
		.name = "suspend-broken-ring-first",
		.rows = "BASIC-DEV-027 BASIC-DEV-028 BASIC-DEV-011 BASIC-DEV-005",
		.how = "Breaks the ring, suspends, resumes: DEVICE_NEEDS_RESET in the end. After a "
		       "reset it works.",
		.kind = CHECK_ROBUSTNESS,
		.ways = WAY_REGISTERS,
		.features = F_SUSPEND,
		.run = check_broken_ring_first,
	},
};

const struct check_list checks_suspend = {checks, sizeof(checks) / sizeof(checks[0])};
