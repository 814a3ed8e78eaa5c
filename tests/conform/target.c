/* SPDX-License-Identifier: BSD-3-Clause */
#include "target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <driver/bus_mmio.h>
#include <driver/bus_pci.h>
#include <driver/bus_vhost.h>
#include <linux/virtio_ids.h>
#include <viodm/config.h>
#include <viodm/device.h>
#include <viodm/loop_manual.h>
#include <viodm/net.h>

#include "result.h"

/* Two regions that touch in guest-physical memory and nowhere else. */
#define RAM_GPA	 0x10000u
#define RAM_SIZE 0x1000000u

/*
 * Whatever has threads of its own gets the longer time to do what it must not do; a device that
 * runs in the thread of the check waits for its storage engine at most.
 */
#define QUIET_MS	20
#define QUIET_INLINE_MS 5

/* Statements are tested here, not what the device has to say about its driver. */
static void drop_line(void *arg, enum vio_log_level level, const char *line)
{
	struct run *r = arg;

	if (level <= VIO_LOG_WARN)
		run_note(r, "device says: %s", line);
}

struct inproc {
	struct drv_mem ram; /* all there is, for this device and its neighbour */
	struct run neighbour;
	struct vio_config *cfg;
	struct vio_assembly *assembly;
	struct vio_mem *map;
	struct vio_loop *loop;
	struct vio_log log;
};

static int turn(void *arg)
{
	struct inproc *p = arg;

	return vio_loop_manual_run(p->loop, 0);
}

/* ---- a device of a configuration file ----------------------------------------------------------
 */

static int inproc_config(struct inproc *p, const struct target_config *cfg, const char *path,
			 char *error, unsigned len)
{
	static const char *const others[] = {"vm", "serve", NULL};
	int r = vio_config_create(NULL, 0, &p->cfg);

	if (r < 0)
		return r;
	vio_config_ignore(p->cfg, others);
	r = vio_config_read(p->cfg, path);
	for (unsigned i = 0; r == 0 && i < cfg->n_options; i++)
		r = vio_config_set(p->cfg, cfg->options[i]);
	if (r == 0)
		r = vio_config_check(p->cfg);
	if (r < 0)
		snprintf(error, len, "%s", vio_config_error(p->cfg));
	return r;
}

/* The device called `name`; NULL: the only one, or the first. */
static int inproc_find(const struct inproc *p, const char *name, size_t *index)
{
	for (*index = 0; *index < vio_config_n_devices(p->cfg); (*index)++)
		if (!name || strcmp(vio_config_device(p->cfg, *index)->name, name) == 0)
			return 0;
	return -ENODEV;
}

static unsigned quiet_of(const struct vio_config_device *d)
{
	return strcmp(d->backend, "inproc") == 0 ? QUIET_INLINE_MS : QUIET_MS;
}

static unsigned way_of(const struct vio_config_device *d)
{
	switch (d->transport) {
	case VIO_CONFIG_PCI:
		return d->pci_vectors == 0 ? WAY_PCI_INTX : WAY_PCI_MSIX;
	default:
		return WAY_MMIO;
	}
}

/* As if the world around the device had changed: its disk's size, its link. */
static bool inproc_change(struct run *r)
{
	struct vio_device *dev = r->change_arg;
	uint8_t b[8];

	if (r->device_id != VIRTIO_ID_BLOCK && r->device_id != VIRTIO_ID_NET)
		return false;
	vio_device_config_read(dev, 0, b, sizeof(b));
	b[6] ^= 1;
	vio_device_config_update(dev, 6, b + 6, 1);
	return true;
}

/* As after a migration. */
static bool inproc_announce(struct run *r)
{
	return r->device_id == VIRTIO_ID_NET && vio_net_announce(r->change_arg) == 0;
}

static void begin(struct run *r, unsigned patience_ms)
{
	r->drv.patience_ms = patience_ms; /* IO threads, and threads of engines */
	drv_reset(r->bus);
	r->device_id = (uint32_t)drv_get(r->bus, DRV_DEVICE_ID, 0);
	r->offered = drv_offered(r->bus);
}

static int inproc_connect(struct run *r, struct inproc *p, struct vio_device *dev)
{
	int ret;

	r->change_config = inproc_change;
	r->announce = inproc_announce;
	r->change_arg = dev;
	if (r->way == WAY_MMIO)
		ret = drv_mmio_create(dev, &r->bus);
	else
		ret = drv_pci_create(dev, r->way == WAY_PCI_MSIX ? VIO_PCI_VECTORS_AUTO : 0,
				     &r->bus);
	if (ret < 0)
		return ret;
	drv_device_init(&r->drv, r->bus, &r->mem, turn, p);
	return 0;
}

