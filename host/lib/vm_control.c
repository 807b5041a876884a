/* Telling QEMU what to do while a VM runs, and waiting until it has happened. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/lib/error.h"
#include "host/lib/vm.h"

/* Between the end of QEMU's control socket and its own. */
#define EXIT_MS 1000

/* Its end says more than that of its socket, which may come a moment before. */
static int tell_end(struct provium_vm *vm, const struct provium_error *failure,
		    struct provium_error *error)
{
	struct wait_limits limits = {
		.deadline = deadline_after(EXIT_MS),
		.cancel_fd = -1,
		.monitor = &vm->monitor,
	};
	struct provium_error gone;
	enum wait_end end = WAIT_READY;
	short revents;

	if (failure->code != PROVIUM_HOST || vm->qmp.fd >= 0 || vm->qmp.failure[0])
		return error_copy(error, failure);
	while (end == WAIT_READY)
		end = wait_fd(-1, 0, &limits, "waiting for QEMU's end", &revents, &gone);
	return error_copy(error, end == WAIT_GONE ? &gone : failure);
}

/* Without the monitor, which takes the lock: QEMU's end is that of its socket here. */
static struct wait_limits command_limits(const struct provium_vm *vm,
					 const struct deadline *deadline)
{
	return (struct wait_limits){ .deadline = *deadline, .cancel_fd = vm->cancel_fd };
}

int vm_command(struct provium_vm *vm, const char *command, json_t *arguments,
	       const struct deadline *deadline, json_t **result, struct provium_error *error)
{
	struct wait_limits limits = command_limits(vm, deadline);
	struct provium_error failure;
	int status;

	pthread_mutex_lock(&vm->lock);
	status = qmp_execute(&vm->qmp, command, arguments, &limits, result, &failure);
	pthread_mutex_unlock(&vm->lock);
	return status < 0 ? tell_end(vm, &failure, error) : 0;
}

int vm_send_command(struct provium_vm *vm, const char *command, json_t *arguments,
		    const struct deadline *deadline, struct provium_error *error)
{
	struct wait_limits limits = command_limits(vm, deadline);
	struct provium_error failure;
	int status;

	pthread_mutex_lock(&vm->lock);
	status = qmp_send(&vm->qmp, command, arguments, &limits, &failure);
	pthread_mutex_unlock(&vm->lock);
	return status < 0 ? tell_end(vm, &failure, error) : 0;
}

int vm_await_reply(struct provium_vm *vm, const char *command, const struct deadline *deadline,
		   struct provium_error *error)
{
	struct wait_limits limits = command_limits(vm, deadline);
	struct provium_error failure;
	int status;

	pthread_mutex_lock(&vm->lock);
	status = qmp_await_reply(&vm->qmp, command, &limits, NULL, &failure);
	pthread_mutex_unlock(&vm->lock);
	return status < 0 ? tell_end(vm, &failure, error) : 0;
}

bool vm_has_refused(struct provium_vm *vm)
{
	bool refused;

	pthread_mutex_lock(&vm->lock);
	refused = qmp_has_refused(&vm->qmp);
	pthread_mutex_unlock(&vm->lock);
	return refused;
}

int vm_pass_fd(struct provium_vm *vm, const char *name, int fd, const struct deadline *deadline,
	       struct provium_error *error)
{
	struct wait_limits limits = command_limits(vm, deadline);
	struct provium_error failure;
	int status;

	pthread_mutex_lock(&vm->lock);
	status = qmp_pass_fd(&vm->qmp, name, fd, &limits, &failure);
	pthread_mutex_unlock(&vm->lock);
	return status < 0 ? tell_end(vm, &failure, error) : 0;
}

int vm_await(struct provium_vm *vm, bool (*done)(const struct provium_vm *vm),
	     const struct wait_limits *limits, const char *what, struct provium_error *error)
{
	for (;;) {
		struct provium_error failure;
		bool is_done, is_over;
		short revents;

		pthread_mutex_lock(&vm->lock);
		is_done = done(vm);
		/* Nothing that could be waited for comes any more. */
		is_over = vm->qmp.fd < 0 && qmp_dispatch(&vm->qmp, &failure) < 0;
		pthread_mutex_unlock(&vm->lock);
		if (is_done)
			return 0;
		if (is_over)
			return tell_end(vm, &failure, error);
		if (wait_fd(-1, 0, limits, what, &revents, error) != WAIT_READY)
			return -1;
	}
}

int vm_prepare_migration(struct provium_vm *vm, const struct deadline *deadline,
			 struct provium_error *error)
{
	json_t *capabilities =
		json_pack("{s:[{s:s, s:b}, {s:s, s:b}]}", "capabilities", "capability",
			  "x-ignore-shared", "state", 1, "capability", "events", "state", 1);

	pthread_mutex_lock(&vm->lock);
	vm->migration = VM_MIGRATION_NONE;
	pthread_mutex_unlock(&vm->lock);
	return vm_command(vm, "migrate-set-capabilities", capabilities, deadline, NULL, error);
}

static enum vm_migration migration_of(struct provium_vm *vm)
{
	enum vm_migration migration;

	pthread_mutex_lock(&vm->lock);
	migration = vm->migration;
	pthread_mutex_unlock(&vm->lock);
	return migration;
}

static bool has_migrated(const struct provium_vm *vm)
{
	return vm->migration != VM_MIGRATION_NONE;
}

int vm_await_migration(struct provium_vm *vm, const struct wait_limits *limits, const char *what,
		       struct provium_error *error)
{
	const char *reason;
	json_t *status;

	if (vm_await(vm, has_migrated, limits, what, error) < 0)
		return -1;
	if (migration_of(vm) == VM_MIGRATION_COMPLETED)
		return 0;
	if (vm_command(vm, "query-migrate", json_object(), &limits->deadline, &status, error) < 0)
		return -1;
	reason = json_string_value(json_object_get(status, "error-desc"));
	error_set(error, PROVIUM_HOST, 0, "%s: QEMU has failed: %.512s", what,
		  reason ? reason : "it does not say why");
	json_decref(status);
	return -1;
}
