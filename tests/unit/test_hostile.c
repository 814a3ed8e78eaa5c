/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile driver, rules 2 to 7 of the threat model, with real devices on each transport. Rule 1
 * is in test_hostile_ring.c.
 *
 * This program is linked with the allocator's functions wrapped, see counting.
 */
#include <errno.h>

#include <viodm/engines.h>

#include "yard.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED 0
#endif

#define NEXT  VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE

/* ---- s5_2: a running queue is frozen ------------------------------------------------------------
 */

/*
 * CVE-2026-5747: sizes and addresses written after DRIVER_OK, in every width the bus knows, with a
 * request in flight and before others.
 */
static void queue_registers_frozen(enum drv_bus_kind kind)
{
	static const uint64_t sizes[] = {0, 1, 2, 3, 64, 1024, 0x8000, 0xffff, 0x10020};
	struct drv_blk_req held;
	uint8_t buf[512];
	struct guest *g;
	struct yard y;

	yard_init(&y, kind);
	g = &y.guest[DISK];
	held = (struct drv_blk_req){.sector = 7, .in = buf, .in_len = 512};
	drv_held_hold(g->held, true);
	MUST(drv_blk_submit(&g->blk, 0, &held));
	drv_device_settle(&g->drv);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(sizes); i++) {
		drv_set(g->bus, DRV_QUEUE_SIZE, 0, sizes[i]);
		drv_set(g->bus, DRV_QUEUE_DESC, 0, YARD_GAP);
		drv_set(g->bus, DRV_QUEUE_DRIVER, 0, UINT64_MAX);
		drv_set(g->bus, DRV_QUEUE_DEVICE, 0, YARD_RAM + 1);
		if (kind != DRV_MMIO)
			for (uint32_t off = VIRTIO_PCI_COMMON_Q_SIZE; off < 56; off++)
				if (off < VIRTIO_PCI_COMMON_Q_ENABLE || off > 31)
					drv_pci_set(g->bus, VIRTIO_PCI_CAP_COMMON_CFG, off, 1,
						    (uint32_t)sizes[i]);
	}
	drv_held_hold(g->held, false);
	CU_ASSERT_EQUAL(drv_held_release(g->held, 1, false), 1);
	MUST(drv_blk_wait(&g->blk, 0, &held));
	CU_ASSERT_EQUAL(held.status, VIRTIO_BLK_S_OK);
	for (unsigned i = 0; i < 100; i++)
		CU_ASSERT_TRUE(guest_serves(g));
	CU_ASSERT_EQUAL(drv_status(g->bus), ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	CU_ASSERT_TRUE(bystander_calm(&y));
	yard_fini(&y);
}

static void s5_2_queue_registers_frozen(void)
{
	on_each_bus(queue_registers_frozen);
}

/* ---- s5_3: device ranges and configuration accesses ---------------------------------------------
 */

static void block_ranges(enum drv_bus_kind kind)
{
	const uint64_t last = YARD_DISK_SIZE / 512;
	const uint64_t sectors[] = {last,
				    last - 1,
				    UINT64_MAX,
				    UINT64_MAX / 512,
				    UINT64_MAX / 512 + 1,
				    UINT64_MAX / 512 + 2,
				    (UINT64_MAX / 512 + 1) * 2,
				    UINT64_C(1) << 55,
				    UINT64_C(1) << 63};
	static const uint32_t types[] = {VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_DISCARD,
					 VIRTIO_BLK_T_WRITE_ZEROES};
	struct guest *g;
	struct yard y;

	yard_init(&y, kind);
	g = &y.guest[DISK];
	for (unsigned i = 0; i < 4 * VIO_ARRAY_LEN(sectors); i++) {
		uint64_t sector = sectors[i / 4];
		const struct virtio_blk_discard_write_zeroes seg = {.sector = htole64(sector),
								    .num_sectors = htole32(2)};
		uint8_t buf[1024] = {0};
		struct drv_blk_req r = {.type = types[i % 4], .sector = sector};

		if (i % 4 == 0) {
			r.in = buf;
			r.in_len = sizeof(buf);
		} else {
			r.out = i % 4 == 1 ? (const void *)buf : &seg;
			r.out_len = i % 4 == 1 ? sizeof(buf) : sizeof(seg);
		}
		MUST(drv_blk_do(&g->blk, 0, &r));
		CU_ASSERT_EQUAL(r.status, VIRTIO_BLK_S_IOERR);
	}
	for (int op = VIO_IO_READ; op <= VIO_IO_WRITE_ZEROES; op++)
		CU_ASSERT_EQUAL(drv_held_seen(g->held, (enum vio_io_op)op, 0), 0);
	CU_ASSERT_TRUE(guest_serves(g));
	yard_fini(&y);
}

