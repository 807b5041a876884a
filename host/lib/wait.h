/*
 * Waiting for one fd, and for everything that ends the wait early: a deadline, the caller's cancel
 * fd, and a monitor, by which a VM notices the end of QEMU or a panic while any call waits.
 */
#ifndef LIB_WAIT_H
#define LIB_WAIT_H

#include <poll.h>
#include <stdint.h>

#include "host/include/provium.h"
#include "host/lib/deadline.h"

struct connection_monitor {
	/* Readable: check has something to look at, which it takes, unless that is the end. */
	int fd;
	/*
	 * Called when fd is readable. Not 0: what the connection leads to is gone for good, and
	 * *error, which may be NULL, says why.
	 */
	int (*check)(void *user, struct provium_error *error);
	/*
	 * Since when nobody has sent anything there, monotonic_ns(); 0: it is not known. Asked when
	 * check has found the end. NULL: it never is.
	 */
	uint64_t (*silent_since)(void *user);
	/* What an end may take that has begun inside of it, milliseconds (lost.c). */
	int end_ms;
	void *user;
};

/* What ends a wait early. */
struct wait_limits {
	struct deadline deadline;
	/* Readable: the wait ends with PROVIUM_CANCELLED. -1: none. */
	int cancel_fd;
	/* NULL: none. */
	const struct connection_monitor *monitor;
};

enum wait_end {
	WAIT_READY,
	/* *error says which; *revents may be set all the same. */
	WAIT_TIMED_OUT,
	WAIT_CANCELLED,
	WAIT_GONE,
	/* poll(2) itself failed. */
	WAIT_FAILED,
};

/*
 * Waits for events (of poll(2)) on fd; -1: only for the limits. *revents is what fd has, 0 where
 * nothing. A limit wins over readiness, so that a peer that never stops sending cannot keep a call
 * from ending: the caller handles *revents first and looks at the return value then.
 * what: for "WHAT: no answer within 500 ms".
 */
enum wait_end wait_fd(int fd, short events, const struct wait_limits *limits, const char *what,
		      short *revents, struct provium_error *error);

/* Waits for the limits alone; so never WAIT_READY. */
enum wait_end wait_limit(const struct wait_limits *limits, const char *what,
			 struct provium_error *error);

#endif
