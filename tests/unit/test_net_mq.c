/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-net: hashes, receive side scaling, coalesced notifications, pairs on loops of their own.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>

#include <viodm/iothread.h>

#include "card.h"

#define OK  VIRTIO_NET_OK
#define ERR VIRTIO_NET_ERR

#ifndef VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET
#define VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET 2
#define VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET 3
#endif

#define MQ (CARD_PLAIN | F(CTRL_VQ) | F(MQ))

static const struct vio_net_config four = {
	.pairs = 4, .queue_size = 64, .has_mac = true, .mac = CARD_MAC, .hash = true};

/* The key and the first address pair of everybody's examples of receive side scaling. */
static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
				0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
				0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
				0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
#define HASH_TCP4 0x51ccc178u
#define HASH_IP4  0x323e8fc2u

/* A TCP segment from 66.9.149.187:2794 to 161.142.100.80:1766. */
static void tcp_frame(uint8_t frame[60])
{
	static const uint8_t ip[20] = {0x45, 0, 0,  46, 0,   0,	  0,   0,   64,	 6,
				       0,    0, 66, 9,	149, 187, 161, 142, 100, 80};

	card_frame(frame, 60, 1);
	frame[12] = 8;
	frame[13] = 0;
	memcpy(frame + 14, ip, sizeof(ip));
	memset(frame + 34, 0, 26);
	frame[34] = 2794 >> 8;
	frame[35] = 2794 & 0xff;
	frame[36] = 1766 >> 8;
	frame[37] = 1766 & 0xff;
	frame[46] = 0x50;
}

/* ---- hashes ------------------------------------------------------------------------------------
 */

/* HASH_CONFIG with `types` and the first `key_len` bytes of the key. */
static int hash_config(struct card *c, uint32_t types, uint8_t key_len)
{
	uint8_t d[4 + 8 + 1 + 255] = {(uint8_t)types, (uint8_t)(types >> 8)};

	d[2] = (uint8_t)(types >> 16);
	d[12] = key_len;
	memcpy(d + 13, key, key_len < 40 ? key_len : 40);
	return card_ctrl(c, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_HASH_CONFIG, d, 13u + key_len);
}

static void expect_hash(struct card *c, const uint8_t *frame, uint16_t report, uint32_t value)
{
	struct card_buf b = card_rx_add(c, 0, 100, 7);
	struct virtio_net_hdr_v1_hash h;

	card_rx_go(c, 0);
	test_port_bring(c->port, 0, NULL, frame, 60);
	CU_ASSERT_EQUAL(card_rx_get(c, 0), 80);
	memcpy(&h, b.mem, sizeof(h));
	CU_ASSERT_EQUAL(le16toh(h.hash_report), report);
	CU_ASSERT_EQUAL(le32toh(h.hash_value), value);
	CU_ASSERT_EQUAL(h.padding, 0);
	CU_ASSERT_EQUAL(memcmp(b.mem + 20, frame, 60), 0);
}

static void test_hash_report(void) /* NET-IMP-012, NET-DEV-083, NET-DEV-085, NET-DEV-128 */
{
	uint8_t tcp[60], arp[60];

	tcp_frame(tcp);
	card_frame(arp, sizeof(arp), 1);
	for (unsigned direct = 0; direct < 2; direct++) {
		struct card c;

		card_make(&c, DRV_MMIO, &four, NULL);
		card_start(&c, CARD_PLAIN | F(CTRL_VQ) | F(HASH_REPORT));
		CU_ASSERT_EQUAL(c.hdr_len, 20);
		c.port->direct = direct;
		expect_hash(&c, tcp, VIRTIO_NET_HASH_REPORT_NONE, 0);
		CU_ASSERT_EQUAL(hash_config(&c, 3, 40), OK);
		expect_hash(&c, tcp, VIRTIO_NET_HASH_REPORT_TCPv4, HASH_TCP4);
		expect_hash(&c, arp, VIRTIO_NET_HASH_REPORT_NONE, 0);
		CU_ASSERT_EQUAL(hash_config(&c, 1, 40), OK);
		expect_hash(&c, tcp, VIRTIO_NET_HASH_REPORT_IPv4, HASH_IP4);
		CU_ASSERT_EQUAL(hash_config(&c, 1, 41), ERR);
		CU_ASSERT_EQUAL(hash_config(&c, 0x10000, 40), ERR);
		expect_hash(&c, tcp, VIRTIO_NET_HASH_REPORT_IPv4, HASH_IP4);
		CU_ASSERT_EQUAL(hash_config(&c, 0, 0), OK);
		expect_hash(&c, tcp, VIRTIO_NET_HASH_REPORT_NONE, 0);
		card_fini(&c);
	}
}

