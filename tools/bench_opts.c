/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench_opts.h"

#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <viodm/opts.h>

#include "bench.h"
#include "bench_queue.h"

#define EXIT_USAGE 2

#define FIELD(f) .offset = offsetof(struct bench_opts, f)

enum device_choice { DEVICE_AUTO, DEVICE_BLK, DEVICE_NET };

static const char *const device_words[] = {
	[DEVICE_AUTO] = "auto", [DEVICE_BLK] = "blk", [DEVICE_NET] = "net", NULL};

static const char *const direction_words[] = {
	[BENCH_TX] = "tx", [BENCH_RX] = "rx", [BENCH_BOTH] = "both", NULL};

/* Each is a long option; its help is in bench_details. */
static const struct vio_opt bench_options[] = {
	{.name = "rw", .type = VIO_OPT_STRING, FIELD(rw), .def = "randread"},
	{.name = "bs",
	 .type = VIO_OPT_SIZE,
	 FIELD(bs),
	 .def = "4K",
	 .min = 512,
	 .max = 32 << 20,
	 .multiple = 512},
	{.name = "depth", .type = VIO_OPT_UINT, FIELD(depth), .def = "32", .min = 1, .max = 32768},
	{.name = "queues",
	 .type = VIO_OPT_UINT,
	 FIELD(queues),
	 .def = "1",
	 .min = 1,
	 .max = BENCH_MAX_QUEUES},
	{.name = "threads", .type = VIO_OPT_UINT, FIELD(threads), .max = BENCH_MAX_QUEUES},
	{.name = "queue-size",
	 .type = VIO_OPT_UINT,
	 FIELD(queue_size),
	 .def = "256",
	 .min = 2,
	 .max = 32768,
	 .pow2 = true},
	{.name = "time", .type = VIO_OPT_STRING, FIELD(time_text)},
	{.name = "count", .type = VIO_OPT_SIZE, FIELD(count)},
	{.name = "span", .type = VIO_OPT_SIZE, FIELD(span)},
	{.name = "seed", .type = VIO_OPT_UINT, FIELD(seed), .def = "1"},
	{.name = "poll", .type = VIO_OPT_BOOL, FIELD(poll)},
	{.name = "sleep", .type = VIO_OPT_BOOL, FIELD(sleep)},
	{.name = "verify", .type = VIO_OPT_BOOL, FIELD(verify)},
	{.name = "reconnect", .type = VIO_OPT_STRING, FIELD(reconnect_text)},
	{.name = "no-indirect", .type = VIO_OPT_BOOL, FIELD(no_indirect)},
	{.name = "device", .type = VIO_OPT_CHOICE, FIELD(device_choice), .choices = device_words},
	{.name = "direction",
	 .type = VIO_OPT_CHOICE,
	 FIELD(direction),
	 .def = "tx",
	 .choices = direction_words},
	{.name = "frame", .type = VIO_OPT_UINT, FIELD(frame), .def = "64", .min = 60, .max = 65549},
	{.name = "batch", .type = VIO_OPT_UINT, FIELD(batch), .def = "32", .min = 1, .max = 32768},
	{.name = "no-mergeable", .type = VIO_OPT_BOOL, FIELD(no_mergeable)},
	{.name = "no-event-idx", .type = VIO_OPT_BOOL, FIELD(no_event_idx)},
	{.name = "cpu", .type = VIO_OPT_STRING, FIELD(cpu_text)},
	{.name = "vs", .type = VIO_OPT_PATH, FIELD(vs)},
	{.name = "slice", .type = VIO_OPT_STRING, FIELD(slice_text), .def = "0.25"},
	{.name = "json", .type = VIO_OPT_BOOL, FIELD(json)},
	{.name = "quiet", .type = VIO_OPT_BOOL, FIELD(quiet)},
	{.name = "config", .type = VIO_OPT_PATH, FIELD(config)},
};

#define N_OPTIONS VIO_ARRAY_LEN(bench_options)
#define OPT_SET	  1000 /* getopt_long's number for -o; the others are N_OPTIONS' */

