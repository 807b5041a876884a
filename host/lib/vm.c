/* A VM as its callers see it. How it comes up: vm_boot.c; how its end is noticed: vm_monitor.c. */
#include "host/lib/vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "common/cleanup.h"
#include "host/lib/accel.h"
#include "host/lib/connection.h"
#include "host/lib/error.h"

/* What a guest may take after the agent's acknowledgement, without TCG's factor. */
#define POWER_OFF_MS 1000

/* What QEMU may take to quit, whose part of it no guest delays. */
#define QUIT_MS      5000

/*
 * What the agent may take to answer again, without TCG's factor: it notices within 1.2 s that its
 * server has ended, waits for at most a second (agent/supervisor.c) and starts another.
 */
#define DIAL_MS      3000

/* The agent's bound on writing file systems back (DESIGN, "Shutdown"). */
#define SYNC_MS      5000

struct wait_limits vm_limits(const struct provium_vm *vm, const struct deadline *deadline)
{
	return (struct wait_limits){
		.deadline = *deadline,
		.cancel_fd = vm->cancel_fd,
		.monitor = &vm->monitor,
	};
}

struct provium_connection *provium_vm_connection(struct provium_vm *vm)
{
	return vm->connection;
}

int provium_vm_connect(struct provium_vm *vm, uint32_t port, int timeout_ms,
		       struct provium_connection **connection, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct wait_limits limits = vm_limits(vm, &deadline);
	struct address address = vm->address;
	int fd;

	*connection = NULL;
	error_clear(error);
	if (port)
		address.port = port;
	if (vm_monitor_check(vm, error) < 0)
		return -1;
	if (address_connect(&address, &limits, &fd, error) < 0)
		return -1;
	if (connection_open(fd, vm->token, &limits, connection, error) < 0)
		return -1;
	connection_set_address(*connection, &address);
	return 0;
}

enum provium_accel provium_vm_accel(const struct provium_vm *vm)
{
	return vm->hardware.accel;
}

enum provium_vsock provium_vm_vsock(const struct provium_vm *vm)
{
	return vm->vsock;
}

bool provium_vm_panicked(struct provium_vm *vm)
{
	struct vm_findings findings;
	bool panicked;

	vm_monitor_check(vm, NULL);
	vm_watch_findings(&vm->watch, &findings);
	pthread_mutex_lock(&vm->lock);
	panicked = vm->guest_panicked || findings.panic_over ||
		   (vm->gone && findings.panic[0] != '\0');
	pthread_mutex_unlock(&vm->lock);
	return panicked;
}

int provium_vm_qemu_pid(const struct provium_vm *vm)
{
	return vm->qemu.pid;
}

const char *provium_vm_console(const struct provium_vm *vm)
{
	return vm->files.console;
}

char *provium_vm_console_tail(struct provium_vm *vm, unsigned int lines)
{
	return vm_watch_tail(&vm->watch, VM_SOURCE_CONSOLE, lines, VM_CONSOLE_KEPT * 2);
}

/* Whether QEMU has ended by now. *pidfd: readable once it has. */
static bool qemu_ended(struct provium_vm *vm, int *pidfd)
{
	bool ended;

	pthread_mutex_lock(&vm->lock);
	ended = vm_monitor_reap(vm, &vm->qemu, 0);
	*pidfd = vm->qemu.pidfd;
	pthread_mutex_unlock(&vm->lock);
	return ended;
}

/* Waits for QEMU's end. 1: it is there, 0: not within the time, -1: cancelled. */
static int await_end(struct provium_vm *vm, int timeout_ms, const struct deadline *deadline,
		     struct provium_error *error)
{
	struct deadline now = deadline_after(timeout_ms);
	/* No monitor: that the guest is gone is what is wanted here. */
	struct wait_limits limits = {
		.deadline = deadline->at_ns < now.at_ns ? *deadline : now,
		.cancel_fd = vm->cancel_fd,
	};
	enum wait_end end;
	short revents;
	int pidfd;

	for (;;) {
		if (qemu_ended(vm, &pidfd))
			return 1;
		end = wait_fd(pidfd, POLLIN, &limits, "waiting for QEMU's end", &revents, error);
		if (end == WAIT_TIMED_OUT)
			return qemu_ended(vm, &pidfd);
		if (end != WAIT_READY)
			return -1;
	}
}

/* Tells QEMU to quit. It need not answer: its end is the answer. */
static void tell_to_quit(struct provium_vm *vm, int timeout_ms)
{
	struct wait_limits limits = { .deadline = deadline_after(timeout_ms), .cancel_fd = -1 };

	pthread_mutex_lock(&vm->lock);
	qmp_execute(&vm->qmp, "quit", json_object(), &limits, NULL, NULL);
	pthread_mutex_unlock(&vm->lock);
}

/*
 * Whether the guest has ended itself, as a command in it may have: then QEMU ends, when it has
 * written back what it holds of the disks. powered_off: in that way, not by a reset or a panic.
 */
