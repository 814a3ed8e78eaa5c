/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <viodm/opts.h>

/* Words longer than this are not compared for likeness. */
#define OPT_WORD_MAX 32

/* Printed width of a value inside a message. */
#define OPT_QUOTE_MAX 60

/* 52:54:00:12:34:56 */
#define MAC_TEXT_LEN 17

/* Lines of text that end where the buffer ends. */
struct opt_text {
	char *buf;
	size_t len;
	size_t used;
};

static void text_add(struct opt_text *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void text_add(struct opt_text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->used, t->len - t->used, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->used += (size_t)n < t->len - t->used ? (size_t)n : t->len - t->used - 1;
}

/* "a", "a or b", "a, b or c" */
static void text_add_words(struct opt_text *t, const char *const *words, size_t n, const char *last)
{
	for (size_t i = 0; i < n; i++)
		text_add(t, "%s%s", i == 0 ? "" : i == n - 1 ? last : ", ", words[i]);
}

static size_t count_choices(const struct vio_opt *opt)
{
	size_t n = 0;

	while (opt->choices[n])
		n++;
	return n;
}

const struct vio_opt *vio_opts_find(const struct vio_opt *opts, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(opts[i].name, name) == 0)
			return &opts[i];
	}
	return NULL;
}

/* ---- likeness -------------------------------------------------------------------------------- */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/*
 * How many characters to insert, drop, replace or swap with a neighbour to get from one word to the
 * other; UINT_MAX when one of them is too long to ask.
 */
static unsigned word_distance(const char *a, const char *b)
{
	unsigned row[3][OPT_WORD_MAX + 1];
	size_t la = strlen(a), lb = strlen(b);

	if (la > OPT_WORD_MAX || lb > OPT_WORD_MAX)
		return UINT_MAX;
	for (unsigned j = 0; j <= lb; j++)
		row[0][j] = j;
	for (unsigned i = 1; i <= la; i++) {
		unsigned *now = row[i % 3], *up = row[(i + 2) % 3], *up2 = row[(i + 1) % 3];

		now[0] = i;
		for (unsigned j = 1; j <= lb; j++) {
			char ca = lower(a[i - 1]), cb = lower(b[j - 1]);

			now[j] = least(least(up[j], now[j - 1]) + 1, up[j - 1] + (ca != cb));
			if (i > 1 && j > 1 && ca == lower(b[j - 2]) && cb == lower(a[i - 2]))
				now[j] = least(now[j], up2[j - 2] + 1);
		}
	}
	return row[la % 3][lb];
}

const char *vio_opt_nearest(const char *word, const char *const *words, size_t n)
{
	size_t len = strlen(word);
	unsigned best = 1 + (unsigned)(len < OPT_WORD_MAX ? len : OPT_WORD_MAX) / 4;
	const char *found = NULL;

	for (size_t i = 0; i < n; i++) {
		unsigned d = word_distance(word, words[i]);

		if (d >= len) /* nothing of the word would be left */
			continue;
		if (d < best || (d == best && !found)) {
			best = d;
			found = words[i];
		}
	}
	/* A word that was only begun. */
	for (size_t i = 0; i < n && !found && len >= 3; i++) {
		if (strncasecmp(word, words[i], len) == 0)
			found = words[i];
	}
	return found;
}

void vio_opt_unknown(char *err, const char *what, const char *word, const char *const *words,
		     size_t n)
{
	struct opt_text t = {err, VIO_OPT_ERROR_LEN, 0};
	const char *near = vio_opt_nearest(word, words, n);

	text_add(&t, "unknown %s \"%.*s\"", what, OPT_QUOTE_MAX, word);
	if (near)
		text_add(&t, "; did you mean \"%s\"?", near);
	if (n > 0) {
		text_add(&t, " (known: ");
		text_add_words(&t, words, n, ", ");
		text_add(&t, ")");
	}
}

/* ---- what an option takes -------------------------------------------------------------------- */

