/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_CONFIG_H
#define VIODM_CONFIG_H

/*
 * viodm-config: from a configuration file to devices. The library of the viodm command and of a VMM
 * that takes the same file. docs/config.md describes the file.
 *
 *	struct vio_config *cfg;
 *	struct vio_assembly *devices;
 *
 *	vio_config_create(&vm_section, 1, &cfg);     sections of the VMM's own, if any
 *	vio_config_read(cfg, "vm.ini");              and any number of ...
 *	vio_config_set(cfg, "disk0.engine=memory");  ... -o options
 *	vio_config_check(cfg);                       everything is checked, nothing was created
 *	vio_assembly_create(cfg, &env, &devices);    IO threads, storage, ports, devices ...
 *	for (i = 0; i < vio_config_n_devices(cfg); i++)
 *		... put vio_assembly_device(devices, i) behind the registers that
 *		    vio_config_device(cfg, i) asks for
 *
 * Each step returns 0 or -errno; after a failure vio_config_error() is the line to show, such as
 *
 *	vm.ini:7: [blk disk0] queue-size: "300" is not a power of two (power of two 2..1024, or
 *	auto)
 *
 * and the only sensible thing left is vio_config_destroy(). One thread at a time uses a config.
 */

#include <stdio.h>
#include <sys/types.h>

#include <viodm/device.h>
#include <viodm/opts.h>
#include <viodm/port.h>
#include <viodm/storage.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vio_config;
struct vio_assembly;

/* ---- reading and checking -------------------------------------------------------------------- */

/*
 * A section that the embedder adds, such as [vm]: without a name, once at most. It is there with
 * its defaults even if the file does not mention it.
 */
struct vio_config_section {
	const char *type; /* "vm"; no name of a device may be the same */
	const char *help; /* one line, for the listing */
	const struct vio_opt *opts;
	size_t n_opts;
	/*
	 * The object that the table's offsets are of. vio_config_create() sets the defaults,
	 * vio_config_check() the values; strings in it belong to the config and live as long. Not
	 * to be used after a failed check.
	 */
	void *data;
	/*
	 * Called by vio_config_check() when all fields are set: do they fit together? 0, or -EINVAL
	 * (or another -errno) with one line in `err` (VIO_OPT_ERROR_LEN bytes). Optional.
	 */
	int (*check)(void *data, char *err);
};

/* `sections` is borrowed and must outlive the config. 0, -EINVAL (a table is wrong) or -ENOMEM. */
VIO_EXPORT int vio_config_create(const struct vio_config_section *sections, size_t n,
				 struct vio_config **out);

/*
 * Says which sections belong to other programs, by type, up to NULL: whatever vio_config_read()
 * finds there is left alone, and may be wrong. Borrowed. Not said: there are none.
 */
VIO_EXPORT void vio_config_ignore(struct vio_config *cfg, const char *const *types);

/* Frees the config and the strings it filled in. After its assembly. NULL is allowed. */
VIO_EXPORT void vio_config_destroy(struct vio_config *cfg);

/*
 * Reads a file. Syntax, section types, names and keys are checked here, values by
 * vio_config_check(). 0, -EINVAL, -ENOMEM, or -errno of opening and reading. May be called for
 * several files: together they are one.
 */
VIO_EXPORT int vio_config_read(struct vio_config *cfg, const char *path);

/* The same from memory; `name` stands for the file in messages. */
VIO_EXPORT int vio_config_read_buffer(struct vio_config *cfg, const char *name, const char *text,
				      size_t len);

/*
 * Sets one value, "section.key=value", over what any file says, read before or after: section is a
 * device's name (disk0) or the type of a section without one (vm). vio_config_check() looks at both
 * and at the value. A choice made here, such as disk0.engine=memory, makes what the file says for
 * other engines void. 0, -EINVAL (not of this form) or -ENOMEM.
 */
VIO_EXPORT int vio_config_set(struct vio_config *cfg, const char *assignment);

/* How the driver reaches a device: which object the embedder puts in front of it. */
enum vio_config_transport {
	VIO_CONFIG_MMIO,
	VIO_CONFIG_PCI,
	VIO_CONFIG_VHOST_USER,
};

/*
 * Says which transports the embedder has, as bits `1u << VIO_CONFIG_...`: vio_config_check()
 * refuses a section with another one, in the name of `program`. Not said: all of them. `program` is
 * borrowed.
 */
