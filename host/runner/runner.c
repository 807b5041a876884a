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
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/list.h"
#include "common/util.h"
#include "host/lib/error.h"
#include "host/runner/channel.h"
#include "host/runner/fixtures.h"
#include "host/runner/pool.h"
#include "host/runner/process.h"
#include "host/runner/text.h"

#define MS              UINT64_C(1000000)

/* Messages of one process that are handled before the others have their turn. */
#define MESSAGES_A_TURN 64

#define OUTPUT_LINES    20
#define CONSOLE_LINES   10
/* Of the guests that a failed file had, the last ones. */
#define CONSOLES        2

enum kill_reason {
	NOT_KILLED,
	KILLED_TIMEOUT,
	KILLED_PUT_BACK,
	/* The run ends. */
	KILLED_STOPPED,
	/* It sent what no message is. */
	KILLED_BROKEN,
};

struct running {
	/* Of the plan and the results. */
	size_t index;
	struct process process;
	struct pool_client pool;
	struct fixture_client fixture;
	/* Counts down while it does not wait. */
	uint64_t left_ns;
	uint64_t since_ns;
	enum kill_reason killed;
	char broken[256];
	char *temporary;
	struct list link;
};

struct runner {
	const struct runner_options *options;
	struct file_result *results;
	struct pool pool;
	struct fixtures fixtures;
	/* struct running.link, the oldest first. */
	struct list running;
	size_t n_running;
	/* The next of the plan that has never run. */
	size_t next;
	/* Indices of files that were put back, in order, and when: after how many had ended. */
	size_t *put_back;
	size_t n_put_back;
	size_t put_back_ended;
	size_t ended;
	size_t failed;
	/* Directories that were made: their names are not used again. */
	size_t started;
	/* As it was: tests get it. */
	struct rlimit fd_limit;
	uint64_t started_ns;
	uint64_t shown_ns;
	bool stopping;
	bool cancelled;
};

static bool waits(const struct running *file)
{
	return pool_waits(&file->pool) || file->fixture.waits_for;
}

/* Takes the time that has passed off what the file has left. */
static void stop_clock(struct running *file, uint64_t now_ns)
{
	uint64_t passed_ns = now_ns - file->since_ns;

	file->left_ns -= MIN(passed_ns, file->left_ns);
	file->since_ns = now_ns;
}

static void kill_file(struct running *file, enum kill_reason reason)
{
	if (file->killed)
		return;
	file->killed = reason;
	process_kill(&file->process);
}

/* What is wrong with what it sends. */
static void break_off(struct running *file, const char *reason)
{
	if (!file->killed)
		snprintf(file->broken, sizeof(file->broken), "%.200s", reason);
	kill_file(file, KILLED_BROKEN);
}

/* ------------------------------------------------------------------------------------------- */
/* Answers */

static void answer(struct running *file, const struct message *message)
{
	struct provium_error error;

	if (file->killed || file->process.channel < 0)
		return;
	file->since_ns = monotonic_ns();
	/*
	 * It asks one thing at a time, so its end has room, unless it is not a test any more. One
	 * that has ended (EPIPE) is met in its turn.
	 */
	if (channel_send(file->process.channel, message, MSG_DONTWAIT, &error) < 0 &&
	    error.os_errno != EPIPE && error.os_errno != ECONNRESET)
		break_off(file, error.message);
}

static void grant(struct running *file)
{
	const struct message message = { .kind = MESSAGE_GRANTED };

	answer(file, &message);
}

static void refuse(struct running *file, struct provium_error *error)
{
	const struct message message = {
		.kind = MESSAGE_REFUSED,
		.number = error->code,
		.texts = { NULL, error->message },
	};

	answer(file, &message);
}

static void give_fixture(struct running *file, const struct fixture *fixture)
{
	struct message message = { .kind = MESSAGE_FIXTURE_BUILD };
	struct provium_error error;

	if (fixture->state == FIXTURE_FAILED) {
		error_set(&error, PROVIUM_INVALID, 0, "%s", fixture->text);
		refuse(file, &error);
		return;
	}
	if (fixture->state == FIXTURE_READY) {
		message.kind = MESSAGE_FIXTURE_HERE;
		message.texts[1] = fixture->text;
		memcpy(message.fds, fixture->fds, sizeof(*fixture->fds) * fixture->n_fds);
		message.n_fds = fixture->n_fds;
	}
	answer(file, &message);
}

