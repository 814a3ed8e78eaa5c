/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One handler for each request. A message that gets here is well-formed in itself, see
 * vio_vhost_check_request(); what is left to check is against the device.
 */
#include "vhost_user_internal.h"

#include <fcntl.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROTOCOL(f) (UINT64_C(1) << VIO_VHOST_PROTOCOL_F_##f)
#define PROTOCOL_FEATURES                                                                          \
	(PROTOCOL(MQ) | PROTOCOL(REPLY_ACK) | PROTOCOL(BACKEND_REQ) | PROTOCOL(CONFIG) |           \
	 PROTOCOL(INFLIGHT_SHMFD) | PROTOCOL(RESET_DEVICE) | PROTOCOL(CONFIGURE_MEM_SLOTS) |       \
	 PROTOCOL(STATUS))

/* ---- answers ------------------------------------------------------------------------------------
 */

/* `m` goes back as it is, with its payload changed by the caller and `fd` (-1: none). */
static int reply_fd(struct vio_vhost_user *vu, struct vio_vhost_msg *m, int fd)
{
	struct vio_vhost_msg out = {.hdr = m->hdr, .u = m->u, .fds = {fd}, .n_fds = fd >= 0};
	int r;

	out.hdr.flags = VIO_VHOST_VERSION | VIO_VHOST_REPLY;
	r = vio_vhost_send(vu->conn.fd, &out, MSG_DONTWAIT);
	if (r < 0)
		vu->why = "answer cannot be sent";
	return r;
}

static int reply(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	return reply_fd(vu, m, -1);
}

static int reply_u64(struct vio_vhost_user *vu, struct vio_vhost_msg *m, uint64_t v)
{
	m->hdr.size = sizeof(m->u.u64);
	m->u.u64 = v;
	return reply(vu, m);
}

/* ---- features and status ------------------------------------------------------------------------
 */

static uint64_t offered(const struct vio_vhost_user *vu)
{
	return vio_device_offered(vu->base.dev, 0) | (uint64_t)vio_device_offered(vu->base.dev, 1)
							     << 32;
}

static int get_features(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	return reply_u64(vu, m, offered(vu) | VHU_F_PROTOCOL);
}

/*
 * A driver that begins anew negotiates again, and not every front-end says "reset" before: other
 * features, or the same on a device that failed, reset it. With queues running that is an error.
 */
static int set_features(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	struct vio_device *dev = vu->base.dev;
	bool same = ((vu->features ^ m->u.u64) & ~VHU_F_PROTOCOL) == 0;
	int r = 0;

	if (m->u.u64 & ~(offered(vu) | VHU_F_PROTOCOL))
		return vhu_bad(vu, "features that were not offered");
	if (vio_device_status(dev) & VIRTIO_CONFIG_S_FEATURES_OK &&
	    (!same || vio_device_failed(dev))) {
		if (vhu_rings_running(vu) && !same)
			return vhu_bad(vu, "other features while rings run");
		if (!vhu_rings_running(vu)) {
			vhu_reset_keep_rings(vu);
			vhu_inflight_clear(vu);
		}
	}
	vu->features = m->u.u64;
	if (!(vu->protocol_features & PROTOCOL(STATUS)))
		r = vhu_negotiate(vu);
	return r < 0 ? r : vhu_rings_settle(vu);
}

static int get_protocol_features(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	return reply_u64(vu, m, PROTOCOL_FEATURES);
}

static int set_protocol_features(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	if (m->u.u64 & ~PROTOCOL_FEATURES)
		return vhu_bad(vu, "protocol features that were not offered");
	vu->protocol_features = m->u.u64;
	return 0;
}

/* SET_OWNER, and RESET_OWNER, which is obsolete and best ignored. */
static int ignore(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	(void)vu;
	(void)m;
	return 0;
}

static int reset_device(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	(void)m;
	vhu_reset_device(vu);
	vhu_inflight_clear(vu);
	return 0;
}

/* Features that the device refuses leave FEATURES_OK clear; the front-end reads that. */
static int set_status(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	struct vio_device *dev = vu->base.dev;
	uint8_t status = (uint8_t)m->u.u64;

	if (status == 0)
		return reset_device(vu, m);
	vu->status_driven = true;
	if (status & VIRTIO_CONFIG_S_FEATURES_OK)
		vhu_negotiate(vu);
	vio_device_set_status(dev, status & ~VIRTIO_CONFIG_S_DRIVER_OK);
	if (status & VIRTIO_CONFIG_S_DRIVER_OK)
		vhu_driver_ok(vu);
	return 0;
}

static int get_status(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	return reply_u64(vu, m, vio_device_status(vu->base.dev));
}

