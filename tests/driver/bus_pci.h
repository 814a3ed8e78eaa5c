/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DRIVER_BUS_PCI_H
#define DRIVER_BUS_PCI_H

/*
 * virtio-pci (modern), driver side: finds the function's structures by walking its capability list,
 * sizes and places its BARs, and uses MSI-X or the interrupt pin, as a driver on a real bus does.
 */

#include <linux/virtio_pci.h>

#include <driver/bus.h>
#include <viodm/pci.h>

/* A virtio structure that a capability points at. `length` 0: the function has none. */
struct drv_pci_cap {
	uint8_t config_off; /* of the capability itself */
	uint8_t bar;
	uint8_t id;
	uint64_t offset;
	uint64_t length;
};

/* Where drv_pci_create() places BAR n: each has this much room of its own. */
#define DRV_PCI_BAR_BASE 0xc0000000u
#define DRV_PCI_BAR_STEP 0x01000000u

/*
 * Makes a PCI function of `dev` with up to `n_vectors` MSI-X vectors (0: interrupt pin only,
 * VIO_PCI_VECTORS_AUTO) and enumerates it. 0, -errno, or -EPROTO when the function's configuration
 * space makes no sense to a driver.
 */
int drv_pci_create(struct vio_device *dev, uint16_t n_vectors, struct drv_bus **out);

/* The transport, for raw accesses. */
struct vio_pci *drv_pci_transport(struct drv_bus *bus);

/* The first capability of one cfg_type, VIRTIO_PCI_CAP_COMMON_CFG to VIRTIO_PCI_CAP_PCI_CFG. */
const struct drv_pci_cap *drv_pci_cap(struct drv_bus *bus, unsigned cfg_type);

/* Bytes between two queues' notification addresses, from the notification capability. */
uint32_t drv_pci_notify_multiplier(struct drv_bus *bus);

/* One access to the function's configuration space, 1, 2 or 4 bytes. */
uint32_t drv_pci_config_get(struct drv_bus *bus, uint32_t off, uint32_t len);
void drv_pci_config_set(struct drv_bus *bus, uint32_t off, uint32_t len, uint32_t value);

/* One access inside a virtio structure, 1, 2 or 4 bytes. */
uint32_t drv_pci_get(struct drv_bus *bus, unsigned cfg_type, uint32_t off, uint32_t len);
void drv_pci_set(struct drv_bus *bus, unsigned cfg_type, uint32_t off, uint32_t len,
		 uint32_t value);

/* Offset in configuration space of the first capability with this id, or 0. */
uint8_t drv_pci_find_cap(struct drv_bus *bus, uint8_t cap_id);

/* MSI-X vectors of the function: 0 without the capability. */
uint16_t drv_pci_n_vectors(struct drv_bus *bus);

/* Interrupt messages that vector `vector` ever sent. */
uint32_t drv_pci_messages(struct drv_bus *bus, uint16_t vector);

/* Interrupt messages that did not carry what the driver had put into the vector's table entry. */
uint32_t drv_pci_stray_messages(struct drv_bus *bus);

/* Masks or unmasks one vector in the MSI-X table. */
void drv_pci_mask(struct drv_bus *bus, uint16_t vector, bool masked);

/* The pending bit of one vector. */
bool drv_pci_pending(struct drv_bus *bus, uint16_t vector);

#endif
