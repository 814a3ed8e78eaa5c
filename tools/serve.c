/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "daemon.h"
#include "mode.h"
#include "serve.h"

const char serve_details[] =
	"Runs the devices of the file, which all have transport = vhost-user, in the foreground.\n"
	"Prints \"ready\" when all sockets listen, and tells systemd if it was started by it.\n"
	"\n"
	"  -c, --config FILE               read FILE; may be given again\n"
	"  -o, --option SECTION.KEY=VALUE  set a value over what the file says\n"
	"      --log-level LEVEL           short for -o serve.log-level=LEVEL\n"
	"      --control PATH              short for -o serve.control=PATH\n"
	"\n"
	"SIGHUP looks at the sizes of all images again, and at log-level in the file.\n"
	"SIGTERM and SIGINT finish what is in flight and end the daemon.\n"
	"Exit status: 0 after such a signal, 1 when something went wrong, 2 for a wrong command\n"
	"line.\n";

/* ---- command line ---------------------------------------------------------------------------- */

enum { OPT_LOG_LEVEL = 0x100, OPT_CONTROL };

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},
	{"option", required_argument, NULL, 'o'},
	{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
	{"control", required_argument, NULL, OPT_CONTROL},
	{NULL, 0, NULL, 0},
};

/* What is set by an option that stands for `-o <key>=`. */
static int add_short(struct daemon_args *args, const char *key, const char *value)
{
	char *text = NULL;

	if (asprintf(&text, "%s=%s", key, value) < 0)
		return -ENOMEM;
	args->sets[args->n_sets++] = text;
	args->owned[args->n_owned++] = text;
	return 0;
}

static int add(struct daemon_args *args, int option, char *value)
{
	switch (option) {
	case 'c':
		args->files[args->n_files++] = value;
		return 0;
	case 'o':
		args->sets[args->n_sets++] = value;
		return 0;
	case OPT_LOG_LEVEL:
		return add_short(args, "serve.log-level", value);
	default:
		return add_short(args, "serve.control", value);
	}
}

static bool is_option(int c)
{
	return c == 'c' || c == 'o' || c == OPT_LOG_LEVEL || c == OPT_CONTROL;
}

/* -1: go on; otherwise what to exit with. */
static int parse(int argc, char **argv, struct daemon_args *args)
{
	int c;

	while ((c = getopt_long(argc, argv, ":c:o:", options, NULL)) != -1) {
		if (!is_option(c))
			return command_bad_option("serve", c, argv, options);
		if (add(args, c, optarg)) {
			fprintf(stderr, "viodm: out of memory\n");
			return EXIT_FAILURE;
		}
	}
	if (optind < argc)
		return command_usage_error("serve", "too many arguments; a file comes after -c");
	return args->n_files ? -1 : command_usage_error("serve", "no file: -c FILE");
}

static int args_init(struct daemon_args *args, int argc)
{
	size_t n = (size_t)argc;

	*args = (struct daemon_args){
		.files = calloc(n, sizeof(*args->files)),
		.sets = calloc(n, sizeof(*args->sets)),
		.owned = calloc(n, sizeof(*args->owned)),
	};
	return args->files && args->sets && args->owned ? 0 : -ENOMEM;
}

static void args_fini(struct daemon_args *args)
{
	for (size_t i = 0; i < args->n_owned; i++)
		free(args->owned[i]);
	free(args->owned);
	free(args->sets);
	free(args->files);
}

int serve_run(int argc, char **argv)
{
	struct daemon_args args;
	int status = EXIT_FAILURE;

	if (args_init(&args, argc) == 0) {
		status = parse(argc, argv, &args);
		if (status < 0)
			status = daemon_run(&args) ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	args_fini(&args);
	return status;
}
