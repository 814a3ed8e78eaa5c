/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The split virtqueue. Every barrier between this device and the driver is in this file:
 *
 *   avail->idx   load-acquire: the ring entries and descriptors behind it are read after it
 *   used->idx    store-release: the used elements are visible before it
 *   full fence   after publishing used->idx, before reading used_event or avail->flags; pairs with
 *                the driver's fence between writing used_event and reading used->idx
 *   full fence   after arming kicks, before looking at avail->idx again; pairs with the driver's
 *                fence between writing avail->idx and reading avail_event or used->flags
 */
#include <viodm/defect.h>
#include <viodm/queue.h>

#include <endian.h>
#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CHAIN_MAX_BYTES (UINT64_C(1) << 32) /* SPLIT-DRV: no chain is longer than 2^32 bytes */

/* The time of one chain in so many entries of the ring is taken; a power of two. */
#define LATENCY_EVERY 64u

/* vio_chain.state; 0: not popped. What most chains do not have costs push one look at all of it. */
#define CHAIN_BUSY    0x1u
#define CHAIN_TRACKED 0x2u
#define CHAIN_TIMED   0x4u
#define CHAIN_ORDERED 0x8u
#define CHAIN_HELD    0x10u /* pushed; one that was popped before is not */

static uint16_t load16(const __virtio16 *p)
{
	return le16toh(__atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED));
}

static uint16_t load16_acquire(const __virtio16 *p)
{
	return le16toh(__atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE));
}

static void store16(__virtio16 *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)p, htole16(v), __ATOMIC_RELAXED);
}

static void store16_release(__virtio16 *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)p, htole16(v), __ATOMIC_RELEASE);
}

static const __virtio16 *used_event(const struct vio_queue *q)
{
	return &q->avail->ring[q->size];
}

static __virtio16 *avail_event(struct vio_queue *q)
{
	return (__virtio16 *)(void *)&q->used->ring[q->size];
}

static __attribute__((cold)) int queue_fault(struct vio_queue *q, const char *rule)
{
	q->fault = rule;
	return -EPROTO;
}

/* ---- start and stop ---------------------------------------------------------------------------
 */

static size_t avail_bytes(uint16_t size)
{
	return sizeof(struct vring_avail) + (size + 1u) * sizeof(__virtio16);
}

static size_t used_bytes(uint16_t size)
{
	return sizeof(struct vring_used) + size * sizeof(struct vring_used_elem) +
	       sizeof(__virtio16);
}

int vio_queue_check(const struct vio_mem *mem, const struct vio_queue_config *cfg)
{
	if (!vio_is_pow2(cfg->size) || cfg->size > VIO_QUEUE_MAX_SIZE)
		return -EINVAL;
	if (VIO_DEFECT("rings-misaligned"))
		; /* as they are */
	else if (cfg->desc_gpa % VRING_DESC_ALIGN_SIZE ||
		 cfg->driver_gpa % VRING_AVAIL_ALIGN_SIZE ||
		 cfg->device_gpa % VRING_USED_ALIGN_SIZE)
		return -EINVAL;
	if (!vio_mem_ptr(mem, cfg->desc_gpa, cfg->size * sizeof(struct vring_desc)) ||
	    !vio_mem_ptr(mem, cfg->driver_gpa, avail_bytes(cfg->size)) ||
	    !vio_mem_ptr(mem, cfg->device_gpa, used_bytes(cfg->size)))
		return -EFAULT;
	return 0;
}

static void queue_clear(struct vio_queue *q)
{
	memset(q, 0, offsetof(struct vio_queue, index));
}

static uint16_t chain_max(const struct vio_queue *q)
{
	return q->size < VIO_CHAIN_MAX ? q->size : VIO_CHAIN_MAX;
}

/*
 * Vectors per chain: one per descriptor of the longest chain, and one more for each border between
 * regions that the buffers of one chain may lie across. An odd number of cache lines apart, so that
 * the slots' vectors do not all fall into the same cache sets.
 */
static size_t slot_iovs(const struct vio_queue *q)
{
	size_t per_line = 64 / sizeof(struct iovec);

	return vio_round_up(chain_max(q) + q->mem->n, 2 * per_line) + per_line;
}

