/* SPDX-License-Identifier: BSD-3-Clause */
/* The PCI function as an object, and which BAR access goes where. */
#include <viodm/defect.h>
#include "pci_internal.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <string.h>

#define PCI_MAX_REGS_SIZE (UINT64_C(1) << 30)

/* ---- resets ---------------------------------------------------------------------------------- */

/* The device was reset: its events are unmapped and void, its selectors are 0 (PCI-DEV-078). */
static void pci_on_reset(struct vio_transport *t)
{
	struct vio_pci *pci = vio_container_of(t, struct vio_pci, transport);

	atomic_store(&pci->device_feature_select, 0);
	atomic_store(&pci->driver_feature_select, 0);
	atomic_store(&pci->queue_select, 0);
	if (!VIO_DEFECT("pci-vectors-survive-reset") || pci->transport.dev->transport == NULL)
		atomic_store(&pci->config_vector, VIRTIO_MSI_NO_VECTOR);
	for (uint16_t i = 0; i < pci->n_queues; i++)
		atomic_store(&pci->queue_vector[i], VIRTIO_MSI_NO_VECTOR);
	for (uint16_t i = 0; i < pci->n_vectors && !VIO_DEFECT("msix-pending-survives-reset"); i++)
		vio_msix_clear_pending(pci, i);
	if (!VIO_DEFECT("pci-isr-survives-reset"))
		(void)vio_pci_isr_read(pci);
}

static bool pci_vector_used(struct vio_pci *pci, uint16_t vector)
{
	if (atomic_load(&pci->config_vector) == vector)
		return true;
	for (uint16_t i = 0; i < pci->n_queues; i++) {
		if (atomic_load(&pci->queue_vector[i]) == vector)
			return true;
	}
	return false;
}

/* A pending bit goes with its queue, unless it may be another event's. */
static void pci_on_queue_reset(struct vio_transport *t, uint16_t index)
{
	struct vio_pci *pci = vio_container_of(t, struct vio_pci, transport);
	const uint16_t vector = atomic_exchange(&pci->queue_vector[index], VIRTIO_MSI_NO_VECTOR);

	if (vector != VIRTIO_MSI_NO_VECTOR && !pci_vector_used(pci, vector))
		vio_msix_clear_pending(pci, vector);
}

static const struct vio_transport_ops pci_ops = {
	.name = "pci",
	.features = UINT64_C(1) << VIRTIO_F_RING_RESET | UINT64_C(1) << VIO_F_SUSPEND |
		    UINT64_C(1) << VIO_F_NOTIFICATION_DATA,
	.queue_interrupt = vio_pci_queue_interrupt,
	.config_interrupt = vio_pci_config_interrupt,
	.reset = pci_on_reset,
	.queue_reset = pci_on_queue_reset,
};

void vio_pci_reset(struct vio_pci *pci)
{
	vio_device_reset(pci->transport.dev);
	vio_pci_config_reset(pci);
	vio_msix_reset(pci);
}

/* ---- create and destroy ---------------------------------------------------------------------- */

static uint64_t pci_pow2_at_least(uint64_t v)
{
	uint64_t p = PCI_PAGE;

	while (p < v)
		p <<= 1;
	return p;
}

/* Regions one after the other, each aligned to its size. Returns the bytes, UINT64_MAX if bad. */
static uint64_t pci_place_shm(struct vio_pci *pci)
{
	const struct vio_shm *shm;
	uint64_t end = 0;

	while ((shm = vio_device_shm(pci->transport.dev, pci->n_shm))) {
		if (pci->n_shm == PCI_MAX_SHM || !vio_is_pow2(shm->len) || shm->len < PCI_PAGE ||
		    shm->len > PCI_MAX_SHM_LENGTH)
			return UINT64_MAX;
		for (unsigned i = 0; i < pci->n_shm; i++) {
			if (pci->shm[i].shm->id == shm->id) /* PCI-DEV-055 */
				return UINT64_MAX;
		}
		end = vio_round_up(end, shm->len);
		pci->shm[pci->n_shm++] = (struct pci_shm){shm, end};
		end += shm->len;
	}
	return end;
}

