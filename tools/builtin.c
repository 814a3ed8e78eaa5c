/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every leaf of this build by name. Nothing else in the project knows which device models,
 * transports, back-ends and storage engines there are.
 */
#include <errno.h>

#include <viodm/blk.h>
#include <viodm/inproc.h>
#include <viodm/pci.h>
#include <viodm/rng.h>

#include "builtin.h"
#include "image.h"

/* ---- storage engines ------------------------------------------------------------------------- */

struct file_opts {
	char *image;
};

static const struct vio_opt file_opts[] = {
	{.name = "image",
	 .type = VIO_OPT_PATH,
	 .offset = offsetof(struct file_opts, image),
	 .required = true,
	 .help = "raw image file or block device; its size is a multiple of 512"},
};

static int file_check(const void *opts, const struct vio_storage_file_config *access,
		      uint64_t *size, struct fault *fault)
{
	const struct file_opts *o = opts;

	fault->key = "image";
	return image_check(o->image, access, size, fault->text);
}

static int sync_open(const void *opts, const struct vio_storage_file_config *access,
		     struct vio_storage **out)
{
	const struct file_opts *o = opts;

	return vio_storage_sync_open(o->image, access, out);
}

struct sized_opts {
	uint64_t size;
};

static const struct vio_opt sized_opts[] = {
	{.name = "size",
	 .type = VIO_OPT_SIZE,
	 .offset = offsetof(struct sized_opts, size),
	 .min = 512,
	 .max = INT64_MAX,
	 .multiple = 512,
	 .required = true,
	 .help = "bytes of the disk"},
};

static int sized_check(const void *opts, const struct vio_storage_file_config *access,
		       uint64_t *size, struct fault *fault)
{
	const struct sized_opts *o = opts;

	(void)access;
	(void)fault;
	*size = o->size;
	return 0;
}

static int memory_open(const void *opts, const struct vio_storage_file_config *access,
		       struct vio_storage **out)
{
	const struct sized_opts *o = opts;

	(void)access;
	return vio_storage_memory_open(o->size, out);
}

static int null_open(const void *opts, const struct vio_storage_file_config *access,
		     struct vio_storage **out)
{
	const struct sized_opts *o = opts;

	(void)access;
	return vio_storage_null_open(o->size, out);
}

static const struct leaf engines[] = {
	{.name = "sync",
	 .help = "an image file or block device, read and written on the loop's own thread",
	 .opts = file_opts,
	 .n_opts = VIO_ARRAY_LEN(file_opts),
	 .opts_size = sizeof(struct file_opts),
	 .engine = {.check = file_check, .open = sync_open, .direct = true}},
	{.name = "memory",
	 .help = "memory of the process, zero at first, gone at the end",
	 .opts = sized_opts,
	 .n_opts = VIO_ARRAY_LEN(sized_opts),
	 .opts_size = sizeof(struct sized_opts),
	 .engine = {.check = sized_check, .open = memory_open}},
	{.name = "null",
	 .help = "reads as zeroes, writes vanish; for benchmarks",
	 .opts = sized_opts,
	 .n_opts = VIO_ARRAY_LEN(sized_opts),
	 .opts_size = sizeof(struct sized_opts),
	 .engine = {.check = sized_check, .open = null_open}},
};

/* ---- back-ends ------------------------------------------------------------------------------- */

static int inproc_create(const void *opts, const struct vio_config_env *env,
			 struct vio_backend **out)
{
	(void)opts;
	return vio_backend_inproc_create(env->loop, out);
}

static const struct leaf backends[] = {
	{.name = "inproc",
	 .help = "the queues run on the event loop of the process",
	 .backend = {.create = inproc_create}},
};

/* ---- transports ------------------------------------------------------------------------------ */

static void mmio_describe(const void *opts, struct vio_config_device *device)
{
	(void)opts;
	device->transport = VIO_CONFIG_MMIO;
}

struct pci_opts {
	unsigned vectors;
};

