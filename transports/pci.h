/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_PCI_H
#define VIODM_PCI_H

/*
 * virtio-pci, modern only ("Virtio Over PCI Bus"): one complete PCI function at register level. The
 * VMM has the bus: it hands over accesses to this function's configuration space and to its BARs,
 * places the BARs in its memory map when told, and delivers interrupts.
 *
 * BARs:  0  (32-bit, memory) virtio registers, each structure on a page of its own: common
 *           configuration, ISR, notifications, device configuration
 *        1  (32-bit, memory) MSI-X table, and pending bits on a page of their own; absent when
 *           n_vectors is 0
 *        2+3 (64-bit, prefetchable) shared memory; absent when the device has none
 *
 * Command register: Memory Space, Bus Master and Interrupt Disable work. Without Bus Master no
 * message-signalled interrupt leaves, as PCI asks; it stays pending until the bit is set. Access to
 * guest memory is not made to depend on it: drivers in the field forget it. There is no I/O space,
 * no expansion ROM and no power management capability.
 *
 * Threads. All functions may be called from any thread, several at once, but for create and
 * destroy. A hook is called on the thread that caused it: one that accesses registers, or a queue's
 * loop that interrupts. No lock of the transport is held then, but the lock of this device may be:
 * a hook must neither access registers of this device nor wait for a thread that does, and it may
 * take any lock that is not held around such accesses.
 *
 * The state hooks (vector_changed, intx, bar_changed) are called one at a time for each vector, for
 * the line, and for the BARs; each call carries the newest state, so the last one is right.
 * Normally the access that changes the state returns after the hook did; only when another thread
 * is in the same hook at that moment, that thread makes the call, soon.
 */

#include <viodm/device.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VIO_PCI_CONFIG_SIZE 256 /* bytes of conventional configuration space */
#define VIO_PCI_N_BARS	    6

struct vio_pci;

/* What vector_changed() reports of one MSI-X vector. */
struct vio_pci_vector {
	uint64_t address;
	uint32_t data;
	bool masked; /* by its own bit or the function mask, or MSI-X or bus mastering is off */
};

/* Each callback gets `arg`. Required unless said otherwise. */
struct vio_pci_hooks {
	/*
	 * Deliver one message-signalled interrupt now. Called for vectors without an eventfd, also
	 * for several at once. As with a posted write on a bus, a message that is on its way while
	 * its vector gets masked still arrives. Required when n_vectors is not 0.
	 */
	void (*msi)(void *arg, uint16_t vector, uint64_t address, uint32_t data);
	/*
	 * A vector was masked, unmasked, or its message changed while unmasked; all begin masked. A
	 * VMM with interrupt routing updates the route here and attaches or detaches its irqfd.
	 * Nothing is sent for the vector during the call: what occurs meanwhile is pending and goes
	 * out afterwards, so no interrupt uses an old route and none is lost. Optional.
	 */
	void (*vector_changed)(void *arg, uint16_t vector, const struct vio_pci_vector *v);
	/* The level of INTA#, low at first. Called on change only. */
	void (*intx)(void *arg, bool level);
	/*
	 * BAR `bar` now answers at guest-physical `address` (size: vio_pci_bar_size()), or nowhere
	 * when `enabled` is false; `address` is then the one where it was. No BAR answers at first;
	 * a change from one address to another is one call. The VMM moves its trap or mapping, and
	 * its ioeventfds; the address is the driver's choice and may lie anywhere. Optional for a
	 * VMM that asks vio_pci_bar() on each access instead.
	 *
	 * A BAR answers when Memory Space is set in the command register, unless its address is 0
	 * or its range ends with the 32-bit (64-bit) address space, as it does while a driver sizes
	 * the BAR with all ones.
	 */
	void (*bar_changed)(void *arg, unsigned bar, uint64_t address, bool enabled);
	void *arg;
};

struct vio_pci_config {
	struct vio_pci_hooks hooks;
	/*
	 * MSI-X vectors, 0..2048, better at least 2. 0: the function has no MSI-X capability.
	 * VIO_PCI_VECTORS_AUTO: one for each queue and one for the configuration.
	 */
	uint16_t n_vectors;
	uint16_t subsystem_vendor_id; /* 0: 0x1af4 */
	uint16_t subsystem_id;	      /* 0: 0x1100 */
	uint32_t class_code;	      /* 24 bits, 0: by device type */
};

#define VIO_PCI_VECTORS_AUTO 0xffff

/* An address that the VMM can give to KVM_IOEVENTFD instead of trapping it. */
struct vio_pci_ioeventfd {
	unsigned bar;
	uint64_t offset; /* within the BAR; each queue has its own address, any data matches */
	uint32_t length; /* 0: any width */
	int fd;		 /* borrowed, see vio_device_kick_fd() */
};

