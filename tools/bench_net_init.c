/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a network card is asked for, and where a pair's rings and buffers lie in the memory that the
 * device sees.
 */
#include "bench_net.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGE	     4096u
#define LINE	     64u
#define BUFFER	     2048u
#define CONFIG_BYTES 10 /* mac, status, max_virtqueue_pairs */
#define COMMAND_NS   UINT64_C(10000000000)
#define BIT(n)	     (UINT64_C(1) << (n))

/* ---- features -------------------------------------------------------------------------------- */

static void read_config(struct bench_link *link, uint64_t offered, const uint8_t *config)
{
	struct virtio_net_config c = {0};
	unsigned pairs = 1;

	memcpy(&c, config, CONFIG_BYTES);
	if (offered & BIT(VIRTIO_NET_F_MQ))
		pairs = le16toh(c.max_virtqueue_pairs);
	link->max_queues = pairs;
}

static int net_accept(struct bench_link *link, const struct bench_opts *o, uint64_t offered,
		      const uint8_t *config)
{
	uint64_t wanted = BIT(VIRTIO_F_VERSION_1);

	if (!o->no_event_idx)
		wanted |= BIT(VIRTIO_RING_F_EVENT_IDX);
	if (!o->no_mergeable)
		wanted |= BIT(VIRTIO_NET_F_MRG_RXBUF);
	if (o->queues > 1)
		wanted |= BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VQ);
	link->features = offered & wanted;
	if (config)
		read_config(link, offered, config);
	if (!(offered & BIT(VIRTIO_F_VERSION_1)))
		return bench_error(link->name, "does not offer VIRTIO_F_VERSION_1");
	if (o->queues > link->max_queues)
		return bench_error(link->name, "the card has %u pair(s) of queues",
				   link->max_queues);
	return 0;
}

/* ---- a pair ---------------------------------------------------------------------------------- */

struct layout {
	struct bench_ring_layout rx, tx, control;
	uint64_t rx_data, tx_data, command, end;
	uint32_t rx_bytes, tx_bytes;
};

static bool is_mergeable(const struct bench_link *link)
{
	return link->features & BIT(VIRTIO_NET_F_MRG_RXBUF);
}

static struct layout pair_layout(const struct bench_link *link, const struct bench_opts *o,
				 uint64_t offset)
{
	struct layout l = {.end = vio_round_up(offset, PAGE)};

	l.tx_bytes = (uint32_t)vio_round_up(NET_HDR + o->frame, LINE);
	l.rx_bytes = is_mergeable(link) || l.tx_bytes < BUFFER ? BUFFER : l.tx_bytes;
	l.rx = bench_ring_place(&l.end, o->queue_size);
	l.tx = bench_ring_place(&l.end, o->queue_size);
	l.control = bench_ring_place(&l.end, 2);
	l.command = bench_place(&l.end, sizeof(struct net_command), LINE);
	l.rx_data = bench_place(&l.end, (uint64_t)o->queue_size * l.rx_bytes, PAGE);
	l.tx_data = bench_place(&l.end, (uint64_t)o->queue_size * l.tx_bytes, PAGE);
	return l;
}

static uint64_t net_queue_bytes(const struct bench_link *link, const struct bench_opts *o)
{
	return vio_round_up(pair_layout(link, o, 0).end, PAGE);
}

static int init_control(struct net_pair *p, const struct bench_mem *mem, const struct layout *l)
{
	const uint64_t wanted = BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VQ);
	struct bench_link *link = p->base.link;

	if (p->base.index != 0 || p->opts->queues == 1 || (link->features & wanted) != wanted)
		return 0;
	p->command = (void *)(mem->base + l->command);
	p->command_gpa = mem->gpa + l->command;
	return bench_ring_init(&p->control, link, mem, &l->control, 2, 2 * link->max_queues);
}

static int alloc_books(struct net_pair *p)
{
	p->free = calloc(p->size, sizeof(*p->free));
	p->rx_posted = calloc(p->size, sizeof(*p->rx_posted));
	p->tx_flying = calloc(p->size, sizeof(*p->tx_flying));
	if (!p->free || !p->rx_posted || !p->tx_flying)
		return bench_error(p->base.link->name, "out of memory");
	return 0;
}

