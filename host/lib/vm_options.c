#include "host/lib/vm_options.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/lib/error.h"

static int check_memory(uint64_t *memory, struct provium_error *error)
{
	if (*memory == 0)
		*memory = VM_DEFAULT_MEMORY;
	if (*memory < VM_MIN_MEMORY)
		return error_set(error, PROVIUM_INVALID, 0,
				 "memory of %" PRIu64 " bytes: a VM needs at least %" PRIu64 " MiB",
				 *memory, VM_MIN_MEMORY >> 20);
	if (*memory > VM_MAX_MEMORY)
		return error_set(error, PROVIUM_INVALID, 0,
				 "memory of %" PRIu64 " bytes: at most %" PRIu64 " GiB", *memory,
				 VM_MAX_MEMORY >> 30);
	/* QEMU counts in MiB. */
	if (*memory % (1 << 20))
		return error_set(error, PROVIUM_INVALID, 0,
				 "memory of %" PRIu64 " bytes is not a multiple of 1 MiB", *memory);
	return 0;
}

static int check_disk(const struct provium_disk *disk, struct provium_error *error)
{
	struct stat st;

	if (!disk->path || !*disk->path)
		return error_set(error, PROVIUM_INVALID, 0, "a disk without a path");
	if (disk->format && strcmp(disk->format, "raw") != 0 && strcmp(disk->format, "qcow2") != 0)
		return error_set(error, PROVIUM_INVALID, 0,
				 "disk '%s': format '%s' is neither raw nor qcow2", disk->path,
				 disk->format);
	if (stat(disk->path, &st) < 0)
		return error_set(error, PROVIUM_HOST, errno, "disk '%s'", disk->path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return error_set(error, PROVIUM_INVALID, 0,
				 "disk '%s' is neither a file nor a block device", disk->path);
	if (faccessat(AT_FDCWD, disk->path, disk->readonly ? R_OK : R_OK | W_OK, AT_EACCESS) < 0)
		return error_set(error, PROVIUM_HOST, errno, "disk '%s'%s", disk->path,
				 disk->readonly ? "" : " (read-only would need less)");
	if (S_ISREG(st.st_mode) && st.st_size == 0)
		return error_set(error, PROVIUM_INVALID, 0, "disk '%s' is empty", disk->path);
	/* A raw disk has whole sectors; QEMU would round, and the guest see zeroes. */
	if (S_ISREG(st.st_mode) && st.st_size % 512 &&
	    (!disk->format || strcmp(disk->format, "raw") == 0))
		return error_set(error, PROVIUM_INVALID, 0,
				 "disk '%s': %lld bytes are not a multiple of 512", disk->path,
				 (long long)st.st_size);
	return 0;
}

bool vm_options_root_is_known(const char *root)
{
	return (strncmp(root, "/dev/", 5) == 0 && root[5]) ||
	       (strncmp(root, "PARTUUID=", 9) == 0 && root[9]);
}

/* The wrapper's, and the kernel's own: what else names a root is an initramfs's. */
static int check_root(const struct provium_vm_options *options, struct provium_error *error)
{
	const char *root = options->root;

	if (!root)
		return 0;
	if (!vm_options_root_is_known(root))
		return error_set(error, PROVIUM_INVALID, 0,
				 "root '%s' is neither /dev/NAME nor PARTUUID=UUID, of which alone "
				 "a kernel knows; an initramfs may know others, by 'root=%s' among "
				 "the kernel's parameters",
				 root, root);
	for (const char *at = root; *at; at++) {
		if (*at <= ' ' || *at == '"' || *at > '~')
			return error_set(error, PROVIUM_INVALID, 0,
					 "root '%s' holds a blank, a quote or the like", root);
	}
	if (options->initrd)
		return error_set(error, PROVIUM_INVALID, 0,
				 "root '%s': an initramfs mounts its root by itself; tell it by a "
				 "kernel parameter ('root=%s')",
				 root, root);
	if (options->n_files > 0)
		return error_set(error, PROVIUM_INVALID, 0,
				 "root '%s': files are put into the initramfs, which is left for "
				 "that root; push them",
				 root);
	return 0;
}

int vm_options_check_vsock(enum provium_vsock vsock, const char *socket,
			   struct provium_error *error)
{
	if ((unsigned int)vsock > PROVIUM_VSOCK_USER)
		return error_set(error, PROVIUM_INVALID, 0, "unknown kind of vsock %d", vsock);
	if (socket && vsock == PROVIUM_VSOCK_KERNEL)
		return error_set(error, PROVIUM_INVALID, 0,
				 "the kernel's vsock has no socket: '%s' needs provium-vsock",
				 socket);
	return 0;
}

static int check_choices(const struct provium_vm_options *options, struct provium_error *error)
{
	if (options->cpus > VM_MAX_CPUS)
		return error_set(error, PROVIUM_INVALID, 0, "%u CPUs: at most %d", options->cpus,
				 VM_MAX_CPUS);
	if ((unsigned int)options->accel > PROVIUM_ACCEL_TCG)
		return error_set(error, PROVIUM_INVALID, 0, "unknown accelerator %d",
				 options->accel);
	if ((unsigned int)options->machine > PROVIUM_MACHINE_MICROVM)
		return error_set(error, PROVIUM_INVALID, 0, "unknown machine %d", options->machine);
	if (vm_options_check_vsock(options->vsock, options->socket, error) < 0)
		return -1;
	if (options->n_disks > VM_MAX_DISKS)
		return error_set(error, PROVIUM_INVALID, 0, "%zu disks: at most %d",
				 options->n_disks, VM_MAX_DISKS);
	return 0;
}

int vm_options_check(const struct provium_vm_options *options, struct provium_vm_options *completed,
		     struct vm_kernel *kernel, struct provium_error *error)
{
	*completed = *options;
	if (vm_kernel_check(options->kernel, kernel, error) < 0 || check_root(options, error) < 0 ||
	    check_choices(options, error) < 0 || check_memory(&completed->memory, error) < 0)
		return -1;
	for (size_t i = 0; i < options->n_disks; i++) {
		if (check_disk(&options->disks[i], error) < 0)
			return -1;
	}
	if (completed->cpus == 0)
		completed->cpus = 1;
	if (!completed->has_cancel_fd)
		completed->cancel_fd = -1;
	if (!completed->qemu)
		completed->qemu = VM_DEFAULT_QEMU;
	if (!completed->vsock_program)
		completed->vsock_program = VM_DEFAULT_VSOCK_PROGRAM;
	return 0;
}
