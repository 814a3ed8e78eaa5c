/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "command.h"
#include "ctl.h"
#include "socket.h"

const char ctl_details[] =
	"Sends one command to the daemon whose control socket is SOCKET and prints the answer.\n"
	"Without DEVICE it is about all devices.\n"
	"\n"
	"  status  what the devices are and who uses them\n"
	"  stats   what the queues have done: requests, bytes, notifications\n"
	"  resize  look at the size of the image again and tell the driver\n"
	"  pause   stop the queues; what is in flight is finished first\n"
	"  resume  start them again\n"
	"\n"
	"For network cards:\n"
	"  link-up, link-down  plug the cable in, or pull it out\n"
	"  announce            let the driver tell the network where it is\n"
	"  set-mac             give the card the address VALUE\n"
	"  set-mtu             tell the driver of another MTU, from the next reset on\n"
	"\n"
	"      --json  print the answer as it came, one line of JSON\n"
	"\n"
	"Exit status: 0 when the command was done, 1 when not, 2 for a wrong command line.\n";

struct request {
	const char *socket;
	const char *command;
	const char *device; /* NULL: all */
	const char *value;  /* NULL: none */
	bool json;
};

static bool takes_value(const char *command)
{
	return strcmp(command, "set-mac") == 0 || strcmp(command, "set-mtu") == 0;
}

/* -1: go on; otherwise what to exit with. */
static int parse(int argc, char **argv, struct request *req)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (c != 'j')
			return command_bad_option("ctl", c, argv, options);
		req->json = true;
	}
	if (argc - optind < 2)
		return command_usage_error("ctl", "wants SOCKET and COMMAND");
	req->socket = argv[optind];
	req->command = argv[optind + 1];
	if (argc - optind > (takes_value(req->command) ? 4 : 3))
		return command_usage_error("ctl", "too many arguments");
	if (argc - optind < 4 && takes_value(req->command))
		return command_usage_error("ctl", "wants SOCKET, COMMAND, DEVICE and VALUE");
	req->device = argv[optind + 2]; /* or the NULL behind the last argument */
	req->value = req->device ? argv[optind + 3] : NULL;
	return -1;
}

/* The request as a line, to be freed. */
static char *request_line(const struct request *req)
{
	json_t *request = json_pack("{s:s, s:s*, s:s*}", "cmd", req->command, "device", req->device,
				    "value", req->value);
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL, *line = NULL;

	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	json_decref(request);
	return line;
}

static int send_all(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left > 0) {
		ssize_t n = send(fd, text, left, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			left -= (size_t)n;
		}
	}
	return 0;
}

/* Sends the request and reads one line, to be freed. 0 or -errno. */
static int exchange(const struct request *req, char **line)
{
	int fd = socket_connect(req->socket), r;
	char *request;
	size_t size = 0;
	FILE *in;

	if (fd < 0)
		return fd;
	request = request_line(req);
	r = request ? send_all(fd, request) : -EINVAL;
	free(request);
	in = r ? NULL : fdopen(fd, "r");
	if (!in) {
		close(fd);
		return r ? r : -ENOMEM;
	}
	*line = NULL;
	if (getline(line, &size, in) <= 0) {
		free(*line);
		r = -ECONNRESET;
	}
	fclose(in);
	return r;
}

static int complain(const struct request *req, const char *text)
{
	fprintf(stderr, "viodm ctl: %s: %s\n", req->socket, text);
	return EXIT_FAILURE;
}

/* Did the command succeed with each device? */
static bool all_done(const json_t *reply)
{
	const json_t *devices = json_object_get(reply, "devices"), *d;
	size_t i;

	json_array_foreach(devices, i, d)
	{
		if (json_object_get(d, "error"))
			return false;
	}
	return json_is_true(json_object_get(reply, "ok"));
}

static int show(const struct request *req, const char *line)
{
	json_t *reply = json_loads(line, 0, NULL);
	const char *error = json_string_value(json_object_get(reply, "error"));
	bool ok = json_is_true(json_object_get(reply, "ok"));
	int status = EXIT_FAILURE;

	if (req->json)
		fputs(line, stdout);
	else if (ok)
		ctl_print(stdout, req->command, reply);
	else
		complain(req, error ? error : "the answer is not understood");
	if (ok || req->json)
		status = command_finish();
	if (!all_done(reply))
		status = EXIT_FAILURE;
	json_decref(reply);
	return status;
}

int ctl_run(int argc, char **argv)
{
	struct request req = {0};
	int status = parse(argc, argv, &req), r;
	char *line;

	if (status >= 0)
		return status;
	r = exchange(&req, &line);
	if (r < 0)
		return complain(&req,
				r == -ECONNREFUSED ? "no daemon listens there" : strerror(-r));
	status = show(&req, line);
	free(line);
	return status;
}
