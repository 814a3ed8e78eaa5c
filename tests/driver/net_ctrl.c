/* SPDX-License-Identifier: BSD-3-Clause */
#include <driver/net.h>

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <driver/net_buf.h>

/* Cuts both directions. Returns how many pieces, or 0. */
static uint32_t build(struct drv_net *n, const struct drv_net_cmd *cmd, struct drv_buf *piece)
{
	struct drv_net_buf *out = &n->ctrl_out.buf[0], *in = &n->ctrl_in.buf[0];
	struct virtio_net_ctrl_hdr hdr = {cmd->class, cmd->command};
	const uint8_t no_ack = DRV_NET_NO_ACK;
	uint32_t ack_at = cmd->ack_last ? cmd->in_len : 0;
	struct drv_mem *mem = n->dev->mem;
	uint32_t n_out, n_in;

	n_out = drv_net_buf_cut(out, mem, sizeof(hdr) + cmd->out_len, cmd->framing, false, piece);
	n_in = drv_net_buf_cut(in, mem, 1 + cmd->in_len, cmd->in_framing, true, piece + n_out);
	if (!n_out || !n_in)
		return 0;
	drv_net_buf_write(out, mem, 0, &hdr, sizeof(hdr));
	if (cmd->out_len)
		drv_net_buf_write(out, mem, sizeof(hdr), cmd->out, cmd->out_len);
	drv_net_buf_write(in, mem, ack_at, &no_ack, 1);
	out->sum = drv_net_buf_sum(out, mem);
	return n_out + n_in;
}

static int broken(struct drv_net *n, const char *why)
{
	n->broken++;
	n->why = why;
	return -EPROTO;
}

/* The answer: at least the ack byte (NET-IMP-005). */
static int finish(struct drv_net *n, const struct drv_net_cmd *cmd, uint32_t used)
{
	const struct drv_net_buf *out = &n->ctrl_out.buf[0], *in = &n->ctrl_in.buf[0];
	uint32_t ack_at = cmd->ack_last ? cmd->in_len : 0;
	struct drv_mem *mem = n->dev->mem;
	uint8_t ack;

	if (drv_net_buf_sum(out, mem) != out->sum)
		return broken(n, "a command was changed");
	if (!drv_net_buf_intact(in, mem) || used > in->len)
		return broken(n, "bytes around the answer to a command were written to");
	drv_net_buf_read(in, mem, ack_at, &ack, 1);
	if (used == 0 || (ack != VIRTIO_NET_OK && ack != VIRTIO_NET_ERR))
		return broken(n, "no ack byte");
	if (cmd->in_len)
		drv_net_buf_read(in, mem, !ack_at, cmd->in, cmd->in_len);
	return ack;
}

int drv_net_command(struct drv_net *n, const struct drv_net_cmd *cmd)
{
	struct drv_buf piece[2 * DRV_NET_MAX_PIECES];
	struct drv_used u;
	uint32_t k;
	int r;

	if (!n->ctrl)
		return -ENOTSUP;
	k = build(n, cmd, piece);
	if (k == 0)
		return -ENOSPC;
	r = drv_queue_add(&n->dev->queue[n->ctrl], piece, k,
			  cmd->framing ? cmd->framing->n_direct : DRV_DIRECT, NULL);
	if (r < 0)
		return r;
	drv_device_submit(n->dev, n->ctrl);
	r = drv_device_wait(n->dev, n->ctrl, &u);
	if (r < 0)
		return broken(n, "a command that is not in flight");
	return r == 0 ? -ETIMEDOUT : finish(n, cmd, u.len);
}

/* A command that is all in `out`. */
static int command(struct drv_net *n, uint8_t class, uint8_t cmd, const void *out, uint32_t len)
{
	const struct drv_net_cmd c = {.class = class, .command = cmd, .out = out, .out_len = len};

	return drv_net_command(n, &c);
}

int drv_net_rx_mode(struct drv_net *n, uint8_t cmd, uint8_t on)
{
	return command(n, VIRTIO_NET_CTRL_RX, cmd, &on, 1);
}

int drv_net_set_mac(struct drv_net *n, const uint8_t mac[6])
{
	return command(n, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6);
}

/* Appends to a command that is being put together. */
static uint8_t *put(uint8_t *p, const void *data, size_t len)
{
	if (len)
		memcpy(p, data, len);
	return p + len;
}

