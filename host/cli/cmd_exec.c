#include "host/cli/command.h"
#include "host/cli/connect.h"
#include "host/cli/exit_status.h"
#include "host/cli/session.h"
#include "host/cli/values.h"

struct exec_options {
	struct connect_options connect;
	struct string_list env;
	const char *cwd;
};

#define OFFSET(field) offsetof(struct exec_options, field)

static const struct option_spec options[] = {
	CONNECT_OPTION_ROWS(struct exec_options, connect),
	{ .name = "env",
	  .value = "NAME=VALUE",
	  .help = "Set an environment variable of the command. May be repeated.",
	  .parse = parse_environment,
	  .offset = OFFSET(env),
	  .list = true },
	{ .name = "cwd",
	  .value = "DIR",
	  .help = "Run the command in this directory of the guest (default: /).",
	  .parse = parse_string,
	  .offset = OFFSET(cwd) },
	{ 0 },
};

static int run(const void *parsed, char **operands, struct provium_error *error)
{
	const struct exec_options *given = parsed;
	struct session_options session = {
		.argv = (const char *const *)operands,
		.env = given->env.items,
		.cwd = given->cwd,
	};
	struct provium_connection *connection;
	struct provium_exec_result result;
	struct interrupts interrupts;
	bool broken_pipe;
	int status;

	if (connect_agent(&given->connect, &connection, &interrupts, error) < 0)
		return -1;
	status = session_run(connection, &session, &interrupts, &result, &broken_pipe, error);
	if (status == 0)
		status = exit_status(&result);
	provium_connection_free(connection);
	return command_end(status, error, broken_pipe, &interrupts);
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
