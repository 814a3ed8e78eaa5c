/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-mmio registers one by one. What the registers mean for a device is in test_device.c and
 * test_reset.c, which run on this transport too.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <driver/bus_mmio.h>

#include "dut.h"

#define ISR_QUEUE  1u
#define ISR_CONFIG 2u

static void test_identity(void) /* MMIO-DEV-001, MMIO-DEV-002 */
{
	struct dut t;

	dut_init(&t, DRV_MMIO, 1);
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_MAGIC), 0x74726976);
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_VERSION), 2);
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_DEVICE_ID), DRV_PROBE_ID);
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_VENDOR_ID), 0x444f4956); /* "VIOD" */
	CU_ASSERT_EQUAL(vio_mmio_size(drv_mmio_transport(t.bus)), 0x200);
	dut_fini(&t);
}

/* Registers that can only be read keep their value, those that can only be written read 0. */
static void test_directions(void)
{
	static const uint32_t read_only[] = {MMIO_MAGIC,
					     MMIO_VERSION,
					     MMIO_DEVICE_ID,
					     MMIO_VENDOR_ID,
					     MMIO_DEVICE_FEATURES,
					     MMIO_QUEUE_SIZE_MAX,
					     MMIO_INTERRUPT_STATUS,
					     MMIO_CONFIG_GENERATION,
					     MMIO_SHM_LEN_LOW,
					     MMIO_SHM_BASE_HIGH};
	static const uint32_t write_only[] = {
		MMIO_DEVICE_FEATURES_SEL, MMIO_DRIVER_FEATURES,	  MMIO_DRIVER_FEATURES_SEL,
		MMIO_QUEUE_SEL,		  MMIO_QUEUE_SIZE,	  MMIO_QUEUE_NOTIFY,
		MMIO_INTERRUPT_ACK,	  MMIO_QUEUE_DESC_LOW,	  MMIO_QUEUE_DESC_HIGH,
		MMIO_QUEUE_DRIVER_LOW,	  MMIO_QUEUE_DEVICE_HIGH, MMIO_SHM_SEL};
	struct dut t;

	dut_init(&t, DRV_MMIO, 1);
	MUST(drv_device_negotiate(&t.drv, DRV_ALL_FEATURES));
	for (unsigned i = 0; i < VIO_ARRAY_LEN(read_only); i++) {
		uint32_t before = drv_mmio_get(t.bus, read_only[i]);

		drv_mmio_set(t.bus, read_only[i], ~before);
		CU_ASSERT_EQUAL(drv_mmio_get(t.bus, read_only[i]), before);
	}
	for (unsigned i = 0; i < VIO_ARRAY_LEN(write_only); i++) {
		drv_mmio_set(t.bus, write_only[i], 1);
		CU_ASSERT_EQUAL(drv_mmio_get(t.bus, write_only[i]), 0);
	}
	CU_ASSERT_EQUAL(drv_status(t.bus), ACK | DRIVER | FEATURES_OK);
	dut_fini(&t);
}

/*
 * Every offset of the window with every width: only aligned 4-byte accesses reach the control
 * registers, everything else reads 0 and changes nothing.
 */
static void test_width_and_alignment(void)
{
	struct vio_mmio *m;
	struct dut t;

	dut_init(&t, DRV_MMIO, 1);
	MUST(drv_device_negotiate(&t.drv, DRV_ALL_FEATURES));
	m = drv_mmio_transport(t.bus);
	for (uint64_t off = 0; off < VIO_MMIO_CONFIG_OFFSET; off++) {
		for (size_t len = 1; len <= 16; len++) {
			const uint8_t zeroes[16] = {0};
			uint8_t buf[16];

			if (len == 4 && off % 4 == 0)
				continue;
			memset(buf, 0xcc, sizeof(buf));
			vio_mmio_read(m, off, buf, len);
			CU_ASSERT_EQUAL(memcmp(buf, zeroes, len), 0);
			CU_ASSERT(len == 16 || buf[len] == 0xcc);
			/* a write of 0 to the status would be a reset */
			vio_mmio_write(m, off, zeroes, len);
			CU_ASSERT_EQUAL(drv_status(t.bus), ACK | DRIVER | FEATURES_OK);
		}
	}
	dut_fini(&t);
}

