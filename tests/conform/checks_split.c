/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Split Virtqueues": descriptors, indirect tables, the two rings. Notifications are in
 * checks_event.c.
 */
#include "checks_util.h"
#include "checks.h"

#include <endian.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <string.h>

#define INDIRECT_DESC DRV_FEATURE(VIRTIO_RING_F_INDIRECT_DESC)

#define NEXT  VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define TABLE VRING_DESC_F_INDIRECT

static void start(struct run *r)
{
	run_start(r, "BASIC-DEV-005", FEATURES_FLAGS);
}

static void copy(void *to, const void *from, size_t len)
{
	memcpy(to, from, len);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* ---- framing -----------------------------------------------------------------------------------
 */

/* A request in this framing comes back as well done as any other. */
static void try_framing(struct run *r, uint32_t out_piece, uint32_t in_piece)
{
	struct io io;

	io_make(r, &io, out_piece, in_piece);
	if (io.n > io_queue(r)->size)
		return;
	run_note(r, "pieces of %u and %u bytes: %u descriptors", out_piece, in_piece, io.n);
	io_submit(r, &io);
	need(r, "SPLIT-DEV-003", io_wait(r, &io), "a request to be done in any framing",
	     "it does not come back in pieces of %u and %u bytes", out_piece, in_piece);
	expect(r, "SPLIT-DEV-003", io_good(r, &io), "a request to succeed in any framing",
	       "it fails in pieces of %u and %u bytes", out_piece, in_piece);
}

static void check_framing(struct run *r)
{
	static const uint32_t outs[] = {0, 1, 3, 4, 7, 8, 12, 13, 15, 16, 17};
	static const uint32_t ins[] = {0, 16, 63, 64, 256, 511, 512};

	start(r);
	for (unsigned i = 0; i < sizeof(outs) / sizeof(outs[0]); i++)
		for (unsigned k = 0; k < sizeof(ins) / sizeof(ins[0]); k++)
			if (r->device_id != VIRTIO_ID_NET || outs[i] != 1)
				try_framing(r, outs[i], ins[k]);
}

/* What the device writes is the same whatever it is cut into. */
static void check_framing_data(struct run *r)
{
	uint8_t whole[1024], cut[1024];
	struct io io;

	start(r);
	io_make(r, &io, 0, 0);
	io_submit(r, &io);
	need(r, "SPLIT-DEV-003", io_wait(r, &io), "a request to be done", "it does not come back");
	io_read(r, &io, whole);
	io_make(r, &io, 5, 61);
	io_submit(r, &io);
	need(r, "SPLIT-DEV-003", io_wait(r, &io), "a request to be done in odd pieces",
	     "it does not come back");
	io_read(r, &io, cut);
	expect(r, "SPLIT-DEV-003", memcmp(whole, cut, io.in_len) == 0,
	       "the same bytes in any framing", "others");
}

/* ---- what the device may not touch ------------------------------------------------------------
 */

static void check_readable_intact(struct run *r)
{
	struct io io;

	start(r);
	for (uint32_t piece = 0; piece <= 16; piece += 8) {
		io_make(r, &io, piece, 0);
		io_submit(r, &io);
		need(r, "SPLIT-DEV-005", io_wait(r, &io), "a request to be done",
		     "it does not come back");
		expect(r, "SPLIT-DEV-005", io_unharmed(r, &io),
		       "device-readable buffers to be left alone", "they changed");
	}
}

static void check_tables_intact(struct run *r)
{
	static struct vring_desc desc[32768];
	static uint16_t avail[32768 + 3];
	struct drv_queue *q;
	struct io io[2];
	size_t desc_len, avail_len;

	start(r);
	q = io_queue(r);
	desc_len = q->size * sizeof(desc[0]);
	avail_len = (q->size + 3u) * sizeof(avail[0]);
	drv_queue_set_used_event(q, 0x55aa);
	io_make_pieces(r, &io[0]);
	io_make_pieces(r, &io[1]);
	io_add(r, &io[0]);
	io_add(r, &io[1]);
	drv_queue_publish(q);
	copy(desc, q->desc, desc_len);
	copy(avail, q->avail, avail_len);
	drv_kick(r->bus, io[0].queue);
	need(r, "SPLIT-DEV-008", io_wait(r, &io[0]) && io_wait(r, &io[1]),
	     "two requests to be done", "they do not come back");
	run_quiet(r);
	expect(r, "SPLIT-DEV-008", memcmp(desc, q->desc, desc_len) == 0,
	       "the descriptor table to be left alone", "it changed");
	expect(r, "SPLIT-IMP-003", memcmp(avail, q->avail, avail_len) == 0,
	       "the available ring, used_event included, to be left alone", "it changed");
}

/* ---- indirect tables --------------------------------------------------------------------------
 */

/* Entry of the table that piece `i` of `n` is in: the first one first, the others backwards. */
static uint16_t entry_of(uint32_t i, uint32_t n)
{
	return (uint16_t)(i == 0 ? 0 : n - i);
}

/* Writes pieces from `first` on into the table of head 0, linked by next. */
static void fill_table(struct run *r, const struct io *io, uint32_t first, bool backwards)
{
	uint32_t n = io->n - first;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t next = i + 1 < n ? i + 1 : 0;

		drv_desc_write(&io_queue(r)->table[backwards ? entry_of(i, n) : i],
			       io->buf[first + i].gpa, io->buf[first + i].len,
			       (uint16_t)((io->buf[first + i].writable ? WRITE : 0) |
					  (i + 1 < n ? NEXT : 0)),
			       backwards && next ? entry_of(next, n) : (uint16_t)next);
	}
}

