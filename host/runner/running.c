#include "host/runner/running.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "host/lib/error.h"
#include "host/runner/text.h"

#define MS            UINT64_C(1000000)

/* More than fit into a socket: what a test has left behind may go on sending. */
#define LAST_MESSAGES 10000

/* For a file whose time has passed to say where it is. */
#define LAST_WORDS_NS (2000 * MS)

#define OUTPUT_LINES  20
#define CONSOLE_LINES 10
/* Of the guests that a failed file had, the last ones. */
#define CONSOLES      2

void running_time_out(struct running *file)
{
	file->left_ns = LAST_WORDS_NS;
	if (file->killed) {
		process_kill(&file->process);
		return;
	}
	file->killed = KILLED_TIMEOUT;
	process_ask_to_end(&file->process);
}

void running_kill(struct running *file, enum kill_reason reason)
{
	if (file->killed)
		return;
	file->killed = reason;
	process_kill(&file->process);
}

static void break_off(struct running *file, const char *what, const char *reason)
{
	if (!file->killed)
		snprintf(file->broken, sizeof(file->broken), "%s: %.200s", what, reason);
	running_kill(file, KILLED_BROKEN);
}

void running_break_off(struct running *file, const char *reason)
{
	break_off(file, "the test process sent what no test sends", reason);
}

void running_channel_failed(struct running *file, const struct provium_error *error)
{
	if (error->code == PROVIUM_PROTOCOL)
		running_break_off(file, error->message);
	else
		break_off(file, "the channel of the test process", error->message);
}

void running_stop_clock(struct running *file, uint64_t now_ns)
{
	uint64_t passed_ns = now_ns - file->since_ns;

	file->left_ns -= MIN(passed_ns, file->left_ns);
	file->since_ns = now_ns;
}

static bool is_test_process(void *user, pid_t pid)
{
	const struct runner *runner = user;
	const struct running *file;

	list_for_each(file, &runner->running, link) {
		if (file->process.pid == pid)
			return true;
	}
	return false;
}

static void free_file(struct runner *runner, struct running *file)
{
	list_remove(&file->link);
	runner->n_running--;
	if (file->temporary)
		directory_remove(file->temporary);
	free(file->temporary);
	free(file);
}

/* What a report of a failure shows beside what the test says. */
static void gather_evidence(struct file_result *result)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/output", result->log_directory) < (int)sizeof(path))
		result->output = text_tail(path, OUTPUT_LINES);
	for (size_t i = result->n_guests > CONSOLES ? result->n_guests - CONSOLES : 0;
	     i < result->n_guests; i++) {
		if (result->guests[i].path)
			result->guests[i].tail = text_tail(result->guests[i].path, CONSOLE_LINES);
	}
}

static void drop_logs(struct file_result *result)
{
	if (result->log_directory)
		directory_remove(result->log_directory);
	free(result->log_directory);
	result->log_directory = NULL;
}

static void settle(struct runner *runner, struct file_result *result)
{
	const struct runner_options *options = runner->options;

	runner->ended++;
	if (result->verdict == FILE_FAILED) {
		runner->failed++;
		if (options->fail_fast)
			runner->stopping = true;
		if (result->log_directory)
			gather_evidence(result);
	} else if (!options->keep) {
		drop_logs(result);
	}
	/* Below what is told of the file. */
	runner->shown_ns = 0;
	if (!options->file_ended(options->user, result)) {
		runner->stopping = true;
		runner->cancelled = true;
	}
}

static void put_back(struct runner *runner, size_t index)
{
	char text[PATH_MAX + 128];

	snprintf(text, sizeof(text),
		 "%s is put back: it and others wait for room for their guests (--mem, --cpus)",
		 runner->results[index].name);
	runner->put_back[runner->n_put_back++] = index;
	runner->put_back_ended = runner->ended;
	runner->options->notice(runner->options->user, text);
}

static void judge(const struct runner *runner, const struct running *file,
		  struct file_result *result, const char *end, int status)
{
	const char *cut_short = NULL;
	char text[512];

	switch (file->killed) {
	case KILLED_TIMEOUT:
		snprintf(text, sizeof(text), "it ran longer than %g s (--timeout)",
			 (double)runner->options->timeout_ms / 1000);
		cut_short = text;
		break;
	case KILLED_BROKEN:
		cut_short = file->broken;
		break;
	case NOT_KILLED:
	case KILLED_PUT_BACK:
	case KILLED_STOPPED:
		break;
	}
	file_result_judge(result, end, cut_short, result->done && status == result->done_status,
			  monotonic_ns());
}

void running_end(struct runner *runner, struct running *file)
{
	struct file_result *result = &runner->results[file->index];
	enum kill_reason killed;
	char end[128];
	int status;

	requests_take(runner, file, LAST_MESSAGES);
	process_end(&file->process, end, sizeof(end), &status);
	process_close(&file->process);
	process_sweep(is_test_process, runner);
	requests_leave(runner, file);
	/* It may have ended by itself meanwhile. */
	killed = status < 0 ? file->killed : NOT_KILLED;
	if (killed == KILLED_STOPPED || killed == KILLED_PUT_BACK) {
		drop_logs(result);
		file_result_clear(result);
		if (killed == KILLED_PUT_BACK)
			put_back(runner, file->index);
	} else {
		judge(runner, file, result, end, status);
		settle(runner, result);
	}
	free_file(runner, file);
}

static void fail_to_start(struct runner *runner, struct running *file, const char *message)
{
	struct file_result *result = &runner->results[file->index];

	file_result_ended(result, HARNESS_FAILED, message);
	result->done = true;
	file_result_judge(result, "", NULL, true, monotonic_ns());
	settle(runner, result);
	free_file(runner, file);
}

static int start_process(struct runner *runner, struct running *file, struct provium_error *error)
{
	const struct runner_options *options = runner->options;
	struct file_result *result = &runner->results[file->index];
	struct child_options child = {
		.path = options->plan->files[file->index].path,
		.accel = options->accel,
		.run = options->run,
		.fd_limit = runner->fd_limit,
	};

	runner->started++;
	result->log_directory =
		run_directory_logs(options->directory, file->index + 1, result->name, error);
	file->temporary = run_directory_temporary(options->directory, runner->started, error);
	if (!result->log_directory || !file->temporary)
		return -1;
	child.log_directory = result->log_directory;
	fflush(NULL);
	return process_start(&file->process, &child, file->temporary, error);
}

int running_start(struct runner *runner, size_t index, struct provium_error *error)
{
	struct running *file = calloc(1, sizeof(*file));
	struct provium_error start_error;

	if (!file)
		return error_set(error, PROVIUM_HOST, ENOMEM, "test");
	file->index = index;
	file->process = PROCESS_NONE;
	file->since_ns = monotonic_ns();
	file->left_ns = runner->options->timeout_ms * MS;
	pool_client_init(&file->pool);
	fixture_client_init(&file->fixture);
	list_append(&runner->running, &file->link);
	runner->n_running++;
	runner->results[index].started_ns = file->since_ns;
	if (start_process(runner, file, &start_error) < 0)
		fail_to_start(runner, file, start_error.message);
	return 0;
}