/* All who wait for it; of one that is to be built anew the first, who builds it. */
static void tell_waiting(struct fixture *fixture)
{
	struct fixture_client *client;

	while ((client = fixture_next(fixture))) {
		give_fixture(container_of(client, struct running, fixture), fixture);
		if (fixture->state == FIXTURE_BUILDING)
			return;
	}
}

static void grant_waiting(struct runner *runner)
{
	struct pool_client *client;

	while ((client = pool_grant(&runner->pool)))
		grant(container_of(client, struct running, pool));
}

/* ------------------------------------------------------------------------------------------- */
/* Messages */

static void on_acquire(struct runner *runner, struct running *file, const struct message *message)
{
	const struct pool *pool = &runner->pool;
	struct provium_error error;

	if (waits(file)) {
		break_off(file, "it asks while it waits");
		return;
	}
	stop_clock(file, monotonic_ns());
	switch (pool_request(&runner->pool, &file->pool, message->memory, message->cpus)) {
	case POOL_GRANTED:
		grant(file);
		break;
	case POOL_WAITS:
		break;
	case POOL_NEVER:
		error_set(&error, PROVIUM_LIMIT, 0,
			  "a guest of %" PRIu64 " MiB and %u processors never fits: all guests "
			  "together have %" PRIu64 " MiB and %" PRIu64
			  " processors (--mem, --cpus), of which this file holds %" PRIu64
			  " MiB and %" PRIu64,
			  message->memory >> 20, message->cpus, pool->memory >> 20, pool->cpus,
			  file->pool.held_memory >> 20, file->pool.held_cpus);
		refuse(file, &error);
		break;
	}
}

static void on_release(struct runner *runner, struct running *file, const struct message *message)
{
	if (!pool_release(&runner->pool, &file->pool, message->memory, message->cpus))
		break_off(file, "it gives back more than it has");
}

static void on_fixture(struct runner *runner, struct running *file, const struct message *message)
{
	struct fixture *fixture = NULL;
	struct provium_error error;

	if (waits(file)) {
		break_off(file, "it asks while it waits");
		return;
	}
	stop_clock(file, monotonic_ns());
	switch (fixtures_ask(&runner->fixtures, &file->fixture, message->texts[0], &fixture,
			     &error)) {
	case FIXTURE_ASK_BUILD:
	case FIXTURE_ASK_HERE:
		give_fixture(file, fixture);
		break;
	case FIXTURE_ASK_WAIT:
		break;
	case FIXTURE_ASK_FAILED:
		refuse(file, &error);
		break;
	}
}

/* Takes the text and the fds out of the message. */
static void on_fixture_built(struct runner *runner, struct running *file, struct message *message)
{
	struct fixture *fixture = fixtures_built(&runner->fixtures, &file->fixture,
						 message->texts[0], message->texts[1], message->fds,
						 message->n_fds, message->number == 1);

	if (!fixture) {
		break_off(file, "it builds no such fixture");
		return;
	}
	message->texts[1] = NULL;
	message->n_fds = 0;
	tell_waiting(fixture);
}

static void on_message(struct runner *runner, struct running *file, struct message *message)
{
	struct file_result *result = &runner->results[file->index];
	uint64_t now_ns = monotonic_ns();

	switch (message->kind) {
	case MESSAGE_SUBTEST_STARTED:
		file_result_subtest_started(result, message->texts[0], now_ns);
		break;
	case MESSAGE_SUBTEST_ENDED:
		file_result_subtest_ended(result, message->texts[0],
					  (enum harness_outcome)message->number, message->texts[1],
					  now_ns);
		break;
	case MESSAGE_FILE_ENDED:
		file_result_ended(result, (enum harness_outcome)message->number, message->texts[1]);
		break;
	case MESSAGE_ACQUIRE:
		on_acquire(runner, file, message);
		break;
	case MESSAGE_RELEASE:
		on_release(runner, file, message);
		break;
	case MESSAGE_GUEST_STARTED:
		file_result_guest_started(result, message->number, message->texts[0],
					  message->texts[1]);
		break;
	case MESSAGE_GUEST_ENDED:
		file_result_guest_ended(result, message->number);
		break;
	case MESSAGE_SPLAT:
		file_result_splat(result, message->number, message->texts[0], message->texts[1]);
		break;
	case MESSAGE_FIXTURE:
		on_fixture(runner, file, message);
		break;
	case MESSAGE_FIXTURE_BUILT:
		on_fixture_built(runner, file, message);
		break;
	case MESSAGE_DONE:
		result->done = true;
		result->done_status = (int)message->number;
		break;
	case MESSAGE_GRANTED:
	case MESSAGE_REFUSED:
	case MESSAGE_FIXTURE_BUILD:
	case MESSAGE_FIXTURE_HERE:
	case MESSAGE_KINDS:
		/* channel_receive lets none through. */
		break;
	}
}

