/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_BENCH_HIST_H
#define TOOLS_BENCH_HIST_H

/*
 * Time stamps that cost next to nothing, and a histogram of them: 32 buckets to each power of two,
 * so a value is known to about 3 %.
 */

#include <stdint.h>
#include <time.h>

#define HIST_BITS    5
#define HIST_BUCKETS ((64 - HIST_BITS + 1) << HIST_BITS)

struct bench_hist {
	uint64_t n[HIST_BUCKETS];
};

static inline unsigned hist_bucket(uint64_t v)
{
	unsigned shift;

	if (v < 1u << HIST_BITS)
		return (unsigned)v;
	shift = 63 - HIST_BITS - (unsigned)__builtin_clzll(v);
	return ((shift + 1) << HIST_BITS) + (unsigned)((v >> shift) & ((1u << HIST_BITS) - 1));
}

static inline void hist_add(struct bench_hist *h, uint64_t v)
{
	h->n[hist_bucket(v)]++;
}

void hist_merge(struct bench_hist *to, const struct bench_hist *from);

/* The value that `fraction` of the values do not exceed; 0 for an empty histogram. */
double hist_quantile(const struct bench_hist *h, double fraction);

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t bench_ns(void);

/* A counter that runs at a constant rate. */
static inline uint64_t bench_ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	return bench_ns();
#endif
}

/* Measures the rate, which takes a few milliseconds. */
double bench_ticks_per_ns(void);

#endif
