/* SPDX-License-Identifier: BSD-3-Clause */
#include "tap.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_PAIRS 256u /* the kernel's limit, too */

#ifndef TUN_F_USO4 /* linux/if_tun.h has them from Linux 6.2 on */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#ifndef TUNSETCARRIER /* Linux 4.20 */
#define TUNSETCARRIER _IOW('T', 226, int)
#endif
#define TUN_F_USO (TUN_F_USO4 | TUN_F_USO6)
#define TUN_F_TSO (TUN_F_TSO4 | TUN_F_TSO6)

#define BIT(name) (1ULL << VIRTIO_NET_F_##name)

/* What the kernel may do with frames that are read here, and the feature that says so. */
static const struct {
	unsigned tun;
	uint64_t feature;
} tap_offloads[] = {
	{TUN_F_CSUM, BIT(GUEST_CSUM)}, {TUN_F_TSO4, BIT(GUEST_TSO4)},
	{TUN_F_TSO6, BIT(GUEST_TSO6)}, {TUN_F_TSO_ECN, BIT(GUEST_ECN)},
	{TUN_F_UFO, BIT(GUEST_UFO)},   {TUN_F_USO4, BIT(GUEST_USO4)},
	{TUN_F_USO6, BIT(GUEST_USO6)},
};

/* 0 or -errno. */
static int tap_ioctl(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg) < 0 ? -errno : 0;
}

static int tap_set_tun_offloads(const struct tap_port *tp, unsigned tun)
{
	return ioctl(tp->fd[0], TUNSETOFFLOAD, (unsigned long)tun) < 0 ? -errno : 0;
}

/* Leaves out what the kernel refuses alone: each depends on another, both kinds of USO on both. */
static unsigned tap_tun_offloads(uint64_t features)
{
	unsigned tun = 0;

	for (size_t i = 0; i < VIO_ARRAY_LEN(tap_offloads); i++)
		if (features & tap_offloads[i].feature)
			tun |= tap_offloads[i].tun;
	if (!(tun & TUN_F_CSUM))
		return 0;
	if (!(tun & TUN_F_TSO))
		tun &= ~(unsigned)TUN_F_TSO_ECN;
	if ((tun & TUN_F_USO) != TUN_F_USO)
		tun &= ~(unsigned)TUN_F_USO;
	return tun;
}

int tap_set_offloads(struct vio_port *port, uint64_t offloads)
{
	struct tap_port *tp = to_tap(port);
	int r = tap_set_tun_offloads(tp, tap_tun_offloads(offloads & tp->offloads));

	/* Without an interface there is nothing to bring. */
	return r == -EBADFD || r == -ENOLINK ? 0 : r;
}

/*
 * Finds out by trying, and leaves all of it off. What is written here needs no setting, and a
 * kernel takes the same kinds of frames in both directions.
 */
static int tap_probe_offloads(struct tap_port *tp)
{
	static const unsigned sets[] = {
		TUN_F_CSUM | TUN_F_TSO | TUN_F_TSO_ECN | TUN_F_UFO | TUN_F_USO,
		TUN_F_CSUM | TUN_F_TSO | TUN_F_TSO_ECN | TUN_F_UFO,
		TUN_F_CSUM | TUN_F_TSO | TUN_F_TSO_ECN,
		TUN_F_CSUM,
		0,
	};
	unsigned tun = 0;

	for (size_t i = 0; i < VIO_ARRAY_LEN(sets); i++) {
		tun = sets[i];
		if (tap_set_tun_offloads(tp, tun) == 0)
			break;
	}
	for (size_t i = 0; i < VIO_ARRAY_LEN(tap_offloads); i++)
		if (tun & tap_offloads[i].tun)
			tp->offloads |= tap_offloads[i].feature;
	if (tun & TUN_F_CSUM)
		tp->offloads |= BIT(CSUM);
	if (tun & TUN_F_TSO)
		tp->offloads |= BIT(HOST_TSO4) | BIT(HOST_TSO6) | BIT(HOST_ECN);
	if (tun & TUN_F_UFO)
		tp->offloads |= BIT(HOST_UFO);
	if (tun & TUN_F_USO)
		tp->offloads |= BIT(HOST_USO);
	return tap_set_tun_offloads(tp, 0);
}

/*
 * A tap that is deleted wakes its reader with an error. A macvtap says nothing, so for it we listen
 * to the news of all interfaces; what they are does not matter, asking does.
 */
static int tap_listen(struct tap_port *tp)
{
	struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	tp->links = fd;
	return 0;
}

bool tap_deleted(struct tap_port *tp)
{
	struct ifreq ifr;
	char news[64];

	for (unsigned i = 0; i < 64; i++)
		if (recv(tp->links, news, sizeof(news), 0) < 0 && errno == EAGAIN)
			break;
	return tap_ioctl(tp->fd[0], TUNGETIFF, &ifr) < 0;
}

