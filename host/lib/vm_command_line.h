/* The kernel command line that brings console, wrapper and agent up. Pure. */
#ifndef LIB_VM_COMMAND_LINE_H
#define LIB_VM_COMMAND_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "host/include/provium.h"

struct vm_command_line {
	/* The real init's path. NULL: none is named. */
	const char *init;
	/* It is held back. */
	bool hold;
	/* What the wrapper mounts for it, without blanks and quotes. NULL: nothing. */
	const char *root;
	/* What the kernel has to be told of the machine. NULL: nothing. */
	const char *machine;
	/* The user's parameters. NULL: none. */
	const char *append;
	/* The longest line that the kernel takes, bytes, without a NUL. */
	size_t limit;
};

/* Released with free(3). NULL and *error where it cannot be made. */
char *vm_command_line(const struct vm_command_line *parts, struct provium_error *error);

#endif
