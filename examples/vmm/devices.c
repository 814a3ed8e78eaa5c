/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <viodm/config.h>
#include <viodm/loop.h>
#include <viodm/loop_event.h>
#include <viodm/mem.h>

struct vmm_devices {
	struct vio_mem *mem;
	struct vio_loop *loop;
	struct vio_assembly *assembly;
	struct vmm_device *first, **last;
};

static int create_mem(const struct vmm_ram *ram, struct vio_mem **out)
{
	const struct vio_mem_region regions[] = {
		{.size = ram->low, .hva = ram->host, .fd = ram->fd},
		{
			.gpa = VMM_HIGH_BASE,
			.size = ram->high,
			.hva = ram->host + ram->low,
			.fd = ram->fd,
			.fd_offset = ram->low,
		},
	};

	return vio_mem_create(regions, ram->high ? 2 : 1, out);
}

static int create_assembly(struct vmm *vmm, struct vmm_devices *devices, struct vio_config *config)
{
	struct vio_config_env env = {.loop = devices->loop, .mem = devices->mem, .log = &vmm->log};
	int rc = vio_assembly_create(config, &env, &devices->assembly);

	if (rc)
		warnx("%s", vio_config_error(config));
	return rc;
}

/* Puts one device behind the registers that its section asks for. */
static int plug(struct vmm *vmm, struct vmm_devices *devices,
		const struct vio_config_device *section, struct vio_device *dev)
{
	struct vmm_device *d;
	int rc;

	if (section->transport == VIO_CONFIG_PCI)
		rc = virtio_pci_create(vmm, dev, section->pci_vectors, &d);
	else
		rc = virtio_mmio_create(vmm, dev, &d);
	if (rc) {
		warnx("%s: cannot add it to the machine: %s", section->name, strerror(-rc));
		return rc;
	}
	d->next = NULL;
	*devices->last = d;
	devices->last = &d->next;
	return 0;
}

int devices_create(struct vmm *vmm, struct vio_config *config, struct vmm_devices **out)
{
	struct vmm_devices *devices = calloc(1, sizeof(*devices));
	int rc;

	if (!devices)
		return -ENOMEM;
	devices->last = &devices->first;
	rc = create_mem(&vmm->ram, &devices->mem);
	if (!rc)
		rc = vio_loop_event_create(vmm->base, &devices->loop);
	if (!rc)
		rc = create_assembly(vmm, devices, config);
	for (size_t i = 0; !rc && i < vio_config_n_devices(config); i++)
		rc = plug(vmm, devices, vio_config_device(config, i),
			  vio_assembly_device(devices->assembly, i));
	if (rc) {
		devices_destroy(devices);
		return rc;
	}
	*out = devices;
	return 0;
}

void devices_destroy(struct vmm_devices *devices)
{
	struct vmm_device *d, *next;

	if (!devices)
		return;
	for (d = devices->first; d; d = next) {
		next = d->next;
		d->ops->destroy(d);
	}
	vio_assembly_destroy(devices->assembly);
	vio_loop_destroy(devices->loop);
	vio_mem_destroy(devices->mem);
	free(devices);
}

int devices_power_on(struct vmm_devices *devices)
{
	int rc = 0;

	for (struct vmm_device *d = devices->first; !rc && d; d = d->next)
		rc = d->ops->power_on ? d->ops->power_on(d) : 0;
	return rc;
}

void devices_power_off(struct vmm_devices *devices)
{
	for (struct vmm_device *d = devices->first; d; d = d->next)
		d->ops->power_off(d);
}

void devices_refresh(struct vmm_devices *devices)
{
	vio_assembly_refresh(devices->assembly);
}

struct vio_assembly *devices_assembly(struct vmm_devices *devices)
{
	return devices->assembly;
}
