/*
 * Resuming a guest: a QEMU without a kernel waits for a state, and loads it into a machine as the
 * saved one was, with copies of what that had been writing to. While QEMU starts, which takes about
 * as long, the memory is copied. The vsock device is plugged in before the guest runs on.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/read_at.h"
#include "common/util.h"
#include "host/lib/error.h"
#include "host/lib/file_copy.h"
#include "host/lib/snapshot.h"
#include "host/lib/vm_start.h"

/* "/proc/self/fd/" and a number. */
#define FD_PATH_SIZE 32

/* What exists during the resume only. */
struct resume {
	struct vm_start start;
	const struct provium_snapshot *snapshot;
	struct wait_limits limits;
	/* As QEMU knows it. */
	int vsock_fd;
	struct provium_error *error;
};

static int copy_disk(struct resume *resume, const struct vm_disk *from, struct vm_disk *to)
{
	struct stat st;

	*to = *from;
	to->fd = -1;
	to->backing = from->backing ? strdup(from->backing) : NULL;
	if (from->backing && !to->backing)
		return error_set(resume->error, PROVIUM_HOST, ENOMEM, "disk");
	if (from->readonly) {
		to->fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 0);
		return to->fd < 0 ? error_set(resume->error, PROVIUM_HOST, errno, "disk") : 0;
	}
	to->own = true;
	if (fstat(from->fd, &st) < 0)
		return error_set(resume->error, PROVIUM_HOST, errno, "disk");
	to->fd = file_make_nameless(resume->start.vm->files.directory, resume->error);
	if (to->fd < 0)
		return -1;
	return file_copy(from->fd, to->fd, (uint64_t)st.st_size, &resume->limits, "a disk",
			 resume->error);
}

static int copy_disks(struct resume *resume)
{
	const struct vm_hardware *from = &resume->snapshot->hardware;
	struct vm_hardware *to = &resume->start.vm->hardware;

	for (size_t i = 0; i < from->n_disks; i++) {
		to->n_disks++;
		if (copy_disk(resume, &from->disks[i], &to->disks[i]) < 0)
			return -1;
	}
	return 0;
}

static int start_qemu(struct resume *resume)
{
	const struct vm_hardware *hardware = &resume->start.vm->hardware;
	char paths[VM_MAX_DISKS][FD_PATH_SIZE];
	struct qemu_backing backings[VM_MAX_DISKS];
	struct provium_disk disks[VM_MAX_DISKS];
	struct qemu_options qemu = {
		.accel = hardware->accel,
		.memory = hardware->memory,
		.memory_fd = hardware->memory_fd,
		.cpus = hardware->cpus,
		.incoming = true,
		.disks = disks,
		.n_disks = hardware->n_disks,
		.backings = backings,
	};
	int keep[VM_START_MAX_KEEP];
	size_t n_keep = 0;

	keep[n_keep++] = hardware->memory_fd;
	for (size_t i = 0; i < hardware->n_disks; i++) {
		const struct vm_disk *disk = &hardware->disks[i];

		snprintf(paths[i], sizeof(paths[i]), "/proc/self/fd/%d", disk->fd);
		disks[i] = (struct provium_disk){
			.path = paths[i],
			.readonly = disk->readonly,
			.format = disk->format,
		};
		backings[i] = (struct qemu_backing){ disk->backing, disk->backing_format };
		keep[n_keep++] = disk->fd;
	}
	resume->vsock_fd = resume->start.qemu_vsock;
	return vm_start_run(&resume->start, &qemu, keep, n_keep);
}

/* QEMU may end before it has read all: the migration's end says why. */
static int send_state(struct resume *resume, int fd)
{
	const struct provium_snapshot *snapshot = resume->snapshot;
	static const char what[] = "loading the devices' state";
	cleanup_free char *buffer = malloc(KIB(64));
	uint64_t at = 0;

	if (!buffer)
		return error_set(resume->error, PROVIUM_HOST, ENOMEM, what);
	while (at < snapshot->state_size) {
		ssize_t n = read_at(snapshot->state_fd, buffer,
				    MIN(KIB(64), snapshot->state_size - at), (off_t)at);
		short revents;

		if (n <= 0)
			return error_set(resume->error, PROVIUM_HOST, n < 0 ? errno : 0,
					 "%s: it cannot be read", what);
		n = send(fd, buffer, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN) {
			if (wait_fd(fd, POLLOUT, &resume->limits, what, &revents, resume->error) !=
			    WAIT_READY)
				return -1;
		} else if (n < 0 && errno != EINTR) {
			return 0;
		} else if (n > 0) {
			at += (uint64_t)n;
		}
	}
	return 0;
}

static int load(struct resume *resume)
{
	const struct deadline *deadline = &resume->limits.deadline;
	struct provium_vm *vm = resume->start.vm;
	cleanup_close int ours = -1;
	cleanup_close int theirs = -1;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_set(resume->error, PROVIUM_HOST, errno, "socketpair");
	ours = pair[0];
	theirs = pair[1];
	if (vm_prepare_migration(vm, deadline, resume->error) < 0 ||
	    vm_pass_fd(vm, "state", theirs, deadline, resume->error) < 0)
		return -1;
	theirs = close_fd(theirs);
	if (vm_command(vm, "migrate-incoming", json_pack("{s:s}", "uri", "fd:state"), deadline,
		       NULL, resume->error) < 0 ||
	    send_state(resume, ours) < 0)
		return -1;
	ours = close_fd(ours);
	return vm_await_migration(vm, &resume->limits, "loading the devices' state", resume->error);
}