/* Locked. A macvtap has none of its own; nor has an interface a carrier whose pairs are disabled.
 */
static void tap_carrier(struct tap_port *tp, bool up)
{
	int carrier = up;

	tp->carrier_due = tap_ioctl(tp->fd[0], TUNSETCARRIER, &carrier) < 0 && up;
}

int tap_enable(struct tap_port *tp, uint16_t index, bool on)
{
	struct ifreq ifr = {.ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};
	int r;

	pthread_mutex_lock(&tp->lock);
	r = tap_ioctl(tp->fd[index], TUNSETQUEUE, &ifr);
	if (r == 0 && on && tp->carrier_due)
		tap_carrier(tp, true);
	pthread_mutex_unlock(&tp->lock);
	return r;
}

void tap_set_link(struct vio_port *port, bool up)
{
	struct tap_port *tp = to_tap(port);

	pthread_mutex_lock(&tp->lock);
	tap_carrier(tp, up);
	pthread_mutex_unlock(&tp->lock);
}

/*
 * The MTU of the interface, if it is in this network namespace: one that came by descriptor may be
 * elsewhere, then another one here can have its name but not its address.
 */
static uint16_t tap_mtu(const struct tap_port *tp, const uint8_t *mac)
{
	struct ifreq addr = {0}, mtu = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint16_t n = 0;

	if (fd < 0)
		return 0;
	memcpy(addr.ifr_name, tp->name, IFNAMSIZ);
	memcpy(mtu.ifr_name, tp->name, IFNAMSIZ);
	if (tap_ioctl(fd, SIOCGIFHWADDR, &addr) == 0 &&
	    memcmp(addr.ifr_hwaddr.sa_data, mac, 6) == 0 && tap_ioctl(fd, SIOCGIFMTU, &mtu) == 0 &&
	    mtu.ifr_mtu > 0 && mtu.ifr_mtu <= UINT16_MAX)
		n = (uint16_t)mtu.ifr_mtu;
	close(fd);
	return n;
}

int tap_info(struct vio_port *port, struct vio_port_info *info)
{
	struct tap_port *tp = to_tap(port);
	struct ifreq ifr = {0};

	*info = (struct vio_port_info){
		.offloads = tp->offloads,
		.max_pairs = tp->n,
		.link_up = !tp->gone,
		.speed = UINT32_MAX,
	};
	if (tap_ioctl(tp->fd[0], SIOCGIFHWADDR, &ifr) < 0) {
		info->link_up = false;
		return 0;
	}
	info->mtu = tap_mtu(tp, (const uint8_t *)ifr.ifr_hwaddr.sa_data);
	info->has_mac = tp->has_mac;
	if (tp->has_mac)
		memcpy(info->mac, ifr.ifr_hwaddr.sa_data, sizeof(info->mac));
	return 0;
}

void tap_close(struct vio_port *port)
{
	struct tap_port *tp = to_tap(port);

	for (unsigned i = 0; i < tp->n; i++)
		close(tp->fd[i]);
	if (tp->links >= 0)
		close(tp->links);
	pthread_mutex_destroy(&tp->lock);
	free(tp);
}

/*
 * Everything but opening. Header and byte order are each descriptor's, the offloads are the
 * interface's.
 */
static int tap_setup(struct tap_port *tp, bool macvtap)
{
	int hdr = sizeof(struct vio_frame_hdr), little = 1, flags, r;

	for (uint16_t i = 0; i < tp->n; i++) {
		flags = fcntl(tp->fd[i], F_GETFL);
		if (flags < 0 || fcntl(tp->fd[i], F_SETFL, flags | O_NONBLOCK) < 0)
			return -errno;
		r = tap_ioctl(tp->fd[i], TUNSETVNETHDRSZ, &hdr);
		if (r == 0)
			r = tap_ioctl(tp->fd[i], TUNSETVNETLE, &little);
		if (r < 0)
			return r;
	}
	r = tap_probe_offloads(tp);
	if (r == 0 && macvtap)
		r = tap_listen(tp);
	if (r < 0)
		return r;
	tp->has_mac = macvtap;
	for (uint16_t i = 1; i < tp->n; i++)
		tap_enable(tp, i, false);
	return 0;
}

static int tap_alloc(uint16_t n, struct tap_port **out)
{
	struct tap_port *tp;

	if (n == 0 || n > MAX_PAIRS)
		return -EINVAL;
	tp = calloc(1, sizeof(*tp) + n * sizeof(tp->fd[0]));
	if (!tp)
		return -ENOMEM;
	tp->base.ops = &tap_ops;
	pthread_mutex_init(&tp->lock, NULL);
	tp->links = -1;
	*out = tp;
	return 0;
}

