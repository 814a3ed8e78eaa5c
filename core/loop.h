/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_LOOP_H
#define VIODM_LOOP_H

/*
 * The contract of an event loop. A back-end needs three things of one: tell me when a descriptor is
 * ready, run this soon, run this on your thread and wait. Made by
 * vio_loop_event_create() (libevent) or vio_loop_manual_create() (poll, driven by the caller), or
 * by an embedder that has its own loop.
 *
 * Each loop has one owner thread, see vio_loop_call(). All functions but vio_loop_call() may be
 * called on that thread only.
 */

#include <viodm/util.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vio_loop;

/*
 * A watch of a descriptor. The user fills fd, on_ready and writable and keeps the object alive
 * between watch and unwatch. Level-triggered: on_ready runs again while the descriptor stays
 * readable (writable), or has an error or hang-up to tell.
 */
struct vio_watch {
	int fd;
	bool writable; /* wait for room to write, not for something to read */
	void (*on_ready)(struct vio_watch *watch);
	void *loop_data; /* the loop's own */
};

/* A function to run once, soon, from the loop (not from inside vio_loop_defer). */
struct vio_defer {
	void (*run)(struct vio_defer *defer);
	struct vio_defer *next; /* the loop's own */
	bool queued;		/* the loop's own */
};

/*
 * Something to look at without a system call, for loops that poll before they sleep. The user fills
 * the functions and keeps the object alive between add and remove.
 */
struct vio_poller {
	/* Serve what is there; true when there was something. */
	bool (*poll)(struct vio_poller *poller);
	/*
	 * The loop is about to sleep: ask for a notification through a watched descriptor, then
	 * look again; true when something is there after all.
	 */
	bool (*arm)(struct vio_poller *poller);
	struct vio_poller *next; /* the loop's own */
};

/* Each function is required but the last two. Called through the wrappers below only. */
struct vio_loop_ops {
	const char *name;
	/* Loop thread. 0 or -errno. */
	int (*watch)(struct vio_loop *loop, struct vio_watch *watch);
	/* Loop thread, also from inside any on_ready. After it returns on_ready does not run. */
	void (*unwatch)(struct vio_loop *loop, struct vio_watch *watch);
	/* Loop thread. First come, first served; after descriptors that were ready had their turn.
	 */
	void (*defer)(struct vio_loop *loop, struct vio_defer *defer);
	/* Loop thread. Takes back a defer that has not run yet. */
	void (*cancel)(struct vio_loop *loop, struct vio_defer *defer);
	/* Any thread. */
	void (*call)(struct vio_loop *loop, void (*fn)(void *arg), void *arg);
	/* Loop thread, nothing watched or deferred. */
	void (*destroy)(struct vio_loop *loop);
	/* Loop thread. Optional, both or none: a loop without sleeps at once. */
	void (*poll_add)(struct vio_loop *loop, struct vio_poller *poller);
	/* Loop thread, also from inside poll and arm of another poller. */
	void (*poll_remove)(struct vio_loop *loop, struct vio_poller *poller);
};

struct vio_loop {
	const struct vio_loop_ops *ops;
};

/* Starts watching. Returns 0, -EEXIST if it is watched already, or the loop's -errno. */
VIO_EXPORT int vio_loop_watch(struct vio_loop *loop, struct vio_watch *watch);

/* Stops watching; no effect on a watch that is not watched. */
VIO_EXPORT void vio_loop_unwatch(struct vio_loop *loop, struct vio_watch *watch);

/* Runs `defer` once, soon. No effect while it is already queued. */
VIO_EXPORT void vio_loop_defer(struct vio_loop *loop, struct vio_defer *defer);

/* Takes back a queued defer; no effect otherwise. */
VIO_EXPORT void vio_loop_cancel(struct vio_loop *loop, struct vio_defer *defer);

/*
 * Runs fn(arg) on the loop's owner thread and returns after it ran. On the owner thread itself fn
 * runs at once; from another thread the caller sleeps until the loop comes round, so the owner must
 * be running the loop, or about to.
 */
VIO_EXPORT void vio_loop_call(struct vio_loop *loop, void (*fn)(void *arg), void *arg);

/* Adds a poller. True, or false when this loop does not poll: watch a descriptor, then. */
VIO_EXPORT bool vio_loop_poll_add(struct vio_loop *loop, struct vio_poller *poller);

/* Removes a poller that was added. */
VIO_EXPORT void vio_loop_poll_remove(struct vio_loop *loop, struct vio_poller *poller);

/* Owner thread. NULL is allowed. */
VIO_EXPORT void vio_loop_destroy(struct vio_loop *loop);

#ifdef __cplusplus
}
#endif
#endif
