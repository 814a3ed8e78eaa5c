/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-pci: configuration space, capabilities, BARs, life. Names in comments are rows of the
 * requirement list.
 */

#include "pci_fixture.h"

/* ---- header and capabilities ----------------------------------------------------------------- */

/* PCI-DEV-003 to 008 */
static void test_identity(void)
{
	struct fx *f = fx_new();

	CU_ASSERT_EQUAL(cfg_get(f, PCI_VENDOR_ID, 2), 0x1af4);
	CU_ASSERT_EQUAL(cfg_get(f, PCI_DEVICE_ID, 2), 0x1040 + FX_DEVICE_ID);
	CU_ASSERT_EQUAL(cfg_get(f, PCI_VENDOR_ID, 4), (0x1040u + FX_DEVICE_ID) << 16 | 0x1af4);
	CU_ASSERT(cfg_get(f, PCI_REVISION_ID, 1) >= 1);
	CU_ASSERT(cfg_get(f, PCI_SUBSYSTEM_ID, 2) >= 0x40);
	CU_ASSERT_EQUAL(cfg_get(f, PCI_SUBSYSTEM_VENDOR_ID, 2), 0x1af4);
	CU_ASSERT_EQUAL(cfg_get(f, PCI_HEADER_TYPE, 1), 0);
	CU_ASSERT_EQUAL(cfg_get(f, PCI_INTERRUPT_PIN, 1), 1);
	CU_ASSERT_EQUAL(cfg_get(f, PCI_CLASS_REVISION, 4) >> 8, 0xff0000);
	CU_ASSERT_EQUAL(cfg_get(f, PCI_ROM_ADDRESS, 4), 0);
	fx_free(f);
}

static uint32_t class_of(uint32_t id)
{
	struct vio_device_ops ops = fx_device_ops;
	struct fx *f = fx_new_device();
	struct vio_pci_config cfg = fx_config(f);
	uint32_t class;

	ops.id = id;
	f->dev.ops = &ops;
	CU_ASSERT_EQUAL_FATAL(vio_pci_create(&f->dev, &cfg, &f->pci), 0);
	class = cfg_get(f, PCI_CLASS_REVISION, 4) >> 8;
	fx_free(f);
	return class;
}

/* PCI-DEV-005 */
static void test_identity_given(void)
{
	struct fx *f = fx_new_device();
	struct vio_pci_config cfg = fx_config(f);

	cfg.subsystem_vendor_id = 0x1234;
	cfg.subsystem_id = 0x5678;
	cfg.class_code = 0x0c0330;
	CU_ASSERT_EQUAL_FATAL(vio_pci_create(&f->dev, &cfg, &f->pci), 0);
	CU_ASSERT_EQUAL(cfg_get(f, PCI_SUBSYSTEM_VENDOR_ID, 4), 0x56781234);
	CU_ASSERT_EQUAL(cfg_get(f, PCI_CLASS_REVISION, 4) >> 8, 0x0c0330);
	fx_free(f);

	CU_ASSERT_EQUAL(class_of(1), 0x020000);
	CU_ASSERT_EQUAL(class_of(2), 0x018000);
	CU_ASSERT_EQUAL(class_of(8), 0x010000);
	CU_ASSERT_EQUAL(class_of(63), 0xff0000);
}

