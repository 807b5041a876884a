/* provium worker: spawn, list, kill. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "host/cli/commands/command.h"
#include "host/cli/options/command_options.h"
#include "host/cli/report.h"
#include "host/cli/session/connect.h"
#include "host/include/provium_worker.h"

/* ------------------------------------------------------------------------------------------- */
/* spawn */

struct spawn_options {
	struct connect_options connect;
	bool thread;
	struct credential_options credentials;
	bool is_long;
};

static const struct option_spec spawn_options[] = {
	CONNECT_OPTION_ROWS(struct spawn_options, connect),
	{ .name = "thread",
	  .help = "Make a thread of the agent's server, which shares its memory and files and "
		  "ends with it (default: a process, with copies of them).",
	  .parse = parse_flag,
	  .offset = offsetof(struct spawn_options, thread) },
	CREDENTIAL_OPTION_ROWS(struct spawn_options, credentials),
	{ .name = "long",
	  .help = "Print its number, process id, thread id and address, with blanks between.",
	  .parse = parse_flag,
	  .offset = offsetof(struct spawn_options, is_long) },
	{ 0 },
};

static int spawn(struct provium_connection *connection, const void *parsed, char **operands,
		 struct writer *writer, struct provium_error *error)
{
	const struct spawn_options *given = parsed;
	const struct credential_options *credentials = &given->credentials;
	const struct provium_worker_options options = {
		.kind = given->thread ? PROVIUM_WORKER_THREAD : PROVIUM_WORKER_FORK,
		.has_uid = credentials->user.has_uid,
		.uid = credentials->user.uid,
		.has_gid = credentials->user.has_gid,
		.gid = credentials->user.gid,
		.has_groups = credentials->groups.count > 0,
		.groups = credentials->groups.items,
		.n_groups = credentials->groups.count,
	};
	char address[PROVIUM_ADDRESS_SIZE];
	struct provium_worker worker;
	char numbers[64] = "";
	char line[sizeof(numbers) + sizeof(address)];
	int length;

	(void)operands;
	if (provium_worker_spawn(connection, &options, PROVIUM_FOREVER, &worker, error) < 0 ||
	    provium_worker_address(connection, &worker, address, sizeof(address), error) < 0)
		return -1;
	if (given->is_long)
		snprintf(numbers, sizeof(numbers), "%" PRIu64 " %d %d ", worker.number, worker.pid,
			 worker.tid);
	length = snprintf(line, sizeof(line), "%s%s\n", numbers, address);
	writer_put(writer, PROVIUM_STDOUT, line, (size_t)length);
	return 0;
}

static int run_spawn(const void *parsed, char **operands, struct provium_error *error)
{
	const struct spawn_options *given = parsed;

	return connect_run(&given->connect, spawn, given, operands, error);
}