static bool has_ended_itself(struct provium_vm *vm, bool powered_off)
{
	struct deadline deadline = deadline_after(QUIT_MS);
	bool ended;

	vm_monitor_check(vm, NULL);
	pthread_mutex_lock(&vm->lock);
	ended = powered_off
			? !vm->guest_panicked && strcmp(vm->shutdown_reason, "guest-shutdown") == 0
			: vm->shutdown_reason[0] != '\0';
	pthread_mutex_unlock(&vm->lock);
	return ended && await_end(vm, QUIT_MS, &deadline, NULL) > 0;
}

int provium_vm_wait(struct provium_vm *vm, int timeout_ms, struct provium_error *end,
		    struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms ? timeout_ms : vm->monitor.end_ms);
	struct wait_limits limits = vm_limits(vm, &deadline);
	struct provium_error limit;

	error_clear(error);
	error_clear(end);
	if (wait_limit(&limits, "waiting for the guest's end", &limit) != WAIT_GONE)
		return error_copy(error, &limit);
	error_copy(end, &limit);
	has_ended_itself(vm, false);
	return 0;
}

/* Ends QEMU, in order if it can be had. */
static int quit(struct provium_vm *vm, struct provium_error *error)
{
	struct deadline deadline = deadline_after(QUIT_MS);
	int ended;

	tell_to_quit(vm, QUIT_MS);
	ended = await_end(vm, QUIT_MS, &deadline, error);
	if (ended > 0)
		return 0;
	vm_kill(vm);
	if (ended < 0)
		return -1;
	return error_set(error, PROVIUM_TIMED_OUT, 0,
			 "QEMU has not quit within %d s: it was killed", QUIT_MS / 1000);
}

/*
 * The same over a connection of its own, where the VM's has ended and the guest has not: a system
 * call of a test may have ended the agent's server.
 */
static int dial_and_shut_down(struct provium_vm *vm, enum provium_shutdown_mode mode, bool sync,
			      const struct deadline *deadline, struct provium_error *error)
{
	struct deadline dialled = deadline_after(DIAL_MS * accel_factor(vm->hardware.accel));
	struct provium_connection *connection;
	int status;

	if (deadline->at_ns < dialled.at_ns)
		dialled = *deadline;
	if (provium_vm_connect(vm, 0, deadline_remaining_ms(&dialled), &connection, error) < 0)
		return -1;
	status = provium_shutdown(connection, mode, sync, deadline_remaining_ms(deadline), error);
	provium_connection_free(connection);
	return status;
}

/* Has the agent acknowledge that it ends the guest. 1: that had powered itself off. */
static int shut_down(struct provium_vm *vm, enum provium_shutdown_mode mode, bool sync,
		     const struct deadline *deadline, struct provium_error *error)
{
	struct provium_error failure;

	if (provium_shutdown(vm->connection, mode, sync, deadline_remaining_ms(deadline),
			     &failure) == 0)
		return 0;
	if (has_ended_itself(vm, true))
		return 1;
	if (failure.code != PROVIUM_DISCONNECTED)
		return error_copy(error, &failure);
	if (dial_and_shut_down(vm, mode, sync, deadline, error) == 0)
		return 0;
	/* The agent is dead: the guest may be about to end by itself (lost.c). */
	if (error->code == PROVIUM_HOST && error->os_errno == ECONNREFUSED) {
		struct deadline own = deadline_after(vm->monitor.end_ms);
		struct wait_limits limits =
			vm_limits(vm, deadline->at_ns < own.at_ns ? deadline : &own);

		wait_limit(&limits, "the guest's end", NULL);
	}
	return has_ended_itself(vm, true) ? 1 : -1;
}

int provium_vm_shutdown(struct provium_vm *vm, enum provium_shutdown_mode mode, bool sync,
			int timeout_ms, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	int power_off_ms = (POWER_OFF_MS + (sync ? SYNC_MS : 0)) * accel_factor(vm->hardware.accel);
	struct provium_error failure;
	int ended;

	error_clear(error);
	ended = shut_down(vm, mode, sync, &deadline, &failure);
	if (ended < 0) {
		if (failure.code != PROVIUM_CANCELLED)
			quit(vm, NULL);
		return error_copy(error, &failure);
	}
	if (ended > 0)
		return 0;
	ended = await_end(vm, power_off_ms, &deadline, error);
	if (ended == 0)
		ended = quit(vm, error) == 0 ? 1 : -1;
	if (ended < 0)
		return -1;
	error_clear(error);
	return 0;
}

void vm_kill(struct provium_vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm_process_kill(&vm->qemu);
	vm_process_kill(&vm->vsock_program);
	eventfd_write(vm->gone_fd, 1);
	pthread_mutex_unlock(&vm->lock);
}

void provium_vm_kill(struct provium_vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm->killed |= vm_process_running(&vm->qemu);
	pthread_mutex_unlock(&vm->lock);
	vm_kill(vm);
}

void provium_vm_free(struct provium_vm *vm)
{
	if (!vm)
		return;
	provium_connection_free(vm->connection);
	vm_kill(vm);
	close_fd(vm->life_fd);
	vm_watch_stop(&vm->watch);
	vm_monitor_finish(vm);
	vm_files_remove(&vm->files);
	vm_hardware_finish(&vm->hardware);
	explicit_bzero(vm->token, sizeof(vm->token));
	free(vm);
}
