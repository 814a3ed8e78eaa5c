/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-net: features, configuration, transmitting in any framing, a port that is full, stopping.
 */
#include <errno.h>
#include <limits.h>
#include <stddef.h>

#include "card.h"

#define CONF(field)                                                                                \
	offsetof(struct virtio_net_config, field),                                                 \
		(uint32_t)sizeof(((struct virtio_net_config *)0)->field)

static const uint8_t mac[6] = CARD_MAC;

/* ---- features and configuration ----------------------------------------------------------------
 */

static void test_config_layout(void) /* NET-IMP-010, NET-IMP-011, NET-DEV-002 .. NET-DEV-012 */
{
	const struct vio_net_config cfg = {
		.pairs = 4, .queue_size = 128, .has_mac = true, .mac = CARD_MAC, .mtu = 9000};
	uint8_t got[6];
	struct card c;

	card_make(&c, DRV_MMIO, &cfg, NULL);
	drv_config_read(c.bus, 0, got, 6);
	CU_ASSERT_EQUAL(memcmp(got, mac, 6), 0);
	CU_ASSERT_EQUAL(drv_config_field(c.bus, CONF(status)), VIRTIO_NET_S_LINK_UP);
	CU_ASSERT_EQUAL(drv_config_field(c.bus, CONF(max_virtqueue_pairs)), 4);
	CU_ASSERT_EQUAL(drv_config_field(c.bus, CONF(mtu)), 9000);
	CU_ASSERT_EQUAL(drv_config_field(c.bus, CONF(speed)), 10000);
	CU_ASSERT_EQUAL(drv_config_field(c.bus, CONF(duplex)), 1);
	CU_ASSERT(drv_config_field(c.bus, CONF(rss_max_key_size)) >= 40);
	CU_ASSERT(drv_config_field(c.bus, CONF(rss_max_indirection_table_length)) >= 128);
	CU_ASSERT_EQUAL(drv_get(c.bus, DRV_DEVICE_ID, 0), 1);
	CU_ASSERT_EQUAL(drv_get(c.bus, DRV_QUEUE_MAX, 8), 128);
	CU_ASSERT_EQUAL(drv_get(c.bus, DRV_QUEUE_MAX, 9), 0); /* 7cc4f260bf: 2 * pairs + 1 */
	card_fini(&c);
}

static uint64_t offered(const struct vio_net_config *cfg, const struct vio_port_info *info)
{
	struct card c;
	uint64_t f;

	card_make(&c, DRV_MMIO, cfg, info);
	f = drv_offered(c.bus);
	card_fini(&c);
	return f;
}

