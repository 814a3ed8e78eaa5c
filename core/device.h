/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_DEVICE_H
#define VIODM_DEVICE_H

/*
 * struct vio_device: what every virtio device has, whatever its type and transport (virtio 1.4,
 * "Basic Facilities of a Virtio Device"): status machine, feature negotiation, queue registers with
 * their freezing, configuration space and generation, queue and device reset, driver faults.
 *
 * Four parties use this header, in four sections below: the embedder, transports, device models and
 * back-ends.
 *
 * Threads. Register accesses may come from any number of threads at once; each device serialises
 * its own on one mutex, there is none that two devices share, and no data-path function (kick, pop,
 * push, publish, interrupt) takes it. A register write that starts or stops queues (status,
 * queue ready or enable, queue reset) waits for the queue's loop without holding the mutex; the
 * device answers reads meanwhile, and ignores writes from other threads. While the embedder stops
 * or starts queues (a new memory map, pause, resume), which the driver cannot know, writes wait
 * instead, and no write is lost.
 */

#include <pthread.h>

#include <viodm/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vio_device;
struct vio_transport;
struct vio_backend;
struct vio_loop;

/* "Device Suspend", for kernel headers that do not know it: the feature bit, the status bit. */
#define VIO_F_SUSPEND	   43
#define VIO_STATUS_SUSPEND 0x10

/* The largest number of virtqueues of one device here. */
#define VIO_DEVICE_MAX_QUEUES 256

/* ---- embedder ------------------------------------------------------------------------------- */

/* A feature bit that <linux/virtio_config.h> may be too old to name. */
#define VIO_F_NOTIFICATION_DATA 38

/*
 * Features that a device offers only when asked to, as bits of vio_device_env.opt_in: they are of
 * use to few drivers, and what they cost is the device's.
 *
 *   VIRTIO_F_IN_ORDER (35)     buffers are used in the order in which they were made available; a
 *                              request that is done early waits for those before it. Offered when
 *                              the back-end can.
 *   VIO_F_NOTIFICATION_DATA    notifications carry the driver's available index. Offered when the
 *                              transport has notifications that can: not over vhost-user. Nothing
 *                              is done with the index: the ring says what is available. On mmio it
 *                              gets into the way of ioeventfds, see vio_mmio_ioeventfd().
 */
#define VIO_OPT_IN_FEATURES (UINT64_C(1) << 35 | UINT64_C(1) << VIO_F_NOTIFICATION_DATA)

/*
 * What a device stands in, given to every vio_<model>_create(). All pointers are borrowed and must
 * outlive the device.
 */
struct vio_device_env {
	const char *name; /* for log lines, such as "disk0"; copied. NULL: the model's name */
	const struct vio_mem *mem;   /* guest memory; may be NULL until vio_device_set_mem() */
	struct vio_backend *backend; /* who runs the queues */
	const struct vio_log *log;   /* NULL: standard error */
	uint64_t opt_in; /* of VIO_OPT_IN_FEATURES, those to offer; other bits: ignored */
};

/*
 * Switches the device to another memory map: stops the running queues, swaps, starts them where
 * they were. Returns 0 or -EFAULT/-EINVAL/-ENOMEM when a running queue cannot go on with the new
 * map; that queue's device has then failed (NEEDS_RESET), and uses the new map all the same; or
 * -EBUSY on a thread that is inside a start or stop of this device.
 *
 * Any thread but, for a device of a loop that another thread runs, one the loop waits for. With a
 * vhost-user server it happens on the server's loop, which counts as one of the device's loops
 * then. With other transports, when registers are accessed on the thread of a loop that runs
 * queues of the device, call this on that thread, too: elsewhere a register write and this could
 * wait for each other.
 */
VIO_EXPORT int vio_device_set_mem(struct vio_device *dev, const struct vio_mem *mem);