static void text_add_number(struct opt_text *t, const struct vio_opt *opt, uint64_t v)
{
	static const char suffix[] = {'K', 'M', 'G', 'T'};
	size_t i = 0;

	if (opt->type != VIO_OPT_SIZE || v == 0 || v % 1024 != 0) {
		text_add(t, "%" PRIu64, v);
		return;
	}
	for (v /= 1024; i + 1 < sizeof(suffix) && v % 1024 == 0; i++)
		v /= 1024;
	text_add(t, "%" PRIu64 "%c", v, suffix[i]);
}

static void text_add_number_values(struct opt_text *t, const struct vio_opt *opt)
{
	const char *kind = opt->type == VIO_OPT_SIZE ? "size" : "number";

	text_add(t, "%s", opt->pow2 ? "power of two" : kind);
	if (opt->max != 0 && opt->max < INT64_MAX) {
		text_add(t, " ");
		text_add_number(t, opt, opt->min);
		text_add(t, "..");
		text_add_number(t, opt, opt->max);
	} else if (opt->min != 0) {
		text_add(t, " from ");
		text_add_number(t, opt, opt->min);
	}
	if (opt->multiple > 1)
		text_add(t, ", multiple of %" PRIu64, opt->multiple);
	if (opt->word)
		text_add(t, ", or %s", opt->word);
}

void vio_opt_values(const struct vio_opt *opt, char *buf, size_t len)
{
	struct opt_text t = {buf, len, 0};

	switch (opt->type) {
	case VIO_OPT_BOOL:
		text_add(&t, "on or off");
		break;
	case VIO_OPT_UINT:
	case VIO_OPT_SIZE:
		text_add_number_values(&t, opt);
		break;
	case VIO_OPT_STRING:
		text_add(&t, "text");
		if (opt->max != 0)
			text_add(&t, " of %" PRIu64 "..%" PRIu64 " bytes", opt->min, opt->max);
		break;
	case VIO_OPT_PATH:
		text_add(&t, "path");
		break;
	case VIO_OPT_CHOICE:
		text_add_words(&t, opt->choices, count_choices(opt), " or ");
		break;
	case VIO_OPT_NAMES:
		text_add(&t, "names of [%s] sections", opt->word);
		break;
	case VIO_OPT_MAC:
		text_add(&t, "MAC address");
		if (opt->word)
			text_add(&t, ", or %s", opt->word);
		break;
	}
}

const char *vio_opt_next_name(const char *names, char *name, size_t len)
{
	static const char between[] = " \t,";
	size_t n;

	names += strspn(names, between);
	n = strcspn(names, between);
	if (n == 0)
		return NULL;
	snprintf(name, len, "%.*s", (int)n, names);
	return names + n;
}

const char *vio_opt_default(const struct vio_opt *opt)
{
	if (opt->def)
		return opt->def;
	switch (opt->type) {
	case VIO_OPT_BOOL:
		return "off";
	case VIO_OPT_UINT:
	case VIO_OPT_SIZE:
		return "0";
	case VIO_OPT_CHOICE:
		return opt->choices[0];
	default:
		return NULL;
	}
}

void vio_opts_print(FILE *out, const struct vio_opt *opts, size_t n, unsigned indent)
{
	char values[256];

	for (size_t i = 0; i < n; i++) {
		const struct vio_opt *opt = &opts[i];
		const char *def = vio_opt_default(opt);

		vio_opt_values(opt, values, sizeof(values));
		fprintf(out, "%*s%-12s %s", (int)indent, "", opt->name, values);
		if (opt->required)
			fprintf(out, "; required\n");
		else
			fprintf(out, "; default %s\n", def ? def : "none");
		fprintf(out, "%*s%s\n", (int)indent + 13, "", opt->help);
	}
}

/* ---- parsing --------------------------------------------------------------------------------- */

/* Fields are copied with memcpy: a `const char *` field stands for `char *` this way. */
static void *opt_field(const struct vio_opt *opt, void *obj)
{
	return (char *)obj + opt->offset;
}

static int refuse(const struct vio_opt *opt, const char *text, const char *why, char *err)
{
	char values[256];

	vio_opt_values(opt, values, sizeof(values));
	snprintf(err, VIO_OPT_ERROR_LEN, "\"%.*s\" is %s (%s)", OPT_QUOTE_MAX, text, why, values);
	return -EINVAL;
}

