/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stream port against a peer that sends anything, in any pieces, while the device takes frames,
 * has no room, sends, resets. What is delivered must be what the bytes say, frame by frame; a
 * connection may end only where they stop making sense; nothing may be left of it.
 *
 * A step is a byte: kind in the low 3 bits, the rest chooses; see step().
 */
#include <endian.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <viodm/loop_manual.h>
#include <viodm/ports.h>

#include "fuzz_input.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SENT_MAX (512u * 1024)
#define LEN_SIZE 4u
#define ETH_HDR	 14u
#define MAX_FD	 64

static struct {
	struct vio_loop *loop;
	struct vio_port *port;
	struct vio_port_queue *pq;
	struct sockaddr_un addr;
	socklen_t addr_len;
	unsigned n_fds; /* open between inputs */
	int peer;

	/* the device */
	bool on, refused;
	unsigned room;
	bool unflushed;

	/* what this connection was sent, and how much of it was delivered */
	uint8_t sent[SENT_MAX];
	size_t n_sent, at;
} s;

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void quiet(void *arg, enum vio_log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

/* ---- the device --------------------------------------------------------------------------------
 */

static uint32_t length_at(size_t at)
{
	uint32_t len;

	memcpy(&len, s.sent + at, sizeof(len));
	return be32toh(len);
}

static bool is_length(uint32_t len)
{
	return len >= ETH_HDR && len <= VIO_FRAME_MAX;
}

static void check_frame(const struct vio_frame *f)
{
	require(f->n_iov == 1 && f->iov->iov_len == f->len);
	require(s.n_sent - s.at >= LEN_SIZE && length_at(s.at) == f->len && is_length(f->len));
	require(s.n_sent - s.at - LEN_SIZE >= f->len);
	require(memcmp(s.sent + s.at + LEN_SIZE, f->iov->iov_base, f->len) == 0);
	s.at += LEN_SIZE + f->len;
}

static unsigned on_deliver(struct vio_port_queue *pq, const struct vio_frame *frames, unsigned n)
{
	(void)pq;
	require(s.on && !s.refused);
	for (unsigned i = 0; i < n; i++) {
		if (s.room == 0) {
			s.refused = true;
			return i;
		}
		s.room--;
		s.unflushed = true;
		check_frame(&frames[i]);
	}
	return n;
}

static void on_flush(struct vio_port_queue *pq)
{
	(void)pq;
	s.unflushed = false;
}

static bool on_room(struct vio_port_queue *pq, struct vio_port_room *room)
{
	(void)pq;
	(void)room;
	abort(); /* this port has the frames already */
}

static void on_received(struct vio_port_queue *pq, const struct vio_frame_hdr *hdr, size_t len)
{
	(void)pq;
	(void)hdr;
	(void)len;
	abort();
}

static void on_writable(struct vio_port_queue *pq)
{
	(void)pq;
}

static const struct vio_port_user user = {
	.room = on_room,
	.received = on_received,
	.deliver = on_deliver,
	.flush = on_flush,
	.writable = on_writable,
};

static void attach(void)
{
	require(vio_port_attach(s.port, 0, s.loop, &user, NULL, &s.pq) == 0);
}

static void receive(bool on, unsigned room)
{
	s.on = on;
	s.refused = false;
	s.room = room;
	vio_port_receive(s.pq, on);
}

/* The device may send in up to 70000 bytes, so also what no frame is. */
static void device_sends(struct fuzz_input *in, uint8_t arg)
{
	static uint8_t data[70000];
	size_t len = fuzz_u16(in) + (arg & 1 ? 4000u : 0u);
	struct iovec iov[2] = {{data, len / 3}, {data + len / 3, len - len / 3}};
	struct vio_frame f[16];

	for (unsigned i = 0; i < 16; i++)
		f[i] = (struct vio_frame){.iov = iov, .n_iov = 2, .len = (uint32_t)len};
	require(vio_port_send(s.pq, f, arg & 15) <= (unsigned)(arg & 15));
}

/* ---- the peer ----------------------------------------------------------------------------------
 */

static unsigned count_fds(void)
{
	unsigned n = 0;
	struct stat st;

	for (int fd = 0; fd < MAX_FD; fd++)
		n += fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
	return n;
}

/* Ends: what is ready goes away when it is dealt with. */
static void turn(void)
{
	for (unsigned i = 0; vio_loop_manual_run(s.loop, 0) > 0; i++) {
		require(!s.unflushed);
		require(i < 100000);
	}
}

static bool port_up(void)
{
	struct vio_port_info info;

	require(vio_port_info(s.port, &info) == 0);
	return info.link_up;
}

static void peer_connect(void)
{
	s.peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	require(connect(s.peer, (struct sockaddr *)&s.addr, s.addr_len) == 0);
	s.n_sent = s.at = 0;
	turn();
	require(port_up());
}

static void peer_sends(const void *data, size_t len)
{
	size_t space = SENT_MAX - s.n_sent;
	ssize_t n;

	n = send(s.peer, data, len < space ? len : space, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n <= 0)
		return;
	memcpy(s.sent + s.n_sent, data, (size_t)n);
	s.n_sent += (size_t)n;
}

static void peer_sends_bytes(struct fuzz_input *in, uint8_t arg)
{
	uint8_t bytes[32];

	fuzz_bytes(in, bytes, arg);
	peer_sends(bytes, arg);
}

/* A frame, the last bytes of which may be missing. */
static void peer_sends_frame(struct fuzz_input *in, uint8_t arg)
{
	static uint8_t frame[LEN_SIZE + UINT16_MAX];
	uint16_t len = arg & 16 ? fuzz_u16(in) : (uint16_t)(fuzz_u8(in) + ETH_HDR);
	uint32_t be = htobe32(len);

	memcpy(frame, &be, sizeof(be));
	memset(frame + LEN_SIZE, arg, len);
	peer_sends(frame, LEN_SIZE + len - (arg & 15 && len > 15 ? arg & 15 : 0));
}

static void peer_reads(void)
{
	char buf[65536];

	while (recv(s.peer, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

/* ---- the run -----------------------------------------------------------------------------------
 */

static void step(struct fuzz_input *in)
{
	uint8_t b = fuzz_u8(in), arg = b >> 3;

	switch (b & 7) {
	case 0:
		peer_sends_bytes(in, arg);
		break;
	case 1:
	case 2:
		peer_sends_frame(in, arg);
		break;
	case 3:
		receive(true, arg & 1 ? UINT32_MAX : arg >> 1);
		break;
	case 4:
		receive(false, 0);
		break;
	case 5:
		device_sends(in, arg);
		break;
	case 6:
		peer_reads();
		break;
	case 7:
		vio_port_detach(s.pq);
		s.on = false;
		if (arg & 1)
			turn();
		attach();
		break;
	}
	if (!(arg & 8))
		turn();
}

/* All that came whole was delivered; the connection is there unless the bytes were wrong. */
static void check_end(void)
{
	bool wrong;

	receive(true, UINT32_MAX);
	turn();
	wrong = s.n_sent - s.at >= LEN_SIZE && !is_length(length_at(s.at));
	require(port_up() == !wrong);
	if (!wrong && s.n_sent - s.at >= LEN_SIZE)
		require(s.n_sent - s.at - LEN_SIZE < length_at(s.at));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct vio_log log = {.write = quiet, .max_level = VIO_LOG_DEBUG};
	struct vio_port_stream_config cfg = {.log = &log};

	(void)argc;
	(void)argv;
	cfg.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	s.addr.sun_family = AF_UNIX;
	s.addr_len = sizeof(s.addr);
	/* On a name that the kernel makes up: nothing in the file system. */
	require(bind(cfg.fd, (struct sockaddr *)&s.addr, sizeof(sa_family_t)) == 0);
	require(listen(cfg.fd, 4) == 0);
	require(getsockname(cfg.fd, (struct sockaddr *)&s.addr, &s.addr_len) == 0);
	require(vio_loop_manual_create(&s.loop) == 0);
	require(vio_port_stream_open(&cfg, &s.port) == 0);
	attach();
	s.n_fds = count_fds();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	peer_connect();
	receive(false, 0);
	for (int steps = 0; in.left > 0 && steps < 200; steps++)
		step(&in);
	check_end();
	close(s.peer);
	turn();
	require(!port_up());
	require(count_fds() == s.n_fds);
	return 0;
}
