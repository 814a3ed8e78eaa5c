/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_PORT_H
#define VIODM_PORT_H

/*
 * The contract of a network port: what stands under a network device and moves its frames.
 *
 * A port is opened once per device (struct vio_port) and attached once per queue pair (struct
 * vio_port_queue), on the loop that runs the pair. A port queue belongs to that loop's thread;
 * different queues of one port work at the same time on different threads.
 *
 *	      device model                              port
 *	vio_port_send()      ------------------------>  frames the driver transmits
 *	user->writable()     <------------------------  ... after a send that took too few
 *	vio_port_receive()   ------------------------>  frames are welcome, or not any more
 *	user->room()         <------------------------  where may the next frame be put?
 *	user->received()     <------------------------  it is there; or
 *	user->deliver()      <------------------------  frames that lie elsewhere: copy them
 *	user->flush()        <------------------------  end of a batch: tell the driver
 *
 * A frame is an Ethernet frame without its FCS, with a header that says what is left to do with it:
 * a checksum to complete, segments to be made.
 *
 * Frames that a port brings are hostile, as are those of a driver: what the header says about a
 * frame is checked by whoever acts on it.
 */

#include <linux/types.h>
#include <sys/uio.h>

#include <viodm/util.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vio_loop;
struct vio_port;
struct vio_port_queue;

/* The longest frame: 64 KiB of segmentation payload behind Ethernet, VLAN, IP and TCP headers. */
#define VIO_FRAME_MAX 65550u

/* Of virtio 1.4; linux/virtio_net.h has them from Linux 6.2 on. */
#define VIRTIO_NET_F_GUEST_USO4	  54
#define VIRTIO_NET_F_GUEST_USO6	  55
#define VIRTIO_NET_F_HOST_USO	  56
#define VIRTIO_NET_HDR_GSO_UDP_L4 5

/* struct virtio_net_hdr (virtio 1.4, "Network Device", "Device Operation"); linux/virtio_net.h has
 * the values. */
struct vio_frame_hdr {
	uint8_t flags;
	uint8_t gso_type;
	__le16 hdr_len;
	__le16 gso_size;
	__le16 csum_start;
	__le16 csum_offset;
	__le16 num_buffers; /* between device and driver; not used by ports */
};

struct vio_frame {
	struct vio_frame_hdr hdr;
	const struct iovec *iov; /* the frame's bytes, without the header */
	uint32_t n_iov;
	uint32_t len; /* bytes: the sum of iov[] */
};

/* What an open port is. */
struct vio_port_info {
	/*
	 * What the port does with headers, as VIRTIO_NET_F_... bits: CSUM, HOST_TSO4, HOST_TSO6,
	 * HOST_ECN, HOST_UFO, HOST_USO for frames given to send; GUEST_CSUM, GUEST_TSO4,
	 * GUEST_TSO6, GUEST_ECN, GUEST_UFO, GUEST_USO4, GUEST_USO6 for frames it can bring.
	 */
	uint64_t offloads;
	uint16_t max_pairs; /* queue pairs it can be attached with, at least 1 */
	uint16_t mtu;	    /* largest payload of a frame; 0: any */
	bool has_mac;	    /* `mac` is the address the other side expects */
	uint8_t mac[6];
	bool link_up;
	uint32_t speed; /* Mbit/s; UINT32_MAX: unknown */
};

/* Where a port may put the next frame. */
struct vio_port_room {
	const struct iovec *iov;
	uint32_t n_iov;
	size_t len; /* bytes: the sum of iov[] */
};

/* What a device gives a port queue. All on the queue's loop thread; all required. */
struct vio_port_user {
	/*
	 * Room for one frame, the same until received() or the end of the on_ready or call that
	 * asked; false: there is none, and vio_port_receive(pq, true) will say when there is again.
	 * Until then the port leaves frames where they are. A frame longer than room->len is
	 * dropped, by the port. Bytes may be written there even if no received() follows.
	 */
	bool (*room)(struct vio_port_queue *pq, struct vio_port_room *room);
	/* One frame of `len` bytes was put into the room. The device may find it unwanted. */
	void (*received)(struct vio_port_queue *pq, const struct vio_frame_hdr *hdr, size_t len);
	/*
	 * Takes copies of frames, in order. Returns how many were taken or found unwanted; fewer
	 * than `n`: no room, as above.
	 */
	unsigned (*deliver)(struct vio_port_queue *pq, const struct vio_frame *frames, unsigned n);
	/* After the last received() or deliver() of a batch. */
	void (*flush)(struct vio_port_queue *pq);
	/* After a send that took fewer than it was given: send again. */
	void (*writable)(struct vio_port_queue *pq);
};

