/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The config itself: errors, and the objects that section headers make.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_internal.h"

/* ---- errors ---------------------------------------------------------------------------------- */

/* Where a line of text goes on being written. */
static size_t add_text(char *buf, size_t used, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static size_t add_text(char *buf, size_t used, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf + used, CONFIG_ERROR_LEN - used, fmt, ap);
	va_end(ap);
	if (n < 0)
		return used;
	return used + (size_t)n < CONFIG_ERROR_LEN ? used + (size_t)n : CONFIG_ERROR_LEN - 1;
}

int config_fail(struct vio_config *cfg, int r, const struct origin *at, const struct object *o,
		const char *key, const char *fmt, ...)
{
	char text[VIO_OPT_ERROR_LEN];
	size_t used = 0;
	va_list ap;

	if (cfg->failed && !cfg->checked)
		return r;
	cfg->failed = true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (at && at->source)
		used = add_text(cfg->error, used, "%.*s", VIO_OPT_ERROR_LEN, at->source);
	if (at && at->source && at->line)
		used = add_text(cfg->error, used, ":%u", at->line);
	if (used)
		used = add_text(cfg->error, used, ": ");
	if (o)
		used = add_text(cfg->error, used, "[%s%s%s] ", o->parts[LEAF_MODEL].leaf->name,
				o->name ? " " : "", o->name ? o->name : "");
	if (key)
		used = add_text(cfg->error, used, "%s: ", key);
	add_text(cfg->error, used, "%s", text);
	return r;
}

int config_busy(struct vio_config *cfg)
{
	return config_fail(cfg, -EBUSY, NULL, NULL, NULL, "the config was checked before");
}

int config_no_memory(struct vio_config *cfg)
{
	return config_fail(cfg, -ENOMEM, NULL, NULL, NULL, "out of memory");
}

const char *vio_config_error(const struct vio_config *cfg)
{
	return cfg->error;
}

const char *config_keep_source(struct vio_config *cfg, const char *text)
{
	char **sources = realloc(cfg->sources, (cfg->n_sources + 1) * sizeof(*sources));
	char *copy;

	if (!sources)
		return NULL;
	cfg->sources = sources;
	copy = strdup(text);
	if (copy)
		sources[cfg->n_sources++] = copy;
	return copy;
}

/* ---- sections -------------------------------------------------------------------------------- */

struct object *config_find_object(const struct vio_config *cfg, const char *name)
{
	for (size_t i = 0; i < cfg->n_objects; i++) {
		const struct object *o = cfg->objects[i];

		if (strcmp(o->name ? o->name : o->own->type, name) == 0)
			return cfg->objects[i];
	}
	return NULL;
}

static void object_free(struct object *o)
{
	object_fini_parts(o);
	free(o->refs);
	for (size_t i = 0; i < o->n_settings; i++) {
		free(o->settings[i].key);
		free(o->settings[i].value);
	}
	free(o->settings);
	free(o->name);
	free(o);
}

static struct object *add_object(struct vio_config *cfg, const char *name)
{
	struct object **objects =
		realloc(cfg->objects, (cfg->n_objects + 1) * sizeof(struct object *));
	struct object *o;

	if (!objects)
		return NULL;
	cfg->objects = objects;
	o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	if (name) {
		o->name = strdup(name);
		if (!o->name) {
			free(o);
			return NULL;
		}
	}
	objects[cfg->n_objects++] = o;
	return o;
}

static int unknown_type(struct vio_config *cfg, const struct origin *at, const char *type)
{
	const struct leaf_set *models = &builtin_leaves[LEAF_MODEL];
	const char *known[CONFIG_KEYS_MAX];
	char text[VIO_OPT_ERROR_LEN];
	size_t n = 0;

	for (size_t i = 0; i < cfg->n_own && n < CONFIG_KEYS_MAX; i++)
		known[n++] = cfg->objects[i]->own->type;
	for (size_t i = 0; i < models->n && n < CONFIG_KEYS_MAX; i++)
		known[n++] = models->leaves[i]->name;
	if (n < CONFIG_KEYS_MAX)
		known[n++] = builtin_iothread.name;
	vio_opt_unknown(text, "section type", type, known, n);
	return config_fail(cfg, -EINVAL, at, NULL, NULL, "%s", text);
}

static bool is_name(const char *s)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_";
	size_t len = strspn(s, allowed);

	return len > 0 && len <= CONFIG_NAME_MAX && s[len] == '\0';
}

static int open_own(struct vio_config *cfg, const struct origin *at, struct object *o,
		    const char *name)
{
	if (*name)
		return config_fail(cfg, -EINVAL, at, NULL, NULL,
				   "section [%s] takes no name, here \"%s\"", o->own->type, name);
	if (o->written)
		return config_fail(cfg, -EINVAL, at, NULL, NULL,
				   "section [%s] is there twice, before at %s:%u", o->own->type,
				   o->at.source, o->at.line);
	o->written = true;
	o->at = *at;
	return 0;
}