/*
 * Stops the queues until vio_device_resume(): what is in flight is finished, what the driver makes
 * available from then on waits, notifications included. The driver may go on using the registers,
 * also reset the device and set it up again; queues it starts wait, too. Pausing twice is pausing
 * once. Returns 0, or -EBUSY on a thread that is inside a start or stop of this device. Threads as
 * for vio_device_set_mem().
 */
VIO_EXPORT int vio_device_pause(struct vio_device *dev);

/* Starts the queues that run but for vio_device_pause(). 0 or -EBUSY, as there. */
VIO_EXPORT int vio_device_resume(struct vio_device *dev);

/* Any thread. */
VIO_EXPORT bool vio_device_paused(const struct vio_device *dev);

/* What queue `index` has done so far; all 0 for a queue that does not exist. Any thread. */
VIO_EXPORT void vio_device_queue_stats(const struct vio_device *dev, uint32_t index,
				       struct vio_queue_stats *stats);

/*
 * The VMM resets the machine: the same as the driver writing status 0. Waits for the queues.
 * Threads as for vio_device_set_mem().
 */
VIO_EXPORT void vio_device_reset(struct vio_device *dev);

/* Resets, then frees the device. Its transport must be destroyed first. NULL is allowed. */
VIO_EXPORT void vio_device_destroy(struct vio_device *dev);

VIO_EXPORT const char *vio_device_name(const struct vio_device *dev);

/* ---- transports ------------------------------------------------------------------------------ */

/* Register view of one queue. */
struct vio_queue_regs {
	uint64_t desc;
	uint64_t driver;
	uint64_t device;
	uint16_t size;	     /* as set, or the maximum after reset */
	uint16_t max_size;   /* 0: no such queue; then all other fields are 0 */
	uint16_t next_avail; /* where an enabled queue begins */
	bool enabled;
	bool resetting;
};

enum vio_queue_field {
	VIO_QUEUE_SIZE,
	VIO_QUEUE_DESC_LO,
	VIO_QUEUE_DESC_HI,
	VIO_QUEUE_DRIVER_LO,
	VIO_QUEUE_DRIVER_HI,
	VIO_QUEUE_DEVICE_LO,
	VIO_QUEUE_DEVICE_HI,
	VIO_QUEUE_NEXT_AVAIL, /* for transports whose driver goes on with a used ring; else 0 */
};

/* Binds a transport; recomputes the offered features. Before any register access. */
VIO_EXPORT void vio_device_attach(struct vio_device *dev, struct vio_transport *t);

/* Resets the device and unbinds its transport. */
VIO_EXPORT void vio_device_detach(struct vio_device *dev);

VIO_EXPORT uint8_t vio_device_status(const struct vio_device *dev);

/*
 * A write to the status register. 0 resets and returns when the reset is complete (unless called on
 * a thread that is itself inside the reset). Otherwise sets the bits that are legal now: bits are
 * never cleared, FEATURES_OK stays clear when the accepted features are not acceptable, DRIVER_OK
 * needs FEATURES_OK and starts the enabled queues.
 *
 * With VIRTIO_F_SUSPEND accepted, setting SUSPEND in a device that runs suspends it ("Device
 * Suspend"): stops the queues as for a reset, waiting for what is in flight, and then, unless the
 * driver broke a rule meanwhile, shows SUSPEND and takes DRIVER_OK back. Until DRIVER_OK is set
 * again the device leaves the queues alone and interrupts for nothing; the driver reads the
 * configuration as it was and cannot change it. Queue registers go on working for queues that were
 * not enabled, and for resets of those that were. Then the queues go on where they were, with what
 * was made available meanwhile, and changes of the configuration are announced. All that the
 * embedder may do to a device, reset included, it may do to a suspended one; vio_device_pause() is
 * another, independent reason for queues not to run.
 */
VIO_EXPORT void vio_device_set_status(struct vio_device *dev, uint8_t status);

/* 32 offered, or accepted, feature bits; window 0 is bits 0-31. Windows past the last read 0. */
VIO_EXPORT uint32_t vio_device_offered(const struct vio_device *dev, uint32_t window);
VIO_EXPORT uint32_t vio_device_accepted(struct vio_device *dev, uint32_t window);

