/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Network Device": life, features, configuration space, and what the operator may do.
 */
#include <viodm/defect.h>
#include "net_internal.h"

#include <endian.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>

#define NET_QUEUE_SIZE	   256
#define NET_QUEUE_SIZE_MAX 1024

/* ---- features ----------------------------------------------------------------------------------
 */

/* "Feature bit requirements": `feature` needs one of `any`. */
struct requirement {
	uint8_t feature;
	uint64_t any;
};

#define CSUM	   NET_BIT(VIRTIO_NET_F_CSUM)
#define GUEST_CSUM NET_BIT(VIRTIO_NET_F_GUEST_CSUM)
#define CTRL_VQ	   NET_BIT(VIRTIO_NET_F_CTRL_VQ)

static const struct requirement requirements[] = {
	{VIRTIO_NET_F_GUEST_TSO4, GUEST_CSUM},
	{VIRTIO_NET_F_GUEST_TSO6, GUEST_CSUM},
	{VIRTIO_NET_F_GUEST_UFO, GUEST_CSUM},
	{VIRTIO_NET_F_GUEST_USO4, GUEST_CSUM},
	{VIRTIO_NET_F_GUEST_USO6, GUEST_CSUM},
	{VIRTIO_NET_F_GUEST_ECN,
	 NET_BIT(VIRTIO_NET_F_GUEST_TSO4) | NET_BIT(VIRTIO_NET_F_GUEST_TSO6)},
	{VIRTIO_NET_F_HOST_TSO4, CSUM},
	{VIRTIO_NET_F_HOST_TSO6, CSUM},
	{VIRTIO_NET_F_HOST_UFO, CSUM},
	{VIRTIO_NET_F_HOST_USO, CSUM},
	{VIRTIO_NET_F_HOST_ECN, NET_BIT(VIRTIO_NET_F_HOST_TSO4) | NET_BIT(VIRTIO_NET_F_HOST_TSO6)},
	{VIRTIO_NET_F_CTRL_RX, CTRL_VQ},
	{VIRTIO_NET_F_CTRL_RX_EXTRA, CTRL_VQ},
	{VIRTIO_NET_F_CTRL_VLAN, CTRL_VQ},
	{VIRTIO_NET_F_CTRL_MAC_ADDR, CTRL_VQ},
	{VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, CTRL_VQ},
	{VIRTIO_NET_F_GUEST_ANNOUNCE, CTRL_VQ},
	{VIRTIO_NET_F_MQ, CTRL_VQ},
	{VIRTIO_NET_F_RSS, CTRL_VQ},
	{VIRTIO_NET_F_HASH_REPORT, CTRL_VQ},
	{VIRTIO_NET_F_NOTF_COAL, CTRL_VQ},
	{VIRTIO_NET_F_VQ_NOTF_COAL, CTRL_VQ},
};

uint64_t net_features_close(uint64_t f)
{
	/* In the table what is needed stands before what needs it, so once is enough. */
	for (size_t i = 0; i < VIO_ARRAY_LEN(requirements); i++)
		if (!(f & requirements[i].any))
			f &= ~NET_BIT(requirements[i].feature);
	return f;
}

static uint64_t features_offered(const struct net *net, bool hash, uint64_t no_features)
{
	const uint64_t port_bits = NET_GUEST_OFFLOADS | NET_BIT(VIRTIO_NET_F_HOST_TSO4) |
				   NET_BIT(VIRTIO_NET_F_HOST_TSO6) |
				   NET_BIT(VIRTIO_NET_F_HOST_ECN) | NET_BIT(VIRTIO_NET_F_HOST_UFO) |
				   NET_BIT(VIRTIO_NET_F_HOST_USO);
	/* A checksum that the port cannot complete we do. */
	uint64_t f = CSUM | CTRL_VQ | NET_BIT(VIRTIO_NET_F_MAC) | NET_BIT(VIRTIO_NET_F_STATUS) |
		     NET_BIT(VIRTIO_NET_F_MRG_RXBUF) | NET_BIT(VIRTIO_NET_F_CTRL_RX) |
		     NET_BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) | NET_BIT(VIRTIO_NET_F_CTRL_VLAN) |
		     NET_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) | NET_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) |
		     NET_BIT(VIRTIO_NET_F_SPEED_DUPLEX) | NET_BIT(VIRTIO_NET_F_NOTF_COAL) |
		     NET_BIT(VIRTIO_NET_F_VQ_NOTF_COAL);

	f |= net->port_offloads & port_bits;
	if (net->port_offloads & GUEST_CSUM)
		f |= NET_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	if (net->mtu)
		f |= NET_BIT(VIRTIO_NET_F_MTU);
	if (net->pairs > 1)
		f |= NET_BIT(VIRTIO_NET_F_MQ);
	if (hash)
		f |= NET_BIT(VIRTIO_NET_F_HASH_REPORT);
	if (hash && net->pairs > 1)
		f |= NET_BIT(VIRTIO_NET_F_RSS);
	f = net_features_close(f & ~no_features);
	return VIO_DEFECT("net-no-control-queue") ? f & ~CTRL_VQ : f;
}

