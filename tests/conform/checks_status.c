/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Device Status Field", "Feature Bits", "Reserved Feature Bits".
 */
#include "checks_util.h"
#include "checks.h"
#include "feature_bits.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#define VERSION_1   DRV_FEATURE(VIRTIO_F_VERSION_1)
#define FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK

/* Feature bits that <linux/virtio_config.h> may be too old to name. */
#define F_SR_IOV   37
#define F_ADMIN_VQ 41

/* Resets, accepts `features` and nothing else. True: the device takes them. */
static bool accepts(struct run *r, uint64_t features)
{
	drv_reset(r->bus);
	drv_add_status(r->bus, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	drv_add_status(r->bus, VIRTIO_CONFIG_S_DRIVER);
	drv_accept(r->bus, features);
	return drv_add_status(r->bus, FEATURES_OK) & FEATURES_OK;
}

/* ---- status ------------------------------------------------------------------------------------
 */

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

static void check_before_driver_ok(struct run *r)
{
	const struct drv_device_config cfg = {.features = FEATURES_FLAGS};
	struct io io;

	need(r, "BASIC-DEV-005", drv_device_negotiate(&r->drv, cfg.features) == 0,
	     "FEATURES_OK with what is offered", "status %#x", drv_status(r->bus));
	drv_device_setup(&r->drv, &cfg);
	io_make(r, &io, 0, 0);
	io_submit(r, &io);
	drv_kick(r->bus, io.queue);
	run_quiet(r);
	expect(r, "BASIC-DEV-001", drv_queue_ready(io_queue(r)) == 0,
	       "no buffer to be used before DRIVER_OK", "%u were", drv_queue_ready(io_queue(r)));
	expect(r, "BASIC-DEV-001", drv_irq_take(r->bus, io.queue) == 0,
	       "no used buffer notification before DRIVER_OK", "there was one");
	drv_device_go(&r->drv);
	drv_kick(r->bus, io.queue);
	expect(r, "BASIC-DEV-001", io_wait(r, &io), "the buffer to be used after DRIVER_OK",
	       "it does not come back");
}

/* ---- features ----------------------------------------------------------------------------------
 */

static void check_features_after_ok(struct run *r)
{
	need(r, "BASIC-DEV-005", accepts(r, VERSION_1), "FEATURES_OK with VERSION_1 alone",
	     "status %#x", drv_status(r->bus));
	drv_accept(r->bus, 0);
	expect(r, "BASIC-IMP-002", drv_status(r->bus) & FEATURES_OK,
	       "FEATURES_OK to stay when features are written too late", "status %#x",
	       drv_status(r->bus));
	if (r->way & WAY_PCI)
		expect(r, "BASIC-IMP-002", drv_get(r->bus, DRV_ACCEPTED, 1) == VERSION_1 >> 32,
		       "the accepted features to be what they were at FEATURES_OK", "%#llx",
		       (unsigned long long)drv_get(r->bus, DRV_ACCEPTED, 1));
}

/* A feature that turns up late must not act: without event index, flags are what counts. */
static void check_late_feature_is_inert(struct run *r)
{
	const struct drv_device_config cfg = {.features = 0};
	struct drv_queue *q;
	struct io io;

	need(r, "BASIC-DEV-005", drv_device_negotiate(&r->drv, 0) == 0,
	     "FEATURES_OK with VERSION_1 alone", "status %#x", drv_status(r->bus));
	drv_accept(r->bus, VERSION_1 | DRV_FEATURE(VIRTIO_RING_F_EVENT_IDX));
	drv_device_setup(&r->drv, &cfg);
	drv_device_go(&r->drv);
	q = io_queue(r);
	drv_queue_set_used_event(q, 0x7fff);
	io_make(r, &io, 0, 0);
	io_submit(r, &io);
	need(r, "BASIC-IMP-002", io_wait(r, &io), "a request to be done", "it does not come back");
	expect(r, "BASIC-IMP-002", run_await_irq(r, io.queue) > 0,
	       "an interrupt as flags say: EVENT_IDX was written after FEATURES_OK", "none");
}

static void check_requirements(struct run *r)
{
	uint64_t lone = r->offered & ~features_closed(r->device_id, r->offered);

	expect(r, "BASIC-DEV-004", lone == 0, "every offered feature's needs to be offered too",
	       "not those of bits %#llx", (unsigned long long)lone);
}

/*
 * Features of the legacy interface are those of a transitional device. What a VMM makes of a
 * back-end, and what it lets drivers see, the back-end does not know.
 */
static bool may_be_transitional(struct run *r)
{
	return r->way == WAY_VHOST_USER ||
	       (r->way & WAY_PCI && drv_get(r->bus, DRV_DEVICE_ID, 0) >= 0x8000);
}

/* Bits of the protocol between VMM and server, which no driver ever sees. */
static bool vhost_bit(const struct run *r, unsigned bit)
{
	return r->way == WAY_VHOST_USER && (bit == 26 || bit == 30);
}

static void check_known_bits(struct run *r)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		const struct feature *f = feature_find(r->device_id, bit);

		if (!(r->offered >> bit & 1) || vhost_bit(r, bit))
			continue;
		expect(r, "BASIC-DEV-007", f != NULL,
		       "feature bits of the specification to be offered, no others", "bit %u", bit);
		expect(r, "BASIC-DEV-007", !f || !f->legacy || may_be_transitional(r),
		       "no feature of legacy devices to be offered", "bit %u, %s", bit,
		       f ? f->name : "");
	}
	expect(r, "FEAT-DEV-001", r->offered & VERSION_1, "VERSION_1 to be offered", "bits %#llx",
	       (unsigned long long)r->offered);
}