/* Options of one device only. */
static const struct {
	const char *option;
	enum device_choice device;
} special_options[] = {
	{"rw", DEVICE_BLK},    {"bs", DEVICE_BLK},	    {"depth", DEVICE_BLK},
	{"span", DEVICE_BLK},  {"no-indirect", DEVICE_BLK}, {"direction", DEVICE_NET},
	{"frame", DEVICE_NET}, {"batch", DEVICE_NET},	    {"no-mergeable", DEVICE_NET},
};

const char bench_details[] =
	"Is the driver of a virtio disk or network card, puts load on it and measures. SOCKET is "
	"the\n"
	"vhost-user socket of any server. With -c it is a device of a configuration file instead,\n"
	"made in this process and driven through its registers.\n"
	"\n"
	"  --device KIND       blk or net; default: with -c what the device is, otherwise blk\n"
	"  --queues N          of a network card: pairs; default 1\n"
	"  --threads N         default: one per queue\n"
	"  --queue-size N      default 256\n"
	"  --time SECONDS      default 5, without --count\n"
	"  --count N           stop after N requests or frames\n"
	"  --poll              the driver watches the used ring; the default\n"
	"  --sleep             the driver sleeps until it is interrupted\n"
	"  --cpu LIST          run on these CPUs, such as 0 or 0,2\n"
	"\n"
	"A disk:\n"
	"  --rw KIND           read, write, randread, randwrite, mixed:PERCENT (of random reads) "
	"or\n"
	"                      flush; default randread\n"
	"  --bs SIZE           bytes per request; default 4K\n"
	"  --depth N           requests in flight per queue; default 32\n"
	"  --span SIZE         use the first SIZE bytes of the disk; default all, with --verify "
	"64M\n"
	"  --seed N            of the random numbers\n"
	"  --no-indirect       do not use INDIRECT_DESC even if it is offered\n"
	"  --verify            write the span, put load on it, and read it again:\n"
	"                      everything read must be what was written last. Destroys what the "
	"span\n"
	"                      holds.\n"
	"\n"
	"A network card:\n"
	"  --direction D       tx: send; rx: receive what comes; both: send, and receive the same\n"
	"                      frames, which the other side of the card sends back; default tx\n"
	"  --frame N           bytes of a frame that is sent, without its checksum; default 64\n"
	"  --batch N           frames to make available at once; default 32\n"
	"  --no-mergeable      do not use MRG_RXBUF even if it is offered\n"
	"  --verify            look at every byte of the frames that come back; their number and\n"
	"                      order are checked in any case. For frames of `port = null`, too.\n"
	"\n"
	"  --reconnect SECONDS wait that long for the server, at the beginning and each time it "
	"goes\n"
	"                      away, and give the next one the requests in flight "
	"(INFLIGHT_SHMFD)\n"
	"  --vs SOCKET         compare with another server, in turns\n"
	"  --slice SECONDS     of one turn; default 0.25\n"
	"  --no-event-idx      do not use EVENT_IDX even if it is offered\n"
	"  --json              for programs\n"
	"  --quiet             no progress line\n"
	"  -c, --config FILE   drive device SOCKET of FILE, in-process\n"
	"  -o, --option SECTION.KEY=VALUE  set a value over what FILE says\n"
	"\n"
	"Ctrl-C ends the run early and prints what was measured so far. Exit status: 0 when every\n"
	"request was fine, 1 when not, 2 for a wrong command line.\n";

static int usage(const char *text)
{
	fprintf(stderr, "viodm bench: %s\nTry \"viodm help bench\".\n", text);
	return EXIT_USAGE;
}

static void long_options(struct option *out)
{
	for (size_t i = 0; i < N_OPTIONS; i++) {
		bool flag = bench_options[i].type == VIO_OPT_BOOL;

		out[i] = (struct option){.name = bench_options[i].name,
					 .has_arg = flag ? no_argument : required_argument,
					 .val = (int)i};
	}
	out[N_OPTIONS] =
		(struct option){.name = "option", .has_arg = required_argument, .val = OPT_SET};
	out[N_OPTIONS + 1] = (struct option){0};
}

