/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk on the engine that does all an engine may do (driver/chaos.h), under a driver that does
 * all a driver may do: random load, and in the middle of it device resets, queue resets, stopped
 * and continued queues, suspension, pauses, other memory maps. On every transport and every kind of
 * loop.
 *
 * Each head that was made available comes back once or is dropped by a reset; the status and the
 * data are what the engine says; nothing moves once the device is reset or paused. Turned by hand,
 * a run is the same each time: VIODM_SEED=N repeats one.
 */
#include <endian.h>
#include <errno.h>
#include <event2/event.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <viodm/blk.h>
#include <viodm/iothread.h>
#include <viodm/loop_event.h>

#include <driver/blk.h>
#include <driver/chaos.h>

#include "dut.h"

#define SLOTS	      48u /* requests work on disjoint pieces of the disk, one at a time on each */
#define SLOT_BYTES    4096u
#define FLUSH	      SLOTS /* the slot of the only flush there may be */
#define MAX_QUEUES    4u
#define PATIENT_TURNS 1000u
#define MAX_TURNS     100000u /* a request that is not done by then never will be */

enum where { ON_MANUAL, ON_EVENT, ON_IOTHREAD, ON_IOTHREADS, N_WHERE };

static const char *const where_names[] = {"manual", "libevent", "IO thread", "2 IO threads"};

/* A piece of the disk. */
struct slot {
	struct drv_blk_req req;
	struct drv_framing framing;
	struct virtio_blk_discard_write_zeroes seg[2];
	bool busy;
	bool unsure; /* a write failed or was dropped: any part of it may be there */
	uint16_t queue;
	uint8_t want[SLOT_BYTES]; /* what the disk holds, unless unsure */
	uint8_t buf[SLOT_BYTES];
};

struct arena {
	struct drv_rig rig;
	enum where where;
	uint32_t seed;
	uint32_t random;
	bool broken;
	struct event_base *base;
	struct vio_loop *loop; /* libevent's */
	struct vio_iothread *iothreads[2];
	struct vio_backend *backend;
	struct vio_mem *other_map;
	struct drv_chaos *chaos;
	struct vio_device *dev;
	struct drv_bus *bus;
	struct drv_device drv;
	struct drv_blk blk;
	struct slot slot[SLOTS + 1];
	int result[SLOTS + 1]; /* what the engine said last */
	unsigned available, used, dropped;
	uint32_t trace; /* of all that happened */
};

static uint32_t draw(struct arena *a, uint32_t n)
{
	a->random = a->random * 1664525u + 1013904223u;
	return (a->random >> 8) % n;
}

static void trace(struct arena *a, uint32_t what)
{
	a->trace = (a->trace ^ what) * 16777619u;
}

/*
 * The first thing that is wrong ends the run: nothing that the driver knows of the queues is worth
 * anything from then on.
 */
static void check(struct arena *a, bool ok, const char *what, unsigned line)
{
	if (ok || a->broken)
		return;
	a->broken = true;
	CU_assertImplementation(CU_FALSE, line, what, __FILE__, "", CU_FALSE);
	fprintf(stderr, "\n  %s, %s, %u queues, seed %u", where_names[a->where], a->bus->ops->name,
		a->drv.n_queues, a->seed);
}

#define CHECK(a, cond) check((a), (cond), #cond, __LINE__)

/* ---- the machine -------------------------------------------------------------------------------
 */

static void on_result(void *arg, const struct vio_io *io)
{
	struct arena *a = arg;

	a->result[io->op == VIO_IO_FLUSH ? FLUSH : io->offset / SLOT_BYTES] = io->result;
}

/* False when this machine has no io_uring. */
static bool arena_backend(struct arena *a)
{
	struct vio_iothread_config cfg = {.cpu = -1, .poll_us = draw(a, 2) * 20};
	size_t n = a->where == ON_IOTHREADS ? 2 : 1;

	if (a->where == ON_MANUAL) {
		a->backend = a->rig.backend;
		return true;
	}
	if (a->where == ON_EVENT) {
		a->base = event_base_new();
		MUST(vio_loop_event_create(a->base, &a->loop));
		MUST(vio_backend_inproc_create(a->loop, &a->backend));
		return true;
	}
	for (size_t i = 0; i < n; i++)
		if (vio_iothread_create(&cfg, &a->iothreads[i]) < 0)
			return false;
	MUST(vio_backend_iothread_create(a->iothreads, n, &a->backend));
	return true;
}

