/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Drivers that break the rules: the device survives, says so, recovers by a reset, and nobody else
 * notices.
 */
#include "checks.h"
#include "checks_util.h"

#include <driver/bus_mmio.h>
#include <linux/virtio_config.h>
#include <string.h>

#define NEXT	 VRING_DESC_F_NEXT
#define WRITE	 VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET

/* Beyond all memory. */
#define NOWHERE UINT64_C(0x800000000000)

static void start(struct run *r)
{
	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
}

/* Guest memory that nothing else uses. */
static uint64_t scratch(struct run *r, uint64_t size)
{
	uint64_t gpa = drv_mem_alloc(&r->mem, size, 16);

	if (gpa == DRV_NO_GPA)
		skip(r, "out of guest memory");
	memset(drv_mem_ptr(&r->mem, gpa, size), 0xcc, size);
	return gpa;
}

/* After a reset everything is as if nothing had been. */
static void expect_recovery(struct run *r, const char *row)
{
	drv_device_stop(&r->drv);
	expect(r, row, drv_status(r->bus) == 0, "a reset to help", "status %#x",
	       drv_status(r->bus));
	run_start(r, row, FEATURES_FLAGS);
	io_roundtrip(r, row);
}

/*
 * A back-end in another process may hand a bad chain back with nothing written, instead of giving
 * up: the protocol has little to say so.
 */
static bool handed_back(struct run *r)
{
	struct drv_queue *q = io_queue(r);
	uint16_t n = drv_queue_ready(q);
	struct raw_used u;

	return r->way == WAY_VHOST_USER && n == 1 && raw_wait(r, &u) && u.len == 0;
}

/*
 * Until the device serves it, or says that it gave up. One that once did neither is not given all
 * that time again.
 */
static void await_reaction(struct run *r)
{
	static bool had_none;
	int64_t give_up = run_now_ms() + (had_none ? 0 : r->drv.patience_ms);

	while (drv_queue_ready(io_queue(r)) == 0 && !(drv_status(r->bus) & NEEDS_RESET)) {
		had_none = run_now_ms() >= give_up;
		if (had_none)
			break;
		run_pause(r);
	}
	run_quiet(r);
}

/* The device does not serve what is broken, and says that it gave up. */
static void expect_refusal(struct run *r, const char *row, const char *what)
{
	uint8_t status = 0;
	bool back;

	await_reaction(r);
	back = handed_back(r);
	if (drv_queue_ready(io_queue(r)) > 0)
		status = run_await_status(r, NEEDS_RESET);
	else if (!back)
		status = drv_status(r->bus);
	expect(r, row, back || drv_queue_ready(io_queue(r)) == 0, "nothing broken to be served",
	       "%u buffers used, %s", drv_queue_ready(io_queue(r)), what);
	expect(r, "BASIC-DEV-002", back || (status & NEEDS_RESET),
	       "DEVICE_NEEDS_RESET when the driver broke the ring", "status %#x, %s", status, what);
	run_note(r, "recovers from %s", what);
	expect_recovery(r, row);
}

/* ---- chains ------------------------------------------------------------------------------------
 */

