/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user server with front-ends that set up rings wrong, go away, or take their memory with
 * them; as in test_vhost_user_hostile.c.
 */
#include <signal.h>
#include <sys/mman.h>

#include "vhost_fe.h"

/* ---- rings -------------------------------------------------------------------------------------
 */

/* rust-vmm 2bba1c8, 7f326dd, 1d2368e, 8c00b88: every order, and no kick is lost. */
static void test_4_6_ring_states(void)
{
	struct fix f;
	struct fe fe;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(fe_begin(&fe, F_BASIC | F_PROTOCOL, P_ALL), 0);
	/* asked before anything was set */
	CU_ASSERT_EQUAL(fe_get_base(&fe, 0), 0);
	/* kicked before it is enabled: served once it is, without another kick */
	CU_ASSERT_EQUAL(fe_ring(&fe, 0, 0), 0);
	fe_submit(&fe, 0, VIRTIO_BLK_T_IN, 0, fe.buf + 4096);
	CU_ASSERT_FALSE(fe_used(&fe, 0));
	CU_ASSERT_TRUE(fe_event(fe.kick[0])); /* take the kick away: it must not matter */
	CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_ENABLE, 0, 1), 0);
	CU_ASSERT_TRUE(fe_used(&fe, 0));
	/* disabled and enabled again, also twice */
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_ENABLE, 0, 0), 0);
		CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_ENABLE, 0, 0), 0);
		fe_submit(&fe, 0, VIRTIO_BLK_T_IN, 0, fe.buf + 4096);
		CU_ASSERT_FALSE(fe_used(&fe, 0));
		CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_ENABLE, 0, 1), 0);
		CU_ASSERT_TRUE(fe_used(&fe, 0));
		CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_ENABLE, 0, 1), 0);
	}
	/* stopped: enabling does not start it, nor does its old kick descriptor */
	CU_ASSERT_EQUAL(fe_get_base(&fe, 0), 4);
	fe_submit(&fe, 0, VIRTIO_BLK_T_IN, 0, fe.buf + 4096);
	fe_kick(&fe, 0);
	CU_ASSERT_FALSE(fe_used(&fe, 0));
	CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_ENABLE, 0, 0), 0);
	CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_ENABLE, 0, 1), 0);
	CU_ASSERT_FALSE(fe_used(&fe, 0));
	CU_ASSERT_EQUAL(fe_get_base(&fe, 0), 4);
	CU_ASSERT_EQUAL(fe_fd(&fe, VIO_VHOST_SET_VRING_KICK, 0, fe.kick[0]), 0);
	CU_ASSERT_TRUE(fe_used(&fe, 0));
	/* another kick descriptor while it runs */
	CU_ASSERT_EQUAL(fe_fd(&fe, VIO_VHOST_SET_VRING_KICK, 0, fe.kick[1]), 0);
	fe_submit(&fe, 0, VIRTIO_BLK_T_IN, 0, fe.buf + 4096);
	CU_ASSERT_FALSE(fe_used(&fe, 0)); /* that was the old one */
	fe_kick(&fe, 1);
	CU_ASSERT_TRUE(fe_used(&fe, 0));
	CU_ASSERT_EQUAL(f.warnings, 0);
	pair_close(&fe);
}

static int kick_poll(struct fe *fe)
{
	return fe_fd(fe, VIO_VHOST_SET_VRING_KICK, 0, -1);
}

static int kick_file(struct fe *fe)
{
	return fe_fd(fe, VIO_VHOST_SET_VRING_KICK, 0, fe->mem.region[0].fd);
}

/* Readable for ever. */
static int kick_closed_pipe(struct fe *fe)
{
	int p[2], r;

	MUST(pipe2(p, O_CLOEXEC));
	close(p[1]);
	r = fe_fd(fe, VIO_VHOST_SET_VRING_KICK, 0, p[0]);
	close(p[0]);
	return r;
}

static int call_file(struct fe *fe)
{
	return fe_fd(fe, VIO_VHOST_SET_VRING_CALL, 0, fe->mem.region[0].fd);
}

static int addr_outside(struct fe *fe)
{
	struct vio_vhost_msg m = fe_addr_msg(fe, 0);

	m.u.addr.used += (uint64_t)1 << 50;
	return fe_plain(fe, &m);
}

static int addr_behind(struct fe *fe)
{
	struct vio_vhost_msg m = fe_addr_msg(fe, 0);

	m.u.addr.desc = fe_uaddr(fe, RAM_GPA + RAM_BYTES - 16);
	return fe_plain(fe, &m);
}

