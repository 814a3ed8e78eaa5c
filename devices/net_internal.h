/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NET_INTERNAL_H
#define NET_INTERNAL_H

/*
 * Shared by the files of the network device:
 *
 *   net.c         life, features, configuration space, link
 *   net_pair.c    starting and stopping queues, settings on their way to the pairs
 *   net_rx.c      frames of the port into receive queues
 *   net_tx.c      frames of transmit queues to the port
 *   net_ctrl.c    the control queue
 *   net_coal.c    interrupts, later
 *   net_mail.c    frames for a pair of another loop
 *   net_pace.c    chains, later
 *   net_timer.c   timers
 *
 * Threads. A pair belongs to its loop. What the control queue (which may run on another loop) and
 * the operator set is in struct net_settings. There are three: `want`, which is changed under
 * net->lock, and two that pairs use without a lock. To put `want` in force it is copied over the
 * one that no pair uses, net->gen moves on, and every running pair is woken up to adopt it; when
 * all have, the settings are settled, the other copy is free again, and the command is answered.
 */

#include <linux/virtio_net.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <viodm/iov.h>
#include <viodm/loop.h>
#include <viodm/net.h>

#include "net_csum.h"
#include "net_filter.h"
#include "net_hash.h"
#include "net_mail.h"

/* Not in the oldest kernel headers in use. */
#ifndef VIRTIO_NET_F_VQ_NOTF_COAL
#define VIRTIO_NET_F_VQ_NOTF_COAL 52
#endif

#define NET_BIT(feature) (UINT64_C(1) << (feature))

#define NET_GUEST_GSO                                                                              \
	(NET_BIT(VIRTIO_NET_F_GUEST_TSO4) | NET_BIT(VIRTIO_NET_F_GUEST_TSO6) |                     \
	 NET_BIT(VIRTIO_NET_F_GUEST_UFO) | NET_BIT(VIRTIO_NET_F_GUEST_USO4) |                      \
	 NET_BIT(VIRTIO_NET_F_GUEST_USO6))

#define NET_GUEST_OFFLOADS                                                                         \
	(NET_BIT(VIRTIO_NET_F_GUEST_CSUM) | NET_BIT(VIRTIO_NET_F_GUEST_ECN) | NET_GUEST_GSO)

#define NET_HDR_LEN	 12u /* "Device Operation"; VERSION_1 is always accepted */
#define NET_HDR_LEN_HASH 20u

#define NET_ETH_LEN  14u
#define NET_VLAN_LEN 4u

#define NET_RSS_TABLE_MAX 128u

/* Vectors of one frame given to a port; it may put a header of its own before them. */
#define NET_FRAME_IOVS 1000u

#define NET_TX_BATCH 64u
#define NET_RX_AHEAD 64u

/* Notifications of one queue come after so many frames or microseconds; one is 0: at once. */
struct net_coal {
	uint32_t max_packets;
	uint32_t max_usecs;
};

struct net_settings {
	uint64_t offloads; /* GUEST_... bits that are on */
	uint16_t pairs;	   /* in use, from the first on */
	bool filtering;	   /* `filter` has something to say */
	bool hashing;	   /* hashes are calculated */
	bool steering;	   /* ... and choose the queue */
	uint16_t rss_mask;
	uint16_t rss_unclassified;
	uint16_t rss_table[NET_RSS_TABLE_MAX]; /* pairs */
	struct net_filter filter;
	struct net_coal coal[2 * VIO_NET_MAX_PAIRS]; /* by queue */
	struct net_hash_config hash;
};

/* A queue of a pair and when it interrupts. */
struct net_line {
	struct vio_queue *q; /* NULL: does not run */
	struct net_coal coal;
	uint32_t counted;	/* frames since the last interrupt, while coalescing */
	uint16_t since;		/* used index at the last interrupt */
	struct vio_watch timer; /* fd -1: none */
	struct net_pair *pair;
};

/* When a pair looks at its transmit queue. */
struct net_pace {
	struct vio_watch timer; /* fd -1: none, whenever the driver kicks */
	uint32_t usecs;
	bool on;      /* by the timer */
	bool rx_held; /* the receive queue, too */
	/* of the present window of runs or ticks */
	uint8_t n, empty;
	uint64_t since, kicks, frames, bytes;
	/* at the last tick */
	uint64_t ticked, seen_tx, seen_rx;
	/* windows to leave out, and after the next time that gathered nothing */
	uint16_t skip, skip_next;
};

