/* SPDX-License-Identifier: BSD-3-Clause */
#include <driver/test_port.h>

#include <errno.h>
#include <limits.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

struct test_port_waiting {
	struct test_port_waiting *next;
	struct vio_frame_hdr hdr;
	uint32_t len, piece;
	uint8_t bytes[];
};

static struct test_port *to_port(struct vio_port *port)
{
	return vio_container_of(port, struct test_port, base);
}

static struct test_port_queue *to_queue(struct vio_port_queue *pq)
{
	return vio_container_of(pq, struct test_port_queue, base);
}

/* ---- sending -----------------------------------------------------------------------------------
 */

static void keep(struct test_port_queue *tq, const struct vio_frame *f)
{
	struct test_port_frame *s;

	if (tq->n_sent == TEST_PORT_MAX_SENT)
		abort(); /* a test that sends more forgets in between */
	s = malloc(sizeof(*s));
	if (!s)
		abort();
	s->hdr = f->hdr;
	s->n_iov = f->n_iov;
	s->len = 0;
	for (uint32_t i = 0; i < f->n_iov; i++) {
		if (f->iov[i].iov_len > sizeof(s->bytes) - s->len)
			abort(); /* the device promises VIO_FRAME_MAX */
		memcpy(s->bytes + s->len, f->iov[i].iov_base, f->iov[i].iov_len);
		s->len += (uint32_t)f->iov[i].iov_len;
	}
	if (s->len != f->len)
		abort();
	tq->sent[tq->n_sent++] = s;
}

static unsigned test_send(struct vio_port_queue *pq, const struct vio_frame *frames, unsigned n)
{
	struct test_port_queue *tq = to_queue(pq);
	struct test_port *tp = to_port(pq->port);
	unsigned i;

	tq->sends++;
	for (i = 0; i < n && tp->takes > 0; i++) {
		if (tp->takes != UINT_MAX)
			tp->takes--;
		if (tp->discard)
			tq->n_discarded++;
		else
			keep(tq, &frames[i]);
	}
	return i;
}

void test_port_take(struct test_port *tp, uint16_t pair, unsigned n)
{
	struct test_port_queue *tq = &tp->queue[pair];

	tp->takes = n;
	if (tq->attached)
		tq->base.user->writable(&tq->base);
}

void test_port_forget(struct test_port *tp, uint16_t pair)
{
	struct test_port_queue *tq = &tp->queue[pair];

	for (unsigned i = 0; i < tq->n_sent; i++)
		free(tq->sent[i]);
	tq->n_sent = 0;
}

/* ---- receiving ---------------------------------------------------------------------------------
 */

static void drop_first(struct test_port_queue *tq)
{
	struct test_port_waiting *w = tq->first;

	tq->first = w->next;
	if (!tq->first)
		tq->last = &tq->first;
	tq->n_waiting--;
	free(w);
}

static bool bring_direct(struct test_port_queue *tq, const struct test_port_waiting *w)
{
	struct vio_port_room room;
	uint32_t done = 0;

	if (!tq->base.user->room(&tq->base, &room))
		return false;
	if (w->len > room.len)
		return true; /* dropped */
	for (uint32_t i = 0; i < room.n_iov && done < w->len; i++) {
		size_t n =
			room.iov[i].iov_len < w->len - done ? room.iov[i].iov_len : w->len - done;

		memcpy(room.iov[i].iov_base, w->bytes + done, n);
		done += (uint32_t)n;
	}
	tq->base.user->received(&tq->base, &w->hdr, w->len);
	return true;
}

static bool bring_copy(struct test_port_queue *tq, const struct test_port_waiting *w)
{
	uint32_t n = (w->len + w->piece - 1) / w->piece;
	struct iovec *iov = calloc(n + 1, sizeof(*iov));
	struct vio_frame f = {.hdr = w->hdr, .iov = iov, .n_iov = n, .len = w->len};
	unsigned taken;

	if (!iov)
		abort();
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = i * w->piece;

		iov[i].iov_base = (uint8_t *)(uintptr_t)w->bytes + at;
		iov[i].iov_len = w->len - at < w->piece ? w->len - at : w->piece;
	}
	taken = tq->base.user->deliver(&tq->base, &f, 1);
	free(iov);
	return taken == 1;
}

void test_port_push(struct test_port *tp, uint16_t pair)
{
	struct test_port_queue *tq = &tp->queue[pair];

	if (!tq->attached || !tq->receiving || !tq->first)
		return;
	while (tq->first) {
		const struct test_port_waiting *w = tq->first;
		bool done = tp->direct ? bring_direct(tq, w) : bring_copy(tq, w);

		if (!done) {
			tq->receiving = false;
			break;
		}
		drop_first(tq);
	}
	tq->base.user->flush(&tq->base);
}

