/* Commands: from EXEC to EXEC_RESULT. exec_stdin.c brings their input. */
#include "exec.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/cleanup.h"

/* ------------------------------------------------------------------------------------------- */
/* What comes back */

static enum request_verdict take_output(struct provium_exec *exec,
					const Provium__V1__Output *output)
{
	size_t index;

	if (output->stream == PROVIUM__V1__STREAM__STREAM_STDOUT)
		index = 0;
	else if (output->stream == PROVIUM__V1__STREAM__STREAM_STDERR)
		index = 1;
	else
		return request_broken(&exec->request, "output of stream %d", (int)output->stream);
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
					const Provium__V1__ExecResult *message)
{
	const Provium__V1__Rusage *rusage = message->rusage;
	struct provium_exec_result *result = &exec->result;

	*result = (struct provium_exec_result){
		.exit_code = (int)message->exit_code,
		.signal = (int)message->signal,
		.core_dumped = message->core_dumped,
		.pid = message->pid,
		.wall_ns = message->wall_ns,
		.user_us = rusage->user_us,
		.system_us = rusage->system_us,
		.max_rss_kib = rusage->max_rss_kib,
		.minor_faults = rusage->minor_faults,
		.major_faults = rusage->major_faults,
		.voluntary_switches = rusage->voluntary_switches,
		.involuntary_switches = rusage->involuntary_switches,
		.stdout_bytes = message->stdout_bytes,
		.stderr_bytes = message->stderr_bytes,
		.stdout_truncated = message->stdout_truncated,
		.stderr_truncated = message->stderr_truncated,
		.pipes_held = message->pipes_held,
	};
	switch (message->outcome) {
	case PROVIUM__V1__OUTCOME__OUTCOME_EXITED:
		result->outcome = PROVIUM_EXITED;
		break;
	case PROVIUM__V1__OUTCOME__OUTCOME_SIGNALLED:
		result->outcome = PROVIUM_SIGNALLED;
		break;
	case PROVIUM__V1__OUTCOME__OUTCOME_TIMED_OUT:
		result->outcome = PROVIUM_EXEC_TIMED_OUT;
		break;
	case PROVIUM__V1__OUTCOME__OUTCOME_CANCELLED:
		result->outcome = PROVIUM_EXEC_CANCELLED;
		break;
	default:
		return request_broken(&exec->request, "outcome %d", (int)message->outcome);
	}
	if (result->outcome == PROVIUM_EXITED &&
	    (!message->has_exit_code || message->exit_code > 255))
		return request_broken(&exec->request, "exit code %" PRIu32, message->exit_code);
	/* 127 is the most that a wait status can hold (wait(2)). */
	if (message->signal > 127 || (result->outcome == PROVIUM_SIGNALLED && message->signal == 0))
		return request_broken(&exec->request, "signal %" PRIu32, message->signal);
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
		return take_result(exec, message->exec_result);
	default:
		return request_unexpected(request, message);
	}
}

/* ------------------------------------------------------------------------------------------- */
/* Starting */

static ProtobufCBinaryData bytes_of(const char *text)
{
	return (ProtobufCBinaryData){ .len = strlen(text), .data = (uint8_t *)text };
}

/* A NULL-terminated list as a repeated field; *field is to be freed. */
static int list_field(const char *const *list, ProtobufCBinaryData **field, size_t *count,
		      struct provium_error *error)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	*field = calloc(n + 1, sizeof(**field));
	if (!*field)
		return error_set(error, PROVIUM_HOST, ENOMEM, "exec");
	for (size_t i = 0; i < n; i++)
		(*field)[i] = bytes_of(list[i]);
	*count = n;
	return 0;
}

static int check_options(const struct provium_exec_options *options, struct provium_error *error)
{
	if (!options->argv == !options->shell)
		return error_set(error, PROVIUM_INVALID, 0,
				 "exec: give either a program (argv) or a line for the shell");
	if (options->argv && (!options->argv[0] || !*options->argv[0]))
		return error_set(error, PROVIUM_INVALID, 0, "exec: the program's name is empty");
	for (size_t i = 0; options->env && options->env[i]; i++) {
		const char *equals = strchr(options->env[i], '=');

		if (!equals || equals == options->env[i])
			return error_set(error, PROVIUM_INVALID, 0,
					 "exec: \"%s\" is not NAME=VALUE", options->env[i]);
	}
	if (options->stdin_kind == PROVIUM_STDIN_STREAM && options->input_size > 0)
		return error_set(error, PROVIUM_INVALID, 0,
				 "exec: standard input is either given as a whole or streamed");
	return 0;
}

