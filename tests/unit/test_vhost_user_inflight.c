/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In-flight tracking over vhost-user: the areas and their file, a server that died and what the
 * next one makes of its areas, disconnects and resets. What is refused is in
 * test_vhost_user_inflight_refused.c.
 */
#include "vhost_areas.h"

/* ---- as it should be ---------------------------------------------------------------------------
 */

static void test_get_and_set(void)
{
	struct areas a;
	struct fix f;
	struct fe fe;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(begin(&fe), 0);
	areas_get(&a, &fe, 2, RING_SIZE);
	CU_ASSERT_EQUAL(a.d.mmap_size, 2 * 1088);
	CU_ASSERT_EQUAL(a.d.mmap_offset, 0);
	CU_ASSERT_EQUAL(a.d.n_queues, 2);
	CU_ASSERT_EQUAL(a.d.queue_size, RING_SIZE);
	CU_ASSERT_EQUAL(fcntl(a.fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	for (unsigned i = 0; i < a.d.mmap_size; i++)
		CU_ASSERT_EQUAL_FATAL(((uint8_t *)a.map)[i], 0);
	CU_ASSERT_EQUAL(set(&fe, &a), 0);
	for (uint32_t i = 0; i < N_QUEUES; i++) { /* the last one has no area */
		CU_ASSERT_EQUAL(ring(&fe, i, 0), 0);
		CU_ASSERT_TRUE(fe_works(&fe, i, (uint8_t)(i + 1)));
	}
	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(area(&a, i)->version, VIO_INFLIGHT_VERSION);
		CU_ASSERT_EQUAL(area(&a, i)->desc_num, RING_SIZE);
		CU_ASSERT_EQUAL(area(&a, i)->used_idx, 2);
		CU_ASSERT_EQUAL(marks(area(&a, i)), 0);
	}
	CU_ASSERT_EQUAL(f.warnings, 0);
	areas_free(&a);
	pair_close(&fe);
}

/* The payload is 20 bytes, or 24 with a compiler's padding; the answer is as long. */
static void test_payload_sizes(void)
{
	for (uint32_t size = 20; size <= 24; size += 4) {
		struct vio_vhost_msg m = fe_msg(VIO_VHOST_GET_INFLIGHT_FD, size);
		struct vio_vhost_msg answer = {0};
		struct fix f;
		struct fe fe;

		fix_open(&f, false);
		fe_open(&fe, &f);
		CU_ASSERT_EQUAL(begin(&fe), 0);
		m.u.inflight.n_queues = 1;
		m.u.inflight.queue_size = 256;
		fe_send(&fe, &m);
		CU_ASSERT_EQUAL_FATAL(fe_answer(&fe, &answer), 1);
		CU_ASSERT_EQUAL(answer.hdr.size, size);
		CU_ASSERT_EQUAL(answer.u.inflight.mmap_size, STRIDE(256));
		CU_ASSERT_EQUAL(answer.n_fds, 1);
		m = fe_msg(VIO_VHOST_SET_INFLIGHT_FD, size);
		m.u.inflight = answer.u.inflight;
		m.fds[0] = answer.fds[0];
		m.n_fds = 1;
		CU_ASSERT_EQUAL(fe_acked(&fe, &m), 0);
		close(answer.fds[0]);
		fe_close(&fe);
		fix_close(&f);
	}
}

/* Rings run on while areas come, and are replaced. Those of our making are used without SET, too.
 */
static void test_while_running(void)
{
	struct areas a, own;
	struct fix f;
	struct fe fe;

	pair_start(&f, &fe);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	areas_get(&a, &fe, 1, 256); /* larger than the ring */
	CU_ASSERT_TRUE(fe_works(&fe, 0, 2));
	CU_ASSERT_EQUAL(area(&a, 0)->used_idx, 4);
	areas_make(&own, 3, RING_SIZE, 24);
	CU_ASSERT_EQUAL(set(&fe, &own), 0);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 3));
	CU_ASSERT_EQUAL(area(&own, 0)->used_idx, 6);
	CU_ASSERT_EQUAL(area(&a, 0)->used_idx, 4);
	CU_ASSERT_EQUAL(fe_get_base(&fe, 0), 6);
	CU_ASSERT_EQUAL(f.warnings, 0);
	areas_free(&a);
	areas_free(&own);
	pair_close(&fe);
}

