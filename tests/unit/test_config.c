/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration: reading, every message, overriding, the embedder's own section, and devices
 * made from it. Runs in a scratch folder, so that images have short names.
 */
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/virtio_blk.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <viodm/config.h>
#include <viodm/loop_manual.h>
#include <viodm/mmio.h>
#include <viodm/pci.h>

#include "suite.h"

#define BLK_ID 2
#define RNG_ID 4

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

static int vm_check(void *data, char *err)
{
	const struct vm *vm = data;

	if (vm->memory >= ((uint64_t)vm->cpus << 20))
		return 0;
	snprintf(err, VIO_OPT_ERROR_LEN, "memory is too small for %u cpus", vm->cpus);
	return -EINVAL;
}

static struct vio_config_section vm_section(struct vm *vm)
{
	return (struct vio_config_section){.type = "vm",
					   .help = "the machine",
					   .opts = vm_opts,
					   .n_opts = VIO_ARRAY_LEN(vm_opts),
					   .data = vm,
					   .check = vm_check};
}

/* ---- helpers --------------------------------------------------------------------------------- */

static struct vio_config *fresh(void)
{
	struct vio_config *cfg = NULL;

	MUST(vio_config_create(NULL, 0, &cfg));
	return cfg;
}

static int read_text(struct vio_config *cfg, const char *text)
{
	return vio_config_read_buffer(cfg, "t.ini", text, strlen(text));
}

static void expect_error(const struct vio_config *cfg, const char *want)
{
	const char *got = vio_config_error(cfg);

	CU_ASSERT_STRING_EQUAL(got, want);
	if (strcmp(got, want) != 0)
		printf("\n  got:  %s\n  want: %s\n", got, want);
}

/* A config that was refused makes no devices. */
static void expect_no_devices(struct vio_config *cfg)
{
	struct vio_config_env env = {NULL, NULL, NULL};
	struct vio_assembly *a = NULL;

	CU_ASSERT_EQUAL(vio_config_n_devices(cfg), 0);
	CU_ASSERT_PTR_NULL(vio_config_device(cfg, 0));
	CU_ASSERT_EQUAL(vio_assembly_create(cfg, &env, &a), -EINVAL);
	CU_ASSERT_PTR_NULL(a);
}

/* `text` and then `set` (may be NULL) are refused with this message, by whichever step. */
static void refused_with(const char *text, const char *set, const char *want)
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
static void refused(const char *text, const char *want)
{
	char all[8192];

	snprintf(all, sizeof(all), VM "%s", text);
	refused_with(all, NULL, want);
}

static void accepted(const char *text)
{
	struct vio_config *cfg = fresh();

	CU_ASSERT_EQUAL(read_text(cfg, text), 0);
	CU_ASSERT_EQUAL(vio_config_check(cfg), 0);
	expect_error(cfg, "");
	vio_config_destroy(cfg);
}

static char *printed(const struct vio_config *cfg)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	MUST(f ? 0 : -ENOMEM);
	vio_config_print(cfg, f);
	fclose(f);
	return text;
}

static void make_image(const char *name, off_t size)
{
	int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0600);

	MUST(fd);
	MUST(ftruncate(fd, size));
	close(fd);
}

static unsigned open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	MUST(dir ? 0 : -errno);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* ---- reading --------------------------------------------------------------------------------- */

static void test_empty(void)
{
	struct vio_config *cfg = fresh();

	CU_ASSERT_EQUAL(read_text(cfg, ""), 0);
	CU_ASSERT_EQUAL(vio_config_check(cfg), 0);
	CU_ASSERT_EQUAL(vio_config_n_devices(cfg), 0);
	vio_config_destroy(cfg);
	vio_config_destroy(NULL);
}

static void test_syntax(void)
{
	accepted("[rng r0]");
	accepted("[rng r0]\n[rng r1]\n");
	accepted("\xef\xbb\xbf[rng r0]\r\ntransport = mmio\r\n");
	accepted("# comment\n; comment\n\n  [rng r0]  # comment\n\ttransport:mmio ; comment\n");
	accepted("[  rng\t r0 ]\n  transport=mmio\n  backend   =   inproc   \n");
	accepted("[blk d]\nengine = memory\nsize = 1M\nserial = a;b#c=d:e\n");
	refused("[blk d]\nserial =#a\nengine = memory\nsize = 1M\n",
		"t.ini:4: [blk d] serial: \"\" is too short (text of 1..20 bytes)");
}

static void test_syntax_errors(void)
{
	refused("transport\n", "t.ini:3: neither [section] nor key = value");
	refused("= 3\n", "t.ini:3: there is no key before the value");
	refused("[rng r0\n", "t.ini:3: a section header is [TYPE NAME], nothing after it");
	refused("[rng r0] x\n", "t.ini:3: a section header is [TYPE NAME], nothing after it");
	refused("[rng [r0]]\n", "t.ini:3: a section header is [TYPE NAME], nothing after it");
	refused("[rng aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeee]\n",
		"t.ini:3: the section header is too long");
	refused("\n\n[rng r0]\n\naaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeee = 1\n",
		"t.ini:7: the key is too long");
	refused("[rng r0]\ntrans\001port = pci\n", "t.ini:4: a control character in the line");
	refused_with("a = 1\n[rng r0]\n", NULL, "t.ini:1: a key before the first [section]");
}

static void test_nul_byte(void)
{
	static const char text[] = "[rng r0]\ntransport = pci\0x\n";
	struct vio_config *cfg = fresh();

	CU_ASSERT_EQUAL(vio_config_read_buffer(cfg, "t.ini", text, sizeof(text) - 1), -EINVAL);
	expect_error(cfg, "t.ini:2: a control character in the line");
	vio_config_destroy(cfg);
}

