/* SPDX-License-Identifier: BSD-3-Clause */
/* Only in builds with the option `defects`. */
#include <viodm/defect.h>

#include <stdlib.h>
#include <string.h>

bool vio_defect(const char *name)
{
	const char *chosen = getenv("VIODM_DEFECT");

	return chosen && strcmp(chosen, name) == 0;
}
