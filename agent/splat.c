#include "agent/splat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/text.h"
#include "common/util.h"
#include "proto/codec.h"

#define KIND(name) PROVIUM__V1__KERNEL_EVENT_KIND__KERNEL_##name

/* The room for a block's text at first. */
#define FIRST_ROOM KIB(4)

/* Of a line of '='. */
#define RULE_MIN   20

enum splat_end {
	/* "---[ end trace 0000000000000000 ]---" */
	END_TRACE,
	/* A line of '=', as at its beginning. */
	END_RULE,
	/* The end of the stack of a task, which is the last that is shown. */
	END_TASK,
	/* The headline is all of it. */
	END_LINE,
};

/* What a headline begins with; the first that matches counts. */
struct headline {
	const char *text;
	/* What it holds as well; "": nothing. */
	const char *part;
	uint8_t kind;
	uint8_t end;
	/* Only behind a line of '='. */
	bool ruled;
};

/* clang-format off */
static const struct headline headlines[] = {
	{ "------------[ cut here", "", KIND(WARNING), END_TRACE, false },
	{ "kernel BUG at ", "", KIND(BUG), END_TRACE, false },
	{ "refcount_t: ", "", KIND(REFCOUNT), END_TRACE, false },
	{ "UBSAN: ", "", KIND(UBSAN), END_RULE, true },
	{ "UBSAN: ", "", KIND(UBSAN), END_TRACE, false },
	{ "BUG: KASAN", "", KIND(KASAN), END_RULE, false },
	{ "BUG: KCSAN", "", KIND(KCSAN), END_RULE, false },
	{ "BUG: K", "SAN: ", KIND(BUG), END_RULE, false },
	{ "BUG: KFENCE", "", KIND(BUG), END_RULE, false },
	{ "BUG: kernel NULL", "", KIND(OOPS), END_TRACE, false },
	{ "BUG: unable to handle", "", KIND(OOPS), END_TRACE, false },
	{ "Unable to handle kernel", "", KIND(OOPS), END_TRACE, false },
	{ "BUG: soft lockup", "", KIND(SOFT_LOCKUP), END_TASK, false },
	{ "Watchdog detected hard LOCKUP", "", KIND(SOFT_LOCKUP), END_TASK, false },
	{ "CPU", "Watchdog detected hard LOCKUP", KIND(SOFT_LOCKUP), END_TASK, false },
	{ "BUG: ", "", KIND(BUG), END_TASK, false },
	/* That of the slab allocator. */
	{ "BUG ", "): ", KIND(BUG), END_TASK, true },
	/* Those of lockdep. */
	{ "WARNING: ", "", KIND(LOCKDEP), END_TASK, true },
	{ "[ BUG: ", "", KIND(LOCKDEP), END_TASK, true },
	{ "[ INFO: ", "", KIND(LOCKDEP), END_TASK, true },
	{ "INFO: trying to register non-static key", "", KIND(LOCKDEP), END_TASK, false },
	{ "WARNING: CPU: ", " at ", KIND(WARNING), END_TRACE, false },
	/* As Linux 6.17 writes it. */
	{ "WARNING: ", ", CPU#", KIND(WARNING), END_TRACE, false },
	{ "INFO: task ", " blocked ", KIND(HUNG_TASK), END_TASK, false },
	{ "INFO: rcu", " stall", KIND(RCU_STALL), END_TASK, false },
	{ "kmemleak: ", "new suspected memory leak", KIND(KMEMLEAK), END_LINE, false },
};
/* clang-format on */

/* What the subsystem puts before it. */
static const char *skip_prefix(const char *line)
{
	static const char *const prefixes[] = { "NMI ", "watchdog: ", "rcu: ", "Oops: " };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t length = strlen(prefixes[i]);

		if (strncmp(line, prefixes[i], length) == 0)
			line += length;
	}
	return line;
}

/* The value of a hexadecimal digit, as the kernel writes it; -1: it is none. */
static int hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/*
 * "Oops: 0002 [#1] SMP", of any fault that ends in an oops: how many there have been, behind the
 * error's code (x86, arm64) or behind "Oops" itself (riscv).
 */
static bool is_oops(const char *line)
{
	const char *at = text_find(line, " [#");
	int digits = 0;

	if (!at || at[3] < '1' || at[3] > '9')
		return false;
	while (at - digits > line && hex_digit(at[-digits - 1]) >= 0)
		digits++;
	return digits >= 4 || strncmp(line, "Oops", 4) == 0;
}

static const struct headline oops = { "", "", KIND(OOPS), END_TRACE, false };
static const struct headline protection = { "", "", KIND(GENERAL_PROTECTION), END_TRACE, false };

/* NULL: it is none. */
static const struct headline *find_headline(const char *line, bool ruled)
{
	const char *text = skip_prefix(line);

	if (is_oops(line))
		return strncmp(text, "general protection", 18) == 0 ? &protection : &oops;
	for (size_t i = 0; i < ARRAY_SIZE(headlines); i++) {
		const struct headline *headline = &headlines[i];

		if (strncmp(text, headline->text, strlen(headline->text)) == 0 &&
		    text_find(text, headline->part) && (ruled || !headline->ruled))
			return headline;
	}
	return NULL;
}

/* A line of nothing but '='. */
static bool is_rule(const char *line)
{
	size_t length = 0;

	while (line[length] == '=')
		length++;
	return length >= RULE_MIN && line[length] == '\0';
}

static bool is_last(const struct splat *splat, const char *line)
{
	switch (splat->end) {
	case END_TRACE:
		return strncmp(line, "---[ end trace", 14) == 0;
	case END_RULE:
		return is_rule(line);
	case END_TASK:
		return strncmp(line, " </TASK>", 8) == 0;
	default:
		return true;
	}
}

