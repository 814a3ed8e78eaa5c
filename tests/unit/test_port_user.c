/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The user port: a guest's packets, made by hand, in the network that libslirp plays: DHCP, ARP,
 * ping, router advertisements, UDP and TCP out, TCP in through a forward; and what must not come
 * of them: descriptors left, signals, sockets without bound.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>

#include <viodm/port_user.h>

#include "port_peer.h"

#define ETH   14u
#define IP    20u
#define TCP   20u
#define UDP   8u
#define FIN   0x01u
#define SYN   0x02u
#define RST   0x04u
#define PSH   0x08u
#define ACK   0x10u
#define GUEST 0x0a00020fu /* 10.0.2.15 */
#define HOST  0x0a000202u
#define DNS   0x0a000203u
#define ISN   1000u /* the guest's first sequence number */

static const uint8_t guest_mac[6] = {2, 0, 0, 0, 0, 1};

struct fix {
	struct vio_loop *loop;
	struct vio_port *port;
	struct port_user *u;
	struct peer_log log;
};

static void fix_open(struct fix *f, struct vio_port_user_config *cfg)
{
	memset(f, 0, sizeof(*f));
	peer_log_init(&f->log);
	cfg->log = &f->log.log;
	MUST(vio_loop_manual_create(&f->loop));
	MUST(vio_port_user_open(cfg, &f->port));
	f->u = user_attach(f->port, f->loop, 0);
	user_receive(f->u, 1000000);
}

static void fix_close(struct fix *f)
{
	user_detach(f->u);
	CU_ASSERT_EQUAL(vio_loop_manual_run(f->loop, 0), 0);
	vio_port_close(f->port);
	vio_loop_destroy(f->loop);
}

