/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Device Suspend" where queues take their time to stop, and 10000 times under load: on a loop that
 * is turned by hand, and on an IO thread, so that a thread sanitizer has something to look at.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#include <viodm/blk.h>
#include <viodm/iothread.h>

#include <driver/blk.h>
#include <driver/chaos.h>

#include "dut.h"

#define RUNNING	  (ACK | DRIVER | FEATURES_OK | DRIVER_OK)
#define SUSPENDED (ACK | DRIVER | FEATURES_OK | SUSPEND)

/* ---- threads -----------------------------------------------------------------------------------
 */

/* A rig whose devices run on an IO thread. */
struct aside {
	struct drv_rig rig;
	struct vio_iothread *iothread;
	struct vio_backend *backend;
	struct vio_device_env env;
};

/* False: none can be had here. */
static bool aside_init(struct aside *a)
{
	const struct vio_iothread_config iot = {.cpu = -1, .poll_us = VIO_IOTHREAD_POLL_US};
	int r = vio_iothread_create(&iot, &a->iothread);

	if (r == -ENOSYS || r == -EPERM) {
		printf("no io_uring here\n");
		return false;
	}
	MUST(r);
	MUST(drv_rig_init(&a->rig));
	MUST(vio_backend_iothread_create(&a->iothread, 1, &a->backend));
	a->env = a->rig.env;
	a->env.backend = a->backend;
	return true;
}

static void aside_fini(struct aside *a)
{
	vio_backend_destroy(a->backend);
	vio_iothread_destroy(a->iothread);
	drv_rig_fini(&a->rig);
}

/* A queue that takes its time to stop. */
struct slow {
	struct drv_bus *bus;
	atomic_bool stopping, go;
};

static void on_slow_stop(void *arg)
{
	struct slow *s = arg;

	atomic_store(&s->stopping, true);
	while (!atomic_load(&s->go))
		usleep(100);
}

static void *suspend_main(void *arg)
{
	const struct slow *s = arg;

	drv_set_status(s->bus, RUNNING | SUSPEND);
	return NULL;
}

static void *let_go_main(void *arg)
{
	struct slow *s = arg;

	usleep(5000);
	atomic_store(&s->go, true);
	return NULL;
}

/* As long as queues stop the device is not suspended; a reset waits for that and wins. */
static void test_reset_while_suspending(void)
{
	struct drv_probe_config cfg = {.n_queues = 1, .queue_size = 16, .config_size = 8};
	struct drv_device_config all = {.features = DRV_ALL_FEATURES};
	pthread_t suspender, releaser;
	struct drv_probe *probe;
	struct drv_device drv;
	struct aside a = {0};
	struct slow s = {0};

	if (!aside_init(&a))
		return;
	MUST(drv_probe_create(&a.env, &cfg, &probe));
	MUST(drv_rig_connect(&a.rig, &probe->base, DRV_MMIO, &s.bus, &drv));
	drv.turn = NULL;
	for (unsigned i = 0; i < 20; i++) {
		s.stopping = s.go = false;
		probe->on_stop = on_slow_stop;
		probe->on_stop_arg = &s;
		MUST(drv_device_start(&drv, &all));
		pthread_create(&suspender, NULL, suspend_main, &s);
		while (!atomic_load(&s.stopping))
			usleep(100);
		CU_ASSERT_EQUAL(drv_status(s.bus), RUNNING);
		vio_device_config_update(&probe->base, 0, &(uint8_t){(uint8_t)(i + 1)}, 1);
		pthread_create(&releaser, NULL, let_go_main, &s);
		if (i % 2) {
			drv_set_status(s.bus, 0);
			CU_ASSERT_EQUAL(drv_status(s.bus), 0);
		} else {
			drv_set_status(s.bus, RUNNING); /* ignored: the device is busy */
		}
		pthread_join(suspender, NULL);
		pthread_join(releaser, NULL);
		CU_ASSERT_EQUAL(drv_status(s.bus), i % 2 ? 0 : SUSPENDED);
	}
	probe->on_stop = NULL;
	drv_rig_disconnect(&probe->base, s.bus, &drv);
	aside_fini(&a);
}

/* ---- load --------------------------------------------------------------------------------------
 */

#define LOAD_SECTORS 64u
#define LOAD_DEPTH   24u
#define LOAD_ROUNDS  10000u

struct load {
	struct drv_chaos *chaos;
	struct vio_device *dev;
	struct drv_bus *bus;
	struct drv_device drv;
	struct drv_blk blk;
	struct drv_blk_req req[LOAD_DEPTH];
	uint8_t data[LOAD_DEPTH][512];
	bool busy[LOAD_DEPTH];
	unsigned submitted, done, next;
	_Atomic unsigned performed; /* by the engine */
};

static void on_performed(void *arg, const struct vio_io *io)
{
	struct load *l = arg;

	(void)io;
	l->performed++;
}

