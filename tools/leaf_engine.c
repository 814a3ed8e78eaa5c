/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * engine = ...: storage engines. Those on a file share their options.
 */
#include "image.h"
#include "leaves.h"

/* ---- on a file ------------------------------------------------------------------------------- */

struct file_opts {
	char *image;
};

static const struct vio_opt file_opts[] = {
	{.name = "image",
	 .type = VIO_OPT_PATH,
	 .offset = offsetof(struct file_opts, image),
	 .required = true,
	 .help = "raw image file or block device; its size is a multiple of 512"},
};

static int file_check(const void *opts, const struct vio_storage_file_config *access,
		      uint64_t *size, struct fault *fault)
{
	const struct file_opts *o = opts;

	fault->key = "image";
	return image_check(o->image, access, size, fault->text);
}

static int auto_open(const void *opts, const struct vio_storage_file_config *access,
		     const struct vio_log *log, struct vio_storage **out)
{
	const struct file_opts *o = opts;

	return vio_storage_auto_open(o->image, access, log, out);
}

static int io_uring_open(const void *opts, const struct vio_storage_file_config *access,
			 const struct vio_log *log, struct vio_storage **out)
{
	const struct file_opts *o = opts;

	(void)log;
	return vio_storage_uring_open(o->image, access, out);
}

static int libaio_open(const void *opts, const struct vio_storage_file_config *access,
		       const struct vio_log *log, struct vio_storage **out)
{
	const struct file_opts *o = opts;

	(void)log;
	return vio_storage_libaio_open(o->image, access, out);
}

static int threads_open(const void *opts, const struct vio_storage_file_config *access,
			const struct vio_log *log, struct vio_storage **out)
{
	const struct file_opts *o = opts;

	(void)log;
	return vio_storage_threads_open(o->image, access, out);
}

static int sync_open(const void *opts, const struct vio_storage_file_config *access,
		     const struct vio_log *log, struct vio_storage **out)
{
	const struct file_opts *o = opts;

	(void)log;
	return vio_storage_sync_open(o->image, access, out);
}

const struct leaf leaf_auto = {
	.name = "auto",
	.help = "an image file or block device, with the engine that suits it best",
	.opts = file_opts,
	.n_opts = VIO_ARRAY_LEN(file_opts),
	.opts_size = sizeof(struct file_opts),
	.engine = {.check = file_check, .open = auto_open, .direct = true},
};

const struct leaf leaf_io_uring = {
	.name = "io_uring",
	.help = "an image file or block device through the kernel's io_uring",
	.opts = file_opts,
	.n_opts = VIO_ARRAY_LEN(file_opts),
	.opts_size = sizeof(struct file_opts),
	.engine = {.check = file_check, .open = io_uring_open, .direct = true},
};

const struct leaf leaf_libaio = {
	.name = "libaio",
	.help = "an image file or block device through the kernel's AIO, which waits unless "
		"cache = none",
	.opts = file_opts,
	.n_opts = VIO_ARRAY_LEN(file_opts),
	.opts_size = sizeof(struct file_opts),
	.engine = {.check = file_check, .open = libaio_open, .direct = true},
};

const struct leaf leaf_threads = {
	.name = "threads",
	.help = "an image file or block device, read and written by a pool of threads",
	.opts = file_opts,
	.n_opts = VIO_ARRAY_LEN(file_opts),
	.opts_size = sizeof(struct file_opts),
	.engine = {.check = file_check, .open = threads_open, .direct = true},
};

const struct leaf leaf_sync = {
	.name = "sync",
	.help = "an image file or block device, read and written on the loop's own thread",
	.opts = file_opts,
	.n_opts = VIO_ARRAY_LEN(file_opts),
	.opts_size = sizeof(struct file_opts),
	.engine = {.check = file_check, .open = sync_open, .direct = true},
};

/* ---- memory ---------------------------------------------------------------------------------- */

struct memory_opts {
	uint64_t size;
};

static const struct vio_opt memory_opts[] = {
	{.name = "size",
	 .type = VIO_OPT_SIZE,
	 .offset = offsetof(struct memory_opts, size),
	 .min = 512,
	 .max = INT64_MAX,
	 .multiple = 512,
	 .required = true,
	 .help = "bytes of the disk"},
};

static int memory_check(const void *opts, const struct vio_storage_file_config *access,
			uint64_t *size, struct fault *fault)
{
	const struct memory_opts *o = opts;

	(void)access;
	(void)fault;
	*size = o->size;
	return 0;
}

static int memory_open(const void *opts, const struct vio_storage_file_config *access,
		       const struct vio_log *log, struct vio_storage **out)
{
	const struct memory_opts *o = opts;

	(void)access;
	(void)log;
	return vio_storage_memory_open(o->size, out);
}

const struct leaf leaf_memory = {
	.name = "memory",
	.help = "memory of the process, zero at first, gone at the end",
	.opts = memory_opts,
	.n_opts = VIO_ARRAY_LEN(memory_opts),
	.opts_size = sizeof(struct memory_opts),
	.engine = {.check = memory_check, .open = memory_open},
};

/* ---- null ------------------------------------------------------------------------------------ */

struct null_opts {
	uint64_t size;
	unsigned fill;
};

static const char *const null_fill_words[] = {
	[VIO_NULL_ZEROES] = "zeroes", [VIO_NULL_NONE] = "none", NULL};

static const struct vio_opt null_opts[] = {
	{.name = "size",
	 .type = VIO_OPT_SIZE,
	 .offset = offsetof(struct null_opts, size),
	 .min = 512,
	 .max = INT64_MAX,
	 .multiple = 512,
	 .required = true,
	 .help = "bytes of the disk"},
	{.name = "fill",
	 .type = VIO_OPT_CHOICE,
	 .offset = offsetof(struct null_opts, fill),
	 .choices = null_fill_words,
	 .help = "what reads give; none: the driver's buffer stays as it is"},
};

static int null_check(const void *opts, const struct vio_storage_file_config *access,
		      uint64_t *size, struct fault *fault)
{
	const struct null_opts *o = opts;

	(void)access;
	(void)fault;
	*size = o->size;
	return 0;
}

static int null_open(const void *opts, const struct vio_storage_file_config *access,
		     const struct vio_log *log, struct vio_storage **out)
{
	const struct null_opts *o = opts;

	(void)access;
	(void)log;
	return vio_storage_null_open(o->size, (enum vio_null_fill)o->fill, out);
}

const struct leaf leaf_null = {
	.name = "null",
	.help = "keeps nothing: writes vanish; for benchmarks",
	.opts = null_opts,
	.n_opts = VIO_ARRAY_LEN(null_opts),
	.opts_size = sizeof(struct null_opts),
	.engine = {.check = null_check, .open = null_open},
};
