/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>
#include <viodm/util.h>

#define CONFIG_ENABLE 0x80000000u

static void config_access(struct vmm_pci *pci, unsigned int devfn, unsigned int offset, void *data,
			  unsigned int len, bool write)
{
	struct vmm_pci_func *func = devfn % 8 ? NULL : pci->slots[devfn / 8];

	if (func)
		func->config(func, offset, data, len, write);
	else if (!write)
		memset(data, 0xff, len);
}

/* Memory-mapped configuration: 4 KiB a function. */
static void ecam_access(struct vmm_window *w, uint64_t offset, void *data, unsigned int len,
			bool write)
{
	struct vmm_pci *pci = vio_container_of(w, struct vmm_pci, ecam);

	config_access(pci, (unsigned int)(offset >> 12), offset & 0xfff, data, len, write);
}

/* The older way: an address register, and a window of four bytes behind it. */
static void port_access(struct vmm_window *w, uint64_t offset, void *data, unsigned int len,
			bool write)
{
	struct vmm_pci *pci = vio_container_of(w, struct vmm_pci, ports);
	uint32_t address = pci->address;

	if (offset >= 4 && (address & CONFIG_ENABLE) && !(address & 0xff0000)) {
		config_access(pci, address >> 8 & 0xff, (address & 0xfc) + (unsigned int)offset % 4,
			      data, len, write);
	} else if (offset == 0 && len == sizeof(address)) {
		if (write)
			memcpy(&address, data, len);
		else
			memcpy(data, &address, len);
		pci->address = address;
	} else if (!write) {
		memset(data, 0xff, len);
	}
}

static void memory_access(struct vmm_pci *pci, uint64_t addr, void *data, unsigned int len,
			  bool write)
{
	for (unsigned int i = 0; i < VMM_MAX_SLOTS; i++) {
		struct vmm_pci_func *func = pci->slots[i];

		if (func && func->memory && func->memory(func, addr, data, len, write))
			return;
	}
	if (!write)
		memset(data, 0xff, len);
}

static void low_access(struct vmm_window *w, uint64_t offset, void *data, unsigned int len,
		       bool write)
{
	memory_access(vio_container_of(w, struct vmm_pci, low), w->base + offset, data, len, write);
}

static void high_access(struct vmm_window *w, uint64_t offset, void *data, unsigned int len,
			bool write)
{
	memory_access(vio_container_of(w, struct vmm_pci, high), w->base + offset, data, len,
		      write);
}

/* The host bridge: an identity and nothing else. Linux believes in port 0xcf8 when it finds one. */
static void bridge_config(struct vmm_pci_func *func, unsigned int offset, void *data,
			  unsigned int len, bool write)
{
	static const uint8_t header[PCI_STD_HEADER_SIZEOF] = {
		[PCI_VENDOR_ID] = 0x36,
		[PCI_VENDOR_ID + 1] = 0x1b,
		[PCI_DEVICE_ID] = 0x08,
		[PCI_CLASS_DEVICE + 1] = 0x06,
	};

	(void)func;
	for (unsigned int i = 0; !write && i < len; i++)
		((uint8_t *)data)[i] = offset + i < sizeof(header) ? header[offset + i] : 0;
}

void pci_init(struct vmm_pci *pci, struct vmm *vmm)
{
	pci->ecam = (struct vmm_window){
		.base = VMM_ECAM_BASE,
		.size = VMM_ECAM_SIZE,
		.access = ecam_access,
	};
	pci->low = (struct vmm_window){
		.base = VMM_PCI_BASE,
		.size = VMM_PCI_SIZE,
		.access = low_access,
	};
	pci->high = (struct vmm_window){
		.base = ram_end(&vmm->ram),
		.size = VMM_PCI64_SIZE,
		.access = high_access,
	};
	pci->ports = (struct vmm_window){
		.base = VMM_PCI_PORT,
		.size = 8,
		.access = port_access,
	};
	space_add(&vmm->memory, &pci->ecam);
	space_add(&vmm->memory, &pci->high);
	space_add(&vmm->memory, &pci->low);
	space_add(&vmm->ports, &pci->ports);
	pci->bridge.config = bridge_config;
	pci_plug(pci, &pci->bridge);
}

int pci_plug(struct vmm_pci *pci, struct vmm_pci_func *func)
{
	for (unsigned int i = 0; i < VMM_MAX_SLOTS; i++) {
		if (!pci->slots[i]) {
			func->slot = i;
			pci->slots[i] = func;
			return 0;
		}
	}
	return -ENOSPC;
}
