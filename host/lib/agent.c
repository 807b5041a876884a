/* READY and ERROR, and the requests that concern the agent as a whole. */
#include "agent.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "host/lib/request.h"
#include "proto/limits.h"

/* The least that an agent must take: a chunk of bulk data and what surrounds it. */
#define MIN_MAX_FRAME (PROVIUM_CHUNK + KIB(4))

/* Of AUTH, so that the requests that people are told of are counted from 1, with a token or not. */
#define AUTH_ID       UINT32_MAX

static enum provium_code code_of(Provium__V1__ErrorCode code)
{
	switch (code) {
	case PROVIUM__V1__ERROR_CODE__ERROR_INVALID:
		return PROVIUM_INVALID;
	case PROVIUM__V1__ERROR_CODE__ERROR_OS:
		return PROVIUM_GUEST;
	case PROVIUM__V1__ERROR_CODE__ERROR_NOT_FOUND:
		return PROVIUM_NOT_FOUND;
	case PROVIUM__V1__ERROR_CODE__ERROR_LIMIT:
		return PROVIUM_LIMIT;
	case PROVIUM__V1__ERROR_CODE__ERROR_BUSY:
		return PROVIUM_BUSY;
	case PROVIUM__V1__ERROR_CODE__ERROR_CANCELLED:
		return PROVIUM_CANCELLED;
	case PROVIUM__V1__ERROR_CODE__ERROR_AUTH:
		return PROVIUM_AUTH;
	case PROVIUM__V1__ERROR_CODE__ERROR_UNKNOWN_MESSAGE:
	case PROVIUM__V1__ERROR_CODE__ERROR_UNSUPPORTED:
		return PROVIUM_UNSUPPORTED;
	default:
		/* A number of a later minor version. */
		return PROVIUM_PROTOCOL;
	}
}

/*
 * An agent in a guest has no texts for errnos, but their names, which also stand by themselves: the
 * text that a person reads takes the place of a name at the end.
 */
static void explain(char *text, size_t size, const char *name)
{
	size_t length = strlen(text), name_length = strlen(name);
	int number = provium_errno_number(name);

	if (number <= 0 || length < name_length || strcmp(text + length - name_length, name) != 0)
		return;
	length -= name_length;
	snprintf(text + length, size - length, "%s", strerror(number));
}

void agent_error(struct provium_error *error, const Provium__V1__Error *reply, const char *subject)
{
	enum provium_code code = code_of(reply->code);
	char operation[PROVIUM_OPERATION_SIZE];
	char name[32];
	char text[1024];

	if (!error)
		return;
	error_guest_text(text, sizeof(text), reply->text);
	if (code != PROVIUM_GUEST) {
		error_set(error, code, 0, "%s", text);
	} else {
		error_guest_text(operation, sizeof(operation), reply->operation);
		error_guest_text(name, sizeof(name), reply->errno_name);
		if (!*name)
			snprintf(name, sizeof(name), "errno %" PRId32, reply->os_errno);
		explain(text, sizeof(text), name);
		error_set(error, code, reply->os_errno, "%s (%s%s%s)", text, operation,
			  *operation ? ": " : "", name);
		memcpy(error->operation, operation, sizeof(operation));
	}
	if (subject && !strstr(text, subject))
		error_prefix(error, "%s", subject);
}

/* ------------------------------------------------------------------------------------------- */
/* READY */

static void take_texts(struct provium_connection *connection, const Provium__V1__Ready *ready)
{
	struct provium_agent *agent = &connection->agent;
	struct agent_text *text = &connection->agent_text;
	char path[sizeof(text->init_error_path)] = "";
	const char *operation = "";

	error_guest_text(text->version, sizeof(text->version), ready->agent_version);
	error_guest_text(text->arch, sizeof(text->arch), ready->arch);
	error_guest_text(text->kernel_release, sizeof(text->kernel_release), ready->kernel_release);
	error_guest_text(text->boot_id, sizeof(text->boot_id), ready->boot_id);
	error_guest_text(text->restart_reason, sizeof(text->restart_reason), ready->restart_reason);
	if (ready->init_error) {
		/* Bytes, without a NUL of their own. */
		const ProtobufCBinaryData *data = &ready->init_error->path;

		if (data->len > 0)
			memcpy(path, data->data, MIN(data->len, sizeof(path) - 1));
		agent->init_error_errno = ready->init_error->os_errno;
		operation = ready->init_error->operation ? ready->init_error->operation : "execve";
	}
	error_guest_text(text->init_error_path, sizeof(text->init_error_path), path);
	error_guest_text(text->init_error_operation, sizeof(text->init_error_operation), operation);

	agent->version = text->version;
	agent->arch = text->arch;
	agent->kernel_release = text->kernel_release;
	agent->boot_id = text->boot_id;
	agent->restart_reason = text->restart_reason;
	agent->init_error_path = text->init_error_path;
	agent->init_error_operation = text->init_error_operation;
}

