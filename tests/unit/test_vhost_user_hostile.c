/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user server with front-ends that break the protocol, go away, or take their memory
 * with them. Each is disconnected with one line in the log, leaves no descriptor behind, and the
 * next one is served. Tests with a number are for the known faults of other implementations.
 */
#include <signal.h>
#include <sys/mman.h>

#include "vhost_fix.h"

/* One front-end that `send` makes misbehave; `ready`: with ring 0 running before. */
static void check_closed(const char *name, bool ready, int (*send_bad)(struct fe *fe))
{
	struct fix f;
	struct fe fe;
	int r;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(fe_begin(&fe, F_BASIC | F_PROTOCOL, P_ALL | (ready ? 0 : P(STATUS))), 0);
	if (ready) {
		CU_ASSERT_EQUAL(fe_ring(&fe, 0, 0), 0);
		CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_ENABLE, 0, 1), 0);
		CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	}
	r = send_bad(&fe);
	if (r != FE_CLOSED || f.warnings != 1)
		printf("%s: answer %d, %u lines, last %s\n", name, r, f.warnings, f.last);
	CU_ASSERT_EQUAL(r, FE_CLOSED);
	CU_ASSERT_EQUAL(f.warnings, 1);
	CU_ASSERT_EQUAL(vio_device_status(f.dev), 0);
	fe_close(&fe);
	CU_ASSERT_TRUE(next_is_served(&f));
	fix_close(&f);
}

/* ---- messages that are wrong in themselves -----------------------------------------------------
 */

struct bad_message {
	uint32_t request, flags, size;
	unsigned n_fds;
	uint64_t word[2]; /* begin of the payload */
};

static int send_bad_message(struct fe *fe, const struct bad_message *b)
{
	struct vio_vhost_msg m = fe_msg(b->request, b->size);

	m.hdr.flags = b->flags;
	memcpy(&m.u, b->word, sizeof(b->word));
	for (unsigned i = 0; i < b->n_fds; i++)
		m.fds[i] = fe->call[0];
	m.n_fds = b->n_fds;
	if (b->size > sizeof(m.u)) { /* the header is enough */
		send(fe->sock, &m.hdr, sizeof(m.hdr), MSG_NOSIGNAL);
		return fe_answer(fe, &m) == FE_CLOSED ? FE_CLOSED : 0;
	}
	return fe_plain(fe, &m);
}

static void check_messages(const struct bad_message *bad, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct fix f;
		struct fe fe;
		int r;

		fix_open(&f, false);
		fe_open(&fe, &f);
		CU_ASSERT_EQUAL(fe_begin(&fe, F_BASIC | F_PROTOCOL, P_ALL | P(STATUS)), 0);
		r = send_bad_message(&fe, &bad[i]);
		if (r != FE_CLOSED || f.warnings != 1)
			printf("message %zu: answer %d, %u lines, last %s\n", i, r, f.warnings,
			       f.last);
		CU_ASSERT_EQUAL(r, FE_CLOSED);
		CU_ASSERT_EQUAL(f.warnings, 1);
		fe_close(&fe);
		CU_ASSERT_TRUE(next_is_served(&f));
		fix_close(&f);
	}
}