static void test_features(void) /* NET-IMP-004, NET-DEV-014, NET-DEV-015 */
{
	const struct vio_port_info plain = {.max_pairs = 2, .link_up = true, .speed = UINT32_MAX};
	const uint64_t always = F(CSUM) | F(MAC) | F(STATUS) | F(MRG_RXBUF) | F(CTRL_VQ) |
				F(CTRL_RX) | F(CTRL_RX_EXTRA) | F(CTRL_VLAN) | F(CTRL_MAC_ADDR) |
				F(GUEST_ANNOUNCE) | F(SPEED_DUPLEX) | F(NOTF_COAL);
	/* GSO, RSC_EXT, STANDBY, and what nobody asked for */
	const uint64_t never = DRV_FEATURE(6) | DRV_FEATURE(61) | DRV_FEATURE(62) |
			       DRV_FEATURE(41) | DRV_FEATURE(42) | DRV_FEATURE(50) |
			       DRV_FEATURE(51) | DRV_FEATURE(59);
	const uint64_t port = F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_TSO6) | F(GUEST_ECN) |
			      F(GUEST_UFO) | F(HOST_TSO4) | F(HOST_TSO6) | F(HOST_ECN) |
			      F(HOST_UFO) | F(CTRL_GUEST_OFFLOADS) | DRV_FEATURE(54) |
			      DRV_FEATURE(55) | DRV_FEATURE(56);
	uint64_t f = offered(NULL, &plain);

	CU_ASSERT_EQUAL(f & always, always);
	CU_ASSERT_EQUAL(f & never, 0);
	CU_ASSERT_EQUAL(f & port, 0);
	CU_ASSERT_EQUAL(f & (F(MQ) | F(RSS) | F(HASH_REPORT) | F(MTU)), 0);
	f = offered(NULL, NULL);
	CU_ASSERT_EQUAL(f & port, port);
	f = offered(&(struct vio_net_config){.pairs = 2, .mtu = 1500}, NULL);
	CU_ASSERT_EQUAL(f & (F(MQ) | F(RSS) | F(HASH_REPORT) | F(MTU)), F(MQ) | F(MTU));
	f = offered(&(struct vio_net_config){.pairs = 2, .hash = true}, NULL);
	CU_ASSERT_EQUAL(f & (F(MQ) | F(RSS) | F(HASH_REPORT)), F(MQ) | F(RSS) | F(HASH_REPORT));
	f = offered(&(struct vio_net_config){.hash = true}, NULL);
	CU_ASSERT_EQUAL(f & (F(MQ) | F(RSS) | F(HASH_REPORT)), F(HASH_REPORT));
	/* what is taken away takes with it what needs it */
	f = offered(&(struct vio_net_config){.pairs = 2,
					     .hash = true,
					     .no_features = F(CTRL_VQ) | F(CSUM)},
		    NULL);
	CU_ASSERT_EQUAL(f & (F(CTRL_RX) | F(CTRL_RX_EXTRA) | F(CTRL_VLAN) | F(CTRL_MAC_ADDR) |
			     F(GUEST_ANNOUNCE) | F(MQ) | F(RSS) | F(HASH_REPORT) | F(NOTF_COAL) |
			     F(CTRL_GUEST_OFFLOADS) | F(HOST_TSO4) | F(HOST_TSO6) | F(HOST_ECN)),
			0);
	CU_ASSERT_EQUAL(f & F(GUEST_TSO4), F(GUEST_TSO4));
}

static bool accepts(struct card *c, uint64_t features)
{
	uint8_t status;

	drv_reset(c->bus);
	drv_add_status(c->bus, ACK | DRIVER);
	drv_accept(c->bus, features | V1);
	status = drv_add_status(c->bus, FEATURES_OK);
	return status & FEATURES_OK;
}

static void test_dependencies(void) /* "Feature bit requirements" */
{
	static const uint64_t bad[] = {
		F(GUEST_TSO4),	 F(GUEST_TSO6),		F(GUEST_UFO),
		DRV_FEATURE(54), DRV_FEATURE(55),	F(GUEST_CSUM) | F(GUEST_ECN),
		F(HOST_TSO4),	 F(HOST_TSO6),		F(HOST_UFO),
		DRV_FEATURE(56), F(CSUM) | F(HOST_ECN),
	};
	struct card c;

	card_make(&c, DRV_MMIO, NULL, NULL);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(bad); i++)
		CU_ASSERT_FALSE(accepts(&c, bad[i]));
	CU_ASSERT_TRUE(accepts(&c, 0));
	CU_ASSERT_TRUE(accepts(&c, F(CSUM) | F(HOST_TSO6) | F(HOST_ECN)));
	CU_ASSERT_TRUE(accepts(&c, F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_ECN)));
	/* the port is told, and told again */
	CU_ASSERT_EQUAL(c.port->offloads, F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_ECN));
	drv_reset(c.bus);
	CU_ASSERT_EQUAL(c.port->offloads, 0);
	card_fini(&c);
}

