/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_VHOST_MSG_H
#define VIODM_VHOST_MSG_H

/*
 * The vhost-user wire format: numbers, payloads, what a well-formed message is, and one message
 * over a unix socket with the descriptors it carries. For both ends of the protocol: server,
 * front-end, load generator, conformance tool.
 *
 * A message is a header of three 32-bit words and a payload, all in the machine's byte order, and
 * up to VIO_VHOST_MAX_FDS descriptors. No function here keeps state of its own; each object belongs
 * to one thread at a time.
 */

#include <viodm/util.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- numbers --------------------------------------------------------------------------------- */

/* Requests of the front-end. */
enum vio_vhost_request {
	VIO_VHOST_GET_FEATURES = 1,
	VIO_VHOST_SET_FEATURES = 2,
	VIO_VHOST_SET_OWNER = 3,
	VIO_VHOST_RESET_OWNER = 4,
	VIO_VHOST_SET_MEM_TABLE = 5,
	VIO_VHOST_SET_LOG_BASE = 6,
	VIO_VHOST_SET_LOG_FD = 7,
	VIO_VHOST_SET_VRING_NUM = 8,
	VIO_VHOST_SET_VRING_ADDR = 9,
	VIO_VHOST_SET_VRING_BASE = 10,
	VIO_VHOST_GET_VRING_BASE = 11,
	VIO_VHOST_SET_VRING_KICK = 12,
	VIO_VHOST_SET_VRING_CALL = 13,
	VIO_VHOST_SET_VRING_ERR = 14,
	VIO_VHOST_GET_PROTOCOL_FEATURES = 15,
	VIO_VHOST_SET_PROTOCOL_FEATURES = 16,
	VIO_VHOST_GET_QUEUE_NUM = 17,
	VIO_VHOST_SET_VRING_ENABLE = 18,
	VIO_VHOST_SEND_RARP = 19,
	VIO_VHOST_NET_SET_MTU = 20,
	VIO_VHOST_SET_BACKEND_REQ_FD = 21,
	VIO_VHOST_IOTLB_MSG = 22,
	VIO_VHOST_SET_VRING_ENDIAN = 23,
	VIO_VHOST_GET_CONFIG = 24,
	VIO_VHOST_SET_CONFIG = 25,
	VIO_VHOST_CREATE_CRYPTO_SESSION = 26,
	VIO_VHOST_CLOSE_CRYPTO_SESSION = 27,
	VIO_VHOST_POSTCOPY_ADVISE = 28,
	VIO_VHOST_POSTCOPY_LISTEN = 29,
	VIO_VHOST_POSTCOPY_END = 30,
	VIO_VHOST_GET_INFLIGHT_FD = 31,
	VIO_VHOST_SET_INFLIGHT_FD = 32,
	VIO_VHOST_GPU_SET_SOCKET = 33,
	VIO_VHOST_RESET_DEVICE = 34,
	VIO_VHOST_VRING_KICK = 35,
	VIO_VHOST_GET_MAX_MEM_SLOTS = 36,
	VIO_VHOST_ADD_MEM_REG = 37,
	VIO_VHOST_REM_MEM_REG = 38,
	VIO_VHOST_SET_STATUS = 39,
	VIO_VHOST_GET_STATUS = 40,
};

/* Requests of the back-end, on the socket that SET_BACKEND_REQ_FD gave it. */
enum vio_vhost_backend_request {
	VIO_VHOST_BACKEND_IOTLB_MSG = 1,
	VIO_VHOST_BACKEND_CONFIG_CHANGE = 2,
};

/* struct vio_vhost_hdr.flags */
#define VIO_VHOST_VERSION      0x1u
#define VIO_VHOST_VERSION_MASK 0x3u
#define VIO_VHOST_REPLY	       0x4u
#define VIO_VHOST_NEED_REPLY   0x8u

/* The virtio feature bit that says: this end knows protocol features. Never the driver's. */
#define VIO_VHOST_F_PROTOCOL_FEATURES 30

/* Protocol features. */
enum vio_vhost_protocol_feature {
	VIO_VHOST_PROTOCOL_F_MQ = 0,
	VIO_VHOST_PROTOCOL_F_LOG_SHMFD = 1,
	VIO_VHOST_PROTOCOL_F_RARP = 2,
	VIO_VHOST_PROTOCOL_F_REPLY_ACK = 3,
	VIO_VHOST_PROTOCOL_F_MTU = 4,
	VIO_VHOST_PROTOCOL_F_BACKEND_REQ = 5,
	VIO_VHOST_PROTOCOL_F_CROSS_ENDIAN = 6,
	VIO_VHOST_PROTOCOL_F_CRYPTO_SESSION = 7,
	VIO_VHOST_PROTOCOL_F_PAGEFAULT = 8,
	VIO_VHOST_PROTOCOL_F_CONFIG = 9,
	VIO_VHOST_PROTOCOL_F_BACKEND_SEND_FD = 10,
	VIO_VHOST_PROTOCOL_F_HOST_NOTIFIER = 11,
	VIO_VHOST_PROTOCOL_F_INFLIGHT_SHMFD = 12,
	VIO_VHOST_PROTOCOL_F_RESET_DEVICE = 13,
	VIO_VHOST_PROTOCOL_F_INBAND_NOTIFICATIONS = 14,
	VIO_VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
	VIO_VHOST_PROTOCOL_F_STATUS = 16,
};

