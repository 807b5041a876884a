#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/util.h"

static const char *const code_names[] = {
	[PROVIUM_OK] = "success",
	[PROVIUM_INVALID] = "invalid argument",
	[PROVIUM_HOST] = "system call failed on the host",
	[PROVIUM_GUEST] = "system call failed in the guest",
	[PROVIUM_TIMED_OUT] = "timed out",
	[PROVIUM_CANCELLED] = "cancelled",
	[PROVIUM_DISCONNECTED] = "connection lost",
	[PROVIUM_PROTOCOL] = "protocol error",
	[PROVIUM_LIMIT] = "limit exceeded",
	[PROVIUM_NOT_FOUND] = "not found",
	[PROVIUM_BUSY] = "busy",
	[PROVIUM_UNSUPPORTED] = "not supported",
	[PROVIUM_AUTH] = "not authorised",
	[PROVIUM_BOOT] = "boot failed",
	[PROVIUM_VM_GONE] = "virtual machine ended",
	[PROVIUM_SPLAT] = "the kernel reported a fault",
};

_Static_assert(ARRAY_SIZE(code_names) == PROVIUM_SPLAT + 1, "a name for each code");

const char *provium_code_name(enum provium_code code)
{
	if ((size_t)code >= ARRAY_SIZE(code_names))
		return "unknown error";
	return code_names[code];
}

/* Appends text; where both are too much, the message is cut, and not what comes last. */
static void append(char message[PROVIUM_MESSAGE_SIZE], const char *text)
{
	size_t count = MIN(strlen(text), (size_t)PROVIUM_MESSAGE_SIZE - 1);
	size_t length = MIN(strlen(message), PROVIUM_MESSAGE_SIZE - 1 - count);

	memcpy(message + length, text, count);
	message[length + count] = '\0';
}

int error_set(struct provium_error *error, enum provium_code code, int os_errno, const char *fmt,
	      ...)
{
	char message[PROVIUM_MESSAGE_SIZE];
	va_list args;

	if (!error)
		return -1;
	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	if (os_errno && code != PROVIUM_GUEST) {
		char reason[128];

		snprintf(reason, sizeof(reason), ": %s", strerror(os_errno));
		append(message, reason);
	}

	error->code = code;
	error->os_errno = os_errno;
	error->operation[0] = '\0';
	memcpy(error->message, message, sizeof(message));
	return -1;
}

void error_prefix(struct provium_error *error, const char *fmt, ...)
{
	char message[PROVIUM_MESSAGE_SIZE];
	va_list args;

	if (!error)
		return;
	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	append(message, ": ");
	append(message, error->message);
	memcpy(error->message, message, sizeof(message));
}

void error_clear(struct provium_error *error)
{
	if (!error)
		return;
	error->code = PROVIUM_OK;
	error->os_errno = 0;
	error->operation[0] = '\0';
	error->message[0] = '\0';
}

int error_copy(struct provium_error *to, const struct provium_error *from)
{
	if (!to || to == from)
		return -1;
	*to = *from;
	return -1;
}

void error_guest_text(char *to, size_t size, const char *text)
{
	size_t length = 0;

	while (text && text[length] && length + 1 < size) {
		unsigned char byte = (unsigned char)text[length];

		to[length] = text[length];
		if (byte < 0x20 || byte == 0x7f)
			to[length] = '?';
		length++;
	}
	to[length] = '\0';
}