struct raw_desc {
	uint64_t addr; /* with BUF or TABLE: an offset there */
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/* Addresses of memory that is there only when the check runs. */
#define BUF   (UINT64_C(1) << 62)
#define TABLE (UINT64_C(1) << 61)
#define END   (UINT64_C(1) << 60) /* from the end of memory */

struct attack {
	const char *what;
	uint32_t head; /* 0x10000: the queue size */
	struct raw_desc desc[3];
	struct raw_desc table[3];
};

#define QUEUE_SIZE 0x10000u

static uint64_t place(struct run *r, uint64_t addr, uint64_t buf, uint64_t table)
{
	const struct drv_region *last = &r->mem.region[r->mem.n - 1];
	uint64_t end = last->gpa + last->size;

	if (r->neighbour)
		end += last->size;
	if (addr == NOWHERE || addr > UINT64_MAX / 2)
		return addr;
	if (addr & BUF)
		return buf + (addr & ~BUF);
	if (addr & TABLE)
		return table + (addr & ~TABLE);
	if (addr & END)
		return end - (addr & ~END);
	return addr;
}

static void put(struct run *r, struct vring_desc *to, const struct raw_desc *from, uint64_t buf,
		uint64_t table)
{
	for (unsigned i = 0; i < 3; i++)
		drv_desc_write(&to[i], place(r, from[i].addr, buf, table), from[i].len,
			       from[i].flags, from[i].next);
}

static void run_attacks(struct run *r, const char *row, const struct attack *attacks, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct attack *a = &attacks[i];
		uint64_t buf, table;

		start(r);
		if (io_queue(r)->size < 4)
			skip(r, "the queue is too short");
		buf = scratch(r, 4096);
		table = scratch(r, 4096);
		put(r, io_queue(r)->desc, a->desc, buf, table);
		put(r, drv_mem_ptr(&r->mem, table, 48), a->table, buf, table);
		run_note(r, "attack: %s", a->what);
		raw_offer(r, a->head == QUEUE_SIZE ? io_queue(r)->size : (uint16_t)a->head);
		expect_refusal(r, row, a->what);
	}
}

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void check_bad_head(struct run *r)
{
	static const struct attack attacks[] = {
		{.what = "a head of 0xffff", .head = 0xffff},
		{.what = "a head of the queue size",
		 .head = QUEUE_SIZE,
		 .desc = {{BUF, 1024, WRITE, 0}}},
		{.what = "a head of 0x8000", .head = 0x8000, .desc = {{BUF, 1024, WRITE, 0}}},
	};

	run_attacks(r, "SPLIT-IMP-011", attacks, N(attacks));
}

static void check_bad_next(struct run *r)
{
	static const struct attack attacks[] = {
		{.what = "next outside the table", .desc = {{BUF, 16, NEXT, 0x8000}}},
		{.what = "next of 0x8001",
		 .desc = {{BUF, 16, NEXT, 0x8001}, {BUF + 16, 1024, WRITE, 0}}},
		{.what = "next of 0xffff", .desc = {{BUF, 16, NEXT, 0xffff}}},
		{.what = "a descriptor that is its own next", .desc = {{BUF, 16, NEXT, 0}}},
		{.what = "a loop of two", .desc = {{BUF, 16, NEXT, 1}, {BUF + 16, 16, NEXT, 0}}},
		{.what = "a loop of writable descriptors",
		 .desc = {{BUF, 16, NEXT | WRITE, 1}, {BUF + 16, 16, NEXT | WRITE, 0}}},
		{.what = "a loop of empty descriptors",
		 .desc = {{BUF, 0, NEXT, 1}, {BUF, 0, NEXT, 0}}},
	};

	run_attacks(r, "SPLIT-IMP-012", attacks, N(attacks));
}

