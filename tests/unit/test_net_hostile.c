/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-net under a driver that breaks the rules, or plays with memory while the device works.
 */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>

#include "card.h"

/* ---- buffers -----------------------------------------------------------------------------------
 */

static void test_short_receive_buffers(void) /* CVE-2021-3748, CVE-2022-26353: no way back */
{
	static const uint32_t lens[] = {0, 1, 11};
	uint8_t frame[60];

	card_frame(frame, sizeof(frame), 1);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(lens) * 4; i++) {
		uint32_t len = lens[i / 4];
		struct drv_buf b;
		struct card c;

		card_make(&c, DRV_MMIO, NULL, NULL);
		c.port->direct = i & 1;
		card_start(&c, CARD_PLAIN | (i & 2 ? F(MRG_RXBUF) : 0));
		b = (struct drv_buf){
			.gpa = drv_mem_alloc(&c.rig.mem, 16, 1), .len = len, .writable = true};
		MUST(drv_queue_add(&c.drv.queue[0], &b, 1, DRV_DIRECT, NULL));
		card_rx_go(&c, 0);
		test_port_bring(c.port, 0, NULL, frame, sizeof(frame));
		CU_ASSERT(drv_status(c.bus) & NEEDS_RESET);
		CU_ASSERT_EQUAL(card_rx_get(&c, 0), -1);
		/* and everything works again after a reset */
		card_start(&c, CARD_PLAIN);
		card_rx_add(&c, 0, 100, 0);
		card_rx_add(&c, 0, 100, 0);
		card_rx_go(&c, 0);
		test_port_bring(c.port, 0, NULL, frame, sizeof(frame));
		CU_ASSERT_EQUAL(card_rx_get(&c, 0), 72);
		card_fini(&c);
	}
}

static void test_readable_receive_buffer(void) /* what may only be read is not written to */
{
	uint8_t frame[60];

	card_frame(frame, sizeof(frame), 1);
	for (unsigned direct = 0; direct < 2; direct++) {
		struct card_buf a, b;
		struct drv_buf both[2];
		struct card c;

		card_make(&c, DRV_MMIO, NULL, NULL);
		c.port->direct = direct;
		card_start(&c, CARD_PLAIN);
		a = card_buf(&c, 100);
		b = card_buf(&c, 100);
		both[0] = (struct drv_buf){.gpa = a.gpa, .len = 100};
		both[1] = (struct drv_buf){.gpa = b.gpa, .len = 100, .writable = true};
		MUST(drv_queue_add(&c.drv.queue[0], both, 2, DRV_DIRECT, NULL));
		card_rx_go(&c, 0);
		test_port_bring(c.port, 0, NULL, frame, sizeof(frame));
		CU_ASSERT_EQUAL(card_rx_get(&c, 0), 72);
		CU_ASSERT_EQUAL(memcmp(b.mem + 12, frame, 60), 0);
		for (unsigned i = 0; i < 100; i++)
			CU_ASSERT_EQUAL_FATAL(a.mem[i], 0xee);
		card_fini(&c);
	}
}

/* A chain without a byte to write to, where there was a longer one: that one's buffers are not
 * used. */
