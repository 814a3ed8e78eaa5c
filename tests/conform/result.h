/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONFORM_RESULT_H
#define CONFORM_RESULT_H

/*
 * What a check found; in memory that the tool shares with the process of the check, so that
 * everything noted before a crash is there.
 */

#include <driver/trace.h>

#include "check.h"
#include "statements.h"

enum verdict { VERDICT_NONE, VERDICT_PASS, VERDICT_FAIL, VERDICT_SKIP };

#define RESULT_MAX_FAILURES 16

struct failure {
	char row[24];
	char expected[256];
	char seen[256];
};

struct result {
	enum verdict verdict;
	unsigned n_expects;  /* how often something was looked at */
	unsigned n_failures; /* may be more than are kept */
	struct failure failure[RESULT_MAX_FAILURES];
	char reason[256]; /* why it was skipped */
	double seconds;
	struct drv_trace trace;
};

#endif
