/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_CONFIG_INTERNAL_H
#define TOOLS_CONFIG_INTERNAL_H

/*
 * struct vio_config from inside: objects (one a section), their settings as text, and after the
 * check their parts with typed options.
 *
 *	reader.c    lines of a file to sections and keys
 *	config.c    the config and its objects
 *	settings.c  what the reader and -o put into objects
 *	check.c     settings to typed options, everything checked
 *	refs.c      sections that refer to others, or must not
 *	assemble.c  a checked config to devices
 *	show.c      listings
 */

#include <viodm/config.h>

#include "builtin.h"

/* Longest name of an object, and how many there may be. */
#define CONFIG_NAME_MAX	   31
#define CONFIG_OBJECTS_MAX 1024

/* Longest name of a key, and how many one section may know. */
#define CONFIG_KEY_MAX	48
#define CONFIG_KEYS_MAX 128

#define CONFIG_ERROR_LEN (3 * VIO_OPT_ERROR_LEN)

/* Where a section or a value was written. */
struct origin {
	const char *source; /* a file's name, "-o key=value", or NULL */
	unsigned line;	    /* 0: no particular one */
};

struct setting {
	char *key;
	char *value;
	struct origin at;
};

/*
 * A section: of the embedder's (without a name), of an IO thread, or of a device. Only a device has
 * leaves beside LEAF_MODEL, which everywhere stands for the section's type.
 */
struct object {
	char *name; /* NULL: the embedder's */
	bool written;
	struct origin at;
	struct setting *settings;
	size_t n_settings;

	struct part parts[LEAF_KINDS];
	const struct vio_config_section *own;
	struct leaf own_leaf; /* what stands for the embedder's section among the parts */

	struct vio_config_device device; /* from here on: after the check */
	uint64_t storage_size;
	struct object **refs; /* IO threads that it names, in that order */
	size_t n_refs;
};

struct vio_config {
	struct object **objects; /* the embedder's first, then others in the order of the file */
	size_t n_objects;
	size_t n_own;
	struct object **devices; /* of these the devices; after the check */
	size_t n_devices;
	const char *const *ignored; /* types of other programs' sections, up to NULL; or NULL */
	struct object skipped;	    /* what stands for those */
	const char *program;	    /* who does not take every transport; NULL: nobody */
	unsigned transports;
	char **sources; /* strings that origins point to */
	size_t n_sources;
	const char *file;  /* the one read last, among the sources */
	const char **sets; /* "-o section.key=value", in order, among the sources */
	size_t n_sets;
	bool failed;  /* something was refused: no check any more */
	bool closed;  /* the check began */
	bool checked; /* and went well */
	char error[CONFIG_ERROR_LEN];
};

/* ---- config.c -------------------------------------------------------------------------------- */

/*
 * Records `<source>:<line>: [type name] key: <text>`, leaving out what is NULL, and returns r.
 * Until the check went well only the first error is kept.
 */
int config_fail(struct vio_config *cfg, int r, const struct origin *at, const struct object *o,
		const char *key, const char *fmt, ...) __attribute__((format(printf, 6, 7)));

int config_busy(struct vio_config *cfg);

int config_no_memory(struct vio_config *cfg);

/* Keeps a copy of a string for origins, or returns NULL. */
const char *config_keep_source(struct vio_config *cfg, const char *text);

/* The device called `name`, or the embedder's section of that type; NULL: neither. */
struct object *config_find_object(const struct vio_config *cfg, const char *name);

/* A section header was read; `header` is its text between the brackets. 0 and the object, or
 * -errno. */
int config_open_section(struct vio_config *cfg, const struct origin *at, const char *header,
			struct object **out);

/* ---- settings.c ------------------------------------------------------------------------------ */

/* A key was read. 0 or -errno. */
int config_add_setting(struct vio_config *cfg, struct object *o, const struct origin *at,
		       const char *key, const char *value);

/* Puts the -o values over what the files say. 0 or -errno. */
int config_apply_sets(struct vio_config *cfg);

const struct setting *config_setting(const struct object *o, const char *key);

static inline bool object_is_device(const struct object *o)
{
	return !o->own && o->parts[LEAF_MODEL].leaf != &builtin_iothread;
}

static inline bool config_needs(const struct object *o, enum leaf_kind kind)
{
	return (o->parts[LEAF_MODEL].leaf->needs & LEAF_BIT(kind)) != 0;
}

/* ---- check.c --------------------------------------------------------------------------------- */

void object_fini_parts(struct object *o);

/* The place to blame for `key`: its line, or the section's when it is not written. */
const struct origin *config_blame(const struct object *o, const char *key);

/* ---- refs.c ---------------------------------------------------------------------------------- */

/* Finds what the section's options of type VIO_OPT_NAMES name. 0 or -errno. */
int config_resolve(struct vio_config *cfg, struct object *o);

/* Does the embedder take the device's transport, and has it its socket for itself? 0 or -EINVAL. */
int config_check_transport(struct vio_config *cfg, const struct object *o);

#endif
