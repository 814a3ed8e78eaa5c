/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_link.h"

#include <stdarg.h>
#include <stdio.h>

int bench_error(const char *name, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "viodm bench: %s: ", name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return -1;
}

void bench_link_destroy(struct bench_link *link)
{
	if (link)
		link->ops->destroy(link);
}
