/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transmit queues. Chains are popped in batches, each becomes a frame for the port, and each goes
 * back to the driver when the port is done with it. What the port does not take stays in its place
 * at the head of the batch, and nothing more is popped until the port has room.
 */
#include <viodm/defect.h>
#include "net_internal.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

/* ---- one frame ---------------------------------------------------------------------------------
 */

/*
 * Copies the header off the front of a chain, once: nothing of it is read again from where the
 * driver can change it. It may lie in any number of buffers (CVE-2022-2132).
 */
static inline void tx_header(struct vio_iov *out, struct vio_frame_hdr *hdr, uint32_t hdr_len)
{
	struct iovec *v = out->v;

	if (VIO_LIKELY(v->iov_len >= hdr_len)) {
		memcpy(hdr, v->iov_base, sizeof(*hdr));
		v->iov_base = (char *)v->iov_base + hdr_len;
		v->iov_len -= hdr_len;
		out->len -= hdr_len;
		if (v->iov_len == 0) {
			out->v++;
			out->n--;
		}
	} else {
		vio_iov_pull(out, hdr, sizeof(*hdr));
		vio_iov_skip(out, hdr_len - sizeof(*hdr));
	}
	__asm__ volatile("" : : "r"(hdr) : "memory"); /* a copy, not an alias */
}

/* A frame in more pieces than a port can be given is gathered first. */
static void tx_gather(struct net_tx *tx, struct vio_frame *f, struct vio_iov *out)
{
	tx->bounced = true;
	tx->bounce_iov.iov_base = tx->bounce;
	tx->bounce_iov.iov_len = vio_iov_pull(out, tx->bounce, f->len);
	f->iov = &tx->bounce_iov;
	f->n_iov = 1;
}

/* The port wants whole checksums: replaces the two bytes, without writing to the driver's buffer.
 */
static void tx_complete(struct net_tx *tx, struct vio_frame *f)
{
	struct iovec *iov = &tx->iov[tx->n_iov];

	f->n_iov = net_csum_patch(&f->hdr, f->iov, f->n_iov, iov, tx->patch[tx->built]);
	f->iov = iov;
	tx->n_iov += f->n_iov;
	f->hdr = (struct vio_frame_hdr){0};
}

/* Has the batch what the next frame may take? */
static inline bool tx_has_room(const struct net_tx *tx)
{
	return !tx->bounced && tx->n_iov <= VIO_ARRAY_LEN(tx->iov) - NET_FRAME_IOVS - 2;
}

/* Makes a frame of a chain, or one with n_iov 0 if it makes no sense. */
static void tx_frame(struct net_pair *p, struct vio_chain *c, struct vio_frame *f)
{
	struct net *net = p->net;
	struct vio_iov out = vio_iov_readable(c);

	f->n_iov = 0;
	f->len = 0;
	if (VIO_UNLIKELY(out.len < net->hdr_len + NET_ETH_LEN ||
			 out.len > net->hdr_len + VIO_FRAME_MAX))
		return;
	tx_header(&out, &f->hdr, net->hdr_len);
	if (VIO_DEFECT("net-unknown-flags-refused") && f->hdr.flags & 0xf8)
		return;
	if (VIO_DEFECT("net-checksum-unasked") && f->hdr.csum_start)
		f->hdr.flags |= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	if (VIO_DEFECT("net-hdr-len-trusted") && le16toh(f->hdr.hdr_len) > out.len)
		return;
	if (VIO_LIKELY((f->hdr.flags | f->hdr.gso_type) == 0))
		f->hdr = (struct vio_frame_hdr){0};
	else if (net_tx_check(&f->hdr, (uint32_t)out.len, net->features) < 0)
		return;
	f->len = (uint32_t)out.len;
	f->iov = out.v;
	f->n_iov = out.n;
	if (VIO_UNLIKELY(out.n > NET_FRAME_IOVS - 2))
		tx_gather(p->tx, f, &out);
	if (VIO_UNLIKELY(f->hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && net->tx_complete))
		tx_complete(p->tx, f);
}

/* ---- batches -----------------------------------------------------------------------------------
 */

/* Pops a batch. The headers are on their way to the cache while the others are popped. */
static void tx_pop(struct net_pair *p, uint16_t max)
{
	struct net_tx *tx = p->tx;
	uint16_t n = 0;

	while (n < max && vio_device_pop(&p->net->base, p->txl.q, &tx->chain[n])) {
		__builtin_prefetch(tx->chain[n]->iov->iov_base);
		n++;
	}
	tx->n = n;
	tx->built = tx->done = 0;
}

