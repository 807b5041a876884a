/* EXEC. */
#include "agent/op_exec.h"

#include <stdlib.h>

#include "agent/connection.h"
#include "agent/exec_result.h"
#include "agent/ops.h"
#include "agent/reply.h"
#include "agent/session.h"

/* An EXEC in flight. */
struct exec {
	struct request request;
	struct command command;
};

static bool on_has_room(void *owner)
{
	const struct exec *exec = owner;

	return !connection_congested(exec->request.session->connection);
}

static void on_output(void *owner, enum child_output which, uint64_t offset, struct buffer *buffer,
		      size_t size)
{
	const struct exec *exec = owner;

	reply_output(exec->request.session, exec->request.id,
		     which == CHILD_STDOUT ? PROVIUM__V1__STREAM__STREAM_STDOUT
					   : PROVIUM__V1__STREAM__STREAM_STDERR,
		     offset, buffer, size);
}

static void on_ended(void *owner, const struct child_result *from)
{
	struct exec *exec = owner;
	struct session *session = exec->request.session;
	uint32_t id = exec->request.id;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ExecResult result;
	Provium__V1__Rusage usage;

	exec_result_fill(&result, &usage, from);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_EXEC_RESULT;
	message.exec_result = &result;

	request_end(&exec->request);
	reply_send(session, id, &message);
	free(exec);
}

static const struct child_events exec_events = {
	.has_room = on_has_room,
	.output = on_output,
	.ended = on_ended,
};

static void exec_cancel(struct request *request)
{
	child_kill(container_of(request, struct exec, request)->command.child, CHILD_CANCELLED);
}

static void exec_resume(struct request *request)
{
	child_resume(container_of(request, struct exec, request)->command.child);
}

static void exec_abandon(struct request *request)
{
	struct exec *exec = container_of(request, struct exec, request);

	child_abandon(exec->command.child);
	free(exec);
}

static const struct request_operations exec_operations = {
	.cancel = exec_cancel,
	.resume = exec_resume,
	.abandon = exec_abandon,
};

void op_exec(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	struct exec *exec = malloc(sizeof(*exec));

	if (!exec) {
		reply_error(session, id, ERROR_LIMIT, NULL, 0, "EXEC: no memory");
		return;
	}
	*exec = (struct exec){ .command = { .input_bytes = &session->input_bytes } };
	request_begin(&exec->request, session, id, PROVIUM__V1__MESSAGE__BODY_EXEC,
		      &exec_operations);
	if (!command_start(&exec->command, session, id, "EXEC", message->exec, &exec_events,
			   exec)) {
		request_end(&exec->request);
		free(exec);
	}
}

struct command *exec_find(const struct session *session, uint32_t id)
{
	struct request *request = session_find(session, id);

	if (!request || request->code != PROVIUM__V1__MESSAGE__BODY_EXEC)
		return NULL;
	return &container_of(request, struct exec, request)->command;
}
