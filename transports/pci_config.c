/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration space: header, capability list, BAR registers, and the PCI_CFG window.
 *
 * The space is an array of bytes and a second one that says which bits a driver may change, so
 * nothing read-only can be written by any width at any offset. A write has its effects after it is
 * stored: BARs move, interrupts follow, the window acts.
 */

#include <endian.h>
#include <errno.h>
#include <string.h>

#include <linux/pci_regs.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>

#include "pci_internal.h"

#define PCI_VENDOR_VIRTIO    0x1af4
#define PCI_DEVICE_BASE	     0x1040
#define PCI_DEVICE_MAX_ID    0x3f
#define PCI_SUBSYSTEM_VIODM  0x1100 /* PCI-DEV-008: at least 0x40 */
#define PCI_REVISION_MODERN  1	    /* PCI-DEV-007 */
#define PCI_CLASS_UNASSIGNED 0xff0000

#define WINDOW_BAR    offsetof(struct virtio_pci_cfg_cap, cap.bar)
#define WINDOW_OFFSET offsetof(struct virtio_pci_cfg_cap, cap.offset)
#define WINDOW_LENGTH offsetof(struct virtio_pci_cfg_cap, cap.length)
#define WINDOW_DATA   offsetof(struct virtio_pci_cfg_cap, pci_cfg_data)

/* ---- header and capabilities ----------------------------------------------------------------- */

static void config_put(struct vio_pci *pci, uint32_t off, size_t len, uint32_t v)
{
	pci_store(pci->config + off, len, v);
}

