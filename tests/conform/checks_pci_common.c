/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Common configuration structure layout", and how queues are kicked.
 */
#include "checks.h"
#include "checks_util.h"

#include <driver/bus_pci.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

#define COMMON VIRTIO_PCI_CAP_COMMON_CFG

static uint32_t get(struct run *r, uint32_t off, uint32_t len)
{
	return drv_pci_get(r->bus, COMMON, off, len);
}

static void set(struct run *r, uint32_t off, uint32_t len, uint32_t value)
{
	drv_pci_set(r->bus, COMMON, off, len, value);
}

static void select_queue(struct run *r, uint32_t index)
{
	set(r, VIRTIO_PCI_COMMON_Q_SELECT, 2, index);
}

static uint32_t num_queues(struct run *r)
{
	return get(r, VIRTIO_PCI_COMMON_NUMQ, 2);
}

static void negotiate(struct run *r)
{
	need(r, "BASIC-DEV-005", drv_device_negotiate(&r->drv, FEATURES_FLAGS) == 0,
	     "FEATURES_OK with what is offered", "status %#x", drv_status(r->bus));
}

/* ---- features ----------------------------------------------------------------------------------
 */

static void check_feature_windows(struct run *r)
{
	static const uint32_t windows[] = {1, 0, 1, 4, 31, 0x7fffffff, 0xffffffff, 0, 1};

	for (unsigned i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
		uint32_t w = windows[i], v;
		uint32_t want = w < 2 ? (uint32_t)(r->offered >> (32 * w)) : 0;

		set(r, VIRTIO_PCI_COMMON_DFSELECT, 4, w);
		v = get(r, VIRTIO_PCI_COMMON_DF, 4);
		expect(r, "PCI-DEV-021", v == want, "device_feature to show the selected window",
		       "%#x in window %#x", v, w);
	}
}

