/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a vhost-user front-end hands over: memory and its changes; and the sockets it comes through.
 */
#include "vhost_fe.h"

/* ---- memory ------------------------------------------------------------------------------------
 */

static void test_mem_table_changes(void)
{
	const uint64_t third = RAM_GPA + 2 * RAM_BYTES;
	struct fix f;
	struct fe fe;

	pair_start(&f, &fe);
	MUST(drv_mem_add(&fe.mem, third, RAM_BYTES));
	CU_ASSERT_EQUAL(fe_table(&fe, 3), 0);
	CU_ASSERT_TRUE(fe_works_at(&fe, 0, 1, third + 4096));
	CU_ASSERT_EQUAL(fe_table(&fe, 2), 0);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 2));
	/* again and again the same: nothing is lost */
	for (int i = 0; i < 10; i++) {
		CU_ASSERT_EQUAL(fe_table(&fe, i % 2 ? 3 : 1), 0);
		CU_ASSERT_TRUE(fe_works(&fe, 0, (uint8_t)i));
	}
	CU_ASSERT_EQUAL(f.warnings, 0);
	/* A buffer in memory that is gone is a driver fault. */
	CU_ASSERT_EQUAL(fe_table(&fe, 2), 0);
	fe_submit(&fe, 0, VIRTIO_BLK_T_IN, 0, third);
	CU_ASSERT_FALSE(fe_used(&fe, 0));
	CU_ASSERT_TRUE(vio_device_failed(f.dev));
	pair_close(&fe);
}

static void test_mem_slots(void)
{
	const uint64_t third = RAM_GPA + 2 * RAM_BYTES;
	struct fix f;
	struct fe fe;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(fe_begin(&fe, F_BASIC | F_PROTOCOL, P_ALL), 0);
	CU_ASSERT_EQUAL(fe_slot(&fe, VIO_VHOST_REM_MEM_REG, 0), 0);
	CU_ASSERT_EQUAL(fe_slot(&fe, VIO_VHOST_REM_MEM_REG, 1), 0);
	CU_ASSERT_EQUAL(fe_ring(&fe, 0, 0), 0);
	CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_ENABLE, 0, 1), 0);
	CU_ASSERT_EQUAL(fe_slot(&fe, VIO_VHOST_ADD_MEM_REG, 0), 0);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	MUST(drv_mem_add(&fe.mem, third, RAM_BYTES));
	CU_ASSERT_EQUAL(fe_slot(&fe, VIO_VHOST_ADD_MEM_REG, 2), 0);
	CU_ASSERT_TRUE(fe_works_at(&fe, 0, 2, third));
	CU_ASSERT_EQUAL(fe_slot(&fe, VIO_VHOST_REM_MEM_REG, 2), 0);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 3));
	CU_ASSERT_EQUAL(f.warnings, 0);
	pair_close(&fe);
}

/* QEMU 7.2 sends each of them once for every pair of queues of a network card. */
static void test_mem_slots_again(void)
{
	const uint64_t third = RAM_GPA + 2 * RAM_BYTES;
	struct fix f;
	struct fe fe;

	pair_start(&f, &fe);
	MUST(drv_mem_add(&fe.mem, third, RAM_BYTES));
	for (int round = 0; round < 2 * VIO_VHOST_USER_MAX_SLOTS; round++) {
		CU_ASSERT_EQUAL(fe_slot(&fe, VIO_VHOST_ADD_MEM_REG, 2), 0);
		CU_ASSERT_EQUAL(fe_slot(&fe, VIO_VHOST_ADD_MEM_REG, 0), 0);
	}
	CU_ASSERT_TRUE(fe_works_at(&fe, 0, 1, third));
	CU_ASSERT_EQUAL(fe_slot(&fe, VIO_VHOST_REM_MEM_REG, 2), 0);
	CU_ASSERT_EQUAL(fe_slot(&fe, VIO_VHOST_REM_MEM_REG, 2), 0);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 2));
	CU_ASSERT_EQUAL(f.warnings, 0);
	/* The first time it was really gone. */
	fe_submit(&fe, 0, VIRTIO_BLK_T_IN, 0, third);
	CU_ASSERT_FALSE(fe_used(&fe, 0));
	CU_ASSERT_TRUE(vio_device_failed(f.dev));
	pair_close(&fe);
}

