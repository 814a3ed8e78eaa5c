/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_net.h"

#include <poll.h>
#include <string.h>

#define PATIENCE_NS 200000000u /* for a frame to come back */

/* ---- sending --------------------------------------------------------------------------------- */

static bool sends(const struct net_pair *p)
{
	return p->opts->direction != BENCH_RX;
}

static unsigned reclaim(struct net_pair *p)
{
	uint16_t n = bench_ring_ready(&p->tx);

	if (VIO_UNLIKELY(n > p->size - p->n_free)) {
		bench_queue_fault(&p->base, "the used index moved by %u with %u in flight", n,
				  p->size - p->n_free);
		return 0;
	}
	for (unsigned i = 0; i < n; i++) {
		uint32_t id = le32toh(bench_ring_take(&p->tx)->id);

		if (VIO_UNLIKELY(id >= p->size || !p->tx_flying[id])) {
			bench_queue_fault(&p->base,
					  "the device returned %u, which is not in flight", id);
			return i;
		}
		p->tx_flying[id] = false;
		p->free[p->n_free++] = (uint16_t)id;
	}
	if (n > 0)
		bench_ring_move_event(&p->tx);
	return n;
}

static void send_frame(struct net_pair *p)
{
	unsigned id = p->free[--p->n_free];
	uint8_t *frame = p->tx_data + (size_t)id * p->tx_bytes + NET_HDR;

	frame_number(frame, p->opts->frame, p->number++, p->opts->verify);
	p->tx_flying[id] = true;
	bench_ring_add(&p->tx, id);
}

static void send_batch(struct net_pair *p)
{
	unsigned n = p->budget < p->batch ? (unsigned)p->budget : p->batch;

	if (n == 0 || p->n_free < n)
		return;
	for (unsigned i = 0; i < n; i++)
		send_frame(p);
	p->sent += n;
	p->budget -= n;
	bench_ring_publish(&p->tx);
	if (p->budget == 0)
		p->deadline = bench_ns() + PATIENCE_NS;
}

/* ---- receiving ------------------------------------------------------------------------------- */

static void post(struct net_pair *p, unsigned id)
{
	p->rx_posted[id] = true;
	bench_ring_add(&p->rx, id);
}

static const uint8_t *rx_buffer(const struct net_pair *p, uint32_t id)
{
	return p->rx_data + (size_t)id * p->rx_bytes;
}

/* One used buffer: its bytes without header. NULL: the device broke a rule. */
static const uint8_t *take_buffer(struct net_pair *p, bool first, uint32_t *id, uint32_t *len)
{
	const struct vring_used_elem *e = bench_ring_take(&p->rx);
	uint32_t skip = first ? NET_HDR : 0;

	*id = le32toh(e->id);
	*len = le32toh(e->len);
	if (VIO_UNLIKELY(*id >= p->size || !p->rx_posted[*id])) {
		bench_queue_fault(&p->base, "the device returned %u, which is not in flight", *id);
		return NULL;
	}
	p->rx_posted[*id] = false;
	if (VIO_UNLIKELY(*len > p->rx_bytes || *len < skip || (first && *len < skip + FRAME_MIN))) {
		bench_queue_fault(&p->base, "a frame of %u bytes, header included", *len);
		return NULL;
	}
	*len -= skip;
	return rx_buffer(p, *id) + skip;
}

static unsigned buffers_of(const struct net_pair *p, const uint8_t *hdr)
{
	struct virtio_net_hdr_v1 h;

	if (!(p->base.link->features & UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF))
		return 1;
	memcpy(&h, hdr, sizeof(h));
	return le16toh(h.num_buffers);
}

/* In order, and none missing? */
static void follow(struct net_pair *p, uint64_t number)
{
	if (p->next_known && number < p->next_number)
		bench_queue_fault(&p->base, "frame %llu came after frame %llu",
				  (unsigned long long)number,
				  (unsigned long long)p->next_number - 1);
	else if (p->next_known && p->counting && p->opts->direction == BENCH_RX)
		p->base.counts.lost += number - p->next_number;
	p->next_number = number + 1;
	p->next_known = true;
}

