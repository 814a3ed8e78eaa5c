/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Virtio Over MMIO".
 */
#include "checks.h"
#include "checks_util.h"

#include <driver/bus_mmio.h>
#include <linux/virtio_config.h>

#define ISR_QUEUE  1u
#define ISR_CONFIG 2u

static uint32_t isr(struct run *r)
{
	return drv_mmio_get(r->bus, MMIO_INTERRUPT_STATUS);
}

static void ack(struct run *r, uint32_t bits)
{
	drv_mmio_set(r->bus, MMIO_INTERRUPT_ACK, bits);
}

/* One request, and its event. */
static void queue_event(struct run *r)
{
	io_roundtrip(r, "MMIO-DEV-003");
	for (unsigned ms = 0; ms < r->drv.patience_ms && !(isr(r) & ISR_QUEUE); ms++)
		run_pause(r);
}

static void expect_isr(struct run *r, const char *row, uint32_t bits, const char *when)
{
	uint32_t v = isr(r);

	expect(r, row, v == bits, "InterruptStatus as the events say", "%#x for %#x, %s", v, bits,
	       when);
	expect(r, "MMIO-IMP-009", r->bus->line == (v != 0),
	       "the interrupt line up exactly while InterruptStatus is not 0",
	       "line %d with %#x, %s", r->bus->line, v, when);
}

static void check_identity(struct run *r)
{
	uint32_t v = drv_mmio_get(r->bus, MMIO_MAGIC);

	expect(r, "MMIO-DEV-001", v == 0x74726976, "0x74726976 in MagicValue", "%#x", v);
	v = drv_mmio_get(r->bus, MMIO_VERSION);
	expect(r, "MMIO-DEV-002", v == 2, "2 in Version", "%u", v);
}

static void check_interrupt_status(struct run *r)
{
	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	expect_isr(r, "MMIO-DEV-004", 0, "before any event");
	queue_event(r);
	expect_isr(r, "MMIO-DEV-003", ISR_QUEUE, "after a used buffer");
	run_quiet(r);
	expect_isr(r, "MMIO-DEV-003", ISR_QUEUE, "when read again");
	ack(r, ISR_CONFIG);
	expect_isr(r, "MMIO-DEV-003", ISR_QUEUE, "after another bit was acknowledged");
	ack(r, ~(uint32_t)ISR_QUEUE);
	expect_isr(r, "MMIO-DEV-003", ISR_QUEUE, "after all other bits were acknowledged");
	ack(r, ISR_QUEUE);
	expect_isr(r, "MMIO-DEV-004", 0, "after it was acknowledged");
	queue_event(r);
	expect_isr(r, "MMIO-DEV-003", ISR_QUEUE, "after another used buffer");
	ack(r, 0xffffffff);
	expect_isr(r, "MMIO-DEV-004", 0, "after everything was acknowledged");
}

static void check_interrupt_both(struct run *r)
{
	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	queue_event(r);
	run_config_event(r);
	for (unsigned ms = 0; ms < r->drv.patience_ms && !(isr(r) & ISR_CONFIG); ms++)
		run_pause(r);
	expect_isr(r, "MMIO-DEV-003", ISR_QUEUE | ISR_CONFIG, "after both events");
	ack(r, ISR_QUEUE);
	expect_isr(r, "MMIO-DEV-003", ISR_CONFIG, "after the queue's was acknowledged");
	ack(r, ISR_CONFIG);
	expect_isr(r, "MMIO-DEV-004", 0, "after both were acknowledged");
}

static void check_reset_clears(struct run *r)
{
	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	queue_event(r);
	need(r, "MMIO-DEV-003", isr(r) == ISR_QUEUE, "an event", "%#x", isr(r));
	drv_reset(r->bus);
	expect_isr(r, "MMIO-DEV-005", 0, "after a reset");
	for (uint16_t i = 0; i < r->drv.n_queues; i++)
		expect(r, "MMIO-DEV-005", drv_get(r->bus, DRV_QUEUE_ENABLE, i) == 0,
		       "QueueReady 0 after a reset", "not of queue %u", i);
}

/* ---- queues ------------------------------------------------------------------------------------
 */

static void expect_untouched(struct run *r, const char *when)
{
	uint64_t sum = run_memory_sum(r);

	drv_kick(r->bus, io_queue_index(r));
	run_quiet(r);
	expect(r, "MMIO-DEV-007", run_memory_sum(r) == sum,
	       "nothing of a queue to be touched while QueueReady is 0", "memory changed, %s",
	       when);
}

