/*
 * What the guest's kernel says: reports of its faults ("splats"), and its log.
 *
 * The agent watches /dev/kmsg. A warning, an oops, a report of a sanitizer or of lockdep, a hung
 * task, a stall, and any change of the taint mask is an event, which is sent to every connection at
 * once and kept by it here. Whatever the kernel printed because of a call is known when that call
 * returns.
 *
 *	uint64_t before = provium_kernel_last(connection);
 *
 *	... calls, commands ...
 *	if (provium_kernel_check(connection, before, 5000, &error) < 0)
 *		fail("%s", error.message);
 *
 * The text of a report is the kernel's own, and what processes write to /dev/kmsg in its form
 *counts as well. Reports come late where it is a watchdog of the kernel's that speaks (hung tasks,
 * stalls, leaks): provium_kernel_next waits for them.
 *
 * Included by provium.h.
 */
#ifndef PROVIUM_KERNEL_H
#define PROVIUM_KERNEL_H

#include "provium_core.h"

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* ------------------------------------------------------------------------------------------- */
/* Events */

enum provium_kernel_kind {
	/* WARN() */
	PROVIUM_KERNEL_WARNING = 1,
	/* A fault in the kernel: a page that is not mapped, a division by 0, ... */
	PROVIUM_KERNEL_OOPS,
	/* BUG(), and what else begins with "BUG: ". */
	PROVIUM_KERNEL_BUG,
	PROVIUM_KERNEL_KASAN,
	PROVIUM_KERNEL_UBSAN,
	PROVIUM_KERNEL_KCSAN,
	PROVIUM_KERNEL_LOCKDEP,
	PROVIUM_KERNEL_HUNG_TASK,
	PROVIUM_KERNEL_RCU_STALL,
	/* Hard ones as well. */
	PROVIUM_KERNEL_SOFT_LOCKUP,
	PROVIUM_KERNEL_REFCOUNT,
	PROVIUM_KERNEL_KMEMLEAK,
	/* The taint mask has changed and nothing was reported: a module from elsewhere, say. */
	PROVIUM_KERNEL_TAINT,
	PROVIUM_KERNEL_GENERAL_PROTECTION,
};

/* "warning", "general protection fault" and the like. Static. */
const char *provium_kernel_kind_name(enum provium_kernel_kind kind);

/*
 * Whether an event of this kind is a fault: all but PROVIUM_KERNEL_TAINT, which test modules cause
 * by being loaded.
 */
bool provium_kernel_is_fault(enum provium_kernel_kind kind);

struct provium_kernel_event {
	/* Counted from 1 since the guest's boot. One that is missing was dropped. */
	uint64_t number;
	/* A kind of a later version may be none of these. */
	enum provium_kernel_kind kind;
	/* The whole report, lines with a newline between them; what a terminal could obey is '?'.
	 */
	const char *text;
	/* Of its first line: microseconds since the guest's boot. */
	uint64_t timestamp_us;
	/* The taint mask before and after (Documentation/admin-guide/tainted-kernels.rst). */
	uint64_t taint_before;
	uint64_t taint;
	/* Records of the log lost since the event before, in which there may have been others. */
	uint64_t lost;
	/*
	 * What was running on this connection, for a person: "exec: insmod; system calls". "":
	 * nothing, or the connection that it ran on has ended.
	 */
	const char *running;
};

/*
 * The next event that has not been fetched, in *event. Waits for one: PROVIUM_TIMED_OUT where none
 * has come. With a timeout of 0 it waits for nothing and knows of all that has arrived; a call that
 * has returned has brought what belongs to it. Of a connection that has ended those are still given
 * that came before, among them the report of a system call that has ended the agent's server.
 *
 * *event lives until the next call on the connection. A connection keeps 64 events, fetched or not;
 * older ones are dropped.
 */
int provium_kernel_next(struct provium_connection *connection, int timeout_ms,
			const struct provium_kernel_event **event, struct provium_error *error);

/* The number of the last event that has arrived; 0: none has. */
uint64_t provium_kernel_last(const struct provium_connection *connection);

/*
 * Whether the kernel has reported no fault after the event with this number (0: since the guest's
 * boot). Asks the agent, so that all is known that the kernel has printed by now. -1 and
 * PROVIUM_SPLAT: it has; the message holds the first report, as much as fits, and how many more
 * there are. Fetches nothing: provium_kernel_next still gives them.
 */
int provium_kernel_check(struct provium_connection *connection, uint64_t after, int timeout_ms,
			 struct provium_error *error);

/*
 * The numbers of the events that were seen while the request ran whose reply came last: that of the
 * call on this connection that has just returned (with several commands at a time: of any of them).
 * Lives until the next call on the connection.
 */
const uint64_t *provium_kernel_numbers(const struct provium_connection *connection, size_t *count);

/* ------------------------------------------------------------------------------------------- */
/* The log */

/* A record, as in /dev/kmsg (Documentation/ABI/testing/dev-kmsg). */
struct provium_kernel_record {
	/* Facility and level, as syslog(3) has them: the level is the lowest three bits. */
	unsigned int priority;
	uint64_t sequence;
	/* Microseconds since the guest's boot. */
	uint64_t timestamp_us;
	/* As the kernel has it, escapes undone; a NUL behind it. */
	const char *text;
	size_t size;
	/* Records lost before this one. */
	uint64_t lost;
};

/* Not 0 ends the call. Must not call functions on the same connection. */
typedef int (*provium_kernel_log_fn)(void *user, const struct provium_kernel_record *record);

/*
 * Follows the kernel's log: from the oldest record that it keeps (from_start), or from now. Returns
 * 0 when the callback wants no more, and fails with PROVIUM_TIMED_OUT when the time is up.
 */
int provium_kernel_log(struct provium_connection *connection, bool from_start,
		       provium_kernel_log_fn callback, void *user, int timeout_ms,
		       struct provium_error *error);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