static void look_at(struct net_pair *p, const uint8_t *part, uint32_t from, uint32_t len,
		    enum frame_kind kind, uint64_t number)
{
	uint32_t bad;

	if (!p->opts->verify || kind == FRAME_FOREIGN)
		return;
	bad = frame_check(part, from, len, kind == FRAME_OURS ? number : 0);
	if (bad != UINT32_MAX)
		bench_queue_fault(&p->base, "verify: frame %llu differs from byte %u on",
				  (unsigned long long)number, bad);
}

/* A whole frame that is not the one it should be, as far as that can be known. */
static void check_length(struct net_pair *p, enum frame_kind kind, uint32_t len)
{
	if (kind == FRAME_OURS && len != p->opts->frame)
		bench_queue_fault(&p->base, "a frame of %u bytes came back with %u", p->opts->frame,
				  len);
}

static void count_frame(struct net_pair *p, enum frame_kind kind, uint64_t number)
{
	if (kind == FRAME_FOREIGN && p->opts->direction == BENCH_BOTH)
		return;
	if (kind != FRAME_FOREIGN)
		follow(p, number);
	p->base.counts.checked += p->opts->verify && kind != FRAME_FOREIGN;
	p->back++;
	p->base.counts.all++;
	p->base.counts.done += p->counting;
}

/* One frame, of which `ready` buffers are there. Returns how many it took; 0: not all are there. */
static unsigned receive_frame(struct net_pair *p, unsigned ready)
{
	uint32_t first = le32toh(p->rx.used->ring[p->rx.used_idx & p->rx.mask].id), id, len,
		 all = 0;
	unsigned n = first < p->size ? buffers_of(p, rx_buffer(p, first)) : 1;
	enum frame_kind kind = FRAME_FOREIGN;
	uint64_t number = 0;

	if (VIO_UNLIKELY(n == 0 || n > p->size)) {
		bench_queue_fault(&p->base, "a frame in %u buffers", n);
		return 0;
	}
	if (n > ready) /* used entries of one frame may become visible one by one */
		return 0;
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *part = take_buffer(p, i == 0, &id, &len);

		if (!part)
			return 0;
		if (i == 0)
			kind = frame_identify(part, &number);
		look_at(p, part, all, len, kind, number);
		all += len;
		post(p, id);
	}
	check_length(p, kind, all);
	count_frame(p, kind, number);
	return n;
}

static unsigned receive(struct net_pair *p)
{
	unsigned ready = bench_ring_ready(&p->rx), frames = 0, took;

	if (ready == 0)
		return 0;
	if (VIO_UNLIKELY(ready > p->size)) {
		bench_queue_fault(&p->base, "the used index moved by %u with %u in flight", ready,
				  p->size);
		return 0;
	}
	while (ready > 0 && !p->base.fault[0] && (took = receive_frame(p, ready)) > 0) {
		ready -= took;
		frames++;
	}
	bench_ring_publish(&p->rx);
	bench_ring_move_event(&p->rx);
	return frames;
}

/* ---- turns ----------------------------------------------------------------------------------- */

static unsigned net_turn(struct bench_queue *base)
{
	struct net_pair *p = to_pair(base);
	unsigned went = reclaim(p), came = 0;

	if (p->opts->direction == BENCH_TX) {
		base->counts.all += went;
		if (p->counting)
			base->counts.done += went;
	} else {
		came = receive(p);
	}
	if (p->active && sends(p))
		send_batch(p);
	if (came && !(p->active && p->budget > 0))
		p->deadline = bench_ns() + PATIENCE_NS;
	if (p->opts->direction == BENCH_RX && p->active) {
		p->budget -= came < p->budget ? came : p->budget;
		p->active = p->budget > 0;
	}
	return went + came;
}