/* ---- memory -------------------------------------------------------------------------------------
 */

static int set_mem_table(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	return vhu_mem_set(vu, m->u.table.region, m->fds, m->u.table.n);
}

static int get_max_mem_slots(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	return reply_u64(vu, m, VIO_VHOST_USER_MAX_SLOTS);
}

static int add_mem_reg(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	return vhu_mem_add(vu, &m->u.reg.region, m->fds[0]);
}

static int rem_mem_reg(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	return vhu_mem_remove(vu, &m->u.reg.region);
}

/* ---- rings --------------------------------------------------------------------------------------
 */

/* `index` with all its bits. */
static struct vhu_ring *ring_at(struct vio_vhost_user *vu, uint64_t index)
{
	if (index < vu->n_rings)
		return &vu->rings[index];
	vhu_bad(vu, "no such ring");
	return NULL;
}

/* Of a network device front-ends count pairs, and the control queue not at all. */
static int get_queue_num(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	return reply_u64(vu, m, vu->n_rings / vio_device_queue_group(vu->base.dev));
}

static int set_vring_num(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	struct vhu_ring *r = ring_at(vu, m->u.state.index);
	struct vio_queue_regs regs;

	if (!r)
		return -EPROTO;
	vio_device_queue_get(vu->base.dev, r->index, &regs);
	if (!vio_is_pow2(m->u.state.num) || m->u.state.num > regs.max_size)
		return vhu_bad(vu, "ring size is no power of two, or too large");
	vhu_ring_pause(vu, r);
	r->size = m->u.state.num;
	return vhu_ring_settle(vu, r);
}

static int set_vring_addr(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	struct vhu_ring *r = ring_at(vu, m->u.addr.index);

	if (!r)
		return -EPROTO;
	if (m->u.addr.flags & 1)
		return vhu_bad(vu, "logging was not offered");
	vhu_ring_pause(vu, r);
	r->addr = m->u.addr;
	r->have_addr = true;
	return vhu_ring_settle(vu, r);
}

static int set_vring_base(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	struct vhu_ring *r = ring_at(vu, m->u.state.index);

	if (!r)
		return -EPROTO;
	vhu_ring_pause(vu, r);
	r->base = r->end = (uint16_t)m->u.state.num;
	return vhu_ring_settle(vu, r);
}

static int get_vring_base(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	struct vhu_ring *r = ring_at(vu, m->u.state.index);

	if (!r)
		return -EPROTO;
	vhu_ring_stop(vu, r);
	m->u.state.num = r->end;
	return reply(vu, m);
}

static int set_vring_enable(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	struct vhu_ring *r = ring_at(vu, m->u.state.index);

	if (!r)
		return -EPROTO;
	r->enabled = m->u.state.num;
	if (!r->enabled && vu->features & VHU_F_PROTOCOL)
		vhu_ring_pause(vu, r);
	return vhu_ring_settle(vu, r);
}

static int set_vring_kick(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	struct vhu_ring *r = ring_at(vu, m->u.u64 & VIO_VHOST_VRING_INDEX);
	int ret;

	if (!r)
		return -EPROTO;
	if (m->u.u64 & VIO_VHOST_VRING_NOFD)
		return vhu_bad(vu, "polling instead of a kick descriptor is not offered");
	ret = vhu_ring_set_kick(vu, r, vio_vhost_take_fd(m, 0));
	return ret < 0 ? ret : vhu_ring_settle(vu, r);
}

static int set_vring_call(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	struct vhu_ring *r = ring_at(vu, m->u.u64 & VIO_VHOST_VRING_INDEX);

	return r ? vhu_ring_set_call(vu, r, vio_vhost_take_fd(m, 0)) : -EPROTO;
}

static int set_vring_err(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	struct vhu_ring *r = ring_at(vu, m->u.u64 & VIO_VHOST_VRING_INDEX);

	return r ? vhu_ring_set_err(vu, r, vio_vhost_take_fd(m, 0)) : -EPROTO;
}

/* ---- what is in flight --------------------------------------------------------------------------
 */

static int get_inflight_fd(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	int fd, r = vhu_inflight_make(vu, &m->u.inflight, &fd);

	if (r < 0)
		return r;
	r = reply_fd(vu, m, fd);
	close(fd);
	return r;
}

static int set_inflight_fd(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	return vhu_inflight_set(vu, &m->u.inflight, m->fds[0]);
}

/* ---- configuration ------------------------------------------------------------------------------
 */

static int get_config(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	vu->config_generation = vio_device_config_generation(vu->base.dev);
	vu->config_read = true;
	vio_device_config_read(vu->base.dev, m->u.config.offset, m->u.config.data,
			       m->u.config.size);
	return reply(vu, m);
}

