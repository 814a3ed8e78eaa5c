/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_QUEUE_H
#define VIODM_QUEUE_H

/*
 * A split virtqueue as the device sees it (virtio 1.4, "Split Virtqueues"): four verbs.
 *
 *   vio_queue_pop      take the next available descriptor chain, checked, as host iovecs
 *   vio_queue_push     put it into the used ring
 *   vio_queue_publish  make all pushed ones visible, learn whether to interrupt
 *   (re-arm)           done by pop when it finds the ring empty
 *
 * All memory barriers of the project are in queue.c. Nothing here knows devices, threads or event
 * loops; a queue is used by one thread at a time (its loop) and can be fuzzed and used alone.
 *
 * With VIRTIO_F_IN_ORDER ("In-order use of descriptors") used elements follow the order in which
 * chains were popped, whatever the order of pushing: a chain that is pushed before one that was
 * popped earlier is held back, finished but not in the used ring, until that one is pushed. Each
 * chain gets its used element; none is skipped, as the driver could then not know its length.
 *
 * The driver is hostile: every index, length, flag and address read from guest memory is read once,
 * copied, and checked. A driver that breaks a rule gets the queue `fault`ed: pop returns -EPROTO
 * from then on, and chains pushed after that are dropped.
 */

#include <sys/uio.h>

#include <viodm/inflight.h>
#include <viodm/mem.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The largest queue size the split format allows. */
#define VIO_QUEUE_MAX_SIZE 32768

/*
 * The most descriptors of one chain, whatever the queue's size (SPLIT-DEV-004): a longer one is a
 * fault. What Linux takes in one vector (UIO_MAXIOV), and it bounds the memory of a queue.
 */
#define VIO_CHAIN_MAX 1024

/*
 * A popped descriptor chain. It lives at the start of the queue's request slot number `head` and
 * stays valid until it is pushed. The device owns `iov` meanwhile and may shorten entries (iov.h).
 * iov[0 .. n_readable) is device-readable, iov[n_readable .. n_readable + n_writable) is
 * device-writable, both in chain order. One descriptor gives one entry, or more where it crosses a
 * border between memory regions; a descriptor of length 0 gives an entry of length 0.
 */
struct vio_chain {
	struct iovec *iov;
	uint32_t n_readable;
	uint32_t n_writable;
	uint64_t readable_len; /* bytes; readable_len + writable_len <= 2^32 */
	uint64_t writable_len;
	uint16_t head;
	uint16_t batch_next; /* the queue's own: pushed before this one, not yet published */
	uint8_t state;	     /* the queue's own: popped and not yet used, and what push does */
	uint64_t popped_ns;  /* the queue's own: when, for those whose time is taken */
};

/* What a queue is started with; the running queue keeps a copy that no register write reaches. */
struct vio_queue_config {
	uint64_t desc_gpa;   /* descriptor table, 16-byte aligned */
	uint64_t driver_gpa; /* available ring, 2-byte aligned */
	uint64_t device_gpa; /* used ring, 4-byte aligned */
	uint16_t size;	     /* power of two, 1 .. VIO_QUEUE_MAX_SIZE */
	uint16_t next_avail; /* first available index to look at: 0, or the value stop returned */
	bool event_idx;	     /* VIRTIO_F_EVENT_IDX negotiated */
	bool indirect;	     /* VIRTIO_F_INDIRECT_DESC negotiated */
	bool in_order;	     /* VIRTIO_F_IN_ORDER negotiated */
	/*
	 * In-flight tracking (inflight.h): NULL, or the queue's area, prepared for this size.
	 * Chains that an earlier owner left in flight are popped first, and the queue goes on
	 * behind them; next_avail above is then not used.
	 */
	struct vio_inflight *inflight;
};

/*
 * How long requests took from pop to push: the time of one in 64 is taken. Buckets are half powers
 * of two wide. Bucket i has what took less than vio_latency_bound(i) nanoseconds and did not fit
 * into an earlier one; the last bucket, from 25 seconds, has everything else.
 */
