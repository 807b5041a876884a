/*
 * provium run: boot, run, stop. The order in which things end is the point of this file: the guest
 * first, then the status, so that neither a signal nor the time limit leaves a process, a socket or
 * a temporary file behind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include "common/cleanup.h"
#include "host/cli/command.h"
#include "host/cli/exit_status.h"
#include "host/cli/kernel.h"
#include "host/cli/report.h"
#include "host/cli/session.h"
#include "host/cli/status_line.h"
#include "host/cli/values.h"

/* For the guest's file systems to be written back, where it has a disk to write to. */
#define SHUTDOWN_TIMEOUT_MS 20000

struct run_options {
	const char *kernel;
	const char *modules_dir;
	struct string_list modules;
	const char *initrd;
	const char *init;
	uint64_t memory;
	unsigned int cpus;
	struct string_list append;
	unsigned int accel;
	unsigned int vsock;
	const char *socket;
	struct file_list files;
	struct disk_list disks;
	uint64_t timeout_ms;
	const char *console;
	struct string_list env;
	const char *cwd;
};

/* parse_choice stores the index. */
static const char *const accel_choices[] = {
	[PROVIUM_ACCEL_AUTO] = "auto",
	[PROVIUM_ACCEL_KVM] = "kvm",
	[PROVIUM_ACCEL_TCG] = "tcg",
	NULL,
};
static const char *const vsock_choices[] = {
	[PROVIUM_VSOCK_AUTO] = "auto",
	[PROVIUM_VSOCK_KERNEL] = "kernel",
	[PROVIUM_VSOCK_USER] = "user",
	NULL,
};

#define OFFSET(field) offsetof(struct run_options, field)