static void test_headers(void)
{
	static const struct bad_message bad[] = {
		{VIO_VHOST_GET_FEATURES, 0, 0, 0, {0}},
		{VIO_VHOST_GET_FEATURES, 2, 0, 0, {0}},
		{VIO_VHOST_GET_FEATURES, 3, 0, 0, {0}},
		{VIO_VHOST_GET_FEATURES, 1 | VIO_VHOST_REPLY, 0, 0, {0}},
		{VIO_VHOST_GET_FEATURES, 1 | 0x80000000, 0, 0, {0}},
		{VIO_VHOST_GET_FEATURES, 1, 8, 0, {0}},
		{VIO_VHOST_GET_FEATURES, 1, UINT32_MAX, 0, {0}},
		{VIO_VHOST_GET_FEATURES, 1, sizeof(union vio_vhost_payload) + 1, 0, {0}},
		{VIO_VHOST_SET_FEATURES, 1, 0, 0, {0}},
		{VIO_VHOST_SET_FEATURES, 1, 4, 0, {0}},
		{VIO_VHOST_SET_FEATURES, 1, 16, 0, {0}},
		{VIO_VHOST_SET_VRING_ADDR, 1, 39, 0, {0}},
		{VIO_VHOST_SET_VRING_NUM, 1, 4, 0, {0}},
		{VIO_VHOST_GET_VRING_BASE, 1, 4, 0, {0}},
		{0, 1, 0, 0, {0}},
		{41, 1, 0, 0, {0}},
		{999, 1, 8, 0, {0}},
		{UINT32_MAX, 1, 8, 0, {0}},
		{VIO_VHOST_SET_FEATURES, 1, 8, 0, {BIT64(50)}},
		{VIO_VHOST_SET_PROTOCOL_FEATURES, 1, 8, 0, {BIT64(40)}},
		{VIO_VHOST_SET_PROTOCOL_FEATURES, 1, 8, 0, {P(INBAND_NOTIFICATIONS)}},
		{VIO_VHOST_SET_STATUS, 1, 8, 0, {0x100}},
		{VIO_VHOST_SET_LOG_FD, 1, 0, 1, {0}},
		{VIO_VHOST_SEND_RARP, 1, 8, 0, {0}},
		{VIO_VHOST_IOTLB_MSG, 1, 32, 0, {0}},
		{VIO_VHOST_POSTCOPY_ADVISE, 1, 0, 0, {0}},
		{VIO_VHOST_VRING_KICK, 1, 8, 0, {0}},
		/* configuration: sizes that do not agree, flags, too long */
		{VIO_VHOST_GET_CONFIG, 1, 8, 0, {0}},
		{VIO_VHOST_GET_CONFIG, 1, 12, 0, {BIT64(32)}},
		{VIO_VHOST_GET_CONFIG, 1, 20, 0, {0}},
		{VIO_VHOST_GET_CONFIG, 1, 269, 0, {(uint64_t)257 << 32}},
		{VIO_VHOST_GET_CONFIG, 1, 12, 0, {UINT64_C(0xffffffff) << 32}},
		{VIO_VHOST_SET_CONFIG, 1, 13, 0, {BIT64(32), 2}},
	};

	check_messages(bad, VIO_ARRAY_LEN(bad));
}

/* Requests whose protocol feature was not negotiated. */
static void test_not_negotiated(void)
{
	static const struct bad_message bad[] = {
		{VIO_VHOST_GET_CONFIG, 1, 12, 0, {0}},
		{VIO_VHOST_SET_CONFIG, 1, 12, 0, {0}},
		{VIO_VHOST_RESET_DEVICE, 1, 0, 0, {0}},
		{VIO_VHOST_GET_STATUS, 1, 0, 0, {0}},
		{VIO_VHOST_SET_STATUS, 1, 8, 0, {1}},
		{VIO_VHOST_ADD_MEM_REG, 1, 40, 1, {0}},
		{VIO_VHOST_GET_MAX_MEM_SLOTS, 1, 0, 0, {0}},
		{VIO_VHOST_REM_MEM_REG, 1, 40, 0, {0}},
		{VIO_VHOST_GET_INFLIGHT_FD, 1, 24, 0, {0}},
		{VIO_VHOST_SET_INFLIGHT_FD, 1, 24, 1, {0}},
	};

	for (size_t i = 0; i < VIO_ARRAY_LEN(bad); i++) {
		struct fix f;
		struct fe fe;

		fix_open(&f, false);
		fe_open(&fe, &f);
		CU_ASSERT_EQUAL(send_bad_message(&fe, &bad[i]), FE_CLOSED);
		CU_ASSERT_EQUAL(f.warnings, 1);
		fe_close(&fe);
		fix_close(&f);
	}
}

