/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "ISR status capability", "MSI-X Vector Configuration", and notifications over PCI.
 */
#include "checks.h"
#include "checks_util.h"

#include <driver/bus_pci.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>

#define COMMON	  VIRTIO_PCI_CAP_COMMON_CFG
#define NO_VECTOR 0xffffu

#define ISR_QUEUE  1u
#define ISR_CONFIG 2u

static uint32_t isr(struct run *r)
{
	return drv_pci_get(r->bus, VIRTIO_PCI_CAP_ISR_CFG, 0, 1);
}

static bool status_bit(struct run *r)
{
	return drv_pci_config_get(r->bus, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT;
}

static void start(struct run *r)
{
	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
}

/* ---- the pin -----------------------------------------------------------------------------------
 */

/* Waits for the line without touching the ISR. */
static bool await_line(struct run *r)
{
	for (unsigned ms = 0; ms < r->drv.patience_ms && !r->bus->line; ms++)
		run_pause(r);
	return r->bus->line;
}

static void expect_quiet_line(struct run *r, const char *when)
{
	uint32_t again = isr(r);

	expect(r, "PCI-DEV-051", again == 0, "the ISR to be 0 when it was read", "%#x, %s", again,
	       when);
	expect(r, "PCI-DEV-051", !r->bus->line, "the line to go down when the ISR is read",
	       "it is up, %s", when);
	expect(r, "PCI-DEV-050", !status_bit(r), "Interrupt Status 0 while the ISR is", "1, %s",
	       when);
}

static void check_pin_queue(struct run *r)
{
	start(r);
	expect_quiet_line(r, "before any event");
	for (unsigned i = 0; i < 3; i++) {
		uint32_t bits;

		io_roundtrip(r, "PCI-DEV-049");
		need(r, "PCI-DEV-049", await_line(r), "an interrupt", "none");
		expect(r, "PCI-DEV-050", status_bit(r), "Interrupt Status 1 while the ISR is not 0",
		       "0");
		bits = isr(r);
		expect(r, "PCI-DEV-049", bits == ISR_QUEUE, "the queue's bit in the ISR", "%#x",
		       bits);
		expect_quiet_line(r, "after a used buffer");
	}
}

static void check_pin_config(struct run *r)
{
	uint32_t bits;

	start(r);
	run_config_event(r);
	need(r, "PCI-DEV-048", await_line(r), "an interrupt", "none");
	expect(r, "PCI-DEV-050", status_bit(r), "Interrupt Status 1 while the ISR is not 0", "0");
	bits = isr(r);
	expect(r, "PCI-DEV-048", bits == ISR_CONFIG, "the configuration's bit in the ISR", "%#x",
	       bits);
	expect_quiet_line(r, "after a configuration change");
}

static void check_pin_both(struct run *r)
{
	uint32_t bits;

	start(r);
	io_roundtrip(r, "PCI-DEV-049");
	await_line(r);
	run_config_event(r);
	run_quiet(r);
	bits = isr(r);
	expect(r, "PCI-DEV-051", bits == (ISR_QUEUE | ISR_CONFIG),
	       "both bits in the ISR after both events", "%#x", bits);
	expect_quiet_line(r, "after both events");
}

/* The window into the BARs reads for real: the ISR is cleared by it. */
static void check_pin_window(struct run *r)
{
	const struct drv_pci_cap *c = drv_pci_cap(r->bus, VIRTIO_PCI_CAP_ISR_CFG);
	uint32_t at = drv_pci_cap(r->bus, VIRTIO_PCI_CAP_PCI_CFG)->config_off, bits;

	need(r, "PCI-DEV-064", at != 0, "a configuration access capability", "none");
	start(r);
	io_roundtrip(r, "PCI-DEV-049");
	need(r, "PCI-DEV-049", await_line(r), "an interrupt", "none");
	drv_pci_config_set(r->bus, at + 4, 1, c->bar);
	drv_pci_config_set(r->bus, at + 8, 4, (uint32_t)c->offset);
	drv_pci_config_set(r->bus, at + 12, 4, 1);
	bits = drv_pci_config_get(r->bus, at + 16, 1);
	expect(r, "PCI-DEV-064", bits == ISR_QUEUE, "the ISR through the window", "%#x", bits);
	expect(r, "PCI-DEV-064", isr(r) == 0 && !r->bus->line,
	       "reading it through the window to clear it", "it does not");
}

/* ---- vectors -----------------------------------------------------------------------------------
 */

static uint16_t n_vectors(struct run *r)
{
	return drv_pci_n_vectors(r->bus);
}

static void set_config_vector(struct run *r, uint32_t v)
{
	drv_pci_set(r->bus, COMMON, VIRTIO_PCI_COMMON_MSIX, 2, v);
}

static uint32_t config_vector(struct run *r)
{
	return drv_pci_get(r->bus, COMMON, VIRTIO_PCI_COMMON_MSIX, 2);
}

static void set_queue_vector(struct run *r, uint32_t queue, uint32_t v)
{
	drv_pci_set(r->bus, COMMON, VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
	drv_pci_set(r->bus, COMMON, VIRTIO_PCI_COMMON_Q_MSIX, 2, v);
}

static uint32_t queue_vector(struct run *r, uint32_t queue)
{
	drv_pci_set(r->bus, COMMON, VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
	return drv_pci_get(r->bus, COMMON, VIRTIO_PCI_COMMON_Q_MSIX, 2);
}

static uint32_t all_messages(struct run *r)
{
	uint32_t n = drv_pci_stray_messages(r->bus);

	for (uint16_t v = 0; v < n_vectors(r); v++)
		n += drv_pci_messages(r->bus, v);
	return n;
}

/* Waits until vector `v` has sent more than `before` messages. */
static bool await_message(struct run *r, uint16_t v, uint32_t before)
{
	for (unsigned ms = 0; ms < r->drv.patience_ms && drv_pci_messages(r->bus, v) == before;
	     ms++)
		run_pause(r);
	return drv_pci_messages(r->bus, v) != before;
}

static void check_table_size(struct run *r)
{
	uint32_t n = n_vectors(r), queues = drv_pci_get(r->bus, COMMON, VIRTIO_PCI_COMMON_NUMQ, 2);

	expect(r, "PCI-DEV-072", n >= 2 && n <= 0x800, "2 to 2048 vectors", "%u", n);
	expect(r, "PCI-DEV-074", n <= queues + 1, "no more vectors than events", "%u for %u queues",
	       n, queues);
	/* Vector n-1 exists and vector n does not: the field holds their number minus one. */
	start(r);
	set_config_vector(r, n - 1);
	expect(r, "PCI-DEV-073", config_vector(r) == n - 1, "as many vectors as Table Size says",
	       "%#x for vector %u", config_vector(r), n - 1);
	set_config_vector(r, n);
	expect(r, "PCI-DEV-073", config_vector(r) == NO_VECTOR,
	       "no more vectors than Table Size says", "%#x for vector %u", config_vector(r), n);
}

static void check_map_any(struct run *r)
{
	start(r);
	for (uint32_t v = 0; v < n_vectors(r); v++) {
		set_config_vector(r, v);
		expect(r, "PCI-DEV-077", config_vector(r) == v,
		       "the configuration's vector to read back", "%#x for %u", config_vector(r),
		       v);
		for (uint16_t q = 0; q < r->drv.n_queues; q++) {
			set_queue_vector(r, q, v);
			expect(r, "PCI-DEV-079", queue_vector(r, q) == v,
			       "any queue to be mapped to any vector", "%#x for %u of queue %u",
			       queue_vector(r, q), v, q);
		}
		for (uint16_t q = 0; q < r->drv.n_queues; q++)
			expect(r, "PCI-DEV-077", queue_vector(r, q) == v,
			       "every queue's vector to read back", "%#x for %u of queue %u",
			       queue_vector(r, q), v, q);
	}
}

static void check_unmap(struct run *r)
{
	start(r);
	set_config_vector(r, NO_VECTOR);
	expect(r, "PCI-DEV-076", config_vector(r) == NO_VECTOR,
	       "NO_VECTOR when the configuration was unmapped", "%#x", config_vector(r));
	for (uint16_t q = 0; q < r->drv.n_queues; q++) {
		set_queue_vector(r, q, NO_VECTOR);
		expect(r, "PCI-DEV-076", queue_vector(r, q) == NO_VECTOR,
		       "NO_VECTOR when a queue was unmapped", "%#x of queue %u", queue_vector(r, q),
		       q);
	}
}

static void check_unmapped_by_reset(struct run *r)
{
	start(r);
	drv_reset(r->bus);
	expect(r, "PCI-DEV-078", config_vector(r) == NO_VECTOR,
	       "the configuration to be unmapped after a reset", "%#x", config_vector(r));
	for (uint16_t q = 0; q < r->drv.n_queues; q++)
		expect(r, "PCI-DEV-078", queue_vector(r, q) == NO_VECTOR,
		       "every queue to be unmapped after a reset", "%#x of queue %u",
		       queue_vector(r, q), q);
}

static void check_refused(struct run *r)
{
	uint32_t n = n_vectors(r), bad[] = {n, n + 1, 0x7ff, 0x800, 0x7fff, 0x8000, 0xfffe};

	start(r);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (bad[i] < n)
			continue;
		set_config_vector(r, 0);
		set_config_vector(r, bad[i]);
		expect(r, "PCI-DEV-080", config_vector(r) == NO_VECTOR,
		       "NO_VECTOR for a vector that is not there", "%#x for %#x", config_vector(r),
		       bad[i]);
		set_queue_vector(r, 0, 0);
		set_queue_vector(r, 0, bad[i]);
		expect(r, "PCI-DEV-080", queue_vector(r, 0) == NO_VECTOR,
		       "NO_VECTOR for a queue and a vector that is not there", "%#x for %#x",
		       queue_vector(r, 0), bad[i]);
	}
	set_queue_vector(r, NO_VECTOR, 0);
	expect(r, "PCI-DEV-080", queue_vector(r, NO_VECTOR) == NO_VECTOR,
	       "NO_VECTOR for a queue that is not there", "%#x", queue_vector(r, NO_VECTOR));
}

static void check_delivery(struct run *r)
{
	start(r);
	for (uint16_t v = 0; v < n_vectors(r); v++) {
		uint32_t before = drv_pci_messages(r->bus, v), all = all_messages(r);

		set_queue_vector(r, io_queue_index(r), v);
		io_roundtrip(r, "PCI-DEV-075");
		expect(r, "PCI-DEV-075", await_message(r, v, before),
		       "a message by the vector that the queue is mapped to", "none by %u", v);
		run_quiet(r);
		expect(r, "PCI-DEV-075",
		       all_messages(r) - all == drv_pci_messages(r->bus, v) - before,
		       "no message by other vectors", "%u by all", all_messages(r) - all);
	}
	expect(r, "PCI-DEV-075", drv_pci_stray_messages(r->bus) == 0, "messages as the table says",
	       "%u others", drv_pci_stray_messages(r->bus));
}

static void check_delivery_config(struct run *r)
{
	uint16_t v = (uint16_t)(n_vectors(r) - 1);
	uint32_t before;

	start(r);
	set_config_vector(r, v);
	set_queue_vector(r, io_queue_index(r), v);
	before = drv_pci_messages(r->bus, v);
	io_roundtrip(r, "PCI-DEV-075");
	expect(r, "PCI-DEV-075", await_message(r, v, before),
	       "a message of the queue by the vector it shares", "none");
	before = drv_pci_messages(r->bus, v);
	run_config_event(r);
	expect(r, "PCI-DEV-075", await_message(r, v, before),
	       "a message of the configuration by the vector it shares", "none");
}

static void check_no_vector_queue(struct run *r)
{
	uint32_t before;

	start(r);
	set_queue_vector(r, io_queue_index(r), NO_VECTOR);
	before = all_messages(r);
	io_many(r, "PCI-DEV-081", 5);
	run_quiet(r);
	expect(r, "PCI-DEV-081", all_messages(r) == before,
	       "no interrupt of a queue without a vector", "%u", all_messages(r) - before);
	expect(r, "PCI-DEV-081", !r->bus->line, "no interrupt by the pin instead", "one");
	set_queue_vector(r, io_queue_index(r), 0);
	before = drv_pci_messages(r->bus, 0);
	io_roundtrip(r, "PCI-DEV-081");
	expect(r, "PCI-DEV-075", await_message(r, 0, before),
	       "interrupts when the queue is mapped again", "none");
}

static void check_no_vector_config(struct run *r)
{
	uint32_t before;

	start(r);
	set_config_vector(r, NO_VECTOR);
	before = all_messages(r);
	run_config_event(r);
	run_quiet(r);
	expect(r, "PCI-DEV-083", all_messages(r) == before,
	       "no configuration interrupt without a vector", "%u", all_messages(r) - before);
	expect(r, "PCI-DEV-083", !r->bus->line, "no interrupt by the pin instead", "one");
}

static void check_isr_with_msix(struct run *r)
{
	uint32_t bits;

	start(r);
	(void)isr(r);
	io_many(r, "PCI-IMP-007", 3);
	run_await_irq(r, io_queue_index(r));
	bits = isr(r);
	expect(r, "PCI-IMP-007", !(bits & ISR_QUEUE), "the ISR without the queue's bit", "%#x",
	       bits);
	expect(r, "PCI-IMP-007", !r->bus->line, "the line to stay down with MSI-X", "it is up");
	run_config_event(r);
	run_await_irq(r, DRV_IRQ_CONFIG);
	bits = isr(r);
	expect(r, "PCI-DEV-048", bits & ISR_CONFIG,
	       "the configuration's bit in the ISR, with MSI-X too", "%#x", bits);
}

/* ---- masking -----------------------------------------------------------------------------------
 */

static void expect_pending(struct run *r, uint16_t v, uint32_t before, const char *how)
{
	run_quiet(r);
	expect(r, "PCI-IMP-012", drv_pci_messages(r->bus, v) == before,
	       "no message of a masked vector", "%u, masked %s",
	       drv_pci_messages(r->bus, v) - before, how);
	for (unsigned ms = 0; ms < r->drv.patience_ms && !drv_pci_pending(r->bus, v); ms++)
		run_pause(r);
	expect(r, "PCI-IMP-012", drv_pci_pending(r->bus, v), "a pending bit", "none, masked %s",
	       how);
}

static void expect_sent(struct run *r, uint16_t v, uint32_t before, const char *how)
{
	expect(r, "PCI-IMP-012", await_message(r, v, before), "a message when it is unmasked",
	       "none, was masked %s", how);
	run_quiet(r);
	expect(r, "PCI-IMP-012", drv_pci_messages(r->bus, v) == before + 1, "one message",
	       "%u, was masked %s", drv_pci_messages(r->bus, v) - before, how);
	expect(r, "PCI-IMP-012", !drv_pci_pending(r->bus, v), "no pending bit any more",
	       "one, was masked %s", how);
}

static void check_mask_vector(struct run *r)
{
	uint16_t v = (uint16_t)(n_vectors(r) - 1);

	start(r);
	set_queue_vector(r, io_queue_index(r), v);
	for (unsigned i = 0; i < 3; i++) {
		uint32_t before = drv_pci_messages(r->bus, v);

		drv_pci_mask(r->bus, v, true);
		io_many(r, "PCI-IMP-012", 3);
		expect_pending(r, v, before, "by its entry");
		drv_pci_mask(r->bus, v, false);
		expect_sent(r, v, before, "by its entry");
	}
}

static void check_mask_function(struct run *r)
{
	uint32_t off = drv_pci_find_cap(r->bus, PCI_CAP_ID_MSIX) + PCI_MSIX_FLAGS, before;
	uint16_t v = (uint16_t)(n_vectors(r) - 1);

	start(r);
	set_queue_vector(r, io_queue_index(r), v);
	before = drv_pci_messages(r->bus, v);
	drv_pci_config_set(r->bus, off, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	io_many(r, "PCI-IMP-012", 3);
	expect_pending(r, v, before, "with all others");
	drv_pci_config_set(r->bus, off, 2, PCI_MSIX_FLAGS_ENABLE);
	expect_sent(r, v, before, "with all others");
}

/* What was pending goes with a reset. */
static void check_mask_reset(struct run *r)
{
	uint16_t v = (uint16_t)(n_vectors(r) - 1);
	uint32_t before;

	start(r);
	set_queue_vector(r, io_queue_index(r), v);
	before = drv_pci_messages(r->bus, v);
	drv_pci_mask(r->bus, v, true);
	io_many(r, "PCI-IMP-012", 1);
	expect_pending(r, v, before, "by its entry");
	drv_reset(r->bus);
	drv_pci_mask(r->bus, v, false);
	run_quiet(r);
	expect(r, "BASIC-DEV-012", drv_pci_messages(r->bus, v) == before,
	       "no notification after a reset", "a pending one");
}

#define PIN_CHECK(n, row, text, fn)                                                                \
	{                                                                                          \
		.name = n, .rows = row, .how = text, .kind = CHECK_REQUIREMENT,                    \
		.ways = WAY_PCI_INTX, .run = fn,                                                   \
	}
#define MSIX_CHECK(n, row, text, fn)                                                               \
	{                                                                                          \
		.name = n, .rows = row, .how = text, .kind = CHECK_REQUIREMENT,                    \
		.ways = WAY_PCI_MSIX, .run = fn,                                                   \
	}

static const struct check checks[] = {
	PIN_CHECK("pci-pin-queue", "PCI-DEV-049 PCI-DEV-050 PCI-DEV-051 BASIC-DEV-005",
		  "Follows ISR, line and Interrupt Status through used buffers.", check_pin_queue),
	PIN_CHECK("pci-pin-config", "PCI-DEV-048 PCI-DEV-050 PCI-DEV-051 BASIC-DEV-005",
		  "Follows them through a configuration change.", check_pin_config),
	PIN_CHECK("pci-pin-both", "PCI-DEV-051 PCI-DEV-050 PCI-DEV-049 BASIC-DEV-005",
		  "A used buffer and a configuration change; one read takes both.", check_pin_both),
	PIN_CHECK("pci-pin-window", "PCI-DEV-064 PCI-DEV-049 BASIC-DEV-005",
		  "Reads the ISR through the configuration space.", check_pin_window),
	MSIX_CHECK("pci-msix-size", "PCI-DEV-072 PCI-DEV-073 PCI-DEV-074 BASIC-DEV-005",
		   "Reads Table Size, and maps its last vector and the one behind it.",
		   check_table_size),
	MSIX_CHECK("pci-msix-map", "PCI-DEV-077 PCI-DEV-079 BASIC-DEV-005",
		   "Maps every event to every vector.", check_map_any),
	MSIX_CHECK("pci-msix-unmap", "PCI-DEV-076 BASIC-DEV-005", "Unmaps every event.",
		   check_unmap),
	MSIX_CHECK("pci-msix-reset", "PCI-DEV-078 BASIC-DEV-005",
		   "Reads the vectors of all events after a reset.", check_unmapped_by_reset),
	MSIX_CHECK("pci-msix-refused", "PCI-DEV-080 BASIC-DEV-005",
		   "Maps events to vectors that are not there.", check_refused),
	MSIX_CHECK("pci-msix-delivery", "PCI-DEV-075 BASIC-DEV-005",
		   "Maps the queue to every vector; that one sends, no other.", check_delivery),
	MSIX_CHECK("pci-msix-shared", "PCI-DEV-075 BASIC-DEV-005",
		   "Queue and configuration share a vector.", check_delivery_config),
	MSIX_CHECK("pci-msix-no-vector", "PCI-DEV-081 PCI-DEV-075 BASIC-DEV-005",
		   "A queue without a vector works without interrupts.", check_no_vector_queue),
	MSIX_CHECK("pci-msix-no-vector-config", "PCI-DEV-083 BASIC-DEV-005",
		   "A configuration change without a vector.", check_no_vector_config),
	MSIX_CHECK("pci-msix-isr", "PCI-IMP-007 PCI-DEV-048 BASIC-DEV-005",
		   "Reads the ISR after interrupts by MSI-X.", check_isr_with_msix),
	MSIX_CHECK("pci-msix-mask", "PCI-IMP-012 BASIC-DEV-005",
		   "Masks a vector, works, unmasks it.", check_mask_vector),
	MSIX_CHECK("pci-msix-mask-all", "PCI-IMP-012 BASIC-DEV-005",
		   "Masks the function, works, unmasks it.", check_mask_function),
	MSIX_CHECK("pci-msix-mask-reset", "BASIC-DEV-012 PCI-IMP-012 BASIC-DEV-005",
		   "Resets with a message pending.", check_mask_reset),
};

const struct check_list checks_pci_irq = {checks, sizeof(checks) / sizeof(checks[0])};
