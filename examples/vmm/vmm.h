/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_H
#define VMM_H

/*
 * viodm-vmm: a small virtual machine monitor for x86-64 and KVM that embeds the viodm library.
 *
 * About devices, and so about viodm:
 *
 *   main.c         command line, event loop, signals, one power cycle after the other
 *   config.c       the sections [vm] and [serve]
 *   devices.c      from the configuration to devices
 *   ctl.c          the control socket, for viodm ctl, and the log
 *   virtio_mmio.c  a device behind a window of registers
 *   virtio_pci.c   a device as a PCI function
 *
 * About PCs and KVM, and so the same for any devices:
 *
 *   machine.c      one power cycle: a fresh KVM VM, the kernel in RAM, vCPUs running
 *   ram.c          guest memory
 *   vcpu.c         a thread for each vCPU, and the exits it handles
 *   irq.c          interrupt lines, MSI routes, irqfds and ioeventfds
 *   bus.c          which window answers at a port or a physical address
 *   pci.c          the PCI host bridge
 *   serial.c       the 8250 console; console.c reads the terminal
 *   platform.c     ACPI power management and the reset register
 *   acpi.c         the tables that describe all this to the guest; acpi_write.c writes them
 *   boot.c         bzImage loading and the state of the boot processor
 *
 * Threads: the main thread runs the event loop, and in-process devices on it. Each vCPU has a
 * thread that delivers register accesses, the control socket has one. There is no global lock: the
 * serial port and the interrupt routes have one each, never held while calling out.
 *
 * Functions that can fail return 0 or -errno.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <viodm/util.h>

#include "serve_section.h"

struct vmm;

/* ---- physical addresses --------------------------------------------------------------------- */

/* RAM, below and above the hole that devices have. */
#define VMM_HOLE_BASE UINT64_C(0xc0000000)
#define VMM_HIGH_BASE UINT64_C(0x100000000)

/* 32-bit BARs; 64-bit ones go behind the end of RAM. */
#define VMM_PCI_BASE   UINT64_C(0xc0000000)
#define VMM_PCI_SIZE   UINT64_C(0x10000000)
#define VMM_PCI64_SIZE UINT64_C(0x100000000)

/* virtio-mmio windows, each on a page of its own. */
#define VMM_MMIO_BASE UINT64_C(0xd0000000)
#define VMM_MMIO_END  UINT64_C(0xe0000000)
#define VMM_MMIO_PAGE UINT64_C(0x1000)

/* Configuration space of one PCI bus. */
#define VMM_ECAM_BASE UINT64_C(0xe0000000)
#define VMM_ECAM_SIZE UINT64_C(0x100000)

#define VMM_IOAPIC_BASE UINT64_C(0xfec00000)
#define VMM_LAPIC_BASE	UINT64_C(0xfee00000)

/* ACPI tables, in RAM that the memory map reports as theirs. */
#define VMM_ACPI_BASE UINT64_C(0xe0000)
#define VMM_ACPI_SIZE UINT64_C(0x20000)

/* ---- ports and interrupts ------------------------------------------------------------------- */

#define VMM_SERIAL_PORT 0x3f8
#define VMM_PCI_PORT	0xcf8

/* The ACPI fixed registers, and a register that resets the machine. */
#define VMM_PM_PORT	0x600
#define VMM_PM_EVENT	0 /* 16 bits of status, 16 of enable */
#define VMM_PM_CONTROL	4 /* 16 bits */
#define VMM_PM_RESET	8 /* 8 bits, VMM_RESET_VALUE resets */
#define VMM_PM_SIZE	16
#define VMM_RESET_VALUE 1
#define VMM_S5_TYPE	5

/* GSIs below VMM_PINS are pins of the IOAPIC, MSI routes follow. PCI slots share four of them;
 * those of virtio-mmio are chosen in virtio_mmio.c. The SCI is announced but never raised. */
#define VMM_SERIAL_GSI 4
#define VMM_SCI_GSI    9
#define VMM_INTX_GSI   16
#define VMM_INTX_LINES 4
#define VMM_PINS       24