const struct command worker_spawn_command = {
	.name = "worker spawn",
	.summary = "Make another agent, with credentials of its own.",
	.operands = "",
	.description =
		"Makes a process or thread of the agent that serves one connection, and prints the "
		"address that --connect of other commands takes for it. It waits 30 s for that "
		"connection, and ends with it. What is run by it has its credentials, and system "
		"calls that end or change their caller do so to it alone.",
	.options = spawn_options,
	.options_size = sizeof(struct spawn_options),
	.run = run_spawn,
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

static const char *kind_name(enum provium_worker_kind kind)
{
	return kind == PROVIUM_WORKER_THREAD ? "thread" : "fork";
}

/* A provium_worker_fn; user is the FILE. */
static void print_row(void *user, const struct provium_worker *worker, const char *stuck)
{
	FILE *file = user;

	fprintf(file, "%8" PRIu64 "  %-6s %8d %8d %10" PRIu32 "  %s%s\n", worker->number,
		kind_name(worker->kind), worker->pid, worker->tid, worker->port,
		*stuck ? "stuck: " : "running", stuck);
}

static int print_table(struct provium_connection *connection, FILE *file,
		       struct provium_error *error)
{
	fprintf(file, "%8s  %-6s %8s %8s %10s  %s\n", "WORKER", "KIND", "PID", "TID", "PORT",
		"STATE");
	return provium_worker_list(connection, print_row, file, PROVIUM_FOREVER, error);
}

struct json_list {
	json_t *array;
	/* The first worker that could not be told, if failed. */
	uint64_t number;
	bool failed;
};

/* A provium_worker_fn; user is the json_list. */
static void add_object(void *user, const struct provium_worker *worker, const char *stuck)
{
	struct json_list *list = user;
	json_t *object =
		json_pack("{s:I, s:s, s:i, s:i, s:I, s:s?}", "worker", (json_int_t)worker->number,
			  "kind", kind_name(worker->kind), "pid", worker->pid, "tid", worker->tid,
			  "port", (json_int_t)worker->port, "stuck", *stuck ? stuck : NULL);

	/* Such as a text that is no UTF-8; appending NULL fails. */
	if (json_array_append_new(list->array, object) == 0 || list->failed)
		return;
	list->failed = true;
	list->number = worker->number;
}

static int print_json(struct provium_connection *connection, FILE *file,
		      struct provium_error *error)
{
	struct json_list list = { .array = json_array() };
	int rc;

	rc = provium_worker_list(connection, add_object, &list, PROVIUM_FOREVER, error);
	if (rc == 0 && list.failed)
		rc = cli_fail(error, PROVIUM_PROTOCOL, "worker %" PRIu64 " cannot be told in JSON",
			      list.number);
	if (rc == 0) {
		json_dumpf(list.array, file, JSON_INDENT(2));
		fputc('\n', file);
	}
	json_decref(list.array);
	return rc;
}

static int list(struct provium_connection *connection, const void *parsed, char **operands,
		struct writer *writer, struct provium_error *error)
{
	const struct list_options *given = parsed;
	cleanup_free char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	int rc;

	(void)operands;
	if (!file)
		return cli_fail_errno(error, "worker list");
	rc = given->json ? print_json(connection, file, error)
			 : print_table(connection, file, error);
	if (fclose(file) != 0 && rc == 0)
		rc = cli_fail_errno(error, "worker list");
	if (rc == 0)
		writer_put(writer, PROVIUM_STDOUT, text, size);
	return rc;
}

static int run_list(const void *parsed, char **operands, struct provium_error *error)
{
	const struct list_options *given = parsed;

	return connect_run(&given->connect, list, given, operands, error);
}

const struct command worker_list_command = {
	.name = "worker list",
	.summary = "List the workers of a guest.",
	.operands = "",
	.description =
		"Lists the workers that are there: those that wait for their connection and those "
		"that serve one. For one in a system call that has not ended at its deadline it "
		"says which that is.",
	.options = list_options,
	.options_size = sizeof(struct list_options),
	.run = run_list,
};

/* ------------------------------------------------------------------------------------------- */
/* kill */

struct kill_options {
	struct connect_options connect;
	uint64_t number;
};

static const struct option_spec kill_options[] = {
	CONNECT_OPTION_ROWS(struct kill_options, connect),
	{ 0 },
};

static int kill_worker(struct provium_connection *connection, const void *parsed, char **operands,
		       struct writer *writer, struct provium_error *error)
{
	const struct kill_options *given = parsed;

	(void)operands;
	(void)writer;
	return provium_worker_kill(connection, given->number, PROVIUM_FOREVER, error);
}

static int run_kill(const void *parsed, char **operands, struct provium_error *error)
{
	struct kill_options given = *(const struct kill_options *)parsed;

	if (parse_whole_number(NULL, operands[0], &given.number, error) < 0)
		return cli_fail_in(error, "WORKER");
	return connect_run(&given.connect, kill_worker, &given, operands, error);
}

const struct command worker_kill_command = {
	.name = "worker kill",
	.summary = "End a worker of a guest.",
	.operands = "WORKER",
	.operands_min = 1,
	.operands_max = 1,
	.description = "Ends the worker of this number, which provium worker list tells, with the "
		       "commands and jobs that it runs; returns when it is gone.",
	.options = kill_options,
	.options_size = sizeof(struct kill_options),
	.run = run_kill,
};