static void append(struct splat *splat, const char *line)
{
	size_t length = MIN(strlen(line), SPLAT_MAX_TEXT - splat->length - 1);

	splat->lines++;
	/* A line is shorter than the first room, so that twice as much is enough. */
	if (splat->length + length + 1 > splat->capacity) {
		size_t capacity = MAX(2 * splat->capacity, FIRST_ROOM);
		char *text = realloc(splat->text, capacity);

		/* What there is stays, with a line missing. */
		if (!text)
			return;
		splat->text = text;
		splat->capacity = capacity;
	}
	if (splat->length > 0)
		splat->text[splat->length++] = '\n';
	memcpy(splat->text + splat->length, line, length);
	splat->length += length;
}

void splat_finish(struct splat *splat)
{
	free(splat->text);
	splat->text = NULL;
	splat->length = splat->capacity = 0;
	splat->kind = 0;
}

void splat_flush(struct splat *splat)
{
	if (splat->kind)
		splat->found(splat->user, splat);
	splat_finish(splat);
}

static void begin(struct splat *splat, const struct headline *headline,
		  const struct kmsg_record *record)
{
	splat_flush(splat);
	splat->kind = headline->kind;
	splat->end = headline->end;
	splat->facility = record->priority >> 3;
	splat->timestamp_us = record->timestamp_us;
	splat->has_headline = headline != &headlines[0] && headline->kind != KIND(REFCOUNT);
	splat->has_oops = false;
	splat->lines = 0;
}

/*
 * Whether a headline is one of the block that is open, which then is of its kind: behind "cut here"
 * stands what was found there, and behind that the line that counts the oops.
 */
static bool continues(struct splat *splat, const struct headline *headline)
{
	if (headline->end != END_TRACE || headline == &headlines[0])
		return false;
	if (headline == &oops || headline == &protection) {
		if (splat->has_oops || (splat->kind != KIND(BUG) && splat->kind != KIND(OOPS)))
			return false;
		if (headline == &protection)
			splat->kind = headline->kind;
		splat->end = END_TRACE;
		return true;
	}
	if (splat->has_headline || splat->end != END_TRACE)
		return false;
	/* The warning that tells of a reference count is a reference count's. */
	splat->has_headline = headline->kind != KIND(REFCOUNT);
	if (splat->kind != KIND(REFCOUNT))
		splat->kind = headline->kind;
	return true;
}

/* Of the block that is open. */
static void take(struct splat *splat, const char *line, bool ruled)
{
	if (ruled)
		append(splat, splat->rule);
	append(splat, line);
	splat->has_oops |= is_oops(line);
	if (is_last(splat, line) || splat->lines >= SPLAT_MAX_LINES ||
	    splat->length >= SPLAT_MAX_TEXT - 1)
		splat_flush(splat);
}

/* A line of '=' belongs to what the next line belongs to. */
static void add_line(struct splat *splat, const struct kmsg_record *record, const char *line)
{
	unsigned int facility = record->priority >> 3;
	bool inside = splat->kind != 0 && splat->facility == facility;
	const struct headline *headline;
	bool ruled;

	/* Others' lines; what they call a fault does not cut the kernel's own report in two. */
	if (splat->kind != 0 && !inside)
		return;
	if (is_rule(line) && !(inside && splat->end == END_RULE)) {
		snprintf(splat->rule, sizeof(splat->rule), "%.*s", SPLAT_MAX_RULE, line);
		splat->rule_facility = facility;
		return;
	}
	ruled = splat->rule[0] && splat->rule_facility == facility;
	headline = find_headline(line, ruled);
	if (headline && !(inside && continues(splat, headline)))
		begin(splat, headline, record);
	if (splat->kind != 0)
		take(splat, line, ruled);
	if (splat->kind != 0 || ruled)
		splat->rule[0] = '\0';
}

void splat_init(struct splat *splat, void (*found)(void *user, const struct splat *splat),
		void *user)
{
	*splat = (struct splat){ .found = found, .user = user };
}

/* A line that holds a NUL ends with it. */
void splat_add(struct splat *splat, const struct kmsg_record *record)
{
	const char *at = record->text;
	const char *end = at + record->length;

	while (at <= end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		char line[1024];
		size_t length = MIN((size_t)((newline ? newline : end) - at), sizeof(line) - 1);

		memcpy(line, at, length);
		line[length] = '\0';
		add_line(splat, record, line);
		at = newline ? newline + 1 : end + 1;
	}
}

/* "\x0a": a byte that could not be printed. Returns how many bytes are left. */
static size_t unescape(char *text, size_t length)
{
	size_t used = 0;

	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\\' && length - i >= 4 && text[i + 1] == 'x') {
			int high = hex_digit(text[i + 2]), low = hex_digit(text[i + 3]);

			if (high >= 0 && low >= 0) {
				text[used++] = (char)(high << 4 | low);
				i += 3;
				continue;
			}
		}
		text[used++] = text[i];
	}
	return used;
}

bool kmsg_parse(char *data, size_t size, struct kmsg_record *record)
{
	char *text = memchr(data, ';', size), *end;
	const char *at = data;
	uint64_t priority;

	if (!text)
		return false;
	*text++ = '\0';
	if (!text_read_number(&at, &priority) || *at++ != ',' || priority > UINT32_MAX ||
	    !text_read_number(&at, &record->sequence) || *at++ != ',' ||
	    !text_read_number(&at, &record->timestamp_us) || (*at != ',' && *at != '\0'))
		return false;
	end = memchr(text, '\n', (size_t)(data + size - text));
	if (!end)
		end = data + size;
	record->priority = (unsigned int)priority;
	record->text = text;
	record->length = unescape(text, (size_t)(end - text));
	text[record->length] = '\0';
	return true;
}
