/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONFORM_REPLAY_H
#define CONFORM_REPLAY_H

/*
 * A reproducer: a text file that says how a check was run that failed, and what was seen.
 *
 *	target: inproc:/tmp/disk.ini:disk0
 *	bus: 1
 *	device: 2
 *	option: disk0.engine=memory
 *	seed: 1
 *	check: split-used-len
 *
 *	... for people: what failed, and the trace
 */

#include "plan.h"

#define REPLAY_MAX_OPTIONS 32

/* Strings are never freed: there is one replay in a run of the tool. */
struct replay {
	char *target;
	char *check;
	char *options[REPLAY_MAX_OPTIONS];
	unsigned n_options;
	unsigned bus;
	uint32_t device;
	uint64_t seed;
};

/* 0 or -errno. */
int replay_read(const char *path, struct replay *out);

/* Writes FOLDER/<check>.txt; makes the folder. 0 or -errno. */
int replay_write(const char *folder, const struct runner_config *cfg,
		 const struct target_facts *facts, const struct entry *e);

#endif
