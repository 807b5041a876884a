/*
 * EXEC_ASYNC, JOB_WAIT, JOB_KILL, JOB_LIST, JOB_OUTPUT.
 *
 * The three that last view a job: they send of its output what they are to send, a chunk of each
 * stream in a pass of the loop and none while the connection is congested, and wait in between
 * until the job's viewers are woken. JOB_WAIT and JOB_KILL begin with the job's end, and forget it
 * with theirs.
 */
#include <stdlib.h>

#include "agent/connection.h"
#include "agent/exec_result.h"
#include "agent/job.h"
#include "agent/ops.h"
#include "agent/reply.h"
#include "agent/session.h"
#include "agent/timer.h"
#include "common/cleanup.h"

/* Of a stream: where the next byte that is sent stands, and where the first that is not. */
struct range {
	uint64_t next;
	/* UINT64_MAX: known when the job has ended. */
	uint64_t until;
};

struct job_request {
	struct request request;
	struct job_viewer viewer;
	/* Of a JOB_WAIT. */
	struct timer *timer;
	/* JOB_WAIT and JOB_KILL: the result is wanted, and nothing before it is known. */
	bool wants_result;
	struct range ranges[CHILD_OUTPUTS];
	uint64_t sent;
};

static void view_destroy(struct job_request *view)
{
	timer_stop(view->timer);
	job_unview(&view->viewer);
	free(view);
}

static void view_cancel(struct request *request)
{
	request_end(request);
	reply_error(request->session, request->id, ERROR_CANCELLED, NULL, 0,
		    "cancelled; the job is not");
	view_destroy(container_of(request, struct job_request, request));
}

static void view_resume(struct request *request)
{
	struct job_request *view = container_of(request, struct job_request, request);

	task_schedule(&view->viewer.task, request->session->loop);
}

static void view_abandon(struct request *request)
{
	view_destroy(container_of(request, struct job_request, request));
}

static const struct request_operations view_operations = {
	.cancel = view_cancel,
	.resume = view_resume,
	.abandon = view_abandon,
};

static void reply_result(struct session *session, uint32_t id, const struct job *job)
{
	uint64_t dropped[] = { job_output_dropped(&job->outputs[CHILD_STDOUT]),
			       job_output_dropped(&job->outputs[CHILD_STDERR]) };
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__JobResult body = PROVIUM__V1__JOB_RESULT__INIT;
	Provium__V1__ExecResult result;
	Provium__V1__Rusage usage;

	body.job = job->number;
	if (job_runs(job)) {
		body.has_running = true;
		body.running = true;
	} else {
		exec_result_fill(&result, &usage, &job->result);
		body.result = &result;
	}
	body.has_stdout_dropped = dropped[CHILD_STDOUT] > 0;
	body.stdout_dropped = dropped[CHILD_STDOUT];
	body.has_stderr_dropped = dropped[CHILD_STDERR] > 0;
	body.stderr_dropped = dropped[CHILD_STDERR];
	message.body_case = PROVIUM__V1__MESSAGE__BODY_JOB_RESULT;
	message.job_result = &body;
	reply_send(session, id, &message);
}

/* All that was to be sent has been sent, or the time is over. */
static void finish(struct job_request *view)
{
	struct session *session = view->request.session;
	struct job *job = view->viewer.job;
	uint32_t id = view->request.id;

	request_end(&view->request);
	if (!view->wants_result)
		reply_ok_bytes(session, id, view->sent);
	else
		reply_result(session, id, job);
	if (view->wants_result && !job_runs(job))
		job_forget(job);
	view_destroy(view);
}

/* A chunk of a stream, if there is any. False: no memory. */
static bool send_chunk(struct job_request *view, enum child_output which)
{
	struct session *session = view->request.session;
	struct range *range = &view->ranges[which];
	struct buffer *buffer = buffer_pool_take(&session->loop->pool);
	size_t size;

	if (!buffer)
		return false;
	size = job_output_read(&view->viewer.job->outputs[which], &range->next, range->until,
			       buffer->data + BULK_GAP, PROVIUM_CHUNK);
	if (size == 0) {
		buffer_pool_give(&session->loop->pool, buffer);
		return true;
	}
	reply_output(session, view->request.id,
		     which == CHILD_STDOUT ? PROVIUM__V1__STREAM__STREAM_STDOUT
					   : PROVIUM__V1__STREAM__STREAM_STDERR,
		     range->next, buffer, size);
	range->next += size;
	view->sent += size;
	return true;
}

