#include "host/cli/report.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/util.h"

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

/* Standard error may have been made non-blocking by whoever shares it. */
static bool is_to_be_repeated(int error)
{
	struct pollfd wanted = { .fd = STDERR_FILENO, .events = POLLOUT };

	return error == EINTR || (error == EAGAIN && (poll(&wanted, 1, -1) >= 0 || errno == EINTR));
}

void report(const char *message)
{
	struct iovec parts[] = {
		{ .iov_base = (char[]){ "provium: " }, .iov_len = strlen("provium: ") },
		{ .iov_base = (char *)message, .iov_len = strlen(message) },
		{ .iov_base = (char[]){ "\n" }, .iov_len = 1 },
	};
	size_t next = 0;

	while (next < ARRAY_SIZE(parts)) {
		ssize_t written =
			writev(STDERR_FILENO, &parts[next], (int)(ARRAY_SIZE(parts) - next));

		/* Where standard error is gone there is nobody to tell. */
		if (written < 0 && !is_to_be_repeated(errno))
			return;
		for (size_t left = (size_t)MAX(written, 0); next < ARRAY_SIZE(parts); next++) {
			size_t taken = MIN(left, parts[next].iov_len);

			parts[next].iov_base = (char *)parts[next].iov_base + taken;
			parts[next].iov_len -= taken;
			left -= taken;
			if (parts[next].iov_len > 0)
				break;
		}
	}
}
