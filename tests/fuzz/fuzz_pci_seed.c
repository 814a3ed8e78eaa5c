/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Companion of fuzz_pci.c without libFuzzer:
 *
 *   fuzz_pci_seed --seed DIR   writes the seed corpus (tests/fuzz/corpus/pci)
 *   fuzz_pci_seed FILE...      runs inputs
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>

#include "fuzz_pci.h"

static void require(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_pci_seed: %s\n", what);
		exit(1);
	}
}

#define SEED_MAX 512

struct seed {
	uint8_t bytes[SEED_MAX];
	size_t n;
};

static void seed_byte(struct seed *s, unsigned v)
{
	require(s->n < SEED_MAX, "seed too long");
	s->bytes[s->n++] = (uint8_t)v;
}

static void seed_int(struct seed *s, unsigned bytes, uint64_t v)
{
	for (unsigned i = 0; i < bytes; i++)
		seed_byte(s, (unsigned)(v >> (8 * i)) & 0xff);
}

/* Widths are by their place in take_width(). */
static unsigned seed_width(unsigned len)
{
	return len == 1 ? 0 : len == 2 ? 1 : len == 4 ? 2 : 3;
}

static void seed_config(struct seed *s, unsigned off, unsigned len, uint32_t v)
{
	seed_byte(s, OP_CONFIG_WRITE);
	seed_byte(s, off);
	seed_byte(s, seed_width(len));
	seed_int(s, 4, v);
}

static void seed_bar(struct seed *s, unsigned bar, unsigned off, unsigned len, uint32_t v)
{
	seed_byte(s, OP_BAR_WRITE);
	seed_byte(s, bar);
	seed_int(s, 2, off);
	seed_byte(s, seed_width(len));
	seed_int(s, 4, v);
}

static void seed_ram(struct seed *s, unsigned off, unsigned len, uint64_t v)
{
	seed_byte(s, OP_RAM);
	seed_int(s, 2, off);
	seed_byte(s, len);
	seed_int(s, len, v);
}

