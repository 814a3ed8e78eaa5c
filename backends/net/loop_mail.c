/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop_mail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Bytes that wait at most. */
#define MAIL_BYTES (256u << 10)

struct mail_head {
	struct vio_frame_hdr hdr;
	uint32_t len;
};

int loop_mail_open(struct loop_mail *m, struct vio_loop *loop,
		   void (*on_mail)(struct vio_watch *watch))
{
	int r = -ENOMEM;

	*m = (struct loop_mail){.posted = malloc(MAIL_BYTES), .taken = malloc(MAIL_BYTES)};
	if (!m->posted || !m->taken)
		goto out_free;
	m->wake.on_ready = on_mail;
	m->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	r = m->wake.fd < 0 ? -errno : vio_loop_watch(loop, &m->wake);
	if (r == 0)
		return 0;
	if (m->wake.fd >= 0)
		close(m->wake.fd);
out_free:
	free(m->posted);
	free(m->taken);
	return r;
}

void loop_mail_close(struct loop_mail *m, struct vio_loop *loop)
{
	vio_loop_unwatch(loop, &m->wake);
	close(m->wake.fd);
	free(m->posted);
	free(m->taken);
}

void loop_mail_post(struct loop_mail *m, const struct vio_frame *f)
{
	const struct mail_head head = {.hdr = f->hdr, .len = f->len};
	uint8_t *dst = m->posted + m->n_posted;

	if (sizeof(head) + f->len > MAIL_BYTES - m->n_posted)
		return;
	memcpy(dst, &head, sizeof(head));
	dst += sizeof(head);
	for (uint32_t i = 0; i < f->n_iov; i++) {
		if (f->iov[i].iov_len > 0)
			memcpy(dst, f->iov[i].iov_base, f->iov[i].iov_len);
		dst += f->iov[i].iov_len;
	}
	if (m->n_posted == 0)
		vio_event_signal(m->wake.fd);
	m->n_posted += sizeof(head) + f->len;
}

void loop_mail_collect(struct loop_mail *m)
{
	uint8_t *free_again = m->taken;

	vio_event_take(m->wake.fd);
	m->taken = m->posted;
	m->n_taken = m->n_posted;
	m->posted = free_again;
	m->n_posted = 0;
}

bool loop_mail_next(struct loop_mail *m, size_t *at, struct vio_frame *f, struct iovec *iov)
{
	struct mail_head head;

	if (*at == m->n_taken)
		return false;
	memcpy(&head, m->taken + *at, sizeof(head));
	*iov = (struct iovec){m->taken + *at + sizeof(head), head.len};
	*f = (struct vio_frame){.hdr = head.hdr, .iov = iov, .n_iov = 1, .len = head.len};
	*at += sizeof(head) + head.len;
	return true;
}
