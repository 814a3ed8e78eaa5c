/* SPDX-License-Identifier: BSD-3-Clause */
#include "checks_util.h"

#include <endian.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <time.h>

#define GAP 3u /* between pieces: odd, so that they are not aligned */

#define RNG_BYTES 64u

int64_t run_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

static void nap(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000l}, NULL);
}

/* ---- requests ----------------------------------------------------------------------------------
 */

static void make_blk(struct io *io)
{
	struct virtio_blk_outhdr h = {.type = htole32(VIRTIO_BLK_T_IN)};

	memcpy(io->out, &h, sizeof(h));
	io->out_len = sizeof(h);
	io->in_len = 512 + 1;
}

/* A header without wishes and a frame of 64 bytes to everybody. */
static void make_net(const struct run *r, struct io *io)
{
	static const uint8_t frame[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02,
					0,    0,    0,	  0,	1,    0x88, 0xb5};
	uint32_t header = drv_device_has(&r->drv, VIRTIO_NET_F_HASH_REPORT) ? 20 : 12;

	memcpy(io->out + header, frame, sizeof(frame));
	io->out_len = header + 64;
	io->queue = 1;
}

static void make_streams(struct run *r, struct io *io)
{
	*io = (struct io){0};
	switch (r->device_id) {
	case VIRTIO_ID_RNG:
		io->in_len = RNG_BYTES;
		break;
	case VIRTIO_ID_BLOCK:
		make_blk(io);
		break;
	case VIRTIO_ID_NET:
		make_net(r, io);
		break;
	default:
		skip(r, "no request is known for devices of type %u", r->device_id);
	}
}

/* Takes memory for `len` bytes in pieces. */
static void cut(struct run *r, struct io *io, uint32_t len, uint32_t piece, bool writable)
{
	for (uint32_t at = 0; at < len && io->n < IO_MAX_PIECES; io->n++) {
		uint32_t n = piece == 0 || piece > len - at ? len - at : piece;
		uint64_t gpa = drv_mem_alloc(&r->mem, n + 2 * GAP, 1);

		if (gpa == DRV_NO_GPA)
			skip(r, "out of guest memory");
		io->buf[io->n] = (struct drv_buf){.gpa = gpa + GAP, .len = n, .writable = writable};
		at += n;
	}
}

void io_make(struct run *r, struct io *io, uint32_t out_piece, uint32_t in_piece)
{
	uint32_t at = 0;

	make_streams(r, io);
	cut(r, io, io->out_len, out_piece, false);
	io->n_out = io->n;
	cut(r, io, io->in_len, in_piece, true);
	for (uint32_t i = 0; i < io->n_out; i++) {
		drv_mem_write(&r->mem, io->buf[i].gpa, io->out + at, io->buf[i].len);
		at += io->buf[i].len;
	}
	io_fill(r, io, 0xee);
}

void io_make_pieces(struct run *r, struct io *io)
{
	switch (r->device_id) {
	case VIRTIO_ID_BLOCK:
		io_make(r, io, 0, 512);
		break;
	case VIRTIO_ID_RNG:
		io_make(r, io, 0, RNG_BYTES / 4);
		break;
	default:
		io_make(r, io, 20, 0);
		break;
	}
}

void io_fill(struct run *r, const struct io *io, uint8_t byte)
{
	for (uint32_t i = io->n_out; i < io->n; i++)
		memset(drv_mem_ptr(&r->mem, io->buf[i].gpa, io->buf[i].len), byte, io->buf[i].len);
}

void io_read(struct run *r, const struct io *io, uint8_t *to)
{
	for (uint32_t i = io->n_out; i < io->n; to += io->buf[i++].len)
		drv_mem_read(&r->mem, io->buf[i].gpa, to, io->buf[i].len);
}

bool io_unharmed(struct run *r, const struct io *io)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < io->n_out; at += io->buf[i++].len)
		if (memcmp(drv_mem_ptr(&r->mem, io->buf[i].gpa, io->buf[i].len), io->out + at,
			   io->buf[i].len))
			return false;
	return true;
}

bool io_good(struct run *r, const struct io *io)
{
	uint8_t status = VIRTIO_BLK_S_OK;

	if (r->device_id == VIRTIO_ID_BLOCK)
		drv_mem_read(&r->mem, io->buf[io->n - 1].gpa + io->buf[io->n - 1].len - 1, &status,
			     1);
	return io->done && status == VIRTIO_BLK_S_OK;
}

uint16_t io_queue_index(const struct run *r)
{
	return r->device_id == VIRTIO_ID_NET ? 1 : 0;
}

struct drv_queue *io_queue(struct run *r)
{
	return &r->drv.queue[io_queue_index(r)];
}

void io_add(struct run *r, struct io *io)
{
	int head = drv_queue_add(&r->drv.queue[io->queue], io->buf, io->n, DRV_DIRECT, io);

	if (head < 0)
		skip(r, "a request of %u descriptors does not fit into this queue", io->n);
	io->head = (uint16_t)head;
	io->done = false;
}

void io_submit(struct run *r, struct io *io)
{
	io_add(r, io);
	drv_device_submit(&r->drv, io->queue);
}

bool io_wait(struct run *r, struct io *io)
{
	while (!io->done) {
		struct drv_used u;
		struct io *other;

		if (drv_device_wait(&r->drv, io->queue, &u) <= 0)
			return false;
		other = u.token;
		other->used_len = u.len;
		other->done = true;
	}
	return true;
}