/* ---- receive side scaling ----------------------------------------------------------------------
 */

struct rss {
	uint32_t types;
	uint16_t n; /* table entries */
	uint16_t unclassified;
	uint16_t table[256];
	uint16_t max_tx;
	uint8_t key_len;
	uint32_t cut; /* bytes to leave out at the end */
};

static int rss_config(struct card *c, const struct rss *r)
{
	uint8_t d[1024], *p = d;

#define PUT16(v)                                                                                   \
	do {                                                                                       \
		*p++ = (uint8_t)(v);                                                               \
		*p++ = (uint8_t)((v) >> 8);                                                        \
	} while (0)
	PUT16(r->types);
	PUT16(r->types >> 16);
	PUT16(r->n - 1);
	PUT16(r->unclassified);
	for (uint16_t i = 0; i < r->n; i++)
		PUT16(r->table[i]);
	PUT16(r->max_tx);
#undef PUT16
	*p++ = r->key_len;
	memcpy(p, key, r->key_len < 40 ? r->key_len : 40);
	p += r->key_len;
	return card_ctrl(c, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG, d,
			 (uint32_t)(p - d) - r->cut);
}

static void test_rss_steers(void) /* NET-DEV-129, NET-DEV-130, NET-DEV-084 */
{
	struct rss r = {.types = 3, .n = 128, .unclassified = 2, .max_tx = 4, .key_len = 40};
	uint8_t tcp[60], arp[60];

	tcp_frame(tcp);
	card_frame(arp, sizeof(arp), 1);
	for (unsigned direct = 0; direct < 2; direct++) {
		struct card c;

		card_make(&c, DRV_MMIO, &four, NULL);
		c.port->direct = direct;
		card_start(&c, MQ | F(RSS));
		for (uint16_t i = 0; i < 4; i++)
			for (unsigned k = 0; k < 20; k++)
				card_rx_add(&c, i, 200, 0);
		for (uint16_t i = 0; i < 4; i++)
			card_rx_go(&c, i);
		r.table[HASH_TCP4 % 128] = 3;
		CU_ASSERT_EQUAL(rss_config(&c, &r), OK);
		for (uint16_t via = 0; via < 4; via++) {
			test_port_bring(c.port, via, NULL, tcp, 60);
			CU_ASSERT_EQUAL(card_rx_get(&c, 3), 72);
			test_port_bring(c.port, via, NULL, arp, 60);
			CU_ASSERT_EQUAL(card_rx_get(&c, 2), 72);
		}
		r.table[HASH_TCP4 % 128] = 1;
		CU_ASSERT_EQUAL(rss_config(&c, &r), OK);
		test_port_bring(c.port, 0, NULL, tcp, 60);
		CU_ASSERT_EQUAL(card_rx_get(&c, 1), 72);
		CU_ASSERT_EQUAL(card_rx_get(&c, 3), -1);
		/* a full queue keeps up nobody */
		for (unsigned k = 0; k < 30; k++)
			test_port_bring(c.port, 0, NULL, tcp, 60);
		CU_ASSERT_EQUAL(c.port->queue[0].n_waiting, 0);
		CU_ASSERT_EQUAL(drv_queue_ready(&c.drv.queue[2]), 19);
		card_fini(&c);
	}
}

