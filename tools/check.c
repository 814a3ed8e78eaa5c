/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Settings to typed options of the chosen leaves, and everything that can be wrong with them.
 * Creates nothing that outlives the config.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_internal.h"

void object_fini_parts(struct object *o)
{
	for (unsigned k = 0; k < LEAF_KINDS; k++) {
		struct part *p = &o->parts[k];

		if (!p->leaf || !p->opts)
			continue;
		vio_opts_fini(p->leaf->opts, p->leaf->n_opts, p->opts);
		if (!o->own)
			free(p->opts);
		p->opts = NULL;
	}
}

const struct origin *config_blame(const struct object *o, const char *key)
{
	const struct setting *s = key ? config_setting(o, key) : NULL;

	return s ? &s->at : &o->at;
}

/* ---- the leaves of a section ----------------------------------------------------------------- */

static int init_part(struct vio_config *cfg, struct part *p)
{
	/* One byte more: an object without options is still not NULL. */
	p->opts = calloc(1, p->leaf->opts_size + 1);
	if (!p->opts)
		return config_no_memory(cfg);
	if (vio_opts_init(p->leaf->opts, p->leaf->n_opts, p->opts)) {
		free(p->opts);
		p->opts = NULL;
		return config_no_memory(cfg);
	}
	return 0;
}

/* Which leaf of `kind` does the section want? */
static int choose_leaf(struct vio_config *cfg, struct object *o, enum leaf_kind kind)
{
	const char *names[LEAF_MAX + 1];
	struct vio_opt key = builtin_key(kind, names);
	const struct setting *s = config_setting(o, key.name);
	char text[VIO_OPT_ERROR_LEN] = "";
	unsigned chosen = 0;

	if (!s && key.required) {
		vio_opt_values(&key, text, sizeof(text));
		return config_fail(cfg, -EINVAL, &o->at, o, key.name, "required (%s)", text);
	}
	key.offset = 0; /* the field is `chosen` itself */
	if (vio_opt_set(&key, &chosen, s ? s->value : key.def, text))
		return config_fail(cfg, -EINVAL, config_blame(o, key.name), o, key.name, "%s",
				   text);
	o->parts[kind].leaf = builtin_leaves[kind].leaves[chosen];
	return init_part(cfg, &o->parts[kind]);
}

