/*
 * System calls through the library, beside the same ones made by a C program in the guest
 * (guest_calls.h): each side is written for itself, here with buffers, pointers and references.
 *
 * A case adds calls to the program and says what of them counts, line by line, as the C program
 * prints it.
 */
#ifndef TESTS_CALLS_H
#define TESTS_CALLS_H

#include <stddef.h>

#include "tests/integration/programs/programs.h"

#define V                VALUE
#define A(buffer)        provium_address(buffer)
#define AT(buffer, at)   provium_address_at((buffer), (at))
#define R(call)          provium_result_of(call)
#define LOAD(buffer, at) provium_load((buffer), (at), 4)
#define MAKE(name, ...)  PROVIUM_CALL(program, SYS_##name, __VA_ARGS__)

/* Buffers: of a string, of an object or an array, and of so many zeros; the last two come back. */
int text(const char *string);
int object(const void *data, size_t size);
int zeros(size_t size);
#define OBJECT(value) object(&(value), sizeof(value))

/* Lines: a result; that a call did not fail, where its result is a matter of chance; that it failed
 * with this errno; bytes of a buffer. All but say_failure want the call to succeed. */
void say(const char *label, int call);
void say_success(const char *label, int call);
void say_failure(const char *label, int call, int number);
void say_bytes(const char *label, int buffer, uint32_t offset, uint32_t size);

struct call_case {
	/* As the C program knows it. */
	const char *name;
	void (*calls)(void);
};

/* Each ends with one that has no name. */
extern const struct call_case file_cases[];
extern const struct call_case socket_cases[];
extern const struct call_case wait_cases[];
extern const struct call_case kernel_cases[];

#endif
