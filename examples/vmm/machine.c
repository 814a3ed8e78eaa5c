/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Pages KVM wants for itself on some processors, in the hole below 4 GiB. */
#define IDENTITY_MAP_ADDR UINT64_C(0xfffbc000)
#define TSS_ADDR	  0xfffbd000ul

void vmm_raise(struct vmm *vmm, enum vmm_event event)
{
	int old = vmm->event;

	while (old < (int)event && !atomic_compare_exchange_weak(&vmm->event, &old, event))
		;
	eventfd_write(vmm->event_fd, 1);
}

static int open_kvm(struct vmm *vmm)
{
	static const struct {
		int capability;
		const char *name;
	} needed[] = {
		{KVM_CAP_USER_MEMORY, "user memory"},
		{KVM_CAP_IRQCHIP, "interrupt controllers"},
		{KVM_CAP_PIT2, "timer"},
		{KVM_CAP_IRQ_ROUTING, "interrupt routes"},
		{KVM_CAP_IRQFD, "irqfd"},
		{KVM_CAP_IOEVENTFD, "ioeventfd"},
		{KVM_CAP_IMMEDIATE_EXIT, "immediate exit"},
		{KVM_CAP_EXT_CPUID, "CPUID"},
	};

	vmm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vmm->kvm_fd < 0) {
		warn("/dev/kvm");
		return -errno;
	}
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (ioctl(vmm->kvm_fd, KVM_CHECK_EXTENSION, needed[i].capability) <= 0) {
			warnx("/dev/kvm lacks: %s", needed[i].name);
			return -ENOTSUP;
		}
	}
	return 0;
}

int machine_init(struct vmm *vmm)
{
	int rc;

	vmm->kvm_fd = vmm->vm_fd = vmm->event_fd = -1;
	rc = irq_init(&vmm->irqs);
	if (!rc)
		rc = serial_init(&vmm->serial, vmm);
	if (!rc)
		rc = vcpu_setup_signal();
	if (rc)
		return rc;
	vmm->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vmm->event_fd < 0)
		return -errno;
	rc = open_kvm(vmm);
	if (rc)
		return rc;
	rc = ram_init(&vmm->ram, vmm->config.memory);
	if (rc) {
		warnx("no memory for the guest: %s", strerror(-rc));
		return rc;
	}
	platform_init(&vmm->platform, vmm);
	pci_init(&vmm->pci, vmm);
	return 0;
}

void machine_fini(struct vmm *vmm)
{
	ram_fini(&vmm->ram);
	if (vmm->kvm_fd >= 0)
		close(vmm->kvm_fd);
	if (vmm->event_fd >= 0)
		close(vmm->event_fd);
	serial_fini(&vmm->serial);
	irq_fini(&vmm->irqs);
}

static int add_memory(struct vmm *vmm, unsigned int slot, uint64_t gpa, uint64_t size, void *host)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	return size && ioctl(vmm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

static int create_vm(struct vmm *vmm)
{
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	uint64_t identity = IDENTITY_MAP_ADDR;
	struct vmm_ram *ram = &vmm->ram;
	int rc;

	do {
		vmm->vm_fd = ioctl(vmm->kvm_fd, KVM_CREATE_VM, 0ul);
	} while (vmm->vm_fd < 0 && errno == EINTR);
	if (vmm->vm_fd < 0 || ioctl(vmm->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0 ||
	    ioctl(vmm->vm_fd, KVM_SET_TSS_ADDR, TSS_ADDR) < 0 ||
	    ioctl(vmm->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0 ||
	    ioctl(vmm->vm_fd, KVM_CREATE_PIT2, &pit) < 0 ||
	    add_memory(vmm, 0, 0, ram->low, ram->host) ||
	    add_memory(vmm, 1, VMM_HIGH_BASE, ram->high, ram->host + ram->low)) {
		rc = -errno;
		warn("cannot create the VM");
		return rc;
	}
	return 0;
}

static int start_vcpus(struct vmm *vmm)
{
	int rc;

	for (unsigned int i = 0; i < vmm->config.cpus; i++) {
		rc = vcpu_create(&vmm->vcpus[i], vmm, i);
		if (rc)
			return rc;
	}
	rc = boot_enter(&vmm->vcpus[0]);
	if (rc)
		return rc;
	/* The others wait for the startup message of the first. From here on a failure is an
	 * event: threads that run have to be stopped through the event loop. */
	for (unsigned int i = 0; i < vmm->config.cpus; i++) {
		if (vcpu_start(&vmm->vcpus[i]))
			vmm_raise(vmm, VMM_ERROR);
	}
	return 0;
}

int machine_start(struct vmm *vmm)
{
	int rc;

	vmm->event = VMM_RUNNING;
	irq_reset(&vmm->irqs);
	serial_reset(&vmm->serial);
	platform_reset(&vmm->platform);
	rc = create_vm(vmm);
	if (!rc)
		rc = acpi_build(vmm);
	if (!rc)
		rc = boot_load(vmm);
	if (!rc)
		rc = devices_power_on(vmm->devices);
	if (!rc)
		rc = start_vcpus(vmm);
	if (rc)
		machine_stop(vmm);
	return rc;
}

bool machine_stopping(struct vmm *vmm)
{
	eventfd_t ignored;

	eventfd_read(vmm->event_fd, &ignored);
	if (vmm->event == VMM_RUNNING)
		return false;
	for (unsigned int i = 0; i < vmm->config.cpus; i++)
		vcpu_kick(&vmm->vcpus[i]);
	return vmm->running == 0;
}

void machine_stop(struct vmm *vmm)
{
	for (unsigned int i = 0; i < vmm->config.cpus; i++)
		vcpu_destroy(&vmm->vcpus[i]);
	devices_power_off(vmm->devices);
	if (vmm->vm_fd >= 0)
		close(vmm->vm_fd);
	vmm->vm_fd = -1;
}
