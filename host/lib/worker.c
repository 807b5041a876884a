/* SPAWN_WORKER, WORKER_LIST, WORKER_KILL, and the way to a worker. */
#include "host/lib/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "host/lib/address.h"
#include "host/lib/request.h"

static void take_worker(struct provium_worker *worker, const Provium__V1__WorkerStarted *started)
{
	*worker = (struct provium_worker){
		.number = started->worker,
		.kind = started->has_kind &&
					started->kind == PROVIUM__V1__SPAWN_WORKER__KIND__THREAD
				? PROVIUM_WORKER_THREAD
				: PROVIUM_WORKER_FORK,
		.port = started->port,
		.pid = started->pid,
		.tid = started->tid,
	};
}

struct spawn_request {
	struct request request;
	struct provium_worker *worker;
};

static enum request_verdict on_started(struct request *request, const Provium__V1__Message *message)
{
	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_WORKER_STARTED)
		return request_unexpected(request, message);
	take_worker(container_of(request, struct spawn_request, request)->worker,
		    message->worker_started);
	return REQUEST_FINAL;
}

int provium_worker_spawn(struct provium_connection *connection,
			 const struct provium_worker_options *options, int timeout_ms,
			 struct provium_worker *worker, struct provium_error *error)
{
	static const struct provium_worker_options defaults = { 0 };
	struct deadline deadline = deadline_after(timeout_ms);
	struct spawn_request spawn = {
		.request = { .what = "spawn worker", .on_message = on_started },
		.worker = worker,
	};
	Provium__V1__Groups groups = PROVIUM__V1__GROUPS__INIT;
	Provium__V1__SpawnWorker body = PROVIUM__V1__SPAWN_WORKER__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	if (!options)
		options = &defaults;
	body.has_kind = true;
	body.kind = options->kind == PROVIUM_WORKER_THREAD ? PROVIUM__V1__SPAWN_WORKER__KIND__THREAD
							   : PROVIUM__V1__SPAWN_WORKER__KIND__FORK;
	body.has_uid = options->has_uid;
	body.uid = options->uid;
	body.has_gid = options->has_gid;
	body.gid = options->gid;
	if (options->has_groups) {
		/* Only read. */
		groups.gid = (uint32_t *)(uintptr_t)options->groups;
		groups.n_gid = options->n_groups;
		body.groups = &groups;
	}
	message.body_case = PROVIUM__V1__MESSAGE__BODY_SPAWN_WORKER;
	message.spawn_worker = &body;
	return request_call(connection, &spawn.request, &message, &deadline, error);
}

/* The agent's own Unix socket has its workers' beside it: PATH_PORT. */
static int address_of(const struct address *agent, uint32_t port, struct address *address,
		      struct provium_error *error)
{
	char path[sizeof(agent->path) + 16];

	*address = *agent;
	address->port = port;
	if (agent->kind != ADDRESS_AGENT)
		return 0;
	snprintf(path, sizeof(path), "%s_%" PRIu32, agent->path, port);
	return address_set_path(address, path, error);
}

static int unknown_way(const struct provium_worker *worker, struct provium_error *error)
{
	return error_set(error, PROVIUM_INVALID, 0,
			 "worker %" PRIu64 ": it is not known how this connection came; "
			 "connect to port %" PRIu32 " by the same way",
			 worker->number, worker->port);
}

int provium_worker_address(const struct provium_connection *connection,
			   const struct provium_worker *worker, char *text, size_t size,
			   struct provium_error *error)
{
	struct address address;

	if (size > 0)
		*text = '\0';
	if (!connection->has_address)
		return unknown_way(worker, error);
	if (address_of(&connection->address, worker->port, &address, error) < 0) {
		error_prefix(error, "worker %" PRIu64, worker->number);
		return -1;
	}
	if (address_format(&address, text, size))
		return 0;
	if (size > 0)
		*text = '\0';
	return error_set(error, PROVIUM_INVALID, 0,
			 "worker %" PRIu64 ": its address does not fit into %zu bytes",
			 worker->number, size);
}

int provium_worker_connect(struct provium_connection *connection,
			   const struct provium_worker *worker, int timeout_ms,
			   struct provium_connection **worker_connection,
			   struct provium_error *error)
{
	struct wait_limits limits = {
		.deadline = deadline_after(timeout_ms),
		.cancel_fd = connection->cancel_fd,
		.monitor = connection->has_monitor ? &connection->monitor : NULL,
	};
	struct address address;
	int fd;

