/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-net: the control queue. Filters, queues, offloads, announcement, coalescing.
 */
#include <errno.h>
#include <stddef.h>
#include <time.h>

#include "card.h"

#define OK  VIRTIO_NET_OK
#define ERR VIRTIO_NET_ERR

#define CTRL (F(CTRL_VQ) | F(CTRL_RX) | F(CTRL_RX_EXTRA) | F(CTRL_VLAN) | F(CTRL_MAC_ADDR))

#define CONF(field)                                                                                \
	offsetof(struct virtio_net_config, field),                                                 \
		(uint32_t)sizeof(((struct virtio_net_config *)0)->field)

static int ctrl_byte(struct card *c, uint8_t class, uint8_t command, uint8_t value)
{
	return card_ctrl(c, class, command, &value, 1);
}

static int ctrl_16(struct card *c, uint8_t class, uint8_t command, uint16_t value)
{
	__le16 le = htole16(value);

	return card_ctrl(c, class, command, &le, 2);
}

static void read_mac(struct card *c, uint8_t mac[6])
{
	for (uint32_t i = 0; i < 6; i++)
		drv_config_read(c->bus, i, &mac[i], 1);
}

/* Does a frame to `dst`, tagged with `vlan` if not negative, get to the driver on `pair`? */
static bool arrives(struct card *c, uint16_t via, uint16_t pair, const uint8_t dst[6], int vlan)
{
	uint8_t frame[60];

	card_frame(frame, sizeof(frame), 1);
	memcpy(frame, dst, 6);
	if (vlan >= 0) {
		frame[12] = 0x81;
		frame[13] = 0;
		frame[14] = (uint8_t)(vlan >> 8);
		frame[15] = (uint8_t)vlan;
	}
	test_port_bring(c->port, via, NULL, frame, sizeof(frame));
	drv_device_settle(&c->drv);
	return card_rx_get(c, pair) == (int64_t)(c->hdr_len + sizeof(frame));
}

static void fill(struct card *c, uint16_t pair, unsigned n)
{
	while (n--)
		card_rx_add(c, pair, 200, 0);
	card_rx_go(c, pair);
}

static const uint8_t own[6] = CARD_MAC, other[6] = {2, 9, 9, 9, 9, 9},
		     multi[6] = {3, 1, 1, 1, 1, 1}, bcast[6] = {255, 255, 255, 255, 255, 255};

/* ---- filters -----------------------------------------------------------------------------------
 */

static void test_promiscuous_by_default(void) /* who cannot ask gets everything */
{
	struct card c;

	card_init(&c, DRV_MMIO, CARD_PLAIN | F(CTRL_VQ));
	fill(&c, 0, 20);
	CU_ASSERT_TRUE(arrives(&c, 0, 0, own, -1));
	CU_ASSERT_TRUE(arrives(&c, 0, 0, other, -1));
	CU_ASSERT_TRUE(arrives(&c, 0, 0, multi, 5)); /* NET-DEV-113 */
	CU_ASSERT_EQUAL(ctrl_byte(&c, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0), ERR);
	card_fini(&c);
}

static void rx_modes(enum drv_bus_kind kind) /* NET-DEV-089 .. NET-DEV-109 */
{
	struct vio_net_state state;
	struct card c;

	card_init(&c, kind, CARD_PLAIN | CTRL);
	fill(&c, 0, 60);
#define MODE(mode, on) ctrl_byte(&c, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_##mode, on)
	CU_ASSERT_TRUE(arrives(&c, 0, 0, own, -1));
	CU_ASSERT_TRUE(arrives(&c, 0, 0, bcast, -1));
	CU_ASSERT_FALSE(arrives(&c, 0, 0, other, -1));
	CU_ASSERT_FALSE(arrives(&c, 0, 0, multi, -1));
	vio_net_get_state(c.dev, &state);
	CU_ASSERT_EQUAL(state.filtered_rx, 2);
	CU_ASSERT_EQUAL(MODE(ALLMULTI, 1), OK);
	CU_ASSERT_TRUE(arrives(&c, 0, 0, multi, -1));
	CU_ASSERT_EQUAL(MODE(NOMULTI, 1), OK);
	CU_ASSERT_FALSE(arrives(&c, 0, 0, multi, -1));
	CU_ASSERT_TRUE(arrives(&c, 0, 0, bcast, -1));
	CU_ASSERT_EQUAL(MODE(NOBCAST, 1), OK);
	CU_ASSERT_FALSE(arrives(&c, 0, 0, bcast, -1));
	CU_ASSERT_EQUAL(MODE(ALLUNI, 1), OK);
	CU_ASSERT_TRUE(arrives(&c, 0, 0, other, -1));
	CU_ASSERT_EQUAL(MODE(NOUNI, 1), OK);
	CU_ASSERT_FALSE(arrives(&c, 0, 0, own, -1));
	CU_ASSERT_EQUAL(MODE(PROMISC, 1), OK);
	CU_ASSERT_TRUE(arrives(&c, 0, 0, own, -1));
	CU_ASSERT_TRUE(arrives(&c, 0, 0, multi, -1));
	CU_ASSERT_TRUE(arrives(&c, 0, 0, bcast, -1));
	CU_ASSERT_EQUAL(MODE(PROMISC, 2), ERR);
#undef MODE
	/* all of it is gone after a reset */
	card_start(&c, CARD_PLAIN | CTRL);
	fill(&c, 0, 10);
	CU_ASSERT_TRUE(arrives(&c, 0, 0, own, -1));
	CU_ASSERT_FALSE(arrives(&c, 0, 0, other, -1));
	card_fini(&c);
}

