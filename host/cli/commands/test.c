#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/cli/commands/command.h"
#include "host/cli/commands/help_text.h"
#include "host/cli/guest/guest.h"
#include "host/cli/options/values.h"
#include "host/cli/report.h"
#include "host/cli/session/exit_status.h"
#include "host/lua/run.h"
#include "host/runner/guard.h"
#include "host/runner/suite.h"

/* As most test runners have it. */
#define STATUS_TESTS_FAILED 1
#define STATUS_USAGE        2

struct shard {
	unsigned int index;
	unsigned int count;
};

struct test_options {
	unsigned int parallel;
	struct string_list filter;
	bool fail_fast;
	bool rerun_failed;
	uint64_t memory;
	unsigned int cpus;
	struct shard shard;
	uint64_t timeout_ms;
	bool tap;
	const char *junit;
	const char *json;
	bool list;
	bool keep;
	unsigned int accel;
};

#define OFFSET(field) offsetof(struct test_options, field)

/* struct shard: I/N, I from 1 to N. */
static int parse_shard(const struct option_spec *spec, char *value, void *field,
		       struct provium_error *error)
{
	struct shard *shard = field;
	char *slash = strchr(value, '/');

	if (slash)
		*slash = '\0';
	if (!slash || parse_count(spec, value, &shard->index, error) < 0 ||
	    parse_count(spec, slash + 1, &shard->count, error) < 0 || shard->index > shard->count) {
		if (slash)
			*slash = '/';
		return cli_fail(error, PROVIUM_INVALID,
				"'%s' is not of the form I/N, I a number from 1 to N", value);
	}
	return 0;
}

static const struct option_spec options[] = {
	{ .name = "parallel",
	  .letter = 'p',
	  .value = "N",
	  .help = "Run so many files at a time (default: as many as all guests together have "
		  "processors).",
	  .parse = parse_count,
	  .offset = OFFSET(parallel) },
	{ .name = "filter",
	  .letter = 'f',
	  .value = "PATTERN",
	  .help = "Run the files whose name has this in it or, where there is one of *?[ in it, "
		  "matches it. May be repeated: any of them.",
	  .parse = parse_strings,
	  .offset = OFFSET(filter),
	  .list = true },
	{ .name = "fail-fast",
	  .help = "Stop when a file has failed.",
	  .parse = parse_flag,
	  .offset = OFFSET(fail_fast) },
	{ .name = "rerun-failed",
	  .help = "Run the files that failed when they last ran.",
	  .parse = parse_flag,
	  .offset = OFFSET(rerun_failed) },
	{ .name = "mem",
	  .value = "SIZE",
	  .help = "All guests together have so much memory, in bytes or with K, M, G or T behind "
		  "it (default: what this machine has available, without 1.5 GiB).",
	  .parse = parse_size,
	  .offset = OFFSET(memory) },
	{ .name = "cpus",
	  .value = "N",
	  .help = "All guests together have so many processors (default: half of this machine's, "
		  "but two where there are two).",
	  .parse = parse_count,
	  .offset = OFFSET(cpus) },
	{ .name = "shard",
	  .value = "I/N",
	  .help = "Run the I-th of N parts of the files: every N-th from the I-th on, in the order "
		  "of --list.",
	  .parse = parse_shard,
	  .offset = OFFSET(shard) },
	{ .name = "timeout",
	  .value = "SECONDS",
	  .help = "A file that runs longer is killed and fails (default: 300, and 1800 under TCG).",
	  .parse = parse_seconds,
	  .offset = OFFSET(timeout_ms) },
	{ .name = "tap",
	  .help = "Print TAP, version 13, with subtests.",
	  .parse = parse_flag,
	  .offset = OFFSET(tap) },
	{ .name = "junit",
	  .value = "FILE",
	  .help = "Write the results to FILE as JUnit's XML.",
	  .completion = COMPLETE_FILE,
	  .parse = parse_string,
	  .offset = OFFSET(junit) },
	{ .name = "json",
	  .value = "FILE",
	  .help = "Write the results to FILE as JSON.",
	  .completion = COMPLETE_FILE,
	  .parse = parse_string,
	  .offset = OFFSET(json) },
	{ .name = "list",
	  .help = "Print the files that would be run, and run none.",
	  .parse = parse_flag,
	  .offset = OFFSET(list) },
	{ .name = "keep",
	  .help = "Keep the logs of files that passed, too.",
	  .parse = parse_flag,
	  .offset = OFFSET(keep) },
	{ .name = "accel",
	  .value = "auto|kvm|tcg",
	  .help = "Accelerator; auto (the default) takes KVM where a guest really runs on it, else "
		  "TCG, and says so.",
	  .completion = COMPLETE_CHOICE,
	  .choices = guest_accel_choices,
	  .parse = parse_choice,
	  .offset = OFFSET(accel) },
	{ 0 },
};

