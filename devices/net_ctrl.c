/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Control Virtqueue": one command after the other; each is answered when it is in force.
 */
#include <viodm/defect.h>
#include "net_internal.h"

#include <endian.h>
#include <errno.h>

/* Not in the oldest kernel headers in use. */
#ifndef VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET
#define VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET 2
#define VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET 3
#endif

struct coal_le {
	__le32 max_packets;
	__le32 max_usecs;
};

/* A command's data, and what it answers apart from the ack byte. */
struct ctrl_call {
	struct net *net;
	uint8_t command;
	struct vio_iov data;
	uint8_t reply[sizeof(struct coal_le)];
	uint8_t reply_len;
};

struct ctrl_command {
	uint8_t class, command;
	uint8_t feature; /* that must have been accepted */
	/* net->lock held. Changes net->want only when all is well. 0, or -errno. */
	int (*run)(struct ctrl_call *c);
};

/* Exactly `len` bytes of data. */
static bool take_all(struct ctrl_call *c, void *dst, size_t len)
{
	return c->data.len == len && vio_iov_pull(&c->data, dst, len) == len;
}

/* ---- filters -----------------------------------------------------------------------------------
 */

static int cmd_rx(struct ctrl_call *c)
{
	uint8_t on;

	if (!take_all(c, &on, sizeof(on)))
		return -EINVAL;
	return net_filter_set_mode(&c->net->want.filter, c->command, on);
}

static int cmd_mac_table(struct ctrl_call *c)
{
	return net_filter_set_macs(&c->net->want.filter, &c->data);
}

static int cmd_mac_addr(struct ctrl_call *c)
{
	uint8_t mac[6];

	if (!take_all(c, mac, sizeof(mac)) || mac[0] & 1)
		return -EINVAL;
	net_filter_set_mac(&c->net->want.filter, mac);
	if (!VIO_DEFECT("net-mac-not-shown"))
		net_conf_mac(c->net, mac); /* NET-DEV-108 */
	return 0;
}

static int cmd_vlan(struct ctrl_call *c)
{
	__le16 id;

	if (!take_all(c, &id, sizeof(id)))
		return -EINVAL;
	return net_filter_vlan(&c->net->want.filter, le16toh(id),
			       c->command == VIRTIO_NET_CTRL_VLAN_ADD);
}

/* NET-DEV-117 */
static int cmd_announce_ack(struct ctrl_call *c)
{
	if (c->data.len)
		return -EINVAL;
	c->net->announce = VIO_DEFECT("net-announce-stays");
	net_conf_status(c->net);
	return 0;
}

/* ---- queues ------------------------------------------------------------------------------------
 */

static int cmd_pairs(struct ctrl_call *c)
{
	struct net *net = c->net;
	__le16 pairs;
	uint16_t n;

	if (!take_all(c, &pairs, sizeof(pairs)))
		return -EINVAL;
	n = le16toh(pairs);
	if (VIO_DEFECT("net-pairs-corrected"))
		n = n < 1 ? 1 : net->pairs;
	if (n < 1 || n > net->pairs)
		return -EINVAL;
	net->want.pairs = n;
	net->want.steering = false; /* "... defined by the last command" */
	net->want.hashing =
		net->want.hash.types && vio_device_has(&net->base, VIRTIO_NET_F_HASH_REPORT);
	return 0;
}

/* The end of RSS_CONFIG and HASH_CONFIG: length of the key, key, nothing more. */
static int take_key(struct ctrl_call *c, uint32_t types)
{
	uint8_t len, key[NET_HASH_KEY_MAX];

	if (vio_iov_pull(&c->data, &len, 1) != 1 || len > sizeof(key) || !take_all(c, key, len))
		return -EINVAL;
	return net_hash_set(&c->net->want.hash, types, key, len);
}

static int cmd_hash(struct ctrl_call *c)
{
	struct {
		__le32 types;
		__le16 reserved[4];
	} h;
	int r;

	if (vio_iov_pull(&c->data, &h, sizeof(h)) != sizeof(h))
		return -EINVAL;
	r = take_key(c, le32toh(h.types));
	if (r < 0)
		return r;
	c->net->want.hashing = h.types != 0;
	c->net->want.steering = false;
	return 0;
}

