/*
 * The loop.
 *
 * A file is pending, then it runs (struct running), then it has ended. The processes' channels,
 * outputs and ends are waited for by one poll(2), with the cancel fd and the next time limit;
 * nothing else blocks, but for the ends of processes that have been killed.
 *
 * A file that waits, for room in the pool or for a fixture, has asked and gets one answer; its
 * clock stands still meanwhile. Where every file that runs waits, the first request that fits is
 * granted; if none does, the youngest file is put back: killed, and started again when another has
 * ended. The oldest is never put back, so it comes to its end, and after it the next: nobody waits
 * for ever.
 */
#include "host/runner/runner.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "host/lib/error.h"
#include "host/runner/running.h"

#define MS              UINT64_C(1000000)

/* Messages of one process that are handled before the others have their turn. */
#define MESSAGES_A_TURN 64

/* The next to be started, if one may be now: those that were put back first. */
static bool take_next(struct runner *runner, size_t *index)
{
	if (runner->stopping || runner->n_running >= runner->options->parallel)
		return false;
	if (runner->n_put_back > 0) {
		if (runner->ended == runner->put_back_ended && runner->n_running > 0)
			return false;
		*index = runner->put_back[0];
		runner->n_put_back--;
		memmove(runner->put_back, runner->put_back + 1,
			runner->n_put_back * sizeof(*runner->put_back));
		return true;
	}
	if (runner->next == runner->options->plan->count)
		return false;
	*index = runner->next++;
	return true;
}

/* Where all wait, and nobody is about to end, somebody has to give way. */
static void resolve_waits(struct runner *runner)
{
	struct running *youngest = NULL;
	struct running *file;

	while (requests_grant(runner, false))
		;
	list_for_each(file, &runner->running, link) {
		if (!running_waits(file) || file->killed)
			return;
		youngest = file;
	}
	if (!youngest)
		return;
	if (!requests_grant(runner, true))
		running_kill(youngest, KILLED_PUT_BACK);
}

static void stop_all(struct runner *runner)
{
	struct running *file;

	list_for_each(file, &runner->running, link)
		running_kill(file, KILLED_STOPPED);
}

/* Kills what is over its time. Returns the milliseconds until the next is, or -1. */
static int check_time(struct runner *runner)
{
	uint64_t now_ns = monotonic_ns();
	uint64_t next_ns = UINT64_MAX;
	struct running *file;

	list_for_each(file, &runner->running, link) {
		if (file->killed ? file->killed != KILLED_TIMEOUT : running_waits(file))
			continue;
		running_stop_clock(file, now_ns);
		if (file->left_ns == 0)
			running_time_out(file);
		next_ns = MIN(next_ns, file->left_ns);
	}
	if (next_ns == UINT64_MAX)
		return -1;
	return (int)MIN((next_ns + MS - 1) / MS, (uint64_t)INT_MAX);
}

/* Returns the milliseconds until it is to be shown again, or -1. */
static int show(struct runner *runner)
{
	const struct runner_options *options = runner->options;
	struct runner_view view = {
		.total = options->plan->count,
		.ended = runner->ended,
		.failed = runner->failed,
		.started_ns = runner->started_ns,
	};
	uint64_t now_ns = monotonic_ns();
	uint64_t passed_ms = (now_ns - runner->shown_ns) / MS;
	struct running *file;

	if (!options->refresh_ms)
		return -1;
	if (passed_ms < (uint64_t)options->refresh_ms)
		return options->refresh_ms - (int)passed_ms;
	list_for_each(file, &runner->running, link) {
		const struct file_result *result = &runner->results[file->index];
		const struct subtest *subtest = file_result_running(result);
		size_t i = view.running++;

		if (i >= RUNNER_VIEW_FILES)
			continue;
		view.files[i].name = result->name;
		view.files[i].subtest = subtest ? subtest->name : NULL;
		view.files[i].since_ns = subtest ? subtest->started_ns : result->started_ns;
		view.files[i].waits = running_waits(file);
	}
	runner->shown_ns = now_ns;
	options->show(options->user, &view);
	return options->refresh_ms;
}

static int shorter(int one, int other)
{
	if (one < 0 || other < 0)
		return MAX(one, other);
	return MIN(one, other);
}