static void load_submit(struct load *l, unsigned i)
{
	unsigned n = l->submitted++;

	memset(l->data[i], (int)(n * 31 + n / 256), sizeof(l->data[i]));
	l->req[i] = (struct drv_blk_req){.type = VIRTIO_BLK_T_OUT,
					 .sector = l->next++ % LOAD_SECTORS,
					 .out = l->data[i],
					 .out_len = 512};
	l->busy[i] = true;
	MUST(drv_blk_submit(&l->blk, 0, &l->req[i]));
}

static void load_collect(struct load *l)
{
	CU_ASSERT_TRUE(drv_blk_poll(&l->blk, 0) >= 0);
	for (unsigned i = 0; i < LOAD_DEPTH; i++) {
		if (!l->busy[i] || !l->req[i].done)
			continue;
		CU_ASSERT_EQUAL(l->req[i].status, VIRTIO_BLK_S_OK);
		CU_ASSERT_FALSE(l->req[i].damaged);
		l->busy[i] = false;
		l->done++;
	}
}

/* One suspension; what was used then is all that was performed. */
static void load_round(struct load *l, unsigned round)
{
	uint16_t used;
	uint32_t irqs;

	for (unsigned i = 0; i < LOAD_DEPTH && i <= round % 7; i++)
		if (!l->busy[i])
			load_submit(l, i);
	if (round % 3 == 0)
		drv_device_settle(&l->drv);
	CU_ASSERT_EQUAL(drv_add_status(l->bus, SUSPEND), SUSPENDED);
	used = drv_queue_used_idx(&l->drv.queue[0]);
	irqs = l->bus->n_irqs;
	CU_ASSERT_EQUAL((uint16_t)l->performed, used);
	for (unsigned i = 0; i < 4 && round % 5 == 0; i++)
		if (!l->busy[LOAD_DEPTH - 1 - i])
			load_submit(l, LOAD_DEPTH - 1 - i);
	drv_device_settle(&l->drv);
	CU_ASSERT_EQUAL(drv_queue_used_idx(&l->drv.queue[0]), used);
	CU_ASSERT_EQUAL(l->bus->n_irqs, irqs);
	CU_ASSERT_EQUAL(drv_add_status(l->bus, DRIVER_OK), RUNNING);
	load_collect(l);
}

static void load_run(struct drv_rig *rig, const struct vio_device_env *env, bool aside,
		     enum drv_bus_kind kind, uint64_t features, unsigned rounds)
{
	static struct load l;
	struct drv_chaos_config chaos = {.size = LOAD_SECTORS * 512,
					 .seed = rounds,
					 .thread = aside,
					 .on_result = on_performed,
					 .arg = &l};
	struct drv_device_config wanted = {.features = features};
	struct vio_blk_config cfg = {.queue_size = 128};

	memset(&l, 0, sizeof(l));
	MUST(drv_chaos_open(&chaos, &l.chaos));
	cfg.storage = drv_chaos_storage(l.chaos);
	MUST(vio_blk_create(env, &cfg, &l.dev));
	MUST(drv_rig_connect(rig, l.dev, kind, &l.bus, &l.drv));
	if (aside)
		l.drv.turn = NULL;
	MUST(drv_device_start(&l.drv, &wanted));
	MUST(drv_blk_init(&l.blk, &l.drv, 1 << 20));
	for (unsigned round = 0; round < rounds; round++)
		load_round(&l, round);
	for (unsigned i = 0; i < LOAD_DEPTH; i++)
		if (l.busy[i])
			CU_ASSERT_EQUAL(drv_blk_wait(&l.blk, 0, &l.req[i]), 0);
	load_collect(&l);
	CU_ASSERT_EQUAL(l.done, l.submitted);
	CU_ASSERT_EQUAL(l.performed, l.submitted);
	CU_ASSERT_TRUE(l.submitted > rounds);
	CU_ASSERT_PTR_NULL(drv_chaos_fault(l.chaos));
	drv_rig_disconnect(l.dev, l.bus, &l.drv);
	vio_storage_close(drv_chaos_storage(l.chaos));
}

#define NO_EVENT_IDX (DRV_ALL_FEATURES & ~DRV_FEATURE(VIRTIO_RING_F_EVENT_IDX))

static void test_load_by_hand(void)
{
	struct drv_rig rig;

	MUST(drv_rig_init(&rig));
	load_run(&rig, &rig.env, false, DRV_MMIO, DRV_ALL_FEATURES, LOAD_ROUNDS);
	load_run(&rig, &rig.env, false, DRV_PCI_MSIX, NO_EVENT_IDX, LOAD_ROUNDS);
	drv_rig_fini(&rig);
}

static void test_load_on_an_iothread(void)
{
	struct aside a = {0};

	if (!aside_init(&a))
		return;
	load_run(&a.rig, &a.env, true, DRV_PCI_MSIX, DRV_ALL_FEATURES, LOAD_ROUNDS);
	load_run(&a.rig, &a.env, true, DRV_MMIO, NO_EVENT_IDX, LOAD_ROUNDS);
	aside_fini(&a);
}

static CU_TestInfo tests[] = {
	{"reset while suspending", test_reset_while_suspending},
	{"10000 times by hand", test_load_by_hand},
	{"10000 times on an IO thread", test_load_on_an_iothread},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("suspend_load", tests);
}