/* PCI-DEV-001, 016: the list ends, its members are aligned, inside, and disjoint. */
static void test_capability_list(void)
{
	struct fx *f = fx_new();
	bool used[VIO_PCI_CONFIG_SIZE] = {false};
	uint32_t at = cfg_get(f, PCI_CAPABILITY_LIST, 1);
	unsigned n = 0;

	CU_ASSERT(cfg_get(f, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	for (; at && n < 48; n++) {
		const bool msix = cfg_get(f, at, 1) == PCI_CAP_ID_MSIX;
		const uint32_t len = msix ? PCI_CAP_MSIX_SIZEOF : cfg_get(f, at + 2, 1);

		CU_ASSERT(msix || cfg_get(f, at, 1) == PCI_CAP_ID_VNDR);
		CU_ASSERT(at >= 0x40 && at % 4 == 0);
		CU_ASSERT_FATAL(at + len <= VIO_PCI_CONFIG_SIZE);
		for (uint32_t i = at; i < at + len; i++) {
			CU_ASSERT_FALSE(used[i]);
			used[i] = true;
		}
		at = cfg_get(f, at + PCI_CAP_LIST_NEXT, 1);
	}
	CU_ASSERT_EQUAL(n, 8); /* common, notify, isr, device, 2 shm, window, msix */
	fx_free(f);
}

static void check_structure(struct fx *f, uint8_t type, uint32_t cap_len, uint32_t align,
			    uint32_t min_len)
{
	const uint32_t cap = fx_virtio_cap(f, type);
	const uint32_t off = cfg_get(f, cap + 8, 4);
	const uint32_t len = cfg_get(f, cap + 12, 4);
	const uint32_t bar = cfg_get(f, cap + 4, 1);

	CU_ASSERT_NOT_EQUAL_FATAL(cap, 0);
	CU_ASSERT_EQUAL(cfg_get(f, cap + 2, 1), cap_len);
	CU_ASSERT_EQUAL(bar, 0);
	CU_ASSERT_EQUAL(off % align, 0);
	CU_ASSERT(len >= min_len);
	CU_ASSERT((uint64_t)off + len <= vio_pci_bar_size(f->pci, bar));
}

/* PCI-DEV-016, 019, 020, 036, 047, 052, 053, 062 */
static void test_structures(void)
{
	struct fx *f = fx_new();

	check_structure(f, VIRTIO_PCI_CAP_COMMON_CFG, 16, 4, 64);
	check_structure(f, VIRTIO_PCI_CAP_NOTIFY_CFG, 20, 4, 2);
	check_structure(f, VIRTIO_PCI_CAP_ISR_CFG, 16, 1, 1);
	check_structure(f, VIRTIO_PCI_CAP_DEVICE_CFG, 16, 4, FX_CONFIG_SIZE);
	CU_ASSERT_EQUAL(cfg_get(f, fx_virtio_cap(f, VIRTIO_PCI_CAP_PCI_CFG) + 2, 1), 20);
	fx_free(f);
}

/* PCI-DEV-037 to 046, PCI-IMP-005 */
static void test_notify_layout(void)
{
	struct fx *f = fx_new();
	const uint32_t cap = fx_virtio_cap(f, VIRTIO_PCI_CAP_NOTIFY_CFG);
	const uint32_t multiplier = cfg_get(f, cap + 16, 4);
	const uint32_t length = cfg_get(f, cap + 12, 4);

	CU_ASSERT_EQUAL(multiplier, 4);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_NUMQ, 2), FX_QUEUES);
	for (uint16_t i = 0; i < FX_QUEUES; i++) {
		com_set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
		CU_ASSERT(length >= com_get(f, VIRTIO_PCI_COMMON_Q_NOFF, 2) * multiplier + 4);
	}
	fx_free(f);
}

/* PCI-DEV-054, 055 */
static void test_shared_memory(void)
{
	struct fx *f = fx_new();
	uint32_t ids = 0;

	for (unsigned i = 0; i < 2; i++) {
		const uint32_t cap =
			fx_cap(f, PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_SHARED_MEMORY_CFG, i);
		const uint64_t off = cfg_get(f, cap + 8, 4) | (uint64_t)cfg_get(f, cap + 16, 4)
								      << 32;
		const uint64_t len = cfg_get(f, cap + 12, 4) | (uint64_t)cfg_get(f, cap + 20, 4)
								       << 32;
		const uint32_t bar = cfg_get(f, cap + 4, 1);

		CU_ASSERT_NOT_EQUAL_FATAL(cap, 0);
		CU_ASSERT_EQUAL(cfg_get(f, cap + 2, 1), 24);
		CU_ASSERT_EQUAL(cfg_get(f, cap + 5, 1), f->shm[i].id);
		CU_ASSERT_EQUAL(len, f->shm[i].len);
		CU_ASSERT_EQUAL(off % len, 0);
		CU_ASSERT(off + len <= vio_pci_bar_size(f->pci, bar));
		CU_ASSERT_PTR_EQUAL(vio_pci_bar_memory(f->pci, bar, off, len), f->shm[i].hva);
		CU_ASSERT_PTR_EQUAL(vio_pci_bar_memory(f->pci, bar, off + 5, 1),
				    (char *)f->shm[i].hva + 5);
		CU_ASSERT_PTR_NULL(vio_pci_bar_memory(f->pci, bar, off, len + 1));
		ids |= 1u << f->shm[i].id;
		bar_set(f, bar, off + 2, 4, 0xa1b2c3d4);
		CU_ASSERT_EQUAL(((uint8_t *)f->shm[i].hva)[2], 0xd4);
		CU_ASSERT_EQUAL(bar_get(f, bar, off + 4, 8), 0xa1b2);
		CU_ASSERT_EQUAL(bar_get(f, bar, off + len - 2, 4), 0); /* over the end */
	}
	CU_ASSERT_EQUAL(ids, 1u << 1 | 1u << 9);
	CU_ASSERT_PTR_NULL(vio_pci_bar_memory(f->pci, 2, UINT64_MAX, 2));
	CU_ASSERT_PTR_NULL(vio_pci_bar_memory(f->pci, 2, 4096, 1)); /* between the regions */
	CU_ASSERT_PTR_NULL(vio_pci_bar_memory(f->pci, 0, 0, 1));
	fx_free(f);
}

