/* Jobs: starting, waiting, killing, listing. job_io.c moves their input and output. */
#include "job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "host/lib/exec_message.h"

int job_name_init(struct job_name *name, const struct provium_job_ref *ref, const char *what,
		  struct provium_error *error)
{
	provium__v1__job_ref__init(&name->ref);
	provium__v1__target__init(&name->target);
	if (!ref->name) {
		name->ref.ref_case = PROVIUM__V1__JOB_REF__REF_JOB;
		name->ref.job = ref->number;
		name->target.target_case = PROVIUM__V1__TARGET__TARGET_JOB;
		name->target.job = ref->number;
		snprintf(name->subject, sizeof(name->subject), "job %" PRIu64, ref->number);
		return 0;
	}
	if (!*ref->name)
		return error_set(error, PROVIUM_INVALID, 0, "%s: the job's name is empty", what);
	name->ref.ref_case = PROVIUM__V1__JOB_REF__REF_NAME;
	name->ref.name = bytes_of(ref->name);
	name->target.target_case = PROVIUM__V1__TARGET__TARGET_JOB_NAME;
	name->target.job_name = bytes_of(ref->name);
	snprintf(name->subject, sizeof(name->subject), "job \"%s\"", ref->name);
	return 0;
}

/* ------------------------------------------------------------------------------------------- */
/* Starting */

struct start_request {
	struct request request;
	uint64_t number;
	int pid;
};

static enum request_verdict take_started(struct request *request,
					 const Provium__V1__Message *message)
{
	struct start_request *start = container_of(request, struct start_request, request);

	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_JOB_STARTED)
		return request_unexpected(request, message);
	start->number = message->job_started->job;
	start->pid = message->job_started->pid;
	return REQUEST_FINAL;
}

int provium_job_start(struct provium_connection *connection,
		      const struct provium_exec_options *command,
		      const struct provium_job_options *options, int timeout_ms, uint64_t *number,
		      int *pid, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct start_request start = {
		.request = { .what = "start", .on_message = take_started },
	};
	cleanup(exec_body_finish) struct exec_body command_body;
	Provium__V1__ExecAsync body = PROVIUM__V1__EXEC_ASYNC__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	if (exec_body_init(&command_body, command, error) < 0)
		return -1;
	if (options && options->name && !*options->name)
		return error_set(error, PROVIUM_INVALID, 0, "start: the job's name is empty");
	start.request.subject = exec_subject(command);
	body.command = &command_body.message;
	if (options && options->name) {
		body.has_name = true;
		body.name = bytes_of(options->name);
	}
	if (options && options->keep > 0) {
		body.has_keep = true;
		body.keep = options->keep;
	}
	message.body_case = PROVIUM__V1__MESSAGE__BODY_EXEC_ASYNC;
	message.exec_async = &body;
	if (request_call(connection, &start.request, &message, &deadline, error) < 0)
		return -1;
	if (number)
		*number = start.number;
	if (pid)
		*pid = start.pid;
	return 0;
}

/* ------------------------------------------------------------------------------------------- */
/* Waiting and killing */

struct end_request {
	struct request request;
	const struct job_name *name;
	struct job_output output;
	/* JOB_KILL is answered when it has ended. */
	bool must_have_ended;
	struct provium_job_result result;
};

/* Whether bytes are missing that nobody has told of. */
static bool is_lost(uint64_t received, uint64_t dropped, uint64_t written, bool truncated)
{
	return !truncated && received < written && dropped < written - received;
}

/* Output that came, against what the result says of it. */
static enum request_verdict check_output(struct end_request *end)
{
	const struct provium_exec_result *result = &end->result.result;
	const struct job_output *output = &end->output;

