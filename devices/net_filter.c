/* SPDX-License-Identifier: BSD-3-Clause */
#include <viodm/defect.h>
#include "net_filter.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include <linux/if_ether.h>
#include <linux/virtio_net.h>

#define FILTER_GROUP	 (1ull << 40) /* the multicast bit of the first byte */
#define FILTER_BROADCAST 0xffffffffffffull

/* An address as a number, first byte highest. */
static uint64_t filter_mac(const uint8_t *mac)
{
	uint32_t high;
	uint16_t low;

	memcpy(&high, mac, sizeof(high));
	memcpy(&low, mac + sizeof(high), sizeof(low));
	return (uint64_t)be32toh(high) << 16 | be16toh(low);
}

void net_filter_init(struct net_filter *f, uint64_t features, const uint8_t mac[6])
{
	*f = (struct net_filter){
		.ctrl_rx = features & 1ull << VIRTIO_NET_F_CTRL_RX,
		.ctrl_rx_extra = features & 1ull << VIRTIO_NET_F_CTRL_RX_EXTRA,
		.ctrl_vlan = features & 1ull << VIRTIO_NET_F_CTRL_VLAN,
		.own = filter_mac(mac),
	};
}

void net_filter_set_mac(struct net_filter *f, const uint8_t mac[6])
{
	f->own = filter_mac(mac);
}

/* The switch a command turns; NULL: there is none, or the driver may not use it. */
static bool *filter_mode(struct net_filter *f, uint8_t command)
{
	switch (command) {
	case VIRTIO_NET_CTRL_RX_PROMISC:
		return f->ctrl_rx ? &f->promisc : NULL;
	case VIRTIO_NET_CTRL_RX_ALLMULTI:
		return f->ctrl_rx ? &f->allmulti : NULL;
	case VIRTIO_NET_CTRL_RX_ALLUNI:
		return f->ctrl_rx_extra ? &f->alluni : NULL;
	case VIRTIO_NET_CTRL_RX_NOMULTI:
		return f->ctrl_rx_extra ? &f->nomulti : NULL;
	case VIRTIO_NET_CTRL_RX_NOUNI:
		return f->ctrl_rx_extra ? &f->nouni : NULL;
	case VIRTIO_NET_CTRL_RX_NOBCAST:
		return f->ctrl_rx_extra ? &f->nobcast : NULL;
	}
	return NULL;
}

int net_filter_set_mode(struct net_filter *f, uint8_t command, uint8_t on)
{
	bool *mode = filter_mode(f, command);

	if (!mode || on > 1)
		return -EINVAL;
	*mode = on;
	return 0;
}

/* Adds in order; a table is short, and is set rarely. */
static void filter_add(struct net_filter_macs *t, uint64_t mac)
{
	uint16_t i = t->n++;

	for (; i > 0 && t->mac[i - 1] > mac; i--)
		t->mac[i] = t->mac[i - 1];
	t->mac[i] = mac;
}

/* One of the two tables. */
static int filter_pull_macs(struct net_filter_macs *t, struct vio_iov *data)
{
	uint8_t mac[ETH_ALEN];
	uint64_t n;
	__le32 entries;

	if (vio_iov_pull(data, &entries, sizeof(entries)) != sizeof(entries))
		return -EINVAL;
	n = le32toh(entries);
	if (data->len < n * sizeof(mac))
		return -EINVAL;
	t->n = 0;
	t->overflow = n > NET_FILTER_MACS;
	for (uint64_t i = 0; i < n && i < NET_FILTER_MACS; i++) {
		vio_iov_pull(data, mac, sizeof(mac));
		filter_add(t, filter_mac(mac));
	}
	if (t->overflow)
		vio_iov_skip(data, (n - NET_FILTER_MACS) * sizeof(mac));
	return 0;
}

int net_filter_set_macs(struct net_filter *f, struct vio_iov *data)
{
	struct net_filter_macs uni, multi;

	if (!f->ctrl_rx || filter_pull_macs(&uni, data) < 0 || filter_pull_macs(&multi, data) < 0 ||
	    data->len)
		return -EINVAL;
	if (VIO_DEFECT("net-macs-added")) {
		for (uint16_t i = 0; i < uni.n && f->uni.n < NET_FILTER_MACS; i++)
			filter_add(&f->uni, uni.mac[i]);
		for (uint16_t i = 0; i < multi.n && f->multi.n < NET_FILTER_MACS; i++)
			filter_add(&f->multi, multi.mac[i]);
		return 0;
	}
	f->uni = uni;
	f->multi = multi;
	return 0;
}

int net_filter_vlan(struct net_filter *f, uint16_t id, bool on)
{
	uint64_t bit = 1ull << id % 64;

	if (!f->ctrl_vlan || id >= NET_FILTER_VLANS)
		return -EINVAL;
	if (on)
		f->vlan[id / 64] |= bit;
	else
		f->vlan[id / 64] &= VIO_DEFECT("net-vlan-not-deleted") ? ~0ull : ~bit;
	return 0;
}

static bool filter_listed(const struct net_filter_macs *t, uint64_t mac)
{
	uint16_t low = 0, high = t->n;

	while (low < high) {
		uint16_t mid = (low + high) / 2;

		if (t->mac[mid] < mac)
			low = mid + 1;
		else
			high = mid;
	}
	return t->overflow || (low < t->n && t->mac[low] == mac);
}

static bool filter_vlan_wants(const struct net_filter *f, const uint8_t *head, size_t len)
{
	uint16_t id;

	if (head[12] != ETH_P_8021Q >> 8 || head[13] != (ETH_P_8021Q & 0xff))
		return true;
	if (len < NET_FILTER_HEAD)
		return false;
	id = (head[14] & 0x0f) << 8 | head[15];
	if (VIO_DEFECT("net-vlan-priority-counts") && head[14] & 0xf0)
		return false;
	return f->vlan[id / 64] >> id % 64 & 1;
}

static bool filter_mac_wants(const struct net_filter *f, uint64_t mac)
{
	if (mac == FILTER_BROADCAST)
		return !f->nobcast || VIO_DEFECT("net-nobcast-ignored");
	if (mac & FILTER_GROUP)
		return !f->nomulti && (f->allmulti || filter_listed(&f->multi, mac));
	return !f->nouni && (mac == f->own || f->alluni || filter_listed(&f->uni, mac));
}

bool net_filter_wants(const struct net_filter *f, const uint8_t *head, size_t len)
{
	if (len < ETH_HLEN)
		return false;
	/* NET-DEV-091, -092: promiscuous is everything, whatever else is set. */
	if (f->promisc && !(VIO_DEFECT("net-promisc-filtered") && f->nobcast))
		return true;
	if (VIO_DEFECT("net-unfiltered"))
		return true;
	if (f->ctrl_vlan && !filter_vlan_wants(f, head, len))
		return false;
	return !f->ctrl_rx || filter_mac_wants(f, filter_mac(head));
}