static int pci_layout(struct vio_pci *pci, const struct vio_pci_config *cfg)
{
	struct vio_device *dev = pci->transport.dev;
	const uint64_t regs = PCI_DEVICE_OFFSET + (uint64_t)vio_device_config_size(dev);
	uint64_t shm;

	pci->n_queues = vio_device_n_queues(dev);
	pci->n_vectors = cfg->n_vectors;
	if (cfg->n_vectors == VIO_PCI_VECTORS_AUTO)
		pci->n_vectors = (uint16_t)(pci->n_queues + 1);
	if (pci->n_vectors > PCI_MAX_VECTORS || regs > PCI_MAX_REGS_SIZE)
		return -EINVAL;
	pci->bar[PCI_BAR_REGS].size = pci_pow2_at_least(regs);
	if (pci->n_vectors > 0) {
		/* the pending bits, at most 256 bytes, have a page of their own */
		pci->pba_offset = (uint32_t)vio_round_up(pci->n_vectors * 16u, PCI_PAGE);
		pci->bar[PCI_BAR_MSIX].size = pci_pow2_at_least(pci->pba_offset + PCI_PAGE);
	}
	shm = pci_place_shm(pci);
	if (shm == UINT64_MAX)
		return -EINVAL;
	if (shm > 0) {
		pci->bar[PCI_BAR_SHM].size = pci_pow2_at_least(shm);
		pci->bar[PCI_BAR_SHM].is64 = true;
	}
	return 0;
}

static void pci_free(struct vio_pci *pci)
{
	vio_msix_fini(pci);
	free(pci->queue_vector);
	pthread_mutex_destroy(&pci->irq_lock);
	pthread_mutex_destroy(&pci->config_lock);
	free(pci);
}

static int pci_init(struct vio_pci *pci, const struct vio_pci_config *cfg)
{
	int ret = pci_layout(pci, cfg);

	if (ret < 0)
		return ret;
	pci->queue_vector = calloc(pci->n_queues + 1u, sizeof(*pci->queue_vector));
	if (!pci->queue_vector)
		return -ENOMEM;
	ret = vio_msix_init(pci);
	if (ret < 0)
		return ret;
	return vio_pci_config_init(pci, cfg);
}

int vio_pci_create(struct vio_device *dev, const struct vio_pci_config *cfg, struct vio_pci **out)
{
	struct vio_pci *pci;
	int ret;

	if (dev->transport)
		return -EBUSY;
	if (!cfg->hooks.intx || (cfg->n_vectors > 0 && !cfg->hooks.msi))
		return -EINVAL;
	pci = calloc(1, sizeof(*pci));
	if (!pci)
		return -ENOMEM;
	pci->transport = (struct vio_transport){.ops = &pci_ops, .dev = dev};
	pci->hooks = cfg->hooks;
	pci->intx_fd = -1;
	pthread_mutex_init(&pci->config_lock, NULL);
	pthread_mutex_init(&pci->irq_lock, NULL);
	ret = pci_init(pci, cfg);
	if (ret < 0) {
		pci_free(pci);
		return ret;
	}
	pci_on_reset(&pci->transport);
	vio_device_attach(dev, &pci->transport);
	*out = pci;
	return 0;
}

void vio_pci_destroy(struct vio_pci *pci)
{
	if (!pci)
		return;
	vio_pci_reset(pci);
	vio_device_detach(pci->transport.dev);
	pci_free(pci);
}

/* ---- BAR accesses ---------------------------------------------------------------------------- */

static bool pci_width_ok(size_t len)
{
	return len == 1 || len == 2 || len == 4 || len == 8;
}

static void pci_common_read(struct vio_pci *pci, uint32_t off, uint8_t *buf, size_t len)
{
	const size_t step = len < 4 ? len : 4;

	for (size_t i = 0; i < len; i += step)
		pci_store(buf + i, step, vio_pci_common_read(pci, off + (uint32_t)i, step));
}

static void pci_common_write(struct vio_pci *pci, uint32_t off, const uint8_t *buf, size_t len)
{
	const size_t step = len < 4 ? len : 4;

	for (size_t i = 0; i < len; i += step)
		vio_pci_common_write(pci, off + (uint32_t)i, step, pci_load(buf + i, step));
}