static void check_high_windows(struct run *r)
{
	static const uint32_t windows[] = {4, 5, 31, 32, 0x7fffffff, 0x80000000, 0xffffffff};

	for (unsigned i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
		uint64_t bits = drv_get(r->bus, DRV_OFFERED, windows[i]);

		expect(r, "BASIC-DEV-007", bits == 0, "no features beyond bit 127",
		       "window %u reads %#llx", windows[i], (unsigned long long)bits);
	}
}

static void try_subset(struct run *r, uint64_t set)
{
	set = features_closed(r->device_id, (set | VERSION_1) & r->offered);
	expect(r, "BASIC-DEV-005", accepts(r, set),
	       "FEATURES_OK with a part of what is offered that lacks nothing it needs",
	       "not with %#llx", (unsigned long long)set);
}

static void check_subsets(struct run *r)
{
	try_subset(r, 0);
	try_subset(r, r->offered);
	for (unsigned bit = 0; bit < 64; bit++) {
		if (!(r->offered >> bit & 1))
			continue;
		try_subset(r, UINT64_C(1) << bit);
		try_subset(r, ~(UINT64_C(1) << bit));
	}
	for (unsigned i = 0; i < 32; i++)
		try_subset(r,
			   (uint64_t)run_random(r, UINT32_MAX) << 32 | run_random(r, UINT32_MAX));
}

static uint64_t an_unoffered_bit(const struct run *r)
{
	for (unsigned bit = 63; bit > 0; bit--)
		if (!(r->offered >> bit & 1))
			return UINT64_C(1) << bit;
	return 0;
}

/*
 * A device may ignore what it never offers, and says so by reading it back as 0 where that can be
 * read; otherwise it must not go on.
 */
static void check_unoffered_refused(struct run *r)
{
	uint64_t bad = an_unoffered_bit(r);
	bool taken, shown;

	if (!bad)
		skip(r, "the device offers all there is");
	taken = accepts(r, VERSION_1 | bad);
	shown = !(r->way & WAY_PCI) ||
		(drv_get(r->bus, DRV_ACCEPTED, 0) | drv_get(r->bus, DRV_ACCEPTED, 1) << 32) & bad;
	expect(r, "BASIC-DEV-006", !taken || !shown,
	       "FEATURES_OK to stay 0 when what is accepted was never offered",
	       "FEATURES_OK with bits %#llx", (unsigned long long)bad);
	expect(r, "BASIC-DEV-006", accepts(r, VERSION_1),
	       "FEATURES_OK after a reset, with what was offered", "status %#x",
	       drv_status(r->bus));
}

/* Bits beyond the 64 that this device has. */
static void check_beyond_refused(struct run *r)
{
	for (uint32_t window = 2; window < 4; window++) {
		bool taken, shown;

		if (drv_get(r->bus, DRV_OFFERED, window) != 0)
			continue;
		drv_reset(r->bus);
		drv_add_status(r->bus, VIRTIO_CONFIG_S_ACKNOWLEDGE);
		drv_add_status(r->bus, VIRTIO_CONFIG_S_DRIVER);
		drv_accept(r->bus, VERSION_1);
		drv_set(r->bus, DRV_ACCEPTED, window, 1);
		taken = drv_add_status(r->bus, FEATURES_OK) & FEATURES_OK;
		shown = !(r->way & WAY_PCI) || drv_get(r->bus, DRV_ACCEPTED, window) != 0;
		expect(r, "BASIC-DEV-006", !taken || !shown,
		       "FEATURES_OK to stay 0 when what is accepted was never offered",
		       "FEATURES_OK with bit %u", 32 * window);
		expect(r, "BASIC-DEV-006", accepts(r, VERSION_1),
		       "FEATURES_OK after a reset, with what was offered", "status %#x",
		       drv_status(r->bus));
	}
	expect(r, "BASIC-DEV-005", accepts(r, VERSION_1), "FEATURES_OK with VERSION_1 alone",
	       "status %#x", drv_status(r->bus));
}

