/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What checks call.
 */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "result.h"

static __attribute__((format(printf, 4, 0))) void
note_failure(struct run *r, const char *row, const char *expected, const char *seen, va_list args)
{
	struct result *res = r->result;
	struct failure *f;

	/* To wait in vain once is enough. */
	if (res->verdict != VERDICT_FAIL)
		r->drv.patience_ms /= 8;
	res->verdict = VERDICT_FAIL;
	drv_trace(&res->trace, "*** %s: not %s", row, expected);
	if (res->n_failures++ >= RESULT_MAX_FAILURES)
		return;
	f = &res->failure[res->n_failures - 1];
	snprintf(f->row, sizeof(f->row), "%s", row);
	snprintf(f->expected, sizeof(f->expected), "%s", expected);
	vsnprintf(f->seen, sizeof(f->seen), seen, args);
}

bool expect(struct run *r, const char *row, bool ok, const char *expected, const char *seen, ...)
{
	va_list args;

	r->result->n_expects++;
	if (ok)
		return true;
	va_start(args, seen);
	note_failure(r, row, expected, seen, args);
	va_end(args);
	return false;
}

void need(struct run *r, const char *row, bool ok, const char *expected, const char *seen, ...)
{
	va_list args;

	r->result->n_expects++;
	if (ok)
		return;
	va_start(args, seen);
	note_failure(r, row, expected, seen, args);
	va_end(args);
	_exit(0);
}

/* Something that failed before counts more. */
void skip(struct run *r, const char *reason, ...)
{
	va_list args;

	va_start(args, reason);
	vsnprintf(r->result->reason, sizeof(r->result->reason), reason, args);
	va_end(args);
	if (r->result->verdict == VERDICT_NONE)
		r->result->verdict = VERDICT_SKIP;
	_exit(0);
}

/* SplitMix64 */
uint32_t run_random(struct run *r, uint32_t n)
{
	uint64_t z = r->seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ z >> 31) % n);
}

void run_start(struct run *r, const char *row, uint64_t features)
{
	const struct drv_device_config cfg = {.features = features};
	int ret = drv_device_start(&r->drv, &cfg);

	need(r, row, ret == 0, "the device to be initialised", "%s", strerror(-ret));
}

void run_note(struct run *r, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	drv_vtrace(&r->result->trace, fmt, args);
	va_end(args);
}
