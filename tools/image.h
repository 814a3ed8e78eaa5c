/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_IMAGE_H
#define TOOLS_IMAGE_H

#include <viodm/engines.h>

/*
 * Would a raw image open with this access? Opens it, looks at its size, closes it. 0 and *size in
 * bytes, or -errno with one line in `err` (VIO_OPT_ERROR_LEN bytes).
 */
int image_check(const char *path, const struct vio_storage_file_config *access, uint64_t *size,
		char *err);

#endif
