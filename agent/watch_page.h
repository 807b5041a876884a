/*
 * The page that supervisor and server share: which system call a thread of the server is making,
 *and when its time is up. The server writes with plain stores, a system call costs none more for
 *it.
 *
 * A call has a number, which is never used again. `state` is that number, shifted, and flags; each
 * side changes it with one atomic operation, so that a call that ends and a deadline that passes at
 * the same moment agree on which came first:
 *
 *	server        0 -> call                 it is about to be made
 *	supervisor    call -> call|CLAIMED      its time is up; what it does is looked at
 *	supervisor    ... <-> ...|SIGNALLING    a signal is being sent
 *	server        ... -> 0                  it has returned
 *
 * A server that finds SIGNALLING there waits for the signal, or its next call would get it. Of what
 * a test's calls may have written over none is trusted: the worst is a thread of the server's own
 * that gets a signal, or a server that is killed.
 */
#ifndef AGENT_WATCH_PAGE_H
#define AGENT_WATCH_PAGE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/timerfd.h>

/* Sent to a thread whose call has passed its deadline: one that nothing else is known to use. */
#define DEADLINE_SIGNAL  60

#define WATCH_CLAIMED    UINT64_C(1)
#define WATCH_SIGNALLING UINT64_C(2)
#define WATCH_CALL_SHIFT 2

#define WATCH_NEVER      UINT64_MAX

/* What the supervisor has read of a thread at its deadline (proc(5)); "": it could not. */
struct watch_diagnosis {
	char syscall[256];
	char wchan[64];
	char stack[2048];
	char status[2048];
};

struct watch_slot {
	_Atomic uint64_t state;
	/* The last call whose signal has been sent. */
	_Atomic uint64_t signalled;
	/* CLOCK_MONOTONIC nanoseconds; WATCH_NEVER: it has all the time. */
	_Atomic uint64_t deadline_ns;
	/* The thread, the request that it serves, and which of its calls this is. */
	_Atomic int32_t tid;
	_Atomic uint32_t request;
	_Atomic uint32_t call;
	/* Written by the supervisor between CLAIMED and SIGNALLING, read when the call has
	 * returned. */
	struct watch_diagnosis diagnosis;
};

struct watch_page {
	/* When the timer that both have will fire; WATCH_NEVER: it is not armed. */
	_Atomic uint64_t armed_ns;
	struct watch_slot slot;
};

/* Has the timer fire at this time, instead of when it would have; WATCH_NEVER: it has fired. */
static inline void watch_arm(struct watch_page *page, int timer_fd, uint64_t at)
{
	struct itimerspec spec = {
		.it_value = { (time_t)(at / 1000000000u), (long)(at % 1000000000u) },
	};

	page->armed_ns = at;
	if (at != WATCH_NEVER)
		timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

#endif