static void test_create_refuses(void)
{
	const struct vio_net_config bad[] = {
		{.queue_size = 1},
		{.queue_size = 3},
		{.queue_size = 2048},
		{.pairs = TEST_PORT_MAX_PAIRS + 1},
		{.pairs = VIO_NET_MAX_PAIRS + 1},
		{.mtu = 67},
		{.has_mac = true},
		{.has_mac = true, .mac = {1}},
		{.speed = 0x80000000},
	};
	struct vio_device *dev = NULL;
	struct test_port *port;
	struct drv_rig rig;

	MUST(drv_rig_init(&rig));
	MUST(test_port_open(NULL, &port));
	for (unsigned i = 0; i < VIO_ARRAY_LEN(bad); i++) {
		struct vio_net_config cfg = bad[i];

		cfg.port = &port->base;
		CU_ASSERT_EQUAL(vio_net_create(&rig.env, &cfg, &dev), -EINVAL);
		CU_ASSERT_PTR_NULL(dev);
	}
	test_port_close(port);
	drv_rig_fini(&rig);
}

static void test_made_up_mac(void)
{
	const struct vio_net_config none = {.queue_size = 8};
	uint8_t a[6], b[6];
	struct card c;

	card_make(&c, DRV_MMIO, &none, NULL);
	drv_config_read(c.bus, 0, a, 6);
	CU_ASSERT_EQUAL(a[0] & 3, 2); /* one station, locally administered */
	card_fini(&c);
	card_make(&c, DRV_MMIO, &none, NULL);
	drv_config_read(c.bus, 0, b, 6);
	CU_ASSERT_EQUAL(memcmp(a, b, 6), 0);
	card_fini(&c);
}

/* ---- transmitting ------------------------------------------------------------------------------
 */

static void send_and_compare(enum drv_bus_kind kind)
{
	static const uint32_t lens[] = {14, 60, 1514, 9000, VIO_FRAME_MAX};
	static uint8_t frame[VIO_FRAME_MAX];
	struct test_port_queue *tq;
	struct card c;

	card_init(&c, kind, CARD_PLAIN);
	tq = &c.port->queue[0];
	for (unsigned i = 0; i < VIO_ARRAY_LEN(lens); i++) {
		card_frame(frame, lens[i], (uint8_t)i);
		drv_irq_forget(c.bus);
		card_tx(&c, NULL, frame, lens[i]);
		CU_ASSERT_EQUAL(drv_irq_take(c.bus, 1), 1);
		CU_ASSERT_EQUAL_FATAL(tq->n_sent, i + 1);
		CU_ASSERT_EQUAL(tq->sent[i]->len, lens[i]);
		CU_ASSERT_EQUAL(memcmp(tq->sent[i]->bytes, frame, lens[i]), 0);
	}
	card_fini(&c);
}

static void test_send(void)
{
	on_each_bus(send_and_compare);
}

static void test_framing(void) /* SPLIT-DEV-003, CVE-2022-2132 */
{
	static const uint32_t cuts[][2] = {{1, 1},  {5, 3}, {11, 1}, {12, 0}, {13, 0},
					   {26, 0}, {6, 6}, {0, 0},  {12, 7}, {20, 100}};
	uint8_t frame[60];
	struct card c;

	for (unsigned hash = 0; hash < 2; hash++) {
		card_make(&c, DRV_MMIO, &(struct vio_net_config){.queue_size = 1024, .hash = true},
			  NULL);
		card_start(&c, CARD_PLAIN | (hash ? F(HASH_REPORT) | F(CTRL_VQ) : 0));
		CU_ASSERT_EQUAL(c.hdr_len, hash ? 20 : 12); /* NET-IMP-002, CVE-2023-6693 */
		for (unsigned i = 0; i < VIO_ARRAY_LEN(cuts); i++) {
			card_frame(frame, sizeof(frame), (uint8_t)i);
			MUST(card_tx_add(&c, 0, NULL, frame, sizeof(frame), cuts[i][0],
					 cuts[i][1]));
			card_tx_go(&c, 0);
			CU_ASSERT_EQUAL(card_tx_done(&c, 0), 1);
			CU_ASSERT_EQUAL_FATAL(c.port->queue[0].n_sent, i + 1);
			CU_ASSERT_EQUAL(c.port->queue[0].sent[i]->len, sizeof(frame));
			CU_ASSERT_EQUAL(
				memcmp(c.port->queue[0].sent[i]->bytes, frame, sizeof(frame)), 0);
		}
		card_fini(&c);
	}
}

