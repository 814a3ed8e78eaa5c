/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The user port: a guest's packets in the network that libslirp plays: DHCP, ARP, ping, router
 * advertisements, UDP and TCP out, TCP in through a forward. Its bounds are in
 * test_port_user_bounds.c.
 */
#include "user_net.h"

/* ---- opening -----------------------------------------------------------------------------------
 */

static int try_open(const struct vio_port_user_config *cfg)
{
	struct vio_port *port;
	int r = vio_port_user_open(cfg, &port);

	if (r == 0)
		vio_port_close(port);
	return r;
}

#define TRY(...) try_open(&(struct vio_port_user_config){__VA_ARGS__})

static int try_forward(const char *text)
{
	const char *list[] = {text, NULL};

	return TRY(.hostfwd = list);
}

static void test_config(void)
{
	static const char *const bad_forwards[] = {"",
						   "tcp",
						   "tcp:",
						   "tcp::1",
						   "tcp::1-",
						   "tcp::1-:",
						   "sctp::1-:1",
						   "tcp::0-:1",
						   "tcp::1-:0",
						   "tcp::65536-:1",
						   "tcp::1-:65536",
						   "tcp::1x-:1",
						   "tcp:: 1-:1",
						   "tcp:1.2.3:1-:1",
						   "tcp::1-1.2.3.x:1",
						   "tcp::-1-:1",
						   "tcp::1:1",
						   "tcp:localhost:1-:1",
						   "tcp::1-:1 "};
	unsigned before = count_fds();
	char text[64];

	CU_ASSERT_EQUAL(TRY(.mtu = 0), 0);
	CU_ASSERT_EQUAL(TRY(.net = "192.168.76.0/27", .dhcp_start = "192.168.76.9"), 0);
	CU_ASSERT_EQUAL(TRY(.net = "10.0.0.0/8", .host = "10.1.2.3"), 0);
	CU_ASSERT_EQUAL(TRY(.ipv6 = true, .ipv6_net = "fd00:1:2:3::/64"), 0);
	CU_ASSERT_EQUAL(TRY(.net = "10.0.2.0"), -EINVAL);
	CU_ASSERT_EQUAL(TRY(.net = "10.0.2.1/24"), -EINVAL);
	CU_ASSERT_EQUAL(TRY(.net = "10.0.2.0/28"), -EINVAL);
	CU_ASSERT_EQUAL(TRY(.net = "10.0.2.0/0"), -EINVAL);
	CU_ASSERT_EQUAL(TRY(.net = "10.0.2.0/24x"), -EINVAL);
	CU_ASSERT_EQUAL(TRY(.net = "10.0.2/24"), -EINVAL);
	CU_ASSERT_EQUAL(TRY(.host = "10.0.3.2"), -EINVAL);
	CU_ASSERT_EQUAL(TRY(.host = "10.0.2.0"), -EINVAL);
	CU_ASSERT_EQUAL(TRY(.host = "10.0.2.255"), -EINVAL);
	CU_ASSERT_EQUAL(TRY(.host = "host"), -EINVAL);
	CU_ASSERT_EQUAL(TRY(.host = "10.0.2.3"), -EINVAL); /* that is DNS */
	CU_ASSERT_EQUAL(TRY(.dhcp_start = "10.0.2.2"), -EINVAL);
	CU_ASSERT_EQUAL(TRY(.dns = "10.0.2.15"), -EINVAL);
	CU_ASSERT_EQUAL(TRY(.ipv6_net = "fec0::1/64"), -EINVAL);
	CU_ASSERT_EQUAL(TRY(.ipv6_net = "fec0::/48"), -EINVAL);
	CU_ASSERT_EQUAL(TRY(.mtu = 67), -EINVAL);
	CU_ASSERT_EQUAL(TRY(.mtu = 65522), -EINVAL);
	CU_ASSERT_EQUAL(TRY(.mtu = 1279, .ipv6 = true), -EINVAL);
	CU_ASSERT_EQUAL(TRY(.mtu = 68), 0);
	CU_ASSERT_EQUAL(TRY(.hostname = "a-name-of-more-than-32-characters"), -EINVAL);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(bad_forwards); i++)
		CU_ASSERT_EQUAL(try_forward(bad_forwards[i]), -EINVAL);
	snprintf(text, sizeof(text), ":127.0.0.1:%u-10.0.2.20:22", free_port(SOCK_STREAM));
	CU_ASSERT_EQUAL(try_forward(text), 0);
	snprintf(text, sizeof(text), "udp::%u-:53", free_port(SOCK_DGRAM));
	CU_ASSERT_EQUAL(try_forward(text), 0);
	CU_ASSERT_EQUAL(count_fds(), before);
}

