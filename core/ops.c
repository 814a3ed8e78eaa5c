/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One wrapper per contract function: defaults are known here and nobody else calls through the
 * tables of loops, storage engines, network ports and back-ends.
 */
#include <viodm/backend.h>
#include <viodm/loop.h>
#include <viodm/port.h>
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

void vio_channel_memory(struct vio_channel *ch, const struct vio_mem *mem)
{
	if (ch->storage->ops->memory)
		ch->storage->ops->memory(ch, mem);
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

int vio_port_info(struct vio_port *port, struct vio_port_info *info)
{
	return port->ops->info(port, info);
}

void vio_port_close(struct vio_port *port)
{
	if (port)
		port->ops->close(port);
}

int vio_port_attach(struct vio_port *port, uint16_t index, struct vio_loop *loop,
		    const struct vio_port_user *user, void *user_data, struct vio_port_queue **out)
{
	struct vio_port_queue *pq;
	int r = port->ops->attach(port, index, loop, &pq);

	if (r < 0)
		return r;
	pq->port = port;
	pq->index = index;
	pq->user = user;
	pq->user_data = user_data;
	*out = pq;
	return 0;
}

void vio_port_detach(struct vio_port_queue *pq)
{
	if (pq)
		pq->port->ops->detach(pq);
}

unsigned vio_port_send(struct vio_port_queue *pq, const struct vio_frame *frames, unsigned n)
{
	return pq->port->ops->send(pq, frames, n);
}

void vio_port_receive(struct vio_port_queue *pq, bool on)
{
	pq->port->ops->receive(pq, on);
}

void vio_port_select(struct vio_port_queue *pq, bool on)
{
	if (pq->port->ops->select)
		pq->port->ops->select(pq, on);
}

int vio_port_set_offloads(struct vio_port *port, uint64_t offloads)
{
	return port->ops->set_offloads ? port->ops->set_offloads(port, offloads) : 0;
}

void vio_port_set_link(struct vio_port *port, bool up)
{
	if (port->ops->set_link)
		port->ops->set_link(port, up);
}

void vio_port_link(struct vio_port *port, bool up)
{
	if (port->on_link)
		port->on_link(port, up);
}
