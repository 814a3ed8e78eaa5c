/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A checked config to IO threads, storage or port, back-end and device of each section, and back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <viodm/backend.h>
#include <viodm/port_pcap.h>

#include "config_internal.h"

/* What one [iothread] section became. */
struct thread {
	const struct object *object;
	struct vio_iothread *iothread;
};

/* What one device section became. */
struct assembled {
	const struct object *object;
	struct under under;
	struct vio_backend *backend;
	struct vio_device *dev;
};

struct vio_assembly {
	const struct vio_log *log;
	struct thread *threads;
	size_t n_threads;
	size_t n;
	struct assembled devices[];
};

/* ---- making ---------------------------------------------------------------------------------- */

static int create_threads(struct vio_assembly *a, struct vio_config *cfg)
{
	a->threads = calloc(cfg->n_objects + 1, sizeof(*a->threads));
	if (!a->threads)
		return config_no_memory(cfg);
	for (size_t i = 0; i < cfg->n_objects; i++) {
		const struct object *o = cfg->objects[i];
		const struct part *p = &o->parts[LEAF_MODEL];
		struct thread *t = &a->threads[a->n_threads];
		const char *hint;
		int r;

		if (p->leaf != &builtin_iothread)
			continue;
		t->object = o;
		r = p->leaf->iothread.create(p->opts, o->name, &t->iothread, &hint);
		if (r)
			return config_fail(cfg, r, &o->at, o, NULL,
					   "the IO thread cannot be made: %s%s", strerror(-r),
					   hint);
		a->n_threads++;
	}
	return 0;
}

static struct vio_iothread *find_thread(const struct vio_assembly *a, const struct object *o)
{
	for (size_t i = 0; i < a->n_threads; i++) {
		if (a->threads[i].object == o)
			return a->threads[i].iothread;
	}
	return NULL;
}

static int open_storage(const struct object *o, const struct vio_log *log, struct vio_storage **out)
{
	const struct model_ops *model = &o->parts[LEAF_MODEL].leaf->model;
	const struct part *engine = &o->parts[LEAF_ENGINE];
	struct vio_storage_file_config access = {0};

	if (!engine->leaf)
		return 0;
	model->access(o->parts, &access);
	return engine->leaf->engine.open(engine->opts, &access, log, out);
}

/* Puts a recorder before the port. On failure the port stays as it is. */
static int record(struct vio_port **port, const struct port_want *want, const char **hint)
{
	const struct vio_port_pcap_config cfg = {.path = want->capture, .snaplen = want->snaplen};
	struct vio_port *recorder;
	int r = vio_port_pcap_open(*port, &cfg, &recorder);

	if (r) {
		*hint = " (the file of `capture`)";
		return r;
	}
	*port = recorder;
	return 0;
}

static int open_port(const struct object *o, const struct vio_log *log, struct vio_port **out,
		     const char **hint)
{
	const struct part *port = &o->parts[LEAF_PORT];
	struct port_want want = {0};
	int r;

	if (!port->leaf)
		return 0;
	o->parts[LEAF_MODEL].leaf->model.port(o->parts, &want);
	r = port->leaf->port.open(port->opts, &want, log, out, hint);
	return r || !want.capture ? r : record(out, &want, hint);
}

static int create_backend(const struct vio_assembly *a, const struct object *o,
			  const struct vio_config_env *env, struct vio_backend **out)
{
	const struct part *backend = &o->parts[LEAF_BACKEND];
	struct backend_env be = {.loop = env->loop, .n_iothreads = o->n_refs};
	int r;

	be.iothreads = calloc(o->n_refs + 1, sizeof(struct vio_iothread *));
	if (!be.iothreads)
		return -ENOMEM;
	for (size_t i = 0; i < o->n_refs; i++)
		be.iothreads[i] = find_thread(a, o->refs[i]);
	r = backend->leaf->backend.create(backend->opts, &be, out);
	free(be.iothreads);
	return r;
}

static uint64_t opt_in(const struct object *o)
{
	const struct part *t = &o->parts[LEAF_TRANSPORT], *b = &o->parts[LEAF_BACKEND];
	uint64_t features = b->leaf->backend.opt_in(b->opts);

	if (t->leaf->transport.opt_in)
		features |= t->leaf->transport.opt_in(t->opts);
	return features;
}