/* One request: `n_direct` descriptors, the rest in one table, whose descriptor has `flags` too. */
static void try_indirect(struct run *r, const char *row, uint32_t n_direct, bool backwards,
			 uint16_t flags)
{
	struct drv_queue *q = io_queue(r);
	struct raw_used u;
	struct io io;

	io_make_pieces(r, &io);
	for (uint32_t i = 0; i < n_direct; i++)
		drv_desc_write(&q->desc[i], io.buf[i].gpa, io.buf[i].len,
			       (uint16_t)((io.buf[i].writable ? WRITE : 0) | NEXT),
			       (uint16_t)(i + 1));
	fill_table(r, &io, n_direct, backwards);
	drv_desc_write(&q->desc[n_direct], q->table_gpa, (io.n - n_direct) * 16,
		       (uint16_t)(TABLE | flags), 0);
	raw_offer(r, 0);
	need(r, row, raw_wait(r, &u), "the request to be done", "it does not come back");
	io.done = true;
	expect(r, row, u.id == 0 && io_good(r, &io), "the request to succeed",
	       "head %u, success %d, with %u descriptors before the table", u.id, io_good(r, &io),
	       n_direct);
	expect(r, row, io.in_len == 0 || u.len > 0, "something to be written", "nothing");
}

static void check_table_write_flag(struct run *r)
{
	start(r);
	for (unsigned i = 0; i < 4; i++)
		try_indirect(r, "SPLIT-DEV-009", 0, false, i % 2 ? WRITE : 0);
}

static void check_direct_then_table(struct run *r)
{
	struct io io;

	start(r);
	io_make_pieces(r, &io);
	for (uint32_t n = 0; n < io.n; n++)
		try_indirect(r, "SPLIT-DEV-010", n, false, 0);
}

static void check_table_order(struct run *r)
{
	start(r);
	try_indirect(r, "SPLIT-IMP-006", 0, true, 0);
	try_indirect(r, "SPLIT-DEV-010", 1, true, 0);
}

/* Entries behind the one without NEXT are none of the device's business. */
static void check_table_end(struct run *r)
{
	struct drv_queue *q;
	struct raw_used u;
	struct io io;

	start(r);
	q = io_queue(r);
	io_make_pieces(r, &io);
	fill_table(r, &io, 0, false);
	for (uint32_t i = io.n; i < 16; i++)
		drv_desc_write(&q->table[i], UINT64_MAX - 4096, UINT32_MAX, NEXT | TABLE, 0xffff);
	drv_desc_write(&q->desc[0], q->table_gpa, 16 * 16, TABLE, 0xffff);
	raw_offer(r, 0);
	io.done = raw_wait(r, &u);
	expect(r, "SPLIT-IMP-006", io.done && io_good(r, &io),
	       "a chain to end at the first entry without NEXT", "the request fails");
}

static void check_table_mixed(struct run *r)
{
	start(r);
	try_indirect(r, "SPLIT-IMP-007", 0, false, 0);
	try_indirect(r, "SPLIT-IMP-007", 0, true, 0);
}

/* ---- used ring ---------------------------------------------------------------------------------
 */

