/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receive queues. A frame goes straight from where the port reads it into the driver's buffers
 * when they are sure to hold it; otherwise by way of a buffer of ours, where it can wait.
 */
#include <viodm/defect.h>
#include "net_internal.h"

#include <endian.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <stdlib.h>

/* What became of a frame. */
enum rx_fate { RX_DONE, RX_NO_ROOM };

/* ---- the driver's buffers ----------------------------------------------------------------------
 */

static struct vio_chain *held_at(const struct net_rx *rx, uint16_t i)
{
	return rx->held[(uint16_t)(rx->first + i) & rx->mask];
}

/* Takes one more chain from the ring. */
static bool rx_pop(struct net_pair *p)
{
	struct net_rx *rx = p->rx;
	struct vio_chain *c;

	if (!vio_device_pop(&p->net->base, p->rxl.q, &c))
		return false;
	/* Not held: there may be no writable vector at all in it. */
	if (VIO_UNLIKELY(c->writable_len < p->net->hdr_len)) {
		vio_device_fail(&p->net->base, "queue %u: receive buffer shorter than a header",
				p->rxl.q->index);
		return false;
	}
	rx->held[(uint16_t)(rx->first + rx->n_held++) & rx->mask] = c;
	rx->held_len += c->writable_len;
	return true;
}

/* Are `len` bytes of buffers at hand? Without MRG_RXBUF: is a buffer? */
static inline bool rx_hold(struct net_pair *p, uint64_t len)
{
	struct net_rx *rx = p->rx;

	if (!p->net->mergeable)
		return rx->n_held > 0 || rx_pop(p);
	while (rx->held_len < len)
		if (!rx_pop(p))
			return false;
	return true;
}

/* Gives the oldest chain back with `len` bytes in it. */
static inline void rx_push(struct net_pair *p, uint64_t len)
{
	struct net_rx *rx = p->rx;
	struct vio_chain *c = rx->held[rx->first & rx->mask];

	rx->first++;
	rx->n_held--;
	rx->held_len -= c->writable_len;
	vio_queue_push(p->rxl.q, c, len);
}

/* How many chains hold `len` bytes; there are so many. */
static uint16_t rx_chains(const struct net_rx *rx, uint64_t len)
{
	uint16_t n = 0;

	for (uint64_t sum = 0; sum < len; n++)
		sum += held_at(rx, n)->writable_len;
	return n;
}

/* Gives back the chains that `len` bytes were put into: all are full but the last (NET-DEV-041). */
static void rx_push_all(struct net_pair *p, uint64_t len)
{
	while (len > 0) {
		uint64_t room = p->rx->held[p->rx->first & p->rx->mask]->writable_len;
		uint64_t n = len < room ? len : room;

		rx_push(p, n);
		len -= n;
	}
	p->rx->given = NET_ROOM_NONE;
}

/* ---- looking at frames -------------------------------------------------------------------------
 */

/* The first bytes of a frame, up to `max`, into private memory. */
static size_t head_copy(uint8_t *head, size_t max, const struct iovec *iov, uint32_t n)
{
	size_t done = 0;

	if (VIO_LIKELY(n > 0 && max == NET_FILTER_HEAD && iov->iov_len >= NET_FILTER_HEAD)) {
		memcpy(head, iov->iov_base, NET_FILTER_HEAD);
		return NET_FILTER_HEAD;
	}
	for (uint32_t i = 0; i < n && done < max; i++) {
		size_t part = iov[i].iov_len < max - done ? iov[i].iov_len : max - done;

		if (part)
			memcpy(head + done, iov[i].iov_base, part);
		done += part;
	}
	return done;
}

static bool tagged(const uint8_t *head, size_t len)
{
	return len >= NET_ETH_LEN && (head[12] << 8 | head[13]) == ETH_P_8021Q;
}

/* NET-DEV-006: is an unsegmented frame longer than the driver was told frames are? */
static bool too_long(const struct net_pair *p, const struct vio_frame_hdr *h, uint32_t len,
		     const uint8_t *head, size_t head_len)
{
	uint32_t max = p->net->mtu_len;

	if (max == 0 || (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) != VIRTIO_NET_HDR_GSO_NONE)
		return false;
	return len > max + (tagged(head, head_len) ? NET_VLAN_LEN : 0);
}

/* Which pair does a frame with this hash go to? NET-DEV-129, NET-DEV-130 */
static struct net_pair *steer(struct net_pair *p, const struct net_hash_result *hash)
{
	const struct net_settings *s = p->set;
	uint16_t i = s->rss_unclassified;

