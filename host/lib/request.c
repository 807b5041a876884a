/* Which request a message belongs to, and what becomes of requests. */
#include "request.h"

#include <stdarg.h>
#include <stdio.h>

#include "host/lib/agent.h"
#include "host/lib/lost.h"

static struct list *bucket(struct provium_connection *connection, uint32_t id)
{
	return &connection->requests[id % CONNECTION_BUCKETS];
}

struct request *request_find(struct provium_connection *connection, uint32_t id)
{
	struct request *request;

	list_for_each(request, bucket(connection, id), link) {
		if (request->id == id)
			return request;
	}
	return NULL;
}

/* Counted up, so that an id comes again after 2^32 - 1 others and not while its late reply may. */
static uint32_t next_id(struct provium_connection *connection)
{
	do {
		connection->last_id++;
	} while (connection->last_id == 0 || request_find(connection, connection->last_id));
	return connection->last_id;
}

static void leave_table(struct request *request, enum request_state state)
{
	list_remove(&request->link);
	request->state = state;
}

int request_send(struct provium_connection *connection, struct request *request,
		 Provium__V1__Message *message, struct provium_error *error)
{
	if (connection->in_turn)
		return error_set(error, PROVIUM_INVALID, 0,
				 "%s: a callback must not use the connection that calls it",
				 request->what);
	request->connection = connection;
	request->id = next_id(connection);
	message->has_id = true;
	message->id = request->id;
	if (connection_send(connection, message, true, error) < 0) {
		error_prefix(error, "%s", request->what);
		if (request->subject)
			error_prefix(error, "%s", request->subject);
		return -1;
	}
	request->state = REQUEST_IN_FLIGHT;
	list_append(bucket(connection, request->id), &request->link);
	return 0;
}

static bool has_ended(const void *arg)
{
	const struct request *request = arg;

	return request->state != REQUEST_IN_FLIGHT;
}

int request_wait(struct request *request, const struct deadline *deadline,
		 struct provium_error *error)
{
	if (connection_wait(request->connection, has_ended, request, deadline, request->what,
			    error) < 0) {
		if (request->subject)
			error_prefix(error, "%s", request->subject);
		return -1;
	}
	if (request->state == REQUEST_DONE)
		return 0;
	return error_copy(error, request->error);
}

/* A caller that waits anyway waits for the queue as well, instead of being refused. */
static bool has_room(const void *arg)
{
	return connection_queued(arg) <= CONNECTION_QUEUE_LIMIT;
}

int request_room(struct provium_connection *connection, const struct deadline *deadline,
		 const char *what, struct provium_error *error)
{
	return connection_wait(connection, has_room, connection, deadline, what, error);
}

int request_call(struct provium_connection *connection, struct request *request,
		 Provium__V1__Message *message, const struct deadline *deadline,
		 struct provium_error *error)
{
	struct provium_error failure;
	int rc;

	if (request_room(connection, deadline, request->what, error) < 0)
		return -1;
	request->error = &failure;
	rc = request_send(connection, request, message, error);
	if (rc == 0)
		rc = request_wait(request, deadline, error);
	if (rc < 0)
		request_abandon(request);
	request->error = NULL;
	return rc;
}

/* Nobody waits for the reply of a CANCEL: its id is in no table. */
static int send_cancel(struct request *request, struct provium_error *error)
{
	Provium__V1__Cancel body = PROVIUM__V1__CANCEL__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_request = true;
	body.request = request->id;
	message.has_id = true;
	message.id = next_id(request->connection);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_CANCEL;
	message.cancel = &body;
	return connection_send(request->connection, &message, false, error);
}

int request_cancel(struct request *request, struct provium_error *error)
{
	if (request->state != REQUEST_IN_FLIGHT)
		return 0;
	return send_cancel(request, error);
}

/* Where the agent cannot be told, the end of the connection tells it. */
static void stop_in_agent(struct request *request)
{
	struct provium_connection *connection = request->connection;
	struct provium_error error;

	if (connection->lost || send_cancel(request, &error) == 0)
		return;
	connection_lose(connection, error.code, error.os_errno, "a request could not be cancelled");
	if (!connection->in_turn)
		connection_settle(connection);
}

void request_abandon(struct request *request)
{
	if (request->state != REQUEST_IN_FLIGHT)
		return;
	leave_table(request, REQUEST_IDLE);
	stop_in_agent(request);
}