static void arena_end(struct arena *a)
{
	if (a->backend != a->rig.backend)
		vio_backend_destroy(a->backend);
	vio_loop_destroy(a->loop);
	if (a->base)
		event_base_free(a->base);
	for (size_t i = 0; i < VIO_ARRAY_LEN(a->iothreads); i++)
		vio_iothread_destroy(a->iothreads[i]);
	drv_rig_fini(&a->rig);
}

/* From any state to DRIVER_OK. */
static void arena_start(struct arena *a)
{
	struct drv_device_config cfg = {.features = DRV_ALL_FEATURES, .table_len = 16};

	if (draw(a, 4) == 0)
		cfg.features &= ~DRV_FEATURE(VIRTIO_RING_F_EVENT_IDX);
	if (draw(a, 4) == 0)
		cfg.features &= ~DRV_FEATURE(VIRTIO_RING_F_INDIRECT_DESC);
	if (draw(a, 2) == 0)
		cfg.features &= ~DRV_FEATURE(VIRTIO_F_IN_ORDER);
	if (draw(a, 2) == 0)
		cfg.features &= ~DRV_FEATURE(VIO_F_NOTIFICATION_DATA);
	cfg.queue_size = (uint16_t)(16u << draw(a, 3));
	MUST(drv_device_start(&a->drv, &cfg));
	MUST(drv_blk_init(&a->blk, &a->drv, 1 << 20));
}

static bool arena_init(struct arena *a, enum where where, enum drv_bus_kind kind, uint16_t queues,
		       uint32_t seed)
{
	struct drv_chaos_config chaos = {.size = SLOTS * SLOT_BYTES,
					 .seed = seed,
					 .thread = where != ON_MANUAL,
					 .fail_1_in = 9,
					 .on_result = on_result,
					 .arg = a};
	struct vio_blk_config cfg = {.queues = queues, .queue_size = 64};
	struct vio_device_env env;

	memset(a, 0, sizeof(*a));
	a->where = where;
	a->random = a->seed = seed;
	MUST(drv_rig_init(&a->rig));
	if (!arena_backend(a)) {
		arena_end(a);
		return false;
	}
	MUST(drv_mem_map(&a->rig.mem, &a->other_map));
	MUST(drv_chaos_open(&chaos, &a->chaos));
	cfg.storage = drv_chaos_storage(a->chaos);
	env = a->rig.env;
	env.backend = a->backend;
	env.opt_in = VIO_OPT_IN_FEATURES;
	MUST(vio_blk_create(&env, &cfg, &a->dev));
	MUST(drv_rig_connect(&a->rig, a->dev, kind, &a->bus, &a->drv));
	arena_start(a);
	return true;
}