static void test_rss_refuses(void) /* CVE-2024-6505 */
{
	const struct rss good = {
		.types = 3, .n = 128, .unclassified = 3, .max_tx = 4, .key_len = 40};
	struct card c;

	card_make(&c, DRV_MMIO, &four, NULL);
	card_start(&c, MQ | F(RSS));
	for (uint16_t i = 0; i < 128; i++) {
		struct rss r = good;

		r.table[i] = 4;
		CU_ASSERT_EQUAL(rss_config(&c, &r), ERR);
		r.table[i] = 0x8000;
		CU_ASSERT_EQUAL(rss_config(&c, &r), ERR);
	}
#define REFUSED(field, value)                                                                      \
	do {                                                                                       \
		struct rss r = good;                                                               \
		r.field = value;                                                                   \
		CU_ASSERT_EQUAL(rss_config(&c, &r), ERR);                                          \
	} while (0)
	REFUSED(unclassified, 4);
	REFUSED(unclassified, 0xffff);
	REFUSED(n, 3);
	REFUSED(n, 256);
	REFUSED(max_tx, 0);
	REFUSED(max_tx, 5);
	REFUSED(types, 0x200);
	REFUSED(key_len, 41);
	REFUSED(key_len, 255);
	for (uint32_t cut = 1; cut < 300; cut++)
		REFUSED(cut, cut);
#undef REFUSED
	CU_ASSERT_EQUAL(rss_config(&c, &good), OK);
	card_fini(&c);
}

/* ---- coalescing --------------------------------------------------------------------------------
 */

static int coal_set(struct card *c, uint8_t command, uint32_t packets, uint32_t usecs)
{
	__le32 d[2] = {htole32(packets), htole32(usecs)};

	return card_ctrl(c, VIRTIO_NET_CTRL_NOTF_COAL, command, d, sizeof(d));
}

static int coal_vq_set(struct card *c, uint16_t vq, uint32_t packets, uint32_t usecs)
{
	struct {
		__le16 vq, reserved;
		__le32 packets, usecs;
	} d = {htole16(vq), 0xffff, htole32(packets), htole32(usecs)}; /* NET-DEV-135 */

	return card_ctrl(c, VIRTIO_NET_CTRL_NOTF_COAL, VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET, &d,
			 sizeof(d));
}

/* VQ_GET; the ack byte. */
static int coal_vq_get(struct card *c, uint16_t vq, uint32_t out[2])
{
	const uint8_t cmd[6] = {VIRTIO_NET_CTRL_NOTF_COAL, VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET,
				(uint8_t)vq, (uint8_t)(vq >> 8)};
	uint16_t q = card_ctrl_queue(c);
	struct card_buf in = card_ctrl_add(c, q, cmd, sizeof(cmd), 9, 0);
	struct drv_used u;
	__le32 le[2];

	if (drv_device_wait(&c->drv, q, &u) != 1)
		return -1;
	CU_ASSERT_EQUAL(u.len, 9); /* the ack byte has one place, whatever it says */
	memcpy(le, in.mem, sizeof(le));
	out[0] = le32toh(le[0]);
	out[1] = le32toh(le[1]);
	return in.mem[8];
}

#define COAL (CARD_PLAIN | F(CTRL_VQ) | F(NOTF_COAL) | F(VQ_NOTF_COAL))

static uint64_t interrupts(struct card *c, uint16_t queue)
{
	struct vio_queue_stats stats;

	vio_device_queue_stats(c->dev, queue, &stats);
	return stats.interrupts;
}

static void send_some(struct card *c, unsigned n)
{
	uint8_t frame[60];

	card_frame(frame, sizeof(frame), 1);
	while (n--)
		card_tx(c, NULL, frame, sizeof(frame)); /* used at once, whatever is coalesced */
	test_port_forget(c->port, 0);
}