/* The driver accepts features; ignored from FEATURES_OK on. */
VIO_EXPORT void vio_device_accept(struct vio_device *dev, uint32_t window, uint32_t bits);

/* True when FEATURES_OK is set and bit `feature` (0..63) was accepted. Any thread. */
VIO_EXPORT bool vio_device_has(const struct vio_device *dev, unsigned feature);

VIO_EXPORT uint16_t vio_device_n_queues(const struct vio_device *dev);

/*
 * How many neighbouring queues belong together, such as the receive and the transmit queue of a
 * pair: queues of the same index / group run on the same loop. At least 1.
 */
VIO_EXPORT uint16_t vio_device_queue_group(const struct vio_device *dev);

VIO_EXPORT void vio_device_queue_get(struct vio_device *dev, uint32_t index,
				     struct vio_queue_regs *regs);

/*
 * Writes a queue register. Ignored for a queue that does not exist, that is enabled or being reset,
 * before FEATURES_OK and after NEEDS_RESET: this is the one guard that freezes a running queue for
 * all transports. A size that is no power of two or above the maximum is a driver fault.
 */
VIO_EXPORT void vio_device_queue_set(struct vio_device *dev, uint32_t index,
				     enum vio_queue_field field, uint32_t value);

/*
 * Enables a queue: its registers are copied, checked and frozen; bad ones are a driver fault. With
 * DRIVER_OK set the queue starts at once. No effect when already enabled.
 */
VIO_EXPORT void vio_device_queue_enable(struct vio_device *dev, uint32_t index);

/*
 * Stops the queue (MMIO: QueueReady = 0) and waits for its loop. The registers keep their values
 * but for next_avail, which becomes 0; returned is where the queue stopped: every chain before that
 * index was used. 0 for a queue that was not enabled.
 */
VIO_EXPORT uint16_t vio_device_queue_disable(struct vio_device *dev, uint32_t index);

/*
 * The queue waits on `fd` from its next start on, an eventfd of somebody else's instead of the
 * device's own; -1: its own again. Borrowed until then. 0, or -EBUSY while the queue is enabled or
 * being reset, or -EINVAL for a queue that does not exist.
 */
VIO_EXPORT int vio_device_queue_set_kick_fd(struct vio_device *dev, uint32_t index, int fd);

/*
 * From its next start on (which interrupts, whatever the ring says) the queue keeps track of what
 * is in flight in `area` (inflight.h), `len` bytes at a multiple of 8 that outlive this process,
 * and begins with what an earlier owner left there; NULL: no tracking. An area that is too short,
 * or of another queue size or version, is a driver fault at enable. Borrowed. 0, -EBUSY or -EINVAL
 * as for the kick fd.
 */
VIO_EXPORT int vio_device_queue_set_inflight(struct vio_device *dev, uint32_t index,
					     struct vio_inflight *area, size_t len);

/* Resets one queue to its defaults; ignored unless VIRTIO_F_RING_RESET was accepted. Waits. */
VIO_EXPORT void vio_device_queue_reset(struct vio_device *dev, uint32_t index);

/*
 * An available-buffer notification. Lock-free. Ignored for a queue that does not exist; harmless
 * for one that does not run.
 */
VIO_EXPORT void vio_device_kick(struct vio_device *dev, uint32_t index);

/*
 * The eventfd that a kick signals, for KVM_IOEVENTFD and the like; -1 for a queue that does not
 * exist. It belongs to the device, lives as long as the device, and never changes, unless the
 * transport gives another one with vio_device_queue_set_kick_fd().
 */
VIO_EXPORT int vio_device_kick_fd(const struct vio_device *dev, uint32_t index);

/*
 * True when that is one of the transport's, which somebody else may have as well: who can take
 * events away and change the flags that all its holders share, O_NONBLOCK among them.
 */
