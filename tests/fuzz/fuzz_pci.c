/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes a whole virtio-pci function: the input is a program of configuration space and BAR
 * accesses, interrupts, configuration changes and writes to guest memory, run against a device with
 * three queues, configuration, shared memory and working rings. Besides what the sanitizers see,
 * the VMM's picture (BARs, line, vectors) must agree with the registers after every step.
 * fuzz_pci_seed.c is a main() that writes seeds and runs inputs without libFuzzer.
 */

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include <viodm/backend.h>
#include <viodm/iov.h>
#include <viodm/pci.h>
#include <viodm/transport.h>

#include "fuzz_pci.h"

#define QUEUES	    3
#define QUEUE_SIZE  16
#define VECTORS	    6
#define CONFIG_SIZE 26
#define RAM_SIZE    0x8000u
#define SHM_SIZE    4096

struct fuzz {
	const uint8_t *in;
	size_t left;

	struct vio_device dev;
	struct vio_backend be;
	struct vio_mem *mem;
	struct vio_pci *pci;
	struct vio_shm shm;
	uint8_t config[CONFIG_SIZE];
	uint8_t *ram;
	uint8_t *shm_bytes;
	bool running[QUEUES];
	int fd;

	/* the VMM's picture */
	bool level;
	struct vio_pci_vector vector[VECTORS];
	bool bar_enabled[VIO_PCI_N_BARS];
	uint64_t bar_address[VIO_PCI_N_BARS];
};

static void require(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_pci: %s\n", what);
		abort();
	}
}

/* ---- the device and who runs it -------------------------------------------------------------- */

static struct fuzz *fuzz_of(struct vio_device *dev)
{
	return vio_container_of(dev, struct fuzz, dev);
}

/* Answers each request with the sum of its bytes. */
static bool device_run(struct vio_device *dev, struct vio_queue *q)
{
	uint16_t left = q->size;
	struct vio_chain *c;

	while (left > 0 && vio_device_pop(dev, q, &c)) {
		struct vio_iov in = vio_iov_readable(c);
		struct vio_iov out = vio_iov_writable(c);
		uint8_t sum = 0;
		uint8_t b;

		for (unsigned i = 0; i < 64 && vio_iov_pull(&in, &b, 1); i++)
			sum = (uint8_t)(sum + b);
		vio_queue_push(q, c, vio_iov_put(&out, &sum, 1));
		left--;
	}
	vio_device_publish(dev, q);
	return left == 0;
}

static void device_config_write(struct vio_device *dev, uint32_t off, const void *buf, uint32_t len)
{
	require(vio_range_ok(off, len, CONFIG_SIZE), "write outside the configuration");
	memcpy(fuzz_of(dev)->config + off, buf, len);
}

static void device_destroy(struct vio_device *dev)
{
	vio_device_fini(dev);
}

static const struct vio_device_ops device_ops = {
	.name = "fuzz",
	.id = 2,
	.queue_run = device_run,
	.config_write = device_config_write,
	.destroy = device_destroy,
};

static uint64_t backend_features(struct vio_backend *be, const struct vio_device *dev)
{
	(void)be;
	(void)dev;
	return UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX | UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC |
	       UINT64_C(1) << VIRTIO_F_IN_ORDER;
}

static int backend_start(struct vio_backend *be, struct vio_device *dev, uint16_t index)
{
	const int ret = vio_device_queue_begin(dev, index, NULL);

	(void)be;
	fuzz_of(dev)->running[index] = ret == 0;
	return ret;
}

static void backend_stop(struct vio_backend *be, struct vio_device *dev, uint16_t index)
{
	(void)be;
	fuzz_of(dev)->running[index] = false;
	vio_device_queue_end(dev, index);
}

static void backend_destroy(struct vio_backend *be)
{
	(void)be;
}

static const struct vio_backend_ops backend_ops = {
	.name = "fuzz",
	.features = backend_features,
	.queue_start = backend_start,
	.queue_stop = backend_stop,
	.destroy = backend_destroy,
};

