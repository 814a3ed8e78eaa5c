/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The byte view of a chain: the same bytes in every framing.
 */
#include <string.h>

#include <viodm/iov.h>

#include "suite.h"

#define BYTES 24u

/* BYTES bytes cut into entries; `cut` bit i: a new entry begins at byte i + 1. */
struct cut_iov {
	uint8_t bytes[BYTES];
	struct iovec v[2 * BYTES + 1];
	struct vio_iov iov;
};

/* `empties`: an entry of length 0 stands before each other one, and one at the end. */
static void cut_init(struct cut_iov *c, uint32_t cut, bool empties)
{
	uint32_t from = 0;

	memset(c, 0, sizeof(*c));
	for (uint32_t i = 0; i < BYTES; i++)
		c->bytes[i] = (uint8_t)(i + 1);
	for (uint32_t i = 0; i < BYTES; i++) {
		if (i + 1 < BYTES && !(cut >> i & 1))
			continue;
		if (empties)
			c->v[c->iov.n++] = (struct iovec){.iov_base = &c->bytes[from]};
		c->v[c->iov.n++] =
			(struct iovec){.iov_base = &c->bytes[from], .iov_len = i + 1 - from};
		from = i + 1;
	}
	if (empties)
		c->v[c->iov.n++] = (struct iovec){.iov_base = c->bytes};
	c->iov.v = c->v;
	c->iov.len = BYTES;
}

/* A spread of ways to cut: all in one, each byte alone, and pseudo-random ones. */
static uint32_t nth_cut(unsigned i)
{
	return i == 0 ? 0 : i == 1 ? UINT32_MAX : i * 2654435761u;
}

#define N_CUTS 64

static uint64_t sum(const struct vio_iov *iov)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < iov->n; i++)
		n += iov->v[i].iov_len;
	return n;
}

/* The view holds exactly the bytes from..to of the original, in order. */
static bool holds(const struct vio_iov *iov, uint32_t from, uint32_t to)
{
	if (iov->len != to - from || sum(iov) != to - from)
		return false;
	for (uint32_t i = 0; i < iov->n; i++) {
		const uint8_t *b = iov->v[i].iov_base;

		for (size_t k = 0; k < iov->v[i].iov_len; k++, from++)
			if (b[k] != from + 1)
				return false;
	}
	return from == to;
}

static void test_pull(void)
{
	for (unsigned i = 0; i < 2 * N_CUTS; i++) {
		for (uint32_t a = 0; a <= BYTES; a++) {
			uint8_t out[BYTES + 1] = {0};
			struct cut_iov c;

			cut_init(&c, nth_cut(i / 2), i % 2);
			CU_ASSERT_EQUAL(vio_iov_pull(&c.iov, out, a), a);
			CU_ASSERT_EQUAL(memcmp(out, c.bytes, a), 0);
			CU_ASSERT_EQUAL(out[a], 0);
			CU_ASSERT(holds(&c.iov, a, BYTES));
			CU_ASSERT_EQUAL(vio_iov_pull(&c.iov, out, BYTES + 1), BYTES - a);
			CU_ASSERT_EQUAL(memcmp(out, c.bytes + a, BYTES - a), 0);
			CU_ASSERT(holds(&c.iov, BYTES, BYTES));
			CU_ASSERT_EQUAL(vio_iov_pull(&c.iov, out, 1), 0);
		}
	}
}

static void test_put(void)
{
	static const uint8_t src[BYTES + 1] = "abcdefghijklmnopqrstuvwx";

	for (unsigned i = 0; i < 2 * N_CUTS; i++) {
		for (uint32_t a = 0; a <= BYTES; a++) {
			struct cut_iov c;

			cut_init(&c, nth_cut(i / 2), i % 2);
			CU_ASSERT_EQUAL(vio_iov_put(&c.iov, src, a), a);
			CU_ASSERT_EQUAL(memcmp(c.bytes, src, a), 0);
			CU_ASSERT(holds(&c.iov, a, BYTES));
			CU_ASSERT_EQUAL(vio_iov_put(&c.iov, src + a, BYTES + 1 - a), BYTES - a);
			CU_ASSERT_EQUAL(memcmp(c.bytes, src, BYTES), 0);
			CU_ASSERT_EQUAL(c.iov.len, 0);
		}
	}
}

