/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_FD_NAME_H
#define TOOLS_FD_NAME_H

/*
 * "fd:N" in place of a path: a descriptor that is open already.
 */

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* How a value that fd_name_parse() refuses is refused. */
#define FD_NAME_REFUSED                                                                            \
	"is no descriptor: fd:N with N from 3 (for a file of that name write ./fd:...)"

static inline bool fd_name_is(const char *text)
{
	return strncmp(text, "fd:", 3) == 0;
}

static inline bool fd_name_parse(const char *text, int *fd)
{
	const char *digits = text + 3;
	unsigned long n;
	char *end;

	if (!isdigit((unsigned char)digits[0]) || strlen(digits) > 10)
		return false;
	n = strtoul(digits, &end, 10);
	if (*end != '\0' || n < 3 || n > INT_MAX)
		return false;
	*fd = (int)n;
	return true;
}

#endif
