/* SPDX-License-Identifier: BSD-3-Clause */
#include <viodm/iov.h>

#include <string.h>

/* Drops `n` bytes, at most what v[0] holds, and then leading entries that are empty. */
static void iov_advance(struct vio_iov *iov, size_t n)
{
	iov->v[0].iov_base = (char *)iov->v[0].iov_base + n;
	iov->v[0].iov_len -= n;
	iov->len -= n;
	while (iov->n > 0 && iov->v[0].iov_len == 0) {
		iov->v++;
		iov->n--;
	}
}

static size_t iov_front(const struct vio_iov *iov, uint64_t want)
{
	return want < iov->v[0].iov_len ? (size_t)want : iov->v[0].iov_len;
}

size_t vio_iov_pull(struct vio_iov *iov, void *dst, size_t len)
{
	size_t done = 0;

	while (done < len && iov->n > 0) {
		size_t n = iov_front(iov, len - done);

		if (n > 0)
			memcpy((char *)dst + done, iov->v[0].iov_base, n);
		iov_advance(iov, n);
		done += n;
	}
	return done;
}

size_t vio_iov_put(struct vio_iov *iov, const void *src, size_t len)
{
	size_t done = 0;

	while (done < len && iov->n > 0) {
		size_t n = iov_front(iov, len - done);

		if (n > 0)
			memcpy(iov->v[0].iov_base, (const char *)src + done, n);
		iov_advance(iov, n);
		done += n;
	}
	return done;
}

uint64_t vio_iov_skip(struct vio_iov *iov, uint64_t len)
{
	uint64_t done = 0;

	while (done < len && iov->n > 0) {
		size_t n = iov_front(iov, len - done);

		iov_advance(iov, n);
		done += n;
	}
	return done;
}

uint8_t *vio_iov_take_last(struct vio_iov *iov)
{
	struct iovec *last;

	while (iov->n > 0 && iov->v[iov->n - 1].iov_len == 0)
		iov->n--;
	if (iov->n == 0)
		return NULL;
	last = &iov->v[iov->n - 1];
	iov->len--;
	if (--last->iov_len == 0)
		iov->n--;
	return (uint8_t *)last->iov_base + last->iov_len;
}

void vio_iov_trim(struct vio_iov *iov, uint64_t len)
{
	uint64_t left = len;
	uint32_t i;

	if (len >= iov->len)
		return;
	for (i = 0; left > 0; i++) {
		if (iov->v[i].iov_len > left)
			iov->v[i].iov_len = (size_t)left;
		left -= iov->v[i].iov_len;
	}
	iov->n = i;
	iov->len = len;
}
