/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user server with well-behaved front-ends. Those that are not are in
 * test_vhost_user_hostile.c.
 */
#include "vhost_fe.h"

/* ---- starting ----------------------------------------------------------------------------------
 */

static void test_init_and_io(void)
{
	const uint64_t p = P_ALL | P(STATUS);
	struct fix f;
	struct fe fe;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(fe_get(&fe, VIO_VHOST_GET_FEATURES) & (F_BASIC | F_PROTOCOL),
			F_BASIC | F_PROTOCOL);
	CU_ASSERT_EQUAL(fe_get(&fe, VIO_VHOST_GET_PROTOCOL_FEATURES) & p, p);
	CU_ASSERT_EQUAL(fe_get(&fe, VIO_VHOST_GET_QUEUE_NUM), N_QUEUES);
	CU_ASSERT_EQUAL(fe_start(&fe), 0);
	CU_ASSERT_EQUAL(fe_get(&fe, VIO_VHOST_GET_MAX_MEM_SLOTS), VIO_VHOST_USER_MAX_SLOTS);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	CU_ASSERT_TRUE(fe_works(&fe, 0, 2));
	CU_ASSERT_EQUAL(f.warnings, 0);
	CU_ASSERT_TRUE(vio_vhost_user_connected(f.vu));
	fe_close(&fe);
	CU_ASSERT_FALSE(vio_vhost_user_connected(f.vu));
	CU_ASSERT_EQUAL(f.connects, 1);
	CU_ASSERT_EQUAL(f.disconnects, 1);
	fix_close(&f);
}

/* Without protocol features rings start enabled. */
static void test_no_enable(void)
{
	struct fix f;
	struct fe fe;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(fe_begin(&fe, F_BASIC, 0), 0);
	CU_ASSERT_EQUAL(fe_ring(&fe, 0, 0), 0);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 3));
	pair_close(&fe);
}

/* User Mode Linux: bit 30 is there at first and not the second time. */
static void test_features_twice(void)
{
	struct fix f;
	struct fe fe;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(fe_begin(&fe, F_BASIC | F_PROTOCOL, P_ALL), 0);
	CU_ASSERT_EQUAL(fe_ring(&fe, 0, 0), 0);
	fe_submit(&fe, 0, VIRTIO_BLK_T_IN, 0, fe.buf + 4096);
	CU_ASSERT_FALSE(fe_used(&fe, 0)); /* not enabled */
	CU_ASSERT_EQUAL(fe_u64(&fe, VIO_VHOST_SET_FEATURES, F_BASIC), 0);
	CU_ASSERT_TRUE(fe_used(&fe, 0));
	CU_ASSERT_TRUE(fe_works(&fe, 0, 4));
	pair_close(&fe);
}

/* A ring starts when the last thing it needs arrives, whatever that is. */
static void test_any_order(void)
{
	struct fix f;
	struct fe fe;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_ENABLE, 0, 1), 0);
	CU_ASSERT_EQUAL(fe_u64(&fe, VIO_VHOST_SET_FEATURES, F_BASIC | F_PROTOCOL), 0);
	CU_ASSERT_EQUAL(fe_ring(&fe, 0, 0), 0);
	fe_submit(&fe, 0, VIRTIO_BLK_T_IN, 0, fe.buf + 4096);
	CU_ASSERT_FALSE(fe_used(&fe, 0));
	CU_ASSERT_EQUAL(fe_table(&fe, 2), 0);
	CU_ASSERT_TRUE(fe_used(&fe, 0));

	CU_ASSERT_EQUAL(fe_fd(&fe, VIO_VHOST_SET_VRING_KICK, 1, fe.kick[1]), 0);
	CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_ENABLE, 1, 1), 0);
	CU_ASSERT_EQUAL(fe_addr(&fe, 1), 0);
	fe_submit(&fe, 1, VIRTIO_BLK_T_IN, 0, fe.buf + 4096);
	CU_ASSERT_FALSE(fe_used(&fe, 1));
	CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_NUM, 1, RING_SIZE), 0);
	CU_ASSERT_TRUE(fe_used(&fe, 1));
	pair_close(&fe);
}