/* The neighbour has the last region to itself. */
static int inproc_neighbour(struct run *r, struct inproc *p, const struct target_config *cfg,
			    size_t index)
{
	struct run *n = &p->neighbour;
	int ret;

	n->way = way_of(vio_config_device(p->cfg, index));
	n->quiet_ms = quiet_of(vio_config_device(p->cfg, index));
	n->result = r->result;
	n->mem.region[0] = p->ram.region[p->ram.n - 1];
	n->mem.n = 1;
	ret = inproc_connect(n, p, vio_assembly_device(p->assembly, index));
	if (ret < 0)
		return ret;
	begin(n, cfg->patience_ms);
	r->neighbour = n;
	return 0;
}

static int inproc_open(struct run *r, const struct target_config *cfg, const char *path,
		       const char *name, char *error, unsigned len)
{
	struct inproc *p = calloc(1, sizeof(*p));
	struct vio_config_env env;
	size_t index;
	int ret;

	if (!p)
		return -ENOMEM;
	ret = inproc_config(p, cfg, path, error, len);
	if (ret < 0)
		return ret;
	ret = inproc_find(p, name, &index);
	if (ret < 0) {
		snprintf(error, len, "%s: no device %s", path, name ? name : "at all");
		return ret;
	}
	p->log = (struct vio_log){.write = drop_line, .arg = r, .max_level = VIO_LOG_WARN};
	p->ram = r->mem;
	if (vio_config_n_devices(p->cfg) > 1)
		ret = drv_mem_add(&p->ram, RAM_GPA + 2 * RAM_SIZE, RAM_SIZE);
	if (ret == 0)
		ret = drv_mem_map(&p->ram, &p->map);
	if (ret == 0)
		ret = vio_loop_manual_create(&p->loop);
	if (ret < 0)
		return ret;
	env = (struct vio_config_env){.loop = p->loop, .mem = p->map, .log = &p->log};
	ret = vio_assembly_create(p->cfg, &env, &p->assembly);
	if (ret < 0) {
		snprintf(error, len, "%s", vio_config_error(p->cfg));
		return ret;
	}
	r->way = cfg->bus ? cfg->bus : way_of(vio_config_device(p->cfg, index));
	r->quiet_ms = quiet_of(vio_config_device(p->cfg, index));
	ret = inproc_connect(r, p, vio_assembly_device(p->assembly, index));
	if (ret == 0 && vio_config_n_devices(p->cfg) > 1)
		ret = inproc_neighbour(r, p, cfg, (index + 1) % vio_config_n_devices(p->cfg));
	return ret;
}

/* ---- vhost-user --------------------------------------------------------------------------------
 */

static void on_no_config(void *arg)
{
	skip(arg, "the configuration space cannot be reached");
}

static int vhost_open(struct run *r, const struct target_config *cfg, const char *path)
{
	int ret = drv_vhost_create(path, cfg->device, &r->mem, &r->bus);

	if (ret < 0)
		return ret;
	r->way = WAY_VHOST_USER;
	r->quiet_ms = QUIET_MS;
	r->bus->on_no_config = on_no_config;
	r->bus->on_no_config_arg = r;
	drv_device_init(&r->drv, r->bus, &r->mem, NULL, NULL);
	return 0;
}

static int open_spec(struct run *r, const struct target_config *cfg, char *error, unsigned len)
{
	char path[4096], *name;

	if (strncmp(cfg->spec, "vhost-user:", 11) == 0)
		return vhost_open(r, cfg, cfg->spec + 11);
	if (strncmp(cfg->spec, "inproc:", 7) != 0) {
		snprintf(error, len, "\"%s\" is neither inproc:FILE[:DEVICE] nor vhost-user:SOCKET",
			 cfg->spec);
		return -EINVAL;
	}
	snprintf(path, sizeof(path), "%s", cfg->spec + 7);
	/* A file may have a colon in its name. */
	name = access(path, F_OK) == 0 ? NULL : strrchr(path, ':');
	if (name)
		*name++ = '\0';
	return inproc_open(r, cfg, path, name, error, len);
}

int target_open(struct run *r, const struct target_config *cfg, char *error, unsigned len)
{
	int ret;

	error[0] = '\0';
	drv_mem_init(&r->mem);
	ret = drv_mem_add(&r->mem, RAM_GPA, RAM_SIZE);
	if (ret == 0)
		ret = drv_mem_add(&r->mem, RAM_GPA + RAM_SIZE, RAM_SIZE);
	if (ret == 0)
		ret = open_spec(r, cfg, error, len);
	if (ret < 0 && !error[0])
		snprintf(error, len, "%s: %s", cfg->spec, strerror(-ret));
	if (ret < 0)
		return ret;
	r->bus->trace = &r->result->trace;
	begin(r, cfg->patience_ms);
	return 0;
}
