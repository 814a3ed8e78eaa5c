/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

int irq_init(struct vmm_irqs *irqs)
{
	irqs->n_msi = 0;
	return -pthread_mutex_init(&irqs->lock, NULL);
}

void irq_fini(struct vmm_irqs *irqs)
{
	pthread_mutex_destroy(&irqs->lock);
}

void irq_reset(struct vmm_irqs *irqs)
{
	pthread_mutex_lock(&irqs->lock);
	for (unsigned int i = 0; i < irqs->n_msi; i++)
		irqs->msi[i].attached = false;
	memset(irqs->intx, 0, sizeof(irqs->intx));
	pthread_mutex_unlock(&irqs->lock);
}

void irq_line(struct vmm *vmm, unsigned int gsi, bool level)
{
	struct kvm_irq_level line = {.irq = gsi, .level = level};

	ioctl(vmm->vm_fd, KVM_IRQ_LINE, &line);
}

void irq_intx(struct vmm *vmm, unsigned int slot, bool level)
{
	uint32_t *mask = &vmm->irqs.intx[slot % VMM_INTX_LINES];
	uint32_t bit = UINT32_C(1) << slot;

	pthread_mutex_lock(&vmm->irqs.lock);
	*mask = level ? *mask | bit : *mask & ~bit;
	irq_line(vmm, VMM_INTX_GSI + slot % VMM_INTX_LINES, *mask != 0);
	pthread_mutex_unlock(&vmm->irqs.lock);
}

static int irqfd(struct vmm *vmm, unsigned int gsi, int fd, bool attach)
{
	struct kvm_irqfd arg = {
		.fd = (uint32_t)fd,
		.gsi = gsi,
		.flags = attach ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};

	return ioctl(vmm->vm_fd, KVM_IRQFD, &arg) < 0 ? -errno : 0;
}

int irq_attach_edge(struct vmm *vmm, unsigned int gsi, int fd)
{
	return irqfd(vmm, gsi, fd, true);
}

int irq_msi_add(struct vmm_irqs *irqs, int fd)
{
	int rc = -ENOSPC;

	pthread_mutex_lock(&irqs->lock);
	if (irqs->n_msi < VMM_MAX_MSI) {
		rc = (int)irqs->n_msi++;
		irqs->msi[rc] = (struct vmm_msi){.fd = fd};
	}
	pthread_mutex_unlock(&irqs->lock);
	return rc;
}

static void route_pin(struct kvm_irq_routing *table, unsigned int gsi, unsigned int chip,
		      unsigned int pin)
{
	table->entries[table->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = {.irqchip = chip, .pin = pin},
	};
}

static void route_msi(struct kvm_irq_routing *table, unsigned int gsi, const struct vmm_msi *msi)
{
	table->entries[table->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = {.address_lo = (uint32_t)msi->addr,
			  .address_hi = (uint32_t)(msi->addr >> 32),
			  .data = msi->data},
	};
}

/* KVM takes the whole table each time, its own default pins included. */
static int set_routes(struct vmm *vmm)
{
	const struct vmm_irqs *irqs = &vmm->irqs;
	struct kvm_irq_routing *table;
	int rc;

	table = calloc(1,
		       sizeof(*table) + (VMM_PINS + 16 + irqs->n_msi) * sizeof(table->entries[0]));
	if (!table)
		return -ENOMEM;
	for (unsigned int i = 0; i < VMM_PINS; i++) {
		if (i < 16)
			route_pin(table, i, i < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
				  i % 8);
		route_pin(table, i, KVM_IRQCHIP_IOAPIC, i);
	}
	for (unsigned int i = 0; i < irqs->n_msi; i++) {
		if (irqs->msi[i].attached)
			route_msi(table, VMM_PINS + i, &irqs->msi[i]);
	}
	rc = ioctl(vmm->vm_fd, KVM_SET_GSI_ROUTING, table) < 0 ? -errno : 0;
	free(table);
	return rc;
}

int irq_msi_unmask(struct vmm *vmm, unsigned int index, uint64_t addr, uint32_t data)
{
	struct vmm_msi *msi = &vmm->irqs.msi[index];
	bool attached;
	int rc;

	pthread_mutex_lock(&vmm->irqs.lock);
	attached = msi->attached;
	msi->addr = addr;
	msi->data = data;
	msi->attached = true;
	rc = set_routes(vmm);
	if (!rc && !attached)
		rc = irqfd(vmm, VMM_PINS + index, msi->fd, true);
	msi->attached = attached || !rc;
	pthread_mutex_unlock(&vmm->irqs.lock);
	return rc;
}

void irq_msi_mask(struct vmm *vmm, unsigned int index)
{
	struct vmm_msi *msi = &vmm->irqs.msi[index];

	pthread_mutex_lock(&vmm->irqs.lock);
	if (msi->attached)
		irqfd(vmm, VMM_PINS + index, msi->fd, false);
	msi->attached = false;
	pthread_mutex_unlock(&vmm->irqs.lock);
}

void irq_msi_send(struct vmm *vmm, uint64_t addr, uint32_t data)
{
	struct kvm_msi msi = {
		.address_lo = (uint32_t)addr,
		.address_hi = (uint32_t)(addr >> 32),
		.data = data,
	};

	ioctl(vmm->vm_fd, KVM_SIGNAL_MSI, &msi);
}

void notify_attach(struct vmm *vmm, const struct vmm_notify *notify, bool attach)
{
	struct kvm_ioeventfd arg = {
		.addr = notify->addr,
		.len = notify->len,
		.datamatch = notify->value,
		.fd = notify->fd,
		.flags = (notify->match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0) |
			 (attach ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};

	ioctl(vmm->vm_fd, KVM_IOEVENTFD, &arg);
}
