/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The commands of the control socket.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "control.h"
#include "control_net.h"

/* ---- one device ------------------------------------------------------------------------------ */

static const char *state(const struct control_host *h, size_t i)
{
	const struct vio_device *dev = vio_assembly_device(h->devices, i);

	if (vio_device_paused(dev))
		return "paused";
	if (vio_device_failed(dev))
		return "failed";
	return h->connected(h->arg, i) ? "connected" : "waiting";
}

static void add_storage(json_t *out, struct vio_storage *storage)
{
	struct vio_storage_info info;

	if (!storage)
		return;
	json_object_set_new(out, "engine", json_string(storage->ops->name));
	if (vio_storage_info(storage, &info) == 0)
		json_object_set_new(out, "size", json_integer((json_int_t)info.size));
}

static json_t *device_status(const struct control_host *h, size_t i)
{
	const struct vio_config_device *c = vio_config_device(h->cfg, i);
	const struct vio_device *dev = vio_assembly_device(h->devices, i);
	json_t *out =
		json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:i}", "name", c->name, "model",
			  c->model, "state", state(h, i), "backend", c->backend, "connected",
			  h->connected(h->arg, i), "paused", vio_device_paused(dev), "failed",
			  vio_device_failed(dev), "queues", (int)vio_device_n_queues(dev));

	if (!out)
		return NULL;
	add_storage(out, vio_assembly_storage(h->devices, i));
	if (c->port)
		json_object_set_new(out, "port", json_string(c->port));
	if (control_is_net(dev))
		control_net_status(out, dev);
	if (c->socket)
		json_object_set_new(out, "socket", json_string(c->socket));
	return out;
}

/* Microseconds that `percent` of the requests whose time was taken needed at most; -1: none was. */
static double percentile(const struct vio_queue_stats *s, uint64_t samples, unsigned percent)
{
	uint64_t seen = 0;

	for (unsigned i = 0; i < VIO_LATENCY_BUCKETS; i++) {
		seen += s->latency[i];
		if (samples > 0 && seen >= (samples * percent + 99) / 100)
			return (double)vio_latency_bound(i) / 1000;
	}
	return -1;
}

static void add_percentile(json_t *out, const char *key, double us)
{
	json_object_set_new(out, key, us < 0 ? json_null() : json_real(us));
}

static json_t *queue_latency(const struct vio_queue_stats *s)
{
	json_t *buckets = json_array(), *out;
	uint64_t samples = 0;

	for (unsigned i = 0; i < VIO_LATENCY_BUCKETS; i++) {
		samples += s->latency[i];
		if (s->latency[i] > 0)
			json_array_append_new(buckets,
					      json_pack("[I, I]", (json_int_t)vio_latency_bound(i),
							(json_int_t)s->latency[i]));
	}
	out = json_pack("{s:I, s:o}", "samples", (json_int_t)samples, "buckets", buckets);
	add_percentile(out, "p50-us", percentile(s, samples, 50));
	add_percentile(out, "p99-us", percentile(s, samples, 99));
	return out;
}

static json_t *queue_stats(const struct vio_device *dev, uint16_t index)
{
	struct vio_queue_stats s;

	vio_device_queue_stats(dev, index, &s);
	return json_pack("{s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "queue", (int)index,
			 "requests", (json_int_t)s.requests, "bytes-read", (json_int_t)s.bytes_read,
			 "bytes-written", (json_int_t)s.bytes_written, "errors",
			 (json_int_t)s.errors, "kicks", (json_int_t)s.kicks, "interrupts",
			 (json_int_t)s.interrupts, "polls-hit", (json_int_t)s.polls_hit,
			 "polls-missed", (json_int_t)s.polls_missed, "latency", queue_latency(&s));
}

static json_t *device_stats(const struct control_host *h, size_t i)
{
	const struct vio_device *dev = vio_assembly_device(h->devices, i);
	json_t *queues = json_array(), *out;

	for (uint16_t q = 0; q < vio_device_n_queues(dev); q++)
		json_array_append_new(queues, queue_stats(dev, q));
	out = json_pack("{s:s, s:o}", "name", vio_device_name(dev), "queues", queues);
	if (out && control_is_net(dev))
		control_net_stats(out, dev);
	return out;
}

/* What a command has changed, and how the device is now. */
static json_t *changed(const struct control_host *h, size_t i, int r)
{
	json_t *out = device_status(h, i);

	if (out && r < 0)
		json_object_set_new(out, "error", json_string(strerror(-r)));
	else if (out)
		json_object_set_new(out, "changed", json_boolean(r > 0));
	return out;
}

static json_t *device_resize(const struct control_host *h, size_t i)
{
	return changed(h, i, vio_assembly_refresh_device(h->devices, i));
}

static json_t *set_paused(const struct control_host *h, size_t i, bool pause)
{
	struct vio_device *dev = vio_assembly_device(h->devices, i);
	bool was = vio_device_paused(dev);
	int r = pause ? vio_device_pause(dev) : vio_device_resume(dev);

	if (r == 0 && was != pause)
		vio_log(h->log, VIO_LOG_INFO, "%s: %s", vio_device_name(dev),
			pause ? "paused" : "resumed");
	return changed(h, i, r ? r : was != pause);
}

static json_t *device_pause(const struct control_host *h, size_t i)
{
	return set_paused(h, i, true);
}

