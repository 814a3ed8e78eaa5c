/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Device Suspend" of a network card: what its control queue has set, and interrupts that wait.
 */
#include "checks_net.h"
#include "checks_util.h"
#include "checks.h"

#include <string.h>

#define F_NOTF_COAL    53
#define F_VQ_NOTF_COAL 52

#define NOTF_COAL    (CTRL_VQ | DRV_FEATURE(F_NOTF_COAL))
#define VQ_NOTF_COAL (CTRL_VQ | DRV_FEATURE(F_VQ_NOTF_COAL))

/* No buffer may be left to be told about when the status says SUSPEND. */
static void check_coalesced(struct run *r)
{
	struct io io[3];
	struct card c;

	card_start(r, &c, NOTF_COAL | F_SUSPEND);
	card_ok(&c, "BASIC-DEV-031", drv_net_coal(&c.net, true, 100, 60000000), "TX_SET");
	drv_irq_forget(r->bus);
	for (unsigned i = 0; i < 3; i++) {
		io_make(r, &io[i], 0, 0);
		io_submit(r, &io[i]);
	}
	for (unsigned i = 0; i < 3; i++)
		need(r, "BASIC-DEV-028", io_wait(r, &io[i]), "frames to be sent",
		     "number %u is not", i);
	run_quiet(r);
	if (drv_irq_take(r->bus, io_queue_index(r)) > 0)
		skip(r, "the device notifies at once, which it may");
	run_suspend(r);
	expect(r, "BASIC-DEV-031", drv_irq_take(r->bus, io_queue_index(r)) > 0,
	       "used buffers to be notified before the status says SUSPEND",
	       "3 used, no notification");
	run_resume(r);
	io_many(r, "BASIC-DEV-028", 3);
}

static void expect_coal(struct card *c, uint16_t queue, uint32_t packets, uint32_t usecs)
{
	uint32_t p = 0, u = 0;

	card_ok(c, "BASIC-DEV-028", drv_net_coal_get(&c->net, queue, &p, &u), "VQ_GET");
	expect(c->r, "BASIC-DEV-028", p == packets && u == usecs,
	       "what was set before the suspension", "queue %u: %u packets, %u us", queue, p, u);
}

/* Queue 0 has done nothing yet, queue 1 has. */
static void check_coal_kept(struct run *r)
{
	struct card c;

	card_start(r, &c, VQ_NOTF_COAL | F_SUSPEND);
	io_many(r, "BASIC-DEV-028", 3);
	for (uint16_t q = 0; q < 2; q++)
		card_ok(&c, "BASIC-DEV-028", drv_net_coal_queue(&c.net, q, 7 + q, 70), "VQ_SET");
	for (unsigned i = 0; i < 2; i++) {
		run_suspend(r);
		run_resume(r);
		for (uint16_t q = 0; q < 2; q++)
			expect_coal(&c, q, 7 + q, 70);
	}
}

/* Frames to others are still not for us, frames to us are, and none is heard twice. */
static void check_filters_kept(struct run *r)
{
	static const uint8_t mine[6] = {0x02, 0x11, 0x22, 0x33, 0x44, 0x55};
	static const uint8_t other[6] = {0x02, 0x11, 0x22, 0x33, 0x44, 0x66};
	uint8_t before[6], after[6];
	struct card c;

	card_open(r, &c,
		  CTRL_RX | DRV_FEATURE(VIRTIO_NET_F_CTRL_MAC_ADDR) |
			  DRV_FEATURE(VIRTIO_NET_F_MAC) | F_SUSPEND,
		  2000);
	card_need_echo(&c);
	card_ok(&c, "BASIC-DEV-028", drv_net_set_mac(&c.net, mine), "MAC_ADDR_SET");
	card_config_mac(r, before);
	run_suspend(r);
	run_resume(r);
	card_config_mac(r, after);
	expect(r, "BASIC-DEV-028", !memcmp(before, after, 6),
	       "the card to have the address that was set", "another one");
	expect(r, "BASIC-DEV-028", card_passes(&c, "BASIC-DEV-028", mine),
	       "frames to the address that was set", "none");
	expect(r, "BASIC-DEV-028", !card_passes(&c, "BASIC-DEV-028", other), "no frames to others",
	       "one");
	expect(r, "BASIC-DEV-028", card_silent(&c, 0), "every frame once", "more");
}

static const struct check checks[] = {
	{
		.name = "suspend-coalesced",
		.rows = "BASIC-DEV-031 BASIC-DEV-027 BASIC-DEV-028 BASIC-DEV-005",
		.how = "Sends frames whose notification waits for more; it comes when the card is "
		       "suspended.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_REGISTERS,
		.device = VIRTIO_ID_NET,
		.features = NOTF_COAL | F_SUSPEND,
		.run = check_coalesced,
	},
	{
		.name = "suspend-coalescing",
		.rows = "BASIC-DEV-028 BASIC-DEV-027 BASIC-DEV-005",
		.how = "Sets coalescing of two queues, one of which has done nothing yet; a "
		       "suspension does not change it.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_REGISTERS,
		.device = VIRTIO_ID_NET,
		.features = VQ_NOTF_COAL | F_SUSPEND,
		.run = check_coal_kept,
	},
	{
		.name = "net-suspend-filters",
		.rows = "BASIC-DEV-028 BASIC-DEV-027 BASIC-DEV-005",
		.how = "Gives the card an address; a suspension does not change that, and "
		       "frames come as before. Needs a card that hears itself.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_REGISTERS,
		.device = VIRTIO_ID_NET,
		.features = CTRL_RX | DRV_FEATURE(VIRTIO_NET_F_CTRL_MAC_ADDR) | F_SUSPEND,
		.run = check_filters_kept,
	},
};

const struct check_list checks_net_suspend = {checks, sizeof(checks) / sizeof(checks[0])};
