/* provium job: start, wait, kill, list. job_io.c has what moves their input and output. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "host/cli/commands/command.h"
#include "host/cli/commands/job.h"
#include "host/cli/options/command_options.h"
#include "host/cli/report.h"
#include "host/cli/session/exit_status.h"

/* ------------------------------------------------------------------------------------------- */
/* start */

struct start_options {
	struct connect_options connect;
	const char *name;
	uint64_t keep;
	uint64_t kill_after_ms;
	bool input;
	struct command_options command;
};

static const struct option_spec start_options[] = {
	CONNECT_OPTION_ROWS(struct start_options, connect),
	{ .name = "name",
	  .value = "NAME",
	  .help = "A name to find it by, which no other job may have; not a number.",
	  .parse = parse_string,
	  .offset = offsetof(struct start_options, name) },
	{ .name = "keep",
	  .value = "SIZE",
	  .help = "How much of its output is kept, the newest of standard output and of standard "
		  "error, in bytes or with K or M behind it (default: 1M each).",
	  .parse = parse_size,
	  .offset = offsetof(struct start_options, keep) },
	{ .name = "kill-after",
	  .value = "SECONDS",
	  .help = "Kill it when it has run so long.",
	  .parse = parse_seconds,
	  .offset = offsetof(struct start_options, kill_after_ms) },
	{ .name = "input",
	  .help = "Keep its standard input open, for provium job send (default: empty).",
	  .parse = parse_flag,
	  .offset = offsetof(struct start_options, input) },
	{ .name = "tty",
	  .letter = 't',
	  .help = "Run it on a terminal of the guest, of 24 rows and 80 columns until provium job "
		  "resize; nothing shows it but provium job output.",
	  .parse = parse_flag,
	  .offset = offsetof(struct start_options, command.tty) },
	COMMAND_OPTION_ROWS(struct start_options, command),
	OUTPUT_LIMIT_OPTION_ROW(struct start_options, command),
	MERGE_STDERR_OPTION_ROW(struct start_options, command),
	{ 0 },
};

static int start(struct provium_connection *connection, const void *parsed, char **operands,
		 struct writer *writer, struct provium_error *error)
{
	const struct start_options *given = parsed;
	struct provium_exec_options command =
		command_options_exec(&given->command, (const char *const *)operands);
	const struct provium_job_options options = { .name = given->name, .keep = given->keep };
	uint64_t number;
	char line[32];
	int length;

	command.pty = given->command.tty;
	command.timeout_ms = given->kill_after_ms;
	command.stdin_kind = given->input ? PROVIUM_STDIN_STREAM : PROVIUM_STDIN_DEFAULT;
	if (provium_job_start(connection, &command, &options, PROVIUM_FOREVER, &number, NULL,
			      error) < 0)
		return -1;
	length = snprintf(line, sizeof(line), "%" PRIu64 "\n", number);
	writer_put(writer, PROVIUM_STDOUT, line, (size_t)length);
	return 0;
}

static int run_start(const void *parsed, char **operands, struct provium_error *error)
{
	const struct start_options *given = parsed;

	if (given->name && !job_ref(given->name).name)
		return cli_fail(error, PROVIUM_INVALID,
				"--name: '%s' is a number: those are given by the agent",
				given->name);
	return connect_run(&given->connect, start, given, operands, error);
}

const struct command job_start_command = {
	.name = "job start",
	.summary = "Start a command in a guest that outlives the connection.",
	.operands = "COMMAND [ARG...]",
	.operands_min = 1,
	.operands_max = OPERANDS_UNLIMITED,
	.runs_command = true,
	.description =
		"Starts COMMAND in the guest, prints the number of the job that it is, and leaves "
		"it. What it writes is kept in the guest's memory. The exit status is 0, 126 where "
		"COMMAND cannot be executed, and 127 where it is not found.",
	.options = start_options,
	.options_size = sizeof(struct start_options),
	.run = run_start,
};

/* ------------------------------------------------------------------------------------------- */
/* wait */

struct wait_options {
	struct connect_options connect;
	bool no_wait;
	bool output;
};

static const struct option_spec wait_options[] = {
	CONNECT_OPTION_ROWS(struct wait_options, connect),
	{ .name = "no-wait",
	  .help = "Only ask: where it still runs say so, and exit with 124.",
	  .parse = parse_flag,
	  .offset = offsetof(struct wait_options, no_wait) },
	{ .name = "output",
	  .help = "Write what is kept of its output first.",
	  .parse = parse_flag,
	  .offset = offsetof(struct wait_options, output) },
	{ 0 },
};

