/* SPDX-License-Identifier: BSD-3-Clause */
#include <viodm/inflight.h>

#include <errno.h>
#include <stdlib.h>

struct entry {
	uint64_t counter;
	uint16_t head;
};

int vio_inflight_prepare(struct vio_inflight *area, uint16_t size)
{
	if (area->version == 0) {
		area->version = VIO_INFLIGHT_VERSION;
		area->desc_num = size;
	}
	return area->version == VIO_INFLIGHT_VERSION && area->desc_num == size ? 0 : -EINVAL;
}

/* Once: the area is shared with the front-end. */
static uint16_t fetch16(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

/*
 * The owner died between moving the used index and clearing the marks of that batch: its chains are
 * the last (used_idx - area->used_idx) ones of the list at last_batch_head.
 */
static void settle_batch(struct vio_inflight *area, uint16_t size, uint16_t used_idx)
{
	uint16_t n = (uint16_t)(used_idx - area->used_idx);
	uint16_t head = fetch16(&area->last_batch_head);

	for (uint16_t i = 0; i < n && i < size && head < size; i++) {
		area->desc[head].inflight = 0;
		head = fetch16(&area->desc[head].next);
	}
	area->used_idx = used_idx;
}

static int entry_cmp(const void *a, const void *b)
{
	const struct entry *ea = a, *eb = b;

	return ea->counter < eb->counter ? -1 : ea->counter > eb->counter;
}

int vio_inflight_recover(struct vio_inflight *area, uint16_t size, uint16_t used_idx,
			 uint16_t *heads, uint64_t *next_counter)
{
	struct entry *entries = malloc(size * sizeof(*entries));
	int n = 0;

	if (!entries)
		return -ENOMEM;
	settle_batch(area, size, used_idx);
	for (uint16_t i = 0; i < size; i++)
		if (area->desc[i].inflight)
			entries[n++] = (struct entry){.counter = area->desc[i].counter, .head = i};
	qsort(entries, (size_t)n, sizeof(*entries), entry_cmp);
	for (int i = 0; i < n; i++)
		heads[i] = entries[i].head;
	*next_counter = n > 0 ? entries[n - 1].counter + 1 : 0;
	free(entries);
	return n;
}
