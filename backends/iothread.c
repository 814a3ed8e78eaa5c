/* SPDX-License-Identifier: BSD-3-Clause */
#include <viodm/iothread.h>

#include "loop_backend.h"
#include "loop_uring.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

struct vio_iothread {
	pthread_t thread;
	struct vio_iothread_config cfg;
	char name[16];
	struct vio_loop *loop;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool started;  /* the thread tells how that went in `result` */
	bool released; /* nobody is inside the loop's functions any more */
	int result;
};

static int iothread_schedule(const struct vio_iothread_config *cfg)
{
	if (cfg->cpu >= 0) {
		cpu_set_t set;

		if (cfg->cpu >= CPU_SETSIZE)
			return -EINVAL;
		CPU_ZERO(&set);
		CPU_SET(cfg->cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set) < 0)
			return -errno;
	}
	if (cfg->priority > 0) {
		struct sched_param param = {.sched_priority = cfg->priority};
		int r = pthread_setschedparam(pthread_self(), SCHED_FIFO, &param);

		if (r)
			return -r;
	}
	return 0;
}

static void tell_started(struct vio_iothread *iot, int result)
{
	pthread_mutex_lock(&iot->lock);
	iot->result = result;
	iot->started = true;
	pthread_cond_signal(&iot->changed);
	pthread_mutex_unlock(&iot->lock);
}

/* The ring is made here: only the thread that made it may submit to it. */
static void *iothread_main(void *arg)
{
	struct vio_iothread *iot = arg;
	int r = iothread_schedule(&iot->cfg);

	if (r == 0)
		r = loop_uring_create((uint64_t)iot->cfg.poll_us * 1000, &iot->loop);
	tell_started(iot, r);
	if (r < 0)
		return NULL;
	loop_uring_run(iot->loop);
	pthread_mutex_lock(&iot->lock);
	while (!iot->released)
		pthread_cond_wait(&iot->changed, &iot->lock);
	pthread_mutex_unlock(&iot->lock);
	vio_loop_destroy(iot->loop);
	return NULL;
}

static void call_stop(void *arg)
{
	loop_uring_stop(arg);
}

static void iothread_free(struct vio_iothread *iot)
{
	pthread_cond_destroy(&iot->changed);
	pthread_mutex_destroy(&iot->lock);
	free(iot);
}

int vio_iothread_create(const struct vio_iothread_config *cfg, struct vio_iothread **out)
{
	struct vio_iothread *iot = calloc(1, sizeof(*iot));
	int r;

	if (!iot)
		return -ENOMEM;
	iot->cfg = *cfg;
	snprintf(iot->name, sizeof(iot->name), "%s", cfg->name ? cfg->name : "viodm-io");
	pthread_mutex_init(&iot->lock, NULL);
	pthread_cond_init(&iot->changed, NULL);
	r = -pthread_create(&iot->thread, NULL, iothread_main, iot);
	if (r < 0)
		goto free_iot;
	pthread_setname_np(iot->thread, iot->name);
	pthread_mutex_lock(&iot->lock);
	while (!iot->started)
		pthread_cond_wait(&iot->changed, &iot->lock);
	r = iot->result;
	pthread_mutex_unlock(&iot->lock);
	if (r < 0) {
		pthread_join(iot->thread, NULL);
		goto free_iot;
	}
	*out = iot;
	return 0;

free_iot:
	iothread_free(iot);
	return r;
}

void vio_iothread_destroy(struct vio_iothread *iot)
{
	if (!iot)
		return;
	vio_loop_call(iot->loop, call_stop, iot->loop);
	pthread_mutex_lock(&iot->lock);
	iot->released = true;
	pthread_cond_signal(&iot->changed);
	pthread_mutex_unlock(&iot->lock);
	pthread_join(iot->thread, NULL);
	iothread_free(iot);
}

struct vio_loop *vio_iothread_loop(struct vio_iothread *iot)
{
	return iot->loop;
}

static const struct vio_backend_ops iothread_ops = {
	.name = "iothread",
	.features = loop_backend_features,
	.queue_start = loop_backend_queue_start,
	.queue_stop = loop_backend_queue_stop,
	.destroy = loop_backend_destroy,
};

int vio_backend_iothread_create(struct vio_iothread *const *iothreads, size_t n,
				struct vio_backend **out)
{
	struct vio_loop **loops = calloc(n ? n : 1, sizeof(*loops));
	int r;

	if (!loops)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		loops[i] = iothreads[i]->loop;
	r = loop_backend_create(&iothread_ops, loops, n, out);
	free(loops);
	return r;
}
