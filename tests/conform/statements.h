/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONFORM_STATEMENTS_H
#define CONFORM_STATEMENTS_H

/*
 * What the specification says about devices, one statement a row; made from spec/normative.tsv,
 * spec/implied.tsv and unobservable.tsv.
 */

#include <stdbool.h>

struct statement {
	const char *id;	     /* "SPLIT-DEV-015" */
	const char *area;    /* "split" */
	const char *section; /* title in the specification */
	const char *level;   /* MUST, MUST_NOT, SHOULD, SHOULD_NOT, MAY; IMPLIED, ROBUSTNESS */
	const char *text;
	const char *observable;	  /* where a driver sees it: registers, config, io, ring, ... */
	const char *gate;	  /* the feature it belongs to, or "" */
	const char *profile;	  /* base, optional, advanced, ... */
	const char *source;	  /* file and line in the specification's source */
	const char *unobservable; /* why no check can be, or NULL */
};

extern const struct statement statements[];
extern const unsigned n_statements;

/* NULL: no such statement. */
const struct statement *statement_find(const char *id);

/* Is it one of those that a device has to obey (above MAY)? */
bool statement_binds(const struct statement *s);

#endif