/* The first READY of an agent that asks for a token says no more than that. */
static void send_auth(struct provium_connection *connection)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__Auth auth = PROVIUM__V1__AUTH__INIT;
	struct provium_error failure;

	if (connection->auth_id) {
		connection_lose(connection, PROVIUM_PROTOCOL, 0,
				"the agent took the token and asks for it again");
		return;
	}
	if (!connection->has_token) {
		connection_lose(connection, PROVIUM_AUTH, 0,
				"the agent asks for a token: give that of its guest (--token, "
				"provium_connect_token)");
		return;
	}
	connection->auth_id = AUTH_ID;
	auth.has_token = true;
	auth.token.data = connection->token;
	auth.token.len = sizeof(connection->token);
	message.has_id = true;
	message.id = connection->auth_id;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_AUTH;
	message.auth = &auth;
	if (connection_send(connection, &message, false, &failure) < 0)
		connection_lose(connection, failure.code, failure.os_errno, "AUTH: %s",
				failure.message);
}

static void take_ready(struct provium_connection *connection, const Provium__V1__Ready *ready)
{
	struct provium_agent *agent = &connection->agent;

	if (ready->protocol_major != PROVIUM_PROTOCOL_MAJOR) {
		connection_lose(connection, PROVIUM_PROTOCOL, 0,
				"the agent speaks protocol %u.%u, this library (%s) speaks %u.%u: "
				"use an agent and a provium that belong together",
				ready->protocol_major, ready->protocol_minor, provium_version(),
				PROVIUM_PROTOCOL_MAJOR, PROVIUM_PROTOCOL_MINOR);
		return;
	}
	connection->max_frame = MIN(ready->max_frame, PROVIUM_MAX_FRAME);
	if (ready->auth_required) {
		send_auth(connection);
		return;
	}
	if (ready->max_frame < MIN_MAX_FRAME) {
		connection_lose(connection, PROVIUM_PROTOCOL, 0,
				"the agent takes frames of %u bytes, at least %zu are needed",
				ready->max_frame, MIN_MAX_FRAME);
		return;
	}
	take_texts(connection, ready);
	agent->protocol_major = ready->protocol_major;
	agent->protocol_minor = ready->protocol_minor;
	agent->pid = ready->pid;
	agent->restarts = ready->restarts;
	agent->init_started_ns = ready->init_started_ns;
	agent->listening_ns = ready->listening_ns;
	agent->modules_ns = ready->modules_ns;
	agent->init_held = ready->init_held;
	agent->own_root = ready->own_root;
	for (size_t i = 0; i < ready->n_requests; i++) {
		uint32_t code = ready->requests[i];

		if (code < 128)
			connection->serves[code / 64] |= UINT64_C(1) << code % 64;
	}
	connection->ready = true;
}

void agent_take_ready(struct provium_connection *connection, const Provium__V1__Message *message)
{
	struct provium_error refusal;

	switch (message->body_case) {
	case PROVIUM__V1__MESSAGE__BODY_READY:
		if (message->id == connection->auth_id)
			take_ready(connection, message->ready);
		else
			connection_lose(connection, PROVIUM_PROTOCOL, 0,
					"the agent sent READY with id %u instead of %u",
					message->id, connection->auth_id);
		break;
	case PROVIUM__V1__MESSAGE__BODY_ERROR:
		agent_error(&refusal, message->error, NULL);
		connection_lose(connection, refusal.code, 0, "the agent refused the connection: %s",
				refusal.message);
		break;
	default:
		connection_lose(connection, PROVIUM_PROTOCOL, 0,
				"the agent began with message %d instead of READY",
				(int)message->body_case);
	}
}

bool connection_serves(const struct provium_connection *connection, unsigned int code)
{
	return code < 128 && connection->serves[code / 64] >> code % 64 & 1;
}

