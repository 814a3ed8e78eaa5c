/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_CONTROL_NET_H
#define TOOLS_CONTROL_NET_H

/*
 * What the control socket says of network cards, and does to them.
 */

#include <jansson.h>

#include <viodm/opts.h>

struct vio_device;

bool control_is_net(const struct vio_device *dev);

/* Add to a device's object what is known of a card: address and link, or counters. */
void control_net_status(json_t *out, const struct vio_device *dev);
void control_net_stats(json_t *out, const struct vio_device *dev);

/* The value of a request, as text and parsed. */
struct control_net_value {
	uint8_t mac[6];
	unsigned mtu;
};

struct control_net_command {
	const char *name;
	const struct vio_opt *value; /* of a struct control_net_value; NULL: there is none */
	/* 1: something changed; 0; or -errno. */
	int (*run)(struct vio_device *dev, const struct control_net_value *value);
};

/* Ends with an entry without a name. */
extern const struct control_net_command control_net_commands[];

#endif