static bool has_more(const struct job_request *view, int which)
{
	return job_output_has(&view->viewer.job->outputs[which], view->ranges[which].next,
			      view->ranges[which].until);
}

/* What belongs to the job ends with it, and not what others write to its pipes later. */
static void limit_ranges(struct job_request *view)
{
	const struct job *job = view->viewer.job;

	for (int i = 0; i < CHILD_OUTPUTS; i++)
		if (view->ranges[i].until == UINT64_MAX)
			view->ranges[i].until = job->result.bytes[i];
}

/* Does what can be done now; frees the view where that is all. */
static void advance(struct job_request *view)
{
	struct session *session = view->request.session;
	const struct job *job = view->viewer.job;

	if (view->wants_result && job_runs(job))
		return;
	if (!job_runs(job))
		limit_ranges(view);
	for (int i = 0; i < CHILD_OUTPUTS; i++) {
		if (!has_more(view, i))
			continue;
		/* Goes on when that is over. */
		if (connection_congested(session->connection))
			return;
		if (!send_chunk(view, (enum child_output)i)) {
			request_end(&view->request);
			reply_error(session, view->request.id, ERROR_LIMIT, NULL, 0,
				    "no memory to read a job's output");
			view_destroy(view);
			return;
		}
	}
	if (has_more(view, CHILD_STDOUT) || has_more(view, CHILD_STDERR))
		task_schedule(&view->viewer.task, session->loop);
	else if (!view->viewer.follows || !job_runs(job))
		finish(view);
}

static void on_woken(struct task *task)
{
	advance(container_of(task, struct job_request, viewer.task));
}

static void on_timeout(void *data)
{
	struct job_request *view = data;

	/* If it has ended, the result is on its way. */
	if (job_runs(view->viewer.job))
		finish(view);
}

/* Of a job as it is now, or up to its end. */
static struct range whole_range(const struct job *job, int which, bool to_its_end)
{
	bool is_known = !to_its_end || !job_runs(job);

	return (struct range){ .until = is_known ? job->outputs[which].end : UINT64_MAX };
}

/* NULL: no memory, which has been answered. */
static struct job_request *view_begin(struct session *session, uint32_t id, uint32_t code,
				      struct job *job)
{
	struct job_request *view = calloc(1, sizeof(*view));

	if (!view) {
		reply_error(session, id, ERROR_LIMIT, NULL, 0, "no memory to wait for a job");
		return NULL;
	}
	task_init(&view->viewer.task, on_woken);
	request_begin(&view->request, session, id, code, &view_operations);
	job_view(job, &view->viewer);
	return view;
}

/* As view_begin, for its result and before that, with output, what is kept of its output. */
static struct job_request *wait_begin(struct session *session, uint32_t id, uint32_t code,
				      struct job *job, bool output)
{
	struct job_request *view = view_begin(session, id, code, job);

	if (!view)
		return NULL;
	view->wants_result = true;
	for (int i = 0; output && i < CHILD_OUTPUTS; i++)
		view->ranges[i] = whole_range(job, i, true);
	return view;
}

static struct job *find_job(struct session *session, uint32_t id, const char *name,
			    const Provium__V1__JobRef *ref)
{
	/* The rules want one of the two. */
	if (ref->ref_case == PROVIUM__V1__JOB_REF__REF_JOB)
		return job_find(session, id, name, ref->job, NULL);
	return job_find(session, id, name, 0, &ref->name);
}

void op_exec_async(struct session *session, uint32_t id, const Provium__V1__Message *request)
{
	const struct job *job = job_start(session, id, request->exec_async);
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__JobStarted body = PROVIUM__V1__JOB_STARTED__INIT;

	if (!job)
		return;
	body.job = job->number;
	body.pid = job->command.pid;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_JOB_STARTED;
	message.job_started = &body;
	reply_send(session, id, &message);
}

