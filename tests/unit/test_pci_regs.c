/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-pci: the registers behind BAR 0 and the PCI_CFG window. Names in comments are rows of the
 * requirement list.
 */

#include <unistd.h>

#include "pci_fixture.h"

/* ---- common configuration -------------------------------------------------------------------- */

/* PCI-DEV-021 */
static void test_device_features(void)
{
	struct fx *f = fx_new();

	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_DF, 4), 1u << FX_MODEL_FEATURE);
	com_set(f, VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_DFSELECT, 4), 1);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_DF, 4),
			1u << (VIRTIO_F_VERSION_1 - 32) | 1u << (VIRTIO_F_RING_RESET - 32) |
				1u << (VIO_F_SUSPEND - 32));
	com_set(f, VIRTIO_PCI_COMMON_DF, 4, 0);
	CU_ASSERT_NOT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_DF, 4), 0);
	for (uint32_t w = 2; w != 0; w <<= 1) {
		com_set(f, VIRTIO_PCI_COMMON_DFSELECT, 4, w);
		CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_DF, 4), 0);
	}
	com_set(f, VIRTIO_PCI_COMMON_DFSELECT, 4, UINT32_MAX);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_DFSELECT, 4), UINT32_MAX);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_DF, 4), 0);
	fx_free(f);
}

/* PCI-DEV-022 */
static void test_driver_features(void)
{
	struct fx *f = fx_new();

	com_set(f, VIRTIO_PCI_COMMON_GF, 4, 1u << FX_MODEL_FEATURE);
	com_set(f, VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_GF, 4), 0);
	com_set(f, VIRTIO_PCI_COMMON_GF, 4, 1);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_GF, 4), 1);
	com_set(f, VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_GF, 4), 1u << FX_MODEL_FEATURE);
	com_set(f, VIRTIO_PCI_COMMON_GFSELECT, 4, 5);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_GF, 4), 0);
	fx_free(f);
}

/* Each field answers to its own width at its own offset, and to nothing else. */
static void test_common_widths(void)
{
	static const uint8_t width[64] = {
		[0] = 4,  [4] = 4,  [8] = 4,  [12] = 4, [16] = 2, [18] = 2, [20] = 1,
		[21] = 1, [22] = 2, [24] = 2, [26] = 2, [28] = 2, [30] = 2, [32] = 4,
		[36] = 4, [40] = 4, [44] = 4, [48] = 4, [52] = 4, [58] = 2,
	};
	struct fx *f = fx_new();

	fx_negotiate(f, 0);
	com_set(f, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x11223344);
	for (uint32_t off = 0; off < 64; off++) {
		for (size_t len = 1; len <= 4; len *= 2) {
			if (len == width[off])
				continue;
			com_set(f, off, len, 0);
			CU_ASSERT_EQUAL(com_get(f, off, len), 0);
		}
	}
	CU_ASSERT_NOT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_STATUS, 1), 0);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0x11223344);
	fx_free(f);
}

/* PCI-DEV-012: halves in any order, or both at once. */
static void test_common_64(void)
{
	static const uint32_t field[] = {VIRTIO_PCI_COMMON_Q_DESCLO, VIRTIO_PCI_COMMON_Q_AVAILLO,
					 VIRTIO_PCI_COMMON_Q_USEDLO};
	struct fx *f = fx_new();

	fx_negotiate(f, 0);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(field); i++) {
		const uint64_t at = fx_at(f, VIRTIO_PCI_CAP_COMMON_CFG, field[i]);

		com_set(f, field[i] + 4, 4, 0x55667788);
		com_set(f, field[i], 4, 0x11223344);
		CU_ASSERT_EQUAL(bar_get(f, 0, at, 8), 0x5566778811223344);
		com_set(f, field[i], 4, 0x99aabbcc);
		CU_ASSERT_EQUAL(com_get(f, field[i] + 4, 4), 0x55667788);
		CU_ASSERT_EQUAL(com_get(f, field[i], 4), 0x99aabbcc);
		bar_set(f, 0, at, 8, 0x0102030405060708);
		CU_ASSERT_EQUAL(com_get(f, field[i] + 4, 4), 0x01020304);
		CU_ASSERT_EQUAL(com_get(f, field[i], 4), 0x05060708);
	}
	fx_free(f);
}

