/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <viodm/util.h>

#include "bench_report.h"

#define WARM_UP_SECONDS 0.1
#define MIN_SLICES	3

static struct bench_load main_load(const struct bench_opts *o)
{
	return (struct bench_load){.name = o->rw,
				   .flags = o->flags,
				   .read_percent = o->read_percent,
				   .seconds = o->seconds,
				   .count = o->count};
}

static int warm_up(struct bench_session *s)
{
	struct bench_load load = main_load(s->opts);
	struct bench_result *r;
	int ret = -1;

	if (s->opts->count || bench_interrupted())
		return 0;
	load.name = "warm-up";
	load.seconds = WARM_UP_SECONDS;
	r = malloc(sizeof(*r));
	if (r)
		ret = bench_phase_run(s, &load, r);
	free(r);
	return ret;
}

/* Runs one slice of load on one side. */
static int measure(struct bench_session *s, const struct bench_load *load, struct bench_side *side)
{
	struct bench_result *r = malloc(sizeof(*r));
	int ret;

	if (!r)
		return bench_error(side->name, "out of memory");
	ret = bench_phase_run(s, load, r);
	if (r->counts.done > 0 || r->counts.lost > 0) {
		side->slices[side->n++] = bench_figures(s, r);
		side->requests += r->counts.done;
		side->seconds += r->seconds;
	}
	side->errors += r->counts.errors;
	side->lost += r->counts.lost;
	side->checked += r->counts.checked;
	free(r);
	return ret;
}

static int side_open(struct bench_session *s, struct bench_side *side, const struct bench_opts *o,
		     const char *target, unsigned slices)
{
	*side = (struct bench_side){.name = target};
	side->slices = calloc(slices, sizeof(*side->slices));
	if (!side->slices)
		return bench_error(target, "out of memory");
	if (bench_session_open(s, o, target) < 0)
		return -1;
	side->features = s->link->features;
	return 0;
}

/* ---- one target ------------------------------------------------------------------------------ */

/* All of the span, in order: written, or read and so checked. */
static int sweep(struct bench_session *s, const char *name, unsigned read_percent)
{
	struct bench_load load = {.name = name, .read_percent = read_percent, .count = UINT64_MAX};
	struct bench_result *r;
	int ret;

	if (!s->opts->verify || s->opts->device != &bench_blk)
		return 0;
	r = malloc(sizeof(*r));
	if (!r)
		return bench_error(s->link->name, "out of memory");
	ret = bench_phase_run(s, &load, r);
	free(r);
	return ret;
}

static int run_one(struct bench_session *s, struct bench_side *side)
{
	struct bench_load load = main_load(s->opts);

	if (sweep(s, "filling", 0) < 0 || warm_up(s) < 0 || measure(s, &load, side) < 0 ||
	    sweep(s, "reading again", 100) < 0)
		return -1;
	return bench_session_stop(s);
}

static uint64_t verified_bytes(const struct bench_session *s)
{
	const struct bench_opts *o = s->opts;

	return o->verify && o->device == &bench_blk && !bench_interrupted()
		       ? s->queues[0]->share * o->queues * o->bs
		       : 0;
}

static int bench_one(const struct bench_opts *o)
{
	struct bench_session s = {.opts = o};
	struct bench_side side;
	int r = side_open(&s, &side, o, o->target, 1);

	if (r == 0) {
		r = run_one(&s, &side);
		side.n_reconnects = s.link->n_reconnects;
		bench_progress_clear();
		if (side.n)
			bench_report(o, &side, 1, r == 0 ? verified_bytes(&s) : 0);
	}
	bench_session_close(&s);
	free(side.slices);
	return r < 0 || side.errors ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- two targets ----------------------------------------------------------------------------- */

static int run_two(struct bench_session *s, struct bench_side *sides, unsigned slices)
{
	struct bench_load load = main_load(s->opts);

	load.seconds = s->opts->slice;
	for (unsigned i = 0; i < slices && !bench_interrupted(); i++) {
		for (unsigned k = 0; k < 2; k++) {
			if ((i == 0 && warm_up(&s[k]) < 0) || measure(&s[k], &load, &sides[k]) < 0)
				return -1;
		}
	}
	return 0;
}

static int bench_two(const struct bench_opts *o)
{
	unsigned slices = (unsigned)(o->seconds / o->slice + 0.5);
	struct bench_session s[2] = {{.opts = o}, {.opts = o}};
	struct bench_side sides[2] = {{0}, {0}};
	int r;

	if (slices < MIN_SLICES)
		slices = MIN_SLICES;
	r = side_open(&s[0], &sides[0], o, o->target, slices);
	if (r == 0)
		r = side_open(&s[1], &sides[1], o, o->vs, slices);
	if (r == 0)
		r = run_two(s, sides, slices);
	bench_progress_clear();
	if (sides[0].n && sides[1].n)
		bench_report(o, sides, 2, 0);
	for (unsigned k = 0; k < 2; k++) {
		if (s[k].link && r == 0)
			r = bench_session_stop(&s[k]);
		bench_session_close(&s[k]);
		free(sides[k].slices);
	}
	return r < 0 || sides[0].errors || sides[1].errors ? EXIT_FAILURE : EXIT_SUCCESS;
}

int bench_run(int argc, char **argv)
{
	struct bench_opts o;
	int r = bench_opts_parse(&o, argc, argv);

	if (r < 0) {
		bench_catch_interrupt();
		r = o.vs ? bench_two(&o) : bench_one(&o);
		if (r == EXIT_SUCCESS && (fflush(stdout) || ferror(stdout)))
			r = EXIT_FAILURE;
	}
	bench_opts_fini(&o);
	return r;
}
