/*
 * Boot, run, stop. The order in which things end is the point of this file: the guest first, then
 * the status, so that neither a signal nor the time limit leaves a process, a socket or a temporary
 * file behind.
 */
#include "host/cli/guest/guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "host/cli/report.h"
#include "host/cli/session/exit_status.h"
#include "host/cli/show/status_line.h"
#include "host/lib/kernel_choice.h"

/* For the guest's file systems to be written back, where it has a disk to write to. */
#define SHUTDOWN_TIMEOUT_MS 20000

/* For the agent to say what the kernel has said. */
#define CHECK_TIMEOUT_MS    20000

/* For an agent that is there to answer. */
#define CONNECT_TIMEOUT_MS  3000

const char *const guest_accel_choices[] = {
	[PROVIUM_ACCEL_AUTO] = "auto",
	[PROVIUM_ACCEL_KVM] = "kvm",
	[PROVIUM_ACCEL_TCG] = "tcg",
	NULL,
};
const char *const guest_machine_choices[] = {
	[PROVIUM_MACHINE_Q35] = "q35",
	[PROVIUM_MACHINE_PC] = "pc",
	[PROVIUM_MACHINE_MICROVM] = "microvm",
	NULL,
};
const char *const guest_vsock_choices[] = {
	[PROVIUM_VSOCK_AUTO] = "auto",
	[PROVIUM_VSOCK_KERNEL] = "kernel",
	[PROVIUM_VSOCK_USER] = "user",
	NULL,
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

static int boot_kernel(const struct guest_options *given, const struct kernel_choice *kernel,
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
		.root = given->root,
		.memory = given->memory,
		.cpus = given->cpus,
		.accel = (enum provium_accel)given->accel,
		.machine = (enum provium_machine)given->machine,
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

static int boot(const struct guest_options *given, const struct interrupts *interrupts,
		struct status_line *line, struct provium_vm **vm, struct provium_error *error)
{
	cleanup(kernel_choice_finish) struct kernel_choice kernel = { 0 };

	if (kernel_choose_here(given->kernel, given->modules_dir, &kernel, error) < 0)
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
static int stop(const struct guest_options *given, struct provium_vm *vm, int status,
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
	/* Also where it has ended by itself: QEMU may still have to write to the disk. */
	if (provium_vm_shutdown(vm, PROVIUM_POWER_OFF, true, SHUTDOWN_TIMEOUT_MS, &stop_error) <
		    0 &&
	    status >= 0) {
		*error = stop_error;
		status = -1;
	}
	provium_vm_free(vm);
	return status;
}

/*
 * Whether the guest's init may have ended the agent's server, as many do that end a system: they
 * send SIGTERM to every process, then SIGKILL, and unmount and power off after that. The supervisor
 * starts another server after SIGTERM alone; and after what tests do to it.
 */
static bool may_be_ending(struct provium_vm *vm)
{
	struct provium_connection *again;
	bool may;

	if (provium_vm_connect(vm, 0, CONNECT_TIMEOUT_MS, &again, NULL) < 0)
		return true;
	may = strstr(provium_connection_agent(again)->restart_reason, "SIGTERM") != NULL;
	provium_connection_free(again);
	return may;
}

/* A guest that is ending is let do so: how it ended is the error then. */
static void await_own_end(struct provium_vm *vm, struct provium_error *error)
{
	struct provium_error end, failure;

	if (!may_be_ending(vm))
		return;
	if (provium_vm_wait(vm, 0, &end, &failure) == 0)
		*error = end;
	else if (failure.code == PROVIUM_CANCELLED)
		*error = failure;
}

bool guest_options_given(const struct guest_options *options)
{
	return options->kernel || options->modules_dir || options->modules.count ||
	       options->initrd || options->init || options->root || options->memory ||
	       options->cpus || options->append.count || options->accel || options->machine ||
	       options->vsock || options->socket || options->files.count || options->disks.count ||
	       options->console;
}

/* The kernel's faults outweigh what else a session has come to. */
static int judge(struct provium_vm *vm, int status, struct provium_error *error)
{
	struct provium_connection *connection = provium_vm_connection(vm);

	if (status < 0 && error->code == PROVIUM_VM_GONE && provium_vm_panicked(vm)) {
		report(error->message);
		return STATUS_SPLAT;
	}
	if (status < 0)
		return status;
	if (provium_kernel_check(connection, 0, CHECK_TIMEOUT_MS, error) == 0)
		return status;
	if (error->code != PROVIUM_SPLAT)
		return cli_fail_in(error, "--fail-on-splat");
	report(error->message);
	return STATUS_SPLAT;
}

int guest_run(const struct guest_options *options, uint64_t timeout_ms, bool fail_on_splat,
	      const struct session_options *session, struct provium_error *error)
{
	struct provium_exec_result result;
	struct interrupts interrupts;
	struct status_line *line = NULL;
	struct provium_vm *vm;
	bool broken_pipe = false;
	int status;

	if (interrupts_init(&interrupts, timeout_ms, error) < 0)
		return -1;
	status = status_line_start(&line, error);
	if (status == 0) {
		status = boot(options, &interrupts, line, &vm, error);
		status_line_stop(line);
	}
	if (status == 0) {
		status = session_run(provium_vm_connection(vm), session, &interrupts, &result,
				     &broken_pipe, error);
		if (status == 0)
			status = exit_status(&result);
		if (status < 0 && error->code == PROVIUM_DISCONNECTED)
			await_own_end(vm, error);
		if (fail_on_splat)
			status = judge(vm, status, error);
		status = stop(options, vm, status, &interrupts, error);
	}
	status_line_free(line);
	return command_end(status, error, broken_pipe, &interrupts);
}
