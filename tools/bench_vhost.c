/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user front-end.
 */
#include "bench_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <viodm/vhost_msg.h>

#define ANSWER_SECONDS 10
#define BIT(n)	       (UINT64_C(1) << (n))

struct vhost {
	struct bench_link base;
	int sock;
	pid_t pid; /* of the server; 0: unknown */
	uint64_t protocol;
	bool has_protocol;
	unsigned n_queues; /* started */
	struct vio_vhost_rx rx;
};

static struct vhost *to_vhost(struct bench_link *link)
{
	return vio_container_of(link, struct vhost, base);
}

/* ---- messages -------------------------------------------------------------------------------- */

static struct vio_vhost_msg message(uint32_t request, uint32_t size)
{
	return (struct vio_vhost_msg){
		.hdr = {.request = request, .flags = VIO_VHOST_VERSION, .size = size}};
}

static int failed(const struct vhost *v, const struct vio_vhost_msg *msg, const char *what)
{
	return bench_error(v->base.name, "%s: %s", vio_vhost_request_name(msg->hdr.request), what);
}

/* Waits for the answer to `msg`, which stays in v->rx until the next one. */
static int receive(struct vhost *v, const struct vio_vhost_msg *msg)
{
	int r;

	vio_vhost_rx_next(&v->rx);
	r = vio_vhost_recv(v->sock, &v->rx, 0);
	if (r == 0)
		return failed(v, msg, "the server closed the connection");
	if (r == -EAGAIN)
		return failed(v, msg, "no answer");
	if (r < 0)
		return failed(v, msg, strerror(-r));
	if (v->rx.msg.hdr.request != msg->hdr.request || !(v->rx.msg.hdr.flags & VIO_VHOST_REPLY))
		return failed(v, msg, "the answer is to something else");
	return 0;
}

/* Sends, and waits for the acknowledgement if the server gives one. */
static int request(struct vhost *v, struct vio_vhost_msg *msg)
{
	bool ack = v->protocol & BIT(VIO_VHOST_PROTOCOL_F_REPLY_ACK) &&
		   !vio_vhost_has_reply(msg->hdr.request);
	int r;

	if (ack)
		msg->hdr.flags |= VIO_VHOST_NEED_REPLY;
	r = vio_vhost_send(v->sock, msg, 0);
	if (r < 0)
		return failed(v, msg, strerror(-r));
	if (!ack)
		return 0;
	r = receive(v, msg);
	if (r == 0 && v->rx.msg.u.u64 != 0)
		r = failed(v, msg, "the server refused");
	return r;
}

static int set_u64(struct vhost *v, uint32_t req, uint64_t value)
{
	struct vio_vhost_msg msg = message(req, sizeof(uint64_t));

	msg.u.u64 = value;
	return request(v, &msg);
}

static int get_u64(struct vhost *v, uint32_t req, uint64_t *out)
{
	struct vio_vhost_msg msg = message(req, 0);

	if (request(v, &msg) < 0 || receive(v, &msg) < 0)
		return -1;
	*out = v->rx.msg.u.u64;
	return 0;
}

static int set_state(struct vhost *v, uint32_t req, unsigned index, uint32_t num)
{
	struct vio_vhost_msg msg = message(req, sizeof(struct vio_vhost_vring_state));

	msg.u.state.index = index;
	msg.u.state.num = num;
	return request(v, &msg);
}

static int set_fd(struct vhost *v, uint32_t req, unsigned index, int fd)
{
	struct vio_vhost_msg msg = message(req, sizeof(uint64_t));

	msg.u.u64 = index;
	msg.fds[0] = fd;
	msg.n_fds = 1;
	return request(v, &msg);
}

/* ---- opening --------------------------------------------------------------------------------- */