static void test_thousand_pieces(void) /* one byte each: more than a port can be given */
{
	uint8_t frame[1012];
	struct card c;

	card_make(&c, DRV_MMIO, &(struct vio_net_config){.queue_size = 1024}, NULL);
	card_start(&c, CARD_PLAIN);
	card_frame(frame, sizeof(frame), 1);
	for (unsigned i = 0; i < 3; i++) {
		MUST(card_tx_add(&c, 0, NULL, frame, sizeof(frame), 1, 1));
		card_tx_go(&c, 0);
		CU_ASSERT_EQUAL(card_tx_done(&c, 0), 1);
		CU_ASSERT_EQUAL_FATAL(c.port->queue[0].n_sent, i + 1);
		CU_ASSERT(c.port->queue[0].sent[i]->n_iov <= 1000);
		CU_ASSERT_EQUAL(memcmp(c.port->queue[0].sent[i]->bytes, frame, sizeof(frame)), 0);
	}
	card_fini(&c);
}

static void test_header_to_port(void) /* NET-DEV-019, NET-DEV-020 */
{
	struct vio_frame_hdr h = {.flags = 0xfe & ~VIRTIO_NET_HDR_F_NEEDS_CSUM,
				  .hdr_len = htole16(0xffff),
				  .gso_size = htole16(0xffff),
				  .csum_start = htole16(0xfff0),
				  .csum_offset = htole16(0xffff),
				  .num_buffers = htole16(7)};
	const struct vio_frame_hdr *got;
	uint8_t frame[100];
	struct card c;

	card_init(&c, DRV_MMIO, CARD_PLAIN | F(CSUM));
	card_frame(frame, sizeof(frame), 1);
	card_tx(&c, &h, frame, sizeof(frame));
	CU_ASSERT_EQUAL_FATAL(c.port->queue[0].n_sent, 1);
	CU_ASSERT_EQUAL(memcmp(c.port->queue[0].sent[0]->bytes, frame, sizeof(frame)), 0);
	got = &c.port->queue[0].sent[0]->hdr;
	CU_ASSERT(le16toh(got->hdr_len) <= sizeof(frame)); /* NET-DEV-025 */
	CU_ASSERT_EQUAL(got->flags | got->gso_type | got->gso_size | got->csum_start |
				got->csum_offset | got->num_buffers,
			0);
	h = (struct vio_frame_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				   .csum_start = htole16(34),
				   .csum_offset = htole16(16)};
	card_tx(&c, &h, frame, sizeof(frame));
	CU_ASSERT_EQUAL_FATAL(c.port->queue[0].n_sent, 2);
	CU_ASSERT_EQUAL(c.port->queue[0].sent[1]->hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	CU_ASSERT_EQUAL(le16toh(c.port->queue[0].sent[1]->hdr.csum_start), 34);
	CU_ASSERT_EQUAL(le16toh(c.port->queue[0].sent[1]->hdr.csum_offset), 16);
	card_fini(&c);
}

/* The ones' complement sum of bytes [from, len) of a frame, as a number. */
static uint16_t sum(const uint8_t *frame, uint32_t from, uint32_t len)
{
	uint32_t s = 0;

	for (uint32_t i = from; i < len; i++)
		s += (i - from) % 2 ? frame[i] : (uint32_t)frame[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)s;
}

static void test_checksum_for_port(void) /* a port that cannot: the device does it */
{
	const struct vio_port_info info = {.max_pairs = 1, .link_up = true};
	const struct vio_frame_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					.csum_start = htole16(34),
					.csum_offset = htole16(16)};
	uint8_t frame[1001];
	struct card c;

	card_make(&c, DRV_MMIO, NULL, &info);
	card_start(&c, CARD_PLAIN | F(CSUM));
	card_frame(frame, sizeof(frame), 3);
	for (unsigned cut = 0; cut < 4; cut++) {
		const struct test_port_frame *s;

		MUST(card_tx_add(&c, 0, &h, frame, sizeof(frame), 12 + 33 + cut, 17));
		card_tx_go(&c, 0);
		CU_ASSERT_EQUAL(card_tx_done(&c, 0), 1);
		CU_ASSERT_EQUAL_FATAL(c.port->queue[0].n_sent, cut + 1);
		s = c.port->queue[0].sent[cut];
		CU_ASSERT_EQUAL(s->hdr.flags, 0);
		CU_ASSERT_EQUAL(s->len, sizeof(frame));
		/* the sum over the finished part is that of the pseudo-header, taken off */
		CU_ASSERT_EQUAL(
			(uint16_t)(sum(frame, 34, 1001) + (s->bytes[50] << 8 | s->bytes[51])),
			0xffff);
		frame[50] = s->bytes[50];
		frame[51] = s->bytes[51];
		CU_ASSERT_EQUAL(memcmp(s->bytes, frame, sizeof(frame)), 0);
		card_frame(frame, sizeof(frame), 3);
	}
	card_fini(&c);
}