static void test_rx_modes(void)
{
	on_each_bus(rx_modes);
}

static void test_mac_table(void) /* NET-DEV-106, NET-DEV-107 */
{
	const uint8_t table[4 + 6 + 4 + 6] = {1, 0, 0, 0, 2, 9, 9, 9, 9, 9,
					      1, 0, 0, 0, 3, 1, 1, 1, 1, 1};
	struct card c;

	card_init(&c, DRV_MMIO, CARD_PLAIN | CTRL);
	fill(&c, 0, 20);
	CU_ASSERT_EQUAL(card_ctrl(&c, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table,
				  sizeof(table)),
			OK);
	CU_ASSERT_TRUE(arrives(&c, 0, 0, other, -1));
	CU_ASSERT_TRUE(arrives(&c, 0, 0, multi, -1));
	for (uint32_t len = 0; len < sizeof(table); len++)
		CU_ASSERT_EQUAL(card_ctrl(&c, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET,
					  table, len),
				ERR);
	CU_ASSERT_TRUE(arrives(&c, 0, 0, other, -1)); /* a bad one changes nothing */
	card_fini(&c);
}

static void test_mac_addr(void) /* NET-DEV-108 */
{
	uint8_t got[6];
	struct card c;

	card_init(&c, DRV_MMIO, CARD_PLAIN | CTRL);
	fill(&c, 0, 20);
	CU_ASSERT_EQUAL(card_ctrl(&c, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other, 6),
			OK);
	read_mac(&c, got);
	CU_ASSERT_EQUAL(memcmp(got, other, 6), 0);
	CU_ASSERT_TRUE(arrives(&c, 0, 0, other, -1));
	CU_ASSERT_FALSE(arrives(&c, 0, 0, own, -1));
	CU_ASSERT_EQUAL(card_ctrl(&c, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other, 5),
			ERR);
	CU_ASSERT_EQUAL(card_ctrl(&c, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, multi, 6),
			ERR);
	drv_reset(c.bus);
	read_mac(&c, got);
	CU_ASSERT_EQUAL(memcmp(got, own, 6), 0);
	card_fini(&c);
}

static void test_operator_mac(void)
{
	uint8_t got[6];
	struct card c;

	card_init(&c, DRV_PCI_MSIX, CARD_PLAIN | CTRL);
	fill(&c, 0, 20);
	CU_ASSERT_EQUAL(vio_net_set_mac(c.dev, multi), -EINVAL);
	drv_irq_forget(c.bus);
	CU_ASSERT_EQUAL(vio_net_set_mac(c.dev, other), 0);
	CU_ASSERT_EQUAL(drv_irq_take(c.bus, DRV_IRQ_CONFIG), 1);
	drv_device_settle(&c.drv);
	read_mac(&c, got);
	CU_ASSERT_EQUAL(memcmp(got, other, 6), 0);
	CU_ASSERT_TRUE(arrives(&c, 0, 0, other, -1));
	CU_ASSERT_FALSE(arrives(&c, 0, 0, own, -1));
	card_fini(&c);
}

