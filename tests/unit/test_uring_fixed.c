/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The io_uring engine with direct I/O registers the guest's memory while a queue is attached, as
 * far as RLIMIT_MEMLOCK goes, and works with any buffers, registered or not.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <viodm/engines.h>
#include <viodm/iothread.h>
#include <viodm/loop_manual.h>
#include <viodm/mem.h>

#include "suite.h"

#define BLOCK	     4096u
#define REGION_BYTES (64 * BLOCK)
#define FILE_BYTES   (256 * BLOCK)

struct rig {
	struct vio_loop *manual; /* runs on this thread, or: */
	struct vio_iothread *iothread;
	struct vio_loop *loop;
	char *memory; /* two regions, and one more that is in no map */
	struct vio_mem *mem;
	struct vio_storage *storage;
	struct vio_channel *ch;
	int in_flight;
	int result;
};

/* Pinned memory of this process in bytes. */
static size_t pinned(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	size_t kib = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmPin: %zu", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib * 1024;
}

static void on_drained(struct vio_channel *ch)
{
	(void)ch;
}

static void call_attach(void *arg)
{
	struct rig *r = arg;

	r->result = vio_channel_attach(r->storage, r->loop, on_drained, r, &r->ch);
	if (r->result == 0)
		vio_channel_memory(r->ch, r->mem);
}

static void call_detach(void *arg)
{
	struct rig *r = arg;

	vio_channel_detach(r->ch);
}