/*
 * What needs the control queue is accepted without it, too: a vhost-user front-end may keep that
 * queue, and then it does not say that it was accepted.
 */
static bool net_features_ok(struct vio_device *dev, uint64_t features)
{
	(void)dev;
	return net_features_close(features | CTRL_VQ) == (features | CTRL_VQ);
}

static uint32_t unsegmented_max(uint16_t mtu)
{
	return mtu ? mtu + NET_ETH_LEN : 0;
}

/* What the driver was told counts when it is more than the port's limit was at the start: that of
 * an interface can be raised. */
static uint32_t frame_max(const struct net *net)
{
	uint32_t len = net->port_frame_max;

	if (net->mtu_len && net->mtu_len + NET_VLAN_LEN > len)
		len = net->mtu_len + NET_VLAN_LEN;
	return len < VIO_FRAME_MAX ? len : VIO_FRAME_MAX;
}

static void net_negotiated(struct vio_device *dev)
{
	struct net *net = to_net(dev);
	uint64_t guest;

	net->features = dev->accepted;
	guest = net->features & NET_GUEST_OFFLOADS;
	net->hdr_len =
		vio_device_has(dev, VIRTIO_NET_F_HASH_REPORT) ? NET_HDR_LEN_HASH : NET_HDR_LEN;
	net->mergeable = vio_device_has(dev, VIRTIO_NET_F_MRG_RXBUF);
	net->mtu_len = 0;
	if (vio_device_has(dev, VIRTIO_NET_F_MTU))
		net->mtu_len = unsegmented_max(le16toh(net->conf.mtu));
	net->frame_max = frame_max(net);
	if (vio_port_set_offloads(net->port, guest) < 0)
		vio_log(dev->log, VIO_LOG_WARN, "%s: the port does not take the offloads 0x%llx",
			dev->name, (unsigned long long)guest);
}

uint16_t net_ctrl_index(const struct net *net)
{
	/* NET-IMP-001 */
	bool many = vio_device_has(&net->base, VIRTIO_NET_F_MQ) ||
		    vio_device_has(&net->base, VIRTIO_NET_F_RSS);

	return many || VIO_DEFECT("net-ctrl-always-last") ? 2 * net->pairs : 2;
}

enum net_role net_role(const struct net *net, uint16_t index)
{
	if (vio_device_has(&net->base, VIRTIO_NET_F_CTRL_VQ)) {
		uint16_t ctrl = net_ctrl_index(net);

		if (index >= ctrl)
			return index == ctrl ? NET_CTRL : NET_NONE;
	}
	if (index >= 2 * net->pairs)
		return NET_NONE;
	return index % 2 ? NET_TX : NET_RX;
}

/* ---- configuration space -----------------------------------------------------------------------
 */

static void conf_set(struct net *net, size_t off, const void *buf, size_t len)
{
	vio_device_config_update(&net->base, (uint32_t)off, buf, (uint32_t)len);
}

void net_conf_mac(struct net *net, const uint8_t mac[6])
{
	conf_set(net, offsetof(struct virtio_net_config, mac), mac, sizeof(net->conf.mac));
}

static __le16 conf_status(const struct net *net)
{
	return htole16((net->link ? VIRTIO_NET_S_LINK_UP : 0) |
		       (net->announce ? VIRTIO_NET_S_ANNOUNCE : 0));
}

void net_conf_status(struct net *net)
{
	__le16 status = conf_status(net);

	conf_set(net, offsetof(struct virtio_net_config, status), &status, sizeof(status));
}

static void conf_mtu(struct net *net)
{
	__le16 mtu = htole16(net->mtu);

	conf_set(net, offsetof(struct virtio_net_config, mtu), &mtu, sizeof(mtu));
}

static void conf_fill(struct net *net, uint32_t speed)
{
	struct virtio_net_config *c = &net->conf;

	memcpy(c->mac, net->mac, sizeof(c->mac));
	c->status = conf_status(net);
	c->max_virtqueue_pairs = htole16(VIO_DEFECT("net-no-pairs") ? 0 : net->pairs);
	c->mtu = htole16(net->mtu);
	c->speed = htole32(speed);
	c->duplex = speed <= INT32_MAX ? 1 : 0xff; /* full; NET-DEV-011, NET-DEV-012 */
	if (VIO_DEFECT("net-speed-reserved"))
		c->speed = htole32(0x80000001);
	if (VIO_DEFECT("net-duplex-reserved"))
		c->duplex = 2;
	c->rss_max_key_size = NET_HASH_KEY_MAX - VIO_DEFECT("net-hash-key-short");
	c->rss_max_indirection_table_length = htole16(NET_RSS_TABLE_MAX);
	c->supported_hash_types = htole32(NET_HASH_TYPES);
}