static const struct option_spec options[] = {
	{ .name = "kernel",
	  .value = "FILE",
	  .help = "The kernel image (default: $PROVIUM_KERNEL, else /boot/vmlinuz-$(uname -r)).",
	  .completion = COMPLETE_FILE,
	  .parse = parse_string,
	  .offset = OFFSET(kernel) },
	{ .name = "modules",
	  .value = "DIR",
	  .help = "Its modules, as in /lib/modules/VERSION (default: $PROVIUM_MODULES if the "
		  "kernel is $PROVIUM_KERNEL, else 'modules' beside the kernel, else "
		  "/lib/modules/VERSION for a kernel named vmlinuz-VERSION).",
	  .completion = COMPLETE_DIRECTORY,
	  .parse = parse_string,
	  .offset = OFFSET(modules_dir) },
	{ .name = "module",
	  .value = "NAME",
	  .help = "Load this module too, with those it depends on. May be repeated.",
	  .parse = parse_strings,
	  .offset = OFFSET(modules),
	  .list = true },
	{ .name = "initrd",
	  .value = "FILE",
	  .help = "The guest's initramfs: cpio, plain or compressed by gzip, zstd, xz or lz4 "
		  "(default: one made from this machine's static busybox).",
	  .completion = COMPLETE_FILE,
	  .parse = parse_string,
	  .offset = OFFSET(initrd) },
	{ .name = "init",
	  .value = "PATH",
	  .help = "The guest's init (default: the initramfs's /init; without one the guest runs "
		  "nothing but the agent and COMMAND).",
	  .parse = parse_string,
	  .offset = OFFSET(init) },
	{ .name = "memory",
	  .value = "SIZE",
	  .help = "The guest's memory in bytes, or with K, M or G behind it (default: 512M).",
	  .parse = parse_size,
	  .offset = OFFSET(memory) },
	{ .name = "cpus",
	  .value = "N",
	  .help = "The guest's processors (default: 1).",
	  .parse = parse_count,
	  .offset = OFFSET(cpus) },
	{ .name = "append",
	  .value = "TEXT",
	  .help = "Append to the kernel's command line. May be repeated.",
	  .parse = parse_strings,
	  .offset = OFFSET(append),
	  .list = true },
	{ .name = "accel",
	  .value = "auto|kvm|tcg",
	  .help = "Accelerator; auto (the default) takes KVM where a guest really runs on it, else "
		  "TCG, and says so.",
	  .completion = COMPLETE_CHOICE,
	  .choices = accel_choices,
	  .parse = parse_choice,
	  .offset = OFFSET(accel) },
	{ .name = "vsock",
	  .value = "auto|kernel|user",
	  .help = "The guest's vsock device; auto (the default) takes the kernel's vhost-vsock "
		  "where it can be opened, else provium-vsock.",
	  .completion = COMPLETE_CHOICE,
	  .choices = vsock_choices,
	  .parse = parse_choice,
	  .offset = OFFSET(vsock) },
	{ .name = "socket",
	  .value = "PATH",
	  .help = "Make the guest's vsock reachable for other processes at this Unix socket: "
		  "provium exec --connect unix:PATH. Takes provium-vsock.",
	  .completion = COMPLETE_FILE,
	  .parse = parse_string,
	  .offset = OFFSET(socket) },
	{ .name = "file",
	  .value = "GUEST=HOST",
	  .help = "Put the file or directory HOST into the guest as GUEST, an absolute path. May "
		  "be repeated.",
	  .completion = COMPLETE_FILE,
	  .parse = parse_file,
	  .offset = OFFSET(files),
	  .list = true },
	{ .name = "disk",
	  .value = "FILE[,ro]",
	  .help = "Give the guest this raw image as a virtio disk, /dev/vda and on; with ,ro it "
		  "cannot write to it. May be repeated.",
	  .completion = COMPLETE_FILE,
	  .parse = parse_disk,
	  .offset = OFFSET(disks),
	  .list = true },
	{ .name = "timeout",
	  .value = "SECONDS",
	  .help = "Stop the guest after so long, booting included; the exit status is then 124.",
	  .parse = parse_seconds,
	  .offset = OFFSET(timeout_ms) },
	{ .name = "console",
	  .value = "FILE",
	  .help = "Write the guest's console there (default: a temporary file, shown where booting "
		  "fails).",
	  .completion = COMPLETE_FILE,
	  .parse = parse_string,
	  .offset = OFFSET(console) },
	{ .name = "env",
	  .value = "NAME=VALUE",
	  .help = "Set an environment variable of COMMAND. May be repeated.",
	  .parse = parse_environment,
	  .offset = OFFSET(env),
	  .list = true },
	{ .name = "cwd",
	  .value = "DIR",
	  .help = "Run COMMAND in this directory of the guest (default: /).",
	  .parse = parse_string,
	  .offset = OFFSET(cwd) },
	{ 0 },
};

/* The texts of --append with blanks between them, or NULL where there are none. For free(3). */
static int join(const struct string_list *list, char **joined, struct provium_error *error)
{
	cleanup_free char *text = NULL;

	for (size_t i = 0; i < list->count; i++) {
		char *longer;

		if (asprintf(&longer, "%s%s%s", text ? text : "", text ? " " : "", list->items[i]) <
		    0)
			return cli_fail_errno(error, "--append");
		free(text);
		text = longer;
	}
	*joined = steal_ptr(&text);
	return 0;
}

static int boot_kernel(const struct run_options *given, const struct kernel_choice *kernel,
		       const struct interrupts *interrupts, struct status_line *line,
		       struct provium_vm **vm, struct provium_error *error)
{
	cleanup_free char *append = NULL;
	struct provium_vm_options vm_options = {
		.kernel = kernel->kernel,
		.modules_dir = kernel->modules,
		.modules = given->modules.items,
		.initrd = given->initrd,
		.files = given->files.items,
		.n_files = given->files.count,
		.init = given->init,
		.memory = given->memory,
		.cpus = given->cpus,
		.accel = (enum provium_accel)given->accel,
		.vsock = (enum provium_vsock)given->vsock,
		.socket = given->socket,
		.disks = given->disks.items,
		.n_disks = given->disks.count,
		.console = given->console,
		.has_cancel_fd = true,
		.cancel_fd = interrupts->fd,
		.on_notice = status_line_notice,
		.on_phase = status_line_phase,
		.user = line,
	};

