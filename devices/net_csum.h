/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NET_CSUM_H
#define NET_CSUM_H

/*
 * Headers that drivers and ports put before frames, and the checksums those leave to be completed
 * (virtio 1.4, "Packet Transmission", "Processing of Incoming Packets").
 */

#include <linux/virtio_net.h>

#include <viodm/port.h>

/*
 * What a driver says about a frame of `len` bytes that it transmits, against the features it
 * accepted (VIRTIO_NET_F_...). `hdr` is a private copy, and becomes what a port may be given: bits
 * and fields that mean nothing here are cleared, num_buffers is 0, hdr_len lies inside the frame
 * and is a hint. 0, or -EINVAL: the frame cannot be sent.
 */
int net_tx_check(struct vio_frame_hdr *hdr, uint32_t len, uint64_t features);

/*
 * The same for a frame that a port brings, against the GUEST_... offloads that are on at the
 * moment. What the driver must not see is an error (a port keeps to vio_port_set_offloads()),
 * except a checksum to complete when GUEST_CSUM is off: 1, then the caller completes it with
 * net_csum_complete() and clears the header.
 */
int net_rx_check(struct vio_frame_hdr *hdr, uint32_t len, uint64_t offloads);

/*
 * Completes the header of a frame of segments for the driver from the packet itself: hdr_len is not
 * less than all headers (NET-DEV-069), and with GUEST_ECN a packet with CWR says so (NET-DEV-052).
 * `hdr` passed net_rx_check() with `len`, the frame's length, and `offloads`.
 */
void net_rx_complete_gso(struct vio_frame_hdr *hdr, const struct iovec *iov, uint32_t n,
			 uint32_t len, uint64_t offloads);

/*
 * The sum of iov[0..n) from byte `start` on, `len` bytes in all, as a 16-bit ones' complement
 * number in network order as it lies in memory: fold(sum) & 0xffff, not inverted. `iov` holds at
 * least start + len bytes.
 */
uint16_t net_csum_sum(const struct iovec *iov, uint32_t n, size_t start, size_t len);

/*
 * The two bytes that complete the checksum of a frame with NEEDS_CSUM, as they are to lie in memory
 * at csum_start + csum_offset. The frame is not modified. `hdr` passed net_tx_check() or
 * net_rx_check() with the frame's length. A sum of 0 becomes 0xffff (UDP's 0 means "none"; for TCP
 * the two are the same number).
 */
uint16_t net_csum_value(const struct vio_frame_hdr *hdr, const struct iovec *iov, uint32_t n);

/* Completes a frame in writable memory, in place, and clears NEEDS_CSUM, csum_start, csum_offset.
 */
void net_csum_complete(struct vio_frame_hdr *hdr, const struct iovec *iov, uint32_t n);

/*
 * Completes a frame that must not be written to, such as one in a driver's buffers: `out` becomes
 * the same bytes, with the two of the checksum replaced by `patch`, which must live as long as
 * `out`. `out` has room for n + 2 entries. Returns how many it got. hdr as above.
 */
uint32_t net_csum_patch(struct vio_frame_hdr *hdr, const struct iovec *iov, uint32_t n,
			struct iovec *out, uint8_t patch[2]);

#endif
