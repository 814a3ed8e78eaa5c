/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_BENCH_LINK_H
#define TOOLS_BENCH_LINK_H

/*
 * How the driver reaches the device. Opening one negotiates features and reads the configuration;
 * the rings follow with start. Errors are said on standard error where they happen.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench_opts.h"

/* Of a session: receive and transmit queue of each pair, and a control queue. */
#define BENCH_MAX_RINGS (2 * BENCH_MAX_QUEUES + 1)

/* The longest part of a configuration space that is read. */
#define BENCH_CONFIG_MAX 64

/* Memory that the device sees, one piece: a file and where it is mapped here. */
struct bench_mem {
	int fd;
	char *base;
	uint64_t size;
	uint64_t gpa;
};

/* One virtqueue as the device is told about it; addresses are of this process. */
struct bench_rings {
	unsigned index;
	uint16_t size;
	void *desc, *avail, *used;
	int kick_fd, call_fd; /* eventfds, non-blocking */
};

struct bench_link;

struct bench_link_ops {
	/* Gives memory and queues to the device, which may work from now on. 0 or -1. */
	int (*start)(struct bench_link *link, const struct bench_mem *mem,
		     const struct bench_rings *rings, unsigned n);
	/*
	 * Nothing is in flight. The index at which ring i of those started stopped goes to base[i],
	 * if the transport tells. 0 or -1.
	 */
	int (*stop)(struct bench_link *link, uint16_t *base);
	/*
	 * The device went away, and so hangup_fd: waits for it to come back, as long as the options
	 * say, and gives it memory and queues again, as they are. Workers may go on meanwhile.
	 * 0 or -1. NULL: cannot happen.
	 */
	int (*reconnect)(struct bench_link *link);
	/* NULL: a write to kick_fd. */
	void (*kick)(struct bench_link *link, unsigned queue);
	/* A thread was interrupted and is about to look at its rings. NULL: nothing to do. */
	void (*acknowledge)(struct bench_link *link);
	/* CPU time of whoever serves the device, in ns; `own`: what the driver's threads used. */
	int (*cpu)(struct bench_link *link, uint64_t own, uint64_t *ns);
	void (*destroy)(struct bench_link *link);
};

struct bench_link {
	const struct bench_link_ops *ops;
	const char *name;
	uint64_t features;   /* accepted */
	uint64_t capacity;   /* of a disk: bytes */
	uint32_t size_max;   /* of a disk: bytes of a buffer; 0: no limit */
	unsigned max_queues; /* of a network card: pairs */
	unsigned n_reconnects;
	int hangup_fd; /* readable: the device is gone; -1: cannot happen */
	int error_fd;  /* readable: the device gave up a ring; -1 */
};

/* NULL after an error. */
struct bench_link *bench_vhost_open(const struct bench_opts *o, const char *socket);
struct bench_link *bench_inproc_open(const struct bench_opts *o);

/* What the configuration's device o->target is. NULL after an error. */
const struct bench_device *bench_inproc_device(const struct bench_opts *o);

/* NULL is allowed. */
void bench_link_destroy(struct bench_link *link);

/* Says "viodm bench: <name>: ..." and returns -1. */
int bench_error(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
