/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration: reading, every message, overriding. The embedder's own section and devices
 * made from it are in test_config_devices.c.
 */
#include "config_fix.h"

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

/* What other programs read stays out of the way, and is not judged. */
static void test_ignored_sections(void)
{
	static const char *const types[] = {"host", "guest", NULL};
	static const char text[] =
		"[host]\nshell = /bin/sh\nshell = again\n[guest]\n[host x]\na = 1\n"
		"[rng r0]\n";
	struct vio_config *cfg;

	MUST(vio_config_create(NULL, 0, &cfg));
	vio_config_ignore(cfg, types);
	CU_ASSERT_EQUAL(vio_config_read_buffer(cfg, "t.ini", text, sizeof(text) - 1), 0);
	CU_ASSERT_EQUAL(vio_config_check(cfg), 0);
	CU_ASSERT_EQUAL(vio_config_n_devices(cfg), 1);
	vio_config_destroy(cfg);

	MUST(vio_config_create(NULL, 0, &cfg));
	CU_ASSERT_EQUAL(vio_config_read_buffer(cfg, "t.ini", text, sizeof(text) - 1), -EINVAL);
	expect_error(cfg,
		     "t.ini:1: unknown section type \"host\" (known: blk, net, rng, iothread)");
	vio_config_destroy(cfg);
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

static CU_TestInfo tests[] = {
	{"empty", test_empty},
	{"syntax", test_syntax},
	{"syntax errors", test_syntax_errors},
	{"NUL byte", test_nul_byte},
	{"long values", test_long_value},
	{"sections", test_sections},
	{"ignored sections", test_ignored_sections},
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
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return config_suite_run("config", tests);
}
