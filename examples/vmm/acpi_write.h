/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_ACPI_WRITE_H
#define VMM_ACPI_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Writes ACPI tables and the few AML terms a static description needs (ACPI 6.4 chapter 20).
 *
 * Everything is appended to one buffer. What is nested has a begin function whose result goes to
 * the matching end function, which fills in the length. What does not fit is dropped and
 * remembered in `overflow`.
 */
struct acpi_buf {
	uint8_t *data;
	size_t size, len;
	bool overflow;
};

#define ACPI_OEM_ID "VIODM "
#define RSDP_SIZE   36

void put_bytes(struct acpi_buf *b, const void *bytes, size_t len);
void put_zero(struct acpi_buf *b, size_t len);
/* Little-endian integers. */
void put8(struct acpi_buf *b, uint8_t v);
void put16(struct acpi_buf *b, uint16_t v);
void put32(struct acpi_buf *b, uint32_t v);
void put64(struct acpi_buf *b, uint64_t v);

/* What makes the sum of the bytes, with this one, zero. */
uint8_t checksum(const uint8_t *data, size_t len);

/* A table with the standard header; the end returns its physical address. */
size_t table_begin(struct acpi_buf *b, const char *signature, uint8_t revision);
uint32_t table_end(struct acpi_buf *b, size_t table);
/* For structures without that header: aligns and returns the offset, of which table_addr() makes
 * the address. */
size_t table_align(struct acpi_buf *b);
uint32_t table_addr(size_t offset);

/* Names have four characters, a scope's may be preceded by a backslash. */
size_t aml_scope(struct acpi_buf *b, const char *name);
size_t aml_device(struct acpi_buf *b, const char *name);
size_t aml_package(struct acpi_buf *b, uint8_t elements);
void aml_end(struct acpi_buf *b, size_t term);

/* A name, to be followed by its value. */
void aml_name(struct acpi_buf *b, const char *name);
void aml_int(struct acpi_buf *b, uint32_t v);
void aml_string(struct acpi_buf *b, const char *s);
void aml_eisa_id(struct acpi_buf *b, uint32_t id);

/* A buffer of resource descriptors. */
size_t aml_resources(struct acpi_buf *b);
void aml_resources_end(struct acpi_buf *b, size_t term);

#endif