/* Nothing is between the registers, and nothing is behind the configuration space. */
static void test_holes(void)
{
	static const uint64_t holes[] = {0x018, 0x01c, 0x028, 0x02c, 0x03c, 0x040, 0x048,
					 0x04c, 0x054, 0x05c, 0x068, 0x06c, 0x074, 0x07c,
					 0x088, 0x098, 0x0a8, 0x0c4, 0x0f8};
	static const uint64_t far[] = {0x108, 0x1fc, 0x200, 0x1000, UINT32_MAX, UINT64_MAX - 3};
	struct dut t;

	dut_init(&t, DRV_MMIO, 1);
	MUST(drv_device_negotiate(&t.drv, DRV_ALL_FEATURES));
	for (unsigned i = 0; i < VIO_ARRAY_LEN(holes); i++) {
		drv_mmio_set(t.bus, holes[i], UINT32_MAX);
		CU_ASSERT_EQUAL(drv_mmio_get(t.bus, holes[i]), 0);
	}
	for (unsigned i = 0; i < VIO_ARRAY_LEN(far); i++) {
		drv_mmio_set(t.bus, far[i], UINT32_MAX);
		CU_ASSERT_EQUAL(drv_mmio_get(t.bus, far[i]), 0);
	}
	CU_ASSERT_EQUAL(t.probe->config_writes, 0);
	CU_ASSERT_EQUAL(drv_status(t.bus), ACK | DRIVER | FEATURES_OK);
	dut_fini(&t);
}

/* The status register has 32 bits of which 8 mean something; only 0 resets. */
static void test_wide_status(void) /* MMIO-IMP-005 */
{
	struct dut t;

	dut_init(&t, DRV_MMIO, 1);
	dut_start(&t);
	drv_mmio_set(t.bus, MMIO_STATUS, 0x100);
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_STATUS), ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	drv_mmio_set(t.bus, MMIO_STATUS, 0xffffff00u | FAILED);
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_STATUS),
			ACK | DRIVER | FEATURES_OK | DRIVER_OK | FAILED);
	drv_mmio_set(t.bus, MMIO_STATUS, 0);
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_STATUS), 0);
	dut_fini(&t);
}

/* Selectors choose, and a reset puts them back to 0. */
static void test_selectors(void)
{
	uint64_t offered;
	struct dut t;

	dut_init(&t, DRV_MMIO, 2);
	offered = drv_offered(t.bus);
	drv_mmio_set(t.bus, MMIO_DEVICE_FEATURES_SEL, 1);
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_DEVICE_FEATURES), offered >> 32);
	drv_mmio_set(t.bus, MMIO_DEVICE_FEATURES_SEL, 0);
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_DEVICE_FEATURES), (uint32_t)offered);
	/* The two feature selectors are two. */
	drv_mmio_set(t.bus, MMIO_DRIVER_FEATURES_SEL, 1);
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_DEVICE_FEATURES), (uint32_t)offered);
	drv_mmio_set(t.bus, MMIO_DRIVER_FEATURES, 1);
	CU_ASSERT_EQUAL(vio_device_accepted(t.dev, 1), 1);
	CU_ASSERT_EQUAL(vio_device_accepted(t.dev, 0), 0);
	drv_mmio_set(t.bus, MMIO_QUEUE_SEL, 1);
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_QUEUE_SIZE_MAX), 16);
	drv_mmio_set(t.bus, MMIO_QUEUE_SEL, 2);
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_QUEUE_SIZE_MAX), 0);
	drv_mmio_set(t.bus, MMIO_QUEUE_SEL, 0x10000); /* no truncation to 16 bits */
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_QUEUE_SIZE_MAX), 0);
	drv_reset(t.bus);
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_QUEUE_SIZE_MAX), 16);
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_DEVICE_FEATURES), (uint32_t)offered);
	dut_fini(&t);
}

