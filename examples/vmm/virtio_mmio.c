/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <viodm/mmio.h>

/* Pins of the IOAPIC that nothing else uses. When all are taken they are shared: each interrupt is
 * an edge, and the driver looks at the status register of each device. */
static const uint8_t pins[] = {20, 21, 22, 23, 5, 6, 7, 10, 11, 12, 14, 15};

struct mmio_device {
	struct vmm_device base;
	struct vmm_window window;
	struct vmm *vmm;
	struct vio_device *dev;
	struct vio_mmio *mmio;
	unsigned int gsi;
	int irq_fd;
};

static void mmio_access(struct vmm_window *w, uint64_t offset, void *data, unsigned int len,
			bool write)
{
	struct mmio_device *d = vio_container_of(w, struct mmio_device, window);

	if (write)
		vio_mmio_write(d->mmio, offset, data, len);
	else
		vio_mmio_read(d->mmio, offset, data, len);
}

static void attach_queue(struct mmio_device *d, uint16_t index)
{
	struct vio_mmio_ioeventfd io;
	struct vmm_notify notify;

	if (vio_mmio_ioeventfd(d->mmio, index, &io))
		return;
	notify = (struct vmm_notify){
		.addr = d->window.base + io.offset,
		.len = io.length,
		.match = !io.any_data,
		.value = io.data,
		.fd = io.fd,
	};
	notify_attach(d->vmm, &notify, true);
}

static int mmio_power_on(struct vmm_device *base)
{
	struct mmio_device *d = vio_container_of(base, struct mmio_device, base);
	uint16_t queues = d->vmm->config.ioeventfd ? vio_device_n_queues(d->dev) : 0;

	for (uint16_t i = 0; i < queues; i++)
		attach_queue(d, i);
	return irq_attach_edge(d->vmm, d->gsi, d->irq_fd);
}

static void mmio_power_off(struct vmm_device *base)
{
	struct mmio_device *d = vio_container_of(base, struct mmio_device, base);
	eventfd_t ignored;

	vio_device_reset(d->dev);
	eventfd_read(d->irq_fd, &ignored); /* not the next guest's interrupt */
}

static void mmio_destroy(struct vmm_device *base)
{
	struct mmio_device *d = vio_container_of(base, struct mmio_device, base);

	vio_mmio_destroy(d->mmio);
	if (d->irq_fd >= 0)
		close(d->irq_fd);
	free(d);
}

static const struct vmm_device_ops mmio_ops = {
	.power_on = mmio_power_on,
	.power_off = mmio_power_off,
	.destroy = mmio_destroy,
};

/* The next window, aligned to its size, in the table that acpi.c describes to the guest. */
static int claim_slot(struct vmm *vmm, uint64_t size, struct vmm_mmio_slot **out)
{
	struct vmm_mmio_slot *slot = &vmm->mmio[vmm->n_mmio], *last = slot - 1;
	uint64_t free_from = vmm->n_mmio ? last->base + last->size : VMM_MMIO_BASE;

	if (vmm->n_mmio == VMM_MAX_MMIO)
		return -ENOSPC;
	slot->base = vio_round_up(free_from, size > VMM_MMIO_PAGE ? size : VMM_MMIO_PAGE);
	slot->size = size;
	slot->gsi = pins[vmm->n_mmio % sizeof(pins)];
	if (!vio_range_ok(slot->base, size, VMM_MMIO_END))
		return -ENOSPC;
	vmm->n_mmio++;
	*out = slot;
	return 0;
}

int virtio_mmio_create(struct vmm *vmm, struct vio_device *dev, struct vmm_device **out)
{
	struct vio_mmio_config config = {.irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	struct mmio_device *d = calloc(1, sizeof(*d));
	struct vmm_mmio_slot *slot;
	int rc;

	if (!d)
		return -ENOMEM;
	*d = (struct mmio_device){
		.base.ops = &mmio_ops,
		.vmm = vmm,
		.dev = dev,
		.irq_fd = config.irq_fd,
	};
	rc = config.irq_fd < 0 ? -errno : vio_mmio_create(dev, &config, &d->mmio);
	if (!rc)
		rc = claim_slot(vmm, vio_mmio_size(d->mmio), &slot);
	if (rc) {
		mmio_destroy(&d->base);
		return rc;
	}
	d->gsi = slot->gsi;
	d->window = (struct vmm_window){
		.base = slot->base,
		.size = slot->size,
		.access = mmio_access,
	};
	space_add(&vmm->memory, &d->window);
	*out = &d->base;
	return 0;
}