/* ---- another server takes over -----------------------------------------------------------------
 */

#define N_REQUESTS 5

/* Request `i`: writes 512 bytes of its own to sector i. The head. */
static uint16_t offer(struct fe *fe, unsigned i)
{
	uint64_t at = fe->buf + 0x1000 + i * 0x400;
	struct virtio_blk_outhdr *h = drv_mem_ptr(&fe->mem, at, sizeof(*h));
	struct drv_buf b[3] = {
		{at, sizeof(*h), false}, {at + 0x200, 512, false}, {at + 0x100, 1, true}};
	int head;

	*h = (struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_OUT, .sector = i};
	memset(drv_mem_ptr(&fe->mem, at + 0x200, 512), (int)(i + 1), 512);
	head = drv_queue_add(&fe->q[0], b, 3, DRV_DIRECT, NULL);
	MUST(head);
	return (uint16_t)head;
}

/* As a server would have done it: uses `head` without doing anything. */
static void use(struct drv_queue *q, uint16_t head)
{
	uint16_t idx = drv_queue_used_idx(q);

	q->used->ring[idx % RING_SIZE] = (struct vring_used_elem){.id = head};
	q->used->idx = (uint16_t)(idx + 1);
}

/*
 * Of five requests the dead server took four, in the order 0 1 2 3, but noted other numbers; it
 * used 1, and died before the mark of that was gone if `publishing`. `base` is what the front-end
 * believes.
 */
static void check_takes_over(uint32_t base, bool publishing)
{
	static const unsigned order[] = {1, 3, 0, 2, 4};
	uint16_t head[N_REQUESTS];
	struct vio_inflight *in;
	struct drv_used u;
	struct areas a;
	struct fix f;
	struct fe fe;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(begin(&fe), 0);
	areas_make(&a, 1, RING_SIZE, 0);
	for (unsigned i = 0; i < N_REQUESTS; i++)
		head[i] = offer(&fe, i);
	drv_queue_publish(&fe.q[0]);
	use(&fe.q[0], head[1]);
	in = area(&a, 0);
	in->version = VIO_INFLIGHT_VERSION;
	in->desc_num = RING_SIZE;
	in->last_batch_head = head[1];
	in->used_idx = !publishing;
	in->desc[head[1]].inflight = publishing;
	in->desc[head[3]] = (struct vio_inflight_desc){.inflight = 1, .counter = 70};
	in->desc[head[0]] = (struct vio_inflight_desc){.inflight = 1, .counter = 71};
	in->desc[head[2]] = (struct vio_inflight_desc){.inflight = 1, .counter = 72};
	CU_ASSERT_EQUAL(set(&fe, &a), 0);
	CU_ASSERT_EQUAL(ring(&fe, 0, base), 0);
	fe_turn(&fe);
	for (unsigned i = 0; i < N_REQUESTS; i++) {
		CU_ASSERT_EQUAL_FATAL(drv_queue_get(&fe.q[0], &u), 1);
		CU_ASSERT_EQUAL(u.head, head[order[i]]);
		CU_ASSERT_EQUAL(u.len, i == 0 ? 0 : 1);
	}
	CU_ASSERT_EQUAL(drv_queue_get(&fe.q[0], &u), 0);
	CU_ASSERT_EQUAL(marks(in), 0);
	CU_ASSERT_EQUAL(in->used_idx, N_REQUESTS);
	CU_ASSERT_TRUE(fe_event(fe.call[0]));
	CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	CU_ASSERT_EQUAL(fe_get_base(&fe, 0), N_REQUESTS + 2);
	CU_ASSERT_EQUAL(f.warnings, 0);
	areas_free(&a);
	pair_close(&fe);
}

static void test_takes_over(void)
{
	/* what it was at first, the used index as from QEMU, what was taken, all there is */
	static const uint32_t bases[] = {0, 1, 4, 5};

	for (unsigned i = 0; i < VIO_ARRAY_LEN(bases); i++) {
		check_takes_over(bases[i], false);
		check_takes_over(bases[i], true);
	}
}

