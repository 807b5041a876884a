/* Which files a run consists of, and in which order. */
#ifndef RUNNER_PLAN_H
#define RUNNER_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "host/include/provium.h"

struct plan_file {
	/* As the test process opens it. */
	char *path;
	/*
	 * What it is called: the path below the directory that was given; where more than one PATH
	 * was given, the path as it was given. Part of path.
	 */
	const char *name;
	/* Absolute, without symbolic links up to the PATH that was given. */
	char *absolute;
};

/* Zeroed: empty. */
struct plan {
	struct plan_file *files;
	size_t count;
};

/*
 * Finds every regular file named *.lua at and below the paths (NULL-terminated), but not in
 * directories named "fixtures" below them, and sorts by path, as bytes. A file that two paths lead
 * to is there once. A path that is itself a file is taken whatever its name.
 */
int plan_discover(struct plan *plan, const char *const *paths, struct provium_error *error);

/*
 * Keeps the files whose name one of the patterns (NULL-terminated; NULL: all) matches: fnmatch(3)
 * where the pattern has one of "*?[", else a part of the name.
 */
void plan_filter(struct plan *plan, const char *const *patterns);

/* Keeps each count-th file from the index-th on, which is from 1 to count. */
void plan_shard(struct plan *plan, unsigned int index, unsigned int count);

/* Keeps the files for which keep says so. */
void plan_keep(struct plan *plan, bool (*keep)(void *user, const struct plan_file *file),
	       void *user);

void plan_finish(struct plan *plan);

#endif
