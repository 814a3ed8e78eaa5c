/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <viodm/opts.h>

#include "command.h"

int command_usage_error(const char *command, const char *text)
{
	fprintf(stderr, "viodm%s%s: %s\n", *command ? " " : "", command, text);
	fprintf(stderr, "Try \"viodm help%s%s\".\n", *command ? " " : "", command);
	return EXIT_USAGE;
}

int command_bad_option(const char *command, int c, char **argv, const struct option *options)
{
	const char *names[COMMAND_OPTIONS_MAX], *word = argv[optind - 1];
	char text[VIO_OPT_ERROR_LEN], typed[64];
	size_t n = 0;

	if (c == ':') {
		snprintf(text, sizeof(text), "option \"%.64s\" needs a value", word);
		return command_usage_error(command, text);
	}
	for (; options[n].name && n < COMMAND_OPTIONS_MAX; n++)
		names[n] = options[n].name;
	if (optopt && strncmp(word, "--", 2) != 0)
		snprintf(typed, sizeof(typed), "%c", optopt);
	else
		snprintf(typed, sizeof(typed), "%.*s", (int)strcspn(word + 2, "="), word + 2);
	vio_opt_unknown(text, "option", typed, names, n);
	return command_usage_error(command, text);
}

int command_finish(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EXIT_SUCCESS;
	fprintf(stderr, "viodm: cannot write: %s\n", strerror(errno));
	return EXIT_FAILURE;
}
