/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end's memory: maps the files it sends, and switches the device from one table to the
 * next. A region that is in both keeps its mapping, so switching costs what has changed.
 */
#include "vhost_user_internal.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* ---- files -------------------------------------------------------------------------------------
 */

/* What the offset and length of a mapping of `fd` must be a multiple of. */
static uint64_t map_align(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) == 0 && (uint64_t)fs.f_type == HUGETLBFS_MAGIC &&
	    vio_is_pow2((uint64_t)fs.f_bsize))
		return (uint64_t)fs.f_bsize;
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool can_shrink(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals < 0 || !(seals & F_SEAL_SHRINK);
}

static int file_check(struct vio_vhost_user *vu, int fd, uint64_t offset, uint64_t size,
		      struct stat *st)
{
	if (fstat(fd, st) < 0 || !S_ISREG(st->st_mode))
		return vhu_bad(vu, "memory is not a file");
	if (!vio_range_ok(offset, size, (uint64_t)st->st_size))
		return vhu_bad(vu, "memory file is shorter than what is to be mapped");
	if (vu->cfg.sealed_only && can_shrink(fd))
		return vhu_bad(vu, "memory file is not sealed against shrinking");
	return 0;
}

int vhu_map_file(struct vio_vhost_user *vu, int fd, uint64_t offset, uint64_t size,
		 struct vhu_map *out)
{
	uint64_t align = map_align(fd), begin = offset & ~(align - 1), len;
	struct vhu_map m;
	struct stat st;
	int r = file_check(vu, fd, offset, size, &st);

	if (r < 0)
		return r;
	len = vio_round_up(offset - begin + size, align);
	if (len > SIZE_MAX)
		return vhu_bad(vu, "memory file too large");
	m = (struct vhu_map){.len = (size_t)len, .dev = st.st_dev, .ino = st.st_ino};
	m.addr = mmap(NULL, m.len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		      (off_t)begin);
	if (m.addr == MAP_FAILED) {
		r = -errno;
		vu->why = "memory cannot be mapped";
		return r;
	}
	r = vhu_guard_add(vu->cfg.guard, m.addr, m.len, &vu->memory_gone, vu->event.fd,
			  &m.guard_slot);
	if (r < 0) {
		vu->why = "too many mappings for the guard";
		munmap(m.addr, m.len);
		return r;
	}
	madvise(m.addr, m.len, MADV_DONTDUMP);
	m.start = (char *)m.addr + (offset - begin);
	*out = m;
	return 0;
}

void vhu_unmap(struct vio_vhost_user *vu, const struct vhu_map *m)
{
	vhu_guard_remove(vu->cfg.guard, m->guard_slot);
	munmap(m->addr, m->len);
}

/* ---- regions -----------------------------------------------------------------------------------
 */

static void region_destroy(struct vio_vhost_user *vu, struct vhu_region *g)
{
	vhu_unmap(vu, &g->map);
	free(g);
}

static int region_create(struct vio_vhost_user *vu, const struct vio_vhost_region *r, int fd,
			 struct vhu_region **out)
{
	struct vhu_region *g;
	int ret;

	if (r->size == 0 || r->size > VIO_VHOST_USER_MAX_MEMORY)
		return vhu_bad(vu, "region of no size, or too large");
	if (r->size - 1 > UINT64_MAX - r->gpa || r->size - 1 > UINT64_MAX - r->uaddr)
		return vhu_bad(vu, "region wraps around");
	g = calloc(1, sizeof(*g));
	if (!g) {
		vu->why = "no memory";
		return -ENOMEM;
	}
	g->r = *r;
	ret = vhu_map_file(vu, fd, r->offset, r->size, &g->map);
	if (ret < 0) {
		free(g);
		return ret;
	}
	*out = g;
	return 0;
}

/* ---- tables ------------------------------------------------------------------------------------
 */

bool vhu_mem_translate(const struct vhu_table *t, uint64_t uaddr, uint64_t *gpa)
{
	for (unsigned i = 0; i < t->n; i++) {
		const struct vio_vhost_region *r = &t->region[i]->r;

		if (uaddr < r->uaddr || uaddr - r->uaddr >= r->size)
			continue;
		*gpa = r->gpa + (uaddr - r->uaddr);
		return true;
	}
	return false;
}

