/* SPDX-License-Identifier: BSD-3-Clause */
#include <driver/queue.h>

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What the driver remembers of each descriptor. */
struct drv_slot {
	uint16_t next;	 /* free: the next free one. Head in flight: first of its chain's rest */
	uint16_t n_desc; /* head in flight: descriptors of the chain. 0: not a head in flight */
	uint16_t order;	 /* not of this descriptor: head of the chain at this place of the ring */
	uint32_t room; /* head in flight: bytes the device may write, as far as they can be told */
	void *token;
};

static uint16_t load16(const __virtio16 *p, int order)
{
	uint16_t v;

	if (order == __ATOMIC_ACQUIRE)
		v = __atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE);
	else
		v = __atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED);
	return le16toh(v);
}

static void store16(__virtio16 *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)p, htole16(v), __ATOMIC_RELAXED);
}

static void store16_release(__virtio16 *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)p, htole16(v), __ATOMIC_RELEASE);
}

/* Orders an index store before the load of the other side's wish (SPLIT-DRV-034). */
static void full_fence(void)
{
	__sync_synchronize();
}

static __virtio16 *used_event(const struct drv_queue *q)
{
	return &q->avail->ring[q->size];
}

static __virtio16 *avail_event(const struct drv_queue *q)
{
	return (__virtio16 *)(void *)&q->used->ring[q->size];
}

static uint64_t desc_bytes(const struct drv_queue *q)
{
	return q->size * sizeof(struct vring_desc);
}

static uint64_t driver_bytes(const struct drv_queue *q)
{
	return sizeof(struct vring_avail) + (q->size + 1u) * sizeof(__virtio16);
}

static uint64_t device_bytes(const struct drv_queue *q)
{
	return sizeof(struct vring_used) + q->size * sizeof(struct vring_used_elem) +
	       sizeof(__virtio16);
}

static uint64_t table_bytes(const struct drv_queue *q)
{
	return (uint64_t)q->size * q->table_len * sizeof(struct vring_desc);
}

int drv_queue_init(struct drv_queue *q, struct drv_mem *mem, uint16_t size, bool event_idx,
		   uint32_t table_len)
{
	memset(q, 0, sizeof(*q));
	q->size = size;
	q->event_idx = event_idx;
	q->table_len = table_len;
	q->desc_gpa = drv_mem_alloc(mem, desc_bytes(q), VRING_DESC_ALIGN_SIZE);
	q->driver_gpa = drv_mem_alloc(mem, driver_bytes(q), VRING_AVAIL_ALIGN_SIZE);
	q->device_gpa = drv_mem_alloc(mem, device_bytes(q), VRING_USED_ALIGN_SIZE);
	q->table_gpa = drv_mem_alloc(mem, table_bytes(q), VRING_DESC_ALIGN_SIZE);
	q->desc = drv_mem_ptr(mem, q->desc_gpa, desc_bytes(q));
	q->avail = drv_mem_ptr(mem, q->driver_gpa, driver_bytes(q));
	q->used = drv_mem_ptr(mem, q->device_gpa, device_bytes(q));
	q->table = table_len ? drv_mem_ptr(mem, q->table_gpa, table_bytes(q)) : NULL;
	q->slot = calloc(size, sizeof(*q->slot));
	if (!q->slot || !q->desc || !q->avail || !q->used || (table_len && !q->table)) {
		drv_queue_fini(q);
		return -ENOMEM;
	}
	drv_queue_clear(q);
	return 0;
}

void drv_queue_fini(struct drv_queue *q)
{
	free(q->slot);
	q->slot = NULL;
}

void drv_queue_clear(struct drv_queue *q)
{
	memset(q->desc, 0, desc_bytes(q));
	memset(q->avail, 0, driver_bytes(q));
	memset(q->used, 0, device_bytes(q));
	if (q->table)
		memset(q->table, 0, table_bytes(q));
	for (uint16_t i = 0; i < q->size; i++)
		q->slot[i] = (struct drv_slot){.next = (uint16_t)(i + 1)};
	q->avail_idx = q->published = q->used_idx = 0;
	q->free = 0;
	q->free_last = q->size - 1;
	q->n_free = q->size;
	q->in_flight = 0;
	q->batch = 0;
}