static void test_coalesce_packets(void) /* "Operation", NET-IMP-015 */
{
	struct card c;

	card_init(&c, DRV_PCI_MSIX, COAL & ~DRV_FEATURE(VIRTIO_RING_F_EVENT_IDX));
	send_some(&c, 10);
	CU_ASSERT_EQUAL(interrupts(&c, 1), 10);
	CU_ASSERT_EQUAL(coal_set(&c, VIRTIO_NET_CTRL_NOTF_COAL_TX_SET, 8, 1000000), OK);
	send_some(&c, 7);
	CU_ASSERT_EQUAL(interrupts(&c, 1), 10);
	send_some(&c, 1);
	CU_ASSERT_EQUAL(interrupts(&c, 1), 11);
	send_some(&c, 5);
	CU_ASSERT_EQUAL(interrupts(&c, 1), 11);
	/* five are more than the new limit */
	CU_ASSERT_EQUAL(coal_set(&c, VIRTIO_NET_CTRL_NOTF_COAL_TX_SET, 4, 1000000), OK);
	CU_ASSERT_EQUAL(interrupts(&c, 1), 12);
	CU_ASSERT_EQUAL(coal_set(&c, VIRTIO_NET_CTRL_NOTF_COAL_TX_SET, 0, 1000), OK);
	send_some(&c, 3);
	CU_ASSERT_EQUAL(interrupts(&c, 1), 15);
	/* NET-DEV-142 */
	CU_ASSERT_EQUAL(coal_set(&c, VIRTIO_NET_CTRL_NOTF_COAL_TX_SET, 2, 1000000), OK);
	drv_queue_irq_off(&c.drv.queue[1]);
	send_some(&c, 10);
	CU_ASSERT_EQUAL(interrupts(&c, 1), 15);
	/* NET-DEV-143 */
	card_start(&c, COAL);
	send_some(&c, 1);
	CU_ASSERT_EQUAL(interrupts(&c, 1), 16);
	card_fini(&c);
}

static void test_coalesce_time(void)
{
	uint8_t frame[60];
	struct card c;

	card_frame(frame, sizeof(frame), 1);
	card_init(&c, DRV_PCI_MSIX, COAL);
	CU_ASSERT_EQUAL(coal_set(&c, VIRTIO_NET_CTRL_NOTF_COAL_RX_SET, 1000, 2000), OK);
	for (unsigned i = 0; i < 3; i++)
		card_rx_add(&c, 0, 100, 0);
	card_rx_go(&c, 0);
	for (unsigned i = 0; i < 3; i++)
		test_port_bring(c.port, 0, NULL, frame, 60);
	CU_ASSERT_EQUAL(drv_queue_ready(&c.drv.queue[0]), 3);
	CU_ASSERT_EQUAL(interrupts(&c, 0), 0);
	for (unsigned i = 0; i < 100 && interrupts(&c, 0) == 0; i++)
		vio_loop_manual_run(c.rig.loop, 50);
	CU_ASSERT_EQUAL(interrupts(&c, 0), 1);
	CU_ASSERT_EQUAL(vio_loop_manual_run(c.rig.loop, 10), 0); /* once */
	card_fini(&c);
}

static void test_coalesce_by_queue(void) /* NET-IMP-014, NET-DEV-135 .. NET-DEV-140 */
{
	uint32_t got[2];
	struct card c;

	card_make(&c, DRV_MMIO, &(struct vio_net_config){.pairs = 2, .queue_size = 64}, NULL);
	card_start(&c, COAL | F(MQ) | DRV_FEATURE(VIRTIO_F_RING_RESET));
	CU_ASSERT_EQUAL(coal_vq_get(&c, 0, got), OK);
	CU_ASSERT_EQUAL(got[0] | got[1], 0);
	CU_ASSERT_EQUAL(coal_set(&c, VIRTIO_NET_CTRL_NOTF_COAL_RX_SET, 5, 6), OK);
	CU_ASSERT_EQUAL(coal_vq_set(&c, 0, 7, 8), OK);
	CU_ASSERT_EQUAL(coal_vq_get(&c, 0, got), OK);
	CU_ASSERT(got[0] == 7 && got[1] == 8);
	CU_ASSERT_EQUAL(coal_vq_get(&c, 2, got), OK);
	CU_ASSERT(got[0] == 5 && got[1] == 6);
	CU_ASSERT_EQUAL(coal_vq_get(&c, 1, got), OK);
	CU_ASSERT_EQUAL(got[0] | got[1], 0);
	/* A pause is not a new beginning, not even of a queue whose index is 0. */
	MUST(vio_device_pause(c.dev));
	MUST(vio_device_resume(c.dev));
	CU_ASSERT_EQUAL(coal_vq_get(&c, 0, got), OK);
	CU_ASSERT(got[0] == 7 && got[1] == 8);
	CU_ASSERT_EQUAL(coal_vq_set(&c, 4, 1, 1), ERR); /* the control queue */
	CU_ASSERT_EQUAL(coal_vq_set(&c, 5, 1, 1), ERR);
	CU_ASSERT_EQUAL(coal_vq_set(&c, 0xffff, 1, 1), ERR);
	CU_ASSERT_EQUAL(coal_vq_get(&c, 4, got), ERR);
	drv_queue_reset(c.bus, 0);
	CU_ASSERT_EQUAL(coal_vq_get(&c, 0, got), ERR);
	CU_ASSERT_EQUAL(coal_vq_set(&c, 0, 1, 1), ERR);
	drv_queue_clear(&c.drv.queue[0]);
	drv_device_place_queue(&c.drv, 0);
	drv_device_settle(&c.drv);
	CU_ASSERT_EQUAL(coal_vq_get(&c, 0, got), OK);
	CU_ASSERT(got[0] == 5 && got[1] == 6);
	card_fini(&c);
}

