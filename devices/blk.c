/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "Block Device": parses requests, checks them once against the capacity, hands them to a storage
 * engine.
 */
#include <viodm/defect.h>
#include <viodm/blk.h>
#include <viodm/iov.h>

#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512u

#define BLK_QUEUE_SIZE	   256
#define BLK_QUEUE_SIZE_MAX 1024

/* Limits of one discard or write-zeroes request: no driver can ask for hours of work at once. */
#define BLK_MAX_SEGMENTS	     16
#define BLK_MAX_DISCARD_SECTORS	     (1u << 22)
#define BLK_MAX_WRITE_ZEROES_SECTORS (1u << 18)

/* The configuration space up to the fields of features we do not have. */
#define BLK_CONFIG_SIZE (offsetof(struct virtio_blk_config, unused1) + 3)

struct blk {
	struct vio_device base;
	struct vio_storage *storage;
	struct virtio_blk_config conf;		     /* little-endian; under the device's mutex */
	_Atomic uint64_t capacity;		     /* in sectors */
	_Atomic bool writeback;			     /* completed writes may still be volatile */
	_Atomic bool cache_chosen;		     /* by the driver, since it negotiated */
	_Atomic bool started[VIO_DEVICE_MAX_QUEUES]; /* queues that were, since then */
	bool readonly;
	bool starts_writethrough;
	char id[VIRTIO_BLK_ID_BYTES]; /* NUL-padded */
};

/* One running queue; vio_queue.device_data. */
struct blk_queue {
	struct blk *blk;
	struct vio_queue *q;
	struct vio_channel *ch;
};

struct blk_segment {
	uint64_t offset, length; /* bytes */
	uint32_t flags;		 /* VIO_IO_* */
};

/* A request slot; one per head of the queue. */
struct blk_req {
	struct vio_chain chain;
	struct vio_io io;
	struct blk_queue *bq;
	uint8_t *status;
	uint64_t in_len; /* writable bytes before the status byte */
	uint16_t next_segment, n_segments;
	struct blk_segment segments[BLK_MAX_SEGMENTS];
};

static struct blk *to_blk(struct vio_device *dev)
{
	return vio_container_of(dev, struct blk, base);
}

/* ---- completion --------------------------------------------------------------------------------
 */

/*
 * `written` counts the bytes put at the start of the writable part. The status byte comes behind
 * all of it, so it counts only when nothing before it was left out (SPLIT-DEV-018).
 */
static void blk_finish(struct blk_req *r, uint8_t status, uint64_t written)
{
	if (status != VIRTIO_BLK_S_OK || !VIO_DEFECT("blk-status-not-written"))
		*r->status = status;
	if (VIO_UNLIKELY(status != VIRTIO_BLK_S_OK))
		vio_count(&r->bq->q->stats.errors, 1);
	vio_queue_push(r->bq->q, &r->chain, written + (written == r->in_len ? 1 : 0));
}

static uint8_t status_of(int result)
{
	switch (result) {
	case 0:
		return VIRTIO_BLK_S_OK;
	case -EOPNOTSUPP:
		return VIRTIO_BLK_S_UNSUPP;
	default:
		return VIRTIO_BLK_S_IOERR;
	}
}

static void blk_submit_segment(struct blk_req *r);

static void blk_count(struct vio_queue_stats *stats, const struct vio_io *io)
{
	if (io->op == VIO_IO_READ)
		vio_count(&stats->bytes_read, io->length);
	else if (io->op == VIO_IO_WRITE)
		vio_count(&stats->bytes_written, io->length);
}

static void blk_done(struct vio_io *io)
{
	struct blk_req *r = vio_container_of(io, struct blk_req, io);

	if (io->result == 0 && r->next_segment < r->n_segments) {
		blk_submit_segment(r);
		return;
	}
	if (VIO_LIKELY(io->result == 0))
		blk_count(&r->bq->q->stats, io);
	blk_finish(r, status_of(io->result),
		   io->op == VIO_IO_READ && io->result == 0 ? r->in_len : 0);
}