/* PCI-DEV-032, 033, PCI-IMP-002, 003 */
static void test_queue_select(void)
{
	struct fx *f = fx_new();

	fx_negotiate(f, 0);
	for (uint16_t i = 0; i < FX_QUEUES; i++) {
		com_set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
		CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), FX_QUEUE_SIZE);
		CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_NOFF, 2), i);
		com_set(f, VIRTIO_PCI_COMMON_Q_SIZE, 2, 1u << i);
		com_set(f, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x1000u * (i + 1u));
		com_set(f, VIRTIO_PCI_COMMON_Q_MSIX, 2, i);
	}
	for (uint16_t i = 0; i < FX_QUEUES; i++) {
		com_set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
		CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), 1u << i);
		CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0x1000u * (i + 1u));
		CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), i);
	}
	for (uint32_t i = FX_QUEUES; i < 0x10000; i = i * 2 + 1) {
		com_set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
		CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_SELECT, 2), i);
		com_set(f, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0);
		com_set(f, VIRTIO_PCI_COMMON_Q_SIZE, 2, 4);
		com_set(f, VIRTIO_PCI_COMMON_Q_DESCHI, 4, 4);
		com_set(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
		com_set(f, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
		CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
		CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_DESCHI, 4), 0);
		CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_NOFF, 2), 0);
		CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), NO_VECTOR);
	}
	fx_free(f);
}

/* PCI-DEV-025, 026, 078 */
static void test_device_reset(void)
{
	struct fx *f = fx_new();

	fx_negotiate(f, 0);
	com_set(f, VIRTIO_PCI_COMMON_MSIX, 2, 1);
	for (uint16_t i = 0; i < FX_QUEUES; i++) {
		fx_place_queue(f, i);
		com_set(f, VIRTIO_PCI_COMMON_Q_MSIX, 2, i);
		CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	}
	fx_driver_ok(f);
	CU_ASSERT_EQUAL(f->started, 7);
	com_set(f, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0xdead0000); /* frozen */
	CU_ASSERT_NOT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0xdead0000);
	com_set(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0); /* a driver must not, and it does nothing */
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	fx_status(f, 0);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_STATUS, 1), 0);
	CU_ASSERT_EQUAL(f->started, 0);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_MSIX, 2), NO_VECTOR);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_SELECT, 2), 0);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_GFSELECT, 4), 0);
	for (uint16_t i = 0; i < FX_QUEUES; i++) {
		com_set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
		CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_RESET, 2), 0);
		CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), NO_VECTOR);
		CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), FX_QUEUE_SIZE);
	}
	fx_free(f);
}

/* PCI-DEV-027 to 031 */
static void test_queue_reset(void)
{
	struct fx *f = fx_new();

	fx_negotiate(f, UINT64_C(1) << VIRTIO_F_RING_RESET);
	for (uint16_t i = 0; i < FX_QUEUES; i++)
		fx_place_queue(f, i);
	fx_driver_ok(f);
	com_set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	com_set(f, VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);
	com_set(f, VIRTIO_PCI_COMMON_Q_RESET, 2, 2); /* only 1 resets */
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	com_set(f, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_RESET, 2), 0);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), NO_VECTOR);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), FX_QUEUE_SIZE);
	CU_ASSERT_EQUAL(f->started, 5);
	fx_place_queue(f, 1);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_RESET, 2), 0);
	CU_ASSERT_EQUAL(f->started, 7);
	fx_free(f);

	f = fx_new(); /* not accepted: no such register */
	fx_negotiate(f, 0);
	fx_place_queue(f, 0);
	com_set(f, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	fx_free(f);
}

/* ---- device configuration, notifications ----------------------------------------------------- */

/* PCI-DEV-024 */
static void test_generation(void)
{
	struct fx *f = fx_new();
	uint8_t value = 0;

	for (unsigned i = 0; i < 600; i++) {
		const uint32_t before = com_get(f, VIRTIO_PCI_COMMON_CFGGENERATION, 1);

		value++;
		for (unsigned j = 0; j < 1 + (i % 3) * 128; j++)
			vio_device_config_update(&f->dev, 3, &(uint8_t){(uint8_t)(value + j)}, 1);
		CU_ASSERT_NOT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_CFGGENERATION, 1), before);
		value = (uint8_t)bar_get(f, 0, fx_at(f, VIRTIO_PCI_CAP_DEVICE_CFG, 3), 1);
	}
	fx_free(f);
}

