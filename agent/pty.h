/* Pseudo-terminals. */
#ifndef AGENT_PTY_H
#define AGENT_PTY_H

#include <stdbool.h>

#include "agent/spawn.h"

struct loop;

struct pty {
	/* Non-blocking. What is written to it is typed, what is read from it is shown. */
	int master;
	/* What a command opens, not as the controlling terminal. */
	int slave;
};

/*
 * Opens one, close-on-exec, with neither end below 3. False: *failure says what failed, and both
 * are -1.
 */
bool pty_open(struct pty *pty, struct loop *loop, struct spawn_result *failure);

/* Sets the size of the window, and tells what runs in it. 0 or an errno. */
int pty_resize(int master, unsigned int rows, unsigned int cols);

/*
 * Types the key for the end of file; not where the terminal has none. False: not now (EAGAIN), or
 * never.
 */
bool pty_type_eof(int master);

#endif