static void check_bad_tables(struct run *r)
{
	static const struct attack attacks[] = {
		{.what = "an empty table", .desc = {{TABLE, 0, INDIRECT, 0}}},
		{.what = "a table of 8 bytes", .desc = {{TABLE, 8, INDIRECT, 0}}},
		{.what = "a table of 24 bytes",
		 .desc = {{TABLE, 24, INDIRECT, 0}},
		 .table = {{BUF, 16, NEXT, 1}, {BUF + 16, 16, WRITE, 0}}},
		{.what = "a table in a table",
		 .desc = {{TABLE, 32, INDIRECT, 0}},
		 .table = {{BUF, 16, NEXT, 1}, {TABLE + 1024, 16, INDIRECT, 0}}},
		{.what = "a table that holds itself",
		 .desc = {{TABLE, 16, INDIRECT, 0}},
		 .table = {{TABLE, 16, INDIRECT, 0}}},
		{.what = "a loop in a table",
		 .desc = {{TABLE, 32, INDIRECT, 0}},
		 .table = {{BUF, 16, NEXT, 1}, {BUF + 16, 16, NEXT, 0}}},
		{.what = "next outside a table",
		 .desc = {{TABLE, 32, INDIRECT, 0}},
		 .table = {{BUF, 16, NEXT, 2}, {BUF, 16, WRITE, 0}, {BUF, 16, WRITE, 0}}},
		{.what = "a table outside memory", .desc = {{NOWHERE, 32, INDIRECT, 0}}},
		{.what = "a table of 4 GiB",
		 .desc = {{TABLE, 0xfffffff0, INDIRECT, 0}},
		 .table = {{BUF, 16, NEXT, 0xffff}}},
		{.what = "a table of one and a half entries",
		 .desc = {{TABLE, 24, INDIRECT, 0}},
		 .table = {{BUF, 16, WRITE, 0}}},
		{.what = "a table with NEXT",
		 .desc = {{TABLE, 16, INDIRECT | NEXT, 1}, {BUF, 16, WRITE, 0}},
		 .table = {{BUF, 16, 0, 0}}},
	};

	run_attacks(r, "SPLIT-IMP-013", attacks, N(attacks));
}

/* Tables are an offer, and this driver did not take it. */
static void check_unnegotiated_table(struct run *r)
{
	uint64_t buf, table;

	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS & ~DRV_FEATURE(VIRTIO_RING_F_INDIRECT_DESC));
	buf = scratch(r, 4096);
	table = scratch(r, 4096);
	drv_desc_write(drv_mem_ptr(&r->mem, table, 16), buf, 1024, WRITE, 0);
	drv_desc_write(&io_queue(r)->desc[0], table, 16, INDIRECT, 0);
	raw_offer(r, 0);
	expect_refusal(r, "SPLIT-IMP-013", "a table without INDIRECT_DESC");
}

static void check_bad_address(struct run *r)
{
	static const struct attack attacks[] = {
		{.what = "a readable buffer outside memory", .desc = {{NOWHERE, 16, 0, 0}}},
		{.what = "a writable buffer outside memory",
		 .desc = {{BUF, 16, NEXT, 1}, {NOWHERE, 513, WRITE, 0}}},
		{.what = "a buffer at address 0", .desc = {{0, 16, WRITE, 0}}},
		{.what = "a buffer one byte too long", .desc = {{END + 16, 17, WRITE, 0}}},
		{.what = "a buffer that ends beyond the address space",
		 .desc = {{UINT64_MAX - 7, 16, WRITE, 0}}},
		{.what = "a buffer of 4 GiB", .desc = {{BUF, UINT32_MAX, WRITE, 0}}},
	};

	run_attacks(r, "SPLIT-IMP-015", attacks, N(attacks));
}

/* Memory begins in the middle of the buffer. */
static void check_before_memory(struct run *r)
{
	start(r);
	drv_desc_write(&io_queue(r)->desc[0], r->mem.region[0].gpa - 8, 4096, WRITE, 0);
	raw_offer(r, 0);
	expect_refusal(r, "SPLIT-IMP-015", "a buffer that begins before memory");
}

static void check_bad_order(struct run *r)
{
	static const struct attack attacks[] = {
		{.what = "readable after writable",
		 .desc = {{BUF, 16, NEXT | WRITE, 1}, {BUF + 16, 16, 0, 0}}},
		{.what = "writable, readable, writable",
		 .desc = {{BUF, 16, NEXT | WRITE, 1},
			  {BUF + 16, 16, NEXT, 2},
			  {BUF + 32, 600, WRITE, 0}}},
	};

	run_attacks(r, "SPLIT-IMP-016", attacks, N(attacks));
}

