/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-blk: configuration, reading and writing in any framing, statuses and used lengths.
 * Discard, write-zeroes, cache mode, identity and resizing are in test_blk_ops.c.
 */
#include <errno.h>
#include <stddef.h>

#include "disk.h"

#define CONF(field)                                                                                \
	offsetof(struct virtio_blk_config, field),                                                 \
		(uint32_t)sizeof(((struct virtio_blk_config *)0)->field)

/* ---- configuration -----------------------------------------------------------------------------
 */

static void test_config_layout(void) /* BASIC-IMP-005, BLK-DEV-005, BLK-IMP-001, BLK-IMP-006 */
{
	const struct vio_blk_config cfg = {
		.queues = 3, .queue_size = 128, .size_max = 0x12345, .geometry = true};
	const struct vio_storage_info info = {.size = DISK_SIZE,
					      .logical_block = 1024,
					      .physical_block = 4096,
					      .optimal_io = 65536,
					      .discard_granularity = 8192,
					      .discard = true,
					      .write_zeroes = true,
					      .may_unmap = true};
	struct disk d;

	disk_make(&d, DRV_MMIO, &cfg, &info);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, CONF(capacity)), DISK_SECTORS);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, CONF(size_max)), 0x12345);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, CONF(seg_max)), 126);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, CONF(geometry.heads)), 16);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, CONF(geometry.sectors)), 63);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, CONF(geometry.cylinders)), DISK_SECTORS / 16 / 63);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, CONF(blk_size)), 1024);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, CONF(physical_block_exp)), 2);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, CONF(alignment_offset)), 0);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, CONF(min_io_size)), 4);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, CONF(opt_io_size)), 64);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, CONF(wce)), 1);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, CONF(unused)), 0);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, CONF(num_queues)), 3);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, CONF(discard_sector_alignment)), 16);
	CU_ASSERT(drv_config_field(d.bus, CONF(max_discard_sectors)) > 0);
	CU_ASSERT(drv_config_field(d.bus, CONF(max_discard_seg)) > 0);
	CU_ASSERT(drv_config_field(d.bus, CONF(max_write_zeroes_sectors)) > 0);
	CU_ASSERT(drv_config_field(d.bus, CONF(max_write_zeroes_seg)) > 0);
	CU_ASSERT_EQUAL(drv_config_field(d.bus, CONF(write_zeroes_may_unmap)), 1);
	for (uint32_t i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(
			drv_config_field(d.bus, offsetof(struct virtio_blk_config, unused1) + i, 1),
			0);
	CU_ASSERT_EQUAL(drv_get(d.bus, DRV_DEVICE_ID, 0), 2);
	CU_ASSERT_EQUAL(drv_get(d.bus, DRV_QUEUE_MAX, 2), 128);
	CU_ASSERT_EQUAL(drv_get(d.bus, DRV_QUEUE_MAX, 3), 0);
	disk_fini(&d);
}

static uint64_t offered(const struct vio_blk_config *cfg, const struct vio_storage_info *info)
{
	uint64_t f;
	struct disk d;

	disk_make(&d, DRV_MMIO, cfg, info);
	f = drv_offered(d.bus);
	disk_fini(&d);
	return f;
}

static bool has(uint64_t features, unsigned bit)
{
	return features >> bit & 1;
}

