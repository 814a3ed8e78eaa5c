/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In-flight tracking: an owner of the queue dies at every possible moment, the next one takes over
 * with the same area, and each chain is answered exactly once.
 */
#include <endian.h>
#include <errno.h>

#include "queue_fix.h"

#define SIZE 16

struct tracked {
	struct fix f;
	struct vio_inflight *area;
	bool in_order;
	unsigned answered[SIZE];
};

static void begin(struct tracked *t)
{
	struct vio_queue_config cfg = fix_config(&t->f, false);

	cfg.inflight = t->area;
	cfg.in_order = t->f.d.in_order = t->in_order;
	MUST(vio_inflight_prepare(t->area, SIZE));
	MUST(vio_queue_start(&t->f.q, t->f.map, &cfg, sizeof(struct vio_chain)));
}

/* The owner is gone without a word: nothing of its own memory is left. */
static void die(struct tracked *t)
{
	vio_queue_stop(&t->f.q);
}

static void init_order(struct tracked *t, bool in_order)
{
	memset(t, 0, sizeof(*t));
	t->in_order = in_order;
	fix_prepare(&t->f, SIZE, true);
	t->area = calloc(1, vio_inflight_bytes(SIZE));
	begin(t);
}

static void init(struct tracked *t)
{
	init_order(t, false);
}

static void fini(struct tracked *t)
{
	fix_fini(&t->f);
	free(t->area);
}

static void offer(struct tracked *t, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct drv_buf b = {.gpa = t->f.buf, .len = 64, .writable = true};

		MUST(drv_queue_add(&t->f.d, &b, 1, DRV_DIRECT, NULL));
	}
	drv_queue_publish(&t->f.d);
}

static struct vio_chain *pop(struct tracked *t)
{
	struct vio_chain *c = NULL;

	CU_ASSERT_EQUAL_FATAL(vio_queue_pop(&t->f.q, &c), 1);
	return c;
}

static bool empty(struct tracked *t)
{
	struct vio_chain *c;

	return vio_queue_pop(&t->f.q, &c) == 0;
}

/* Takes back what was used; each head once until it is offered again. */
static unsigned collect(struct tracked *t)
{
	struct drv_used u;
	unsigned n = 0;
	int r;

	while ((r = drv_queue_get(&t->f.d, &u)) == 1) {
		t->answered[u.head]++;
		n++;
	}
	CU_ASSERT_EQUAL(r, 0);
	return n;
}

static void answer(struct tracked *t, struct vio_chain *c)
{
	vio_queue_push(&t->f.q, c, 0);
}

static void test_taken_again_in_order(void)
{
	struct vio_chain *c[6];
	uint16_t heads[6];
	struct tracked t;

	init(&t);
	offer(&t, 8);
	for (unsigned i = 0; i < 6; i++) {
		c[i] = pop(&t);
		heads[i] = c[i]->head;
	}
	answer(&t, c[1]);
	answer(&t, c[4]);
	vio_queue_publish(&t.f.q);
	die(&t);
	begin(&t);
	/* 0 2 3 5 were in flight, then the two that nobody had taken */
	CU_ASSERT_EQUAL(pop(&t)->head, heads[0]);
	CU_ASSERT_EQUAL(pop(&t)->head, heads[2]);
	CU_ASSERT_EQUAL(pop(&t)->head, heads[3]);
	CU_ASSERT_EQUAL(pop(&t)->head, heads[5]);
	pop(&t);
	pop(&t);
	CU_ASSERT_TRUE(empty(&t));
	CU_ASSERT_EQUAL(collect(&t), 2);
	/* and once more: nothing was answered since */
	die(&t);
	begin(&t);
	for (unsigned i = 0; i < 6; i++)
		answer(&t, pop(&t));
	CU_ASSERT_TRUE(empty(&t));
	vio_queue_publish(&t.f.q);
	CU_ASSERT_EQUAL(collect(&t), 6);
	fini(&t);
}

/* What is to be taken again and was not yet is not behind the queue when it stops. */
static void test_stops_before_all_are_taken_again(void)
{
	struct tracked t;

	for (unsigned taken = 0; taken <= 4; taken++) {
		init(&t);
		offer(&t, 6);
		answer(&t, pop(&t));
		vio_queue_publish(&t.f.q);
		for (unsigned i = 0; i < 4; i++)
			pop(&t);
		die(&t);
		begin(&t);
		for (unsigned i = 0; i < taken; i++)
			pop(&t);
		vio_queue_unpop(&t.f.q, (uint16_t)taken);
		CU_ASSERT_EQUAL(vio_queue_stop(&t.f.q), 1);
		fini(&t);
	}
}

