/*
 * The directories and symbolic links that a guest's root will have when the kernel has unpacked
 * what comes so far. Where a path leads there is known, so that a directory is made only where none
 * is, and never in the place of a link: the kernel would remove that (init/initramfs.c,
 * clean_path).
 */
#ifndef SHIM_NAMES_H
#define SHIM_NAMES_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

/* Cleared to zero it is empty. */
struct names {
	/* Of tsearch(3). */
	void *root;
};

void names_finish(struct names *names);

/* 0, or -1 and errno: ELOOP, ENAMETOOLONG, ENOMEM. */

/*
 * An entry of an archive that is unpacked: path as it stands there, target of a link. Of other
 * types than directory and link it is known afterwards that they are neither.
 */
int names_enter(struct names *names, const char *path, mode_t mode, const char *target);

/*
 * Where path leads: absolute and clean, without links, "" for the root. What is not known is taken
 * as it is. follow_last: also where the last component is a link.
 */
int names_resolve(const struct names *names, const char *path, bool follow_last,
		  char resolved[PATH_MAX]);

/* Whether a path, resolved already, is a directory. */
bool names_is_directory(const struct names *names, const char *path);

#endif