static void test_mq(void)
{
	struct fix f;
	struct fe fe;

	pair_start(&f, &fe);
	for (uint32_t i = 1; i < N_QUEUES; i++) {
		CU_ASSERT_EQUAL(fe_ring(&fe, i, 0), 0);
		CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_ENABLE, i, 1), 0);
	}
	for (uint32_t i = 0; i < N_QUEUES; i++)
		CU_ASSERT_TRUE(fe_works(&fe, i, (uint8_t)(10 + i)));
	/* One stops, the others go on. */
	CU_ASSERT_EQUAL(fe_get_base(&fe, 1), 2);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 20));
	CU_ASSERT_TRUE(fe_works(&fe, 2, 21));
	fe_submit(&fe, 1, VIRTIO_BLK_T_IN, 0, fe.buf + 4096);
	CU_ASSERT_FALSE(fe_used(&fe, 1));
	pair_close(&fe);
}

/* A header in two pieces, a payload byte by byte. */
static void test_partial_messages(void)
{
	struct vio_vhost_msg m = fe_msg(VIO_VHOST_SET_FEATURES, 8);
	struct fix f;
	struct fe fe;
	char bytes[20];

	pair_open(&f, &fe);
	m.u.u64 = F_BASIC;
	memcpy(bytes, &m.hdr, 12);
	memcpy(bytes + 12, &m.u, 8);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		CU_ASSERT_EQUAL(send(fe.sock, bytes + i, 1, 0), 1);
		fe_turn(&fe);
	}
	CU_ASSERT_NOT_EQUAL(vio_device_status(f.dev) & VIRTIO_CONFIG_S_FEATURES_OK, 0);
	pair_close(&fe);
}

static void test_reply_ack(void)
{
	struct vio_vhost_msg m = fe_msg(VIO_VHOST_SET_PROTOCOL_FEATURES, 8);
	struct fix f;
	struct fe fe;

	pair_open(&f, &fe);
	/* not negotiated: the flag means nothing */
	m.hdr.request = VIO_VHOST_SET_FEATURES;
	m.u.u64 = F_BASIC | F_PROTOCOL;
	CU_ASSERT_EQUAL(fe_acked(&fe, &m), FE_SILENT);
	/* the message that negotiates it may use it */
	m.hdr.request = VIO_VHOST_SET_PROTOCOL_FEATURES;
	m.u.u64 = P_ALL;
	CU_ASSERT_EQUAL(fe_acked(&fe, &m), 0);
	m = fe_table_msg(&fe, 2);
	CU_ASSERT_EQUAL(fe_acked(&fe, &m), 0);
	/* a failure is told before the connection is closed */
	m.u.table.region[0].size = RAM_BYTES * 2;
	CU_ASSERT_EQUAL(fe_acked(&fe, &m), 1);
	CU_ASSERT_EQUAL(fe_answer(&fe, &m), FE_CLOSED);
	pair_close(&fe);
}

/* ---- stopping and starting again ---------------------------------------------------------------
 */

static void test_reconnect(void)
{
	struct fix f;
	struct fe a, b;

	fix_open(&f, false);
	fe_open(&a, &f);
	CU_ASSERT_EQUAL(fe_start(&a), 0);
	CU_ASSERT_TRUE(fe_works(&a, 0, 5));
	/* The second one waits for its turn. */
	fe_open(&b, &f);
	CU_ASSERT_EQUAL(f.connects, 1);
	fe_close(&a);
	fe_turn(&b);
	CU_ASSERT_EQUAL(f.connects, 2);
	CU_ASSERT_EQUAL(fe_start(&b), 0);
	CU_ASSERT_TRUE(fe_works(&b, 0, 6));
	fe_close(&b);
	for (int i = 0; i < 20; i++)
		CU_ASSERT_TRUE(next_is_served(&f));
	CU_ASSERT_EQUAL(f.warnings, 0);
	fix_close(&f);
}