/* inih's own buffer has 200 bytes; a path may have 4096. */
static void test_long_value(void)
{
	char text[8192], want[VIO_OPT_ERROR_LEN], path[4096];
	struct vio_config *cfg = fresh();
	char *shown;

	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	snprintf(text, sizeof(text), "[blk d]\nimage = %s  # comment\n", path);
	CU_ASSERT_EQUAL(read_text(cfg, text), 0);
	CU_ASSERT_EQUAL(vio_config_set(cfg, "d.engine=memory"), 0);
	CU_ASSERT_EQUAL(vio_config_set(cfg, "d.size=512"), 0);
	CU_ASSERT_EQUAL(vio_config_check(cfg), 0);
	vio_config_destroy(cfg);

	snprintf(want, sizeof(want),
		 "t.ini:4: [blk d] image: \"...%.200s\" cannot be opened for reading and writing: "
		 "File name too long",
		 path);
	refused(text, want);

	cfg = fresh();
	snprintf(text, sizeof(text), "[blk d]\nengine = memory\nsize = %*s\n", 300, "1M");
	CU_ASSERT_EQUAL(read_text(cfg, text), 0);
	CU_ASSERT_EQUAL(vio_config_check(cfg), 0);
	shown = printed(cfg);
	CU_ASSERT_PTR_NOT_NULL(strstr(shown, "\nsize = 1M\n"));
	free(shown);
	vio_config_destroy(cfg);

	memset(text, 'x', 5000);
	text[5000] = '\0';
	refused(text, "t.ini:3: the line is too long");
}

static void test_sections(void)
{
	refused("[blck d]\n", "t.ini:3: unknown section type \"blck\"; did you mean \"blk\"? "
			      "(known: vm, blk, net, rng, iothread)");
	refused("[]\n", "t.ini:3: unknown section type \"\" (known: vm, blk, net, rng, iothread)");
	refused("[blk]\n", "t.ini:3: section [blk] needs a name: [blk NAME]");
	refused("[blk a b]\n", "t.ini:3: \"a b\" is no name: 1..31 letters, digits, - or _");
	refused("[blk a.b]\n", "t.ini:3: \"a.b\" is no name: 1..31 letters, digits, - or _");
	refused("[blk abcdefghijklmnopqrstuvwxyz012345]\n",
		"t.ini:3: \"abcdefghijklmnopqrstuvwxyz012345\" is no name: 1..31 letters, digits, "
		"- "
		"or _");
	refused("[rng a]\n\n[blk a]\n", "t.ini:5: name \"a\" is taken by [rng a] at t.ini:3");
	refused("[rng vm]\n", "t.ini:3: name \"vm\" is taken by section [vm]");
	refused("[vm]\n", "t.ini:3: section [vm] is there twice, before at t.ini:1");
	refused("[vm box]\n", "t.ini:3: section [vm] takes no name, here \"box\"");
}

static void test_too_many_sections(void)
{
	struct vio_config *cfg = fresh();
	char line[64];
	int r = 0;

	for (unsigned i = 0; i < 1024 && !r; i++) {
		snprintf(line, sizeof(line), "[rng r%u]\n", i);
		r = read_text(cfg, line);
	}
	CU_ASSERT_EQUAL(r, 0);
	CU_ASSERT_EQUAL(read_text(cfg, "[rng last]\n"), -EINVAL);
	expect_error(cfg, "t.ini:1: more than 1024 sections");
	vio_config_destroy(cfg);
}

#define SOCKET_ND "[rng r]\ntransport = vhost-user\nsocket = s\nnotification-data = on\n"
#define BLK_KEYS                                                                                   \
	"transport, backend, engine, readonly, cache, discard, serial, queues, queue-size, "       \
	"seg-max, size-max, geometry, notification-data, vectors, socket, socket-mode, "           \
	"socket-owner, socket-group, sealed-memory, in-order, iothreads, image, size, fill"

static void test_keys(void)
{
	refused("[blk d]\nqueuesize = 4\n",
		"t.ini:4: [blk d] unknown key \"queuesize\"; did you mean \"queue-size\"? "
		"(known: " BLK_KEYS ")");
	refused("[rng r]\nimage = x\n", "t.ini:4: [rng r] unknown key \"image\" "
					"(known: transport, backend, notification-data, "
					"vectors, socket, socket-mode, socket-owner, "
					"socket-group, sealed-memory, in-order, "
					"iothreads)");
	refused("[blk d]\nqueues = 1\n\nqueues = 2\n",
		"t.ini:6: [blk d] queues: set twice, before at t.ini:4");
	refused("[blk d]\nQueues = 1\n", "t.ini:4: [blk d] unknown key \"Queues\"; did you mean "
					 "\"queues\"? (known: " BLK_KEYS ")");
}

static void test_files(void)
{
	struct vio_config *cfg = fresh();
	FILE *f = fopen("a.ini", "w");

	MUST(f ? 0 : -errno);
	fputs("[rng r]\ntransport = mmio\n", f);
	fclose(f);
	CU_ASSERT_EQUAL(vio_config_read(cfg, "a.ini"), 0);
	CU_ASSERT_EQUAL(read_text(cfg, "[rng r2]\n"), 0);
	CU_ASSERT_EQUAL(vio_config_read(cfg, "a.ini"), -EINVAL);
	expect_error(cfg, "a.ini:1: name \"r\" is taken by [rng r] at a.ini:1");
	vio_config_destroy(cfg);

	cfg = fresh();
	CU_ASSERT_EQUAL(vio_config_read(cfg, "none.ini"), -ENOENT);
	expect_error(cfg, "none.ini: cannot be opened: No such file or directory");
	vio_config_destroy(cfg);

	cfg = fresh();
	CU_ASSERT_EQUAL(vio_config_read(cfg, "."), -EISDIR);
	expect_error(cfg, ".: cannot be read: Is a directory");
	vio_config_destroy(cfg);

	make_image("big.ini", 2 << 20);
	cfg = fresh();
	CU_ASSERT_EQUAL(vio_config_read(cfg, "big.ini"), -EFBIG);
	expect_error(cfg, "big.ini: cannot be read: File too large");
	vio_config_destroy(cfg);
}

/* ---- values ---------------------------------------------------------------------------------- */