static void test_features(void) /* BLK-DEV-002, BLK-DEV-003, BLK-DEV-006, BASIC-DEV-007 */
{
	static const unsigned always[] = {VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_BLK_SIZE,
					  VIRTIO_BLK_F_TOPOLOGY, VIRTIO_BLK_F_FLUSH,
					  VIRTIO_BLK_F_CONFIG_WCE};
	/* BARRIER, SCSI, LIFETIME, SECURE_ERASE, ZONED */
	static const unsigned never[] = {0, 7, 15, 16, 17, 8, 3, 18, 23};
	const struct vio_storage_info plain = {
		.size = DISK_SIZE, .logical_block = 512, .physical_block = 512};
	struct vio_storage_info ro = plain;
	uint64_t f = offered(NULL, NULL);

	for (unsigned i = 0; i < VIO_ARRAY_LEN(always); i++)
		CU_ASSERT_TRUE(has(f, always[i]));
	for (unsigned i = 0; i < VIO_ARRAY_LEN(never); i++)
		CU_ASSERT_FALSE(has(f, never[i]));
	CU_ASSERT_TRUE(has(f, VIRTIO_BLK_F_DISCARD));
	CU_ASSERT_TRUE(has(f, VIRTIO_BLK_F_WRITE_ZEROES));
	CU_ASSERT_FALSE(has(f, VIRTIO_BLK_F_RO));
	CU_ASSERT_FALSE(has(f, VIRTIO_BLK_F_MQ));
	CU_ASSERT_FALSE(has(f, VIRTIO_BLK_F_SIZE_MAX));
	CU_ASSERT_FALSE(has(f, VIRTIO_BLK_F_GEOMETRY));

	f = offered(&(struct vio_blk_config){.queues = 2, .size_max = 4096, .geometry = true},
		    NULL);
	CU_ASSERT_TRUE(has(f, VIRTIO_BLK_F_MQ));
	CU_ASSERT_TRUE(has(f, VIRTIO_BLK_F_SIZE_MAX));
	CU_ASSERT_TRUE(has(f, VIRTIO_BLK_F_GEOMETRY));

	f = offered(&(struct vio_blk_config){.no_discard = true}, NULL);
	CU_ASSERT_FALSE(has(f, VIRTIO_BLK_F_DISCARD));
	CU_ASSERT_FALSE(has(f, VIRTIO_BLK_F_WRITE_ZEROES));
	f = offered(NULL, &plain);
	CU_ASSERT_FALSE(has(f, VIRTIO_BLK_F_DISCARD));
	CU_ASSERT_FALSE(has(f, VIRTIO_BLK_F_WRITE_ZEROES));

	f = offered(&(struct vio_blk_config){.readonly = true}, NULL);
	CU_ASSERT_TRUE(has(f, VIRTIO_BLK_F_RO));
	CU_ASSERT_FALSE(has(f, VIRTIO_BLK_F_DISCARD));
	ro.readonly = true;
	CU_ASSERT_TRUE(has(offered(NULL, &ro), VIRTIO_BLK_F_RO));
}

static void test_create_refuses(void)
{
	const struct vio_blk_config bad[] = {
		{.queue_size = 1},
		{.queue_size = 3},
		{.queue_size = 2048},
		{.queue_size = 0xffff},
		{.queues = VIO_DEVICE_MAX_QUEUES + 1},
		{.queues = 0xffff},
		{.id = "123456789012345678901"},
	};
	struct vio_device *dev = NULL;
	struct drv_held *held;
	struct drv_rig rig;

	MUST(drv_rig_init(&rig));
	MUST(drv_held_open(DISK_SIZE, &held));
	for (unsigned i = 0; i < VIO_ARRAY_LEN(bad); i++) {
		struct vio_blk_config cfg = bad[i];

		cfg.storage = drv_held_storage(held);
		CU_ASSERT_EQUAL(vio_blk_create(&rig.env, &cfg, &dev), -EINVAL);
		CU_ASSERT_PTR_NULL(dev);
	}
	vio_storage_close(drv_held_storage(held));
	drv_rig_fini(&rig);
}

/* ---- read, write, flush ------------------------------------------------------------------------
 */

