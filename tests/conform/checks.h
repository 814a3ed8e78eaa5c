/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONFORM_CHECKS_H
#define CONFORM_CHECKS_H

/*
 * The files of checks, for checks.c. Each begins with its area's name.
 */

#include "check.h"

extern const struct check_list checks_status; /* basic: status, features, configuration space */

#endif
