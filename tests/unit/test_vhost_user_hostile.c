/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user server with front-ends that break the protocol: messages and numbers. What they do
 * to rings that run is in test_vhost_user_hostile_rings.c. Each is disconnected with one line in
 * the log, leaves no descriptor behind, and the next one is served. Tests with a number are for the
 * known faults of other implementations.
 */
#include <sys/mman.h>

#include "vhost_fe.h"

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

#define TEST(name)                                                                                 \
	{                                                                                          \
#name, test_##name                                                                 \
	}

int main(void)
{
	CU_TestInfo tests[] = {
		TEST(headers),		TEST(not_negotiated),	     TEST(4_6_fd_counts),
		TEST(4_6_too_many_fds), TEST(4_6_repeated_messages), TEST(4_6_offset_and_size),
		TEST(4_6_log_base),	TEST(4_6_vring_index),	     TEST(4_6_inflight),
		TEST(blocking_kick),	TEST(4_6_queue_count),	     TEST(4_6_region_count),
		TEST(memory),		CU_TEST_INFO_NULL,
	};

	return suite_run("vhost_user_hostile", tests);
}
