/* SPDX-License-Identifier: BSD-3-Clause */
/* The common configuration structure ("Common configuration structure layout"). */
#include <viodm/defect.h>
#include "pci_internal.h"

#include <linux/virtio_pci.h>

/*
 * The field that begins at each offset, by its width: 64-bit fields are two of 32 bits
 * (PCI-DEV-012). Any other access is none of a field's: it reads 0 and writes nothing.
 * queue_notif_config_data and the administration queue's fields exist only with features that are
 * not offered here.
 */
static const uint8_t common_width[PCI_COMMON_LENGTH] = {
	[VIRTIO_PCI_COMMON_DFSELECT] = 4,  [VIRTIO_PCI_COMMON_DF] = 4,
	[VIRTIO_PCI_COMMON_GFSELECT] = 4,  [VIRTIO_PCI_COMMON_GF] = 4,
	[VIRTIO_PCI_COMMON_MSIX] = 2,	   [VIRTIO_PCI_COMMON_NUMQ] = 2,
	[VIRTIO_PCI_COMMON_STATUS] = 1,	   [VIRTIO_PCI_COMMON_CFGGENERATION] = 1,
	[VIRTIO_PCI_COMMON_Q_SELECT] = 2,  [VIRTIO_PCI_COMMON_Q_SIZE] = 2,
	[VIRTIO_PCI_COMMON_Q_MSIX] = 2,	   [VIRTIO_PCI_COMMON_Q_ENABLE] = 2,
	[VIRTIO_PCI_COMMON_Q_NOFF] = 2,	   [VIRTIO_PCI_COMMON_Q_DESCLO] = 4,
	[VIRTIO_PCI_COMMON_Q_DESCHI] = 4,  [VIRTIO_PCI_COMMON_Q_AVAILLO] = 4,
	[VIRTIO_PCI_COMMON_Q_AVAILHI] = 4, [VIRTIO_PCI_COMMON_Q_USEDLO] = 4,
	[VIRTIO_PCI_COMMON_Q_USEDHI] = 4,  [VIRTIO_PCI_COMMON_Q_RESET] = 2,
};

static uint32_t common_queue_vector(struct vio_pci *pci, uint16_t index)
{
	return index < pci->n_queues ? atomic_load(&pci->queue_vector[index])
				     : VIRTIO_MSI_NO_VECTOR;
}

static uint32_t common_queue_read(struct vio_pci *pci, uint32_t off)
{
	const uint16_t index = atomic_load(&pci->queue_select);
	struct vio_queue_regs q;

	vio_device_queue_get(pci->transport.dev, index, &q);
	switch (off) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		if (VIO_DEFECT("pci-queue-everywhere") && q.size == 0)
			return 64;
		return q.size; /* 0 for a queue that does not exist, PCI-DEV-032 */
	case VIRTIO_PCI_COMMON_Q_MSIX:
		return common_queue_vector(pci, index);
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		return q.enabled;
	case VIRTIO_PCI_COMMON_Q_NOFF:
		if (VIO_DEFECT("pci-notify-offset"))
			return index + 1;
		return index < pci->n_queues ? index : 0;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
		return (uint32_t)q.desc;
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		return (uint32_t)(q.desc >> 32);
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
		return (uint32_t)q.driver;
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		return (uint32_t)(q.driver >> 32);
	case VIRTIO_PCI_COMMON_Q_USEDLO:
		return (uint32_t)q.device;
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		return (uint32_t)(q.device >> 32);
	default: /* VIRTIO_PCI_COMMON_Q_RESET */
		return q.resetting;
	}
}

