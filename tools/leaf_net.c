/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * [net NAME]
 */
#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>

#include <viodm/net.h>

#include "leaves.h"

struct net_opts {
	unsigned pairs;
	unsigned queue_size;
	uint8_t mac[6];
	unsigned mtu;
	unsigned speed;
	bool offloads;
	bool mrg_rxbuf;
	bool hash;
	unsigned moderation_us;
	char *capture;
	unsigned snaplen;
};

static const struct vio_opt net_opts[] = {
	{.name = "mac",
	 .type = VIO_OPT_MAC,
	 .offset = offsetof(struct net_opts, mac),
	 .def = "auto",
	 .word = "auto",
	 .help = "the card's address; auto: the port's, or made up from the section's name"},
	{.name = "queue-pairs",
	 .type = VIO_OPT_UINT,
	 .offset = offsetof(struct net_opts, pairs),
	 .def = "1",
	 .min = 1,
	 .max = VIO_NET_MAX_PAIRS,
	 .help = "pairs of a receive and a transmit virtqueue"},
	LEAF_QUEUE_SIZE(net_opts),
	{.name = "mtu",
	 .type = VIO_OPT_UINT,
	 .offset = offsetof(struct net_opts, mtu),
	 .def = "auto",
	 .min = 68,
	 .max = 65535,
	 .word = "auto",
	 .help = "bytes of the largest packet, for the driver to know; auto: the port's, if any"},
	{.name = "speed",
	 .type = VIO_OPT_UINT,
	 .offset = offsetof(struct net_opts, speed),
	 .def = "auto",
	 .min = 1,
	 .max = INT32_MAX,
	 .word = "auto",
	 .help = "Mbit/s that the driver is told; auto: the port's"},
	{.name = "offloads",
	 .type = VIO_OPT_BOOL,
	 .offset = offsetof(struct net_opts, offloads),
	 .def = "on",
	 .help = "offer checksums and segmentation, as far as the port can do them"},
	{.name = "mrg-rxbuf",
	 .type = VIO_OPT_BOOL,
	 .offset = offsetof(struct net_opts, mrg_rxbuf),
	 .def = "on",
	 .help = "offer to spread a frame over several of the driver's buffers"},
	{.name = "hash",
	 .type = VIO_OPT_BOOL,
	 .offset = offsetof(struct net_opts, hash),
	 .def = "off",
	 .help = "offer receive hashes and, with several pairs, receive side scaling"},
	{.name = "moderation-us",
	 .type = VIO_OPT_UINT,
	 .offset = offsetof(struct net_opts, moderation_us),
	 .def = "200",
	 .max = 10000,
	 .help = "while a driver transmits in bulk, microseconds that frames may wait for others; "
		 "0: none waits"},
	{.name = "capture",
	 .type = VIO_OPT_PATH,
	 .offset = offsetof(struct net_opts, capture),
	 .help = "file to record all frames to, for tcpdump and wireshark; it is replaced"},
	{.name = "capture-snaplen",
	 .type = VIO_OPT_UINT,
	 .offset = offsetof(struct net_opts, snaplen),
	 .def = "all",
	 .min = 14,
	 .max = VIO_FRAME_MAX,
	 .word = "all",
	 .help = "bytes of each frame to record"},
};

#define BIT(n) (UINT64_C(1) << (n))

static const uint64_t offload_features =
	BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) |
	BIT(VIRTIO_NET_F_HOST_ECN) | BIT(VIRTIO_NET_F_HOST_UFO) | BIT(VIRTIO_NET_F_HOST_USO) |
	BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) |
	BIT(VIRTIO_NET_F_GUEST_ECN) | BIT(VIRTIO_NET_F_GUEST_UFO) | BIT(VIRTIO_NET_F_GUEST_USO4) |
	BIT(VIRTIO_NET_F_GUEST_USO6) | BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);

static unsigned queue_size(const struct part *parts)
{
	const struct net_opts *o = parts[LEAF_MODEL].opts;

	return leaf_queue_size(parts, o->queue_size);
}

static int net_check(const struct part *parts, struct fault *fault)
{
	const struct net_opts *o = parts[LEAF_MODEL].opts;

	if (o->capture || o->snaplen == 0)
		return 0;
	fault->key = "capture-snaplen";
	snprintf(fault->text, sizeof(fault->text), "%u, but there is no `capture`", o->snaplen);
	return -EINVAL;
}

static void net_show(const struct part *parts, FILE *out)
{
	const struct net_opts *o = parts[LEAF_MODEL].opts;

	fprintf(out, "; %u pair%s of virtqueues of %u\n", o->pairs, o->pairs == 1 ? "" : "s",
		queue_size(parts));
}

static void net_port(const struct part *parts, struct port_want *want)
{
	const struct net_opts *o = parts[LEAF_MODEL].opts;

	want->pairs = o->pairs;
	want->mtu = o->mtu;
	want->capture = o->capture;
	want->snaplen = o->snaplen;
}

static int net_create(const struct part *parts, const struct vio_device_env *env,
		      const struct under *under, struct vio_device **out)
{
	static const uint8_t no_mac[6];
	const struct net_opts *o = parts[LEAF_MODEL].opts;
	struct vio_net_config cfg = {
		.port = under->port,
		.pairs = (uint16_t)o->pairs,
		.queue_size = (uint16_t)queue_size(parts),
		.has_mac = memcmp(o->mac, no_mac, sizeof(no_mac)) != 0,
		.mtu = (uint16_t)o->mtu,
		.speed = o->speed,
		.hash = o->hash,
		.moderation_us = o->moderation_us,
	};

	memcpy(cfg.mac, o->mac, sizeof(cfg.mac));
	if (!o->offloads)
		cfg.no_features |= offload_features;
	if (!o->mrg_rxbuf)
		cfg.no_features |= BIT(VIRTIO_NET_F_MRG_RXBUF);
	return vio_net_create(env, &cfg, out);
}

const struct leaf leaf_net = {
	.name = "net",
	.help = "network card: Ethernet frames through a port",
	.opts = net_opts,
	.n_opts = VIO_ARRAY_LEN(net_opts),
	.opts_size = sizeof(struct net_opts),
	.needs = LEAF_BIT(LEAF_TRANSPORT) | LEAF_BIT(LEAF_BACKEND) | LEAF_BIT(LEAF_PORT),
	.model = {.check = net_check, .show = net_show, .port = net_port, .create = net_create},
};
