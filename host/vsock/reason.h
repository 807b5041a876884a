/*
 * Why something was refused, in words.
 *
 * Functions that judge input from the guest or the front end return a negative errno and fill in a
 * reason; whoever ends the matter logs it, once.
 */
#ifndef VSOCK_REASON_H
#define VSOCK_REASON_H

#include <stdarg.h>
#include <stdio.h>

struct reason {
	char text[256];
};

/* Notes the reason and returns -error, so that a check is one statement. */
__attribute__((format(printf, 3, 4))) static inline int refuse(struct reason *reason, int error,
							       const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason->text, sizeof(reason->text), format, args);
	va_end(args);
	return -error;
}

#endif
