/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-net: moderation of a transmit queue. When it begins, that it gathers, when it ends, and
 * that nothing is lost on the way.
 */
#include <limits.h>

#include <viodm/loop_manual.h>

#include "card.h"

#define TICK_US	  50000
#define WINDOW	  16
#define SIZE	  64
#define GATHER	  4 /* a 16th of the ring */
#define FRAME	  1514
#define EVENT_IDX DRV_FEATURE(29)
#define FEATURES  (CARD_PLAIN | EVENT_IDX)

static void begin(struct card *c, uint32_t usecs, uint64_t features)
{
	const struct vio_net_config cfg = {
		.queue_size = SIZE, .has_mac = true, .mac = CARD_MAC, .moderation_us = usecs};

	card_make(c, DRV_MMIO, &cfg, NULL);
	c->port->discard = true;
	card_start(c, features);
}

static void add(struct card *c, uint32_t len)
{
	uint8_t frame[FRAME];

	card_frame(frame, len, 1);
	MUST(card_tx_add(c, 0, NULL, frame, len, 0, 0));
}

/* One frame and its kick; how many came back at once. */
static unsigned send(struct card *c, uint32_t len)
{
	add(c, len);
	card_tx_go(c, 0);
	return card_tx_done(c, 0);
}

/* Waits for `n` frames to come back: how many did. */
static unsigned wait_done(struct card *c, unsigned n)
{
	unsigned done = 0;

	for (unsigned i = 0; i < 10 && done < n; i++) {
		vio_loop_manual_run(c->rig.loop, 100);
		done += card_tx_done(c, 0);
	}
	return done;
}

/* A window of kicked frames: all came back at once. */
static bool window(struct card *c, uint32_t len)
{
	unsigned done = 0;

	for (unsigned i = 0; i < WINDOW; i++)
		done += send(c, len);
	return done == WINDOW;
}

/* The next frame waits for the tick, or for others. */
static void until_held(struct card *c)
{
	unsigned n = 0;

	while (n < 3 * WINDOW && send(c, FRAME) == 1)
		n++;
	CU_ASSERT(n >= WINDOW - 2 && n <= WINDOW);
	CU_ASSERT_EQUAL(wait_done(c, 1), 1);
}

/* Two ticks with nothing to do. */
static void silence(struct card *c)
{
	for (unsigned i = 0; i < 4; i++)
		vio_loop_manual_run(c->rig.loop, 2 * TICK_US / 1000);
}

static void begin_bulk(struct card *c, uint64_t features)
{
	begin(c, TICK_US, features);
	until_held(c);
}

static void test_gathers(void)
{
	struct card c;

	begin_bulk(&c, FEATURES);
	CU_ASSERT_EQUAL(send(&c, FRAME), 0);
	CU_ASSERT_EQUAL(wait_done(&c, 1), 1);
	/* the last of a few is kicked for, and takes the others along */
	for (unsigned i = 1; i < GATHER; i++) {
		add(&c, FRAME);
		CU_ASSERT_FALSE(drv_queue_publish(&c.drv.queue[1]));
	}
	CU_ASSERT_EQUAL(send(&c, FRAME), GATHER);
	card_fini(&c);
}

static void test_off(void)
{
	struct card c;

	begin(&c, 0, FEATURES);
	CU_ASSERT(window(&c, FRAME));
	CU_ASSERT(window(&c, FRAME));
	card_fini(&c);
}

static void test_small_frames(void) /* requests and answers, not a bulk */
{
	struct card c;

	begin(&c, TICK_US, FEATURES);
	for (unsigned i = 0; i < 8; i++)
		CU_ASSERT(window(&c, 200));
	card_fini(&c);
}

static void test_slow(void) /* kicks that are farther apart than ticks */
{
	struct card c;

	begin(&c, 1, FEATURES);
	for (unsigned i = 0; i < 2; i++)
		CU_ASSERT(window(&c, FRAME));
	card_fini(&c);
}

static void test_ends_in_silence(void)
{
	struct card c;

	begin_bulk(&c, FEATURES);
	silence(&c);
	CU_ASSERT_EQUAL(send(&c, FRAME), 1);
	until_held(&c); /* and begins again */
	card_fini(&c);
}

/* A driver that waits for each frame: a window of ticks, and then one more is left out each time.
 */
static void test_gathers_nothing(void)
{
	struct card c;

	begin_bulk(&c, FEATURES);
	for (unsigned again = 0; again < 2; again++) {
		for (unsigned i = 1; i < WINDOW; i++) {
			CU_ASSERT_EQUAL(send(&c, FRAME), 0);
			CU_ASSERT_EQUAL(wait_done(&c, 1), 1);
		}
		for (unsigned i = 0; i < 1u << again; i++)
			CU_ASSERT(window(&c, FRAME));
		until_held(&c);
	}
	card_fini(&c);
}

static void test_without_event_idx(void)
{
	struct card c;

	begin_bulk(&c, CARD_PLAIN);
	for (unsigned i = 0; i < 2 * GATHER; i++) {
		add(&c, FRAME);
		CU_ASSERT_FALSE(drv_queue_publish(&c.drv.queue[1]));
	}
	CU_ASSERT_EQUAL(wait_done(&c, 2 * GATHER), 2 * GATHER);
	silence(&c);
	CU_ASSERT_EQUAL(send(&c, FRAME), 1);
	card_fini(&c);
}

static void bring(struct card *c, uint32_t len)
{
	uint8_t frame[FRAME];

	card_frame(frame, len, 2);
	test_port_bring(c->port, 0, NULL, frame, len);
	drv_device_settle(&c->drv);
}

