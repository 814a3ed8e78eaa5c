/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Network ports that need nothing of the system: null and loop.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <viodm/ports.h>

#include "port_user.h"

static void null_open(uint32_t generate, struct vio_port **port)
{
	MUST(vio_port_null_open(&(struct vio_port_null_config){.generate = generate}, port));
}

static void test_null_lengths(void)
{
	struct vio_port *port;

	for (uint32_t len = 1; len < VIO_PORT_NULL_MIN; len++)
		CU_ASSERT_EQUAL(
			vio_port_null_open(&(struct vio_port_null_config){.generate = len}, &port),
			-EINVAL);
	CU_ASSERT_EQUAL(
		vio_port_null_open(
			&(struct vio_port_null_config){.generate = VIO_PORT_NULL_MAX + 1}, &port),
		-EINVAL);
}

/* Sent frames are counted, over all pairs, and nothing comes. */
static void test_null_counts(void)
{
	struct vio_port_null_counts counts;
	uint8_t data[100] = {0};
	struct port_user *u[3];
	struct vio_port *port;
	struct vio_loop *loop;

	MUST(vio_loop_manual_create(&loop));
	null_open(0, &port);
	for (uint16_t i = 0; i < 3; i++) {
		u[i] = user_attach(port, loop, i * 100);
		user_receive(u[i], 1);
		for (unsigned k = 0; k <= i; k++)
			CU_ASSERT_TRUE(user_send(u[i], data, 60 + i));
	}
	user_settle(u[0]);
	for (unsigned i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(u[i]->n + u[i]->n_flush + u[i]->n_writable, 0);
		user_detach(u[i]);
	}
	vio_port_null_count(port, &counts);
	CU_ASSERT_EQUAL(counts.sent, 6);
	CU_ASSERT_EQUAL(counts.sent_bytes, 60 + 2 * 61 + 3 * 62);
	CU_ASSERT_EQUAL(counts.brought, 0);
	vio_port_close(port);
	vio_loop_destroy(loop);
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* What ports.h says of a generated frame. */
static void check_generated(const struct user_frame *f, uint32_t len, unsigned pair,
			    uint64_t number)
{
	const uint8_t *d = f->data;
	unsigned sum = 0;
	__be64 n;

	CU_ASSERT_EQUAL_FATAL(f->len, len);
	CU_ASSERT_EQUAL(memcmp(&f->hdr, &(struct vio_frame_hdr){0}, sizeof(f->hdr)), 0);
	CU_ASSERT_EQUAL(memcmp(d, "\xff\xff\xff\xff\xff\xff\2\0\0\0\0\1\x08\0\x45", 15), 0);
	CU_ASSERT_EQUAL(get16(d + 16), len - 14);
	for (unsigned i = 14; i < 34; i += 2)
		sum += get16(d + i);
	CU_ASSERT_EQUAL((sum & 0xffff) + (sum >> 16), 0xffff);
	CU_ASSERT_EQUAL(d[23], 17);
	CU_ASSERT_EQUAL(memcmp(d + 26, "\306\022\0\1\306\022\0\2", 8), 0);
	CU_ASSERT_EQUAL(get16(d + 34), 1024 + pair);
	CU_ASSERT_EQUAL(get16(d + 36), 9);
	CU_ASSERT_EQUAL(get16(d + 38), len - 34);
	CU_ASSERT_EQUAL(get16(d + 40), 0);
	memcpy(&n, d + 42, sizeof(n));
	CU_ASSERT_EQUAL(be64toh(n), number);
	for (uint32_t i = 50; i < len; i++)
		if (d[i] != (uint8_t)i) {
			CU_FAIL("a byte of the pattern");
			return;
		}
}

/* As many as there is room for, in order; then silence until there is room again. */
static void test_null_brings(void)
{
	static const uint32_t sizes[] = {VIO_PORT_NULL_MIN, 64, 1514, VIO_PORT_NULL_MAX};
	static const unsigned rooms[] = {1, 63, 64, 65, 0, 256, 257, 700};
	struct vio_port_null_counts counts;
	struct port_user *u;
	struct vio_port *port;
	struct vio_loop *loop;

	MUST(vio_loop_manual_create(&loop));
	for (unsigned s = 0; s < VIO_ARRAY_LEN(sizes); s++) {
		uint64_t number = 0;

		null_open(sizes[s], &port);
		u = user_attach(port, loop, 7);
		user_settle(u);
		CU_ASSERT_EQUAL(u->n, 0);
		for (unsigned r = 0; r < VIO_ARRAY_LEN(rooms); r++) {
			u->n_flush = 0;
			user_receive(u, rooms[r]);
			user_settle(u);
			CU_ASSERT_EQUAL(u->n, rooms[r]);
			CU_ASSERT_EQUAL(u->n_flush, (rooms[r] + 31) / 32);
			CU_ASSERT_EQUAL(vio_loop_manual_run(loop, 0), 0);
			for (unsigned i = 0; i < u->n; i++)
				check_generated(&u->got[i], sizes[s], 7, number++);
			user_drop(u);
		}
		vio_port_null_count(port, &counts);
		CU_ASSERT_EQUAL(counts.brought, number);
		user_detach(u);
		vio_port_close(port);
	}
	vio_loop_destroy(loop);
}

/* One turn of the loop does a bounded amount of work, however much room there is. */
static void test_null_shares_the_loop(void)
{
	struct port_user *u;
	struct vio_port *port;
	struct vio_loop *loop;

	MUST(vio_loop_manual_create(&loop));
	null_open(64, &port);
	u = user_attach(port, loop, 0);
	user_receive(u, 100000);
	CU_ASSERT_EQUAL(vio_loop_manual_run(loop, 0), 1);
	CU_ASSERT(u->n > 0 && u->n <= 256);
	user_detach(u); /* with more on its way */
	CU_ASSERT_EQUAL(vio_loop_manual_run(loop, 0), 0);
	vio_port_close(port);
	vio_loop_destroy(loop);
}

/* Off and not selected are silent, whatever was under way. */
static void test_null_off(void)
{
	struct port_user *u;
	struct vio_port *port;
	struct vio_loop *loop;

	MUST(vio_loop_manual_create(&loop));
	null_open(64, &port);
	u = user_attach(port, loop, 0);
	user_receive(u, 100000);
	user_off(u);
	user_settle(u);
	CU_ASSERT_EQUAL(u->n, 0);
	user_receive(u, 100000);
	vio_port_select(u->pq, false);
	user_settle(u);
	CU_ASSERT_EQUAL(u->n, 0);
	vio_port_select(u->pq, true);
	CU_ASSERT_EQUAL(vio_loop_manual_run(loop, 0), 1);
	CU_ASSERT(u->n > 0);
	vio_port_select(u->pq, false);
	user_drop(u);
	user_settle(u);
	CU_ASSERT_EQUAL(u->n, 0);
	user_detach(u);
	vio_port_close(port);
	vio_loop_destroy(loop);
}

/* A batch of frames that differ in every byte from the one before, each in two pieces. */
struct batch {
	uint8_t data[64][200];
	struct iovec iov[64][2];
	struct vio_frame frames[64];
};

static void batch_init(struct batch *b, unsigned first)
{
	for (unsigned i = 0; i < 64; i++) {
		unsigned cut = (first + i) % 60;
		uint32_t len = 60 + (first + i) % 140;

		memset(b->data[i], (int)(first + i), sizeof(b->data[i]));
		b->iov[i][0] = (struct iovec){b->data[i], cut};
		b->iov[i][1] = (struct iovec){b->data[i] + cut, len - cut};
		b->frames[i] = (struct vio_frame){.iov = b->iov[i], .n_iov = 2, .len = len};
	}
}

static void check_batch(const struct user_frame *f, unsigned number)
{
	CU_ASSERT_EQUAL_FATAL(f->len, 60 + number % 140);
	for (uint32_t i = 0; i < f->len; i++)
		if (f->data[i] != (uint8_t)number) {
			CU_FAIL("a byte of a frame");
			return;
		}
}

/* Everything comes back, in order, through any sequence of room and no room. */
static void test_loop_returns(void)
{
	static struct batch b;
	unsigned sent = 0, seen = 0;
	struct port_user *u;
	struct vio_port *port;
	struct vio_loop *loop;

	MUST(vio_loop_manual_create(&loop));
	MUST(vio_port_loop_open(&port));
	u = user_attach(port, loop, 255);
	for (unsigned round = 0; round < 500; round++) {
		unsigned room = round * 7 % 150, took;

		u->n_flush = 0;
		user_receive(u, room);
		batch_init(&b, sent);
		took = vio_port_send(u->pq, b.frames, 64);
		CU_ASSERT_EQUAL(took, room < 64 ? room : 64);
		CU_ASSERT_EQUAL(u->n, took);
		CU_ASSERT_EQUAL(u->n_flush, took > 0);
		CU_ASSERT_FALSE(u->unflushed);
		for (unsigned i = 0; i < u->n; i++)
			check_batch(&u->got[i], seen++);
		user_drop(u);
		sent += took;
	}
	CU_ASSERT_EQUAL(sent, seen);
	user_detach(u);
	vio_port_close(port);
	vio_loop_destroy(loop);
}

/* A send that took too few hears of room, once, when there is, and not from inside receive. */
static void test_loop_backpressure(void)
{
	static struct batch b;
	struct port_user *u;
	struct vio_port *port;
	struct vio_loop *loop;

	MUST(vio_loop_manual_create(&loop));
	MUST(vio_port_loop_open(&port));
	u = user_attach(port, loop, 0);
	batch_init(&b, 0);
	CU_ASSERT_EQUAL(vio_port_send(u->pq, b.frames, 64), 0); /* it does not receive yet */
	user_settle(u);
	CU_ASSERT_EQUAL(u->n_writable, 0);
	user_receive(u, 10);
	CU_ASSERT_EQUAL(u->n_writable, 0);
	user_settle(u);
	CU_ASSERT_EQUAL(u->n_writable, 1);
	CU_ASSERT_EQUAL(vio_port_send(u->pq, b.frames, 64), 10);
	CU_ASSERT_EQUAL(vio_port_send(u->pq, b.frames + 10, 54), 0);
	user_receive(u, 54);
	user_off(u); /* before it was told */
	user_settle(u);
	CU_ASSERT_EQUAL(u->n_writable, 1);
	user_receive(u, 54);
	user_settle(u);
	CU_ASSERT_EQUAL(u->n_writable, 2);
	CU_ASSERT_EQUAL(vio_port_send(u->pq, b.frames + 10, 54), 54);
	user_receive(u, 54); /* nothing waits */
	user_settle(u);
	CU_ASSERT_EQUAL(u->n_writable, 2);
	CU_ASSERT_EQUAL(u->n, 64);
	u->room = 0;
	CU_ASSERT_EQUAL(vio_port_send(u->pq, b.frames, 1), 0);
	user_receive(u, 1);
	user_detach(u); /* while it waits to be told */
	CU_ASSERT_EQUAL(vio_loop_manual_run(loop, 0), 0);
	vio_port_close(port);
	vio_loop_destroy(loop);
}

/* What is left to do with a frame comes back with it. */
static void test_loop_header(void)
{
	const struct vio_frame_hdr hdr = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					  .hdr_len = htole16(42),
					  .csum_start = htole16(34),
					  .csum_offset = htole16(6)};
	uint8_t data[80] = {1};
	struct iovec iov = {data, sizeof(data)};
	struct vio_frame f = {hdr, &iov, 1, sizeof(data)};
	struct vio_port_info info;
	struct port_user *u;
	struct vio_port *port;
	struct vio_loop *loop;

	MUST(vio_loop_manual_create(&loop));
	MUST(vio_port_loop_open(&port));
	CU_ASSERT_EQUAL(vio_port_info(port, &info), 0);
	CU_ASSERT_TRUE(info.offloads & 1 << VIRTIO_NET_F_CSUM);
	CU_ASSERT_TRUE(info.offloads & 1 << VIRTIO_NET_F_GUEST_CSUM);
	u = user_attach(port, loop, 0);
	user_receive(u, 1);
	CU_ASSERT_EQUAL(vio_port_send(u->pq, &f, 1), 1);
	CU_ASSERT_EQUAL_FATAL(u->n, 1);
	CU_ASSERT_EQUAL(memcmp(&u->got[0].hdr, &hdr, sizeof(hdr)), 0);
	user_detach(u);
	vio_port_close(port);
	vio_loop_destroy(loop);
}

