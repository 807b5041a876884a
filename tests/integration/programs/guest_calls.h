/*
 * System calls as a C program makes them, for calls.h to compare with. "calls NAME" makes those of
 * a case and prints what came of them, a line each: a label, and a result or bytes in hexadecimal.
 */
#ifndef TESTS_GUEST_CALLS_H
#define TESTS_GUEST_CALLS_H

#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The result, or -errno. */
#define CALL(...) made(syscall(__VA_ARGS__))
long made(long result);

void tell(const char *label, long result);
/* "fine", or -errno. */
void tell_success(const char *label, long result);
void tell_bytes(const char *label, const void *data, size_t size);

struct guest_case {
	const char *name;
	void (*run)(void);
};

/* Each ends with one that has no name. */
extern const struct guest_case guest_file_cases[];
extern const struct guest_case guest_socket_cases[];
extern const struct guest_case guest_wait_cases[];
extern const struct guest_case guest_kernel_cases[];

#endif
