#include "host/cli/commands/copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "host/cli/report.h"
#include "host/cli/session/exit_status.h"
#include "host/cli/show/progress.h"

/* Without slashes at its end, of which no name consists. */
static int last_component(const char *path, const char **name)
{
	size_t end = strlen(path);
	size_t start;

	while (end > 0 && path[end - 1] == '/')
		end--;
	for (start = end; start > 0 && path[start - 1] != '/'; start--)
		continue;
	*name = path + start;
	return (int)(end - start);
}

char *copy_target(const char *source, const char *target)
{
	size_t length = strlen(target);
	bool slash = length > 0 && target[length - 1] == '/';
	const char *name;
	int size = last_component(source, &name);
	char *path;

	if (asprintf(&path, "%s%s%.*s", target, slash ? "" : "/", size, name) < 0)
		return NULL;
	return path;
}

static void on_skip(void *user, const char *path)
{
	char notice[512];

	snprintf(notice, sizeof(notice), "%.400s is special and left out", path);
	progress_notice(user, notice);
}

/* exact: target is the copy itself. */
static int copy_one(struct provium_connection *connection, const char *source, const char *target,
		    bool exact, bool sparse, copy_fn copy, struct provium_error *error)
{
	struct progress progress;
	struct provium_copy_options options = {
		.sparse = sparse,
		.exact = exact,
		.progress = progress_update,
		.on_entry = progress_entry,
		.on_skip = on_skip,
		.user = &progress,
	};
	const char *name;
	int size = last_component(source, &name);
	int result;

	progress_start(&progress, name, size);
	result = copy(connection, source, target, &options, PROVIUM_FOREVER, error);
	progress_end(&progress, result == 0);
	return result;
}

static int copy_into(struct provium_connection *connection, const char *source, const char *target,
		     bool sparse, copy_fn copy, struct provium_error *error)
{
	cleanup_free char *path = copy_target(source, target);

	if (!path)
		return cli_fail_errno(error, "%s", source);
	return copy_one(connection, source, path, true, sparse, copy, error);
}

int copy_run(const struct connect_options *options, char **operands, bool sparse, copy_fn copy,
	     struct provium_error *error)
{
	struct provium_connection *connection;
	struct interrupts interrupts;
	size_t last = 1;
	int status = 0;

	while (operands[last + 1])
		last++;
	if (connect_agent(options, &connection, &interrupts, error) < 0)
		return -1;
	if (last == 1)
		status = copy_one(connection, operands[0], operands[1], false, sparse, copy, error);
	for (size_t i = 0; last > 1 && i < last && status == 0; i++)
		status = copy_into(connection, operands[i], operands[last], sparse, copy, error);
	provium_connection_free(connection);
	return command_end(status, error, false, &interrupts);
}
