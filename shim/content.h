/* Files of the host as entries of an archive. Content is streamed, not held in memory. */
#ifndef SHIM_CONTENT_H
#define SHIM_CONTENT_H

#include "shim/cpio.h"

/*
 * Adds fd, a regular file with the status that entry has; name is for the error, which tells where
 * the file has another length than its status says.
 */
int content_add(struct cpio *cpio, const struct cpio_entry *entry, int fd, const char *name,
		struct provium_error *error);

/* Adds the file at path, decompressed where its name ends in .gz, .xz or .zst, as guest_path. */
int content_add_module(struct cpio *cpio, const char *guest_path, const char *path,
		       struct provium_error *error);

/* Copies size bytes from fd's start to another file's position. Names are for the error. */
int content_copy(int to, int fd, uint64_t size, const char *name, struct provium_error *error);

#endif