	if (hash->report != VIRTIO_NET_HASH_REPORT_NONE)
		i = s->rss_table[hash->value & s->rss_mask];
	return &p->net->pair[i];
}

/*
 * Does the driver want the frame? Makes the header for it. Where it goes is *to; the caller
 * completes the checksum when *complete.
 */
static bool rx_accept(struct net_pair *p, const struct vio_frame_hdr *hdr, uint32_t len,
		      const struct iovec *iov, uint32_t n, struct net_rx_hdr *out, bool *complete,
		      struct net_pair **to)
{
	const struct net_settings *s = p->set;
	uint8_t head[NET_HASH_HEAD];
	size_t want = s->hashing ? NET_HASH_HEAD : NET_FILTER_HEAD;
	size_t head_len = head_copy(head, want, iov, n);
	int r = 0;

	if (VIO_UNLIKELY(s->filtering) &&
	    !net_filter_wants(&s->filter, head,
			      head_len < NET_FILTER_HEAD ? head_len : NET_FILTER_HEAD)) {
		vio_count(&p->filtered_rx, 1);
		return false;
	}
	*out = (struct net_rx_hdr){.h = *hdr};
	if (hdr->flags | hdr->gso_type)
		r = net_rx_check(&out->h, len, s->offloads);
	else
		out->h = (struct vio_frame_hdr){0};
	if (VIO_UNLIKELY(r < 0 || len < NET_ETH_LEN || too_long(p, &out->h, len, head, head_len))) {
		vio_count(&p->dropped_rx, 1);
		return false;
	}
	*complete = r > 0;
	if (out->h.gso_type != VIRTIO_NET_HDR_GSO_NONE && !VIO_DEFECT("net-hdr-len-believed"))
		net_rx_complete_gso(&out->h, iov, n, len, s->offloads);
	if (out->h.gso_type != VIRTIO_NET_HDR_GSO_NONE && VIO_DEFECT("net-segments-no-checksum"))
		out->h.flags = 0;
	if (VIO_DEFECT("net-segments-no-size"))
		out->h.gso_size = 0;
	if (VIO_DEFECT("net-segments-no-ecn"))
		out->h.gso_type &= ~VIRTIO_NET_HDR_GSO_ECN;
	if (VIO_DEFECT("net-header-untouched")) {
		out->h = *hdr;
		*complete = false;
	}
	if (VIO_UNLIKELY(s->hashing)) {
		struct net_hash_result hash = net_hash_frame(&s->hash, head, head_len);

		out->hash_value = htole32(hash.value);
		out->hash_report = htole16(hash.report);
		if (s->steering)
			*to = steer(p, &hash);
	}
	return true;
}

/* ---- copying a frame into buffers --------------------------------------------------------------
 */

/* Header and frame into the oldest chains, `chains` of them. */
static void rx_scatter(struct net_pair *p, const struct net_rx_hdr *hdr, const struct iovec *iov,
		       uint32_t n, uint16_t chains)
{
	uint16_t i = 0;
	struct vio_iov dst = vio_iov_writable(held_at(p->rx, 0));

	vio_iov_put(&dst, hdr, p->net->hdr_len);
	for (uint32_t k = 0; k < n; k++) {
		const char *src = iov[k].iov_base;
		size_t left = iov[k].iov_len;

		while (left > 0) {
			size_t done = vio_iov_put(&dst, src, left);

			src += done;
			left -= done;
			if (left == 0)
				break;
			if (++i == chains)
				return;
			dst = vio_iov_writable(held_at(p->rx, i));
		}
	}
}

/* Header and frame into one buffer; most are received so. */
static inline void rx_fill(char *dst, const struct net_rx_hdr *hdr, uint32_t hdr_len,
			   const struct iovec *iov, uint32_t n, uint32_t len)
{
	if (VIO_LIKELY(hdr_len == NET_HDR_LEN))
		memcpy(dst, hdr, NET_HDR_LEN);
	else
		memcpy(dst, hdr, NET_HDR_LEN_HASH);
	dst += hdr_len;
	for (uint32_t i = 0; i < n && len > 0; i++) {
		uint32_t part = iov[i].iov_len < len ? (uint32_t)iov[i].iov_len : len;

		if (part)
			memcpy(dst, iov[i].iov_base, part);
		dst += part;
		len -= part;
	}
}

static enum rx_fate rx_drop(struct net_pair *p)
{
	vio_count(&p->dropped_rx, 1);
	vio_count(&p->rxl.q->stats.errors, 1);
	return RX_DONE;
}

