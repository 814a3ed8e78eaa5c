/* SPDX-License-Identifier: BSD-3-Clause */
#include <viodm/util.h>

#include <stdio.h>
#include <time.h>
#include <unistd.h>

void vio_event_signal(int fd)
{
	const uint64_t one = 1;
	ssize_t n = write(fd, &one, sizeof(one));

	(void)n; /* cut short by a signal: only while it is full, and so signalled */
}

void vio_event_take(int fd)
{
	uint64_t count;
	ssize_t n = read(fd, &count, sizeof(count));

	(void)n;
}

uint64_t vio_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static const char *const level_name[] = {"error", "warning", "info", "debug"};

static void log_stderr(enum vio_log_level level, const char *line)
{
	fprintf(stderr, "viodm: %s: %s\n", level_name[level], line);
}

void vio_vlog(const struct vio_log *log, enum vio_log_level level, const char *fmt, va_list ap)
{
	char line[512];

	if (level > (log ? log->max_level : VIO_LOG_INFO))
		return;
	vsnprintf(line, sizeof(line), fmt, ap);
	if (log)
		log->write(log->arg, level, line);
	else
		log_stderr(level, line);
}

void vio_log(const struct vio_log *log, enum vio_log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vio_vlog(log, level, fmt, ap);
	va_end(ap);
}