	if (join(&given->append, &append, error) < 0)
		return -1;
	vm_options.append = append;
	return provium_vm_boot(&vm_options, vm, error);
}

static int boot(const struct run_options *given, const struct interrupts *interrupts,
		struct status_line *line, struct provium_vm **vm, struct provium_error *error)
{
	cleanup(kernel_choice_finish) struct kernel_choice kernel = { 0 };
	struct utsname host;
	struct kernel_request request = {
		.kernel = given->kernel,
		.modules = given->modules_dir,
		.environment_kernel = getenv("PROVIUM_KERNEL"),
		.environment_modules = getenv("PROVIUM_MODULES"),
		.release = host.release,
		.root = "",
	};

	uname(&host);
	if (kernel_choose(&request, &kernel, error) < 0)
		return -1;
	return boot_kernel(given, &kernel, interrupts, line, vm, error);
}

static bool has_writable_disk(const struct disk_list *disks)
{
	for (size_t i = 0; i < disks->count; i++) {
		if (!disks->items[i].readonly)
			return true;
	}
	return false;
}

/*
 * A guest with a disk to write to is shut down, whatever ended the command; another has nothing to
 * lose and is killed. Where both the command and this fail the first error stays.
 */
static int stop(const struct run_options *given, struct provium_vm *vm, int status,
		struct interrupts *interrupts, struct provium_error *error)
{
	struct provium_error stop_error;

	if (!has_writable_disk(&given->disks)) {
		provium_vm_free(vm);
		return status;
	}
	/* Makes the cancel fd quiet again, so that it takes a second signal to cut this short. */
	if (status < 0 && error->code == PROVIUM_CANCELLED)
		interrupts_take(interrupts);
	if ((status >= 0 || error->code != PROVIUM_VM_GONE) &&
	    provium_vm_shutdown(vm, true, SHUTDOWN_TIMEOUT_MS, &stop_error) < 0 && status >= 0) {
		*error = stop_error;
		status = -1;
	}
	provium_vm_free(vm);
	return status;
}

static int run(const void *parsed, char **operands, struct provium_error *error)
{
	const struct run_options *given = parsed;
	struct session_options session = {
		.argv = (const char *const *)operands,
		.env = given->env.items,
		.cwd = given->cwd,
	};
	struct provium_exec_result result;
	struct interrupts interrupts;
	struct status_line *line = NULL;
	struct provium_vm *vm;
	bool broken_pipe = false;
	int status;

	if (interrupts_init(&interrupts, given->timeout_ms, error) < 0)
		return -1;
	status = status_line_start(&line, error);
	if (status == 0) {
		status = boot(given, &interrupts, line, &vm, error);
		status_line_stop(line);
	}
	if (status == 0) {
		status = session_run(provium_vm_connection(vm), &session, &interrupts, &result,
				     &broken_pipe, error);
		if (status == 0)
			status = exit_status(&result);
		status = stop(given, vm, status, &interrupts, error);
	}
	status_line_free(line);
	return command_end(status, error, broken_pipe, &interrupts);
}

const struct command run_command = {
	.name = "run",
	.summary = "Boot a kernel and run a command in it.",
	.operands = "COMMAND [ARG...]",
	.operands_min = 1,
	.operands_max = OPERANDS_UNLIMITED,
	.runs_command = true,
	.description = "Boots a Linux kernel in a virtual machine, runs COMMAND in it and stops it "
		       "again. Standard input, output and error are the command's. The exit status "
		       "is the command's own, 128+N where signal N ended it, 124 after --timeout, "
		       "125 where Provium itself failed, 126 where COMMAND cannot be executed, and "
		       "127 where it is not found.",
	.options = options,
	.options_size = sizeof(struct run_options),
	.run = run,
};
