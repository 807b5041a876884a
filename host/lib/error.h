/* How the library fills in the caller's provium_error. Each error is set once, where it happens. */
#ifndef LIB_ERROR_H
#define LIB_ERROR_H

#include <stddef.h>

#include "host/include/provium.h"

/*
 * Fills *error, unless error is NULL, and returns -1. os_errno other than 0 is remembered and told
 * in words at the end (": No such file or directory"), except with PROVIUM_GUEST: the guest's
 * numbers may mean something else here. The arguments may point into error->message.
 */
int error_set(struct provium_error *error, enum provium_code code, int os_errno, const char *fmt,
	      ...) __attribute__((format(printf, 4, 5)));

/* Puts text and ": " before the message that is there. error may be NULL. */
void error_prefix(struct provium_error *error, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Back to PROVIUM_OK. error may be NULL. */
void error_clear(struct provium_error *error);

/* *to = *from. to may be NULL. Returns -1. */
int error_copy(struct provium_error *to, const struct provium_error *from);

/*
 * Copies text that comes from the guest for a person to read: at most size - 1 bytes, those that a
 * terminal could obey (control characters) as '?'. text may be NULL ("").
 */
void error_guest_text(char *to, size_t size, const char *text);

#endif
