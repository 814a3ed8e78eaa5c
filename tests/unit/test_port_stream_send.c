/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stream port, sending: backpressure without a loss, and both ways on every loop.
 */
#include <sys/mman.h>

#include "stream_fix.h"

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
	return suite_run("port stream, sending", tests);
}