static int unknown_option(char **argv)
{
	const char *names[N_OPTIONS + 1], *word = argv[optind - 1];
	char text[VIO_OPT_ERROR_LEN], typed[64];

	for (size_t i = 0; i < N_OPTIONS; i++)
		names[i] = bench_options[i].name;
	names[N_OPTIONS] = "option";
	if (optopt > 0 && strncmp(word, "--", 2) != 0)
		snprintf(typed, sizeof(typed), "%c", optopt);
	else
		snprintf(typed, sizeof(typed), "%.*s", (int)strcspn(word + 2, "="), word + 2);
	vio_opt_unknown(text, "option", typed, names, N_OPTIONS + 1);
	return usage(text);
}

static int set_option(struct bench_opts *o, const struct vio_opt *opt, const char *arg)
{
	char err[VIO_OPT_ERROR_LEN], text[VIO_OPT_ERROR_LEN + 64];

	if (vio_opt_set(opt, o, arg ? arg : "on", err) == 0)
		return -1;
	snprintf(text, sizeof(text), "--%s: %s", opt->name, err);
	return usage(text);
}

static int parse_words(struct bench_opts *o, int argc, char **argv)
{
	struct option options[N_OPTIONS + 2];
	int c, r = -1;

	long_options(options);
	while (r < 0 && (c = getopt_long(argc, argv, ":c:o:", options, NULL)) != -1) {
		if (c == '?') {
			r = unknown_option(argv);
		} else if (c == ':') {
			r = usage("an option needs a value");
		} else if (c == 'o' || c == OPT_SET) {
			if (o->n_set == BENCH_MAX_SETS)
				return usage("too many -o options");
			o->set[o->n_set++] = optarg;
		} else {
			c = c == 'c' ? (int)N_OPTIONS - 1 : c; /* config is the last one */
			o->given |= UINT64_C(1) << c;
			r = set_option(o, &bench_options[c], optarg);
		}
	}
	return r;
}

/* ---- what it means --------------------------------------------------------------------------- */

static int parse_rw(struct bench_opts *o, const char *rw)
{
	static const struct {
		const char *name;
		unsigned flags, read_percent;
	} kinds[] = {{"read", 0, 100},
		     {"write", 0, 0},
		     {"randread", BENCH_RANDOM, 100},
		     {"randwrite", BENCH_RANDOM, 0},
		     {"flush", BENCH_FLUSH, 0}};
	char *end;
	unsigned long percent;

	for (size_t i = 0; i < VIO_ARRAY_LEN(kinds); i++) {
		if (strcmp(rw, kinds[i].name) == 0) {
			o->flags = kinds[i].flags;
			o->read_percent = kinds[i].read_percent;
			return -1;
		}
	}
	if (strncmp(rw, "mixed:", 6) == 0) {
		percent = strtoul(rw + 6, &end, 10);
		if (end != rw + 6 && *end == '\0' && percent <= 100) {
			o->flags = BENCH_RANDOM;
			o->read_percent = (unsigned)percent;
			return -1;
		}
	}
	return usage("--rw: read, write, randread, randwrite, mixed:0 to mixed:100, or flush");
}

static int parse_cpus(struct bench_opts *o)
{
	const char *p = o->cpu_text;
	char *end;

	while (p) {
		unsigned long cpu = strtoul(p, &end, 10);

		if (end == p || (*end && *end != ',') || cpu >= CPU_SETSIZE ||
		    o->n_cpus == BENCH_MAX_QUEUES)
			return usage("--cpu: a list of CPU numbers, such as 0,2");
		o->cpu[o->n_cpus++] = (int)cpu;
		p = *end ? end + 1 : NULL;
	}
	return -1;
}

