/* SPDX-License-Identifier: BSD-3-Clause */
#include "replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void take(struct replay *r, const char *key, const char *value)
{
	if (strcmp(key, "target") == 0)
		r->target = strdup(value);
	else if (strcmp(key, "check") == 0)
		r->check = strdup(value);
	else if (strcmp(key, "bus") == 0)
		r->bus = (unsigned)strtoul(value, NULL, 0);
	else if (strcmp(key, "device") == 0)
		r->device = (uint32_t)strtoul(value, NULL, 0);
	else if (strcmp(key, "seed") == 0)
		r->seed = strtoull(value, NULL, 0);
	else if (strcmp(key, "option") == 0 && r->n_options < REPLAY_MAX_OPTIONS)
		r->options[r->n_options++] = strdup(value);
}

int replay_read(const char *path, struct replay *out)
{
	FILE *f = fopen(path, "r");
	char line[4200];

	if (!f)
		return -errno;
	memset(out, 0, sizeof(*out));
	while (fgets(line, sizeof(line), f) && line[0] != '\n') {
		char *value = strstr(line, ": ");

		line[strcspn(line, "\n")] = '\0';
		if (!value)
			break;
		*value = '\0';
		take(out, line, value + 2);
	}
	fclose(f);
	return out->target && out->check ? 0 : -EINVAL;
}

static void write_head(FILE *f, const struct runner_config *cfg, const struct target_facts *facts,
		       const struct entry *e)
{
	fprintf(f, "target: %s\nbus: %u\ndevice: %u\nseed: %" PRIu64 "\ncheck: %s\n",
		cfg->target.spec, facts->way == WAY_VHOST_USER ? 0 : facts->way, facts->device_id,
		cfg->seed, e->check->name);
	for (unsigned i = 0; i < cfg->target.n_options; i++)
		fprintf(f, "option: %s\n", cfg->target.options[i]);
}

static void write_story(FILE *f, const struct entry *e)
{
	const struct result *r = e->result;
	unsigned n = r->n_failures < RESULT_MAX_FAILURES ? r->n_failures : RESULT_MAX_FAILURES;
	const char *line;

	fprintf(f, "\n%s\n\n", e->check->how);
	for (unsigned i = 0; i < n; i++)
		fprintf(f, "%s\n  expected: %s\n  seen:     %s\n", r->failure[i].row,
			r->failure[i].expected, r->failure[i].seen);
	fprintf(f, "\n");
	for (unsigned i = 0; (line = drv_trace_line(&r->trace, i)); i++)
		fprintf(f, "%s\n", line);
}

int replay_write(const char *folder, const struct runner_config *cfg,
		 const struct target_facts *facts, const struct entry *e)
{
	char path[4096];
	FILE *f;

	if (mkdir(folder, 0777) < 0 && errno != EEXIST)
		return -errno;
	snprintf(path, sizeof(path), "%s/%s.txt", folder, e->check->name);
	f = fopen(path, "w");
	if (!f)
		return -errno;
	write_head(f, cfg, facts, e);
	write_story(f, e);
	return fclose(f) == 0 ? 0 : -errno;
}
