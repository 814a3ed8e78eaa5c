/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Replies of the daemon as text. Members that are not there are shown as "-".
 */
#include <stdbool.h>
#include <string.h>

#include "ctl.h"

#define CELL_LEN 32

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

static json_int_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* "512", "1.5K", "20G": three digits are enough for people. */
static const char *bytes_of(const json_t *object, const char *key, char *cell)
{
	static const char units[] = "KMGTPE";
	const json_t *number = json_object_get(object, key);
	double v = (double)json_integer_value(number);
	size_t unit = 0;

	if (!number)
		return "-";
	if (v < 1024) {
		snprintf(cell, CELL_LEN, "%.0f", v);
		return cell;
	}
	for (v /= 1024; v >= 1024 && unit + 1 < strlen(units); unit++)
		v /= 1024;
	snprintf(cell, CELL_LEN, v < 10 && v != (int)v ? "%.1f%c" : "%.0f%c", v, units[unit]);
	return cell;
}

static bool is_net(const json_t *device)
{
	return json_object_get(device, "mac") != NULL;
}

/* What the devices stand on: an engine, or a port. */
static const char *base_of(const json_t *device)
{
	return text_of(device, json_object_get(device, "port") ? "port" : "engine");
}

/* Network cards have a second table. */
static void print_net_status(FILE *out, const json_t *devices)
{
	const json_t *d;
	bool any = false;
	size_t i;

	json_array_foreach(devices, i, d)
	{
		if (!is_net(d))
			continue;
		if (!any)
			fprintf(out, "%-12s %-4s %-17s %5s %5s\n", "CARD", "LINK", "MAC", "MTU",
				"PAIRS");
		any = true;
		fprintf(out, "%-12s %-4s %-17s ", text_of(d, "name"),
			json_is_true(json_object_get(d, "link")) ? "up" : "down",
			text_of(d, "mac"));
		if (json_is_integer(json_object_get(d, "mtu")))
			fprintf(out, "%5lld", (long long)number_of(d, "mtu"));
		else
			fprintf(out, "%5s", "-");
		fprintf(out, " %5lld\n", (long long)number_of(d, "pairs"));
	}
}

static void print_net_stats(FILE *out, const json_t *devices)
{
	const json_t *d;
	bool any = false;
	size_t i;

	json_array_foreach(devices, i, d)
	{
		if (!json_object_get(d, "dropped-tx"))
			continue;
		if (!any)
			fprintf(out, "%-12s %12s %12s %12s\n", "CARD", "DROPPED-TX", "DROPPED-RX",
				"FILTERED-RX");
		any = true;
		fprintf(out, "%-12s %12lld %12lld %12lld\n", text_of(d, "name"),
			(long long)number_of(d, "dropped-tx"),
			(long long)number_of(d, "dropped-rx"),
			(long long)number_of(d, "filtered-rx"));
	}
}

static void print_status(FILE *out, const json_t *reply)
{
	const json_t *devices = json_object_get(reply, "devices"), *d;
	char cell[CELL_LEN];
	size_t i;

	fprintf(out, "viodm %s, process %lld, for %lld s, log level %s\n",
		text_of(reply, "version"), (long long)number_of(reply, "pid"),
		(long long)number_of(reply, "uptime"), text_of(reply, "log-level"));
	fprintf(out, "%-12s %-6s %-10s %6s %-9s %-9s %8s  %s\n", "DEVICE", "MODEL", "STATE",
		"QUEUES", "BACKEND", "ON", "SIZE", "SOCKET");
	json_array_foreach(devices, i, d) fprintf(
		out, "%-12s %-6s %-10s %6lld %-9s %-9s %8s  %s\n", text_of(d, "name"),
		text_of(d, "model"), text_of(d, "state"), (long long)number_of(d, "queues"),
		text_of(d, "backend"), base_of(d), bytes_of(d, "size", cell), text_of(d, "socket"));
	print_net_status(out, devices);
}

