/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-blk beyond reading and writing: discard and write-zeroes, cache mode, identity, resizing,
 * several queues.
 */
#include <endian.h>
#include <errno.h>
#include <stddef.h>

#include "disk.h"

/* A segment of a discard or write-zeroes request. */
struct seg {
	uint64_t sector;
	uint32_t num_sectors;
	uint32_t flags;
};

#define UNMAP VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP

/* ---- discard and write-zeroes ------------------------------------------------------------------
 */

/* Sends `bytes` bytes of segments, 16 each, and returns the status. */
static uint8_t do_segments(struct disk *d, uint32_t type, const struct seg *seg, uint32_t bytes)
{
	struct virtio_blk_discard_write_zeroes raw[32];
	struct drv_blk_req r = {.type = type, .out = raw, .out_len = bytes};

	for (uint32_t i = 0; i < (bytes + 15) / 16; i++) {
		raw[i].sector = htole64(seg[i].sector);
		raw[i].num_sectors = htole32(seg[i].num_sectors);
		raw[i].flags = htole32(seg[i].flags);
	}
	MUST(drv_blk_do(&d->blk, 0, &r));
	CU_ASSERT_EQUAL(r.used_len, 1);
	CU_ASSERT_FALSE(r.damaged);
	return r.status;
}

static bool zero(const struct disk *d, uint64_t sector, uint64_t n)
{
	const uint8_t *at = drv_held_bytes(d->held) + sector * 512;

	for (uint64_t i = 0; i < n * 512; i++)
		if (at[i] != 0)
			return false;
	return true;
}

static void test_write_zeroes(void) /* BLK-DEV-033 */
{
	struct disk d;

	disk_init(&d, DRV_MMIO);
	for (uint32_t flags = 0; flags <= UNMAP; flags++) {
		const struct seg seg = {
			.sector = 100 + flags * 50, .num_sectors = 20, .flags = flags};

		CU_ASSERT_EQUAL(do_segments(&d, VIRTIO_BLK_T_WRITE_ZEROES, &seg, sizeof(seg)),
				VIRTIO_BLK_S_OK);
		CU_ASSERT_TRUE(zero(&d, 100 + flags * 50, 20));
	}
	CU_ASSERT_TRUE(disk_untouched(&d, 0, 100 * 512));
	CU_ASSERT_TRUE(disk_untouched(&d, 120 * 512, 30 * 512));
	CU_ASSERT_TRUE(disk_untouched(&d, 170 * 512, 512));
	CU_ASSERT_EQUAL(drv_held_seen(d.held, VIO_IO_WRITE_ZEROES, 0), 2);
	CU_ASSERT_EQUAL(drv_held_seen(d.held, VIO_IO_WRITE_ZEROES, VIO_IO_UNMAP), 1);
	disk_fini(&d);
}

static void test_several_segments(void)
{
	struct seg seg[16];
	struct disk d;

	disk_init(&d, DRV_MMIO);
	for (unsigned n = 1; n <= 16; n++) {
		for (unsigned i = 0; i < n; i++)
			seg[i] = (struct seg){.sector = n * 64 + i * 2, .num_sectors = 1};
		CU_ASSERT_EQUAL(
			do_segments(&d, n % 2 ? VIRTIO_BLK_T_DISCARD : VIRTIO_BLK_T_WRITE_ZEROES,
				    seg, n * (uint32_t)sizeof(*seg)),
			VIRTIO_BLK_S_OK);
		for (unsigned i = 0; i < n; i++) {
			CU_ASSERT_TRUE(zero(&d, n * 64 + i * 2, 1));
			CU_ASSERT_TRUE(disk_untouched(&d, (n * 64 + i * 2 + 1) * 512, 512));
		}
	}
	disk_fini(&d);
}

struct bad_segments {
	const char *what;
	struct seg seg[3];
	uint32_t bytes;
	uint8_t discard; /* status */
	uint8_t zeroes;
};

