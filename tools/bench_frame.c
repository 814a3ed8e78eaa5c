/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_frame.h"

#include <endian.h>
#include <string.h>

#define SOURCE_AT  6u
#define TYPE_AT	   12u
#define IP_AT	   14u
#define UDP_AT	   34u
#define PATTERN_AT (FRAME_NUMBER + 8)

static const uint8_t head[FRAME_NUMBER] = {
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff,			/* to all */
	0x02, 0,    0,	  0,	0,    0x02,			/* from us */
	0x08, 0x00,						/* IPv4 */
	0x45, 0,    0,	  0,	0,    0,    0, 0, 64, 17, 0, 0, /* time to live, UDP */
	198,  18,   0,	  1,	198,  18,   0, 2,		/* addresses for benchmarks */
	0,    0,    0,	  9,	0,    0,    0, 0,		/* to the discard port */
};

static void put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

/* RFC 1071, of the IPv4 header. */
static uint32_t ip_checksum(const uint8_t *ip)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < UDP_AT - IP_AT; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

static void put_pattern(uint8_t *frame, uint32_t len, uint64_t shift)
{
	for (uint32_t i = PATTERN_AT; i < len; i++)
		frame[i] = (uint8_t)(i + shift);
}

void frame_fill(uint8_t *frame, uint32_t len, unsigned pair)
{
	memcpy(frame, head, sizeof(head));
	put16(frame + IP_AT + 2, len - IP_AT);
	put16(frame + IP_AT + 10, ip_checksum(frame + IP_AT));
	put16(frame + UDP_AT, 1024 + pair);
	put16(frame + UDP_AT + 4, len - UDP_AT);
	frame_number(frame, len, 0, false);
	put_pattern(frame, len, 0);
}

void frame_number(uint8_t *frame, uint32_t len, uint64_t number, bool verify)
{
	uint64_t v = htobe64(number);

	memcpy(frame + FRAME_NUMBER, &v, sizeof(v));
	if (verify)
		put_pattern(frame, len, number);
}

enum frame_kind frame_identify(const uint8_t *frame, uint64_t *number)
{
	static const uint8_t sources[][6] = {
		[FRAME_OURS] = {2, 0, 0, 0, 0, 2}, [FRAME_GENERATED] = {2, 0, 0, 0, 0, 1}};
	enum frame_kind kind = FRAME_FOREIGN;
	uint64_t v;

	for (unsigned i = FRAME_OURS; i <= FRAME_GENERATED; i++) {
		if (memcmp(frame + SOURCE_AT, sources[i], sizeof(sources[i])) == 0)
			kind = (enum frame_kind)i;
	}
	if (memcmp(frame, head, SOURCE_AT) != 0 || memcmp(frame + TYPE_AT, head + TYPE_AT, 3) != 0)
		return FRAME_FOREIGN;
	memcpy(&v, frame + FRAME_NUMBER, sizeof(v));
	*number = be64toh(v);
	return kind;
}

uint32_t frame_check(const uint8_t *part, uint32_t from, uint32_t len, uint64_t shift)
{
	for (uint32_t i = from < PATTERN_AT ? PATTERN_AT : from; i < from + len; i++) {
		if (part[i - from] != (uint8_t)(i + shift))
			return i;
	}
	return UINT32_MAX;
}
