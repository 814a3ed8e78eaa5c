/* SPDX-License-Identifier: BSD-3-Clause */
#include <viodm/inproc.h>

#include "loop_backend.h"

static const struct vio_backend_ops inproc_ops = {
	.name = "inproc",
	.features = loop_backend_features,
	.queue_start = loop_backend_queue_start,
	.queue_stop = loop_backend_queue_stop,
	.destroy = loop_backend_destroy,
};

int vio_backend_inproc_create(struct vio_loop *loop, struct vio_backend **out)
{
	return loop_backend_create(&inproc_ops, &loop, 1, out);
}
