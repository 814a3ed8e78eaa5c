/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Device Configuration Space".
 */
#include "checks_util.h"
#include "checks.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stddef.h>
#include <string.h>

#define ALWAYS 64u /* in place of a feature bit */

/* A field that neither negotiation nor the world around the device changes. */
struct field {
	uint32_t device;
	unsigned feature;
	uint32_t off, len;
	const char *name;
};

#define BLK(feature, member)                                                                       \
	{                                                                                          \
		VIRTIO_ID_BLOCK, feature, offsetof(struct virtio_blk_config, member),              \
			sizeof(((struct virtio_blk_config *)0)->member), #member                   \
	}
#define NET(feature, member)                                                                       \
	{                                                                                          \
		VIRTIO_ID_NET, feature, offsetof(struct virtio_net_config, member),                \
			sizeof(((struct virtio_net_config *)0)->member), #member                   \
	}

static const struct field fields[] = {
	BLK(ALWAYS, capacity),
	BLK(VIRTIO_BLK_F_SIZE_MAX, size_max),
	BLK(VIRTIO_BLK_F_SEG_MAX, seg_max),
	BLK(VIRTIO_BLK_F_GEOMETRY, geometry.cylinders),
	BLK(VIRTIO_BLK_F_GEOMETRY, geometry.heads),
	BLK(VIRTIO_BLK_F_GEOMETRY, geometry.sectors),
	BLK(VIRTIO_BLK_F_BLK_SIZE, blk_size),
	BLK(VIRTIO_BLK_F_TOPOLOGY, physical_block_exp),
	BLK(VIRTIO_BLK_F_TOPOLOGY, alignment_offset),
	BLK(VIRTIO_BLK_F_TOPOLOGY, min_io_size),
	BLK(VIRTIO_BLK_F_TOPOLOGY, opt_io_size),
	BLK(VIRTIO_BLK_F_MQ, num_queues),
	BLK(VIRTIO_BLK_F_DISCARD, max_discard_sectors),
	BLK(VIRTIO_BLK_F_DISCARD, max_discard_seg),
	BLK(VIRTIO_BLK_F_DISCARD, discard_sector_alignment),
	BLK(VIRTIO_BLK_F_WRITE_ZEROES, max_write_zeroes_sectors),
	BLK(VIRTIO_BLK_F_WRITE_ZEROES, max_write_zeroes_seg),
	BLK(VIRTIO_BLK_F_WRITE_ZEROES, write_zeroes_may_unmap),
	NET(VIRTIO_NET_F_MAC, mac),
	NET(VIRTIO_NET_F_MQ, max_virtqueue_pairs),
	NET(VIRTIO_NET_F_MTU, mtu),
	NET(VIRTIO_NET_F_RSS, rss_max_key_size),
	NET(VIRTIO_NET_F_RSS, rss_max_indirection_table_length),
};

#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

static bool has_field(const struct run *r, const struct field *f)
{
	return f->device == r->device_id &&
	       (f->feature == ALWAYS || (r->offered >> f->feature & 1));
}

/* Bytes of the configuration space up to the end of the last field that is there. */
static uint32_t config_len(const struct run *r)
{
	uint32_t len = 0;

	for (unsigned i = 0; i < N_FIELDS; i++)
		if (has_field(r, &fields[i]) && fields[i].off + fields[i].len > len)
			len = fields[i].off + fields[i].len;
	return len;
}

static void need_config(struct run *r)
{
	if (config_len(r) == 0)
		skip(r, "a device without a configuration space, or an unknown one");
}

/* As a driver reads it: in the field's own width, or in bytes. */
static void read_field(struct run *r, const struct field *f, uint8_t *to)
{
	uint32_t step = f->len == 2 || f->len == 4 ? f->len : f->len == 8 ? 4 : 1;

	for (uint32_t i = 0; i < f->len; i += step)
		drv_config_read(r->bus, f->off + i, to + i, step);
}

