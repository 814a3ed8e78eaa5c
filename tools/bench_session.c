/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_phase.h"

#include <fcntl.h>
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

static int queues_create(struct bench_session *s, const struct bench_opts *o)
{
	uint64_t bytes = bench_queue_bytes(o);

	if (mem_create(&s->mem, bytes * o->queues) < 0)
		return bench_error(s->link->name, "no shared memory of %llu bytes",
				   (unsigned long long)(bytes * o->queues));
	s->queues = aligned_alloc(64, vio_round_up(o->queues * sizeof(*s->queues), 64));
	if (!s->queues)
		return bench_error(s->link->name, "out of memory");
	memset(s->queues, 0, o->queues * sizeof(*s->queues));
	for (unsigned i = 0; i < o->queues; i++) {
		if (bench_queue_init(&s->queues[i], o, s->link, &s->mem, i * bytes, i) < 0)
			return -1;
	}
	return 0;
}

static int queues_start(struct bench_session *s)
{
	struct bench_rings rings[BENCH_MAX_QUEUES];

	for (unsigned i = 0; i < s->opts->queues; i++)
		rings[i] = s->queues[i].rings;
	return s->link->ops->start(s->link, &s->mem, rings, s->opts->queues);
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

int bench_session_stop(struct bench_session *s)
{
	uint16_t base[BENCH_MAX_QUEUES];

	for (unsigned i = 0; i < s->opts->queues; i++)
		base[i] = s->queues[i].avail_idx;
	if (s->link->ops->stop(s->link, base) < 0)
		return -1;
	for (unsigned i = 0; i < s->opts->queues; i++) {
		if (base[i] != s->queues[i].avail_idx)
			return bench_error(s->link->name, "queue %u stopped at %u instead of %u", i,
					   base[i], s->queues[i].avail_idx);
	}
	return 0;
}

void bench_session_close(struct bench_session *s)
{
	bench_link_destroy(s->link);
	for (unsigned i = 0; s->queues && i < s->opts->queues; i++)
		bench_queue_fini(&s->queues[i]);
	free(s->queues);
	if (s->mem.base)
		munmap(s->mem.base, s->mem.size);
	if (s->mem.fd >= 0)
		close(s->mem.fd);
}
