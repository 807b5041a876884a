/* Copying files to or from a guest: what push and pull have in common. */
#ifndef CLI_COPY_H
#define CLI_COPY_H

#include <stdbool.h>

#include "host/cli/session/connect.h"

/* provium_push and provium_pull, which both take source before target. */
typedef int (*copy_fn)(struct provium_connection *connection, const char *source,
		       const char *target, const struct provium_copy_options *options,
		       int timeout_ms, struct provium_error *error);

/* The rows of their tables; field: a bool of theirs. */
/* clang-format off */
#define COPY_OPTION_ROWS(type, field)                                                             \
	{ .name = "sparse",                                                                       \
	  .help = "Let holes of files stay holes, instead of copying their zeros.",               \
	  .parse = parse_flag, .offset = offsetof(type, field) }
/* clang-format on */

/*
 * Copies operands[0] and on to the last operand, which is a directory where there are several;
 * stops at the first failure. Returns a command's status.
 */
int copy_run(const struct connect_options *options, char **operands, bool sparse, copy_fn copy,
	     struct provium_error *error);

/* The source's last component in target. For free(3), or NULL. */
char *copy_target(const char *source, const char *target);

#endif