static void check_early_fields(struct run *r)
{
	uint8_t early[N_FIELDS][8] = {{0}}, late[8];

	need_config(r);
	for (unsigned i = 0; i < N_FIELDS; i++)
		if (has_field(r, &fields[i]))
			read_field(r, &fields[i], early[i]);
	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	for (unsigned i = 0; i < N_FIELDS; i++) {
		if (!has_field(r, &fields[i]))
			continue;
		read_field(r, &fields[i], late);
		expect(r, "BASIC-DEV-013", memcmp(early[i], late, fields[i].len) == 0,
		       "a field to read before FEATURES_OK as it does afterwards", "not %s",
		       fields[i].name);
	}
}

static uint16_t count_queues(struct run *r)
{
	uint16_t n = 0;

	while (n < 256 && drv_get(r->bus, DRV_QUEUE_MAX, n) != 0)
		n++;
	return n;
}

static void endian_blk(struct run *r)
{
	uint64_t size = drv_config_field(r->bus, 20, 4);

	if (r->offered >> VIRTIO_BLK_F_BLK_SIZE & 1)
		expect(r, "BASIC-IMP-005", size >= 512 && size <= 65536 && !(size & (size - 1)),
		       "blk_size to be a power of two, 512 to 65536, in little-endian", "%llu",
		       (unsigned long long)size);
	if (r->offered >> VIRTIO_BLK_F_MQ & 1)
		expect(r, "BASIC-IMP-005", drv_config_field(r->bus, 34, 2) == count_queues(r),
		       "num_queues to be the queues there are, in little-endian", "%llu of %u",
		       (unsigned long long)drv_config_field(r->bus, 34, 2), count_queues(r));
	if (!(r->offered & (DRV_FEATURE(VIRTIO_BLK_F_BLK_SIZE) | DRV_FEATURE(VIRTIO_BLK_F_MQ))))
		skip(r, "no field whose value is known");
}

static void endian_net(struct run *r)
{
	uint16_t n = count_queues(r);

	if (!(r->offered >> VIRTIO_NET_F_MQ & 1))
		skip(r, "no field whose value is known");
	expect(r, "BASIC-IMP-005", drv_config_field(r->bus, 8, 2) == n / 2,
	       "max_virtqueue_pairs to be half of the queues, in little-endian", "%llu of %u",
	       (unsigned long long)drv_config_field(r->bus, 8, 2), n);
}

static void check_little_endian(struct run *r)
{
	need_config(r);
	if (r->device_id == VIRTIO_ID_BLOCK)
		endian_blk(r);
	else
		endian_net(r);
}

/* ---- changes -----------------------------------------------------------------------------------
 */

static void change(struct run *r)
{
	if (!r->change_config || !r->change_config(r))
		skip(r, "nothing here changes the device's configuration");
}

static uint64_t generation(struct run *r)
{
	return drv_get(r->bus, DRV_GENERATION, 0);
}

static const char *generation_row(const struct run *r)
{
	return r->way == WAY_MMIO ? "MMIO-DEV-006" : "PCI-DEV-024";
}

static void check_generation_changes(struct run *r)
{
	uint8_t before[64], after[64];
	uint64_t first;

	need_config(r);
	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	for (unsigned i = 0; i < 4; i++) {
		first = generation(r);
		drv_config_read(r->bus, 0, before, 4);
		drv_config_read(r->bus, 4, before + 4, 4);
		change(r);
		drv_config_read(r->bus, 0, after, 4);
		drv_config_read(r->bus, 4, after + 4, 4);
		need(r, generation_row(r), memcmp(before, after, 8) != 0, "the change to be seen",
		     "nothing changed");
		expect(r, generation_row(r), generation(r) != first,
		       "another generation after a changed configuration was read", "%llu again",
		       (unsigned long long)first);
	}
}

/* The generation has 8 bits on PCI: 256 changes must not bring it back. */
static void check_generation_wraps(struct run *r)
{
	uint64_t first;
	uint8_t b[4];

	need_config(r);
	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	for (unsigned n = 255; n <= 257; n++) {
		first = generation(r);
		for (unsigned i = 0; i < n; i++) {
			change(r);
			drv_config_read(r->bus, 0, b, 4);
		}
		expect(r, generation_row(r), generation(r) != first,
		       "another generation, however many changes there were", "%llu after %u",
		       (unsigned long long)first, n);
	}
}

