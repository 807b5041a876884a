#include "host/lib/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "host/lib/error.h"

struct provium_snapshot *snapshot_new(struct provium_error *error)
{
	struct provium_snapshot *snapshot = calloc(1, sizeof(*snapshot));

	if (!snapshot) {
		error_set(error, PROVIUM_HOST, ENOMEM, "snapshot");
		return NULL;
	}
	vm_hardware_init(&snapshot->hardware);
	snapshot->state_fd = -1;
	return snapshot;
}

void provium_snapshot_free(struct provium_snapshot *snapshot)
{
	if (!snapshot)
		return;
	vm_hardware_finish(&snapshot->hardware);
	close_fd(snapshot->state_fd);
	explicit_bzero(snapshot->token, sizeof(snapshot->token));
	free(snapshot);
}

uint64_t provium_snapshot_memory(const struct provium_snapshot *snapshot)
{
	return snapshot->hardware.memory;
}

unsigned int provium_snapshot_cpus(const struct provium_snapshot *snapshot)
{
	return snapshot->hardware.cpus;
}

enum provium_accel provium_snapshot_accel(const struct provium_snapshot *snapshot)
{
	return snapshot->hardware.accel;
}