static int addr_odd(struct fe *fe)
{
	struct vio_vhost_msg m = fe_addr_msg(fe, 0);

	m.u.addr.avail++;
	return fe_plain(fe, &m);
}

static void test_rings(void)
{
	check_closed("polling", true, kick_poll);
	check_closed("kick file", true, kick_file);
	check_closed("kick pipe", true, kick_closed_pipe);
	check_closed("call file", true, call_file);
	check_closed("address outside", true, addr_outside);
	check_closed("ring behind the end", true, addr_behind);
	check_closed("odd address", true, addr_odd);
}

/* A base far from the driver's index is a driver fault, nothing worse. */
static void test_wrong_base(void)
{
	struct fix f;
	struct fe fe;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(fe_begin(&fe, F_BASIC, 0), 0);
	CU_ASSERT_EQUAL(fe_ring(&fe, 0, 12345), 0);
	fe_turn(&fe);
	CU_ASSERT_TRUE(vio_device_failed(f.dev));
	CU_ASSERT_TRUE(fe_event(fe.err[0]));
	fe_close(&fe);
	CU_ASSERT_TRUE(next_is_served(&f));
	fix_close(&f);
}

/* ---- going away --------------------------------------------------------------------------------
 */

/* In the middle of a message, of a header, after a header with descriptors. */
static void test_dies_in_message(void)
{
	struct vio_vhost_msg m;
	struct fix f;

	fix_open(&f, false);
	for (size_t cut = 1; cut < 20; cut += 5) {
		struct fe fe;
		char bytes[20] = {0};

		fe_open(&fe, &f);
		m = fe_msg(VIO_VHOST_SET_VRING_KICK, 8);
		memcpy(bytes, &m.hdr, 12);
		CU_ASSERT_EQUAL(send(fe.sock, bytes, cut, 0), (ssize_t)cut);
		fe_turn(&fe);
		fe_close(&fe);
	}
	CU_ASSERT_EQUAL(f.disconnects, 4);
	CU_ASSERT_TRUE(next_is_served(&f));
	fix_close(&f);
}

/* A front-end that asks and never reads the answers. */
static void test_never_reads(void)
{
	struct vio_vhost_msg m = fe_msg(VIO_VHOST_GET_FEATURES, 0);
	struct fix f;
	struct fe fe;
	int r = 0;

	pair_open(&f, &fe);
	for (int i = 0; i < 100000 && r == 0; i++) {
		r = fe_send(&fe, &m);
		fe_turn(&fe);
	}
	CU_ASSERT_EQUAL(f.disconnects, 1);
	CU_ASSERT_EQUAL(f.warnings, 1);
	fe_close(&fe);
	CU_ASSERT_TRUE(next_is_served(&f));
	fix_close(&f);
}

/* The log does not grow with every front-end that fails. */
static void test_log_is_bounded(void)
{
	struct fix f;

	fix_open(&f, false);
	for (int i = 0; i < 100; i++) {
		struct fe fe = {.f = &f, .backend_sock = -1};

		fe.sock = fe_socket(f.path);
		fe_turn(&fe);
		CU_ASSERT_EQUAL(fe_u64(&fe, 999, 0), FE_CLOSED);
		close(fe.sock);
	}
	CU_ASSERT_EQUAL(f.disconnects, 100);
	CU_ASSERT_TRUE(f.warnings < 20);
	fix_close(&f);
}

/* The driver's side of a queue under load, for as long as a test wants. */
struct load {
	struct fe *fe;
	pthread_t thread;
	_Atomic bool end;
};

static void *load_main(void *arg)
{
	struct load *l = arg;
	struct fe *fe = l->fe;
	struct drv_used u;

	while (!l->end) {
		if (fe->q[0].n_free >= 3)
			fe_submit(fe, 0, VIRTIO_BLK_T_OUT, 8, fe->buf + 4096);
		while (drv_queue_get(&fe->q[0], &u) == 1)
			;
	}
	return NULL;
}

static void load_start(struct load *l, struct fe *fe)
{
	*l = (struct load){.fe = fe};
	MUST(-pthread_create(&l->thread, NULL, load_main, l));
}

static void load_end(struct load *l)
{
	l->end = true;
	pthread_join(l->thread, NULL);
}

static void turn_for(struct fe *fe, int ms)
{
	for (int i = 0; i < ms; i++)
		vio_loop_manual_run(fe->f->loop, 1);
}