static void test_skip(void)
{
	for (unsigned i = 0; i < 2 * N_CUTS; i++) {
		for (uint32_t a = 0; a <= BYTES; a++) {
			struct cut_iov c;

			cut_init(&c, nth_cut(i / 2), i % 2);
			CU_ASSERT_EQUAL(vio_iov_skip(&c.iov, a), a);
			CU_ASSERT(holds(&c.iov, a, BYTES));
			CU_ASSERT_EQUAL(vio_iov_skip(&c.iov, UINT64_MAX), BYTES - a);
			CU_ASSERT(holds(&c.iov, BYTES, BYTES));
		}
	}
}

/* The status byte of a request, and all others off the end after it. */
static void test_take_last(void)
{
	for (unsigned i = 0; i < 2 * N_CUTS; i++) {
		struct cut_iov c;

		cut_init(&c, nth_cut(i / 2), i % 2);
		for (uint32_t left = BYTES; left > 0; left--) {
			CU_ASSERT_PTR_EQUAL(vio_iov_take_last(&c.iov), &c.bytes[left - 1]);
			CU_ASSERT(holds(&c.iov, 0, left - 1));
		}
		CU_ASSERT_PTR_NULL(vio_iov_take_last(&c.iov));
		CU_ASSERT_EQUAL(c.iov.len, 0);
	}
}

static void test_trim(void)
{
	for (unsigned i = 0; i < 2 * N_CUTS; i++) {
		for (uint32_t a = 0; a <= BYTES + 2; a++) {
			uint32_t left = a < BYTES ? a : BYTES;
			struct cut_iov c;

			cut_init(&c, nth_cut(i / 2), i % 2);
			vio_iov_trim(&c.iov, a);
			CU_ASSERT(holds(&c.iov, 0, left));
			vio_iov_trim(&c.iov, UINT64_MAX);
			CU_ASSERT(holds(&c.iov, 0, left));
		}
	}
}

/* A header off the front and a status off the back leave the data, whatever the framing. */
static void test_header_data_status(void) /* SPLIT-DEV-003 */
{
	for (unsigned i = 0; i < 2 * N_CUTS; i++) {
		uint8_t header[7];
		struct cut_iov c;

		cut_init(&c, nth_cut(i / 2), i % 2);
		CU_ASSERT_EQUAL(vio_iov_pull(&c.iov, header, sizeof(header)), sizeof(header));
		CU_ASSERT_PTR_EQUAL(vio_iov_take_last(&c.iov), &c.bytes[BYTES - 1]);
		CU_ASSERT(holds(&c.iov, sizeof(header), BYTES - 1));
		vio_iov_trim(&c.iov, 4);
		CU_ASSERT(holds(&c.iov, sizeof(header), sizeof(header) + 4));
	}
}

static void test_empty_view(void)
{
	struct vio_iov none = {.v = NULL, .n = 0, .len = 0};
	uint8_t byte = 9;

	CU_ASSERT_EQUAL(vio_iov_pull(&none, &byte, 1), 0);
	CU_ASSERT_EQUAL(vio_iov_put(&none, &byte, 1), 0);
	CU_ASSERT_EQUAL(vio_iov_skip(&none, 1), 0);
	CU_ASSERT_PTR_NULL(vio_iov_take_last(&none));
	vio_iov_trim(&none, 0);
	CU_ASSERT_EQUAL(none.len, 0);
	CU_ASSERT_EQUAL(byte, 9);
}

static void test_parts_of_a_chain(void)
{
	uint8_t mem[10];
	struct iovec v[3] = {{mem, 2}, {mem + 2, 3}, {mem + 5, 5}};
	struct vio_chain c = {
		.iov = v, .n_readable = 2, .n_writable = 1, .readable_len = 5, .writable_len = 5};
	struct vio_iov r = vio_iov_readable(&c), w = vio_iov_writable(&c);

	CU_ASSERT_PTR_EQUAL(r.v, v);
	CU_ASSERT_EQUAL(r.n, 2);
	CU_ASSERT_EQUAL(r.len, 5);
	CU_ASSERT_PTR_EQUAL(w.v, v + 2);
	CU_ASSERT_EQUAL(w.n, 1);
	CU_ASSERT_EQUAL(w.len, 5);
}

static CU_TestInfo tests[] = {
	{"pull", test_pull},
	{"put", test_put},
	{"skip", test_skip},
	{"take the last byte", test_take_last},
	{"trim", test_trim},
	{"header, data and status in any framing", test_header_data_status},
	{"an empty view", test_empty_view},
	{"the two parts of a chain", test_parts_of_a_chain},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("iov", tests);
}