/* Refused as a whole: nothing of such a request is executed. */
static void test_bad_segments(void) /* BLK-DEV-029, BLK-DEV-030, BLK-IMP-004 */
{
	const uint8_t ok = VIRTIO_BLK_S_OK, err = VIRTIO_BLK_S_IOERR, unsupp = VIRTIO_BLK_S_UNSUPP;
	const struct bad_segments bad[] = {
		{"unmap", {{1, 1, UNMAP}}, 16, unsupp, ok},
		{"unknown flag", {{1, 1, 2}}, 16, unsupp, unsupp},
		{"all flags", {{1, 1, UINT32_MAX}}, 16, unsupp, unsupp},
		{"highest flag in the second", {{1, 1, 0}, {3, 1, 1u << 31}}, 32, unsupp, unsupp},
		{"at the end", {{DISK_SECTORS, 1, 0}}, 16, err, err},
		{"over the end", {{DISK_SECTORS - 1, 2, 0}}, 16, err, err},
		{"over the end in the second", {{1, 1, 0}, {DISK_SECTORS - 1, 2, 0}}, 32, err, err},
		{"wraps", {{UINT64_MAX, 2, 0}}, 16, err, err},
		{"wraps in bytes", {{UINT64_MAX / 512 + 1, 1, 0}}, 16, err, err},
		{"very long", {{0, UINT32_MAX, 0}}, 16, err, err},
		{"no segment", {{0, 0, 0}}, 0, err, err},
		{"half a segment", {{1, 1, 0}}, 8, err, err},
		{"one and a half", {{1, 1, 0}, {3, 1, 0}}, 24, err, err},
		{"17 bytes", {{1, 1, 0}, {3, 1, 0}}, 17, err, err},
	};
	struct disk d;

	disk_init(&d, DRV_MMIO);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(bad); i++) {
		unsigned before = disk_submitted(&d);
		uint8_t discard = do_segments(&d, VIRTIO_BLK_T_DISCARD, bad[i].seg, bad[i].bytes);
		uint8_t zeroes = bad[i].zeroes == ok ? ok
						     : do_segments(&d, VIRTIO_BLK_T_WRITE_ZEROES,
								   bad[i].seg, bad[i].bytes);

		if (discard != bad[i].discard || zeroes != bad[i].zeroes)
			printf("\n  %s: %u, %u", bad[i].what, discard, zeroes);
		CU_ASSERT_EQUAL(discard, bad[i].discard);
		CU_ASSERT_EQUAL(zeroes, bad[i].zeroes);
		CU_ASSERT_EQUAL(disk_submitted(&d), before);
	}
	CU_ASSERT_TRUE(disk_untouched(&d, 0, DISK_SIZE));
	disk_fini(&d);
}

/* One segment more than the device says it takes, and one sector more. */
static void test_segment_limits(void)
{
	const struct vio_storage_info large = {.size = UINT64_C(1) << 50,
					       .logical_block = 512,
					       .physical_block = 512,
					       .discard_granularity = 512,
					       .discard = true,
					       .write_zeroes = true};
	const uint32_t type[] = {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES};
	const uint32_t seg_at[] = {offsetof(struct virtio_blk_config, max_discard_seg),
				   offsetof(struct virtio_blk_config, max_write_zeroes_seg)};
	const uint32_t sectors_at[] = {
		offsetof(struct virtio_blk_config, max_discard_sectors),
		offsetof(struct virtio_blk_config, max_write_zeroes_sectors)};
	struct seg seg[32];
	struct disk d;

	disk_make(&d, DRV_MMIO, NULL, &large);
	disk_start(&d, DRV_ALL_FEATURES);
	drv_held_fail(d.held, VIO_IO_DISCARD, -EIO); /* it has not that much memory */
	drv_held_fail(d.held, VIO_IO_WRITE_ZEROES, -EIO);
	for (unsigned i = 0; i < 2; i++) {
		uint32_t max = (uint32_t)drv_config_field(d.bus, seg_at[i], 4);
		uint32_t sectors = (uint32_t)drv_config_field(d.bus, sectors_at[i], 4);
		unsigned before = disk_submitted(&d);

		CU_ASSERT_FATAL(max < VIO_ARRAY_LEN(seg));
		for (uint32_t k = 0; k <= max; k++)
			seg[k] = (struct seg){.sector = k, .num_sectors = 1};
		do_segments(&d, type[i], seg, max * 16);
		CU_ASSERT_EQUAL(disk_submitted(&d), before + 1); /* taken, and then failed */
		do_segments(&d, type[i], seg, (max + 1) * 16);
		CU_ASSERT_EQUAL(disk_submitted(&d), before + 1);
		seg[0].num_sectors = sectors;
		do_segments(&d, type[i], seg, 16);
		CU_ASSERT_EQUAL(disk_submitted(&d), before + 2);
		seg[0].num_sectors = sectors + 1;
		CU_ASSERT_EQUAL(do_segments(&d, type[i], seg, 16), VIRTIO_BLK_S_IOERR);
		CU_ASSERT_EQUAL(disk_submitted(&d), before + 2);
	}
	disk_fini(&d);
}

