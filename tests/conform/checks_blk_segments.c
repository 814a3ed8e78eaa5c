/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Block Device", device operation: discard, write zeroes.
 */
#include "checks_blk.h"
#include "checks.h"

#include <endian.h>
#include <linux/virtio_ids.h>
#include <stddef.h>
#include <string.h>

#define UNMAP	     VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP
#define DISCARD	     DRV_FEATURE(VIRTIO_BLK_F_DISCARD)
#define WRITE_ZEROES DRV_FEATURE(VIRTIO_BLK_F_WRITE_ZEROES)

#define MAX_SEGMENTS 64u

static uint8_t *area(void)
{
	static uint8_t bytes[DISK_MAX_DATA];

	return bytes;
}

static struct virtio_blk_discard_write_zeroes segment(uint64_t sector, uint32_t n, uint32_t flags)
{
	return (struct virtio_blk_discard_write_zeroes){
		.sector = htole64(sector), .num_sectors = htole32(n), .flags = htole32(flags)};
}

static uint8_t do_segments(struct disk *d, uint32_t type,
			   const struct virtio_blk_discard_write_zeroes *s, uint32_t n)
{
	struct drv_blk_req req = {.type = type, .out = s, .out_len = n * (uint32_t)sizeof(*s)};

	return disk_do(d, &req);
}

/* Sectors of one segment that the device takes, at most the area. */
static uint32_t fit(struct run *r, uint32_t max_off, uint32_t sectors)
{
	uint32_t max = (uint32_t)drv_config_field(r->bus, max_off, 4);

	return max < sectors ? max : sectors;
}

static uint32_t max_segments(struct run *r, uint32_t type)
{
	uint32_t off = type == VIRTIO_BLK_T_DISCARD
			       ? offsetof(struct virtio_blk_config, max_discard_seg)
			       : offsetof(struct virtio_blk_config, max_write_zeroes_seg);

	return fit(r, off, MAX_SEGMENTS);
}

/* ---- flags -------------------------------------------------------------------------------------
 */

static void refused(struct disk *d, const char *row, uint32_t type, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes s = segment(d->area, d->block, flags);
	uint8_t status = do_segments(d, type, &s, 1);

	expect(d->r, row, status == VIRTIO_BLK_S_UNSUPP, "S_UNSUPP", "status %u for flags %#x",
	       status, flags);
}

static void unknown_flags(struct run *r, uint32_t type)
{
	struct disk d;

	disk_start_writable(r, &d, DRV_ALL_FEATURES);
	disk_scribble(&d, area());
	for (unsigned bit = 1; bit < 32; bit++)
		refused(&d, "BLK-DEV-029", type, UINT32_C(1) << bit);
	refused(&d, "BLK-DEV-029", type, 0xfffffffe);
	if (type == VIRTIO_BLK_T_WRITE_ZEROES)
		refused(&d, "BLK-DEV-029", type, 0xffffffff);
	expect(r, "BLK-DEV-029", disk_unchanged(&d, area()),
	       "nothing to be done for a request that is refused", "data changed");
}

static void check_discard_flags(struct run *r)
{
	unknown_flags(r, VIRTIO_BLK_T_DISCARD);
}

static void check_write_zeroes_flags(struct run *r)
{
	unknown_flags(r, VIRTIO_BLK_T_WRITE_ZEROES);
}

/* A flag in a later segment counts, too. */
static void check_flags_later(struct run *r)
{
	uint32_t type =
		r->offered & WRITE_ZEROES ? VIRTIO_BLK_T_WRITE_ZEROES : VIRTIO_BLK_T_DISCARD;
	struct virtio_blk_discard_write_zeroes s[2];
	struct disk d;
	uint8_t status;

	if (!(r->offered & (DISCARD | WRITE_ZEROES)))
		skip(r, "neither DISCARD nor WRITE_ZEROES is offered");
	disk_start_writable(r, &d, DRV_ALL_FEATURES);
	if (max_segments(r, type) < 2)
		skip(r, "one segment at a time");
	s[0] = segment(d.area, d.block, 0);
	s[1] = segment(d.area + d.block, d.block, 2);
	status = do_segments(&d, type, s, 2);
	expect(r, "BLK-DEV-029", status == VIRTIO_BLK_S_UNSUPP,
	       "S_UNSUPP for an unknown flag in the second segment", "status %u", status);
}

