/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_BENCH_H
#define TOOLS_BENCH_H

/*
 * `viodm bench`, a load generator: the driver's side of a disk or a network card, for the table of
 * commands in viodm.c.
 *
 *   bench_opts    the command line
 *   bench_link    how the driver reaches the device: vhost-user socket, or registers in-process
 *   bench_ring    one virtqueue of the driver
 *   bench_queue   what carries load, and what devices differ in; of this:
 *     bench_blk     the queue of a disk and the requests in it; bench_verify: what is written
 *     bench_net     the two queues of a pair; bench_frame: what is in the frames
 *   bench_session an open link with its queues
 *   bench_phase   runs all queues for a while and adds up
 *   bench_report  for people and for programs
 */

#define BENCH_ARGUMENTS " [OPTION]... SOCKET"
#define BENCH_HELP	"put load on a disk or a network card and measure it"

extern const char bench_details[];

/* Returns what to exit with: 0, 1 (failed, or data was wrong), 2 (wrong command line). */
int bench_run(int argc, char **argv);

#endif
