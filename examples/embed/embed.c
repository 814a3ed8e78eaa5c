/* A disk on a RAM engine behind virtio-mmio registers, served by this program's own event loop. */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <viodm/blk.h>
#include <viodm/engines.h>
#include <viodm/inproc.h>
#include <viodm/loop_event.h>
#include <viodm/mmio.h>

static void set_irq(void *vm, bool level) /* a VMM raises its interrupt line here */
{
	printf("%s: interrupt %s\n", (char *)vm, level ? "up" : "down");
}

int main(void)
{
	struct vio_mem_region ram = {.size = 1 << 20, .hva = calloc(1, 1 << 20), .fd = -1};
	struct vio_device_env env = {.name = "disk0"};
	struct vio_blk_config disk = {.queues = 1};
	struct vio_mmio_config hooks = {.irq = set_irq, .irq_fd = -1, .arg = "vm"};
	struct event_base *events = event_base_new();
	struct vio_loop *loop;
	struct vio_mem *mem;
	struct vio_device *dev;
	struct vio_mmio *mmio;
	char magic[5] = "";

	if (vio_loop_event_create(events, &loop) || vio_backend_inproc_create(loop, &env.backend) ||
	    vio_mem_create(&ram, 1, &mem) || vio_storage_memory_open(64 << 20, &disk.storage))
		return 1;
	env.mem = mem;
	if (vio_blk_create(&env, &disk, &dev) || vio_mmio_create(dev, &hooks, &mmio))
		return 1;
	vio_mmio_read(mmio, 0, magic, 4); /* on each MMIO exit of a vCPU; writes likewise */
	event_base_loop(events,
			EVLOOP_NONBLOCK); /* a VMM dispatches here, for as long as it runs */
	printf("%s: %s device with a window of %d bytes\n", env.name, magic,
	       (int)vio_mmio_size(mmio));
	vio_mmio_destroy(mmio);
	vio_device_destroy(dev);
	return 0;
}
