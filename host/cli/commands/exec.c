#include "host/cli/commands/command.h"
#include "host/cli/options/command_options.h"
#include "host/cli/session/connect.h"
#include "host/cli/session/raw_terminal.h"

struct exec_options {
	struct connect_options connect;
	struct command_options command;
};

static const struct option_spec options[] = {
	CONNECT_OPTION_ROWS(struct exec_options, connect),
	TTY_OPTION_ROW(struct exec_options, command),
	COMMAND_OPTION_ROWS(struct exec_options, command),
	OUTPUT_LIMIT_OPTION_ROW(struct exec_options, command),
	MERGE_STDERR_OPTION_ROW(struct exec_options, command),
	{ 0 },
};

static int run(const void *parsed, char **operands, struct provium_error *error)
{
	const struct exec_options *given = parsed;
	const struct session_options session = {
		.command = command_options_exec(&given->command, (const char *const *)operands),
		.tty = given->command.tty,
	};

	if (session.tty && raw_terminal_check(TTY_ADVICE, error) < 0)
		return -1;
	return connect_session(&given->connect, &session, error);
}

const struct command exec_command = {
	.name = "exec",
	.summary = "Run a command in a guest that is running.",
	.operands = "COMMAND [ARG...]",
	.operands_min = 1,
	.operands_max = OPERANDS_UNLIMITED,
	.runs_command = true,
	.description =
		"Runs COMMAND in the guest whose agent is reached at ADDRESS. Standard input, "
		"output and error are the command's. The exit status is the command's own, 128+N "
		"where signal N ended it, 124 after --timeout, 125 where Provium itself failed, "
		"126 where COMMAND cannot be executed, and 127 where it is not found.",
	.options = options,
	.options_size = sizeof(struct exec_options),
	.run = run,
};