static void test_device_config(void)
{
	struct fx *f = fx_new();
	const uint64_t at = fx_at(f, VIRTIO_PCI_CAP_DEVICE_CFG, 0);

	CU_ASSERT_EQUAL(bar_get(f, 0, at, 8), 0x1716151413121110);
	CU_ASSERT_EQUAL(bar_get(f, 0, at + 1, 2), 0x1211);
	CU_ASSERT_EQUAL(bar_get(f, 0, at + 3, 4), 0x16151413);
	CU_ASSERT_EQUAL(bar_get(f, 0, at + 17, 1), 0x21);
	CU_ASSERT_EQUAL(bar_get(f, 0, at + 16, 4), 0x2120); /* past the end: 0 */
	CU_ASSERT_EQUAL(bar_get(f, 0, at + 18, 4), 0);
	fx_negotiate(f, 0);
	bar_set(f, 0, at + 4, 4, 0xcafef00d);
	CU_ASSERT_EQUAL(bar_get(f, 0, at + 4, 4), 0xcafef00d);
	bar_set(f, 0, at + 16, 8, UINT64_MAX);
	CU_ASSERT_EQUAL(bar_get(f, 0, at + 16, 8), 0xffff);
	fx_free(f);
}

/* PCI-DEV-052: a device without configuration has no such structure. */
static void test_no_device_config(void)
{
	struct fx *f = fx_new_device();
	struct vio_pci_config cfg = fx_config(f);

	f->dev.config_size = 0;
	CU_ASSERT_EQUAL_FATAL(vio_pci_create(&f->dev, &cfg, &f->pci), 0);
	CU_ASSERT_EQUAL(fx_virtio_cap(f, VIRTIO_PCI_CAP_DEVICE_CFG), 0);
	fx_free(f);
}

static uint64_t kicks(struct fx *f, uint16_t index)
{
	uint64_t n = 0;

	return read(vio_device_kick_fd(&f->dev, index), &n, sizeof(n)) < 0 ? 0 : n;
}

/* PCI-IMP-005 */
static void test_notify(void)
{
	struct fx *f = fx_new();
	struct vio_pci_ioeventfd e;

	fx_negotiate(f, 0);
	for (uint16_t i = 0; i < FX_QUEUES; i++)
		fx_place_queue(f, i);
	fx_driver_ok(f);
	for (uint16_t i = 0; i < FX_QUEUES; i++)
		(void)kicks(f, i);
	for (uint16_t i = 0; i < FX_QUEUES; i++) {
		CU_ASSERT_EQUAL(vio_pci_ioeventfd(f->pci, i, &e), 0);
		CU_ASSERT_EQUAL(e.bar, 0);
		CU_ASSERT_EQUAL(e.offset, fx_at(f, VIRTIO_PCI_CAP_NOTIFY_CFG, 4u * i));
		CU_ASSERT_EQUAL(e.fd, vio_device_kick_fd(&f->dev, i));
		bar_set(f, e.bar, e.offset, 2, i);
		CU_ASSERT_EQUAL(kicks(f, i), 1);
		bar_set(f, e.bar, e.offset, 8, 0); /* one access is one queue's */
		bar_set(f, e.bar, e.offset + 1, 2, i);
		CU_ASSERT_EQUAL(kicks(f, i), 1);
		CU_ASSERT_EQUAL(bar_get(f, e.bar, e.offset, 2), 0);
	}
	bar_set(f, 0, fx_at(f, VIRTIO_PCI_CAP_NOTIFY_CFG, 4 * FX_QUEUES), 2, 0);
	for (uint16_t i = 0; i < FX_QUEUES; i++)
		CU_ASSERT_EQUAL(kicks(f, i), 0);
	CU_ASSERT_NOT_EQUAL(vio_pci_ioeventfd(f->pci, FX_QUEUES, &e), 0);
	fx_free(f);
}

/* ---- the window in configuration space ------------------------------------------------------- */

