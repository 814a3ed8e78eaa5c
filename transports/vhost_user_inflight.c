/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The areas in which rings keep track of what is in flight: in a file that outlives us, ours or one
 * that the front-end brings back. A ring's area has room for `queue_size` entries and begins at a
 * multiple of 64, as with other servers, so that one may take over from another.
 */
#include "vhost_user_internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define AREA_ALIGN 64

static size_t area_bytes(uint16_t queue_size)
{
	return vio_round_up(vio_inflight_bytes(queue_size), AREA_ALIGN);
}

/* How many rings of what size: what the device can have. */
static int counts_check(struct vio_vhost_user *vu, const struct vio_vhost_inflight *d)
{
	struct vio_queue_regs regs;

	if (d->n_queues == 0 || d->n_queues > vu->n_rings)
		return vhu_bad(vu, "in-flight areas of no rings, or of too many");
	vio_device_queue_get(vu->base.dev, 0, &regs); /* all queues have the same limit */
	if (!vio_is_pow2(d->queue_size) || d->queue_size > regs.max_size)
		return vhu_bad(vu, "in-flight areas for no power of two, or for too large rings");
	return 0;
}

/* Takes the areas from the device. False when a queue still runs, as somebody else has it busy. */
static bool areas_take(struct vio_vhost_user *vu)
{
	bool taken = true;

	for (uint16_t i = 0; i < vu->n_rings; i++)
		if (vio_device_queue_set_inflight(vu->base.dev, i, NULL, 0) < 0)
			taken = false;
	return taken;
}

void vhu_inflight_close(struct vio_vhost_user *vu)
{
	areas_take(vu);
	if (vu->inflight.n_queues > 0)
		vhu_unmap(vu, &vu->inflight.map);
	vu->inflight.n_queues = 0;
}

/* What `*d` says of rings is checked, and has room in mmap_size; the file is not checked yet. */
static int areas_replace(struct vio_vhost_user *vu, const struct vio_vhost_inflight *d, int fd)
{
	struct vhu_inflight next = {.n_queues = d->n_queues, .queue_size = d->queue_size};
	int r = vhu_map_file(vu, fd, d->mmap_offset, d->mmap_size, &next.map);

	if (r < 0)
		return r;
	vhu_rings_pause(vu);
	if (!areas_take(vu)) {
		vhu_unmap(vu, &next.map);
		return vhu_bad(vu, "rings cannot be stopped at present");
	}
	vhu_inflight_close(vu);
	vu->inflight = next;
	return vhu_rings_settle(vu);
}

/* A file of `size` zeroes that keeps its size. Its descriptor or -errno. */
static int make_file(size_t size)
{
	int fd = memfd_create("viodm-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING), r;

	if (fd >= 0 && ftruncate(fd, (off_t)size) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
	r = -errno;
	if (fd >= 0)
		close(fd);
	return r;
}

int vhu_inflight_make(struct vio_vhost_user *vu, struct vio_vhost_inflight *d, int *out)
{
	int fd, r = counts_check(vu, d);

	if (r < 0)
		return r;
	d->mmap_size = d->n_queues * area_bytes(d->queue_size);
	d->mmap_offset = 0;
	fd = make_file(d->mmap_size);
	if (fd < 0) {
		vu->why = "no memory for in-flight areas";
		return fd;
	}
	r = areas_replace(vu, d, fd);
	if (r < 0) {
		close(fd);
		return r;
	}
	*out = fd;
	return 0;
}

int vhu_inflight_set(struct vio_vhost_user *vu, const struct vio_vhost_inflight *d, int fd)
{
	int r = counts_check(vu, d);

	if (r < 0)
		return r;
	if (d->mmap_size < d->n_queues * area_bytes(d->queue_size))
		return vhu_bad(vu, "in-flight areas are larger than what is to be mapped");
	if (d->mmap_offset % sizeof(uint64_t))
		return vhu_bad(vu, "in-flight areas misaligned");
	return areas_replace(vu, d, fd);
}

static struct vio_inflight *area_at(const struct vio_vhost_user *vu, uint16_t i)
{
	size_t at = i * area_bytes(vu->inflight.queue_size);

	return (struct vio_inflight *)(void *)(vu->inflight.map.start + at);
}

/*
 * A ring smaller than its area is fine: QEMU asks for areas of the largest size, before the driver
 * (firmware, for one) chooses a smaller one. A larger one goes untracked: with QEMU's virtio-mmio a
 * driver may choose a size beyond the one that QEMU asked areas for.
 */
int vhu_inflight_give(struct vio_vhost_user *vu, const struct vhu_ring *r)
{
	struct vio_inflight *area = NULL;
	size_t len = 0;

	if (r->index >= vu->inflight.n_queues)
		return 0;
	if (r->size <= vu->inflight.queue_size) {
		area = area_at(vu, r->index);
		len = area_bytes(vu->inflight.queue_size);
		if (vio_inflight_prepare(area, (uint16_t)r->size) < 0)
			return vhu_bad(vu, "in-flight area is of another version or ring size");
	} else {
		vio_log(vu->log, VIO_LOG_INFO,
			"%s: ring %u of %u entries is larger than its in-flight area of %u: what "
			"is in flight is lost if this server dies",
			vio_device_name(vu->base.dev), r->index, r->size, vu->inflight.queue_size);
	}
	if (vio_device_queue_set_inflight(vu->base.dev, r->index, area, len) < 0)
		return vhu_bad(vu, "ring cannot be stopped at present");
	return 0;
}

void vhu_inflight_clear(struct vio_vhost_user *vu)
{
	if (vu->inflight.n_queues > 0)
		memset(vu->inflight.map.start, 0,
		       vu->inflight.n_queues * area_bytes(vu->inflight.queue_size));
}
