/*
 * Saving a guest.
 *
 * Its vsock device is unplugged first: QEMU cannot save provium-vsock's, and the kernel's has a CID
 * that the next guest must not have. The agent's listener is bound to any CID and stays. The guest
 * takes part in that; from then on it stands still, and QEMU sends the state of its devices. The
 * memory is a file that is shared already, and only changes hands.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/connection.h"
#include "host/lib/error.h"
#include "host/lib/file_copy.h"
#include "host/lib/qemu_args.h"
#include "host/lib/request.h"
#include "host/lib/snapshot.h"
#include "host/lib/vm.h"

/* Bytes a second: as fast as it goes. */
#define BANDWIDTH (INT64_C(1) << 40)

/* What exists during the save only. */
struct save {
	struct provium_vm *vm;
	struct provium_snapshot *snapshot;
	struct wait_limits limits;
	struct provium_error *error;
};

/* All that can be known before anything is changed. */
static int check(struct provium_vm *vm, struct provium_error *error)
{
	if (vm_monitor_check(vm, error) < 0)
		return -1;
	if (vm->connection->in_turn)
		return error_set(error, PROVIUM_INVALID, 0,
				 "a callback cannot save the VM that it is called for");
	if (vm->hardware.machine != PROVIUM_MACHINE_Q35)
		return error_set(error, PROVIUM_INVALID, 0,
				 "only a guest on q35 can be saved: its vsock device alone can be "
				 "unplugged");
	if (request_any(vm->connection))
		return error_set(error, PROVIUM_BUSY, 0,
				 "the VM's connection has requests in flight, which a save would "
				 "end: wait for them, or free them");
	return 0;
}

static bool is_unplugged(const struct provium_vm *vm)
{
	return vm->unplugged;
}

static int unplug(struct save *save)
{
	struct provium_vm *vm = save->vm;

	pthread_mutex_lock(&vm->lock);
	vm->unplugged = false;
	pthread_mutex_unlock(&vm->lock);
	if (vm_command(vm, "device_del", json_pack("{s:s}", "id", QEMU_VSOCK_DEVICE),
		       &save->limits.deadline, NULL, save->error) < 0)
		return -1;
	if (vm_await(vm, is_unplugged, &save->limits,
		     "the guest has not let its vsock device go (its kernel needs "
		     "CONFIG_HOTPLUG_PCI_ACPI)",
		     save->error) < 0)
		return -1;
	return 0;
}

/* The format and the path of what is beneath a disk, as QEMU has resolved them. */
static int take_backing(struct save *save, struct vm_disk *disk, const json_t *image)
{
	const json_t *specific = json_object_get(json_object_get(image, "format-specific"), "data");
	const char *path = json_string_value(json_object_get(image, "full-backing-filename"));
	const char *format = json_string_value(
		json_object_get(json_object_get(image, "backing-image"), "format"));
	char absolute[PATH_MAX];

	if (json_object_get(specific, "data-file"))
		return error_set(save->error, PROVIUM_UNSUPPORTED, 0,
				 "a qcow2 image with a data file of its own cannot be saved");
	if (!path || disk->backing)
		return 0;
	if (!format || !vm_format_known(format))
		return error_set(save->error, PROVIUM_UNSUPPORTED, 0,
				 "a disk's backing file '%s' is neither raw nor qcow2", path);
	/* What is relative is so to QEMU's directory, which ours was when it started. */
	snprintf(absolute, sizeof(absolute), "/proc/%d/cwd/%s", save->vm->qemu.pid, path);
	disk->backing = realpath(path[0] == '/' ? path : absolute, NULL);
	if (!disk->backing)
		return error_set(save->error, PROVIUM_HOST, errno, "backing file '%s'", path);
	snprintf(disk->backing_format, sizeof(disk->backing_format), "%s", format);
	return 0;
}

static int find_backings(struct save *save)
{
	struct vm_hardware *hardware = &save->vm->hardware;
	json_t *blocks = NULL;
	const json_t *block;
	size_t index;
	int result = 0;

	if (hardware->n_disks == 0)
		return 0;
	if (vm_command(save->vm, "query-block", json_object(), &save->limits.deadline, &blocks,
		       save->error) < 0)
		return -1;
	json_array_foreach(blocks, index, block)
	{
		const json_t *inserted = json_object_get(block, "inserted");
		const char *name = json_string_value(json_object_get(inserted, "node-name"));
		unsigned int number;

		if (result < 0 || !name || sscanf(name, "disk%u", &number) != 1 ||
		    number >= hardware->n_disks)
			continue;
		result = take_backing(save, &hardware->disks[number],
				      json_object_get(inserted, "image"));
	}
	json_decref(blocks);
	return result;
}

