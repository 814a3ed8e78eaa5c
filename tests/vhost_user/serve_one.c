/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Serves one disk to vhost-user front-ends, for tests with real drivers. Ends with SIGTERM.
 *
 *   serve_one -s SOCKET [-i IMAGE [-e ENGINE] [-d] | -m MEGABYTES] [-q QUEUES] [-t THREADS] [-v]
 *
 *   -i IMAGE       a raw file
 *   -e ENGINE      what reads and writes it: sync (default), threads, libaio, io_uring
 *   -d             with direct I/O where its file system can
 *   -m MEGABYTES   memory, zeroes at first
 *   -t THREADS     run the queues on so many IO threads; 0 (default): on the main loop
 *   -v             log each message
 *
 * Exits with 77 when there is no io_uring for IO threads.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <viodm/blk.h>
#include <viodm/engines.h>
#include <viodm/inproc.h>
#include <viodm/iothread.h>
#include <viodm/loop_manual.h>
#include <viodm/vhost_user.h>

/* seg_max of a disk whose front-end may have queues as short as 128. */
#define SEG_MAX 126

#define MAX_THREADS 8

static struct vio_vhost_user_guard *guard;
static volatile sig_atomic_t stop;
static volatile sig_atomic_t look_again;

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
	const char *socket, *image, *engine;
	unsigned long megabytes;
	unsigned long queues;
	unsigned long threads;
	bool direct, verbose;
};

static struct options parse(int argc, char **argv)
{
	struct options o = {.queues = 1, .engine = "sync"};
	int c;

	while ((c = getopt(argc, argv, "s:i:e:dm:q:t:v")) != -1) {
		switch (c) {
		case 's':
			o.socket = optarg;
			break;
		case 'i':
			o.image = optarg;
			break;
		case 'e':
			o.engine = optarg;
			break;
		case 'd':
			o.direct = true;
			break;
		case 'm':
			o.megabytes = strtoul(optarg, NULL, 10);
			break;
		case 'q':
			o.queues = strtoul(optarg, NULL, 10);
			break;
		case 't':
			o.threads = strtoul(optarg, NULL, 10);
			break;
		case 'v':
			o.verbose = true;
			break;
		default:
			exit(2);
		}
	}
	if (!o.socket || !(o.image || o.megabytes) || o.threads > MAX_THREADS) {
		fprintf(stderr, "usage: serve_one -s SOCKET (-i IMAGE [-e ENGINE] [-d] | "
				"-m MEGABYTES) [-q QUEUES] [-t THREADS] [-v]\n");
		exit(2);
	}
	return o;
}

static const struct {
	const char *name;
	int (*open)(const char *path, const struct vio_storage_file_config *cfg,
		    struct vio_storage **out);
} engines[] = {
	{"sync", vio_storage_sync_open},
	{"threads", vio_storage_threads_open},
	{"libaio", vio_storage_libaio_open},
	{"io_uring", vio_storage_uring_open},
};

static struct vio_storage *open_storage(const struct options *o)
{
	struct vio_storage_file_config file = {.direct = o->direct};
	struct vio_storage *st = NULL;
	int r = -ENOENT;

	if (!o->image) {
		must(vio_storage_memory_open(o->megabytes << 20, &st), "memory");
		return st;
	}
	for (size_t i = 0; i < VIO_ARRAY_LEN(engines); i++) {
		if (strcmp(engines[i].name, o->engine) != 0)
			continue;
		r = engines[i].open(o->image, &file, &st);
		if (r == -EINVAL && file.direct) {
			file.direct = false;
			r = engines[i].open(o->image, &file, &st);
		}
	}
	must(r, o->engine);
	fprintf(stderr, "%s on %s%s\n", o->engine, o->image, file.direct ? ", direct" : "");
	return st;
}

static struct vio_iothread *iothreads[MAX_THREADS];

static struct vio_backend *make_backend(const struct options *o, struct vio_loop *loop)
{
	const struct vio_iothread_config cfg = {.cpu = -1, .poll_us = VIO_IOTHREAD_POLL_US};
	struct vio_backend *backend = NULL;

	if (o->threads == 0) {
		must(vio_backend_inproc_create(loop, &backend), "back-end");
		return backend;
	}
	for (unsigned long i = 0; i < o->threads; i++) {
		int r = vio_iothread_create(&cfg, &iothreads[i]);

		if (r == -ENOSYS || r == -EPERM) {
			fprintf(stderr, "no io_uring here\n");
			exit(77);
		}
		must(r, "IO thread");
	}
	must(vio_backend_iothread_create(iothreads, o->threads, &backend), "back-end");
	return backend;
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
	struct vio_vhost_user *vu;
	struct vio_device *dev;
	struct vio_loop *loop;

	blk.storage = open_storage(&o);
	must(vio_loop_manual_create(&loop), "loop");
	env.backend = make_backend(&o, loop);
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
	for (unsigned long i = 0; i < o.threads; i++)
		vio_iothread_destroy(iothreads[i]);
	vio_loop_destroy(loop);
	vio_vhost_user_guard_destroy(guard);
	return 0;
}
