/* SPDX-License-Identifier: BSD-3-Clause */
#include <driver/rig.h>

#include <string.h>

#include <driver/bus_mmio.h>
#include <driver/bus_pci.h>

static void rig_log(void *arg, enum vio_log_level level, const char *line)
{
	struct drv_rig *rig = arg;

	(void)line;
	if (level <= VIO_LOG_WARN)
		rig->log_lines++;
}

int drv_rig_init(struct drv_rig *rig)
{
	int r;

	memset(rig, 0, sizeof(*rig));
	drv_mem_init(&rig->mem);
	rig->log = (struct vio_log){.write = rig_log, .arg = rig, .max_level = VIO_LOG_DEBUG};
	r = drv_mem_add(&rig->mem, DRV_RIG_RAM_GPA, DRV_RIG_RAM_SIZE);
	if (r == 0)
		r = drv_mem_add(&rig->mem, DRV_RIG_RAM_GPA + DRV_RIG_RAM_SIZE, DRV_RIG_RAM_SIZE);
	if (r == 0)
		r = drv_mem_map(&rig->mem, &rig->map);
	if (r == 0)
		r = vio_loop_manual_create(&rig->loop);
	if (r == 0)
		r = vio_backend_inproc_create(rig->loop, &rig->backend);
	if (r < 0) {
		drv_rig_fini(rig);
		return r;
	}
	rig->env = (struct vio_device_env){
		.name = "dut", .mem = rig->map, .backend = rig->backend, .log = &rig->log};
	return 0;
}

void drv_rig_fini(struct drv_rig *rig)
{
	vio_backend_destroy(rig->backend);
	vio_loop_destroy(rig->loop);
	vio_mem_destroy(rig->map);
	drv_mem_fini(&rig->mem);
}

int drv_rig_turn(void *arg)
{
	struct drv_rig *rig = arg;

	return vio_loop_manual_run(rig->loop, 0);
}

int drv_rig_connect(struct drv_rig *rig, struct vio_device *dev, enum drv_bus_kind kind,
		    struct drv_bus **bus, struct drv_device *drv)
{
	int r;

	if (kind == DRV_MMIO)
		r = drv_mmio_create(dev, bus);
	else
		r = drv_pci_create(dev, kind == DRV_PCI_MSIX ? VIO_PCI_VECTORS_AUTO : 0, bus);
	if (r < 0)
		return r;
	drv_device_init(drv, *bus, &rig->mem, drv_rig_turn, rig);
	return 0;
}

void drv_rig_disconnect(struct vio_device *dev, struct drv_bus *bus, struct drv_device *drv)
{
	drv_device_fini(drv);
	drv_bus_destroy(bus);
	vio_device_destroy(dev);
}