/* Pairs do not mix. */
static void test_loop_pairs(void)
{
	struct port_user *u[4];
	struct vio_port *port;
	struct vio_loop *loop;
	uint8_t data[64];

	MUST(vio_loop_manual_create(&loop));
	MUST(vio_port_loop_open(&port));
	for (uint16_t i = 0; i < 4; i++) {
		u[i] = user_attach(port, loop, i);
		user_receive(u[i], 1);
	}
	for (unsigned i = 0; i < 4; i++) {
		memset(data, (int)i, sizeof(data));
		CU_ASSERT_TRUE(user_send(u[i], data, sizeof(data)));
	}
	for (unsigned i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL_FATAL(u[i]->n, 1);
		CU_ASSERT_EQUAL(u[i]->got[0].data[63], i);
		user_detach(u[i]);
	}
	vio_port_close(port);
	vio_loop_destroy(loop);
}

/* NET-DEV-125: while a queue does not receive its frames go to another one that does. */
static void test_loop_divert(void)
{
	static const struct vio_frame_hdr hdr = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM};
	struct port_user *u[3];
	struct vio_port *port;
	struct vio_loop *loop;
	uint8_t data[64] = {7};
	struct iovec iov = {data, sizeof(data)};
	struct vio_frame f = {hdr, &iov, 1, sizeof(data)};

	MUST(vio_loop_manual_create(&loop));
	MUST(vio_port_loop_open(&port));
	for (uint16_t i = 0; i < 3; i++) {
		u[i] = user_attach(port, loop, i);
		user_receive(u[i], 9);
	}
	user_off(u[0]);
	vio_port_select(u[0]->pq, false);
	for (unsigned i = 1; i <= 5; i++)
		CU_ASSERT_EQUAL(vio_port_send(u[0]->pq, &f, 1), 1);
	user_settle(u[1]);
	CU_ASSERT_EQUAL_FATAL(u[1]->n + u[2]->n, 5);
	for (unsigned i = 0; i < u[1]->n; i++) {
		CU_ASSERT_EQUAL(u[1]->got[i].len, sizeof(data));
		CU_ASSERT_EQUAL(u[1]->got[i].data[0], 7);
		CU_ASSERT_EQUAL(u[1]->got[i].hdr.flags, hdr.flags);
	}
	user_off(u[1]);
	vio_port_select(u[1]->pq, false);
	user_drop(u[2]);
	CU_ASSERT_TRUE(user_send(u[1], data, sizeof(data)));
	user_settle(u[2]);
	CU_ASSERT_EQUAL(u[2]->n, 1);
	vio_port_select(u[0]->pq, true);
	user_receive(u[0], 1);
	CU_ASSERT_TRUE(user_send(u[0], data, sizeof(data)));
	CU_ASSERT_EQUAL(u[0]->n, 1);
	/* What does not fit there is lost, without end. */
	u[2]->room = 0;
	vio_port_select(u[0]->pq, false);
	for (unsigned i = 0; i < 10000; i++)
		CU_ASSERT_TRUE(user_send(u[0], data, sizeof(data)));
	for (unsigned i = 0; i < 3; i++)
		user_detach(u[i]);
	vio_port_close(port);
	vio_loop_destroy(loop);
}