/* Everything about the queue but QueueReady. */
static void describe_queue(struct run *r)
{
	const struct drv_queue *q = io_queue(r);
	uint16_t index = io_queue_index(r);

	drv_set(r->bus, DRV_QUEUE_SIZE, index, q->size);
	drv_set(r->bus, DRV_QUEUE_DESC, index, q->desc_gpa);
	drv_set(r->bus, DRV_QUEUE_DRIVER, index, q->driver_gpa);
	drv_set(r->bus, DRV_QUEUE_DEVICE, index, q->device_gpa);
}

static void check_not_ready(struct run *r)
{
	const struct drv_device_config cfg = {.features = FEATURES_FLAGS};
	struct io io;

	need(r, "BASIC-DEV-005", drv_device_negotiate(&r->drv, cfg.features) == 0,
	     "FEATURES_OK with what is offered", "status %#x", drv_status(r->bus));
	need(r, "BASIC-DEV-005", drv_device_make_queues(&r->drv, &cfg) == 0, "queues", "none");
	describe_queue(r);
	drv_device_go(&r->drv);
	io_make(r, &io, 0, 0);
	io_submit(r, &io);
	expect_untouched(r, "never enabled");
	drv_set(r->bus, DRV_QUEUE_ENABLE, io_queue_index(r), 1);
	drv_kick(r->bus, io_queue_index(r));
	need(r, "MMIO-DEV-007", io_wait(r, &io), "the queue to be served once it is ready",
	     "it is not");
	drv_set(r->bus, DRV_QUEUE_ENABLE, io_queue_index(r), 0);
	(void)drv_get(r->bus, DRV_QUEUE_ENABLE, io_queue_index(r));
	io_submit(r, &io);
	expect_untouched(r, "disabled");
}

static void check_ready_reads_back(struct run *r)
{
	uint16_t n;

	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	n = r->drv.n_queues;
	for (uint16_t i = 0; i < n; i++)
		expect(r, "MMIO-IMP-004", drv_get(r->bus, DRV_QUEUE_ENABLE, i) == 1,
		       "QueueReady to read 1 after 1 was written", "not of queue %u", i);
	for (uint16_t i = 0; i < n; i += 2)
		drv_set(r->bus, DRV_QUEUE_ENABLE, i, 0);
	for (uint16_t i = 0; i < n; i++)
		expect(r, "MMIO-IMP-004", drv_get(r->bus, DRV_QUEUE_ENABLE, i) == i % 2,
		       "QueueReady to read what was written for that queue", "not of queue %u", i);
}

static void check_absent_queues(struct run *r)
{
	static const uint32_t numbers[] = {256, 1024, 0x7fff, 0xffff, 0x10000, 0xffffffff};
	uint32_t n = 0;

	while (n < 256 && drv_get(r->bus, DRV_QUEUE_MAX, n))
		n++;
	expect(r, "MMIO-IMP-003", drv_get(r->bus, DRV_QUEUE_MAX, n) == 0,
	       "QueueSizeMax 0 for a queue that is not there", "not queue %u", n);
	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		expect(r, "MMIO-IMP-003", drv_get(r->bus, DRV_QUEUE_MAX, numbers[i]) == 0,
		       "QueueSizeMax 0 for a queue that is not there", "not queue %#x", numbers[i]);
	expect(r, "MMIO-IMP-003", drv_get(r->bus, DRV_QUEUE_MAX, 0) != 0,
	       "QueueSizeMax of queue 0 when it is selected again", "0");
}

/* ---- other registers ---------------------------------------------------------------------------
 */

static void check_feature_windows(struct run *r)
{
	static const uint32_t windows[] = {1, 0, 2, 1, 0xffffffff, 0, 4, 1};

	for (unsigned i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
		uint32_t w = windows[i];
		uint32_t want = w < 2 ? (uint32_t)(r->offered >> (32 * w)) : 0;
		uint32_t v;

		drv_mmio_set(r->bus, MMIO_DEVICE_FEATURES_SEL, w);
		v = drv_mmio_get(r->bus, MMIO_DEVICE_FEATURES);
		/* Features from 64 to 127 exist. */
		expect(r, "MMIO-IMP-002", v == want || w == 2 || w == 3,
		       "DeviceFeatures to show the selected window", "%#x in window %#x", v, w);
	}
}

static void check_status_bits(struct run *r)
{
	static const uint8_t steps[] = {VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER};
	uint32_t status = 0;

	for (unsigned i = 0; i < sizeof(steps); i++) {
		status |= steps[i];
		drv_mmio_set(r->bus, MMIO_STATUS, status);
		expect(r, "MMIO-IMP-005", drv_mmio_get(r->bus, MMIO_STATUS) == status,
		       "Status to show the driver's progress", "%#x after %#x",
		       drv_mmio_get(r->bus, MMIO_STATUS), status);
	}
	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	drv_mmio_set(r->bus, MMIO_STATUS, 0);
	expect(r, "MMIO-IMP-005", drv_mmio_get(r->bus, MMIO_STATUS) == 0,
	       "a write of 0 to Status to reset", "%#x", drv_mmio_get(r->bus, MMIO_STATUS));
	expect(r, "MMIO-IMP-005", drv_get(r->bus, DRV_QUEUE_ENABLE, 0) == 0,
	       "a write of 0 to Status to reset the queues", "queue 0 is still ready");
}