/* CVE-2019-14818: more descriptors than a message has, on any message. */
static void test_4_6_fd_counts(void)
{
	static const struct bad_message bad[] = {
		{VIO_VHOST_GET_FEATURES, 1, 0, 1, {0}},
		{VIO_VHOST_SET_FEATURES, 1, 8, 32, {0}},
		{VIO_VHOST_SET_VRING_NUM, 1, 8, 1, {0}},
		{VIO_VHOST_SET_VRING_ADDR, 1, 40, 8, {0}},
		{VIO_VHOST_SET_VRING_ENABLE, 1, 8, 2, {0}},
		{VIO_VHOST_SET_VRING_KICK, 1, 8, 2, {0}},
		{VIO_VHOST_SET_VRING_KICK, 1, 8, 0, {0}},
		{VIO_VHOST_SET_VRING_CALL, 1, 8, 1, {VIO_VHOST_VRING_NOFD}},
		{VIO_VHOST_SET_VRING_ERR, 1, 8, 0, {0}},
		{VIO_VHOST_SET_BACKEND_REQ_FD, 1, 0, 0, {0}},
		{VIO_VHOST_SET_BACKEND_REQ_FD, 1, 0, 2, {0}},
		{VIO_VHOST_SET_BACKEND_REQ_FD, 1, 0, 1, {0}}, /* no socket */
		{VIO_VHOST_SET_MEM_TABLE, 1, 8, 1, {0}},
		{VIO_VHOST_ADD_MEM_REG, 1, 40, 0, {0}},
		{VIO_VHOST_ADD_MEM_REG, 1, 40, 2, {0}},
		{VIO_VHOST_REM_MEM_REG, 1, 40, 2, {0}},
		{VIO_VHOST_GET_CONFIG, 1, 12, 1, {0}},
		{VIO_VHOST_SET_STATUS, 1, 8, 1, {1}},
		{VIO_VHOST_SET_OWNER, 1, 0, 1, {0}},
		{999, 1, 0, 5, {0}},
	};

	check_messages(bad, VIO_ARRAY_LEN(bad));
}

/* Bytes of a message with `n` descriptors beside them. */
static void send_raw(struct fe *fe, const void *bytes, size_t len, unsigned n)
{
	char control[CMSG_SPACE(200 * sizeof(int))] = {0};
	char copy[64];
	struct iovec v = {copy, len};
	struct msghdr mh = {.msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&mh);

	memcpy(copy, bytes, len);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	for (unsigned i = 0; i < n; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &fe->call[0], sizeof(int));
	CU_ASSERT_EQUAL(sendmsg(fe->sock, &mh, MSG_NOSIGNAL), (ssize_t)len);
}

/* More than any message may carry. */
static int send_many_fds(struct fe *fe)
{
	struct vio_vhost_msg m = fe_msg(VIO_VHOST_SET_FEATURES, 8);

	send_raw(fe, &m.hdr, sizeof(m.hdr), 200);
	return fe_answer(fe, &m);
}

/* The same in two parts, each of which is fine. */
static int send_fds_twice(struct fe *fe)
{
	struct vio_vhost_msg m = fe_msg(VIO_VHOST_SET_FEATURES, 8);

	send_raw(fe, &m.hdr, sizeof(m.hdr), 20);
	fe_turn(fe);
	send_raw(fe, &m.u, 8, 20);
	return fe_answer(fe, &m);
}

static void test_4_6_too_many_fds(void)
{
	check_closed("many fds", true, send_many_fds);
	check_closed("fds twice", true, send_fds_twice);
}

