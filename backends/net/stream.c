/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stream port: frames over a Unix stream socket, each behind its length. The connection belongs
 * to the port, not to a queue: it outlives a reset of the device.
 *
 * A connection ends in two steps, since the device may not hear of it from inside its own calls:
 * stream_lose() stops using it, on_lost() closes it and says so.
 */
#include <viodm/loop.h>
#include <viodm/ports.h>

#include "frame_buf.h"
#include "sock.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define RX_BYTES  (128u * 1024)
#define LEN_SIZE  FRAME_BUF_LEN_SIZE
#define MAX_IOV	  IOV_MAX
#define MAX_BATCH (MAX_IOV / 2) /* frames with one buffer each */
#define ACCEPT_MS 1000		/* after accept() could not get a descriptor */

struct stream_port {
	struct vio_port base;
	struct vio_port_queue pq; /* there is one */
	const struct vio_log *log;
	struct sock_quiet quiet;
	struct vio_loop *loop; /* NULL: not attached */

	bool server; /* has a listener */
	struct sock_path bound;
	struct sockaddr_un addr; /* a client's */
	unsigned reconnect_ms;	 /* 0: a client connects once */
	struct vio_watch listener;
	struct vio_watch timer; /* connect, or accept, again */

	struct vio_watch rd, wr;  /* of the connection; fd -1: none */
	_Atomic bool up;	  /* there is a connection */
	bool lost;		  /* ... that is not used any more */
	struct vio_defer on_lost; /* queued while `lost` and attached */
	bool on;		  /* the device takes frames */
	bool starved;		  /* the device waits for writable() */
	struct frame_buf rx;
	uint8_t *rest; /* of a frame that was sent in part */
	size_t rest_at, rest_end;

	uint32_t len[MAX_BATCH]; /* big-endian */
	struct iovec iov[MAX_IOV];
};

static struct stream_port *to_stream(struct vio_port_queue *pq)
{
	return vio_container_of(pq, struct stream_port, pq);
}

/* ---- connections -------------------------------------------------------------------------------
 */

static bool stream_usable(const struct stream_port *sp)
{
	return sp->rd.fd >= 0 && !sp->lost;
}

/* Watches w; a watch that cannot be had is reported, except that it is there already. */
static int stream_watch(struct stream_port *sp, struct vio_watch *w)
{
	int r = vio_loop_watch(sp->loop, w);

	return r == -EEXIST ? 0 : r;
}

static void stream_lose(struct stream_port *sp)
{
	sp->lost = true;
	vio_loop_unwatch(sp->loop, &sp->rd);
	vio_loop_unwatch(sp->loop, &sp->wr);
	vio_loop_defer(sp->loop, &sp->on_lost);
}

static void stream_timer(struct stream_port *sp, unsigned ms)
{
	struct itimerspec when = {0};

	when.it_value.tv_sec = ms / 1000;
	when.it_value.tv_nsec = (long)(ms % 1000) * 1000000;
	if (ms == 0)
		when.it_value.tv_nsec = 1;
	timerfd_settime(sp->timer.fd, 0, &when, NULL);
}

/* Gets us the next peer, sooner or later. `ms`: before a client connects. */
static int stream_seek(struct stream_port *sp, unsigned ms)
{
	if (sp->server)
		return stream_watch(sp, &sp->listener);
	if (sp->reconnect_ms > 0)
		stream_timer(sp, ms);
	return 0;
}

/* `fd` is the connection from now on. */
static void stream_use(struct stream_port *sp, int fd)
{
	sp->rd.fd = sp->wr.fd = fd;
	frame_buf_clear(&sp->rx);
	sp->rest_at = sp->rest_end = 0;
	sp->lost = false;
	sp->up = true;
}

static void stream_connected(struct stream_port *sp, int fd)
{
	stream_use(sp, fd);
	if (sp->server)
		vio_loop_unwatch(sp->loop, &sp->listener);
	if (sp->on && stream_watch(sp, &sp->rd) < 0)
		stream_lose(sp);
	vio_port_link(&sp->base, true);
}

static void stream_disconnect(struct stream_port *sp)
{
	if (sp->rd.fd < 0)
		return;
	shutdown(sp->rd.fd, SHUT_RDWR); /* a loop may hold the socket a moment longer */
	close(sp->rd.fd);
	sp->rd.fd = sp->wr.fd = -1;
	sp->lost = false;
	sp->up = false;
}

