/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Device Suspend" of a network card: frames, interrupts that wait, and what the operator does
 * meanwhile; on each transport.
 */
#include "card.h"

#define RUNNING	  (ACK | DRIVER | FEATURES_OK | DRIVER_OK)
#define SUSPENDED (ACK | DRIVER | FEATURES_OK | SUSPEND)

#define OPERATED                                                                                   \
	(CARD_PLAIN | F(STATUS) | F(CTRL_VQ) | F(GUEST_ANNOUNCE) | DRV_FEATURE(VIO_F_SUSPEND))
#define STATUS_OFFSET offsetof(struct virtio_net_config, status)

static void operator_meanwhile(enum drv_bus_kind kind) /* BASIC-DEV-024 .. BASIC-DEV-026 */
{
	static const uint8_t mac[6] = {2, 1, 1, 1, 1, 1};
	struct card c;

	card_init(&c, kind, OPERATED);
	CU_ASSERT_EQUAL(drv_config_field(c.bus, STATUS_OFFSET, 2), VIRTIO_NET_S_LINK_UP);
	CU_ASSERT_EQUAL(drv_add_status(c.bus, SUSPEND), SUSPENDED);
	drv_irq_forget(c.bus);
	vio_net_set_link(c.dev, false);
	CU_ASSERT_EQUAL(vio_net_announce(c.dev), 0);
	CU_ASSERT_EQUAL(vio_net_set_mac(c.dev, mac), 0);
	drv_device_settle(&c.drv);
	CU_ASSERT_EQUAL(drv_irq_take(c.bus, DRV_IRQ_CONFIG), 0);
	CU_ASSERT_EQUAL(drv_config_field(c.bus, STATUS_OFFSET, 2), VIRTIO_NET_S_LINK_UP);
	CU_ASSERT_EQUAL(drv_config_field(c.bus, 0, 4), 0x12005452);

	CU_ASSERT_EQUAL(drv_add_status(c.bus, DRIVER_OK), RUNNING);
	CU_ASSERT_EQUAL(drv_irq_take(c.bus, DRV_IRQ_CONFIG), 1);
	CU_ASSERT_EQUAL(drv_config_field(c.bus, STATUS_OFFSET, 2), VIRTIO_NET_S_ANNOUNCE);
	CU_ASSERT_EQUAL(drv_config_field(c.bus, 0, 4), 0x01010102);
	CU_ASSERT_EQUAL(
		card_ctrl(&c, VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, NULL, 0),
		VIRTIO_NET_OK);
	CU_ASSERT_EQUAL(drv_config_field(c.bus, STATUS_OFFSET, 2), 0);
	card_fini(&c);
}

static void test_operator(void)
{
	on_each_bus(operator_meanwhile);
}

/* Nothing comes or goes; buffers that the card holds for frames stay the card's. */
static void frames_meanwhile(enum drv_bus_kind kind) /* BASIC-DEV-022, BASIC-DEV-023 */
{
	uint8_t frame[60];
	uint32_t irqs;
	struct card c;

	card_frame(frame, sizeof(frame), 1);
	card_init(&c, kind, CARD_PLAIN | DRV_FEATURE(VIO_F_SUSPEND));
	for (unsigned i = 0; i < 4; i++)
		card_rx_add(&c, 0, 100, 0);
	card_rx_go(&c, 0);
	test_port_bring(c.port, 0, NULL, frame, 60);
	CU_ASSERT_EQUAL(card_rx_get(&c, 0), 72);
	CU_ASSERT_EQUAL(drv_add_status(c.bus, SUSPEND), SUSPENDED);
	CU_ASSERT_EQUAL(c.port->attached, 0);
	irqs = c.bus->n_irqs;
	MUST(card_tx_add(&c, 0, NULL, frame, 60, c.hdr_len, 0));
	card_tx_go(&c, 0);
	CU_ASSERT_EQUAL(c.port->queue[0].n_sent, 0);
	CU_ASSERT_EQUAL(card_rx_get(&c, 0), -1);
	CU_ASSERT_EQUAL(c.bus->n_irqs, irqs);

	CU_ASSERT_EQUAL(drv_add_status(c.bus, DRIVER_OK), RUNNING);
	drv_device_settle(&c.drv);
	CU_ASSERT_EQUAL(card_tx_done(&c, 0), 1);
	CU_ASSERT_EQUAL(c.port->queue[0].n_sent, 1);
	for (unsigned i = 0; i < 3; i++) {
		test_port_bring(c.port, 0, NULL, frame, 60);
		CU_ASSERT_EQUAL(card_rx_get(&c, 0), 72);
	}
	CU_ASSERT_EQUAL(card_rx_get(&c, 0), -1);
	card_fini(&c);
}

