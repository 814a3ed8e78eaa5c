/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The user port: frames to and from libslirp. Frames it brings while the device has no room wait in
 * a bounded buffer; beyond that they are dropped, as a network does, and TCP sends them again.
 *
 * libslirp keeps the time and the host's name servers in variables that all of its instances share,
 * and never for long: ports on several threads see each other's clock readings and no more.
 */
#include "user.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define OUT_BYTES      (256u * 1024)
#define MAX_SOCKETS    512u
#define MTU	       1500u
#define MTU_MIN	       68u
#define MTU_MIN_6      1280u
#define MTU_MAX	       65521u
#define HOSTNAME_MAX   32u
#define CONFIG_VERSION 1u /* of SlirpConfig: all we need */
#define ETH_HDR	       14u
#define DHCP_SERVER    67u
#define DHCP6_SERVER   547u
#define TCP_SYN	       0x02u
#define TCP_ACK	       0x10u

static struct user_port *to_user(struct vio_port_queue *pq)
{
	return vio_container_of(pq, struct user_port, pq);
}

/* ---- frames to the device ----------------------------------------------------------------------
 */

void user_flush(struct user_port *up)
{
	if (!up->unflushed)
		return;
	up->unflushed = false;
	up->pq.user->flush(&up->pq);
}

static bool user_deliver(struct user_port *up, const void *buf, size_t len)
{
	struct iovec iov = {.iov_len = len};
	const struct vio_frame f = {.iov = &iov, .n_iov = 1, .len = (uint32_t)len};

	if (!up->on || !frame_buf_empty(&up->out))
		return false;
	memcpy(&iov.iov_base, &buf, sizeof(buf)); /* only read */
	up->on = up->pq.user->deliver(&up->pq, &f, 1) == 1 && up->on;
	return up->on;
}

ssize_t user_send_packet(const void *buf, size_t len, void *opaque)
{
	struct user_port *up = opaque;

	if (!up->loop || len < ETH_HDR || len > VIO_FRAME_MAX)
		up->dropped++;
	else if (user_deliver(up, buf, len))
		up->unflushed = true;
	else if (!frame_buf_put(&up->out, buf, len))
		up->dropped++;
	return (ssize_t)len; /* anything less is taken for an error and printed */
}

void user_guest_error(const char *msg, void *opaque)
{
	struct user_port *up = opaque;

	if (sock_may_log(&up->quiet))
		vio_log(up->log, VIO_LOG_WARN, "user port: %s", msg);
}

static void user_receive(struct vio_port_queue *pq, bool on)
{
	struct user_port *up = to_user(pq);

	up->on = on;
	if (on && !frame_buf_empty(&up->out) &&
	    frame_buf_deliver(&up->out, pq, &up->on) != FRAME_BUF_DONE)
		up->on = false;
}

