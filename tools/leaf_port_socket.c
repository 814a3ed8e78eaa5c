/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * port = stream, port = dgram: Unix sockets to other processes.
 */
#include <errno.h>
#include <sys/un.h>

#include <viodm/ports.h>

#include "fd_name.h"
#include "leaves.h"

static int refuse(struct fault *fault, const char *key, const char *value, const char *why)
{
	fault->key = key;
	snprintf(fault->text, sizeof(fault->text), "\"%.100s\" %s", value, why);
	return -EINVAL;
}

/* A path of a socket, or a descriptor. */
static int check_name(struct fault *fault, const char *key, const char *value)
{
	struct sockaddr_un addr;
	int fd;

	if (fd_name_is(value))
		return fd_name_parse(value, &fd) ? 0 : refuse(fault, key, value, FD_NAME_REFUSED);
	if (strlen(value) < sizeof(addr.sun_path))
		return 0;
	return refuse(fault, key, value, "is too long for a socket (107 bytes at most)");
}

static void split_name(const char *name, const char **path, int *fd)
{
	*path = fd_name_is(name) && fd_name_parse(name, fd) ? NULL : name;
}

static const char *explain(int r)
{
	switch (r) {
	case -EADDRINUSE:
		return " (somebody is there already, or it is no socket)";
	case -ECONNREFUSED:
	case -ENOENT:
		return " (nobody listens there)";
	case -EBADF:
	case -ENOTSOCK:
	case -EINVAL:
		return " (not an open unix socket of that kind)";
	default:
		return "";
	}
}

/* ---- stream ---------------------------------------------------------------------------------- */

struct stream_opts {
	char *connect;
	char *listen;
	unsigned reconnect_ms;
};

static const struct vio_opt stream_opts[] = {
	{.name = "connect",
	 .type = VIO_OPT_PATH,
	 .offset = offsetof(struct stream_opts, connect),
	 .help = "the peer's socket; fd:N: descriptor N, which is connected already"},
	{.name = "listen",
	 .type = VIO_OPT_PATH,
	 .offset = offsetof(struct stream_opts, listen),
	 .help = "where to wait for a peer instead; fd:N: descriptor N, which listens already"},
	{.name = "reconnect-ms",
	 .type = VIO_OPT_UINT,
	 .offset = offsetof(struct stream_opts, reconnect_ms),
	 .def = "1000",
	 .max = 3600000,
	 .help = "milliseconds between two attempts to connect; 0: once only, at the start"},
};

static int stream_check(const void *opts, const struct port_want *want, struct fault *fault)
{
	const struct stream_opts *o = opts;

	(void)want;
	if (o->connect && o->listen)
		return refuse(fault, "listen", o->listen,
			      "goes without `connect`: one of them makes the connection");
	if (!o->connect && !o->listen) {
		snprintf(fault->text, sizeof(fault->text),
			 "port = stream needs `connect` or `listen`");
		return -EINVAL;
	}
	return check_name(fault, o->connect ? "connect" : "listen",
			  o->connect ? o->connect : o->listen);
}

static int stream_open(const void *opts, const struct port_want *want, const struct vio_log *log,
		       struct vio_port **out, const char **hint)
{
	const struct stream_opts *o = opts;
	struct vio_port_stream_config cfg = {
		.server = o->listen != NULL, .reconnect_ms = o->reconnect_ms, .fd = -1, .log = log};
	int r;

	(void)want;
	split_name(o->listen ? o->listen : o->connect, &cfg.path, &cfg.fd);
	r = vio_port_stream_open(&cfg, out);
	*hint = explain(r);
	return r;
}

const struct leaf leaf_port_stream = {
	.name = "stream",
	.help = "a unix stream socket to another process: passt, QEMU, another card",
	.opts = stream_opts,
	.n_opts = VIO_ARRAY_LEN(stream_opts),
	.opts_size = sizeof(struct stream_opts),
	.port = {.max_pairs = 1, .check = stream_check, .open = stream_open},
};

/* ---- dgram ----------------------------------------------------------------------------------- */

struct dgram_opts {
	char *local;
	char *remote;
};

static const struct vio_opt dgram_opts[] = {
	{.name = "local",
	 .type = VIO_OPT_PATH,
	 .offset = offsetof(struct dgram_opts, local),
	 .required = true,
	 .help = "where frames come in; fd:N: descriptor N, a connected socket, for both ways"},
	{.name = "remote",
	 .type = VIO_OPT_PATH,
	 .offset = offsetof(struct dgram_opts, remote),
	 .help = "where frames go to; nobody need be there yet"},
};

static int dgram_check(const void *opts, const struct port_want *want, struct fault *fault)
{
	const struct dgram_opts *o = opts;
	int r = check_name(fault, "local", o->local);

	(void)want;
	if (r)
		return r;
	if (fd_name_is(o->local))
		return o->remote ? refuse(fault, "remote", o->remote,
					  "has no place beside a descriptor, which is connected")
				 : 0;
	if (!o->remote)
		return refuse(fault, "local", o->local, "needs `remote`, where frames go to");
	if (fd_name_is(o->remote))
		return refuse(fault, "remote", o->remote,
			      "is no path; a connected socket goes to `local`");
	return check_name(fault, "remote", o->remote);
}

static int dgram_open(const void *opts, const struct port_want *want, const struct vio_log *log,
		      struct vio_port **out, const char **hint)
{
	const struct dgram_opts *o = opts;
	struct vio_port_dgram_config cfg = {.remote = o->remote, .fd = -1};
	int r;

	(void)want;
	(void)log;
	split_name(o->local, &cfg.local, &cfg.fd);
	r = vio_port_dgram_open(&cfg, out);
	*hint = explain(r);
	return r;
}

const struct leaf leaf_port_dgram = {
	.name = "dgram",
	.help = "a pair of unix datagram sockets to another process, one frame a datagram",
	.opts = dgram_opts,
	.n_opts = VIO_ARRAY_LEN(dgram_opts),
	.opts_size = sizeof(struct dgram_opts),
	.port = {.max_pairs = 1, .check = dgram_check, .open = dgram_open},
};
