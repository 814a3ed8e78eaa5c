/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Barriers: avail->idx is stored with release and used->idx loaded with acquire; a full fence
 * stands between publishing avail->idx and reading what the device wants to be told, and between
 * asking for an interrupt and looking at used->idx once more.
 */
#include "bench_ring.h"

#include <linux/virtio_config.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <viodm/util.h>

#define PAGE	 4096u
#define FAR_AWAY 0x8000u /* used_event: no interrupt before this many requests */

static uint16_t load16(const uint16_t *p)
{
	return le16toh(__atomic_load_n(p, __ATOMIC_RELAXED));
}

static void store16(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, htole16(v), __ATOMIC_RELAXED);
}

/* ---- making ---------------------------------------------------------------------------------- */

uint64_t bench_place(uint64_t *offset, uint64_t bytes, uint64_t align)
{
	uint64_t at = vio_round_up(*offset, align);

	*offset = at + bytes;
	return at;
}

struct bench_ring_layout bench_ring_place(uint64_t *offset, unsigned size)
{
	struct bench_ring_layout l;
	uint64_t n = size;

	l.desc = bench_place(offset, n * sizeof(struct vring_desc), PAGE);
	l.avail =
		bench_place(offset, sizeof(struct vring_avail) + (n + 1) * sizeof(uint16_t), PAGE);
	l.used = bench_place(offset,
			     sizeof(struct vring_used) + n * sizeof(struct vring_used_elem) +
				     sizeof(uint16_t),
			     PAGE);
	return l;
}

static void ask(struct bench_ring *r, bool on)
{
	r->interrupts_on = on;
	if (r->event_idx)
		store16(r->used_event, (uint16_t)(r->used_idx + (on ? 0 : FAR_AWAY)));
	else
		store16(&r->avail->flags, on ? 0 : VRING_AVAIL_F_NO_INTERRUPT);
}

int bench_ring_init(struct bench_ring *r, struct bench_link *link, const struct bench_mem *mem,
		    const struct bench_ring_layout *l, unsigned size, unsigned index)
{
	*r = (struct bench_ring){
		.desc = (void *)(mem->base + l->desc),
		.avail = (void *)(mem->base + l->avail),
		.used = (void *)(mem->base + l->used),
		.mask = (uint16_t)(size - 1),
		.event_idx = link->features & UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX,
		.link = link,
	};
	r->used_event = &r->avail->ring[size];
	r->avail_event = (void *)&r->used->ring[size];
	r->rings = (struct bench_rings){.index = index,
					.size = (uint16_t)size,
					.desc = r->desc,
					.avail = r->avail,
					.used = r->used,
					.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
					.call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	if (r->rings.kick_fd < 0 || r->rings.call_fd < 0)
		return bench_error(link->name, "cannot make a queue");
	ask(r, false);
	return 0;
}

void bench_ring_fini(struct bench_ring *r)
{
	if (!r->link)
		return;
	close(r->rings.kick_fd);
	close(r->rings.call_fd);
}

/* ---- notifications --------------------------------------------------------------------------- */

static bool wants_kick(const struct bench_ring *r, uint16_t old)
{
	if (r->event_idx)
		return vring_need_event(load16(r->avail_event), r->avail_idx, old);
	return !(load16(&r->used->flags) & VRING_USED_F_NO_NOTIFY);
}

static __attribute__((noinline)) void kick(struct bench_ring *r)
{
	r->kicks++;
	if (r->link->ops->kick)
		r->link->ops->kick(r->link, r->rings.index);
	else
		eventfd_write(r->rings.kick_fd, 1);
}

void bench_ring_publish(struct bench_ring *r)
{
	uint16_t old = r->published;

	if (r->avail_idx == old)
		return;
	__atomic_store_n(&r->avail->idx, htole16(r->avail_idx), __ATOMIC_RELEASE);
	r->published = r->avail_idx;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (wants_kick(r, old))
		kick(r);
}

void bench_ring_move_event(struct bench_ring *r)
{
	uint16_t event = le16toh(*r->used_event);

	if (r->event_idx && !r->interrupts_on && (uint16_t)(event - r->used_idx) < FAR_AWAY / 2)
		store16(r->used_event, (uint16_t)(r->used_idx + FAR_AWAY));
}

bool bench_ring_sleep(struct bench_ring *r)
{
	ask(r, true);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return bench_ring_ready(r) != 0;
}

void bench_ring_count_interrupts(struct bench_ring *r)
{
	uint64_t n;

	if (read(r->rings.call_fd, &n, sizeof(n)) == sizeof(n))
		r->interrupts += n;
}

void bench_ring_wake(struct bench_ring *r)
{
	bench_ring_count_interrupts(r);
	ask(r, false);
}

void bench_ring_clear(struct bench_ring *r)
{
	bench_ring_count_interrupts(r);
	r->kicks = r->interrupts = 0;
}