static void check_discard_unmap(struct run *r)
{
	struct disk d;

	disk_start_writable(r, &d, DRV_ALL_FEATURES);
	disk_scribble(&d, area());
	refused(&d, "BLK-DEV-030", VIRTIO_BLK_T_DISCARD, UNMAP);
	expect(r, "BLK-DEV-030", disk_unchanged(&d, area()),
	       "nothing to be done for a request that is refused", "data changed");
}

/* ---- zeroes ------------------------------------------------------------------------------------
 */

/* Zeroes blocks [at, at + n) of the area, in the copy as well. */
static void zero(struct disk *d, uint32_t at, uint32_t n, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes s =
		segment(d->area + at * d->block, n * d->block, flags);
	uint8_t status = do_segments(d, VIRTIO_BLK_T_WRITE_ZEROES, &s, 1);

	need(d->r, "BLK-DEV-033", status == VIRTIO_BLK_S_OK, "write zeroes to succeed",
	     "status %u, flags %u", status, flags);
	memset(area() + at * d->block * SECTOR, 0, n * d->block * SECTOR);
}

static void check_zeroes(struct run *r)
{
	const uint32_t off = offsetof(struct virtio_blk_config, max_write_zeroes_sectors);
	struct disk d;

	disk_start_writable(r, &d, DRV_ALL_FEATURES);
	for (uint32_t flags = 0; flags <= UNMAP; flags += UNMAP) {
		disk_scribble(&d, area());
		zero(&d, 1, 1, flags);
		if (fit(r, off, 3 * d.block) == 3 * d.block)
			zero(&d, 4, 3, flags);
		expect(r, "BLK-DEV-033", disk_unchanged(&d, area()),
		       "the range to read as zeroes, and its neighbours as before",
		       "other data, unmap %u", flags);
	}
}

static void check_zeroes_segments(struct run *r)
{
	struct virtio_blk_discard_write_zeroes s[DISK_AREA_BLOCKS / 2];
	uint32_t n;
	uint8_t status;
	struct disk d;

	disk_start_writable(r, &d, DRV_ALL_FEATURES);
	n = max_segments(r, VIRTIO_BLK_T_WRITE_ZEROES);
	if (n > DISK_AREA_BLOCKS / 2)
		n = DISK_AREA_BLOCKS / 2;
	disk_scribble(&d, area());
	for (uint32_t i = 0; i < n; i++) {
		s[i] = segment(d.area + 2 * i * d.block, d.block, i % 2 ? UNMAP : 0);
		memset(area() + 2 * i * d.block * SECTOR, 0, d.block * SECTOR);
	}
	status = do_segments(&d, VIRTIO_BLK_T_WRITE_ZEROES, s, n);
	need(r, "BLK-DEV-033", status == VIRTIO_BLK_S_OK, "write zeroes to succeed", "status %u",
	     status);
	expect(r, "BLK-DEV-033", disk_unchanged(&d, area()),
	       "each range to read as zeroes, and what is between them as before",
	       "other data, %u segments", n);
}

/* Writes are not held back behind what zeroes the same sectors afterwards, nor lost after it. */
static void check_zeroes_random(struct run *r)
{
	struct disk d;

	disk_start_writable(r, &d, DRV_ALL_FEATURES);
	disk_scribble(&d, area());
	for (unsigned i = 0; i < 150; i++) {
		uint32_t at = run_random(r, DISK_AREA_BLOCKS);
		uint8_t *bytes = area() + at * d.block * SECTOR;

		if (run_random(r, 2)) {
			zero(&d, at, 1, run_random(r, 2) * UNMAP);
		} else {
			memset(bytes, 1 + (int)run_random(r, 255), d.block * SECTOR);
			disk_write(&d, d.area + at * d.block, bytes, d.block);
		}
		need(r, "BLK-DEV-033", disk_unchanged(&d, area()),
		     "what was written or zeroed last", "other data after %u requests", i + 1);
	}
}

