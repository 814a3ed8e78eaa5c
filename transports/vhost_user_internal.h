/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_VHOST_USER_INTERNAL_H
#define VIODM_VHOST_USER_INTERNAL_H

/*
 * What the files of the vhost-user server share.
 *
 *   vhost_user.c           the server as an object: create, destroy, connections, what the device
 * asks vhost_user_msg.c       one handler for each request vhost_user_ring.c      the state of each
 * ring, its kick, call and error descriptors vhost_user_mem.c       the memory table: mapping
 * files, switching tables, translating addresses vhost_user_inflight.c  the area that says what is
 * in flight when a server dies vhost_user_guard.c     finding and replacing mappings inside a
 * SIGBUS handler vhost_user_listen.c    making and removing the socket
 *
 * Everything belongs to the loop's thread, except what queue_interrupt, config_interrupt and reset
 * of the device use, which come on any thread: the atomic fields below, the call descriptors'
 * numbers, and event_fd.
 */

#include <errno.h>
#include <stdatomic.h>

#include <viodm/transport.h>
#include <viodm/vhost_msg.h>
#include <viodm/vhost_user.h>

/* The features we offer, beside the device's. */
#define VHU_F_PROTOCOL (UINT64_C(1) << VIO_VHOST_F_PROTOCOL_FEATURES)

/*
 * A ring is in one of three states:
 *
 *   stopped   no kick descriptor: before SET_VRING_KICK, after GET_VRING_BASE and after a reset
 *   disabled  started, but not (yet) enabled by SET_VRING_ENABLE, or lacking its size, addresses or
 *             the memory they are in
 *   running   the device has it: registers written and enabled
 *
 * vhu_ring_pause() takes a running ring to disabled, and remembers where it stopped; then anything
 * of it may be changed; vhu_ring_settle() takes it to where it belongs. Whatever a message changes,
 * it does so between these two: nothing of a ring changes while the device has it.
 */
enum vhu_ring_state { VHU_STOPPED, VHU_DISABLED, VHU_RUNNING };

struct vhu_ring {
	uint16_t index;
	enum vhu_ring_state state;
	bool enabled;	 /* by SET_VRING_ENABLE; counts with protocol features only */
	bool have_addr;	 /* `addr` was set */
	uint32_t size;	 /* 0: not set */
	uint16_t base;	 /* available index to begin with */
	uint16_t end;	 /* where it stopped last, or `base` as set; for GET_VRING_BASE */
	uint64_t gpa[3]; /* descriptor table, available, used ring: what it runs with */
	struct vio_vhost_vring_addr addr;
	int kick_fd; /* -1: none, and the ring is stopped */
	int err_fd;

	/*
	 * Interrupts may be raised on another thread while SET_VRING_CALL gives another descriptor.
	 * So the number, once there, stays until the queue has stopped, and a new descriptor is
	 * dup'ed over it.
	 */
	_Atomic int call_fd;
	_Atomic bool call_on;	  /* call_fd is the front-end's; false: it wants no interrupts */
	_Atomic bool call_missed; /* there was an interrupt meanwhile */
	_Atomic bool call_pipe;	  /* call_fd is no eventfd: writing may raise SIGPIPE */
};

/* A piece of a file, mapped and on the guard's list. */
struct vhu_map {
	dev_t dev; /* which file it is; the mapping keeps the number from being reused */
	ino_t ino;
	void *addr; /* whole pages */
	size_t len;
	char *start; /* the piece, somewhere in them */
	unsigned guard_slot;
};

/* A mapped region; shared by the old and the new table while one replaces the other. */
struct vhu_region {
	struct vio_vhost_region r;
	struct vhu_map map;
	bool kept; /* in the new table, too */
};

/* Where rings 0 .. n_queues - 1 keep track of what is in flight, one area after the other. */
struct vhu_inflight {
	struct vhu_map map;
	uint16_t n_queues; /* 0: there is none, nothing is mapped */
	uint16_t queue_size;
};

struct vhu_table {
	struct vhu_region *region[VIO_VHOST_USER_MAX_SLOTS];
	unsigned n;
};

struct vio_vhost_user {
	struct vio_transport base;
	struct vio_vhost_user_config cfg; /* path, fd: not used after create */
	const struct vio_log *log;

	/* the socket we listen on; fd -1: none */
	struct vio_watch listener;
	char *path; /* to remove at destroy; NULL: none */
	dev_t path_dev;
	ino_t path_ino;