/* CVE-2019-14818: setting anything again and again frees what was there. */
static void test_4_6_repeated_messages(void)
{
	struct fix f;
	struct fe fe;
	unsigned before;

	pair_start(&f, &fe);
	before = count_fds();
	for (int i = 0; i < 100; i++) {
		struct vio_vhost_msg m = fe_msg(VIO_VHOST_SET_BACKEND_REQ_FD, 0);

		CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_NUM, 0, RING_SIZE), 0);
		CU_ASSERT_EQUAL(fe_addr(&fe, 0), 0);
		CU_ASSERT_EQUAL(fe_fd(&fe, VIO_VHOST_SET_VRING_KICK, 0, fe.kick[0]), 0);
		CU_ASSERT_EQUAL(fe_fd(&fe, VIO_VHOST_SET_VRING_CALL, 0, fe.call[0]), 0);
		CU_ASSERT_EQUAL(fe_fd(&fe, VIO_VHOST_SET_VRING_ERR, 0, fe.err[0]), 0);
		CU_ASSERT_EQUAL(fe_table(&fe, 2), 0);
		m.fds[0] = fe.sock;
		m.n_fds = 1;
		CU_ASSERT_EQUAL(fe_plain(&fe, &m), 0);
		m = fe_msg(VIO_VHOST_REM_MEM_REG, sizeof(m.u.reg));
		m.u.reg.region = fe_region(&fe, 1);
		m.fds[0] = fe.mem.region[1].fd; /* allowed, and closed */
		m.n_fds = 1;
		CU_ASSERT_EQUAL(fe_plain(&fe, &m), 0);
		CU_ASSERT_EQUAL(fe_slot(&fe, VIO_VHOST_ADD_MEM_REG, 1), 0);
	}
	CU_ASSERT_EQUAL(count_fds(), before);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	pair_close(&fe);
}

/* ---- numbers -----------------------------------------------------------------------------------
 */

/* CVE-2020-10722: offset and size that wrap, or end behind the file. */
static void test_4_6_offset_and_size(void)
{
	static const struct vio_vhost_region wrong[] = {
		{.offset = UINT64_MAX}, {.offset = UINT64_MAX - RAM_BYTES + 1},
		{.offset = 1},		{.offset = RAM_BYTES},
		{.size = UINT64_MAX},	{.size = UINT64_C(1) << 44},
		{.gpa = UINT64_MAX},	{.uaddr = UINT64_MAX},
	};

	for (size_t i = 0; i <= VIO_ARRAY_LEN(wrong); i++) {
		struct vio_vhost_msg m;
		struct fix f;
		struct fe fe;

		fix_open(&f, false);
		fe_open(&fe, &f);
		m = fe_table_msg(&fe, 2);
		if (i == VIO_ARRAY_LEN(wrong)) {
			m.u.table.region[1].size = 0;
		} else {
			m.u.table.region[1].offset += wrong[i].offset;
			if (wrong[i].size)
				m.u.table.region[1].size = wrong[i].size;
			if (wrong[i].gpa)
				m.u.table.region[1].gpa = wrong[i].gpa;
			if (wrong[i].uaddr)
				m.u.table.region[1].uaddr = wrong[i].uaddr;
		}
		CU_ASSERT_EQUAL(fe_plain(&fe, &m), FE_CLOSED);
		CU_ASSERT_EQUAL(f.warnings, 1);
		fe_close(&fe);
		CU_ASSERT_TRUE(next_is_served(&f));
		fix_close(&f);
	}
}

static int send_log_base(struct fe *fe)
{
	struct vio_vhost_msg m = fe_msg(VIO_VHOST_SET_LOG_BASE, 16);

	m.u.u64 = UINT64_MAX;
	m.fds[0] = fe->mem.region[0].fd;
	m.n_fds = 1;
	return fe_plain(fe, &m);
}

static int send_log_flag(struct fe *fe)
{
	struct vio_vhost_msg m = fe_addr_msg(fe, 0);

	m.u.addr.flags = 1;
	return fe_plain(fe, &m);
}

static void test_4_6_log_base(void)
{
	check_closed("log base", true, send_log_base);
	check_closed("log flag", true, send_log_flag);
}

