/*
 * Noticing the end of a VM.
 *
 * Every call that waits for the guest also waits for: QEMU's end and provium-vsock's (pidfds), news
 * of the thread that reads the console, QMP's events. They are in one epoll(7) instance, so that a
 * program's own event loop can wait for them as well. Whatever comes first is told once, in one
 * error that all later calls get: what has ended, why as far as it is known, and what the console
 * showed last.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/accel.h"
#include "host/lib/error.h"
#include "host/lib/qemu_args.h"
#include "host/lib/vm.h"

/* Bytes of a message that are left for whoever says what was going on. */
#define PREFIX_ROOM 256

/* How long the ends that follow from one another may take, milliseconds. */
#define FOLLOW_MS   60

static void on_event(void *user, const char *name, const json_t *data)
{
	struct provium_vm *vm = user;
	const char *reason;

	if (strcmp(name, "GUEST_PANICKED") == 0) {
		vm->guest_panicked = true;
		vm->silent_since = monotonic_ns();
	} else if (strcmp(name, "SHUTDOWN") == 0) {
		reason = json_string_value(json_object_get(data, "reason"));
		snprintf(vm->shutdown_reason, sizeof(vm->shutdown_reason), "%s",
			 reason ? reason : "");
	} else if (strcmp(name, "BLOCK_IO_ERROR") == 0) {
		/* Else it is told to the guest, and no STOP follows. */
		reason = json_string_value(json_object_get(data, "action"));
		if (!reason || strcmp(reason, "stop") != 0)
			return;
		reason = json_string_value(json_object_get(data, "reason"));
		snprintf(vm->disk_failure, sizeof(vm->disk_failure), "%s", reason ? reason : "");
	} else if (strcmp(name, "STOP") == 0) {
		vm->stopped = !vm->held;
	} else if (strcmp(name, "DEVICE_DELETED") == 0) {
		/* There is another event for what is within the device: without its id. */
		reason = json_string_value(json_object_get(data, "device"));
		vm->unplugged |= reason && strcmp(reason, QEMU_VSOCK_DEVICE) == 0;
	} else if (strcmp(name, "MIGRATION") == 0) {
		reason = json_string_value(json_object_get(data, "status"));
		if (reason && strcmp(reason, "completed") == 0)
			vm->migration = VM_MIGRATION_COMPLETED;
		else if (reason && strcmp(reason, "failed") == 0)
			vm->migration = VM_MIGRATION_FAILED;
	}
}

/* By QEMU: not what follows where it was told to stay when the guest has ended. */
static bool is_stopped(const struct provium_vm *vm)
{
	return vm->stopped && !vm->guest_panicked && !vm->shutdown_reason[0];
}

/* The firmware's escape sequences do not count. */
static bool is_silent(struct provium_vm *vm)
{
	cleanup_free char *tail = vm_watch_tail(&vm->watch, VM_SOURCE_CONSOLE, 1, VM_CONSOLE_LINE);

	return tail && !*tail;
}

/* The first line: what has happened. */
static void describe(struct provium_vm *vm, const struct vm_findings *findings, char *text,
		     size_t size)
{
	char end[128];

	if (findings->panic[0]) {
		snprintf(text, size, "the guest's kernel panicked: %s", findings->panic);
		return;
	}
	if (vm->guest_panicked) {
		snprintf(text, size, "the guest's kernel panicked");
		return;
	}
	if (vm->saved || vm->killed) {
		snprintf(text, size, "the VM was ended by %s",
			 vm->saved ? "provium_vm_save" : "provium_vm_kill");
		return;
	}
	if (is_stopped(vm) && vm->disk_failure[0]) {
		snprintf(text, size, "QEMU has stopped the guest: the file of a disk: %s",
			 vm->disk_failure);
		return;
	}
	if (is_stopped(vm)) {
		snprintf(text, size, "QEMU has stopped the guest, which it cannot run on%s",
			 vm->hardware.accel == PROVIUM_ACCEL_KVM
				 ? " (KVM has failed: TCG may do, where this happens again)"
				 : "");
		return;
	}
	if (findings->fatal[0] && vm->booting) {
		snprintf(text, size, "the agent cannot serve: %s", findings->fatal);
		return;
	}
	if (strcmp(vm->shutdown_reason, "guest-reset") == 0) {
		snprintf(text, size, "%s",
			 is_silent(vm)
				 ? "the guest has reset before its kernel printed anything: does "
				   "it need more memory (--memory)?"
				 : "the guest has rebooted, which ends it");
		return;
	}
	if (strcmp(vm->shutdown_reason, "guest-shutdown") == 0) {
		snprintf(text, size, "the guest has shut itself down");
		return;
	}
	if (vm_process_failed(&vm->vsock_program) || vm_process_running(&vm->qemu)) {
		vm_process_describe_end(&vm->vsock_program, end, sizeof(end));
		snprintf(text, size, "provium-vsock %s, the guest cannot be reached", end);
		return;
	}
	vm_process_describe_end(&vm->qemu, end, sizeof(end));
	snprintf(text, size, "QEMU %s%s%s", end, vm->qmp.failure[0] ? "; before that, " : "",
		 vm->qmp.failure);
}

