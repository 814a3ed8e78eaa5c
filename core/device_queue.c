/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queue registers with their one guard, starting and stopping queues, and what a back-end calls.
 */
#include <viodm/defect.h>
#include "device_internal.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct vio_device_queue *queue_at(const struct vio_device *dev, uint32_t index)
{
	return index < dev->n_queues ? &dev->queues[index] : NULL;
}

/* ---- life -------------------------------------------------------------------------------------
 */

void vio_device_queue_defaults(struct vio_device *dev, struct vio_device_queue *dq)
{
	uint16_t size = dev->queue_size;

	if (VIO_DEFECT("queue-size-survives-reset") && dq->regs.size)
		size = dq->regs.size;
	dq->regs = (struct vio_queue_regs){.size = size, .max_size = dev->queue_size};
	dq->frozen = (struct vio_queue_config){0};
}

int vio_device_queues_alloc(struct vio_device *dev)
{
	dev->queues = calloc(dev->n_queues ? dev->n_queues : 1, sizeof(*dev->queues));
	if (!dev->queues)
		return -ENOMEM;
	for (uint16_t i = 0; i < dev->n_queues; i++)
		dev->queues[i].own_kick_fd = -1;
	for (uint16_t i = 0; i < dev->n_queues; i++) {
		struct vio_device_queue *dq = &dev->queues[i];

		dq->q.index = i;
		vio_device_queue_defaults(dev, dq);
		dq->own_kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		dq->kick_fd = dq->own_kick_fd;
		if (dq->own_kick_fd < 0) {
			int r = -errno;

			vio_device_queues_free(dev);
			return r;
		}
	}
	return 0;
}

void vio_device_queues_free(struct vio_device *dev)
{
	for (uint16_t i = 0; i < dev->n_queues; i++)
		if (dev->queues[i].own_kick_fd >= 0)
			close(dev->queues[i].own_kick_fd);
	free(dev->queues);
	dev->queues = NULL;
}

/* ---- starting and stopping: busy thread, lock not held ------------------------------------------
 */

static void queue_start(struct vio_device *dev, struct vio_device_queue *dq)
{
	int r;

	if (dq->running || !dq->regs.enabled || dev->paused)
		return;
	r = dev->backend->ops->queue_start(dev->backend, dev, dq->q.index);
	if (r < 0)
		vio_device_fail(dev, "queue %u cannot start: error %d", dq->q.index, -r);
	else
		dq->running = true;
}

static void queue_stop(struct vio_device *dev, struct vio_device_queue *dq)
{
	if (!dq->running)
		return;
	dev->backend->ops->queue_stop(dev->backend, dev, dq->q.index);
	dq->running = false;
}

void vio_device_queues_start(struct vio_device *dev)
{
	for (uint16_t i = 0; i < dev->n_queues; i++)
		queue_start(dev, &dev->queues[i]);
}

/* The last first: no queue of a pair sends for one that receives no more. */
void vio_device_queues_stop(struct vio_device *dev)
{
	for (uint16_t i = dev->n_queues; i > 0; i--)
		queue_stop(dev, &dev->queues[i - 1]);
}

/* ---- what the embedder does between stopping and starting queues --------------------------------
 */

struct embedder_call {
	struct vio_device *dev;
	int (*act)(struct vio_device *dev, const struct vio_mem *mem); /* busy, lock not held */
	const struct vio_mem *mem;
	int result;
};

static void embedder_act(void *arg)
{
	struct embedder_call *c = arg;
	struct vio_device *dev = c->dev;

	pthread_mutex_lock(&dev->lock);
	if (!vio_device_enter(dev)) {
		pthread_mutex_unlock(&dev->lock);
		c->result = -EBUSY;
		return;
	}
	dev->busy_for_embedder = true;
	pthread_mutex_unlock(&dev->lock);
	c->result = c->act(dev, c->mem);
	pthread_mutex_lock(&dev->lock);
	dev->busy_for_embedder = false;
	vio_device_leave(dev);
	pthread_mutex_unlock(&dev->lock);
}

