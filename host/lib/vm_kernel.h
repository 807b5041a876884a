/* What a kernel image says of itself, read before QEMU is started with it. */
#ifndef LIB_VM_KERNEL_H
#define LIB_VM_KERNEL_H

#include <stddef.h>

#include "host/include/provium.h"

struct vm_kernel {
	/* The longest command line, bytes, without a NUL. */
	size_t command_line_limit;
};

/*
 * Opens and judges the image: one that QEMU could not start, or on which the agent could not run,
 * is PROVIUM_INVALID with what is wrong with it; one that cannot be read PROVIUM_HOST.
 */
int vm_kernel_check(const char *path, struct vm_kernel *kernel, struct provium_error *error);

#endif
