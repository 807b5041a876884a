/* EXEC, STDIN, SIGNAL. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/child.h"
#include "agent/connection.h"
#include "agent/exec_plan.h"
#include "agent/ops.h"
#include "agent/reply.h"
#include "agent/session.h"
#include "common/cleanup.h"
#include "common/util.h"

/* An EXEC in flight. */
struct command {
	struct request request;
	struct child *child;
	bool takes_stdin;
	/* The end of its standard input has been sent. */
	bool stdin_ended;
	/* Bytes of STDIN that are unanswered. */
	size_t stdin_unanswered;
};

/* Input that its command has not taken yet: an EXEC's own, or that of a STDIN in flight. */
struct input {
	struct child_input piece;
	struct session *session;
	/* NULL: it came with the EXEC, or its command has ended. */
	struct command *command;
	/* Of a STDIN. */
	struct request request;
	uint8_t data[];
};

static void input_free(struct input *input)
{
	input->session->input_bytes -= input->piece.size;
	free(input);
}

static void on_exec_input_done(struct child_input *piece, int error)
{
	/* A command that does not read all of its input does what it does. */
	(void)error;
	input_free(container_of(piece, struct input, piece));
}

static void on_stdin_done(struct child_input *piece, int error)
{
	struct input *input = container_of(piece, struct input, piece);
	uint32_t id = input->request.id;

	input->command->stdin_unanswered -= piece->size;
	request_end(&input->request);
	if (error)
		reply_os_error(input->session, id, "write", error,
			       "STDIN: the command does not read it");
	else
		reply_ok_bytes(input->session, id, piece->size);
	input_free(input);
}

/* NULL: too much is held already, or no memory. */
static struct input *input_create(struct session *session, struct command *command,
				  const ProtobufCBinaryData *data, bool eof)
{
	struct input *input;

	if (data->len > SESSION_MAX_INPUT - session->input_bytes)
		return NULL;
	input = malloc(sizeof(*input) + data->len);
	if (!input)
		return NULL;
	*input = (struct input){
		.piece = { .data = input->data, .size = data->len, .eof = eof },
		.session = session,
		.command = command,
	};
	list_init(&input->piece.link);
	list_init(&input->request.link);
	if (data->len)
		memcpy(input->data, data->data, data->len);
	session->input_bytes += data->len;
	return input;
}

static bool on_has_room(void *owner)
{
	const struct command *command = owner;

	return !connection_congested(command->request.session->connection);
}

static void on_output(void *owner, enum child_output which, uint64_t offset, struct buffer *buffer,
		      size_t size)
{
	const struct command *command = owner;

	reply_output(command->request.session, command->request.id,
		     which == CHILD_STDOUT ? PROVIUM__V1__STREAM__STREAM_STDOUT
					   : PROVIUM__V1__STREAM__STREAM_STDERR,
		     offset, buffer, size);
}

static uint64_t microseconds(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * 1000000u + (uint64_t)time->tv_usec;
}

static void fill_usage(Provium__V1__Rusage *usage, const struct rusage *from)
{
	usage->user_us = microseconds(&from->ru_utime);
	usage->system_us = microseconds(&from->ru_stime);
	usage->max_rss_kib = (uint64_t)from->ru_maxrss;
	usage->minor_faults = (uint64_t)from->ru_minflt;
	usage->major_faults = (uint64_t)from->ru_majflt;
	usage->voluntary_switches = (uint64_t)from->ru_nvcsw;
	usage->involuntary_switches = (uint64_t)from->ru_nivcsw;
}

static void fill_outcome(Provium__V1__ExecResult *result, const struct child_result *from)
{
	switch (from->code) {
	case CLD_EXITED:
		result->outcome = PROVIUM__V1__OUTCOME__OUTCOME_EXITED;
		result->has_exit_code = true;
		result->exit_code = (uint32_t)from->status;
		break;
	case CLD_KILLED:
	case CLD_DUMPED:
		result->outcome = PROVIUM__V1__OUTCOME__OUTCOME_SIGNALLED;
		result->has_signal = true;
		result->signal = (uint32_t)from->status;
		result->has_core_dumped = from->code == CLD_DUMPED;
		result->core_dumped = from->code == CLD_DUMPED;
		break;
	default:
		/* Its status is gone: it has exited, nobody knows how. */
		result->outcome = PROVIUM__V1__OUTCOME__OUTCOME_EXITED;
		break;
	}
	if (from->end == CHILD_TIMED_OUT)
		result->outcome = PROVIUM__V1__OUTCOME__OUTCOME_TIMED_OUT;
	else if (from->end == CHILD_CANCELLED)
		result->outcome = PROVIUM__V1__OUTCOME__OUTCOME_CANCELLED;
}