void request_forget(struct request *request)
{
	if (request->state == REQUEST_IN_FLIGHT)
		leave_table(request, REQUEST_IDLE);
}

/* ------------------------------------------------------------------------------------------- */
/* Messages */

enum request_verdict request_broken(struct request *request, const char *fmt, ...)
{
	char detail[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(detail, sizeof(detail), fmt, args);
	va_end(args);
	connection_lose(request->connection, PROVIUM_PROTOCOL, 0,
			"the agent broke the protocol in its reply to \"%s\": %s", request->what,
			detail);
	return REQUEST_MORE;
}

enum request_verdict request_unexpected(struct request *request,
					const Provium__V1__Message *message)
{
	return request_broken(request, "message %d does not belong there", (int)message->body_case);
}

/* An event, or an ERROR about the connection as a whole. */
static void take_event(struct provium_connection *connection, const Provium__V1__Message *message)
{
	struct provium_error refusal;

	/* Events that this library does not know are no harm: minor versions add such. */
	if (message->body_case == PROVIUM__V1__MESSAGE__BODY_KERNEL_EVENT)
		kernel_take(connection, message->kernel_event);
	if (message->body_case == PROVIUM__V1__MESSAGE__BODY_WORKER_EXITED)
		worker_take_end(connection, message->worker_exited);
	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_ERROR)
		return;
	agent_error(&refusal, message->error, NULL);
	connection_lose(connection, PROVIUM_PROTOCOL, 0, "the agent gave the connection up: %s",
			refusal.message);
}

void request_dispatch(struct provium_connection *connection, const Provium__V1__Message *message)
{
	struct request *request;

	if (message->id == 0) {
		take_event(connection, message);
		return;
	}
	request = request_find(connection, message->id);
	if (!request || message->body_case == PROVIUM__V1__MESSAGE__BODY__NOT_SET) {
		connection->strays++;
		return;
	}
	if (message->body_case == PROVIUM__V1__MESSAGE__BODY_ERROR) {
		agent_error(request->error, message->error, request->subject);
		kernel_take_numbers(connection, message);
		leave_table(request, REQUEST_FAILED);
		return;
	}
	switch (request->on_message(request, message)) {
	case REQUEST_MORE:
		break;
	case REQUEST_FINAL:
		kernel_take_numbers(connection, message);
		leave_table(request, REQUEST_DONE);
		break;
	case REQUEST_GIVE_UP:
		leave_table(request, REQUEST_FAILED);
		stop_in_agent(request);
		break;
	}
}

bool request_any(const struct provium_connection *connection)
{
	for (size_t i = 0; i < ARRAY_SIZE(connection->requests); i++)
		if (!list_empty(&connection->requests[i]))
			return true;
	return false;
}

/* Which request it was, and of a program also which call, where the agent knows it. */
static void tell_loss(const struct request *request)
{
	const struct provium_connection *connection = request->connection;
	char name[PROVIUM_OPERATION_SIZE], place[64] = "";
	unsigned int call;

	call = request->calls_told - 1;
	if (request->name_call &&
	    (lost_in_call(connection, request->id, &call) || request->calls_told > 0) &&
	    request->name_call(request, call, name, sizeof(name)))
		snprintf(place, sizeof(place), " call %u (%s)", call, name);
	error_prefix(request->error, "%s while request %u (%s) ran%s",
		     connection->loss.code == PROVIUM_VM_GONE ? "VM gone" : "connection lost",
		     request->id, request->what, place);
}

void request_fail_all(struct provium_connection *connection)
{
	struct request *request;
	struct request *next;

	for (size_t i = 0; i < ARRAY_SIZE(connection->requests); i++) {
		list_for_each_safe(request, next, &connection->requests[i], link) {
			leave_table(request, REQUEST_FAILED);
			error_copy(request->error, &connection->loss);
			/* A VM's end is told to everybody; which call it was matters to a program.
			 */
			if (connection->loss.code == PROVIUM_DISCONNECTED ||
			    (connection->loss.code == PROVIUM_VM_GONE && request->name_call))
				tell_loss(request);
			else if (connection->loss.code == PROVIUM_VM_GONE)
				error_prefix(request->error, "while request %u (%s%s%s) ran",
					     request->id, request->what,
					     request->subject ? ": " : "",
					     request->subject ? request->subject : "");
		}
	}
}

enum request_verdict request_take_ok(struct request *request, const Provium__V1__Message *message)
{
	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_OK)
		return request_unexpected(request, message);
	return REQUEST_FINAL;
}
