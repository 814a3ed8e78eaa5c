/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Virtio Over PCI Bus": configuration space, capabilities, the window into the BARs.
 */
#include "checks.h"
#include "checks_util.h"

#include <driver/bus_pci.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <string.h>

#define F_NOTIFICATION_DATA 38
#define F_SR_IOV	    37

#define COMMON VIRTIO_PCI_CAP_COMMON_CFG
#define NOTIFY VIRTIO_PCI_CAP_NOTIFY_CFG
#define ISR    VIRTIO_PCI_CAP_ISR_CFG
#define DEVICE VIRTIO_PCI_CAP_DEVICE_CFG
#define WINDOW VIRTIO_PCI_CAP_PCI_CFG

static uint32_t cfg(struct run *r, uint32_t off, uint32_t len)
{
	return drv_pci_config_get(r->bus, off, len);
}

/* ---- header ------------------------------------------------------------------------------------
 */

static void check_ids(struct run *r)
{
	uint32_t id = cfg(r, PCI_DEVICE_ID, 2);
	bool modern = id >= 0x1040 && id <= 0x107f;

	expect(r, "PCI-DEV-003", cfg(r, PCI_VENDOR_ID, 2) == 0x1af4, "vendor 0x1af4", "%#x",
	       cfg(r, PCI_VENDOR_ID, 2));
	expect(r, "PCI-DEV-004", id == 0x1040 + r->device_id || (id >= 0x1000 && id <= 0x1009),
	       "device ID 0x1040 and the virtio device ID, or a transitional one", "%#x", id);
	expect(r, "PCI-DEV-006", modern || id < 0x1040, "a device ID from 0x1040 to 0x107f", "%#x",
	       id);
	if (!modern)
		return;
	expect(r, "PCI-DEV-007", cfg(r, PCI_REVISION_ID, 1) >= 1, "a revision of 1 at least", "%u",
	       cfg(r, PCI_REVISION_ID, 1));
	expect(r, "PCI-DEV-008", cfg(r, PCI_SUBSYSTEM_ID, 2) >= 0x40,
	       "a subsystem device ID of 0x40 at least", "%#x", cfg(r, PCI_SUBSYSTEM_ID, 2));
}

