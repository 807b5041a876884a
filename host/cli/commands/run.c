#include "host/cli/commands/command.h"
#include "host/cli/guest/guest.h"
#include "host/cli/options/command_options.h"
#include "host/cli/session/raw_terminal.h"

struct run_options {
	struct guest_options guest;
	uint64_t timeout_ms;
	bool fail_on_splat;
	struct command_options command;
};

static const struct option_spec options[] = {
	GUEST_OPTION_ROWS(struct run_options, guest),
	GUEST_TIMEOUT_OPTION_ROW(struct run_options, timeout_ms),
	{ .name = "fail-on-splat",
	  .help = "Fail with status 123 where the guest's kernel has reported a fault (a warning, "
		  "an oops, lockdep, a hung task, ...), and show the report.",
	  .parse = parse_flag,
	  .offset = offsetof(struct run_options, fail_on_splat) },
	TTY_OPTION_ROW(struct run_options, command),
	COMMAND_OPTION_ROWS(struct run_options, command),
	OUTPUT_LIMIT_OPTION_ROW(struct run_options, command),
	MERGE_STDERR_OPTION_ROW(struct run_options, command),
	{ 0 },
};

static int run(const void *parsed, char **operands, struct provium_error *error)
{
	const struct run_options *given = parsed;
	const struct session_options session = {
		.command = command_options_exec(&given->command, (const char *const *)operands),
		.tty = given->command.tty,
	};

	if (session.tty && raw_terminal_check(TTY_ADVICE, error) < 0)
		return -1;
	return guest_run(&given->guest, given->timeout_ms, given->fail_on_splat, &session, error);
}

const struct command run_command = {
	.name = "run",
	.summary = "Boot a kernel and run a command in it.",
	.operands = "COMMAND [ARG...]",
	.operands_min = 1,
	.operands_max = OPERANDS_UNLIMITED,
	.runs_command = true,
	.description = "Boots a Linux kernel in a virtual machine, runs COMMAND in it and stops it "
		       "again. Standard input, output and error are the command's. The exit status "
		       "is the command's own, 128+N where signal N ended it, 123 with "
		       "--fail-on-splat where the kernel reported a fault, 124 after --timeout, "
		       "125 where Provium itself failed, 126 where COMMAND cannot be executed, and "
		       "127 where it is not found.",
	.options = options,
	.options_size = sizeof(struct run_options),
	.run = run,
};