static void test_forward_in_use(void)
{
	unsigned before = count_fds(), port;
	int fd = host_socket(SOCK_STREAM, &port);
	char text[64];

	snprintf(text, sizeof(text), "tcp:127.0.0.1:%u-:22", port);
	CU_ASSERT_EQUAL(try_forward(text), -EADDRINUSE);
	close(fd);
	CU_ASSERT_EQUAL(count_fds(), before);
}

static void test_info_and_attach(void)
{
	struct vio_port_user_config cfg = {.mtu = 9000};
	struct vio_port_info info;
	struct vio_port_queue *pq;
	struct fix f;

	fix_open(&f, &cfg);
	MUST(vio_port_info(f.port, &info));
	CU_ASSERT_EQUAL(info.max_pairs, 1);
	CU_ASSERT_EQUAL(info.offloads, 0);
	CU_ASSERT_EQUAL(info.mtu, 9000);
	CU_ASSERT_TRUE(info.link_up);
	CU_ASSERT_EQUAL(vio_port_attach(f.port, 0, f.loop, &port_user, NULL, &pq), -EBUSY);
	CU_ASSERT_EQUAL(vio_port_attach(f.port, 1, f.loop, &port_user, NULL, &pq), -EINVAL);
	fix_close(&f);
}

/* ---- the network -------------------------------------------------------------------------------
 */

static void test_dhcp(void)
{
	struct vio_port_user_config cfg = {0};
	struct vio_port_user_config other = {.net = "192.168.9.0/24", .dhcp_start = "192.168.9.77"};
	struct fix f;

	fix_open(&f, &cfg);
	check_dhcp(&f, GUEST);
	fix_close(&f);
	fix_open(&f, &other);
	check_dhcp(&f, 0xc0a8094d);
	fix_close(&f);
}

static void test_arp_and_ping(void)
{
	uint8_t frame[ETH + IP + 64] = {0}, *icmp = frame + ETH + IP;
	struct vio_port_user_config cfg = {0};
	struct fix f;
	size_t len;

	fix_open(&f, &cfg);
	send_arp(&f, 1, HOST);
	CU_ASSERT_TRUE_FATAL(user_wait(f.u, 1));
	CU_ASSERT_EQUAL(get16(f.u->got[0].data + ETH + 6), 2);
	CU_ASSERT_EQUAL(get32(f.u->got[0].data + ETH + 14), HOST);
	user_drop(f.u);
	len = put_ip(frame, IPPROTO_ICMP, GUEST, HOST, 64);
	icmp[0] = 8;
	put16(icmp + 4, 77);
	put16(icmp + 2, fold(sum16(0, icmp, 64)));
	CU_ASSERT_TRUE(user_send(f.u, frame, len));
	CU_ASSERT_TRUE_FATAL(user_wait(f.u, 1));
	CU_ASSERT_TRUE(is_ip(f.u->got[0].data, f.u->got[0].len, IPPROTO_ICMP));
	CU_ASSERT_EQUAL(f.u->got[0].data[ETH + IP], 0);
	CU_ASSERT_EQUAL(get16(f.u->got[0].data + ETH + IP + 4), 77);
	fix_close(&f);
}

/* A router solicitation is answered with the network's prefix. */
static void test_ipv6(void)
{
	static const uint8_t src[16] = {0xfe, 0x80, [15] = 1}, dst[16] = {0xff, 2, [15] = 2};
	struct vio_port_user_config cfg = {.ipv6 = true, .ipv6_net = "fd00:5::/64"};
	uint8_t frame[ETH + 40 + 8] = {0}, *ip = frame + ETH;
	bool found = false;
	struct fix f;

	fix_open(&f, &cfg);
	put_eth(frame, 0x86dd);
	ip[0] = 0x60;
	put16(ip + 4, 8);
	ip[6] = 58;
	ip[7] = 255;
	memcpy(ip + 8, src, 16);
	memcpy(ip + 24, dst, 16);
	ip[40] = 133;
	put16(ip + 42, fold(sum16(58 + 8, ip + 8, 32 + 8)));
	CU_ASSERT_TRUE(user_send(f.u, frame, sizeof(frame)));
	for (unsigned i = 0; i < 100 && !found; i++) {
		for (unsigned k = 0; k < f.u->n; k++)
			found |= f.u->got[k].len > ETH + 56 &&
				 get16(f.u->got[k].data + 12) == 0x86dd &&
				 f.u->got[k].data[ETH + 40] == 134 &&
				 memmem(f.u->got[k].data, f.u->got[k].len, "\xfd\0\0\5\0\0\0\0", 8);
		vio_loop_manual_run(f.loop, 10);
	}
	CU_ASSERT_TRUE(found);
	fix_close(&f);
}

