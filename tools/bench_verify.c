/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_verify.h"

#include <stddef.h>
#include <stdio.h>

#define WORDS	   (512 / sizeof(uint64_t))
#define WORD_STEP  UINT64_C(0x9e3779b97f4a7c15)
#define HEAD_WORDS 3 /* sector, run, generation; the others are a function of these */

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 31)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 29)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 32);
}

static uint64_t seed(uint64_t sector, uint64_t run, uint32_t generation)
{
	return mix(sector * WORD_STEP ^ mix(run + generation));
}

static void fill_sector(uint64_t *w, uint64_t sector, uint64_t run, uint32_t generation)
{
	uint64_t v = seed(sector, run, generation);

	w[0] = sector;
	w[1] = run;
	w[2] = generation;
	for (unsigned i = HEAD_WORDS; i < WORDS; i++)
		w[i] = v += WORD_STEP;
}

/* The first word that is wrong, or WORDS. */
static unsigned check_sector(const uint64_t *w, uint64_t sector, uint64_t run, uint32_t generation)
{
	uint64_t v = seed(sector, run, generation);
	unsigned i;

	if (w[0] != sector || w[1] != run || w[2] != generation)
		return 0;
	for (i = HEAD_WORDS; i < WORDS && w[i] == (v += WORD_STEP); i++)
		;
	return i;
}

void verify_fill(void *data, uint64_t sector, uint32_t n, uint64_t run, uint32_t generation)
{
	uint64_t *w = data;

	for (uint32_t i = 0; i < n; i++)
		fill_sector(w + i * WORDS, sector + i, run, generation);
}

static bool all_zero(const uint64_t *w)
{
	uint64_t any = 0;

	for (unsigned i = 0; i < WORDS; i++)
		any |= w[i];
	return any == 0;
}

static void explain(const uint64_t *w, uint64_t sector, uint64_t run, uint32_t generation,
		    unsigned bad, char *text, unsigned len)
{
	int n = snprintf(text, len, "sector %llu, generation %u: ", (unsigned long long)sector,
			 generation);

	if (n < 0 || (unsigned)n >= len)
		return;
	text += n;
	len -= (unsigned)n;
	if (all_zero(w))
		snprintf(text, len, "reads as zeroes");
	else if (bad > 0)
		snprintf(text, len, "differs from byte %zu on", bad * sizeof(*w));
	else if (w[1] == run)
		snprintf(text, len, "holds sector %llu, generation %llu", (unsigned long long)w[0],
			 (unsigned long long)w[2]);
	else
		snprintf(text, len, "holds something this run never wrote (%016llx %016llx)",
			 (unsigned long long)w[0], (unsigned long long)w[1]);
}

bool verify_check(const void *data, uint64_t sector, uint32_t n, uint64_t run, uint32_t generation,
		  char *text, unsigned len)
{
	const uint64_t *w = data;

	for (uint32_t i = 0; i < n; i++, w += WORDS) {
		unsigned bad = check_sector(w, sector + i, run, generation);

		if (bad == WORDS)
			continue;
		explain(w, sector + i, run, generation, bad, text, len);
		return false;
	}
	return true;
}