static void test_segments_not_negotiated(void)
{
	const struct seg seg = {.sector = 1, .num_sectors = 1};
	struct disk d;

	disk_make(&d, DRV_MMIO, NULL, NULL);
	disk_start(&d, 0);
	CU_ASSERT_EQUAL(do_segments(&d, VIRTIO_BLK_T_DISCARD, &seg, 16), VIRTIO_BLK_S_UNSUPP);
	CU_ASSERT_EQUAL(do_segments(&d, VIRTIO_BLK_T_WRITE_ZEROES, &seg, 16), VIRTIO_BLK_S_UNSUPP);
	CU_ASSERT_EQUAL(disk_submitted(&d), 0);
	disk_fini(&d);
}

/* The engine fails one of several segments, which are given to it one after the other. */
static void test_segment_fails(void)
{
	const struct seg seg[3] = {{.sector = 1, .num_sectors = 1},
				   {.sector = 3, .num_sectors = 1},
				   {.sector = 5, .num_sectors = 1}};
	struct drv_blk_req r = {
		.type = VIRTIO_BLK_T_WRITE_ZEROES, .out = seg, .out_len = sizeof(seg)};
	struct disk d;

	disk_init(&d, DRV_MMIO);
	drv_held_hold(d.held, true);
	MUST(drv_blk_submit(&d.blk, 0, &r));
	drv_device_settle(&d.drv);
	while (drv_held_count(d.held) > 0) {
		bool second = zero(&d, 1, 1);

		drv_held_fail(d.held, VIO_IO_WRITE_ZEROES, second ? -EIO : 0);
		drv_held_release(d.held, 1, false);
	}
	CU_ASSERT_EQUAL(drv_blk_poll(&d.blk, 0), 1);
	CU_ASSERT_TRUE(r.done);
	CU_ASSERT_EQUAL(r.status, VIRTIO_BLK_S_IOERR);
	CU_ASSERT_TRUE(disk_untouched(&d, 3 * 512, 512));
	disk_fini(&d);
}

/* ---- cache mode --------------------------------------------------------------------------------
 */

#define WCE_AT offsetof(struct virtio_blk_config, wce)

static void set_wce(struct disk *d, uint8_t value)
{
	drv_config_write(d->bus, WCE_AT, &value, 1);
}

/* Does the engine get writes that must be stable? */
static bool writes_through(struct disk *d)
{
	unsigned before = drv_held_seen(d->held, VIO_IO_WRITE, VIO_IO_FUA);
	uint8_t buf[512] = {0};

	CU_ASSERT_EQUAL(drv_blk_write(&d->blk, 9, buf, 512), VIRTIO_BLK_S_OK);
	return drv_held_seen(d->held, VIO_IO_WRITE, VIO_IO_FUA) > before;
}

static void test_cache_mode(void) /* BLK-IMP-007, BLK-DEV-037 */
{
	struct disk d;

	disk_init(&d, DRV_MMIO);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, WCE_AT, 1), 1);
	CU_ASSERT_FALSE(writes_through(&d));
	set_wce(&d, 0);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, WCE_AT, 1), 0);
	CU_ASSERT_TRUE(writes_through(&d));
	set_wce(&d, 1);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, WCE_AT, 1), 1);
	CU_ASSERT_FALSE(writes_through(&d));
	/* The next driver begins with the device's own choice. */
	set_wce(&d, 0);
	disk_start(&d, DRV_ALL_FEATURES);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, WCE_AT, 1), 1);
	CU_ASSERT_FALSE(writes_through(&d));
	disk_fini(&d);
}

/* Without a way to flush every completed write is stable; so it is without a say in it. */
static void test_cache_mode_by_features(void) /* BLK-DEV-004, BLK-DEV-037 */
{
	const uint64_t flush = DRV_FEATURE(VIRTIO_BLK_F_FLUSH),
		       wce = DRV_FEATURE(VIRTIO_BLK_F_CONFIG_WCE);
	struct disk d;

	disk_make(&d, DRV_MMIO, NULL, NULL);
	disk_start(&d, 0);
	CU_ASSERT_TRUE(writes_through(&d));
	set_wce(&d, 1); /* not negotiated: no effect */
	CU_ASSERT_TRUE(writes_through(&d));
	disk_start(&d, wce);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, WCE_AT, 1), 0);
	CU_ASSERT_TRUE(writes_through(&d));
	disk_start(&d, flush);
	CU_ASSERT_FALSE(writes_through(&d));
	disk_start(&d, flush | wce);
	CU_ASSERT_FALSE(writes_through(&d));
	disk_fini(&d);
}

