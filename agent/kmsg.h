/*
 * What the kernel says of its faults, told to whoever is connected.
 *
 * The main server's loop reads /dev/kmsg as records come, and once before each final reply, so that
 * what the kernel printed because of a request is known when its reply is sent: a system call's own
 * messages can be read as soon as it has returned. Splats (splat.h) and changes of the taint mask
 * become events with a number, which are sent to every connection at once; the final reply of a
 * request names those that were seen while it ran.
 */
#ifndef AGENT_KMSG_H
#define AGENT_KMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct request;
struct session;

/* A whole record (kernel/printk/printk.c: CONSOLE_EXT_LOG_MAX). */
#define KMSG_RECORD_SIZE 8192

/*
 * In memory that a server shares with those that come after it: one that an oops has ended has not
 * read the report of it. They share the open file as well, so that each reads on where the one
 * before has stopped.
 */
struct kmsg_source {
	/* /dev/kmsg, to be read, non-blocking; at its oldest record at first. */
	int fd;
	/* Of the record that is to come. */
	uint64_t next_sequence;
	/* Events so far, which are numbered from 1. */
	uint64_t events;
	/* The taint mask at the last of them. */
	uint64_t taint;
	/* What is being read, and a NUL. On a stack it would be pages that a fork has copied. */
	char record[KMSG_RECORD_SIZE + 1];
};

/*
 * Events that are kept for connections which have not got them: for the next one where there is
 * none, and for one that does not read. Older ones are dropped, which their numbers tell.
 */
#define KMSG_MAX_KEPT    16
#define KMSG_MAX_BYTES   ((size_t)256 << 10)

/* Numbers of events in a final reply; the newest where there are more. */
#define KMSG_MAX_NUMBERS 64

/* Makes loop->kmsg where the config has a source; without memory there are no events. */
void kmsg_start(struct loop *loop);
void kmsg_stop(struct loop *loop);

/* A source of fd, a /dev/kmsg, in memory that is shared with child processes. NULL: none. */
struct kmsg_source *kmsg_share(int fd);

/* The last event before the request that is being handled, or was last. */
uint64_t kmsg_begun(const struct loop *loop);

/* All that follows does nothing where loop->kmsg is NULL. */

/* Sends a new connection what no other has got. */
void kmsg_greet(struct session *session);
/* The connection reads again: sends what was kept for it. */
void kmsg_catch_up(struct session *session);

/*
 * A request is about to be handled. does_much: what the kernel has printed by now is read first,
 * since it is not this request's; otherwise that is left out to save the time.
 */
void kmsg_begin(struct session *session, uint32_t id, bool does_much);
/* Its handler has returned. */
void kmsg_end(struct loop *loop);

/*
 * The numbers of what the request that is being handled has made the kernel say since kmsg_begin,
 * or since the last call of this; at most max. Returns how many: 0 where something else runs, which
 * may have been the cause, or where it was a watchdog of the kernel's that spoke.
 */
size_t kmsg_look(struct loop *loop, uint64_t *numbers, size_t max);

/*
 * The numbers for the final reply of a request, read up to now; at most KMSG_MAX_NUMBERS. Returns
 * how many.
 */
size_t kmsg_final(struct session *session, uint32_t id, uint64_t *numbers);

#endif