void drv_queue_warp(struct drv_queue *q, uint16_t idx)
{
	q->avail_idx = q->published = q->used_idx = idx;
	store16(&q->avail->idx, idx);
	store16(&q->used->idx, idx);
	store16(used_event(q), idx);
}

void drv_desc_write(struct vring_desc *d, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	d->addr = htole64(gpa);
	d->len = htole32(len);
	d->flags = htole16(flags);
	d->next = htole16(next);
}

static uint16_t buf_flags(const struct drv_buf *b, bool more)
{
	return (uint16_t)((b->writable ? VRING_DESC_F_WRITE : 0) | (more ? VRING_DESC_F_NEXT : 0));
}

/* Buffers of one chain from the `n_direct`th on go into the head's own table. */
static void fill_table(struct drv_queue *q, uint16_t head, const struct drv_buf *buf, uint32_t n)
{
	struct vring_desc *table = q->table + (size_t)head * q->table_len;

	for (uint32_t i = 0; i < n; i++)
		drv_desc_write(&table[i], buf[i].gpa, buf[i].len, buf_flags(&buf[i], i + 1 < n),
			       (uint16_t)(i + 1 < n ? i + 1 : 0));
}

static uint32_t room_of(const struct drv_buf *buf, uint32_t n)
{
	uint64_t room = 0;

	for (uint32_t i = 0; i < n; i++)
		room += buf[i].writable ? buf[i].len : 0;
	return room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
}

static void ring_put(struct drv_queue *q, uint16_t head)
{
	uint16_t at = q->avail_idx++ & (q->size - 1);

	store16(&q->avail->ring[at], head);
	q->slot[at].order = head;
}

int drv_queue_add(struct drv_queue *q, const struct drv_buf *buf, uint32_t n, uint32_t n_direct,
		  void *token)
{
	bool indirect = n_direct < n;
	uint32_t direct = indirect ? n_direct : n;
	uint32_t n_desc = direct + indirect;
	uint16_t head = q->free, at = head;

	if (n == 0 || n_desc > q->n_free || (indirect && n - direct > q->table_len))
		return -ENOSPC;
	for (uint32_t i = 0; i < n_desc; i++) {
		bool more = i + 1 < n_desc;
		uint16_t next = q->slot[at].next;

		if (i < direct) {
			drv_desc_write(&q->desc[at], buf[i].gpa, buf[i].len,
				       buf_flags(&buf[i], more), more ? next : 0);
		} else {
			fill_table(q, head, buf + direct, n - direct);
			drv_desc_write(&q->desc[at],
				       q->table_gpa + (uint64_t)head * q->table_len * 16,
				       (n - direct) * 16, VRING_DESC_F_INDIRECT, 0);
		}
		if (more)
			at = next;
	}
	q->free = q->slot[at].next;
	q->n_free -= (uint16_t)n_desc;
	q->slot[head].n_desc = (uint16_t)n_desc;
	q->slot[head].token = token;
	q->slot[head].room = room_of(buf, n);
	q->in_flight++;
	ring_put(q, head);
	return head;
}

bool drv_queue_publish(struct drv_queue *q)
{
	uint16_t old = q->published;

	store16_release(&q->avail->idx, q->avail_idx); /* SPLIT-DRV-033 */
	q->published = q->avail_idx;
	full_fence();
	if (q->event_idx)
		return vring_need_event(drv_queue_avail_event(q), q->published, old);
	return !(drv_queue_used_flags(q) & VRING_USED_F_NO_NOTIFY);
}

uint16_t drv_queue_used_idx(const struct drv_queue *q)
{
	return load16(&q->used->idx, __ATOMIC_ACQUIRE);
}

uint16_t drv_queue_ready(const struct drv_queue *q)
{
	return (uint16_t)(drv_queue_used_idx(q) - q->used_idx);
}

/*
 * Gives the descriptors of the chain at `head` back to the free list: to its front, or in order to
 * its end, so that descriptors are used in ring order (SPLIT-DRV-009).
 */