static void check_driver_feature(struct run *r)
{
	uint64_t sets[] = {r->offered, 0, DRV_FEATURE(VIRTIO_F_VERSION_1),
			   r->offered & UINT64_C(0x5555555555555555),
			   r->offered & UINT64_C(0xaaaaaaaaaaaaaaaa)};

	drv_add_status(r->bus, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	drv_add_status(r->bus, VIRTIO_CONFIG_S_DRIVER);
	for (unsigned i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		uint64_t got;

		drv_accept(r->bus, sets[i]);
		got = drv_get(r->bus, DRV_ACCEPTED, 0) | drv_get(r->bus, DRV_ACCEPTED, 1) << 32;
		expect(r, "PCI-DEV-022", got == sets[i],
		       "driver_feature to show what was written, in each window", "%#llx for %#llx",
		       (unsigned long long)got, (unsigned long long)sets[i]);
	}
}

/* ---- status and reset --------------------------------------------------------------------------
 */

static void check_reset(struct run *r)
{
	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	for (uint32_t i = 0; i < num_queues(r); i++)
		expect(r, "PCI-DEV-026", drv_get(r->bus, DRV_QUEUE_ENABLE, i) == 1,
		       "queue_enable 1 of queues that are enabled", "not of queue %u", i);
	set(r, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	for (unsigned ms = 0; ms < r->drv.patience_ms && get(r, VIRTIO_PCI_COMMON_STATUS, 1) != 0;
	     ms++)
		run_pause(r);
	expect(r, "PCI-DEV-025", get(r, VIRTIO_PCI_COMMON_STATUS, 1) == 0,
	       "device_status 0 when 0 was written", "%#x", get(r, VIRTIO_PCI_COMMON_STATUS, 1));
	for (uint32_t i = 0; i < num_queues(r); i++)
		expect(r, "PCI-DEV-026", drv_get(r->bus, DRV_QUEUE_ENABLE, i) == 0,
		       "queue_enable 0 after a reset", "not of queue %u", i);
	run_start(r, "PCI-DEV-025", FEATURES_FLAGS);
	io_roundtrip(r, "PCI-DEV-025");
}

/* ---- queues ------------------------------------------------------------------------------------
 */

static void check_absent_queues(struct run *r)
{
	uint32_t n = num_queues(r), numbers[] = {n, n + 1, 0x7fff, 0xfffe, 0xffff};

	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (numbers[i] < n)
			continue;
		select_queue(r, numbers[i]);
		expect(r, "PCI-DEV-032", get(r, VIRTIO_PCI_COMMON_Q_SIZE, 2) == 0,
		       "queue_size 0 of a queue that is not there", "%u of queue %u",
		       get(r, VIRTIO_PCI_COMMON_Q_SIZE, 2), numbers[i]);
	}
	select_queue(r, 0);
	expect(r, "PCI-DEV-032", get(r, VIRTIO_PCI_COMMON_Q_SIZE, 2) != 0,
	       "queue_size of queue 0 when it is selected again", "0");
}

static void check_sizes(struct run *r)
{
	uint32_t there = 0;

	for (uint32_t i = 0; i < num_queues(r); i++) {
		uint32_t size;

		select_queue(r, i);
		size = get(r, VIRTIO_PCI_COMMON_Q_SIZE, 2);
		there += size != 0;
		expect(r, "PCI-DEV-033", (size & (size - 1)) == 0,
		       "a queue_size of 0 or a power of two", "%u of queue %u", size, i);
	}
	expect(r, "PCI-IMP-001", there > 0 && there <= num_queues(r),
	       "num_queues to count the queues there are", "%u of %u", there, num_queues(r));
}

static void check_size_resets(struct run *r)
{
	uint32_t index = io_queue_index(r), max, less;

	negotiate(r);
	select_queue(r, index);
	max = get(r, VIRTIO_PCI_COMMON_Q_SIZE, 2);
	less = max > 1 ? max / 2 : 1;
	set(r, VIRTIO_PCI_COMMON_Q_SIZE, 2, less);
	expect(r, "PCI-IMP-002", get(r, VIRTIO_PCI_COMMON_Q_SIZE, 2) == less,
	       "a smaller queue_size to read back", "%u for %u",
	       get(r, VIRTIO_PCI_COMMON_Q_SIZE, 2), less);
	drv_reset(r->bus);
	select_queue(r, index);
	expect(r, "PCI-IMP-002", get(r, VIRTIO_PCI_COMMON_Q_SIZE, 2) == max,
	       "the maximum in queue_size after a reset", "%u for %u",
	       get(r, VIRTIO_PCI_COMMON_Q_SIZE, 2), max);
}

static void check_halves(struct run *r)
{
	static const uint8_t low[] = {VIRTIO_PCI_COMMON_Q_DESCLO, VIRTIO_PCI_COMMON_Q_AVAILLO,
				      VIRTIO_PCI_COMMON_Q_USEDLO};

	negotiate(r);
	select_queue(r, 0);
	for (unsigned i = 0; i < sizeof(low); i++) {
		set(r, low[i] + 4u, 4, 0x01020304);
		set(r, low[i], 4, 0xa0b0c0d0);
		expect(r, "PCI-DEV-012",
		       get(r, low[i], 4) == 0xa0b0c0d0 && get(r, low[i] + 4u, 4) == 0x01020304,
		       "both halves to be there, high written first", "%#x %#x",
		       get(r, low[i] + 4u, 4), get(r, low[i], 4));
		set(r, low[i], 4, 0x10);
		expect(r, "PCI-DEV-012", get(r, low[i] + 4u, 4) == 0x01020304,
		       "the high half to stay when the low one is written", "%#x",
		       get(r, low[i] + 4u, 4));
		set(r, low[i] + 4u, 4, 0);
		expect(r, "PCI-DEV-012", get(r, low[i], 4) == 0x10,
		       "the low half to stay when the high one is written", "%#x",
		       get(r, low[i], 4));
	}
}

static void check_selection(struct run *r)
{
	uint32_t n = num_queues(r);

	if (n < 2)
		skip(r, "the device has one queue");
	negotiate(r);
	for (uint32_t i = 0; i < n; i++) {
		select_queue(r, i);
		set(r, VIRTIO_PCI_COMMON_Q_SIZE, 2, 1u << (2 + i % 3));
		set(r, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x10000 * (i + 1));
	}
	for (uint32_t i = n; i-- > 0;) {
		select_queue(r, i);
		expect(r, "PCI-IMP-003",
		       get(r, VIRTIO_PCI_COMMON_Q_SIZE, 2) == 1u << (2 + i % 3) &&
			       get(r, VIRTIO_PCI_COMMON_Q_DESCLO, 4) == 0x10000 * (i + 1),
		       "every queue to have fields of its own", "size %u, descriptors %#x of %u",
		       get(r, VIRTIO_PCI_COMMON_Q_SIZE, 2), get(r, VIRTIO_PCI_COMMON_Q_DESCLO, 4),
		       i);
	}
}

static void check_selectors(struct run *r)
{
	static const uint32_t windows[] = {1, 0, 31, 0xffffffff};

	for (unsigned i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
		uint32_t device = windows[i], driver = ~windows[i], queue = i % num_queues(r);

		set(r, VIRTIO_PCI_COMMON_DFSELECT, 4, device);
		set(r, VIRTIO_PCI_COMMON_GFSELECT, 4, driver);
		select_queue(r, queue);
		expect(r, "PCI-IMP-014",
		       get(r, VIRTIO_PCI_COMMON_DFSELECT, 4) == device &&
			       get(r, VIRTIO_PCI_COMMON_GFSELECT, 4) == driver,
		       "feature selectors to read back", "%#x and %#x for %#x and %#x",
		       get(r, VIRTIO_PCI_COMMON_DFSELECT, 4), get(r, VIRTIO_PCI_COMMON_GFSELECT, 4),
		       device, driver);
		expect(r, "PCI-IMP-014", get(r, VIRTIO_PCI_COMMON_Q_SELECT, 2) == queue,
		       "queue_select to read back", "%u for %u",
		       get(r, VIRTIO_PCI_COMMON_Q_SELECT, 2), queue);
	}
}

/* ---- a driver that does not know better --------------------------------------------------------
 */

static void check_read_only(struct run *r)
{
	static const uint8_t fields[][2] = {{VIRTIO_PCI_COMMON_DF, 4},
					    {VIRTIO_PCI_COMMON_NUMQ, 2},
					    {VIRTIO_PCI_COMMON_CFGGENERATION, 1},
					    {VIRTIO_PCI_COMMON_Q_NOFF, 2}};

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
			uint32_t off = fields[i][0], len = fields[i][1];
			uint32_t before = get(r, off, len);

			set(r, off, len, ~before);
			expect(r, "PCI-IMP-004", get(r, off, len) == before,
			       "a read-only field to stay", "%#x for %#x at %u", get(r, off, len),
			       before, off);
		}
		run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	}
	io_roundtrip(r, "PCI-IMP-004");
}