/* The request's chain at the given head, scattered over the descriptor table. */
static void place_chain(struct run *r, const struct io *io, uint16_t head)
{
	struct drv_queue *q = io_queue(r);

	for (uint32_t i = 0; i < io->n; i++) {
		uint16_t at = (uint16_t)((head + 7 * i) % q->size);
		bool more = i + 1 < io->n;

		drv_desc_write(&q->desc[at], io->buf[i].gpa, io->buf[i].len,
			       (uint16_t)((io->buf[i].writable ? WRITE : 0) | (more ? NEXT : 0)),
			       more ? (uint16_t)((at + 7) % q->size) : 0);
	}
}

static void check_used_id(struct run *r)
{
	struct drv_queue *q;
	struct raw_used u;
	struct io io;

	start(r);
	q = io_queue(r);
	if (q->size < 64)
		skip(r, "the queue is too short");
	io_make_pieces(r, &io);
	for (uint16_t i = 0; i < q->size; i++) {
		uint16_t head = (uint16_t)((q->size - 1u) - (i * 5u) % q->size);

		place_chain(r, &io, head);
		raw_offer(r, head);
		need(r, "SPLIT-IMP-004", raw_wait(r, &u), "the chain to be used",
		     "it does not come back");
		if (!expect(r, "SPLIT-IMP-004", u.id == head, "the head as the used id",
			    "%#x for head %u", u.id, head))
			return;
	}
}

/* Right when the index is seen, id and length are there, and the bytes are. */
static void check_len_before_idx(struct run *r)
{
	uint8_t first[1024], second[1024];
	struct drv_queue *q;
	struct io io;

	start(r);
	q = io_queue(r);
	io_make(r, &io, 0, 0);
	memset(q->used->ring, 0xff, q->size * sizeof(q->used->ring[0]));
	for (unsigned i = 0; i < 64; i++) {
		struct vring_used_elem e;
		uint16_t at = q->used_idx;

		io_fill(r, &io, i % 2 ? 0x5a : 0xa5);
		io_add(r, &io);
		if (drv_queue_publish(q))
			drv_kick(r->bus, io.queue);
		for (uint32_t spin = 0; drv_queue_ready(q) == 0 && spin < 200000000; spin++)
			if (r->drv.turn)
				drv_device_settle(&r->drv);
		e = q->used->ring[at & (q->size - 1)];
		io_read(r, &io, i % 2 ? second : first);
		need(r, "SPLIT-DEV-017", drv_queue_ready(q) == 1, "one used buffer", "%u",
		     drv_queue_ready(q));
		if (!expect(r, "SPLIT-DEV-017",
			    le32toh(e.id) == io.head && le32toh(e.len) <= io.in_len,
			    "id and length to be there when the index is", "id %#x, length %#x",
			    le32toh(e.id), le32toh(e.len)))
			return;
		io_wait(r, &io);
		memset(&q->used->ring[at & (q->size - 1)], 0xff, sizeof(e));
	}
}

/*
 * Which bytes the device wrote is found out with two fillings: a byte that was each of them was not
 * written. What the device writes may be random; then the wrong luck of several rounds is needed.
 */
static void check_len_is_true(struct run *r)
{
	static const uint8_t filling[] = {0xa5, 0x5a, 0x3c, 0xc3, 0x66, 0x99};
	uint8_t got[1024];
	bool kept[1024];
	uint32_t len = UINT32_MAX, n = 0;
	struct io io;

	start(r);
	memset(kept, true, sizeof(kept));
	for (unsigned i = 0; i < sizeof(filling); i++) {
		io_make(r, &io, 0, 61);
		io_fill(r, &io, filling[i]);
		io_submit(r, &io);
		need(r, "SPLIT-DEV-018", io_wait(r, &io), "a request to be done",
		     "it does not come back");
		io_read(r, &io, got);
		for (uint32_t k = 0; k < io.in_len; k++)
			kept[k] = kept[k] && got[k] == filling[i];
		len = io.used_len < len ? io.used_len : len;
		expect(r, "SPLIT-DEV-018", io.used_len <= io.in_len,
		       "a used length that fits into the buffer", "%u of %u", io.used_len,
		       io.in_len);
	}
	while (n < io.in_len && !kept[n])
		n++;
	expect(r, "SPLIT-DEV-018", len <= n, "as many bytes to be written as the length says",
	       "%u said, %u written", len, n);
	expect(r, "BASIC-IMP-004", len == n, "the length to be what was written",
	       "%u said, %u written", len, n);
}