uint32_t vio_pci_common_read(struct vio_pci *pci, uint32_t off, size_t len)
{
	struct vio_device *dev = pci->transport.dev;

	if (off >= PCI_COMMON_LENGTH || common_width[off] != len)
		return 0;
	if (VIO_DEFECT("pci-driver-features-read-0") && off == VIRTIO_PCI_COMMON_GF)
		return 0;
	if (VIO_DEFECT("pci-num-queues") && off == VIRTIO_PCI_COMMON_NUMQ)
		return pci->n_queues + 1u;
	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		return atomic_load(&pci->device_feature_select);
	case VIRTIO_PCI_COMMON_DF:
		return vio_device_offered(dev, atomic_load(&pci->device_feature_select));
	case VIRTIO_PCI_COMMON_GFSELECT:
		return atomic_load(&pci->driver_feature_select);
	case VIRTIO_PCI_COMMON_GF:
		return vio_device_accepted(dev, atomic_load(&pci->driver_feature_select));
	case VIRTIO_PCI_COMMON_MSIX:
		return atomic_load(&pci->config_vector);
	case VIRTIO_PCI_COMMON_NUMQ:
		return pci->n_queues;
	case VIRTIO_PCI_COMMON_STATUS:
		return vio_device_status(dev);
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		return vio_device_config_generation(dev);
	case VIRTIO_PCI_COMMON_Q_SELECT:
		if (VIO_DEFECT("pci-queue-select-reads-0"))
			return 0;
		return atomic_load(&pci->queue_select);
	default:
		return common_queue_read(pci, off);
	}
}

/* PCI-DEV-075 to 080: any vector of the table, or none; a vector outside it reads back as none. */
static uint16_t common_vector(const struct vio_pci *pci, uint32_t v)
{
	if (VIO_DEFECT("pci-vector-unchecked") && v != VIRTIO_MSI_NO_VECTOR)
		return (uint16_t)v;
	if (VIO_DEFECT("pci-unmap-takes-0") && v == VIRTIO_MSI_NO_VECTOR)
		return 0;
	return v < pci->n_vectors ? (uint16_t)v : VIRTIO_MSI_NO_VECTOR;
}

static void common_queue_write(struct vio_pci *pci, uint32_t off, uint32_t v)
{
	static const uint8_t fields[PCI_COMMON_LENGTH] = {
		[VIRTIO_PCI_COMMON_Q_SIZE] = VIO_QUEUE_SIZE,
		[VIRTIO_PCI_COMMON_Q_DESCLO] = VIO_QUEUE_DESC_LO,
		[VIRTIO_PCI_COMMON_Q_DESCHI] = VIO_QUEUE_DESC_HI,
		[VIRTIO_PCI_COMMON_Q_AVAILLO] = VIO_QUEUE_DRIVER_LO,
		[VIRTIO_PCI_COMMON_Q_AVAILHI] = VIO_QUEUE_DRIVER_HI,
		[VIRTIO_PCI_COMMON_Q_USEDLO] = VIO_QUEUE_DEVICE_LO,
		[VIRTIO_PCI_COMMON_Q_USEDHI] = VIO_QUEUE_DEVICE_HI,
	};
	const uint16_t index = atomic_load(&pci->queue_select);
	struct vio_device *dev = pci->transport.dev;

	if (index >= pci->n_queues)
		return;
	switch (off) {
	case VIRTIO_PCI_COMMON_Q_MSIX:
		atomic_store(&pci->queue_vector[index], common_vector(pci, v));
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		if (v == 1) /* a driver must not write 0: there is no disabling here */
			vio_device_queue_enable(dev, index);
		break;
	case VIRTIO_PCI_COMMON_Q_RESET:
		if (v == 1)
			vio_device_queue_reset(dev, index);
		break;
	default:
		vio_device_queue_set(dev, index, (enum vio_queue_field)fields[off], v);
		break;
	}
}

void vio_pci_common_write(struct vio_pci *pci, uint32_t off, size_t len, uint32_t v)
{
	struct vio_device *dev = pci->transport.dev;

	if (off >= PCI_COMMON_LENGTH || common_width[off] != len)
		return;
	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		atomic_store(&pci->device_feature_select, v);
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		atomic_store(&pci->driver_feature_select, v);
		break;
	case VIRTIO_PCI_COMMON_GF:
		vio_device_accept(dev, atomic_load(&pci->driver_feature_select), v);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		atomic_store(&pci->config_vector, common_vector(pci, v));
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		vio_device_set_status(dev, (uint8_t)v);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		atomic_store(&pci->queue_select, (uint16_t)v);
		break;
	case VIRTIO_PCI_COMMON_DF:
	case VIRTIO_PCI_COMMON_NUMQ:
	case VIRTIO_PCI_COMMON_CFGGENERATION:
	case VIRTIO_PCI_COMMON_Q_NOFF:
		break; /* read-only */
	default:
		common_queue_write(pci, off, v);
		break;
	}
}