/* DPDK 73ea44370d, 21d9fb6bad, 3c929a0bb3: disconnects while another thread serves the queue. */
static void test_4_6_disconnect_under_load(void)
{
	struct fix f;

	fix_open(&f, true);
	for (int i = 0; i < 20; i++) {
		struct load l;
		struct fe fe;

		fe_open(&fe, &f);
		CU_ASSERT_EQUAL(fe_start(&fe), 0);
		load_start(&l, &fe);
		turn_for(&fe, 3);
		if (i % 2)
			fe_disconnect(&fe);
		else
			CU_ASSERT_EQUAL(fe_u64(&fe, 999, 0), FE_CLOSED);
		load_end(&l);
		fe_close(&fe);
	}
	CU_ASSERT_EQUAL(f.disconnects, 20);
	fix_close(&f);
}

/* Everything that may change while a queue runs does, while it runs on another thread. */
static void test_changes_under_load(void)
{
	struct fix f;
	struct fe fe;
	struct load l;

	fix_open(&f, true);
	fe_open(&fe, &f);
	CU_ASSERT_EQUAL(fe_start(&fe), 0);
	load_start(&l, &fe);
	for (int i = 0; i < 100; i++) {
		CU_ASSERT_EQUAL(
			fe_fd(&fe, VIO_VHOST_SET_VRING_CALL, 0, i % 3 ? fe.call[i % 3] : -1), 0);
		CU_ASSERT_EQUAL(fe_table(&fe, 1 + i % 2), 0);
		CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_ENABLE, 0, i % 2), 0);
		CU_ASSERT_EQUAL(fe_fd(&fe, VIO_VHOST_SET_VRING_KICK, 0, fe.kick[0]), 0);
		if (i % 10 == 5) {
			struct vio_vhost_inflight d;

			close(fe_get_inflight(&fe, N_QUEUES, RING_SIZE, &d));
		}
		if (i % 10 == 0) { /* from eventfd to pipe and back */
			int p[2];

			MUST(pipe2(p, O_CLOEXEC));
			CU_ASSERT_EQUAL(fe_fd(&fe, VIO_VHOST_SET_VRING_CALL, 0, p[1]), 0);
			close(p[0]);
			close(p[1]);
			turn_for(&fe, 1);
		}
	}
	CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_ENABLE, 0, 1), 0);
	turn_for(&fe, 5);
	load_end(&l);
	CU_ASSERT_EQUAL(f.warnings, 0);
	pair_close(&fe);
}

/* ---- memory that is taken away -----------------------------------------------------------------
 */

static struct vio_vhost_user_guard *guard;

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (info->si_code > 0 && vio_vhost_user_guard_fault(guard, info->si_addr))
		return;
	signal(sig, SIG_DFL);
	raise(sig);
}

/* The device's own ring memory, or only what requests point to. */
static void check_shrink(unsigned region, bool thread)
{
	struct sigaction sa = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO}, old;
	struct vio_vhost_user_config cfg;
	struct fix f;
	struct fe fe;

	fix_init(&f, thread);
	MUST(vio_vhost_user_guard_create(8, &guard));
	sigaction(SIGBUS, &sa, &old);
	cfg = fix_config(&f);
	cfg.guard = guard;
	MUST(vio_vhost_user_create(f.dev, &cfg, &f.vu));
	fe_open(&fe, &f);
	CU_ASSERT_EQUAL(fe_start(&fe), 0);
	CU_ASSERT_EQUAL(f.warnings, 0);
	MUST(ftruncate(fe.mem.region[region].fd, 0));
	if (region == 1)
		fe_submit(&fe, 0, VIRTIO_BLK_T_OUT, 0, RAM_GPA + RAM_BYTES);
	else
		fe_kick(&fe, 0); /* our own view of the ring is gone as well */
	for (int i = 0; i < 500 && f.disconnects == 0; i++)
		vio_loop_manual_run(f.loop, 10);
	CU_ASSERT_EQUAL(f.disconnects, 1);
	CU_ASSERT_EQUAL(f.warnings, 2); /* the device's fault, the front-end's error */
	fe_close(&fe);
	if (!thread)
		CU_ASSERT_TRUE(next_is_served(&f));
	fix_close(&f);
	sigaction(SIGBUS, &old, NULL);
	vio_vhost_user_guard_destroy(guard);
	guard = NULL;
}

static void test_4_6_memory_shrinks(void)
{
	check_shrink(0, false);
	check_shrink(1, false);
	check_shrink(0, true);
	check_shrink(1, true);
}