static void check_once_each(struct run *r)
{
	static struct io ios[256];
	uint16_t queued = 0, n;
	struct drv_used u;

	start(r);
	while (queued < 256 && io_queue(r)->n_free >= 3) {
		io_make(r, &ios[queued], 0, 0);
		io_add(r, &ios[queued++]);
	}
	drv_device_submit(&r->drv, ios[0].queue);
	for (n = 0; n < queued; n++) {
		int got = drv_device_wait(&r->drv, ios[0].queue, &u);

		need(r, "SPLIT-IMP-005", got == 1, "every head to come back once",
		     got < 0 ? "one that is not in flight, after %u of %u" : "%u of %u do", n,
		     queued);
	}
	run_quiet(r);
	expect(r, "SPLIT-IMP-005", drv_queue_ready(io_queue(r)) == 0,
	       "nothing more than was made available", "%u more", drv_queue_ready(io_queue(r)));
}

/* ---- sizes and indices -------------------------------------------------------------------------
 */

static void check_sizes(struct run *r)
{
	uint16_t max = (uint16_t)drv_get(r->bus, DRV_QUEUE_MAX, io_queue_index(r));

	expect(r, "SPLIT-IMP-001", max > 0 && !(max & (max - 1)),
	       "a maximum that is a power of two", "%u", max);
	for (uint32_t size = 1; size <= max; size *= 2) {
		const struct drv_device_config cfg = {.features = FEATURES_FLAGS,
						      .n_queues = (uint16_t)(io_queue_index(r) + 1),
						      .queue_size = (uint16_t)size};
		struct io io;

		need(r, "SPLIT-IMP-001", drv_device_start(&r->drv, &cfg) == 0,
		     "a device to be initialised with any size", "not with %u", size);
		io_make(r, &io, 0, 0);
		if (io.n <= size)
			io_many(r, "SPLIT-IMP-001", 2 * size + 1);
		expect(r, "SPLIT-IMP-001", !(drv_status(r->bus) & VIRTIO_CONFIG_S_NEEDS_RESET),
		       "a size up to the maximum to be good", "%u: needs reset", size);
	}
}

static void check_index_wrap(struct run *r)
{
	struct drv_queue *q;

	start(r);
	q = io_queue(r);
	io_many(r, "SPLIT-IMP-002", 65535);
	expect(r, "SPLIT-IMP-002", drv_queue_used_idx(q) == 65535,
	       "a used index of 65535 after so many buffers", "%u", drv_queue_used_idx(q));
	io_many(r, "SPLIT-IMP-002", 1);
	expect(r, "SPLIT-IMP-002", drv_queue_used_idx(q) == 0,
	       "a used index of 0 after 65536 buffers", "%u", drv_queue_used_idx(q));
	io_many(r, "SPLIT-IMP-003", 3 * q->size);
	expect(r, "SPLIT-IMP-002", drv_queue_used_idx(q) == (uint16_t)(3 * q->size),
	       "a used index that counts on", "%u", drv_queue_used_idx(q));
	expect(r, "SPLIT-IMP-003", q->in_flight == 0, "every available entry to be taken",
	       "%u are not", q->in_flight);
}

/* Random framings, many at a time, until the ring went round several times. */
static void check_random_requests(struct run *r)
{
	static struct io ios[16];
	static const uint32_t outs[] = {0, 3, 8, 12, 16}, ins[] = {0, 16, 64, 500, 512};
	unsigned n = sizeof(ios) / sizeof(ios[0]);

	start(r);
	for (unsigned round = 0; round < 200; round++) {
		struct drv_mark mark = drv_mem_mark(&r->mem);
		unsigned k = 0;

		for (unsigned i = 0; i < n; i++) {
			io_make(r, &ios[i], outs[run_random(r, 5)], ins[run_random(r, 5)]);
			if (ios[i].n > io_queue(r)->n_free)
				break;
			io_add(r, &ios[i]);
			k++;
			if (run_random(r, 4) == 0)
				drv_device_submit(&r->drv, ios[i].queue);
		}
		drv_device_submit(&r->drv, ios[0].queue);
		for (unsigned i = 0; i < k; i++) {
			need(r, "SPLIT-IMP-005", io_wait(r, &ios[i]), "each request to come back",
			     "one does not, in round %u", round);
			expect(r, "SPLIT-DEV-003", io_good(r, &ios[i]), "requests to succeed",
			       "one fails in round %u", round);
			expect(r, "SPLIT-DEV-005", io_unharmed(r, &ios[i]),
			       "device-readable buffers to be left alone", "they changed");
		}
		drv_mem_rewind(&r->mem, &mark);
	}
}