static int set_bool(const struct vio_opt *opt, void *obj, const char *text, char *err)
{
	static const char *const words[] = {"off", "on", "false", "true", "no", "yes", "0", "1"};

	for (size_t i = 0; i < VIO_ARRAY_LEN(words); i++) {
		if (strcasecmp(text, words[i]) == 0) {
			bool v = i % 2 == 1;

			memcpy(opt_field(opt, obj), &v, sizeof(v));
			return 0;
		}
	}
	return refuse(opt, text, "neither", err);
}

/* -EINVAL: not a number; -ERANGE: above 64 bits. */
static int parse_number(const char *text, bool suffix, uint64_t *out)
{
	static const char letters[] = "kmgt";
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	unsigned long long v;
	const char *letter;
	char *end;

	if (text[0] < '0' || text[0] > '9') /* strtoull would skip blanks and take a sign */
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, hex ? 16 : 10);
	if (errno != 0)
		return -ERANGE;
	letter = suffix && *end ? strchr(letters, lower(*end)) : NULL;
	if (letter) {
		unsigned shift = 10 * (unsigned)(letter - letters + 1);

		if (v > UINT64_MAX >> shift)
			return -ERANGE;
		v <<= shift;
		end++;
	}
	if (*end)
		return -EINVAL;
	*out = v;
	return 0;
}

static void store_number(const struct vio_opt *opt, void *obj, uint64_t v)
{
	unsigned u = (unsigned)v;

	if (opt->type == VIO_OPT_UINT)
		memcpy(opt_field(opt, obj), &u, sizeof(u));
	else
		memcpy(opt_field(opt, obj), &v, sizeof(v));
}

static int set_number(const struct vio_opt *opt, void *obj, const char *text, char *err)
{
	uint64_t max = opt->max ? opt->max : UINT64_MAX;
	uint64_t v = 0;
	int r;

	if (opt->word && strcmp(text, opt->word) == 0) {
		store_number(opt, obj, opt->word_value);
		return 0;
	}
	if (opt->type == VIO_OPT_UINT && max > UINT_MAX)
		max = UINT_MAX;
	r = parse_number(text, opt->type == VIO_OPT_SIZE, &v);
	if (r == -EINVAL)
		return refuse(opt, text, opt->type == VIO_OPT_SIZE ? "not a size" : "not a number",
			      err);
	if (r || v < opt->min || v > max)
		return refuse(opt, text, "out of range", err);
	if (opt->pow2 && !vio_is_pow2(v))
		return refuse(opt, text, "not a power of two", err);
	if (opt->multiple > 1 && v % opt->multiple != 0)
		return refuse(opt, text, "not a multiple", err);
	store_number(opt, obj, v);
	return 0;
}

static int set_string(const struct vio_opt *opt, void *obj, const char *text, char *err)
{
	size_t len = strlen(text);
	char *copy, *old;

	if (opt->type == VIO_OPT_PATH && len == 0)
		return refuse(opt, text, "empty", err);
	if (opt->type == VIO_OPT_NAMES && strspn(text, " \t,") == len)
		return refuse(opt, text, "no name", err);
	if (len < opt->min)
		return refuse(opt, text, "too short", err);
	if (opt->max != 0 && len > opt->max)
		return refuse(opt, text, "too long", err);
	copy = strdup(text);
	if (!copy) {
		snprintf(err, VIO_OPT_ERROR_LEN, "out of memory");
		return -ENOMEM;
	}
	memcpy(&old, opt_field(opt, obj), sizeof(old));
	free(old);
	memcpy(opt_field(opt, obj), &copy, sizeof(copy));
	return 0;
}

static int set_choice(const struct vio_opt *opt, void *obj, const char *text, char *err)
{
	size_t n = count_choices(opt);

	for (unsigned i = 0; i < n; i++) {
		if (strcmp(text, opt->choices[i]) == 0) {
			memcpy(opt_field(opt, obj), &i, sizeof(i));
			return 0;
		}
	}
	vio_opt_unknown(err, "value", text, opt->choices, n);
	return -EINVAL;
}

