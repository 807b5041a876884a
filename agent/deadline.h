/* The server's part of deadlines: saying which system call is being made (watch_page.h). */
#ifndef AGENT_DEADLINE_H
#define AGENT_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

struct watch_page;

/* Of a thread. All zero: there is no watchdog, and no call has a deadline. */
struct deadlines {
	struct watch_page *page;
	/* Shared with the supervisor. */
	int timer_fd;
	uint64_t last_call;
};

/* page may be NULL. Sets the signal's handler for the process. */
void deadlines_init(struct deadlines *deadlines, struct watch_page *page, int timer_fd);

/* deadline_ns: CLOCK_MONOTONIC, or WATCH_NEVER. */
void deadline_begin(struct deadlines *deadlines, uint32_t request, uint32_t call,
		    uint64_t deadline_ns);

/* Whether the call's time is up. */
bool deadline_passed(const struct deadlines *deadlines);

/* The call has returned. True: its time was up, and the page's diagnosis is its own. */
bool deadline_end(struct deadlines *deadlines);

#endif
