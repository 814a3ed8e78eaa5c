/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Block Device", device operation: reading, writing, everything that is not a segment.
 */
#include "checks_blk.h"
#include "checks.h"

#include <endian.h>
#include <linux/virtio_ids.h>
#include <string.h>

#define T_GET_LIFETIME 10

static uint8_t *area(void)
{
	static uint8_t bytes[DISK_MAX_DATA];

	return bytes;
}

/* ---- reading and writing -----------------------------------------------------------------------
 */

/* Both halves of what was written together are where sectors of 512 bytes put them. */
static void check_units(struct run *r)
{
	uint8_t half[DISK_MAX_DATA / 2];
	struct disk d;
	uint32_t n;

	disk_start_writable(r, &d, DRV_ALL_FEATURES);
	disk_scribble(&d, area());
	n = DISK_AREA_BLOCKS / 2 * d.block;
	for (unsigned i = 0; i < 2; i++) {
		disk_read(&d, d.area + i * n, half, n);
		expect(r, "BLK-IMP-001", memcmp(half, area() + i * n * SECTOR, n * SECTOR) == 0,
		       "sector numbers to count 512 bytes", "other data, %u sectors on", i * n);
	}
	memset(half, 0x3c, sizeof(half));
	disk_write(&d, d.area + d.block, half, d.block);
	memset(area() + d.block * SECTOR, 0x3c, d.block * SECTOR);
	expect(r, "BLK-IMP-001", disk_unchanged(&d, area()),
	       "a write to change its sectors and no others", "it did not");
}

static void check_last_sector(struct run *r)
{
	struct disk d;

	disk_start(r, &d, DRV_ALL_FEATURES);
	disk_read(&d, 0, area(), d.block);
	/* The capacity may end with a part of a block. */
	disk_read(&d, d.capacity / d.block * d.block - d.block, area(), d.block);
}

static void expect_len(struct disk *d, const struct drv_blk_req *req, uint32_t len,
		       const char *what)
{
	expect(d->r, "BLK-IMP-002", req->status == VIRTIO_BLK_S_OK,
	       "status 0 in the last writable byte", "%#x, %s", req->status, what);
	expect(d->r, "BLK-IMP-002", req->used_len == len,
	       "the used length to be that of the data and the status byte", "%u, not %u, %s",
	       req->used_len, len, what);
}

static void check_status_byte(struct run *r)
{
	static const struct drv_framing framings[] = {
		{.n_direct = DRV_DIRECT},
		{.first = 0, .rest = 512, .n_direct = DRV_DIRECT},
		{.first = 16, .rest = 1024, .n_direct = DRV_DIRECT},
	};
	struct disk d;

	disk_start(r, &d, DRV_ALL_FEATURES);
	for (unsigned i = 0; i < 4; i++) {
		struct drv_blk_req req = {.type = VIRTIO_BLK_T_IN,
					  .in = area(),
					  .in_len = 2 * d.block * SECTOR,
					  .framing = i == 0 ? NULL : &framings[i - 1]};

		disk_do(&d, &req);
		expect_len(&d, &req, req.in_len + 1, "after a read");
	}
	if (drv_device_has(&r->drv, VIRTIO_BLK_F_FLUSH)) {
		struct drv_blk_req req = {.type = VIRTIO_BLK_T_FLUSH};

		disk_do(&d, &req);
		expect_len(&d, &req, 1, "after a flush");
	}
}

static void check_status_byte_write(struct run *r)
{
	static const struct drv_framing framing = {
		.first = 16, .rest = 512, .n_direct = DRV_DIRECT};
	struct disk d;

	disk_start_writable(r, &d, DRV_ALL_FEATURES);
	disk_scribble(&d, area());
	for (unsigned i = 0; i < 2; i++) {
		struct drv_blk_req req = {.type = VIRTIO_BLK_T_OUT,
					  .sector = d.area,
					  .out = area(),
					  .out_len = d.block * SECTOR,
					  .framing = i == 0 ? NULL : &framing};

		disk_do(&d, &req);
		expect_len(&d, &req, 1, "after a write");
	}
}

