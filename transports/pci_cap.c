/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How configuration space looks at power-on: header, BAR registers, capability list ("PCI Device
 * Discovery", "Virtio Structure PCI Capabilities"), and which of its bits a driver may change.
 */
#include <viodm/defect.h>
#include "pci_internal.h"

#include <endian.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>
#include <string.h>

#define PCI_VENDOR_VIRTIO    0x1af4
#define PCI_DEVICE_BASE	     0x1040
#define PCI_DEVICE_MAX_ID    0x3f
#define PCI_SUBSYSTEM_VIODM  0x1100 /* PCI-DEV-008: at least 0x40 */
#define PCI_REVISION_MODERN  1	    /* PCI-DEV-007 */
#define PCI_CLASS_UNASSIGNED 0xff0000

static void config_put(struct vio_pci *pci, uint32_t off, size_t len, uint32_t v)
{
	pci_store(pci->config + off, len, v);
}

static uint32_t config_class(uint32_t device_id)
{
	switch (device_id) {
	case VIRTIO_ID_NET:
		return 0x020000; /* network, Ethernet */
	case VIRTIO_ID_BLOCK:
	case VIRTIO_ID_FS:
	case VIRTIO_ID_9P:
		return 0x018000; /* mass storage, other */
	case VIRTIO_ID_SCSI:
		return 0x010000; /* mass storage, SCSI */
	case VIRTIO_ID_CONSOLE:
	case VIRTIO_ID_VSOCK:
		return 0x078000; /* communication, other */
	case VIRTIO_ID_GPU:
		return 0x038000; /* display, other */
	case VIRTIO_ID_INPUT:
		return 0x098000; /* input, other */
	case VIRTIO_ID_SOUND:
		return 0x040100; /* multimedia, audio */
	case VIRTIO_ID_CRYPTO:
		return 0x108000; /* encryption, other */
	case VIRTIO_ID_IOMMU:
		return 0x080600; /* base system, IOMMU */
	default:
		return PCI_CLASS_UNASSIGNED;
	}
}

static void config_header(struct vio_pci *pci, const struct vio_pci_config *cfg)
{
	const uint32_t id = vio_device_id(pci->transport.dev);

	config_put(pci, PCI_VENDOR_ID, 2, PCI_VENDOR_VIRTIO);
	config_put(pci, PCI_DEVICE_ID, 2, PCI_DEVICE_BASE + id);
	config_put(pci, PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
	config_put(pci, PCI_REVISION_ID, 1, VIO_DEFECT("pci-revision-0") ? 0 : PCI_REVISION_MODERN);
	config_put(pci, PCI_CLASS_PROG, 3, cfg->class_code ? cfg->class_code : config_class(id));
	config_put(pci, PCI_SUBSYSTEM_VENDOR_ID, 2,
		   cfg->subsystem_vendor_id ? cfg->subsystem_vendor_id : PCI_VENDOR_VIRTIO);
	config_put(pci, PCI_SUBSYSTEM_ID, 2,
		   cfg->subsystem_id ? cfg->subsystem_id : PCI_SUBSYSTEM_VIODM);
	if (VIO_DEFECT("pci-subsystem-low"))
		config_put(pci, PCI_SUBSYSTEM_ID, 2, id);
	config_put(pci, PCI_INTERRUPT_PIN, 1, 1); /* INTA# */
	if (VIO_DEFECT("pci-revision-writable"))
		pci->writable[PCI_REVISION_ID] = 0xff;

	/* Parity and SERR# can be switched and never happen. */
	pci_store(pci->writable + PCI_COMMAND, 2,
		  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR |
			  PCI_COMMAND_INTX_DISABLE);
	pci->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	pci->writable[PCI_LATENCY_TIMER] = 0xff;
	pci->writable[PCI_INTERRUPT_LINE] = 0xff;
}

static void config_bars(struct vio_pci *pci)
{
	for (unsigned i = 0; i < VIO_PCI_N_BARS; i++) {
		const struct pci_bar *bar = &pci->bar[i];
		const uint64_t mask = ~(bar->size - 1);
		const uint32_t off = PCI_BASE_ADDRESS_0 + 4 * i;

		if (bar->size == 0)
			continue;
		pci_store(pci->writable + off, 4, (uint32_t)mask);
		if (!bar->is64)
			continue;
		config_put(pci, off, 4,
			   PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
		pci_store(pci->writable + off + 4, 4, (uint32_t)(mask >> 32));
	}
}

/* The capability list under construction. */
struct cap_list {
	uint32_t link; /* where the offset of the next capability goes */
	uint32_t end;
};

/* Appends `len` bytes, a multiple of 4. Returns their offset, or 0 when the space is full. */
static uint8_t cap_add(struct vio_pci *pci, struct cap_list *list, const void *bytes, size_t len)
{
	const uint32_t off = list->end;

	if (!vio_range_ok(off, len, VIO_PCI_CONFIG_SIZE))
		return 0;
	memcpy(pci->config + off, bytes, len);
	pci->config[list->link] = (uint8_t)off;
	list->link = off + PCI_CAP_LIST_NEXT;
	list->end = off + (uint32_t)len;
	return (uint8_t)off;
}

static struct virtio_pci_cap cap_virtio(uint8_t type, size_t cap_len, uint64_t off, uint64_t len)
{
	return (struct virtio_pci_cap){
		.cap_vndr = PCI_CAP_ID_VNDR,
		.cap_len = (uint8_t)(VIO_DEFECT("pci-cap-short") ? cap_len - 4 : cap_len),
		.cfg_type = type,
		.bar = PCI_BAR_REGS,
		.offset = htole32((uint32_t)off),
		.length = htole32((uint32_t)len),
	};
}

static bool cap_add_structure(struct vio_pci *pci, struct cap_list *list, uint8_t type,
			      uint64_t off, uint64_t len)
{
	const struct virtio_pci_cap cap = cap_virtio(type, sizeof(cap), off, len);

	return cap_add(pci, list, &cap, sizeof(cap));
}

/* PCI-DEV-036 to 046: each queue has its own address, aligned and wide enough for 32 bits. */
static bool cap_add_notify(struct vio_pci *pci, struct cap_list *list)
{
	const uint32_t n = pci->n_queues > 0 && !VIO_DEFECT("pci-notify-short") ? pci->n_queues : 1;
	const struct virtio_pci_notify_cap cap = {
		.cap = cap_virtio(VIRTIO_PCI_CAP_NOTIFY_CFG, sizeof(cap), PCI_NOTIFY_OFFSET,
				  n * PCI_NOTIFY_STRIDE),
		.notify_off_multiplier =
			htole32(VIO_DEFECT("pci-multiplier-6") ? 6 : PCI_NOTIFY_STRIDE),
	};

	return cap_add(pci, list, &cap, sizeof(cap));
}

static bool cap_add_shm(struct vio_pci *pci, struct cap_list *list, const struct pci_shm *s)
{
	struct virtio_pci_cap64 cap = {
		.cap = cap_virtio(VIRTIO_PCI_CAP_SHARED_MEMORY_CFG, sizeof(cap), s->offset,
				  s->shm->len),
		.offset_hi = htole32((uint32_t)(s->offset >> 32)),
		.length_hi = htole32((uint32_t)(s->shm->len >> 32)),
	};

	cap.cap.bar = PCI_BAR_SHM;
	cap.cap.id = s->shm->id;
	return cap_add(pci, list, &cap, sizeof(cap));
}

/* PCI-DEV-062: bar, offset, length and data are the driver's to write. */
static bool cap_add_window(struct vio_pci *pci, struct cap_list *list)
{
	const struct virtio_pci_cfg_cap cap = {
		.cap = cap_virtio(VIRTIO_PCI_CAP_PCI_CFG, sizeof(cap), 0, 0)};
	const uint8_t at = cap_add(pci, list, &cap, sizeof(cap));

	if (at == 0)
		return false;
	pci->window_cap = at;
	pci->writable[at + WINDOW_BAR] = 0xff;
	memset(pci->writable + at + WINDOW_OFFSET, 0xff, 4);
	memset(pci->writable + at + WINDOW_LENGTH, 0xff, 4);
	memset(pci->writable + at + WINDOW_DATA, 0xff, 4);
	return true;
}

static bool cap_add_msix(struct vio_pci *pci, struct cap_list *list)
{
	uint8_t cap[PCI_CAP_MSIX_SIZEOF] = {PCI_CAP_ID_MSIX};
	uint8_t at;

	if (pci->n_vectors == 0)
		return true;
	pci_store(cap + PCI_MSIX_FLAGS, 2,
		  pci->n_vectors - !VIO_DEFECT("msix-table-size")); /* PCI-DEV-073 */
	pci_store(cap + PCI_MSIX_TABLE, 4, PCI_BAR_MSIX);
	pci_store(cap + PCI_MSIX_PBA, 4, pci->pba_offset | PCI_BAR_MSIX);
	at = cap_add(pci, list, cap, sizeof(cap));
	if (at == 0)
		return false;
	pci->msix_cap = at;
	pci_store(pci->writable + at + PCI_MSIX_FLAGS, 2,
		  PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	return true;
}

static bool config_caps(struct vio_pci *pci)
{
	const uint32_t config_size = vio_device_config_size(pci->transport.dev);
	struct cap_list list = {PCI_CAPABILITY_LIST, PCI_STD_HEADER_SIZEOF};
	bool ok = cap_add_structure(pci, &list, VIRTIO_PCI_CAP_COMMON_CFG, PCI_COMMON_OFFSET,
				    PCI_COMMON_LENGTH);

	ok = ok && cap_add_notify(pci, &list);
	ok = ok &&
	     cap_add_structure(pci, &list, VIRTIO_PCI_CAP_ISR_CFG, PCI_ISR_OFFSET, PCI_ISR_LENGTH);
	if (config_size > 0 && !VIO_DEFECT("pci-no-device-config"))
		ok = ok &&
		     cap_add_structure(pci, &list, VIRTIO_PCI_CAP_DEVICE_CFG, PCI_DEVICE_OFFSET,
				       VIO_DEFECT("pci-structure-beyond-bar") ? UINT32_MAX / 2
									      : config_size);
	for (unsigned i = 0; i < pci->n_shm; i++)
		ok = ok && cap_add_shm(pci, &list, &pci->shm[i]);
	ok = ok && cap_add_window(pci, &list);
	return ok && cap_add_msix(pci, &list);
}

int vio_pci_config_init(struct vio_pci *pci, const struct vio_pci_config *cfg)
{
	if (vio_device_id(pci->transport.dev) > PCI_DEVICE_MAX_ID || cfg->class_code > 0xffffff)
		return -EINVAL;
	config_header(pci, cfg);
	config_bars(pci);
	return config_caps(pci) ? 0 : -EINVAL;
}