/* The dead server used all there was and did not come to say so: the driver sleeps. */
static void test_takes_over_interrupt(void)
{
	uint16_t head;
	struct areas a;
	struct fix f;
	struct fe fe;

	for (unsigned accounted = 0; accounted < 2; accounted++) {
		fix_open(&f, false);
		fe_open(&fe, &f);
		CU_ASSERT_EQUAL(begin(&fe), 0);
		areas_make(&a, 1, RING_SIZE, 0);
		head = offer(&fe, 0);
		drv_queue_publish(&fe.q[0]);
		use(&fe.q[0], head);
		*area(&a, 0) = (struct vio_inflight){.version = VIO_INFLIGHT_VERSION,
						     .desc_num = RING_SIZE,
						     .last_batch_head = head,
						     .used_idx = (uint16_t)accounted};
		area(&a, 0)->desc[head].inflight = !accounted;
		CU_ASSERT_EQUAL(set(&fe, &a), 0);
		CU_ASSERT_EQUAL(ring(&fe, 0, 1), 0);
		fe_turn(&fe);
		CU_ASSERT_TRUE(fe_event(fe.call[0]));
		CU_ASSERT_EQUAL(drv_queue_used_idx(&fe.q[0]), 1);
		areas_free(&a);
		fe_close(&fe);
		fix_close(&f);
	}
}

/* A disconnect in passing: requests that come meanwhile are served after it, once. */
static void test_reconnect(void)
{
	struct areas a;
	struct fix f;
	struct fe fe;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(begin(&fe), 0);
	areas_get(&a, &fe, N_QUEUES, RING_SIZE);
	for (unsigned i = 0; i < 10; i++) {
		CU_ASSERT_EQUAL(set(&fe, &a), 0);
		CU_ASSERT_EQUAL(ring(&fe, 0, i % 2 ? drv_queue_used_idx(&fe.q[0]) : 0), 0);
		if (i > 0)
			CU_ASSERT_TRUE(fe_used(&fe, 0));
		CU_ASSERT_FALSE(fe_used(&fe, 0));
		CU_ASSERT_TRUE(fe_works(&fe, 0, (uint8_t)i));
		fe_submit(&fe, 0, VIRTIO_BLK_T_OUT, 0, fe.buf + 4096);
		fe_disconnect(&fe);
		/* it was either served before the disconnect, or will be after it */
		CU_ASSERT_EQUAL(marks(area(&a, 0)), 0);
		CU_ASSERT_EQUAL(area(&a, 0)->used_idx, drv_queue_used_idx(&fe.q[0]));
		reconnect(&fe);
		CU_ASSERT_EQUAL(begin(&fe), 0);
	}
	CU_ASSERT_EQUAL(f.warnings, 0);
	areas_free(&a);
	pair_close(&fe);
}

/* ---- the driver's cache mode, which nobody hands over ------------------------------------------
 */

#define WCE_AT offsetof(struct virtio_blk_config, wce)

static int begin_wce(struct fe *fe)
{
	return fe_begin(fe, F_BASIC | F_PROTOCOL | BIT64(VIRTIO_BLK_F_CONFIG_WCE), P_ALL);
}

static int choose(struct fe *fe, uint8_t wce)
{
	struct vio_vhost_msg m = fe_msg(VIO_VHOST_SET_CONFIG, VIO_VHOST_CONFIG_HDR + 1);

	m.u.config.offset = WCE_AT;
	m.u.config.size = 1;
	m.u.config.data[0] = wce;
	return fe_plain(fe, &m);
}

static uint8_t writeback(struct fe *fe)
{
	uint8_t wce = 2;

	vio_device_config_read(fe->f->dev, WCE_AT, &wce, 1);
	return wce;
}

/* Ring 0 stops, and goes on in another session. */
static void next_session(struct fe *fe)
{
	uint16_t base = drv_queue_used_idx(&fe->q[0]);

	reconnect(fe);
	CU_ASSERT_EQUAL(begin_wce(fe), 0);
	CU_ASSERT_EQUAL(ring(fe, 1, 0), 0); /* one that was never used says nothing */
	CU_ASSERT_EQUAL(writeback(fe), 1);
	CU_ASSERT_EQUAL(ring(fe, 0, base), 0);
}

