/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm.h"
#include "acpi_write.h"

#include <errno.h>
#include <string.h>

/*
 * The tables of ACPI 6.4 chapter 5 that a PC without firmware needs. They are written at boot, one
 * after the other, because DSDT and MADT follow the configuration.
 */

/* Resource descriptors, ACPI 6.4 section 6.4. */

static void res_memory32(struct acpi_buf *b, uint32_t base, uint32_t size)
{
	put8(b, 0x86);
	put16(b, 9);
	put8(b, 1); /* read-write */
	put32(b, base);
	put32(b, size);
}

static void res_irq(struct acpi_buf *b, uint32_t gsi)
{
	put8(b, 0x89);
	put16(b, 6);
	put8(b, 0x0b); /* consumer, edge, active high, shared */
	put8(b, 1);
	put32(b, gsi);
}

static void res_port(struct acpi_buf *b, uint16_t port, uint8_t count)
{
	put8(b, 0x47);
	put8(b, 1); /* decodes 16 bits */
	put16(b, port);
	put16(b, port);
	put8(b, 1);
	put8(b, count);
}

#define RES_PRODUCER 0x0c /* both ends fixed */

static void res_bus(struct acpi_buf *b, uint16_t first, uint16_t last)
{
	put8(b, 0x88);
	put16(b, 13);
	put8(b, 2);
	put8(b, RES_PRODUCER);
	put8(b, 0);
	put16(b, 0);
	put16(b, first);
	put16(b, last);
	put16(b, 0);
	put16(b, (uint16_t)(last - first + 1));
}

static void res_window(struct acpi_buf *b, uint64_t base, uint64_t size)
{
	put8(b, 0x8a);
	put16(b, 43);
	put8(b, 0);
	put8(b, RES_PRODUCER);
	put8(b, 1); /* uncached, read-write */
	put64(b, 0);
	put64(b, base);
	put64(b, base + size - 1);
	put64(b, 0);
	put64(b, size);
}

/* The DSDT's devices. */

static void dsdt_mmio(struct acpi_buf *b, unsigned int index, const struct vmm_mmio_slot *slot)
{
	const char name[5] = {'V', 'I', (char)('A' + index / 16), "0123456789ABCDEF"[index % 16]};
	size_t device = aml_device(b, name), crs;

	aml_name(b, "_HID");
	aml_string(b, "LNRO0005");
	aml_name(b, "_UID");
	aml_int(b, index);
	aml_name(b, "_CCA");
	aml_int(b, 1);
	aml_name(b, "_CRS");
	crs = aml_resources(b);
	res_memory32(b, (uint32_t)slot->base, (uint32_t)slot->size);
	res_irq(b, slot->gsi);
	aml_resources_end(b, crs);
	aml_end(b, device);
}

/* Pin A of each slot; the devices behind the bus have no other. */
static void dsdt_prt(struct acpi_buf *b)
{
	size_t prt, entry;

	aml_name(b, "_PRT");
	prt = aml_package(b, VMM_MAX_SLOTS);
	for (unsigned int slot = 0; slot < VMM_MAX_SLOTS; slot++) {
		entry = aml_package(b, 4);
		aml_int(b, slot << 16 | 0xffff);
		aml_int(b, 0);
		aml_int(b, 0); /* no link device: the next is a GSI */
		aml_int(b, VMM_INTX_GSI + slot % VMM_INTX_LINES);
		aml_end(b, entry);
	}
	aml_end(b, prt);
}

static void dsdt_pci(struct acpi_buf *b, const struct vmm *vmm)
{
	size_t device = aml_device(b, "PCI0"), crs;

	aml_name(b, "_HID");
	aml_eisa_id(b, 0x080ad041); /* PNP0A08, PCI Express root bridge */
	aml_name(b, "_CID");
	aml_eisa_id(b, 0x030ad041); /* PNP0A03 */
	aml_name(b, "_UID");
	aml_int(b, 0);
	aml_name(b, "_CRS");
	crs = aml_resources(b);
	res_bus(b, 0, 0);
	res_port(b, VMM_PCI_PORT, 8);
	res_window(b, VMM_PCI_BASE, VMM_PCI_SIZE);
	res_window(b, ram_end(&vmm->ram), VMM_PCI64_SIZE);
	aml_resources_end(b, crs);
	dsdt_prt(b);
	aml_end(b, device);
}

/* Configuration space belongs to the board: a kernel maps it only if a device claims it. */
static void dsdt_board(struct acpi_buf *b)
{
	size_t device = aml_device(b, "BRD0"), crs;

	aml_name(b, "_HID");
	aml_eisa_id(b, 0x020cd041); /* PNP0C02 */
	aml_name(b, "_CRS");
	crs = aml_resources(b);
	res_memory32(b, VMM_ECAM_BASE, VMM_ECAM_SIZE);
	res_port(b, VMM_PM_PORT, VMM_PM_SIZE);
	aml_resources_end(b, crs);
	aml_end(b, device);
}

static void dsdt_s5(struct acpi_buf *b)
{
	size_t package;

	aml_name(b, "_S5_");
	package = aml_package(b, 4);
	aml_int(b, VMM_S5_TYPE);
	aml_int(b, VMM_S5_TYPE);
	aml_int(b, 0);
	aml_int(b, 0);
	aml_end(b, package);
}

static uint32_t build_dsdt(struct acpi_buf *b, const struct vmm *vmm)
{
	size_t table = table_begin(b, "DSDT", 2), scope;

	dsdt_s5(b);
	scope = aml_scope(b, "\\_SB_");
	dsdt_board(b);
	dsdt_pci(b, vmm);
	for (unsigned int i = 0; i < vmm->n_mmio; i++)
		dsdt_mmio(b, i, &vmm->mmio[i]);
	aml_end(b, scope);
	return table_end(b, table);
}

