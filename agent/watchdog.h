/* The supervisor's part of deadlines: what it does about a call that does not return. */
#ifndef AGENT_WATCHDOG_H
#define AGENT_WATCHDOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct watch_page;

struct watchdog {
	struct watch_page *page;
	/* Readable when it is time to look. Shared with the server, which arms it, too. */
	int timer_fd;
	/* -1: /proc. */
	int proc_fd;
	/* The call that was claimed last, and when (CLOCK_MONOTONIC). */
	uint64_t claimed;
	uint64_t claimed_ns;
};

/* Makes page and timer. False and errno. */
bool watchdog_init(struct watchdog *watchdog, int proc_fd);

/* A server is gone, and whatever call it was in. */
void watchdog_reset(struct watchdog *watchdog);

/*
 * The timer has fired. True: a call of this server has not returned although it was told to, and
 * reason says which; the server cannot go on.
 */
bool watchdog_look(struct watchdog *watchdog, pid_t server, char *reason, size_t size);

#endif
