/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user server as an object: life, connections, and what the device asks of a transport.
 */
#include "vhost_user_internal.h"

#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- what the device asks ----------------------------------------------------------------------
 */

static void vhu_queue_interrupt(struct vio_transport *t, uint16_t index)
{
	vhu_ring_interrupt(&vhu_of(t)->rings[index]);
}

static void vhu_config_interrupt(struct vio_transport *t)
{
	struct vio_vhost_user *vu = vhu_of(t);

	vu->config_changed = true;
	vio_event_signal(vu->event.fd);
}

/* Also by the embedder on a thread of its own: the rings are looked after on the loop's thread. */
static void vhu_reset(struct vio_transport *t)
{
	struct vio_vhost_user *vu = vhu_of(t);

	vu->was_reset = true;
	vio_event_signal(vu->event.fd);
}

static void vhu_call(struct vio_transport *t, void (*fn)(void *arg), void *arg)
{
	vio_loop_call(vhu_of(t)->cfg.loop, fn, arg);
}

static const struct vio_transport_ops vhu_ops = {
	.name = "vhost-user",
	.queue_interrupt = vhu_queue_interrupt,
	.config_interrupt = vhu_config_interrupt,
	.reset = vhu_reset,
	.call = vhu_call,
};

/* ---- device ------------------------------------------------------------------------------------
 */

static void forget_state(struct vio_vhost_user *vu)
{
	vu->was_reset = vu->config_changed = false;
	vu->live = vu->status_driven = vu->told_failed = false;
}

void vhu_reset_keep_rings(struct vio_vhost_user *vu)
{
	vio_device_reset(vu->base.dev);
	forget_state(vu);
}

void vhu_reset_device(struct vio_vhost_user *vu)
{
	vhu_rings_pause(vu);
	vhu_reset_keep_rings(vu);
	vhu_rings_reset(vu);
}

