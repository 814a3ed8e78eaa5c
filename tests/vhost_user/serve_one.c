/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Serves one disk to vhost-user front-ends, for tests with real drivers. Ends with SIGTERM.
 *
 *   serve_one -s SOCKET [-i IMAGE | -m MEGABYTES] [-q QUEUES] [-t] [-v]
 *
 *   -i IMAGE       a raw file, by the sync engine
 *   -m MEGABYTES   memory, zeroes at first
 *   -t             run the queues on a thread of their own
 *   -v             log each message
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <viodm/blk.h>
#include <viodm/engines.h>
#include <viodm/inproc.h>
#include <viodm/loop_manual.h>
#include <viodm/vhost_user.h>

/* seg_max of a disk whose front-end may have queues as short as 128. */
#define SEG_MAX 126

static struct vio_vhost_user_guard *guard;
static volatile sig_atomic_t stop;
static volatile sig_atomic_t look_again;
static _Atomic bool queues_stop;

static void on_signal(int sig)
{
	if (sig == SIGHUP)
		look_again = 1;
	else
		stop = 1;
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (info->si_code > 0 && vio_vhost_user_guard_fault(guard, info->si_addr))
		return;
	signal(sig, SIG_DFL);
	raise(sig);
}

static void set_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	struct sigaction bus = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};

	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	sigaction(SIGBUS, &bus, NULL);
}

static void write_log(void *arg, enum vio_log_level level, const char *line)
{
	(void)arg;
	(void)level;
	fprintf(stderr, "%s\n", line);
}

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "serve_one: %s: %s\n", what, strerror(-r));
	exit(1);
}

struct options {
	const char *socket, *image;
	unsigned long megabytes;
	unsigned long queues;
	bool thread, verbose;
};

static struct options parse(int argc, char **argv)
{
	struct options o = {.queues = 1};
	int c;

	while ((c = getopt(argc, argv, "s:i:m:q:tv")) != -1) {
		switch (c) {
		case 's':
			o.socket = optarg;
			break;
		case 'i':
			o.image = optarg;
			break;
		case 'm':
			o.megabytes = strtoul(optarg, NULL, 10);
			break;
		case 'q':
			o.queues = strtoul(optarg, NULL, 10);
			break;
		case 't':
			o.thread = true;
			break;
		case 'v':
			o.verbose = true;
			break;
		default:
			exit(2);
		}
	}
	if (!o.socket || !(o.image || o.megabytes)) {
		fprintf(stderr, "usage: serve_one -s SOCKET (-i IMAGE | -m MEGABYTES) "
				"[-q QUEUES] [-t] [-v]\n");
		exit(2);
	}
	return o;
}

static pthread_barrier_t owned;

static void *run_queues(void *arg)
{
	vio_loop_manual_own(arg);
	pthread_barrier_wait(&owned);
	while (!queues_stop)
		vio_loop_manual_run(arg, -1);
	return NULL;
}

static void end_queues(void *arg)
{
	(void)arg;
	queues_stop = true;
}

int main(int argc, char **argv)
{
	struct options o = parse(argc, argv);
	struct vio_log log = {.write = write_log,
			      .max_level = o.verbose ? VIO_LOG_DEBUG : VIO_LOG_INFO};
	struct vio_device_env env = {.name = "disk0", .log = &log};
	struct vio_blk_config blk = {
		.queues = (uint16_t)o.queues, .queue_size = 1024, .seg_max = SEG_MAX};
	struct vio_vhost_user_config cfg = {.path = o.socket, .mode = 0600};
	struct vio_storage_file_config file = {0};
	struct vio_loop *loop, *queue_loop;
	struct vio_vhost_user *vu;
	struct vio_device *dev;
	pthread_t thread;

	if (o.image)
		must(vio_storage_sync_open(o.image, &file, &blk.storage), o.image);
	else
		must(vio_storage_memory_open(o.megabytes << 20, &blk.storage), "memory");
	must(vio_loop_manual_create(&loop), "loop");
	queue_loop = loop;
	if (o.thread) {
		must(vio_loop_manual_create(&queue_loop), "loop");
		pthread_barrier_init(&owned, NULL, 2);
		must(-pthread_create(&thread, NULL, run_queues, queue_loop), "thread");
		pthread_barrier_wait(&owned);
	}
	must(vio_backend_inproc_create(queue_loop, &env.backend), "back-end");
	must(vio_blk_create(&env, &blk, &dev), "disk");
	must(vio_vhost_user_guard_create(512, &guard), "guard");
	set_signals();
	cfg.loop = loop;
	cfg.guard = guard;
	must(vio_vhost_user_create(dev, &cfg, &vu), o.socket);
	while (!stop) {
		must(vio_loop_manual_run(loop, -1), "loop");
		if (look_again) {
			look_again = 0;
			vio_blk_refresh(dev);
		}
	}
	vio_vhost_user_destroy(vu);
	vio_device_destroy(dev);
	vio_storage_close(blk.storage);
	vio_backend_destroy(env.backend);
	if (o.thread) {
		vio_loop_call(queue_loop, end_queues, NULL);
		pthread_join(thread, NULL);
		vio_loop_manual_own(queue_loop);
		vio_loop_destroy(queue_loop);
	}
	vio_loop_destroy(loop);
	vio_vhost_user_guard_destroy(guard);
	return 0;
}