static void check_again_after_reset(struct run *r)
{
	uint64_t all = features_closed(r->device_id, r->offered);

	for (unsigned i = 0; i < 3; i++) {
		expect(r, "BASIC-DEV-008", accepts(r, all),
		       "a set of features to be accepted as it was before", "not at try %u", i + 1);
		expect(r, "BASIC-DEV-008", drv_offered(r->bus) == r->offered,
		       "the same features to be offered", "%#llx",
		       (unsigned long long)drv_offered(r->bus));
	}
}

static void check_sr_iov(struct run *r)
{
	expect(r, "FEAT-DEV-010", !(r->offered >> F_SR_IOV & 1),
	       "SR_IOV offered by PCI functions with that capability only",
	       "it is offered on mmio");
	expect(r, "MMIO-IMP-010", !(r->offered >> F_ADMIN_VQ & 1),
	       "ADMIN_VQ not to be offered on mmio", "it is");
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
		.name = "status-before-driver-ok",
		.rows = "BASIC-DEV-001 BASIC-DEV-005",
		.how = "Makes a buffer available and kicks before DRIVER_OK: nothing happens. "
		       "Kicks after DRIVER_OK: it is used.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_REGISTERS,
		.run = check_before_driver_ok,
	},
	{
		.name = "features-frozen",
		.rows = "BASIC-DEV-005 BASIC-IMP-002",
		.how = "Accepts VERSION_1, sets FEATURES_OK, then writes no features at all.",
		.kind = CHECK_ROBUSTNESS,
		.ways = WAY_REGISTERS,
		.run = check_features_after_ok,
	},
	{
		.name = "features-late-are-inert",
		.rows = "BASIC-IMP-002 BASIC-DEV-005",
		.how = "Accepts EVENT_IDX after FEATURES_OK; interrupts still follow the flags.",
		.kind = CHECK_ROBUSTNESS,
		.ways = WAY_REGISTERS,
		.features = DRV_FEATURE(VIRTIO_RING_F_EVENT_IDX),
		.run = check_late_feature_is_inert,
	},
	{
		.name = "features-requirements",
		.rows = "BASIC-DEV-004",
		.how = "Looks up what each offered feature requires; that must be offered, too.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_requirements,
	},
	{
		.name = "features-known",
		.rows = "BASIC-DEV-007 FEAT-DEV-001",
		.how = "Looks up each offered bit: it must be a feature of this device or of all, "
		       "and VERSION_1 must be there.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_known_bits,
	},
	{
		.name = "features-high-windows",
		.rows = "BASIC-DEV-007",
		.how = "Reads windows of feature bits that no feature is in.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_REGISTERS,
		.run = check_high_windows,
	},
	{
		.name = "features-subsets",
		.rows = "BASIC-DEV-005",
		.how = "Negotiates VERSION_1 alone, everything, each feature alone, each left out, "
		       "and 32 random sets, each with what it requires.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_subsets,
	},
	{
		.name = "features-unoffered",
		.rows = "BASIC-DEV-006",
		.how = "Accepts a bit that was not offered. Either FEATURES_OK stays 0, or the bit "
		       "reads back as not accepted.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_REGISTERS,
		.run = check_unoffered_refused,
	},
	{
		.name = "features-beyond-63",
		.rows = "BASIC-DEV-006 BASIC-DEV-005",
		.how = "Accepts bits 64 and 96, which were not offered. Either FEATURES_OK stays "
		       "0, or the bit reads back as not accepted; a reset helps.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_REGISTERS,
		.run = check_beyond_refused,
	},
	{
		.name = "features-again",
		.rows = "BASIC-DEV-008",
		.how = "Negotiates all features three times with a reset in between.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_again_after_reset,
	},
	{
		.name = "features-mmio",
		.rows = "FEAT-DEV-010 MMIO-IMP-010",
		.how = "SR_IOV and ADMIN_VQ are for PCI only.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_MMIO,
		.run = check_sr_iov,
	},
};

const struct check_list checks_status = {checks, sizeof(checks) / sizeof(checks[0])};