/* False: no direct I/O, or no io_uring here. */
static bool rig_init(struct rig *r, bool on_iothread)
{
	const struct vio_storage_file_config cfg = {.direct = true};
	const struct vio_iothread_config thread = {.cpu = -1};
	struct vio_mem_region regions[2];
	char path[] = "fixed-XXXXXX";
	int fd = mkstemp(path), ret;

	memset(r, 0, sizeof(*r));
	must(fd, "mkstemp");
	MUST(ftruncate(fd, FILE_BYTES));
	close(fd);
	ret = vio_storage_uring_open(path, &cfg, &r->storage);
	unlink(path);
	if (ret == -EINVAL)
		return false;
	MUST(ret);
	r->memory = mmap(NULL, 3 * REGION_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (unsigned i = 0; i < 2; i++)
		regions[i] = (struct vio_mem_region){.gpa = i * (1u << 30),
						     .size = REGION_BYTES,
						     .hva = r->memory + i * REGION_BYTES,
						     .fd = -1};
	MUST(vio_mem_create(regions, 2, &r->mem));
	if (on_iothread) {
		MUST(vio_iothread_create(&thread, &r->iothread));
		r->loop = vio_iothread_loop(r->iothread);
	} else {
		MUST(vio_loop_manual_create(&r->manual));
		r->loop = r->manual;
	}
	return true;
}

static void rig_fini(struct rig *r)
{
	vio_storage_close(r->storage);
	vio_mem_destroy(r->mem);
	munmap(r->memory, 3 * REGION_BYTES);
	vio_iothread_destroy(r->iothread);
	vio_loop_destroy(r->manual);
}

/* ---- one request at a time ---- */

struct request {
	struct vio_io io;
	struct rig *rig;
};

static void on_done(struct vio_io *io)
{
	vio_container_of(io, struct request, io)->rig->in_flight--;
}

static void call_io(void *arg)
{
	struct request *q = arg;

	q->rig->in_flight++;
	vio_channel_submit(q->rig->ch, &q->io);
	vio_channel_commit(q->rig->ch);
	vio_channel_drain(q->rig->ch);
}

static void io(struct rig *r, enum vio_io_op op, uint64_t offset, struct iovec *iov, uint32_t n)
{
	struct request q = {.rig = r, .io = {.op = op, .offset = offset, .done = on_done}};

	q.io.iov = iov;
	q.io.n_iov = n;
	for (uint32_t i = 0; i < n; i++)
		q.io.length += iov[i].iov_len;
	q.io.result = 1;
	vio_loop_call(r->loop, call_io, &q);
	CU_ASSERT_EQUAL(q.io.result, 0);
	CU_ASSERT_EQUAL(r->in_flight, 0);
}

/* Writes from `from`, reads the same into `to`, in one or two pieces. */
static void round_trip(struct rig *r, char *from, char *to, bool split)
{
	static unsigned seed;
	const size_t len = 2 * BLOCK, part = split ? BLOCK : len;
	struct iovec w[2] = {{from, part}, {from + part, len - part}};
	struct iovec v[2] = {{to, part}, {to + part, len - part}};

	seed++;
	memset(to, 0, len);
	for (size_t i = 0; i < len; i++)
		from[i] = (char)(i * 31 + seed);
	io(r, VIO_IO_WRITE, seed * BLOCK, w, split ? 2 : 1);
	io(r, VIO_IO_READ, seed * BLOCK, v, split ? 2 : 1);
	CU_ASSERT_EQUAL(memcmp(from, to, len), 0);
}

static void buffers_anywhere(struct rig *r)
{
	char *first = r->memory, *second = r->memory + REGION_BYTES;
	char *outside = r->memory + 2 * REGION_BYTES;

	round_trip(r, first, second, false);
	round_trip(r, first + BLOCK, second + REGION_BYTES - 2 * BLOCK, true);
	round_trip(r, outside, first, false);
	round_trip(r, first, outside, false);
	round_trip(r, second - BLOCK, outside, false);	 /* over the border between two pieces */
	round_trip(r, outside - BLOCK, first, false);	 /* half of it in no piece */
	round_trip(r, first + 64, second + 1024, false); /* not aligned */
}

static void over_a_queue(bool on_iothread, rlim_t limit, size_t expect)
{
	struct rlimit old, now;
	struct rig r;
	size_t before;

	if (!rig_init(&r, on_iothread)) {
		printf("(no direct I/O here) ");
		return;
	}
	getrlimit(RLIMIT_MEMLOCK, &old);
	now = (struct rlimit){.rlim_cur = limit, .rlim_max = old.rlim_max};
	MUST(setrlimit(RLIMIT_MEMLOCK, &now));
	before = pinned();
	for (int again = 0; again < 2; again++) {
		vio_loop_call(r.loop, call_attach, &r);
		MUST(r.result);
		CU_ASSERT_EQUAL(pinned() - before, expect);
		buffers_anywhere(&r);
		vio_loop_call(r.loop, call_detach, &r);
		CU_ASSERT_EQUAL(pinned(), before);
	}
	setrlimit(RLIMIT_MEMLOCK, &old);
	rig_fini(&r);
}

static void test_registered(void)
{
	over_a_queue(false, 4 * REGION_BYTES, 2 * REGION_BYTES);
	over_a_queue(true, 4 * REGION_BYTES, 2 * REGION_BYTES);
}

static void test_half_of_it(void)
{
	over_a_queue(false, REGION_BYTES + BLOCK, REGION_BYTES);
	over_a_queue(true, REGION_BYTES + BLOCK, REGION_BYTES);
}

static void test_not_allowed(void)
{
	over_a_queue(false, BLOCK, 0);
	over_a_queue(true, BLOCK, 0);
}

/* Two queues of one device share what is registered; the last one to go gives it back. */
static void test_shared(void)
{
	size_t before = pinned();
	struct vio_channel *first;
	struct rig r;

	if (!rig_init(&r, true)) {
		printf("(no direct I/O here) ");
		return;
	}
	vio_loop_call(r.loop, call_attach, &r);
	MUST(r.result);
	first = r.ch;
	vio_loop_call(r.loop, call_attach, &r);
	MUST(r.result);
	CU_ASSERT_EQUAL(pinned() - before, 2 * REGION_BYTES);
	vio_loop_call(r.loop, call_detach, &r);
	CU_ASSERT_EQUAL(pinned() - before, 2 * REGION_BYTES);
	r.ch = first;
	buffers_anywhere(&r);
	vio_loop_call(r.loop, call_detach, &r);
	CU_ASSERT_EQUAL(pinned(), before);
	rig_fini(&r);
}

static CU_TestInfo tests[] = {
	{"memory is registered while a queue is attached", test_registered},
	{"as much as the limit allows", test_half_of_it},
	{"no limit for that: none", test_not_allowed},
	{"queues share what is registered", test_shared},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("uring_fixed", tests);
}