struct vio_port_ops {
	const char *name;
	/* Any thread. 0 or -errno. Required. */
	int (*info)(struct vio_port *port, struct vio_port_info *info);
	/*
	 * Loop thread. Makes the queue of pair `index`; it does not receive yet. 0 or -errno.
	 * Required.
	 */
	int (*attach)(struct vio_port *port, uint16_t index, struct vio_loop *loop,
		      struct vio_port_queue **out);
	/* Loop thread. No callback after it returns. Required. */
	void (*detach)(struct vio_port_queue *pq);
	/* Loop thread. See vio_port_send(). Required. */
	unsigned (*send)(struct vio_port_queue *pq, const struct vio_frame *frames, unsigned n);
	/* Loop thread. See vio_port_receive(). Required. */
	void (*receive)(struct vio_port_queue *pq, bool on);
	/* Loop thread. See vio_port_select(). Optional: a queue that does not receive is never
	 * chosen. */
	void (*select)(struct vio_port_queue *pq, bool on);
	/* Any thread. See vio_port_set_offloads(). Optional when the port brings no such frames. */
	int (*set_offloads)(struct vio_port *port, uint64_t offloads);
	/* Any thread. See vio_port_set_link(). Optional: the other side has no link to look at. */
	void (*set_link)(struct vio_port *port, bool up);
	/* Any thread, no queue attached. Required. */
	void (*close)(struct vio_port *port);
};

struct vio_port {
	const struct vio_port_ops *ops;
	/*
	 * The link went up or down. Any thread, but not from inside attach, detach, send or
	 * receive, nor under a lock that one of the functions above takes. Set by the device before
	 * it attaches the first queue, cleared by it when it is destroyed; NULL: nobody wants to
	 * know.
	 */
	void (*on_link)(struct vio_port *port, bool up);
	void *user;
};

struct vio_port_queue {
	struct vio_port *port;
	uint16_t index;
	/* Set by vio_port_attach(). */
	const struct vio_port_user *user;
	void *user_data;
};

VIO_EXPORT int vio_port_info(struct vio_port *port, struct vio_port_info *info);

/* Closes a port that no device uses any more. NULL is allowed. */
VIO_EXPORT void vio_port_close(struct vio_port *port);

/* Attaches pair `index` to a loop. 0 or -errno. */
VIO_EXPORT int vio_port_attach(struct vio_port *port, uint16_t index, struct vio_loop *loop,
			       const struct vio_port_user *user, void *user_data,
			       struct vio_port_queue **out);

/* NULL is allowed. */
VIO_EXPORT void vio_port_detach(struct vio_port_queue *pq);

/*
 * Sends up to `n` frames, in order. Returns how many the port is done with: sent, or dropped
 * because they cannot be sent (too long, a header it does not understand, nobody at the other end).
 * Nothing of those is referred to afterwards. Fewer than `n`: the port is full, and
 * user->writable() will come, not from inside. During send, room(), deliver() and flush() may be
 * called (a port that loops back).
 */
VIO_EXPORT unsigned vio_port_send(struct vio_port_queue *pq, const struct vio_frame *frames,
				  unsigned n);

/*
 * on: the device takes frames, and has room again if it said there was none; the port may call
 * room() and so on from inside. off: no room(), received() or deliver() until on.
 */
VIO_EXPORT void vio_port_receive(struct vio_port_queue *pq, bool on);

/*
 * Is this queue one of those that incoming frames are spread over? All attached ones are at first.
 * What comes for one that is not goes to another, or is dropped.
 */
VIO_EXPORT void vio_port_select(struct vio_port_queue *pq, bool on);

/*
 * From here on the port brings frames with these GUEST_... offloads only; a port that would bring
 * others cuts segments itself. Checksums it may complete or not: a device whose driver does not
 * take incomplete ones does it on the way. 0 or -errno.
 */
VIO_EXPORT int vio_port_set_offloads(struct vio_port *port, uint64_t offloads);

/*
 * This end of the link, as the operator wants it; up at first. A port shows it to the other side if
 * it can; the device keeps frames back. Any thread.
 */
VIO_EXPORT void vio_port_set_link(struct vio_port *port, bool up);

/* For ports: the link changed. */
VIO_EXPORT void vio_port_link(struct vio_port *port, bool up);

#ifdef __cplusplus
}
#endif
#endif