/* A receive queue, by number of its pair. Every one is checked (CVE-2024-6505). */
static bool take_pair(struct ctrl_call *c, uint16_t *out)
{
	__le16 id;

	if (vio_iov_pull(&c->data, &id, sizeof(id)) != sizeof(id))
		return false;
	*out = le16toh(id);
	if (VIO_DEFECT("net-rss-entry-unchecked"))
		*out %= c->net->pairs;
	return *out < c->net->pairs;
}

static uint16_t max16(uint16_t a, uint16_t b)
{
	return a > b ? a : b;
}

static int cmd_rss(struct ctrl_call *c)
{
	struct net_settings *s = &c->net->want;
	uint16_t table[NET_RSS_TABLE_MAX], unclassified, max, n;
	__le32 types;
	__le16 mask, max_tx;
	int r;

	if (vio_iov_pull(&c->data, &types, sizeof(types)) != sizeof(types) ||
	    vio_iov_pull(&c->data, &mask, sizeof(mask)) != sizeof(mask) ||
	    !take_pair(c, &unclassified))
		return -EINVAL;
	if (le16toh(mask) >= NET_RSS_TABLE_MAX || !vio_is_pow2(le16toh(mask) + 1u))
		return -EINVAL;
	n = le16toh(mask) + 1;
	max = unclassified;
	for (uint16_t i = 0; i < n; i++) {
		if (!take_pair(c, &table[i]))
			return -EINVAL;
		max = max16(max, table[i]);
	}
	if (vio_iov_pull(&c->data, &max_tx, sizeof(max_tx)) != sizeof(max_tx) ||
	    le16toh(max_tx) < 1 || le16toh(max_tx) > c->net->pairs)
		return -EINVAL;
	r = take_key(c, le32toh(types));
	if (r < 0)
		return r;
	memcpy(s->rss_table, table, n * sizeof(table[0]));
	s->rss_mask = n - 1;
	s->rss_unclassified = unclassified;
	s->pairs = max16(max + 1, le16toh(max_tx));
	s->hashing = s->steering = true;
	return 0;
}

/* ---- offloads ----------------------------------------------------------------------------------
 */

static int cmd_offloads(struct ctrl_call *c)
{
	struct net *net = c->net;
	__le64 offloads;
	uint64_t o;

	if (!take_all(c, &offloads, sizeof(offloads)))
		return -EINVAL;
	o = le64toh(offloads);
	if (VIO_DEFECT("net-offloads-unchecked"))
		o &= net->features & NET_GUEST_OFFLOADS;
	if (o & ~(net->features & NET_GUEST_OFFLOADS))
		return -EINVAL;
	net->want.offloads = net_features_close(o);
	return 0;
}

/* ---- coalescing --------------------------------------------------------------------------------
 */

static struct net_coal coal_of(const struct coal_le *le)
{
	return (struct net_coal){.max_packets = le32toh(le->max_packets),
				 .max_usecs = le32toh(le->max_usecs)};
}

/* RX_SET and TX_SET: all queues of a kind, those to come included. */
static int cmd_coal_all(struct ctrl_call *c)
{
	unsigned tx = c->command == VIRTIO_NET_CTRL_NOTF_COAL_TX_SET;
	struct coal_le le;

	if (!take_all(c, &le, sizeof(le)))
		return -EINVAL;
	c->net->coal_all[tx] = coal_of(&le);
	if (VIO_DEFECT("net-coal-set-misses-queues"))
		return 0;
	for (unsigned i = tx; i < 2u * c->net->pairs; i += 2)
		c->net->want.coal[i] = c->net->coal_all[tx];
	return 0;
}

struct coal_vq {
	__le16 vq_index;
	__le16 reserved; /* NET-DEV-135 */
};

/* NET-DEV-138: an enabled receive or transmit queue, or NULL. */
static struct net_coal *coal_queue(struct net *net, const struct coal_vq *vq)
{
	uint16_t index = le16toh(vq->vq_index);
	enum net_role role = net_role(net, index);
	struct vio_queue_regs regs;

	if (VIO_DEFECT("net-coal-any-queue"))
		return &net->want.coal[role == NET_RX || role == NET_TX ? index : 0];
	if (role != NET_RX && role != NET_TX)
		return NULL;
	vio_device_queue_get(&net->base, index, &regs);
	return regs.enabled ? &net->want.coal[index] : NULL;
}

static int cmd_coal_vq_set(struct ctrl_call *c)
{
	struct {
		struct coal_vq vq;
		struct coal_le coal;
	} le;
	struct net_coal *coal;

	if (!take_all(c, &le, sizeof(le)))
		return -EINVAL;
	coal = coal_queue(c->net, &le.vq);
	if (!coal)
		return -EINVAL;
	*coal = coal_of(&le.coal);
	return 0;
}