/* Each descriptor has its buffer for good; so what is sent costs no write to the table. */
static void set_buffers(struct net_pair *p, const struct bench_mem *mem, const struct layout *l)
{
	for (unsigned i = 0; i < p->size; i++) {
		p->rx.desc[i] = bench_buffer(mem->gpa + l->rx_data + (uint64_t)i * l->rx_bytes,
					     l->rx_bytes, VRING_DESC_F_WRITE, 0);
		p->tx.desc[i] = bench_buffer(mem->gpa + l->tx_data + (uint64_t)i * l->tx_bytes,
					     NET_HDR + p->opts->frame, 0, 0);
		frame_fill(p->tx_data + (size_t)i * l->tx_bytes + NET_HDR, p->opts->frame,
			   p->base.index);
		p->free[p->n_free++] = (uint16_t)(p->size - 1 - i);
	}
}

static int pair_init(struct net_pair *p, const struct bench_mem *mem, const struct layout *l)
{
	struct bench_link *link = p->base.link;
	unsigned rx = 2 * p->base.index;

	p->size = p->opts->queue_size;
	p->batch = p->opts->batch < p->size ? p->opts->batch : p->size;
	p->rx_data = (uint8_t *)mem->base + l->rx_data;
	p->tx_data = (uint8_t *)mem->base + l->tx_data;
	p->rx_bytes = l->rx_bytes;
	p->tx_bytes = l->tx_bytes;
	if (alloc_books(p) < 0 || bench_ring_init(&p->rx, link, mem, &l->rx, p->size, rx) < 0 ||
	    bench_ring_init(&p->tx, link, mem, &l->tx, p->size, rx + 1) < 0 ||
	    init_control(p, mem, l) < 0)
		return -1;
	set_buffers(p, mem, l);
	return 0;
}

static struct bench_queue *net_queue_create(const struct bench_opts *o, struct bench_link *link,
					    const struct bench_mem *mem, uint64_t offset,
					    unsigned index)
{
	struct layout l = pair_layout(link, o, offset);
	struct net_pair *p = calloc(1, sizeof(*p));

	if (!p) {
		bench_error(link->name, "out of memory");
		return NULL;
	}
	p->base = (struct bench_queue){.ops = &net_pair_ops, .link = link, .index = index};
	p->opts = o;
	if (pair_init(p, mem, &l) == 0)
		return &p->base;
	net_pair_destroy(&p->base);
	return NULL;
}

void net_pair_destroy(struct bench_queue *base)
{
	struct net_pair *p = to_pair(base);

	bench_ring_fini(&p->rx);
	bench_ring_fini(&p->tx);
	bench_ring_fini(&p->control);
	free(p->free);
	free(p->rx_posted);
	free(p->tx_flying);
	free(p);
}

/* ---- how many pairs -------------------------------------------------------------------------- */

int net_pair_command(struct bench_queue *base)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	struct net_pair *p = to_pair(base);
	uint64_t end = bench_ns() + COMMAND_NS;

	if (!p->command)
		return 0;
	*p->command =
		(struct net_command){.hdr = {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET},
				     .pairs = htole16((uint16_t)p->opts->queues),
				     .ack = VIRTIO_NET_ERR};
	p->control.desc[0] = bench_buffer(p->command_gpa, offsetof(struct net_command, ack),
					  VRING_DESC_F_NEXT, 1);
	p->control.desc[1] = bench_buffer(p->command_gpa + offsetof(struct net_command, ack), 1,
					  VRING_DESC_F_WRITE, 0);
	bench_ring_add(&p->control, 0);
	bench_ring_publish(&p->control);
	while (bench_ring_ready(&p->control) == 0 && bench_ns() < end)
		nanosleep(&pause, NULL);
	if (bench_ring_ready(&p->control) == 0)
		return bench_error(base->link->name, "no answer on the control queue");
	bench_ring_take(&p->control);
	if (p->command->ack != VIRTIO_NET_OK)
		return bench_error(base->link->name, "refuses %u pairs", p->opts->queues);
	return 0;
}

const struct bench_device bench_net = {
	.name = "net",
	.what = "network card",
	.request = "frames",
	.id = VIRTIO_ID_NET,
	.config_bytes = CONFIG_BYTES,
	.accept = net_accept,
	.queue_bytes = net_queue_bytes,
	.queue_create = net_queue_create,
};
