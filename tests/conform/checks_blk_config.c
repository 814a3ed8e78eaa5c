/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Block Device": features and configuration.
 */
#include "checks_blk.h"
#include "checks.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <stddef.h>

#define FLUSH DRV_FEATURE(VIRTIO_BLK_F_FLUSH)
#define WCE   DRV_FEATURE(VIRTIO_BLK_F_CONFIG_WCE)
#define ZONED DRV_FEATURE(BLK_F_ZONED)

#define WRITEBACK ((uint32_t)offsetof(struct virtio_blk_config, wce))

static uint8_t byte_at(struct run *r, uint32_t off)
{
	return (uint8_t)drv_config_field(r->bus, off, 1);
}

static void check_flush_offered(struct run *r)
{
	expect(r, "BLK-DEV-002", r->offered & FLUSH, "FLUSH to be offered", "features %#llx",
	       (unsigned long long)r->offered);
}

static void check_wce_needs_flush(struct run *r)
{
	expect(r, "BLK-DEV-003", r->offered & FLUSH, "FLUSH to be offered with CONFIG_WCE",
	       "features %#llx", (unsigned long long)r->offered);
}

static void check_writeback_initial(struct run *r)
{
	const uint8_t on = 1;

	run_start(r, "BASIC-DEV-005", WCE);
	expect(r, "BLK-DEV-004", byte_at(r, WRITEBACK) == 0, "writeback 0 without FLUSH", "%u",
	       byte_at(r, WRITEBACK));
	drv_device_stop(&r->drv);

	/* What a driver before has set is no excuse. */
	run_start(r, "BASIC-DEV-005", WCE | FLUSH);
	drv_config_write(r->bus, WRITEBACK, &on, 1);
	drv_device_stop(&r->drv);
	run_start(r, "BASIC-DEV-005", WCE);
	expect(r, "BLK-DEV-004", byte_at(r, WRITEBACK) == 0,
	       "writeback 0 without FLUSH, after another driver had set it", "%u",
	       byte_at(r, WRITEBACK));
}

static void check_writeback_set(struct run *r)
{
	static const uint8_t values[] = {0, 1, 1, 0, 0, 1};

	run_start(r, "BASIC-DEV-005", WCE | FLUSH);
	expect(r, "BLK-IMP-007", byte_at(r, WRITEBACK) <= 1, "writeback 0 or 1", "%u",
	       byte_at(r, WRITEBACK));
	for (unsigned i = 0; i < sizeof(values); i++) {
		drv_config_write(r->bus, WRITEBACK, &values[i], 1);
		expect(r, "BLK-IMP-007", byte_at(r, WRITEBACK) == values[i],
		       "writeback to be what was written", "%u, not %u", byte_at(r, WRITEBACK),
		       values[i]);
		io_roundtrip(r, "BASIC-DEV-005");
	}
}

static void expect_padding(struct run *r, const char *when)
{
	bool has_end =
		r->way != WAY_VHOST_USER || r->offered & DRV_FEATURE(VIRTIO_BLK_F_WRITE_ZEROES);

	expect(r, "BLK-DEV-005", byte_at(r, BLK_UNUSED0) == 0, "unused0 to be 0", "%#x %s",
	       byte_at(r, BLK_UNUSED0), when);
	for (uint32_t i = 0; has_end && i < 3; i++)
		expect(r, "BLK-DEV-005", byte_at(r, BLK_UNUSED1 + i) == 0, "unused1 to be 0",
		       "byte %u is %#x %s", i, byte_at(r, BLK_UNUSED1 + i), when);
}

static void check_padding(struct run *r)
{
	static const uint8_t junk[3] = {0xff, 0xff, 0xff};

	expect_padding(r, "after reset");
	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	expect_padding(r, "with all features");
	drv_config_write(r->bus, BLK_UNUSED0, junk, 1);
	if (r->way != WAY_VHOST_USER)
		drv_config_write(r->bus, BLK_UNUSED1, junk, 3);
	drv_device_stop(&r->drv);
	run_start(r, "BASIC-DEV-005", 0);
	expect_padding(r, "with VERSION_1 alone");
}

/* ---- zones -------------------------------------------------------------------------------------
 */

static bool host_managed(struct run *r)
{
	bool hm = false;

	if (!(r->offered & ZONED))
		return false;
	run_start(r, "BASIC-DEV-005", r->offered);
	hm = byte_at(r, BLK_ZONE_MODEL) == 1;
	drv_device_stop(&r->drv);
	return hm;
}

static void check_zoned_declined(struct run *r)
{
	if (host_managed(r))
		skip(r, "a host-managed disk");
	if (r->way == WAY_VHOST_USER && !(r->offered & ZONED))
		skip(r, "the configuration space may end before these fields");
	run_start(r, "BLK-DEV-008", ~ZONED);
	for (uint32_t off = BLK_ZONED; off < BLK_CONFIG_LEN; off++)
		expect(r, "BLK-DEV-008", byte_at(r, off) == 0,
		       "zoned characteristics of 0 without ZONED", "byte %u is %#x", off,
		       byte_at(r, off));
	io_roundtrip(r, "BASIC-DEV-005");
}