/* Little was received beside much that was sent: the receive queue waits, too. */
static void begin_held(struct card *c)
{
	begin_bulk(c, FEATURES);
	for (unsigned i = 0; i < 8; i++)
		card_rx_add(c, 0, 2048, 0);
	card_rx_go(c, 0);
	for (unsigned i = 0; i < GATHER; i++)
		send(c, FRAME);
	vio_loop_manual_run(c->rig.loop, 1000);
	CU_ASSERT_FALSE(c->port->queue[0].receiving);
}

static void test_receives_with_the_tick(void)
{
	struct card c;

	begin_held(&c);
	bring(&c, 64);
	CU_ASSERT_EQUAL(card_rx_get(&c, 0), -1);
	card_rx_add(&c, 0, 2048, 0);
	card_rx_go(&c, 0); /* buffers are no reason not to */
	CU_ASSERT_EQUAL(card_rx_get(&c, 0), -1);
	add(&c, FRAME);
	drv_queue_publish(&c.drv.queue[1]);
	vio_loop_manual_run(c.rig.loop, 1000);
	CU_ASSERT_EQUAL(card_rx_get(&c, 0), 12 + 64);
	CU_ASSERT_EQUAL(card_tx_done(&c, 0), 1);
	/* silence: at once again */
	silence(&c);
	CU_ASSERT(c.port->queue[0].receiving);
	bring(&c, 64);
	CU_ASSERT_EQUAL(card_rx_get(&c, 0), 12 + 64);
	card_fini(&c);
}

static void test_receives_much(void)
{
	struct card c;

	begin_bulk(&c, FEATURES);
	for (unsigned i = 0; i < 16; i++)
		card_rx_add(&c, 0, 2048, 0);
	card_rx_go(&c, 0);
	for (unsigned i = 0; i < 8; i++) {
		add(&c, FRAME);
		drv_queue_publish(&c.drv.queue[1]);
		bring(&c, FRAME);
		vio_loop_manual_run(c.rig.loop, 1000);
		CU_ASSERT_EQUAL(card_rx_get(&c, 0), 12 + FRAME);
		CU_ASSERT_EQUAL(card_tx_done(&c, 0), 1);
		CU_ASSERT(c.port->queue[0].receiving);
	}
	card_fini(&c);
}

static void test_full_port(void)
{
	struct card c;

	begin_bulk(&c, FEATURES);
	card_rx_add(&c, 0, 2048, 0);
	card_rx_go(&c, 0);
	c.port->takes = 1;
	for (unsigned i = 0; i < 3; i++) {
		add(&c, FRAME);
		drv_queue_publish(&c.drv.queue[1]);
	}
	vio_loop_manual_run(c.rig.loop, 1000);
	CU_ASSERT_EQUAL(card_tx_done(&c, 0), 1);
	/* What it brings may be what makes room in it. */
	CU_ASSERT(c.port->queue[0].receiving);
	silence(&c);
	CU_ASSERT_EQUAL(card_tx_done(&c, 0), 0);
	test_port_take(c.port, 0, UINT_MAX);
	drv_device_settle(&c.drv);
	CU_ASSERT_EQUAL(card_tx_done(&c, 0), 2);
	CU_ASSERT_EQUAL(send(&c, FRAME), 1);
	card_fini(&c);
}

/* What waits when the queues stop is there when they start again. */
static void test_pause(void)
{
	struct card c;

	begin_held(&c);
	bring(&c, 64);
	CU_ASSERT_EQUAL(send(&c, FRAME), 0);
	MUST(vio_device_pause(c.dev));
	CU_ASSERT_EQUAL(card_tx_done(&c, 0), 0);
	MUST(vio_device_resume(c.dev));
	drv_device_settle(&c.drv);
	CU_ASSERT_EQUAL(card_tx_done(&c, 0), 1);
	CU_ASSERT_EQUAL(card_rx_get(&c, 0), 12 + 64);
	CU_ASSERT_EQUAL(send(&c, FRAME), 1);
	card_fini(&c);
}

static void test_reset(void)
{
	struct card c;

	begin_bulk(&c, FEATURES);
	CU_ASSERT_EQUAL(send(&c, FRAME), 0);
	card_start(&c, FEATURES);
	until_held(&c);
	card_fini(&c);
}

/* A broken ring while the timer runs. */
static void test_fault(void)
{
	struct card c;

	begin_bulk(&c, FEATURES);
	drv_queue_set_avail_idx(&c.drv.queue[1], c.drv.queue[1].avail_idx + SIZE + 1);
	for (unsigned i = 0; i < 3; i++)
		vio_loop_manual_run(c.rig.loop, 100);
	CU_ASSERT(drv_status(c.bus) & NEEDS_RESET);
	card_start(&c, FEATURES);
	CU_ASSERT_EQUAL(send(&c, FRAME), 1);
	card_fini(&c);
}

static CU_TestInfo tests[] = {
	{"gathers", test_gathers},
	{"off", test_off},
	{"small frames", test_small_frames},
	{"slow kicks", test_slow},
	{"ends in silence", test_ends_in_silence},
	{"gathers nothing", test_gathers_nothing},
	{"without event index", test_without_event_idx},
	{"receives with the tick", test_receives_with_the_tick},
	{"receives much", test_receives_much},
	{"full port", test_full_port},
	{"pause", test_pause},
	{"reset", test_reset},
	{"broken ring", test_fault},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("net_pace", tests);
}
