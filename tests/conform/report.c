/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For people: results as they come, and a table by area at the end.
 */
#include "report.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *way_name(enum way way)
{
	switch (way) {
	case WAY_MMIO:
		return "mmio";
	case WAY_PCI_MSIX:
		return "pci";
	case WAY_PCI_INTX:
		return "pci-intx";
	case WAY_VHOST_USER:
		return "vhost-user";
	}
	return "?";
}

const char *kind_name(enum check_kind kind)
{
	static const char *const names[] = {"requirement", "robustness", "stress"};

	return names[kind];
}

/* ---- results as they come ----------------------------------------------------------------------
 */

static const char *paint(const char *colour)
{
	return isatty(STDOUT_FILENO) ? colour : "";
}

#define RED   paint("\033[31m")
#define GREEN paint("\033[32m")
#define DIM   paint("\033[2m")
#define PLAIN paint("\033[0m")

static void progress_clear(void)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
}

static void text_begin(const struct plan *plan, const struct runner_config *cfg,
		       const struct target_facts *facts)
{
	(void)plan;
	printf("%s over %s: device %u%s, offers %#llx\n", cfg->target.spec, way_name(facts->way),
	       facts->device_id,
	       facts->guessed ? " (guessed from its features; --device says otherwise)" : "",
	       (unsigned long long)facts->offered);
}

static void print_failures(const struct result *r)
{
	unsigned n = r->n_failures < RESULT_MAX_FAILURES ? r->n_failures : RESULT_MAX_FAILURES;

	for (unsigned i = 0; i < n; i++) {
		const struct failure *f = &r->failure[i];
		const struct statement *s = statement_find(f->row);

		if (s)
			printf("       %s (%s, %s): %s\n", f->row, s->level, s->section, s->text);
		printf("         expected: %s\n         seen:     %s\n", f->expected, f->seen);
	}
	if (r->n_failures > n)
		printf("       and %u more\n", r->n_failures - n);
}

static void print_trace(const struct result *r)
{
	const char *line;

	printf("       what led there:\n");
	for (unsigned i = r->trace.n > 24 && DRV_TRACE_LINES > 24
				  ? (unsigned)(r->trace.n < DRV_TRACE_LINES ? r->trace.n
									    : DRV_TRACE_LINES) -
					    24
				  : 0;
	     (line = drv_trace_line(&r->trace, i)); i++)
		printf("         %s\n", line);
}

static void text_check(const struct plan *plan, unsigned index, unsigned done, unsigned chosen)
{
	const struct entry *e = &plan->entry[index];
	const struct result *r = e->result;

	progress_clear();
	if (r->verdict == VERDICT_FAIL) {
		printf("%sFAIL%s  %s\n", RED, PLAIN, e->check->name);
		print_failures(r);
		print_trace(r);
	} else if (r->verdict == VERDICT_PASS) {
		printf("%spass%s  %s\n", GREEN, PLAIN, e->check->name);
	} else {
		printf("%sskip  %s: %s%s\n", DIM, e->check->name, r->reason, PLAIN);
	}
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "%u of %u", done, chosen);
	fflush(stdout);
}

/* ---- tables ------------------------------------------------------------------------------------
 */

static const char *const areas[] = {"basic", "split", "pci", "mmio", "blk", "net"};

#define N_AREAS (sizeof(areas) / sizeof(areas[0]))

struct tally {
	unsigned n[ROW_FAILED + 1];
	unsigned all;
};

/* `area` NULL: all of those above. */
static struct tally count(const struct plan *plan, const char *area, const char *profile)
{
	struct tally t = {0};

	for (unsigned i = 0; i < n_statements; i++) {
		const struct statement *s = &statements[i];
		bool ours = false;

		for (unsigned a = 0; a < N_AREAS; a++)
			ours = ours || strcmp(s->area, areas[a]) == 0;
		if (!ours || (area && strcmp(s->area, area)) || !statement_binds(s) ||
		    (profile && strcmp(s->profile, profile)))
			continue;
		t.n[plan_row(plan, s)]++;
		t.all++;
	}
	return t;
}

static void results_row(const struct plan *plan, const char *title, const char *area)
{
	struct tally t = count(plan, area, NULL);
	unsigned run = t.n[ROW_PASSED] + t.n[ROW_FAILED] + t.n[ROW_SKIPPED];

	printf("%-7s %10u %8u %8u %8u\n", title, run, t.n[ROW_PASSED], t.n[ROW_FAILED],
	       t.n[ROW_SKIPPED]);
}