/* "0.64", "12.3", "1573": of microseconds. */
static const char *us_of(const json_t *object, const char *key, char *cell)
{
	const json_t *number = json_object_get(object, key);
	double us = json_number_value(number);

	if (!json_is_number(number))
		return "-";
	snprintf(cell, CELL_LEN, "%.*f", us < 10 ? 2 : us < 100 ? 1 : 0, us);
	return cell;
}

static void print_queue(FILE *out, const char *name, const json_t *q)
{
	const json_t *latency = json_object_get(q, "latency");
	char got[CELL_LEN], given[CELL_LEN], p50[CELL_LEN], p99[CELL_LEN];

	fprintf(out, "%-12s %5lld %12lld %8s %8s %8lld %12lld %12lld %12lld %12lld %8s %8s\n", name,
		(long long)number_of(q, "queue"), (long long)number_of(q, "requests"),
		bytes_of(q, "bytes-read", got), bytes_of(q, "bytes-written", given),
		(long long)number_of(q, "errors"), (long long)number_of(q, "kicks"),
		(long long)number_of(q, "interrupts"), (long long)number_of(q, "polls-hit"),
		(long long)number_of(q, "polls-missed"), us_of(latency, "p50-us", p50),
		us_of(latency, "p99-us", p99));
}

static void print_stats(FILE *out, const json_t *reply)
{
	const json_t *devices = json_object_get(reply, "devices"), *d, *q;
	size_t i, j;

	fprintf(out, "%-12s %5s %12s %8s %8s %8s %12s %12s %12s %12s %8s %8s\n", "DEVICE", "QUEUE",
		"REQUESTS", "READ", "WRITTEN", "ERRORS", "KICKS", "INTERRUPTS", "POLLS-HIT",
		"POLLS-MISSED", "P50-US", "P99-US");
	json_array_foreach(devices, i, d)
	{
		json_array_foreach(json_object_get(d, "queues"), j, q)
			print_queue(out, text_of(d, "name"), q);
	}
	print_net_stats(out, devices);
}

static const char *change_text(const char *command, bool changed)
{
	static const struct {
		const char *command, *changed, *same;
	} texts[] = {
		{"resize", ", changed", ", as before"},
		{"pause", "paused", "is paused already"},
		{"resume", "resumed", "is not paused"},
		{"link-up", "link up", "link as before"},
		{"link-down", "link down", "link as before"},
		{"announce", "the driver announces itself", ""},
		{"set-mac", "has a new address", "has that address already"},
		{"set-mtu", "new MTU from the next reset on", ""},
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (strcmp(texts[i].command, command) == 0)
			return changed ? texts[i].changed : texts[i].same;
	}
	return changed ? "changed" : "as before";
}

/* All other commands: one line for each device. */
static void print_changes(FILE *out, const char *command, const json_t *reply)
{
	const json_t *devices = json_object_get(reply, "devices"), *d;
	bool resized = strcmp(command, "resize") == 0;
	size_t i;

	json_array_foreach(devices, i, d)
	{
		const char *error = json_string_value(json_object_get(d, "error"));
		bool changed = json_is_true(json_object_get(d, "changed"));

		fprintf(out, "%s: ", text_of(d, "name"));
		if (error)
			fprintf(out, "%s\n", error);
		else if (resized && !json_object_get(d, "size"))
			fprintf(out, "has no size\n");
		else if (resized)
			fprintf(out, "%lld bytes%s\n", (long long)number_of(d, "size"),
				change_text(command, changed));
		else
			fprintf(out, "%s\n", change_text(command, changed));
	}
}

void ctl_print(FILE *out, const char *command, const json_t *reply)
{
	if (strcmp(command, "status") == 0)
		print_status(out, reply);
	else if (strcmp(command, "stats") == 0)
		print_stats(out, reply);
	else
		print_changes(out, command, reply);
}
