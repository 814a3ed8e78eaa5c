/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sync engine: each request is done on the loop's own thread before submit returns.
 */
#include <viodm/engines.h>

#include "file.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct sync_channel {
	struct vio_channel base;
	struct file *file;
	char *bounce;
};

static struct sync_channel *to_channel(struct vio_channel *ch)
{
	return vio_container_of(ch, struct sync_channel, base);
}

static int sync_attach(struct vio_storage *st, struct vio_loop *loop, struct vio_channel **out)
{
	struct sync_channel *ch = calloc(1, sizeof(*ch));

	(void)loop;
	if (!ch)
		return -ENOMEM;
	ch->file = file_of(st);
	if (file_bounce_alloc(ch->file, &ch->bounce) < 0) {
		free(ch);
		return -ENOMEM;
	}
	*out = &ch->base;
	return 0;
}

static void sync_detach(struct vio_channel *base)
{
	struct sync_channel *ch = to_channel(base);

	free(ch->bounce);
	free(ch);
}

static void sync_submit(struct vio_channel *base, struct vio_io *io)
{
	struct sync_channel *ch = to_channel(base);

	io->result = file_io(ch->file, ch->bounce, io);
	io->done(io);
}

static void sync_commit(struct vio_channel *ch)
{
	ch->drained(ch);
}

static const struct vio_storage_ops sync_ops = {
	.name = "sync",
	.info = file_storage_info,
	.attach = sync_attach,
	.detach = sync_detach,
	.submit = sync_submit,
	.commit = sync_commit,
	.close = file_storage_close,
};

int vio_storage_sync_open(const char *path, const struct vio_storage_file_config *cfg,
			  struct vio_storage **out)
{
	return file_storage_open(&sync_ops, path, cfg, out);
}