struct net_tx {
	struct vio_chain *chain[NET_TX_BATCH];
	struct vio_frame frame[NET_TX_BATCH]; /* by chain; n_iov 0: not to be sent */
	/* done <= built <= n: chains that are pushed, that have a frame, that were popped */
	uint16_t n, built, done;
	bool stalled;	 /* the port is full; writable() will come */
	uint32_t n_iov;	 /* used of iov[] */
	bool bounced;	 /* the bounce buffer is in use */
	uint8_t *bounce; /* VIO_FRAME_MAX bytes */
	struct iovec bounce_iov;
	struct vio_defer again;
	struct net_pair *pair;
	uint8_t patch[NET_TX_BATCH][2];
	struct iovec iov[2 * NET_FRAME_IOVS];
};

struct net_rx {
	/* Chains that were popped and not used yet, oldest first, as a ring of queue-size entries.
	 */
	struct vio_chain **held;
	uint16_t mask, first, n_held;
	uint64_t held_len; /* bytes: the sum of writable_len */

	bool starved; /* room() or deliver() said no; the port waits for vio_port_receive() */

	/* What room() gave. */
	enum { NET_ROOM_NONE, NET_ROOM_DIRECT, NET_ROOM_BOUNCE } given;
	struct vio_port_room room;
	struct iovec iov[NET_FRAME_IOVS];

	/* Where a frame lands that cannot go to the driver as it comes, and may have to wait. */
	uint8_t *bounce; /* VIO_FRAME_MAX bytes */
	struct iovec bounce_iov;
	bool pending; /* a frame waits in there */
	struct vio_frame_hdr pending_hdr;
	uint32_t pending_len;
};

struct net_pair {
	struct net *net;
	uint16_t index;

	/* of the pair's loop */
	_Atomic(struct vio_loop *)
		loop; /* NULL: does not run; others may look whether it is theirs */
	struct vio_port_queue *pq;
	const struct net_settings *set;
	bool active;	    /* frames may come in */
	uint32_t plain_max; /* a frame this long, without offloads, needs no look; 0: every one does
			     */
	bool selected;	    /* what vio_port_select() was told */
	struct net_line rxl, txl;
	struct net_pace pace;
	struct net_rx *rx;
	struct net_tx *tx;

	/* under net->lock */
	unsigned running; /* queues */
	uint32_t gen;	  /* settings that are adopted; read by the loop without the lock */
	int wake_fd;	  /* eventfd while running */

	struct vio_watch wake;

	struct net_mail mail;

	/* counted by the loop */
	uint64_t dropped_tx, filtered_rx, dropped_rx;
};

struct net_ctrl {
	struct vio_queue *q; /* NULL: does not run */
	struct vio_loop *loop;
	struct vio_chain *chain; /* the command being carried out, or NULL */
	bool offloads_change;	 /* ... and it is to tell the port */
	struct vio_watch wake;
	/* under net->lock */
	bool waits; /* to be woken up when the settings are settled */
	int wake_fd;
};

struct net {
	struct vio_device base;
	struct vio_port *port;
	struct virtio_net_config conf; /* little-endian; under the device's mutex */
	uint64_t port_offloads;
	uint32_t port_frame_max; /* bytes of its longest frame without segmentation, at the start */
	uint16_t pairs;
	uint32_t moderation_us;

	/* From FEATURES_OK until reset. */
	uint64_t features;
	uint32_t hdr_len;
	uint32_t frame_max; /* bytes of the longest frame that there is room for, without
			       segmentation */
	uint32_t mtu_len;   /* bytes of the longest unsegmented frame for the driver; 0: any */
	bool mergeable;
	bool tx_complete; /* the port does not complete checksums */

	_Atomic(uint32_t) gen;
	_Atomic(bool) link;

	pthread_mutex_t lock; /* may be held when the device's is taken, not the other way round */
	bool begun;	      /* settings are set up, since reset */
	bool ctrl_on;	      /* the driver's commands come here */
	bool dirty;	      /* `want` has changes that are not in force */
	bool link_wanted, link_port, announce;
	uint8_t mac[6]; /* the operator's; that of the driver is in want.filter and conf */
	uint16_t mtu;	/* after the next reset */
	uint16_t port_mtu;
	struct net_settings want, live[2];
	struct net_coal coal_all[2]; /* set for all receive, all transmit queues */

	struct net_ctrl ctrl;
	struct net_pair pair[];
};

static inline struct net *to_net(struct vio_device *dev)
{
	return vio_container_of(dev, struct net, base);
}

enum net_role { NET_NONE, NET_RX, NET_TX, NET_CTRL };

