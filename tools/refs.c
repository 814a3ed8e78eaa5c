/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What sections have to do with each other, and with the embedder: names of other sections in
 * values, transports, sockets.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_internal.h"

/* ---- names of other sections ----------------------------------------------------------------- */

static bool is_of_type(const struct object *o, const char *type)
{
	return o->name && strcmp(o->parts[LEAF_MODEL].leaf->name, type) == 0;
}

/* "unknown iothread "io2"; did you mean "io1"? (known: io0, io1)" */
static int unknown_ref(struct vio_config *cfg, const struct object *o, const struct vio_opt *opt,
		       const char *name)
{
	const char *known[LEAF_MAX];
	char text[VIO_OPT_ERROR_LEN];
	size_t n = 0;

	for (size_t i = 0; i < cfg->n_objects && n < LEAF_MAX; i++) {
		if (is_of_type(cfg->objects[i], opt->word))
			known[n++] = cfg->objects[i]->name;
	}
	vio_opt_unknown(text, opt->word, name, known, n);
	if (n == 0)
		return config_fail(cfg, -EINVAL, config_blame(o, opt->name), o, opt->name,
				   "%s: there is no section [%s NAME]", text, opt->word);
	return config_fail(cfg, -EINVAL, config_blame(o, opt->name), o, opt->name, "%s", text);
}

static int add_ref(struct vio_config *cfg, struct object *o, const struct vio_opt *opt,
		   const char *name)
{
	struct object *other = config_find_object(cfg, name), **refs;

	if (!other || !is_of_type(other, opt->word))
		return unknown_ref(cfg, o, opt, name);
	for (size_t i = 0; i < o->n_refs; i++) {
		if (o->refs[i] == other)
			return config_fail(cfg, -EINVAL, config_blame(o, opt->name), o, opt->name,
					   "\"%s\" is there twice", name);
	}
	refs = realloc(o->refs, (o->n_refs + 1) * sizeof(struct object *));
	if (!refs)
		return config_no_memory(cfg);
	o->refs = refs;
	refs[o->n_refs++] = other;
	return 0;
}

static int resolve_names(struct vio_config *cfg, struct object *o, const struct vio_opt *opt,
			 const char *names)
{
	char name[VIO_OPT_ERROR_LEN / 4];
	int r = 0;

	while (!r && (names = vio_opt_next_name(names, name, sizeof(name))))
		r = add_ref(cfg, o, opt, name);
	return r;
}

int config_resolve(struct vio_config *cfg, struct object *o)
{
	int r = 0;

	for (unsigned k = 0; k < LEAF_KINDS; k++) {
		const struct part *p = &o->parts[k];

		for (size_t i = 0; p->leaf && i < p->leaf->n_opts && !r; i++) {
			const struct vio_opt *opt = &p->leaf->opts[i];
			const char *names;

			if (o->own || opt->type != VIO_OPT_NAMES)
				continue;
			memcpy(&names, (const char *)p->opts + opt->offset, sizeof(names));
			if (names)
				r = resolve_names(cfg, o, opt, names);
		}
	}
	return r;
}

/* ---- transports ------------------------------------------------------------------------------ */

void vio_config_take_transports(struct vio_config *cfg, const char *program, unsigned transports)
{
	cfg->program = program;
	cfg->transports = transports;
}

static int refuse_transport(struct vio_config *cfg, const struct object *o)
{
	const struct leaf_set *set = &builtin_leaves[LEAF_TRANSPORT];
	char taken[VIO_OPT_ERROR_LEN / 2] = "";
	size_t used = 0;

	for (size_t i = 0; i < set->n; i++) {
		if ((cfg->transports & 1u << set->leaves[i]->transport.id) && used < sizeof(taken))
			used += (size_t)snprintf(taken + used, sizeof(taken) - used, "%s%s",
						 used ? ", " : "", set->leaves[i]->name);
	}
	return config_fail(cfg, -EINVAL, config_blame(o, set->key.name), o, set->key.name,
			   "%s does not take \"%s\" (known: %s)", cfg->program,
			   o->parts[LEAF_TRANSPORT].leaf->name, taken);
}

static bool same_socket(const struct vio_config_device *a, const struct vio_config_device *b)
{
	if (a->transport != VIO_CONFIG_VHOST_USER || b->transport != VIO_CONFIG_VHOST_USER)
		return false;
	if (a->socket && b->socket)
		return strcmp(a->socket, b->socket) == 0;
	return !a->socket && !b->socket && a->socket_fd == b->socket_fd;
}

int config_check_transport(struct vio_config *cfg, const struct object *o)
{
	if (cfg->program && !(cfg->transports & 1u << o->device.transport))
		return refuse_transport(cfg, o);
	for (size_t i = 0; i < cfg->n_devices; i++) {
		const struct object *other = cfg->devices[i];

		if (other == o || !same_socket(&other->device, &o->device))
			continue;
		return config_fail(cfg, -EINVAL, config_blame(o, "socket"), o, "socket",
				   "[%s %s] at %s:%u has this socket", other->device.model,
				   other->name, other->at.source, other->at.line);
	}
	return 0;
}