static int choose_leaves(struct vio_config *cfg, struct object *o)
{
	int r = o->own ? 0 : init_part(cfg, &o->parts[LEAF_MODEL]);

	for (unsigned k = LEAF_MODEL + 1; k < LEAF_KINDS && !r; k++) {
		if (config_needs(o, k))
			r = choose_leaf(cfg, o, k);
	}
	return r;
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool chooses_leaf(const struct object *o, const char *key)
{
	for (unsigned k = LEAF_MODEL + 1; k < LEAF_KINDS; k++) {
		if (config_needs(o, k) && strcmp(builtin_leaves[k].key.name, key) == 0)
			return true;
	}
	return false;
}

static const struct vio_opt *find_opt(const struct leaf *leaf, const char *key)
{
	return leaf ? vio_opts_find(leaf->opts, leaf->n_opts, key) : NULL;
}

/* "belongs to engine = memory or null; this section has engine = sync" */
static void describe_misfit(const struct object *o, enum leaf_kind kind, const char *key,
			    char *text)
{
	const struct leaf_set *set = &builtin_leaves[kind];
	size_t used = 0, shown = 0;

	for (size_t i = 0; i < set->n && used < VIO_OPT_ERROR_LEN; i++) {
		if (!find_opt(set->leaves[i], key))
			continue;
		used += (size_t)snprintf(text + used, VIO_OPT_ERROR_LEN - used, "%s%s",
					 shown++ ? " or " : "", set->leaves[i]->name);
	}
	if (used < VIO_OPT_ERROR_LEN)
		snprintf(text + used, VIO_OPT_ERROR_LEN - used, "; this section has %s = %s",
			 set->key.name, o->parts[kind].leaf->name);
}

/*
 * -o chose another leaf than the file, which still has the first one's options: not a mistake, they
 * are left out.
 */
static bool is_overruled(const struct object *o, enum leaf_kind kind, const struct setting *s)
{
	const struct setting *choice = config_setting(o, builtin_leaves[kind].key.name);

	return choice && choice->at.line == 0 && s->at.line != 0;
}

/* A key that the section knows, but not with the leaves it has. */
static int set_misfit(struct vio_config *cfg, const struct object *o, const struct setting *s)
{
	char text[VIO_OPT_ERROR_LEN] = "";

	for (unsigned k = LEAF_MODEL + 1; k < LEAF_KINDS; k++) {
		for (size_t i = 0; config_needs(o, k) && i < builtin_leaves[k].n; i++) {
			if (!find_opt(builtin_leaves[k].leaves[i], s->key))
				continue;
			if (is_overruled(o, k, s))
				return 0;
			describe_misfit(o, k, s->key, text);
			return config_fail(cfg, -EINVAL, &s->at, o, s->key, "belongs to %s = %s",
					   builtin_leaves[k].key.name, text);
		}
	}
	return config_fail(cfg, -EINVAL, &s->at, o, s->key, "unknown key");
}

static int set_option(struct vio_config *cfg, const struct object *o, const struct setting *s)
{
	char text[VIO_OPT_ERROR_LEN] = "";

	if (chooses_leaf(o, s->key))
		return 0;
	for (unsigned k = 0; k < LEAF_KINDS; k++) {
		const struct vio_opt *opt = find_opt(o->parts[k].leaf, s->key);
		int r;

		if (!opt)
			continue;
		r = vio_opt_set(opt, o->parts[k].opts, s->value, text);
		return r ? config_fail(cfg, r, &s->at, o, s->key, "%s", text) : 0;
	}
	return set_misfit(cfg, o, s);
}

static int check_required(struct vio_config *cfg, const struct object *o, enum leaf_kind kind)
{
	const struct leaf *leaf = o->parts[kind].leaf;
	char values[256];

	for (size_t i = 0; leaf && i < leaf->n_opts; i++) {
		const struct vio_opt *opt = &leaf->opts[i];

		if (!opt->required || config_setting(o, opt->name))
			continue;
		vio_opt_values(opt, values, sizeof(values));
		if (kind == LEAF_MODEL)
			return config_fail(cfg, -EINVAL, &o->at, o, opt->name, "required (%s)",
					   values);
		return config_fail(cfg, -EINVAL, &o->at, o, opt->name, "required with %s = %s (%s)",
				   builtin_leaves[kind].key.name, leaf->name, values);
	}
	return 0;
}

/* ---- what leaves and the embedder say -------------------------------------------------------- */

static int check_own(struct vio_config *cfg, const struct object *o)
{
	char text[VIO_OPT_ERROR_LEN] = "";
	int r = o->own->check ? o->own->check(o->own->data, text) : 0;

	return r ? config_fail(cfg, r, &o->at, o, NULL, "%s", text) : 0;
}

static int check_engine(struct object *o, struct fault *fault)
{
	const struct part *engine = &o->parts[LEAF_ENGINE];
	struct vio_storage_file_config access = {0};

	o->parts[LEAF_MODEL].leaf->model.access(o->parts, &access);
	return engine->leaf->engine.check(engine->opts, &access, &o->storage_size, fault);
}

static int check_port(const struct object *o, struct fault *fault)
{
	const struct part *part = &o->parts[LEAF_PORT];
	const struct port_ops *port = &part->leaf->port;
	struct port_want want = {0};

	o->parts[LEAF_MODEL].leaf->model.port(o->parts, &want);
	if (want.pairs > port->max_pairs) {
		fault->key = "queue-pairs";
		snprintf(fault->text, sizeof(fault->text),
			 "%u is more than port = %s can do (1..%u)", want.pairs, part->leaf->name,
			 port->max_pairs);
		return -EINVAL;
	}
	return port->check ? port->check(part->opts, &want, fault) : 0;
}

static int check_leaves(struct object *o, struct fault *fault)
{
	const struct model_ops *model = &o->parts[LEAF_MODEL].leaf->model;
	int r = model->check ? model->check(o->parts, fault) : 0;

	if (!r && o->parts[LEAF_ENGINE].leaf)
		r = check_engine(o, fault);
	if (!r && o->parts[LEAF_PORT].leaf)
		r = check_port(o, fault);
	return r;
}

static int describe(struct object *o, struct fault *fault)
{
	const struct part *transport = &o->parts[LEAF_TRANSPORT];
	const struct leaf *engine = o->parts[LEAF_ENGINE].leaf;
	const struct leaf *port = o->parts[LEAF_PORT].leaf;

	o->device = (struct vio_config_device){
		.name = o->name,
		.model = o->parts[LEAF_MODEL].leaf->name,
		.backend = o->parts[LEAF_BACKEND].leaf->name,
		.engine = engine ? engine->name : NULL,
		.port = port ? port->name : NULL,
		.transport = transport->leaf->transport.id,
	};
	return transport->leaf->transport.describe(transport->opts, &o->device, fault);
}

static int check_device(struct vio_config *cfg, struct object *o)
{
	struct fault fault = {0};
	int r = check_leaves(o, &fault);

	if (r == 0)
		r = describe(o, &fault);
	if (r)
		return config_fail(cfg, r, config_blame(o, fault.key), o, fault.key, "%s",
				   fault.text);
	cfg->devices[cfg->n_devices++] = o;
	return config_check_transport(cfg, o);
}

static int check_iothread(struct vio_config *cfg, struct object *o)
{
	const struct part *p = &o->parts[LEAF_MODEL];
	struct fault fault = {0};
	int r = p->leaf->iothread.check(p->opts, &fault);

	return r ? config_fail(cfg, r, config_blame(o, fault.key), o, fault.key, "%s", fault.text)
		 : 0;
}

static int check_object(struct vio_config *cfg, struct object *o)
{
	int r;

	if (!o->written)
		o->at.source = cfg->file;
	r = choose_leaves(cfg, o);
	for (size_t i = 0; i < o->n_settings && !r; i++)
		r = set_option(cfg, o, &o->settings[i]);
	for (unsigned k = 0; k < LEAF_KINDS && !r; k++)
		r = check_required(cfg, o, k);
	if (!r)
		r = config_resolve(cfg, o);
	if (r)
		return r;
	if (o->own)
		return check_own(cfg, o);
	return object_is_device(o) ? check_device(cfg, o) : check_iothread(cfg, o);
}

int vio_config_check(struct vio_config *cfg)
{
	int r;

	if (cfg->closed)
		return config_busy(cfg);
	cfg->closed = true;
	if (cfg->failed)
		return -EINVAL;
	r = config_apply_sets(cfg);
	cfg->devices = calloc(cfg->n_objects + 1, sizeof(struct object *));
	if (!r && !cfg->devices)
		r = config_no_memory(cfg);
	for (size_t i = 0; i < cfg->n_objects && !r; i++)
		r = check_object(cfg, cfg->objects[i]);
	cfg->checked = r == 0;
	return r;
}

size_t vio_config_n_devices(const struct vio_config *cfg)
{
	return cfg->checked ? cfg->n_devices : 0;
}

const struct vio_config_device *vio_config_device(const struct vio_config *cfg, size_t i)
{
	return i < vio_config_n_devices(cfg) ? &cfg->devices[i]->device : NULL;
}