static void check_avail_jump(struct run *r)
{
	for (unsigned i = 0; i < 4; i++) {
		struct drv_queue *q;
		uint16_t jumps[4];

		start(r);
		q = io_queue(r);
		jumps[0] = (uint16_t)(q->size + 1);
		jumps[1] = 0x7fff;
		jumps[2] = 0x8000;
		jumps[3] = 0xffff;
		if (jumps[i] <= q->size)
			continue;
		io_many(r, "SPLIT-IMP-014", 3);
		drv_queue_set_avail_idx(q, (uint16_t)(q->avail_idx + jumps[i]));
		drv_kick(r->bus, io_queue_index(r));
		expect_refusal(r, "SPLIT-IMP-014", "an available index that jumped");
	}
}

/* ---- what the driver is told ------------------------------------------------------------------
 */

static void check_needs_reset_interrupts(struct run *r)
{
	uint8_t status;

	start(r);
	drv_irq_forget(r->bus);
	raw_offer(r, 0xffff);
	status = run_await_status(r, NEEDS_RESET);
	if (!(status & NEEDS_RESET))
		skip(r, "the device does not say that it needs a reset");
	expect(r, "BASIC-DEV-003", run_await_irq(r, DRV_IRQ_CONFIG) > 0,
	       "a configuration change notification with DEVICE_NEEDS_RESET", "none");
	expect(r, "BASIC-DEV-003", drv_status(r->bus) & VIRTIO_CONFIG_S_DRIVER_OK,
	       "DRIVER_OK to stay", "status %#x", drv_status(r->bus));
	run_quiet(r);
	expect(r, "BASIC-DEV-003", drv_irq_take(r->bus, DRV_IRQ_CONFIG) == 0,
	       "one notification of it", "another one");
}

/* Nothing is served any more, and nothing helps but a reset. */
static void check_needs_reset_stays(struct run *r)
{
	struct io io;

	start(r);
	io_make(r, &io, 0, 0);
	raw_offer(r, 0xffff);
	need(r, "BASIC-DEV-002", run_await_status(r, NEEDS_RESET) & NEEDS_RESET,
	     "DEVICE_NEEDS_RESET when the driver broke the ring", "status %#x", drv_status(r->bus));
	drv_set_status(r->bus, drv_status(r->bus) & (uint8_t)~NEEDS_RESET);
	expect(r, "BASIC-DEV-002", drv_status(r->bus) & NEEDS_RESET,
	       "DEVICE_NEEDS_RESET to stay until a reset", "status %#x", drv_status(r->bus));
	expect_recovery(r, "BASIC-DEV-011");
}

/* ---- queue registers ---------------------------------------------------------------------------
 */

static void check_registers_of_running_queue(struct run *r)
{
	uint16_t index = io_queue_index(r);
	uint64_t other;

	start(r);
	io_many(r, "BASIC-IMP-008", 3);
	other = scratch(r, 65536);
	drv_set(r->bus, DRV_QUEUE_SIZE, index, io_queue(r)->size / 2);
	drv_set(r->bus, DRV_QUEUE_DESC, index, other);
	drv_set(r->bus, DRV_QUEUE_DRIVER, index, other + 16384);
	drv_set(r->bus, DRV_QUEUE_DEVICE, index, NOWHERE);
	io_many(r, "BASIC-IMP-008", 3u * io_queue(r)->size);
	for (uint32_t i = 0; i < 65536; i += 8)
		if (*(uint64_t *)drv_mem_ptr(&r->mem, other + i, 8) != UINT64_C(0xcccccccccccccccc))
			other = DRV_NO_GPA;
	expect(r, "BASIC-IMP-008", other != DRV_NO_GPA,
	       "memory that late addresses name to be left alone", "it changed");
	expect(r, "BASIC-IMP-008", !(drv_status(r->bus) & NEEDS_RESET), "the device to go on",
	       "status %#x", drv_status(r->bus));
	drv_set(r->bus, DRV_QUEUE_ENABLE, index, 1);
	io_many(r, "BASIC-IMP-008", 3);
	expect_recovery(r, "BASIC-IMP-008");
}