static int cmd_coal_vq_get(struct ctrl_call *c)
{
	struct coal_le le;
	const struct net_coal *coal;
	struct coal_vq vq;

	/* The reply is a part of the command's data: the ack byte comes behind it in any case. */
	c->reply_len = sizeof(le);
	if (!take_all(c, &vq, sizeof(vq)))
		return -EINVAL;
	coal = coal_queue(c->net, &vq);
	if (!coal)
		return -EINVAL;
	le.max_packets = htole32(coal->max_packets);
	le.max_usecs = htole32(coal->max_usecs);
	memcpy(c->reply, &le, sizeof(le));
	return 0;
}

/* ---- one command -------------------------------------------------------------------------------
 */

#define RX(cmd, feature)                                                                           \
	{                                                                                          \
		VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_##cmd, feature, cmd_rx                      \
	}

static const struct ctrl_command commands[] = {
	RX(PROMISC, VIRTIO_NET_F_CTRL_RX),
	RX(ALLMULTI, VIRTIO_NET_F_CTRL_RX),
	RX(ALLUNI, VIRTIO_NET_F_CTRL_RX_EXTRA),
	RX(NOMULTI, VIRTIO_NET_F_CTRL_RX_EXTRA),
	RX(NOUNI, VIRTIO_NET_F_CTRL_RX_EXTRA),
	RX(NOBCAST, VIRTIO_NET_F_CTRL_RX_EXTRA),
	{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, VIRTIO_NET_F_CTRL_RX, cmd_mac_table},
	{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, VIRTIO_NET_F_CTRL_MAC_ADDR,
	 cmd_mac_addr},
	{VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, VIRTIO_NET_F_CTRL_VLAN, cmd_vlan},
	{VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, VIRTIO_NET_F_CTRL_VLAN, cmd_vlan},
	{VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, VIRTIO_NET_F_GUEST_ANNOUNCE,
	 cmd_announce_ack},
	{VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, VIRTIO_NET_F_MQ, cmd_pairs},
	{VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG, VIRTIO_NET_F_RSS, cmd_rss},
	{VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_HASH_CONFIG, VIRTIO_NET_F_HASH_REPORT, cmd_hash},
	{VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
	 VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, cmd_offloads},
	{VIRTIO_NET_CTRL_NOTF_COAL, VIRTIO_NET_CTRL_NOTF_COAL_RX_SET, VIRTIO_NET_F_NOTF_COAL,
	 cmd_coal_all},
	{VIRTIO_NET_CTRL_NOTF_COAL, VIRTIO_NET_CTRL_NOTF_COAL_TX_SET, VIRTIO_NET_F_NOTF_COAL,
	 cmd_coal_all},
	{VIRTIO_NET_CTRL_NOTF_COAL, VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET, VIRTIO_NET_F_VQ_NOTF_COAL,
	 cmd_coal_vq_set},
	{VIRTIO_NET_CTRL_NOTF_COAL, VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET, VIRTIO_NET_F_VQ_NOTF_COAL,
	 cmd_coal_vq_get},
};

static int ctrl_dispatch(struct ctrl_call *c)
{
	uint8_t head[2];

	if (vio_iov_pull(&c->data, head, sizeof(head)) != sizeof(head))
		return -EINVAL;
	for (size_t i = 0; i < VIO_ARRAY_LEN(commands); i++) {
		if (commands[i].class != head[0] || commands[i].command != head[1])
			continue;
		if (!vio_device_has(&c->net->base, commands[i].feature))
			return -EINVAL;
		c->command = head[1];
		return commands[i].run(c);
	}
	return -EINVAL;
}

/* The answer: what the command has to tell (or zeros), then the ack byte (NET-IMP-005). */
static void ctrl_answer(struct net *net, struct vio_chain *chain, const struct ctrl_call *c, int r)
{
	struct vio_iov in = vio_iov_writable(chain);
	uint8_t ack = r < 0 && !VIO_DEFECT("net-ack-always") ? VIRTIO_NET_ERR : VIRTIO_NET_OK;
	uint64_t len = 1;

	if (c && c->reply_len)
		len += vio_iov_put(&in, c->reply, c->reply_len);
	vio_iov_put(&in, &ack, 1);
	if (r < 0)
		vio_count(&net->ctrl.q->stats.errors, 1);
	vio_queue_push(net->ctrl.q, chain, len);
}

