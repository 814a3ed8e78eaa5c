/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Driver and device on two threads, which sleep whenever they may: no notification is lost.
 */
#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "queue_fix.h"

/* ---- no notification is lost -------------------------------------------------------------------
 */

#define RACE_BUFFERS 50000u
#define RACE_SILENCE 60 /* seconds after which a thread that waits has been forgotten */

/* One side's way to wake the other, as an eventfd or an interrupt is. */
struct bell {
	pthread_mutex_t lock;
	pthread_cond_t rung;
	unsigned count;
};

static void bell_init(struct bell *b)
{
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->rung, NULL);
	b->count = 0;
}

static void bell_ring(struct bell *b)
{
	pthread_mutex_lock(&b->lock);
	b->count++;
	pthread_cond_signal(&b->rung);
	pthread_mutex_unlock(&b->lock);
}

/* False when nobody rang for so long that nobody will. */
static bool bell_wait(struct bell *b)
{
	struct timespec until;
	bool ok = true;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += RACE_SILENCE;
	pthread_mutex_lock(&b->lock);
	while (b->count == 0 && ok)
		ok = pthread_cond_timedwait(&b->rung, &b->lock, &until) == 0;
	b->count = 0;
	pthread_mutex_unlock(&b->lock);
	return ok;
}

struct race {
	struct fix f;
	struct bell kick;
	struct bell irq;
	bool device_ok;
};

/* The device sleeps whenever pop says that the ring is empty. */
static void *race_device(void *arg)
{
	struct race *r = arg;
	unsigned done = 0;

	r->device_ok = true;
	while (done < RACE_BUFFERS && r->device_ok) {
		struct vio_chain *c;
		int got = vio_queue_pop(&r->f.q, &c);

		if (got == 1) {
			vio_queue_push(&r->f.q, c, 8);
			done++;
		}
		if (vio_queue_publish(&r->f.q))
			bell_ring(&r->irq);
		if (got == 0)
			r->device_ok = bell_wait(&r->kick);
	}
	return NULL;
}

/* The driver sleeps whenever it has used all its descriptors or has nothing more to send. */
static bool race_driver(struct race *r)
{
	unsigned sent = 0, done = 0;
	struct drv_used u;
	struct drv_buf b;

	fix_bufs(&r->f, &b, 1, 8, 0);
	while (done < RACE_BUFFERS) {
		unsigned burst = 1 + sent % 3;

		drv_queue_irq_off(&r->f.d);
		while (sent < RACE_BUFFERS && burst-- > 0 &&
		       drv_queue_add(&r->f.d, &b, 1, DRV_DIRECT, NULL) >= 0)
			sent++;
		if (drv_queue_publish(&r->f.d))
			bell_ring(&r->kick);
		while (drv_queue_get(&r->f.d, &u) == 1)
			done++;
		if (r->f.d.in_flight == 0 || (r->f.d.n_free > 0 && sent < RACE_BUFFERS))
			continue;
		if (!drv_queue_irq_on(&r->f.d) && !bell_wait(&r->irq))
			return false;
	}
	return true;
}

/*
 * Driver and device on two threads, each asleep when it has nothing to do: if either side armed its
 * notifications without looking again, one of them would not wake up.
 */
static void no_notification_lost(bool event_idx, uint16_t size)
{
	struct race r;
	pthread_t device;

	memset(&r, 0, sizeof(r));
	fix_init(&r.f, size, event_idx, false);
	bell_init(&r.kick);
	bell_init(&r.irq);
	MUST(-pthread_create(&device, NULL, race_device, &r));
	CU_ASSERT_TRUE(race_driver(&r));
	pthread_join(device, NULL);
	CU_ASSERT_TRUE(r.device_ok);
	fix_fini(&r.f);
}

static void test_race_flags(void) /* SPLIT-DEV-013 */
{
	no_notification_lost(false, 4);
}

static void test_race_event_idx(void) /* SPLIT-DEV-015, SPLIT-IMP-009 */
{
	no_notification_lost(true, 4);
	no_notification_lost(true, 1);
}

static CU_TestInfo tests[] = {
	{"no notification is lost, flags", test_race_flags},
	{"no notification is lost, event index", test_race_event_idx},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("ring race", tests);
}
