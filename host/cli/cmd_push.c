#include <sys/stat.h>

#include "host/cli/command.h"
#include "host/cli/copy.h"
#include "host/cli/report.h"

struct push_options {
	struct connect_options connect;
};

static const struct option_spec options[] = {
	CONNECT_OPTION_ROWS(struct push_options, connect),
	{ 0 },
};

static int push(struct provium_connection *connection, const char *source, const char *target,
		const struct provium_copy_options *copy_options, int timeout_ms,
		struct provium_error *error)
{
	struct stat status;

	if (stat(source, &status) == 0 && S_ISDIR(status.st_mode))
		return cli_fail(error, PROVIUM_INVALID, "%s is a directory: push copies files",
				source);
	return provium_push(connection, source, target, copy_options, timeout_ms, error);
}

static int run(const void *parsed, char **operands, struct provium_error *error)
{
	const struct push_options *given = parsed;

	return copy_run(&given->connect, operands, false, push, error);
}

const struct command push_command = {
	.name = "push",
	.summary = "Copy files into a guest that is running.",
	.operands = "SOURCE... TARGET",
	.operands_min = 2,
	.operands_max = OPERANDS_UNLIMITED,
	.operand_completion = COMPLETE_FILE,
	.description = "Copies each file SOURCE of this machine, with its permission bits, to "
		       "TARGET in the guest, and leaves no half one there. TARGET is a directory "
		       "where it ends in a slash or there are several sources.",
	.options = options,
	.options_size = sizeof(struct push_options),
	.run = run,
};
