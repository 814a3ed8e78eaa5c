/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct statement *statement_find(const char *id)
{
	for (unsigned i = 0; i < n_statements; i++)
		if (strcmp(statements[i].id, id) == 0)
			return &statements[i];
	return NULL;
}

bool statement_binds(const struct statement *s)
{
	return strncmp(s->level, "MUST", 4) == 0 || strncmp(s->level, "SHOULD", 6) == 0;
}

/* The next id of a blank-separated list; false at the end. */
static bool next_row(const char **rows, char *id, size_t len)
{
	size_t n;

	*rows += strspn(*rows, " ");
	n = strcspn(*rows, " ");
	if (n == 0)
		return false;
	snprintf(id, len, "%.*s", (int)n, *rows);
	*rows += n;
	return true;
}

bool check_covers(const struct check *c, const char *id)
{
	const char *rows = c->rows;
	char row[24];

	while (next_row(&rows, row, sizeof(row)))
		if (strcmp(row, id) == 0)
			return true;
	return false;
}

static int check_valid(const struct check *c, char *error, unsigned len)
{
	const char *rows = c->rows;
	char row[24];
	unsigned n = 0;

	for (; next_row(&rows, row, sizeof(row)); n++) {
		if (statement_find(row))
			continue;
		snprintf(error, len, "check %s: there is no statement %s", c->name, row);
		return -EINVAL;
	}
	if (n > 0)
		return 0;
	snprintf(error, len, "check %s: no rows", c->name);
	return -EINVAL;
}

int plan_create(struct plan *plan, char *error, unsigned len)
{
	const struct check_list *l;
	unsigned n = 0;
	int r = 0;

	for (unsigned i = 0; (l = check_list_at(i)); i++)
		n += l->n;
	plan->n = 0;
	plan->entry = calloc(n, sizeof(*plan->entry));
	if (!plan->entry)
		return -ENOMEM;
	for (unsigned k = 0; (l = check_list_at(k)); k++) {
		for (unsigned i = 0; i < l->n && r == 0; i++) {
			plan->entry[plan->n++] =
				(struct entry){.check = &l->checks[i], .chosen = true};
			r = check_valid(&l->checks[i], error, len);
		}
	}
	return r;
}

void plan_destroy(struct plan *plan)
{
	for (unsigned i = 0; i < plan->n; i++)
		result_destroy(plan->entry[i].result);
	free(plan->entry);
}

static bool matches(const struct check *c, const char *pattern)
{
	const char *rows = c->rows;
	char row[24];

	if (fnmatch(pattern, c->name, 0) == 0)
		return true;
	while (next_row(&rows, row, sizeof(row)))
		if (fnmatch(pattern, row, 0) == 0)
			return true;
	return false;
}

unsigned plan_only(struct plan *plan, const char *pattern)
{
	unsigned n = 0;

	for (unsigned i = 0; i < plan->n; i++) {
		struct entry *e = &plan->entry[i];

		e->chosen = e->chosen && matches(e->check, pattern);
		n += e->chosen;
	}
	return n;
}

const char *plan_skips(const struct check *c, const struct target_facts *facts)
{
	if (c->device && c->device != facts->device_id)
		return "for another device";
	if (!(c->ways & facts->way))
		return "for another transport";
	if ((facts->offered & c->features) != c->features)
		return "a feature is not offered";
	return NULL;
}

static bool failed(const struct result *r, const char *id)
{
	unsigned n = r->n_failures < RESULT_MAX_FAILURES ? r->n_failures : RESULT_MAX_FAILURES;

	for (unsigned i = 0; i < n; i++)
		if (strcmp(r->failure[i].row, id) == 0)
			return true;
	return false;
}

/* A check that failed over one of its rows says nothing about the others. */
enum row_state plan_row(const struct plan *plan, const struct statement *s)
{
	enum row_state state = s->unobservable ? ROW_UNOBSERVABLE : ROW_UNCOVERED;

	for (unsigned i = 0; i < plan->n; i++) {
		const struct entry *e = &plan->entry[i];
		enum row_state now = ROW_NOT_RUN;

		if (!check_covers(e->check, s->id))
			continue;
		if (e->ran && failed(e->result, s->id))
			now = ROW_FAILED;
		else if (e->ran && e->result->verdict == VERDICT_PASS)
			now = ROW_PASSED;
		else if (e->ran)
			now = ROW_SKIPPED;
		if (now > state)
			state = now;
	}
	return state;
}