/* Three of each file, in the order of the list, behind the cancel fd. */
static void handle(struct runner *runner, const struct pollfd *fds, size_t n_files)
{
	struct running *file;
	struct running *next;
	size_t i = 0;

	/* Nobody leaves the list before he has been seen. */
	list_for_each(file, &runner->running, link) {
		if (i == n_files)
			break;
		if (fds[3 * i].revents)
			requests_take(runner, file, MESSAGES_A_TURN);
		if (fds[3 * i + 1].revents)
			process_take_output(&file->process);
		i++;
	}
	i = 0;
	list_for_each_safe(file, next, &runner->running, link) {
		if (i == n_files)
			break;
		if (fds[3 * i + 2].revents)
			running_end(runner, file);
		i++;
	}
}

static int wait_and_handle(struct runner *runner, struct pollfd *fds, struct provium_error *error)
{
	int timeout_ms = shorter(check_time(runner), show(runner));
	struct running *file;
	size_t n_files = 0;
	int n;

	fds[0] = (struct pollfd){
		.fd = runner->cancelled ? -1 : runner->options->cancel_fd,
		.events = POLLIN,
	};
	list_for_each(file, &runner->running, link) {
		struct pollfd *three = &fds[1 + 3 * n_files++];

		three[0] = (struct pollfd){ .fd = file->process.channel, .events = POLLIN };
		three[1] = (struct pollfd){ .fd = file->process.output, .events = POLLIN };
		three[2] = (struct pollfd){ .fd = file->process.pidfd, .events = POLLIN };
	}
	n = poll(fds, 1 + 3 * n_files, timeout_ms);
	if (n < 0 && errno != EINTR)
		return error_set(error, PROVIUM_HOST, errno, "poll");
	if (n <= 0)
		return 0;
	if (fds[0].revents) {
		runner->stopping = true;
		runner->cancelled = true;
	}
	handle(runner, fds + 1, n_files);
	return 0;
}

static int loop(struct runner *runner, struct pollfd *fds, struct provium_error *error)
{
	for (;;) {
		size_t index;

		while (take_next(runner, &index)) {
			if (running_start(runner, index, error) < 0)
				return -1;
		}
		if (runner->stopping)
			stop_all(runner);
		else
			resolve_waits(runner);
		if (list_empty(&runner->running))
			return 0;
		if (wait_and_handle(runner, fds, error) < 0)
			return -1;
	}
}

/* Each test has three fds here, and fixtures have more: as many as there may be. */
static void raise_fd_limit(struct runner *runner)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &runner->fd_limit);
	limit = runner->fd_limit;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void end_all(struct runner *runner)
{
	struct running *file;
	struct running *next;

	stop_all(runner);
	list_for_each_safe(file, next, &runner->running, link)
		running_end(runner, file);
}

int runner_run(const struct runner_options *options, struct file_result *results,
	       struct provium_error *error)
{
	cleanup_free struct pollfd *fds = calloc(1 + 3 * (size_t)options->parallel, sizeof(*fds));
	cleanup_free size_t *put_back_files = calloc(options->parallel, sizeof(*put_back_files));
	struct runner runner = {
		.options = options,
		.results = results,
		.put_back = put_back_files,
		.started_ns = monotonic_ns(),
	};
	int outcome;

	if (!fds || !put_back_files)
		return error_set(error, PROVIUM_HOST, ENOMEM, "tests");
	for (size_t i = 0; i < options->plan->count; i++) {
		if (file_result_init(&results[i], options->plan->files[i].name, error) < 0)
			return -1;
	}
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return error_set(error, PROVIUM_HOST, errno, "prctl");
	raise_fd_limit(&runner);
	list_init(&runner.running);
	pool_init(&runner.pool, options->memory, options->cpus);
	fixtures_init(&runner.fixtures);

	outcome = loop(&runner, fds, error);
	end_all(&runner);
	fixtures_finish(&runner.fixtures);
	setrlimit(RLIMIT_NOFILE, &runner.fd_limit);
	if (outcome == 0 && runner.cancelled)
		return error_set(error, PROVIUM_CANCELLED, 0, "the tests were stopped");
	return outcome;
}