/* PCI-DEV-062 to 064 */
static void test_window(void)
{
	struct fx *f = fx_new();
	const uint32_t data = fx_virtio_cap(f, VIRTIO_PCI_CAP_PCI_CFG) + 16;
	const uint32_t config = (uint32_t)fx_at(f, VIRTIO_PCI_CAP_DEVICE_CFG, 0);

	window_set(f, 0, config + 4, 4);
	CU_ASSERT_EQUAL(cfg_get(f, data, 4), 0x17161514);
	window_set(f, 0, config + 2, 2);
	CU_ASSERT_EQUAL(cfg_get(f, data, 2), 0x1312);
	window_set(f, 0, config + 7, 1);
	CU_ASSERT_EQUAL(cfg_get(f, data, 1), 0x17);

	fx_negotiate(f, 0);
	window_set(f, 0, config + 8, 4);
	cfg_set(f, data, 4, 0xa5b6c7d8);
	CU_ASSERT_EQUAL(bar_get(f, 0, config + 8, 4), 0xa5b6c7d8);
	window_set(f, 0, config + 8, 2);
	cfg_set(f, data, 2, 0x1111);
	CU_ASSERT_EQUAL(bar_get(f, 0, config + 8, 4), 0xa5b61111);

	fx_place_queue(f, 2);
	fx_driver_ok(f);
	(void)kicks(f, 2);
	window_set(f, 0, (uint32_t)fx_at(f, VIRTIO_PCI_CAP_NOTIFY_CFG, 8), 2);
	cfg_set(f, data, 2, 2);
	CU_ASSERT_EQUAL(kicks(f, 2), 1);

	fx_queue_event(f, 2);
	CU_ASSERT_TRUE(f->level);
	window_set(f, 0, (uint32_t)fx_at(f, VIRTIO_PCI_CAP_ISR_CFG, 0), 1);
	CU_ASSERT_TRUE(f->level);
	CU_ASSERT_EQUAL(cfg_get(f, data, 1), 1);
	CU_ASSERT_FALSE(f->level);
	CU_ASSERT_EQUAL(isr_get(f), 0);
	fx_free(f);
}

/* PCI-IMP-008 */
static void test_window_bad(void)
{
	static const uint32_t lengths[] = {0, 3, 5, 8, 0x80000000, UINT32_MAX};
	static const uint32_t offsets[] = {0x4000, 0x7fffffff, UINT32_MAX, 0x3ffd, 0x3ffe};
	struct fx *f = fx_new();
	const uint32_t data = fx_virtio_cap(f, VIRTIO_PCI_CAP_PCI_CFG) + 16;

	for (unsigned i = 0; i < VIO_ARRAY_LEN(lengths); i++) {
		window_set(f, 0, (uint32_t)fx_at(f, VIRTIO_PCI_CAP_COMMON_CFG, 0), lengths[i]);
		cfg_set(f, data, 4, 7);
		CU_ASSERT_EQUAL(cfg_get(f, data, 4), 7);
		CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_DFSELECT, 4), 0);
	}
	for (uint32_t bar = 0; bar < 256; bar++) {
		for (unsigned i = 0; i < VIO_ARRAY_LEN(offsets); i++) {
			window_set(f, bar, offsets[i], 4);
			cfg_set(f, data, 4, 0xffffffff);
			CU_ASSERT_EQUAL(cfg_get(f, data, 4), 0);
		}
	}
	fx_free(f);
}

static CU_TestInfo tests[] = {
	{"PCI-DEV-021 device features", test_device_features},
	{"PCI-DEV-022 driver features", test_driver_features},
	{"wrong widths", test_common_widths},
	{"PCI-DEV-012 64-bit fields", test_common_64},
	{"PCI-DEV-032,033 queue select", test_queue_select},
	{"PCI-DEV-025,026,078 device reset", test_device_reset},
	{"PCI-DEV-027..031 queue reset", test_queue_reset},
	{"PCI-DEV-024 generation", test_generation},
	{"device configuration", test_device_config},
	{"PCI-DEV-052 no device configuration", test_no_device_config},
	{"PCI-IMP-005 notifications", test_notify},
	{"PCI-DEV-062..064 window", test_window},
	{"PCI-IMP-008 bad windows", test_window_bad},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("pci registers", tests);
}
