/* SPDX-License-Identifier: BSD-3-Clause */
#include "checks.h"

#include "plan.h"

#define N_LISTS (sizeof(lists) / sizeof(lists[0]))

static const struct check_list *const lists[] = {
	&checks_status, &checks_config, &checks_reset, &checks_split, &checks_event,
};

const struct check_list *check_list_at(unsigned i)
{
	return i < N_LISTS ? lists[i] : 0;
}
