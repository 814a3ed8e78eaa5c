/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One thread per worker drives its queues; the thread that runs the phase watches them, the device
 * and the user.
 */
#include "bench_phase.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <viodm/util.h>

#define TURN_MS	    100
#define STUCK_TURNS (10 * 1000 / TURN_MS)
#define SPINS	    64 /* between two looks at the clock */

static volatile sig_atomic_t interrupted;

struct worker;

struct phase {
	struct bench_session *s;
	const struct bench_load *load;
	uint64_t begin, end;  /* ticks; end 0: no time limit */
	int done_fd;	      /* counts workers that are done */
	_Atomic bool stop;    /* send no more */
	_Atomic bool abandon; /* do not even wait for what is in flight */
	unsigned n_workers;
	struct worker *workers;
};

struct worker {
	_Alignas(128) struct phase *phase;
	pthread_t thread;
	bool started;
	unsigned index; /* has queues index, index + n_workers, ... */
	bool ended;
	uint64_t last; /* ticks when the measurement ended */
	uint64_t cpu;  /* ns */
	_Alignas(128) _Atomic uint64_t progress;
};

/* ---- a worker -------------------------------------------------------------------------------- */

/* Runs `statement` for each queue of a worker. */
#define EACH_QUEUE(w, q)                                                                           \
	for (unsigned i_ = (w)->index;                                                             \
	     i_ < (w)->phase->s->opts->queues && ((q) = (w)->phase->s->queues[i_], true);          \
	     i_ += (w)->phase->n_workers)

static void pin(const struct bench_opts *o, unsigned index)
{
	cpu_set_t set;

	if (o->n_cpus == 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)o->cpu[index % o->n_cpus], &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static uint64_t share(const struct worker *w, const struct bench_queue *q)
{
	const struct bench_load *load = w->phase->load;
	unsigned n = w->phase->s->opts->queues;

	if (load->count == UINT64_MAX)
		return q->share;
	if (load->count == 0)
		return UINT64_MAX;
	return load->count / n + (q->index < load->count % n);
}

/* True when the time is over or somebody says so. Sends nothing more then. */
static bool worker_over(struct worker *w, uint64_t now)
{
	struct phase *p = w->phase;
	struct bench_queue *q;

	if (w->ended ||
	    !(atomic_load_explicit(&p->stop, memory_order_relaxed) || (p->end && now >= p->end)))
		return w->ended;
	w->ended = true;
	w->last = now;
	EACH_QUEUE(w, q)
	q->ops->end(q);
	return true;
}

/* Anything in flight or still to be sent? */
static bool worker_busy(struct worker *w)
{
	struct bench_queue *q;

	EACH_QUEUE(w, q)
	{
		if (q->fault[0])
			return false;
		if (q->ops->busy(q))
			return true;
	}
	return false;
}

static unsigned worker_turn(struct worker *w)
{
	struct bench_queue *q;
	unsigned n = 0;

	EACH_QUEUE(w, q)
	n += q->ops->turn(q);
	return n;
}

/* Until an interrupt and nothing else, as a driver does: one that is lost hangs it. */
static void await_interrupt(struct worker *w, struct pollfd *fds, nfds_t n)
{
	while (poll(fds, n, TURN_MS) == 0 && worker_busy(w) &&
	       !atomic_load_explicit(&w->phase->abandon, memory_order_relaxed))
		worker_over(w, bench_ticks());
}

static void worker_sleep(struct worker *w)
{
	struct pollfd fds[BENCH_MAX_RINGS];
	struct bench_queue *q;
	bool ready = false;
	unsigned n = 0;

	EACH_QUEUE(w, q)
	ready = q->ops->sleep(q, fds, &n) || ready;
	if (!ready)
		await_interrupt(w, fds, n);
	EACH_QUEUE(w, q)
	q->ops->wake(q);
	/* Also when nobody slept: an interrupt that was taken and not acknowledged is the last. */
	if (w->phase->s->link->ops->acknowledge)
		w->phase->s->link->ops->acknowledge(w->phase->s->link);
}

static inline void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

static void worker_loop(struct worker *w)
{
	bool sleeps = w->phase->s->opts->sleep;
	uint64_t progress = 0;
	unsigned spins = 0;

	while (worker_busy(w) && !atomic_load_explicit(&w->phase->abandon, memory_order_relaxed)) {
		unsigned n = worker_turn(w);

		if (n) {
			progress += n;
			atomic_store_explicit(&w->progress, progress, memory_order_relaxed);
		} else if (sleeps) {
			worker_sleep(w);
		} else {
			relax();
		}
		if (sleeps || ++spins % SPINS == 0)
			worker_over(w, bench_ticks());
	}
	if (!w->ended)
		w->last = bench_ticks();
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct bench_queue *q;
	struct timespec t;

	pin(w->phase->s->opts, w->index);
	EACH_QUEUE(w, q)
	{
		memset(&q->counts, 0, sizeof(q->counts));
		memset(&q->hist, 0, sizeof(q->hist));
		q->ops->begin(q, w->phase->load, share(w, q));
	}
	worker_loop(w);
	EACH_QUEUE(w, q)
	{
		q->ops->count(q);
		if (q->fault[0])
			w->phase->stop = true;
	}
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	w->cpu = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	eventfd_write(w->phase->done_fd, 1);
	return NULL;
}

/* ---- watching -------------------------------------------------------------------------------- */

static void on_interrupt(int sig)
{
	(void)sig;
	interrupted = 1;
}

void bench_catch_interrupt(void)
{
	struct sigaction sa = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

bool bench_interrupted(void)
{
	return interrupted;
}

static uint64_t total_progress(const struct phase *p)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < p->n_workers; i++)
		n += atomic_load_explicit(&p->workers[i].progress, memory_order_relaxed);
	return n;
}

