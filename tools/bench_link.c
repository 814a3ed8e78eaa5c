/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_link.h"

#include <endian.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BIT(n) (UINT64_C(1) << (n))

int bench_error(const char *name, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "viodm bench: %s: ", name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return -1;
}

void bench_link_read_config(struct bench_offer *offer, const uint8_t *config)
{
	struct virtio_blk_config c = {0};

	memcpy(&c, config, BENCH_CONFIG_BYTES);
	offer->capacity = le64toh(c.capacity);
	offer->size_max = offer->features & BIT(VIRTIO_BLK_F_SIZE_MAX) ? le32toh(c.size_max) : 0;
	offer->num_queues = offer->features & BIT(VIRTIO_BLK_F_MQ) ? le16toh(c.num_queues) : 1;
}

static int check_offer(const struct bench_link *link, const struct bench_opts *o,
		       const struct bench_offer *offer)
{
	bool writes = o->verify || (o->read_percent < 100 && !(o->flags & BENCH_FLUSH));

	if (!(offer->features & BIT(VIRTIO_F_VERSION_1)))
		return bench_error(link->name, "does not offer VIRTIO_F_VERSION_1");
	if (writes && offer->features & BIT(VIRTIO_BLK_F_RO))
		return bench_error(link->name, "the disk is read-only");
	if (o->flags & BENCH_FLUSH && !(offer->features & BIT(VIRTIO_BLK_F_FLUSH)))
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

int bench_link_accept(struct bench_link *link, const struct bench_opts *o,
		      const struct bench_offer *offer)
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
	link->features = offer->features & wanted;
	link->capacity = offer->capacity * 512;
	link->size_max = offer->size_max;
	if (link->max_queues > offer->num_queues)
		link->max_queues = offer->num_queues;
	return check_offer(link, o, offer);
}

void bench_link_destroy(struct bench_link *link)
{
	if (link)
		link->ops->destroy(link);
}