	if (!output->on_output || result->pipes_held || result->outcome == PROVIUM_EXEC_CANCELLED)
		return REQUEST_FINAL;
	if (output->next[0] > result->stdout_bytes || output->next[1] > result->stderr_bytes ||
	    is_lost(output->received[0], end->result.stdout_dropped, result->stdout_bytes,
		    result->stdout_truncated) ||
	    is_lost(output->received[1], end->result.stderr_dropped, result->stderr_bytes,
		    result->stderr_truncated))
		return request_broken(&end->request,
				      "%" PRIu64 " and %" PRIu64
				      " bytes of output came, it wrote %" PRIu64 " and %" PRIu64,
				      output->received[0], output->received[1],
				      result->stdout_bytes, result->stderr_bytes);
	return REQUEST_FINAL;
}

static enum request_verdict take_job_result(struct end_request *end,
					    const Provium__V1__JobResult *message)
{
	struct request *request = &end->request;

	if (end->name->ref.ref_case == PROVIUM__V1__JOB_REF__REF_JOB &&
	    message->job != end->name->ref.job)
		return request_broken(request, "the result of job %" PRIu64, message->job);
	if (message->running == (message->result != NULL))
		return request_broken(request, "a job that %s a result",
				      message->running ? "runs and has" : "has ended without");
	end->result = (struct provium_job_result){
		.number = message->job,
		.running = message->running,
		.stdout_dropped = message->stdout_dropped,
		.stderr_dropped = message->stderr_dropped,
	};
	if (message->running) {
		if (end->must_have_ended || end->output.received[0] || end->output.received[1])
			return request_broken(request, "the job still runs");
		return REQUEST_FINAL;
	}
	if (exec_result_take(request, message->result, &end->result.result) < 0)
		return REQUEST_MORE;
	return check_output(end);
}

static enum request_verdict on_end(struct request *request, const Provium__V1__Message *message)
{
	struct end_request *end = container_of(request, struct end_request, request);

	switch (message->body_case) {
	case PROVIUM__V1__MESSAGE__BODY_OUTPUT:
		return job_output_take(&end->output, request, message->output);
	case PROVIUM__V1__MESSAGE__BODY_JOB_RESULT:
		return take_job_result(end, message->job_result);
	default:
		return request_unexpected(request, message);
	}
}

/* Sends a JOB_WAIT or JOB_KILL and waits for the result. */
static int await_end(struct provium_connection *connection, struct end_request *end,
		     Provium__V1__Message *message, int timeout_ms,
		     struct provium_job_result *result, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);

	end->request.subject = end->name->subject;
	end->request.on_message = on_end;
	if (request_call(connection, &end->request, message, &deadline, error) < 0)
		return -1;
	if (result)
		*result = end->result;
	return 0;
}

int provium_job_wait(struct provium_connection *connection, const struct provium_job_ref *ref,
		     const struct provium_job_wait_options *options, int timeout_ms,
		     struct provium_job_result *result, struct provium_error *error)
{
	static const struct provium_job_wait_options defaults;
	struct job_name name;
	struct end_request end = { .request = { .what = "wait" }, .name = &name };
	Provium__V1__JobWait body = PROVIUM__V1__JOB_WAIT__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	if (!options)
		options = &defaults;
	if (job_name_init(&name, ref, end.request.what, error) < 0)
		return -1;
	end.output.on_output = options->on_output;
	end.output.user = options->user;
	body.ref = &name.ref;
	if (options->wait_ms >= 0) {
		body.has_timeout_ms = true;
		body.timeout_ms = (uint64_t)options->wait_ms;
	}
	body.has_output = options->on_output != NULL;
	body.output = body.has_output;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_JOB_WAIT;
	message.job_wait = &body;
	return await_end(connection, &end, &message, timeout_ms, result, error);
}