static void s5_3_block_ranges(void)
{
	on_each_bus(block_ranges);
}

/* An access of the device's registers, wherever and however long. */
static void wild_access(struct guest *g, enum drv_bus_kind kind, uint64_t off, size_t len,
			const void *value)
{
	uint8_t got[64];

	if (kind == DRV_MMIO) {
		vio_mmio_read(drv_mmio_transport(g->bus), off, got, len);
		vio_mmio_write(drv_mmio_transport(g->bus), off, value, len);
		return;
	}
	for (unsigned bar = 0; bar < VIO_PCI_N_BARS + 2; bar++)
		vio_pci_bar_read(drv_pci_transport(g->bus), bar, off, got, len);
	vio_pci_bar_write(drv_pci_transport(g->bus), drv_pci_cap(g->bus, 4)->bar,
			  drv_pci_cap(g->bus, 4)->offset + off, value, len);
}

static void config_accesses(enum drv_bus_kind kind)
{
	static const uint64_t bases[] = {
		0x100,	       0x120,	       0x13c,	       0x1f8,
		0xff8,	       0x7fffffff,     UINT32_MAX - 8, UINT64_C(1) << 32,
		INT64_MAX - 8, UINT64_MAX - 16};
	uint8_t junk[64];
	struct yard y;

	memset(junk, 0xff, sizeof(junk));
	yard_init(&y, kind);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(bases); i++)
		for (uint64_t off = 0; off < 16; off++)
			for (size_t len = 0; len <= sizeof(junk); len++)
				wild_access(&y.guest[DISK], kind, bases[i] + off, len, junk);
	CU_ASSERT_EQUAL(drv_config_field(y.guest[DISK].bus, 0, 8), YARD_DISK_SIZE / 512);
	CU_ASSERT_TRUE(guest_serves(&y.guest[DISK]));
	CU_ASSERT_TRUE(bystander_calm(&y));
	yard_fini(&y);
}

static void s5_3_config_accesses(void)
{
	on_each_bus(config_accesses);
}

/* ---- s5_5: no allocation on the data path -------------------------------------------------------
 */

static bool counting;
static unsigned allocations;

#if SANITIZED

/* The sanitizers have an allocator of their own, which can be listened to. Not every compiler comes
 * with <sanitizer/allocator_interface.h>. */
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
					      void (*on_free)(const volatile void *));

static void on_malloc(const volatile void *p, size_t size)
{
	(void)p;
	(void)size;
	allocations += counting;
}

static void on_free(const volatile void *p)
{
	(void)p;
}

static void count_allocations(void)
{
	__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
}

#else

/* The program's own functions stand before the C library's, for the shared libraries too. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);

__attribute__((visibility("default"))) void *malloc(size_t size)
{
	allocations += counting;
	return __libc_malloc(size);
}

__attribute__((visibility("default"))) void *calloc(size_t n, size_t size)
{
	allocations += counting;
	return __libc_calloc(n, size);
}

__attribute__((visibility("default"))) void *realloc(void *p, size_t size)
{
	allocations += counting;
	return __libc_realloc(p, size);
}

__attribute__((visibility("default"))) void *aligned_alloc(size_t align, size_t size)
{
	allocations += counting;
	return __libc_memalign(align, size);
}

static void count_allocations(void)
{
}

#endif

/* The counter counts what the library allocates when it does. */
static bool counter_works(void)
{
	struct vio_mem *map = NULL;
	bool ok;

	allocations = 0;
	counting = true;
	ok = vio_mem_create(NULL, 0, &map) == 0 && allocations == 1;
	counting = false;
	vio_mem_destroy(map);
	allocations = 0;
	return ok;
}

