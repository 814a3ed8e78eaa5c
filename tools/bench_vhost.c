/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user front-end. With --reconnect it outlives its server: rings, memory and the region
 * that says what is in flight stay as they are, and the next server is set up with them.
 */
#include "bench_vhost.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "bench_hist.h"
#include "bench_phase.h"

#define ANSWER_SECONDS 10
#define RETRY_NS       10000000
#define BIT(n)	       (UINT64_C(1) << (n))

static struct vhost *to_vhost(struct bench_link *link)
{
	return vio_container_of(link, struct vhost, base);
}

/* ---- connecting ------------------------------------------------------------------------------ */

static void vhost_disconnect(struct vhost *v)
{
	vio_vhost_rx_next(&v->rx);
	memset(&v->rx, 0, sizeof(v->rx)); /* half a message may have come */
	if (v->sock >= 0)
		close(v->sock);
	v->sock = v->base.hangup_fd = -1;
	v->protocol = 0;
}

static int vhost_connect(struct vhost *v)
{
	const struct timeval patience = {.tv_sec = ANSWER_SECONDS};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (strlen(v->base.name) >= sizeof(addr.sun_path))
		return vhost_fail(v, "name of a socket too long");
	memcpy(addr.sun_path, v->base.name, strlen(v->base.name) + 1);
	v->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (v->sock < 0)
		return vhost_fail(v, "cannot connect: %s", strerror(errno));
	setsockopt(v->sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(v->sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(v->sock, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		v->lost = errno == ENOENT || errno == ECONNREFUSED;
		return vhost_fail(v, "cannot connect: %s", strerror(errno));
	}
	if (getsockopt(v->sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
		v->pid = peer.pid;
	v->base.hangup_fd = v->sock;
	return 0;
}

/* The first `len` bytes of the configuration space. */
static int get_config(struct vhost *v, uint8_t *config, uint32_t len)
{
	struct vio_vhost_msg msg = vhost_message(VIO_VHOST_GET_CONFIG, VIO_VHOST_CONFIG_HDR + len);

	msg.u.config.size = len;
	if (vhost_ask(v, &msg) < 0)
		return -1;
	if (v->rx.msg.hdr.size < msg.hdr.size)
		return vhost_fail(v, "GET_CONFIG: the answer is too short");
	memcpy(config, v->rx.msg.u.config.data, len);
	return 0;
}

static int negotiate_protocol(struct vhost *v)
{
	uint64_t wanted = BIT(VIO_VHOST_PROTOCOL_F_MQ) | BIT(VIO_VHOST_PROTOCOL_F_REPLY_ACK) |
			  BIT(VIO_VHOST_PROTOCOL_F_CONFIG);
	uint64_t n = 1, offered;

	if (v->opts->reconnect > 0)
		wanted |= BIT(VIO_VHOST_PROTOCOL_F_INFLIGHT_SHMFD);
	if (vhost_get_u64(v, VIO_VHOST_GET_PROTOCOL_FEATURES, &offered) < 0 ||
	    vhost_set_u64(v, VIO_VHOST_SET_PROTOCOL_FEATURES, offered & wanted) < 0)
		return -1;
	v->protocol = offered & wanted;
	if (v->protocol & BIT(VIO_VHOST_PROTOCOL_F_MQ) &&
	    vhost_get_u64(v, VIO_VHOST_GET_QUEUE_NUM, &n) < 0)
		return -1;
	v->base.max_queues = n < BENCH_MAX_QUEUES ? (unsigned)n : BENCH_MAX_QUEUES;
	return 0;
}

/* The first time we choose; later it has to be what was chosen then. */
static int choose_features(struct vhost *v, uint64_t offered)
{
	const struct bench_device *device = v->opts->device;
	bool has_config = v->protocol & BIT(VIO_VHOST_PROTOCOL_F_CONFIG);
	uint8_t config[BENCH_CONFIG_MAX];

	if (v->opts->reconnect > 0 && !(v->protocol & BIT(VIO_VHOST_PROTOCOL_F_INFLIGHT_SHMFD)))
		return vhost_fail(v, "does not offer INFLIGHT_SHMFD, which --reconnect needs");
	if (!has_config && device->needs_config)
		return vhost_fail(v, "does not offer its configuration space");
	if (has_config && get_config(v, config, device->config_bytes) < 0)
		return -1;
	if (v->negotiated && v->base.features & ~offered)
		return vhost_fail(v, "came back without a feature that is in use");
	if (!v->negotiated &&
	    device->accept(&v->base, v->opts, offered, has_config ? config : NULL) < 0)
		return -1;
	v->negotiated = true;
	return 0;
}

static int vhost_negotiate(struct vhost *v)
{
	struct vio_vhost_msg owner = vhost_message(VIO_VHOST_SET_OWNER, 0);
	uint64_t features, offered;

	if (vhost_get_u64(v, VIO_VHOST_GET_FEATURES, &offered) < 0)
		return -1;
	v->has_protocol = offered & BIT(VIO_VHOST_F_PROTOCOL_FEATURES);
	if (v->has_protocol && negotiate_protocol(v) < 0)
		return -1;
	if (vhost_request(v, &owner) < 0 || choose_features(v, offered) < 0)
		return -1;
	features = v->base.features;
	if (v->has_protocol)
		features |= BIT(VIO_VHOST_F_PROTOCOL_FEATURES);
	return vhost_set_u64(v, VIO_VHOST_SET_FEATURES, features);
}

/* ---- queues ---------------------------------------------------------------------------------- */

static int set_memory(struct vhost *v)
{
	struct vio_vhost_msg msg =
		vhost_message(VIO_VHOST_SET_MEM_TABLE, vio_vhost_mem_table_size(1));

	msg.u.table.n = 1;
	msg.u.table.region[0] = (struct vio_vhost_region){
		.gpa = v->mem->gpa, .size = v->mem->size, .uaddr = (uintptr_t)v->mem->base};
	msg.fds[0] = v->mem->fd;
	msg.n_fds = 1;
	return vhost_request(v, &msg);
}

/* The region is the first server's to make, and ours to keep. */
static int get_inflight(struct vhost *v)
{
	struct vio_vhost_msg msg =
		vhost_message(VIO_VHOST_GET_INFLIGHT_FD, sizeof(struct vio_vhost_inflight));

	msg.u.inflight.n_queues = (uint16_t)(v->rings[v->n_rings - 1].index + 1);
	msg.u.inflight.queue_size = v->rings[0].size;
	if (vhost_ask(v, &msg) < 0)
		return -1;
	v->inflight_fd = vio_vhost_take_fd(&v->rx.msg, 0);
	if (v->inflight_fd < 0)
		return vhost_fail(v, "GET_INFLIGHT_FD: the answer has no descriptor");
	v->inflight = v->rx.msg.u.inflight;
	v->inflight.n_queues = msg.u.inflight.n_queues;
	v->inflight.queue_size = msg.u.inflight.queue_size;
	return 0;
}

static int set_inflight(struct vhost *v)
{
	struct vio_vhost_msg msg =
		vhost_message(VIO_VHOST_SET_INFLIGHT_FD, sizeof(struct vio_vhost_inflight));

	if (v->opts->reconnect == 0)
		return 0;
	if (v->inflight_fd < 0 && get_inflight(v) < 0)
		return -1;
	msg.u.inflight = v->inflight;
	msg.fds[0] = v->inflight_fd;
	msg.n_fds = 1;
	return vhost_request(v, &msg);
}

/* The ring goes on behind what was used; the region has what is between that and the end. */
static uint32_t ring_base(const struct bench_rings *r)
{
	const struct vring_used *used = r->used;

	return le16toh(__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE));
}

static int start_ring(struct vhost *v, const struct bench_rings *r)
{
	unsigned i = r->index;
	struct vio_vhost_msg addr =
		vhost_message(VIO_VHOST_SET_VRING_ADDR, sizeof(struct vio_vhost_vring_addr));

	addr.u.addr = (struct vio_vhost_vring_addr){.index = i,
						    .desc = (uintptr_t)r->desc,
						    .used = (uintptr_t)r->used,
						    .avail = (uintptr_t)r->avail};
	if (vhost_set_state(v, VIO_VHOST_SET_VRING_NUM, i, r->size) < 0 ||
	    vhost_set_state(v, VIO_VHOST_SET_VRING_BASE, i, ring_base(r)) < 0 ||
	    vhost_request(v, &addr) < 0 ||
	    vhost_set_fd(v, VIO_VHOST_SET_VRING_ERR, i, v->base.error_fd) < 0 ||
	    vhost_set_fd(v, VIO_VHOST_SET_VRING_CALL, i, r->call_fd) < 0 ||
	    vhost_set_fd(v, VIO_VHOST_SET_VRING_KICK, i, r->kick_fd) < 0)
		return -1;
	return v->has_protocol ? vhost_set_state(v, VIO_VHOST_SET_VRING_ENABLE, i, 1) : 0;
}

static int start_queues(struct vhost *v)
{
	uint64_t features;

	if (set_inflight(v) < 0 || set_memory(v) < 0)
		return -1;
	for (unsigned i = 0; i < v->n_rings; i++) {
		if (start_ring(v, &v->rings[i]) < 0)
			return -1;
	}
	/* Without acknowledgements: any answer means that everything before was handled. */
	return vhost_get_u64(v, VIO_VHOST_GET_FEATURES, &features);
}

static int stop_queues(struct vhost *v, uint16_t *base)
{
	for (unsigned i = 0; i < v->n_rings; i++) {
		struct vio_vhost_msg msg = vhost_message(VIO_VHOST_GET_VRING_BASE,
							 sizeof(struct vio_vhost_vring_state));

		msg.u.state.index = v->rings[i].index;
		if (vhost_ask(v, &msg) < 0)
			return -1;
		base[i] = (uint16_t)v->rx.msg.u.state.num;
	}
	return 0;
}

/* ---- a server that goes and comes ------------------------------------------------------------ */

/* False when there is nothing to wait for, or not any longer. */
static bool wait_for_server(const struct vhost *v, uint64_t deadline)
{
	const struct timespec a_while = {.tv_nsec = RETRY_NS};

	if (!v->lost || bench_interrupted() || bench_ns() >= deadline)
		return false;
	nanosleep(&a_while, NULL);
	return true;
}

/* Connects and does again all that was done so far, until a server lives long enough for it. */
static int set_up(struct vhost *v)
{
	uint64_t deadline = bench_ns() + (uint64_t)(v->opts->reconnect * 1e9);

	do {
		vhost_disconnect(v);
		v->lost = false;
		v->why[0] = '\0';
		if (vhost_connect(v) == 0 && vhost_negotiate(v) == 0 &&
		    (v->n_rings == 0 || start_queues(v) == 0))
			return 0;
	} while (wait_for_server(v, deadline));
	return -1;
}

/* What the old server was told of our requests, the new one does not know. */
static void kick_all(const struct vhost *v)
{
	for (unsigned i = 0; i < v->n_rings; i++)
		eventfd_write(v->rings[i].kick_fd, 1);
}

static int come_back(struct vhost *v)
{
	if (set_up(v) < 0)
		return -1;
	v->base.n_reconnects++;
	kick_all(v);
	return 0;
}

/* Prints what is wrong, if that was not done yet. */
static int vhost_result(const struct vhost *v, int r)
{
	if (r < 0 && v->why[0])
		bench_error(v->base.name, "%s", v->why);
	return r;
}

static bool may_come_back(const struct vhost *v)
{
	return v->lost && v->opts->reconnect > 0;
}

/* ---- the link -------------------------------------------------------------------------------- */

static int vhost_reconnect(struct bench_link *link)
{
	struct vhost *v = to_vhost(link);

	return vhost_result(v, come_back(v));
}

static int vhost_start(struct bench_link *link, const struct bench_mem *mem,
		       const struct bench_rings *rings, unsigned n)
{
	struct vhost *v = to_vhost(link);
	int r;

	v->mem = mem;
	memcpy(v->rings, rings, n * sizeof(*rings));
	v->n_rings = n;
	r = start_queues(v);
	if (r < 0 && may_come_back(v))
		r = come_back(v);
	return vhost_result(v, r);
}

static int vhost_stop(struct bench_link *link, uint16_t *base)
{
	struct vhost *v = to_vhost(link);
	int r = stop_queues(v, base);

	while (r < 0 && may_come_back(v)) {
		r = come_back(v);
		if (r == 0)
			r = stop_queues(v, base);
	}
	v->n_rings = 0;
	return vhost_result(v, r);
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

	vhost_disconnect(v);
	if (v->base.error_fd >= 0)
		close(v->base.error_fd);
	if (v->inflight_fd >= 0)
		close(v->inflight_fd);
	free(v);
}

static const struct bench_link_ops vhost_ops = {
	.start = vhost_start,
	.stop = vhost_stop,
	.reconnect = vhost_reconnect,
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
	v->opts = o;
	v->sock = v->base.hangup_fd = v->inflight_fd = -1;
	v->base.error_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->base.error_fd >= 0 && vhost_result(v, set_up(v)) == 0)
		return &v->base;
	vhost_destroy(&v->base);
	return NULL;
}