/* What queue `index` is for, as negotiated. */
enum net_role net_role(const struct net *net, uint16_t index);
uint16_t net_ctrl_index(const struct net *net);

/* Clears the features of `f` that need others which it does not have. */
uint64_t net_features_close(uint64_t f);

/* Shows mac in the configuration space. */
void net_conf_mac(struct net *net, const uint8_t mac[6]);

/* net->lock held: shows link and announce bits in the configuration space. */
void net_conf_status(struct net *net);

/* ---- net_pair.c */

/* net->lock held. Puts net->want in force, now or when what is on its way has arrived. */
void net_publish(struct net *net);

/* net->lock held. Is net->want in force everywhere? */
bool net_settled(const struct net *net);

/* The pair's loop: takes the settings in force. */
void net_adopt(struct net_pair *p);

static inline void net_sync(struct net_pair *p)
{
	if (VIO_UNLIKELY(atomic_load_explicit(&p->net->gen, memory_order_acquire) != p->gen))
		net_adopt(p);
}

/* net->lock held: makes every running pair look around. */
void net_wake_pairs(struct net *net);

/* An eventfd that is watched on `loop`. 0 or -errno. */
int net_wake_open(struct vio_loop *loop, struct vio_watch *w, int *fd);
void net_wake_close(struct vio_loop *loop, struct vio_watch *w, int *fd);

int net_queue_start(struct vio_device *dev, struct vio_queue *q, struct vio_loop *loop);
void net_queue_stop(struct vio_device *dev, struct vio_queue *q);
bool net_queue_run(struct vio_device *dev, struct vio_queue *q);

/* ---- net_rx.c */

int net_rx_start(struct net_pair *p, struct vio_queue *q);
void net_rx_stop(struct net_pair *p);

/* The driver may have made buffers available, the link come up, the pair become active. */
void net_rx_wake(struct net_pair *p);

/* Takes what other loops have sent. */
void net_rx_mail(struct net_pair *p);

/* No frames until net_rx_wake(). */
void net_rx_pause(struct net_pair *p);

bool net_rx_room(struct vio_port_queue *pq, struct vio_port_room *room);
void net_rx_received(struct vio_port_queue *pq, const struct vio_frame_hdr *hdr, size_t len);
unsigned net_rx_deliver(struct vio_port_queue *pq, const struct vio_frame *frames, unsigned n);
void net_rx_flush(struct vio_port_queue *pq);

/* ---- net_tx.c */

int net_tx_start(struct net_pair *p, struct vio_queue *q);
void net_tx_stop(struct net_pair *p);
bool net_tx_run(struct net_pair *p);
/* Runs it before the loop sleeps. */
void net_tx_again(struct net_pair *p);
void net_tx_writable(struct vio_port_queue *pq);

/* ---- net_ctrl.c */

int net_ctrl_start(struct net *net, struct vio_queue *q, struct vio_loop *loop);
void net_ctrl_stop(struct net *net);
bool net_ctrl_run(struct net *net);

/* ---- net_pace.c: of a pair whose transmit queue runs */

void net_pace_start(struct net_pair *p);
void net_pace_stop(struct net_pair *p);

/* The slow half of net_pace_ran(). */
void net_pace_kicked(struct net_pair *p);

/* The transmit queue was run for a kick, or because it is polled. */
static inline void net_pace_ran(struct net_pair *p)
{
	if (p->pace.timer.fd >= 0 && !p->pace.on)
		net_pace_kicked(p);
}

/* ---- net_timer.c */

/* On a watch with on_ready set, which begins with vio_event_take(). 0 or -errno, and fd is -1. */
int net_timer_open(struct vio_loop *loop, struct vio_watch *w);
void net_timer_close(struct vio_loop *loop, struct vio_watch *w);
/* In `usecs`, and, if `again`, every time; 0: not at all. */
void net_timer_set(const struct vio_watch *w, uint32_t usecs, bool again);

/* ---- net_coal.c */

void net_line_init(struct net_line *l, struct net_pair *p, struct vio_queue *q);
void net_line_fini(struct net_line *l);

/* New parameters; interrupts if that is due with those. */
void net_line_set(struct net_line *l, const struct net_coal *coal);

/* The slow half of net_line_publish(). */
void net_line_coalesce(struct net_line *l, uint32_t frames);

/* Makes what was pushed visible, `frames` frames, and interrupts, now or later. */
static inline void net_line_publish(struct net_line *l, uint32_t frames)
{
	if (VIO_LIKELY(l->coal.max_packets == 0))
		vio_device_publish(&l->pair->net->base, l->q);
	else
		net_line_coalesce(l, frames);
}

#endif
