/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * [rng NAME]
 */
#include <viodm/rng.h>

#include "leaves.h"

static int rng_create(const struct part *parts, const struct vio_device_env *env,
		      const struct under *under, struct vio_device **out)
{
	(void)parts;
	(void)under;
	return vio_rng_create(env, out);
}

const struct leaf leaf_rng = {
	.name = "rng",
	.help = "entropy device: random bytes of the host's kernel",
	.needs = LEAF_BIT(LEAF_TRANSPORT) | LEAF_BIT(LEAF_BACKEND),
	.model = {.create = rng_create},
};