/*
 * On failure `*what` says what could not be made, `*hint` perhaps why; what was made stays in *d.
 */
static int assemble(const struct vio_assembly *a, struct assembled *d,
		    const struct vio_config_env *env, const char **what, const char **hint)
{
	const struct object *o = d->object;
	struct vio_device_env device_env = {.name = o->name, .mem = env->mem, .log = env->log};
	int r;

	*what = "storage";
	r = open_storage(o, env->log, &d->under.storage);
	if (r)
		return r;
	*what = "port";
	r = open_port(o, env->log, &d->under.port, hint);
	if (r)
		return r;
	*hint = "";
	*what = "back-end";
	r = create_backend(a, o, env, &d->backend);
	if (r)
		return r;
	*what = "device";
	device_env.backend = d->backend;
	device_env.opt_in = opt_in(o);
	return o->parts[LEAF_MODEL].leaf->model.create(o->parts, &device_env, &d->under, &d->dev);
}

static int create_devices(struct vio_assembly *a, struct vio_config *cfg,
			  const struct vio_config_env *env)
{
	for (size_t i = 0; i < cfg->n_devices; i++) {
		const struct object *o = cfg->devices[i];
		struct assembled *d = &a->devices[a->n++];
		const char *what, *hint = "";
		int r;

		d->object = o;
		r = assemble(a, d, env, &what, &hint);
		if (r)
			return config_fail(cfg, r, &o->at, o, NULL, "the %s cannot be made: %s%s",
					   what, strerror(-r), hint);
	}
	return 0;
}

int vio_assembly_create(struct vio_config *cfg, const struct vio_config_env *env,
			struct vio_assembly **out)
{
	struct vio_assembly *a;
	int r;

	if (!cfg->checked)
		return config_fail(cfg, -EINVAL, NULL, NULL, NULL, "the config was not checked");
	a = calloc(1, sizeof(*a) + cfg->n_devices * sizeof(a->devices[0]));
	if (!a)
		return config_no_memory(cfg);
	a->log = env->log;
	r = create_threads(a, cfg);
	if (!r)
		r = create_devices(a, cfg, env);
	if (r) {
		vio_assembly_destroy(a);
		return r;
	}
	*out = a;
	return 0;
}

static void disassemble(struct assembled *d)
{
	vio_device_destroy(d->dev);
	vio_backend_destroy(d->backend);
	vio_storage_close(d->under.storage);
	vio_port_close(d->under.port);
}

void vio_assembly_destroy(struct vio_assembly *a)
{
	if (!a)
		return;
	while (a->n > 0)
		disassemble(&a->devices[--a->n]);
	while (a->n_threads > 0)
		vio_iothread_destroy(a->threads[--a->n_threads].iothread);
	free(a->threads);
	free(a);
}

/* ---- looking --------------------------------------------------------------------------------- */

struct vio_device *vio_assembly_device(const struct vio_assembly *a, size_t i)
{
	return i < a->n ? a->devices[i].dev : NULL;
}

struct vio_storage *vio_assembly_storage(const struct vio_assembly *a, size_t i)
{
	return i < a->n ? a->devices[i].under.storage : NULL;
}

struct vio_port *vio_assembly_port(const struct vio_assembly *a, size_t i)
{
	return i < a->n ? a->devices[i].under.port : NULL;
}

int vio_assembly_refresh_device(struct vio_assembly *a, size_t i)
{
	const struct object *o = a->devices[i].object;
	const struct model_ops *model = &o->parts[LEAF_MODEL].leaf->model;
	int r = model->refresh ? model->refresh(a->devices[i].dev) : 0;

	if (r < 0)
		vio_log(a->log, VIO_LOG_WARN, "%s: cannot read the size: %s", o->name,
			strerror(-r));
	return r;
}

unsigned vio_assembly_refresh(struct vio_assembly *a)
{
	unsigned changed = 0;

	for (size_t i = 0; i < a->n; i++)
		changed += vio_assembly_refresh_device(a, i) > 0;
	return changed;
}
