/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtio-mmio registers: the input is a series of register accesses, changes of guest memory,
 * interrupts and loop turns, on the probe device of tests/driver with three queues and a shared
 * memory region. After each step what the registers promise is checked.
 */
#include <driver/probe.h>
#include <driver/rig.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <viodm/mmio.h>

#include "fuzz_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_QUEUES 3
#define RAM_BASE DRV_RIG_RAM_GPA

enum op {
	OP_WRITE32,   /* register number, value */
	OP_READ32,    /* register number */
	OP_ACCESS,    /* offset (2), width, write?, bytes: any */
	OP_FAR,	      /* offset (8), width */
	OP_INIT,      /* features (4): reset .. FEATURES_OK */
	OP_QUEUE,     /* queue, three offsets in RAM: places and enables it */
	OP_DRIVER_OK, /* a device that runs is suspended */
	OP_RAM,	      /* offset (2), count, bytes */
	OP_KICK,      /* queue */
	OP_TURN,
	OP_CONFIG_EVENT, /* offset, value */
	OP_FAIL,
	OP_HOLD, /* keep chains in flight, or not */
	N_OPS,
};

struct fuzz {
	struct drv_rig rig;
	struct drv_probe *probe;
	struct vio_mmio *mmio;
	uint8_t shm_bytes[4096];
	struct vio_shm shm;
	bool level;
};

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void on_irq(void *arg, bool level)
{
	struct fuzz *f = arg;

	require(level != f->level); /* on change only */
	f->level = level;
}

static uint64_t shm_base(void *arg, uint8_t id)
{
	(void)arg;
	return 0x100000000u + id;
}

static uint32_t get(struct fuzz *f, uint64_t off)
{
	uint32_t v;

	vio_mmio_read(f->mmio, off, &v, 4);
	return le32toh(v);
}

static void set(struct fuzz *f, uint64_t off, uint32_t v)
{
	v = htole32(v);
	vio_mmio_write(f->mmio, off, &v, 4);
}

static void op_access(struct fuzz *f, struct fuzz_input *in)
{
	uint16_t off = fuzz_u16(in) % 0x300;
	size_t len = fuzz_u8(in) % 17;
	uint8_t buf[16];

	if (fuzz_u8(in) & 1) {
		fuzz_bytes(in, buf, len);
		vio_mmio_write(f->mmio, off, buf, len);
	} else {
		vio_mmio_read(f->mmio, off, buf, len);
	}
}

static void op_far(struct fuzz *f, struct fuzz_input *in)
{
	uint64_t off;
	uint8_t buf[8];
	size_t len = 1 + fuzz_u8(in) % 8;

	fuzz_bytes(in, &off, sizeof(off));
	vio_mmio_read(f->mmio, off, buf, len);
	vio_mmio_write(f->mmio, off, buf, len);
}

static void op_init(struct fuzz *f, uint32_t features)
{
	set(f, 0x70, 0);
	set(f, 0x70, 3);
	set(f, 0x24, 0);
	set(f, 0x20, features & 0x3fffffff);
	set(f, 0x24, 1);
	set(f, 0x20,
	    1 | 1u << (VIO_F_SUSPEND - 32) | (features >> 30 & 1) << (VIRTIO_F_IN_ORDER - 32) |
		    features >> 31 << (VIO_F_NOTIFICATION_DATA - 32));
	set(f, 0x70, 11);
}

static void op_queue(struct fuzz *f, struct fuzz_input *in)
{
	set(f, 0x30, fuzz_u8(in) % 4);
	set(f, 0x38, 1u << fuzz_u8(in) % 9);
	set(f, 0x80, RAM_BASE + (fuzz_u16(in) & 0xfff0u));
	set(f, 0x90, RAM_BASE + (fuzz_u16(in) & 0xfffeu));
	set(f, 0xa0, RAM_BASE + (fuzz_u16(in) & 0xfffcu));
	set(f, 0x44, 1);
}

static void op_ram(struct fuzz *f, struct fuzz_input *in)
{
	uint16_t off = fuzz_u16(in);

	fuzz_bytes(in, vio_mem_ptr(f->rig.map, RAM_BASE + off, 256), fuzz_u8(in));
}

static void turn(struct fuzz *f)
{
	/* Bounded: one drain of each queue and its continuation. */
	for (int i = 0; i < 4; i++)
		drv_rig_turn(&f->rig);
}

static void step(struct fuzz *f, struct fuzz_input *in)
{
	uint8_t v;

	switch ((enum op)(fuzz_u8(in) % N_OPS)) {
	case OP_WRITE32:
		v = fuzz_u8(in);
		set(f, v * 4u, fuzz_u32(in));
		break;
	case OP_READ32:
		get(f, fuzz_u8(in) * 4u);
		break;
	case OP_ACCESS:
		op_access(f, in);
		break;
	case OP_FAR:
		op_far(f, in);
		break;
	case OP_INIT:
		op_init(f, fuzz_u32(in));
		break;
	case OP_QUEUE:
		op_queue(f, in);
		break;
	case OP_DRIVER_OK:
		set(f, 0x70, get(f, 0x70) & 4 ? 31 : 15);
		break;
	case OP_RAM:
		op_ram(f, in);
		break;
	case OP_KICK:
		v = fuzz_u8(in);
		set(f, 0x50, v & 0x80 ? v << 16 | (v & 0x7f) : v);
		turn(f);
		break;
	case OP_TURN:
		turn(f);
		break;
	case OP_CONFIG_EVENT:
		v = fuzz_u8(in);
		vio_device_config_update(&f->probe->base, fuzz_u8(in), &v, 1);
		break;
	case OP_FAIL:
		vio_device_fail(&f->probe->base, "the fuzzer says so");
		break;
	case OP_HOLD:
		f->probe->hold = !f->probe->hold;
		break;
	case N_OPS:
		break;
	}
}

/* What must be true at any time. */
static void check(struct fuzz *f)
{
	uint32_t status = get(f, 0x70), isr = get(f, 0x60);

	require(get(f, 0x00) == 0x74726976 && get(f, 0x04) == 2);
	require((isr & ~3u) == 0 && f->level == (isr != 0));
	require((status & ~0xdfu) == 0);
	require(!(status & 0x14) || (status & 8)); /* DRIVER_OK, SUSPEND only after FEATURES_OK */
	require((status & 0x14) != 0x14);
	if (status == 0)
		require(isr == 0);
}

static void fuzz_open(struct fuzz *f)
{
	struct drv_probe_config cfg = {.n_queues = N_QUEUES,
				       .queue_size = 64,
				       .config_size = 40,
				       .shm = &f->shm,
				       .n_shm = 1};
	struct vio_mmio_config hooks = {
		.irq = on_irq, .irq_fd = -1, .shm_base = shm_base, .arg = f};

	f->shm = (struct vio_shm){.id = 7, .hva = f->shm_bytes, .len = sizeof(f->shm_bytes)};
	require(drv_rig_init(&f->rig) == 0);
	f->rig.env.opt_in = VIO_OPT_IN_FEATURES;
	require(drv_probe_create(&f->rig.env, &cfg, &f->probe) == 0);
	require(vio_mmio_create(&f->probe->base, &hooks, &f->mmio) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct fuzz *f = calloc(1, sizeof(*f));

	require(f != NULL);
	fuzz_open(f);
	while (in.left > 0) {
		step(f, &in);
		check(f);
	}
	vio_mmio_destroy(f->mmio);
	vio_device_destroy(&f->probe->base);
	drv_rig_fini(&f->rig);
	free(f);
	return 0;
}