/* It died after the driver could see the batch, before the marks were cleared. */
static void test_died_while_publishing(void)
{
	struct vio_chain *c[4];
	struct tracked t;

	for (unsigned cleared = 0; cleared <= 3; cleared++) {
		init(&t);
		offer(&t, 4);
		for (unsigned i = 0; i < 4; i++)
			c[i] = pop(&t);
		for (unsigned i = 0; i < 3; i++)
			answer(&t, c[i]);
		vio_queue_publish(&t.f.q);
		t.area->used_idx = 0; /* as it was before the batch */
		for (unsigned i = cleared; i < 3; i++)
			t.area->desc[c[i]->head].inflight = 1;
		die(&t);
		begin(&t);
		answer(&t, pop(&t));
		CU_ASSERT_TRUE(empty(&t));
		vio_queue_publish(&t.f.q);
		CU_ASSERT_EQUAL(collect(&t), 4);
		for (unsigned i = 0; i < 4; i++)
			CU_ASSERT_EQUAL(t.answered[i], 1);
		fini(&t);
	}
}

/* It died with pushed chains that the driver never saw: they are answered by the next owner. */
static void test_died_before_publishing(void)
{
	struct tracked t;

	init(&t);
	offer(&t, 3);
	answer(&t, pop(&t));
	answer(&t, pop(&t));
	die(&t);
	CU_ASSERT_EQUAL(collect(&t), 0);
	begin(&t);
	for (unsigned i = 0; i < 3; i++)
		answer(&t, pop(&t));
	CU_ASSERT_TRUE(empty(&t));
	vio_queue_publish(&t.f.q);
	CU_ASSERT_EQUAL(collect(&t), 3);
	fini(&t);
}

/* Thousands of requests, with a death at any moment: none lost, none answered twice. */
static void many_deaths(bool in_order)
{
	struct vio_chain *held[SIZE];
	unsigned n_held = 0, offered = 0, answered = 0, state = 1;
	struct tracked t;

	init_order(&t, in_order);
	for (unsigned step = 0; step < 200000; step++) {
		state = state * 1664525u + 1013904223u;
		switch (state >> 28) {
		case 0 ... 4:
			if (t.f.d.n_free > 0) {
				offer(&t, 1);
				offered++;
			}
			break;
		case 5 ... 9:
			if (vio_queue_pop(&t.f.q, &held[n_held]) == 1)
				n_held++;
			break;
		case 10 ... 12:
			if (n_held > 0) {
				unsigned i = (state >> 8) % n_held;

				answer(&t, held[i]);
				held[i] = held[--n_held];
			}
			break;
		case 13:
		case 14:
			vio_queue_publish(&t.f.q);
			answered += collect(&t);
			break;
		default:
			die(&t);
			begin(&t);
			n_held = 0;
			break;
		}
	}
	die(&t);
	begin(&t);
	while (vio_queue_pop(&t.f.q, &held[0]) == 1)
		answer(&t, held[0]);
	vio_queue_publish(&t.f.q);
	answered += collect(&t);
	CU_ASSERT_EQUAL(answered, offered);
	CU_ASSERT_TRUE(offered > 5000);
	fini(&t);
}

static void test_many_deaths(void)
{
	many_deaths(false);
	many_deaths(true);
}

