/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pausing a device, and what is counted of its queues. Where a device has a thread of its own, the
 * counters are read while it works, so that a thread sanitizer has something to look at.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <viodm/engines.h>
#include <viodm/iothread.h>

#include "disk.h"

#define SECTOR 512u

/* ---- pausing --------------------------------------------------------------------------------- */

static void pause_stops_serving(enum drv_bus_kind kind)
{
	struct drv_used u;
	struct dut t;

	dut_init(&t, kind, 2);
	dut_start(&t);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	CU_ASSERT_FALSE(vio_device_paused(t.dev));
	CU_ASSERT_EQUAL(vio_device_pause(t.dev), 0);
	CU_ASSERT_EQUAL(vio_device_pause(t.dev), 0);
	CU_ASSERT_TRUE(vio_device_paused(t.dev));
	CU_ASSERT_EQUAL(t.probe->starts, 2);
	CU_ASSERT_EQUAL(t.probe->stops, 2);
	dut_offer(&t, 0);
	dut_offer(&t, 1);
	CU_ASSERT_EQUAL(drv_device_wait(&t.drv, 0, &u), 0);
	CU_ASSERT_EQUAL(t.probe->popped, 1);

	/* What was offered meanwhile is served, without another kick. */
	CU_ASSERT_EQUAL(vio_device_resume(t.dev), 0);
	CU_ASSERT_EQUAL(vio_device_resume(t.dev), 0);
	CU_ASSERT_EQUAL(t.probe->starts, 4);
	CU_ASSERT_EQUAL(drv_device_wait(&t.drv, 0, &u), 1);
	CU_ASSERT_EQUAL(drv_device_wait(&t.drv, 1, &u), 1);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	CU_ASSERT_FALSE(vio_device_failed(t.dev));
	dut_fini(&t);
}

static void test_pause(void)
{
	on_each_bus(pause_stops_serving);
}

/* A driver that resets and sets up the device again does not get around the pause. */
static void reset_while_paused(enum drv_bus_kind kind)
{
	struct drv_used u;
	struct dut t;

	dut_init(&t, kind, 1);
	CU_ASSERT_EQUAL(vio_device_pause(t.dev), 0); /* before there is a driver */
	dut_start(&t);
	CU_ASSERT_EQUAL(t.probe->starts, 0);
	dut_offer(&t, 0);
	CU_ASSERT_EQUAL(drv_device_wait(&t.drv, 0, &u), 0);
	drv_device_stop(&t.drv);
	dut_start(&t);
	CU_ASSERT_EQUAL(t.probe->starts, 0);
	CU_ASSERT_EQUAL(vio_device_set_mem(t.dev, t.rig.map), 0);
	CU_ASSERT_EQUAL(t.probe->starts, 0);
	CU_ASSERT_EQUAL(vio_device_resume(t.dev), 0);
	CU_ASSERT_EQUAL(t.probe->starts, 1);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	dut_fini(&t);
}

static void test_reset_while_paused(void)
{
	on_each_bus(reset_while_paused);
}

/* Resuming starts nothing for a driver that is not there yet. */
static void test_resume_before_driver_ok(void)
{
	struct dut t;

	dut_init(&t, DRV_MMIO, 1);
	CU_ASSERT_EQUAL(vio_device_resume(t.dev), 0);
	CU_ASSERT_EQUAL(vio_device_pause(t.dev), 0);
	CU_ASSERT_EQUAL(vio_device_resume(t.dev), 0);
	CU_ASSERT_EQUAL(t.probe->starts, 0);
	dut_start(&t);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	dut_fini(&t);
}

/* ---- counting -------------------------------------------------------------------------------- */

static void test_counters_of_a_probe(void)
{
	struct vio_queue_stats s;
	struct dut t;

	dut_init(&t, DRV_PCI_MSIX, 2);
	vio_device_queue_stats(t.dev, 0, &s);
	CU_ASSERT_EQUAL(s.requests, 0);
	dut_start(&t);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_TRUE(dut_serves(&t, 1));
	vio_device_queue_stats(t.dev, 1, &s);
	CU_ASSERT_EQUAL(s.requests, 3);
	CU_ASSERT_EQUAL(s.kicks, 3);
	CU_ASSERT_TRUE(s.interrupts >= 1 && s.interrupts <= 3);
	CU_ASSERT_EQUAL(s.errors, 0);
	CU_ASSERT_EQUAL(s.polls_hit + s.polls_missed, 0);
	vio_device_queue_stats(t.dev, 0, &s);
	CU_ASSERT_EQUAL(s.requests, 0);

	/* Neither a pause nor a reset starts from nothing. */
	CU_ASSERT_EQUAL(vio_device_pause(t.dev), 0);
	CU_ASSERT_EQUAL(vio_device_resume(t.dev), 0);
	drv_device_stop(&t.drv);
	dut_start(&t);
	CU_ASSERT_TRUE(dut_serves(&t, 1));
	vio_device_queue_stats(t.dev, 1, &s);
	CU_ASSERT_EQUAL(s.requests, 4);
	memset(&s, 0xff, sizeof(s));
	vio_device_queue_stats(t.dev, 2, &s);
	CU_ASSERT_EQUAL(s.requests, 0);
	dut_fini(&t);
}

