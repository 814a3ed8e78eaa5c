/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FUZZ_PCI_H
#define FUZZ_PCI_H

/* The language of fuzz_pci.c's inputs, shared with the program that writes the seeds. */

#include <stddef.h>
#include <stdint.h>

/* Where the one region of guest memory begins; OP_QUEUE and OP_RAM count from there. */
#define RAM_BASE 0x10000u

/* What an input is made of: one byte of these, then operands. */
enum fuzz_op {
	OP_CONFIG_READ,	 /* offset, width */
	OP_CONFIG_WRITE, /* offset, width, value (4) */
	OP_BAR_READ,	 /* BAR, offset (2), width */
	OP_BAR_WRITE,	 /* BAR, offset (2), width, value (4) */
	OP_BAR_FAR,	 /* BAR, offset (8), width: reads and writes */
	OP_COMMON_WRITE, /* offset: the field there, by its width, value (4) */
	OP_NEGOTIATE,	 /* features (4): to FEATURES_OK */
	OP_QUEUE,	 /* queue, three RAM offsets (2 each): places and enables it */
	OP_DRIVER_OK,	 /* a device that runs is suspended */
	OP_RAM,		 /* offset (2), count, bytes */
	OP_KICK,	 /* queue: notification, and the loop serves it */
	OP_QUEUE_EVENT,	 /* queue */
	OP_CONFIG_EVENT, /* offset, value */
	OP_FDS,		 /* vector, bits: which eventfds are set */
	OP_BUS_RESET,
	N_OPS,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Offset of the function's capability `id`, of virtio type `type` if that is not 0; 0: none. */
unsigned fuzz_pci_find_cap(uint8_t id, uint8_t type);

#endif
