/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_BENCH_OPTS_H
#define TOOLS_BENCH_OPTS_H

#include <stdbool.h>
#include <stdint.h>

#define BENCH_MAX_QUEUES 64
#define BENCH_MAX_SETS	 32 /* -o options */
#define BENCH_RANDOM	 0x1u
#define BENCH_FLUSH	 0x2u

struct bench_device;

enum bench_direction { BENCH_TX, BENCH_RX, BENCH_BOTH };

struct bench_opts {
	/* the command line as written */
	char *rw, *cpu_text, *time_text, *slice_text, *reconnect_text, *vs;
	unsigned device_choice;
	uint64_t given; /* bit i: option i of the table was there */
	char *config;	/* in-process: a configuration file, */
	const char *set[BENCH_MAX_SETS];
	unsigned n_set;
	const char *target; /* and the device's name in it; otherwise a socket */

	const struct bench_device *device;

	uint64_t bs;	/* bytes of a request, or of a frame */
	uint64_t span;	/* bytes of the disk that are used, from its start; 0: all */
	uint64_t count; /* requests; 0: as many as the time allows */
	unsigned depth; /* requests in flight per queue */
	unsigned queues;
	unsigned threads; /* 0: one per queue */
	unsigned queue_size;
	unsigned seed;
	bool poll, sleep, verify, json, quiet, no_indirect, no_event_idx;

	/* network cards */
	unsigned frame;
	unsigned batch;	    /* frames to send at once */
	unsigned direction; /* enum bench_direction */
	bool no_mergeable;

	/* what that means */
	unsigned flags;		   /* BENCH_* */
	unsigned read_percent;	   /* the others are writes */
	double seconds;		   /* 0: until `count` is reached */
	double slice;		   /* seconds of one slice of a comparison */
	double reconnect;	   /* seconds to wait for a server that is gone; 0: give up */
	int cpu[BENCH_MAX_QUEUES]; /* thread i runs on cpu[i % n_cpus] */
	unsigned n_cpus;
};

/*
 * -1: go on with *o. Otherwise what to exit with; what is wrong was said. `o` must be given to
 * bench_opts_fini() in any case.
 */
int bench_opts_parse(struct bench_opts *o, int argc, char **argv);

void bench_opts_fini(struct bench_opts *o);

#endif