/* A disk whose one queue runs on an IO thread; false: none can be had here. */
struct fast {
	struct drv_rig rig;
	struct vio_iothread *iothread;
	struct vio_backend *backend;
	struct vio_storage *storage;
	struct vio_device *dev;
	struct drv_bus *bus;
	struct drv_device drv;
	struct drv_blk blk;
};

static bool fast_init(struct fast *f)
{
	const struct vio_iothread_config iot = {.cpu = -1, .poll_us = VIO_IOTHREAD_POLL_US};
	struct vio_blk_config cfg = {.queue_size = 64};
	struct vio_device_env env;
	int r = vio_iothread_create(&iot, &f->iothread);

	if (r == -ENOSYS || r == -EPERM)
		return false;
	MUST(r);
	MUST(drv_rig_init(&f->rig));
	MUST(vio_backend_iothread_create(&f->iothread, 1, &f->backend));
	MUST(vio_storage_memory_open(1 << 20, &f->storage));
	cfg.storage = f->storage;
	env = f->rig.env;
	env.backend = f->backend;
	MUST(vio_blk_create(&env, &cfg, &f->dev));
	MUST(drv_rig_connect(&f->rig, f->dev, DRV_PCI_MSIX, &f->bus, &f->drv));
	f->drv.turn = NULL;
	MUST(drv_device_start(&f->drv, &(struct drv_device_config){.features = DRV_ALL_FEATURES}));
	MUST(drv_blk_init(&f->blk, &f->drv, 1 << 20));
	return true;
}

static void fast_fini(struct fast *f)
{
	drv_rig_disconnect(f->dev, f->bus, &f->drv);
	vio_storage_close(f->storage);
	vio_backend_destroy(f->backend);
	vio_iothread_destroy(f->iothread);
	drv_rig_fini(&f->rig);
}

static void test_counters_of_a_disk(void)
{
	static uint8_t buf[8 * SECTOR];
	struct vio_queue_stats s;
	struct fast f = {0};

	if (!fast_init(&f)) {
		printf("no io_uring here\n");
		return;
	}
	for (unsigned i = 0; i < 100; i++) {
		CU_ASSERT_EQUAL(drv_blk_write(&f.blk, i, buf, sizeof(buf)), VIRTIO_BLK_S_OK);
		CU_ASSERT_EQUAL(drv_blk_read(&f.blk, i, buf, SECTOR), VIRTIO_BLK_S_OK);
		vio_device_queue_stats(f.dev, 0, &s);
		CU_ASSERT_EQUAL(s.bytes_written, (i + 1) * sizeof(buf));
		CU_ASSERT_EQUAL(s.bytes_read, (i + 1) * SECTOR);
	}
	CU_ASSERT_EQUAL(drv_blk_flush(&f.blk), VIRTIO_BLK_S_OK);
	CU_ASSERT_EQUAL(drv_blk_read(&f.blk, 1 << 20, buf, SECTOR), VIRTIO_BLK_S_IOERR);
	CU_ASSERT_EQUAL(vio_device_pause(f.dev), 0); /* behind the last count */
	vio_device_queue_stats(f.dev, 0, &s);
	CU_ASSERT_EQUAL(s.requests, 202);
	CU_ASSERT_EQUAL(s.errors, 1);
	CU_ASSERT_EQUAL(s.bytes_read, 100 * SECTOR);
	CU_ASSERT_EQUAL(s.bytes_written, 100 * sizeof(buf));
	CU_ASSERT_TRUE(s.kicks + s.polls_hit > 0);
	CU_ASSERT_EQUAL(vio_device_resume(f.dev), 0);
	CU_ASSERT_EQUAL(drv_blk_flush(&f.blk), VIRTIO_BLK_S_OK);
	fast_fini(&f);
}