static void on_log(void *arg, enum vio_log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static const struct vio_log quiet = {.write = on_log};

/* ---- the VMM --------------------------------------------------------------------------------- */

static void on_msi(void *arg, uint16_t vector, uint64_t address, uint32_t data)
{
	const struct fuzz *f = arg;

	require(vector < VECTORS && !f->vector[vector].masked, "message of a masked vector");
	require(f->vector[vector].address == address && f->vector[vector].data == data,
		"a message the VMM was not told");
}

static void on_vector(void *arg, uint16_t vector, const struct vio_pci_vector *v)
{
	struct fuzz *f = arg;

	require(vector < VECTORS, "no such vector");
	f->vector[vector] = *v;
}

static void on_intx(void *arg, bool level)
{
	struct fuzz *f = arg;

	require(f->level != level, "INTx told twice");
	f->level = level;
}

static void on_bar(void *arg, unsigned bar, uint64_t address, bool enabled)
{
	struct fuzz *f = arg;

	require(vio_pci_bar_size(f->pci, bar) != 0, "no such BAR");
	f->bar_enabled[bar] = enabled;
	f->bar_address[bar] = address;
}

static uint32_t get_config(struct fuzz *f, uint32_t off, size_t len)
{
	uint8_t b[4];
	uint32_t v = 0;

	vio_pci_config_read(f->pci, off, b, len);
	for (size_t i = 0; i < len; i++)
		v |= (uint32_t)b[i] << (8 * i);
	return v;
}

static void check_line(struct fuzz *f)
{
	const uint32_t both = get_config(f, PCI_COMMAND, 4);
	const bool status = both >> 16 & PCI_STATUS_INTERRUPT;

	require(f->level == (status && !(both & PCI_COMMAND_INTX_DISABLE)), "INTx level");
	require(get_config(f, PCI_VENDOR_ID, 4) == 0x10421af4, "identity");
}

static void check_picture(struct fuzz *f)
{
	for (unsigned i = 0; i < VIO_PCI_N_BARS; i++) {
		uint64_t at = 0;
		const bool decodes = vio_pci_bar(f->pci, i, &at);

		require(decodes == f->bar_enabled[i], "BAR enabled");
		require(!decodes || at == f->bar_address[i], "BAR address");
	}
	check_line(f);
	for (uint16_t i = 0; i < VECTORS; i++) {
		uint8_t entry[16];

		if (f->vector[i].masked)
			continue;
		vio_pci_bar_read(f->pci, 1, i * 16u, entry, 8);
		vio_pci_bar_read(f->pci, 1, i * 16u + 8, entry + 8, 8);
		require(!(entry[12] & 1), "mask");
		require(!memcmp(entry, &(uint64_t){htole64(f->vector[i].address)}, 8), "address");
		require(!memcmp(entry + 8, &(uint32_t){htole32(f->vector[i].data)}, 4), "data");
	}
}

/* ---- operands -------------------------------------------------------------------------------- */

static uint64_t take(struct fuzz *f, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes && f->left > 0; i++, f->left--)
		v |= (uint64_t)*f->in++ << (8 * i);
	return v;
}

/* Mostly widths that exist. */
static size_t take_width(struct fuzz *f)
{
	static const uint8_t width[] = {1, 2, 4, 8, 4, 2, 3, 0};

	return width[take(f, 1) % sizeof(width)];
}

