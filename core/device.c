/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Status, features, configuration space, driver faults: "Basic Facilities of a Virtio Device".
 * Queue registers are in device_queue.c.
 */
#include <viodm/defect.h>
#include "device_internal.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_DRIVER_BITS                                                                         \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FAILED)

/* ---- life -------------------------------------------------------------------------------------
 */

static void offer(struct vio_device *dev)
{
	dev->offered = dev->model_features | UINT64_C(1) << VIRTIO_F_VERSION_1;
	if (dev->backend)
		dev->offered |= dev->backend->ops->features(dev->backend, dev);
	if (dev->transport)
		dev->offered |= dev->transport->ops->features;
	dev->offered &= ~VIO_OPT_IN_FEATURES | dev->opt_in;
	if (VIO_DEFECT("reserved-bit-offered"))
		dev->offered |= UINT64_C(1) << 42;
	if (VIO_DEFECT("legacy-bit-offered"))
		dev->offered |= UINT64_C(1) << 24;
	if (VIO_DEFECT("bit-30-offered"))
		dev->offered |= UINT64_C(1) << 30;
	if (VIO_DEFECT("sr-iov-offered"))
		dev->offered |= UINT64_C(1) << 37;
	if (VIO_DEFECT("admin-queue-offered"))
		dev->offered |= UINT64_C(1) << 41;
	if (VIO_DEFECT("version-1-not-offered"))
		dev->offered &= ~(UINT64_C(1) << VIRTIO_F_VERSION_1);
}

int vio_device_init(struct vio_device *dev, const struct vio_device_env *env)
{
	int r;

	if (!env->backend || dev->n_queues > VIO_DEVICE_MAX_QUEUES ||
	    !vio_is_pow2(dev->queue_size) || dev->queue_size > VIO_QUEUE_MAX_SIZE ||
	    dev->slot_size < sizeof(struct vio_chain))
		return -EINVAL;
	dev->mem = env->mem;
	dev->backend = env->backend;
	dev->log = env->log;
	dev->opt_in = env->opt_in;
	dev->name = strdup(env->name ? env->name : dev->ops->name);
	dev->config_frozen = malloc(dev->config_size ? dev->config_size : 1);
	r = dev->name && dev->config_frozen ? vio_device_queues_alloc(dev) : -ENOMEM;
	if (r < 0) {
		free(dev->config_frozen);
		free(dev->name);
		return r;
	}
	pthread_mutex_init(&dev->lock, NULL);
	pthread_cond_init(&dev->idle, NULL);
	offer(dev);
	return 0;
}

void vio_device_fini(struct vio_device *dev)
{
	vio_device_queues_free(dev);
	pthread_cond_destroy(&dev->idle);
	pthread_mutex_destroy(&dev->lock);
	free(dev->config_frozen);
	free(dev->name);
}

void vio_device_destroy(struct vio_device *dev)
{
	if (!dev)
		return;
	vio_device_reset(dev);
	dev->ops->destroy(dev);
}

void vio_device_attach(struct vio_device *dev, struct vio_transport *t)
{
	t->dev = dev;
	dev->transport = t;
	offer(dev);
}

void vio_device_detach(struct vio_device *dev)
{
	vio_device_reset(dev);
	dev->transport = NULL;
	offer(dev);
}

const char *vio_device_name(const struct vio_device *dev)
{
	return dev->name;
}

uint32_t vio_device_id(const struct vio_device *dev)
{
	return dev->ops->id;
}

uint16_t vio_device_n_queues(const struct vio_device *dev)
{
	return dev->n_queues;
}

uint16_t vio_device_queue_group(const struct vio_device *dev)
{
	return dev->queue_group ? dev->queue_group : 1;
}

const struct vio_shm *vio_device_shm(const struct vio_device *dev, unsigned i)
{
	return i < dev->n_shm ? &dev->shm[i] : NULL;
}

/* ---- busy -------------------------------------------------------------------------------------
 */

bool vio_device_enter(struct vio_device *dev)
{
	if (dev->busy && pthread_equal(dev->busy_thread, pthread_self()))
		return false;
	while (dev->busy)
		pthread_cond_wait(&dev->idle, &dev->lock);
	dev->busy = true;
	dev->busy_thread = pthread_self();
	return true;
}

void vio_device_leave(struct vio_device *dev)
{
	dev->busy = false;
	pthread_cond_broadcast(&dev->idle);
}

bool vio_device_writable(struct vio_device *dev)
{
	while (dev->busy && dev->busy_for_embedder &&
	       !pthread_equal(dev->busy_thread, pthread_self()))
		pthread_cond_wait(&dev->idle, &dev->lock);
	return !dev->busy;
}