/* Opens the next pair's descriptor of the interface tp->name. */
static int tap_open_next(struct tap_port *tp, const char *node, short flags)
{
	struct ifreq ifr = {.ifr_flags = flags};
	int fd = open(node, O_RDWR | O_NONBLOCK | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	memcpy(ifr.ifr_name, tp->name, IFNAMSIZ);
	r = tap_ioctl(fd, TUNSETIFF, &ifr);
	/* A macvtap does not look at the name, and the node may be another one's. */
	if (r == 0)
		r = tap_ioctl(fd, TUNGETIFF, &ifr);
	if (r == 0 && tp->name[0] && !strchr(tp->name, '%') && strcmp(tp->name, ifr.ifr_name) != 0)
		r = -ENODEV;
	if (r < 0) {
		close(fd);
		return r;
	}
	memcpy(tp->name, ifr.ifr_name, IFNAMSIZ);
	tp->fd[tp->n++] = fd;
	return 0;
}

/*
 * Opens `node` for each of `pairs`. An interface that exists was made with or without multiple
 * queues, and wants it said again.
 */
static int tap_open_node(struct tap_port *tp, const char *node, uint16_t pairs)
{
	const short flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	int r = -EINVAL;

	if (pairs == 1)
		r = tap_open_next(tp, node, flags);
	if (r == -EINVAL)
		r = tap_open_next(tp, node, flags | IFF_MULTI_QUEUE);
	while (r == 0 && tp->n < pairs)
		r = tap_open_next(tp, node, flags | IFF_MULTI_QUEUE);
	return r;
}

/*
 * One descriptor of the caller's: must be what tap_open_node() would have made. The kernel does not
 * tell about IFF_NO_PI (its bit means something else in the answer).
 */
static int tap_adopt(struct tap_port *tp, int fd, bool many)
{
	const short flags = IFF_TAP | IFF_VNET_HDR | (many ? IFF_MULTI_QUEUE : 0);
	struct ifreq ifr = {0};
	int r = tap_ioctl(fd, TUNGETIFF, &ifr);

	if (r < 0)
		return r;
	if ((ifr.ifr_flags & flags) != flags || (tp->name[0] && strcmp(tp->name, ifr.ifr_name)))
		return -EINVAL;
	memcpy(tp->name, ifr.ifr_name, IFNAMSIZ);
	return 0;
}

/* The descriptors are the port's only if all goes well. */
static int tap_open_fds(const struct vio_port_tap_config *cfg, bool macvtap, struct vio_port **out)
{
	struct tap_port *tp;
	int r;

	if (cfg->name || (cfg->pairs && cfg->pairs != cfg->n_fds))
		return -EINVAL;
	r = tap_alloc(cfg->n_fds, &tp);
	if (r < 0)
		return r;
	for (; r == 0 && tp->n < cfg->n_fds; tp->n++) {
		tp->fd[tp->n] = cfg->fds[tp->n];
		r = tap_adopt(tp, tp->fd[tp->n], cfg->n_fds > 1);
	}
	if (r == 0)
		r = tap_setup(tp, macvtap);
	if (r < 0) {
		pthread_mutex_destroy(&tp->lock);
		free(tp);
		return r;
	}
	*out = &tp->base;
	return 0;
}

static int tap_open_name(const struct vio_port_tap_config *cfg, const char *node, bool macvtap,
			 struct vio_port **out)
{
	uint16_t pairs = cfg->pairs ? cfg->pairs : 1;
	struct tap_port *tp;
	int r = tap_alloc(pairs, &tp);

	if (r < 0)
		return r;
	if (cfg->name)
		memcpy(tp->name, cfg->name, strlen(cfg->name));
	r = tap_open_node(tp, node, pairs);
	if (r == 0)
		r = tap_setup(tp, macvtap);
	if (r < 0) {
		tap_close(&tp->base);
		return r;
	}
	*out = &tp->base;
	return 0;
}

int vio_port_tap_open(const struct vio_port_tap_config *cfg, struct vio_port **out)
{
	if (cfg->n_fds > 0)
		return tap_open_fds(cfg, false, out);
	if (cfg->name && strlen(cfg->name) >= IFNAMSIZ)
		return -EINVAL;
	return tap_open_name(cfg, "/dev/net/tun", false, out);
}

int vio_port_macvtap_open(const struct vio_port_tap_config *cfg, struct vio_port **out)
{
	struct ifreq ifr = {0};
	char node[32];
	int fd, r;

	if (cfg->n_fds > 0)
		return tap_open_fds(cfg, true, out);
	if (!cfg->name || strlen(cfg->name) >= IFNAMSIZ)
		return -EINVAL;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	memcpy(ifr.ifr_name, cfg->name, strlen(cfg->name));
	r = tap_ioctl(fd, SIOCGIFINDEX, &ifr);
	close(fd);
	if (r < 0)
		return r;
	snprintf(node, sizeof(node), "/dev/tap%d", ifr.ifr_ifindex);
	return tap_open_name(cfg, node, true, out);
}

const char *vio_port_tap_name(struct vio_port *port)
{
	return to_tap(port)->name;
}