/*
 * All pairs do what the last command said. Offloads: the pairs keep from the driver what it does
 * not want any more before the port stops to bring it, and pass on what it wants before that comes.
 */
static void ctrl_finish(struct net *net)
{
	uint64_t offloads;
	int r = 0;

	if (net->ctrl.offloads_change) {
		net->ctrl.offloads_change = false;
		pthread_mutex_lock(&net->lock);
		offloads = net->want.offloads; /* no command but this one changes them */
		pthread_mutex_unlock(&net->lock);
		r = vio_port_set_offloads(net->port, offloads);
	}
	ctrl_answer(net, net->ctrl.chain, NULL, r);
	net->ctrl.chain = NULL;
}

/* Pairs of this loop adopt at once; is there one that does not? */
static bool ctrl_settle(struct net *net)
{
	bool settled;

	for (uint16_t i = 0; i < net->pairs; i++) {
		struct net_pair *p = &net->pair[i];
		bool mine;

		pthread_mutex_lock(&net->lock);
		mine = p->running && p->loop == net->ctrl.loop;
		pthread_mutex_unlock(&net->lock);
		if (mine)
			net_sync(p);
	}
	pthread_mutex_lock(&net->lock);
	settled = net_settled(net);
	net->ctrl.waits = !settled;
	pthread_mutex_unlock(&net->lock);
	return settled;
}

/* Begins a command; it is answered here when it changes nothing. */
static void ctrl_begin(struct net *net, struct vio_chain *chain)
{
	struct ctrl_call c = {.net = net, .data = vio_iov_readable(chain)};
	uint64_t offloads;
	int r;

	pthread_mutex_lock(&net->lock);
	offloads = net->want.offloads;
	r = ctrl_dispatch(&c);
	/* An answer needs room for itself. */
	if (chain->writable_len <= c.reply_len) {
		c.reply_len = 0;
		r = -EINVAL;
	}
	if (r == 0 && c.reply_len == 0)
		net_publish(net);
	net->ctrl.offloads_change = net->want.offloads != offloads;
	pthread_mutex_unlock(&net->lock);
	if (r < 0 || c.reply_len)
		ctrl_answer(net, chain, &c, r);
	else
		net->ctrl.chain = chain;
}

bool net_ctrl_run(struct net *net)
{
	struct vio_queue *q = net->ctrl.q;
	uint16_t left = q->size;
	struct vio_chain *chain;

	for (;;) {
		if (net->ctrl.chain) {
			if (!ctrl_settle(net))
				break; /* the last pair to adopt wakes us up */
			ctrl_finish(net);
		}
		if (left-- == 0 || !vio_device_pop(&net->base, q, &chain))
			break;
		if (chain->writable_len == 0) {
			vio_device_fail(&net->base, "queue %u: command without an ack byte",
					q->index);
			break;
		}
		ctrl_begin(net, chain);
	}
	vio_queue_set_idle(q, net->ctrl.chain != NULL);
	vio_device_publish(&net->base, q);
	return left == UINT16_MAX;
}

static void on_wake(struct vio_watch *w)
{
	struct net *net = vio_container_of(w, struct net, ctrl.wake);

	vio_event_take(w->fd);
	if (vio_device_failed(&net->base))
		return;
	if (net_ctrl_run(net))
		vio_event_signal(w->fd);
}

/* ---- start and stop ----------------------------------------------------------------------------
 */

int net_ctrl_start(struct net *net, struct vio_queue *q, struct vio_loop *loop)
{
	struct net_ctrl *ctrl = &net->ctrl;
	int r;

	ctrl->wake.on_ready = on_wake;
	r = net_wake_open(loop, &ctrl->wake, &ctrl->wake_fd);
	if (r < 0)
		return r;
	ctrl->loop = loop;
	ctrl->q = q;
	return 0;
}

void net_ctrl_stop(struct net *net)
{
	struct net_ctrl *ctrl = &net->ctrl;

	pthread_mutex_lock(&net->lock);
	ctrl->waits = false;
	pthread_mutex_unlock(&net->lock);
	net_wake_close(ctrl->loop, &ctrl->wake, &ctrl->wake_fd);
	/* A command that was not answered is carried out once more when the queue goes on; all
	 * commands may be. */
	if (ctrl->chain)
		vio_queue_unpop(ctrl->q, 1);
	ctrl->chain = NULL;
	ctrl->q = NULL;
}
