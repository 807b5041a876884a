#include <sys/stat.h>

#include "host/cli/command.h"
#include "host/cli/copy.h"

struct pull_options {
	struct connect_options connect;
};

static const struct option_spec options[] = {
	CONNECT_OPTION_ROWS(struct pull_options, connect),
	{ 0 },
};

static int run(const void *parsed, char **operands, struct provium_error *error)
{
	const struct pull_options *given = parsed;
	const char *target = operands[0];
	struct stat status;

	for (size_t i = 1; operands[i]; i++)
		target = operands[i];
	return copy_run(&given->connect, operands,
			stat(target, &status) == 0 && S_ISDIR(status.st_mode), provium_pull, error);
}

const struct command pull_command = {
	.name = "pull",
	.summary = "Copy files out of a guest that is running.",
	.operands = "SOURCE... TARGET",
	.operands_min = 2,
	.operands_max = OPERANDS_UNLIMITED,
	.operand_completion = COMPLETE_FILE,
	.description = "Copies each file SOURCE of the guest to TARGET on this machine, and leaves "
		       "no half one there. TARGET may be a directory, and must be one where there "
		       "are several sources.",
	.options = options,
	.options_size = sizeof(struct pull_options),
	.run = run,
};