static int open_named(struct vio_config *cfg, const struct origin *at, const struct leaf *type,
		      const char *name, struct object **out)
{
	const struct object *other;
	struct object *o;

	if (!*name)
		return config_fail(cfg, -EINVAL, at, NULL, NULL,
				   "section [%s] needs a name: [%s NAME]", type->name, type->name);
	if (!is_name(name))
		return config_fail(cfg, -EINVAL, at, NULL, NULL,
				   "\"%s\" is no name: 1..%u letters, digits, - or _", name,
				   CONFIG_NAME_MAX);
	other = config_find_object(cfg, name);
	if (other && other->own)
		return config_fail(cfg, -EINVAL, at, NULL, NULL,
				   "name \"%s\" is taken by section [%s]", name, name);
	if (other)
		return config_fail(cfg, -EINVAL, at, NULL, NULL,
				   "name \"%s\" is taken by [%s %s] at %s:%u", name,
				   other->parts[LEAF_MODEL].leaf->name, name, other->at.source,
				   other->at.line);
	if (cfg->n_objects >= CONFIG_OBJECTS_MAX)
		return config_fail(cfg, -EINVAL, at, NULL, NULL, "more than %u sections",
				   CONFIG_OBJECTS_MAX);
	o = add_object(cfg, name);
	if (!o)
		return config_no_memory(cfg);
	o->at = *at;
	o->written = true;
	o->parts[LEAF_MODEL].leaf = type;
	*out = o;
	return 0;
}

/* The type of named sections, or NULL. */
static const struct leaf *find_type(const char *name)
{
	const struct leaf_set *models = &builtin_leaves[LEAF_MODEL];

	for (size_t i = 0; i < models->n; i++) {
		if (strcmp(models->leaves[i]->name, name) == 0)
			return models->leaves[i];
	}
	return strcmp(builtin_iothread.name, name) == 0 ? &builtin_iothread : NULL;
}

int config_open_section(struct vio_config *cfg, const struct origin *at, const char *header,
			struct object **out)
{
	size_t len = strcspn(header, " \t");
	const char *name = header + len + strspn(header + len, " \t");
	char type[CONFIG_KEY_MAX + 1];
	const struct leaf *leaf;

	snprintf(type, sizeof(type), "%.*s", (int)len, header);
	for (size_t i = 0; i < cfg->n_own; i++) {
		if (strcmp(cfg->objects[i]->own->type, type) == 0) {
			*out = cfg->objects[i];
			return open_own(cfg, at, *out, name);
		}
	}
	for (const char *const *t = cfg->ignored; t && *t; t++) {
		if (strcmp(*t, type) == 0) {
			*out = &cfg->skipped;
			return 0;
		}
	}
	leaf = find_type(type);
	return leaf ? open_named(cfg, at, leaf, name, out) : unknown_type(cfg, at, type);
}

/* ---- creation -------------------------------------------------------------------------------- */

static bool own_is_sound(const struct vio_config *cfg, const struct vio_config_section *own)
{
	if (!own->type || !is_name(own->type) || !own->data || own->n_opts > CONFIG_KEYS_MAX ||
	    config_find_object(cfg, own->type) || find_type(own->type))
		return false;
	for (size_t i = 0; i < own->n_opts; i++) {
		if (vio_opts_find(own->opts, i, own->opts[i].name))
			return false;
	}
	return true;
}

static int add_own(struct vio_config *cfg, const struct vio_config_section *own)
{
	struct object *o;
	int r;

	if (!own_is_sound(cfg, own))
		return -EINVAL;
	r = vio_opts_init(own->opts, own->n_opts, own->data);
	if (r)
		return r;
	o = add_object(cfg, NULL);
	if (!o) {
		vio_opts_fini(own->opts, own->n_opts, own->data);
		return -ENOMEM;
	}
	o->own = own;
	o->own_leaf = (struct leaf){
		.name = own->type, .help = own->help, .opts = own->opts, .n_opts = own->n_opts};
	o->parts[LEAF_MODEL] = (struct part){&o->own_leaf, own->data};
	cfg->n_own++;
	return 0;
}

int vio_config_create(const struct vio_config_section *sections, size_t n, struct vio_config **out)
{
	struct vio_config *cfg = calloc(1, sizeof(*cfg));

	if (!cfg)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int r = add_own(cfg, &sections[i]);

		if (r) {
			vio_config_destroy(cfg);
			return r;
		}
	}
	*out = cfg;
	return 0;
}

void vio_config_ignore(struct vio_config *cfg, const char *const *types)
{
	cfg->ignored = types;
}

void vio_config_destroy(struct vio_config *cfg)
{
	if (!cfg)
		return;
	for (size_t i = 0; i < cfg->n_objects; i++)
		object_free(cfg->objects[i]);
	free(cfg->objects);
	free(cfg->devices);
	for (size_t i = 0; i < cfg->n_sources; i++)
		free(cfg->sources[i]);
	free(cfg->sources);
	free(cfg->sets);
	free(cfg);
}
