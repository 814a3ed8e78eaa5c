/* SPDX-License-Identifier: BSD-3-Clause */
#include <driver/bus.h>

#include <sched.h>
#include <string.h>

void drv_bus_destroy(struct drv_bus *bus)
{
	if (bus)
		bus->ops->destroy(bus);
}

uint64_t drv_get(struct drv_bus *bus, enum drv_reg reg, uint32_t index)
{
	return bus->ops->get(bus, reg, index);
}

void drv_set(struct drv_bus *bus, enum drv_reg reg, uint32_t index, uint64_t value)
{
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
	bus->ops->kick(bus, queue);
}

void drv_config_read(struct drv_bus *bus, uint32_t off, void *buf, uint32_t len)
{
	bus->ops->config_read(bus, off, buf, len);
}

void drv_config_write(struct drv_bus *bus, uint32_t off, const void *buf, uint32_t len)
{
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
	return n;
}

void drv_irq_forget(struct drv_bus *bus)
{
	bus->ops->irq_collect(bus);
	memset(bus->irq, 0, sizeof(bus->irq));
}