/* The rings' memory goes: the device fails, is told of everywhere, and can be set up again. */
static void test_ring_memory_removed(void)
{
	struct fix f;
	struct fe fe;

	pair_start(&f, &fe);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	CU_ASSERT_EQUAL(fe_config_changes(&fe), 0);
	CU_ASSERT_EQUAL(fe_slot(&fe, VIO_VHOST_REM_MEM_REG, 0), 0);
	CU_ASSERT_TRUE(vio_device_failed(f.dev));
	CU_ASSERT_EQUAL(f.warnings, 1);
	CU_ASSERT_TRUE(fe_event(fe.err[0]));
	CU_ASSERT_EQUAL(fe_config_changes(&fe), 1);
	CU_ASSERT_EQUAL(fe_empty(&fe, VIO_VHOST_RESET_DEVICE), 0);
	CU_ASSERT_FALSE(vio_device_failed(f.dev));
	CU_ASSERT_EQUAL(fe_slot(&fe, VIO_VHOST_ADD_MEM_REG, 0), 0);
	drv_queue_clear(&fe.q[0]);
	CU_ASSERT_EQUAL(fe_ring(&fe, 0, 0), 0);
	CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_ENABLE, 0, 1), 0);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 2));
	pair_close(&fe);
}

/* The same guest memory at other addresses of the front-end, and the other way round. */
static void test_ring_moves(void)
{
	struct vio_vhost_msg m;
	struct fix f;
	struct fe fe;

	pair_start(&f, &fe);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	m = fe_table_msg(&fe, 1);
	m.u.table.region[0].gpa += 0x40000000; /* the rings are elsewhere for the device */
	CU_ASSERT_EQUAL(fe_plain(&fe, &m), 0);
	fe.mem.region[0].gpa += 0x40000000;
	fe.buf += 0x40000000;
	CU_ASSERT_TRUE(fe_works(&fe, 0, 2));
	CU_ASSERT_EQUAL(f.warnings, 0);
	m = fe_table_msg(&fe, 1);
	m.u.table.region[0].uaddr += 0x40000000; /* the rings are nowhere */
	CU_ASSERT_EQUAL(fe_plain(&fe, &m), 0);
	CU_ASSERT_TRUE(vio_device_failed(f.dev));
	pair_close(&fe);
}

/* Offsets that are no multiple of the page size, as from User Mode Linux. */
static void test_odd_offsets(void)
{
	struct vio_vhost_msg m;
	struct fix f;
	struct fe fe;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(fe_u64(&fe, VIO_VHOST_SET_FEATURES, F_BASIC), 0);
	m = fe_table_msg(&fe, 1);
	m.u.table.region[0].offset = 48;
	m.u.table.region[0].gpa += 48;
	m.u.table.region[0].uaddr += 48;
	m.u.table.region[0].size -= 48 + 16;
	CU_ASSERT_EQUAL(fe_plain(&fe, &m), 0);
	CU_ASSERT_EQUAL(fe_ring(&fe, 1, 0), 0);
	CU_ASSERT_TRUE(fe_works(&fe, 1, 7));
	pair_close(&fe);
}

/* ---- sockets -----------------------------------------------------------------------------------
 */

