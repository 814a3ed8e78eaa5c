/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Virtio Over MMIO", version 2: decodes registers, nothing else. What a register means is in
 * core/device.c; only selectors and the interrupt status live here.
 */
#include <viodm/defect.h>
#include <viodm/mmio.h>
#include <viodm/transport.h>

#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Registers that <linux/virtio_mmio.h> may be too old to name. */
#define MMIO_QUEUE_RESET 0x0c0

#define MMIO_MAGIC   0x74726976u /* "virt" */
#define MMIO_VERSION 2u
#define MMIO_VENDOR  0x444f4956u /* "VIOD" */

#define SIZE_MIN 0x200u

struct vio_mmio {
	struct vio_transport base;
	struct vio_mmio_config cfg;

	_Atomic uint32_t device_features_sel;
	_Atomic uint32_t driver_features_sel;
	_Atomic uint32_t queue_sel;
	_Atomic uint32_t shm_sel;
	_Atomic uint32_t isr;

	pthread_mutex_t irq_lock; /* orders calls of cfg.irq; not used without that callback */
	bool level;
};

static struct vio_mmio *to_mmio(struct vio_transport *t)
{
	return vio_container_of(t, struct vio_mmio, base);
}

/* ---- interrupts --------------------------------------------------------------------------------
 */

/* MMIO-IMP-009: the line is up exactly while InterruptStatus is not 0. */
static void update_level(struct vio_mmio *m)
{
	bool level;

	if (!m->cfg.irq)
		return;
	pthread_mutex_lock(&m->irq_lock);
	level = m->isr != 0;
	if (level != m->level) {
		m->level = level;
		m->cfg.irq(m->cfg.arg, level);
	}
	pthread_mutex_unlock(&m->irq_lock);
}

/*
 * An event whose bit is pending already needs no new edge: the driver's handler acknowledges first
 * and looks at the rings afterwards, and the used index was written before this.
 */
static void raise(struct vio_mmio *m, uint32_t bit)
{
	uint32_t old = atomic_fetch_or(&m->isr, bit);

	if (old & bit)
		return;
	if (m->cfg.irq_fd >= 0)
		vio_event_signal(m->cfg.irq_fd);
	update_level(m);
}

static void mmio_queue_interrupt(struct vio_transport *t, uint16_t index)
{
	(void)index;
	raise(to_mmio(t),
	      VIO_DEFECT("mmio-wrong-isr-bit") ? VIRTIO_MMIO_INT_CONFIG : VIRTIO_MMIO_INT_VRING);
}

static void mmio_config_interrupt(struct vio_transport *t)
{
	raise(to_mmio(t), VIRTIO_MMIO_INT_CONFIG);
}

static void mmio_reset(struct vio_transport *t)
{
	struct vio_mmio *m = to_mmio(t);

	m->device_features_sel = 0;
	m->driver_features_sel = 0;
	m->queue_sel = 0;
	m->shm_sel = 0;
	if (!VIO_DEFECT("mmio-isr-survives-reset"))
		m->isr = 0; /* MMIO-DEV-005 */
	update_level(m);
}

static const struct vio_transport_ops mmio_ops = {
	.name = "mmio",
	.features = UINT64_C(1) << VIRTIO_F_RING_RESET | UINT64_C(1) << VIO_F_SUSPEND |
		    UINT64_C(1) << VIO_F_NOTIFICATION_DATA,
	.queue_interrupt = mmio_queue_interrupt,
	.config_interrupt = mmio_config_interrupt,
	.reset = mmio_reset,
};

/* ---- registers ---------------------------------------------------------------------------------
 */

/* Length and base of the selected shared memory region; all ones when there is none. */
static void shm_get(struct vio_mmio *m, uint64_t *len, uint64_t *base)
{
	const struct vio_shm *shm;
	uint32_t sel = m->shm_sel;

	*len = *base = VIO_DEFECT("mmio-no-shm-0") ? 0 : UINT64_MAX;
	for (unsigned i = 0; (shm = vio_device_shm(m->base.dev, i)) != NULL; i++) {
		if (shm->id != sel || !m->cfg.shm_base)
			continue;
		*len = shm->len;
		*base = m->cfg.shm_base(m->cfg.arg, shm->id);
		return;
	}
}