static void test_stale_receive_buffer(void)
{
	struct vio_net_config cfg = {.queue_size = 4, .has_mac = true, .mac = CARD_MAC};
	struct card_buf was[2], read_only;
	uint8_t frame[60];
	struct drv_buf b;
	struct card c;

	card_frame(frame, sizeof(frame), 1);
	card_make(&c, DRV_MMIO, &cfg, NULL);
	card_start(&c, CARD_PLAIN);
	for (unsigned i = 0; i < 2; i++)
		was[i] = card_rx_add(&c, 0, 200, 100);
	card_rx_go(&c, 0);
	for (unsigned i = 0; i < 2; i++) {
		test_port_bring(c.port, 0, NULL, frame, sizeof(frame));
		CU_ASSERT_EQUAL(card_rx_get(&c, 0), 72);
		memset(was[i].mem, 0xee, was[i].len);
	}
	read_only = card_buf(&c, 100);
	b = (struct drv_buf){.gpa = read_only.gpa, .len = 100};
	for (unsigned i = 0; i < 4; i++)
		MUST(drv_queue_add(&c.drv.queue[0], &b, 1, DRV_DIRECT, NULL));
	card_rx_go(&c, 0);
	test_port_bring(c.port, 0, NULL, frame, sizeof(frame));
	CU_ASSERT(drv_status(c.bus) & NEEDS_RESET);
	CU_ASSERT_EQUAL(card_rx_get(&c, 0), -1);
	for (unsigned i = 0; i < 200; i++)
		CU_ASSERT_TRUE_FATAL(was[0].mem[i] == 0xee && was[1].mem[i] == 0xee);
	card_fini(&c);
}

static void test_broken_rings(void) /* the ring of each kind of queue */
{
	for (uint16_t queue = 0; queue < 3; queue++) {
		uint8_t frame[60];
		struct card c;

		card_init(&c, DRV_MMIO, CARD_PLAIN | F(CTRL_VQ));
		card_frame(frame, sizeof(frame), 1);
		drv_queue_offer_raw(&c.drv.queue[queue], 999);
		drv_kick(c.bus, queue);
		drv_device_settle(&c.drv);
		test_port_bring(c.port, 0, NULL, frame, sizeof(frame)); /* only then rx looks */
		CU_ASSERT(drv_status(c.bus) & NEEDS_RESET);
		drv_device_settle(&c.drv);
		test_port_bring(c.port, 0, NULL, frame, sizeof(frame));
		vio_net_set_link(c.dev, false);
		vio_net_set_link(c.dev, true);
		drv_device_settle(&c.drv);
		card_start(&c, CARD_PLAIN);
		card_tx(&c, NULL, frame, sizeof(frame));
		CU_ASSERT_EQUAL(c.port->queue[0].n_sent, 1);
		card_fini(&c);
	}
}

static void test_fails_while_full(void) /* frames wait for the port, the device breaks */
{
	uint8_t frame[60];
	struct card c;

	card_init(&c, DRV_MMIO, CARD_PLAIN);
	card_frame(frame, sizeof(frame), 1);
	c.port->takes = 0;
	for (unsigned i = 0; i < 5; i++)
		MUST(card_tx_add(&c, 0, NULL, frame, sizeof(frame), 12, 0));
	card_tx_go(&c, 0);
	vio_device_fail(c.dev, "a test");
	test_port_take(c.port, 0, 100);
	CU_ASSERT_EQUAL(c.port->queue[0].n_sent, 0);
	CU_ASSERT_EQUAL(card_tx_done(&c, 0), 0);
	card_start(&c, CARD_PLAIN);
	card_tx(&c, NULL, frame, sizeof(frame));
	CU_ASSERT_EQUAL(c.port->queue[0].n_sent, 1);
	card_fini(&c);
}

static void test_queues_of_nobody(void) /* queues that have no meaning as negotiated */
{
	uint8_t frame[60];
	struct card c;

	card_make(&c, DRV_MMIO, &(struct vio_net_config){.pairs = 4, .queue_size = 16}, NULL);
	card_start(&c, CARD_PLAIN | F(CTRL_VQ)); /* sets up all 9 queues */
	card_frame(frame, sizeof(frame), 1);
	for (uint16_t q = 3; q < 9; q++) {
		struct card_buf b = card_buf(&c, 64);
		struct drv_buf d = {.gpa = b.gpa, .len = 64, .writable = q % 2 == 0};

		MUST(drv_queue_add(&c.drv.queue[q], &d, 1, DRV_DIRECT, NULL));
		drv_device_submit(&c.drv, q);
	}
	drv_device_settle(&c.drv);
	for (uint16_t q = 3; q < 9; q++)
		CU_ASSERT_EQUAL(drv_queue_ready(&c.drv.queue[q]), 0);
	CU_ASSERT_EQUAL(c.port->attached, 1);
	CU_ASSERT_EQUAL(drv_status(c.bus) & NEEDS_RESET, 0);
	card_tx(&c, NULL, frame, sizeof(frame));
	card_fini(&c);
}