int provium_job_kill(struct provium_connection *connection, const struct provium_job_ref *ref,
		     const struct provium_job_kill_options *options, int timeout_ms,
		     struct provium_job_result *result, struct provium_error *error)
{
	static const struct provium_job_kill_options defaults;
	struct job_name name;
	struct end_request end = {
		.request = { .what = "kill" },
		.name = &name,
		.must_have_ended = true,
	};
	Provium__V1__JobKill body = PROVIUM__V1__JOB_KILL__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	if (!options)
		options = &defaults;
	if (job_name_init(&name, ref, end.request.what, error) < 0)
		return -1;
	if (options->signal < 0 || (options->signal == 0 && options->grace_ms > 0))
		return error_set(error, PROVIUM_INVALID, 0,
				 "kill: the time of grace follows a signal, and there is none");
	end.output.on_output = options->on_output;
	end.output.user = options->user;
	body.ref = &name.ref;
	if (options->signal > 0) {
		body.has_signal = true;
		body.signal = (uint32_t)options->signal;
		body.has_grace_ms = true;
		body.grace_ms = options->grace_ms;
	}
	body.has_output = options->on_output != NULL;
	body.output = body.has_output;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_JOB_KILL;
	message.job_kill = &body;
	return await_end(connection, &end, &message, timeout_ms, result, error);
}

/* ------------------------------------------------------------------------------------------- */
/* Listing */

struct list_request {
	struct request request;
	struct provium_jobs *jobs;
};

/* -1: the agent broke the protocol with it, or *no_memory. */
static int take_entry(struct request *request, const Provium__V1__JobEntry *message,
		      struct provium_job_entry *entry, bool *no_memory)
{
	char *name;

	if (message->running == (message->result != NULL)) {
		request_broken(request, "job %" PRIu64 " %s a result", message->job,
			       message->running ? "runs and has" : "has ended without");
		return -1;
	}
	if (message->has_name &&
	    (message->name.len == 0 || memchr(message->name.data, '\0', message->name.len))) {
		request_broken(request, "job %" PRIu64 " has a name that is none", message->job);
		return -1;
	}
	entry->number = message->job;
	entry->pid = message->pid;
	entry->running = message->running;
	entry->stdout_bytes = message->stdout_bytes;
	entry->stderr_bytes = message->stderr_bytes;
	if (message->result && exec_result_take(request, message->result, &entry->result) < 0)
		return -1;
	if (!message->has_name)
		return 0;
	name = calloc(1, message->name.len + 1);
	*no_memory = !name;
	if (!name)
		return -1;
	memcpy(name, message->name.data, message->name.len);
	entry->name = name;
	return 0;
}

static enum request_verdict take_list(struct request *request, const Provium__V1__Message *message)
{
	struct provium_jobs *jobs = container_of(request, struct list_request, request)->jobs;
	const Provium__V1__JobListResult *result = message->job_list_result;
	bool no_memory;

	if (message->body_case != PROVIUM__V1__MESSAGE__BODY_JOB_LIST_RESULT)
		return request_unexpected(request, message);
	jobs->entries = calloc(result->n_jobs + 1, sizeof(*jobs->entries));
	no_memory = !jobs->entries;
	for (size_t i = 0; i < result->n_jobs && !no_memory; i++) {
		/* Counted before it is filled, so that what it holds is released with the list. */
		jobs->count++;
		if (take_entry(request, result->jobs[i], &jobs->entries[i], &no_memory) < 0 &&
		    !no_memory)
			return REQUEST_MORE;
	}
	if (!no_memory)
		return REQUEST_FINAL;
	error_set(request->error, PROVIUM_HOST, ENOMEM, "jobs");
	return REQUEST_GIVE_UP;
}

int provium_job_list(struct provium_connection *connection, int timeout_ms,
		     struct provium_jobs *jobs, struct provium_error *error)
{
	struct deadline deadline = deadline_after(timeout_ms);
	struct list_request list = {
		.request = { .what = "jobs", .on_message = take_list },
		.jobs = jobs,
	};
	Provium__V1__JobList body = PROVIUM__V1__JOB_LIST__INIT;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;

	*jobs = (struct provium_jobs){ 0 };
	message.body_case = PROVIUM__V1__MESSAGE__BODY_JOB_LIST;
	message.job_list = &body;
	if (request_call(connection, &list.request, &message, &deadline, error) == 0)
		return 0;
	provium_job_list_free(jobs);
	return -1;
}

void provium_job_list_free(struct provium_jobs *jobs)
{
	for (size_t i = 0; i < jobs->count; i++)
		free((char *)jobs->entries[i].name);
	free(jobs->entries);
	*jobs = (struct provium_jobs){ 0 };
}
