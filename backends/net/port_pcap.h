/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_PORT_PCAP_H
#define VIODM_PORT_PCAP_H

/*
 * A network port (port.h) that records what passes through another one. It is in a library of its
 * own, libviodm-pcap (pkg-config viodm-pcap), so that nobody has to link libpcap for the others.
 */

#include <viodm/port.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vio_port_pcap_config {
	const char *path; /* of the file, which is replaced */
	uint32_t snaplen; /* bytes of each frame that are written; 0: all */
};

/*
 * Wraps `port`: a port that does the same, and writes each frame that the device sends or takes
 * from it to a file in the format of tcpdump and wireshark, once per frame, with time stamps in
 * nanoseconds. Frames are as they pass here: checksums may be incomplete, and segments uncut. One
 * that the device takes is written before the device sees it, one that it sends after the port took
 * it. The file is complete after each batch; when it cannot be written (a full disk) recording ends
 * and frames pass on. Pairs wait for each other while they write, so this is for finding faults.
 *
 * Returns 0 and a port to be closed with vio_port_close(), which then owns `port` and closes it,
 * too; or -errno of opening the file, -EINVAL, -ENOMEM. Any thread.
 */
VIO_EXPORT int vio_port_pcap_open(struct vio_port *port, const struct vio_port_pcap_config *cfg,
				  struct vio_port **out);

#ifdef __cplusplus
}
#endif
#endif
