/*
 * How the agent is awaited: provium-vsock takes our connection request at once and holds it until
 * the guest's driver is there; a guest whose agent does not listen yet refuses, and the request is
 * made again after a short time. An agent that called us when it listens would spare that, but
 * would be one more thing in the guest that is not the test's, and the kernel's vhost-vsock would
 * need a port that is the whole machine's. Under TCG a refused request costs the guest some 0.2 ms.
 */
#include "host/lib/vm_start.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/accel.h"
#include "host/lib/connection.h"
#include "host/lib/error.h"
#include "host/lib/token.h"
#include "host/lib/vm_vsock.h"
#include "proto/limits.h"

#define TIMEOUT_MS   60000

/* The guest's CID behind provium-vsock, which serves one guest alone: any but 0 to 2 will do. */
#define USER_CID     3

/* Between two attempts to connect. The first ones are short: the driver is often there just before
 * the agent listens.
 */
#define RETRY_MIN_MS 2
#define RETRY_MAX_MS 20

/* Between the end of QEMU's control socket and its own. */
#define EXIT_MS      1000

int vm_start_init(struct vm_start *start, struct provium_error *error)
{
	struct provium_vm *vm = calloc(1, sizeof(*vm));
	int *fds[] = { &start->qemu_console, &start->qemu_qmp,   &start->qemu_vsock,
		       &start->vsock_socket, &start->vsock_life, &start->qemu_log,
		       &start->vsock_log };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		*fds[i] = -1;
	start->error = error;
	start->vm = vm;
	if (!vm)
		return error_set(error, PROVIUM_HOST, ENOMEM, "VM");
	vm->qemu = VM_PROCESS_NONE;
	vm->vsock_program = VM_PROCESS_NONE;
	vm->life_fd = -1;
	vm_hardware_init(&vm->hardware);
	vm->booting = true;
	vm->cancel_fd = start->cancel_fd;
	vm->on_notice = start->on_notice;
	vm->user = start->user;
	return vm_monitor_init(vm, error);
}

void vm_start_finish(struct vm_start *start)
{
	int *fds[] = { &start->qemu_console, &start->qemu_qmp,   &start->qemu_vsock,
		       &start->vsock_socket, &start->vsock_life, &start->qemu_log,
		       &start->vsock_log };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		*fds[i] = close_fd(*fds[i]);
}

void vm_start_phase(const struct vm_start *start, const char *text)
{
	if (start->on_phase)
		start->on_phase(start->user, text);
}

void vm_start_notice(const struct vm_start *start, const char *text)
{
	if (start->on_notice)
		start->on_notice(start->user, text);
}

/* The kernel's device where it can be had, and is wanted. */
static int choose_vsock(struct vm_start *start)
{
	struct provium_error reason;
	char text[512];

	start->vm->vsock = PROVIUM_VSOCK_USER;
	if (start->vsock == PROVIUM_VSOCK_USER || start->socket)
		return 0;
	start->qemu_vsock = vm_vhost_open(&vm_vhost_linux, &start->guest_cid, &reason);
	if (start->qemu_vsock >= 0) {
		start->vm->vsock = PROVIUM_VSOCK_KERNEL;
		return 0;
	}
	if (start->vsock == PROVIUM_VSOCK_KERNEL)
		return error_copy(start->error, &reason);
	/* Most machines have none, and nobody misses it; one that is there and fails is told. */
	if (reason.os_errno != ENOENT && reason.os_errno != ENODEV && reason.os_errno != ENXIO) {
		snprintf(text, sizeof(text), "%.300s: using provium-vsock", reason.message);
		vm_start_notice(start, text);
	}
	return 0;
}

static int find_programs(struct vm_start *start)
{
	if (!vm_process_find(start->qemu, false, start->qemu_path))
		return error_set(start->error, PROVIUM_NOT_FOUND, 0,
				 "'%s' is not there, or is no program: install QEMU (Debian: "
				 "qemu-system-x86)",
				 start->qemu);
	if (start->vm->vsock == PROVIUM_VSOCK_USER &&
	    !vm_process_find(start->vsock_program, true, start->vsock_path))
		return error_set(start->error, PROVIUM_NOT_FOUND, 0,
				 "'%s' is not there, or is no program: it is a part of Provium and "
				 "belongs beside 'provium' or into PATH",
				 start->vsock_program);
	return 0;
}

static int make_pair(int *ours, int *theirs, struct provium_error *error)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_set(error, PROVIUM_HOST, errno, "socketpair");
	*ours = pair[0];
	*theirs = pair[1];
	return 0;
}

