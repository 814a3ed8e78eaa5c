/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames that are to be segmented, through the loop port to a receiver that does not take them:
 * what comes is put together again and must be the frame.
 */
#include <endian.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <viodm/ports.h>

#include "port_user.h"

#define F(f)	   (UINT64_C(1) << VIRTIO_NET_F_##f)
#define NEEDS_CSUM VIRTIO_NET_HDR_F_NEEDS_CSUM
#define TCP4	   VIRTIO_NET_HDR_GSO_TCPV4
#define TCP6	   VIRTIO_NET_HDR_GSO_TCPV6
#define UFO	   VIRTIO_NET_HDR_GSO_UDP
#define USO	   VIRTIO_NET_HDR_GSO_UDP_L4
#define ECN	   VIRTIO_NET_HDR_GSO_ECN

#define ALL_GUEST                                                                                  \
	(F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_TSO6) | F(GUEST_ECN) | F(GUEST_UFO) |             \
	 F(GUEST_USO4) | F(GUEST_USO6))

#define FIN 0x01
#define PSH 0x08
#define ACK 0x10
#define CWR 0x80

/* What a frame is made of. */
struct shape {
	uint8_t type;
	bool v6;
	uint8_t tags;	 /* VLAN */
	uint8_t ip_opts; /* bytes, IPv4 */
	uint8_t tcp_opts;
	uint32_t payload;
	uint16_t size;
};

struct made {
	struct vio_frame frame;
	struct iovec iov[3];
	uint32_t l3, l4, body;
	uint8_t data[VIO_FRAME_MAX];
};

struct rig {
	struct vio_port *port;
	struct vio_loop *loop;
	struct port_user *u;
};

static void rig_open(struct rig *r, uint64_t offloads)
{
	MUST(vio_loop_manual_create(&r->loop));
	MUST(vio_port_loop_open(&r->port));
	MUST(vio_port_set_offloads(r->port, offloads));
	r->u = user_attach(r->port, r->loop, 0);
}

static void rig_close(struct rig *r)
{
	user_detach(r->u);
	vio_port_close(r->port);
	vio_loop_destroy(r->loop);
}

