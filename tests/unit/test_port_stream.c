/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stream port: framing however the bytes come, peers that go away or send nonsense, and that
 * there is always a next peer. Sending is in test_port_stream_send.c.
 */
#include <sys/mman.h>

#include "stream_fix.h"

/* ---- opening -----------------------------------------------------------------------------------
 */

static int open_path(const char *path, bool server, unsigned reconnect_ms)
{
	struct vio_port_stream_config cfg = {
		.path = path, .server = server, .reconnect_ms = reconnect_ms};
	struct vio_port *port;
	int r = vio_port_stream_open(&cfg, &port);

	if (r == 0)
		vio_port_close(port);
	return r;
}

static int open_fd(int fd)
{
	struct vio_port_stream_config cfg = {.fd = fd};
	struct vio_port *port;

	return vio_port_stream_open(&cfg, &port);
}

static void test_open_refuses(void)
{
	unsigned before = count_fds();
	char path[200];
	int fd[2], file;

	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	unlink(PATH);
	CU_ASSERT_EQUAL(open_path(PATH, false, 0), -ENOENT);
	CU_ASSERT_EQUAL(open_path(PATH, false, 10), 0); /* it will try again */
	CU_ASSERT_EQUAL(open_path("", false, 10), -EINVAL);
	CU_ASSERT_EQUAL(open_path(path, false, 10), -ENAMETOOLONG);
	CU_ASSERT_EQUAL(open_path(path, true, 0), -ENAMETOOLONG);
	CU_ASSERT_EQUAL(open_fd(-1), -EBADF);
	file = open(PATH, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	CU_ASSERT_EQUAL(open_fd(file), -EINVAL);
	CU_ASSERT_EQUAL(open_path(PATH, true, 0), -EADDRINUSE); /* a file: not ours to remove */
	close(file);
	peer_pair(SOCK_DGRAM, fd);
	CU_ASSERT_EQUAL(open_fd(fd[0]), -EINVAL);
	close(fd[0]); /* still the caller's */
	close(fd[1]);
	CU_ASSERT_EQUAL(unlink(PATH), 0);
	CU_ASSERT_EQUAL(count_fds(), before);
}

/* A dead server's socket is replaced, a living one's is not; ours goes away with the port. */
static void test_path_of_a_server(void)
{
	unsigned before = count_fds();
	int fd = peer_bind(SOCK_STREAM, PATH);

	CU_ASSERT_EQUAL(open_path(PATH, true, 0), -EADDRINUSE);
	close(fd);
	CU_ASSERT_EQUAL(open_path(PATH, true, 0), 0);
	CU_ASSERT_NOT_EQUAL(access(PATH, F_OK), 0);
	CU_ASSERT_EQUAL(count_fds(), before);
}

static void test_info_and_attach(void)
{
	struct vio_port_info info;
	struct vio_port_queue *pq;
	struct fix f;

	fix_open(&f);
	MUST(vio_port_info(f.port, &info));
	CU_ASSERT_EQUAL(info.max_pairs, 1);
	CU_ASSERT_EQUAL(info.offloads, 0);
	CU_ASSERT_TRUE(info.link_up);
	CU_ASSERT_EQUAL(vio_port_attach(f.port, 0, f.loop, &port_user, NULL, &pq), -EBUSY);
	CU_ASSERT_EQUAL(vio_port_attach(f.port, 1, f.loop, &port_user, NULL, &pq), -EINVAL);
	fix_close(&f);
}

/* ---- receiving ---------------------------------------------------------------------------------
 */

/* Two frames, cut at every byte, also inside the lengths. */
static void test_every_split(void)
{
	uint8_t buf[200];
	size_t end = put_frame(buf, put_frame(buf, 0, 14, 1), 61, 2);
	struct fix f;

	fix_open(&f);
	user_receive(f.u, 100000);
	for (size_t cut = 1; cut < end; cut++) {
		peer_write(f.peer, buf, cut);
		user_settle(f.u);
		CU_ASSERT_EQUAL(f.u->n, cut >= 18);
		peer_write(f.peer, buf + cut, end - cut);
		user_settle(f.u);
		CU_ASSERT_EQUAL(f.u->n, 2);
		CU_ASSERT_TRUE(user_got(f.u, 0, 14, 1) && user_got(f.u, 1, 61, 2));
		user_drop(f.u);
	}
	for (size_t i = 0; i < end; i++) {
		peer_write(f.peer, buf + i, 1);
		user_settle(f.u);
	}
	CU_ASSERT_TRUE(user_got(f.u, 0, 14, 1) && user_got(f.u, 1, 61, 2));
	fix_close(&f);
}

/* Many frames in one read are one batch for the device. */
static void test_batch(void)
{
	static uint8_t buf[MANY * 100];
	size_t end = 0;
	struct fix f;

	fix_open(&f);
	user_receive(f.u, MANY);
	for (unsigned i = 0; i < MANY; i++)
		end = put_frame(buf, end, peer_len(i, 90), i);
	peer_write(f.peer, buf, end);
	user_settle(f.u);
	CU_ASSERT_EQUAL(f.u->n, MANY);
	CU_ASSERT_EQUAL(f.u->n_flush, 1);
	for (unsigned i = 0; i < MANY; i++)
		CU_ASSERT_TRUE(user_got(f.u, i, peer_len(i, 90), i));
	fix_close(&f);
}

/* The longest frame, several times, so that the buffer comes round. */
static void test_longest(void)
{
	static uint8_t buf[LEN_SIZE + VIO_FRAME_MAX];
	struct fix f;

	fix_open(&f);
	user_receive(f.u, 100);
	for (unsigned i = 0; i < 10; i++) {
		size_t end = put_frame(buf, 0, VIO_FRAME_MAX, i);

		peer_write(f.peer, buf, end);
		user_settle(f.u);
		CU_ASSERT_TRUE(user_got(f.u, i, VIO_FRAME_MAX, i));
	}
	fix_close(&f);
}

/* Room comes a few frames at a time, and the queue goes and comes back: nothing is lost. */
static void test_no_room(void)
{
	static uint8_t buf[MANY * 1600];
	size_t end = 0, sent = 0;
	unsigned got = 0;
	struct fix f;

	fix_open(&f);
	for (unsigned i = 0; i < MANY; i++)
		end = put_frame(buf, end, peer_len(i, 1500), i);
	for (unsigned round = 0; got < MANY && round < 10000; round++) {
		ssize_t n = send(f.peer, buf + sent, end - sent, MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		user_receive(f.u, round % 7);
		user_settle(f.u);
		for (unsigned i = 0; i < f.u->n; i++, got++)
			CU_ASSERT_TRUE(user_got(f.u, i, peer_len(got, 1500), got));
		user_drop(f.u);
		if (round % 5 == 4)
			user_off(f.u);
		if (round % 11 == 10) {
			user_detach(f.u);
			fix_attach(&f);
		}
	}
	CU_ASSERT_EQUAL(got, MANY);
	CU_ASSERT_EQUAL(f.link.downs, 0);
	fix_close(&f);
}

/* Off: not a frame, and the loop has nothing to do. */
static void test_off(void)
{
	uint8_t buf[100];
	struct fix f;

	fix_open(&f);
	peer_write(f.peer, buf, put_frame(buf, 0, 60, 1));
	user_settle(f.u);
	user_receive(f.u, 10);
	user_off(f.u);
	CU_ASSERT_EQUAL(f.u->n, 0);
	CU_ASSERT_EQUAL(vio_loop_manual_run(f.loop, 0), 0);
	user_receive(f.u, 0);
	user_settle(f.u);
	CU_ASSERT_EQUAL(vio_loop_manual_run(f.loop, 0), 0);
	user_receive(f.u, 1);
	user_settle(f.u);
	CU_ASSERT_TRUE(user_got(f.u, 0, 60, 1));
	fix_close(&f);
}

/* ---- peers that misbehave ----------------------------------------------------------------------
 */

static void test_garbage_lengths(void)
{
	static const uint32_t bad[] = {0, 1, 13, VIO_FRAME_MAX + 1, 0x7fffffff, 0xffffffff};
	uint8_t buf[100];
	struct fix f;

	for (unsigned i = 0; i < VIO_ARRAY_LEN(bad); i++) {
		uint32_t be = htobe32(bad[i]);
		size_t end;

		fix_open(&f);
		user_receive(f.u, 100);
		end = put_frame(buf, 0, 20, i);
		memcpy(buf + end, &be, LEN_SIZE);
		peer_write(f.peer, buf, end + LEN_SIZE);
		user_settle(f.u);
		CU_ASSERT_EQUAL(f.u->n, 1); /* what came before is not lost */
		CU_ASSERT_TRUE(user_got(f.u, 0, 20, i));
		CU_ASSERT_EQUAL(f.log.lines, 1);
		CU_ASSERT_EQUAL(f.link.downs, 1);
		CU_ASSERT_FALSE(port_up(f.port));
		CU_ASSERT_TRUE(peer_sees_end(f.peer));
		CU_ASSERT_TRUE(user_send(f.u, buf, 60)); /* nobody there: done with */
		CU_ASSERT_EQUAL(vio_loop_manual_run(f.loop, 0), 0);
		fix_close(&f);
	}
}

/* Found inside receive(), of which the device hears later only; and with the queue gone meanwhile.
 */
static void test_garbage_behind_no_room(void)
{
	uint8_t buf[100] = {0};
	struct fix f;

	fix_open(&f);
	user_receive(f.u, 0);
	peer_write(f.peer, buf, put_frame(buf, 0, 20, 1) + LEN_SIZE);
	user_settle(f.u);
	CU_ASSERT_EQUAL(f.link.downs, 0);
	user_receive(f.u, 5);
	CU_ASSERT_EQUAL(f.u->n, 1);
	CU_ASSERT_EQUAL(f.link.downs, 0);
	user_detach(f.u);
	CU_ASSERT_EQUAL(vio_loop_manual_run(f.loop, 0), 0);
	fix_attach(&f);
	CU_ASSERT_EQUAL(f.link.downs, 0);
	user_settle(f.u);
	CU_ASSERT_EQUAL(f.link.downs, 1);
	CU_ASSERT_TRUE(peer_sees_end(f.peer));
	fix_close(&f);
}

static void test_peer_closes(void)
{
	unsigned before = count_fds();
	uint8_t buf[100];
	struct fix f;

	fix_open(&f);
	user_receive(f.u, 100);
	peer_write(f.peer, buf, put_frame(buf, 0, 50, 3) - 10); /* not all of it */
	close(f.peer);
	f.peer = -1;
	user_settle(f.u);
	CU_ASSERT_EQUAL(f.u->n, 0);
	CU_ASSERT_EQUAL(f.link.downs, 1);
	CU_ASSERT_EQUAL(f.log.lines, 0);
	fix_close(&f);
	CU_ASSERT_EQUAL(count_fds(), before);
}

/* A driver whose memory is gone loses its frame, not the connection. */
static void test_memory_of_a_frame_is_gone(void)
{
	void *gone = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t buf[100], back[100];
	size_t end = put_frame(buf, 0, 50, 1);
	struct fix f;

	CU_ASSERT_FATAL(gone != MAP_FAILED);
	fix_open(&f);
	CU_ASSERT_TRUE(user_send(f.u, gone, 60));
	user_settle(f.u);
	CU_ASSERT_EQUAL(f.link.downs, 0);
	CU_ASSERT_TRUE(user_send(f.u, buf + LEN_SIZE, 50));
	CU_ASSERT_EQUAL(recv(f.peer, back, sizeof(back), 0), (ssize_t)end);
	CU_ASSERT_EQUAL(memcmp(buf, back, end), 0);
	fix_close(&f);
	munmap(gone, 4096);
}

/* Descriptors that a peer sends along are not kept. */
static void test_descriptors_from_peer(void)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	uint8_t buf[100];
	struct iovec iov = {buf, put_frame(buf, 0, 50, 3)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control.space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	unsigned before;
	int zero = 0;
	struct fix f;

	fix_open(&f);
	before = count_fds();
	user_receive(f.u, 100);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &zero, sizeof(zero));
	CU_ASSERT(sendmsg(f.peer, &m, 0) > 0);
	user_settle(f.u);
	CU_ASSERT_TRUE(user_got(f.u, 0, 50, 3));
	CU_ASSERT_EQUAL(count_fds(), before);
	fix_close(&f);
}

/* ---- the next peer -----------------------------------------------------------------------------
 */

static void check_echo(struct fix *f, int peer, unsigned seq)
{
	uint8_t buf[100], back[100];
	size_t end = put_frame(buf, 0, 50, seq);

	user_drop(f->u);
	user_receive(f->u, 10);
	peer_write(peer, buf, end);
	user_settle(f->u);
	CU_ASSERT_TRUE(user_got(f->u, 0, 50, seq));
	CU_ASSERT_TRUE(user_send(f->u, buf + LEN_SIZE, 50));
	CU_ASSERT_EQUAL(recv(peer, back, sizeof(back), 0), (ssize_t)end);
	CU_ASSERT_EQUAL(memcmp(buf, back, end), 0);
}

static void test_server(void)
{
	unsigned before = count_fds();
	const uint32_t zero = 0;
	struct fix f;
	int a, b;

	fix_open_path(&f, true, 0);
	user_receive(f.u, 10);
	CU_ASSERT_FALSE(port_up(f.port));
	CU_ASSERT_TRUE(user_send(f.u, "01234567890123456789", 20)); /* to nobody */
	a = peer_connect(SOCK_STREAM, PATH);
	user_settle(f.u);
	CU_ASSERT_TRUE(port_up(f.port));
	CU_ASSERT_EQUAL(f.link.ups, 1);
	check_echo(&f, a, 1);
	b = peer_connect(SOCK_STREAM, PATH); /* has to wait */
	CU_ASSERT_EQUAL(vio_loop_manual_run(f.loop, 0), 0);
	check_echo(&f, a, 2);
	close(a);
	user_settle(f.u);
	CU_ASSERT_EQUAL(f.link.downs, 1);
	CU_ASSERT_EQUAL(f.link.ups, 2);
	check_echo(&f, b, 3);
	for (unsigned i = 0; i < 20; i++) { /* one log line for all of them */
		peer_write(b, &zero, sizeof(zero));
		user_settle(f.u);
		CU_ASSERT_TRUE(peer_sees_end(b));
		close(b);
		b = peer_connect(SOCK_STREAM, PATH);
		user_settle(f.u);
		check_echo(&f, b, i);
	}
	CU_ASSERT_EQUAL(f.log.lines, 1);
	user_detach(f.u); /* and a reset of the device keeps the connection */
	fix_attach(&f);
	check_echo(&f, b, 5);
	fix_close(&f);
	CU_ASSERT_TRUE(peer_sees_end(b));
	close(b);
	CU_ASSERT_NOT_EQUAL(access(PATH, F_OK), 0);
	CU_ASSERT_EQUAL(count_fds(), before);
}

static int next_peer(int listener)
{
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static void test_client_reconnects(void)
{
	unsigned before = count_fds();
	const uint32_t garbage = 0xffffffff;
	struct fix f;
	int listener, peer = -1;

	unlink(PATH);
	fix_open_path(&f, false, 5);
	user_receive(f.u, 10);
	for (unsigned i = 0; i < 20; i++)
		vio_loop_manual_run(f.loop, 1); /* nobody there */
	CU_ASSERT_FALSE(port_up(f.port));
	listener = peer_bind(SOCK_STREAM, PATH);
	for (unsigned i = 0; i < 6; i++) {
		TURN_UNTIL(f.loop, (peer = peer >= 0 ? peer : next_peer(listener)) >= 0);
		TURN_UNTIL(f.loop, port_up(f.port));
		check_echo(&f, peer, i);
		if (i % 3 == 1) {
			peer_write(peer, &garbage, sizeof(garbage));
			user_settle(f.u);
		}
		if (i % 3 == 2) { /* the connection is lost while no queue is attached */
			user_detach(f.u);
			close(peer);
			fix_attach(&f);
			user_receive(f.u, 10);
		} else {
			close(peer);
		}
		peer = -1;
	}
	CU_ASSERT_EQUAL(f.log.lines, 1);
	fix_close(&f);
	close(listener);
	unlink(PATH);
	CU_ASSERT_EQUAL(count_fds(), before);
}

/* Without descriptors a server waits; it does not spin. */
static void test_no_descriptors(void)
{
	struct rlimit old, none;
	unsigned busy = 0;
	struct fix f;

	fix_open_path(&f, true, 0);
	f.peer = peer_connect(SOCK_STREAM, PATH);
	MUST(getrlimit(RLIMIT_NOFILE, &old));
	none = old;
	none.rlim_cur = (rlim_t)dup(0); /* the lowest that is free */
	close((int)none.rlim_cur);
	MUST(setrlimit(RLIMIT_NOFILE, &none));
	for (unsigned i = 0; i < 100; i++)
		busy += (unsigned)vio_loop_manual_run(f.loop, 1);
	MUST(setrlimit(RLIMIT_NOFILE, &old));
	CU_ASSERT_EQUAL(busy, 1);
	CU_ASSERT_FALSE(port_up(f.port));
	TURN_UNTIL(f.loop, port_up(f.port));
	check_echo(&f, f.peer, 1);
	fix_close(&f);
}

static CU_TestInfo tests[] = {
	{"what cannot be opened", test_open_refuses},
	{"the path of a server", test_path_of_a_server},
	{"info, and one queue only", test_info_and_attach},
	{"bytes split anywhere", test_every_split},
	{"many frames in one read", test_batch},
	{"the longest frame", test_longest},
	{"no room: nothing is lost", test_no_room},
	{"off: nothing comes", test_off},
	{"lengths that no frame has", test_garbage_lengths},
	{"... while the device has no room", test_garbage_behind_no_room},
	{"the peer goes away", test_peer_closes},
	{"memory of a frame is gone", test_memory_of_a_frame_is_gone},
	{"descriptors from a peer", test_descriptors_from_peer},
	{"a server: one peer after the other", test_server},
	{"a client connects again", test_client_reconnects},
	{"a server without descriptors", test_no_descriptors},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("port stream", tests);
}