#define VIO_LATENCY_BUCKETS 56
VIO_EXPORT uint64_t vio_latency_bound(unsigned bucket);

/*
 * What a queue has done since its device was made. Counted by the queue's loop, without locks; any
 * thread may look (vio_device_queue_stats()).
 */
struct vio_queue_stats {
	uint64_t requests;	/* chains returned to the driver */
	uint64_t bytes_read;	/* data that drivers got, of requests that went well */
	uint64_t bytes_written; /* data that drivers gave, of requests that went well */
	uint64_t errors;	/* requests answered with an error */
	uint64_t kicks;		/* notifications of the driver that woke the loop */
	uint64_t interrupts;	/* asked for by the driver and sent */
	uint64_t polls_hit;	/* looked without being kicked: something was available */
	uint64_t polls_missed;	/* ... nothing was */
	uint64_t latency[VIO_LATENCY_BUCKETS];
};

/* Adds to a counter. Its queue's loop only; costs two moves and an addition. */
static inline void vio_count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

struct vio_queue {
	/* ring: read-mostly */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint64_t hot_gpa; /* the memory region translated last */
	uint64_t hot_size;
	char *hot_hva;
	char *slots; /* one request slot per head */
	size_t slot_size;
	uint16_t size;
	uint16_t mask;
	uint16_t chain_max; /* descriptors of a chain */
	bool event_idx;
	bool indirect;
	uint16_t usual; /* next_avail has one of these bits: nothing but the usual to do at pop */

	/* ring: state */
	uint16_t next_avail;   /* next available entry to pop */
	uint16_t shadow_avail; /* the driver's index as read last */
	uint16_t used_idx;     /* next used entry to write */
	uint16_t published;    /* used index the driver can see */
	uint16_t in_flight;    /* chains popped and not yet pushed */
	bool polled;	       /* the owner polls; pop does not arm kicks, vio_queue_arm() does */
	bool untimed;	       /* how long chains take says nothing; set by the model at start */
	bool idle;	       /* the model wants no more chains for now */
	uint16_t lazy;	       /* kicks are for so many chains; 0: for each */
	bool kicks_off;	       /* VRING_USED_F_NO_NOTIFY is set (only without event index) */
	bool started;
	const char *fault; /* which rule the driver broke, or NULL */

	/* in-flight tracking, or NULL */
	struct vio_inflight *inflight;
	uint64_t inflight_counter;
	uint16_t *resubmit;   /* heads to pop before those of the ring */
	uint16_t n_resubmit;  /* how many there were */
	uint16_t resubmitted; /* how many of them were popped */
	uint16_t batch_head;  /* pushed last, not yet published */

	/* in order: the heads popped, by the used index that each is for; else NULL */
	uint16_t *order;

	const struct vio_mem *mem;
	struct iovec *iovs; /* all slots' vectors */
	size_t iovs_bytes;

	/* for the owner: device and back-end; kept over start and stop, `index` is the first */
	uint16_t index;
	bool fresh; /* this start is the first since the driver enabled it; set by the device */
	void *device_data;
	void *backend_data;
	struct vio_queue_stats stats;
};

/*
 * Checks that the rings of `cfg` are well-formed and lie in guest memory. Returns 0, -EINVAL (size
 * or alignment) or -EFAULT (a ring is not in one memory region). Any thread.
 */
VIO_EXPORT int vio_queue_check(const struct vio_mem *mem, const struct vio_queue_config *cfg);

/*
 * Makes `q` ready: resolves the rings, allocates one slot of `slot_size` bytes per head (at least
 * sizeof(struct vio_chain), zeroed, 64-byte aligned stride) and room for each chain's vectors.
 * `q` may hold anything before in its ring part; index and what follows it are kept.
 * Returns 0, the errors of vio_queue_check(), or -ENOMEM. `mem` must stay alive until stop.
 */