static void seed_start(struct seed *s)
{
	seed_config(s, PCI_BASE_ADDRESS_0, 4, 0xc0000000);
	seed_config(s, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	seed_byte(s, OP_NEGOTIATE);
	seed_int(s, 4, 0x30000100);
	seed_byte(s, OP_QUEUE);
	seed_byte(s, 0);
	seed_int(s, 2, 0);
	seed_int(s, 2, 0x1000);
	seed_int(s, 2, 0x2000);
}

/* One request of two descriptors. */
static void seed_request(struct seed *s)
{
	seed_byte(s, OP_DRIVER_OK);
	seed_ram(s, 0, 8, RAM_BASE + 0x3000);
	seed_ram(s, 8, 8, 16 | UINT64_C(1) << 32 | UINT64_C(1) << 48); /* len, NEXT, next 1 */
	seed_ram(s, 16, 8, RAM_BASE + 0x4000);
	seed_ram(s, 24, 8, 1 | UINT64_C(2) << 32); /* len, WRITE */
	seed_ram(s, 0x1002, 2, 1);		   /* avail index */
	seed_byte(s, OP_KICK);
	seed_byte(s, 0);
}

static void seed_msix(struct seed *s)
{
	seed_bar(s, 1, 0, 4, 0xfee00000);
	seed_bar(s, 1, 8, 4, 0x4041);
	seed_bar(s, 1, 12, 4, 0);
	seed_bar(s, 0, VIRTIO_PCI_COMMON_MSIX, 2, 0);
	seed_bar(s, 0, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0);
}

static void seed_intx(struct seed *s)
{
	seed_start(s);
	seed_request(s);
	seed_byte(s, OP_BAR_READ); /* ISR */
	seed_byte(s, 0);
	seed_int(s, 2, 0x1000);
	seed_byte(s, 0);
}

/* `cap` is the offset of the MSI-X capability. */
static void seed_vectors(struct seed *s, unsigned cap)
{
	seed_config(s, cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	seed_start(s);
	seed_msix(s);
	seed_request(s);
	seed_bar(s, 1, 12, 4, 1);
	seed_byte(s, OP_QUEUE_EVENT);
	seed_byte(s, 0);
	seed_byte(s, OP_FDS);
	seed_byte(s, 0);
	seed_byte(s, 7);
	seed_bar(s, 1, 12, 4, 0);
	seed_byte(s, OP_CONFIG_EVENT);
	seed_byte(s, 3);
	seed_byte(s, 9);
	seed_byte(s, OP_BUS_RESET);
}

/* `cap` is the offset of the PCI_CFG capability: reads the ISR through it. */
static void seed_window(struct seed *s, unsigned cap)
{
	seed_start(s);
	seed_byte(s, OP_DRIVER_OK);
	seed_byte(s, OP_QUEUE_EVENT);
	seed_byte(s, 0);
	seed_config(s, cap + 4, 1, 0);
	seed_config(s, cap + 8, 4, 0x1000);
	seed_config(s, cap + 12, 4, 1);
	seed_byte(s, OP_CONFIG_READ);
	seed_byte(s, cap + 16);
	seed_byte(s, 0);
	seed_config(s, cap + 8, 4, 0x2000);
	seed_config(s, cap + 12, 4, 2);
	seed_config(s, cap + 16, 2, 0);
}

static void seed_bars(struct seed *s)
{
	for (unsigned i = 0; i < 4; i++)
		seed_config(s, PCI_BASE_ADDRESS_0 + 4 * i, 4, UINT32_MAX);
	seed_config(s, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	for (unsigned i = 0; i < 4; i++)
		seed_config(s, PCI_BASE_ADDRESS_0 + 4 * i, 4, 0x10000000 * (i + 1));
	seed_bar(s, 2, 16, 4, 0x12345678);
	seed_byte(s, OP_BAR_FAR);
	seed_byte(s, 2);
	seed_int(s, 8, UINT64_MAX - 1);
	seed_byte(s, 3);
}

/* Every field of the common configuration by its place in step_common_write(). */
static void seed_common(struct seed *s)
{
	for (unsigned i = 0; i < 14; i++) {
		seed_byte(s, OP_COMMON_WRITE);
		seed_byte(s, i);
		seed_int(s, 4, 1);
	}
	seed_start(s);
	seed_bar(s, 0, 0x3004, 4, 0xdeadbeef); /* device configuration */
	for (unsigned off = 0; off < 64; off += 2) {
		seed_byte(s, OP_BAR_READ);
		seed_byte(s, 0);
		seed_int(s, 2, off);
		seed_byte(s, off % 4 ? 1 : 2);
	}
}

static void seed_queue_reset(struct seed *s)
{
	seed_start(s);
	seed_request(s);
	seed_bar(s, 0, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	seed_start(s);
	seed_bar(s, 0, VIRTIO_PCI_COMMON_STATUS, 1, 0);
}

/* Suspends, has things happen, resumes; and resets while suspended. */
static void seed_suspend(struct seed *s)
{
	seed_start(s);
	seed_request(s);
	seed_byte(s, OP_DRIVER_OK);
	seed_ram(s, 0x1002, 2, 2);
	seed_byte(s, OP_KICK);
	seed_byte(s, 0);
	seed_byte(s, OP_CONFIG_EVENT);
	seed_byte(s, 3);
	seed_byte(s, 9);
	seed_bar(s, 0, 0x3004, 4, 0xdeadbeef);
	seed_byte(s, OP_DRIVER_OK);
	seed_byte(s, OP_KICK);
	seed_byte(s, 0);
	seed_byte(s, OP_DRIVER_OK);
	seed_bar(s, 0, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	seed_bar(s, 0, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	seed_start(s);
	seed_request(s);
	seed_byte(s, OP_DRIVER_OK);
	seed_byte(s, OP_BUS_RESET);
}

static void seed_save(const char *dir, const char *name, struct seed *s)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "wb");
	require(file && fwrite(s->bytes, 1, s->n, file) == s->n && fclose(file) == 0, path);
	s->n = 0;
}

static void seed_all(const char *dir)
{
	const unsigned msix = fuzz_pci_find_cap(PCI_CAP_ID_MSIX, 0);
	const unsigned window = fuzz_pci_find_cap(PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_PCI_CFG);
	struct seed s = {.n = 0};

	seed_intx(&s);
	seed_save(dir, "intx", &s);
	seed_vectors(&s, msix);
	seed_save(dir, "vectors", &s);
	seed_window(&s, window);
	seed_save(dir, "window", &s);
	seed_bars(&s);
	seed_save(dir, "bars", &s);
	seed_common(&s);
	seed_save(dir, "common", &s);
	seed_queue_reset(&s);
	seed_save(dir, "queue-reset", &s);
	seed_suspend(&s);
	seed_save(dir, "suspend", &s);
}

static void run_file(const char *path)
{
	static uint8_t buf[1 << 20];
	FILE *file = fopen(path, "rb");
	size_t n;

	require(file != NULL, path);
	n = fread(buf, 1, sizeof(buf), file);
	fclose(file);
	LLVMFuzzerTestOneInput(buf, n);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--seed")) {
		seed_all(argv[2]);
		return 0;
	}
	for (int i = 1; i < argc; i++)
		run_file(argv[i]);
	return 0;
}