static void counted_requests(struct drv_device *drv, struct drv_blk *blk)
{
	static const uint32_t types[] = {VIRTIO_BLK_T_IN,
					 VIRTIO_BLK_T_OUT,
					 VIRTIO_BLK_T_FLUSH,
					 VIRTIO_BLK_T_GET_ID,
					 VIRTIO_BLK_T_DISCARD,
					 VIRTIO_BLK_T_WRITE_ZEROES,
					 0x7777};
	static const struct drv_framing framing = {.first = 5, .rest = 300, .n_direct = 2};
	const struct virtio_blk_discard_write_zeroes seg[2] = {
		{.sector = htole64(5), .num_sectors = htole32(9)},
		{.sector = htole64(50), .num_sectors = htole32(1)}};
	uint8_t data[4096], sectors[2048] = {0};

	for (unsigned i = 0; i < 700; i++) {
		struct drv_blk_req r = {.type = types[i % 7], .sector = i % 100};

		if (r.type == VIRTIO_BLK_T_IN || r.type == VIRTIO_BLK_T_GET_ID) {
			r.in = data;
			r.in_len = r.type == VIRTIO_BLK_T_IN ? 4096 : 20;
		} else if (r.type != VIRTIO_BLK_T_FLUSH) {
			r.out = r.type == VIRTIO_BLK_T_OUT ? (const void *)sectors : seg;
			r.out_len = r.type == VIRTIO_BLK_T_OUT ? sizeof(sectors) : sizeof(seg);
		}
		r.framing = i % 2 ? &framing : NULL;
		MUST(drv_blk_add(blk, 0, &r));
		counting = true;
		drv_device_submit(drv, 0);
		drv_device_settle(drv);
		counting = false;
		CU_ASSERT_EQUAL(drv_blk_poll(blk, 0), 1);
		CU_ASSERT_EQUAL(r.status, r.type == 0x7777 ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_OK);
	}
}

static void no_malloc_on_data_path(enum drv_bus_kind kind)
{
	static const struct drv_device_config drv_cfg = {.features = DRV_ALL_FEATURES,
							 .table_len = 32};
	struct vio_blk_config cfg = {.queue_size = 64};
	struct drv_device drv;
	struct vio_device *dev;
	struct drv_bus *bus;
	struct drv_blk blk;
	struct drv_rig rig;

	MUST(drv_rig_init(&rig));
	MUST(vio_storage_memory_open(1 << 20, &cfg.storage));
	MUST(vio_blk_create(&rig.env, &cfg, &dev));
	MUST(drv_rig_connect(&rig, dev, kind, &bus, &drv));
	MUST(drv_device_start(&drv, &drv_cfg));
	MUST(drv_blk_init(&blk, &drv, 1 << 20));
	drv_device_settle(&drv);
	CU_ASSERT_TRUE_FATAL(counter_works());
	counted_requests(&drv, &blk);
	CU_ASSERT_EQUAL(allocations, 0);
	drv_rig_disconnect(dev, bus, &drv);
	vio_storage_close(cfg.storage);
	drv_rig_fini(&rig);
}

static void s5_5_no_malloc_on_data_path(void)
{
	on_each_bus(no_malloc_on_data_path);
}

/* ---- s5_6: the used length is what was written --------------------------------------------------
 */

/*
 * Sends `header` with `n_out` more bytes and gives the device `n_in` bytes. Returns true when each
 * of the first `used length` bytes was written, which shows as a change of one of four fills.
 */
static bool used_length_true(struct guest *g, const void *out, uint32_t n_out, uint32_t n_in)
{
	static const uint8_t fills[] = {0xee, 0x11, 0x5c, 0xa3};
	uint64_t gpa = drv_mem_alloc(&g->mem, n_out + n_in, 1);
	struct drv_buf b[2] = {{gpa, n_out, false}, {gpa + n_out, n_in, true}};
	uint8_t *in = drv_mem_ptr(&g->mem, gpa + n_out, n_in);
	uint8_t *written = calloc(1, n_in);
	uint32_t used = UINT32_MAX;
	struct drv_used u = {0};
	bool ok = true;

	MUST(drv_mem_write(&g->mem, gpa, out, n_out));
	for (unsigned i = 0; i < sizeof(fills); i++) {
		memset(in, fills[i], n_in);
		MUST(drv_queue_add(&g->drv.queue[0], n_out ? b : b + 1, n_out ? 2 : 1, i % 2,
				   NULL));
		drv_device_submit(&g->drv, 0);
		ok &= drv_device_wait(&g->drv, 0, &u) == 1;
		used = u.len < used ? u.len : used;
		for (uint32_t k = 0; k < n_in; k++)
			written[k] |= in[k] != fills[i];
	}
	ok &= used <= n_in;
	for (uint32_t k = 0; ok && k < used; k++)
		ok &= written[k];
	free(written);
	return ok;
}

