/*
 * Files and directories of the host's in the guest. names: what its root has so far, and has then.
 */
#ifndef SHIM_TREE_H
#define SHIM_TREE_H

#include "shim/cpio.h"
#include "shim/names.h"

/*
 * Adds a directory, and those above it with mode 0755, where they are not there yet; and remembers
 * them. path: absolute and clean, without links.
 */
int tree_make_directory(struct cpio *cpio, struct names *names, const char *path,
			mode_t permissions, struct provium_error *error);

/*
 * Adds a file, of whatever type, or a directory with all in it. What has its name is replaced, but
 * a directory that is there stays as it is, and links to directories are followed, as cp -r does. A
 * symbolic link on the host is followed where it is the host path itself.
 */
int tree_add(struct cpio *cpio, struct names *names, const struct provium_file *file,
	     struct provium_error *error);

#endif
