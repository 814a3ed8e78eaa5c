/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The viodm command. Each entry of `commands` is one subcommand with its own options.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <viodm/config.h>

#include "bench.h"
#include "command.h"
#include "ctl.h"
#include "serve.h"
#include "serve_section.h"

struct command {
	const char *name;
	const char *arguments;
	const char *help;
	const char *details;
	int (*run)(int argc, char **argv);
};

/* For commands without options: 0, or what to exit with. */
static int no_options(const char *command, int argc, char **argv, int operands)
{
	static const struct option options[] = {{NULL, 0, NULL, 0}};
	int c = getopt_long(argc, argv, ":", options, NULL);

	if (c != -1)
		return command_bad_option(command, c, argv, options);
	if (argc - optind > operands)
		return command_usage_error(command, "too many arguments");
	return 0;
}

/* ---- list ------------------------------------------------------------------------------------ */

static int run_list(int argc, char **argv)
{
	int r = no_options("list", argc, argv, 0);
	struct vio_config_section section;
	struct serve_opts opts;

	if (r)
		return r;
	serve_section(&opts, &section);
	vio_config_list(stdout, &section, 1);
	return command_finish();
}

/* ---- check ----------------------------------------------------------------------------------- */

static int report(const struct vio_config *cfg)
{
	fprintf(stderr, "viodm: %s\n", vio_config_error(cfg));
	return EXIT_FAILURE;
}

/* -1: go on; otherwise what to exit with. */
static int parse_check(int argc, char **argv, struct vio_config *cfg)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"option", required_argument, NULL, 'o'},
		{NULL, 0, NULL, 0},
	};
	bool any = false;
	int c;

	while ((c = getopt_long(argc, argv, ":c:o:", options, NULL)) != -1) {
		if (c != 'o' && c != 'c')
			return command_bad_option("check", c, argv, options);
		if (c == 'o' ? vio_config_set(cfg, optarg) : vio_config_read(cfg, optarg))
			return report(cfg);
		any = any || c == 'c';
	}
	if (optind < argc)
		return command_usage_error("check", "too many arguments; a file comes after -c");
	return any ? -1 : command_usage_error("check", "no file: -c FILE");
}

static int run_check(int argc, char **argv)
{
	struct vio_config_section section;
	struct serve_opts opts;
	struct vio_config *cfg;
	int r;

	serve_section(&opts, &section);
	if (vio_config_create(&section, 1, &cfg)) {
		fprintf(stderr, "viodm: out of memory\n");
		return EXIT_FAILURE;
	}
	vio_config_ignore(cfg, machine_sections);
	r = parse_check(argc, argv, cfg);
	if (r < 0 && vio_config_check(cfg))
		r = report(cfg);
	if (r < 0) {
		vio_config_print(cfg, stdout);
		r = command_finish();
	}
	vio_config_destroy(cfg);
	return r;
}

/* ---- help and version ------------------------------------------------------------------------ */

static void print_version(void)
{
	printf("viodm %s\n", VIODM_VERSION);
}

static int run_version(int argc, char **argv)
{
	int r = no_options("version", argc, argv, 0);

	if (r)
		return r;
	print_version();
	return command_finish();
}

static int run_help(int argc, char **argv);

static const struct command commands[] = {
	{"list", "", "what this build offers: devices, engines, ports ..., and all options",
	 "Prints every device model, transport, back-end, storage engine and network port of this\n"
	 "build, each option with its values, its default and what it does.\n",
	 run_list},
	{"check", " -c FILE [-o SECTION.KEY=VALUE]...", "check a configuration file",
	 "Checks the file and prints the devices with all their values. Creates nothing.\n"
	 "\n"
	 "  -c, --config FILE               read FILE; may be given again\n"
	 "  -o, --option SECTION.KEY=VALUE  set a value over what the file says\n"
	 "\n"
	 "Exit status: 0 when all is well, 1 when not, 2 for a wrong command line.\n",
	 run_check},
	{"serve", SERVE_ARGUMENTS, SERVE_HELP, serve_details, serve_run},
	{"ctl", CTL_ARGUMENTS, CTL_HELP, ctl_details, ctl_run},
	{"bench", BENCH_ARGUMENTS, BENCH_HELP, bench_details, bench_run},
	{"help", " [COMMAND]", "this text, or about one command", "", run_help},
	{"version", "", "print the version", "", run_version},
};

#define N_COMMANDS VIO_ARRAY_LEN(commands)

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

static int unknown_command(const char *name)
{
	const char *names[N_COMMANDS];
	char text[VIO_OPT_ERROR_LEN];

	for (size_t i = 0; i < N_COMMANDS; i++)
		names[i] = commands[i].name;
	vio_opt_unknown(text, "command", name, names, N_COMMANDS);
	return command_usage_error("", text);
}

static void print_help(FILE *out)
{
	fprintf(out, "Usage: viodm COMMAND [OPTION]...\n"
		     "\n"
		     "Virtio device models from a configuration file.\n"
		     "\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  %-8s  %s\n", commands[i].name, commands[i].help);
	fprintf(out, "\n\"viodm help COMMAND\" tells more about one of them.\n");
}

static int run_help(int argc, char **argv)
{
	const struct command *cmd;
	int r = no_options("help", argc, argv, 1);

	if (r)
		return r;
	if (optind == argc) {
		print_help(stdout);
		return command_finish();
	}
	cmd = find_command(argv[optind]);
	if (!cmd)
		return unknown_command(argv[optind]);
	printf("Usage: viodm %s%s\n\n%s%s", cmd->name, cmd->arguments,
	       *cmd->details ? cmd->details : cmd->help, *cmd->details ? "" : "\n");
	return command_finish();
}

int main(int argc, char **argv)
{
	const struct command *cmd;

	opterr = 0;
	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		print_version();
		return command_finish();
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_help(stdout);
		return command_finish();
	}
	cmd = find_command(argv[1]);
	if (cmd && argc == 3 && strcmp(argv[2], "--help") == 0) {
		char *help[] = {argv[0], argv[1], NULL};

		return run_help(2, help);
	}
	return cmd ? cmd->run(argc - 1, argv + 1) : unknown_command(argv[1]);
}
