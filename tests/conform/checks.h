/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONFORM_CHECKS_H
#define CONFORM_CHECKS_H

/*
 * The files of checks, for checks.c. Each begins with its area's name.
 */

#include "check.h"

extern const struct check_list checks_status;  /* basic: status, features */
extern const struct check_list checks_config;  /* basic: configuration space */
extern const struct check_list checks_reset;   /* basic: device reset, queue reset */
extern const struct check_list checks_suspend; /* basic: suspension */
extern const struct check_list checks_split;   /* split: descriptors, tables, used ring */
extern const struct check_list checks_event;   /* split: notifications */
extern const struct check_list checks_mmio;
extern const struct check_list checks_order;
extern const struct check_list checks_pci;	  /* pci: configuration space */
extern const struct check_list checks_pci_common; /* pci: common configuration, kicks */
extern const struct check_list checks_pci_irq;	  /* pci: interrupts */
extern const struct check_list checks_rare;	  /* what few devices have */
extern const struct check_list checks_hostile;	  /* drivers that break the rules */

extern const struct check_list checks_blk_config;   /* blk: features, configuration */
extern const struct check_list checks_blk_io;	    /* blk: reading, writing, other requests */
extern const struct check_list checks_blk_segments; /* blk: discard, write zeroes */
extern const struct check_list checks_blk_cache;    /* blk: cache modes, read-only disks */
extern const struct check_list checks_blk_hostile;  /* blk: requests that break the rules */

extern const struct check_list checks_net_config;  /* net: features, configuration */
extern const struct check_list checks_net_tx;	   /* net: packet transmission */
extern const struct check_list checks_net_rx;	   /* net: receive buffers, incoming packets */
extern const struct check_list checks_net_gso;	   /* net: packets to be segmented */
extern const struct check_list checks_net_ctrl;	   /* net: filters, addresses, VLANs */
extern const struct check_list checks_net_mq;	   /* net: several pairs, RSS */
extern const struct check_list checks_net_hash;	   /* net: hashes, coalescing */
extern const struct check_list checks_net_suspend; /* net: suspension */
extern const struct check_list checks_net_hostile; /* net: frames and commands that are none */

#endif
