/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_report.h"

#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <viodm/util.h>

struct figure {
	const char *key, *label; /* NULL: not for this device */
	int decimals;
};

static const struct figure blk_figures[N_FIGURES] = {
	[FIGURE_KIOPS] = {"kiops", "thousand requests/s", 1},
	[FIGURE_MBPS] = {"mb_per_s", "MB/s", 1},
	[FIGURE_P50] = {"p50_us", "latency p50, us", 2},
	[FIGURE_P99] = {"p99_us", "latency p99, us", 2},
	[FIGURE_P999] = {"p999_us", "latency p99.9, us", 2},
	[FIGURE_KICKS] = {"kicks_per_request", "kicks/request", 4},
	[FIGURE_INTERRUPTS] = {"interrupts_per_request", "interrupts/request", 4},
	[FIGURE_DEVICE_CPU] = {"device_cpu_us", "device CPU us/request", 3},
	[FIGURE_DRIVER_CPU] = {"driver_cpu_us", "driver CPU us/request", 3},
};

static const struct figure net_figures[N_FIGURES] = {
	[FIGURE_KIOPS] = {"kpps", "thousand frames/s", 1},
	[FIGURE_MBPS] = {"mb_per_s", "MB/s", 1},
	[FIGURE_KICKS] = {"kicks_per_frame", "kicks/frame", 4},
	[FIGURE_INTERRUPTS] = {"interrupts_per_frame", "interrupts/frame", 4},
	[FIGURE_LOST] = {"lost_percent", "lost, %", 3},
	[FIGURE_DEVICE_CPU] = {"device_cpu_us", "device CPU us/frame", 4},
	[FIGURE_DRIVER_CPU] = {"driver_cpu_us", "driver CPU us/frame", 4},
};

static bool is_net(const struct bench_opts *o)
{
	return o->device == &bench_net;
}

static const struct figure *figures_of(const struct bench_opts *o)
{
	return is_net(o) ? net_figures : blk_figures;
}

struct bench_figures bench_figures(const struct bench_session *s, const struct bench_result *r)
{
	double all = (double)r->counts.all, rate = (double)r->counts.done / r->seconds;
	double us = 1 / (s->ticks_per_ns * 1000);
	struct bench_figures f;

	f.v[FIGURE_KIOPS] = rate / 1000;
	f.v[FIGURE_MBPS] = s->opts->flags & BENCH_FLUSH ? NAN : rate * (double)s->opts->bs / 1e6;
	f.v[FIGURE_P50] = hist_quantile(&r->hist, 0.5) * us;
	f.v[FIGURE_P99] = hist_quantile(&r->hist, 0.99) * us;
	f.v[FIGURE_P999] = hist_quantile(&r->hist, 0.999) * us;
	f.v[FIGURE_KICKS] = (double)r->counts.kicks / all;
	f.v[FIGURE_INTERRUPTS] = (double)r->counts.interrupts / all;
	f.v[FIGURE_LOST] = (double)r->counts.lost * 100 / (all + (double)r->counts.lost);
	f.v[FIGURE_DEVICE_CPU] = r->device_cpu_known ? (double)r->device_cpu / all / 1000 : NAN;
	f.v[FIGURE_DRIVER_CPU] = (double)r->driver_cpu / all / 1000;
	return f;
}

/* ---- medians and ratios ---------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct spread {
	double median, min, max;
};

static struct spread spread_of(double *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (isnan(v[i]) || isinf(v[i]))
			return (struct spread){NAN, NAN, NAN};
	}
	qsort(v, n, sizeof(*v), compare);
	return (struct spread){(v[(n - 1) / 2] + v[n / 2]) / 2, v[0], v[n - 1]};
}

static struct spread side_spread(const struct bench_side *s, unsigned figure, double *work)
{
	for (unsigned i = 0; i < s->n; i++)
		work[i] = s->slices[i].v[figure];
	return spread_of(work, s->n);
}

/* Slice by slice: neighbours in time met the same machine. */
static struct spread ratio_spread(const struct bench_side *s, unsigned figure, double *work)
{
	unsigned n = s[0].n < s[1].n ? s[0].n : s[1].n;

