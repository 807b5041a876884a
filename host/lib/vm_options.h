/* Options of a VM: checked and completed before anything is started. */
#ifndef LIB_VM_OPTIONS_H
#define LIB_VM_OPTIONS_H

#include "host/include/provium.h"
#include "host/lib/vm_kernel.h"

#define VM_DEFAULT_MEMORY        ((uint64_t)512 << 20)
/* Debian's kernels need 80 MiB. */
#define VM_MIN_MEMORY            ((uint64_t)64 << 20)
#define VM_MAX_MEMORY            ((uint64_t)1 << 40)
#define VM_MAX_CPUS              255
#define VM_MAX_DISKS             16

#define VM_DEFAULT_QEMU          "qemu-system-x86_64"
#define VM_DEFAULT_VSOCK_PROGRAM "provium-vsock"

/*
 * PROVIUM_INVALID or PROVIUM_HOST with the option's name where one cannot be used. *completed gets
 * the options with their defaults, *kernel what the image says of itself.
 */
int vm_options_check(const struct provium_vm_options *options, struct provium_vm_options *completed,
		     struct vm_kernel *kernel, struct provium_error *error);

/* The same for what a resumed VM chooses anew. */
int vm_options_check_vsock(enum provium_vsock vsock, const char *socket,
			   struct provium_error *error);

/* Whether a kernel, and the wrapper as it, finds a root that is named so. */
bool vm_options_root_is_known(const char *root);

#endif
