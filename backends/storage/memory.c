/* SPDX-License-Identifier: BSD-3-Clause */
#include <viodm/engines.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096u

struct memory_storage {
	struct vio_storage base;
	char *data;
	uint64_t size;
};

struct memory_channel {
	struct vio_channel base;
};

static struct memory_storage *to_memory(struct vio_storage *st)
{
	return vio_container_of(st, struct memory_storage, base);
}

static int memory_info(struct vio_storage *st, struct vio_storage_info *info)
{
	*info = (struct vio_storage_info){
		.size = to_memory(st)->size,
		.logical_block = 512,
		.physical_block = 512,
		.discard_granularity = PAGE,
		.discard = true,
		.write_zeroes = true,
		.may_unmap = true,
	};
	return 0;
}

static int memory_attach(struct vio_storage *st, struct vio_loop *loop, struct vio_channel **out)
{
	struct memory_channel *ch = calloc(1, sizeof(*ch));

	(void)st;
	(void)loop;
	if (!ch)
		return -ENOMEM;
	*out = &ch->base;
	return 0;
}

static void memory_detach(struct vio_channel *ch)
{
	free(vio_container_of(ch, struct memory_channel, base));
}

static void copy_out(const char *p, const struct vio_io *io)
{
	for (uint32_t i = 0; i < io->n_iov; i++) {
		if (io->iov[i].iov_len > 0)
			memcpy(io->iov[i].iov_base, p, io->iov[i].iov_len);
		p += io->iov[i].iov_len;
	}
}

static void copy_in(char *p, const struct vio_io *io)
{
	for (uint32_t i = 0; i < io->n_iov; i++) {
		if (io->iov[i].iov_len > 0)
			memcpy(p, io->iov[i].iov_base, io->iov[i].iov_len);
		p += io->iov[i].iov_len;
	}
}

/* Zeroes a range; whole pages are given back to the system. */
static void zero(char *p, uint64_t len)
{
	char *first = (char *)vio_round_up((uintptr_t)p, PAGE);
	char *last = (char *)((uintptr_t)(p + len) & ~(uintptr_t)(PAGE - 1));

	if (first >= last || madvise(first, (size_t)(last - first), MADV_DONTNEED) < 0) {
		memset(p, 0, len);
		return;
	}
	memset(p, 0, (size_t)(first - p));
	memset(last, 0, (size_t)(p + len - last));
}

static void memory_submit(struct vio_channel *ch, struct vio_io *io)
{
	char *p = to_memory(ch->storage)->data + io->offset;

	switch (io->op) {
	case VIO_IO_READ:
		copy_out(p, io);
		break;
	case VIO_IO_WRITE:
		copy_in(p, io);
		break;
	case VIO_IO_FLUSH:
		break;
	case VIO_IO_DISCARD:
		zero(p, io->length);
		break;
	case VIO_IO_WRITE_ZEROES:
		if (io->flags & VIO_IO_UNMAP)
			zero(p, io->length);
		else
			memset(p, 0, io->length);
		break;
	}
	io->result = 0;
	io->done(io);
}

static void memory_commit(struct vio_channel *ch)
{
	ch->drained(ch);
}

static void memory_close(struct vio_storage *st)
{
	struct memory_storage *ms = to_memory(st);

	if (ms->size > 0)
		munmap(ms->data, ms->size);
	free(ms);
}

static const struct vio_storage_ops memory_ops = {
	.name = "memory",
	.info = memory_info,
	.attach = memory_attach,
	.detach = memory_detach,
	.submit = memory_submit,
	.commit = memory_commit,
	.close = memory_close,
};

int vio_storage_memory_open(uint64_t size, struct vio_storage **out)
{
	struct memory_storage *ms;

	if (size % 512 || size > SIZE_MAX)
		return -EINVAL;
	ms = calloc(1, sizeof(*ms));
	if (!ms)
		return -ENOMEM;
	ms->base.ops = &memory_ops;
	ms->size = size;
	if (size > 0)
		ms->data = mmap(NULL, size, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ms->data == MAP_FAILED) {
		int r = -errno;

		free(ms);
		return r;
	}
	*out = &ms->base;
	return 0;
}
