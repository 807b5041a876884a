/*
 * A command in the guest with this process's standard input, output and error as its own, or on a
 * terminal of the guest that this one shows: what `provium run`, `exec` and `shell` have in common.
 */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include <stdbool.h>

#include "host/cli/session/interrupts.h"
#include "host/include/provium.h"

struct session_options {
	/* Standard input, output and the terminal are the session's to fill in. */
	struct provium_exec_options command;
	/* raw_terminal_check() has succeeded. */
	bool tty;
};

/*
 * Runs the command to its end. Output is written as it comes; while nobody takes it no more is
 * asked for. Input is read only as fast as the command reads. The connection gets interrupts->fd as
 * its cancel fd: PROVIUM_CANCELLED is what a signal or the time limit ends in. *broken_pipe tells
 * of a failure that nobody reads standard output or error any more. After any failure the command
 * has been cancelled. A session that was ended by its escape succeeds, with
 * PROVIUM_EXEC_CANCELLED as the outcome, and has said so.
 */
int session_run(struct provium_connection *connection, const struct session_options *options,
		const struct interrupts *interrupts, struct provium_exec_result *result,
		bool *broken_pipe, struct provium_error *error);

#endif