static void check_header(struct run *r)
{
	uint8_t seen[256] = {0};
	uint32_t at = cfg(r, PCI_CAPABILITY_LIST, 1);

	expect(r, "PCI-DEV-001", (cfg(r, PCI_HEADER_TYPE, 1) & 0x7f) == 0, "header type 0", "%#x",
	       cfg(r, PCI_HEADER_TYPE, 1));
	expect(r, "PCI-DEV-001", cfg(r, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST,
	       "a capability list, by the status register", "%#x", cfg(r, PCI_STATUS, 2));
	while (at != 0) {
		need(r, "PCI-DEV-001", at >= 0x40 && at % 4 == 0 && !seen[at],
		     "a list of capabilities that are aligned, behind the header, and end",
		     "one at %#x%s", at, seen[at] ? " again" : "");
		seen[at] = 1;
		at = cfg(r, at + PCI_CAP_LIST_NEXT, 1);
	}
}

static void check_bars(struct run *r)
{
	for (unsigned i = 0; i < 6; i++) {
		uint32_t off = PCI_BASE_ADDRESS_0 + 4 * i, before = cfg(r, off, 4), mask;
		uint32_t flags = before & PCI_BASE_ADDRESS_SPACE ? 3 : 15, size;

		drv_pci_config_set(r->bus, off, 4, 0xffffffff);
		mask = cfg(r, off, 4);
		drv_pci_config_set(r->bus, off, 4, before);
		size = ~(mask & ~flags) + 1;
		expect(r, "PCI-DEV-001", (size & (size - 1)) == 0,
		       "a BAR whose size is a power of two", "%#x of BAR %u", mask, i);
		expect(r, "PCI-DEV-001", cfg(r, off, 4) == before,
		       "a BAR to read back as it was written", "%#x of BAR %u", cfg(r, off, 4), i);
		if ((before & 7) == PCI_BASE_ADDRESS_MEM_TYPE_64)
			i++;
	}
}

static void check_header_read_only(struct run *r)
{
	static const struct {
		uint8_t off, len;
	} fixed[] = {{PCI_VENDOR_ID, 2},    {PCI_DEVICE_ID, 2},		  {PCI_REVISION_ID, 1},
		     {PCI_CLASS_PROG, 1},   {PCI_CLASS_DEVICE, 2},	  {PCI_HEADER_TYPE, 1},
		     {PCI_SUBSYSTEM_ID, 2}, {PCI_SUBSYSTEM_VENDOR_ID, 2}, {PCI_CAPABILITY_LIST, 1},
		     {PCI_INTERRUPT_PIN, 1}};

	for (unsigned i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		uint32_t before = cfg(r, fixed[i].off, fixed[i].len);

		drv_pci_config_set(r->bus, fixed[i].off, fixed[i].len, ~before);
		expect(r, "PCI-DEV-001", cfg(r, fixed[i].off, fixed[i].len) == before,
		       "a read-only field to stay", "%#x for %#x at %#x",
		       cfg(r, fixed[i].off, fixed[i].len), before, fixed[i].off);
	}
	for (unsigned type = COMMON; type <= DEVICE; type++) {
		uint32_t at = drv_pci_cap(r->bus, type)->config_off;

		for (uint32_t off = at; at && off < at + 16; off += 4) {
			uint32_t before = cfg(r, off, 4);

			drv_pci_config_set(r->bus, off, 4, ~before);
			expect(r, "PCI-DEV-001", cfg(r, off, 4) == before,
			       "a capability to be read-only", "%#x for %#x at %#x", cfg(r, off, 4),
			       before, off);
		}
	}
}

/* SR-IOV is an extended capability: behind the first 256 bytes, where PCI Express has some. */
static void check_sr_iov(struct run *r)
{
	uint32_t at = 0x100, header = cfg(r, at, 4);
	bool found = false;

	for (unsigned n = 0; n < 64 && at >= 0x100 && header != 0 && header != 0xffffffff; n++) {
		found |= PCI_EXT_CAP_ID(header) == PCI_EXT_CAP_ID_SRIOV;
		at = PCI_EXT_CAP_NEXT(header);
		header = cfg(r, at, 4);
	}
	expect(r, found ? "FEAT-DEV-009" : "FEAT-DEV-010", (r->offered >> F_SR_IOV & 1) == found,
	       "SR_IOV to be offered exactly with the SR-IOV capability",
	       "capability %d, feature %d", found, (int)(r->offered >> F_SR_IOV & 1));
}

/* ---- virtio capabilities ----------------------------------------------------------------------
 */

static void check_cap_lengths(struct run *r)
{
	static const uint8_t least[] = {
		[COMMON] = 16, [NOTIFY] = 20, [ISR] = 16, [DEVICE] = 16, [WINDOW] = 20};

	for (unsigned type = COMMON; type <= WINDOW; type++) {
		const struct drv_pci_cap *c = drv_pci_cap(r->bus, type);
		uint32_t len = c->config_off ? cfg(r, c->config_off + 2u, 1) : least[type];

		expect(r, "PCI-DEV-016", len >= least[type], "a cap_len that covers the capability",
		       "%u for type %u", len, type);
		expect(r, "PCI-DEV-016", c->config_off + len <= 256,
		       "a capability inside the configuration space", "%u bytes at %#x", len,
		       c->config_off);
	}
}

static bool has_config(const struct run *r)
{
	return r->device_id == 1 || r->device_id == 2;
}

static void check_caps_present(struct run *r)
{
	expect(r, "PCI-DEV-020", drv_pci_cap(r->bus, COMMON)->config_off, "a common configuration",
	       "none");
	expect(r, "PCI-DEV-036", drv_pci_cap(r->bus, NOTIFY)->config_off,
	       "a notification capability", "none");
	expect(r, "PCI-DEV-047", drv_pci_cap(r->bus, ISR)->config_off, "an ISR capability", "none");
	expect(r, "PCI-DEV-062", drv_pci_cap(r->bus, WINDOW)->config_off,
	       "a configuration access capability", "none");
	if (has_config(r))
		expect(r, "PCI-DEV-052", drv_pci_cap(r->bus, DEVICE)->config_off,
		       "a device configuration of a device that has one", "none");
}

static void check_offsets(struct run *r)
{
	const struct drv_pci_cap *common = drv_pci_cap(r->bus, COMMON);
	const struct drv_pci_cap *device = drv_pci_cap(r->bus, DEVICE);

	expect(r, "PCI-DEV-019", common->offset % 4 == 0, "the common configuration to be aligned",
	       "offset %#llx", (unsigned long long)common->offset);
	expect(r, "PCI-DEV-053", !device->config_off || device->offset % 4 == 0,
	       "the device configuration to be aligned", "offset %#llx",
	       (unsigned long long)device->offset);
	for (unsigned type = COMMON; type <= DEVICE; type++) {
		const struct drv_pci_cap *c = drv_pci_cap(r->bus, type);
		uint64_t size = vio_pci_bar_size(drv_pci_transport(r->bus), c->bar);

		expect(r, "PCI-IMP-013",
		       !c->config_off || (c->offset <= size && c->length <= size - c->offset),
		       "a structure to lie inside its BAR", "type %u does not", type);
	}
}

static void check_notify_layout(struct run *r)
{
	const struct drv_pci_cap *c = drv_pci_cap(r->bus, NOTIFY);
	uint32_t m = drv_pci_notify_multiplier(r->bus);
	uint32_t n = drv_pci_get(r->bus, COMMON, VIRTIO_PCI_COMMON_NUMQ, 2);
	bool data = r->offered >> F_NOTIFICATION_DATA & 1;
	uint32_t unit = data ? 4 : 2;

	expect(r, data ? "PCI-DEV-043" : "PCI-DEV-037", c->offset % unit == 0,
	       "the notification structure to be aligned", "offset %#llx",
	       (unsigned long long)c->offset);
	expect(r, data ? "PCI-DEV-042" : "PCI-DEV-038", m % unit == 0 && (m & (m - 1)) == 0,
	       "a multiplier of 0 or a power of two that keeps addresses aligned", "%u", m);
	expect(r, data ? "PCI-DEV-044" : "PCI-DEV-039", c->length >= unit,
	       "room for one notification", "%llu bytes", (unsigned long long)c->length);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t off;

		drv_pci_set(r->bus, COMMON, VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
		off = (uint64_t)drv_pci_get(r->bus, COMMON, VIRTIO_PCI_COMMON_Q_NOFF, 2) * m;
		expect(r, data ? "PCI-DEV-045" : "PCI-DEV-040", c->length > off,
		       "the structure to reach every queue's address", "not of queue %u", i);
		expect(r, data ? "PCI-DEV-046" : "PCI-DEV-041", c->length >= off + unit,
		       "the structure to hold every queue's notification", "not of queue %u", i);
	}
}

static void check_notify_layout_plain(struct run *r)
{
	if (r->offered >> F_NOTIFICATION_DATA & 1)
		skip(r, "NOTIFICATION_DATA is offered: other rules");
	check_notify_layout(r);
}

/* ---- the window --------------------------------------------------------------------------------
 */

static uint32_t window(struct run *r)
{
	uint32_t at = drv_pci_cap(r->bus, WINDOW)->config_off;

	need(r, "PCI-DEV-062", at != 0, "a configuration access capability", "none");
	return at;
}

static void window_aim(struct run *r, uint32_t bar, uint64_t off, uint32_t len)
{
	uint32_t at = window(r);

	drv_pci_config_set(r->bus, at + 4, 1, bar);
	drv_pci_config_set(r->bus, at + 8, 4, (uint32_t)off);
	drv_pci_config_set(r->bus, at + 12, 4, len);
}

static uint32_t window_get(struct run *r, unsigned type, uint32_t off, uint32_t len)
{
	const struct drv_pci_cap *c = drv_pci_cap(r->bus, type);

	window_aim(r, c->bar, c->offset + off, len);
	return cfg(r, window(r) + 16, len);
}

static void window_set(struct run *r, unsigned type, uint32_t off, uint32_t len, uint32_t value)
{
	const struct drv_pci_cap *c = drv_pci_cap(r->bus, type);

	window_aim(r, c->bar, c->offset + off, len);
	drv_pci_config_set(r->bus, window(r) + 16, len, value);
}

static void check_window_fields(struct run *r)
{
	static const uint32_t offsets[] = {0, 4, 0x3000, 0xfffffffc};
	uint32_t at = window(r);

	for (unsigned i = 0; i < 4; i++) {
		window_aim(r, i, offsets[i], 1u << i % 3);
		expect(r, "PCI-DEV-062",
		       cfg(r, at + 4, 1) == i && cfg(r, at + 8, 4) == offsets[i] &&
			       cfg(r, at + 12, 4) == 1u << i % 3,
		       "bar, offset and length to be writable", "%u, %#x, %u", cfg(r, at + 4, 1),
		       cfg(r, at + 8, 4), cfg(r, at + 12, 4));
	}
}

static void check_window_reads(struct run *r)
{
	static const uint8_t fields[][2] = {{VIRTIO_PCI_COMMON_DF, 4},
					    {VIRTIO_PCI_COMMON_NUMQ, 2},
					    {VIRTIO_PCI_COMMON_STATUS, 1},
					    {VIRTIO_PCI_COMMON_Q_SIZE, 2}};

	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		uint32_t direct = drv_pci_get(r->bus, COMMON, fields[i][0], fields[i][1]);
		uint32_t seen = window_get(r, COMMON, fields[i][0], fields[i][1]);

		expect(r, "PCI-DEV-064", seen == direct,
		       "the same through the window as in the BAR", "%#x for %#x at %u", seen,
		       direct, fields[i][0]);
	}
	/* What it shows is read at that moment, not when the window was aimed. */
	window_aim(r, drv_pci_cap(r->bus, COMMON)->bar,
		   drv_pci_cap(r->bus, COMMON)->offset + VIRTIO_PCI_COMMON_STATUS, 1);
	(void)cfg(r, window(r) + 16, 1);
	drv_reset(r->bus);
	expect(r, "PCI-DEV-064", cfg(r, window(r) + 16, 1) == 0,
	       "the window to show what is there when it is read", "%#x",
	       cfg(r, window(r) + 16, 1));
}

