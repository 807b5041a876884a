#include "host/vsock/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/util.h"

#define LINES_PER_SECOND 20u

static enum log_level log_limit = LOG_LEVEL_WARNING;

static const char *const log_level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};
static_assert(ARRAY_SIZE(log_level_names) == LOG_LEVEL_DEBUG + 1, "a name for every level");

void log_set_level(enum log_level level)
{
	log_limit = level;
}

bool log_level_parse(const char *name, enum log_level *level)
{
	for (size_t i = 0; i < ARRAY_SIZE(log_level_names); i++) {
		if (strcmp(name, log_level_names[i]) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

/*
 * A guest can give rise to warnings as often as it likes: beyond a few each second they are counted
 * only. Who asks for debug messages wants them all.
 */
static bool log_admit(unsigned int *dropped)
{
	static const uint64_t interval_ns = 1000000000;
	static uint64_t interval_start;
	static unsigned int written, unwritten;
	uint64_t now = monotonic_ns();

	*dropped = 0;
	if (log_limit == LOG_LEVEL_DEBUG)
		return true;
	if (now - interval_start >= interval_ns) {
		interval_start = now;
		*dropped = unwritten;
		written = unwritten = 0;
	}
	if (written >= LINES_PER_SECOND) {
		unwritten++;
		return false;
	}
	written++;
	return true;
}

__attribute__((format(printf, 1, 0))) static void log_line(const char *format, va_list args)
{
	static const char prefix[] = "provium-vsock: ";
	const size_t start = sizeof(prefix) - 1;
	char line[512];
	int length;

	memcpy(line, prefix, start);
	length = vsnprintf(line + start, sizeof(line) - start - 1, format, args);
	if (length >= 0) {
		size_t end = start + MIN((size_t)length, sizeof(line) - start - 2);

		line[end++] = '\n';
		/* There is nowhere to say that standard error cannot be written to. */
		(void)!write(STDERR_FILENO, line, end);
	}
}

__attribute__((format(printf, 1, 2))) static void log_print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_line(format, args);
	va_end(args);
}

void log_write(enum log_level level, const char *format, ...)
{
	int saved = errno;
	unsigned int dropped;
	va_list args;

	if (level > log_limit || !log_admit(&dropped))
		return;
	if (dropped > 0)
		log_print("%u messages were left out", dropped);
	va_start(args, format);
	log_line(format, args);
	va_end(args);
	errno = saved;
}