static void test_vring_base(void)
{
	struct fix f;
	struct fe fe;

	pair_start(&f, &fe);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	CU_ASSERT_TRUE(fe_works(&fe, 0, 2));
	CU_ASSERT_EQUAL(fe_get_base(&fe, 0), 4);
	/* stopped: no matter what */
	fe_submit(&fe, 0, VIRTIO_BLK_T_IN, 0, fe.buf + 4096);
	CU_ASSERT_FALSE(fe_used(&fe, 0));
	CU_ASSERT_EQUAL(fe_get_base(&fe, 0), 4);
	/* and on from there; the new kick descriptor alone starts it */
	CU_ASSERT_EQUAL(fe_fd(&fe, VIO_VHOST_SET_VRING_KICK, 0, fe.kick[0]), 0);
	CU_ASSERT_TRUE(fe_used(&fe, 0));
	CU_ASSERT_TRUE(fe_works(&fe, 0, 3));
	/* QEMU 7.2 sets status 0 before it asks */
	CU_ASSERT_EQUAL(fe_empty(&fe, VIO_VHOST_RESET_DEVICE), 0);
	CU_ASSERT_EQUAL(fe_get_base(&fe, 0), 7);
	CU_ASSERT_EQUAL(fe_ring(&fe, 0, 7), 0);
	CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_ENABLE, 0, 1), 0);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 4));
	pair_close(&fe);
}

static void test_reset_device(void)
{
	struct fix f;
	struct fe fe;

	pair_start(&f, &fe);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	CU_ASSERT_EQUAL(fe_empty(&fe, VIO_VHOST_RESET_DEVICE), 0);
	CU_ASSERT_EQUAL(vio_device_status(f.dev), 0);
	drv_queue_clear(&fe.q[0]);
	CU_ASSERT_EQUAL(fe_ring(&fe, 0, 0), 0);
	fe_submit(&fe, 0, VIRTIO_BLK_T_IN, 0, fe.buf + 4096);
	CU_ASSERT_FALSE(fe_used(&fe, 0)); /* enabling was reset, too */
	CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_ENABLE, 0, 1), 0);
	CU_ASSERT_TRUE(fe_used(&fe, 0));
	CU_ASSERT_TRUE(fe_works(&fe, 0, 2));
	pair_close(&fe);
}

/* The embedder resets the device under the front-end, which can set it up again. */
static void test_embedder_resets(void)
{
	struct fix f;
	struct fe fe;

	pair_start(&f, &fe);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	vio_device_reset(f.dev);
	fe_turn(&fe);
	drv_queue_clear(&fe.q[0]);
	CU_ASSERT_EQUAL(fe_u64(&fe, VIO_VHOST_SET_FEATURES, F_BASIC | F_PROTOCOL), 0);
	CU_ASSERT_EQUAL(fe_ring(&fe, 0, 0), 0);
	CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_ENABLE, 0, 1), 0);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 2));
	pair_close(&fe);
}

/* A thread of the embedder's, which is not the one that serves the socket. */
struct monitor {
	struct vio_device *dev;
	bool resets;
	_Atomic bool stop, stopped;
	pthread_t thread;
};

static void *monitor_thread(void *arg)
{
	struct monitor *m = arg;

	while (!m->stop) {
		CU_ASSERT_EQUAL(vio_device_pause(m->dev), 0);
		if (m->resets)
			vio_device_reset(m->dev);
		CU_ASSERT_EQUAL(vio_device_resume(m->dev), 0);
	}
	m->stopped = true;
	return NULL;
}