static void test_read_write(void) /* BLK-IMP-002, BASIC-IMP-004 */
{
	static const uint32_t lengths[] = {512, 1024, 4096, 65536};
	static uint8_t buf[65536], back[65536];
	struct disk d;

	disk_init(&d, DRV_MMIO);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(lengths); i++) {
		uint32_t len = lengths[i];
		uint64_t sector = DISK_SECTORS - len / 512; /* up to the very end */
		struct drv_blk_req in = {.sector = sector, .in = buf, .in_len = len};
		struct drv_blk_req out = {
			.type = VIRTIO_BLK_T_OUT, .sector = sector, .out = buf, .out_len = len};

		MUST(drv_blk_do(&d.blk, 0, &in));
		CU_ASSERT_EQUAL(in.status, VIRTIO_BLK_S_OK);
		CU_ASSERT_EQUAL(in.used_len, len + 1);
		CU_ASSERT_EQUAL(memcmp(buf, drv_held_bytes(d.held) + sector * 512, len), 0);
		memset(buf, (int)i + 1, len);
		MUST(drv_blk_do(&d.blk, 0, &out));
		CU_ASSERT_EQUAL(out.status, VIRTIO_BLK_S_OK);
		CU_ASSERT_EQUAL(out.used_len, 1);
		CU_ASSERT_FALSE(in.damaged || out.damaged);
		CU_ASSERT_EQUAL(drv_blk_read(&d.blk, sector, back, len), VIRTIO_BLK_S_OK);
		CU_ASSERT_EQUAL(memcmp(buf, back, len), 0);
	}
	CU_ASSERT_TRUE(disk_untouched(&d, 0, DISK_SIZE - 65536));
	disk_fini(&d);
}

