/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dgram port: a frame is a datagram; backpressure both ways without a loss; peers that are not
 * there, go away, come back, or send what is no frame.
 */
#include <sys/mman.h>

#include "port_shuttle.h"

#define LOCAL  "port-dgram-test.local"
#define REMOTE "port-dgram-test.remote"

struct fix {
	struct vio_loop *loop;
	struct vio_port *port;
	struct port_user *u;
	struct peer_link link;
	int peer;
};

static void fix_attach(struct fix *f)
{
	f->port->user = &f->link;
	f->port->on_link = peer_on_link;
	f->u = user_attach(f->port, f->loop, 0);
}

/* A port on one end of a pair, or between paths; we have the other end, unless `alone`. */
static void fix_open(struct fix *f, bool paths, bool alone)
{
	struct vio_port_dgram_config cfg = {0};
	int fd[2];

	memset(f, 0, sizeof(*f));
	f->peer = -1;
	if (paths) {
		cfg.local = LOCAL;
		cfg.remote = REMOTE;
		unlink(REMOTE);
		if (!alone)
			f->peer = peer_bind(SOCK_DGRAM, REMOTE);
	} else {
		peer_pair(SOCK_DGRAM, fd);
		cfg.fd = fd[0];
		f->peer = fd[1];
	}
	MUST(vio_loop_manual_create(&f->loop));
	MUST(vio_port_dgram_open(&cfg, &f->port));
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
	unlink(REMOTE);
}

/* To the port, from wherever. False: no room there. */
static bool peer_send(int fd, bool paths, const void *data, size_t len)
{
	struct sockaddr_un a = peer_addr(LOCAL);
	ssize_t n;

	if (paths)
		n = sendto(fd, data, len, MSG_NOSIGNAL, (struct sockaddr *)&a, sizeof(a));
	else
		n = send(fd, data, len, MSG_NOSIGNAL);
	return n == (ssize_t)len;
}

static bool peer_send_seq(int fd, bool paths, unsigned seq, uint32_t max)
{
	static uint8_t data[VIO_FRAME_MAX];
	uint32_t len = peer_len(seq, max);

	peer_fill(data, len, seq);
	return peer_send(fd, paths, data, len);
}

/* One datagram, which must be frame `seq`. False: none is there. */
static bool peer_recv_seq(int fd, unsigned seq, uint32_t max)
{
	static uint8_t data[VIO_FRAME_MAX + 1];
	ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);

	if (n < 0)
		return false;
	CU_ASSERT_EQUAL(n, peer_len(seq, max));
	CU_ASSERT_TRUE(peer_is(data, (size_t)n, seq));
	return true;
}

/* ---- opening -----------------------------------------------------------------------------------
 */

static int try_open(const char *local, const char *remote, int fd)
{
	struct vio_port_dgram_config cfg = {.local = local, .remote = remote, .fd = fd};
	struct vio_port *port;
	int r = vio_port_dgram_open(&cfg, &port);

	if (r == 0)
		vio_port_close(port);
	return r;
}

static void test_open_refuses(void)
{
	unsigned before = count_fds();
	int fd[2], bound;

	CU_ASSERT_EQUAL(try_open(LOCAL, NULL, -1), -EINVAL);
	CU_ASSERT_EQUAL(try_open(NULL, REMOTE, -1), -EINVAL);
	CU_ASSERT_EQUAL(try_open(LOCAL, "", -1), -EINVAL);
	CU_ASSERT_EQUAL(try_open("", REMOTE, -1), -EINVAL);
	CU_ASSERT_EQUAL(try_open(NULL, NULL, -1), -EBADF);
	peer_pair(SOCK_STREAM, fd);
	CU_ASSERT_EQUAL(try_open(NULL, NULL, fd[0]), -EINVAL);
	close(fd[0]);
	close(fd[1]);
	bound = peer_bind(SOCK_DGRAM, LOCAL);
	CU_ASSERT_EQUAL(try_open(NULL, NULL, bound), -EINVAL); /* not connected */
	CU_ASSERT_EQUAL(try_open(LOCAL, REMOTE, -1), -EADDRINUSE);
	close(bound);
	CU_ASSERT_EQUAL(try_open(LOCAL, REMOTE, -1), 0); /* a dead one is replaced */
	CU_ASSERT_NOT_EQUAL(access(LOCAL, F_OK), 0);
	CU_ASSERT_EQUAL(count_fds(), before);
}

