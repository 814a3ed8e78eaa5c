/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What must not come of a guest's packets on the user port: descriptors left, signals, sockets
 * without bound; and the port on each kind of loop.
 */
#include <signal.h>

#include "user_net.h"

/* ---- time
 * ----------------------------------------------------------------------------------------
 */

/*
 * A question, something else that happens, the answer; after a quiet time, as it is in the first
 * test, for libslirp's clock stands at 0 until then.
 */
static void test_first_datagram(void)
{
	struct vio_port_user_config cfg = {0};
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	unsigned port, tcp_port;
	int fd, listener, tcp;
	uint8_t frame[200];
	uint32_t ack;
	struct fix f;
	char buf[8];

	fix_open(&f, &cfg);
	fd = host_socket(SOCK_DGRAM, &port);
	listener = host_socket(SOCK_STREAM, &tcp_port);
	send_arp(&f, 1, HOST);
	CU_ASSERT_TRUE(user_send(f.u, frame, make_udp(frame, GUEST, 5000, HOST, port, "who", 3)));
	CU_ASSERT_EQUAL_FATAL(
		recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &from_len), 3);
	tcp = guest_connect(&f, listener, tcp_port, 6000, &ack);
	user_drop(f.u);
	CU_ASSERT_EQUAL(sendto(fd, "me", 2, 0, (const struct sockaddr *)&from, sizeof(from)), 2);
	CU_ASSERT_TRUE_FATAL(user_wait(f.u, 1));
	CU_ASSERT_TRUE(is_ip(f.u->got[0].data, f.u->got[0].len, IPPROTO_UDP));
	close(tcp);
	close(listener);
	close(fd);
	fix_close(&f);
}

/* ---- bounds ------------------------------------------------------------------------------------
 */

/* Frames without room wait, so many bytes of them, and come in order when there is room. */
static void test_no_room(void)
{
	struct vio_port_user_config cfg = {0};
	struct vio_port_user_counts counts;
	unsigned n = 0;
	struct fix f;

	fix_open(&f, &cfg);
	user_receive(f.u, 2);
	for (unsigned i = 0; i < 10; i++)
		send_arp(&f, 1, i % 2 ? HOST : DNS);
	CU_ASSERT_EQUAL(f.u->n, 2);
	user_settle(f.u);
	CU_ASSERT_EQUAL(f.u->n, 2);
	user_receive(f.u, 3);
	CU_ASSERT_EQUAL(f.u->n, 5);
	user_off(f.u);
	send_arp(&f, 1, DNS);
	user_settle(f.u);
	CU_ASSERT_EQUAL(f.u->n, 5);
	user_receive(f.u, 100);
	CU_ASSERT_EQUAL_FATAL(f.u->n, 11);
	for (unsigned i = 0; i < 11; i++)
		CU_ASSERT_EQUAL(get32(f.u->got[i].data + ETH + 14), i % 2 ? HOST : DNS);
	vio_port_user_count(f.port, &counts);
	CU_ASSERT_EQUAL(counts.dropped, 0);
	user_drop(f.u);
	user_receive(f.u, 0);
	for (unsigned i = 0; i < 5000; i++)
		send_arp(&f, 1, HOST);
	vio_port_user_count(f.port, &counts);
	CU_ASSERT(counts.dropped > 0);
	for (unsigned i = 0; i < 100 && n + counts.dropped < 5000; i++) {
		user_receive(f.u, 1000);
		n += f.u->n;
		user_drop(f.u);
	}
	CU_ASSERT_EQUAL(n + counts.dropped, 5000);
	fix_close(&f);
}

/* However many connections the guest asks for, and in whichever way. */
static void test_max_sockets(void)
{
	struct vio_port_user_config cfg = {.max_sockets = 5};
	unsigned before = count_fds(), port, udp_port, open;
	struct vio_port_user_counts counts;
	uint8_t frame[200];
	struct fix f;
	int listener, udp;

	fix_open(&f, &cfg);
	listener = host_socket(SOCK_STREAM, &port);
	udp = host_socket(SOCK_DGRAM, &udp_port); /* nobody there: the socket would end */
	open = count_fds();
	send_arp(&f, 1, HOST);
	for (unsigned i = 0; i < 100; i++) {
		send_tcp(&f, 3000 + i, port, ISN, 0, SYN, NULL, 0);
		user_send(f.u, frame, make_udp(frame, GUEST, 3000 + i, HOST, udp_port, "x", 1));
		if (i % 10 == 0)
			user_settle(f.u);
		vio_port_user_count(f.port, &counts);
		CU_ASSERT(counts.sockets <= 5);
	}
	CU_ASSERT_EQUAL(counts.sockets, 5);
	CU_ASSERT_EQUAL(counts.refused, 195);
	CU_ASSERT_EQUAL(count_fds(), open + 5);
	check_dhcp(&f, GUEST);		   /* goes on */
	for (unsigned i = 0; i < 100; i++) /* resets free sockets */
		send_tcp(&f, 3000 + i, port, ISN + 1, 0, RST, NULL, 0);
	user_settle(f.u);
	vio_port_user_count(f.port, &counts);
	CU_ASSERT(counts.sockets < 5);
	close(listener);
	close(udp);
	fix_close(&f);
	CU_ASSERT_EQUAL(count_fds(), before);
}

