#include "host/runner/suite.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/accel.h"
#include "host/lib/error.h"
#include "host/runner/budget.h"
#include "host/runner/progress.h"
#include "host/runner/report.h"
#include "host/runner/runner.h"
#include "host/runner/state.h"
#include "host/show/terminal.h"
#include "host/show/units.h"

#define FILE_TIMEOUT_MS 300000
#define REFRESH_MS      250

/*
 * What a guest costs beside its own memory: QEMU, 95 MiB of it under TCG when the guest has run a
 * few programs, more when it has run many. Who gives a number means the guests' own.
 */
#define GUEST_OVERHEAD  MIB(128)

static bool failed_last_time(void *user, const struct plan_file *file)
{
	return state_has_failed(user, file->absolute);
}

int suite_plan(const struct suite_options *options, struct plan *plan, struct provium_error *error)
{
	char state[PATH_MAX];

	if (plan_discover(plan, options->paths, error) < 0)
		return -1;
	plan_filter(plan, options->patterns);
	if (plan->count == 0) {
		plan_finish(plan);
		return error_set(error, PROVIUM_NOT_FOUND, 0,
				 "--filter: there is no such test file");
	}
	if (options->shard_count)
		plan_shard(plan, options->shard_index, options->shard_count);
	if (!options->rerun_failed)
		return 0;
	if (!state_directory(state)) {
		plan_finish(plan);
		return error_set(error, PROVIUM_INVALID, 0,
				 "--rerun-failed: neither XDG_STATE_HOME nor HOME is set");
	}
	plan_keep(plan, failed_last_time, state);
	return 0;
}

struct suite {
	const struct suite_options *options;
	const struct plan *plan;
	struct file_result *results;
	/* On a terminal. */
	bool shown;
	size_t number;
	/* Why standard output cannot be written; 0: it can. */
	int output_errno;
	/* "": nothing is remembered. */
	char state[PATH_MAX];
};

static void notice(void *user, const char *text)
{
	struct suite *suite = user;

	if (suite->shown)
		terminal_erase();
	suite->options->notice(text);
}

static void show(void *user, const struct runner_view *view)
{
	char text[512];

	(void)user;
	progress_text(view, monotonic_ns(), text,
		      MIN(sizeof(text), (size_t)terminal_columns() + 1));
	terminal_show(text);
}

/* False: nobody reads it any more. */
static bool flush_output(struct suite *suite)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return true;
	if (!suite->output_errno)
		suite->output_errno = errno;
	return false;
}

static void remember(struct suite *suite, const struct file_result *result)
{
	size_t index = (size_t)(result - suite->results);
	struct provium_error error;
	char text[sizeof(error.message) + 64];

	if (!suite->state[0] || state_remember(suite->state, suite->plan->files[index].absolute,
					       result->verdict == FILE_FAILED, &error) == 0)
		return;
	snprintf(text, sizeof(text), "what failed is not remembered for --rerun-failed: %s",
		 error.message);
	notice(suite, text);
	suite->state[0] = '\0';
}

static bool file_ended(void *user, const struct file_result *result)
{
	struct suite *suite = user;

	if (suite->shown)
		terminal_erase();
	if (suite->options->tap)
		report_tap_file(stdout, result, ++suite->number);
	else
		report_lines_file(stdout, result);
	remember(suite, result);
	return flush_output(suite);
}

/* What it runs on, and what that means for time. */
static enum provium_accel choose_accel(struct suite *suite)
{
	char reason[256], text[512];

	if (suite->options->accel != PROVIUM_ACCEL_AUTO)
		return suite->options->accel;
	if (accel_probe_kvm(reason, sizeof(reason)))
		return PROVIUM_ACCEL_KVM;
	snprintf(text, sizeof(text), "no KVM (%s): using TCG, which is several times slower",
		 reason);
	notice(suite, text);
	return PROVIUM_ACCEL_TCG;
}

static void fill_in(struct suite *suite, struct runner_options *run)
{
	const struct suite_options *options = suite->options;
	struct budget budget;

	budget_measure(&budget, "/proc", "/sys/fs/cgroup", budget_available_cpus());
	run->memory = options->memory ? options->memory : budget.memory;
	run->overhead = options->memory ? 0 : GUEST_OVERHEAD;
	run->cpus = options->cpus ? options->cpus : budget.cpus;
	run->parallel = options->parallel ? options->parallel : run->cpus;
	run->accel = choose_accel(suite);
	run->timeout_ms = options->timeout_ms
				  ? options->timeout_ms
				  : FILE_TIMEOUT_MS * (uint64_t)accel_factor(run->accel);
}

static int open_report(const char *path, FILE **file, struct provium_error *error)
{
	if (!path)
		return 0;
	*file = fopen(path, "we");
	if (!*file)
		return error_set(error, PROVIUM_HOST, errno, "'%s'", path);
	return 0;
}

