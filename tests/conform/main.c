/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * viodm-conform: does a virtio device obey the specification?
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "replay.h"
#include "report.h"

#define EXIT_ALL_PASSED 0
#define EXIT_SOME_FAIL	1
#define EXIT_USAGE	2

static const char usage[] =
	"viodm-conform: does a virtio device obey the specification?\n"
	"\n"
	"  viodm-conform [OPTION]... TARGET\n"
	"  viodm-conform --list | --coverage | --explain ID\n"
	"\n"
	"TARGET is\n"
	"  vhost-user:SOCKET       whatever serves that socket\n"
	"  inproc:FILE[:DEVICE]    a device of a viodm configuration file, in this process\n"
	"\n"
	"  --device net|blk|rng|auto  what a vhost-user socket serves, which the protocol does "
	"not\n"
	"                       tell; auto: found out\n"
	"  --bus mmio|pci|pci-intx  registers of an inproc device; default: as its section says\n"
	"  -o, --option SECTION.KEY=VALUE  over the configuration file\n"
	"  --only PATTERN       checks whose name, or one of whose statements, matches\n"
	"  --kind KIND          requirement, robustness or stress; may be repeated\n"
	"  --repeat N           the whole run N times, each with another seed\n"
	"  --seed N             of what is random\n"
	"  --timeout SECONDS    for one check; default 10\n"
	"  --patience SECONDS   for one request; default 3\n"
	"  --format text|tap|junit|json\n"
	"  --reproducers FOLDER  a file for each failed check, for --replay\n"
	"  --replay FILE        runs the check of such a file again, as it was run then\n"
	"  --list               the checks and the statements they cover\n"
	"  --explain ID         what a statement asks and how it is checked; or a check; patterns, "
	"too\n"
	"  --coverage           which statements have checks\n"
	"\n"
	"Exit status: 0 no check failed, 1 some did, 2 the run could not be made.\n";

struct options {
	struct runner_config run;
	const struct report *report;
	const char *only;
	const char *explain;
	const char *reproducers;
	unsigned kinds; /* bits; 0: all */
	unsigned repeat;
	bool list, coverage;
};

static int complain(const char *what, const char *value)
{
	fprintf(stderr, "viodm-conform: %s: \"%s\"; see --help\n", what, value);
	return -EINVAL;
}

/* ---- options -----------------------------------------------------------------------------------
 */

static int parse_word(const char *what, const char *value, const char *const *words,
		      const unsigned *numbers, unsigned *out)
{
	for (unsigned i = 0; words[i]; i++) {
		if (strcmp(words[i], value) != 0)
			continue;
		*out = numbers[i];
		return 0;
	}
	return complain(what, value);
}

static int parse_number(const char *what, const char *value, double min, double *out)
{
	char *end;

	errno = 0;
	*out = strtod(value, &end);
	return errno || end == value || *end || !(*out >= min) ? complain(what, value) : 0;
}

static int parse_report(struct options *o, const char *value)
{
	static const struct report *const reports[] = {&report_text, &report_tap, &report_junit,
						       &report_json};

	for (unsigned i = 0; i < sizeof(reports) / sizeof(reports[0]); i++) {
		if (strcmp(reports[i]->name, value) != 0)
			continue;
		o->report = reports[i];
		return 0;
	}
	return complain("--format", value);
}

static int add_option(struct options *o, char *value)
{
	char **options =
		realloc(o->run.target.options, (o->run.target.n_options + 1) * sizeof(*options));

	if (!options)
		return -ENOMEM;
	options[o->run.target.n_options++] = value;
	o->run.target.options = options;
	return 0;
}

enum {
	OPT_BUS = 256,
	OPT_COVERAGE,
	OPT_DEVICE,
	OPT_EXPLAIN,
	OPT_FORMAT,
	OPT_HELP,
	OPT_KIND,
	OPT_LIST,
	OPT_ONLY,
	OPT_PATIENCE,
	OPT_REPEAT,
	OPT_REPLAY,
	OPT_REPRODUCERS,
	OPT_SEED,
	OPT_TIMEOUT
};

