/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_BENCH_VERIFY_H
#define TOOLS_BENCH_VERIFY_H

/*
 * What is written to the disk in verify mode. Each sector's content follows from the run, the
 * sector's number and its generation, which says how often the sector was written. So stale data,
 * data of another sector, of another run, and torn or missing writes are all told apart.
 */

#include <stdbool.h>
#include <stdint.h>

/* Writes `n` sectors' content to `data`. */
void verify_fill(void *data, uint64_t sector, uint32_t n, uint64_t run, uint32_t generation);

/* True when `data` is that content. Otherwise says in `text` what differs. */
bool verify_check(const void *data, uint64_t sector, uint32_t n, uint64_t run, uint32_t generation,
		  char *text, unsigned len);

#endif