/* Whoever connects to a forward beyond that waits. */
static void test_max_sockets_in(void)
{
	unsigned before = count_fds(), port = free_port(SOCK_STREAM), open;
	char text[64];
	const char *forwards[] = {text, NULL};
	struct vio_port_user_config cfg = {.hostfwd = forwards, .max_sockets = 3};
	struct vio_port_user_counts counts;
	struct fix f;
	int fd[6];

	snprintf(text, sizeof(text), "tcp:127.0.0.1:%u-:22", port);
	fix_open(&f, &cfg);
	send_arp(&f, 1, HOST);
	open = count_fds();
	for (unsigned i = 0; i < 6; i++) {
		fd[i] = host_connect(port);
		user_settle(f.u);
	}
	vio_port_user_count(f.port, &counts);
	CU_ASSERT_EQUAL(counts.sockets, 3);
	CU_ASSERT_EQUAL(count_fds(), open + 6 + 3);
	for (unsigned i = 0; i < 6; i++)
		close(fd[i]);
	fix_close(&f);
	CU_ASSERT_EQUAL(count_fds(), before);
}

/* libslirp writes to a connection that is gone: no SIGPIPE, now or later. */
static void test_no_signal(void)
{
	struct vio_port_user_config cfg = {0};
	unsigned port;
	sigset_t pending;
	struct fix f;
	int listener, fd;
	uint32_t ack;

	fix_open(&f, &cfg);
	listener = host_socket(SOCK_STREAM, &port);
	send_arp(&f, 1, HOST);
	fd = guest_connect(&f, listener, port, 4000, &ack);
	close(fd);
	send_tcp(&f, 4000, port, ISN + 1, ack, ACK | PSH, "a", 1);
	send_tcp(&f, 4000, port, ISN + 2, ack, ACK | PSH, "b", 1);
	send_tcp(&f, 4000, port, ISN + 3, ack, ACK | PSH, "c", 1);
	sigpending(&pending);
	CU_ASSERT_EQUAL(sigismember(&pending, SIGPIPE), 0);
	user_settle(f.u);
	close(listener);
	fix_close(&f);
}

/* Frames of every length and content; what comes of them is libslirp's business. */
static void test_nonsense(void)
{
	struct vio_port_user_config cfg = {.ipv6 = true, .restricted = true};
	static const unsigned types[] = {0x0800, 0x0806, 0x86dd, 0x88f8, 0x1234};
	static uint8_t frame[VIO_FRAME_MAX];
	unsigned x = 1;
	struct fix f;

	fix_open(&f, &cfg);
	for (unsigned i = 0; i < 3000; i++) {
		size_t len = i % 50 == 0 ? VIO_FRAME_MAX - i : peer_len(i, 1500);

		for (size_t k = 0; k < len; k++) {
			x = x * 1664525 + 1013904223;
			frame[k] = (uint8_t)(x >> 24);
		}
		put_eth(frame, types[i % VIO_ARRAY_LEN(types)]);
		if (i % 3 == 0 && len > ETH)
			frame[ETH] = i % 5 == 0 ? 0x45 : 0x60;
		CU_ASSERT_TRUE(user_send(f.u, frame, len));
		user_drop(f.u);
		user_receive(f.u, 1000);
	}
	CU_ASSERT_TRUE(user_send(f.u, frame, 5)); /* no frame at all */
	user_settle(f.u);
	CU_ASSERT(f.log.lines <= 1);
	fix_close(&f);
}

/* ---- on every loop -----------------------------------------------------------------------------
 */

struct caller {
	struct fix f;
	uint8_t frame[400];
	size_t len;
	unsigned n;
	struct user_frame *first;
};

static void do_attach(void *arg)
{
	struct caller *c = arg;

	c->f.u = user_attach(c->f.port, c->f.loop, 0);
	user_receive(c->f.u, 100);
}

static void do_send(void *arg)
{
	struct caller *c = arg;

	c->n = 0;
	user_drop(c->f.u);
	user_send(c->f.u, c->frame, c->len);
}

static void do_look(void *arg)
{
	struct caller *c = arg;

	c->n = c->f.u->n;
}

static void do_detach(void *arg)
{
	struct caller *c = arg;

	user_detach(c->f.u);
}

/* A lookup over UDP, which needs the port's descriptors and timers on the loop. */
static void answers_on(struct looper *l)
{
	struct vio_port_user_config cfg = {0};
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	struct caller c = {0};
	unsigned port;
	char buf[20];
	int fd = host_socket(SOCK_DGRAM, &port);

	MUST(vio_port_user_open(&cfg, &c.f.port));
	c.f.loop = l->loop;
	for (unsigned round = 0; round < 2; round++) {
		vio_loop_call(l->loop, do_attach, &c);
		c.len = make_arp(c.frame, 1, HOST);
		vio_loop_call(l->loop, do_send, &c);
		c.len = make_udp(c.frame, GUEST, 5000, HOST, port, "hello", 5);
		vio_loop_call(l->loop, do_send, &c);
		turns(l, SOME_TURNS);
		CU_ASSERT_EQUAL_FATAL(
			recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &from_len), 5);
		CU_ASSERT_EQUAL(
			sendto(fd, "back", 4, 0, (const struct sockaddr *)&from, sizeof(from)), 4);
		for (unsigned i = 0; i < 5000 && c.n == 0; i++) {
			turns(l, 1);
			nap();
			vio_loop_call(l->loop, do_look, &c);
		}
		CU_ASSERT_EQUAL(c.n, 1);
		vio_loop_call(l->loop, do_detach, &c);
	}
	vio_port_close(c.f.port);
	close(fd);
}

static void test_each_loop(void)
{
	unsigned before = count_fds();

	on_each_loop(answers_on);
	CU_ASSERT_EQUAL(count_fds(), before);
}

static CU_TestInfo tests[] = {
	{"the first datagram", test_first_datagram},
	{"no room: frames wait, to a bound", test_no_room},
	{"no more sockets than allowed", test_max_sockets},
	{"... nor through a forward", test_max_sockets_in},
	{"no signal", test_no_signal},
	{"nonsense", test_nonsense},
	{"on each kind of loop", test_each_loop},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("port user, bounds", tests);
}