/* Where a ring stopped is told right, whoever else stops it at that moment. */
static void pauses_meet_stops(bool queue_thread)
{
	struct monitor m = {0};
	struct fix f;
	struct fe fe;

	fix_open(&f, queue_thread);
	fe_open(&fe, &f);
	CU_ASSERT_EQUAL(fe_start(&fe), 0);
	m.dev = f.dev;
	MUST(-pthread_create(&m.thread, NULL, monitor_thread, &m));
	for (uint16_t n = 1; n <= 200; n++) {
		fe_submit(&fe, 0, VIRTIO_BLK_T_IN, 0, fe.buf + 4096);
		while (!fe_used(&fe, 0))
			;
		CU_ASSERT_EQUAL(fe_get_base(&fe, 0), n);
		CU_ASSERT_EQUAL(fe_fd(&fe, VIO_VHOST_SET_VRING_KICK, 0, fe.kick[0]), 0);
	}
	m.stop = true;
	while (!m.stopped)
		fe_turn(&fe);
	pthread_join(m.thread, NULL);
	CU_ASSERT_EQUAL(f.warnings, 0);
	pair_close(&fe);
}

static void test_pauses_meet_stops(void)
{
	pauses_meet_stops(false);
	pauses_meet_stops(true);
}

/* Front-ends come and go, some in the middle of a request, while the embedder has its way. */
static void disconnects_meet_the_embedder(bool queue_thread, bool resets)
{
	struct monitor m = {.resets = resets};
	struct fix f;
	struct fe fe;

	fix_open(&f, queue_thread);
	m.dev = f.dev;
	MUST(-pthread_create(&m.thread, NULL, monitor_thread, &m));
	for (unsigned n = 1; n <= 60; n++) {
		fe_open(&fe, &f);
		if (fe_start(&fe) == 0 && n % 2)
			fe_submit(&fe, 0, VIRTIO_BLK_T_IN, 0, fe.buf + 4096);
		fe_close(&fe);
		CU_ASSERT_EQUAL(f.connects, n);
		CU_ASSERT_EQUAL(f.disconnects, n);
	}
	m.stop = true;
	while (!m.stopped)
		vio_loop_manual_run(f.loop, 1);
	pthread_join(m.thread, NULL);
	CU_ASSERT_FALSE(vio_device_paused(f.dev));
	CU_ASSERT_EQUAL(f.warnings, 0);
	fe_open(&fe, &f);
	CU_ASSERT_EQUAL(fe_start(&fe), 0);
	fe_submit(&fe, 0, VIRTIO_BLK_T_IN, 0, fe.buf + 4096);
	while (!fe_used(&fe, 0)) /* by the queue's thread */
		;
	CU_ASSERT_EQUAL(fe_status(&fe), VIRTIO_BLK_S_OK);
	pair_close(&fe);
}

static void test_disconnects_meet_the_embedder(void)
{
	for (unsigned i = 0; i < 4; i++)
		disconnects_meet_the_embedder(i % 2, i / 2);
}

/* A driver that begins anew with other features, without anybody saying "reset". */
static void test_other_features(void)
{
	struct fix f;
	struct fe fe;

	pair_start(&f, &fe);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	CU_ASSERT_EQUAL(fe_get_base(&fe, 0), 2);
	CU_ASSERT_EQUAL(fe_u64(&fe, VIO_VHOST_SET_FEATURES, BIT64(VIRTIO_F_VERSION_1)), 0);
	CU_ASSERT_EQUAL(vio_device_accepted(f.dev, 0), 0);
	CU_ASSERT_EQUAL(fe_fd(&fe, VIO_VHOST_SET_VRING_KICK, 0, fe.kick[0]), 0);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 2));
	CU_ASSERT_EQUAL(fe_u64(&fe, VIO_VHOST_SET_FEATURES, F_BASIC), FE_CLOSED);
	pair_close(&fe);
}

/* ---- status ------------------------------------------------------------------------------------
 */