/* ---- what does not fit -------------------------------------------------------------------------
 */

static void fails(struct disk *d, uint32_t type, uint64_t sector, uint32_t n)
{
	struct virtio_blk_discard_write_zeroes s = segment(sector, n, 0);
	uint8_t status = do_segments(d, type, &s, 1);

	expect(d->r, "BLK-IMP-004", status == VIRTIO_BLK_S_IOERR,
	       "S_IOERR for sectors beyond the capacity", "status %u (%u at %llu)", status, n,
	       (unsigned long long)sector);
}

static void beyond(struct run *r, uint32_t type)
{
	uint8_t first[DISK_MAX_DATA], last[DISK_MAX_DATA], now[DISK_MAX_DATA];
	uint64_t end;
	struct disk d;

	disk_start_writable(r, &d, DRV_ALL_FEATURES);
	end = d.capacity / d.block * d.block - d.block;
	disk_read(&d, 0, first, d.block);
	disk_read(&d, end, last, d.block);
	fails(&d, type, d.capacity, d.block);
	fails(&d, type, end, 2 * d.block);
	fails(&d, type, UINT64_MAX, 1);
	fails(&d, type, UINT64_MAX - d.block + 1, 2 * d.block);
	fails(&d, type, UINT64_C(1) << 55, d.block); /* 0, in bytes */
	fails(&d, type, UINT64_C(1) << 63, d.block);
	disk_read(&d, 0, now, d.block);
	expect(r, "BLK-IMP-004", memcmp(first, now, d.block * SECTOR) == 0,
	       "the first block to be left alone", "it changed");
	disk_read(&d, end, now, d.block);
	expect(r, "BLK-IMP-004", memcmp(last, now, d.block * SECTOR) == 0,
	       "the last block to be left alone", "it changed");
}

static void check_discard_beyond(struct run *r)
{
	beyond(r, VIRTIO_BLK_T_DISCARD);
}

static void check_write_zeroes_beyond(struct run *r)
{
	beyond(r, VIRTIO_BLK_T_WRITE_ZEROES);
}

/* Data that is no whole number of segments. */
static void lengths(struct run *r, uint32_t type)
{
	static const uint32_t bad[] = {1, 4, 15, 17, 24, 31};
	struct virtio_blk_discard_write_zeroes s[2];
	struct disk d;

	disk_start_writable(r, &d, DRV_ALL_FEATURES);
	disk_scribble(&d, area());
	s[0] = s[1] = segment(d.area, d.block, 0);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct drv_blk_req req = {.type = type, .out = s, .out_len = bad[i]};

		disk_do(&d, &req);
		expect(r, "BLK-IMP-004",
		       req.status == VIRTIO_BLK_S_IOERR || req.status == VIRTIO_BLK_S_UNSUPP,
		       "an error for a part of a segment", "status %u for %u bytes", req.status,
		       bad[i]);
	}
	expect(r, "BLK-IMP-004", disk_unchanged(&d, area()),
	       "nothing to be done for a part of a segment", "data changed");
}

static void check_discard_lengths(struct run *r)
{
	lengths(r, VIRTIO_BLK_T_DISCARD);
}

static void check_write_zeroes_lengths(struct run *r)
{
	lengths(r, VIRTIO_BLK_T_WRITE_ZEROES);
}

