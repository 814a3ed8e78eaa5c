/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two features that few devices offer: VIRTIO_F_IN_ORDER, and VIRTIO_F_NOTIFICATION_DATA. The
 * driver behind these checks keeps its side of them: descriptors in ring order, and notifications
 * with the available index.
 *
 * A device may close a batch with one entry for its last buffer. So what is out of order can look
 * like a batch once it is all there: these checks look at the used index all the time, while much
 * is in flight.
 */
#include "checks_blk.h"
#include "checks_net.h"
#include "checks.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <string.h>
#include <time.h>

#define F_NOTIFICATION_DATA 38

#define ROUNDS 32u

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

/* One turn of the device between two looks, and no nap: the order shows for microseconds. */
static void turn(struct run *r)
{
	if (r->drv.turn)
		r->drv.turn(r->drv.turn_arg);
}

static void expect_all_used(struct run *r, const struct drv_queue *q)
{
	expect(r, "SPLIT-IMP-008", drv_queue_used_idx(q) == q->avail_idx,
	       "the used index to count buffers, those of a batch that were skipped, too",
	       "%u when %u were made available", drv_queue_used_idx(q), q->avail_idx);
}

/* ---- in order ----------------------------------------------------------------------------------
 */

/* Takes back `n` buffers; the driver's queue takes them in order only. */
static void take_all(struct run *r, uint16_t queue, uint32_t n)
{
	int64_t give_up = now_ms() + r->drv.patience_ms + 1000;

	for (uint32_t seen = 0; seen < n;) {
		struct drv_used u;
		int ret = drv_queue_get(&r->drv.queue[queue], &u);

		need(r, "FEAT-DEV-005", ret >= 0, "buffers to be used in the order they came",
		     "another after %u of %u", seen, n);
		seen += (uint32_t)ret;
		if (ret == 0)
			need(r, "FEAT-DEV-005", now_ms() < give_up, "buffers to be used",
			     "%u of %u are", seen, n);
		turn(r);
	}
}

static void check_in_order(struct run *r)
{
	uint16_t queue = io_queue_index(r);
	struct drv_mark mark;

	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	mark = drv_mem_mark(&r->mem);
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint32_t n = 1 + run_random(r, 16);

		drv_mem_rewind(&r->mem, &mark);
		for (uint32_t i = 0; i < n; i++) {
			static struct io io[16];

			io_make(r, &io[i], 0, 0);
			io_add(r, &io[i]);
		}
		drv_device_submit(&r->drv, queue);
		take_all(r, queue, n);
	}
	expect_all_used(r, io_queue(r));
}

#define MIX 12u

struct mix {
	struct drv_blk_req req[MIX];
	uint8_t in[MIX][DISK_MAX_DATA / 4];
};

/* Reads that take their time, and between them what a device knows by heart. */
static void mix_make(struct disk *d, struct mix *m, unsigned round)
{
	for (unsigned i = 0; i < MIX; i++) {
		struct drv_blk_req *req = &m->req[i];

		*req = (struct drv_blk_req){
			.type = VIRTIO_BLK_T_GET_ID, .in = m->in[i], .in_len = VIRTIO_BLK_ID_BYTES};
		if ((i + round) % 3 == 1)
			continue;
		req->type = VIRTIO_BLK_T_IN;
		req->sector = d->area;
		req->in_len = i % 3 == 0
				      ? sizeof(m->in[i]) / (d->block * SECTOR) * (d->block * SECTOR)
				      : d->block * SECTOR;
		if (req->in_len > disk_area_len(d))
			req->in_len = disk_area_len(d);
	}
}

static void mix_do(struct disk *d, struct mix *m)
{
	int64_t give_up = now_ms() + d->r->drv.patience_ms + 1000;

	for (unsigned i = 0; i < MIX; i++)
		if (drv_blk_add(&d->blk, 0, &m->req[i]) < 0)
			skip(d->r, "%u requests do not fit into this queue", MIX);
	drv_device_submit(&d->r->drv, 0);
	while (d->blk.in_flight > 0) {
		need(d->r, "FEAT-DEV-005", drv_blk_poll(&d->blk, 0) >= 0,
		     "requests to be used in the order they came", "another");
		need(d->r, "FEAT-DEV-005", d->blk.in_flight == 0 || now_ms() < give_up,
		     "requests to come back", "%u do not", d->blk.in_flight);
		turn(d->r);
	}
}

static void check_blk_in_order(struct run *r)
{
	static uint8_t area[DISK_MAX_DATA];
	static struct mix m;
	struct disk d;

	disk_start(r, &d, DRV_ALL_FEATURES);
	for (uint32_t at = 0; at < disk_area_len(&d); at += d.block * SECTOR)
		disk_read(&d, d.area + at / SECTOR, area + at, d.block);
	for (unsigned round = 0; round < 2 * ROUNDS; round++) {
		mix_make(&d, &m, round);
		mix_do(&d, &m);
		for (unsigned i = 0; i < MIX; i++)
			expect(r, "BLK-IMP-001",
			       m.req[i].status == VIRTIO_BLK_S_OK &&
				       (m.req[i].type != VIRTIO_BLK_T_IN ||
					memcmp(m.in[i], area, m.req[i].in_len) == 0),
			       "each of many requests to be answered with its own data",
			       "number %u of %u not, status %u", i, MIX, m.req[i].status);
	}
	expect_all_used(r, &r->drv.queue[0]);
}

