/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONFORM_TARGET_H
#define CONFORM_TARGET_H

/*
 * The device under test, as the command line names it:
 *
 *	inproc:FILE[:DEVICE]	a device of a configuration file, in the check's process, behind the
 *				registers that its section says (or --bus)
 *	vhost-user:SOCKET	whatever serves that socket
 */

#include "check.h"

struct target_config {
	const char *spec; /* as above */
	unsigned bus;	  /* an enum way, or 0: what the section says */
	uint32_t device;  /* virtio device ID of a vhost-user server */
	char **options;	  /* section.key=value, over the file */
	unsigned n_options;
	unsigned patience_ms; /* a device that is silent for so long with a request in hand lost it
			       */
};

struct target;

/*
 * Opens the target for one check: fills r->bus, drv, mem, way, device_id. In the process of the
 * check, which ends without closing: the kernel does that. 0, or -errno with a line in `error`.
 */
int target_open(struct run *r, const struct target_config *cfg, char *error, unsigned len);

#endif
