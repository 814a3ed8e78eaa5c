/* SPDX-License-Identifier: BSD-3-Clause */
#include <driver/bus.h>

#include <sched.h>
#include <stdio.h>
#include <string.h>

void drv_bus_destroy(struct drv_bus *bus)
{
	if (bus)
		bus->ops->destroy(bus);
}

static const char *const reg_names[] = {
	[DRV_DEVICE_ID] = "device id",	     [DRV_STATUS] = "status",
	[DRV_OFFERED] = "offered features",  [DRV_ACCEPTED] = "accepted features",
	[DRV_GENERATION] = "generation",     [DRV_QUEUE_MAX] = "queue max",
	[DRV_QUEUE_SIZE] = "queue size",     [DRV_QUEUE_DESC] = "queue desc",
	[DRV_QUEUE_DRIVER] = "queue driver", [DRV_QUEUE_DEVICE] = "queue device",
	[DRV_QUEUE_ENABLE] = "queue enable", [DRV_QUEUE_RESET] = "queue reset",
};

static void trace_bytes(struct drv_bus *bus, const char *what, uint32_t off, const void *buf,
			uint32_t len)
{
	const uint8_t *b = buf;
	char text[3 * 16 + 1] = "";

	if (!bus->trace)
		return;
	for (uint32_t i = 0; i < len && i < 16; i++)
		snprintf(text + 3 * i, sizeof(text) - 3 * i, " %02x", b[i]);
	drv_trace(bus->trace, "config %s [%u, +%u):%s", what, off, len, text);
}

uint64_t drv_get(struct drv_bus *bus, enum drv_reg reg, uint32_t index)
{
	uint64_t value = bus->ops->get(bus, reg, index);

	drv_trace(bus->trace, "read  %s[%u] = %#llx", reg_names[reg], index,
		  (unsigned long long)value);
	return value;
}

void drv_set(struct drv_bus *bus, enum drv_reg reg, uint32_t index, uint64_t value)
{
	drv_trace(bus->trace, "write %s[%u] = %#llx", reg_names[reg], index,
		  (unsigned long long)value);
	bus->ops->set(bus, reg, index, value);
}

uint8_t drv_status(struct drv_bus *bus)
{
	return (uint8_t)drv_get(bus, DRV_STATUS, 0);
}

void drv_set_status(struct drv_bus *bus, uint8_t status)
{
	drv_set(bus, DRV_STATUS, 0, status);
}

uint8_t drv_add_status(struct drv_bus *bus, uint8_t bits)
{
	drv_set_status(bus, drv_status(bus) | bits);
	return drv_status(bus);
}

void drv_reset(struct drv_bus *bus)
{
	drv_set_status(bus, 0);
	while (drv_status(bus) != 0)
		sched_yield();
}

uint64_t drv_offered(struct drv_bus *bus)
{
	return drv_get(bus, DRV_OFFERED, 0) | drv_get(bus, DRV_OFFERED, 1) << 32;
}

void drv_accept(struct drv_bus *bus, uint64_t features)
{
	drv_set(bus, DRV_ACCEPTED, 0, (uint32_t)features);
	drv_set(bus, DRV_ACCEPTED, 1, features >> 32);
}

void drv_kick(struct drv_bus *bus, uint16_t queue)
{
	drv_trace(bus->trace, "kick  queue %u", queue);
	bus->ops->kick(bus, queue);
}

static bool config_missing(struct drv_bus *bus)
{
	if (bus->no_config && bus->on_no_config)
		bus->on_no_config(bus->on_no_config_arg);
	return bus->no_config;
}

uint32_t drv_notify_value(const struct drv_bus *bus, uint16_t queue)
{
	if (!bus->notify_data || queue >= DRV_N_IRQS)
		return queue;
	return queue | (uint32_t)bus->notify_next[queue] << 16;
}

void drv_config_read(struct drv_bus *bus, uint32_t off, void *buf, uint32_t len)
{
	if (config_missing(bus)) {
		memset(buf, 0, len);
		return;
	}
	bus->ops->config_read(bus, off, buf, len);
	trace_bytes(bus, "read", off, buf, len);
}

void drv_config_write(struct drv_bus *bus, uint32_t off, const void *buf, uint32_t len)
{
	if (config_missing(bus))
		return;
	trace_bytes(bus, "write", off, buf, len);
	bus->ops->config_write(bus, off, buf, len);
}

uint64_t drv_config_field(struct drv_bus *bus, uint32_t off, uint32_t len)
{
	uint8_t b[8] = {0};
	uint64_t v = 0;

	if (len == 8) {
		drv_config_read(bus, off, b, 4);
		drv_config_read(bus, off + 4, b + 4, 4);
	} else {
		drv_config_read(bus, off, b, len);
	}
	for (unsigned i = 0; i < 8; i++)
		v |= (uint64_t)b[i] << (8 * i);
	return v;
}

void drv_queue_reset(struct drv_bus *bus, uint16_t queue)
{
	drv_set(bus, DRV_QUEUE_RESET, queue, 1);
	while (drv_get(bus, DRV_QUEUE_RESET, queue) != 0)
		sched_yield();
}

int drv_irq_setup(struct drv_bus *bus, uint16_t n_queues)
{
	return bus->ops->irq_setup(bus, n_queues);
}

uint32_t drv_irq_take(struct drv_bus *bus, uint32_t source)
{
	uint32_t n;

	bus->ops->irq_collect(bus);
	n = bus->irq[source];
	bus->irq[source] = 0;
	if (n > 0)
		drv_trace(bus->trace, "took  %u interrupt(s) of %s %u", n,
			  source == DRV_IRQ_CONFIG ? "configuration" : "queue", source);
	return n;
}

void drv_irq_forget(struct drv_bus *bus)
{
	bus->ops->irq_collect(bus);
	memset(bus->irq, 0, sizeof(bus->irq));
}
