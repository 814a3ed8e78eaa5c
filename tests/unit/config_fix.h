/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_CONFIG_FIX_H
#define UNIT_CONFIG_FIX_H

/*
 * Configurations as texts: what is made of them, and what an embedder with a section [vm] sees.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <viodm/config.h>

#include "suite.h"

/* ---- the embedder's section ------------------------------------------------------------------ */

struct vm {
	const char *kernel;
	uint64_t memory;
	unsigned cpus;
};

static const struct vio_opt vm_opts[] = {
	{.name = "kernel",
	 .type = VIO_OPT_PATH,
	 .offset = offsetof(struct vm, kernel),
	 .required = true,
	 .help = "image to boot"},
	{.name = "memory",
	 .type = VIO_OPT_SIZE,
	 .offset = offsetof(struct vm, memory),
	 .def = "256M",
	 .min = 1 << 20,
	 .help = "bytes of RAM"},
	{.name = "cpus",
	 .type = VIO_OPT_UINT,
	 .offset = offsetof(struct vm, cpus),
	 .def = "1",
	 .min = 1,
	 .max = 8,
	 .help = "processors"},
};

static inline int vm_check(void *data, char *err)
{
	const struct vm *vm = data;

	if (vm->memory >= ((uint64_t)vm->cpus << 20))
		return 0;
	snprintf(err, VIO_OPT_ERROR_LEN, "memory is too small for %u cpus", vm->cpus);
	return -EINVAL;
}

static inline struct vio_config_section vm_section(struct vm *vm)
{
	return (struct vio_config_section){.type = "vm",
					   .help = "the machine",
					   .opts = vm_opts,
					   .n_opts = VIO_ARRAY_LEN(vm_opts),
					   .data = vm,
					   .check = vm_check};
}

/* ---- helpers --------------------------------------------------------------------------------- */

static inline struct vio_config *fresh(void)
{
	struct vio_config *cfg = NULL;

	MUST(vio_config_create(NULL, 0, &cfg));
	return cfg;
}

static inline int read_text(struct vio_config *cfg, const char *text)
{
	return vio_config_read_buffer(cfg, "t.ini", text, strlen(text));
}

static inline void expect_error(const struct vio_config *cfg, const char *want)
{
	const char *got = vio_config_error(cfg);

	CU_ASSERT_STRING_EQUAL(got, want);
	if (strcmp(got, want) != 0)
		printf("\n  got:  %s\n  want: %s\n", got, want);
}

/* A config that was refused makes no devices. */
static inline void expect_no_devices(struct vio_config *cfg)
{
	struct vio_config_env env = {NULL, NULL, NULL};
	struct vio_assembly *a = NULL;

	CU_ASSERT_EQUAL(vio_config_n_devices(cfg), 0);
	CU_ASSERT_PTR_NULL(vio_config_device(cfg, 0));
	CU_ASSERT_EQUAL(vio_assembly_create(cfg, &env, &a), -EINVAL);
	CU_ASSERT_PTR_NULL(a);
}

/* `text` and then `set` (may be NULL) are refused with this message, by whichever step. */
static inline void refused_with(const char *text, const char *set, const char *want)
{
	struct vm vm;
	struct vio_config_section section = vm_section(&vm);
	struct vio_config *cfg = NULL;
	int r;

	MUST(vio_config_create(&section, 1, &cfg));
	r = read_text(cfg, text);
	if (!r && set)
		r = vio_config_set(cfg, set);
	if (!r)
		r = vio_config_check(cfg);
	CU_ASSERT_TRUE(r < 0);
	expect_error(cfg, want);
	CU_ASSERT_TRUE(vio_config_check(cfg) < 0);
	expect_no_devices(cfg);
	expect_error(cfg, want);
	vio_config_destroy(cfg);
}

#define VM "[vm]\nkernel = k\n"

/* The same behind two lines with a sound [vm] section. */
static inline void refused(const char *text, const char *want)
{
	char all[8192];

	snprintf(all, sizeof(all), VM "%s", text);
	refused_with(all, NULL, want);
}

static inline void accepted(const char *text)
{
	struct vio_config *cfg = fresh();

	CU_ASSERT_EQUAL(read_text(cfg, text), 0);
	CU_ASSERT_EQUAL(vio_config_check(cfg), 0);
	expect_error(cfg, "");
	vio_config_destroy(cfg);
}

static inline char *printed(const struct vio_config *cfg)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	MUST(f ? 0 : -ENOMEM);
	vio_config_print(cfg, f);
	fclose(f);
	return text;
}

static inline void make_image(const char *name, off_t size)
{
	int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0600);

	MUST(fd);
	MUST(ftruncate(fd, size));
	close(fd);
}

static inline unsigned open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	MUST(dir ? 0 : -errno);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* ---- running --------------------------------------------------------------------------------- */

static inline void remove_scratch(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *e;

	while (dir && (e = readdir(dir)))
		unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(path);
}

/* Runs the tests in a scratch folder, so that images have short names. */
static inline int config_suite_run(const char *name, CU_TestInfo *tests)
{
	char scratch[] = "/tmp/viodm-config-XXXXXX";
	int r;

	MUST(mkdtemp(scratch) ? 0 : -errno);
	MUST(chdir(scratch));
	r = suite_run(name, tests);
	remove_scratch(scratch);
	return r;
}

#endif
