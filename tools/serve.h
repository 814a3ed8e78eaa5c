/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_SERVE_H
#define VIODM_SERVE_H

#include <viodm/config.h>

/*
 * viodm serve: puts every device of a checked config behind its socket and runs until SIGTERM or
 * SIGINT. SIGHUP looks at the sizes of the images again. Returns 0, or -errno of what failed, with
 * a line on standard error.
 */
int serve_run(struct vio_config *cfg);

#endif