static int embedder_call(struct vio_device *dev,
			 int (*act)(struct vio_device *dev, const struct vio_mem *mem),
			 const struct vio_mem *mem)
{
	struct embedder_call c = {.dev = dev, .act = act, .mem = mem};

	vio_device_call(dev, embedder_act, &c);
	return c.result;
}

static int switch_mem(struct vio_device *dev, const struct vio_mem *mem)
{
	int r = 0;

	vio_device_queues_stop(dev);
	dev->mem = mem;
	for (uint16_t i = 0; i < dev->n_queues; i++) {
		struct vio_device_queue *dq = &dev->queues[i];
		int bad = dq->regs.enabled ? vio_queue_check(mem, &dq->frozen) : 0;

		if (bad < 0)
			vio_device_fail(dev, "queue %u is not in the new memory map", i);
		else if (dev->live)
			queue_start(dev, dq);
		r = r ? r : bad;
	}
	return r;
}

static int pause_queues(struct vio_device *dev, const struct vio_mem *mem)
{
	(void)mem;
	dev->paused = true;
	vio_device_queues_stop(dev);
	return 0;
}

static int resume_queues(struct vio_device *dev, const struct vio_mem *mem)
{
	(void)mem;
	dev->paused = false;
	if (dev->live)
		vio_device_queues_start(dev);
	return 0;
}

int vio_device_set_mem(struct vio_device *dev, const struct vio_mem *mem)
{
	return embedder_call(dev, switch_mem, mem);
}

int vio_device_pause(struct vio_device *dev)
{
	return embedder_call(dev, pause_queues, NULL);
}

int vio_device_resume(struct vio_device *dev)
{
	return embedder_call(dev, resume_queues, NULL);
}

bool vio_device_paused(const struct vio_device *dev)
{
	return dev->paused;
}

/* ---- counting -----------------------------------------------------------------------------------
 */