/* ---- while the device works --------------------------------------------------------------------
 */

/* A driver that changes the header of a frame as fast as it can. */
struct flipper {
	volatile uint16_t *csum_start;
	_Atomic bool stop;
};

static void *flip(void *arg)
{
	struct flipper *f = arg;

	while (!f->stop) {
		*f->csum_start = htole16(0xfff0);
		*f->csum_start = htole16(34);
	}
	return NULL;
}

/* DPDK 285e6b8b18: what was checked is what is used. */
static void double_fetch(const struct vio_port_info *info)
{
	const struct vio_frame_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					.csum_start = htole16(34),
					.csum_offset = htole16(16)};
	struct card_buf b;
	struct flipper f = {0};
	struct card c;
	pthread_t thread;
	unsigned sent = 0;

	card_make(&c, DRV_MMIO, NULL, info);
	card_start(&c, CARD_PLAIN | F(CSUM));
	b = card_buf(&c, 72);
	memcpy(b.mem, &h, sizeof(h));
	card_frame(b.mem + 12, 60, 1);
	f.csum_start =
		(volatile uint16_t *)(void *)(b.mem + offsetof(struct vio_frame_hdr, csum_start));
	MUST(-pthread_create(&thread, NULL, flip, &f));
	for (unsigned i = 0; i < 20000; i++) {
		struct drv_buf d = {.gpa = b.gpa, .len = 72};

		MUST(drv_queue_add(&c.drv.queue[1], &d, 1, DRV_DIRECT, NULL));
		card_tx_go(&c, 0);
		CU_ASSERT_EQUAL_FATAL(card_tx_done(&c, 0), 1);
		for (unsigned k = 0; k < c.port->queue[0].n_sent; k++) {
			const struct test_port_frame *s = c.port->queue[0].sent[k];

			CU_ASSERT(s->hdr.flags == 0 || s->hdr.csum_start == htole16(34));
			sent++;
		}
		test_port_forget(c.port, 0);
	}
	f.stop = true;
	pthread_join(thread, NULL);
	CU_ASSERT(sent > 0);
	card_fini(&c);
}

static void test_double_fetch(void)
{
	const struct vio_port_info plain = {.max_pairs = 1, .link_up = true};

	if (!RACES_ON_PURPOSE)
		return;
	double_fetch(NULL);
	double_fetch(&plain); /* the device sums itself */
}

/* Headers of every value in every place: the port gets what it can trust, or nothing. */
static void test_any_header(void)
{
	uint8_t frame[200];
	uint32_t x = 1;
	struct card c;

	card_init(&c, DRV_MMIO,
		  CARD_PLAIN | F(CSUM) | F(HOST_TSO4) | F(HOST_TSO6) | F(HOST_UFO) | F(HOST_ECN) |
			  DRV_FEATURE(56));
	card_frame(frame, sizeof(frame), 1);
	for (unsigned i = 0; i < 20000; i++) {
		struct vio_frame_hdr h;
		uint8_t raw[sizeof(h)];

		for (unsigned k = 0; k < sizeof(raw); k++) {
			x = x * 1664525 + 1013904223;
			raw[k] = x >> 29 ? (uint8_t)((x >> 16) & (k % 2 ? 1 : 0xff)) : 0;
		}
		memcpy(&h, raw, sizeof(h));
		h.flags &= 0x83;
		h.gso_type &= 0x87;
		MUST(card_tx_add(&c, 0, &h, frame, 14 + (x >> 8) % 187, 12, 0));
		card_tx_go(&c, 0);
		CU_ASSERT_EQUAL_FATAL(card_tx_done(&c, 0), 1);
		for (unsigned k = 0; k < c.port->queue[0].n_sent; k++) {
			const struct test_port_frame *s = c.port->queue[0].sent[k];
			const struct vio_frame_hdr *g = &s->hdr;

			CU_ASSERT_EQUAL(g->flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM, 0);
			CU_ASSERT(g->flags == 0 ||
				  le16toh(g->csum_start) + le16toh(g->csum_offset) + 2u <= s->len);
			CU_ASSERT(g->gso_type == 0 || (g->flags && g->gso_size));
			CU_ASSERT(le16toh(g->hdr_len) <= s->len);
		}
		test_port_forget(c.port, 0);
		if (i % 1000 == 999)
			card_start(&c, c.drv.features);
	}
	CU_ASSERT_EQUAL(drv_status(c.bus) & NEEDS_RESET, 0);
	card_fini(&c);
}

