/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm.h"

#include <stddef.h>
#include <viodm/config.h>

/* clang-format off */
static const struct vio_opt vm_opts[] = {
	{.name = "kernel", .type = VIO_OPT_PATH, .required = true,
	 .offset = offsetof(struct vmm_config, kernel),
	 .help = "Linux bzImage"},
	{.name = "initrd", .type = VIO_OPT_PATH,
	 .offset = offsetof(struct vmm_config, initrd),
	 .help = "initial RAM disk"},
	{.name = "cmdline", .type = VIO_OPT_STRING, .def = "console=ttyS0",
	 .offset = offsetof(struct vmm_config, cmdline),
	 .help = "kernel command line"},
	{.name = "memory", .type = VIO_OPT_SIZE, .def = "256M",
	 .min = 32 << 20, .max = UINT64_C(1) << 39, .multiple = 2 << 20,
	 .offset = offsetof(struct vmm_config, memory),
	 .help = "bytes of RAM"},
	{.name = "cpus", .type = VIO_OPT_UINT, .def = "1", .min = 1, .max = VMM_MAX_CPUS,
	 .offset = offsetof(struct vmm_config, cpus),
	 .help = "virtual processors"},
	{.name = "ioeventfd", .type = VIO_OPT_BOOL, .def = "on",
	 .offset = offsetof(struct vmm_config, ioeventfd),
	 .help = "queue notifications become eventfd writes in the kernel"},
	{.name = "console-input", .type = VIO_OPT_BOOL, .def = "off",
	 .offset = offsetof(struct vmm_config, console_input),
	 .help = "standard input goes to the serial port"},
	{.name = "reboot", .type = VIO_OPT_BOOL, .def = "on",
	 .offset = offsetof(struct vmm_config, reboot),
	 .help = "boot again when the guest resets; off: end"},
};
/* clang-format on */

void config_sections(struct vmm_config *config, struct vio_config_section sections[VMM_SECTIONS])
{
	sections[0] = (struct vio_config_section){
		.type = "vm",
		.help = "the machine",
		.opts = vm_opts,
		.n_opts = VIO_ARRAY_LEN(vm_opts),
		.data = config,
	};
	serve_section(&config->serve, &sections[1]);
}
