/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every storage engine on every kind of loop, under a random load whose every byte is checked:
 * reads see what was written, whatever the order of completion.
 */
#include <driver/blk.h>
#include <driver/rig.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#include <viodm/blk.h>
#include <viodm/engines.h>
#include <viodm/iothread.h>

#include "suite.h"

#define DISK_BYTES (4u << 20)
#define SLOTS	   128u /* requests work on disjoint pieces of the disk: one per slot */
#define SLOT_BYTES (DISK_BYTES / SLOTS)
#define N_QUEUES   3u

typedef int open_fn(const char *path, const struct vio_storage_file_config *cfg,
		    struct vio_storage **out);

static int open_memory(const char *path, const struct vio_storage_file_config *cfg,
		       struct vio_storage **out)
{
	(void)path;
	(void)cfg;
	return vio_storage_memory_open(DISK_BYTES, out);
}

static const struct {
	const char *name;
	open_fn *open;
	bool direct;
} engines[] = {
	{"memory", open_memory, false},
	{"sync", vio_storage_sync_open, false},
	{"sync direct", vio_storage_sync_open, true},
	{"libaio", vio_storage_libaio_open, false},
	{"libaio direct", vio_storage_libaio_open, true},
	{"threads", vio_storage_threads_open, false},
	{"threads direct", vio_storage_threads_open, true},
	{"io_uring", vio_storage_uring_open, false},
	{"io_uring direct", vio_storage_uring_open, true},
};

/* A machine whose back-end is one of several kinds. */
struct machine {
	struct drv_rig rig;
	struct vio_iothread *iothreads[2];
	struct vio_backend *backend;
	char path[32];
	struct vio_storage *storage;
	struct vio_device *dev;
	struct drv_bus *bus;
	struct drv_device drv;
	struct drv_blk blk;
	unsigned align;
};

enum where { ON_MANUAL, ON_IOTHREAD, ON_IOTHREAD_NO_POLL, ON_TWO_IOTHREADS, N_WHERE };

static void machine_backend(struct machine *m, enum where where)
{
	struct vio_iothread_config cfg = {.cpu = -1, .poll_us = VIO_IOTHREAD_POLL_US};
	size_t n = where == ON_TWO_IOTHREADS ? 2 : 1;

	if (where == ON_MANUAL) {
		m->backend = m->rig.backend;
		return;
	}
	if (where == ON_IOTHREAD_NO_POLL)
		cfg.poll_us = 0;
	for (size_t i = 0; i < n; i++)
		MUST(vio_iothread_create(&cfg, &m->iothreads[i]));
	MUST(vio_backend_iothread_create(m->iothreads, n, &m->backend));
}

/* Waits for the kernel or the pool, which the loop knows nothing of until they are done. */
static int turn(void *arg)
{
	struct machine *m = arg;

	return vio_loop_manual_run(m->rig.loop, m->blk.in_flight ? 5000 : 0);
}

/* False: the file system of the temporary folder has no direct I/O. */
static bool machine_open(struct machine *m, unsigned engine, enum where where)
{
	struct vio_storage_file_config file = {.direct = engines[engine].direct};
	struct vio_blk_config cfg = {.queues = N_QUEUES, .queue_size = 64};
	struct vio_storage_info info;
	struct vio_device_env env;
	int fd, r;

	memset(m, 0, sizeof(*m));
	strcpy(m->path, "engines-XXXXXX");
	fd = mkstemp(m->path);
	must(fd, "mkstemp");
	MUST(ftruncate(fd, DISK_BYTES));
	close(fd);
	r = engines[engine].open(m->path, &file, &m->storage);
	if (r == -EINVAL && file.direct) {
		unlink(m->path);
		return false;
	}
	must(r, engines[engine].name);
	MUST(vio_storage_info(m->storage, &info));
	m->align = info.logical_block;
	MUST(drv_rig_init(&m->rig));
	machine_backend(m, where);
	env = m->rig.env;
	env.backend = m->backend;
	cfg.storage = m->storage;
	MUST(vio_blk_create(&env, &cfg, &m->dev));
	MUST(drv_rig_connect(&m->rig, m->dev, DRV_PCI_MSIX, &m->bus, &m->drv));
	m->drv.turn_arg = m;
	m->drv.turn = where == ON_MANUAL ? turn : NULL; /* the others work by themselves */
	return true;
}