static void check_absent_queue(struct run *r)
{
	static const uint32_t numbers[] = {256, 0x7fff, 0xfffe, 0xffff};
	uint64_t sum;

	start(r);
	sum = run_memory_sum(r);
	for (unsigned i = 0; i < N(numbers); i++) {
		drv_set(r->bus, DRV_QUEUE_SIZE, numbers[i], 4);
		drv_set(r->bus, DRV_QUEUE_DESC, numbers[i], io_queue(r)->desc_gpa);
		drv_set(r->bus, DRV_QUEUE_ENABLE, numbers[i], 1);
		expect(r, "BASIC-IMP-009", drv_get(r->bus, DRV_QUEUE_ENABLE, numbers[i]) == 0,
		       "a queue that is not there not to be enabled", "queue %u", numbers[i]);
		drv_set(r->bus, DRV_QUEUE_RESET, numbers[i], 1);
		drv_kick(r->bus, (uint16_t)numbers[i]);
	}
	if (r->way == WAY_MMIO)
		for (unsigned bit = 8; bit < 32; bit++)
			drv_mmio_set(r->bus, MMIO_QUEUE_NOTIFY, 1u << bit);
	run_quiet(r);
	expect(r, "BASIC-IMP-009", run_memory_sum(r) == sum, "guest memory to be left alone",
	       "it changed");
	expect(r, "BASIC-IMP-009", !(drv_status(r->bus) & NEEDS_RESET), "the device to go on",
	       "status %#x", drv_status(r->bus));
	io_roundtrip(r, "BASIC-IMP-009");
}

static uint64_t placed_at(const struct drv_queue *q, enum drv_reg reg)
{
	if (reg == DRV_QUEUE_DESC)
		return q->desc_gpa;
	return reg == DRV_QUEUE_DRIVER ? q->driver_gpa : q->device_gpa;
}

/* Sets up the queue with one thing wrong. */
static void try_bad_queue(struct run *r, enum drv_reg reg, uint64_t value, const char *what)
{
	const struct drv_device_config cfg = {.features = FEATURES_FLAGS};
	uint16_t index = io_queue_index(r);
	uint64_t sum;
	struct io io;

	run_note(r, "attack: %s", what);
	need(r, "BASIC-DEV-005", drv_device_negotiate(&r->drv, cfg.features) == 0,
	     "FEATURES_OK with what is offered", "status %#x", drv_status(r->bus));
	need(r, "BASIC-DEV-005", drv_device_make_queues(&r->drv, &cfg) == 0, "queues", "none");
	drv_set(r->bus, DRV_QUEUE_SIZE, index, io_queue(r)->size);
	drv_set(r->bus, DRV_QUEUE_DESC, index, io_queue(r)->desc_gpa);
	drv_set(r->bus, DRV_QUEUE_DRIVER, index, io_queue(r)->driver_gpa);
	drv_set(r->bus, DRV_QUEUE_DEVICE, index, io_queue(r)->device_gpa);
	if (value > 0 && value < 16) /* beside its place */
		value += placed_at(io_queue(r), reg);
	drv_set(r->bus, reg, index, value);
	drv_set(r->bus, DRV_QUEUE_ENABLE, index, 1);
	drv_device_go(&r->drv);
	io_make(r, &io, 0, 0);
	io_submit(r, &io);
	sum = run_memory_sum(r);
	drv_kick(r->bus, index);
	run_quiet(r);
	expect(r, "BASIC-IMP-010", run_memory_sum(r) == sum, "a bad queue not to run",
	       "memory changed, %s", what);
	expect_recovery(r, "BASIC-IMP-010");
}

