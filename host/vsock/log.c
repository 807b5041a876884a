#include "host/vsock/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/util.h"

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

void log_write(enum log_level level, const char *format, ...)
{
	static const char prefix[] = "provium-vsock: ";
	const size_t start = sizeof(prefix) - 1;
	int saved = errno;
	char line[512];
	va_list args;
	int length;

	if (level > log_limit)
		return;

	memcpy(line, prefix, start);
	va_start(args, format);
	length = vsnprintf(line + start, sizeof(line) - start - 1, format, args);
	va_end(args);

	if (length >= 0) {
		size_t end = start + MIN((size_t)length, sizeof(line) - start - 2);

		line[end++] = '\n';
		/* There is nowhere to say that standard error cannot be written to. */
		if (write(STDERR_FILENO, line, end) < 0)
			errno = saved;
	}
	errno = saved;
}
