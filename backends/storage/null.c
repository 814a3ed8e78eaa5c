/* SPDX-License-Identifier: BSD-3-Clause */
#include <viodm/engines.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct null_storage {
	struct vio_storage base;
	uint64_t size;
	enum vio_null_fill fill;
};

struct null_channel {
	struct vio_channel base;
	enum vio_null_fill fill;
};

static int null_info(struct vio_storage *st, struct vio_storage_info *info)
{
	*info = (struct vio_storage_info){
		.size = vio_container_of(st, struct null_storage, base)->size,
		.logical_block = 512,
		.physical_block = 512,
		.discard_granularity = 512,
		.discard = true,
		.write_zeroes = true,
	};
	return 0;
}

static int null_attach(struct vio_storage *st, struct vio_loop *loop, struct vio_channel **out)
{
	struct null_channel *ch = calloc(1, sizeof(*ch));

	(void)loop;
	if (!ch)
		return -ENOMEM;
	ch->fill = vio_container_of(st, struct null_storage, base)->fill;
	*out = &ch->base;
	return 0;
}

static void null_detach(struct vio_channel *ch)
{
	free(vio_container_of(ch, struct null_channel, base));
}

static void null_submit(struct vio_channel *ch, struct vio_io *io)
{
	struct null_channel *nc = vio_container_of(ch, struct null_channel, base);

	if (io->op == VIO_IO_READ && nc->fill == VIO_NULL_ZEROES)
		for (uint32_t i = 0; i < io->n_iov; i++)
			if (io->iov[i].iov_len > 0)
				memset(io->iov[i].iov_base, 0, io->iov[i].iov_len);
	io->result = 0;
	io->done(io);
}

static void null_commit(struct vio_channel *ch)
{
	ch->drained(ch);
}

static void null_close(struct vio_storage *st)
{
	free(vio_container_of(st, struct null_storage, base));
}

static const struct vio_storage_ops null_ops = {
	.name = "null",
	.info = null_info,
	.attach = null_attach,
	.detach = null_detach,
	.submit = null_submit,
	.commit = null_commit,
	.close = null_close,
};

int vio_storage_null_open(uint64_t size, enum vio_null_fill fill, struct vio_storage **out)
{
	struct null_storage *ns;

	if (size % 512)
		return -EINVAL;
	ns = calloc(1, sizeof(*ns));
	if (!ns)
		return -ENOMEM;
	ns->base.ops = &null_ops;
	ns->size = size;
	ns->fill = fill;
	*out = &ns->base;
	return 0;
}
