/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user messages: one table says what each request looks like.
 */
#include <viodm/vhost_msg.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- what is well-formed ------------------------------------------------------------------------
 */

struct request {
	const char *name;
	uint16_t min_size, max_size; /* bytes of payload */
	uint8_t min_fds, max_fds;
	int8_t feature; /* protocol feature + 1 that must be negotiated; 0: none */
	bool reply;	/* answered by a message of its own */
	bool known;	/* of the sizes we know; others have a name only */
};

#define NEEDS(f) ((int8_t)(VIO_VHOST_PROTOCOL_F_##f + 1))

#define SIZE_U64   sizeof(uint64_t)
#define SIZE_STATE sizeof(struct vio_vhost_vring_state)
#define SIZE_ADDR  sizeof(struct vio_vhost_vring_addr)
#define SIZE_TABLE sizeof(struct vio_vhost_mem_table)
#define SIZE_REG   sizeof(struct vio_vhost_mem_reg)
#define SIZE_CONF  sizeof(struct vio_vhost_config)
/* With and without the padding that C puts behind it. */
#define SIZE_INFLIGHT_MIN 20
#define SIZE_INFLIGHT_MAX sizeof(struct vio_vhost_inflight)

/* REM_MEM_REG may carry a descriptor that is not used. */
static const struct request requests[] = {
	[VIO_VHOST_GET_FEATURES] = {"GET_FEATURES", 0, 0, 0, 0, 0, true, true},
	[VIO_VHOST_SET_FEATURES] = {"SET_FEATURES", SIZE_U64, SIZE_U64, 0, 0, 0, false, true},
	[VIO_VHOST_SET_OWNER] = {"SET_OWNER", 0, 0, 0, 0, 0, false, true},
	[VIO_VHOST_RESET_OWNER] = {"RESET_OWNER", 0, 0, 0, 0, 0, false, true},
	[VIO_VHOST_SET_MEM_TABLE] = {"SET_MEM_TABLE", 8, SIZE_TABLE, 0, VIO_VHOST_MAX_REGIONS, 0,
				     false, true},
	[VIO_VHOST_SET_LOG_BASE] = {.name = "SET_LOG_BASE", .reply = true},
	[VIO_VHOST_SET_LOG_FD] = {.name = "SET_LOG_FD"},
	[VIO_VHOST_SET_VRING_NUM] = {"SET_VRING_NUM", SIZE_STATE, SIZE_STATE, 0, 0, 0, false, true},
	[VIO_VHOST_SET_VRING_ADDR] = {"SET_VRING_ADDR", SIZE_ADDR, SIZE_ADDR, 0, 0, 0, false, true},
	[VIO_VHOST_SET_VRING_BASE] = {"SET_VRING_BASE", SIZE_STATE, SIZE_STATE, 0, 0, 0, false,
				      true},
	[VIO_VHOST_GET_VRING_BASE] = {"GET_VRING_BASE", SIZE_STATE, SIZE_STATE, 0, 0, 0, true,
				      true},
	[VIO_VHOST_SET_VRING_KICK] = {"SET_VRING_KICK", SIZE_U64, SIZE_U64, 0, 1, 0, false, true},
	[VIO_VHOST_SET_VRING_CALL] = {"SET_VRING_CALL", SIZE_U64, SIZE_U64, 0, 1, 0, false, true},
	[VIO_VHOST_SET_VRING_ERR] = {"SET_VRING_ERR", SIZE_U64, SIZE_U64, 0, 1, 0, false, true},
	[VIO_VHOST_GET_PROTOCOL_FEATURES] = {"GET_PROTOCOL_FEATURES", 0, 0, 0, 0, 0, true, true},
	[VIO_VHOST_SET_PROTOCOL_FEATURES] = {"SET_PROTOCOL_FEATURES", SIZE_U64, SIZE_U64, 0, 0, 0,
					     false, true},
	[VIO_VHOST_GET_QUEUE_NUM] = {"GET_QUEUE_NUM", 0, 0, 0, 0, 0, true, true},
	[VIO_VHOST_SET_VRING_ENABLE] = {"SET_VRING_ENABLE", SIZE_STATE, SIZE_STATE, 0, 0, 0, false,
					true},
	[VIO_VHOST_SEND_RARP] = {.name = "SEND_RARP"},
	[VIO_VHOST_NET_SET_MTU] = {.name = "NET_SET_MTU"},
	[VIO_VHOST_SET_BACKEND_REQ_FD] = {"SET_BACKEND_REQ_FD", 0, 0, 1, 1, 0, false, true},
	[VIO_VHOST_IOTLB_MSG] = {.name = "IOTLB_MSG", .reply = true},
	[VIO_VHOST_SET_VRING_ENDIAN] = {.name = "SET_VRING_ENDIAN"},
	[VIO_VHOST_GET_CONFIG] = {"GET_CONFIG", VIO_VHOST_CONFIG_HDR, SIZE_CONF, 0, 0,
				  NEEDS(CONFIG), true, true},
	[VIO_VHOST_SET_CONFIG] = {"SET_CONFIG", VIO_VHOST_CONFIG_HDR, SIZE_CONF, 0, 0,
				  NEEDS(CONFIG), false, true},
	[VIO_VHOST_CREATE_CRYPTO_SESSION] = {.name = "CREATE_CRYPTO_SESSION", .reply = true},
	[VIO_VHOST_CLOSE_CRYPTO_SESSION] = {.name = "CLOSE_CRYPTO_SESSION"},
	[VIO_VHOST_POSTCOPY_ADVISE] = {.name = "POSTCOPY_ADVISE", .reply = true},
	[VIO_VHOST_POSTCOPY_LISTEN] = {.name = "POSTCOPY_LISTEN"},
	[VIO_VHOST_POSTCOPY_END] = {.name = "POSTCOPY_END", .reply = true},
	[VIO_VHOST_GET_INFLIGHT_FD] = {"GET_INFLIGHT_FD", SIZE_INFLIGHT_MIN, SIZE_INFLIGHT_MAX, 0,
				       0, NEEDS(INFLIGHT_SHMFD), true, true},
	[VIO_VHOST_SET_INFLIGHT_FD] = {"SET_INFLIGHT_FD", SIZE_INFLIGHT_MIN, SIZE_INFLIGHT_MAX, 1,
				       1, NEEDS(INFLIGHT_SHMFD), false, true},
	[VIO_VHOST_GPU_SET_SOCKET] = {.name = "GPU_SET_SOCKET"},
	[VIO_VHOST_RESET_DEVICE] = {"RESET_DEVICE", 0, 0, 0, 0, NEEDS(RESET_DEVICE), false, true},
	[VIO_VHOST_VRING_KICK] = {.name = "VRING_KICK"},
	[VIO_VHOST_GET_MAX_MEM_SLOTS] = {"GET_MAX_MEM_SLOTS", 0, 0, 0, 0,
					 NEEDS(CONFIGURE_MEM_SLOTS), true, true},
	[VIO_VHOST_ADD_MEM_REG] = {"ADD_MEM_REG", SIZE_REG, SIZE_REG, 1, 1,
				   NEEDS(CONFIGURE_MEM_SLOTS), false, true},
	[VIO_VHOST_REM_MEM_REG] = {"REM_MEM_REG", SIZE_REG, SIZE_REG, 0, 1,
				   NEEDS(CONFIGURE_MEM_SLOTS), false, true},
	[VIO_VHOST_SET_STATUS] = {"SET_STATUS", SIZE_U64, SIZE_U64, 0, 0, NEEDS(STATUS), false,
				  true},
	[VIO_VHOST_GET_STATUS] = {"GET_STATUS", 0, 0, 0, 0, NEEDS(STATUS), true, true},
};

