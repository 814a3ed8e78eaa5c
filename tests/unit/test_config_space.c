/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration space and its generation, on each transport.
 */
#include "disk.h"

/* ---- configuration space -----------------------------------------------------------------------
 */

/* Every offset and width up to past the end; bytes outside read 0. */
static void config_reads(enum drv_bus_kind kind) /* BASIC-DEV-013, MMIO-IMP-007 */
{
	static const uint32_t widths[] = {1, 2, 4};
	struct dut t;

	dut_init(&t, kind, 1);
	for (unsigned n = 0; n < 16 * VIO_ARRAY_LEN(widths); n++) {
		uint32_t off = n / VIO_ARRAY_LEN(widths), width = widths[n % VIO_ARRAY_LEN(widths)];
		uint8_t got[4] = {0xcc, 0xcc, 0xcc, 0xcc};

		drv_config_read(t.bus, off, got, width);
		for (uint32_t i = 0; i < 4; i++) {
			uint8_t want = off + i < 8 ? (uint8_t)(off + i) : 0;

			CU_ASSERT_EQUAL(got[i], i < width ? want : 0xcc);
		}
	}
	dut_fini(&t);
}

static void test_config_reads(void)
{
	on_each_bus(config_reads);
}

static void config_writes(enum drv_bus_kind kind)
{
	const uint8_t b[4] = {0xa0, 0xa1, 0xa2, 0xa3};
	struct dut t;

	dut_init(&t, kind, 1);
	drv_config_write(t.bus, 0, b, 4); /* too early (BASIC-DRV-027) */
	CU_ASSERT_EQUAL(drv_config_field(t.bus, 0, 8), UINT64_C(0x0706050403020100));
	CU_ASSERT_EQUAL(t.probe->config_writes, 0);
	dut_start(&t);
	drv_config_write(t.bus, 1, b, 2);
	CU_ASSERT_EQUAL(drv_config_field(t.bus, 0, 8), UINT64_C(0x0706050403a1a000));
	drv_config_write(t.bus, 4, b, 4);
	CU_ASSERT_EQUAL(drv_config_field(t.bus, 0, 8), UINT64_C(0xa3a2a1a003a1a000));
	drv_config_write(t.bus, 6, b, 4); /* half of it outside */
	CU_ASSERT_EQUAL(drv_config_field(t.bus, 0, 8), UINT64_C(0xa1a0a1a003a1a000));
	CU_ASSERT_EQUAL(t.probe->config_writes, 3);
	for (uint32_t off = 8; off < 0x80; off++) /* all of it outside */
		drv_config_write(t.bus, off, b, 4);
	CU_ASSERT_EQUAL(t.probe->config_writes, 3);
	dut_fini(&t);
}

static void test_config_writes(void)
{
	on_each_bus(config_writes);
}

static void update(struct dut *t, uint8_t value)
{
	vio_device_config_update(t->dev, 2, &value, 1);
}

/* MMIO-DEV-006, MMIO-IMP-008, PCI-DEV-024: any number of changes between two reads shows. */
static void config_generation(enum drv_bus_kind kind)
{
	struct dut t;

	dut_init(&t, kind, 1);
	dut_start(&t);
	for (unsigned changes = 0; changes < 600;
	     changes = changes < 4 ? changes + 1 : changes + 63) {
		uint64_t before = drv_get(t.bus, DRV_GENERATION, 0);

		CU_ASSERT_EQUAL(drv_get(t.bus, DRV_GENERATION, 0), before);
		for (unsigned i = 0; i < changes; i++)
			update(&t, (uint8_t)(0x80 + i % 2));
		CU_ASSERT_EQUAL(drv_get(t.bus, DRV_GENERATION, 0) != before, changes > 0);
		update(&t, 0x55);
	}
	dut_fini(&t);
}

static void test_config_generation(void)
{
	on_each_bus(config_generation);
}

/* A change interrupts with DRIVER_OK and is silent without. */
static void config_interrupt(enum drv_bus_kind kind) /* BASIC-IMP-003 */
{
	const uint8_t beyond[4] = {1, 2, 3, 4};
	struct dut t;

	dut_init(&t, kind, 1);
	update(&t, 0x11);
	CU_ASSERT_EQUAL(t.bus->n_irqs, 0);
	CU_ASSERT_EQUAL(drv_config_field(t.bus, 2, 1), 0x11);
	dut_start(&t);
	CU_ASSERT_EQUAL(drv_irq_take(t.bus, DRV_IRQ_CONFIG), 0);
	update(&t, 0x22);
	CU_ASSERT_EQUAL(drv_irq_take(t.bus, DRV_IRQ_CONFIG), 1);
	CU_ASSERT_EQUAL(drv_irq_take(t.bus, DRV_IRQ_CONFIG), 0);
	CU_ASSERT_EQUAL(drv_irq_take(t.bus, 0), 0);
	CU_ASSERT_EQUAL(drv_config_field(t.bus, 2, 1), 0x22);
	vio_device_config_update(t.dev, 6, beyond, 4); /* not all of it is configuration space */
	CU_ASSERT_EQUAL(drv_config_field(t.bus, 4, 4), 0x07060504);
	drv_reset(t.bus);
	update(&t, 0x33);
	drv_irq_forget(t.bus);
	CU_ASSERT_FALSE(t.bus->line);
	dut_fini(&t);
}

static void test_config_interrupt(void)
{
	on_each_bus(config_interrupt);
}

static CU_TestInfo tests[] = {
	{"configuration reads", test_config_reads},
	{"configuration writes", test_config_writes},
	{"configuration generation", test_config_generation},
	{"configuration interrupt", test_config_interrupt},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("configuration space", tests);
}