static void take_bytes(struct fuzz *f, uint8_t *dst, size_t len)
{
	for (size_t i = 0; i < len; i++)
		dst[i] = (uint8_t)take(f, 1);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void bar_write(struct fuzz *f, uint64_t off, size_t len, uint64_t v)
{
	const uint64_t le = htole64(v);

	vio_pci_bar_write(f->pci, 0, off, &le, len);
}

static void step_config(struct fuzz *f, bool write)
{
	const uint32_t off = (uint32_t)take(f, 1);
	const size_t len = take_width(f);
	uint8_t buf[8] = {0};

	if (write) {
		take_bytes(f, buf, 4);
		vio_pci_config_write(f->pci, off, buf, len);
	} else {
		vio_pci_config_read(f->pci, off, buf, len);
	}
}

static void step_bar(struct fuzz *f, bool write)
{
	const unsigned bar = (unsigned)take(f, 1);
	const uint64_t off = take(f, 2);
	const size_t len = take_width(f);
	uint8_t buf[8] = {0};

	if (write) {
		take_bytes(f, buf, 4);
		vio_pci_bar_write(f->pci, bar, off, buf, len);
	} else {
		vio_pci_bar_read(f->pci, bar, off, buf, len);
	}
}

static void step_bar_far(struct fuzz *f)
{
	const unsigned bar = (unsigned)take(f, 1);
	const uint64_t off = take(f, 8);
	const size_t len = take_width(f);
	uint8_t buf[8] = {0};

	vio_pci_bar_read(f->pci, bar, off, buf, len);
	vio_pci_bar_write(f->pci, bar, off, buf, len);
	(void)vio_pci_bar_memory(f->pci, bar, off, len);
}

static void step_common_write(struct fuzz *f)
{
	static const uint8_t field[][2] = {
		{VIRTIO_PCI_COMMON_DFSELECT, 4}, {VIRTIO_PCI_COMMON_GFSELECT, 4},
		{VIRTIO_PCI_COMMON_GF, 4},	 {VIRTIO_PCI_COMMON_MSIX, 2},
		{VIRTIO_PCI_COMMON_STATUS, 1},	 {VIRTIO_PCI_COMMON_Q_SELECT, 2},
		{VIRTIO_PCI_COMMON_Q_SIZE, 2},	 {VIRTIO_PCI_COMMON_Q_MSIX, 2},
		{VIRTIO_PCI_COMMON_Q_ENABLE, 2}, {VIRTIO_PCI_COMMON_Q_DESCLO, 4},
		{VIRTIO_PCI_COMMON_Q_DESCHI, 4}, {VIRTIO_PCI_COMMON_Q_AVAILLO, 4},
		{VIRTIO_PCI_COMMON_Q_USEDLO, 4}, {VIRTIO_PCI_COMMON_Q_RESET, 2},
	};
	const unsigned i = (unsigned)(take(f, 1) % VIO_ARRAY_LEN(field));

	bar_write(f, field[i][0], field[i][1], take(f, 4));
}

static void step_negotiate(struct fuzz *f)
{
	const uint32_t low = (uint32_t)take(f, 4);

	bar_write(f, VIRTIO_PCI_COMMON_STATUS, 1, 3);
	bar_write(f, VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	bar_write(f, VIRTIO_PCI_COMMON_GF, 4, low & 0x30000000);
	bar_write(f, VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	bar_write(f, VIRTIO_PCI_COMMON_GF, 4, 1 | (low & 0x148) | 1u << (VIO_F_SUSPEND - 32));
	bar_write(f, VIRTIO_PCI_COMMON_STATUS, 1, 11);
}

static void step_queue(struct fuzz *f)
{
	bar_write(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, take(f, 1) % QUEUES);
	for (unsigned i = 0; i < 3; i++)
		bar_write(f, VIRTIO_PCI_COMMON_Q_DESCLO + 8 * i, 8, RAM_BASE + take(f, 2));
	bar_write(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

static void step_ram(struct fuzz *f)
{
	const size_t off = take(f, 2) % (RAM_SIZE - 256);

	take_bytes(f, f->ram + off, take(f, 1));
}

static void step_kick(struct fuzz *f)
{
	const uint16_t index = (uint16_t)(take(f, 1) % QUEUES);
	struct vio_pci_ioeventfd e;

	require(vio_pci_ioeventfd(f->pci, index, &e) == 0, "ioeventfd");
	bar_write(f, e.offset, vio_device_has(&f->dev, VIO_F_NOTIFICATION_DATA) ? 4 : 2, index);
	if (f->running[index])
		(void)vio_device_queue_run(&f->dev, index);
}

static void step_fds(struct fuzz *f)
{
	const uint16_t vector = (uint16_t)take(f, 1);
	const uint64_t bits = take(f, 1);

	require((vio_pci_set_vector_fd(f->pci, vector, bits & 1 ? f->fd : -1) == 0) ==
			(vector < VECTORS),
		"set_vector_fd");
	vio_pci_set_intx_fd(f->pci, bits & 2 ? f->fd : -1);
	if (bits & 4)
		vio_pci_intx_resample(f->pci);
}

static void step_config_event(struct fuzz *f)
{
	const uint32_t off = (uint32_t)take(f, 1);
	const uint8_t v = (uint8_t)take(f, 1);

	vio_device_config_update(&f->dev, off, &v, 1);
}

static void step(struct fuzz *f)
{
	switch ((enum fuzz_op)(take(f, 1) % N_OPS)) {
	case OP_CONFIG_READ:
		step_config(f, false);
		break;
	case OP_CONFIG_WRITE:
		step_config(f, true);
		break;
	case OP_BAR_READ:
		step_bar(f, false);
		break;
	case OP_BAR_WRITE:
		step_bar(f, true);
		break;
	case OP_BAR_FAR:
		step_bar_far(f);
		break;
	case OP_COMMON_WRITE:
		step_common_write(f);
		break;
	case OP_NEGOTIATE:
		step_negotiate(f);
		break;
	case OP_QUEUE:
		step_queue(f);
		break;
	case OP_DRIVER_OK:
		bar_write(f, VIRTIO_PCI_COMMON_STATUS, 1,
			  vio_device_status(&f->dev) & VIRTIO_CONFIG_S_DRIVER_OK ? 31 : 15);
		break;
	case OP_RAM:
		step_ram(f);
		break;
	case OP_KICK:
		step_kick(f);
		break;
	case OP_QUEUE_EVENT:
		f->dev.transport->ops->queue_interrupt(f->dev.transport,
						       (uint16_t)(take(f, 1) % QUEUES));
		break;
	case OP_CONFIG_EVENT:
		step_config_event(f);
		break;
	case OP_FDS:
		step_fds(f);
		break;
	case OP_BUS_RESET:
	case N_OPS:
		vio_pci_reset(f->pci);
		break;
	}
}

/* ---- one input ------------------------------------------------------------------------------- */

static void fuzz_init(struct fuzz *f)
{
	struct vio_mem_region region = {.gpa = RAM_BASE, .size = RAM_SIZE, .fd = -1};
	struct vio_device_env env = {
		.backend = &f->be, .log = &quiet, .opt_in = VIO_OPT_IN_FEATURES};
	const struct vio_pci_config cfg = {.hooks = {.msi = on_msi,
						     .vector_changed = on_vector,
						     .intx = on_intx,
						     .bar_changed = on_bar,
						     .arg = f},
					   .n_vectors = VECTORS};

	f->ram = calloc(1, RAM_SIZE);
	f->shm_bytes = calloc(1, SHM_SIZE);
	require(f->ram && f->shm_bytes, "memory");
	region.hva = f->ram;
	for (unsigned i = 0; i < VECTORS; i++)
		f->vector[i].masked = true;
	f->fd = eventfd(0, EFD_NONBLOCK);
	f->be.ops = &backend_ops;
	f->shm = (struct vio_shm){.id = 3, .hva = f->shm_bytes, .len = SHM_SIZE};
	f->dev.ops = &device_ops;
	f->dev.n_queues = QUEUES;
	f->dev.queue_size = QUEUE_SIZE;
	f->dev.slot_size = sizeof(struct vio_chain);
	f->dev.config = f->config;
	f->dev.config_size = CONFIG_SIZE;
	f->dev.shm = &f->shm;
	f->dev.n_shm = 1;
	require(vio_mem_create(&region, 1, &f->mem) == 0, "vio_mem_create");
	env.mem = f->mem;
	require(vio_device_init(&f->dev, &env) == 0, "vio_device_init");
	require(vio_pci_create(&f->dev, &cfg, &f->pci) == 0, "vio_pci_create");
}

static void fuzz_fini(struct fuzz *f)
{
	vio_pci_destroy(f->pci);
	require(!f->level && !f->bar_enabled[0] && f->vector[0].masked, "quiet after destroy");
	vio_device_destroy(&f->dev);
	vio_mem_destroy(f->mem);
	close(f->fd);
	free(f->shm_bytes);
	free(f->ram);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = {.in = data, .left = size};

	fuzz_init(&f);
	while (f.left > 0) {
		step(&f);
		check_picture(&f);
	}
	fuzz_fini(&f);
	return 0;
}

unsigned fuzz_pci_find_cap(uint8_t id, uint8_t type)
{
	struct fuzz f = {.in = NULL};
	unsigned at;

	fuzz_init(&f);
	at = get_config(&f, PCI_CAPABILITY_LIST, 1);
	while (at && (get_config(&f, at, 1) != id || (type && get_config(&f, at + 3, 1) != type)))
		at = get_config(&f, at + PCI_CAP_LIST_NEXT, 1);
	fuzz_fini(&f);
	return at;
}