/* ---- pairs on loops of their own ---------------------------------------------------------------
 */

#define N_THREADS 3

struct spread {
	struct card c;
	struct vio_iothread *iot[N_THREADS];
	struct vio_backend *backend;
};

static bool spread_init(struct spread *s, uint64_t features)
{
	const struct vio_iothread_config cfg = {.cpu = -1, .poll_us = 20};
	struct vio_net_config net = four;

	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < N_THREADS; i++) {
		if (vio_iothread_create(&cfg, &s->iot[i]) < 0) {
			printf("\n  no io_uring here: left out");
			return false;
		}
	}
	MUST(vio_backend_iothread_create(s->iot, N_THREADS, &s->backend));
	MUST(drv_rig_init(&s->c.rig));
	MUST(test_port_open(NULL, &s->c.port));
	s->c.rig.env.backend = s->backend;
	net.port = &s->c.port->base;
	MUST(vio_net_create(&s->c.rig.env, &net, &s->c.dev));
	MUST(drv_rig_connect(&s->c.rig, s->c.dev, DRV_PCI_MSIX, &s->c.bus, &s->c.drv));
	s->c.drv.turn = NULL; /* works by itself */
	card_start(&s->c, features);
	return true;
}

static void spread_fini(struct spread *s)
{
	if (s->c.dev) {
		drv_rig_disconnect(s->c.dev, s->c.bus, &s->c.drv);
		test_port_close(s->c.port);
		drv_rig_fini(&s->c.rig);
		vio_backend_destroy(s->backend);
	}
	for (unsigned i = 0; i < N_THREADS; i++)
		vio_iothread_destroy(s->iot[i]);
}

/* What is done on the loop of a pair. */
struct errand {
	struct spread *s;
	uint16_t pair;
	const uint8_t *frame;
	bool receiving;
};

static void do_bring(void *arg)
{
	struct errand *e = arg;

	test_port_bring(e->s->c.port, e->pair, NULL, e->frame, 60);
}

static void bring(struct spread *s, uint16_t pair, const uint8_t *frame)
{
	struct errand e = {.s = s, .pair = pair, .frame = frame};

	vio_loop_call(vio_iothread_loop(s->iot[pair % N_THREADS]), do_bring, &e);
}

static void do_look(void *arg)
{
	struct errand *e = arg;

	e->receiving = e->s->c.port->queue[e->pair].receiving;
}

static bool receiving(struct spread *s, uint16_t pair)
{
	struct errand e = {.s = s, .pair = pair};

	vio_loop_call(vio_iothread_loop(s->iot[pair % N_THREADS]), do_look, &e);
	return e.receiving;
}

static void fill_all(struct spread *s, unsigned n)
{
	for (uint16_t i = 0; i < 4; i++) {
		for (unsigned k = 0; k < n; k++)
			card_rx_add(&s->c, i, 200, 0);
		drv_device_submit(&s->c.drv, 2 * i);
	}
}