static int vhost_connect(struct vhost *v)
{
	const struct timeval patience = {.tv_sec = ANSWER_SECONDS};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (strlen(v->base.name) >= sizeof(addr.sun_path))
		return bench_error(v->base.name, "name of a socket too long");
	memcpy(addr.sun_path, v->base.name, strlen(v->base.name) + 1);
	v->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (v->sock < 0 || connect(v->sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return bench_error(v->base.name, "cannot connect: %s", strerror(errno));
	setsockopt(v->sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(v->sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (getsockopt(v->sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
		v->pid = peer.pid;
	v->base.hangup_fd = v->sock;
	return 0;
}

static int get_config(struct vhost *v, struct bench_offer *offer)
{
	struct vio_vhost_msg msg =
		message(VIO_VHOST_GET_CONFIG, VIO_VHOST_CONFIG_HDR + BENCH_CONFIG_BYTES);

	if (!(v->protocol & BIT(VIO_VHOST_PROTOCOL_F_CONFIG)))
		return bench_error(v->base.name, "does not offer its configuration space");
	msg.u.config.size = BENCH_CONFIG_BYTES;
	if (request(v, &msg) < 0 || receive(v, &msg) < 0)
		return -1;
	if (v->rx.msg.hdr.size < msg.hdr.size)
		return failed(v, &msg, "the answer is too short");
	bench_link_read_config(offer, v->rx.msg.u.config.data);
	return 0;
}

static int negotiate_protocol(struct vhost *v)
{
	const uint64_t wanted = BIT(VIO_VHOST_PROTOCOL_F_MQ) | BIT(VIO_VHOST_PROTOCOL_F_REPLY_ACK) |
				BIT(VIO_VHOST_PROTOCOL_F_CONFIG);
	uint64_t n = 1, offered;

	if (get_u64(v, VIO_VHOST_GET_PROTOCOL_FEATURES, &offered) < 0 ||
	    set_u64(v, VIO_VHOST_SET_PROTOCOL_FEATURES, offered & wanted) < 0)
		return -1;
	v->protocol = offered & wanted;
	if (v->protocol & BIT(VIO_VHOST_PROTOCOL_F_MQ) &&
	    get_u64(v, VIO_VHOST_GET_QUEUE_NUM, &n) < 0)
		return -1;
	v->base.max_queues = n < BENCH_MAX_QUEUES ? (unsigned)n : BENCH_MAX_QUEUES;
	return 0;
}

static int vhost_negotiate(struct vhost *v, const struct bench_opts *o)
{
	struct bench_offer offer = {0};
	struct vio_vhost_msg owner = message(VIO_VHOST_SET_OWNER, 0);
	uint64_t features;

	if (get_u64(v, VIO_VHOST_GET_FEATURES, &offer.features) < 0)
		return -1;
	v->has_protocol = offer.features & BIT(VIO_VHOST_F_PROTOCOL_FEATURES);
	if (v->has_protocol && negotiate_protocol(v) < 0)
		return -1;
	if (request(v, &owner) < 0 || get_config(v, &offer) < 0 ||
	    bench_link_accept(&v->base, o, &offer) < 0)
		return -1;
	features = v->base.features;
	if (v->has_protocol)
		features |= BIT(VIO_VHOST_F_PROTOCOL_FEATURES);
	return set_u64(v, VIO_VHOST_SET_FEATURES, features);
}

/* ---- queues ---------------------------------------------------------------------------------- */

static int set_memory(struct vhost *v, const struct bench_mem *mem)
{
	struct vio_vhost_msg msg = message(VIO_VHOST_SET_MEM_TABLE, vio_vhost_mem_table_size(1));

	msg.u.table.n = 1;
	msg.u.table.region[0] = (struct vio_vhost_region){
		.gpa = mem->gpa, .size = mem->size, .uaddr = (uintptr_t)mem->base};
	msg.fds[0] = mem->fd;
	msg.n_fds = 1;
	return request(v, &msg);
}

static int start_queue(struct vhost *v, unsigned i, const struct bench_rings *r)
{
	struct vio_vhost_msg addr =
		message(VIO_VHOST_SET_VRING_ADDR, sizeof(struct vio_vhost_vring_addr));

	addr.u.addr = (struct vio_vhost_vring_addr){.index = i,
						    .desc = (uintptr_t)r->desc,
						    .used = (uintptr_t)r->used,
						    .avail = (uintptr_t)r->avail};
	if (set_state(v, VIO_VHOST_SET_VRING_NUM, i, r->size) < 0 ||
	    set_state(v, VIO_VHOST_SET_VRING_BASE, i, 0) < 0 || request(v, &addr) < 0 ||
	    set_fd(v, VIO_VHOST_SET_VRING_ERR, i, v->base.error_fd) < 0 ||
	    set_fd(v, VIO_VHOST_SET_VRING_CALL, i, r->call_fd) < 0 ||
	    set_fd(v, VIO_VHOST_SET_VRING_KICK, i, r->kick_fd) < 0)
		return -1;
	v->n_queues = i + 1;
	return v->has_protocol ? set_state(v, VIO_VHOST_SET_VRING_ENABLE, i, 1) : 0;
}

static int vhost_start(struct bench_link *link, const struct bench_mem *mem,
		       const struct bench_rings *rings, unsigned n)
{
	struct vhost *v = to_vhost(link);
	uint64_t features;

	if (set_memory(v, mem) < 0)
		return -1;
	for (unsigned i = 0; i < n; i++) {
		if (start_queue(v, i, &rings[i]) < 0)
			return -1;
	}
	/* Without acknowledgements: any answer means that everything before was handled. */
	return get_u64(v, VIO_VHOST_GET_FEATURES, &features);
}

static int vhost_stop(struct bench_link *link, uint16_t *base)
{
	struct vhost *v = to_vhost(link);

	for (unsigned i = 0; i < v->n_queues; i++) {
		struct vio_vhost_msg msg =
			message(VIO_VHOST_GET_VRING_BASE, sizeof(struct vio_vhost_vring_state));

		msg.u.state.index = i;
		if (request(v, &msg) < 0 || receive(v, &msg) < 0)
			return -1;
		base[i] = (uint16_t)v->rx.msg.u.state.num;
	}
	v->n_queues = 0;
	return 0;
}

static int vhost_cpu(struct bench_link *link, uint64_t own, uint64_t *ns)
{
	struct vhost *v = to_vhost(link);
	struct timespec t;
	clockid_t clock;

	(void)own;
	if (v->pid <= 0 || clock_getcpuclockid(v->pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
		return -1;
	*ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	return 0;
}

static void vhost_destroy(struct bench_link *link)
{
	struct vhost *v = to_vhost(link);

	vio_vhost_rx_next(&v->rx);
	if (v->sock >= 0)
		close(v->sock);
	if (v->base.error_fd >= 0)
		close(v->base.error_fd);
	free(v);
}

static const struct bench_link_ops vhost_ops = {
	.start = vhost_start,
	.stop = vhost_stop,
	.cpu = vhost_cpu,
	.destroy = vhost_destroy,
};

struct bench_link *bench_vhost_open(const struct bench_opts *o, const char *socket)
{
	struct vhost *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->base.ops = &vhost_ops;
	v->base.name = socket;
	v->base.max_queues = 1;
	v->sock = v->base.hangup_fd = -1;
	v->base.error_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->base.error_fd >= 0 && vhost_connect(v) == 0 && vhost_negotiate(v, o) == 0)
		return &v->base;
	vhost_destroy(&v->base);
	return NULL;
}
