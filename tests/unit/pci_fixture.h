/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PCI_FIXTURE_H
#define PCI_FIXTURE_H

/*
 * A small device behind virtio-pci whose queues nobody runs, and a VMM that writes down what it is
 * told. For test_pci*.c: it looks at registers and interrupts, not at rings.
 */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>

#include <viodm/backend.h>
#include <viodm/pci.h>
#include <viodm/transport.h>

#include "suite.h"

#define NO_VECTOR 0xffff

#define FX_DEVICE_ID	 4
#define FX_QUEUES	 3
#define FX_QUEUE_SIZE	 8
#define FX_CONFIG_SIZE	 18 /* on purpose no multiple of 4 */
#define FX_VECTORS	 5
#define FX_MAX_EVENTS	 64
#define FX_RAM_SIZE	 65536
#define FX_SHM0_SIZE	 4096
#define FX_SHM1_SIZE	 8192
#define FX_MODEL_FEATURE 3 /* bit number */

struct fx_bar_event {
	unsigned bar;
	uint64_t address;
	bool enabled;
};

struct fx {
	struct vio_device dev;
	struct vio_backend be;
	struct vio_mem *mem;
	uint8_t ram[FX_RAM_SIZE];
	uint8_t shm_bytes[FX_SHM0_SIZE + FX_SHM1_SIZE];
	struct vio_shm shm[4];
	uint8_t config[FX_CONFIG_SIZE];
	unsigned started; /* queues the back-end has, a bit each */
	struct vio_pci *pci;

	/* what the hooks said */
	_Atomic unsigned n_msi[FX_VECTORS];
	_Atomic uint64_t msi_address;
	_Atomic uint32_t msi_data;
	_Atomic bool level;
	_Atomic unsigned n_intx;
	_Atomic unsigned intx_out_of_order;
	struct vio_pci_vector vector[FX_VECTORS];
	_Atomic unsigned n_vector_changed[FX_VECTORS];
	_Atomic bool bar_enabled[VIO_PCI_N_BARS];
	_Atomic uint64_t bar_address[VIO_PCI_N_BARS];
	_Atomic unsigned n_bar;
	struct fx_bar_event bar[FX_MAX_EVENTS];

	/* called in vector_changed() when set */
	void (*on_vector)(struct fx *f, uint16_t vector);

	bool slow;		   /* state hooks let other threads run before they note anything */
	_Atomic int inside[3];	   /* intx, bar_changed, vector_changed of vector 1 */
	_Atomic unsigned overlaps; /* calls of one state hook at the same time */
};

static inline struct fx *fx_of(struct vio_device *dev)
{
	return vio_container_of(dev, struct fx, dev);
}

/* ---- the device ------------------------------------------------------------------------------ */

static inline bool fx_queue_run(struct vio_device *dev, struct vio_queue *q)
{
	(void)dev;
	(void)q;
	return false;
}

static inline void fx_config_write(struct vio_device *dev, uint32_t off, const void *buf,
				   uint32_t len)
{
	memcpy(fx_of(dev)->config + off, buf, len);
}

static inline void fx_device_destroy(struct vio_device *dev)
{
	vio_device_fini(dev);
}

static const struct vio_device_ops fx_device_ops = {
	.name = "fixture",
	.id = FX_DEVICE_ID,
	.queue_run = fx_queue_run,
	.config_write = fx_config_write,
	.destroy = fx_device_destroy,
};

static inline uint64_t fx_features(struct vio_backend *be, const struct vio_device *dev)
{
	(void)be;
	(void)dev;
	return 0;
}

static inline int fx_queue_start(struct vio_backend *be, struct vio_device *dev, uint16_t index)
{
	(void)be;
	fx_of(dev)->started |= 1u << index;
	return 0;
}

static inline void fx_queue_stop(struct vio_backend *be, struct vio_device *dev, uint16_t index)
{
	(void)be;
	fx_of(dev)->started &= ~(1u << index);
}

static inline void fx_backend_destroy(struct vio_backend *be)
{
	(void)be;
}

