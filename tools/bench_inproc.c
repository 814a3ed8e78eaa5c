/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device of a configuration file, in this process, behind virtio-mmio registers. Its transport in
 * the file does not matter.
 */
#include "bench_link.h"
#include "bench_queue.h"

#include <endian.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include <viodm/config.h>
#include <viodm/loop_manual.h>
#include <viodm/mmio.h>

#include "serve_section.h"

struct inproc {
	struct bench_link base;
	struct serve_opts serve; /* of the file's section, which is not for us */
	struct vio_config_section section;
	struct vio_config *cfg;
	struct vio_assembly *assembly;
	struct vio_device *dev;
	struct vio_mmio *mmio;
	struct vio_mem *mem;

	struct vio_loop *loop; /* of in-process back-ends; `thread` runs it */
	pthread_t thread;
	sem_t owned; /* the loop is the thread's from here on */
	bool running, stop;

	int call_fds[BENCH_MAX_RINGS]; /* the line interrupts all queues */
	unsigned n_rings;
	_Atomic bool level; /* of the interrupt line */
};

static struct inproc *to_inproc(struct bench_link *link)
{
	return vio_container_of(link, struct inproc, base);
}

/* ---- registers ------------------------------------------------------------------------------- */

static uint32_t get(struct inproc *p, uint64_t reg)
{
	uint32_t v;

	vio_mmio_read(p->mmio, reg, &v, sizeof(v));
	return le32toh(v);
}

static void set(struct inproc *p, uint64_t reg, uint32_t value)
{
	uint32_t v = htole32(value);

	vio_mmio_write(p->mmio, reg, &v, sizeof(v));
}

static void set64(struct inproc *p, uint64_t low, uint64_t high, uint64_t value)
{
	set(p, low, (uint32_t)value);
	set(p, high, (uint32_t)(value >> 32));
}

static void add_status(struct inproc *p, uint32_t bits)
{
	set(p, VIRTIO_MMIO_STATUS, get(p, VIRTIO_MMIO_STATUS) | bits);
}