/* A command is in force everywhere when it is answered. */
static void test_commands_across_loops(void)
{
	struct spread s;

	if (spread_init(&s, MQ)) {
		fill_all(&s, 30);
		for (unsigned i = 0; i < 200; i++) {
			uint16_t pairs = (uint16_t)(1 + i * 7 % 4);
			__le16 le = htole16(pairs);

			CU_ASSERT_EQUAL(card_ctrl(&s.c, VIRTIO_NET_CTRL_MQ,
						  VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &le, 2),
					OK);
			for (uint16_t p = 1; p < 4; p++)
				if (p >= pairs)
					CU_ASSERT_FALSE(receiving(&s, p));
			if (i % 50 == 49)
				CU_ASSERT_EQUAL(
					vio_net_set_mac(s.c.dev, (const uint8_t[6]){2, 0, 0, 0, 0,
										    (uint8_t)i}),
					0);
		}
	}
	spread_fini(&s);
}

static void test_commands_and_pauses(void) /* none is lost, none hangs */
{
	struct spread s;

	if (spread_init(&s, MQ)) {
		fill_all(&s, 30);
		for (unsigned i = 0; i < 100; i++) {
			const uint8_t cmd[4] = {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
						(uint8_t)(1 + i % 4)};
			struct card_buf in = card_ctrl_add(&s.c, 8, cmd, sizeof(cmd), 1, 0);
			struct drv_used u;

			MUST(vio_device_pause(s.c.dev));
			MUST(vio_device_resume(s.c.dev));
			CU_ASSERT_EQUAL_FATAL(drv_device_wait(&s.c.drv, 8, &u), 1);
			CU_ASSERT_EQUAL(in.mem[0], OK);
			if (i % 10 == 9) { /* and a reset in the middle */
				card_ctrl_add(&s.c, 8, cmd, sizeof(cmd), 1, 0);
				card_start(&s.c, MQ);
				fill_all(&s, 5);
			}
		}
	}
	spread_fini(&s);
}

static void test_rss_across_loops(void)
{
	struct rss r = {.types = 3, .n = 128, .unclassified = 2, .max_tx = 4, .key_len = 40};
	uint8_t tcp[60], arp[60];
	struct drv_used u;
	struct spread s;

	tcp_frame(tcp);
	card_frame(arp, sizeof(arp), 1);
	if (spread_init(&s, MQ | F(RSS))) {
		fill_all(&s, 40);
		r.table[HASH_TCP4 % 128] = 1;
		CU_ASSERT_EQUAL(rss_config(&s.c, &r), OK);
		for (unsigned i = 0; i < 40; i++) {
			bring(&s, (uint16_t)(i % 4), tcp);
			CU_ASSERT_EQUAL_FATAL(drv_device_wait(&s.c.drv, 2, &u), 1);
			CU_ASSERT_EQUAL(u.len, 72);
			bring(&s, (uint16_t)(i % 4), arp);
			CU_ASSERT_EQUAL_FATAL(drv_device_wait(&s.c.drv, 4, &u), 1);
		}
	}
	spread_fini(&s);
}

/* An IO thread that polls sleeps although receive buffers are available. */
static void test_idle_threads_sleep(void)
{
	struct vio_queue_stats a, b;
	struct spread s;

	if (spread_init(&s, MQ)) {
		fill_all(&s, 30);
		poll(NULL, 0, 50);
		vio_device_queue_stats(s.c.dev, 0, &a);
		poll(NULL, 0, 100);
		vio_device_queue_stats(s.c.dev, 0, &b);
		CU_ASSERT_EQUAL(a.polls_hit + a.polls_missed, b.polls_hit + b.polls_missed);
	}
	spread_fini(&s);
}

static CU_TestInfo tests[] = {
	{"hash report", test_hash_report},
	{"RSS steers", test_rss_steers},
	{"RSS refuses", test_rss_refuses},
	{"coalescing by packets", test_coalesce_packets},
	{"coalescing by time", test_coalesce_time},
	{"coalescing by queue", test_coalesce_by_queue},
	{"commands across loops", test_commands_across_loops},
	{"commands and pauses", test_commands_and_pauses},
	{"RSS across loops", test_rss_across_loops},
	{"idle threads sleep", test_idle_threads_sleep},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("net_mq", tests);
}
