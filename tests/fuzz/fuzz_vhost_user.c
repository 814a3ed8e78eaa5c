/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user messages against a live disk: the input is what a front-end does, one step after the
 * other: messages that are right, nearly right, or just bytes, with descriptors of every kind; a
 * ring with any contents; kicks; memory that is taken away; disconnecting. The server stays from
 * input to input, so each one also shows that the one before left nothing behind.
 *
 * A step is a byte: kind in the low 3 bits, the rest chooses; see step().
 */
#include <driver/queue.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <viodm/blk.h>
#include <viodm/engines.h>
#include <viodm/inproc.h>
#include <viodm/loop_manual.h>
#include <viodm/vhost_msg.h>
#include <viodm/vhost_user.h>

#include "fuzz_input.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DISK_BYTES (64u * 1024)
#define RAM_BYTES  (64u * 1024)
#define UADDR	   UINT64_C(0x7f0000000000)
#define GPA	   UINT64_C(0x10000)
#define N_QUEUES   2

/* Descriptors that messages may carry. */
enum fd_kind { FD_RAM, FD_EVENT, FD_SHORT, FD_PIPE, FD_SOCKET, FD_FILE, FD_SEALED, N_FD_KINDS };

static struct {
	struct vio_loop *loop;
	struct vio_backend *backend;
	struct vio_storage *storage;
	struct vio_device *dev;
	struct vio_vhost_user *vu;
	struct vio_vhost_user_guard *guard;
	struct sockaddr_un addr;
	socklen_t addr_len;
	int fds[N_FD_KINDS];
	unsigned n_fds; /* open between inputs */
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

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (info->si_code > 0 && vio_vhost_user_guard_fault(s.guard, info->si_addr))
		return;
	signal(sig, SIG_DFL);
	raise(sig);
}

static int memory_file(size_t size, int seals)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	require(ftruncate(fd, (off_t)size) == 0 && fcntl(fd, F_ADD_SEALS, seals) == 0);
	return fd;
}

static void make_fds(void)
{
	int p[2];

	s.fds[FD_RAM] = memory_file(RAM_BYTES, 0);
	s.fds[FD_EVENT] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	s.fds[FD_SHORT] = memory_file(100, 0);
	s.fds[FD_SEALED] = memory_file(RAM_BYTES, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	require(pipe2(p, O_CLOEXEC | O_NONBLOCK) == 0);
	close(p[0]);
	s.fds[FD_PIPE] = p[1];
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p) == 0);
	close(p[0]);
	s.fds[FD_SOCKET] = p[1];
	s.fds[FD_FILE] = open("/dev/null", O_RDWR | O_CLOEXEC);
	require(s.fds[FD_FILE] >= 0);
}

/* On a name that the kernel makes up: nothing in the file system. */
static int make_listener(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	s.addr.sun_family = AF_UNIX;
	s.addr_len = sizeof(s.addr);
	require(bind(fd, (struct sockaddr *)&s.addr, sizeof(sa_family_t)) == 0);
	require(listen(fd, 4) == 0);
	require(getsockname(fd, (struct sockaddr *)&s.addr, &s.addr_len) == 0);
	return fd;
}

/* The least of some looks: the fuzzer's own threads have a file open now and then. */
static unsigned count_fds(void)
{
	unsigned least = UINT32_MAX;

	for (int look = 0; look < 20 && least > s.n_fds; look++) {
		unsigned n = 0;

		for (int fd = 0; fd < 64; fd++) {
			struct stat st;

			/* not pipes: the fuzzer may start a symbolizer at any time and keeps them
			 */
			n += fstat(fd, &st) == 0 && !S_ISFIFO(st.st_mode);
		}
		least = n < least ? n : least;
		if (least > s.n_fds)
			usleep(500);
	}
	return least;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct vio_log log = {.write = quiet, .max_level = VIO_LOG_DEBUG};
	struct sigaction sa = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
	struct vio_device_env env = {.name = "fuzz", .log = &log};
	struct vio_blk_config blk = {.queues = N_QUEUES, .queue_size = 64};
	struct vio_vhost_user_config cfg = {0};

	(void)argc;
	(void)argv;
	sigaction(SIGBUS, &sa, NULL);
	make_fds();
	require(vio_loop_manual_create(&s.loop) == 0);
	require(vio_backend_inproc_create(s.loop, &s.backend) == 0);
	require(vio_storage_memory_open(DISK_BYTES, &s.storage) == 0);
	env.backend = s.backend;
	blk.storage = s.storage;
	require(vio_blk_create(&env, &blk, &s.dev) == 0);
	require(vio_vhost_user_guard_create(VIO_VHOST_USER_MAX_SLOTS + 2, &s.guard) == 0);
	cfg.loop = s.loop;
	cfg.fd = make_listener();
	cfg.guard = s.guard;
	require(vio_vhost_user_create(s.dev, &cfg, &s.vu) == 0);
	s.n_fds = count_fds();
	return 0;
}

/* A kick descriptor that stays readable is not possible, so this ends; else the fuzzer hangs. */
static void turn(void)
{
	while (vio_loop_manual_run(s.loop, 0) > 0)
		;
}

