#include "host/cli/commands/command.h"
#include "host/cli/commands/copy.h"
#include "host/cli/options/values.h"

struct push_options {
	struct connect_options connect;
	bool sparse;
};

static const struct option_spec options[] = {
	CONNECT_OPTION_ROWS(struct push_options, connect),
	COPY_OPTION_ROWS(struct push_options, sparse),
	{ 0 },
};

static int run(const void *parsed, char **operands, struct provium_error *error)
{
	const struct push_options *given = parsed;

	return copy_run(&given->connect, operands, given->sparse, provium_push, error);
}

const struct command push_command = {
	.name = "push",
	.summary = "Copy files and directories into a guest that is running.",
	.operands = "SOURCE... TARGET",
	.operands_min = 2,
	.operands_max = OPERANDS_UNLIMITED,
	.operand_completion = COMPLETE_FILE,
	.description = "Copies each SOURCE of this machine, a file or a directory with all that is "
		       "below it, to TARGET in the guest, with its permission bits and symbolic "
		       "links, and leaves no half file there. Where TARGET is a directory already "
		       "the copies are made in it, as cp -R does.",
	.options = options,
	.options_size = sizeof(struct push_options),
	.run = run,
};