static void test_udp(void)
{
	struct vio_port_user_config cfg = {0};
	unsigned before = count_fds(), port;
	struct vio_port_user_counts counts;
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	uint8_t frame[200];
	char buf[20];
	struct fix f;
	int fd;

	fix_open(&f, &cfg);
	fd = host_socket(SOCK_DGRAM, &port);
	send_arp(&f, 1, HOST); /* it knows us now */
	user_settle(f.u);
	user_drop(f.u);
	CU_ASSERT_TRUE(user_send(f.u, frame, make_udp(frame, GUEST, 5000, HOST, port, "hello", 5)));
	CU_ASSERT_EQUAL_FATAL(
		recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &from_len), 5);
	vio_port_user_count(f.port, &counts);
	CU_ASSERT_EQUAL(counts.sockets, 1);
	CU_ASSERT_EQUAL(sendto(fd, "and back", 8, 0, (const struct sockaddr *)&from, sizeof(from)),
			8);
	CU_ASSERT_TRUE_FATAL(user_wait(f.u, 1));
	CU_ASSERT_TRUE(is_ip(f.u->got[0].data, f.u->got[0].len, IPPROTO_UDP));
	CU_ASSERT_EQUAL(get16(f.u->got[0].data + ETH + IP + 2), 5000);
	CU_ASSERT_EQUAL(memcmp(f.u->got[0].data + ETH + IP + UDP, "and back", 8), 0);
	close(fd);
	fix_close(&f);
	CU_ASSERT_EQUAL(count_fds(), before);
}

static void test_tcp_out(void)
{
	struct vio_port_user_config cfg = {0};
	unsigned before = count_fds(), port;
	const uint8_t *tcp;
	char buf[20];
	struct fix f;
	int listener, fd;
	uint32_t ack;

	fix_open(&f, &cfg);
	listener = host_socket(SOCK_STREAM, &port);
	send_arp(&f, 1, HOST);
	fd = guest_connect(&f, listener, port, 4000, &ack);
	send_tcp(&f, 4000, port, ISN + 1, ack, ACK | PSH, "ping", 4);
	TURN_UNTIL(f.loop, recv(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_PEEK) == 4);
	CU_ASSERT_EQUAL(memcmp(buf, "ping", 4), 0);
	CU_ASSERT_EQUAL(send(fd, "pong", 4, MSG_NOSIGNAL), 4);
	tcp = wait_tcp(&f, 4000, ACK | PSH);
	CU_ASSERT_PTR_NOT_NULL_FATAL(tcp);
	CU_ASSERT_EQUAL(get32(tcp + 4), ack);
	CU_ASSERT_EQUAL(get32(tcp + 8), ISN + 5);
	CU_ASSERT_EQUAL(memcmp(tcp + (tcp[12] >> 4) * 4, "pong", 4), 0);
	user_detach(f.u); /* a reset of the device: the connection lives on */
	f.u = user_attach(f.port, f.loop, 0);
	user_receive(f.u, 10000);
	send_tcp(&f, 4000, port, ISN + 5, ack + 4, ACK, NULL, 0);
	CU_ASSERT_EQUAL(send(fd, "more", 4, MSG_NOSIGNAL), 4);
	tcp = wait_tcp(&f, 4000, ACK | PSH);
	CU_ASSERT_PTR_NOT_NULL_FATAL(tcp);
	CU_ASSERT_EQUAL(get32(tcp + 4), ack + 4);
	fix_close(&f); /* with the connection open */
	close(listener);
	close(fd);
	CU_ASSERT_EQUAL(count_fds(), before);
}

/*
 * Data that the guest does not acknowledge comes again, for which time must pass in the port; and
 * when its window is full the loop sleeps, although there is more to read.
 */