/* ---- packets -----------------------------------------------------------------------------------
 */

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static uint32_t sum16(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put_eth(uint8_t *f, unsigned type)
{
	memset(f, 0xff, 6);
	memcpy(f + 6, guest_mac, 6);
	put16(f + 12, type);
}

/* Headers before `len` bytes of payload at f + ETH + IP; the frame's length. */
static size_t put_ip(uint8_t *f, unsigned proto, uint32_t src, uint32_t dst, size_t len)
{
	uint8_t *ip = f + ETH;

	put_eth(f, 0x0800);
	memset(ip, 0, IP);
	ip[0] = 0x45;
	put16(ip + 2, (unsigned)(IP + len));
	ip[8] = 64;
	ip[9] = (uint8_t)proto;
	put32(ip + 12, src);
	put32(ip + 16, dst);
	put16(ip + 10, fold(sum16(0, ip, IP)));
	return ETH + IP + len;
}

/* The checksum of UDP or TCP, at `at` in the payload. */
static void put_sum(uint8_t *f, size_t len, size_t at)
{
	const uint8_t *ip = f + ETH;
	size_t payload = len - ETH - IP;

	put16(f + ETH + IP + at, 0);
	put16(f + ETH + IP + at, fold(sum16(ip[9] + (uint32_t)payload, ip + 12, 8 + payload)));
}

static size_t make_udp(uint8_t *f, uint32_t src, unsigned sport, uint32_t dst, unsigned dport,
		       const void *data, size_t len)
{
	uint8_t *udp = f + ETH + IP;
	size_t total = put_ip(f, IPPROTO_UDP, src, dst, UDP + len);

	put16(udp, sport);
	put16(udp + 2, dport);
	put16(udp + 4, (unsigned)(UDP + len));
	memcpy(udp + UDP, data, len);
	put_sum(f, total, 6);
	return total;
}

static void send_tcp(struct fix *f, unsigned sport, unsigned dport, uint32_t seq, uint32_t ack,
		     unsigned flags, const void *data, size_t len)
{
	uint8_t frame[ETH + IP + TCP + 100] = {0}, *tcp = frame + ETH + IP;
	size_t total = put_ip(frame, IPPROTO_TCP, GUEST, HOST, TCP + len);

	put16(tcp, sport);
	put16(tcp + 2, dport);
	put32(tcp + 4, seq);
	put32(tcp + 8, ack);
	tcp[12] = 0x50;
	tcp[13] = (uint8_t)flags;
	put16(tcp + 14, 8192);
	if (len > 0)
		memcpy(tcp + TCP, data, len);
	put_sum(frame, total, 16);
	CU_ASSERT_TRUE(user_send(f->u, frame, total));
}

static size_t make_arp(uint8_t *f, unsigned op, uint32_t target)
{
	uint8_t *arp = f + ETH;

	put_eth(f, 0x0806);
	memcpy(arp, "\0\1\x08\0\6\4", 6);
	put16(arp + 6, op);
	memcpy(arp + 8, guest_mac, 6);
	put32(arp + 14, GUEST);
	memset(arp + 18, 0, 6);
	put32(arp + 24, target);
	return ETH + 28;
}

static void send_arp(struct fix *f, unsigned op, uint32_t target)
{
	uint8_t frame[64];

	CU_ASSERT_TRUE(user_send(f->u, frame, make_arp(frame, op, target)));
}

/* Who has GUEST? The port asks before it sends there. */
static bool is_arp_request(const uint8_t *d, size_t len)
{
	return len >= ETH + 28 && get16(d + 12) == 0x0806 && get16(d + ETH + 6) == 1 &&
	       get32(d + ETH + 24) == GUEST;
}

static bool is_ip(const uint8_t *d, size_t len, unsigned proto)
{
	return len >= ETH + IP + 8 && get16(d + 12) == 0x0800 && d[ETH] == 0x45 &&
	       d[ETH + 9] == proto && fold(sum16(0, d + ETH, IP)) == 0;
}

/*
 * Waits for the next TCP segment for the port (of the guest) with these flags; drops what comes
 * before it. NULL: none came.
 */
static const uint8_t *wait_tcp(struct fix *f, unsigned port, unsigned flags)
{
	static struct user_frame keep;

	for (unsigned i = 0; i < 300; i++) {
		for (unsigned k = 0; k < f->u->n; k++) {
			const uint8_t *d = f->u->got[k].data, *tcp = d + ETH + IP;

			if (!is_ip(d, f->u->got[k].len, IPPROTO_TCP) || get16(tcp + 2) != port ||
			    (tcp[13] & flags) != flags)
				continue;
			free(keep.data);
			keep = f->u->got[k];
			f->u->got[k].data = NULL;
			user_drop(f->u);
			return keep.data + ETH + IP;
		}
		user_drop(f->u);
		vio_loop_manual_run(f->loop, 10);
	}
	return NULL;
}

/* ---- the host's side ---------------------------------------------------------------------------
 */

static int host_socket(int type, unsigned *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	MUST(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	if (type == SOCK_STREAM)
		MUST(listen(fd, 100));
	MUST(getsockname(fd, (struct sockaddr *)&a, &len));
	*port = ntohs(a.sin_port);
	return fd;
}

static unsigned free_port(int type)
{
	unsigned port;

	close(host_socket(type, &port));
	return port;
}

static int host_connect(unsigned port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	CU_ASSERT(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 || errno == EINPROGRESS);
	return fd;
}

/* The accepted end of a connection that the guest makes to a port of the host, from `sport`. */
static int guest_connect(struct fix *f, int listener, unsigned port, unsigned sport, uint32_t *ack)
{
	const uint8_t *tcp;
	int fd = -1;

	send_tcp(f, sport, port, ISN, 0, SYN, NULL, 0);
	tcp = wait_tcp(f, sport, SYN | ACK);
	CU_ASSERT_PTR_NOT_NULL_FATAL(tcp);
	CU_ASSERT_EQUAL(get32(tcp + 8), ISN + 1);
	*ack = get32(tcp + 4) + 1;
	send_tcp(f, sport, port, ISN + 1, *ack, ACK, NULL, 0);
	TURN_UNTIL(f->loop, (fd = fd >= 0 ? fd : accept(listener, NULL, NULL)) >= 0);
	return fd;
}

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

static size_t make_discover(uint8_t *frame)
{
	uint8_t bootp[244] = {1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78};

	memcpy(bootp + 28, guest_mac, 6);
	memcpy(bootp + 236, "\x63\x82\x53\x63\x35\1\1\xff", 8); /* DISCOVER */
	return make_udp(frame, 0, 68, 0xffffffff, 67, bootp, sizeof(bootp));
}

/* The address offered, or 0. */
static uint32_t offered(const struct user_frame *f)
{
	const uint8_t *bootp = f->data + ETH + IP + UDP;

	if (f->len < ETH + IP + UDP + 244 || !is_ip(f->data, f->len, IPPROTO_UDP) ||
	    bootp[0] != 2 || get32(bootp + 4) != 0x12345678)
		return 0;
	return memcmp(bootp + 236, "\x63\x82\x53\x63\x35\1\2", 7) == 0 ? get32(bootp + 16) : 0;
}

static void check_dhcp(struct fix *f, uint32_t addr)
{
	uint8_t frame[400];

	user_drop(f->u);
	CU_ASSERT_TRUE(user_send(f->u, frame, make_discover(frame)));
	CU_ASSERT_TRUE_FATAL(user_wait(f->u, 1));
	CU_ASSERT_EQUAL(offered(&f->u->got[0]), addr);
}

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
	unsigned before = count_fds(), port, open;
	struct vio_port_user_counts counts;
	uint8_t frame[200];
	struct fix f;
	int listener;

	fix_open(&f, &cfg);
	listener = host_socket(SOCK_STREAM, &port);
	open = count_fds();
	send_arp(&f, 1, HOST);
	for (unsigned i = 0; i < 100; i++) {
		send_tcp(&f, 3000 + i, port, ISN, 0, SYN, NULL, 0);
		user_send(f.u, frame, make_udp(frame, GUEST, 3000 + i, HOST, port, "x", 1));
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
	return suite_run("port user", tests);
}