static bool shows_progress(const struct bench_opts *o)
{
	return !o->quiet && isatty(STDERR_FILENO);
}

void bench_progress_clear(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

static void show_progress(const struct phase *p, uint64_t now, uint64_t before)
{
	const struct bench_opts *o = p->s->opts;
	double seconds = (double)(bench_ticks() - p->begin) / p->s->ticks_per_ns / 1e9;
	double rate = (double)(now - before) * 1000 / TURN_MS;

	if (!shows_progress(o))
		return;
	fprintf(stderr, "\r%s  %.1f s  %.1f thousand %s/s  %.0f MB/s \033[K", p->load->name,
		seconds, rate / 1000, o->device->request, rate * (double)o->bs / 1e6);
}

/* The device went away or gave up: 0 when it is back, or -1. */
static int look_at_device(const struct phase *p, struct pollfd *fds)
{
	struct bench_link *link = p->s->link;

	if (fds[2].revents)
		return bench_error(link->name, "the server reports an error of a ring");
	if (!fds[1].revents)
		return 0;
	if (p->s->opts->reconnect == 0)
		return bench_error(link->name, "the server closed the connection");
	if (link->ops->reconnect(link) < 0)
		return -1;
	fds[1].fd = link->hangup_fd;
	return 0;
}

static int watch(struct phase *p)
{
	const struct bench_link *link = p->s->link;
	struct pollfd fds[3] = {{.fd = p->done_fd, .events = POLLIN},
				{.fd = link->hangup_fd, .events = POLLIN},
				{.fd = link->error_fd, .events = POLLIN}};
	uint64_t before = 0, now, n_done = 0, n;
	unsigned stuck = 0;

	while (n_done < p->n_workers) {
		if (poll(fds, VIO_ARRAY_LEN(fds), TURN_MS) > 0 && look_at_device(p, fds) < 0)
			return -1;
		if (read(p->done_fd, &n, sizeof(n)) == sizeof(n))
			n_done += n;
		if (interrupted)
			p->stop = true;
		now = total_progress(p);
		stuck = now == before ? stuck + 1 : 0;
		if (n_done < p->n_workers && stuck >= STUCK_TURNS)
			return bench_error(link->name, "no request came back for %u s",
					   STUCK_TURNS * TURN_MS / 1000);
		show_progress(p, now, before);
		before = now;
	}
	return 0;
}

/* ---- a phase --------------------------------------------------------------------------------- */

static int workers_start(struct phase *p)
{
	for (unsigned i = 0; i < p->n_workers; i++) {
		struct worker *w = &p->workers[i];

		*w = (struct worker){.phase = p, .index = i};
		if (pthread_create(&w->thread, NULL, worker_main, w))
			return bench_error(p->s->link->name, "cannot start a thread");
		w->started = true;
	}
	return 0;
}

static void add_counts(struct bench_counts *to, const struct bench_counts *from)
{
	to->all += from->all;
	to->done += from->done;
	to->errors += from->errors;
	to->lost += from->lost;
	to->checked += from->checked;
	to->kicks += from->kicks;
	to->interrupts += from->interrupts;
}

static void workers_join(struct phase *p, struct bench_result *out)
{
	uint64_t last = p->begin;

	for (unsigned i = 0; i < p->n_workers; i++) {
		struct worker *w = &p->workers[i];

		if (!w->started)
			continue;
		pthread_join(w->thread, NULL);
		out->driver_cpu += w->cpu;
		if (w->last > last)
			last = w->last;
	}
	out->seconds = (double)(last - p->begin) / p->s->ticks_per_ns / 1e9;
}

static int collect(struct phase *p, struct bench_result *out)
{
	int r = 0;

	for (unsigned i = 0; i < p->s->opts->queues; i++) {
		const struct bench_queue *q = p->s->queues[i];

		add_counts(&out->counts, &q->counts);
		hist_merge(&out->hist, &q->hist);
		if (q->fault[0]) {
			bench_progress_clear();
			r = bench_error(p->s->link->name, "%s", q->fault);
		}
	}
	return r;
}

static int phase_run(struct phase *p, struct bench_result *out)
{
	struct bench_link *link = p->s->link;
	uint64_t before, after;
	bool known = link->ops->cpu(link, 0, &before) == 0;
	unsigned n_reconnects = link->n_reconnects;
	int r, collected;

	p->begin = bench_ticks();
	if (p->load->seconds > 0)
		p->end = p->begin + (uint64_t)(p->load->seconds * 1e9 * p->s->ticks_per_ns);
	r = workers_start(p);
	if (r == 0)
		r = watch(p);
	if (r < 0)
		p->abandon = true;
	workers_join(p, out);
	known = known && link->n_reconnects == n_reconnects; /* otherwise it is another process */
	if (known && link->ops->cpu(link, out->driver_cpu, &after) == 0) {
		out->device_cpu = after - before;
		out->device_cpu_known = true;
	}
	collected = collect(p, out);
	return r < 0 ? r : collected;
}

int bench_phase_run(struct bench_session *s, const struct bench_load *load,
		    struct bench_result *out)
{
	struct phase p = {.s = s, .load = load, .n_workers = s->opts->threads};
	int r = -1;

	memset(out, 0, sizeof(*out));
	p.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p.workers = aligned_alloc(128, p.n_workers * sizeof(*p.workers));
	if (p.done_fd >= 0 && p.workers)
		r = phase_run(&p, out);
	free(p.workers);
	if (p.done_fd >= 0)
		close(p.done_fd);
	return r;
}