static void test_writethrough_disk(void)
{
	const struct vio_blk_config cfg = {.writethrough = true};
	const struct seg seg = {.sector = 1, .num_sectors = 1};
	struct disk d;

	disk_make(&d, DRV_MMIO, &cfg, NULL);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, WCE_AT, 1), 0);
	disk_start(&d, DRV_ALL_FEATURES);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, WCE_AT, 1), 0);
	CU_ASSERT_TRUE(writes_through(&d));
	CU_ASSERT_EQUAL(do_segments(&d, VIRTIO_BLK_T_WRITE_ZEROES, &seg, 16), VIRTIO_BLK_S_OK);
	CU_ASSERT_EQUAL(drv_held_seen(d.held, VIO_IO_WRITE_ZEROES, VIO_IO_FUA), 1);
	set_wce(&d, 1);
	CU_ASSERT_FALSE(writes_through(&d));
	disk_fini(&d);
}

static void test_flush(void)
{
	struct disk d;

	disk_init(&d, DRV_MMIO);
	CU_ASSERT_EQUAL(drv_blk_flush(&d.blk), VIRTIO_BLK_S_OK);
	CU_ASSERT_EQUAL(drv_held_seen(d.held, VIO_IO_FLUSH, 0), 1);
	drv_held_fail(d.held, VIO_IO_FLUSH, -EIO);
	CU_ASSERT_EQUAL(drv_blk_flush(&d.blk), VIRTIO_BLK_S_IOERR);
	disk_fini(&d);
}

/* ---- identity ----------------------------------------------------------------------------------
 */

static void test_get_id(void) /* BLK-IMP-005 */
{
	static const char *const ids[] = {"", "x", "serial-0815", "12345678901234567890"};

	for (unsigned i = 0; i < VIO_ARRAY_LEN(ids); i++) {
		const struct vio_blk_config cfg = {.id = ids[i]};
		struct disk d;

		disk_make(&d, DRV_MMIO, &cfg, NULL);
		disk_start(&d, DRV_ALL_FEATURES);
		for (uint32_t len = 0; len <= 40; len += 4) {
			uint8_t got[40], want[40] = {0};
			struct drv_blk_req r = {
				.type = VIRTIO_BLK_T_GET_ID, .in = got, .in_len = len};
			uint32_t n = len < 20 ? len : 20;

			memcpy(want, ids[i], strlen(ids[i]));
			MUST(drv_blk_do(&d.blk, 0, &r));
			CU_ASSERT_EQUAL(r.status, VIRTIO_BLK_S_OK);
			CU_ASSERT_EQUAL(memcmp(got, want, n), 0);
			CU_ASSERT_FALSE(r.damaged);
			/* the status byte counts where it follows what was written */
			CU_ASSERT_EQUAL(r.used_len, len <= 20 ? n + 1 : n);
		}
		disk_fini(&d);
	}
}

/* ---- resizing ----------------------------------------------------------------------------------
 */

