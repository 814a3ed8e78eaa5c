/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_NET_H
#define VIODM_NET_H

/*
 * virtio-net ("Network Device"): a network card on a port.
 *
 * Queue 2i is receive queue i, 2i + 1 transmit queue i; the last one is the control queue. The two
 * queues of a pair run on the same loop; pairs may run on different ones.
 */

#include <viodm/device.h>
#include <viodm/port.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VIO_NET_MAX_PAIRS 127 /* with the control queue at most VIO_DEVICE_MAX_QUEUES queues */

struct vio_net_config {
	struct vio_port *port; /* borrowed; must outlive the device */
	uint16_t pairs;	       /* queue pairs, 1..VIO_NET_MAX_PAIRS, at most the port's; 0: 1 */
	uint16_t queue_size;   /* power of two, 2..1024; 0: 256 */
	bool has_mac;	/* `mac` is the card's address; otherwise the port's, otherwise one */
	uint8_t mac[6]; /* made up from the device's name (locally administered) */
	uint16_t mtu;	/* 68..65535; 0: the port's, and MTU is not offered if that is any */
	uint32_t speed; /* Mbit/s; 0: the port's */
	/*
	 * Offer HASH_REPORT and, with several pairs, RSS. Drivers use them when they are there, and
	 * then every frame is hashed here, in software; with RSS each is copied once more, and
	 * twice when it goes to a pair of another loop. Without, ports spread flows over the pairs.
	 */
	bool hash;
	/*
	 * While the driver transmits in bulk and kicks for every frame or two, its transmit queues
	 * are looked at every so many microseconds, or when 16 frames wait (a 16th of the ring),
	 * and what little comes in meanwhile is received then, too. 0: always at once. About 200
	 * halves the CPU time of a bulk transfer; a frame waits that long at most, and the first
	 * one after a silence does not.
	 */
	uint32_t moderation_us;
	uint64_t no_features; /* VIRTIO_NET_F_... bits not to offer */
};

/*
 * Makes a network card. Returns 0, -EINVAL (a value out of range, more pairs than the port has, a
 * multicast address), -ENOMEM, or the port's -errno. Any thread. Destroy with vio_device_destroy().
 */
VIO_EXPORT int vio_net_create(const struct vio_device_env *env, const struct vio_net_config *cfg,
			      struct vio_device **out);

/*
 * The functions below are for devices of vio_net_create(). Any thread.
 */

/*
 * The link as the operator wants it: up, unless said otherwise; the driver sees a link when the
 * port has one, too. While it is down no frame passes in either direction (transmitted ones are
 * dropped, received ones stay in the port), and the host sees the carrier of a tap go.
 */
VIO_EXPORT void vio_net_set_link(struct vio_device *dev, bool up);

/* As the driver sees it. */
VIO_EXPORT bool vio_net_link(const struct vio_device *dev);

/*
 * Asks the driver to announce itself to the network (gratuitous packets). 0, or -EOPNOTSUPP when
 * the driver did not accept GUEST_ANNOUNCE.
 */
VIO_EXPORT int vio_net_announce(struct vio_device *dev);

/*
 * The card's address. The driver sees it at once, and gets a configuration interrupt. 0, or -EINVAL
 * for a multicast or zero address.
 */
VIO_EXPORT int vio_net_set_mac(struct vio_device *dev, const uint8_t mac[6]);

/*
 * The MTU, 68..65535. It never changes for a driver that has seen it (NET-DEV-005), so: from the
 * next reset of the device on. 0, -EINVAL, or -EOPNOTSUPP when the device does not offer MTU.
 */
VIO_EXPORT int vio_net_set_mtu(struct vio_device *dev, uint16_t mtu);

/* What else there is to know, for people and programs. */
struct vio_net_state {
	uint8_t mac[6]; /* as the driver set it last */
	uint16_t mtu;	/* 0: not offered */
	uint16_t pairs; /* in use */
	bool link;
	uint64_t dropped_tx;  /* frames of the driver that made no sense, or came while link down */
	uint64_t filtered_rx; /* frames of the port that the driver's filters keep out */
	uint64_t dropped_rx;  /* ... that did not fit the driver's buffers */
};

VIO_EXPORT void vio_net_get_state(const struct vio_device *dev, struct vio_net_state *state);

#ifdef __cplusplus
}
#endif
#endif