static uint8_t *put16(uint8_t *p, uint16_t v)
{
	__le16 le = htole16(v);

	return put(p, &le, sizeof(le));
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	__le32 le = htole32(v);

	return put(p, &le, sizeof(le));
}

int drv_net_set_macs(struct drv_net *n, const uint8_t (*uni)[6], uint32_t n_uni,
		     const uint8_t (*multi)[6], uint32_t n_multi)
{
	uint8_t *out = malloc(8 + 6 * ((size_t)n_uni + n_multi)), *p;
	int r;

	if (!out)
		return -ENOMEM;
	p = put(put32(out, n_uni), uni, 6 * (size_t)n_uni);
	p = put(put32(p, n_multi), multi, 6 * (size_t)n_multi);
	r = command(n, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, out,
		    (uint32_t)(p - out));
	free(out);
	return r;
}

int drv_net_vlan(struct drv_net *n, uint16_t id, bool add)
{
	__le16 le = htole16(id);

	return command(n, VIRTIO_NET_CTRL_VLAN,
		       add ? VIRTIO_NET_CTRL_VLAN_ADD : VIRTIO_NET_CTRL_VLAN_DEL, &le, sizeof(le));
}

int drv_net_announced(struct drv_net *n)
{
	return command(n, VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, NULL, 0);
}

int drv_net_set_pairs(struct drv_net *n, uint16_t pairs)
{
	__le16 le = htole16(pairs);

	return command(n, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &le, sizeof(le));
}

int drv_net_set_offloads(struct drv_net *n, uint64_t offloads)
{
	__le64 le = htole64(offloads);

	return command(n, VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &le,
		       sizeof(le));
}

int drv_net_set_rss(struct drv_net *n, const struct drv_net_rss *rss)
{
	uint8_t *out = malloc(32 + 2 * ((size_t)rss->mask + 1) + rss->key_len), *p;
	int r;

	if (!out)
		return -ENOMEM;
	p = put32(out, rss->types);
	p = put16(p, rss->mask);
	p = put16(p, rss->unclassified);
	for (uint32_t i = 0; i <= rss->mask; i++)
		p = put16(p, rss->table[i]);
	p = put16(p, rss->max_tx);
	*p++ = rss->key_len;
	p = put(p, rss->key, rss->key_len);
	r = command(n, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG, out, (uint32_t)(p - out));
	free(out);
	return r;
}

int drv_net_set_hash(struct drv_net *n, uint32_t types, const uint8_t *key, uint8_t key_len)
{
	uint8_t out[4 + 8 + 1 + 255] = {0}, *p;

	p = put32(out, types) + 8; /* four reserved words */
	*p++ = key_len;
	p = put(p, key, key_len);
	return command(n, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_HASH_CONFIG, out,
		       (uint32_t)(p - out));
}

int drv_net_coal(struct drv_net *n, bool tx, uint32_t max_packets, uint32_t max_usecs)
{
	uint8_t out[8];

	put32(put32(out, max_packets), max_usecs);
	return command(n, VIRTIO_NET_CTRL_NOTF_COAL,
		       tx ? VIRTIO_NET_CTRL_NOTF_COAL_TX_SET : VIRTIO_NET_CTRL_NOTF_COAL_RX_SET,
		       out, sizeof(out));
}

int drv_net_coal_queue(struct drv_net *n, uint16_t queue, uint32_t max_packets, uint32_t max_usecs)
{
	uint8_t out[12];

	put32(put32(put16(put16(out, queue), 0), max_packets), max_usecs);
	return command(n, VIRTIO_NET_CTRL_NOTF_COAL, VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET, out,
		       sizeof(out));
}

int drv_net_coal_get(struct drv_net *n, uint16_t queue, uint32_t *max_packets, uint32_t *max_usecs)
{
	uint8_t out[4];
	__le32 in[2] = {0};
	const struct drv_net_cmd c = {.class = VIRTIO_NET_CTRL_NOTF_COAL,
				      .command = VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET,
				      .out = out,
				      .out_len = sizeof(out),
				      .in = in,
				      .in_len = sizeof(in),
				      .ack_last = true};
	int r;

	put16(put16(out, queue), 0);
	r = drv_net_command(n, &c);
	if (r == VIRTIO_NET_OK) {
		*max_packets = le32toh(in[0]);
		*max_usecs = le32toh(in[1]);
	}
	return r;
}