	*worker_connection = NULL;
	if (!connection->has_address)
		return unknown_way(worker, error);
	if (address_of(&connection->address, worker->port, &address, error) < 0 ||
	    address_connect(&address, &limits, &fd, error) < 0 ||
	    connection_open(fd, connection_token(connection), &limits, worker_connection, error) <
		    0) {
		error_prefix(error, "worker %" PRIu64, worker->number);
		return -1;
	}
	return 0;
}

struct list_request {
	struct request request;
	provium_worker_fn callback;
	void *user;
};

static enum request_verdict on_list(struct request *request, const Provium__V1__Message *message)
{
	struct list_request *list = container_of(request, struct list_request, request);
	const Provium__V1__WorkerListResult *result = message->worker_list_result;

	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_WORKER_LIST_RESULT)
		return request_unexpected(request, message);
	for (size_t i = 0; i < result->n_workers; i++) {
		struct provium_worker worker;
		char stuck[512];

		take_worker(&worker, result->workers[i]);
		error_guest_text(stuck, sizeof(stuck), result->workers[i]->stuck);
		list->callback(list->user, &worker, stuck);
	}
	return REQUEST_FINAL;
}

int provium_worker_list(struct provium_connection *connection, provium_worker_fn callback,
			void *user, int timeout_ms, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct list_request list = {
		.request = { .what = "list workers", .on_message = on_list },
		.callback = callback,
		.user = user,
	};
	Provium__V1__WorkerList body = PROVIUM__V1__WORKER_LIST__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	message.body_case = PROVIUM__V1__MESSAGE__BODY_WORKER_LIST;
	message.worker_list = &body;
	return request_call(connection, &list.request, &message, &deadline, error);
}

int provium_worker_kill(struct provium_connection *connection, uint64_t number, int timeout_ms,
			struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct request request = { .what = "kill worker", .on_message = request_take_ok };
	Provium__V1__WorkerKill body = PROVIUM__V1__WORKER_KILL__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_worker = true;
	body.worker = number;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_WORKER_KILL;
	message.worker_kill = &body;
	return request_call(connection, &request, &message, &deadline, error);
}

/* ------------------------------------------------------------------------------------------- */
/* WORKER_EXITED */

struct worker_end {
	struct list link;
	struct provium_worker_end end;
	char reason[512];
};

void worker_ends_init(struct worker_ends *ends)
{
	list_init(&ends->list);
}

static struct worker_end *take_first(struct worker_ends *ends)
{
	struct worker_end *end = container_of(ends->list.next, struct worker_end, link);

	list_remove(&end->link);
	ends->count--;
	return end;
}

void worker_ends_finish(struct worker_ends *ends)
{
	while (!list_empty(&ends->list))
		free(take_first(ends));
	free(ends->fetched);
}

static void keep(struct worker_ends *ends, struct worker_end *end)
{
	list_append(&ends->list, &end->link);
	if (++ends->count > WORKER_MAX_ENDS)
		free(take_first(ends));
}

void worker_ends_move(struct worker_ends *to, struct worker_ends *from)
{
	while (!list_empty(&from->list))
		keep(to, take_first(from));
}

void worker_take_end(struct provium_connection *connection, const Provium__V1__WorkerExited *exited)
{
	struct worker_ends *ends = &connection->worker_ends;
	struct worker_end *end = calloc(1, sizeof(*end));

	if (!end) {
		connection_lose(connection, PROVIUM_HOST, ENOMEM, "a worker's end");
		return;
	}
	error_guest_text(end->reason, sizeof(end->reason), exited->reason);
	end->end = (struct provium_worker_end){
		.number = exited->worker,
		.exit_code = (int)exited->exit_code,
		.signal = (int)exited->signal,
		.reason = end->reason,
	};
	keep(ends, end);
}

static bool has_end(const void *arg)
{
	const struct provium_connection *connection = arg;

	return connection->worker_ends.count > 0;
}

int provium_worker_next_end(struct provium_connection *connection, int timeout_ms,
			    struct provium_worker_end *end, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct worker_ends *ends = &connection->worker_ends;

	if (!has_end(connection) && connection_wait(connection, has_end, connection, &deadline,
						    "waiting for a worker's end", error) < 0)
		return -1;
	free(ends->fetched);
	ends->fetched = take_first(ends);
	*end = ends->fetched->end;
	return 0;
}
