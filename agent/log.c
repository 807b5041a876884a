#include "agent/log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/boot.h"
#include "common/util.h"

/* A record of the kernel's log takes about 1000 bytes in all (LOG_LINE_MAX). */
#define TEXT_MAX 900

/*
 * At most `burst` lines at once and one more each interval. The kernel takes ten records in five
 * seconds from an open /dev/kmsg and drops the rest until it is closed (kernel/printk/printk.c,
 * devkmsg_write), so that we stay under that and can tell what was dropped.
 */
struct rate {
	unsigned int burst;
	uint64_t interval_ns;
};

#define KMSG_RATE                                     \
	{                                             \
		.burst = 5, .interval_ns = 1000000000 \
	}
#define OPEN_RATE                                    \
	{                                            \
		.burst = 200, .interval_ns = 5000000 \
	}

static struct {
	int fd;
	bool kmsg;
	enum log_level level;
	struct rate rate;
	/* A full bucket has `burst` tokens; `since` is when the last one was added. */
	unsigned int tokens;
	uint64_t since;
	unsigned int dropped;
} log_state = {
	.fd = STDERR_FILENO,
	.level = LEVEL_WARN,
	.rate = OPEN_RATE,
};

static const struct {
	const char *name;
	const char *prefix;
	/* syslog(2) levels; a launcher's `quiet` hides all from 4 on. */
	const char *kmsg_prefix;
} levels[] = {
	[LEVEL_ERROR] = { "error", "error: ", "<3>" },
	[LEVEL_WARN] = { "warn", "warning: ", "<4>" },
	[LEVEL_INFO] = { "info", "", "<6>" },
	[LEVEL_DEBUG] = { "debug", "debug: ", "<7>" },
};

static void set_output(int fd, bool kmsg, struct rate rate)
{
	log_state.fd = fd;
	log_state.kmsg = kmsg;
	log_state.rate = rate;
	log_state.tokens = rate.burst;
	log_state.since = monotonic_ns();
}

void log_to_kmsg(int fd, bool devkmsg_on)
{
	set_output(fd, true, devkmsg_on ? (struct rate)OPEN_RATE : (struct rate)KMSG_RATE);
}

int log_fd(void)
{
	return log_state.fd;
}

void log_to_stderr(void)
{
	set_output(STDERR_FILENO, false, (struct rate)OPEN_RATE);
}

void log_set_level(enum log_level level)
{
	log_state.level = level;
}

bool log_parse_level(const char *name, enum log_level *level)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strcmp(name, levels[i].name) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

static bool take_token(void)
{
	uint64_t now = monotonic_ns();
	uint64_t added = (now - log_state.since) / log_state.rate.interval_ns;

	if (added >= log_state.rate.burst - log_state.tokens) {
		log_state.tokens = log_state.rate.burst;
		log_state.since = now;
	} else {
		log_state.tokens += (unsigned int)added;
		log_state.since += added * log_state.rate.interval_ns;
	}
	if (log_state.tokens == 0)
		return false;
	log_state.tokens--;
	return true;
}

/* One write is one record; what a terminal could obey is not passed on. */
static void write_line(const char *kmsg_prefix, const char *prefix, const char *text)
{
	char line[TEXT_MAX + 2];
	int length =
		snprintf(line, TEXT_MAX, "%s%s%s", log_state.kmsg ? kmsg_prefix : "", prefix, text);

	length = MIN(MAX(length, 0), TEXT_MAX - 1);
	for (int i = 0; i < length; i++) {
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	}
	line[length++] = '\n';
	/* Nobody is left who could be told. */
	(void)!write(log_state.fd, line, (size_t)length);
}

static void log_line(enum log_level level, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));

static void log_line(enum log_level level, const char *format, va_list arguments)
{
	char text[TEXT_MAX], prefix[64];

	if (level > log_state.level)
		return;
	vsnprintf(text, sizeof(text), format, arguments);
	if (!take_token()) {
		log_state.dropped++;
		return;
	}
	/* Costs a token of its own: next time if there is none. */
	if (log_state.dropped > 0 && take_token()) {
		snprintf(prefix, sizeof(prefix),
			 "provium-agent: %u lines before this one were dropped", log_state.dropped);
		write_line(levels[LEVEL_WARN].kmsg_prefix, prefix, "");
		log_state.dropped = 0;
	}
	snprintf(prefix, sizeof(prefix), "provium-agent[%d]: %s", (int)getpid(),
		 levels[level].prefix);
	write_line(levels[level].kmsg_prefix, prefix, text);
}

#define DEFINE_LOG(name, level)                       \
	void name(const char *format, ...)            \
	{                                             \
		va_list arguments;                    \
                                                      \
		va_start(arguments, format);          \
		log_line((level), format, arguments); \
		va_end(arguments);                    \
	}

DEFINE_LOG(log_error, LEVEL_ERROR)
DEFINE_LOG(log_warn, LEVEL_WARN)
DEFINE_LOG(log_info, LEVEL_INFO)
DEFINE_LOG(log_debug, LEVEL_DEBUG)

void log_fatal(const char *format, ...)
{
	char text[TEXT_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	write_line("<0>", BOOT_FATAL_PREFIX, text);
}
