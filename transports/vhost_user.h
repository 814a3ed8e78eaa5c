/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_VHOST_USER_H
#define VIODM_VHOST_USER_H

/*
 * vhost-user, the server's side: a device behind a unix socket. The driver lives in another
 * process, the front-end (a VMM), which shares its guest's memory and hands over rings, kick and
 * call descriptors with messages. To the device this is one more transport.
 *
 * One front-end at a time is served; the next one waits in the socket's queue until the first one
 * disconnects, which resets the device. Any number of such servers may live in one process.
 *
 * Threads. A server has no thread: messages are handled on the thread of the loop it was given, and
 * what it does there may wait for the loops that run the device's queues. So servers and queues may
 * share a loop, or queues run on IO threads; but a loop that runs servers must not also run queues
 * of a device whose server is on another loop, or the two may wait for each other. One loop for all
 * servers of the process is the simple choice.
 *
 * The front-end is not trusted. A message that breaks the protocol closes its connection, with one
 * line in the log, and so resets the device; nothing else in the process notices. What a front-end
 * can still do is be slow on its own behalf: a call or error descriptor that it makes blocking
 * again and fills stalls the thread that runs the queue. Linux has no write to an eventfd that does
 * not wait whatever the flags say (RWF_NOWAIT is for reads, and an eventfd cannot be opened a
 * second time), and looking at them before each interrupt would cost a system call and leave a gap.
 * Front-ends that must not disturb each other's speed need IO threads of their own.
 *
 * Memory files. Guest memory is mapped from files of the front-end. If such a file is made shorter
 * later, touching what is gone raises SIGBUS, which ends the process. Three ways to live with it:
 * `sealed_only`, which accepts only files that cannot shrink (memfd with F_SEAL_SHRINK); a guard,
 * see below, called from the program's SIGBUS handler; or trusting the front-end.
 *
 * In-flight tracking. When a server dies, front-ends that reconnect hand the next one what the dead
 * one had noted of its rings: requests that were taken and not used are served again, and each is
 * used once. A disconnect leaves nothing of that kind, since requests are finished first. The notes
 * are in a file of ours that cannot shrink, or in one of the front-end's, to which all of the above
 * applies.
 *
 * Offered protocol features: MQ, REPLY_ACK, BACKEND_REQ, CONFIG, RESET_DEVICE, CONFIGURE_MEM_SLOTS,
 * STATUS, INFLIGHT_SHMFD. A front-end that wants rings polled instead of kicked is refused. It
 * cannot say how large queues may be, so give the device the largest queue size that front-ends
 * use.
 */

#include <sys/types.h>

#include <viodm/device.h>
#include <viodm/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vio_vhost_user;
struct vio_vhost_user_guard;

/* Memory regions of one front-end, and the most bytes they may have together. */
#define VIO_VHOST_USER_MAX_SLOTS  256
#define VIO_VHOST_USER_MAX_MEMORY (UINT64_C(1) << 44)

struct vio_vhost_user_config {
	struct vio_loop *loop; /* borrowed */
	/*
	 * Where to listen. A socket that nobody listens on any more is replaced; anything else that
	 * is there is -EADDRINUSE. The file is removed at destroy. NULL: use `fd`.
	 */
	const char *path;
	/*
	 * Without a path: a unix stream socket that listens (socket activation), or one that is
	 * connected to a front-end, which then is the only one. The server's on success.
	 */
	int fd;
	/* For `path`, set before anybody can connect. mode 0: as the umask says. */
	mode_t mode;
	bool set_owner; /* to uid and gid; (uid_t)-1 and (gid_t)-1: leave it */
	uid_t uid;
	gid_t gid;
	/* Refuse memory files that could shrink. */
	bool sealed_only;
	/* Borrowed; may be shared by all servers of the process. NULL: none. */
	struct vio_vhost_user_guard *guard;
	/*
	 * Optional, loop thread: a front-end connected, or disconnected (the device is reset and
	 * memory is unmapped). Must not destroy the server.
	 */
	void (*connection)(void *arg, bool connected);
	void *arg;
};

/*
 * Puts `dev`, whose memory map is NULL, behind a socket and listens. Any thread while the loop
 * runs, or its owner. 0, -EBUSY (the device has a transport already), -EINVAL (neither path nor
 * socket), -ENAMETOOLONG, -EADDRINUSE, -ENOMEM, or another -errno of the system calls for sockets,
 * modes and owners.
 */
VIO_EXPORT int vio_vhost_user_create(struct vio_device *dev,
				     const struct vio_vhost_user_config *cfg,
				     struct vio_vhost_user **out);

/* Disconnects, resets the device, stops listening. Any thread, as above. NULL is allowed. */
VIO_EXPORT void vio_vhost_user_destroy(struct vio_vhost_user *vu);

/* True while a front-end is connected. Any thread. */
VIO_EXPORT bool vio_vhost_user_connected(const struct vio_vhost_user *vu);

/*
 * A guard keeps a process alive when a front-end takes away memory that it shared: a list of what
 * servers have mapped, that can be read inside a signal handler. The library installs no handler,
 * since SIGBUS belongs to the process. The program does, somewhat like this, for the whole process:
 *
 *     static struct vio_vhost_user_guard *guard;
 *
 *     static void on_sigbus(int sig, siginfo_t *info, void *context)
 *     {
 *             if (info->si_code <= 0 || !vio_vhost_user_guard_fault(guard, info->si_addr)) {
 *                     signal(sig, SIG_DFL);  // not ours: die of it as usual
 *                     raise(sig);
 *             }
 *     }
 *
 * with SA_SIGINFO. `mappings` is how many memory regions all servers that use it may have mapped at
 * once, and 2 more for each server, for in-flight tracking; further ones are refused. 0 or -ENOMEM.
 */
VIO_EXPORT int vio_vhost_user_guard_create(unsigned mappings, struct vio_vhost_user_guard **out);

/* No server uses it, and no handler will. NULL is allowed. */
VIO_EXPORT void vio_vhost_user_guard_destroy(struct vio_vhost_user_guard *guard);

/*
 * `addr` could not be reached. When it is in a front-end's memory: puts zeroed private memory in
 * the place of that whole region, so that whoever touched it can go on, tells its server, which
 * fails the device and disconnects the front-end, and returns true. False: not ours. Any thread,
 * inside a signal handler; keeps errno. NULL is allowed.
 */
VIO_EXPORT bool vio_vhost_user_guard_fault(struct vio_vhost_user_guard *guard, const void *addr);

#ifdef __cplusplus
}
#endif
#endif