static void test_tcp_unanswered(void)
{
	static const char data[200000];
	struct vio_port_user_config cfg = {0};
	unsigned port, busy = 0;
	const uint8_t *tcp;
	struct fix f;
	int listener, fd;
	uint32_t ack;

	fix_open(&f, &cfg);
	listener = host_socket(SOCK_STREAM, &port);
	send_arp(&f, 1, HOST);
	fd = guest_connect(&f, listener, port, 4000, &ack);
	CU_ASSERT_EQUAL(send(fd, "first", 5, MSG_NOSIGNAL), 5);
	for (unsigned i = 0; i < 2; i++) {
		tcp = wait_tcp(&f, 4000, ACK | PSH);
		CU_ASSERT_PTR_NOT_NULL_FATAL(tcp);
		CU_ASSERT_EQUAL(get32(tcp + 4), ack);
	}
	while (send(fd, data, sizeof(data), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
		user_settle(f.u);
	user_drop(f.u);
	for (unsigned i = 0; i < 50; i++)
		busy += (unsigned)vio_loop_manual_run(f.loop, 2);
	CU_ASSERT(busy < 10); /* timers only */
	close(listener);
	close(fd);
	fix_close(&f);
}

static void test_tcp_in(void)
{
	unsigned before = count_fds(), port = free_port(SOCK_STREAM), from;
	char text[64], buf[20];
	const char *forwards[] = {text, NULL};
	struct vio_port_user_config cfg = {.hostfwd = forwards};
	const uint8_t *tcp;
	struct fix f;
	uint32_t ack;
	int fd;

	snprintf(text, sizeof(text), "tcp:127.0.0.1:%u-:22", port);
	fix_open(&f, &cfg);
	fd = host_connect(port);
	TURN_UNTIL(f.loop, f.u->n > 0 && is_arp_request(f.u->got[0].data, f.u->got[0].len));
	send_arp(&f, 2, HOST);
	tcp = wait_tcp(&f, 22, SYN);
	CU_ASSERT_PTR_NOT_NULL_FATAL(tcp);
	from = get16(tcp);
	ack = get32(tcp + 4) + 1;
	send_tcp(&f, 22, from, ISN, ack, SYN | ACK, NULL, 0);
	CU_ASSERT_PTR_NOT_NULL(wait_tcp(&f, 22, ACK));
	CU_ASSERT_EQUAL(send(fd, "knock", 5, MSG_NOSIGNAL), 5);
	tcp = wait_tcp(&f, 22, ACK | PSH);
	CU_ASSERT_PTR_NOT_NULL_FATAL(tcp);
	CU_ASSERT_EQUAL(memcmp(tcp + (tcp[12] >> 4) * 4, "knock", 5), 0);
	send_tcp(&f, 22, from, ISN + 1, ack + 5, ACK | PSH, "who?", 4);
	TURN_UNTIL(f.loop, recv(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_PEEK) == 4);
	fix_close(&f);
	CU_ASSERT_EQUAL(recv(fd, buf, sizeof(buf), 0), 4);
	close(fd);
	CU_ASSERT_EQUAL(count_fds(), before);
}

static void test_restricted(void)
{
	struct vio_port_user_config cfg = {.restricted = true};
	struct vio_port_user_counts counts;
	unsigned port;
	struct fix f;
	int listener;

	fix_open(&f, &cfg);
	listener = host_socket(SOCK_STREAM, &port);
	check_dhcp(&f, GUEST);
	send_tcp(&f, 4000, port, ISN, 0, SYN, NULL, 0);
	for (unsigned i = 0; i < 20; i++)
		vio_loop_manual_run(f.loop, 5);
	CU_ASSERT(accept(listener, NULL, NULL) < 0);
	vio_port_user_count(f.port, &counts);
	CU_ASSERT_EQUAL(counts.sockets, 0);
	close(listener);
	fix_close(&f);
}

static CU_TestInfo tests[] = {
	{"configurations", test_config},
	{"a forward that is in use", test_forward_in_use},
	{"info, and one queue only", test_info_and_attach},
	{"DHCP", test_dhcp},
	{"ARP and ping", test_arp_and_ping},
	{"IPv6: router advertisement", test_ipv6},
	{"UDP out and back", test_udp},
	{"TCP out", test_tcp_out},
	{"TCP without an answer", test_tcp_unanswered},
	{"TCP in, through a forward", test_tcp_in},
	{"restricted", test_restricted},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("port user", tests);
}
