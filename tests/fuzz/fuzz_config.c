/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration: a file, then -o options, each ended by a NUL byte. What is accepted is
 * printed, and what was printed must be accepted again and print the same. Opens no image.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <viodm/config.h>

#include "image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In place of tools/image.c: every path is a disk. */
int image_check(const char *path, const struct vio_storage_file_config *access, uint64_t *size,
		char *err)
{
	(void)access;
	(void)err;
	*size = 512 * strlen(path);
	return 0;
}

struct vm {
	char *kernel;
	char *cmdline;
	uint64_t memory;
	unsigned cpus;
	bool console;
	unsigned mode;
};

static const char *const modes[] = {"one", "two", NULL};

static const struct vio_opt vm_opts[] = {
	{.name = "kernel",
	 .type = VIO_OPT_PATH,
	 .offset = offsetof(struct vm, kernel),
	 .help = "a path"},
	{.name = "cmdline",
	 .type = VIO_OPT_STRING,
	 .offset = offsetof(struct vm, cmdline),
	 .def = "quiet",
	 .max = 100,
	 .help = "a string"},
	{.name = "memory",
	 .type = VIO_OPT_SIZE,
	 .offset = offsetof(struct vm, memory),
	 .def = "1G",
	 .multiple = 4096,
	 .help = "a size"},
	{.name = "cpus",
	 .type = VIO_OPT_UINT,
	 .offset = offsetof(struct vm, cpus),
	 .max = 64,
	 .help = "a number"},
	{.name = "console",
	 .type = VIO_OPT_BOOL,
	 .offset = offsetof(struct vm, console),
	 .help = "a switch"},
	{.name = "mode",
	 .type = VIO_OPT_CHOICE,
	 .offset = offsetof(struct vm, mode),
	 .choices = modes,
	 .help = "a word"},
};

static struct vio_config *fresh(struct vio_config_section *section, struct vm *vm)
{
	static const char *const ignored[] = {"other", NULL};
	struct vio_config *cfg;

	*section = (struct vio_config_section){.type = "vm",
					       .help = "own section",
					       .opts = vm_opts,
					       .n_opts = VIO_ARRAY_LEN(vm_opts),
					       .data = vm};
	if (vio_config_create(section, 1, &cfg))
		abort();
	vio_config_ignore(cfg, ignored);
	return cfg;
}

static char *printed(const struct vio_config *cfg, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	if (!f)
		abort();
	vio_config_print(cfg, f);
	fclose(f);
	return text;
}

/* A value given with -o may hold what a file cannot: then printing is one-way. */
static void read_back(const char *text, size_t len, bool sets)
{
	struct vio_config_section section;
	struct vio_config *cfg;
	struct vm vm;
	char *again;
	size_t n;
	int r;

	cfg = fresh(&section, &vm);
	r = vio_config_read_buffer(cfg, "again", text, len);
	if (!r)
		r = vio_config_check(cfg);
	if (r && !sets)
		abort();
	if (!r) {
		again = printed(cfg, &n);
		if (!sets && (n != len || memcmp(again, text, n) != 0))
			abort();
		free(again);
	}
	vio_config_destroy(cfg);
}

static int apply_sets(struct vio_config *cfg, const char *sets, size_t len)
{
	int r = 0;

	while (len > 0 && !r) {
		size_t n = strnlen(sets, len);
		char *set = strndup(sets, n);

		if (!set)
			abort();
		r = vio_config_set(cfg, set);
		free(set);
		len -= n;
		sets += n;
		if (len > 0) { /* the NUL byte */
			len--;
			sets++;
		}
	}
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	size_t len = size ? strnlen(text, size) : 0;
	bool sets = len < size;
	struct vio_config_section section;
	struct vio_config *cfg;
	struct vm vm;
	int r;

	cfg = fresh(&section, &vm);
	r = vio_config_read_buffer(cfg, "fuzz", text, len);
	if (!r && sets)
		r = apply_sets(cfg, text + len + 1, size - len - 1);
	if (!r)
		r = vio_config_check(cfg);
	if ((r != 0) != (vio_config_error(cfg)[0] != '\0'))
		abort();
	if (!r) {
		char *out = printed(cfg, &len);

		read_back(out, len, sets);
		free(out);
	}
	vio_config_destroy(cfg);
	return 0;
}
