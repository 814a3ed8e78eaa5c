/* SPDX-License-Identifier: BSD-3-Clause */
#include <driver/vhost_link.h>

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

void vhost_link_init(struct vhost_link *l, const char *path)
{
	memset(l, 0, sizeof(*l));
	l->path = path;
	l->sock = l->backend_sock = -1;
}

bool vhost_link_has(const struct vhost_link *l, unsigned protocol_feature)
{
	return l->protocol >> protocol_feature & 1;
}

static void close_rx(struct vio_vhost_rx *rx, int *fd)
{
	vio_vhost_rx_next(rx);
	memset(rx, 0, sizeof(*rx)); /* half a message may have come */
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Some back-ends mix up an old connection and a new one of the same front-end. */
static void await_end(int sock)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};
	char rest[256];

	shutdown(sock, SHUT_WR);
	while (poll(&p, 1, 500) == 1 && recv(sock, rest, sizeof(rest), MSG_DONTWAIT) > 0)
		;
}

void vhost_link_close(struct vhost_link *l)
{
	if (l->sock >= 0)
		await_end(l->sock);
	close_rx(&l->rx, &l->sock);
	close_rx(&l->backend_rx, &l->backend_sock);
	l->protocol = 0;
}

static int __attribute__((format(printf, 3, 4)))
link_fail(struct vhost_link *l, int error, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(l->why, sizeof(l->why), fmt, args);
	va_end(args);
	vhost_link_close(l);
	return error;
}

/* ---- messages ----------------------------------------------------------------------------------
 */

struct vio_vhost_msg vhost_link_msg(uint32_t request, uint32_t size)
{
	return (struct vio_vhost_msg){
		.hdr = {.request = request, .flags = VIO_VHOST_VERSION, .size = size}};
}

static int link_send(struct vhost_link *l, const struct vio_vhost_msg *m)
{
	int r;

	if (l->sock < 0)
		return -ENOTCONN;
	r = vio_vhost_send(l->sock, m, 0);
	if (r < 0)
		return link_fail(l, r, "%s cannot be sent: %s",
				 vio_vhost_request_name(m->hdr.request), strerror(-r));
	return 0;
}

/* The answer to `request`, and nothing else. */
static int link_answer(struct vhost_link *l, uint32_t request)
{
	const char *name = vio_vhost_request_name(request);
	int r;

	vio_vhost_rx_next(&l->rx);
	r = vio_vhost_recv(l->sock, &l->rx, 0);
	if (r == 0)
		return link_fail(l, -ECONNRESET, "%s: the back-end closed the connection", name);
	if (r == -EAGAIN)
		return link_fail(l, -ETIMEDOUT, "%s: no answer for %d s", name, VHOST_LINK_SECONDS);
	if (r < 0)
		return link_fail(l, r, "%s: %s", name, strerror(-r));
	if (l->rx.msg.hdr.request != request || !(l->rx.msg.hdr.flags & VIO_VHOST_REPLY))
		return link_fail(l, -EPROTO, "%s: the answer is one to %s", name,
				 vio_vhost_request_name(l->rx.msg.hdr.request));
	return 0;
}

int vhost_link_ask(struct vhost_link *l, struct vio_vhost_msg *m)
{
	int r = link_send(l, m);

	return r < 0 ? r : link_answer(l, m->hdr.request);
}

int vhost_link_tell(struct vhost_link *l, struct vio_vhost_msg *m)
{
	bool ack = vhost_link_has(l, VIO_VHOST_PROTOCOL_F_REPLY_ACK);
	int r;

	if (ack)
		m->hdr.flags |= VIO_VHOST_NEED_REPLY;
	r = link_send(l, m);
	if (r < 0 || !ack)
		return r;
	r = link_answer(l, m->hdr.request);
	if (r < 0)
		return r;
	if (l->rx.msg.hdr.size != sizeof(uint64_t) || l->rx.msg.u.u64 != 0)
		return link_fail(l, -EIO, "%s: the back-end refused it",
				 vio_vhost_request_name(m->hdr.request));
	return 0;
}

int vhost_link_tell_u64(struct vhost_link *l, uint32_t request, uint64_t value)
{
	struct vio_vhost_msg m = vhost_link_msg(request, sizeof(m.u.u64));

	m.u.u64 = value;
	return vhost_link_tell(l, &m);
}