/* PCI-DEV-072 to 074 */
static void test_msix_capability(void)
{
	static const uint16_t sizes[] = {1, 2, 300, 2048};

	for (unsigned i = 0; i < VIO_ARRAY_LEN(sizes); i++) {
		struct fx *f = fx_new_with(sizes[i]);
		const uint32_t cap = fx_cap(f, PCI_CAP_ID_MSIX, 0, 0);
		const uint32_t table = cfg_get(f, cap + PCI_MSIX_TABLE, 4);
		const uint32_t pba = cfg_get(f, cap + PCI_MSIX_PBA, 4);

		CU_ASSERT_EQUAL(cfg_get(f, cap + PCI_MSIX_FLAGS, 2), sizes[i] - 1u);
		CU_ASSERT_EQUAL(table, 1);
		CU_ASSERT_EQUAL(pba & 7, 1);
		CU_ASSERT((pba & ~7u) >= sizes[i] * 16u);
		CU_ASSERT((pba & ~7u) + sizes[i] / 8 + 8 <= vio_pci_bar_size(f->pci, 1));
		CU_ASSERT_EQUAL(vio_pci_n_vectors(f->pci), sizes[i]);
		fx_free(f);
	}
}

static void test_msix_auto_and_absent(void)
{
	struct fx *f = fx_new_with(VIO_PCI_VECTORS_AUTO);

	CU_ASSERT_EQUAL(vio_pci_n_vectors(f->pci), FX_QUEUES + 1);
	fx_free(f);

	f = fx_new_with(0);
	CU_ASSERT_EQUAL(fx_cap(f, PCI_CAP_ID_MSIX, 0, 0), 0);
	CU_ASSERT_EQUAL(vio_pci_bar_size(f->pci, 1), 0);
	CU_ASSERT_EQUAL(bar_get(f, 1, 0, 4), 0);
	com_set(f, VIRTIO_PCI_COMMON_MSIX, 2, 0);
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_MSIX, 2), NO_VECTOR);
	fx_free(f);
}

/* ---- configuration space accesses ------------------------------------------------------------ */