/* ---- frames ---------------------------------------------------------------------------------- */

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t sum_of(const uint8_t *p, uint32_t len, uint32_t sum)
{
	for (uint32_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static bool is_udp(uint8_t type)
{
	return type == UFO || type == USO;
}

static uint32_t pseudo(const uint8_t *ip, bool v6, uint8_t protocol, uint32_t len)
{
	return v6 ? sum_of(ip + 8, 32, protocol + len) : sum_of(ip + 12, 8, protocol + len);
}

static void make_ip(struct made *m, const struct shape *s, uint8_t protocol)
{
	uint8_t *ip = m->data + m->l3;

	if (s->v6) {
		ip[0] = 0x60;
		put16(ip + 4, m->frame.len - m->l4);
		ip[6] = protocol;
		ip[7] = 64;
		for (unsigned i = 8; i < 40; i++)
			ip[i] = (uint8_t)(i * 5);
		return;
	}
	ip[0] = (uint8_t)(0x45 + s->ip_opts / 4);
	put16(ip + 2, m->frame.len - m->l3);
	put16(ip + 4, 0xfffe); /* wraps */
	ip[6] = 0x40;	       /* do not fragment */
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, (uint8_t[]){192, 0, 2, 1, 198, 51, 100, 2}, 8);
	memset(ip + 20, 1, s->ip_opts);
	put16(ip + 10, ~sum_of(ip, 20 + s->ip_opts, 0));
}

/* In three pieces, the first of which ends in the middle of the headers. */
static void make_frame(struct made *m, const struct shape *s)
{
	uint8_t *d = m->data, *l4, protocol = is_udp(s->type) ? IPPROTO_UDP : IPPROTO_TCP;

	memset(m, 0, sizeof(*m));
	m->l3 = 14 + 4u * s->tags;
	m->l4 = m->l3 + (s->v6 ? 40 : 20 + s->ip_opts);
	m->body = m->l4 + (is_udp(s->type) ? 8 : 20 + s->tcp_opts);
	m->frame.len = m->body + s->payload;
	CU_ASSERT_FATAL(m->frame.len <= VIO_FRAME_MAX);
	memset(d, 2, 12);
	for (unsigned i = 0; i < s->tags; i++)
		put16(d + 12 + 4 * i, i ? ETH_P_8021Q : ETH_P_8021AD);
	put16(d + m->l3 - 2, s->v6 ? ETH_P_IPV6 : ETH_P_IP);
	make_ip(m, s, protocol);
	l4 = d + m->l4;
	put16(l4, 1111);
	put16(l4 + 2, 2222);
	if (is_udp(s->type)) {
		put16(l4 + 4, m->frame.len - m->l4);
	} else {
		put16(l4 + 4, 0xffff); /* the sequence number wraps */
		put16(l4 + 6, 0xff00);
		l4[12] = (uint8_t)((20 + s->tcp_opts) / 4 << 4);
		l4[13] = ACK | PSH | FIN | CWR;
		memset(l4 + 20, 1, s->tcp_opts);
	}
	for (uint32_t i = m->body; i < m->frame.len; i++)
		d[i] = (uint8_t)(i * 7 + i / 251);
	put16(l4 + (is_udp(s->type) ? 6 : 16),
	      pseudo(d + m->l3, s->v6, protocol, m->frame.len - m->l4));
	m->iov[0] = (struct iovec){d, m->l4 + 3};
	m->iov[1] = (struct iovec){d + m->l4 + 3, 2};
	m->iov[2] = (struct iovec){d + m->l4 + 5, m->frame.len - m->l4 - 5};
	m->frame.iov = m->iov;
	m->frame.n_iov = 3;
	m->frame.hdr = (struct vio_frame_hdr){.flags = NEEDS_CSUM,
					      .gso_type = s->type,
					      .hdr_len = htole16((uint16_t)m->body),
					      .gso_size = htole16(s->size),
					      .csum_start = htole16((uint16_t)m->l4),
					      .csum_offset = htole16(is_udp(s->type) ? 6 : 16)};
}

/* ---- what comes ------------------------------------------------------------------------------ */

/* Right as it stands, but for the transport checksum, which must be left as the header says. */
static void check_segment(const struct made *m, const struct shape *s, const struct user_frame *f,
			  unsigned i, unsigned n)
{
	uint32_t at = m->body + i * s->size, len = f->len - m->body;
	const uint8_t *ip = f->data + m->l3, *l4 = f->data + m->l4;
	uint32_t total = f->len - m->l4;

	CU_ASSERT_EQUAL_FATAL(len, i + 1 < n ? s->size : m->frame.len - at);
	CU_ASSERT_EQUAL(memcmp(f->data, m->data, m->l3), 0);
	CU_ASSERT_EQUAL(memcmp(f->data + m->body, m->data + at, len), 0);
	CU_ASSERT_EQUAL(f->hdr.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	CU_ASSERT_EQUAL(f->hdr.flags, NEEDS_CSUM);
	CU_ASSERT_EQUAL(f->hdr.csum_start, m->frame.hdr.csum_start);
	CU_ASSERT_EQUAL(f->hdr.csum_offset, m->frame.hdr.csum_offset);
	if (s->v6) {
		CU_ASSERT_EQUAL(get16(ip + 4), total);
	} else {
		CU_ASSERT_EQUAL(get16(ip + 2), f->len - m->l3);
		CU_ASSERT_EQUAL(get16(ip + 4), (0xfffe + i) & 0xffff);
		CU_ASSERT_EQUAL(sum_of(ip, m->l4 - m->l3, 0), 0xffff);
	}
	if (is_udp(s->type)) {
		CU_ASSERT_EQUAL(get16(l4 + 4), total);
		CU_ASSERT_EQUAL(get16(l4 + 6), pseudo(ip, s->v6, IPPROTO_UDP, total));
		return;
	}
	CU_ASSERT_EQUAL(get32(l4 + 4), 0xffffff00u + (at - m->body));
	CU_ASSERT_EQUAL(l4[13], ACK | (i == 0 ? CWR : 0) | (i + 1 == n ? PSH | FIN : 0));
	CU_ASSERT_EQUAL(get16(l4 + 16), pseudo(ip, s->v6, IPPROTO_TCP, total));
	CU_ASSERT_EQUAL(memcmp(l4 + 20, m->data + m->l4 + 20, s->tcp_opts), 0);
}

static void check_segments(const struct made *m, const struct shape *s, const struct port_user *u)
{
	unsigned n = s->payload ? (s->payload + s->size - 1) / s->size : 1;

	CU_ASSERT_EQUAL_FATAL(u->n, n);
	for (unsigned i = 0; i < n; i++)
		check_segment(m, s, &u->got[i], i, n);
}

/* Fragments, put together: the datagram with its whole checksum. */
static void check_fragments(const struct made *m, const struct shape *s, const struct port_user *u)
{
	static uint8_t whole[VIO_FRAME_MAX];
	uint32_t at = 0, size = s->size & ~7u, len = m->frame.len - m->l4;

	CU_ASSERT_EQUAL_FATAL(u->n, (len + size - 1) / size);
	for (unsigned i = 0; i < u->n; i++) {
		const struct user_frame *f = &u->got[i];
		const uint8_t *ip = f->data + m->l3, *frag = f->data + m->l4;
		uint32_t head = m->l4 + (s->v6 ? 8 : 0), n = f->len - head;
		bool more = i + 1 < u->n;

		CU_ASSERT_EQUAL_FATAL(n, more ? size : len - at);
		CU_ASSERT_EQUAL(f->hdr.flags, 0);
		CU_ASSERT_EQUAL(f->hdr.gso_type, 0);
		if (s->v6) {
			CU_ASSERT_EQUAL(ip[6], IPPROTO_FRAGMENT);
			CU_ASSERT_EQUAL(get16(ip + 4), n + 8);
			CU_ASSERT_EQUAL(get16(frag), IPPROTO_UDP << 8);
			CU_ASSERT_EQUAL(get16(frag + 2), at | more);
			CU_ASSERT_EQUAL(get32(frag + 4), get32(u->got[0].data + m->l4 + 4));
		} else {
			CU_ASSERT_EQUAL(get16(ip + 6), at / 8 | (more ? 0x2000 : 0));
			CU_ASSERT_EQUAL(get16(ip + 4), 0xfffe);
			CU_ASSERT_EQUAL(get16(ip + 2), f->len - m->l3);
			CU_ASSERT_EQUAL(sum_of(ip, m->l4 - m->l3, 0), 0xffff);
		}
		memcpy(whole + at, f->data + head, n);
		at += n;
	}
	CU_ASSERT_EQUAL(sum_of(whole, len, pseudo(m->data + m->l3, s->v6, IPPROTO_UDP, len)),
			0xffff);
	CU_ASSERT_EQUAL(memcmp(whole, m->data + m->l4, 6), 0);
	CU_ASSERT_EQUAL(memcmp(whole + 8, m->data + m->body, s->payload), 0);
}

static const struct shape shapes[] = {
	{TCP4, false, 0, 0, 0, 5000, 1448},
	{TCP4, false, 0, 0, 12, 1448, 1448},
	{TCP4, false, 1, 40, 40, 4000, 7},
	{TCP4, false, 2, 8, 0, 65000, 1460},
	{TCP4, false, 0, 0, 0, 0, 100},
	{TCP4, false, 0, 0, 0, 1, 65535},
	{TCP4 | ECN, false, 0, 0, 12, 3000, 1000},
	{TCP6, true, 0, 0, 12, 9000, 1428},
	{TCP6 | ECN, true, 2, 0, 0, 301, 100},
	{USO, false, 0, 0, 0, 3001, 1000},
	{USO, true, 1, 0, 0, 3000, 1000},
	{UFO, false, 0, 0, 0, 4000, 1480},
	{UFO, false, 1, 4, 0, 65400, 1400},
	{UFO, true, 0, 0, 0, 4000, 1455},
	{UFO, true, 0, 0, 0, 0, 8},
};

static void test_cut(void)
{
	static struct made m;
	struct rig r;

	rig_open(&r, 0);
	for (size_t i = 0; i < VIO_ARRAY_LEN(shapes); i++) {
		user_receive(r.u, USER_KEEP);
		make_frame(&m, &shapes[i]);
		CU_ASSERT_EQUAL(vio_port_send(r.u->pq, &m.frame, 1), 1);
		user_settle(r.u);
		CU_ASSERT_FALSE(r.u->unflushed);
		if (shapes[i].type == UFO)
			check_fragments(&m, &shapes[i], r.u);
		else
			check_segments(&m, &shapes[i], r.u);
		user_drop(r.u);
	}
	rig_close(&r);
}

/* Lengths have 16 bits, and no frame is longer than frames are, whatever the driver asks for. */
static void test_longest(void)
{
	static const struct shape longest[] = {
		{TCP4, false, 0, 0, 0, VIO_FRAME_MAX - 54, 65535},
		{USO, false, 0, 0, 0, VIO_FRAME_MAX - 42, 65535},
		{UFO, false, 0, 0, 0, VIO_FRAME_MAX - 42, 65535},
		{UFO, true, 0, 0, 0, VIO_FRAME_MAX - 62, 65535},
	};
	static struct made m;
	struct rig r;

	rig_open(&r, 0);
	for (size_t i = 0; i < VIO_ARRAY_LEN(longest); i++) {
		struct shape s = longest[i];

		user_receive(r.u, USER_KEEP);
		make_frame(&m, &s);
		CU_ASSERT_EQUAL(vio_port_send(r.u->pq, &m.frame, 1), 1);
		CU_ASSERT_EQUAL_FATAL(r.u->n, 2);
		if (s.type == UFO) {
			s.size = (uint16_t)(r.u->got[0].len - m.l4 - (s.v6 ? 8 : 0));
			check_fragments(&m, &s, r.u);
		} else {
			s.size = (uint16_t)(r.u->got[0].len - m.body);
			check_segments(&m, &s, r.u);
		}
		user_drop(r.u);
	}
	rig_close(&r);
}

/* A kind of segments that nobody knows goes to nobody, whatever is taken. */
static void test_unknown(void)
{
	static const uint8_t types[] = {2, 6, 0x22, 0x7f, ECN};
	static struct made m;
	struct rig r;

	rig_open(&r, ALL_GUEST);
	user_receive(r.u, USER_KEEP);
	for (size_t i = 0; i < VIO_ARRAY_LEN(types); i++) {
		make_frame(&m, &shapes[0]);
		m.frame.hdr.gso_type = types[i];
		CU_ASSERT_EQUAL(vio_port_send(r.u->pq, &m.frame, 1), 1);
		user_settle(r.u);
		CU_ASSERT_EQUAL(r.u->n, 0);
		user_drop(r.u);
	}
	rig_close(&r);
}

/* Who takes them has them as they were sent; only who takes all of what a frame asks for. */
static void test_whole(void)
{
	static const struct {
		uint8_t type;
		bool v6;
		uint64_t need;
	} kinds[] = {
		{TCP4, false, F(GUEST_TSO4)},
		{TCP6, true, F(GUEST_TSO6)},
		{TCP4 | ECN, false, F(GUEST_TSO4) | F(GUEST_ECN)},
		{TCP6 | ECN, true, F(GUEST_TSO6) | F(GUEST_ECN)},
		{USO, false, F(GUEST_USO4) | F(GUEST_USO6)},
		{UFO, true, F(GUEST_UFO)},
	};
	static struct made m;
	struct rig r;

	rig_open(&r, 0);
	for (size_t i = 0; i < VIO_ARRAY_LEN(kinds); i++)
		for (unsigned bit = 0; bit < 64; bit++) {
			struct shape s = {kinds[i].type, kinds[i].v6, 0, 0, 0, 3000, 1000};
			uint64_t taken = ALL_GUEST & ~(UINT64_C(1) << bit);
			bool whole = (taken & kinds[i].need) == kinds[i].need;

			MUST(vio_port_set_offloads(r.port, taken));
			user_receive(r.u, USER_KEEP);
			make_frame(&m, &s);
			CU_ASSERT_EQUAL(vio_port_send(r.u->pq, &m.frame, 1), 1);
			CU_ASSERT_EQUAL_FATAL(r.u->n, whole ? 1 : kinds[i].type == UFO ? 4 : 3);
			if (whole) {
				CU_ASSERT_EQUAL(r.u->got[0].len, m.frame.len);
				CU_ASSERT_EQUAL(memcmp(r.u->got[0].data, m.data, m.frame.len), 0);
				CU_ASSERT_EQUAL(
					memcmp(&r.u->got[0].hdr, &m.frame.hdr, sizeof(m.frame.hdr)),
					0);
			}
			user_drop(r.u);
		}
	rig_close(&r);
}

/* Segments wait for room as frames do, and nothing overtakes them. */
static void test_backpressure(void)
{
	const struct shape s = {TCP4, false, 0, 0, 0, 50000, 100};
	static struct made m[2];
	struct vio_frame batch[3];
	unsigned taken, seen = 0;
	struct rig r;

	rig_open(&r, 0);
	make_frame(&m[0], &s);
	make_frame(&m[1], &(struct shape){.type = 0, .payload = 50, .size = 1});
	batch[0] = batch[2] = m[1].frame;
	batch[0].hdr = batch[2].hdr = (struct vio_frame_hdr){0};
	batch[1] = m[0].frame;
	user_receive(r.u, 31);
	taken = vio_port_send(r.u->pq, batch, 3);
	CU_ASSERT_EQUAL(taken, 2);
	CU_ASSERT_EQUAL(vio_port_send(r.u->pq, batch + 2, 1), 0);
	for (unsigned rooms = 1; r.u->n < 501; rooms = rooms * 3 % 40 + 1) {
		CU_ASSERT_EQUAL(r.u->n_writable, 0);
		user_settle(r.u);
		if (r.u->n < 501)
			user_receive(r.u, rooms);
		CU_ASSERT_FATAL(++seen < 1000);
		user_settle(r.u);
	}
	user_receive(r.u, 9);
	user_settle(r.u);
	CU_ASSERT_EQUAL(r.u->n_writable, 1);
	CU_ASSERT_EQUAL(vio_port_send(r.u->pq, batch + 2, 1), 1);
	CU_ASSERT_EQUAL_FATAL(r.u->n, 502);
	CU_ASSERT_EQUAL(r.u->got[0].len, m[1].frame.len);
	CU_ASSERT_EQUAL(r.u->got[501].len, m[1].frame.len);
	for (unsigned i = 0; i < 500; i++)
		check_segment(&m[0], &s, &r.u->got[1 + i], i, 500);
	rig_close(&r);
}

/* A frame for tens of thousands of segments does not keep the loop from others. */
static void test_turns(void)
{
	const struct shape s = {TCP4, false, 0, 0, 0, 60000, 1};
	static struct made m;
	unsigned turns = 0, all = 0;
	struct rig r;

	rig_open(&r, 0);
	make_frame(&m, &s);
	user_receive(r.u, USER_KEEP);
	CU_ASSERT_EQUAL(vio_port_send(r.u->pq, &m.frame, 1), 1);
	for (; all < 60000 && turns < 10000; turns++) {
		CU_ASSERT(r.u->n <= 256);
		all += r.u->n;
		user_drop(r.u);
		r.u->room = USER_KEEP;
		vio_loop_manual_run(r.loop, 0);
	}
	CU_ASSERT_EQUAL(all, 60000);
	CU_ASSERT(turns > 200);
	make_frame(&m, &s); /* and one that is not done when the queue goes */
	CU_ASSERT_EQUAL(vio_port_send(r.u->pq, &m.frame, 1), 1);
	rig_close(&r);
}

/* What is not as the header says is dropped, whatever it is, and the next frame is not. */
static void test_nonsense(void)
{
	static const uint8_t types[] = {TCP4, TCP6, UFO, USO, TCP4 | ECN, 2, 6, 0x21};
	static struct made m;
	uint32_t rng = 1;
	unsigned came = 0;
	struct rig r;

	rig_open(&r, 0);
	for (unsigned round = 0; round < 20000; round++) {
		struct shape s = shapes[round % VIO_ARRAY_LEN(shapes)];
		unsigned at;

		s.payload %= 300;
		s.size = (uint16_t)(s.size % 200 + 1);
		make_frame(&m, &s);
		rng = rng * 1664525 + 1013904223;
		at = rng >> 8;
		switch (rng >> 29) {
		case 0:
			m.frame.hdr.csum_start = htole16((uint16_t)at);
			break;
		case 1:
			m.frame.hdr.gso_size = htole16((uint16_t)(at % 3));
			break;
		case 2: /* cut short */
			m.frame.n_iov = at % 4;
			m.iov[2].iov_len = at / 4 % (m.iov[2].iov_len + 1);
			break;
		case 3:
			m.frame.hdr.gso_type = types[at % sizeof(types)];
			break;
		default:
			m.data[at % m.body] = (uint8_t)(at >> 12);
		}
		m.frame.len = 0;
		for (unsigned i = 0; i < m.frame.n_iov; i++)
			m.frame.len += (uint32_t)m.iov[i].iov_len;
		user_receive(r.u, USER_KEEP);
		CU_ASSERT_EQUAL(vio_port_send(r.u->pq, &m.frame, 1), 1);
		user_settle(r.u);
		came += r.u->n > 0;
		user_drop(r.u);
	}
	CU_ASSERT(came > 5000 && came < 19000);
	user_receive(r.u, 1);
	CU_ASSERT_TRUE(user_send(r.u, m.data, 60));
	CU_ASSERT_EQUAL(r.u->n, 1);
	rig_close(&r);
}

static CU_TestInfo tests[] = {
	{"segments and fragments", test_cut}, {"longest frames", test_longest},
	{"unknown kinds", test_unknown},      {"whole to who takes it", test_whole},
	{"backpressure", test_backpressure},  {"turns", test_turns},
	{"nonsense", test_nonsense},	      CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("segments", tests);
}