/* What a program of the VM has printed, behind the message. */
static void append_log(struct provium_vm *vm, enum vm_source source, const char *name,
		       struct provium_error *error)
{
	size_t used = strlen(error->message);
	cleanup_free char *tail = vm_watch_tail(&vm->watch, source, 10, 1024);

	if (tail && *tail)
		snprintf(error->message + used, sizeof(error->message) - used, "\n%s said:\n%s",
			 name, tail);
}

/* False: the kernel has not panicked. */
static bool append_panic(struct provium_vm *vm, struct provium_error *error)
{
	static const char title[] = "\nWhat it said of that:\n";
	size_t used = strlen(error->message);
	cleanup_free char *panic = NULL;

	if (sizeof(error->message) - used < sizeof(title) + VM_CONSOLE_LINE + PREFIX_ROOM)
		return false;
	panic = vm_watch_panic(&vm->watch,
			       sizeof(error->message) - used - sizeof(title) + 1 - PREFIX_ROOM);
	if (!panic || !*panic)
		return false;
	snprintf(error->message + used, sizeof(error->message) - used, "%s%s", title, panic);
	return true;
}

void vm_append_console(struct provium_vm *vm, struct provium_error *error)
{
	static const char title[] = "\nThe console's last lines:\n";
	size_t used = strlen(error->message);
	cleanup_free char *tail = NULL;

	if (sizeof(error->message) - used < sizeof(title) + VM_CONSOLE_LINE + PREFIX_ROOM)
		return;
	tail = vm_watch_tail(&vm->watch, VM_SOURCE_CONSOLE, VM_TAIL_LINES,
			     sizeof(error->message) - used - sizeof(title) + 1 - PREFIX_ROOM);
	if (!tail)
		return;
	if (*tail)
		snprintf(error->message + used, sizeof(error->message) - used, "%s%s", title, tail);
	else
		snprintf(error->message + used, sizeof(error->message) - used,
			 "\nThe console is empty: the kernel has printed nothing.");
}

/* The end has been noticed: what it was is put together once. */
static void set_gone(struct provium_vm *vm)
{
	struct provium_error *error = &vm->gone_error;
	struct vm_findings findings;
	char what[VM_CONSOLE_LINE + 64];

	if (!vm_process_running(&vm->qemu)) {
		/* What it wrote last is still on its way through the sockets. */
		vm_watch_drain(&vm->watch, VM_SOURCE_CONSOLE, FOLLOW_MS);
		vm_watch_drain(&vm->watch, VM_SOURCE_QEMU, FOLLOW_MS);
		if (vm->qmp.fd >= 0)
			qmp_dispatch(&vm->qmp, NULL);
	}
	vm_watch_findings(&vm->watch, &findings);
	/* It has run nothing else since its first line. */
	if (findings.panic_over)
		vm->silent_since = findings.panicked_ns;
	describe(vm, &findings, what, sizeof(what));
	error_set(error, vm->booting ? PROVIUM_BOOT : PROVIUM_VM_GONE, 0, "%s%s%s%s",
		  vm->booting ? "the VM did not come up: " : "", what,
		  findings.hint && vm->booting ? "\n" : "",
		  findings.hint && vm->booting ? findings.hint : "");
	append_log(vm, VM_SOURCE_QEMU, "QEMU", error);
	append_log(vm, VM_SOURCE_VSOCK, "provium-vsock", error);
	if (vm->booting || !append_panic(vm, error))
		vm_append_console(vm, error);
	vm->gone = true;
	eventfd_write(vm->gone_fd, 1);
}

static bool has_ended(struct vm_process *process, int timeout_ms)
{
	struct deadline deadline = deadline_after(timeout_ms);

	return vm_process_reap(process, &deadline);
}

/*
 * One end takes the others with it: QEMU is given a moment, and its own end, and all that is on the
 * console by then, tell more. After GUEST_PANICKED the kernel goes on to reboot; one that is to
 * stay prints a last line instead, behind which nothing comes. *findings are fresh afterwards.
 */