static void test_vlan(void) /* NET-DEV-114, NET-DEV-115, NET-IMP-007 */
{
	struct card c;

	card_init(&c, DRV_MMIO, CARD_PLAIN | CTRL);
	fill(&c, 0, 20);
	CU_ASSERT_FALSE(arrives(&c, 0, 0, own, 7));
	CU_ASSERT_EQUAL(ctrl_16(&c, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, 7), OK);
	CU_ASSERT_TRUE(arrives(&c, 0, 0, own, 7));
	CU_ASSERT_FALSE(arrives(&c, 0, 0, own, 8));
	CU_ASSERT_EQUAL(ctrl_16(&c, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, 7), OK);
	CU_ASSERT_FALSE(arrives(&c, 0, 0, own, 7));
	CU_ASSERT_EQUAL(ctrl_16(&c, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, 4096), ERR);
	card_fini(&c);
}

/* ---- announcement, MTU -------------------------------------------------------------------------
 */

static void test_announce(void) /* NET-DEV-117 */
{
	struct card c;

	card_init(&c, DRV_PCI_MSIX, CARD_PLAIN | CTRL | F(STATUS));
	CU_ASSERT_EQUAL(vio_net_announce(c.dev), -EOPNOTSUPP);
	card_start(&c, CARD_PLAIN | CTRL | F(STATUS) | F(GUEST_ANNOUNCE));
	drv_irq_forget(c.bus);
	CU_ASSERT_EQUAL(vio_net_announce(c.dev), 0);
	CU_ASSERT_EQUAL(drv_irq_take(c.bus, DRV_IRQ_CONFIG), 1);
	CU_ASSERT_EQUAL(drv_config_field(c.bus, CONF(status)),
			VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	CU_ASSERT_EQUAL(
		card_ctrl(&c, VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, NULL, 0), OK);
	CU_ASSERT_EQUAL(drv_config_field(c.bus, CONF(status)), VIRTIO_NET_S_LINK_UP);
	card_fini(&c);
}

static void test_mtu_of_next_reset(void) /* NET-DEV-005 */
{
	struct card c;

	card_init(&c, DRV_MMIO, CARD_PLAIN);
	CU_ASSERT_EQUAL(vio_net_set_mtu(c.dev, 1400), -EOPNOTSUPP);
	card_fini(&c);
	card_make(&c, DRV_MMIO, &(struct vio_net_config){.mtu = 1500}, NULL);
	card_start(&c, CARD_PLAIN);
	CU_ASSERT_EQUAL(vio_net_set_mtu(c.dev, 67), -EINVAL);
	CU_ASSERT_EQUAL(vio_net_set_mtu(c.dev, 1400), 0);
	CU_ASSERT_EQUAL(drv_config_field(c.bus, CONF(mtu)), 1500);
	drv_reset(c.bus);
	CU_ASSERT_EQUAL(drv_config_field(c.bus, CONF(mtu)), 1400);
	card_fini(&c);
}

/* ---- queues ------------------------------------------------------------------------------------
 */

static void many_make(struct card *c, enum drv_bus_kind kind, uint64_t features)
{
	const struct vio_net_config cfg = {
		.pairs = 4, .queue_size = 64, .has_mac = true, .mac = CARD_MAC};

	card_make(c, kind, &cfg, NULL);
	card_start(c, features);
	for (uint16_t i = 0; i < 4; i++)
		if (drv_device_has(&c->drv, VIRTIO_NET_F_MQ) ||
		    drv_device_has(&c->drv, VIRTIO_NET_F_RSS) || i == 0)
			fill(c, i, 30);
}

static int set_pairs(struct card *c, uint16_t n)
{
	return ctrl_16(c, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, n);
}

static unsigned selected(const struct card *c)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < 4; i++)
		mask |= (unsigned)(c->port->queue[i].attached && c->port->queue[i].selected) << i;
	return mask;
}

static void pairs_set(enum drv_bus_kind kind) /* NET-DEV-120 .. NET-DEV-124, NET-IMP-006 */
{
	struct card c;

	many_make(&c, kind, CARD_PLAIN | F(CTRL_VQ) | F(MQ));
	CU_ASSERT_EQUAL(card_ctrl_queue(&c), 8);
	CU_ASSERT_EQUAL(selected(&c), 1);
	CU_ASSERT_TRUE(arrives(&c, 0, 0, own, -1));
	CU_ASSERT_FALSE(arrives(&c, 1, 1, own, -1));
	CU_ASSERT_EQUAL(set_pairs(&c, 3), OK);
	CU_ASSERT_EQUAL(selected(&c), 7);
	CU_ASSERT_EQUAL(card_rx_get(&c, 1), 72); /* it waited in the port */
	CU_ASSERT_TRUE(arrives(&c, 1, 1, own, -1));
	CU_ASSERT_TRUE(arrives(&c, 2, 2, own, -1));
	CU_ASSERT_FALSE(arrives(&c, 3, 3, own, -1));
	CU_ASSERT_EQUAL(set_pairs(&c, 0), ERR);
	CU_ASSERT_EQUAL(set_pairs(&c, 5), ERR);
	CU_ASSERT_EQUAL(set_pairs(&c, 2), OK);
	CU_ASSERT_EQUAL(selected(&c), 3);
	CU_ASSERT_FALSE(arrives(&c, 2, 2, own, -1));
	card_start(&c, CARD_PLAIN | F(CTRL_VQ) | F(MQ)); /* NET-DEV-123 */
	CU_ASSERT_EQUAL(selected(&c), 1);
	card_fini(&c);
}