static uint64_t offered(struct inproc *p)
{
	uint64_t low;

	set(p, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	low = get(p, VIRTIO_MMIO_DEVICE_FEATURES);
	set(p, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	return low | (uint64_t)get(p, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
}

static void accept_features(struct inproc *p, uint64_t features)
{
	for (uint32_t i = 0; i < 2; i++) {
		set(p, VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
		set(p, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> (32 * i)));
	}
}

static int inproc_negotiate(struct inproc *p, const struct bench_opts *o)
{
	uint8_t config[BENCH_CONFIG_MAX];
	uint64_t features;

	if (get(p, VIRTIO_MMIO_DEVICE_ID) != o->device->id)
		return bench_error(p->base.name, "not a %s", o->device->what);
	set(p, VIRTIO_MMIO_STATUS, 0);
	add_status(p, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	add_status(p, VIRTIO_CONFIG_S_DRIVER);
	features = offered(p);
	vio_mmio_read(p->mmio, VIO_MMIO_CONFIG_OFFSET, config, o->device->config_bytes);
	if (o->device->accept(&p->base, o, features, config) < 0)
		return -1;
	accept_features(p, p->base.features);
	add_status(p, VIRTIO_CONFIG_S_FEATURES_OK);
	if (!(get(p, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK))
		return bench_error(p->base.name, "refuses these features");
	return 0;
}

/* ---- the link -------------------------------------------------------------------------------- */

static void interrupt(struct inproc *p)
{
	for (unsigned i = 0; i < p->n_rings; i++)
		eventfd_write(p->call_fds[i], 1);
}

static void on_irq(void *arg, bool level)
{
	struct inproc *p = arg;

	p->level = level;
	if (level)
		interrupt(p);
}

static void inproc_acknowledge(struct bench_link *link)
{
	struct inproc *p = to_inproc(link);
	uint32_t status = get(p, VIRTIO_MMIO_INTERRUPT_STATUS);

	set(p, VIRTIO_MMIO_INTERRUPT_ACK, status);
	/*
	 * A level is no edge: a new event may have kept the line up. And what one queue's thread
	 * acknowledges may be another's, so fast that the line never rose.
	 */
	if (p->level || (status && p->n_rings > 1))
		interrupt(p);
}

static void inproc_kick(struct bench_link *link, unsigned queue)
{
	set(to_inproc(link), VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

static int start_ring(struct inproc *p, const struct bench_mem *mem, const struct bench_rings *r)
{
	uint64_t offset = mem->gpa - (uintptr_t)mem->base;

	set(p, VIRTIO_MMIO_QUEUE_SEL, r->index);
	if (get(p, VIRTIO_MMIO_QUEUE_NUM_MAX) < r->size)
		return bench_error(p->base.name, "queues have %u entries at most: --queue-size",
				   get(p, VIRTIO_MMIO_QUEUE_NUM_MAX));
	set(p, VIRTIO_MMIO_QUEUE_NUM, r->size);
	set64(p, VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_DESC_HIGH,
	      (uintptr_t)r->desc + offset);
	set64(p, VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_AVAIL_HIGH,
	      (uintptr_t)r->avail + offset);
	set64(p, VIRTIO_MMIO_QUEUE_USED_LOW, VIRTIO_MMIO_QUEUE_USED_HIGH,
	      (uintptr_t)r->used + offset);
	set(p, VIRTIO_MMIO_QUEUE_READY, 1);
	p->call_fds[p->n_rings++] = r->call_fd;
	return 0;
}

static int inproc_start(struct bench_link *link, const struct bench_mem *mem,
			const struct bench_rings *rings, unsigned n)
{
	struct inproc *p = to_inproc(link);
	const struct vio_mem_region region = {
		.gpa = mem->gpa, .size = mem->size, .hva = mem->base, .fd = mem->fd};

	if (vio_mem_create(&region, 1, &p->mem) < 0 || vio_device_set_mem(p->dev, p->mem) < 0)
		return bench_error(link->name, "the device does not take the memory");
	for (unsigned i = 0; i < n; i++) {
		if (start_ring(p, mem, &rings[i]) < 0)
			return -1;
	}
	add_status(p, VIRTIO_CONFIG_S_DRIVER_OK);
	if (get(p, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET)
		return bench_error(link->name, "the device failed");
	return 0;
}

/* Registers do not tell where a queue stopped. */
static int inproc_stop(struct bench_link *link, uint16_t *base)
{
	(void)base;
	set(to_inproc(link), VIRTIO_MMIO_STATUS, 0);
	return 0;
}

/* What the driver's threads did not use, somebody used for the device. */
static int inproc_cpu(struct bench_link *link, uint64_t own, uint64_t *ns)
{
	struct timespec t;

	(void)link;
	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) < 0)
		return -1;
	*ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec - own;
	return 0;
}

static void *run_loop(void *arg)
{
	struct inproc *p = arg;

	vio_loop_manual_own(p->loop);
	sem_post(&p->owned);
	while (!p->stop)
		vio_loop_manual_run(p->loop, -1);
	return NULL;
}

static void call_stop(void *arg)
{
	((struct inproc *)arg)->stop = true;
}

static void inproc_destroy(struct bench_link *link)
{
	struct inproc *p = to_inproc(link);

	vio_mmio_destroy(p->mmio);
	if (p->running) {
		vio_loop_call(p->loop, call_stop, p);
		pthread_join(p->thread, NULL);
		sem_destroy(&p->owned);
		vio_loop_manual_own(p->loop);
	}
	vio_assembly_destroy(p->assembly);
	vio_config_destroy(p->cfg);
	vio_loop_destroy(p->loop);
	vio_mem_destroy(p->mem);
	free(p);
}

static const struct bench_link_ops inproc_ops = {
	.start = inproc_start,
	.stop = inproc_stop,
	.kick = inproc_kick,
	.acknowledge = inproc_acknowledge,
	.cpu = inproc_cpu,
	.destroy = inproc_destroy,
};

/* ---- opening --------------------------------------------------------------------------------- */

static int read_config(struct inproc *p, const struct bench_opts *o)
{
	int r;

	serve_section(&p->serve, &p->section);
	r = vio_config_create(&p->section, 1, &p->cfg);
	if (r < 0)
		return bench_error(p->base.name, "%s", strerror(-r));
	vio_config_ignore(p->cfg, machine_sections);
	r = vio_config_read(p->cfg, o->config);
	for (unsigned i = 0; r == 0 && i < o->n_set; i++)
		r = vio_config_set(p->cfg, o->set[i]);
	if (r == 0)
		r = vio_config_check(p->cfg);
	return r < 0 ? bench_error(p->base.name, "%s", vio_config_error(p->cfg)) : 0;
}

static int find_device(struct inproc *p)
{
	for (size_t i = 0; i < vio_config_n_devices(p->cfg); i++) {
		if (strcmp(vio_config_device(p->cfg, i)->name, p->base.name) == 0)
			p->dev = vio_assembly_device(p->assembly, i);
	}
	return p->dev ? 0 : bench_error(p->base.name, "no such device in the configuration");
}

static int assemble(struct inproc *p)
{
	struct vio_config_env env;
	int r = vio_loop_manual_create(&p->loop);

	if (r < 0)
		return bench_error(p->base.name, "%s", strerror(-r));
	env = (struct vio_config_env){.loop = p->loop};
	if (vio_assembly_create(p->cfg, &env, &p->assembly) < 0)
		return bench_error(p->base.name, "%s", vio_config_error(p->cfg));
	if (find_device(p) < 0)
		return -1;
	sem_init(&p->owned, 0, 0);
	r = -pthread_create(&p->thread, NULL, run_loop, p);
	if (r < 0)
		return bench_error(p->base.name, "%s", strerror(-r));
	p->running = true;
	while (sem_wait(&p->owned) < 0) /* EINTR */
		;
	return 0;
}

static int put_behind_registers(struct inproc *p)
{
	const struct vio_mmio_config mmio = {.irq = on_irq, .irq_fd = -1, .arg = p};
	int r = vio_mmio_create(p->dev, &mmio, &p->mmio);

	return r < 0 ? bench_error(p->base.name, "%s", strerror(-r)) : 0;
}

/* Of which model is device `name` of the file? NULL: the file or the name is wrong. */
const struct bench_device *bench_inproc_device(const struct bench_opts *o)
{
	static const struct bench_device *const known[] = {&bench_blk, &bench_net};
	struct inproc p = {.base = {.name = o->target}};
	const struct bench_device *found = NULL;
	const char *model = NULL;

	if (read_config(&p, o) == 0) {
		for (size_t i = 0; i < vio_config_n_devices(p.cfg); i++) {
			const struct vio_config_device *d = vio_config_device(p.cfg, i);

			if (strcmp(d->name, o->target) == 0)
				model = d->model;
		}
		for (size_t i = 0; model && i < VIO_ARRAY_LEN(known); i++) {
			if (strcmp(known[i]->name, model) == 0)
				found = known[i];
		}
		if (!found)
			bench_error(o->target, model ? "neither a disk nor a network card"
						     : "no such device in the configuration");
	}
	vio_config_destroy(p.cfg);
	return found;
}

struct bench_link *bench_inproc_open(const struct bench_opts *o)
{
	struct inproc *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->base.ops = &inproc_ops;
	p->base.name = o->target;
	p->base.max_queues = BENCH_MAX_QUEUES;
	p->base.hangup_fd = p->base.error_fd = -1;
	if (read_config(p, o) == 0 && assemble(p) == 0 && put_behind_registers(p) == 0 &&
	    inproc_negotiate(p, o) == 0)
		return &p->base;
	inproc_destroy(&p->base);
	return NULL;
}