static void test_status(void)
{
	const uint64_t s = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	struct fix f;
	struct fe fe;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(fe_begin(&fe, F_BASIC | F_PROTOCOL, P_ALL | P(STATUS)), 0);
	CU_ASSERT_EQUAL(fe_get(&fe, VIO_VHOST_GET_STATUS), 0);
	CU_ASSERT_EQUAL(fe_u64(&fe, VIO_VHOST_SET_STATUS, s), 0);
	CU_ASSERT_EQUAL(fe_u64(&fe, VIO_VHOST_SET_STATUS, s | VIRTIO_CONFIG_S_FEATURES_OK), 0);
	CU_ASSERT_EQUAL(fe_get(&fe, VIO_VHOST_GET_STATUS), s | VIRTIO_CONFIG_S_FEATURES_OK);
	CU_ASSERT_EQUAL(fe_ring(&fe, 0, 0), 0);
	CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_ENABLE, 0, 1), 0);
	fe_submit(&fe, 0, VIRTIO_BLK_T_IN, 0, fe.buf + 4096);
	CU_ASSERT_FALSE(fe_used(&fe, 0)); /* the driver is not ready */
	CU_ASSERT_EQUAL(fe_u64(&fe, VIO_VHOST_SET_STATUS,
			       s | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK),
			0);
	CU_ASSERT_TRUE(fe_used(&fe, 0));
	CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	CU_ASSERT_EQUAL(fe_u64(&fe, VIO_VHOST_SET_STATUS, 0), 0);
	CU_ASSERT_EQUAL(fe_get(&fe, VIO_VHOST_GET_STATUS), 0);
	CU_ASSERT_EQUAL(fe_get_base(&fe, 0), 3);
	pair_close(&fe);
}

/* Features the device refuses: FEATURES_OK stays clear, and the driver may try others. */
static void test_status_refuses(void)
{
	struct fix f;
	struct fe fe;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(fe_begin(&fe, F_PROTOCOL, P_ALL | P(STATUS)), 0);
	CU_ASSERT_EQUAL(fe_u64(&fe, VIO_VHOST_SET_STATUS, 11), 0);
	CU_ASSERT_EQUAL(fe_get(&fe, VIO_VHOST_GET_STATUS), 3);
	CU_ASSERT_EQUAL(fe_u64(&fe, VIO_VHOST_SET_FEATURES, F_BASIC | F_PROTOCOL), 0);
	CU_ASSERT_EQUAL(fe_u64(&fe, VIO_VHOST_SET_STATUS, 11), 0);
	CU_ASSERT_EQUAL(fe_get(&fe, VIO_VHOST_GET_STATUS), 11);
	fe_close(&fe);
	/* Without STATUS nobody could be told: an error. */
	fe_open(&fe, &f);
	CU_ASSERT_EQUAL(fe_u64(&fe, VIO_VHOST_SET_FEATURES, F_PROTOCOL), FE_CLOSED);
	pair_close(&fe);
}

/* ---- configuration -----------------------------------------------------------------------------
 */

static uint64_t get_capacity(struct fe *fe)
{
	struct vio_vhost_msg m = fe_msg(VIO_VHOST_GET_CONFIG, VIO_VHOST_CONFIG_HDR + 16), a;
	uint64_t capacity;

	m.u.config.size = 16;
	fe_send(fe, &m);
	if (fe_answer(fe, &a) != 1 || a.hdr.size != m.hdr.size || a.u.config.size != 16)
		return UINT64_MAX;
	memcpy(&capacity, a.u.config.data, 8);
	return le64toh(capacity);
}

static void change_capacity(struct fix *f, uint64_t sectors)
{
	uint64_t v = htole64(sectors);

	vio_device_config_update(f->dev, 0, &v, sizeof(v));
}

