/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_VHOST_FIX_H
#define UNIT_VHOST_FIX_H

/*
 * A vhost-user server with a disk, on a loop that is turned by hand, and a scripted front-end
 * before it. Everything runs on the test's thread (unless queues get a thread, see fix_open()), so
 * after fe_turn() the server has nothing left to do.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <dirent.h>
#include <unistd.h>

#include <driver/mem.h>
#include <driver/queue.h>
#include <viodm/blk.h>
#include <viodm/engines.h>
#include <viodm/inproc.h>
#include <viodm/loop_manual.h>
#include <viodm/vhost_msg.h>
#include <viodm/vhost_user.h>

#include "suite.h"

#define BIT64(n)   (UINT64_C(1) << (n))
#define DISK_BYTES (1u << 20)
#define N_QUEUES   3
#define RAM_GPA	   0x100000u
#define RAM_BYTES  0x100000u
#define RING_SIZE  64

#define F_PROTOCOL BIT64(VIO_VHOST_F_PROTOCOL_FEATURES)
#define F_BASIC	   (BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_BLK_F_FLUSH))
#define P(f)	   BIT64(VIO_VHOST_PROTOCOL_F_##f)
#define P_ALL                                                                                      \
	(P(MQ) | P(REPLY_ACK) | P(BACKEND_REQ) | P(CONFIG) | P(RESET_DEVICE) |                     \
	 P(CONFIGURE_MEM_SLOTS) | P(INFLIGHT_SHMFD))

/* ---- the server ------------------------------------------------------------------------------ */

struct fix {
	struct vio_loop *loop;
	struct vio_loop *queue_loop; /* of another thread; NULL: queues run on `loop` */
	pthread_t thread;
	pthread_barrier_t owned;
	_Atomic bool end_thread;
	struct vio_backend *backend;
	struct vio_storage *storage;
	struct vio_device *dev;
	struct vio_vhost_user *vu;
	struct vio_log log;
	_Atomic unsigned warnings;
	char last[512]; /* the last warning */
	unsigned connects, disconnects;
	char dir[32];
	char path[64];
	unsigned fds; /* of the process, before */
};

static inline unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static inline void fix_log(void *arg, enum vio_log_level level, const char *line)
{
	struct fix *f = arg;

	if (level > VIO_LOG_WARN)
		return;
	f->warnings++;
	snprintf(f->last, sizeof(f->last), "%s", line);
}

static inline void fix_connection(void *arg, bool up)
{
	struct fix *f = arg;

	if (up)
		f->connects++;
	else
		f->disconnects++;
}

static inline void *fix_thread(void *arg)
{
	struct fix *f = arg;

	vio_loop_manual_own(f->queue_loop);
	pthread_barrier_wait(&f->owned);
	while (!f->end_thread)
		vio_loop_manual_run(f->queue_loop, -1);
	return NULL;
}

static inline void fix_end_thread(void *arg)
{
	struct fix *f = arg;

	f->end_thread = true;
}

/* Everything but the server. `thread`: the queues run on a thread of their own. */
static inline void fix_init(struct fix *f, bool thread)
{
	struct vio_device_env env = {.name = "dut"};
	struct vio_blk_config blk = {.queues = N_QUEUES, .queue_size = 256};

	memset(f, 0, sizeof(*f));
	f->fds = count_fds();
	f->log = (struct vio_log){.write = fix_log, .arg = f, .max_level = VIO_LOG_DEBUG};
	MUST(vio_loop_manual_create(&f->loop));
	if (thread) {
		MUST(vio_loop_manual_create(&f->queue_loop));
		pthread_barrier_init(&f->owned, NULL, 2);
		MUST(-pthread_create(&f->thread, NULL, fix_thread, f));
		pthread_barrier_wait(&f->owned);
	}
	MUST(vio_backend_inproc_create(thread ? f->queue_loop : f->loop, &f->backend));
	MUST(vio_storage_memory_open(DISK_BYTES, &f->storage));
	env.backend = f->backend;
	env.log = &f->log;
	blk.storage = f->storage;
	MUST(vio_blk_create(&env, &blk, &f->dev));
	strcpy(f->dir, "/tmp/viodm-test-XXXXXX");
	if (!mkdtemp(f->dir))
		exit(1);
	snprintf(f->path, sizeof(f->path), "%s/s", f->dir);
}

static inline struct vio_vhost_user_config fix_config(struct fix *f)
{
	return (struct vio_vhost_user_config){
		.loop = f->loop, .path = f->path, .connection = fix_connection, .arg = f};
}

static inline void fix_open(struct fix *f, bool thread)
{
	struct vio_vhost_user_config cfg;

	fix_init(f, thread);
	cfg = fix_config(f);
	MUST(vio_vhost_user_create(f->dev, &cfg, &f->vu));
}

/* Also checks that no descriptor is left over. */
static inline void fix_close(struct fix *f)
{
	vio_vhost_user_destroy(f->vu);
	CU_ASSERT_EQUAL(access(f->path, F_OK), -1);
	vio_device_destroy(f->dev);
	vio_storage_close(f->storage);
	vio_backend_destroy(f->backend);
	if (f->queue_loop) {
		vio_loop_call(f->queue_loop, fix_end_thread, f);
		pthread_join(f->thread, NULL);
		pthread_barrier_destroy(&f->owned);
		vio_loop_manual_own(f->queue_loop);
		vio_loop_destroy(f->queue_loop);
	}
	vio_loop_destroy(f->loop);
	rmdir(f->dir);
	CU_ASSERT_EQUAL(count_fds(), f->fds);
}

#endif
