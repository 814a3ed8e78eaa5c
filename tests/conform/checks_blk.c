/* SPDX-License-Identifier: BSD-3-Clause */
#include "checks_blk.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define SCRATCH (4u << 20)

/* Larger blocks are believed to be a mistake of the device. */
#define MAX_BLOCK_SECTORS (DISK_MAX_DATA / SECTOR / DISK_AREA_BLOCKS)

static void measure(struct disk *d)
{
	struct run *r = d->r;

	d->capacity = drv_config_field(r->bus, 0, 8);
	d->block = 1;
	if (drv_device_has(&r->drv, VIRTIO_BLK_F_BLK_SIZE))
		d->block = (uint32_t)drv_config_field(
				   r->bus, offsetof(struct virtio_blk_config, blk_size), 4) /
			   SECTOR;
	if (d->block == 0 || d->block > MAX_BLOCK_SECTORS)
		skip(r, "blocks of %u sectors", d->block);
	if (d->capacity / d->block < 2 * DISK_AREA_BLOCKS)
		skip(r, "a disk of %llu sectors is too small", (unsigned long long)d->capacity);
	d->area = d->capacity / d->block / 2 * d->block;
}

void disk_start(struct run *r, struct disk *d, uint64_t features)
{
	*d = (struct disk){.r = r};
	run_start(r, "BASIC-DEV-005", features);
	if (drv_blk_init(&d->blk, &r->drv, SCRATCH) < 0)
		skip(r, "out of guest memory");
	measure(d);
}

void disk_start_writable(struct run *r, struct disk *d, uint64_t features)
{
	if (r->offered & DRV_FEATURE(VIRTIO_BLK_F_RO))
		skip(r, "the disk is read-only");
	disk_start(r, d, features);
}

uint8_t disk_do_on(struct disk *d, uint16_t queue, struct drv_blk_req *req)
{
	int ret = drv_blk_do(&d->blk, queue, req);

	if (ret == -ENOSPC)
		skip(d->r, "a request does not fit into this queue");
	need(d->r, "BLK-IMP-002", ret == 0, "a request to come back",
	     "it does not (type %u, sector %llu)", req->type, (unsigned long long)req->sector);
	need(d->r, "BLK-IMP-002", req->status <= VIRTIO_BLK_S_UNSUPP,
	     "a status in the last writable byte", "%#x (type %u)", req->status, req->type);
	need(d->r, "BLK-IMP-002", !req->damaged, "nothing but the answer to be written",
	     "something around it was (type %u)", req->type);
	return req->status;
}

uint8_t disk_do(struct disk *d, struct drv_blk_req *req)
{
	return disk_do_on(d, 0, req);
}

static void disk_rw(struct disk *d, struct drv_blk_req *req)
{
	need(d->r, "BLK-IMP-001", disk_do(d, req) == VIRTIO_BLK_S_OK,
	     "a read or write of sectors that there are to succeed",
	     "status %u (type %u, sector %llu)", req->status, req->type,
	     (unsigned long long)req->sector);
}

void disk_read(struct disk *d, uint64_t sector, void *to, uint32_t sectors)
{
	disk_rw(d, &(struct drv_blk_req){.type = VIRTIO_BLK_T_IN,
					 .sector = sector,
					 .in = to,
					 .in_len = sectors * SECTOR});
}

void disk_write(struct disk *d, uint64_t sector, const void *from, uint32_t sectors)
{
	disk_rw(d, &(struct drv_blk_req){.type = VIRTIO_BLK_T_OUT,
					 .sector = sector,
					 .out = from,
					 .out_len = sectors * SECTOR});
}

uint32_t disk_area_len(const struct disk *d)
{
	return DISK_AREA_BLOCKS * d->block * SECTOR;
}

void disk_scribble(struct disk *d, uint8_t *now)
{
	uint32_t n = DISK_AREA_BLOCKS * d->block;

	disk_read(d, d->area, now, n);
	for (uint32_t i = 0; i < n * SECTOR; i++)
		now[i] ^= (uint8_t)(1 + (i / SECTOR + i) % 255);
	/* Never zero all over, whatever was there. */
	for (uint32_t i = 0; i < n; i++)
		now[i * SECTOR + 7] |= 0x10;
	disk_write(d, d->area, now, n);
	need(d->r, "BLK-IMP-001", disk_unchanged(d, now), "to read what was written",
	     "something else");
}

bool disk_unchanged(struct disk *d, const uint8_t *was)
{
	static uint8_t now[DISK_MAX_DATA];

	disk_read(d, d->area, now, DISK_AREA_BLOCKS * d->block);
	return memcmp(was, now, disk_area_len(d)) == 0;
}

void disk_revive(struct disk *d, const char *row)
{
	struct run *r = d->r;

	drv_device_stop(&r->drv);
	need(r, row, drv_status(r->bus) == 0, "a reset to help", "status %#x", drv_status(r->bus));
	disk_start(r, d, r->offered);
	io_roundtrip(r, row);
}