#define VMM_MAX_CPUS  64
#define VMM_MAX_SLOTS 32 /* of the PCI bus; the host bridge has slot 0 */
#define VMM_MAX_MMIO  32
#define VMM_MAX_MSI   1024

/* ---- config.c ------------------------------------------------------------------------------- */

struct vmm_config {
	const char *kernel;
	const char *initrd; /* NULL for none */
	const char *cmdline;
	uint64_t memory; /* bytes */
	unsigned int cpus;
	bool ioeventfd;	    /* let KVM turn queue notifications into eventfd writes */
	bool console_input; /* standard input goes to the serial port */
	bool reboot;	    /* false: a reset of the guest ends the process */
	struct serve_opts serve;
};

#define VMM_SECTIONS 2

/* [vm] and [serve]; checking the configuration fills in *config. */
void config_sections(struct vmm_config *config, struct vio_config_section sections[VMM_SECTIONS]);

/* ---- ram.c ---------------------------------------------------------------------------------- */

/* Guest memory is one shared memfd: [0, low) from its start, then [4 GiB, 4 GiB + high). */
struct vmm_ram {
	int fd;
	uint8_t *host;
	uint64_t low, high;
};

int ram_init(struct vmm_ram *ram, uint64_t size);
void ram_fini(struct vmm_ram *ram);
/* Host address of [gpa, gpa + len), or NULL if that is not all RAM below 4 GiB. */
void *ram_at(const struct vmm_ram *ram, uint64_t gpa, uint64_t len);
/* The first address above all RAM and above 4 GiB. */
uint64_t ram_end(const struct vmm_ram *ram);

/* ---- bus.c ---------------------------------------------------------------------------------- */

/* A range of ports or of physical addresses that answers reads and writes. Accesses come from vCPU
 * threads, several at once; offset + len never passes the window's end. A read fills all of data.
 */
struct vmm_window {
	uint64_t base, size;
	void (*access)(struct vmm_window *w, uint64_t offset, void *data, unsigned int len,
		       bool write);
	struct vmm_window *next;
};

/* What answers in one address space. Windows are added before the first vCPU runs, and stay. */
struct vmm_space {
	struct vmm_window *first;
};

void space_add(struct vmm_space *space, struct vmm_window *window);
/* An access nobody claims reads all ones. */
void space_access(const struct vmm_space *space, uint64_t addr, void *data, unsigned int len,
		  bool write);

/* ---- irq.c ---------------------------------------------------------------------------------- */

struct vmm_msi {
	int fd;
	bool attached;
	uint64_t addr;
	uint32_t data;
};

struct vmm_irqs {
	pthread_mutex_t lock;
	unsigned int n_msi;
	struct vmm_msi msi[VMM_MAX_MSI];
	uint32_t intx[VMM_INTX_LINES]; /* a bit for each slot that asserts the line */
};

int irq_init(struct vmm_irqs *irqs);
void irq_fini(struct vmm_irqs *irqs);
/* For a new VM: no route, no level. */
void irq_reset(struct vmm_irqs *irqs);

void irq_line(struct vmm *vmm, unsigned int gsi, bool level);
/* INTA# of a PCI slot. */
void irq_intx(struct vmm *vmm, unsigned int slot, bool level);
/* Raises an edge on gsi whenever fd is signalled, as long as the VM lasts. */
int irq_attach_edge(struct vmm *vmm, unsigned int gsi, int fd);

/* Reserves an MSI route for an eventfd; its number, or -ENOSPC. */
int irq_msi_add(struct vmm_irqs *irqs, int fd);
/* Points the route at an address and attaches the eventfd. */
int irq_msi_unmask(struct vmm *vmm, unsigned int msi, uint64_t addr, uint32_t data);
/* Detaches it: signals stay in the eventfd until the route is unmasked. */
void irq_msi_mask(struct vmm *vmm, unsigned int msi);
/* Without a route: one message, now. */
void irq_msi_send(struct vmm *vmm, uint64_t addr, uint32_t data);