/* Well-behaved discards succeed; what they leave is anything, elsewhere nothing changes. */
static void check_discard_elsewhere(struct run *r)
{
	struct virtio_blk_discard_write_zeroes s;
	uint8_t now[DISK_MAX_DATA], status;
	uint32_t len;
	struct disk d;

	disk_start_writable(r, &d, DRV_ALL_FEATURES);
	disk_scribble(&d, area());
	len = d.block * SECTOR;
	s = segment(d.area + d.block, d.block, 0);
	status = do_segments(&d, VIRTIO_BLK_T_DISCARD, &s, 1);
	need(r, "BLK-IMP-001", status == VIRTIO_BLK_S_OK, "a discard to succeed", "status %u",
	     status);
	disk_read(&d, d.area, now, DISK_AREA_BLOCKS * d.block);
	expect(r, "BLK-IMP-001",
	       memcmp(now, area(), len) == 0 &&
		       memcmp(now + 2 * len, area() + 2 * len, (DISK_AREA_BLOCKS - 2) * len) == 0,
	       "a discard to touch its own sectors only, in units of 512 bytes", "others changed");
}

#define SEGMENT_CHECK(n, rows_, f, k, text, fn)                                                    \
	{                                                                                          \
		.name = n, .rows = rows_ " " DISK_ROWS, .how = text, .kind = k, .ways = WAY_ANY,   \
		.device = VIRTIO_ID_BLOCK, .features = f, .run = fn,                               \
	}

static const struct check checks[] = {
	SEGMENT_CHECK("blk-discard-flags", "BLK-DEV-029", DISCARD, CHECK_REQUIREMENT,
		      "Discards with each unknown flag end with S_UNSUPP, nothing is done.",
		      check_discard_flags),
	SEGMENT_CHECK("blk-write-zeroes-flags", "BLK-DEV-029", WRITE_ZEROES, CHECK_REQUIREMENT,
		      "Write zeroes with each unknown flag ends with S_UNSUPP, nothing is done.",
		      check_write_zeroes_flags),
	SEGMENT_CHECK("blk-flags-later", "BLK-DEV-029", 0, CHECK_REQUIREMENT,
		      "An unknown flag in the second segment ends with S_UNSUPP.",
		      check_flags_later),
	SEGMENT_CHECK("blk-discard-unmap", "BLK-DEV-030", DISCARD, CHECK_REQUIREMENT,
		      "A discard with the unmap flag ends with S_UNSUPP, nothing is done.",
		      check_discard_unmap),
	SEGMENT_CHECK("blk-discard-elsewhere", "BLK-IMP-001", DISCARD, CHECK_REQUIREMENT,
		      "Discards one block; the others are as before.", check_discard_elsewhere),
	SEGMENT_CHECK("blk-write-zeroes", "BLK-DEV-033", WRITE_ZEROES, CHECK_REQUIREMENT,
		      "Zeroes ranges, with unmap and without, and reads them.", check_zeroes),
	SEGMENT_CHECK("blk-write-zeroes-segments", "BLK-DEV-033", WRITE_ZEROES, CHECK_REQUIREMENT,
		      "Zeroes several ranges in one request and reads them.",
		      check_zeroes_segments),
	SEGMENT_CHECK("blk-write-zeroes-random", "BLK-DEV-033", WRITE_ZEROES, CHECK_STRESS,
		      "150 writes and write zeroes in turns, read after each.",
		      check_zeroes_random),
	SEGMENT_CHECK("blk-discard-beyond", "BLK-IMP-004", DISCARD, CHECK_ROBUSTNESS,
		      "Discards beyond the capacity fail and touch nothing.", check_discard_beyond),
	SEGMENT_CHECK("blk-write-zeroes-beyond", "BLK-IMP-004", WRITE_ZEROES, CHECK_ROBUSTNESS,
		      "Write zeroes beyond the capacity fails and touches nothing.",
		      check_write_zeroes_beyond),
	SEGMENT_CHECK("blk-discard-lengths", "BLK-IMP-004", DISCARD, CHECK_ROBUSTNESS,
		      "Discards with a part of a segment fail and touch nothing.",
		      check_discard_lengths),
	SEGMENT_CHECK("blk-write-zeroes-lengths", "BLK-IMP-004", WRITE_ZEROES, CHECK_ROBUSTNESS,
		      "Write zeroes with a part of a segment fails and touches nothing.",
		      check_write_zeroes_lengths),
};

const struct check_list checks_blk_segments = {checks, sizeof(checks) / sizeof(checks[0])};