static void blk_drained(struct vio_channel *ch)
{
	struct blk_queue *bq = ch->user;

	vio_device_publish(&bq->blk->base, bq->q);
}

/* ---- requests ----------------------------------------------------------------------------------
 */

static bool sectors_ok(const struct blk *blk, uint64_t sector, uint64_t n)
{
	if (VIO_DEFECT("blk-range-unchecked"))
		return sector + n <= UINT64_MAX / SECTOR / 2;
	if (VIO_DEFECT("blk-range-wraps"))
		return (sector + n) * SECTOR <= blk->capacity * SECTOR;
	return vio_range_ok(sector, n, blk->capacity);
}

static uint32_t write_flags(const struct blk *blk)
{
	return blk->writeback ? 0 : VIO_IO_FUA;
}

static void blk_rw(struct blk_req *r, enum vio_io_op op, uint64_t sector,
		   const struct vio_iov *data)
{
	struct blk *blk = r->bq->blk;

	if (VIO_DEFECT("blk-write-forgotten") && op == VIO_IO_WRITE) {
		blk_finish(r, VIRTIO_BLK_S_OK, 0);
		return;
	}
	if (VIO_DEFECT("blk-read-only-accepts") && op == VIO_IO_WRITE && blk->readonly) {
		blk_finish(r, VIRTIO_BLK_S_OK, 0);
		return;
	}
	if ((op == VIO_IO_WRITE && blk->readonly) ||
	    (data->len % SECTOR && !VIO_DEFECT("blk-odd-lengths")) ||
	    !sectors_ok(blk, sector, data->len / SECTOR)) {
		blk_finish(r, VIRTIO_BLK_S_IOERR, 0);
		return;
	}
	if (data->len == 0) {
		blk_finish(r, VIRTIO_BLK_S_OK, 0);
		return;
	}
	r->io.op = op;
	r->io.flags = op == VIO_IO_WRITE ? write_flags(blk) : 0;
	r->io.offset = sector * SECTOR;
	r->io.length = data->len;
	r->io.iov = data->v;
	r->io.n_iov = data->n;
	vio_channel_submit(r->bq->ch, &r->io);
}

static void blk_flush(struct blk_req *r)
{
	r->io.op = VIO_IO_FLUSH;
	r->io.flags = 0;
	r->io.offset = r->io.length = 0;
	r->io.iov = NULL;
	r->io.n_iov = 0;
	vio_channel_submit(r->bq->ch, &r->io);
}

static void blk_get_id(struct blk_req *r, struct vio_iov *in)
{
	size_t n = vio_iov_put(in, r->bq->blk->id,
			       sizeof(r->bq->blk->id) - (VIO_DEFECT("blk-id-short") ? 1 : 0));

	blk_finish(r, VIRTIO_BLK_S_OK, n);
}

static void blk_submit_segment(struct blk_req *r)
{
	const struct blk_segment *s = &r->segments[r->next_segment++];

	r->io.flags = s->flags;
	r->io.offset = s->offset;
	r->io.length = s->length;
	vio_channel_submit(r->bq->ch, &r->io);
}