/* A write of len bytes (0: any number) at addr signals fd instead of leaving the kernel; with
 * match, only that of value. */
struct vmm_notify {
	uint64_t addr;
	unsigned int len;
	bool match;
	uint64_t value;
	int fd;
};

/* One that KVM cannot attach is no loss: the write is trapped like any other. */
void notify_attach(struct vmm *vmm, const struct vmm_notify *notify, bool attach);

/* ---- vcpu.c --------------------------------------------------------------------------------- */

struct kvm_run;

struct vmm_vcpu {
	struct vmm *vmm; /* NULL: there is none */
	unsigned int id;
	int fd;
	struct kvm_run *run;
	size_t run_size;
	bool started;
	pthread_t thread;
};

/* Call once, before the first vCPU starts: prepares the signal that vcpu_kick() sends. */
int vcpu_setup_signal(void);

int vcpu_create(struct vmm_vcpu *vcpu, struct vmm *vmm, unsigned int id);
/* After its thread ended, or never started. */
void vcpu_destroy(struct vmm_vcpu *vcpu);
int vcpu_start(struct vmm_vcpu *vcpu);
/* When vmm->event says that the power cycle is over: makes the thread see it. Do not wait for the
 * thread here: a register write in progress may itself wait for the event loop. The last thread to
 * end makes vmm->running 0 and wakes the loop. */
void vcpu_kick(struct vmm_vcpu *vcpu);

/* ---- serial.c ------------------------------------------------------------------------------- */

#define SERIAL_RX_SIZE 4096

struct vmm_serial {
	struct vmm_window window;
	struct vmm *vmm;
	pthread_mutex_t lock;
	uint8_t ier, lcr, mcr, scr, dll, dlm;
	bool fifo, thr_empty_pending, level;
	uint8_t rx[SERIAL_RX_SIZE];
	unsigned int rx_head, rx_count;
};

int serial_init(struct vmm_serial *serial, struct vmm *vmm);
void serial_fini(struct vmm_serial *serial);
void serial_reset(struct vmm_serial *serial);
/* Bytes from outside; those for which there is no room are lost. */
void serial_receive(struct vmm_serial *serial, const uint8_t *data, size_t len);

/* ---- console.c ------------------------------------------------------------------------------ */

struct vmm_console;

/* Feeds standard input to the serial port; a terminal is in single-character mode meanwhile. */
int console_create(struct vmm *vmm, struct vmm_console **out);
void console_destroy(struct vmm_console *console);

/* ---- platform.c ----------------------------------------------------------------------------- */

struct vmm_platform {
	struct vmm_window window;
	struct vmm *vmm;
	_Atomic uint16_t enable, control;
};

void platform_init(struct vmm_platform *platform, struct vmm *vmm);
void platform_reset(struct vmm_platform *platform);

/* ---- pci.c ---------------------------------------------------------------------------------- */

/* What sits in a slot: function 0. Calls come from vCPU threads, several at once. */
struct vmm_pci_func {
	unsigned int slot; /* set by pci_plug() */
	void (*config)(struct vmm_pci_func *f, unsigned int offset, void *data, unsigned int len,
		       bool write);
	/* Memory space; false if no BAR covers the access. Optional. */
	bool (*memory)(struct vmm_pci_func *f, uint64_t addr, void *data, unsigned int len,
		       bool write);
};

struct vmm_pci {
	struct vmm_window ecam, ports, low, high;
	struct vmm_pci_func bridge;
	struct vmm_pci_func *slots[VMM_MAX_SLOTS];
	_Atomic uint32_t address; /* of the access through ports */
};

void pci_init(struct vmm_pci *pci, struct vmm *vmm);
/* Takes the next slot; -ENOSPC when the bus is full. */
int pci_plug(struct vmm_pci *pci, struct vmm_pci_func *func);

/* ---- virtio_mmio.c, virtio_pci.c ------------------------------------------------------------ */

struct vio_device;
struct vmm_device;

