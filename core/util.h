/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_UTIL_H
#define VIODM_UTIL_H

/*
 * Small things every layer needs: symbol export, container_of, checked ranges, events, logging.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Everything external carries this; all other symbols are hidden. */
#define VIO_EXPORT __attribute__((visibility("default")))

#define vio_container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* An atomic field of a struct; C++ embedders see the layout only. */
#ifdef __cplusplus
#define VIO_ATOMIC(type) type
#else
#define VIO_ATOMIC(type) _Atomic(type)
#endif

#define VIO_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define VIO_LIKELY(x)	__builtin_expect(!!(x), 1)
#define VIO_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* True when [off, off + len) lies inside [0, limit); no combination of arguments overflows. */
static inline bool vio_range_ok(uint64_t off, uint64_t len, uint64_t limit)
{
	return off <= limit && len <= limit - off;
}

static inline bool vio_is_pow2(uint64_t v)
{
	return v != 0 && (v & (v - 1)) == 0;
}

/* `align` is a power of two. */
static inline uint64_t vio_round_up(uint64_t v, uint64_t align)
{
	return (v + align - 1) & ~(align - 1);
}

/*
 * Adds 1 to an eventfd, or writes 8 bytes into a pipe; a full counter is a signalled one. Waits
 * only for a full one that somebody made blocking. Any thread, also inside signal handlers.
 */
VIO_EXPORT void vio_event_signal(int fd);

/* Takes what an eventfd or a timer counted, of which there may be nothing; O_NONBLOCK is set. */
VIO_EXPORT void vio_event_take(int fd);

/* CLOCK_MONOTONIC, in nanoseconds. Any thread. */
VIO_EXPORT uint64_t vio_now_ns(void);

enum vio_log_level { VIO_LOG_ERROR, VIO_LOG_WARN, VIO_LOG_INFO, VIO_LOG_DEBUG };

/*
 * Where log lines go. The embedder owns the object and keeps it alive as long as anything it was
 * given to. `write` gets one complete line without a newline; it is called from any thread,
 * possibly from several at once, and must not call back into the library. A NULL `struct vio_log *`
 * means: lines up to VIO_LOG_INFO to standard error.
 */
struct vio_log {
	void (*write)(void *arg, enum vio_log_level level, const char *line);
	void *arg;
	enum vio_log_level max_level; /* lines above this level are not formatted at all */
};

/* Write one line; longer than 500 bytes is cut. Any thread. `log` may be NULL, see above. */
VIO_EXPORT void vio_log(const struct vio_log *log, enum vio_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

VIO_EXPORT void vio_vlog(const struct vio_log *log, enum vio_log_level level, const char *fmt,
			 va_list ap) __attribute__((format(printf, 3, 0)));

#ifdef __cplusplus
}
#endif
#endif