static void release_chain(struct drv_queue *q, uint16_t head)
{
	uint16_t last = head;

	for (uint16_t i = 1; i < q->slot[head].n_desc; i++)
		last = q->slot[last].next;
	if (q->in_order && q->n_free > 0) {
		q->slot[q->free_last].next = head;
	} else {
		q->slot[last].next = q->free;
		q->free = head;
	}
	if (q->in_order || q->n_free == 0)
		q->free_last = last;
	q->n_free += q->slot[head].n_desc;
	q->slot[head].n_desc = 0;
	q->in_flight--;
}

/* In order: the head that was made available `i` buffers after the oldest that is in flight. */
static uint16_t head_at(const struct drv_queue *q, uint16_t i)
{
	return q->slot[(uint16_t)(q->used_idx + i) & (q->size - 1)].order;
}

/* How many buffers are used with an entry that names `head`. 0: that entry cannot be. */
static uint16_t batch_of(const struct drv_queue *q, uint16_t head)
{
	for (uint16_t i = 0; i < drv_queue_ready(q); i++) {
		if (q->slot[head_at(q, i)].n_desc == 0)
			return 0;
		if (head_at(q, i) == head)
			return i + 1;
	}
	return 0;
}

static int take(struct drv_queue *q, uint16_t head, uint32_t len, struct drv_used *out)
{
	if (q->slot[head].n_desc == 0)
		return -EPROTO;
	*out = (struct drv_used){.head = head, .len = len, .token = q->slot[head].token};
	release_chain(q, head);
	q->used_idx++;
	return 1;
}

static int take_in_order(struct drv_queue *q, struct drv_used *out)
{
	uint16_t head = head_at(q, 0);

	q->batch--;
	return take(q, head, q->batch ? q->slot[head].room : q->batch_len, out);
}

int drv_queue_get(struct drv_queue *q, struct drv_used *out)
{
	const struct vring_used_elem *e = &q->used->ring[q->used_idx & (q->size - 1)];
	uint32_t id;

	if (q->batch > 0)
		return take_in_order(q, out);
	if (drv_queue_ready(q) == 0)
		return 0;
	id = le32toh(e->id);
	if (drv_queue_ready(q) > q->size || id >= q->size)
		return -EPROTO;
	if (!q->in_order)
		return take(q, (uint16_t)id, le32toh(e->len), out);
	q->batch = batch_of(q, (uint16_t)id);
	q->batch_len = le32toh(e->len);
	q->n_skipped += q->batch > 0 ? q->batch - 1u : 0;
	return q->batch > 0 ? take_in_order(q, out) : -EPROTO;
}

bool drv_queue_irq_on(struct drv_queue *q)
{
	if (q->event_idx)
		drv_queue_set_used_event(q, q->used_idx);
	else
		drv_queue_set_avail_flags(q, 0);
	full_fence();
	return drv_queue_ready(q) > 0;
}

void drv_queue_irq_off(struct drv_queue *q)
{
	if (q->event_idx)
		drv_queue_set_used_event(q, (uint16_t)(q->used_idx - 1));
	else
		drv_queue_set_avail_flags(q, VRING_AVAIL_F_NO_INTERRUPT);
}

uint16_t drv_queue_used_flags(const struct drv_queue *q)
{
	return load16(&q->used->flags, __ATOMIC_RELAXED);
}

uint16_t drv_queue_avail_event(const struct drv_queue *q)
{
	return load16(avail_event(q), __ATOMIC_RELAXED);
}

void drv_queue_set_used_event(struct drv_queue *q, uint16_t event)
{
	store16(used_event(q), event);
}

void drv_queue_offer_raw(struct drv_queue *q, uint16_t head)
{
	ring_put(q, head);
	drv_queue_set_avail_idx(q, q->avail_idx);
	q->published = q->avail_idx;
}

void drv_queue_set_avail_idx(struct drv_queue *q, uint16_t idx)
{
	store16_release(&q->avail->idx, idx);
}

void drv_queue_set_avail_flags(struct drv_queue *q, uint16_t flags)
{
	store16(&q->avail->flags, flags);
}
