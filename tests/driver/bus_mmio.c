/* SPDX-License-Identifier: BSD-3-Clause */
#include <driver/bus_mmio.h>

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#define ISR_QUEUE  0x1u
#define ISR_CONFIG 0x2u

struct mmio_bus {
	struct drv_bus bus;
	struct vio_mmio *mmio;
	uint16_t n_queues; /* that share the line */
};

static struct mmio_bus *mmio_bus(struct drv_bus *bus)
{
	return vio_container_of(bus, struct mmio_bus, bus);
}

struct vio_mmio *drv_mmio_transport(struct drv_bus *bus)
{
	return mmio_bus(bus)->mmio;
}

uint32_t drv_mmio_get(struct drv_bus *bus, uint64_t off)
{
	uint32_t v;

	vio_mmio_read(mmio_bus(bus)->mmio, off, &v, sizeof(v));
	return le32toh(v);
}

void drv_mmio_set(struct drv_bus *bus, uint64_t off, uint32_t value)
{
	uint32_t v = htole32(value);

	vio_mmio_write(mmio_bus(bus)->mmio, off, &v, sizeof(v));
}

/* The selector that goes before `reg`, or 0. */
static uint32_t selector_of(enum drv_reg reg)
{
	switch (reg) {
	case DRV_OFFERED:
		return MMIO_DEVICE_FEATURES_SEL;
	case DRV_ACCEPTED:
		return MMIO_DRIVER_FEATURES_SEL;
	case DRV_QUEUE_MAX:
	case DRV_QUEUE_SIZE:
	case DRV_QUEUE_DESC:
	case DRV_QUEUE_DRIVER:
	case DRV_QUEUE_DEVICE:
	case DRV_QUEUE_ENABLE:
	case DRV_QUEUE_RESET:
		return MMIO_QUEUE_SEL;
	default:
		return 0;
	}
}

static uint32_t offset_of(enum drv_reg reg)
{
	static const uint32_t offset[] = {
		[DRV_DEVICE_ID] = MMIO_DEVICE_ID,
		[DRV_STATUS] = MMIO_STATUS,
		[DRV_OFFERED] = MMIO_DEVICE_FEATURES,
		[DRV_ACCEPTED] = MMIO_DRIVER_FEATURES,
		[DRV_GENERATION] = MMIO_CONFIG_GENERATION,
		[DRV_QUEUE_MAX] = MMIO_QUEUE_SIZE_MAX,
		[DRV_QUEUE_SIZE] = MMIO_QUEUE_SIZE,
		[DRV_QUEUE_DESC] = MMIO_QUEUE_DESC_LOW,
		[DRV_QUEUE_DRIVER] = MMIO_QUEUE_DRIVER_LOW,
		[DRV_QUEUE_DEVICE] = MMIO_QUEUE_DEVICE_LOW,
		[DRV_QUEUE_ENABLE] = MMIO_QUEUE_READY,
		[DRV_QUEUE_RESET] = MMIO_QUEUE_RESET,
	};

	return offset[reg];
}

static void mmio_select(struct drv_bus *bus, enum drv_reg reg, uint32_t index)
{
	uint32_t sel = selector_of(reg);

	if (sel != 0)
		drv_mmio_set(bus, sel, index);
}

static uint64_t mmio_get(struct drv_bus *bus, enum drv_reg reg, uint32_t index)
{
	mmio_select(bus, reg, index);
	return drv_mmio_get(bus, offset_of(reg));
}

static void mmio_set(struct drv_bus *bus, enum drv_reg reg, uint32_t index, uint64_t value)
{
	uint32_t off = offset_of(reg);

	mmio_select(bus, reg, index);
	drv_mmio_set(bus, off, (uint32_t)value);
	if (reg == DRV_QUEUE_DESC || reg == DRV_QUEUE_DRIVER || reg == DRV_QUEUE_DEVICE)
		drv_mmio_set(bus, off + 4, (uint32_t)(value >> 32));
}

static void mmio_kick(struct drv_bus *bus, uint16_t queue)
{
	drv_mmio_set(bus, MMIO_QUEUE_NOTIFY, drv_notify_value(bus, queue));
}

static void mmio_config_read(struct drv_bus *bus, uint32_t off, void *buf, uint32_t len)
{
	vio_mmio_read(mmio_bus(bus)->mmio, (uint64_t)MMIO_CONFIG + off, buf, len);
}

static void mmio_config_write(struct drv_bus *bus, uint32_t off, const void *buf, uint32_t len)
{
	vio_mmio_write(mmio_bus(bus)->mmio, (uint64_t)MMIO_CONFIG + off, buf, len);
}

static int mmio_irq_setup(struct drv_bus *bus, uint16_t n_queues)
{
	mmio_bus(bus)->n_queues = n_queues;
	return 0;
}

static void mmio_irq_collect(struct drv_bus *bus)
{
	uint32_t isr = drv_mmio_get(bus, MMIO_INTERRUPT_STATUS);

	if (isr == 0)
		return;
	drv_mmio_set(bus, MMIO_INTERRUPT_ACK, isr);
	if (isr & ISR_CONFIG)
		bus->irq[DRV_IRQ_CONFIG] = 1;
	for (uint16_t i = 0; (isr & ISR_QUEUE) && i < mmio_bus(bus)->n_queues; i++)
		bus->irq[i] = 1;
}

static void on_irq(void *arg, bool level)
{
	struct mmio_bus *mb = arg;

	if (level)
		mb->bus.n_irqs++;
	mb->bus.line = level;
}

static void mmio_destroy(struct drv_bus *bus)
{
	struct mmio_bus *mb = mmio_bus(bus);

	vio_mmio_destroy(mb->mmio);
	free(mb);
}

static const struct drv_bus_ops mmio_bus_ops = {
	.name = "mmio",
	.get = mmio_get,
	.set = mmio_set,
	.kick = mmio_kick,
	.config_read = mmio_config_read,
	.config_write = mmio_config_write,
	.irq_setup = mmio_irq_setup,
	.irq_collect = mmio_irq_collect,
	.destroy = mmio_destroy,
};

int drv_mmio_create(struct vio_device *dev, struct drv_bus **out)
{
	struct mmio_bus *mb = calloc(1, sizeof(*mb));
	struct vio_mmio_config cfg = {.irq = on_irq, .irq_fd = -1, .arg = mb};
	int r;

	if (!mb)
		return -ENOMEM;
	mb->bus.ops = &mmio_bus_ops;
	r = vio_mmio_create(dev, &cfg, &mb->mmio);
	if (r < 0) {
		free(mb);
		return r;
	}
	*out = &mb->bus;
	return 0;
}