/* Checks one segment and keeps it; the status of a bad one. */
static uint8_t segment_add(struct blk_req *r, const struct virtio_blk_discard_write_zeroes *raw)
{
	struct blk *blk = r->bq->blk;
	bool discard = r->io.op == VIO_IO_DISCARD;
	uint32_t flags = le32toh(raw->flags), n = le32toh(raw->num_sectors);
	uint64_t sector = le64toh(raw->sector);
	struct blk_segment *s = &r->segments[r->n_segments];

	/* BLK-DEV-029, BLK-DEV-030 */
	if (VIO_DEFECT("blk-segment-flags-ignored"))
		flags = 0;
	if (flags & ~VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP || (discard && flags))
		return VIRTIO_BLK_S_UNSUPP;
	if (n > (discard ? BLK_MAX_DISCARD_SECTORS : BLK_MAX_WRITE_ZEROES_SECTORS) ||
	    (!sectors_ok(blk, sector, n) && !VIO_DEFECT("blk-segments-unchecked")))
		return VIRTIO_BLK_S_IOERR;
	if (n == 0 || (VIO_DEFECT("blk-segments-unchecked") && !sectors_ok(blk, sector, n)))
		return VIRTIO_BLK_S_OK;
	s->offset = sector * SECTOR;
	s->length = (uint64_t)n * SECTOR;
	s->flags = discard ? 0 : write_flags(blk);
	if (flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP)
		s->flags |= VIO_IO_UNMAP;
	r->n_segments++;
	return VIRTIO_BLK_S_OK;
}

/* Discard and write-zeroes: all segments are checked before any is done. */
static void blk_segments(struct blk_req *r, enum vio_io_op op, struct vio_iov *out)
{
	struct virtio_blk_discard_write_zeroes raw;
	struct blk *blk = r->bq->blk;
	unsigned feature = op == VIO_IO_DISCARD ? VIRTIO_BLK_F_DISCARD : VIRTIO_BLK_F_WRITE_ZEROES;
	uint8_t status = VIRTIO_BLK_S_OK;

	r->io.op = op;
	r->io.iov = NULL;
	r->io.n_iov = 0;
	if (VIO_DEFECT("blk-discard-forgotten") && op == VIO_IO_WRITE_ZEROES) {
		blk_finish(r, VIRTIO_BLK_S_OK, 0);
		return;
	}
	if (VIO_DEFECT("blk-read-only-segments-ok") && blk->readonly) {
		blk_finish(r, VIRTIO_BLK_S_OK, 0);
		return;
	}
	if (blk->readonly || out->len == 0 || out->len % sizeof(raw) ||
	    out->len / sizeof(raw) > BLK_MAX_SEGMENTS)
		status = VIRTIO_BLK_S_IOERR;
	else if (!vio_device_has(&blk->base, feature))
		status = VIRTIO_BLK_S_UNSUPP;
	while (status == VIRTIO_BLK_S_OK && vio_iov_pull(out, &raw, sizeof(raw)) == sizeof(raw))
		status = segment_add(r, &raw);
	if (VIO_DEFECT("blk-first-segment-only") && r->n_segments > 1)
		r->n_segments = 1;
	if (status != VIRTIO_BLK_S_OK || r->n_segments == 0)
		blk_finish(r, status, 0);
	else
		blk_submit_segment(r);
}

static void blk_dispatch(struct blk_req *r, struct vio_iov *out, struct vio_iov *in)
{
	struct virtio_blk_outhdr hdr;

	if (VIO_DEFECT("blk-header-alone") && r->chain.iov[0].iov_len != sizeof(hdr)) {
		blk_finish(r, VIRTIO_BLK_S_IOERR, 0);
		return;
	}
	if (VIO_DEFECT("blk-short-header"))
		memset(&hdr, 0, sizeof(hdr));
	if (vio_iov_pull(out, &hdr, sizeof(hdr)) < sizeof(hdr) && !VIO_DEFECT("blk-short-header")) {
		blk_finish(r, VIRTIO_BLK_S_IOERR, 0);
		return;
	}
	switch (le32toh(hdr.type)) {
	case VIRTIO_BLK_T_IN:
		blk_rw(r, VIO_IO_READ, le64toh(hdr.sector), in);
		break;
	case VIRTIO_BLK_T_OUT:
		blk_rw(r, VIO_IO_WRITE, le64toh(hdr.sector), out);
		break;
	case VIRTIO_BLK_T_FLUSH:
		blk_flush(r);
		break;
	case VIRTIO_BLK_T_GET_ID:
		blk_get_id(r, in);
		break;
	case VIRTIO_BLK_T_DISCARD:
		blk_segments(r, VIO_IO_DISCARD, out);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		blk_segments(r, VIO_IO_WRITE_ZEROES, out);
		break;
	default:
		blk_finish(r,
			   VIO_DEFECT("blk-unknown-type-ok") ? VIRTIO_BLK_S_OK
							     : VIRTIO_BLK_S_UNSUPP,
			   0); /* BLK-IMP-003 */
		break;
	}
}

