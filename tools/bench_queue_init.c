/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a queue's rings, requests and data lie in the memory that the device sees.
 */
#include "bench_queue_internal.h"

#include <linux/virtio_config.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <viodm/util.h>

#define PAGE 4096u

/* Gives out `bytes` at `*offset`, which moves behind them. */
static uint64_t place(uint64_t *offset, uint64_t bytes, uint64_t align)
{
	uint64_t at = vio_round_up(*offset, align);

	*offset = at + bytes;
	return at;
}

struct layout {
	uint64_t desc, avail, used, slots, data, end;
};

static struct layout queue_layout(const struct bench_opts *o, uint64_t offset)
{
	struct layout l = {.end = vio_round_up(offset, PAGE)};
	uint64_t n = o->queue_size;

	l.desc = place(&l.end, n * sizeof(struct vring_desc), PAGE);
	l.avail = place(&l.end, sizeof(struct vring_avail) + (n + 1) * sizeof(uint16_t), PAGE);
	l.used = place(&l.end,
		       sizeof(struct vring_used) + n * sizeof(struct vring_used_elem) +
			       sizeof(uint16_t),
		       PAGE);
	l.slots = place(&l.end, o->depth * sizeof(struct bench_slot), PAGE);
	l.data = place(&l.end, o->depth * o->bs, PAGE);
	return l;
}

uint64_t bench_queue_bytes(const struct bench_opts *o)
{
	return vio_round_up(queue_layout(o, 0).end, PAGE);
}

static void set_heads(struct bench_queue *q)
{
	for (unsigned i = 0; q->stride == 1 && i < q->depth; i++)
		q->desc[i] = bench_buffer(q->slots_gpa + i * sizeof(struct bench_slot),
					  sizeof(q->slots[i].table), VRING_DESC_F_INDIRECT, 0);
}

/* Each queue has its own part of the disk. */
static int set_part(struct bench_queue *q, const struct bench_opts *o)
{
	uint64_t span = o->span && o->span < q->link->capacity ? o->span : q->link->capacity;

	q->n_blocks = span / o->bs / o->queues;
	q->first_block = q->index * q->n_blocks;
	if (q->n_blocks < (o->verify ? o->depth : 1))
		return bench_error(q->link->name, "not enough room for --queues and --depth in "
						  "the disk or --span");
	if (!o->verify)
		return 0;
	q->run = bench_ns() | 1;
	q->generation = calloc(q->n_blocks, sizeof(*q->generation));
	q->writing = calloc(q->n_blocks, sizeof(*q->writing));
	return q->generation && q->writing ? 0 : bench_error(q->link->name, "out of memory");
}

static void set_rings(struct bench_queue *q, const struct bench_mem *mem, const struct layout *l,
		      const struct bench_opts *o)
{
	q->desc = (void *)(mem->base + l->desc);
	q->avail = (void *)(mem->base + l->avail);
	q->used = (void *)(mem->base + l->used);
	q->used_event = &q->avail->ring[o->queue_size];
	q->avail_event = (void *)&q->used->ring[o->queue_size];
	q->slots = (void *)(mem->base + l->slots);
	q->slots_gpa = mem->gpa + l->slots;
	q->data = mem->base + l->data;
	q->data_gpa = mem->gpa + l->data;
	q->mask = (uint16_t)(o->queue_size - 1);
	q->rings = (struct bench_rings){.size = (uint16_t)o->queue_size,
					.desc = q->desc,
					.avail = q->avail,
					.used = q->used};
}

int bench_queue_init(struct bench_queue *q, const struct bench_opts *o, struct bench_link *link,
		     const struct bench_mem *mem, uint64_t offset, unsigned index)
{
	struct layout l = queue_layout(o, offset);

	q->link = link;
	q->index = index;
	q->depth = o->depth;
	q->bs = (uint32_t)o->bs;
	q->random = (o->seed + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15) + index;
	q->event_idx = link->features & UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX;
	q->stride = link->features & UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC ? 1 : BENCH_BUFFERS;
	if (q->depth * q->stride > o->queue_size)
		return bench_error(link->name, "without INDIRECT_DESC --depth can be %u at most",
				   o->queue_size / q->stride);
	set_rings(q, mem, &l, o);
	q->rings.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->rings.call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->requests = calloc(q->depth, sizeof(*q->requests));
	if (!q->requests || q->rings.kick_fd < 0 || q->rings.call_fd < 0)
		return bench_error(link->name, "cannot make a queue");
	set_heads(q);
	bench_queue_ask(q, false);
	return set_part(q, o);
}

void bench_queue_fini(struct bench_queue *q)
{
	if (!q->link)
		return;
	close(q->rings.kick_fd);
	close(q->rings.call_fd);
	free(q->requests);
	free(q->generation);
	free(q->writing);
}
