/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_VHOST_FE_H
#define UNIT_VHOST_FE_H

/*
 * A scripted front-end before the server of vhost_fix.h: it says just what a test wants it to.
 */

#include "vhost_fix.h"

/* ---- the front-end --------------------------------------------------------------------------- */

struct fe {
	struct fix *f;
	int sock;
	int backend_sock; /* our end of the back-end's request channel; -1: none */
	struct drv_mem mem;
	struct drv_queue q[N_QUEUES];
	int kick[N_QUEUES], call[N_QUEUES], err[N_QUEUES];
	uint64_t buf; /* guest memory for one request */
};

/* What fe_*() returns when the server closed the connection, or did not answer. */
#define FE_CLOSED -1
#define FE_SILENT -2

static inline void fe_turn(struct fe *fe)
{
	while (vio_loop_manual_run(fe->f->loop, 0) > 0)
		;
}

static inline int fe_socket(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		close(fd);
		return -errno;
	}
	return fd;
}

static inline void fe_memory(struct fe *fe)
{
	drv_mem_init(&fe->mem);
	MUST(drv_mem_add(&fe->mem, RAM_GPA, RAM_BYTES));
	MUST(drv_mem_add(&fe->mem, RAM_GPA + RAM_BYTES, RAM_BYTES));
	for (int i = 0; i < N_QUEUES; i++) {
		MUST(drv_queue_init(&fe->q[i], &fe->mem, RING_SIZE, false, 0));
		fe->kick[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		fe->call[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		fe->err[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	}
	fe->buf = drv_mem_alloc_in(&fe->mem, 0, 65536, 4096);
}

static inline void fe_open_sock(struct fe *fe, struct fix *f, int sock)
{
	memset(fe, 0, sizeof(*fe));
	fe->f = f;
	fe->backend_sock = -1;
	fe->sock = sock;
	MUST(fe->sock);
	fe_memory(fe);
	fe_turn(fe);
}

static inline void fe_open(struct fe *fe, struct fix *f)
{
	fe_open_sock(fe, f, fe_socket(f->path));
}

static inline void fe_disconnect(struct fe *fe)
{
	if (fe->sock >= 0)
		close(fe->sock);
	if (fe->backend_sock >= 0)
		close(fe->backend_sock);
	fe->sock = fe->backend_sock = -1;
	fe_turn(fe);
}

static inline void fe_close(struct fe *fe)
{
	fe_disconnect(fe);
	for (int i = 0; i < N_QUEUES; i++) {
		drv_queue_fini(&fe->q[i]);
		close(fe->kick[i]);
		close(fe->call[i]);
		close(fe->err[i]);
	}
	drv_mem_fini(&fe->mem);
}

/* ---- messages -------------------------------------------------------------------------------- */

static inline struct vio_vhost_msg fe_msg(uint32_t request, uint32_t size)
{
	return (struct vio_vhost_msg){
		.hdr = {.request = request, .flags = VIO_VHOST_VERSION, .size = size}};
}

/* Sends without waiting; the server may have closed already. */
static inline int fe_send(struct fe *fe, const struct vio_vhost_msg *m)
{
	return vio_vhost_send(fe->sock, m, MSG_DONTWAIT);
}

/* Lets the server work; its answer, if any, into `out`. 1, FE_CLOSED or FE_SILENT. */
static inline int fe_answer(struct fe *fe, struct vio_vhost_msg *out)
{
	struct vio_vhost_rx rx = {0};
	int r;

	fe_turn(fe);
	r = vio_vhost_recv(fe->sock, &rx, MSG_DONTWAIT);
	if (r == 1) {
		*out = rx.msg;
		return 1;
	}
	return r == -EAGAIN ? FE_SILENT : FE_CLOSED;
}

/* Sends and expects an acknowledgement: its number (0: fine), or FE_CLOSED, FE_SILENT. */
static inline int fe_acked(struct fe *fe, struct vio_vhost_msg *m)
{
	struct vio_vhost_msg a;
	int r;

	m->hdr.flags |= VIO_VHOST_NEED_REPLY;
	fe_send(fe, m);
	r = fe_answer(fe, &a);
	if (r != 1)
		return r;
	if (a.hdr.request != m->hdr.request ||
	    a.hdr.flags != (VIO_VHOST_VERSION | VIO_VHOST_REPLY) || a.hdr.size != 8)
		return FE_SILENT;
	return (int)a.u.u64;
}

/* Sends and expects nothing back: 0, or FE_CLOSED. */
static inline int fe_plain(struct fe *fe, const struct vio_vhost_msg *m)
{
	struct vio_vhost_msg a;

	fe_send(fe, m);
	switch (fe_answer(fe, &a)) {
	case FE_SILENT:
		return 0;
	case FE_CLOSED:
		return FE_CLOSED;
	default:
		return 1;
	}
}

static inline int fe_u64(struct fe *fe, uint32_t request, uint64_t v)
{
	struct vio_vhost_msg m = fe_msg(request, 8);

	m.u.u64 = v;
	return fe_plain(fe, &m);
}

static inline int fe_empty(struct fe *fe, uint32_t request)
{
	struct vio_vhost_msg m = fe_msg(request, 0);

	return fe_plain(fe, &m);
}

static inline int fe_state(struct fe *fe, uint32_t request, uint32_t index, uint32_t num)
{
	struct vio_vhost_msg m = fe_msg(request, 8);

	m.u.state.index = index;
	m.u.state.num = num;
	return fe_plain(fe, &m);
}

/* Asks for a number. UINT64_MAX when there was no answer. */
static inline uint64_t fe_get(struct fe *fe, uint32_t request)
{
	struct vio_vhost_msg m = fe_msg(request, 0), a;

	fe_send(fe, &m);
	if (fe_answer(fe, &a) != 1 || a.hdr.request != request || a.hdr.size != 8)
		return UINT64_MAX;
	return a.u.u64;
}

/* GET_VRING_BASE; UINT32_MAX when there was no answer. */
static inline uint32_t fe_get_base(struct fe *fe, uint32_t index)
{
	struct vio_vhost_msg m = fe_msg(VIO_VHOST_GET_VRING_BASE, 8), a;

	m.u.state.index = index;
	fe_send(fe, &m);
	if (fe_answer(fe, &a) != 1 || a.u.state.index != index)
		return UINT32_MAX;
	return a.u.state.num;
}

static inline int fe_fd(struct fe *fe, uint32_t request, uint64_t v, int fd)
{
	struct vio_vhost_msg m = fe_msg(request, 8);

	m.u.u64 = fd < 0 ? v | VIO_VHOST_VRING_NOFD : v;
	m.fds[0] = fd;
	m.n_fds = fd >= 0;
	return fe_plain(fe, &m);
}

static inline uint64_t fe_uaddr(const struct fe *fe, uint64_t gpa)
{
	return (uintptr_t)drv_mem_ptr(&fe->mem, gpa, 1);
}

static inline struct vio_vhost_region fe_region(const struct fe *fe, unsigned i)
{
	const struct drv_region *r = &fe->mem.region[i];

	return (struct vio_vhost_region){
		.gpa = r->gpa, .size = r->size, .uaddr = (uintptr_t)r->hva};
}

/* SET_MEM_TABLE with the first `n` regions. */
static inline struct vio_vhost_msg fe_table_msg(const struct fe *fe, unsigned n)
{
	struct vio_vhost_msg m = fe_msg(VIO_VHOST_SET_MEM_TABLE, vio_vhost_mem_table_size(n));

	m.u.table.n = n;
	for (unsigned i = 0; i < n; i++) {
		m.u.table.region[i] = fe_region(fe, i);
		m.fds[i] = fe->mem.region[i].fd;
	}
	m.n_fds = n;
	return m;
}

static inline int fe_table(struct fe *fe, unsigned n)
{
	struct vio_vhost_msg m = fe_table_msg(fe, n);

	return fe_plain(fe, &m);
}

/* ADD_MEM_REG or REM_MEM_REG of region `i`. */
static inline int fe_slot(struct fe *fe, uint32_t request, unsigned i)
{
	struct vio_vhost_msg m = fe_msg(request, sizeof(m.u.reg));

	m.u.reg.region = fe_region(fe, i);
	m.fds[0] = fe->mem.region[i].fd;
	m.n_fds = request == VIO_VHOST_ADD_MEM_REG;
	return fe_plain(fe, &m);
}

static inline struct vio_vhost_msg fe_addr_msg(const struct fe *fe, uint32_t i)
{
	struct vio_vhost_msg m = fe_msg(VIO_VHOST_SET_VRING_ADDR, sizeof(m.u.addr));
	const struct drv_queue *q = &fe->q[i];

	m.u.addr = (struct vio_vhost_vring_addr){.index = i,
						 .desc = fe_uaddr(fe, q->desc_gpa),
						 .avail = fe_uaddr(fe, q->driver_gpa),
						 .used = fe_uaddr(fe, q->device_gpa)};
	return m;
}

static inline int fe_addr(struct fe *fe, uint32_t i)
{
	struct vio_vhost_msg m = fe_addr_msg(fe, i);

	return fe_plain(fe, &m);
}

/* Ring `i` up to its kick, from `base` on. 0, or the first error. */
static inline int fe_ring(struct fe *fe, uint32_t i, uint32_t base)
{
	int r = fe_state(fe, VIO_VHOST_SET_VRING_NUM, i, RING_SIZE);

	r = r ? r : fe_state(fe, VIO_VHOST_SET_VRING_BASE, i, base);
	r = r ? r : fe_addr(fe, i);
	r = r ? r : fe_fd(fe, VIO_VHOST_SET_VRING_CALL, i, fe->call[i]);
	r = r ? r : fe_fd(fe, VIO_VHOST_SET_VRING_ERR, i, fe->err[i]);
	return r ? r : fe_fd(fe, VIO_VHOST_SET_VRING_KICK, i, fe->kick[i]);
}

/* Features, protocol features, back-end channel, memory. */
static inline int fe_begin(struct fe *fe, uint64_t features, uint64_t protocol)
{
	struct vio_vhost_msg m = fe_msg(VIO_VHOST_SET_BACKEND_REQ_FD, 0);
	int pair[2], r = fe_empty(fe, VIO_VHOST_SET_OWNER);

	if (features & F_PROTOCOL)
		r = r ? r : fe_u64(fe, VIO_VHOST_SET_PROTOCOL_FEATURES, protocol);
	if (protocol & P(BACKEND_REQ)) {
		MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
		fe->backend_sock = pair[0];
		m.fds[0] = pair[1];
		m.n_fds = 1;
		r = r ? r : fe_plain(fe, &m);
		close(pair[1]);
	}
	r = r ? r : fe_u64(fe, VIO_VHOST_SET_FEATURES, features);
	return r ? r : fe_table(fe, 2);
}

/* All of it, with ring 0 running. */
static inline int fe_start(struct fe *fe)
{
	int r = fe_begin(fe, F_BASIC | F_PROTOCOL, P_ALL);

	r = r ? r : fe_ring(fe, 0, 0);
	return r ? r : fe_state(fe, VIO_VHOST_SET_VRING_ENABLE, 0, 1);
}

/* Takes an event; false when there is none. */
static inline bool fe_event(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n);
}

static inline void fe_kick(struct fe *fe, uint32_t i)
{
	uint64_t one = 1;
	ssize_t n = write(fe->kick[i], &one, sizeof(one));

	(void)n;
}

/* GET_INFLIGHT_FD: the file, with `*d` filled in; FE_CLOSED or FE_SILENT. */
static inline int fe_get_inflight(struct fe *fe, uint16_t n_queues, uint16_t queue_size,
				  struct vio_vhost_inflight *d)
{
	struct vio_vhost_msg m = fe_msg(VIO_VHOST_GET_INFLIGHT_FD, sizeof(m.u.inflight)), a;
	int r;

	m.u.inflight.n_queues = n_queues;
	m.u.inflight.queue_size = queue_size;
	fe_send(fe, &m);
	r = fe_answer(fe, &a);
	if (r != 1)
		return r;
	if (a.hdr.request != m.hdr.request || a.hdr.size != m.hdr.size || a.n_fds != 1 ||
	    a.hdr.flags != (VIO_VHOST_VERSION | VIO_VHOST_REPLY))
		return FE_SILENT;
	*d = a.u.inflight;
	return a.fds[0];
}

static inline int fe_set_inflight(struct fe *fe, const struct vio_vhost_inflight *d, int fd)
{
	struct vio_vhost_msg m = fe_msg(VIO_VHOST_SET_INFLIGHT_FD, sizeof(m.u.inflight));

	m.u.inflight = *d;
	m.fds[0] = fd;
	m.n_fds = fd >= 0;
	return fe_plain(fe, &m);
}

/* How many configuration changes the back-end told of. */
static inline unsigned fe_config_changes(struct fe *fe)
{
	struct vio_vhost_rx rx = {0};
	unsigned n = 0;

	fe_turn(fe);
	while (vio_vhost_recv(fe->backend_sock, &rx, MSG_DONTWAIT) == 1) {
		if (rx.msg.hdr.request == VIO_VHOST_BACKEND_CONFIG_CHANGE && rx.msg.hdr.size == 0 &&
		    rx.msg.hdr.flags == VIO_VHOST_VERSION)
			n++;
		vio_vhost_rx_next(&rx);
	}
	return n;
}

/* ---- requests -------------------------------------------------------------------------------- */

#define IO_BYTES 4096u

/* Makes a request of IO_BYTES at `sector` available; the data is at guest address `data`. */
static inline void fe_submit(struct fe *fe, uint32_t i, uint32_t type, uint64_t sector,
			     uint64_t data)
{
	struct virtio_blk_outhdr *h = drv_mem_ptr(&fe->mem, fe->buf, 32);
	uint8_t *status = drv_mem_ptr(&fe->mem, fe->buf + 32, 1);
	struct drv_buf b[3] = {{fe->buf, sizeof(*h), false},
			       {data, IO_BYTES, type == VIRTIO_BLK_T_IN},
			       {fe->buf + 32, 1, true}};

	*h = (struct virtio_blk_outhdr){.type = type, .sector = sector};
	*status = 0xee;
	drv_queue_add(&fe->q[i], b, 3, DRV_DIRECT, NULL);
	if (drv_queue_publish(&fe->q[i]))
		fe_kick(fe, i);
}

static inline bool fe_used(struct fe *fe, uint32_t i)
{
	struct drv_used u;

	fe_turn(fe);
	return drv_queue_get(&fe->q[i], &u) == 1;
}

static inline uint8_t fe_status(const struct fe *fe)
{
	return *(uint8_t *)drv_mem_ptr(&fe->mem, fe->buf + 32, 1);
}

/* One request; true when it came back with status OK, and an interrupt. */
static inline bool fe_io(struct fe *fe, uint32_t i, uint32_t type, uint64_t sector, uint64_t data)
{
	fe_event(fe->call[i]);
	fe_submit(fe, i, type, sector, data);
	return fe_used(fe, i) && fe_status(fe) == VIRTIO_BLK_S_OK && fe_event(fe->call[i]);
}

/* Writes and reads back through different memory; true when the data is right. */
static inline bool fe_works_at(struct fe *fe, uint32_t i, uint8_t seed, uint64_t data)
{
	uint8_t *p = drv_mem_ptr(&fe->mem, data, IO_BYTES);
	uint64_t back = fe->buf + 8192;

	for (unsigned k = 0; k < IO_BYTES; k++)
		p[k] = (uint8_t)(seed + k * 7);
	if (!fe_io(fe, i, VIRTIO_BLK_T_OUT, seed, data))
		return false;
	memset(drv_mem_ptr(&fe->mem, back, IO_BYTES), 0, IO_BYTES);
	if (!fe_io(fe, i, VIRTIO_BLK_T_IN, seed, back))
		return false;
	return memcmp(drv_mem_ptr(&fe->mem, back, IO_BYTES), p, IO_BYTES) == 0;
}

static inline bool fe_works(struct fe *fe, uint32_t i, uint8_t seed)
{
	return fe_works_at(fe, i, seed, fe->buf + 4096);
}

/* ---- both sides ------------------------------------------------------------------------------ */

/* A server whose queues run on its own loop, and a front-end that is connected. */
static inline void pair_open(struct fix *f, struct fe *fe)
{
	fix_open(f, false);
	fe_open(fe, f);
}

/* The same, with ring 0 running. */
static inline void pair_start(struct fix *f, struct fe *fe)
{
	pair_open(f, fe);
	CU_ASSERT_EQUAL(fe_start(fe), 0);
}

static inline void pair_close(struct fe *fe)
{
	struct fix *f = fe->f;

	fe_close(fe);
	fix_close(f);
}

/* A second front-end is served from the beginning: what went before did no harm. */
static inline bool next_is_served(struct fix *f)
{
	struct fe fe;
	bool ok;

	fe_open(&fe, f);
	ok = fe_start(&fe) == 0 && fe_works(&fe, 0, 99);
	fe_close(&fe);
	return ok;
}

/* One front-end that `send` makes misbehave; `ready`: with ring 0 running before. */
static inline void check_closed(const char *name, bool ready, int (*send_bad)(struct fe *fe))
{
	struct fix f;
	struct fe fe;
	int r;

	pair_open(&f, &fe);
	CU_ASSERT_EQUAL(fe_begin(&fe, F_BASIC | F_PROTOCOL, P_ALL | (ready ? 0 : P(STATUS))), 0);
	if (ready) {
		CU_ASSERT_EQUAL(fe_ring(&fe, 0, 0), 0);
		CU_ASSERT_EQUAL(fe_state(&fe, VIO_VHOST_SET_VRING_ENABLE, 0, 1), 0);
		CU_ASSERT_TRUE(fe_works(&fe, 0, 1));
	}
	r = send_bad(&fe);
	if (r != FE_CLOSED || f.warnings != 1)
		printf("%s: answer %d, %u lines, last %s\n", name, r, f.warnings, f.last);
	CU_ASSERT_EQUAL(r, FE_CLOSED);
	CU_ASSERT_EQUAL(f.warnings, 1);
	CU_ASSERT_EQUAL(vio_device_status(f.dev), 0);
	fe_close(&fe);
	CU_ASSERT_TRUE(next_is_served(&f));
	fix_close(&f);
}

#endif