/* ---- frames from the device --------------------------------------------------------------------
 */

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* `p` is what follows the IP header: can it make libslirp open a socket? */
static bool opens_socket(unsigned proto, const uint8_t *p, size_t len)
{
	unsigned port;

	switch (proto) {
	case IPPROTO_TCP:
		return len < 14 || (p[13] & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	case IPPROTO_UDP:
		port = len < 4 ? 0 : get16(p + 2);
		return port != DHCP_SERVER && port != DHCP6_SERVER;
	case IPPROTO_ICMP:
		return true;
	default:
		return false; /* neighbour discovery must go on */
	}
}

/*
 * At the limit of sockets only frames pass that belong to a connection. Of UDP that means none: to
 * which socket they belong is known to libslirp only. Sockets of UDP end by themselves.
 */
static bool user_refuses(const uint8_t *frame, size_t len)
{
	const uint8_t *ip = frame + ETH_HDR;
	size_t n = len - ETH_HDR, hdr;

	switch (get16(frame + 12)) {
	case 0x0800:
		hdr = n > 0 ? (size_t)(ip[0] & 0xf) * 4 : 0;
		if (n < 20 || hdr < 20 || n < hdr || (get16(ip + 6) & 0x3fff) != 0)
			return true; /* cut short, or a fragment */
		return opens_socket(ip[9], ip + hdr, n - hdr);
	case 0x86dd:
		return n < 40 || opens_socket(ip[6], ip + 40, n - 40);
	default:
		return false;
	}
}

static void user_input(struct user_port *up, const struct vio_frame *f)
{
	size_t len = 0;

	if (!sock_frame_ok(f))
		return;
	for (uint32_t i = 0; i < f->n_iov; i++) {
		memcpy(up->in + len, f->iov[i].iov_base, f->iov[i].iov_len);
		len += f->iov[i].iov_len;
	}
	if (up->n_sockets >= up->max_sockets && user_refuses(up->in, len)) {
		up->refused++;
		return;
	}
	slirp_input(up->slirp, up->in, (int)len);
}

static unsigned user_send(struct vio_port_queue *pq, const struct vio_frame *frames, unsigned n)
{
	struct user_port *up = to_user(pq);
	struct user_signals signals;

	user_signals_hold(&signals);
	user_poll_clock(up);
	for (unsigned i = 0; i < n && up->loop; i++)
		user_input(up, &frames[i]);
	user_signals_release(&signals);
	user_poll_changed(up);
	user_flush(up);
	return n;
}

/* ---- queues ------------------------------------------------------------------------------------
 */

static int user_info(struct vio_port *port, struct vio_port_info *info)
{
	struct user_port *up = vio_container_of(port, struct user_port, base);

	*info = (struct vio_port_info){
		.max_pairs = 1,
		.mtu = up->mtu,
		.link_up = true,
		.speed = UINT32_MAX,
	};
	return 0;
}

static int user_attach(struct vio_port *port, uint16_t index, struct vio_loop *loop,
		       struct vio_port_queue **out)
{
	struct user_port *up = vio_container_of(port, struct user_port, base);
	int r;

	if (index > 0)
		return -EINVAL;
	if (up->loop)
		return -EBUSY;
	up->loop = loop;
	up->on = false;
	r = user_poll_attach(up);
	if (r < 0) {
		up->loop = NULL;
		return r;
	}
	*out = &up->pq;
	return 0;
}

static void user_detach(struct vio_port_queue *pq)
{
	struct user_port *up = to_user(pq);

	user_poll_detach(up);
	up->on = false;
	up->unflushed = false;
	up->loop = NULL;
}

/* ---- life --------------------------------------------------------------------------------------
 */

static void user_free(struct user_port *up)
{
	struct user_signals signals;

	if (up->slirp) {
		user_signals_hold(&signals);
		slirp_cleanup(up->slirp);
		user_signals_release(&signals);
	}
	user_poll_fini(up);
	frame_buf_fini(&up->out);
	free(up);
}

static void user_close(struct vio_port *port)
{
	user_free(vio_container_of(port, struct user_port, base));
}

static const struct vio_port_ops user_ops = {
	.name = "user",
	.info = user_info,
	.attach = user_attach,
	.detach = user_detach,
	.send = user_send,
	.receive = user_receive,
	.close = user_close,
};

void vio_port_user_count(struct vio_port *port, struct vio_port_user_counts *counts)
{
	struct user_port *up = vio_container_of(port, struct user_port, base);

	counts->dropped = up->dropped;
	counts->refused = up->refused;
	counts->sockets = up->n_sockets;
}

static int user_forwards(struct user_port *up, const char *const *text)
{
	struct user_forward f;

	for (; text && *text; text++) {
		if (user_forward_parse(&f, *text) < 0)
			return -EINVAL;
		if (slirp_add_hostfwd(up->slirp, f.udp, f.host, f.host_port, f.guest,
				      f.guest_port) < 0)
			return -errno;
	}
	return 0;
}

static int user_check(const struct vio_port_user_config *cfg, struct user_net *net)
{
	struct user_forward f;
	unsigned min = cfg->ipv6 ? MTU_MIN_6 : MTU_MIN;

	if (cfg->mtu && (cfg->mtu < min || cfg->mtu > MTU_MAX))
		return -EINVAL;
	if (cfg->hostname && strlen(cfg->hostname) > HOSTNAME_MAX)
		return -EINVAL;
	for (const char *const *text = cfg->hostfwd; text && *text; text++) {
		if (user_forward_parse(&f, *text) < 0)
			return -EINVAL;
	}
	return user_net_parse(net, cfg);
}

int vio_port_user_check(const struct vio_port_user_config *cfg)
{
	struct user_net net;

	return user_check(cfg, &net);
}

static int user_start(struct user_port *up, const struct vio_port_user_config *cfg)
{
	SlirpConfig sc = {.version = CONFIG_VERSION, .in_enabled = true};
	struct user_net net;
	int r;

	r = user_check(cfg, &net);
	if (r < 0)
		return r;
	sc.restricted = cfg->restricted;
	sc.vnetwork = net.net;
	sc.vnetmask = net.mask;
	sc.vhost = net.host;
	sc.vdhcp_start = net.dhcp;
	sc.vnameserver = net.dns;
	sc.in6_enabled = cfg->ipv6;
	sc.vprefix_addr6 = net.net6;
	sc.vprefix_len = 64;
	sc.vhost6 = net.host6;
	sc.vnameserver6 = net.dns6;
	sc.vhostname = cfg->hostname;
	sc.if_mtu = sc.if_mru = up->mtu;
	up->slirp = slirp_new(&sc, &user_callbacks, up);
	return up->slirp ? user_forwards(up, cfg->hostfwd) : -ENOMEM;
}

int vio_port_user_open(const struct vio_port_user_config *cfg, struct vio_port **out)
{
	struct user_port *up = calloc(1, sizeof(*up));
	int r;

	if (!up)
		return -ENOMEM;
	up->base.ops = &user_ops;
	up->log = cfg->log;
	up->mtu = cfg->mtu ? cfg->mtu : MTU;
	up->max_sockets = cfg->max_sockets ? cfg->max_sockets : MAX_SOCKETS;
	r = frame_buf_init(&up->out, OUT_BYTES);
	if (r < 0)
		goto free_up;
	r = user_poll_init(up);
	if (r < 0)
		goto free_out;
	r = user_start(up, cfg);
	if (r < 0) {
		user_free(up);
		return r;
	}
	*out = &up->base;
	return 0;

free_out:
	frame_buf_fini(&up->out);
free_up:
	free(up);
	return r;
}
