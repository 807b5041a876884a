#include "host/lib/lost.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/lib/address.h"
#include "host/lib/error.h"
#include "proto/limits.h"

/*
 * The agent notices the end of its server after 1.2 s at the latest, where fds are closed and a
 * process does not die, and then waits for up to a second (agent/supervisor.c).
 */
#define ASK_MS 3000

/* What both READYs say tells whether it is another server, or even another boot. */
static void compare(struct provium_connection *connection, const struct provium_agent *now)
{
	const struct provium_agent *before = &connection->agent;

	if (before->boot_id[0] && now->boot_id[0] && strcmp(before->boot_id, now->boot_id) != 0) {
		error_set(&connection->loss, PROVIUM_DISCONNECTED, 0,
			  "the guest has booted anew since");
		return;
	}
	if (now->restarts == before->restarts)
		return;
	snprintf(connection->restart_reason, sizeof(connection->restart_reason), "%s",
		 now->restart_reason);
	error_set(&connection->loss, PROVIUM_DISCONNECTED, 0,
		  "the agent's server has ended and was started again%s%s",
		  now->restart_reason[0] ? ": " : "", now->restart_reason);
}

/*
 * Nobody listens at the agent's port any more: its supervisor is dead, of which only SIGKILL is the
 * cause. An init that ends a system by killing every process then unmounts, and powers off: whoever
 * heard of a lost connection before that would kill the guest in the midst of it. A worker's port
 * goes with the worker.
 */
static void await_end(struct provium_connection *connection, const struct deadline *deadline)
{
	struct wait_limits limits = {
		.deadline = deadline_after(connection->monitor.end_ms),
		.cancel_fd = connection->cancel_fd,
		.monitor = &connection->monitor,
	};
	struct provium_error reason;

	if (!connection->has_monitor || connection->address.port != PROVIUM_PORT)
		return;
	if (deadline->at_ns < limits.deadline.at_ns)
		limits.deadline = *deadline;
	if (wait_limit(&limits, "the guest's end", &reason) == WAIT_GONE)
		connection->loss = reason;
}

void lost_ask(struct provium_connection *connection, const struct deadline *deadline)
{
	struct wait_limits limits = {
		.deadline = deadline_after(ASK_MS),
		.cancel_fd = connection->cancel_fd,
		.monitor = connection->has_monitor ? &connection->monitor : NULL,
	};
	struct provium_connection *again;
	struct provium_error failure;
	int fd;

	if (!connection->has_address || deadline_passed(deadline))
		return;
	if (deadline->at_ns < limits.deadline.at_ns)
		limits.deadline = *deadline;
	if (address_connect(&connection->address, &limits, &fd, &failure) == 0 &&
	    connection_open(fd, connection_token(connection), &limits, &again, &failure) == 0) {
		compare(connection, &again->agent);
		/*
		 * What the kernel has said of it is sent behind READY, and once. An agent that does
		 * not know of its log has nothing to say.
		 */
		if ((connection_serves(again, PROVIUM__V1__MESSAGE__BODY_KERNEL_LOG) ||
		     connection_serves(again, PROVIUM__V1__MESSAGE__BODY_WORKER_LIST)) &&
		    provium_ping(again, ASK_MS, NULL) == 0) {
			kernel_move(&connection->kernel, &again->kernel);
			worker_ends_move(&connection->worker_ends, &again->worker_ends);
		}
		provium_connection_free(again);
	} else if (failure.code == PROVIUM_VM_GONE) {
		connection->loss = failure;
	} else if (failure.code == PROVIUM_HOST && failure.os_errno == ECONNREFUSED) {
		await_end(connection, deadline);
	}
}

bool lost_in_call(const struct provium_connection *connection, uint32_t id, unsigned int *call)
{
	const char *at = connection->restart_reason;
	unsigned int request;

	while ((at = strstr(at, "call "))) {
		if (sscanf(at, "call %u of request %u", call, &request) == 2)
			return request == id;
		at++;
	}
	return false;
}
