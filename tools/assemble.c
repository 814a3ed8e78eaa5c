/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A checked config to devices: storage, back-end and device of each section, and back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <viodm/backend.h>

#include "config_internal.h"

/* What one device section became. */
struct assembled {
	const struct object *object;
	struct vio_storage *storage; /* NULL: the model has none */
	struct vio_backend *backend;
	struct vio_device *dev;
};

struct vio_assembly {
	const struct vio_log *log;
	size_t n;
	struct assembled devices[];
};

static int open_storage(const struct object *o, struct vio_storage **out)
{
	const struct model_ops *model = &o->parts[LEAF_MODEL].leaf->model;
	const struct part *engine = &o->parts[LEAF_ENGINE];
	struct vio_storage_file_config access = {0};

	if (!engine->leaf)
		return 0;
	model->access(o->parts, &access);
	return engine->leaf->engine.open(engine->opts, &access, out);
}

/* On failure `*what` says what could not be made; what was made stays in *d. */
static int assemble(struct assembled *d, const struct vio_config_env *env, const char **what)
{
	const struct object *o = d->object;
	const struct part *backend = &o->parts[LEAF_BACKEND];
	struct vio_device_env device_env = {.name = o->name, .mem = env->mem, .log = env->log};
	int r;

	*what = "storage";
	r = open_storage(o, &d->storage);
	if (r)
		return r;
	*what = "back-end";
	r = backend->leaf->backend.create(backend->opts, env, &d->backend);
	if (r)
		return r;
	*what = "device";
	device_env.backend = d->backend;
	return o->parts[LEAF_MODEL].leaf->model.create(o->parts, &device_env, d->storage, &d->dev);
}

static void disassemble(struct assembled *d)
{
	vio_device_destroy(d->dev);
	vio_backend_destroy(d->backend);
	vio_storage_close(d->storage);
}

int vio_assembly_create(struct vio_config *cfg, const struct vio_config_env *env,
			struct vio_assembly **out)
{
	size_t n = vio_config_n_devices(cfg);
	struct vio_assembly *a;

	if (!cfg->checked)
		return config_fail(cfg, -EINVAL, NULL, NULL, NULL, "the config was not checked");
	a = calloc(1, sizeof(*a) + n * sizeof(a->devices[0]));
	if (!a)
		return config_no_memory(cfg);
	a->log = env->log;
	for (size_t i = 0; i < n; i++) {
		struct assembled *d = &a->devices[a->n++];
		const char *what;
		int r;

		d->object = cfg->objects[cfg->n_own + i];
		r = assemble(d, env, &what);
		if (r) {
			vio_assembly_destroy(a);
			return config_fail(cfg, r, &cfg->objects[cfg->n_own + i]->at,
					   cfg->objects[cfg->n_own + i], NULL,
					   "the %s cannot be made: %s", what, strerror(-r));
		}
	}
	*out = a;
	return 0;
}

void vio_assembly_destroy(struct vio_assembly *a)
{
	if (!a)
		return;
	while (a->n > 0)
		disassemble(&a->devices[--a->n]);
	free(a);
}

struct vio_device *vio_assembly_device(const struct vio_assembly *a, size_t i)
{
	return i < a->n ? a->devices[i].dev : NULL;
}

unsigned vio_assembly_refresh(struct vio_assembly *a)
{
	unsigned changed = 0;

	for (size_t i = 0; i < a->n; i++) {
		const struct object *o = a->devices[i].object;
		const struct model_ops *model = &o->parts[LEAF_MODEL].leaf->model;
		int r = model->refresh ? model->refresh(a->devices[i].dev) : 0;

		if (r > 0)
			changed++;
		else if (r < 0)
			vio_log(a->log, VIO_LOG_WARN, "%s: cannot read the size: %s", o->name,
				strerror(-r));
	}
	return changed;
}
