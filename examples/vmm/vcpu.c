/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define KICK_SIGNAL SIGUSR1
#define MAX_CPUID   256

#define MSR_MISC_ENABLE	  0x1a0
#define MSR_MTRR_DEF_TYPE 0x2ff

/* Leaves 0xb and 0x1f: every vCPU is a core of one package, without sibling threads. */
static void cpuid_topology(struct kvm_cpuid_entry2 *e, unsigned int id, unsigned int cpus)
{
	unsigned int shift = 0;

	while ((1u << shift) < cpus)
		shift++;
	e->eax = e->index == 1 ? shift : 0;
	e->ebx = e->index == 0 ? 1 : e->index == 1 ? cpus : 0;
	e->ecx = e->index | (e->index < 2 ? (e->index + 1) << 8 : 0);
	e->edx = id;
}

static void cpuid_fix(struct kvm_cpuid_entry2 *e, unsigned int id, unsigned int cpus,
		      bool deadline_timer)
{
	switch (e->function) {
	case 1:
		e->ebx = (e->ebx & 0xff00) | cpus << 16 | id << 24;
		e->ecx |= 1u << 31; /* there is a hypervisor */
		e->ecx |= deadline_timer ? 1u << 24 : 0;
		e->edx = cpus > 1 ? e->edx | 1u << 28 : e->edx & ~(1u << 28);
		break;
	case 4: /* no thread siblings; each core up to the package */
		e->eax = (e->eax & 0x3ff) | (cpus - 1) << 26;
		break;
	case 0xb:
	case 0x1f:
		cpuid_topology(e, id, cpus);
		break;
	case 0x80000008:
		e->ecx = (e->ecx & ~0xf0ffu) | (cpus - 1);
		break;
	case 0x8000001e:
		e->eax = id;
		e->ebx = id;
		e->ecx = 0;
		break;
	default:
		break;
	}
}

