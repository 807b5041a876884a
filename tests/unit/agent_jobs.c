#include "agent_jobs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct client other;
struct job_outcome outcome;

void jobs_start(void)
{
	agent_start_connected();
	client_connect(&other);
}

void jobs_stop(void)
{
	job_outcome_free(&outcome);
	client_close(&other);
	agent_stop_connected();
}

const char *waiting(const char *before, const char *after)
{
	static char text[600];

	snprintf(text, sizeof(text), "%s; until [ -e %s ]; do sleep 0.01; done; %s", before,
		 test_path("go"), after);
	return text;
}

void let_go(void)
{
	close(creat(test_path("go"), 0600));
}

Provium__V1__JobRef job_number(uint64_t number)
{
	Provium__V1__JobRef ref = PROVIUM__V1__JOB_REF__INIT;

	ref.ref_case = PROVIUM__V1__JOB_REF__REF_JOB;
	ref.job = number;
	return ref;
}

Provium__V1__JobRef job_name(const char *name)
{
	Provium__V1__JobRef ref = PROVIUM__V1__JOB_REF__INIT;

	ref.ref_case = PROVIUM__V1__JOB_REF__REF_NAME;
	ref.name = bytes_of(name);
	return ref;
}

uint32_t send_job_request(struct client *to, Provium__V1__ExecAsync *request)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	message.body_case = BODY(EXEC_ASYNC);
	message.exec_async = request;
	return client_send(to, &message);
}

static uint32_t send_command(struct client *to, Provium__V1__Exec *exec, const char *name,
			     uint64_t keep)
{
	Provium__V1__ExecAsync request = PROVIUM__V1__EXEC_ASYNC__INIT;

	request.command = exec;
	request.has_name = name != NULL;
	if (name)
		request.name = bytes_of(name);
	request.has_keep = keep != ABSENT;
	request.keep = keep;
	return send_job_request(to, &request);
}

uint32_t send_job(struct client *to, const char *command, const char *name, uint64_t keep)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	exec.has_shell = true;
	exec.shell = bytes_of(command);
	return send_command(to, &exec, name, keep);
}

uint64_t job_started(struct client *from, uint32_t id)
{
	const Provium__V1__Message *message = client_expect(from, BODY(JOB_STARTED));

	ck_assert_uint_eq(message->id, id);
	ck_assert_int_gt(message->job_started->pid, 0);
	return message->job_started->job;
}

uint64_t start_named_job(struct client *to, const char *command, const char *name)
{
	return job_started(to, send_job(to, command, name, ABSENT));
}

uint64_t start_job(struct client *to, const char *command)
{
	return start_named_job(to, command, NULL);
}

uint64_t start_stream_job(struct client *to, const char *command, const char *name)
{
	Provium__V1__Exec exec = PROVIUM__V1__EXEC__INIT;

	exec.has_shell = true;
	exec.shell = bytes_of(command);
	exec.has_stdin_kind = true;
	exec.stdin_kind = PROVIUM__V1__STDIN_KIND__STDIN_STREAM;
	return job_started(to, send_command(to, &exec, name, ABSENT));
}

uint32_t wait_job(struct client *to, Provium__V1__JobRef ref, uint64_t timeout_ms, bool output)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__JobWait body = PROVIUM__V1__JOB_WAIT__INIT;

	body.ref = &ref;
	body.has_timeout_ms = timeout_ms != ABSENT;
	body.timeout_ms = timeout_ms;
	body.has_output = output;
	body.output = output;
	message.body_case = BODY(JOB_WAIT);
	message.job_wait = &body;
	return client_send(to, &message);
}

uint32_t kill_job(struct client *to, Provium__V1__JobRef ref, uint64_t signal, uint64_t grace_ms)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__JobKill body = PROVIUM__V1__JOB_KILL__INIT;

	body.ref = &ref;
	body.has_signal = signal != ABSENT;
	body.signal = (uint32_t)signal;
	body.has_grace_ms = grace_ms != ABSENT;
	body.grace_ms = grace_ms;
	body.has_output = true;
	body.output = true;
	message.body_case = BODY(JOB_KILL);
	message.job_kill = &body;
	return client_send(to, &message);
}

