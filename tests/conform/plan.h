/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONFORM_PLAN_H
#define CONFORM_PLAN_H

/*
 * All checks, which of them to run, and what their results say about each statement.
 */

#include "runner.h"

/* The lists of checks, one for each file; NULL past the last. */
const struct check_list *check_list_at(unsigned i);

struct entry {
	const struct check *check;
	bool chosen;
	bool ran;
	struct result *result; /* NULL until it ran */
};

struct plan {
	struct entry *entry;
	unsigned n;
};

/* Allocates; all checks, chosen. 0, -ENOMEM, or -EINVAL: a check names rows that do not exist. */
int plan_create(struct plan *plan, char *error, unsigned len);
void plan_destroy(struct plan *plan);

/*
 * Chooses those of the chosen checks whose name matches `pattern` (as of the shell), or that cover
 * a row that does. Returns how many are left.
 */
unsigned plan_only(struct plan *plan, const char *pattern);

/* Why a check says nothing about this target; NULL: it does. */
const char *plan_skips(const struct check *c, const struct target_facts *facts);

/* Does the check cover the statement? */
bool check_covers(const struct check *c, const char *id);

/* What the checks that ran say together about a statement. */
enum row_state {
	ROW_UNCOVERED,
	ROW_UNOBSERVABLE,
	ROW_NOT_RUN,
	ROW_SKIPPED,
	ROW_PASSED,
	ROW_FAILED
};

enum row_state plan_row(const struct plan *plan, const struct statement *s);

#endif