static void test_info_and_attach(void)
{
	struct vio_port_info info;
	struct vio_port_queue *pq;
	struct fix f;

	fix_open(&f, true, true);
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

static void receive_all(bool paths)
{
	unsigned sent = 0, got = 0;
	struct fix f;

	fix_open(&f, paths, false);
	for (unsigned round = 0; got < MANY && round < 10000; round++) {
		while (sent < MANY && peer_send_seq(f.peer, paths, sent, 3000))
			sent++;
		user_receive(f.u, round % 7);
		user_settle(f.u);
		for (unsigned i = 0; i < f.u->n; i++, got++)
			CU_ASSERT_TRUE(user_got(f.u, i, peer_len(got, 3000), got));
		user_drop(f.u);
		if (round % 5 == 4)
			user_off(f.u);
		if (round % 11 == 10) {
			user_detach(f.u);
			fix_attach(&f);
		}
		CU_ASSERT_EQUAL(vio_loop_manual_run(f.loop, 0), 0);
	}
	CU_ASSERT_EQUAL(got, MANY);
	fix_close(&f);
}

static void test_receive(void)
{
	receive_all(false);
	receive_all(true);
}

/* No frame has such a length; those around are received. */
static void test_receive_unfit(void)
{
	static uint8_t data[VIO_FRAME_MAX + 2];
	struct fix f;

	fix_open(&f, true, false);
	user_receive(f.u, 100);
	CU_ASSERT_TRUE(peer_send(f.peer, true, data, 0));
	CU_ASSERT_TRUE(peer_send(f.peer, true, data, 13));
	peer_fill(data, 14, 1);
	CU_ASSERT_TRUE(peer_send(f.peer, true, data, 14));
	CU_ASSERT_TRUE(peer_send(f.peer, true, data, VIO_FRAME_MAX + 1));
	peer_fill(data, VIO_FRAME_MAX, 2);
	CU_ASSERT_TRUE(peer_send(f.peer, true, data, VIO_FRAME_MAX));
	user_settle(f.u);
	CU_ASSERT_EQUAL(f.u->n, 2);
	CU_ASSERT_TRUE(user_got(f.u, 0, 14, 1) && user_got(f.u, 1, VIO_FRAME_MAX, 2));
	fix_close(&f);
}

/* ---- sending -----------------------------------------------------------------------------------
 */

/*
 * A peer that reads now and then gets each frame once and in order, and while it does not the loop
 * has nothing to do. Long frames fill our socket's buffer, short ones the peer's queue.
 */
static void send_slowly(bool paths, uint32_t max)
{
	static struct frames s;
	unsigned sent = 0, got = 0, refused = 0;
	bool blocked = false;
	struct fix f;

	fix_open(&f, paths, false);
	for (unsigned i = 0; i < 20000 && got < MANY; i++) {
		unsigned n = MANY - sent < 64 ? MANY - sent : 64, took;

		if (n > 0 && (!blocked || f.u->n_writable > 0)) {
			f.u->n_writable = 0;
			frames_fill(&s, sent, n, max);
			took = vio_port_send(f.u->pq, s.f, n);
			sent += took;
			blocked = took < n;
			refused += blocked;
			CU_ASSERT_EQUAL(f.u->n_writable, 0); /* not from inside */
		}
		if (blocked) {
			user_settle(f.u);
			CU_ASSERT_EQUAL(vio_loop_manual_run(f.loop, 0), 0); /* sleeps meanwhile */
		}
		if (i % 50 == 49) {
			user_detach(f.u);
			fix_attach(&f);
			blocked = false;
		}
		for (unsigned k = 0; k < 1 + i % 5 && peer_recv_seq(f.peer, got, max); k++)
			got++;
		vio_loop_manual_run(f.loop, 0);
	}
	CU_ASSERT_EQUAL(sent, MANY);
	CU_ASSERT_EQUAL(got, MANY);
	CU_ASSERT(refused > 0);
	user_settle(f.u);
	CU_ASSERT_EQUAL(vio_loop_manual_run(f.loop, 0), 0);
	fix_close(&f);
}

static void test_send_slowly(void)
{
	send_slowly(false, 1500);
	send_slowly(false, VIO_FRAME_MAX);
	send_slowly(true, 1500);
	send_slowly(true, VIO_FRAME_MAX);
}

static void test_send_unfit(void)
{
	static uint8_t data[VIO_FRAME_MAX + 1];
	static struct iovec many[1100];
	struct iovec iov[6] = {{data, 13}, {data, 14},		 {data, 60},
			       {data, 60}, {data, sizeof(data)}, {data, 14}};
	struct vio_frame s[7];
	struct fix f;

	for (unsigned i = 0; i < 6; i++)
		s[i] = (struct vio_frame){
			.iov = &iov[i], .n_iov = 1, .len = (uint32_t)iov[i].iov_len};
	for (unsigned i = 0; i < VIO_ARRAY_LEN(many); i++)
		many[i] = (struct iovec){data, 1};
	s[2].hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	s[3].hdr.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
	s[6] = (struct vio_frame){.iov = many, .n_iov = 1100, .len = 1100};
	fix_open(&f, true, false);
	CU_ASSERT_EQUAL(vio_port_send(f.u->pq, s, 7), 7);
	CU_ASSERT_EQUAL(vio_port_send(f.u->pq, s, 1), 1);
	CU_ASSERT_EQUAL(recv(f.peer, data, sizeof(data), 0), 14);
	CU_ASSERT_EQUAL(recv(f.peer, data, sizeof(data), 0), 14);
	CU_ASSERT(recv(f.peer, data, sizeof(data), 0) < 0);
	fix_close(&f);
}

/* A driver whose memory is gone loses that frame; those around it pass. */
static void test_memory_of_a_frame_is_gone(void)
{
	void *gone = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t data[60] = {0}, back[100];
	struct iovec iov[3] = {{data, 60}, {gone, 60}, {data, 50}};
	struct vio_frame s[3];
	struct fix f;

	CU_ASSERT_FATAL(gone != MAP_FAILED);
	for (unsigned i = 0; i < 3; i++)
		s[i] = (struct vio_frame){
			.iov = &iov[i], .n_iov = 1, .len = (uint32_t)iov[i].iov_len};
	fix_open(&f, true, false);
	CU_ASSERT_EQUAL(vio_port_send(f.u->pq, s, 3), 3);
	CU_ASSERT_EQUAL(recv(f.peer, back, sizeof(back), 0), 60);
	CU_ASSERT_EQUAL(recv(f.peer, back, sizeof(back), 0), 50);
	CU_ASSERT(recv(f.peer, back, sizeof(back), 0) < 0);
	fix_close(&f);
	munmap(gone, 4096);
}

/* Nobody at the other end: dropped, the link stays; somebody new there is heard and served. */
static void test_peer_comes_and_goes(void)
{
	unsigned before = count_fds();
	static struct frames s;
	struct fix f;

	fix_open(&f, true, true);
	user_receive(f.u, 100);
	frames_fill(&s, 0, 64, 200);
	CU_ASSERT_EQUAL(vio_port_send(f.u->pq, s.f, 64), 64); /* no such path */
	for (unsigned i = 0; i < 3; i++) {
		unsigned took;

		f.peer = peer_bind(SOCK_DGRAM, REMOTE);
		user_drop(f.u);
		CU_ASSERT_TRUE(peer_send_seq(f.peer, true, i, 200)); /* heard before we send */
		user_settle(f.u);
		CU_ASSERT_TRUE(user_got(f.u, 0, peer_len(i, 200), i));
		took = vio_port_send(f.u->pq, s.f, 64);
		CU_ASSERT(took > 0 && took < 64);
		CU_ASSERT_TRUE(peer_recv_seq(f.peer, 0, 200));
		while (vio_port_send(f.u->pq, s.f, 1) == 1)
			; /* full again */
		user_settle(f.u);
		f.u->n_writable = 0;
		close(f.peer); /* while we wait for room */
		f.peer = -1;
		user_settle(f.u);
		CU_ASSERT_EQUAL(f.u->n_writable, 1);
		CU_ASSERT_EQUAL(vio_port_send(f.u->pq, s.f, 64), 64); /* refused */
		CU_ASSERT_EQUAL(vio_loop_manual_run(f.loop, 0), 0);
	}
	CU_ASSERT_EQUAL(f.link.ups + f.link.downs, 0);
	CU_ASSERT_TRUE(port_up(f.port));
	fix_close(&f);
	fix_open(&f, false, false); /* the same with a pair, whose peer never comes back */
	close(f.peer);
	f.peer = -1;
	user_receive(f.u, 100);
	CU_ASSERT_EQUAL(vio_port_send(f.u->pq, s.f, 64), 64);
	CU_ASSERT_EQUAL(vio_port_send(f.u->pq, s.f, 64), 64);
	user_settle(f.u);
	CU_ASSERT_EQUAL(vio_loop_manual_run(f.loop, 0), 0);
	fix_close(&f);
	CU_ASSERT_EQUAL(count_fds(), before);
}

/* A peer that is connected to us takes no second socket; what we send still arrives. */
static void test_connected_peer(void)
{
	struct sockaddr_un a = peer_addr(LOCAL);
	static struct frames s;
	unsigned sent = 0, got = 0;
	struct fix f;

	fix_open(&f, true, false);
	MUST(connect(f.peer, (struct sockaddr *)&a, sizeof(a)));
	for (unsigned i = 0; i < 20000 && got < MANY; i++) {
		unsigned n = MANY - sent < 64 ? MANY - sent : 64;

		frames_fill(&s, sent, n, 3000);
		sent += vio_port_send(f.u->pq, s.f, n);
		user_settle(f.u);
		while (peer_recv_seq(f.peer, got, 3000))
			got++;
	}
	CU_ASSERT_EQUAL(got, MANY);
	fix_close(&f);
}

/* ---- on every loop -----------------------------------------------------------------------------
 */

static void both_ways(struct looper *l)
{
	struct vio_port_dgram_config cfg = {.local = LOCAL, .remote = REMOTE};
	static struct shuttle t;
	unsigned sent = 0, got = 0;
	int peer;

	memset(&t, 0, sizeof(t));
	peer = peer_bind(SOCK_DGRAM, REMOTE);
	t.loop = l->loop;
	MUST(vio_port_dgram_open(&cfg, &t.port));
	vio_loop_call(l->loop, shuttle_attach, &t);
	for (unsigned i = 0; i < 20000 && (t.got < MANY || got < MANY); i++) {
		while (sent < MANY && peer_send_seq(peer, true, sent, 1500))
			sent++;
		if (got < MANY)
			got += peer_recv_seq(peer, got, 1500);
		vio_loop_call(l->loop, shuttle_step, &t);
		turns(l, 1);
	}
	CU_ASSERT_EQUAL(t.got, MANY);
	CU_ASSERT_EQUAL(got, MANY);
	CU_ASSERT_FALSE(t.bad);
	vio_loop_call(l->loop, shuttle_detach, &t);
	vio_port_close(t.port);
	turns(l, SOME_TURNS);
	close(peer);
	unlink(REMOTE);
}

static void test_both_ways(void)
{
	on_each_loop(both_ways);
}

static CU_TestInfo tests[] = {
	{"what cannot be opened", test_open_refuses},
	{"info, and one queue only", test_info_and_attach},
	{"receiving: nothing is lost", test_receive},
	{"datagrams that are no frames", test_receive_unfit},
	{"a slow peer: nothing is lost", test_send_slowly},
	{"frames that cannot be sent", test_send_unfit},
	{"memory of a frame is gone", test_memory_of_a_frame_is_gone},
	{"peers come and go", test_peer_comes_and_goes},
	{"a peer that is connected", test_connected_peer},
	{"both ways, on each kind of loop", test_both_ways},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("port dgram", tests);
}
