/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests of a disk: the input is a series of requests, each cut into descriptors in any way, with
 * lengths, directions, headers and segments of the fuzzer's choice, on a memory disk. After each
 * request: the device either answered it, with a legal status and used length, or failed, and in
 * that case serves again after a reset.
 */
#include <driver/rig.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <viodm/blk.h>
#include <viodm/engines.h>

#include "fuzz_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DISK_BYTES (64u * 1024)
#define QUEUE_SIZE 32
#define MAX_PIECES 12

struct fuzz {
	struct drv_rig rig;
	struct vio_storage *storage;
	struct vio_device *dev;
	struct drv_bus *bus;
	struct drv_device drv;
	uint64_t buf; /* guest memory of the request */
};

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void start(struct fuzz *f, uint32_t features)
{
	struct drv_device_config cfg = {.features =
						UINT64_C(1) << 28 | UINT64_C(1) << 29 | features,
					.queue_size = QUEUE_SIZE};

	if (drv_device_start(&f->drv, &cfg) != 0) /* a subset that is refused */
		require(drv_device_start(&f->drv, &(struct drv_device_config){
							  .queue_size = QUEUE_SIZE}) == 0);
	f->buf = drv_mem_alloc(&f->rig.mem, 1u << 20, 4096);
	require(f->buf != DRV_NO_GPA);
}

static void fuzz_open(struct fuzz *f, uint8_t how, uint32_t features)
{
	struct vio_blk_config cfg = {.queue_size = QUEUE_SIZE,
				     .readonly = how & 1,
				     .writethrough = how & 2,
				     .geometry = how & 4,
				     .no_discard = how & 8};

	require(drv_rig_init(&f->rig) == 0);
	require(vio_storage_memory_open(DISK_BYTES, &f->storage) == 0);
	cfg.storage = f->storage;
	require(vio_blk_create(&f->rig.env, &cfg, &f->dev) == 0);
	require(drv_rig_connect(&f->rig, f->dev, DRV_MMIO, &f->bus, &f->drv) == 0);
	start(f, features);
}

static void fuzz_close(struct fuzz *f)
{
	drv_rig_disconnect(f->dev, f->bus, &f->drv);
	vio_storage_close(f->storage);
	drv_rig_fini(&f->rig);
}

/* The header that the first bytes of the device-readable part become. */
static void put_header(struct fuzz *f, struct fuzz_input *in)
{
	static const uint32_t types[] = {0, 1, 4, 8, 11, 13, 2, 5};
	struct virtio_blk_outhdr *h = vio_mem_ptr(f->rig.map, f->buf, 4096);
	uint8_t how = fuzz_u8(in);

	fuzz_bytes(in, h + 1, 64); /* segments, or the start of the data */
	h->type = htole32(how & 8 ? fuzz_u32(in) : types[how & 7]);
	h->sector = htole64(how & 16 ? ~UINT64_C(0) - fuzz_u8(in) : fuzz_u8(in));
	h->ioprio = 0;
}

/* Returns the writable bytes, and whether there are any, of a chain in f->buf. */
static uint64_t put_chain(struct fuzz *f, struct fuzz_input *in, struct drv_buf *bufs, unsigned *n)
{
	uint64_t gpa = f->buf, writable = 0;
	unsigned n_out = fuzz_u8(in) % MAX_PIECES, n_in = fuzz_u8(in) % MAX_PIECES;

	*n = 0;
	for (unsigned i = 0; i < n_out + n_in; i++) {
		uint32_t len = fuzz_u8(in);

		if (len & 0x80)
			len = (len & 0x7f) * 512;
		bufs[*n] = (struct drv_buf){.gpa = gpa, .len = len, .writable = i >= n_out};
		writable += i >= n_out ? len : 0;
		gpa += len;
		(*n)++;
	}
	return writable;
}

static void request(struct fuzz *f, struct fuzz_input *in)
{
	struct drv_buf bufs[2 * MAX_PIECES];
	uint64_t writable;
	struct drv_used u;
	unsigned n;

	put_header(f, in);
	writable = put_chain(f, in, bufs, &n);
	if (n == 0 ||
	    drv_queue_add(&f->drv.queue[0], bufs, n, fuzz_u8(in) % 4 ? DRV_DIRECT : 0, NULL) < 0)
		return;
	drv_device_submit(&f->drv, 0);
	if (drv_device_wait(&f->drv, 0, &u) == 1) {
		require(u.len <= writable && writable > 0);
		require(!vio_device_failed(f->dev));
		return;
	}
	require(vio_device_failed(f->dev) && writable == 0);
	drv_device_stop(&f->drv);
	start(f, ~0u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct fuzz *f = calloc(1, sizeof(*f));
	uint8_t how = fuzz_u8(&in);

	require(f != NULL);
	fuzz_open(f, how, fuzz_u32(&in));
	for (unsigned i = 0; in.left > 0 && i < 64; i++)
		request(f, &in);
	fuzz_close(f);
	free(f);
	return 0;
}
