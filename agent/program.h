/*
 * A program: the system calls of one SYSCALL request (docs/protocol.md).
 *
 *	program_check     pure: everything that can be wrong is found before anything is done
 *	program_map       its buffers, in memory of their own
 *	program_run       the calls
 *	program_result    what goes back
 *	program_finish    releases all of it, at any stage
 *
 * The request is borrowed all the while.
 */
#ifndef AGENT_PROGRAM_H
#define AGENT_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/check.h"
#include "proto/codec.h"

struct deadlines;
struct watch_diagnosis;

/* Interrupted calls of a program of which it is told where they were. */
#define PROGRAM_MAX_DIAGNOSES 16

struct program_buffer {
	/* Of its first byte. */
	uint8_t *address;
	uint32_t size;
	uint8_t *pages;
	size_t pages_size;
	bool unmapped;
	/* With report_changes: its content before the first call. */
	uint8_t *before;
};

/* A call whose time was up. */
struct program_interruption {
	uint32_t call;
	/* NULL: there are too many. */
	struct watch_diagnosis *diagnosis;
};

/* Told of each call before it is made. */
struct program_trace {
	void (*call)(struct program_trace *trace, uint32_t call);
};

/*
 * Nanoseconds of a call after which it is asked what the kernel has said meanwhile. No kernel
 * prints a report of a fault, dozens of lines with a stack, in less; asking after each call would
 * cost several times as much as most calls.
 */
#define PROGRAM_LOOK_NS    20000

/* Numbers of a call's events in its detail. */
#define PROGRAM_MAX_EVENTS 16

/* Asked after a call. */
struct program_watch {
	/* What the call made the kernel say, as numbers of events; how many there are. */
	size_t (*look)(struct program_watch *watch, uint64_t numbers[PROGRAM_MAX_EVENTS]);
};

/* A call that made the kernel say something. */
struct program_events {
	uint32_t call;
	size_t count;
	uint64_t numbers[PROGRAM_MAX_EVENTS];
};

struct program {
	const Provium__V1__Syscall *request;
	struct program_buffer *buffers;
	/* All their pages; NULL: there are none. */
	uint8_t *map;
	size_t map_size;
	/* Of the calls that were made. */
	int64_t *results;
	uint64_t *durations;
	uint32_t made;
	struct program_interruption *interruptions;
	size_t n_interruptions;
	struct program_events *events;
	size_t n_events;
	/* CLOCK_MONOTONIC_RAW when the last call ended, and by how much CLOCK_MONOTONIC is ahead.
	 */
	uint64_t now_ns;
	uint64_t ahead_ns;
	/* A call that failed has ended it. */
	bool stopped;
	/* NULL: nobody is told. */
	struct program_trace *trace;
	/* NULL: nobody knows what the kernel says. */
	struct program_watch *watch;
	/* Which call must not be made, and why. */
	uint32_t refused_call;
	const char *refused;
	/* What could not be had (with errno). */
	const char *failed;

	/* What the result's message is made of. */
	struct program_room *room;
	uint8_t *data;
	uint32_t *changes;
	size_t n_changes;
};

/* False: *failure says what is wrong. */
bool program_check(const Provium__V1__Syscall *request, struct check_failure *failure);

/* Begins a program that has passed. False: *failed and errno say why; program_finish all the same.
 */
bool program_map(struct program *program, const Provium__V1__Syscall *request);

/*
 * Makes the calls, for the request with this id. False: one of them must not be made (refused_call,
 * refused). It is known before the first is made, unless its arguments come of a result or of what
 * a call has written.
 */
bool program_run(struct program *program, struct deadlines *deadlines, uint32_t id);

/*
 * Fills result, which lives until program_finish, from what the buffers hold now. False: no memory.
 */
bool program_result(struct program *program, Provium__V1__SyscallResult *result);

void program_finish(struct program *program);

#endif