/* One step of the loop, or some time for a loop on another thread. */
static void let_work(struct arena *a)
{
	static const struct timespec nap = {.tv_nsec = 20000};

	if (a->where == ON_MANUAL)
		drv_rig_turn(&a->rig);
	else if (a->where == ON_EVENT)
		event_base_loop(a->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	else
		nanosleep(&nap, NULL);
}

/* ---- requests ----------------------------------------------------------------------------------
 */

static void fill(struct arena *a, uint8_t *buf)
{
	uint32_t v = draw(a, 1 << 24);

	for (uint32_t i = 0; i < SLOT_BYTES; i++)
		buf[i] = (uint8_t)(v + i * 7 + (i >> 9));
}

/* One or two segments, which together are the slot. */
static void make_ranges(struct arena *a, struct slot *s, uint64_t sector)
{
	uint32_t n = SLOT_BYTES / 512, first = 1 + draw(a, n);

	s->seg[0] = (struct virtio_blk_discard_write_zeroes){.sector = htole64(sector),
							     .num_sectors = htole32(first)};
	s->seg[1] = (struct virtio_blk_discard_write_zeroes){.sector = htole64(sector + first),
							     .num_sectors = htole32(n - first)};
	s->req.out = s->seg;
	s->req.out_len = sizeof(s->seg[0]) * (first < n ? 2 : 1);
}

static void make_request(struct arena *a, unsigned i)
{
	static const uint32_t types[] = {VIRTIO_BLK_T_IN,      VIRTIO_BLK_T_IN,
					 VIRTIO_BLK_T_IN,      VIRTIO_BLK_T_OUT,
					 VIRTIO_BLK_T_OUT,     VIRTIO_BLK_T_OUT,
					 VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES};
	uint64_t sector = i * (SLOT_BYTES / 512);
	struct slot *s = &a->slot[i];

	s->req = (struct drv_blk_req){.sector = sector, .framing = &s->framing};
	s->framing = (struct drv_framing){.rest = 1000 + draw(a, 4000),
					  .n_direct = draw(a, 2) ? DRV_DIRECT : draw(a, 3)};
	if (!drv_device_has(&a->drv, VIRTIO_RING_F_INDIRECT_DESC))
		s->framing.n_direct = DRV_DIRECT;
	if (i == FLUSH) {
		s->req.type = VIRTIO_BLK_T_FLUSH;
		s->req.sector = 0;
		return;
	}
	s->req.type = types[draw(a, VIO_ARRAY_LEN(types))];
	if (s->req.type == VIRTIO_BLK_T_IN) {
		memset(s->buf, 0xdb, sizeof(s->buf));
		s->req.in = s->buf;
		s->req.in_len = SLOT_BYTES;
	} else if (s->req.type == VIRTIO_BLK_T_OUT) {
		fill(a, s->buf);
		s->req.out = s->buf;
		s->req.out_len = SLOT_BYTES;
	} else {
		make_ranges(a, s, sector);
	}
}

/* False when there is no room. */
static bool submit(struct arena *a)
{
	unsigned i = draw(a, SLOTS + 1);
	struct slot *s = &a->slot[i];
	int r;

	if (s->busy)
		return true;
	make_request(a, i);
	s->queue = (uint16_t)draw(a, a->drv.n_queues);
	r = drv_blk_add(&a->blk, s->queue, &s->req);
	if (r == -ENOSPC || r == -ENOMEM)
		return false;
	MUST(r);
	s->busy = true;
	a->available++;
	if (draw(a, 3))
		drv_device_submit(&a->drv, s->queue);
	return true;
}

static uint8_t status_of(int result)
{
	if (result == -EOPNOTSUPP)
		return VIRTIO_BLK_S_UNSUPP;
	return result ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
}

static void finish(struct arena *a, unsigned i)
{
	struct slot *s = &a->slot[i];
	int result = a->result[i];
	bool read = s->req.type == VIRTIO_BLK_T_IN;

	trace(a, i << 8 | s->req.status);
	s->busy = false;
	a->used++;
	CHECK(a, !s->req.damaged);
	CHECK(a, s->req.status == status_of(result));
	CHECK(a, s->req.used_len == (read ? (result ? 0 : SLOT_BYTES + 1) : 1));
	if (read && result == 0 && !s->unsure)
		CHECK(a, memcmp(s->buf, s->want, SLOT_BYTES) == 0);
	if (read || i == FLUSH)
		return;
	s->unsure = result != 0 || s->req.type == VIRTIO_BLK_T_DISCARD;
	if (s->req.type == VIRTIO_BLK_T_OUT)
		memcpy(s->want, s->buf, SLOT_BYTES);
	else
		memset(s->want, 0, SLOT_BYTES);
}

/* Takes back what was used. */
static void poll_used(struct arena *a)
{
	for (uint16_t q = 0; q < a->drv.n_queues; q++) {
		CHECK(a, drv_blk_poll(&a->blk, q) >= 0); /* in order: FEAT-DEV-005 */
		CHECK(a, a->drv.queue[q].n_skipped == 0);
	}
	for (unsigned i = 0; i <= SLOTS; i++)
		if (a->slot[i].busy && a->slot[i].req.done)
			finish(a, i);
}

/* What a reset has dropped never comes back. */
static void drop(struct arena *a, uint16_t queue)
{
	for (unsigned i = 0; i <= SLOTS; i++) {
		struct slot *s = &a->slot[i];

		if (!s->busy || s->queue != queue)
			continue;
		s->busy = false;
		s->unsure |= s->req.type != VIRTIO_BLK_T_IN;
		drv_blk_forget(&a->blk, &s->req);
		a->dropped++;
	}
}

/* Everything that is available is used, with no other queue's help. */
static void settle(struct arena *a)
{
	static const struct timespec nap = {.tv_nsec = 50000};

	for (uint16_t q = 0; q < a->drv.n_queues; q++)
		drv_device_submit(&a->drv, q);
	for (unsigned n = 0; a->blk.in_flight > 0 && !a->broken && n < MAX_TURNS; n++) {
		let_work(a);
		poll_used(a);
		if (n > PATIENT_TURNS && a->where != ON_MANUAL)
			nanosleep(&nap, NULL); /* the engine's thread may be waiting for a CPU */
	}
	CHECK(a, a->blk.in_flight == 0);
	CHECK(a, drv_chaos_in_flight(a->chaos) == 0);
	CHECK(a, a->available == a->used + a->dropped);
}

/* ---- what happens in between -------------------------------------------------------------------
 */

/* What must not move while the device is stopped. */
struct still {
	uint16_t used[MAX_QUEUES];
	uint32_t irqs;
};

static struct still still_look(struct arena *a)
{
	struct still s = {.irqs = a->bus->n_irqs};

	for (uint16_t q = 0; q < a->drv.n_queues; q++)
		s.used[q] = drv_queue_used_idx(&a->drv.queue[q]);
	return s;
}

static void still_check(struct arena *a, const struct still *before)
{
	struct still now;

	CHECK(a, drv_chaos_in_flight(a->chaos) == 0);
	for (unsigned i = 0; i < 4; i++)
		let_work(a);
	now = still_look(a);
	CHECK(a, memcmp(now.used, before->used, sizeof(now.used)) == 0);
	CHECK(a, now.irqs == before->irqs);
}

static void device_reset(struct arena *a) /* BASIC-DEV-011, BASIC-DEV-012 */
{
	struct still s;

	drv_reset(a->bus);
	s = still_look(a);
	CHECK(a, !a->bus->line);
	still_check(a, &s);
	poll_used(a);
	for (uint16_t q = 0; q < a->drv.n_queues; q++)
		drop(a, q);
	arena_start(a);
}

/* On mmio the driver takes the queue away by QueueReady; both ways it begins from nothing. */
static void queue_reset(struct arena *a) /* BASIC-DEV-014 .. 016, MMIO-DEV-008 .. 012 */
{
	uint16_t q = (uint16_t)draw(a, a->drv.n_queues), used;
	struct drv_queue *dq = &a->drv.queue[q];

	if (drv_device_has(&a->drv, VIRTIO_F_RING_RESET) && draw(a, 2))
		drv_queue_reset(a->bus, q);
	else
		vio_device_queue_disable(a->dev, q);
	used = drv_queue_used_idx(dq);
	let_work(a);
	CHECK(a, drv_queue_used_idx(dq) == used);
	poll_used(a);
	drop(a, q);
	drv_queue_clear(dq);
	if (a->bus->ops->name[0] == 'p')
		MUST(drv_irq_setup(a->bus, a->drv.n_queues));
	drv_device_place_queue(&a->drv, q);
}

/* As vhost-user does: the queue goes on where it stopped, and nothing is lost. */
static void queue_continue(struct arena *a)
{
	uint16_t q = (uint16_t)draw(a, a->drv.n_queues), at;
	struct drv_queue *dq = &a->drv.queue[q];

	at = vio_device_queue_disable(a->dev, q);
	CHECK(a, at == drv_queue_used_idx(dq));
	let_work(a);
	CHECK(a, at == drv_queue_used_idx(dq));
	vio_device_queue_set(a->dev, q, VIO_QUEUE_NEXT_AVAIL, at);
	vio_device_queue_enable(a->dev, q);
}

static void pause_and_resume(struct arena *a)
{
	struct still s;

	CHECK(a, vio_device_pause(a->dev) == 0);
	s = still_look(a);
	for (unsigned i = draw(a, 6); i > 0; i--)
		submit(a);
	still_check(a, &s);
	if (draw(a, 4) == 0)
		device_reset(a);
	CHECK(a, vio_device_resume(a->dev) == 0);
}

static void change_map(struct arena *a)
{
	const struct vio_mem *map = draw(a, 2) ? a->rig.map : a->other_map;

	CHECK(a, vio_device_set_mem(a->dev, map) == 0);
}

/* What is made available, against the rules, in between is left alone until the end. */
static void suspend_and_resume(struct arena *a) /* BASIC-DEV-022, 023, 027 .. 031 */
{
	uint8_t running = drv_status(a->bus), suspended;
	struct still s;

	suspended = (running & ~DRIVER_OK) | SUSPEND;
	CHECK(a, drv_add_status(a->bus, SUSPEND) == suspended);
	s = still_look(a);
	for (unsigned i = draw(a, 6); i > 0; i--)
		submit(a);
	still_check(a, &s);
	if (draw(a, 4) == 0) {
		device_reset(a);
		return;
	}
	if (draw(a, 4) == 0)
		change_map(a);
	if (draw(a, 4) == 0)
		queue_reset(a);
	CHECK(a, drv_status(a->bus) == suspended);
	CHECK(a, drv_add_status(a->bus, DRIVER_OK) == running);
}

/* A driver that waits for interrupts instead of looking gets one for what is used. */
static void interrupts_come(struct arena *a)
{
	uint32_t before;

	settle(a);
	if (a->where != ON_MANUAL)
		return;
	for (uint16_t q = 0; q < a->drv.n_queues; q++)
		drv_queue_irq_on(&a->drv.queue[q]);
	before = a->bus->n_irqs;
	for (unsigned i = 0; i < 20; i++)
		submit(a);
	for (uint16_t q = 0; q < a->drv.n_queues; q++)
		drv_device_submit(&a->drv, q);
	drv_irq_forget(a->bus);
	drv_device_settle(&a->drv);
	CHECK(a, a->bus->n_irqs != before || a->bus->line);
	poll_used(a);
	CHECK(a, a->blk.in_flight == 0);
	for (uint16_t q = 0; q < a->drv.n_queues; q++)
		if (draw(a, 2))
			drv_queue_irq_off(&a->drv.queue[q]);
}

static void incident(struct arena *a)
{
	static void (*const incidents[])(struct arena * a) = {
		device_reset,	  queue_reset,	      queue_continue,	  pause_and_resume,
		pause_and_resume, suspend_and_resume, suspend_and_resume, change_map,
		settle,		  interrupts_come,
	};

	incidents[draw(a, VIO_ARRAY_LEN(incidents))](a);
	trace(a, drv_chaos_in_flight(a->chaos));
}

static void contents_are_right(struct arena *a)
{
	for (unsigned i = 0; i < SLOTS; i++)
		CHECK(a, a->slot[i].unsure || memcmp(drv_chaos_bytes(a->chaos) + i * SLOT_BYTES,
						     a->slot[i].want, SLOT_BYTES) == 0);
}

/* Returns a number that stands for all that happened, 0 when it cannot happen here. */
static uint32_t run(enum where where, enum drv_bus_kind kind, uint16_t queues, uint32_t seed,
		    unsigned steps)
{
	static struct arena a;

	if (CU_get_number_of_failures() > 0)
		return 1; /* one report is enough */
	if (!arena_init(&a, where, kind, queues, seed))
		return 0;
	for (unsigned n = 0; n < steps && !a.broken; n++) {
		for (unsigned depth = draw(&a, 12); depth > 0; depth--)
			if (!submit(&a))
				settle(&a);
		for (unsigned i = draw(&a, 5); i > 0; i--)
			let_work(&a);
		if (draw(&a, 2))
			poll_used(&a);
		if (draw(&a, 4) == 0)
			incident(&a);
	}
	settle(&a);
	contents_are_right(&a);
	CHECK(&a, a.used > steps && a.dropped > 0);
	CHECK(&a, a.rig.log_lines == 0);
	device_reset(&a);
	if (drv_chaos_fault(a.chaos))
		fprintf(stderr, "\n  the device: %s", drv_chaos_fault(a.chaos));
	CHECK(&a, !drv_chaos_fault(a.chaos));
	drv_rig_disconnect(a.dev, a.bus, &a.drv);
	vio_storage_close(drv_chaos_storage(a.chaos));
	vio_mem_destroy(a.other_map);
	arena_end(&a);
	return a.trace | 1;
}

static uint32_t first_seed(void)
{
	const char *text = getenv("VIODM_SEED");

	return text ? (uint32_t)strtoul(text, NULL, 0) : 1;
}

/* ---- tests -------------------------------------------------------------------------------------
 */

static void test_by_hand(void)
{
	for (uint32_t seed = first_seed(); seed < first_seed() + 16; seed++)
		for (unsigned kind = 0; kind < DRV_N_BUS_KINDS; kind++)
			run(ON_MANUAL, (enum drv_bus_kind)kind, 1 + seed % MAX_QUEUES, seed, 400);
}

static void test_same_again(void)
{
	uint32_t first = run(ON_MANUAL, DRV_PCI_MSIX, 3, first_seed(), 200);

	CU_ASSERT_EQUAL(run(ON_MANUAL, DRV_PCI_MSIX, 3, first_seed(), 200), first);
	CU_ASSERT_NOT_EQUAL(run(ON_MANUAL, DRV_PCI_MSIX, 3, first_seed() + 1, 200), first);
}

static void test_loops_of_their_own(void)
{
	for (enum where where = ON_EVENT; where < N_WHERE; where++) {
		for (unsigned i = 0; i < 4; i++) {
			enum drv_bus_kind kind = i % 2 ? DRV_PCI_MSIX : DRV_MMIO;
			uint16_t queues = i < 2 ? 2 : 4;

			if (!run(where, kind, queues, first_seed() + i, 400)) {
				printf("\n    (no io_uring here: %s not run) ", where_names[where]);
				break;
			}
		}
	}
}

static CU_TestInfo tests[] = {
	{"turned by hand", test_by_hand},
	{"the same seed gives the same run", test_same_again},
	{"libevent and IO threads", test_loops_of_their_own},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("chaos", tests);
}
