/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DRIVER_TRACE_H
#define DRIVER_TRACE_H

/*
 * The last things a driver did to a device, as lines of text. May lie in memory shared between
 * processes.
 */

#include <stdarg.h>
#include <stdint.h>

#define DRV_TRACE_LINES 256u
#define DRV_TRACE_WIDTH 120u

struct drv_trace {
	uint64_t n; /* lines ever written; the last DRV_TRACE_LINES are there */
	char line[DRV_TRACE_LINES][DRV_TRACE_WIDTH];
};

/* Adds a line, without a newline. `t` may be NULL. */
void drv_trace(struct drv_trace *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void drv_vtrace(struct drv_trace *t, const char *fmt, va_list args)
	__attribute__((format(printf, 2, 0)));

/* Line `i` of those that are there, oldest first, or NULL past the last. */
const char *drv_trace_line(const struct drv_trace *t, unsigned i);

#endif
