/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int ram_init(struct vmm_ram *ram, uint64_t size)
{
	int fd = memfd_create("guest-ram", MFD_CLOEXEC);
	void *host;
	int rc;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0)
		goto fail;
	host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (host == MAP_FAILED)
		goto fail;
	ram->fd = fd;
	ram->host = host;
	ram->low = size < VMM_HOLE_BASE ? size : VMM_HOLE_BASE;
	ram->high = size - ram->low;
	return 0;
fail:
	rc = -errno;
	close(fd);
	return rc;
}

void ram_fini(struct vmm_ram *ram)
{
	if (!ram->host)
		return;
	munmap(ram->host, ram->low + ram->high);
	close(ram->fd);
	ram->host = NULL;
}

void *ram_at(const struct vmm_ram *ram, uint64_t gpa, uint64_t len)
{
	return len <= ram->low && gpa <= ram->low - len ? ram->host + gpa : NULL;
}

uint64_t ram_end(const struct vmm_ram *ram)
{
	return VMM_HIGH_BASE + ram->high;
}
