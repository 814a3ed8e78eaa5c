/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ISR and INTx, and the choice between INTx and MSI-X for each event ("Used Buffer Notifications",
 * "Notification of Device Configuration Changes").
 */
#include <viodm/defect.h>
#include "pci_internal.h"

#define PCI_ISR_QUEUE  0x1
#define PCI_ISR_CONFIG 0x2

/* PCI-DEV-050: the OR of all ISR bits, unless MSI-X replaces INTx. irq_lock is held. */
static bool intx_pending(struct vio_pci *pci)
{
	return pci->isr && !(atomic_load(&pci->irq_flags) & PCI_IRQ_MSIX);
}

static bool intx_wanted(struct vio_pci *pci)
{
	return intx_pending(pci) && !(atomic_load(&pci->irq_flags) & PCI_IRQ_INTX_OFF);
}

/*
 * Drives the line to where it belongs. irq_lock is held, and dropped during each call of the hook:
 * a thread that changes the ISR meanwhile finds `intx_telling` and leaves the change to this one.
 */
static void intx_settle(struct vio_pci *pci)
{
	if (pci->intx_telling)
		return;
	pci->intx_telling = true;
	while (intx_wanted(pci) != pci->intx_level) {
		const bool level = !pci->intx_level;

		pci->intx_level = level;
		if (level && pci->intx_fd >= 0)
			vio_event_signal(pci->intx_fd);
		pthread_mutex_unlock(&pci->irq_lock);
		pci->hooks.intx(pci->hooks.arg, level);
		pthread_mutex_lock(&pci->irq_lock);
	}
	pci->intx_telling = false;
}

static void isr_set(struct vio_pci *pci, uint8_t bit)
{
	pthread_mutex_lock(&pci->irq_lock);
	pci->isr |= bit;
	intx_settle(pci);
	pthread_mutex_unlock(&pci->irq_lock);
}

void vio_pci_queue_interrupt(struct vio_transport *t, uint16_t index)
{
	struct vio_pci *pci = vio_container_of(t, struct vio_pci, transport);
	uint16_t vector;

	if (!(atomic_load(&pci->irq_flags) & PCI_IRQ_MSIX)) {
		/* PCI-DEV-049 */
		isr_set(pci, VIO_DEFECT("pci-wrong-isr-bit") ? PCI_ISR_CONFIG : PCI_ISR_QUEUE);
		return;
	}
	if (VIO_DEFECT("pci-isr-with-msix"))
		isr_set(pci, PCI_ISR_QUEUE);
	vector = atomic_load(&pci->queue_vector[index]);
	if (VIO_DEFECT("pci-no-vector-fires") && vector == VIRTIO_MSI_NO_VECTOR)
		vector = 0;
	if (VIO_DEFECT("pci-vector-unchecked") && vector >= pci->n_vectors)
		return;
	if (vector != VIRTIO_MSI_NO_VECTOR) /* PCI-DEV-081 */
		vio_msix_fire(pci, vector);
}

void vio_pci_config_interrupt(struct vio_transport *t)
{
	struct vio_pci *pci = vio_container_of(t, struct vio_pci, transport);
	uint16_t vector;

	if (!VIO_DEFECT("pci-config-isr-missing") || !(atomic_load(&pci->irq_flags) & PCI_IRQ_MSIX))
		isr_set(pci, PCI_ISR_CONFIG); /* PCI-DEV-048: with MSI-X too */
	if (!(atomic_load(&pci->irq_flags) & PCI_IRQ_MSIX))
		return;
	vector = atomic_load(&pci->config_vector);
	if (VIO_DEFECT("pci-config-no-vector-fires") && vector == VIRTIO_MSI_NO_VECTOR)
		vector = 0;
	if (vector != VIRTIO_MSI_NO_VECTOR) /* PCI-DEV-083 */
		vio_msix_fire(pci, vector);
}

uint8_t vio_pci_isr_read(struct vio_pci *pci)
{
	uint8_t isr;

	pthread_mutex_lock(&pci->irq_lock);
	isr = pci->isr;
	if (!VIO_DEFECT("pci-isr-stays"))
		pci->isr = 0; /* PCI-DEV-051 */
	intx_settle(pci);
	pthread_mutex_unlock(&pci->irq_lock);
	return isr;
}

bool vio_pci_intx_pending(struct vio_pci *pci)
{
	bool pending;

	pthread_mutex_lock(&pci->irq_lock);
	pending = intx_pending(pci);
	pthread_mutex_unlock(&pci->irq_lock);
	return pending;
}

void vio_pci_intx_settle(struct vio_pci *pci)
{
	pthread_mutex_lock(&pci->irq_lock);
	intx_settle(pci);
	pthread_mutex_unlock(&pci->irq_lock);
}

void vio_pci_set_intx_fd(struct vio_pci *pci, int fd)
{
	pthread_mutex_lock(&pci->irq_lock);
	pci->intx_fd = fd < 0 ? -1 : fd;
	if (pci->intx_fd >= 0 && pci->intx_level)
		vio_event_signal(pci->intx_fd);
	pthread_mutex_unlock(&pci->irq_lock);
}

void vio_pci_intx_resample(struct vio_pci *pci)
{
	pthread_mutex_lock(&pci->irq_lock);
	if (pci->intx_fd >= 0 && intx_wanted(pci))
		vio_event_signal(pci->intx_fd);
	pthread_mutex_unlock(&pci->irq_lock);
}