/* ---- the operator ------------------------------------------------------------------------------
 */

/* net->lock held. */
static void link_update(struct net *net)
{
	net->link = net->link_wanted && net->link_port;
	net_conf_status(net);
	net_wake_pairs(net);
}

void vio_net_set_link(struct vio_device *dev, bool up)
{
	struct net *net = to_net(dev);

	pthread_mutex_lock(&net->lock);
	net->link_wanted = up;
	vio_port_set_link(net->port, up);
	link_update(net);
	pthread_mutex_unlock(&net->lock);
}

static void on_link(struct vio_port *port, bool up)
{
	struct net *net = port->user;

	pthread_mutex_lock(&net->lock);
	net->link_port = up;
	link_update(net);
	pthread_mutex_unlock(&net->lock);
}

static struct net *to_net_const(const struct vio_device *dev)
{
	return to_net((struct vio_device *)(uintptr_t)dev);
}

bool vio_net_link(const struct vio_device *dev)
{
	return to_net_const(dev)->link;
}

int vio_net_announce(struct vio_device *dev)
{
	struct net *net = to_net(dev);

	if (!vio_device_has(dev, VIRTIO_NET_F_GUEST_ANNOUNCE))
		return -EOPNOTSUPP;
	pthread_mutex_lock(&net->lock);
	net->announce = true;
	net_conf_status(net);
	pthread_mutex_unlock(&net->lock);
	return 0;
}

static bool mac_ok(const uint8_t mac[6])
{
	static const uint8_t none[6];

	return !(mac[0] & 1) && memcmp(mac, none, sizeof(none)) != 0;
}

int vio_net_set_mac(struct vio_device *dev, const uint8_t mac[6])
{
	struct net *net = to_net(dev);

	if (!mac_ok(mac))
		return -EINVAL;
	pthread_mutex_lock(&net->lock);
	memcpy(net->mac, mac, sizeof(net->mac));
	net_conf_mac(net, mac);
	if (net->begun) {
		net_filter_set_mac(&net->want.filter, mac);
		net_publish(net);
	}
	pthread_mutex_unlock(&net->lock);
	return 0;
}

int vio_net_set_mtu(struct vio_device *dev, uint16_t mtu)
{
	struct net *net = to_net(dev);

	if (!(dev->model_features & NET_BIT(VIRTIO_NET_F_MTU)))
		return -EOPNOTSUPP;
	if (mtu < ETH_MIN_MTU)
		return -EINVAL;
	pthread_mutex_lock(&net->lock);
	net->mtu = mtu;
	pthread_mutex_unlock(&net->lock);
	return 0;
}

