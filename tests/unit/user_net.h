/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_USER_NET_H
#define UNIT_USER_NET_H

/*
 * A guest on the user port: its packets, made by hand, and the host that answers.
 */

#include <arpa/inet.h>
#include <netinet/in.h>

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

static inline void fix_open(struct fix *f, struct vio_port_user_config *cfg)
{
	memset(f, 0, sizeof(*f));
	peer_log_init(&f->log);
	cfg->log = &f->log.log;
	MUST(vio_loop_manual_create(&f->loop));
	MUST(vio_port_user_open(cfg, &f->port));
	f->u = user_attach(f->port, f->loop, 0);
	user_receive(f->u, 1000000);
}

static inline void fix_close(struct fix *f)
{
	user_detach(f->u);
	CU_ASSERT_EQUAL(vio_loop_manual_run(f->loop, 0), 0);
	vio_port_close(f->port);
	vio_loop_destroy(f->loop);
}

/* ---- packets -----------------------------------------------------------------------------------
 */

static inline void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static inline unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static inline uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static inline uint32_t sum16(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	return sum;
}

static inline uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static inline void put_eth(uint8_t *f, unsigned type)
{
	memset(f, 0xff, 6);
	memcpy(f + 6, guest_mac, 6);
	put16(f + 12, type);
}

/* Headers before `len` bytes of payload at f + ETH + IP; the frame's length. */
static inline size_t put_ip(uint8_t *f, unsigned proto, uint32_t src, uint32_t dst, size_t len)
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
static inline void put_sum(uint8_t *f, size_t len, size_t at)
{
	const uint8_t *ip = f + ETH;
	size_t payload = len - ETH - IP;

	put16(f + ETH + IP + at, 0);
	put16(f + ETH + IP + at, fold(sum16(ip[9] + (uint32_t)payload, ip + 12, 8 + payload)));
}

static inline size_t make_udp(uint8_t *f, uint32_t src, unsigned sport, uint32_t dst,
			      unsigned dport, const void *data, size_t len)
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

static inline void send_tcp(struct fix *f, unsigned sport, unsigned dport, uint32_t seq,
			    uint32_t ack, unsigned flags, const void *data, size_t len)
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

static inline size_t make_arp(uint8_t *f, unsigned op, uint32_t target)
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

static inline void send_arp(struct fix *f, unsigned op, uint32_t target)
{
	uint8_t frame[64];

	CU_ASSERT_TRUE(user_send(f->u, frame, make_arp(frame, op, target)));
}

/* Who has GUEST? The port asks before it sends there. */
static inline bool is_arp_request(const uint8_t *d, size_t len)
{
	return len >= ETH + 28 && get16(d + 12) == 0x0806 && get16(d + ETH + 6) == 1 &&
	       get32(d + ETH + 24) == GUEST;
}

static inline bool is_ip(const uint8_t *d, size_t len, unsigned proto)
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

static inline int host_socket(int type, unsigned *port)
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

static inline unsigned free_port(int type)
{
	unsigned port;

	close(host_socket(type, &port));
	return port;
}

static inline int host_connect(unsigned port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	CU_ASSERT(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 || errno == EINPROGRESS);
	return fd;
}

/* The accepted end of a connection that the guest makes to a port of the host, from `sport`. */
static inline int guest_connect(struct fix *f, int listener, unsigned port, unsigned sport,
				uint32_t *ack)
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

/* ---- DHCP --------------------------------------------------------------------------------------
 */

static inline size_t make_discover(uint8_t *frame)
{
	uint8_t bootp[244] = {1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78};

	memcpy(bootp + 28, guest_mac, 6);
	memcpy(bootp + 236, "\x63\x82\x53\x63\x35\1\1\xff", 8); /* DISCOVER */
	return make_udp(frame, 0, 68, 0xffffffff, 67, bootp, sizeof(bootp));
}

/* The address offered, or 0. */
static inline uint32_t offered(const struct user_frame *f)
{
	const uint8_t *bootp = f->data + ETH + IP + UDP;

	if (f->len < ETH + IP + UDP + 244 || !is_ip(f->data, f->len, IPPROTO_UDP) ||
	    bootp[0] != 2 || get32(bootp + 4) != 0x12345678)
		return 0;
	return memcmp(bootp + 236, "\x63\x82\x53\x63\x35\1\2", 7) == 0 ? get32(bootp + 16) : 0;
}

static inline void check_dhcp(struct fix *f, uint32_t addr)
{
	uint8_t frame[400];

	user_drop(f->u);
	CU_ASSERT_TRUE(user_send(f->u, frame, make_discover(frame)));
	CU_ASSERT_TRUE_FATAL(user_wait(f->u, 1));
	CU_ASSERT_EQUAL(offered(&f->u->got[0]), addr);
}

#endif