VIO_EXPORT bool vio_device_kick_fd_shared(const struct vio_device *dev, uint32_t index);

/*
 * Reads or writes the device configuration space. Bytes outside it read 0 and ignore writes, for
 * every offset and length. Writes count from FEATURES_OK on, while the device is not suspended.
 */
VIO_EXPORT void vio_device_config_read(struct vio_device *dev, uint64_t off, void *buf, size_t len);
VIO_EXPORT void vio_device_config_write(struct vio_device *dev, uint64_t off, const void *buf,
					size_t len);
VIO_EXPORT uint32_t vio_device_config_size(const struct vio_device *dev);

/*
 * Configuration generation. Reading it arms the next change: between two reads it moves by one at
 * most, so no wrap of a narrow register hides a change.
 */
VIO_EXPORT uint32_t vio_device_config_generation(struct vio_device *dev);

/* A shared memory region of the device ("Shared Memory Regions"); `len` bytes at `hva`. */
struct vio_shm {
	uint8_t id; /* unique within the device */
	void *hva;
	uint64_t len; /* power of two, at least 4096 */
};

/* Region number `i` (not its id), or NULL past the last. */
VIO_EXPORT const struct vio_shm *vio_device_shm(const struct vio_device *dev, unsigned i);

/* The virtio device ID, for example 2 for a block device. */
VIO_EXPORT uint32_t vio_device_id(const struct vio_device *dev);

/* ---- device models --------------------------------------------------------------------------- */

struct vio_device_ops {
	const char *name; /* "blk" */
	uint32_t id;	  /* virtio device ID */
	/*
	 * Register thread. May the driver have this subset of the offered features? VERSION_1 and
	 * the ring's own bits are checked already. Optional: every subset is fine.
	 */
	bool (*features_ok)(struct vio_device *dev, uint64_t features);
	/* Register thread, after FEATURES_OK became set. Optional. */
	void (*negotiated)(struct vio_device *dev);
	/*
	 * Loop thread. The ring is started (slots exist); attach engines, set q->device_data.
	 * `loop` runs this queue. 0 or -errno. Optional.
	 */
	int (*queue_start)(struct vio_device *dev, struct vio_queue *q, struct vio_loop *loop);
	/* Loop thread. Waits for what is in flight, detaches. Optional. */
	void (*queue_stop)(struct vio_device *dev, struct vio_queue *q);
	/*
	 * Loop thread. Serves available chains, queue-size ones at most. True: more may be
	 * available, call again after other work of the loop. Required.
	 */
	bool (*queue_run)(struct vio_device *dev, struct vio_queue *q);
	/*
	 * Register thread, under the device's mutex. The driver writes [off, off + len) of the
	 * configuration, inside config_size; the op changes dev->config itself. Optional: ignored.
	 */
	void (*config_write)(struct vio_device *dev, uint32_t off, const void *buf, uint32_t len);
	/* Register thread, all queues stopped: back to power-on state; the op may change
	 * dev->config by vio_device_config_update() only. Optional. */
	void (*reset)(struct vio_device *dev);
	/* Frees the model's object; all queues stopped. Required. */
	void (*destroy)(struct vio_device *dev);
};

struct vio_device_queue; /* device.c */

struct vio_device {
	const struct vio_device_ops *ops;
	const struct vio_mem *mem;
	struct vio_backend *backend;
	struct vio_transport *transport;
	const struct vio_log *log;
	char *name;

	uint64_t model_features; /* set by the model before init */
	uint64_t opt_in;
	uint64_t offered;
	VIO_ATOMIC(uint64_t) accepted;
	bool accepted_unknown; /* bits above 63 */
	VIO_ATOMIC(uint8_t) status;
	VIO_ATOMIC(bool) negotiated; /* FEATURES_OK is set */

	struct vio_device_queue *queues;
	uint16_t n_queues;
	uint16_t queue_size;  /* maximum */
	uint16_t queue_group; /* that many neighbouring queues run on one loop; 0: 1 */
	size_t slot_size;     /* sizeof the model's request, which begins with struct vio_chain */

