/* A procfs that is mounted nowhere. */
#ifndef WRAPPER_PROCFS_H
#define WRAPPER_PROCFS_H

#include <stddef.h>

/*
 * Its directory, close-on-exec, opened by the first call and kept: to let go of a mount is work for
 * the kernel that the real init would wait for. -1 and errno.
 */
int procfs(void);

/*
 * Reads a file of it into text, NUL-terminated, without the newline at its end; what is beyond size
 * is left out. -1 and errno.
 */
int procfs_read(const char *name, char *text, size_t size);

#endif