/* The same request in a framing; everything about the answer must be the same. */
static void one_framing(struct disk *d, const struct drv_framing *f)
{
	uint8_t data[512], expect[512], id[20];
	struct drv_blk_req in = {.sector = 3, .in = data, .in_len = 512, .framing = f};
	struct drv_blk_req out = {
		.type = VIRTIO_BLK_T_OUT, .sector = 3, .out = expect, .out_len = 512, .framing = f};
	struct drv_blk_req flush = {.type = VIRTIO_BLK_T_FLUSH, .framing = f};
	struct drv_blk_req get_id = {
		.type = VIRTIO_BLK_T_GET_ID, .in = id, .in_len = 20, .framing = f};

	for (unsigned i = 0; i < 512; i++)
		expect[i] = (uint8_t)(i + f->first * 31 + f->rest * 17);
	MUST(drv_blk_do(&d->blk, 0, &out));
	MUST(drv_blk_do(&d->blk, 0, &in));
	MUST(drv_blk_do(&d->blk, 0, &flush));
	MUST(drv_blk_do(&d->blk, 0, &get_id));
	CU_ASSERT_EQUAL(memcmp(data, expect, 512), 0);
	CU_ASSERT_EQUAL(memcmp(drv_held_bytes(d->held) + 3 * 512, expect, 512), 0);
	CU_ASSERT_EQUAL(memcmp(id, "dut\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20), 0);
	CU_ASSERT_EQUAL(in.used_len, 513);
	CU_ASSERT_EQUAL(out.used_len, 1);
	CU_ASSERT_EQUAL(flush.used_len, 1);
	CU_ASSERT_EQUAL(get_id.used_len, 21);
	CU_ASSERT_EQUAL(in.status | out.status | flush.status | get_id.status, VIRTIO_BLK_S_OK);
	CU_ASSERT_FALSE(in.damaged || out.damaged || flush.damaged || get_id.damaged);
}

/* Bytes cut anywhere: one piece each, header with data, data with status, all in one. */
static void test_any_framing(void) /* SPLIT-DEV-003, SPLIT-DEV-005 */
{
	static const uint32_t sizes[] = {0, 1, 2, 3, 15, 16, 17, 100, 511, 512, 513};
	static const uint32_t direct[] = {DRV_DIRECT, 0, 1, 2};
	const struct vio_blk_config cfg = {.queue_size = 1024};
	const struct drv_device_config drv = {.features = DRV_ALL_FEATURES, .table_len = 600};
	struct disk d;

	disk_make(&d, DRV_MMIO, &cfg, NULL);
	MUST(drv_device_start(&d.drv, &drv));
	MUST(drv_blk_init(&d.blk, &d.drv, 1 << 20));
	for (unsigned k = 0; k < VIO_ARRAY_LEN(sizes) * VIO_ARRAY_LEN(sizes) * 4; k++) {
		const struct drv_framing f = {.first = sizes[k / 4 / VIO_ARRAY_LEN(sizes)],
					      .rest = sizes[k / 4 % VIO_ARRAY_LEN(sizes)],
					      .n_direct = direct[k % 4]};

		one_framing(&d, &f);
	}
	CU_ASSERT_EQUAL(drv_status(d.bus) & NEEDS_RESET, 0);
	disk_fini(&d);
}

/* The status byte alone in front of nothing, a header that ends early: answered, not executed. */
static void test_short_header(void)
{
	struct disk d;

	disk_init(&d, DRV_MMIO);
	for (uint32_t len = 0; len < 16; len++) {
		uint64_t gpa = drv_mem_alloc(&d.rig.mem, 64, 64);
		uint8_t *mem = drv_mem_ptr(&d.rig.mem, gpa, 64);
		struct drv_buf b[2] = {{gpa, len, false}, {gpa + 32, 1, true}};
		struct drv_used u;

		memset(mem, 0, 64);
		mem[32] = DRV_BLK_NO_STATUS;
		MUST(drv_queue_add(&d.drv.queue[0], len ? b : b + 1, len ? 2 : 1, DRV_DIRECT,
				   NULL));
		drv_device_submit(&d.drv, 0);
		CU_ASSERT_EQUAL_FATAL(drv_device_wait(&d.drv, 0, &u), 1);
		CU_ASSERT_EQUAL(mem[32], VIRTIO_BLK_S_IOERR);
		CU_ASSERT_EQUAL(u.len, 1);
	}
	CU_ASSERT_EQUAL(disk_submitted(&d), 0);
	CU_ASSERT_EQUAL(drv_status(d.bus) & NEEDS_RESET, 0);
	disk_fini(&d);
}

/* ---- errors ------------------------------------------------------------------------------------
 */

/* Beyond the capacity by one sector, by very much, and by arithmetic that wraps. */
static void test_out_of_range(void) /* BLK-IMP-004, DESIGN section 5.3 */
{
	static const struct {
		uint64_t sector;
		uint32_t len;
	} bad[] = {
		{DISK_SECTORS, 512},
		{DISK_SECTORS - 1, 1024},
		{DISK_SECTORS + 1, 512},
		{0, DISK_SIZE / 2 + 512}, /* with a capacity of half the size, below */
		{UINT64_MAX, 512},
		{UINT64_MAX / 512, 512},
		{UINT64_MAX / 512 + 1, 512}, /* times 512: 0 */
		{UINT64_MAX / 512 + 2, 512},
		{INT64_MAX, 1024},
		{UINT64_MAX - 1, 1024},
	};
	static uint8_t buf[DISK_SIZE / 2 + 512];
	struct vio_storage_info info = {
		.size = DISK_SIZE / 2, .logical_block = 512, .physical_block = 512};
	struct disk d;

	disk_make(&d, DRV_MMIO, NULL, &info);
	disk_start(&d, DRV_ALL_FEATURES);
	for (unsigned i = 0; i < 2 * VIO_ARRAY_LEN(bad); i++) {
		bool write = i % 2;
		struct drv_blk_req r = {.type = write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
					.sector = bad[i / 2].sector};

		r.out = r.in = buf;
		*(write ? &r.out_len : &r.in_len) = bad[i / 2].len;
		memset(buf, 0x3c, sizeof(buf));
		MUST(drv_blk_do(&d.blk, 0, &r));
		CU_ASSERT_EQUAL(r.status, VIRTIO_BLK_S_IOERR);
		CU_ASSERT_EQUAL(r.used_len, write ? 1 : 0);
	}
	CU_ASSERT_EQUAL(disk_submitted(&d), 0);
	CU_ASSERT_TRUE(disk_untouched(&d, 0, DISK_SIZE));
	disk_fini(&d);
}

/* Data that is no number of sectors. */
static void test_odd_length(void)
{
	static const uint32_t lengths[] = {1, 511, 513, 1023, 1025};
	uint8_t buf[2048] = {0};
	struct disk d;

	disk_init(&d, DRV_MMIO);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(lengths); i++) {
		CU_ASSERT_EQUAL(drv_blk_read(&d.blk, 0, buf, lengths[i]), VIRTIO_BLK_S_IOERR);
		CU_ASSERT_EQUAL(drv_blk_write(&d.blk, 0, buf, lengths[i]), VIRTIO_BLK_S_IOERR);
	}
	CU_ASSERT_EQUAL(disk_submitted(&d), 0);
	CU_ASSERT_TRUE(disk_untouched(&d, 0, DISK_SIZE));
	/* None at all is answered, one way or the other, and is no access. */
	CU_ASSERT(drv_blk_read(&d.blk, 0, buf, 0) <= VIRTIO_BLK_S_IOERR);
	CU_ASSERT(drv_blk_read(&d.blk, DISK_SECTORS + 1, buf, 0) == VIRTIO_BLK_S_IOERR);
	CU_ASSERT_EQUAL(disk_submitted(&d), 0);
	disk_fini(&d);
}

/* Types that are unknown, legacy, or of features that are not offered. */
static void test_unknown_types(void) /* BLK-IMP-003, BLK-DEV-042 */
{
	static const uint32_t known[] = {VIRTIO_BLK_T_IN,      VIRTIO_BLK_T_OUT,
					 VIRTIO_BLK_T_FLUSH,   VIRTIO_BLK_T_GET_ID,
					 VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES};
	struct disk d;

	disk_init(&d, DRV_MMIO);
	for (uint64_t type = 0; type <= UINT32_MAX; type = type < 64 ? type + 1 : type * 2 + 3) {
		uint8_t in[512] = {0}, out[16] = {0};
		struct drv_blk_req r = {.type = (uint32_t)type,
					.in = in,
					.in_len = type % 2 ? 512 : 0,
					.out = out,
					.out_len = type % 3 ? 16 : 0};
		bool is_known = false;

		for (unsigned i = 0; i < VIO_ARRAY_LEN(known); i++)
			is_known |= known[i] == type;
		if (is_known)
			continue;
		MUST(drv_blk_do(&d.blk, 0, &r));
		CU_ASSERT_EQUAL(r.status, VIRTIO_BLK_S_UNSUPP);
		CU_ASSERT(r.used_len <= 1); /* at most the status, where it is the first byte */
		CU_ASSERT_FALSE(r.damaged);
	}
	CU_ASSERT_EQUAL(disk_submitted(&d), 0);
	disk_fini(&d);
}

static void test_read_only(void) /* BLK-DEV-027, BLK-DEV-028, BLK-IMP-008 */
{
	const struct vio_blk_config cfg = {.readonly = true};
	static const uint64_t features[] = {DRV_ALL_FEATURES, 0}; /* also when RO is not accepted */
	const struct virtio_blk_discard_write_zeroes seg = {.num_sectors = 8};
	uint8_t buf[512];
	struct disk d;

	disk_make(&d, DRV_MMIO, &cfg, NULL);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(features); i++) {
		struct drv_blk_req r = {.out = &seg, .out_len = sizeof(seg)};

		disk_start(&d, features[i]);
		memset(buf, 0, sizeof(buf));
		CU_ASSERT_EQUAL(drv_blk_write(&d.blk, 0, buf, 512), VIRTIO_BLK_S_IOERR);
		r.type = VIRTIO_BLK_T_DISCARD;
		MUST(drv_blk_do(&d.blk, 0, &r));
		CU_ASSERT_EQUAL(r.status, VIRTIO_BLK_S_IOERR);
		r.type = VIRTIO_BLK_T_WRITE_ZEROES;
		MUST(drv_blk_do(&d.blk, 0, &r));
		CU_ASSERT_EQUAL(r.status, VIRTIO_BLK_S_IOERR);
		CU_ASSERT_EQUAL(drv_blk_read(&d.blk, 0, buf, 512), VIRTIO_BLK_S_OK);
	}
	CU_ASSERT_TRUE(disk_untouched(&d, 0, DISK_SIZE));
	disk_fini(&d);
}

