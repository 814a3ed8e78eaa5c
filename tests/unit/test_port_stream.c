/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stream port: framing however the bytes come, backpressure both ways without a loss, peers
 * that go away or send nonsense, and that there is always a next peer.
 */
#include <sys/mman.h>

#include "port_shuttle.h"

#define PATH	  "port-stream-test.sock"
#define LEN_SIZE  4u
#define TEST_IOVS 1100u

struct fix {
	struct vio_loop *loop;
	struct vio_port *port;
	struct port_user *u;
	struct peer_log log;
	struct peer_link link;
	int peer; /* our end */
};

static void fix_attach(struct fix *f)
{
	f->port->user = &f->link;
	f->port->on_link = peer_on_link;
	f->u = user_attach(f->port, f->loop, 0);
}

/* A port on one end of a pair; we have the other. */
static void fix_open(struct fix *f)
{
	struct vio_port_stream_config cfg = {0};
	int fd[2];

	memset(f, 0, sizeof(*f));
	peer_log_init(&f->log);
	peer_pair(SOCK_STREAM, fd);
	cfg.fd = fd[0];
	cfg.log = &f->log.log;
	f->peer = fd[1];
	MUST(vio_loop_manual_create(&f->loop));
	MUST(vio_port_stream_open(&cfg, &f->port));
	fix_attach(f);
}

static void fix_open_path(struct fix *f, bool server, unsigned reconnect_ms)
{
	struct vio_port_stream_config cfg = {
		.path = PATH, .server = server, .reconnect_ms = reconnect_ms, .log = &f->log.log};

	memset(f, 0, sizeof(*f));
	peer_log_init(&f->log);
	f->peer = -1;
	MUST(vio_loop_manual_create(&f->loop));
	MUST(vio_port_stream_open(&cfg, &f->port));
	fix_attach(f);
}

static void fix_close(struct fix *f)
{
	user_detach(f->u);
	CU_ASSERT_EQUAL(vio_loop_manual_run(f->loop, 0), 0);
	vio_port_close(f->port);
	vio_loop_destroy(f->loop);
	if (f->peer >= 0)
		close(f->peer);
}

/* Appends a frame with its length; returns the new end. */
static size_t put_frame(uint8_t *buf, size_t at, uint32_t len, unsigned seq)
{
	uint32_t be = htobe32(len);

	memcpy(buf + at, &be, LEN_SIZE);
	peer_fill(buf + at + LEN_SIZE, len, seq);
	return at + LEN_SIZE + len;
}

