/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_DAEMON_H
#define TOOLS_DAEMON_H

/*
 * The daemon behind `viodm serve`: the devices of a configuration, each behind its socket, on one
 * libevent loop and the IO threads of the configuration.
 *
 *	serve.c             command line
 *	daemon.c            life, signals
 *	daemon_devices.c    devices and their sockets
 *	control.c           the control socket: connections and lines; viodm-vmm has it, too
 *	control_commands.c  what the commands do
 *	ctl.c, ctl_text.c   the other end of the control socket
 */

#include <time.h>

#include <viodm/config.h>
#include <viodm/vhost_user.h>

#include "control.h"
#include "serve_section.h"

/* The configuration, to be read again and again. */
struct daemon_args {
	const char **files;
	size_t n_files;
	const char **sets; /* -o, in order */
	size_t n_sets;
	char **owned; /* of `sets` those to be freed */
	size_t n_owned;
};

struct daemon {
	const struct daemon_args *args;
	struct serve_opts opts;
	struct vio_config_section section;
	struct vio_config *cfg;

	struct vio_log log;
	VIO_ATOMIC(unsigned) log_level;

	struct event_base *base;
	struct vio_loop *loop;
	struct vio_assembly *devices;
	size_t n_devices;
	struct vio_vhost_user **servers; /* one for each device, in the order of the config */
	struct vio_vhost_user_guard *guard;
	struct control_host host;
	struct control *control; /* NULL: none */
	struct timespec started;
};

/* Runs until a signal ends it. 0, or -errno when it could not begin; it has said why. */
int daemon_run(const struct daemon_args *args);

/* ---- daemon_devices.c ------------------------------------------------------------------------ */

/* Makes the devices and their sockets. 0 or -errno, after saying why. */
int daemon_devices_create(struct daemon *d);

/* Disconnects all VMMs, finishes what is in flight. */
void daemon_devices_destroy(struct daemon *d);

#endif
