/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file's lines to sections and keys, with inih.
 *
 * inih alone leaves things out that an error message or a device needs: it may be built to report
 * no line numbers, says nothing of a section without keys, cuts long names without a word, and its
 * line buffer may be as short as 200 bytes. So it reads through reader_next(), which counts lines,
 * takes comments and blanks away, checks each line's outline, and puts a line of its own after each
 * section header. A value is taken from the reader's line, which is long enough for any path.
 */
#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "config_internal.h"

#define LINE_LEN 4608 /* PATH_MAX and a key */
#define FILE_MAX (1u << 20)

/* What inih's own buffers hold for sure. */
#define HEADER_MAX    48
#define INIH_LINE_MIN (CONFIG_KEY_MAX + 8)

#define BLANKS " \t\r\v\f"

enum header_state {
	NO_HEADER,
	HEADER, /* a section header was handed over; the marker comes next */
	MARKER, /* the marker was handed over */
};

struct reader {
	struct vio_config *cfg;
	struct origin at;
	const char *next, *end;
	char line[LINE_LEN + 1]; /* the current line, without comment and outer blanks */
	enum header_state header;
	struct object *object; /* the section that keys belong to */
	int status;
};

static int reader_fail(struct reader *r, const char *what)
{
	r->status = config_fail(r->cfg, -EINVAL, &r->at, NULL, NULL, "%s", what);
	return r->status;
}

/*
 * Takes away a comment and outer blanks. A comment begins with # or ; at the start of the line, of
 * the value, or of a word.
 */
static void strip(char *line)
{
	const char *value = line + strcspn(line, "=:") + 1;
	size_t start = strspn(line, BLANKS), len;

	for (char *p = line; *p; p++) {
		if ((*p == '#' || *p == ';') &&
		    (p == line || p == value || strchr(BLANKS, p[-1]))) {
			*p = '\0';
			break;
		}
	}
	len = strlen(line);
	while (len > 0 && strchr(BLANKS, line[len - 1]))
		line[--len] = '\0';
	if (start >= len)
		line[0] = '\0';
	else
		memmove(line, line + start, len - start + 1);
}

static bool has_control_character(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == 0x7f || c == 0 || (c < 0x20 && !strchr(BLANKS, c)))
			return true;
	}
	return false;
}

/* Fetches the next line into r->line. False at the end and after an error. */
static bool fetch_line(struct reader *r)
{
	size_t left = (size_t)(r->end - r->next), len;
	const char *newline, *start = r->next;

	if (r->status || left == 0)
		return false;
	newline = memchr(start, '\n', left);
	len = newline ? (size_t)(newline - start) : left;
	r->next = newline ? newline + 1 : r->end;
	r->at.line++;
	if (r->at.line == 1 && len >= 3 && memcmp(start, "\xef\xbb\xbf", 3) == 0) {
		start += 3; /* byte order mark */
		len -= 3;
	}
	if (len > LINE_LEN)
		return reader_fail(r, "the line is too long") == 0;
	if (has_control_character(start, len))
		return reader_fail(r, "a control character in the line") == 0;
	memcpy(r->line, start, len);
	r->line[len] = '\0';
	strip(r->line);
	return true;
}

/* Will inih read this line as it is meant? */
static int check_outline(struct reader *r)
{
	size_t len = strlen(r->line), key;

	if (r->line[0] == '[') {
		if (strcspn(r->line, "]") != len - 1)
			return reader_fail(r, "a section header is [TYPE NAME], nothing after it");
		if (len - 2 > HEADER_MAX)
			return reader_fail(r, "the section header is too long");
		return 0;
	}
	key = strcspn(r->line, "=:");
	if (r->line[key] == '\0')
		return reader_fail(r, "neither [section] nor key = value");
	if (key == 0)
		return reader_fail(r, "there is no key before the value");
	if (key > CONFIG_KEY_MAX)
		return reader_fail(r, "the key is too long");
	return 0;
}

