/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What few devices have: a transitional identity, shared memory, vendor data, an admin queue,
 * zones.
 */
#include "checks.h"
#include "checks_util.h"

#include <driver/bus_pci.h>
#include <linux/pci_regs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>

#define F_ADMIN_VQ 41
#define F_UNUSED   30

/* Not in the oldest kernel headers in use. */
#define F_SECURE_ERASE	   16
#define F_ZONED		   17
#define CONFIG_ERASE_ALIGN 68 /* secure_erase_sector_alignment */
#define CONFIG_ZONED	   72 /* zone_sectors, and behind it: */
#define ZONED_MAX_APPEND   12
#define ZONED_UNUSED2	   21

#define CAP_SHM	   8
#define CAP_VENDOR 9

/* Common configuration, behind what every device has. */
#define COMMON_ADMIN_QUEUE_INDEX 60
#define COMMON_ADMIN_QUEUE_NUM	 62

#define CAP_ID_BYTES 256

static uint32_t cfg(struct run *r, uint32_t off, uint32_t len)
{
	return drv_pci_config_get(r->bus, off, len);
}

/*
 * The next of virtio's capabilities with this type: behind `at`, or from the start (0). 0 at the
 * end.
 */
static uint32_t next_cap(struct run *r, uint32_t at, uint8_t type)
{
	at = cfg(r, at ? at + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST, 1);
	for (unsigned n = 0; at != 0 && n < 64; n++) {
		if (cfg(r, at, 1) == PCI_CAP_ID_VNDR && cfg(r, at + 3, 1) == type)
			return at;
		at = cfg(r, at + PCI_CAP_LIST_NEXT, 1);
	}
	return 0;
}

/* ---- pci ---------------------------------------------------------------------------------------
 */

static void check_transitional(struct run *r)
{
	uint32_t id = cfg(r, PCI_DEVICE_ID, 2), bar0 = cfg(r, PCI_BASE_ADDRESS_0, 4);

	if (id >= 0x1040)
		skip(r, "not a transitional device");
	expect(r, "PCI-DEV-011", id >= 0x1000 && id <= 0x103f, "a device ID from 0x1000 to 0x103f",
	       "%#x", id);
	expect(r, "PCI-DEV-009", cfg(r, PCI_REVISION_ID, 1) == 0, "revision 0", "%u",
	       cfg(r, PCI_REVISION_ID, 1));
	expect(r, "PCI-DEV-010", cfg(r, PCI_SUBSYSTEM_ID, 2) == r->device_id,
	       "the virtio device ID as subsystem device ID", "%#x for %u",
	       cfg(r, PCI_SUBSYSTEM_ID, 2), r->device_id);
	expect(r, "PCI-DEV-065", bar0 & PCI_BASE_ADDRESS_SPACE_IO, "BAR 0 in I/O space", "%#x",
	       bar0);
	expect(r, "PCI-DEV-071", bar0 & PCI_BASE_ADDRESS_SPACE_IO, "BAR 0 in I/O space", "%#x",
	       bar0);
}

static void check_shm(struct run *r)
{
	bool seen[CAP_ID_BYTES] = {false};
	uint32_t at = next_cap(r, 0, CAP_SHM);

	if (!at)
		skip(r, "no shared memory");
	for (; at; at = next_cap(r, at, CAP_SHM)) {
		uint32_t bar = cfg(r, at + 4, 1), id = cfg(r, at + 5, 1);
		uint64_t offset = cfg(r, at + 8, 4) | (uint64_t)cfg(r, at + 16, 4) << 32;
		uint64_t length = cfg(r, at + 12, 4) | (uint64_t)cfg(r, at + 20, 4) << 32;
		uint64_t size = vio_pci_bar_size(drv_pci_transport(r->bus), bar);

		expect(r, "PCI-DEV-054", offset <= size && length <= size - offset,
		       "a region to lie inside its BAR", "[%#llx, +%#llx) of %#llx",
		       (unsigned long long)offset, (unsigned long long)length,
		       (unsigned long long)size);
		expect(r, "PCI-DEV-055", !seen[id], "each id once", "%u again", id);
		seen[id] = true;
	}
}

static void check_vendor_data(struct run *r)
{
	uint32_t at = next_cap(r, 0, CAP_VENDOR);

	if (!at)
		skip(r, "no vendor data");
	for (; at; at = next_cap(r, at, CAP_VENDOR)) {
		uint32_t len = cfg(r, at + 2, 1), status = drv_status(r->bus), sum[2] = {0, 0};

		expect(r, "PCI-DEV-059", cfg(r, at + 4, 2) != 0x1af4, "another vendor than 0x1af4",
		       "%#x", cfg(r, at + 4, 2));
		expect(r, "PCI-DEV-060", len % 4 == 0, "a length that is a multiple of 4", "%u",
		       len);
		for (unsigned again = 0; again < 2; again++)
			for (uint32_t off = 0; off + 4 <= len; off += 4)
				sum[again] = sum[again] * 31 + cfg(r, at + off, 4);
		expect(r, "PCI-DEV-056", sum[0] == sum[1], "the same bytes when read again",
		       "others");
		expect(r, "PCI-DEV-061", sum[0] == sum[1] && drv_status(r->bus) == status,
		       "reads to change nothing", "other bytes, or status %#x for %#x",
		       drv_status(r->bus), status);
	}
}

