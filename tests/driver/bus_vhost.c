/* SPDX-License-Identifier: BSD-3-Clause */
#include <driver/bus_vhost.h>

#include <driver/vhost_link.h>
#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PROTOCOL                                                                                   \
	(VHOST_BIT(VIO_VHOST_PROTOCOL_F_MQ) | VHOST_BIT(VIO_VHOST_PROTOCOL_F_REPLY_ACK) |          \
	 VHOST_BIT(VIO_VHOST_PROTOCOL_F_BACKEND_REQ) | VHOST_BIT(VIO_VHOST_PROTOCOL_F_CONFIG) |    \
	 VHOST_BIT(VIO_VHOST_PROTOCOL_F_RESET_DEVICE) | VHOST_BIT(VIO_VHOST_PROTOCOL_F_STATUS))

/* What a front-end has to serve itself when the back-end has no configuration space. */
#define NET_FRONT_END                                                                              \
	(VHOST_BIT(VIRTIO_NET_F_MTU) | VHOST_BIT(VIRTIO_NET_F_MAC) |                               \
	 VHOST_BIT(VIRTIO_NET_F_STATUS) | VHOST_BIT(VIRTIO_NET_F_CTRL_VQ) |                        \
	 VHOST_BIT(VIRTIO_NET_F_CTRL_RX) | VHOST_BIT(VIRTIO_NET_F_CTRL_VLAN) |                     \
	 VHOST_BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) | VHOST_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) |          \
	 VHOST_BIT(VIRTIO_NET_F_MQ) | VHOST_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) |                      \
	 VHOST_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | VHOST_BIT(VIRTIO_NET_F_SPEED_DUPLEX))

struct ring {
	uint32_t size;
	uint64_t desc, driver, device;
	bool enabled; /* by the driver */
	bool running; /* the back-end was told */
	int kick, call;
};

struct vhost_bus {
	struct drv_bus bus;
	struct vhost_link link;
	struct drv_mem *mem;
	char *path;
	uint32_t device_id;
	uint64_t accepted;
	uint8_t status; /* as written; without STATUS also as read */
	int err;	/* eventfd of all rings */
	bool ring_error;
	uint16_t n_rings;
	struct ring *ring;
};

static struct vhost_bus *vhost_bus(struct drv_bus *bus)
{
	return vio_container_of(bus, struct vhost_bus, bus);
}

const char *drv_vhost_why(struct drv_bus *bus)
{
	return vhost_bus(bus)->link.why;
}

static bool has_status(const struct vhost_bus *vb)
{
	return vhost_link_has(&vb->link, VIO_VHOST_PROTOCOL_F_STATUS);
}

/* Does the back-end know SET_VRING_ENABLE, and does it wait for it? */
static bool has_enable(const struct vhost_bus *vb)
{
	return vb->link.features >> VIO_VHOST_F_PROTOCOL_FEATURES & 1;
}