int vhu_negotiate(struct vio_vhost_user *vu)
{
	struct vio_device *dev = vu->base.dev;
	uint64_t features = vu->features & ~VHU_F_PROTOCOL;

	if (vio_device_status(dev) & VIRTIO_CONFIG_S_FEATURES_OK)
		return 0;
	vio_device_set_status(dev, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	vio_device_accept(dev, 0, (uint32_t)features);
	vio_device_accept(dev, 1, (uint32_t)(features >> 32));
	vio_device_set_status(dev, VIRTIO_CONFIG_S_FEATURES_OK);
	if (!(vio_device_status(dev) & VIRTIO_CONFIG_S_FEATURES_OK))
		return vhu_bad(vu, "features that the device cannot work with");
	return 0;
}

void vhu_driver_ok(struct vio_vhost_user *vu)
{
	struct vio_device *dev = vu->base.dev;

	if (vu->live)
		return;
	vio_device_set_status(dev, VIRTIO_CONFIG_S_DRIVER_OK);
	vu->live = vio_device_status(dev) & VIRTIO_CONFIG_S_DRIVER_OK;
	/* Before DRIVER_OK the device does not interrupt, but the front-end keeps a copy. */
	if (vu->live && vu->config_read &&
	    vio_device_config_generation(dev) != vu->config_generation)
		vhu_send_config_change(vu);
}

/* When it cannot take another message, one that says the same is still unread. */
void vhu_send_config_change(struct vio_vhost_user *vu)
{
	const uint64_t need = UINT64_C(1) << VIO_VHOST_PROTOCOL_F_BACKEND_REQ |
			      UINT64_C(1) << VIO_VHOST_PROTOCOL_F_CONFIG;
	struct vio_vhost_msg m = {
		.hdr = {.request = VIO_VHOST_BACKEND_CONFIG_CHANGE, .flags = VIO_VHOST_VERSION}};
	int r;

	if (vu->backend_fd < 0 || (vu->protocol_features & need) != need)
		return;
	r = vio_vhost_send(vu->backend_fd, &m, MSG_DONTWAIT);
	if (r == 0 || r == -EAGAIN)
		return;
	close(vu->backend_fd);
	vu->backend_fd = -1;
}

/* Once for each fault: the front-end's rings are broken. */
static void tell_failed(struct vio_vhost_user *vu)
{
	if (vu->told_failed || !vio_device_failed(vu->base.dev))
		return;
	vu->told_failed = true;
	vhu_rings_signal_error(vu);
}

/* The embedder reset the device: the front-end's rings are stopped. */
static void follow_reset(struct vio_vhost_user *vu)
{
	if (!atomic_exchange(&vu->was_reset, false))
		return;
	forget_state(vu);
	vhu_rings_reset(vu);
}

/* ---- connection --------------------------------------------------------------------------------
 */

/* A front-end can connect and fail as fast as it likes; the log gets some of it. */
#define ERROR_LOG_BURST 16
#define ERROR_LOG_EVERY 4096

static void log_error(struct vio_vhost_user *vu, const char *what, const char *why)
{
	uint32_t n = vu->n_errors++;

	if (n < ERROR_LOG_BURST || n % ERROR_LOG_EVERY == 0)
		vio_log(vu->log, VIO_LOG_WARN, "%s: front-end error %u: %s: %s; disconnected",
			vio_device_name(vu->base.dev), n + 1, what, why);
}

static void conn_close(struct vio_vhost_user *vu)
{
	vio_loop_unwatch(vu->cfg.loop, &vu->conn);
	close(vu->conn.fd);
	vu->conn.fd = -1;
	vio_vhost_rx_next(&vu->rx);
	vhu_reset_device(vu);
	vhu_rings_close(vu);
	vhu_inflight_close(vu);
	vhu_mem_clear(vu);
	vu->memory_gone = false;
	if (vu->backend_fd >= 0)
		close(vu->backend_fd);
	vu->backend_fd = -1;
	vu->features = vu->protocol_features = 0;
	vu->config_read = false;
	vu->connected = false;
	vio_log(vu->log, VIO_LOG_DEBUG, "%s: front-end disconnected",
		vio_device_name(vu->base.dev));
	if (vu->listener.fd >= 0)
		vio_loop_watch(vu->cfg.loop, &vu->listener);
	if (vu->cfg.connection)
		vu->cfg.connection(vu->cfg.arg, false);
}

static int conn_open(struct vio_vhost_user *vu)
{
	int r = vio_loop_watch(vu->cfg.loop, &vu->conn);

	if (r < 0)
		return r;
	vu->connected = true;
	vio_log(vu->log, VIO_LOG_DEBUG, "%s: front-end connected", vio_device_name(vu->base.dev));
	if (vu->cfg.connection)
		vu->cfg.connection(vu->cfg.arg, true);
	return 0;
}

static void on_conn(struct vio_watch *w)
{
	struct vio_vhost_user *vu = vio_container_of(w, struct vio_vhost_user, conn);
	int r = vio_vhost_recv(w->fd, &vu->rx, MSG_DONTWAIT);

	if (r == -EAGAIN)
		return;
	if (r > 0) {
		follow_reset(vu);
		r = vhu_handle(vu);
		if (r == 0) {
			vio_vhost_rx_next(&vu->rx);
			tell_failed(vu);
			return;
		}
		log_error(vu, vio_vhost_request_name(vu->rx.msg.hdr.request), vu->why);
	} else if (r < 0 && r != -ECONNRESET) {
		log_error(vu, "message", r == -EMSGSIZE ? "too long" : "not understood");
	}
	conn_close(vu);
}

/*
 * Without a free descriptor the connection would stay in the queue and wake the loop for ever. One
 * that is not needed while nobody is connected makes room to turn it away.
 */
static int turn_away(struct vio_vhost_user *vu)
{
	int fd;

	close(vu->null_fd);
	fd = accept4(vu->listener.fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	vu->null_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	log_error(vu, "connection", "too many open descriptors in this process");
	return -1;
}

static void on_listener(struct vio_watch *w)
{
	struct vio_vhost_user *vu = vio_container_of(w, struct vio_vhost_user, listener);
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		fd = turn_away(vu);
	if (fd < 0)
		return;
	vu->conn.fd = fd;
	if (conn_open(vu) < 0) {
		close(fd);
		vu->conn.fd = -1;
		return;
	}
	vio_loop_unwatch(vu->cfg.loop, &vu->listener);
}

/* What other threads, or a signal handler, left for us. */
static void on_event(struct vio_watch *w)
{
	struct vio_vhost_user *vu = vio_container_of(w, struct vio_vhost_user, event);

	vio_event_take(w->fd); /* the flags say what there is */
	if (vu->conn.fd < 0)
		return;
	if (vu->memory_gone) {
		vio_device_fail(vu->base.dev, "the front-end's memory file was made shorter");
		log_error(vu, "memory", "file was made shorter while in use");
		conn_close(vu);
		return;
	}
	follow_reset(vu);
	tell_failed(vu);
	if (atomic_exchange(&vu->config_changed, false))
		vhu_send_config_change(vu);
}

bool vio_vhost_user_connected(const struct vio_vhost_user *vu)
{
	return vu->connected;
}

/* ---- life --------------------------------------------------------------------------------------
 */

static void vhu_free(struct vio_vhost_user *vu)
{
	vhu_unlisten(vu);
	if (vu->event.fd >= 0)
		close(vu->event.fd);
	if (vu->null_fd >= 0)
		close(vu->null_fd);
	free(vu->rings);
	free(vu);
}

static struct vio_vhost_user *vhu_alloc(struct vio_device *dev,
					const struct vio_vhost_user_config *cfg)
{
	struct vio_vhost_user *vu = calloc(1, sizeof(*vu));

	if (!vu)
		return NULL;
	vu->cfg = *cfg;
	vu->log = dev->log;
	vu->base.ops = &vhu_ops;
	vu->listener = (struct vio_watch){.fd = -1, .on_ready = on_listener};
	vu->conn = (struct vio_watch){.fd = -1, .on_ready = on_conn};
	vu->event = (struct vio_watch){.on_ready = on_event};
	vu->backend_fd = -1;
	vu->n_rings = vio_device_n_queues(dev);
	vu->rings = calloc(vu->n_rings ? vu->n_rings : 1, sizeof(vu->rings[0]));
	vu->event.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	vu->null_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!vu->rings || vu->event.fd < 0 || vu->null_fd < 0) {
		vhu_free(vu);
		return NULL;
	}
	vhu_rings_init(vu);
	return vu;
}

/* vio_loop_call() takes one argument. */
struct start {
	struct vio_vhost_user *vu;
	int result;
};

static void start_watching(void *arg)
{
	struct start *s = arg;
	struct vio_vhost_user *vu = s->vu;

	s->result = vio_loop_watch(vu->cfg.loop, &vu->event);
	if (s->result < 0)
		return;
	if (vu->listener.fd >= 0)
		s->result = vio_loop_watch(vu->cfg.loop, &vu->listener);
	else
		s->result = conn_open(vu);
	if (s->result < 0)
		vio_loop_unwatch(vu->cfg.loop, &vu->event);
}

int vio_vhost_user_create(struct vio_device *dev, const struct vio_vhost_user_config *cfg,
			  struct vio_vhost_user **out)
{
	struct start s;
	int r;

	if (dev->transport)
		return -EBUSY;
	s.vu = vhu_alloc(dev, cfg);
	if (!s.vu)
		return -ENOMEM;
	r = vhu_listen(s.vu, cfg);
	if (r < 0)
		goto free_vu;
	vio_device_attach(dev, &s.vu->base);
	vio_loop_call(cfg->loop, start_watching, &s);
	if (s.result < 0) {
		r = s.result;
		goto detach;
	}
	*out = s.vu;
	return 0;

detach:
	vio_device_detach(dev);
	if (!cfg->path)
		s.vu->listener.fd = -1; /* stays the caller's */
free_vu:
	vhu_free(s.vu);
	return r;
}

static void stop_watching(void *arg)
{
	struct vio_vhost_user *vu = arg;

	vio_loop_unwatch(vu->cfg.loop, &vu->listener);
	if (vu->conn.fd >= 0) {
		int listener = vu->listener.fd;

		vu->listener.fd = -1; /* nobody is next */
		conn_close(vu);
		vu->listener.fd = listener;
	}
	vio_loop_unwatch(vu->cfg.loop, &vu->event);
	vio_device_detach(vu->base.dev);
}

void vio_vhost_user_destroy(struct vio_vhost_user *vu)
{
	if (!vu)
		return;
	vio_loop_call(vu->cfg.loop, stop_watching, vu);
	vhu_free(vu);
}