/* Puts a frame into p's receive queue. */
static enum rx_fate rx_put(struct net_pair *p, struct net_rx_hdr *hdr, const struct iovec *iov,
			   uint32_t n, uint32_t len)
{
	struct net_rx *rx = p->rx;
	uint64_t need = (uint64_t)p->net->hdr_len + len;
	struct vio_chain *c;
	struct iovec *v;

	if (VIO_UNLIKELY(!rx_hold(p, need))) {
		/* When all the ring holds is too little, waiting does not help. */
		return rx->n_held > rx->mask ? rx_drop(p) : RX_NO_ROOM;
	}
	c = rx->held[rx->first & rx->mask];
	v = &c->iov[c->n_readable];
	if (VIO_LIKELY(v->iov_len >= need)) {
		hdr->h.num_buffers =
			htole16(VIO_DEFECT("net-num-buffers-0") ? 0 : 1); /* NET-DEV-039 */
		rx_fill(v->iov_base, hdr, p->net->hdr_len, iov, n, len);
		rx_push(p, need);
		rx->given = NET_ROOM_NONE;
	} else {
		uint16_t chains = 1;

		if (p->net->mergeable)
			chains = rx_chains(rx, need); /* NET-DEV-034, NET-DEV-040 */
		else if (c->writable_len < need && VIO_DEFECT("net-frame-in-two-buffers") &&
			 rx_pop(p))
			chains = rx_chains(rx, need);
		else if (c->writable_len < need)
			return rx_drop(p); /* never cut, never in two: NET-DEV-035 */
		hdr->h.num_buffers = htole16(chains + VIO_DEFECT("net-num-buffers-plus-one"));
		rx_scatter(p, hdr, iov, n, chains);
		rx_push_all(p, need);
	}
	vio_count(&p->rxl.q->stats.bytes_read, len);
	return RX_DONE;
}

/* Can frames come into this pair's queue? */
static bool rx_open(const struct net_pair *p)
{
	return p->rx && p->active && p->net->link && !vio_device_failed(&p->net->base);
}

/* Into a queue that is not this port queue's. One full queue must not keep up the others. */
static enum rx_fate rx_pass_on(struct net_pair *p, struct net_pair *to, struct net_rx_hdr *hdr,
			       const struct iovec *iov, uint32_t n, uint32_t len)
{
	bool ok;

	if (to->loop == p->loop) {
		ok = rx_open(to) && rx_put(to, hdr, iov, n, len) == RX_DONE;
	} else {
		const struct net_mail_head head = {.hdr = *hdr, .len = len};

		ok = net_mail_post(&to->mail, &head, iov, n);
	}
	return ok ? RX_DONE : rx_drop(p); /* NET-DEV-131 */
}

static enum rx_fate rx_frame(struct net_pair *p, const struct vio_frame_hdr *fh,
			     const struct iovec *iov, uint32_t n, uint32_t len)
{
	struct net_pair *to = p;
	struct net_rx_hdr hdr;
	uint8_t patch[2];
	bool complete;

	if (VIO_LIKELY(!(fh->flags | fh->gso_type) && len >= NET_ETH_LEN && len <= p->plain_max)) {
		hdr = (struct net_rx_hdr){0};
		return rx_put(p, &hdr, iov, n, len);
	}
	if (!rx_accept(p, fh, len, iov, n, &hdr, &complete, &to))
		return RX_DONE;
	if (VIO_UNLIKELY(complete)) {
		/* The room that is given, if any, is gathered once more. */
		if (n > NET_FRAME_IOVS - 2)
			return rx_drop(p);
		p->rx->given = NET_ROOM_NONE;
		n = net_csum_patch(&hdr.h, iov, n, p->rx->iov, patch);
		iov = p->rx->iov;
		hdr.h = (struct vio_frame_hdr){0}; /* NET-DEV-043, NET-DEV-044 */
	}
	return VIO_LIKELY(to == p) ? rx_put(p, &hdr, iov, n, len)
				   : rx_pass_on(p, to, &hdr, iov, n, len);
}

/* ---- called by ports ---------------------------------------------------------------------------
 */

static bool rx_starve(struct net_pair *p)
{
	if (!p->rx)
		return false;
	p->rx->starved = true;
	vio_queue_set_idle(p->rxl.q, !rx_open(p));
	return false;
}

