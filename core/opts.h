/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_OPTS_H
#define VIODM_OPTS_H

/*
 * Option tables. One declaration of an option (name, type, where its value goes, default, limits,
 * one line of help) gives parsing, defaults, the reference listing, and messages that name the
 * allowed values.
 *
 *	struct disk { uint64_t size; unsigned queues; bool readonly; char *image; };
 *
 *	static const struct vio_opt disk_opts[] = {
 *		{.name = "size", .type = VIO_OPT_SIZE, .offset = offsetof(struct disk, size),
 *		 .min = 512, .max = UINT64_MAX, .multiple = 512, .required = true,
 *		 .help = "bytes of the disk"},
 *		...
 *	};
 *
 * A field holds what its option's type says:
 *
 *	type              field       text
 *	VIO_OPT_BOOL      bool        on, off, true, false, yes, no, 1, 0
 *	VIO_OPT_UINT      unsigned    decimal, or hexadecimal after 0x; or `word`
 *	VIO_OPT_SIZE      uint64_t    the same in bytes, with K, M, G or T after it (powers of 1024)
 *	VIO_OPT_STRING    char *      anything; a copy on the heap, NULL when there is no value
 *	VIO_OPT_PATH      char *      a file name, not empty; the same
 *	VIO_OPT_CHOICE    unsigned    one of `choices`; the field gets its index
 *	VIO_OPT_NAMES     char *      names with blanks or commas between, at least one; a copy as
 *	                              written. vio_opt_next_name() takes them apart; what they name
 *	                              (`word`) is the business of the table's user
 *	VIO_OPT_MAC       uint8_t[6]  52:54:00:12:34:56, or with - between; neither a group's
 *address nor all zero; or `word`, which is all zero
 *
 * A `const char *` may stand for char *. Nothing here allocates but copies of strings, reads a
 * file, or keeps state: any thread, one object at a time.
 */

#include <stdio.h>

#include <viodm/util.h>

#ifdef __cplusplus
extern "C" {
#endif

enum vio_opt_type {
	VIO_OPT_BOOL,
	VIO_OPT_UINT,
	VIO_OPT_SIZE,
	VIO_OPT_STRING,
	VIO_OPT_PATH,
	VIO_OPT_CHOICE,
	VIO_OPT_NAMES,
	VIO_OPT_MAC,
};

struct vio_opt {
	const char *name;
	enum vio_opt_type type;
	size_t offset;	  /* of the field in the object */
	const char *def;  /* default as it would be written; NULL: 0, off, none, the first choice */
	const char *help; /* one line, without a full stop */
	/*
	 * UINT and SIZE: smallest and largest value, inclusive (a max of 0: no upper limit). STRING
	 * and PATH: smallest and largest length in bytes.
	 */
	uint64_t min;
	uint64_t max;
	uint64_t multiple; /* UINT, SIZE: the value must be a multiple; 0: any */
	bool pow2;	   /* UINT, SIZE: the value must be a power of two */
	bool required;	   /* somebody has to set it; enforced by the user of the table */
	/*
	 * UINT, SIZE: a word that stands for word_value, such as auto. MAC: one that stands for no
	 * address. NAMES: the type of section that the names are of.
	 */
	const char *word;
	uint64_t word_value;	    /* min and max do not apply to it */
	const char *const *choices; /* CHOICE: NULL-terminated */
};

/* Large enough for every message written here; longer ones are cut. */
#define VIO_OPT_ERROR_LEN 512

/* The option called `name`, or NULL. */
VIO_EXPORT const struct vio_opt *vio_opts_find(const struct vio_opt *opts, size_t n,
					       const char *name);

/*
 * Sets every field of `obj` to its default, as in a fresh object: what a field held is not freed.
 * 0, -ENOMEM, or -EINVAL (a default that its own option refuses); then no field holds a string.
 */
VIO_EXPORT int vio_opts_init(const struct vio_opt *opts, size_t n, void *obj);

/* Frees the strings of `obj` and makes the fields NULL. */
VIO_EXPORT void vio_opts_fini(const struct vio_opt *opts, size_t n, void *obj);

/*
 * Parses `text` into the option's field; an old string is freed. Returns 0, -ENOMEM, or -EINVAL
 * with one line in `err` (VIO_OPT_ERROR_LEN bytes; without the option's name), such as
 * `"300" is not a power of two (power of two 2..1024)`; the field is then as before.
 */
VIO_EXPORT int vio_opt_set(const struct vio_opt *opt, void *obj, const char *text, char *err);

/*
 * What values the option takes: "on or off", "number 1..256", "size, multiple of 512",
 * "mmio or pci". At most `len` bytes, always terminated.
 */
VIO_EXPORT void vio_opt_values(const struct vio_opt *opt, char *buf, size_t len);

/*
 * The next name of a VIO_OPT_NAMES value: copied to `name`, cut to `len` bytes. Returns where to go
 * on, or NULL when there is no other.
 */
VIO_EXPORT const char *vio_opt_next_name(const char *names, char *name, size_t len);

/* The default as it would be written; NULL: a string without one. */
VIO_EXPORT const char *vio_opt_default(const struct vio_opt *opt);

/* Prints a table, one option a line and its help below, each line after `indent` spaces. */
VIO_EXPORT void vio_opts_print(FILE *out, const struct vio_opt *opts, size_t n, unsigned indent);

/*
 * The word of `words` that `word` was probably meant to be, or NULL when none is near.
 */
VIO_EXPORT const char *vio_opt_nearest(const char *word, const char *const *words, size_t n);

/*
 * Writes `unknown <what> "<word>"; did you mean "<nearest>"? (known: a, b, c)` to `err`
 * (VIO_OPT_ERROR_LEN bytes). Leaves the question out when no word is near.
 */
VIO_EXPORT void vio_opt_unknown(char *err, const char *what, const char *word,
				const char *const *words, size_t n);

#ifdef __cplusplus
}
#endif
#endif