/* ---- odd places, odd ends ----------------------------------------------------------------------
 */

/* The last byte of the answer, wherever it lies. */
static uint8_t *status_of(struct run *r, const struct io *io)
{
	const struct drv_buf *last = &io->buf[io->n - 1];

	return drv_mem_ptr(&r->mem, last->gpa + last->len - 1, 1);
}

/* Each piece in turn where the parts of memory touch. */
static void check_across_regions(struct run *r)
{
	uint64_t border = r->mem.region[1].gpa;
	struct io io;

	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	for (uint32_t i = 0; i < 2; i++) {
		io_make(r, &io, 0, 0);
		io.buf[i].gpa = border - io.buf[i].len / 2;
		if (i < io.n_out)
			drv_mem_write(&r->mem, io.buf[i].gpa, io.out, io.buf[i].len);
		*status_of(r, &io) = 0xee;
		io_submit(r, &io);
		need(r, "SPLIT-IMP-017", io_wait(r, &io), "the request to be done",
		     "it does not come back, piece %u across the border", i);
		expect(r, "SPLIT-IMP-017", *status_of(r, &io) == VIRTIO_BLK_S_OK,
		       "the request to succeed", "it fails, piece %u across the border", i);
	}
}

/* Bytes [0, n) of the answer that were written; two fillings tell. */
static uint32_t written(struct run *r, struct io *io, uint32_t *claimed)
{
	uint8_t got[2][513];
	uint32_t n = 0;

	*claimed = 0;
	for (unsigned i = 0; i < 2; i++) {
		io_fill(r, io, i ? 0xa5 : 0x5a);
		io_submit(r, io);
		need(r, "SPLIT-DEV-018", io_wait(r, io), "a request to come back", "it does not");
		io_read(r, io, got[i]);
		*claimed = io->used_len > *claimed ? io->used_len : *claimed;
	}
	while (n < io->in_len && !(got[0][n] == 0x5a && got[1][n] == 0xa5))
		n++;
	return n;
}

/* A request that fails has little to write, and a driver must not take the rest for data. */
static void check_failed_len(struct run *r)
{
	const struct virtio_blk_outhdr bad[] = {
		{.type = htole32(VIRTIO_BLK_T_IN), .sector = htole64(UINT64_MAX / 1024)},
		{.type = htole32(200)},
	};
	uint32_t n, claimed;
	struct io io;

	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	for (unsigned i = 0; i < 2; i++) {
		io_make(r, &io, 0, 0);
		drv_mem_write(&r->mem, io.buf[0].gpa, &bad[i], sizeof(bad[i]));
		n = written(r, &io, &claimed);
		expect(r, "SPLIT-DEV-018", claimed <= n,
		       "as many bytes to be written as the length says", "%u said, %u written",
		       claimed, n);
	}
}

/* ---- other types -------------------------------------------------------------------------------
 */

static bool is_known(uint32_t type)
{
	return type <= 1 || type == 4 || type == 5 || (type >= 8 && type <= 26);
}

static void check_unknown_types(struct run *r)
{
	static const uint32_t types[] = {
		2,   3,	      6,	 7,	 25,	   26,	       31,	   100,	      255,
		256, 0x10000, 0x1000000, 8 << 8, 13 << 16, 0x7fffffff, 0x80000000, 0xffffffff};
	struct disk d;

	disk_start(r, &d, DRV_ALL_FEATURES);
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]) + 16; i++) {
		struct drv_blk_req req = {.type = i < 16 ? 32 + run_random(r, UINT32_MAX - 32)
							 : types[i - 16],
					  .in = area(),
					  .in_len = 32};

		if (is_known(req.type))
			continue;
		disk_do(&d, &req);
		expect(r, "BLK-IMP-003", req.status == VIRTIO_BLK_S_UNSUPP,
		       "S_UNSUPP for a type that does not exist", "status %u for %#x", req.status,
		       req.type);
	}
	disk_read(&d, 0, area(), d.block);
}