/* The device's view of a table. */
static int table_map(struct vio_vhost_user *vu, const struct vhu_table *t, struct vio_mem **out)
{
	struct vio_mem_region r[VIO_VHOST_USER_MAX_SLOTS];
	uint64_t sum = 0;
	int ret;

	for (unsigned i = 0; i < t->n; i++) {
		const struct vhu_region *g = t->region[i];

		r[i] = (struct vio_mem_region){
			.gpa = g->r.gpa, .size = g->r.size, .hva = g->map.start, .fd = -1};
		sum += g->r.size; /* each is at most MAX_MEMORY: no overflow */
	}
	if (sum > VIO_VHOST_USER_MAX_MEMORY)
		return vhu_bad(vu, "too much memory");
	ret = vio_mem_create(r, t->n, out);
	if (ret < 0)
		vu->why = ret == -ENOMEM ? "no memory" : "regions overlap";
	return ret;
}

/* Destroys the regions of `t` that are not in table `stay`. */
static void table_drop(struct vio_vhost_user *vu, const struct vhu_table *t,
		       const struct vhu_table *stay)
{
	for (unsigned i = 0; i < stay->n; i++)
		stay->region[i]->kept = true;
	for (unsigned i = 0; i < t->n; i++)
		if (!t->region[i]->kept)
			region_destroy(vu, t->region[i]);
	for (unsigned i = 0; i < stay->n; i++)
		stay->region[i]->kept = false;
}

/*
 * Makes `next` the table. Rings that lie elsewhere in it are paused and start again at their new
 * place; the others are stopped by vio_device_set_mem() only for as long as the switch takes, or
 * fail the device when they are not in the new map. Only then the old memory is unmapped.
 */
static int mem_switch(struct vio_vhost_user *vu, const struct vhu_table *next)
{
	struct vhu_table old = vu->table;
	struct vio_mem *old_mem = vu->mem, *mem;
	bool all_there;
	int r = table_map(vu, next, &mem);

	if (r < 0) {
		table_drop(vu, next, &vu->table);
		return r;
	}
	all_there = vhu_rings_follow(vu, next);
	vio_device_set_mem(vu->base.dev, mem);
	if (!all_there)
		vio_device_fail(vu->base.dev, "memory of a running queue was taken away");
	vu->table = *next;
	vu->mem = mem;
	table_drop(vu, &old, &vu->table);
	vio_mem_destroy(old_mem);
	return vhu_rings_settle(vu);
}

static bool same_region(const struct vio_vhost_region *a, const struct vio_vhost_region *b)
{
	return a->gpa == b->gpa && a->uaddr == b->uaddr && a->size == b->size;
}

/* A region of the present table that is what the front-end sends again, or NULL. */
static struct vhu_region *table_find(const struct vhu_table *t, const struct vio_vhost_region *r,
				     int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return NULL;
	for (unsigned i = 0; i < t->n; i++) {
		struct vhu_region *g = t->region[i];

		if (same_region(&g->r, r) && g->r.offset == r->offset && g->map.dev == st.st_dev &&
		    g->map.ino == st.st_ino)
			return g;
	}
	return NULL;
}

int vhu_mem_set(struct vio_vhost_user *vu, const struct vio_vhost_region *r, const int *fds,
		unsigned n)
{
	struct vhu_table next = {0};
	int ret;

	for (unsigned i = 0; i < n; i++) {
		struct vhu_region *g = table_find(&vu->table, &r[i], fds[i]);

		if (!g) {
			ret = region_create(vu, &r[i], fds[i], &g);
			if (ret < 0) {
				table_drop(vu, &next, &vu->table);
				return ret;
			}
		}
		next.region[next.n++] = g;
	}
	return mem_switch(vu, &next);
}

/*
 * QEMU before 8.0 sends each of these once for every pair of queues of a network card: a region
 * that is there, or one that is gone already, is no news.
 */
int vhu_mem_add(struct vio_vhost_user *vu, const struct vio_vhost_region *r, int fd)
{
	struct vhu_table next = vu->table;
	int ret;

	if (table_find(&vu->table, r, fd))
		return 0;
	if (next.n == VIO_VHOST_USER_MAX_SLOTS)
		return vhu_bad(vu, "too many regions");
	ret = region_create(vu, r, fd, &next.region[next.n]);
	if (ret < 0)
		return ret;
	next.n++;
	return mem_switch(vu, &next);
}

int vhu_mem_remove(struct vio_vhost_user *vu, const struct vio_vhost_region *r)
{
	struct vhu_table next = vu->table;

	for (unsigned i = 0; i < next.n; i++) {
		if (!same_region(&next.region[i]->r, r))
			continue;
		next.region[i] = next.region[--next.n];
		return mem_switch(vu, &next);
	}
	return 0;
}

void vhu_mem_clear(struct vio_vhost_user *vu)
{
	vio_device_set_mem(vu->base.dev, NULL);
	vio_mem_destroy(vu->mem);
	vu->mem = NULL;
	for (unsigned i = 0; i < vu->table.n; i++)
		region_destroy(vu, vu->table.region[i]);
	vu->table.n = 0;
}