static const struct option long_options[] = {
	{"bus", required_argument, NULL, OPT_BUS},
	{"coverage", no_argument, NULL, OPT_COVERAGE},
	{"device", required_argument, NULL, OPT_DEVICE},
	{"explain", required_argument, NULL, OPT_EXPLAIN},
	{"format", required_argument, NULL, OPT_FORMAT},
	{"help", no_argument, NULL, OPT_HELP},
	{"kind", required_argument, NULL, OPT_KIND},
	{"list", no_argument, NULL, OPT_LIST},
	{"only", required_argument, NULL, OPT_ONLY},
	{"option", required_argument, NULL, 'o'},
	{"patience", required_argument, NULL, OPT_PATIENCE},
	{"repeat", required_argument, NULL, OPT_REPEAT},
	{"replay", required_argument, NULL, OPT_REPLAY},
	{"reproducers", required_argument, NULL, OPT_REPRODUCERS},
	{"seed", required_argument, NULL, OPT_SEED},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{NULL, 0, NULL, 0},
};

static int replay(struct options *o, const char *path)
{
	struct replay r;
	int ret = replay_read(path, &r);

	if (ret < 0)
		return complain("--replay", path);
	o->run.target.spec = r.target;
	o->run.target.bus = r.bus;
	o->run.target.device = r.device;
	o->run.seed = r.seed;
	o->only = r.check;
	for (unsigned i = 0; i < r.n_options && ret == 0; i++)
		ret = add_option(o, r.options[i]);
	return ret;
}

static int parse_option(struct options *o, int c)
{
	static const char *const buses[] = {"mmio", "pci", "pci-intx", NULL};
	static const unsigned bus_ways[] = {WAY_MMIO, WAY_PCI_MSIX, WAY_PCI_INTX};
	static const char *const devices[] = {"net", "blk", "rng", "auto", NULL};
	static const unsigned device_ids[] = {1, 2, 4, 0};
	static const char *const kinds[] = {"requirement", "robustness", "stress", NULL};
	static const unsigned kind_bits[] = {1, 2, 4};
	double number = 0;
	unsigned word = 0;
	int r = 0;

	switch (c) {
	case OPT_BUS:
		return parse_word("--bus", optarg, buses, bus_ways, &o->run.target.bus);
	case OPT_COVERAGE:
		o->coverage = true;
		return 0;
	case OPT_DEVICE:
		return parse_word("--device", optarg, devices, device_ids, &o->run.target.device);
	case OPT_EXPLAIN:
		o->explain = optarg;
		return 0;
	case OPT_FORMAT:
		return parse_report(o, optarg);
	case OPT_KIND:
		r = parse_word("--kind", optarg, kinds, kind_bits, &word);
		o->kinds |= word;
		return r;
	case OPT_LIST:
		o->list = true;
		return 0;
	case OPT_ONLY:
		o->only = optarg;
		return 0;
	case OPT_PATIENCE:
		r = parse_number("--patience", optarg, 0.01, &number);
		o->run.target.patience_ms = (unsigned)(number * 1000);
		return r;
	case OPT_REPEAT:
		r = parse_number("--repeat", optarg, 1, &number);
		o->repeat = (unsigned)number;
		return r;
	case OPT_REPLAY:
		return replay(o, optarg);
	case OPT_REPRODUCERS:
		o->reproducers = optarg;
		return 0;
	case OPT_SEED:
		r = parse_number("--seed", optarg, 0, &number);
		o->run.seed = (uint64_t)number;
		return r;
	case OPT_TIMEOUT:
		return parse_number("--timeout", optarg, 0.01, &o->run.timeout);
	case 'o':
		return add_option(o, optarg);
	case OPT_HELP:
		fputs(usage, stdout);
		exit(EXIT_ALL_PASSED);
	default:
		return -EINVAL;
	}
}

static int parse_options(struct options *o, int argc, char **argv)
{
	int c, r = 0;

	while (r == 0 && (c = getopt_long(argc, argv, "o:", long_options, NULL)) >= 0)
		r = parse_option(o, c);
	if (r < 0)
		return r;
	if (optind < argc && !o->run.target.spec)
		o->run.target.spec = argv[optind++];
	if (optind < argc)
		return complain("one target at a time", argv[optind]);
	if (!o->run.target.spec && !o->list && !o->coverage && !o->explain) {
		fputs("viodm-conform: no target; see --help\n", stderr);
		return -EINVAL;
	}
	return 0;
}

