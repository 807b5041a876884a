/* Exit statuses that tell how a command in the guest ended, as a shell and env(1) tell it. */
#ifndef CLI_EXIT_STATUS_H
#define CLI_EXIT_STATUS_H

#include <stdbool.h>

#include "host/cli/session/interrupts.h"
#include "host/include/provium.h"

#define STATUS_CANNOT_EXECUTE 126
#define STATUS_NOT_FOUND      127

/* The command's own status; 128 and the signal's number where one ended it. */
int exit_status(const struct provium_exec_result *result);

/* Tells on standard error which of its streams --output-limit has cut. */
void report_cut_output(const struct provium_exec_result *result);

/*
 * The end of a command that held signals back, after everything else was released. status: what it
 * has come to, or -1 and error. broken_pipe: the error is that nobody reads our output. Where a
 * signal cut the command short the process ends here, by it. Returns the exit status, the error
 * having been told, or -1 where that is left to main().
 */
int command_end(int status, const struct provium_error *error, bool broken_pipe,
		struct interrupts *interrupts);

#endif
