/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONFORM_CHECKS_NET_H
#define CONFORM_CHECKS_NET_H

/*
 * What checks of network cards need: a started card, frames, and the ear for those that come back.
 * Most need a network that gives back what is sent; a check that does asks card_need_echo() first.
 */

#include <driver/net.h>

#include "checks_util.h"

#define CARD_MAX_FRAME 2048u
#define CARD_N_BUFS    32u
#define CARD_MAX_PARTS 16u

#define NET_F_DEVICE_STATS 50
#define NET_F_HASH_REPORT  57
#define NET_F_RSS	   60

#define GUEST_CSUM    DRV_FEATURE(VIRTIO_NET_F_GUEST_CSUM)
#define CTRL_VQ	      DRV_FEATURE(VIRTIO_NET_F_CTRL_VQ)
#define CTRL_RX	      (CTRL_VQ | DRV_FEATURE(VIRTIO_NET_F_CTRL_RX))
#define CTRL_RX_EXTRA (CTRL_RX | DRV_FEATURE(VIRTIO_NET_F_CTRL_RX_EXTRA))
#define MRG_RXBUF     DRV_FEATURE(VIRTIO_NET_F_MRG_RXBUF)
#define MQ	      (CTRL_VQ | DRV_FEATURE(VIRTIO_NET_F_MQ))
#define HASH_REPORT   (CTRL_VQ | DRV_FEATURE(NET_F_HASH_REPORT))
#define RSS	      (CTRL_VQ | DRV_FEATURE(NET_F_RSS))
#define GUEST_OFFLOADS                                                                             \
	(GUEST_CSUM | DRV_FEATURE(VIRTIO_NET_F_GUEST_TSO4) |                                       \
	 DRV_FEATURE(VIRTIO_NET_F_GUEST_TSO6) | DRV_FEATURE(VIRTIO_NET_F_GUEST_ECN) |              \
	 DRV_FEATURE(VIRTIO_NET_F_GUEST_UFO) | DRV_FEATURE(VIRTIO_NET_F_GUEST_USO4) |              \
	 DRV_FEATURE(VIRTIO_NET_F_GUEST_USO6))

struct card {
	struct run *r;
	struct drv_net net;
	uint32_t rx_len; /* of receive buffers, header included */
	uint8_t mac[6];	 /* its own, or one made up */
	uint32_t serial; /* of the last frame */
};

/* A frame as it was received, before anything about it is believed. */
struct heard {
	struct drv_net_hdr hdr;
	uint32_t claimed;	       /* num_buffers */
	uint32_t ready;		       /* used buffers when the first was seen */
	uint32_t n;		       /* buffers taken: as many as it claims, if they came */
	uint32_t used[CARD_MAX_PARTS]; /* their lengths */
	uint32_t len;		       /* of the frame */
	uint8_t data[CARD_MAX_FRAME];
};

/* Starts the device with those of `features` that it offers, without any receive buffers. */
void card_start(struct run *r, struct card *c, uint64_t features);

/*
 * The same, with frames of up to CARD_MAX_FRAME bytes to send, and receive buffers of `rx_len`
 * bytes for one pair of queues.
 */
void card_open(struct run *r, struct card *c, uint64_t features, uint32_t rx_len);

/* Buffers for another pair. */
void card_open_pair(struct card *c, uint16_t pair);

/* Ends the check unless a frame on pair 0 comes back soon. */
void card_need_echo(struct card *c);

/* Sets up a queue that was reset, empty; interrupts as well. */
void card_reenable(struct card *c, uint16_t queue);

/* The address in the configuration space, which is there with MAC. */
void card_config_mac(struct run *r, uint8_t mac[6]);

/* Stops the device; card_start() may follow. */
void card_stop(struct card *c);

/* ---- frames ---------------------------------------------------------------------------------- */

/* An Ethernet frame of `len` bytes with a number in it; `to` NULL: to the card itself. */
void card_frame(struct card *c, uint8_t *frame, const uint8_t to[6], uint32_t len);

/* Sends; a frame that the card does not take ends the check as failed (`row`). */
void card_send(struct card *c, const char *row, uint16_t pair, const struct drv_net_hdr *hdr,
	       const void *frame, uint32_t len);

/* Waits up to `ms` for a frame. */
bool card_hear_for(struct card *c, uint16_t pair, struct heard *h, unsigned ms);

/* With the patience for any device. */
bool card_hear(struct card *c, uint16_t pair, struct heard *h);

/* Is there no frame, even after a while? */
bool card_silent(struct card *c, uint16_t pair);

/* Sends a frame `to` someone on pair 0: does it come back? */
bool card_passes(struct card *c, const char *row, const uint8_t to[6]);
bool card_passes_frame(struct card *c, const char *row, const uint8_t *frame, uint32_t len);

/*
 * Sends `frame` and returns what comes back; without that nothing more can be said (`row`).
 */
void card_echo(struct card *c, const char *row, const struct drv_net_hdr *hdr, const void *frame,
	       uint32_t len, struct heard *h);

/* ---- commands -------------------------------------------------------------------------------- */

/* The ack byte; a command that is not answered ends the check as failed (`row`). */
uint8_t card_answer(struct card *c, const char *row, int ret);

/* A command that has to be answered with OK. */
void card_ok(struct card *c, const char *row, int ret, const char *command);

/* ---- IP -------------------------------------------------------------------------------------- */

#define IP_UDP 17
#define IP_TCP 6

struct packet {
	uint8_t data[CARD_MAX_FRAME];
	uint32_t len;
	uint32_t l4; /* offset of the transport header */
	uint16_t csum_offset;
	bool v6;
};

/* A packet to the card with a right checksum; `flow` makes addresses and ports. */
void packet_make(struct card *c, struct packet *p, bool v6, uint8_t protocol, uint32_t payload,
		 uint32_t flow);

/* Ones' complement sum of the pseudo header, or of all from the transport header on, folded. */
uint16_t packet_pseudo_sum(const struct packet *p);
uint16_t packet_sum(const uint8_t *data, uint32_t len, uint32_t sum);

/* Puts in place of the checksum what a driver does that leaves it to the device. */
void packet_leave_checksum(struct packet *p, struct drv_net_hdr *hdr);

/* Is the checksum of a packet of the same shape right? */
bool packet_valid(const struct packet *p, const uint8_t *data, uint32_t len);

#define HASH_KEY_LEN 40u

const uint8_t *hash_key(void);

/* Toeplitz over the addresses, and the ports as well. */
uint32_t packet_hash(const struct packet *p, bool ports);

#endif
