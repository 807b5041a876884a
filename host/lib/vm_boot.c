/* Bringing a VM up from its kernel. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/accel.h"
#include "host/lib/error.h"
#include "host/lib/token.h"
#include "host/lib/tsc.h"
#include "host/lib/vm_command_line.h"
#include "host/lib/vm_options.h"
#include "host/lib/vm_start.h"
#include "shim/shim.h"

/* What exists during the boot only. */
struct boot {
	struct vm_start start;
	struct provium_vm_options options;
	char *command_line;
	/* -1: not made yet. */
	int initrd;
	struct provium_error *error;
};

/*
 * It has no keyboard controller by which a kernel resets others, only its processor, and no clock
 * by which the TSC could be measured.
 */
static const char *describe_microvm(char *text, size_t size)
{
	unsigned int khz = tsc_khz();

	if (khz)
		snprintf(text, size, "reboot=t tsc_early_khz=%u", khz);
	else
		snprintf(text, size, "reboot=t");
	return text;
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
	char machine[64];

	if (vm_options_check(options, &boot->options, &kernel, boot->error) < 0)
		return -1;
	parts.limit = kernel.command_line_limit;
	if (options->machine == PROVIUM_MACHINE_MICROVM)
		parts.machine = describe_microvm(machine, sizeof(machine));
	boot->command_line = vm_command_line(&parts, boot->error);
	return boot->command_line ? 0 : -1;
}

static enum provium_accel choose_accel(struct boot *boot)
{
	char text[512];
	char reason[256];

	if (boot->options.accel != PROVIUM_ACCEL_AUTO)
		return boot->options.accel;
	vm_start_phase(&boot->start, "trying KVM");
	if (accel_probe_kvm(reason, sizeof(reason)))
		return PROVIUM_ACCEL_KVM;
	snprintf(text, sizeof(text), "no KVM (%s): using TCG, which is several times slower",
		 reason);
	vm_start_notice(&boot->start, text);
	return PROVIUM_ACCEL_TCG;
}

/* The user's modules, and what the disks and the machine need. */
static const char **list_modules(const struct provium_vm_options *options)
{
	const char **modules;
	size_t n = 0;

	while (options->modules && options->modules[n])
		n++;
	modules = calloc(n + 3, sizeof(*modules));
	if (!modules)
		return NULL;
	if (n > 0)
		memcpy(modules, options->modules, n * sizeof(*modules));
	if (options->n_disks > 0)
		modules[n++] = "virtio_blk";
	if (options->machine == PROVIUM_MACHINE_MICROVM)
		modules[n++] = "virtio_mmio";
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
		.token = boot->start.vm->token,
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

static int start_qemu(struct boot *boot)
{
	const struct provium_vm_options *options = &boot->options;
	const struct vm_hardware *hardware = &boot->start.vm->hardware;
	char initrd[64];
	struct qemu_options qemu = {
		.accel = hardware->accel,
		.machine = hardware->machine,
		.memory = hardware->memory,
		.memory_fd = hardware->memory_fd,
		.cpus = hardware->cpus,
		.kernel = options->kernel,
		.initrd = initrd,
		.command_line = boot->command_line,
		.disks = options->disks,
		.n_disks = options->n_disks,
	};
	const int keep[] = { hardware->memory_fd, boot->initrd };

	snprintf(initrd, sizeof(initrd), "/proc/self/fd/%d", boot->initrd);
	return vm_start_run(&boot->start, &qemu, keep, ARRAY_SIZE(keep));
}

/* The wrapper has stayed as init where the one that was wanted could not be executed. */
static int check_init(struct boot *boot)
{
	const struct provium_agent *agent = provium_connection_agent(boot->start.vm->connection);
	const char *operation = agent->init_error_operation;
	const char *root = agent->init_error_path;

	if (!agent->init_error_errno)
		return 0;
	if (strcmp(operation, "root device") == 0 && !vm_options_root_is_known(root))
		error_set(
			boot->error, PROVIUM_BOOT, 0,
			"the guest cannot find its root '%s' without an initramfs: a kernel knows "
			"/dev/NAME and PARTUUID=UUID alone",
			root);
	else if (strcmp(operation, "root device") == 0)
		error_set(boot->error, PROVIUM_BOOT, 0,
			  "the guest has no device for its root '%s': is the disk there, and its "
			  "driver in the kernel or among the modules to load?",
			  root);
	else if (strcmp(operation, "mount") == 0)
		error_set(boot->error, PROVIUM_BOOT, agent->init_error_errno,
			  "the guest cannot mount its root '%s'; its file system must be in the "
			  "kernel or among the modules to load",
			  root);
	else
		error_set(boot->error, PROVIUM_BOOT, agent->init_error_errno,
			  "the guest cannot execute its init '%s'", agent->init_error_path);
	return -1;
}

static int run(struct boot *boot)
{
	struct vm_start *start = &boot->start;
	struct vm_hardware *hardware = &start->vm->hardware;
	uint8_t token[PROVIUM_TOKEN_SIZE];
	int result;

	hardware->accel = choose_accel(boot);
	hardware->machine = boot->options.machine;
	hardware->memory = boot->options.memory;
	hardware->cpus = boot->options.cpus;
	if (token_make(token, boot->error) < 0)
		return -1;
	result = vm_start_prepare(start, token);
	explicit_bzero(token, sizeof(token));
	if (result < 0 || vm_hardware_make_memory(hardware, boot->error) < 0 ||
	    vm_hardware_open_disks(hardware, boot->options.disks, boot->options.n_disks,
				   boot->error) < 0)
		return -1;
	vm_start_phase(start, "packing the initramfs");
	if (pack_initrd(boot) < 0)
		return -1;
	vm_start_deadline(start);
	if (start_qemu(boot) < 0)
		return -1;
	boot->initrd = close_fd(boot->initrd);
	if (vm_start_negotiate(start) < 0)
		return -1;
	vm_start_phase(start, "waiting for the agent");
	if (vm_start_connect(start) < 0 || check_init(boot) < 0)
		return -1;
	start->vm->booting = false;
	return 0;
}

int provium_vm_boot(const struct provium_vm_options *options, struct provium_vm **vm,
		    struct provium_error *error)
{
	struct boot boot = { .initrd = -1, .error = error };
	int result;

	*vm = NULL;
	error_clear(error);
	if (check_options(&boot, options) < 0)
		return -1;
	boot.start = (struct vm_start){
		.vsock = boot.options.vsock,
		.socket = boot.options.socket,
		.console = boot.options.console,
		.qemu = boot.options.qemu,
		.vsock_program = boot.options.vsock_program,
		.timeout_ms = boot.options.boot_timeout_ms,
		.cancel_fd = boot.options.cancel_fd,
		.on_notice = boot.options.on_notice,
		.on_phase = boot.options.on_phase,
		.user = boot.options.user,
	};
	result = vm_start_init(&boot.start, error);
	if (result == 0)
		result = run(&boot);
	vm_start_finish(&boot.start);
	close_fd(boot.initrd);
	free(boot.command_line);
	if (result < 0) {
		provium_vm_free(boot.start.vm);
		return -1;
	}
	*vm = boot.start.vm;
	return 0;
}