static void check_admin_queue(struct run *r)
{
	uint32_t n, index, num;

	run_start(r, "BASIC-DEV-005", DRV_FEATURE(F_ADMIN_VQ));
	n = drv_pci_get(r->bus, VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_COMMON_NUMQ, 2);
	index = drv_pci_get(r->bus, VIRTIO_PCI_CAP_COMMON_CFG, COMMON_ADMIN_QUEUE_INDEX, 2);
	num = drv_pci_get(r->bus, VIRTIO_PCI_CAP_COMMON_CFG, COMMON_ADMIN_QUEUE_NUM, 2);
	expect(r, "PCI-DEV-034", index >= n, "admin queues behind all others", "from %u, of %u",
	       index, n);
	expect(r, "PCI-DEV-035", num <= 0x10000 - index, "numbers of queues of 16 bits",
	       "%u from %u", num, index);
}

/* ---- features ----------------------------------------------------------------------------------
 */

static void check_bit_30(struct run *r)
{
	expect(r, "FEAT-DEV-014", !(r->offered >> F_UNUSED & 1), "bit 30 not to be offered",
	       "features %#llx", (unsigned long long)r->offered);
}

/* ---- blk ---------------------------------------------------------------------------------------
 */

static uint64_t zoned(struct run *r, uint32_t off, uint32_t len)
{
	return drv_config_field(r->bus, CONFIG_ZONED + off, len);
}

static void check_zoned_config(struct run *r)
{
	const uint64_t limits =
		DRV_FEATURE(VIRTIO_BLK_F_SEG_MAX) | DRV_FEATURE(VIRTIO_BLK_F_SIZE_MAX);
	uint64_t size_max = drv_config_field(r->bus, 8, 4),
		 seg_max = drv_config_field(r->bus, 12, 4);

	expect(r, "BLK-DEV-021",
	       zoned(r, ZONED_UNUSED2, 1) == 0 && zoned(r, ZONED_UNUSED2 + 1, 2) == 0,
	       "unused2 to be 0", "%#llx", (unsigned long long)zoned(r, ZONED_UNUSED2, 1));
	if ((r->offered & limits) == limits)
		expect(r, "BLK-DEV-018", zoned(r, ZONED_MAX_APPEND, 4) * 512 <= seg_max * size_max,
		       "no larger append than seg_max buffers of size_max bytes hold",
		       "%llu sectors", (unsigned long long)zoned(r, ZONED_MAX_APPEND, 4));
}

static void check_zoned_erase(struct run *r)
{
	uint64_t zone = zoned(r, 0, 4), align = drv_config_field(r->bus, CONFIG_ERASE_ALIGN, 4);

	expect(r, "BLK-DEV-063", zone != 0 && align % zone == 0, "erasing aligned to zones",
	       "%llu sectors, zones of %llu", (unsigned long long)align, (unsigned long long)zone);
}

static const struct check checks[] = {
	{
		.name = "pci-transitional",
		.rows = "PCI-DEV-009 PCI-DEV-010 PCI-DEV-011 PCI-DEV-065 PCI-DEV-071",
		.how = "Reads identity and BAR 0 of a function with a device ID below 0x1040.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_PCI,
		.run = check_transitional,
	},
	{
		.name = "pci-shared-memory",
		.rows = "PCI-DEV-054 PCI-DEV-055",
		.how = "Reads the capabilities of shared memory regions.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_PCI,
		.run = check_shm,
	},
	{
		.name = "pci-vendor-data",
		.rows = "PCI-DEV-056 PCI-DEV-059 PCI-DEV-060 PCI-DEV-061",
		.how = "Reads vendor data capabilities, twice.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_PCI,
		.run = check_vendor_data,
	},
	{
		.name = "pci-admin-queue",
		.rows = "PCI-DEV-034 PCI-DEV-035 BASIC-DEV-005",
		.how = "Reads where the admin queues are.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_PCI,
		.features = DRV_FEATURE(F_ADMIN_VQ),
		.run = check_admin_queue,
	},
	{
		.name = "features-bit-30",
		.rows = "FEAT-DEV-014",
		.how = "Reads the offered features.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_REGISTERS,
		.run = check_bit_30,
	},
	{
		.name = "blk-zoned-config",
		.rows = "BLK-DEV-018 BLK-DEV-021",
		.how = "Reads the characteristics of a zoned disk.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.features = DRV_FEATURE(F_ZONED),
		.run = check_zoned_config,
	},
	{
		.name = "blk-zoned-erase",
		.rows = "BLK-DEV-063",
		.how = "Reads zone size and alignment of secure erase.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.features = DRV_FEATURE(F_ZONED) | DRV_FEATURE(F_SECURE_ERASE),
		.run = check_zoned_erase,
	},
};

const struct check_list checks_rare = {checks, sizeof(checks) / sizeof(checks[0])};
