/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_hist.h"

#define CALIBRATE_NS 10000000u

void hist_merge(struct bench_hist *to, const struct bench_hist *from)
{
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		to->n[i] += from->n[i];
}

/* The middle of a bucket. */
static double bucket_value(unsigned i)
{
	unsigned shift;

	if (i < 2u << HIST_BITS)
		return i;
	shift = (i >> HIST_BITS) - 1;
	return ((double)((1u << HIST_BITS) + (i & ((1u << HIST_BITS) - 1))) + 0.5) *
	       (double)(UINT64_C(1) << shift);
}

double hist_quantile(const struct bench_hist *h, double fraction)
{
	uint64_t total = 0, below = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		total += h->n[i];
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		below += h->n[i];
		if (h->n[i] && (double)below >= fraction * (double)total)
			return bucket_value(i);
	}
	return 0;
}

uint64_t bench_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

double bench_ticks_per_ns(void)
{
	uint64_t ns = bench_ns(), ticks = bench_ticks(), passed;

	do
		passed = bench_ns() - ns;
	while (passed < CALIBRATE_NS);
	return (double)(bench_ticks() - ticks) / (double)passed;
}
