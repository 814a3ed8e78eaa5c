/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames on their way to a pair of another loop. That happens only when the driver steers (RSS) and
 * the pairs are spread over loops; so a lock and a copy are good enough.
 */
#include "net_mail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that wait for one pair at most. */
#define MAIL_BYTES (256u << 10)

void net_mail_init(struct net_mail *m)
{
	memset(m, 0, sizeof(*m));
	pthread_mutex_init(&m->lock, NULL);
}

void net_mail_fini(struct net_mail *m)
{
	pthread_mutex_destroy(&m->lock);
}

int net_mail_open(struct net_mail *m, int wake_fd)
{
	uint8_t *buf = malloc(MAIL_BYTES);

	if (!buf)
		return -ENOMEM;
	pthread_mutex_lock(&m->lock);
	m->buf = buf;
	m->used = m->taken = 0;
	m->wake_fd = wake_fd;
	pthread_mutex_unlock(&m->lock);
	return 0;
}

void net_mail_close(struct net_mail *m)
{
	pthread_mutex_lock(&m->lock);
	free(m->buf);
	m->buf = NULL;
	pthread_mutex_unlock(&m->lock);
}

/* Lock held. Copies the frame behind what is there. */
static void mail_append(struct net_mail *m, const struct net_mail_head *head,
			const struct iovec *iov, uint32_t n)
{
	uint8_t *dst = m->buf + m->used;

	memcpy(dst, head, sizeof(*head));
	dst += sizeof(*head);
	for (uint32_t i = 0; i < n; i++) {
		if (iov[i].iov_len)
			memcpy(dst, iov[i].iov_base, iov[i].iov_len);
		dst += iov[i].iov_len;
	}
	m->used += sizeof(*head) + head->len;
}

bool net_mail_post(struct net_mail *m, const struct net_mail_head *head, const struct iovec *iov,
		   uint32_t n)
{
	bool ok;

	pthread_mutex_lock(&m->lock);
	ok = m->buf && sizeof(*head) + head->len <= MAIL_BYTES - m->used;
	if (ok) {
		if (m->used == 0)
			vio_event_signal(m->wake_fd);
		mail_append(m, head, iov, n);
	}
	pthread_mutex_unlock(&m->lock);
	return ok;
}

void net_mail_take(struct net_mail *m,
		   void (*fn)(void *arg, const struct net_mail_head *head, uint8_t *frame),
		   void *arg)
{
	pthread_mutex_lock(&m->lock);
	while (m->buf && m->taken < m->used) {
		struct net_mail_head head;

		memcpy(&head, m->buf + m->taken, sizeof(head));
		m->taken += sizeof(head);
		fn(arg, &head, m->buf + m->taken);
		m->taken += head.len;
	}
	m->used = m->taken = 0;
	pthread_mutex_unlock(&m->lock);
}
