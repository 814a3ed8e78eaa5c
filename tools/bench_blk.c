/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_blk.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <viodm/util.h>

#include "bench_verify.h"

#define NO_STATUS    0xff
#define SECTOR_SHIFT 9

/* ---- sending --------------------------------------------------------------------------------- */

static uint64_t random_next(struct disk_queue *q)
{
	uint64_t x = q->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	q->random = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t random_below(struct disk_queue *q, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)random_next(q) * n) >> 64);
}

static uint64_t choose_block(struct disk_queue *q)
{
	uint64_t block;

	if (q->flags & BENCH_RANDOM) {
		block = random_below(q, q->n_blocks);
	} else {
		block = q->cursor++;
		if (q->cursor == q->n_blocks)
			q->cursor = 0;
	}
	while (q->writing && q->writing[block]) {
		if (++block == q->n_blocks)
			block = 0;
	}
	return block;
}

static bool choose_read(struct disk_queue *q)
{
	if (q->read_percent == 0 || q->read_percent == 100)
		return q->read_percent;
	return random_below(q, 100) < q->read_percent;
}

static uint64_t sector_of(const struct disk_queue *q, uint64_t block)
{
	return (q->first_block + block) * (q->bs >> SECTOR_SHIFT);
}

static void prepare_verify(struct disk_queue *q, unsigned slot, struct bench_request *r)
{
	uint32_t n = q->bs >> SECTOR_SHIFT;
	char *data = q->data + (uint64_t)slot * q->bs;

	q->writing[r->block] = 1;
	if (r->read) {
		memset(data, 0xa5, q->bs);
	} else {
		q->generation[r->block]++;
		verify_fill(data, sector_of(q, r->block), n, q->run, q->generation[r->block]);
	}
	r->generation = q->generation[r->block];
}

/* The buffers of a request: descriptors first, first + 1, ... of a table. */
static void describe(struct disk_queue *q, unsigned slot, struct vring_desc *d, unsigned first,
		     unsigned data_flags)
{
	uint64_t gpa = q->slots_gpa + slot * sizeof(struct bench_slot);
	bool data = !(q->flags & BENCH_FLUSH);

	d[0] = bench_buffer(gpa + offsetof(struct bench_slot, header),
			    sizeof(struct virtio_blk_outhdr), VRING_DESC_F_NEXT, first + 1);
	if (data)
		d[1] = bench_buffer(q->data_gpa + (uint64_t)slot * q->bs, q->bs,
				    VRING_DESC_F_NEXT | data_flags, first + 2);
	d[data ? 2 : 1] =
		bench_buffer(gpa + offsetof(struct bench_slot, status), 1, VRING_DESC_F_WRITE, 0);
}

static void send(struct disk_queue *q, unsigned slot, uint64_t now)
{
	struct bench_request *r = &q->requests[slot];
	struct bench_slot *s = &q->slots[slot];
	unsigned head = slot * q->stride;
	uint32_t type = VIRTIO_BLK_T_FLUSH;

	r->start = now;
	if (!(q->flags & BENCH_FLUSH)) {
		r->block = choose_block(q);
		r->read = choose_read(q);
		type = r->read ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT;
		if (q->generation)
			prepare_verify(q, slot, r);
	}
	s->header.type = htole32(type);
	s->header.ioprio = 0;
	s->header.sector = q->flags & BENCH_FLUSH ? 0 : htole64(sector_of(q, r->block));
	s->status = NO_STATUS;
	if (q->stride == 1)
		describe(q, slot, s->table, 0, r->read ? VRING_DESC_F_WRITE : 0);
	else
		describe(q, slot, &q->ring.desc[head], head, r->read ? VRING_DESC_F_WRITE : 0);
	bench_ring_add(&q->ring, head);
	q->in_flight++;
	q->budget--;
}

/* ---- taking back ----------------------------------------------------------------------------- */

static __attribute__((cold)) void bad_status(struct disk_queue *q, const struct bench_request *r,
					     uint8_t status)
{
	q->base.counts.errors++;
	if (status == NO_STATUS)
		bench_queue_fault(&q->base, "a request came back without a status");
	else if (q->generation)
		bench_queue_fault(&q->base, "%s of sector %llu: status %u",
				  r->read ? "read" : "write",
				  (unsigned long long)sector_of(q, r->block), status);
}

