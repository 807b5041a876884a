/* Errors of the command: one value, wrapped on the way up, told once by main(). */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "host/include/provium.h"

/*
 * Provium's own failures, whatever the command: so docker(1), env(1) and timeout(1) have it. A
 * fault of the kernel's is none of these: to git-bisect(1), which can run `provium run`, 125 says
 * that a kernel cannot be tested, and 123 that it is bad.
 */
#define STATUS_SPLAT     123
#define STATUS_TIMED_OUT 124
#define STATUS_FAILURE   125

/* Fills error in. Always -1, to be returned. */
__attribute__((format(printf, 3, 4))) int cli_fail(struct provium_error *error,
						   enum provium_code code, const char *format, ...);

/* PROVIUM_HOST, with errno's text behind ": ". Always -1. */
__attribute__((format(printf, 2, 3))) int cli_fail_errno(struct provium_error *error,
							 const char *format, ...);

/* Puts "TEXT: " before the message. Always -1. */
__attribute__((format(printf, 2, 3))) int cli_fail_in(struct provium_error *error,
						      const char *format, ...);

/*
 * Writes "provium: MESSAGE" and a newline to standard error, by one write(2) where all of it goes
 * at once. Waits for who reads it.
 */
void report(const char *message);

#endif
