/* SPDX-License-Identifier: BSD-3-Clause */
#include "serve.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <viodm/loop_event.h>
#include <viodm/vhost_user.h>

/* Memory regions that all front-ends together may share with us. */
#define GUARD_MAPPINGS 4096

struct serve {
	struct vio_config *cfg;
	struct event_base *base;
	struct event *events[3]; /* SIGTERM, SIGINT, SIGHUP */
	struct vio_loop *loop;
	struct vio_assembly *devices;
	struct vio_vhost_user **servers; /* one per device */
	size_t n;
};

/* ---- signals -----------------------------------------------------------------------------------
 */

/* For the handler of SIGBUS, which gets no argument. */
static struct vio_vhost_user_guard *guard;

/* A front-end took memory away that it had shared: its connection ends, not this process. */
static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (info->si_code > 0 && vio_vhost_user_guard_fault(guard, info->si_addr))
		return;
	signal(sig, SIG_DFL);
	raise(sig);
}

static int guard_install(void)
{
	struct sigaction sa = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
	int r = vio_vhost_user_guard_create(GUARD_MAPPINGS, &guard);

	if (r < 0)
		return r;
	sigemptyset(&sa.sa_mask);
	return sigaction(SIGBUS, &sa, NULL) < 0 ? -errno : 0;
}

static void on_end(evutil_socket_t sig, short what, void *arg)
{
	struct serve *s = arg;

	(void)sig;
	(void)what;
	event_base_loopbreak(s->base);
}

static void on_refresh(evutil_socket_t sig, short what, void *arg)
{
	struct serve *s = arg;

	(void)sig;
	(void)what;
	vio_log(NULL, VIO_LOG_INFO, "%u disk(s) changed their size",
		vio_assembly_refresh(s->devices));
}

static int watch_signals(struct serve *s)
{
	static const struct {
		int sig;
		event_callback_fn fn;
	} signals[] = {{SIGTERM, on_end}, {SIGINT, on_end}, {SIGHUP, on_refresh}};

	for (size_t i = 0; i < VIO_ARRAY_LEN(signals); i++) {
		s->events[i] = evsignal_new(s->base, signals[i].sig, signals[i].fn, s);
		if (!s->events[i] || event_add(s->events[i], NULL) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* ---- devices -----------------------------------------------------------------------------------
 */

static int listen_one(struct serve *s, size_t i)
{
	const struct vio_config_device *d = vio_config_device(s->cfg, i);
	struct vio_vhost_user_config cfg = {
		.loop = s->loop,
		.path = d->socket,
		.fd = d->socket_fd,
		.mode = d->socket_mode,
		.set_owner = d->socket_uid != (uid_t)-1 || d->socket_gid != (gid_t)-1,
		.uid = d->socket_uid,
		.gid = d->socket_gid,
		.sealed_only = d->sealed_memory,
		.guard = guard,
	};
	int r = vio_vhost_user_create(vio_assembly_device(s->devices, i), &cfg, &s->servers[i]);

	if (r < 0)
		fprintf(stderr, "viodm serve: %s: %s: %s\n", d->name,
			d->socket ? d->socket : "socket", strerror(-r));
	return r;
}

static int serve_open(struct serve *s)
{
	struct vio_config_env env = {0};
	int r;

	s->n = vio_config_n_devices(s->cfg);
	s->servers = calloc(s->n ? s->n : 1, sizeof(struct vio_vhost_user *));
	s->base = event_base_new();
	if (!s->base || !s->servers)
		return -ENOMEM;
	r = vio_loop_event_create(s->base, &s->loop);
	if (r == 0)
		r = watch_signals(s);
	if (r == 0)
		r = guard_install();
	if (r < 0)
		return r;
	env.loop = s->loop;
	r = vio_assembly_create(s->cfg, &env, &s->devices);
	if (r < 0)
		fprintf(stderr, "viodm serve: %s\n", vio_config_error(s->cfg));
	for (size_t i = 0; r == 0 && i < s->n; i++)
		r = listen_one(s, i);
	return r;
}

static void serve_close(struct serve *s)
{
	for (size_t i = 0; s->servers && i < s->n; i++)
		vio_vhost_user_destroy(s->servers[i]);
	vio_assembly_destroy(s->devices);
	for (size_t i = 0; i < VIO_ARRAY_LEN(s->events); i++)
		if (s->events[i])
			event_free(s->events[i]);
	vio_loop_destroy(s->loop);
	if (s->base)
		event_base_free(s->base);
	signal(SIGBUS, SIG_DFL);
	vio_vhost_user_guard_destroy(guard);
	guard = NULL;
	free(s->servers);
}

int serve_run(struct vio_config *cfg)
{
	struct serve s = {.cfg = cfg};
	int r = serve_open(&s);

	if (r == 0) {
		printf("ready: %zu device(s)\n", s.n);
		fflush(stdout);
		event_base_dispatch(s.base);
	}
	serve_close(&s);
	return r;
}