static void on_lost(struct vio_defer *d)
{
	struct stream_port *sp = vio_container_of(d, struct stream_port, on_lost);

	stream_disconnect(sp);
	if (stream_seek(sp, sp->reconnect_ms) < 0)
		stream_timer(sp, ACCEPT_MS);
	vio_port_link(&sp->base, false);
	if (sp->starved && sp->loop) {
		sp->starved = false;
		sp->pq.user->writable(&sp->pq);
	}
}

static void on_listener(struct vio_watch *w)
{
	struct stream_port *sp = vio_container_of(w, struct stream_port, listener);
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0) {
		stream_connected(sp, fd);
	} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		/* No descriptors left, or no memory: it stays ready all the while. */
		vio_loop_unwatch(sp->loop, w);
		stream_timer(sp, ACCEPT_MS);
	}
}

static void on_timer(struct vio_watch *w)
{
	struct stream_port *sp = vio_container_of(w, struct stream_port, timer);
	uint64_t count;
	int fd;

	if (read(w->fd, &count, sizeof(count)) < 0 || sp->rd.fd >= 0)
		return;
	if (sp->server) {
		if (stream_seek(sp, 0) < 0)
			stream_timer(sp, ACCEPT_MS);
		return;
	}
	fd = sock_connect(SOCK_STREAM, &sp->addr);
	if (fd >= 0)
		stream_connected(sp, fd);
	else
		stream_timer(sp, sp->reconnect_ms);
}

/* ---- receiving ---------------------------------------------------------------------------------
 */

static void stream_deliver(struct stream_port *sp)
{
	switch (frame_buf_deliver(&sp->rx, &sp->pq, &sp->on)) {
	case FRAME_BUF_DONE:
		break;
	case FRAME_BUF_NOROOM:
		sp->on = false;
		if (sp->loop) /* not detached from inside deliver() */
			vio_loop_unwatch(sp->loop, &sp->rd);
		break;
	case FRAME_BUF_BROKEN:
		if (sock_may_log(&sp->quiet))
			vio_log(sp->log, VIO_LOG_WARN,
				"stream port: the peer sent a length that no frame has: "
				"disconnected");
		stream_lose(sp);
		break;
	}
}

static void on_readable(struct vio_watch *w)
{
	struct stream_port *sp = vio_container_of(w, struct stream_port, rd);
	uint8_t *at;
	/* Never zero: what is left after stream_deliver() is less than the longest frame. */
	size_t space = frame_buf_space(&sp->rx, &at);
	ssize_t n = recv(w->fd, at, space, MSG_DONTWAIT);

	if (n > 0) {
		frame_buf_added(&sp->rx, (size_t)n);
		stream_deliver(sp);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		stream_lose(sp);
	}
}

static void stream_receive(struct vio_port_queue *pq, bool on)
{
	struct stream_port *sp = to_stream(pq);

	sp->on = on;
	if (!stream_usable(sp))
		return;
	if (!on) {
		vio_loop_unwatch(sp->loop, &sp->rd);
		return;
	}
	stream_deliver(sp);
	if (sp->on && !sp->lost && stream_watch(sp, &sp->rd) < 0)
		stream_lose(sp);
}

/* ---- sending -----------------------------------------------------------------------------------
 */

/* What a failed send means: false: no room now. */
static bool stream_failed(struct stream_port *sp)
{
	if (errno == EINTR)
		return true;
	if (errno == EAGAIN)
		return false;
	stream_lose(sp);
	return true;
}

/* False: no room for all of it now. */
static bool stream_send_rest(struct stream_port *sp)
{
	while (sp->rest_at < sp->rest_end && !sp->lost) {
		ssize_t n = send(sp->wr.fd, sp->rest + sp->rest_at, sp->rest_end - sp->rest_at,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n >= 0)
			sp->rest_at += (size_t)n;
		else if (!stream_failed(sp))
			return false;
	}
	return true;
}

/* Keeps a copy of the frame, `sent` bytes of which (with its length) are on their way. */
static void stream_keep(struct stream_port *sp, const struct vio_frame *f, size_t sent)
{
	uint32_t len = htobe32(f->len);
	size_t at = LEN_SIZE;

	memcpy(sp->rest, &len, LEN_SIZE);
	for (uint32_t i = 0; i < f->n_iov; i++) {
		memcpy(sp->rest + at, f->iov[i].iov_base, f->iov[i].iov_len);
		at += f->iov[i].iov_len;
	}
	sp->rest_at = sent;
	sp->rest_end = at;
}

