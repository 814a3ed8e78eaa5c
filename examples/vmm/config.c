/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm.h"

#include <stddef.h>
#include <viodm/config.h>

static const struct vio_opt vm_opts[] = {
	{
		.name = "kernel",
		.type = VIO_OPT_PATH,
		.offset = offsetof(struct vmm_config, kernel),
		.required = true,
		.help = "Linux bzImage",
	},
	{
		.name = "initrd",
		.type = VIO_OPT_PATH,
		.offset = offsetof(struct vmm_config, initrd),
		.help = "initial RAM disk",
	},
	{
		.name = "cmdline",
		.type = VIO_OPT_STRING,
		.offset = offsetof(struct vmm_config, cmdline),
		.def = "console=ttyS0",
		.help = "kernel command line",
	},
	{
		.name = "memory",
		.type = VIO_OPT_SIZE,
		.offset = offsetof(struct vmm_config, memory),
		.def = "256M",
		.min = 32 << 20,
		.max = UINT64_C(1) << 39,
		.multiple = 2 << 20,
		.help = "bytes of RAM",
	},
	{
		.name = "cpus",
		.type = VIO_OPT_UINT,
		.offset = offsetof(struct vmm_config, cpus),
		.def = "1",
		.min = 1,
		.max = VMM_MAX_CPUS,
		.help = "virtual processors",
	},
	{
		.name = "ioeventfd",
		.type = VIO_OPT_BOOL,
		.offset = offsetof(struct vmm_config, ioeventfd),
		.def = "on",
		.help = "queue notifications become eventfd writes in the kernel",
	},
	{
		.name = "console-input",
		.type = VIO_OPT_BOOL,
		.offset = offsetof(struct vmm_config, console_input),
		.def = "off",
		.help = "standard input goes to the serial port",
	},
	{
		.name = "reboot",
		.type = VIO_OPT_BOOL,
		.offset = offsetof(struct vmm_config, reboot),
		.def = "on",
		.help = "boot again when the guest resets; off: end",
	},
};

void config_section(struct vmm_config *config, struct vio_config_section *section)
{
	*section = (struct vio_config_section){
		.type = "vm",
		.help = "the machine",
		.opts = vm_opts,
		.n_opts = VIO_ARRAY_LEN(vm_opts),
		.data = config,
	};
}
