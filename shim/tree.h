/*
 * Files and directories of the host's in the guest.
 *
 * They take two archives: directories go before the user's initramfs, whose own come over them, and
 * everything else goes behind it. The other way round a directory would replace a symbolic link
 * that the initramfs has in its place (/bin to /usr/bin), and a file could not be put in.
 */
#ifndef SHIM_TREE_H
#define SHIM_TREE_H

#include "shim/cpio.h"

/* Directories that have been added already. Cleared to zero it is empty. */
struct tree_directories {
	/* Of tsearch(3), strings. */
	void *root;
};

void tree_directories_finish(struct tree_directories *directories);

/* Adds a directory, and those above it with mode 0755, where they are not there yet. */
int tree_make_directory(struct cpio *cpio, struct tree_directories *directories, const char *path,
			mode_t permissions, struct provium_error *error);

/*
 * Adds the directories of a file or tree: those of the guest path, and, of a tree, all in it with
 * their modes. A symbolic link is followed where it is the host path itself.
 */
int tree_add_directories(struct cpio *cpio, struct tree_directories *directories,
			 const struct provium_file *file, struct provium_error *error);

/* Adds everything else, of whatever type. */
int tree_add_files(struct cpio *cpio, const struct tree_directories *directories,
		   const struct provium_file *file, struct provium_error *error);

#endif
