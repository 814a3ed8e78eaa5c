/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_SUITE_H
#define UNIT_SUITE_H

/*
 * One CUnit suite per executable. A test program is a table of tests and
 *
 *     int main(void) { return suite_run("queue", tests); }
 */

#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>

/* What meson takes for "skipped". */
#define SUITE_SKIP 77

/* Runs all tests of the table, which ends with CU_TEST_INFO_NULL. Returns the exit status. */
static inline int suite_run(const char *name, CU_TestInfo *tests)
{
	CU_SuiteInfo suites[] = {{.pName = name, .pTests = tests}, CU_SUITE_INFO_NULL};
	unsigned failed;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS)
		return 1;
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_tests_failed() + CU_get_number_of_failures();
	CU_cleanup_registry();
	return failed ? 1 : 0;
}

/*
 * A test whose driver races the device on purpose, as a hostile one does, is left out where the
 * thread sanitizer would report just that.
 */
#if defined(__SANITIZE_THREAD__)
#define RACES_ON_PURPOSE 0
#elif defined(__has_feature)
#define RACES_ON_PURPOSE !__has_feature(thread_sanitizer)
#else
#define RACES_ON_PURPOSE 1
#endif

/* Setting up must not fail; if it does, nothing of the program makes sense. */
static inline void must(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "%s: error %d\n", what, -result);
		exit(1);
	}
}

#define MUST(call) must((call), #call)

#endif
