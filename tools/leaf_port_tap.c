/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * port = tap, port = macvtap: interfaces of this machine.
 */
#include <errno.h>
#include <net/if.h>

#include <viodm/ports.h>

#include "fd_name.h"
#include "leaves.h"

#define MAX_PAIRS 256

struct tap_opts {
	char *interface;
	char *fds;
};

static int refuse(struct fault *fault, const char *key, const char *value, const char *why)
{
	fault->key = key;
	snprintf(fault->text, sizeof(fault->text), "\"%.100s\" %s", value, why);
	return -EINVAL;
}

/* Takes "fd:5 fd:6" apart. How many there are, or -EINVAL. */
static int split_fds(const char *names, int *fds)
{
	char name[32];
	int n = 0;

	while (names && (names = vio_opt_next_name(names, name, sizeof(name)))) {
		if (n == MAX_PAIRS || !fd_name_is(name) || !fd_name_parse(name, &fds[n]))
			return -EINVAL;
		n++;
	}
	return n;
}

static int check_fds(const struct tap_opts *o, const struct port_want *want, struct fault *fault)
{
	int fds[MAX_PAIRS], n = split_fds(o->fds, fds);

	if (o->interface)
		return refuse(fault, "fds", o->fds, "has no place beside `interface`");
	if (n <= 0)
		return refuse(fault, "fds", o->fds, "is not like fd:5 fd:6, with numbers from 3");
	if ((unsigned)n == want->pairs)
		return 0;
	fault->key = "fds";
	snprintf(fault->text, sizeof(fault->text), "%d, but queue-pairs = %u: one for each pair", n,
		 want->pairs);
	return -EINVAL;
}

static int check_interface(const struct tap_opts *o, struct fault *fault)
{
	if (strlen(o->interface) < IFNAMSIZ && !strpbrk(o->interface, "/ \t%:"))
		return 0;
	return refuse(fault, "interface", o->interface,
		      "is no name of an interface (15 bytes at most)");
}

static int tap_check(const void *opts, const struct port_want *want, struct fault *fault)
{
	const struct tap_opts *o = opts;

	if (o->fds)
		return check_fds(o, want, fault);
	return o->interface ? check_interface(o, fault) : 0;
}

static int macvtap_check(const void *opts, const struct port_want *want, struct fault *fault)
{
	const struct tap_opts *o = opts;

	if (o->fds || o->interface)
		return tap_check(opts, want, fault);
	snprintf(fault->text, sizeof(fault->text), "port = macvtap needs `interface` or `fds`");
	return -EINVAL;
}

static const char *explain(int r, const struct port_want *want, const char *absent)
{
	switch (r) {
	case -EINVAL:
		return want->pairs > 1 ? " (several pairs need an interface with multiple queues: "
					 "ip tuntap add ... multi_queue)"
				       : " (no such interface, or one with multiple queues)";
	case -EBUSY:
		return " (somebody else uses the interface)";
	case -ENODEV:
	case -ENOENT:
		return absent;
	case -EPERM:
	case -EACCES:
		return " (making an interface needs CAP_NET_ADMIN; one that exists can be made for "
		       "a user)";
	default:
		return "";
	}
}

static int open_with(int (*open)(const struct vio_port_tap_config *, struct vio_port **),
		     const struct tap_opts *o, const struct port_want *want, struct vio_port **out)
{
	int fds[MAX_PAIRS], n = split_fds(o->fds, fds);
	const struct vio_port_tap_config cfg = {
		.name = o->interface,
		.pairs = (uint16_t)want->pairs,
		.fds = n > 0 ? fds : NULL,
		.n_fds = n > 0 ? (uint16_t)n : 0,
	};

	return open(&cfg, out);
}

static int tap_open(const void *opts, const struct port_want *want, const struct vio_log *log,
		    struct vio_port **out, const char **hint)
{
	int r = open_with(vio_port_tap_open, opts, want, out);
	const struct tap_opts *o = opts;

	*hint = explain(r, want, " (this kernel or container has no /dev/net/tun)");
	if (r == 0 && !o->interface && !o->fds)
		vio_log(log, VIO_LOG_INFO, "tap: the interface is %s", vio_port_tap_name(*out));
	return r;
}

static int macvtap_open(const void *opts, const struct port_want *want, const struct vio_log *log,
			struct vio_port **out, const char **hint)
{
	int r = open_with(vio_port_macvtap_open, opts, want, out);

	(void)log;
	*hint = explain(r, want,
			" (no such interface, or no /dev/tapN for it: ip link add link ... type "
			"macvtap)");
	return r;
}

#define FDS_OPTION                                                                                 \
	{                                                                                          \
		.name = "fds", .type = VIO_OPT_STRING, .offset = offsetof(struct tap_opts, fds),   \
		.help = "instead: descriptors that are open already, one for each pair: fd:5 fd:6" \
	}

static const struct vio_opt tap_opts[] = {
	{.name = "interface",
	 .type = VIO_OPT_STRING,
	 .offset = offsetof(struct tap_opts, interface),
	 .min = 1,
	 .help = "the tap; one that does not exist is made; none: one with a name by the kernel"},
	FDS_OPTION,
};

static const struct vio_opt macvtap_opts[] = {
	{.name = "interface",
	 .type = VIO_OPT_STRING,
	 .offset = offsetof(struct tap_opts, interface),
	 .min = 1,
	 .help = "the macvtap, which exists already"},
	FDS_OPTION,
};

const struct leaf leaf_port_tap = {
	.name = "tap",
	.help = "an interface of this machine whose frames are the card's",
	.opts = tap_opts,
	.n_opts = VIO_ARRAY_LEN(tap_opts),
	.opts_size = sizeof(struct tap_opts),
	.port = {.max_pairs = MAX_PAIRS, .check = tap_check, .open = tap_open},
};

const struct leaf leaf_port_macvtap = {
	.name = "macvtap",
	.help = "a macvtap, which shares another interface of this machine",
	.opts = macvtap_opts,
	.n_opts = VIO_ARRAY_LEN(macvtap_opts),
	.opts_size = sizeof(struct tap_opts),
	.port = {.max_pairs = MAX_PAIRS, .check = macvtap_check, .open = macvtap_open},
};