static void follow(struct provium_vm *vm, struct vm_findings *findings)
{
	struct deadline deadline = deadline_after(FOLLOW_MS);
	struct pollfd fds[] = {
		{ .fd = vm->qemu.pidfd, .events = POLLIN },
		{ .fd = vm->watch.event_fd, .events = POLLIN },
	};

	while (!has_ended(&vm->qemu, 0) && !findings->panic_over && !deadline_passed(&deadline)) {
		poll(fds, ARRAY_SIZE(fds), deadline_remaining_ms(&deadline));
		vm_watch_findings(&vm->watch, findings);
	}
}

/* The lock is not held: the callback may ask the VM for its console. */
static void tell_file_failure(const struct provium_vm *vm, int failure)
{
	char text[256];

	if (failure == EFBIG)
		snprintf(text, sizeof(text),
			 "the console's file has reached %u MiB, what follows is left out",
			 VM_CONSOLE_FILE_LIMIT >> 20);
	else
		snprintf(text, sizeof(text), "the console's file is not complete: %s",
			 strerror(failure));
	if (vm->on_notice)
		vm->on_notice(vm->user, text);
}

/* Returns the errno of the console's file where that is new, else 0. */
static int look(struct provium_vm *vm)
{
	bool has_program = vm->vsock == PROVIUM_VSOCK_USER;
	struct vm_findings findings;
	bool ended;
	int news;

	if (vm->qmp.fd >= 0)
		qmp_dispatch(&vm->qmp, NULL);
	vm_watch_findings(&vm->watch, &findings);
	ended = has_ended(&vm->qemu, 0);
	if (!ended && (vm->guest_panicked || vm->shutdown_reason[0] ||
		       (has_program && has_ended(&vm->vsock_program, 0)))) {
		follow(vm, &findings);
		ended = true;
	}
	news = vm->file_failure_told ? 0 : findings.file_errno;
	vm->file_failure_told |= news != 0;

	/* QEMU gives up where its device is gone, and may be seen to end before that. */
	if (vm_process_failed(&vm->qemu) && has_program)
		has_ended(&vm->vsock_program, FOLLOW_MS);
	if (is_stopped(vm))
		vm_watch_drain(&vm->watch, VM_SOURCE_QEMU, FOLLOW_MS);
	if (ended || is_stopped(vm) || findings.panic_over || (findings.fatal[0] && vm->booting))
		set_gone(vm);
	return news;
}

int vm_monitor_check(struct provium_vm *vm, struct provium_error *error)
{
	int file_failure = 0;
	int result = 0;

	pthread_mutex_lock(&vm->lock);
	if (!vm->gone)
		file_failure = look(vm);
	if (vm->gone)
		result = error_copy(error, &vm->gone_error);
	pthread_mutex_unlock(&vm->lock);
	if (file_failure)
		tell_file_failure(vm, file_failure);
	return result;
}

static int check(void *user, struct provium_error *error)
{
	return vm_monitor_check(user, error);
}

static uint64_t silent_since(void *user)
{
	struct provium_vm *vm = user;
	uint64_t since;

	pthread_mutex_lock(&vm->lock);
	since = vm->silent_since;
	pthread_mutex_unlock(&vm->lock);
	return since;
}

bool vm_monitor_reap(struct provium_vm *vm, struct vm_process *process, int timeout_ms)
{
	bool ended = has_ended(process, timeout_ms);

	/* The pidfd has left the monitor with its end, before those in poll(2) have looked. */
	if (ended)
		eventfd_write(vm->gone_fd, 1);
	return ended;
}

int vm_monitor_add(struct provium_vm *vm, int fd, struct provium_error *error)
{
	struct epoll_event event = { .events = EPOLLIN };

	if (epoll_ctl(vm->monitor.fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return error_set(error, PROVIUM_HOST, errno, "epoll_ctl");
	return 0;
}

int vm_monitor_init(struct provium_vm *vm, struct provium_error *error)
{
	vm->qmp.fd = -1;
	pthread_mutex_init(&vm->lock, NULL);
	vm->gone_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	vm->monitor = (struct connection_monitor){
		.fd = epoll_create1(EPOLL_CLOEXEC),
		.check = check,
		.silent_since = silent_since,
		.user = vm,
	};
	if (vm->gone_fd < 0 || vm->monitor.fd < 0)
		return error_set(error, PROVIUM_HOST, errno, "eventfd");
	return vm_monitor_add(vm, vm->gone_fd, error);
}

void vm_monitor_finish(struct provium_vm *vm)
{
	qmp_finish(&vm->qmp);
	vm->monitor.fd = close_fd(vm->monitor.fd);
	vm->gone_fd = close_fd(vm->gone_fd);
	pthread_mutex_destroy(&vm->lock);
}

int vm_monitor_attach(struct provium_vm *vm, int qmp_fd, struct provium_error *error)
{
	qmp_init(&vm->qmp, qmp_fd, on_event, vm);
	return vm_monitor_add(vm, qmp_fd, error);
}
