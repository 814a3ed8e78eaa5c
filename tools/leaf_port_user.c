/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * port = user: a network of its own.
 */
#include <errno.h>
#include <stdlib.h>

#include <viodm/port_user.h>

#include "leaves.h"

#define MAX_FORWARDS 64
#define FORWARD_LEN  64 /* longer than any that is right */

struct user_opts {
	char *net;
	char *host;
	char *dns;
	char *dhcp_start;
	bool ipv6;
	char *ipv6_net;
	char *hostname;
	bool restricted;
	char *forward;
	unsigned max_sockets;
};

static const struct vio_opt user_opts[] = {
	{.name = "network",
	 .type = VIO_OPT_STRING,
	 .offset = offsetof(struct user_opts, net),
	 .def = "10.0.2.0/24",
	 .help = "IPv4 network and prefix length, 27 at most"},
	{.name = "host",
	 .type = VIO_OPT_STRING,
	 .offset = offsetof(struct user_opts, host),
	 .help = "where the guest finds this host; none: address 2 of the network"},
	{.name = "dns",
	 .type = VIO_OPT_STRING,
	 .offset = offsetof(struct user_opts, dns),
	 .help = "where it finds a name server, which asks this host's; none: address 3"},
	{.name = "dhcp-start",
	 .type = VIO_OPT_STRING,
	 .offset = offsetof(struct user_opts, dhcp_start),
	 .help = "the first address that DHCP gives; none: address 15"},
	{.name = "ipv6",
	 .type = VIO_OPT_BOOL,
	 .offset = offsetof(struct user_opts, ipv6),
	 .help = "IPv6, too, with router advertisements"},
	{.name = "ipv6-network",
	 .type = VIO_OPT_STRING,
	 .offset = offsetof(struct user_opts, ipv6_net),
	 .def = "fec0::/64",
	 .help = "IPv6 network of prefix length 64"},
	{.name = "hostname",
	 .type = VIO_OPT_STRING,
	 .offset = offsetof(struct user_opts, hostname),
	 .min = 1,
	 .max = 32,
	 .help = "the guest's name, as DHCP tells it"},
	{.name = "restricted",
	 .type = VIO_OPT_BOOL,
	 .offset = offsetof(struct user_opts, restricted),
	 .help = "nothing beyond the network itself, but for `forward`"},
	{.name = "forward",
	 .type = VIO_OPT_STRING,
	 .offset = offsetof(struct user_opts, forward),
	 .help = "ports of this host that lead to the guest: [tcp|udp]:[HOST]:PORT-[GUEST]:PORT "
		 "..."},
	{.name = "max-sockets",
	 .type = VIO_OPT_UINT,
	 .offset = offsetof(struct user_opts, max_sockets),
	 .def = "512",
	 .min = 1,
	 .max = 65535,
	 .help = "sockets of this process for the guest's connections, at most"},
};

/* `forward` taken apart. */
struct forwards {
	char text[MAX_FORWARDS][FORWARD_LEN];
	const char *list[MAX_FORWARDS + 1];
	size_t n;
};

/* 0, or -EINVAL: there are too many. */
static int split_forwards(const char *names, struct forwards *f)
{
	char name[FORWARD_LEN];

	f->n = 0;
	while (names && (names = vio_opt_next_name(names, name, sizeof(name)))) {
		if (f->n == MAX_FORWARDS)
			return -EINVAL;
		snprintf(f->text[f->n], FORWARD_LEN, "%s", name);
		f->list[f->n] = f->text[f->n];
		f->n++;
	}
	f->list[f->n] = NULL;
	return 0;
}

static struct vio_port_user_config user_config(const struct user_opts *o,
					       const struct port_want *want)
{
	return (struct vio_port_user_config){
		.net = o->net,
		.host = o->host,
		.dns = o->dns,
		.dhcp_start = o->dhcp_start,
		.ipv6 = o->ipv6,
		.ipv6_net = o->ipv6_net,
		.hostname = o->hostname,
		.restricted = o->restricted,
		.mtu = (uint16_t)want->mtu,
		.max_sockets = (uint16_t)o->max_sockets,
	};
}

