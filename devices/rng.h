/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_RNG_H
#define VIODM_RNG_H

/*
 * virtio-rng ("Entropy Device"): random bytes from the host's getrandom(2). The shortest complete
 * device; rng.c is the template for a new one.
 */

#include <viodm/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Makes an entropy device. 0, -ENOMEM or -errno. Destroy with vio_device_destroy(). */
VIO_EXPORT int vio_rng_create(const struct vio_device_env *env, struct vio_device **out);

#ifdef __cplusplus
}
#endif
#endif
