/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Barriers: avail->idx is stored with release and used->idx loaded with acquire; a full fence
 * stands between publishing avail->idx and reading what the device wants to be told, and between
 * asking for an interrupt and looking at used->idx once more.
 */
#include "bench_queue_internal.h"

#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <viodm/util.h>

#include "bench_verify.h"

#define NO_STATUS    0xff
#define FAR_AWAY     0x8000u /* used_event: no interrupt before this many requests */
#define SECTOR_SHIFT 9

static __attribute__((cold, format(printf, 2, 3))) void fault(struct bench_queue *q,
							      const char *fmt, ...)
{
	va_list ap;
	int n;

	if (q->fault[0])
		return;
	n = snprintf(q->fault, sizeof(q->fault), "queue %u: ", q->index);
	va_start(ap, fmt);
	vsnprintf(q->fault + n, sizeof(q->fault) - (size_t)n, fmt, ap);
	va_end(ap);
	q->budget = 0;
}

static uint16_t load16(const uint16_t *p)
{
	return le16toh(__atomic_load_n(p, __ATOMIC_RELAXED));
}

static void store16(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, htole16(v), __ATOMIC_RELAXED);
}

/* ---- sending --------------------------------------------------------------------------------- */

static uint64_t random_next(struct bench_queue *q)
{
	uint64_t x = q->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	q->random = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t random_below(struct bench_queue *q, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)random_next(q) * n) >> 64);
}

static uint64_t choose_block(struct bench_queue *q)
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

static bool choose_read(struct bench_queue *q)
{
	if (q->read_percent == 0 || q->read_percent == 100)
		return q->read_percent;
	return random_below(q, 100) < q->read_percent;
}

static uint64_t sector_of(const struct bench_queue *q, uint64_t block)
{
	return (q->first_block + block) * (q->bs >> SECTOR_SHIFT);
}

static void prepare_verify(struct bench_queue *q, unsigned slot, struct bench_request *r)
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
static void describe(struct bench_queue *q, unsigned slot, struct vring_desc *d, unsigned first,
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

static void send(struct bench_queue *q, unsigned slot, uint64_t now)
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
		describe(q, slot, &q->desc[head], head, r->read ? VRING_DESC_F_WRITE : 0);
	q->avail->ring[q->avail_idx++ & q->mask] = htole16((uint16_t)head);
	q->in_flight++;
	q->budget--;
}

static bool wants_kick(const struct bench_queue *q, uint16_t old)
{
	if (q->event_idx)
		return vring_need_event(load16(q->avail_event), q->avail_idx, old);
	return !(load16(&q->used->flags) & VRING_USED_F_NO_NOTIFY);
}

static __attribute__((noinline)) void kick(struct bench_queue *q)
{
	q->counts.kicks++;
	if (q->link->ops->kick)
		q->link->ops->kick(q->link, q->index);
	else
		eventfd_write(q->rings.kick_fd, 1);
}

static void publish(struct bench_queue *q)
{
	uint16_t old = q->published;

	if (q->avail_idx == old)
		return;
	__atomic_store_n(&q->avail->idx, htole16(q->avail_idx), __ATOMIC_RELEASE);
	q->published = q->avail_idx;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (wants_kick(q, old))
		kick(q);
}

/* ---- taking back ----------------------------------------------------------------------------- */

static __attribute__((cold)) void bad_status(struct bench_queue *q, const struct bench_request *r,
					     uint8_t status)
{
	q->counts.errors++;
	if (status == NO_STATUS)
		fault(q, "a request came back without a status");
	else if (q->generation)
		fault(q, "%s of sector %llu: status %u", r->read ? "read" : "write",
		      (unsigned long long)sector_of(q, r->block), status);
}

static void check_verify(struct bench_queue *q, unsigned slot, const struct bench_request *r,
			 uint32_t len)
{
	char text[160];

	q->writing[r->block] = 0;
	if (!r->read || q->fault[0])
		return;
	if (len < q->bs)
		fault(q, "sector %llu: a read of %u bytes returned %u",
		      (unsigned long long)sector_of(q, r->block), q->bs, len);
	else if (!verify_check(q->data + (uint64_t)slot * q->bs, sector_of(q, r->block),
			       q->bs >> SECTOR_SHIFT, q->run, r->generation, text, sizeof(text)))
		fault(q, "verify: %s", text);
}

