/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DRIVER_TEST_PORT_H
#define DRIVER_TEST_PORT_H

/*
 * A network port for tests: keeps what it is given, with the headers, and brings what it is told
 * to, with any header. It can be full, and can bring frames by way of room() or of deliver().
 *
 * All functions are for the loop thread of the queue they are about, but link.
 */

#include <viodm/port.h>

#define TEST_PORT_MAX_PAIRS 8
#define TEST_PORT_MAX_SENT  256

struct test_port_frame {
	struct vio_frame_hdr hdr;
	uint32_t len;
	uint32_t n_iov; /* pieces it was sent in */
	uint8_t bytes[VIO_FRAME_MAX];
};

struct test_port_queue {
	struct vio_port_queue base;
	struct vio_loop *loop;
	bool attached, receiving, selected;
	unsigned sends;	   /* calls of send */
	unsigned receives; /* calls of receive(on) */

	/* sent by the driver, in order */
	struct test_port_frame *sent[TEST_PORT_MAX_SENT];
	unsigned n_sent;
	uint64_t n_discarded;

	/* to be brought to the driver, in order: a list that the port frees */
	struct test_port_waiting *first, **last;
	unsigned n_waiting;
};

struct test_port {
	struct vio_port base;
	struct vio_port_info info;
	uint64_t offloads; /* as set last */
	int set_error;	   /* what set_offloads returns */
	int attach_error;
	bool direct;	/* bring frames by room() and received(), not by deliver() */
	bool discard;	/* do not keep what is sent */
	unsigned takes; /* frames that send takes in all before it is full; UINT_MAX: any */
	unsigned attached;
	struct test_port_queue queue[TEST_PORT_MAX_PAIRS];
};

/* A port with `info`; NULL: one pair, every offload, no MTU, link up. */
int test_port_open(const struct vio_port_info *info, struct test_port **out);

/* Frees it with all frames; no device uses it. */
void test_port_close(struct test_port *tp);

/* Brings one frame: at once if the device takes it, otherwise when it does. */
void test_port_bring(struct test_port *tp, uint16_t pair, const struct vio_frame_hdr *hdr,
		     const void *frame, uint32_t len);

/* The same in pieces of `piece` bytes; by deliver() only. */
void test_port_bring_cut(struct test_port *tp, uint16_t pair, const struct vio_frame_hdr *hdr,
			 const void *frame, uint32_t len, uint32_t piece);

/* Queues one more without offering it yet; test_port_push() offers all that wait. */
void test_port_queue_up(struct test_port *tp, uint16_t pair, const struct vio_frame_hdr *hdr,
			const void *frame, uint32_t len);
void test_port_push(struct test_port *tp, uint16_t pair);

/* Takes `n` more frames from now on and tells the device, if it waits. */
void test_port_take(struct test_port *tp, uint16_t pair, unsigned n);

/* Frees what was sent on a pair. */
void test_port_forget(struct test_port *tp, uint16_t pair);

#endif
