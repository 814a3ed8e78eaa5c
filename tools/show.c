/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Listings: what this build offers, and what a config describes. Both come from the option tables.
 */
#include <inttypes.h>

#include "config_internal.h"

/* ---- what there is --------------------------------------------------------------------------- */

static void list_section(FILE *out, const struct leaf *leaf, const char *name)
{
	const char *names[LEAF_MAX + 1];

	fprintf(out, "[%s%s]\n    %s\n\n", leaf->name, name, leaf->help ? leaf->help : "");
	for (unsigned k = LEAF_MODEL + 1; k < LEAF_KINDS; k++) {
		if (leaf->needs & LEAF_BIT(k)) {
			struct vio_opt key = builtin_key(k, names);

			vio_opts_print(out, &key, 1, 4);
		}
	}
	vio_opts_print(out, leaf->opts, leaf->n_opts, 4);
	fputc('\n', out);
}

static void list_leaves(FILE *out, const struct leaf_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct leaf *leaf = set->leaves[i];

		fprintf(out, "%s = %s\n    %s\n\n", set->key.name, leaf->name, leaf->help);
		vio_opts_print(out, leaf->opts, leaf->n_opts, 4);
		if (leaf->n_opts > 0)
			fputc('\n', out);
	}
}

void vio_config_list(FILE *out, const struct vio_config_section *sections, size_t n)
{
	const struct leaf_set *models = &builtin_leaves[LEAF_MODEL];

	for (size_t i = 0; i < n; i++) {
		const struct leaf own = {.name = sections[i].type,
					 .help = sections[i].help,
					 .opts = sections[i].opts,
					 .n_opts = sections[i].n_opts};

		list_section(out, &own, "");
	}
	for (size_t i = 0; i < models->n; i++)
		list_section(out, models->leaves[i], " NAME");
	list_section(out, &builtin_iothread, " NAME");
	for (unsigned k = LEAF_MODEL + 1; k < LEAF_KINDS; k++)
		list_leaves(out, &builtin_leaves[k]);
}

/* ---- what a config describes ----------------------------------------------------------------- */

static void print_option(FILE *out, const struct object *o, const struct vio_opt *opt)
{
	const struct setting *s = config_setting(o, opt->name);
	const char *value = s ? s->value : vio_opt_default(opt);

	if (value)
		fprintf(out, "%s = %s\n", opt->name, value);
}

static void print_object(FILE *out, const struct object *o)
{
	fprintf(out, "[%s%s%s]\n", o->parts[LEAF_MODEL].leaf->name, o->name ? " " : "",
		o->name ? o->name : "");
	for (unsigned k = LEAF_MODEL + 1; k < LEAF_KINDS; k++) {
		if (o->parts[k].leaf)
			fprintf(out, "%s = %s\n", builtin_leaves[k].key.name,
				o->parts[k].leaf->name);
	}
	for (unsigned k = LEAF_KINDS; k-- > 0;) {
		const struct leaf *leaf = o->parts[k].leaf;

		for (size_t i = 0; leaf && i < leaf->n_opts; i++)
			print_option(out, o, &leaf->opts[i]);
	}
	if (object_is_device(o) && o->parts[LEAF_MODEL].leaf->model.show)
		o->parts[LEAF_MODEL].leaf->model.show(o->parts, out);
	if (o->parts[LEAF_ENGINE].leaf)
		fprintf(out, "; storage: %" PRIu64 " bytes\n", o->storage_size);
}

void vio_config_print(const struct vio_config *cfg, FILE *out)
{
	bool any = false;

	for (size_t i = 0; i < cfg->n_objects; i++) {
		const struct object *o = cfg->objects[i];

		if (!o->written && o->n_settings == 0)
			continue; /* the embedder's, and nobody has a word about it */
		if (any)
			fputc('\n', out);
		print_object(out, o);
		any = true;
	}
}