static int connect_to_server(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	require(connect(fd, (struct sockaddr *)&s.addr, s.addr_len) == 0);
	turn();
	return fd;
}

/* ---- steps -------------------------------------------------------------------------------------
 */

static struct vio_vhost_region some_region(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);

	return (struct vio_vhost_region){
		.gpa = GPA + (uint64_t)(how & 3) * RAM_BYTES,
		.uaddr = UADDR + (uint64_t)(how & 3) * RAM_BYTES,
		.size = how & 4 ? RAM_BYTES / 2 : RAM_BYTES,
		.offset = how & 8 ? 48 : 0,
	};
}

/* The rings of queue `i` as fill_ring() and well-behaved messages have them. */
static struct vio_vhost_vring_addr some_addr(uint32_t i)
{
	return (struct vio_vhost_vring_addr){.index = i,
					     .desc = UADDR + i * 0x1000,
					     .avail = UADDR + i * 0x1000 + 0x800,
					     .used = UADDR + i * 0x1000 + 0xa00};
}

static void add_fd(struct vio_vhost_msg *m, uint8_t kind)
{
	if (m->n_fds < VIO_VHOST_MAX_FDS)
		m->fds[m->n_fds++] = s.fds[kind % N_FD_KINDS];
}

static void fill_table(struct vio_vhost_msg *m, struct fuzz_input *in)
{
	uint8_t n = fuzz_u8(in) % 5;

	m->u.table.n = n;
	m->hdr.size = vio_vhost_mem_table_size(n);
	for (uint8_t i = 0; i < n; i++) {
		m->u.table.region[i] = some_region(in);
		add_fd(m, FD_RAM);
	}
}

static void fill_state(struct vio_vhost_msg *m, struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);

	m->hdr.size = sizeof(m->u.state);
	m->u.state.index = how & 3;
	if (m->hdr.request == VIO_VHOST_SET_VRING_NUM)
		m->u.state.num = 1u << (how >> 2 & 15);
	else
		m->u.state.num = how >> 2;
}

static void fill_config(struct vio_vhost_msg *m, struct fuzz_input *in)
{
	m->u.config.offset = fuzz_u8(in);
	m->u.config.size = fuzz_u8(in);
	m->hdr.size = VIO_VHOST_CONFIG_HDR + m->u.config.size;
}

/* Areas in the middle of the rings, where anything may be, or in a file of their own. */
static void fill_inflight(struct vio_vhost_msg *m, struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);

	m->hdr.size = how & 1 ? 20 : sizeof(m->u.inflight);
	m->u.inflight.n_queues = how >> 1 & 3;
	m->u.inflight.queue_size = (uint16_t)(1u << (how >> 3 & 7));
	if (m->hdr.request == VIO_VHOST_GET_INFLIGHT_FD)
		return;
	m->u.inflight.mmap_offset = fuzz_u8(in) * 8u;
	m->u.inflight.mmap_size = how & 0x40 ? 16384 : fuzz_u16(in);
	add_fd(m, how & 0x80 ? FD_SEALED : FD_RAM);
}

/* A message of this request as it should be, more or less. */
static void fill_message(struct vio_vhost_msg *m, struct fuzz_input *in)
{
	m->hdr.size = 0;
	switch (m->hdr.request) {
	case VIO_VHOST_SET_FEATURES:
	case VIO_VHOST_SET_PROTOCOL_FEATURES:
		m->hdr.size = 8;
		m->u.u64 = fuzz_u32(in) | (uint64_t)(fuzz_u8(in) & 1) << 32;
		break;
	case VIO_VHOST_SET_STATUS:
		m->hdr.size = 8;
		m->u.u64 = fuzz_u8(in);
		break;
	case VIO_VHOST_SET_MEM_TABLE:
		fill_table(m, in);
		break;
	case VIO_VHOST_SET_VRING_NUM:
	case VIO_VHOST_SET_VRING_BASE:
	case VIO_VHOST_GET_VRING_BASE:
	case VIO_VHOST_SET_VRING_ENABLE:
		fill_state(m, in);
		break;
	case VIO_VHOST_SET_VRING_ADDR:
		m->hdr.size = sizeof(m->u.addr);
		m->u.addr = some_addr(fuzz_u8(in) & 3);
		break;
	case VIO_VHOST_SET_VRING_KICK:
	case VIO_VHOST_SET_VRING_CALL:
	case VIO_VHOST_SET_VRING_ERR:
		m->hdr.size = 8;
		m->u.u64 = fuzz_u8(in) & 3;
		add_fd(m, FD_EVENT);
		break;
	case VIO_VHOST_ADD_MEM_REG:
		add_fd(m, FD_RAM);
		m->hdr.size = sizeof(m->u.reg);
		m->u.reg.region = some_region(in);
		break;
	case VIO_VHOST_REM_MEM_REG:
		m->hdr.size = sizeof(m->u.reg);
		m->u.reg.region = some_region(in);
		break;
	case VIO_VHOST_SET_BACKEND_REQ_FD:
		add_fd(m, FD_SOCKET);
		break;
	case VIO_VHOST_GET_CONFIG:
	case VIO_VHOST_SET_CONFIG:
		fill_config(m, in);
		break;
	case VIO_VHOST_GET_INFLIGHT_FD:
	case VIO_VHOST_SET_INFLIGHT_FD:
		fill_inflight(m, in);
		break;
	default:
		break;
	}
}