/* CVE-2020-10723, rust-vmm: ring numbers count with all their bits, in every message. */
static void test_4_6_vring_index(void)
{
	static const struct bad_message bad[] = {
		{VIO_VHOST_SET_VRING_NUM, 1, 8, 0, {N_QUEUES | BIT64(32 + 6)}},
		{VIO_VHOST_SET_VRING_NUM, 1, 8, 0, {0x10000 | BIT64(32 + 6)}},
		{VIO_VHOST_SET_VRING_NUM, 1, 8, 0, {UINT32_MAX | BIT64(32 + 6)}},
		{VIO_VHOST_SET_VRING_BASE, 1, 8, 0, {N_QUEUES}},
		{VIO_VHOST_SET_VRING_BASE, 1, 8, 0, {0x10000}},
		{VIO_VHOST_SET_VRING_BASE, 1, 8, 0, {BIT64(32 + 16)}},
		{VIO_VHOST_GET_VRING_BASE, 1, 8, 0, {N_QUEUES}},
		{VIO_VHOST_GET_VRING_BASE, 1, 8, 0, {0x10000}},
		{VIO_VHOST_SET_VRING_ADDR, 1, 40, 0, {N_QUEUES}},
		{VIO_VHOST_SET_VRING_ADDR, 1, 40, 0, {0x80000000}},
		{VIO_VHOST_SET_VRING_ENABLE, 1, 8, 0, {N_QUEUES | BIT64(32)}},
		{VIO_VHOST_SET_VRING_ENABLE, 1, 8, 0, {0x10000 | BIT64(32)}},
		{VIO_VHOST_SET_VRING_ENABLE, 1, 8, 0, {BIT64(33)}},
		{VIO_VHOST_SET_VRING_KICK, 1, 8, 1, {N_QUEUES}},
		{VIO_VHOST_SET_VRING_KICK, 1, 8, 1, {0x200}},
		{VIO_VHOST_SET_VRING_KICK, 1, 8, 1, {BIT64(32)}},
		{VIO_VHOST_SET_VRING_CALL, 1, 8, 1, {0xff}},
		{VIO_VHOST_SET_VRING_CALL, 1, 8, 1, {0x10000}},
		{VIO_VHOST_SET_VRING_ERR, 1, 8, 1, {N_QUEUES}},
		{VIO_VHOST_SET_VRING_ERR, 1, 8, 1, {BIT64(63)}},
		/* sizes: nothing, no power of two, too large, too large for 16 bits */
		{VIO_VHOST_SET_VRING_NUM, 1, 8, 0, {0}},
		{VIO_VHOST_SET_VRING_NUM, 1, 8, 0, {(uint64_t)3 << 32}},
		{VIO_VHOST_SET_VRING_NUM, 1, 8, 0, {(uint64_t)512 << 32}},
		{VIO_VHOST_SET_VRING_NUM, 1, 8, 0, {BIT64(32 + 16)}},
		{VIO_VHOST_SET_VRING_NUM, 1, 8, 0, {BIT64(63)}},
	};

	check_messages(bad, VIO_ARRAY_LEN(bad));
}

/* Mappings of files of this name in this process. */
static unsigned count_maps(const char *name)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	unsigned n = 0;

	while (fgets(line, sizeof(line), maps))
		n += strstr(line, name) != NULL;
	fclose(maps);
	return n;
}

/*
 * CVE-2020-10726, CVE-2022-0669, DPDK 6442c329b9: as many areas and files as a front-end likes, one
 * after the other, and none is left over; more areas than there are rings are refused. More of it
 * is in test_vhost_user_inflight.c.
 */