static void check_bad_queues(struct run *r)
{
	static const struct {
		const char *what;
		enum drv_reg reg;
		uint64_t value;
	} bad[] = {
		{"a descriptor table outside memory", DRV_QUEUE_DESC, NOWHERE},
		{"an available ring outside memory", DRV_QUEUE_DRIVER, NOWHERE},
		{"a used ring outside memory", DRV_QUEUE_DEVICE, NOWHERE},
		{"a descriptor table at the end of the address space", DRV_QUEUE_DESC,
		 UINT64_MAX - 15},
		{"a used ring at the end of the address space", DRV_QUEUE_DEVICE, UINT64_MAX - 3},
		{"a descriptor table at 0", DRV_QUEUE_DESC, 0},
		{"a descriptor table on half a descriptor", DRV_QUEUE_DESC, 8},
		{"an available ring at an odd address", DRV_QUEUE_DRIVER, 1},
		{"a used ring on half a word", DRV_QUEUE_DEVICE, 2},
	};

	for (unsigned i = 0; i < N(bad); i++)
		try_bad_queue(r, bad[i].reg, bad[i].value, bad[i].what);
}

static void check_bad_sizes(struct run *r)
{
	static const uint16_t sizes[] = {0, 3, 0x7fff, 0xffff};

	for (unsigned i = 0; i < N(sizes); i++) {
		const struct drv_device_config cfg = {.features = FEATURES_FLAGS};
		uint16_t index = io_queue_index(r);
		struct io io;

		run_note(r, "attack: a queue size of %u", sizes[i]);
		drv_device_negotiate(&r->drv, cfg.features);
		need(r, "BASIC-DEV-005", drv_device_make_queues(&r->drv, &cfg) == 0, "queues",
		     "none");
		drv_set(r->bus, DRV_QUEUE_SIZE, index, sizes[i]);
		drv_set(r->bus, DRV_QUEUE_DESC, index, io_queue(r)->desc_gpa);
		drv_set(r->bus, DRV_QUEUE_DRIVER, index, io_queue(r)->driver_gpa);
		drv_set(r->bus, DRV_QUEUE_DEVICE, index, io_queue(r)->device_gpa);
		drv_set(r->bus, DRV_QUEUE_ENABLE, index, 1);
		drv_device_go(&r->drv);
		io_make(r, &io, 0, 0);
		io_submit(r, &io);
		drv_kick(r->bus, index);
		run_quiet(r);
		expect(r, "BASIC-IMP-010", drv_queue_used_idx(io_queue(r)) == 0,
		       "a queue of a bad size not to run", "used index %u",
		       drv_queue_used_idx(io_queue(r)));
		expect_recovery(r, "BASIC-IMP-010");
	}
}

/* ---- neighbours --------------------------------------------------------------------------------
 */

static void check_neighbour(struct run *r)
{
	struct run *n = r->neighbour;
	struct io io;

	if (!n)
		skip(r, "no second device in the configuration file");
	run_start(n, "BASIC-IMP-007", FEATURES_FLAGS);
	io_roundtrip(n, "BASIC-IMP-007");
	for (unsigned i = 0; i < 5; i++) {
		start(r);
		io_make(n, &io, 0, 0);
		io_submit(n, &io);
		raw_offer(r, 0xffff);
		run_await_status(r, NEEDS_RESET);
		expect(r, "BASIC-IMP-007", io_wait(n, &io) && io_good(n, &io),
		       "another device's request to be done", "it is not");
		expect(r, "BASIC-IMP-007",
		       drv_status(n->bus) & VIRTIO_CONFIG_S_DRIVER_OK &&
			       !(drv_status(n->bus) & NEEDS_RESET),
		       "another device to go on", "its status %#x", drv_status(n->bus));
		drv_device_stop(&r->drv);
		io_many(n, "BASIC-IMP-007", 20);
	}
}