/* As many frames as one sendmsg() takes, without those that cannot be sent. */
static unsigned stream_gather(struct stream_port *sp, const struct vio_frame *frames, unsigned n,
			      unsigned *n_iov)
{
	unsigned i, k = 0;

	*n_iov = 0;
	for (i = 0; i < n && k < MAX_BATCH; i++) {
		const struct vio_frame *f = &frames[i];

		if (!sock_frame_ok(f))
			continue;
		if (f->n_iov >= MAX_IOV - *n_iov)
			break;
		sp->len[k] = htobe32(f->len);
		sp->iov[(*n_iov)++] = (struct iovec){&sp->len[k++], LEN_SIZE};
		memcpy(&sp->iov[*n_iov], f->iov, f->n_iov * sizeof(*f->iov));
		*n_iov += f->n_iov;
	}
	return i;
}

/* Of n frames `sent` bytes are gone: returns how many frames are; keeps one that is partly. */
static unsigned stream_account(struct stream_port *sp, const struct vio_frame *frames, unsigned n,
			       size_t sent)
{
	for (unsigned i = 0; i < n; i++) {
		size_t size = sock_frame_ok(&frames[i]) ? LEN_SIZE + frames[i].len : 0;

		if (sent >= size) {
			sent -= size;
			continue;
		}
		if (sent == 0)
			return i;
		stream_keep(sp, &frames[i], sent);
		return i + 1;
	}
	return n;
}

/* Sends some of them, nothing of a rest being left. Returns how many are done with; -1: no room. */
static int stream_send_some(struct stream_port *sp, const struct vio_frame *frames, unsigned n)
{
	struct msghdr msg = {.msg_iov = sp->iov};
	unsigned k, n_iov;
	ssize_t sent;

	k = stream_gather(sp, frames, n, &n_iov);
	if (k == 0) { /* more pieces than a message may have */
		stream_keep(sp, &frames[0], 0);
		return 1;
	}
	if (n_iov == 0)
		return (int)k;
	msg.msg_iovlen = n_iov;
	sent = sendmsg(sp->wr.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && errno == EFAULT)
		return (int)k; /* the driver's memory is gone, and frames with it */
	if (sent < 0)
		return stream_failed(sp) ? 0 : -1;
	return (int)stream_account(sp, frames, k, (size_t)sent);
}

static unsigned stream_send(struct vio_port_queue *pq, const struct vio_frame *frames, unsigned n)
{
	struct stream_port *sp = to_stream(pq);
	unsigned done = 0;
	bool room = true;
	int r;

	while (room && stream_usable(sp)) {
		room = stream_send_rest(sp);
		if (!room || sp->lost || done == n)
			break;
		r = stream_send_some(sp, frames + done, n - done);
		room = r >= 0;
		done += room ? (unsigned)r : 0;
	}
	if (!room && stream_watch(sp, &sp->wr) < 0)
		stream_lose(sp);
	if (!stream_usable(sp))
		return n;
	sp->starved = done < n;
	return done;
}

static void on_writable(struct vio_watch *w)
{
	struct stream_port *sp = vio_container_of(w, struct stream_port, wr);

	if (!stream_send_rest(sp) || sp->lost)
		return; /* on_lost() wakes the device */
	vio_loop_unwatch(sp->loop, w);
	if (sp->starved) {
		sp->starved = false;
		sp->pq.user->writable(&sp->pq);
	}
}

/* ---- queues ------------------------------------------------------------------------------------
 */

static void stream_unwatch_all(struct stream_port *sp)
{
	vio_loop_unwatch(sp->loop, &sp->rd);
	vio_loop_unwatch(sp->loop, &sp->wr);
	vio_loop_unwatch(sp->loop, &sp->listener);
	vio_loop_unwatch(sp->loop, &sp->timer);
	vio_loop_cancel(sp->loop, &sp->on_lost);
}

/* Goes on where the last queue stopped. */
static int stream_resume(struct stream_port *sp)
{
	int r;

	r = sp->timer.fd >= 0 ? stream_watch(sp, &sp->timer) : 0;
	if (r < 0)
		return r;
	if (sp->lost)
		vio_loop_defer(sp->loop, &sp->on_lost);
	else if (sp->rd.fd < 0)
		return stream_seek(sp, 0);
	else if (sp->rest_at < sp->rest_end)
		return stream_watch(sp, &sp->wr);
	return 0;
}

static int stream_attach(struct vio_port *port, uint16_t index, struct vio_loop *loop,
			 struct vio_port_queue **out)
{
	struct stream_port *sp = vio_container_of(port, struct stream_port, base);
	int r;

