/*
 * The memory that supervisor and server share about system calls: which call each thread of the
 * agent is making, and when its time is up. A thread writes with plain stores, a system call costs
 * none more for it.
 *
 * A thread that makes calls has a slot: the server's own, each worker's, each program's that runs
 * in the background. A call has a number, which its slot never uses again. `state` is that number,
 * shifted, and flags; each side changes it with one atomic operation, so that a call that ends and
 * a deadline that passes at the same moment agree on which came first:
 *
 *	thread        0 -> call                 it is about to be made
 *	supervisor    call -> call|CLAIMED      its time is up; what it does is looked at
 *	supervisor    ... <-> ...|SIGNALLING    a signal is being sent
 *	thread        ... -> 0                  it has returned
 *
 * A thread that finds SIGNALLING there waits for the signal, or its next call would get it. Of what
 * a test's calls may have written over none is trusted: the worst is a thread of the agent's own
 * that gets a signal, or a server or worker that is killed.
 */
#ifndef AGENT_WATCH_PAGE_H
#define AGENT_WATCH_PAGE_H

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "agent/arch.h"

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
	/* The process whose thread has it; 0: nobody has. */
	_Atomic int32_t pid;
	_Atomic int32_t tid;
	/* The worker's number; 0: the end of this thread is the end of the process's service. */
	_Atomic uint64_t worker;
	_Atomic uint64_t state;
	/* The last call that was made, and the last whose signal has been sent. */
	_Atomic uint64_t last_call;
	_Atomic uint64_t signalled;
	/* CLOCK_MONOTONIC nanoseconds; WATCH_NEVER: it has all the time. */
	_Atomic uint64_t deadline_ns;
	/* When it is to be looked whether the thread is still there; 0: its calls do not end it. */
	_Atomic uint64_t look_ns;
	/* The thread is to make no more calls. */
	_Atomic uint32_t stop;
	/* The request that the thread serves, and which of its calls this is. */
	_Atomic uint32_t request;
	_Atomic uint32_t call;
	/* Of the thread's raw forks. */
	struct arch_parking parking;
};

#define WATCH_SLOTS 512u

struct watch_page {
	/* When the timer that all have will fire; WATCH_NEVER: it is not armed. */
	_Atomic uint64_t armed_ns;
	/* None from here on has ever been taken. */
	_Atomic uint32_t slots_used;
	struct watch_slot slots[WATCH_SLOTS];
	/* Of the slots: written by the supervisor between CLAIMED and SIGNALLING, read when the
	 * call has returned. Apart, since what is never touched takes no memory. */
	struct watch_diagnosis diagnoses[WATCH_SLOTS];
};

/* The thread is gone, or makes no more calls; the children of its raw forks end. */
static inline void watch_release(struct watch_slot *slot)
{
	slot->state = 0;
	slot->look_ns = 0;
	slot->parking.life++;
	syscall(SYS_futex, &slot->parking.life, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	slot->pid = 0;
}

/* Has the timer fire at this time, if it would not have before. */
static inline void watch_arm(struct watch_page *page, int timer_fd, uint64_t at)
{
	uint64_t armed = page->armed_ns;

	while (at < armed && !atomic_compare_exchange_weak(&page->armed_ns, &armed, at))
		;
	if (at >= armed)
		return;
	/* Threads may set the timer at the same time; the last one sets what counts. */
	do {
		struct itimerspec spec = {
			.it_value = { (time_t)(at / 1000000000u), (long)(at % 1000000000u) },
		};

		timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
		armed = at;
		at = page->armed_ns;
	} while (at != armed && at != WATCH_NEVER);
}

#endif