static int slots_alloc(struct vio_queue *q, size_t slot_size)
{
	size_t n_iov = slot_iovs(q);
	void *p;

	q->slot_size = vio_round_up(slot_size, 64);
	q->slots = aligned_alloc(64, q->size * q->slot_size);
	if (!q->slots)
		return -ENOMEM;
	memset(q->slots, 0, q->size * q->slot_size);
	/* Not touched until used: a queue whose chains are short costs little real memory. */
	q->iovs_bytes = q->size * n_iov * sizeof(struct iovec);
	p = mmap(NULL, q->iovs_bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	q->iovs = p;
	for (uint16_t i = 0; i < q->size; i++) {
		struct vio_chain *c = (struct vio_chain *)(void *)(q->slots + i * q->slot_size);

		c->iov = q->iovs + i * n_iov;
		c->head = i;
	}
	return 0;
}

/* Takes over from an owner that died: what it left in flight comes first. */
static int inflight_start(struct vio_queue *q, struct vio_inflight *area)
{
	int n;

	q->resubmit = calloc(q->size, sizeof(*q->resubmit));
	if (!q->resubmit)
		return -ENOMEM;
	q->used_idx = q->published = load16(&q->used->idx);
	n = vio_inflight_recover(area, q->size, q->used_idx, q->resubmit, &q->inflight_counter);
	if (n < 0)
		return n;
	q->inflight = area;
	q->usual = 0;
	q->n_resubmit = (uint16_t)n;
	q->next_avail = q->shadow_avail = (uint16_t)(q->used_idx + q->n_resubmit);
	return 0;
}

static int in_order_start(struct vio_queue *q)
{
	q->order = calloc(q->size, sizeof(*q->order));
	if (!q->order)
		return -ENOMEM;
	q->usual = 0;
	return 0;
}

static void set_kicks_off(struct vio_queue *q, bool off)
{
	q->kicks_off = off;
	store16(&q->used->flags, off ? VRING_USED_F_NO_NOTIFY : 0);
	if (VIO_DEFECT("used-flags-reserved"))
		store16(&q->used->flags, 0x8000);
}

int vio_queue_start(struct vio_queue *q, const struct vio_mem *mem,
		    const struct vio_queue_config *cfg, size_t slot_size)
{
	int r = vio_queue_check(mem, cfg);

	if (r < 0)
		return r;
	queue_clear(q);
	q->mem = mem;
	q->size = cfg->size;
	q->mask = cfg->size - 1;
	q->chain_max = chain_max(q);
	q->usual = LATENCY_EVERY - 1;
	q->event_idx = cfg->event_idx;
	q->indirect = cfg->indirect;
	q->desc = vio_mem_ptr(mem, cfg->desc_gpa, q->size * sizeof(struct vring_desc));
	q->avail = vio_mem_ptr(mem, cfg->driver_gpa, avail_bytes(q->size));
	q->used = vio_mem_ptr(mem, cfg->device_gpa, used_bytes(q->size));
	q->next_avail = q->shadow_avail = cfg->next_avail;
	/* Nothing is in flight at start: as many chains were used as were taken. */
	q->used_idx = q->published = cfg->next_avail;
	r = slots_alloc(q, slot_size);
	if (r == 0 && cfg->inflight)
		r = inflight_start(q, cfg->inflight);
	if (r == 0 && cfg->in_order)
		r = in_order_start(q);
	if (r < 0) {
		vio_queue_stop(q);
		return r;
	}
	set_kicks_off(q, false);
	q->started = true;
	return 0;
}

/* The available index of the chain that pop takes next; what is to be taken again is before us. */
static uint16_t queue_next(const struct vio_queue *q)
{
	return q->next_avail - (q->n_resubmit - q->resubmitted);
}

uint16_t vio_queue_stop(struct vio_queue *q)
{
	uint16_t next = queue_next(q);

	free(q->slots);
	if (q->iovs)
		munmap(q->iovs, q->iovs_bytes);
	free(q->resubmit);
	free(q->order);
	queue_clear(q);
	return next;
}

/* ---- pop ---------------------------------------------------------------------------------------
 */

/* A descriptor, copied out of guest memory once; nothing is read from there again. */
struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/* What the walker has gathered of one chain so far. */
struct walk {
	struct iovec *iov;	/* next to fill */
	struct iovec *writable; /* first device-writable one, or NULL */
	uint64_t bytes;
	uint64_t readable; /* bytes before the first device-writable one */
	uint32_t left;	   /* descriptors this chain may still have */
	uint32_t spare;	   /* vectors left for buffers that cross region borders */
};

/* The asm statement keeps the compiler from fetching a word twice. Any alignment. */
static inline struct desc desc_copy(const void *p)
{
	uint64_t lo, hi;

	memcpy(&lo, p, 8);
	memcpy(&hi, (const char *)p + 8, 8);
	__asm__ volatile("" : "+r"(lo), "+r"(hi));
	hi = le64toh(hi);
	return (struct desc){.addr = le64toh(lo),
			     .len = (uint32_t)hi,
			     .flags = (uint16_t)(hi >> 32),
			     .next = (uint16_t)(hi >> 48)};
}

/*
 * The buffer is not all in the region used last: find its region, or split it over several. Returns
 * how many vectors were filled; those after the first come out of `spare`. Not told where the walk
 * is, so that pop can keep that in registers.
 */
static __attribute__((noinline)) int walk_add_slow(struct vio_queue *q, struct iovec *iov,
						   uint32_t spare, uint64_t addr, uint64_t len)
{
	for (int n = 1;; n++) {
		const struct vio_mem_region *r = vio_mem_find(q->mem, addr);
		uint64_t off, part;

		if (!r && VIO_DEFECT("buffer-outside-left-out"))
			return n - 1;
		if (!r)
			return queue_fault(q, "buffer outside guest memory");
		q->hot_gpa = r->gpa;
		q->hot_size = r->size;
		q->hot_hva = r->hva;
		off = addr - r->gpa;
		part = len < r->size - off ? len : r->size - off;
		*iov++ = (struct iovec){.iov_base = q->hot_hva + off, .iov_len = part};
		if (part == len)
			return n;
		if (spare-- == 0 || VIO_DEFECT("buffer-in-two-regions-refused"))
			return queue_fault(q, "buffers cross too many memory regions");
		addr += part; /* to 0 at the end of the address space */
		len -= part;
		if (addr == 0)
			return queue_fault(q, "buffer wraps around the address space");
	}
}

static inline __attribute__((always_inline)) int walk_add(struct vio_queue *q, struct walk *w,
							  const struct desc *d)
{
	uint64_t off = d->addr - q->hot_gpa;

	if (d->flags & VRING_DESC_F_WRITE) {
		if (!w->writable) {
			w->writable = w->iov;
			w->readable = w->bytes;
		}
	} else if (VIO_UNLIKELY(w->writable && !VIO_DEFECT("order-unchecked"))) {
		return queue_fault(q, "device-readable buffer after a device-writable one");
	}
	w->bytes += d->len;
	if (VIO_UNLIKELY(off >= q->hot_size || d->len > q->hot_size - off)) {
		int n = walk_add_slow(q, w->iov, w->spare, d->addr, d->len);

		if (n < 0)
			return n;
		if (VIO_DEFECT("buffer-outside-left-out") && n == 0) {
			w->bytes -= d->len;
			return 0;
		}
		w->iov += n;
		w->spare -= (uint32_t)n - 1;
		return 0;
	}
	*w->iov++ = (struct iovec){.iov_base = q->hot_hva + off, .iov_len = d->len};
	return 0;
}

/* Where the entries of an indirect table are; `table` NULL: it lies across memory regions. */
struct indirect {
	uint64_t gpa;
	const char *table;
	uint32_t len;
};

static const void *indirect_entry(const struct vio_queue *q, const struct indirect *t, uint32_t at)
{
	if (VIO_LIKELY(t->table != NULL))
		return t->table + at;
	return vio_mem_ptr(q->mem, t->gpa + at, sizeof(struct vring_desc));
}

/* "Indirect Descriptors": `d` refers to a table; walk that. */
static inline __attribute__((always_inline)) int walk_indirect(struct vio_queue *q, struct walk *w,
							       const struct desc *d)
{
	struct indirect t = {.gpa = d->addr, .len = d->len};
	uint64_t off = d->addr - q->hot_gpa;
	uint32_t at = 0; /* bytes into the table */

	if (VIO_DEFECT("indirect-write-flag-refused") && d->flags & VRING_DESC_F_WRITE)
		return queue_fault(q, "indirect descriptor with the write flag");
	if (VIO_DEFECT("indirect-only-first") && w->left != q->chain_max)
		return queue_fault(q, "indirect descriptor after others");
	if (!q->indirect && !VIO_DEFECT("indirect-unnegotiated"))
		return queue_fault(q, "indirect descriptor without VIRTIO_F_INDIRECT_DESC");
	if (d->flags & VRING_DESC_F_NEXT)
		return queue_fault(q, "indirect descriptor with the next flag");
	if (VIO_DEFECT("indirect-length-unchecked") && d->len >= sizeof(struct vring_desc))
		t.len -= d->len % sizeof(struct vring_desc);
	else if (d->len == 0 || d->len % sizeof(struct vring_desc))
		return queue_fault(q, "indirect table length is not a multiple of 16");
	if (VIO_LIKELY(off < q->hot_size && d->len <= q->hot_size - off))
		t.table = q->hot_hva + off;
	else
		t.table = vio_mem_ptr(q->mem, d->addr, d->len);
	for (;;) {
		const void *p = indirect_entry(q, &t, at);
		struct desc e;
		int r;

		if (VIO_UNLIKELY(!p))
			return queue_fault(q, "indirect table outside guest memory");
		e = desc_copy(p);
		if (VIO_UNLIKELY(e.flags & VRING_DESC_F_INDIRECT &&
				 !VIO_DEFECT("indirect-nested-accepted")))
			return queue_fault(q, "indirect descriptor inside an indirect table");
		r = walk_add(q, w, &e);
		if (VIO_UNLIKELY(r < 0))
			return r;
		if (!(e.flags & VRING_DESC_F_NEXT))
			return 0;
		if (VIO_UNLIKELY(--w->left == 0))
			return queue_fault(q, "chain longer than the queue size, or than 1024");
		at = (VIO_DEFECT("indirect-sequential") ? at / sizeof(struct vring_desc) + 1
							: e.next) *
		     sizeof(struct vring_desc);
		if (VIO_UNLIKELY(at >= t.len))
			return queue_fault(q, "next index outside the indirect table");
	}
}

static inline int walk_direct(struct vio_queue *q, struct walk *w, uint16_t i)
{
	for (;;) {
		struct desc d = desc_copy(&q->desc[i]);
		int r;

		if (d.flags & VRING_DESC_F_INDIRECT)
			return walk_indirect(q, w, &d);
		r = walk_add(q, w, &d);
		if (VIO_UNLIKELY(r < 0))
			return r;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		if (VIO_UNLIKELY(--w->left == 0))
			return VIO_DEFECT("endless-chain-accepted")
				       ? 0
				       : queue_fault(q, "chain longer than the queue size, or than "
							"1024");
		i = VIO_DEFECT("next-wraps") ? d.next & q->mask : d.next;
		if (VIO_UNLIKELY(i >= q->size))
			return queue_fault(q, "next index outside the descriptor table");
	}
}

static struct vio_chain *slot(struct vio_queue *q, uint16_t head)
{
	return (struct vio_chain *)(void *)(q->slots + head * q->slot_size);
}

/* Reads the driver's index. 1: something is available, 0: nothing, -EPROTO. */
static int queue_look(struct vio_queue *q)
{
	q->shadow_avail = load16_acquire(&q->avail->idx);
	if ((uint16_t)(q->shadow_avail - q->next_avail) > q->size &&
	    !VIO_DEFECT("avail-jump-followed")) {
		q->shadow_avail = q->next_avail;
		return queue_fault(q, "available index jumped by more than the queue size");
	}
	return q->shadow_avail != q->next_avail;
}

/* The ring looked empty: ask for a kick, then look again, or the kick for what came in between
 * would be lost (SPLIT-IMP-009). */
static int queue_rearm(struct vio_queue *q)
{
	if (VIO_DEFECT("kicks-not-rearmed"))
		return queue_look(q);
	if (VIO_DEFECT("used-flags-with-event-idx") && q->event_idx)
		store16(&q->used->flags, VRING_USED_F_NO_NOTIFY);
	if (q->event_idx)
		store16(avail_event(q), q->lazy ? q->next_avail + q->lazy - 1 : q->next_avail);
	else if (q->kicks_off != (q->lazy > 0))
		set_kicks_off(q, q->lazy > 0);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return queue_look(q);
}

static __attribute__((noinline)) int queue_refill(struct vio_queue *q)
{
	int r;

	if (!q->started)
		return 0;
	if (q->fault)
		return -EPROTO;
	r = queue_look(q);
	if (r == 0 && !q->polled)
		r = queue_rearm(q);
	if (r == 1 && !q->event_idx && !q->kicks_off)
		set_kicks_off(q, true);
	return r;
}

/* Chains to take again are left. The ring is not looked at before they are taken. */
static bool queue_resubmits(const struct vio_queue *q)
{
	return q->resubmitted != q->n_resubmit;
}

bool vio_queue_pending(const struct vio_queue *q)
{
	uint16_t n;

	if (!q->started || q->fault || q->idle)
		return false;
	n = load16(&q->avail->idx) - q->next_avail;
	return (n > 0 && n >= q->lazy) || queue_resubmits(q);
}

bool vio_queue_arm(struct vio_queue *q)
{
	int r;

	if (!q->started || q->fault || q->idle)
		return false;
	if (queue_resubmits(q))
		return true;
	r = queue_rearm(q);
	return r < 0 || (r > 0 && (!q->lazy || vio_queue_pending(q)));
}

static void inflight_take(struct vio_queue *q, struct vio_chain *c)
{
	struct vio_inflight_desc *d = &q->inflight->desc[c->head];

	c->state |= CHAIN_TRACKED;
	if (d->inflight)
		return; /* taken again: it keeps its place, for the case that we die, too */
	d->counter = q->inflight_counter++;
	__atomic_store_n(&d->inflight, 1, __ATOMIC_RELEASE);
}

static void inflight_push(struct vio_queue *q, struct vio_chain *c)
{
	c->batch_next = q->batch_head;
	q->batch_head = c->head;
	q->inflight->desc[c->head].next = c->batch_next;
	__atomic_store_n(&q->inflight->last_batch_head, c->head, __ATOMIC_RELEASE);
}

/* The used index has moved: the batch is done. Our own list, not the shared one, says what is in
 * it. */
static __attribute__((noinline)) void inflight_publish(struct vio_queue *q, uint16_t n)
{
	for (uint16_t head = q->batch_head; n > 0; n--) {
		__atomic_store_n(&q->inflight->desc[head].inflight, 0, __ATOMIC_RELEASE);
		head = slot(q, head)->batch_next;
	}
	__atomic_store_n(&q->inflight->used_idx, q->used_idx, __ATOMIC_RELEASE);
}

/* The available index just popped is the used index that the chain will have. */
static void in_order_take(struct vio_queue *q, struct vio_chain *c)
{
	uint16_t at = queue_next(q) - 1;

	if (VIO_DEFECT("in-order-ignored"))
		return;
	c->state |= CHAIN_ORDERED;
	q->order[at & q->mask] = c->head;
	if (VIO_DEFECT("in-order-swapped") && at != q->used_idx) {
		q->order[at & q->mask] = q->order[(at - 1) & q->mask];
		q->order[(at - 1) & q->mask] = c->head;
	}
}

/* ---- latency -----------------------------------------------------------------------------------
 */

#define LATENCY_UNIT 7 /* the first bucket is of 2^7 ns */

uint64_t vio_latency_bound(unsigned bucket)
{
	if (bucket < 2)
		return (uint64_t)(bucket + 1) << LATENCY_UNIT;
	return (uint64_t)(3 + bucket % 2) << (bucket / 2 - 1) << LATENCY_UNIT;
}

static unsigned latency_bucket(uint64_t ns)
{
	uint64_t v = ns >> LATENCY_UNIT;
	unsigned log2, bucket;

	if (v < 2)
		return (unsigned)v;
	log2 = 63u - (unsigned)__builtin_clzll(v);
	bucket = 2 * log2 + (v >> (log2 - 1) & 1);
	return bucket < VIO_LATENCY_BUCKETS ? bucket : VIO_LATENCY_BUCKETS - 1;
}

static void latency_begin(struct vio_chain *c)
{
	c->state |= CHAIN_TIMED;
	c->popped_ns = vio_now_ns();
}

static void latency_end(struct vio_queue *q, const struct vio_chain *c)
{
	vio_count(&q->stats.latency[latency_bucket(vio_now_ns() - c->popped_ns)], 1);
}

/* ---- popping -----------------------------------------------------------------------------------
 */

/* Nothing more is popped: the next pop finds the ring empty and then the fault. */
static __attribute__((cold)) int pop_fault(struct vio_queue *q, const char *rule)
{
	q->shadow_avail = q->next_avail;
	return queue_fault(q, rule);
}

static void pop_kept(struct vio_queue *q, struct vio_chain *c)
{
	if (q->inflight)
		inflight_take(q, c);
	if (q->order)
		in_order_take(q, c);
}

static __attribute__((noinline)) void pop_special(struct vio_queue *q, struct vio_chain *c)
{
	if (!q->usual)
		pop_kept(q, c);
	if (q->next_avail % LATENCY_EVERY == 0 && !q->untimed)
		latency_begin(c);
}

static inline uint16_t ring_head(struct vio_queue *q)
{
	return load16(&q->avail->ring[q->next_avail++ & q->mask]);
}

int vio_queue_pop(struct vio_queue *q, struct vio_chain **out)
{
	struct walk w = {0};
	struct vio_chain *c;
	uint16_t head;
	int r;

	if (VIO_LIKELY(q->next_avail != q->shadow_avail)) {
		head = ring_head(q);
	} else if (queue_resubmits(q) && !q->fault) {
		head = q->resubmit[q->resubmitted++];
	} else {
		r = queue_refill(q);
		if (r <= 0)
			return r;
		head = ring_head(q);
	}
	if (VIO_DEFECT("head-wraps"))
		head &= q->mask;
	if (VIO_UNLIKELY(head >= q->size))
		return pop_fault(q, "head index outside the descriptor table");
	c = slot(q, head);
	if (VIO_UNLIKELY(c->state))
		return pop_fault(q, "head made available again while in flight");
	w.iov = c->iov;
	w.left = q->chain_max;
	w.spare = (uint32_t)q->mem->n;
	r = walk_direct(q, &w, head);
	if (VIO_UNLIKELY(r < 0 || w.bytes > CHAIN_MAX_BYTES))
		return pop_fault(q, r < 0 ? q->fault : "chain of more than 2^32 bytes");
	if (!w.writable) {
		w.writable = w.iov;
		w.readable = w.bytes;
	}
	c->n_readable = (uint32_t)(w.writable - c->iov);
	c->n_writable = (uint32_t)(w.iov - w.writable);
	c->readable_len = w.readable;
	c->writable_len = w.bytes - w.readable;
	c->state = CHAIN_BUSY;
	q->in_flight++;
	*out = c;
	if (VIO_UNLIKELY(!(q->next_avail & q->usual)))
		pop_special(q, c);
	return 1;
}

/* ---- push and publish --------------------------------------------------------------------------
 */

#ifdef VIO_DEFECTS
/* Of a chain that was just pushed as used element `e`. */
static void push_defects(struct vio_queue *q, const struct vio_chain *c, struct vring_used_elem *e)
{
	uint16_t i = q->used_idx - 1;

	if (VIO_DEFECT("used-len-plus-one"))
		e->len = htole32(le32toh(e->len) + 1);
	if (VIO_DEFECT("used-len-of-buffer"))
		e->len = htole32((uint32_t)c->writable_len);
	if (VIO_DEFECT("used-len-zero"))
		e->len = 0;
	if (VIO_DEFECT("used-id-16-bit"))
		e->id |= htole32(0x10000);
	if (VIO_DEFECT("readable-written") && c->readable_len > 0) {
		uint8_t *p = vio_mem_ptr(q->mem, le64toh(q->desc[c->head].addr), 1);

		if (p && !(le16toh(q->desc[c->head].flags) & VRING_DESC_F_INDIRECT))
			*p ^= 1;
	}
	if (VIO_DEFECT("descriptors-written"))
		((struct vring_desc *)(uintptr_t)q->desc)[c->head].len ^= 1;
	if (VIO_DEFECT("avail-written"))
		((struct vring_avail *)(uintptr_t)q->avail)->ring[i & q->mask] ^= 1;
	if (VIO_DEFECT("used-twice"))
		q->used->ring[q->used_idx++ & q->mask] = *e;
	if (VIO_DEFECT("used-index-wrap") && q->used_idx == 0)
		q->used_idx = 1;
}
#endif

/* Writes the next used element. */
static inline void queue_use(struct vio_queue *q, const struct vio_chain *chain, uint32_t len)
{
	struct vring_used_elem *e = &q->used->ring[q->used_idx & q->mask];

	e->id = htole32(chain->head);
	e->len = htole32(len);
	q->used_idx++;
#ifdef VIO_DEFECTS
	push_defects(q, chain, e);
#endif
}

/* All chains from the oldest on that are pushed are used: FEAT-DEV-005. */
static void in_order_push(struct vio_queue *q, struct vio_chain *chain, uint32_t len, uint8_t state)
{
	uint16_t end = queue_next(q);

	chain->state = CHAIN_HELD | (state & CHAIN_TRACKED);
	chain->writable_len = len;
	while (q->used_idx != end) {
		struct vio_chain *c = slot(q, q->order[q->used_idx & q->mask]);

		if (!(c->state & CHAIN_HELD))
			break;
		if (c->state & CHAIN_TRACKED)
			inflight_push(q, c);
		c->state = 0;
		queue_use(q, c, (uint32_t)c->writable_len);
	}
}

static __attribute__((noinline)) void push_kept(struct vio_queue *q, struct vio_chain *chain,
						uint32_t len, uint8_t state)
{
	if (state & CHAIN_TIMED)
		latency_end(q, chain);
	if (state & CHAIN_ORDERED) {
		in_order_push(q, chain, len, state);
		return;
	}
	inflight_push(q, chain);
	queue_use(q, chain, len);
}

/* A tail call of push, with tail calls: the usual chain pays for no other. */
static __attribute__((noinline)) void push_special(struct vio_queue *q, struct vio_chain *chain,
						   uint32_t len, uint8_t state)
{
	if (state & (CHAIN_TRACKED | CHAIN_ORDERED)) {
		push_kept(q, chain, len, state);
		return;
	}
	queue_use(q, chain, len);
	latency_end(q, chain);
}

void vio_queue_push(struct vio_queue *q, struct vio_chain *chain, uint64_t len)
{
	uint8_t state = chain->state;

	chain->state = 0;
	q->in_flight--;
	if (VIO_UNLIKELY(q->fault))
		return;
	if (len > chain->writable_len)
		len = chain->writable_len;
	if (len > UINT32_MAX)
		len = UINT32_MAX;
	if (VIO_UNLIKELY(state != CHAIN_BUSY))
		push_special(q, chain, (uint32_t)len, state);
	else
		queue_use(q, chain, (uint32_t)len);
}

void vio_queue_unpop(struct vio_queue *q, uint16_t n)
{
	q->next_avail -= n;
	q->in_flight -= n;
}

static inline void queue_show(struct vio_queue *q)
{
	uint16_t n = q->used_idx - q->published;

	if (n == 0 || !q->started)
		return;
	store16_release(&q->used->idx, q->used_idx);
	q->published = q->used_idx;
	if (VIO_UNLIKELY(q->inflight))
		inflight_publish(q, n);
}

static inline bool queue_wants(const struct vio_queue *q, uint16_t since)
{
	if (!q->started)
		return false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (VIO_DEFECT("no-interrupt-despite-event-idx") && q->event_idx &&
	    load16(&q->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT)
		return false;
	if (VIO_DEFECT("used-event-plus-one") && q->event_idx)
		return vring_need_event(load16(used_event(q)) + 1, q->published, since);
	if (VIO_DEFECT("used-event-ignored") && q->event_idx)
		return true;
	if (VIO_DEFECT("used-event-without-wrap") && q->event_idx)
		return load16(used_event(q)) >= since && load16(used_event(q)) < q->published;
	if (VIO_DEFECT("interrupts-halved") && !q->event_idx && q->published % 2)
		return false;
	if (VIO_DEFECT("used-event-unnegotiated"))
		return vring_need_event(load16(used_event(q)), q->published, since);
	if (q->event_idx)
		return vring_need_event(load16(used_event(q)), q->published, since);
	if (VIO_DEFECT("no-interrupt-ignored"))
		return true;
	return !(load16(&q->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
}

bool vio_queue_publish(struct vio_queue *q)
{
	uint16_t old = q->published;

	queue_show(q);
	return q->published != old && queue_wants(q, old);
}

void vio_queue_show(struct vio_queue *q)
{
	queue_show(q);
}

bool vio_queue_wants(const struct vio_queue *q, uint16_t since)
{
	return queue_wants(q, since);
}

/* At index 0 again, after 65536 chains: the last used element tells. Its length is never 0. */
bool vio_queue_goes_on(const struct vio_queue *q)
{
	return q->next_avail != 0 || q->n_resubmit != 0 || q->used->ring[q->mask].len != 0;
}