/* Bytes of the payload, its size, flags, descriptors: anything else. */
static void damage(struct vio_vhost_msg *m, struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);

	if (how & 1) {
		uint8_t at = fuzz_u8(in);

		fuzz_bytes(in, (uint8_t *)&m->u + at, 8);
	}
	if (how & 2)
		m->hdr.size = fuzz_u16(in) % (sizeof(m->u) + 1);
	if (how & 4)
		m->hdr.flags = fuzz_u32(in);
	if (how & 8)
		m->n_fds = 0;
	for (uint8_t n = how >> 4; n > 0; n--)
		add_fd(m, fuzz_u8(in));
}

static void send_message(int sock, struct fuzz_input *in, uint8_t arg)
{
	struct vio_vhost_msg m = {.hdr = {.request = fuzz_u8(in), .flags = VIO_VHOST_VERSION}};

	if (arg & 1)
		m.hdr.flags |= VIO_VHOST_NEED_REPLY;
	fill_message(&m, in);
	if (arg & 2)
		damage(&m, in);
	vio_vhost_send(sock, &m, MSG_DONTWAIT);
}

static void send_bytes(int sock, struct fuzz_input *in, uint8_t arg)
{
	uint8_t bytes[32];

	fuzz_bytes(in, bytes, arg);
	send(sock, bytes, arg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* A chain of `arg` descriptors, and an available index; written, since a mapping could fault. */
static void fill_ring(struct fuzz_input *in, uint8_t arg)
{
	uint8_t queue = fuzz_u8(in) & 1;
	off_t base = queue * 0x1000;
	ssize_t n;

	for (uint8_t i = 0; i <= (arg & 7); i++) {
		struct vring_desc d;

		drv_desc_write(&d, GPA + 0x4000 + (uint64_t)fuzz_u8(in) * 64, fuzz_u16(in),
			       fuzz_u8(in) & 7, (uint16_t)(i + 1));
		if (arg & 8)
			fuzz_bytes(in, &d, sizeof(d));
		n = pwrite(s.fds[FD_RAM], &d, sizeof(d), base + i * (off_t)sizeof(d));
	}
	if (arg & 16) {
		uint16_t avail[4] = {0, fuzz_u8(in), fuzz_u8(in) & 7, fuzz_u8(in) & 7};

		n = pwrite(s.fds[FD_RAM], avail, sizeof(avail), base + 0x800);
	}
	(void)n;
}

static void read_answers(int sock)
{
	char buf[4096];

	while (recv(sock, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

/* What an area says, at one place: the header, or an entry. */
static void fill_area(struct fuzz_input *in)
{
	uint8_t words[16];
	off_t at = fuzz_u8(in) * 8;
	ssize_t n;

	fuzz_bytes(in, words, sizeof(words));
	n = pwrite(s.fds[FD_SEALED], words, sizeof(words), at);
	(void)n;
}

static void change_config(struct fuzz_input *in)
{
	uint64_t capacity = fuzz_u8(in);

	vio_device_config_update(s.dev, 0, &capacity, sizeof(capacity));
}

static void step(int *sock, struct fuzz_input *in)
{
	uint8_t b = fuzz_u8(in), arg = b >> 3;
	uint64_t one = 1;
	ssize_t n;

	switch (b & 7) {
	case 0:
	case 1:
		send_message(*sock, in, arg);
		break;
	case 2:
		send_bytes(*sock, in, arg);
		break;
	case 3:
		fill_ring(in, arg);
		break;
	case 4:
		n = write(s.fds[FD_EVENT], &one, sizeof(one));
		(void)n;
		break;
	case 5:
		require(ftruncate(s.fds[FD_RAM], arg & 1 ? 0 : RAM_BYTES) == 0);
		break;
	case 6:
		if (arg & 16)
			fill_area(in);
		else
			change_config(in);
		break;
	case 7:
		if (arg == 31) {
			close(*sock);
			turn();
			*sock = connect_to_server();
		}
		read_answers(*sock);
		break;
	}
	if (!(arg & 16) || (b & 7) > 1)
		turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	uint64_t count;
	ssize_t n;
	int sock;

	require(ftruncate(s.fds[FD_RAM], 0) == 0 && ftruncate(s.fds[FD_RAM], RAM_BYTES) == 0);
	require(fallocate(s.fds[FD_SEALED], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			  RAM_BYTES) == 0);
	sock = connect_to_server();
	for (int steps = 0; in.left > 0 && steps < 200; steps++)
		step(&sock, &in);
	turn();
	close(sock);
	turn();
	require(!vio_vhost_user_connected(s.vu));
	require(vio_device_status(s.dev) == 0);
	n = read(s.fds[FD_EVENT], &count, sizeof(count));
	(void)n;
	require(count_fds() <= s.n_fds);
	return 0;
}