static void blk_request(struct blk_queue *bq, struct blk_req *r)
{
	struct vio_iov out = vio_iov_readable(&r->chain), in = vio_iov_writable(&r->chain);

	r->bq = bq;
	r->io.done = blk_done;
	r->next_segment = r->n_segments = 0;
	r->status = vio_iov_take_last(&in);
	if (!r->status) {
		vio_device_fail(&bq->blk->base, "queue %u: request without a status byte",
				bq->q->index);
		return;
	}
	r->in_len = in.len;
	blk_dispatch(r, &out, &in);
}

static bool blk_queue_run(struct vio_device *dev, struct vio_queue *q)
{
	struct blk_queue *bq = q->device_data;
	uint16_t left = q->size;
	struct vio_chain *c;

	if (VIO_DEFECT("blk-second-queue-dead") && q->index == 1)
		return false;
	while (left > 0 && vio_device_pop(dev, q, &c)) {
		blk_request(bq, vio_container_of(c, struct blk_req, chain));
		left--;
	}
	vio_channel_commit(bq->ch);
	vio_device_publish(dev, q); /* those that no engine saw */
	return left == 0;
}

/*
 * Rings that go on although nothing of this driver started here: another server or another session
 * served them, and a front-end tells of rings and features only, not of what the driver wrote into
 * the configuration. A driver that chose write-through does not flush; so that is what it gets.
 */
static void blk_take_over(struct blk *blk, const struct vio_queue *q)
{
	const uint8_t writethrough = 0;

	if (atomic_exchange(&blk->started[q->index], true) || blk->cache_chosen ||
	    !vio_device_has(&blk->base, VIRTIO_BLK_F_CONFIG_WCE) || !vio_queue_goes_on(q))
		return;
	blk->writeback = false;
	vio_device_config_update(&blk->base, offsetof(struct virtio_blk_config, wce), &writethrough,
				 sizeof(writethrough));
}

static int blk_queue_start(struct vio_device *dev, struct vio_queue *q, struct vio_loop *loop)
{
	struct blk_queue *bq = calloc(1, sizeof(*bq));
	int r;

	if (!bq)
		return -ENOMEM;
	bq->blk = to_blk(dev);
	bq->q = q;
	r = vio_channel_attach(bq->blk->storage, loop, blk_drained, bq, &bq->ch);
	if (r < 0) {
		free(bq);
		return r;
	}
	vio_channel_memory(bq->ch, dev->mem);
	blk_take_over(bq->blk, q);
	q->device_data = bq;
	return 0;
}

static void blk_queue_stop(struct vio_device *dev, struct vio_queue *q)
{
	struct blk_queue *bq = q->device_data;

	(void)dev;
	vio_channel_drain(bq->ch);
	vio_channel_detach(bq->ch);
	q->device_data = NULL;
	free(bq);
}

/* ---- features and configuration ----------------------------------------------------------------
 */

/*
 * Which cache the driver gets (BLK-DEV-037). Without FLUSH it has no means to make a write stable,
 * so every write is; with CONFIG_WCE it can choose, and without FLUSH it begins with write-through
 * (BLK-DEV-004).
 */
static void blk_negotiated(struct vio_device *dev)
{
	struct blk *blk = to_blk(dev);
	bool flush = vio_device_has(dev, VIRTIO_BLK_F_FLUSH);

	if (VIO_DEFECT("blk-writeback-survives-reset") && blk->writeback)
		return;
	blk->writeback =
		(flush || VIO_DEFECT("blk-writeback-without-flush")) && !blk->starts_writethrough;
	blk->conf.wce = blk->writeback;
	blk->cache_chosen = false;
	for (uint16_t i = 0; i < dev->n_queues; i++)
		blk->started[i] = false;
	if (VIO_DEFECT("blk-padding"))
		blk->conf.unused = 0xff;
}

