/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_BENCH_NET_H
#define TOOLS_BENCH_NET_H

/*
 * A receive and a transmit queue of a network card. Each frame that is sent is one buffer, header
 * included; the receive queue is full of buffers of one size, which frames are spread over with
 * MRG_RXBUF.
 */

#include <linux/virtio_net.h>

#include <viodm/util.h>

#include "bench_frame.h"
#include "bench_queue.h"
#include "bench_ring.h"

#define NET_HDR sizeof(struct virtio_net_hdr_v1)

/* What pair 0 tells the card when there are several. */
struct net_command {
	struct virtio_net_ctrl_hdr hdr;
	__le16 pairs;
	uint8_t ack;
};

struct net_pair {
	struct bench_queue base;
	struct bench_ring rx, tx, control; /* control: of pair 0, if the card has more */
	struct net_command *command;
	uint64_t command_gpa;

	/* buffers: one for each descriptor */
	uint8_t *rx_data, *tx_data;
	uint32_t rx_bytes, tx_bytes; /* of a buffer */
	uint16_t *free;		     /* transmit buffers */
	unsigned n_free, size;
	bool *rx_posted, *tx_flying;
	bool rx_filled; /* all buffers were posted once */

	/* the load */
	const struct bench_opts *opts;
	unsigned batch;
	uint64_t budget;
	bool active, counting;
	uint64_t deadline; /* ns; to wait for frames that come back */
	uint64_t sent, back;
	uint64_t number;      /* of the next frame to be sent */
	uint64_t next_number; /* of the next frame to come */
	bool next_known;
};

static inline struct net_pair *to_pair(struct bench_queue *q)
{
	return vio_container_of(q, struct net_pair, base);
}

extern const struct bench_queue_ops net_pair_ops;

void net_pair_destroy(struct bench_queue *q);

/* Tells the card how many pairs there are. 0 or -1. */
int net_pair_command(struct bench_queue *q);

#endif