static void test_nonsense_is_dropped(void) /* CVE-2024-11614, NET-DEV-025 and the header checks */
{
	static const struct {
		struct vio_frame_hdr h;
		uint32_t len;
		uint64_t features;
	} bad[] = {
		{{0}, 0, 0},
		{{0}, 13, 0},
		{{.flags = 1, .csum_start = 60, .csum_offset = 0}, 60, F(CSUM)},
		{{.flags = 1, .csum_start = 50, .csum_offset = 9}, 60, F(CSUM)},
		{{.flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff}, 60, F(CSUM)},
		{{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 1, .gso_size = 9},
		 60,
		 F(CSUM)}, /* no HOST_TSO4 */
		{{.flags = 0, .gso_type = 1, .gso_size = 9}, 60, F(CSUM) | F(HOST_TSO4)},
		{{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 1, .gso_size = 0},
		 60,
		 F(CSUM) | F(HOST_TSO4)},
		{{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 2, .gso_size = 9},
		 60,
		 F(CSUM) | F(HOST_TSO4)},
	};
	uint8_t frame[100];
	struct card c;

	card_frame(frame, sizeof(frame), 1);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(bad); i++) {
		struct vio_net_state state;
		struct vio_queue_stats stats;

		card_init(&c, DRV_MMIO, CARD_PLAIN | bad[i].features);
		card_tx(&c, &bad[i].h, frame, bad[i].len);
		card_tx(&c, NULL, frame, 60); /* the device goes on */
		CU_ASSERT_EQUAL_FATAL(c.port->queue[0].n_sent, 1);
		CU_ASSERT_EQUAL(c.port->queue[0].sent[0]->hdr.flags, 0);
		vio_net_get_state(c.dev, &state);
		CU_ASSERT_EQUAL(state.dropped_tx, 1);
		vio_device_queue_stats(c.dev, 1, &stats);
		CU_ASSERT_EQUAL(stats.errors, 1);
		CU_ASSERT_EQUAL(stats.requests, 2);
		CU_ASSERT_EQUAL(stats.bytes_written, 60);
		CU_ASSERT_EQUAL(drv_status(c.bus) & NEEDS_RESET, 0);
		card_fini(&c);
	}
}