/* PCI-DEV-001, PCI-IMP-004: every byte takes all zeroes and all ones; only these bits follow. */
static void test_read_only(void)
{
	struct fx *f = fx_new();
	const uint32_t window = fx_virtio_cap(f, VIRTIO_PCI_CAP_PCI_CFG);
	const uint32_t msix = fx_cap(f, PCI_CAP_ID_MSIX, 0, 0);
	uint8_t free_bits[VIO_PCI_CONFIG_SIZE] = {
		[PCI_COMMAND] = 0x46,
		[PCI_COMMAND + 1] = 0x05,
		[PCI_CACHE_LINE_SIZE] = 0xff,
		[PCI_LATENCY_TIMER] = 0xff,
		[PCI_INTERRUPT_LINE] = 0xff,
		[PCI_BASE_ADDRESS_0 + 1] = 0xc0,
		[PCI_BASE_ADDRESS_0 + 2] = 0xff,
		[PCI_BASE_ADDRESS_0 + 3] = 0xff,
		[PCI_BASE_ADDRESS_1 + 1] = 0xe0,
		[PCI_BASE_ADDRESS_1 + 2] = 0xff,
		[PCI_BASE_ADDRESS_1 + 3] = 0xff,
		[PCI_BASE_ADDRESS_2 + 1] = 0xc0,
		[PCI_BASE_ADDRESS_2 + 2] = 0xff,
		[PCI_BASE_ADDRESS_2 + 3] = 0xff,
		[PCI_BASE_ADDRESS_3 + 0] = 0xff,
		[PCI_BASE_ADDRESS_3 + 1] = 0xff,
		[PCI_BASE_ADDRESS_3 + 2] = 0xff,
		[PCI_BASE_ADDRESS_3 + 3] = 0xff,
	};

	free_bits[window + 4] = 0xff;
	memset(free_bits + window + 8, 0xff, 12);
	free_bits[msix + 3] = 0xc0;
	for (uint32_t i = 0; i < VIO_PCI_CONFIG_SIZE; i++) {
		const uint32_t before = cfg_get(f, i, 1);
		uint32_t ones;
		uint32_t zeroes;

		cfg_set(f, i, 1, 0xff);
		ones = cfg_get(f, i, 1);
		cfg_set(f, i, 1, 0);
		zeroes = cfg_get(f, i, 1);
		CU_ASSERT_EQUAL((ones ^ zeroes), free_bits[i]);
		CU_ASSERT_EQUAL((zeroes ^ before) & ~free_bits[i], 0);
		if ((ones ^ zeroes) != free_bits[i])
			fprintf(stderr, "byte %#x: free bits %#x\n", i, ones ^ zeroes);
	}
	fx_free(f);
}

static void test_config_widths(void)
{
	struct fx *f = fx_new();
	uint8_t buf[16];

	CU_ASSERT_EQUAL(cfg_get(f, PCI_VENDOR_ID + 1, 2), 0x441a);
	CU_ASSERT_EQUAL(cfg_get(f, 2, 4), 0xffffffff); /* crosses a dword */
	CU_ASSERT_EQUAL(cfg_get(f, 3, 2), 0xffff);
	CU_ASSERT_EQUAL(cfg_get(f, 256, 1), 0xff);
	CU_ASSERT_EQUAL(cfg_get(f, UINT32_MAX, 4), 0xffffffff);
	memset(buf, 0, sizeof(buf));
	vio_pci_config_read(f->pci, 0, buf, 3);
	CU_ASSERT_EQUAL(fx_load(buf, 4), 0xffffff);
	vio_pci_config_read(f->pci, 0, buf, 16);
	CU_ASSERT_EQUAL(fx_load(buf, 8), UINT64_MAX);
	vio_pci_config_read(f->pci, 0, buf, 0);
	memset(buf, 0xff, sizeof(buf));
	vio_pci_config_write(f->pci, PCI_COMMAND, buf, 8);
	vio_pci_config_write(f->pci, PCI_COMMAND + 1, buf, 4);
	vio_pci_config_write(f->pci, UINT32_MAX - 3, buf, 4);
	CU_ASSERT_EQUAL(cfg_get(f, PCI_COMMAND, 2), 0);
	fx_free(f);
}

/* ---- BARs ------------------------------------------------------------------------------------ */

static void test_bar_sizing(void)
{
	struct fx *f = fx_new();

	for (unsigned i = 0; i < VIO_PCI_N_BARS; i++)
		cfg_set(f, PCI_BASE_ADDRESS_0 + 4 * i, 4, UINT32_MAX);
	CU_ASSERT_EQUAL(cfg_get(f, PCI_BASE_ADDRESS_0, 4),
			-vio_pci_bar_size(f->pci, 0) & 0xffffffff);
	CU_ASSERT_EQUAL(cfg_get(f, PCI_BASE_ADDRESS_1, 4),
			-vio_pci_bar_size(f->pci, 1) & 0xffffffff);
	CU_ASSERT_EQUAL(cfg_get(f, PCI_BASE_ADDRESS_2, 4),
			((-vio_pci_bar_size(f->pci, 2) & 0xffffffff) | 0xc)); /* 64-bit, prefetch */
	CU_ASSERT_EQUAL(cfg_get(f, PCI_BASE_ADDRESS_3, 4), 0xffffffff);
	CU_ASSERT_EQUAL(cfg_get(f, PCI_BASE_ADDRESS_4, 4), 0);
	CU_ASSERT_EQUAL(cfg_get(f, PCI_BASE_ADDRESS_5, 4), 0);
	CU_ASSERT_EQUAL(vio_pci_bar_size(f->pci, 3), 0);
	CU_ASSERT_EQUAL(vio_pci_bar_size(f->pci, 6), 0);
	CU_ASSERT_EQUAL(f->n_bar, 0); /* memory decoding is off */
	fx_free(f);
}

