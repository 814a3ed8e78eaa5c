/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm.h"

#include <asm/bootparam.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Linux's 32-bit boot protocol (Documentation/x86/boot.rst): the compressed kernel at 1 MiB, the
 * boot parameters in ESI, flat segments, paging off.
 */
#define GDT_ADDR     0x1000
#define PARAMS_ADDR  0x7000
#define CMDLINE_ADDR 0x20000
#define LOW_RAM_END  0x9fc00
#define KERNEL_ADDR  0x100000

#define HEADER_OFFSET 0x1f1	 /* of struct setup_header in the image */
#define HEADER_MAGIC  0x53726448 /* "HdrS" */
#define MIN_VERSION   0x20a	 /* the first with init_size */

enum { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3 };

#define BOOT_CS 0x10
#define BOOT_DS 0x18

static int read_all(int fd, void *buf, size_t len, off_t offset)
{
	uint8_t *p = buf;

	while (len) {
		ssize_t n = pread(fd, p, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		offset += n;
		len -= (size_t)n;
	}
	return 0;
}

static int open_file(const char *path, uint64_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0) {
		warn("%s", path);
		return -errno;
	}
	if (fstat(fd, &st) < 0) {
		close(fd);
		return -errno;
	}
	*size = (uint64_t)st.st_size;
	return fd;
}

static int refuse(const char *path, const char *why)
{
	warnx("%s: %s", path, why);
	return -EINVAL;
}

static int check_header(const char *path, const struct setup_header *hdr)
{
	if (hdr->header != HEADER_MAGIC || hdr->boot_flag != 0xaa55)
		return refuse(path, "not a bzImage");
	if (hdr->version < MIN_VERSION)
		return refuse(path, "boot protocol older than 2.10");
	if (!(hdr->loadflags & LOADED_HIGH))
		return refuse(path, "not loadable above 1 MiB");
	return 0;
}

/* Fills params->hdr and copies the part of the image behind the real-mode code. */
static int load_kernel(const struct vmm *vmm, struct boot_params *params)
{
	const char *path = vmm->config.kernel;
	struct setup_header *hdr = &params->hdr;
	uint64_t size, setup;
	void *dest;
	int rc, fd;

	fd = open_file(path, &size);
	if (fd < 0)
		return fd;
	rc = size < 4096 ? -EINVAL : read_all(fd, hdr, sizeof(*hdr), HEADER_OFFSET);
	if (!rc)
		rc = check_header(path, hdr);
	if (rc)
		goto out;
	setup = ((hdr->setup_sects ? hdr->setup_sects : 4) + 1u) * 512u;
	dest = size > setup ? ram_at(&vmm->ram, KERNEL_ADDR, size - setup) : NULL;
	rc = dest ? read_all(fd, dest, size - setup, (off_t)setup) : refuse(path, "does not fit");
out:
	close(fd);
	return rc;
}

/* As high as kernel and memory allow, and above everything the kernel needs to unpack itself. */
static int load_initrd(const struct vmm *vmm, struct setup_header *hdr)
{
	uint64_t lowest = (hdr->pref_address > KERNEL_ADDR ? hdr->pref_address : KERNEL_ADDR) +
			  hdr->init_size;
	uint64_t top = vmm->ram.low, size, addr;
	const char *path = vmm->config.initrd;
	int rc, fd;

	if (lowest > top)
		return refuse(vmm->config.kernel, "needs more memory");
	if (!path)
		return 0;
	fd = open_file(path, &size);
	if (fd < 0)
		return fd;
	if (top > (uint64_t)hdr->initrd_addr_max + 1)
		top = (uint64_t)hdr->initrd_addr_max + 1;
	addr = (top - size) & ~UINT64_C(0xfff);
	if (size > top || addr < lowest)
		rc = refuse(path, "does not fit in memory");
	else
		rc = read_all(fd, ram_at(&vmm->ram, addr, size), size, 0);
	hdr->ramdisk_image = (uint32_t)addr;
	hdr->ramdisk_size = (uint32_t)size;
	close(fd);
	return rc;
}

static int load_cmdline(const struct vmm *vmm, struct setup_header *hdr)
{
	size_t len = strlen(vmm->config.cmdline);

	if (len > hdr->cmdline_size || len >= LOW_RAM_END - CMDLINE_ADDR)
		return refuse(vmm->config.kernel, "command line too long");
	memcpy(ram_at(&vmm->ram, CMDLINE_ADDR, len + 1), vmm->config.cmdline, len + 1);
	hdr->cmd_line_ptr = CMDLINE_ADDR;
	return 0;
}

static void add_e820(struct boot_params *params, uint64_t start, uint64_t end, uint32_t type)
{
	if (end > start)
		params->e820_table[params->e820_entries++] = (struct boot_e820_entry){
			.addr = start,
			.size = end - start,
			.type = type,
		};
}

int boot_load(const struct vmm *vmm)
{
	struct boot_params *params;
	int rc;

	memset(ram_at(&vmm->ram, 0, VMM_ACPI_BASE), 0, VMM_ACPI_BASE);
	params = ram_at(&vmm->ram, PARAMS_ADDR, sizeof(*params));
	rc = load_kernel(vmm, params);
	if (!rc)
		rc = load_initrd(vmm, &params->hdr);
	if (!rc)
		rc = load_cmdline(vmm, &params->hdr);
	if (rc)
		return rc;
	params->hdr.type_of_loader = 0xff;
	params->acpi_rsdp_addr = VMM_ACPI_BASE;
	add_e820(params, 0, LOW_RAM_END, E820_RAM);
	add_e820(params, VMM_ACPI_BASE, VMM_ACPI_BASE + VMM_ACPI_SIZE, E820_ACPI);
	add_e820(params, KERNEL_ADDR, vmm->ram.low, E820_RAM);
	add_e820(params, VMM_ECAM_BASE, VMM_ECAM_BASE + VMM_ECAM_SIZE, E820_RESERVED);
	add_e820(params, VMM_HIGH_BASE, ram_end(&vmm->ram), E820_RAM);
	return 0;
}

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type)
{
	return (struct kvm_segment){
		.selector = selector,
		.limit = 0xffffffff,
		.type = type,
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1,
	};
}

int boot_enter(const struct vmm_vcpu *vcpu)
{
	static const uint64_t gdt[] = {0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff};
	struct kvm_regs regs = {.rip = KERNEL_ADDR, .rsi = PARAMS_ADDR, .rflags = 2};
	struct kvm_sregs sregs;

	memcpy(ram_at(&vcpu->vmm->ram, GDT_ADDR, sizeof(gdt)), gdt, sizeof(gdt));
	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	sregs.cs = flat_segment(BOOT_CS, 0xb);
	sregs.ds = sregs.es = sregs.ss = sregs.fs = sregs.gs = flat_segment(BOOT_DS, 0x3);
	sregs.gdt.base = GDT_ADDR;
	sregs.gdt.limit = sizeof(gdt) - 1;
	sregs.cr0 |= 1; /* protected mode */
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) < 0)
		return -errno;
	return ioctl(vcpu->fd, KVM_SET_REGS, &regs) < 0 ? -errno : 0;
}