/* A size register of 32 bits: no high bits are lost on the way to the check. */
static void test_wide_queue_size(void)
{
	struct dut t;

	dut_init(&t, DRV_MMIO, 1);
	MUST(drv_device_negotiate(&t.drv, DRV_ALL_FEATURES));
	drv_mmio_set(t.bus, MMIO_QUEUE_SIZE, 0x10008);
	CU_ASSERT(drv_status(t.bus) & NEEDS_RESET);
	MUST(drv_device_negotiate(&t.drv, DRV_ALL_FEATURES));
	drv_mmio_set(t.bus, MMIO_QUEUE_SIZE, 0x10000);
	CU_ASSERT(drv_status(t.bus) & NEEDS_RESET);
	dut_fini(&t);
}

static void test_queue_ready(void) /* MMIO-IMP-004, MMIO-DEV-007 */
{
	struct dut t;

	dut_init(&t, DRV_MMIO, 2);
	dut_start(&t);
	CU_ASSERT_TRUE(dut_serves(&t, 1));
	drv_mmio_set(t.bus, MMIO_QUEUE_SEL, 1);
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_QUEUE_READY), 1);
	drv_mmio_set(t.bus, MMIO_QUEUE_READY, 0);
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_QUEUE_READY), 0);
	CU_ASSERT_EQUAL(t.probe->stops, 1);
	dut_offer(&t, 1);
	drv_kick(t.bus, 1);
	drv_device_settle(&t.drv);
	CU_ASSERT_EQUAL(drv_queue_ready(&t.drv.queue[1]), 0);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	/* Set up anew, from index 0, and ready again. */
	drv_queue_clear(&t.drv.queue[1]);
	drv_device_place_queue(&t.drv, 1);
	CU_ASSERT_EQUAL(drv_get(t.bus, DRV_QUEUE_ENABLE, 1), 1);
	CU_ASSERT_TRUE(dut_serves(&t, 1));
	dut_fini(&t);
}

/* Bits stay until they are acknowledged, each by itself; the line follows. */
static void test_interrupt_status(void) /* MMIO-DEV-003, MMIO-DEV-004, MMIO-IMP-009 */
{
	uint8_t byte = 0x99;
	struct dut t;

	dut_init(&t, DRV_MMIO, 1);
	dut_start(&t);
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_INTERRUPT_STATUS), 0);
	CU_ASSERT_FALSE(t.bus->line);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_INTERRUPT_STATUS), ISR_QUEUE);
	CU_ASSERT_TRUE(t.bus->line);
	vio_device_config_update(t.dev, 0, &byte, 1);
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_INTERRUPT_STATUS), ISR_QUEUE | ISR_CONFIG);
	CU_ASSERT_EQUAL(t.bus->n_irqs, 1); /* the line was up */
	drv_mmio_set(t.bus, MMIO_INTERRUPT_ACK, ~(ISR_QUEUE | ISR_CONFIG));
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_INTERRUPT_STATUS), ISR_QUEUE | ISR_CONFIG);
	drv_mmio_set(t.bus, MMIO_INTERRUPT_ACK, ISR_QUEUE);
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_INTERRUPT_STATUS), ISR_CONFIG);
	CU_ASSERT_TRUE(t.bus->line);
	drv_mmio_set(t.bus, MMIO_INTERRUPT_ACK, ISR_CONFIG);
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_INTERRUPT_STATUS), 0);
	CU_ASSERT_FALSE(t.bus->line);
	drv_mmio_set(t.bus, MMIO_INTERRUPT_ACK, ISR_QUEUE | ISR_CONFIG);
	CU_ASSERT_FALSE(t.bus->line);
	drv_mmio_set(t.bus, MMIO_INTERRUPT_STATUS, 3); /* read only */
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_INTERRUPT_STATUS), 0);
	dut_fini(&t);
}

static void test_reset_drops_interrupts(void) /* MMIO-DEV-005 */
{
	struct dut t;

	dut_init(&t, DRV_MMIO, 1);
	dut_start(&t);
	CU_ASSERT_TRUE(dut_serves(&t, 0));
	CU_ASSERT_TRUE(t.bus->line);
	drv_mmio_set(t.bus, MMIO_STATUS, 0);
	CU_ASSERT_FALSE(t.bus->line);
	CU_ASSERT_EQUAL(drv_mmio_get(t.bus, MMIO_INTERRUPT_STATUS), 0);
	dut_fini(&t);
}