static int parse_seconds(const char *text, double *out)
{
	char *end;

	*out = strtod(text, &end);
	if (end != text && *end == '\0' && *out >= 0.001 && *out <= 1e6)
		return -1;
	return usage("--time, --slice and --reconnect: seconds, such as 5 or 0.5");
}

static int parse_times(struct bench_opts *o)
{
	int r = parse_seconds(o->slice_text, &o->slice);

	if (r < 0 && o->time_text)
		r = parse_seconds(o->time_text, &o->seconds);
	else if (!o->count)
		o->seconds = 5;
	if (r < 0 && o->reconnect_text)
		r = parse_seconds(o->reconnect_text, &o->reconnect);
	return r;
}

/* -1: go on; otherwise what to exit with. */
static int choose_device(struct bench_opts *o)
{
	if (o->device_choice == DEVICE_AUTO && o->config)
		o->device = bench_inproc_device(o);
	else
		o->device = o->device_choice == DEVICE_NET ? &bench_net : &bench_blk;
	if (!o->device)
		return EXIT_FAILURE;
	if (o->device == &bench_net)
		o->bs = o->frame;
	return -1;
}

static int check_special(const struct bench_opts *o)
{
	enum device_choice device = o->device == &bench_net ? DEVICE_NET : DEVICE_BLK;
	char text[96];

	for (size_t i = 0; i < VIO_ARRAY_LEN(special_options); i++) {
		const char *name = special_options[i].option;
		const struct vio_opt *opt = vio_opts_find(bench_options, N_OPTIONS, name);

		if (special_options[i].device == device ||
		    !(o->given & UINT64_C(1) << (opt - bench_options)))
			continue;
		snprintf(text, sizeof(text), "--%s goes together with --device %s", name,
			 device_words[special_options[i].device]);
		return usage(text);
	}
	return -1;
}

static int check_net(const struct bench_opts *o)
{
	if (o->verify && o->direction == BENCH_TX)
		return usage("--verify: nothing comes back with --direction tx");
	return -1;
}

static int check_blk(const struct bench_opts *o)
{
	if (o->verify && o->flags & BENCH_FLUSH)
		return usage("--verify: there is nothing to verify about --rw flush");
	if (o->verify && o->vs)
		return usage("--verify and --vs do not go together");
	if (o->depth > o->queue_size)
		return usage("--depth is larger than --queue-size");
	if (o->span && o->span < o->bs)
		return usage("--span is smaller than --bs");
	return -1;
}

static int check_together(const struct bench_opts *o)
{
	int r = check_special(o);

	if (r >= 0)
		return r;
	if (o->count && o->vs)
		return usage("--count and --vs do not go together; give a --time");
	if (o->poll && o->sleep)
		return usage("--poll and --sleep do not go together");
	if (o->reconnect > 0 && (o->vs || o->config))
		return usage("--reconnect goes together with one socket, not with --vs or -c");
	if (o->vs && o->config)
		return usage("--vs compares sockets; it does not go together with -c");
	if (o->n_set && !o->config)
		return usage("-o goes together with -c FILE");
	return o->device == &bench_net ? check_net(o) : check_blk(o);
}

int bench_opts_parse(struct bench_opts *o, int argc, char **argv)
{
	int r;

	memset(o, 0, sizeof(*o));
	if (vio_opts_init(bench_options, N_OPTIONS, o))
		return usage("out of memory");
	r = parse_words(o, argc, argv);
	if (r >= 0)
		return r;
	if (argc - optind != 1)
		return usage(o->config ? "name one device" : "name one socket");
	o->target = argv[optind];
	r = parse_rw(o, o->rw);
	if (r < 0)
		r = choose_device(o);
	if (r < 0)
		r = parse_cpus(o);
	if (r < 0)
		r = parse_times(o);
	if (o->threads == 0 || o->threads > o->queues)
		o->threads = o->queues;
	if (o->verify && !o->span)
		o->span = 64 << 20; /* of a disk */
	return r < 0 ? check_together(o) : r;
}

void bench_opts_fini(struct bench_opts *o)
{
	vio_opts_fini(bench_options, N_OPTIONS, o);
}
