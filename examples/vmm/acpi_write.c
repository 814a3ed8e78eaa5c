/* SPDX-License-Identifier: BSD-3-Clause */
#include "acpi_write.h"
#include "vmm.h"

#include <string.h>

#define HEADER_SIZE 36

void put_bytes(struct acpi_buf *b, const void *bytes, size_t len)
{
	if (len > b->size - b->len) {
		b->overflow = true;
		return;
	}
	memcpy(b->data + b->len, bytes, len);
	b->len += len;
}

void put_zero(struct acpi_buf *b, size_t len)
{
	while (len--)
		put8(b, 0);
}

void put8(struct acpi_buf *b, uint8_t v)
{
	put_bytes(b, &v, 1);
}

void put16(struct acpi_buf *b, uint16_t v)
{
	put_bytes(b, &v, 2);
}

void put32(struct acpi_buf *b, uint32_t v)
{
	put_bytes(b, &v, 4);
}

void put64(struct acpi_buf *b, uint64_t v)
{
	put_bytes(b, &v, 8);
}

uint8_t checksum(const uint8_t *data, size_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *data++);
	return (uint8_t)-sum;
}

size_t table_align(struct acpi_buf *b)
{
	put_zero(b, -b->len % 64);
	return b->len;
}

uint32_t table_addr(size_t offset)
{
	return (uint32_t)(VMM_ACPI_BASE + offset);
}

size_t table_begin(struct acpi_buf *b, const char *signature, uint8_t revision)
{
	size_t table = table_align(b);

	put_bytes(b, signature, 4);
	put32(b, 0); /* length, set at the end */
	put8(b, revision);
	put8(b, 0); /* checksum, set at the end */
	put_bytes(b, ACPI_OEM_ID, 6);
	put_bytes(b, "VIODMVMM", 8);
	put32(b, 1);
	put_bytes(b, "VDM ", 4);
	put32(b, 1);
	return table;
}

uint32_t table_end(struct acpi_buf *b, size_t table)
{
	uint32_t len = (uint32_t)(b->len - table);

	if (len >= HEADER_SIZE) {
		memcpy(b->data + table + 4, &len, sizeof(len));
		b->data[table + 9] = checksum(b->data + table, len);
	}
	return table_addr(table);
}

/* Package lengths always take three bytes, so that they can be set when the end is known. */
#define LENGTH_BYTES 3

static size_t length_begin(struct acpi_buf *b)
{
	size_t term = b->len;

	put_zero(b, LENGTH_BYTES);
	return term;
}

void aml_end(struct acpi_buf *b, size_t term)
{
	size_t len = b->len - term;

	if (b->overflow)
		return;
	b->data[term] = (uint8_t)(0x80 | (len & 0xf)); /* two more bytes */
	b->data[term + 1] = (uint8_t)(len >> 4);
	b->data[term + 2] = (uint8_t)(len >> 12);
}

size_t aml_scope(struct acpi_buf *b, const char *name)
{
	size_t term;

	put8(b, 0x10);
	term = length_begin(b);
	put_bytes(b, name, strlen(name));
	return term;
}

size_t aml_device(struct acpi_buf *b, const char *name)
{
	size_t term;

	put8(b, 0x5b);
	put8(b, 0x82);
	term = length_begin(b);
	put_bytes(b, name, 4);
	return term;
}

size_t aml_package(struct acpi_buf *b, uint8_t elements)
{
	size_t term;

	put8(b, 0x12);
	term = length_begin(b);
	put8(b, elements);
	return term;
}

void aml_name(struct acpi_buf *b, const char *name)
{
	put8(b, 0x08);
	put_bytes(b, name, 4);
}

void aml_int(struct acpi_buf *b, uint32_t v)
{
	if (v <= 1) {
		put8(b, (uint8_t)v);
	} else if (v <= 0xff) {
		put8(b, 0x0a);
		put8(b, (uint8_t)v);
	} else {
		aml_eisa_id(b, v);
	}
}

void aml_eisa_id(struct acpi_buf *b, uint32_t id)
{
	put8(b, 0x0c);
	put32(b, id);
}

void aml_string(struct acpi_buf *b, const char *s)
{
	put8(b, 0x0d);
	put_bytes(b, s, strlen(s) + 1);
}

/* A buffer is: package length, its size as an integer, its bytes; the size is a 16-bit one. */
size_t aml_resources(struct acpi_buf *b)
{
	size_t term;

	put8(b, 0x11);
	term = length_begin(b);
	put8(b, 0x0b);
	put16(b, 0);
	return term;
}

void aml_resources_end(struct acpi_buf *b, size_t term)
{
	size_t start = term + LENGTH_BYTES + 3;
	uint16_t len;

	put8(b, 0x79); /* end tag, */
	put8(b, 0);    /* not checksummed */
	len = (uint16_t)(b->len - start);
	if (!b->overflow)
		memcpy(b->data + start - 2, &len, sizeof(len));
	aml_end(b, term);
}