static void test_config(void)
{
	struct vio_vhost_msg m =
		fe_msg(VIO_VHOST_GET_CONFIG, VIO_VHOST_CONFIG_HDR + VIO_VHOST_CONFIG_BYTES);
	struct vio_vhost_msg a;
	struct fix f;
	struct fe fe;
	uint8_t wce = 2;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(fe_begin(&fe, F_BASIC | F_PROTOCOL | BIT64(VIRTIO_BLK_F_CONFIG_WCE), P_ALL),
			0);
	CU_ASSERT_EQUAL(get_capacity(&fe), DISK_BYTES / 512);
	/* all there can be; what is not there is 0 */
	m.u.config.size = VIO_VHOST_CONFIG_BYTES;
	fe_send(&fe, &m);
	CU_ASSERT_EQUAL(fe_answer(&fe, &a), 1);
	CU_ASSERT_EQUAL(a.u.config.data[255], 0);
	m.u.config.offset = UINT32_MAX;
	fe_send(&fe, &m);
	CU_ASSERT_EQUAL(fe_answer(&fe, &a), 1);
	CU_ASSERT_EQUAL(a.u.config.data[0], 0);
	/* the driver turns the cache off; the capacity is not its business */
	m = fe_msg(VIO_VHOST_SET_CONFIG, VIO_VHOST_CONFIG_HDR + 1);
	m.u.config.offset = offsetof(struct virtio_blk_config, wce);
	m.u.config.size = 1;
	CU_ASSERT_EQUAL(fe_plain(&fe, &m), 0);
	vio_device_config_read(f.dev, m.u.config.offset, &wce, 1);
	CU_ASSERT_EQUAL(wce, 0);
	m.u.config.offset = 0;
	m.u.config.data[0] = 77;
	m.u.config.flags = 1;
	CU_ASSERT_EQUAL(fe_plain(&fe, &m), 0);
	CU_ASSERT_EQUAL(get_capacity(&fe), DISK_BYTES / 512);
	pair_close(&fe);
}

static void test_config_change(void)
{
	struct fix f;
	struct fe fe;

	pair_start(&f, &fe);
	CU_ASSERT_EQUAL(get_capacity(&fe), DISK_BYTES / 512);
	CU_ASSERT_EQUAL(fe_config_changes(&fe), 0);
	change_capacity(&f, 100);
	CU_ASSERT_EQUAL(fe_config_changes(&fe), 1);
	CU_ASSERT_EQUAL(get_capacity(&fe), 100);
	/* a front-end that never reads its channel */
	for (uint64_t i = 0; i < 10000; i++) {
		change_capacity(&f, i);
		fe_turn(&fe);
	}
	CU_ASSERT_TRUE(fe_config_changes(&fe) > 10);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	/* and one that has closed it */
	close(fe.backend_sock);
	fe.backend_sock = -1;
	change_capacity(&f, 7);
	fe_turn(&fe);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 2));
	pair_close(&fe);
}

/* A change between GET_CONFIG and DRIVER_OK is told as soon as the driver is there. */
static void test_config_change_early(void)
{
	struct fix f;
	struct fe fe;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(fe_begin(&fe, F_BASIC | F_PROTOCOL, P_ALL), 0);
	CU_ASSERT_EQUAL(get_capacity(&fe), DISK_BYTES / 512);
	change_capacity(&f, 100);
	CU_ASSERT_EQUAL(fe_config_changes(&fe), 0);
	CU_ASSERT_EQUAL(fe_ring(&fe, 0, 0), 0);
	CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_ENABLE, 0, 1), 0);
	CU_ASSERT_EQUAL(fe_config_changes(&fe), 1);
	pair_close(&fe);
}

/* ---- events ------------------------------------------------------------------------------------
 */

/* A driver that wants no interrupts, and then does: the one it missed is made up for. */
static void test_call_off(void)
{
	struct fix f;
	struct fe fe;

	pair_start(&f, &fe);
	CU_ASSERT_EQUAL(fe_fd(&fe, VIO_VHOST_SET_VRING_CALL, 0, -1), 0);
	fe_submit(&fe, 0, VIRTIO_BLK_T_IN, 0, fe.buf + 4096);
	CU_ASSERT_TRUE(fe_used(&fe, 0));
	CU_ASSERT_FALSE(fe_event(fe.call[0]));
	CU_ASSERT_EQUAL(fe_fd(&fe, VIO_VHOST_SET_VRING_CALL, 0, fe.call[0]), 0);
	CU_ASSERT_TRUE(fe_event(fe.call[0]));
	/* another one while it runs; the old one is silent */
	CU_ASSERT_EQUAL(fe_fd(&fe, VIO_VHOST_SET_VRING_CALL, 0, fe.call[1]), 0);
	CU_ASSERT_FALSE(fe_event(fe.call[1]));
	fe_submit(&fe, 0, VIRTIO_BLK_T_IN, 0, fe.buf + 4096);
	CU_ASSERT_TRUE(fe_used(&fe, 0));
	CU_ASSERT_FALSE(fe_event(fe.call[0]));
	CU_ASSERT_TRUE(fe_event(fe.call[1]));
	pair_close(&fe);
}

