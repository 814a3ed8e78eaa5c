/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DRIVER_BUS_VHOST_H
#define DRIVER_BUS_VHOST_H

/*
 * A device behind a vhost-user socket, whoever serves it, as if it had registers. The front-end's
 * part of the protocol is here, in the order in which virtual machine monitors do it:
 *
 *	status		GET_STATUS and SET_STATUS where there are; otherwise kept here, with
 *			DEVICE_NEEDS_RESET when the back-end signals an error of a ring
 *	FEATURES_OK	SET_FEATURES; refused, FEATURES_OK stays clear
 *	queue registers	kept here; told with SET_VRING_* at DRIVER_OK, or at enabling after that
 *	reset		GET_VRING_BASE of every ring, then status 0 or RESET_DEVICE, whichever there
 *			is; connects again when the connection was lost
 *	queue reset	GET_VRING_BASE
 *	generation	always 0
 *	lost connection	DEVICE_NEEDS_RESET once DRIVER_OK was set; device ID 0 if nobody answers any
 *			more
 *
 * The protocol does not tell the largest queue size: it is what virtual machine monitors use for
 * such a device (128, net 256, rng 64). Rings start where used->idx stands.
 *
 * Without the protocol feature CONFIG the front-end has to make up the configuration space, and the
 * control queue of a network card: there is none here (bus->no_config), and features about them are
 * not offered.
 */

#include <driver/bus.h>
#include <driver/mem.h>

/*
 * Connects to `socket`. `device_id` 0: guessed from the features that are offered, as the protocol
 * does not tell. `mem` is what the device may access; it stays the caller's, and must not change
 * while DRIVER_OK is set. 0 or -errno.
 */
int drv_vhost_create(const char *socket, uint32_t device_id, struct drv_mem *mem,
		     struct drv_bus **out);

/* Why the connection was lost; "" while it was not. */
const char *drv_vhost_why(struct drv_bus *bus);

#endif