static int wait_for(struct provium_connection *connection, const void *parsed, char **operands,
		    struct writer *writer, struct provium_error *error)
{
	const struct wait_options *given = parsed;
	const struct provium_job_ref ref = job_ref(operands[0]);
	struct job_printer printer = { .writer = writer };
	const struct provium_job_wait_options options = {
		.wait_ms = given->no_wait ? 0 : PROVIUM_FOREVER,
		.on_output = given->output ? job_print : NULL,
		.user = &printer,
	};
	struct provium_job_result result;
	char message[256];

	if (provium_job_wait(connection, &ref, &options, PROVIUM_FOREVER, &result, error) < 0)
		return -1;
	job_print_end(&printer);
	if (!result.running) {
		report_cut_output(&result.result);
		return exit_status(&result.result);
	}
	snprintf(message, sizeof(message), "job %.200s still runs", operands[0]);
	report(message);
	return STATUS_TIMED_OUT;
}

static int run_wait(const void *parsed, char **operands, struct provium_error *error)
{
	const struct wait_options *given = parsed;

	return connect_run(&given->connect, wait_for, given, operands, error);
}

const struct command job_wait_command = {
	.name = "job wait",
	.summary = "Wait until a job has ended, and exit as it did.",
	.operands = "JOB",
	.operands_min = 1,
	.operands_max = 1,
	.description =
		"Waits until the job has ended; then it is forgotten. The exit status is the "
		"job's own, as that of provium run is the command's. Being cut short, by "
		"--timeout or a signal, does nothing to the job. " JOB_DESCRIPTION,
	.options = wait_options,
	.options_size = sizeof(struct wait_options),
	.run = run_wait,
};

/* ------------------------------------------------------------------------------------------- */
/* kill */

struct kill_options {
	struct connect_options connect;
	unsigned int signal;
	uint64_t grace_ms;
	bool output;
};

static const struct option_spec kill_options[] = {
	CONNECT_OPTION_ROWS(struct kill_options, connect),
	{ .name = "signal",
	  .value = "SIGNAL",
	  .help = "Send this first, a name or number (default: TERM with --grace, else KILL).",
	  .parse = parse_signal,
	  .offset = offsetof(struct kill_options, signal) },
	{ .name = "grace",
	  .value = "SECONDS",
	  .help = "How long it has after the signal, until KILL (default: no time).",
	  .parse = parse_seconds,
	  .offset = offsetof(struct kill_options, grace_ms) },
	{ .name = "output",
	  .help = "Write what is kept of its output.",
	  .parse = parse_flag,
	  .offset = offsetof(struct kill_options, output) },
	{ 0 },
};

static int kill_job(struct provium_connection *connection, const void *parsed, char **operands,
		    struct writer *writer, struct provium_error *error)
{
	const struct kill_options *given = parsed;
	const struct provium_job_ref ref = job_ref(operands[0]);
	struct job_printer printer = { .writer = writer };
	const struct provium_job_kill_options options = {
		.signal = given->signal || !given->grace_ms ? (int)given->signal : SIGTERM,
		.grace_ms = given->grace_ms,
		.on_output = given->output ? job_print : NULL,
		.user = &printer,
	};

	if (provium_job_kill(connection, &ref, &options, PROVIUM_FOREVER, NULL, error) < 0)
		return -1;
	job_print_end(&printer);
	return 0;
}

static int run_kill(const void *parsed, char **operands, struct provium_error *error)
{
	const struct kill_options *given = parsed;

	return connect_run(&given->connect, kill_job, given, operands, error);
}

const struct command job_kill_command = {
	.name = "job kill",
	.summary = "Kill a job, with all that it has started.",
	.operands = "JOB",
	.operands_min = 1,
	.operands_max = 1,
	.description = "Kills the job and waits until it has ended; then it is forgotten. The exit "
		       "status is 0, whatever it ended by. " JOB_DESCRIPTION,
	.options = kill_options,
	.options_size = sizeof(struct kill_options),
	.run = run_kill,
};

/* ------------------------------------------------------------------------------------------- */
/* list */

struct list_options {
	struct connect_options connect;
	bool json;
};

static const struct option_spec list_options[] = {
	CONNECT_OPTION_ROWS(struct list_options, connect),
	{ .name = "json",
	  .help = "Print a JSON array instead of a table.",
	  .parse = parse_flag,
	  .offset = offsetof(struct list_options, json) },
	{ 0 },
};

