/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For programs: TAP as results come, JUnit XML and JSON at the end.
 */
#include "report.h"

#include <jansson.h>
#include <stdio.h>

static void nothing_begin(const struct plan *plan, const struct runner_config *cfg,
			  const struct target_facts *facts)
{
	(void)plan;
	(void)cfg;
	(void)facts;
}

static void nothing_check(const struct plan *plan, unsigned index, unsigned done, unsigned chosen)
{
	(void)plan;
	(void)index;
	(void)done;
	(void)chosen;
}

static unsigned kept_failures(const struct result *r)
{
	return r->n_failures < RESULT_MAX_FAILURES ? r->n_failures : RESULT_MAX_FAILURES;
}

/* ---- TAP ---------------------------------------------------------------------------------------
 */

static void tap_begin(const struct plan *plan, const struct runner_config *cfg,
		      const struct target_facts *facts)
{
	unsigned n = 0;

	(void)cfg;
	(void)facts;
	for (unsigned i = 0; i < plan->n; i++)
		n += plan->entry[i].chosen;
	printf("TAP version 13\n1..%u\n", n);
}

static void tap_check(const struct plan *plan, unsigned index, unsigned done, unsigned chosen)
{
	const struct entry *e = &plan->entry[index];
	const struct result *r = e->result;

	(void)chosen;
	printf("%s %u - %s", r->verdict == VERDICT_FAIL ? "not ok" : "ok", done, e->check->name);
	if (r->verdict == VERDICT_SKIP)
		printf(" # SKIP %s", r->reason);
	printf("\n");
	for (unsigned i = 0; i < kept_failures(r); i++)
		printf("# %s: expected %s; seen: %s\n", r->failure[i].row, r->failure[i].expected,
		       r->failure[i].seen);
	fflush(stdout);
}

static void tap_end(const struct plan *plan, const struct runner_config *cfg,
		    const struct target_facts *facts)
{
	nothing_begin(plan, cfg, facts);
}

const struct report report_tap = {"tap", tap_begin, tap_check, tap_end};

/* ---- JUnit -------------------------------------------------------------------------------------
 */

static void xml_text(const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", stdout);
			break;
		case '<':
			fputs("&lt;", stdout);
			break;
		case '>':
			fputs("&gt;", stdout);
			break;
		case '"':
			fputs("&quot;", stdout);
			break;
		default:
			putchar((unsigned char)*text < ' ' ? ' ' : *text);
		}
	}
}

static void junit_failure(const struct result *r)
{
	fputs("    <failure message=\"", stdout);
	xml_text(r->failure[0].row);
	fputs("\">", stdout);
	for (unsigned i = 0; i < kept_failures(r); i++) {
		xml_text(r->failure[i].row);
		fputs(": expected ", stdout);
		xml_text(r->failure[i].expected);
		fputs("; seen: ", stdout);
		xml_text(r->failure[i].seen);
		fputs("\n", stdout);
	}
	fputs("</failure>\n", stdout);
}

static void junit_case(const struct entry *e)
{
	const struct result *r = e->result;

	fputs("  <testcase classname=\"", stdout);
	xml_text(kind_name(e->check->kind));
	fputs("\" name=\"", stdout);
	xml_text(e->check->name);
	printf("\" time=\"%.3f\">\n", r->seconds);
	if (r->verdict == VERDICT_FAIL)
		junit_failure(r);
	if (r->verdict == VERDICT_SKIP) {
		fputs("    <skipped message=\"", stdout);
		xml_text(r->reason);
		fputs("\"/>\n", stdout);
	}
	fputs("  </testcase>\n", stdout);
}

static void junit_end(const struct plan *plan, const struct runner_config *cfg,
		      const struct target_facts *facts)
{
	unsigned n[VERDICT_SKIP + 1] = {0}, all = 0;

	for (unsigned i = 0; i < plan->n; i++) {
		if (!plan->entry[i].ran)
			continue;
		n[plan->entry[i].result->verdict]++;
		all++;
	}
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"", stdout);
	xml_text(cfg->target.spec);
	printf(" over %s\" tests=\"%u\" failures=\"%u\" skipped=\"%u\">\n", way_name(facts->way),
	       all, n[VERDICT_FAIL], n[VERDICT_SKIP]);
	for (unsigned i = 0; i < plan->n; i++)
		if (plan->entry[i].ran)
			junit_case(&plan->entry[i]);
	puts("</testsuite>");
}

const struct report report_junit = {"junit", nothing_begin, nothing_check, junit_end};

/* ---- JSON --------------------------------------------------------------------------------------
 */

static json_t *json_failures(const struct result *r)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < kept_failures(r); i++)
		json_array_append_new(list, json_pack("{ss ss ss}", "row", r->failure[i].row,
						      "expected", r->failure[i].expected, "seen",
						      r->failure[i].seen));
	return list;
}

static json_t *json_check(const struct entry *e)
{
	static const char *const verdicts[] = {"none", "pass", "fail", "skip"};
	const struct result *r = e->result;
	json_t *o = json_pack("{ss ss ss ss sf}", "name", e->check->name, "kind",
			      kind_name(e->check->kind), "rows", e->check->rows, "verdict",
			      verdicts[r->verdict], "seconds", r->seconds);

	if (r->verdict == VERDICT_SKIP)
		json_object_set_new(o, "reason", json_string(r->reason));
	if (r->verdict == VERDICT_FAIL)
		json_object_set_new(o, "failures", json_failures(r));
	return o;
}

static json_t *json_rows(const struct plan *plan)
{
	static const char *const states[] = {"uncovered", "unobservable", "not-run",
					     "skipped",	  "passed",	  "failed"};
	json_t *rows = json_object();

	for (unsigned i = 0; i < n_statements; i++)
		json_object_set_new(rows, statements[i].id,
				    json_string(states[plan_row(plan, &statements[i])]));
	return rows;
}

static void json_end(const struct plan *plan, const struct runner_config *cfg,
		     const struct target_facts *facts)
{
	json_t *checks = json_array(), *o;

	for (unsigned i = 0; i < plan->n; i++)
		if (plan->entry[i].ran)
			json_array_append_new(checks, json_check(&plan->entry[i]));
	o = json_pack("{ss ss si sI sI so so}", "target", cfg->target.spec, "transport",
		      way_name(facts->way), "device", (int)facts->device_id, "offered",
		      (json_int_t)facts->offered, "seed", (json_int_t)cfg->seed, "checks", checks,
		      "statements", json_rows(plan));
	json_dumpf(o, stdout, JSON_INDENT(1));
	puts("");
	json_decref(o);
}

const struct report report_json = {"json", nothing_begin, nothing_check, json_end};