static void test_4_6_inflight(void)
{
	static const struct bad_message bad[] = {
		{VIO_VHOST_GET_INFLIGHT_FD, 1, 24, 0, {0}},
		{VIO_VHOST_GET_INFLIGHT_FD, 1, 24, 1, {0}},
		{VIO_VHOST_GET_INFLIGHT_FD, 1, 19, 0, {0}},
		{VIO_VHOST_GET_INFLIGHT_FD, 1, 32, 0, {0}},
		{VIO_VHOST_SET_INFLIGHT_FD, 1, 24, 0, {4096}},
		{VIO_VHOST_SET_INFLIGHT_FD, 1, 24, 2, {4096}},
		{VIO_VHOST_SET_INFLIGHT_FD, 1, 24, 32, {4096}},
		{VIO_VHOST_SET_INFLIGHT_FD, 1, 16, 1, {4096}},
	};
	struct vio_vhost_inflight d;
	struct fix f;
	struct fe fe;
	unsigned fds;

	check_messages(bad, VIO_ARRAY_LEN(bad));
	pair_start(&f, &fe);
	fds = count_fds();
	for (int i = 0; i < 1000; i++) {
		int fd = fe_get_inflight(&fe, (uint16_t)(1 + i % N_QUEUES), 64, &d);

		CU_ASSERT_TRUE_FATAL(fd >= 0);
		CU_ASSERT_EQUAL(fe_set_inflight(&fe, &d, fd), 0);
		close(fd);
	}
	CU_ASSERT_EQUAL(count_fds(), fds);
	CU_ASSERT_TRUE(count_maps("viodm-inflight") == 1);
	CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	CU_ASSERT_EQUAL(fe_get_inflight(&fe, N_QUEUES + 1, 64, &d), FE_CLOSED);
	CU_ASSERT_TRUE(count_maps("viodm-inflight") == 0);
	fe_close(&fe);
	CU_ASSERT_TRUE(next_is_served(&f));
	fix_close(&f);
}

struct thief {
	struct vio_watch watch;
	unsigned taken;
};

static void on_thief(struct vio_watch *w)
{
	struct thief *t = vio_container_of(w, struct thief, watch);

	t->taken += fe_event(w->fd);
}

/*
 * A front-end makes its kick descriptor a blocking one and takes each event away between the moment
 * when the loop sees it and the one when the queue wants to take it: the loop must not wait there.
 */
static void test_blocking_kick(void)
{
	struct thief t = {0};
	struct fix f;
	struct fe fe;
	int flags;

	pair_open(&f, &fe);
	t.watch = (struct vio_watch){.fd = fe.kick[0], .on_ready = on_thief};
	MUST(vio_loop_watch(f.loop, &t.watch)); /* earlier than the queue: its turn comes first */
	CU_ASSERT_EQUAL(fe_start(&fe), 0);
	flags = fcntl(fe.kick[0], F_GETFL);
	CU_ASSERT_TRUE(flags & O_NONBLOCK);
	MUST(fcntl(fe.kick[0], F_SETFL, flags & ~O_NONBLOCK));
	alarm(10);
	for (int i = 0; i < 10; i++) {
		fe_kick(&fe, 0);
		fe_turn(&fe);
	}
	CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	alarm(0);
	CU_ASSERT_TRUE(t.taken >= 10);
	CU_ASSERT_EQUAL(f.warnings, 0);
	vio_loop_unwatch(f.loop, &t.watch);
	pair_close(&fe);
}

/* DPDK 7cc4f260bf: as many rings as the device has, the last one included. */
static void test_4_6_queue_count(void)
{
	struct fix f;
	struct fe fe;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(fe_get(&fe, VIO_VHOST_GET_QUEUE_NUM), vio_device_n_queues(f.dev));
	CU_ASSERT_EQUAL(fe_begin(&fe, F_BASIC, 0), 0);
	CU_ASSERT_EQUAL(fe_ring(&fe, N_QUEUES - 1, 0), 0);
	CU_ASSERT_TRUE(fe_works(&fe, N_QUEUES - 1, 1));
	CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_NUM, N_QUEUES, 64), FE_CLOSED);
	pair_close(&fe);
}