/* Frames one after the other through buffers that several of them are under way in. */
static void check_net_in_order(struct run *r)
{
	static struct heard h;
	uint8_t frame[8][600];
	struct card c;

	card_open(r, &c, DRV_ALL_FEATURES & ~GUEST_OFFLOADS, 256);
	card_need_echo(&c);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < 8; i++) {
			card_frame(&c, frame[i], NULL, 600 - 50 * i);
			card_send(&c, "FEAT-DEV-005", 0, NULL, frame[i], 600 - 50 * i);
		}
		for (unsigned i = 0; i < 8; i++) {
			need(r, "FEAT-DEV-005", card_hear(&c, 0, &h),
			     "receive buffers to be used in the order they came",
			     "frame %u does not come back in the next", i);
			expect(r, "FEAT-DEV-005",
			       h.len == 600 - 50 * i && memcmp(h.data, frame[i], h.len) == 0,
			       "the frame to be in the buffers that are next", "another, %u bytes",
			       h.len);
		}
	}
}

/* ---- notification data -------------------------------------------------------------------------
 */

static void check_data_kicks(struct run *r)
{
	/* All of the index, so also bit 15, which is next_wrap. */
	for (unsigned start = 0; start <= 0x10000; start += 0x4000) {
		struct io io;

		run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
		io_make(r, &io, 0, 0);
		io_add(r, &io);
		drv_queue_publish(io_queue(r));
		r->bus->notify_next[io_queue_index(r)] = (uint16_t)(start + io_queue(r)->published);
		drv_kick(r->bus, io_queue_index(r));
		need(r, "BASIC-IMP-006", io_wait(r, &io),
		     "a notification that carries the available index to be one",
		     "nothing is used after one with index %#x", start + 1);
	}
	io_many(r, "BASIC-IMP-006", 40);
}

/* Notifications that were overtaken, said twice, or are wrong. */
static void check_data_stale(struct run *r)
{
	uint16_t queue = io_queue_index(r);
	uint16_t used;

	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	for (unsigned i = 0; i < 50; i++) {
		struct io io;

		io_make(r, &io, 0, 0);
		io_add(r, &io);
		drv_queue_publish(io_queue(r));
		for (unsigned k = 0; k < 3; k++) {
			r->bus->notify_next[queue] = (uint16_t)run_random(r, 0x10000);
			drv_kick(r->bus, queue);
		}
		need(r, "BASIC-IMP-006", io_wait(r, &io),
		     "the ring, not the notification, to say what is available",
		     "nothing is used after wrong indices");
	}
	used = drv_queue_used_idx(io_queue(r));
	for (unsigned k = 0; k < 100; k++) {
		r->bus->notify_next[queue] = (uint16_t)run_random(r, 0x10000);
		drv_kick(r->bus, queue);
	}
	run_quiet(r);
	expect(r, "BASIC-IMP-006", drv_queue_used_idx(io_queue(r)) == used,
	       "notifications for nothing to have no effect", "%u buffers used",
	       (uint16_t)(drv_queue_used_idx(io_queue(r)) - used));
	expect(r, "BASIC-IMP-006", !(drv_status(r->bus) & VIRTIO_CONFIG_S_NEEDS_RESET), "no fault",
	       "status %#x", drv_status(r->bus));
	io_roundtrip(r, "BASIC-IMP-006");
}

static const struct check checks[] = {
	{
		.name = "in-order",
		.rows = "FEAT-DEV-005 SPLIT-IMP-008 BASIC-DEV-005",
		.how = "With IN_ORDER: requests, up to 16 at a time, come back in the order they "
		       "went, one by one or in batches.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.features = DRV_FEATURE(VIRTIO_F_IN_ORDER),
		.run = check_in_order,
	},
	{
		.name = "blk-in-order",
		.rows = "FEAT-DEV-005 SPLIT-IMP-008 " DISK_ROWS,
		.how = "With IN_ORDER: short and long reads and requests for the identity, twelve "
		       "at a time, come back in the order they went, each with its data.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.features = DRV_FEATURE(VIRTIO_F_IN_ORDER),
		.run = check_blk_in_order,
	},
	{
		.name = "net-in-order",
		.rows = "FEAT-DEV-005 BASIC-DEV-005",
		.how = "With IN_ORDER: frames over several receive buffers each, eight at a time.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_NET,
		.features = DRV_FEATURE(VIRTIO_F_IN_ORDER),
		.run = check_net_in_order,
	},
	{
		.name = "notification-data",
		.rows = "BASIC-IMP-006 BASIC-DEV-005",
		.how = "With NOTIFICATION_DATA: notifications with every range of the available "
		       "index.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_REGISTERS,
		.features = DRV_FEATURE(F_NOTIFICATION_DATA),
		.run = check_data_kicks,
	},
	{
		.name = "notification-data-stale",
		.rows = "BASIC-IMP-006 BASIC-DEV-005",
		.how = "With NOTIFICATION_DATA: repeated and wrong indices do no harm.",
		.kind = CHECK_ROBUSTNESS,
		.ways = WAY_REGISTERS,
		.features = DRV_FEATURE(F_NOTIFICATION_DATA),
		.run = check_data_stale,
	},
};

const struct check_list checks_order = {checks, sizeof(checks) / sizeof(checks[0])};
