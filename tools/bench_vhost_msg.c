/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_vhost.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int vhost_fail(struct vhost *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v->why, sizeof(v->why), fmt, ap);
	va_end(ap);
	return -1;
}

struct vio_vhost_msg vhost_message(uint32_t request, uint32_t size)
{
	return (struct vio_vhost_msg){
		.hdr = {.request = request, .flags = VIO_VHOST_VERSION, .size = size}};
}

static int failed(struct vhost *v, const struct vio_vhost_msg *msg, const char *what)
{
	return vhost_fail(v, "%s: %s", vio_vhost_request_name(msg->hdr.request), what);
}

/* The stream broke. A server that does not answer, or not well, is there all the same. */
static int broken(struct vhost *v, const struct vio_vhost_msg *msg, int r)
{
	v->lost = r == 0 || r == -ECONNRESET || r == -EPIPE;
	if (r == 0)
		return failed(v, msg, "the server closed the connection");
	return failed(v, msg, r == -EAGAIN ? "no answer" : strerror(-r));
}

static int receive(struct vhost *v, const struct vio_vhost_msg *msg)
{
	int r;

	vio_vhost_rx_next(&v->rx);
	r = vio_vhost_recv(v->sock, &v->rx, 0);
	if (r <= 0)
		return broken(v, msg, r);
	if (v->rx.msg.hdr.request != msg->hdr.request || !(v->rx.msg.hdr.flags & VIO_VHOST_REPLY))
		return failed(v, msg, "the answer is to something else");
	return 0;
}

int vhost_request(struct vhost *v, struct vio_vhost_msg *msg)
{
	bool ack = v->protocol & UINT64_C(1) << VIO_VHOST_PROTOCOL_F_REPLY_ACK &&
		   !vio_vhost_has_reply(msg->hdr.request);
	int r;

	if (ack)
		msg->hdr.flags |= VIO_VHOST_NEED_REPLY;
	r = vio_vhost_send(v->sock, msg, 0);
	if (r < 0)
		return broken(v, msg, r);
	if (!ack)
		return 0;
	r = receive(v, msg);
	if (r == 0 && v->rx.msg.u.u64 != 0)
		r = failed(v, msg, "the server refused");
	return r;
}

int vhost_ask(struct vhost *v, struct vio_vhost_msg *msg)
{
	return vhost_request(v, msg) < 0 ? -1 : receive(v, msg);
}

int vhost_set_u64(struct vhost *v, uint32_t request, uint64_t value)
{
	struct vio_vhost_msg msg = vhost_message(request, sizeof(uint64_t));

	msg.u.u64 = value;
	return vhost_request(v, &msg);
}

int vhost_get_u64(struct vhost *v, uint32_t request, uint64_t *out)
{
	struct vio_vhost_msg msg = vhost_message(request, 0);

	if (vhost_ask(v, &msg) < 0)
		return -1;
	*out = v->rx.msg.u.u64;
	return 0;
}

int vhost_set_state(struct vhost *v, uint32_t request, unsigned index, uint32_t num)
{
	struct vio_vhost_msg msg = vhost_message(request, sizeof(struct vio_vhost_vring_state));

	msg.u.state.index = index;
	msg.u.state.num = num;
	return vhost_request(v, &msg);
}

int vhost_set_fd(struct vhost *v, uint32_t request, unsigned index, int fd)
{
	struct vio_vhost_msg msg = vhost_message(request, sizeof(uint64_t));

	msg.u.u64 = index;
	msg.fds[0] = fd;
	msg.n_fds = 1;
	return vhost_request(v, &msg);
}
