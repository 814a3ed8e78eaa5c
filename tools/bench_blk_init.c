/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a disk is asked for, and where a queue's ring, requests and data lie in the memory that the
 * device sees.
 */
#include "bench_blk.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#define PAGE	     4096u
#define CONFIG_BYTES 36
#define BIT(n)	     (UINT64_C(1) << (n))

/* ---- features -------------------------------------------------------------------------------- */

static int check_offer(const struct bench_link *link, const struct bench_opts *o, uint64_t offered)
{
	bool writes = o->verify || (o->read_percent < 100 && !(o->flags & BENCH_FLUSH));

	if (!(offered & BIT(VIRTIO_F_VERSION_1)))
		return bench_error(link->name, "does not offer VIRTIO_F_VERSION_1");
	if (writes && offered & BIT(VIRTIO_BLK_F_RO))
		return bench_error(link->name, "the disk is read-only");
	if (o->flags & BENCH_FLUSH && !(offered & BIT(VIRTIO_BLK_F_FLUSH)))
		return bench_error(link->name, "the disk does not offer VIRTIO_BLK_F_FLUSH");
	if (link->capacity < (o->span ? o->span : o->bs))
		return bench_error(link->name, "the disk has %llu bytes only",
				   (unsigned long long)link->capacity);
	if (link->size_max && o->bs > link->size_max)
		return bench_error(link->name, "the disk takes buffers of %u bytes at most",
				   link->size_max);
	if (o->queues > link->max_queues)
		return bench_error(link->name, "the disk has %u queue(s)", link->max_queues);
	return 0;
}

static void read_config(struct bench_link *link, uint64_t offered, const uint8_t *config)
{
	struct virtio_blk_config c = {0};
	unsigned queues = 1;

	memcpy(&c, config, CONFIG_BYTES);
	link->capacity = le64toh(c.capacity) * 512;
	link->size_max = offered & BIT(VIRTIO_BLK_F_SIZE_MAX) ? le32toh(c.size_max) : 0;
	if (offered & BIT(VIRTIO_BLK_F_MQ))
		queues = le16toh(c.num_queues);
	if (link->max_queues > queues)
		link->max_queues = queues;
}

static int blk_accept(struct bench_link *link, const struct bench_opts *o, uint64_t offered,
		      const uint8_t *config)
{
	uint64_t wanted = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_BLK_F_FLUSH) |
			  BIT(VIRTIO_BLK_F_SIZE_MAX) | BIT(VIRTIO_BLK_F_SEG_MAX) |
			  BIT(VIRTIO_BLK_F_BLK_SIZE) | BIT(VIRTIO_BLK_F_RO);

	if (!o->no_indirect)
		wanted |= BIT(VIRTIO_RING_F_INDIRECT_DESC);
	if (!o->no_event_idx)
		wanted |= BIT(VIRTIO_RING_F_EVENT_IDX);
	if (o->queues > 1)
		wanted |= BIT(VIRTIO_BLK_F_MQ);
	link->features = offered & wanted;
	read_config(link, offered, config);
	return check_offer(link, o, offered);
}

/* ---- a queue --------------------------------------------------------------------------------- */

struct layout {
	struct bench_ring_layout ring;
	uint64_t slots, data, end;
};

static struct layout queue_layout(const struct bench_opts *o, uint64_t offset)
{
	struct layout l = {.end = vio_round_up(offset, PAGE)};

	l.ring = bench_ring_place(&l.end, o->queue_size);
	l.slots = bench_place(&l.end, o->depth * sizeof(struct bench_slot), PAGE);
	l.data = bench_place(&l.end, o->depth * o->bs, PAGE);
	return l;
}

static uint64_t blk_queue_bytes(const struct bench_link *link, const struct bench_opts *o)
{
	(void)link;
	return vio_round_up(queue_layout(o, 0).end, PAGE);
}

static void set_heads(struct disk_queue *q)
{
	for (unsigned i = 0; q->stride == 1 && i < q->depth; i++)
		q->ring.desc[i] = bench_buffer(q->slots_gpa + i * sizeof(struct bench_slot),
					       sizeof(q->slots[i].table), VRING_DESC_F_INDIRECT, 0);
}

/* Each queue has its own part of the disk. */
static int set_part(struct disk_queue *q, const struct bench_opts *o)
{
	const struct bench_link *link = q->base.link;
	uint64_t span = o->span && o->span < link->capacity ? o->span : link->capacity;

	q->n_blocks = span / o->bs / o->queues;
	q->base.share = q->n_blocks;
	q->first_block = q->base.index * q->n_blocks;
	if (q->n_blocks < (o->verify ? o->depth : 1))
		return bench_error(link->name, "not enough room for --queues and --depth in "
					       "the disk or --span");
	if (!o->verify)
		return 0;
	q->run = bench_ns() | 1;
	q->generation = calloc(q->n_blocks, sizeof(*q->generation));
	q->writing = calloc(q->n_blocks, sizeof(*q->writing));
	return q->generation && q->writing ? 0 : bench_error(link->name, "out of memory");
}

static int queue_init(struct disk_queue *q, const struct bench_opts *o, struct bench_link *link,
		      const struct bench_mem *mem, const struct layout *l, unsigned index)
{
	q->depth = o->depth;
	q->bs = (uint32_t)o->bs;
	q->random = (o->seed + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15) + index;
	q->stride = link->features & BIT(VIRTIO_RING_F_INDIRECT_DESC) ? 1 : BENCH_BUFFERS;
	q->slots = (void *)(mem->base + l->slots);
	q->slots_gpa = mem->gpa + l->slots;
	q->data = mem->base + l->data;
	q->data_gpa = mem->gpa + l->data;
	if (q->depth * q->stride > o->queue_size)
		return bench_error(link->name, "without INDIRECT_DESC --depth can be %u at most",
				   o->queue_size / q->stride);
	q->requests = calloc(q->depth, sizeof(*q->requests));
	if (!q->requests)
		return bench_error(link->name, "out of memory");
	if (bench_ring_init(&q->ring, link, mem, &l->ring, o->queue_size, index) < 0)
		return -1;
	set_heads(q);
	return set_part(q, o);
}

static struct bench_queue *blk_queue_create(const struct bench_opts *o, struct bench_link *link,
					    const struct bench_mem *mem, uint64_t offset,
					    unsigned index)
{
	struct layout l = queue_layout(o, offset);
	struct disk_queue *q = calloc(1, sizeof(*q));

	if (!q) {
		bench_error(link->name, "out of memory");
		return NULL;
	}
	q->base = (struct bench_queue){.ops = &disk_queue_ops, .link = link, .index = index};
	if (queue_init(q, o, link, mem, &l, index) == 0)
		return &q->base;
	disk_queue_destroy(&q->base);
	return NULL;
}

void disk_queue_destroy(struct bench_queue *base)
{
	struct disk_queue *q = to_disk(base);

	bench_ring_fini(&q->ring);
	free(q->requests);
	free(q->generation);
	free(q->writing);
	free(q);
}

const struct bench_device bench_blk = {
	.name = "blk",
	.what = "disk",
	.request = "requests",
	.id = VIRTIO_ID_BLOCK,
	.config_bytes = CONFIG_BYTES,
	.needs_config = true,
	.accept = blk_accept,
	.queue_bytes = blk_queue_bytes,
	.queue_create = blk_queue_create,
};