VIO_EXPORT void vio_config_take_transports(struct vio_config *cfg, const char *program,
					   unsigned transports);

/*
 * Checks everything: types and ranges, missing keys, options that do not fit together, image files
 * (they are opened, looked at and closed). 0, -EINVAL, -ENOMEM, or -errno of an image. Nothing can
 * be read or set afterwards (-EBUSY).
 */
VIO_EXPORT int vio_config_check(struct vio_config *cfg);

/* One line about the last failure, without a newline; "" when there was none. */
VIO_EXPORT const char *vio_config_error(const struct vio_config *cfg);

/* ---- what a checked config describes --------------------------------------------------------- */

/* A device section, in the order of the file. Strings live as long as the config. */
struct vio_config_device {
	const char *name;    /* "disk0" */
	const char *model;   /* "blk" */
	const char *backend; /* "iothread" */
	const char *engine;  /* "auto"; NULL: the model has none */
	const char *port;    /* "tap"; NULL: the model has none */
	enum vio_config_transport transport;
	uint16_t pci_vectors; /* transport PCI: n_vectors of struct vio_pci_config */
	/* transport VHOST_USER, as in struct vio_vhost_user_config: */
	const char *socket; /* a path, or NULL: */
	int socket_fd;	    /* an open socket */
	mode_t socket_mode; /* 0: as the umask says */
	uid_t socket_uid;   /* (uid_t)-1: leave it */
	gid_t socket_gid;   /* (gid_t)-1: leave it */
	bool sealed_memory;
};

/* 0 before vio_config_check() succeeded. */
VIO_EXPORT size_t vio_config_n_devices(const struct vio_config *cfg);

/* Device `i`, or NULL past the last. */
VIO_EXPORT const struct vio_config_device *vio_config_device(const struct vio_config *cfg,
							     size_t i);

/*
 * Prints what the devices are made of, a few lines each: what `viodm check` shows. A section of the
 * embedder's that is not written is left out.
 */
VIO_EXPORT void vio_config_print(const struct vio_config *cfg, FILE *out);

/*
 * Prints every section, device model, transport, back-end, storage engine and network port of this
 * build with all options, and the embedder's own sections first: what `viodm list` shows.
 */
VIO_EXPORT void vio_config_list(FILE *out, const struct vio_config_section *sections, size_t n);

/* ---- assembling ------------------------------------------------------------------------------ */

/* What the devices stand in. All pointers are borrowed and must outlive the assembly. */
struct vio_config_env {
	struct vio_loop *loop;	   /* in-process devices run here */
	const struct vio_mem *mem; /* may be NULL until vio_device_set_mem() */
	const struct vio_log *log; /* NULL: standard error */
};

/*
 * Creates the IO threads, then storage or port, back-end and device of every device section, in
 * order.
 * `cfg` was checked and must outlive the assembly. Either all of them or none. 0, -EINVAL (not
 * checked), -ENOMEM, or -errno of what failed, with vio_config_error(). Thread: the loop's owner.
 */
VIO_EXPORT int vio_assembly_create(struct vio_config *cfg, const struct vio_config_env *env,
				   struct vio_assembly **out);

/*
 * Destroys devices, back-ends, storage, ports and IO threads. The embedder has destroyed the
 * transports. Thread: the loop's owner. NULL is allowed.
 */
VIO_EXPORT void vio_assembly_destroy(struct vio_assembly *a);

/* The device of section `i` (see vio_config_device()), or NULL past the last. */
VIO_EXPORT struct vio_device *vio_assembly_device(const struct vio_assembly *a, size_t i);

/* What is under that device, or NULL when it has no storage. */
VIO_EXPORT struct vio_storage *vio_assembly_storage(const struct vio_assembly *a, size_t i);

/* What carries that device's frames, or NULL when it is no network device. */
VIO_EXPORT struct vio_port *vio_assembly_port(const struct vio_assembly *a, size_t i);

/*
 * Looks at the size of device `i`'s storage again; the driver is told of a new capacity. 1 when it
 * changed, 0 when not or when there is no size, or -errno. Any thread.
 */
VIO_EXPORT int vio_assembly_refresh_device(struct vio_assembly *a, size_t i);

/*
 * Looks at the size of every disk's storage again; drivers are told of a new capacity. Returns how
 * many changed; failures are logged and count as unchanged. Any thread.
 */
VIO_EXPORT unsigned vio_assembly_refresh(struct vio_assembly *a);

#ifdef __cplusplus
}
#endif
#endif