/* Pauses under load lose nothing and serve nothing twice. */
static void test_pause_under_load(void)
{
	enum { DEPTH = 16, ROUNDS = 200 };
	static uint8_t data[DEPTH][SECTOR];
	struct vio_queue_stats s;
	struct fast f = {0};

	if (!fast_init(&f)) {
		printf("no io_uring here\n");
		return;
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct drv_blk_req req[DEPTH];

		memset(req, 0, sizeof(req));
		for (unsigned i = 0; i < DEPTH; i++) {
			req[i].type = VIRTIO_BLK_T_OUT;
			req[i].sector = i;
			req[i].out = data[i];
			req[i].out_len = SECTOR;
			MUST(drv_blk_submit(&f.blk, 0, &req[i]));
			if (i == round % DEPTH) {
				CU_ASSERT_EQUAL(vio_device_pause(f.dev), 0);
			}
		}
		CU_ASSERT_EQUAL(vio_device_resume(f.dev), 0);
		for (unsigned i = 0; i < DEPTH; i++) {
			CU_ASSERT_EQUAL(drv_blk_wait(&f.blk, 0, &req[i]), 0);
			CU_ASSERT_EQUAL(req[i].status, VIRTIO_BLK_S_OK);
		}
	}
	CU_ASSERT_EQUAL(vio_device_pause(f.dev), 0);
	vio_device_queue_stats(f.dev, 0, &s);
	CU_ASSERT_EQUAL(s.requests, DEPTH * ROUNDS);
	CU_ASSERT_EQUAL(s.bytes_written, DEPTH * ROUNDS * SECTOR);
	CU_ASSERT_EQUAL(vio_device_resume(f.dev), 0);
	fast_fini(&f);
}

static void test_counts_after_reset(void)
{
	uint8_t buf[SECTOR];
	struct vio_queue_stats s;
	struct disk d;

	disk_init(&d, DRV_MMIO);
	CU_ASSERT_EQUAL(drv_blk_read(&d.blk, 0, buf, SECTOR), VIRTIO_BLK_S_OK);
	CU_ASSERT_EQUAL(drv_blk_read(&d.blk, DISK_SECTORS, buf, SECTOR), VIRTIO_BLK_S_IOERR);
	disk_start(&d, DRV_ALL_FEATURES);
	CU_ASSERT_EQUAL(drv_blk_read(&d.blk, 0, buf, SECTOR), VIRTIO_BLK_S_OK);
	vio_device_queue_stats(d.dev, 0, &s);
	CU_ASSERT_EQUAL(s.requests, 3);
	CU_ASSERT_EQUAL(s.errors, 1);
	CU_ASSERT_EQUAL(s.bytes_read, 2 * SECTOR);
	disk_fini(&d);
}

static uint64_t samples(const struct disk *d, unsigned from)
{
	struct vio_queue_stats s;
	uint64_t n = 0;

	vio_device_queue_stats(d->dev, 0, &s);
	for (unsigned i = from; i < VIO_LATENCY_BUCKETS; i++)
		n += s.latency[i];
	return n;
}

/* The time of every 64th request is taken, over all that happens between pop and push. */
static void test_latency(void)
{
	static const struct timespec nap = {.tv_nsec = 3000000};
	struct drv_blk_req req = {.in_len = SECTOR};
	uint8_t buf[SECTOR];
	unsigned slow = 0;
	struct disk d;

	while (vio_latency_bound(slow) <= 3000000)
		slow++;
	disk_init(&d, DRV_MMIO);
	for (unsigned n = 0; n < 191; n++)
		CU_ASSERT_EQUAL(drv_blk_read(&d.blk, 0, buf, SECTOR), VIRTIO_BLK_S_OK);
	CU_ASSERT_EQUAL(samples(&d, 0), 2);
	req.in = buf;
	drv_held_hold(d.held, true);
	MUST(drv_blk_submit(&d.blk, 0, &req));
	drv_device_settle(&d.drv);
	nanosleep(&nap, NULL);
	CU_ASSERT_EQUAL(samples(&d, 0), 2);
	drv_held_release(d.held, 1, false);
	drv_held_hold(d.held, false);
	CU_ASSERT_EQUAL(drv_blk_wait(&d.blk, 0, &req), 0);
	CU_ASSERT_EQUAL(samples(&d, 0), 3);
	CU_ASSERT_TRUE(samples(&d, slow) >= 1);
	disk_fini(&d);
}

/* The buckets follow each other without a gap, and grow by half or a third. */
static void test_latency_buckets(void)
{
	CU_ASSERT_EQUAL(vio_latency_bound(0), 128);
	for (unsigned i = 1; i < VIO_LATENCY_BUCKETS; i++) {
		uint64_t low = vio_latency_bound(i - 1), high = vio_latency_bound(i);

		CU_ASSERT_TRUE(high > low && high - low <= low);
		CU_ASSERT_TRUE(i < 2 || high - low <= low / 2);
	}
	CU_ASSERT_TRUE(vio_latency_bound(VIO_LATENCY_BUCKETS - 2) > UINT64_C(25000000000));
}

static CU_TestInfo tests[] = {
	{"pause and resume", test_pause},
	{"reset while paused", test_reset_while_paused},
	{"resume before DRIVER_OK", test_resume_before_driver_ok},
	{"counters of a probe", test_counters_of_a_probe},
	{"counters of a disk", test_counters_of_a_disk},
	{"counters are kept over a reset", test_counts_after_reset},
	{"latency", test_latency},
	{"buckets of the latency", test_latency_buckets},
	{"pauses under load", test_pause_under_load},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("pause", tests);
}
