/* SPDX-License-Identifier: BSD-3-Clause */
#include "control_net.h"

#include <linux/virtio_ids.h>
#include <string.h>

#include <viodm/net.h>

bool control_is_net(const struct vio_device *dev)
{
	return vio_device_id(dev) == VIRTIO_ID_NET;
}

void control_net_status(json_t *out, const struct vio_device *dev)
{
	char mac[sizeof("52:54:00:12:34:56")];
	struct vio_net_state s;

	vio_net_get_state(dev, &s);
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", s.mac[0], s.mac[1], s.mac[2],
		 s.mac[3], s.mac[4], s.mac[5]);
	json_object_set_new(out, "mac", json_string(mac));
	json_object_set_new(out, "mtu", s.mtu ? json_integer(s.mtu) : json_null());
	json_object_set_new(out, "pairs", json_integer(s.pairs));
	json_object_set_new(out, "link", json_boolean(s.link));
}

void control_net_stats(json_t *out, const struct vio_device *dev)
{
	struct vio_net_state s;

	vio_net_get_state(dev, &s);
	json_object_set_new(out, "dropped-tx", json_integer((json_int_t)s.dropped_tx));
	json_object_set_new(out, "dropped-rx", json_integer((json_int_t)s.dropped_rx));
	json_object_set_new(out, "filtered-rx", json_integer((json_int_t)s.filtered_rx));
}

/* ---- commands -------------------------------------------------------------------------------- */

static int set_link(struct vio_device *dev, bool up)
{
	bool was = vio_net_link(dev);

	vio_net_set_link(dev, up);
	return vio_net_link(dev) != was;
}

static int link_up(struct vio_device *dev, const struct control_net_value *value)
{
	(void)value;
	return set_link(dev, true);
}

static int link_down(struct vio_device *dev, const struct control_net_value *value)
{
	(void)value;
	return set_link(dev, false);
}

static int announce(struct vio_device *dev, const struct control_net_value *value)
{
	int r = vio_net_announce(dev);

	(void)value;
	return r < 0 ? r : 1;
}

static int set_mac(struct vio_device *dev, const struct control_net_value *value)
{
	struct vio_net_state before;
	int r;

	vio_net_get_state(dev, &before);
	r = vio_net_set_mac(dev, value->mac);
	return r < 0 ? r : memcmp(before.mac, value->mac, sizeof(before.mac)) != 0;
}

static int set_mtu(struct vio_device *dev, const struct control_net_value *value)
{
	int r = vio_net_set_mtu(dev, (uint16_t)value->mtu);

	return r < 0 ? r : 1;
}

static const struct vio_opt mac_value = {
	.name = "mac", .type = VIO_OPT_MAC, .offset = offsetof(struct control_net_value, mac)};

static const struct vio_opt mtu_value = {.name = "mtu",
					 .type = VIO_OPT_UINT,
					 .offset = offsetof(struct control_net_value, mtu),
					 .min = 68,
					 .max = 65535};

const struct control_net_command control_net_commands[] = {
	{"link-up", NULL, link_up},	  {"link-down", NULL, link_down},
	{"announce", NULL, announce},	  {"set-mac", &mac_value, set_mac},
	{"set-mtu", &mtu_value, set_mtu}, {NULL, NULL, NULL},
};
