/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tables of builtin.c are sound, and docs/config.md says what they say: a heading for each leaf
 * and under it a row for each option with its values and default.
 */
#include <errno.h>
#include <string.h>

#include "builtin.h"
#include "suite.h"

#define DOCS_MAX (256u << 10)

/* The text below a heading up to the next of this or a higher level. "" when there is none. */
static char *chapter(const char *docs, const char *heading)
{
	size_t level = strspn(heading, "#");
	const char *start = strstr(docs, heading), *end;

	if (!start)
		return strdup("");
	start += strlen(heading);
	for (end = strstr(start, "\n#"); end; end = strstr(end + 1, "\n#")) {
		if (strspn(end + 1, "#") <= level)
			break;
	}
	return end ? strndup(start, (size_t)(end - start)) : strdup(start);
}

static void expect_row(const char *text, const char *heading, const struct vio_opt *opt)
{
	const char *def = opt->required ? "required" : vio_opt_default(opt);
	const char *quote = opt->required || !def ? "" : "`";
	char values[256], row[512];

	vio_opt_values(opt, values, sizeof(values));
	snprintf(row, sizeof(row), "\n| `%s` | %s | %s%s%s | ", opt->name, values, quote,
		 def ? def : "none", quote);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, row));
	if (!strstr(text, row))
		printf("\n  missing below \"%s\": %s\n", heading, row + 1);
}

static void expect_chapter(const char *docs, const char *heading, const struct leaf *leaf)
{
	char *text = chapter(docs, heading);
	const char *names[LEAF_MAX + 1];

	CU_ASSERT_TRUE(text[0] != '\0');
	for (unsigned k = LEAF_MODEL + 1; k < LEAF_KINDS; k++) {
		struct vio_opt key = builtin_key(k, names);

		if (leaf->needs & LEAF_BIT(k))
			expect_row(text, heading, &key);
	}
	for (size_t i = 0; i < leaf->n_opts; i++)
		expect_row(text, heading, &leaf->opts[i]);
	free(text);
}

static char *read_docs(void)
{
	const char *folder = getenv("VIODM_DOCS");
	char *text = calloc(1, DOCS_MAX + 1), *path = NULL;
	FILE *f;

	MUST(asprintf(&path, "%s/config.md", folder ? folder : "docs"));
	f = fopen(path, "re");
	MUST(f && text ? 0 : -errno);
	CU_ASSERT_TRUE(fread(text, 1, DOCS_MAX, f) < DOCS_MAX);
	fclose(f);
	free(path);
	return text;
}

static void test_docs(void)
{
	char *docs = read_docs();
	char heading[128];

	expect_chapter(docs, "## `[iothread NAME]`\n", &builtin_iothread);
	for (unsigned k = LEAF_MODEL; k < LEAF_KINDS; k++) {
		const struct leaf_set *set = &builtin_leaves[k];

		for (size_t i = 0; i < set->n; i++) {
			if (k == LEAF_MODEL)
				snprintf(heading, sizeof(heading), "\n## `[%s NAME]`\n",
					 set->leaves[i]->name);
			else
				snprintf(heading, sizeof(heading), "\n### `%s = %s`\n",
					 set->key.name, set->leaves[i]->name);
			CU_ASSERT_PTR_NOT_NULL(strstr(docs, heading));
			expect_chapter(docs, heading + 1, set->leaves[i]);
		}
	}
	free(docs);
}

/* Options of leaves that can meet in one section have different names. */
static void expect_no_clash(const struct leaf *model, const struct leaf *a, const struct leaf *b)
{
	for (size_t i = 0; i < a->n_opts; i++) {
		const char *name = a->opts[i].name;

		CU_ASSERT_PTR_NULL(vio_opts_find(b->opts, b->n_opts, name));
		CU_ASSERT_PTR_NULL(vio_opts_find(model->opts, model->n_opts, name));
		for (unsigned k = LEAF_MODEL + 1; k < LEAF_KINDS; k++)
			CU_ASSERT_TRUE(strcmp(builtin_leaves[k].key.name, name) != 0);
	}
}

static void check_model(const struct leaf *model)
{
	for (unsigned k = LEAF_MODEL + 1; k < LEAF_KINDS; k++) {
		for (unsigned l = k + 1; l < LEAF_KINDS; l++) {
			const struct leaf_set *a = &builtin_leaves[k], *b = &builtin_leaves[l];

			for (size_t i = 0; i < a->n * b->n; i++)
				expect_no_clash(model, a->leaves[i / b->n], b->leaves[i % b->n]);
		}
	}
	CU_ASSERT_PTR_NOT_NULL(model->model.create);
	CU_ASSERT_TRUE(model->needs & LEAF_BIT(LEAF_TRANSPORT));
	CU_ASSERT_TRUE(model->needs & LEAF_BIT(LEAF_BACKEND));
	if (model->needs & LEAF_BIT(LEAF_ENGINE))
		CU_ASSERT_PTR_NOT_NULL(model->model.access);
	if (model->needs & LEAF_BIT(LEAF_PORT))
		CU_ASSERT_PTR_NOT_NULL(model->model.port);
}

static void check_leaf(const struct leaf *leaf)
{
	void *obj = calloc(1, leaf->opts_size + 1);

	MUST(obj ? 0 : -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(leaf->help);
	CU_ASSERT_EQUAL(vio_opts_init(leaf->opts, leaf->n_opts, obj), 0);
	vio_opts_fini(leaf->opts, leaf->n_opts, obj);
	free(obj);
	for (size_t i = 0; i < leaf->n_opts; i++) {
		CU_ASSERT_PTR_NOT_NULL(leaf->opts[i].help);
		CU_ASSERT_TRUE(leaf->opts[i].offset < leaf->opts_size);
		CU_ASSERT_PTR_NULL(vio_opts_find(leaf->opts, i, leaf->opts[i].name));
	}
}

static void test_tables(void)
{
	for (unsigned k = 0; k < LEAF_KINDS; k++) {
		const struct leaf_set *set = &builtin_leaves[k];

		CU_ASSERT_TRUE(set->n > 0 && set->n <= LEAF_MAX);
		for (size_t i = 0; i < set->n; i++)
			check_leaf(set->leaves[i]);
	}
	check_leaf(&builtin_iothread);
	for (size_t i = 0; i < builtin_leaves[LEAF_MODEL].n; i++)
		check_model(builtin_leaves[LEAF_MODEL].leaves[i]);
}

/* Every option of every leaf is in the listing. */
static void test_list(void)
{
	char *text = NULL, line[512], values[256];
	size_t len;
	FILE *f = open_memstream(&text, &len);

	MUST(f ? 0 : -ENOMEM);
	vio_config_list(f, NULL, 0);
	fclose(f);
	for (unsigned k = 0; k < LEAF_KINDS; k++) {
		for (size_t i = 0; i < builtin_leaves[k].n; i++) {
			const struct leaf *leaf = builtin_leaves[k].leaves[i];

			CU_ASSERT_PTR_NOT_NULL(strstr(text, leaf->help));
			for (size_t j = 0; j < leaf->n_opts; j++) {
				vio_opt_values(&leaf->opts[j], values, sizeof(values));
				snprintf(line, sizeof(line), "    %-12s %s; ", leaf->opts[j].name,
					 values);
				CU_ASSERT_PTR_NOT_NULL(strstr(text, line));
			}
		}
	}
	free(text);
}

static CU_TestInfo tests[] = {
	{"tables", test_tables},
	{"viodm list", test_list},
	{"docs/config.md", test_docs},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("config docs", tests);
}
