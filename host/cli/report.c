#include "host/cli/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

int cli_fail(struct provium_error *error, enum provium_code code, const char *format, ...)
{
	va_list args;

	memset(error, 0, sizeof(*error));
	error->code = code;
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	return -1;
}

int cli_fail_errno(struct provium_error *error, const char *format, ...)
{
	int os_errno = errno;
	va_list args;
	size_t used;

	memset(error, 0, sizeof(*error));
	error->code = PROVIUM_HOST;
	error->os_errno = os_errno;
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	used = strlen(error->message);
	snprintf(error->message + used, sizeof(error->message) - used, ": %s", strerror(os_errno));
	return -1;
}

int cli_fail_in(struct provium_error *error, const char *format, ...)
{
	char message[sizeof(error->message)];
	va_list args;
	size_t used;

	memcpy(message, error->message, sizeof(message));
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	used = strlen(error->message);
	snprintf(error->message + used, sizeof(error->message) - used, ": %s", message);
	return -1;
}

void report(const char *message)
{
	struct iovec parts[] = {
		{ .iov_base = (char[]){ "provium: " }, .iov_len = strlen("provium: ") },
		{ .iov_base = (char *)message, .iov_len = strlen(message) },
		{ .iov_base = (char[]){ "\n" }, .iov_len = 1 },
	};

	/* Where standard error is gone there is nobody to tell. */
	if (writev(STDERR_FILENO, parts, 3) < 0)
		return;
}