	/* the connection; fd -1: none */
	struct vio_watch conn;
	_Atomic bool connected;
	struct vio_vhost_rx rx;
	uint64_t features;	    /* by SET_FEATURES, with VHU_F_PROTOCOL */
	uint64_t protocol_features; /* by SET_PROTOCOL_FEATURES */
	uint32_t config_generation; /* when the front-end read the configuration last */
	bool config_read;
	bool status_driven; /* the front-end sets the status itself, DRIVER_OK, too */
	bool live;	    /* DRIVER_OK was set */
	bool told_failed;   /* about the device's fault */
	int backend_fd;	    /* socket for our own requests; -1: none */
	uint32_t n_errors;  /* connections closed for an error, ever */
	const char *why;    /* what is wrong with the message being handled */

	struct vhu_table table;
	struct vio_mem *mem; /* the device's map, made from `table` */
	struct vhu_inflight inflight;

	/* What other threads want the loop's thread to know: one of the flags, then the eventfd. */
	struct vio_watch event;
	_Atomic bool config_changed; /* configuration or status */
	_Atomic bool was_reset;	     /* by somebody else than the front-end */
	_Atomic bool memory_gone;    /* set inside a signal handler */

	int null_fd; /* an eventfd that stands for "no descriptor" */
	struct vhu_ring *rings;
	uint16_t n_rings;
};

static inline struct vio_vhost_user *vhu_of(struct vio_transport *t)
{
	return vio_container_of(t, struct vio_vhost_user, base);
}

/* An error of the front-end: remembers what it did. Returns -EPROTO. */
static inline int vhu_bad(struct vio_vhost_user *vu, const char *why)
{
	vu->why = why;
	return -EPROTO;
}

/* ---- vhost_user.c ---------------------------------------------------------------------------- */

/*
 * Resets the device as the front-end's driver would. Rings are stopped and at their defaults, but
 * remember where they stopped: QEMU 7.2 sets status 0 first and asks for the index after that.
 */
void vhu_reset_device(struct vio_vhost_user *vu);

/* The same for the device only; no ring runs, and what was set up for them stays. */
void vhu_reset_keep_rings(struct vio_vhost_user *vu);

/*
 * Lets the device accept vu->features up to FEATURES_OK, if that was not done yet. 0, or -EPROTO
 * when it does not want them.
 */
int vhu_negotiate(struct vio_vhost_user *vu);

/* Sets DRIVER_OK, and catches up with changes of the configuration that nobody was told. */
void vhu_driver_ok(struct vio_vhost_user *vu);

/* Tells the front-end that the configuration changed, if it wants to know. */
void vhu_send_config_change(struct vio_vhost_user *vu);

/* ---- vhost_user_msg.c ------------------------------------------------------------------------ */

/*
 * Handles the message in vu->rx and answers it. 0, or an error after which the connection is to be
 * closed; vu->why says what was wrong.
 */
int vhu_handle(struct vio_vhost_user *vu);

/* ---- vhost_user_ring.c ----------------------------------------------------------------------- */

void vhu_rings_init(struct vio_vhost_user *vu);

/* Running to disabled; waits for the queue's loop. No effect on other rings. */
void vhu_ring_pause(struct vio_vhost_user *vu, struct vhu_ring *ring);
void vhu_rings_pause(struct vio_vhost_user *vu);

/*
 * Disabled to running, if nothing is missing. 0, or -EPROTO when the ring cannot run as it was set
 * up.
 */
int vhu_ring_settle(struct vio_vhost_user *vu, struct vhu_ring *ring);
int vhu_rings_settle(struct vio_vhost_user *vu);

/*
 * Before the table changes to `next`: pauses the rings that it has at another place. False when a
 * running ring is not in it at all.
 */
bool vhu_rings_follow(struct vio_vhost_user *vu, const struct vhu_table *next);

/* To stopped; closes the kick descriptor. */
void vhu_ring_stop(struct vio_vhost_user *vu, struct vhu_ring *ring);

/* The device was reset: all rings are stopped and at their defaults. Call and error stay. */
void vhu_rings_reset(struct vio_vhost_user *vu);

/* The connection ends, the device was reset: closes all descriptors. */
void vhu_rings_close(struct vio_vhost_user *vu);

bool vhu_rings_running(const struct vio_vhost_user *vu);

