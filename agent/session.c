#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/auth.h"
#include "agent/connection.h"
#include "agent/dispatch.h"
#include "agent/kmsg.h"
#include "agent/log.h"
#include "agent/op_worker.h"
#include "agent/reply.h"
#include "agent/turn.h"

static void on_frame(void *owner, const uint8_t *body, uint32_t length)
{
	dispatch_frame(owner, body, length);
}

static void on_bad_length(void *owner, uint32_t length)
{
	const struct session *session = owner;
	char text[96];

	if (length == 0)
		snprintf(text, sizeof(text), "frame of length 0");
	else
		snprintf(text, sizeof(text), "frame of %u bytes; at most %u are allowed", length,
			 session->authorised ? PROVIUM_MAX_FRAME : AUTH_MAX_FRAME);
	session_refuse(owner, ERROR_INVALID, text);
}

static void on_drained(void *owner)
{
	struct session *session = owner;
	struct request *request;

	list_for_each(request, &session->requests, link)
		if (request->operations->resume)
			request->operations->resume(request);
	if (session->authorised)
		kmsg_catch_up(session);
	turn_next(session);
}

static void on_ended(void *owner, size_t cut_bytes)
{
	struct session *session = owner;

	if (session->request_count > 0)
		log_info("connection ended with %u requests in flight", session->request_count);
	session_abandon_requests(session);
	if (cut_bytes > 0)
		reply_error(session, 0, ERROR_INVALID, NULL, 0,
			    "the connection ended inside a frame, after %zu bytes of it",
			    cut_bytes);
}

static void on_closed(void *owner)
{
	struct session *session = owner;

	session_abandon_requests(session);
	auth_end(session);
	if (session->shutting_down)
		session->loop->power_due = true;
	list_remove(&session->link);
	free(session);
}

static const struct connection_events session_events = {
	.frame = on_frame,
	.bad_length = on_bad_length,
	.drained = on_drained,
	.ended = on_ended,
	.closed = on_closed,
};

void session_start(struct loop *loop, int fd)
{
	struct session *session = malloc(sizeof(*session));

	if (!session) {
		log_error("no memory for a connection");
		close(fd);
		return;
	}
	*session = (struct session){ .loop = loop };
	list_init(&session->link);
	list_init(&session->requests);
	turn_init(session);
	session->connection = connection_create(loop, fd, &session_events, session);
	if (!session->connection) {
		log_error("no memory for a connection");
		free(session);
		return;
	}
	auth_begin(session);
}

void session_admit(struct session *session)
{
	list_append(&session->loop->sessions, &session->link);
	workers_tell(session->loop);
	kmsg_greet(session);
}

void request_begin(struct request *request, struct session *session, uint32_t id, uint32_t code,
		   const struct request_operations *operations)
{
	request->session = session;
	request->id = id;
	request->code = code;
	request->operations = operations;
	request->kernel_from = kmsg_begun(session->loop);
	list_append(&session->requests, &request->link);
	session->request_count++;
}

void request_end(struct request *request)
{
	struct session *session = request->session;

	if (list_empty(&request->link))
		return;
	list_remove(&request->link);
	session->request_count--;
	session->ended_id = request->id;
	session->ended_from = request->kernel_from;
	if (session->turn == request) {
		session->turn = NULL;
		turn_next(session);
	}
	if (session->request_count == 0)
		buffer_pool_trim(&session->loop->pool);
}

struct request *session_find(const struct session *session, uint32_t id)
{
	struct request *request;

	list_for_each(request, &session->requests, link)
		if (request->id == id)
			return request;
	return NULL;
}

void session_abandon_requests(struct session *session)
{
	turn_drop_all(session);
	while (!list_empty(&session->requests)) {
		struct request *request =
			container_of(session->requests.next, struct request, link);

		request_end(request);
		request->operations->abandon(request);
	}
}

void session_refuse(struct session *session, int code, const char *text)
{
	log_info("connection refused: %s", text);
	reply_error(session, 0, code, NULL, 0, "%s", text);
	session_abandon_requests(session);
	connection_finish(session->connection, CLOSING_LINGER);
}