/* As in the arguments of a QEMU that boots. */
static int plug(struct resume *resume)
{
	struct provium_vm *vm = resume->start.vm;
	char number[16];
	json_t *device;

	if (vm->vsock == PROVIUM_VSOCK_USER) {
		device = json_pack("{s:s, s:s, s:s, s:s}", "driver", "vhost-user-vsock-pci", "id",
				   QEMU_VSOCK_DEVICE, "chardev", QEMU_VSOCK_CHARDEV, "bus",
				   QEMU_VSOCK_PORT);
	} else {
		snprintf(number, sizeof(number), "%d", resume->vsock_fd);
		device = json_pack("{s:s, s:s, s:s, s:I, s:s}", "driver", "vhost-vsock-pci", "id",
				   QEMU_VSOCK_DEVICE, "vhostfd", number, "guest-cid",
				   (json_int_t)resume->start.guest_cid, "bus", QEMU_VSOCK_PORT);
	}
	return vm_command(vm, "device_add", device, &resume->limits.deadline, NULL, resume->error);
}

static int let_go(struct resume *resume)
{
	struct provium_vm *vm = resume->start.vm;

	pthread_mutex_lock(&vm->lock);
	vm->held = false;
	pthread_mutex_unlock(&vm->lock);
	return vm_command(vm, "cont", json_object(), &resume->limits.deadline, NULL, resume->error);
}

/*
 * The guest still has the time at which it was saved, and its random numbers are those of every
 * other guest of the snapshot.
 */
static int refresh(struct resume *resume)
{
	struct provium_connection *connection = resume->start.vm->connection;
	const struct deadline *deadline = &resume->limits.deadline;

	if (provium_reseed(connection, NULL, 0, deadline_remaining_ms(deadline), resume->error) <
		    0 ||
	    provium_clock_set(connection, (int64_t)clock_ns(CLOCK_REALTIME),
			      deadline_remaining_ms(deadline), resume->error) < 0)
		return -1;
	return 0;
}

static int run(struct resume *resume)
{
	const struct vm_hardware *from = &resume->snapshot->hardware;
	struct vm_start *start = &resume->start;
	struct provium_vm *vm = start->vm;
	struct vm_hardware *hardware = &vm->hardware;

	hardware->accel = from->accel;
	hardware->memory = from->memory;
	hardware->cpus = from->cpus;
	vm->held = true;
	vm_start_deadline(start);
	resume->limits = vm_limits(vm, &start->deadline);
	if (vm_start_prepare(start, resume->snapshot->token) < 0)
		return -1;
	if (hardware->n_disks > 0)
		vm_start_phase(start, "copying disks");
	if (copy_disks(resume) < 0 || vm_hardware_make_memory(hardware, resume->error) < 0 ||
	    start_qemu(resume) < 0)
		return -1;
	vm_start_phase(start, "copying the guest's memory");
	if (file_copy(from->memory_fd, hardware->memory_fd, from->memory, &resume->limits,
		      "the guest's memory", resume->error) < 0 ||
	    vm_start_negotiate(start) < 0 || load(resume) < 0 || plug(resume) < 0 ||
	    let_go(resume) < 0)
		return -1;
	vm_start_phase(start, "waiting for the agent");
	if (vm_start_connect(start) < 0 || refresh(resume) < 0)
		return -1;
	vm->booting = false;
	return 0;
}

int provium_snapshot_resume(const struct provium_snapshot *snapshot,
			    const struct provium_resume_options *options, struct provium_vm **vm,
			    struct provium_error *error)
{
	static const struct provium_resume_options defaults;
	struct resume resume = { .snapshot = snapshot, .error = error };
	int result;

	*vm = NULL;
	error_clear(error);
	if (!options)
		options = &defaults;
	if (vm_options_check_vsock(options->vsock, options->socket, error) < 0)
		return -1;
	resume.start = (struct vm_start){
		.vsock = options->vsock,
		.socket = options->socket,
		.console = options->console,
		.qemu = options->qemu ? options->qemu : VM_DEFAULT_QEMU,
		.vsock_program =
			options->vsock_program ? options->vsock_program : VM_DEFAULT_VSOCK_PROGRAM,
		.timeout_ms = options->timeout_ms,
		.cancel_fd = options->has_cancel_fd ? options->cancel_fd : -1,
		.on_notice = options->on_notice,
		.on_phase = options->on_phase,
		.user = options->user,
	};
	result = vm_start_init(&resume.start, error);
	if (result == 0)
		result = run(&resume);
	vm_start_finish(&resume.start);
	if (result < 0) {
		provium_vm_free(resume.start.vm);
		return -1;
	}
	*vm = resume.start.vm;
	return 0;
}