void io_roundtrip(struct run *r, const char *row)
{
	struct drv_mark mark = drv_mem_mark(&r->mem);
	struct io io;

	io_make(r, &io, 0, 0);
	io_submit(r, &io);
	need(r, row, io_wait(r, &io), "a valid request to be done", "it does not come back");
	need(r, row, io_good(r, &io), "a valid request to succeed", "it fails");
	drv_mem_rewind(&r->mem, &mark);
}

void io_many(struct run *r, const char *row, uint32_t n)
{
	static struct io ios[128];
	struct drv_mark mark = drv_mem_mark(&r->mem);
	uint32_t at_once = 1;

	io_make(r, &ios[0], 0, 0);
	while (at_once < sizeof(ios) / sizeof(ios[0]) && at_once < n &&
	       (at_once + 1) * ios[0].n <= io_queue(r)->size)
		io_make(r, &ios[at_once++], 0, 0);
	while (n > 0) {
		uint32_t now = n < at_once ? n : at_once;

		for (uint32_t i = 0; i < now; i++)
			io_add(r, &ios[i]);
		drv_device_submit(&r->drv, ios[0].queue);
		for (uint32_t i = 0; i < now; i++)
			need(r, row, io_wait(r, &ios[i]), "every request to come back",
			     "one of %u does not", now);
		n -= now;
	}
	drv_mem_rewind(&r->mem, &mark);
}

/* ---- by hand -----------------------------------------------------------------------------------
 */

void raw_offer(struct run *r, uint16_t head)
{
	drv_queue_offer_raw(io_queue(r), head);
	r->bus->notify_next[io_queue_index(r)] = io_queue(r)->published;
	drv_kick(r->bus, io_queue_index(r));
}

bool raw_wait(struct run *r, struct raw_used *u)
{
	struct drv_queue *q = io_queue(r);
	const struct vring_used_elem *e = &q->used->ring[q->used_idx & (q->size - 1)];

	for (unsigned i = 0; drv_queue_ready(q) == 0; i++) {
		drv_device_settle(&r->drv);
		if (i >= 20)
			nap(1);
		if (i > 20 + r->drv.patience_ms)
			return false;
	}
	*u = (struct raw_used){.id = le32toh(e->id), .len = le32toh(e->len)};
	q->used_idx++;
	return true;
}

/* ---- patience ----------------------------------------------------------------------------------
 */

void run_pause(struct run *r)
{
	drv_device_settle(&r->drv);
	nap(1);
}

void run_quiet(struct run *r)
{
	drv_device_settle(&r->drv);
	nap(r->quiet_ms);
	drv_device_settle(&r->drv);
}

void run_config_event(struct run *r)
{
	if (r->change_config && r->change_config(r))
		return;
	run_note(r, "a head that is not there");
	raw_offer(r, 0xffff);
}

uint32_t run_await_irq(struct run *r, uint32_t source)
{
	int64_t give_up = run_now_ms() + r->drv.patience_ms;
	uint32_t n;

	for (;;) {
		drv_device_settle(&r->drv);
		n = drv_irq_take(r->bus, source);
		if (n > 0 || run_now_ms() >= give_up)
			return n;
		nap(1);
	}
}

uint8_t run_await_status(struct run *r, uint8_t bits)
{
	int64_t give_up = run_now_ms() + r->drv.patience_ms;
	uint8_t status;

	for (;;) {
		drv_device_settle(&r->drv);
		status = drv_status(r->bus);
		if ((status & bits) == bits || run_now_ms() >= give_up)
			return status;
		nap(1);
	}
}

/* ---- suspension --------------------------------------------------------------------------------
 */

#define DRIVER_OK VIRTIO_CONFIG_S_DRIVER_OK

uint8_t run_change_status(struct run *r, uint8_t to)
{
	uint8_t status = drv_add_status(r->bus, to);

	for (unsigned ms = 0; ms < r->drv.patience_ms; ms++) {
		if ((status & (STATUS_SUSPEND | DRIVER_OK)) == to ||
		    status & VIRTIO_CONFIG_S_NEEDS_RESET)
			break;
		run_pause(r);
		status = drv_status(r->bus);
	}
	return status;
}

static void must_change(struct run *r, uint8_t to, const char *row, const char *expected)
{
	uint8_t status = run_change_status(r, to);

	if (status & VIRTIO_CONFIG_S_NEEDS_RESET)
		skip(r, "the device fails to suspend or resume, and says so");
	need(r, row, (status & (STATUS_SUSPEND | DRIVER_OK)) == to, expected, "status %#x", status);
}

void run_suspend(struct run *r)
{
	must_change(r, STATUS_SUSPEND, "BASIC-DEV-027",
		    "SUSPEND 1 and DRIVER_OK 0 after SUSPEND was set");
}

void run_resume(struct run *r)
{
	must_change(r, DRIVER_OK, "BASIC-DEV-028",
		    "SUSPEND 0 and DRIVER_OK 1 after DRIVER_OK was set");
}

/* FNV-1a, eight bytes at a time. */
uint64_t run_memory_sum(const struct run *r)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325), word;

	for (unsigned i = 0; i < r->mem.n; i++) {
		const struct drv_region *m = &r->mem.region[i];

		for (uint64_t at = 0; at + 8 <= m->size && at < m->used; at += 8) {
			memcpy(&word, m->hva + at, 8);
			h = (h ^ word) * UINT64_C(0x100000001b3);
		}
	}
	return h;
}