static void check_zone_types(struct run *r)
{
	static const uint32_t types[] = {15, 16, 18, 20, 22, 24, 26};
	struct disk d;

	disk_start(r, &d, ~DRV_FEATURE(BLK_F_ZONED));
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct drv_blk_req req = {.type = types[i], .in = area(), .in_len = 512};

		disk_do(&d, &req);
		expect(r, "BLK-DEV-042", req.status == VIRTIO_BLK_S_UNSUPP,
		       "S_UNSUPP for requests about zones without ZONED", "status %u for type %u",
		       req.status, req.type);
	}
}

/* Letters, digits, anything that can be seen, or a blank; behind it only zeros. */
static bool good_id(const uint8_t id[VIRTIO_BLK_ID_BYTES])
{
	unsigned n = 0;

	while (n < VIRTIO_BLK_ID_BYTES && id[n] >= ' ' && id[n] < 0x7f)
		n++;
	while (n < VIRTIO_BLK_ID_BYTES && id[n] == 0)
		n++;
	return n == VIRTIO_BLK_ID_BYTES;
}

static void check_get_id(struct run *r)
{
	uint8_t id[2][VIRTIO_BLK_ID_BYTES];
	struct disk d;

	disk_start(r, &d, DRV_ALL_FEATURES);
	for (unsigned i = 0; i < 2; i++) {
		struct drv_blk_req req = {
			.type = VIRTIO_BLK_T_GET_ID, .in = id[i], .in_len = sizeof(id[i])};

		memset(id[i], 0xee, sizeof(id[i]));
		disk_do(&d, &req);
		if (req.status == VIRTIO_BLK_S_UNSUPP)
			skip(r, "the disk does not tell its ID");
		need(r, "BLK-IMP-005", req.status == VIRTIO_BLK_S_OK, "GET_ID to succeed",
		     "status %u", req.status);
		expect(r, "BLK-IMP-005", good_id(id[i]),
		       "20 bytes of ASCII that are filled up with NUL", "\"%.20s\"",
		       (const char *)id[i]);
	}
	expect(r, "BLK-IMP-005", memcmp(id[0], id[1], sizeof(id[0])) == 0,
	       "the same string each time", "\"%.20s\", \"%.20s\"", (const char *)id[0],
	       (const char *)id[1]);
}

static void check_lifetime(struct run *r)
{
	uint16_t v[3] = {0};
	struct disk d;
	struct drv_blk_req req = {.type = T_GET_LIFETIME, .in = v, .in_len = sizeof(v)};

	disk_start(r, &d, DRV_ALL_FEATURES);
	need(r, "BLK-DEV-041", disk_do(&d, &req) == VIRTIO_BLK_S_OK, "GET_LIFETIME to succeed",
	     "status %u", req.status);
	expect(r, "BLK-DEV-041", le16toh(v[0]) <= 3, "pre_eol_info 0 to 3", "%u", le16toh(v[0]));
	for (unsigned i = 1; i < 3; i++)
		expect(r, "BLK-DEV-041", le16toh(v[i]) <= 11, "lifetime estimates 0 to 11", "%u",
		       le16toh(v[i]));
}

/* ---- long --------------------------------------------------------------------------------------
 */

