/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONFORM_FEATURE_BITS_H
#define CONFORM_FEATURE_BITS_H

/*
 * The feature bits that the specification knows; made from spec/features.tsv.
 */

#include <stdbool.h>
#include <stdint.h>

#define FEATURE_MAX_NEEDS 4

struct feature {
	const char *scope; /* "common", or a device: "net" */
	const char *name;
	unsigned bit;
	bool legacy; /* not of a non-transitional device */
	/* One bit at least of each of these must be offered, or accepted, with it; 0: the end. */
	uint64_t needs[FEATURE_MAX_NEEDS + 1];
};

extern const struct feature feature_table[];
extern const unsigned n_features;

/* The feature that a bit below 64 is for a device of this virtio ID; NULL: none. */
const struct feature *feature_find(uint32_t device_id, unsigned bit);

/*
 * What of `set` remains when every feature goes whose needs are not met: the largest set inside it
 * that a driver may accept.
 */
uint64_t features_closed(uint32_t device_id, uint64_t set);

#endif
