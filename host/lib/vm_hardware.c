#include "host/lib/vm_hardware.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "host/lib/error.h"

void vm_hardware_init(struct vm_hardware *hardware)
{
	*hardware = (struct vm_hardware){ .memory_fd = -1 };
	for (size_t i = 0; i < VM_MAX_DISKS; i++)
		hardware->disks[i].fd = -1;
}

void vm_hardware_finish(struct vm_hardware *hardware)
{
	close_fd(hardware->memory_fd);
	for (size_t i = 0; i < hardware->n_disks; i++) {
		close_fd(hardware->disks[i].fd);
		free(hardware->disks[i].backing);
	}
	vm_hardware_init(hardware);
}

int vm_hardware_make_memory(struct vm_hardware *hardware, struct provium_error *error)
{
	cleanup_close int fd = memfd_create("guest memory", MFD_CLOEXEC);

	if (fd < 0)
		return error_set(error, PROVIUM_HOST, errno, "memfd_create");
	if (ftruncate(fd, (off_t)hardware->memory) < 0)
		return error_set(error, PROVIUM_HOST, errno, "a file of %" PRIu64 " bytes",
				 hardware->memory);
	hardware->memory_fd = steal_fd(&fd);
	return 0;
}

int vm_hardware_open_disks(struct vm_hardware *hardware, const struct provium_disk *disks,
			   size_t n_disks, struct provium_error *error)
{
	for (size_t i = 0; i < n_disks; i++) {
		struct vm_disk *disk = &hardware->disks[i];

		disk->fd = open(disks[i].path, O_RDONLY | O_CLOEXEC);
		if (disk->fd < 0)
			return error_set(error, PROVIUM_HOST, errno, "disk '%s'", disks[i].path);
		hardware->n_disks++;
		disk->readonly = disks[i].readonly;
		snprintf(disk->format, sizeof(disk->format), "%s",
			 disks[i].format ? disks[i].format : "raw");
	}
	return 0;
}

bool vm_format_known(const char *format)
{
	return strcmp(format, "raw") == 0 || strcmp(format, "qcow2") == 0;
}
