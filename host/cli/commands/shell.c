#include "host/cli/commands/command.h"
#include "host/cli/guest/guest.h"
#include "host/cli/options/command_options.h"
#include "host/cli/report.h"
#include "host/cli/session/connect.h"
#include "host/cli/session/exit_status.h"
#include "host/cli/session/raw_terminal.h"

struct shell_options {
	struct connect_options connect;
	struct guest_options guest;
	struct command_options command;
};

static const struct option_spec options[] = {
	{ .name = "connect",
	  .value = "ADDRESS",
	  .help = "In the guest of the agent there, as for provium exec (default: in a guest that "
		  "is "
		  "booted for it).",
	  .completion = COMPLETE_FILE,
	  .parse = parse_string,
	  .offset = offsetof(struct shell_options, connect.address) },
	TOKEN_OPTION_ROW(struct shell_options, connect),
	GUEST_OPTION_ROWS(struct shell_options, guest),
	GUEST_TIMEOUT_OPTION_ROW(struct shell_options, connect.timeout_ms),
	COMMAND_OPTION_ROWS(struct shell_options, command),
	{ 0 },
};

/* A login shell: it reads /etc/profile, where the guest's PATH and prompt are made. */
static const char *const shell_argv[] = { "/bin/sh", "-l", NULL };

static int run(const void *parsed, char **operands, struct provium_error *error)
{
	const struct shell_options *given = parsed;
	const struct session_options session = {
		.command = command_options_exec(&given->command, shell_argv),
		.tty = true,
	};

	(void)operands;
	if (raw_terminal_check("run a command with 'provium run' or 'provium exec'", error) < 0)
		return -1;
	if (!given->connect.address && given->connect.token)
		return cli_fail(error, PROVIUM_INVALID,
				"--token is for a guest that runs: give --connect, too");
	if (!given->connect.address)
		return guest_run(&given->guest, given->connect.timeout_ms, false, &session, error);
	if (guest_options_given(&given->guest))
		return cli_fail(error, PROVIUM_INVALID,
				"--connect is for a guest that runs: leave out what is for booting "
				"one, such as --kernel");
	return connect_session(&given->connect, &session, error);
}

const struct command shell_command = {
	.name = "shell",
	.summary = "Open a shell in a guest, one that runs or is booted for it.",
	.operands = "",
	.description =
		"Runs a login shell, /bin/sh, on a terminal of the guest's, which this terminal "
		"shows; all that is typed goes to the guest. Enter ~ . (at the beginning of a "
		"line) "
		"ends the session, ~ Ctrl-Z suspends provium, ~ ? tells of these. With --connect "
		"the "
		"guest is one that runs; otherwise one is booted, as provium run does, and stopped "
		"when the shell ends. The exit status is that of provium run.",
	.options = options,
	.options_size = sizeof(struct shell_options),
	.run = run,
};