/* Six numbers of two digits, with the same character between them. */
static bool parse_mac(const char *text, uint8_t mac[6])
{
	static const char digits[] = "0123456789abcdef";

	if (strlen(text) != MAC_TEXT_LEN)
		return false;
	for (size_t i = 0; i < MAC_TEXT_LEN; i++) {
		const char *digit = strchr(digits, lower(text[i]));

		if (i % 3 == 2) {
			if (text[i] != text[2] || (text[i] != ':' && text[i] != '-'))
				return false;
			continue;
		}
		if (!digit)
			return false;
		mac[i / 3] = (uint8_t)(mac[i / 3] << 4 | (digit - digits));
	}
	return true;
}

static int set_mac(const struct vio_opt *opt, void *obj, const char *text, char *err)
{
	static const uint8_t zero[6];
	uint8_t mac[6] = {0};

	if (opt->word && strcmp(text, opt->word) == 0) {
		memcpy(opt_field(opt, obj), zero, sizeof(zero));
		return 0;
	}
	if (!parse_mac(text, mac))
		return refuse(opt, text, "not like 52:54:00:12:34:56", err);
	if (mac[0] & 1)
		return refuse(opt, text, "the address of a group", err);
	if (memcmp(mac, zero, sizeof(mac)) == 0)
		return refuse(opt, text, "nobody's address", err);
	memcpy(opt_field(opt, obj), mac, sizeof(mac));
	return 0;
}

int vio_opt_set(const struct vio_opt *opt, void *obj, const char *text, char *err)
{
	switch (opt->type) {
	case VIO_OPT_BOOL:
		return set_bool(opt, obj, text, err);
	case VIO_OPT_UINT:
	case VIO_OPT_SIZE:
		return set_number(opt, obj, text, err);
	case VIO_OPT_STRING:
	case VIO_OPT_PATH:
	case VIO_OPT_NAMES:
		return set_string(opt, obj, text, err);
	case VIO_OPT_CHOICE:
		return set_choice(opt, obj, text, err);
	case VIO_OPT_MAC:
		return set_mac(opt, obj, text, err);
	}
	return -EINVAL;
}

/* ---- objects --------------------------------------------------------------------------------- */

static bool is_string(const struct vio_opt *opt)
{
	return opt->type == VIO_OPT_STRING || opt->type == VIO_OPT_PATH ||
	       opt->type == VIO_OPT_NAMES;
}

static void clear_field(const struct vio_opt *opt, void *obj)
{
	static const bool off = false;
	static const unsigned zero = 0;
	static const uint8_t no_mac[6];
	char *none = NULL;

	if (opt->type == VIO_OPT_BOOL)
		memcpy(opt_field(opt, obj), &off, sizeof(off));
	else if (is_string(opt))
		memcpy(opt_field(opt, obj), &none, sizeof(none));
	else if (opt->type == VIO_OPT_CHOICE)
		memcpy(opt_field(opt, obj), &zero, sizeof(zero));
	else if (opt->type == VIO_OPT_MAC)
		memcpy(opt_field(opt, obj), no_mac, sizeof(no_mac));
	else
		store_number(opt, obj, 0);
}

int vio_opts_init(const struct vio_opt *opts, size_t n, void *obj)
{
	char err[VIO_OPT_ERROR_LEN];
	int r = 0;

	for (size_t i = 0; i < n; i++)
		clear_field(&opts[i], obj);
	for (size_t i = 0; i < n && !r; i++) {
		if (opts[i].def)
			r = vio_opt_set(&opts[i], obj, opts[i].def, err);
	}
	if (r)
		vio_opts_fini(opts, n, obj);
	return r;
}

void vio_opts_fini(const struct vio_opt *opts, size_t n, void *obj)
{
	for (size_t i = 0; i < n; i++) {
		char *old;

		if (!is_string(&opts[i]))
			continue;
		memcpy(&old, opt_field(&opts[i], obj), sizeof(old));
		free(old);
		clear_field(&opts[i], obj);
	}
}