static void test_frames(void)
{
	on_each_bus(frames_meanwhile);
}

/* Frames that a full port has not taken are not begun: they are sent, once, in the end. */
static void test_full_port(void)
{
	uint8_t frame[60];
	struct card c;

	card_frame(frame, sizeof(frame), 1);
	card_init(&c, DRV_PCI_MSIX, CARD_PLAIN | DRV_FEATURE(VIO_F_SUSPEND));
	c.port->takes = 2;
	for (unsigned i = 0; i < 5; i++)
		MUST(card_tx_add(&c, 0, NULL, frame, 60, c.hdr_len, 0));
	card_tx_go(&c, 0);
	CU_ASSERT_EQUAL(drv_add_status(c.bus, SUSPEND), SUSPENDED);
	CU_ASSERT_EQUAL(card_tx_done(&c, 0), 2);
	CU_ASSERT_TRUE(drv_irq_take(c.bus, 1) > 0);
	c.port->takes = 100;
	drv_device_settle(&c.drv);
	CU_ASSERT_EQUAL(card_tx_done(&c, 0), 0);
	CU_ASSERT_EQUAL(drv_add_status(c.bus, DRIVER_OK), RUNNING);
	drv_device_settle(&c.drv);
	CU_ASSERT_EQUAL(card_tx_done(&c, 0), 3);
	CU_ASSERT_EQUAL(c.port->queue[0].n_sent, 5);
	card_fini(&c);
}

/* Interrupts that wait for more come before the status says SUSPEND, and no timer is left. */
static void coalesced(enum drv_bus_kind kind) /* BASIC-DEV-031 */
{
	struct {
		__le32 packets, usecs;
	} coal = {htole32(100), htole32(2000)};
	uint8_t frame[60];
	uint32_t irqs;
	struct card c;

	card_frame(frame, sizeof(frame), 1);
	card_init(&c, kind, CARD_PLAIN | F(CTRL_VQ) | F(NOTF_COAL) | DRV_FEATURE(VIO_F_SUSPEND));
	CU_ASSERT_EQUAL(card_ctrl(&c, VIRTIO_NET_CTRL_NOTF_COAL, VIRTIO_NET_CTRL_NOTF_COAL_TX_SET,
				  &coal, sizeof(coal)),
			VIRTIO_NET_OK);
	drv_irq_forget(c.bus);
	MUST(card_tx_add(&c, 0, NULL, frame, 60, c.hdr_len, 0));
	drv_device_submit(&c.drv, 1);
	vio_loop_manual_run(c.rig.loop, 0);
	CU_ASSERT_EQUAL(card_tx_done(&c, 0), 1);
	CU_ASSERT_EQUAL(drv_add_status(c.bus, SUSPEND), SUSPENDED);
	CU_ASSERT_EQUAL(drv_irq_take(c.bus, 1), 1);
	irqs = c.bus->n_irqs;
	vio_loop_manual_run(c.rig.loop, 5);
	CU_ASSERT_EQUAL(c.bus->n_irqs, irqs);
	CU_ASSERT_EQUAL(drv_add_status(c.bus, DRIVER_OK), RUNNING);
	MUST(card_tx_add(&c, 0, NULL, frame, 60, c.hdr_len, 0));
	card_tx_go(&c, 0);
	for (unsigned i = 0; i < 100 && c.bus->n_irqs == irqs; i++)
		vio_loop_manual_run(c.rig.loop, 50);
	CU_ASSERT_EQUAL(drv_irq_take(c.bus, 1), 1);
	card_fini(&c);
}

static void test_coalesced(void)
{
	on_each_bus(coalesced);
}

static CU_TestInfo tests[] = {
	{"BASIC-DEV-024..026 the operator meanwhile", test_operator},
	{"BASIC-DEV-022,023 frames meanwhile", test_frames},
	{"a full port", test_full_port},
	{"BASIC-DEV-031 interrupts that wait", test_coalesced},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("suspend_net", tests);
}
