/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration: the embedder's own section, and devices made from it.
 */
#include <endian.h>
#include <linux/magic.h>
#include <linux/virtio_blk.h>
#include <sys/vfs.h>

#include <viodm/loop_manual.h>
#include <viodm/mmio.h>
#include <viodm/pci.h>

#include "config_fix.h"

#define BLK_ID 2
#define RNG_ID 4

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

int main(void)
{
	return config_suite_run("config devices", tests);
}
