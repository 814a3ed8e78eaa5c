/* SPDX-License-Identifier: BSD-3-Clause */
/* Option tables: parsing, limits, defaults, and what the messages say. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include <viodm/opts.h>

#include "suite.h"

struct thing {
	bool flag;
	unsigned count;
	unsigned ring;
	unsigned vectors;
	uint64_t size;
	uint64_t any_size;
	char *text;
	const char *path;
	unsigned choice;
	uint8_t mac[6];
};

static const char *const colours[] = {"red", "green", "blue", NULL};

enum { FLAG, COUNT, RING, VECTORS, SIZE, ANY_SIZE, TEXT, PATH, CHOICE, MAC, N_OPTS };

static const struct vio_opt opts[N_OPTS] = {
	[FLAG] = {.name = "flag",
		  .type = VIO_OPT_BOOL,
		  .offset = offsetof(struct thing, flag),
		  .help = "a switch"},
	[COUNT] = {.name = "count",
		   .type = VIO_OPT_UINT,
		   .offset = offsetof(struct thing, count),
		   .def = "3",
		   .min = 1,
		   .max = 256,
		   .help = "how many"},
	[RING] = {.name = "ring",
		  .type = VIO_OPT_UINT,
		  .offset = offsetof(struct thing, ring),
		  .def = "256",
		  .min = 2,
		  .max = 1024,
		  .pow2 = true,
		  .help = "a power"},
	[VECTORS] = {.name = "vectors",
		     .type = VIO_OPT_UINT,
		     .offset = offsetof(struct thing, vectors),
		     .def = "auto",
		     .max = 2048,
		     .word = "auto",
		     .word_value = 0xffff,
		     .help = "or a word"},
	[SIZE] = {.name = "size",
		  .type = VIO_OPT_SIZE,
		  .offset = offsetof(struct thing, size),
		  .min = 512,
		  .max = UINT64_C(1) << 40,
		  .multiple = 512,
		  .required = true,
		  .help = "bytes"},
	[ANY_SIZE] = {.name = "any-size",
		      .type = VIO_OPT_SIZE,
		      .offset = offsetof(struct thing, any_size),
		      .help = "bytes without a limit"},
	[TEXT] = {.name = "text",
		  .type = VIO_OPT_STRING,
		  .offset = offsetof(struct thing, text),
		  .def = "hello",
		  .min = 1,
		  .max = 20,
		  .help = "words"},
	[PATH] = {.name = "path",
		  .type = VIO_OPT_PATH,
		  .offset = offsetof(struct thing, path),
		  .help = "a file"},
	[CHOICE] = {.name = "colour",
		    .type = VIO_OPT_CHOICE,
		    .offset = offsetof(struct thing, choice),
		    .def = "green",
		    .choices = colours,
		    .help = "one of three"},
	[MAC] = {.name = "mac",
		 .type = VIO_OPT_MAC,
		 .offset = offsetof(struct thing, mac),
		 .def = "auto",
		 .word = "auto",
		 .help = "an address"},
};

static void thing_init(struct thing *t)
{
	memset(t, 0xee, sizeof(*t));
	MUST(vio_opts_init(opts, N_OPTS, t));
}

static int set(struct thing *t, unsigned opt, const char *text)
{
	char err[VIO_OPT_ERROR_LEN] = "";
	int r = vio_opt_set(&opts[opt], t, text, err);

	CU_ASSERT_EQUAL(r != 0, err[0] != '\0');
	return r;
}

/* The value is refused with exactly this message, and the field stays what it was. */
static void refused(unsigned opt, const char *text, const char *message)
{
	char err[VIO_OPT_ERROR_LEN] = "";
	struct thing t, before;

	thing_init(&t);
	before = t;
	CU_ASSERT_EQUAL(vio_opt_set(&opts[opt], &t, text, err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err, message);
	if (strcmp(err, message) != 0)
		printf("\n  got:  %s\n  want: %s\n", err, message);
	CU_ASSERT_EQUAL(memcmp(&t, &before, sizeof(t)), 0);
	vio_opts_fini(opts, N_OPTS, &t);
}

static void test_defaults(void)
{
	struct thing t;

	thing_init(&t);
	CU_ASSERT_EQUAL(t.flag, false);
	CU_ASSERT_EQUAL(t.count, 3);
	CU_ASSERT_EQUAL(t.ring, 256);
	CU_ASSERT_EQUAL(t.vectors, 0xffff);
	CU_ASSERT_EQUAL(t.size, 0);
	CU_ASSERT_EQUAL(t.any_size, 0);
	CU_ASSERT_STRING_EQUAL(t.text, "hello");
	CU_ASSERT_PTR_NULL(t.path);
	CU_ASSERT_EQUAL(t.choice, 1);
	CU_ASSERT_EQUAL(memcmp(t.mac, "\0\0\0\0\0\0", 6), 0);
	vio_opts_fini(opts, N_OPTS, &t);
	CU_ASSERT_PTR_NULL(t.text);
	CU_ASSERT_STRING_EQUAL(vio_opt_default(&opts[FLAG]), "off");
	CU_ASSERT_STRING_EQUAL(vio_opt_default(&opts[ANY_SIZE]), "0");
	CU_ASSERT_STRING_EQUAL(vio_opt_default(&opts[CHOICE]), "green");
	CU_ASSERT_PTR_NULL(vio_opt_default(&opts[PATH]));
}

/* A table whose default its own option refuses: nothing is left on the heap. */
static void test_wrong_default(void)
{
	struct vio_opt wrong[] = {opts[TEXT], opts[COUNT]};
	struct thing t;

	wrong[1].def = "257";
	CU_ASSERT_EQUAL(vio_opts_init(wrong, VIO_ARRAY_LEN(wrong), &t), -EINVAL);
	CU_ASSERT_PTR_NULL(t.text);
}

static void test_find(void)
{
	CU_ASSERT_PTR_EQUAL(vio_opts_find(opts, N_OPTS, "size"), &opts[SIZE]);
	CU_ASSERT_PTR_NULL(vio_opts_find(opts, N_OPTS, "siz"));
	CU_ASSERT_PTR_NULL(vio_opts_find(NULL, 0, "size"));
}

static void test_bool(void)
{
	static const char *const yes[] = {"on", "true", "yes", "1", "ON", "Yes"};
	static const char *const no[] = {"off", "false", "no", "0", "Off"};
	struct thing t;

	thing_init(&t);
	for (size_t i = 0; i < VIO_ARRAY_LEN(yes); i++) {
		t.flag = false;
		CU_ASSERT_EQUAL(set(&t, FLAG, yes[i]), 0);
		CU_ASSERT_TRUE(t.flag);
	}
	for (size_t i = 0; i < VIO_ARRAY_LEN(no); i++) {
		t.flag = true;
		CU_ASSERT_EQUAL(set(&t, FLAG, no[i]), 0);
		CU_ASSERT_FALSE(t.flag);
	}
	vio_opts_fini(opts, N_OPTS, &t);
	refused(FLAG, "maybe", "\"maybe\" is neither (on or off)");
	refused(FLAG, "", "\"\" is neither (on or off)");
	refused(FLAG, "on ", "\"on \" is neither (on or off)");
}

static void test_uint(void)
{
	struct thing t;

	thing_init(&t);
	CU_ASSERT_EQUAL(set(&t, COUNT, "1"), 0);
	CU_ASSERT_EQUAL(t.count, 1);
	CU_ASSERT_EQUAL(set(&t, COUNT, "256"), 0);
	CU_ASSERT_EQUAL(t.count, 256);
	CU_ASSERT_EQUAL(set(&t, COUNT, "0x1F"), 0);
	CU_ASSERT_EQUAL(t.count, 31);
	CU_ASSERT_EQUAL(set(&t, COUNT, "010"), 0); /* not octal */
	CU_ASSERT_EQUAL(t.count, 10);
	CU_ASSERT_EQUAL(set(&t, RING, "1024"), 0);
	CU_ASSERT_EQUAL(t.ring, 1024);
	CU_ASSERT_EQUAL(set(&t, VECTORS, "0"), 0);
	CU_ASSERT_EQUAL(t.vectors, 0);
	CU_ASSERT_EQUAL(set(&t, VECTORS, "auto"), 0);
	CU_ASSERT_EQUAL(t.vectors, 0xffff);
	vio_opts_fini(opts, N_OPTS, &t);

	refused(COUNT, "0", "\"0\" is out of range (number 1..256)");
	refused(COUNT, "257", "\"257\" is out of range (number 1..256)");
	refused(COUNT, "4294967297", "\"4294967297\" is out of range (number 1..256)");
	refused(COUNT, "99999999999999999999",
		"\"99999999999999999999\" is out of range (number 1..256)");
	refused(COUNT, "", "\"\" is not a number (number 1..256)");
	refused(COUNT, "-1", "\"-1\" is not a number (number 1..256)");
	refused(COUNT, "+1", "\"+1\" is not a number (number 1..256)");
	refused(COUNT, " 1", "\" 1\" is not a number (number 1..256)");
	refused(COUNT, "1x", "\"1x\" is not a number (number 1..256)");
	refused(COUNT, "0x", "\"0x\" is not a number (number 1..256)");
	refused(COUNT, "1K", "\"1K\" is not a number (number 1..256)");
	refused(RING, "300", "\"300\" is not a power of two (power of two 2..1024)");
	refused(RING, "2048", "\"2048\" is out of range (power of two 2..1024)");
	refused(VECTORS, "many", "\"many\" is not a number (number 0..2048, or auto)");
	refused(VECTORS, "65535", "\"65535\" is out of range (number 0..2048, or auto)");
}

/* Without a limit in the table, a number still has to fit the field. */
static void test_uint_field(void)
{
	static const struct vio_opt wide = {.name = "n", .type = VIO_OPT_UINT};
	char err[VIO_OPT_ERROR_LEN];
	unsigned n = 7;

	CU_ASSERT_EQUAL(vio_opt_set(&wide, &n, "4294967295", err), 0);
	CU_ASSERT_EQUAL(n, UINT_MAX);
	CU_ASSERT_EQUAL(vio_opt_set(&wide, &n, "4294967296", err), -EINVAL);
	CU_ASSERT_EQUAL(n, UINT_MAX);
}

static void test_size(void)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {
		{"0", 0},
		{"512", 512},
		{"1K", 1024},
		{"3k", 3072},
		{"64M", UINT64_C(64) << 20},
		{"2G", UINT64_C(2) << 30},
		{"1t", UINT64_C(1) << 40},
		{"0x10M", UINT64_C(16) << 20},
		{"18446744073709551615", UINT64_MAX},
		{"16777215T", UINT64_C(16777215) << 40},
	};
	struct thing t;

	thing_init(&t);
	for (size_t i = 0; i < VIO_ARRAY_LEN(good); i++) {
		CU_ASSERT_EQUAL(set(&t, ANY_SIZE, good[i].text), 0);
		CU_ASSERT_EQUAL(t.any_size, good[i].value);
	}
	vio_opts_fini(opts, N_OPTS, &t);

	refused(ANY_SIZE, "16777216T", "\"16777216T\" is out of range (size)");
	refused(ANY_SIZE, "18446744073709551616",
		"\"18446744073709551616\" is out of range (size)");
	refused(ANY_SIZE, "1KB", "\"1KB\" is not a size (size)");
	refused(ANY_SIZE, "1KK", "\"1KK\" is not a size (size)");
	refused(ANY_SIZE, "K", "\"K\" is not a size (size)");
	refused(ANY_SIZE, "1.5G", "\"1.5G\" is not a size (size)");
	refused(SIZE, "1000", "\"1000\" is not a multiple (size 512..1T, multiple of 512)");
	refused(SIZE, "0", "\"0\" is out of range (size 512..1T, multiple of 512)");
	refused(SIZE, "2T", "\"2T\" is out of range (size 512..1T, multiple of 512)");
}

