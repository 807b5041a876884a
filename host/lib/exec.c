/* Commands: from EXEC to EXEC_RESULT. exec_stdin.c brings their input. */
#include "exec.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/cleanup.h"
#include "host/lib/control.h"
#include "host/lib/exec_message.h"

/* ------------------------------------------------------------------------------------------- */
/* What comes back */

static enum request_verdict take_output(struct provium_exec *exec,
					const Provium__V1__Output *output)
{
	int index = output_index(&exec->request, output);

	if (index < 0)
		return REQUEST_MORE;
	if (output->offset != exec->received[index])
		return request_broken(&exec->request,
				      "output at offset %" PRIu64 " where %" PRIu64 " was next",
				      output->offset, exec->received[index]);
	exec->received[index] += output->data.len;
	if (exec->on_output && output->data.len > 0)
		exec->on_output(exec->user, index == 0 ? PROVIUM_STDOUT : PROVIUM_STDERR,
				output->data.data, output->data.len);
	return REQUEST_MORE;
}

/* Whether all that the command wrote has come, as far as the result lets us tell. */
static bool is_complete(const struct provium_exec *exec, uint64_t received, uint64_t written,
			bool truncated)
{
	const struct provium_exec_result *result = &exec->result;

	if (truncated || result->pipes_held || result->outcome == PROVIUM_EXEC_CANCELLED)
		return received <= written;
	return received == written;
}

static enum request_verdict take_result(struct provium_exec *exec,
					const Provium__V1__Message *message)
{
	struct provium_exec_result *result = &exec->result;

	if (exec_result_take(&exec->request, message->exec_result, result) < 0)
		return REQUEST_MORE;
	if (message->n_kernel_events > 0) {
		result->first_kernel_event = message->kernel_events[0];
		result->last_kernel_event = message->kernel_events[message->n_kernel_events - 1];
	}
	if (!is_complete(exec, exec->received[0], result->stdout_bytes, result->stdout_truncated) ||
	    !is_complete(exec, exec->received[1], result->stderr_bytes, result->stderr_truncated))
		return request_broken(&exec->request,
				      "%" PRIu64 " and %" PRIu64
				      " bytes of output came, it wrote %" PRIu64 " and %" PRIu64,
				      exec->received[0], exec->received[1], result->stdout_bytes,
				      result->stderr_bytes);
	return REQUEST_FINAL;
}

static enum request_verdict on_message(struct request *request, const Provium__V1__Message *message)
{
	struct provium_exec *exec = container_of(request, struct provium_exec, request);

	switch (message->body_case) {
	case PROVIUM__V1__MESSAGE__BODY_OUTPUT:
		return take_output(exec, message->output);
	case PROVIUM__V1__MESSAGE__BODY_EXEC_RESULT:
		return take_result(exec, message);
	default:
		return request_unexpected(request, message);
	}
}

/* ------------------------------------------------------------------------------------------- */
/* Starting */

int provium_exec_start(struct provium_connection *connection,
		       const struct provium_exec_options *options, struct provium_exec **exec,
		       struct provium_error *error)
{
	cleanup(exec_body_finish) struct exec_body body;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	cleanup_free struct provium_exec *made = NULL;

	*exec = NULL;
	if (exec_body_init(&body, options, error) < 0)
		return -1;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_EXEC;
	message.exec = &body.message;

	made = calloc(1, sizeof(*made));
	if (!made)
		return error_set(error, PROVIUM_HOST, ENOMEM, "exec");
	strncpy(made->subject, exec_subject(options), sizeof(made->subject) - 1);
	made->on_output = options->on_output;
	made->user = options->user;
	made->has_stdin = options->stdin_kind == PROVIUM_STDIN_STREAM;
	made->request.what = "exec";
	made->request.subject = made->subject;
	made->request.on_message = on_message;
	made->request.error = &made->error;
	if (request_send(connection, &made->request, &message, error) < 0)
		return -1;
	*exec = steal_ptr(&made);
	return 0;
}

/* ------------------------------------------------------------------------------------------- */
/* While it runs */

bool provium_exec_done(const struct provium_exec *exec)
{
	return exec->request.state != REQUEST_IN_FLIGHT;
}

int exec_wait(struct provium_exec *exec, const struct deadline *deadline,
	      struct provium_exec_result *result, struct provium_error *error)
{
	if (request_wait(&exec->request, deadline, error) < 0)
		return -1;
	if (result)
		*result = exec->result;
	return 0;
}

int provium_exec_wait(struct provium_exec *exec, int timeout_ms, struct provium_exec_result *result,
		      struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);

	return exec_wait(exec, &deadline, result, error);
}

/* The target of a request about this command. -1: it has ended. */
static int exec_target(const struct provium_exec *exec, const char *what,
		       Provium__V1__Target *target, struct provium_error *error)
{
	if (provium_exec_done(exec))
		return error_set(error, PROVIUM_NOT_FOUND, 0, "%s: %s: the command has ended",
				 exec->subject, what);
	provium__v1__target__init(target);
	target->target_case = PROVIUM__V1__TARGET__TARGET_REQUEST;
	target->request = exec->request.id;
	return 0;
}

int provium_exec_signal(struct provium_exec *exec, int signal, bool group, int timeout_ms,
			struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	Provium__V1__Target target;

	if (exec_target(exec, "signal", &target, error) < 0)
		return -1;
	return control_signal(exec->request.connection, &target, exec->subject, signal, group,
			      &deadline, error);
}

int provium_exec_resize(struct provium_exec *exec, unsigned int rows, unsigned int cols,
			int timeout_ms, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	Provium__V1__Target target;

	if (exec_target(exec, "resize", &target, error) < 0)
		return -1;
	return control_resize(exec->request.connection, &target, exec->subject, rows, cols,
			      &deadline, error);
}

int provium_exec_cancel(struct provium_exec *exec, struct provium_error *error)
{
	return request_cancel(&exec->request, error);
}

void provium_exec_free(struct provium_exec *exec)
{
	if (!exec)
		return;
	exec_forget_stdin(exec);
	request_abandon(&exec->request);
	free(exec);
}
