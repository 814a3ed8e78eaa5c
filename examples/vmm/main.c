/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm.h"

#include <err.h>
#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <viodm/config.h>

enum { EVENT_MACHINE, EVENT_TERM, EVENT_INT, EVENT_HUP, N_EVENTS };

static void on_machine(evutil_socket_t fd, short what, void *arg)
{
	struct vmm *vmm = arg;

	(void)fd;
	(void)what;
	if (machine_stopping(vmm))
		event_base_loopbreak(vmm->base);
}

static void on_terminate(evutil_socket_t sig, short what, void *arg)
{
	(void)sig;
	(void)what;
	vmm_raise(arg, VMM_QUIT);
}

static void on_refresh(evutil_socket_t sig, short what, void *arg)
{
	struct vmm *vmm = arg;

	(void)sig;
	(void)what;
	devices_refresh(vmm->devices);
}

static int add_events(struct vmm *vmm, struct event *events[N_EVENTS])
{
	struct event_base *base = vmm->base;

	events[EVENT_MACHINE] =
		event_new(base, vmm->event_fd, EV_READ | EV_PERSIST, on_machine, vmm);
	events[EVENT_TERM] = evsignal_new(base, SIGTERM, on_terminate, vmm);
	events[EVENT_INT] = evsignal_new(base, SIGINT, on_terminate, vmm);
	events[EVENT_HUP] = evsignal_new(base, SIGHUP, on_refresh, vmm);
	for (int i = 0; i < N_EVENTS; i++) {
		if (!events[i] || event_add(events[i], NULL))
			return -1;
	}
	return 0;
}

/* One power cycle after the other, until the guest powers off or somebody ends the process. */
static int run(struct vmm *vmm)
{
	int rc;

	do {
		rc = machine_start(vmm);
		if (rc) {
			warnx("cannot start the machine: %s", strerror(-rc));
			return rc;
		}
		event_base_dispatch(vmm->base);
		machine_stop(vmm);
	} while (vmm->event == VMM_RESET && vmm->config.reboot);
	return vmm->event == VMM_ERROR ? -1 : 0;
}

static int run_with_devices(struct vmm *vmm, struct vio_config *config)
{
	struct event *events[N_EVENTS] = {NULL};
	struct vmm_console *console = NULL;
	struct vmm_ctl *ctl = NULL;
	int rc;

	vmm->base = event_base_new();
	if (!vmm->base)
		return -1;
	rc = add_events(vmm, events);
	if (!rc)
		rc = devices_create(vmm, config, &vmm->devices);
	if (!rc)
		rc = ctl_create(vmm, config, &ctl);
	if (!rc && vmm->config.console_input && console_create(vmm, &console))
		warnx("no input from standard input");
	if (!rc)
		rc = run(vmm);
	console_destroy(console);
	ctl_destroy(ctl);
	devices_destroy(vmm->devices);
	for (int i = 0; i < N_EVENTS; i++) {
		if (events[i])
			event_free(events[i]);
	}
	event_base_free(vmm->base);
	return rc;
}

static int run_configured(struct vmm *vmm, struct vio_config *config)
{
	int rc;

	ctl_log_init(vmm);
	rc = machine_init(vmm);
	if (!rc)
		rc = run_with_devices(vmm, config);
	machine_fini(vmm);
	return rc;
}

static void usage(FILE *out)
{
	fputs("usage: viodm-vmm -c FILE [-o SECTION.KEY=VALUE]... [--control PATH] [--no-reboot]\n"
	      "       viodm-vmm --list\n"
	      "\n"
	      "  -c, --config FILE             machine and devices; may be repeated\n"
	      "  -o, --option SECTION.KEY=VAL  set one value over what the file says\n"
	      "      --control PATH            listen there for viodm ctl: serve.control=PATH\n"
	      "      --no-reboot               end when the guest resets\n"
	      "      --list                    all sections and options\n",
	      out);
}

enum { OPT_CONTROL = 0x100, OPT_NO_REBOOT, OPT_LIST };

static int set_control(struct vio_config *config, const char *path)
{
	char *text;
	int rc;

	if (asprintf(&text, "serve.control=%s", path) < 0)
		err(1, NULL);
	rc = vio_config_set(config, text);
	free(text);
	return rc;
}

/* -1: go on; otherwise the exit status. */
static int parse(int argc, char **argv, const struct vio_config_section *sections,
		 struct vio_config *config)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"option", required_argument, NULL, 'o'},
		{"control", required_argument, NULL, OPT_CONTROL},
		{"no-reboot", no_argument, NULL, OPT_NO_REBOOT},
		{"list", no_argument, NULL, OPT_LIST},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int opt, rc = 0;

	while (!rc && (opt = getopt_long(argc, argv, "c:o:h", options, NULL)) >= 0) {
		switch (opt) {
		case 'c':
			rc = vio_config_read(config, optarg);
			break;
		case 'o':
			rc = vio_config_set(config, optarg);
			break;
		case OPT_CONTROL:
			rc = set_control(config, optarg);
			break;
		case OPT_NO_REBOOT:
			rc = vio_config_set(config, "vm.reboot=off");
			break;
		case OPT_LIST:
			vio_config_list(stdout, sections, VMM_SECTIONS);
			return 0;
		default:
			usage(opt == 'h' ? stdout : stderr);
			return opt == 'h' ? 0 : 2;
		}
	}
	if (!rc && optind < argc) {
		usage(stderr);
		return 2;
	}
	if (!rc)
		rc = vio_config_check(config);
	if (!rc)
		return -1;
	warnx("%s", vio_config_error(config));
	return 2;
}

int main(int argc, char **argv)
{
	struct vmm *vmm = calloc(1, sizeof(*vmm));
	struct vio_config_section sections[VMM_SECTIONS];
	struct vio_config *config;
	int rc, status;

	if (!vmm)
		err(1, NULL);
	config_sections(&vmm->config, sections);
	rc = vio_config_create(sections, VMM_SECTIONS, &config);
	if (rc)
		errx(1, "configuration: %s", strerror(-rc));
	vio_config_take_transports(config, "viodm-vmm",
				   1u << VIO_CONFIG_PCI | 1u << VIO_CONFIG_MMIO);
	status = parse(argc, argv, sections, config);
	if (status < 0)
		status = run_configured(vmm, config) ? 1 : 0;
	vio_config_destroy(config);
	free(vmm);
	return status;
}