static void test_queue_reset(void) /* NET-DEV-125: others are chosen instead */
{
	uint8_t frame[60];
	struct card c;

	many_make(&c, DRV_MMIO, CARD_PLAIN | F(CTRL_VQ) | F(MQ) | DRV_FEATURE(VIRTIO_F_RING_RESET));
	CU_ASSERT_EQUAL(set_pairs(&c, 3), OK);
	drv_queue_reset(c.bus, 2);
	CU_ASSERT_EQUAL(selected(&c), 5);
	CU_ASSERT_FALSE(c.port->queue[1].receiving);
	card_frame(frame, sizeof(frame), 1);
	MUST(card_tx_add(&c, 1, NULL, frame, sizeof(frame), 0, 0)); /* its neighbour works */
	card_tx_go(&c, 1);
	CU_ASSERT_EQUAL(c.port->queue[1].n_sent, 1);
	drv_queue_clear(&c.drv.queue[2]);
	drv_device_place_queue(&c.drv, 2);
	drv_device_settle(&c.drv);
	CU_ASSERT_EQUAL(selected(&c), 7);
	fill(&c, 1, 3);
	CU_ASSERT_TRUE(arrives(&c, 1, 1, own, -1));
	card_fini(&c);
}

static void test_pairs_set(void)
{
	on_each_bus(pairs_set);
}

static void test_control_queue_number(void) /* NET-IMP-001 */
{
	struct card c;

	many_make(&c, DRV_MMIO, CARD_PLAIN | CTRL);
	CU_ASSERT_EQUAL(card_ctrl_queue(&c), 2);
	CU_ASSERT_EQUAL(ctrl_byte(&c, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1), OK);
	CU_ASSERT_EQUAL(c.port->attached, 1);
	CU_ASSERT_TRUE(arrives(&c, 0, 0, other, -1));
	CU_ASSERT_EQUAL(set_pairs(&c, 2), ERR);
	card_fini(&c);
}

static void test_without_control_queue(void) /* a front-end that keeps it */
{
	struct drv_device_config cfg = {.features = CARD_PLAIN | CTRL | F(MQ), .n_queues = 4};
	struct card c;

	card_make(&c, DRV_MMIO, &(struct vio_net_config){.pairs = 4}, NULL);
	MUST(drv_device_start(&c.drv, &cfg));
	drv_device_settle(&c.drv);
	c.hdr_len = 12;
	fill(&c, 0, 4);
	fill(&c, 1, 4);
	CU_ASSERT_EQUAL(selected(&c), 3);
	CU_ASSERT_TRUE(arrives(&c, 0, 0, other, 77));
	CU_ASSERT_TRUE(arrives(&c, 1, 1, multi, -1));
	card_fini(&c);
}

/* ---- offloads ----------------------------------------------------------------------------------
 */

static int set_offloads(struct card *c, uint64_t offloads)
{
	__le64 le = htole64(offloads);

	return card_ctrl(c, VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &le,
			 8);
}

static bool tso_arrives(struct card *c)
{
	const struct vio_frame_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
					.hdr_len = htole16(54),
					.gso_size = htole16(40),
					.csum_start = htole16(34),
					.csum_offset = htole16(16)};
	uint8_t frame[180];

	card_frame(frame, sizeof(frame), 1);
	test_port_bring(c->port, 0, &h, frame, sizeof(frame));
	return card_rx_get(c, 0) == 192;
}

