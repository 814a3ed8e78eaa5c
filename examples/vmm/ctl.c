/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm.h"

#include <err.h>
#include <errno.h>
#include <event2/event.h>
#include <linux/virtio_config.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <viodm/config.h>

#include "control.h"

/* The control socket has a thread of its own: what pauses a device waits for a vCPU that sets it
 * up, and that one for the event loop. */
struct vmm_ctl {
	struct vmm *vmm;
	struct vio_config *config;
	VIO_ATOMIC(unsigned) log_level;
	struct event_base *base;
	struct control_host host;
	struct control *control;
	int stop_fd; /* ends the thread */
	int done_fd; /* it has ended; wakes the main loop */
	struct event *stop, *done;
	bool ended;
	bool started;
	pthread_t thread;
};

/* ---- log ---- */

static void on_log(void *arg, enum vio_log_level level, const char *line)
{
	(void)arg;
	fprintf(stderr, "viodm-vmm: %s: %s\n", serve_level_name(level), line);
}

void ctl_log_init(struct vmm *vmm)
{
	vmm->log = (struct vio_log){.write = on_log, .max_level = vmm->config.serve.log_level};
}

/* ---- the thread ---- */

static bool is_connected(void *arg, size_t i)
{
	const struct vmm_ctl *ctl = arg;

	return vio_device_status(vio_assembly_device(ctl->host.devices, i)) &
	       VIRTIO_CONFIG_S_DRIVER_OK;
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(arg);
}

static void *ctl_thread(void *arg)
{
	struct vmm_ctl *ctl = arg;

	event_base_dispatch(ctl->base);
	eventfd_write(ctl->done_fd, 1);
	return NULL;
}

static int start_thread(struct vmm_ctl *ctl)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = -pthread_create(&ctl->thread, NULL, ctl_thread, ctl);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	ctl->started = !rc;
	return rc;
}

/* ---- life ---- */

static void on_done(evutil_socket_t fd, short what, void *arg)
{
	struct vmm_ctl *ctl = arg;

	(void)fd;
	(void)what;
	ctl->ended = true;
	event_base_loopbreak(ctl->vmm->base);
}

static int add_events(struct vmm_ctl *ctl)
{
	if (ctl->stop_fd < 0 || ctl->done_fd < 0 || !ctl->base)
		return -ENOMEM;
	ctl->stop = event_new(ctl->base, ctl->stop_fd, EV_READ, on_stop, ctl->base);
	ctl->done = event_new(ctl->vmm->base, ctl->done_fd, EV_READ, on_done, ctl);
	if (!ctl->stop || !ctl->done || event_add(ctl->stop, NULL) || event_add(ctl->done, NULL))
		return -ENOMEM;
	return 0;
}

static int ctl_listen(struct vmm_ctl *ctl)
{
	ctl->log_level = ctl->vmm->config.serve.log_level;
	ctl->host = (struct control_host){
		.base = ctl->base,
		.cfg = ctl->config,
		.devices = devices_assembly(ctl->vmm->devices),
		.log = &ctl->vmm->log,
		.log_level = &ctl->log_level,
		.arg = ctl,
		.connected = is_connected,
	};
	clock_gettime(CLOCK_MONOTONIC, &ctl->host.started);
	return control_create(&ctl->host, &ctl->vmm->config.serve, &ctl->control);
}

int ctl_create(struct vmm *vmm, struct vio_config *config, struct vmm_ctl **out)
{
	struct vmm_ctl *ctl;
	int rc;

	*out = NULL;
	if (!vmm->config.serve.control)
		return 0;
	ctl = calloc(1, sizeof(*ctl));
	if (!ctl)
		return -ENOMEM;
	ctl->vmm = vmm;
	ctl->config = config;
	ctl->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ctl->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ctl->base = event_base_new();
	signal(SIGPIPE, SIG_IGN); /* a client that is gone shall not end us */
	rc = add_events(ctl);
	if (!rc)
		rc = ctl_listen(ctl);
	if (!rc)
		rc = start_thread(ctl);
	if (rc) {
		ctl_destroy(ctl);
		return rc;
	}
	*out = ctl;
	return 0;
}

/* A command may be waiting for the main loop, so that one goes on meanwhile. */
static void stop_thread(struct vmm_ctl *ctl)
{
	eventfd_write(ctl->stop_fd, 1);
	while (!ctl->ended && event_base_dispatch(ctl->vmm->base) == 0)
		;
	pthread_join(ctl->thread, NULL);
}

void ctl_destroy(struct vmm_ctl *ctl)
{
	if (!ctl)
		return;
	if (ctl->started)
		stop_thread(ctl);
	control_destroy(ctl->control);
	if (ctl->stop)
		event_free(ctl->stop);
	if (ctl->done)
		event_free(ctl->done);
	if (ctl->base)
		event_base_free(ctl->base);
	if (ctl->stop_fd >= 0)
		close(ctl->stop_fd);
	if (ctl->done_fd >= 0)
		close(ctl->done_fd);
	free(ctl);
}