static void on_ended(void *owner, const struct child_result *from)
{
	struct command *command = owner;
	struct session *session = command->request.session;
	uint32_t id = command->request.id;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__ExecResult result = PROVIUM__V1__EXEC_RESULT__INIT;
	Provium__V1__Rusage usage = PROVIUM__V1__RUSAGE__INIT;

	fill_outcome(&result, from);
	fill_usage(&usage, &from->usage);
	result.rusage = &usage;
	result.pid = from->pid;
	result.wall_ns = from->wall_ns;
	result.stdout_bytes = from->bytes[CHILD_STDOUT];
	result.stderr_bytes = from->bytes[CHILD_STDERR];
	result.has_stdout_truncated = from->truncated[CHILD_STDOUT];
	result.stdout_truncated = from->truncated[CHILD_STDOUT];
	result.has_stderr_truncated = from->truncated[CHILD_STDERR];
	result.stderr_truncated = from->truncated[CHILD_STDERR];
	result.has_pipes_held = from->pipes_held;
	result.pipes_held = from->pipes_held;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_EXEC_RESULT;
	message.exec_result = &result;

	request_end(&command->request);
	reply_send(session, id, &message);
	free(command);
}

static const struct child_events child_events = {
	.has_room = on_has_room,
	.output = on_output,
	.ended = on_ended,
};

static void command_cancel(struct request *request)
{
	child_kill(container_of(request, struct command, request)->child, CHILD_CANCELLED);
}

static void command_resume(struct request *request)
{
	child_resume(container_of(request, struct command, request)->child);
}

static void command_abandon(struct request *request)
{
	struct command *command = container_of(request, struct command, request);

	child_abandon(command->child);
	free(command);
}

static const struct request_operations command_operations = {
	.cancel = command_cancel,
	.resume = command_resume,
	.abandon = command_abandon,
};

/* Its command has it, and ends it with its own end. */
static void stdin_abandon(struct request *request)
{
	(void)request;
}

static const struct request_operations stdin_operations = {
	.abandon = stdin_abandon,
};

/* A person's words for why a program could not be executed. */
static void reply_not_executed(struct session *session, uint32_t id,
			       const struct child_options *options, int error)
{
	const char *program = options->argv[0];
	struct stat status;
	bool is_there;

	if (options->search_path && error == ENOENT) {
		reply_os_error(session, id, "execve", error,
			       "EXEC: no program \"%.200s\" in PATH (%.150s)", program,
			       options->search_path);
		return;
	}
	/* A relative path starts at the command's directory, which is not ours. */
	is_there = !options->search_path && program[0] == '/' && stat(program, &status) == 0;
	if (is_there && S_ISDIR(status.st_mode))
		reply_os_error(session, id, "execve", error, "EXEC: \"%.250s\" is a directory",
			       program);
	else if (is_there && error == ENOENT)
		reply_os_error(session, id, "execve", error,
			       "EXEC: the interpreter of \"%.250s\" is missing", program);
	else
		reply_os_error(session, id, "execve", error, "EXEC: cannot execute \"%.250s\"",
			       program);
}

static void reply_not_started(struct session *session, uint32_t id,
			      const struct child_options *options,
			      const struct spawn_result *failure)
{
	switch (failure->step) {
	case SPAWN_EXECVE:
		reply_not_executed(session, id, options, failure->error);
		return;
	case SPAWN_CHDIR:
		reply_os_error(session, id, "chdir", failure->error,
			       "EXEC: cannot start in \"%.250s\"", options->cwd);
		return;
	default:
		reply_os_error(session, id, spawn_step_name(failure->step), failure->error,
			       "EXEC: cannot start a process");
		return;
	}
}

/* Gives the command the input that came with the request. False: there is no room for it. */
static bool start_input(struct command *command, const Provium__V1__Exec *exec,
			struct input **input)
{
	static const ProtobufCBinaryData nothing;

	*input = NULL;
	if (exec->has_stdin_kind && exec->stdin_kind != PROVIUM__V1__STDIN_KIND__STDIN_BYTES)
		return true;
	if (!exec->has_stdin_kind && !exec->has_input)
		return true;
	*input = input_create(command->request.session, NULL,
			      exec->has_input ? &exec->input : &nothing, true);
	if (!*input)
		return false;
	(*input)->piece.done = on_exec_input_done;
	return true;
}

static struct command *command_create(struct session *session, uint32_t id,
				      const Provium__V1__Exec *exec)
{
	struct command *command = malloc(sizeof(*command));

	if (!command) {
		reply_error(session, id, ERROR_LIMIT, NULL, 0, "EXEC: no memory");
		return NULL;
	}
	*command = (struct command){
		.takes_stdin = exec->has_stdin_kind &&
			       exec->stdin_kind == PROVIUM__V1__STDIN_KIND__STDIN_STREAM,
	};
	request_begin(&command->request, session, id, PROVIUM__V1__MESSAGE__BODY_EXEC,
		      &command_operations);
	return command;
}