static void check_no_shm(struct run *r)
{
	for (unsigned i = 0; i < 2; i++) {
		drv_mmio_set(r->bus, MMIO_SHM_SEL, i ? 0xffffffff : 254);
		expect(r, "MMIO-IMP-006",
		       drv_mmio_get(r->bus, MMIO_SHM_LEN_LOW) == 0xffffffff &&
			       drv_mmio_get(r->bus, MMIO_SHM_LEN_HIGH) == 0xffffffff,
		       "a length of -1 of a shared memory region that is not there", "another");
		expect(r, "MMIO-IMP-006",
		       drv_mmio_get(r->bus, MMIO_SHM_BASE_LOW) == 0xffffffff &&
			       drv_mmio_get(r->bus, MMIO_SHM_BASE_HIGH) == 0xffffffff,
		       "all ones as the base of one that is not there", "another");
	}
}

static void check_config_widths(struct run *r)
{
	uint32_t whole, bytes = 0, halves = 0;

	if (r->device_id != 1 && r->device_id != 2)
		skip(r, "a device without a configuration space, or an unknown one");
	for (uint32_t off = 0; off < 8; off += 4) {
		uint8_t b[4], h[4], w[4];

		for (uint32_t i = 0; i < 4; i++)
			drv_config_read(r->bus, off + i, b + i, 1);
		drv_config_read(r->bus, off, h, 2);
		drv_config_read(r->bus, off + 2, h + 2, 2);
		drv_config_read(r->bus, off, w, 4);
		bytes = b[0] | b[1] << 8 | b[2] << 16 | (uint32_t)b[3] << 24;
		halves = h[0] | h[1] << 8 | h[2] << 16 | (uint32_t)h[3] << 24;
		whole = w[0] | w[1] << 8 | w[2] << 16 | (uint32_t)w[3] << 24;
		expect(r, "MMIO-IMP-007", bytes == whole && halves == whole,
		       "the same configuration in 1, 2 and 4 bytes at a time",
		       "%#x, %#x and %#x at %u", bytes, halves, whole, off);
	}
}

/* ---- a driver that does not know better --------------------------------------------------------
 */

static void check_odd_accesses(struct run *r)
{
	struct vio_mmio *m = drv_mmio_transport(r->bus);
	static const uint8_t zeros[8];
	uint8_t ones[8], b[8];

	for (unsigned i = 0; i < sizeof(ones); i++)
		ones[i] = 0xff;
	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	for (uint64_t off = 0; off < 0x100; off++) {
		for (size_t len = 1; len <= 8; len *= 2) {
			vio_mmio_read(m, off, b, len);
			/* Aligned words are registers, and those that are written act. */
			if (off % 4 == 0 && len == 4)
				continue;
			vio_mmio_write(m, off, ones, len);
			vio_mmio_write(m, off, zeros, len);
		}
	}
	run_note(r, "accessed 0 to 0x100 in all widths");
	expect(r, "MMIO-IMP-013",
	       drv_status(r->bus) & VIRTIO_CONFIG_S_DRIVER_OK &&
		       !(drv_status(r->bus) & VIRTIO_CONFIG_S_NEEDS_RESET),
	       "the device to go on", "status %#x", drv_status(r->bus));
	io_roundtrip(r, "MMIO-IMP-013");
}

static void check_undefined_registers(struct run *r)
{
	static const uint16_t undefined[] = {0x018, 0x01c, 0x028, 0x02c, 0x03c, 0x040, 0x048,
					     0x04c, 0x054, 0x05c, 0x068, 0x06c, 0x074, 0x07c,
					     0x088, 0x098, 0x0a8, 0x0c4, 0x0f0, 0x0f8};

	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	for (unsigned i = 0; i < sizeof(undefined) / sizeof(undefined[0]); i++) {
		drv_mmio_set(r->bus, undefined[i], 0xffffffff);
		(void)drv_mmio_get(r->bus, undefined[i]);
		drv_mmio_set(r->bus, undefined[i], 0);
	}
	io_roundtrip(r, "MMIO-IMP-013");
	expect(r, "MMIO-IMP-013", !(drv_status(r->bus) & VIRTIO_CONFIG_S_NEEDS_RESET),
	       "no error from registers that are not there", "status %#x", drv_status(r->bus));
}

