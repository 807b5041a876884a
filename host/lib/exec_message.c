#include "exec_message.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/cleanup.h"
#include "host/lib/control.h"

/* ------------------------------------------------------------------------------------------- */
/* Options */

static int check_environment(const char *const *env, struct provium_error *error)
{
	for (size_t i = 0; env && env[i]; i++) {
		const char *equals = strchr(env[i], '=');

		if (!equals || equals == env[i])
			return error_set(error, PROVIUM_INVALID, 0,
					 "exec: \"%s\" is not NAME=VALUE", env[i]);
	}
	return 0;
}

static int check_rlimits(const struct provium_exec_options *options, struct provium_error *error)
{
	for (size_t i = 0; i < options->n_rlimits; i++) {
		if (options->rlimits[i].soft > options->rlimits[i].hard)
			return error_set(error, PROVIUM_INVALID, 0,
					 "exec: resource limit %" PRIu32
					 ": the soft limit is above the hard one",
					 options->rlimits[i].resource);
	}
	return 0;
}

static int check_terminal(const struct provium_exec_options *options, struct provium_error *error)
{
	if (!options->pty && (options->rows || options->cols || options->term))
		return error_set(error, PROVIUM_INVALID, 0,
				 "exec: rows, cols and term are of a pty, and there is none");
	if (options->rows > TERMINAL_MAX_SIZE || options->cols > TERMINAL_MAX_SIZE)
		return error_set(error, PROVIUM_INVALID, 0,
				 "exec: a terminal has at most %d rows and columns",
				 TERMINAL_MAX_SIZE);
	return 0;
}

static int check_options(const struct provium_exec_options *options, struct provium_error *error)
{
	if (!options->argv == !options->shell)
		return error_set(error, PROVIUM_INVALID, 0,
				 "exec: give either a program (argv) or a line for the shell");
	if (options->argv && (!options->argv[0] || !*options->argv[0]))
		return error_set(error, PROVIUM_INVALID, 0, "exec: the program's name is empty");
	if (options->stdin_kind == PROVIUM_STDIN_STREAM && options->input_size > 0)
		return error_set(error, PROVIUM_INVALID, 0,
				 "exec: standard input is either given as a whole or streamed");
	if (check_environment(options->env, error) < 0 || check_rlimits(options, error) < 0)
		return -1;
	return check_terminal(options, error);
}

static int no_memory(struct provium_error *error)
{
	return error_set(error, PROVIUM_HOST, ENOMEM, "exec");
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
		return no_memory(error);
	for (size_t i = 0; i < n; i++)
		(*field)[i] = bytes_of(list[i]);
	*count = n;
	return 0;
}

static int fill_rlimits(struct exec_body *body, const struct provium_exec_options *options,
			struct provium_error *error)
{
	if (options->n_rlimits == 0)
		return 0;
	body->rlimits = calloc(options->n_rlimits, sizeof(*body->rlimits));
	body->rlimit_list = calloc(options->n_rlimits, sizeof(Provium__V1__Rlimit *));
	if (!body->rlimits || !body->rlimit_list)
		return no_memory(error);
	for (size_t i = 0; i < options->n_rlimits; i++) {
		Provium__V1__Rlimit *rlimit = &body->rlimits[i];

		provium__v1__rlimit__init(rlimit);
		rlimit->has_resource = true;
		rlimit->resource = options->rlimits[i].resource;
		rlimit->has_soft = true;
		rlimit->soft = options->rlimits[i].soft;
		rlimit->has_hard = true;
		rlimit->hard = options->rlimits[i].hard;
		body->rlimit_list[i] = rlimit;
	}
	body->message.n_rlimits = options->n_rlimits;
	body->message.rlimits = body->rlimit_list;
	return 0;
}

static void fill_credentials(struct exec_body *body, const struct provium_exec_options *options)
{
	body->message.has_uid = options->has_uid;
	body->message.uid = options->uid;
	body->message.has_gid = options->has_gid;
	body->message.gid = options->gid;
	if (!options->has_groups)
		return;
	provium__v1__groups__init(&body->groups);
	body->groups.n_gid = options->n_groups;
	body->groups.gid = (uint32_t *)options->groups;
	body->message.groups = &body->groups;
}

static void fill_terminal(struct exec_body *body, const struct provium_exec_options *options)
{
	if (!options->pty)
		return;
	provium__v1__pty__init(&body->pty);
	body->pty.has_rows = options->rows > 0;
	body->pty.rows = options->rows;
	body->pty.has_cols = options->cols > 0;
	body->pty.cols = options->cols;
	if (options->term) {
		body->pty.has_term = true;
		body->pty.term = bytes_of(options->term);
	}
	body->message.pty = &body->pty;
}

