/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In-flight areas that are refused: numbers, descriptors and files that do not fit, and contents
 * that no server would have left.
 */
#include "vhost_areas.h"

/* ---- refusals ----------------------------------------------------------------------------------
 */

static void refused(struct fix *f, struct fe *fe, int r, const char *why)
{
	CU_ASSERT_EQUAL(r, FE_CLOSED);
	CU_ASSERT_EQUAL(f->warnings, 1);
	if (!strstr(f->last, why))
		printf("not \"%s\": %s\n", why, f->last);
	CU_ASSERT_PTR_NOT_NULL(strstr(f->last, why));
	CU_ASSERT_EQUAL(vio_device_status(f->dev), 0);
	fe_close(fe);
	CU_ASSERT_TRUE(next_is_served(f));
	fix_close(f);
}

static void test_refuses_counts(void)
{
	static const struct {
		uint16_t n_queues, queue_size;
		const char *why;
	} bad[] = {
		{0, 64, "of no rings"},		{N_QUEUES + 1, 64, "too many"},
		{0xffff, 64, "too many"},	{0x8000, 0x8000, "too many"},
		{1, 0, "power of two"},		{1, 3, "power of two"},
		{1, 63, "power of two"},	{1, 512, "too large rings"},
		{1, 0x8000, "too large rings"}, {1, 0xffff, "power of two"},
		{0, 0, "of no rings"},
	};

	for (size_t i = 0; i < VIO_ARRAY_LEN(bad); i++) {
		struct vio_vhost_inflight d = {
			.mmap_size = RAM_BYTES, 0, bad[i].n_queues, bad[i].queue_size};
		struct fix f;
		struct fe fe;

		fix_open(&f, false);
		fe_open(&fe, &f);
		CU_ASSERT_EQUAL(fe_start(&fe), 0);
		refused(&f, &fe, fe_get_inflight(&fe, d.n_queues, d.queue_size, &d), bad[i].why);

		fix_open(&f, false);
		fe_open(&fe, &f);
		CU_ASSERT_EQUAL(fe_start(&fe), 0);
		refused(&f, &fe, fe_set_inflight(&fe, &d, fe.mem.region[0].fd), bad[i].why);
	}
}

/* Two areas of 64 are 2 * 1088 bytes; the file has RAM_BYTES. */
static void test_refuses_sizes(void)
{
	static const struct {
		uint64_t size, offset;
		const char *why;
	} bad[] = {
		{0, 0, "larger than what is to be mapped"},
		{2 * 1088 - 1, 0, "larger than what is to be mapped"},
		{1088, 1088, "larger than what is to be mapped"},
		{2 * 1088, 1, "misaligned"},
		{2 * 1088, 4, "misaligned"},
		{2 * 1088, RAM_BYTES - 2 * 1088 + 8, "shorter"},
		{2 * 1088, RAM_BYTES, "shorter"},
		{RAM_BYTES + 1, 0, "shorter"},
		{RAM_BYTES, 8, "shorter"},
		{UINT64_MAX, 0, "shorter"},
		{UINT64_MAX, 8, "shorter"},
		{UINT64_MAX - 7, 8, "shorter"},
		{2 * 1088, UINT64_MAX - 7, "shorter"},
		{2 * 1088, UINT64_MAX - 2 * 1088 + 1, "shorter"},
		{2 * 1088, BIT64(63), "shorter"},
		{BIT64(63), BIT64(63), "shorter"},
	};

	for (size_t i = 0; i < VIO_ARRAY_LEN(bad); i++) {
		struct vio_vhost_inflight d = {bad[i].size, bad[i].offset, 2, RING_SIZE};
		struct fix f;
		struct fe fe;

		fix_open(&f, false);
		fe_open(&fe, &f);
		CU_ASSERT_EQUAL(fe_start(&fe), 0);
		refused(&f, &fe, fe_set_inflight(&fe, &d, fe.mem.region[0].fd), bad[i].why);
	}
}

