/* SPDX-License-Identifier: BSD-3-Clause */
/* Only in builds with the option `defects`. */
#include <viodm/defect.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Asked several times per request: the environment is looked at once. */
static const char *chosen(void)
{
	static const char *_Atomic found;
	const char *name = atomic_load_explicit(&found, memory_order_relaxed);

	if (!name) {
		name = getenv("VIODM_DEFECT");
		if (!name)
			name = "";
		atomic_store_explicit(&found, name, memory_order_relaxed);
	}
	return name;
}

bool vio_defect(const char *name)
{
	return strcmp(chosen(), name) == 0;
}
