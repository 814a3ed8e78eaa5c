/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices behind sockets, and the signal that a VMM's vanishing memory raises.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"

/* ---- memory that VMMs take away -------------------------------------------------------------- */

/* For the signal handler, which gets no argument. */
static struct vio_vhost_user_guard *guard;

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (info->si_code > 0 && vio_vhost_user_guard_fault(guard, info->si_addr))
		return;
	signal(sig, SIG_DFL); /* not a VMM's memory: die of it */
	raise(sig);
}

static int guard_create(struct daemon *d)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
	size_t slots = (d->n_devices ? d->n_devices : 1) * (VIO_VHOST_USER_MAX_SLOTS + 2);
	int r = vio_vhost_user_guard_create((unsigned)slots, &d->guard);

	if (r < 0)
		return r;
	guard = d->guard;
	return sigaction(SIGBUS, &action, NULL) < 0 ? -errno : 0;
}

static void guard_destroy(struct daemon *d)
{
	signal(SIGBUS, SIG_DFL);
	guard = NULL;
	vio_vhost_user_guard_destroy(d->guard);
	d->guard = NULL;
}

/* ---- sockets --------------------------------------------------------------------------------- */

static const char *explain(int r)
{
	switch (r) {
	case -EADDRINUSE:
		return " (somebody listens there, or it is no socket)";
	case -EBADF:
	case -ENOTSOCK:
	case -EINVAL:
		return " (not an open unix stream socket)";
	default:
		return "";
	}
}

static int serve_device(struct daemon *d, size_t i)
{
	const struct vio_config_device *c = vio_config_device(d->cfg, i);
	const struct vio_vhost_user_config cfg = {
		.loop = d->loop,
		.path = c->socket,
		.fd = c->socket_fd,
		.mode = c->socket_mode,
		.set_owner = c->socket_uid != (uid_t)-1 || c->socket_gid != (gid_t)-1,
		.uid = c->socket_uid,
		.gid = c->socket_gid,
		.sealed_only = c->sealed_memory,
		.guard = d->guard,
	};
	struct vio_device *dev = vio_assembly_device(d->devices, i);
	char where[sizeof("descriptor ") + 10];
	int r = vio_vhost_user_create(dev, &cfg, &d->servers[i]);

	snprintf(where, sizeof(where), "descriptor %d", c->socket_fd);
	if (r < 0)
		vio_log(&d->log, VIO_LOG_ERROR, "%s: cannot serve on %s: %s%s", c->name,
			c->socket ? c->socket : where, strerror(-r), explain(r));
	else
		vio_log(&d->log, VIO_LOG_INFO, "%s: %s with %u queue%s on %s", c->name, c->model,
			vio_device_n_queues(dev), vio_device_n_queues(dev) == 1 ? "" : "s",
			c->socket ? c->socket : where);
	return r;
}

int daemon_devices_create(struct daemon *d)
{
	const struct vio_config_env env = {.loop = d->loop, .log = &d->log};
	int r;

	d->n_devices = vio_config_n_devices(d->cfg);
	d->servers = calloc(d->n_devices + 1, sizeof(struct vio_vhost_user *));
	r = d->servers ? guard_create(d) : -ENOMEM;
	if (r < 0) {
		vio_log(&d->log, VIO_LOG_ERROR, "cannot begin: %s", strerror(-r));
		return r;
	}
	r = vio_assembly_create(d->cfg, &env, &d->devices);
	if (r < 0)
		vio_log(&d->log, VIO_LOG_ERROR, "%s", vio_config_error(d->cfg));
	for (size_t i = 0; i < d->n_devices && r == 0; i++)
		r = serve_device(d, i);
	return r;
}

void daemon_devices_destroy(struct daemon *d)
{
	for (size_t i = 0; d->servers && i < d->n_devices; i++)
		vio_vhost_user_destroy(d->servers[i]);
	free(d->servers);
	d->servers = NULL;
	vio_assembly_destroy(d->devices);
	d->devices = NULL;
	guard_destroy(d);
}
