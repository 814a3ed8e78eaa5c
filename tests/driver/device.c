/* SPDX-License-Identifier: BSD-3-Clause */
#include <driver/device.h>

#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEFAULT_TABLE_LEN 16

/*
 * What this driver does not know, and so does not accept: NOTIFY_ON_EMPTY and ANY_LAYOUT, which
 * only legacy drivers do, and packed rings.
 */
#define NOT_KNOWN (DRV_FEATURE(24) | DRV_FEATURE(27) | DRV_FEATURE(VIRTIO_F_RING_PACKED))

#define F_NOTIFICATION_DATA 38

/* A device with its own thread that says nothing for this long has lost a request. */
#define SILENCE_MS 30000

void drv_device_init(struct drv_device *d, struct drv_bus *bus, struct drv_mem *mem,
		     int (*turn)(void *arg), void *turn_arg)
{
	*d = (struct drv_device){.bus = bus, .mem = mem, .turn = turn, .turn_arg = turn_arg};
	d->mark = drv_mem_mark(mem);
}

static void free_queues(struct drv_device *d)
{
	for (uint16_t i = 0; i < d->n_queues; i++)
		drv_queue_fini(&d->queue[i]);
	free(d->queue);
	d->queue = NULL;
	d->n_queues = 0;
	drv_mem_rewind(d->mem, &d->mark);
}

void drv_device_stop(struct drv_device *d)
{
	drv_reset(d->bus);
	free_queues(d);
}

void drv_device_fini(struct drv_device *d)
{
	if (d->bus)
		drv_device_stop(d);
}

bool drv_device_has(const struct drv_device *d, unsigned feature)
{
	return d->features >> feature & 1;
}

int drv_device_negotiate(struct drv_device *d, uint64_t features)
{
	struct drv_bus *bus = d->bus;

	drv_reset(bus);
	if (drv_get(bus, DRV_DEVICE_ID, 0) == 0)
		return -ENODEV;
	drv_add_status(bus, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	drv_add_status(bus, VIRTIO_CONFIG_S_DRIVER);
	d->features = drv_offered(bus) & (features | DRV_FEATURE(VIRTIO_F_VERSION_1)) & ~NOT_KNOWN;
	drv_accept(bus, d->features);
	bus->notify_data = drv_device_has(d, F_NOTIFICATION_DATA);
	memset(bus->notify_next, 0, sizeof(bus->notify_next));
	if (!(drv_add_status(bus, VIRTIO_CONFIG_S_FEATURES_OK) & VIRTIO_CONFIG_S_FEATURES_OK))
		return -ENOTSUP;
	return 0;
}

static uint16_t count_queues(struct drv_bus *bus)
{
	uint16_t n = 0;

	while (n < DRV_N_IRQS - 1 && drv_get(bus, DRV_QUEUE_MAX, n) != 0)
		n++;
	return n;
}

void drv_device_place_queue(struct drv_device *d, uint16_t index)
{
	const struct drv_queue *q = &d->queue[index];

	drv_set(d->bus, DRV_QUEUE_SIZE, index, q->size);
	drv_set(d->bus, DRV_QUEUE_DESC, index, q->desc_gpa);
	drv_set(d->bus, DRV_QUEUE_DRIVER, index, q->driver_gpa);
	drv_set(d->bus, DRV_QUEUE_DEVICE, index, q->device_gpa);
	drv_set(d->bus, DRV_QUEUE_ENABLE, index, 1);
}

static int init_queue(struct drv_device *d, uint16_t index, const struct drv_device_config *cfg)
{
	uint16_t max = (uint16_t)drv_get(d->bus, DRV_QUEUE_MAX, index);
	uint32_t table_len = cfg->table_len;
	int r;

	if (!drv_device_has(d, VIRTIO_RING_F_INDIRECT_DESC))
		table_len = 0;
	else if (table_len == 0)
		table_len = DEFAULT_TABLE_LEN;
	if (max == 0)
		return -ENODEV;
	r = drv_queue_init(&d->queue[index], d->mem, cfg->queue_size ? cfg->queue_size : max,
			   drv_device_has(d, VIRTIO_RING_F_EVENT_IDX), table_len);
	d->queue[index].in_order = drv_device_has(d, VIRTIO_F_IN_ORDER);
	return r;
}

int drv_device_make_queues(struct drv_device *d, const struct drv_device_config *cfg)
{
	uint16_t n = cfg->n_queues ? cfg->n_queues : count_queues(d->bus);

	free_queues(d);
	d->queue = calloc(n ? n : 1, sizeof(*d->queue));
	if (!d->queue)
		return -ENOMEM;
	for (; d->n_queues < n; d->n_queues++) {
		int r = init_queue(d, d->n_queues, cfg);

		if (r < 0)
			return r;
	}
	return drv_irq_setup(d->bus, n);
}

int drv_device_setup(struct drv_device *d, const struct drv_device_config *cfg)
{
	int r = drv_device_make_queues(d, cfg);

	for (uint16_t i = 0; r == 0 && i < d->n_queues; i++)
		drv_device_place_queue(d, i);
	return r;
}

void drv_device_go(struct drv_device *d)
{
	drv_add_status(d->bus, VIRTIO_CONFIG_S_DRIVER_OK);
}

int drv_device_start(struct drv_device *d, const struct drv_device_config *cfg)
{
	int r = drv_device_negotiate(d, cfg->features);

	if (r == 0)
		r = drv_device_setup(d, cfg);
	if (r < 0) {
		drv_add_status(d->bus, VIRTIO_CONFIG_S_FAILED);
		return r;
	}
	drv_device_go(d);
	return 0;
}

void drv_device_submit(struct drv_device *d, uint16_t index)
{
	drv_trace(d->bus->trace, "queue %u: available up to %u", index, d->queue[index].avail_idx);
	bool wanted = drv_queue_publish(&d->queue[index]);

	d->bus->notify_next[index] = d->queue[index].published;
	if (wanted)
		drv_kick(d->bus, index);
}

void drv_device_settle(struct drv_device *d)
{
	while (d->turn && d->turn(d->turn_arg) > 0)
		;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

static uint32_t patience(const struct drv_device *d)
{
	if (d->patience_ms || d->turn)
		return d->patience_ms;
	return SILENCE_MS;
}

static int wait_used(struct drv_device *d, uint16_t index, struct drv_used *out)
{
	static const struct timespec nap = {.tv_nsec = 50000};
	int64_t give_up = now_ms() + patience(d);

	for (;;) {
		int r = drv_queue_get(&d->queue[index], out);

		if (r != 0)
			return r;
		if (d->turn && d->turn(d->turn_arg) > 0)
			continue;
		r = drv_queue_get(&d->queue[index], out);
		if (r != 0 || now_ms() >= give_up)
			return r;
		nanosleep(&nap, NULL);
	}
}

int drv_device_wait(struct drv_device *d, uint16_t index, struct drv_used *out)
{
	int r = wait_used(d, index, out);

	if (r > 0)
		drv_trace(d->bus->trace, "queue %u: used head %u, %u bytes", index, out->head,
			  out->len);
	else
		drv_trace(d->bus->trace, "queue %u: nothing used (%d)", index, r);
	return r;
}
