/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONFORM_RUNNER_H
#define CONFORM_RUNNER_H

#include "result.h"
#include "target.h"

/* What a run is about, besides the target. */
struct runner_config {
	struct target_config target;
	uint64_t seed;
	double timeout; /* seconds, for one check */
};

/* What there is to know of the target before any check: its device, and whether it answers. */
struct target_facts {
	enum way way;
	uint32_t device_id;
	bool guessed; /* the device ID, from the features */
	uint64_t offered;
	char error[512]; /* "": none */
};

/* In a process of its own, too. 0, or -errno with facts->error. */
int runner_probe(const struct runner_config *cfg, struct target_facts *facts);

/* Runs one check in a process of its own. Always leaves a verdict in `result`. */
void runner_run(const struct runner_config *cfg, const struct check *c, struct result *result);

/* Memory for a result, shared with the processes of checks; NULL: none left. */
struct result *result_create(void);
void result_destroy(struct result *result);

/* Kills the process of a check that is running; for signal handlers. */
void runner_interrupt(void);

#endif
