/*
 * What ends a command early, as one descriptor: SIGINT, SIGTERM, SIGHUP and a time limit.
 *
 * The descriptor becomes readable when one of them has come; calls of the library that wait are
 * given it as their cancel fd and return. What then has to be stopped and removed is done in the
 * ordinary course of the program, at the end of which the signal is let through. A second signal
 * makes the descriptor readable again, so it cuts short whatever the stopping waits for.
 */
#ifndef CLI_INTERRUPTS_H
#define CLI_INTERRUPTS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/include/provium.h"

struct interrupts {
	/* An epoll instance over the two below; the library's cancel fd. */
	int fd;
	int signal_fd;
	int timer_fd;
	uint64_t timeout_ms;
	sigset_t previous_mask;
	/* The first signal that was taken; 0: none. */
	int signal;
	bool timed_out;
};

/*
 * Holds the signals back from here on, in this thread and in those it makes, and starts the clock;
 * timeout_ms 0: no limit. Signals that are ignored stay so (nohup(1), a shell's background jobs).
 * Also held back are SIGPIPE and SIGTTIN, whose system calls then fail with EPIPE and EIO.
 */
int interrupts_init(struct interrupts *interrupts, uint64_t timeout_ms,
		    struct provium_error *error);

/* Restores the signal mask; a signal that was not taken has its effect now. */
void interrupts_finish(struct interrupts *interrupts);

/* Takes what has come, and makes fd unreadable with it. True where anything had. */
bool interrupts_take(struct interrupts *interrupts);

/*
 * How a command ends that was cut short: by the signal itself, so that a shell sees that it was, or
 * with STATUS_TIMED_OUT after a message. Everything must have been released.
 */
int interrupts_status(const struct interrupts *interrupts);

/* Ends the process as the signal's default action does; returns a status where that is ignored. */
int die_by_signal(int signal);

#endif