static void check_verify(struct disk_queue *q, unsigned slot, const struct bench_request *r,
			 uint32_t len)
{
	char text[160];

	q->writing[r->block] = 0;
	if (!r->read || q->base.fault[0])
		return;
	if (len < q->bs)
		bench_queue_fault(&q->base, "sector %llu: a read of %u bytes returned %u",
				  (unsigned long long)sector_of(q, r->block), q->bs, len);
	else if (!verify_check(q->data + (uint64_t)slot * q->bs, sector_of(q, r->block),
			       q->bs >> SECTOR_SHIFT, q->run, r->generation, text, sizeof(text)))
		bench_queue_fault(&q->base, "verify: %s", text);
}

/* One used element. Returns its slot, or -1. */
static int take(struct disk_queue *q, const struct vring_used_elem *e, uint64_t now)
{
	uint32_t id = le32toh(e->id), slot = id / q->stride;
	struct bench_request *r;

	if (VIO_UNLIKELY(slot >= q->depth || id % q->stride || !q->requests[slot].start)) {
		bench_queue_fault(&q->base, "the device returned %u, which is not in flight", id);
		return -1;
	}
	r = &q->requests[slot];
	if (VIO_UNLIKELY(q->slots[slot].status != VIRTIO_BLK_S_OK))
		bad_status(q, r, q->slots[slot].status);
	if (q->counting) {
		hist_add(&q->base.hist, now - r->start);
		q->base.counts.done++;
	}
	if (q->generation)
		check_verify(q, slot, r, le32toh(e->len));
	r->start = 0;
	q->in_flight--;
	q->base.counts.all++;
	return (int)slot;
}

static unsigned blk_turn(struct bench_queue *base)
{
	struct disk_queue *q = to_disk(base);
	uint16_t n = bench_ring_ready(&q->ring);
	uint64_t now;

	if (n == 0)
		return 0;
	if (VIO_UNLIKELY(n > q->in_flight)) {
		bench_queue_fault(&q->base, "the used index moved by %u with %u in flight", n,
				  q->in_flight);
		return 0;
	}
	now = bench_ticks();
	for (unsigned i = 0; i < n; i++) {
		int slot = take(q, bench_ring_take(&q->ring), now);

		if (slot >= 0 && q->budget > 0)
			send(q, (unsigned)slot, now);
	}
	bench_ring_publish(&q->ring);
	bench_ring_move_event(&q->ring);
	return n;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static void blk_begin(struct bench_queue *base, const struct bench_load *load, uint64_t budget)
{
	struct disk_queue *q = to_disk(base);
	uint64_t now = bench_ticks();

	bench_ring_clear(&q->ring);
	q->flags = load->flags;
	q->read_percent = load->read_percent;
	q->budget = budget;
	q->cursor = 0;
	q->counting = true;
	for (unsigned slot = 0; slot < q->depth && q->budget > 0; slot++)
		send(q, slot, now);
	bench_ring_publish(&q->ring);
}

static void blk_end(struct bench_queue *base)
{
	struct disk_queue *q = to_disk(base);

	q->budget = 0;
	q->counting = false;
}

static bool blk_busy(struct bench_queue *base)
{
	return to_disk(base)->in_flight > 0;
}

static bool blk_sleep(struct bench_queue *base, struct pollfd *fds, unsigned *n)
{
	struct disk_queue *q = to_disk(base);

	fds[(*n)++] = (struct pollfd){.fd = q->ring.rings.call_fd, .events = POLLIN};
	return bench_ring_sleep(&q->ring);
}

static void blk_wake(struct bench_queue *base)
{
	bench_ring_wake(&to_disk(base)->ring);
}

static void blk_count(struct bench_queue *base)
{
	struct bench_ring *ring = &to_disk(base)->ring;

	bench_ring_count_interrupts(ring);
	base->counts.kicks = ring->kicks;
	base->counts.interrupts = ring->interrupts;
}

static unsigned blk_rings(struct bench_queue *base, struct bench_rings *out)
{
	out[0] = to_disk(base)->ring.rings;
	return 1;
}

static int blk_stopped(struct bench_queue *base, unsigned i, uint16_t stop)
{
	uint16_t want = to_disk(base)->ring.avail_idx;

	(void)i;
	if (stop == want)
		return 0;
	return bench_error(base->link->name, "queue %u stopped at %u instead of %u", base->index,
			   stop, want);
}

const struct bench_queue_ops disk_queue_ops = {
	.begin = blk_begin,
	.turn = blk_turn,
	.end = blk_end,
	.busy = blk_busy,
	.sleep = blk_sleep,
	.wake = blk_wake,
	.count = blk_count,
	.rings = blk_rings,
	.stopped = blk_stopped,
	.destroy = disk_queue_destroy,
};
