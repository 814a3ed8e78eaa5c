/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_MODE_H
#define TOOLS_MODE_H

/*
 * Permission bits of a socket as an option's value.
 */

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* How a value that mode_parse() refuses is refused. */
#define MODE_REFUSED "is no mode (octal 0001..0777)"

static inline bool mode_parse(const char *text, mode_t *mode)
{
	unsigned long value = strtoul(text, NULL, 8);

	if (strspn(text, "01234567") != strlen(text) || value == 0 || value > 0777)
		return false;
	*mode = (mode_t)value;
	return true;
}

#endif