int vhost_link_tell_state(struct vhost_link *l, uint32_t request, uint32_t index, uint32_t num)
{
	struct vio_vhost_msg m = vhost_link_msg(request, sizeof(m.u.state));

	m.u.state = (struct vio_vhost_vring_state){.index = index, .num = num};
	return vhost_link_tell(l, &m);
}

int vhost_link_tell_fd(struct vhost_link *l, uint32_t request, uint32_t index, int fd)
{
	struct vio_vhost_msg m = vhost_link_msg(request, sizeof(m.u.u64));

	m.u.u64 = index;
	m.fds[0] = fd;
	m.n_fds = 1;
	return vhost_link_tell(l, &m);
}

int vhost_link_ask_u64(struct vhost_link *l, uint32_t request, uint64_t *out)
{
	struct vio_vhost_msg m = vhost_link_msg(request, 0);
	int r = vhost_link_ask(l, &m);

	if (r < 0)
		return r;
	if (l->rx.msg.hdr.size != sizeof(*out))
		return link_fail(l, -EPROTO, "%s: an answer of %u bytes",
				 vio_vhost_request_name(request), l->rx.msg.hdr.size);
	*out = l->rx.msg.u.u64;
	return 0;
}

/* ---- connecting --------------------------------------------------------------------------------
 */

static int link_connect(struct vhost_link *l)
{
	const struct timeval patience = {.tv_sec = VHOST_LINK_SECONDS};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (strlen(l->path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, l->path, strlen(l->path) + 1);
	l->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l->sock < 0)
		return -errno;
	setsockopt(l->sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(l->sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(l->sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return 0;
}

static int give_backend_socket(struct vhost_link *l)
{
	struct vio_vhost_msg m = vhost_link_msg(VIO_VHOST_SET_BACKEND_REQ_FD, 0);
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	l->backend_sock = pair[0];
	m.fds[0] = pair[1];
	m.n_fds = 1;
	r = vhost_link_tell(l, &m);
	close(pair[1]);
	return r;
}

static int negotiate_protocol(struct vhost_link *l, uint64_t wanted)
{
	uint64_t offered;
	int r = vhost_link_ask_u64(l, VIO_VHOST_GET_PROTOCOL_FEATURES, &offered);

	if (r < 0)
		return r;
	r = vhost_link_tell_u64(l, VIO_VHOST_SET_PROTOCOL_FEATURES, offered & wanted);
	if (r < 0)
		return r;
	l->protocol = offered & wanted;
	return vhost_link_has(l, VIO_VHOST_PROTOCOL_F_BACKEND_REQ) ? give_backend_socket(l) : 0;
}

int vhost_link_open(struct vhost_link *l, uint64_t protocol)
{
	struct vio_vhost_msg owner = vhost_link_msg(VIO_VHOST_SET_OWNER, 0);
	int r;

	l->why[0] = '\0';
	r = link_connect(l);
	if (r < 0)
		return link_fail(l, r, "cannot connect: %s", strerror(-r));
	r = vhost_link_ask_u64(l, VIO_VHOST_GET_FEATURES, &l->features);
	if (r == 0 && l->features & VHOST_BIT(VIO_VHOST_F_PROTOCOL_FEATURES))
		r = negotiate_protocol(l, protocol);
	return r < 0 ? r : vhost_link_tell(l, &owner);
}

/* ---- requests of the back-end ------------------------------------------------------------------
 */

static void acknowledge(int sock, const struct vio_vhost_msg *request)
{
	struct vio_vhost_msg m = vhost_link_msg(request->hdr.request, sizeof(m.u.u64));

	m.hdr.flags |= VIO_VHOST_REPLY;
	vio_vhost_send(sock, &m, MSG_DONTWAIT);
}

unsigned vhost_link_config_changes(struct vhost_link *l)
{
	unsigned n = 0;

	while (l->backend_sock >= 0 &&
	       vio_vhost_recv(l->backend_sock, &l->backend_rx, MSG_DONTWAIT) == 1) {
		n += l->backend_rx.msg.hdr.request == VIO_VHOST_BACKEND_CONFIG_CHANGE;
		if (l->backend_rx.msg.hdr.flags & VIO_VHOST_NEED_REPLY)
			acknowledge(l->backend_sock, &l->backend_rx.msg);
		vio_vhost_rx_next(&l->backend_rx);
	}
	return n;
}