static const struct vio_opt pci_opts[] = {
	{.name = "vectors",
	 .type = VIO_OPT_UINT,
	 .offset = offsetof(struct pci_opts, vectors),
	 .def = "auto",
	 .max = 2048,
	 .word = "auto",
	 .word_value = VIO_PCI_VECTORS_AUTO,
	 .help = "MSI-X vectors; 0: none, INTx only; auto: one for each queue and one more"},
};

static void pci_describe(const void *opts, struct vio_config_device *device)
{
	const struct pci_opts *o = opts;

	device->transport = VIO_CONFIG_PCI;
	device->pci_vectors = (uint16_t)o->vectors;
}

static const struct leaf transports[] = {
	{.name = "mmio",
	 .help = "virtio-mmio: a window of registers and an interrupt line",
	 .transport = {.describe = mmio_describe}},
	{.name = "pci",
	 .help = "virtio-pci: a PCI function",
	 .opts = pci_opts,
	 .n_opts = VIO_ARRAY_LEN(pci_opts),
	 .opts_size = sizeof(struct pci_opts),
	 .transport = {.describe = pci_describe}},
};

/* ---- blk ------------------------------------------------------------------------------------- */

enum blk_cache { BLK_WRITEBACK, BLK_WRITETHROUGH, BLK_NONE };

static const char *const blk_cache_words[] = {"writeback", "writethrough", "none", NULL};

struct blk_opts {
	unsigned queues;
	unsigned queue_size;
	unsigned seg_max;
	uint64_t size_max;
	unsigned cache;
	bool readonly;
	bool discard;
	bool geometry;
	char *serial;
};

static const struct vio_opt blk_opts[] = {
	{.name = "readonly",
	 .type = VIO_OPT_BOOL,
	 .offset = offsetof(struct blk_opts, readonly),
	 .help = "the driver may not write; an image is opened for reading"},
	{.name = "cache",
	 .type = VIO_OPT_CHOICE,
	 .offset = offsetof(struct blk_opts, cache),
	 .choices = blk_cache_words,
	 .help = "writethrough: writes are stable when done; none: past the host's page cache"},
	{.name = "discard",
	 .type = VIO_OPT_BOOL,
	 .offset = offsetof(struct blk_opts, discard),
	 .def = "on",
	 .help = "offer discard and write-zeroes"},
	{.name = "serial",
	 .type = VIO_OPT_STRING,
	 .offset = offsetof(struct blk_opts, serial),
	 .min = 1,
	 .max = VIO_BLK_ID_LEN,
	 .help = "what the driver gets as the disk's identity; none: the section's name"},
	{.name = "queues",
	 .type = VIO_OPT_UINT,
	 .offset = offsetof(struct blk_opts, queues),
	 .def = "1",
	 .min = 1,
	 .max = VIO_DEVICE_MAX_QUEUES,
	 .help = "request virtqueues"},
	{.name = "queue-size",
	 .type = VIO_OPT_UINT,
	 .offset = offsetof(struct blk_opts, queue_size),
	 .def = "256",
	 .min = 2,
	 .max = 1024,
	 .pow2 = true,
	 .help = "largest number of descriptors in a virtqueue"},
	{.name = "seg-max",
	 .type = VIO_OPT_UINT,
	 .offset = offsetof(struct blk_opts, seg_max),
	 .def = "auto",
	 .min = 1,
	 .max = 1022,
	 .word = "auto",
	 .help = "data buffers of one request; auto: queue-size - 2, which is the most there can "
		 "be"},
	{.name = "size-max",
	 .type = VIO_OPT_SIZE,
	 .offset = offsetof(struct blk_opts, size_max),
	 .def = "none",
	 .min = 512,
	 .max = UINT64_C(1) << 31,
	 .word = "none",
	 .help = "bytes of one data buffer; none: any"},
	{.name = "geometry",
	 .type = VIO_OPT_BOOL,
	 .offset = offsetof(struct blk_opts, geometry),
	 .help = "offer cylinders, heads and sectors made up from the size"},
};

