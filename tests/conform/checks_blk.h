/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONFORM_CHECKS_BLK_H
#define CONFORM_CHECKS_BLK_H

/*
 * What checks of disks need: a started disk, its size, and some sectors to write to.
 */

#include <driver/blk.h>

#include "checks_util.h"

#define SECTOR	      512u
#define DISK_MAX_DATA 65536u /* bytes of one request of a check */

/* Offsets in the configuration space that <linux/virtio_blk.h> may be too old to name. */
#define BLK_UNUSED0    33u
#define BLK_UNUSED1    57u
#define BLK_ZONED      72u
#define BLK_ZONE_MODEL 92u
#define BLK_CONFIG_LEN 96u

#define BLK_F_LIFETIME	   15
#define BLK_F_SECURE_ERASE 16
#define BLK_F_ZONED	   17

struct disk {
	struct run *r;
	struct drv_blk blk;
	uint64_t capacity; /* sectors */
	uint32_t block;	   /* sectors that a request should be a multiple of */
	uint64_t area;	   /* the first of 8 blocks that checks write to */
};

#define DISK_AREA_BLOCKS 8u

/*
 * Starts the device with those of `features` that it offers. A disk that does not start, or has no
 * room for the area, ends the check. What the area held is lost, at the latest with
 * disk_scribble().
 */
void disk_start(struct run *r, struct disk *d, uint64_t features);

/* The same for checks that write: ends the check on a read-only disk. */
void disk_start_writable(struct run *r, struct disk *d, uint64_t features);

/* The rows of what follows; every check that uses a disk has them. */
#define DISK_ROWS "BLK-IMP-001 BLK-IMP-002 BASIC-DEV-005"

/*
 * Does one request, on queue 0, and returns its status. One that does not come back, that has no
 * status, or around whose buffers something was written, ends the check as failed (BLK-IMP-002).
 */
uint8_t disk_do(struct disk *d, struct drv_blk_req *req);
uint8_t disk_do_on(struct disk *d, uint16_t queue, struct drv_blk_req *req);

/* The same, for requests that have to succeed (BLK-IMP-001). */
void disk_read(struct disk *d, uint64_t sector, void *to, uint32_t sectors);
void disk_write(struct disk *d, uint64_t sector, const void *from, uint32_t sectors);

/*
 * Writes the area anew, every byte another than before, and returns in `now` (8 blocks) what it
 * holds, as it reads then (BLK-IMP-001).
 */
void disk_scribble(struct disk *d, uint8_t *now);

/* Is the area as `was` says? */
bool disk_unchanged(struct disk *d, const uint8_t *was);

/* Bytes of the area. */
uint32_t disk_area_len(const struct disk *d);

/* Resets the device, starts it again and reads: without that nothing more can be said (`row`). */
void disk_revive(struct disk *d, const char *row);

#endif