struct vmm_device_ops {
	/* The VM is new. Optional. */
	int (*power_on)(struct vmm_device *d);
	/* No vCPU runs, the VM is about to go: back to the state before the guest started. */
	void (*power_off)(struct vmm_device *d);
	void (*destroy)(struct vmm_device *d);
};

/* A virtio device with its transport, as the machine sees it. */
struct vmm_device {
	const struct vmm_device_ops *ops;
	struct vmm_device *next;
};

int virtio_mmio_create(struct vmm *vmm, struct vio_device *dev, struct vmm_device **out);
int virtio_pci_create(struct vmm *vmm, struct vio_device *dev, uint16_t n_vectors,
		      struct vmm_device **out);

/* ---- devices.c ------------------------------------------------------------------------------ */

struct vmm_devices;

/* All devices of a checked configuration. Failures are reported to standard error. */
int devices_create(struct vmm *vmm, struct vio_config *config, struct vmm_devices **out);
void devices_destroy(struct vmm_devices *devices);
int devices_power_on(struct vmm_devices *devices);
void devices_power_off(struct vmm_devices *devices);
/* Disks look at the size of their images again. */
void devices_refresh(struct vmm_devices *devices);
struct vio_assembly *devices_assembly(struct vmm_devices *devices);

/* ---- ctl.c ---------------------------------------------------------------------------------- */

struct vmm_ctl;

/* What the devices have to say goes to standard error, as far as [serve] wants to hear it. */
void ctl_log_init(struct vmm *vmm);

/* Listens for viodm ctl if [serve] says where; *out is NULL if not. Thread: the event loop's. */
int ctl_create(struct vmm *vmm, struct vio_config *config, struct vmm_ctl **out);
/* Before the devices go; runs the event loop until the last command is done. NULL is allowed. */
void ctl_destroy(struct vmm_ctl *ctl);

/* ---- acpi.c, boot.c ------------------------------------------------------------------------- */

/* Writes all tables into guest memory; the root pointer is at VMM_ACPI_BASE. */
int acpi_build(const struct vmm *vmm);

/* Loads kernel, initrd and command line, and fills the boot parameters. */
int boot_load(const struct vmm *vmm);
/* Sets the registers of the boot processor as the 32-bit boot protocol wants them. */
int boot_enter(const struct vmm_vcpu *vcpu);

/* ---- machine.c ------------------------------------------------------------------------------ */

/* How a power cycle ends, the more final the larger. */
enum vmm_event { VMM_RUNNING, VMM_RESET, VMM_POWEROFF, VMM_QUIT, VMM_ERROR };

/* A virtio-mmio window as the DSDT describes it. */
struct vmm_mmio_slot {
	uint64_t base, size;
	unsigned int gsi;
};

struct event_base;

struct vmm {
	struct vmm_config config;
	struct vio_log log;
	struct event_base *base;
	struct vmm_devices *devices;
	int kvm_fd, vm_fd;
	int event_fd; /* wakes the event loop when one of these two changed: */
	_Atomic int event;
	_Atomic unsigned int running; /* vCPU threads */
	struct vmm_ram ram;
	struct vmm_space ports, memory;
	struct vmm_irqs irqs;
	struct vmm_serial serial;
	struct vmm_platform platform;
	struct vmm_pci pci;
	unsigned int n_mmio;
	struct vmm_mmio_slot mmio[VMM_MAX_MMIO];
	struct vmm_vcpu vcpus[VMM_MAX_CPUS];
};

/* Any thread: ends the power cycle. Of several events the largest counts. */
void vmm_raise(struct vmm *vmm, enum vmm_event event);

/* Everything that outlives a power cycle, without devices. fini also after a failed init. */
int machine_init(struct vmm *vmm);
void machine_fini(struct vmm *vmm);

/* One power cycle begins, from a VM without history to running vCPUs. */
int machine_start(struct vmm *vmm);
/* For the event loop, when event_fd is readable: true when the cycle is over and no vCPU runs. */
bool machine_stopping(struct vmm *vmm);
/* It ends. */
void machine_stop(struct vmm *vmm);

#endif