/* The frame in the bounce buffer, if any, goes first. */
static bool rx_pending_done(struct net_pair *p)
{
	struct net_rx *rx = p->rx;

	if (VIO_LIKELY(!rx->pending))
		return true;
	rx->bounce_iov.iov_len = rx->pending_len;
	rx->pending =
		rx_frame(p, &rx->pending_hdr, &rx->bounce_iov, 1, rx->pending_len) == RX_NO_ROOM;
	return !rx->pending;
}

/* Takes a buffer for each frame of a batch; they are on their way to the cache meanwhile. */
static inline void rx_ahead(struct net_pair *p, unsigned n)
{
	struct net_rx *rx = p->rx;

	while (rx->n_held < n && rx->n_held <= rx->mask && rx_pop(p)) {
		const struct vio_chain *c = held_at(rx, rx->n_held - 1);

		__builtin_prefetch(c->iov[c->n_readable].iov_base, 1);
	}
}

unsigned net_rx_deliver(struct vio_port_queue *pq, const struct vio_frame *frames, unsigned n)
{
	struct net_pair *p = pq->user_data;
	unsigned i;

	if (!rx_open(p) || !rx_pending_done(p)) {
		rx_starve(p);
		return 0;
	}
	rx_ahead(p, n < NET_RX_AHEAD ? n : NET_RX_AHEAD);
	for (i = 0; i < n; i++) {
		const struct vio_frame *f = &frames[i];

		if (rx_frame(p, &f->hdr, f->iov, f->n_iov, f->len) == RX_NO_ROOM) {
			rx_starve(p);
			break;
		}
	}
	return i;
}

/* The buffers at hand, behind the place of the header. False: too many pieces. */
static bool room_gather(struct net_pair *p, uint64_t want)
{
	struct net_rx *rx = p->rx;
	uint64_t skip = p->net->hdr_len;
	uint16_t chains = p->net->mergeable ? rx->n_held : 1;
	uint32_t n = 0;
	size_t len = 0;

	for (uint16_t i = 0; i < chains && len < want; i++) {
		struct vio_iov v = vio_iov_writable(held_at(rx, i));

		for (uint32_t k = 0; k < v.n; k++) {
			size_t cut = skip < v.v[k].iov_len ? (size_t)skip : v.v[k].iov_len;

			skip -= cut;
			if (cut == v.v[k].iov_len)
				continue;
			if (n == NET_FRAME_IOVS)
				return false;
			rx->iov[n].iov_base = (char *)v.v[k].iov_base + cut;
			rx->iov[n].iov_len = v.v[k].iov_len - cut;
			len += rx->iov[n++].iov_len;
		}
	}
	rx->room = (struct vio_port_room){.iov = rx->iov, .n_iov = n, .len = len};
	return len > 0;
}

static uint32_t frame_max(const struct net_pair *p)
{
	return p->set->offloads & NET_GUEST_GSO ? VIO_FRAME_MAX : p->net->frame_max;
}

bool net_rx_room(struct vio_port_queue *pq, struct vio_port_room *room)
{
	struct net_pair *p = pq->user_data;
	struct net_rx *rx = p->rx;
	bool enough;

	if (!rx_open(p) || !rx_pending_done(p))
		return rx_starve(p);
	if (rx->given == NET_ROOM_NONE) {
		enough = rx_hold(p, (uint64_t)p->net->hdr_len + frame_max(p));
		if (rx->n_held == 0)
			return rx_starve(p);
		if (enough && !p->set->steering && room_gather(p, frame_max(p))) {
			rx->given = NET_ROOM_DIRECT;
		} else {
			rx->bounce_iov.iov_len = VIO_FRAME_MAX;
			rx->room = (struct vio_port_room){&rx->bounce_iov, 1, VIO_FRAME_MAX};
			rx->given = NET_ROOM_BOUNCE;
		}
	}
	*room = rx->room;
	return true;
}

/* The frame lies in the driver's buffers. */
static void received_direct(struct net_pair *p, const struct vio_frame_hdr *fh, uint32_t len)
{
	struct net_rx *rx = p->rx;
	struct vio_iov frame = {.v = rx->iov, .n = rx->room.n_iov, .len = rx->room.len};
	struct net_pair *to = p;
	struct vio_iov dst;
	struct net_rx_hdr hdr;
	bool complete;
	uint64_t total = (uint64_t)p->net->hdr_len + len;

	vio_iov_trim(&frame, len);
	rx->given = NET_ROOM_NONE;
	if (!rx_accept(p, fh, len, frame.v, frame.n, &hdr, &complete, &to))
		return; /* the buffers are used for the next one */
	if (complete) {
		net_csum_complete(&hdr.h, frame.v, frame.n);
		hdr.h = (struct vio_frame_hdr){0};
	}
	hdr.h.num_buffers = htole16(p->net->mergeable ? rx_chains(rx, total) : 1);
	dst = vio_iov_writable(held_at(rx, 0));
	vio_iov_put(&dst, &hdr, p->net->hdr_len);
	rx_push_all(p, total);
	vio_count(&p->rxl.q->stats.bytes_read, len);
}