static void blk_config_write(struct vio_device *dev, uint32_t off, const void *buf, uint32_t len)
{
	const uint32_t wce = offsetof(struct virtio_blk_config, wce);
	struct blk *blk = to_blk(dev);

	if (VIO_DEFECT("blk-config-writable"))
		memcpy((char *)&blk->conf + off, buf, len);
	if (!vio_device_has(dev, VIRTIO_BLK_F_CONFIG_WCE) || wce < off || wce - off >= len)
		return;
	if (VIO_DEFECT("blk-wce-fixed"))
		return;
	blk->conf.wce = ((const uint8_t *)buf)[wce - off] != 0;
	blk->writeback = blk->conf.wce;
	blk->cache_chosen = true;
}

static uint64_t bit(unsigned feature)
{
	return UINT64_C(1) << feature;
}

static uint64_t blk_features(const struct vio_blk_config *cfg, const struct vio_storage_info *info,
			     bool readonly)
{
	uint64_t f = bit(VIRTIO_BLK_F_SEG_MAX) | bit(VIRTIO_BLK_F_BLK_SIZE) |
		     bit(VIRTIO_BLK_F_TOPOLOGY) | bit(VIRTIO_BLK_F_FLUSH) |
		     bit(VIRTIO_BLK_F_CONFIG_WCE);

	if (VIO_DEFECT("blk-no-flush"))
		f &= ~bit(VIRTIO_BLK_F_FLUSH);
	if (cfg->size_max)
		f |= bit(VIRTIO_BLK_F_SIZE_MAX);
	if (cfg->geometry)
		f |= bit(VIRTIO_BLK_F_GEOMETRY);
	if (cfg->queues > 1)
		f |= bit(VIRTIO_BLK_F_MQ);
	if (readonly)
		return f | bit(VIRTIO_BLK_F_RO);
	if (info->discard && !cfg->no_discard)
		f |= bit(VIRTIO_BLK_F_DISCARD);
	if (info->write_zeroes && !cfg->no_discard)
		f |= bit(VIRTIO_BLK_F_WRITE_ZEROES);
	return f;
}

/* The classic made-up geometry: 16 heads of 63 sectors. */
static void conf_geometry(struct virtio_blk_config *c, uint64_t sectors)
{
	uint64_t cylinders = sectors / (16 * 63);

	c->geometry.cylinders = htole16(cylinders > UINT16_MAX ? UINT16_MAX : (uint16_t)cylinders);
	c->geometry.heads = 16;
	c->geometry.sectors = 63;
}

static void conf_fill(struct virtio_blk_config *c, const struct vio_blk_config *cfg,
		      const struct vio_storage_info *info)
{
	uint32_t block = info->logical_block;

	c->capacity = htole64(info->size / SECTOR + VIO_DEFECT("blk-capacity-plus-one"));
	c->size_max = htole32(cfg->size_max);
	c->seg_max = htole32(cfg->seg_max);
	if (cfg->geometry)
		conf_geometry(c, info->size / SECTOR);
	c->blk_size = VIO_DEFECT("blk-size-big-endian") ? htobe32(block) : htole32(block);
	c->physical_block_exp = (uint8_t)__builtin_ctz(info->physical_block / block);
	c->min_io_size = htole16((uint16_t)(info->physical_block / block));
	c->opt_io_size = htole32(info->optimal_io / block);
	c->wce = !cfg->writethrough;
	c->num_queues = htole16(VIO_DEFECT("blk-num-queues-0") ? 0 : cfg->queues);
	c->max_discard_sectors = htole32(BLK_MAX_DISCARD_SECTORS);
	c->max_discard_seg = htole32(BLK_MAX_SEGMENTS);
	c->discard_sector_alignment = htole32(info->discard_granularity / SECTOR);
	c->max_write_zeroes_sectors = htole32(BLK_MAX_WRITE_ZEROES_SECTORS);
	c->max_write_zeroes_seg = htole32(BLK_MAX_SEGMENTS);
	c->write_zeroes_may_unmap = info->may_unmap;
}

