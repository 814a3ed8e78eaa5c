/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NET_HASH_H
#define NET_HASH_H

/*
 * The hash of a received frame (virtio 1.4, "Hash calculation for incoming packets"): what receive
 * side scaling chooses a queue by and what the header reports.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest key that is of use: two IPv6 addresses, two ports, and the window of 32 bits. */
#define NET_HASH_KEY_MAX 40

/* The longest input: two IPv6 addresses and two ports. */
#define NET_HASH_INPUT_MAX 36

/*
 * Bytes of a frame that net_hash() can use; it takes less, and then sees a frame cut short. The
 * addresses, ports and options beyond are not found.
 */
#define NET_HASH_HEAD 256

/* All that is supported, VIRTIO_NET_HASH_TYPE_... (the config space's supported_hash_types). */
#define NET_HASH_TYPES 0x1ffu

/*
 * The enabled types and the key, ready for use: 36 tables of 256 words, 37 KiB. Read-only between
 * calls of net_hash_set(), so any number of threads may share one then.
 */
struct net_hash_config {
	uint32_t types; /* VIRTIO_NET_HASH_TYPE_... */
	uint8_t key_len;
	uint8_t key[NET_HASH_KEY_MAX];
	uint32_t table[NET_HASH_INPUT_MAX][256];
};

struct net_hash_result {
	uint32_t value;
	uint16_t report; /* VIRTIO_NET_HASH_REPORT_...; NONE: no hash, and `value` is 0 */
};

/*
 * Sets types and key (0..NET_HASH_KEY_MAX bytes; a shorter one is as if followed by zeros). 0, or
 * -EINVAL: a type that is not supported, or too long a key; nothing changes then. With `types` 0
 * there is no hash at all. Takes about 60,000 instructions.
 */
int net_hash_set(struct net_hash_config *cfg, uint32_t types, const uint8_t *key, size_t key_len);

/* The hash of `len` bytes, at most NET_HASH_INPUT_MAX. */
uint32_t net_hash_toeplitz(const struct net_hash_config *cfg, const uint8_t *data, size_t len);

/*
 * The hash of the frame that begins with head[0..len): private memory, the frame's first bytes from
 * the Ethernet header on. More than NET_HASH_HEAD bytes are not looked at.
 */
struct net_hash_result net_hash_frame(const struct net_hash_config *cfg, const uint8_t *head,
				      size_t len);

#endif