static uint64_t event_take(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* Returns `r`, and notes what went wrong. */
static int noted(struct vhost_bus *vb, int r)
{
	if (r < 0)
		drv_trace(vb->bus.trace, "connection lost: %s", vb->link.why);
	return r;
}

/* ---- rings -------------------------------------------------------------------------------------
 */

static int tell_memory(struct vhost_bus *vb)
{
	struct vio_vhost_msg m =
		vhost_link_msg(VIO_VHOST_SET_MEM_TABLE, vio_vhost_mem_table_size(vb->mem->n));

	m.u.table.n = m.n_fds = vb->mem->n;
	for (unsigned i = 0; i < vb->mem->n; i++) {
		const struct drv_region *r = &vb->mem->region[i];

		m.u.table.region[i] = (struct vio_vhost_region){
			.gpa = r->gpa, .size = r->size, .uaddr = (uintptr_t)r->hva};
		m.fds[i] = r->fd;
	}
	return vhost_link_tell(&vb->link, &m);
}

/* What is not in memory stays what it is, which is in nobody's memory either. */
static uint64_t uaddr(const struct vhost_bus *vb, uint64_t gpa)
{
	void *p = drv_mem_ptr(vb->mem, gpa, 1);

	return p ? (uintptr_t)p : gpa;
}

static uint16_t ring_base(const struct vhost_bus *vb, const struct ring *r)
{
	const struct vring_used *used = drv_mem_ptr(vb->mem, r->device, sizeof(*used));

	return used ? le16toh(used->idx) : 0;
}

static int ring_start(struct vhost_bus *vb, uint16_t i)
{
	struct vio_vhost_msg addr = vhost_link_msg(VIO_VHOST_SET_VRING_ADDR, sizeof(addr.u.addr));
	struct ring *r = &vb->ring[i];
	struct vhost_link *l = &vb->link;
	int ret;

	addr.u.addr = (struct vio_vhost_vring_addr){.index = i,
						    .desc = uaddr(vb, r->desc),
						    .used = uaddr(vb, r->device),
						    .avail = uaddr(vb, r->driver)};
	ret = vhost_link_tell_state(l, VIO_VHOST_SET_VRING_NUM, i, r->size);
	if (ret == 0)
		ret = vhost_link_tell_state(l, VIO_VHOST_SET_VRING_BASE, i, ring_base(vb, r));
	if (ret == 0)
		ret = vhost_link_tell(l, &addr);
	if (ret == 0)
		ret = vhost_link_tell_fd(l, VIO_VHOST_SET_VRING_ERR, i, vb->err);
	if (ret == 0)
		ret = vhost_link_tell_fd(l, VIO_VHOST_SET_VRING_CALL, i, r->call);
	if (ret == 0)
		ret = vhost_link_tell_fd(l, VIO_VHOST_SET_VRING_KICK, i, r->kick);
	if (ret == 0 && has_enable(vb))
		ret = vhost_link_tell_state(l, VIO_VHOST_SET_VRING_ENABLE, i, 1);
	r->running = ret == 0;
	return noted(vb, ret);
}

/* Nothing of the ring is touched, and nothing is signalled, from the answer on. */
static void ring_stop(struct vhost_bus *vb, uint16_t i)
{
	struct vio_vhost_msg m = vhost_link_msg(VIO_VHOST_GET_VRING_BASE, sizeof(m.u.state));
	struct ring *r = &vb->ring[i];

	m.u.state.index = i;
	if (r->running && vb->link.sock >= 0)
		noted(vb, vhost_link_ask(&vb->link, &m));
	event_take(r->call);
	event_take(r->kick);
	r->running = false;
}

static void rings_start(struct vhost_bus *vb)
{
	int r = noted(vb, tell_memory(vb));

	for (uint16_t i = 0; r == 0 && i < vb->n_rings; i++)
		if (vb->ring[i].enabled)
			r = ring_start(vb, i);
}

/* ---- status ------------------------------------------------------------------------------------
 */

/* Back-ends exist that find out at the next message that a ring broke, answer it, and hang up. */
static void ask_whether_there(struct vhost_bus *vb)
{
	uint64_t features;

	if (vb->link.sock >= 0)
		noted(vb, vhost_link_ask_u64(&vb->link, VIO_VHOST_GET_FEATURES, &features));
}

static void vhost_reset(struct vhost_bus *vb)
{
	struct vhost_link *l = &vb->link;
	struct vio_vhost_msg m = vhost_link_msg(VIO_VHOST_RESET_DEVICE, 0);

	for (uint16_t i = 0; i < vb->n_rings; i++) {
		ring_stop(vb, i);
		vb->ring[i].enabled = false;
	}
	if (has_status(vb))
		vhost_link_tell_u64(l, VIO_VHOST_SET_STATUS, 0);
	else if (vhost_link_has(l, VIO_VHOST_PROTOCOL_F_RESET_DEVICE))
		vhost_link_tell(l, &m);
	else if (vb->ring_error || event_take(vb->err))
		vhost_link_close(l);
	else
		ask_whether_there(vb);
	event_take(vb->err);
	vb->ring_error = false;
	vb->status = 0;
	vb->accepted = 0;
	if (l->sock < 0) {
		drv_trace(vb->bus.trace, "connecting again");
		noted(vb, vhost_link_open(l, PROTOCOL));
	}
}

static int set_features(struct vhost_bus *vb)
{
	uint64_t protocol = vb->link.features & VHOST_BIT(VIO_VHOST_F_PROTOCOL_FEATURES);

	return vhost_link_tell_u64(&vb->link, VIO_VHOST_SET_FEATURES, vb->accepted | protocol);
}

static void set_status(struct vhost_bus *vb, uint8_t status)
{
	uint8_t fresh = status & ~vb->status;

	if (status == 0) {
		vhost_reset(vb);
		return;
	}
	if (fresh & VIRTIO_CONFIG_S_FEATURES_OK && noted(vb, set_features(vb)) < 0)
		status &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	vb->status = status;
	if (fresh & VIRTIO_CONFIG_S_DRIVER_OK)
		rings_start(vb);
	if (has_status(vb))
		noted(vb, vhost_link_tell_u64(&vb->link, VIO_VHOST_SET_STATUS, status));
}

static uint64_t get_status(struct vhost_bus *vb)
{
	uint64_t status;

	if (has_status(vb)) {
		if (noted(vb, vhost_link_ask_u64(&vb->link, VIO_VHOST_GET_STATUS, &status)) == 0)
			return status;
	} else {
		vb->ring_error = event_take(vb->err) || vb->ring_error;
	}
	if (vb->ring_error || (vb->link.sock < 0 && vb->status & VIRTIO_CONFIG_S_DRIVER_OK))
		return vb->status | VIRTIO_CONFIG_S_NEEDS_RESET;
	return vb->status;
}

/* ---- registers ---------------------------------------------------------------------------------
 */

static uint32_t queue_max(const struct vhost_bus *vb)
{
	switch (vb->device_id) {
	case VIRTIO_ID_NET:
		return 256;
	case VIRTIO_ID_RNG:
		return 64;
	default:
		return 128;
	}
}

static uint64_t offered(const struct vhost_bus *vb)
{
	uint64_t features = vb->link.features & ~VHOST_BIT(VIO_VHOST_F_PROTOCOL_FEATURES);

	if (vb->bus.no_config && vb->device_id == VIRTIO_ID_NET)
		features &= ~NET_FRONT_END;
	return features;
}

static uint64_t get_ring(const struct ring *r, enum drv_reg reg)
{
	switch (reg) {
	case DRV_QUEUE_SIZE:
		return r->size;
	case DRV_QUEUE_DESC:
		return r->desc;
	case DRV_QUEUE_DRIVER:
		return r->driver;
	case DRV_QUEUE_DEVICE:
		return r->device;
	case DRV_QUEUE_ENABLE:
		return r->enabled;
	default:
		return 0;
	}
}

static uint64_t vhost_get(struct drv_bus *bus, enum drv_reg reg, uint32_t index)
{
	struct vhost_bus *vb = vhost_bus(bus);

	switch (reg) {
	case DRV_DEVICE_ID:
		return vb->link.sock >= 0 ? vb->device_id : 0;
	case DRV_STATUS:
		return get_status(vb);
	case DRV_OFFERED:
		return index < 2 ? offered(vb) >> (32 * index) & UINT32_MAX : 0;
	case DRV_ACCEPTED:
		return index < 2 ? vb->accepted >> (32 * index) & UINT32_MAX : 0;
	case DRV_GENERATION:
		return 0;
	case DRV_QUEUE_MAX:
		return index < vb->n_rings ? queue_max(vb) : 0;
	default:
		return index < vb->n_rings ? get_ring(&vb->ring[index], reg) : 0;
	}
}

static void set_ring(struct vhost_bus *vb, uint16_t i, enum drv_reg reg, uint64_t value)
{
	struct ring *r = &vb->ring[i];

	switch (reg) {
	case DRV_QUEUE_SIZE:
		r->size = (uint32_t)value;
		break;
	case DRV_QUEUE_DESC:
		r->desc = value;
		break;
	case DRV_QUEUE_DRIVER:
		r->driver = value;
		break;
	case DRV_QUEUE_DEVICE:
		r->device = value;
		break;
	case DRV_QUEUE_ENABLE:
		r->enabled = value == 1;
		if (r->enabled && !r->running && vb->status & VIRTIO_CONFIG_S_DRIVER_OK)
			ring_start(vb, i);
		break;
	case DRV_QUEUE_RESET:
		if (value == 1)
			ring_stop(vb, i);
		r->enabled = r->enabled && value != 1;
		break;
	default:
		break;
	}
}

static void vhost_set(struct drv_bus *bus, enum drv_reg reg, uint32_t index, uint64_t value)
{
	struct vhost_bus *vb = vhost_bus(bus);

	if (reg == DRV_STATUS)
		set_status(vb, (uint8_t)value);
	else if (reg == DRV_ACCEPTED && index == 0)
		vb->accepted = (vb->accepted >> 32 << 32) | (uint32_t)value;
	else if (reg == DRV_ACCEPTED && index == 1)
		vb->accepted = (uint32_t)vb->accepted | value << 32;
	else if (reg >= DRV_QUEUE_SIZE && index < vb->n_rings)
		set_ring(vb, (uint16_t)index, reg, value);
}

static void vhost_kick(struct drv_bus *bus, uint16_t queue)
{
	struct vhost_bus *vb = vhost_bus(bus);

	if (queue < vb->n_rings)
		eventfd_write(vb->ring[queue].kick, 1);
}

/* ---- configuration -----------------------------------------------------------------------------
 */

/* From the beginning: back-ends exist that do not look at the offset, and front-ends that send 0.
 */
static int get_config(struct vhost_bus *vb, uint32_t off, void *buf, uint32_t len)
{
	struct vio_vhost_msg m = vhost_link_msg(VIO_VHOST_GET_CONFIG, VIO_VHOST_CONFIG_HDR);
	int r;

	if (len > VIO_VHOST_CONFIG_BYTES || off > VIO_VHOST_CONFIG_BYTES - len)
		return -ERANGE;
	m.hdr.size += off + len;
	m.u.config.size = off + len;
	r = noted(vb, vhost_link_ask(&vb->link, &m));
	if (r < 0 || vb->link.rx.msg.hdr.size != m.hdr.size)
		return r < 0 ? r : -ENODATA;
	memcpy(buf, vb->link.rx.msg.u.config.data + off, len);
	return 0;
}

/* What cannot be read is 0. */
static void vhost_config_read(struct drv_bus *bus, uint32_t off, void *buf, uint32_t len)
{
	memset(buf, 0, len);
	get_config(vhost_bus(bus), off, buf, len);
}

static void vhost_config_write(struct drv_bus *bus, uint32_t off, const void *buf, uint32_t len)
{
	struct vio_vhost_msg m = vhost_link_msg(VIO_VHOST_SET_CONFIG, VIO_VHOST_CONFIG_HDR + len);
	struct vhost_bus *vb = vhost_bus(bus);

	if (len > VIO_VHOST_CONFIG_BYTES)
		return;
	m.u.config.offset = off;
	m.u.config.size = len;
	memcpy(m.u.config.data, buf, len);
	noted(vb, vhost_link_tell(&vb->link, &m));
}

/* ---- interrupts --------------------------------------------------------------------------------
 */

static int vhost_irq_setup(struct drv_bus *bus, uint16_t n_queues)
{
	return n_queues <= vhost_bus(bus)->n_rings ? 0 : -EINVAL;
}

static void vhost_irq_collect(struct drv_bus *bus)
{
	struct vhost_bus *vb = vhost_bus(bus);
	uint32_t n = vhost_link_config_changes(&vb->link);

	bus->irq[DRV_IRQ_CONFIG] += n;
	bus->n_irqs += n;
	for (uint16_t i = 0; i < vb->n_rings; i++) {
		n = (uint32_t)event_take(vb->ring[i].call);
		bus->irq[i] += n;
		bus->n_irqs += n;
	}
}

/* ---- making and ending -------------------------------------------------------------------------
 */

static void vhost_destroy(struct drv_bus *bus)
{
	struct vhost_bus *vb = vhost_bus(bus);

	vhost_link_close(&vb->link);
	for (uint16_t i = 0; vb->ring && i < vb->n_rings; i++) {
		if (vb->ring[i].kick >= 0)
			close(vb->ring[i].kick);
		if (vb->ring[i].call >= 0)
			close(vb->ring[i].call);
	}
	if (vb->err >= 0)
		close(vb->err);
	free(vb->ring);
	free(vb->path);
	free(vb);
}

static const struct drv_bus_ops vhost_bus_ops = {
	.name = "vhost-user",
	.get = vhost_get,
	.set = vhost_set,
	.kick = vhost_kick,
	.config_read = vhost_config_read,
	.config_write = vhost_config_write,
	.irq_setup = vhost_irq_setup,
	.irq_collect = vhost_irq_collect,
	.destroy = vhost_destroy,
};

#define BITS(from, to) (UINT64_MAX >> (63 - (to)) & UINT64_MAX << (from))

/*
 * Bits 18 to 23 and 50 to 63 are a network card's alone. Below that: block sizes are a disk's alone
 * (for a network card the bit is obsolete), addresses and merged buffers without them a network
 * card's. An entropy device has none. Whatever else there is, is taken for a disk.
 */
static uint32_t guess_device(uint64_t features)
{
	uint64_t net = VHOST_BIT(VIRTIO_NET_F_MAC) | VHOST_BIT(VIRTIO_NET_F_MRG_RXBUF);

	if (features & (BITS(18, 23) | BITS(50, 63)))
		return VIRTIO_ID_NET;
	if (!(features & BITS(0, 23)))
		return VIRTIO_ID_RNG;
	if (features & net && !(features & VHOST_BIT(VIRTIO_BLK_F_BLK_SIZE)))
		return VIRTIO_ID_NET;
	return VIRTIO_ID_BLOCK;
}

/* A 16-bit field of the configuration, but at least 1. */
static unsigned config_count(struct vhost_bus *vb, unsigned feature, uint32_t off)
{
	uint8_t b[2];
	unsigned n;

	if (!(offered(vb) >> feature & 1) || get_config(vb, off, b, sizeof(b)) < 0)
		return 1;
	n = b[0] | (unsigned)b[1] << 8;
	return n ? n : 1;
}

/* For a network card the protocol counts pairs. */
static uint16_t count_rings(struct vhost_bus *vb)
{
	bool net = vb->device_id == VIRTIO_ID_NET;
	uint64_t limit = 1;
	unsigned n = 1;

	if (vhost_link_has(&vb->link, VIO_VHOST_PROTOCOL_F_MQ) &&
	    vhost_link_ask_u64(&vb->link, VIO_VHOST_GET_QUEUE_NUM, &limit) < 0)
		return 0;
	if (net)
		n = config_count(vb, VIRTIO_NET_F_MQ,
				 offsetof(struct virtio_net_config, max_virtqueue_pairs));
	else if (vb->device_id == VIRTIO_ID_BLOCK)
		n = config_count(vb, VIRTIO_BLK_F_MQ,
				 offsetof(struct virtio_blk_config, num_queues));
	if (n > limit)
		n = (unsigned)limit;
	if (net)
		n = 2 * n + (offered(vb) >> VIRTIO_NET_F_CTRL_VQ & 1);
	return n < DRV_N_IRQS - 1 ? (uint16_t)n : DRV_N_IRQS - 1;
}

static int make_rings(struct vhost_bus *vb)
{
	uint16_t n = count_rings(vb);

	vb->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	vb->ring = calloc(n ? n : 1, sizeof(*vb->ring));
	if (!vb->ring || vb->err < 0)
		return -ENOMEM;
	for (; vb->n_rings < n; vb->n_rings++) {
		struct ring *r = &vb->ring[vb->n_rings];

		r->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (r->kick >= 0 && r->call >= 0)
			continue;
		vb->n_rings++;
		return -EMFILE;
	}
	return vb->link.sock >= 0 ? 0 : -ENOTCONN;
}

int drv_vhost_create(const char *socket, uint32_t device_id, struct drv_mem *mem,
		     struct drv_bus **out)
{
	struct vhost_bus *vb = calloc(1, sizeof(*vb));
	int r = -ENOMEM;

	if (!vb)
		return -ENOMEM;
	vb->bus.ops = &vhost_bus_ops;
	vb->mem = mem;
	vb->err = -1;
	vb->path = strdup(socket);
	vhost_link_init(&vb->link, vb->path);
	if (vb->path)
		r = vhost_link_open(&vb->link, PROTOCOL);
	if (r == 0) {
		vb->device_id = device_id ? device_id : guess_device(vb->link.features);
		vb->bus.no_config = !vhost_link_has(&vb->link, VIO_VHOST_PROTOCOL_F_CONFIG);
		r = make_rings(vb);
	}
	if (r < 0) {
		vhost_destroy(&vb->bus);
		return r;
	}
	*out = &vb->bus;
	return 0;
}
