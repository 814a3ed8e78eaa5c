/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_COMMAND_H
#define TOOLS_COMMAND_H

/*
 * What the subcommands of viodm share: complaints about the command line, and the end.
 */

#include <getopt.h>

#define EXIT_USAGE 2

/* More options than a command has. */
#define COMMAND_OPTIONS_MAX 16

/* Says what is wrong, in the name of `command` ("": viodm itself). Returns EXIT_USAGE. */
int command_usage_error(const char *command, const char *text);

/*
 * getopt_long(), with a leading ':' in its short options, returned `c` for the argument before
 * optind: ':' or anything that is no option. Returns EXIT_USAGE.
 */
int command_bad_option(const char *command, int c, char **argv, const struct option *options);

/* What to exit with when all went well: unless output was lost. */
int command_finish(void);

#endif
