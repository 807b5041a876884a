/*
 * A saved guest. Nothing of it has a name: its files are gone with the last process that has them
 * open, however that ends.
 *
 *     provium_vm_save:          VM's memory, own disks ---> snapshot      (moved: the VM ends)
 *                               disks that are the user's -> snapshot     (copied)
 *     provium_snapshot_resume:  snapshot ---> a new VM's own              (copied, each time)
 *
 * The state of QEMU's devices goes through a socket in both directions, not by a file that QEMU
 * opens: what QEMU can do with files has changed from version to version.
 */
#ifndef LIB_SNAPSHOT_H
#define LIB_SNAPSHOT_H

#include <stdint.h>

#include "host/include/provium.h"
#include "host/lib/vm_hardware.h"

/* Of QEMU's devices. It has been 0.3 MiB. */
#define SNAPSHOT_MAX_STATE ((uint64_t)64 << 20)

struct provium_snapshot {
	struct vm_hardware hardware;
	int state_fd;
	uint64_t state_size;
	/* What the agent asks of every connection. */
	uint8_t token[PROVIUM_TOKEN_SIZE];
};

/* NULL: *error. Released with provium_snapshot_free. */
struct provium_snapshot *snapshot_new(struct provium_error *error);

#endif