/* What was pushed and held back when the owner died is in flight for the next one, in its place. */
static void test_died_with_chains_held_back(void)
{
	struct vio_chain *c[4];
	uint16_t heads[4];
	struct tracked t;

	init_order(&t, true);
	offer(&t, 4);
	for (unsigned i = 0; i < 4; i++) {
		c[i] = pop(&t);
		heads[i] = c[i]->head;
	}
	answer(&t, c[0]);
	answer(&t, c[2]);
	answer(&t, c[3]);
	vio_queue_publish(&t.f.q);
	CU_ASSERT_EQUAL(collect(&t), 1);
	die(&t);
	begin(&t);
	for (unsigned i = 1; i < 4; i++) {
		c[i] = pop(&t);
		CU_ASSERT_EQUAL(c[i]->head, heads[i]);
	}
	CU_ASSERT_TRUE(empty(&t));
	answer(&t, c[3]);
	answer(&t, c[1]);
	answer(&t, c[2]);
	vio_queue_publish(&t.f.q);
	CU_ASSERT_EQUAL(collect(&t), 3);
	for (unsigned i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(t.answered[heads[i]], 1);
	CU_ASSERT_EQUAL(t.f.d.n_skipped, 0);
	fini(&t);
}

/* The area is the peer's memory: whatever it holds, heads stay inside and the queue starts. */
/* Of two chains to take again the driver broke the first: the second is not handed out, either. */
static void test_fault_ends_taking_again(void)
{
	struct vio_chain *c;
	struct tracked t;
	uint16_t head;

	init(&t);
	offer(&t, 2);
	head = pop(&t)->head;
	pop(&t);
	die(&t);
	t.f.d.desc[head].addr = htole64(GAP);
	begin(&t);
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(vio_queue_pop(&t.f.q, &c), -EPROTO);
	CU_ASSERT_FALSE(vio_queue_pending(&t.f.q));
	fini(&t);
}

/* Arming kicks before everything was taken again is no look at the ring, which comes after that. */
static void test_armed_while_taking_again(void)
{
	uint16_t heads[2];
	struct tracked t;

	init_order(&t, true);
	offer(&t, 2);
	heads[0] = pop(&t)->head;
	heads[1] = pop(&t)->head;
	die(&t);
	begin(&t);
	offer(&t, 1);
	CU_ASSERT_TRUE(vio_queue_arm(&t.f.q));
	CU_ASSERT_EQUAL(pop(&t)->head, heads[0]);
	CU_ASSERT_TRUE(vio_queue_arm(&t.f.q));
	CU_ASSERT_EQUAL(pop(&t)->head, heads[1]);
	CU_ASSERT_NOT_EQUAL(pop(&t)->head, heads[0]);
	CU_ASSERT_TRUE(empty(&t));
	fini(&t);
}

static void test_hostile_area(void)
{
	unsigned state = 7;
	struct tracked t;

	init(&t);
	for (unsigned round = 0; round < 2000; round++) {
		uint8_t *bytes = (uint8_t *)t.area;
		struct vio_chain *c;

		die(&t);
		for (size_t i = 0; i < vio_inflight_bytes(SIZE); i++) {
			state = state * 1664525u + 1013904223u;
			bytes[i] = (uint8_t)(state >> 24);
		}
		t.area->version = 0;
		t.in_order = round % 2;
		begin(&t);
		for (unsigned i = 0; i < 2 * SIZE && vio_queue_pop(&t.f.q, &c) == 1; i++) {
			CU_ASSERT_TRUE(c->head < SIZE);
			vio_queue_push(&t.f.q, c, 0);
			vio_queue_publish(&t.f.q);
		}
	}
	fini(&t);
}

static void test_prepare(void)
{
	struct vio_inflight *area = calloc(1, vio_inflight_bytes(8));

	CU_ASSERT_EQUAL(vio_inflight_prepare(area, 8), 0);
	CU_ASSERT_EQUAL(area->version, 1);
	CU_ASSERT_EQUAL(area->desc_num, 8);
	CU_ASSERT_EQUAL(vio_inflight_prepare(area, 8), 0);
	CU_ASSERT_EQUAL(vio_inflight_prepare(area, 16), -EINVAL);
	area->version = 2;
	CU_ASSERT_EQUAL(vio_inflight_prepare(area, 8), -EINVAL);
	/* the layout is a wire format */
	CU_ASSERT_EQUAL(vio_inflight_bytes(8), 16 + 8 * 16);
	CU_ASSERT_EQUAL(offsetof(struct vio_inflight, used_idx), 14);
	CU_ASSERT_EQUAL(offsetof(struct vio_inflight_desc, counter), 8);
	free(area);
}

static CU_TestInfo tests[] = {
	{"what was in flight comes first, in order", test_taken_again_in_order},
	{"stops before all are taken again", test_stops_before_all_are_taken_again},
	{"death while publishing", test_died_while_publishing},
	{"death before publishing", test_died_before_publishing},
	{"many deaths", test_many_deaths},
	{"death with chains held back", test_died_with_chains_held_back},
	{"a fault ends taking again", test_fault_ends_taking_again},
	{"armed while taking again", test_armed_while_taking_again},
	{"a hostile area", test_hostile_area},
	{"prepare", test_prepare},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("inflight", tests);
}