uint32_t read_job(struct client *to, Provium__V1__JobRef ref, int stream, uint64_t offset,
		  bool follow)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__JobOutput body = PROVIUM__V1__JOB_OUTPUT__INIT;

	body.ref = &ref;
	body.has_stream = stream != 0;
	body.stream = stream;
	body.has_offset = offset != ABSENT;
	body.offset = offset;
	body.has_follow = follow;
	body.follow = follow;
	message.body_case = BODY(JOB_OUTPUT);
	message.job_output = &body;
	return client_send(to, &message);
}

void job_outcome_add(struct job_outcome *into, const Provium__V1__Output *output)
{
	int which = output->stream == PROVIUM__V1__STREAM__STREAM_STDERR;
	Provium__V1__Output moved = *output;

	if (into->outcome.size[which] == 0)
		into->first[which] = output->offset;
	moved.offset -= into->first[which];
	outcome_add(&into->outcome, &moved);
}

void job_collect(struct client *from, uint32_t id, struct job_outcome *into)
{
	*into = (struct job_outcome){ 0 };
	for (;;) {
		const Provium__V1__Message *message = client_receive(from);

		ck_assert_ptr_nonnull(message);
		ck_assert_uint_eq(message->id, id);
		if (message->body_case == BODY(OUTPUT)) {
			job_outcome_add(into, message->output);
			continue;
		}
		if (message->body_case == BODY(OK)) {
			into->bytes = message->ok->bytes;
			return;
		}
		ck_assert_int_eq(message->body_case, BODY(JOB_RESULT));
		into->result = *message->job_result;
		ck_assert_ptr_nonnull(into->result.result);
		into->outcome.result = *into->result.result;
		into->outcome.result.rusage = NULL;
		into->result.result = NULL;
		return;
	}
}

void collect(uint32_t id)
{
	job_outcome_free(&outcome);
	job_collect(&client, id, &outcome);
}

void job_outcome_free(struct job_outcome *into)
{
	outcome_free(&into->outcome);
	*into = (struct job_outcome){ 0 };
}

void job_expect_running(struct client *from, uint32_t id, uint64_t job)
{
	const Provium__V1__Message *message = client_expect(from, BODY(JOB_RESULT));

	ck_assert_uint_eq(message->id, id);
	ck_assert_uint_eq(message->job_result->job, job);
	ck_assert(message->job_result->running);
	ck_assert_ptr_null(message->job_result->result);
}

void job_expect_exit(struct client *from, uint32_t id, uint64_t job, unsigned int code)
{
	struct job_outcome ended;

	job_collect(from, id, &ended);
	ck_assert_uint_eq(ended.result.job, job);
	ck_assert(!ended.result.running);
	outcome_expect_exit(&ended.outcome, code);
	job_outcome_free(&ended);
}

void expect_gone(struct client *from, uint64_t job)
{
	client_expect_error(from, wait_job(from, job_number(job), 0, false), CODE(NOT_FOUND),
			    "there is no job");
}

/* The outcome of a job that a signal has ended. */
void expect_signalled(int how, unsigned int number)
{
	ck_assert_int_eq(outcome.outcome.result.outcome, how);
	ck_assert(outcome.outcome.result.has_signal);
	ck_assert_uint_eq(outcome.outcome.result.signal, number);
}

Provium__V1__JobEntry job_entry(struct client *from, uint64_t job)
{
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__JobList body = PROVIUM__V1__JOB_LIST__INIT;
	Provium__V1__JobEntry entry = PROVIUM__V1__JOB_ENTRY__INIT;
	const Provium__V1__JobListResult *list;

	message.body_case = BODY(JOB_LIST);
	message.job_list = &body;
	client_send(from, &message);
	list = client_expect(from, BODY(JOB_LIST_RESULT))->job_list_result;
	for (size_t i = 0; i < list->n_jobs; i++) {
		/* By number. */
		if (i > 0)
			ck_assert_uint_gt(list->jobs[i]->job, list->jobs[i - 1]->job);
		ck_assert_int_ne(list->jobs[i]->running, list->jobs[i]->result != NULL);
		if (list->jobs[i]->job == job)
			entry = *list->jobs[i];
	}
	entry.result = NULL;
	entry.name.data = NULL;
	return entry;
}

void job_await_end(struct client *from, uint64_t job)
{
	eventually(!job_entry(from, job).running);
}
