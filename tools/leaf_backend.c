/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * backend = ..., and the IO threads that one of them refers to.
 */
#include <errno.h>
#include <limits.h>
#include <linux/virtio_config.h>
#include <unistd.h>

#include <viodm/inproc.h>

#include "leaves.h"

/* The ring, whoever runs it. */
#define RING_OPTS(object)                                                                          \
	{                                                                                          \
		.name = "in-order", .type = VIO_OPT_BOOL, .offset = offsetof(object, in_order),    \
		.help = "offer to use buffers in the order in which the driver made them "         \
			"available"                                                                \
	}

static uint64_t ring_opt_in(bool in_order)
{
	return in_order ? UINT64_C(1) << VIRTIO_F_IN_ORDER : 0;
}

/* ---- inproc ---------------------------------------------------------------------------------- */

struct inproc_opts {
	bool in_order;
};

static const struct vio_opt inproc_opts[] = {RING_OPTS(struct inproc_opts)};

static uint64_t inproc_opt_in(const void *opts)
{
	const struct inproc_opts *o = opts;

	return ring_opt_in(o->in_order);
}

static int inproc_create(const void *opts, const struct backend_env *env, struct vio_backend **out)
{
	(void)opts;
	return vio_backend_inproc_create(env->loop, out);
}

const struct leaf leaf_inproc = {
	.name = "inproc",
	.help = "the queues run on the event loop of the process",
	.opts = inproc_opts,
	.n_opts = VIO_ARRAY_LEN(inproc_opts),
	.opts_size = sizeof(struct inproc_opts),
	.backend = {.create = inproc_create, .opt_in = inproc_opt_in},
};

/* ---- iothread -------------------------------------------------------------------------------- */

struct on_iothread_opts {
	char *iothreads;
	bool in_order;
};

static const struct vio_opt on_iothread_opts[] = {
	{.name = "iothreads",
	 .type = VIO_OPT_NAMES,
	 .offset = offsetof(struct on_iothread_opts, iothreads),
	 .word = "iothread",
	 .required = true,
	 .help = "IO threads that run the queues; of n threads, queue i is on number i % n"},
	RING_OPTS(struct on_iothread_opts),
};

static uint64_t on_iothread_opt_in(const void *opts)
{
	const struct on_iothread_opts *o = opts;

	return ring_opt_in(o->in_order);
}

static int on_iothread_create(const void *opts, const struct backend_env *env,
			      struct vio_backend **out)
{
	(void)opts;
	return vio_backend_iothread_create(env->iothreads, env->n_iothreads, out);
}

const struct leaf leaf_on_iothread = {
	.name = "iothread",
	.help = "the queues run on IO threads",
	.opts = on_iothread_opts,
	.n_opts = VIO_ARRAY_LEN(on_iothread_opts),
	.opts_size = sizeof(struct on_iothread_opts),
	.backend = {.create = on_iothread_create, .opt_in = on_iothread_opt_in},
};

/* ---- [iothread NAME] ------------------------------------------------------------------------- */

struct iothread_opts {
	unsigned poll_us;
	unsigned cpu; /* UINT_MAX: any */
	unsigned priority;
};

static const struct vio_opt iothread_opts[] = {
	{.name = "poll-us",
	 .type = VIO_OPT_UINT,
	 .offset = offsetof(struct iothread_opts, poll_us),
	 .def = "32",
	 .max = 1000000,
	 .help = "microseconds to look for work, at most, before sleeping; 0: sleep at once"},
	{.name = "cpu",
	 .type = VIO_OPT_UINT,
	 .offset = offsetof(struct iothread_opts, cpu),
	 .def = "any",
	 .max = 65535,
	 .word = "any",
	 .word_value = UINT_MAX,
	 .help = "the CPU that the thread runs on"},
	{.name = "priority",
	 .type = VIO_OPT_UINT,
	 .offset = offsetof(struct iothread_opts, priority),
	 .max = 99,
	 .help = "real-time priority (SCHED_FIFO); 0: as the process"},
};

_Static_assert(VIO_IOTHREAD_POLL_US == 32, "the default of poll-us");

static int iothread_check(const void *opts, struct fault *fault)
{
	const struct iothread_opts *o = opts;
	long cpus = sysconf(_SC_NPROCESSORS_CONF);

	if (o->cpu == UINT_MAX || cpus <= 0 || o->cpu < (unsigned long)cpus)
		return 0;
	fault->key = "cpu";
	snprintf(fault->text, sizeof(fault->text), "%u: this machine has CPUs 0..%ld, or any",
		 o->cpu, cpus - 1);
	return -EINVAL;
}

static int iothread_create(const void *opts, const char *name, struct vio_iothread **out,
			   const char **hint)
{
	const struct iothread_opts *o = opts;
	const struct vio_iothread_config cfg = {
		.name = name,
		.poll_us = o->poll_us,
		.cpu = o->cpu == UINT_MAX ? -1 : (int)o->cpu,
		.priority = (int)o->priority,
	};
	int r = vio_iothread_create(&cfg, out);

	if (r == -EPERM && o->priority > 0)
		*hint = " (priority needs CAP_SYS_NICE or a limit on real-time priority that "
			"allows it)";
	else if (r == -EPERM || r == -ENOSYS)
		*hint = " (an IO thread needs io_uring, which this kernel or container forbids)";
	else if (r == -EINVAL && cfg.cpu >= 0)
		*hint = " (the CPU is offline or not given to this process)";
	else
		*hint = "";
	return r;
}

const struct leaf builtin_iothread = {
	.name = "iothread",
	.help = "a thread that runs virtqueues of devices with backend = iothread",
	.opts = iothread_opts,
	.n_opts = VIO_ARRAY_LEN(iothread_opts),
	.opts_size = sizeof(struct iothread_opts),
	.iothread = {.check = iothread_check, .create = iothread_create},
};