/* inih's fgets(). */
static char *reader_next(char *str, int num, void *stream)
{
	struct reader *r = stream;

	if (num < INIH_LINE_MIN) {
		reader_fail(r, "inih has no room for a line");
		return NULL;
	}
	if (r->header == HEADER) {
		r->header = MARKER;
		memcpy(str, "=\n", 3);
		return str;
	}
	r->header = NO_HEADER;
	do {
		if (!fetch_line(r))
			return NULL;
	} while (r->line[0] == '\0');
	if (check_outline(r))
		return NULL;
	r->header = r->line[0] == '[' ? HEADER : NO_HEADER;
	snprintf(str, (size_t)num, "%.*s\n", num - 2, r->line);
	return str;
}

static int open_section(struct reader *r, const char *section)
{
	char header[HEADER_MAX + 1];
	size_t len;

	section += strspn(section, BLANKS);
	snprintf(header, sizeof(header), "%s", section);
	len = strlen(header);
	while (len > 0 && strchr(BLANKS, header[len - 1]))
		header[--len] = '\0';
	r->object = NULL;
	return config_open_section(r->cfg, &r->at, header, &r->object);
}

static int add_key(struct reader *r, const char *key)
{
	const char *value = r->line + strcspn(r->line, "=:") + 1;

	if (!r->object)
		return reader_fail(r, "a key before the first [section]");
	value += strspn(value, BLANKS);
	return config_add_setting(r->cfg, r->object, &r->at, key, value);
}

/* inih's handler: one section header (the marker line) or one key. Non-zero: go on. */
static int on_line(void *user, const char *section, const char *key, const char *value
#if INI_HANDLER_LINENO
		   ,
		   int lineno
#endif
)
{
	struct reader *r = user;

#if INI_HANDLER_LINENO
	(void)lineno;
#endif
	(void)value; /* cut where inih's buffer ends */
	if (r->status)
		return 0;
	r->status = r->header == MARKER ? open_section(r, section) : add_key(r, key);
	return r->status == 0;
}

int vio_config_read_buffer(struct vio_config *cfg, const char *name, const char *text, size_t len)
{
	struct reader r = {.cfg = cfg, .next = text, .end = text + len};
	int result;

	if (cfg->closed)
		return config_busy(cfg);
	r.at.source = config_keep_source(cfg, name);
	if (!r.at.source)
		return config_no_memory(cfg);
	cfg->file = r.at.source;
	result = ini_parse_stream(reader_next, &r, on_line, &r);
	if (r.status == 0 && result < 0)
		return config_no_memory(cfg);
	if (r.status == 0 && result > 0)
		reader_fail(&r, "the line cannot be read");
	return r.status;
}

/* All of a file; *buf is to be freed. */
static int slurp(FILE *f, char **out, size_t *len)
{
	char *buf = malloc(FILE_MAX + 1);

	if (!buf)
		return -ENOMEM;
	errno = EIO;
	*len = fread(buf, 1, FILE_MAX + 1, f);
	if (ferror(f) || *len > FILE_MAX) {
		int r = ferror(f) ? -errno : -EFBIG;

		free(buf);
		return r;
	}
	*out = buf;
	return 0;
}

int vio_config_read(struct vio_config *cfg, const char *path)
{
	struct origin at = {path, 0};
	size_t len = 0;
	char *text = NULL;
	FILE *f;
	int r;

	if (cfg->closed)
		return config_busy(cfg);
	f = fopen(path, "re");
	if (!f) {
		r = -errno;
		return config_fail(cfg, r, &at, NULL, NULL, "cannot be opened: %s", strerror(-r));
	}
	r = slurp(f, &text, &len);
	fclose(f);
	if (r)
		return config_fail(cfg, r, &at, NULL, NULL, "cannot be read: %s", strerror(-r));
	r = vio_config_read_buffer(cfg, path, text, len);
	free(text);
	return r;
}