static const struct request *request_at(uint32_t request)
{
	static const struct request none = {.name = "unknown request"};

	if (request >= VIO_ARRAY_LEN(requests) || !requests[request].name)
		return &none;
	return &requests[request];
}

const char *vio_vhost_request_name(uint32_t request)
{
	return request_at(request)->name;
}

bool vio_vhost_has_reply(uint32_t request)
{
	return request_at(request)->reply;
}

int vio_vhost_needs_feature(uint32_t request)
{
	return request_at(request)->feature - 1;
}

static const char *check_mem_table(const struct vio_vhost_msg *m)
{
	if (m->u.table.n > VIO_VHOST_MAX_REGIONS)
		return "too many regions";
	if (m->hdr.size < vio_vhost_mem_table_size(m->u.table.n))
		return "fewer regions than it says";
	if (m->u.table.n != m->n_fds)
		return "not one descriptor for each region";
	return NULL;
}

static const char *check_vring_fd(const struct vio_vhost_msg *m)
{
	if (m->u.u64 & ~(uint64_t)(VIO_VHOST_VRING_INDEX | VIO_VHOST_VRING_NOFD))
		return "bits that mean nothing";
	if (!(m->u.u64 & VIO_VHOST_VRING_NOFD) != (m->n_fds == 1))
		return "descriptor and its flag do not agree";
	return NULL;
}