static bool last_event_is(struct fx *f, unsigned n, unsigned bar, uint64_t address, bool enabled)
{
	const struct fx_bar_event *e = &f->bar[n - 1];

	return f->n_bar == n && e->bar == bar && e->address == address && e->enabled == enabled;
}

static void test_bar_moves(void)
{
	struct fx *f = fx_new();
	uint64_t at = 0;

	cfg_set(f, PCI_BASE_ADDRESS_0, 4, 0xc0001234); /* low bits do not stick */
	CU_ASSERT_FALSE(vio_pci_bar(f->pci, 0, &at));
	fx_command(f, PCI_COMMAND_MEMORY); /* BARs at 0 are not placed */
	CU_ASSERT(last_event_is(f, 1, 0, 0xc0000000, true));
	cfg_set(f, PCI_BASE_ADDRESS_1, 4, 0xc0008000);
	CU_ASSERT(last_event_is(f, 2, 1, 0xc0008000, true));
	CU_ASSERT(vio_pci_bar(f->pci, 1, &at));
	CU_ASSERT_EQUAL(at, 0xc0008000);
	cfg_set(f, PCI_BASE_ADDRESS_1, 4, 0xd0000000);
	CU_ASSERT(last_event_is(f, 3, 1, 0xd0000000, true));
	cfg_set(f, PCI_BASE_ADDRESS_1, 4, UINT32_MAX); /* sizing while it decodes */
	CU_ASSERT(last_event_is(f, 4, 1, 0xd0000000, false));
	cfg_set(f, PCI_BASE_ADDRESS_1, 4, 0xd0000000);
	CU_ASSERT(last_event_is(f, 5, 1, 0xd0000000, true));
	cfg_set(f, PCI_BASE_ADDRESS_1, 4, 0xd0000000);
	CU_ASSERT_EQUAL(f->n_bar, 5);
	fx_command(f, 0);
	CU_ASSERT_EQUAL(f->n_bar, 7);
	CU_ASSERT_FALSE(f->bar_enabled[0] || f->bar_enabled[1]);
	CU_ASSERT_FALSE(vio_pci_bar(f->pci, 0, &at));
	fx_command(f, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	CU_ASSERT_EQUAL(f->n_bar, 9);
	CU_ASSERT_EQUAL(f->bar_address[0], 0xc0000000);
	fx_free(f);
}

static void test_bar_64(void)
{
	struct fx *f = fx_new();
	uint64_t at = 0;

	cfg_set(f, PCI_BASE_ADDRESS_3, 4, 0x12);
	cfg_set(f, PCI_BASE_ADDRESS_2, 4, 0x40000000);
	fx_command(f, PCI_COMMAND_MEMORY);
	CU_ASSERT(last_event_is(f, 1, 2, 0x1240000000, true));
	CU_ASSERT(vio_pci_bar(f->pci, 2, &at));
	CU_ASSERT_EQUAL(at, 0x1240000000);
	CU_ASSERT_FALSE(vio_pci_bar(f->pci, 3, &at));
	CU_ASSERT_FALSE(vio_pci_bar(f->pci, 99, &at));
	cfg_set(f, PCI_BASE_ADDRESS_3, 4, UINT32_MAX);
	CU_ASSERT(last_event_is(f, 2, 2, 0xffffffff40000000, true));
	cfg_set(f, PCI_BASE_ADDRESS_2, 4, UINT32_MAX);
	CU_ASSERT(last_event_is(f, 3, 2, 0xffffffff40000000, false));
	fx_free(f);
}

/* Offsets and widths where nothing is: reads 0, writes nothing. */
static void test_bar_holes(void)
{
	struct fx *f = fx_new();
	uint8_t buf[16];

	for (unsigned bar = 0; bar < 8; bar++) {
		for (uint64_t off = 0x100; off < 0x5000; off += 0x7f) {
			if (bar == 0 && off >= fx_at(f, VIRTIO_PCI_CAP_DEVICE_CFG, 0) &&
			    off < fx_at(f, VIRTIO_PCI_CAP_DEVICE_CFG, FX_CONFIG_SIZE))
				continue;
			if (bar != 2) {
				bar_set(f, bar, off, 4, UINT32_MAX);
				CU_ASSERT_EQUAL(bar_get(f, bar, off, 8), 0);
			}
		}
		bar_set(f, bar, UINT64_MAX, 8, 1);
		CU_ASSERT_EQUAL(bar_get(f, bar, UINT64_MAX, 8), 0);
		CU_ASSERT_EQUAL(bar_get(f, bar, UINT64_MAX - 3, 4), 0);
	}
	memset(buf, 0xff, sizeof(buf));
	vio_pci_bar_read(f->pci, 0, 0, buf, 16);
	CU_ASSERT_EQUAL(fx_load(buf, 8), 0);
	vio_pci_bar_read(f->pci, 0, fx_at(f, VIRTIO_PCI_CAP_DEVICE_CFG, 0), buf, 3);
	CU_ASSERT_EQUAL(fx_load(buf, 3), 0);
	vio_pci_bar_write(f->pci, 0, 0, buf, 0);
	fx_free(f);
}

/* ---- create and reset ------------------------------------------------------------------------ */

static int try_create(void (*spoil)(struct fx *f, struct vio_pci_config *cfg))
{
	struct fx *f = fx_new_device();
	struct vio_pci_config cfg = fx_config(f);
	struct vio_device_ops ops = *f->dev.ops;
	int ret;

	f->dev.ops = &ops;
	spoil(f, &cfg);
	ret = vio_pci_create(&f->dev, &cfg, &f->pci);
	fx_free(f); /* destroys NULL when create failed */
	return ret;
}

static void spoil_vectors(struct fx *f, struct vio_pci_config *cfg)
{
	(void)f;
	cfg->n_vectors = 2049;
}

static void spoil_class(struct fx *f, struct vio_pci_config *cfg)
{
	(void)f;
	cfg->class_code = 0x1000000;
}

static void spoil_intx(struct fx *f, struct vio_pci_config *cfg)
{
	(void)f;
	cfg->hooks.intx = NULL;
}

static void spoil_msi(struct fx *f, struct vio_pci_config *cfg)
{
	(void)f;
	cfg->hooks.msi = NULL;
}

static void no_msi(struct fx *f, struct vio_pci_config *cfg)
{
	(void)f;
	cfg->hooks = (struct vio_pci_hooks){.intx = fx_intx, .arg = f};
	cfg->n_vectors = 0;
}

static void spoil_shm_ids(struct fx *f, struct vio_pci_config *cfg)
{
	(void)cfg;
	f->shm[1].id = f->shm[0].id;
}

static void spoil_shm_len(struct fx *f, struct vio_pci_config *cfg)
{
	(void)cfg;
	f->shm[0].len = 4097;
}

static void spoil_shm_count(struct fx *f, struct vio_pci_config *cfg)
{
	(void)cfg;
	f->shm[2] = (struct vio_shm){.id = 2, .hva = f->shm_bytes, .len = 4096};
	f->shm[3] = (struct vio_shm){.id = 3, .hva = f->shm_bytes, .len = 4096};
	f->dev.n_shm = 4;
}

static void three_shm(struct fx *f, struct vio_pci_config *cfg)
{
	spoil_shm_count(f, cfg);
	f->dev.n_shm = 3;
}

static void huge_shm(struct fx *f, struct vio_pci_config *cfg)
{
	three_shm(f, cfg);
	for (unsigned i = 0; i < 3; i++)
		f->shm[i].len = UINT64_C(1) << 60;
}

static void spoil_id(struct fx *f, struct vio_pci_config *cfg)
{
	static struct vio_device_ops ops;

	(void)cfg;
	ops = *f->dev.ops;
	ops.id = 0x40;
	f->dev.ops = &ops;
}

static void test_create(void)
{
	struct fx *f = fx_new();
	struct vio_pci_config cfg = fx_config(f);
	struct vio_pci *second;

	CU_ASSERT_EQUAL(vio_pci_create(&f->dev, &cfg, &second), -EBUSY);
	fx_free(f);
	CU_ASSERT_EQUAL(try_create(spoil_vectors), -EINVAL);
	CU_ASSERT_EQUAL(try_create(spoil_class), -EINVAL);
	CU_ASSERT_EQUAL(try_create(spoil_intx), -EINVAL);
	CU_ASSERT_EQUAL(try_create(spoil_msi), -EINVAL);
	CU_ASSERT_EQUAL(try_create(spoil_shm_ids), -EINVAL);
	CU_ASSERT_EQUAL(try_create(spoil_shm_len), -EINVAL);
	CU_ASSERT_EQUAL(try_create(spoil_shm_count), -EINVAL);
	CU_ASSERT_EQUAL(try_create(spoil_id), -EINVAL);
	CU_ASSERT_EQUAL(try_create(no_msi), 0);
	CU_ASSERT_EQUAL(try_create(three_shm), 0);
	CU_ASSERT_EQUAL(try_create(huge_shm), 0);
	vio_pci_destroy(NULL);
}

/* Power-on state comes back, byte by byte. */
static void test_bus_reset(void)
{
	struct fx *f = fx_new();
	uint8_t before[VIO_PCI_CONFIG_SIZE];

	for (uint32_t i = 0; i < VIO_PCI_CONFIG_SIZE; i++)
		before[i] = (uint8_t)cfg_get(f, i, 1);
	fx_msix_on(f);
	cfg_set(f, PCI_BASE_ADDRESS_0, 4, 0xc0000000);
	window_set(f, 1, 0, 4);
	fx_negotiate(f, 0);
	fx_place_queue(f, 0);
	com_set(f, VIRTIO_PCI_COMMON_MSIX, 2, 1);
	fx_driver_ok(f);
	fx_vector_mask(f, 1, true);
	fx_config_event(f);
	CU_ASSERT_TRUE(fx_pending(f, 1));
	vio_pci_reset(f->pci);
	for (uint32_t i = 0; i < VIO_PCI_CONFIG_SIZE; i++)
		CU_ASSERT_EQUAL(cfg_get(f, i, 1), before[i]);
	CU_ASSERT_FALSE(f->bar_enabled[0]);
	CU_ASSERT_FALSE(fx_pending(f, 1));
	CU_ASSERT_EQUAL(f->started, 0);
	for (uint16_t v = 0; v < FX_VECTORS; v++) {
		CU_ASSERT_TRUE(f->vector[v].masked);
		CU_ASSERT_EQUAL(bar_get(f, 1, 16u * v, 8), 0);
		CU_ASSERT_EQUAL(bar_get(f, 1, 16u * v + 8, 8), UINT64_C(1) << 32);
	}
	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_MSIX, 2), NO_VECTOR);
	fx_free(f);
}

static CU_TestInfo tests[] = {
	{"PCI-DEV-003..008 identity", test_identity},
	{"PCI-DEV-005 given identity", test_identity_given},
	{"PCI-DEV-001,016 capability list", test_capability_list},
	{"PCI-DEV-016..062 structures", test_structures},
	{"PCI-DEV-037..046 notify layout", test_notify_layout},
	{"PCI-DEV-054,055 shared memory", test_shared_memory},
	{"PCI-DEV-072..074 MSI-X capability", test_msix_capability},
	{"MSI-X sized by queues, MSI-X absent", test_msix_auto_and_absent},
	{"PCI-DEV-001 read-only bits", test_read_only},
	{"configuration space widths", test_config_widths},
	{"PCI-DEV-001 BAR sizing", test_bar_sizing},
	{"PCI-DEV-001 BARs move", test_bar_moves},
	{"PCI-DEV-001 64-bit BAR", test_bar_64},
	{"holes in BARs", test_bar_holes},
	{"create", test_create},
	{"bus reset", test_bus_reset},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("pci configuration space", tests);
}