static void test_resize(void) /* BLK-DEV-025, BLK-DEV-026 */
{
	const uint32_t at = offsetof(struct virtio_blk_config, capacity);
	uint64_t generation;
	uint8_t buf[512];
	struct disk d;

	disk_make(&d, DRV_MMIO, NULL, NULL);
	drv_held_resize(d.held, DISK_SIZE / 2);
	CU_ASSERT_EQUAL(vio_blk_refresh(d.dev), 1);
	disk_start(&d, DRV_ALL_FEATURES);
	CU_ASSERT_EQUAL(drv_irq_take(d.bus, DRV_IRQ_CONFIG), 0); /* nobody was there to be told */
	CU_ASSERT_EQUAL(drv_config_field(d.bus, at, 8), DISK_SECTORS / 2);
	CU_ASSERT_EQUAL(drv_blk_read(&d.blk, DISK_SECTORS / 2, buf, 512), VIRTIO_BLK_S_IOERR);

	generation = drv_get(d.bus, DRV_GENERATION, 0);
	drv_held_resize(d.held, DISK_SIZE);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, at, 8), DISK_SECTORS / 2);
	CU_ASSERT_EQUAL(vio_blk_refresh(d.dev), 1);
	CU_ASSERT_EQUAL(drv_irq_take(d.bus, DRV_IRQ_CONFIG), 1);
	CU_ASSERT_NOT_EQUAL(drv_get(d.bus, DRV_GENERATION, 0), generation);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, at, 8), DISK_SECTORS);
	CU_ASSERT_EQUAL(drv_blk_read(&d.blk, DISK_SECTORS - 1, buf, 512), VIRTIO_BLK_S_OK);

	generation = drv_get(d.bus, DRV_GENERATION, 0);
	CU_ASSERT_EQUAL(vio_blk_refresh(d.dev), 0);
	CU_ASSERT_EQUAL(drv_irq_take(d.bus, DRV_IRQ_CONFIG), 0);
	CU_ASSERT_EQUAL(drv_get(d.bus, DRV_GENERATION, 0), generation);

	drv_held_resize(d.held, 1024);
	CU_ASSERT_EQUAL(vio_blk_refresh(d.dev), 1);
	CU_ASSERT_EQUAL(drv_blk_read(&d.blk, 2, buf, 512), VIRTIO_BLK_S_IOERR);
	CU_ASSERT_EQUAL(drv_blk_read(&d.blk, 1, buf, 512), VIRTIO_BLK_S_OK);
	disk_fini(&d);
}

/* ---- several queues ----------------------------------------------------------------------------
 */

static void test_queues(void) /* BLK-IMP-006 */
{
	const struct vio_blk_config cfg = {.queues = 5, .queue_size = 16};
	struct disk d;

	disk_make(&d, DRV_PCI_MSIX, &cfg, NULL);
	disk_start(&d, DRV_ALL_FEATURES);
	CU_ASSERT_EQUAL(d.drv.n_queues, 5);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, offsetof(struct virtio_blk_config, num_queues), 2),
			5);
	for (uint16_t i = 0; i < 50; i++) {
		uint16_t q = i % 5;
		uint8_t buf[512];
		struct drv_blk_req r = {.sector = i, .in = buf, .in_len = 512};

		drv_queue_irq_on(&d.drv.queue[q]);
		MUST(drv_blk_do(&d.blk, q, &r));
		CU_ASSERT_EQUAL(r.status, VIRTIO_BLK_S_OK);
		CU_ASSERT_EQUAL(memcmp(buf, drv_held_bytes(d.held) + i * 512, 512), 0);
		for (uint16_t k = 0; k < 5; k++) /* the queue's own interrupt, no other */
			CU_ASSERT_EQUAL(drv_irq_take(d.bus, k), k == q);
	}
	disk_fini(&d);
}

/* A driver without MQ uses the first queue of several. */
static void test_queues_without_mq(void)
{
	const struct vio_blk_config cfg = {.queues = 4};
	const struct drv_device_config drv = {.features = 0, .n_queues = 1};
	uint8_t buf[512];
	struct disk d;

	disk_make(&d, DRV_MMIO, &cfg, NULL);
	MUST(drv_device_start(&d.drv, &drv));
	MUST(drv_blk_init(&d.blk, &d.drv, 1 << 20));
	CU_ASSERT_EQUAL(drv_blk_read(&d.blk, 5, buf, 512), VIRTIO_BLK_S_OK);
	CU_ASSERT_EQUAL(memcmp(buf, drv_held_bytes(d.held) + 5 * 512, 512), 0);
	disk_fini(&d);
}

static CU_TestInfo tests[] = {
	{"write zeroes", test_write_zeroes},
	{"several segments", test_several_segments},
	{"segments that are refused", test_bad_segments},
	{"limits of segments", test_segment_limits},
	{"discard and write zeroes not negotiated", test_segments_not_negotiated},
	{"one segment fails", test_segment_fails},
	{"cache mode", test_cache_mode},
	{"cache mode by features", test_cache_mode_by_features},
	{"a write-through disk", test_writethrough_disk},
	{"flush", test_flush},
	{"GET_ID", test_get_id},
	{"resize", test_resize},
	{"several queues", test_queues},
	{"several queues, one used", test_queues_without_mq},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("blk_ops", tests);
}
