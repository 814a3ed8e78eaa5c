/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dgram port: one frame per datagram on a Unix datagram socket.
 *
 * The socket is not connected to the remote path: a socket that is takes datagrams from that one
 * peer only, and would not hear the peer's successor before the device sends something. The price
 * is that its being writable says nothing about the peer's queue, so a second socket, connected to
 * the peer and never sent to, is what we wait on when that queue is full.
 */
#include <viodm/loop.h>
#include <viodm/ports.h>

#include "sock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH	32u
#define ETH_HDR 14u

struct dgram_port {
	struct vio_port base;
	struct vio_port_queue pq; /* there is one */
	struct vio_loop *loop;	  /* NULL: not attached */
	struct sock_path bound;
	struct sockaddr_un remote; /* sun_family 0: the socket is connected */
	struct vio_watch rd, wr;   /* of the socket */
	struct vio_watch peer;	   /* of the second socket; fd -1: not needed yet */
	bool on;		   /* the device takes frames */
	bool starved;		   /* the device waits for writable() */

	/* Received, and not yet delivered: frames[first..n). */
	struct vio_frame frames[BATCH];
	struct iovec iov[BATCH];
	unsigned first, n;
	uint8_t *mem; /* BATCH frames of VIO_FRAME_MAX */

	struct mmsghdr msg[BATCH];
	unsigned msg_frame[BATCH]; /* which frame of a send it is */
};

static struct dgram_port *to_dgram(struct vio_port_queue *pq)
{
	return vio_container_of(pq, struct dgram_port, pq);
}

static int dgram_watch(struct dgram_port *dp, struct vio_watch *w)
{
	int r = vio_loop_watch(dp->loop, w);

	return r == -EEXIST ? 0 : r;
}

/* ---- receiving ---------------------------------------------------------------------------------
 */

static void dgram_deliver(struct dgram_port *dp)
{
	unsigned n = dp->n - dp->first, taken;

	if (n == 0)
		return;
	taken = dp->pq.user->deliver(&dp->pq, &dp->frames[dp->first], n);
	dp->first += taken;
	if (taken > 0)
		dp->pq.user->flush(&dp->pq);
	if (taken < n) {
		dp->on = false;
		if (dp->loop) /* not detached from inside deliver() */
			vio_loop_unwatch(dp->loop, &dp->rd);
	}
}

/* A batch of datagrams as frames. Returns 0 or -errno. */
static int dgram_recv(struct dgram_port *dp)
{
	struct iovec into[BATCH];
	int r;

	for (unsigned i = 0; i < BATCH; i++) {
		into[i] = (struct iovec){dp->mem + (size_t)i * VIO_FRAME_MAX, VIO_FRAME_MAX};
		dp->msg[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &into[i], .msg_iovlen = 1}};
	}
	r = recvmmsg(dp->rd.fd, dp->msg, BATCH, MSG_DONTWAIT, NULL);
	if (r < 0)
		return -errno;
	dp->first = dp->n = 0;
	for (unsigned i = 0; i < (unsigned)r; i++) {
		uint32_t len = dp->msg[i].msg_len;

		if (len < ETH_HDR || (dp->msg[i].msg_hdr.msg_flags & MSG_TRUNC))
			continue;
		dp->iov[dp->n] = (struct iovec){into[i].iov_base, len};
		dp->frames[dp->n] =
			(struct vio_frame){.iov = &dp->iov[dp->n], .n_iov = 1, .len = len};
		dp->n++;
	}
	return 0;
}

static void on_readable(struct vio_watch *w)
{
	struct dgram_port *dp = vio_container_of(w, struct dgram_port, rd);

	if (dgram_recv(dp) == 0) /* an error of a socket is gone when it was told */
		dgram_deliver(dp);
}

static void dgram_receive(struct vio_port_queue *pq, bool on)
{
	struct dgram_port *dp = to_dgram(pq);

	dp->on = on;
	if (!on) {
		vio_loop_unwatch(dp->loop, &dp->rd);
		return;
	}
	dgram_deliver(dp);
	/* Without memory for a watch: as if there were no room, until the device says so again. */
	if (dp->on && dgram_watch(dp, &dp->rd) < 0)
		dp->on = false;
}

/* ---- sending -----------------------------------------------------------------------------------
 */

/* The kernel has no room: waits for it. False: that is not possible, the frame is to be dropped. */
static bool dgram_wait(struct dgram_port *dp)
{
	struct pollfd p = {.fd = dp->wr.fd, .events = POLLOUT};

	/* Too much of ours is on its way, or the socket is connected and tells of its peer. */
	if (dp->remote.sun_family == 0 || poll(&p, 1, 0) == 0)
		return dgram_watch(dp, &dp->wr) == 0;
	if (dp->peer.fd < 0)
		dp->peer.fd = sock_new(SOCK_DGRAM);
	if (dp->peer.fd < 0 ||
	    connect(dp->peer.fd, (const struct sockaddr *)&dp->remote, sizeof(dp->remote)) < 0)
		return false;
	return dgram_watch(dp, &dp->peer) == 0;
}

/* As many of frames[from..n) as make a batch, without those that cannot be sent. */
static unsigned dgram_gather(struct dgram_port *dp, const struct vio_frame *frames, unsigned from,
			     unsigned n)
{
	unsigned k = 0;

	for (unsigned i = from; i < n && k < BATCH; i++) {
		struct msghdr *m = &dp->msg[k].msg_hdr;

		if (!sock_frame_ok(&frames[i]) || frames[i].n_iov > IOV_MAX)
			continue;
		dp->msg_frame[k++] = i;
		*m = (struct msghdr){.msg_iovlen = frames[i].n_iov};
		memcpy(&m->msg_iov, &frames[i].iov, sizeof(m->msg_iov)); /* only read */
		if (dp->remote.sun_family != 0) {
			m->msg_name = &dp->remote;
			m->msg_namelen = sizeof(dp->remote);
		}
	}
	return k;
}