	uint8_t *config;	/* little-endian, as the driver sees it but for: */
	uint8_t *config_frozen; /* what it sees while suspended */
	uint32_t config_size;
	uint32_t generation;
	bool generation_read;

	const struct vio_shm *shm;
	unsigned n_shm;

	pthread_mutex_t lock;
	pthread_cond_t idle;
	bool busy;		/* a thread stops or starts queues, without the mutex */
	bool busy_for_embedder; /* and the driver has no part in it */
	pthread_t busy_thread;
	VIO_ATOMIC(bool) paused; /* no queue is started; written by the busy thread only */
	bool live;		 /* DRIVER_OK is set; under lock, as the next two */
	bool suspended;		 /* SUSPEND is set */
	bool config_deferred;	 /* the configuration changed since then */
	uint32_t n_faults;	 /* driver faults since creation; under lock */
};

/*
 * Sets up the base part of a model's object. The model has set ops, model_features, n_queues,
 * queue_size (power of two), queue_group, slot_size, config, config_size, and shm if any. Returns
 * 0, -EINVAL, -ENOMEM or -errno of eventfd().
 */
VIO_EXPORT int vio_device_init(struct vio_device *dev, const struct vio_device_env *env);

/* Undoes vio_device_init(); for a model's create that fails afterwards, and for its destroy op. */
VIO_EXPORT void vio_device_fini(struct vio_device *dev);

/*
 * The device changes [off, off + len) of its configuration: bumps the generation and, with
 * DRIVER_OK, interrupts; for a suspended device all of that happens when it is resumed. Any thread.
 */
VIO_EXPORT void vio_device_config_update(struct vio_device *dev, uint32_t off, const void *buf,
					 uint32_t len);

/*
 * The driver broke a rule: NEEDS_RESET, a configuration interrupt if DRIVER_OK, one log line (for
 * the first 16 faults of a device, then for one in 4096). The queues stop serving; nothing else in
 * the process notices. Any thread.
 */
VIO_EXPORT void vio_device_fail(struct vio_device *dev, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* True after vio_device_fail() until reset. Any thread. */
VIO_EXPORT bool vio_device_failed(const struct vio_device *dev);

/*
 * vio_queue_pop() for models: a broken ring fails the device and reads as empty. 1 or 0.
 */
VIO_EXPORT int vio_device_pop(struct vio_device *dev, struct vio_queue *q, struct vio_chain **out);

/* Publishes what was pushed and interrupts if the driver wants it. Loop thread. */
VIO_EXPORT void vio_device_publish(struct vio_device *dev, struct vio_queue *q);

/*
 * The same in two steps, for models that coalesce interrupts: publishes only; interrupts if the
 * driver wants that for what was published since q->published was `since`. Loop thread.
 */
VIO_EXPORT void vio_device_show(struct vio_device *dev, struct vio_queue *q);
VIO_EXPORT void vio_device_notify(struct vio_device *dev, struct vio_queue *q, uint16_t since);

/* ---- back-ends ------------------------------------------------------------------------------- */

/*
 * Loop thread. Starts the ring of queue `index` from its frozen configuration and the model on it.
 * 0 or -errno.
 */
VIO_EXPORT int vio_device_queue_begin(struct vio_device *dev, uint16_t index,
				      struct vio_loop *loop);

/* Loop thread. Waits for what is in flight, stops the ring. */
VIO_EXPORT void vio_device_queue_end(struct vio_device *dev, uint16_t index);

/* Loop thread. Serves the queue; true: call again soon. */
VIO_EXPORT bool vio_device_queue_run(struct vio_device *dev, uint16_t index);

/* Loop thread, or the back-end's own use: the queue object. */
VIO_EXPORT struct vio_queue *vio_device_queue(struct vio_device *dev, uint16_t index);

#ifdef __cplusplus
}
#endif
#endif