/* Writes, where there is a file, and closes it. */
static int write_report(FILE **file, const char *path,
			int (*write)(FILE *out, const struct file_result *results, size_t count,
				     uint64_t elapsed_ns, struct provium_error *error),
			const struct suite *suite, uint64_t elapsed_ns, struct provium_error *error)
{
	int outcome;

	if (!*file)
		return 0;
	outcome = write(*file, suite->results, suite->plan->count, elapsed_ns, error);
	if (fclose(*file) != 0 && outcome == 0)
		outcome = error_set(error, PROVIUM_HOST, errno, "'%s'", path);
	*file = NULL;
	return outcome;
}

/* Where logs were kept: of files that failed, or of all. */
static bool has_logs(const struct suite *suite)
{
	for (size_t i = 0; i < suite->plan->count; i++) {
		if (suite->results[i].log_directory)
			return true;
	}
	return false;
}

static void tell_end(struct suite *suite, const struct run_directory *directory,
		     uint64_t elapsed_ns)
{
	struct report_totals totals = report_total(suite->results, suite->plan->count);
	char text[PATH_MAX + 16];

	if (suite->shown)
		terminal_erase();
	if (!suite->options->tap)
		report_lines_end(stdout, suite->results, suite->plan->count, elapsed_ns);
	else if (totals.files_not_run)
		report_tap_bail_out(stdout, totals.files_failed && suite->options->fail_fast
						    ? "a file failed (--fail-fast)"
						    : "stopped");
	if (!has_logs(suite))
		return;
	snprintf(text, sizeof(text), "logs: %s", directory->path);
	if (suite->options->tap)
		notice(suite, text);
	else
		puts(text);
}

static void tell_begin(const struct suite *suite, const struct runner_options *run)
{
	char memory[UNITS_TEXT_SIZE];

	if (suite->options->tap)
		report_tap_begin(stdout, suite->plan->count);
	else
		printf("%zu file%s, %u at a time; all guests together have %s and %u processor%s\n",
		       suite->plan->count, suite->plan->count == 1 ? "" : "s", run->parallel,
		       format_bytes(run->memory, memory), run->cpus, run->cpus == 1 ? "" : "s");
}

static int run_files(struct suite *suite, const struct runner_options *run,
		     struct provium_error *error)
{
	FILE *junit = NULL, *json = NULL;
	uint64_t started_ns = monotonic_ns();
	struct provium_error report_error;
	int outcome = -1;

	/* Before anything runs: a path that is wrong is not told after an hour. */
	if (open_report(suite->options->junit, &junit, error) == 0 &&
	    open_report(suite->options->json, &json, error) == 0) {
		uint64_t elapsed_ns;

		tell_begin(suite, run);
		outcome = flush_output(suite) ? runner_run(run, suite->results, error) : -1;
		elapsed_ns = monotonic_ns() - started_ns;
		tell_end(suite, run->directory, elapsed_ns);
		if (write_report(&junit, suite->options->junit, report_junit, suite, elapsed_ns,
				 &report_error) < 0 ||
		    write_report(&json, suite->options->json, report_json, suite, elapsed_ns,
				 &report_error) < 0) {
			if (outcome == 0)
				*error = report_error;
			outcome = -1;
		}
		if (!flush_output(suite))
			outcome = error_set(error, PROVIUM_HOST, suite->output_errno,
					    "standard output");
	}
	if (junit)
		fclose(junit);
	if (json)
		fclose(json);
	return outcome;
}

enum suite_outcome suite_run(const struct suite_options *options, const struct plan *plan,
			     const struct run_directory *directory, int cancel_fd,
			     bool *broken_pipe, struct provium_error *error)
{
	struct suite suite = {
		.options = options,
		.plan = plan,
		.results = calloc(plan->count + 1, sizeof(*suite.results)),
		.shown = terminal_present(),
	};
	struct runner_options run = {
		.plan = plan,
		.fail_fast = options->fail_fast,
		.keep = options->keep,
		.run = options->run,
		.directory = directory,
		.cancel_fd = cancel_fd,
		.file_ended = file_ended,
		.notice = notice,
		.show = show,
		.refresh_ms = suite.shown ? REFRESH_MS : 0,
		.user = &suite,
	};
	enum suite_outcome outcome = SUITE_ERROR;

	*broken_pipe = false;
	if (!suite.results)
		return (enum suite_outcome)error_set(error, PROVIUM_HOST, ENOMEM, "results");
	if (!state_directory(suite.state))
		suite.state[0] = '\0';
	fill_in(&suite, &run);
	if (run_files(&suite, &run, error) == 0) {
		struct report_totals totals = report_total(suite.results, plan->count);

		outcome = totals.files_failed ? SUITE_FAILED : SUITE_PASSED;
	}
	*broken_pipe = suite.output_errno == EPIPE;
	for (size_t i = 0; i < plan->count; i++)
		file_result_finish(&suite.results[i]);
	free(suite.results);
	return outcome;
}
