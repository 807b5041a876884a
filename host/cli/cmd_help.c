#include "host/cli/command.h"
#include "host/cli/help.h"
#include "host/cli/report.h"

static const struct option_spec options[] = { { 0 } };

static int run(const void *parsed, char **operands, struct provium_error *error)
{
	const struct command *command;

	(void)parsed;
	if (!operands[0]) {
		help_overview(stdout);
		return help_flush(error);
	}
	command = command_find(operands[0]);
	if (!command)
		return cli_fail(error, PROVIUM_INVALID,
				"there is no command '%.100s'\nTry 'provium --help'.", operands[0]);
	help_command_text(stdout, command);
	return help_flush(error);
}

const struct command help_command = {
	.name = "help",
	.summary = "Tell of all commands, or of one.",
	.operands = "[COMMAND]",
	.operands_max = 1,
	.operand_completion = COMPLETE_COMMAND,
	.description = "Prints what 'provium COMMAND --help' prints, or lists the commands.",
	.options = options,
	.run = run,
};
