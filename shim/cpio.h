/*
 * Writes a cpio archive as the kernel reads it (Documentation/driver-api/early-userspace/
 * buffer-format.rst, "newc"). Libarchive could, but ends the process where it has no memory.
 *
 * Every entry belongs to root. Paths are absolute and clean: "/a/b".
 */
#ifndef SHIM_CPIO_H
#define SHIM_CPIO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/include/provium.h"

/* An archive's length, and the place of each in an initramfs, is a multiple of this. */
#define CPIO_BLOCK 512

struct cpio;

/* Begins an archive at fd's position; fd stays the caller's. NULL: failed. */
struct cpio *cpio_create(int fd, struct provium_error *error);

/* Ends the archive where it is complete (cpio_finish), and in any case releases it. */
int cpio_finish(struct cpio *cpio, struct provium_error *error);
void cpio_destroy(struct cpio *cpio);

struct cpio_entry {
	const char *path;
	/* Type and permissions, as st_mode. */
	mode_t mode;
	/* Seconds. */
	int64_t mtime;
	/* Of a regular file, bytes: exactly so many follow by cpio_data. */
	uint64_t size;
	/* Of a symbolic link; NULL: it is none. */
	const char *target;
	/* Of a device. */
	dev_t device;
};

int cpio_add(struct cpio *cpio, const struct cpio_entry *entry, struct provium_error *error);
int cpio_data(struct cpio *cpio, const void *data, size_t size, struct provium_error *error);

/* A regular file from memory, as old as all that is ours. */
int cpio_add_bytes(struct cpio *cpio, const char *path, mode_t permissions, const void *data,
		   size_t size, struct provium_error *error);

/* What lies between archives. */
int cpio_write_raw(int fd, const void *data, size_t size, struct provium_error *error);

#endif
