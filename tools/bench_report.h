/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_BENCH_REPORT_H
#define TOOLS_BENCH_REPORT_H

#include "bench_phase.h"

enum bench_figure {
	FIGURE_KIOPS,
	FIGURE_MBPS,
	FIGURE_P50,
	FIGURE_P99,
	FIGURE_P999,
	FIGURE_KICKS,
	FIGURE_INTERRUPTS,
	FIGURE_LOST,
	FIGURE_DEVICE_CPU,
	FIGURE_DRIVER_CPU,
	N_FIGURES
};

/* NAN: not known. */
struct bench_figures {
	double v[N_FIGURES];
};

/* What is known of one target. */
struct bench_side {
	const char *name;
	uint64_t features;
	struct bench_figures *slices; /* one or more */
	unsigned n;
	uint64_t requests, errors, lost, checked;
	unsigned n_reconnects;
	double seconds;
};

struct bench_figures bench_figures(const struct bench_session *s, const struct bench_result *r);

/* Prints one side, or two and their ratio, as a table or as JSON. `verified`: bytes, or 0. */
void bench_report(const struct bench_opts *o, const struct bench_side *sides, unsigned n,
		  uint64_t verified);

#endif