const struct provium_agent *provium_connection_agent(const struct provium_connection *connection)
{
	return &connection->agent;
}

/* ------------------------------------------------------------------------------------------- */
/* PING, INFO, RELEASE_INIT, SHUTDOWN */

static enum request_verdict take_pong(struct request *request, const Provium__V1__Message *message)
{
	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_PONG)
		return request_unexpected(request, message);
	return REQUEST_FINAL;
}

int provium_ping(struct provium_connection *connection, int timeout_ms, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct request request = { .what = "ping", .on_message = take_pong };
	Provium__V1__Ping body = PROVIUM__V1__PING__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	message.body_case = PROVIUM__V1__MESSAGE__BODY_PING;
	message.ping = &body;
	return request_call(connection, &request, &message, &deadline, error);
}

struct info_request {
	struct request request;
	struct provium_info *info;
};

static enum request_verdict take_info(struct request *request, const Provium__V1__Message *message)
{
	struct provium_info *info = container_of(request, struct info_request, request)->info;
	const Provium__V1__InfoResult *result = message->info_result;

	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_INFO_RESULT)
		return request_unexpected(request, message);
	*info = (struct provium_info){
		.uptime_ns = result->uptime_ns,
		.memory_total = result->memory_total,
		.memory_free = result->memory_free,
		.resident_bytes = result->resident_bytes,
		.open_fds = result->open_fds,
		.connections = result->connections,
		.frames_received = result->frames_received,
		.frames_sent = result->frames_sent,
		.bytes_received = result->bytes_received,
		.bytes_sent = result->bytes_sent,
		.commands_running = result->commands_running,
		.commands_started = result->commands_started,
		.jobs = result->jobs,
		.workers = result->workers,
		.restarts = result->restarts,
		.queued_bytes = result->queued_bytes,
		.own_root = result->own_root,
	};
	return REQUEST_FINAL;
}

int provium_info(struct provium_connection *connection, int timeout_ms, struct provium_info *info,
		 struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct info_request info_request = {
		.request = { .what = "info", .on_message = take_info },
		.info = info,
	};
	Provium__V1__Info body = PROVIUM__V1__INFO__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	message.body_case = PROVIUM__V1__MESSAGE__BODY_INFO;
	message.info = &body;
	return request_call(connection, &info_request.request, &message, &deadline, error);
}

int provium_release_init(struct provium_connection *connection, int timeout_ms,
			 struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct request request = { .what = "release init", .on_message = request_take_ok };
	Provium__V1__ReleaseInit body = PROVIUM__V1__RELEASE_INIT__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	message.body_case = PROVIUM__V1__MESSAGE__BODY_RELEASE_INIT;
	message.release_init = &body;
	return request_call(connection, &request, &message, &deadline, error);
}

static enum request_verdict take_last_ready(struct request *request,
					    const Provium__V1__Message *message)
{
	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_READY)
		return request_unexpected(request, message);
	return REQUEST_FINAL;
}

static Provium__V1__Shutdown__Mode mode_of(enum provium_shutdown_mode mode)
{
	switch (mode) {
	case PROVIUM_REBOOT:
		return PROVIUM__V1__SHUTDOWN__MODE__REBOOT;
	case PROVIUM_HALT:
		return PROVIUM__V1__SHUTDOWN__MODE__HALT;
	case PROVIUM_PANIC:
		return PROVIUM__V1__SHUTDOWN__MODE__PANIC;
	case PROVIUM_POWER_OFF:
	default:
		return PROVIUM__V1__SHUTDOWN__MODE__POWER_OFF;
	}
}

int provium_shutdown(struct provium_connection *connection, enum provium_shutdown_mode mode,
		     bool sync, int timeout_ms, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct request request = { .what = "shutdown", .on_message = take_last_ready };
	Provium__V1__Shutdown body = PROVIUM__V1__SHUTDOWN__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	body.has_mode = true;
	body.mode = mode_of(mode);
	body.has_sync = true;
	body.sync = sync;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_SHUTDOWN;
	message.shutdown = &body;
	if (request_call(connection, &request, &message, &deadline, error) < 0)
		return -1;
	/* The agent waits for this end to be closed, so that it knows that its reply was read. */
	connection_lose(connection, PROVIUM_DISCONNECTED, 0, "the guest was told to shut down");
	connection_settle(connection);
	return 0;
}
