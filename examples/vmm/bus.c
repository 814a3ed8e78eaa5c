/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm.h"

#include <string.h>

void space_add(struct vmm_space *space, struct vmm_window *window)
{
	window->next = space->first;
	space->first = window;
}

static bool covers(const struct vmm_window *w, uint64_t addr, unsigned int len)
{
	return addr >= w->base && addr - w->base < w->size && len <= w->size - (addr - w->base);
}

void space_access(const struct vmm_space *space, uint64_t addr, void *data, unsigned int len,
		  bool write)
{
	for (struct vmm_window *w = space->first; w; w = w->next) {
		if (covers(w, addr, len)) {
			w->access(w, addr - w->base, data, len, write);
			return;
		}
	}
	if (!write)
		memset(data, 0xff, len);
}
