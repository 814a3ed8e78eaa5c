/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections to the control socket, and the lines that come over them.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "socket.h"

#define CLIENTS_MAX 32
#define REQUEST_MAX (64u << 10)
#define OUTPUT_MAX  (1u << 20) /* a client that does not read is not listened to */

struct client {
	struct control *control;
	struct bufferevent *bev;
	struct client *next;
	bool skipping; /* the rest of a line that is too long */
	bool ending;   /* the rest of the output, then no more */
};

struct control {
	const struct control_host *host;
	struct evconnlistener *listener;
	char *path;
	dev_t dev; /* of the socket, to remove no other */
	ino_t ino;
	struct client *clients;
	unsigned n_clients;
};

static void client_free(struct client *client)
{
	struct client **link = &client->control->clients;

	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
	client->control->n_clients--;
	bufferevent_free(client->bev);
	free(client);
}

/* ---- lines ----------------------------------------------------------------------------------- */

json_t *control_refusal(const char *error)
{
	return json_pack("{s:b, s:s}", "ok", 0, "error", error);
}

static json_t *answer(const struct control_host *host, const char *line, size_t len)
{
	char text[JSON_ERROR_TEXT_LENGTH + 32];
	json_error_t error;
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error), *reply, *id;

	if (!request) {
		snprintf(text, sizeof(text), "not JSON: %s", error.text);
		return control_refusal(text);
	}
	reply = json_is_object(request) ? control_answer(host, request)
					: control_refusal("not an object");
	id = json_object_get(request, "id");
	if (reply && id)
		json_object_set(reply, "id", id);
	json_decref(request);
	return reply;
}

static void send_reply(struct client *client, json_t *reply)
{
	char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;
	struct evbuffer *out = bufferevent_get_output(client->bev);

	if (text)
		evbuffer_add_printf(out, "%s\n", text);
	else
		evbuffer_add_printf(out, "{\"ok\":false,\"error\":\"out of memory\"}\n");
	free(text);
	json_decref(reply);
}

/* The client may be gone afterwards. */
static void client_end(struct client *client)
{
	client->ending = true;
	bufferevent_disable(client->bev, EV_READ);
	if (evbuffer_get_length(bufferevent_get_output(client->bev)) == 0)
		client_free(client);
}

static void on_line(struct client *client, const char *line, size_t len)
{
	if (len > 0 && !client->skipping)
		send_reply(client, answer(client->control->host, line, len));
	client->skipping = false;
}

static void on_readable(struct bufferevent *bev, void *arg)
{
	struct client *client = arg;
	struct evbuffer *in = bufferevent_get_input(bev), *out = bufferevent_get_output(bev);
	size_t len;
	char *line;

	while (evbuffer_get_length(out) < OUTPUT_MAX &&
	       (line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF))) {
		on_line(client, line, len);
		free(line);
	}
	if (evbuffer_get_length(out) >= OUTPUT_MAX) {
		bufferevent_disable(bev, EV_READ);
	} else if (evbuffer_get_length(in) > REQUEST_MAX) {
		if (!client->skipping)
			send_reply(client, control_refusal("the line is too long"));
		client->skipping = true;
		evbuffer_drain(in, evbuffer_get_length(in));
	}
}

/* Everything was sent: go on with what it asked meanwhile. */
static void on_written(struct bufferevent *bev, void *arg)
{
	struct client *client = arg;

	if (client->ending) {
		client_free(client);
	} else if (!(bufferevent_get_enabled(bev) & EV_READ)) {
		bufferevent_enable(bev, EV_READ);
		on_readable(bev, client);
	}
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	if (what & BEV_EVENT_EOF) /* it may still want the answers */
		client_end(arg);
	else
		client_free(arg);
}

/* ---- connections ----------------------------------------------------------------------------- */

static void on_connection(struct evconnlistener *listener, evutil_socket_t fd,
			  struct sockaddr *addr, int len, void *arg)
{
	struct control *c = arg;
	struct client *client = c->n_clients < CLIENTS_MAX ? calloc(1, sizeof(*client)) : NULL;

	(void)listener;
	(void)addr;
	(void)len;
	if (!client) {
		close(fd);
		return;
	}
	client->bev = bufferevent_socket_new(c->host->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!client->bev) {
		free(client);
		close(fd);
		return;
	}
	client->control = c;
	client->next = c->clients;
	c->clients = client;
	c->n_clients++;
	bufferevent_setwatermark(client->bev, EV_READ, 0, REQUEST_MAX + 1);
	bufferevent_setcb(client->bev, on_readable, on_written, on_event, client);
	bufferevent_enable(client->bev, EV_READ | EV_WRITE);
}

static int listen_at(const struct control_host *host, const char *path, mode_t mode,
		     struct control **out)
{
	struct control *c = calloc(1, sizeof(*c));
	int fd = c ? socket_listen(path, mode) : -ENOMEM;
	struct stat st;

	if (fd < 0) {
		free(c);
		return fd;
	}
	c->host = host;
	c->path = strdup(path);
	c->listener = evconnlistener_new(host->base, on_connection, c,
					 LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!c->path || !c->listener || lstat(path, &st) < 0) {
		unlink(path);
		if (!c->listener)
			close(fd);
		control_destroy(c);
		return -ENOMEM;
	}
	c->dev = st.st_dev;
	c->ino = st.st_ino;
	*out = c;
	return 0;
}

int control_create(const struct control_host *host, const struct serve_opts *opts,
		   struct control **out)
{
	int r;

	*out = NULL;
	if (!opts->control)
		return 0;
	r = listen_at(host, opts->control, serve_control_mode(opts), out);
	if (r < 0)
		vio_log(host->log, VIO_LOG_ERROR, "cannot listen for viodm ctl on %s: %s",
			opts->control, strerror(-r));
	return r;
}

void control_destroy(struct control *c)
{
	struct stat st;

	if (!c)
		return;
	while (c->clients)
		client_free(c->clients);
	/* Somebody else may have put another socket there meanwhile. */
	if (c->path && lstat(c->path, &st) == 0 && st.st_dev == c->dev && st.st_ino == c->ino)
		unlink(c->path);
	if (c->listener)
		evconnlistener_free(c->listener);
	free(c->path);
	free(c);
}