/* One used element. Returns its slot, or -1. */
static int take(struct bench_queue *q, const struct vring_used_elem *e, uint64_t now)
{
	uint32_t id = le32toh(e->id), slot = id / q->stride;
	struct bench_request *r;

	if (VIO_UNLIKELY(slot >= q->depth || id % q->stride || !q->requests[slot].start)) {
		fault(q, "the device returned %u, which is not in flight", id);
		return -1;
	}
	r = &q->requests[slot];
	if (VIO_UNLIKELY(q->slots[slot].status != VIRTIO_BLK_S_OK))
		bad_status(q, r, q->slots[slot].status);
	if (q->counting) {
		hist_add(&q->hist, now - r->start);
		q->counts.done++;
	}
	if (q->generation)
		check_verify(q, slot, r, le32toh(e->len));
	r->start = 0;
	q->in_flight--;
	q->counts.all++;
	return (int)slot;
}

/* With event index: keeps the next interrupt out of reach. */
static void move_event(struct bench_queue *q)
{
	uint16_t event = le16toh(*q->used_event);

	if (q->event_idx && (uint16_t)(event - q->used_idx) < FAR_AWAY / 2)
		store16(q->used_event, (uint16_t)(q->used_idx + FAR_AWAY));
}

unsigned bench_queue_turn(struct bench_queue *q)
{
	uint16_t idx = le16toh(__atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE));
	uint16_t n = (uint16_t)(idx - q->used_idx);
	uint64_t now;

	if (n == 0)
		return 0;
	if (VIO_UNLIKELY(n > q->in_flight)) {
		fault(q, "the used index moved by %u with %u in flight", n, q->in_flight);
		return 0;
	}
	now = bench_ticks();
	while (q->used_idx != idx) {
		int slot = take(q, &q->used->ring[q->used_idx++ & q->mask], now);

		if (slot >= 0 && q->budget > 0)
			send(q, (unsigned)slot, now);
	}
	publish(q);
	if (!q->interrupts_on)
		move_event(q);
	return n;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

void bench_queue_begin(struct bench_queue *q, unsigned flags, unsigned read_percent,
		       uint64_t budget)
{
	uint64_t now = bench_ticks(), ignored;

	if (read(q->rings.call_fd, &ignored, sizeof(ignored)) < 0)
		ignored = 0; /* nothing left over */
	memset(&q->counts, 0, sizeof(q->counts));
	memset(&q->hist, 0, sizeof(q->hist));
	q->flags = flags;
	q->read_percent = read_percent;
	q->budget = budget;
	q->cursor = 0;
	q->counting = true;
	for (unsigned slot = 0; slot < q->depth && q->budget > 0; slot++)
		send(q, slot, now);
	publish(q);
}

void bench_queue_end(struct bench_queue *q)
{
	q->budget = 0;
	q->counting = false;
}

void bench_queue_ask(struct bench_queue *q, bool on)
{
	q->interrupts_on = on;
	if (q->event_idx)
		store16(q->used_event, (uint16_t)(q->used_idx + (on ? 0 : FAR_AWAY)));
	else
		store16(&q->avail->flags, on ? 0 : VRING_AVAIL_F_NO_INTERRUPT);
}

bool bench_queue_sleep(struct bench_queue *q)
{
	bench_queue_ask(q, true);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return le16toh(__atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE)) != q->used_idx;
}

void bench_queue_count_interrupts(struct bench_queue *q)
{
	uint64_t n;

	if (read(q->rings.call_fd, &n, sizeof(n)) == sizeof(n))
		q->counts.interrupts += n;
}

void bench_queue_wake(struct bench_queue *q)
{
	bench_queue_count_interrupts(q);
	bench_queue_ask(q, false);
}