static void test_string(void)
{
	char long_text[200];
	struct thing t;

	thing_init(&t);
	CU_ASSERT_EQUAL(set(&t, TEXT, "12345678901234567890"), 0);
	CU_ASSERT_STRING_EQUAL(t.text, "12345678901234567890");
	CU_ASSERT_EQUAL(set(&t, PATH, "a b"), 0);
	CU_ASSERT_STRING_EQUAL(t.path, "a b");
	CU_ASSERT_EQUAL(set(&t, PATH, "/c"), 0);
	CU_ASSERT_STRING_EQUAL(t.path, "/c");
	vio_opts_fini(opts, N_OPTS, &t);

	refused(TEXT, "", "\"\" is too short (text of 1..20 bytes)");
	refused(TEXT, "123456789012345678901",
		"\"123456789012345678901\" is too long (text of 1..20 bytes)");
	refused(PATH, "", "\"\" is empty (path)");
	memset(long_text, 'x', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	refused(TEXT, long_text,
		"\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\" is too long "
		"(text of 1..20 bytes)");
}

static void test_choice(void)
{
	struct thing t;

	thing_init(&t);
	CU_ASSERT_EQUAL(set(&t, CHOICE, "blue"), 0);
	CU_ASSERT_EQUAL(t.choice, 2);
	CU_ASSERT_EQUAL(set(&t, CHOICE, "red"), 0);
	CU_ASSERT_EQUAL(t.choice, 0);
	vio_opts_fini(opts, N_OPTS, &t);
	refused(CHOICE, "bleu",
		"unknown value \"bleu\"; did you mean \"blue\"? "
		"(known: red, green, blue)");
	refused(CHOICE, "Red",
		"unknown value \"Red\"; did you mean \"red\"? "
		"(known: red, green, blue)");
	refused(CHOICE, "mauve", "unknown value \"mauve\" (known: red, green, blue)");
}

static void test_mac(void)
{
	struct thing t;

	thing_init(&t);
	CU_ASSERT_EQUAL(set(&t, MAC, "52:54:00:12:34:56"), 0);
	CU_ASSERT_EQUAL(memcmp(t.mac, "\x52\x54\x00\x12\x34\x56", 6), 0);
	CU_ASSERT_EQUAL(set(&t, MAC, "02-aB-Cd-EF-09-ff"), 0);
	CU_ASSERT_EQUAL(memcmp(t.mac, "\x02\xab\xcd\xef\x09\xff", 6), 0);
	CU_ASSERT_EQUAL(set(&t, MAC, "auto"), 0);
	CU_ASSERT_EQUAL(memcmp(t.mac, "\0\0\0\0\0\0", 6), 0);
	vio_opts_fini(opts, N_OPTS, &t);
	refused(MAC, "53:54:00:12:34:56",
		"\"53:54:00:12:34:56\" is the address of a group (MAC address, or auto)");
	refused(MAC, "ff:ff:ff:ff:ff:ff",
		"\"ff:ff:ff:ff:ff:ff\" is the address of a group (MAC address, or auto)");
	refused(MAC, "00:00:00:00:00:00",
		"\"00:00:00:00:00:00\" is nobody's address (MAC address, or auto)");
#define LIKE " is not like 52:54:00:12:34:56 (MAC address, or auto)"
	refused(MAC, "", "\"\"" LIKE);
	refused(MAC, "52:54:00:12:34:5", "\"52:54:00:12:34:5\"" LIKE);
	refused(MAC, "52:54:00:12:34:567", "\"52:54:00:12:34:567\"" LIKE);
	refused(MAC, "52:54-00:12:34:56", "\"52:54-00:12:34:56\"" LIKE);
	refused(MAC, "52.54.00.12.34.56", "\"52.54.00.12.34.56\"" LIKE);
	refused(MAC, "52:54:00:12:3g:56", "\"52:54:00:12:3g:56\"" LIKE);
	refused(MAC, "5:254:00:12:34:56", "\"5:254:00:12:34:56\"" LIKE);
}

static void test_values(void)
{
	static const char *const want[N_OPTS] = {
		"on or off",
		"number 1..256",
		"power of two 2..1024",
		"number 0..2048, or auto",
		"size 512..1T, multiple of 512",
		"size",
		"text of 1..20 bytes",
		"path",
		"red, green or blue",
		"MAC address, or auto",
	};
	char buf[64], small[8];

	for (unsigned i = 0; i < N_OPTS; i++) {
		vio_opt_values(&opts[i], buf, sizeof(buf));
		CU_ASSERT_STRING_EQUAL(buf, want[i]);
	}
	vio_opt_values(&opts[CHOICE], small, sizeof(small));
	CU_ASSERT_STRING_EQUAL(small, "red, gr");
}

static void test_nearest(void)
{
	static const char *const words[] = {"queue-size", "queues", "seg-max", "size-max", "pci"};
	static const struct {
		const char *typed, *meant;
	} cases[] = {
		{"queuesize", "queue-size"}, /* one missing */
		{"queue_size", "queue-size"},
		{"queue", "queues"},
		{"segmax", "seg-max"},
		{"pic", "pci"}, /* swapped neighbours */
		{"PCI", "pci"},
		{"seg", "seg-max"}, /* only begun */
		{"banana", NULL},
		{"", NULL},
		{"x", NULL},
		{"a-word-that-is-far-longer-than-any-that-there-is", NULL},
	};

	for (size_t i = 0; i < VIO_ARRAY_LEN(cases); i++) {
		const char *got = vio_opt_nearest(cases[i].typed, words, VIO_ARRAY_LEN(words));

		if (!cases[i].meant)
			CU_ASSERT_PTR_NULL(got);
		if (cases[i].meant)
			CU_ASSERT_STRING_EQUAL(got ? got : "nothing", cases[i].meant);
	}
	CU_ASSERT_PTR_NULL(vio_opt_nearest("pci", words, 0));
}

/* However many candidates: the message ends with the buffer. */
static void test_long_message(void)
{
	const char *words[200];
	char err[VIO_OPT_ERROR_LEN + 1];

	for (size_t i = 0; i < VIO_ARRAY_LEN(words); i++)
		words[i] = "candidate";
	memset(err, '#', sizeof(err));
	vio_opt_unknown(err, "key", "x", words, VIO_ARRAY_LEN(words));
	CU_ASSERT_EQUAL(strlen(err), VIO_OPT_ERROR_LEN - 1);
	CU_ASSERT_EQUAL(err[VIO_OPT_ERROR_LEN], '#');
}

static void test_print(void)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	MUST(f ? 0 : -ENOMEM);
	vio_opts_print(f, opts, N_OPTS, 2);
	fclose(f);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "  flag         on or off; default off\n"
					    "               a switch\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "  size         size 512..1T, multiple of 512; "
					    "required\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "  path         path; default none\n"));
	free(text);
}

static CU_TestInfo tests[] = {
	{"defaults", test_defaults},
	{"a default that is refused", test_wrong_default},
	{"find", test_find},
	{"bool", test_bool},
	{"unsigned", test_uint},
	{"unsigned fits its field", test_uint_field},
	{"size", test_size},
	{"string and path", test_string},
	{"choice", test_choice},
	{"MAC address", test_mac},
	{"description of values", test_values},
	{"nearest word", test_nearest},
	{"a message longer than its buffer", test_long_message},
	{"listing", test_print},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("opts", tests);
}