static void fill_stdin(Provium__V1__Exec *message, const struct provium_exec_options *options)
{
	if (options->stdin_kind == PROVIUM_STDIN_STREAM) {
		message->has_stdin_kind = true;
		message->stdin_kind = PROVIUM__V1__STDIN_KIND__STDIN_STREAM;
	} else if (options->input_size > 0) {
		message->has_input = true;
		message->input.data = (uint8_t *)options->input;
		message->input.len = options->input_size;
	}
}

static void fill_scalars(Provium__V1__Exec *message, const struct provium_exec_options *options)
{
	if (options->shell) {
		message->has_shell = true;
		message->shell = bytes_of(options->shell);
	}
	message->has_clear_env = options->clear_env;
	message->clear_env = options->clear_env;
	if (options->cwd) {
		message->has_cwd = true;
		message->cwd = bytes_of(options->cwd);
	}
	message->has_merge_stderr = options->merge_stderr;
	message->merge_stderr = options->merge_stderr;
	message->has_timeout_ms = options->timeout_ms > 0;
	message->timeout_ms = options->timeout_ms;
	message->has_output_limit = options->output_limit > 0;
	message->output_limit = options->output_limit;
	message->has_nice = options->nice != 0;
	message->nice = options->nice;
	if (options->kill_scope == PROVIUM_KILL_CGROUP) {
		message->has_kill_scope = true;
		message->kill_scope = PROVIUM__V1__KILL_SCOPE__KILL_CGROUP;
	}
}

int exec_body_init(struct exec_body *body, const struct provium_exec_options *options,
		   struct provium_error *error)
{
	Provium__V1__Exec *message = &body->message;

	memset(body, 0, sizeof(*body));
	provium__v1__exec__init(message);
	if (check_options(options, error) < 0 ||
	    list_field(options->argv, &body->argv, &message->n_argv, error) < 0 ||
	    list_field(options->env, &body->env, &message->n_env, error) < 0 ||
	    fill_rlimits(body, options, error) < 0)
		return -1;
	message->argv = body->argv;
	message->env = body->env;
	fill_scalars(message, options);
	fill_stdin(message, options);
	fill_credentials(body, options);
	fill_terminal(body, options);
	return 0;
}

void exec_body_finish(struct exec_body *body)
{
	free(body->argv);
	free(body->env);
	free(body->rlimits);
	free(body->rlimit_list);
}

const char *exec_subject(const struct provium_exec_options *options)
{
	return options->shell ? options->shell : options->argv[0];
}

/* ------------------------------------------------------------------------------------------- */
/* Results */

/* 0 for a number of no outcome. */
static enum provium_outcome outcome_of(Provium__V1__Outcome outcome)
{
	switch (outcome) {
	case PROVIUM__V1__OUTCOME__OUTCOME_EXITED:
		return PROVIUM_EXITED;
	case PROVIUM__V1__OUTCOME__OUTCOME_SIGNALLED:
		return PROVIUM_SIGNALLED;
	case PROVIUM__V1__OUTCOME__OUTCOME_TIMED_OUT:
		return PROVIUM_EXEC_TIMED_OUT;
	case PROVIUM__V1__OUTCOME__OUTCOME_CANCELLED:
		return PROVIUM_EXEC_CANCELLED;
	default:
		return (enum provium_outcome)0;
	}
}

int exec_result_take(struct request *request, const Provium__V1__ExecResult *message,
		     struct provium_exec_result *result)
{
	const Provium__V1__Rusage *rusage = message->rusage;

	*result = (struct provium_exec_result){
		.outcome = outcome_of(message->outcome),
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
	if (!result->outcome)
		request_broken(request, "outcome %d", (int)message->outcome);
	else if (result->outcome == PROVIUM_EXITED &&
		 (!message->has_exit_code || message->exit_code > 255))
		request_broken(request, "exit code %" PRIu32, message->exit_code);
	/* 127 is the most that a wait status can hold (wait(2)). */
	else if (message->signal > 127 ||
		 (result->outcome == PROVIUM_SIGNALLED && message->signal == 0))
		request_broken(request, "signal %" PRIu32, message->signal);
	else
		return 0;
	return -1;
}

int output_index(struct request *request, const Provium__V1__Output *output)
{
	switch (output->stream) {
	case PROVIUM__V1__STREAM__STREAM_STDOUT:
		return 0;
	case PROVIUM__V1__STREAM__STREAM_STDERR:
		return 1;
	default:
		request_broken(request, "output of stream %d", (int)output->stream);
		return -1;
	}
}