static int make_pipe(int *reader, int *writer, struct provium_error *error)
{
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return error_set(error, PROVIUM_HOST, errno, "pipe");
	*reader = pair[0];
	*writer = pair[1];
	return 0;
}

/* QEMU's control socket, and what provium-vsock is connected by. */
static int make_sockets(struct vm_start *start)
{
	struct provium_vm *vm = start->vm;
	int qmp = -1;

	if (make_pair(&qmp, &start->qemu_qmp, start->error) < 0 ||
	    vm_monitor_attach(vm, qmp, start->error) < 0)
		return -1;
	if (vm->vsock == PROVIUM_VSOCK_USER &&
	    (make_pair(&start->vsock_socket, &start->qemu_vsock, start->error) < 0 ||
	     make_pipe(&start->vsock_life, &vm->life_fd, start->error) < 0))
		return -1;
	return 0;
}

/* The thread that reads, and what it reads from. */
static int make_watch(struct vm_start *start)
{
	int sources[VM_SOURCES] = { -1, -1, -1 };
	struct provium_vm *vm = start->vm;
	int file = vm_files_open_console(&vm->files, start->error);

	if (file < 0)
		return -1;
	if (make_pair(&sources[VM_SOURCE_CONSOLE], &start->qemu_console, start->error) < 0 ||
	    make_pipe(&sources[VM_SOURCE_QEMU], &start->qemu_log, start->error) < 0 ||
	    make_pipe(&sources[VM_SOURCE_VSOCK], &start->vsock_log, start->error) < 0) {
		for (int i = 0; i < VM_SOURCES; i++)
			close_fd(sources[i]);
		close_fd(file);
		return -1;
	}
	if (vm_watch_start(&vm->watch, sources, file, start->error) < 0)
		return -1;
	return vm_monitor_add(vm, vm->watch.event_fd, start->error);
}

static void set_address(struct vm_start *start)
{
	struct address *address = &start->vm->address;

	address->port = PROVIUM_PORT;
	if (start->vm->vsock == PROVIUM_VSOCK_KERNEL) {
		address->kind = ADDRESS_VSOCK;
		address->cid = start->guest_cid;
		return;
	}
	address->kind = ADDRESS_HYBRID;
	snprintf(address->path, sizeof(address->path), "%s", start->vm->files.socket);
}

int vm_start_prepare(struct vm_start *start, const uint8_t token[PROVIUM_TOKEN_SIZE])
{
	struct provium_vm *vm = start->vm;

	vm->monitor.end_ms = VM_OWN_END_MS * accel_factor(vm->hardware.accel);
	memcpy(vm->token, token, sizeof(vm->token));
	if (choose_vsock(start) < 0 || find_programs(start) < 0 ||
	    vm_files_make(&vm->files, start->console, start->socket, start->error) < 0 ||
	    vm_files_leave_token(&vm->files, vm->token, start->error) < 0 ||
	    make_sockets(start) < 0 || make_watch(start) < 0)
		return -1;
	set_address(start);
	return 0;
}

static int start_vsock(struct vm_start *start)
{
	struct provium_vm *vm = start->vm;
	char cid_option[] = "--guest-cid", cid[16];
	char socket_option[] = "--socket-fd", socket[16];
	char path_option[] = "--uds-path";
	char life_option[] = "--life-fd", life[16];
	char *argv[] = { start->vsock_path, cid_option,       cid,         socket_option, socket,
			 path_option,       vm->files.socket, life_option, life,          NULL };
	const int keep[] = { start->vsock_socket, start->vsock_life };

	snprintf(cid, sizeof(cid), "%d", USER_CID);
	snprintf(socket, sizeof(socket), "%d", start->vsock_socket);
	snprintf(life, sizeof(life), "%d", start->vsock_life);
	if (vm_process_start(&vm->vsock_program, argv, start->vsock_log, keep, ARRAY_SIZE(keep),
			     start->error) < 0)
		return -1;
	return vm_monitor_add(vm, vm->vsock_program.pidfd, start->error);
}