static void test_too_long(void)
{
	static uint8_t frame[VIO_FRAME_MAX + 1];
	struct card c;

	card_init(&c, DRV_MMIO, CARD_PLAIN);
	card_frame(frame, sizeof(frame), 1);
	card_tx(&c, NULL, frame, sizeof(frame));
	CU_ASSERT_EQUAL(c.port->queue[0].n_sent, 0);
	/* no header, half a header, no readable byte at all */
	for (uint32_t len = 0; len < 12; len += 5) {
		struct drv_buf b = {.gpa = drv_mem_alloc(&c.rig.mem, 64, 1), .len = len};

		b.writable = len == 10;
		MUST(drv_queue_add(&c.drv.queue[1], &b, 1, DRV_DIRECT, NULL));
		card_tx_go(&c, 0);
		CU_ASSERT_EQUAL(card_tx_done(&c, 0), 1);
	}
	CU_ASSERT_EQUAL(c.port->queue[0].n_sent, 0);
	CU_ASSERT_EQUAL(drv_status(c.bus) & NEEDS_RESET, 0);
	card_fini(&c);
}

/* ---- a full port, stopping ---------------------------------------------------------------------
 */

static void add_numbered(struct card *c, uint8_t from, unsigned n)
{
	uint8_t frame[60];

	for (unsigned i = 0; i < n; i++) {
		card_frame(frame, sizeof(frame), (uint8_t)(from + i));
		frame[20] = (uint8_t)(from + i);
		/* every fifth one is too short to be sent */
		MUST(card_tx_add(c, 0, NULL, frame, (from + i) % 5 == 4 ? 10 : 60, 12, 0));
	}
}

/* The frames sent are those of add_numbered(), from 0 on, in order. */
static bool in_order(const struct test_port_queue *tq)
{
	unsigned want = 0;

	for (unsigned i = 0; i < tq->n_sent; i++, want++) {
		want += want % 5 == 4;
		if (tq->sent[i]->bytes[20] != want)
			return false;
	}
	return true;
}

static void full_port(enum drv_bus_kind kind)
{
	struct card c;
	unsigned done = 0;

	card_init(&c, kind, CARD_PLAIN);
	c.port->takes = 3;
	add_numbered(&c, 0, 20);
	card_tx_go(&c, 0);
	done += card_tx_done(&c, 0);
	CU_ASSERT_EQUAL(c.port->queue[0].n_sent, 3);
	CU_ASSERT_EQUAL(done, 3);
	add_numbered(&c, 20, 10);
	card_tx_go(&c, 0);
	CU_ASSERT_EQUAL(card_tx_done(&c, 0), 0); /* nothing overtakes */
	test_port_take(c.port, 0, 5);
	drv_device_settle(&c.drv);
	done += card_tx_done(&c, 0);
	CU_ASSERT_EQUAL(c.port->queue[0].n_sent, 8);
	CU_ASSERT_EQUAL(done, 10); /* 4 and 9 came back unsent, in their place */
	test_port_take(c.port, 0, UINT_MAX);
	drv_device_settle(&c.drv);
	done += card_tx_done(&c, 0);
	CU_ASSERT_EQUAL(done, 30);
	CU_ASSERT_EQUAL(c.port->queue[0].n_sent, 24);
	CU_ASSERT_TRUE(in_order(&c.port->queue[0]));
	card_fini(&c);
}

static void test_full_port(void)
{
	on_each_bus(full_port);
}

static void test_pause_while_full(void) /* what was not taken is sent after the pause */
{
	struct card c;
	unsigned done;

	card_init(&c, DRV_MMIO, CARD_PLAIN);
	c.port->takes = 3;
	add_numbered(&c, 0, 20);
	card_tx_go(&c, 0);
	done = card_tx_done(&c, 0);
	MUST(vio_device_pause(c.dev));
	CU_ASSERT_EQUAL(c.port->attached, 0);
	c.port->takes = UINT_MAX;
	MUST(vio_device_resume(c.dev));
	drv_device_settle(&c.drv);
	done += card_tx_done(&c, 0);
	CU_ASSERT_EQUAL(done, 20);
	CU_ASSERT_EQUAL(c.port->queue[0].n_sent, 16);
	CU_ASSERT_TRUE(in_order(&c.port->queue[0]));
	card_fini(&c);
}