/* Many writes and reads of any length on any queue, against a copy of what the disk has to hold. */
static void check_random(struct run *r)
{
	static uint8_t data[DISK_MAX_DATA];
	struct disk d;

	disk_start_writable(r, &d, DRV_ALL_FEATURES);
	disk_scribble(&d, area());
	for (unsigned i = 0; i < 500; i++) {
		uint32_t at = run_random(r, DISK_AREA_BLOCKS);
		uint32_t n = 1 + run_random(r, DISK_AREA_BLOCKS - at);
		uint16_t queue = (uint16_t)run_random(r, r->drv.n_queues);
		bool out = run_random(r, 2);
		uint8_t *model = area() + at * d.block * SECTOR;
		uint32_t len = n * d.block * SECTOR;
		struct drv_framing framing = {.first = 1 + run_random(r, 40),
					      .rest = len / (1 + run_random(r, 6)) + 1,
					      .n_direct = DRV_DIRECT};
		struct drv_blk_req req = {.type = out ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
					  .sector = d.area + at * d.block,
					  .framing = &framing};

		for (uint32_t b = 0; b < len && out; b += 64)
			model[b] = (uint8_t)run_random(r, 256);
		req.out = model;
		req.out_len = out ? len : 0;
		req.in = data;
		req.in_len = out ? 0 : len;
		need(r, "BLK-IMP-001", disk_do_on(&d, queue, &req) == VIRTIO_BLK_S_OK,
		     "a valid request to succeed", "status %u", req.status);
		need(r, "BLK-IMP-001", out || memcmp(data, model, len) == 0,
		     "what was written last", "other data");
	}
}

static const struct check checks[] = {
	{
		.name = "blk-units",
		.rows = DISK_ROWS,
		.how = "Writes some blocks together and reads the halves: sectors count 512 bytes, "
		       "whatever blk_size is; writes one block in the middle: the others stay.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.run = check_units,
	},
	{
		.name = "blk-last-sector",
		.rows = DISK_ROWS,
		.how = "Reads the first and the last block: the capacity counts 512 bytes, too.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.run = check_last_sector,
	},
	{
		.name = "blk-status-byte",
		.rows = DISK_ROWS,
		.how = "Reads in four framings, and flushes: the status is the last byte, and the "
		       "used length counts data and status.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.run = check_status_byte,
	},
	{
		.name = "blk-status-byte-write",
		.rows = DISK_ROWS,
		.how = "Writes in two framings: the used length is that of the status.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.run = check_status_byte_write,
	},
	{
		.name = "blk-across-regions",
		.rows = "SPLIT-IMP-017 BASIC-DEV-005",
		.how = "Reads with the header, and with the data, across the border of two parts "
		       "of memory that touch in guest-physical addresses only.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.run = check_across_regions,
	},
	{
		.name = "blk-failed-len",
		.rows = "SPLIT-DEV-018 BASIC-DEV-005",
		.how = "A read beyond the disk, and a type that there is not: the used length "
		       "counts no byte that was not written.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.run = check_failed_len,
	},
	{
		.name = "blk-unknown-types",
		.rows = "BLK-IMP-003 " DISK_ROWS,
		.how = "Requests of types that do not exist end with S_UNSUPP.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.run = check_unknown_types,
	},
	{
		.name = "blk-zone-types",
		.rows = "BLK-DEV-042 " DISK_ROWS,
		.how = "Requests about zones end with S_UNSUPP when ZONED was not accepted.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.run = check_zone_types,
	},
	{
		.name = "blk-get-id",
		.rows = "BLK-IMP-005 " DISK_ROWS,
		.how = "GET_ID fills 20 bytes with ASCII and NULs, the same each time.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.run = check_get_id,
	},
	{
		.name = "blk-lifetime",
		.rows = "BLK-DEV-041 " DISK_ROWS,
		.how = "GET_LIFETIME returns no reserved values.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.features = DRV_FEATURE(BLK_F_LIFETIME),
		.run = check_lifetime,
	},
	{
		.name = "blk-random",
		.rows = DISK_ROWS,
		.how = "500 reads and writes on all queues, in random framings.",
		.kind = CHECK_STRESS,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.run = check_random,
	},
};

const struct check_list checks_blk_io = {checks, sizeof(checks) / sizeof(checks[0])};
