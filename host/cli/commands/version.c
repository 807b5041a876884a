#include <stdio.h>

#include "host/cli/commands/command.h"
#include "host/cli/commands/help_text.h"

static const struct option_spec options[] = { { 0 } };

static int run(const void *parsed, char **operands, struct provium_error *error)
{
	(void)parsed;
	(void)operands;
	printf("provium %s\n", provium_version());
	return help_flush(error);
}

const struct command version_command = {
	.name = "version",
	.summary = "Print the version.",
	.operands = "",
	.description = "Prints the version of the command and its library.",
	.options = options,
	.run = run,
};
