/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_BENCH_FRAME_H
#define TOOLS_BENCH_FRAME_H

/*
 * The frames that bench_net sends: UDP over IPv4 to the broadcast address, with a number that
 * counts a pair's frames and a pattern behind it, as those of `port = null` (ports.h), from which
 * they differ in the source address. In verify mode the pattern depends on the number.
 */

#include <stdbool.h>
#include <stdint.h>

#define FRAME_NUMBER 42u /* offset of the number: 64 bits, big-endian */
#define FRAME_MIN    60u

enum frame_kind {
	FRAME_FOREIGN,
	FRAME_OURS,
	FRAME_GENERATED, /* by port = null */
};

/* Everything but the number. `len` at least FRAME_MIN. */
void frame_fill(uint8_t *frame, uint32_t len, unsigned pair);

/* Puts the number in; in verify mode the pattern that belongs to it, too. */
void frame_number(uint8_t *frame, uint32_t len, uint64_t number, bool verify);

/* What is it, and which number has it? Reads FRAME_MIN bytes. */
enum frame_kind frame_identify(const uint8_t *frame, uint64_t *number);

/*
 * Bytes [from, from + len) of a frame, which lie at `part`: the offset of the first wrong one, or
 * UINT32_MAX. `shift` is the number in frames of verify mode, otherwise 0.
 */
uint32_t frame_check(const uint8_t *part, uint32_t from, uint32_t len, uint64_t shift);

#endif