/* passt: region counts that do not fit the message, its descriptors, or anything. */
static void test_4_6_region_count(void)
{
	static const struct bad_message bad[] = {
		{VIO_VHOST_SET_MEM_TABLE, 1, 8, 0, {1}},
		{VIO_VHOST_SET_MEM_TABLE, 1, 40, 0, {1}},
		{VIO_VHOST_SET_MEM_TABLE, 1, 8, 0, {UINT32_MAX}},
		{VIO_VHOST_SET_MEM_TABLE, 1, 8 + 32 * 32, 32, {33}},
		{VIO_VHOST_SET_MEM_TABLE, 1, 8 + 32 * 32, 31, {32}},
		{VIO_VHOST_SET_MEM_TABLE, 1, 8 + 32 * 2, 2, {1}},
		{VIO_VHOST_SET_MEM_TABLE, 1, 8 + 31, 1, {1}},
		{VIO_VHOST_SET_MEM_TABLE, 1, 7, 0, {0}},
	};

	check_messages(bad, VIO_ARRAY_LEN(bad));
}

/* The same place, another file. */
static int add_in_place(struct fe *fe)
{
	struct vio_vhost_msg m = fe_msg(VIO_VHOST_ADD_MEM_REG, sizeof(m.u.reg));

	m.u.reg.region = fe_region(fe, 1);
	m.fds[0] = fe->mem.region[0].fd;
	m.n_fds = 1;
	return fe_plain(fe, &m);
}

/* Overlaps the first in the last byte. */
static int add_overlap(struct fe *fe)
{
	struct vio_vhost_msg m = fe_table_msg(fe, 2);

	m.u.table.region[1].gpa--;
	return fe_plain(fe, &m);
}

static int table_of_pipe(struct fe *fe)
{
	struct vio_vhost_msg m = fe_table_msg(fe, 2);

	m.fds[1] = fe->kick[0];
	return fe_plain(fe, &m);
}

static int table_readonly(struct fe *fe)
{
	struct vio_vhost_msg m = fe_table_msg(fe, 2);
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fe->mem.region[0].fd);
	m.u.table.region[0].size -= 4096; /* not the one that is mapped already */
	m.fds[0] = open(path, O_RDONLY | O_CLOEXEC);
	r = fe_plain(fe, &m);
	close(m.fds[0]);
	return r;
}

static int too_many_slots(struct fe *fe)
{
	struct vio_vhost_msg m = fe_msg(VIO_VHOST_ADD_MEM_REG, sizeof(m.u.reg));
	int r = 0;

	m.fds[0] = fe->mem.region[1].fd;
	m.n_fds = 1;
	for (uint64_t i = 2; i <= VIO_VHOST_USER_MAX_SLOTS && r == 0; i++) {
		m.u.reg.region = (struct vio_vhost_region){
			.gpa = 0x10000000 + i * 4096, .size = 4096, .uaddr = i * 4096};
		r = fe_plain(fe, &m);
		if (i < VIO_VHOST_USER_MAX_SLOTS)
			CU_ASSERT_EQUAL(r, 0);
	}
	return r;
}

static void test_memory(void)
{
	check_closed("another in its place", true, add_in_place);
	check_closed("overlap", true, add_overlap);
	check_closed("no file", true, table_of_pipe);
	check_closed("read-only", true, table_readonly);
	check_closed("too many slots", true, too_many_slots);
}

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
		TEST(headers),
		TEST(not_negotiated),
		TEST(4_6_fd_counts),
		TEST(4_6_too_many_fds),
		TEST(4_6_repeated_messages),
		TEST(4_6_offset_and_size),
		TEST(4_6_log_base),
		TEST(4_6_vring_index),
		TEST(4_6_inflight),
		TEST(blocking_kick),
		TEST(4_6_queue_count),
		TEST(4_6_region_count),
		TEST(4_6_ring_states),
		TEST(4_6_disconnect_under_load),
		TEST(4_6_memory_shrinks),
		TEST(memory),
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

	return suite_run("vhost_user_hostile", tests);
}
