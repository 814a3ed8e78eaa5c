/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration space at work: accesses, BARs that move, the PCI_CFG window.
 *
 * The space is an array of bytes and a second one that says which bits a driver may change, so
 * nothing read-only can be written by any width at any offset. A write has its effects after it is
 * stored: BARs move, interrupts follow, the window acts.
 */
#include <viodm/defect.h>
#include "pci_internal.h"

#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <string.h>

static uint32_t config_get(const struct vio_pci *pci, uint32_t off, size_t len)
{
	return pci_load(pci->config + off, len);
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
	if (control & PCI_MSIX_FLAGS_MASKALL && !VIO_DEFECT("msix-mask-all-ignored"))
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
	if (VIO_DEFECT("pci-window-any-length"))
		w.length = w.length > 2 ? 4 : 1;
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
	if (w.length && !VIO_DEFECT("pci-window-blind"))
		window_read(pci, &w);

	pending = vio_pci_intx_pending(pci);
	pthread_mutex_lock(&pci->config_lock);
	memcpy(bytes, pci->config + off, len);
	pthread_mutex_unlock(&pci->config_lock);
	if (VIO_DEFECT("pci-interrupt-status-0"))
		return;
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
	if (w.length && !VIO_DEFECT("pci-window-deaf"))
		vio_pci_bar_write(pci, w.bar, w.offset, w.data, w.length); /* PCI-DEV-063 */
}
