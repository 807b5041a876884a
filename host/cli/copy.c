#include "host/cli/copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "host/cli/exit_status.h"
#include "host/cli/progress.h"
#include "host/cli/report.h"

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

char *copy_target(const char *source, const char *target, bool into_directory)
{
	size_t length = strlen(target);
	bool slash = length > 0 && target[length - 1] == '/';
	char *path;

	if (!slash && !into_directory)
		return strdup(target);
	if (asprintf(&path, "%s%s%s", target, slash ? "" : "/", last_component(source)) < 0)
		return NULL;
	return path;
}

static int copy_one(struct provium_connection *connection, const char *source, const char *target,
		    bool into_directory, copy_fn copy, struct provium_error *error)
{
	cleanup_free char *path = NULL;
	struct progress progress;
	struct provium_copy_options options = {
		.progress = progress_update,
		.user = &progress,
	};
	int result;

	if (!*last_component(source))
		return cli_fail(error, PROVIUM_INVALID,
				"%s is a directory: push and pull copy files", source);
	path = copy_target(source, target, into_directory);
	if (!path)
		return cli_fail_errno(error, "%s", source);
	progress_start(&progress, last_component(source));
	result = copy(connection, source, path, &options, PROVIUM_FOREVER, error);
	progress_end(&progress, result == 0);
	return result;
}

int copy_run(const struct connect_options *options, char **operands, bool into_directory,
	     copy_fn copy, struct provium_error *error)
{
	struct provium_connection *connection;
	struct interrupts interrupts;
	size_t last = 1;
	int status = 0;

	while (operands[last + 1])
		last++;
	if (last > 1)
		into_directory = true;

	if (connect_agent(options, &connection, &interrupts, error) < 0)
		return -1;
	for (size_t i = 0; i < last && status == 0; i++)
		status = copy_one(connection, operands[i], operands[last], into_directory, copy,
				  error);
	provium_connection_free(connection);
	return command_end(status, error, false, &interrupts);
}