	for (unsigned i = 0; i < n; i++)
		work[i] = s[0].slices[i].v[figure] / s[1].slices[i].v[figure];
	return n ? spread_of(work, n) : (struct spread){NAN, NAN, NAN};
}

/* ---- for people ------------------------------------------------------------------------------ */

static void print_size(uint64_t bytes)
{
	static const char units[] = " KMGT";
	unsigned u = 0;

	while (u < 4 && bytes >= 1024 && bytes % 1024 == 0) {
		bytes /= 1024;
		u++;
	}
	printf("%llu%.*s", (unsigned long long)bytes, u > 0, &units[u]);
}

static const char *const directions[] = {
	[BENCH_TX] = "tx", [BENCH_RX] = "rx", [BENCH_BOTH] = "both"};

static void print_net_load(const struct bench_opts *o)
{
	static const char *const words[] = {
		[BENCH_TX] = "sends", [BENCH_RX] = "receives", [BENCH_BOTH] = "sends and receives"};

	printf("driver %s", words[o->direction]);
	if (o->direction != BENCH_RX)
		printf(" frames of %u bytes, %u at once", o->frame, o->batch);
	printf(", %u pair%s of queues of %u, driver %s\n", o->queues, o->queues > 1 ? "s" : "",
	       o->queue_size, o->sleep ? "sleeps" : "polls");
}

static void print_load(const struct bench_opts *o)
{
	if (is_net(o)) {
		print_net_load(o);
		return;
	}
	printf("%s", o->rw);
	if (!(o->flags & BENCH_FLUSH)) {
		printf(" of ");
		print_size(o->bs);
	}
	printf(", depth %u, %u queue%s of %u, driver %s\n", o->depth, o->queues,
	       o->queues > 1 ? "s" : "", o->queue_size, o->sleep ? "sleeps" : "polls");
}

static bool has(const struct bench_side *s, unsigned feature)
{
	return s->features & UINT64_C(1) << feature;
}

static void print_side(const struct bench_opts *o, const struct bench_side *s, char letter)
{
	if (letter)
		printf("%c = ", letter);
	printf("%s%s%s%s: %llu %s in %.2f s", s->name,
	       !is_net(o) && has(s, VIRTIO_RING_F_INDIRECT_DESC) ? ", INDIRECT_DESC" : "",
	       has(s, VIRTIO_RING_F_EVENT_IDX) ? ", EVENT_IDX" : "",
	       is_net(o) && has(s, VIRTIO_NET_F_MRG_RXBUF) ? ", MRG_RXBUF" : "",
	       (unsigned long long)s->requests, o->device->request, s->seconds);
	if (is_net(o))
		printf(", %llu lost", (unsigned long long)s->lost);
	if (s->errors)
		printf(", %llu FAILED", (unsigned long long)s->errors);
	putchar('\n');
}

static void print_cell(double v, int width, int decimals)
{
	if (isnan(v) || isinf(v))
		printf(" %*s", width, "-");
	else
		printf(" %*.*f", width, decimals, v);
}

static void print_row(const struct figure *figure, const struct bench_side *sides, unsigned n,
		      unsigned f, double *work)
{
	if (!figure->label)
		return;
	printf("  %-22s", figure->label);
	for (unsigned i = 0; i < n; i++)
		print_cell(side_spread(&sides[i], f, work).median, 12, figure->decimals);
	if (n == 2) {
		struct spread r = ratio_spread(sides, f, work);

		print_cell(r.median, 9, 2);
		if (!isnan(r.median))
			printf("  (%.2f..%.2f)", r.min, r.max);
	}
	putchar('\n');
}

static void print_table(const struct bench_opts *o, const struct bench_side *sides, unsigned n,
			uint64_t verified, double *work)
{
	print_load(o);
	for (unsigned i = 0; i < n; i++)
		print_side(o, &sides[i], (char)(n == 2 ? 'A' + (int)i : 0));
	if (n == 2)
		printf("  %-22s %12s %12s %9s  (min..max of %u slices)\n", "", "A", "B", "A/B",
		       sides[0].n);
	for (unsigned f = 0; f < N_FIGURES; f++)
		print_row(&figures_of(o)[f], sides, n, f, work);
	if (o->reconnect > 0)
		printf("  reconnects             %12u\n", sides[0].n_reconnects);
	if (verified) {
		printf("  verified: every block of ");
		print_size(verified);
		printf(" holds what was written last\n");
	}
	if (is_net(o) && o->verify)
		printf("  verified: every byte of %llu frames is as it was sent\n",
		       (unsigned long long)sides[0].checked);
}