static void check_host_managed_declined(struct run *r)
{
	if (!host_managed(r))
		skip(r, "not a host-managed disk");
	expect(r, "BLK-DEV-009", drv_device_negotiate(&r->drv, r->offered & ~ZONED) < 0,
	       "FEATURES_OK to be refused without ZONED", "status %#x", drv_status(r->bus));
}

/* ---- queues, capacity --------------------------------------------------------------------------
 */

static uint16_t count_queues(struct run *r)
{
	uint16_t n = 0;

	while (n < DRV_IRQ_CONFIG && drv_get(r->bus, DRV_QUEUE_MAX, n) != 0)
		n++;
	return n;
}

/* Each queue reads. */
static void check_num_queues(struct run *r)
{
	struct disk d;
	uint16_t told, n = count_queues(r);
	uint8_t data[DISK_MAX_DATA];

	disk_start(r, &d, DRV_ALL_FEATURES);
	told = (uint16_t)drv_config_field(r->bus, offsetof(struct virtio_blk_config, num_queues),
					  2);
	need(r, "BLK-IMP-006", told >= 1, "at least one queue", "num_queues 0");
	expect(r, "BLK-IMP-006", told == n, "as many queues as num_queues says",
	       "%u queues, num_queues %u", n, told);
	for (uint16_t i = 0; i < told && i < r->drv.n_queues; i++) {
		struct drv_blk_req req = {
			.type = VIRTIO_BLK_T_IN, .in = data, .in_len = d.block * SECTOR};

		expect(r, "BLK-IMP-006",
		       drv_blk_do(&d.blk, i, &req) == 0 && req.status == VIRTIO_BLK_S_OK,
		       "every queue to take requests", "status %#x on queue %u", req.status, i);
	}
}

static void check_one_queue(struct run *r)
{
	if (r->offered & DRV_FEATURE(VIRTIO_BLK_F_MQ))
		skip(r, "MQ is offered");
	expect(r, "BLK-IMP-006", count_queues(r) == 1, "one queue without MQ", "%u",
	       count_queues(r));
}

static void check_capacity_change(struct run *r)
{
	uint64_t before, after;

	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	before = drv_config_field(r->bus, 0, 8);
	drv_irq_forget(r->bus);
	if (!r->change_config || !r->change_config(r))
		skip(r, "nothing here changes the disk's capacity");
	after = drv_config_field(r->bus, 0, 8);
	if (before == after)
		skip(r, "the capacity did not change");
	expect(r, "BLK-DEV-026", run_await_irq(r, DRV_IRQ_CONFIG) > 0,
	       "a notification that the capacity changed", "none");
}

static const struct check checks[] = {
	{
		.name = "blk-flush-offered",
		.rows = "BLK-DEV-002",
		.how = "FLUSH is offered.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.run = check_flush_offered,
	},
	{
		.name = "blk-wce-needs-flush",
		.rows = "BLK-DEV-003",
		.how = "FLUSH is offered where CONFIG_WCE is.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.features = WCE,
		.run = check_wce_needs_flush,
	},
	{
		.name = "blk-writeback-initial",
		.rows = "BLK-DEV-004 BASIC-DEV-005",
		.how = "Accepts CONFIG_WCE without FLUSH, at first and after another driver has "
		       "switched the cache on: writeback reads 0.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.features = WCE,
		.run = check_writeback_initial,
	},
	{
		.name = "blk-writeback-set",
		.rows = "BLK-IMP-007 BASIC-DEV-005",
		.how = "Writes 0 and 1 to writeback and reads it back; the disk goes on.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.features = WCE | FLUSH,
		.run = check_writeback_set,
	},
	{
		.name = "blk-padding",
		.rows = "BLK-DEV-005 BASIC-DEV-005",
		.how = "Reads unused0 and unused1 after reset, with all features and with none, "
		       "also after a driver wrote to them.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.run = check_padding,
	},
	{
		.name = "blk-zoned-declined",
		.rows = "BLK-DEV-008 BASIC-DEV-005",
		.how = "Without ZONED the disk works, and the fields of zoned are 0.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.run = check_zoned_declined,
	},
	{
		.name = "blk-host-managed-declined",
		.rows = "BLK-DEV-009 BASIC-DEV-005",
		.how = "A host-managed disk refuses FEATURES_OK without ZONED.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_REGISTERS,
		.device = VIRTIO_ID_BLOCK,
		.features = ZONED,
		.run = check_host_managed_declined,
	},
	{
		.name = "blk-num-queues",
		.rows = "BLK-IMP-006 " DISK_ROWS,
		.how = "There are as many queues as num_queues says, and each takes requests.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.features = DRV_FEATURE(VIRTIO_BLK_F_MQ),
		.run = check_num_queues,
	},
	{
		.name = "blk-one-queue",
		.rows = "BLK-IMP-006",
		.how = "A disk without MQ has one queue.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_REGISTERS,
		.device = VIRTIO_ID_BLOCK,
		.run = check_one_queue,
	},
	{
		.name = "blk-capacity-change",
		.rows = "BLK-DEV-026 BASIC-DEV-005",
		.how = "The disk gets another size: the driver is notified.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.run = check_capacity_change,
	},
};

const struct check_list checks_blk_config = {checks, sizeof(checks) / sizeof(checks[0])};