static const char *check_config(const struct vio_vhost_msg *m)
{
	if (m->u.config.size > VIO_VHOST_CONFIG_BYTES ||
	    m->hdr.size != VIO_VHOST_CONFIG_HDR + m->u.config.size)
		return "wrong length";
	if (m->u.config.flags > 1)
		return "unknown flags";
	return NULL;
}

/* What only some requests have: counts, bits and values inside the payload. */
static const char *check_payload(const struct vio_vhost_msg *m)
{
	switch (m->hdr.request) {
	case VIO_VHOST_SET_MEM_TABLE:
		return check_mem_table(m);
	case VIO_VHOST_SET_VRING_KICK:
	case VIO_VHOST_SET_VRING_CALL:
	case VIO_VHOST_SET_VRING_ERR:
		return check_vring_fd(m);
	case VIO_VHOST_SET_VRING_BASE:
		return m->u.state.num > UINT16_MAX ? "index of more than 16 bits" : NULL;
	case VIO_VHOST_SET_VRING_ENABLE:
		return m->u.state.num > 1 ? "neither enable nor disable" : NULL;
	case VIO_VHOST_GET_CONFIG:
	case VIO_VHOST_SET_CONFIG:
		return check_config(m);
	case VIO_VHOST_SET_STATUS:
		return m->u.u64 > UINT8_MAX ? "status of more than 8 bits" : NULL;
	default:
		return NULL;
	}
}

const char *vio_vhost_check_request(const struct vio_vhost_msg *m)
{
	const struct request *r = request_at(m->hdr.request);

	if ((m->hdr.flags & ~VIO_VHOST_NEED_REPLY) != VIO_VHOST_VERSION)
		return "unknown flags";
	if (!r->known)
		return "not served";
	if (m->hdr.size < r->min_size || m->hdr.size > r->max_size)
		return "wrong payload size";
	if (m->n_fds < r->min_fds || m->n_fds > r->max_fds)
		return "wrong number of descriptors";
	return check_payload(m);
}

/* ---- sending ------------------------------------------------------------------------------------
 */

union fd_control {
	struct cmsghdr align;
	char space[CMSG_SPACE(VIO_VHOST_MAX_FDS * sizeof(int))];
};

static void attach_fds(struct msghdr *mh, union fd_control *ctl, const int *fds, unsigned n)
{
	struct cmsghdr *c;

	mh->msg_control = ctl->space;
	mh->msg_controllen = CMSG_SPACE(n * sizeof(int));
	memset(ctl, 0, sizeof(*ctl));
	c = CMSG_FIRSTHDR(mh);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
}

/* The part of header and payload from byte `done` on. */
static int message_iov(struct vio_vhost_msg *m, size_t done, struct iovec *v)
{
	int n = 0;

	if (done < sizeof(m->hdr)) {
		v[n].iov_base = (char *)&m->hdr + done;
		v[n++].iov_len = sizeof(m->hdr) - done;
		done = sizeof(m->hdr);
	}
	if (done - sizeof(m->hdr) < m->hdr.size) {
		v[n].iov_base = (char *)&m->u + (done - sizeof(m->hdr));
		v[n++].iov_len = m->hdr.size - (done - sizeof(m->hdr));
	}
	return n;
}