static int vcpu_set_cpuid(const struct vmm_vcpu *vcpu)
{
	const struct vmm *vmm = vcpu->vmm;
	bool deadline_timer =
		ioctl(vmm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	struct kvm_cpuid2 *cpuid;
	int rc = 0;

	cpuid = calloc(1, sizeof(*cpuid) + MAX_CPUID * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = MAX_CPUID;
	if (ioctl(vmm->kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
		goto fail;
	for (unsigned int i = 0; i < cpuid->nent; i++)
		cpuid_fix(&cpuid->entries[i], vcpu->id, vmm->config.cpus, deadline_timer);
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) < 0)
		goto fail;
	free(cpuid);
	return rc;
fail:
	rc = -errno;
	free(cpuid);
	return rc;
}

/* What firmware would have set: fast string operations, and all memory write-back unless page
 * tables say otherwise. */
static void vcpu_set_msrs(const struct vmm_vcpu *vcpu)
{
	union {
		struct kvm_msrs msrs;
		uint8_t space[sizeof(struct kvm_msrs) + 2 * sizeof(struct kvm_msr_entry)];
	} arg = {.msrs = {.nmsrs = 2}};

	arg.msrs.entries[0].index = MSR_MTRR_DEF_TYPE;
	arg.msrs.entries[0].data = 1 << 11 | 6;
	arg.msrs.entries[1].index = MSR_MISC_ENABLE;
	arg.msrs.entries[1].data = 1;
	/* A processor without the registers boots as well. */
	ioctl(vcpu->fd, KVM_SET_MSRS, &arg);
}

static int vcpu_map_run(struct vmm_vcpu *vcpu)
{
	int size = ioctl(vcpu->vmm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	void *run;

	if (size < 0)
		return -errno;
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED)
		return -errno;
	vcpu->run = run;
	vcpu->run_size = (size_t)size;
	return 0;
}

int vcpu_create(struct vmm_vcpu *vcpu, struct vmm *vmm, unsigned int id)
{
	int rc;

	*vcpu = (struct vmm_vcpu){.vmm = vmm, .id = id};
	vcpu->fd = ioctl(vmm->vm_fd, KVM_CREATE_VCPU, (unsigned long)id);
	rc = vcpu->fd < 0 ? -errno : vcpu_map_run(vcpu);
	if (!rc)
		rc = vcpu_set_cpuid(vcpu);
	if (rc)
		vcpu_destroy(vcpu);
	else
		vcpu_set_msrs(vcpu);
	return rc;
}

void vcpu_destroy(struct vmm_vcpu *vcpu)
{
	if (!vcpu->vmm)
		return;
	if (vcpu->started)
		pthread_join(vcpu->thread, NULL);
	if (vcpu->run)
		munmap(vcpu->run, vcpu->run_size);
	if (vcpu->fd >= 0)
		close(vcpu->fd);
	*vcpu = (struct vmm_vcpu){0};
}

static void vcpu_io(struct vmm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size)
		space_access(&vcpu->vmm->ports, run->io.port, data, run->io.size,
			     run->io.direction == KVM_EXIT_IO_OUT);
}

/* Nothing after this exit can be handled: say why and end. */
static void vcpu_failed(struct vmm_vcpu *vcpu, const char *what, uint64_t detail)
{
	fprintf(stderr, "viodm-vmm: vCPU %u: %s (%#llx)\n", vcpu->id, what,
		(unsigned long long)detail);
	vmm_raise(vcpu->vmm, VMM_ERROR);
}

static void vcpu_exit(struct vmm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		vcpu_io(vcpu);
		break;
	case KVM_EXIT_MMIO:
		space_access(&vcpu->vmm->memory, run->mmio.phys_addr, run->mmio.data, run->mmio.len,
			     run->mmio.is_write);
		break;
	case KVM_EXIT_SHUTDOWN: /* triple fault */
		vmm_raise(vcpu->vmm, VMM_RESET);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		vcpu_failed(vcpu, "cannot enter the guest",
			    run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		vcpu_failed(vcpu, "internal error of KVM", run->internal.suberror);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		break;
	default:
		vcpu_failed(vcpu, "unexpected exit", run->exit_reason);
		break;
	}
}

static void *vcpu_thread(void *arg)
{
	struct vmm_vcpu *vcpu = arg;

	while (atomic_load(&vcpu->vmm->event) == VMM_RUNNING) {
		if (ioctl(vcpu->fd, KVM_RUN, 0) == 0)
			vcpu_exit(vcpu);
		else if (errno != EINTR && errno != EAGAIN)
			vcpu_failed(vcpu, "KVM_RUN fails", (uint64_t)errno);
	}
	if (atomic_fetch_sub(&vcpu->vmm->running, 1) == 1)
		eventfd_write(vcpu->vmm->event_fd, 1);
	return NULL;
}

static void on_kick(int signal)
{
	(void)signal; /* its arrival is what makes KVM_RUN return */
}

int vcpu_setup_signal(void)
{
	struct sigaction action = {.sa_handler = on_kick, .sa_flags = SA_RESTART};

	return sigaction(KICK_SIGNAL, &action, NULL) < 0 ? -errno : 0;
}

int vcpu_start(struct vmm_vcpu *vcpu)
{
	sigset_t all, old;
	int rc;

	atomic_fetch_add(&vcpu->vmm->running, 1);
	/* Signals to the process are the main thread's. */
	sigfillset(&all);
	sigdelset(&all, KICK_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = -pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	vcpu->started = !rc;
	if (rc)
		atomic_fetch_sub(&vcpu->vmm->running, 1);
	return rc;
}

void vcpu_kick(struct vmm_vcpu *vcpu)
{
	if (!vcpu->started)
		return;
	/* The flag covers a signal that arrives just before KVM_RUN, the signal a vCPU inside. */
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_kill(vcpu->thread, KICK_SIGNAL);
}
