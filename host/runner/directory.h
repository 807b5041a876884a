/* The directory of a run: logs of files, which may stay, and what they make in TMPDIR, which does
 * not. */
#ifndef RUNNER_DIRECTORY_H
#define RUNNER_DIRECTORY_H

#include <limits.h>

#include "host/include/provium.h"

struct run_directory {
	/* "": there is none. */
	char path[PATH_MAX];
};

/* Makes it in TMPDIR, for this user alone. */
int run_directory_make(struct run_directory *directory, struct provium_error *error);

/*
 * Makes one for a file's logs, its number in front of its name, or one for its temporary files. For
 * free(3); NULL and the error.
 */
char *run_directory_logs(const struct run_directory *directory, size_t number, const char *name,
			 struct provium_error *error);
char *run_directory_temporary(const struct run_directory *directory, size_t number,
			      struct provium_error *error);

/* A directory and everything in it, as far as that can be removed; links are not followed. */
void directory_remove(const char *path);

/* Removes the temporary files, and all of it where no logs are left. */
void run_directory_finish(struct run_directory *directory);

#endif
