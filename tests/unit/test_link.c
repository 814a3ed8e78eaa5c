/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * core + transports + devices need nothing but the C library: this program uses a bit of each and
 * is linked with libviodm-core alone. It serves one request without event loop, with a back-end of
 * its own, to show that such an embedder has all it needs.
 */
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <viodm/backend.h>
#include <viodm/mmio.h>
#include <viodm/pci.h>
#include <viodm/rng.h>

#define RAM (1u << 16)

static uint64_t features(struct vio_backend *be, const struct vio_device *dev)
{
	(void)be;
	(void)dev;
	return 0;
}

static int start(struct vio_backend *be, struct vio_device *dev, uint16_t index)
{
	(void)be;
	return vio_device_queue_begin(dev, index, NULL);
}

static void stop(struct vio_backend *be, struct vio_device *dev, uint16_t index)
{
	(void)be;
	vio_device_queue_end(dev, index);
}

static void destroy(struct vio_backend *be)
{
	(void)be;
}

static void set(struct vio_mmio *m, uint64_t off, uint32_t v)
{
	vio_mmio_write(m, off, &(__le32){htole32(v)}, 4);
}

int main(void)
{
	static const struct vio_backend_ops ops = {
		.name = "bare",
		.features = features,
		.queue_start = start,
		.queue_stop = stop,
		.destroy = destroy,
	};
	struct vio_backend backend = {.ops = &ops};
	struct vio_mem_region ram = {.size = RAM, .hva = calloc(1, RAM), .fd = -1};
	struct vio_device_env env = {.backend = &backend};
	struct vio_mmio_config hooks = {.irq_fd = -1};
	struct vring_avail *avail = (void *)((char *)ram.hva + 0x1000);
	struct vring_used *used = (void *)((char *)ram.hva + 0x2000);
	struct vio_device *dev;
	struct vio_mmio *mmio;
	struct vio_mem *mem;

	if (vio_mem_create(&ram, 1, &mem))
		return 1;
	env.mem = mem;
	if (vio_rng_create(&env, &dev) || vio_mmio_create(dev, &hooks, &mmio))
		return 1;
	*(struct vring_desc *)ram.hva = (struct vring_desc){
		.addr = htole64(0x3000), .len = htole32(64), .flags = htole16(VRING_DESC_F_WRITE)};
	avail->idx = htole16(1);
	set(mmio, VIRTIO_MMIO_STATUS, 3);
	set(mmio, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(mmio, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	set(mmio, VIRTIO_MMIO_STATUS, 11);
	set(mmio, VIRTIO_MMIO_QUEUE_NUM, 4);
	set(mmio, VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0x1000);
	set(mmio, VIRTIO_MMIO_QUEUE_USED_LOW, 0x2000);
	set(mmio, VIRTIO_MMIO_QUEUE_READY, 1);
	set(mmio, VIRTIO_MMIO_STATUS, 15);
	vio_device_queue_run(dev, 0);
	printf("used %u, %u bytes\n", le16toh(used->idx), le32toh(used->ring[0].len));
	if (le16toh(used->idx) != 1 || le32toh(used->ring[0].len) != 64)
		return 1;
	vio_mmio_destroy(mmio);
	vio_device_destroy(dev);
	vio_mem_destroy(mem);
	free(ram.hva);
	return 0;
}