/* Other widths than the field's, across fields, behind the structure; writes of what is there. */
static void check_odd_accesses(struct run *r)
{
	const struct drv_pci_cap *c = drv_pci_cap(r->bus, COMMON);
	struct vio_pci *pci = drv_pci_transport(r->bus);
	uint8_t b[16];

	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	for (uint64_t off = 0; off < 128; off++) {
		for (size_t len = 1; len <= 8; len++) {
			vio_pci_bar_read(pci, c->bar, c->offset + off, b, len);
			if (off % 2 == 1 || len == 3 || len > 4)
				vio_pci_bar_write(pci, c->bar, c->offset + off, b, len);
		}
	}
	expect(r, "PCI-IMP-011",
	       (drv_status(r->bus) & (VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET)) ==
		       VIRTIO_CONFIG_S_DRIVER_OK,
	       "the device to go on", "status %#x", drv_status(r->bus));
	io_roundtrip(r, "PCI-IMP-011");
}

/* ---- kicks -------------------------------------------------------------------------------------
 */

static void check_kick_address(struct run *r)
{
	uint32_t index = io_queue_index(r), off;

	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	for (unsigned i = 0; i < 8; i++) {
		struct io io;

		io_make(r, &io, 0, 0);
		/* All queues of a disk take the same requests. */
		if (r->device_id == VIRTIO_ID_BLOCK)
			index = io.queue = (uint16_t)(i % r->drv.n_queues);
		io_add(r, &io);
		drv_queue_publish(&r->drv.queue[index]);
		select_queue(r, index);
		off = get(r, VIRTIO_PCI_COMMON_Q_NOFF, 2) * drv_pci_notify_multiplier(r->bus);
		drv_pci_set(r->bus, VIRTIO_PCI_CAP_NOTIFY_CFG, off, 2, index);
		expect(r, "PCI-IMP-005", io_wait(r, &io),
		       "a kick at queue_notify_off times the multiplier to be one",
		       "the request does not come back");
	}
	/* Every other queue's address can be written, too. */
	for (uint32_t i = 0; i < num_queues(r); i++)
		drv_kick(r->bus, (uint16_t)i);
	run_quiet(r);
	expect(r, "PCI-IMP-005", !(drv_status(r->bus) & VIRTIO_CONFIG_S_NEEDS_RESET),
	       "kicks of all queues to do no harm", "status %#x", drv_status(r->bus));
}