static const struct vio_backend_ops fx_backend_ops = {
	.name = "fixture",
	.features = fx_features,
	.queue_start = fx_queue_start,
	.queue_stop = fx_queue_stop,
	.destroy = fx_backend_destroy,
};

static inline void fx_log(void *arg, enum vio_log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static const struct vio_log fx_quiet = {.write = fx_log};

/* ---- the VMM --------------------------------------------------------------------------------- */

static inline void fx_msi(void *arg, uint16_t vector, uint64_t address, uint32_t data)
{
	struct fx *f = arg;

	f->msi_address = address;
	f->msi_data = data;
	f->n_msi[vector]++;
}

/* Begin and end of a state hook, of which there is one call at a time. */
static inline void fx_enter(struct fx *f, unsigned hook)
{
	f->overlaps += atomic_fetch_add(&f->inside[hook], 1) != 0;
	if (f->slow)
		sched_yield();
}

static inline void fx_leave(struct fx *f, unsigned hook)
{
	f->inside[hook]--;
}

static inline void fx_vector_changed(void *arg, uint16_t vector, const struct vio_pci_vector *v)
{
	struct fx *f = arg;

	if (vector == 1)
		fx_enter(f, 2);
	f->vector[vector] = *v;
	f->n_vector_changed[vector]++;
	if (f->on_vector)
		f->on_vector(f, vector);
	if (vector == 1)
		fx_leave(f, 2);
}

static inline void fx_intx(void *arg, bool level)
{
	struct fx *f = arg;

	fx_enter(f, 0);
	f->intx_out_of_order += atomic_exchange(&f->level, level) == level;
	f->n_intx++;
	fx_leave(f, 0);
}

static inline void fx_bar_changed(void *arg, unsigned bar, uint64_t address, bool enabled)
{
	struct fx *f = arg;
	unsigned n;

	fx_enter(f, 1);
	n = f->n_bar++;
	if (n < FX_MAX_EVENTS)
		f->bar[n] = (struct fx_bar_event){bar, address, enabled};
	f->bar_enabled[bar] = enabled;
	f->bar_address[bar] = address;
	fx_leave(f, 1);
}

/* ---- life ------------------------------------------------------------------------------------ */

static inline struct vio_pci_config fx_config(struct fx *f)
{
	return (struct vio_pci_config){
		.hooks = {.msi = fx_msi,
			  .vector_changed = fx_vector_changed,
			  .intx = fx_intx,
			  .bar_changed = fx_bar_changed,
			  .arg = f},
		.n_vectors = FX_VECTORS,
	};
}

static inline struct fx *fx_new_device(void)
{
	struct fx *f = calloc(1, sizeof(*f));
	const struct vio_mem_region region = {
		.gpa = 0x10000, .size = FX_RAM_SIZE, .hva = f->ram, .fd = -1};
	struct vio_device_env env = {.backend = &f->be, .log = &fx_quiet};

	f->be.ops = &fx_backend_ops;
	f->shm[0] = (struct vio_shm){.id = 1, .hva = f->shm_bytes, .len = FX_SHM0_SIZE};
	f->shm[1] =
		(struct vio_shm){.id = 9, .hva = f->shm_bytes + FX_SHM0_SIZE, .len = FX_SHM1_SIZE};
	f->dev.ops = &fx_device_ops;
	f->dev.model_features = UINT64_C(1) << FX_MODEL_FEATURE;
	f->dev.n_queues = FX_QUEUES;
	f->dev.queue_size = FX_QUEUE_SIZE;
	f->dev.slot_size = sizeof(struct vio_chain);
	f->dev.config = f->config;
	f->dev.config_size = FX_CONFIG_SIZE;
	f->dev.shm = f->shm;
	f->dev.n_shm = 2;
	for (unsigned i = 0; i < FX_CONFIG_SIZE; i++)
		f->config[i] = (uint8_t)(0x10 + i);
	if (vio_mem_create(&region, 1, &f->mem) < 0)
		abort();
	env.mem = f->mem;
	if (vio_device_init(&f->dev, &env) < 0)
		abort();
	return f;
}

static inline struct fx *fx_new_with(uint16_t n_vectors)
{
	struct fx *f = fx_new_device();
	struct vio_pci_config cfg = fx_config(f);

	cfg.n_vectors = n_vectors;
	if (vio_pci_create(&f->dev, &cfg, &f->pci) < 0)
		abort();
	return f;
}

static inline struct fx *fx_new(void)
{
	return fx_new_with(FX_VECTORS);
}

static inline void fx_free(struct fx *f)
{
	vio_pci_destroy(f->pci);
	vio_device_destroy(&f->dev);
	vio_mem_destroy(f->mem);
	free(f);
}

/* ---- accesses -------------------------------------------------------------------------------- */

static inline uint64_t fx_load(const uint8_t *b, size_t len)
{
	uint64_t v = 0;

	for (size_t i = 0; i < len; i++)
		v |= (uint64_t)b[i] << (8 * i);
	return v;
}

static inline void fx_store(uint8_t *b, size_t len, uint64_t v)
{
	for (size_t i = 0; i < len; i++)
		b[i] = (uint8_t)(v >> (8 * i));
}

static inline uint32_t cfg_get(struct fx *f, uint32_t off, size_t len)
{
	uint8_t b[8] = {0};

	vio_pci_config_read(f->pci, off, b, len);
	return (uint32_t)fx_load(b, len);
}

static inline void cfg_set(struct fx *f, uint32_t off, size_t len, uint32_t v)
{
	uint8_t b[8];

	fx_store(b, sizeof(b), v);
	vio_pci_config_write(f->pci, off, b, len);
}

static inline uint64_t bar_get(struct fx *f, unsigned bar, uint64_t off, size_t len)
{
	uint8_t b[8] = {0};

	vio_pci_bar_read(f->pci, bar, off, b, len);
	return fx_load(b, len);
}

static inline void bar_set(struct fx *f, unsigned bar, uint64_t off, size_t len, uint64_t v)
{
	uint8_t b[8];

	fx_store(b, sizeof(b), v);
	vio_pci_bar_write(f->pci, bar, off, b, len);
}

/* Offset of the n-th capability `id`, of virtio type `type` if that is not 0; 0: none. */
static inline uint32_t fx_cap(struct fx *f, uint8_t id, uint8_t type, unsigned n)
{
	uint32_t at = cfg_get(f, PCI_CAPABILITY_LIST, 1);

	for (unsigned i = 0; at && i < 48; i++) {
		if (cfg_get(f, at, 1) == id && (!type || cfg_get(f, at + 3, 1) == type) && n-- == 0)
			return at;
		at = cfg_get(f, at + PCI_CAP_LIST_NEXT, 1);
	}
	return 0;
}

static inline uint32_t fx_virtio_cap(struct fx *f, uint8_t type)
{
	return fx_cap(f, PCI_CAP_ID_VNDR, type, 0);
}

/* Address in its BAR of a byte of a virtio structure. */
static inline uint64_t fx_at(struct fx *f, uint8_t type, uint64_t off)
{
	return cfg_get(f, fx_virtio_cap(f, type) + 8, 4) + off;
}

static inline uint32_t com_get(struct fx *f, uint32_t off, size_t len)
{
	return (uint32_t)bar_get(f, 0, fx_at(f, VIRTIO_PCI_CAP_COMMON_CFG, off), len);
}

static inline void com_set(struct fx *f, uint32_t off, size_t len, uint32_t v)
{
	bar_set(f, 0, fx_at(f, VIRTIO_PCI_CAP_COMMON_CFG, off), len, v);
}

static inline uint32_t isr_get(struct fx *f)
{
	return (uint32_t)bar_get(f, 0, fx_at(f, VIRTIO_PCI_CAP_ISR_CFG, 0), 1);
}

static inline void fx_status(struct fx *f, uint8_t status)
{
	com_set(f, VIRTIO_PCI_COMMON_STATUS, 1, status);
}

/* A driver's way to FEATURES_OK. */
static inline void fx_negotiate(struct fx *f, uint64_t features)
{
	features |= UINT64_C(1) << VIRTIO_F_VERSION_1;
	fx_status(f, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	fx_status(f, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	for (uint32_t w = 0; w < 2; w++) {
		com_set(f, VIRTIO_PCI_COMMON_GFSELECT, 4, w);
		com_set(f, VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(features >> (32 * w)));
	}
	fx_status(f, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			     VIRTIO_CONFIG_S_FEATURES_OK);
}

static inline void fx_driver_ok(struct fx *f)
{
	fx_status(f, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			     VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

static inline void fx_place_queue(struct fx *f, uint16_t index)
{
	const uint32_t base = 0x10000 + 0x1000u * index;

	com_set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, index);
	com_set(f, VIRTIO_PCI_COMMON_Q_DESCLO, 4, base);
	com_set(f, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, base + 0x400);
	com_set(f, VIRTIO_PCI_COMMON_Q_USEDLO, 4, base + 0x800);
	com_set(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

/* What the device's loop does. */
static inline void fx_queue_event(struct fx *f, uint16_t index)
{
	f->dev.transport->ops->queue_interrupt(f->dev.transport, index);
}

static inline void fx_config_event(struct fx *f)
{
	f->dev.transport->ops->config_interrupt(f->dev.transport);
}

/* ---- interrupts ------------------------------------------------------------------------------ */

static inline void fx_msix_control(struct fx *f, uint32_t flags)
{
	cfg_set(f, fx_cap(f, PCI_CAP_ID_MSIX, 0, 0) + PCI_MSIX_FLAGS, 2, flags);
}

static inline void fx_command(struct fx *f, uint32_t command)
{
	cfg_set(f, PCI_COMMAND, 2, command);
}

static inline void fx_vector_mask(struct fx *f, uint16_t vector, bool masked)
{
	bar_set(f, 1, 16u * vector + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, masked);
}

static inline void fx_vector_message(struct fx *f, uint16_t vector, uint64_t address, uint32_t data)
{
	bar_set(f, 1, 16u * vector, 8, address);
	bar_set(f, 1, 16u * vector + PCI_MSIX_ENTRY_DATA, 4, data);
}

static inline bool fx_pending(struct fx *f, uint16_t vector)
{
	const uint32_t pba = cfg_get(f, fx_cap(f, PCI_CAP_ID_MSIX, 0, 0) + PCI_MSIX_PBA, 4) & ~7u;

	return bar_get(f, 1, pba + vector / 8, 1) >> (vector % 8) & 1;
}

/* Bus master and MSI-X on, every vector unmasked with its own message. */
static inline void fx_msix_on(struct fx *f)
{
	fx_command(f, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	fx_msix_control(f, PCI_MSIX_FLAGS_ENABLE);
	for (uint16_t v = 0; v < vio_pci_n_vectors(f->pci); v++) {
		fx_vector_message(f, v, 0xfee00000u + 0x1000u * v, 0x4000u + v);
		fx_vector_mask(f, v, false);
	}
}

static inline void fx_map_queue(struct fx *f, uint16_t queue, uint16_t vector)
{
	com_set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
	com_set(f, VIRTIO_PCI_COMMON_Q_MSIX, 2, vector);
}

/* What an eventfd counted since the last call. */
static inline uint64_t take(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) < 0 ? 0 : n;
}

static inline bool interrupt_status(struct fx *f)
{
	return cfg_get(f, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT;
}

/* Points the PCI_CFG window at a BAR access. */
static inline void window_set(struct fx *f, uint32_t bar, uint32_t off, uint32_t len)
{
	const uint32_t cap = fx_virtio_cap(f, VIRTIO_PCI_CAP_PCI_CFG);

	cfg_set(f, cap + 4, 1, bar);
	cfg_set(f, cap + 8, 4, off);
	cfg_set(f, cap + 12, 4, len);
}

#endif
