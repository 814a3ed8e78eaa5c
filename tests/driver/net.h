/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DRIVER_NET_H
#define DRIVER_NET_H

/*
 * virtio-net from the driver's side: receive buffers of any shape, frames with any header in any
 * framing, and the commands of the control queue.
 *
 * Every buffer is cut into pieces with guard bytes around them, which are checked when it comes
 * back, as is that the device did not write to what it may only read. The helper obeys the
 * specification and checks the device; what is found wrong is counted in `broken`, and `why` says
 * what it was last.
 */

#include <linux/virtio_net.h>

#include <driver/blk.h> /* struct drv_framing */
#include <driver/device.h>

#define DRV_NET_MAX_PAIRS 127

/* The most pieces that one buffer can be cut into. */
#define DRV_NET_MAX_PIECES 256

/* The longest frame that can be sent or received. */
#define DRV_NET_FRAME_MAX 65550

/* Not in the oldest kernel headers in use. */
#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO	56
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif
#ifndef VIRTIO_NET_F_VQ_NOTF_COAL
#define VIRTIO_NET_F_VQ_NOTF_COAL 52
#endif
#ifndef VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET
#define VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET 2
#define VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET 3
#endif

/* struct virtio_net_hdr with all that may follow; the last three only with HASH_REPORT. */
struct drv_net_hdr {
	uint8_t flags;
	uint8_t gso_type;
	__le16 hdr_len;
	__le16 gso_size;
	__le16 csum_start;
	__le16 csum_offset;
	__le16 num_buffers;
	__le32 hash_value;
	__le16 hash_report;
	__le16 padding_reserved;
};

/* A buffer in guest memory, and what is in flight in it. */
struct drv_net_buf {
	uint64_t gpa;
	uint32_t room; /* bytes of guest memory, guards included */
	uint32_t len;  /* of the buffer as the device gets it */
	struct drv_framing framing;
	uint64_t sum; /* of the bytes, when sent */
	bool busy;
};

/* The buffers of one queue. */
struct drv_net_ring {
	struct drv_net_buf *buf;
	uint32_t n;
	uint32_t next; /* where to look for one that is free */
};

struct drv_net {
	struct drv_device *dev;
	uint16_t pairs;	  /* pairs that the device has queues for */
	uint16_t ctrl;	  /* index of the control queue; 0: there is none */
	uint32_t hdr_len; /* 12, or 20 with HASH_REPORT */
	bool mergeable;
	struct drv_net_ring *ring;    /* by queue */
	struct drv_net_ring ctrl_out; /* one buffer each */
	struct drv_net_ring ctrl_in;
	uint32_t broken;
	const char *why;
};

/* A frame that was received. */
struct drv_net_frame {
	struct drv_net_hdr hdr;
	uint32_t n_buffers;
	uint32_t len; /* of the frame, without the header */
	uint8_t data[DRV_NET_FRAME_MAX];
};

/*
 * Looks at the device, which is started already. drv_net_fini() before the device is stopped or
 * started again. 0, or -ENOMEM.
 */
int drv_net_init(struct drv_net *n, struct drv_device *dev);

/* The card's address, as the configuration space has it. */
void drv_net_mac(const struct drv_net *n, uint8_t mac[6]);

/* Frees host memory; guest memory goes when the device is stopped. */
void drv_net_fini(struct drv_net *n);

static inline uint16_t drv_net_rxq(uint16_t pair)
{
	return 2 * pair;
}

static inline uint16_t drv_net_txq(uint16_t pair)
{
	return 2 * pair + 1;
}

/*
 * Takes guest memory for `n_bufs` buffers of a queue, each up to `len` bytes (header included) in
 * up to `pieces` pieces. 0, or -ENOMEM.
 */
int drv_net_make_bufs(struct drv_net *n, uint16_t queue, uint32_t n_bufs, uint32_t len,
		      uint32_t pieces);

/* The queue was reset, or the device: nothing is in flight there. */
void drv_net_forget(struct drv_net *n, uint16_t queue);

/* ---- receiving ------------------------------------------------------------------------------- */

/*
 * Makes free receive buffers available, each `len` bytes, header included; `framing` NULL: in one
 * piece. Adds up to `max` of them and tells the device. Returns how many.
 */
