/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_DEFECT_H
#define VIODM_DEFECT_H

/*
 * Rules of the specification that a build with the option `defects` can break on purpose, one at a
 * time, to see that viodm-conform notices (tests/conform/defects). In any other build VIO_DEFECT()
 * is false and nothing is left of it. Not installed.
 */

#include <viodm/util.h>

#ifdef VIO_DEFECTS
/* Is this the one that the environment variable VIODM_DEFECT names? Any thread. */
VIO_EXPORT bool vio_defect(const char *name);
#define VIO_DEFECT(name) VIO_UNLIKELY(vio_defect(name))
#else
#define VIO_DEFECT(name) false
#endif

#endif