/* NET-DEV-126: when none receives, frames are dropped, also those that waited already. */
static void test_loop_drop(void)
{
	struct port_user *u;
	struct vio_port *port;
	struct vio_loop *loop;
	uint8_t data[64] = {0};

	MUST(vio_loop_manual_create(&loop));
	MUST(vio_port_loop_open(&port));
	u = user_attach(port, loop, 3);
	user_receive(u, 0);
	CU_ASSERT_FALSE(user_send(u, data, sizeof(data)));
	user_off(u);
	user_settle(u);
	CU_ASSERT_EQUAL(u->n_writable, 0); /* off is not enough */
	vio_port_select(u->pq, false);
	user_settle(u);
	CU_ASSERT_EQUAL(u->n_writable, 1);
	CU_ASSERT_TRUE(user_send(u, data, sizeof(data)));
	vio_port_select(u->pq, true);
	user_receive(u, 5);
	user_settle(u);
	CU_ASSERT_EQUAL(u->n, 0);
	CU_ASSERT_TRUE(user_send(u, data, sizeof(data)));
	CU_ASSERT_EQUAL(u->n, 1);
	user_detach(u);
	vio_port_close(port);
	vio_loop_destroy(loop);
}

/* A pair that the port does not have. */
static void test_pairs_limit(void)
{
	struct vio_port_queue *pq;
	struct vio_port_info info;
	struct vio_port *port[2];
	struct vio_loop *loop;

	MUST(vio_loop_manual_create(&loop));
	null_open(0, &port[0]);
	MUST(vio_port_loop_open(&port[1]));
	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(vio_port_info(port[i], &info), 0);
		CU_ASSERT_TRUE(info.link_up);
		CU_ASSERT_EQUAL(
			vio_port_attach(port[i], info.max_pairs, loop, &port_user, NULL, &pq),
			-EINVAL);
		vio_port_close(port[i]);
	}
	vio_loop_destroy(loop);
}

static CU_TestInfo tests[] = {
	{"null: lengths", test_null_lengths},
	{"null: counts what is sent", test_null_counts},
	{"null: brings frames", test_null_brings},
	{"null: shares the loop", test_null_shares_the_loop},
	{"null: off, not selected", test_null_off},
	{"loop: everything comes back", test_loop_returns},
	{"loop: backpressure", test_loop_backpressure},
	{"loop: header", test_loop_header},
	{"loop: pairs", test_loop_pairs},
	{"loop: another pair", test_loop_divert},
	{"loop: no pair", test_loop_drop},
	{"a pair too many", test_pairs_limit},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("ports", tests);
}