/* The ring is filled once; later there may be frames that came between two phases. */
static void begin_receiving(struct net_pair *p)
{
	unsigned frames = 0, n;

	for (unsigned i = 0; !p->rx_filled && i < p->size; i++)
		post(p, i);
	p->rx_filled = true;
	bench_ring_publish(&p->rx);
	while (frames < p->size && (n = receive(p)) > 0)
		frames += n;
}

static void net_begin(struct bench_queue *base, const struct bench_load *load, uint64_t budget)
{
	struct net_pair *p = to_pair(base);

	(void)load;
	p->counting = p->active = false;
	if (p->opts->direction != BENCH_TX)
		begin_receiving(p);
	memset(&base->counts, 0, sizeof(base->counts));
	bench_ring_clear(&p->rx);
	bench_ring_clear(&p->tx);
	p->sent = p->back = 0;
	p->next_known = false;
	p->budget = budget;
	p->counting = p->active = true;
	if (sends(p))
		send_batch(p);
}

static void net_end(struct bench_queue *base)
{
	struct net_pair *p = to_pair(base);

	p->active = p->counting = false;
	p->deadline = bench_ns() + PATIENCE_NS;
}

static bool net_busy(struct bench_queue *base)
{
	const struct net_pair *p = to_pair(base);

	if (p->active && p->budget > 0)
		return true;
	if (p->n_free < p->size)
		return true;
	return p->opts->direction == BENCH_BOTH && p->back < p->sent && bench_ns() < p->deadline;
}

/* ---- notifications --------------------------------------------------------------------------- */

static bool net_sleep(struct bench_queue *base, struct pollfd *fds, unsigned *n)
{
	struct net_pair *p = to_pair(base);
	bool ready = false;

	if (p->opts->direction != BENCH_RX) {
		fds[(*n)++] = (struct pollfd){.fd = p->tx.rings.call_fd, .events = POLLIN};
		ready = bench_ring_sleep(&p->tx);
	}
	if (p->opts->direction != BENCH_TX) {
		fds[(*n)++] = (struct pollfd){.fd = p->rx.rings.call_fd, .events = POLLIN};
		ready = bench_ring_sleep(&p->rx) || ready;
	}
	return ready;
}

static void net_wake(struct bench_queue *base)
{
	struct net_pair *p = to_pair(base);

	bench_ring_wake(&p->tx);
	bench_ring_wake(&p->rx);
}

static void net_count(struct bench_queue *base)
{
	struct net_pair *p = to_pair(base);

	bench_ring_count_interrupts(&p->rx);
	bench_ring_count_interrupts(&p->tx);
	base->counts.kicks = p->rx.kicks + p->tx.kicks;
	base->counts.interrupts = p->rx.interrupts + p->tx.interrupts;
	if (p->opts->direction == BENCH_BOTH)
		base->counts.lost = p->sent > p->back ? p->sent - p->back : 0;
}

static unsigned net_rings(struct bench_queue *base, struct bench_rings *out)
{
	struct net_pair *p = to_pair(base);

	out[0] = p->rx.rings;
	out[1] = p->tx.rings;
	if (!p->command)
		return 2;
	out[2] = p->control.rings;
	return 3;
}

static int net_stopped(struct bench_queue *base, unsigned i, uint16_t stop)
{
	struct net_pair *p = to_pair(base);
	const struct bench_ring *ring = i == 0 ? &p->rx : i == 1 ? &p->tx : &p->control;
	uint16_t used = le16toh(__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE));

	if (stop == used)
		return 0;
	return bench_error(base->link->name, "queue %u stopped at %u instead of %u",
			   ring->rings.index, stop, used);
}

const struct bench_queue_ops net_pair_ops = {
	.begin = net_begin,
	.turn = net_turn,
	.end = net_end,
	.busy = net_busy,
	.sleep = net_sleep,
	.wake = net_wake,
	.count = net_count,
	.rings = net_rings,
	.started = net_pair_command,
	.stopped = net_stopped,
	.destroy = net_pair_destroy,
};