/* ---- running -----------------------------------------------------------------------------------
 */

static void on_signal(int sig)
{
	runner_interrupt();
	signal(sig, SIG_DFL);
	raise(sig);
}

static int run_entry(const struct options *o, struct entry *e, const struct target_facts *facts)
{
	const char *why = plan_skips(e->check, facts);

	if (!e->result)
		e->result = result_create();
	if (!e->result)
		return -ENOMEM;
	e->ran = true;
	if (why) {
		memset(e->result, 0, sizeof(*e->result));
		e->result->verdict = VERDICT_SKIP;
		snprintf(e->result->reason, sizeof(e->result->reason), "%s", why);
		return 0;
	}
	runner_run(&o->run, e->check, e->result);
	if (e->result->verdict == VERDICT_FAIL && o->reproducers)
		return replay_write(o->reproducers, &o->run, facts, e);
	return 0;
}

/* How many checks failed, or -errno. */
static int run_plan(const struct options *o, struct plan *plan, const struct target_facts *facts)
{
	unsigned chosen = 0, done = 0;
	int failed = 0;

	for (unsigned i = 0; i < plan->n; i++)
		chosen += plan->entry[i].chosen;
	o->report->begin(plan, &o->run, facts);
	for (unsigned i = 0; i < plan->n; i++) {
		struct entry *e = &plan->entry[i];
		int r = e->chosen ? run_entry(o, e, facts) : 0;

		if (r < 0)
			return r;
		if (!e->chosen)
			continue;
		failed += e->result->verdict == VERDICT_FAIL;
		o->report->check(plan, i, ++done, chosen);
	}
	o->report->end(plan, &o->run, facts);
	return failed;
}

static int choose(const struct options *o, struct plan *plan)
{
	for (unsigned i = 0; o->kinds && i < plan->n; i++)
		if (!(o->kinds >> plan->entry[i].check->kind & 1))
			plan->entry[i].chosen = false;
	if (o->only && plan_only(plan, o->only) == 0)
		return complain("no check, and no statement of a check, matches", o->only);
	return 0;
}

static int run(struct options *o, struct plan *plan)
{
	struct target_facts facts = {0};
	int failed = 0;

	if (runner_probe(&o->run, &facts) < 0) {
		fprintf(stderr, "viodm-conform: %s\n",
			facts.error[0] ? facts.error : "the target died when it was looked at");
		return EXIT_USAGE;
	}
	facts.guessed = facts.way == WAY_VHOST_USER && o->run.target.device == 0;
	if (o->run.target.device == 0)
		o->run.target.device = facts.device_id;
	for (unsigned i = 0; i < o->repeat; i++, o->run.seed++) {
		int r = run_plan(o, plan, &facts);

		if (r < 0) {
			fprintf(stderr, "viodm-conform: %s\n", strerror(-r));
			return EXIT_USAGE;
		}
		failed += r;
	}
	return failed ? EXIT_SOME_FAIL : EXIT_ALL_PASSED;
}

static int act(struct options *o, struct plan *plan)
{
	if (choose(o, plan) < 0)
		return EXIT_USAGE;
	if (o->explain && report_explain(plan, o->explain) < 0) {
		complain("no such statement or check", o->explain);
		return EXIT_USAGE;
	}
	if (o->list)
		report_list(plan);
	if (o->coverage)
		report_coverage(plan);
	return o->explain || o->list || o->coverage ? EXIT_ALL_PASSED : run(o, plan);
}

int main(int argc, char **argv)
{
	struct options o = {.report = &report_text,
			    .repeat = 1,
			    .run = {.seed = 1, .timeout = 10, .target.patience_ms = 3000}};
	char error[256] = "out of memory";
	struct plan plan = {0};
	int r;

	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	signal(SIGPIPE, SIG_IGN);
	if (parse_options(&o, argc, argv) < 0)
		return EXIT_USAGE;
	r = plan_create(&plan, error, sizeof(error));
	if (r < 0)
		fprintf(stderr, "viodm-conform: %s\n", error);
	r = r < 0 ? EXIT_USAGE : act(&o, &plan);
	plan_destroy(&plan);
	free(o.run.target.options);
	return r;
}