/* Whatever a front-end has: each is no file, or one that is too short. */
static int bad_file(unsigned i, const char **why)
{
	int fd = -1, p[2];

	*why = "memory is not a file";
	switch (i) {
	case 0:
		return eventfd(0, EFD_CLOEXEC);
	case 1:
		MUST(pipe2(p, O_CLOEXEC));
		close(p[0]);
		return p[1];
	case 2:
		return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	case 3:
		return open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	case 4:
		return open("/dev/zero", O_RDWR | O_CLOEXEC);
	case 5:
		*why = "shorter";
		fd = memfd_create("short", MFD_CLOEXEC);
		MUST(ftruncate(fd, 1087));
		return fd;
	case 6:
		*why = "cannot be mapped";
		fd = memfd_create("fixed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		MUST(ftruncate(fd, 4096));
		MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
		return fd;
	default:
		*why = "wrong number of descriptors";
		return -1;
	}
}

static void test_refuses_files(void)
{
	const struct vio_vhost_inflight d = {1088, 0, 1, RING_SIZE};

	for (unsigned i = 0; i < 8; i++) {
		const char *why;
		struct fix f;
		struct fe fe;
		int fd, r;

		fix_open(&f, false);
		fe_open(&fe, &f);
		CU_ASSERT_EQUAL(fe_start(&fe), 0);
		fd = bad_file(i, &why);
		r = fe_set_inflight(&fe, &d, fd);
		if (fd >= 0)
			close(fd);
		refused(&f, &fe, r, why);
	}
}

static void test_sealed_only(void)
{
	struct vio_vhost_user_config cfg;
	struct areas a;
	struct fix f;
	struct fe fe;

	fix_init(&f, false);
	cfg = fix_config(&f);
	cfg.sealed_only = true;
	MUST(vio_vhost_user_create(f.dev, &cfg, &f.vu));
	fe_open(&fe, &f);
	CU_ASSERT_EQUAL(fe_u64(&fe, VIO_VHOST_SET_PROTOCOL_FEATURES, P_ALL), 0);
	areas_get(&a, &fe, 1, 64); /* ours is sealed */
	CU_ASSERT_EQUAL(set(&fe, &a), 0);
	areas_free(&a);
	areas_make(&a, 1, 64, 0);
	CU_ASSERT_EQUAL(set(&fe, &a), FE_CLOSED);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.last, "not sealed"));
	areas_free(&a);
	pair_close(&fe);
}

/* Areas that do not fit the ring, or are not understood. */
static void test_refuses_rings(void)
{
	static const struct {
		uint16_t queue_size, version, desc_num;
		const char *why; /* NULL: fine */
	} cases[] = {
		{RING_SIZE, 0, 0, NULL},
		{RING_SIZE, 1, RING_SIZE, NULL},
		{RING_SIZE * 2, 0, 0, NULL},
		{RING_SIZE / 2, 0, 0, NULL}, /* untracked */
		{1, 0, 0, NULL},
		{RING_SIZE, 1, RING_SIZE / 2, "another version or ring size"},
		{RING_SIZE, 1, 0, "another version or ring size"},
		{RING_SIZE, 2, RING_SIZE, "another version or ring size"},
		{RING_SIZE, 0xffff, RING_SIZE, "another version or ring size"},
	};

	for (size_t i = 0; i < VIO_ARRAY_LEN(cases); i++) {
		for (int running = 0; running < 2; running++) {
			struct areas a;
			struct fix f;
			struct fe fe;
			int r;

			fix_open(&f, false);
			fe_open(&fe, &f);
			CU_ASSERT_EQUAL(running ? fe_start(&fe) : begin(&fe), 0);
			areas_make(&a, N_QUEUES, cases[i].queue_size, 0);
			area(&a, 0)->version = cases[i].version;
			area(&a, 0)->desc_num = cases[i].desc_num;
			r = set(&fe, &a);
			r = r || running ? r : ring(&fe, 0, 0);
			areas_free(&a);
			if (cases[i].why) {
				refused(&f, &fe, r, cases[i].why);
				continue;
			}
			CU_ASSERT_EQUAL(r, 0);
			CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
			fe_close(&fe);
			fix_close(&f);
		}
	}
}

/* Any contents, while the ring runs and before: the front-end harms its own guest only. */
static void test_hostile_contents(void)
{
	unsigned state = 1;
	struct areas a;
	struct fix f;
	struct fe fe;

	for (unsigned round = 0; round < 300; round++) {
		fix_open(&f, false);
		fe_open(&fe, &f);
		CU_ASSERT_EQUAL(begin(&fe), 0);
		areas_make(&a, N_QUEUES, RING_SIZE, 0);
		for (unsigned i = 0; i < a.d.mmap_size; i++) {
			state = state * 1664525u + 1013904223u;
			((uint8_t *)a.map)[i] = (uint8_t)(state >> 24);
		}
		area(&a, 0)->version = round % 2;
		area(&a, 0)->desc_num = RING_SIZE;
		if (set(&fe, &a) == 0 && ring(&fe, 0, 0) == 0) {
			fe_submit(&fe, 0, VIRTIO_BLK_T_OUT, 0, fe.buf + 4096);
			fe_turn(&fe);
			memset(a.map, (int)round, a.d.mmap_size);
			fe_submit(&fe, 0, VIRTIO_BLK_T_OUT, 0, fe.buf + 4096);
			fe_turn(&fe);
		}
		areas_free(&a);
		fe_close(&fe);
		CU_ASSERT_TRUE(next_is_served(&f));
		fix_close(&f);
	}
}

static CU_TestInfo tests[] = {
	{"refused: counts", test_refuses_counts},
	{"refused: sizes and offsets", test_refuses_sizes},
	{"refused: descriptors", test_refuses_files},
	{"refused: files that may shrink", test_sealed_only},
	{"refused: areas that do not fit the ring", test_refuses_rings},
	{"any contents", test_hostile_contents},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("vhost-user in-flight areas, refused", tests);
}