static uint64_t counted(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void vio_device_queue_stats(const struct vio_device *dev, uint32_t index,
			    struct vio_queue_stats *stats)
{
	const struct vio_device_queue *dq = queue_at(dev, index);
	const struct vio_queue_stats *s;

	*stats = (struct vio_queue_stats){0};
	if (!dq)
		return;
	s = &dq->q.stats;
	stats->requests = counted(&s->requests);
	stats->bytes_read = counted(&s->bytes_read);
	stats->bytes_written = counted(&s->bytes_written);
	stats->errors = counted(&s->errors);
	stats->kicks = counted(&s->kicks);
	stats->interrupts = counted(&s->interrupts);
	stats->polls_hit = counted(&s->polls_hit);
	stats->polls_missed = counted(&s->polls_missed);
	for (unsigned i = 0; i < VIO_LATENCY_BUCKETS; i++)
		stats->latency[i] = counted(&s->latency[i]);
}

/* ---- registers ---------------------------------------------------------------------------------
 */

void vio_device_queue_get(struct vio_device *dev, uint32_t index, struct vio_queue_regs *regs)
{
	struct vio_device_queue *dq = queue_at(dev, index);

	*regs = (struct vio_queue_regs){0};
	if (!dq)
		return;
	pthread_mutex_lock(&dev->lock);
	*regs = dq->regs;
	pthread_mutex_unlock(&dev->lock);
}

/* The one guard of queue registers (CVE-2026-5747): nothing of a running queue can be written. */
static bool queue_writable(struct vio_device *dev, const struct vio_device_queue *dq)
{
	if (!dq || !vio_device_writable(dev) || !dev->negotiated || vio_device_failed(dev))
		return false;
	if (VIO_DEFECT("queue-writable-while-enabled"))
		return true;
	return !dq->regs.enabled && !dq->regs.resetting;
}

static uint64_t with_lo(uint64_t v, uint32_t lo)
{
	return VIO_DEFECT("low-half-clears-high") ? lo : (v & ~UINT64_C(0xffffffff)) | lo;
}

static uint64_t with_hi(uint64_t v, uint32_t hi)
{
	return (v & UINT64_C(0xffffffff)) | (uint64_t)hi << 32;
}

static void queue_set(struct vio_device *dev, struct vio_device_queue *dq,
		      enum vio_queue_field field, uint32_t value)
{
	struct vio_queue_regs *r = &dq->regs;

	switch (field) {
	case VIO_QUEUE_SIZE:
		if (VIO_DEFECT("queue-size-fixed"))
			break;
		if (VIO_DEFECT("queue-size-corrected") &&
		    (!vio_is_pow2(value) || value > r->max_size))
			value = r->max_size;
		if (!vio_is_pow2(value) || value > r->max_size)
			vio_device_fail_locked(dev,
					       "queue %u: size %u is not a power of two up to %u",
					       dq->q.index, value, r->max_size);
		else
			r->size = (uint16_t)value;
		break;
	case VIO_QUEUE_DESC_LO:
		r->desc = with_lo(r->desc, value);
		break;
	case VIO_QUEUE_DESC_HI:
		r->desc = with_hi(r->desc, value);
		break;
	case VIO_QUEUE_DRIVER_LO:
		r->driver = with_lo(r->driver, value);
		break;
	case VIO_QUEUE_DRIVER_HI:
		r->driver = with_hi(r->driver, value);
		break;
	case VIO_QUEUE_DEVICE_LO:
		r->device = with_lo(r->device, value);
		break;
	case VIO_QUEUE_DEVICE_HI:
		r->device = with_hi(r->device, value);
		break;
	case VIO_QUEUE_NEXT_AVAIL:
		r->next_avail = (uint16_t)value;
		break;
	}
}

void vio_device_queue_set(struct vio_device *dev, uint32_t index, enum vio_queue_field field,
			  uint32_t value)
{
	struct vio_device_queue *dq = queue_at(dev, index);

	pthread_mutex_lock(&dev->lock);
	if (queue_writable(dev, dq))
		queue_set(dev, dq, field, value);
	pthread_mutex_unlock(&dev->lock);
}

static bool queue_freeze(struct vio_device *dev, struct vio_device_queue *dq)
{
	struct vio_queue_config cfg = {
		.desc_gpa = dq->regs.desc,
		.driver_gpa = dq->regs.driver,
		.device_gpa = dq->regs.device,
		.size = dq->regs.size,
		.next_avail = dq->regs.next_avail,
		.event_idx = vio_device_has(dev, VIRTIO_RING_F_EVENT_IDX),
		.indirect = vio_device_has(dev, VIRTIO_RING_F_INDIRECT_DESC),
		.in_order = vio_device_has(dev, VIRTIO_F_IN_ORDER),
	};
	int r = vio_queue_check(dev->mem, &cfg);

	if (r == 0 && dq->inflight) {
		if (dq->inflight_len < vio_inflight_bytes(cfg.size) ||
		    vio_inflight_prepare(dq->inflight, cfg.size) < 0) {
			vio_device_fail_locked(dev, "queue %u enabled with a wrong in-flight area",
					       dq->q.index);
			return false;
		}
		cfg.inflight = dq->inflight;
	}
	if (r < 0) {
		vio_device_fail_locked(dev, "queue %u enabled with rings %s", dq->q.index,
				       r == -EFAULT ? "outside guest memory" : "misaligned");
		return false;
	}
	dq->frozen = cfg;
	dq->fresh = true;
	dq->regs.enabled = true;
	return true;
}

void vio_device_queue_enable(struct vio_device *dev, uint32_t index)
{
	struct vio_device_queue *dq = queue_at(dev, index);

	pthread_mutex_lock(&dev->lock);
	if (queue_writable(dev, dq) && vio_device_enter(dev)) {
		if (queue_freeze(dev, dq) && (dev->live || VIO_DEFECT("starts-before-driver-ok"))) {
			pthread_mutex_unlock(&dev->lock);
			queue_start(dev, dq);
			pthread_mutex_lock(&dev->lock);
		}
		vio_device_leave(dev);
	}
	pthread_mutex_unlock(&dev->lock);
}

uint16_t vio_device_queue_disable(struct vio_device *dev, uint32_t index)
{
	struct vio_device_queue *dq = queue_at(dev, index);
	uint16_t next_avail = 0;

	pthread_mutex_lock(&dev->lock);
	if (dq && vio_device_writable(dev) && dq->regs.enabled && vio_device_enter(dev)) {
		pthread_mutex_unlock(&dev->lock);
		queue_stop(dev, dq);
		pthread_mutex_lock(&dev->lock);
		next_avail = dq->frozen.next_avail;
		dq->regs.enabled = false;
		dq->regs.next_avail = 0;
		vio_device_leave(dev);
	}
	pthread_mutex_unlock(&dev->lock);
	return next_avail;
}

/* Something that the queue will use from its next start on can be set now. */
static int queue_settable(const struct vio_device_queue *dq)
{
	return dq->regs.enabled || dq->regs.resetting ? -EBUSY : 0;
}

int vio_device_queue_set_kick_fd(struct vio_device *dev, uint32_t index, int fd)
{
	struct vio_device_queue *dq = queue_at(dev, index);
	int r;

	if (!dq)
		return -EINVAL;
	pthread_mutex_lock(&dev->lock);
	r = queue_settable(dq);
	if (r == 0)
		dq->kick_fd = fd >= 0 ? fd : dq->own_kick_fd;
	pthread_mutex_unlock(&dev->lock);
	return r;
}

int vio_device_queue_set_inflight(struct vio_device *dev, uint32_t index, struct vio_inflight *area,
				  size_t len)
{
	struct vio_device_queue *dq = queue_at(dev, index);
	int r;

	if (!dq)
		return -EINVAL;
	pthread_mutex_lock(&dev->lock);
	r = queue_settable(dq);
	if (r == 0) {
		dq->inflight = area;
		dq->inflight_len = len;
	}
	pthread_mutex_unlock(&dev->lock);
	return r;
}

/* "Virtqueue Reset": BASIC-DEV-014 .. BASIC-DEV-016 */
void vio_device_queue_reset(struct vio_device *dev, uint32_t index)
{
	struct vio_device_queue *dq =
		queue_at(dev, VIO_DEFECT("queue-reset-wraps") ? index & 0xff : index);

	pthread_mutex_lock(&dev->lock);
	if (dq && vio_device_writable(dev) && vio_device_has(dev, VIRTIO_F_RING_RESET) &&
	    vio_device_enter(dev)) {
		uint16_t next = 0;

		dq->regs.resetting = true;
		pthread_mutex_unlock(&dev->lock);
		if (!VIO_DEFECT("queue-reset-does-nothing"))
			queue_stop(dev, dq);
		if (VIO_DEFECT("queue-reset-keeps-index"))
			next = dq->frozen.next_avail;
		if (dev->transport->ops->queue_reset)
			dev->transport->ops->queue_reset(dev->transport, dq->q.index);
		pthread_mutex_lock(&dev->lock);
		vio_device_queue_defaults(dev, dq);
		dq->regs.next_avail = next;
		if (VIO_DEFECT("queue-reset-stays-enabled"))
			dq->regs.enabled = true;
		vio_device_leave(dev);
	}
	pthread_mutex_unlock(&dev->lock);
}

/* ---- kicks and interrupts: no lock --------------------------------------------------------------
 */

void vio_device_kick(struct vio_device *dev, uint32_t index)
{
	struct vio_device_queue *dq = queue_at(dev, index);

	if (!dq || (!(dev->status & VIRTIO_CONFIG_S_DRIVER_OK) &&
		    !VIO_DEFECT("starts-before-driver-ok") && !VIO_DEFECT("suspend-queues-run")))
		return;
	vio_event_signal(dq->kick_fd);
}

int vio_device_kick_fd(const struct vio_device *dev, uint32_t index)
{
	struct vio_device_queue *dq = queue_at(dev, index);

	return dq ? dq->kick_fd : -1;
}

bool vio_device_kick_fd_shared(const struct vio_device *dev, uint32_t index)
{
	struct vio_device_queue *dq = queue_at(dev, index);

	return dq && dq->kick_fd != dq->own_kick_fd;
}

static void queue_interrupt(struct vio_device *dev, struct vio_queue *q)
{
	if (!dev->transport || (VIO_DEFECT("stops-untold") && dev->busy))
		return;
	vio_count(&q->stats.interrupts, 1);
	dev->transport->ops->queue_interrupt(dev->transport, q->index);
}

void vio_device_publish(struct vio_device *dev, struct vio_queue *q)
{
	uint16_t before = q->published;
	bool wanted = vio_queue_publish(q);

	if (q->published == before)
		return;
	vio_count(&q->stats.requests, (uint16_t)(q->published - before));
	if (wanted)
		queue_interrupt(dev, q);
}

void vio_device_show(struct vio_device *dev, struct vio_queue *q)
{
	uint16_t before = q->published;

	(void)dev;
	vio_queue_show(q);
	vio_count(&q->stats.requests, (uint16_t)(q->published - before));
}

void vio_device_notify(struct vio_device *dev, struct vio_queue *q, uint16_t since)
{
	if (vio_queue_wants(q, since))
		queue_interrupt(dev, q);
}

int vio_device_pop(struct vio_device *dev, struct vio_queue *q, struct vio_chain **out)
{
	int r;

	if (vio_device_failed(dev))
		return 0;
	r = vio_queue_pop(q, out);
	if (VIO_UNLIKELY(r < 0)) {
		vio_device_fail(dev, "queue %u: %s", q->index, q->fault);
		return 0;
	}
	return r;
}

/* ---- back-end's side: loop thread
 * ---------------------------------------------------------------- */

struct vio_queue *vio_device_queue(struct vio_device *dev, uint16_t index)
{
	return &dev->queues[index].q;
}

int vio_device_queue_begin(struct vio_device *dev, uint16_t index, struct vio_loop *loop)
{
	struct vio_device_queue *dq = &dev->queues[index];
	int r = vio_queue_start(&dq->q, dev->mem, &dq->frozen, dev->slot_size);

	if (r < 0)
		return r;
	dq->q.fresh = dq->fresh;
	if (dev->ops->queue_start) {
		r = dev->ops->queue_start(dev, &dq->q, loop);
		if (r < 0) {
			vio_queue_stop(&dq->q);
			return r;
		}
	}
	dq->begun = true;
	dq->fresh = false;
	/* The last owner may have died after publishing and before the interrupt for that. */
	if (dq->frozen.inflight)
		queue_interrupt(dev, &dq->q);
	return 0;
}

void vio_device_queue_end(struct vio_device *dev, uint16_t index)
{
	struct vio_device_queue *dq = &dev->queues[index];

	if (!dq->begun)
		return;
	if (dev->ops->queue_stop)
		dev->ops->queue_stop(dev, &dq->q);
	dq->frozen.next_avail = vio_queue_stop(&dq->q);
	dq->begun = false;
}

bool vio_device_queue_run(struct vio_device *dev, uint16_t index)
{
	struct vio_device_queue *dq = &dev->queues[index];

	return dq->begun && !vio_device_failed(dev) && dev->ops->queue_run(dev, &dq->q);
}