static void take_messages(struct runner *runner, struct running *file, size_t most)
{
	for (size_t i = 0; i < most && file->process.channel >= 0; i++) {
		struct provium_error error;
		struct message message;

		switch (channel_receive(file->process.channel, MSG_DONTWAIT, true, &message,
					&error)) {
		case CHANNEL_RECEIVED:
			on_message(runner, file, &message);
			message_finish(&message);
			break;
		case CHANNEL_EMPTY:
			return;
		case CHANNEL_BROKEN:
			break_off(file, error.message);
			process_close(&file->process);
			return;
		case CHANNEL_ENDED:
			process_close(&file->process);
			return;
		}
	}
}

/* ------------------------------------------------------------------------------------------- */
/* Begin and end of a file */

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

/* Gives back all that it held, and wakes who waited for that. */
static void leave(struct runner *runner, struct running *file)
{
	struct fixture *fixture;

	pool_leave(&runner->pool, &file->pool);
	while ((fixture = fixtures_leave(&runner->fixtures, &file->fixture)))
		tell_waiting(fixture);
}

static void judge(const struct runner *runner, const struct running *file,
		  struct file_result *result, const char *end, int status)
{
	char text[512];

	switch (file->killed) {
	case KILLED_TIMEOUT:
		snprintf(text, sizeof(text), "it ran longer than %g s (--timeout)",
			 (double)runner->options->timeout_ms / 1000);
		file_result_ended(result, HARNESS_FAILED, text);
		end = text;
		break;
	case KILLED_BROKEN:
		snprintf(text, sizeof(text), "the test process sent what no test sends: %s",
			 file->broken);
		file_result_ended(result, HARNESS_FAILED, text);
		end = text;
		break;
	case NOT_KILLED:
	case KILLED_PUT_BACK:
	case KILLED_STOPPED:
		break;
	}
	file_result_judge(result, end, result->done && status == result->done_status,
			  monotonic_ns());
}

/* Its process has ended. */
static void end_file(struct runner *runner, struct running *file)
{
	struct file_result *result = &runner->results[file->index];
	enum kill_reason killed;
	char end[128];
	int status;

	take_messages(runner, file, SIZE_MAX);
	process_end(&file->process, end, sizeof(end), &status);
	process_close(&file->process);
	process_sweep(is_test_process, runner);
	leave(runner, file);
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
	file_result_judge(result, "", true, monotonic_ns());
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

static int start_file(struct runner *runner, size_t index, struct provium_error *error)
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

/* ------------------------------------------------------------------------------------------- */
/* The loop */

/* Where all wait, and nobody is about to end, somebody has to give way. */
static void resolve_waits(struct runner *runner)
{
	struct running *youngest = NULL;
	struct pool_client *client;
	struct running *file;

	grant_waiting(runner);
	list_for_each(file, &runner->running, link) {
		if (!waits(file) || file->killed)
			return;
		youngest = file;
	}
	if (!youngest)
		return;
	client = pool_grant_any(&runner->pool);
	if (client)
		grant(container_of(client, struct running, pool));
	else
		kill_file(youngest, KILLED_PUT_BACK);
}

static void stop_all(struct runner *runner)
{
	struct running *file;

	list_for_each(file, &runner->running, link)
		kill_file(file, KILLED_STOPPED);
}

/* Kills what is over its time. Returns the milliseconds until the next is, or -1. */
static int check_time(struct runner *runner)
{
	uint64_t now_ns = monotonic_ns();
	uint64_t next_ns = UINT64_MAX;
	struct running *file;

	list_for_each(file, &runner->running, link) {
		if (waits(file) || file->killed)
			continue;
		stop_clock(file, now_ns);
		if (file->left_ns == 0)
			kill_file(file, KILLED_TIMEOUT);
		else
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
		view.files[i].waits = waits(file);
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
			take_messages(runner, file, MESSAGES_A_TURN);
		if (fds[3 * i + 1].revents)
			process_take_output(&file->process);
		i++;
	}
	i = 0;
	list_for_each_safe(file, next, &runner->running, link) {
		if (i == n_files)
			break;
		if (fds[3 * i + 2].revents)
			end_file(runner, file);
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
			if (start_file(runner, index, error) < 0)
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
		end_file(runner, file);
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