/*
 * Makes a function around `dev`. 0, -EBUSY (it has a transport), -ENOMEM, or -EINVAL: a missing
 * hook, too many vectors, a class code of more than 24 bits, a device ID above 0x3f, more than
 * three shared memory regions (no more capabilities fit), two of one id, or one whose length is no
 * power of two from 4096 to 2^60.
 */
VIO_EXPORT int vio_pci_create(struct vio_device *dev, const struct vio_pci_config *cfg,
			      struct vio_pci **out);

/*
 * Resets the function, so the hooks hear that BARs, line and vectors are off, and takes it away. No
 * other function of this header may be running. NULL is allowed.
 */
VIO_EXPORT void vio_pci_destroy(struct vio_pci *pci);

/*
 * The bus resets (RST#, or the machine does): configuration space, BARs, MSI-X and the device go
 * back to power-on state. Eventfds stay. Waits for the queues.
 */
VIO_EXPORT void vio_pci_reset(struct vio_pci *pci);

/*
 * One configuration space access of 1, 2 or 4 bytes inside one dword, little-endian in `buf`.
 * Anything else, or beyond VIO_PCI_CONFIG_SIZE, reads all ones and writes nothing. An access that
 * touches pci_cfg_data of the PCI_CFG capability makes the access to the BAR that the capability
 * describes; with a length other than 1, 2 or 4 it makes none and only stores the bytes, and a BAR
 * or offset where nothing is reads 0.
 */
VIO_EXPORT void vio_pci_config_read(struct vio_pci *pci, uint32_t off, void *buf, size_t len);
VIO_EXPORT void vio_pci_config_write(struct vio_pci *pci, uint32_t off, const void *buf,
				     size_t len);

/*
 * One BAR access of 1, 2, 4 or 8 bytes, little-endian in `buf`. Works whether or not memory
 * decoding is on: what is routed here is the VMM's decision. Everything not named here reads 0 and
 * writes nothing.
 *
 *   common configuration   each field by its own width at its own offset; 64-bit fields are two of
 *                          32 bits; 8 bytes count as two accesses of 4, the lower first
 *   ISR                    a read at its offset, of any width, reads and clears
 *   notifications          a write at a queue's offset, of any width and value, notifies it: the
 *                          index of 16 bits as much as the 32 bits of NOTIFICATION_DATA
 *   device configuration   any width at any offset
 *   MSI-X table            any; bytes merge into their dwords, the lower dword first
 *   pending bits           reads, any
 *   shared memory          any, inside one region
 */
VIO_EXPORT void vio_pci_bar_read(struct vio_pci *pci, unsigned bar, uint64_t off, void *buf,
				 size_t len);
VIO_EXPORT void vio_pci_bar_write(struct vio_pci *pci, unsigned bar, uint64_t off, const void *buf,
				  size_t len);

/* Bytes of a BAR, a power of two; 0: no such BAR (also for the upper half of a 64-bit one). */
VIO_EXPORT uint64_t vio_pci_bar_size(const struct vio_pci *pci, unsigned bar);

/* Where the BAR answers now: true and *address, or false when it does not. Any thread. */
VIO_EXPORT bool vio_pci_bar(struct vio_pci *pci, unsigned bar, uint64_t *address);

/* Host memory behind [off, off + len) of a shared-memory BAR, to map into the guest, or NULL. */
VIO_EXPORT void *vio_pci_bar_memory(const struct vio_pci *pci, unsigned bar, uint64_t off,
				    uint64_t len);

/* The ioeventfd of queue `index`. 0, or -EINVAL for a queue that does not exist. */
VIO_EXPORT int vio_pci_ioeventfd(const struct vio_pci *pci, uint16_t index,
				 struct vio_pci_ioeventfd *out);

VIO_EXPORT uint16_t vio_pci_n_vectors(const struct vio_pci *pci);

/*
 * From now on interrupts of `vector` signal `fd` (an irqfd) instead of calling msi(); -1 goes back.
 * A masked vector sets its pending bit and signals on unmask, with or without fd. Borrowed; may be
 * changed at any time from any thread; the old fd is not used any more when this returns. Allowed
 * in hooks. 0, or -EINVAL for a vector that does not exist.
 */
VIO_EXPORT int vio_pci_set_vector_fd(struct vio_pci *pci, uint16_t vector, int fd);

/*
 * INTx through an irqfd with resampling: when set (not -1), each rise of INTA# also signals `fd`,
 * and so does setting it while the line is up; the VMM calls vio_pci_intx_resample() after the
 * guest's end-of-interrupt to signal it again while the line is still up. Borrowed; the old fd is
 * not used any more when this returns. Both are allowed in hooks.
 */
VIO_EXPORT void vio_pci_set_intx_fd(struct vio_pci *pci, int fd);
VIO_EXPORT void vio_pci_intx_resample(struct vio_pci *pci);

#ifdef __cplusplus
}
#endif
#endif