/* Makes frames of what was popped, as many as there is memory for. */
static void tx_build(struct net_pair *p)
{
	struct net_tx *tx = p->tx;

	if (tx->built == tx->done) {
		tx->n_iov = 0;
		tx->bounced = false;
	}
	while (tx->built < tx->n && tx_has_room(tx)) {
		tx_frame(p, tx->chain[tx->built], &tx->frame[tx->built]);
		tx->built++;
	}
}

static void tx_drop(struct net_pair *p, uint16_t n)
{
	vio_count(&p->dropped_tx, n);
	vio_count(&p->txl.q->stats.errors, n);
}

/* Gives the next `n` chains back. */
static uint64_t tx_push(struct net_pair *p, uint16_t n)
{
	struct net_tx *tx = p->tx;
	uint64_t bytes = 0;

	for (uint16_t end = tx->done + n; tx->done < end; tx->done++) {
		bytes += tx->frame[tx->done].len;
		vio_queue_push(p->txl.q, tx->chain[tx->done], 0);
	}
	return bytes;
}

/* How many frames from `done` on are to be sent, or, if `bad`, are not. */
static uint16_t tx_run_of(const struct net_tx *tx, bool bad)
{
	uint16_t i = tx->done;

	while (i < tx->built && (tx->frame[i].n_iov == 0) == bad)
		i++;
	return i - tx->done;
}

/* Sends what was built. False: the port is full. */
static bool tx_send(struct net_pair *p)
{
	struct net_tx *tx = p->tx;

	while (tx->done < tx->built) {
		uint16_t n = tx_run_of(tx, false), sent;

		if (n == 0 || !p->net->link) {
			n = n ? n : tx_run_of(tx, true);
			tx_push(p, n);
			tx_drop(p, n);
			continue;
		}
		sent = (uint16_t)vio_port_send(p->pq, &tx->frame[tx->done], n);
		vio_count(&p->txl.q->stats.bytes_written, tx_push(p, sent));
		if (sent < n)
			return false;
	}
	return true;
}

/* One batch to its end. False: the port is full, writable() will come. */
static bool tx_batch(struct net_pair *p)
{
	struct net_tx *tx = p->tx;
	uint16_t before = tx->done;
	bool all = true;

	while (all && tx->done < tx->n) {
		tx_build(p);
		all = tx_send(p);
	}
	net_line_publish(&p->txl, tx->done - before);
	tx->stalled = !all;
	vio_queue_set_idle(p->txl.q, tx->stalled);
	return all;
}

bool net_tx_run(struct net_pair *p)
{
	struct net_tx *tx = p->tx;
	uint16_t left = p->txl.q->size;

	if (tx->stalled)
		return false;
	while (left > 0) {
		tx_pop(p, left < NET_TX_BATCH ? left : NET_TX_BATCH);
		if (tx->n == 0)
			return false;
		left -= tx->n;
		if (!tx_batch(p))
			return false;
	}
	return true;
}

void net_tx_again(struct net_pair *p)
{
	vio_loop_defer(p->loop, &p->tx->again);
}

void net_tx_writable(struct vio_port_queue *pq)
{
	struct net_pair *p = pq->user_data;

	if (!p->tx || !p->tx->stalled || vio_device_failed(&p->net->base))
		return;
	if (tx_batch(p))
		net_tx_again(p); /* and what came meanwhile */
}

static void on_again(struct vio_defer *d)
{
	struct net_tx *tx = vio_container_of(d, struct net_tx, again);
	struct net_pair *p = tx->pair;

	if (!vio_device_failed(&p->net->base) && net_tx_run(p))
		net_tx_again(p);
}

/* ---- start and stop ----------------------------------------------------------------------------
 */

int net_tx_start(struct net_pair *p, struct vio_queue *q)
{
	struct net_tx *tx = calloc(1, sizeof(*tx));

	if (!tx)
		return -ENOMEM;
	tx->bounce = malloc(VIO_FRAME_MAX);
	if (!tx->bounce) {
		free(tx);
		return -ENOMEM;
	}
	tx->again.run = on_again;
	tx->pair = p;
	p->tx = tx;
	net_line_init(&p->txl, p, q);
	net_pace_start(p);
	return 0;
}

void net_tx_stop(struct net_pair *p)
{
	struct net_tx *tx = p->tx;

	net_pace_stop(p);
	vio_loop_cancel(p->loop, &tx->again);
	/* What the port has not taken goes to whoever starts the queue again. */
	vio_queue_unpop(p->txl.q, tx->n - tx->done);
	net_line_fini(&p->txl);
	p->tx = NULL;
	free(tx->bounce);
	free(tx);
}