static void test_cache_mode(void)
{
	struct fix f;
	struct fe fe;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(begin_wce(&fe), 0);
	CU_ASSERT_EQUAL(ring(&fe, 0, 0), 0);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	/* the same session: nothing is lost when the front-end stops the ring */
	CU_ASSERT_EQUAL(fe_get_base(&fe, 0), 2);
	CU_ASSERT_EQUAL(ring(&fe, 0, 2), 0);
	CU_ASSERT_EQUAL(writeback(&fe), 1);
	CU_ASSERT_EQUAL(choose(&fe, 0), 0);
	next_session(&fe);
	CU_ASSERT_EQUAL(writeback(&fe), 0);
	CU_ASSERT_TRUE(fe_config_changes(&fe) > 0);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 2));
	CU_ASSERT_EQUAL(choose(&fe, 1), 0);
	CU_ASSERT_EQUAL(fe_get_base(&fe, 0), 4);
	CU_ASSERT_EQUAL(ring(&fe, 0, 4), 0);
	CU_ASSERT_EQUAL(writeback(&fe), 1);
	/* a driver that begins anew */
	CU_ASSERT_EQUAL(fe_empty(&fe, VIO_VHOST_RESET_DEVICE), 0);
	drv_queue_clear(&fe.q[0]);
	CU_ASSERT_EQUAL(ring(&fe, 0, 0), 0);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 3));
	CU_ASSERT_EQUAL(writeback(&fe), 1);
	pair_close(&fe);
}

/* Chosen before the rings run; the index back at 0; no choice at all. */
static void test_cache_mode_odd(void)
{
	struct fix f;
	struct fe fe;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(begin_wce(&fe), 0);
	CU_ASSERT_EQUAL(choose(&fe, 1), 0);
	CU_ASSERT_EQUAL(ring(&fe, 0, 5), 0);
	CU_ASSERT_EQUAL(writeback(&fe), 1);
	drv_queue_clear(&fe.q[0]);
	fe.q[0].used->ring[RING_SIZE - 1].len = 1; /* the last of 65536 */
	next_session(&fe);
	CU_ASSERT_EQUAL(writeback(&fe), 0);
	reconnect(&fe);
	CU_ASSERT_EQUAL(begin(&fe), 0);
	CU_ASSERT_EQUAL(ring(&fe, 0, 0), 0);
	CU_ASSERT_EQUAL(writeback(&fe), 1);
	pair_close(&fe);
}

/* ---- resets ------------------------------------------------------------------------------------
 */

enum reset { RESET_DEVICE, RESET_STATUS, RESET_FEATURES, RESET_NOT };

static int reset(struct fe *fe, enum reset how)
{
	switch (how) {
	case RESET_DEVICE:
		return fe_empty(fe, VIO_VHOST_RESET_DEVICE);
	case RESET_STATUS:
		return fe_u64(fe, VIO_VHOST_SET_STATUS, 0);
	case RESET_FEATURES: /* a front-end that knows no reset: the next driver negotiates */
		fe_get_base(fe, 0);
		return fe_u64(fe, VIO_VHOST_SET_FEATURES, BIT64(VIRTIO_F_VERSION_1) | F_PROTOCOL);
	case RESET_NOT:
		reconnect(fe);
		return 0;
	}
	return FE_SILENT;
}

/*
 * A mark of a request that was never answered, in an area that has seen 300 of them: void for the
 * driver that begins anew, and kept by a disconnect.
 */
