/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * [blk NAME]
 */
#include <errno.h>

#include <viodm/blk.h>

#include "leaves.h"

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
	LEAF_QUEUE_SIZE(blk_opts),
	{.name = "seg-max",
	 .type = VIO_OPT_UINT,
	 .offset = offsetof(struct blk_opts, seg_max),
	 .def = "auto",
	 .min = 1,
	 .max = 1022,
	 .word = "auto",
	 .help = "data buffers of one request; auto: queue-size - 2, which is the most there can "
		 "be, but with transport = vhost-user no more than 126"},
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

/* Whatever queue size a front-end comes with, requests fit the shortest usual ones, of 128. */
#define FRONT_END_SEG_MAX 126

static unsigned queue_size(const struct part *parts)
{
	const struct blk_opts *o = parts[LEAF_MODEL].opts;

	return leaf_queue_size(parts, o->queue_size);
}

/* The most that an indirect table of the queue's size holds beside header and status. */
static unsigned seg_most(const struct part *parts)
{
	unsigned size = queue_size(parts);

	return size > 2 ? size - 2 : 1;
}

static unsigned seg_max(const struct part *parts)
{
	const struct blk_opts *o = parts[LEAF_MODEL].opts;
	unsigned most = seg_most(parts);

	if (o->seg_max)
		return o->seg_max;
	return leaf_has_front_end(parts) && most > FRONT_END_SEG_MAX ? FRONT_END_SEG_MAX : most;
}

static int blk_check(const struct part *parts, struct fault *fault)
{
	const struct blk_opts *o = parts[LEAF_MODEL].opts;
	const struct leaf *engine = parts[LEAF_ENGINE].leaf;
	unsigned most = seg_most(parts);

	if (o->seg_max > most) {
		fault->key = "seg-max";
		snprintf(fault->text, sizeof(fault->text),
			 "%u is more than a queue of queue-size = %u can hold (1..%u)", o->seg_max,
			 queue_size(parts), most);
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

static void blk_show(const struct part *parts, FILE *out)
{
	fprintf(out, "; virtqueues of %u, requests of up to %u data buffers\n", queue_size(parts),
		seg_max(parts));
}

static void blk_access(const struct part *parts, struct vio_storage_file_config *access)
{
	const struct blk_opts *o = parts[LEAF_MODEL].opts;

	access->readonly = o->readonly;
	access->direct = o->cache == BLK_NONE;
}

static int blk_create(const struct part *parts, const struct vio_device_env *env,
		      const struct under *under, struct vio_device **out)
{
	const struct blk_opts *o = parts[LEAF_MODEL].opts;
	const struct vio_blk_config cfg = {
		.storage = under->storage,
		.queues = (uint16_t)o->queues,
		.queue_size = (uint16_t)queue_size(parts),
		.seg_max = seg_max(parts),
		.size_max = (uint32_t)o->size_max,
		.readonly = o->readonly,
		.writethrough = o->cache == BLK_WRITETHROUGH,
		.geometry = o->geometry,
		.no_discard = !o->discard,
		.id = o->serial,
	};

	return vio_blk_create(env, &cfg, out);
}

const struct leaf leaf_blk = {
	.name = "blk",
	.help = "block device: a disk on a storage engine",
	.opts = blk_opts,
	.n_opts = VIO_ARRAY_LEN(blk_opts),
	.opts_size = sizeof(struct blk_opts),
	.needs = LEAF_BIT(LEAF_TRANSPORT) | LEAF_BIT(LEAF_BACKEND) | LEAF_BIT(LEAF_ENGINE),
	.model = {.check = blk_check,
		  .show = blk_show,
		  .access = blk_access,
		  .create = blk_create,
		  .refresh = vio_blk_refresh},
};