static uint32_t config_get(const struct vio_pci *pci, uint32_t off, size_t len)
{
	return pci_load(pci->config + off, len);
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
	config_put(pci, PCI_REVISION_ID, 1, PCI_REVISION_MODERN);
	config_put(pci, PCI_CLASS_PROG, 3, cfg->class_code ? cfg->class_code : config_class(id));
	config_put(pci, PCI_SUBSYSTEM_VENDOR_ID, 2,
		   cfg->subsystem_vendor_id ? cfg->subsystem_vendor_id : PCI_VENDOR_VIRTIO);
	config_put(pci, PCI_SUBSYSTEM_ID, 2,
		   cfg->subsystem_id ? cfg->subsystem_id : PCI_SUBSYSTEM_VIODM);
	config_put(pci, PCI_INTERRUPT_PIN, 1, 1); /* INTA# */

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
		.cap_len = (uint8_t)cap_len,
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
	const uint32_t n = pci->n_queues > 0 ? pci->n_queues : 1;
	const struct virtio_pci_notify_cap cap = {
		.cap = cap_virtio(VIRTIO_PCI_CAP_NOTIFY_CFG, sizeof(cap), PCI_NOTIFY_OFFSET,
				  n * PCI_NOTIFY_STRIDE),
		.notify_off_multiplier = htole32(PCI_NOTIFY_STRIDE),
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
	pci_store(cap + PCI_MSIX_FLAGS, 2, pci->n_vectors - 1u); /* PCI-DEV-073 */
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
	if (config_size > 0)
		ok = ok && cap_add_structure(pci, &list, VIRTIO_PCI_CAP_DEVICE_CFG,
					     PCI_DEVICE_OFFSET, config_size);
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

/* ---- BARs ------------------------------------------------------------------------------------ */

/*
 * Where a BAR answers; config_lock is held. An address of 0 means "not placed yet", and a range
 * that ends with its 32-bit or 64-bit address space is what a driver leaves there while it sizes
 * the BAR: neither decodes.
 */
static bool bar_decodes(const struct vio_pci *pci, unsigned i, uint64_t *address)
{
	const struct pci_bar *bar = &pci->bar[i];
	const uint32_t off = PCI_BASE_ADDRESS_0 + 4 * i;
	const uint64_t top = bar->is64 ? UINT64_MAX : UINT32_MAX;
	uint64_t base;

	if (bar->size == 0 || !(config_get(pci, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY))
		return false;
	base = config_get(pci, off, 4);
	if (bar->is64)
		base |= (uint64_t)config_get(pci, off + 4, 4) << 32;
	base &= ~(bar->size - 1);
	if (base == 0 || base + (bar->size - 1) == top)
		return false;
	*address = base;
	return true;
}

static bool bar_moved(struct vio_pci *pci, unsigned i)
{
	struct pci_bar *bar = &pci->bar[i];
	uint64_t address = bar->told_address;
	const bool enabled = bar_decodes(pci, i, &address);

	if (enabled == bar->told_enabled && address == bar->told_address)
		return false;
	bar->told_enabled = enabled;
	bar->told_address = address;
	return true;
}

/* Reports BARs until the VMM knows all of it. config_lock is held, and dropped during each call. */
static void bars_settle(struct vio_pci *pci)
{
	unsigned i = 0;

	if (!pci->hooks.bar_changed || pci->telling_bars)
		return;
	pci->telling_bars = true;
	while (i < VIO_PCI_N_BARS) {
		const struct pci_bar *bar = &pci->bar[i];
		uint64_t address;
		bool enabled;

		if (!bar_moved(pci, i)) {
			i++;
			continue;
		}
		address = bar->told_address;
		enabled = bar->told_enabled;
		pthread_mutex_unlock(&pci->config_lock);
		pci->hooks.bar_changed(pci->hooks.arg, i, address, enabled);
		pthread_mutex_lock(&pci->config_lock);
		i = 0; /* another thread may have moved any of them */
	}
	pci->telling_bars = false;
}

bool vio_pci_bar(struct vio_pci *pci, unsigned bar, uint64_t *address)
{
	bool decodes;

	if (bar >= VIO_PCI_N_BARS)
		return false;
	pthread_mutex_lock(&pci->config_lock);
	decodes = bar_decodes(pci, bar, address);
	pthread_mutex_unlock(&pci->config_lock);
	return decodes;
}

/* ---- effects --------------------------------------------------------------------------------- */

static unsigned config_irq_flags(const struct vio_pci *pci)
{
	const uint32_t command = config_get(pci, PCI_COMMAND, 2);
	uint32_t control = 0;
	unsigned flags = 0;

	if (pci->msix_cap)
		control = config_get(pci, pci->msix_cap + PCI_MSIX_FLAGS, 2);
	if (control & PCI_MSIX_FLAGS_ENABLE)
		flags |= PCI_IRQ_MSIX;
	if (control & PCI_MSIX_FLAGS_MASKALL)
		flags |= PCI_IRQ_MASKALL;
	if (command & PCI_COMMAND_MASTER)
		flags |= PCI_IRQ_MASTER;
	if (command & PCI_COMMAND_INTX_DISABLE)
		flags |= PCI_IRQ_INTX_OFF;
	return flags;
}

/* Makes everything follow the bytes just written. Called with config_lock; drops it. */
static void config_settle_unlock(struct vio_pci *pci)
{
	const unsigned before = atomic_load(&pci->irq_flags);
	const unsigned flags = config_irq_flags(pci);

	atomic_store(&pci->irq_flags, flags);
	bars_settle(pci);
	pthread_mutex_unlock(&pci->config_lock);
	if (flags != before) {
		vio_pci_intx_settle(pci);
		vio_msix_settle(pci);
	}
}

void vio_pci_config_reset(struct vio_pci *pci)
{
	pthread_mutex_lock(&pci->config_lock);
	for (unsigned i = 0; i < VIO_PCI_CONFIG_SIZE; i++)
		pci->config[i] &= (uint8_t)~pci->writable[i];
	config_settle_unlock(pci);
}

/* ---- the PCI_CFG window ---------------------------------------------------------------------- */

/* What the driver put into the capability; length 0 when there is nothing to do. */
struct window {
	uint8_t bar;
	uint32_t offset;
	uint32_t length;
	uint8_t data[4];
};

/* An access of [off, off + len) to the configuration space; config_lock is held. */
static struct window window_at(const struct vio_pci *pci, uint32_t off, size_t len)
{
	const uint32_t cap = pci->window_cap;
	struct window w = {0};

	if (off + len <= cap + WINDOW_DATA || off >= cap + WINDOW_DATA + sizeof(w.data))
		return w;
	w.length = config_get(pci, cap + WINDOW_LENGTH, 4);
	if (w.length != 1 && w.length != 2 && w.length != 4)
		w.length = 0;
	w.offset = config_get(pci, cap + WINDOW_OFFSET, 4);
	w.bar = pci->config[cap + WINDOW_BAR];
	memcpy(w.data, pci->config + cap + WINDOW_DATA, sizeof(w.data));
	return w;
}

/* PCI-DEV-064: the BAR is read when the data field is, and the bytes read go into that field. */
static void window_read(struct vio_pci *pci, const struct window *w)
{
	uint8_t data[4];

	vio_pci_bar_read(pci, w->bar, w->offset, data, w->length);
	pthread_mutex_lock(&pci->config_lock);
	memcpy(pci->config + pci->window_cap + WINDOW_DATA, data, w->length);
	pthread_mutex_unlock(&pci->config_lock);
}

/* ---- accesses -------------------------------------------------------------------------------- */

static bool config_access_ok(uint32_t off, size_t len)
{
	return (len == 1 || len == 2 || len == 4) && off < VIO_PCI_CONFIG_SIZE &&
	       off % 4 + len <= 4;
}

void vio_pci_config_read(struct vio_pci *pci, uint32_t off, void *buf, size_t len)
{
	uint8_t *bytes = (uint8_t *)buf;
	struct window w;
	bool pending;

	memset(bytes, 0xff, len);
	if (!config_access_ok(off, len))
		return;
	pthread_mutex_lock(&pci->config_lock);
	w = window_at(pci, off, len);
	pthread_mutex_unlock(&pci->config_lock);
	if (w.length)
		window_read(pci, &w);

	pending = vio_pci_intx_pending(pci);
	pthread_mutex_lock(&pci->config_lock);
	memcpy(bytes, pci->config + off, len);
	pthread_mutex_unlock(&pci->config_lock);
	if (pending && off <= PCI_STATUS && off + len > PCI_STATUS)
		bytes[PCI_STATUS - off] |= PCI_STATUS_INTERRUPT;
}

void vio_pci_config_write(struct vio_pci *pci, uint32_t off, const void *buf, size_t len)
{
	const uint8_t *bytes = (const uint8_t *)buf;
	struct window w;

	if (!config_access_ok(off, len))
		return;
	pthread_mutex_lock(&pci->config_lock);
	for (size_t i = 0; i < len; i++) {
		uint8_t *byte = &pci->config[off + i];
		const uint8_t mask = pci->writable[off + i];

		*byte = (uint8_t)((*byte & ~mask) | (bytes[i] & mask));
	}
	w = window_at(pci, off, len);
	config_settle_unlock(pci);
	if (w.length)
		vio_pci_bar_write(pci, w.bar, w.offset, w.data, w.length); /* PCI-DEV-063 */
}
