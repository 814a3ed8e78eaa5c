/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Registers are accessed from several threads at once while queues work on another thread, and
 * resets race requests. Run it under the thread sanitizer.
 */
#include <endian.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>

#include <driver/blk.h>
#include <driver/bus_mmio.h>
#include <driver/bus_pci.h>
#include <viodm/blk.h>
#include <viodm/engines.h>
#include <viodm/iothread.h>

#include "dut.h"

#define N_HAMMERS   3
#define N_QUEUES    2
#define N_IOTHREADS 2

enum runner { LOOP_THREAD, IOTHREADS, N_RUNNERS };

/* A disk whose queues run on threads of their own. */
struct shop {
	enum runner runner;
	struct drv_mem mem;
	struct vio_mem *map;
	struct vio_log log;
	struct vio_loop *loop; /* LOOP_THREAD */
	pthread_t thread;
	_Atomic bool owned; /* the thread has the loop */
	_Atomic bool stop;
	struct vio_iothread *iot[N_IOTHREADS]; /* IOTHREADS */
	struct vio_backend *backend;
	struct vio_storage *storage;
	struct vio_device *dev;
	struct drv_bus *bus;
	struct drv_device drv;
	struct drv_blk blk;
};

static void drop_line(void *arg, enum vio_log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static void *run_loop(void *arg)
{
	struct shop *s = arg;

	vio_loop_manual_own(s->loop);
	s->owned = true;
	while (!s->stop)
		vio_loop_manual_run(s->loop, 20);
	return NULL;
}

/* False when this machine cannot run it so. */
static bool runner_init(struct shop *s)
{
	const struct vio_iothread_config cfg = {.cpu = -1, .poll_us = 20};

	if (s->runner == LOOP_THREAD) {
		MUST(vio_loop_manual_create(&s->loop));
		MUST(vio_backend_inproc_create(s->loop, &s->backend));
		MUST(-pthread_create(&s->thread, NULL, run_loop, s));
		while (!s->owned)
			sched_yield();
		return true;
	}
	for (unsigned i = 0; i < N_IOTHREADS; i++) {
		if (vio_iothread_create(&cfg, &s->iot[i]) < 0) {
			printf("\n  no io_uring here: IO threads left out");
			return false;
		}
	}
	MUST(vio_backend_iothread_create(s->iot, N_IOTHREADS, &s->backend));
	return true;
}

static void runner_fini(struct shop *s)
{
	if (s->runner == LOOP_THREAD) {
		s->stop = true;
		pthread_join(s->thread, NULL);
		vio_loop_manual_own(s->loop);
	}
	vio_backend_destroy(s->backend);
	vio_loop_destroy(s->loop);
	for (unsigned i = 0; i < N_IOTHREADS; i++)
		vio_iothread_destroy(s->iot[i]);
}

static bool shop_init(struct shop *s, enum runner runner, enum drv_bus_kind kind)
{
	struct vio_blk_config cfg = {.queues = N_QUEUES, .queue_size = 64};
	struct vio_device_env env = {.name = "shop"};

	memset(s, 0, sizeof(*s));
	s->runner = runner;
	s->log = (struct vio_log){.write = drop_line, .max_level = VIO_LOG_DEBUG};
	drv_mem_init(&s->mem);
	if (!runner_init(s))
		return false;
	MUST(drv_mem_add(&s->mem, DRV_RIG_RAM_GPA, DRV_RIG_RAM_SIZE));
	MUST(drv_mem_map(&s->mem, &s->map));
	env.mem = s->map;
	env.backend = s->backend;
	env.log = &s->log;
	MUST(vio_storage_memory_open(1 << 20, &s->storage));
	cfg.storage = s->storage;
	MUST(vio_blk_create(&env, &cfg, &s->dev));
	if (kind == DRV_MMIO)
		MUST(drv_mmio_create(s->dev, &s->bus));
	else
		MUST(drv_pci_create(s->dev, VIO_PCI_VECTORS_AUTO, &s->bus));
	drv_device_init(&s->drv, s->bus, &s->mem, NULL, NULL);
	return true;
}

static void shop_fini(struct shop *s)
{
	drv_device_fini(&s->drv);
	drv_bus_destroy(s->bus);
	vio_device_destroy(s->dev);
	runner_fini(s);
	vio_storage_close(s->storage);
	vio_mem_destroy(s->map);
	drv_mem_fini(&s->mem);
}

static void shop_start(struct shop *s)
{
	static const struct drv_device_config cfg = {.features = DRV_ALL_FEATURES};

	MUST(drv_device_start(&s->drv, &cfg));
	MUST(drv_blk_init(&s->blk, &s->drv, 1 << 20));
}

/* Writes and reads back one sector over queue `q`. */
static bool shop_serves(struct shop *s, uint16_t q, unsigned n)
{
	uint8_t out[512], in[512];
	struct drv_blk_req w = {.type = VIRTIO_BLK_T_OUT, .out = out, .out_len = sizeof(out)};
	struct drv_blk_req r = {.in = in, .in_len = sizeof(in)};

	memset(out, (int)n, sizeof(out));
	w.sector = r.sector = n % 2048;
	return drv_blk_do(&s->blk, q, &w) == 0 && w.status == VIRTIO_BLK_S_OK &&
	       drv_blk_do(&s->blk, q, &r) == 0 && r.status == VIRTIO_BLK_S_OK &&
	       memcmp(in, out, sizeof(in)) == 0;
}

/* ---- hammers -----------------------------------------------------------------------------------
 */

struct hammer {
	struct shop *shop;
	void (*strike)(struct hammer *h);
	uint32_t random;
	unsigned strikes; /* 0: until told to stop */
	_Atomic bool stop;
	pthread_t thread;
};

static uint32_t rnd(struct hammer *h)
{
	h->random ^= h->random << 13;
	h->random ^= h->random >> 17;
	h->random ^= h->random << 5;
	return h->random;
}

static void *hammer_thread(void *arg)
{
	struct hammer *h = arg;

	for (unsigned n = 0; !h->stop && (h->strikes == 0 || n < h->strikes); n++)
		h->strike(h);
	return NULL;
}

static void hammers_start(struct hammer *h, struct shop *s, void (*strike)(struct hammer *h),
			  unsigned strikes)
{
	for (unsigned i = 0; i < N_HAMMERS; i++) {
		h[i].shop = s;
		h[i].strike = strike;
		h[i].random = 0x12345678u + i * 0x9e3779b9u;
		h[i].strikes = strikes;
		h[i].stop = false;
		MUST(-pthread_create(&h[i].thread, NULL, hammer_thread, &h[i]));
	}
}

static void hammers_join(struct hammer *h, bool stop)
{
	for (unsigned i = 0; i < N_HAMMERS; i++) {
		if (stop)
			h[i].stop = true;
		pthread_join(h[i].thread, NULL);
	}
}

/* What a running device has to shrug off: any read, and writes that mean nothing to it now. */
static void strike_harmless(struct hammer *h)
{
	static const uint32_t writes[] = {MMIO_QUEUE_SEL,	  MMIO_DEVICE_FEATURES_SEL,
					  MMIO_DRIVER_FEATURES,	  MMIO_DRIVER_FEATURES_SEL,
					  MMIO_QUEUE_SIZE,	  MMIO_QUEUE_DESC_LOW,
					  MMIO_QUEUE_DEVICE_HIGH, MMIO_QUEUE_NOTIFY,
					  MMIO_INTERRUPT_ACK,	  MMIO_SHM_SEL};
	struct drv_bus *bus = h->shop->bus;
	uint32_t r = rnd(h), byte = r >> 24;

	drv_mmio_get(bus, r % 0x140 / 4 * 4);
	drv_mmio_set(bus, writes[r % VIO_ARRAY_LEN(writes)], r >> 16);
	drv_mmio_set(bus, MMIO_STATUS, ACK | (byte & DRIVER)); /* has them already */
	vio_device_kick(h->shop->dev, r % 3);
	if (byte < 8)
		vio_blk_refresh(h->shop->dev);
}

/* Selectors belong to whoever initialises the device; this leaves them alone. */
static void strike_without_selectors(struct hammer *h)
{
	struct drv_bus *bus = h->shop->bus;
	uint32_t r = rnd(h);
	uint8_t wce = r & 1;

	drv_mmio_get(bus, r % 0x140 / 4 * 4);
	drv_mmio_set(bus, MMIO_QUEUE_NOTIFY, r % 3);
	drv_mmio_set(bus, MMIO_INTERRUPT_ACK, r >> 8);
	drv_config_write(bus, offsetof(struct virtio_blk_config, wce), &wce, 1);
	vio_device_config_generation(h->shop->dev);
}

/* A driver's way to DRIVER_OK, which others cross at every step; the rings are empty. */
static void strike_init(struct hammer *h)
{
	static const uint8_t steps[] = {ACK, DRIVER, FEATURES_OK};
	struct vio_device *dev = h->shop->dev;

	vio_device_accept(dev, 1, 1);
	for (unsigned i = 0; i < sizeof(steps); i++)
		vio_device_set_status(dev, steps[i]);
	for (uint32_t q = 0; q < N_QUEUES; q++) {
		uint32_t ring = DRV_RIG_RAM_GPA + 0x800000 + q * 0x4000;

		vio_device_queue_set(dev, q, VIO_QUEUE_SIZE, 8);
		vio_device_queue_set(dev, q, VIO_QUEUE_DESC_LO, ring);
		vio_device_queue_set(dev, q, VIO_QUEUE_DRIVER_LO, ring + 0x1000);
		vio_device_queue_set(dev, q, VIO_QUEUE_DEVICE_LO, ring + 0x2000);
		vio_device_queue_enable(dev, q);
	}
	vio_device_set_status(dev, DRIVER_OK);
	vio_device_kick(dev, 0);
	vio_device_kick(dev, 1);
}

/* What the embedder does, and the driver never knows. */
static void strike_embedder(struct hammer *h)
{
	struct vio_device *dev = h->shop->dev;

	vio_device_pause(dev);
	vio_device_resume(dev);
	vio_device_set_mem(dev, h->shop->map);
}

/* Anything anywhere, resets and faults among it. */
static void strike_anything(struct hammer *h)
{
	static const uint32_t values[] = {0, 1, 2, 3, 4, 8, 15, 16, 64, 0xff, 0x10000, 0x10040};
	struct shop *s = h->shop;
	uint32_t r = rnd(h), off = r % 0x140, v = htole32(values[r >> 16 & 7]);
	uint8_t buf[8];

	if (r >> 28 == 0)
		v = htole32(values[8 + (r >> 20 & 3)]);
	if (r >> 27 == 31)
		strike_init(h);
	if (s->bus->ops->name[0] == 'm') {
		off = off / 4 * 4;
		vio_mmio_read(drv_mmio_transport(s->bus), off, buf, 4);
		vio_mmio_write(drv_mmio_transport(s->bus), off, &v, 4);
	} else {
		unsigned bar = r >> 12 & 1;
		size_t len = (size_t)1 << (r >> 13 & 3);

		memcpy(buf, &v, sizeof(v));
		memset(buf + 4, 0, 4);
		vio_pci_bar_write(drv_pci_transport(s->bus), bar, off, buf, len);
		vio_pci_bar_read(drv_pci_transport(s->bus), bar, r >> 16, buf, len);
		vio_pci_config_read(drv_pci_transport(s->bus), off & 0xfc, buf, 4);
	}
}

/* ---- tests -------------------------------------------------------------------------------------
 */

/* Every request is served although others hammer at the registers. */
static void hammered_disk_serves(enum runner runner)
{
	struct hammer h[N_HAMMERS];
	unsigned served = 0;
	struct shop s;

	if (!shop_init(&s, runner, DRV_MMIO))
		return;
	shop_start(&s);
	hammers_start(h, &s, strike_harmless, 0);
	for (unsigned n = 0; n < 600; n++)
		served += shop_serves(&s, n % N_QUEUES, n);
	hammers_join(h, true);
	CU_ASSERT_EQUAL(served, 600);
	CU_ASSERT_EQUAL(drv_status(s.bus), ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	shop_fini(&s);
}

static void test_hammered_disk_serves(void)
{
	for (unsigned i = 0; i < N_RUNNERS; i++)
		hammered_disk_serves((enum runner)i);
}

/* Submits on both queues, does not wait, and resets: after that nothing moves any more. */
static bool reset_race(struct shop *s, unsigned n)
{
	static uint8_t data[16][4096];
	struct drv_blk_req req[16];
	uint16_t used[N_QUEUES];
	uint32_t irqs;
	bool still = true;

	for (unsigned i = 0; i < 16; i++) {
		req[i] = (struct drv_blk_req){.sector = i, .in = data[i], .in_len = 4096};
		MUST(drv_blk_submit(&s->blk, i % N_QUEUES, &req[i]));
	}
	if (n % 3 == 0)
		drv_blk_wait(&s->blk, 0, &req[0]); /* sometimes half of it is done */
	drv_reset(s->bus);
	irqs = s->bus->n_irqs;
	for (uint16_t q = 0; q < N_QUEUES; q++)
		used[q] = drv_queue_used_idx(&s->drv.queue[q]);
	for (unsigned i = 0; i < 16; i++)
		drv_blk_forget(&s->blk, &req[i]);
	for (uint16_t q = 0; q < N_QUEUES; q++)
		still &= used[q] == drv_queue_used_idx(&s->drv.queue[q]);
	return still && s->bus->n_irqs == irqs && !s->bus->line;
}

static void resets_race_requests(enum runner runner) /* BASIC-DEV-012 */
{
	struct hammer h[N_HAMMERS];
	unsigned still = 0, served = 0;
	struct shop s;

	if (!shop_init(&s, runner, DRV_MMIO))
		return;
	hammers_start(h, &s, strike_without_selectors, 0);
	for (unsigned n = 0; n < 150; n++) {
		shop_start(&s);
		served += shop_serves(&s, n % N_QUEUES, n);
		still += reset_race(&s, n);
	}
	hammers_join(h, true);
	CU_ASSERT_EQUAL(still, 150);
	CU_ASSERT_EQUAL(served, 150);
	shop_fini(&s);
}

static void test_resets_race_requests(void)
{
	for (unsigned i = 0; i < N_RUNNERS; i++)
		resets_race_requests((enum runner)i);
}

/* All threads write anything; afterwards the device is as good as new. */
static void anything_goes(enum runner runner, enum drv_bus_kind kind)
{
	struct hammer h[N_HAMMERS];
	struct shop s;

	if (!shop_init(&s, runner, kind))
		return;
	for (unsigned n = 0; n < 3; n++) {
		hammers_start(h, &s, strike_anything, 4000);
		hammers_join(h, false);
		shop_start(&s);
		for (unsigned i = 0; i < 10; i++)
			CU_ASSERT_TRUE(shop_serves(&s, i % N_QUEUES, i));
	}
	shop_fini(&s);
}

static void test_anything_goes(void)
{
	for (unsigned i = 0; i < N_RUNNERS; i++) {
		anything_goes((enum runner)i, DRV_MMIO);
		anything_goes((enum runner)i, DRV_PCI_MSIX);
	}
}

/* The memory map changes while requests run; none is lost. */
static void map_changes(enum runner runner)
{
	struct vio_mem *second = NULL;
	struct hammer h[N_HAMMERS];
	unsigned served = 0;
	struct shop s;

	if (!shop_init(&s, runner, DRV_MMIO))
		return;
	MUST(drv_mem_map(&s.mem, &second));
	shop_start(&s);
	hammers_start(h, &s, strike_harmless, 0);
	for (unsigned n = 0; n < 200; n++) {
		uint8_t in[512];
		struct drv_blk_req r = {.in = in, .in_len = sizeof(in)};

		MUST(drv_blk_submit(&s.blk, n % N_QUEUES, &r));
		CU_ASSERT_EQUAL(vio_device_set_mem(s.dev, n % 2 ? s.map : second), 0);
		served +=
			drv_blk_wait(&s.blk, n % N_QUEUES, &r) == 0 && r.status == VIRTIO_BLK_S_OK;
	}
	hammers_join(h, true);
	CU_ASSERT_EQUAL(served, 200);
	shop_fini(&s);
	vio_mem_destroy(second);
}

static void test_map_changes(void)
{
	for (unsigned i = 0; i < N_RUNNERS; i++)
		map_changes((enum runner)i);
}

/* Writes of two bytes, and of one queue: what was written is there. */
static bool writes_count(struct shop *s, unsigned n)
{
	uint8_t wce = n & 1, got = 2;

	shop_start(s);
	drv_config_write(s->bus, offsetof(struct virtio_blk_config, wce), &wce, 1);
	drv_config_read(s->bus, offsetof(struct virtio_blk_config, wce), &got, 1);
	if (got != wce || !shop_serves(s, n % N_QUEUES, n))
		return false;
	drv_mmio_set(s->bus, MMIO_QUEUE_SEL, n % N_QUEUES);
	drv_mmio_set(s->bus, MMIO_QUEUE_READY, 0);
	if (drv_mmio_get(s->bus, MMIO_QUEUE_READY) != 0)
		return false;
	drv_mmio_set(s->bus, MMIO_QUEUE_SIZE, 16);
	drv_mmio_set(s->bus, MMIO_QUEUE_READY, 1);
	return drv_mmio_get(s->bus, MMIO_QUEUE_READY) == 1;
}

/* Others pause the device and give it its memory again while a driver sets it up and stops it. */
static void driver_meets_embedder(enum runner runner)
{
	struct hammer h[N_HAMMERS];
	unsigned counted = 0;
	struct shop s;

	if (!shop_init(&s, runner, DRV_MMIO))
		return;
	hammers_start(h, &s, strike_embedder, 0);
	for (unsigned n = 0; n < 60; n++) {
		counted += writes_count(&s, n);
		drv_reset(s.bus);
	}
	hammers_join(h, true);
	CU_ASSERT_EQUAL(counted, 60);
	shop_fini(&s);
}

static void test_driver_meets_embedder(void)
{
	for (unsigned i = 0; i < N_RUNNERS; i++)
		driver_meets_embedder((enum runner)i);
}

static CU_TestInfo tests[] = {
	{"a hammered disk serves", test_hammered_disk_serves},
	{"resets race requests", test_resets_race_requests},
	{"anything goes", test_anything_goes},
	{"the memory map changes", test_map_changes},
	{"a driver meets its embedder", test_driver_meets_embedder},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("threads", tests);
}
