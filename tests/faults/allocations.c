/*
 * Linked into a program by --wrap (meson.build), this has one of its allocations fail: the one
 * whose number is in the environment, FAIL_ALLOCATION, counted from 1 over all threads. Libraries
 * that the program shares with others are left alone. A line on standard error says which it was,
 * and at the program's end one how many there were, as inject.c does it.
 *
 * The calls are replaced when it is linked and not when it is loaded, so that the address
 * sanitizer's are found behind them, and what leaks is seen.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static atomic_ulong seen;
static unsigned long nth;
static pid_t first_process;

/* A child that was forked has the numbers, but is not the program. */
__attribute__((constructor)) static void begin(void)
{
	const char *number = getenv("FAIL_ALLOCATION");

	nth = number ? strtoul(number, NULL, 10) : 0;
	seen = 0;
	first_process = getpid();
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	char line[128];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	(void)!write(STDERR_FILENO, line, (size_t)length);
}

__attribute__((destructor)) static void end(void)
{
	if (getpid() == first_process)
		say("inject: %lu calls\n", (unsigned long)seen);
}

/* Where the program begins in memory, for addr2line(1). */
extern const char __executable_start[];

static bool fails(const char *name, const char *caller)
{
	if (++seen != nth)
		return false;
	say("inject: %s fails in process %d (%#tx)\n", name, getpid(), caller - __executable_start);
	errno = ENOMEM;
	return true;
}

/* Its own name, result, parameters, arguments, and what it returns where it fails. */
#define WRAP(name, type, parameters, arguments, failure)       \
	type __real_##name parameters;                         \
	type __wrap_##name parameters;                         \
	type __wrap_##name parameters                          \
	{                                                      \
		if (fails(#name, __builtin_return_address(0))) \
			return failure;                        \
		return __real_##name arguments;                \
	}

WRAP(malloc, void *, (size_t size), (size), NULL)
WRAP(calloc, void *, (size_t count, size_t size), (count, size), NULL)
WRAP(realloc, void *, (void *old, size_t size), (old, size), NULL)
WRAP(reallocarray, void *, (void *old, size_t count, size_t size), (old, count, size), NULL)
WRAP(strdup, char *, (const char *text), (text), NULL)
WRAP(strndup, char *, (const char *text, size_t length), (text, length), NULL)
WRAP(fopen, FILE *, (const char *path, const char *mode), (path, mode), NULL)
WRAP(fopen64, FILE *, (const char *path, const char *mode), (path, mode), NULL)
WRAP(open_memstream, FILE *, (char **place, size_t *size), (place, size), NULL)
WRAP(opendir, DIR *, (const char *path), (path), NULL)
WRAP(fdopendir, DIR *, (int fd), (fd), NULL)
WRAP(pthread_create, int,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument),
     (thread, attributes, start, argument), EAGAIN)
WRAP(vasprintf, int, (char **text, const char *format, va_list args), (text, format, args), -1)
WRAP(__vasprintf_chk, int, (char **text, int flag, const char *format, va_list args),
     (text, flag, format, args), -1)

int __wrap_asprintf(char **text, const char *format, ...);
int __wrap___asprintf_chk(char **text, int flag, const char *format, ...);

int __wrap_asprintf(char **text, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = __wrap_vasprintf(text, format, args);
	va_end(args);
	return length;
}

int __wrap___asprintf_chk(char **text, int flag, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = __wrap___vasprintf_chk(text, flag, format, args);
	va_end(args);
	return length;
}