static void check_generation_steady(struct run *r)
{
	uint8_t before[64] = {0}, after[64] = {0};
	uint32_t len = config_len(r);
	uint64_t first = generation(r);

	for (uint32_t i = 0; i < len; i++)
		drv_config_read(r->bus, i, before + i, 1);
	expect(r, "MMIO-IMP-008", generation(r) == first,
	       "the same generation while nothing changes", "%llu after %llu",
	       (unsigned long long)generation(r), (unsigned long long)first);
	for (uint32_t i = 0; i < len; i++)
		drv_config_read(r->bus, i, after + i, 1);
	expect(r, "MMIO-IMP-008", memcmp(before, after, sizeof(before)) == 0,
	       "the same configuration while the generation is the same", "another one");
}

static void check_change_interrupts(struct run *r)
{
	need_config(r);
	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	drv_irq_forget(r->bus);
	for (unsigned i = 0; i < 3; i++) {
		change(r);
		expect(r, "BASIC-IMP-003", run_await_irq(r, DRV_IRQ_CONFIG) > 0,
		       "a configuration change notification", "none at change %u", i + 1);
	}
	run_quiet(r);
	expect(r, "BASIC-IMP-003", drv_irq_take(r->bus, DRV_IRQ_CONFIG) == 0,
	       "no further notification", "there is one");
}

static void check_no_change_before_driver_ok(struct run *r)
{
	need_config(r);
	need(r, "BASIC-DEV-005", drv_device_negotiate(&r->drv, DRV_ALL_FEATURES) == 0,
	     "FEATURES_OK with what is offered", "status %#x", drv_status(r->bus));
	drv_device_setup(&r->drv, &(struct drv_device_config){0});
	change(r);
	run_quiet(r);
	drv_device_stop(&r->drv);
	run_start(r, "BASIC-DEV-005", DRV_ALL_FEATURES);
	drv_irq_forget(r->bus);
	change(r);
	expect(r, "BASIC-IMP-003", run_await_irq(r, DRV_IRQ_CONFIG) > 0,
	       "a notification of a change, though the driver slept through an earlier one",
	       "none");
}

static const struct check checks[] = {
	{
		.name = "config-before-features-ok",
		.rows = "BASIC-DEV-013 BASIC-DEV-005",
		.how = "Reads the fields of all offered features right after reset, initialises "
		       "the "
		       "device with all features, reads them again.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_early_fields,
	},
	{
		.name = "config-little-endian",
		.rows = "BASIC-IMP-005",
		.how = "Reads fields whose values tell their byte order.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_little_endian,
	},
	{
		.name = "config-generation-pci",
		.rows = "PCI-DEV-024 BASIC-DEV-005",
		.how = "The device changes its configuration between two reads; the generation "
		       "must differ.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_PCI,
		.run = check_generation_changes,
	},
	{
		.name = "config-generation-pci-wrap",
		.rows = "PCI-DEV-024 BASIC-DEV-005",
		.how = "255, 256 and 257 changes between two looks at the generation.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_PCI,
		.run = check_generation_wraps,
	},
	{
		.name = "config-generation-mmio",
		.rows = "MMIO-DEV-006 BASIC-DEV-005",
		.how = "The device changes its configuration between two reads; the generation "
		       "must differ.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_MMIO,
		.run = check_generation_changes,
	},
	{
		.name = "config-generation-mmio-many",
		.rows = "MMIO-DEV-006 BASIC-DEV-005",
		.how = "255, 256 and 257 changes between two looks at the generation.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_MMIO,
		.run = check_generation_wraps,
	},
	{
		.name = "config-generation-mmio-steady",
		.rows = "MMIO-IMP-008",
		.how = "Reads generation and configuration twice while nothing happens.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_MMIO,
		.run = check_generation_steady,
	},
	{
		.name = "config-change-interrupts",
		.rows = "BASIC-IMP-003 BASIC-DEV-005",
		.how = "The device changes its configuration three times; each is notified.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_change_interrupts,
	},
	{
		.name = "config-change-early",
		.rows = "BASIC-IMP-003 BASIC-DEV-005",
		.how = "A change before DRIVER_OK, a reset, and a change after DRIVER_OK: the last "
		       "is notified.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_no_change_before_driver_ok,
	},
};

const struct check_list checks_config = {checks, sizeof(checks) / sizeof(checks[0])};
