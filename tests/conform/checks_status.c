/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Device Status Field", "Feature Bits", "Device Initialization".
 */
#include "checks.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

static void check_reset_reads_0(struct run *r)
{
	uint8_t status;

	status = drv_status(r->bus);
	expect(r, "BASIC-IMP-001", status == 0, "status 0 after reset", "%#x", status);
	run_start(r, "BASIC-DEV-005", 0);
	status = drv_status(r->bus);
	expect(r, "BASIC-DEV-005", status & VIRTIO_CONFIG_S_DRIVER_OK,
	       "DRIVER_OK to stay set once it is", "status %#x", status);
	drv_set_status(r->bus, 0);
	drv_device_settle(&r->drv);
	status = drv_status(r->bus);
	expect(r, "BASIC-DEV-011", status == 0, "status to read 0 after 0 was written", "%#x",
	       status);
}

static void check_features_after_ok(struct run *r)
{
	uint64_t one = DRV_FEATURE(VIRTIO_F_VERSION_1);

	drv_add_status(r->bus, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	drv_add_status(r->bus, VIRTIO_CONFIG_S_DRIVER);
	drv_accept(r->bus, one);
	need(r, "BASIC-DEV-005",
	     drv_add_status(r->bus, VIRTIO_CONFIG_S_FEATURES_OK) & VIRTIO_CONFIG_S_FEATURES_OK,
	     "FEATURES_OK with VERSION_1 alone", "status %#x", drv_status(r->bus));
	drv_accept(r->bus, 0);
	expect(r, "BASIC-IMP-002", drv_status(r->bus) & VIRTIO_CONFIG_S_FEATURES_OK,
	       "FEATURES_OK to stay when features are written too late", "status %#x",
	       drv_status(r->bus));
}

static const struct check checks[] = {
	{
		.name = "status-reset-reads-0",
		.rows = "BASIC-DEV-011 BASIC-DEV-005 BASIC-IMP-001",
		.how = "Reads the status after reset, initialises the device with VERSION_1 alone, "
		       "writes 0 and reads the status again.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_reset_reads_0,
	},
	{
		.name = "features-frozen",
		.rows = "BASIC-DEV-005 BASIC-IMP-002",
		.how = "Accepts VERSION_1, sets FEATURES_OK, then writes no features at all.",
		.kind = CHECK_ROBUSTNESS,
		.ways = WAY_REGISTERS,
		.run = check_features_after_ok,
	},
};

const struct check_list checks_status = {checks, sizeof(checks) / sizeof(checks[0])};