	if (index > 0)
		return -EINVAL;
	if (sp->loop)
		return -EBUSY;
	sp->loop = loop;
	sp->on = false;
	sp->starved = false;
	r = stream_resume(sp);
	if (r < 0) {
		stream_unwatch_all(sp);
		sp->loop = NULL;
		return r;
	}
	*out = &sp->pq;
	return 0;
}

static void stream_detach(struct vio_port_queue *pq)
{
	struct stream_port *sp = to_stream(pq);

	stream_unwatch_all(sp);
	sp->on = false;
	sp->loop = NULL;
}

/* ---- life --------------------------------------------------------------------------------------
 */

static int stream_info(struct vio_port *port, struct vio_port_info *info)
{
	struct stream_port *sp = vio_container_of(port, struct stream_port, base);

	*info = (struct vio_port_info){.max_pairs = 1, .link_up = sp->up, .speed = UINT32_MAX};
	return 0;
}

static void stream_free(struct stream_port *sp)
{
	stream_disconnect(sp);
	sock_unbind(&sp->bound);
	if (sp->listener.fd >= 0)
		close(sp->listener.fd);
	if (sp->timer.fd >= 0)
		close(sp->timer.fd);
	frame_buf_fini(&sp->rx);
	free(sp->rest);
	free(sp);
}

static void stream_close(struct vio_port *port)
{
	stream_free(vio_container_of(port, struct stream_port, base));
}

static const struct vio_port_ops stream_ops = {
	.name = "stream",
	.info = stream_info,
	.attach = stream_attach,
	.detach = stream_detach,
	.send = stream_send,
	.receive = stream_receive,
	.close = stream_close,
};

static struct stream_port *stream_new(const struct vio_port_stream_config *cfg)
{
	struct stream_port *sp = calloc(1, sizeof(*sp));

	if (!sp)
		return NULL;
	sp->base.ops = &stream_ops;
	sp->log = cfg->log;
	sp->reconnect_ms = cfg->reconnect_ms;
	sp->listener = (struct vio_watch){.fd = -1, .on_ready = on_listener};
	sp->timer = (struct vio_watch){.fd = -1, .on_ready = on_timer};
	sp->rd = (struct vio_watch){.fd = -1, .on_ready = on_readable};
	sp->wr = (struct vio_watch){.fd = -1, .writable = true, .on_ready = on_writable};
	sp->on_lost.run = on_lost;
	sp->rest = malloc(LEN_SIZE + VIO_FRAME_MAX);
	if (!sp->rest || frame_buf_init(&sp->rx, RX_BYTES) < 0) {
		free(sp->rest);
		free(sp);
		return NULL;
	}
	return sp;
}

static int stream_listen(struct stream_port *sp, const char *path)
{
	int fd = sock_bind(SOCK_STREAM, path, &sp->bound);

	if (fd < 0)
		return fd;
	sp->server = true;
	sp->listener.fd = fd;
	return listen(fd, 1) < 0 ? -errno : 0;
}

static int stream_connect(struct stream_port *sp, const char *path)
{
	int r = sock_addr(&sp->addr, path);
	int fd = r < 0 ? r : sock_connect(SOCK_STREAM, &sp->addr);

	if (fd >= 0)
		stream_use(sp, fd);
	else if (r < 0 || sp->reconnect_ms == 0)
		return fd;
	return 0;
}

/* Last of all, since the descriptor is the caller's when opening fails. */
static int stream_adopt(struct stream_port *sp, int fd)
{
	int r = sock_adopt(fd, SOCK_STREAM);

	if (r < 0)
		return r;
	sp->server = sock_listens(fd);
	sp->reconnect_ms = 0;
	if (sp->server)
		sp->listener.fd = fd;
	else
		stream_use(sp, fd);
	return 0;
}

int vio_port_stream_open(const struct vio_port_stream_config *cfg, struct vio_port **out)
{
	struct stream_port *sp = stream_new(cfg);
	int r;

	if (!sp)
		return -ENOMEM;
	sp->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (sp->timer.fd < 0)
		r = -errno;
	else if (!cfg->path)
		r = stream_adopt(sp, cfg->fd);
	else if (cfg->server)
		r = stream_listen(sp, cfg->path);
	else
		r = stream_connect(sp, cfg->path);
	if (r < 0) {
		stream_free(sp);
		return r;
	}
	*out = &sp->base;
	return 0;
}