static int listening_socket(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	MUST(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	MUST(listen(fd, 4));
	return fd;
}

static void test_passed_listener(void)
{
	struct vio_vhost_user_config cfg;
	struct fix f;

	fix_init(&f, false);
	cfg = fix_config(&f);
	cfg.path = NULL;
	cfg.fd = listening_socket(f.path);
	MUST(vio_vhost_user_create(f.dev, &cfg, &f.vu));
	CU_ASSERT_TRUE(next_is_served(&f));
	CU_ASSERT_TRUE(next_is_served(&f));
	unlink(f.path); /* whose file it is */
	fix_close(&f);
}

static void test_passed_connection(void)
{
	struct vio_vhost_user_config cfg;
	struct fix f;
	struct fe fe;
	int pair[2];

	fix_init(&f, false);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	cfg = fix_config(&f);
	cfg.path = NULL;
	cfg.fd = pair[1];
	MUST(vio_vhost_user_create(f.dev, &cfg, &f.vu));
	fe_open_sock(&fe, &f, pair[0]);
	CU_ASSERT_EQUAL(f.connects, 1);
	CU_ASSERT_EQUAL(fe_start(&fe), 0);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	fe_close(&fe);
	CU_ASSERT_EQUAL(f.disconnects, 1);
	fix_close(&f);
}

static void test_socket_file(void)
{
	struct vio_vhost_user_config cfg;
	struct vio_vhost_user *other;
	struct vio_device *second;
	struct vio_device_env env = {.name = "second"};
	struct vio_blk_config blk = {0};
	struct stat st;
	struct fix f;
	int fd;

	fix_init(&f, false);
	cfg = fix_config(&f);
	cfg.path = "/tmp/a-path-that-is-longer-than-what-fits-into-the-address-of-a-unix-socket-"
		   "which-is-a-hundred-and-seven-bytes-of-name";
	CU_ASSERT_EQUAL(vio_vhost_user_create(f.dev, &cfg, &f.vu), -ENAMETOOLONG);
	cfg.path = NULL;
	cfg.fd = -1;
	CU_ASSERT_EQUAL(vio_vhost_user_create(f.dev, &cfg, &f.vu), -EINVAL);
	/* a file that is no socket stays */
	cfg = fix_config(&f);
	fd = open(f.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	CU_ASSERT_EQUAL(vio_vhost_user_create(f.dev, &cfg, &f.vu), -EADDRINUSE);
	unlink(f.path);
	/* a socket that nobody listens on goes */
	close(listening_socket(f.path));
	cfg.mode = 0640;
	cfg.set_owner = true;
	cfg.uid = getuid();
	cfg.gid = (gid_t)-1;
	CU_ASSERT_EQUAL(vio_vhost_user_create(f.dev, &cfg, &f.vu), 0);
	CU_ASSERT_EQUAL(stat(f.path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode, S_IFSOCK | 0640);
	CU_ASSERT_EQUAL(vio_vhost_user_create(f.dev, &cfg, &other), -EBUSY);
	/* one that somebody listens on stays */
	env.backend = f.backend;
	blk.storage = f.storage;
	MUST(vio_blk_create(&env, &blk, &second));
	CU_ASSERT_EQUAL(vio_vhost_user_create(second, &cfg, &other), -EADDRINUSE);
	vio_device_destroy(second);
	fix_close(&f);
}

/* Two devices in one process, each with its front-end. */
static void test_two_servers(void)
{
	struct vio_vhost_user_config cfg;
	struct vio_vhost_user *vu;
	struct vio_storage *st;
	struct vio_device *second;
	struct vio_device_env env = {.name = "second"};
	struct vio_blk_config blk = {0};
	struct fix f;
	struct fe a, b;
	char path[80];

	fix_open(&f, false);
	MUST(vio_storage_memory_open(DISK_BYTES, &st));
	env.backend = f.backend;
	blk.storage = st;
	MUST(vio_blk_create(&env, &blk, &second));
	cfg = fix_config(&f);
	snprintf(path, sizeof(path), "%s2", f.path);
	cfg.path = path;
	MUST(vio_vhost_user_create(second, &cfg, &vu));
	fe_open(&a, &f);
	fe_open_sock(&b, &f, fe_socket(path));
	CU_ASSERT_EQUAL(fe_start(&a), 0);
	CU_ASSERT_EQUAL(fe_start(&b), 0);
	for (uint8_t i = 0; i < 8; i++) {
		CU_ASSERT_TRUE(fe_works(&a, 0, i));
		CU_ASSERT_TRUE(fe_works(&b, 0, (uint8_t)(100 + i)));
	}
	CU_ASSERT_EQUAL(fe_u64(&a, 999, 0), FE_CLOSED);
	CU_ASSERT_TRUE(fe_works(&b, 0, 50));
	fe_close(&a);
	fe_close(&b);
	vio_vhost_user_destroy(vu);
	vio_device_destroy(second);
	vio_storage_close(st);
	fix_close(&f);
}

/* The server goes while a front-end is connected and its ring runs. */
static void test_destroy_connected(void)
{
	struct fix f;
	struct fe fe;

	pair_start(&f, &fe);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	vio_vhost_user_destroy(f.vu);
	f.vu = NULL;
	CU_ASSERT_EQUAL(f.disconnects, 1);
	CU_ASSERT_EQUAL(fe_u64(&fe, VIO_VHOST_SET_FEATURES, F_BASIC), FE_CLOSED);
	pair_close(&fe);
}

#define TEST(name)                                                                                 \
	{                                                                                          \
#name, test_##name                                                                 \
	}

int main(void)
{
	CU_TestInfo tests[] = {
		TEST(mem_table_changes),   TEST(mem_slots),	    TEST(mem_slots_again),
		TEST(ring_memory_removed), TEST(ring_moves),	    TEST(odd_offsets),
		TEST(passed_listener),	   TEST(passed_connection), TEST(socket_file),
		TEST(two_servers),	   TEST(destroy_connected), CU_TEST_INFO_NULL,
	};

	return suite_run("vhost_user_mem", tests);
}
