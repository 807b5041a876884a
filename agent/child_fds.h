/* The fds of a command that is being started: pipes, or a pseudo-terminal. */
#ifndef AGENT_CHILD_FDS_H
#define AGENT_CHILD_FDS_H

#include <stdbool.h>

#include "agent/child.h"

/* -1: none, or no longer ours. */
struct child_fds {
	/* Our ends: input is non-blocking. With a terminal there is but output, its master. */
	int input;
	int output;
	int error;
	/*
	 * The command's; an absent error is output, and a terminal's output is all three. No input
	 * was asked for: what reads as empty, absent where there is no number for it.
	 */
	int child_input;
	int child_output;
	int child_error;
};

#define CHILD_FDS_NONE                 \
	{                              \
		-1, -1, -1, -1, -1, -1 \
	}

/* False: *failure says what failed. Either way, what is there is to be closed. */
bool child_fds_open(struct child_fds *fds, struct loop *loop, const struct child_options *options,
		    struct spawn_result *failure);
void child_fds_close(struct child_fds *fds);

#endif