static int refuse(struct fault *fault, const char *key, const char *value, const char *why)
{
	fault->key = key;
	snprintf(fault->text, sizeof(fault->text), "\"%.100s\" %s", value, why);
	return -EINVAL;
}

/*
 * Which value is it that the port does not like? The first one without which it likes those before.
 */
static int blame(const struct user_opts *o, const struct port_want *want, struct fault *fault)
{
	const struct vio_port_user_config all = user_config(o, want);
	struct vio_port_user_config cfg = {.net = all.net};
	char mtu[16];

	if (vio_port_user_check(&cfg) < 0)
		return refuse(fault, "network", o->net,
			      "is no IPv4 network with a prefix length of 27 at most, like "
			      "10.0.2.0/24");
	cfg.ipv6_net = all.ipv6_net;
	if (vio_port_user_check(&cfg) < 0)
		return refuse(fault, "ipv6-network", o->ipv6_net,
			      "is no IPv6 network with prefix length 64, like fec0::/64");
	cfg.ipv6 = all.ipv6;
	cfg.mtu = all.mtu;
	snprintf(mtu, sizeof(mtu), "%u", want->mtu);
	if (vio_port_user_check(&cfg) < 0)
		return refuse(
			fault, "mtu", mtu,
			o->ipv6 ? "is not what port = user with ipv6 = on can do (1280..65521)"
				: "is not what port = user can do (68..65521)");
	cfg.host = all.host;
	cfg.dns = all.dns;
	cfg.dhcp_start = all.dhcp_start;
	snprintf(fault->text, sizeof(fault->text),
		 "host, dns and dhcp-start are not three addresses of the network %s", o->net);
	return -EINVAL;
}

static int check_forwards(const struct user_opts *o, const struct forwards *f, struct fault *fault)
{
	for (size_t i = 0; i < f->n; i++) {
		const char *const one[] = {f->list[i], NULL};
		const struct vio_port_user_config cfg = {.hostfwd = one};

		if (vio_port_user_check(&cfg) < 0)
			return refuse(fault, "forward", f->list[i],
				      "is not like tcp:127.0.0.1:2222-:22");
	}
	if (o->forward && f->n == 0)
		return refuse(fault, "forward", o->forward, "has no name of a port");
	return 0;
}

static int user_check(const void *opts, const struct port_want *want, struct fault *fault)
{
	const struct user_opts *o = opts;
	const struct vio_port_user_config cfg = user_config(o, want);
	struct forwards f;

	if (vio_port_user_check(&cfg) < 0)
		return blame(o, want, fault);
	if (split_forwards(o->forward, &f) < 0) {
		fault->key = "forward";
		snprintf(fault->text, sizeof(fault->text), "more than %u ports", MAX_FORWARDS);
		return -EINVAL;
	}
	return check_forwards(o, &f, fault);
}

static int user_open(const void *opts, const struct port_want *want, const struct vio_log *log,
		     struct vio_port **out, const char **hint)
{
	const struct user_opts *o = opts;
	struct vio_port_user_config cfg = user_config(o, want);
	struct forwards f;
	int r;

	split_forwards(o->forward, &f);
	cfg.hostfwd = f.list;
	cfg.log = log;
	r = vio_port_user_open(&cfg, out);
	if (f.n > 0 && (r == -EADDRINUSE || r == -EACCES || r == -EADDRNOTAVAIL))
		*hint = " (a port of this host in `forward`)";
	return r;
}

const struct leaf leaf_port_user = {
	.name = "user",
	.help = "a network of its own with address translation and DHCP; needs no privileges",
	.opts = user_opts,
	.n_opts = VIO_ARRAY_LEN(user_opts),
	.opts_size = sizeof(struct user_opts),
	.port = {.max_pairs = 1, .check = user_check, .open = user_open},
};
