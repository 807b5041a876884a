#include "host/cli/commands/command.h"
#include "host/cli/commands/help_text.h"
#include "host/cli/report.h"

static const struct option_spec options[] = { { 0 } };

static int run(const void *parsed, char **operands, struct provium_error *error)
{
	const struct command *command;
	int used;

	(void)parsed;
	command = command_find_words(operands, &used);
	if (!operands[0]) {
		help_overview(stdout);
	} else if (command && !operands[used]) {
		help_command_text(stdout, command);
	} else if (!operands[1] && command_is_family(operands[0])) {
		help_family(stdout, operands[0]);
	} else {
		return cli_fail(error, PROVIUM_INVALID,
				"there is no command '%.100s%s%.100s'\nTry 'provium --help'.",
				operands[0], operands[1] ? " " : "",
				operands[1] ? operands[1] : "");
	}
	return help_flush(error);
}

const struct command help_command = {
	.name = "help",
	.summary = "Tell of all commands, or of one.",
	.operands = "[COMMAND]",
	.operands_max = 2,
	.operand_completion = COMPLETE_COMMAND,
	.description = "Prints what 'provium COMMAND --help' prints, or lists the commands.",
	.options = options,
	.run = run,
};