static uint32_t shm_read(struct vio_mmio *m, uint64_t off)
{
	uint64_t len, base;

	shm_get(m, &len, &base);
	switch (off) {
	case VIRTIO_MMIO_SHM_LEN_LOW:
		return (uint32_t)len;
	case VIRTIO_MMIO_SHM_LEN_HIGH:
		return (uint32_t)(len >> 32);
	case VIRTIO_MMIO_SHM_BASE_LOW:
		return (uint32_t)base;
	default:
		return (uint32_t)(base >> 32);
	}
}

static uint32_t queue_read(struct vio_mmio *m, uint64_t off)
{
	struct vio_queue_regs q;

	vio_device_queue_get(m->base.dev, m->queue_sel, &q);
	switch (off) {
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		if (VIO_DEFECT("mmio-queue-everywhere") && q.max_size == 0)
			return 64;
		return q.max_size;
	case VIRTIO_MMIO_QUEUE_READY:
		if (VIO_DEFECT("mmio-ready-reads-0"))
			return 0;
		return q.enabled;
	default:
		return q.resetting;
	}
}

static uint32_t reg_read(struct vio_mmio *m, uint64_t off)
{
	struct vio_device *dev = m->base.dev;

	switch (off) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return VIO_DEFECT("mmio-magic") ? 0 : MMIO_MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VIO_DEFECT("mmio-version-1") ? 1 : MMIO_VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return vio_device_id(dev);
	case VIRTIO_MMIO_VENDOR_ID:
		return m->cfg.vendor_id;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return vio_device_offered(dev, m->device_features_sel);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
	case VIRTIO_MMIO_QUEUE_READY:
	case MMIO_QUEUE_RESET:
		return queue_read(m, off);
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		if (VIO_DEFECT("mmio-isr-clears-on-read"))
			return atomic_exchange(&m->isr, 0);
		return m->isr;
	case VIRTIO_MMIO_STATUS:
		return vio_device_status(dev);
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return shm_read(m, off);
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return vio_device_config_generation(dev);
	default:
		return 0;
	}
}

static void queue_ready_write(struct vio_mmio *m, uint32_t v)
{
	if (v == 1)
		vio_device_queue_enable(m->base.dev, m->queue_sel);
	else if (v == 0 && !VIO_DEFECT("mmio-ready-0-ignored"))
		vio_device_queue_disable(m->base.dev, m->queue_sel);
}

static void queue_field_write(struct vio_mmio *m, uint64_t off, uint32_t v)
{
	static const struct {
		uint16_t off;
		enum vio_queue_field field;
	} fields[] = {
		{VIRTIO_MMIO_QUEUE_NUM, VIO_QUEUE_SIZE},
		{VIRTIO_MMIO_QUEUE_DESC_LOW, VIO_QUEUE_DESC_LO},
		{VIRTIO_MMIO_QUEUE_DESC_HIGH, VIO_QUEUE_DESC_HI},
		{VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIO_QUEUE_DRIVER_LO},
		{VIRTIO_MMIO_QUEUE_AVAIL_HIGH, VIO_QUEUE_DRIVER_HI},
		{VIRTIO_MMIO_QUEUE_USED_LOW, VIO_QUEUE_DEVICE_LO},
		{VIRTIO_MMIO_QUEUE_USED_HIGH, VIO_QUEUE_DEVICE_HI},
	};

	for (size_t i = 0; i < VIO_ARRAY_LEN(fields); i++)
		if (fields[i].off == off)
			vio_device_queue_set(m->base.dev, m->queue_sel, fields[i].field, v);
}

/* With NOTIFICATION_DATA the upper half is the driver's available index; the ring has that, too. */
static uint32_t notified_queue(const struct vio_mmio *m, uint32_t v)
{
	if (!vio_device_has(m->base.dev, VIO_F_NOTIFICATION_DATA))
		return v;
	return VIO_DEFECT("mmio-notify-data-misread") ? v >> 16 : v & 0xffff;
}

