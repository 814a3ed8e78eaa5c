/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ring: the input is what the driver left in guest memory, and what the device does with it.
 * Guest memory is two regions that touch in guest-physical space only, each on the heap of its own,
 * so that a byte outside is seen.
 */
#include <stdlib.h>
#include <viodm/iov.h>

#include "fuzz_input.h"

#define REGION_BYTES 0x2000u
#define GPA	     0x1000u

/* Rings of up to 64 entries; descriptors and buffers anywhere. */
#define DESC_GPA  GPA
#define AVAIL_GPA (GPA + 0x400)
#define USED_GPA  (GPA + 0x600)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct guest {
	uint8_t *region[2];
	struct vio_mem *mem;
	struct vio_queue q;
	struct vio_inflight *inflight;
};

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void guest_open(struct guest *g, struct fuzz_input *in)
{
	struct vio_mem_region r[2];

	memset(g, 0, sizeof(*g));
	for (unsigned i = 0; i < 2; i++) {
		g->region[i] = malloc(REGION_BYTES);
		require(g->region[i] != NULL);
		fuzz_bytes(in, g->region[i], i ? 256 : 0x700);
		memset(g->region[i] + (i ? 256 : 0x700), 0, REGION_BYTES - (i ? 256 : 0x700));
		r[i] = (struct vio_mem_region){.gpa = GPA + i * REGION_BYTES,
					       .size = REGION_BYTES,
					       .hva = g->region[i],
					       .fd = -1};
	}
	require(vio_mem_create(r, 2, &g->mem) == 0);
}

static void guest_close(struct guest *g)
{
	vio_queue_stop(&g->q);
	vio_mem_destroy(g->mem);
	free(g->region[0]);
	free(g->region[1]);
	free(g->inflight);
}

static bool in_guest(const struct guest *g, const struct iovec *v)
{
	for (unsigned i = 0; i < 2; i++) {
		uint64_t off = (uintptr_t)v->iov_base - (uintptr_t)g->region[i];

		if (vio_range_ok(off, v->iov_len, REGION_BYTES))
			return true;
	}
	return false;
}

/* What pop promises of a chain. */
static void check_chain(const struct guest *g, const struct vio_chain *c)
{
	uint64_t len[2] = {0, 0};

	require(c->head < g->q.size && c->state);
	require(c->n_readable + c->n_writable <= g->q.size + 2u);
	for (uint32_t i = 0; i < c->n_readable + c->n_writable; i++) {
		require(in_guest(g, &c->iov[i]));
		len[i >= c->n_readable] += c->iov[i].iov_len;
	}
	require(len[0] == c->readable_len && len[1] == c->writable_len);
}

/* Reads and writes through the byte cursors, as a device would. */
static void use_chain(struct vio_chain *c, uint8_t how)
{
	struct vio_iov out = vio_iov_readable(c), in = vio_iov_writable(c);
	uint8_t buf[64] = {0};

	vio_iov_pull(&out, buf, how % sizeof(buf));
	vio_iov_trim(&out, how * 3u);
	vio_iov_skip(&out, how);
	if (how & 1 && vio_iov_take_last(&in))
		*buf = 1;
	if (how & 2)
		vio_iov_trim(&in, how * 2u);
	vio_iov_put(&in, buf, sizeof(buf));
}

static void serve(struct guest *g, struct fuzz_input *in)
{
	struct vio_chain *held[64];
	unsigned n_held = 0;

	/* Bounded: the driver is not running, so what there is, is there. */
	for (unsigned i = 0; i < 4 * 64; i++) {
		uint8_t how = fuzz_u8(in);
		struct vio_chain *c;
		int r = vio_queue_pop(&g->q, &c);

		if (r <= 0) {
			require(r == 0 || (r < 0 && g->q.fault));
			break;
		}
		check_chain(g, c);
		use_chain(c, how);
		if (how & 0x40) {
			require(n_held < g->q.size);
			held[n_held++] = c;
		} else {
			vio_queue_push(&g->q, c, fuzz_u32(in));
		}
		if (how & 0x80)
			vio_queue_publish(&g->q);
	}
	while (n_held > 0)
		vio_queue_push(&g->q, held[--n_held], 1);
	require(g->q.in_flight == 0);
	vio_queue_publish(&g->q);
	/* Nothing is held back when all is pushed. */
	if (!g->q.fault && !g->q.inflight)
		require(g->q.used_idx == g->q.next_avail);
	vio_queue_pending(&g->q);
	vio_queue_arm(&g->q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct vio_queue_config cfg = {
		.desc_gpa = DESC_GPA, .driver_gpa = AVAIL_GPA, .device_gpa = USED_GPA};
	uint8_t how = fuzz_u8(&in);
	struct guest g;

	cfg.size = (uint16_t)(1u << (how & 7) % 7);
	cfg.event_idx = how & 8;
	cfg.indirect = how & 16;
	cfg.in_order = !(how & 8) != !(how & 128);
	cfg.next_avail = how & 32 ? 0xfffe : 0;
	guest_open(&g, &in);
	if (how & 64) {
		size_t len = vio_inflight_bytes(cfg.size);

		g.inflight = calloc(1, len);
		require(g.inflight != NULL);
		fuzz_bytes(&in, g.inflight, len);
		if (vio_inflight_prepare(g.inflight, cfg.size) == 0)
			cfg.inflight = g.inflight;
	}
	if (vio_queue_start(&g.q, g.mem, &cfg, sizeof(struct vio_chain)) == 0) {
		vio_queue_set_polled(&g.q, how & 128);
		serve(&g, &in);
		serve(&g, &in);
	}
	guest_close(&g);
	return 0;
}
