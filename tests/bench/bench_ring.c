/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one descriptor chain costs: pop it, look at each of its buffers, push it, publish the batch
 * and decide about the interrupt. Batches of 32, one thread, event index on, all checks on; the
 * driver's side is outside of what is measured.
 *
 *   bench_ring            nanoseconds per chain, medians, for each shape
 *   bench_ring SHAPE      one shape (0..3), few rounds: for a run under callgrind with
 *                         --toggle-collect=device_batch, see ring-instructions
 */
#include <endian.h>
#include <err.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <viodm/queue.h>

#define QUEUE_SIZE	 256
#define BATCH		 32
#define ROUNDS		 2000 /* of one measurement */
#define REPEATS		 31
#define CALLGRIND_ROUNDS 100

#define RAM_BYTES    (1u << 20)
#define DESC_GPA     0x0
#define AVAIL_GPA    0x2000
#define USED_GPA     0x3000
#define INDIRECT_GPA 0x8000
#define DATA_GPA     0x20000

static const struct shape {
	const char *name;
	unsigned n;
	bool indirect;
} shapes[] = {
	{"1 direct", 1, false},
	{"2 direct", 2, false},
	{"3 direct", 3, false},
	{"3 indirect", 3, true},
};

struct bench {
	char *ram;
	struct vio_mem *mem;
	struct vio_queue q;
	uint16_t avail_idx;
};

static volatile uint64_t sink;

/* Everything that is measured. Its name is what callgrind is told to count. */
__attribute__((noinline)) unsigned device_batch(struct vio_queue *q);
__attribute__((noinline)) unsigned device_batch(struct vio_queue *q)
{
	struct vio_chain *c;
	unsigned n = 0;

	while (vio_queue_pop(q, &c) == 1) {
		uint64_t sum = 0;

		for (uint32_t i = 0; i < c->n_readable + c->n_writable; i++)
			sum += (uintptr_t)c->iov[i].iov_base + c->iov[i].iov_len;
		sink = sum;
		vio_queue_push(q, c, c->writable_len);
		n++;
	}
	return n + vio_queue_publish(q);
}

/* The first buffer is the device's to read, the others are its to write: as in a disk's read. */
static void put_chain(struct vring_desc *d, unsigned first, unsigned n, unsigned slot)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned flags = (i + 1 < n ? VRING_DESC_F_NEXT : 0) | (i ? VRING_DESC_F_WRITE : 0);

		d[i] = (struct vring_desc){
			.addr = htole64(DATA_GPA + (slot * 4 + i) * 512),
			.len = htole32(512),
			.flags = htole16((uint16_t)flags),
			.next = htole16((uint16_t)(first + i + 1)),
		};
	}
}

static void driver_batch(struct bench *b, const struct shape *s)
{
	struct vring_desc *desc = (void *)(b->ram + DESC_GPA);
	struct vring_avail *avail = (void *)(b->ram + AVAIL_GPA);

	for (unsigned i = 0; i < BATCH; i++) {
		unsigned head = i * 4;

		if (s->indirect) {
			uint64_t table = INDIRECT_GPA + i * 64;

			put_chain((void *)(b->ram + table), 0, s->n, i);
			desc[head] = (struct vring_desc){.addr = htole64(table),
							 .len = htole32(s->n * 16),
							 .flags = htole16(VRING_DESC_F_INDIRECT)};
		} else {
			put_chain(desc + head, head, s->n, i);
		}
		avail->ring[b->avail_idx++ % QUEUE_SIZE] = htole16((uint16_t)head);
	}
	__atomic_store_n(&avail->idx, htole16(b->avail_idx), __ATOMIC_RELEASE);
}

static void bench_open(struct bench *b)
{
	const struct vio_queue_config cfg = {.desc_gpa = DESC_GPA,
					     .driver_gpa = AVAIL_GPA,
					     .device_gpa = USED_GPA,
					     .size = QUEUE_SIZE,
					     .event_idx = true,
					     .indirect = true};
	struct vio_mem_region ram = {.size = RAM_BYTES, .fd = -1};

	memset(b, 0, sizeof(*b));
	b->ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b->ram == MAP_FAILED)
		err(1, "mmap");
	ram.hva = b->ram;
	if (vio_mem_create(&ram, 1, &b->mem) < 0 || vio_queue_start(&b->q, b->mem, &cfg, 256) < 0)
		errx(1, "cannot start the queue");
}

static void bench_close(struct bench *b)
{
	vio_queue_stop(&b->q);
	vio_mem_destroy(b->mem);
	munmap(b->ram, RAM_BYTES);
}

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double run(struct bench *b, const struct shape *s, unsigned rounds)
{
	double ns = 0;

	for (unsigned i = 0; i < rounds; i++) {
		double start;

		driver_batch(b, s);
		start = now_ns();
		if (device_batch(&b->q) < BATCH)
			errx(1, "the device lost a chain: %s", b->q.fault ? b->q.fault : "?");
		ns += now_ns() - start;
	}
	return ns / rounds / BATCH;
}

static int cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void print_median(const struct shape *s)
{
	double ns[REPEATS];
	struct bench b;

	bench_open(&b);
	run(&b, s, ROUNDS);
	for (unsigned i = 0; i < REPEATS; i++)
		ns[i] = run(&b, s, ROUNDS);
	bench_close(&b);
	qsort(ns, REPEATS, sizeof(ns[0]), cmp);
	printf("%s\t%.1f\n", s->name, ns[REPEATS / 2]);
}

int main(int argc, char **argv)
{
	struct bench b;
	unsigned shape;

	if (argc == 1) {
		for (unsigned i = 0; i < VIO_ARRAY_LEN(shapes); i++)
			print_median(&shapes[i]);
		return 0;
	}
	shape = (unsigned)strtoul(argv[1], NULL, 10);
	if (argc != 2 || shape >= VIO_ARRAY_LEN(shapes))
		errx(2, "usage: bench_ring [0..3]");
	bench_open(&b);
	run(&b, &shapes[shape], CALLGRIND_ROUNDS);
	printf("%s\t%u\n", shapes[shape].name, CALLGRIND_ROUNDS * BATCH);
	bench_close(&b);
	return 0;
}
