/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONFORM_REPORT_H
#define CONFORM_REPORT_H

/*
 * Results, for people (text) and for programs.
 */

#include "plan.h"

struct report {
	const char *name;
	/* Before the first check, after each check of the plan that was chosen, after the last. */
	void (*begin)(const struct plan *plan, const struct runner_config *cfg,
		      const struct target_facts *facts);
	void (*check)(const struct plan *plan, unsigned index, unsigned done, unsigned chosen);
	void (*end)(const struct plan *plan, const struct runner_config *cfg,
		    const struct target_facts *facts);
};

extern const struct report report_text;
extern const struct report report_tap;
extern const struct report report_junit;
extern const struct report report_json;

const char *way_name(enum way way);
const char *kind_name(enum check_kind kind);

/* --explain: a statement with its checks, or a check with its statements. 0, -ENOENT. */
int report_explain(const struct plan *plan, const char *what);

/* --list */
void report_list(const struct plan *plan);

/* --coverage: which statements have checks, by area and by profile, and which have none and why. */
void report_coverage(const struct plan *plan);

#endif
