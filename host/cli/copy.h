/* Copying files to or from a guest: what push and pull have in common. */
#ifndef CLI_COPY_H
#define CLI_COPY_H

#include <stdbool.h>

#include "host/cli/connect.h"

/* provium_push and provium_pull, which both take source before target. */
typedef int (*copy_fn)(struct provium_connection *connection, const char *source,
		       const char *target, const struct provium_copy_options *options,
		       int timeout_ms, struct provium_error *error);

/*
 * Copies operands[0] and on to the last operand; stops at the first failure. into_directory: the
 * last is known to be a directory; so it is where it ends in a slash or there are several to copy.
 * Returns a command's status.
 */
int copy_run(const struct connect_options *options, char **operands, bool into_directory,
	     copy_fn copy, struct provium_error *error);

/* Where source goes: target, or the source's last component in target. For free(3), or NULL. */
char *copy_target(const char *source, const char *target, bool into_directory);

#endif