static void check_reset(enum reset how)
{
	struct areas a;
	struct fix f;
	struct fe fe;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(
		fe_begin(&fe, F_BASIC | F_PROTOCOL, P_ALL | (how == RESET_STATUS ? P(STATUS) : 0)),
		0);
	areas_get(&a, &fe, 1, RING_SIZE);
	CU_ASSERT_EQUAL(set(&fe, &a), 0);
	drv_queue_warp(&fe.q[0], 300);
	CU_ASSERT_EQUAL(ring(&fe, 0, 300), 0);
	if (how == RESET_STATUS)
		CU_ASSERT_EQUAL(fe_u64(&fe, VIO_VHOST_SET_STATUS, 15), 0);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	CU_ASSERT_EQUAL(area(&a, 0)->used_idx, 302);
	area(&a, 0)->desc[7].inflight = 1;
	CU_ASSERT_EQUAL(reset(&fe, how), 0);
	CU_ASSERT_EQUAL(marks(area(&a, 0)), how == RESET_NOT);
	if (how == RESET_NOT) {
		areas_free(&a);
		fe_close(&fe);
		fix_close(&f);
		return;
	}
	/* the front-end sends no other area */
	drv_queue_clear(&fe.q[0]);
	CU_ASSERT_EQUAL(fe_u64(&fe, VIO_VHOST_SET_FEATURES, F_BASIC | F_PROTOCOL), 0);
	CU_ASSERT_EQUAL(ring(&fe, 0, 0), 0);
	if (how == RESET_STATUS)
		CU_ASSERT_EQUAL(fe_u64(&fe, VIO_VHOST_SET_STATUS, 15), 0);
	CU_ASSERT_FALSE(fe_used(&fe, 0));
	CU_ASSERT_EQUAL(drv_queue_used_idx(&fe.q[0]), 0);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 2));
	CU_ASSERT_EQUAL(area(&a, 0)->used_idx, 2);
	CU_ASSERT_EQUAL(marks(area(&a, 0)), 0);
	CU_ASSERT_EQUAL(f.warnings, 0);
	areas_free(&a);
	pair_close(&fe);
}

static void test_resets(void)
{
	check_reset(RESET_DEVICE);
	check_reset(RESET_STATUS);
	check_reset(RESET_FEATURES);
	check_reset(RESET_NOT);
}

/* Stopped and started, as for a pause of the guest: the same areas go on. */
static void test_stop_and_start(void)
{
	struct areas a;
	struct fix f;
	struct fe fe;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(begin(&fe), 0);
	areas_get(&a, &fe, 1, RING_SIZE);
	CU_ASSERT_EQUAL(set(&fe, &a), 0);
	CU_ASSERT_EQUAL(ring(&fe, 0, 0), 0);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	CU_ASSERT_EQUAL(fe_get_base(&fe, 0), 2);
	fe_submit(&fe, 0, VIRTIO_BLK_T_OUT, 0, fe.buf + 4096);
	CU_ASSERT_EQUAL(ring(&fe, 0, 2), 0);
	CU_ASSERT_TRUE(fe_used(&fe, 0));
	CU_ASSERT_FALSE(fe_used(&fe, 0));
	CU_ASSERT_TRUE(fe_works(&fe, 0, 2));
	CU_ASSERT_EQUAL(area(&a, 0)->used_idx, 5);
	/* and with the status as QEMU does it: 0 first, then the index */
	CU_ASSERT_EQUAL(fe_empty(&fe, VIO_VHOST_RESET_DEVICE), 0);
	CU_ASSERT_EQUAL(fe_get_base(&fe, 0), 5);
	CU_ASSERT_EQUAL(ring(&fe, 0, 5), 0);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 3));
	CU_ASSERT_EQUAL(area(&a, 0)->used_idx, 7);
	CU_ASSERT_EQUAL(f.warnings, 0);
	areas_free(&a);
	pair_close(&fe);
}

static CU_TestInfo tests[] = {
	{"get and set", test_get_and_set},
	{"payloads of 20 and 24 bytes", test_payload_sizes},
	{"areas that come while rings run", test_while_running},
	{"taking over from a dead server", test_takes_over},
	{"taking over an interrupt that is missing", test_takes_over_interrupt},
	{"reconnecting", test_reconnect},
	{"the cache mode", test_cache_mode},
	{"the cache mode, odd cases", test_cache_mode_odd},
	{"a reset voids what is in flight, a disconnect does not", test_resets},
	{"stop and start", test_stop_and_start},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("vhost-user in-flight tracking", tests);
}