static void test_values(void)
{
	refused("[blk d]\nengine = memry\n",
		"t.ini:4: [blk d] engine: unknown value \"memry\"; did you mean \"memory\"? "
		"(known: auto, io_uring, libaio, threads, sync, memory, null)");
	refused("[blk d]\ntransport = isa\n",
		"t.ini:4: [blk d] transport: unknown value \"isa\" (known: mmio, pci, vhost-user)");
	refused("[blk d]\nbackend = inprocc\n",
		"t.ini:4: [blk d] backend: unknown value \"inprocc\"; did you mean \"inproc\"? "
		"(known: inproc, iothread)");
	refused("[blk d]\nengine = null\nsize = 1M\nqueue-size = 300\n",
		"t.ini:6: [blk d] queue-size: \"300\" is not a power of two (power of two "
		"2..1024, or auto)");
	refused("[blk d]\nengine = null\nsize = 1000\n",
		"t.ini:5: [blk d] size: \"1000\" is not a multiple (size from 512, multiple of "
		"512)");
	refused("[blk d]\nengine = null\nsize = 1M\nreadonly = perhaps\n",
		"t.ini:6: [blk d] readonly: \"perhaps\" is neither (on or off)");
	refused("[blk d]\nengine = null\nsize = 1M\ncache = writeBack\n",
		"t.ini:6: [blk d] cache: unknown value \"writeBack\"; did you mean \"writeback\"? "
		"(known: writeback, writethrough, none)");
	refused("[blk d]\nengine = null\nsize = 1M\nserial = 123456789012345678901\n",
		"t.ini:6: [blk d] serial: \"123456789012345678901\" is too long "
		"(text of 1..20 bytes)");
	refused("[rng r]\nvectors = 2049\n",
		"t.ini:4: [rng r] vectors: \"2049\" is out of range (number 0..2048, or auto)");
}

static void test_required(void)
{
	refused("[blk d]\n", "t.ini:3: [blk d] image: required with engine = auto (path)");
	refused("[blk d]\nengine = null\n", "t.ini:3: [blk d] size: required with engine = null "
					    "(size from 512, multiple of 512)");
	refused_with("[rng r]\n", NULL, "t.ini: [vm] kernel: required (path)");
	refused_with("[rng r]\n[vm]\n", NULL, "t.ini:2: [vm] kernel: required (path)");
}

static void test_misfits(void)
{
	refused("[blk d]\nengine = null\nsize = 1M\nimage = x\n",
		"t.ini:6: [blk d] image: belongs to engine = auto or io_uring or libaio or threads "
		"or sync; this section has engine = null");
	refused("[blk d]\nsize = 1M\nimage = x\n",
		"t.ini:4: [blk d] size: belongs to engine = memory "
		"or null; this section has engine = auto");
	refused("[rng r]\ntransport = mmio\nvectors = 3\n",
		"t.ini:5: [rng r] vectors: belongs to transport = pci; this section has "
		"transport = mmio");
	refused("[blk d]\nengine = null\nsize = 1M\ncache = none\n",
		"t.ini:6: [blk d] cache: \"none\" needs an engine with an image; this section has "
		"engine = null");
	refused("[blk d]\nengine = null\nsize = 1M\nqueue-size = 16\nseg-max = 15\n",
		"t.ini:7: [blk d] seg-max: 15 is more than a queue of queue-size = 16 can hold "
		"(1..14)");
	accepted("[blk d]\nengine = null\nsize = 1M\nqueue-size = 16\nseg-max = 14\n");
	accepted("[blk d]\nengine = null\nsize = 1M\nqueue-size = 2\nseg-max = 1\n");
}

static void test_images(void)
{
	refused("[blk d]\nimage = none.img\n",
		"t.ini:4: [blk d] image: \"none.img\" cannot be opened for reading and writing: "
		"No such file or directory");
	refused("[blk d]\nimage = none.img\nreadonly = on\n",
		"t.ini:4: [blk d] image: \"none.img\" cannot be opened for reading: "
		"No such file or directory");
	refused("[blk d]\nimage = .\nreadonly = on\n",
		"t.ini:4: [blk d] image: \".\" is neither a file nor a block device");
	make_image("odd.img", 1000);
	refused("[blk d]\nimage = odd.img\n",
		"t.ini:4: [blk d] image: \"odd.img\" has 1000 bytes, not a multiple of 512");
	make_image("empty.img", 0);
	refused("[blk d]\nimage = empty.img\n", "t.ini:4: [blk d] image: \"empty.img\" is empty");
	if (mkfifo("pipe", 0600) == 0) /* must not wait for the other end */
		refused("[blk d]\nimage = pipe\nreadonly = on\n",
			"t.ini:4: [blk d] image: \"pipe\" is neither a file nor a block device");
}

static void test_readonly_image(void)
{
	make_image("ro.img", 512);
	MUST(chmod("ro.img", 0400));
	accepted("[blk d]\nimage = ro.img\nreadonly = on\n");
	if (geteuid() == 0)
		return; /* may write everything */
	refused("[blk d]\nimage = ro.img\n",
		"t.ini:4: [blk d] image: \"ro.img\" cannot be opened for reading and writing: "
		"Permission denied (for a disk that is only read, set readonly = on)");
}

/* Checking opens images, but neither changes them nor keeps them. */
static void test_check_leaves_no_trace(void)
{
	unsigned before = open_descriptors();
	struct stat st1, st2;

	make_image("d.img", 4096);
	MUST(stat("d.img", &st1));
	accepted("[blk d]\nimage = d.img\n[blk e]\nimage = d.img\nreadonly = on\n");
	refused("[blk d]\nimage = d.img\n[blk e]\nimage = none.img\n",
		"t.ini:6: [blk e] image: \"none.img\" cannot be opened for reading and writing: "
		"No such file or directory");
	MUST(stat("d.img", &st2));
	CU_ASSERT_EQUAL(st1.st_size, st2.st_size);
	CU_ASSERT_EQUAL(st1.st_mtim.tv_nsec, st2.st_mtim.tv_nsec);
	CU_ASSERT_EQUAL(open_descriptors(), before);
}

/* ---- -o -------------------------------------------------------------------------------------- */