/* Interrupts into a pipe whose reader is gone raise no signal. */
static void test_call_pipe(void)
{
	struct fix f;
	struct fe fe;
	uint64_t n;
	int p[2];

	pair_start(&f, &fe);
	MUST(pipe2(p, O_CLOEXEC));
	CU_ASSERT_EQUAL(fe_fd(&fe, VIO_VHOST_SET_VRING_CALL, 0, p[1]), 0);
	CU_ASSERT_EQUAL(fe_fd(&fe, VIO_VHOST_SET_VRING_ERR, 0, p[1]), 0);
	close(p[1]);
	fe_submit(&fe, 0, VIRTIO_BLK_T_IN, 0, fe.buf + 4096);
	CU_ASSERT_TRUE(fe_used(&fe, 0));
	CU_ASSERT_EQUAL(read(p[0], &n, sizeof(n)), sizeof(n));
	close(p[0]);
	fe_submit(&fe, 0, VIRTIO_BLK_T_IN, 0, fe.buf + 4096);
	CU_ASSERT_TRUE(fe_used(&fe, 0));
	vio_device_fail(f.dev, "a fault made by the test");
	fe_turn(&fe);
	fe_close(&fe);
	CU_ASSERT_TRUE(next_is_served(&f));
	fix_close(&f);
}

/* A broken ring: the error descriptor, the configuration channel, and a way back. */
static void test_driver_fault(void)
{
	struct fix f;
	struct fe fe;

	pair_start(&f, &fe);
	drv_queue_offer_raw(&fe.q[0], 0xffff);
	fe_kick(&fe, 0);
	fe_turn(&fe);
	CU_ASSERT_TRUE(vio_device_failed(f.dev));
	CU_ASSERT_TRUE(fe_event(fe.err[0]));
	CU_ASSERT_FALSE(fe_event(fe.err[1]));
	CU_ASSERT_EQUAL(fe_config_changes(&fe), 1);
	/* QEMU 7.2 without STATUS: stops the ring, negotiates again, starts it */
	fe_get_base(&fe, 0);
	CU_ASSERT_EQUAL(fe_u64(&fe, VIO_VHOST_SET_FEATURES, F_BASIC | F_PROTOCOL), 0);
	CU_ASSERT_FALSE(vio_device_failed(f.dev));
	drv_queue_clear(&fe.q[0]);
	CU_ASSERT_EQUAL(fe_ring(&fe, 0, 0), 0);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	pair_close(&fe);
}

#define TEST(name)                                                                                 \
	{                                                                                          \
#name, test_##name                                                                 \
	}

int main(void)
{
	CU_TestInfo tests[] = {
		TEST(init_and_io),
		TEST(no_enable),
		TEST(features_twice),
		TEST(any_order),
		TEST(mq),
		TEST(partial_messages),
		TEST(reply_ack),
		TEST(reconnect),
		TEST(vring_base),
		TEST(reset_device),
		TEST(embedder_resets),
		TEST(pauses_meet_stops),
		TEST(disconnects_meet_the_embedder),
		TEST(other_features),
		TEST(status),
		TEST(status_refuses),
		TEST(config),
		TEST(config_change),
		TEST(config_change_early),
		TEST(call_off),
		TEST(call_pipe),
		TEST(driver_fault),
		CU_TEST_INFO_NULL,
	};

	return suite_run("vhost_user", tests);
}