/* The file of the in-flight areas: hit by a request, or by the driver's reset. */
static void check_inflight_shrinks(bool thread, bool reset)
{
	struct sigaction sa = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO}, old;
	struct vio_vhost_inflight d = {
		.mmap_size = 65536, .n_queues = N_QUEUES, .queue_size = RING_SIZE};
	struct vio_vhost_user_config cfg;
	struct fix f;
	struct fe fe;
	int fd;

	fix_init(&f, thread);
	fd = memfd_create("front-end", MFD_CLOEXEC);
	MUST(ftruncate(fd, 65536));
	MUST(vio_vhost_user_guard_create(8, &guard));
	sigaction(SIGBUS, &sa, &old);
	cfg = fix_config(&f);
	cfg.guard = guard;
	MUST(vio_vhost_user_create(f.dev, &cfg, &f.vu));
	fe_open(&fe, &f);
	CU_ASSERT_EQUAL(fe_start(&fe), 0);
	CU_ASSERT_EQUAL(fe_set_inflight(&fe, &d, fd), 0);
	CU_ASSERT_EQUAL(f.warnings, 0);
	MUST(ftruncate(fd, 0));
	if (reset)
		fe_empty(&fe, VIO_VHOST_RESET_DEVICE);
	else
		fe_submit(&fe, 0, VIRTIO_BLK_T_OUT, 0, fe.buf + 4096);
	for (int i = 0; i < 500 && f.disconnects == 0; i++)
		vio_loop_manual_run(f.loop, 10);
	CU_ASSERT_EQUAL(f.disconnects, 1);
	fe_close(&fe);
	if (!thread)
		CU_ASSERT_TRUE(next_is_served(&f));
	close(fd);
	fix_close(&f);
	sigaction(SIGBUS, &old, NULL);
	vio_vhost_user_guard_destroy(guard);
	guard = NULL;
}

static void test_4_6_inflight_shrinks(void)
{
	check_inflight_shrinks(false, false);
	check_inflight_shrinks(true, false);
	check_inflight_shrinks(false, true);
}

/* An address that is nobody's, and a list that is full. */
static void test_guard(void)
{
	struct vio_vhost_user_config cfg;
	struct fix f;
	struct fe fe;
	int x = 0;

	fix_init(&f, false);
	MUST(vio_vhost_user_guard_create(1, &guard));
	CU_ASSERT_FALSE(vio_vhost_user_guard_fault(guard, &x));
	CU_ASSERT_FALSE(vio_vhost_user_guard_fault(NULL, &x));
	cfg = fix_config(&f);
	cfg.guard = guard;
	MUST(vio_vhost_user_create(f.dev, &cfg, &f.vu));
	for (int i = 0; i < 3; i++) {
		fe_open(&fe, &f);
		CU_ASSERT_EQUAL(fe_table(&fe, 1), 0);
		CU_ASSERT_EQUAL(fe_table(&fe, 2), FE_CLOSED);
		fe_close(&fe);
	}
	fix_close(&f);
	vio_vhost_user_guard_destroy(guard);
	guard = NULL;
}

static void test_sealed_only(void)
{
	struct vio_vhost_user_config cfg;
	struct vio_vhost_msg m;
	struct fix f;
	struct fe fe;
	int fd;

	fix_init(&f, false);
	cfg = fix_config(&f);
	cfg.sealed_only = true;
	MUST(vio_vhost_user_create(f.dev, &cfg, &f.vu));
	fe_open(&fe, &f);
	CU_ASSERT_EQUAL(fe_table(&fe, 1), FE_CLOSED);
	fe_close(&fe);
	fe_open(&fe, &f);
	fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	MUST(ftruncate(fd, RAM_BYTES));
	m = fe_table_msg(&fe, 1);
	m.fds[0] = fd;
	CU_ASSERT_EQUAL(fe_plain(&fe, &m), FE_CLOSED);
	fe_close(&fe);
	fe_open(&fe, &f);
	MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	m = fe_table_msg(&fe, 1);
	m.fds[0] = fd;
	CU_ASSERT_EQUAL(fe_plain(&fe, &m), 0);
	close(fd);
	pair_close(&fe);
}

#define TEST(name)                                                                                 \
	{                                                                                          \
#name, test_##name                                                                 \
	}

int main(void)
{
	CU_TestInfo tests[] = {
		TEST(4_6_ring_states),
		TEST(4_6_disconnect_under_load),
		TEST(4_6_memory_shrinks),
		TEST(rings),
		TEST(wrong_base),
		TEST(dies_in_message),
		TEST(never_reads),
		TEST(log_is_bounded),
		TEST(changes_under_load),
		TEST(4_6_inflight_shrinks),
		TEST(guard),
		TEST(sealed_only),
		CU_TEST_INFO_NULL,
	};

	return suite_run("vhost_user_hostile_rings", tests);
}