/* What the guard's child is to do. */
struct job {
	const struct suite_options *suite;
	const struct plan *plan;
	struct run_directory *directory;
};

/* Below the guard: what it returns is the exit status. */
static int run_suite(void *user)
{
	const struct job *job = user;
	struct interrupts interrupts;
	struct provium_error error;
	bool broken_pipe = false;
	int status;

	if (interrupts_init(&interrupts, 0, &error) < 0) {
		report(error.message);
		return STATUS_FAILURE;
	}
	status = (int)suite_run(job->suite, job->plan, job->directory, interrupts.fd, &broken_pipe,
				&error);
	/* The guard does it, too; but that may be gone. */
	run_directory_finish(job->directory);
	status = command_end(status == SUITE_FAILED ? STATUS_TESTS_FAILED : status, &error,
			     broken_pipe, &interrupts);
	if (status < 0) {
		report(error.message);
		status = STATUS_FAILURE;
	}
	return status;
}

static int run_plan(const struct suite_options *suite, const struct plan *plan,
		    struct provium_error *error)
{
	struct run_directory directory;
	struct job job = { .suite = suite, .plan = plan, .directory = &directory };
	struct guard_end end;
	char text[PATH_MAX + 96];

	if (plan->count == 0) {
		report(suite->rerun_failed ? "no file failed when it last ran"
					   : "no file is in this shard");
		return EXIT_SUCCESS;
	}
	if (run_directory_make(&directory, error) < 0 ||
	    guard_run(&directory, run_suite, &job, &end, error) < 0)
		return -1;
	switch (end.signal) {
	case 0:
		return end.status;
	case SIGINT:
	case SIGTERM:
	case SIGHUP:
	case SIGQUIT:
	case SIGPIPE:
		return die_by_signal(end.signal);
	default:
		snprintf(text, sizeof(text), "the test runner was killed by signal %d%s%s",
			 end.signal, *directory.path ? ": logs: " : "", directory.path);
		report(text);
		return STATUS_FAILURE;
	}
}

static int list_plan(const struct plan *plan, struct provium_error *error)
{
	for (size_t i = 0; i < plan->count; i++)
		puts(plan->files[i].path);
	return help_flush(error);
}

static int run(const void *parsed, char **operands, struct provium_error *error)
{
	const struct test_options *given = parsed;
	const struct suite_options suite = {
		.paths = (const char *const *)operands,
		.patterns = given->filter.items,
		.shard_index = given->shard.index,
		.shard_count = given->shard.count,
		.rerun_failed = given->rerun_failed,
		.memory = given->memory,
		.cpus = given->cpus,
		.parallel = given->parallel,
		.timeout_ms = given->timeout_ms,
		.fail_fast = given->fail_fast,
		.keep = given->keep,
		.tap = given->tap,
		.junit = given->junit,
		.json = given->json,
		.accel = (enum provium_accel)given->accel,
		.run = lua_run_file,
		.notice = report,
	};
	struct plan plan = { 0 };
	int status;

	if (suite_plan(&suite, &plan, error) < 0) {
		if (error->code != PROVIUM_INVALID && error->code != PROVIUM_NOT_FOUND)
			return -1;
		report(error->message);
		return STATUS_USAGE;
	}
	status = given->list ? list_plan(&plan, error) : run_plan(&suite, &plan, error);
	plan_finish(&plan);
	return status;
}

const struct command test_command = {
	.name = "test",
	.summary = "Run test files side by side and tell what became of them.",
	.operands = "PATH...",
	.operands_min = 1,
	.operands_max = OPERANDS_UNLIMITED,
	.operand_completion = COMPLETE_FILE,
	.description =
		"Runs every *.lua at and below PATH, files or directories, each in a process "
		"of its own, as many side by side as memory and processors allow for their "
		"guests. The exit status is 0 where all passed, 1 where one failed, 2 where "
		"options or paths are wrong, and 125 where Provium itself failed.",
	.options = options,
	.options_size = sizeof(struct test_options),
	.usage_status = STATUS_USAGE,
	.run = run,
};
