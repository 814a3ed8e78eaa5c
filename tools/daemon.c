/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <viodm/loop_event.h>

#include "daemon.h"
#include "notify.h"

/* ---- log ------------------------------------------------------------------------------------- */

/* Any thread. The level can change while others log, so it is looked at here. */
static void on_log(void *arg, enum vio_log_level level, const char *line)
{
	const struct daemon *d = arg;

	if (level <= d->log_level)
		fprintf(stderr, "viodm: %s: %s\n", serve_level_name(level), line);
}

/* ---- configuration --------------------------------------------------------------------------- */

/* 0 or -errno; the config is there in both cases unless memory is short. */
static int load(const struct daemon_args *args, const struct vio_config_section *section,
		struct vio_config **out)
{
	struct vio_config *cfg;
	int r = vio_config_create(section, 1, &cfg);

	if (r < 0)
		return r;
	*out = cfg;
	vio_config_ignore(cfg, machine_sections);
	vio_config_take_transports(cfg, "viodm serve", 1u << VIO_CONFIG_VHOST_USER);
	for (size_t i = 0; i < args->n_files && r == 0; i++)
		r = vio_config_read(cfg, args->files[i]);
	for (size_t i = 0; i < args->n_sets && r == 0; i++)
		r = vio_config_set(cfg, args->sets[i]);
	return r ? r : vio_config_check(cfg);
}

/* ---- signals --------------------------------------------------------------------------------- */

static void on_terminate(evutil_socket_t sig, short what, void *arg)
{
	struct daemon *d = arg;

	(void)what;
	vio_log(&d->log, VIO_LOG_INFO, "ending because of %s",
		sig == SIGTERM ? "SIGTERM" : "SIGINT");
	event_base_loopbreak(d->base);
}

/* From the file only these two are taken; the devices stay as they are. */
static void reload_log_level(struct daemon *d)
{
	struct vio_config_section section;
	struct vio_config *cfg = NULL;
	struct serve_opts opts;

	serve_section(&opts, &section);
	if (load(d->args, &section, &cfg) < 0)
		vio_log(&d->log, VIO_LOG_ERROR, "the configuration is not read again: %s",
			cfg ? vio_config_error(cfg) : "out of memory");
	else
		d->log_level = opts.log_level;
	vio_config_destroy(cfg);
}

static void on_hangup(evutil_socket_t sig, short what, void *arg)
{
	struct daemon *d = arg;
	unsigned changed;

	(void)sig;
	(void)what;
	reload_log_level(d);
	changed = vio_assembly_refresh(d->devices);
	vio_log(&d->log, VIO_LOG_INFO, "SIGHUP: log level %s, %u size%s changed",
		serve_level_name(d->log_level), changed, changed == 1 ? "" : "s");
}

#define N_SIGNALS 3

static int signals_create(struct daemon *d, struct event *events[N_SIGNALS])
{
	events[0] = evsignal_new(d->base, SIGTERM, on_terminate, d);
	events[1] = evsignal_new(d->base, SIGINT, on_terminate, d);
	events[2] = evsignal_new(d->base, SIGHUP, on_hangup, d);
	for (unsigned i = 0; i < N_SIGNALS; i++) {
		if (!events[i] || event_add(events[i], NULL) < 0)
			return -ENOMEM;
	}
	/* A VMM that closes its end of a pipe or socket shall not end us. */
	return signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -errno : 0;
}

static void signals_destroy(struct event *events[N_SIGNALS])
{
	for (unsigned i = 0; i < N_SIGNALS; i++) {
		if (events[i])
			event_free(events[i]);
	}
}

/* ---- life ------------------------------------------------------------------------------------ */

static bool is_connected(void *arg, size_t i)
{
	const struct daemon *d = arg;

	return vio_vhost_user_connected(d->servers[i]);
}

static int create_control(struct daemon *d)
{
	d->host = (struct control_host){
		.base = d->base,
		.cfg = d->cfg,
		.devices = d->devices,
		.log = &d->log,
		.log_level = &d->log_level,
		.started = d->started,
		.arg = d,
		.connected = is_connected,
	};
	return control_create(&d->host, &d->opts, &d->control);
}

static void say_ready(struct daemon *d)
{
	char state[128];

	vio_log(&d->log, VIO_LOG_INFO, "ready: %zu device%s", d->n_devices,
		d->n_devices == 1 ? "" : "s");
	printf("ready: %zu device%s\n", d->n_devices, d->n_devices == 1 ? "" : "s");
	fflush(stdout);
	snprintf(state, sizeof(state), "READY=1\nMAINPID=%d\nSTATUS=serving %zu device%s\n",
		 (int)getpid(), d->n_devices, d->n_devices == 1 ? "" : "s");
	notify(state);
}

static int serve(struct daemon *d)
{
	struct event *signals[N_SIGNALS] = {NULL};
	int r = signals_create(d, signals);

	if (r == 0)
		r = daemon_devices_create(d);
	if (r == 0)
		r = create_control(d);
	if (r == 0) {
		say_ready(d);
		event_base_dispatch(d->base);
		notify("STOPPING=1\n");
	}
	control_destroy(d->control);
	daemon_devices_destroy(d);
	signals_destroy(signals);
	return r;
}

static int serve_on_base(struct daemon *d)
{
	int r;

	d->base = event_base_new();
	if (!d->base)
		return -ENOMEM;
	r = vio_loop_event_create(d->base, &d->loop);
	if (r == 0)
		r = serve(d);
	vio_loop_destroy(d->loop);
	event_base_free(d->base);
	return r;
}

int daemon_run(const struct daemon_args *args)
{
	struct daemon d = {.args = args};
	int r;

	serve_section(&d.opts, &d.section);
	d.log = (struct vio_log){.write = on_log, .arg = &d, .max_level = VIO_LOG_DEBUG};
	d.log_level = VIO_LOG_INFO;
	clock_gettime(CLOCK_MONOTONIC, &d.started);
	r = load(args, &d.section, &d.cfg);
	if (r < 0) {
		fprintf(stderr, "viodm: %s\n", d.cfg ? vio_config_error(d.cfg) : "out of memory");
	} else {
		d.log_level = d.opts.log_level;
		r = serve_on_base(&d);
	}
	vio_config_destroy(d.cfg);
	return r;
}