void net_rx_received(struct vio_port_queue *pq, const struct vio_frame_hdr *hdr, size_t len)
{
	struct net_pair *p = pq->user_data;
	struct net_rx *rx = p->rx;

	if (!rx || rx->given == NET_ROOM_NONE || len > rx->room.len)
		return;
	if (rx->given == NET_ROOM_DIRECT) {
		received_direct(p, hdr, (uint32_t)len);
		return;
	}
	rx->given = NET_ROOM_NONE;
	rx->pending = true;
	rx->pending_hdr = *hdr;
	rx->pending_len = (uint32_t)len;
	if (!rx_pending_done(p))
		rx_starve(p);
}

static void rx_publish(struct net_pair *p)
{
	if (p->rxl.q && p->rxl.q->used_idx != p->rxl.q->published)
		net_line_publish(&p->rxl, (uint16_t)(p->rxl.q->used_idx - p->rxl.q->published));
}

void net_rx_flush(struct vio_port_queue *pq)
{
	struct net_pair *p = pq->user_data;

	rx_publish(p);
	if (VIO_LIKELY(!p->set->steering))
		return;
	for (uint16_t i = 0; i < p->net->pairs; i++)
		if (p->net->pair[i].loop == p->loop)
			rx_publish(&p->net->pair[i]);
}

static void rx_mail_frame(void *arg, const struct net_mail_head *head, uint8_t *frame)
{
	struct net_pair *p = arg;
	struct iovec iov = {.iov_base = frame, .iov_len = head->len};
	struct net_rx_hdr hdr = head->hdr;

	if (!rx_open(p) || rx_put(p, &hdr, &iov, 1, head->len) != RX_DONE)
		rx_drop(p);
}

void net_rx_mail(struct net_pair *p)
{
	net_mail_take(&p->mail, rx_mail_frame, p);
	rx_publish(p);
}

/* ---- start and stop ----------------------------------------------------------------------------
 */

void net_rx_wake(struct net_pair *p)
{
	if (!p->rx->starved || p->pace.rx_held)
		return;
	vio_queue_set_idle(p->rxl.q, true);
	if (!rx_open(p))
		return;
	if (p->rx->pending) {
		if (!rx_pending_done(p)) {
			vio_queue_set_idle(p->rxl.q, false);
			return;
		}
		net_rx_flush(p->pq);
	}
	p->rx->starved = false;
	vio_port_receive(p->pq, true);
}

void net_rx_pause(struct net_pair *p)
{
	if (!p->rx->starved)
		vio_port_receive(p->pq, false);
	p->rx->starved = true;
	p->rx->given = NET_ROOM_NONE;
	vio_queue_set_idle(p->rxl.q, true);
}

int net_rx_start(struct net_pair *p, struct vio_queue *q)
{
	struct net_rx *rx = calloc(1, sizeof(*rx));

	if (!rx)
		return -ENOMEM;
	rx->held = calloc(q->size, sizeof(struct vio_chain *));
	rx->bounce = malloc(VIO_FRAME_MAX);
	if (!rx->held || !rx->bounce ||
	    (vio_device_has(&p->net->base, VIRTIO_NET_F_RSS) &&
	     net_mail_open(&p->mail, p->wake_fd) < 0)) {
		free(rx->bounce);
		free(rx->held);
		free(rx);
		return -ENOMEM;
	}
	rx->bounce_iov.iov_base = rx->bounce;
	rx->mask = q->mask;
	q->untimed = true;  /* buffers wait for frames */
	rx->starved = true; /* the port does not receive before the queue is run once */
	p->rx = rx;
	net_line_init(&p->rxl, p, q);
	return 0;
}

void net_rx_stop(struct net_pair *p)
{
	struct net_rx *rx = p->rx;

	p->pace.rx_held = false;
	vio_port_receive(p->pq, false);
	net_mail_close(&p->mail);
	/* What is held goes to whoever starts the queue again. */
	vio_queue_unpop(p->rxl.q, rx->n_held);
	net_line_fini(&p->rxl);
	p->rx = NULL;
	free(rx->bounce);
	free(rx->held);
	free(rx);
}
