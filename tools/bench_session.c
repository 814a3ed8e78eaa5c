/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_phase.h"

#include <endian.h>
#include <fcntl.h>
#include <linux/virtio_ring.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <viodm/util.h>

#define MEM_GPA	  0x40000000u
#define MEM_ALIGN (2u << 20) /* some servers want whole huge pages */

/* Mapped at a multiple of MEM_ALIGN: a larger reservation, of which the rest stays unused. */
static char *map_aligned(int fd, uint64_t size)
{
	char *all = mmap(NULL, size + MEM_ALIGN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at;

	if (all == MAP_FAILED)
		return NULL;
	at = all + (vio_round_up((uintptr_t)all, MEM_ALIGN) - (uintptr_t)all);
	if (at > all)
		munmap(all, (size_t)(at - all));
	munmap(at + size, (size_t)(all + MEM_ALIGN - at));
	at = mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0);
	return at == MAP_FAILED ? NULL : at;
}

static int mem_create(struct bench_mem *mem, uint64_t size)
{
	mem->gpa = MEM_GPA;
	mem->size = vio_round_up(size, MEM_ALIGN);
	mem->fd = memfd_create("viodm-bench", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (mem->fd < 0 || ftruncate(mem->fd, (off_t)mem->size) < 0 ||
	    fcntl(mem->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return -1;
	mem->base = map_aligned(mem->fd, mem->size);
	return mem->base ? 0 : -1;
}

void bench_queue_fault(struct bench_queue *q, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (q->fault[0])
		return;
	n = snprintf(q->fault, sizeof(q->fault), "queue %u: ", q->index);
	va_start(ap, fmt);
	vsnprintf(q->fault + n, sizeof(q->fault) - (size_t)n, fmt, ap);
	va_end(ap);
}

static int queues_create(struct bench_session *s, const struct bench_opts *o)
{
	uint64_t bytes = o->device->queue_bytes(s->link, o);

	if (mem_create(&s->mem, bytes * o->queues) < 0)
		return bench_error(s->link->name, "no shared memory of %llu bytes",
				   (unsigned long long)(bytes * o->queues));
	s->queues = calloc(o->queues, sizeof(struct bench_queue *));
	if (!s->queues)
		return bench_error(s->link->name, "out of memory");
	for (unsigned i = 0; i < o->queues; i++) {
		s->queues[i] = o->device->queue_create(o, s->link, &s->mem, i * bytes, i);
		if (!s->queues[i])
			return -1;
	}
	return 0;
}

static int queues_start(struct bench_session *s)
{
	struct bench_rings rings[BENCH_MAX_RINGS];
	unsigned n = 0;
	int r;

	for (unsigned i = 0; i < s->opts->queues; i++)
		n += s->queues[i]->ops->rings(s->queues[i], &rings[n]);
	r = s->link->ops->start(s->link, &s->mem, rings, n);
	for (unsigned i = 0; i < s->opts->queues && r == 0; i++) {
		if (s->queues[i]->ops->started)
			r = s->queues[i]->ops->started(s->queues[i]);
	}
	return r;
}

int bench_session_open(struct bench_session *s, const struct bench_opts *o, const char *target)
{
	*s = (struct bench_session){.opts = o, .mem = {.fd = -1}};
	s->link = o->config ? bench_inproc_open(o) : bench_vhost_open(o, target);
	s->ticks_per_ns = bench_ticks_per_ns();
	if (!s->link || queues_create(s, o) < 0 || queues_start(s) < 0)
		return -1;
	return 0;
}

/* Unless the transport tells where a ring stopped, it stopped where the last request was used. */
static unsigned stops_of(struct bench_queue *q, uint16_t *base)
{
	struct bench_rings rings[BENCH_QUEUE_RINGS];
	unsigned n = q->ops->rings(q, rings);

	for (unsigned i = 0; i < n; i++)
		base[i] = le16toh(((struct vring_used *)rings[i].used)->idx);
	return n;
}

int bench_session_stop(struct bench_session *s)
{
	uint16_t base[BENCH_MAX_RINGS];
	unsigned n = 0, k = 0;

	for (unsigned i = 0; i < s->opts->queues; i++)
		n += stops_of(s->queues[i], &base[n]);
	if (s->link->ops->stop(s->link, base) < 0)
		return -1;
	for (unsigned i = 0; i < s->opts->queues; i++) {
		struct bench_rings rings[BENCH_QUEUE_RINGS];

		n = s->queues[i]->ops->rings(s->queues[i], rings);
		for (unsigned j = 0; j < n; j++) {
			if (s->queues[i]->ops->stopped(s->queues[i], j, base[k++]) < 0)
				return -1;
		}
	}
	return 0;
}

void bench_session_close(struct bench_session *s)
{
	bench_link_destroy(s->link);
	for (unsigned i = 0; s->queues && i < s->opts->queues; i++) {
		if (s->queues[i])
			s->queues[i]->ops->destroy(s->queues[i]);
	}
	free(s->queues);
	if (s->mem.base)
		munmap(s->mem.base, s->mem.size);
	if (s->mem.fd >= 0)
		close(s->mem.fd);
}
