/* A thread's part of deadlines: saying which system call it is making (watch_page.h). */
#ifndef AGENT_DEADLINE_H
#define AGENT_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

struct watch_diagnosis;
struct watch_page;
struct watch_slot;

/* Of a thread. All zero: there is no watchdog, and no call has a deadline. */
struct deadlines {
	struct watch_page *page;
	/* NULL: all were taken. */
	struct watch_slot *slot;
	/* Shared with the supervisor. */
	int timer_fd;
};

/*
 * The calling thread takes a slot, as this worker (0: none). page may be NULL. Sets the signal's
 * handler for the process. False: there is no slot.
 */
bool deadlines_init(struct deadlines *deadlines, struct watch_page *page, int timer_fd,
		    uint64_t worker);

/* The calls are those of the calling thread, from now on. */
void deadlines_move_here(struct deadlines *deadlines);

/* Gives the slot back. */
void deadlines_finish(struct deadlines *deadlines);

/* deadline_ns: CLOCK_MONOTONIC, or WATCH_NEVER. */
void deadline_begin(struct deadlines *deadlines, uint32_t request, uint32_t call,
		    uint64_t deadline_ns);

/* A call comes that may end the thread, at once or in what it calls next: this is when to look. */
void deadline_look(struct deadlines *deadlines, uint64_t at_ns);

/* Whether the call's time is up, or that of all that would follow. */
bool deadline_passed(const struct deadlines *deadlines);

/* Whether deadline_stop has been called. */
bool deadline_stopped(const struct deadlines *deadlines);

/* The call has returned. True: its time was up, and deadline_diagnosis is of it. */
bool deadline_end(struct deadlines *deadlines);

/* Until the next call. */
const struct watch_diagnosis *deadline_diagnosis(const struct deadlines *deadlines);

/*
 * For another thread or process: the call that is being made is interrupted now, and the thread is
 * to make no more.
 */
void deadline_stop(struct watch_page *page, struct watch_slot *slot, int timer_fd);

#endif