static void check_read_only(struct run *r)
{
	static const uint16_t regs[] = {
		MMIO_MAGIC,	  MMIO_VERSION,		 MMIO_DEVICE_ID,
		MMIO_VENDOR_ID,	  MMIO_DEVICE_FEATURES,	 MMIO_QUEUE_SIZE_MAX,
		MMIO_SHM_LEN_LOW, MMIO_INTERRUPT_STATUS, MMIO_CONFIG_GENERATION};

	drv_mmio_set(r->bus, MMIO_QUEUE_SEL, 0);
	drv_mmio_set(r->bus, MMIO_DEVICE_FEATURES_SEL, 1);
	for (unsigned i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
		uint32_t before = drv_mmio_get(r->bus, regs[i]);

		drv_mmio_set(r->bus, regs[i], ~before);
		expect(r, "MMIO-IMP-014", drv_mmio_get(r->bus, regs[i]) == before,
		       "a read-only register to stay as it is", "%#x for %#x at %#x",
		       drv_mmio_get(r->bus, regs[i]), before, regs[i]);
	}
	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	io_roundtrip(r, "MMIO-IMP-014");
}

#define MMIO_CHECK(n, row, text, what, fn)                                                         \
	{                                                                                          \
		.name = n, .rows = row, .how = text, .kind = what, .ways = WAY_MMIO, .run = fn,    \
	}

static const struct check checks[] = {
	MMIO_CHECK("mmio-identity", "MMIO-DEV-001 MMIO-DEV-002", "Reads MagicValue and Version.",
		   CHECK_REQUIREMENT, check_identity),
	MMIO_CHECK("mmio-interrupt-status", "MMIO-DEV-003 MMIO-DEV-004 MMIO-IMP-009 BASIC-DEV-005",
		   "Follows InterruptStatus and the line through two events and their "
		   "acknowledgement, also of other bits.",
		   CHECK_REQUIREMENT, check_interrupt_status),
	MMIO_CHECK("mmio-interrupt-both", "MMIO-DEV-003 MMIO-DEV-004 MMIO-IMP-009 BASIC-DEV-005",
		   "A used buffer and a configuration change; each is acknowledged for itself.",
		   CHECK_REQUIREMENT, check_interrupt_both),
	MMIO_CHECK("mmio-reset-clears", "MMIO-DEV-005 MMIO-DEV-003 MMIO-IMP-009 BASIC-DEV-005",
		   "Resets with an event pending and queues ready.", CHECK_REQUIREMENT,
		   check_reset_clears),
	MMIO_CHECK("mmio-not-ready", "MMIO-DEV-007 BASIC-DEV-005",
		   "Kicks a queue that was never ready, and one that no longer is.",
		   CHECK_REQUIREMENT, check_not_ready),
	MMIO_CHECK("mmio-ready-reads-back", "MMIO-IMP-004 BASIC-DEV-005",
		   "Writes and reads QueueReady of every queue.", CHECK_REQUIREMENT,
		   check_ready_reads_back),
	MMIO_CHECK("mmio-absent-queues", "MMIO-IMP-003",
		   "Reads QueueSizeMax of queues that are not there.", CHECK_REQUIREMENT,
		   check_absent_queues),
	MMIO_CHECK("mmio-feature-windows", "MMIO-IMP-002",
		   "Selects windows of feature bits in any order.", CHECK_REQUIREMENT,
		   check_feature_windows),
	MMIO_CHECK("mmio-status", "MMIO-IMP-005 BASIC-DEV-005",
		   "Writes progress bits, then 0, and reads Status.", CHECK_REQUIREMENT,
		   check_status_bits),
	MMIO_CHECK("mmio-no-shm", "MMIO-IMP-006",
		   "Selects shared memory regions that are not there.", CHECK_REQUIREMENT,
		   check_no_shm),
	MMIO_CHECK("mmio-config-widths", "MMIO-IMP-007",
		   "Reads the configuration in 1, 2 and 4 bytes at a time.", CHECK_REQUIREMENT,
		   check_config_widths),
	MMIO_CHECK("mmio-odd-accesses", "MMIO-IMP-013 BASIC-DEV-005",
		   "Reads and writes all registers in 1, 2 and 8 bytes and between them, with the "
		   "device at work.",
		   CHECK_ROBUSTNESS, check_odd_accesses),
	MMIO_CHECK("mmio-undefined", "MMIO-IMP-013 BASIC-DEV-005",
		   "Reads and writes registers that are not defined.", CHECK_ROBUSTNESS,
		   check_undefined_registers),
	MMIO_CHECK("mmio-read-only", "MMIO-IMP-014 BASIC-DEV-005", "Writes read-only registers.",
		   CHECK_ROBUSTNESS, check_read_only),
};

const struct check_list checks_mmio = {checks, sizeof(checks) / sizeof(checks[0])};
