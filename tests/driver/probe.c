/* SPDX-License-Identifier: BSD-3-Clause */
#include <driver/probe.h>

#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>

/* One per head; begins with the chain. */
struct probe_req {
	struct vio_chain chain;
	struct probe_req *next; /* kept */
};

static struct drv_probe *to_probe(struct vio_device *dev)
{
	return vio_container_of(dev, struct drv_probe, base);
}

static bool probe_features_ok(struct vio_device *dev, uint64_t features)
{
	(void)dev;
	return !(features >> DRV_PROBE_F_B & 1) || (features >> DRV_PROBE_F_A & 1);
}

static void probe_negotiated(struct vio_device *dev)
{
	to_probe(dev)->negotiations++;
}

static int probe_queue_start(struct vio_device *dev, struct vio_queue *q, struct vio_loop *loop)
{
	(void)loop;
	to_probe(dev)->starts++;
	q->device_data = NULL;
	return to_probe(dev)->start_error;
}

static void probe_queue_stop(struct vio_device *dev, struct vio_queue *q)
{
	struct drv_probe *p = to_probe(dev);

	p->stops++;
	for (struct probe_req *r = q->device_data; r; r = r->next)
		p->dropped++;
	q->device_data = NULL;
	if (p->on_stop)
		p->on_stop(p->on_stop_arg);
}

static void answer(struct vio_queue *q, struct vio_chain *c)
{
	for (uint32_t i = 0; i < c->n_writable; i++) {
		const struct iovec *v = &c->iov[c->n_readable + i];

		memset(v->iov_base, DRV_PROBE_BYTE, v->iov_len);
	}
	vio_queue_push(q, c, c->writable_len);
}

/* Kept chains form a list in arrival order. */
static void keep(struct vio_queue *q, struct vio_chain *c)
{
	struct probe_req *r = vio_container_of(c, struct probe_req, chain);
	struct probe_req *last = q->device_data;

	r->next = NULL;
	if (!last) {
		q->device_data = r;
		return;
	}
	while (last->next)
		last = last->next;
	last->next = r;
}

static bool probe_queue_run(struct vio_device *dev, struct vio_queue *q)
{
	struct drv_probe *p = to_probe(dev);
	struct vio_chain *c;
	uint16_t n = 0;

	while (n < q->size && vio_device_pop(dev, q, &c) == 1) {
		n++;
		p->popped++;
		if (p->hold)
			keep(q, c);
		else
			answer(q, c);
	}
	vio_device_publish(dev, q);
	return n == q->size;
}

unsigned drv_probe_answer(struct drv_probe *p, uint16_t queue)
{
	struct vio_queue *q = vio_device_queue(&p->base, queue);
	struct probe_req *r = q->device_data;
	unsigned n = 0;

	q->device_data = NULL;
	while (r) {
		struct probe_req *next = r->next;

		answer(q, &r->chain);
		n++;
		r = next;
	}
	vio_device_publish(&p->base, q);
	return n;
}

static void probe_config_write(struct vio_device *dev, uint32_t off, const void *buf, uint32_t len)
{
	memcpy(dev->config + off, buf, len);
	to_probe(dev)->config_writes++;
}

static void probe_reset(struct vio_device *dev)
{
	to_probe(dev)->resets++;
}

static void probe_destroy(struct vio_device *dev)
{
	uint8_t *config = dev->config;

	vio_device_fini(dev);
	free(config);
	free(to_probe(dev));
}

static const struct vio_device_ops probe_ops = {
	.name = "probe",
	.id = DRV_PROBE_ID,
	.features_ok = probe_features_ok,
	.negotiated = probe_negotiated,
	.queue_start = probe_queue_start,
	.queue_stop = probe_queue_stop,
	.queue_run = probe_queue_run,
	.config_write = probe_config_write,
	.reset = probe_reset,
	.destroy = probe_destroy,
};

int drv_probe_create(const struct vio_device_env *env, const struct drv_probe_config *cfg,
		     struct drv_probe **out)
{
	struct drv_probe *p = calloc(1, sizeof(*p));
	uint8_t *config = calloc(1, cfg->config_size + 1u);
	int r = -ENOMEM;

	if (!p || !config)
		goto fail;
	for (uint32_t i = 0; i < cfg->config_size; i++)
		config[i] = (uint8_t)i;
	p->base.ops = &probe_ops;
	p->base.model_features = UINT64_C(1) << DRV_PROBE_F_A | UINT64_C(1) << DRV_PROBE_F_B |
				 UINT64_C(1) << DRV_PROBE_F_C;
	p->base.n_queues = cfg->n_queues;
	p->base.queue_size = cfg->queue_size;
	p->base.slot_size = sizeof(struct probe_req);
	p->base.config = config;
	p->base.config_size = cfg->config_size;
	p->base.shm = cfg->shm;
	p->base.n_shm = cfg->n_shm;
	r = vio_device_init(&p->base, env);
	if (r < 0)
		goto fail;
	*out = p;
	return 0;
fail:
	free(config);
	free(p);
	return r;
}
