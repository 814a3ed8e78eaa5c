/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm.h"

#include <string.h>

/* ACPI 4.8.3: PM1 control register. */
#define PM1_SCI_EN	     0x0001
#define PM1_SLP_TYP(control) ((control) >> 10 & 7)
#define PM1_SLP_EN	     0x2000

static void platform_write(struct vmm_platform *p, uint64_t offset, uint16_t value)
{
	switch (offset) {
	case VMM_PM_EVENT + 2:
		p->enable = value;
		break;
	case VMM_PM_CONTROL:
		p->control = value & ~PM1_SLP_EN;
		if ((value & PM1_SLP_EN) && PM1_SLP_TYP(value) == VMM_S5_TYPE)
			vmm_raise(p->vmm, VMM_POWEROFF);
		break;
	case VMM_PM_RESET:
		if (value == VMM_RESET_VALUE)
			vmm_raise(p->vmm, VMM_RESET);
		break;
	default: /* status bits are never set, so clearing them does nothing */
		break;
	}
}

static uint16_t platform_read(const struct vmm_platform *p, uint64_t offset)
{
	switch (offset) {
	case VMM_PM_EVENT + 2:
		return p->enable;
	case VMM_PM_CONTROL: /* there is no legacy mode to leave */
		return p->control | PM1_SCI_EN;
	default:
		return 0;
	}
}

static void platform_access(struct vmm_window *w, uint64_t offset, void *data, unsigned int len,
			    bool write)
{
	struct vmm_platform *p = (struct vmm_platform *)w;
	uint16_t value = 0;

	if (write) {
		memcpy(&value, data, len < sizeof(value) ? len : sizeof(value));
		platform_write(p, offset, value);
	} else {
		value = platform_read(p, offset);
		memset(data, 0, len);
		memcpy(data, &value, len < sizeof(value) ? len : sizeof(value));
	}
}

void platform_init(struct vmm_platform *p, struct vmm *vmm)
{
	p->vmm = vmm;
	p->window = (struct vmm_window){
		.base = VMM_PM_PORT,
		.size = VMM_PM_SIZE,
		.access = platform_access,
	};
	space_add(&vmm->ports, &p->window);
}

void platform_reset(struct vmm_platform *p)
{
	p->enable = 0;
	p->control = 0;
}
