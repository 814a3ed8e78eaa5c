/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One wrapper per contract function: defaults are known here and nobody else calls through the
 * tables of loops, storage engines and back-ends.
 */
#include <viodm/backend.h>
#include <viodm/loop.h>
#include <viodm/storage.h>

int vio_loop_watch(struct vio_loop *loop, struct vio_watch *watch)
{
	return loop->ops->watch(loop, watch);
}

void vio_loop_unwatch(struct vio_loop *loop, struct vio_watch *watch)
{
	loop->ops->unwatch(loop, watch);
}

void vio_loop_defer(struct vio_loop *loop, struct vio_defer *defer)
{
	if (!defer->queued)
		loop->ops->defer(loop, defer);
}

void vio_loop_cancel(struct vio_loop *loop, struct vio_defer *defer)
{
	if (defer->queued)
		loop->ops->cancel(loop, defer);
}

void vio_loop_call(struct vio_loop *loop, void (*fn)(void *arg), void *arg)
{
	loop->ops->call(loop, fn, arg);
}

bool vio_loop_poll_add(struct vio_loop *loop, struct vio_poller *poller)
{
	if (!loop->ops->poll_add)
		return false;
	loop->ops->poll_add(loop, poller);
	return true;
}

void vio_loop_poll_remove(struct vio_loop *loop, struct vio_poller *poller)
{
	loop->ops->poll_remove(loop, poller);
}

void vio_loop_destroy(struct vio_loop *loop)
{
	if (loop)
		loop->ops->destroy(loop);
}

void vio_backend_destroy(struct vio_backend *be)
{
	if (be)
		be->ops->destroy(be);
}

int vio_storage_info(struct vio_storage *st, struct vio_storage_info *info)
{
	return st->ops->info(st, info);
}

void vio_storage_close(struct vio_storage *st)
{
	if (st)
		st->ops->close(st);
}

int vio_channel_attach(struct vio_storage *st, struct vio_loop *loop,
		       void (*drained)(struct vio_channel *ch), void *user,
		       struct vio_channel **out)
{
	struct vio_channel *ch;
	int r = st->ops->attach(st, loop, &ch);

	if (r < 0)
		return r;
	ch->storage = st;
	ch->drained = drained;
	ch->user = user;
	*out = ch;
	return 0;
}

void vio_channel_detach(struct vio_channel *ch)
{
	if (ch)
		ch->storage->ops->detach(ch);
}

void vio_channel_submit(struct vio_channel *ch, struct vio_io *io)
{
	ch->storage->ops->submit(ch, io);
}

void vio_channel_commit(struct vio_channel *ch)
{
	if (ch->storage->ops->commit)
		ch->storage->ops->commit(ch);
}

void vio_channel_drain(struct vio_channel *ch)
{
	if (ch->storage->ops->drain)
		ch->storage->ops->drain(ch);
}