VIO_EXPORT int vio_queue_start(struct vio_queue *q, const struct vio_mem *mem,
			       const struct vio_queue_config *cfg, size_t slot_size);

/*
 * Ends use of the rings and frees the slots; every chain not pushed is dropped. Returns next_avail,
 * the available index from which a later start would go on. A stopped queue pops nothing (0) and
 * pushes nothing.
 */
VIO_EXPORT uint16_t vio_queue_stop(struct vio_queue *q);

/*
 * Takes the next available chain. Returns
 *   1        *out is the chain, at the start of its request slot;
 *   0        the ring is empty, kicks are armed, and the ring was looked at again after arming
 *            (but see vio_queue_set_polled());
 *   -EPROTO  the driver broke a rule of the ring; q->fault says which. No kick, no further chain
 *            until the queue is started again.
 * From the first chain until the ring is empty kicks are suppressed.
 */
VIO_EXPORT int vio_queue_pop(struct vio_queue *q, struct vio_chain **out);

/*
 * For an owner that polls instead of waiting for kicks: from now on pop returns 0 without arming
 * kicks. Off after start.
 */
static inline void vio_queue_set_polled(struct vio_queue *q, bool polled)
{
	q->polled = polled;
}

/*
 * For a model that has chains enough, such as a receive queue that waits for frames: until it says
 * otherwise what is available is no work, so that an owner that polls may sleep. Off after start.
 */
static inline void vio_queue_set_idle(struct vio_queue *q, bool idle)
{
	q->idle = idle;
}

/*
 * For a model that looks at the queue by itself from time to time: from now on kicks are asked for
 * when `n` chains wait, and fewer are no work for an owner that polls; without EVENT_IDX there are
 * no kicks. 0: a kick for every chain again. Holds once pop has returned 0, or from
 * vio_queue_arm() on. 0 after start.
 */
static inline void vio_queue_set_lazy(struct vio_queue *q, uint16_t n)
{
	q->lazy = n;
}

/* True when the driver has made something available since pop looked; one load, nothing written. */
VIO_EXPORT bool vio_queue_pending(const struct vio_queue *q);

/* Arms kicks and looks again: true when something is available after all (or is wrong: pop). */
VIO_EXPORT bool vio_queue_arm(struct vio_queue *q);

/*
 * Returns a chain to the driver. `len` is the number of bytes written into its writable part,
 * counted from its start (SPLIT-DEV-018); it is cut to writable_len. The chain and its slot are
 * free afterwards. Nothing is visible to the driver before vio_queue_publish(), and in order
 * nothing before all chains popped earlier are pushed.
 */
VIO_EXPORT void vio_queue_push(struct vio_queue *q, struct vio_chain *chain, uint64_t len);

/*
 * The last `n` chains that were popped, and not pushed, have not been worked on: the queue, which
 * is about to be stopped, goes on with them when it is started again. All chains popped before them
 * were pushed.
 */
VIO_EXPORT void vio_queue_unpop(struct vio_queue *q, uint16_t n);

/*
 * vio_queue_publish() in two, for a model that interrupts later than it publishes: makes all pushed
 * chains visible; then, at some time, does the driver want an interrupt for the used elements from
 * index `since` (the value of q->published then) on? At most 65535 of them.
 */
VIO_EXPORT void vio_queue_show(struct vio_queue *q);
VIO_EXPORT bool vio_queue_wants(const struct vio_queue *q, uint16_t since);

/*
 * True when a queue that was just started is in the middle of a ring that was served before: chains
 * were used in it. Memory of an earlier ring that its driver did not clear counts as well.
 */
VIO_EXPORT bool vio_queue_goes_on(const struct vio_queue *q);

/*
 * Makes all pushed chains visible. Returns true when the driver wants an interrupt for them
 * (event index or VRING_AVAIL_F_NO_INTERRUPT). Cheap when nothing was pushed.
 */
VIO_EXPORT bool vio_queue_publish(struct vio_queue *q);

#ifdef __cplusplus
}
#endif
#endif
