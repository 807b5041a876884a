/* The supervisor's part of deadlines: what it does about a call that does not return. */
#ifndef AGENT_WATCHDOG_H
#define AGENT_WATCHDOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/watch_page.h"

struct watchdog {
	struct watch_page *page;
	/* Readable when it is time to look. Shared with the threads, which arm it, too. */
	int timer_fd;
	/* -1: /proc. */
	int proc_fd;
	/* Of each slot: the call that was claimed last, when (CLOCK_MONOTONIC), and whether it has
	 * been given up. */
	struct {
		uint64_t call;
		uint64_t since_ns;
		bool given_up;
	} claimed[WATCH_SLOTS];
};

/* Makes the timer. False and errno. */
bool watchdog_init(struct watchdog *watchdog, struct watch_page *page, int proc_fd);

/* A thread of the process's own service that is making a call, or NULL. */
const struct watch_slot *watchdog_calling(const struct watchdog *watchdog, pid_t process);

/* A process is gone, and whatever calls its threads were in. */
void watchdog_forget(struct watchdog *watchdog, pid_t process);

/*
 * A call has not returned although it was told to, or has ended its thread; reason says which.
 * worker: the number of the worker whose thread it is, 0: the process's own.
 */
typedef void (*watchdog_stuck_fn)(void *user, pid_t process, uint64_t worker, bool ended,
				  const char *reason);

/* The timer has fired. stuck is called once for a call. */
void watchdog_look(struct watchdog *watchdog, watchdog_stuck_fn stuck, void *user);

#endif