uint32_t drv_net_post(struct drv_net *n, uint16_t pair, uint32_t len, uint32_t max,
		      const struct drv_framing *framing);

/* Takes one frame if one is there. 1, 0, or -EPROTO: what came back is no frame. */
int drv_net_take(struct drv_net *n, uint16_t pair, struct drv_net_frame *out);

/* The same, waiting for it; 0: none came. */
int drv_net_receive(struct drv_net *n, uint16_t pair, struct drv_net_frame *out);

/* ---- sending --------------------------------------------------------------------------------- */

/*
 * Adds one frame. `hdr` NULL: all zero. `framing` cuts header and data together; NULL: a piece
 * each. 0, -ENOSPC (no descriptor or buffer is free), -EPROTO (as drv_net_reap()).
 */
int drv_net_add(struct drv_net *n, uint16_t pair, const struct drv_net_hdr *hdr, const void *data,
		uint32_t len, const struct drv_framing *framing);

/* The same, and tells the device. */
int drv_net_send(struct drv_net *n, uint16_t pair, const struct drv_net_hdr *hdr, const void *data,
		 uint32_t len, const struct drv_framing *framing);

/* Takes back what was sent. Returns how many frames, or -EPROTO. */
int drv_net_reap(struct drv_net *n, uint16_t pair);

/* Waits until all that was sent has come back. 0, -ETIMEDOUT or -EPROTO. */
int drv_net_drain(struct drv_net *n, uint16_t pair);

/* ---- commands -------------------------------------------------------------------------------- */

/* What the ack byte holds until the device writes it. */
#define DRV_NET_NO_ACK 0xee

/*
 * One command. `out` follows class and command; `in`, which may be NULL, follows the ack byte, or
 * comes before it if it is a part of the command's data (`ack_last`). The framings cut what is
 * readable (class, command and data) and what is writable; NULL: in one piece.
 * Returns the ack byte, or a negative error: -ETIMEDOUT, -EPROTO, -ENOTSUP (no control queue),
 * -ENOSPC.
 */
struct drv_net_cmd {
	uint8_t class;
	uint8_t command;
	const void *out;
	uint32_t out_len;
	void *in;
	uint32_t in_len;
	bool ack_last;
	const struct drv_framing *framing;
	const struct drv_framing *in_framing;
};

int drv_net_command(struct drv_net *n, const struct drv_net_cmd *cmd);

/* Shorthands; all return what drv_net_command() does. */
int drv_net_rx_mode(struct drv_net *n, uint8_t command, uint8_t on);
int drv_net_set_mac(struct drv_net *n, const uint8_t mac[6]);
int drv_net_set_macs(struct drv_net *n, const uint8_t (*uni)[6], uint32_t n_uni,
		     const uint8_t (*multi)[6], uint32_t n_multi);
int drv_net_vlan(struct drv_net *n, uint16_t id, bool add);
int drv_net_announced(struct drv_net *n);
int drv_net_set_pairs(struct drv_net *n, uint16_t pairs);
int drv_net_set_offloads(struct drv_net *n, uint64_t offloads);

/* VIRTIO_NET_CTRL_MQ_RSS_CONFIG; `table` has mask + 1 entries: receive queue numbers, 0 first. */
struct drv_net_rss {
	uint32_t types;
	uint16_t mask;
	uint16_t unclassified;
	const uint16_t *table;
	uint16_t max_tx;
	uint8_t key_len;
	const uint8_t *key;
};

int drv_net_set_rss(struct drv_net *n, const struct drv_net_rss *rss);

/* VIRTIO_NET_CTRL_MQ_HASH_CONFIG. */
int drv_net_set_hash(struct drv_net *n, uint32_t types, const uint8_t *key, uint8_t key_len);

/* VIRTIO_NET_CTRL_NOTF_COAL_TX_SET, _RX_SET; of one queue: _VQ_SET, _VQ_GET. */
int drv_net_coal(struct drv_net *n, bool tx, uint32_t max_packets, uint32_t max_usecs);
int drv_net_coal_queue(struct drv_net *n, uint16_t queue, uint32_t max_packets, uint32_t max_usecs);
int drv_net_coal_get(struct drv_net *n, uint16_t queue, uint32_t *max_packets, uint32_t *max_usecs);

#endif