/* ---- for programs ---------------------------------------------------------------------------- */

static void json_string(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			printf("\\u%04x", (unsigned char)*s);
		else
			putchar(*s);
	}
	putchar('"');
}

static void json_number(const char *key, double v)
{
	if (isnan(v) || isinf(v))
		printf("\"%s\": null", key);
	else
		printf("\"%s\": %.6g", key, v);
}

static const char *json_bool(bool b)
{
	return b ? "true" : "false";
}

static void json_side(const struct bench_opts *o, const struct bench_side *s, double *work)
{
	const struct figure *figures = figures_of(o);

	printf("    {\"target\": ");
	json_string(s->name);
	if (is_net(o))
		printf(", \"mergeable\": %s, \"checked\": %llu",
		       json_bool(has(s, VIRTIO_NET_F_MRG_RXBUF)), (unsigned long long)s->checked);
	else
		printf(", \"indirect\": %s", json_bool(has(s, VIRTIO_RING_F_INDIRECT_DESC)));
	printf(", \"event_idx\": %s, ", json_bool(has(s, VIRTIO_RING_F_EVENT_IDX)));
	json_number("seconds", s->seconds);
	printf(", \"%s\": %llu, \"%s\": %llu, \"reconnects\": %u", o->device->request,
	       (unsigned long long)s->requests, is_net(o) ? "lost" : "errors",
	       (unsigned long long)(is_net(o) ? s->lost : s->errors), s->n_reconnects);
	for (unsigned f = 0; f < N_FIGURES; f++) {
		if (!figures[f].key)
			continue;
		printf(",\n     ");
		json_number(figures[f].key, side_spread(s, f, work).median);
	}
	printf("}");
}

static void json_ratios(const struct bench_opts *o, const struct bench_side *sides, double *work)
{
	const struct figure *figures = figures_of(o);

	printf(",\n  \"slices\": %u,\n  \"ratios\": {", sides[0].n);
	for (unsigned f = 0; f < N_FIGURES; f++) {
		struct spread r;

		if (!figures[f].key)
			continue;
		r = ratio_spread(sides, f, work);
		printf("%s\n    \"%s\": {", f ? "," : "", figures[f].key);
		json_number("median", r.median);
		printf(", ");
		json_number("min", r.min);
		printf(", ");
		json_number("max", r.max);
		putchar('}');
	}
	printf("}");
}

static void json_load(const struct bench_opts *o)
{
	if (is_net(o)) {
		printf("{\n  \"direction\": \"%s\", \"frame\": %u, \"batch\": %u",
		       directions[o->direction], o->frame, o->batch);
		return;
	}
	printf("{\n  \"rw\": ");
	json_string(o->rw);
	printf(", \"bs\": %llu, \"depth\": %u", (unsigned long long)o->bs, o->depth);
}

static void print_json(const struct bench_opts *o, const struct bench_side *sides, unsigned n,
		       uint64_t verified, double *work)
{
	json_load(o);
	printf(", \"queues\": %u, \"queue_size\": %u,\n"
	       "  \"driver\": \"%s\", \"interrupted\": %s, \"verified_bytes\": %llu,\n"
	       "  \"results\": [\n",
	       o->queues, o->queue_size, o->sleep ? "sleeps" : "polls",
	       json_bool(bench_interrupted()), (unsigned long long)verified);
	for (unsigned i = 0; i < n; i++) {
		printf("%s", i ? ",\n" : "");
		json_side(o, &sides[i], work);
	}
	printf("\n  ]");
	if (n == 2)
		json_ratios(o, sides, work);
	printf("\n}\n");
}

void bench_report(const struct bench_opts *o, const struct bench_side *sides, unsigned n,
		  uint64_t verified)
{
	double *work = calloc(sides[0].n + 1, sizeof(*work));

	if (!work)
		return;
	if (o->json)
		print_json(o, sides, n, verified, work);
	else
		print_table(o, sides, n, verified, work);
	free(work);
}