static const struct check checks[] = {
	{
		.name = "split-framing",
		.rows = "SPLIT-DEV-003 BASIC-DEV-005",
		.how = "One request in many cuts, down to one byte a piece; each succeeds.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_framing,
	},
	{
		.name = "split-framing-data",
		.rows = "SPLIT-DEV-003 BASIC-DEV-005",
		.how = "Reads a sector whole and in pieces of 61 bytes: the same bytes.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.run = check_framing_data,
	},
	{
		.name = "split-readable-intact",
		.rows = "SPLIT-DEV-005 BASIC-DEV-005",
		.how = "Compares device-readable buffers before and after.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_readable_intact,
	},
	{
		.name = "split-tables-intact",
		.rows = "SPLIT-DEV-008 SPLIT-IMP-003 BASIC-DEV-005",
		.how = "Compares the descriptor table and the available ring before and after.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_tables_intact,
	},
	{
		.name = "split-indirect-write-flag",
		.rows = "SPLIT-DEV-009 BASIC-DEV-005",
		.how = "Refers to an indirect table by a descriptor with the WRITE flag.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.features = INDIRECT_DESC,
		.run = check_table_write_flag,
	},
	{
		.name = "split-indirect-after-direct",
		.rows = "SPLIT-DEV-010 BASIC-DEV-005",
		.how = "Chains of 0, 1, 2... direct descriptors and one indirect table.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.features = INDIRECT_DESC,
		.run = check_direct_then_table,
	},
	{
		.name = "split-indirect-order",
		.rows = "SPLIT-IMP-006 SPLIT-DEV-010 BASIC-DEV-005",
		.how = "An indirect table whose entries are linked backwards.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.features = INDIRECT_DESC,
		.run = check_table_order,
	},
	{
		.name = "split-indirect-end",
		.rows = "SPLIT-IMP-006 BASIC-DEV-005",
		.how = "An indirect table with rubbish behind the entry without NEXT.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.features = INDIRECT_DESC,
		.run = check_table_end,
	},
	{
		.name = "split-indirect-mixed",
		.rows = "SPLIT-IMP-007 BASIC-DEV-005",
		.how = "One indirect table with readable and writable entries.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.device = VIRTIO_ID_BLOCK,
		.features = INDIRECT_DESC,
		.run = check_table_mixed,
	},
	{
		.name = "split-used-id",
		.rows = "SPLIT-IMP-004 BASIC-DEV-005",
		.how = "Chains at every head, scattered over the table; compares used ids, all 32 "
		       "bits.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_used_id,
	},
	{
		.name = "split-used-in-place",
		.rows = "SPLIT-DEV-017 BASIC-DEV-005",
		.how = "Fills the used ring with ones, waits for the index without pause, and "
		       "reads "
		       "the element at once.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_len_before_idx,
	},
	{
		.name = "split-used-len",
		.rows = "SPLIT-DEV-018 BASIC-IMP-004 BASIC-DEV-005",
		.how = "Finds out with several fillings which bytes were written, and compares the "
		       "used length.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_len_is_true,
	},
	{
		.name = "split-once-each",
		.rows = "SPLIT-IMP-005 BASIC-DEV-005",
		.how = "Fills the ring; each head comes back, none twice, nothing else.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_once_each,
	},
	{
		.name = "split-sizes",
		.rows = "SPLIT-IMP-001",
		.how = "Every power of two up to the maximum, and twice around the ring in each.",
		.kind = CHECK_REQUIREMENT,
		.ways = WAY_ANY,
		.run = check_sizes,
	},
	{
		.name = "split-index-wrap",
		.rows = "SPLIT-IMP-002 SPLIT-IMP-003 BASIC-DEV-005",
		.how = "More than 65536 requests; the indices wrap.",
		.kind = CHECK_STRESS,
		.ways = WAY_ANY,
		.run = check_index_wrap,
	},
	{
		.name = "split-random",
		.rows = "SPLIT-IMP-005 SPLIT-DEV-003 SPLIT-DEV-005 BASIC-DEV-005",
		.how = "200 rounds of up to 16 requests in random framings and batches.",
		.kind = CHECK_STRESS,
		.ways = WAY_ANY,
		.run = check_random_requests,
	},
};

const struct check_list checks_split = {checks, sizeof(checks) / sizeof(checks[0])};