static void queue_up(struct test_port *tp, uint16_t pair, const struct vio_frame_hdr *hdr,
		     const void *frame, uint32_t len, uint32_t piece)
{
	struct test_port_queue *tq = &tp->queue[pair];
	struct test_port_waiting *w = calloc(1, sizeof(*w) + len);

	if (!w)
		abort();
	if (hdr)
		w->hdr = *hdr;
	w->len = len;
	w->piece = piece;
	memcpy(w->bytes, frame, len);
	*tq->last = w;
	tq->last = &w->next;
	tq->n_waiting++;
}

void test_port_queue_up(struct test_port *tp, uint16_t pair, const struct vio_frame_hdr *hdr,
			const void *frame, uint32_t len)
{
	queue_up(tp, pair, hdr, frame, len, len ? len : 1);
}

void test_port_bring(struct test_port *tp, uint16_t pair, const struct vio_frame_hdr *hdr,
		     const void *frame, uint32_t len)
{
	test_port_queue_up(tp, pair, hdr, frame, len);
	test_port_push(tp, pair);
}

void test_port_bring_cut(struct test_port *tp, uint16_t pair, const struct vio_frame_hdr *hdr,
			 const void *frame, uint32_t len, uint32_t piece)
{
	queue_up(tp, pair, hdr, frame, len, piece);
	test_port_push(tp, pair);
}

static void test_receive(struct vio_port_queue *pq, bool on)
{
	struct test_port_queue *tq = to_queue(pq);

	tq->receiving = on;
	tq->receives += on;
	if (on)
		test_port_push(to_port(pq->port), pq->index);
}

/* ---- the rest ----------------------------------------------------------------------------------
 */

static int test_info(struct vio_port *port, struct vio_port_info *info)
{
	*info = to_port(port)->info;
	return 0;
}

static int test_attach(struct vio_port *port, uint16_t index, struct vio_loop *loop,
		       struct vio_port_queue **out)
{
	struct test_port *tp = to_port(port);
	struct test_port_queue *tq = &tp->queue[index];

	if (tp->attach_error)
		return tp->attach_error;
	if (index >= TEST_PORT_MAX_PAIRS || tq->attached)
		abort();
	tq->loop = loop;
	tq->attached = tq->selected = true;
	tq->receiving = false;
	__atomic_add_fetch(&tp->attached, 1, __ATOMIC_RELAXED);
	*out = &tq->base;
	return 0;
}

static void test_detach(struct vio_port_queue *pq)
{
	struct test_port_queue *tq = to_queue(pq);

	if (!tq->attached)
		abort();
	tq->attached = tq->receiving = tq->selected = false;
	__atomic_sub_fetch(&to_port(pq->port)->attached, 1, __ATOMIC_RELAXED);
}

static void test_select(struct vio_port_queue *pq, bool on)
{
	to_queue(pq)->selected = on;
}

static int test_set_offloads(struct vio_port *port, uint64_t offloads)
{
	struct test_port *tp = to_port(port);

	if (tp->set_error)
		return tp->set_error;
	tp->offloads = offloads;
	return 0;
}

void test_port_close(struct test_port *tp)
{
	if (!tp)
		return;
	for (uint16_t i = 0; i < TEST_PORT_MAX_PAIRS; i++) {
		test_port_forget(tp, i);
		while (tp->queue[i].first)
			drop_first(&tp->queue[i]);
	}
	free(tp);
}

static void test_close(struct vio_port *port)
{
	test_port_close(to_port(port));
}

static const struct vio_port_ops test_ops = {
	.name = "test",
	.info = test_info,
	.attach = test_attach,
	.detach = test_detach,
	.send = test_send,
	.receive = test_receive,
	.select = test_select,
	.set_offloads = test_set_offloads,
	.close = test_close,
};

int test_port_open(const struct vio_port_info *info, struct test_port **out)
{
	static const struct vio_port_info all = {
		.offloads = UINT64_C(1) << VIRTIO_NET_F_CSUM |
			    UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM |
			    UINT64_C(0xf) << VIRTIO_NET_F_GUEST_TSO4 |
			    UINT64_C(0xf) << VIRTIO_NET_F_HOST_TSO4 | UINT64_C(7) << 54,
		.max_pairs = TEST_PORT_MAX_PAIRS,
		.link_up = true,
		.speed = 10000,
	};
	struct test_port *tp = calloc(1, sizeof(*tp));

	if (!tp)
		return -ENOMEM;
	tp->base.ops = &test_ops;
	tp->info = info ? *info : all;
	tp->takes = UINT_MAX;
	for (unsigned i = 0; i < TEST_PORT_MAX_PAIRS; i++)
		tp->queue[i].last = &tp->queue[i].first;
	*out = tp;
	return 0;
}