#define PCI_CHECK(n, row, text, what, fn)                                                          \
	{                                                                                          \
		.name = n, .rows = row, .how = text, .kind = what, .ways = WAY_PCI, .run = fn,     \
	}

static const struct check checks[] = {
	PCI_CHECK("pci-device-feature", "PCI-DEV-021",
		  "Selects windows of device_feature in any order.", CHECK_REQUIREMENT,
		  check_feature_windows),
	PCI_CHECK("pci-driver-feature", "PCI-DEV-022", "Writes driver_feature and reads it back.",
		  CHECK_REQUIREMENT, check_driver_feature),
	PCI_CHECK("pci-reset", "PCI-DEV-025 PCI-DEV-026 BASIC-DEV-005",
		  "Writes 0 to device_status of a device at work.", CHECK_REQUIREMENT, check_reset),
	PCI_CHECK("pci-absent-queues", "PCI-DEV-032", "Selects queues that are not there.",
		  CHECK_REQUIREMENT, check_absent_queues),
	PCI_CHECK("pci-queue-sizes", "PCI-DEV-033 PCI-IMP-001", "Reads queue_size of all queues.",
		  CHECK_REQUIREMENT, check_sizes),
	PCI_CHECK("pci-queue-size-reset", "PCI-IMP-002 BASIC-DEV-005",
		  "Halves queue_size, then resets.", CHECK_REQUIREMENT, check_size_resets),
	PCI_CHECK("pci-halves", "PCI-DEV-012 BASIC-DEV-005",
		  "Writes the halves of queue addresses in any order.", CHECK_REQUIREMENT,
		  check_halves),
	PCI_CHECK("pci-queue-select", "PCI-IMP-003 BASIC-DEV-005",
		  "Gives each queue a size and an address of its own, and reads them back.",
		  CHECK_REQUIREMENT, check_selection),
	PCI_CHECK("pci-selectors", "PCI-IMP-014", "Writes the three selectors and reads them.",
		  CHECK_REQUIREMENT, check_selectors),
	PCI_CHECK("pci-read-only", "PCI-IMP-004 BASIC-DEV-005",
		  "Writes read-only fields, before and while the device works.", CHECK_ROBUSTNESS,
		  check_read_only),
	PCI_CHECK("pci-odd-accesses", "PCI-IMP-011 BASIC-DEV-005",
		  "Reads all of the structure in 1 to 8 bytes at every offset, writes at odd "
		  "ones.",
		  CHECK_ROBUSTNESS, check_odd_accesses),
	PCI_CHECK("pci-kick-address", "PCI-IMP-005 BASIC-DEV-005",
		  "Kicks by hand at the address that the fields give.", CHECK_REQUIREMENT,
		  check_kick_address),
};

const struct check_list checks_pci_common = {checks, sizeof(checks) / sizeof(checks[0])};
