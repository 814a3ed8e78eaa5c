/* SPDX-License-Identifier: BSD-3-Clause */
#include <driver/trace.h>

#include <stddef.h>
#include <stdio.h>

void drv_vtrace(struct drv_trace *t, const char *fmt, va_list args)
{
	if (!t)
		return;
	vsnprintf(t->line[t->n % DRV_TRACE_LINES], DRV_TRACE_WIDTH, fmt, args);
	t->n++;
}

void drv_trace(struct drv_trace *t, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	drv_vtrace(t, fmt, args);
	va_end(args);
}

const char *drv_trace_line(const struct drv_trace *t, unsigned i)
{
	uint64_t have = t->n < DRV_TRACE_LINES ? t->n : DRV_TRACE_LINES;

	return i < have ? t->line[(t->n - have + i) % DRV_TRACE_LINES] : NULL;
}