static json_t *device_resume(const struct control_host *h, size_t i)
{
	return set_paused(h, i, false);
}

/* ---- requests -------------------------------------------------------------------------------- */

static const struct command {
	const char *name;
	json_t *(*run)(const struct control_host *h, size_t i); /* for each device that is meant */
} commands[] = {
	{"status", device_status}, {"stats", device_stats},   {"resize", device_resize},
	{"pause", device_pause},   {"resume", device_resume},
};

static json_t *unknown_command(const char *name)
{
	const char *names[32];
	char text[VIO_OPT_ERROR_LEN];
	size_t n = 0;

	for (size_t i = 0; i < VIO_ARRAY_LEN(commands); i++)
		names[n++] = commands[i].name;
	for (size_t i = 0; control_net_commands[i].name && n < VIO_ARRAY_LEN(names); i++)
		names[n++] = control_net_commands[i].name;
	vio_opt_unknown(text, "command", name, names, n);
	return control_refusal(text);
}

static json_t *unknown_device(const struct control_host *h, const char *name)
{
	const char *names[32];
	char text[VIO_OPT_ERROR_LEN];
	size_t n = 0;

	for (; n < vio_config_n_devices(h->cfg) && n < VIO_ARRAY_LEN(names); n++)
		names[n] = vio_config_device(h->cfg, n)->name;
	vio_opt_unknown(text, "device", name, names, n);
	return control_refusal(text);
}

static json_t *for_each(const struct control_host *h, const struct command *command,
			const char *name)
{
	json_t *devices = json_array();

	for (size_t i = 0; i < vio_config_n_devices(h->cfg); i++) {
		if (!name || strcmp(vio_config_device(h->cfg, i)->name, name) == 0)
			json_array_append_new(devices, command->run(h, i));
	}
	if (name && json_array_size(devices) == 0) {
		json_decref(devices);
		return unknown_device(h, name);
	}
	return json_pack("{s:b, s:o}", "ok", 1, "devices", devices);
}

/* ---- requests about network cards --------------------------------------------------------------
 */

static bool is_named_net(const struct control_host *h, size_t i, const char *name)
{
	return (!name || strcmp(vio_config_device(h->cfg, i)->name, name) == 0) &&
	       control_is_net(vio_assembly_device(h->devices, i));
}

static json_t *no_net(const struct control_host *h, const char *name)
{
	for (size_t i = 0; name && i < vio_config_n_devices(h->cfg); i++) {
		if (strcmp(vio_config_device(h->cfg, i)->name, name) == 0)
			return control_refusal("the device is no network card");
	}
	return name ? unknown_device(h, name) : control_refusal("there is no network card");
}

static json_t *for_each_net(const struct control_host *h, const struct control_net_command *command,
			    const char *name, const struct control_net_value *value)
{
	json_t *devices = json_array();

	for (size_t i = 0; i < vio_config_n_devices(h->cfg); i++) {
		struct vio_device *dev = vio_assembly_device(h->devices, i);
		int r;

		if (!is_named_net(h, i, name))
			continue;
		r = command->run(dev, value);
		if (r > 0)
			vio_log(h->log, VIO_LOG_INFO, "%s: %s", vio_device_name(dev),
				command->name);
		json_array_append_new(devices, changed(h, i, r));
	}
	if (json_array_size(devices) == 0) {
		json_decref(devices);
		return no_net(h, name);
	}
	return json_pack("{s:b, s:o}", "ok", 1, "devices", devices);
}

static json_t *answer_net(const struct control_host *h, const struct control_net_command *command,
			  const char *name, const json_t *request)
{
	const char *text = json_string_value(json_object_get(request, "value"));
	struct control_net_value value = {0};
	char err[VIO_OPT_ERROR_LEN];

	if (command->value && !text)
		return control_refusal("\"value\" is not a string, or not there");
	if (command->value && vio_opt_set(command->value, &value, text, err) < 0)
		return control_refusal(err);
	return for_each_net(h, command, name, &value);
}

/* ---- any request ----------------------------------------------------------------------------- */

static void add_daemon(json_t *reply, const struct control_host *h)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	json_object_set_new(reply, "version", json_string(VIODM_VERSION));
	json_object_set_new(reply, "pid", json_integer(getpid()));
	json_object_set_new(reply, "uptime", json_integer(now.tv_sec - h->started.tv_sec));
	json_object_set_new(reply, "log-level", json_string(serve_level_name(*h->log_level)));
}

json_t *control_answer(const struct control_host *h, const json_t *request)
{
	const json_t *device = json_object_get(request, "device");
	const char *name = json_string_value(json_object_get(request, "cmd"));
	json_t *reply;

	if (!name)
		return control_refusal("\"cmd\" is not a string, or not there");
	if (device && !json_is_string(device))
		return control_refusal("\"device\" is not a string");
	for (size_t i = 0; i < VIO_ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		reply = for_each(h, &commands[i], json_string_value(device));
		if (reply && commands[i].run == device_status)
			add_daemon(reply, h);
		return reply;
	}
	for (size_t i = 0; control_net_commands[i].name; i++) {
		if (strcmp(control_net_commands[i].name, name) == 0)
			return answer_net(h, &control_net_commands[i], json_string_value(device),
					  request);
	}
	return unknown_command(name);
}
