/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * transport = ...
 */
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <viodm/pci.h>

#include "fd_name.h"
#include "leaves.h"
#include "mode.h"

/* What trapped registers can do, and the eventfds of a front-end cannot. */
#define NOTIFY_OPTS(object)                                                                        \
	{                                                                                          \
		.name = "notification-data", .type = VIO_OPT_BOOL,                                 \
		.offset = offsetof(object, notification_data),                                     \
		.help = "offer notifications that carry the driver's available index"              \
	}

static uint64_t notify_opt_in(bool notification_data)
{
	return notification_data ? UINT64_C(1) << VIO_F_NOTIFICATION_DATA : 0;
}

/* ---- mmio ------------------------------------------------------------------------------------ */

struct mmio_opts {
	bool notification_data;
};

static const struct vio_opt mmio_opts[] = {NOTIFY_OPTS(struct mmio_opts)};

static uint64_t mmio_opt_in(const void *opts)
{
	const struct mmio_opts *o = opts;

	return notify_opt_in(o->notification_data);
}

static int mmio_describe(const void *opts, struct vio_config_device *device, struct fault *fault)
{
	(void)opts;
	(void)device;
	(void)fault;
	return 0;
}

const struct leaf leaf_mmio = {
	.name = "mmio",
	.help = "virtio-mmio: a window of registers and an interrupt line",
	.opts = mmio_opts,
	.n_opts = VIO_ARRAY_LEN(mmio_opts),
	.opts_size = sizeof(struct mmio_opts),
	.transport = {.id = VIO_CONFIG_MMIO, .describe = mmio_describe, .opt_in = mmio_opt_in},
};

/* ---- pci ------------------------------------------------------------------------------------- */

struct pci_opts {
	unsigned vectors;
	bool notification_data;
};

static const struct vio_opt pci_opts[] = {
	{.name = "vectors",
	 .type = VIO_OPT_UINT,
	 .offset = offsetof(struct pci_opts, vectors),
	 .def = "auto",
	 .max = 2048,
	 .word = "auto",
	 .word_value = VIO_PCI_VECTORS_AUTO,
	 .help = "MSI-X vectors; 0: none, INTx only; auto: one for each queue and one more"},
	NOTIFY_OPTS(struct pci_opts),
};

static uint64_t pci_opt_in(const void *opts)
{
	const struct pci_opts *o = opts;

	return notify_opt_in(o->notification_data);
}

static int pci_describe(const void *opts, struct vio_config_device *device, struct fault *fault)
{
	const struct pci_opts *o = opts;

	(void)fault;
	device->pci_vectors = (uint16_t)o->vectors;
	return 0;
}

const struct leaf leaf_pci = {
	.name = "pci",
	.help = "virtio-pci: a PCI function",
	.opts = pci_opts,
	.n_opts = VIO_ARRAY_LEN(pci_opts),
	.opts_size = sizeof(struct pci_opts),
	.transport = {.id = VIO_CONFIG_PCI, .describe = pci_describe, .opt_in = pci_opt_in},
};

/* ---- vhost-user ------------------------------------------------------------------------------ */

struct vhost_user_opts {
	char *socket;
	char *mode;
	char *owner;
	char *group;
	bool sealed;
};

static const struct vio_opt vhost_user_opts[] = {
	{.name = "socket",
	 .type = VIO_OPT_PATH,
	 .offset = offsetof(struct vhost_user_opts, socket),
	 .required = true,
	 .help = "where to listen; fd:N: the socket that is open as descriptor N already"},
	{.name = "socket-mode",
	 .type = VIO_OPT_STRING,
	 .offset = offsetof(struct vhost_user_opts, mode),
	 .min = 3,
	 .max = 4,
	 .help = "permission bits of the socket, octal, such as 0660; none: as the umask says"},
	{.name = "socket-owner",
	 .type = VIO_OPT_STRING,
	 .offset = offsetof(struct vhost_user_opts, owner),
	 .min = 1,
	 .max = 255,
	 .help = "user, by name or number, who shall own the socket"},
	{.name = "socket-group",
	 .type = VIO_OPT_STRING,
	 .offset = offsetof(struct vhost_user_opts, group),
	 .min = 1,
	 .max = 255,
	 .help = "group of the socket, by name or number"},
	{.name = "sealed-memory",
	 .type = VIO_OPT_BOOL,
	 .offset = offsetof(struct vhost_user_opts, sealed),
	 .help = "refuse front-ends whose memory files could be made shorter"},
};