static uint32_t build_facs(struct acpi_buf *b)
{
	size_t facs = table_align(b);

	put_bytes(b, "FACS", 4);
	put32(b, 64);
	put_zero(b, 24);
	put8(b, 2); /* version */
	put_zero(b, 31);
	return table_addr(facs);
}

/* Generic address of an IO port. */
static void put_port(struct acpi_buf *b, uint16_t port, uint8_t bytes)
{
	put8(b, 1);
	put8(b, (uint8_t)(bytes * 8));
	put8(b, 0);
	put8(b, bytes == 1 ? 1 : bytes == 2 ? 2 : 3);
	put64(b, port);
}

#define FADT_BOOT_FLAGS 0x0024 /* no VGA, no CMOS clock; and, left out, no keyboard controller */
/* WBINVD works, C1 on all processors, neither a power nor a sleep button, reset register */
#define FADT_FLAGS 0x0435

static uint32_t build_fadt(struct acpi_buf *b, uint32_t facs, uint32_t dsdt)
{
	size_t table = table_begin(b, "FACP", 6);

	put32(b, facs);
	put32(b, dsdt);
	put16(b, 0);
	put16(b, VMM_SCI_GSI);
	put_zero(b, 8); /* no SMI command port: always in ACPI mode */
	put32(b, VMM_PM_PORT + VMM_PM_EVENT);
	put32(b, 0);
	put32(b, VMM_PM_PORT + VMM_PM_CONTROL);
	put_zero(b, 5 * 4); /* PM1b, PM2, timer, GPE0, GPE1 */
	put8(b, 4);	    /* bytes of PM1 event block and */
	put8(b, 2);	    /* of PM1 control block */
	put_zero(b, 6);
	put16(b, 0xffff); /* no C2 */
	put16(b, 0xffff); /* no C3 */
	put_zero(b, 9);
	put16(b, FADT_BOOT_FLAGS);
	put8(b, 0);
	put32(b, FADT_FLAGS);
	put_port(b, VMM_PM_PORT + VMM_PM_RESET, 1);
	put8(b, VMM_RESET_VALUE);
	put16(b, 0);
	put8(b, 4); /* minor version */
	put64(b, 0);
	put64(b, dsdt);
	put_port(b, VMM_PM_PORT + VMM_PM_EVENT, 4);
	put_zero(b, 12);
	put_port(b, VMM_PM_PORT + VMM_PM_CONTROL, 2);
	put_zero(b, 12 * 7 + 8);
	return table_end(b, table);
}

static uint32_t build_madt(struct acpi_buf *b, unsigned int cpus)
{
	size_t table = table_begin(b, "APIC", 5);

	put32(b, VMM_LAPIC_BASE);
	put32(b, 1); /* there is an 8259 pair, too */
	for (unsigned int i = 0; i < cpus; i++) {
		put8(b, 0); /* processor local APIC */
		put8(b, 8);
		put8(b, (uint8_t)i);
		put8(b, (uint8_t)i);
		put32(b, 1);
	}
	put8(b, 1); /* IO APIC */
	put8(b, 12);
	put8(b, (uint8_t)cpus);
	put8(b, 0);
	put32(b, VMM_IOAPIC_BASE);
	put32(b, 0);
	put8(b, 2); /* override: the SCI is level-triggered, active high */
	put8(b, 10);
	put8(b, 0);
	put8(b, VMM_SCI_GSI);
	put32(b, VMM_SCI_GSI);
	put16(b, 0x000d);
	return table_end(b, table);
}

static uint32_t build_mcfg(struct acpi_buf *b)
{
	size_t table = table_begin(b, "MCFG", 1);

	put64(b, 0);
	put64(b, VMM_ECAM_BASE);
	put_zero(b, 8); /* segment 0, buses 0 to 0 */
	return table_end(b, table);
}

static uint32_t build_xsdt(struct acpi_buf *b, const uint32_t *tables, size_t n)
{
	size_t table = table_begin(b, "XSDT", 1);

	for (size_t i = 0; i < n; i++)
		put64(b, tables[i]);
	return table_end(b, table);
}

/* The root pointer has its place reserved at the start of the area. */
static void build_rsdp(struct acpi_buf *area, uint32_t xsdt)
{
	struct acpi_buf b = {.data = area->data, .size = RSDP_SIZE};

	put_bytes(&b, "RSD PTR ", 8);
	put8(&b, 0);
	put_bytes(&b, ACPI_OEM_ID, 6);
	put8(&b, 2);
	put32(&b, 0);
	put32(&b, RSDP_SIZE);
	put64(&b, xsdt);
	put32(&b, 0);
	b.data[8] = checksum(b.data, 20);
	b.data[32] = checksum(b.data, RSDP_SIZE);
}

int acpi_build(const struct vmm *vmm)
{
	struct acpi_buf b = {
		.data = ram_at(&vmm->ram, VMM_ACPI_BASE, VMM_ACPI_SIZE),
		.size = VMM_ACPI_SIZE,
		.len = RSDP_SIZE,
	};
	uint32_t dsdt, facs, tables[3];

	memset(b.data, 0, b.size);
	dsdt = build_dsdt(&b, vmm);
	facs = build_facs(&b);
	tables[0] = build_fadt(&b, facs, dsdt);
	tables[1] = build_madt(&b, vmm->config.cpus);
	tables[2] = build_mcfg(&b);
	build_rsdp(&b, build_xsdt(&b, tables, 3));
	return b.overflow ? -ENOSPC : 0;
}