static void text_end(const struct plan *plan, const struct runner_config *cfg,
		     const struct target_facts *facts)
{
	unsigned n[VERDICT_SKIP + 1] = {0};

	(void)cfg;
	(void)facts;
	progress_clear();
	printf("\nstatements above MAY, by area:\n%-7s %10s %8s %8s %8s\n", "area", "looked at",
	       "passed", "failed", "skipped");
	for (unsigned i = 0; i < N_AREAS; i++)
		results_row(plan, areas[i], areas[i]);
	results_row(plan, "all", NULL);
	for (unsigned i = 0; i < plan->n; i++)
		if (plan->entry[i].ran)
			n[plan->entry[i].result->verdict]++;
	printf("\nchecks: %u passed, %u failed, %u skipped\n", n[VERDICT_PASS], n[VERDICT_FAIL],
	       n[VERDICT_SKIP]);
}

const struct report report_text = {"text", text_begin, text_check, text_end};

static void coverage_row(const struct plan *plan, const char *title, const char *area,
			 const char *profile)
{
	struct tally t = count(plan, area, profile);

	if (t.all == 0)
		return;
	printf("%-7s %-9s %10u %8u %14u %8u\n", title, profile ? profile : "", t.all,
	       t.all - t.n[ROW_UNCOVERED] - t.n[ROW_UNOBSERVABLE], t.n[ROW_UNOBSERVABLE],
	       t.n[ROW_UNCOVERED]);
}

static void print_rows(const struct plan *plan, enum row_state state)
{
	for (unsigned i = 0; i < n_statements; i++) {
		const struct statement *s = &statements[i];

		if (!statement_binds(s) || plan_row(plan, s) != state)
			continue;
		for (unsigned a = 0; a < N_AREAS; a++)
			if (strcmp(s->area, areas[a]) == 0)
				printf("%-15s %-9s %s%s%s\n", s->id, s->profile, s->text,
				       s->unobservable ? " -- " : "",
				       s->unobservable ? s->unobservable : "");
	}
}

void report_coverage(const struct plan *plan)
{
	static const char *const profiles[] = {"base", "optional", "advanced", "legacy"};

	printf("%-7s %-9s %10s %8s %14s %8s\n", "area", "profile", "above MAY", "checked",
	       "cannot be seen", "neither");
	for (unsigned i = 0; i < N_AREAS; i++)
		for (unsigned k = 0; k < sizeof(profiles) / sizeof(profiles[0]); k++)
			coverage_row(plan, areas[i], areas[i], profiles[k]);
	coverage_row(plan, "all", NULL, NULL);
	printf("\ncannot be seen from the driver's seat:\n");
	print_rows(plan, ROW_UNOBSERVABLE);
	printf("\nneither checked nor listed with a reason:\n");
	print_rows(plan, ROW_UNCOVERED);
}

/* ---- what there is -----------------------------------------------------------------------------
 */

void report_list(const struct plan *plan)
{
	for (unsigned i = 0; i < plan->n; i++) {
		const struct entry *e = &plan->entry[i];

		if (e->chosen)
			printf("%-36s %-11s %s\n", e->check->name, kind_name(e->check->kind),
			       e->check->rows);
	}
}

static void explain_statement(const struct plan *plan, const struct statement *s)
{
	printf("%s  %s, %s, profile %s%s%s\n  %s\n  specification: \"%s\", %s\n", s->id, s->level,
	       s->area, s->profile, s->gate[0] ? ", with " : "", s->gate, s->text, s->section,
	       s->source);
	if (s->unobservable)
		printf("  cannot be seen: %s\n", s->unobservable);
	for (unsigned i = 0; i < plan->n; i++) {
		const struct check *c = plan->entry[i].check;

		if (check_covers(c, s->id))
			printf("  check %s (%s): %s\n", c->name, kind_name(c->kind), c->how);
	}
}

int report_explain(const struct plan *plan, const char *what)
{
	bool found = false;

	for (unsigned i = 0; i < n_statements; i++) {
		if (fnmatch(what, statements[i].id, 0) != 0)
			continue;
		explain_statement(plan, &statements[i]);
		found = true;
	}
	for (unsigned i = 0; i < plan->n; i++) {
		const struct check *c = plan->entry[i].check;

		if (fnmatch(what, c->name, 0) != 0)
			continue;
		printf("%s (%s)\n  %s\n  statements: %s\n", c->name, kind_name(c->kind), c->how,
		       c->rows);
		found = true;
	}
	return found ? 0 : -ENOENT;
}
