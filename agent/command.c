#include "command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/exec_plan.h"
#include "agent/os.h"
#include "agent/reply.h"
#include "agent/session.h"
#include "agent/statx.h"
#include "common/cleanup.h"
#include "common/util.h"

/* Input that its command has not taken yet: an Exec's own, or that of a STDIN in flight. */
struct input {
	struct child_input piece;
	struct command *command;
	/* Its session is NULL where nobody waits for an answer (any more). */
	struct request request;
	uint8_t data[];
};

/* A command that does not read all of the input that came with it does what it does. */
static void answer(struct input *input, int error)
{
	struct session *session = input->request.session;
	uint32_t id = input->request.id;

	if (!session)
		return;
	request_end(&input->request);
	if (error)
		reply_os_error(session, id, "write", error, "STDIN: the command does not read it");
	else
		reply_ok_bytes(session, id, input->piece.size);
}

static void on_input_done(struct child_input *piece, int error)
{
	struct input *input = container_of(piece, struct input, piece);
	struct command *command = input->command;

	command->stdin_unanswered -= piece->size;
	*command->input_bytes -= piece->size;
	answer(input, error);
	free(input);
}

/* The input is its command's, which takes it or ends it. */
static void stdin_abandon(struct request *request)
{
	request->session = NULL;
}

static const struct request_operations stdin_operations = {
	.abandon = stdin_abandon,
};

/* NULL: too much is held already, or no memory. */
static struct input *input_create(struct command *command, const ProtobufCBinaryData *data,
				  bool eof)
{
	struct input *input;

	if (data->len > SESSION_MAX_INPUT - *command->input_bytes)
		return NULL;
	input = malloc(sizeof(*input) + data->len);
	if (!input)
		return NULL;
	*input = (struct input){
		.piece = { .data = input->data,
			   .size = data->len,
			   .eof = eof,
			   .done = on_input_done },
		.command = command,
	};
	list_init(&input->piece.link);
	if (data->len)
		memcpy(input->data, data->data, data->len);
	command->stdin_unanswered += data->len;
	*command->input_bytes += data->len;
	return input;
}

static void input_write(struct input *input)
{
	if (!child_write(input->command->child, &input->piece))
		on_input_done(&input->piece, EPIPE);
}

static void reply_input_limit(struct session *session, uint32_t id, const char *name,
			      const char *field)
{
	reply_error(session, id, ERROR_LIMIT, NULL, 0,
		    "%s: %s: no memory, or more than %zu bytes are held for commands", name, field,
		    SESSION_MAX_INPUT);
}

/* A person's words for why a program could not be executed. */
static void reply_not_executed(struct session *session, uint32_t id, const char *name,
			       const struct child_options *options, int error)
{
	const char *program = options->argv[0];
	struct statx status;
	bool is_there;

	if (options->search_path && error == ENOENT) {
		reply_os_error(session, id, "execve", error,
			       "%s: no program \"%.200s\" in PATH (%.150s)", name, program,
			       options->search_path);
		return;
	}
	/* A relative path starts at the command's directory, which is not ours. */
	is_there = !options->search_path && program[0] == '/' &&
		   os_statx(AT_FDCWD, program, 0, STATX_TYPE, &status) == 0;
	if (is_there && S_ISDIR(status.stx_mode))
		reply_os_error(session, id, "execve", error, "%s: \"%.250s\" is a directory", name,
			       program);
	else if (is_there && error == ENOENT)
		reply_os_error(session, id, "execve", error,
			       "%s: the interpreter of \"%.250s\" is missing", name, program);
	else
		reply_os_error(session, id, "execve", error, "%s: cannot execute \"%.250s\"", name,
			       program);
}

static void reply_not_started(struct session *session, uint32_t id, const char *name,
			      const struct child_options *options,
			      const struct spawn_result *failure)
{
	switch (failure->step) {
	case SPAWN_EXECVE:
		reply_not_executed(session, id, name, options, failure->error);
		return;
	case SPAWN_CHDIR:
		reply_os_error(session, id, "chdir", failure->error,
			       "%s: cannot start in \"%.250s\"", name, options->cwd);
		return;
	default:
		reply_os_error(session, id, spawn_step_name(failure->step), failure->error,
			       "%s: cannot start a process", name);
		return;
	}
}

static Provium__V1__StdinKind stdin_kind(const Provium__V1__Exec *exec)
{
	if (exec->has_stdin_kind)
		return exec->stdin_kind;
	return exec->has_input ? PROVIUM__V1__STDIN_KIND__STDIN_BYTES
			       : PROVIUM__V1__STDIN_KIND__STDIN_NONE;
}

/* Takes the input over. */
static bool start(struct command *command, struct session *session, uint32_t id, const char *name,
		  const struct child_options *options, struct input *input,
		  const struct child_events *events, void *owner)
{
	struct spawn_result failure;

	command->child = child_start(session->loop, options, events, owner, &failure);
	if (!command->child) {
		if (input)
			on_input_done(&input->piece, ECANCELED);
		reply_not_started(session, id, name, options, &failure);
		return false;
	}
	command->pid = failure.pid;
	if (input)
		input_write(input);
	return true;
}

bool command_start(struct command *command, struct session *session, uint32_t id, const char *name,
		   const Provium__V1__Exec *exec, const struct child_events *events, void *owner)
{
	static const ProtobufCBinaryData nothing;
	Provium__V1__StdinKind kind = stdin_kind(exec);
	cleanup(exec_plan_finish) struct exec_plan plan = { 0 };
	struct check_failure invalid;
	struct input *input = NULL;

	if (exec->has_input && kind != PROVIUM__V1__STDIN_KIND__STDIN_BYTES) {
		reply_error(session, id, ERROR_INVALID, NULL, 0, "%s: input: only with STDIN_BYTES",
			    name);
		return false;
	}
	if (!exec_plan_make(&plan, exec, environ, &invalid)) {
		reply_error(session, id, invalid.code, NULL, 0, "%s: %s", name, invalid.text);
		return false;
	}
	command->takes_stdin = kind == PROVIUM__V1__STDIN_KIND__STDIN_STREAM;
	if (kind == PROVIUM__V1__STDIN_KIND__STDIN_BYTES) {
		input = input_create(command, exec->has_input ? &exec->input : &nothing, true);
		if (!input) {
			reply_input_limit(session, id, name, "input");
			return false;
		}
	}
	plan.options.stdin_pipe = input || command->takes_stdin;
	if (command->unlimited_output)
		plan.options.output_limit = UINT64_MAX;
	return start(command, session, id, name, &plan.options, input, events, owner);
}

void command_stdin(struct command *command, struct session *session, uint32_t id,
		   const Provium__V1__Stdin *data)
{
	struct input *input;

	if (!command->takes_stdin || command->stdin_ended) {
		reply_error(session, id, ERROR_INVALID, NULL, 0,
			    command->takes_stdin
				    ? "STDIN: the end has been sent already"
				    : "STDIN: the command was not started with STDIN_STREAM");
		return;
	}
	if (data->data.len > PROVIUM_STDIN_WINDOW - command->stdin_unanswered) {
		reply_error(session, id, ERROR_LIMIT, NULL, 0,
			    "STDIN: more than %u bytes would be unanswered", PROVIUM_STDIN_WINDOW);
		return;
	}
	input = input_create(command, &data->data, data->eof);
	if (!input) {
		reply_input_limit(session, id, "STDIN", "data");
		return;
	}
	command->stdin_ended = data->eof;
	request_begin(&input->request, session, id, PROVIUM__V1__MESSAGE__BODY_STDIN_DATA,
		      &stdin_operations);
	input_write(input);
}
