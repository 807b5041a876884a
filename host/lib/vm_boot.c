/*
 * Bringing a VM up.
 *
 * Every step may fail, and what it has made so far is in the struct provium_vm, which
 * provium_vm_free takes apart at any stage.
 *
 * How the agent is awaited: provium-vsock takes our connection request at once and holds it until
 * the guest's driver is there; a guest whose agent does not listen yet refuses, and the request is
 * made again after a short time. An agent that called us when it listens would spare that, but
 * would be one more thing in the guest that is not the test's, and the kernel's vhost-vsock would
 * need a port that is the whole machine's. Under TCG a refused request costs the guest some 0.2 ms.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/accel.h"
#include "host/lib/connection.h"
#include "host/lib/error.h"
#include "host/lib/qemu_args.h"
#include "host/lib/token.h"
#include "host/lib/vm.h"
#include "host/lib/vm_command_line.h"
#include "host/lib/vm_options.h"
#include "host/lib/vm_vsock.h"
#include "proto/limits.h"
#include "shim/shim.h"

#define BOOT_TIMEOUT_MS 60000

/* The guest's CID behind provium-vsock, which serves one guest alone: any but 0 to 2 will do. */
#define USER_CID        3

/* Between two attempts to connect. The first ones are short: the driver is often there just before
 * the agent listens.
 */
#define RETRY_MIN_MS    2
#define RETRY_MAX_MS    20

/* Between the end of QEMU's control socket and its own. */
#define EXIT_MS         1000

/* What exists during the boot only. */
struct boot {
	struct provium_vm *vm;
	struct provium_vm_options options;
	char *command_line;
	struct deadline deadline;
	char qemu_path[PATH_MAX];
	char vsock_path[PATH_MAX];
	/* The ends that the processes inherit; -1: none (any more). */
	int qemu_console;
	int qemu_qmp;
	int qemu_vsock;
	int vsock_socket;
	int vsock_life;
	int qemu_log;
	int vsock_log;
	int initrd;
	uint32_t guest_cid;
	struct provium_error *error;
};

static void boot_finish(struct boot *boot)
{
	int *fds[] = { &boot->qemu_console, &boot->qemu_qmp, &boot->qemu_vsock, &boot->vsock_socket,
		       &boot->vsock_life,   &boot->qemu_log, &boot->vsock_log,  &boot->initrd };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		*fds[i] = close_fd(*fds[i]);
	free(boot->command_line);
	boot->command_line = NULL;
}

/* All that can be judged before anything is started. */
static int check_options(struct boot *boot, const struct provium_vm_options *options)
{
	struct vm_command_line parts = {
		.init = options->init,
		.hold = options->hold,
		.root = options->root,
		.append = options->append,
	};
	struct vm_kernel kernel;

	if (vm_options_check(options, &boot->options, &kernel, boot->error) < 0)
		return -1;
	parts.limit = kernel.command_line_limit;
	boot->command_line = vm_command_line(&parts, boot->error);
	return boot->command_line ? 0 : -1;
}

static void phase(const struct boot *boot, const char *text)
{
	if (boot->options.on_phase)
		boot->options.on_phase(boot->options.user, text);
}

static void notice(const struct boot *boot, const char *text)
{
	if (boot->options.on_notice)
		boot->options.on_notice(boot->options.user, text);
}

static void choose_accel(struct boot *boot)
{
	char text[512];
	char reason[256];

	boot->vm->accel = boot->options.accel;
	if (boot->vm->accel != PROVIUM_ACCEL_AUTO)
		return;
	phase(boot, "trying KVM");
	if (accel_probe_kvm(reason, sizeof(reason))) {
		boot->vm->accel = PROVIUM_ACCEL_KVM;
		return;
	}
	boot->vm->accel = PROVIUM_ACCEL_TCG;
	snprintf(text, sizeof(text), "no KVM (%s): using TCG, which is several times slower",
		 reason);
	notice(boot, text);
}