static void peer_write(int fd, const void *data, size_t len)
{
	CU_ASSERT_EQUAL_FATAL(send(fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

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

static bool peer_sees_end(int fd)
{
	char c;

	return recv(fd, &c, 1, 0) == 0 || errno == ECONNRESET;
}

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

/* ---- sending -----------------------------------------------------------------------------------
 */

/* What a peer has read so far. */
struct reader {
	uint8_t buf[LEN_SIZE + VIO_FRAME_MAX];
	size_t have;
	unsigned frames; /* right ones */
	uint32_t max;	 /* lengths are peer_len(frame, max) */
	bool bad;
};

static void reader_parse(struct reader *r)
{
	uint32_t len;

	while (r->have >= LEN_SIZE) {
		memcpy(&len, r->buf, LEN_SIZE);
		len = be32toh(len);
		if (len != peer_len(r->frames, r->max)) {
			r->bad = true;
			return;
		}
		if (r->have < LEN_SIZE + len)
			return;
		r->bad |= !peer_is(r->buf + LEN_SIZE, len, r->frames);
		r->frames++;
		r->have -= LEN_SIZE + len;
		memmove(r->buf, r->buf + LEN_SIZE + len, r->have);
	}
}

/* Reads up to `most` bytes. */
static void reader_read(struct reader *r, int fd, size_t most)
{
	size_t space = sizeof(r->buf) - r->have;
	ssize_t n = recv(fd, r->buf + r->have, most < space ? most : space, MSG_DONTWAIT);

	if (n > 0)
		r->have += (size_t)n;
	reader_parse(r);
}

/* Frames first..first+n, each in pieces. */
/* A peer that reads slowly, in pieces of `step` bytes, gets each frame once and in order. */
static void send_slowly(size_t step)
{
	static struct reader r;
	static struct frames s;
	struct vio_port_stream_config cfg = {0};
	unsigned sent = 0, refused = 0;
	struct fix f;
	int fd[2];

	memset(&f, 0, sizeof(f));
	memset(&r, 0, sizeof(r));
	r.max = 1500;
	peer_pair(SOCK_STREAM, fd);
	peer_small_buffer(fd[0]);
	cfg.fd = fd[0];
	f.peer = fd[1];
	MUST(vio_loop_manual_create(&f.loop));
	MUST(vio_port_stream_open(&cfg, &f.port));
	fix_attach(&f);
	for (unsigned i = 0; i < 1000000 && r.frames < MANY && !r.bad; i++) {
		unsigned n = MANY - sent < 64 ? MANY - sent : 64, took;

		if (n > 0 && (sent == 0 || refused == 0 || f.u->n_writable > 0)) {
			f.u->n_writable = 0;
			frames_fill(&s, sent, n, 1500);
			took = vio_port_send(f.u->pq, s.f, n);
			sent += took;
			refused += took < n;
			CU_ASSERT_EQUAL(f.u->n_writable, 0);  /* not from inside */
			memset(s.data, 0xee, sizeof(s.data)); /* nothing is referred to any more */
		}
		if (i % 1000 == 500) { /* in the middle of a frame, too */
			user_detach(f.u);
			fix_attach(&f);
			f.u->n_writable = 1; /* a new queue may send at once */
		}
		reader_read(&r, f.peer, step);
		vio_loop_manual_run(f.loop, 0);
	}
	CU_ASSERT_FALSE(r.bad);
	CU_ASSERT_EQUAL(r.frames, MANY);
	CU_ASSERT(refused > 0);
	user_settle(f.u);
	CU_ASSERT_EQUAL(vio_loop_manual_run(f.loop, 0), 0);
	fix_close(&f);
}

/* A frame that is on its way in part arrives, also when the next queue never sends. */
static void test_rest_without_sends(void)
{
	static struct reader r;
	static struct frames s;
	struct fix f;
	unsigned sent = 0, took;

	memset(&r, 0, sizeof(r));
	r.max = 1500;
	fix_open(&f);
	do {
		frames_fill(&s, sent, 64, 1500);
		took = vio_port_send(f.u->pq, s.f, 64);
		sent += took;
	} while (took == 64 && sent < 100000);
	user_detach(f.u);
	fix_attach(&f);
	for (unsigned i = 0; i < 100000 && r.frames < sent && !r.bad; i++) {
		reader_read(&r, f.peer, 65536);
		vio_loop_manual_run(f.loop, 0);
	}
	CU_ASSERT_EQUAL(r.frames, sent);
	CU_ASSERT_EQUAL(r.have, 0);
	CU_ASSERT_FALSE(r.bad);
	user_settle(f.u);
	CU_ASSERT_EQUAL(f.u->n_writable, 0); /* that was the last queue's */
	fix_close(&f);
}

static void test_send_slowly(void)
{
	static const size_t steps[] = {7, 61, 509, 4099, 100000};

	for (unsigned i = 0; i < VIO_ARRAY_LEN(steps); i++)
		send_slowly(steps[i]);
}

/* Frames that cannot be sent are done with; those around them go. */
static void test_send_unfit(void)
{
	static uint8_t big[VIO_FRAME_MAX + 1];
	struct iovec iov[6] = {{big, 13}, {big, 14}, {big, 60}, {big, 60}, {big, sizeof(big)}};
	struct vio_frame s[6] = {0};
	uint8_t back[200];
	uint32_t len;
	struct fix f;

	iov[5] = (struct iovec){big, 70};
	for (unsigned i = 0; i < 6; i++)
		s[i] = (struct vio_frame){
			.iov = &iov[i], .n_iov = 1, .len = (uint32_t)iov[i].iov_len};
	s[2].hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	s[3].hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	fix_open(&f);
	CU_ASSERT_EQUAL(vio_port_send(f.u->pq, s, 6), 6);
	CU_ASSERT_EQUAL(vio_port_send(f.u->pq, s, 0), 0);
	CU_ASSERT_EQUAL(vio_port_send(f.u->pq, s, 1), 1);
	CU_ASSERT_EQUAL(recv(f.peer, back, sizeof(back), 0), 18 + 74);
	memcpy(&len, back, 4);
	CU_ASSERT_EQUAL(be32toh(len), 14);
	memcpy(&len, back + 18, 4);
	CU_ASSERT_EQUAL(be32toh(len), 70);
	fix_close(&f);
}

/* A frame in more pieces than one sendmsg() takes, between others. */
static void test_send_many_pieces(void)
{
	static uint8_t data[TEST_IOVS], back[4096];
	static struct iovec iov[TEST_IOVS];
	struct iovec one = {data, 60};
	struct vio_frame s[3] = {{.iov = &one, .n_iov = 1, .len = 60},
				 {.iov = iov, .n_iov = TEST_IOVS, .len = TEST_IOVS},
				 {.iov = &one, .n_iov = 1, .len = 60}};
	struct fix f;

	peer_fill(data, sizeof(data), 9);
	for (unsigned i = 0; i < TEST_IOVS; i++)
		iov[i] = (struct iovec){data + i, 1};
	fix_open(&f);
	for (unsigned pieces = 1020; pieces <= TEST_IOVS; pieces += pieces < 1026 ? 1 : 74) {
		s[1].n_iov = s[1].len = pieces;
		CU_ASSERT_EQUAL(vio_port_send(f.u->pq, s, 3), 3);
		CU_ASSERT_EQUAL(recv(f.peer, back, sizeof(back), 0), (ssize_t)(132 + pieces));
		CU_ASSERT_TRUE(peer_is(back + 4, 60, 9));
		CU_ASSERT_TRUE(peer_is(back + 68, pieces, 9));
		CU_ASSERT_TRUE(peer_is(back + 72 + pieces, 60, 9));
	}
	fix_close(&f);
}

/* The peer goes while frames wait for it: no signal, and the device need not wait for ever. */
static void test_close_during_send(void)
{
	static struct frames s;
	unsigned sent = 0, took;
	struct fix f;

	fix_open(&f);
	do {
		frames_fill(&s, 0, 64, 1500);
		took = vio_port_send(f.u->pq, s.f, 64);
		sent += took;
	} while (took == 64 && sent < 100000);
	CU_ASSERT_FATAL(took < 64);
	close(f.peer);
	f.peer = -1;
	user_settle(f.u);
	CU_ASSERT_EQUAL(f.u->n_writable, 1);
	CU_ASSERT_EQUAL(f.link.downs, 1);
	CU_ASSERT_EQUAL(vio_port_send(f.u->pq, s.f, 64), 64);
	CU_ASSERT_EQUAL(vio_loop_manual_run(f.loop, 0), 0);
	fix_close(&f);
	fix_open(&f); /* and found by the send itself */
	close(f.peer);
	f.peer = -1;
	CU_ASSERT_EQUAL(vio_port_send(f.u->pq, s.f, 64), 64);
	CU_ASSERT_EQUAL(f.link.downs, 0); /* not from inside */
	user_settle(f.u);
	CU_ASSERT_EQUAL(f.link.downs, 1);
	fix_close(&f);
}

/* ---- on every loop -----------------------------------------------------------------------------
 */

static void both_ways(struct looper *l)
{
	static uint8_t out[MANY * 1600];
	static struct reader r;
	static struct shuttle t;
	struct vio_port_stream_config cfg = {0};
	size_t end = 0, written = 0;
	int fd[2];

	memset(&t, 0, sizeof(t));
	memset(&r, 0, sizeof(r));
	r.max = 1500;
	for (unsigned i = 0; i < MANY; i++)
		end = put_frame(out, end, peer_len(i, 1500), i);
	peer_pair(SOCK_STREAM, fd);
	peer_small_buffer(fd[0]);
	cfg.fd = fd[0];
	t.loop = l->loop;
	MUST(vio_port_stream_open(&cfg, &t.port));
	vio_loop_call(l->loop, shuttle_attach, &t);
	for (unsigned i = 0; i < 20000 && (t.got < MANY || r.frames < MANY); i++) {
		ssize_t n = send(fd[1], out + written, end - written, MSG_NOSIGNAL);

		written += n > 0 ? (size_t)n : 0;
		reader_read(&r, fd[1], 3000);
		vio_loop_call(l->loop, shuttle_step, &t);
		turns(l, 1);
	}
	CU_ASSERT_EQUAL(t.got, MANY);
	CU_ASSERT_EQUAL(r.frames, MANY);
	CU_ASSERT_FALSE(t.bad || r.bad);
	vio_loop_call(l->loop, shuttle_detach, &t);
	vio_port_close(t.port);
	turns(l, SOME_TURNS);
	CU_ASSERT_TRUE(peer_sees_end(fd[1]));
	close(fd[1]);
}

static void test_both_ways(void)
{
	on_each_loop(both_ways);
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
	{"a slow peer: nothing is lost", test_send_slowly},
	{"the rest of a frame", test_rest_without_sends},
	{"frames that cannot be sent", test_send_unfit},
	{"frames of many pieces", test_send_many_pieces},
	{"the peer goes away during a send", test_close_during_send},
	{"both ways, on each kind of loop", test_both_ways},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("port stream", tests);
}
