#include "host/cli/session/exit_status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host/cli/report.h"

int exit_status(const struct provium_exec_result *result)
{
	switch (result->outcome) {
	case PROVIUM_EXITED:
		return result->exit_code;
	case PROVIUM_SIGNALLED:
		return 128 + result->signal;
	case PROVIUM_EXEC_TIMED_OUT:
		return STATUS_TIMED_OUT;
	case PROVIUM_EXEC_CANCELLED:
		break;
	}
	return STATUS_FAILURE;
}

static void report_cut_stream(const char *name, uint64_t bytes)
{
	char message[128];

	snprintf(message, sizeof(message),
		 "standard %s had %" PRIu64 " bytes: those behind --output-limit are left out",
		 name, bytes);
	report(message);
}

void report_cut_output(const struct provium_exec_result *result)
{
	if (result->stdout_truncated)
		report_cut_stream("output", result->stdout_bytes);
	if (result->stderr_truncated)
		report_cut_stream("error", result->stderr_bytes);
}

/* Other operations prepare for the program: a working directory that is not there, say. */
static bool program_not_executed(const struct provium_error *error)
{
	return error->code == PROVIUM_GUEST && strcmp(error->operation, "execve") == 0;
}

static bool is_ignored(int signal)
{
	struct sigaction action;

	return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static int failure_status(const struct provium_error *error, bool broken_pipe,
			  struct interrupts *interrupts)
{
	if (error->code == PROVIUM_CANCELLED) {
		interrupts_take(interrupts);
		return interrupts_status(interrupts);
	}
	/* As any filter ends whose reader has gone; who ignores the signal wants the error. */
	if (broken_pipe && !is_ignored(SIGPIPE))
		return die_by_signal(SIGPIPE);
	if (program_not_executed(error)) {
		report(error->message);
		return error->os_errno == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_EXECUTE;
	}
	return -1;
}

int command_end(int status, const struct provium_error *error, bool broken_pipe,
		struct interrupts *interrupts)
{
	if (status < 0)
		status = failure_status(error, broken_pipe, interrupts);
	interrupts_finish(interrupts);
	return status;
}
