/*
 * What a virtual machine is made of, and what it is made of again when it is resumed: its size, and
 * the files that hold its memory and disks.
 */
#ifndef LIB_VM_HARDWARE_H
#define LIB_VM_HARDWARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/include/provium.h"
#include "host/lib/vm_options.h"

/* "raw" and "qcow2", NUL included. */
#define VM_FORMAT_SIZE 8

struct vm_disk {
	/* The image. Of one that the VM writes to, the VM's own or the user's. */
	int fd;
	bool own;
	bool readonly;
	char format[VM_FORMAT_SIZE];
	/*
	 * What lies beneath a qcow2 image, by name: an absolute path. Known of the disks of
	 * snapshots and of what was resumed from one, where the image itself has no name. NULL:
	 * nothing.
	 */
	char *backing;
	char backing_format[VM_FORMAT_SIZE];
};

struct vm_hardware {
	/* KVM or TCG. */
	enum provium_accel accel;
	enum provium_machine machine;
	/* Bytes, and a file without a name of that size, which QEMU and provium-vsock share. */
	uint64_t memory;
	int memory_fd;
	unsigned int cpus;
	struct vm_disk disks[VM_MAX_DISKS];
	size_t n_disks;
};

/* Of nothing yet. */
void vm_hardware_init(struct vm_hardware *hardware);

/* Closes the files. */
void vm_hardware_finish(struct vm_hardware *hardware);

/*
 * Makes the memory's file. It is a memfd: no disk, whose writing back would be as slow as the guest
 * is busy, and no name.
 */
int vm_hardware_make_memory(struct vm_hardware *hardware, struct provium_error *error);

/* Opens what QEMU will open by its path, for the time when that has become another's. */
int vm_hardware_open_disks(struct vm_hardware *hardware, const struct provium_disk *disks,
			   size_t n_disks, struct provium_error *error);

/* Whether a disk's image may have this format. */
bool vm_format_known(const char *format);

#endif
