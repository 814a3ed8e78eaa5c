/* SPDX-License-Identifier: BSD-3-Clause */
#include "checks.h"

#include "plan.h"

#define N_LISTS (sizeof(lists) / sizeof(lists[0]))

/* clang-format off */
static const struct check_list *const lists[] = {
	&checks_status,
	&checks_config,
	&checks_reset,
	&checks_suspend,
	&checks_split,
	&checks_event,
	&checks_order,
	&checks_mmio,
	&checks_pci,
	&checks_pci_common,
	&checks_pci_irq,
	&checks_rare,
	&checks_hostile,
	&checks_blk_config,
	&checks_blk_io,
	&checks_blk_segments,
	&checks_blk_cache,
	&checks_blk_hostile,
	&checks_net_config,
	&checks_net_tx,
	&checks_net_rx,
	&checks_net_gso,
	&checks_net_ctrl,
	&checks_net_mq,
	&checks_net_hash,
	&checks_net_suspend,
	&checks_net_hostile,
};
/* clang-format on */

const struct check_list *check_list_at(unsigned i)
{
	return i < N_LISTS ? lists[i] : 0;
}