/* What the engine says reaches the driver, with no bytes claimed that were not written. */
static void test_engine_errors(void) /* SPLIT-DEV-018 */
{
	uint8_t buf[1024];
	struct drv_blk_req in = {.in = buf, .in_len = 1024};
	struct disk d;

	disk_init(&d, DRV_MMIO);
	drv_held_fail(d.held, VIO_IO_READ, -EIO);
	drv_held_fail(d.held, VIO_IO_WRITE, -ENOSPC);
	drv_held_fail(d.held, VIO_IO_FLUSH, -EOPNOTSUPP);
	MUST(drv_blk_do(&d.blk, 0, &in));
	CU_ASSERT_EQUAL(in.status, VIRTIO_BLK_S_IOERR);
	CU_ASSERT_EQUAL(in.used_len, 0);
	CU_ASSERT_EQUAL(drv_blk_write(&d.blk, 0, buf, 512), VIRTIO_BLK_S_IOERR);
	CU_ASSERT_EQUAL(drv_blk_flush(&d.blk), VIRTIO_BLK_S_UNSUPP);
	drv_held_fail(d.held, VIO_IO_READ, 0);
	CU_ASSERT_EQUAL(drv_blk_read(&d.blk, 0, buf, 512), VIRTIO_BLK_S_OK);
	CU_ASSERT_EQUAL(drv_status(d.bus) & NEEDS_RESET, 0);
	disk_fini(&d);
}