/* ---- payloads -------------------------------------------------------------------------------- */

#define VIO_VHOST_MAX_FDS      32
#define VIO_VHOST_MAX_REGIONS  32 /* of one SET_MEM_TABLE */
#define VIO_VHOST_CONFIG_BYTES 256

struct vio_vhost_hdr {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* bytes of payload */
};

struct vio_vhost_vring_state {
	uint32_t index;
	uint32_t num;
};

/* Ring addresses are addresses in the front-end's process. */
struct vio_vhost_vring_addr {
	uint32_t index;
	uint32_t flags; /* bit 0: log writes to the used ring */
	uint64_t desc;
	uint64_t used;
	uint64_t avail;
	uint64_t log;
};

/* SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR: a 64-bit number made of these. */
#define VIO_VHOST_VRING_INDEX 0xffu
#define VIO_VHOST_VRING_NOFD  0x100u

struct vio_vhost_region {
	uint64_t gpa;	 /* guest-physical address */
	uint64_t size;	 /* bytes */
	uint64_t uaddr;	 /* address in the front-end's process */
	uint64_t offset; /* of the region in the file */
};

struct vio_vhost_mem_table {
	uint32_t n;
	uint32_t padding;
	struct vio_vhost_region region[VIO_VHOST_MAX_REGIONS];
};

struct vio_vhost_mem_reg {
	uint64_t padding;
	struct vio_vhost_region region;
};

#define VIO_VHOST_CONFIG_HDR 12u /* bytes before `data` */

struct vio_vhost_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags; /* 0: the driver writes, 1: migration */
	uint8_t data[VIO_VHOST_CONFIG_BYTES];
};

struct vio_vhost_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t n_queues;
	uint16_t queue_size;
};

union vio_vhost_payload {
	uint64_t u64;
	struct vio_vhost_vring_state state;
	struct vio_vhost_vring_addr addr;
	struct vio_vhost_mem_table table;
	struct vio_vhost_mem_reg reg;
	struct vio_vhost_config config;
	struct vio_vhost_inflight inflight;
};

/* Bytes of a mem table payload with `n` regions. */
static inline uint32_t vio_vhost_mem_table_size(uint32_t n)
{
	return 8 + n * (uint32_t)sizeof(struct vio_vhost_region);
}

struct vio_vhost_msg {
	struct vio_vhost_hdr hdr;
	union vio_vhost_payload u; /* hdr.size bytes count, the others are 0 after receiving */
	int fds[VIO_VHOST_MAX_FDS];
	unsigned n_fds;
};

/* ---- what is well-formed --------------------------------------------------------------------- */

/* "SET_MEM_TABLE" for a request of the front-end, "unknown request" for other numbers. */
VIO_EXPORT const char *vio_vhost_request_name(uint32_t request);

/* True when the answer to `request` is a message of its own and no REPLY_ACK number. */
VIO_EXPORT bool vio_vhost_has_reply(uint32_t request);

/*
 * The protocol feature without which `request` must not be sent, or -1. Requests whose protocol
 * needs no negotiated feature, such as GET_QUEUE_NUM, have none.
 */
VIO_EXPORT int vio_vhost_needs_feature(uint32_t request);

/*
 * Checks a request of a front-end for everything that can be checked without knowing the device:
 * version and flags, the payload's size, how many descriptors come with it, counts and sizes inside
 * the payload against the payload, bits that mean nothing, values that do not fit the fields they
 * are for. NULL when it is well-formed, otherwise what is wrong with it.
 */
VIO_EXPORT const char *vio_vhost_check_request(const struct vio_vhost_msg *msg);

/* ---- sending and receiving ------------------------------------------------------------------- */

/*
 * Sends `msg` and its descriptors, which stay the caller's. `flags` are those of sendmsg(2), such
 * as MSG_DONTWAIT; SIGPIPE is never raised. 0; -EAGAIN with nothing sent; or -errno, after which
 * the stream is of no use.
 */
VIO_EXPORT int vio_vhost_send(int sock, const struct vio_vhost_msg *msg, int flags);

/* A message that may have arrived in part. All zero at first. */
struct vio_vhost_rx {
	struct vio_vhost_msg msg;
	size_t have; /* bytes of header and payload that are here */
};

/*
 * Receives (more of) one message. Returns 1: rx->msg is complete; look at it, then call
 * vio_vhost_rx_next() before receiving again. 0: the peer closed the connection between two
 * messages. -EAGAIN: the rest is still to come (MSG_DONTWAIT). -EMSGSIZE: a payload larger than any
 * request has. -EPROTO: no version 1 message, or more descriptors than any request has. -ECONNRESET
 * (closed in the middle of a message) or another -errno. After an error the stream is of no use;
 * descriptors that came are in rx until vio_vhost_rx_next(). They are close-on-exec.
 */
VIO_EXPORT int vio_vhost_recv(int sock, struct vio_vhost_rx *rx, int flags);

/* Takes descriptor `i` of the message; it is the caller's from now on. -1 if there is none. */
VIO_EXPORT int vio_vhost_take_fd(struct vio_vhost_msg *msg, unsigned i);

/* Closes the descriptors that were not taken, and makes room for the next message. */
VIO_EXPORT void vio_vhost_rx_next(struct vio_vhost_rx *rx);

#ifdef __cplusplus
}
#endif
#endif
