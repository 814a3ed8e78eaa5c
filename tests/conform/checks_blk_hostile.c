/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Disks against drivers that break the rules of requests.
 */
#include "checks_blk.h"
#include "checks.h"

#include <endian.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <string.h>

static uint8_t *area(void)
{
	static uint8_t bytes[DISK_MAX_DATA];

	return bytes;
}

static void fails(struct disk *d, uint32_t type, uint64_t sector, uint32_t len)
{
	static uint8_t data[DISK_MAX_DATA];
	bool out = type == VIRTIO_BLK_T_OUT;
	struct drv_blk_req req = {.type = type,
				  .sector = sector,
				  .out = data,
				  .out_len = out ? len : 0,
				  .in = data,
				  .in_len = out ? 0 : len};

	disk_do(d, &req);
	expect(d->r, "BLK-IMP-004", req.status == VIRTIO_BLK_S_IOERR,
	       "S_IOERR for a request beyond the capacity, or for a part of a sector",
	       "status %u (%s, %u bytes at sector %llu)", req.status, out ? "write" : "read", len,
	       (unsigned long long)sector);
}

/* Every way to get past the end, also around 2^64, in sectors and in bytes. */
static void beyond(struct run *r, struct disk *d, uint32_t type)
{
	uint32_t one = d->block * SECTOR;

	(void)r;
	fails(d, type, d->capacity, one);
	fails(d, type, d->capacity - d->block, 2 * one);
	fails(d, type, d->capacity - 1, DISK_MAX_DATA);
	fails(d, type, UINT64_MAX, one);
	fails(d, type, UINT64_MAX - d->block + 1, 2 * one);
	fails(d, type, UINT64_MAX / SECTOR + 1, one);
	fails(d, type, UINT64_C(1) << 63, one);
	fails(d, type, INT64_MAX, one);
	fails(d, type, UINT64_C(1) << 32 | d->capacity, one);
}

static void check_read_beyond(struct run *r)
{
	struct disk d;

	disk_start(r, &d, DRV_ALL_FEATURES);
	beyond(r, &d, VIRTIO_BLK_T_IN);
	disk_read(&d, 0, area(), d.block);
}

static void check_write_beyond(struct run *r)
{
	uint8_t ends[2][DISK_MAX_DATA / 8], now[DISK_MAX_DATA / 8];
	uint64_t at[2] = {0};
	struct disk d;

	disk_start_writable(r, &d, DRV_ALL_FEATURES);
	at[1] = d.capacity / d.block * d.block - d.block;
	for (unsigned i = 0; i < 2; i++) {
		memset(ends[i], 0x77, sizeof(ends[i]));
		disk_write(&d, at[i], ends[i], d.block);
	}
	beyond(r, &d, VIRTIO_BLK_T_OUT);
	for (unsigned i = 0; i < 2; i++) {
		disk_read(&d, at[i], now, d.block);
		expect(r, "BLK-IMP-004", memcmp(now, ends[i], d.block * SECTOR) == 0,
		       "nothing to be written by requests that fail", "the %s block changed",
		       i == 0 ? "first" : "last");
	}
}

static const uint32_t odd_lengths[] = {1, 3, 16, 511, 513, 1000, 1023, 4097};

#define N_ODD (sizeof(odd_lengths) / sizeof(odd_lengths[0]))

static void check_read_lengths(struct run *r)
{
	struct disk d;

	disk_start(r, &d, DRV_ALL_FEATURES);
	for (unsigned i = 0; i < N_ODD; i++)
		fails(&d, VIRTIO_BLK_T_IN, d.area, odd_lengths[i]);
	disk_read(&d, 0, area(), d.block);
}

static void check_write_lengths(struct run *r)
{
	struct disk d;

	disk_start_writable(r, &d, DRV_ALL_FEATURES);
	disk_scribble(&d, area());
	for (unsigned i = 0; i < N_ODD; i++)
		fails(&d, VIRTIO_BLK_T_OUT, d.area, odd_lengths[i]);
	expect(r, "BLK-IMP-004", disk_unchanged(&d, area()),
	       "nothing to be written by requests that fail", "data changed");
}

/* ---- requests that are none --------------------------------------------------------------------
 */

/* Bytes that the device reads, bytes that it may write; the memory around them. */
struct shape {
	uint32_t out, in;
	const char *what;
};

static const struct shape shapes[] = {
	{16, 0, "a header and no status byte"}, {16 + 512, 0, "a write and no status byte"},
	{0, 1, "a status byte and no header"},	{0, 512 + 1, "a buffer for data and no header"},
	{1, 513, "1 byte of header"},		{15, 513, "15 bytes of header"},
	{15, 1, "15 bytes of header, no data"},
};

/*
 * It is answered, and then not with success, or the device wants a reset. Without a status byte
 * there is nothing to look at in the answer.
 */