/* Anything at all on the control queue. */
static void test_any_command(void)
{
	uint8_t cmd[300];
	uint32_t x = 7;
	struct card c;

	card_make(&c, DRV_MMIO,
		  &(struct vio_net_config){.pairs = 4, .queue_size = 64, .hash = true}, NULL);
	for (unsigned i = 0; i < 5000; i++) {
		uint32_t len = 1 + (x >> 9) % sizeof(cmd);
		struct drv_used u;

		if (i % 250 == 0)
			card_start(&c, DRV_ALL_FEATURES);
		for (uint32_t k = 0; k < len; k++) {
			x = x * 1664525 + 1013904223;
			cmd[k] = x >> 30 ? 0 : (uint8_t)(x >> 16);
		}
		cmd[0] = (uint8_t)((x >> 12) % 8);
		if (len > 1)
			cmd[1] = (uint8_t)((x >> 20) % 6);
		card_ctrl_add(&c, 8, cmd, len, 1 + x % 10,
			      len < 60 ? 1 + (x >> 5) % 40 : 8 + (x >> 5) % 40);
		CU_ASSERT_EQUAL_FATAL(drv_device_wait(&c.drv, 8, &u), 1);
		CU_ASSERT(u.len == 1 || u.len == 9);
	}
	CU_ASSERT_EQUAL(drv_status(c.bus) & NEEDS_RESET, 0);
	card_fini(&c);
}

/* A driver that never stops making frames available gets one ring's worth, then others their turn.
 */
static void test_bounded_turn(void)
{
	uint8_t frame[60];
	struct card c;

	card_make(&c, DRV_MMIO, &(struct vio_net_config){.queue_size = 64}, NULL);
	card_start(&c, CARD_PLAIN);
	card_frame(frame, sizeof(frame), 1);
	c.port->discard = true;
	for (unsigned i = 0; i < 64; i++)
		MUST(card_tx_add(&c, 0, NULL, frame, sizeof(frame), 0, 0));
	drv_queue_publish(&c.drv.queue[1]);
	CU_ASSERT_TRUE(vio_device_queue_run(c.dev, 1)); /* "call again" */
	CU_ASSERT_EQUAL(c.port->queue[0].n_discarded, 64);
	CU_ASSERT_FALSE(vio_device_queue_run(c.dev, 1));
	card_fini(&c);
}

static CU_TestInfo tests[] = {
	{"short receive buffers", test_short_receive_buffers},
	{"readable receive buffer", test_readable_receive_buffer},
	{"stale receive buffer", test_stale_receive_buffer},
	{"broken rings", test_broken_rings},
	{"fails while the port is full", test_fails_while_full},
	{"queues of nobody", test_queues_of_nobody},
	{"double fetch", test_double_fetch},
	{"any header", test_any_header},
	{"any command", test_any_command},
	{"bounded turn", test_bounded_turn},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("net_hostile", tests);
}
