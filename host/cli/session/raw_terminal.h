/*
 * This process's terminal, standard input, while it is the screen and keyboard of a guest's: in raw
 * mode, so that every key goes to the guest.
 *
 * It gets back the mode that it had, however the process ends: by raw_terminal_finish(), at exit,
 * and before a signal that kills. SIGINT, SIGTERM and SIGHUP are those of interrupts.h, which end
 * the session in the ordinary course; only SIGKILL leaves the terminal as it is. While the process
 * is stopped, and while another process group uses the terminal, its mode is that group's.
 */
#ifndef CLI_RAW_TERMINAL_H
#define CLI_RAW_TERMINAL_H

#include <signal.h>
#include <stdbool.h>

#include "host/include/provium.h"

/* One at a time: a process has one standard input. */
struct raw_terminal {
	/* Readable when SIGWINCH, SIGTSTP or SIGCONT has come. */
	int signal_fd;
	sigset_t previous_mask;
};

/* Fails, with advice to the user behind the reason, where standard input is no terminal. */
int raw_terminal_check(const char *advice, struct provium_error *error);

/* Holds the three signals back, in this thread: others must have them blocked. */
int raw_terminal_init(struct raw_terminal *terminal, struct provium_error *error);

/* Leaves raw mode and lets the signals through again. */
void raw_terminal_finish(struct raw_terminal *terminal);

/*
 * Makes the terminal raw, where it is not yet and this process group has it. False where it is not
 * ours now: nothing tells when it will be.
 */
bool raw_terminal_enter(void);

/* Gives it back the mode that it had. */
void raw_terminal_leave(void);

/*
 * Takes what has come on signal_fd. SIGTSTP stops the process, as it would have, and this returns
 * when it goes on. The size may be another then.
 */
void raw_terminal_take_signals(struct raw_terminal *terminal);

/* Stops the whole job, as Ctrl-Z on the terminal does; returns when it goes on. */
void raw_terminal_suspend(void);

/* False where the terminal does not know its size. */
bool raw_terminal_size(unsigned int *rows, unsigned int *cols);

#endif