/* Takes over `fd` (-1: none) as the ring's kick, call or error descriptor. 0 or -EPROTO. */
int vhu_ring_set_kick(struct vio_vhost_user *vu, struct vhu_ring *ring, int fd);
int vhu_ring_set_call(struct vio_vhost_user *vu, struct vhu_ring *ring, int fd);
int vhu_ring_set_err(struct vio_vhost_user *vu, struct vhu_ring *ring, int fd);

/* Any thread: used buffers to tell. */
void vhu_ring_interrupt(struct vhu_ring *ring);

/* The device failed: signals the error descriptors of rings that are started. */
void vhu_rings_signal_error(struct vio_vhost_user *vu);

/* ---- vhost_user_mem.c ------------------------------------------------------------------------ */

/*
 * Maps `size` bytes (not 0) at `offset` of a file that the front-end may change at any time, as far
 * as it is that long. The descriptor stays the caller's. 0 or -errno with vu->why set.
 */
int vhu_map_file(struct vio_vhost_user *vu, int fd, uint64_t offset, uint64_t size,
		 struct vhu_map *out);
void vhu_unmap(struct vio_vhost_user *vu, const struct vhu_map *map);

/*
 * Each replaces the device's memory map and unmaps what is not in it any more, with the queues
 * stopped for the moment. The descriptors stay the caller's. 0 or -errno with vu->why set and the
 * old table in place.
 */
int vhu_mem_set(struct vio_vhost_user *vu, const struct vio_vhost_region *r, const int *fds,
		unsigned n);
int vhu_mem_add(struct vio_vhost_user *vu, const struct vio_vhost_region *r, int fd);
int vhu_mem_remove(struct vio_vhost_user *vu, const struct vio_vhost_region *r);

/* No queue runs: the device gets no memory, everything is unmapped. */
void vhu_mem_clear(struct vio_vhost_user *vu);

/* The guest-physical address of an address of the front-end's process. */
bool vhu_mem_translate(const struct vhu_table *table, uint64_t uaddr, uint64_t *gpa);

/* ---- vhost_user_inflight.c --------------------------------------------------------------------
 */

/*
 * In-flight tracking (core/inflight.h). A front-end has us make the areas once, keeps the file, and
 * hands it to whoever serves the rings after us. There an area decides where its ring goes on, and
 * SET_VRING_BASE does not count: QEMU, which cannot ask a dead server, sends the used index.
 *
 * A disconnect leaves the areas as they are, for the next server; when the driver resets the device
 * what they say is void.
 */

/*
 * Makes zeroed areas for the rings that `*d` says, uses them from now on, and fills in where they
 * are in the file `*fd`, which becomes the caller's. 0 or -errno with vu->why set.
 */
int vhu_inflight_make(struct vio_vhost_user *vu, struct vio_vhost_inflight *d, int *fd);

/* Uses the areas that are in `fd`, as `*d` says; the descriptor stays the caller's. As above. */
int vhu_inflight_set(struct vio_vhost_user *vu, const struct vio_vhost_inflight *d, int fd);

/* The ring is about to run: gives it its area, if any. 0, or -EPROTO when that does not fit. */
int vhu_inflight_give(struct vio_vhost_user *vu, const struct vhu_ring *ring);

/* The driver reset the device, no ring runs: nothing is in flight. */
void vhu_inflight_clear(struct vio_vhost_user *vu);

/* The connection ends, no ring runs: unmaps the areas. */
void vhu_inflight_close(struct vio_vhost_user *vu);

/* ---- vhost_user_guard.c ---------------------------------------------------------------------- */

/*
 * Puts a mapping on the list; `slot` takes it off. A fault in it sets *gone and signals event_fd.
 * 0 or -ENOSPC. Any thread; a NULL guard takes everything.
 */
int vhu_guard_add(struct vio_vhost_user_guard *guard, void *map, size_t len, _Atomic bool *gone,
		  int event_fd, unsigned *slot);
void vhu_guard_remove(struct vio_vhost_user_guard *guard, unsigned slot);

/* ---- vhost_user_listen.c --------------------------------------------------------------------- */

/* Fills listener.fd or, for a socket that is connected already, conn.fd. 0 or -errno. */
int vhu_listen(struct vio_vhost_user *vu, const struct vio_vhost_user_config *cfg);

/* Closes the listening socket and removes its file. */
void vhu_unlisten(struct vio_vhost_user *vu);

#endif
