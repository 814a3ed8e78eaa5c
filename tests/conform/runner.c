/* SPDX-License-Identifier: BSD-3-Clause */
#include "runner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile pid_t child;

struct result *result_create(void)
{
	void *p = mmap(NULL, sizeof(struct result), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void result_destroy(struct result *result)
{
	if (result)
		munmap(result, sizeof(*result));
}

void runner_interrupt(void)
{
	if (child > 0)
		kill(child, SIGKILL);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void fail(struct result *result, const char *row, const char *expected, const char *seen)
{
	struct failure *f;

	result->verdict = VERDICT_FAIL;
	if (result->n_failures++ >= RESULT_MAX_FAILURES)
		return;
	f = &result->failure[result->n_failures - 1];
	snprintf(f->row, sizeof(f->row), "%s", row);
	snprintf(f->expected, sizeof(f->expected), "%s", expected);
	snprintf(f->seen, sizeof(f->seen), "%s", seen);
}

/* The first row of a check: to whom a crash or a hang is put down. */
static void first_row(const struct check *c, char *row, size_t len)
{
	snprintf(row, len, "%.*s", (int)strcspn(c->rows, " "), c->rows);
}

/* ---- inside the process of a check -------------------------------------------------------------
 */

static void prepare(struct run *r, const struct runner_config *cfg, struct result *result)
{
	/* Nothing outlives the tool. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memset(r, 0, sizeof(*r));
	r->seed = cfg->seed;
	r->result = result;
}

static void run_inside(const struct runner_config *cfg, const struct check *c,
		       struct result *result)
{
	char error[512], row[24];
	struct run r;

	prepare(&r, cfg, result);
	if (target_open(&r, &cfg->target, error, sizeof(error)) < 0) {
		first_row(c, row, sizeof(row));
		fail(result, row, "a device that can be reached", error);
		_exit(0);
	}
	c->run(&r);
	drv_device_fini(&r.drv);
	if (result->verdict == VERDICT_NONE)
		result->verdict = VERDICT_PASS;
	_exit(0);
}

static void probe_inside(const struct runner_config *cfg, struct result *result,
			 struct target_facts *facts)
{
	struct run r;

	prepare(&r, cfg, result);
	if (target_open(&r, &cfg->target, facts->error, sizeof(facts->error)) < 0)
		_exit(1);
	facts->way = r.way;
	facts->device_id = r.device_id;
	facts->offered = r.offered;
	_exit(0);
}

/* ---- outside -----------------------------------------------------------------------------------
 */

/* Waits for the child. True when it ended by itself in time. */
static bool await(pid_t pid, double timeout, int *status)
{
	struct pollfd p = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
	double end = now() + timeout;
	bool in_time = false;

	if (p.fd < 0) {
		waitpid(pid, status, 0);
		return true;
	}
	while (!in_time && now() < end) {
		int r = poll(&p, 1, (int)((end - now()) * 1000) + 1);

		in_time = r > 0;
		if (r < 0 && errno != EINTR)
			break;
	}
	if (!in_time)
		kill(pid, SIGKILL);
	waitpid(pid, status, 0);
	close(p.fd);
	return in_time;
}

static void judge(const struct check *c, bool in_time, int status, double timeout,
		  struct result *result)
{
	char row[24], seen[256];

	first_row(c, row, sizeof(row));
	if (!in_time) {
		snprintf(seen, sizeof(seen), "nothing for %.3g s", timeout);
		fail(result, row, "an answer in time", seen);
	} else if (WIFSIGNALED(status)) {
		snprintf(seen, sizeof(seen), "it died: %s", strsignal(WTERMSIG(status)));
		fail(result, row, "the process with the device, or the driver, to live", seen);
	} else if (WEXITSTATUS(status) != 0 || result->verdict == VERDICT_NONE) {
		snprintf(seen, sizeof(seen), "exit status %d", WEXITSTATUS(status));
		fail(result, row, "the process with the device, or the driver, to live", seen);
	} else if (result->verdict == VERDICT_PASS && result->n_expects == 0) {
		fail(result, row, "the check to look at something", "it did not: a mistake in it");
	}
}

void runner_run(const struct runner_config *cfg, const struct check *c, struct result *result)
{
	double start = now();
	int status = 0;
	bool in_time;
	pid_t pid;

	memset(result, 0, sizeof(*result));
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		run_inside(cfg, c, result);
	if (pid < 0) {
		fail(result, "", "a process for the check", strerror(errno));
		return;
	}
	child = pid;
	in_time = await(pid, cfg->timeout, &status);
	child = 0;
	result->seconds = now() - start;
	judge(c, in_time, status, cfg->timeout, result);
}

int runner_probe(const struct runner_config *cfg, struct target_facts *facts)
{
	struct result *result = result_create();
	struct target_facts *shared;
	int status = 0;
	pid_t pid;

	if (!result)
		return -ENOMEM;
	shared = (struct target_facts *)(void *)result->trace.line;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		struct result *scratch = result_create();

		if (scratch)
			probe_inside(cfg, scratch, shared);
		_exit(1);
	}
	if (pid > 0 && !await(pid, cfg->timeout, &status))
		snprintf(shared->error, sizeof(shared->error), "%s: no answer", cfg->target.spec);
	*facts = *shared;
	result_destroy(result);
	if (pid < 0 || facts->error[0] || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return -EIO;
	return 0;
}
