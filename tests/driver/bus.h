/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DRIVER_BUS_H
#define DRIVER_BUS_H

/*
 * How a driver reaches a device: one interface for every transport, so that a test is written once
 * and runs on each. Buses: drv_mmio_create() (bus_mmio.h), drv_pci_create() (bus_pci.h),
 * drv_vhost_create() (bus_vhost.h).
 *
 * All functions are for one driver thread at a time. Interrupts may arrive on any thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <driver/trace.h>

struct drv_bus;

/* The registers that every transport has in some form. `index` is the queue, or the window of 32
 * feature bits; 0 otherwise. */
enum drv_reg {
	DRV_DEVICE_ID,	  /* read only: virtio device ID */
	DRV_STATUS,	  /* */
	DRV_OFFERED,	  /* read only; index: window */
	DRV_ACCEPTED,	  /* index: window. Reads 0 where the register cannot be read (mmio) */
	DRV_GENERATION,	  /* read only */
	DRV_QUEUE_MAX,	  /* read only: largest size, 0: no such queue. pci: after reset only */
	DRV_QUEUE_SIZE,	  /* this and the three addresses cannot be read on mmio */
	DRV_QUEUE_DESC,	  /* */
	DRV_QUEUE_DRIVER, /* */
	DRV_QUEUE_DEVICE, /* */
	DRV_QUEUE_ENABLE, /* */
	DRV_QUEUE_RESET,  /* */
};

/* Where an interrupt comes from, for drv_bus_irq_take(): a queue's index, or this. */
#define DRV_IRQ_CONFIG 256u
#define DRV_N_IRQS     257u

struct drv_bus_ops {
	const char *name;
	uint64_t (*get)(struct drv_bus *bus, enum drv_reg reg, uint32_t index);
	void (*set)(struct drv_bus *bus, enum drv_reg reg, uint32_t index, uint64_t value);
	void (*kick)(struct drv_bus *bus, uint16_t queue);
	void (*config_read)(struct drv_bus *bus, uint32_t off, void *buf, uint32_t len);
	void (*config_write)(struct drv_bus *bus, uint32_t off, const void *buf, uint32_t len);
	/* Routes the interrupts of `n_queues` queues and of the configuration; after reset. */
	int (*irq_setup)(struct drv_bus *bus, uint16_t n_queues);
	/* Adds what arrived to bus->irq[], as a driver's interrupt handler does, and acknowledges.
	 */
	void (*irq_collect)(struct drv_bus *bus);
	void (*destroy)(struct drv_bus *bus);
};

struct drv_bus {
	const struct drv_bus_ops *ops;
	uint32_t irq[DRV_N_IRQS]; /* collected, not yet taken */
	_Atomic uint32_t n_irqs;  /* interrupts that ever arrived: messages, or rises of the line */
	_Atomic bool line;	  /* the level of the interrupt line, where there is one */
	bool notify_data; /* NOTIFICATION_DATA was negotiated: kicks carry notify_next, which is */
	uint16_t notify_next[DRV_N_IRQS]; /* by queue: the available index as published last */
	struct drv_trace *trace;	  /* where accesses are noted; NULL: nowhere */
	bool no_config;			  /* the configuration space cannot be reached */
	/* Called instead of accessing a configuration space that cannot be reached; may be NULL,
	 * and then it reads 0. */
	void (*on_no_config)(void *arg);
	void *on_no_config_arg;
};

/* Takes the device's transport away, which resets the device. NULL is allowed. */
void drv_bus_destroy(struct drv_bus *bus);

uint64_t drv_get(struct drv_bus *bus, enum drv_reg reg, uint32_t index);
void drv_set(struct drv_bus *bus, enum drv_reg reg, uint32_t index, uint64_t value);

uint8_t drv_status(struct drv_bus *bus);
void drv_set_status(struct drv_bus *bus, uint8_t status);

/* Adds bits to the status. Returns what the status reads afterwards. */
uint8_t drv_add_status(struct drv_bus *bus, uint8_t bits);

/* Writes 0 and waits until the status reads 0. */
void drv_reset(struct drv_bus *bus);

/* 64 offered bits, and accepting 64 bits. */
uint64_t drv_offered(struct drv_bus *bus);
void drv_accept(struct drv_bus *bus, uint64_t features);

void drv_kick(struct drv_bus *bus, uint16_t queue);

/* For buses: what a notification writes: the queue's index, with NOTIFICATION_DATA more. */
uint32_t drv_notify_value(const struct drv_bus *bus, uint16_t queue);

void drv_config_read(struct drv_bus *bus, uint32_t off, void *buf, uint32_t len);
void drv_config_write(struct drv_bus *bus, uint32_t off, const void *buf, uint32_t len);

/* One little-endian configuration field of 1, 2, 4 or 8 bytes (8: as two halves). */
uint64_t drv_config_field(struct drv_bus *bus, uint32_t off, uint32_t len);

/* Resets one queue (VIRTIO_F_RING_RESET) and waits until that is done. */
void drv_queue_reset(struct drv_bus *bus, uint16_t queue);

int drv_irq_setup(struct drv_bus *bus, uint16_t n_queues);

/*
 * How many interrupts since the last call can have been for `source` (a queue or DRV_IRQ_CONFIG).
 * With one shared line this is 0 or 1, and a queue sees what was for another queue as well.
 */
uint32_t drv_irq_take(struct drv_bus *bus, uint32_t source);

/* Forgets everything that arrived. */
void drv_irq_forget(struct drv_bus *bus);

#endif