static uint64_t counted(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void vio_net_get_state(const struct vio_device *dev, struct vio_net_state *state)
{
	struct net *net = to_net_const(dev); /* looking takes the lock */
	struct virtio_net_config conf;

	*state = (struct vio_net_state){.link = net->link};
	vio_device_config_read(&net->base, 0, &conf, sizeof(conf));
	memcpy(state->mac, conf.mac, sizeof(state->mac));
	if (dev->model_features & NET_BIT(VIRTIO_NET_F_MTU))
		state->mtu = le16toh(conf.mtu);
	pthread_mutex_lock(&net->lock);
	for (uint16_t i = 0; i < net->pairs; i++) {
		const struct net_pair *p = &net->pair[i];

		state->pairs += p->running && i < net->want.pairs;
		state->dropped_tx += counted(&p->dropped_tx);
		state->filtered_rx += counted(&p->filtered_rx);
		state->dropped_rx += counted(&p->dropped_rx);
	}
	pthread_mutex_unlock(&net->lock);
}

/* ---- life --------------------------------------------------------------------------------------
 */

static void net_reset(struct vio_device *dev)
{
	struct net *net = to_net(dev);

	vio_port_set_offloads(net->port, 0);
	pthread_mutex_lock(&net->lock);
	net->begun = net->ctrl_on = net->dirty = false;
	net->announce = false;
	if (!VIO_DEFECT("net-coal-survives-reset"))
		memset(net->coal_all, 0, sizeof(net->coal_all)); /* NET-DEV-143 */
	net_conf_mac(net, net->mac);
	net_conf_status(net);
	conf_mtu(net);
	pthread_mutex_unlock(&net->lock);
}

static void net_destroy(struct vio_device *dev)
{
	struct net *net = to_net(dev);

	net->port->on_link = NULL;
	net->port->user = NULL;
	if (!net->link_wanted)
		vio_port_set_link(net->port, true); /* as the next device expects it */
	for (uint16_t i = 0; i < net->pairs; i++)
		net_mail_fini(&net->pair[i].mail);
	vio_device_fini(dev);
	pthread_mutex_destroy(&net->lock);
	free(net);
}

static const struct vio_device_ops net_ops = {
	.name = "net",
	.id = VIRTIO_ID_NET,
	.features_ok = net_features_ok,
	.negotiated = net_negotiated,
	.queue_start = net_queue_start,
	.queue_stop = net_queue_stop,
	.queue_run = net_queue_run,
	.reset = net_reset,
	.destroy = net_destroy,
};

static int config_complete(struct vio_net_config *cfg, const struct vio_port_info *info)
{
	if (cfg->pairs == 0)
		cfg->pairs = 1;
	if (cfg->queue_size == 0)
		cfg->queue_size = NET_QUEUE_SIZE;
	if (cfg->mtu == 0)
		cfg->mtu = info->mtu;
	if (cfg->speed == 0)
		cfg->speed = info->speed;
	if (cfg->pairs > VIO_NET_MAX_PAIRS || cfg->pairs > info->max_pairs ||
	    !vio_is_pow2(cfg->queue_size) || cfg->queue_size < 2 ||
	    cfg->queue_size > NET_QUEUE_SIZE_MAX || (cfg->mtu && cfg->mtu < ETH_MIN_MTU) ||
	    (cfg->speed > INT32_MAX && cfg->speed != UINT32_MAX) ||
	    (cfg->has_mac && !mac_ok(cfg->mac)))
		return -EINVAL;
	return 0;
}

/* FNV-1a of the name: the same device has the same address every time. */
static void mac_from_name(uint8_t mac[6], const char *name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	for (unsigned i = 0; i < 6; i++)
		mac[i] = (uint8_t)(h >> (8 * i));
	mac[0] = (mac[0] & 0xfc) | 2;
}

static void net_set(struct net *net, const struct vio_net_config *cfg,
		    const struct vio_port_info *info, const char *name)
{
	net->port = cfg->port;
	net->port_offloads = info->offloads;
	net->tx_complete = !(info->offloads & CSUM);
	net->port_frame_max = info->mtu ? info->mtu + NET_ETH_LEN + NET_VLAN_LEN : VIO_FRAME_MAX;
	net->pairs = cfg->pairs;
	net->mtu = cfg->mtu;
	net->moderation_us = cfg->moderation_us;
	if (cfg->has_mac)
		memcpy(net->mac, cfg->mac, sizeof(net->mac));
	else if (info->has_mac)
		memcpy(net->mac, info->mac, sizeof(net->mac));
	else
		mac_from_name(net->mac, name);
	net->link_wanted = true;
	net->link_port = info->link_up;
	net->link = info->link_up;
	for (uint16_t i = 0; i < net->pairs; i++) {
		net->pair[i].net = net;
		net->pair[i].index = i;
		net->pair[i].wake_fd = -1;
	}
	net->ctrl.wake_fd = -1;
	conf_fill(net, cfg->speed);
}

int vio_net_create(const struct vio_device_env *env, const struct vio_net_config *config,
		   struct vio_device **out)
{
	struct vio_net_config cfg = *config;
	struct vio_port_info info = {0};
	struct net *net;
	int r = vio_port_info(cfg.port, &info);

	if (r < 0)
		return r;
	r = config_complete(&cfg, &info);
	if (r < 0)
		return r;
	net = calloc(1, sizeof(*net) + cfg.pairs * sizeof(net->pair[0]));
	if (!net)
		return -ENOMEM;
	net_set(net, &cfg, &info, env->name ? env->name : net_ops.name);
	net->base.ops = &net_ops;
	net->base.model_features = features_offered(net, cfg.hash, cfg.no_features);
	net->base.n_queues = 2 * cfg.pairs + 1;
	net->base.queue_size = cfg.queue_size;
	net->base.queue_group = 2;
	net->base.slot_size = sizeof(struct vio_chain);
	net->base.config = (uint8_t *)&net->conf;
	net->base.config_size = sizeof(net->conf);
	r = vio_device_init(&net->base, env);
	if (r < 0) {
		free(net);
		return r;
	}
	pthread_mutex_init(&net->lock, NULL);
	for (uint16_t i = 0; i < net->pairs; i++)
		net_mail_init(&net->pair[i].mail);
	cfg.port->user = net;
	cfg.port->on_link = on_link;
	*out = &net->base;
	return 0;
}
