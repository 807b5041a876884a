/* Files of a procfs that is mounted nowhere, or for the moment only. */
#ifndef WRAPPER_PROCFS_H
#define WRAPPER_PROCFS_H

#include <stddef.h>

/*
 * Reads a file of /proc into text, NUL-terminated, without the newline at its end; what is beyond
 * size is left out. -1 and errno.
 */
int procfs_read(const char *name, char *text, size_t size);

#endif