static void test_set(void)
{
	struct vio_config *cfg = fresh();
	char *shown;

	/* Before the file, and twice: the last one counts, and over the file. */
	CU_ASSERT_EQUAL(vio_config_set(cfg, "d.queues=2"), 0);
	CU_ASSERT_EQUAL(read_text(cfg, "[blk d]\nimage = none.img\nqueues = 300\n"), 0);
	CU_ASSERT_EQUAL(vio_config_set(cfg, "d.queues=4"), 0);
	CU_ASSERT_EQUAL(vio_config_set(cfg, "d.engine=memory"), 0);
	CU_ASSERT_EQUAL(vio_config_set(cfg, "d.size=1M"), 0);
	CU_ASSERT_EQUAL(vio_config_set(cfg, "d.serial=a=b.c # d"), 0);
	CU_ASSERT_EQUAL(vio_config_check(cfg), 0);
	shown = printed(cfg);
	CU_ASSERT_PTR_NOT_NULL(strstr(shown, "\nqueues = 4\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(shown, "\nengine = memory\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(shown, "\nserial = a=b.c # d\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(shown, "; storage: 1048576 bytes\n"));
	CU_ASSERT_PTR_NULL(strstr(shown, "image"));
	free(shown);
	CU_ASSERT_EQUAL(vio_config_set(cfg, "d.size=2M"), -EBUSY);
	CU_ASSERT_EQUAL(read_text(cfg, ""), -EBUSY);
	CU_ASSERT_EQUAL(vio_config_check(cfg), -EBUSY);
	CU_ASSERT_EQUAL(vio_config_n_devices(cfg), 1);
	vio_config_destroy(cfg);
}

static void test_set_errors(void)
{
	static const char text[] = VM "[blk disk0]\nengine = null\nsize = 1M\n[rng r]\n";

	refused_with(text, "disk0", "-o disk0: wants section.key=value");
	refused_with(text, "disk0=1", "-o disk0=1: wants section.key=value");
	refused_with(text, "disk0.queues", "-o disk0.queues: wants section.key=value");
	refused_with(text, "disk.queues=1",
		     "-o disk.queues=1: unknown section \"disk\"; did you mean \"disk0\"? "
		     "(known: vm, disk0, r)");
	refused_with(
		text, "disk0.queue=1",
		"-o disk0.queue=1: [blk disk0] unknown key \"queue\"; did you mean \"queues\"? "
		"(known: " BLK_KEYS ")");
	refused_with(
		text, "disk0.queues=0",
		"-o disk0.queues=0: [blk disk0] queues: \"0\" is out of range (number 1..256)");
	refused_with(text, "disk0.image=x",
		     "-o disk0.image=x: [blk disk0] image: belongs to engine = auto or io_uring or "
		     "libaio or threads or sync; this section has engine = null");
	refused_with(text, "vm.cpus=9",
		     "-o vm.cpus=9: [vm] cpus: \"9\" is out of range (number 1..8)");
	refused_with(text, "disk0.engine=sync", /* what belongs to null is void now */
		     "t.ini:3: [blk disk0] image: required with engine = sync (path)");
}

/* ---- IO threads ------------------------------------------------------------------------------ */

#define IO "[iothread io0]\n[iothread io1]\npoll-us = 0\n" /* lines 3 to 5 */

static void test_iothreads(void)
{
	accepted(IO "[blk d]\nengine = null\nsize = 1M\nbackend = iothread\niothreads = io1 io0\n");
	accepted("[rng r]\nbackend = iothread\niothreads = io1,io0\n" IO);
	refused("[iothread]\n", "t.ini:3: section [iothread] needs a name: [iothread NAME]");
	refused("[rng io0]\n" IO, "t.ini:4: name \"io0\" is taken by [rng io0] at t.ini:3");
	refused("[iothread io0]\nqueues = 1\n",
		"t.ini:4: [iothread io0] unknown key \"queues\" (known: poll-us, cpu, priority)");
	refused("[iothread io0]\npriority = 100\n",
		"t.ini:4: [iothread io0] priority: \"100\" is out of range (number 0..99)");
	refused(SOCKET_ND,
		"t.ini:6: [rng r] notification-data: belongs to transport = mmio or pci; "
		"this section has transport = vhost-user");
	refused("[rng r]\nbackend = iothread\n",
		"t.ini:3: [rng r] iothreads: required with backend = iothread "
		"(names of [iothread] sections)");
	refused("[rng r]\niothreads = io0\n" IO,
		"t.ini:4: [rng r] iothreads: belongs to backend = iothread; this section has "
		"backend = inproc");
	refused("[rng r]\nbackend = iothread\niothreads =\n" IO,
		"t.ini:5: [rng r] iothreads: \"\" is no name (names of [iothread] sections)");
	refused("[rng r]\nbackend = iothread\niothreads = io2\n" IO,
		"t.ini:5: [rng r] iothreads: unknown iothread \"io2\"; did you mean \"io0\"? "
		"(known: io0, io1)");
	refused("[rng r]\nbackend = iothread\niothreads = io0 r\n" IO,
		"t.ini:5: [rng r] iothreads: unknown iothread \"r\" (known: io0, io1)");
	refused("[rng r]\nbackend = iothread\niothreads = io0 io1 io0\n" IO,
		"t.ini:5: [rng r] iothreads: \"io0\" is there twice");
	refused("[rng r]\nbackend = iothread\niothreads = io0\n",
		"t.ini:5: [rng r] iothreads: unknown iothread \"io0\": there is no section "
		"[iothread NAME]");
}

static void test_iothread_cpu(void)
{
	char want[VIO_OPT_ERROR_LEN];

	accepted("[iothread io0]\ncpu = 0\n");
	accepted("[iothread io0]\ncpu = any\n");
	snprintf(want, sizeof(want),
		 "t.ini:4: [iothread io0] cpu: 60000: this machine has CPUs 0..%ld, or any",
		 sysconf(_SC_NPROCESSORS_CONF) - 1);
	refused("[iothread io0]\ncpu = 60000\n", want);
}

/* ---- vhost-user ------------------------------------------------------------------------------ */

#define VU "[rng r]\ntransport = vhost-user\n" /* lines 3 and 4 */

static void test_sockets(void)
{
	accepted(VU "socket = r.sock\nsocket-mode = 0660\nsocket-owner = root\nsocket-group = 0\n");
	accepted(VU "socket = fd:3\nsealed-memory = on\n");
	accepted(VU "socket = ./fd:3\nsocket-mode = 600\n");
	refused(VU, "t.ini:3: [rng r] socket: required with transport = vhost-user (path)");
	refused("[rng r]\nsocket = r.sock\n",
		"t.ini:4: [rng r] socket: belongs to transport = vhost-user; this section has "
		"transport = pci");
	refused(VU "socket = fd:2\n",
		"t.ini:5: [rng r] socket: \"fd:2\" is no descriptor: fd:N with N from 3 (for a "
		"file of that name write ./fd:...)");
	refused(VU "socket = fd:3x\n",
		"t.ini:5: [rng r] socket: \"fd:3x\" is no descriptor: fd:N with N from 3 (for a "
		"file of that name write ./fd:...)");
	refused(VU "socket = r.sock\nsocket-mode = 0888\n",
		"t.ini:6: [rng r] socket-mode: \"0888\" is no mode (octal 0001..0777)");
	refused(VU "socket = fd:3\nsocket-mode = 0600\n",
		"t.ini:6: [rng r] socket-mode: needs a path to make the socket at; this section "
		"has socket = fd:3");
	refused(VU "socket = r.sock\nsocket-owner = no such user\n",
		"t.ini:6: [rng r] socket-owner: \"no such user\" is no user of this system");
	refused(VU "socket = r.sock\nsocket-group = no such group\n",
		"t.ini:6: [rng r] socket-group: \"no such group\" is no group of this system");
	refused(VU "socket = r.sock\n[blk d]\nengine = null\nsize = 1M\n"
		   "transport = vhost-user\nsocket = r.sock\n",
		"t.ini:10: [blk d] socket: [rng r] at t.ini:3 has this socket");
}

static void test_long_socket(void)
{
	char path[109], text[300], want[300];

	memset(path, 's', sizeof(path) - 1);
	path[108] = '\0';
	snprintf(text, sizeof(text), VU "socket = %s\n", path + 1);
	accepted(text);
	snprintf(text, sizeof(text), VU "socket = %s\n", path);
	snprintf(want, sizeof(want),
		 "t.ini:5: [rng r] socket: \"%.100s\" is too long for a socket (107 bytes at "
		 "most)",
		 path);
	refused(text, want);
}

static void test_socket_described(void)
{
	const struct vio_config_device *d;
	struct vio_config *cfg = fresh();

	CU_ASSERT_EQUAL(
		read_text(cfg, VU "socket = r.sock\nsocket-mode = 0640\nsocket-group = 7\n"), 0);
	CU_ASSERT_EQUAL(vio_config_set(cfg, "r.sealed-memory=on"), 0);
	CU_ASSERT_EQUAL(vio_config_check(cfg), 0);
	d = vio_config_device(cfg, 0);
	CU_ASSERT_EQUAL(d->transport, VIO_CONFIG_VHOST_USER);
	CU_ASSERT_STRING_EQUAL(d->socket, "r.sock");
	CU_ASSERT_STRING_EQUAL(d->backend, "inproc");
	CU_ASSERT_PTR_NULL(d->engine);
	CU_ASSERT_EQUAL(d->socket_fd, -1);
	CU_ASSERT_EQUAL(d->socket_mode, 0640);
	CU_ASSERT_EQUAL(d->socket_uid, (uid_t)-1);
	CU_ASSERT_EQUAL(d->socket_gid, 7);
	CU_ASSERT_TRUE(d->sealed_memory);
	vio_config_destroy(cfg);
}

static void test_transports_taken(void)
{
	struct vio_config *cfg = fresh();

	vio_config_take_transports(cfg, "box", 1u << VIO_CONFIG_MMIO | 1u << VIO_CONFIG_PCI);
	CU_ASSERT_EQUAL(read_text(cfg, "[rng a]\n" VU "socket = r.sock\n"), 0);
	CU_ASSERT_EQUAL(vio_config_check(cfg), -EINVAL);
	expect_error(cfg, "t.ini:3: [rng r] transport: box does not take \"vhost-user\" "
			  "(known: mmio, pci)");
	vio_config_destroy(cfg);

	cfg = fresh();
	vio_config_take_transports(cfg, "box", 1u << VIO_CONFIG_VHOST_USER);
	CU_ASSERT_EQUAL(read_text(cfg, "[rng a]\n"), 0);
	CU_ASSERT_EQUAL(vio_config_check(cfg), -EINVAL);
	expect_error(cfg, "t.ini:1: [rng a] transport: box does not take \"pci\" "
			  "(known: vhost-user)");
	vio_config_destroy(cfg);
}

/* ---- the embedder's section ------------------------------------------------------------------ */

static void test_own_section(void)
{
	struct vm vm;
	struct vio_config_section section = vm_section(&vm);
	struct vio_config *cfg = NULL;
	char *shown;

	MUST(vio_config_create(&section, 1, &cfg));
	CU_ASSERT_EQUAL(read_text(cfg, "[rng r]\n[vm]\nkernel = bzImage\nmemory = 64M\n"), 0);
	CU_ASSERT_EQUAL(vio_config_set(cfg, "vm.memory=1G"), 0);
	CU_ASSERT_EQUAL(vio_config_check(cfg), 0);
	CU_ASSERT_STRING_EQUAL(vm.kernel, "bzImage");
	CU_ASSERT_EQUAL(vm.memory, UINT64_C(1) << 30);
	CU_ASSERT_EQUAL(vm.cpus, 1);
	CU_ASSERT_EQUAL(vio_config_n_devices(cfg), 1);
	CU_ASSERT_STRING_EQUAL(vio_config_device(cfg, 0)->name, "r");
	shown = printed(cfg);
	CU_ASSERT_STRING_EQUAL(shown, "[vm]\nkernel = bzImage\nmemory = 1G\ncpus = 1\n\n"
				      "[rng r]\ntransport = pci\nbackend = inproc\n"
				      "in-order = off\nvectors = auto\n"
				      "notification-data = off\n");
	free(shown);
	vio_config_destroy(cfg);
	CU_ASSERT_PTR_NULL(vm.kernel);
}

static void test_own_section_without_a_file(void)
{
	struct vm vm;
	struct vio_config_section section = vm_section(&vm);
	struct vio_config *cfg = NULL;

	MUST(vio_config_create(&section, 1, &cfg));
	CU_ASSERT_EQUAL(vio_config_set(cfg, "vm.kernel=k"), 0);
	CU_ASSERT_EQUAL(vio_config_check(cfg), 0);
	CU_ASSERT_STRING_EQUAL(vm.kernel, "k");
	vio_config_destroy(cfg);

	MUST(vio_config_create(&section, 1, &cfg));
	CU_ASSERT_EQUAL(vio_config_check(cfg), -EINVAL);
	expect_error(cfg, "[vm] kernel: required (path)");
	vio_config_destroy(cfg);
}

static void test_own_section_errors(void)
{
	refused("cpuz = 1\n", "t.ini:3: [vm] unknown key \"cpuz\"; did you mean \"cpus\"? "
			      "(known: kernel, memory, cpus)");
	refused("cpus = 9\n", "t.ini:3: [vm] cpus: \"9\" is out of range (number 1..8)");
	refused("cpus = 8\nmemory = 7M\n", "t.ini:1: [vm] memory is too small for 8 cpus");
}

static void test_own_section_tables(void)
{
	struct vm vm;
	struct vio_config_section wrong[2];
	struct vio_opt bad[] = {vm_opts[0], vm_opts[1]};
	struct vio_config *cfg = NULL;

	wrong[0] = wrong[1] = vm_section(&vm);
	CU_ASSERT_EQUAL(vio_config_create(wrong, 2, &cfg), -EINVAL); /* twice the same type */
	wrong[0].type = "rng";					     /* a device's */
	CU_ASSERT_EQUAL(vio_config_create(wrong, 1, &cfg), -EINVAL);
	wrong[0].type = "iothread";
	CU_ASSERT_EQUAL(vio_config_create(wrong, 1, &cfg), -EINVAL);
	wrong[0].type = "v.m";
	CU_ASSERT_EQUAL(vio_config_create(wrong, 1, &cfg), -EINVAL);
	wrong[0] = vm_section(&vm);
	wrong[0].opts = bad;
	wrong[0].n_opts = VIO_ARRAY_LEN(bad);
	bad[1].def = "much";
	CU_ASSERT_EQUAL(vio_config_create(wrong, 1, &cfg), -EINVAL);
	bad[1] = bad[0]; /* twice the same option */
	CU_ASSERT_EQUAL(vio_config_create(wrong, 1, &cfg), -EINVAL);
	CU_ASSERT_PTR_NULL(cfg);
}

/* ---- assembling ------------------------------------------------------------------------------ */

struct logged {
	unsigned lines;
	char last[256];
};

static void on_log(void *arg, enum vio_log_level level, const char *line)
{
	struct logged *l = arg;

	(void)level;
	l->lines++;
	snprintf(l->last, sizeof(l->last), "%s", line);
}

/* A checked config and what stands around its devices. */
struct stand {
	struct vio_config *cfg;
	struct vio_loop *loop;
	struct logged logged;
	struct vio_log log;
	struct vio_config_env env;
	struct vio_assembly *devices;
};

static void stand_init(struct stand *s, const char *text)
{
	*s = (struct stand){.cfg = fresh()};
	s->log = (struct vio_log){on_log, &s->logged, VIO_LOG_DEBUG};
	MUST(vio_loop_manual_create(&s->loop));
	s->env = (struct vio_config_env){.loop = s->loop, .log = &s->log};
	CU_ASSERT_EQUAL(read_text(s->cfg, text), 0);
	CU_ASSERT_EQUAL(vio_config_check(s->cfg), 0);
	expect_error(s->cfg, "");
}

static void stand_fini(struct stand *s)
{
	vio_assembly_destroy(s->devices);
	vio_loop_destroy(s->loop);
	vio_config_destroy(s->cfg);
}

static void test_assemble(void)
{
	unsigned before = open_descriptors();
	struct stand s;

	make_image("d.img", 1 << 20);
	stand_init(&s, "[blk d]\nimage = d.img\ntransport = mmio\n"
		       "[rng r]\nvectors = 1\n"
		       "[blk m]\nengine = memory\nsize = 64K\nqueues = 3\n"
		       "[blk n]\nengine = null\nsize = 1T\n");
	CU_ASSERT_EQUAL(vio_config_n_devices(s.cfg), 4);
	CU_ASSERT_STRING_EQUAL(vio_config_device(s.cfg, 0)->name, "d");
	CU_ASSERT_STRING_EQUAL(vio_config_device(s.cfg, 0)->model, "blk");
	CU_ASSERT_EQUAL(vio_config_device(s.cfg, 0)->transport, VIO_CONFIG_MMIO);
	CU_ASSERT_STRING_EQUAL(vio_config_device(s.cfg, 1)->model, "rng");
	CU_ASSERT_EQUAL(vio_config_device(s.cfg, 1)->transport, VIO_CONFIG_PCI);
	CU_ASSERT_EQUAL(vio_config_device(s.cfg, 1)->pci_vectors, 1);
	CU_ASSERT_EQUAL(vio_config_device(s.cfg, 2)->pci_vectors, VIO_PCI_VECTORS_AUTO);
	CU_ASSERT_PTR_NULL(vio_config_device(s.cfg, 4));

	/* As often as one likes from the same config. */
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(vio_assembly_create(s.cfg, &s.env, &s.devices), 0);
		CU_ASSERT_EQUAL(vio_device_id(vio_assembly_device(s.devices, 0)), BLK_ID);
		CU_ASSERT_STRING_EQUAL(vio_device_name(vio_assembly_device(s.devices, 0)), "d");
		CU_ASSERT_EQUAL(vio_device_id(vio_assembly_device(s.devices, 1)), RNG_ID);
		CU_ASSERT_EQUAL(vio_device_n_queues(vio_assembly_device(s.devices, 2)), 3);
		CU_ASSERT_STRING_EQUAL(vio_device_name(vio_assembly_device(s.devices, 3)), "n");
		CU_ASSERT_PTR_NULL(vio_assembly_device(s.devices, 4));
		vio_assembly_destroy(s.devices);
	}
	s.devices = NULL;
	stand_fini(&s);
	vio_assembly_destroy(NULL);
	CU_ASSERT_EQUAL(open_descriptors(), before);
}

/* IO threads are there before the devices that need them, and go after them. */
static void test_assemble_iothreads(void)
{
	unsigned before = open_descriptors();
	struct stand s;
	int r;

	stand_init(&s, "[blk d]\nengine = null\nsize = 1M\nqueues = 3\nbackend = iothread\n"
		       "iothreads = io1 io0\n"
		       "[iothread io0]\n[rng r]\n[iothread io1]\npoll-us = 0\ncpu = 0\n");
	CU_ASSERT_EQUAL(vio_config_n_devices(s.cfg), 2);
	CU_ASSERT_STRING_EQUAL(vio_config_device(s.cfg, 0)->backend, "iothread");
	CU_ASSERT_STRING_EQUAL(vio_config_device(s.cfg, 1)->name, "r");
	r = vio_assembly_create(s.cfg, &s.env, &s.devices);
	if (r == -ENOSYS || r == -EPERM)
		printf("no io_uring here\n");
	else
		CU_ASSERT_EQUAL(r, 0);
	stand_fini(&s);
	CU_ASSERT_EQUAL(open_descriptors(), before);
}

/* The engine that auto picked is in the log. */
static void auto_picks(const char *path, const char *want)
{
	char text[256], line[256];
	struct stand s;

	snprintf(text, sizeof(text), "[blk d]\nimage = %s\n", path);
	stand_init(&s, text);
	CU_ASSERT_STRING_EQUAL(vio_config_device(s.cfg, 0)->engine, "auto");
	CU_ASSERT_EQUAL(vio_assembly_create(s.cfg, &s.env, &s.devices), 0);
	snprintf(line, sizeof(line), "%s: engine %s: ", path,
		 vio_assembly_storage(s.devices, 0)->ops->name);
	CU_ASSERT_EQUAL(strncmp(s.logged.last, line, strlen(line)), 0);
	if (want)
		CU_ASSERT_STRING_EQUAL(vio_assembly_storage(s.devices, 0)->ops->name, want);
	stand_fini(&s);
}

static void test_auto(void)
{
	char shm[] = "/dev/shm/viodm-config-XXXXXX";
	int fd = mkstemp(shm);
	struct statfs fs;

	make_image("d.img", 1 << 20);
	auto_picks("d.img", statfs(".", &fs) == 0 && fs.f_type == TMPFS_MAGIC ? "sync" : NULL);
	if (fd < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC) {
		printf("no tmpfs here\n");
	} else {
		MUST(ftruncate(fd, 1 << 20));
		auto_picks(shm, "sync");
	}
	if (fd >= 0) {
		close(fd);
		unlink(shm);
	}
}

static uint64_t blk_capacity(struct vio_device *dev)
{
	__le64 sectors = 0;

	vio_device_config_read(dev, offsetof(struct virtio_blk_config, capacity), &sectors,
			       sizeof(sectors));
	return le64toh(sectors);
}

static uint32_t blk_config32(struct vio_device *dev, uint64_t off)
{
	__le32 v = 0;

	vio_device_config_read(dev, off, &v, sizeof(v));
	return le32toh(v);
}

static void test_blk_options(void)
{
	struct vio_queue_regs regs;
	struct vio_mmio_config cfg = {.irq_fd = -1};
	struct vio_mmio *mmio = NULL;
	struct vio_device *dev;
	uint32_t features;
	struct stand s;

	stand_init(&s, "[blk d]\nengine = memory\nsize = 3M\nreadonly = on\nqueues = 2\n"
		       "queue-size = 64\nseg-max = 5\nsize-max = 64K\ngeometry = on\n"
		       "discard = off\ncache = writethrough\n");
	CU_ASSERT_EQUAL(vio_assembly_create(s.cfg, &s.env, &s.devices), 0);
	dev = vio_assembly_device(s.devices, 0);
	MUST(vio_mmio_create(dev, &cfg, &mmio));
	features = vio_device_offered(dev, 0);
	CU_ASSERT_TRUE(features & (1u << VIRTIO_BLK_F_RO));
	CU_ASSERT_TRUE(features & (1u << VIRTIO_BLK_F_MQ));
	CU_ASSERT_TRUE(features & (1u << VIRTIO_BLK_F_GEOMETRY));
	CU_ASSERT_TRUE(features & (1u << VIRTIO_BLK_F_SIZE_MAX));
	CU_ASSERT_FALSE(features & (1u << VIRTIO_BLK_F_DISCARD));
	CU_ASSERT_FALSE(features & (1u << VIRTIO_BLK_F_WRITE_ZEROES));
	CU_ASSERT_EQUAL(vio_device_n_queues(dev), 2);
	vio_device_queue_get(dev, 1, &regs);
	CU_ASSERT_EQUAL(regs.max_size, 64);
	CU_ASSERT_EQUAL(blk_capacity(dev), 3 * 2048);
	CU_ASSERT_EQUAL(blk_config32(dev, offsetof(struct virtio_blk_config, seg_max)), 5);
	CU_ASSERT_EQUAL(blk_config32(dev, offsetof(struct virtio_blk_config, size_max)), 65536);
	vio_mmio_destroy(mmio);
	stand_fini(&s);
}

/* What a disk offers when nobody says queue-size and seg-max. */
static void defaults_are(const char *keys, uint16_t queue_size, uint32_t seg_max)
{
	struct vio_queue_regs regs;
	struct vio_device *dev;
	char text[200];
	struct stand s;

	snprintf(text, sizeof(text), "[blk d]\nengine = memory\nsize = 3M\n%s", keys);
	stand_init(&s, text);
	CU_ASSERT_EQUAL(vio_assembly_create(s.cfg, &s.env, &s.devices), 0);
	dev = vio_assembly_device(s.devices, 0);
	vio_device_queue_get(dev, 0, &regs);
	CU_ASSERT_EQUAL(regs.max_size, queue_size);
	CU_ASSERT_EQUAL(blk_config32(dev, offsetof(struct virtio_blk_config, seg_max)), seg_max);
	stand_fini(&s);
}

/* A front-end of vhost-user cannot ask how long queues may be. */
static void test_blk_defaults(void)
{
	defaults_are("transport = mmio\n", 256, 254);
	defaults_are("transport = pci\n", 256, 254);
	defaults_are("transport = pci\nqueue-size = 2\n", 2, 1);
	defaults_are("transport = vhost-user\nsocket = x\n", 1024, 126);
	defaults_are("transport = vhost-user\nsocket = x\nqueue-size = 64\n", 64, 62);
	defaults_are("transport = vhost-user\nsocket = x\nqueue-size = 256\n", 256, 126);
	defaults_are("transport = vhost-user\nsocket = x\nseg-max = 1022\n", 1024, 1022);
	defaults_are("transport = vhost-user\nsocket = x\nqueue-size = auto\nseg-max = 7\n", 1024,
		     7);
	refused("[blk d]\nengine = null\nsize = 1M\nseg-max = 255\n",
		"t.ini:6: [blk d] seg-max: 255 is more than a queue of queue-size = 256 can hold "
		"(1..254)");
}

static void test_refresh(void)
{
	struct vio_device *dev;
	struct stand s;

	make_image("grow.img", 1 << 20);
	stand_init(&s, "[rng r]\n[blk d]\nimage = grow.img\n[blk m]\nengine = memory\nsize = 1M\n");
	CU_ASSERT_EQUAL(vio_assembly_create(s.cfg, &s.env, &s.devices), 0);
	dev = vio_assembly_device(s.devices, 1);
	CU_ASSERT_EQUAL(blk_capacity(dev), 2048);
	CU_ASSERT_EQUAL(vio_assembly_refresh(s.devices), 0);
	MUST(truncate("grow.img", 2 << 20));
	CU_ASSERT_EQUAL(blk_capacity(dev), 2048);
	CU_ASSERT_EQUAL(vio_assembly_refresh(s.devices), 1);
	CU_ASSERT_EQUAL(blk_capacity(dev), 4096);
	CU_ASSERT_EQUAL(vio_assembly_refresh(s.devices), 0);
	MUST(truncate("grow.img", 1 << 20));
	CU_ASSERT_EQUAL(vio_assembly_refresh_device(s.devices, 0), 0);
	CU_ASSERT_EQUAL(vio_assembly_refresh_device(s.devices, 1), 1);
	CU_ASSERT_EQUAL(vio_assembly_refresh_device(s.devices, 1), 0);
	CU_ASSERT_EQUAL(blk_capacity(dev), 2048);
	CU_ASSERT_PTR_NULL(vio_assembly_storage(s.devices, 0));
	stand_fini(&s);
}

/* The last device cannot be made: the first ones are taken back. */
static void test_assemble_fails(void)
{
	unsigned before = open_descriptors();
	struct stand s;

	make_image("d.img", 1 << 20);
	make_image("gone.img", 1 << 20);
	stand_init(&s, "[blk d]\nimage = d.img\n[rng r]\n[blk e]\nimage = gone.img\n");
	MUST(unlink("gone.img"));
	CU_ASSERT_EQUAL(vio_assembly_create(s.cfg, &s.env, &s.devices), -ENOENT);
	CU_ASSERT_PTR_NULL(s.devices);
	expect_error(s.cfg,
		     "t.ini:4: [blk e] the storage cannot be made: No such file or directory");
	make_image("gone.img", 1 << 20);
	CU_ASSERT_EQUAL(vio_assembly_create(s.cfg, &s.env, &s.devices), 0);
	stand_fini(&s);
	CU_ASSERT_EQUAL(open_descriptors(), before);
}

/* What vio_config_print() writes is a config that means the same. */
static void test_print_can_be_read(void)
{
	struct vio_config *cfg = fresh(), *again = fresh();
	char *first, *second;

	CU_ASSERT_EQUAL(read_text(cfg, "[blk m]\nengine = memory\nsize = 64K\nserial = S1\n"
				       "[iothread io]\ncpu = 0\n"
				       "[rng r]\ntransport = vhost-user\nsocket = r.sock\n"
				       "backend = iothread\niothreads = io\n"),
			0);
	CU_ASSERT_EQUAL(vio_config_check(cfg), 0);
	first = printed(cfg);
	CU_ASSERT_EQUAL(read_text(again, first), 0);
	CU_ASSERT_EQUAL(vio_config_check(again), 0);
	expect_error(again, "");
	second = printed(again);
	CU_ASSERT_STRING_EQUAL(first, second);
	free(first);
	free(second);
	vio_config_destroy(cfg);
	vio_config_destroy(again);
}

static CU_TestInfo tests[] = {
	{"empty", test_empty},
	{"syntax", test_syntax},
	{"syntax errors", test_syntax_errors},
	{"NUL byte", test_nul_byte},
	{"long values", test_long_value},
	{"sections", test_sections},
	{"too many sections", test_too_many_sections},
	{"keys", test_keys},
	{"files", test_files},
	{"values", test_values},
	{"required keys", test_required},
	{"options that do not fit together", test_misfits},
	{"images", test_images},
	{"read-only image", test_readonly_image},
	{"a check leaves no trace", test_check_leaves_no_trace},
	{"-o", test_set},
	{"-o, errors", test_set_errors},
	{"IO threads", test_iothreads},
	{"CPU of an IO thread", test_iothread_cpu},
	{"sockets", test_sockets},
	{"long path of a socket", test_long_socket},
	{"a socket described", test_socket_described},
	{"transports that the embedder takes", test_transports_taken},
	{"own section", test_own_section},
	{"own section without a file", test_own_section_without_a_file},
	{"own section, errors", test_own_section_errors},
	{"own section, wrong tables", test_own_section_tables},
	{"assemble", test_assemble},
	{"assemble with IO threads", test_assemble_iothreads},
	{"engine = auto", test_auto},
	{"blk options", test_blk_options},
	{"what a disk offers by itself", test_blk_defaults},
	{"refresh", test_refresh},
	{"assembling fails half way", test_assemble_fails},
	{"what is printed can be read", test_print_can_be_read},
	CU_TEST_INFO_NULL,
};

static void remove_scratch(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *e;

	while (dir && (e = readdir(dir)))
		unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(path);
}

int main(void)
{
	char scratch[] = "/tmp/viodm-config-XXXXXX";
	int r;

	MUST(mkdtemp(scratch) ? 0 : -errno);
	MUST(chdir(scratch));
	r = suite_run("config", tests);
	remove_scratch(scratch);
	return r;
}