/* All of it, at the state's end. */
static int store(struct provium_snapshot *snapshot, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(snapshot->state_fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		snapshot->state_size += (uint64_t)n;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

/* Takes what QEMU sends, to its end; what it has refused does not come. */
static int receive_state(struct save *save, int fd)
{
	struct provium_snapshot *snapshot = save->snapshot;
	static const char what[] = "saving the devices' state";
	cleanup_free char *buffer = malloc(KIB(64));

	if (!buffer)
		return error_set(save->error, PROVIUM_HOST, ENOMEM, what);
	for (;;) {
		short revents;
		ssize_t n;

		if (wait_fd(fd, POLLIN, &save->limits, what, &revents, save->error) != WAIT_READY)
			return -1;
		if (vm_has_refused(save->vm))
			return 0;
		if (!revents)
			continue;
		n = read(fd, buffer, KIB(64));
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return error_set(save->error, PROVIUM_HOST, errno, what);
		if (n < 0)
			continue;
		if (snapshot->state_size + (uint64_t)n > SNAPSHOT_MAX_STATE)
			return error_set(save->error, PROVIUM_LIMIT, 0, "%s: more than %u MiB",
					 what, (unsigned int)(SNAPSHOT_MAX_STATE >> 20));
		if (store(snapshot, buffer, (size_t)n) < 0)
			return error_set(save->error, PROVIUM_HOST, errno, what);
	}
}

static int migrate(struct save *save)
{
	const struct deadline *deadline = &save->limits.deadline;
	struct provium_vm *vm = save->vm;
	cleanup_close int ours = -1;
	cleanup_close int theirs = -1;
	int pair[2];

	save->snapshot->state_fd = memfd_create("devices' state", MFD_CLOEXEC);
	if (save->snapshot->state_fd < 0)
		return error_set(save->error, PROVIUM_HOST, errno, "memfd_create");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_set(save->error, PROVIUM_HOST, errno, "socketpair");
	ours = pair[0];
	theirs = pair[1];

	if (vm_prepare_migration(vm, deadline, save->error) < 0 ||
	    vm_command(vm, "migrate-set-parameters",
		       json_pack("{s:I}", "max-bandwidth", (json_int_t)BANDWIDTH), deadline, NULL,
		       save->error) < 0 ||
	    vm_pass_fd(vm, "state", theirs, deadline, save->error) < 0)
		return -1;
	theirs = close_fd(theirs);
	/* QEMU may answer only when it has sent all: its thread that sends holds the lock that the
	 * one that answers waits for. */
	if (vm_send_command(vm, "migrate", json_pack("{s:s}", "uri", "fd:state"), deadline,
			    save->error) < 0 ||
	    receive_state(save, ours) < 0 ||
	    vm_await_reply(vm, "migrate", deadline, save->error) < 0)
		return -1;
	return vm_await_migration(vm, &save->limits, "saving the devices' state", save->error);
}

static int hold(struct save *save)
{
	pthread_mutex_lock(&save->vm->lock);
	save->vm->held = true;
	pthread_mutex_unlock(&save->vm->lock);
	return vm_command(save->vm, "stop", json_object(), &save->limits.deadline, NULL,
			  save->error);
}

/* What the guest writes to and is not the VM's own. QEMU has ended, and written all of it. */
static int copy_disks(struct save *save)
{
	struct vm_hardware *hardware = &save->vm->hardware;
	/* QEMU is gone: no monitor. */
	const struct wait_limits limits = {
		.deadline = save->limits.deadline,
		.cancel_fd = save->limits.cancel_fd,
	};

	for (size_t i = 0; i < hardware->n_disks; i++) {
		struct vm_disk *disk = &hardware->disks[i];
		off_t size;
		int copy;

		if (disk->own || disk->readonly)
			continue;
		/* Of a block device, too. */
		size = lseek(disk->fd, 0, SEEK_END);
		if (size < 0)
			return error_set(save->error, PROVIUM_HOST, errno, "disk %zu", i);
		copy = file_make_nameless(save->vm->files.directory, save->error);
		if (copy < 0)
			return -1;
		if (file_copy(disk->fd, copy, (uint64_t)size, &limits, "a disk", save->error) < 0) {
			close_fd(copy);
			return -1;
		}
		close_fd(disk->fd);
		disk->fd = copy;
		disk->own = true;
	}
	return 0;
}

static int run(struct save *save)
{
	struct provium_vm *vm = save->vm;

	connection_lose(vm->connection, PROVIUM_VM_GONE, 0, "the VM was ended by provium_vm_save");
	connection_settle(vm->connection);
	if (unplug(save) < 0 || hold(save) < 0 || migrate(save) < 0)
		return -1;
	return 0;
}

int provium_vm_save(struct provium_vm *vm, int timeout_ms, struct provium_snapshot **snapshot,
		    struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct save save = {
		.vm = vm,
		.limits = vm_limits(vm, &deadline),
		.error = error,
	};
	int result;

	*snapshot = NULL;
	error_clear(error);
	if (check(vm, error) < 0)
		return -1;
	if (find_backings(&save) < 0)
		return -1;
	save.snapshot = snapshot_new(error);
	if (!save.snapshot)
		return -1;
	result = run(&save);
	pthread_mutex_lock(&vm->lock);
	vm->saved = !vm->gone;
	pthread_mutex_unlock(&vm->lock);
	vm_kill(vm);
	if (result == 0)
		result = copy_disks(&save);
	if (result < 0) {
		provium_snapshot_free(save.snapshot);
		return -1;
	}
	save.snapshot->hardware = vm->hardware;
	memcpy(save.snapshot->token, vm->token, sizeof(vm->token));
	vm_hardware_init(&vm->hardware);
	vm->hardware.accel = save.snapshot->hardware.accel;
	*snapshot = save.snapshot;
	return 0;
}
