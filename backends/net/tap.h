/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_TAP_H
#define VIODM_TAP_H

/*
 * A port on the kernel's tap and macvtap descriptors: one per pair, each reads and writes frames
 * with a header before them. tap_open.c makes it, tap.c moves the frames; not installed.
 */

#include <linux/if.h>
#include <pthread.h>
#include <stdatomic.h>

#include <viodm/ports.h>

struct tap_port {
	struct vio_port base;
	char name[IFNAMSIZ];
	bool has_mac;
	uint64_t offloads;  /* VIRTIO_NET_F_... */
	_Atomic(bool) gone; /* the interface was deleted */
	pthread_mutex_t lock;
	bool carrier_due; /* under the lock: the kernel did not take it while no pair was enabled */
	int links; /* a socket that hears of changes of interfaces, or -1: reading tells enough */
	uint16_t n;
	int fd[]; /* of the pairs; those but the first are disabled while not attached */
};

extern const struct vio_port_ops tap_ops;

static inline struct tap_port *to_tap(struct vio_port *port)
{
	return vio_container_of(port, struct tap_port, base);
}

/* tap_open.c: the members of tap_ops that are about the interface. */
int tap_info(struct vio_port *port, struct vio_port_info *info);
int tap_set_offloads(struct vio_port *port, uint64_t offloads);
void tap_set_link(struct vio_port *port, bool up);
void tap_close(struct vio_port *port);

/* An interface changed: is it ours, and deleted? */
bool tap_deleted(struct tap_port *tp);

/*
 * Enables or disables the descriptor of a pair: incoming frames are spread over the enabled ones,
 * and dropped when there is none. 0, or -errno: of many queues this is not, or the interface is
 * gone or as good as, and reading will tell.
 */
int tap_enable(struct tap_port *tp, uint16_t index, bool on);

#endif