/* ---- many at once ------------------------------------------------------------------------------
 */

/* A full ring, answered in reverse: every request gets its own data, once. */
static void test_out_of_order(void) /* SPLIT-IMP-004, SPLIT-IMP-005 */
{
	static uint8_t data[21][512];
	struct drv_blk_req req[21]; /* three descriptors each: 63 of 64 */
	struct disk d;

	disk_init(&d, DRV_MMIO);
	drv_held_hold(d.held, true);
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < 21; i++) {
			req[i] = (struct drv_blk_req){.sector = (round * 31 + i * 7) % DISK_SECTORS,
						      .in = data[i],
						      .in_len = 512};
			MUST(drv_blk_add(&d.blk, 0, &req[i]));
		}
		drv_device_submit(&d.drv, 0);
		drv_device_settle(&d.drv);
		CU_ASSERT_EQUAL_FATAL(drv_held_count(d.held), 21);
		CU_ASSERT_EQUAL(drv_blk_poll(&d.blk, 0), 0);
		for (unsigned left = 21; left > 0; left -= left < 4 ? left : 4)
			drv_held_release(d.held, 4, left % 8 != 1);
		CU_ASSERT_EQUAL_FATAL(drv_blk_poll(&d.blk, 0), 21);
		for (unsigned i = 0; i < 21; i++) {
			CU_ASSERT_TRUE(req[i].done);
			CU_ASSERT_FALSE(req[i].damaged);
			CU_ASSERT_EQUAL(req[i].status, VIRTIO_BLK_S_OK);
			CU_ASSERT_EQUAL(
				memcmp(data[i], drv_held_bytes(d.held) + req[i].sector * 512, 512),
				0);
		}
	}
	disk_fini(&d);
}

/* Interrupts come once per batch of completions, not once per request. */
static void test_interrupts_coalesce(void)
{
	static uint8_t data[10][512];
	struct drv_blk_req req[10];
	const struct vio_blk_config cfg = {.queue_size = 64};
	struct disk d;

	disk_make(&d, DRV_PCI_MSIX, &cfg, NULL);
	disk_start(&d, 0); /* no event index: an interrupt for each publish */
	for (unsigned i = 0; i < 10; i++) {
		req[i] = (struct drv_blk_req){.sector = i, .in = data[i], .in_len = 512};
		MUST(drv_blk_add(&d.blk, 0, &req[i]));
	}
	drv_device_submit(&d.drv, 0);
	drv_device_settle(&d.drv);
	CU_ASSERT_EQUAL(drv_blk_poll(&d.blk, 0), 10);
	CU_ASSERT_EQUAL(drv_irq_take(d.bus, 0), 1);
	disk_fini(&d);
}

static CU_TestInfo tests[] = {
	{"configuration layout", test_config_layout},
	{"offered features", test_features},
	{"what cannot be made", test_create_refuses},
	{"read and write", test_read_write},
	{"any framing", test_any_framing},
	{"short header", test_short_header},
	{"out of range", test_out_of_range},
	{"odd lengths", test_odd_length},
	{"unknown types", test_unknown_types},
	{"read-only", test_read_only},
	{"errors of the engine", test_engine_errors},
	{"a full ring, out of order", test_out_of_order},
	{"interrupts coalesce", test_interrupts_coalesce},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("blk", tests);
}