static bool nobody_there(int err)
{
	return err == ECONNREFUSED || err == ENOENT || err == ENOTCONN || err == ECONNRESET ||
	       err == EPIPE;
}

/*
 * sendmmsg() failed for frame `at`: how many frames are done with, `at` if the device must wait.
 */
static unsigned dgram_failed(struct dgram_port *dp, unsigned at, unsigned n, int err)
{
	if (err == EINTR)
		return at;
	if (nobody_there(err))
		return n;
	if (err == EAGAIN && dgram_wait(dp)) {
		dp->starved = true;
		return at;
	}
	return at + 1;
}

static unsigned dgram_send(struct vio_port_queue *pq, const struct vio_frame *frames, unsigned n)
{
	struct dgram_port *dp = to_dgram(pq);
	unsigned done = 0;

	dp->starved = false;
	while (done < n && !dp->starved) {
		unsigned k = dgram_gather(dp, frames, done, n);
		int sent;

		if (k == 0)
			return n;
		sent = sendmmsg(dp->wr.fd, dp->msg, k, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0)
			done = dgram_failed(dp, dp->msg_frame[0], n, errno);
		else
			done = dp->msg_frame[sent - 1] + 1;
	}
	return done;
}

static void dgram_writable(struct dgram_port *dp)
{
	vio_loop_unwatch(dp->loop, &dp->wr);
	vio_loop_unwatch(dp->loop, &dp->peer);
	if (dp->starved) {
		dp->starved = false;
		dp->pq.user->writable(&dp->pq);
	}
}

static void on_writable(struct vio_watch *w)
{
	dgram_writable(vio_container_of(w, struct dgram_port, wr));
}

static void on_peer_writable(struct vio_watch *w)
{
	dgram_writable(vio_container_of(w, struct dgram_port, peer));
}

/* ---- life --------------------------------------------------------------------------------------
 */

static int dgram_info(struct vio_port *port, struct vio_port_info *info)
{
	(void)port;
	*info = (struct vio_port_info){.max_pairs = 1, .link_up = true, .speed = UINT32_MAX};
	return 0;
}

static int dgram_attach(struct vio_port *port, uint16_t index, struct vio_loop *loop,
			struct vio_port_queue **out)
{
	struct dgram_port *dp = vio_container_of(port, struct dgram_port, base);

	if (index > 0)
		return -EINVAL;
	if (dp->loop)
		return -EBUSY;
	dp->loop = loop;
	dp->on = false;
	dp->starved = false;
	*out = &dp->pq;
	return 0;
}

static void dgram_detach(struct vio_port_queue *pq)
{
	struct dgram_port *dp = to_dgram(pq);

	vio_loop_unwatch(dp->loop, &dp->rd);
	vio_loop_unwatch(dp->loop, &dp->wr);
	vio_loop_unwatch(dp->loop, &dp->peer);
	dp->on = false;
	dp->loop = NULL;
}

static void dgram_free(struct dgram_port *dp)
{
	sock_unbind(&dp->bound);
	if (dp->rd.fd >= 0)
		close(dp->rd.fd);
	if (dp->peer.fd >= 0)
		close(dp->peer.fd);
	free(dp->mem);
	free(dp);
}

static void dgram_close(struct vio_port *port)
{
	dgram_free(vio_container_of(port, struct dgram_port, base));
}

static const struct vio_port_ops dgram_ops = {
	.name = "dgram",
	.info = dgram_info,
	.attach = dgram_attach,
	.detach = dgram_detach,
	.send = dgram_send,
	.receive = dgram_receive,
	.close = dgram_close,
};

static struct dgram_port *dgram_new(void)
{
	struct dgram_port *dp = calloc(1, sizeof(*dp));

	if (!dp)
		return NULL;
	dp->base.ops = &dgram_ops;
	dp->rd = (struct vio_watch){.fd = -1, .on_ready = on_readable};
	dp->wr = (struct vio_watch){.fd = -1, .writable = true, .on_ready = on_writable};
	dp->peer = (struct vio_watch){.fd = -1, .writable = true, .on_ready = on_peer_writable};
	dp->mem = malloc((size_t)BATCH * VIO_FRAME_MAX);
	if (!dp->mem) {
		free(dp);
		return NULL;
	}
	return dp;
}

static bool is_connected(int fd)
{
	struct sockaddr_un addr;
	socklen_t len = sizeof(addr);

	return getpeername(fd, (struct sockaddr *)&addr, &len) == 0;
}

/* The socket, or -errno. */
static int dgram_socket(struct dgram_port *dp, const struct vio_port_dgram_config *cfg)
{
	int r;

	if (!cfg->local != !cfg->remote)
		return -EINVAL;
	if (cfg->local) {
		r = sock_addr(&dp->remote, cfg->remote);
		return r < 0 ? r : sock_bind(SOCK_DGRAM, cfg->local, &dp->bound);
	}
	r = sock_adopt(cfg->fd, SOCK_DGRAM);
	if (r < 0)
		return r;
	return is_connected(cfg->fd) ? cfg->fd : -EINVAL;
}

int vio_port_dgram_open(const struct vio_port_dgram_config *cfg, struct vio_port **out)
{
	struct dgram_port *dp = dgram_new();
	int fd;

	if (!dp)
		return -ENOMEM;
	fd = dgram_socket(dp, cfg);
	if (fd < 0) {
		dgram_free(dp);
		return fd;
	}
	dp->rd.fd = dp->wr.fd = fd;
	*out = &dp->base;
	return 0;
}