static void test_offloads(void) /* NET-IMP-008 */
{
	const uint64_t all = F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_ECN);
	struct card c;

	card_init(&c, DRV_MMIO, CARD_PLAIN | F(CTRL_VQ) | F(CTRL_GUEST_OFFLOADS) | all);
	fill(&c, 0, 20);
	CU_ASSERT_EQUAL(c.port->offloads, all);
	CU_ASSERT_TRUE(tso_arrives(&c));
	CU_ASSERT_EQUAL(set_offloads(&c, 0), OK);
	CU_ASSERT_EQUAL(c.port->offloads, 0);
	CU_ASSERT_FALSE(tso_arrives(&c));
	CU_ASSERT_EQUAL(set_offloads(&c, F(GUEST_CSUM) | F(GUEST_TSO4)), OK);
	CU_ASSERT_EQUAL(c.port->offloads, F(GUEST_CSUM) | F(GUEST_TSO4));
	CU_ASSERT_TRUE(tso_arrives(&c));
	CU_ASSERT_EQUAL(set_offloads(&c, F(GUEST_TSO6)), ERR); /* not accepted */
	CU_ASSERT_EQUAL(set_offloads(&c, F(CSUM)), ERR);
	CU_ASSERT_EQUAL(c.port->offloads, F(GUEST_CSUM) | F(GUEST_TSO4));
	c.port->set_error = -EIO;
	CU_ASSERT_EQUAL(set_offloads(&c, 0), ERR);
	c.port->set_error = 0;
	card_fini(&c);
}

/* ---- the form of commands ----------------------------------------------------------------------
 */

static void test_command_framing(void) /* NET-IMP-005, SPLIT-DEV-003 */
{
	const uint8_t cmd[] = {VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 2, 9, 9, 9, 9, 9};
	struct card c;

	card_init(&c, DRV_MMIO, CARD_PLAIN | CTRL);
	for (uint32_t piece = 1; piece < 9; piece++) {
		struct card_buf in = card_ctrl_add(&c, 2, cmd, sizeof(cmd), 4, piece);
		struct drv_used u;

		CU_ASSERT_EQUAL_FATAL(drv_device_wait(&c.drv, 2, &u), 1);
		CU_ASSERT_EQUAL(u.len, 1);
		CU_ASSERT_EQUAL(in.mem[0], OK);
		CU_ASSERT_EQUAL(in.mem[1], 0xee);
	}
	card_fini(&c);
}

static void test_bad_commands(void)
{
	static const uint8_t bad[][2] = {
		{0, 6}, {1, 2}, {2, 2}, {3, 1}, {4, 3}, {5, 1}, {6, 4}, {7, 0}, {255, 255},
		{3, 0}, {4, 0}, {4, 1}, {4, 2}, {5, 0}, {6, 0}, {6, 2}, /* not negotiated */
	};
	uint8_t data[600] = {0};
	struct card c;

	card_init(&c, DRV_MMIO, CARD_PLAIN | CTRL);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(bad); i++)
		for (uint32_t len = 0; len < 20; len++)
			CU_ASSERT_EQUAL(card_ctrl(&c, bad[i][0], bad[i][1], data, len), ERR);
	for (uint32_t len = 0; len < 2; len++) { /* not even a command */
		struct card_buf in = card_ctrl_add(&c, 2, data, len ? len : 1, 1, 0);
		struct drv_used u;

		CU_ASSERT_EQUAL(drv_device_wait(&c.drv, 2, &u), 1);
		CU_ASSERT_EQUAL(in.mem[0], ERR);
	}
	CU_ASSERT_EQUAL(ctrl_byte(&c, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1), OK);
	card_fini(&c);
}

static void test_no_ack_byte(void) /* a driver fault: there is no way to answer */
{
	const uint8_t cmd[] = {0, 0, 1};
	struct card c;

	card_init(&c, DRV_MMIO, CARD_PLAIN | CTRL);
	card_ctrl_add(&c, 2, cmd, sizeof(cmd), 0, 0);
	drv_device_settle(&c.drv);
	CU_ASSERT(drv_status(c.bus) & NEEDS_RESET);
	card_fini(&c);
}

static CU_TestInfo tests[] = {
	{"promiscuous by default", test_promiscuous_by_default},
	{"receive modes", test_rx_modes},
	{"MAC table", test_mac_table},
	{"MAC address", test_mac_addr},
	{"the operator's MAC address", test_operator_mac},
	{"VLAN", test_vlan},
	{"announce", test_announce},
	{"MTU of the next reset", test_mtu_of_next_reset},
	{"pairs", test_pairs_set},
	{"queue reset", test_queue_reset},
	{"number of the control queue", test_control_queue_number},
	{"without control queue", test_without_control_queue},
	{"offloads", test_offloads},
	{"framing of commands", test_command_framing},
	{"bad commands", test_bad_commands},
	{"no ack byte", test_no_ack_byte},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("net_ctrl", tests);
}
