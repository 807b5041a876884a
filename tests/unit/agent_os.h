/*
 * In the place of agent/os.c: system calls of the agent that do as they are told. A chosen call
 * fails, or transfers a few bytes only; all others are the real ones.
 */
#ifndef TESTS_AGENT_OS_H
#define TESTS_AGENT_OS_H

#include <stddef.h>

enum os_call {
	OS_ACCEPT,
	OS_OPEN,
	OS_READ,
	OS_WRITE,
	OS_RECEIVE,
	OS_SEND,
	OS_FSYNC,
	/* Of os_call. */
	OS_RENAME,
	OS_UNLINK,
	OS_STATX,
	OS_OPENAT2,
	OS_LIST,
	OS_CHMOD,
	OS_INOTIFY,
	OS_WATCH,
	OS_CLONE,
	OS_OPENAT,
	OS_DETACHED,
	OS_CALLS,
};

/* Lets the call fail so many times, after so many more that succeed. */
void os_fail(enum os_call call, int error, unsigned int after, unsigned int times);

/* Runs the function in the server's thread, once, just before the call after so many more. */
void os_before(enum os_call call, unsigned int after, void (*run)(void));

/* READ, WRITE, RECEIVE and SEND transfer at most so many bytes at a time; 0: no limit. */
void os_shorten(enum os_call call, size_t most);

/* From now on openat(2) finds no file of this name. Only what it still finds counts as a call. */
void os_hide(const char *name);

/* From now on accepted connections seem to come over vsock, from this CID; 0: from where they do.
 */
void os_pretend_peer(unsigned int cid);

/*
 * From now on statx(2) says this of every file, as far as it is asked for: 256 bytes, as the kernel
 * lays them out. NULL: what there is.
 */
void os_pretend_status(const void *status);

/*
 * What is this machine's and would be changed: clock_settime(2), and ioctl(2). From now on the
 * function, in the server's thread, says what comes of them; NULL: what does.
 */
void os_pretend_machine(long (*call)(long number, long a, long b, long c));

/* How many failures are still to come. */
unsigned int os_failures_left(enum os_call call);

#endif
