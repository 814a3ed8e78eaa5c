/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_NETNS_H
#define UNIT_NETNS_H

/*
 * A network namespace for a test of its own, so that it needs and disturbs nothing of the machine's
 * network; and packet sockets to stand on the other side of an interface.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "suite.h"

/* Frames of this type are the tests' own. */
#define NETNS_ETHERTYPE 0x88b5

static inline bool netns_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Runs a shell command; true when it succeeded. */
static inline bool netns_try(const char *command)
{
	return system(command) == 0;
}

static inline void netns_run(const char *command)
{
	if (!netns_try(command)) {
		fprintf(stderr, "%s: failed\n", command);
		exit(1);
	}
}

/*
 * Moves this process to a network namespace of its own, in a user namespace of its own if need be.
 * False: not possible here, and says why.
 */
static inline bool netns_enter(void)
{
	uid_t uid = getuid();
	char map[32];

	if (unshare(CLONE_NEWNET) < 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
			printf("skipped: no network namespace: %s\n", strerror(errno));
			return false;
		}
		snprintf(map, sizeof(map), "0 %u 1", (unsigned)uid);
		if (!netns_write("/proc/self/uid_map", map)) {
			printf("skipped: no user namespace\n");
			return false;
		}
	}
	if (!netns_try("ip link set lo up")) {
		printf("skipped: no ip command (iproute2)\n");
		return false;
	}
	/* Interfaces say nothing of their own accord. */
	netns_write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
	netns_write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	return true;
}

/*
 * A packet socket bound to an interface that takes and gives frames of one type; `vnet`: with a
 * header before them.
 */
static inline int netns_socket(const char *ifname, unsigned ethertype, bool vnet)
{
	struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = htons(ethertype)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), on = 1;

	must(fd, "socket");
	addr.sll_ifindex = (int)if_nametoindex(ifname);
	if (vnet)
		MUST(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)));
	MUST(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)));
	MUST(bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
	return fd;
}

/* The length of the next frame, or -1 after a second without one. */
static inline ssize_t netns_recv(int fd, void *buf, size_t len)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (poll(&p, 1, 1000) != 1)
		return -1;
	return recv(fd, buf, len, 0);
}

#endif