/* ---- a transport of our own --------------------------------------------------------------------
 */

static uint64_t shm_base(void *arg, uint8_t id)
{
	(void)arg;
	return UINT64_C(0x400000000) + id * UINT64_C(0x100000000);
}

static void make_probe(struct drv_rig *rig, const struct vio_shm *shm, unsigned n_shm,
		       uint32_t config_size, struct drv_probe **out)
{
	struct drv_probe_config cfg = {.n_queues = 2,
				       .queue_size = 8,
				       .config_size = config_size,
				       .shm = shm,
				       .n_shm = n_shm};

	MUST(drv_rig_init(rig));
	MUST(drv_probe_create(&rig->env, &cfg, out));
}

static uint64_t get64(struct vio_mmio *m, uint64_t low)
{
	uint32_t v[2];

	vio_mmio_read(m, low, &v[0], 4);
	vio_mmio_read(m, low + 4, &v[1], 4);
	return v[0] | (uint64_t)v[1] << 32;
}

static void test_shared_memory(void) /* MMIO-IMP-006 */
{
	static uint8_t mem[2][4096];
	const struct vio_shm shm[] = {{.id = 1, .hva = mem[0], .len = 4096},
				      {.id = 9, .hva = mem[1], .len = UINT64_C(0x1000000000)}};
	const struct vio_mmio_config cfg = {.irq_fd = -1, .shm_base = shm_base};
	struct drv_probe *p;
	struct vio_mmio *m;
	struct drv_rig rig;

	make_probe(&rig, shm, 2, 8, &p);
	MUST(vio_mmio_create(&p->base, &cfg, &m));
	for (uint32_t sel = 0; sel < 0x402; sel++) {
		const struct vio_shm *s = sel == 1 ? &shm[0] : sel == 9 ? &shm[1] : NULL;

		vio_mmio_write(m, MMIO_SHM_SEL, &sel, 4);
		CU_ASSERT_EQUAL(get64(m, MMIO_SHM_LEN_LOW), s ? s->len : UINT64_MAX);
		CU_ASSERT_EQUAL(get64(m, MMIO_SHM_BASE_LOW),
				s ? shm_base(NULL, s->id) : UINT64_MAX);
	}
	vio_mmio_destroy(m);
	vio_device_destroy(&p->base);
	drv_rig_fini(&rig);
}

/* One transport at a time, and another one after it. */
static void test_attach(void)
{
	const struct vio_mmio_config cfg = {.irq_fd = -1, .vendor_id = 0x12345678};
	struct vio_mmio *m, *second = NULL;
	struct drv_probe *p;
	struct drv_rig rig;
	uint32_t v;

	make_probe(&rig, NULL, 0, 8, &p);
	MUST(vio_mmio_create(&p->base, &cfg, &m));
	CU_ASSERT_EQUAL(vio_mmio_create(&p->base, &cfg, &second), -EBUSY);
	vio_mmio_read(m, MMIO_VENDOR_ID, &v, 4);
	CU_ASSERT_EQUAL(v, 0x12345678);
	vio_mmio_destroy(m);
	CU_ASSERT_EQUAL(vio_mmio_create(&p->base, &cfg, &second), 0);
	vio_mmio_destroy(second);
	vio_mmio_destroy(NULL);
	vio_device_destroy(&p->base);
	drv_rig_fini(&rig);
}

/* The window is a power of two that holds all of the configuration space. */
static void test_window_size(void)
{
	static const uint32_t config[] = {0, 1, 0x100, 0x101, 0x300, 0x301, 0x1000};
	static const uint64_t window[] = {0x200, 0x200, 0x200, 0x400, 0x400, 0x800, 0x2000};
	const struct vio_mmio_config cfg = {.irq_fd = -1};

	for (unsigned i = 0; i < VIO_ARRAY_LEN(config); i++) {
		struct drv_probe *p;
		struct vio_mmio *m;
		struct drv_rig rig;
		uint8_t last = 0;

		make_probe(&rig, NULL, 0, config[i], &p);
		MUST(vio_mmio_create(&p->base, &cfg, &m));
		CU_ASSERT_EQUAL(vio_mmio_size(m), window[i]);
		if (config[i] > 0) {
			vio_mmio_read(m, MMIO_CONFIG + config[i] - 1, &last, 1);
			CU_ASSERT_EQUAL(last, (uint8_t)(config[i] - 1));
		}
		vio_mmio_destroy(m);
		vio_device_destroy(&p->base);
		drv_rig_fini(&rig);
	}
}