static void reg_write(struct vio_mmio *m, uint64_t off, uint32_t v)
{
	struct vio_device *dev = m->base.dev;

	if (VIO_DEFECT("mmio-isr-writable") && off == VIRTIO_MMIO_INTERRUPT_STATUS)
		m->isr = v;
	switch (off) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		m->device_features_sel = v;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		vio_device_accept(dev, m->driver_features_sel, v);
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		m->driver_features_sel = v;
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		m->queue_sel = v;
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		queue_ready_write(m, v);
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		vio_device_kick(dev, notified_queue(m, v));
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		if (!VIO_DEFECT("mmio-ack-ignored"))
			m->isr &= VIO_DEFECT("mmio-ack-clears-all") ? 0 : ~v;
		if (!VIO_DEFECT("mmio-line-stays-up"))
			update_level(m);
		break;
	case VIRTIO_MMIO_STATUS:
		/* The register has 32 bits, the status has 8; a write of only higher bits is no
		 * reset. */
		if (v == 0 || (v & 0xff))
			vio_device_set_status(dev, (uint8_t)v);
		break;
	case VIRTIO_MMIO_SHM_SEL:
		m->shm_sel = v;
		break;
	case MMIO_QUEUE_RESET:
		if (v == 1)
			vio_device_queue_reset(dev, m->queue_sel);
		break;
	default:
		queue_field_write(m, off, v);
		break;
	}
}

void vio_mmio_read(struct vio_mmio *m, uint64_t off, void *buf, size_t len)
{
	uint32_t v;

	if (off >= VIO_MMIO_CONFIG_OFFSET) {
		vio_device_config_read(m->base.dev, off - VIO_MMIO_CONFIG_OFFSET, buf, len);
		if (VIO_DEFECT("mmio-config-no-halves") && len == 2)
			memset(buf, 0, len);
		return;
	}
	memset(buf, 0, len);
	if (len != 4 || off % 4)
		return;
	v = htole32(reg_read(m, off));
	memcpy(buf, &v, 4);
}

void vio_mmio_write(struct vio_mmio *m, uint64_t off, const void *buf, size_t len)
{
	uint32_t v;

	if (off >= VIO_MMIO_CONFIG_OFFSET) {
		vio_device_config_write(m->base.dev, off - VIO_MMIO_CONFIG_OFFSET, buf, len);
		return;
	}
	if (VIO_DEFECT("mmio-narrow-writes") && off % 4 == 0 && len < 4) {
		v = 0;
		memcpy(&v, buf, len);
		reg_write(m, off, le32toh(v));
		return;
	}
	if (len != 4 || off % 4)
		return;
	memcpy(&v, buf, 4);
	reg_write(m, off, le32toh(v));
}

/* ---- life and hooks ----------------------------------------------------------------------------
 */

uint64_t vio_mmio_size(const struct vio_mmio *m)
{
	uint64_t need = VIO_MMIO_CONFIG_OFFSET + vio_device_config_size(m->base.dev);
	uint64_t size = SIZE_MIN;

	while (size < need)
		size *= 2;
	return size;
}

int vio_mmio_ioeventfd(const struct vio_mmio *m, uint16_t index, struct vio_mmio_ioeventfd *out)
{
	bool offers_data = m->base.dev->offered >> VIO_F_NOTIFICATION_DATA & 1;
	int fd = vio_device_kick_fd(m->base.dev, index);

	if (fd < 0)
		return -EINVAL;
	*out = (struct vio_mmio_ioeventfd){
		.offset = VIRTIO_MMIO_QUEUE_NOTIFY,
		.length = 4,
		.data = index,
		.any_data = offers_data && vio_device_n_queues(m->base.dev) == 1,
		.fd = fd,
	};
	return 0;
}

int vio_mmio_create(struct vio_device *dev, const struct vio_mmio_config *cfg,
		    struct vio_mmio **out)
{
	struct vio_mmio *m;

	if (dev->transport)
		return -EBUSY;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->cfg = *cfg;
	if (m->cfg.vendor_id == 0)
		m->cfg.vendor_id = MMIO_VENDOR;
	m->base.ops = &mmio_ops;
	pthread_mutex_init(&m->irq_lock, NULL);
	vio_device_attach(dev, &m->base);
	*out = m;
	return 0;
}

void vio_mmio_destroy(struct vio_mmio *m)
{
	if (!m)
		return;
	vio_device_detach(m->base.dev);
	pthread_mutex_destroy(&m->irq_lock);
	free(m);
}