static int blk_check(const struct part *parts, struct fault *fault)
{
	const struct blk_opts *o = parts[LEAF_MODEL].opts;
	const struct leaf *engine = parts[LEAF_ENGINE].leaf;
	unsigned most = o->queue_size > 2 ? o->queue_size - 2 : 1;

	if (o->seg_max > most) {
		fault->key = "seg-max";
		snprintf(fault->text, sizeof(fault->text),
			 "%u is more than a queue of queue-size = %u can hold (1..%u)", o->seg_max,
			 o->queue_size, most);
		return -EINVAL;
	}
	if (o->cache == BLK_NONE && !engine->engine.direct) {
		fault->key = "cache";
		snprintf(fault->text, sizeof(fault->text),
			 "\"none\" needs an engine with an image; this section has engine = %s",
			 engine->name);
		return -EINVAL;
	}
	return 0;
}

static void blk_access(const struct part *parts, struct vio_storage_file_config *access)
{
	const struct blk_opts *o = parts[LEAF_MODEL].opts;

	access->readonly = o->readonly;
	access->direct = o->cache == BLK_NONE;
}

static int blk_create(const struct part *parts, const struct vio_device_env *env,
		      struct vio_storage *storage, struct vio_device **out)
{
	const struct blk_opts *o = parts[LEAF_MODEL].opts;
	const struct vio_blk_config cfg = {
		.storage = storage,
		.queues = (uint16_t)o->queues,
		.queue_size = (uint16_t)o->queue_size,
		.seg_max = o->seg_max,
		.size_max = (uint32_t)o->size_max,
		.readonly = o->readonly,
		.writethrough = o->cache == BLK_WRITETHROUGH,
		.geometry = o->geometry,
		.no_discard = !o->discard,
		.id = o->serial,
	};

	return vio_blk_create(env, &cfg, out);
}

/* ---- rng ------------------------------------------------------------------------------------- */

static int rng_create(const struct part *parts, const struct vio_device_env *env,
		      struct vio_storage *storage, struct vio_device **out)
{
	(void)parts;
	(void)storage;
	return vio_rng_create(env, out);
}

/* ---- device models --------------------------------------------------------------------------- */

static const struct leaf models[] = {
	{.name = "blk",
	 .help = "block device: a disk on a storage engine",
	 .opts = blk_opts,
	 .n_opts = VIO_ARRAY_LEN(blk_opts),
	 .opts_size = sizeof(struct blk_opts),
	 .needs = LEAF_BIT(LEAF_TRANSPORT) | LEAF_BIT(LEAF_BACKEND) | LEAF_BIT(LEAF_ENGINE),
	 .model = {.check = blk_check,
		   .access = blk_access,
		   .create = blk_create,
		   .refresh = vio_blk_refresh}},
	{.name = "rng",
	 .help = "entropy device: random bytes of the host's kernel",
	 .needs = LEAF_BIT(LEAF_TRANSPORT) | LEAF_BIT(LEAF_BACKEND),
	 .model = {.create = rng_create}},
};

const struct leaf_set builtin_leaves[LEAF_KINDS] = {
	[LEAF_MODEL] = {.leaves = models, .n = VIO_ARRAY_LEN(models)},
	[LEAF_TRANSPORT] = {.key = {.name = "transport",
				    .type = VIO_OPT_CHOICE,
				    .def = "pci",
				    .help = "how the driver reaches the device"},
			    .leaves = transports,
			    .n = VIO_ARRAY_LEN(transports)},
	[LEAF_BACKEND] = {.key = {.name = "backend",
				  .type = VIO_OPT_CHOICE,
				  .def = "inproc",
				  .help = "who runs the virtqueues"},
			  .leaves = backends,
			  .n = VIO_ARRAY_LEN(backends)},
	[LEAF_ENGINE] = {.key = {.name = "engine",
				 .type = VIO_OPT_CHOICE,
				 .def = "sync",
				 .help = "what stands under a disk and moves its bytes"},
			 .leaves = engines,
			 .n = VIO_ARRAY_LEN(engines)},
};

struct vio_opt builtin_key(enum leaf_kind kind, const char **names)
{
	const struct leaf_set *set = &builtin_leaves[kind];
	struct vio_opt key = set->key;

	for (size_t i = 0; i < set->n; i++)
		names[i] = set->leaves[i].name;
	names[set->n] = NULL;
	key.choices = names;
	return key;
}
