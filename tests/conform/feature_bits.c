/* SPDX-License-Identifier: BSD-3-Clause */
#include "feature_bits.h"

#include <linux/virtio_ids.h>
#include <string.h>

static const char *scope_of(uint32_t device_id)
{
	switch (device_id) {
	case VIRTIO_ID_NET:
		return "net";
	case VIRTIO_ID_BLOCK:
		return "blk";
	case VIRTIO_ID_SCSI:
		return "scsi";
	default:
		return "none";
	}
}

const struct feature *feature_find(uint32_t device_id, unsigned bit)
{
	const char *scope = scope_of(device_id);

	for (unsigned i = 0; i < n_features; i++) {
		const struct feature *f = &feature_table[i];

		if (f->bit == bit && (!strcmp(f->scope, scope) || !strcmp(f->scope, "common")))
			return f;
	}
	return NULL;
}

static bool needs_met(const struct feature *f, uint64_t set)
{
	for (unsigned i = 0; f->needs[i]; i++)
		if (!(f->needs[i] & set))
			return false;
	return true;
}

uint64_t features_closed(uint32_t device_id, uint64_t set)
{
	uint64_t before;

	do {
		before = set;
		for (unsigned bit = 0; bit < 64; bit++) {
			const struct feature *f = feature_find(device_id, bit);

			if (f && !needs_met(f, set))
				set &= ~(UINT64_C(1) << bit);
		}
	} while (set != before);
	return set;
}