static void test_reset_while_full(void)
{
	uint8_t frame[60];
	struct card c;

	card_init(&c, DRV_MMIO, CARD_PLAIN);
	c.port->takes = 1;
	add_numbered(&c, 0, 20);
	card_tx_go(&c, 0);
	drv_reset(c.bus);
	CU_ASSERT_EQUAL(c.port->attached, 0);
	c.port->takes = UINT_MAX;
	card_start(&c, CARD_PLAIN);
	CU_ASSERT_EQUAL(c.port->queue[0].n_sent, 1);
	card_frame(frame, sizeof(frame), 9);
	card_tx(&c, NULL, frame, sizeof(frame));
	CU_ASSERT_EQUAL(c.port->queue[0].n_sent, 2);
	card_fini(&c);
}

static void test_link_down(void) /* NET-IMP-010 */
{
	struct vio_net_state state;
	uint8_t frame[60];
	struct card c;

	card_init(&c, DRV_PCI_MSIX, CARD_PLAIN | F(STATUS));
	card_frame(frame, sizeof(frame), 1);
	drv_irq_forget(c.bus);
	vio_net_set_link(c.dev, false);
	CU_ASSERT_EQUAL(drv_irq_take(c.bus, DRV_IRQ_CONFIG), 1);
	CU_ASSERT_EQUAL(drv_config_field(c.bus, CONF(status)), 0);
	card_tx(&c, NULL, frame, sizeof(frame));
	CU_ASSERT_EQUAL(c.port->queue[0].n_sent, 0);
	vio_net_get_state(c.dev, &state);
	CU_ASSERT_EQUAL(state.dropped_tx, 1);
	CU_ASSERT_FALSE(state.link);
	vio_net_set_link(c.dev, true);
	CU_ASSERT_EQUAL(drv_irq_take(c.bus, DRV_IRQ_CONFIG), 1);
	vio_net_set_link(c.dev, true);
	CU_ASSERT_EQUAL(drv_irq_take(c.bus, DRV_IRQ_CONFIG), 0);
	card_tx(&c, NULL, frame, sizeof(frame));
	CU_ASSERT_EQUAL(c.port->queue[0].n_sent, 1);
	/* the port's side of it */
	vio_port_link(&c.port->base, false);
	CU_ASSERT_FALSE(vio_net_link(c.dev));
	vio_port_link(&c.port->base, true);
	CU_ASSERT_TRUE(vio_net_link(c.dev));
	card_fini(&c);
}

static void test_attach_fails(void)
{
	struct card c;

	card_make(&c, DRV_MMIO, NULL, NULL);
	c.port->attach_error = -ENODEV;
	card_start(&c, CARD_PLAIN);
	CU_ASSERT(drv_status(c.bus) & NEEDS_RESET);
	c.port->attach_error = 0;
	card_start(&c, CARD_PLAIN);
	CU_ASSERT_EQUAL(drv_status(c.bus) & NEEDS_RESET, 0);
	CU_ASSERT_EQUAL(c.port->attached, 1);
	card_fini(&c);
}

static CU_TestInfo tests[] = {
	{"config layout", test_config_layout},
	{"offered features", test_features},
	{"feature dependencies", test_dependencies},
	{"create refuses", test_create_refuses},
	{"made-up address", test_made_up_mac},
	{"send", test_send},
	{"any framing", test_framing},
	{"a thousand pieces", test_thousand_pieces},
	{"headers to the port", test_header_to_port},
	{"checksums for the port", test_checksum_for_port},
	{"nonsense is dropped", test_nonsense_is_dropped},
	{"too long, too short", test_too_long},
	{"full port", test_full_port},
	{"pause while full", test_pause_while_full},
	{"reset while full", test_reset_while_full},
	{"link down", test_link_down},
	{"attach fails", test_attach_fails},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("net_tx", tests);
}
