/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moderation. A driver that sends much and kicks for each frame or two makes everybody spend more
 * on waking up than on frames: us, whoever carries our interrupts, and itself. Then the pair looks
 * at its transmit queue by a timer, or when several frames wait there, for as long as that gathers
 * frames. The first frame after a silence does not wait.
 *
 * Chains are taken later, not returned later: whatever is used is interrupted for at once.
 */
#include "net_internal.h"

#define WINDOW 16 /* kicked runs, or ticks, between two decisions */

/* Worth it: so many kicks in a window, for few frames each that are not tiny, and quickly. */
#define KICKS_MIN	(WINDOW * 3 / 4)
#define FRAMES_THIN	(WINDOW * 4)
#define FRAME_BYTES_MIN 1024

/* Paid off: so many frames in a window of ticks. */
#define FRAMES_GATHERED (WINDOW * 2)

#define EMPTY_MAX 2 /* ticks without a frame end it */
#define SKIP_MAX  1024

#define FRAMES_WAIT_MAX 16 /* more do not wait for the tick */

static void window_begin(struct net_pair *p)
{
	const struct vio_queue_stats *s = &p->txl.q->stats;

	p->pace.n = 0;
	p->pace.since = vio_now_ns();
	p->pace.kicks = s->kicks;
	p->pace.frames = s->requests;
	p->pace.bytes = s->bytes_written;
}

/* A queue of 16 has 1: nothing to gather in. */
static uint16_t frames_wait(const struct vio_queue *q)
{
	uint16_t n = q->size / 16;

	return n < FRAMES_WAIT_MAX ? n : FRAMES_WAIT_MAX;
}

static void pace_on(struct net_pair *p)
{
	struct net_pace *pace = &p->pace;

	pace->on = true;
	pace->empty = 0;
	pace->ticked = p->txl.q->stats.requests;
	pace->seen_tx = p->txl.q->stats.bytes_written;
	pace->seen_rx = p->rxl.q ? p->rxl.q->stats.bytes_read : 0;
	vio_queue_set_lazy(p->txl.q, frames_wait(p->txl.q));
	vio_queue_arm(p->txl.q); /* less than it was; what waits already waits for the tick */
	net_timer_set(&pace->timer, pace->usecs, true);
}

static void rx_release(struct net_pair *p)
{
	if (!p->pace.rx_held)
		return;
	p->pace.rx_held = false;
	if (p->rxl.q)
		net_rx_wake(p);
}

/* What is received beside a bulk of transmitted frames, mostly their acknowledgements, comes with
 * the tick, too. Not with a full port: it may be waiting for its frames to be received. */
static void rx_hold(struct net_pair *p)
{
	struct net_pace *pace = &p->pace;
	uint64_t tx = p->txl.q->stats.bytes_written - pace->seen_tx, rx;

	if (!p->rxl.q || p->tx->stalled)
		return;
	rx = p->rxl.q->stats.bytes_read - pace->seen_rx;
	pace->seen_tx += tx;
	pace->seen_rx += rx;
	if (rx * 8 > tx)
		return;
	pace->rx_held = true;
	net_rx_pause(p);
}

static void pace_off(struct net_pair *p)
{
	p->pace.on = false;
	net_timer_set(&p->pace.timer, 0, false);
	vio_queue_set_lazy(p->txl.q, 0);
	rx_release(p);
	net_tx_again(p); /* arms kicks */
	window_begin(p);
}

static void pace_failed(struct net_pair *p)
{
	struct net_pace *pace = &p->pace;

	pace->skip = pace->skip_next;
	pace->skip_next = pace->skip_next < SKIP_MAX ? pace->skip_next * 2 : SKIP_MAX;
	pace_off(p);
}

/* After a tick that took `frames`. */
static void pace_judge(struct net_pair *p, uint64_t frames)
{
	struct net_pace *pace = &p->pace;

	pace->empty = frames ? 0 : pace->empty + 1;
	if (pace->empty == EMPTY_MAX) {
		pace_off(p);
		return;
	}
	if (++pace->n == WINDOW) {
		if (p->txl.q->stats.requests - pace->frames < FRAMES_GATHERED) {
			pace_failed(p);
			return;
		}
		pace->skip_next = 1;
		window_begin(p);
	}
	rx_hold(p);
}

static void on_tick(struct vio_watch *w)
{
	struct net_pair *p = vio_container_of(w, struct net_pair, pace.timer);
	uint64_t before = p->pace.ticked;

	vio_event_take(w->fd);
	if (!p->pace.on)
		return;
	if (vio_device_failed(&p->net->base)) {
		net_timer_set(w, 0, false);
		return;
	}
	net_sync(p);
	rx_release(p);
	if (net_tx_run(p))
		net_tx_again(p);
	p->pace.ticked = p->txl.q->stats.requests;
	pace_judge(p, p->pace.ticked - before);
}

void net_pace_kicked(struct net_pair *p)
{
	const struct vio_queue_stats *s = &p->txl.q->stats;
	struct net_pace *pace = &p->pace;
	uint64_t frames = s->requests - pace->frames;

	if (++pace->n < WINDOW)
		return;
	if (vio_now_ns() - pace->since < (uint64_t)WINDOW * pace->usecs * 1000 &&
	    s->kicks - pace->kicks >= KICKS_MIN && frames <= FRAMES_THIN &&
	    s->bytes_written - pace->bytes >= frames * FRAME_BYTES_MIN) {
		if (pace->skip > 0)
			pace->skip--;
		else
			pace_on(p);
	}
	window_begin(p);
}

void net_pace_start(struct net_pair *p)
{
	struct net_pace *pace = &p->pace;

	*pace = (struct net_pace){
		.usecs = p->net->moderation_us,
		.skip_next = 1,
		.timer = {.fd = -1, .on_ready = on_tick},
	};
	if (pace->usecs > 0 && frames_wait(p->txl.q) > 1)
		net_timer_open(p->loop, &pace->timer); /* without one: at once, always */
	window_begin(p);
}

void net_pace_stop(struct net_pair *p)
{
	rx_release(p);
	p->pace.on = false;
	net_timer_close(p->loop, &p->pace.timer);
}