static int refuse(struct fault *fault, const char *key, const char *value, const char *why)
{
	fault->key = key;
	snprintf(fault->text, sizeof(fault->text), "\"%.100s\" %s", value, why);
	return -EINVAL;
}

/* All of `text`, at most `max`. */
static bool parse_number(const char *text, unsigned long max, unsigned long *out)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*out = strtoul(text, &end, 10);
	return errno == 0 && *end == '\0' && *out <= max;
}

static int set_socket(const struct vhost_user_opts *o, struct vio_config_device *device,
		      struct fault *fault)
{
	struct sockaddr_un addr;

	device->socket_fd = -1;
	if (fd_name_is(o->socket)) {
		if (!fd_name_parse(o->socket, &device->socket_fd))
			return refuse(fault, "socket", o->socket, FD_NAME_REFUSED);
		return 0;
	}
	if (strlen(o->socket) >= sizeof(addr.sun_path))
		return refuse(fault, "socket", o->socket,
			      "is too long for a socket (107 bytes at most)");
	device->socket = o->socket;
	return 0;
}

/* With a descriptor, whoever made the socket decided these. */
static int check_fd_misfit(const struct vhost_user_opts *o, struct fault *fault)
{
	const char *key = o->mode    ? "socket-mode"
			  : o->owner ? "socket-owner"
			  : o->group ? "socket-group"
				     : NULL;

	if (!key)
		return 0;
	fault->key = key;
	snprintf(fault->text, sizeof(fault->text),
		 "needs a path to make the socket at; this section has socket = %s", o->socket);
	return -EINVAL;
}

static int set_owner(const struct vhost_user_opts *o, struct vio_config_device *device,
		     struct fault *fault)
{
	unsigned long id;
	const struct passwd *user;

	device->socket_uid = (uid_t)-1;
	if (!o->owner)
		return 0;
	if (parse_number(o->owner, UINT_MAX - 1, &id)) {
		device->socket_uid = (uid_t)id;
		return 0;
	}
	user = getpwnam(o->owner);
	if (!user)
		return refuse(fault, "socket-owner", o->owner, "is no user of this system");
	device->socket_uid = user->pw_uid;
	return 0;
}

static int set_group(const struct vhost_user_opts *o, struct vio_config_device *device,
		     struct fault *fault)
{
	unsigned long id;
	const struct group *group;

	device->socket_gid = (gid_t)-1;
	if (!o->group)
		return 0;
	if (parse_number(o->group, UINT_MAX - 1, &id)) {
		device->socket_gid = (gid_t)id;
		return 0;
	}
	group = getgrnam(o->group);
	if (!group)
		return refuse(fault, "socket-group", o->group, "is no group of this system");
	device->socket_gid = group->gr_gid;
	return 0;
}

static int vhost_user_describe(const void *opts, struct vio_config_device *device,
			       struct fault *fault)
{
	const struct vhost_user_opts *o = opts;
	int r;

	device->sealed_memory = o->sealed;
	if (o->mode && !mode_parse(o->mode, &device->socket_mode))
		return refuse(fault, "socket-mode", o->mode, MODE_REFUSED);
	r = set_socket(o, device, fault);
	if (r == 0 && !device->socket)
		r = check_fd_misfit(o, fault);
	if (r == 0)
		r = set_owner(o, device, fault);
	return r ? r : set_group(o, device, fault);
}

const struct leaf leaf_vhost_user = {
	.name = "vhost-user",
	.help = "a unix socket that a VMM connects to; for viodm serve",
	.opts = vhost_user_opts,
	.n_opts = VIO_ARRAY_LEN(vhost_user_opts),
	.opts_size = sizeof(struct vhost_user_opts),
	.transport = {.id = VIO_CONFIG_VHOST_USER, .describe = vhost_user_describe},
};

/* ---- for the models ----------------------------------------------------------------------------
 */

bool leaf_has_front_end(const struct part *parts)
{
	return parts[LEAF_TRANSPORT].leaf == &leaf_vhost_user;
}

/* A front-end chooses without asking, and cannot be told the largest one: any it may come with. */
unsigned leaf_queue_size(const struct part *parts, unsigned set)
{
	if (set)
		return set;
	return leaf_has_front_end(parts) ? 1024 : 256;
}