static void used_length_exact(enum drv_bus_kind kind)
{
	static const uint32_t types[] = {VIRTIO_BLK_T_IN,
					 VIRTIO_BLK_T_OUT,
					 VIRTIO_BLK_T_FLUSH,
					 VIRTIO_BLK_T_GET_ID,
					 VIRTIO_BLK_T_DISCARD,
					 VIRTIO_BLK_T_WRITE_ZEROES,
					 0x7777};
	static const uint64_t sectors[] = {0, YARD_DISK_SIZE / 512 - 1, UINT64_MAX};
	static const uint32_t sizes[] = {1, 2, 20, 21, 22, 512, 513, 514, 1025};
	struct guest *disk, *rng;
	struct yard y;

	yard_init(&y, kind);
	disk = &y.guest[DISK];
	rng = &y.guest[RNG];
	for (unsigned i = 0; i < 7 * 3 * VIO_ARRAY_LEN(sizes) * 2; i++) {
		uint32_t size = sizes[i / 21 / 2];
		struct virtio_blk_outhdr h = {.type = htole32(types[i / 2 % 7]),
					      .sector = htole64(sectors[i / 2 % 21 / 7])};

		drv_held_fail(disk->held, VIO_IO_READ, i % 2 ? -EIO : 0);
		CU_ASSERT_TRUE(used_length_true(disk, &h, sizeof(h), size));
		CU_ASSERT_TRUE(used_length_true(disk, &h, 7, size)); /* a header cut short */
		CU_ASSERT_TRUE(used_length_true(rng, &h, i % 3, size));
	}
	CU_ASSERT_EQUAL(drv_status(disk->bus) & NEEDS_RESET, 0);
	yard_fini(&y);
}

static void s5_6_used_length_exact(void)
{
	on_each_bus(used_length_exact);
}

/* ---- s5_7: buffers are RAM ----------------------------------------------------------------------
 */

static void buffers_are_ram(enum drv_bus_kind kind)
{
	/* where devices have their registers, and where nothing is */
	static const uint64_t places[] = {0,
					  0xd0000000,
					  0xfee00000,
					  DRV_PCI_BAR_BASE,
					  DRV_PCI_BAR_BASE + DRV_PCI_BAR_STEP,
					  YARD_RAM - 8,
					  YARD_GAP,
					  UINT64_C(1) << 40,
					  UINT64_MAX - 15};
	struct yard y;

	yard_init(&y, kind);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(places) * 3; i++) {
		struct guest *g = &y.guest[i % 3 == 2 ? RNG : DISK];
		struct drv_queue *q = &g->drv.queue[0];

		if (i % 3 == 0) { /* the header, or the place for the answer */
			drv_desc_write(&q->desc[0], places[i / 3], 16, NEXT, 1);
			drv_desc_write(&q->desc[1], YARD_RAM + 0x300000, 1, WRITE, 0);
		} else {
			drv_desc_write(&q->desc[0], YARD_RAM + 0x300000, 16, NEXT, 1);
			drv_desc_write(&q->desc[1], places[i / 3], 16, WRITE, 0);
		}
		drv_queue_offer_raw(q, 0);
		CU_ASSERT_TRUE(refused(&y, g));
	}
	yard_fini(&y);
}

static void s5_7_buffers_are_ram(void)
{
	on_each_bus(buffers_are_ram);
}

static CU_TestInfo tests[] = {
	{"s5_2_queue_registers_frozen", s5_2_queue_registers_frozen},
	{"s5_3_block_ranges", s5_3_block_ranges},
	{"s5_3_config_accesses", s5_3_config_accesses},
	{"s5_5_no_malloc_on_data_path", s5_5_no_malloc_on_data_path},
	{"s5_6_used_length_exact", s5_6_used_length_exact},
	{"s5_7_buffers_are_ram", s5_7_buffers_are_ram},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	count_allocations();
	return suite_run("hostile", tests);
}
