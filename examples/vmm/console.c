/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

struct vmm_console {
	struct vmm *vmm;
	struct event *event;
	struct termios saved;
	bool terminal;
};

static void on_input(evutil_socket_t fd, short what, void *arg)
{
	struct vmm_console *c = arg;
	uint8_t buf[256];
	ssize_t n = read(fd, buf, sizeof(buf));

	(void)what;
	if (n > 0)
		serial_receive(&c->vmm->serial, buf, (size_t)n);
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		event_del(c->event);
}

/* Each key at once and no echo, which is the guest's; the interrupt key still ends the VMM. */
static void set_terminal(struct vmm_console *c)
{
	struct termios t;

	c->terminal = tcgetattr(STDIN_FILENO, &c->saved) == 0;
	if (!c->terminal)
		return;
	t = c->saved;
	t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	t.c_iflag &= ~(tcflag_t)ICRNL;
	tcsetattr(STDIN_FILENO, TCSANOW, &t);
}

int console_create(struct vmm *vmm, struct vmm_console **out)
{
	struct vmm_console *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->vmm = vmm;
	/* Standard input may be a file, which epoll refuses: then there is no input. */
	c->event = event_new(vmm->base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, c);
	if (!c->event || event_add(c->event, NULL)) {
		console_destroy(c);
		return -EINVAL;
	}
	set_terminal(c);
	*out = c;
	return 0;
}

void console_destroy(struct vmm_console *c)
{
	if (!c)
		return;
	if (c->terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &c->saved);
	if (c->event)
		event_free(c->event);
	free(c);
}