/* False: it has been answered. */
static bool command_start(struct command *command, const Provium__V1__Exec *exec)
{
	struct session *session = command->request.session;
	uint32_t id = command->request.id;
	cleanup(exec_plan_finish) struct exec_plan plan;
	struct check_failure invalid;
	struct spawn_result failure;
	struct input *input;

	if (!exec_plan_make(&plan, exec, environ, &invalid)) {
		reply_error(session, id, invalid.code, NULL, 0, "EXEC: %s", invalid.text);
		return false;
	}
	if (!start_input(command, exec, &input)) {
		reply_error(session, id, ERROR_LIMIT, NULL, 0,
			    "EXEC: input: more than %zu bytes are held for commands",
			    SESSION_MAX_INPUT);
		return false;
	}
	plan.options.stdin_pipe = input || command->takes_stdin;
	command->child =
		child_start(session->loop, &plan.options, &child_events, command, &failure);
	if (!command->child) {
		if (input)
			input_free(input);
		reply_not_started(session, id, &plan.options, &failure);
		return false;
	}
	if (input)
		child_write(command->child, &input->piece);
	return true;
}

void op_exec(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__Exec *exec = message->exec;
	struct command *command;

	if (exec->has_input && exec->has_stdin_kind &&
	    exec->stdin_kind != PROVIUM__V1__STDIN_KIND__STDIN_BYTES) {
		reply_error(session, id, ERROR_INVALID, NULL, 0,
			    "EXEC: input: only with STDIN_BYTES");
		return;
	}
	command = command_create(session, id, exec);
	if (!command)
		return;
	if (!command_start(command, exec)) {
		request_end(&command->request);
		free(command);
	}
}

/* The command that a request is for. NULL: there is none, which has been answered. */
static struct command *find_target(struct session *session, uint32_t id, const char *name,
				   const Provium__V1__Target *target)
{
	struct request *request;

	switch (target->target_case) {
	case PROVIUM__V1__TARGET__TARGET_REQUEST:
		break;
	case PROVIUM__V1__TARGET__TARGET_JOB:
	case PROVIUM__V1__TARGET__TARGET_JOB_NAME:
		reply_error(session, id, ERROR_UNSUPPORTED, NULL, 0,
			    "%s: target: jobs are not served by this agent", name);
		return NULL;
	default:
		/* The rules want one. */
		return NULL;
	}
	request = session_find(session, target->request);
	if (!request || request->code != PROVIUM__V1__MESSAGE__BODY_EXEC) {
		reply_error(session, id, ERROR_NOT_FOUND, NULL, 0,
			    "%s: no command with id %u is in flight", name, target->request);
		return NULL;
	}
	return container_of(request, struct command, request);
}

static void stdin_begin(struct command *command, uint32_t id, struct input *input)
{
	struct session *session = command->request.session;
	size_t size = input->piece.size;

	command->stdin_unanswered += size;
	command->stdin_ended = input->piece.eof;
	input->piece.done = on_stdin_done;
	request_begin(&input->request, session, id, PROVIUM__V1__MESSAGE__BODY_STDIN_DATA,
		      &stdin_operations);
	if (!child_write(command->child, &input->piece))
		on_stdin_done(&input->piece, EPIPE);
}

void op_stdin(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__Stdin *stdin_data = message->stdin_data;
	struct command *command = find_target(session, id, "STDIN", stdin_data->target);
	struct input *input;

	if (!command)
		return;
	if (!command->takes_stdin || command->stdin_ended) {
		reply_error(session, id, ERROR_INVALID, NULL, 0,
			    command->takes_stdin
				    ? "STDIN: the end has been sent already"
				    : "STDIN: the command was not started with STDIN_STREAM");
		return;
	}
	if (stdin_data->data.len > PROVIUM_STDIN_WINDOW - command->stdin_unanswered) {
		reply_error(session, id, ERROR_LIMIT, NULL, 0,
			    "STDIN: more than %u bytes would be unanswered", PROVIUM_STDIN_WINDOW);
		return;
	}
	input = input_create(session, command, &stdin_data->data, stdin_data->eof);
	if (!input) {
		reply_error(session, id, ERROR_LIMIT, NULL, 0,
			    "STDIN: more than %zu bytes are held for commands", SESSION_MAX_INPUT);
		return;
	}
	stdin_begin(command, id, input);
}

void op_signal(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__Signal *request = message->signal;
	struct command *command = find_target(session, id, "SIGNAL", request->target);
	int error;

	if (!command)
		return;
	error = child_signal(command->child, (int)request->signal, request->group);
	if (error)
		reply_os_error(session, id, request->group ? "kill" : "pidfd_send_signal", error,
			       "SIGNAL: cannot send signal %u", request->signal);
	else
		reply_ok(session, id);
}