static void try_shape(struct run *r, struct disk *d, const struct shape *s)
{
	struct virtio_blk_outhdr h = {.type = htole32(s->out > 16 ? VIRTIO_BLK_T_OUT : 0),
				      .sector = htole64(d->area)};
	uint64_t out = drv_mem_alloc(&r->mem, 1024, 16), in = drv_mem_alloc(&r->mem, 1024, 16);
	struct drv_buf buf[2];
	struct drv_used u = {0};
	uint8_t *answer;
	uint32_t n = 0;

	if (out == DRV_NO_GPA || in == DRV_NO_GPA)
		skip(r, "out of guest memory");
	drv_mem_write(&r->mem, out, &h, sizeof(h));
	answer = drv_mem_ptr(&r->mem, in, 1024);
	memset(answer, DRV_BLK_NO_STATUS, 1024);
	if (s->out)
		buf[n++] = (struct drv_buf){.gpa = out, .len = s->out};
	if (s->in)
		buf[n++] = (struct drv_buf){.gpa = in, .len = s->in, .writable = true};
	drv_queue_add(&r->drv.queue[0], buf, n, DRV_DIRECT, NULL);
	drv_queue_publish(&r->drv.queue[0]);
	drv_kick(r->bus, 0);
	if (s->in && !(drv_status(r->bus) & VIRTIO_CONFIG_S_NEEDS_RESET) &&
	    drv_device_wait(&r->drv, 0, &u) > 0)
		expect(r, "BLK-IMP-004", answer[s->in - 1] != VIRTIO_BLK_S_OK,
		       "no success for a request that is none", "status 0: %s", s->what);
	else
		run_quiet(r);
	expect(r, "BLK-IMP-004", answer[s->in] == DRV_BLK_NO_STATUS,
	       "nothing to be written behind the buffers", "it was: %s", s->what);
}

static void check_shapes(struct run *r)
{
	bool writable = !(r->offered & DRV_FEATURE(VIRTIO_BLK_F_RO));
	struct disk d;

	disk_start(r, &d, DRV_ALL_FEATURES);
	r->drv.patience_ms = 100; /* silence is a lawful answer here */
	for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		if (writable)
			disk_scribble(&d, area());
		try_shape(r, &d, &shapes[i]);
		disk_revive(&d, "BASIC-DEV-011");
		/* The one with all of its data may have been done. */
		if (writable && shapes[i].out <= 16)
			expect(r, "BLK-IMP-004", disk_unchanged(&d, area()),
			       "nothing to be written by a request that is none", "%s",
			       shapes[i].what);
	}
}

/* A card's frames may wait for a receiver, so nothing is asked of it. */
static void expect_neighbour(struct run *n)
{
	if (n->device_id != VIRTIO_ID_NET)
		io_many(n, "BASIC-DEV-002", 10);
	expect(n, "BASIC-DEV-002", !(drv_status(n->bus) & VIRTIO_CONFIG_S_NEEDS_RESET),
	       "another device to be left alone", "it needs a reset");
}

/* The neighbour's requests go on while this device is in its error. */
static void check_neighbour(struct run *r)
{
	struct run *n = r->neighbour;
	struct disk d;

	if (!n)
		skip(r, "there is one device");
	disk_start(r, &d, DRV_ALL_FEATURES);
	run_start(n, "BASIC-DEV-005", DRV_ALL_FEATURES);
	expect_neighbour(n);
	try_shape(r, &d, &shapes[0]);
	expect_neighbour(n);
	disk_revive(&d, "BASIC-DEV-011");
	expect_neighbour(n);
}

#define HOSTILE(n, rows_, text, fn)                                                                \
	{                                                                                          \
		.name = n, .rows = rows_ " " DISK_ROWS, .how = text, .kind = CHECK_ROBUSTNESS,     \
		.ways = WAY_ANY, .device = VIRTIO_ID_BLOCK, .run = fn,                             \
	}

static const struct check checks[] = {
	HOSTILE("blk-read-beyond", "BLK-IMP-004",
		"Reads beyond the capacity, also around 2^64 sectors and bytes, end with S_IOERR.",
		check_read_beyond),
	HOSTILE("blk-write-beyond", "BLK-IMP-004",
		"Writes beyond the capacity end with S_IOERR and change nothing.",
		check_write_beyond),
	HOSTILE("blk-read-lengths", "BLK-IMP-004", "Reads of parts of sectors end with S_IOERR.",
		check_read_lengths),
	HOSTILE("blk-write-lengths", "BLK-IMP-004",
		"Writes of parts of sectors end with S_IOERR and change nothing.",
		check_write_lengths),
	HOSTILE("blk-shapes", "BLK-IMP-004 BASIC-DEV-011",
		"Requests without status byte, without header, with a part of one: no success, "
		"nothing "
		"written where it should not be, and after a reset the disk works.",
		check_shapes),
	HOSTILE("blk-neighbour", "BASIC-DEV-002 BASIC-DEV-011 BLK-IMP-004",
		"Another device goes on while this one is brought down and up again.",
		check_neighbour),
};

const struct check_list checks_blk_hostile = {checks, sizeof(checks) / sizeof(checks[0])};