int vio_vhost_send(int sock, const struct vio_vhost_msg *msg, int flags)
{
	struct vio_vhost_msg m;
	union fd_control ctl;
	size_t done = 0;

	if (msg->hdr.size > sizeof(m.u) || msg->n_fds > VIO_VHOST_MAX_FDS)
		return -EINVAL;
	m = *msg;
	while (done < sizeof(m.hdr) + m.hdr.size) {
		struct iovec v[2];
		struct msghdr mh = {.msg_iov = v};
		ssize_t n;

		mh.msg_iovlen = (size_t)message_iov(&m, done, v);
		if (done == 0 && m.n_fds > 0)
			attach_fds(&mh, &ctl, m.fds, m.n_fds);
		n = sendmsg(sock, &mh, flags | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return done > 0 ? -EIO : -errno;
		done += (size_t)n;
	}
	return 0;
}

/* ---- receiving ----------------------------------------------------------------------------------
 */

static void close_fds(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* Keeps what arrived with `mh`, as far as there is room; every descriptor is either kept or closed.
 */
static int keep_fds(struct vio_vhost_msg *m, struct msghdr *mh)
{
	int r = mh->msg_flags & MSG_CTRUNC ? -EPROTO : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		int fds[VIO_VHOST_MAX_FDS];
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(fds, CMSG_DATA(c), n * sizeof(int));
		if (n > VIO_VHOST_MAX_FDS - m->n_fds) {
			close_fds(fds, n);
			r = -EPROTO;
			continue;
		}
		memcpy(m->fds + m->n_fds, fds, n * sizeof(int));
		m->n_fds += (unsigned)n;
	}
	return r;
}

/* One recvmsg of at most `len` bytes to `dst`. The number of bytes, 0 at the end, or -errno. */
static ssize_t recv_part(int sock, struct vio_vhost_msg *m, void *dst, size_t len, int flags)
{
	union fd_control ctl;
	struct iovec v = {.iov_base = dst, .iov_len = len};
	struct msghdr mh = {.msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = ctl.space,
			    .msg_controllen = sizeof(ctl.space)};
	ssize_t n;
	int r;

	do
		n = recvmsg(sock, &mh, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	r = keep_fds(m, &mh);
	return r < 0 ? r : n;
}

static int check_header(const struct vio_vhost_hdr *h)
{
	if ((h->flags & VIO_VHOST_VERSION_MASK) != VIO_VHOST_VERSION)
		return -EPROTO;
	return h->size > sizeof(union vio_vhost_payload) ? -EMSGSIZE : 0;
}

int vio_vhost_recv(int sock, struct vio_vhost_rx *rx, int flags)
{
	const size_t head = sizeof(rx->msg.hdr);

	while (rx->have < head || rx->have < head + rx->msg.hdr.size) {
		bool in_head = rx->have < head;
		size_t off = in_head ? rx->have : rx->have - head;
		char *dst = in_head ? (char *)&rx->msg.hdr : (char *)&rx->msg.u;
		size_t len = in_head ? head : rx->msg.hdr.size;
		ssize_t n = recv_part(sock, &rx->msg, dst + off, len - off, flags);

		if (n < 0)
			return (int)n;
		if (n == 0)
			return rx->have > 0 ? -ECONNRESET : 0;
		rx->have += (size_t)n;
		if (rx->have == head) {
			int r = check_header(&rx->msg.hdr);

			if (r < 0)
				return r;
		}
	}
	return 1;
}

int vio_vhost_take_fd(struct vio_vhost_msg *msg, unsigned i)
{
	int fd;

	if (i >= msg->n_fds)
		return -1;
	fd = msg->fds[i];
	msg->fds[i] = -1;
	return fd;
}

void vio_vhost_rx_next(struct vio_vhost_rx *rx)
{
	close_fds(rx->msg.fds, rx->msg.n_fds);
	memset(rx, 0, sizeof(*rx));
}