static void check_window_writes(struct run *r)
{
	uint32_t index = io_queue_index(r), off;
	struct io io;

	window_set(r, COMMON, VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	expect(r, "PCI-DEV-063", drv_pci_get(r->bus, COMMON, VIRTIO_PCI_COMMON_DFSELECT, 4) == 1,
	       "a write through the window to arrive in the BAR", "%#x",
	       drv_pci_get(r->bus, COMMON, VIRTIO_PCI_COMMON_DFSELECT, 4));
	window_set(r, COMMON, VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	expect(r, "PCI-DEV-063", drv_status(r->bus) == VIRTIO_CONFIG_S_ACKNOWLEDGE,
	       "one byte to be written when the length is 1", "status %#x", drv_status(r->bus));
	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	io_make(r, &io, 0, 0);
	io_add(r, &io);
	drv_queue_publish(io_queue(r));
	window_set(r, COMMON, VIRTIO_PCI_COMMON_Q_SELECT, 2, index);
	off = window_get(r, COMMON, VIRTIO_PCI_COMMON_Q_NOFF, 2) *
	      drv_pci_notify_multiplier(r->bus);
	window_set(r, NOTIFY, off, r->bus->notify_data ? 4 : 2,
		   drv_notify_value(r->bus, (uint16_t)index));
	expect(r, "PCI-DEV-063", io_wait(r, &io), "a kick through the window to be one",
	       "the request does not come back");
	window_set(r, COMMON, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	expect(r, "PCI-DEV-063", drv_status(r->bus) == 0, "a reset through the window",
	       "status %#x", drv_status(r->bus));
}

static void check_window_abuse(struct run *r)
{
	static const uint32_t lengths[] = {0, 3, 5, 8, 16, 0x10000, 0xffffffff, 1, 2, 4};
	static const uint32_t offsets[] = {0,	       1,	  3,	   VIRTIO_PCI_COMMON_STATUS,
					   0x1001,     0x3fff,	  0x10000, 0x7fffffff,
					   0xfffffffe, 0xffffffff};
	uint32_t at = window(r);

	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
	/* BARs 0 and 1 hold registers, which would do as they are told. */
	for (unsigned bar = 0; bar < 256; bar += bar < 7 ? 1 : 31) {
		for (unsigned i = 0; i < 10; i++) {
			for (unsigned k = 0; k < 10; k++) {
				window_aim(r, bar, offsets[i], lengths[k]);
				for (uint32_t b = 0; b < 4; b++)
					(void)cfg(r, at + 16 + b, 1);
				(void)cfg(r, at + 16, 4);
				if (bar <= 5 && k >= 7)
					continue;
				drv_pci_config_set(r->bus, at + 16, 4, 0xffffffff);
				drv_pci_config_set(r->bus, at + 16, 4, 0);
			}
		}
	}
	expect(r, "PCI-IMP-008",
	       (drv_status(r->bus) & (VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET)) ==
		       VIRTIO_CONFIG_S_DRIVER_OK,
	       "the device to go on", "status %#x", drv_status(r->bus));
	io_roundtrip(r, "PCI-IMP-008");
}

#define PCI_CHECK(n, row, text, what, fn)                                                          \
	{                                                                                          \
		.name = n, .rows = row, .how = text, .kind = what, .ways = WAY_PCI, .run = fn,     \
	}

static const struct check checks[] = {
	PCI_CHECK("pci-ids", "PCI-DEV-003 PCI-DEV-004 PCI-DEV-006 PCI-DEV-007 PCI-DEV-008",
		  "Reads vendor, device, revision and subsystem IDs.", CHECK_REQUIREMENT,
		  check_ids),
	PCI_CHECK("pci-header", "PCI-DEV-001", "Walks the list of capabilities.", CHECK_REQUIREMENT,
		  check_header),
	PCI_CHECK("pci-bars", "PCI-DEV-001", "Sizes every BAR.", CHECK_REQUIREMENT, check_bars),
	PCI_CHECK("pci-header-read-only", "PCI-DEV-001",
		  "Writes read-only fields of the header and of capabilities.", CHECK_ROBUSTNESS,
		  check_header_read_only),
	PCI_CHECK("pci-sr-iov", "FEAT-DEV-009 FEAT-DEV-010",
		  "Looks for the SR-IOV capability and the feature.", CHECK_REQUIREMENT,
		  check_sr_iov),
	PCI_CHECK("pci-cap-lengths", "PCI-DEV-016", "Reads cap_len of virtio's capabilities.",
		  CHECK_REQUIREMENT, check_cap_lengths),
	PCI_CHECK("pci-caps", "PCI-DEV-020 PCI-DEV-036 PCI-DEV-047 PCI-DEV-052 PCI-DEV-062",
		  "Looks for each of virtio's capabilities.", CHECK_REQUIREMENT,
		  check_caps_present),
	PCI_CHECK("pci-cap-offsets", "PCI-DEV-019 PCI-DEV-053 PCI-IMP-013",
		  "Reads where the structures are.", CHECK_REQUIREMENT, check_offsets),
	{
		.name = "pci-notify-layout",
		.rows = "PCI-DEV-037 PCI-DEV-038 PCI-DEV-039 PCI-DEV-040 PCI-DEV-041",
		.how = "Computes every queue's notification address.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_PCI,
		.run = check_notify_layout_plain,
	},
	{
		.name = "pci-notify-layout-data",
		.rows = "PCI-DEV-042 PCI-DEV-043 PCI-DEV-044 PCI-DEV-045 PCI-DEV-046",
		.how = "Computes every queue's notification address, of 32 bits.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_PCI,
		.features = DRV_FEATURE(F_NOTIFICATION_DATA),
		.run = check_notify_layout,
	},
	PCI_CHECK("pci-window-fields", "PCI-DEV-062",
		  "Writes and reads bar, offset and length of the configuration access "
		  "capability.",
		  CHECK_REQUIREMENT, check_window_fields),
	PCI_CHECK("pci-window-reads", "PCI-DEV-064 PCI-DEV-062 BASIC-DEV-005",
		  "Reads registers through the configuration space and directly.",
		  CHECK_REQUIREMENT, check_window_reads),
	PCI_CHECK("pci-window-writes", "PCI-DEV-063 PCI-DEV-062 BASIC-DEV-005",
		  "Selects, kicks and resets through the configuration space.", CHECK_REQUIREMENT,
		  check_window_writes),
	PCI_CHECK("pci-window-abuse", "PCI-IMP-008 PCI-DEV-062 BASIC-DEV-005",
		  "Bad BARs, offsets and lengths of the configuration access capability.",
		  CHECK_ROBUSTNESS, check_window_abuse),
};

const struct check_list checks_pci = {checks, sizeof(checks) / sizeof(checks[0])};
