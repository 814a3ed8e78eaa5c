/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Settings: the keys that a section knows and what files and -o options give them, still as text.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_internal.h"

/* How an assignment is shown in messages. */
#define SET_PREFIX "-o "

/* ---- keys ------------------------------------------------------------------------------------ */

static size_t add_key(const char **keys, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(keys[i], key) == 0)
			return n;
	}
	if (n < CONFIG_KEYS_MAX)
		keys[n++] = key;
	return n;
}

static size_t add_leaf_keys(const char **keys, size_t n, const struct leaf *leaf)
{
	for (size_t i = 0; i < leaf->n_opts; i++)
		n = add_key(keys, n, leaf->opts[i].name);
	return n;
}

/* All keys that some choice of leaves would know. */
static size_t all_keys(const struct object *o, const char **keys)
{
	size_t n = 0;

	for (unsigned k = LEAF_MODEL + 1; k < LEAF_KINDS; k++) {
		if (config_needs(o, k))
			n = add_key(keys, n, builtin_leaves[k].key.name);
	}
	n = add_leaf_keys(keys, n, o->parts[LEAF_MODEL].leaf);
	for (unsigned k = LEAF_MODEL + 1; k < LEAF_KINDS; k++) {
		for (size_t i = 0; config_needs(o, k) && i < builtin_leaves[k].n; i++)
			n = add_leaf_keys(keys, n, builtin_leaves[k].leaves[i]);
	}
	return n;
}

static struct setting *find_setting(const struct object *o, const char *key)
{
	for (size_t i = 0; i < o->n_settings; i++) {
		if (strcmp(o->settings[i].key, key) == 0)
			return &o->settings[i];
	}
	return NULL;
}

const struct setting *config_setting(const struct object *o, const char *key)
{
	return find_setting(o, key);
}

static int check_key(struct vio_config *cfg, const struct object *o, const struct origin *at,
		     const char *key)
{
	const char *keys[CONFIG_KEYS_MAX];
	size_t n = all_keys(o, keys);
	char text[VIO_OPT_ERROR_LEN];

	for (size_t i = 0; i < n; i++) {
		if (strcmp(keys[i], key) == 0)
			return 0;
	}
	vio_opt_unknown(text, "key", key, keys, n);
	return config_fail(cfg, -EINVAL, at, o, NULL, "%s", text);
}

static int append_setting(struct vio_config *cfg, struct object *o, const struct origin *at,
			  const char *key, const char *value)
{
	struct setting *settings = realloc(o->settings, (o->n_settings + 1) * sizeof(*settings));
	struct setting *s;

	if (!settings)
		return config_no_memory(cfg);
	o->settings = settings;
	s = &settings[o->n_settings];
	*s = (struct setting){.key = strdup(key), .value = strdup(value), .at = *at};
	if (!s->key || !s->value) {
		free(s->key);
		free(s->value);
		return config_no_memory(cfg);
	}
	o->n_settings++;
	return 0;
}

int config_add_setting(struct vio_config *cfg, struct object *o, const struct origin *at,
		       const char *key, const char *value)
{
	const struct setting *old;
	int r;

	if (o == &cfg->skipped)
		return 0;
	r = check_key(cfg, o, at, key);
	if (r)
		return r;
	old = find_setting(o, key);
	if (old)
		return config_fail(cfg, -EINVAL, at, o, key, "set twice, before at %s:%u",
				   old->at.source, old->at.line);
	return append_setting(cfg, o, at, key, value);
}

/* ---- -o section.key=value -------------------------------------------------------------------- */

static int unknown_section(struct vio_config *cfg, const struct origin *at, const char *name)
{
	const char *known[LEAF_MAX];
	char text[VIO_OPT_ERROR_LEN];
	size_t n = 0;

	for (size_t i = 0; i < cfg->n_objects && n < LEAF_MAX; i++) {
		const struct object *o = cfg->objects[i];

		known[n++] = o->name ? o->name : o->own->type;
	}
	vio_opt_unknown(text, "section", name, known, n);
	return config_fail(cfg, -EINVAL, at, NULL, NULL, "%s", text);
}

static int replace_setting(struct vio_config *cfg, struct setting *old, const struct origin *at,
			   const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return config_no_memory(cfg);
	free(old->value);
	old->value = copy;
	old->at = *at;
	return 0;
}

/* `text` is "section.key=value" and gets cut in three. */
static int apply_set(struct vio_config *cfg, const struct origin *at, char *text)
{
	char *key = strchr(text, '.') + 1, *value = strchr(key, '=') + 1;
	struct setting *old;
	struct object *o;
	int r;

	key[-1] = '\0';
	value[-1] = '\0';
	o = config_find_object(cfg, text);
	if (!o)
		return unknown_section(cfg, at, text);
	r = check_key(cfg, o, at, key);
	if (r)
		return r;
	old = find_setting(o, key);
	return old ? replace_setting(cfg, old, at, value) : append_setting(cfg, o, at, key, value);
}

int config_apply_sets(struct vio_config *cfg)
{
	int r = 0;

	for (size_t i = 0; i < cfg->n_sets && !r; i++) {
		struct origin at = {cfg->sets[i], 0};
		char *text = strdup(cfg->sets[i] + strlen(SET_PREFIX));

		r = text ? apply_set(cfg, &at, text) : config_no_memory(cfg);
		free(text);
	}
	return r;
}

static int add_set(struct vio_config *cfg, const char *source)
{
	const char **sets = realloc(cfg->sets, (cfg->n_sets + 1) * sizeof(*sets));

	if (!sets)
		return config_no_memory(cfg);
	cfg->sets = sets;
	sets[cfg->n_sets++] = source;
	return 0;
}

int vio_config_set(struct vio_config *cfg, const char *assignment)
{
	size_t section = strcspn(assignment, ".="), path = strcspn(assignment, "=");
	struct origin at = {NULL, 0};
	char *text;

	if (cfg->closed)
		return config_busy(cfg);
	if (asprintf(&text, SET_PREFIX "%s", assignment) < 0)
		return config_no_memory(cfg);
	at.source = config_keep_source(cfg, text);
	free(text);
	if (!at.source)
		return config_no_memory(cfg);
	if (assignment[section] != '.' || assignment[path] != '=')
		return config_fail(cfg, -EINVAL, &at, NULL, NULL, "wants section.key=value");
	return add_set(cfg, at.source);
}