#define HOSTILE(n, row, text, way, fn)                                                             \
	{                                                                                          \
		.name = n, .rows = row, .how = text, .kind = CHECK_ROBUSTNESS, .ways = way,        \
		.run = fn,                                                                         \
	}

static const struct check checks[] = {
	HOSTILE("hostile-head", "SPLIT-IMP-011 BASIC-DEV-002 BASIC-DEV-005",
		"Heads outside the descriptor table.", WAY_ANY, check_bad_head),
	HOSTILE("hostile-next", "SPLIT-IMP-012 BASIC-DEV-002 BASIC-DEV-005",
		"Chains that leave the descriptor table, and chains that do not end.", WAY_ANY,
		check_bad_next),
	{
		.name = "hostile-tables",
		.rows = "SPLIT-IMP-013 BASIC-DEV-002 BASIC-DEV-005",
		.how = "Indirect tables that are empty, cut off, nested, looped, elsewhere.",
		.kind = CHECK_ROBUSTNESS,
		.ways = WAY_ANY,
		.features = DRV_FEATURE(VIRTIO_RING_F_INDIRECT_DESC),
		.run = check_bad_tables,
	},
	HOSTILE("hostile-tables-unnegotiated", "SPLIT-IMP-013 BASIC-DEV-002 BASIC-DEV-005",
		"An indirect table when INDIRECT_DESC was not accepted.", WAY_REGISTERS,
		check_unnegotiated_table),
	HOSTILE("hostile-address", "SPLIT-IMP-015 BASIC-DEV-002 BASIC-DEV-005",
		"Buffers outside memory, and across its end.", WAY_ANY, check_bad_address),
	HOSTILE("hostile-address-before", "SPLIT-IMP-015 BASIC-DEV-002 BASIC-DEV-005",
		"A buffer that begins before memory does.", WAY_ANY, check_before_memory),
	HOSTILE("hostile-order", "SPLIT-IMP-016 BASIC-DEV-002 BASIC-DEV-005",
		"Device-readable descriptors after device-writable ones.", WAY_ANY,
		check_bad_order),
	HOSTILE("hostile-avail-index", "SPLIT-IMP-014 BASIC-DEV-002 BASIC-DEV-005",
		"Available indices that jump by more than the queue size.", WAY_ANY,
		check_avail_jump),
	HOSTILE("hostile-needs-reset", "BASIC-DEV-003 BASIC-DEV-005",
		"Breaks the ring of a device that runs: a configuration interrupt, once.",
		WAY_REGISTERS, check_needs_reset_interrupts),
	HOSTILE("hostile-needs-reset-stays", "BASIC-DEV-002 BASIC-DEV-011 BASIC-DEV-005",
		"Tries to clear DEVICE_NEEDS_RESET.", WAY_REGISTERS, check_needs_reset_stays),
	HOSTILE("hostile-running-queue", "BASIC-IMP-008 BASIC-DEV-005",
		"Writes size and addresses of a queue that runs (CVE-2026-5747).", WAY_REGISTERS,
		check_registers_of_running_queue),
	HOSTILE("hostile-absent-queue", "BASIC-IMP-009 BASIC-DEV-005",
		"Sets up, enables, resets and kicks queues that are not there.", WAY_REGISTERS,
		check_absent_queue),
	HOSTILE("hostile-queue-addresses", "BASIC-IMP-010 BASIC-DEV-005",
		"Enables queues whose rings are not in memory, or misaligned.", WAY_REGISTERS,
		check_bad_queues),
	HOSTILE("hostile-queue-sizes", "BASIC-IMP-010 BASIC-DEV-005",
		"Enables queues of sizes that there are not.", WAY_REGISTERS, check_bad_sizes),
	HOSTILE("hostile-neighbour", "BASIC-IMP-007 BASIC-DEV-005",
		"Breaks the ring while another device works.", WAY_REGISTERS, check_neighbour),
};

const struct check_list checks_hostile = {checks, sizeof(checks) / sizeof(checks[0])};