/* From a driver or from migration: the model takes what a driver may write, and ignores the rest.
 */
static int set_config(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	vio_device_config_write(vu->base.dev, m->u.config.offset, m->u.config.data,
				m->u.config.size);
	return 0;
}

static int set_backend_req_fd(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	struct stat st;

	if (fstat(m->fds[0], &st) < 0 || !S_ISSOCK(st.st_mode))
		return vhu_bad(vu, "descriptor is no socket");
	if (vu->backend_fd >= 0)
		close(vu->backend_fd);
	vu->backend_fd = vio_vhost_take_fd(m, 0);
	return 0;
}

/* ---- dispatch -----------------------------------------------------------------------------------
 */

static int (*const handlers[])(struct vio_vhost_user *vu, struct vio_vhost_msg *m) = {
	[VIO_VHOST_GET_FEATURES] = get_features,
	[VIO_VHOST_SET_FEATURES] = set_features,
	[VIO_VHOST_SET_OWNER] = ignore,
	[VIO_VHOST_RESET_OWNER] = ignore,
	[VIO_VHOST_SET_MEM_TABLE] = set_mem_table,
	[VIO_VHOST_SET_VRING_NUM] = set_vring_num,
	[VIO_VHOST_SET_VRING_ADDR] = set_vring_addr,
	[VIO_VHOST_SET_VRING_BASE] = set_vring_base,
	[VIO_VHOST_GET_VRING_BASE] = get_vring_base,
	[VIO_VHOST_SET_VRING_KICK] = set_vring_kick,
	[VIO_VHOST_SET_VRING_CALL] = set_vring_call,
	[VIO_VHOST_SET_VRING_ERR] = set_vring_err,
	[VIO_VHOST_GET_PROTOCOL_FEATURES] = get_protocol_features,
	[VIO_VHOST_SET_PROTOCOL_FEATURES] = set_protocol_features,
	[VIO_VHOST_GET_QUEUE_NUM] = get_queue_num,
	[VIO_VHOST_SET_VRING_ENABLE] = set_vring_enable,
	[VIO_VHOST_SET_BACKEND_REQ_FD] = set_backend_req_fd,
	[VIO_VHOST_GET_CONFIG] = get_config,
	[VIO_VHOST_SET_CONFIG] = set_config,
	[VIO_VHOST_GET_INFLIGHT_FD] = get_inflight_fd,
	[VIO_VHOST_SET_INFLIGHT_FD] = set_inflight_fd,
	[VIO_VHOST_RESET_DEVICE] = reset_device,
	[VIO_VHOST_GET_MAX_MEM_SLOTS] = get_max_mem_slots,
	[VIO_VHOST_ADD_MEM_REG] = add_mem_reg,
	[VIO_VHOST_REM_MEM_REG] = rem_mem_reg,
	[VIO_VHOST_SET_STATUS] = set_status,
	[VIO_VHOST_GET_STATUS] = get_status,
};

static int dispatch(struct vio_vhost_user *vu, struct vio_vhost_msg *m)
{
	const char *wrong = vio_vhost_check_request(m);
	int feature = vio_vhost_needs_feature(m->hdr.request);

	if (wrong)
		return vhu_bad(vu, wrong);
	if (m->hdr.request >= VIO_ARRAY_LEN(handlers) || !handlers[m->hdr.request])
		return vhu_bad(vu, "not served");
	if (feature >= 0 && !(vu->protocol_features >> feature & 1))
		return vhu_bad(vu, "its protocol feature was not negotiated");
	return handlers[m->hdr.request](vu, m);
}

/*
 * Asked after the message was handled: the one that negotiates REPLY_ACK may want an answer itself
 * (User Mode Linux does).
 */
static bool wants_ack(const struct vio_vhost_user *vu, const struct vio_vhost_msg *m)
{
	return m->hdr.flags & VIO_VHOST_NEED_REPLY && vu->protocol_features & PROTOCOL(REPLY_ACK) &&
	       !vio_vhost_has_reply(m->hdr.request);
}

/* An error is answered, too, where an answer is wanted; then the connection is closed. */
int vhu_handle(struct vio_vhost_user *vu)
{
	struct vio_vhost_msg *m = &vu->rx.msg;
	const char *why;
	int r;

	vio_log(vu->log, VIO_LOG_DEBUG, "%s: %s", vio_device_name(vu->base.dev),
		vio_vhost_request_name(m->hdr.request));
	r = dispatch(vu, m);
	if (!wants_ack(vu, m))
		return r;
	if (r == 0)
		return reply_u64(vu, m, 0);
	why = vu->why;
	reply_u64(vu, m, 1);
	vu->why = why;
	return r;
}
