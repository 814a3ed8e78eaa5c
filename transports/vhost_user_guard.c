/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which mappings may lose their memory: a fixed list that a signal handler can read while other
 * threads change it. Each slot has a sequence number, odd while the slot is being changed. The slot
 * that a fault is looked up in does not change meanwhile: a server unmaps only after all queues
 * have stopped, so nobody touches a mapping that is going away.
 */
#include "vhost_user_internal.h"

#include <stdlib.h>
#include <sys/mman.h>

struct guard_slot {
	_Atomic bool taken;
	_Atomic unsigned seq;
	_Atomic uintptr_t start;
	_Atomic size_t len; /* 0: nothing here */
	_Atomic(_Atomic bool *) gone;
	_Atomic int event_fd;
};

struct vio_vhost_user_guard {
	unsigned n;
	struct guard_slot slot[];
};

int vio_vhost_user_guard_create(unsigned mappings, struct vio_vhost_user_guard **out)
{
	struct vio_vhost_user_guard *g;

	g = calloc(1, sizeof(*g) + mappings * sizeof(g->slot[0]));
	if (!g)
		return -ENOMEM;
	g->n = mappings;
	*out = g;
	return 0;
}

void vio_vhost_user_guard_destroy(struct vio_vhost_user_guard *g)
{
	free(g);
}

static void slot_fill(struct guard_slot *s, void *map, size_t len, _Atomic bool *gone, int event_fd)
{
	s->seq++;
	s->start = (uintptr_t)map;
	s->len = len;
	s->gone = gone;
	s->event_fd = event_fd;
	s->seq++;
}

int vhu_guard_add(struct vio_vhost_user_guard *g, void *map, size_t len, _Atomic bool *gone,
		  int event_fd, unsigned *slot)
{
	if (!g)
		return 0;
	for (unsigned i = 0; i < g->n; i++) {
		if (atomic_exchange(&g->slot[i].taken, true))
			continue;
		slot_fill(&g->slot[i], map, len, gone, event_fd);
		*slot = i;
		return 0;
	}
	return -ENOSPC;
}

void vhu_guard_remove(struct vio_vhost_user_guard *g, unsigned slot)
{
	if (!g)
		return;
	slot_fill(&g->slot[slot], NULL, 0, NULL, -1);
	g->slot[slot].taken = false;
}

/* True when the slot's mapping was hit and has been replaced. Inside a signal handler. */
static bool slot_fault(struct guard_slot *s, uintptr_t addr)
{
	unsigned seq = s->seq;
	uintptr_t start = s->start;
	size_t len = s->len;
	_Atomic bool *gone = s->gone;
	int event_fd = s->event_fd;
	void *map = (void *)start;

	if (seq % 2 || seq != s->seq || addr < start || addr - start >= len)
		return false;
	if (mmap(map, len, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED)
		return false;
	*gone = true;
	vio_event_signal(event_fd);
	return true;
}

bool vio_vhost_user_guard_fault(struct vio_vhost_user_guard *g, const void *addr)
{
	int saved = errno;
	bool found = false;

	for (unsigned i = 0; g && i < g->n && !found; i++)
		found = slot_fault(&g->slot[i], (uintptr_t)addr);
	errno = saved;
	return found;
}