static void pci_regs_read(struct vio_pci *pci, uint64_t off, uint8_t *buf, size_t len)
{
	if (off < PCI_COMMON_LENGTH)
		pci_common_read(pci, (uint32_t)off, buf, len);
	else if (off == PCI_ISR_OFFSET)
		buf[0] = vio_pci_isr_read(pci);
	else if (off >= PCI_DEVICE_OFFSET)
		vio_device_config_read(pci->transport.dev, off - PCI_DEVICE_OFFSET, buf, len);
}

/*
 * A write to a queue's address is its notification whatever its width and value are, with and
 * without NOTIFICATION_DATA, as it is for KVM's ioeventfds.
 */
static void pci_notify(struct vio_pci *pci, uint64_t off)
{
	if (VIO_DEFECT("pci-kicks-of-queue-0-only") && off != 0)
		return;
	if (off % PCI_NOTIFY_STRIDE == 0)
		vio_device_kick(pci->transport.dev, (uint32_t)(off / PCI_NOTIFY_STRIDE));
}

static void pci_regs_write(struct vio_pci *pci, uint64_t off, const uint8_t *buf, size_t len)
{
	if (off < PCI_COMMON_LENGTH)
		pci_common_write(pci, (uint32_t)off, buf, len);
	else if (off >= PCI_DEVICE_OFFSET)
		vio_device_config_write(pci->transport.dev, off - PCI_DEVICE_OFFSET, buf, len);
	else if (off >= PCI_NOTIFY_OFFSET)
		pci_notify(pci, off - PCI_NOTIFY_OFFSET);
}

void *vio_pci_bar_memory(const struct vio_pci *pci, unsigned bar, uint64_t off, uint64_t len)
{
	if (bar != PCI_BAR_SHM)
		return NULL;
	for (unsigned i = 0; i < pci->n_shm; i++) {
		const struct pci_shm *s = &pci->shm[i];

		if (off >= s->offset && vio_range_ok(off - s->offset, len, s->shm->len))
			return (char *)s->shm->hva + (off - s->offset);
	}
	return NULL;
}

void vio_pci_bar_read(struct vio_pci *pci, unsigned bar, uint64_t off, void *buf, size_t len)
{
	const void *memory;

	memset(buf, 0, len);
	if (!pci_width_ok(len) || off >= vio_pci_bar_size(pci, bar))
		return;
	if (bar == PCI_BAR_REGS) {
		pci_regs_read(pci, off, buf, len);
	} else if (bar == PCI_BAR_MSIX) {
		vio_msix_read(pci, off, buf, len);
	} else {
		memory = vio_pci_bar_memory(pci, bar, off, len);
		if (memory)
			memcpy(buf, memory, len);
	}
}

void vio_pci_bar_write(struct vio_pci *pci, unsigned bar, uint64_t off, const void *buf, size_t len)
{
	void *memory;

	if (!pci_width_ok(len) || off >= vio_pci_bar_size(pci, bar))
		return;
	if (bar == PCI_BAR_REGS) {
		pci_regs_write(pci, off, buf, len);
	} else if (bar == PCI_BAR_MSIX) {
		vio_msix_write(pci, off, buf, len);
	} else {
		memory = vio_pci_bar_memory(pci, bar, off, len);
		if (memory)
			memcpy(memory, buf, len);
	}
}

/* ---- what the VMM asks ----------------------------------------------------------------------- */

uint64_t vio_pci_bar_size(const struct vio_pci *pci, unsigned bar)
{
	return bar < VIO_PCI_N_BARS ? pci->bar[bar].size : 0;
}

uint16_t vio_pci_n_vectors(const struct vio_pci *pci)
{
	return pci->n_vectors;
}

int vio_pci_ioeventfd(const struct vio_pci *pci, uint16_t index, struct vio_pci_ioeventfd *out)
{
	if (index >= pci->n_queues)
		return -EINVAL;
	*out = (struct vio_pci_ioeventfd){
		.bar = PCI_BAR_REGS,
		.offset = PCI_NOTIFY_OFFSET + (uint64_t)index * PCI_NOTIFY_STRIDE,
		.length = 0,
		.fd = vio_device_kick_fd(pci->transport.dev, index),
	};
	return 0;
}