void op_job_wait(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__JobWait *request = message->job_wait;
	struct job *job = find_job(session, id, "JOB_WAIT", request->ref);
	struct job_request *view;

	if (!job)
		return;
	if (job_runs(job) && request->has_timeout_ms && request->timeout_ms == 0) {
		reply_result(session, id, job);
		return;
	}
	view = wait_begin(session, id, message->body_case, job, request->output);
	if (!view)
		return;
	if (job_runs(job) && request->has_timeout_ms) {
		view->timer = timer_start(session->loop, request->timeout_ms, on_timeout, view);
		if (!view->timer) {
			request_end(&view->request);
			reply_error(session, id, ERROR_LIMIT, NULL, 0, "JOB_WAIT: no memory");
			view_destroy(view);
			return;
		}
	}
	advance(view);
}

void op_job_kill(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__JobKill *request = message->job_kill;
	struct job *job = find_job(session, id, "JOB_KILL", request->ref);
	struct job_request *view;
	int error;

	if (!job)
		return;
	if (request->has_grace_ms && !request->has_signal) {
		reply_error(session, id, ERROR_INVALID, NULL, 0,
			    "JOB_KILL: grace_ms: only with a signal");
		return;
	}
	view = wait_begin(session, id, message->body_case, job, request->output);
	if (!view)
		return;
	error = job_runs(job) ? job_kill(job, (int)request->signal, request->grace_ms) : 0;
	if (error) {
		request_end(&view->request);
		reply_os_error(session, id, "kill", error, "JOB_KILL: cannot send signal %u",
			       request->signal);
		view_destroy(view);
		return;
	}
	advance(view);
}

/* An entry and what it points to. */
struct list_entry {
	Provium__V1__JobEntry entry;
	Provium__V1__ExecResult result;
	Provium__V1__Rusage usage;
};

static void fill_entry(struct list_entry *entry, struct job *job)
{
	entry->entry = (Provium__V1__JobEntry)PROVIUM__V1__JOB_ENTRY__INIT;
	entry->entry.job = job->number;
	entry->entry.has_name = job->name_size > 0;
	entry->entry.name = (ProtobufCBinaryData){ job->name_size, job->name };
	entry->entry.pid = job->command.pid;
	entry->entry.running = job_runs(job);
	entry->entry.stdout_bytes = job->outputs[CHILD_STDOUT].bytes;
	entry->entry.stderr_bytes = job->outputs[CHILD_STDERR].bytes;
	if (job_runs(job))
		return;
	exec_result_fill(&entry->result, &entry->usage, &job->result);
	entry->entry.result = &entry->result;
}

void op_job_list(struct session *session, uint32_t id, const Provium__V1__Message *request)
{
	const struct jobs *jobs = &session->loop->jobs;
	Provium__V1__Message message = PROVIUM__V1__MESSAGE__INIT;
	Provium__V1__JobListResult body = PROVIUM__V1__JOB_LIST_RESULT__INIT;
	cleanup_free struct list_entry *entries = calloc(jobs->count + 1, sizeof(*entries));
	cleanup_free Provium__V1__JobEntry **pointers = calloc(jobs->count + 1, sizeof(void *));
	struct job *job;

	(void)request;
	if (!entries || !pointers) {
		reply_error(session, id, ERROR_LIMIT, NULL, 0, "JOB_LIST: no memory");
		return;
	}
	list_for_each(job, &jobs->all, link) {
		fill_entry(&entries[body.n_jobs], job);
		pointers[body.n_jobs] = &entries[body.n_jobs].entry;
		body.n_jobs++;
	}
	body.jobs = pointers;
	message.body_case = PROVIUM__V1__MESSAGE__BODY_JOB_LIST_RESULT;
	message.job_list_result = &body;
	reply_send(session, id, &message);
}

void op_job_output(struct session *session, uint32_t id, const Provium__V1__Message *message)
{
	const Provium__V1__JobOutput *request = message->job_output;
	struct job *job = find_job(session, id, "JOB_OUTPUT", request->ref);
	struct job_request *view;

	if (!job)
		return;
	view = view_begin(session, id, message->body_case, job);
	if (!view)
		return;
	view->viewer.follows = request->follow;
	for (int i = 0; i < CHILD_OUTPUTS; i++) {
		bool is_stderr = i == CHILD_STDERR;

		if (request->has_stream &&
		    (request->stream == PROVIUM__V1__STREAM__STREAM_STDERR) != is_stderr)
			continue;
		view->ranges[i] = whole_range(job, i, request->follow);
		view->ranges[i].next = request->offset;
	}
	advance(view);
}