static const char *outcome_name(enum provium_outcome outcome)
{
	switch (outcome) {
	case PROVIUM_EXITED:
		return "exited";
	case PROVIUM_SIGNALLED:
		return "signalled";
	case PROVIUM_EXEC_TIMED_OUT:
		return "timed out";
	case PROVIUM_EXEC_CANCELLED:
		break;
	}
	return "killed";
}

/* Names are the guest's: what a terminal could obey is not printed. */
static void print_name(FILE *file, const char *name)
{
	for (const char *c = name; *c; c++)
		fputc((unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c, file);
	fputc('\n', file);
}

static void print_table(FILE *file, const struct provium_jobs *jobs)
{
	fprintf(file, "%8s %8s  %-14s %12s %12s  %s\n", "JOB", "PID", "STATE", "OUTPUT", "ERRORS",
		"NAME");
	for (size_t i = 0; i < jobs->count; i++) {
		const struct provium_job_entry *job = &jobs->entries[i];
		char state[32] = "running";

		if (!job->running && job->result.outcome == PROVIUM_EXITED)
			snprintf(state, sizeof(state), "exited %d", job->result.exit_code);
		else if (!job->running && job->result.outcome == PROVIUM_SIGNALLED)
			snprintf(state, sizeof(state), "signal %d", job->result.signal);
		else if (!job->running)
			snprintf(state, sizeof(state), "%s", outcome_name(job->result.outcome));
		fprintf(file, "%8" PRIu64 " %8d  %-14s %12" PRIu64 " %12" PRIu64 "  ", job->number,
			job->pid, state, job->stdout_bytes, job->stderr_bytes);
		print_name(file, job->name ? job->name : "-");
	}
}

static json_t *entry_to_json(const struct provium_job_entry *job)
{
	json_t *object = json_pack(
		"{s:I, s:s?, s:i, s:b, s:I, s:I}", "job", (json_int_t)job->number, "name",
		job->name, "pid", job->pid, "running", job->running, "stdout_bytes",
		(json_int_t)job->stdout_bytes, "stderr_bytes", (json_int_t)job->stderr_bytes);
	int failed = 0;

	if (!object || job->running)
		return object;
	failed |= json_object_set_new(object, "outcome",
				      json_string(outcome_name(job->result.outcome)));
	if (job->result.outcome == PROVIUM_EXITED)
		failed |= json_object_set_new(object, "exit_code",
					      json_integer(job->result.exit_code));
	if (job->result.signal)
		failed |= json_object_set_new(object, "signal", json_integer(job->result.signal));
	if (!failed)
		return object;
	json_decref(object);
	return NULL;
}

static int print_json(FILE *file, const struct provium_jobs *jobs, struct provium_error *error)
{
	json_t *array = json_array();

	for (size_t i = 0; i < jobs->count; i++) {
		/* Such as a name that is no UTF-8; appending NULL fails. */
		if (json_array_append_new(array, entry_to_json(&jobs->entries[i])) < 0) {
			json_decref(array);
			return cli_fail(error, PROVIUM_PROTOCOL,
					"job %" PRIu64 " cannot be told in JSON",
					jobs->entries[i].number);
		}
	}
	json_dumpf(array, file, JSON_INDENT(2));
	fputc('\n', file);
	json_decref(array);
	return 0;
}

static int list(struct provium_connection *connection, const void *parsed, char **operands,
		struct writer *writer, struct provium_error *error)
{
	const struct list_options *given = parsed;
	cleanup(provium_job_list_free) struct provium_jobs jobs;
	cleanup_free char *text = NULL;
	size_t size = 0;
	FILE *file;
	int rc = 0;

	(void)operands;
	if (provium_job_list(connection, PROVIUM_FOREVER, &jobs, error) < 0)
		return -1;
	file = open_memstream(&text, &size);
	if (!file)
		return cli_fail_errno(error, "job list");
	if (given->json)
		rc = print_json(file, &jobs, error);
	else
		print_table(file, &jobs);
	if (fclose(file) != 0 && rc == 0)
		rc = cli_fail_errno(error, "job list");
	if (rc == 0)
		writer_put(writer, PROVIUM_STDOUT, text, size);
	return rc;
}

static int run_list(const void *parsed, char **operands, struct provium_error *error)
{
	const struct list_options *given = parsed;

	return connect_run(&given->connect, list, given, operands, error);
}

const struct command job_list_command = {
	.name = "job list",
	.summary = "List the jobs of a guest.",
	.operands = "",
	.description =
		"Lists the jobs that run, and those that have ended and whose end nobody has "
		"asked for yet.",
	.options = list_options,
	.options_size = sizeof(struct list_options),
	.run = run_list,
};