static unsigned signalled(int fd)
{
	eventfd_t n = 0;

	return eventfd_read(fd, &n) == 0 ? (unsigned)n : 0;
}

/* An edge per event that the driver has not been told of: what an irqfd takes. */
static void test_irq_fd(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	const struct vio_mmio_config cfg = {.irq_fd = fd};
	static const uint8_t bytes[] = {0x80, 0x81, 0x82};
	struct drv_probe *p;
	struct vio_mmio *m;
	struct drv_rig rig;
	uint32_t v;

	make_probe(&rig, NULL, 0, 8, &p);
	MUST(vio_mmio_create(&p->base, &cfg, &m));
	for (uint32_t status = ACK; status <= DRIVER; status <<= 1)
		vio_device_set_status(&p->base, (uint8_t)status);
	vio_device_accept(&p->base, 1, 1);
	vio_device_set_status(&p->base, FEATURES_OK);
	vio_device_set_status(&p->base, DRIVER_OK);
	CU_ASSERT_EQUAL(signalled(fd), 0);
	vio_device_config_update(&p->base, 0, &bytes[0], 1);
	CU_ASSERT_EQUAL(signalled(fd), 1);
	vio_device_config_update(&p->base, 0, &bytes[1], 1);
	vio_mmio_read(m, MMIO_INTERRUPT_STATUS, &v, 4);
	CU_ASSERT_EQUAL(v, ISR_CONFIG);
	vio_mmio_write(m, MMIO_INTERRUPT_ACK, &v, 4);
	CU_ASSERT_EQUAL(signalled(fd), 0); /* the second of a kind that was pending */
	vio_device_config_update(&p->base, 0, &bytes[2], 1);
	CU_ASSERT_EQUAL(signalled(fd), 1);
	vio_mmio_destroy(m);
	vio_device_destroy(&p->base);
	drv_rig_fini(&rig);
	close(fd);
}

/* Where KVM may catch the kick: the notify register, with the queue's index as the value. */
static void test_ioeventfd(void)
{
	struct vio_mmio_ioeventfd io;
	struct vio_mmio *m;
	struct dut t;

	dut_init(&t, DRV_MMIO, 3);
	m = drv_mmio_transport(t.bus);
	for (uint16_t i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(vio_mmio_ioeventfd(m, i, &io), 0);
		CU_ASSERT_EQUAL(io.offset, MMIO_QUEUE_NOTIFY);
		CU_ASSERT_EQUAL(io.length, 4);
		CU_ASSERT_EQUAL(io.data, i);
		CU_ASSERT_EQUAL(io.fd, vio_device_kick_fd(t.dev, i));
	}
	CU_ASSERT_EQUAL(vio_mmio_ioeventfd(m, 3, &io), -EINVAL);
	CU_ASSERT_EQUAL(vio_mmio_ioeventfd(m, UINT16_MAX, &io), -EINVAL);
	dut_fini(&t);
}

static CU_TestInfo tests[] = {
	{"identity", test_identity},
	{"read-only and write-only registers", test_directions},
	{"width and alignment", test_width_and_alignment},
	{"holes", test_holes},
	{"status is 8 bits of 32", test_wide_status},
	{"selectors", test_selectors},
	{"queue size is checked at full width", test_wide_queue_size},
	{"QueueReady", test_queue_ready},
	{"InterruptStatus and the line", test_interrupt_status},
	{"a reset drops interrupts", test_reset_drops_interrupts},
	{"shared memory", test_shared_memory},
	{"one transport at a time", test_attach},
	{"window size", test_window_size},
	{"irq_fd", test_irq_fd},
	{"ioeventfd", test_ioeventfd},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("mmio", tests);
}