/* The kernel's device where it can be had, and is wanted. */
static int choose_vsock(struct boot *boot)
{
	struct provium_error reason;
	char text[512];

	boot->vm->vsock = PROVIUM_VSOCK_USER;
	if (boot->options.vsock == PROVIUM_VSOCK_USER || boot->options.socket)
		return 0;
	boot->qemu_vsock = vm_vhost_open(&vm_vhost_linux, &boot->guest_cid, &reason);
	if (boot->qemu_vsock >= 0) {
		boot->vm->vsock = PROVIUM_VSOCK_KERNEL;
		return 0;
	}
	if (boot->options.vsock == PROVIUM_VSOCK_KERNEL)
		return error_copy(boot->error, &reason);
	/* Most machines have none, and nobody misses it; one that is there and fails is told. */
	if (reason.os_errno != ENOENT && reason.os_errno != ENODEV && reason.os_errno != ENXIO) {
		snprintf(text, sizeof(text), "%.300s: using provium-vsock", reason.message);
		notice(boot, text);
	}
	return 0;
}

static int find_programs(struct boot *boot)
{
	if (!vm_process_find(boot->options.qemu, false, boot->qemu_path))
		return error_set(boot->error, PROVIUM_NOT_FOUND, 0,
				 "'%s' is not there, or is no program: install QEMU (Debian: "
				 "qemu-system-x86)",
				 boot->options.qemu);
	if (boot->vm->vsock == PROVIUM_VSOCK_USER &&
	    !vm_process_find(boot->options.vsock_program, true, boot->vsock_path))
		return error_set(boot->error, PROVIUM_NOT_FOUND, 0,
				 "'%s' is not there, or is no program: it is a part of Provium and "
				 "belongs beside 'provium' or into PATH",
				 boot->options.vsock_program);
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

/* The private directory, the sockets, and the thread that reads them. */
static int make_channels(struct boot *boot)
{
	const struct provium_vm_options *options = &boot->options;
	struct provium_vm *vm = boot->vm;
	int sources[VM_SOURCES] = { -1, -1, -1 };
	int qmp = -1;
	int file;

	if (token_make(vm->token, boot->error) < 0 ||
	    vm_files_make(&vm->files, options->console, options->socket, boot->error) < 0 ||
	    vm_files_leave_token(&vm->files, vm->token, boot->error) < 0)
		return -1;
	if (make_pair(&qmp, &boot->qemu_qmp, boot->error) < 0)
		return -1;
	if (vm_monitor_attach(vm, qmp, boot->error) < 0)
		return -1;
	if (vm->vsock == PROVIUM_VSOCK_USER &&
	    (make_pair(&boot->vsock_socket, &boot->qemu_vsock, boot->error) < 0 ||
	     make_pipe(&boot->vsock_life, &vm->life_fd, boot->error) < 0))
		return -1;

	file = vm_files_open_console(&vm->files, boot->error);
	if (file < 0)
		return -1;
	if (make_pair(&sources[VM_SOURCE_CONSOLE], &boot->qemu_console, boot->error) < 0 ||
	    make_pipe(&sources[VM_SOURCE_QEMU], &boot->qemu_log, boot->error) < 0 ||
	    make_pipe(&sources[VM_SOURCE_VSOCK], &boot->vsock_log, boot->error) < 0) {
		for (int i = 0; i < VM_SOURCES; i++)
			close_fd(sources[i]);
		close_fd(file);
		return -1;
	}
	if (vm_watch_start(&vm->watch, sources, file, boot->error) < 0)
		return -1;
	return vm_monitor_add(vm, vm->watch.event_fd, boot->error);
}

/* The user's modules, and what the disks need. */
static const char **list_modules(const struct provium_vm_options *options)
{
	const char **modules;
	size_t n = 0;

	while (options->modules && options->modules[n])
		n++;
	modules = calloc(n + 2, sizeof(*modules));
	if (!modules)
		return NULL;
	if (n > 0)
		memcpy(modules, options->modules, n * sizeof(*modules));
	if (options->n_disks > 0)
		modules[n] = "virtio_blk";
	return modules;
}

static int pack_initrd(struct boot *boot)
{
	const struct provium_vm_options *options = &boot->options;
	struct provium_shim_options shim = {
		.modules_dir = options->modules_dir,
		.files = options->files,
		.n_files = options->n_files,
		.initrd = options->initrd,
		.busybox = !options->initrd && !options->root && !options->no_userland,
		.token = boot->vm->token,
	};
	cleanup_free const char **modules = list_modules(options);

	if (!modules)
		return error_set(boot->error, PROVIUM_HOST, ENOMEM, "list of modules");
	/* Without a directory the kernel brings what it needs. */
	if (options->modules_dir)
		shim.modules = modules;
	else
		shim.modules = options->modules;
	boot->initrd = memfd_create("initramfs", MFD_CLOEXEC);
	if (boot->initrd < 0)
		return error_set(boot->error, PROVIUM_HOST, errno, "memfd_create");
	return shim_write_fd(&shim, boot->initrd, boot->error);
}

static int start_vsock(struct boot *boot)
{
	struct provium_vm *vm = boot->vm;
	char cid_option[] = "--guest-cid", cid[16];
	char socket_option[] = "--socket-fd", socket[16];
	char path_option[] = "--uds-path";
	char life_option[] = "--life-fd", life[16];
	char *argv[] = { boot->vsock_path, cid_option,       cid,         socket_option, socket,
			 path_option,      vm->files.socket, life_option, life,          NULL };
	const int keep[] = { boot->vsock_socket, boot->vsock_life };

	snprintf(cid, sizeof(cid), "%d", USER_CID);
	snprintf(socket, sizeof(socket), "%d", boot->vsock_socket);
	snprintf(life, sizeof(life), "%d", boot->vsock_life);
	if (vm_process_start(&vm->vsock_program, argv, boot->vsock_log, keep, ARRAY_SIZE(keep),
			     boot->error) < 0)
		return -1;
	return vm_monitor_add(vm, vm->vsock_program.pidfd, boot->error);
}

static int start_qemu(struct boot *boot)
{
	const struct provium_vm_options *options = &boot->options;
	struct provium_vm *vm = boot->vm;
	char initrd[64];
	const struct qemu_options qemu = {
		.program = boot->qemu_path,
		.accel = vm->accel,
		.memory = options->memory,
		.cpus = options->cpus,
		.kernel = options->kernel,
		.initrd = initrd,
		.command_line = boot->command_line,
		.disks = options->disks,
		.n_disks = options->n_disks,
		.console_fd = boot->qemu_console,
		.qmp_fd = boot->qemu_qmp,
		.vsock = vm->vsock,
		.vsock_fd = boot->qemu_vsock,
		.guest_cid = boot->guest_cid,
	};
	const int keep[] = { boot->qemu_console, boot->qemu_qmp, boot->qemu_vsock, boot->initrd };
	char **argv;
	int result;

	snprintf(initrd, sizeof(initrd), "/proc/self/fd/%d", boot->initrd);
	argv = qemu_args(&qemu);
	if (!argv)
		return error_set(boot->error, PROVIUM_HOST, ENOMEM, "QEMU's arguments");
	result = vm_process_start(&vm->qemu, argv, boot->qemu_log, keep, ARRAY_SIZE(keep),
				  boot->error);
	qemu_args_free(argv);
	return result < 0 ? -1 : vm_monitor_add(vm, vm->qemu.pidfd, boot->error);
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
	enum wait_end end;
	short revents;

	if (deadline_passed(&limits->deadline))
		return -1;
	now.deadline = deadline_after(timeout_ms);
	do {
		end = wait_fd(-1, 0, &now, "waiting for the agent", &revents, &limit);
	} while (end == WAIT_READY);
	return end == WAIT_TIMED_OUT ? 0 : error_copy(error, &limit);
}

/* Until QEMU answers on its control socket. One that does not start has closed it by then. */
static int negotiate(struct boot *boot)
{
	struct wait_limits limits = vm_limits(boot->vm, &boot->deadline);
	struct provium_error error;

	if (qmp_negotiate(&boot->vm->qmp, &limits, &error) == 0)
		return 0;
	/* Its end, and what it printed, say more than that it is silent. */
	if (error.code == PROVIUM_HOST)
		nap(&limits, EXIT_MS, &error);
	if (error.code == PROVIUM_TIMED_OUT)
		error_set(&error, PROVIUM_BOOT, 0, "QEMU does not start: %s", error.message);
	return error_copy(boot->error, &error);
}

static int connect_agent(struct boot *boot)
{
	struct provium_vm *vm = boot->vm;
	struct wait_limits limits = vm_limits(vm, &boot->deadline);
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
		return error_copy(boot->error, &error);
	if (deadline_passed(&boot->deadline))
		error_set(boot->error, PROVIUM_BOOT, 0,
			  "the VM did not come up: the agent has not answered within %d s "
			  "(last: %.300s)",
			  boot->deadline.timeout_ms / 1000, error.message);
	else
		error_copy(boot->error, &error);
	if (boot->error)
		vm_append_console(vm, boot->error);
	return -1;
}

/* The wrapper has stayed as init where the one that was wanted could not be executed. */
static int check_init(struct boot *boot)
{
	const struct provium_agent *agent = provium_connection_agent(boot->vm->connection);
	const char *operation = agent->init_error_operation;

	if (!agent->init_error_errno)
		return 0;
	if (strcmp(operation, "root device") == 0)
		error_set(boot->error, PROVIUM_BOOT, 0,
			  "the guest has no device for its root '%s': is the disk there, and its "
			  "driver in the kernel or among the modules to load?",
			  agent->init_error_path);
	else if (strcmp(operation, "mount") == 0)
		error_set(boot->error, PROVIUM_BOOT, agent->init_error_errno,
			  "the guest cannot mount its root '%s'; its file system must be in the "
			  "kernel or among the modules to load",
			  agent->init_error_path);
	else
		error_set(boot->error, PROVIUM_BOOT, agent->init_error_errno,
			  "the guest cannot execute its init '%s'", agent->init_error_path);
	return -1;
}

static void set_address(struct boot *boot)
{
	struct address *address = &boot->vm->address;

	address->port = PROVIUM_PORT;
	if (boot->vm->vsock == PROVIUM_VSOCK_KERNEL) {
		address->kind = ADDRESS_VSOCK;
		address->cid = boot->guest_cid;
		return;
	}
	address->kind = ADDRESS_HYBRID;
	snprintf(address->path, sizeof(address->path), "%s", boot->vm->files.socket);
}

static int run(struct boot *boot)
{
	struct provium_vm *vm = boot->vm;
	int timeout_ms = boot->options.boot_timeout_ms;

	choose_accel(boot);
	if (choose_vsock(boot) < 0 || find_programs(boot) < 0 || make_channels(boot) < 0)
		return -1;
	set_address(boot);
	phase(boot, "packing the initramfs");
	if (pack_initrd(boot) < 0)
		return -1;

	phase(boot, "starting QEMU");
	if (timeout_ms == 0)
		timeout_ms = BOOT_TIMEOUT_MS * accel_factor(vm->accel);
	boot->deadline = deadline_after(timeout_ms);
	if (vm->vsock == PROVIUM_VSOCK_USER && start_vsock(boot) < 0)
		return -1;
	if (start_qemu(boot) < 0)
		return -1;
	/* From here their ends are theirs alone, and an end of file means something. */
	boot_finish(boot);
	if (negotiate(boot) < 0)
		return -1;

	phase(boot, "waiting for the agent");
	if (connect_agent(boot) < 0 || check_init(boot) < 0)
		return -1;
	vm->booting = false;
	return 0;
}

int provium_vm_boot(const struct provium_vm_options *options, struct provium_vm **vm,
		    struct provium_error *error)
{
	struct boot boot = { .qemu_console = -1,
			     .qemu_qmp = -1,
			     .qemu_vsock = -1,
			     .vsock_socket = -1,
			     .vsock_life = -1,
			     .qemu_log = -1,
			     .vsock_log = -1,
			     .initrd = -1,
			     .error = error };
	int result;

	*vm = NULL;
	error_clear(error);
	if (check_options(&boot, options) < 0)
		return -1;
	boot.vm = calloc(1, sizeof(*boot.vm));
	if (!boot.vm) {
		boot_finish(&boot);
		return error_set(error, PROVIUM_HOST, ENOMEM, "VM");
	}
	boot.vm->qemu = VM_PROCESS_NONE;
	boot.vm->vsock_program = VM_PROCESS_NONE;
	boot.vm->life_fd = -1;
	boot.vm->booting = true;
	boot.vm->cancel_fd = boot.options.cancel_fd;
	boot.vm->on_notice = boot.options.on_notice;
	boot.vm->user = boot.options.user;
	result = vm_monitor_init(boot.vm, error);
	if (result == 0)
		result = run(&boot);
	boot_finish(&boot);
	if (result < 0) {
		provium_vm_free(boot.vm);
		return -1;
	}
	*vm = boot.vm;
	return 0;
}