static void machine_start(struct machine *m)
{
	MUST(drv_device_start(&m->drv, &(struct drv_device_config){.features = DRV_ALL_FEATURES,
								   .table_len = 40}));
	MUST(drv_blk_init(&m->blk, &m->drv, 8u << 20));
}

static void machine_close(struct machine *m)
{
	drv_rig_disconnect(m->dev, m->bus, &m->drv);
	vio_storage_close(m->storage);
	if (m->backend != m->rig.backend)
		vio_backend_destroy(m->backend);
	for (size_t i = 0; i < VIO_ARRAY_LEN(m->iothreads); i++)
		vio_iothread_destroy(m->iothreads[i]);
	drv_rig_fini(&m->rig);
	unlink(m->path);
}

static uint32_t random_next(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* One piece of the disk: what it must hold, and the request that is on its way for it. */
struct piece {
	struct drv_blk_req req;
	struct drv_framing framing;
	uint8_t want[SLOT_BYTES];
	uint8_t buf[SLOT_BYTES];
	uint16_t queue;
};

static void piece_fill(struct piece *p, uint32_t *seed)
{
	uint32_t v = random_next(seed);

	for (uint32_t i = 0; i < sizeof(p->want); i++)
		p->want[i] = (uint8_t)(v + i * 7 + (i >> 9));
}

static void piece_submit(struct machine *m, struct piece *p, unsigned slot, uint32_t *seed)
{
	bool write = random_next(seed) % 2;
	uint32_t cut = 1024u << random_next(seed) % 5; /* 34 descriptors at most */

	if (write)
		piece_fill(p, seed);
	memset(p->buf, 0xdb, sizeof(p->buf));
	/* odd cuts: buffers that direct I/O cannot use as they are */
	p->framing = (struct drv_framing){.rest = random_next(seed) % 3 ? cut : cut + 13};
	p->req = (struct drv_blk_req){
		.type = write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
		.sector = slot * (SLOT_BYTES / 512),
		.out = write ? p->want : NULL,
		.out_len = write ? SLOT_BYTES : 0,
		.in = write ? NULL : p->buf,
		.in_len = write ? 0 : SLOT_BYTES,
		.framing = random_next(seed) % 2 ? &p->framing : NULL,
	};
	p->queue = (uint16_t)(random_next(seed) % N_QUEUES);
	MUST(drv_blk_submit(&m->blk, p->queue, &p->req));
}

static bool piece_finish(struct machine *m, struct piece *p)
{
	bool ok = drv_blk_wait(&m->blk, p->queue, &p->req) == 0 && p->req.status == 0 &&
		  !p->req.damaged;

	if (p->req.type == VIRTIO_BLK_T_IN)
		ok = ok && p->req.used_len == SLOT_BYTES + 1 &&
		     memcmp(p->buf, p->want, SLOT_BYTES) == 0;
	return ok;
}

/* Many rounds of a few pieces in flight on all queues at once. */
static void load(struct machine *m, unsigned rounds, uint32_t seed)
{
	struct piece *pieces = calloc(SLOTS, sizeof(*pieces));
	unsigned bad = 0;

	for (unsigned round = 0; round < rounds; round++) {
		unsigned first = random_next(&seed) % SLOTS;

		for (unsigned i = 0; i < 12; i++)
			piece_submit(m, &pieces[(first + i) % SLOTS], (first + i) % SLOTS, &seed);
		for (unsigned i = 0; i < 12; i++)
			bad += !piece_finish(m, &pieces[(first + i) % SLOTS]);
	}
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_EQUAL(drv_blk_flush(&m->blk), VIRTIO_BLK_S_OK);
	free(pieces);
}

static void test_load_everywhere(void)
{
	struct machine m;

	for (unsigned e = 0; e < VIO_ARRAY_LEN(engines); e++) {
		for (enum where w = 0; w < N_WHERE; w++) {
			if (!machine_open(&m, e, w)) {
				printf("\n    (no direct I/O here: %s not run) ", engines[e].name);
				break;
			}
			machine_start(&m);
			load(&m, 40, 1 + e * N_WHERE + w);
			CU_ASSERT_EQUAL(m.rig.log_lines, 0);
			machine_close(&m);
		}
	}
}

static int do_range(struct machine *m, uint32_t type, uint32_t flags, uint64_t sector, uint32_t n)
{
	struct virtio_blk_discard_write_zeroes seg = {
		.sector = htole64(sector), .num_sectors = htole32(n), .flags = htole32(flags)};
	struct drv_blk_req req = {.type = type, .out = &seg, .out_len = sizeof(seg)};

	return drv_blk_do(&m->blk, 0, &req) < 0 ? -1 : req.status;
}

static bool reads_as(struct machine *m, uint64_t sector, uint32_t len, uint8_t value)
{
	uint8_t *buf = malloc(len);
	bool ok = drv_blk_read(&m->blk, sector, buf, len) == VIRTIO_BLK_S_OK;

	for (uint32_t i = 0; ok && i < len; i++)
		ok = buf[i] == value;
	free(buf);
	return ok;
}

/* BLK-DEV-033: zeroes after write-zeroes, with and without unmap, and only where asked. */
static void test_ranges(void)
{
	uint8_t *ones = malloc(65536);
	struct machine m;

	memset(ones, 0x11, 65536);
	for (unsigned e = 0; e < VIO_ARRAY_LEN(engines); e++) {
		if (!machine_open(&m, e, ON_IOTHREAD))
			continue;
		machine_start(&m);
		for (uint32_t unmap = 0; unmap < 2; unmap++) {
			CU_ASSERT_EQUAL(drv_blk_write(&m.blk, 0, ones, 65536), 0);
			CU_ASSERT_EQUAL(do_range(&m, VIRTIO_BLK_T_WRITE_ZEROES, unmap, 32, 64), 0);
			CU_ASSERT_TRUE(reads_as(&m, 0, 32 * 512, 0x11));
			CU_ASSERT_TRUE(reads_as(&m, 32, 64 * 512, 0));
			CU_ASSERT_TRUE(reads_as(&m, 96, 32 * 512, 0x11));
		}
		CU_ASSERT_EQUAL(do_range(&m, VIRTIO_BLK_T_DISCARD, 0, 96, 32), 0);
		CU_ASSERT_TRUE(reads_as(&m, 0, 32 * 512, 0x11));
		machine_close(&m);
	}
	free(ones);
}

/* The image got shorter behind the device's back: an error, not stale data and not a hang. */
static void test_image_shrinks(void)
{
	uint8_t buf[8192];
	struct machine m;

	for (unsigned e = 1; e < VIO_ARRAY_LEN(engines); e++) {
		if (!machine_open(&m, e, ON_IOTHREAD))
			continue;
		machine_start(&m);
		MUST(truncate(m.path, 1 << 20));
		CU_ASSERT_EQUAL(drv_blk_read(&m.blk, 4096, buf, sizeof(buf)), VIRTIO_BLK_S_IOERR);
		/* half inside */
		CU_ASSERT_EQUAL(drv_blk_read(&m.blk, 2048 - 8, buf, sizeof(buf)),
				VIRTIO_BLK_S_IOERR);
		CU_ASSERT_EQUAL(drv_blk_read(&m.blk, 2048 - 16, buf, sizeof(buf)), VIRTIO_BLK_S_OK);
		machine_close(&m);
	}
}

/* BASIC-DEV-011, BASIC-DEV-012: a reset with requests in flight ends, and what comes after works.
 */
static void test_reset_under_load(void)
{
	struct piece *pieces = calloc(SLOTS, sizeof(*pieces));
	struct machine m;

	for (unsigned e = 0; e < VIO_ARRAY_LEN(engines); e++) {
		if (!machine_open(&m, e, e % 2 ? ON_IOTHREAD : ON_TWO_IOTHREADS))
			continue;
		for (unsigned round = 0; round < 12; round++) {
			uint32_t seed = round;
			uint64_t where;

			machine_start(&m);
			for (unsigned i = 0; i < 24; i++)
				piece_submit(&m, &pieces[i], i, &seed);
			drv_device_stop(&m.drv);
			CU_ASSERT_EQUAL(vio_device_status(m.dev), 0);
			/* The whole of guest memory belongs to the driver again. */
			where = drv_mem_alloc(&m.rig.mem, 4096, 4096);
			CU_ASSERT_NOT_EQUAL(where, DRV_NO_GPA);
			for (unsigned i = 0; i < 24; i++)
				drv_blk_forget(&m.blk, &pieces[i].req);
		}
		machine_start(&m);
		CU_ASSERT_EQUAL(drv_blk_flush(&m.blk), VIRTIO_BLK_S_OK);
		machine_close(&m);
	}
	free(pieces);
}

/* The null engine keeps nothing, and touches the reader's buffer only if it shall. */
static void on_null_done(struct vio_io *io)
{
	(void)io;
}

static void on_null_drained(struct vio_channel *ch)
{
	++*(unsigned *)ch->user;
}

static void null_reads(enum vio_null_fill fill, uint8_t want)
{
	uint8_t data[1024];
	struct iovec iov[] = {{data, 512}, {NULL, 0}, {data + 512, 512}};
	struct vio_io io = {
		.length = sizeof(data), .iov = iov, .n_iov = 3, .result = 1, .done = on_null_done};
	struct vio_storage *st = NULL;
	struct vio_channel *ch = NULL;
	unsigned drained = 0;

	memset(data, 0x5c, sizeof(data));
	MUST(vio_storage_null_open(1 << 20, fill, &st));
	MUST(vio_channel_attach(st, NULL, on_null_drained, &drained, &ch));
	io.op = VIO_IO_WRITE;
	vio_channel_submit(ch, &io);
	io.op = VIO_IO_READ;
	vio_channel_submit(ch, &io);
	vio_channel_commit(ch);
	CU_ASSERT_EQUAL(io.result, 0);
	CU_ASSERT_EQUAL(drained, 1);
	for (unsigned i = 0; i < sizeof(data); i++)
		CU_ASSERT_EQUAL(data[i], want);
	vio_channel_detach(ch);
	vio_storage_close(st);
}

static void test_null(void)
{
	struct vio_storage *st = NULL;

	null_reads(VIO_NULL_ZEROES, 0);
	null_reads(VIO_NULL_NONE, 0x5c);
	CU_ASSERT_EQUAL(vio_storage_null_open(1000, VIO_NULL_ZEROES, &st), -EINVAL);
}

/* A back-end's mapping of queues to threads must not change results: 3 queues on 1, 2, 3 threads.
 */
static void test_threads_come_and_go(void)
{
	struct vio_iothread_config cfg = {.cpu = 0, .poll_us = 5, .name = "a-name-that-is-long"};
	struct vio_iothread *iot;
	struct vio_backend *be;

	for (int i = 0; i < 50; i++) {
		MUST(vio_iothread_create(&cfg, &iot));
		MUST(vio_backend_iothread_create(&iot, 1, &be));
		vio_backend_destroy(be);
		vio_iothread_destroy(iot);
	}
	cfg.cpu = 100000;
	CU_ASSERT_EQUAL(vio_iothread_create(&cfg, &iot), -EINVAL);
	CU_ASSERT_EQUAL(vio_backend_iothread_create(&iot, 0, &be), -EINVAL);
	vio_iothread_destroy(NULL);
}

static CU_TestInfo tests[] = {
	{"every engine on every loop keeps every byte", test_load_everywhere},
	{"discard and write-zeroes on every engine", test_ranges},
	{"an image that shrinks gives errors", test_image_shrinks},
	{"reset with requests in flight", test_reset_under_load},
	{"null", test_null},
	{"IO threads come and go", test_threads_come_and_go},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("engines", tests);
}
