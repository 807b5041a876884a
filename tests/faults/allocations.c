/*
 * Loaded before the libraries of a program (LD_PRELOAD), this has one of its allocations fail: the
 * one whose number is in the environment, FAIL_ALLOCATION, counted from 1 over all threads, its
 * libraries' and the C library's own among them. A line on standard error says which it was, and at
 * the end of each of its processes one how many there were, as inject.c does it.
 *
 * What comes next in the order of the libraries is found behind it. That is the address sanitizer
 * where the program has the shared one, and what leaks is seen.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_ulong seen;
static unsigned long nth;

/* What this thread does now is the sanitizer's. Of a kind that needs no memory when first used. */
static __thread bool spared __attribute__((tls_model("initial-exec")));

/* A child that was forked goes on with the numbers; what it executes has none. */
__attribute__((constructor)) static void begin(void)
{
	const char *number = getenv("FAIL_ALLOCATION");

	nth = number ? strtoul(number, NULL, 10) : 0;
	unsetenv("FAIL_ALLOCATION");
	unsetenv("LD_PRELOAD");
	seen = 0;
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	char line[256];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	(void)!write(STDERR_FILENO, line, (size_t)length);
}

__attribute__((destructor)) static void end(void)
{
	say("inject: %lu calls\n", (unsigned long)seen);
}

/* With where it was called, for addr2line(1). */
static bool fails(const char *name, const char *caller)
{
	Dl_info object;
	const char *file = "?";

	if (spared || ++seen != nth)
		return false;
	if (dladdr(caller, &object) && object.dli_fname) {
		const char *slash = strrchr(object.dli_fname, '/');

		file = slash ? slash + 1 : object.dli_fname;
		caller -= (uintptr_t)object.dli_fbase;
	}
	say("inject: %s fails in process %d (%.100s %#tx)\n", name, getpid(), file,
	    (ptrdiff_t)caller);
	errno = ENOMEM;
	return true;
}

/* The function of that name that the program would have called. */
#define NEXT(name)                                                      \
	({                                                              \
		static typeof(name) *next;                              \
                                                                        \
		if (!next)                                              \
			next = (typeof(name) *)dlsym(RTLD_NEXT, #name); \
		next;                                                   \
	})

/* Its own name, result, parameters, arguments, and what it returns where it fails. */
#define REPLACE(name, type, parameters, arguments, failure)    \
	type name parameters                                   \
	{                                                      \
		if (fails(#name, __builtin_return_address(0))) \
			return failure;                        \
		return NEXT(name) arguments;                   \
	}

/* Others of the C library's call malloc(); under the sanitizer these do not. */
REPLACE(malloc, void *, (size_t size), (size), NULL)
REPLACE(calloc, void *, (size_t count, size_t size), (count, size), NULL)
REPLACE(realloc, void *, (void *old, size_t size), (old, size), NULL)
REPLACE(reallocarray, void *, (void *old, size_t count, size_t size), (old, count, size), NULL)
REPLACE(aligned_alloc, void *, (size_t alignment, size_t size), (alignment, size), NULL)
REPLACE(posix_memalign, int, (void **place, size_t alignment, size_t size),
	(place, alignment, size), ENOMEM)
REPLACE(strdup, char *, (const char *text), (text), NULL)
REPLACE(strndup, char *, (const char *text, size_t length), (text, length), NULL)
REPLACE(pthread_create, int,
	(pthread_t * thread, const pthread_attr_t *attributes, void *(*start)(void *),
	 void *argument),
	(thread, attributes, start, argument), EAGAIN)

/* By which the sanitizer finds out where a new thread's stack is, and ends where it cannot. */
int pthread_getattr_np(pthread_t thread, pthread_attr_t *attributes)
{
	int result;

	spared = true;
	result = NEXT(pthread_getattr_np)(thread, attributes);
	spared = false;
	return result;
}
