/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <viodm/pci.h>

/* An interrupt vector with its irqfd; fd is -1 for one that got no route and is sent by ioctl. */
struct pci_vector {
	int fd;
	unsigned int msi;
};

struct pci_device {
	struct vmm_device base;
	struct vmm_pci_func func;
	struct vmm *vmm;
	struct vio_device *dev;
	struct vio_pci *pci;
	struct pci_vector *vectors;
	uint16_t n_vectors;
	bool placed[VIO_PCI_N_BARS]; /* ioeventfds are attached at the address below */
	uint64_t address[VIO_PCI_N_BARS];
};

/* ---- from the bus to the library ---- */

static void pci_config(struct vmm_pci_func *func, unsigned int offset, void *data, unsigned int len,
		       bool write)
{
	struct pci_device *d = vio_container_of(func, struct pci_device, func);

	if (write)
		vio_pci_config_write(d->pci, offset, data, len);
	else
		vio_pci_config_read(d->pci, offset, data, len);
}

static bool pci_memory(struct vmm_pci_func *func, uint64_t addr, void *data, unsigned int len,
		       bool write)
{
	struct pci_device *d = vio_container_of(func, struct pci_device, func);
	uint64_t start;

	for (unsigned int bar = 0; bar < VIO_PCI_N_BARS; bar++) {
		if (!vio_pci_bar(d->pci, bar, &start) || addr < start ||
		    !vio_range_ok(addr - start, len, vio_pci_bar_size(d->pci, bar)))
			continue;
		if (write)
			vio_pci_bar_write(d->pci, bar, addr - start, data, len);
		else
			vio_pci_bar_read(d->pci, bar, addr - start, data, len);
		return true;
	}
	return false;
}

/* ---- from the library to KVM ---- */

static void on_msi(void *arg, uint16_t vector, uint64_t address, uint32_t data)
{
	struct pci_device *d = arg;

	(void)vector;
	irq_msi_send(d->vmm, address, data);
}

static void on_vector_changed(void *arg, uint16_t vector, const struct vio_pci_vector *v)
{
	struct pci_device *d = arg;

	if (vector >= d->n_vectors || d->vectors[vector].fd < 0)
		return;
	if (v->masked)
		irq_msi_mask(d->vmm, d->vectors[vector].msi);
	else
		irq_msi_unmask(d->vmm, d->vectors[vector].msi, v->address, v->data);
}

static void on_intx(void *arg, bool level)
{
	struct pci_device *d = arg;

	irq_intx(d->vmm, d->func.slot, level);
}

/* Attaches or detaches the ioeventfds that lie in a BAR. */
static void notify_queues(struct pci_device *d, unsigned int bar, bool attach)
{
	uint16_t queues = vio_device_n_queues(d->dev);
	struct vio_pci_ioeventfd io;
	struct vmm_notify notify;

	for (uint16_t i = 0; i < queues; i++) {
		if (vio_pci_ioeventfd(d->pci, i, &io) || io.bar != bar)
			continue;
		notify = (struct vmm_notify){
			.addr = d->address[bar] + io.offset,
			.len = io.length,
			.fd = io.fd,
		};
		notify_attach(d->vmm, &notify, attach);
	}
}

static void on_bar_changed(void *arg, unsigned int bar, uint64_t address, bool enabled)
{
	struct pci_device *d = arg;

	if (!d->vmm->config.ioeventfd || !d->pci)
		return;
	if (d->placed[bar])
		notify_queues(d, bar, false);
	d->placed[bar] = enabled;
	d->address[bar] = address;
	if (enabled)
		notify_queues(d, bar, true);
}

/* ---- life ---- */

static void pci_power_off(struct vmm_device *base)
{
	struct pci_device *d = vio_container_of(base, struct pci_device, base);
	eventfd_t ignored;

	vio_pci_reset(d->pci);
	for (uint16_t i = 0; i < d->n_vectors; i++) {
		if (d->vectors[i].fd >= 0) /* not the next guest's interrupt */
			eventfd_read(d->vectors[i].fd, &ignored);
	}
}

static void pci_destroy(struct vmm_device *base)
{
	struct pci_device *d = vio_container_of(base, struct pci_device, base);

	vio_pci_destroy(d->pci);
	for (uint16_t i = 0; i < d->n_vectors; i++) {
		if (d->vectors[i].fd >= 0)
			close(d->vectors[i].fd);
	}
	free(d->vectors);
	free(d);
}

static const struct vmm_device_ops pci_ops = {
	.power_off = pci_power_off,
	.destroy = pci_destroy,
};

static int add_vector(struct pci_device *d)
{
	struct pci_vector *v = &d->vectors[d->n_vectors];
	int msi;

	v->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->fd < 0)
		return -errno;
	msi = irq_msi_add(&d->vmm->irqs, v->fd);
	if (msi < 0) {
		close(v->fd);
		v->fd = -1;
	} else {
		v->msi = (unsigned int)msi;
	}
	return vio_pci_set_vector_fd(d->pci, d->n_vectors++, v->fd);
}

static int add_vectors(struct pci_device *d)
{
	uint16_t n = vio_pci_n_vectors(d->pci);
	int rc = 0;

	d->vectors = calloc(n + 1u, sizeof(*d->vectors));
	if (!d->vectors)
		return -ENOMEM;
	while (!rc && d->n_vectors < n)
		rc = add_vector(d);
	return rc;
}

int virtio_pci_create(struct vmm *vmm, struct vio_device *dev, uint16_t n_vectors,
		      struct vmm_device **out)
{
	struct pci_device *d = calloc(1, sizeof(*d));
	struct vio_pci_config config = {
		.hooks.msi = on_msi,
		.hooks.vector_changed = on_vector_changed,
		.hooks.intx = on_intx,
		.hooks.bar_changed = on_bar_changed,
		.hooks.arg = d,
		.n_vectors = n_vectors,
	};
	int rc;

	if (!d)
		return -ENOMEM;
	d->base.ops = &pci_ops;
	d->func.config = pci_config;
	d->func.memory = pci_memory;
	d->vmm = vmm;
	d->dev = dev;
	rc = vio_pci_create(dev, &config, &d->pci);
	if (!rc)
		rc = add_vectors(d);
	if (!rc)
		rc = pci_plug(&vmm->pci, &d->func);
	if (rc) {
		pci_destroy(&d->base);
		return rc;
	}
	*out = &d->base;
	return 0;
}
