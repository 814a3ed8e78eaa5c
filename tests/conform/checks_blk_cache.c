/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Block Device", device operation: flushing, the cache, read-only disks.
 */
#include "checks_blk.h"
#include "checks.h"

#include <endian.h>
#include <linux/virtio_ids.h>
#include <stddef.h>
#include <string.h>

#define RO    DRV_FEATURE(VIRTIO_BLK_F_RO)
#define FLUSH DRV_FEATURE(VIRTIO_BLK_F_FLUSH)
#define WCE   DRV_FEATURE(VIRTIO_BLK_F_CONFIG_WCE)

static uint8_t *area(void)
{
	static uint8_t bytes[DISK_MAX_DATA];

	return bytes;
}

/* Reads the area of a disk that nothing may write to. */
static void read_area(struct disk *d)
{
	disk_read(d, d->area, area(), DISK_AREA_BLOCKS * d->block);
}

static uint8_t write_junk(struct disk *d, uint32_t blocks)
{
	static uint8_t junk[DISK_MAX_DATA];
	struct drv_blk_req req = {.type = VIRTIO_BLK_T_OUT,
				  .sector = d->area,
				  .out = junk,
				  .out_len = blocks * d->block * SECTOR};

	for (uint32_t i = 0; i < req.out_len; i++)
		junk[i] = area()[i] ^ 0x5a;
	return disk_do(d, &req);
}

static void read_only(struct run *r, uint64_t features)
{
	struct disk d;

	disk_start(r, &d, features);
	read_area(&d);
	for (uint32_t n = 1; n <= DISK_AREA_BLOCKS; n *= 2)
		expect(r, "BLK-DEV-027", write_junk(&d, n) == VIRTIO_BLK_S_IOERR,
		       "S_IOERR for a write to a read-only disk", "another status, %u blocks", n);
	expect(r, "BLK-DEV-028", disk_unchanged(&d, area()),
	       "nothing to be written to a read-only disk", "data changed");
}

static void check_read_only(struct run *r)
{
	read_only(r, DRV_ALL_FEATURES);
}

static void check_read_only_declined(struct run *r)
{
	read_only(r, ~RO);
}

static void check_read_only_segments(struct run *r)
{
	static const uint32_t types[] = {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES, 14};
	struct virtio_blk_discard_write_zeroes s;
	struct disk d;

	disk_start(r, &d, DRV_ALL_FEATURES);
	read_area(&d);
	s = (struct virtio_blk_discard_write_zeroes){.sector = htole64(d.area),
						     .num_sectors = htole32(d.block)};
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct drv_blk_req req = {.type = types[i], .out = &s, .out_len = sizeof(s)};

		disk_do(&d, &req);
		expect(r, "BLK-IMP-008",
		       req.status == VIRTIO_BLK_S_IOERR || req.status == VIRTIO_BLK_S_UNSUPP,
		       "an error on a read-only disk", "status %u for type %u", req.status,
		       req.type);
	}
	expect(r, "BLK-IMP-008", disk_unchanged(&d, area()),
	       "nothing to be changed on a read-only disk", "data changed");
}

/* ---- the cache ---------------------------------------------------------------------------------
 */

/* In every cache mode: what was written is there after a flush, and after a reset. */
static void survives_reset(struct run *r, uint64_t features, int writeback)
{
	const uint8_t value = writeback > 0;
	struct disk d;

	disk_start_writable(r, &d, features);
	if (writeback >= 0)
		drv_config_write(r->bus, offsetof(struct virtio_blk_config, wce), &value, 1);
	disk_scribble(&d, area());
	if (writeback != 0 && drv_device_has(&r->drv, VIRTIO_BLK_F_FLUSH)) {
		struct drv_blk_req req = {.type = VIRTIO_BLK_T_FLUSH};

		need(r, "BLK-IMP-007", disk_do(&d, &req) == VIRTIO_BLK_S_OK, "a flush to succeed",
		     "status %u", req.status);
	}
	drv_device_stop(&r->drv);
	disk_start(r, &d, features);
	expect(r, "BLK-IMP-007", disk_unchanged(&d, area()),
	       "stable writes to be there after a reset", "other data, writeback %d", writeback);
	drv_device_stop(&r->drv);
}

static void check_cache_modes(struct run *r)
{
	survives_reset(r, FLUSH | WCE, 1);
	survives_reset(r, FLUSH | WCE, 0);
	survives_reset(r, WCE, 0);
	survives_reset(r, FLUSH, -1);
	survives_reset(r, 0, -1);
}

/* Switching does not disturb writes in flight. */
static void check_cache_switches(struct run *r)
{
	struct drv_blk_req req[DISK_AREA_BLOCKS];
	struct disk d;

	disk_start_writable(r, &d, DRV_ALL_FEATURES);
	for (unsigned round = 0; round < 20; round++) {
		disk_scribble(&d, area());
		memset(area(), 1 + (int)round, disk_area_len(&d));
		for (uint32_t i = 0; i < DISK_AREA_BLOCKS; i++) {
			const uint8_t value = i % 2;

			req[i] = (struct drv_blk_req){.type = VIRTIO_BLK_T_OUT,
						      .sector = d.area + i * d.block,
						      .out = area() + i * d.block * SECTOR,
						      .out_len = d.block * SECTOR};
			if (drv_blk_submit(&d.blk, 0, &req[i]) < 0)
				skip(r, "a queue of %u is too short", r->drv.queue[0].size);
			drv_config_write(r->bus, offsetof(struct virtio_blk_config, wce), &value,
					 1);
		}
		for (uint32_t i = 0; i < DISK_AREA_BLOCKS; i++)
			need(r, "BLK-IMP-007",
			     drv_blk_wait(&d.blk, 0, &req[i]) == 0 &&
				     req[i].status == VIRTIO_BLK_S_OK,
			     "a write to succeed while the cache mode changes", "it does not");
		need(r, "BLK-IMP-007", disk_unchanged(&d, area()), "what was written",
		     "other data");
	}
}

static const struct check checks[] = {
	{
		.name = "blk-read-only",
		.rows = "BLK-DEV-027 BLK-DEV-028 " DISK_ROWS,
		.how = "Writes to a read-only disk end with S_IOERR and change nothing.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.features = RO,
		.run = check_read_only,
	},
	{
		.name = "blk-read-only-declined",
		.rows = "BLK-DEV-027 BLK-DEV-028 " DISK_ROWS,
		.how = "The same by a driver that did not accept RO.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.features = RO,
		.run = check_read_only_declined,
	},
	{
		.name = "blk-read-only-segments",
		.rows = "BLK-IMP-008 " DISK_ROWS,
		.how = "Discard, write zeroes and secure erase fail on a read-only disk and change "
		       "nothing.",
		.kind = CHECK_ROBUSTNESS,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.features = RO,
		.run = check_read_only_segments,
	},
	{
		.name = "blk-cache-modes",
		.rows = "BLK-IMP-007 " DISK_ROWS,
		.how = "Writes in every cache mode, flushes where that is needed, resets and "
		       "reads.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.features = FLUSH | WCE,
		.run = check_cache_modes,
	},
	{
		.name = "blk-cache-switches",
		.rows = "BLK-IMP-007 " DISK_ROWS,
		.how = "Switches the cache mode while writes are in flight.",
		.kind = CHECK_STRESS,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.features = FLUSH | WCE,
		.run = check_cache_switches,
	},
};

const struct check_list checks_blk_cache = {checks, sizeof(checks) / sizeof(checks[0])};
