/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONFORM_CHECK_H
#define CONFORM_CHECK_H

/*
 * A check takes the driver's seat before a freshly reset device and looks whether statements of the
 * specification hold. Checks are written once for all transports; each runs in a process of its own
 * with its own device or connection, so it may leave the device in any state.
 */

#include <driver/device.h>

/* How the driver reaches the device; a check says which of them it is for. */
enum way {
	WAY_MMIO = 1,
	WAY_PCI_MSIX = 2,
	WAY_PCI_INTX = 4,
	WAY_VHOST_USER = 8,
};
#define WAY_PCI	      (WAY_PCI_MSIX | WAY_PCI_INTX)
#define WAY_REGISTERS (WAY_MMIO | WAY_PCI)
#define WAY_ANY	      (WAY_REGISTERS | WAY_VHOST_USER)

enum check_kind {
	CHECK_REQUIREMENT, /* a well-behaved driver: the device does what is written */
	CHECK_ROBUSTNESS,  /* a hostile one: the device survives, recovers by reset */
	CHECK_STRESS,	   /* long, random */
};

struct run;

struct check {
	const char *name; /* "split-used-len"; unique */
	const char *rows; /* ids of the statements it covers, separated by blanks */
	const char *how;  /* what it does and expects, for --explain */
	enum check_kind kind;
	unsigned ways;	   /* enum way, ORed */
	uint32_t device;   /* virtio device ID; 0: any */
	uint64_t features; /* must be offered, otherwise the check is skipped */
	void (*run)(struct run *r);
};

/* A file of checks. */
struct check_list {
	const struct check *checks;
	unsigned n;
};

/* What a check has at hand. */
struct run {
	struct drv_bus *bus;
	struct drv_device drv; /* initialised, nothing negotiated; the device was reset */
	struct drv_mem mem;    /* two regions that touch in guest-physical memory only */
	enum way way;
	uint32_t device_id;
	uint64_t offered;

	/* Makes the device change its configuration by itself; false: it has none. NULL: nothing
	 * here can. */
	bool (*change_config)(struct run *r);
	/* Makes the device ask its driver to announce itself; false: it does not. NULL: nothing
	 * here can. */
	bool (*announce)(struct run *r);
	void *change_arg;
	/* Another device of the same process, where there is one: reset, memory of its own. */
	struct run *neighbour;

	/* How long to look whether something happens that must not. */
	unsigned quiet_ms;
	uint64_t seed;
	struct result *result;
};

/*
 * Notes whether a statement held: `row` is one of the check's rows, `expected` what the statement
 * asks, the rest what was seen. Returns `ok`; the check goes on.
 */
bool expect(struct run *r, const char *row, bool ok, const char *expected, const char *seen, ...)
	__attribute__((format(printf, 5, 6)));

/* The same, but without it nothing more can be said: ends the check. */
void need(struct run *r, const char *row, bool ok, const char *expected, const char *seen, ...)
	__attribute__((format(printf, 5, 6)));

/* Ends the check: it says nothing about this device. A row is never passed by that. */
void skip(struct run *r, const char *reason, ...) __attribute__((format(printf, 2, 3), noreturn));

/* A random number below `n`, from the seed. */
uint32_t run_random(struct run *r, uint32_t n);

/*
 * Initialises the device with those of the `features` that it offers, all queues, up to DRIVER_OK.
 * A device that does not get there ends the check as failed (BASIC-DEV-..., named by `row`).
 */
void run_start(struct run *r, const char *row, uint64_t features);

/* Adds a line to the trace. */
void run_note(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