void vio_device_call(struct vio_device *dev, void (*fn)(void *arg), void *arg)
{
	if (dev->transport && dev->transport->ops->call)
		dev->transport->ops->call(dev->transport, fn, arg);
	else
		fn(arg);
}

/* ---- driver faults ----------------------------------------------------------------------------
 */

bool vio_device_failed(const struct vio_device *dev)
{
	return dev->status & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/*
 * A driver can fail the device, reset it and fail it again as fast as it likes; the log gets the
 * first FAULT_LOG_BURST of those lines and then one for every so many more.
 */
#define FAULT_LOG_BURST 16
#define FAULT_LOG_EVERY 4096

static __attribute__((format(printf, 2, 0))) void fault_log(struct vio_device *dev, const char *fmt,
							    va_list ap)
{
	char what[256];
	uint32_t n = dev->n_faults++;

	if (n >= FAULT_LOG_BURST && n % FAULT_LOG_EVERY)
		return;
	vsnprintf(what, sizeof(what), fmt, ap);
	vio_log(dev->log, VIO_LOG_WARN, "%s: driver fault %u: %s; needs reset", dev->name, n + 1,
		what);
}

/* BASIC-DEV-002, BASIC-DEV-003 */
static __attribute__((format(printf, 2, 0))) void fail_locked(struct vio_device *dev,
							      const char *fmt, va_list ap)
{
	if (vio_device_failed(dev))
		return;
	dev->status |= VIO_DEFECT("needs-reset-not-set") ? 0 : VIRTIO_CONFIG_S_NEEDS_RESET;
	if (VIO_DEFECT("needs-reset-drops-driver-ok"))
		dev->status &= ~VIRTIO_CONFIG_S_DRIVER_OK;
	fault_log(dev, fmt, ap);
	if (VIO_DEFECT("needs-reset-silent"))
		return;
	if (dev->live && dev->transport)
		dev->transport->ops->config_interrupt(dev->transport);
}

void vio_device_fail_locked(struct vio_device *dev, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fail_locked(dev, fmt, ap);
	va_end(ap);
}

void vio_device_fail(struct vio_device *dev, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	pthread_mutex_lock(&dev->lock);
	fail_locked(dev, fmt, ap);
	pthread_mutex_unlock(&dev->lock);
	va_end(ap);
}

/* ---- configuration changes: lock held ----------------------------------------------------------
 */

static void config_changed(struct vio_device *dev)
{
	if (dev->generation_read && !VIO_DEFECT("generation-stuck"))
		dev->generation++;
	dev->generation_read = false;
	if ((dev->live || VIO_DEFECT("config-interrupt-always")) && dev->transport &&
	    !VIO_DEFECT("config-interrupt-missing"))
		dev->transport->ops->config_interrupt(dev->transport);
}

/* BASIC-DEV-024: what the driver reads from now on. */
static void config_freeze(struct vio_device *dev)
{
	memcpy(dev->config_frozen, dev->config, dev->config_size);
	dev->suspended = true;
}

/* BASIC-DEV-025, BASIC-DEV-026 */
static void config_thaw(struct vio_device *dev)
{
	bool changed =
		dev->suspended && dev->config_deferred && !VIO_DEFECT("suspend-change-forgotten");

	dev->suspended = dev->config_deferred = false;
	if (changed)
		config_changed(dev);
}

/* ---- status ------------------------------------------------------------------------------------
 */

uint8_t vio_device_status(const struct vio_device *dev)
{
	return dev->status;
}

/* Lock held. Until the end the status reads as before: a driver that polls for 0 waits for us. */
static void reset_locked(struct vio_device *dev)
{
	dev->live = false;
	config_thaw(dev);
	pthread_mutex_unlock(&dev->lock);
	if (!VIO_DEFECT("reset-leaves-queues-running"))
		vio_device_queues_stop(dev);
	if (dev->transport)
		dev->transport->ops->reset(dev->transport);
	if (dev->ops->reset)
		dev->ops->reset(dev);
	pthread_mutex_lock(&dev->lock);
	for (uint16_t i = 0; i < dev->n_queues && !VIO_DEFECT("queues-stay-enabled"); i++)
		vio_device_queue_defaults(dev, &dev->queues[i]);
	dev->accepted = 0;
	dev->accepted_unknown &= VIO_DEFECT("unknown-features-remembered");
	dev->negotiated = false;
	dev->status = 0;
	if (VIO_DEFECT("interrupt-after-reset") && dev->transport && dev->n_queues > 0)
		dev->transport->ops->queue_interrupt(dev->transport, 0);
}

static bool features_acceptable(struct vio_device *dev)
{
	if (VIO_DEFECT("features-unchecked"))
		return true;
	if (VIO_DEFECT("event-idx-refused") && dev->accepted >> VIRTIO_RING_F_EVENT_IDX & 1)
		return false;
	if (dev->accepted_unknown || (dev->accepted & ~dev->offered))
		return false;
	if (!(dev->accepted & UINT64_C(1) << VIRTIO_F_VERSION_1))
		return false;
	return !dev->ops->features_ok || dev->ops->features_ok(dev, dev->accepted);
}

/* BASIC-DEV-006: a set we cannot serve leaves FEATURES_OK clear. */
static void set_features_ok(struct vio_device *dev)
{
	if (dev->negotiated || !features_acceptable(dev))
		return;
	dev->negotiated = true;
	dev->status |= VIRTIO_CONFIG_S_FEATURES_OK;
	if (dev->ops->negotiated)
		dev->ops->negotiated(dev);
}

/* Lock held and busy. */
static void set_driver_ok(struct vio_device *dev)
{
	if (dev->live || !dev->negotiated ||
	    dev->status & (VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED))
		return;
	dev->status |= VIRTIO_CONFIG_S_DRIVER_OK;
	dev->live = true;
	if (VIO_DEFECT("config-interrupt-at-driver-ok") && dev->transport)
		dev->transport->ops->config_interrupt(dev->transport);
	pthread_mutex_unlock(&dev->lock);
	vio_device_queues_start(dev);
	pthread_mutex_lock(&dev->lock);
}

/*
 * Lock held and busy. A queue that is stopped has nothing in flight and has interrupted for what it
 * used (BASIC-DEV-029 .. BASIC-DEV-031). Only then the status changes, in one store; a driver fault
 * on the way leaves NEEDS_RESET instead (BASIC-DEV-027).
 */
static void suspend(struct vio_device *dev)
{
	if (!dev->live || vio_device_failed(dev) || !vio_device_has(dev, VIO_F_SUSPEND))
		return; /* BASIC-DEV-020 */
	pthread_mutex_unlock(&dev->lock);
	if (!VIO_DEFECT("suspend-queues-run"))
		vio_device_queues_stop(dev);
	pthread_mutex_lock(&dev->lock);
	if (vio_device_failed(dev))
		return;
	dev->live = false;
	config_freeze(dev);
	dev->status = (dev->status & ~VIRTIO_CONFIG_S_DRIVER_OK) | VIO_STATUS_SUSPEND;
}

/* Lock held and busy. BASIC-DEV-028: a queue that cannot start again fails the device. */
static void resume(struct vio_device *dev)
{
	if (vio_device_failed(dev))
		return;
	dev->live = true;
	dev->status = (dev->status & ~VIO_STATUS_SUSPEND) | VIRTIO_CONFIG_S_DRIVER_OK;
	config_thaw(dev);
	pthread_mutex_unlock(&dev->lock);
	vio_device_queues_start(dev);
	pthread_mutex_lock(&dev->lock);
}

/*
 * Lock held and busy. Drivers never clear a bit, so one that sets SUSPEND writes DRIVER_OK as well,
 * and the other way round: what is new against the status is what they want.
 */
static void set_bits(struct vio_device *dev, uint8_t status)
{
	bool was_live = dev->live;

	dev->status |= status & STATUS_DRIVER_BITS;
	if (VIO_DEFECT("needs-reset-cleared"))
		dev->status &= status | ~VIRTIO_CONFIG_S_NEEDS_RESET;
	if (status & VIRTIO_CONFIG_S_FEATURES_OK)
		set_features_ok(dev);
	if (status & VIRTIO_CONFIG_S_DRIVER_OK && dev->suspended)
		resume(dev);
	else if (status & VIRTIO_CONFIG_S_DRIVER_OK)
		set_driver_ok(dev);
	if (status & VIO_STATUS_SUSPEND && was_live)
		suspend(dev);
	else if (status & VIO_STATUS_SUSPEND && !dev->live && VIO_DEFECT("suspend-too-early"))
		dev->status |= VIO_STATUS_SUSPEND;
}

void vio_device_set_status(struct vio_device *dev, uint8_t status)
{
	pthread_mutex_lock(&dev->lock);
	if ((status != 0 && !vio_device_writable(dev)) || !vio_device_enter(dev)) {
		pthread_mutex_unlock(&dev->lock);
		return;
	}
	if (status == 0)
		reset_locked(dev);
	else
		set_bits(dev, status);
	vio_device_leave(dev);
	pthread_mutex_unlock(&dev->lock);
}

static void on_reset(void *arg)
{
	vio_device_set_status(arg, 0);
}

void vio_device_reset(struct vio_device *dev)
{
	vio_device_call(dev, on_reset, dev);
}

/* ---- features ----------------------------------------------------------------------------------
 */

static uint32_t window_of(uint64_t features, uint32_t window)
{
	if (VIO_DEFECT("feature-window-wraps"))
		window %= 2;
	return window < 2 ? (uint32_t)(features >> (window * 32)) : 0;
}

uint32_t vio_device_offered(const struct vio_device *dev, uint32_t window)
{
	return window_of(dev->offered, window);
}

uint32_t vio_device_accepted(struct vio_device *dev, uint32_t window)
{
	uint32_t bits;

	pthread_mutex_lock(&dev->lock);
	bits = window_of(dev->accepted, window);
	pthread_mutex_unlock(&dev->lock);
	return bits;
}

void vio_device_accept(struct vio_device *dev, uint32_t window, uint32_t bits)
{
	pthread_mutex_lock(&dev->lock);
	if (vio_device_writable(dev) && (!dev->negotiated || VIO_DEFECT("features-late"))) {
		if (window < 2) {
			dev->accepted &= ~(UINT64_C(0xffffffff) << (window * 32));
			dev->accepted |= (uint64_t)bits << (window * 32);
		} else if (bits != 0 && !VIO_DEFECT("features-beyond-63-ignored")) {
			dev->accepted_unknown = true;
		}
	}
	pthread_mutex_unlock(&dev->lock);
}

/* `accepted` does not change while `negotiated` is true, but for a reset, which stops queues first.
 */
bool vio_device_has(const struct vio_device *dev, unsigned feature)
{
	return dev->negotiated && feature < 64 && (dev->accepted >> feature & 1);
}

/* ---- configuration space -----------------------------------------------------------------------
 */

uint32_t vio_device_config_size(const struct vio_device *dev)
{
	return dev->config_size;
}

uint32_t vio_device_config_generation(struct vio_device *dev)
{
	uint32_t g;

	pthread_mutex_lock(&dev->lock);
	dev->generation_read = true;
	if (VIO_DEFECT("generation-restless"))
		dev->generation++;
	g = dev->generation;
	pthread_mutex_unlock(&dev->lock);
	return g;
}

/* How many of `len` bytes at `off` are inside. */
static uint32_t config_clip(const struct vio_device *dev, uint64_t off, size_t len)
{
	if (off >= dev->config_size)
		return 0;
	return len < dev->config_size - off ? (uint32_t)len : dev->config_size - (uint32_t)off;
}

void vio_device_config_read(struct vio_device *dev, uint64_t off, void *buf, size_t len)
{
	uint32_t n = config_clip(dev, off, len);
	bool frozen;

	memset(buf, 0, len);
	if (n == 0)
		return;
	if (VIO_DEFECT("config-hidden-at-first") && !dev->negotiated)
		return;
	pthread_mutex_lock(&dev->lock);
	frozen = dev->suspended && !VIO_DEFECT("suspend-config-moves");
	memcpy(buf, (frozen ? dev->config_frozen : dev->config) + off, n);
	pthread_mutex_unlock(&dev->lock);
}

void vio_device_config_write(struct vio_device *dev, uint64_t off, const void *buf, size_t len)
{
	uint32_t n = config_clip(dev, off, len);

	if (n == 0 || !dev->ops->config_write)
		return;
	pthread_mutex_lock(&dev->lock);
	if (vio_device_writable(dev) && dev->negotiated && !dev->suspended)
		dev->ops->config_write(dev, (uint32_t)off, buf, n);
	pthread_mutex_unlock(&dev->lock);
}

void vio_device_config_update(struct vio_device *dev, uint32_t off, const void *buf, uint32_t len)
{
	pthread_mutex_lock(&dev->lock);
	if (vio_range_ok(off, len, dev->config_size) && memcmp(dev->config + off, buf, len)) {
		memcpy(dev->config + off, buf, len);
		if (VIO_DEFECT("suspend-change-at-once") && dev->suspended)
			dev->transport->ops->config_interrupt(dev->transport);
		if (dev->suspended)
			dev->config_deferred = true;
		else
			config_changed(dev);
	}
	pthread_mutex_unlock(&dev->lock);
}