static int start_qemu(struct vm_start *start, struct qemu_options *options, const int *keep,
		      size_t n_keep)
{
	struct provium_vm *vm = start->vm;
	int fds[3 + VM_START_MAX_KEEP];
	size_t n_fds = 0;
	char **argv;
	int result;

	options->program = start->qemu_path;
	options->console_fd = start->qemu_console;
	options->qmp_fd = start->qemu_qmp;
	options->vsock = vm->vsock;
	options->vsock_fd = start->qemu_vsock;
	options->guest_cid = start->guest_cid;
	fds[n_fds++] = start->qemu_console;
	fds[n_fds++] = start->qemu_qmp;
	fds[n_fds++] = start->qemu_vsock;
	for (size_t i = 0; i < n_keep && n_fds < ARRAY_SIZE(fds); i++)
		fds[n_fds++] = keep[i];

	argv = qemu_args(options);
	if (!argv)
		return error_set(start->error, PROVIUM_HOST, ENOMEM, "QEMU's arguments");
	result = vm_process_start(&vm->qemu, argv, start->qemu_log, fds, n_fds, start->error);
	qemu_args_free(argv);
	return result < 0 ? -1 : vm_monitor_add(vm, vm->qemu.pidfd, start->error);
}

void vm_start_deadline(struct vm_start *start)
{
	int timeout_ms = start->timeout_ms;

	if (timeout_ms == 0)
		timeout_ms = TIMEOUT_MS * accel_factor(start->vm->hardware.accel);
	start->deadline = deadline_after(timeout_ms);
}

int vm_start_run(struct vm_start *start, struct qemu_options *options, const int *keep,
		 size_t n_keep)
{
	vm_start_phase(start, "starting QEMU");
	if (start->vm->vsock == PROVIUM_VSOCK_USER && start_vsock(start) < 0)
		return -1;
	if (start_qemu(start, options, keep, n_keep) < 0)
		return -1;
	/* From here their ends are theirs alone, and an end of file means something. */
	vm_start_finish(start);
	return 0;
}

/* Whether the guest may simply not be that far yet. */
static bool worth_retrying(const struct provium_error *error)
{
	if (error->code == PROVIUM_DISCONNECTED)
		return true;
	if (error->code != PROVIUM_HOST)
		return false;
	switch (error->os_errno) {
	/* Nobody listens in the guest; or not yet at provium-vsock's socket. */
	case ECONNREFUSED:
	case ECONNRESET:
	case ENOENT:
	/* The kernel's vhost-vsock, before the guest's driver is there. */
	case ETIMEDOUT:
	case ENODEV:
		return true;
	default:
		return false;
	}
}

/* Waits until the time has passed. -1: a limit was met before; *error is set then only. */
static int nap(const struct wait_limits *limits, int timeout_ms, struct provium_error *error)
{
	struct wait_limits now = *limits;
	struct provium_error limit;

	if (deadline_passed(&limits->deadline))
		return -1;
	now.deadline = deadline_after(timeout_ms);
	if (wait_limit(&now, "waiting for the agent", &limit) == WAIT_TIMED_OUT)
		return 0;
	return error_copy(error, &limit);
}

int vm_start_negotiate(struct vm_start *start)
{
	struct wait_limits limits = vm_limits(start->vm, &start->deadline);
	struct provium_error error;

	if (qmp_negotiate(&start->vm->qmp, &limits, &error) == 0)
		return 0;
	/* It has closed its socket where it does not start. Its end, and what it printed, say more
	 * than that it is silent. */
	if (start->vm->qmp.fd < 0 && !start->vm->qmp.failure[0])
		nap(&limits, EXIT_MS, &error);
	if (error.code == PROVIUM_TIMED_OUT)
		error_set(&error, PROVIUM_BOOT, 0, "QEMU does not start: %s", error.message);
	return error_copy(start->error, &error);
}

int vm_start_connect(struct vm_start *start)
{
	struct provium_vm *vm = start->vm;
	struct wait_limits limits = vm_limits(vm, &start->deadline);
	struct provium_error error = { 0 };
	int pause_ms = RETRY_MIN_MS;

	for (;;) {
		int fd;

		if (address_connect(&vm->address, &limits, &fd, &error) == 0 &&
		    connection_open(fd, vm->token, &limits, &vm->connection, &error) == 0) {
			connection_set_address(vm->connection, &vm->address);
			return 0;
		}
		if (!worth_retrying(&error) || nap(&limits, pause_ms, &error) < 0)
			break;
		pause_ms = MIN(pause_ms * 2, RETRY_MAX_MS);
	}
	if (error.code == PROVIUM_CANCELLED || error.code == PROVIUM_BOOT)
		return error_copy(start->error, &error);
	if (deadline_passed(&start->deadline))
		error_set(start->error, PROVIUM_BOOT, 0,
			  "the VM did not come up: the agent has not answered within %d s "
			  "(last: %.300s)",
			  start->deadline.timeout_ms / 1000, error.message);
	else
		error_copy(start->error, &error);
	if (start->error)
		vm_append_console(vm, start->error);
	return -1;
}