int vio_blk_refresh(struct vio_device *dev)
{
	struct blk *blk = to_blk(dev);
	struct vio_storage_info info;
	__le64 capacity;
	int r = vio_storage_info(blk->storage, &info);

	if (r < 0)
		return r;
	if (atomic_exchange(&blk->capacity, info.size / SECTOR) == info.size / SECTOR)
		return 0;
	capacity = htole64(info.size / SECTOR);
	vio_device_config_update(dev, offsetof(struct virtio_blk_config, capacity), &capacity,
				 sizeof(capacity));
	return 1;
}

/* ---- life --------------------------------------------------------------------------------------
 */

static void blk_destroy(struct vio_device *dev)
{
	vio_device_fini(dev);
	free(to_blk(dev));
}

static const struct vio_device_ops blk_ops = {
	.name = "blk",
	.id = VIRTIO_ID_BLOCK,
	.negotiated = blk_negotiated,
	.queue_start = blk_queue_start,
	.queue_stop = blk_queue_stop,
	.queue_run = blk_queue_run,
	.config_write = blk_config_write,
	.destroy = blk_destroy,
};

static int config_complete(struct vio_blk_config *cfg)
{
	if (cfg->queues == 0)
		cfg->queues = 1;
	if (cfg->queue_size == 0)
		cfg->queue_size = BLK_QUEUE_SIZE;
	if (cfg->queues > VIO_DEVICE_MAX_QUEUES || !vio_is_pow2(cfg->queue_size) ||
	    cfg->queue_size < 2 || cfg->queue_size > BLK_QUEUE_SIZE_MAX)
		return -EINVAL;
	if (cfg->seg_max == 0)
		cfg->seg_max = cfg->queue_size > 2 ? cfg->queue_size - 2u : 1;
	if (cfg->id && strlen(cfg->id) > VIRTIO_BLK_ID_BYTES)
		return -EINVAL;
	return 0;
}

static void blk_set_id(struct blk *blk, const char *id)
{
	size_t len = strlen(id);

	memcpy(blk->id, id, len < sizeof(blk->id) ? len : sizeof(blk->id));
}

int vio_blk_create(const struct vio_device_env *env, const struct vio_blk_config *config,
		   struct vio_device **out)
{
	struct vio_blk_config cfg = *config;
	struct vio_storage_info info;
	struct blk *blk;
	int r = config_complete(&cfg);

	if (r < 0)
		return r;
	r = vio_storage_info(cfg.storage, &info);
	if (r < 0)
		return r;
	blk = calloc(1, sizeof(*blk));
	if (!blk)
		return -ENOMEM;
	blk->storage = cfg.storage;
	blk->readonly = cfg.readonly || info.readonly;
	blk->starts_writethrough = cfg.writethrough;
	blk->capacity = info.size / SECTOR;
	blk_set_id(blk, cfg.id ? cfg.id : env->name ? env->name : blk_ops.name);
	conf_fill(&blk->conf, &cfg, &info);
	blk->base.ops = &blk_ops;
	blk->base.model_features = blk_features(&cfg, &info, blk->readonly);
	blk->base.n_queues = cfg.queues;
	blk->base.queue_size = cfg.queue_size;
	blk->base.slot_size = sizeof(struct blk_req);
	blk->base.config = (uint8_t *)&blk->conf;
	blk->base.config_size = BLK_CONFIG_SIZE;
	r = vio_device_init(&blk->base, env);
	if (r < 0) {
		free(blk);
		return r;
	}
	*out = &blk->base;
	return 0;
}