static void fill_body(const struct provium_exec_options *options, uint64_t output_limit,
		      Provium__V1__Exec *body)
{
	if (options->shell) {
		body->has_shell = true;
		body->shell = bytes_of(options->shell);
	}
	body->has_clear_env = options->clear_env;
	body->clear_env = options->clear_env;
	if (options->cwd) {
		body->has_cwd = true;
		body->cwd = bytes_of(options->cwd);
	}
	if (options->stdin_kind == PROVIUM_STDIN_STREAM) {
		body->has_stdin_kind = true;
		body->stdin_kind = PROVIUM__V1__STDIN_KIND__STDIN_STREAM;
	} else if (options->input_size > 0) {
		body->has_input = true;
		body->input.data = (uint8_t *)options->input;
		body->input.len = options->input_size;
	}
	body->has_merge_stderr = options->merge_stderr;
	body->merge_stderr = options->merge_stderr;
	body->has_timeout_ms = options->timeout_ms > 0;
	body->timeout_ms = options->timeout_ms;
	body->has_output_limit = output_limit > 0;
	body->output_limit = output_limit;
}

int exec_start(struct provium_connection *connection, const struct provium_exec_options *options,
	       uint64_t output_limit, struct provium_exec **exec, struct provium_error *error)
{
	Provium__V1__Exec body = PROVIUM__V1__EXEC__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	cleanup_free ProtobufCBinaryData *argv = NULL;
	cleanup_free ProtobufCBinaryData *env = NULL;
	cleanup_free struct provium_exec *made = NULL;

	*exec = NULL;
	if (check_options(options, error) < 0 ||
	    list_field(options->argv, &argv, &body.n_argv, error) < 0 ||
	    list_field(options->env, &env, &body.n_env, error) < 0)
		return -1;
	body.argv = argv;
	body.env = env;
	fill_body(options, output_limit, &body);
	message.body_case = PROVIUM__V1__MESSAGE__BODY_EXEC;
	message.exec = &body;

	made = calloc(1, sizeof(*made));
	if (!made)
		return error_set(error, PROVIUM_HOST, ENOMEM, "exec");
	strncpy(made->subject, options->shell ? options->shell : options->argv[0],
		sizeof(made->subject) - 1);
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

int provium_exec_start(struct provium_connection *connection,
		       const struct provium_exec_options *options, struct provium_exec **exec,
		       struct provium_error *error)
{
	return exec_start(connection, options, 0, exec, error);
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

static enum request_verdict take_ok(struct request *request, const Provium__V1__Message *message)
{
	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_OK)
		return request_unexpected(request, message);
	return REQUEST_FINAL;
}

int provium_exec_signal(struct provium_exec *exec, int signal, bool group, int timeout_ms,
			struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct request request = { .what = "signal",
				   .subject = exec->subject,
				   .on_message = take_ok };
	Provium__V1__Target target = PROVIUM__V1__TARGET__INIT;
	Provium__V1__Signal body = PROVIUM__V1__SIGNAL__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	if (signal < 0)
		return error_set(error, PROVIUM_INVALID, 0, "signal: there is no signal %d",
				 signal);
	if (provium_exec_done(exec))
		return error_set(error, PROVIUM_NOT_FOUND, 0, "%s: signal: the command has ended",
				 exec->subject);
	target.target_case = PROVIUM__V1__TARGET__TARGET_REQUEST;
	target.request = exec->request.id;
	body.target = &target;
	body.has_signal = true;
	body.signal = (uint32_t)signal;
	body.has_group = group;
	body.group = group;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_SIGNAL;
	message.signal = &body;
	return request_call(exec->request.connection, &request, &message, &deadline, error);
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
